// Named vector operations for the kernels, and the only file that includes SIMDe or intrinsics.
//
// One vector type `v_t` and one block per width: 64 bytes (v4 natively; emu through SIMDe on any
// x86-64), 32 bytes (v3), 16 bytes (neon), one element (scalar). A kernel written with these ops
// reads the same for all. Most kernels need none of them: a plain loop that the compiler vectorises
// is better. What gcc 12 does not vectorise (comparison into a bitmap, compaction) is
// written here once.
//
// All comparisons give a bit per lane, lane 0 lowest. Loads need no alignment. Floats order as
// PostgreSQL's (NaN greatest and equal to itself), so kernels need not think of it.
#pragma once

#include "host/base/def.h"

#include <string.h>

#define V_OP static inline __attribute__((always_inline))

// The suffix of a family's table. MR_ISA is the only name glued by the preprocessor.
#define MR_ISA_GLUE2(name, isa) name##_##isa
#define MR_ISA_GLUE(name, isa)  MR_ISA_GLUE2(name, isa)
#define MR_ISA_NAME(name)       MR_ISA_GLUE(name, MR_ISA)

#if defined(MR_ISA_IS_emu)
#define SIMDE_ENABLE_NATIVE_ALIASES
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#include <simde/x86/avx512.h>
#pragma GCC diagnostic pop
#elif defined(MR_ISA_IS_v3) || defined(MR_ISA_IS_v4)
#include <immintrin.h>
#elif defined(MR_ISA_IS_neon)
#include <arm_acle.h>
#include <arm_neon.h>
#endif

#if defined(MR_ISA_IS_v4) || defined(MR_ISA_IS_emu)

#define V_BYTES       64
#define V_LANES(bits) (512 / (bits))

typedef __m512i v_t;

V_OP v_t v_ld8(const void *p)
{
	return _mm512_loadu_si512(p);
}

#define v_ld16 v_ld8
#define v_ld32 v_ld8
#define v_ld64 v_ld8

V_OP v_t v_set8(uint8_t x)
{
	return _mm512_set1_epi8((char)x);
}

V_OP v_t v_set16(uint16_t x)
{
	return _mm512_set1_epi16((short)x);
}

V_OP v_t v_set32(uint32_t x)
{
	return _mm512_set1_epi32((int)x);
}

V_OP v_t v_set64(uint64_t x)
{
	return _mm512_set1_epi64((long long)x);
}

V_OP uint64_t v_gt_u8(v_t a, v_t b)
{
	return _mm512_cmpgt_epu8_mask(a, b);
}

V_OP uint64_t v_gt_i16(v_t a, v_t b)
{
	return (uint32_t)~_mm512_cmple_epi16_mask(a, b);
}

V_OP uint64_t v_gt_i32(v_t a, v_t b)
{
	return _mm512_cmpgt_epi32_mask(a, b);
}

V_OP uint64_t v_gt_i64(v_t a, v_t b)
{
	return _mm512_cmpgt_epi64_mask(a, b);
}

V_OP uint64_t v_eq_8(v_t a, v_t b)
{
	return _mm512_cmpeq_epi8_mask(a, b);
}

// SIMDe 0.7.4 has no 16-bit comparison but "less or equal".
V_OP uint64_t v_eq_16(v_t a, v_t b)
{
#if defined(MR_ISA_IS_v4)
	return _mm512_cmpeq_epi16_mask(a, b);
#else
	return _mm512_cmple_epi16_mask(a, b) & _mm512_cmple_epi16_mask(b, a);
#endif
}

V_OP uint64_t v_eq_32(v_t a, v_t b)
{
	return _mm512_cmpeq_epi32_mask(a, b);
}

V_OP uint64_t v_eq_64(v_t a, v_t b)
{
	return _mm512_cmpeq_epi64_mask(a, b);
}

// "Not less or equal, or unordered" is true where either is NaN; then b must not be NaN.
V_OP uint64_t v_gt_f32(v_t a, v_t b)
{
	__m512 x = _mm512_castsi512_ps(a), y = _mm512_castsi512_ps(b);

	return (uint64_t)(_mm512_cmp_ps_mask(x, y, _CMP_NLE_UQ) &
			  _mm512_cmp_ps_mask(y, y, _CMP_ORD_Q));
}

