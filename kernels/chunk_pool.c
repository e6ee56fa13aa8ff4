// The chunk pool: one reserved mapping, cut into blocks.
//
// A byte per block says whether it is taken. Single blocks (string heaps) are taken from the top,
// longer runs (the arrays of a chunk) from the bottom, first fit, so that short and long ones do
// not cut each other's holes to pieces and used pages are used again first. A search walks bytes:
// 16 Ki of them for a pool of 4 GiB, once per quarter megabyte of text or once per chunk.
//
// What was never taken is therefore one stretch in the middle. Its two ends are committed ahead of
// need, by a thread with time for it: a worker at its limit spends a fifth of it on the kernel's
// clearing of pages otherwise. Pages once committed are kept.
//
// A share counts what was taken through it and has no blocks of its own: lock, mapping and marks
// are the whole's.
#include "kernels/chunk.h"

#include "hw/pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

// Blocks [low, high).
struct stretch {
	size_t low;
	size_t high;
};

struct mr_chunk_pool {
	struct mr_chunk_pool *whole; // itself when it is no share
	size_t blocks_used;          // through this one; of the whole: all
	struct mr_chunk_pool *share_next;
	// Of the whole only.
	pthread_mutex_t lock;
	struct mr_chunk_pool *shares;
	_Atomic size_t shares_count;
	bool wanted; // somebody was refused since the last wake
	void (*wake)(void *arg);
	void *wake_arg;
	void (*refused)(void *arg);
	void *refused_arg;
	struct mr_pages pages;
	size_t blocks_count;
	size_t ahead_count; // to be committed at each end of what is fresh
	void (*fell_short)(void *arg);
	void *fell_short_arg;
	_Atomic bool short_told;
	_Atomic size_t fresh_low; // [low, high) was never taken; under the lock
	_Atomic size_t fresh_high;
	_Atomic size_t committed_low; // and was not committed in [low, high); one thread
	_Atomic size_t committed_high;
	uint8_t taken[];
};

static size_t blocks_of(size_t bytes)
{
	return (bytes + MR_CHUNK_BLOCK_BYTES - 1) / MR_CHUNK_BLOCK_BYTES;
}

