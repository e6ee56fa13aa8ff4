// The most frequent items of a stream, in bounded memory.
//
// Exact while there are at most `capacity` distinct items; then the state is a function of the
// multiset. Beyond, every count is too small by at most `mr_topk_error`, which is at most
// 2 / capacity of all that was added, and any item more frequent than that is there; which of the
// rarer ones are may then depend on the order of adding and merging.
//
// One thread at a time.
#pragma once

#include "kernels/kernels.h"

#define MR_TOPK_CAPACITY_MIN     16
#define MR_TOPK_CAPACITY_MAX     65536
#define MR_TOPK_CAPACITY_DEFAULT 1024

// Of a longer item only so many bytes are kept; items are told apart by the hash of all.
#define MR_TOPK_ITEM_BYTES_MAX 256

struct mr_topk_entry {
	uint64_t hash;
	uint64_t count; // 0 = free
	uint32_t data_off;
	uint32_t bytes;
};

// Owns its memory: at most capacity * (96 + MR_TOPK_ITEM_BYTES_MAX * 2) bytes.
struct mr_topk {
	struct mr_topk_entry *slots; // open addressing
	uint32_t slots_count;
	uint32_t entries_count;
	uint32_t capacity;
	uint8_t *data; // the items' bytes
	size_t data_bytes;
	size_t data_bytes_max;
	uint64_t total; // all counts ever added
	uint64_t error;
};

struct mr_topk_item {
	struct mr_span item; // borrows the sketch, until it changes
	uint64_t count;      // the true count is between this and this + mr_topk_error
};

// An empty sketch; takes no memory yet.
void mr_topk_init(struct mr_topk *t, uint32_t capacity);
void mr_topk_fini(struct mr_topk *t);

// Adds an item `count` times; all that `other`, of the same capacity, has seen. 0, or -ENOMEM after
// which the sketch is good only for fini.
[[nodiscard]] int mr_topk_add(struct mr_topk *t, struct mr_span item, uint64_t count);
[[nodiscard]] int mr_topk_merge(struct mr_topk *t, const struct mr_topk *other);

static inline uint64_t mr_topk_error(const struct mr_topk *t)
{
	return t->error;
}

// The `k` items of the greatest counts, ties by their bytes. Returns how many there are (at most
// k), or -ENOMEM.
[[nodiscard]] int mr_topk_list(const struct mr_topk *t, uint32_t k, struct mr_topk_item *out);

size_t mr_topk_save_bytes_max(const struct mr_topk *t);
// Writes the state and returns its bytes, or -ENOMEM: equal states give equal bytes.
[[nodiscard]] int mr_topk_save(const struct mr_topk *t, uint8_t *out);
// Fills `t` (not initialised before) from saved bytes, all of which must be used. Bytes from
// outside: MR_ERR_CORRUPT, MR_ERR_VERSION, -ENOMEM.
[[nodiscard]] int mr_topk_load(struct mr_topk *t, struct mr_span bytes);

// What adding an item allocates at most, beside what is held meanwhile.
size_t mr_topk_growth(const struct mr_topk *t, size_t item_bytes);
// Bytes of memory held now.
size_t mr_topk_memory(const struct mr_topk *t);
