// Half-open connections: a record of what the peer has asked for, until it answers our SYN.
//
// They cost 160 bytes, not a connection. When there are too many, the answer carries all that
// matters in its sequence number and nothing is kept (tcp_cookie.c).
#include "dataplane/tcpip/tcp_int.h"

static uint16_t *source_of(struct mr_tcp *t, const struct mr_ip *peer)
{
	return &t->sources[mr_siphash(&t->key_source, peer->b, 16) & t->sources_mask];
}

static void fill(struct mr_tcp *t, struct mr_tcp_half *h, struct mr_tcp_listener *l,
	const struct mr_ip_path *path, const struct mr_tcp_seg *s)
{
	*h = (struct mr_tcp_half){.e = {*path, s->dst_port, s->src_port, 0}, .listener = l};
	h->irs = s->seq;
	h->mss = s->mss;
	h->scaled = s->wscale != MR_TCP_NO_WSCALE;
	h->snd_shift = h->scaled ? s->wscale : 0;
	h->flags = (s->sack_permitted && !t->o.no_sack ? MR_TCP_C_SACK : 0) |
		   (s->has_ts && !t->o.no_timestamps ? MR_TCP_C_TS : 0);
	h->ts_recent = s->ts_value;
	h->window = s->window;
	h->iss = mr_tcp_iss(t, &h->e);
}

void mr_tcp_send_syn_ack(struct mr_tcp *t, struct mr_tcp_half *h, uint32_t ts_value)
{
	struct mr_tcp_bare b = {.path = &h->e.path,
		.local_port = h->e.local_port,
		.peer_port = h->e.peer_port,
		.seq = h->iss,
		.ack = h->irs + 1,
		.window = (uint16_t)MR_MIN(t->o.receive_window_max, 65535u),
		.flags = MR_TCP_SYN | MR_TCP_ACK};

	mr_tcp_option_syn(&b, mr_tcp_path_mss(&h->e.path), h->flags & MR_TCP_C_SACK,
		h->scaled ? t->wscale : -1);
	if (h->flags & MR_TCP_C_TS)
		mr_tcp_option_ts(&b, ts_value, h->ts_recent);
	if (mr_tcp_emit_bare(t, &b) < 0)
		h->sent_ns = 0; // nothing to time
}

static void send_plain(struct mr_tcp *t, struct mr_tcp_half *h)
{
	mr_tcp_send_syn_ack(t, h, t->now_ms + mr_tcp_ts_offset(t, &h->e.path));
}

static void insert(struct mr_tcp *t, const struct mr_tcp_half *made)
{
	struct mr_tcp_half *h = mr_tcp_slab_at(&t->halves.slab, mr_tcp_slab_get(&t->halves.slab));

	*h = *made;
	h->used = true;
	h->sent_ns = t->now_ns;
	mr_tcp_table_insert(&t->halves, &h->e);
	++*source_of(t, &h->e.path.peer);
	MR_TCP_COUNT(t, syns);
	mr_wheel_set(&t->wheel, &h->timer, t->now_ns + t->o.rto_first_ns);
	send_plain(t, h);
}

void mr_tcp_half_drop(struct mr_tcp *t, struct mr_tcp_half *h)
{
	mr_wheel_cancel(&t->wheel, &h->timer);
	mr_tcp_table_remove(&t->halves, &h->e);
	--*source_of(t, &h->e.path.peer);
	h->used = false;
	mr_tcp_slab_put(&t->halves.slab, mr_tcp_slab_id(&t->halves.slab, h));
	MR_TCP_UNCOUNT(t, syns);
}

void mr_tcp_syn_input(
	struct mr_tcp *t, struct mr_tcp_listener *l, const struct mr_tcp_seg *s, uint32_t iss_min)
{
	struct mr_ip_path path = {.local = *s->dst, .peer = *s->src};
	bool full = t->halves.slab.used >= t->halves.slab.max;
	struct mr_tcp_half h;

