// Kernel sockets through io_uring (hw/uring.h), on the ring that the worker's storage uses too.
//
// Receiving has two forms. Buffered: into provided buffers, multishot, so that a connection with
// small requests costs no submission at all once it is armed. Direct: the rest of a large request
// straight into its place. A multishot receive cannot be told to make way for a direct one: it has
// to be cancelled first, and may still deliver what was under way, which delivery then copies into
// the place. So a connection that has shown large requests, or has been paused, receives buffered
// single-shot for a while: its next receive ends by itself, and nothing has to be cancelled.
//
// What a socket wants follows from its state and is brought about by one function, sock_arm, from
// the socket's task. A socket is freed when none of its operations is in flight: `busy` counts
// them. Descriptors are blocking ones, because io_uring answers -EAGAIN on others instead of
// waiting.
#include "dataplane/stream_sock.h"
#include "hw/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RX_GROUP = 1,
	// Below this the rest of a request comes through a buffer: a copy of 16 KiB costs less than
	// another round through the kernel.
	DIRECT_MIN = MR_NET_RXBUF_BYTES,
	SINGLES_AFTER_PLACE = 16, // a guess: one burst of a producer
	DESTROY_TURNS = 1000,
	DESTROY_WAIT_NS = 10000000,
};

struct uring_sock {
	struct mr_sock sock;
	struct mr_op receive; // buffered
	struct mr_op direct;
	struct mr_op send;
	struct msghdr message;
	unsigned busy; // operations in flight
	unsigned singles;
	bool receive_armed;
	bool receive_multishot;
	bool receive_cancelled;
	bool direct_armed;
	bool send_armed;
	bool close_cancelled; // what was in flight at close has been cancelled
	bool starved;
	struct uring_sock *next_starved;
};

struct uring_listener {
	struct mr_op accept;
	struct mr_net *net;
	struct mr_listener *listener; // NULL: unlistened
	int fd;
	bool armed;
	bool paused;
	struct mr_net_task arm;
	struct uring_listener *next;
};

struct uring_watch {
	struct mr_op poll;
	struct mr_net *net;
	struct mr_watch *watch; // NULL: unwatched
};

struct uring_net {
	struct mr_net net;
	struct mr_uring *ring;
	struct mr_uring_bufs *bufs;
	struct mr_socks socks;
	struct uring_sock *starved;
	struct mr_net_task feed;
	struct uring_listener *listeners;
	unsigned busy; // operations of listeners and watches in flight
	bool stale;    // the clock has not been read since the wait
	bool send_due; // sends are prepared and not submitted
};

static const struct mr_stream_ops uring_ops;

static struct uring_net *uring_of(struct mr_net *net)
{
	return MR_CONTAINER(net, struct uring_net, net);
}

static struct uring_sock *sock_of(struct mr_stream *s)
{
	return MR_CONTAINER(s, struct uring_sock, sock.stream);
}

static struct uring_net *net_of(struct uring_sock *us)
{
	return uring_of(us->sock.stream.net);
}

// The first completion after a wait reads the clock.
static void refresh(struct uring_net *u)
{
	if (u->stale)
		mr_net_time(&u->net);
	u->stale = false;
}

static void sock_later(struct uring_sock *us)
{
	mr_net_later(us->sock.stream.net, &us->sock.work);
}

static void starved_remove(struct uring_net *u, struct uring_sock *us)
{
	struct uring_sock **at = &u->starved;

	while (*at && *at != us)
		at = &(*at)->next_starved;
	if (*at)
		*at = us->next_starved;
	us->starved = false;
}

static void cancel(struct uring_net *u, struct mr_op *op)
{
	mr_uring_cancel(u->ring, NULL, op);
}

