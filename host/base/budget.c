// Taking from a chain of budgets and giving back.
#include "host/base/budget.h"

void mr_budget_init(struct mr_budget *b, struct mr_budget *parent, uint64_t limit)
{
	*b = (struct mr_budget){.parent = parent, .limit = limit};
}

static void note_peak(struct mr_budget *b, uint64_t used)
{
	uint64_t peak = atomic_load_explicit(&b->peak, memory_order_relaxed);

	while (used > peak && !atomic_compare_exchange_weak_explicit(&b->peak, &peak, used,
				      memory_order_relaxed, memory_order_relaxed))
		continue;
}

// Takes from one budget up to `limit`. What is used then, or 0.
static uint64_t take_one(struct mr_budget *b, uint64_t bytes, uint64_t limit)
{
	uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);

	do {
		if (used > limit || bytes > limit - used) {
			atomic_fetch_add_explicit(&b->refused, 1, memory_order_relaxed);
			return 0;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&b->used, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
	note_peak(b, used + bytes);
	return used + bytes;
}

static uint64_t limit_of(const struct mr_budget *b)
{
	return b->limit ? b->limit : UINT64_MAX;
}

bool mr_budget_take(struct mr_budget *b, uint64_t bytes)
{
	uint64_t held = 0; // by the owner that draws on `at`

	if (bytes == 0)
		return true;
	for (struct mr_budget *at = b; at; at = at->parent) {
		uint64_t reserve = held > MR_BUDGET_SMALL_BYTES ? at->reserve : 0;

		held = take_one(at, bytes, limit_of(at) - reserve);
		if (held)
			continue;
		for (struct mr_budget *taken = b; taken != at; taken = taken->parent)
			atomic_fetch_sub_explicit(&taken->used, bytes, memory_order_relaxed);
		return false;
	}
	return true;
}

void mr_budget_give(struct mr_budget *b, uint64_t bytes)
{
	for (; b; b = b->parent) {
		uint64_t before = atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);

		MR_ASSERT(before >= bytes);
	}
}

uint64_t mr_budget_room(const struct mr_budget *b)
{
	uint64_t room = UINT64_MAX;

	for (; b; b = b->parent) {
		uint64_t used = mr_budget_used(b), limit = limit_of(b) - b->reserve;

		room = MR_MIN(room, used < limit ? limit - used : 0);
	}
	return room;
}
