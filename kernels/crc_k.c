// CRC-32C (RFC 3720 B.4), plain and fused with a copy.
//
// The CRC of a message is its polynomial times x^32, modulo P. All forms here are the same idea: a
// register that should be followed by n more bits is multiplied by x^n mod P and added to what
// stands n bits on.
//
// v4: 256 bytes at a time in four vectors, each 128-bit lane folded 2048 bits ahead by VPCLMULQDQ
//     (Gopal et al. 2009, "Fast CRC computation for generic polynomials using PCLMULQDQ"); the last
//     128 bits go through the crc32 instruction. Bounded by VPCLMULQDQ: 2 per 64 bytes.
// v3: the crc32 instruction has a latency of 3 and a throughput of 1: three independent chains, put
//     together by one carry-less product each.
// neon: three chains as well, put together by a plain product modulo P, hence longer ones.
// scalar, emu: a table of 16, the oracle.
//
// 1 B read (copy: and 1 written) a byte.
#include "kernels/kernels.h"
#include "kernels/simd.h"

// One step of each register; `crc` is the register itself, not inverted. With `dst` the bytes are
// copied on the way.
#if defined(MR_ISA_IS_v3) || defined(MR_ISA_IS_v4)
V_OP uint32_t crc8(uint32_t crc, uint64_t v)
{
	return (uint32_t)_mm_crc32_u64(crc, v);
}

V_OP uint32_t crc1(uint32_t crc, uint8_t v)
{
	return _mm_crc32_u8(crc, v);
}
#elif defined(MR_ISA_IS_neon)
V_OP uint32_t crc8(uint32_t crc, uint64_t v)
{
	return __crc32cd(crc, v);
}

V_OP uint32_t crc1(uint32_t crc, uint8_t v)
{
	return __crc32cb(crc, v);
}
#else
V_OP uint32_t crc1(uint32_t crc, uint8_t v)
{
	static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6,
		0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

	crc ^= v;
	crc = crc >> 4 ^ table[crc & 15];
	return crc >> 4 ^ table[crc & 15];
}

V_OP uint32_t crc8(uint32_t crc, uint64_t v)
{
	for (int k = 0; k < 64; k += 8)
		crc = crc1(crc, (uint8_t)(v >> k));
	return crc;
}
#endif

V_OP uint64_t load8(const uint8_t *src, uint8_t *dst)
{
	uint64_t v;

	memcpy(&v, src, sizeof(v));
	if (dst)
		memcpy(dst, &v, sizeof(v));
	return v;
}

V_OP uint32_t crc_tail(uint32_t crc, uint8_t *dst, const uint8_t *src, size_t bytes)
{
	size_t i = 0;

	for (; i + 8 <= bytes; i += 8)
		crc = crc8(crc, load8(src + i, dst ? dst + i : NULL));
	for (; i < bytes; i++) {
		if (dst)
			dst[i] = src[i];
		crc = crc1(crc, src[i]);
	}
	return crc;
}

#if defined(MR_ISA_IS_v4)

// Multiplies each 128-bit lane by x^n: the constants are x^(n+63) and x^(n-1) mod P, bits reversed,
// for its first and second 8 bytes.
V_OP __m512i fold(__m512i x, __m512i k, __m512i next)
{
	__m512i low = _mm512_clmulepi64_epi128(x, k, 0x00);
	__m512i high = _mm512_clmulepi64_epi128(x, k, 0x11);

	return _mm512_ternarylogic_epi64(low, high, next, 0x96);
}

V_OP __m512i constant(uint64_t low, uint64_t high)
{
	return _mm512_broadcast_i32x4(_mm_set_epi64x((long long)high, (long long)low));
}

V_OP __m512i load64(const uint8_t *src, uint8_t *dst)
{
	__m512i v = _mm512_loadu_si512(src);

	if (dst)
		_mm512_storeu_si512(dst, v);
	return v;
}

// The CRC of a lane after the other: fold each 128 bits ahead onto the next.
V_OP uint32_t finish(__m512i x)
{
	__m512i k = constant(0x3743f7bd00000000u, 0x3171d43000000000u); // n = 128
	__m128i k1 = _mm512_castsi512_si128(k), a = _mm512_castsi512_si128(x);
	__m128i lanes[3] = {_mm512_extracti32x4_epi32(x, 1), _mm512_extracti32x4_epi32(x, 2),
		_mm512_extracti32x4_epi32(x, 3)};
	uint32_t crc;

	for (int i = 0; i < 3; i++) {
		__m128i low = _mm_clmulepi64_si128(a, k1, 0x00);
		__m128i high = _mm_clmulepi64_si128(a, k1, 0x11);

		a = _mm_xor_si128(_mm_xor_si128(low, high), lanes[i]);
	}
	crc = crc8(0, (uint64_t)_mm_extract_epi64(a, 0));
	return crc8(crc, (uint64_t)_mm_extract_epi64(a, 1));
}

