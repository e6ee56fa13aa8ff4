// What the user of a connection calls.
#include "dataplane/tcpip/tcp_int.h"

void mr_tcp_set_user(struct mr_tcp_conn *c, void *user)
{
	c->user = user;
}

void *mr_tcp_user(const struct mr_tcp_conn *c)
{
	return c->user;
}

static bool may_send(const struct mr_tcp_conn *c)
{
	return c->state <= MR_TCP_CLOSE_WAIT && c->state != MR_TCP_FIN_WAIT_1 &&
	       c->state != MR_TCP_FIN_WAIT_2 && !(c->flags & MR_TCP_C_FIN_OUT);
}

// Sequence numbers of data begin behind the SYN.
static uint32_t out_base(const struct mr_tcp_conn *c)
{
	return c->state < MR_TCP_ESTABLISHED ? c->iss + 1 : c->snd_una;
}

size_t mr_tcp_send_room(const struct mr_tcp_conn *c)
{
	uint32_t used = c->snd_end - out_base(c);

	return may_send(c) ? c->t->o.send_queue_max - used : 0;
}

size_t mr_tcp_send(struct mr_tcp_conn *c, const void *data, size_t bytes)
{
	struct mr_tcp *t = c->t;
	uint32_t want = (uint32_t)MR_MIN(bytes, mr_tcp_send_room(c)), n;

	if (!may_send(c) || !bytes)
		return 0;
	n = mr_tcp_queue_write(t, &c->out, out_base(c), c->snd_end, data, want, 0);
	c->snd_end += n;
	if (n < bytes)
		c->flags |= MR_TCP_C_WANTS_ROOM;
	if (n < want) {
		MR_TCP_COUNT(t, memory_dropped);
		if (mr_tcp_link_is_alone(&c->starved))
			mr_tcp_link_add(&t->starved, &c->starved);
	}
	if (n && c->state >= MR_TCP_ESTABLISHED)
		mr_tcp_owe(c);
	return n;
}

void mr_tcp_pause(struct mr_tcp_conn *c)
{
	c->flags |= MR_TCP_C_PAUSED;
}

void mr_tcp_resume(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	c->flags &= ~MR_TCP_C_PAUSED;
	if (c->flags & MR_TCP_C_IN_DATA) {
		c->flags |= MR_TCP_C_RESUMED;
		return;
	}
	mr_tcp_enter(t);
	mr_tcp_deliver(c);
	mr_tcp_leave(t);
}

void mr_tcp_shutdown(struct mr_tcp_conn *c)
{
	if (c->flags & MR_TCP_C_FIN_OUT || c->state >= MR_TCP_TIME_WAIT)
		return;
	c->flags |= MR_TCP_C_FIN_OUT;
	if (c->state == MR_TCP_ESTABLISHED)
		c->state = MR_TCP_FIN_WAIT_1;
	else if (c->state == MR_TCP_CLOSE_WAIT)
		c->state = MR_TCP_LAST_ACK;
	if (c->state >= MR_TCP_ESTABLISHED)
		mr_tcp_owe(c);
}

void mr_tcp_close(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	if (c->flags & MR_TCP_C_IN_DATA) {
		c->flags |= MR_TCP_C_CLOSE_SOON;
		return;
	}
	mr_tcp_enter(t);
	mr_tcp_conn_close(c);
	mr_tcp_leave(t);
}

void mr_tcp_abort(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	mr_tcp_enter(t);
	if (c->state != MR_TCP_GONE) {
		mr_tcp_conn_reset(c);
		mr_tcp_conn_drop(c);
	}
	mr_tcp_leave(t);
}

struct mr_tcp_listener *mr_tcp_listener_at(struct mr_tcp *t, uint16_t port)
{
	for (int i = 0; i < MR_TCP_LISTENERS_MAX; i++) {
		if (t->listeners[i].used && t->listeners[i].port == port)
			return &t->listeners[i];
	}
	return NULL;
}

int mr_tcp_listen(struct mr_tcp *t, uint16_t port, const struct mr_tcp_events *events, void *owner,
	struct mr_tcp_listener **out)
{
	if (mr_tcp_listener_at(t, port))
		return -EADDRINUSE;
	for (int i = 0; i < MR_TCP_LISTENERS_MAX; i++) {
		struct mr_tcp_listener *l = &t->listeners[i];

		if (l->used)
			continue;
		*l = (struct mr_tcp_listener){t, events, owner, port, true};
		*out = l;
		return 0;
	}
	return -ENOSPC;
}

void mr_tcp_unlisten(struct mr_tcp_listener *l)
{
	struct mr_tcp *t = l->t;

	for (uint32_t id = 1; id <= t->halves.slab.high; id++) {
		struct mr_tcp_half *h = mr_tcp_slab_at(&t->halves.slab, id);

		if (h->used && h->listener == l)
			mr_tcp_half_drop(t, h);
	}
	l->used = false;
}

static bool is_taken(struct mr_tcp *t, const struct mr_ip *local, uint16_t local_port,
	const struct mr_ip *peer, uint16_t peer_port)
{
	return mr_tcp_table_find(&t->conns, local, local_port, peer, peer_port) ||
	       mr_tcp_table_find(&t->waits, local, local_port, peer, peer_port) ||
	       mr_tcp_listener_at(t, local_port);
}

// A free port of the dynamic range (RFC 6056: from a random place on); 0: none.
static uint16_t pick_port(
	struct mr_tcp *t, const struct mr_ip *local, const struct mr_ip *peer, uint16_t peer_port)
{
	enum { FIRST = 32768, PORTS = 65536 - FIRST };
	uint32_t at = (uint32_t)mr_rand_below(&t->rand, PORTS);

	for (uint32_t i = 0; i < PORTS; i++) {
		uint16_t port = (uint16_t)(FIRST + (at + i) % PORTS);

		if (!is_taken(t, local, port, peer, peer_port))
			return port;
	}
	return 0;
}

int mr_tcp_connect(struct mr_tcp *t, const struct mr_ip *local, uint16_t local_port,
	const struct mr_ip *peer, uint16_t peer_port, const struct mr_tcp_events *events,
	void *user, struct mr_tcp_conn **out)
{
	struct mr_ip_path path = {.local = *local, .peer = *peer};
	struct mr_tcp_conn *c;

	if (!local_port)
		local_port = pick_port(t, local, peer, peer_port);
	if (!local_port || is_taken(t, local, local_port, peer, peer_port))
		return -EADDRINUSE;
	if (!t->lower.route(t->lower.ctx, &path))
		return -EHOSTUNREACH;
	c = mr_tcp_conn_new(t, &path, local_port, peer_port, events);
	if (!c)
		return -ENOBUFS;
	c->user = user;
	c->state = MR_TCP_SYN_SENT;
	c->flags |= MR_TCP_C_ACTIVE;
	c->iss = mr_tcp_iss(t, &c->e);
	c->snd_una = c->snd_nxt = c->snd_max = c->iss;
	c->snd_end = c->iss + 1;
	mr_tcp_owe(c);
	*out = c;
	return 0;
}
