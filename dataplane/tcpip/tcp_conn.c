// The life of a connection: made, agreed, let go by its user, ended by its peer, freed.
//
// A connection may die while functions up the stack still hold it (its own callback has aborted
// it): it is marked GONE at once and freed when the outermost call leaves. Whoever has called back
// looks at the state before going on.
#include "dataplane/tcpip/tcp_int.h"

static void free_dead(struct mr_tcp *t)
{
	while (!mr_tcp_link_is_alone(&t->dead)) {
		struct mr_tcp_conn *c = MR_CONTAINER(t->dead.next, struct mr_tcp_conn, owes);

		mr_tcp_link_remove(&c->owes);
		c->state = MR_TCP_UNUSED;
		mr_tcp_slab_put(&t->conns.slab, mr_tcp_slab_id(&t->conns.slab, c));
	}
}

void mr_tcp_leave(struct mr_tcp *t)
{
	MR_ASSERT(t->depth > 0);
	if (--t->depth == 0 && MR_UNLIKELY(!mr_tcp_link_is_alone(&t->dead)))
		free_dead(t);
}

struct mr_tcp_conn *mr_tcp_conn_new(struct mr_tcp *t, const struct mr_ip_path *path,
	uint16_t local_port, uint16_t peer_port, const struct mr_tcp_events *events)
{
	uint32_t id = mr_tcp_slab_get(&t->conns.slab);
	struct mr_tcp_conn *c;

	if (!id)
		return NULL;
	c = mr_tcp_slab_at(&t->conns.slab, id);
	memset(c, 0, sizeof(*c));
	c->t = t;
	c->e = (struct mr_tcp_entry){*path, local_port, peer_port, 0};
	c->events = events;
	c->flags = MR_TCP_C_HASHED;
	c->heard_ns = t->now_ns;
	c->challenged_ns = t->now_ns - MR_TCP_CHALLENGE_EVERY;
	c->rto_ns = t->o.rto_first_ns;
	c->ts_offset = mr_tcp_ts_offset(t, path);
	mr_tcp_link_init(&c->owes);
	mr_tcp_link_init(&c->starved);
	mr_tcp_table_insert(&t->conns, &c->e);
	MR_TCP_COUNT(t, connections);
	return c;
}

uint16_t mr_tcp_path_mss(const struct mr_ip_path *path)
{
	uint16_t ip = mr_ip_is_v4(&path->peer) ? MR_IP4_BYTES : MR_IP6_BYTES;

	return (uint16_t)MR_MAX(path->mtu - ip - MR_TCP_BYTES, MR_TCP_MSS_MIN);
}

void mr_tcp_conn_set_mss(struct mr_tcp_conn *c)
{
	uint16_t mss = MR_MIN(mr_tcp_path_mss(&c->e.path), c->peer_mss);

	c->mss = (uint16_t)(MR_MAX(mss, MR_TCP_MSS_MIN) - (c->flags & MR_TCP_C_TS ? 12 : 0));
}

void mr_tcp_conn_agree(struct mr_tcp_conn *c, uint32_t irs, uint16_t peer_mss, bool scaled,
	uint8_t snd_shift, uint32_t window)
{
	struct mr_tcp *t = c->t;

	c->rcv_nxt = c->rcv_user = c->rcv_acked = irs + 1;
	c->rcv_edge = c->rcv_nxt + MR_MIN(t->o.receive_window_max, 65535u);
	c->snd_shift = scaled ? snd_shift : 0;
	c->rcv_shift = scaled ? t->wscale : 0;
	c->snd_wnd = c->snd_wnd_max = window;
	c->peer_mss = peer_mss ? peer_mss : mr_ip_is_v4(&c->e.path.peer) ? 536 : 1220;
	mr_tcp_conn_set_mss(c);
	c->rcv_mss = c->mss;
	c->recover = c->high_rxt = c->snd_una;
	c->ts_recent_ms = t->now_ms;
	mr_tcp_cwnd_start(c);
	if (t->o.keepalive_idle_ns > 0)
		c->due_life = t->now_ns + t->o.keepalive_idle_ns;
	mr_tcp_arm(c);
}

