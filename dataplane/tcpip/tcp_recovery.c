// Congestion and loss: slow start, avoidance, fast recovery (RFC 5681, 6582, 6675), timeouts and
// round trip times (RFC 6298).
//
// The window of congestion bounds bytes in flight, nowhere else than in tcp_output.c. It grows by
// bytes acknowledged (RFC 3465), since one acknowledgement may stand for a burst of segments, at
// most eight segments a time (RFC 9406), and only while it is what holds the sender back.
#include "dataplane/tcpip/tcp_int.h"

#define GROWTH_SEGMENTS_MAX 8

// RFC 6928.
static uint32_t first_window(const struct mr_tcp_conn *c)
{
	return MR_MIN(10u * c->mss, MR_MAX(2u * c->mss, 14600u));
}

void mr_tcp_cwnd_start(struct mr_tcp_conn *c)
{
	c->cwnd = c->retries ? c->mss : first_window(c); // 6928 section 2: after a lost SYN, one
	c->ssthresh = UINT32_MAX / 2;
}

void mr_tcp_cwnd_grow(struct mr_tcp_conn *c, uint32_t acked)
{
	uint32_t most = c->t->o.send_queue_max + 65536;

	if (!(c->flags & (MR_TCP_C_CWND_FULL | MR_TCP_C_LOSS)))
		return;
	if (c->cwnd < c->ssthresh) {
		uint32_t segments = c->flags & MR_TCP_C_LOSS ? 2 : GROWTH_SEGMENTS_MAX;

		c->cwnd += MR_MIN(acked, segments * c->mss);
	} else {
		c->acked += acked;
		if (c->acked >= c->cwnd) {
			c->acked -= c->cwnd;
			c->cwnd += c->mss;
		}
	}
	c->cwnd = MR_MIN(c->cwnd, most);
}

static uint32_t half_of_flight(const struct mr_tcp_conn *c)
{
	return MR_MAX((c->snd_max - c->snd_una) / 2, 2u * c->mss);
}

void mr_tcp_cwnd_halve(struct mr_tcp_conn *c)
{
	c->ssthresh = half_of_flight(c);
	c->cwnd = c->ssthresh;
}

void mr_tcp_enter_recovery(struct mr_tcp_conn *c)
{
	// A recovery that has just ended may have sent the first hole again already.
	bool resent = c->high_rxt - c->snd_una - 1 < c->snd_max - c->snd_una;

	MR_TCP_COUNT(c->t, fast_recoveries);
	mr_tcp_tail_end(c);
	mr_tcp_cwnd_halve(c);
	if (!(c->flags & MR_TCP_C_SACK))
		c->cwnd += MR_TCP_DUP_THRESHOLD * c->mss;
	c->recover = c->snd_max;
	c->acked = 0;
	c->flags |= MR_TCP_C_RECOVERY;
	c->flags &= ~MR_TCP_C_RESCUED;
	if (!resent) {
		c->high_rxt = c->snd_una;
		c->flags |= MR_TCP_C_RETRANSMIT;
	}
	mr_tcp_owe(c);
}

void mr_tcp_duplicate_ack(struct mr_tcp_conn *c)
{
	if (c->dup_acks < UINT8_MAX)
		c->dup_acks++;
	mr_tcp_owe(c); // the first two allow a segment each (RFC 3042)
	if (c->flags & MR_TCP_C_RECOVERY) {
		if (!(c->flags & MR_TCP_C_SACK))
			c->cwnd = MR_MIN(c->cwnd + c->mss, c->snd_max - c->snd_una + c->mss);
		return;
	}
	if (c->flags & MR_TCP_C_LOSS) // RFC 6582 section 4: old duplicates
		return;
	if (c->dup_acks >= MR_TCP_DUP_THRESHOLD ||
		(c->flags & MR_TCP_C_SACK && mr_tcp_sack_is_lost(c, c->snd_una)))
		mr_tcp_enter_recovery(c);
}

void mr_tcp_recovery_ack(struct mr_tcp_conn *c, uint32_t ack)
{
	uint32_t acked = ack - c->snd_una, flight = c->snd_max - ack;

	if (mr_seq_le(c->recover, ack)) {
		c->flags &= ~(MR_TCP_C_RECOVERY | MR_TCP_C_RETRANSMIT | MR_TCP_C_TAIL_LOST);
		c->cwnd = MR_MIN(c->ssthresh, MR_MAX(flight, c->mss) + c->mss); // 6582 3.2 (3)
		return;
	}
	if (c->flags & MR_TCP_C_SACK)
		return;
	// A partial acknowledgement: the next hole, and the window deflated by what has left.
	c->cwnd -= MR_MIN(acked, c->cwnd);
	if (acked >= c->mss)
		c->cwnd += c->mss;
	c->cwnd = MR_MAX(c->cwnd, c->mss);
	c->flags |= MR_TCP_C_RETRANSMIT;
}

void mr_tcp_timed_out(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	MR_TCP_COUNT(t, timeouts);
	c->timeouts++;
	if (c->retries == 0 && c->snd_una != c->snd_max)
		c->ssthresh = half_of_flight(c);
	c->acked = 0;
	c->recover = c->snd_max;
	c->snd_nxt = c->snd_una;
	c->rtt_at = 0; // Karn
	c->dup_acks = 0;
	c->flags |= MR_TCP_C_LOSS;
	mr_tcp_tail_end(c);
	c->flags &= ~(MR_TCP_C_RECOVERY | MR_TCP_C_RETRANSMIT);
	mr_tcp_ranges_drop(t, &c->ranges_out); // RFC 2018 section 8: it may have reneged
	if (++c->retries == MR_TCP_R1 && t->lower.route(t->lower.ctx, &c->e.path))
		mr_tcp_conn_set_mss(c);
	c->cwnd = c->mss; // of the new way, which may carry longer ones
	if (c->backoff < 16)
		c->backoff++;
}

void mr_tcp_rtt_sample(struct mr_tcp_conn *c, int64_t rtt_ns)
{
	struct mr_tcp *t = c->t;
	int64_t off = c->srtt_ns - rtt_ns;

	if (c->srtt_ns == 0) {
		c->srtt_ns = MR_MAX(rtt_ns, 1);
		c->rttvar_ns = rtt_ns / 2;
	} else {
		c->rttvar_ns += ((off < 0 ? -off : off) - c->rttvar_ns) / 4;
		c->srtt_ns = MR_MAX(c->srtt_ns - off / 8, 1);
	}
	c->rto_ns = c->srtt_ns + MR_MAX(4 * c->rttvar_ns, 1ll << MR_WHEEL_TICK_SHIFT);
	c->rto_ns = MR_MIN(MR_MAX(c->rto_ns, t->o.rto_min_ns), t->o.rto_max_ns);
}

int64_t mr_tcp_rto(const struct mr_tcp_conn *c)
{
	return MR_MIN(c->rto_ns << c->backoff, c->t->o.rto_max_ns);
}
