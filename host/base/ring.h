// Single producer, single consumer ring of small fixed-size messages: between two threads that both
// live long. (Many senders use mailbox.h.)
//
// Who writes what: the producer writes `head`, the slots and its copy of `tail`; the consumer
// writes `tail` and its copy of `head`. The two sides lie on cache lines of their own, and each
// looks at the other's line only when its copy says full or empty, so a steady stream costs one
// line transfer per batch and not per message (Lee, Bilardi et al. 2010, "MCRingBuffer").
//
// Memory order: the producer's release of `head` publishes the slot, paired with the consumer's
// acquire; the consumer's release of `tail` gives the slot back, paired with the producer's
// acquire. Counters run freely and wrap; head - tail is the fill.
//
// Full is back-pressure: push says no, and the sender keeps the message.
#pragma once

#include "host/base/def.h"

#include <stdatomic.h>
#include <string.h>

struct mr_ring {
	// producer: wo, consumer: ro
	_Atomic uint32_t head MR_ALIGNED(MR_CACHELINE);
	uint32_t tail_seen; // producer only
	// consumer: wo, producer: ro
	_Atomic uint32_t tail MR_ALIGNED(MR_CACHELINE);
	uint32_t head_seen; // consumer only
	// both: ro
	uint8_t *slots MR_ALIGNED(MR_CACHELINE);
	uint32_t mask;
	uint32_t item_bytes;
};

static_assert(offsetof(struct mr_ring, tail) == MR_CACHELINE);
static_assert(offsetof(struct mr_ring, slots) == 2 * MR_CACHELINE);

// `memory` holds `items` (a power of two) of `item_bytes` and is borrowed. Before either side runs.
static inline void mr_ring_init(
	struct mr_ring *r, void *memory, uint32_t items, uint32_t item_bytes)
{
	MR_ASSERT(mr_is_pow2(items) && item_bytes > 0);
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	r->tail_seen = r->head_seen = 0;
	r->slots = (uint8_t *)memory;
	r->mask = items - 1;
	r->item_bytes = item_bytes;
}

// Producer. False when the ring is full.
static inline bool mr_ring_push(struct mr_ring *r, const void *item)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - r->tail_seen > r->mask) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head - r->tail_seen > r->mask)
			return false;
	}
	memcpy(r->slots + (size_t)(head & r->mask) * r->item_bytes, item, r->item_bytes);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

// Consumer. False when the ring is empty.
static inline bool mr_ring_pop(struct mr_ring *r, void *item)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == r->head_seen) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail == r->head_seen)
			return false;
	}
	memcpy(item, r->slots + (size_t)(tail & r->mask) * r->item_bytes, r->item_bytes);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

// Either side, or a third: a moment's value.
static inline uint32_t mr_ring_count(const struct mr_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);

	return atomic_load_explicit(&r->head, memory_order_acquire) - tail;
}
