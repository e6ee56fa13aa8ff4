// HyperLogLog [1] with an exact start and Ertl's unbiased estimator [2].
//
// A hash's first p bits choose a register, which keeps the greatest rank (1 + leading zeros) of the
// other q = 64 - p bits. 2^p registers in which most ranks are near log2(n / 2^p) tell n.
//
// The original estimator is biased below 5 * 2^p and was patched by switching to linear counting,
// then by tables of measured bias [3]; each switch leaves a bump in the error. Ertl's estimator
// corrects the two causes, registers still empty (sigma) and registers full (tau), in one formula
// over the histogram C of register values:
//
//     n = m^2 / (2 ln 2) / (m sigma(C[0]/m) + sum_{k=1..q} C[k] 2^-k + m tau(1 - C[q+1]/m) 2^-q)
//
// with no constant to tune and no bump.
//
// The exact start is not an approximation of registers but the hashes themselves, so that the
// change to registers depends only on how many distinct hashes there are: sparse if and only if at
// most 2^p / 16. A hash of 0 marks a free slot and is stored as 1: two of 2^64 values share a slot.
//
//     [1] Flajolet, Fusy, Gandouet, Meunier 2007    [2] Ertl 2017, arXiv 1702.01284, algorithm 6
//     [3] Heule, Nunkesser, Hall 2013
//
// Measured (tests/unit/hll_test.c, p = 12, 1,000 seeds): the root mean square error stays within
// 1.04 / 64 = 1.63 % from the switch at 256 values up to 10^6.
//
// Saved: u8 version 1, u8 p, u8 kind (0 sparse, 1 dense), u8 0, u32 entries (0 if dense), then the
// hashes ascending (8 bytes each) or the registers (1 byte each), then u64 XXH3 of all before.
// Little endian.
#include "kernels/hll.h"

#include "host/base/hash.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define VERSION    1
#define KIND_DENSE 1
#define SLOTS_MIN  8

static uint32_t registers_count(const struct mr_hll *h)
{
	return 1u << h->p;
}

static uint32_t entries_max(const struct mr_hll *h)
{
	return registers_count(h) / 16;
}

void mr_hll_init(struct mr_hll *h, unsigned p)
{
	MR_ASSERT(p >= MR_HLL_P_MIN && p <= MR_HLL_P_MAX);
	*h = (struct mr_hll){.p = (uint8_t)p};
}

void mr_hll_fini(struct mr_hll *h)
{
	free(h->registers);
	free(h->slots);
	mr_hll_init(h, h->p);
}

size_t mr_hll_memory(const struct mr_hll *h)
{
	return h->registers ? registers_count(h) + MR_COL_PAD : h->slots_count * sizeof(uint64_t);
}

size_t mr_hll_growth(const struct mr_hll *h)
{
	if (h->registers)
		return 0;
	if (h->entries_count == entries_max(h))
		return registers_count(h) + MR_COL_PAD;
	return h->entries_count * 2 >= h->slots_count
		       ? MR_MAX(h->slots_count * 2, SLOTS_MIN) * sizeof(uint64_t)
		       : 0;
}

// The slot that holds `hash`, or the free one where it belongs. There always is a free one.
static uint64_t *slot_of(const struct mr_hll *h, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & (h->slots_count - 1);

	while (h->slots[i] != 0 && h->slots[i] != hash)
		i = (i + 1) & (h->slots_count - 1);
	return &h->slots[i];
}

static int slots_grow(struct mr_hll *h)
{
	struct mr_hll bigger = *h;

	bigger.slots_count = MR_MAX(h->slots_count * 2, SLOTS_MIN);
	bigger.slots = calloc(bigger.slots_count, sizeof(uint64_t));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->slots_count; i++)
		if (h->slots[i])
			*slot_of(&bigger, h->slots[i]) = h->slots[i];
	free(h->slots);
	*h = bigger;
	return 0;
}

