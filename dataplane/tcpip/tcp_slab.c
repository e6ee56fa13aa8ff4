// Slabs: everything that TCP holds lies in slots of a fixed number, reserved at start. Reserving
// takes address space only; a slot costs memory from its first use on.
#include "dataplane/tcpip/tcp_int.h"

int mr_tcp_slab_init(
	struct mr_tcp_slab *s, uint32_t max, uint32_t stride, enum mr_pages_kind kind, int node)
{
	*s = (struct mr_tcp_slab){.stride = stride, .max = max};
	return mr_pages_reserve(&s->pages, (size_t)max * stride, kind, node);
}

void mr_tcp_slab_fini(struct mr_tcp_slab *s)
{
	if (s->pages.data)
		mr_pages_release(&s->pages);
}

uint32_t mr_tcp_slab_get(struct mr_tcp_slab *s)
{
	uint32_t id = s->free;

	if (id)
		memcpy(&s->free, mr_tcp_slab_at(s, id), sizeof(s->free));
	else if (s->high < s->max)
		id = ++s->high;
	s->used += id != 0;
	return id;
}

void mr_tcp_slab_put(struct mr_tcp_slab *s, uint32_t id)
{
	MR_ASSERT(id > 0 && id <= s->high && s->used > 0);
	memcpy(mr_tcp_slab_at(s, id), &s->free, sizeof(s->free));
	s->free = id;
	s->used--;
}
