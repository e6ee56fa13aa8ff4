// Buddy allocator (Knowlton 1965) with exact sizes.
//
// The region is cut into pages; a block of order k is 2^k pages, aligned to its size. Free blocks
// of an order form a doubly linked list of page numbers. `free_order[page]` says, for the first
// page of a free block, its order plus one, and 0 for everything else: freeing looks up its buddy
// there. An allocation of n pages splits the smallest free block down to the order that holds n,
// and then frees the tail beyond n as aligned blocks; freeing n pages walks the same aligned
// blocks. So an allocation is a run of whole pages whose count is kept at its first page:
//
//	8 pages free, 5 wanted:  |A A A A A|. . .|  ->  free: order 0 at 5, order 1 at 6
#include "dataplane/reqmem.h"
#include "host/base/stat.h"

#include "hw/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ORDERS = 16, NONE = -1, ROUND = 4 << 20, RESERVE = 8 };

static_assert((size_t)MR_REQMEM_PAGE_BYTES << (ORDERS - 1) == MR_REQMEM_BLOCK_MAX);

struct mr_reqmem {
	struct mr_pages pages;
	uint32_t pages_count;
	uint32_t used;
	int32_t head[ORDERS];
	// For each page: links of the free list, order + 1 of a free block, length of an
	// allocation.
	int32_t *next;
	int32_t *prev;
	uint32_t *length;
	uint8_t *free_order;
	struct mr_reqmem_wait *wait_first;
	struct mr_reqmem_wait *wait_last;
	struct mr_reqmem_counters counters;
};

static void list_add(struct mr_reqmem *m, uint32_t page, unsigned order)
{
	int32_t head = m->head[order];

	m->next[page] = head;
	m->prev[page] = NONE;
	if (head != NONE)
		m->prev[head] = (int32_t)page;
	m->head[order] = (int32_t)page;
	m->free_order[page] = (uint8_t)(order + 1);
}

static void list_remove(struct mr_reqmem *m, uint32_t page, unsigned order)
{
	if (m->prev[page] != NONE)
		m->next[m->prev[page]] = m->next[page];
	else
		m->head[order] = m->next[page];
	if (m->next[page] != NONE)
		m->prev[m->next[page]] = m->prev[page];
	m->free_order[page] = 0;
}

// Frees one aligned block, joining it with its buddy as long as that is free too.
static void block_free(struct mr_reqmem *m, uint32_t page, unsigned order)
{
	while (order < ORDERS - 1) {
		uint32_t buddy = page ^ (1u << order);

		if (buddy >= m->pages_count || m->free_order[buddy] != order + 1)
			break;
		list_remove(m, buddy, order);
		page &= ~(1u << order);
		order++;
	}
	list_add(m, page, order);
}

// Frees [page, page + count) as the fewest aligned blocks.
static void run_free(struct mr_reqmem *m, uint32_t page, uint32_t count)
{
	while (count) {
		unsigned order = page ? (unsigned)__builtin_ctz(page) : ORDERS - 1;

		order = MR_MIN(order, (unsigned)ORDERS - 1);
		while ((1u << order) > count)
			order--;
		block_free(m, page, order);
		page += 1u << order;
		count -= 1u << order;
	}
}

int mr_reqmem_create(size_t bytes, int node, struct mr_reqmem **out)
{
	struct mr_reqmem *m = calloc(1, sizeof(*m));
	size_t n = mr_round_up(MR_MAX(bytes, (size_t)1), ROUND) / MR_REQMEM_PAGE_BYTES;
	int err = -ENOMEM;

	if (!m)
		return -ENOMEM;
	if (n > INT32_MAX)
		goto fail;
	m->pages_count = (uint32_t)n;
	m->next = malloc(n * sizeof(*m->next));
	m->prev = malloc(n * sizeof(*m->prev));
	m->length = calloc(n, sizeof(*m->length));
	m->free_order = calloc(n, 1);
	if (!m->next || !m->prev || !m->length || !m->free_order)
		goto fail;
	err = mr_pages_reserve(&m->pages, n * MR_REQMEM_PAGE_BYTES, MR_PAGES_TRANSPARENT, node);
	if (err < 0)
		goto fail;
	for (int i = 0; i < ORDERS; i++)
		m->head[i] = NONE;
	run_free(m, 0, m->pages_count);
	atomic_store_explicit(&m->counters.region_bytes, m->pages.bytes, memory_order_relaxed);
	*out = m;
	return 0;
fail:
	free(m->next);
	free(m->prev);
	free(m->length);
	free(m->free_order);
	free(m);
	return err;
}

void mr_reqmem_destroy(struct mr_reqmem *m)
{
	if (!m)
		return;
	MR_ASSERT(m->used == 0);
	mr_pages_release(&m->pages);
	free(m->next);
	free(m->prev);
	free(m->length);
	free(m->free_order);
	free(m);
}

