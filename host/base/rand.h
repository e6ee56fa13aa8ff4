// Seeded pseudo-random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64.
// Whatever is random takes one of these, so that a seed replays it. Not for secrets.
#pragma once

#include "host/base/def.h"

struct mr_rand {
	uint64_t s[4];
};

void mr_rand_init(struct mr_rand *r, uint64_t seed);

uint64_t mr_rand_u64(struct mr_rand *r);

// Uniform in [0, n), n > 0, without modulo bias (Lemire 2019).
uint64_t mr_rand_below(struct mr_rand *r, uint64_t n);

// Uniform in [0, 1), 53 bits.
double mr_rand_unit(struct mr_rand *r);

void mr_rand_bytes(struct mr_rand *r, void *out, size_t bytes);

// A seed from the kernel; aborts when there is none.
uint64_t mr_rand_seed_os(void);
