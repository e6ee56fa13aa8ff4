// A list of the segments whose footers are in memory, the one used last first.
#include "storage/footer_cache.h"

#include <errno.h>
#include <stdlib.h>

struct mr_footer_cache {
	_Atomic uint32_t references;
	pthread_mutex_t lock; // of everything below, and of the segments' fields
	size_t bytes_max;
	struct mr_segment *newest, *oldest;
	struct mr_footer_stats stats;
};

int mr_footer_cache_create(size_t bytes_max, struct mr_footer_cache **out)
{
	struct mr_footer_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	atomic_init(&c->references, 1);
	pthread_mutex_init(&c->lock, NULL);
	c->bytes_max = bytes_max;
	*out = c;
	return 0;
}

void mr_footer_cache_put(struct mr_footer_cache *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
		return;
	MR_ASSERT(!c->newest && !c->stats.bytes);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void mr_footer_cache_join(struct mr_footer_cache *c, struct mr_segment *s)
{
	MR_ASSERT(!s->cache && !s->footer);
	atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
	s->cache = c;
}

void mr_footer_cache_stats(struct mr_footer_cache *c, struct mr_footer_stats *out)
{
	pthread_mutex_lock(&c->lock);
	*out = c->stats;
	pthread_mutex_unlock(&c->lock);
}

// ---- under the lock

static void link_newest(struct mr_footer_cache *c, struct mr_segment *s)
{
	s->newer = NULL;
	s->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = s;
	c->newest = s;
}

static void unlink_one(struct mr_footer_cache *c, struct mr_segment *s)
{
	*(s->newer ? &s->newer->older : &c->newest) = s->older;
	*(s->older ? &s->older->newer : &c->oldest) = s->newer;
}

static void forget(struct mr_footer_cache *c, struct mr_segment *s)
{
	unlink_one(c, s);
	c->stats.bytes -= s->footer->bytes;
	mr_segment_footer_destroy(s->footer);
	s->footer = NULL;
}

static void evict(struct mr_footer_cache *c)
{
	struct mr_segment *s = c->oldest;

	while (s && c->stats.bytes > c->bytes_max) {
		struct mr_segment *newer = s->newer;

		if (!s->footer_pins) {
			forget(c, s);
			c->stats.evictions++;
		}
		s = newer;
	}
}

// ---- what segments and readers call

void mr_footer_cache_limit(struct mr_footer_cache *c, size_t bytes_max)
{
	pthread_mutex_lock(&c->lock);
	c->bytes_max = bytes_max;
	evict(c);
	pthread_mutex_unlock(&c->lock);
}

bool mr_footer_pin(struct mr_segment *s)
{
	struct mr_footer_cache *c = s->cache;
	bool there;

	if (!c)
		return s->footer;
	pthread_mutex_lock(&c->lock);
	there = s->footer;
	if (there) {
		s->footer_pins++;
		unlink_one(c, s);
		link_newest(c, s);
	}
	pthread_mutex_unlock(&c->lock);
	return there;
}

void mr_footer_unpin(struct mr_segment *s)
{
	struct mr_footer_cache *c = s->cache;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	MR_ASSERT(s->footer_pins > 0);
	s->footer_pins--;
	evict(c);
	pthread_mutex_unlock(&c->lock);
}

void mr_footer_add(struct mr_segment *s, struct mr_segment_footer *f)
{
	struct mr_footer_cache *c = s->cache;

	MR_ASSERT(!s->footer);
	if (!c) {
		s->footer = f;
		return;
	}
	pthread_mutex_lock(&c->lock);
	s->footer = f;
	s->footer_pins = 1;
	link_newest(c, s);
	c->stats.bytes += f->bytes;
	c->stats.loads++;
	evict(c);
	pthread_mutex_unlock(&c->lock);
}

void mr_footer_drop(struct mr_segment *s)
{
	struct mr_footer_cache *c = s->cache;

	if (!c) {
		mr_segment_footer_destroy(s->footer);
		return;
	}
	pthread_mutex_lock(&c->lock);
	MR_ASSERT(!s->footer_pins);
	if (s->footer)
		forget(c, s);
	pthread_mutex_unlock(&c->lock);
	mr_footer_cache_put(c);
}
