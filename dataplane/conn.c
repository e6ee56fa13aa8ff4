// One connection: frames in, responses out in order, and when not to read.
//
// A frame goes through these states:
//
//	head       its 4 length bytes come, perhaps one by one, into c->head
//	framed     the length is known and checked; a request object is taken
//	in place   all of it lies in the receive buffer, which is pinned: handed up from there
//	incoming   otherwise: the request gets a place of its size in request memory, and the stream
//	           fills that, first from the buffer at hand, then straight from the network
//
// What is missing at `framed` (a request object, memory) pauses the connection in a line; being
// served resumes it in the same state, so nothing is parsed twice. Of responses, a flush sends all
// that are finished from the head of the line, as many as fit one send; it runs as a task, so that
// responses finished in one turn leave together.
#include "dataplane/conn.h"

#include "dataplane/conn_int.h"
#include "host/base/err.h"
#include "host/base/note.h"

static struct mr_conn_counters *counters_of(struct mr_conn *c)
{
	return &c->conns->counters;
}

static int64_t now_of(const struct mr_conn *c)
{
	return mr_net_now_ns(c->conns->net);
}

void mr_conn_pause(struct mr_conn *c, enum pause_reason why)
{
	struct mr_conn_counters *k = counters_of(c);

	if (c->pause & why || !c->stream)
		return;
	switch (why) {
	case PAUSE_MEMORY: mr_stat_add(&k->paused_memory, 1); break;
	case PAUSE_POOL: mr_stat_add(&k->paused_requests, 1); break;
	case PAUSE_CONNECTION: mr_stat_add(&k->paused_connection, 1); break;
	case PAUSE_OUTPUT: mr_stat_add(&k->paused_output, 1); break;
	case PAUSE_CLOSE: break;
	}
	if (!c->pause) {
		c->paused_ns = now_of(c);
		mr_stream_pause(c->stream);
	}
	c->pause |= why;
}

void mr_conn_resume(struct mr_conn *c, enum pause_reason why)
{
	if (!(c->pause & why))
		return;
	c->pause &= ~(unsigned)why;
	if (c->pause || !c->stream)
		return;
	c->frame_ns += now_of(c) - c->paused_ns; // the wait was ours, not the peer's
	mr_stream_resume(c->stream);
}

void mr_conn_close(struct mr_conn *c, _Atomic uint64_t *counter)
{
	if (c->closing)
		return;
	c->closing = true;
	mr_stat_add(counter, 1);
	mr_stream_close(c->stream);
}

static void pool_wait(struct mr_conn *c)
{
	struct mr_conns *conns = c->conns;

	mr_conn_pause(c, PAUSE_POOL);
	if (c->pool_waiting)
		return;
	c->pool_waiting = true;
	c->pool_next = NULL;
	if (conns->pool_wait_first)
		conns->pool_wait_last->pool_next = c;
	else
		conns->pool_wait_first = c;
	conns->pool_wait_last = c;
}

// Lists the request and hands it to the protocol, which may finish it at once.
static void hand_up(struct mr_conn *c, struct request *r, const uint8_t *data)
{
	struct mr_conn_counters *k = counters_of(c);

	r->rq.in = mr_span(data, c->frame_bytes);
	r->rq.received_ns = c->stream->received_ns;
	if (c->first)
		c->last->next = r;
	else
		c->first = r;
	c->last = r;
	c->requests++;
	c->requests_total++;
	c->head_bytes = 0;
	mr_stat_add(&k->requests, 1);
	mr_stat_add(&k->requests_unfinished, 1);
	if (c->requests >= c->conns->limits.requests_per_connection)
		mr_conn_pause(c, PAUSE_CONNECTION);
	c->protocol->request(c->protocol->owner, &r->rq);
}

// Takes bytes of the length; checks it when it is whole. Returns how many were taken.
static size_t take_head(struct mr_conn *c, struct mr_span bytes)
{
	size_t n = MR_MIN(bytes.bytes, sizeof(c->head) - c->head_bytes);

	if (c->head_bytes == 0)
		c->frame_ns = now_of(c);
	memcpy(c->head + c->head_bytes, bytes.data, n);
	c->head_bytes += (unsigned)n;
	if (c->head_bytes < sizeof(c->head))
		return n;
	// A negative length is a huge one here.
	c->frame_bytes = mr_load_be32(c->head);
	if (c->frame_bytes == 0 || c->frame_bytes > c->frame_bytes_max)
		mr_conn_close(c, &counters_of(c)->closed_bad_length);
	return n;
}

// The request gets its place, and the stream fills it.
static void place_frame(struct mr_conn *c, uint8_t *place)
{
	c->incoming->place = place;
	mr_stream_place(c->stream, place, c->frame_bytes);
}