V_OP uint64_t v_gt_f64(v_t a, v_t b)
{
	__m512d x = _mm512_castsi512_pd(a), y = _mm512_castsi512_pd(b);

	return (uint64_t)(_mm512_cmp_pd_mask(x, y, _CMP_NLE_UQ) &
			  _mm512_cmp_pd_mask(y, y, _CMP_ORD_Q));
}

V_OP uint64_t v_eq_f32(v_t a, v_t b)
{
	__m512 x = _mm512_castsi512_ps(a), y = _mm512_castsi512_ps(b);

	return (uint64_t)(_mm512_cmp_ps_mask(x, y, _CMP_EQ_OQ) |
			  (_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q) &
				  _mm512_cmp_ps_mask(y, y, _CMP_UNORD_Q)));
}

V_OP uint64_t v_eq_f64(v_t a, v_t b)
{
	__m512d x = _mm512_castsi512_pd(a), y = _mm512_castsi512_pd(b);

	return (uint64_t)(_mm512_cmp_pd_mask(x, y, _CMP_EQ_OQ) |
			  (_mm512_cmp_pd_mask(x, x, _CMP_UNORD_Q) &
				  _mm512_cmp_pd_mask(y, y, _CMP_UNORD_Q)));
}

// Writes base + i for each set bit i, in order; returns how many. May write 16 lanes too many.
V_OP uint32_t v_compress_indexes(uint64_t bits, uint32_t base, uint32_t *out)
{
	uint32_t n = 0;
	v_t index = _mm512_add_epi32(_mm512_set1_epi32((int)base),
		_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));

	for (int k = 0; k < 4; k++) {
		uint16_t m = (uint16_t)(bits >> (16 * k));

		// To a register first: compressing stores to memory are slow on Zen 4.
		_mm512_storeu_si512(out + n, _mm512_maskz_compress_epi32(m, index));
		n += (uint32_t)__builtin_popcount(m);
		index = _mm512_add_epi32(index, _mm512_set1_epi32(16));
	}
	return n;
}

#elif defined(MR_ISA_IS_v3)

#define V_BYTES       32
#define V_LANES(bits) (256 / (bits))

typedef __m256i v_t;

V_OP v_t v_ld8(const void *p)
{
	return _mm256_loadu_si256(p);
}

#define v_ld16 v_ld8
#define v_ld32 v_ld8
#define v_ld64 v_ld8

V_OP v_t v_set8(uint8_t x)
{
	return _mm256_set1_epi8((char)x);
}

V_OP v_t v_set16(uint16_t x)
{
	return _mm256_set1_epi16((short)x);
}

V_OP v_t v_set32(uint32_t x)
{
	return _mm256_set1_epi32((int)x);
}

V_OP v_t v_set64(uint64_t x)
{
	return _mm256_set1_epi64x((long long)x);
}

V_OP uint64_t v_bits8(v_t m)
{
	return (uint32_t)_mm256_movemask_epi8(m);
}

V_OP uint64_t v_bits16(v_t m)
{
	__m128i low = _mm256_castsi256_si128(m), high = _mm256_extracti128_si256(m, 1);

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}

V_OP uint64_t v_bits32(v_t m)
{
	return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m));
}

V_OP uint64_t v_bits64(v_t m)
{
	return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(m));
}

V_OP uint64_t v_gt_u8(v_t a, v_t b)
{
	v_t sign = _mm256_set1_epi8(-128);

	return v_bits8(_mm256_cmpgt_epi8(_mm256_xor_si256(a, sign), _mm256_xor_si256(b, sign)));
}

V_OP uint64_t v_gt_i16(v_t a, v_t b)
{
	return v_bits16(_mm256_cmpgt_epi16(a, b));
}

V_OP uint64_t v_gt_i32(v_t a, v_t b)
{
	return v_bits32(_mm256_cmpgt_epi32(a, b));
}

V_OP uint64_t v_gt_i64(v_t a, v_t b)
{
	return v_bits64(_mm256_cmpgt_epi64(a, b));
}

V_OP uint64_t v_eq_8(v_t a, v_t b)
{
	return v_bits8(_mm256_cmpeq_epi8(a, b));
}

V_OP uint64_t v_eq_16(v_t a, v_t b)
{
	return v_bits16(_mm256_cmpeq_epi16(a, b));
}

V_OP uint64_t v_eq_32(v_t a, v_t b)
{
	return v_bits32(_mm256_cmpeq_epi32(a, b));
}

