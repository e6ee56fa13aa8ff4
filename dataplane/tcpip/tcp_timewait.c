// TIME-WAIT: a record of a connection that is over, so that late segments of it are answered and
// its numbers are not mistaken for a new one's (RFC 9293 3.6, RFC 6191, RFC 1337).
//
// All records wait equally long, so that a list in order of their making is in order of their ends;
// one timer runs, for the oldest. When there is no place for a new one, the oldest goes.
#include "dataplane/tcpip/tcp_int.h"

static struct mr_tcp_wait *at(struct mr_tcp *t, uint32_t id)
{
	return mr_tcp_slab_at(&t->waits.slab, id);
}

static void append(struct mr_tcp *t, struct mr_tcp_wait *w)
{
	uint32_t id = mr_tcp_slab_id(&t->waits.slab, w);

	w->end_ns = t->now_ns + t->o.timewait_ns;
	w->newer = 0;
	w->older = t->wait_newest;
	if (w->older)
		at(t, w->older)->newer = id;
	else
		t->wait_oldest = id;
	t->wait_newest = id;
	if (!mr_wheel_is_set(&t->wait_timer))
		mr_wheel_set(&t->wheel, &t->wait_timer, w->end_ns);
}

static void unlink_wait(struct mr_tcp *t, struct mr_tcp_wait *w)
{
	if (w->older)
		at(t, w->older)->newer = w->newer;
	else
		t->wait_oldest = w->newer;
	if (w->newer)
		at(t, w->newer)->older = w->older;
	else
		t->wait_newest = w->older;
}

void mr_tcp_wait_drop(struct mr_tcp *t, struct mr_tcp_wait *w)
{
	unlink_wait(t, w);
	mr_tcp_table_remove(&t->waits, &w->e);
	mr_tcp_slab_put(&t->waits.slab, mr_tcp_slab_id(&t->waits.slab, w));
	MR_TCP_UNCOUNT(t, timewaits);
}

void mr_tcp_wait_expire(struct mr_tcp *t)
{
	while (t->wait_oldest && at(t, t->wait_oldest)->end_ns <= t->now_ns)
		mr_tcp_wait_drop(t, at(t, t->wait_oldest));
	if (t->wait_oldest)
		mr_wheel_set(&t->wheel, &t->wait_timer, at(t, t->wait_oldest)->end_ns);
}

void mr_tcp_wait_add(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;
	struct mr_tcp_wait *w;

	if (t->waits.slab.used >= t->waits.slab.max) {
		MR_TCP_COUNT(t, timewaits_evicted);
		mr_tcp_wait_drop(t, at(t, t->wait_oldest));
	}
	w = at(t, mr_tcp_slab_get(&t->waits.slab));
	*w = (struct mr_tcp_wait){.e = c->e,
		.snd_nxt = c->snd_max,
		.rcv_nxt = c->rcv_nxt,
		.ts_recent = c->ts_recent,
		.ts_offset = c->ts_offset,
		.has_ts = c->flags & MR_TCP_C_TS};
	mr_tcp_table_insert(&t->waits, &w->e);
	append(t, w);
	MR_TCP_COUNT(t, timewaits);
}

static void answer(struct mr_tcp *t, struct mr_tcp_wait *w)
{
	struct mr_tcp_bare b = {.path = &w->e.path,
		.local_port = w->e.local_port,
		.peer_port = w->e.peer_port,
		.seq = w->snd_nxt,
		.ack = w->rcv_nxt,
		.flags = MR_TCP_ACK};

	if (w->has_ts)
		mr_tcp_option_ts(&b, t->now_ms + w->ts_offset, w->ts_recent);
	if (mr_tcp_challenge_budget(t))
		mr_tcp_emit_bare(t, &b);
}

// RFC 6191, RFC 9293 3.10.7.4: a SYN that cannot be of the old connection begins a new one.
static bool is_new_life(const struct mr_tcp_wait *w, const struct mr_tcp_seg *s)
{
	if (!(s->flags & MR_TCP_SYN) || s->flags & MR_TCP_ACK)
		return false;
	if (w->has_ts && s->has_ts && s->ts_value != w->ts_recent)
		return mr_seq_lt(w->ts_recent, s->ts_value);
	return mr_seq_lt(w->rcv_nxt, s->seq);
}

void mr_tcp_wait_input(struct mr_tcp *t, struct mr_tcp_wait *w, const struct mr_tcp_seg *s)
{
	struct mr_tcp_listener *l = mr_tcp_listener_at(t, s->dst_port);
	uint32_t iss_min = w->snd_nxt + 65536;

	if (s->flags & MR_TCP_RST) // RFC 1337: no assassination
		return;
	if (l && is_new_life(w, s)) {
		MR_TCP_COUNT(t, timewaits_recycled);
		mr_tcp_wait_drop(t, w);
		mr_tcp_syn_input(t, l, s, iss_min ? iss_min : 1);
		return;
	}
	if (s->flags & MR_TCP_FIN && s->seq + s->bytes + 1 == w->rcv_nxt) { // its last, again
		unlink_wait(t, w);
		append(t, w);
	}
	if (mr_tcp_seg_length(s))
		answer(t, w);
}
