// The system's clocks and a simulated one.
#include "host/base/clock.h"

static int64_t system_now_ns(struct mr_clock *)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int64_t system_wall_us(struct mr_clock *)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

struct mr_clock mr_clock_system = {system_now_ns, system_wall_us};

static int64_t sim_now_ns(struct mr_clock *c)
{
	return MR_CONTAINER(c, struct mr_clock_sim, clock)->ns;
}

static int64_t sim_wall_us(struct mr_clock *c)
{
	struct mr_clock_sim *s = MR_CONTAINER(c, struct mr_clock_sim, clock);

	return s->wall_us_base + s->ns / 1000;
}

void mr_clock_sim_init(struct mr_clock_sim *s, int64_t wall_us_base)
{
	*s = (struct mr_clock_sim){{sim_now_ns, sim_wall_us}, 0, wall_us_base};
}
