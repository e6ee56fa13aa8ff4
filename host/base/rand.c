// xoshiro256** and splitmix64.
#include "host/base/rand.h"

#include <string.h>
#include <sys/random.h>

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void mr_rand_init(struct mr_rand *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		r->s[i] = splitmix64(&seed);
}

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t mr_rand_u64(struct mr_rand *r)
{
	uint64_t *s = r->s;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t mr_rand_below(struct mr_rand *r, uint64_t n)
{
	unsigned __int128 m = (unsigned __int128)mr_rand_u64(r) * n;

	MR_ASSERT(n > 0);
	if ((uint64_t)m < n) {
		uint64_t floor = -n % n;

		while ((uint64_t)m < floor)
			m = (unsigned __int128)mr_rand_u64(r) * n;
	}
	return (uint64_t)(m >> 64);
}

double mr_rand_unit(struct mr_rand *r)
{
	return (double)(mr_rand_u64(r) >> 11) * 0x1p-53;
}

void mr_rand_bytes(struct mr_rand *r, void *out, size_t bytes)
{
	uint8_t *p = out;

	while (bytes) {
		uint64_t v = mr_rand_u64(r);
		size_t n = MR_MIN(bytes, sizeof(v));

		memcpy(p, &v, n);
		p += n;
		bytes -= n;
	}
}

uint64_t mr_rand_seed_os(void)
{
	uint64_t seed;

	MR_ASSERT(getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
	return seed;
}
