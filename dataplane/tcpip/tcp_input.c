// Segments in: the steps of RFC 9293 3.10.7, in its order, with RFC 5961 and RFC 7323 at theirs.
#include "dataplane/tcpip/tcp_int.h"

// RFC 7323 5.3 R1: older than the last one taken, unless that one is too old to compare with.
static bool is_paws_old(const struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	return c->flags & MR_TCP_C_TS && s->has_ts && mr_seq_lt(s->ts_value, c->ts_recent) &&
	       c->t->now_ms - c->ts_recent_ms < MR_TCP_PAWS_IDLE_MS;
}

// RFC 7323 4.3, of duplicates too: their sender would else take the first one's time for that of
// the last. Not from anywhere in the past: half of all sequence numbers are, to a blind attacker.
static void note_ts(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	if (!s->has_ts || !(c->flags & MR_TCP_C_TS) ||
		c->rcv_acked - s->seq > c->t->o.receive_window_max)
		return;
	c->ts_recent = s->ts_value;
	c->ts_recent_ms = c->t->now_ms;
}

static bool check_ts(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	if (s->flags & MR_TCP_RST)
		return true;
	if (c->flags & MR_TCP_C_TS && !s->has_ts) { // RFC 7323 3.2
		MR_TCP_COUNT(c->t, bad_segments);
		return false;
	}
	if (!is_paws_old(c, s))
		return true;
	MR_TCP_COUNT(c->t, paws_dropped);
	if (mr_tcp_seg_length(s) || mr_tcp_may_answer(c))
		mr_tcp_owe_ack(c, true);
	return false;
}

// RFC 5961 3.2: exactly the next number, or it is asked back.
static void take_reset(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	if (s->seq != c->rcv_nxt) {
		if (mr_seq_lt(c->rcv_nxt, s->seq) && mr_seq_lt(s->seq, c->rcv_edge))
			mr_tcp_challenge(c);
		else
			MR_TCP_COUNT(c->t, outside_window);
		return;
	}
	MR_TCP_COUNT(c->t, reset_in);
	// RFC 9293 3.10.7.4, second: both sides have finished, so that is no error. (Of a peer that
	// was through first and whose last acknowledgement was lost.) What has come is not lost.
	if (c->state == MR_TCP_CLOSING || c->state == MR_TCP_LAST_ACK) {
		mr_tcp_conn_finish(c);
		return;
	}
	mr_tcp_conn_fail(c, c->state == MR_TCP_SYN_RECEIVED ? -ECONNREFUSED : -ECONNRESET);
}

// Cuts off what lies left of the window. False: all of it does.
static bool trim_left(struct mr_tcp_conn *c, struct mr_tcp_seg *s)
{
	uint32_t old = c->rcv_nxt - s->seq, length = mr_tcp_seg_length(s);

	if (!mr_seq_lt(s->seq, c->rcv_nxt))
		return true;
	if (old < length) {
		s->seq += old;
		s->data += old;
		s->bytes -= old; // old == bytes: the FIN alone is new
		return true;
	}
	if (length)
		MR_TCP_COUNT(c->t, duplicates);
	if (length || mr_tcp_may_answer(c))
		mr_tcp_owe_ack(c, true);
	return false;
}

// And right of it. A probe of a closed window is worth its acknowledgement (3.10.7.4).
static bool trim_right(struct mr_tcp_conn *c, struct mr_tcp_seg *s)
{
	uint32_t room = c->rcv_edge - s->seq;

	if (mr_tcp_seg_length(s) == 0 && mr_seq_le(s->seq, c->rcv_edge))
		return true;
	if (mr_seq_lt(s->seq, c->rcv_edge)) {
		if (s->bytes > room) {
			s->bytes = room;
			s->flags &= ~MR_TCP_FIN;
			MR_TCP_COUNT(c->t, outside_window);
		}
		return true;
	}
	MR_TCP_COUNT(c->t, outside_window);
	if (mr_tcp_seg_length(s) || mr_tcp_may_answer(c))
		mr_tcp_owe_ack(c, true);
	if (s->seq != c->rcv_nxt)
		return false;
	s->bytes = 0;
	s->flags &= ~MR_TCP_FIN;
	return true;
}

