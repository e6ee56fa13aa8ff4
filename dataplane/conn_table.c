// All connections of a worker: limits, lines of the waiting, timeouts, listing.
#include "dataplane/conn.h"
#include "dataplane/conn_int.h"

#include <errno.h>
#include <stdlib.h>

enum { DESTROY_TURNS = 1000, NS_PER_S = 1000000000, LOOK_MIN = 1024, LOOK_TICKS = 10 };

static void fill_limits(struct mr_conn_limits *l, const struct mr_conn_limits *given)
{
	*l = given ? *given : (struct mr_conn_limits){0};
#define FILL(field, value) l->field = l->field ? l->field : (value)
	FILL(connections_max, MR_CONN_CONNECTIONS_MAX);
	FILL(request_bytes_max, MR_CONN_REQUEST_BYTES_MAX);
	FILL(requests_per_connection, MR_CONN_REQUESTS_PER_CONNECTION);
	FILL(requests_max, MR_CONN_REQUESTS_MAX);
	FILL(output_bytes_max, MR_CONN_OUTPUT_BYTES_MAX);
	FILL(request_memory_bytes, MR_CONN_REQUEST_MEMORY_BYTES);
	FILL(idle_ns, MR_CONN_IDLE_NS);
	FILL(slow_request_ns, MR_CONN_SLOW_REQUEST_NS);
	FILL(slow_request_rate, MR_CONN_SLOW_REQUEST_RATE);
#undef FILL
}

// Serves those who wait for a request object, as long as there are any.
static void pool_serve(struct mr_conns *conns)
{
	uint32_t unused = conns->limits.requests_max - conns->pool_in_use;

	while (conns->pool_wait_first && unused--) {
		struct mr_conn *c = conns->pool_wait_first;

		conns->pool_wait_first = c->pool_next;
		c->pool_waiting = false;
		mr_conn_resume(c, PAUSE_POOL);
	}
}

static void serve_task(struct mr_net_task *t)
{
	struct mr_conns *conns = MR_CONTAINER(t, struct mr_conns, serve);

	mr_reqmem_serve(conns->reqmem);
	pool_serve(conns);
}

// A frame may take slow_request_ns plus its length at slow_request_rate; our own pauses do not
// count.
static bool is_slow(const struct mr_conn *c, int64_t now)
{
	const struct mr_conn_limits *l = &c->conns->limits;
	int64_t allowed = l->slow_request_ns;

	if (!c->head_bytes || c->pause)
		return false;
	if (c->head_bytes == sizeof(c->head))
		allowed += (int64_t)c->frame_bytes * NS_PER_S / l->slow_request_rate;
	return now - c->frame_ns > allowed;
}

// Nothing moved, and we owe nothing: either all is answered, or the peer does not read its answers.
// A frame that is under way has a limit of its own.
static bool is_idle(const struct mr_conn *c, int64_t now)
{
	bool owes = (c->requests && !c->sending) || c->head_bytes;

	return !owes && now - c->stream->moved_ns > c->conns->limits.idle_ns;
}

// All of a small table, a tenth of a big one: there a connection is looked at once a second.
static void on_tick(struct mr_net_ticker *t)
{
	struct mr_conns *conns = MR_CONTAINER(t, struct mr_conns, ticker);
	int64_t now = mr_net_now_ns(conns->net);
	uint32_t used = conns->table_used, count = MR_MAX(LOOK_MIN, used / LOOK_TICKS + 1);

	for (uint32_t i = 0; i < MR_MIN(count, used); i++) {
		struct mr_conn *c = &conns->table[conns->look_at++ % used];

		if (!c->used || !c->stream || c->closing)
			continue;
		if (is_slow(c, now))
			mr_conn_close(c, &conns->counters.closed_slow);
		else if (is_idle(c, now))
			mr_conn_close(c, &conns->counters.closed_idle);
	}
}

int mr_conns_create(
	struct mr_net *net, const struct mr_conn_limits *limits, int node, struct mr_conns **out)
{
	struct mr_conns *conns = calloc(1, sizeof(*conns));
	struct mr_conn_limits *l;
	size_t block_max;
	int err;

	if (!conns)
		return -ENOMEM;
	l = &conns->limits;
	fill_limits(l, limits);
	conns->net = net;
	conns->ticker.tick = on_tick;
	conns->serve.run = serve_task;
	err = mr_reqmem_create(l->request_memory_bytes, node, &conns->reqmem);
	if (err < 0)
		goto fail_free;
	block_max = mr_reqmem_block_max(conns->reqmem);
	l->request_bytes_max = (uint32_t)MR_MIN((size_t)l->request_bytes_max, block_max);
	err = mr_pages_reserve(&conns->table_pages, l->connections_max * sizeof(struct mr_conn),
		MR_PAGES_SMALL, node);
	if (err < 0)
		goto fail_reqmem;
	err = mr_pages_reserve(
		&conns->pool_pages, l->requests_max * sizeof(struct request), MR_PAGES_SMALL, node);
	if (err < 0)
		goto fail_table;
	conns->table = (struct mr_conn *)(void *)conns->table_pages.data;
	conns->pool = (struct request *)(void *)conns->pool_pages.data;
	mr_net_on_tick(net, &conns->ticker);
	*out = conns;
	return 0;
fail_table:
	mr_pages_release(&conns->table_pages);
fail_reqmem:
	mr_reqmem_destroy(conns->reqmem);
fail_free:
	free(conns);
	return err;
}