static void count_used(struct mr_reqmem *m)
{
	uint64_t bytes = (uint64_t)m->used * MR_REQMEM_PAGE_BYTES;

	atomic_store_explicit(&m->counters.used_bytes, bytes, memory_order_relaxed);
	if (bytes > atomic_load_explicit(&m->counters.used_bytes_peak, memory_order_relaxed))
		atomic_store_explicit(&m->counters.used_bytes_peak, bytes, memory_order_relaxed);
}

static uint32_t pages_for(size_t bytes)
{
	return (uint32_t)((MR_MAX(bytes, (size_t)1) + MR_REQMEM_PAGE_BYTES - 1) /
			  MR_REQMEM_PAGE_BYTES);
}

// The smallest order whose free list can serve `count` pages, or ORDERS.
static unsigned order_for(const struct mr_reqmem *m, uint32_t count)
{
	unsigned order = count > 1 ? 32u - (unsigned)__builtin_clz(count - 1) : 0;

	while (order < ORDERS && m->head[order] == NONE)
		order++;
	return order;
}

uint8_t *mr_reqmem_alloc(struct mr_reqmem *m, size_t bytes)
{
	uint32_t count = bytes <= MR_REQMEM_BLOCK_MAX ? pages_for(bytes) : 0;
	unsigned order = count ? order_for(m, count) : ORDERS;
	uint32_t page;

	if (order >= ORDERS) {
		mr_stat_add(&m->counters.failed, 1);
		return NULL;
	}
	page = (uint32_t)m->head[order];
	list_remove(m, page, order);
	run_free(m, page + count, (1u << order) - count);
	m->length[page] = count;
	m->used += count;
	mr_stat_add(&m->counters.allocs, 1);
	count_used(m);
	return m->pages.data + (size_t)page * MR_REQMEM_PAGE_BYTES;
}

// A request that is larger than what intake may fill is admitted when nothing else is there.
static bool can_admit(const struct mr_reqmem *m, size_t bytes)
{
	size_t limit = m->pages_count - m->pages_count / RESERVE;

	return m->used + (size_t)pages_for(bytes) <= limit || m->used == 0;
}

uint8_t *mr_reqmem_admit(struct mr_reqmem *m, size_t bytes)
{
	if (m->wait_first || !can_admit(m, bytes))
		return NULL;
	return mr_reqmem_alloc(m, bytes);
}

void mr_reqmem_free(struct mr_reqmem *m, void *p)
{
	size_t off = (size_t)((uint8_t *)p - m->pages.data);
	uint32_t page = (uint32_t)(off / MR_REQMEM_PAGE_BYTES), count;

	MR_ASSERT(off < m->pages.bytes && off % MR_REQMEM_PAGE_BYTES == 0);
	count = m->length[page];
	MR_ASSERT(count > 0 && count <= m->used); // not allocated, or freed twice
#ifdef MR_DEBUG
	memset(p, 0xdb, (size_t)count * MR_REQMEM_PAGE_BYTES);
#endif
	m->length[page] = 0;
	m->used -= count;
	run_free(m, page, count);
	count_used(m);
}

size_t mr_reqmem_block_max(const struct mr_reqmem *m)
{
	uint32_t whole = 1u << (31 - __builtin_clz(m->pages_count));

	return MR_MIN((size_t)whole * MR_REQMEM_PAGE_BYTES, (size_t)MR_REQMEM_BLOCK_MAX);
}

size_t mr_reqmem_used(const struct mr_reqmem *m)
{
	return (size_t)m->used * MR_REQMEM_PAGE_BYTES;
}

void mr_reqmem_wait(struct mr_reqmem *m, struct mr_reqmem_wait *w, size_t bytes)
{
	MR_ASSERT(!w->waiting);
	MR_ASSERT(bytes <= mr_reqmem_block_max(m));
	*w = (struct mr_reqmem_wait){NULL, m->wait_last, bytes, true, w->ready};
	if (m->wait_last)
		m->wait_last->next = w;
	else
		m->wait_first = w;
	m->wait_last = w;
	mr_stat_add(&m->counters.waits, 1);
}

void mr_reqmem_unwait(struct mr_reqmem *m, struct mr_reqmem_wait *w)
{
	if (!w->waiting)
		return;
	if (w->prev)
		w->prev->next = w->next;
	else
		m->wait_first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		m->wait_last = w->prev;
	w->next = w->prev = NULL;
	w->waiting = false;
}

bool mr_reqmem_has_waiters(const struct mr_reqmem *m)
{
	return m->wait_first;
}

int mr_reqmem_serve(struct mr_reqmem *m)
{
	int served = 0;

	while (m->wait_first) {
		struct mr_reqmem_wait *w = m->wait_first;
		uint8_t *memory = can_admit(m, w->bytes) ? mr_reqmem_alloc(m, w->bytes) : NULL;

		if (!memory)
			break;
		mr_reqmem_unwait(m, w);
		w->ready(w, memory);
		served++;
	}
	return served;
}

struct mr_reqmem_counters *mr_reqmem_counters(struct mr_reqmem *m)
{
	return &m->counters;
}
