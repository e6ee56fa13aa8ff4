// Grace periods: the writer's side. See rcu.h for the orders.
#include "host/base/rcu.h"

#include <time.h>

enum { SPINS = 64, SLEEP_NS_MIN = 1000, SLEEP_NS_MAX = 1000000 };

void mr_rcu_init(struct mr_rcu *rcu)
{
	*rcu = (struct mr_rcu){0};
	atomic_init(&rcu->now, 1);
	MR_ASSERT(pthread_mutex_init(&rcu->lock, NULL) == 0);
}

static void free_all(struct mr_rcu_head *h)
{
	while (h) {
		struct mr_rcu_head *next = h->next;

		h->free(h);
		h = next;
	}
}

void mr_rcu_fini(struct mr_rcu *rcu)
{
	MR_ASSERT(!rcu->readers);
	free_all(rcu->first);
	pthread_mutex_destroy(&rcu->lock);
}

void mr_rcu_register(struct mr_rcu *rcu, struct mr_rcu_reader *r)
{
	atomic_init(&r->seen, 0);
	pthread_mutex_lock(&rcu->lock);
	r->next = rcu->readers;
	rcu->readers = r;
	pthread_mutex_unlock(&rcu->lock);
}

void mr_rcu_unregister(struct mr_rcu *rcu, struct mr_rcu_reader *r)
{
	struct mr_rcu_reader **at = &rcu->readers;

	mr_rcu_offline(r);
	pthread_mutex_lock(&rcu->lock);
	while (*at && *at != r)
		at = &(*at)->next;
	MR_ASSERT(*at == r);
	*at = r->next;
	pthread_mutex_unlock(&rcu->lock);
}

// The oldest count that an online reader shows; UINT64_MAX when none is online. Under the lock.
static uint64_t oldest_seen(const struct mr_rcu *rcu)
{
	uint64_t oldest = UINT64_MAX;

	for (const struct mr_rcu_reader *r = rcu->readers; r; r = r->next) {
		uint64_t seen = atomic_load_explicit(&r->seen, memory_order_seq_cst);

		if (seen && seen < oldest)
			oldest = seen;
	}
	return oldest;
}

static uint64_t next_period(struct mr_rcu *rcu)
{
	return atomic_fetch_add_explicit(&rcu->now, 1, memory_order_seq_cst) + 1;
}

static bool has_passed(struct mr_rcu *rcu, uint64_t period)
{
	bool passed;

	pthread_mutex_lock(&rcu->lock);
	passed = oldest_seen(rcu) >= period;
	pthread_mutex_unlock(&rcu->lock);
	return passed;
}

void mr_rcu_synchronize(struct mr_rcu *rcu, struct mr_rcu_reader *self)
{
	uint64_t period = next_period(rcu);
	long sleep_ns = SLEEP_NS_MIN;

	if (self && atomic_load_explicit(&self->seen, memory_order_relaxed))
		mr_rcu_quiescent(rcu, self);
	for (int i = 0; !has_passed(rcu, period); i++) {
		struct timespec ts = {.tv_nsec = sleep_ns};

		if (i < SPINS)
			continue;
		nanosleep(&ts, NULL);
		sleep_ns = MR_MIN(sleep_ns * 2, (long)SLEEP_NS_MAX);
	}
}

void mr_rcu_defer(struct mr_rcu *rcu, struct mr_rcu_head *h, void (*free)(struct mr_rcu_head *h))
{
	pthread_mutex_lock(&rcu->lock);
	// Counted under the lock, so that the list is in the order of its periods.
	*h = (struct mr_rcu_head){NULL, free, next_period(rcu)};
	if (rcu->first)
		rcu->last->next = h;
	else
		rcu->first = h;
	rcu->last = h;
	rcu->deferred++;
	pthread_mutex_unlock(&rcu->lock);
}

uint64_t mr_rcu_collect(struct mr_rcu *rcu)
{
	struct mr_rcu_head *ready, **at;
	uint64_t left, oldest;

	pthread_mutex_lock(&rcu->lock);
	oldest = oldest_seen(rcu);
	ready = rcu->first;
	at = &ready;
	while (*at && (*at)->after <= oldest) {
		at = &(*at)->next;
		rcu->deferred--;
	}
	rcu->first = *at;
	*at = NULL;
	left = rcu->deferred;
	pthread_mutex_unlock(&rcu->lock);
	free_all(ready);
	return left;
}
