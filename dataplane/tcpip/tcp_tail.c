// Tail loss probes (RFC 8985 section 7): when the last segments of a flight are lost, nothing
// behind them makes the peer tell of it, and only the timeout would, 200 ms later.
//
// Some round trips after the last transmission a probe goes out: the next segment if there is one,
// else the last one again. What it brings back is either an acknowledgement of all, or a SACK block
// of the probe with a hole below it. Everything below was sent at least that long before the probe,
// so it is lost (the argument of RACK, section 6, for this one case): recovery begins, and counts
// what lies below as lost whatever RFC 6675 would wait for. One probe is out at a time; when
// nothing comes of it, the timeout is as long after it as ever.
//
// Where the peer holds something already when the time has come, below which there are holes, no
// probe is needed: that is the case which RACK has its reordering timer for, and recovery begins at
// once. In a recovery the segment that is waited for may be lost again, which RFC 6675 leaves to
// the timeout and RACK sees by what was sent later. Here it goes once more when nothing has been
// acknowledged for as long, once until something is.
//
// Section 7 has a PTO of two round trips, without a floor. Ours has the one of the unclamped
// timeout and 2 ms (Linux's two jiffies): round trips of microseconds between hosts that are busy
// for milliseconds now and then would have a probe for each of these moments. A single segment,
// whose acknowledgement the peer may keep to itself for a while, gets a usual delay more and not
// the worst (TLP.max_ack_delay): a peer that keeps it longer gets a small segment twice, and says
// so.
#include "dataplane/tcpip/tcp_int.h"

#define PTO_MIN_NS    2000000
#define PEER_DELAY_NS 50000000 // Linux: 40 ms, in jiffies of up to 4 ms

static int64_t probe_timeout(const struct mr_tcp_conn *c)
{
	int64_t pto = MR_MAX(2 * c->srtt_ns, c->srtt_ns + 4 * c->rttvar_ns);
	bool alone = c->snd_max - c->snd_una <= c->mss;

	return MR_MAX(pto, PTO_MIN_NS) + (alone ? PEER_DELAY_NS : 0);
}

void mr_tcp_tail_arm(struct mr_tcp_conn *c)
{
	const uint32_t never = MR_TCP_C_LOSS | MR_TCP_C_PERSIST | MR_TCP_C_TAIL | MR_TCP_C_AGAIN;
	int64_t due;

	c->flags &= ~MR_TCP_C_PTO;
	if (c->flags & never || !(c->flags & MR_TCP_C_SACK) || !c->srtt_ns ||
		c->snd_una == c->snd_max || c->t->o.no_tail_probes)
		return;
	due = c->t->now_ns + probe_timeout(c);
	if (c->due_rto && due >= c->due_rto)
		return;
	c->flags |= MR_TCP_C_PTO;
	c->due_probe = (uint32_t)(due >> MR_TCP_PROBE_SHIFT);
}

static void recover(struct mr_tcp_conn *c)
{
	mr_tcp_enter_recovery(c);
	c->flags |= MR_TCP_C_TAIL_LOST;
}

void mr_tcp_tail_fire(struct mr_tcp_conn *c)
{
	bool again;

	c->flags &= ~MR_TCP_C_PTO;
	if (c->flags & MR_TCP_C_RECOVERY) {
		MR_TCP_COUNT(c->t, tail_probes);
		c->flags |= MR_TCP_C_AGAIN | MR_TCP_C_RETRANSMIT;
		mr_tcp_owe(c);
		return;
	}
	if (c->ranges_out) {
		recover(c);
		return;
	}
	if (mr_tcp_send_tail(c, &again) < 0)
		return;
	MR_TCP_COUNT(c->t, tail_probes);
	c->flags |= MR_TCP_C_TAIL | (again ? MR_TCP_C_AGAIN : 0);
	c->recover = c->snd_max;
	c->due_rto = c->t->now_ns + mr_tcp_rto(c);
}

void mr_tcp_tail_end(struct mr_tcp_conn *c)
{
	c->flags &= ~(MR_TCP_C_PTO | MR_TCP_C_TAIL | MR_TCP_C_AGAIN | MR_TCP_C_TAIL_LOST);
}

// RFC 2883: the first block tells of what came twice.
static bool says_twice(const struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	return s->sacks && s->sack[0].to == c->recover && mr_seq_le(s->sack[0].to, s->ack);
}

static bool is_bare_duplicate(const struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	return s->ack == c->recover && !s->sacks && !s->bytes && !(s->flags & MR_TCP_FIN) &&
	       c->snd_una == s->ack;
}

void mr_tcp_tail_ack(struct mr_tcp_conn *c, const struct mr_tcp_seg *s, bool advanced)
{
	const struct mr_tcp_ranges *b = mr_tcp_scoreboard(c);

	if (!(c->flags & MR_TCP_C_TAIL))
		return;
	if (b->count && mr_seq_le(c->recover, b->r[b->count - 1].to)) { // there, and holes below
		recover(c);
		return;
	}
	if (mr_seq_lt(s->ack, c->recover))
		return;
	// 7.4.2. A probe with new text has done its work. One that was sent again is told from the
	// first by what else comes: twice, or a duplicate, nothing was lost; more, the probe has
	// repaired a loss that would else have gone unnoticed.
	if (c->flags & MR_TCP_C_AGAIN && !says_twice(c, s) &&
		(advanced || !is_bare_duplicate(c, s))) {
		if (s->ack == c->recover)
			return;
		MR_TCP_COUNT(c->t, tail_losses);
		mr_tcp_cwnd_halve(c);
	}
	mr_tcp_tail_end(c);
	mr_tcp_tail_arm(c);
}
