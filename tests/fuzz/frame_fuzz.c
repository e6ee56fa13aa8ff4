// Framing under hostile bytes, over a stream that exists in memory only.
//
// The input is a script and a byte stream: the first byte chooses limits, then come chunks, each
// with a head byte that says how many bytes arrive (0 … 63, or up to 16 KiB) and what happens next
// to them: responses finished in some order, time passes, the peer ends. The stream here is a third
// implementation of mr_stream_ops, which shows that the interface carries no sockets. Checked:
// every request handed up is the frame that a plain parser of the same bytes finds, in its order;
// everything is given back at the end.
#include "dataplane/conn.h"
#include "dataplane/stream_int.h"

#include <stdlib.h>

enum { HELD_MAX = 256, REQUEST_MAX = 40000 };

struct mem_net {
	struct mr_net net;
	struct mr_clock_sim clock;
	struct mr_rxbuf *free;
	struct mr_listener *listener;
};

struct mem_stream {
	struct mr_stream stream;
	struct mr_rxbuf *buf; // bytes not taken
	uint8_t *place;
	size_t place_left;
	bool placed_due, paused, closing, closed, sending, ended;
	struct mr_net_task work;
};

// What the plain parser says must come.
struct oracle {
	const uint8_t *data;
	size_t bytes, at;
	uint32_t limit;
};

static struct oracle oracle;
static struct mr_request *held[HELD_MAX];
static unsigned held_count;
static uint64_t wait_mask;

static struct mem_net *mem_of(struct mr_net *net)
{
	return MR_CONTAINER(net, struct mem_net, net);
}

static struct mem_stream *stream_of(struct mr_stream *s)
{
	return MR_CONTAINER(s, struct mem_stream, stream);
}

static void buf_drop(struct mem_stream *s)
{
	struct mr_rxbuf *b = s->buf;

	s->buf = NULL;
	b->lent = false;
	if (b->pins == 0)
		mr_rxbuf_return(b);
}

static void deliver_some(struct mem_stream *s)
{
	struct mr_rxbuf *b = s->buf;
	size_t have = (size_t)(b->end - b->at), n;

	if (s->place_left) {
		n = MR_MIN(have, s->place_left);
		memcpy(s->place, b->data + b->at, n);
		s->place += n;
		s->place_left -= n;
		s->placed_due = s->place_left == 0;
	} else {
		n = s->stream.events->data(&s->stream, b, mr_span(b->data + b->at, have));
		MR_ASSERT(n <= have);
		MR_ASSERT(n == have || s->paused || s->closing || s->place_left);
	}
	b->at = (uint16_t)(b->at + n);
	if (b->at == b->end)
		buf_drop(s);
}

static void deliver(struct mem_stream *s)
{
	while (!s->paused && !s->closing && (s->placed_due || s->buf)) {
		if (s->placed_due) {
			s->placed_due = false;
			s->stream.events->placed(&s->stream);
		} else {
			deliver_some(s);
		}
	}
}

static void mem_work(struct mr_net_task *t)
{
	struct mem_stream *s = MR_CONTAINER(t, struct mem_stream, work);

	if (s->closed)
		return;
	if (s->sending && !s->closing) {
		s->sending = false;
		s->stream.events->sent(&s->stream);
	}
	deliver(s);
	if (!s->closing)
		return;
	if (s->buf)
		buf_drop(s);
	s->closed = true;
	s->stream.events->closed(&s->stream, 0);
}

static int mem_turn(struct mr_net *, int64_t)
{
	return 0;
}

static void mem_nothing(struct mr_net *)
{
}

static int mem_listen(struct mr_net *net, const struct mr_net_addr *, struct mr_listener *l)
{
	mem_of(net)->listener = l;
	return 0;
}

static void mem_unlisten(struct mr_net *, struct mr_listener *l)
{
	free(l);
}

static void mem_rxbuf_free(struct mr_net *net, struct mr_rxbuf *b)
{
	b->next = mem_of(net)->free;
	mem_of(net)->free = b;
}

static void mem_place(struct mr_stream *s, uint8_t *to, size_t bytes)
{
	stream_of(s)->place = to;
	stream_of(s)->place_left = bytes;
}

static void mem_send(struct mr_stream *s, const struct iovec *pieces, unsigned count)
{
	static uint8_t wire[256];

	// Every byte that would leave is read, so that a sanitizer sees memory that has gone.
	for (unsigned i = 0; i < count; i++)
		for (size_t k = 0; k < pieces[i].iov_len; k++)
			wire[k & 255] ^= ((const uint8_t *)pieces[i].iov_base)[k];
	MR_ASSERT(!stream_of(s)->sending);
	stream_of(s)->sending = true;
	mr_net_later(s->net, &stream_of(s)->work);
}

static void mem_pause(struct mr_stream *s)
{
	stream_of(s)->paused = true;
}

static void mem_resume(struct mr_stream *s)
{
	stream_of(s)->paused = false;
	mr_net_later(s->net, &stream_of(s)->work);
}

static void mem_close(struct mr_stream *s)
{
	stream_of(s)->closing = true;
	mr_net_later(s->net, &stream_of(s)->work);
}

static const struct mr_stream_ops mem_ops = {
	.name = "memory",
	.turn = mem_turn,
	.flush = mem_nothing,
	.tick = mem_nothing,
	.listen = mem_listen,
	.unlisten = mem_unlisten,
	.rxbuf_free = mem_rxbuf_free,
	.place = mem_place,
	.send = mem_send,
	.pause = mem_pause,
	.resume = mem_resume,
	.close = mem_close,
};