static void memory_ready(struct mr_reqmem_wait *w, uint8_t *memory)
{
	struct mr_conn *c = MR_CONTAINER(w, struct mr_conn, memory_wait);

	place_frame(c, memory);
	mr_conn_resume(c, PAUSE_MEMORY);
}

// A frame whose length is known, `rest` being what has come behind it. True when it was there and
// has been handed up.
static bool take_frame(struct mr_conn *c, struct mr_rxbuf *buf, struct mr_span rest)
{
	struct request *r;
	uint8_t *place;

	// A small frame whose bytes have yet to come will lie whole in the next buffer, mostly.
	if (rest.bytes == 0 && c->frame_bytes <= MR_NET_RXBUF_BYTES)
		return false;
	r = mr_request_get(c);
	if (!r) {
		pool_wait(c);
		return false;
	}
	if (rest.bytes >= c->frame_bytes && mr_rxbuf_pin(buf)) {
		r->pinned = buf;
		mr_stat_add(&counters_of(c)->requests_in_place, 1);
		hand_up(c, r, rest.data);
		return true;
	}
	c->incoming = r;
	place = mr_reqmem_admit(c->conns->reqmem, c->frame_bytes);
	if (place) {
		place_frame(c, place);
	} else {
		mr_conn_pause(c, PAUSE_MEMORY);
		mr_reqmem_wait(c->conns->reqmem, &c->memory_wait, c->frame_bytes);
	}
	return false;
}

static size_t on_data(struct mr_stream *s, struct mr_rxbuf *buf, struct mr_span bytes)
{
	struct mr_conn *c = s->user;
	size_t at = 0;
	bool again = true;

	while (again && !c->pause && !c->closing) {
		if (c->head_bytes < sizeof(c->head)) {
			if (at == bytes.bytes)
				break;
			at += take_head(c, mr_span(bytes.data + at, bytes.bytes - at));
		}
		if (c->head_bytes == sizeof(c->head) && !c->closing) {
			size_t frame = c->frame_bytes;

			again = take_frame(c, buf, mr_span(bytes.data + at, bytes.bytes - at));
			at += again ? frame : 0;
		}
	}
	return at;
}

static void on_placed(struct mr_stream *s)
{
	struct mr_conn *c = s->user;
	struct request *r = c->incoming;

	c->incoming = NULL;
	hand_up(c, r, r->place);
}

// Removes the first request of the line.
static void drop_first(struct mr_conn *c)
{
	struct request *r = c->first;

	c->first = r->next;
	c->requests--;
	c->output_bytes -= r->output_bytes;
	mr_request_put(c->conns, r);
}

static void resume_if_drained(struct mr_conn *c)
{
	const struct mr_conn_limits *l = &c->conns->limits;

	if (c->requests < l->requests_per_connection)
		mr_conn_resume(c, PAUSE_CONNECTION);
	if (c->output_bytes <= l->output_bytes_max / 2)
		mr_conn_resume(c, PAUSE_OUTPUT);
}

// Sends the finished requests at the head of the line, as many as fit one send.
static void send_finished(struct mr_conn *c)
{
	struct iovec v[MR_NET_PIECES_MAX];
	unsigned n = 0, responses = 0;

	for (struct request *r = c->first; r && r->finished && !r->close; r = r->next) {
		if (n + 1 + r->pieces_count > MR_NET_PIECES_MAX)
			break;
		c->sending++;
		if (r->pieces_count == 0)
			continue;
		v[n++] = (struct iovec){r->length, sizeof(r->length)};
		memcpy(v + n, r->pieces, r->pieces_count * sizeof(*v));
		n += r->pieces_count;
		responses++;
	}
	if (!n)
		return;
	mr_stat_add(&counters_of(c)->responses, responses);
	mr_stat_add(&counters_of(c)->sends, 1);
	mr_stream_send(c->stream, v, n);
}

// The stream has gone: what is finished is dropped, and the last one frees the connection.
static void reap(struct mr_conn *c)
{
	struct request **at = &c->first;

	while (*at) {
		struct request *r = *at;

		if (!r->finished) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		c->requests--;
		mr_request_put(c->conns, r);
	}
	if (!c->first)
		mr_conn_put(c);
}

static void close_for_protocol(struct mr_conn *c)
{
	char peer[72];

	mr_conn_peer(c, peer);
	mr_note(MR_NOTE_INFO, "net", "connection closed: peer=%s why=\"%s\"", peer, c->why);
	mr_conn_close(c, &counters_of(c)->closed_protocol);
}

