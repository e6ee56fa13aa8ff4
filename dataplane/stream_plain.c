// Kernel sockets through epoll: for hosts that refuse io_uring, and as its equal in every test.
//
// Level-triggered: interest in a socket follows what its state asks for, and is changed once a turn
// at most. A receive takes the rest of a place and a receive buffer in one call, so that the next
// request's head comes along. Objects that an event of this turn may still name are freed after
// the turn's events.
#include "dataplane/stream_sock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, READS_PER_EVENT = 4, ACCEPTS_PER_EVENT = 64, NS_PER_MS = 1000000 };

// Whatever epoll can name.
struct source {
	void (*ready)(struct source *src, uint32_t events); // NULL: dead
	struct source *next_dead;
};

struct plain_sock {
	struct mr_sock sock;
	struct source source;
	uint32_t interest; // as epoll knows it
	bool send_blocked;
	bool starved; // waits for a receive buffer
	struct plain_sock *next_starved;
};

struct plain_listener {
	struct source source;
	struct mr_listener *listener;
	int fd;
	bool paused;
	struct plain_listener *next;
};

struct plain_watch {
	struct source source;
	struct mr_watch *watch;
};

struct plain_net {
	struct mr_net net;
	int epoll_fd;
	struct mr_socks socks;
	struct mr_rxbuf *free; // circulating buffers
	struct plain_sock *starved;
	struct mr_net_task feed; // tells the starved
	struct plain_listener *listeners;
	struct source *dead;
	struct epoll_event events[EVENTS_MAX];
};

static const struct mr_stream_ops plain_ops;

static struct plain_net *plain_of(struct mr_net *net)
{
	return MR_CONTAINER(net, struct plain_net, net);
}

static struct plain_sock *sock_of(struct mr_stream *s)
{
	return MR_CONTAINER(s, struct plain_sock, sock.stream);
}

static void source_bury(struct plain_net *p, struct source *src)
{
	src->ready = NULL;
	src->next_dead = p->dead;
	p->dead = src;
}

// Sources are the first members of what malloc gave.
static void bury_all(struct plain_net *p)
{
	while (p->dead) {
		struct source *src = p->dead;

		p->dead = src->next_dead;
		free(src);
	}
}

static void interest_update(struct plain_sock *ps)
{
	struct mr_sock *s = &ps->sock;
	bool read = !s->paused && !s->eof && !ps->starved;
	struct epoll_event ev = {.data.ptr = &ps->source};

	ev.events = (read ? (uint32_t)EPOLLIN : 0) | (ps->send_blocked ? (uint32_t)EPOLLOUT : 0);
	if (ev.events == ps->interest)
		return;
	ps->interest = ev.events;
	MR_ASSERT(epoll_ctl(plain_of(s->stream.net)->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) == 0);
}

static void starved_remove(struct plain_net *p, struct plain_sock *ps)
{
	struct plain_sock **at = &p->starved;

	while (*at && *at != ps)
		at = &(*at)->next_starved;
	if (*at)
		*at = ps->next_starved;
	ps->starved = false;
}

static void sock_finish(struct plain_net *p, struct plain_sock *ps)
{
	struct mr_sock *s = &ps->sock;

	starved_remove(p, ps);
	mr_sock_shut(s); // leaves the epoll set with it
	mr_stat_add(s->error ? &p->net.counters.reset : &p->net.counters.closed, 1);
	s->stream.events->closed(&s->stream, s->error);
	mr_net_forget(&p->net, &s->work);
	mr_socks_put(&p->socks, s);
}

// Everything of a socket that is not done inside a callback or a user's call.
static void sock_work(struct mr_net_task *t)
{
	struct mr_sock *s = MR_CONTAINER(t, struct mr_sock, work);
	struct plain_sock *ps = MR_CONTAINER(s, struct plain_sock, sock);

	if (!s->closing)
		mr_sock_deliver(s);
	if (s->closing) {
		sock_finish(plain_of(s->stream.net), ps);
		return;
	}
	if (s->paused)
		mr_sock_spill(s);
	interest_update(ps);
}

