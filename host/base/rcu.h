// Grace periods: when may the old version be freed? Quiescent-state based (QSBR, as in McKenney's
// RCU and DPDK's rte_rcu_qsbr), so that reading costs nothing at all.
//
// A reader registers once. While it is online it may hold pointers that it has loaded from
// published places; it says from time to time that it holds none (mr_rcu_quiescent: once a turn of
// its loop), and goes offline before it sleeps. A writer publishes the new version (a release
// store) and then either waits until every online reader has been quiescent (mr_rcu_synchronize) or
// hands the old version over to be freed when they have (mr_rcu_defer, mr_rcu_collect).
//
//	reader: p = atomic_load(&shared, acquire); … use p …; mr_rcu_quiescent(rcu, &me);
//	writer: old = atomic_exchange(&shared, new, acq_rel); mr_rcu_synchronize(rcu, NULL);
// free(old);
//
// How: `now` counts grace periods; each reader shows in `seen` the count it read when it was last
// quiescent, 0 when offline. A version replaced before `now` became T can be held only by readers
// with 0 < seen < T.
//
// Memory order. Quiescent: the release store of `seen` ends the reader's uses of what it held
// before the writer's acquire sees it; the acquire load of `now` makes what was published before
// that count visible. Online: the reader stores `seen`, then reads `now` again; the writer adds to
// `now`, then reads `seen`; all four sequentially consistent, so that at least one sees the other:
// either the writer waits, or the reader reads `now` anew and sees the new version.
#pragma once

#include "host/base/def.h"

#include <pthread.h>
#include <stdatomic.h>

// A reading thread's mark. Its thread writes `seen`, writers read it.
struct mr_rcu_reader {
	_Atomic uint64_t seen MR_ALIGNED(MR_CACHELINE);
	struct mr_rcu_reader *next; // under the lock
};

// In an object that mr_rcu_defer will free.
struct mr_rcu_head {
	struct mr_rcu_head *next;
	void (*free)(struct mr_rcu_head *h);
	uint64_t after;
};

struct mr_rcu {
	_Atomic uint64_t now MR_ALIGNED(MR_CACHELINE); // writers: rw, readers: ro
	pthread_mutex_t lock MR_ALIGNED(MR_CACHELINE);
	struct mr_rcu_reader *readers;
	struct mr_rcu_head *first; // deferred, oldest first
	struct mr_rcu_head *last;
	uint64_t deferred;
};

void mr_rcu_init(struct mr_rcu *rcu);
// Frees what is deferred. No reader may be registered.
void mr_rcu_fini(struct mr_rcu *rcu);

// The calling thread joins, offline. `r` is in place until unregister.
void mr_rcu_register(struct mr_rcu *rcu, struct mr_rcu_reader *r);
void mr_rcu_unregister(struct mr_rcu *rcu, struct mr_rcu_reader *r);

// From here on the reader may hold published pointers.
static inline void mr_rcu_online(struct mr_rcu *rcu, struct mr_rcu_reader *r)
{
	uint64_t now;

	do {
		now = atomic_load_explicit(&rcu->now, memory_order_seq_cst);
		atomic_store_explicit(&r->seen, now, memory_order_seq_cst);
	} while (atomic_load_explicit(&rcu->now, memory_order_seq_cst) != now);
}

// The reader holds none and will not until it is online again. Before sleeping.
static inline void mr_rcu_offline(struct mr_rcu_reader *r)
{
	atomic_store_explicit(&r->seen, 0, memory_order_release);
}

// The reader, online, holds none at this moment.
static inline void mr_rcu_quiescent(struct mr_rcu *rcu, struct mr_rcu_reader *r)
{
	uint64_t now = atomic_load_explicit(&rcu->now, memory_order_acquire);

	// The common case writes nothing, and the line stays with its reader.
	if (atomic_load_explicit(&r->seen, memory_order_relaxed) != now)
		atomic_store_explicit(&r->seen, now, memory_order_release);
}

// Waits until what was replaced before the call is held by nobody. `self` is the caller's own mark
// when it is a reader (it holds nothing now), or NULL.
void mr_rcu_synchronize(struct mr_rcu *rcu, struct mr_rcu_reader *self);

// Hands over something replaced: `free` runs in a later mr_rcu_collect. Any thread.
void mr_rcu_defer(struct mr_rcu *rcu, struct mr_rcu_head *h, void (*free)(struct mr_rcu_head *h));
// Frees what nobody can hold any more; never waits. Returns how many are left. Any thread.
uint64_t mr_rcu_collect(struct mr_rcu *rcu);