V_OP uint64_t v_eq_64(v_t a, v_t b)
{
	return v_bits64(_mm256_cmpeq_epi64(a, b));
}

// "Not less or equal, or unordered" is true where either is NaN; then b must not be NaN.
V_OP uint64_t v_gt_f32(v_t a, v_t b)
{
	__m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);

	return (uint32_t)_mm256_movemask_ps(
		_mm256_and_ps(_mm256_cmp_ps(x, y, _CMP_NLE_UQ), _mm256_cmp_ps(y, y, _CMP_ORD_Q)));
}

V_OP uint64_t v_gt_f64(v_t a, v_t b)
{
	__m256d x = _mm256_castsi256_pd(a), y = _mm256_castsi256_pd(b);

	return (uint32_t)_mm256_movemask_pd(
		_mm256_and_pd(_mm256_cmp_pd(x, y, _CMP_NLE_UQ), _mm256_cmp_pd(y, y, _CMP_ORD_Q)));
}

V_OP uint64_t v_eq_f32(v_t a, v_t b)
{
	__m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
	__m256 nan =
		_mm256_and_ps(_mm256_cmp_ps(x, x, _CMP_UNORD_Q), _mm256_cmp_ps(y, y, _CMP_UNORD_Q));

	return (uint32_t)_mm256_movemask_ps(_mm256_or_ps(_mm256_cmp_ps(x, y, _CMP_EQ_OQ), nan));
}

V_OP uint64_t v_eq_f64(v_t a, v_t b)
{
	__m256d x = _mm256_castsi256_pd(a), y = _mm256_castsi256_pd(b);
	__m256d nan =
		_mm256_and_pd(_mm256_cmp_pd(x, x, _CMP_UNORD_Q), _mm256_cmp_pd(y, y, _CMP_UNORD_Q));

	return (uint32_t)_mm256_movemask_pd(_mm256_or_pd(_mm256_cmp_pd(x, y, _CMP_EQ_OQ), nan));
}

// Writes base + i for each set bit i, in order; returns how many. May write 8 lanes too many.
// PDEP widens 8 mask bits to bytes, PEXT then packs the identity permutation by them.
V_OP uint32_t v_compress_indexes(uint64_t bits, uint32_t base, uint32_t *out)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < 64; k += 8) {
		uint64_t m = bits >> k & 0xff;
		uint64_t bytes = _pdep_u64(m, 0x0101010101010101u) * 0xff;
		uint64_t lanes = _pext_u64(0x0706050403020100u, bytes);
		__m256i index = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)lanes));

		_mm256_storeu_si256((void *)(out + n),
			_mm256_add_epi32(index, _mm256_set1_epi32((int)(base + k))));
		n += (uint32_t)__builtin_popcountll(m);
	}
	return n;
}

#elif defined(MR_ISA_IS_neon)

#define V_BYTES       16
#define V_LANES(bits) (128 / (bits))

typedef uint8x16_t v_t;

V_OP v_t v_ld8(const void *p)
{
	return vld1q_u8(p);
}

#define v_ld16 v_ld8
#define v_ld32 v_ld8
#define v_ld64 v_ld8

V_OP v_t v_set8(uint8_t x)
{
	return vdupq_n_u8(x);
}

V_OP v_t v_set16(uint16_t x)
{
	return vreinterpretq_u8_u16(vdupq_n_u16(x));
}

V_OP v_t v_set32(uint32_t x)
{
	return vreinterpretq_u8_u32(vdupq_n_u32(x));
}

V_OP v_t v_set64(uint64_t x)
{
	return vreinterpretq_u8_u64(vdupq_n_u64(x));
}