static void sock_later(struct mr_sock *s)
{
	mr_net_later(s->stream.net, &s->work);
}

static void try_send(struct plain_sock *ps)
{
	struct mr_sock *s = &ps->sock;

	ps->send_blocked = false;
	while (s->sending && !s->closing) {
		struct msghdr m = mr_sock_message(s);
		ssize_t n = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			mr_sock_sent(s, (size_t)n);
		} else if (errno == EAGAIN) {
			ps->send_blocked = true;
			break;
		} else if (errno != EINTR) {
			mr_sock_fail(s, -errno);
		}
	}
}

// One receive. True when there may be more to receive at once.
static bool receive_once(struct plain_net *p, struct plain_sock *ps)
{
	struct mr_sock *s = &ps->sock;
	struct mr_rxbuf *b = p->free;
	size_t place = s->place_left, want = place + (b ? MR_NET_RXBUF_BYTES : 0);
	struct iovec v[2] = {{s->place_at, place}, {b ? b->data : NULL, want - place}};
	struct msghdr m = {.msg_iov = place ? v : v + 1, .msg_iovlen = place && b ? 2 : 1};
	ssize_t n = recvmsg(s->fd, &m, MSG_DONTWAIT);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			mr_sock_fail(s, -errno);
		return errno == EINTR;
	}
	if (n == 0)
		mr_sock_eof(s);
	if (place && n)
		mr_sock_placed(s, MR_MIN((size_t)n, place));
	if ((size_t)n > place) {
		p->free = b->next;
		mr_sock_received(s, b, (size_t)n - place);
	}
	return (size_t)n == want;
}

static void receive(struct plain_net *p, struct plain_sock *ps)
{
	struct mr_sock *s = &ps->sock;

	for (int i = 0; i < READS_PER_EVENT && !s->paused && !s->closing; i++) {
		bool more;

		if (!p->free && !s->place_left) {
			mr_stat_add(&p->net.counters.rxbufs_exhausted, 1);
			ps->starved = true;
			ps->next_starved = p->starved;
			p->starved = ps;
			break;
		}
		more = receive_once(p, ps);
		if (!s->closing)
			mr_sock_deliver(s);
		if (!more)
			break;
	}
}

// Both directions are down, or there is an error that nobody reads: paused streams learn it here.
static void hang_up(struct mr_sock *s)
{
	int err = 0;
	socklen_t bytes = sizeof(err);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &bytes) != 0)
		err = errno;
	mr_sock_fail(s, err ? -err : -ECONNRESET);
}

static void sock_ready(struct source *src, uint32_t events)
{
	struct plain_sock *ps = MR_CONTAINER(src, struct plain_sock, source);
	struct mr_sock *s = &ps->sock;

	if (s->closing)
		return;
	if (events & EPOLLOUT)
		try_send(ps);
	if (ps->interest & events & EPOLLIN)
		receive(plain_of(s->stream.net), ps);
	else if (events & (EPOLLERR | EPOLLHUP))
		hang_up(s);
	sock_later(s);
}

// Takes a connection in. The descriptor is closed when there is no place for it.
static void sock_adopt(struct plain_net *p, struct mr_listener *l, int fd)
{
	struct mr_sock *s = mr_socks_get(&p->socks);
	struct epoll_event ev = {.events = EPOLLIN};
	struct plain_sock *ps;

	if (!s) {
		mr_stat_add(&p->net.counters.accept_refused, 1);
		close(fd);
		return;
	}
	ps = MR_CONTAINER(s, struct plain_sock, sock);
	s->work.run = sock_work;
	ps->source.ready = sock_ready;
	ps->interest = EPOLLIN;
	ev.data.ptr = &ps->source;
	if (epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		mr_stat_add(&p->net.counters.accept_paused, 1);
	} else if (mr_sock_open(s, l, fd, &plain_ops) == 0) {
		sock_later(s);
		return;
	}
	close(fd);
	mr_net_forget(&p->net, &s->work);
	mr_socks_put(&p->socks, s);
}