#define AHEAD(i) (dst ? dst + at + (i) : NULL)

V_OP uint32_t crc_run(uint32_t crc, uint8_t *dst, const uint8_t *src, size_t bytes)
{
	const __m512i k2048 = constant(0xe9a5d8be00000000u, 0x1426a81500000000u);
	const __m512i k512 = constant(0x1c19243b00000000u, 0x75bba45b00000000u);
	__m512i x[4];
	size_t at = 256;

	if (bytes < 256)
		return crc_tail(crc, dst, src, bytes);
	for (size_t i = 0; i < 4; i++)
		x[i] = load64(src + i * 64, dst ? dst + i * 64 : NULL);
	x[0] = _mm512_xor_si512(x[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)crc)));
	for (; at + 256 <= bytes; at += 256)
		for (size_t i = 0; i < 4; i++)
			x[i] = fold(x[i], k2048, load64(src + at + i * 64, AHEAD(i * 64)));
	for (size_t i = 0; i < 3; i++)
		x[i + 1] = fold(x[i], k512, x[i + 1]);
	for (; at + 64 <= bytes; at += 64)
		x[3] = fold(x[3], k512, load64(src + at, AHEAD(0)));
	return crc_tail(finish(x[3]), AHEAD(0), src + at, bytes - at);
}

#elif defined(MR_ISA_IS_v3) || defined(MR_ISA_IS_neon)

#if defined(MR_ISA_IS_v3)

// crc * x^n, where `k` is x^(n-33) mod P, bits reversed: the crc32 instruction multiplies by x^32
// and reduces; the product of reversed numbers brings the other x.
V_OP uint32_t ahead(uint32_t crc, uint32_t k)
{
	__m128i product =
		_mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)k), 0);

	return crc8(0, (uint64_t)_mm_cvtsi128_si64(product));
}

// Chains of 1,024 bytes while they last, then of 128.
static const struct chain {
	size_t bytes;
	uint32_t k1, k2; // one and two chains ahead
} chains[] = {{1024, 0x170076fa, 0xa51b6135}, {128, 0x0d3b6092, 0xb9e02b86}};

#else

// crc * k mod P, where `k` is x^n mod P, both with bits reversed: the school method.
V_OP uint32_t ahead(uint32_t crc, uint32_t k)
{
	uint32_t product = 0;

	for (int i = 31; i >= 0; i--) {
		product ^= -(k >> i & 1) & crc;
		crc = crc >> 1 ^ (-(crc & 1) & 0x82f63b78);
	}
	return product;
}

static const struct chain {
	size_t bytes;
	uint32_t k1, k2;
} chains[] = {{4096, 0x35d73a62, 0x28461564}};

#endif

V_OP uint32_t crc_three(uint32_t crc, uint8_t *dst, const uint8_t *src, const struct chain *c)
{
	uint32_t b = 0, d = 0;

	for (size_t i = 0; i < c->bytes; i += 8) {
		const size_t at[3] = {i, i + c->bytes, i + 2 * c->bytes};

		crc = crc8(crc, load8(src + at[0], dst ? dst + at[0] : NULL));
		b = crc8(b, load8(src + at[1], dst ? dst + at[1] : NULL));
		d = crc8(d, load8(src + at[2], dst ? dst + at[2] : NULL));
	}
	return ahead(crc, c->k2) ^ ahead(b, c->k1) ^ d;
}

V_OP uint32_t crc_run(uint32_t crc, uint8_t *dst, const uint8_t *src, size_t bytes)
{
	size_t at = 0;

	for (size_t i = 0; i < MR_COUNT_OF(chains); i++)
		for (; at + 3 * chains[i].bytes <= bytes; at += 3 * chains[i].bytes)
			crc = crc_three(crc, dst ? dst + at : NULL, src + at, &chains[i]);
	return crc_tail(crc, dst ? dst + at : NULL, src + at, bytes - at);
}

#else
#define crc_run crc_tail
#endif

static uint32_t crc_update(uint32_t crc, const void *data, size_t bytes)
{
	return ~crc_run(~crc, NULL, data, bytes);
}

static uint32_t crc_copy(uint32_t crc, void *restrict dst, const void *restrict src, size_t bytes)
{
	return ~crc_run(~crc, dst, src, bytes);
}

const struct mr_crc_kernels MR_ISA_NAME(mr_kernels_crc) = {
	.update = crc_update,
	.copy = crc_copy,
};