static void finish_one(unsigned i)
{
	struct mr_request *rq = held[i];
	uint8_t *p = rq->abandoned ? NULL : mr_request_alloc(rq, rq->in.bytes * 2);

	held[i] = held[--held_count];
	if (rq->in.data[0] == 0xee) {
		mr_request_close(rq, "fuzz");
		return;
	}
	if (p) {
		memcpy(p, rq->in.data, rq->in.bytes);
		MR_ASSERT(mr_request_add(rq, p, rq->in.bytes));
	}
	mr_request_done(rq);
}

static void on_request(void *, struct mr_request *rq)
{
	uint32_t bytes;

	// What the plain parser finds next.
	MR_ASSERT(oracle.bytes - oracle.at >= 4);
	bytes = mr_load_be32(oracle.data + oracle.at);
	MR_ASSERT(bytes > 0 && bytes <= oracle.limit && bytes == rq->in.bytes);
	MR_ASSERT(oracle.bytes - oracle.at - 4 >= bytes);
	MR_ASSERT(memcmp(rq->in.data, oracle.data + oracle.at + 4, bytes) == 0);
	oracle.at += 4 + bytes;
	MR_ASSERT(held_count < HELD_MAX);
	held[held_count++] = rq;
	if ((wait_mask >> (oracle.at & 63) & 1) == 0)
		finish_one(held_count - 1);
}

static void turn(struct mem_net *m)
{
	MR_ASSERT(mr_net_turn(&m->net, 0) == 0);
}

// One chunk of the script: its bytes arrive, and what its head says happens.
static size_t step(struct mem_net *m, struct mem_stream *s, const uint8_t *at, size_t left,
	uint8_t *sent, size_t *sent_bytes)
{
	uint8_t head = *at++;
	size_t n = head & 0x40 ? (size_t)(head & 63) << 8 : head & 63;
	struct mr_rxbuf *b;

	n = MR_MIN(n, left - 1);
	if (!s->buf && n && m->free && !s->closing) {
		b = m->free;
		m->free = b->next;
		m->net.rx_out++;
		memcpy(b->data, at, n);
		memcpy(sent + *sent_bytes, at, n);
		*sent_bytes += n;
		oracle.bytes = *sent_bytes;
		b->lent = true;
		b->at = 0;
		b->end = (uint16_t)n;
		s->buf = b;
	}
	mr_net_later(&m->net, &s->work);
	turn(m);
	if (head & 0x80 && held_count)
		finish_one(head % held_count);
	if (head == 0xbf)
		m->clock.ns += MR_CONN_SLOW_REQUEST_NS;
	return 1 + n;
}

static void wind_up(struct mem_net *m, struct mem_stream *s, struct mr_conns *conns)
{
	for (int i = 0; i < 100 && !s->closed; i++) {
		while (held_count)
			finish_one(held_count - 1);
		if (!s->ended && !s->buf && !s->placed_due && !s->paused) {
			s->ended = true;
			s->stream.events->ended(&s->stream);
		}
		turn(m);
	}
	mr_conns_close_all(conns);
	while (held_count)
		finish_one(held_count - 1);
	turn(m);
	MR_ASSERT(s->closed && mr_conns_count(conns) == 0);
	MR_ASSERT(mr_reqmem_used(mr_conns_reqmem(conns)) == 0);
	MR_ASSERT(m->net.rx_pinned == 0 && m->net.rx_out == 0);
}

static void live(struct mem_net *m, const uint8_t *data, size_t bytes, uint8_t *sent)
{
	struct mr_conn_limits limits = {
		.connections_max = 2,
		.request_bytes_max = REQUEST_MAX,
		.requests_per_connection = 1 + (data[0] & 15),
		.requests_max = 1 + (data[0] >> 4),
		.output_bytes_max = 4096,
		.request_memory_bytes = 4 << 20,
	};
	struct mr_protocol protocol = {.request = on_request};
	struct mem_stream s = {.stream = {.ops = &mem_ops, .net = &m->net}, .work.run = mem_work};
	struct mr_conns *conns;
	size_t sent_bytes = 0;

	MR_ASSERT(mr_conns_create(&m->net, &limits, -1, &conns) == 0);
	MR_ASSERT(mr_conns_listen(conns, "127.0.0.1", 1, &protocol, NULL) == 0);
	oracle = (struct oracle){sent, 0, 0, REQUEST_MAX};
	wait_mask = data[0] * 0x9e3779b97f4a7c15u;
	s.stream.events = m->listener->events;
	MR_ASSERT(s.stream.events->opened(m->listener->owner, &s.stream) == 0);
	for (size_t at = 1; at < bytes && !s.closed;)
		at += step(m, &s, data + at, bytes - at, sent, &sent_bytes);
	wind_up(m, &s, conns);
	mr_conns_destroy(conns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mem_net m = {0};
	struct mr_net_options o = {.rxbufs = 4, .node = -1, .streams_max = 2};
	uint8_t *sent = malloc(bytes + 1);

	MR_ASSERT(sent);
	if (bytes) {
		mr_clock_sim_init(&m.clock, 0);
		o.clock = &m.clock.clock;
		MR_ASSERT(mr_net_init(&m.net, &mem_ops, &o) == 0);
		for (uint32_t i = 0; i < o.rxbufs; i++)
			mem_rxbuf_free(&m.net, &m.net.rxbufs[i]);
		live(&m, data, bytes, sent);
		mr_net_fini(&m.net);
	}
	free(sent);
	return 0;
}
