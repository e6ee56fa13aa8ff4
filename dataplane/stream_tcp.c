// Streams over our own TCP: a worker's stack on its port behind the same interface as sockets.
//
// Receiving. A segment's bytes come while the frame is still the port's. They go straight from the
// segment into the place, when one is set: that is the only copy of a large request. Otherwise they
// are copied into the receive buffer at hand, behind what the last segments of any connection have
// left there: small requests are handed up from it (pinned), many of them in one buffer, and a
// buffer that nobody has pinned is used again at once, while it is warm. What a paused stream has
// not taken stays with TCP, in its receive queue, and closes its window.
//
// Sending. mr_tcp_send copies into the send queue, so `sent` follows at once while there is room;
// what a turn's tasks send leaves with their acknowledgements in one flush at the turn's end.
//
// Closing. Bytes that come after a close would be answered with a reset, which may overtake the
// last answers on their way. So a connection that is closed lingers: its end is sent behind what is
// queued, and what still comes is thrown away, until the peer has ended too or some time has
// passed.
//
// Waiting. A turn polls the port. Descriptors (mailbox, disk) are looked at every few microseconds:
// a look is a system call, which costs as much as ten polls. So does reading the clock as much as
// two, and it is read for every few polls only: time is late by less than a microsecond. Having
// found nothing for `idle_ns` it sleeps: on the port's descriptor where it has one, else in naps
// that grow while nothing comes. A busy net never sleeps.
// While it gives way it sleeps at once: polling would keep the core from the thread whose work is
// awaited, and from the kernel's that complete a flush.
#include "dataplane/stream_int.h"
#include "dataplane/tcpip/stack.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 64,
	BURSTS_PER_TURN = 8,
	SPINS_PER_TURN = 64,  // polls of a turn that finds nothing, before it returns to its worker
	SPINS_PER_TIME = 16,  // of these, between looks at the clock
	LOOK_EVERY_NS = 5000, // at descriptors
	LOOK_EVERY_BUSY_NS = 20000, // where frames have come
	REFRESH_TICKS = 10,         // 1 s
	NAP_NS_MIN = 50000,
	NAP_NS_MAX = 1000000,
	TIMER_SLACK_NS = 1000,
	PORT_ANY_FIRST = 49152, // RFC 6335: the dynamic ports
};

#define LINGER_NS 2000000000ll

struct tcp_stream {
	struct mr_stream stream;
	struct mr_tcp_conn *conn; // NULL: gone
	int error;                // what `closed` will be told
	bool used;
	bool paused;
	bool resume_due; // TCP is to be resumed
	bool closing;    // no more events but `closed`
	bool eof;
	bool ended;
	bool sending;
	bool sent_due;
	bool placed_due;
	uint8_t *place_at;
	size_t place_left;
	struct mr_net_task work;
	bool lingers; // told `closed`; what comes is thrown away
	int64_t linger_ns;
	struct tcp_stream *next; // of free ones, or of those that linger
	struct mr_out *out;      // what TCP's send queue had no room for
};

static_assert(sizeof(struct tcp_stream) <= 208); // of each connection, idle ones too

struct tcp_watch {
	struct mr_watch *watch; // NULL: dead
	struct tcp_watch *next_dead;
};

struct tcp_net {
	struct mr_net net;
	struct mr_stack *stack;
	struct mr_tcp *tcp;
	struct mr_port *port;
	int epoll_fd;
	bool port_waits; // the port's descriptor is among those waited for
	bool link_up;    // and our addresses have been announced
	bool slack_set;
	int64_t busy_ns; // when there last was something to do
	int64_t nap_ns;
	int64_t looked_ns; // when descriptors were looked at
	unsigned ticks;
	struct mr_pages table_pages;
	struct tcp_stream *table;
	uint32_t table_used;
	struct tcp_stream *free;
	struct tcp_stream *linger_first; // the oldest
	struct tcp_stream *linger_last;
	struct mr_rxbuf *rx_free;
	struct mr_rxbuf *rx_fill; // being filled, up to its `end`
	struct mr_listener *listeners;
	struct tcp_watch *dead;
};

static const struct mr_stream_ops tcp_ops;

static struct tcp_net *tcp_of(struct mr_net *net)
{
	return MR_CONTAINER(net, struct tcp_net, net);
}

static struct tcp_stream *stream_of(struct mr_stream *s)
{
	return MR_CONTAINER(s, struct tcp_stream, stream);
}