static int make_dense(struct mr_hll *h)
{
	uint8_t *registers = calloc(1, registers_count(h) + MR_COL_PAD);
	uint32_t n = 0;

	if (!registers)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->slots_count; i++)
		if (h->slots[i])
			h->slots[n++] = h->slots[i];
	mr_kern->hll->update(h->slots, &(struct mr_rows){.count = n}, h->p, registers);
	free(h->slots);
	h->slots = NULL;
	h->slots_count = 0;
	h->entries_count = 0;
	h->registers = registers;
	return 0;
}

static int add_sparse(struct mr_hll *h, uint64_t hash)
{
	int err = 0;

	hash = hash ? hash : 1;
	if (h->slots && *slot_of(h, hash))
		return 0;
	if (h->entries_count == entries_max(h)) {
		err = make_dense(h);
		return err < 0 ? err : mr_hll_add(h, hash);
	}
	if (h->entries_count * 2 >= h->slots_count)
		err = slots_grow(h);
	if (err < 0)
		return err;
	*slot_of(h, hash) = hash;
	h->entries_count++;
	return 0;
}

int mr_hll_add(struct mr_hll *h, uint64_t hash)
{
	if (!h->registers)
		return add_sparse(h, hash);
	hash = hash ? hash : 1;
	mr_kern->hll->update(&hash, &(struct mr_rows){.count = 1}, h->p, h->registers);
	return 0;
}

// While sparse one by one; once dense, the kernel takes all (those added already change nothing).
int mr_hll_update(struct mr_hll *h, const uint64_t *hashes, const struct mr_rows *rows)
{
	for (uint32_t k = 0; k < rows->count && !h->registers; k++) {
		uint32_t i = rows->sel ? rows->sel[k] : k;
		int err;

		if (rows->mask && !mr_bit_get(rows->mask, i))
			continue;
		err = add_sparse(h, hashes[i]);
		if (err < 0)
			return err;
	}
	if (h->registers)
		mr_kern->hll->update(hashes, rows, h->p, h->registers);
	return 0;
}

int mr_hll_merge(struct mr_hll *h, const struct mr_hll *other)
{
	MR_ASSERT(h->p == other->p);
	if (other->registers) {
		if (!h->registers) {
			int err = make_dense(h);

			if (err < 0)
				return err;
		}
		mr_kern->hll->merge(other->registers, registers_count(h), h->registers);
		return 0;
	}
	for (uint32_t i = 0; i < other->slots_count; i++) {
		int err = other->slots[i] ? mr_hll_add(h, other->slots[i]) : 0;

		if (err < 0)
			return err;
	}
	return 0;
}

// x + sum_{k>=1} x^(2^k) 2^(k-1), to the last bit that changes. sigma(1) is infinite.
static double sigma(double x)
{
	double y = 1, z = x, before;

	if (x == 1)
		return INFINITY;
	do {
		x *= x;
		before = z;
		z += x * y;
		y += y;
	} while (z != before);
	return z;
}

// (1 - x - sum_{k>=1} (1 - x^(2^-k))^2 2^-k) / 3.
static double tau(double x)
{
	double y = 1, z = 1 - x, before;

	if (x == 0 || x == 1)
		return 0;
	do {
		x = sqrt(x);
		before = z;
		y *= 0.5;
		z -= (1 - x) * (1 - x) * y;
	} while (z != before);
	return z / 3;
}

double mr_hll_estimate(const struct mr_hll *h)
{
	uint32_t counts[64];
	double m = registers_count(h), z;
	int q = 64 - h->p;

	if (!h->registers)
		return h->entries_count;
	mr_kern->hll->histogram(h->registers, registers_count(h), counts);
	z = m * tau(1 - counts[q + 1] / m);
	for (int k = q; k >= 1; k--)
		z = 0.5 * (z + counts[k]);
	z += m * sigma(counts[0] / m);
	return m * m / (2 * M_LN2) / z;
}