static void flush_task(struct mr_net_task *t)
{
	struct mr_conn *c = MR_CONTAINER(t, struct mr_conn, flush);

	if (!c->stream) {
		reap(c);
		return;
	}
	if (c->sending || c->closing)
		return;
	// Requests without a response leave the line as soon as they head it.
	while (c->first && c->first->finished && !c->first->close && !c->first->pieces_count)
		drop_first(c);
	resume_if_drained(c);
	send_finished(c);
	if (c->sending)
		return;
	if (c->first && c->first->finished && c->first->close)
		close_for_protocol(c);
	else if (!c->first && c->ended && !c->closing)
		mr_conn_close(c, &counters_of(c)->closed_by_peer);
}

static void on_sent(struct mr_stream *s)
{
	struct mr_conn *c = s->user;

	for (; c->sending; c->sending--)
		drop_first(c);
	mr_net_later(c->conns->net, &c->flush);
}

// Requests that are here will be answered: a peer may shut its side down and wait for them.
static void on_ended(struct mr_stream *s)
{
	struct mr_conn *c = s->user;

	c->ended = true;
	if (c->head_bytes)
		mr_stat_add(&counters_of(c)->truncated, 1);
	mr_net_later(c->conns->net, &c->flush);
}

static void pool_unwait(struct mr_conn *c)
{
	struct mr_conns *conns = c->conns;
	struct mr_conn *before = NULL;

	if (!c->pool_waiting)
		return;
	for (struct mr_conn *i = conns->pool_wait_first; i != c; i = i->pool_next)
		before = i;
	if (before)
		before->pool_next = c->pool_next;
	else
		conns->pool_wait_first = c->pool_next;
	if (conns->pool_wait_last == c)
		conns->pool_wait_last = before;
	c->pool_waiting = false;
}

// Tells the protocol of every request that it has not finished. It may finish any of them from
// inside: nothing leaves the line until the flush task.
static void abandon_all(struct mr_conn *c)
{
	for (struct request *r = c->first; r; r = r->next) {
		if (r->finished)
			continue;
		mr_stat_add(&counters_of(c)->abandoned, 1);
		r->rq.abandoned = true;
		if (r->rq.on_abandon)
			r->rq.on_abandon(&r->rq);
	}
}

static void on_closed(struct mr_stream *s, int err)
{
	struct mr_conn *c = s->user;

	if (!c->closing && err)
		mr_stat_add(&counters_of(c)->closed_reset, 1);
	c->stream = NULL;
	c->closing = true;
	c->sending = 0;
	mr_stat_add(&counters_of(c)->connections, (uint64_t)-1);
	pool_unwait(c);
	mr_reqmem_unwait(c->conns->reqmem, &c->memory_wait);
	if (c->incoming) {
		mr_request_put(c->conns, c->incoming);
		c->incoming = NULL;
	}
	abandon_all(c);
	mr_net_later(c->conns->net, &c->flush);
}

static struct mr_conn *conn_get(struct mr_conns *conns)
{
	struct mr_conn *c = conns->free;

	if (c)
		conns->free = c->next_free;
	else if (conns->table_used < conns->limits.connections_max)
		c = &conns->table[conns->table_used++];
	else
		return NULL;
	conns->count++;
	return c;
}

static int on_opened(void *owner, struct mr_stream *s)
{
	struct conn_listener *l = owner;
	struct mr_conns *conns = l->conns;
	struct mr_conn *c = conn_get(conns);

	if (!c) {
		mr_stat_add(&conns->counters.closed_limit, 1);
		return MR_ERR_LIMIT;
	}
	*c = (struct mr_conn){.conns = conns, .stream = s, .protocol = l->protocol, .used = true};
	c->id = conns->next_id++;
	c->opened_ns = mr_net_now_ns(conns->net);
	c->local = s->local;
	c->peer = s->peer;
	c->frame_bytes_max = conns->limits.request_bytes_max;
	if (l->protocol->request_bytes_max)
		c->frame_bytes_max = MR_MIN(c->frame_bytes_max, l->protocol->request_bytes_max);
	c->memory_wait.ready = memory_ready;
	c->flush.run = flush_task;
	s->user = c;
	mr_stat_add(&conns->counters.connections, 1);
	return 0;
}

void mr_conn_put(struct mr_conn *c)
{
	MR_ASSERT(!c->stream && !c->requests && !c->flush.queued && !c->pool_waiting);
	c->used = false;
	c->next_free = c->conns->free;
	c->conns->free = c;
	c->conns->count--;
}

const struct mr_stream_events mr_conn_events = {
	.opened = on_opened,
	.data = on_data,
	.placed = on_placed,
	.sent = on_sent,
	.ended = on_ended,
	.closed = on_closed,
};
