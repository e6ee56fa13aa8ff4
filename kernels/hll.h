// HyperLogLog: how many distinct values, in at most 2^p bytes.
//
// The state is a function of the *set* of hashes that were added: order, repeats and the way of
// merging change no bit of it. Up to 2^p / 16 distinct hashes are kept themselves, so small counts
// are exact; beyond, one byte per register. The error of the estimate has standard deviation
// 1.04 / sqrt(2^p) (p = 12: 1.6 %) at every cardinality beyond the exact ones.
//
// One thread at a time.
#pragma once

#include "kernels/kernels.h"

#define MR_HLL_P_MIN     4
#define MR_HLL_P_MAX     16
#define MR_HLL_P_DEFAULT 12

// Registers (dense) or an open-addressing set of hashes (sparse). Owns its memory: at most
// 2^p + 64 bytes.
struct mr_hll {
	uint8_t *registers;     // NULL while sparse
	uint64_t *slots;        // NULL while empty or dense; 0 = free
	uint32_t slots_count;   // power of two
	uint32_t entries_count; // hashes in `slots`
	uint8_t p;
};

// An empty sketch; takes no memory yet.
void mr_hll_init(struct mr_hll *h, unsigned p);
void mr_hll_fini(struct mr_hll *h);

// Adds hashes by mr_hash64 or mr_hash_bytes with MR_HASH_SEED. 0, or -ENOMEM: then some of them
// may have been added, and adding all of them again is right.
[[nodiscard]] int mr_hll_add(struct mr_hll *h, uint64_t hash);
[[nodiscard]] int mr_hll_update(
	struct mr_hll *h, const uint64_t *hashes, const struct mr_rows *rows);

// Adds what `other`, of the same p, has seen. 0 or -ENOMEM, as above.
[[nodiscard]] int mr_hll_merge(struct mr_hll *h, const struct mr_hll *other);

// The estimated number of distinct hashes; exact while sparse.
double mr_hll_estimate(const struct mr_hll *h);

// Bytes that mr_hll_save writes, and at most writes for a p.
size_t mr_hll_save_bytes(const struct mr_hll *h);
#define MR_HLL_SAVE_BYTES_MAX(p) ((size_t)(16 + (1u << (p))))

// Writes the state: equal states give equal bytes. `out` has mr_hll_save_bytes.
void mr_hll_save(const struct mr_hll *h, uint8_t *out);

// Fills `h` (not initialised before) from saved bytes, all of which must be used. Bytes from
// outside: MR_ERR_CORRUPT for anything mr_hll_save would not write, MR_ERR_VERSION for a newer
// version, -ENOMEM.
[[nodiscard]] int mr_hll_load(struct mr_hll *h, struct mr_span bytes);

// What adding one hash allocates at most, beside what is held meanwhile.
size_t mr_hll_growth(const struct mr_hll *h);
// Bytes of memory held now.
size_t mr_hll_memory(const struct mr_hll *h);