// Off the wire: segments do not find it any more.
static void unhash(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	if (!(c->flags & MR_TCP_C_HASHED))
		return;
	c->flags &= ~MR_TCP_C_HASHED;
	mr_tcp_table_remove(&t->conns, &c->e);
	MR_TCP_UNCOUNT(t, connections);
	mr_wheel_cancel(&t->wheel, &c->timer);
	mr_tcp_link_remove(&c->owes);
	mr_tcp_link_remove(&c->starved);
	mr_tcp_queue_clear(t, &c->out);
	mr_tcp_ranges_drop(t, &c->ranges_in);
	mr_tcp_ranges_drop(t, &c->ranges_out);
	if (t->last == c)
		t->last = NULL;
}

void mr_tcp_conn_drop(struct mr_tcp_conn *c)
{
	if (c->state == MR_TCP_GONE)
		return;
	MR_ASSERT(c->t->depth > 0);
	unhash(c);
	mr_tcp_queue_clear(c->t, &c->in);
	c->state = MR_TCP_GONE;
	mr_tcp_link_add(&c->t->dead, &c->owes);
}

void mr_tcp_conn_fail(struct mr_tcp_conn *c, int err)
{
	uint32_t flags = c->flags;

	mr_tcp_conn_drop(c);
	if (flags & (MR_TCP_C_ORPHAN | MR_TCP_C_CLOSE_SOON))
		return;
	if (flags & MR_TCP_C_ACTIVE)
		c->events->connected(c, err);
	else
		c->events->closed(c, err);
}

void mr_tcp_conn_finish(struct mr_tcp_conn *c)
{
	MR_TCP_COUNT(c->t, closed);
	unhash(c);
	if (c->flags & MR_TCP_C_ORPHAN)
		mr_tcp_conn_drop(c);
	else
		c->state = MR_TCP_FINISHED;
}

void mr_tcp_conn_time_wait(struct mr_tcp_conn *c)
{
	mr_tcp_wait_add(c);
	mr_tcp_conn_finish(c);
}

void mr_tcp_conn_reset(struct mr_tcp_conn *c)
{
	if (c->state == MR_TCP_SYN_SENT || !(c->flags & MR_TCP_C_HASHED))
		return;
	if (mr_tcp_emit(c, c->snd_max, 0, MR_TCP_RST | MR_TCP_ACK) == 0)
		MR_TCP_COUNT(c->t, reset_out);
}

void mr_tcp_conn_close(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	if (c->state == MR_TCP_GONE)
		return;
	c->flags |= MR_TCP_C_ORPHAN;
	c->flags &= ~(MR_TCP_C_WANTS_ROOM | MR_TCP_C_CLOSE_SOON);
	mr_tcp_link_remove(&c->starved);
	if (c->state == MR_TCP_FINISHED || c->state < MR_TCP_ESTABLISHED || mr_tcp_waiting(c) > 0) {
		mr_tcp_conn_reset(c);
		mr_tcp_conn_drop(c);
		return;
	}
	mr_tcp_shutdown(c);
	c->due_life = t->now_ns + t->o.fin_wait2_ns;
	mr_tcp_arm(c);
}

// RFC 6528: a clock of 4 us and a keyed hash of the connection.
uint32_t mr_tcp_iss(struct mr_tcp *t, const struct mr_tcp_entry *e)
{
	uint8_t b[36];

	memcpy(b, e->path.local.b, 16);
	memcpy(b + 16, e->path.peer.b, 16);
	mr_store_be16(b + 32, e->local_port);
	mr_store_be16(b + 34, e->peer_port);
	return (uint32_t)mr_siphash(&t->key_isn, b, sizeof(b)) + (uint32_t)(t->now_ns >> 12);
}

// Of a pair of hosts, so that their timestamps grow from one connection to the next (RFC 7323 5.4,
// RFC 6191).
uint32_t mr_tcp_ts_offset(const struct mr_tcp *t, const struct mr_ip_path *path)
{
	uint8_t b[32];

	memcpy(b, path->local.b, 16);
	memcpy(b + 16, path->peer.b, 16);
	return (uint32_t)mr_siphash(&t->key_ts, b, sizeof(b));
}
