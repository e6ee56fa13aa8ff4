// A hierarchical timer wheel (Varghese and Lauck 1987): four levels of 256 slots, a tick of 131 us.
//
// Setting and cancelling are a few instructions; a node is moved down at most three times before it
// fires. Level 0 covers 33 ms, then 8.6 s, 36 min and 6.5 days; what is due later waits in the last
// slot and is put again.
//
// Fired nodes are popped one by one, so a callback may cancel any other node, due or not. One
// thread.
#pragma once

#include "host/base/def.h"

#define MR_WHEEL_TICK_SHIFT 17 // 2^17 ns = 131 us
#define MR_WHEEL_LEVELS     4
#define MR_WHEEL_SLOTS      256

struct mr_wheel_node {
	struct mr_wheel_node *next;
	struct mr_wheel_node **link; // what points to it; NULL: not set
	uint64_t due;                // tick
};

struct mr_wheel {
	uint64_t tick; // all that was due before it has been popped
	uint64_t count;
	uint64_t busy[MR_WHEEL_LEVELS][MR_WHEEL_SLOTS / 64];
	struct mr_wheel_node *slots[MR_WHEEL_LEVELS][MR_WHEEL_SLOTS];
};

void mr_wheel_init(struct mr_wheel *w, int64_t now_ns);
// Fires at `due_ns` or up to one tick later; a time gone by: at the next pop. Moves a set node.
void mr_wheel_set(struct mr_wheel *w, struct mr_wheel_node *n, int64_t due_ns);
void mr_wheel_cancel(struct mr_wheel *w, struct mr_wheel_node *n);
// The next node due at `now_ns`, no longer set; NULL: there is none left.
struct mr_wheel_node *mr_wheel_pop(struct mr_wheel *w, int64_t now_ns);
// No node fires before; at that time pop must be called, even if it finds none. INT64_MAX: empty.
int64_t mr_wheel_next_ns(const struct mr_wheel *w);

static inline bool mr_wheel_is_set(const struct mr_wheel_node *n)
{
	return n->link != NULL;
}

static inline int64_t mr_wheel_due_ns(const struct mr_wheel_node *n)
{
	return (int64_t)(n->due << MR_WHEEL_TICK_SHIFT);
}
