// HyperLogLog registers from hashes (the sketch is kernels/hll.c).
//
// 8 B of hash read a row and one register. A register rarely grows, so with AVX-512 eight are
// gathered and compared and only the winners are stored, one by one: two rows of a vector that hit
// the same register need no conflict detection, for a maximum may be taken in any order and twice.
#include "kernels/rows.h"
#include "kernels/simd.h"

V_OP uint32_t hll_index(uint64_t hash, unsigned p)
{
	return (uint32_t)(hash >> (64 - p));
}

// 1 + leading zeros of the bits behind the index; the sentinel ends them at 64 - p.
V_OP uint8_t hll_rank(uint64_t hash, unsigned p)
{
	return (uint8_t)(__builtin_clzll(hash << p | 1ull << (p - 1)) + 1);
}

V_OP void hll_add(uint8_t *registers, uint64_t hash, unsigned p)
{
	uint8_t *r = registers + hll_index(hash, p), rank = hll_rank(hash, p);

	*r = *r < rank ? rank : *r;
}

#if defined(MR_ISA_IS_v4)

// A young sketch's registers still grow with many rows, and then one by one is faster: after a
// block with more winners than this, seven go that way. Measured crossover, Sapphire Rapids: one in
// eight.
#define BLOCK    256
#define WINS_MAX 32

// Eight dense rows; returns how many won. Bounded by the gather (about 10 cycles per 8).
V_OP uint32_t hll_add8(uint8_t *registers, const uint64_t *hashes, unsigned p)
{
	__m512i h = _mm512_loadu_si512(hashes);
	__m512i index = _mm512_srlv_epi64(h, _mm512_set1_epi64(64 - p));
	__m512i rest = _mm512_or_si512(_mm512_sllv_epi64(h, _mm512_set1_epi64(p)),
		_mm512_set1_epi64((long long)(1ull << (p - 1))));
	__m256i rank = _mm256_add_epi32(
		_mm512_cvtepi64_epi32(_mm512_lzcnt_epi64(rest)), _mm256_set1_epi32(1));
	__m256i have = _mm256_and_si256(
		_mm512_i64gather_epi32(index, registers, 1), _mm256_set1_epi32(0xff));
	__mmask8 wins = _mm256_cmpgt_epi32_mask(rank, have);

	for (uint32_t m = wins; m; m &= m - 1)
		hll_add(registers, hashes[__builtin_ctz(m)], p);
	return (uint32_t)__builtin_popcount(wins);
}

static void hll_update(
	const uint64_t *hashes, const struct mr_rows *rows, unsigned p, uint8_t *registers)
{
	uint32_t i = 0;

	if (!mr_rows_all(rows)) {
		MR_ROWS_EACH(rows, k, hll_add(registers, hashes[k], p));
		return;
	}
	while (i + BLOCK <= rows->count) {
		uint32_t wins = 0;

		for (uint32_t k = 0; k < BLOCK; k += 8)
			wins += hll_add8(registers, hashes + i + k, p);
		i += BLOCK;
		for (uint32_t end = i + 7 * BLOCK; wins > WINS_MAX && i < MR_MIN(end, rows->count);
			i++)
			hll_add(registers, hashes[i], p);
	}
	for (; i < rows->count; i++)
		hll_add(registers, hashes[i], p);
}

#else

static void hll_update(
	const uint64_t *hashes, const struct mr_rows *rows, unsigned p, uint8_t *registers)
{
	MR_ROWS_EACH(rows, i, hll_add(registers, hashes[i], p));
}

#endif

// 2 B read and 1 written a register; the compiler vectorises the maximum.
static void hll_merge(const uint8_t *other, uint32_t registers, uint8_t *restrict io)
{
	for (uint32_t i = 0; i < registers; i++)
		io[i] = io[i] < other[i] ? other[i] : io[i];
}

// Four counts, so that equal neighbours do not wait for each other.
static void hll_histogram(const uint8_t *registers, uint32_t registers_count, uint32_t counts[64])
{
	uint32_t part[4][64];

	memset(part, 0, sizeof(part));
	for (uint32_t i = 0; i < registers_count; i++)
		part[i % 4][registers[i] & 63]++;
	for (uint32_t r = 0; r < 64; r++)
		counts[r] = part[0][r] + part[1][r] + part[2][r] + part[3][r];
}

const struct mr_hll_kernels MR_ISA_NAME(mr_kernels_hll) = {
	.update = hll_update,
	.merge = hll_merge,
	.histogram = hll_histogram,
};