static void sock_finish(struct uring_net *u, struct uring_sock *us)
{
	struct mr_sock *s = &us->sock;

	starved_remove(u, us);
	mr_sock_shut(s);
	mr_stat_add(s->error ? &u->net.counters.reset : &u->net.counters.closed, 1);
	s->stream.events->closed(&s->stream, s->error);
	mr_net_forget(&u->net, &s->work);
	mr_socks_put(&u->socks, s);
}

// Ends what is in flight, once; the last completion finds `busy` at zero.
static void sock_close(struct uring_net *u, struct uring_sock *us)
{
	if (!us->busy) {
		sock_finish(u, us);
		return;
	}
	if (us->close_cancelled)
		return;
	us->close_cancelled = true;
	if (us->receive_armed)
		cancel(u, &us->receive);
	if (us->direct_armed)
		cancel(u, &us->direct);
	if (us->send_armed)
		cancel(u, &us->send);
}

static void receive_arm(struct uring_net *u, struct uring_sock *us)
{
	us->receive_multishot = us->singles == 0;
	us->receive_armed = true;
	us->receive_cancelled = false;
	us->busy++;
	if (us->receive_multishot)
		mr_uring_recv_multishot(u->ring, &us->receive, us->sock.fd, RX_GROUP);
	else
		mr_uring_recv_select(u->ring, &us->receive, us->sock.fd, RX_GROUP);
}

static void receive_cancel(struct uring_net *u, struct uring_sock *us)
{
	if (us->receive_cancelled || !us->receive_multishot)
		return; // a single-shot one ends by itself, with one buffer at most
	us->receive_cancelled = true;
	cancel(u, &us->receive);
}

static void direct_arm(struct uring_net *u, struct uring_sock *us)
{
	us->direct_armed = true;
	us->busy++;
	mr_uring_recv(u->ring, &us->direct, us->sock.fd, us->sock.place_at, us->sock.place_left,
		MSG_WAITALL);
}

static void send_arm(struct uring_net *u, struct uring_sock *us)
{
	us->message = mr_sock_message(&us->sock);
	us->send_armed = true;
	us->busy++;
	u->send_due = true;
	mr_uring_sendmsg(u->ring, &us->send, us->sock.fd, &us->message, MSG_NOSIGNAL);
}

// Brings about what the socket's state asks for.
static void sock_arm(struct uring_net *u, struct uring_sock *us)
{
	struct mr_sock *s = &us->sock;
	bool direct = s->place_left >= DIRECT_MIN;

	if (s->sending && !us->send_armed)
		send_arm(u, us);
	if (s->eof || us->direct_armed)
		return;
	if (direct || s->paused)
		us->singles = SINGLES_AFTER_PLACE;
	if (us->receive_armed) {
		if (direct || s->paused)
			receive_cancel(u, us);
	} else if (direct) {
		direct_arm(u, us);
	} else if (!s->paused && !us->starved) {
		receive_arm(u, us);
	}
}

static void sock_work(struct mr_net_task *t)
{
	struct mr_sock *s = MR_CONTAINER(t, struct mr_sock, work);
	struct uring_sock *us = MR_CONTAINER(s, struct uring_sock, sock);
	struct uring_net *u = net_of(us);

	if (!s->closing)
		mr_sock_deliver(s);
	if (s->closing) {
		sock_close(u, us);
		return;
	}
	if (s->paused)
		mr_sock_spill(s);
	sock_arm(u, us);
}

static void starve(struct uring_net *u, struct uring_sock *us)
{
	mr_stat_add(&u->net.counters.rxbufs_exhausted, 1);
	if (us->starved)
		return;
	us->starved = true;
	us->next_starved = u->starved;
	u->starved = us;
	// A buffer may have come back between the kernel's refusal and now.
	if (u->net.rx_out < u->net.options.rxbufs)
		mr_net_later(&u->net, &u->feed);
}

// What a receive or send has failed with, if that ends the connection.
static void sock_result(struct uring_net *u, struct uring_sock *us, int res)
{
	if (res == -ENOBUFS)
		starve(u, us);
	else if (res < 0 && res != -ECANCELED && res != -EINTR && res != -EAGAIN)
		mr_sock_fail(&us->sock, res);
}

