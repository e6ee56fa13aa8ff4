// Pages of pointers, copied when they are shared.
#include "host/base/sorted.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// 256 pointers are 2 KiB; with pages half to wholly full, 65,536 items are some 350 pages, about as
// many as a page has items, which makes the cost of a change least.
enum { PAGE_ITEMS = 256 };

struct page {
	_Atomic uint32_t references;
	uint32_t count; // never 0 in a list
	void *items[PAGE_ITEMS];
};

struct mr_sorted {
	_Atomic uint32_t references;
	const struct mr_sorted_form *form;
	size_t count;
	size_t pages_count, pages_max;
	struct page **pages;
};

static void item_get(const struct mr_sorted *s, void *item)
{
	if (s->form->get)
		s->form->get(item);
}

static void item_put(const struct mr_sorted *s, void *item)
{
	if (s->form->put)
		s->form->put(item);
}

static struct page *page_create(void)
{
	struct page *p = malloc(sizeof(*p));

	MR_ASSERT(p);
	atomic_init(&p->references, 1);
	p->count = 0;
	return p;
}

static void page_put(const struct mr_sorted *s, struct page *p)
{
	if (atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < p->count; i++)
		item_put(s, p->items[i]);
	free(p);
}

struct mr_sorted *mr_sorted_create(const struct mr_sorted_form *form)
{
	struct mr_sorted *s = calloc(1, sizeof(*s));

	MR_ASSERT(s);
	atomic_init(&s->references, 1);
	s->form = form;
	return s;
}

struct mr_sorted *mr_sorted_get(struct mr_sorted *s)
{
	atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
	return s;
}

void mr_sorted_put(struct mr_sorted *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < s->pages_count; i++)
		page_put(s, s->pages[i]);
	free(s->pages);
	free(s);
}

size_t mr_sorted_count(const struct mr_sorted *s)
{
	return s->count;
}

// ---- finding

// The page where `key` is or belongs: the last that does not begin above it.
static size_t find_page(const struct mr_sorted *s, const void *key)
{
	size_t low = 0, high = s->pages_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->form->compare(s->pages[mid]->items[0], key) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? low - 1 : 0;
}

// The first item of the page that is not below `key`.
static uint32_t find_index(
	const struct mr_sorted *s, const struct page *p, const void *key, bool *equal)
{
	uint32_t low = 0, high = p->count;

	*equal = false;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int c = s->form->compare(p->items[mid], key);

		*equal |= c == 0;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void *mr_sorted_find(const struct mr_sorted *s, const void *key)
{
	const struct page *p;
	uint32_t index;
	bool equal;

	if (s->pages_count == 0)
		return NULL;
	p = s->pages[find_page(s, key)];
	index = find_index(s, p, key, &equal);
	return equal ? p->items[index] : NULL;
}

void *mr_sorted_next(const struct mr_sorted *s, struct mr_sorted_at *at)
{
	const struct page *p;
	void *item;

	if (at->page == s->pages_count)
		return NULL;
	p = s->pages[at->page];
	item = p->items[at->index++];
	if (at->index == p->count)
		*at = (struct mr_sorted_at){at->page + 1, 0};
	return item;
}

// ---- changing

// Makes *list the caller's alone.
static struct mr_sorted *own_list(struct mr_sorted **list)
{
	struct mr_sorted *old = *list, *s;

	// Nobody else can take a reference of a list of which the caller has the only one.
	if (atomic_load_explicit(&old->references, memory_order_acquire) == 1)
		return old;
	s = mr_sorted_create(old->form);
	s->count = old->count;
	s->pages_count = old->pages_count;
	s->pages_max = old->pages_count + 1;
	s->pages = calloc(s->pages_max, sizeof(*s->pages));
	MR_ASSERT(s->pages);
	for (size_t i = 0; i < s->pages_count; i++) {
		s->pages[i] = old->pages[i];
		atomic_fetch_add_explicit(&s->pages[i]->references, 1, memory_order_relaxed);
	}
	mr_sorted_put(old);
	*list = s;
	return s;
}

static struct page *own_page(struct mr_sorted *s, size_t at)
{
	struct page *old = s->pages[at], *p;

	if (atomic_load_explicit(&old->references, memory_order_acquire) == 1)
		return old;
	p = page_create();
	p->count = old->count;
	for (uint32_t i = 0; i < p->count; i++) {
		p->items[i] = old->items[i];
		item_get(s, p->items[i]);
	}
	page_put(s, old);
	s->pages[at] = p;
	return p;
}

static void insert_page(struct mr_sorted *s, size_t at, struct page *p)
{
	if (s->pages_count == s->pages_max) {
		s->pages_max = s->pages_max * 2 + 1;
		s->pages = realloc(s->pages, s->pages_max * sizeof(*s->pages));
		MR_ASSERT(s->pages);
	}
	memmove(&s->pages[at + 1], &s->pages[at], (s->pages_count - at) * sizeof(*s->pages));
	s->pages[at] = p;
	s->pages_count++;
}

// Makes room for one more item at `index` of a full page: its second half goes to a page of its
// own, or, where the list only grows at its end, nothing does. Returns the page to put it in.
static struct page *split(struct mr_sorted *s, size_t at, uint32_t *index)
{
	struct page *p = s->pages[at], *q = page_create();
	bool at_end = at + 1 == s->pages_count && *index == p->count;
	uint32_t keep = at_end ? p->count : p->count / 2;

	q->count = p->count - keep;
	memcpy(q->items, &p->items[keep], q->count * sizeof(*q->items));
	p->count = keep;
	insert_page(s, at + 1, q);
	if (*index <= keep && !at_end)
		return p;
	*index -= keep;
	return q;
}

void mr_sorted_add(struct mr_sorted **list, void *item)
{
	struct mr_sorted *s = own_list(list);
	struct page *p;
	uint32_t index;
	size_t at;
	bool equal;

	item_get(s, item);
	at = find_page(s, item);
	if (s->pages_count == 0)
		insert_page(s, at, page_create());
	p = own_page(s, at);
	index = find_index(s, p, item, &equal);
	if (equal) {
		item_put(s, p->items[index]);
		p->items[index] = item;
		return;
	}
	if (p->count == PAGE_ITEMS)
		p = split(s, at, &index);
	memmove(&p->items[index + 1], &p->items[index], (p->count - index) * sizeof(*p->items));
	p->items[index] = item;
	p->count++;
	s->count++;
}

bool mr_sorted_remove(struct mr_sorted **list, const void *key)
{
	struct mr_sorted *s;
	struct page *p;
	uint32_t index;
	size_t at;
	bool equal;

	if (!mr_sorted_find(*list, key))
		return false;
	s = own_list(list);
	at = find_page(s, key);
	p = own_page(s, at);
	index = find_index(s, p, key, &equal);
	// The key may be of the item itself, which lives until here.
	item_put(s, p->items[index]);
	p->count--;
	s->count--;
	memmove(&p->items[index], &p->items[index + 1], (p->count - index) * sizeof(*p->items));
	if (p->count)
		return true;
	page_put(s, p);
	s->pages_count--;
	memmove(&s->pages[at], &s->pages[at + 1], (s->pages_count - at) * sizeof(*s->pages));
	return true;
}
