// Counters and gauges with one writer: read by any thread, relaxed, so that no locked instruction
// is needed to count.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

// The writer's thread only. A gauge goes down by adding the negative, which wraps.
static inline void mr_stat_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
