// The harness of the kernel checks: every ISA's table against the scalar one, bit for bit, and the
// scalar one against the plainest code that a test can state.
//
// A check is called for each table, for row counts 0 … 130 and around powers of two, with a fresh
// random state. It has no cmocka, so that it also links statically for another CPU and runs under
// qemu; its summary lines are cmocka's, for the test runner. MR_SEED replays a run.
#pragma once

#include "host/base/rand.h"
#include "hw/cpu.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_ROWS_MAX 4100
#define CHECK_CANARY   0xc5

struct check {
	const char *name;
	void (*run)(const struct mr_kernels *k, const struct mr_kernels *oracle, struct mr_rand *r,
		uint32_t rows);
};

static struct {
	uint64_t seed;
	const char *isa;
	const char *name;
	uint32_t rows;
	int failed;
} check_at;

#define CHECK(x)                                  \
	do {                                      \
		if (!(x))                         \
			check_fail(#x, __LINE__); \
	} while (0)

static inline void check_fail(const char *what, int line)
{
	if (check_at.failed++ < 20)
		printf("%s: line %d: %s is false (isa %s, rows %u, MR_SEED=%llu)\n", check_at.name,
			line, what, check_at.isa, check_at.rows, (unsigned long long)check_at.seed);
}

// Memory for `bytes` that starts `misalign` bytes behind a 64-byte boundary, ends in 64 bytes of
// canary, and is filled with canary too. An input's padding is thereby garbage.
struct check_mem {
	uint8_t *block;
	uint8_t *at;
	size_t bytes;
};

static inline struct check_mem check_mem(size_t bytes, size_t misalign)
{
	struct check_mem m = {NULL, NULL, bytes};

	m.block = aligned_alloc(64, (bytes + misalign + 64 + 63) / 64 * 64 + 64);
	MR_ASSERT(m.block != NULL);
	m.at = m.block + misalign;
	memset(m.block, CHECK_CANARY, (bytes + misalign + 64 + 63) / 64 * 64 + 64);
	return m;
}

// Frees an output after looking at its canaries.
static inline void check_mem_done(struct check_mem m)
{
	for (size_t i = 0; i < 64; i++)
		CHECK(m.at[m.bytes + i] == CHECK_CANARY);
	for (uint8_t *p = m.block; p < m.at; p++)
		CHECK(*p == CHECK_CANARY);
	free(m.block);
}

// How the values of one column are drawn.
struct check_style {
	bool edges;     // one value of four is one that tests like to fail on
	bool narrow;    // few distinct ones
	unsigned shift; // how far from the ends of a 64-bit integer the others stay
};

static inline struct check_style check_style(struct mr_rand *r)
{
	return (struct check_style){.edges = mr_rand_below(r, 3),
		.narrow = mr_rand_below(r, 2),
		.shift = mr_rand_below(r, 2) ? (unsigned)mr_rand_below(r, 64) : 0};
}

static inline void check_value(
	struct mr_rand *r, enum mr_phys t, const struct check_style *style, void *out)
{
	static const double floats[] = {0.0, -0.0, 1.0, -1.0, 1e300, -1e300, 5e-324, -5e-324, 1.5,
		__builtin_inf(), -__builtin_inf(), __builtin_nan(""), -__builtin_nan("1")};
	static const int64_t ints[] = {0, -1, 1, INT64_MAX, INT64_MIN, INT32_MAX, INT32_MIN,
		INT16_MAX, INT16_MIN, 1ll << 32, -(1ll << 32), 255};
	uint64_t bits = mr_rand_u64(r);
	int64_t i = style->narrow ? (int64_t)(bits % 5) - 2 : (int64_t)bits >> style->shift;
	double d = (double)i;
	float f;

	if (!style->narrow)
		d /= (double)(1 + mr_rand_below(r, 1u << 30));
	if (style->edges && mr_rand_below(r, 4) == 0) {
		i = ints[mr_rand_below(r, MR_COUNT_OF(ints))];
		d = floats[mr_rand_below(r, MR_COUNT_OF(floats))];
	}
	f = (float)d;
	if (t == MR_PHYS_F64)
		memcpy(out, &d, sizeof(d));
	else if (t == MR_PHYS_F32)
		memcpy(out, &f, sizeof(f));
	else
		memcpy(out, &i, mr_phys_bytes(t));
}

// A column of `rows` random values, misaligned by a multiple of the value's size.
static inline struct check_mem check_column(struct mr_rand *r, enum mr_phys t, uint32_t rows)
{
	size_t size = mr_phys_bytes(t);
	struct check_mem m = check_mem(rows * size, mr_rand_below(r, 64 / size) * size);
	const struct check_style style = check_style(r);

	for (uint32_t i = 0; i < rows; i++)
		check_value(r, t, &style, m.at + i * size);
	return m;
}

// A bitmap: random, nearly full, nearly empty, full or empty; garbage behind its last row.
static inline struct check_mem check_bits(struct mr_rand *r, uint32_t rows)
{
	struct check_mem m = check_mem((rows + 63) / 64 * 8, mr_rand_below(r, 8) * 8);
	uint64_t *w = (uint64_t *)m.at, style = mr_rand_below(r, 5);

	for (uint32_t i = 0; i < (rows + 63) / 64; i++) {
		uint64_t x = mr_rand_u64(r), y = mr_rand_u64(r) & mr_rand_u64(r);

		w[i] = style == 0   ? x
		       : style == 1 ? x | ~y
		       : style == 2 ? y & x
		       : style == 3 ? ~0ull
				    : 0;
	}
	return m;
}

// Rows of the four kinds: all, masked, selected, selected and masked.
struct check_rows {
	struct mr_rows rows;
	struct check_mem mask;
	struct check_mem sel;
};

static inline struct check_rows check_rows(struct mr_rand *r, uint32_t rows, int kind)
{
	struct check_rows c = {.mask = check_bits(r, rows),
		.sel = check_mem(rows * sizeof(uint32_t), mr_rand_below(r, 16) * 4)};
	uint32_t *sel = (uint32_t *)c.sel.at, n = 0;

	for (uint32_t i = 0; i < rows; i++)
		if (mr_rand_below(r, 3))
			sel[n++] = i;
	c.rows.count = kind & 2 ? n : rows;
	c.rows.sel = kind & 2 ? sel : NULL;
	c.rows.mask = kind & 1 ? (const uint64_t *)c.mask.at : NULL;
	return c;
}

static inline void check_rows_done(struct check_rows c)
{
	free(c.mask.block);
	free(c.sel.block);
}

// Whether the rows look at row `i`; `*at` walks the selection, 0 at first.
static inline bool check_rows_has(const struct mr_rows *rows, uint32_t i, uint32_t *at)
{
	if (rows->sel) {
		if (*at >= rows->count || rows->sel[*at] != i)
			return false;
		++*at;
	}
	return !rows->mask || mr_bit_get(rows->mask, i);
}

static inline int check_one(const struct check *c, const struct mr_kernels **tables, int n)
{
	static const uint32_t more[] = {
		191, 192, 193, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097};
	struct mr_rand r;

	check_at.failed = 0;
	check_at.name = c->name;
	mr_rand_init(&r, check_at.seed);
	for (int t = 0; t < n; t++)
		for (uint32_t i = 0; i <= 130 + MR_COUNT_OF(more); i++) {
			check_at.isa = tables[t]->isa;
			check_at.rows = i <= 130 ? i : more[i - 131];
			c->run(tables[t], tables[0], &r, check_at.rows);
		}
	printf("[ %s ] %s\n", check_at.failed ? "FAILED" : "      OK", c->name);
	return check_at.failed != 0;
}

// What a check's main does: runs all, prints the tables seen and cmocka's summary.
static inline int check_main(const struct check *checks, size_t count)
{
	const struct mr_kernels *tables[MR_KERN_ISAS_MAX];
	const char *seed = getenv("MR_SEED");
	struct mr_cpu cpu;
	int n, failed = 0;

	mr_cpu_detect(&cpu);
	n = mr_kernels_list(&cpu, tables);
	check_at.seed = seed ? strtoull(seed, NULL, 0) : mr_rand_seed_os();
	printf("MR_SEED=%llu, tables:", (unsigned long long)check_at.seed);
	for (int t = 0; t < n; t++)
		printf(" %s", tables[t]->isa);
	printf("\n");
	for (size_t i = 0; i < count; i++)
		failed += check_one(&checks[i], tables, n);
	printf("[  PASSED  ] %zu test(s).\n", count - (size_t)failed);
	if (failed)
		printf("[  FAILED  ] kernels: %d test(s), listed below:\n", failed);
	return failed != 0;
}
