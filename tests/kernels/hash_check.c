// Hashes, HyperLogLog registers and quantile bins of every ISA against one row at a time.
#include "host/base/hash.h"
#include "tests/kernels/check.h"

static int64_t key_of(enum mr_phys t, const void *values, uint32_t i)
{
	switch (t) {
	case MR_PHYS_U8: return ((const uint8_t *)values)[i];
	case MR_PHYS_I16: return ((const int16_t *)values)[i];
	case MR_PHYS_I32: return ((const int32_t *)values)[i];
	case MR_PHYS_I64: return ((const int64_t *)values)[i];
	case MR_PHYS_F32: return mr_fkey(((const float *)values)[i]);
	default: return mr_fkey(((const double *)values)[i]);
	}
}

static void hash_numbers_by_their_key(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int t = 0; t < MR_KERN_TYPES; t++) {
		struct check_mem v = check_column(r, t, rows);
		struct check_mem out = check_mem(rows * 8, mr_rand_below(r, 8) * 8);

		k->hash->num[t](v.at, rows, (uint64_t *)out.at);
		for (uint32_t i = 0; i < rows; i++)
			CHECK(((uint64_t *)out.at)[i] ==
				mr_hash64((uint64_t)key_of(t, v.at, i), MR_HASH_SEED));
		check_mem_done(out);
		check_mem_done(v);
	}
}

static void hash_strings_by_their_bytes(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	struct check_mem out = check_mem(rows * 8, 0);
	struct mr_str *strs = calloc(rows + 1, sizeof(*strs));
	uint8_t bytes[300];

	mr_rand_bytes(r, bytes, sizeof(bytes));
	for (uint32_t i = 0; i < rows; i++)
		strs[i] = (struct mr_str){.data = bytes + i % 16,
			.bytes = (uint32_t)mr_rand_below(r, i % 2 ? 17 : sizeof(bytes) - 16)};
	k->hash->str(strs, rows, (uint64_t *)out.at);
	for (uint32_t i = 0; i < rows; i++)
		CHECK(((uint64_t *)out.at)[i] == mr_hash_bytes(strs[i].data, strs[i].bytes));
	check_mem_done(out);
	free(strs);
}

// Index and rank of a hash, bit by bit.
static void hll_one(uint8_t *registers, uint64_t h, unsigned p)
{
	uint64_t index = h >> (64 - p);
	uint8_t rank = 1;

	for (int bit = 63 - (int)p; bit >= 0 && !(h >> bit & 1); bit--)
		rank++;
	registers[index] = MR_MAX(registers[index], rank);
}

static void hll_registers_hold_the_greatest_rank(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int kind = 0; kind < 4; kind++) {
		unsigned p = 4 + (unsigned)mr_rand_below(r, 13);
		size_t bytes = 1ull << p;
		struct check_mem v = check_column(r, MR_PHYS_I64, rows);
		struct check_mem got = check_mem(bytes, 0), merged = check_mem(bytes, 0);
		struct check_rows c = check_rows(r, rows, kind);
		uint32_t counts[64], total = 0, at = 0;
		uint8_t *want = calloc(4, bytes); // of three parts of the rows, and of all

		for (uint32_t i = 0; i < rows; i++) {
			uint64_t h = ((uint64_t *)v.at)[i] >> mr_rand_below(r, 64);

			((uint64_t *)v.at)[i] = h;
			if (!check_rows_has(&c.rows, i, &at))
				continue;
			hll_one(want + 3 * bytes, h, p);
			hll_one(want + mr_rand_below(r, 3) * bytes, h, p);
		}
		memset(got.at, 0, bytes);
		memcpy(merged.at, want, bytes);
		k->hll->update((uint64_t *)v.at, &c.rows, p, got.at);
		CHECK(memcmp(got.at, want + 3 * bytes, bytes) == 0);
		k->hll->merge(want + bytes, (uint32_t)bytes, merged.at);
		k->hll->merge(want + 2 * bytes, (uint32_t)bytes, merged.at);
		CHECK(memcmp(merged.at, got.at, bytes) == 0);
		k->hll->histogram(got.at, (uint32_t)bytes, counts);
		for (int i = 0; i < 64; i++)
			total += counts[i];
		CHECK(total == bytes && counts[63] == 0);
		check_mem_done(got);
		check_mem_done(merged);
		check_mem_done(v);
		check_rows_done(c);
		free(want);
	}
}

static void quantile_bins_drop_low_bits_of_the_key(
	const struct mr_kernels *k, const struct mr_kernels *, struct mr_rand *r, uint32_t rows)
{
	for (int t = 0; t < MR_KERN_TYPES; t++) {
		struct check_mem v = check_column(r, t, rows);
		struct check_mem out = check_mem(rows * 8, mr_rand_below(r, 8) * 8);
		unsigned shift = (unsigned)mr_rand_below(r, 64);

		k->quantile->bins[t](v.at, rows, shift, (int64_t *)out.at);
		for (uint32_t i = 0; i < rows; i++) {
			int64_t x = key_of(t, v.at, i);

			if (t <= MR_PHYS_I64)
				x = mr_fkey((double)x);
			CHECK(((int64_t *)out.at)[i] == x >> shift);
		}
		check_mem_done(out);
		check_mem_done(v);
	}
}

int main(void)
{
	static const struct check checks[] = {
		{"hash_numbers_by_their_key", hash_numbers_by_their_key},
		{"hash_strings_by_their_bytes", hash_strings_by_their_bytes},
		{"hll_registers_hold_the_greatest_rank", hll_registers_hold_the_greatest_rank},
		{"quantile_bins_drop_low_bits_of_the_key", quantile_bins_drop_low_bits_of_the_key},
	};

	return check_main(checks, MR_COUNT_OF(checks));
}