static void listener_pause(struct plain_net *p, struct plain_listener *pl, bool pause)
{
	struct epoll_event ev = {.events = pause ? 0 : EPOLLIN, .data.ptr = &pl->source};

	pl->paused = pause;
	MR_ASSERT(epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, pl->fd, &ev) == 0);
}

static void listener_ready(struct source *src, uint32_t)
{
	struct plain_listener *pl = MR_CONTAINER(src, struct plain_listener, source);
	struct plain_net *p = plain_of(pl->listener->net);

	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		int fd = accept4(pl->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			sock_adopt(p, pl->listener, fd);
		} else if (errno == EAGAIN) {
			break;
		} else if (mr_sock_accept_is_shortage(-errno)) {
			mr_stat_add(&p->net.counters.accept_paused, 1);
			listener_pause(p, pl, true);
			break;
		} else {
			// ECONNABORTED and the network errors of accept(2) are the peer's trouble.
			mr_stat_add(&p->net.counters.accept_aborted, 1);
		}
	}
}

static int plain_listen(struct mr_net *net, const struct mr_net_addr *at, struct mr_listener *l)
{
	struct plain_net *p = plain_of(net);
	struct plain_listener *pl = calloc(1, sizeof(*pl));
	struct epoll_event ev = {.events = EPOLLIN};
	int err;

	if (!pl)
		return -ENOMEM;
	err = mr_sock_listen(at, l, SOCK_NONBLOCK);
	if (err < 0)
		goto fail;
	*pl = (struct plain_listener){{listener_ready, NULL}, l, err, false, p->listeners};
	ev.data.ptr = &pl->source;
	if (epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, pl->fd, &ev) != 0) {
		err = -errno;
		close(pl->fd);
		goto fail;
	}
	p->listeners = pl;
	l->impl = pl;
	return 0;
fail:
	free(pl);
	return err;
}

static void plain_unlisten(struct mr_net *net, struct mr_listener *l)
{
	struct plain_net *p = plain_of(net);
	struct plain_listener *pl = l->impl, **at = &p->listeners;

	while (*at != pl)
		at = &(*at)->next;
	*at = pl->next;
	close(pl->fd);
	source_bury(p, &pl->source);
	free(l);
}

static void watch_ready(struct source *src, uint32_t)
{
	struct mr_watch *w = MR_CONTAINER(src, struct plain_watch, source)->watch;

	w->ready(w);
}

static int plain_watch(struct mr_net *net, struct mr_watch *w)
{
	struct plain_watch *pw = calloc(1, sizeof(*pw));
	struct epoll_event ev = {.events = EPOLLIN};

	if (!pw)
		return -ENOMEM;
	*pw = (struct plain_watch){{watch_ready, NULL}, w};
	ev.data.ptr = &pw->source;
	if (epoll_ctl(plain_of(net)->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) != 0) {
		int err = -errno;

		free(pw);
		return err;
	}
	w->impl = pw;
	return 0;
}