static void open_active(struct mr_tcp_conn *c)
{
	c->state = c->flags & MR_TCP_C_FIN_OUT ? MR_TCP_FIN_WAIT_1 : MR_TCP_ESTABLISHED;
	c->retries = c->backoff = 0;
	c->due_rto = 0;
	MR_TCP_COUNT(c->t, connected);
	c->flags &= ~MR_TCP_C_ACTIVE;
	mr_tcp_owe(c);
	c->events->connected(c, 0);
}

// What our SYN and theirs have agreed on.
static void agree(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	struct mr_tcp *t = c->t;
	bool scaled = s->wscale != MR_TCP_NO_WSCALE;

	if (s->has_ts && !t->o.no_timestamps)
		c->flags |= MR_TCP_C_TS;
	if (s->sack_permitted && !t->o.no_sack)
		c->flags |= MR_TCP_C_SACK;
	c->ts_recent = s->ts_value;
	mr_tcp_conn_agree(c, s->seq, s->mss, scaled, s->wscale, s->window);
	c->snd_wl1 = s->seq;
	c->snd_wl2 = c->snd_una;
}

// 3.10.7.3.
static void syn_sent_input(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	bool acked = s->flags & MR_TCP_ACK;

	if (acked && s->ack != c->iss + 1) {
		mr_tcp_refuse(c->t, s);
		return;
	}
	if (s->flags & MR_TCP_RST) {
		if (acked) {
			MR_TCP_COUNT(c->t, reset_in);
			mr_tcp_conn_fail(c, -ECONNREFUSED);
		}
		return;
	}
	if (!(s->flags & MR_TCP_SYN))
		return;
	agree(c, s);
	if (!acked) { // both have called at once
		c->state = MR_TCP_SYN_RECEIVED;
		mr_tcp_owe_ack(c, true);
		return;
	}
	c->snd_una = c->snd_nxt = c->snd_max = s->ack;
	if (c->rtt_at && !c->retries)
		mr_tcp_rtt_sample(c, c->t->now_ns - c->rtt_at);
	else
		c->rto_ns = MR_MAX(c->rto_ns, 3 * MR_TCP_SECOND); // RFC 6298 5.7
	c->rtt_at = 0;
	mr_tcp_owe_ack(c, true);
	open_active(c);
}

// The acknowledgement of our SYN of a simultaneous open. False: the segment goes no further.
static bool syn_received_input(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	if (s->ack != c->iss + 1) {
		mr_tcp_refuse(c->t, s);
		return false;
	}
	c->snd_una = c->snd_nxt = c->snd_max = s->ack;
	c->snd_wnd = (uint32_t)s->window << c->snd_shift;
	c->snd_wnd_max = c->snd_wnd;
	c->rtt_at = 0;
	open_active(c);
	return c->state != MR_TCP_GONE;
}

static void slow_input(struct mr_tcp_conn *c, struct mr_tcp_seg *s)
{
	if (!check_ts(c, s))
		return;
	if (s->flags & MR_TCP_RST) {
		take_reset(c, s);
		return;
	}
	if (s->flags & MR_TCP_SYN) { // RFC 5961 4.2
		mr_tcp_challenge(c);
		return;
	}
	note_ts(c, s);
	if (!trim_left(c, s) || !trim_right(c, s) || !(s->flags & MR_TCP_ACK))
		return;
	c->heard_ns = c->t->now_ns;
	c->probes = 0;
	if (c->state == MR_TCP_SYN_RECEIVED && !syn_received_input(c, s))
		return;
	if (!mr_tcp_ack(c, s) || c->state >= MR_TCP_TIME_WAIT)
		return;
	if (s->bytes || s->flags & MR_TCP_FIN)
		mr_tcp_receive(c, s);
	if (mr_tcp_is_open(c))
		mr_tcp_tell_room(c);
}

