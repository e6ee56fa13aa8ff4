// Management ports: a TCP listener that gives each connection a thread, up to a limit.
//
// One thread accepts; every connection runs `serve` on its own thread, which blocks on its link. So
// a slow client stalls nobody else, and the session code reads top to bottom. Connections beyond
// `connections_max` still get a thread from a small reserve, with link->over_limit set, so that
// they are refused in the words of their protocol (and a CancelRequest gets through); beyond the
// reserve, or the descriptors that connections may have, they get `refusal` and are closed.
//
// Memory: connections_max + MR_ACCEPTOR_RESERVE slots from the start, `stack_bytes` of address
// space for each live thread.
#pragma once

#include "host/link.h"
#include "host/metrics.h"

#define MR_ACCEPTOR_RESERVE 8
// Parsing and planning recurse, with depth limits of their own.
#define MR_ACCEPTOR_STACK_BYTES (1u << 20)

struct mr_acceptor;

struct mr_acceptor_opts {
	const char *name; // of the threads: "sql", "http"
	const char *address;
	uint16_t port; // 0: any free one
	uint32_t connections_max;
	int descriptors_end;    // those with higher numbers are for others (host/descriptors.h); 0:
				// all
	struct mr_span refusal; // borrowed
	// Runs first on every thread, to lower its priority or place it. May be NULL.
	void (*thread_start)(void *arg);
	void *thread_arg;
	// Serves one connection; the link is closed when it returns.
	void (*serve)(void *owner, struct mr_link *link);
	// Makes every session come to its end soon; called once, when stopping begins.
	void (*interrupt)(void *owner);
	void *owner;
};

// Binds, listens and starts accepting. 0 or -errno.
[[nodiscard]] int mr_acceptor_start(const struct mr_acceptor_opts *opts, struct mr_acceptor **out);
uint16_t mr_acceptor_port(const struct mr_acceptor *l);
// Adds its counters, labelled with its name, to a registry that must not outlive it. 0 or -ENOMEM.
[[nodiscard]] int mr_acceptor_metrics(struct mr_acceptor *l, struct mr_metrics *m);
// Stops accepting, wakes every connection, waits for their threads, frees. NULL is allowed.
void mr_acceptor_stop(struct mr_acceptor *l);

// For `thread_start`: nice 10, so that workers come first where cores are few.
void mr_thread_lower_priority(void *arg);
