// The timer wheel. A node whose due tick differs from the present one by less than 256^(l+1) waits
// on level l, in the slot named by byte l of its due tick. When the present tick has all lower
// bytes zero, the slot that its byte l names is emptied and its nodes are set again, which puts
// them lower. A bitmap per level finds the next slot in use.
#include "dataplane/tcpip/wheel.h"

#include <string.h>

#define SLOT_BITS 8

void mr_wheel_init(struct mr_wheel *w, int64_t now_ns)
{
	memset(w, 0, sizeof(*w));
	w->tick = (uint64_t)now_ns >> MR_WHEEL_TICK_SHIFT;
}

static uint32_t slot_of(uint64_t tick, int level)
{
	return (uint32_t)(tick >> (SLOT_BITS * level)) % MR_WHEEL_SLOTS;
}

static void put(struct mr_wheel *w, struct mr_wheel_node *n)
{
	uint64_t due = MR_MAX(n->due, w->tick), delta = due - w->tick;
	int level = 0;
	uint32_t slot;

	while (level < MR_WHEEL_LEVELS - 1 && delta >> (SLOT_BITS * (level + 1)))
		level++;
	if (delta >> (SLOT_BITS * MR_WHEEL_LEVELS)) // too far: as late as there is
		due = w->tick + ((1ull << (SLOT_BITS * MR_WHEEL_LEVELS)) - 1);
	slot = slot_of(due, level);
	n->next = w->slots[level][slot];
	n->link = &w->slots[level][slot];
	if (n->next)
		n->next->link = &n->next;
	*n->link = n;
	w->busy[level][slot / 64] |= 1ull << slot % 64;
}

// A slot's bit stays set when its last node is cancelled: next_in looks, and what passes by clears
// it.
static void take(struct mr_wheel_node *n)
{
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	n->link = NULL;
}

void mr_wheel_set(struct mr_wheel *w, struct mr_wheel_node *n, int64_t due_ns)
{
	uint64_t ns = due_ns > 0 ? (uint64_t)due_ns : 0;

	if (n->link)
		take(n);
	else
		w->count++;
	n->due = (ns + (1u << MR_WHEEL_TICK_SHIFT) - 1) >> MR_WHEEL_TICK_SHIFT;
	put(w, n);
}

void mr_wheel_cancel(struct mr_wheel *w, struct mr_wheel_node *n)
{
	if (!n->link)
		return;
	take(n);
	w->count--;
}

// The distance (from..256) to the next slot in use of a level, cyclically; 0: none.
static uint32_t next_in(const struct mr_wheel *w, int level, uint32_t from)
{
	uint32_t at = slot_of(w->tick, level);

	for (uint32_t d = from; d < from + MR_WHEEL_SLOTS;) {
		uint32_t slot = (at + d) % MR_WHEEL_SLOTS;
		uint64_t rest = w->busy[level][slot / 64] >> slot % 64;

		if (!rest) {
			d += 64 - slot % 64;
			continue;
		}
		d += (uint32_t)__builtin_ctzll(rest);
		if (d >= from + MR_WHEEL_SLOTS)
			break;
		if (w->slots[level][(at + d) % MR_WHEEL_SLOTS])
			return d + 1;
		d++;
	}
	return 0;
}

static void cascade(struct mr_wheel *w, int level)
{
	uint32_t slot = slot_of(w->tick, level);
	struct mr_wheel_node *n = w->slots[level][slot];

	w->slots[level][slot] = NULL;
	w->busy[level][slot / 64] &= ~(1ull << slot % 64);
	while (n) {
		struct mr_wheel_node *next = n->next;

		put(w, n);
		n = next;
	}
}

// The next tick at which something is due or a slot has to be emptied; UINT64_MAX: never.
static uint64_t next_tick(const struct mr_wheel *w, uint32_t from)
{
	uint64_t best = UINT64_MAX;

	if (!w->count)
		return best;
	for (int level = 0; level < MR_WHEEL_LEVELS; level++) {
		uint32_t d = next_in(w, level, level ? 1 : from);
		uint64_t t = ((w->tick >> (SLOT_BITS * level)) + d - 1) << (SLOT_BITS * level);

		if (d)
			best = MR_MIN(best, t);
	}
	return best;
}

static void arrive(struct mr_wheel *w, uint64_t tick)
{
	w->tick = tick;
	for (int level = MR_WHEEL_LEVELS - 1; level > 0; level--) {
		if (!(tick & ((1ull << (SLOT_BITS * level)) - 1)))
			cascade(w, level);
	}
}

struct mr_wheel_node *mr_wheel_pop(struct mr_wheel *w, int64_t now_ns)
{
	uint64_t now = (uint64_t)now_ns >> MR_WHEEL_TICK_SHIFT;

	for (;;) {
		uint32_t slot = slot_of(w->tick, 0);
		struct mr_wheel_node *n = w->slots[0][slot];
		uint64_t next;

		if (n) {
			MR_DASSERT(n->due <= w->tick);
			take(n);
			w->count--;
			return n;
		}
		w->busy[0][slot / 64] &= ~(1ull << slot % 64);
		if (w->tick >= now)
			return NULL;
		next = next_tick(w, 1);
		arrive(w, MR_MIN(next, now));
	}
}

int64_t mr_wheel_next_ns(const struct mr_wheel *w)
{
	uint64_t tick = next_tick(w, 0);

	return tick == UINT64_MAX ? INT64_MAX : (int64_t)(tick << MR_WHEEL_TICK_SHIFT);
}
