// Filters: comparisons of columns into bitmaps, logic on bitmaps, bitmaps into selections.
//
// All comparisons come down to two vector operations, greater and equal, for whole blocks of 64
// rows that give one word of the bitmap: a < b is b > a, a <= b is not a > b. So one block function
// per type serves six operators, constants and columns.
//
// Bytes per row: read the value's size (twice for two columns), write 1/8. Bounded by loads: at
// 64 bytes per cycle one comparison of 16 lanes costs less than fetching them.
#include "kernels/kernels.h"
#include "kernels/simd.h"

// A side of a comparison: a column, or a constant repeated.
struct side {
	const uint8_t *at;
	bool constant;
};

// One block of `rows` <= 64 rows: `op` on vectors, the last one may reach into the padding.
#define BLOCK(name, bits, op)                                                                    \
	V_OP uint64_t name(struct side a, struct side b, uint32_t row, uint32_t rows)            \
	{                                                                                        \
		const uint32_t size = bits / 8;                                                  \
		uint64_t out = 0;                                                                \
                                                                                                 \
		for (uint32_t k = 0; k < rows; k += V_LANES(bits)) {                             \
			const uint8_t *pa = a.constant ? a.at : a.at + (size_t)(row + k) * size; \
			const uint8_t *pb = b.constant ? b.at : b.at + (size_t)(row + k) * size; \
			v_t va = a.constant ? spread##bits(pa) : v_ld##bits(pa);                 \
			v_t vb = b.constant ? spread##bits(pb) : v_ld##bits(pb);                 \
                                                                                                 \
			out |= op(va, vb) << k;                                                  \
		}                                                                                \
		return out;                                                                      \
	}

V_OP v_t spread8(const void *p)
{
	return v_set8(*(const uint8_t *)p);
}

V_OP v_t spread16(const void *p)
{
	return v_set16(*(const uint16_t *)p);
}

V_OP v_t spread32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v_set32(v);
}

V_OP v_t spread64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v_set64(v);
}

BLOCK(gt_u8, 8, v_gt_u8)
BLOCK(gt_i16, 16, v_gt_i16)
BLOCK(gt_i32, 32, v_gt_i32)
BLOCK(gt_i64, 64, v_gt_i64)
BLOCK(gt_f32, 32, v_gt_f32)
BLOCK(gt_f64, 64, v_gt_f64)
BLOCK(eq_u8, 8, v_eq_8)
BLOCK(eq_i16, 16, v_eq_16)
BLOCK(eq_i32, 32, v_eq_32)
BLOCK(eq_i64, 64, v_eq_64)
BLOCK(eq_f32, 32, v_eq_f32)
BLOCK(eq_f64, 64, v_eq_f64)

V_OP uint64_t low_bits(uint32_t n)
{
	return n < 64 ? (1ull << n) - 1 : ~0ull;
}

// Runs `expr` for each block; full blocks see the literal 64, so their loops unroll.
#define EACH_BLOCK(expr)                                       \
	do {                                                   \
		uint32_t row = 0;                              \
                                                               \
		for (; row + 64 <= rows; row += 64) {          \
			const uint32_t left = 64;              \
			out[row / 64] = (expr);                \
		}                                              \
		if (row < rows) {                              \
			const uint32_t left = rows - row;      \
			out[row / 64] = (expr)&low_bits(left); \
		}                                              \
	} while (0)

// The kernels of one type. `flip` inverts: NE of EQ, LE of GT, GE of LT.
#define FILTER(t)                                                                                  \
	V_OP void cmp_##t(struct side a, struct side b, uint32_t rows, enum mr_cmp op,             \
		uint64_t *restrict out)                                                            \
	{                                                                                          \
		uint64_t flip = op == MR_CMP_NE || op == MR_CMP_LE || op == MR_CMP_GE ? ~0ull : 0; \
                                                                                                   \
		if (op == MR_CMP_EQ || op == MR_CMP_NE)                                            \
			EACH_BLOCK(eq_##t(a, b, row, left) ^ flip);                                \
		else if (op == MR_CMP_GT || op == MR_CMP_LE)                                       \
			EACH_BLOCK(gt_##t(a, b, row, left) ^ flip);                                \
		else                                                                               \
			EACH_BLOCK(gt_##t(b, a, row, left) ^ flip);                                \
	}                                                                                          \
                                                                                                   \
	static void cmp_const_##t(const void *values, uint32_t rows, enum mr_cmp op,               \
		const void *constant, uint64_t *restrict out)                                      \
	{                                                                                          \
		cmp_##t((struct side){values, false}, (struct side){constant, true}, rows, op,     \
			out);                                                                      \
	}                                                                                          \
                                                                                                   \
	static void cmp_cols_##t(const void *a, const void *b, uint32_t rows, enum mr_cmp op,      \
		uint64_t *restrict out)                                                            \
	{                                                                                          \
		cmp_##t((struct side){a, false}, (struct side){b, false}, rows, op, out);          \
	}

