// Which scheduling class a worker deserves: real-time while it is mostly idle, normal while it is
// busy.
//
// A worker that shares its core with scans, sealing or merging must run when something arrives: an
// acknowledgement is a few short runs (receive, flush, answer), and in the normal class each of
// them may wait for the next tick of the kernel (4 ms at 250 Hz) behind a thread that computes,
// whatever the nice values: the kernel protects who has just begun to run. In the real-time class
// it runs at once. But a worker that has work without end would keep everything else from running,
// queries and the sealing that frees its memory; it gains nothing from urgency either, as its
// latency is in its own queue. So the class follows from the share of the time it computed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// One worker's; zeroed to begin, when the thread is in the normal class.
struct mr_urgency {
	int64_t since_ns; // when the window began
	int64_t cpu_ns;   // of the thread, then
	bool urgent;      // the class that it should have
};

enum {
	MR_URGENCY_WINDOW_NS = 20000000,
	MR_URGENCY_BUSY_PERCENT = 50, // more than this: normal
	MR_URGENCY_IDLE_PERCENT = 25, // less than this: real-time
};

// Whether a window is over; then the next call is mr_urgency_step.
static inline bool mr_urgency_due(const struct mr_urgency *u, int64_t now_ns)
{
	return now_ns - u->since_ns >= MR_URGENCY_WINDOW_NS;
}

// Looks at the window that ends now, `cpu_ns` being what the thread has computed in its life, and
// begins the next. True when u->urgent has changed.
bool mr_urgency_step(struct mr_urgency *u, int64_t now_ns, int64_t cpu_ns);