// The next text of a connection to which nothing else happens (header prediction, Jacobson 1990):
// what a receiver of bulk data sees nearly always.
static bool is_expected(const struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	uint32_t odd = MR_TCP_C_PAUSED | MR_TCP_C_ORPHAN | MR_TCP_C_FIN_SEEN | MR_TCP_C_WANTS_ROOM;

	return c->state == MR_TCP_ESTABLISHED && (s->flags & ~MR_TCP_PSH) == MR_TCP_ACK &&
	       s->seq == c->rcv_nxt && s->ack == c->snd_una && s->bytes > 0 &&
	       s->bytes <= c->rcv_edge - c->rcv_nxt &&
	       (uint32_t)s->window << c->snd_shift == c->snd_wnd && !(c->flags & odd) &&
	       !c->ranges_in && !s->sacks && c->rcv_user == c->rcv_nxt &&
	       s->has_ts == !!(c->flags & MR_TCP_C_TS) &&
	       (!s->has_ts || mr_seq_le(c->ts_recent, s->ts_value)) && c->snd_wnd > 0;
}

void mr_tcp_conn_input(struct mr_tcp_conn *c, struct mr_tcp_seg *s)
{
	if (MR_LIKELY(is_expected(c, s))) {
		c->heard_ns = c->t->now_ns;
		c->probes = 0;
		c->snd_wl1 = s->seq;
		c->snd_wl2 = s->ack;
		note_ts(c, s);
		mr_tcp_receive(c, s);
		return;
	}
	if (c->state == MR_TCP_SYN_SENT)
		syn_sent_input(c, s);
	else
		slow_input(c, s);
}

// For no connection: TIME-WAIT, half-open, a cookie, a listener or nobody.
static void stray(struct mr_tcp *t, struct mr_tcp_seg *s)
{
	struct mr_tcp_listener *l = mr_tcp_listener_at(t, s->dst_port);
	struct mr_tcp_conn *c = NULL;
	struct mr_tcp_wait *w =
		mr_tcp_table_find(&t->waits, s->dst, s->dst_port, s->src, s->src_port);
	struct mr_tcp_half *h;

	if (w) {
		mr_tcp_wait_input(t, w, s);
		return;
	}
	h = mr_tcp_table_find(&t->halves, s->dst, s->dst_port, s->src, s->src_port);
	if (h) {
		c = mr_tcp_half_input(t, h, s);
	} else if (!l) { // 3.10.7.1
		mr_tcp_refuse(t, s);
		if (s->flags & MR_TCP_SYN)
			MR_TCP_COUNT(t, refused);
	} else if (s->flags & MR_TCP_RST) { // 3.10.7.2
		MR_TCP_COUNT(t, outside_window);
	} else if (s->flags & MR_TCP_ACK) {
		c = mr_tcp_cookie_input(t, l, s);
	} else {
		mr_tcp_syn_input(t, l, s, 0);
	}
	if (c)
		mr_tcp_conn_input(c, s);
}

static struct mr_tcp_conn *find(struct mr_tcp *t, const struct mr_tcp_seg *s)
{
	struct mr_tcp_conn *c = t->last;

	if (c && c->e.peer_port == s->src_port && c->e.local_port == s->dst_port &&
		mr_ip_eq(&c->e.path.peer, s->src) && mr_ip_eq(&c->e.path.local, s->dst))
		return c;
	c = mr_tcp_table_find(&t->conns, s->dst, s->dst_port, s->src, s->src_port);
	if (c)
		t->last = c;
	return c;
}

void mr_tcp_input(struct mr_tcp *t, const struct mr_tcp_segment_in *in)
{
	struct mr_tcp_seg s;
	struct mr_tcp_conn *c;

	MR_TCP_COUNT(t, segments_in);
	if (MR_UNLIKELY(!mr_tcp_segment_parse(in, &s))) {
		MR_TCP_COUNT(t, bad_segments);
		return;
	}
	mr_tcp_enter(t);
	c = find(t, &s);
	if (MR_LIKELY(c != NULL))
		mr_tcp_conn_input(c, &s);
	else
		stray(t, &s);
	mr_tcp_leave(t);
}
