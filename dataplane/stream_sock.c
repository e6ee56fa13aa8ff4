// State of a kernel socket and the delivery of its bytes, whoever moves them.
//
// Bytes that have been received and not taken are the backlog: a list of receive buffers, each
// with a range. Delivery gives them to the place, when one is set, and to `data` otherwise, until
// they are gone or the user pauses. A circulating buffer goes back as soon as its range is empty
// and nobody has pinned it.
#include "dataplane/stream_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DISCARDS_MAX = 16, DISCARD_BYTES = 1 << 20 };

int mr_socks_init(struct mr_socks *t, size_t bytes, uint32_t count_max, int node)
{
	*t = (struct mr_socks){.bytes = mr_round_up(bytes, 64), .count_max = count_max};
	return mr_pages_reserve(&t->pages, t->bytes * count_max, MR_PAGES_SMALL, node);
}

void mr_socks_fini(struct mr_socks *t)
{
	mr_pages_release(&t->pages);
}

struct mr_sock *mr_socks_at(const struct mr_socks *t, uint32_t i)
{
	MR_DASSERT(i < t->count_max);
	return (struct mr_sock *)(void *)(t->pages.data + (size_t)i * t->bytes);
}

struct mr_sock *mr_socks_get(struct mr_socks *t)
{
	struct mr_sock *s = t->free;

	if (s)
		t->free = s->next;
	else if (t->used_max < t->count_max)
		s = mr_socks_at(t, t->used_max++);
	else
		return NULL;
	memset(s, 0, t->bytes);
	s->fd = -1;
	t->count++;
	return s;
}

void mr_socks_put(struct mr_socks *t, struct mr_sock *s)
{
	MR_ASSERT(t->count > 0 && !s->backlog_first && !s->work.queued);
	s->fd = -1;
	s->next = t->free;
	t->free = s;
	t->count--;
}

static socklen_t to_sockaddr(const struct mr_net_addr *a, struct sockaddr_storage *out)
{
	*out = (struct sockaddr_storage){0};
	if (a->is_v6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		in6->sin6_scope_id = a->scope;
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	in->sin_family = AF_INET;
	in->sin_port = htons(a->port);
	memcpy(&in->sin_addr, a->ip, 4);
	return sizeof(*in);
}

static void from_sockaddr(const struct sockaddr_storage *s, struct mr_net_addr *out)
{
	*out = (struct mr_net_addr){.is_v6 = s->ss_family == AF_INET6};
	if (out->is_v6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)s;

		out->port = ntohs(in6->sin6_port);
		out->scope = in6->sin6_scope_id;
		memcpy(out->ip, &in6->sin6_addr, 16);
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)s;

		out->port = ntohs(in->sin_port);
		memcpy(out->ip, &in->sin_addr, 4);
	}
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

// "::" takes IPv4 too, as people expect of a wildcard.
static int bind_and_listen(int fd, const struct mr_net_addr *at, const struct mr_net_options *o)
{
	struct sockaddr_storage sa;
	socklen_t bytes = to_sockaddr(at, &sa);
	int err = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (err == 0 && at->is_v6)
		err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	// The buffer sizes are inherited; the window scale is fixed at the handshake.
	if (err == 0 && o->receive_buffer)
		err = set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)o->receive_buffer);
	if (err == 0 && o->send_buffer)
		err = set_int(fd, SOL_SOCKET, SO_SNDBUF, (int)o->send_buffer);
	if (err < 0)
		return err;
	if (bind(fd, (struct sockaddr *)&sa, bytes) != 0 || listen(fd, MR_NET_BACKLOG) != 0)
		return -errno;
	return 0;
}