static void sock_delivered(struct uring_sock *us)
{
	if (!us->sock.closing)
		mr_sock_deliver(&us->sock);
	sock_later(us);
}

static void on_receive(struct mr_op *op, int res, unsigned flags)
{
	struct uring_sock *us = MR_CONTAINER(op, struct uring_sock, receive);
	struct uring_net *u = net_of(us);
	struct mr_sock *s = &us->sock;
	int id = mr_op_buffer(flags);

	refresh(u);
	if (!mr_op_more(flags)) {
		us->receive_armed = false;
		us->busy--;
	}
	if (id >= 0 && res > 0 && !s->closing)
		mr_sock_received(s, &u->net.rxbufs[id], (size_t)res);
	else if (id >= 0)
		mr_uring_bufs_put(u->bufs, id);
	if (res > 0 && us->singles)
		us->singles--;
	if (res == 0)
		mr_sock_eof(s);
	sock_result(u, us, res);
	sock_delivered(us);
}

static void on_direct(struct mr_op *op, int res, unsigned)
{
	struct uring_sock *us = MR_CONTAINER(op, struct uring_sock, direct);
	struct uring_net *u = net_of(us);

	refresh(u);
	us->direct_armed = false;
	us->busy--;
	if (res > 0)
		mr_sock_placed(&us->sock, (size_t)res);
	if (res == 0)
		mr_sock_eof(&us->sock);
	sock_result(u, us, res);
	sock_delivered(us);
}

static void on_send(struct mr_op *op, int res, unsigned)
{
	struct uring_sock *us = MR_CONTAINER(op, struct uring_sock, send);
	struct uring_net *u = net_of(us);

	refresh(u);
	us->send_armed = false;
	us->busy--;
	if (res >= 0)
		mr_sock_sent(&us->sock, (size_t)res);
	sock_result(u, us, res);
	sock_later(us);
}

static void sock_adopt(struct uring_net *u, struct mr_listener *l, int fd)
{
	struct mr_sock *s = mr_socks_get(&u->socks);
	struct uring_sock *us;

	if (!s) {
		mr_stat_add(&u->net.counters.accept_refused, 1);
		close(fd);
		return;
	}
	us = MR_CONTAINER(s, struct uring_sock, sock);
	s->work.run = sock_work;
	us->receive.done = on_receive;
	us->direct.done = on_direct;
	us->send.done = on_send;
	if (mr_sock_open(s, l, fd, &uring_ops) == 0) {
		sock_later(us);
		return;
	}
	close(fd);
	mr_net_forget(&u->net, &s->work);
	mr_socks_put(&u->socks, s);
}

static void listener_arm(struct mr_net_task *t)
{
	struct uring_listener *ul = MR_CONTAINER(t, struct uring_listener, arm);
	struct uring_net *u = uring_of(ul->net);

	if (ul->armed || ul->paused)
		return;
	ul->armed = true;
	u->busy++;
	mr_uring_accept_multishot(u->ring, &ul->accept, ul->fd);
}

static void listener_free(struct uring_listener *ul)
{
	mr_net_forget(ul->net, &ul->arm);
	close(ul->fd);
	free(ul);
}

static void on_accept(struct mr_op *op, int res, unsigned flags)
{
	struct uring_listener *ul = MR_CONTAINER(op, struct uring_listener, accept);
	struct uring_net *u = uring_of(ul->net);

	refresh(u);
	if (!mr_op_more(flags)) {
		ul->armed = false;
		u->busy--;
	}
	if (res >= 0 && ul->listener)
		sock_adopt(u, ul->listener, res);
	else if (res >= 0)
		close(res);
	else if (mr_sock_accept_is_shortage(res))
		ul->paused = true;
	if (ul->paused && !ul->armed)
		mr_stat_add(&u->net.counters.accept_paused, 1);
	else if (res < 0 && res != -ECANCELED)
		mr_stat_add(&u->net.counters.accept_aborted, 1);
	if (ul->armed)
		return;
	if (ul->listener)
		mr_net_later(&u->net, &ul->arm);
	else
		listener_free(ul);
}

