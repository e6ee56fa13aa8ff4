// SipHash-2-4 (Aumasson and Bernstein 2012): a keyed hash for what an attacker must not foresee.
#pragma once

#include "host/base/span.h"

struct mr_siphash_key {
	uint64_t k[2];
};

struct mr_siphash_key mr_siphash_key(const uint8_t secret[16]);
uint64_t mr_siphash(const struct mr_siphash_key *key, const void *data, size_t bytes);
