// SipHash-2-4, as in the paper: two rounds per word of eight bytes, four at the end.
#include "dataplane/tcpip/siphash.h"

struct mr_siphash_key mr_siphash_key(const uint8_t secret[16])
{
	return (struct mr_siphash_key){{mr_load_le64(secret), mr_load_le64(secret + 8)}};
}

static inline uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] = rotl(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] = rotl(v[2], 32);
	}
}

uint64_t mr_siphash(const struct mr_siphash_key *key, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint64_t v[4] = {key->k[0] ^ 0x736f6d6570736575u, key->k[1] ^ 0x646f72616e646f6du,
		key->k[0] ^ 0x6c7967656e657261u, key->k[1] ^ 0x7465646279746573u};
	uint64_t last = (uint64_t)bytes << 56;
	size_t left = bytes;

	for (; left >= 8; p += 8, left -= 8) {
		uint64_t m = mr_load_le64(p);

		v[3] ^= m;
		rounds(v, 2);
		v[0] ^= m;
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << 8 * i;
	v[3] ^= last;
	rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