	if (t->conns.slab.used >= t->conns.slab.max) {
		MR_TCP_COUNT(t, refused);
		return;
	}
	if (!full && !t->o.always_cookies && *source_of(t, s->src) >= t->o.syns_per_source) {
		MR_TCP_COUNT(t, syns_dropped);
		return;
	}
	if (!t->lower.route(t->lower.ctx, &path))
		return;
	fill(t, &h, l, &path, s);
	if (iss_min && mr_seq_le(h.iss, iss_min))
		h.iss = iss_min + 1;
	if (full || t->o.always_cookies)
		mr_tcp_cookie_send(t, &h);
	else
		insert(t, &h);
}

void mr_tcp_half_timer(struct mr_tcp *t, struct mr_tcp_half *h)
{
	if (h->tries >= t->o.syn_retries_max) {
		mr_tcp_half_drop(t, h);
		return;
	}
	h->tries++;
	mr_wheel_set(&t->wheel, &h->timer,
		t->now_ns + MR_MIN(t->o.rto_first_ns << h->tries, t->o.rto_max_ns));
	send_plain(t, h);
}

// The peer's side of the handshake is complete: a connection, and its listener's user is told.
struct mr_tcp_conn *mr_tcp_half_open(
	struct mr_tcp *t, const struct mr_tcp_half *h, const struct mr_tcp_seg *s)
{
	struct mr_tcp_listener *l = h->listener;
	struct mr_tcp_conn *c =
		mr_tcp_conn_new(t, &h->e.path, h->e.local_port, h->e.peer_port, l->events);

	if (!c) {
		MR_TCP_COUNT(t, refused);
		mr_tcp_refuse(t, s);
		return NULL;
	}
	c->state = MR_TCP_ESTABLISHED;
	c->flags |= h->flags;
	c->iss = h->iss;
	c->snd_una = c->snd_nxt = c->snd_max = c->snd_end = h->iss + 1;
	c->ts_recent = h->ts_recent;
	c->retries = h->tries;
	mr_tcp_conn_agree(c, h->irs, h->mss, h->scaled, h->snd_shift,
		(uint32_t)s->window << (h->scaled ? h->snd_shift : 0));
	c->retries = 0;
	c->snd_wl1 = h->irs;
	c->snd_wl2 = s->ack;
	if (h->tries == 0 && h->sent_ns)
		mr_tcp_rtt_sample(c, t->now_ns - h->sent_ns);
	else if (h->tries)
		c->rto_ns = MR_MAX(c->rto_ns, 3 * MR_TCP_SECOND); // RFC 6298 5.7
	if (l->events->opened(l->owner, c) < 0 && c->state != MR_TCP_GONE) {
		MR_TCP_COUNT(t, refused);
		mr_tcp_conn_reset(c);
		mr_tcp_conn_drop(c);
	}
	if (c->state == MR_TCP_GONE)
		return NULL;
	MR_TCP_COUNT(t, opened);
	return c;
}

// RFC 9293 3.10.7.4 in SYN-RECEIVED.
struct mr_tcp_conn *mr_tcp_half_input(
	struct mr_tcp *t, struct mr_tcp_half *h, const struct mr_tcp_seg *s)
{
	uint32_t window = MR_MIN(t->o.receive_window_max, 65535u);
	struct mr_tcp_half made = *h;

	if (s->flags & MR_TCP_RST) {
		if (s->seq == h->irs + 1) {
			MR_TCP_COUNT(t, reset_in);
			mr_tcp_half_drop(t, h);
		}
		return NULL;
	}
	if (s->flags & MR_TCP_SYN) { // again, or another: a reset answers a wrong one
		h->sent_ns = 0;
		if (mr_tcp_challenge_budget(t))
			send_plain(t, h);
		return NULL;
	}
	if (s->ack != h->iss + 1) {
		mr_tcp_refuse(t, s);
		return NULL;
	}
	if (s->seq - (h->irs + 1) >= window ||
		(h->flags & MR_TCP_C_TS && (!s->has_ts || mr_seq_lt(s->ts_value, h->ts_recent)))) {
		MR_TCP_COUNT(t, outside_window);
		return NULL;
	}
	mr_tcp_half_drop(t, h);
	return mr_tcp_half_open(t, &made, s);
}