static uint32_t streams_open(const struct mr_conns *conns)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < conns->table_used; i++)
		n += conns->table[i].used && conns->table[i].stream;
	return n;
}

static void free_requests(struct mr_conns *conns)
{
	for (uint32_t i = 0; i < conns->table_used; i++) {
		struct mr_conn *c = &conns->table[i];

		if (!c->used)
			continue;
		mr_net_forget(conns->net, &c->flush);
		while (c->first) {
			struct request *r = c->first;

			c->first = r->next;
			mr_request_put(conns, r);
		}
	}
	for (uint32_t i = 0; i < conns->pool_used; i++)
		mr_arena_fini(&conns->pool[i].rq.arena);
	mr_net_forget(conns->net, &conns->serve);
}

void mr_conns_destroy(struct mr_conns *conns)
{
	if (!conns)
		return;
	mr_conns_unlisten(conns);
	mr_conns_close_all(conns);
	for (int i = 0; streams_open(conns); i++) {
		MR_ASSERT(i < DESTROY_TURNS);
		mr_net_turn(conns->net, NS_PER_S / 100);
	}
	free_requests(conns);
	while (conns->listeners) {
		struct conn_listener *l = conns->listeners;

		conns->listeners = l->next;
		free(l);
	}
	mr_net_off_tick(conns->net, &conns->ticker);
	mr_reqmem_destroy(conns->reqmem);
	mr_pages_release(&conns->table_pages);
	mr_pages_release(&conns->pool_pages);
	free(conns);
}

int mr_conns_listen(struct mr_conns *conns, const char *host, uint16_t port,
	const struct mr_protocol *protocol, uint16_t *port_out)
{
	struct conn_listener *l = calloc(1, sizeof(*l));
	struct mr_net_addr at;
	int err = l ? mr_net_addr_parse(host, port, &at) : -ENOMEM;

	if (err < 0)
		goto fail;
	l->conns = conns;
	l->protocol = protocol;
	err = mr_net_listen(conns->net, &at, &mr_conn_events, l, port_out, &l->listener);
	if (err < 0)
		goto fail;
	l->next = conns->listeners;
	conns->listeners = l;
	return 0;
fail:
	free(l);
	return err;
}

void mr_conns_unlisten(struct mr_conns *conns)
{
	for (struct conn_listener *l = conns->listeners; l; l = l->next) {
		if (l->listener)
			mr_net_unlisten(conns->net, l->listener);
		l->listener = NULL;
	}
}

void mr_conns_close_all(struct mr_conns *conns)
{
	for (uint32_t i = 0; i < conns->table_used; i++) {
		struct mr_conn *c = &conns->table[i];

		if (c->used && c->stream)
			mr_conn_close(c, &conns->counters.closed_stop);
	}
}

uint32_t mr_conns_count(const struct mr_conns *conns)
{
	return conns->count;
}

static void fill_info(const struct mr_conn *c, int64_t now, struct mr_conn_info *out)
{
	*out = (struct mr_conn_info){
		.id = c->id,
		.local_port = c->local.port,
		.age_ns = now - c->opened_ns,
		.idle_ns = now - c->stream->moved_ns,
		.requests = c->requests_total,
		.received_bytes = c->stream->received_bytes,
		.sent_bytes = c->stream->sent_bytes,
		.requests_unfinished = c->requests,
		.paused = c->pause != 0,
	};
	mr_conn_peer(c, out->peer);
	memcpy(out->client, c->client, sizeof(out->client));
	if (c->stream->ops->tcp)
		c->stream->ops->tcp(c->stream, &out->tcp);
}

uint32_t mr_conns_list(struct mr_conns *conns, struct mr_conn_info *out, uint32_t max)
{
	int64_t now = mr_net_now_ns(conns->net);
	uint32_t n = 0;

	for (uint32_t i = 0; i < conns->table_used; i++) {
		const struct mr_conn *c = &conns->table[i];

		if (!c->used || !c->stream)
			continue;
		if (n < max)
			fill_info(c, now, &out[n]);
		n++;
	}
	return n;
}

struct mr_conn_counters *mr_conns_counters(struct mr_conns *conns)
{
	return &conns->counters;
}

struct mr_reqmem *mr_conns_reqmem(struct mr_conns *conns)
{
	return conns->reqmem;
}

const struct mr_conn_limits *mr_conns_limits(const struct mr_conns *conns)
{
	return &conns->limits;
}
