// One simulated life: two stacks, a wire between them that loses, delays, doubles, reorders, flips
// and cuts, and applications that send, pause, finish and abort. All from one seed.
#pragma once

#include "host/base/def.h"

struct tcp_life_result {
	uint64_t steps, bytes, connections, retransmits, timeouts;
	int64_t virtual_ns;
};

// NULL when all held, else what did not (static memory). `verbose` tells what the seed has chosen.
const char *tcp_life_run(uint64_t seed, bool verbose, struct tcp_life_result *result);
