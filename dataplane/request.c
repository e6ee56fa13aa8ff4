// Requests: their pool, their memory, and how the protocol finishes them.
#include "dataplane/request.h"

#include "dataplane/conn_int.h"

// Below this, output comes from the arena: a page of request memory would be mostly empty.
enum { SMALL_ALLOC = 2048, ARENA_LIMIT = 64 << 20 };

struct request *mr_request_get(struct mr_conn *c)
{
	struct mr_conns *conns = c->conns;
	struct request *r = conns->pool_free;
	struct mr_arena arena;

	if (r) {
		conns->pool_free = r->next;
	} else if (conns->pool_used < conns->limits.requests_max) {
		r = &conns->pool[conns->pool_used++];
		mr_arena_init(&r->rq.arena, ARENA_LIMIT);
	} else {
		return NULL;
	}
	conns->pool_in_use++;
	arena = r->rq.arena;
	r->rq = (struct mr_request){.conn = c, .arena = arena};
	r->next = NULL;
	r->pinned = NULL;
	r->place = NULL;
	r->blocks = NULL;
	r->finished = r->close = false;
	r->pieces_count = 0;
	r->output_bytes = 0;
	return r;
}

void mr_request_put(struct mr_conns *conns, struct request *r)
{
	for (struct request_block *b = r->blocks; b; b = b->next)
		mr_reqmem_free(conns->reqmem, b->data);
	if (r->place)
		mr_reqmem_free(conns->reqmem, r->place);
	if (r->pinned)
		mr_rxbuf_unpin(r->pinned);
	mr_arena_reset(&r->rq.arena);
	r->rq.conn = NULL;
	r->next = conns->pool_free;
	conns->pool_free = r;
	conns->pool_in_use--;
	if (conns->pool_wait_first || mr_reqmem_has_waiters(conns->reqmem))
		mr_net_later(conns->net, &conns->serve);
}

static struct request *request_of(struct mr_request *rq)
{
	struct request *r = MR_CONTAINER(rq, struct request, rq);

	MR_ASSERT(rq->conn && !r->finished); // finished twice
	return r;
}

uint8_t *mr_request_alloc(struct mr_request *rq, size_t bytes)
{
	struct request *r = request_of(rq);
	struct mr_conns *conns = rq->conn->conns;
	struct request_block *b;

	if (bytes <= SMALL_ALLOC) {
		uint8_t *p = mr_arena_column(&rq->arena, bytes);

		if (!p)
			mr_stat_add(&conns->counters.alloc_failed, 1);
		return p;
	}
	b = mr_arena_alloc(&rq->arena, sizeof(*b));
	if (b)
		b->data = mr_reqmem_alloc(conns->reqmem, bytes);
	if (!b || !b->data) {
		mr_stat_add(&conns->counters.alloc_failed, 1);
		return NULL;
	}
	b->next = r->blocks;
	r->blocks = b;
	return b->data;
}

bool mr_request_add(struct mr_request *rq, const void *data, size_t bytes)
{
	struct request *r = request_of(rq);

	if (r->pieces_count == MR_REQUEST_PIECES_MAX)
		return false;
	r->pieces[r->pieces_count++] = (struct iovec){(void *)(uintptr_t)data, bytes};
	r->output_bytes += bytes;
	return true;
}

static void finish(struct request *r)
{
	struct mr_conn *c = r->rq.conn;

	r->finished = true;
	mr_stat_add(&c->conns->counters.requests_unfinished, (uint64_t)-1);
	mr_net_later(c->conns->net, &c->flush);
}

void mr_request_done(struct mr_request *rq)
{
	struct request *r = request_of(rq);
	struct mr_conn *c = rq->conn;

	MR_ASSERT(r->output_bytes <= INT32_MAX);
	if (r->pieces_count) {
		mr_store_be32(r->length, (uint32_t)r->output_bytes);
		r->output_bytes += sizeof(r->length);
		c->output_bytes += r->output_bytes;
		if (c->output_bytes > c->conns->limits.output_bytes_max)
			mr_conn_pause(c, PAUSE_OUTPUT);
	}
	finish(r);
}

void mr_request_close(struct mr_request *rq, const char *why)
{
	struct request *r = request_of(rq);

	r->close = true;
	r->pieces_count = 0;
	r->output_bytes = 0;
	rq->conn->why = why;
	mr_conn_pause(rq->conn, PAUSE_CLOSE);
	finish(r);
}

void mr_conn_local(const struct mr_conn *c, char host[64], uint16_t *port)
{
	mr_net_addr_host(&c->local, host);
	*port = c->local.port;
}

void mr_conn_client(struct mr_conn *c, struct mr_span name)
{
	size_t n = MR_MIN(name.bytes, sizeof(c->client) - 1);

	// Nearly always it is what the request before said.
	if (c->client[n] == 0 && memcmp(c->client, name.data, n) == 0)
		return;
	memset(c->client, 0, sizeof(c->client));
	for (size_t i = 0; i < n; i++)
		c->client[i] =
			(char)(name.data[i] < ' ' || name.data[i] > '~' ? '?' : name.data[i]);
}

void mr_conn_peer(const struct mr_conn *c, char text[72])
{
	mr_net_addr_format(&c->peer, text);
}
