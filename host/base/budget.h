// A budget of memory: how many bytes its owners may hold at once, together.
//
// Budgets form a chain: what a query takes, it takes from its session and from the daemon's budget
// for all queries too. Arenas and buffers draw on one block by block. Any thread, no lock; `used`
// never passes `limit`, not even for a moment. A NULL budget has no limit and counts nothing.
//
// The last `reserve` bytes of a budget are for owners that hold little: when a few big queries have
// taken the rest, somebody can still look what they are, and cancel them.
#pragma once

#include "host/base/def.h"

#include <stdatomic.h>

// An owner that holds no more than this may draw on the reserve.
#define MR_BUDGET_SMALL_BYTES (4u << 20)

struct mr_budget {
	struct mr_budget *parent; // what is taken here is taken there as well; NULL: none
	uint64_t limit;           // 0: none
	uint64_t reserve;         // of `limit`
	_Atomic uint64_t used;
	_Atomic uint64_t peak;    // highest `used`
	_Atomic uint64_t refused; // takes that this budget, not its parent, had no room for
};

void mr_budget_init(struct mr_budget *b, struct mr_budget *parent, uint64_t limit);

// True: the bytes are the caller's until given back. False: nothing was taken.
[[nodiscard]] bool mr_budget_take(struct mr_budget *b, uint64_t bytes);
void mr_budget_give(struct mr_budget *b, uint64_t bytes);
// What could be taken at this moment, the reserve left out.
uint64_t mr_budget_room(const struct mr_budget *b);

static inline uint64_t mr_budget_used(const struct mr_budget *b)
{
	return atomic_load_explicit(&b->used, memory_order_relaxed);
}

static inline uint64_t mr_budget_refused(const struct mr_budget *b)
{
	return atomic_load_explicit(&b->refused, memory_order_relaxed);
}
