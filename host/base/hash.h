// Hashes: murmur3's 64-bit finaliser for keys, XXH3 for bytes and checksums.
//
// This is the only file that includes xxhash. XXH3 is inlined so that the compiler's own vector
// width is used.
#pragma once

#include "host/base/span.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

// Fixed for ever: sketch states on disk depend on it. Any non-zero value would do.
#define MR_HASH_SEED 0x6d696c6c72616365u

// murmur3 fmix64 of k ^ seed (Appleby). The same in C, SIMD and RTL. A bijection for a fixed seed.
static inline uint64_t mr_hash64(uint64_t k, uint64_t seed)
{
	k ^= seed;
	k ^= k >> 33;
	k *= 0xff51afd7ed558ccdu;
	k ^= k >> 33;
	k *= 0xc4ceb9fe1a85ec53u;
	k ^= k >> 33;
	return k;
}

// XXH3-64 of bytes, with MR_HASH_SEED: the hash of strings.
static inline uint64_t mr_hash_bytes(const void *data, size_t bytes)
{
	return XXH3_64bits_withSeed(data, bytes, MR_HASH_SEED);
}

// XXH3-64 without a seed: the checksum of frames, records and blocks on disk.
static inline uint64_t mr_checksum(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}