// NEON has no movemask: each lane keeps its own bit, then the lanes are added.
V_OP uint64_t v_bits8(uint8x16_t m)
{
	static const uint8_t weights[16] = {
		1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
	uint8x16_t w = vandq_u8(m, vld1q_u8(weights));

	return vaddv_u8(vget_low_u8(w)) | (uint64_t)vaddv_u8(vget_high_u8(w)) << 8;
}

V_OP uint64_t v_bits16(uint16x8_t m)
{
	static const uint16_t weights[8] = {1, 2, 4, 8, 16, 32, 64, 128};

	return vaddvq_u16(vandq_u16(m, vld1q_u16(weights)));
}

V_OP uint64_t v_bits32(uint32x4_t m)
{
	static const uint32_t weights[4] = {1, 2, 4, 8};

	return vaddvq_u32(vandq_u32(m, vld1q_u32(weights)));
}

V_OP uint64_t v_bits64(uint64x2_t m)
{
	return (vgetq_lane_u64(m, 0) & 1) | (vgetq_lane_u64(m, 1) & 2);
}

V_OP uint64_t v_gt_u8(v_t a, v_t b)
{
	return v_bits8(vcgtq_u8(a, b));
}

V_OP uint64_t v_gt_i16(v_t a, v_t b)
{
	return v_bits16(vcgtq_s16(vreinterpretq_s16_u8(a), vreinterpretq_s16_u8(b)));
}

V_OP uint64_t v_gt_i32(v_t a, v_t b)
{
	return v_bits32(vcgtq_s32(vreinterpretq_s32_u8(a), vreinterpretq_s32_u8(b)));
}

V_OP uint64_t v_gt_i64(v_t a, v_t b)
{
	return v_bits64(vcgtq_s64(vreinterpretq_s64_u8(a), vreinterpretq_s64_u8(b)));
}

V_OP uint64_t v_eq_8(v_t a, v_t b)
{
	return v_bits8(vceqq_u8(a, b));
}

V_OP uint64_t v_eq_16(v_t a, v_t b)
{
	return v_bits16(vceqq_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}

V_OP uint64_t v_eq_32(v_t a, v_t b)
{
	return v_bits32(vceqq_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
}

V_OP uint64_t v_eq_64(v_t a, v_t b)
{
	return v_bits64(vceqq_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}

// "Not (a <= b)" is true where either is NaN; then b must not be NaN (b == b).
V_OP uint64_t v_gt_f32(v_t a, v_t b)
{
	float32x4_t x = vreinterpretq_f32_u8(a), y = vreinterpretq_f32_u8(b);

	return v_bits32(vbicq_u32(vceqq_f32(y, y), vcleq_f32(x, y)));
}

V_OP uint64_t v_gt_f64(v_t a, v_t b)
{
	float64x2_t x = vreinterpretq_f64_u8(a), y = vreinterpretq_f64_u8(b);

	return v_bits64(vbicq_u64(vceqq_f64(y, y), vcleq_f64(x, y)));
}

V_OP uint64_t v_eq_f32(v_t a, v_t b)
{
	float32x4_t x = vreinterpretq_f32_u8(a), y = vreinterpretq_f32_u8(b);
	uint32x4_t some = vorrq_u32(vceqq_f32(x, x), vceqq_f32(y, y));

	return v_bits32(vornq_u32(vceqq_f32(x, y), some));
}

V_OP uint64_t v_eq_f64(v_t a, v_t b)
{
	float64x2_t x = vreinterpretq_f64_u8(a), y = vreinterpretq_f64_u8(b);
	uint64x2_t some = vorrq_u64(vceqq_f64(x, x), vceqq_f64(y, y));

	return v_bits64(vorrq_u64(
		vceqq_f64(x, y), vreinterpretq_u64_u8(vmvnq_u8(vreinterpretq_u8_u64(some)))));
}

#else // scalar: a vector is one element, whatever its size

#define V_BYTES       0
#define V_LANES(bits) 1

typedef uint64_t v_t;

V_OP v_t v_ld8(const void *p)
{
	return *(const uint8_t *)p;
}

V_OP v_t v_ld16(const void *p)
{
	return *(const uint16_t *)p;
}

V_OP v_t v_ld32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

V_OP v_t v_ld64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

V_OP v_t v_set8(uint8_t x)
{
	return x;
}

V_OP v_t v_set16(uint16_t x)
{
	return x;
}

V_OP v_t v_set32(uint32_t x)
{
	return x;
}

V_OP v_t v_set64(uint64_t x)
{
	return x;
}

V_OP float v_f32(v_t a)
{
	uint32_t bits = (uint32_t)a;
	float v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

V_OP double v_f64(v_t a)
{
	double v;

	memcpy(&v, &a, sizeof(v));
	return v;
}

V_OP uint64_t v_gt_u8(v_t a, v_t b)
{
	return (uint8_t)a > (uint8_t)b;
}

V_OP uint64_t v_gt_i16(v_t a, v_t b)
{
	return (int16_t)a > (int16_t)b;
}

V_OP uint64_t v_gt_i32(v_t a, v_t b)
{
	return (int32_t)a > (int32_t)b;
}

V_OP uint64_t v_gt_i64(v_t a, v_t b)
{
	return (int64_t)a > (int64_t)b;
}

V_OP uint64_t v_eq_8(v_t a, v_t b)
{
	return a == b;
}

#define v_eq_16 v_eq_8
#define v_eq_32 v_eq_8
#define v_eq_64 v_eq_8

V_OP uint64_t v_gt_f64(v_t a, v_t b)
{
	double x = v_f64(a), y = v_f64(b);

	return y == y && (x > y || x != x);
}

V_OP uint64_t v_gt_f32(v_t a, v_t b)
{
	float x = v_f32(a), y = v_f32(b);

	return y == y && (x > y || x != x);
}

V_OP uint64_t v_eq_f64(v_t a, v_t b)
{
	double x = v_f64(a), y = v_f64(b);

	return x == y || (x != x && y != y);
}

V_OP uint64_t v_eq_f32(v_t a, v_t b)
{
	float x = v_f32(a), y = v_f32(b);

	return x == y || (x != x && y != y);
}

#endif

#if !defined(MR_ISA_IS_v4) && !defined(MR_ISA_IS_emu) && !defined(MR_ISA_IS_v3)
// Writes base + i for each set bit i, in order; returns how many.
V_OP uint32_t v_compress_indexes(uint64_t bits, uint32_t base, uint32_t *out)
{
	uint32_t n = 0;

	for (; bits; bits &= bits - 1)
		out[n++] = base + (uint32_t)__builtin_ctzll(bits);
	return n;
}
#endif

// --- lanes of 64 bits ----------------------------------------------------------------------------

// For arithmetic rather than bit masks: the compiler's own vectors, as wide as the ISA's registers.
#if V_BYTES >= 16
#define W_BYTES V_BYTES
#else
#define W_BYTES 16
#endif
#define W_LANES (W_BYTES / 8)

typedef int64_t w_i64 __attribute__((vector_size(W_BYTES)));
typedef uint64_t w_u64 __attribute__((vector_size(W_BYTES)));
typedef double w_f64 __attribute__((vector_size(W_BYTES)));

// All ones in the lanes whose bit is set, lane 0 the lowest.
V_OP w_i64 w_keep(uint64_t bits)
{
#if W_LANES == 8
	const w_u64 places = {1, 2, 4, 8, 16, 32, 64, 128};
#elif W_LANES == 4
	const w_u64 places = {1, 2, 4, 8};
#else
	const w_u64 places = {1, 2};
#endif
	return (((w_u64){0} + bits) & places) == places;
}

V_OP w_i64 w_select(w_i64 mask, w_i64 yes, w_i64 no)
{
	return (yes & mask) | (no & ~mask);
}

V_OP w_i64 w_min(w_i64 a, w_i64 b)
{
	return w_select(a < b, a, b);
}

V_OP w_i64 w_max(w_i64 a, w_i64 b)
{
	return w_select(a > b, a, b);
}

// W_LANES values, widened to 64 bits.
#define W_LOAD(type, wide, name)                                                          \
	V_OP wide name(const type *p)                                                     \
	{                                                                                 \
		typedef type narrow __attribute__((vector_size(W_LANES * sizeof(type)))); \
		narrow v;                                                                 \
                                                                                          \
		memcpy(&v, p, sizeof(v));                                                 \
		return __builtin_convertvector(v, wide);                                  \
	}

W_LOAD(uint8_t, w_i64, w_ld_u8)
W_LOAD(int16_t, w_i64, w_ld_i16)
W_LOAD(int32_t, w_i64, w_ld_i32)
W_LOAD(int64_t, w_i64, w_ld_i64)
W_LOAD(float, w_f64, w_ld_f32)
W_LOAD(double, w_f64, w_ld_f64)

// mr_fkey of each lane.
V_OP w_i64 w_fkey(w_f64 v)
{
	const w_i64 nan = (w_i64){0} + 0x7ff8000000000000, low = (w_i64){0} + INT64_MAX;
	w_i64 bits;

	v += 0.0;
	bits = w_select(v != v, nan, (w_i64)v);
	return bits ^ ((bits < 0) & low);
}