static void later(struct tcp_stream *s)
{
	mr_net_later(s->stream.net, &s->work);
}

static void fail(struct tcp_stream *s, int err)
{
	if (s->closing)
		return;
	s->closing = true;
	s->error = err;
	later(s);
}

// ---- streams' table

static void stream_put(struct tcp_net *t, struct tcp_stream *s)
{
	MR_ASSERT(s->used && !s->work.queued);
	mr_out_put(&t->net, s->out);
	s->used = false;
	s->next = t->free;
	t->free = s;
}

static void linger(struct tcp_net *t, struct tcp_stream *s)
{
	s->lingers = true;
	s->linger_ns = t->net.now_ns + LINGER_NS;
	s->next = NULL;
	if (t->linger_first)
		t->linger_last->next = s;
	else
		t->linger_first = s;
	t->linger_last = s;
}

// Ends those whose time is over or whose peer has ended, and with `all` the others too.
static void linger_end(struct tcp_net *t, bool all)
{
	struct tcp_stream **at = &t->linger_first;

	t->linger_last = NULL;
	while (*at) {
		struct tcp_stream *s = *at;

		if (!all && s->conn && !s->eof && t->net.now_ns < s->linger_ns) {
			t->linger_last = s;
			at = &s->next;
			continue;
		}
		*at = s->next;
		if (s->conn)
			mr_tcp_close(s->conn);
		stream_put(t, s);
	}
}

static struct tcp_stream *stream_get(struct tcp_net *t)
{
	struct tcp_stream *s;

	if (!t->free && t->table_used == t->net.options.streams_max)
		linger_end(t, true);
	s = t->free;
	if (s)
		t->free = s->next;
	else if (t->table_used < t->net.options.streams_max)
		s = &t->table[t->table_used++];
	else
		return NULL;
	memset(s, 0, sizeof(*s));
	s->used = true;
	return s;
}

// ---- receiving

static void fill_take(struct tcp_net *t)
{
	struct mr_rxbuf *b = t->rx_free;

	// At most half of the buffers can be pinned, and one is being filled.
	MR_ASSERT(b);
	t->rx_free = b->next;
	t->net.rx_out++;
	b->lent = true;
	b->at = b->end = 0;
	t->rx_fill = b;
}

static void fill_drop(struct tcp_net *t)
{
	struct mr_rxbuf *b = t->rx_fill;

	t->rx_fill = NULL;
	if (!b)
		return;
	b->lent = false;
	if (b->pins == 0)
		mr_rxbuf_return(b);
}

// The buffer at hand with room for `bytes`.
static struct mr_rxbuf *fill_room(struct tcp_net *t, size_t bytes)
{
	if (t->rx_fill && t->rx_fill->pins == 0)
		t->rx_fill->end = 0;
	if (t->rx_fill && t->rx_fill->end + bytes > MR_NET_RXBUF_BYTES)
		fill_drop(t);
	if (!t->rx_fill)
		fill_take(t);
	return t->rx_fill;
}

static void place_advance(struct tcp_stream *s, size_t n)
{
	s->place_at += n;
	s->place_left -= n;
	if (s->place_left == 0) {
		s->place_at = NULL;
		s->placed_due = true;
	}
}

// Bytes for the user itself. Returns how many it took.
static size_t deliver(struct tcp_stream *s, const uint8_t *data, size_t bytes)
{
	size_t n = MR_MIN(bytes, (size_t)MR_NET_RXBUF_BYTES), taken;
	struct mr_rxbuf *b = fill_room(tcp_of(s->stream.net), n);
	uint8_t *at = b->data + b->end;

	memcpy(at, data, n);
	b->end = (uint16_t)(b->end + n);
	taken = s->stream.events->data(&s->stream, b, mr_span(at, n));
	MR_ASSERT(taken <= n);
	MR_ASSERT(taken == n || s->paused || s->closing || s->place_at || s->placed_due);
	return taken;
}

