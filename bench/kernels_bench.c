// Kernels, each family and ISA: ns per row, GB/s of column bytes read, spread, and a hash of the
// result, which must be the same for every ISA.
//
// Method: 65,536 rows (a chunk; 512 KiB of 8-byte values, so L2), seeded; the ISAs of one kernel
// take turns, 15 rounds, each round repeated until it lasts 1 ms; the median round is printed, and
// as spread half the distance between the quarter and three-quarter rounds. `--smoke` runs 1,000
// rows once. A name as argument runs the kernels whose name contains it.
#include "host/base/hash.h"
#include "host/base/rand.h"
#include "hw/cpu.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 65536, ROUNDS = 15 };

static struct data {
	uint32_t rows;
	int64_t *i64;
	double *f64;
	int32_t *i32;
	uint32_t *codes;
	uint32_t *groups;
	uint64_t *mask; // nine rows of ten
	uint64_t *half; // one row of two
	uint64_t *hashes;
	uint8_t *json;
	uint8_t *out; // results; hashed
	size_t out_bytes;
} d;

static void *room(size_t bytes)
{
	void *p = aligned_alloc(64, mr_round_up(bytes + 128, 64));

	MR_ASSERT(p);
	memset(p, 0, mr_round_up(bytes + 128, 64));
	return p;
}

static void fill(uint32_t rows, uint64_t seed)
{
	static const char record[] = "{\"order_id\": 123456, \"category\": \"books\", "
				     "\"amount\": 12.34, \"note\": \"say \\\"hi\\\"\"}\n";
	struct mr_rand r;

	mr_rand_init(&r, seed);
	d.rows = rows;
	d.i64 = room(rows * 8);
	d.f64 = room(rows * 8);
	d.i32 = room(rows * 4);
	d.codes = room(rows * 4);
	d.groups = room(rows * 4);
	d.mask = room(rows / 8 + 8);
	d.half = room(rows / 8 + 8);
	d.hashes = room(rows * 8);
	d.json = room(rows);
	d.out = room(rows * 16);
	for (uint32_t i = 0; i < rows; i++) {
		d.i64[i] = (int64_t)mr_rand_u64(&r);
		d.f64[i] = mr_rand_unit(&r) * 100;
		d.i32[i] = (int32_t)mr_rand_below(&r, 100000);
		d.codes[i] = (uint32_t)mr_rand_below(&r, 1000);
		d.groups[i] = (uint32_t)mr_rand_below(&r, 20);
		d.hashes[i] = mr_hash64(mr_rand_u64(&r), MR_HASH_SEED);
		d.json[i] = (uint8_t)record[i % (sizeof(record) - 1)];
		if (mr_rand_below(&r, 10))
			mr_bit_set(d.mask, i);
		if (mr_rand_below(&r, 2))
			mr_bit_set(d.half, i);
	}
}

// --- what is measured: each writes its result to d.out -------------------------------------------

static void bits_written(void)
{
	d.out_bytes = (d.rows + 63) / 64 * 8;
}

static void filter_i64(const struct mr_kernels *k)
{
	const int64_t c = 0;

	k->filter->cmp_const[MR_PHYS_I64](d.i64, d.rows, MR_CMP_GT, &c, (uint64_t *)d.out);
	bits_written();
}

static void filter_i32(const struct mr_kernels *k)
{
	const int32_t c = 50000;

	k->filter->cmp_const[MR_PHYS_I32](d.i32, d.rows, MR_CMP_LT, &c, (uint64_t *)d.out);
	bits_written();
}

static void filter_f64(const struct mr_kernels *k)
{
	const double c = 50;

	k->filter->cmp_const[MR_PHYS_F64](d.f64, d.rows, MR_CMP_GT, &c, (uint64_t *)d.out);
	bits_written();
}

static void filter_codes(const struct mr_kernels *k)
{
	k->filter->codes(d.codes, d.rows, d.half, (uint64_t *)d.out);
	bits_written();
}

static void bits_to_sel(const struct mr_kernels *k)
{
	d.out_bytes = 4 * k->filter->bits_to_sel(d.half, d.rows, (uint32_t *)d.out);
}

static const struct mr_rows *all(void)
{
	static struct mr_rows rows;

	rows = (struct mr_rows){.count = d.rows};
	return &rows;
}

static const struct mr_rows *masked(void)
{
	static struct mr_rows rows;

	rows = (struct mr_rows){.count = d.rows, .mask = d.mask};
	return &rows;
}

