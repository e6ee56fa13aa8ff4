// See urgency.h.
#include "host/urgency.h"

bool mr_urgency_step(struct mr_urgency *u, int64_t now_ns, int64_t cpu_ns)
{
	int64_t percent = (cpu_ns - u->cpu_ns) * 100 / (now_ns - u->since_ns);
	bool before = u->urgent;

	if (percent > MR_URGENCY_BUSY_PERCENT)
		u->urgent = false;
	else if (percent < MR_URGENCY_IDLE_PERCENT)
		u->urgent = true;
	u->since_ns = now_ns;
	u->cpu_ns = cpu_ns;
	return u->urgent != before;
}