FILTER(u8)
FILTER(i16)
FILTER(i32)
FILTER(i64)
FILTER(f32)
FILTER(f64)

// Bit k of the result: codes[k] is in the set. Bounded by the gather (4 B read a row, a random read
// of the set, 1/8 B written).
#if defined(MR_ISA_IS_v4)
V_OP uint64_t block_codes(const uint32_t *codes, const uint64_t *set, uint32_t rows)
{
	uint64_t out = 0;

	for (uint32_t k = 0; k < rows; k += 16) {
		__mmask16 m = rows - k < 16 ? (__mmask16)low_bits(rows - k) : 0xffff;
		v_t c = _mm512_maskz_loadu_epi32(m, codes + k);
		v_t word = _mm512_i32gather_epi32(_mm512_srli_epi32(c, 5), (const int *)set, 4);
		v_t bit = _mm512_sllv_epi32(
			_mm512_set1_epi32(1), _mm512_and_si512(c, _mm512_set1_epi32(31)));

		out |= (uint64_t)_mm512_mask_test_epi32_mask(m, word, bit) << k;
	}
	return out;
}
#elif defined(MR_ISA_IS_v3)
// Shifts the code's bit up to the sign, which is what MOVMSKPS takes.
V_OP uint64_t block_codes(const uint32_t *codes, const uint64_t *set, uint32_t rows)
{
	const __m256i low5 = _mm256_set1_epi32(31);
	uint64_t out = 0;
	uint32_t k = 0;

	for (; k + 8 <= rows; k += 8) {
		v_t c = v_ld32(codes + k);
		v_t word = _mm256_i32gather_epi32((const int *)set, _mm256_srli_epi32(c, 5), 4);

		out |= v_bits32(_mm256_sllv_epi32(word, _mm256_andnot_si256(c, low5))) << k;
	}
	for (; k < rows; k++)
		out |= (set[codes[k] / 64] >> (codes[k] % 64) & 1) << k;
	return out;
}
#else
V_OP uint64_t block_codes(const uint32_t *codes, const uint64_t *set, uint32_t rows)
{
	uint64_t out = 0;

	for (uint32_t k = 0; k < rows; k++)
		out |= (set[codes[k] / 64] >> (codes[k] % 64) & 1) << k;
	return out;
}
#endif

static void filter_codes(
	const uint32_t *codes, uint32_t rows, const uint64_t *set, uint64_t *restrict out)
{
	EACH_BLOCK(block_codes(codes + row, set, left));
}

// Bitmap logic: 1/4 B read, 1/8 B written a row; the compiler vectorises these.
#define BITS(name, expr)                                                                     \
	static void name(const uint64_t *a, const uint64_t *b, uint32_t rows, uint64_t *out) \
	{                                                                                    \
		uint32_t words = (rows + 63) / 64;                                           \
                                                                                             \
		for (uint32_t w = 0; w < words; w++)                                         \
			out[w] = (expr);                                                     \
		if (rows % 64)                                                               \
			out[words - 1] &= low_bits(rows % 64);                               \
	}

BITS(bits_and, a[w] & b[w])
BITS(bits_or, a[w] | b[w])
BITS(bits_nor, ~(a[w] | b[w]))

static void bits_not(const uint64_t *a, uint32_t rows, uint64_t *out)
{
	bits_nor(a, a, rows, out);
}

// 1/8 B read a row, 4 B written a selected row; bounded by the compress (2 uops per 16 lanes).
static uint32_t bits_to_sel(const uint64_t *bits, uint32_t rows, uint32_t *restrict sel)
{
	uint32_t n = 0;

	for (uint32_t row = 0; row < rows; row += 64)
		n += v_compress_indexes(bits[row / 64] & low_bits(rows - row), row, sel + n);
	return n;
}

const struct mr_filter_kernels MR_ISA_NAME(mr_kernels_filter) = {
	.cmp_const = {cmp_const_u8, cmp_const_i16, cmp_const_i32, cmp_const_i64, cmp_const_f32,
		cmp_const_f64},
	.cmp_cols = {cmp_cols_u8, cmp_cols_i16, cmp_cols_i32, cmp_cols_i64, cmp_cols_f32,
		cmp_cols_f64},
	.codes = filter_codes,
	.bits_and = bits_and,
	.bits_or = bits_or,
	.bits_not = bits_not,
	.bits_to_sel = bits_to_sel,
};