#define STATE(type, ...)                 \
	type *s = (type *)(void *)d.out; \
                                         \
	*s = (type)__VA_ARGS__;          \
	d.out_bytes = sizeof(*s);

static void sum_i64(const struct mr_kernels *k)
{
	STATE(struct mr_isum, {0})
	k->agg->sum_int[MR_PHYS_I64](d.i64, all(), s);
}

static void sum_i64_mask(const struct mr_kernels *k)
{
	STATE(struct mr_isum, {0})
	k->agg->sum_int[MR_PHYS_I64](d.i64, masked(), s);
}

static void sum_i32(const struct mr_kernels *k)
{
	STATE(struct mr_isum, {0})
	k->agg->sum_int[MR_PHYS_I32](d.i32, all(), s);
}

static void sum_f64(const struct mr_kernels *k)
{
	STATE(struct mr_fsum, {0})
	k->agg->sum_f64(d.f64, all(), s);
}

static void sum_f64_mask(const struct mr_kernels *k)
{
	STATE(struct mr_fsum, {0})
	k->agg->sum_f64(d.f64, masked(), s);
}

static void minmax_i64(const struct mr_kernels *k)
{
	STATE(struct mr_minmax, {INT64_MAX, INT64_MIN, 0})
	k->agg->minmax[MR_PHYS_I64](d.i64, all(), s);
}

static void minmax_f64(const struct mr_kernels *k)
{
	STATE(struct mr_minmax, {INT64_MAX, INT64_MIN, 0})
	k->agg->minmax[MR_PHYS_F64](d.f64, all(), s);
}

static void minmax_f64_mask(const struct mr_kernels *k)
{
	STATE(struct mr_minmax, {INT64_MAX, INT64_MIN, 0})
	k->agg->minmax[MR_PHYS_F64](d.f64, masked(), s);
}

static void hash_i64(const struct mr_kernels *k)
{
	k->hash->num[MR_PHYS_I64](d.i64, d.rows, (uint64_t *)d.out);
	d.out_bytes = d.rows * 8;
}

static void group20_count(const struct mr_kernels *k)
{
	memset(d.out, 0, d.out_bytes = 20 * 8);
	k->group->count(d.groups, 20, all(), (uint64_t *)d.out);
}

static void group20_sum_i64(const struct mr_kernels *k)
{
	memset(d.out, 0, d.out_bytes = 20 * sizeof(struct mr_isum));
	k->group->sum_int[MR_PHYS_I64](d.i64, d.groups, 20, all(), (struct mr_isum *)d.out);
}

static void group20_sum_i32(const struct mr_kernels *k)
{
	memset(d.out, 0, d.out_bytes = 20 * sizeof(struct mr_isum));
	k->group->sum_int[MR_PHYS_I32](d.i32, d.groups, 20, all(), (struct mr_isum *)d.out);
}

// 64-bit columns whose values are far from the ends, as most are.
static void group20_sum_i64_small(const struct mr_kernels *k)
{
	static int64_t *small;

	if (!small) {
		small = room(d.rows * 8);
		for (uint32_t i = 0; i < d.rows; i++)
			small[i] = d.i64[i] >> 32;
	}
	memset(d.out, 0, d.out_bytes = 20 * sizeof(struct mr_isum));
	k->group->sum_int[MR_PHYS_I64](small, d.groups, 20, all(), (struct mr_isum *)d.out);
}

static void group1000_sum_i64(const struct mr_kernels *k)
{
	memset(d.out, 0, d.out_bytes = 1000 * sizeof(struct mr_isum));
	k->group->sum_int[MR_PHYS_I64](d.i64, d.codes, 1000, all(), (struct mr_isum *)d.out);
}

static void hll_update(const struct mr_kernels *k)
{
	memset(d.out, 0, d.out_bytes = 4096);
	k->hll->update(d.hashes, all(), 12, d.out);
}

// The same hashes once more change nothing: an old sketch.
static void hll_old(const struct mr_kernels *k)
{
	d.out_bytes = 4096;
	if (d.out[4096] != 0xa5) {
		memset(d.out, 0, 4096);
		for (int i = 0; i < 2; i++)
			k->hll->update(d.hashes, all(), 12, d.out);
		d.out[4096] = 0xa5;
	}
	k->hll->update(d.hashes, all(), 12, d.out);
}

static void hll_merge(const struct mr_kernels *k)
{
	uint32_t n = MR_MIN(d.rows, 4096);

	memset(d.out, 0, d.out_bytes = n);
	for (uint32_t i = 0; i + n <= d.rows; i += n)
		k->hll->merge((uint8_t *)d.json + i, n, d.out);
}