static size_t on_data(struct mr_tcp_conn *conn, struct mr_span bytes)
{
	struct tcp_stream *s = mr_tcp_user(conn);
	struct mr_net *net = s->stream.net;
	size_t at = 0;

	if (s->closing)
		return bytes.bytes;
	mr_stat_add(&net->counters.receives, 1);
	while (at < bytes.bytes && !s->paused && !s->closing) {
		size_t left = bytes.bytes - at, n = MR_MIN(left, s->place_left);

		if (s->placed_due) {
			s->placed_due = false;
			s->stream.events->placed(&s->stream);
		} else if (n) {
			memcpy(s->place_at, bytes.data + at, n);
			mr_stat_add(&net->counters.placed_bytes, n);
			place_advance(s, n);
			at += n;
		} else {
			at += deliver(s, bytes.data + at, left);
		}
	}
	if (s->placed_due && !s->paused && !s->closing) {
		s->placed_due = false;
		s->stream.events->placed(&s->stream);
	}
	if (s->closing)
		at = bytes.bytes;
	mr_stat_add(&net->counters.received_bytes, at);
	s->stream.received_bytes += at;
	s->stream.received_ns = s->stream.moved_ns = net->now_ns;
	return at;
}

static void on_ended(struct mr_tcp_conn *conn)
{
	struct tcp_stream *s = mr_tcp_user(conn);

	s->eof = true;
	if (!s->lingers)
		later(s);
}

static void on_closed(struct mr_tcp_conn *conn, int err)
{
	struct tcp_stream *s = mr_tcp_user(conn);

	s->conn = NULL;
	fail(s, err ? err : -ECONNRESET); // nothing, when it lingers
}

// ---- sending

// Of pieces that are all of s->out, if there is one.
static void try_send(struct tcp_stream *s, const struct iovec *pieces, unsigned count)
{
	struct mr_net *net = s->stream.net;
	size_t sent = 0;
	unsigned i = 0;

	for (; i < count; i++) {
		size_t n = mr_tcp_send(s->conn, pieces[i].iov_base, pieces[i].iov_len);

		sent += n;
		if (n < pieces[i].iov_len)
			break;
	}
	if (i < count && !s->out)
		s->out = mr_out_take(net, pieces, count);
	if (s->out)
		mr_out_sent(s->out, sent);
	mr_stat_add(&net->counters.sends, 1);
	mr_stat_add(&net->counters.sent_bytes, sent);
	s->stream.sent_bytes += sent;
	if (sent)
		s->stream.moved_ns = net->now_ns;
	if (i < count) {
		mr_stat_add(&net->counters.sends_partial, 1);
		return;
	}
	mr_out_put(net, s->out);
	s->out = NULL;
	s->sending = false;
	s->sent_due = true;
	later(s);
}

static void on_sendable(struct mr_tcp_conn *conn)
{
	struct tcp_stream *s = mr_tcp_user(conn);

	if (s->sending && !s->closing)
		try_send(s, s->out->pieces + s->out->at, s->out->count - s->out->at);
}

// ---- a stream's work, outside of everybody's calls

static void finish(struct tcp_net *t, struct tcp_stream *s)
{
	mr_stat_add(s->error ? &t->net.counters.reset : &t->net.counters.closed, 1);
	s->stream.events->closed(&s->stream, s->error);
	mr_net_forget(&t->net, &s->work);
	if (s->conn && !s->eof) {
		linger(t, s);
		mr_tcp_shutdown(s->conn);
		mr_tcp_resume(s->conn);
		return;
	}
	if (s->conn)
		mr_tcp_close(s->conn);
	stream_put(t, s);
}

static void tell(struct tcp_stream *s)
{
	const struct mr_stream_events *events = s->stream.events;

	if (s->sent_due && !s->closing) {
		s->sent_due = false;
		events->sent(&s->stream);
	}
	if (s->placed_due && !s->paused && !s->closing) {
		s->placed_due = false;
		events->placed(&s->stream);
	}
	if (s->resume_due && !s->paused && !s->closing) {
		s->resume_due = false;
		mr_tcp_resume(s->conn);
	}
	if (s->eof && !s->ended && !s->paused && !s->closing) {
		s->ended = true;
		events->ended(&s->stream);
	}
}

static void stream_work(struct mr_net_task *task)
{
	struct tcp_stream *s = MR_CONTAINER(task, struct tcp_stream, work);

	tell(s);
	if (s->closing)
		finish(tcp_of(s->stream.net), s);
}

// ---- listening

static void to_net_addr(const struct mr_ip *ip, uint16_t port, struct mr_net_addr *out)
{
	*out = (struct mr_net_addr){.port = port, .is_v6 = !mr_ip_is_v4(ip)};
	if (out->is_v6)
		memcpy(out->ip, ip->b, 16);
	else
		memcpy(out->ip, ip->b + 12, 4);
}