int mr_sock_listen(const struct mr_net_addr *at, struct mr_listener *l, int flags)
{
	struct sockaddr_storage sa;
	socklen_t bytes = sizeof(sa);
	int fd = socket(at->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = bind_and_listen(fd, at, &l->net->options);
	if (err == 0 && getsockname(fd, (struct sockaddr *)&sa, &bytes) != 0)
		err = -errno;
	if (err < 0) {
		close(fd);
		return err;
	}
	from_sockaddr(&sa, &l->local);
	return fd;
}

bool mr_sock_accept_is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

int mr_sock_open(struct mr_sock *s, struct mr_listener *l, int fd, const struct mr_stream_ops *ops)
{
	struct sockaddr_storage sa;
	socklen_t bytes = sizeof(sa);
	int err;

	if (l->net->options.descriptors_end && fd >= l->net->options.descriptors_end) {
		mr_stat_add(&l->net->counters.accept_beyond, 1);
		return -EMFILE;
	}
	s->fd = fd;
	s->listener = l;
	s->stream = (struct mr_stream){.ops = ops, .events = l->events, .net = l->net};
	s->stream.received_ns = s->stream.moved_ns = l->net->now_ns;
	// A peer that has gone by now is met by the first receive; its address stays zero.
	if (getpeername(fd, (struct sockaddr *)&sa, &bytes) == 0)
		from_sockaddr(&sa, &s->stream.peer);
	bytes = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &bytes) == 0)
		from_sockaddr(&sa, &s->stream.local);
	err = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (err == 0)
		err = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (err < 0) {
		mr_stat_add(&l->net->counters.accept_aborted, 1);
		return err;
	}
	err = l->events->opened(l->owner, &s->stream);
	mr_stat_add(err < 0 ? &l->net->counters.accept_refused : &l->net->counters.accepted, 1);
	return err;
}

static void count_received(struct mr_sock *s, size_t n)
{
	struct mr_net *net = s->stream.net;

	mr_stat_add(&net->counters.receives, 1);
	mr_stat_add(&net->counters.received_bytes, n);
	s->stream.received_bytes += n;
	s->stream.received_ns = s->stream.moved_ns = net->now_ns;
}

void mr_sock_received(struct mr_sock *s, struct mr_rxbuf *b, size_t n)
{
	MR_ASSERT(n > 0 && n <= MR_NET_RXBUF_BYTES && !b->lent && b->pins == 0);
	count_received(s, n);
	s->stream.net->rx_out++;
	b->lent = true;
	b->at = 0;
	b->end = (uint16_t)n;
	b->next = NULL;
	if (s->backlog_first)
		s->backlog_last->next = b;
	else
		s->backlog_first = b;
	s->backlog_last = b;
}

static void place_advance(struct mr_sock *s, size_t n)
{
	MR_ASSERT(n <= s->place_left);
	s->place_at += n;
	s->place_left -= n;
	if (s->place_left == 0) {
		s->place_at = NULL;
		s->placed_due = true;
	}
}

void mr_sock_placed(struct mr_sock *s, size_t n)
{
	count_received(s, n);
	mr_stat_add(&s->stream.net->counters.placed_bytes, n);
	place_advance(s, n);
}

void mr_sock_eof(struct mr_sock *s)
{
	struct tcp_info info = {0};
	socklen_t bytes = sizeof(info);

	// A reset in the middle of a receive that waits for all its bytes ends that receive short,
	// and takes the error along: what follows looks like an end. The state tells them apart.
	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 &&
		info.tcpi_state == TCP_CLOSE)
		mr_sock_fail(s, -ECONNRESET);
	s->eof = true;
}

static void backlog_pop(struct mr_sock *s)
{
	struct mr_rxbuf *b = s->backlog_first;

	s->backlog_first = b->next;
	b->lent = false;
	if (b->pins == 0)
		mr_rxbuf_return(b);
}

// Moves bytes of the first buffer to where they belong. False when the user takes no more.
static bool deliver_one(struct mr_sock *s)
{
	struct mr_rxbuf *b = s->backlog_first;
	size_t have = (size_t)(b->end - b->at), n;

	if (s->place_left) {
		n = MR_MIN(have, s->place_left);
		memcpy(s->place_at, b->data + b->at, n);
		mr_stat_add(&s->stream.net->counters.copied_bytes, n);
		place_advance(s, n);
	} else {
		n = s->stream.events->data(&s->stream, b, mr_span(b->data + b->at, have));
		MR_ASSERT(n == have || s->paused || s->closing || s->place_at || s->placed_due);
	}
	MR_ASSERT(n <= have);
	b->at = (uint16_t)(b->at + n);
	if (b->at == b->end)
		backlog_pop(s);
	return !s->paused && !s->closing;
}

