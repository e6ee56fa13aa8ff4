// md5 (RFC 1321) and sha256 (FIPS 180-4) of texts and bytes, for values and not for secrets.
//
// Both take blocks of 64 bytes; behind the last byte come 0x80, zeros, and the count of bits in 8
// bytes, little-endian in md5 and big-endian in sha256.
#include "host/sql/fn_int.h"

struct digest {
	uint32_t h[8];
	void (*block)(uint32_t *h, const uint8_t *p);
	bool big_endian;
};

static uint32_t load(const uint8_t *p, bool big_endian)
{
	return big_endian
		       ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		       : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void store(uint8_t *p, uint32_t v, bool big_endian)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * (big_endian ? 3 - i : i));
}

static uint32_t left(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static uint32_t right(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

// RFC 1321, 3.4: the integer part of 2^32 |sin(i + 1)|.
static const uint32_t md5_t[64] = {0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf,
	0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
	0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51,
	0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6,
	0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
	0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8,
	0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
	0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82,
	0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static void md5_block(uint32_t *h, const uint8_t *p)
{
	static const uint8_t shifts[4][4] = {
		{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
	uint32_t a = h[0], b = h[1], c = h[2], d = h[3];

	for (unsigned i = 0; i < 64; i++) {
		uint32_t f;
		unsigned k;

		switch (i / 16) {
		case 0: f = (b & c) | (~b & d), k = i; break;
		case 1: f = (d & b) | (~d & c), k = 5 * i + 1; break;
		case 2: f = b ^ c ^ d, k = 3 * i + 5; break;
		default: f = c ^ (b | ~d), k = 7 * i; break;
		}
		f += a + md5_t[i] + load(p + k % 16 * 4, false);
		a = d;
		d = c;
		c = b;
		b += left(f, shifts[i / 16][i % 4]);
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
}

static const uint32_t sha256_k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b,
	0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6,
	0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d,
	0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585,
	0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa,
	0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static void sha256_block(uint32_t *h, const uint8_t *p)
{
	uint32_t w[64], v[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = load(p + 4 * i, true);
	for (unsigned i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (right(w[i - 15], 7) ^ right(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (right(w[i - 2], 17) ^ right(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, h, sizeof(v));
	for (unsigned i = 0; i < 64; i++) {
		uint32_t e = v[4], a = v[0];
		uint32_t one = v[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) +
			       ((e & v[5]) ^ (~e & v[6])) + sha256_k[i] + w[i];
		uint32_t two = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) +
			       ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += one;
		v[0] = one + two;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += v[i];
}

static void digest(struct digest *d, struct mr_span s)
{
	uint8_t tail[128] = {0};
	size_t whole = s.bytes / 64 * 64, rest = s.bytes - whole, end = rest < 56 ? 64 : 128;
	uint64_t bits = (uint64_t)s.bytes * 8;

	for (size_t at = 0; at < whole; at += 64)
		d->block(d->h, s.data + at);
	if (rest)
		memcpy(tail, s.data + whole, rest);
	tail[rest] = 0x80;
	store(tail + end - 8, (uint32_t)(d->big_endian ? bits >> 32 : bits), d->big_endian);
	store(tail + end - 4, (uint32_t)(d->big_endian ? bits : bits >> 32), d->big_endian);
	for (size_t at = 0; at < end; at += 64)
		d->block(d->h, tail + at);
}

static int md5(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct digest d = {{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}, md5_block, false};
	static const char hex[] = "0123456789abcdef";
	char text[32];

	digest(&d, fn_span(a[0]));
	for (unsigned i = 0; i < 16; i++) {
		uint8_t byte = (uint8_t)(d.h[i / 4] >> i % 4 * 8);

		text[2 * i] = hex[byte >> 4];
		text[2 * i + 1] = hex[byte & 15];
	}
	return mr_fn_str(c, text, sizeof(text), out);
}

static int sha256(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct digest d = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
				   0x1f83d9ab, 0x5be0cd19},
		sha256_block, true};
	uint8_t bytes[32];

	digest(&d, fn_span(a[0]));
	for (unsigned i = 0; i < 8; i++)
		store(bytes + 4 * i, d.h[i], true);
	return mr_fn_str(c, bytes, sizeof(bytes), out);
}

static const struct mr_fn fns[] = {
	{"md5", T_T, 1, {T_T}, 0, md5, NULL},
	{"md5", T_T, 1, {T_Y}, 0, md5, NULL},
	{"sha256", T_Y, 1, {T_Y}, 0, sha256, NULL},
};

const struct mr_fn_family mr_fn_digest = {fns, MR_COUNT_OF(fns)};
