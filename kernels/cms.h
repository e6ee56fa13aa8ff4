// Count-min: how often was this seen, for any number of distinct things, in fixed memory.
//
// An estimate is never too small, and too great by more than e / width of everything added with a
// probability of at most exp(-depth) (Cormode and Muthukrishnan 2005). The state is a sum: order
// and merging change no bit of it. One thread at a time.
#pragma once

#include "kernels/kernels.h"

#define MR_CMS_DEPTH_MAX 8
#define MR_CMS_WIDTH_MAX (1u << 20)

// Owns depth * width * 8 bytes.
struct mr_cms {
	uint64_t *counts;
	uint32_t width; // power of two, 16 … MR_CMS_WIDTH_MAX
	uint32_t depth; // 1 … MR_CMS_DEPTH_MAX
};

// 0 or -ENOMEM.
[[nodiscard]] int mr_cms_init(struct mr_cms *c, uint32_t width, uint32_t depth);
void mr_cms_fini(struct mr_cms *c);

// `hash` by mr_hash64 or mr_hash_bytes with MR_HASH_SEED. Counts stop at UINT64_MAX.
void mr_cms_add(struct mr_cms *c, uint64_t hash, uint64_t count);
uint64_t mr_cms_estimate(const struct mr_cms *c, uint64_t hash);

// Adds what `other`, of the same width and depth, has seen.
void mr_cms_merge(struct mr_cms *c, const struct mr_cms *other);

size_t mr_cms_save_bytes(const struct mr_cms *c);
// Writes the state: equal states give equal bytes. `out` has mr_cms_save_bytes.
void mr_cms_save(const struct mr_cms *c, uint8_t *out);
// Fills `c` (not initialised before) from saved bytes, all of which must be used. Bytes from
// outside: MR_ERR_CORRUPT, MR_ERR_VERSION, -ENOMEM.
[[nodiscard]] int mr_cms_load(struct mr_cms *c, struct mr_span bytes);
