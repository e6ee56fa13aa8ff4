// The list of pins and the thread that takes memory back.
#include "host/pins.h"

#include "host/base/clock.h"
#include "host/base/note.h"
#include "host/piece.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

// While a pool is short, the pins are looked through this often.
#define TICK_MS 20

struct mr_pins {
	pthread_mutex_t lock;
	struct mr_pin *first, *last; // oldest first
	struct mr_chunk_pool **pools;
	_Atomic uint32_t pools_count; // release: the pools are there
	sem_t starved;
	pthread_t thread;
	_Atomic bool ended;
	// Any thread, relaxed.
	_Atomic uint64_t bytes;   // pinned by all
	_Atomic uint64_t revoked; // owners asked to let go
	_Atomic uint64_t cut;     // owners cut off
};

// ---- pins

static bool is_in(const struct mr_version *v, const struct mr_piece *p)
{
	for (uint32_t i = 0; i < v->count; i++)
		if (v->pieces[i] == p)
			return true;
	return false;
}

// Whether the pin keeps chunks that its list has not any more.
static bool is_stale(const struct mr_pin *pin)
{
	struct mr_version *now = mr_pieces_pin(pin->list);
	bool stale = false;

	for (uint32_t i = 0; now != pin->version && !stale && i < pin->version->count; i++)
		stale = mr_piece_bytes(pin->version->pieces[i]) > 0 &&
			!is_in(now, pin->version->pieces[i]);
	mr_version_unpin(now);
	return stale;
}

void mr_pin_add(struct mr_pin *pin, struct mr_pin_owner *owner, struct mr_piece_list *list,
	struct mr_chunk_pool *pool)
{
	struct mr_version *v = mr_pieces_pin(list);
	struct mr_pins *p = owner ? owner->pins : NULL;

	*pin = (struct mr_pin){.owner = owner, .list = list, .version = v, .pool = pool};
	for (uint32_t i = 0; i < v->count; i++)
		pin->bytes += mr_piece_bytes(v->pieces[i]);
	if (!p)
		return;
	atomic_fetch_add_explicit(&owner->bytes, pin->bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->bytes, pin->bytes, memory_order_relaxed);
	pthread_mutex_lock(&p->lock);
	pin->prev = p->last;
	*(p->last ? &p->last->next : &p->first) = pin;
	p->last = pin;
	pthread_mutex_unlock(&p->lock);
}

void mr_pin_remove(struct mr_pin *pin)
{
	struct mr_pin_owner *owner = pin->owner;
	struct mr_pins *p = owner ? owner->pins : NULL;

	if (p) {
		pthread_mutex_lock(&p->lock);
		*(pin->prev ? &pin->prev->next : &p->first) = pin->next;
		*(pin->next ? &pin->next->prev : &p->last) = pin->prev;
		pthread_mutex_unlock(&p->lock);
		atomic_fetch_sub_explicit(&owner->bytes, pin->bytes, memory_order_relaxed);
		atomic_fetch_sub_explicit(&p->bytes, pin->bytes, memory_order_relaxed);
	}
	mr_version_unpin((struct mr_version *)(uintptr_t)pin->version);
}

void mr_pins_let_go(struct mr_pin_owner *o)
{
	atomic_store_explicit(&o->revoked, false, memory_order_relaxed);
}

// ---- taking back

static void count(_Atomic uint64_t *c)
{
	atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

static void revoke(struct mr_pins *p, struct mr_pin_owner *o, int64_t now_ns)
{
	if (!atomic_exchange_explicit(&o->revoked, true, memory_order_relaxed)) {
		o->revoked_ns = now_ns;
		count(&p->revoked);
		mr_note(MR_NOTE_NOTICE, "sql", "event=pins_revoked bytes=%llu",
			(unsigned long long)atomic_load(&o->bytes));
		o->wake(o);
	} else if (now_ns - o->revoked_ns > MR_PINS_PATIENCE_MS * 1000000ll) {
		o->revoked_ns = now_ns;
		count(&p->cut);
		o->cut(o);
	}
}

// Asks the oldest pin that keeps memory of the pool to let go. It has the time of a tick before
// this is called again.
static void take_back(struct mr_pins *p, struct mr_chunk_pool *pool)
{
	pthread_mutex_lock(&p->lock);
	for (struct mr_pin *pin = p->first; pin; pin = pin->next) {
		if (mr_chunk_pool_whole(pin->pool) != pool || !is_stale(pin))
			continue;
		revoke(p, pin->owner, mr_now_ns(&mr_clock_system));
		break;
	}
	pthread_mutex_unlock(&p->lock);
}

static bool look(struct mr_pins *p)
{
	bool short_of = false;

	for (uint32_t i = 0; i < atomic_load(&p->pools_count); i++) {
		if (!mr_chunk_pool_is_wanted(p->pools[i]))
			continue;
		short_of = true;
		take_back(p, p->pools[i]);
	}
	return short_of;
}

static void *pins_thread(void *arg)
{
	struct mr_pins *p = arg;
	const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};

	pthread_setname_np(pthread_self(), "mr-pins");
	while (!atomic_load(&p->ended)) {
		if (sem_wait(&p->starved) < 0)
			continue;
		while (!atomic_load(&p->ended) && look(p))
			nanosleep(&tick, NULL);
	}
	return NULL;
}

// Any thread, once until memory comes back.
static void pool_starved(void *arg)
{
	sem_post(&((struct mr_pins *)arg)->starved);
}

int mr_pins_create(struct mr_pins **out)
{
	struct mr_pins *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	sem_init(&p->starved, 0, 0);
	rc = -pthread_create(&p->thread, NULL, pins_thread, p);
	if (rc < 0) {
		sem_destroy(&p->starved);
		pthread_mutex_destroy(&p->lock);
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void mr_pins_watch(struct mr_pins *p, struct mr_chunk_pool **pools, uint32_t pools_count)
{
	p->pools = pools;
	atomic_store(&p->pools_count, pools_count);
	for (uint32_t i = 0; i < pools_count; i++)
		mr_chunk_pool_on_refuse(pools[i], pool_starved, p);
}

// The thread ends too: it is the one that looks at the pools.
void mr_pins_unwatch(struct mr_pins *p)
{
	if (atomic_exchange(&p->ended, true))
		return;
	sem_post(&p->starved);
	pthread_join(p->thread, NULL);
	for (uint32_t i = 0; i < atomic_load(&p->pools_count); i++)
		mr_chunk_pool_on_refuse(p->pools[i], NULL, NULL);
}

void mr_pins_destroy(struct mr_pins *p)
{
	if (!p)
		return;
	mr_pins_unwatch(p);
	MR_ASSERT(!p->first);
	sem_destroy(&p->starved);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int mr_pins_metrics(struct mr_pins *p, struct mr_metrics *m)
{
	const struct mr_metric bytes = {MR_METRIC_GAUGE, "millrace_sql_pinned_bytes",
		"Memory of table rows that open scans hold, current rows included.", {}};
	const struct mr_metric revoked = {MR_METRIC_COUNTER, "millrace_sql_pins_revoked_total",
		"Sessions asked to let go of rows in memory because ingest needed it.", {}};
	const struct mr_metric cut = {MR_METRIC_COUNTER, "millrace_sql_pins_cut_total",
		"Sessions cut off because they did not.", {}};
	int rc = mr_metrics_add(m, &bytes, &p->bytes);

	if (rc == 0)
		rc = mr_metrics_add(m, &revoked, &p->revoked);
	return rc == 0 ? mr_metrics_add(m, &cut, &p->cut) : rc;
}