static int uring_listen(struct mr_net *net, const struct mr_net_addr *at, struct mr_listener *l)
{
	struct uring_net *u = uring_of(net);
	struct uring_listener *ul = calloc(1, sizeof(*ul));
	int fd;

	if (!ul)
		return -ENOMEM;
	fd = mr_sock_listen(at, l, 0);
	if (fd < 0) {
		free(ul);
		return fd;
	}
	*ul = (struct uring_listener){{on_accept}, net, l, fd, .next = u->listeners};
	ul->arm.run = listener_arm;
	u->listeners = ul;
	l->impl = ul;
	mr_net_later(net, &ul->arm);
	return 0;
}

static void uring_unlisten(struct mr_net *net, struct mr_listener *l)
{
	struct uring_net *u = uring_of(net);
	struct uring_listener *ul = l->impl, **at = &u->listeners;

	while (*at != ul)
		at = &(*at)->next;
	*at = ul->next;
	ul->listener = NULL;
	free(l);
	// The port is free at once, whatever the accept under way still holds.
	shutdown(ul->fd, SHUT_RDWR);
	if (ul->armed)
		cancel(u, &ul->accept);
	else
		listener_free(ul);
}

static void watch_arm(struct uring_net *u, struct uring_watch *uw)
{
	u->busy++;
	mr_uring_poll_multishot(u->ring, &uw->poll, uw->watch->fd, POLLIN);
}

static void on_poll(struct mr_op *op, int res, unsigned flags)
{
	struct uring_watch *uw = MR_CONTAINER(op, struct uring_watch, poll);
	struct uring_net *u = uring_of(uw->net);
	bool more = mr_op_more(flags);

	refresh(u);
	if (!more)
		u->busy--;
	if (uw->watch && res >= 0)
		uw->watch->ready(uw->watch);
	if (more)
		return;
	if (uw->watch)
		watch_arm(u, uw);
	else
		free(uw);
}

static int uring_watch(struct mr_net *net, struct mr_watch *w)
{
	struct uring_watch *uw = calloc(1, sizeof(*uw));

	if (!uw)
		return -ENOMEM;
	*uw = (struct uring_watch){{on_poll}, net, w};
	w->impl = uw;
	watch_arm(uring_of(net), uw);
	return 0;
}

static void uring_unwatch(struct mr_net *net, struct mr_watch *w)
{
	struct uring_watch *uw = w->impl;

	uw->watch = NULL;
	w->impl = NULL;
	cancel(uring_of(net), &uw->poll);
}

static int uring_turn(struct mr_net *net, int64_t wait_ns)
{
	struct uring_net *u = uring_of(net);
	int n;

	u->stale = true;
	u->send_due = false;
	n = mr_uring_turn(u->ring, wait_ns);
	refresh(u);
	return n;
}

// Only sends are worth a system call of their own: what else is prepared goes with the next wait.
static void uring_flush(struct mr_net *net)
{
	struct uring_net *u = uring_of(net);

	if (u->send_due)
		mr_uring_flush(u->ring);
	u->send_due = false;
}

static void uring_tick(struct mr_net *net)
{
	struct uring_net *u = uring_of(net);

	for (struct uring_listener *ul = u->listeners; ul; ul = ul->next) {
		if (!ul->paused)
			continue;
		ul->paused = false;
		mr_net_later(net, &ul->arm);
	}
}