static void plain_unwatch(struct mr_net *net, struct mr_watch *w)
{
	struct plain_watch *pw = w->impl;

	// Fails when the owner has closed it already, which removed it.
	(void)epoll_ctl(plain_of(net)->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	source_bury(plain_of(net), &pw->source);
	w->impl = NULL;
}

static int plain_turn(struct mr_net *net, int64_t wait_ns)
{
	struct plain_net *p = plain_of(net);
	int ms = (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
	int n = epoll_wait(p->epoll_fd, p->events, EVENTS_MAX, ms);

	int rc = n < 0 && errno != EINTR ? -errno : 0;

	mr_net_time(net);
	for (int i = 0; i < n; i++) {
		struct source *src = p->events[i].data.ptr;

		if (src->ready)
			src->ready(src, p->events[i].events);
	}
	bury_all(p);
	return n < 0 ? rc : n;
}

static void plain_flush(struct mr_net *)
{
}

static void plain_tick(struct mr_net *net)
{
	struct plain_net *p = plain_of(net);

	for (struct plain_listener *pl = p->listeners; pl; pl = pl->next)
		if (pl->paused)
			listener_pause(p, pl, false);
}

static void feed_starved(struct mr_net_task *t)
{
	struct plain_net *p = MR_CONTAINER(t, struct plain_net, feed);

	while (p->starved) {
		struct plain_sock *ps = p->starved;

		p->starved = ps->next_starved;
		ps->starved = false;
		sock_later(&ps->sock);
	}
}

static void plain_rxbuf_free(struct mr_net *net, struct mr_rxbuf *b)
{
	struct plain_net *p = plain_of(net);

	b->next = p->free;
	p->free = b;
	if (p->starved)
		mr_net_later(net, &p->feed);
}

static void plain_place(struct mr_stream *st, uint8_t *to, size_t bytes)
{
	mr_sock_place(&sock_of(st)->sock, to, bytes);
}

static void plain_send(struct mr_stream *st, const struct iovec *pieces, unsigned count)
{
	struct plain_sock *ps = sock_of(st);

	mr_sock_pieces(&ps->sock, pieces, count);
	try_send(ps);
	sock_later(&ps->sock);
}

static void plain_pause(struct mr_stream *st)
{
	struct mr_sock *s = &sock_of(st)->sock;

	if (s->paused)
		return;
	s->paused = true;
	mr_stat_add(&st->net->counters.pauses, 1);
	sock_later(s);
}

static void plain_resume(struct mr_stream *st)
{
	sock_of(st)->sock.paused = false;
	sock_later(&sock_of(st)->sock);
}

static void plain_close(struct mr_stream *st)
{
	mr_sock_fail(&sock_of(st)->sock, 0);
	sock_later(&sock_of(st)->sock);
}

static void plain_destroy(struct mr_net *net)
{
	struct plain_net *p = plain_of(net);

	while (p->listeners)
		plain_unlisten(net, p->listeners->listener);
	for (uint32_t i = 0; i < p->socks.used_max; i++) {
		struct mr_sock *s = mr_socks_at(&p->socks, i);

		if (s->fd < 0)
			continue;
		mr_net_forget(net, &s->work);
		mr_sock_fail(s, 0);
		sock_finish(p, MR_CONTAINER(s, struct plain_sock, sock));
	}
	bury_all(p);
	close(p->epoll_fd);
	mr_socks_fini(&p->socks);
	mr_net_fini(net);
	free(p);
}

static const struct mr_stream_ops plain_ops = {
	.name = "plain",
	.turn = plain_turn,
	.flush = plain_flush,
	.tick = plain_tick,
	.listen = plain_listen,
	.unlisten = plain_unlisten,
	.watch = plain_watch,
	.unwatch = plain_unwatch,
	.rxbuf_free = plain_rxbuf_free,
	.destroy = plain_destroy,
	.place = plain_place,
	.send = plain_send,
	.pause = plain_pause,
	.resume = plain_resume,
	.close = plain_close,
	.tcp = mr_sock_tcp,
};

int mr_net_plain_create(const struct mr_net_options *o, struct mr_net **out)
{
	struct plain_net *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->feed.run = feed_starved;
	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll_fd < 0) {
		err = -errno;
		goto fail_free;
	}
	err = mr_socks_init(&p->socks, sizeof(struct plain_sock), o->streams_max, o->node);
	if (err < 0)
		goto fail_epoll;
	err = mr_net_init(&p->net, &plain_ops, o);
	if (err < 0)
		goto fail_socks;
	for (uint32_t i = 0; i < o->rxbufs; i++) {
		p->net.rxbufs[i].next = p->free;
		p->free = &p->net.rxbufs[i];
	}
	*out = &p->net;
	return 0;
fail_socks:
	mr_socks_fini(&p->socks);
fail_epoll:
	close(p->epoll_fd);
fail_free:
	free(p);
	return err;
}