void mr_sock_deliver(struct mr_sock *s)
{
	MR_ASSERT(!s->delivering);
	s->delivering = true;
	if (s->sent_due && !s->closing) {
		s->sent_due = false;
		s->stream.events->sent(&s->stream);
	}
	while (!s->paused && !s->closing) {
		if (s->placed_due) {
			s->placed_due = false;
			s->stream.events->placed(&s->stream);
		} else if (!s->backlog_first || !deliver_one(s)) {
			break;
		}
	}
	if (s->eof && !s->ended && !s->paused && !s->closing && !s->backlog_first) {
		s->ended = true;
		s->stream.events->ended(&s->stream);
	}
	s->delivering = false;
}

void mr_sock_spill(struct mr_sock *s)
{
	struct mr_rxbuf **at = &s->backlog_first;

	for (; *at; at = &(*at)->next) {
		struct mr_rxbuf *next = (*at)->next;

		*at = mr_rxbuf_spill(*at);
		(*at)->next = next;
		s->backlog_last = *at;
	}
}

void mr_sock_fail(struct mr_sock *s, int err)
{
	if (s->closing)
		return;
	s->closing = true;
	s->error = err;
}

void mr_sock_shut(struct mr_sock *s)
{
	// Closing with unread bytes resets the connection, and drops what is still queued to be
	// sent: the last answers before a close. So what has come by now is thrown away unread
	// first.
	for (int i = 0; i < DISCARDS_MAX && !s->error; i++)
		if (recv(s->fd, NULL, DISCARD_BYTES, MSG_TRUNC | MSG_DONTWAIT) <= 0)
			break;
	close(s->fd);
	mr_out_put(s->stream.net, s->out);
	s->out = NULL;
	while (s->backlog_first)
		backlog_pop(s);
}

void mr_sock_tcp(const struct mr_stream *st, struct mr_stream_tcp *out)
{
	static const char *const states[] = {
		[TCP_ESTABLISHED] = "established",
		[TCP_FIN_WAIT1] = "fin-wait-1",
		[TCP_FIN_WAIT2] = "fin-wait-2",
		[TCP_TIME_WAIT] = "time-wait",
		[TCP_CLOSE] = "closed",
		[TCP_CLOSE_WAIT] = "close-wait",
		[TCP_LAST_ACK] = "last-ack",
		[TCP_CLOSING] = "closing",
	};
	const struct mr_sock *s = MR_CONTAINER(st, const struct mr_sock, stream);
	struct tcp_info info = {0};
	socklen_t bytes = sizeof(info);

	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0)
		return;
	if (info.tcpi_state < MR_COUNT_OF(states) && states[info.tcpi_state])
		snprintf(out->state, sizeof(out->state), "%s", states[info.tcpi_state]);
	out->srtt_us = info.tcpi_rtt;
	out->retransmits = info.tcpi_total_retrans;
}

void mr_sock_place(struct mr_sock *s, uint8_t *to, size_t bytes)
{
	MR_ASSERT(!s->place_left && !s->placed_due && bytes > 0);
	s->place_at = to;
	s->place_left = bytes;
}

void mr_sock_pieces(struct mr_sock *s, const struct iovec *pieces, unsigned count)
{
	MR_ASSERT(!s->sending && !s->sent_due);
	s->out = mr_out_take(s->stream.net, pieces, count);
	s->sending = true;
}

struct msghdr mr_sock_message(struct mr_sock *s)
{
	return (struct msghdr){
		.msg_iov = s->out->pieces + s->out->at, .msg_iovlen = s->out->count - s->out->at};
}

bool mr_sock_sent(struct mr_sock *s, size_t n)
{
	struct mr_net *net = s->stream.net;

	mr_stat_add(&net->counters.sends, 1);
	mr_stat_add(&net->counters.sent_bytes, n);
	s->stream.sent_bytes += n;
	s->stream.moved_ns = net->now_ns;
	if (!mr_out_sent(s->out, n)) {
		mr_stat_add(&net->counters.sends_partial, 1);
		return false;
	}
	mr_out_put(net, s->out);
	s->out = NULL;
	s->sending = false;
	s->sent_due = true;
	return true;
}
