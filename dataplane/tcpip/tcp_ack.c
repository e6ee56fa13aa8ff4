// What an acknowledgement does to the sending side (RFC 9293 3.10.7.4, fifth; RFC 5961 5).
#include "dataplane/tcpip/tcp_int.h"

// RFC 6298 and, where a retransmission has spoilt the timing, RFC 7323 4.
static void sample_rtt(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	struct mr_tcp *t = c->t;

	if (c->rtt_at && mr_seq_le(c->rtt_seq, s->ack)) {
		mr_tcp_rtt_sample(c, t->now_ns - c->rtt_at);
		c->rtt_at = 0;
	} else if (!c->rtt_at && c->flags & MR_TCP_C_TS && s->ts_echo) {
		uint32_t ms = t->now_ms + c->ts_offset - s->ts_echo;

		if (ms < 1u << 20)
			mr_tcp_rtt_sample(c, MR_MAX(ms, 1u) * 1000000ll);
	}
}

static void new_ack(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	struct mr_tcp *t = c->t;
	uint32_t acked = s->ack - c->snd_una;

	sample_rtt(c, s);
	c->retries = c->backoff = 0;
	c->flags &= ~MR_TCP_C_UNREACHABLE;
	if (c->flags & MR_TCP_C_RECOVERY)
		mr_tcp_recovery_ack(c, s->ack);
	else
		mr_tcp_cwnd_grow(c, acked);
	c->snd_una = s->ack;
	c->snd_nxt = mr_seq_max(c->snd_nxt, s->ack);
	c->dup_acks = 0;
	if (c->flags & MR_TCP_C_LOSS && mr_seq_le(c->recover, s->ack))
		c->flags &= ~MR_TCP_C_LOSS;
	if (mr_seq_le(c->snd_end, s->ack))
		mr_tcp_queue_clear(t, &c->out);
	else
		mr_tcp_queue_release(t, &c->out, s->ack);
	if (c->ranges_out) {
		struct mr_tcp_ranges *board = mr_tcp_slab_at(&t->ranges, c->ranges_out);

		mr_tcp_ranges_trim(board, s->ack);
		if (!board->count)
			mr_tcp_ranges_drop(t, &c->ranges_out);
		// What was sent during a recovery may be lost too, and known to be when that ends.
		else if (!(c->flags & (MR_TCP_C_RECOVERY | MR_TCP_C_LOSS)) &&
			 mr_tcp_sack_is_lost(c, c->snd_una))
			mr_tcp_enter_recovery(c);
	}
	c->due_rto = c->snd_una == c->snd_max ? 0 : t->now_ns + mr_tcp_rto(c); // 6298 5.2, 5.3
	c->flags &= ~MR_TCP_C_PERSIST;
	if (!(c->flags & MR_TCP_C_TAIL))
		c->flags &= ~MR_TCP_C_AGAIN;
	mr_tcp_tail_arm(c);
	if (c->flags & MR_TCP_C_ORPHAN)
		c->due_life = t->now_ns + t->o.fin_wait2_ns;
}

// RFC 9293 3.10.7.4: an older segment must not shrink the window.
static void take_window(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	uint32_t window = (uint32_t)s->window << c->snd_shift;

	if (!mr_seq_lt(c->snd_wl1, s->seq) &&
		!(c->snd_wl1 == s->seq && mr_seq_le(c->snd_wl2, s->ack)))
		return;
	c->snd_wnd = window;
	c->snd_wnd_max = MR_MAX(c->snd_wnd_max, window);
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
}

// Our FIN is acknowledged. False: the connection is over.
static bool fin_acked(struct mr_tcp_conn *c)
{
	switch (c->state) {
	case MR_TCP_FIN_WAIT_1:
		c->state = MR_TCP_FIN_WAIT_2;
		if (c->flags & MR_TCP_C_ORPHAN)
			c->due_life = c->t->now_ns + c->t->o.fin_wait2_ns;
		return true;
	case MR_TCP_CLOSING: mr_tcp_conn_time_wait(c); return false;
	case MR_TCP_LAST_ACK: mr_tcp_conn_finish(c); return false;
	default: return true;
	}
}

// A duplicate that tells of a loss: RFC 6675 section 2 with SACK, RFC 5681 section 2 without.
static bool is_duplicate(const struct mr_tcp_conn *c, const struct mr_tcp_seg *s, bool news)
{
	if (s->ack != c->snd_una || c->snd_una == c->snd_max)
		return false;
	if (c->flags & MR_TCP_C_SACK)
		return news;
	return !s->bytes && !(s->flags & MR_TCP_FIN) &&
	       (uint32_t)s->window << c->snd_shift == c->snd_wnd;
}

bool mr_tcp_ack(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	bool news, advanced;

	if (mr_seq_lt(c->snd_max, s->ack) || mr_seq_lt(s->ack, c->snd_una - c->snd_wnd_max)) {
		mr_tcp_challenge(c); // RFC 5961 5.2
		return false;
	}
	if (c->snd_wnd == 0)
		c->retries =
			0; // it lives, and may keep its window shut for ever (RFC 9293 3.8.6.1)
	news = s->sacks && c->flags & MR_TCP_C_SACK && mr_tcp_sack_take(c, s);
	advanced = mr_seq_lt(c->snd_una, s->ack);
	if (advanced)
		new_ack(c, s);
	else if (is_duplicate(c, s, news))
		mr_tcp_duplicate_ack(c);
	else if (c->dup_acks && c->flags & MR_TCP_C_RECOVERY && news)
		mr_tcp_owe(c);
	mr_tcp_tail_ack(c, s, advanced);
	take_window(c, s);
	mr_tcp_arm(c);
	if (c->flags & MR_TCP_C_FIN_OUT && c->snd_una == c->snd_end + 1 && !fin_acked(c))
		return false;
	if (c->snd_nxt != c->snd_end + !!(c->flags & MR_TCP_C_FIN_OUT) ||
		c->flags & MR_TCP_C_RECOVERY)
		mr_tcp_owe(c);
	return true;
}

void mr_tcp_tell_room(struct mr_tcp_conn *c)
{
	uint32_t most = c->t->o.send_queue_max;

	if (!(c->flags & MR_TCP_C_WANTS_ROOM) || !mr_tcp_link_is_alone(&c->starved) ||
		mr_tcp_send_room(c) < MR_MIN(most / 4, 65536u))
		return;
	c->flags &= ~MR_TCP_C_WANTS_ROOM;
	c->events->sendable(c);
}
