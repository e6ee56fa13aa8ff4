// See read_room.h.
#include "host/read_room.h"

#include "storage/io.h"

#include <errno.h>
#include <stdlib.h>

void mr_read_room_init(struct mr_read_room *r, uint64_t bytes_max)
{
	*r = (struct mr_read_room){.bytes_max = bytes_max};
	r->last = &r->first;
}

static void enlist(struct mr_read_room *r, struct mr_read_wait *w)
{
	if (w->waiting)
		return;
	w->waiting = true;
	w->next = NULL;
	*r->last = w;
	r->last = &w->next;
	r->waits++;
}

static struct mr_read_wait *unlist_first(struct mr_read_room *r)
{
	struct mr_read_wait *w = r->first;

	r->first = w->next;
	if (!r->first)
		r->last = &r->first;
	w->waiting = false;
	return w;
}

// Whoever comes while others wait goes behind them; who is told has left the list.
int mr_read_take(struct mr_read_room *r, size_t bytes, struct mr_read_wait *w, uint8_t **out)
{
	if (r->bytes && (r->bytes + bytes > r->bytes_max || (r->first && !r->giving))) {
		enlist(r, w);
		return -EAGAIN;
	}
	*out = (uint8_t *)aligned_alloc(MR_IO_ALIGN, mr_round_up(bytes, MR_IO_ALIGN));
	if (!*out)
		return -ENOMEM;
	r->bytes += bytes;
	r->bytes_peak = MR_MAX(r->bytes_peak, r->bytes);
	return 0;
}

void mr_read_give(struct mr_read_room *r, uint8_t *data, size_t bytes)
{
	if (!data)
		return;
	free(data);
	MR_ASSERT(r->bytes >= bytes);
	r->bytes -= bytes;
	// Those that are told may give back, too: that is seen here.
	if (r->giving)
		return;
	r->giving = true;
	for (uint64_t waits = r->waits; r->first && r->waits == waits;) {
		struct mr_read_wait *w = unlist_first(r);

		w->ready(w);
	}
	r->giving = false;
}

void mr_read_forget(struct mr_read_room *r, struct mr_read_wait *w)
{
	struct mr_read_wait **at = &r->first;

	if (!w->waiting)
		return;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (!*at)
		r->last = at;
	w->waiting = false;
}