static int on_opened(void *owner, struct mr_tcp_conn *conn)
{
	struct mr_listener *l = owner;
	struct tcp_net *t = tcp_of(l->net);
	struct tcp_stream *s = stream_get(t);
	struct mr_tcp_info info;
	int rc;

	if (!s) {
		mr_stat_add(&t->net.counters.accept_refused, 1);
		return -EMFILE;
	}
	mr_tcp_get_info(conn, &info);
	s->conn = conn;
	s->work.run = stream_work;
	s->stream = (struct mr_stream){.ops = &tcp_ops, .events = l->events, .net = l->net};
	s->stream.received_ns = s->stream.moved_ns = t->net.now_ns;
	to_net_addr(&info.local, info.local_port, &s->stream.local);
	to_net_addr(&info.peer, info.peer_port, &s->stream.peer);
	mr_tcp_set_user(conn, s);
	rc = l->events->opened(l->owner, &s->stream);
	mr_stat_add(rc < 0 ? &t->net.counters.accept_refused : &t->net.counters.accepted, 1);
	if (rc < 0) {
		mr_net_forget(&t->net, &s->work);
		stream_put(t, s);
	}
	return rc;
}

static const struct mr_tcp_events tcp_events = {
	.opened = on_opened,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

static int tcp_listen(struct mr_net *net, const struct mr_net_addr *at, struct mr_listener *l)
{
	struct tcp_net *t = tcp_of(net);
	struct mr_tcp_listener *lower;
	uint16_t port = at->port ? at->port : PORT_ANY_FIRST;
	int rc;

	do
		rc = mr_tcp_listen(t->tcp, port, &tcp_events, l, &lower);
	while (rc == -EADDRINUSE && at->port == 0 && ++port);
	if (rc < 0)
		return rc;
	l->local.port = port;
	l->impl = lower;
	l->next = t->listeners;
	t->listeners = l;
	return 0;
}

static void tcp_unlisten(struct mr_net *net, struct mr_listener *l)
{
	struct mr_listener **at = &tcp_of(net)->listeners;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	mr_tcp_unlisten(l->impl);
	free(l);
}

// ---- descriptors

static int tcp_watch(struct mr_net *net, struct mr_watch *w)
{
	struct tcp_watch *tw = calloc(1, sizeof(*tw));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tw};

	if (!tw)
		return -ENOMEM;
	tw->watch = w;
	if (epoll_ctl(tcp_of(net)->epoll_fd, EPOLL_CTL_ADD, w->fd, &event) < 0) {
		int err = -errno;

		free(tw);
		return err;
	}
	w->impl = tw;
	return 0;
}

static void tcp_unwatch(struct mr_net *net, struct mr_watch *w)
{
	struct tcp_net *t = tcp_of(net);
	struct tcp_watch *tw = w->impl;

	// Fails when the owner has closed it already, which removed it.
	(void)epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	tw->watch = NULL;
	tw->next_dead = t->dead;
	t->dead = tw;
	w->impl = NULL;
}

// Events of this look may name what is dead until they have been handled.
static void bury(struct tcp_net *t)
{
	while (t->dead) {
		struct tcp_watch *tw = t->dead;

		t->dead = tw->next_dead;
		free(tw);
	}
}

// The port's own descriptor has no watch: it only ends the wait.
static int look(struct tcp_net *t)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(t->epoll_fd, events, EVENTS_MAX, 0), handled = 0;

	t->looked_ns = t->net.now_ns;
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct tcp_watch *tw = events[i].data.ptr;

		if (tw && tw->watch) {
			tw->watch->ready(tw->watch);
			handled++;
		}
	}
	bury(t);
	return handled;
}

// ---- the turn

// Reads the clock and does what is due.
static void take_time(struct tcp_net *t)
{
	mr_net_time(&t->net);
	mr_stack_time(t->stack, t->net.now_ns);
}

// One look at the port. Frames handled; a port that is gone brings none.
static int poll_port(struct tcp_net *t)
{
	struct mr_frame frames[MR_PORT_BURST];
	int all = 0, n;

	for (int i = 0; i < BURSTS_PER_TURN; i++) {
		n = mr_port_rx(t->port, frames, MR_PORT_BURST);
		if (n <= 0)
			break;
		mr_stack_input(t->stack, frames, n);
		mr_port_rx_done(t->port, frames, n);
		all += n;
		if (n < MR_PORT_BURST)
			break;
	}
	return all;
}

