// Time as an argument: whatever needs a clock takes one, so that a test can drive it.
#pragma once

#include "host/base/def.h"

#include <time.h>

struct mr_clock {
	int64_t (*now_ns)(struct mr_clock *c);  // monotonic; the origin means nothing
	int64_t (*wall_us)(struct mr_clock *c); // microseconds since 1970-01-01 UTC
};

// The system's clocks. Any thread.
extern struct mr_clock mr_clock_system;

static inline int64_t mr_now_ns(struct mr_clock *c)
{
	return c->now_ns(c);
}

static inline int64_t mr_wall_us(struct mr_clock *c)
{
	return c->wall_us(c);
}

// A clock that a test moves by hand.
struct mr_clock_sim {
	struct mr_clock clock;
	int64_t ns;
	int64_t wall_us_base;
};

void mr_clock_sim_init(struct mr_clock_sim *s, int64_t wall_us_base);
