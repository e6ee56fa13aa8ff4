// Links over memory.
#include "tests/lib/mem_link.h"

#include <errno.h>

static int mem_read(struct mr_link *l, void *data, size_t bytes_max, int)
{
	struct mr_mem_link *m = MR_CONTAINER(l, struct mr_mem_link, link);
	size_t n = MR_MIN(m->input.bytes - m->at, bytes_max);

	if (atomic_exchange(&m->is_woken, false))
		return -EINTR;
	if (n == 0)
		return m->end;
	if (m->read_max)
		n = MR_MIN(n, m->read_max);
	if (m->cut > m->at)
		n = MR_MIN(n, m->cut - m->at);
	memcpy(data, m->input.data + m->at, n);
	m->at += n;
	return (int)n;
}

static int mem_write(struct mr_link *l, const void *data, size_t bytes)
{
	struct mr_mem_link *m = MR_CONTAINER(l, struct mr_mem_link, link);

	if (m->write_max && m->output.bytes + bytes > m->write_max)
		return -EPIPE;
	mr_buf_add(&m->output, data, bytes);
	return 0;
}

static void mem_end_input(struct mr_link *l)
{
	struct mr_mem_link *m = MR_CONTAINER(l, struct mr_mem_link, link);

	m->input.bytes = m->at;
}

static void mem_wake(struct mr_link *l)
{
	MR_CONTAINER(l, struct mr_mem_link, link)->is_woken = true;
}

static void mem_cut(struct mr_link *l)
{
	MR_CONTAINER(l, struct mr_mem_link, link)->is_cut = true;
}

static const struct mr_link_ops mem_ops = {mem_read, mem_write, mem_end_input, mem_wake, mem_cut};

void mr_mem_link_init(struct mr_mem_link *m, struct mr_span input)
{
	*m = (struct mr_mem_link){.link = {.ops = &mem_ops}, .input = input};
}

void mr_mem_link_fini(struct mr_mem_link *m)
{
	mr_buf_fini(&m->output);
}