static void wait_for(struct tcp_net *t, int64_t ns)
{
	struct pollfd fd = {.fd = t->epoll_fd, .events = POLLIN};
	const struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	if (!t->slack_set)
		(void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	t->slack_set = true;
	mr_stat_add(&t->port->counters.sleeps, 1);
	if (ppoll(&fd, 1, &ts, NULL) > 0)
		mr_stat_add(&t->port->counters.wakeups, 1);
}

// How long a sleep may last: until the wait is over or a timer is due.
static int64_t sleep_ns(struct tcp_net *t, int64_t wait_ns)
{
	int64_t next = mr_stack_next_ns(t->stack);

	if (next != INT64_MAX)
		wait_ns = MR_MIN(wait_ns, next - t->net.now_ns);
	if (!t->port_waits) {
		wait_ns = MR_MIN(wait_ns, t->nap_ns);
		t->nap_ns = MR_MIN(t->nap_ns * 2, (int64_t)NAP_NS_MAX);
	}
	return wait_ns;
}

// Sleeps, unless frames have come while the port was being told to wake us.
static int doze(struct tcp_net *t, int64_t wait_ns)
{
	int n = 0;

	if (t->port_waits) {
		t->port->ops->arm(t->port, true);
		n = poll_port(t);
	}
	wait_ns = n ? 0 : sleep_ns(t, wait_ns);
	if (wait_ns > 0)
		wait_for(t, wait_ns);
	if (t->port_waits)
		t->port->ops->arm(t->port, false);
	take_time(t);
	return n ? n : poll_port(t);
}

// Polls until there is something, at most a moment.
static int spin(struct tcp_net *t, bool may_wait)
{
	int n = poll_port(t);

	for (int i = 1; n == 0 && may_wait && i < SPINS_PER_TURN && !t->net.task_first; i++) {
		if (i % SPINS_PER_TIME == 0)
			take_time(t);
		n = poll_port(t);
	}
	return n;
}

static bool is_idle(const struct tcp_net *t)
{
	const struct mr_net *net = &t->net;

	return !net->options.busy &&
	       (net->gives_way || net->now_ns - t->busy_ns >= net->options.idle_ns);
}

static int tcp_turn(struct mr_net *net, int64_t wait_ns)
{
	struct tcp_net *t = tcp_of(net);
	int n, m = 0;
	bool idle;

	take_time(t);
	idle = is_idle(t);
	n = spin(t, wait_ns > 0 && !idle);
	if (idle || net->now_ns - t->looked_ns >= (n ? LOOK_EVERY_BUSY_NS : LOOK_EVERY_NS))
		m = look(t);
	if (n == 0 && m == 0 && wait_ns > 0 && !net->task_first && idle) {
		n = doze(t, wait_ns);
		m = look(t);
	}
	if (m < 0)
		return m;
	if (n + m > 0) {
		t->busy_ns = net->now_ns;
		t->nap_ns = NAP_NS_MIN;
	}
	return n + m;
}

static void tcp_flush(struct mr_net *net)
{
	mr_stack_flush(tcp_of(net)->stack);
}

static void tcp_tick(struct mr_net *net)
{
	struct tcp_net *t = tcp_of(net);

	linger_end(t, false);
	if (t->ticks++ % REFRESH_TICKS)
		return;
	if (t->port->ops->refresh)
		t->port->ops->refresh(t->port);
	if (net->options.announces && t->port->link_up && !t->link_up)
		mr_stack_announce(t->stack);
	t->link_up = t->port->link_up;
}

static void tcp_rxbuf_free(struct mr_net *net, struct mr_rxbuf *b)
{
	struct tcp_net *t = tcp_of(net);

	b->next = t->rx_free;
	t->rx_free = b;
}

// ---- a stream's functions

static void tcp_place(struct mr_stream *st, uint8_t *to, size_t bytes)
{
	struct tcp_stream *s = stream_of(st);

	MR_ASSERT(!s->place_left && !s->placed_due && bytes > 0);
	s->place_at = to;
	s->place_left = bytes;
}

static void tcp_send(struct mr_stream *st, const struct iovec *pieces, unsigned count)
{
	struct tcp_stream *s = stream_of(st);

	MR_ASSERT(!s->sending && !s->sent_due);
	MR_ASSERT(count > 0 && count <= MR_NET_PIECES_MAX);
	if (s->closing)
		return;
	s->sending = true;
	try_send(s, pieces, count);
}

static void tcp_pause(struct mr_stream *st)
{
	struct tcp_stream *s = stream_of(st);

	if (s->paused)
		return;
	s->paused = true;
	mr_stat_add(&st->net->counters.pauses, 1);
	if (s->conn)
		mr_tcp_pause(s->conn);
}

static void tcp_resume(struct mr_stream *st)
{
	struct tcp_stream *s = stream_of(st);

	s->paused = false;
	s->resume_due = true;
	later(s);
}

static void tcp_close(struct mr_stream *st)
{
	fail(stream_of(st), 0);
}

static void tcp_tcp(const struct mr_stream *st, struct mr_stream_tcp *out)
{
	static const char *const states[MR_TCP_STATES] = {
		[MR_TCP_SYN_SENT] = "syn-sent",
		[MR_TCP_SYN_RECEIVED] = "syn-received",
		[MR_TCP_ESTABLISHED] = "established",
		[MR_TCP_FIN_WAIT_1] = "fin-wait-1",
		[MR_TCP_FIN_WAIT_2] = "fin-wait-2",
		[MR_TCP_CLOSE_WAIT] = "close-wait",
		[MR_TCP_CLOSING] = "closing",
		[MR_TCP_LAST_ACK] = "last-ack",
		[MR_TCP_TIME_WAIT] = "time-wait",
	};
	const struct tcp_stream *s = stream_of((struct mr_stream *)(uintptr_t)st);
	struct mr_tcp_info info;

	if (!s->conn)
		return;
	mr_tcp_get_info(s->conn, &info);
	snprintf(out->state, sizeof(out->state), "%s", states[info.state]);
	out->srtt_us = info.srtt_ns / 1000;
	out->retransmits = info.retransmits;
}

static void tcp_destroy(struct mr_net *net)
{
	struct tcp_net *t = tcp_of(net);

	while (t->listeners)
		tcp_unlisten(net, t->listeners);
	for (uint32_t i = 0; i < t->table_used; i++) {
		struct tcp_stream *s = &t->table[i];

		if (!s->used || s->lingers)
			continue;
		mr_net_forget(net, &s->work);
		fail(s, 0);
		mr_net_forget(net, &s->work);
		finish(t, s);
	}
	linger_end(t, true);
	mr_stack_flush(t->stack);
	bury(t);
	fill_drop(t);
	close(t->epoll_fd);
	mr_pages_release(&t->table_pages);
	mr_net_fini(net);
	free(t);
}

static const struct mr_stream_ops tcp_ops = {
	.name = "tcp",
	.turn = tcp_turn,
	.flush = tcp_flush,
	.tick = tcp_tick,
	.listen = tcp_listen,
	.unlisten = tcp_unlisten,
	.watch = tcp_watch,
	.unwatch = tcp_unwatch,
	.rxbuf_free = tcp_rxbuf_free,
	.destroy = tcp_destroy,
	.place = tcp_place,
	.send = tcp_send,
	.pause = tcp_pause,
	.resume = tcp_resume,
	.close = tcp_close,
	.tcp = tcp_tcp,
};

static int open_epoll(struct tcp_net *t)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = t->port->ops->wait_fd ? t->port->ops->wait_fd(t->port) : -1;

	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0)
		return -errno;
	if (fd < 0)
		return 0;
	t->port_waits = true;
	return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int mr_net_tcp_create(const struct mr_net_options *o, struct mr_net **out)
{
	struct tcp_net *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->stack = o->stack;
	t->tcp = mr_stack_tcp(o->stack);
	t->port = o->port;
	t->nap_ns = NAP_NS_MIN;
	rc = open_epoll(t);
	if (rc < 0)
		goto fail;
	rc = mr_pages_reserve(&t->table_pages, o->streams_max * sizeof(struct tcp_stream),
		MR_PAGES_SMALL, o->node);
	if (rc < 0)
		goto fail;
	t->table = (struct tcp_stream *)(void *)t->table_pages.data;
	rc = mr_net_init(&t->net, &tcp_ops, o);
	if (rc < 0)
		goto fail_table;
	for (uint32_t i = o->rxbufs; i-- > 0;) {
		t->net.rxbufs[i].next = t->rx_free;
		t->rx_free = &t->net.rxbufs[i];
	}
	t->busy_ns = t->net.now_ns;
	*out = &t->net;
	return 0;
fail_table:
	mr_pages_release(&t->table_pages);
fail:
	if (t->epoll_fd >= 0)
		close(t->epoll_fd);
	free(t);
	return rc;
}