static void feed_starved(struct mr_net_task *t)
{
	struct uring_net *u = MR_CONTAINER(t, struct uring_net, feed);

	while (u->starved) {
		struct uring_sock *us = u->starved;

		u->starved = us->next_starved;
		us->starved = false;
		sock_later(us);
	}
}

static void uring_rxbuf_free(struct mr_net *net, struct mr_rxbuf *b)
{
	struct uring_net *u = uring_of(net);

	mr_uring_bufs_put(u->bufs, (int)b->index);
	if (u->starved)
		mr_net_later(net, &u->feed);
}

static void uring_place(struct mr_stream *st, uint8_t *to, size_t bytes)
{
	mr_sock_place(&sock_of(st)->sock, to, bytes);
	sock_later(sock_of(st));
}

static void uring_send(struct mr_stream *st, const struct iovec *pieces, unsigned count)
{
	struct uring_sock *us = sock_of(st);

	mr_sock_pieces(&us->sock, pieces, count);
	if (!us->sock.closing)
		send_arm(net_of(us), us);
}

static void uring_pause(struct mr_stream *st)
{
	struct uring_sock *us = sock_of(st);

	if (us->sock.paused)
		return;
	us->sock.paused = true;
	mr_stat_add(&st->net->counters.pauses, 1);
	sock_later(us);
}

static void uring_resume(struct mr_stream *st)
{
	sock_of(st)->sock.paused = false;
	sock_later(sock_of(st));
}

static void uring_close(struct mr_stream *st)
{
	mr_sock_fail(&sock_of(st)->sock, 0);
	sock_later(sock_of(st));
}

static void uring_free(struct uring_net *u)
{
	mr_uring_bufs_destroy(u->bufs);
	mr_socks_fini(&u->socks);
	mr_net_fini(&u->net);
	free(u);
}

static void uring_destroy(struct mr_net *net)
{
	struct uring_net *u = uring_of(net);

	while (u->listeners)
		uring_unlisten(net, u->listeners->listener);
	for (uint32_t i = 0; i < u->socks.used_max; i++) {
		struct mr_sock *s = mr_socks_at(&u->socks, i);

		if (s->fd >= 0)
			uring_close(&s->stream);
	}
	for (int i = 0; u->socks.count || u->busy; i++) {
		MR_ASSERT(i < DESTROY_TURNS);
		mr_net_turn(net, DESTROY_WAIT_NS);
	}
	uring_free(u);
}

static const struct mr_stream_ops uring_ops = {
	.name = "uring",
	.turn = uring_turn,
	.flush = uring_flush,
	.tick = uring_tick,
	.listen = uring_listen,
	.unlisten = uring_unlisten,
	.watch = uring_watch,
	.unwatch = uring_unwatch,
	.rxbuf_free = uring_rxbuf_free,
	.destroy = uring_destroy,
	.place = uring_place,
	.send = uring_send,
	.pause = uring_pause,
	.resume = uring_resume,
	.close = uring_close,
	.tcp = mr_sock_tcp,
};

int mr_net_uring_create(const struct mr_net_options *o, struct mr_net **out)
{
	struct uring_net *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->ring = o->uring;
	u->feed.run = feed_starved;
	err = mr_socks_init(&u->socks, sizeof(struct uring_sock), o->streams_max, o->node);
	if (err < 0)
		goto fail_free;
	err = mr_net_init(&u->net, &uring_ops, o);
	if (err < 0)
		goto fail_socks;
	err = mr_uring_bufs_create(&u->bufs, u->ring, RX_GROUP, o->rxbufs, MR_NET_RXBUF_BYTES);
	if (err < 0)
		goto fail_net;
	for (uint32_t i = 0; i < o->rxbufs; i++)
		u->net.rxbufs[i].data = mr_uring_bufs_at(u->bufs, (int)i);
	*out = &u->net;
	return 0;
fail_net:
	mr_net_fini(&u->net);
fail_socks:
	mr_socks_fini(&u->socks);
fail_free:
	free(u);
	return err;
}
