// Bump arena: memory of one lifetime (a batch, a query), freed all at once.
//
// Memory comes in blocks from malloc; `bytes_limit` and the budget, if any, bound them all
// together, and reaching either makes the allocation return NULL and sets `exhausted`, which the
// owner turns into its own error. Nothing in an arena is freed singly. One thread at a time.
#pragma once

#include "host/base/budget.h"
#include "host/base/span.h"

struct mr_arena_block;

struct mr_arena {
	struct mr_arena_block *block; // newest first
	uint8_t *at;
	uint8_t *end;
	size_t bytes;             // taken from malloc so far
	size_t bytes_peak;        // highest `bytes` since init
	size_t bytes_limit;       // 0: none
	struct mr_budget *budget; // every block is taken from it; NULL: none
	bool exhausted;
};

void mr_arena_init(struct mr_arena *a, size_t bytes_limit);
// An arena limited by a budget only, which is borrowed.
void mr_arena_init_budget(struct mr_arena *a, struct mr_budget *budget);

// Frees everything. The arena may be used again.
void mr_arena_fini(struct mr_arena *a);

// Forgets all allocations; keeps one block for the next round.
void mr_arena_reset(struct mr_arena *a);

// 16-byte aligned, not cleared. NULL at the limit or when memory is out. Lives until reset or fini.
void *mr_arena_alloc(struct mr_arena *a, size_t bytes);

// Cleared memory for `count` items.
void *mr_arena_zalloc(struct mr_arena *a, size_t count, size_t bytes);

// Room for one more behind `count` items of `bytes` each, of which there may be *max: `items`, or
// twice the room with what was there, and *max is that. NULL as above; nothing has changed then.
void *mr_arena_room(
	struct mr_arena *a, const void *items, uint32_t count, uint32_t *max, size_t bytes);

// 64-byte aligned, followed by 64 readable bytes, so that kernels may load whole vectors.
void *mr_arena_column(struct mr_arena *a, size_t bytes);

// A copy with a terminating NUL, or NULL.
char *mr_arena_strndup(struct mr_arena *a, const char *s, size_t bytes);

struct mr_span mr_arena_copy(struct mr_arena *a, struct mr_span s);

char *mr_arena_printf(struct mr_arena *a, const char *fmt, ...) MR_PRINTF(2, 3);