// --- saving --------------------------------------------------------------------------------------

size_t mr_hll_save_bytes(const struct mr_hll *h)
{
	return 16 + (h->registers ? registers_count(h) : h->entries_count * sizeof(uint64_t));
}

static int hash_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void mr_hll_save(const struct mr_hll *h, uint8_t *out)
{
	size_t bytes = mr_hll_save_bytes(h);
	struct mr_writer w = mr_writer(out, bytes);
	uint64_t sorted[(1u << MR_HLL_P_MAX) / 16];
	uint32_t n = 0;

	mr_write_u8(&w, VERSION);
	mr_write_u8(&w, h->p);
	mr_write_u8(&w, h->registers ? KIND_DENSE : 0);
	mr_write_u8(&w, 0);
	mr_write_le32(&w, h->entries_count);
	if (h->registers) {
		mr_write_bytes(&w, h->registers, registers_count(h));
	} else {
		for (uint32_t i = 0; i < h->slots_count; i++)
			if (h->slots[i])
				sorted[n++] = h->slots[i];
		qsort(sorted, n, sizeof(sorted[0]), hash_order);
		mr_write_bytes(&w, sorted, n * sizeof(sorted[0]));
	}
	mr_write_le64(&w, mr_checksum(out, w.at));
	MR_ASSERT(!w.bad && w.at == bytes);
}

// Hashes must ascend, be none of them 0, and be few enough.
static int load_sparse(struct mr_hll *h, struct mr_reader *r, uint32_t entries)
{
	uint64_t before = 0;

	if (entries > entries_max(h))
		return MR_ERR_CORRUPT;
	for (uint32_t i = 0; i < entries; i++) {
		uint64_t hash = mr_read_le64(r);
		int err;

		if (r->bad || hash <= before)
			return MR_ERR_CORRUPT;
		err = add_sparse(h, hash);
		if (err < 0)
			return err;
		before = hash;
	}
	return 0;
}

// Ranks end at 65 - p, and a dense state has seen something.
static int load_dense(struct mr_hll *h, struct mr_reader *r)
{
	const uint8_t *saved = mr_read_bytes(r, registers_count(h));
	uint8_t most = 0;

	if (!saved)
		return MR_ERR_CORRUPT;
	for (uint32_t i = 0; i < registers_count(h); i++)
		most = MR_MAX(most, saved[i]);
	if (most == 0 || most > 65 - h->p)
		return MR_ERR_CORRUPT;
	h->registers = calloc(1, registers_count(h) + MR_COL_PAD);
	if (!h->registers)
		return -ENOMEM;
	memcpy(h->registers, saved, registers_count(h));
	return 0;
}

int mr_hll_load(struct mr_hll *h, struct mr_span bytes)
{
	struct mr_reader r = mr_reader(bytes);
	uint8_t version = mr_read_u8(&r), p = mr_read_u8(&r), kind = mr_read_u8(&r);
	uint8_t zero = mr_read_u8(&r);
	uint32_t entries = mr_read_le32(&r);
	int err;

	*h = (struct mr_hll){.p = MR_HLL_P_MIN};
	if (bytes.bytes < 16 || mr_load_le64(bytes.data + bytes.bytes - 8) !=
					mr_checksum(bytes.data, bytes.bytes - 8))
		return MR_ERR_CORRUPT;
	if (version != VERSION)
		return MR_ERR_VERSION;
	if (p < MR_HLL_P_MIN || p > MR_HLL_P_MAX || kind > KIND_DENSE || zero != 0 ||
		(kind == KIND_DENSE && entries != 0))
		return MR_ERR_CORRUPT;
	mr_hll_init(h, p);
	err = kind == KIND_DENSE ? load_dense(h, &r) : load_sparse(h, &r, entries);
	if (err == 0 && mr_read_left(&r) != 8)
		err = MR_ERR_CORRUPT;
	if (err < 0)
		mr_hll_fini(h);
	return err;
}