int mr_chunk_pool_create(size_t bytes_max, int node, struct mr_chunk_pool **out)
{
	size_t blocks = MR_MAX(bytes_max / MR_CHUNK_BLOCK_BYTES, (size_t)1);
	struct mr_chunk_pool *p = calloc(1, sizeof(*p) + blocks);
	int rc;

	if (!p)
		return -ENOMEM;
	rc = mr_pages_reserve(&p->pages, blocks * MR_CHUNK_BLOCK_BYTES, MR_PAGES_SMALL, node);
	if (rc) {
		free(p);
		return rc;
	}
	p->whole = p;
	p->blocks_count = blocks;
	p->fresh_high = p->committed_high = blocks;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

// ---- memory ahead

// What nobody has touched of the stretch that was never taken. Any thread: an older view of either
// leads to a block committed twice, or somewhat later.
static struct stretch untouched(const struct mr_chunk_pool *w)
{
	struct stretch u = {MR_MAX(w->committed_low, w->fresh_low), 0};

	u.high = MR_MAX(MR_MIN(w->committed_high, w->fresh_high), u.low);
	return u;
}

// The block to commit next: at the end of the fresh stretch that has less than ahead_count
// committed ones, or blocks_count when neither has.
static size_t next_ahead(const struct mr_chunk_pool *w, struct stretch u)
{
	if (!w->shares_count || u.low == u.high)
		return w->blocks_count;
	if (u.low < w->fresh_low + w->ahead_count)
		return u.low;
	return w->fresh_high < u.high + w->ahead_count ? u.high - 1 : w->blocks_count;
}

static void tell_if_short(struct mr_chunk_pool *w)
{
	if (w->short_told || !w->fell_short || next_ahead(w, untouched(w)) == w->blocks_count)
		return;
	w->short_told = true;
	w->fell_short(w->fell_short_arg);
}

// Under the lock.
static void note_taken(struct mr_chunk_pool *w, size_t first, size_t count)
{
	if (first + count <= w->fresh_low || first >= w->fresh_high)
		return;
	if (first + count == w->fresh_high)
		w->fresh_high = MR_MAX(first, w->fresh_low);
	else
		w->fresh_low = MR_MIN(first + count, w->fresh_high);
	tell_if_short(w);
}

void mr_chunk_pool_keep_ahead(
	struct mr_chunk_pool *p, size_t bytes, void (*fell_short)(void *arg), void *arg)
{
	p->ahead_count = blocks_of(bytes) / 2;
	p->fell_short = fell_short;
	p->fell_short_arg = arg;
}

// Without the lock: the thread that calls this may wait long for a core, and a worker would for it.
bool mr_chunk_pool_commit_ahead(struct mr_chunk_pool *p)
{
	struct stretch u;
	size_t at;

	p->short_told = false;
	u = untouched(p);
	at = next_ahead(p, u);
	if (at == p->blocks_count)
		return false;
	if (at == u.low)
		p->committed_low = at + 1;
	else
		p->committed_high = at;
	// What the kernel refuses is left to the worker's own touch.
	return mr_pages_commit(&p->pages, at * MR_CHUNK_BLOCK_BYTES, MR_CHUNK_BLOCK_BYTES) == 0;
}

size_t mr_chunk_pool_bytes_committed(struct mr_chunk_pool *p)
{
	struct stretch u = untouched(p);

	return (p->blocks_count - (u.high - u.low)) * MR_CHUNK_BLOCK_BYTES;
}

// ---- shares

int mr_chunk_pool_share(struct mr_chunk_pool *whole, struct mr_chunk_pool **out)
{
	struct mr_chunk_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	MR_ASSERT(whole->whole == whole);
	p->whole = whole;
	pthread_mutex_lock(&whole->lock);
	p->share_next = whole->shares;
	whole->shares = p;
	whole->shares_count++;
	tell_if_short(whole);
	pthread_mutex_unlock(&whole->lock);
	*out = p;
	return 0;
}

static void share_destroy(struct mr_chunk_pool *p)
{
	struct mr_chunk_pool *w = p->whole, **at = &w->shares;

	pthread_mutex_lock(&w->lock);
	MR_ASSERT(p->blocks_used == 0);
	while (*at != p)
		at = &(*at)->share_next;
	*at = p->share_next;
	w->shares_count--;
	pthread_mutex_unlock(&w->lock);
	free(p);
}

void mr_chunk_pool_destroy(struct mr_chunk_pool *p)
{
	if (!p)
		return;
	if (p->whole != p) {
		share_destroy(p);
		return;
	}
	MR_ASSERT(p->blocks_used == 0 && !p->shares);
	mr_pages_release(&p->pages);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct mr_chunk_pool *mr_chunk_pool_whole(struct mr_chunk_pool *p)
{
	return p->whole;
}

void mr_chunk_pool_on_give(struct mr_chunk_pool *p, void (*wake)(void *arg), void *arg)
{
	p->wake = wake;
	p->wake_arg = arg;
}

void mr_chunk_pool_on_refuse(struct mr_chunk_pool *p, void (*refused)(void *arg), void *arg)
{
	pthread_mutex_lock(&p->lock);
	p->refused = refused;
	p->refused_arg = arg;
	pthread_mutex_unlock(&p->lock);
}

bool mr_chunk_pool_is_wanted(struct mr_chunk_pool *p)
{
	bool wanted;

	pthread_mutex_lock(&p->whole->lock);
	wanted = p->whole->wanted;
	pthread_mutex_unlock(&p->whole->lock);
	return wanted;
}

size_t mr_chunk_pool_bytes_used(struct mr_chunk_pool *p)
{
	size_t blocks;

	pthread_mutex_lock(&p->whole->lock);
	blocks = p->blocks_used;
	pthread_mutex_unlock(&p->whole->lock);
	return blocks * MR_CHUNK_BLOCK_BYTES;
}

size_t mr_chunk_pool_bytes_max(struct mr_chunk_pool *p)
{
	return p->whole->blocks_count * MR_CHUNK_BLOCK_BYTES;
}

// The first block of a free run of `want` from the bottom, or blocks_count.
static size_t find_run(const struct mr_chunk_pool *p, size_t want)
{
	size_t run = 0;

	for (size_t i = 0; i < p->blocks_count; i++) {
		run = p->taken[i] ? 0 : run + 1;
		if (run == want)
			return i + 1 - want;
	}
	return p->blocks_count;
}

static size_t find_last(const struct mr_chunk_pool *p)
{
	for (size_t i = p->blocks_count; i-- > 0;)
		if (!p->taken[i])
			return i;
	return p->blocks_count;
}

// Whether `want` more blocks leave what is kept for the other shares.
static bool may_take(const struct mr_chunk_pool *p, size_t want)
{
	const struct mr_chunk_pool *w = p->whole;
	size_t each = w->shares_count ? w->blocks_count / 2 / w->shares_count : 0;
	size_t kept = 0;

	if (p == w || p->blocks_used == 0 || p->blocks_used + want <= each)
		return true;
	for (const struct mr_chunk_pool *s = w->shares; s; s = s->share_next)
		if (s != p && s->blocks_used < each)
			kept += each - s->blocks_used;
	return want + kept <= w->blocks_count - w->blocks_used;
}

// The first of `want` blocks that may be taken, or blocks_count, which is noted. Under the lock.
static size_t find(struct mr_chunk_pool *p, size_t want, bool urgent)
{
	struct mr_chunk_pool *w = p->whole;
	size_t first = w->blocks_count;

	if (urgent || may_take(p, want))
		first = want == 1 ? find_last(w) : find_run(w, want);
	if (first < w->blocks_count || w->wanted)
		return first;
	w->wanted = true;
	if (w->refused)
		w->refused(w->refused_arg);
	return first;
}

bool mr_chunk_pool_has(struct mr_chunk_pool *p, size_t bytes)
{
	struct mr_chunk_pool *w = p->whole;
	bool has;

	pthread_mutex_lock(&w->lock);
	has = find(p, blocks_of(bytes), false) < w->blocks_count;
	pthread_mutex_unlock(&w->lock);
	return has;
}

// ---- taking and giving back

static void *take(struct mr_chunk_pool *p, size_t bytes, bool urgent)
{
	struct mr_chunk_pool *w = p->whole;
	size_t want = blocks_of(bytes);
	void *memory = NULL;
	size_t first;

	MR_ASSERT(want > 0);
	pthread_mutex_lock(&w->lock);
	first = find(p, want, urgent);
	if (first < w->blocks_count) {
		memset(w->taken + first, 1, want);
		w->blocks_used += want;
		if (p != w)
			p->blocks_used += want;
		note_taken(w, first, want);
		memory = w->pages.data + first * MR_CHUNK_BLOCK_BYTES;
	}
	pthread_mutex_unlock(&w->lock);
	return memory;
}

void *mr_chunk_pool_take(struct mr_chunk_pool *p, size_t bytes)
{
	return take(p, bytes, false);
}

void *mr_chunk_pool_take_urgent(struct mr_chunk_pool *p, size_t bytes)
{
	return take(p, bytes, true);
}

void mr_chunk_pool_give(struct mr_chunk_pool *p, void *memory, size_t bytes)
{
	struct mr_chunk_pool *w = p->whole;
	size_t first = (size_t)((uint8_t *)memory - w->pages.data) / MR_CHUNK_BLOCK_BYTES;
	size_t count = blocks_of(bytes);
	bool wake;

	pthread_mutex_lock(&w->lock);
	MR_ASSERT(first + count <= w->blocks_count);
	for (size_t i = first; i < first + count; i++) {
		MR_ASSERT(w->taken[i]);
		w->taken[i] = 0;
	}
	w->blocks_used -= count;
	if (p != w)
		p->blocks_used -= count;
	wake = w->wanted && w->wake;
	w->wanted = false;
	pthread_mutex_unlock(&w->lock);
	if (wake)
		w->wake(w->wake_arg);
}