static void quantile_bins(const struct mr_kernels *k)
{
	k->quantile->bins[MR_PHYS_F64](d.f64, d.rows, 45, (int64_t *)d.out);
	d.out_bytes = d.rows * 8;
}

static void crc32c(const struct mr_kernels *k)
{
	uint32_t crc = k->crc->update(0, d.json, d.rows);

	memcpy(d.out, &crc, d.out_bytes = sizeof(crc));
}

static void crc32c_copy(const struct mr_kernels *k)
{
	uint32_t crc = k->crc->copy(0, d.out + 64, d.json, d.rows);

	memcpy(d.out, &crc, d.out_bytes = sizeof(crc));
}

// `bytes` of column read per row.
static const struct bench {
	const char *name;
	double bytes;
	void (*run)(const struct mr_kernels *k);
} benches[] = {
	{"filter i64 > c", 8, filter_i64},
	{"filter i32 < c", 4, filter_i32},
	{"filter f64 > c", 8, filter_f64},
	{"filter codes", 4, filter_codes},
	{"bits to selection", 0.125, bits_to_sel},
	{"sum i64", 8, sum_i64},
	{"sum i64 masked", 8, sum_i64_mask},
	{"sum i32", 4, sum_i32},
	{"sum f64", 8, sum_f64},
	{"sum f64 masked", 8, sum_f64_mask},
	{"minmax i64", 8, minmax_i64},
	{"minmax f64", 8, minmax_f64},
	{"minmax f64 masked", 8, minmax_f64_mask},
	{"hash i64", 8, hash_i64},
	{"group 20 count", 4, group20_count},
	{"group 20 sum i32", 8, group20_sum_i32},
	{"group 20 sum i64", 12, group20_sum_i64_small},
	{"group 20 sum i64 big", 12, group20_sum_i64},
	{"group 1000 sum i64", 12, group1000_sum_i64},
	{"hll p=12, new", 8, hll_update},
	{"hll p=12, old", 8, hll_old},
	{"hll merge p=12", 1, hll_merge},
	{"quantile bins f64", 8, quantile_bins},
	{"crc32c", 1, crc32c},
	{"crc32c copy", 1, crc32c_copy},
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// Nanoseconds per row of one round.
static double round_ns(const struct bench *b, const struct mr_kernels *k, double least_ns)
{
	double begin = now_ns(), spent;
	uint64_t times = 0;

	do {
		b->run(k);
		times++;
		spent = now_ns() - begin;
	} while (spent < least_ns);
	return spent / (double)times / d.rows;
}

static int double_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// Prints a line per ISA. 0, or 1 when the results differ.
static int measure(const struct bench *b, const struct mr_kernels **tables, int n, bool smoke)
{
	int rounds = smoke ? 1 : ROUNDS;
	double ns[MR_KERN_ISAS_MAX][ROUNDS];
	uint64_t first = 0;
	int bad = 0;

	for (int r = 0; r < rounds; r++)
		for (int t = 0; t < n; t++)
			ns[t][r] = round_ns(b, tables[t], smoke ? 0 : 1e6);
	for (int t = 0; t < n; t++) {
		uint64_t hash;
		double median;

		b->run(tables[t]);
		hash = mr_checksum(d.out, d.out_bytes);
		first = t ? first : hash;
		bad |= hash != first;
		qsort(ns[t], (size_t)rounds, sizeof(double), double_order);
		median = ns[t][rounds / 2];
		printf("%-20s %-7s %9.4f ns/row %8.2f GB/s  +-%5.1f %%  %016llx\n", b->name,
			tables[t]->isa, median, b->bytes / median,
			(ns[t][rounds * 3 / 4] - ns[t][rounds / 4]) / median * 50,
			(unsigned long long)hash);
	}
	return bad;
}

int main(int argc, char **argv)
{
	const struct mr_kernels *tables[MR_KERN_ISAS_MAX];
	bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
	const char *only = argc > 1 && !smoke ? argv[1] : "";
	struct mr_cpu cpu;
	int n, bad = 0;

	mr_cpu_detect(&cpu);
	n = mr_kernels_list(&cpu, tables);
	fill(smoke ? 1000 : ROWS, 1);
	for (size_t i = 0; i < MR_COUNT_OF(benches); i++)
		if (strstr(benches[i].name, only))
			bad |= measure(&benches[i], tables, n, smoke);
	if (bad)
		printf("results differ between ISAs\n");
	return bad;
}
