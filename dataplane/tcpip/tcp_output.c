// What a connection owes, at the end of a burst: retransmissions, new text, FIN, acknowledgement.
#include "dataplane/tcpip/tcp_int.h"

static void send_syn(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;
	bool answer = c->state == MR_TCP_SYN_RECEIVED, ts = c->flags & MR_TCP_C_TS;
	struct mr_tcp_bare b = {.path = &c->e.path,
		.local_port = c->e.local_port,
		.peer_port = c->e.peer_port,
		.seq = c->iss,
		.ack = c->rcv_nxt,
		.window = (uint16_t)MR_MIN(t->o.receive_window_max, 65535u),
		.flags = MR_TCP_SYN | (answer ? MR_TCP_ACK : 0)};

	mr_tcp_option_syn(&b, mr_tcp_path_mss(&c->e.path),
		answer ? c->flags & MR_TCP_C_SACK : !t->o.no_sack, t->wscale);
	if (answer ? ts : !t->o.no_timestamps)
		mr_tcp_option_ts(&b, t->now_ms + c->ts_offset, answer ? c->ts_recent : 0);
	if (mr_tcp_emit_bare(t, &b) == 0 && !c->rtt_at)
		c->rtt_at = t->now_ns;
	c->flags &= ~(MR_TCP_C_ACK | MR_TCP_C_ACK_NOW);
	c->snd_nxt = c->snd_max = c->iss + 1;
	c->due_rto = t->now_ns + mr_tcp_rto(c);
	mr_tcp_arm(c);
}

// There was no frame: soon again. No next hop is known: when it is (mr_tcp_path_ready), or when the
// timeout counts it as lost.
static void retry(struct mr_tcp_conn *c, int err)
{
	struct mr_tcp *t = c->t;

	c->flags |= MR_TCP_C_RETRY;
	if (!c->due_ack && err == -EAGAIN)
		c->due_ack = t->now_ns + MR_TCP_RETRY_NS;
	if (!c->due_rto)
		c->due_rto = t->now_ns + mr_tcp_rto(c);
}

// Sends [seq, seq + bytes) of the queue, with our FIN if it follows.
static int send_at(struct mr_tcp_conn *c, uint32_t seq, uint32_t bytes)
{
	struct mr_tcp *t = c->t;
	uint32_t end = seq + bytes;
	uint8_t flags = MR_TCP_ACK;
	bool replies = bytes && c->flags & MR_TCP_C_ACK;
	int err;

	if (end == c->snd_end && bytes)
		flags |= MR_TCP_PSH;
	if (end == c->snd_end && c->flags & MR_TCP_C_FIN_OUT) {
		flags |= MR_TCP_FIN;
		end++;
	}
	err = mr_tcp_emit(c, seq, bytes, flags);
	if (err < 0) {
		retry(c, err);
		return err;
	}
	if (mr_seq_lt(seq, c->snd_max)) {
		MR_TCP_COUNT(t, retransmits);
		c->retransmits++;
		c->rtt_at = 0; // Karn
	} else {
		mr_stat_add(&t->counters.bytes_out, bytes);
		c->sent_bytes += bytes;
		if (!c->rtt_at) {
			c->rtt_seq = end;
			c->rtt_at = t->now_ns;
		}
		if (replies)
			c->flags |= MR_TCP_C_ANSWERS;
	}
	c->snd_max = mr_seq_max(c->snd_max, end);
	c->sent_ns = t->now_ns;
	if (!c->due_rto || c->flags & MR_TCP_C_PERSIST) // RFC 6298 5.1
		c->due_rto = t->now_ns + mr_tcp_rto(c);
	c->flags &= ~MR_TCP_C_PERSIST;
	return 0;
}

// A full segment beside the options of this moment.
static uint32_t segment_bytes(const struct mr_tcp_conn *c)
{
	uint32_t more = mr_tcp_options_bytes(c) - (c->flags & MR_TCP_C_TS ? 12 : 0);

	return c->mss - more;
}

// Of [seq, seq + bytes), what fits into one segment and is in the queue: the rest is our FIN.
static int resend(struct mr_tcp_conn *c, uint32_t seq, uint32_t bytes)
{
	uint32_t n = MR_MIN(bytes, segment_bytes(c));

	if (mr_seq_lt(c->snd_end, seq + n))
		n = c->snd_end - seq;
	return send_at(c, seq, n);
}

// The segment at snd_una, for a fast retransmission.
static int resend_first(struct mr_tcp_conn *c)
{
	const struct mr_tcp_ranges *b = mr_tcp_scoreboard(c);
	uint32_t to = b->count ? b->r[0].from : c->snd_max;

	int err = resend(c, c->snd_una, to - c->snd_una);

	if (err < 0)
		return err;
	c->flags &= ~MR_TCP_C_RETRANSMIT;
	c->high_rxt =
		mr_seq_max(c->high_rxt, c->snd_una + MR_MIN(to - c->snd_una, segment_bytes(c)));
	c->due_rto = c->t->now_ns + mr_tcp_rto(c);
	return 0;
}

// RFC 6675 section 5 (C).
static void send_recovery(struct mr_tcp_conn *c)
{
	uint32_t pipe = mr_tcp_sack_pipe(c), seq, bytes;

	while (c->cwnd >= pipe + c->mss && mr_tcp_sack_next(c, &seq, &bytes)) {
		uint32_t n = MR_MIN(bytes, segment_bytes(c));

		if (resend(c, seq, n) < 0)
			return;
		if (seq == c->snd_nxt)
			c->snd_nxt = c->snd_max;
		else
			c->high_rxt = mr_seq_max(c->high_rxt, seq + n);
		pipe += n;
	}
}

// How far snd_nxt may go: both windows bound bytes in flight.
static int64_t usable(struct mr_tcp_conn *c, bool *congested)
{
	uint32_t cwnd = c->cwnd;

	if (!(c->flags & (MR_TCP_C_RECOVERY | MR_TCP_C_LOSS)))
		cwnd += MR_MIN(c->dup_acks, MR_TCP_DUP_THRESHOLD - 1) * (uint32_t)c->mss;
	*congested = cwnd < c->snd_wnd;
	return (int64_t)MR_MIN(cwnd, c->snd_wnd) - (c->snd_nxt - c->snd_una);
}

// Too small a piece to be worth a segment (RFC 9293 3.8.6.2.1; Nagle's rule is not used).
static bool is_silly(const struct mr_tcp_conn *c, uint32_t bytes, uint32_t full, uint32_t queued)
{
	return bytes < full && bytes < queued && bytes < c->snd_wnd_max / 2;
}

// Text from snd_nxt on, and FIN.
static void send_next(struct mr_tcp_conn *c)
{
	uint32_t full = segment_bytes(c), fin = !!(c->flags & MR_TCP_C_FIN_OUT);
	bool congested;

	c->flags &= ~MR_TCP_C_CWND_FULL;
	while (c->snd_nxt != c->snd_end + fin) {
		uint32_t queued = c->snd_end - c->snd_nxt;
		int64_t room = usable(c, &congested);
		uint32_t n = (uint32_t)MR_MAX(MR_MIN(room, (int64_t)MR_MIN(queued, full)), 0);

		if (queued ? n == 0 || is_silly(c, n, full, queued) : c->snd_wnd == 0) {
			if (congested)
				c->flags |= MR_TCP_C_CWND_FULL;
			return;
		}
		if (send_at(c, c->snd_nxt, n) < 0)
			return;
		c->snd_nxt += n + (n == queued ? fin : 0);
	}
}

// Something waits, nothing is in flight that an acknowledgement could come for: probe the window.
static void watch_window(struct mr_tcp_conn *c)
{
	if (c->snd_nxt != c->snd_una || c->flags & (MR_TCP_C_PERSIST | MR_TCP_C_RETRY) ||
		c->snd_nxt == c->snd_end + !!(c->flags & MR_TCP_C_FIN_OUT))
		return;
	c->flags |= MR_TCP_C_PERSIST;
	c->due_rto = c->t->now_ns + mr_tcp_rto(c);
}

// The sequence number of a segment without text: the peer must find it in its window, which may
// have shrunk since (or was shut when it was probed).
static uint32_t bare_seq(const struct mr_tcp_conn *c)
{
	return mr_seq_min(c->snd_max, c->snd_una + c->snd_wnd);
}

static void send_ack(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;

	if (c->flags & MR_TCP_C_ACK_NOW || !(c->flags & MR_TCP_C_ANSWERS)) {
		int err = mr_tcp_emit(c, bare_seq(c), 0, MR_TCP_ACK);

		if (err < 0)
			c->flags |= MR_TCP_C_ACK_NOW | MR_TCP_C_RETRY;
		if (err == -EAGAIN)
			c->due_ack = t->now_ns + MR_TCP_RETRY_NS;
	} else if (!c->due_ack) {
		c->due_ack = t->now_ns + t->o.delayed_ack_ns;
		MR_TCP_COUNT(t, acks_delayed);
	}
}

void mr_tcp_output(struct mr_tcp_conn *c)
{
	struct mr_tcp *t = c->t;
	uint32_t sent = c->snd_max;

	if (c->state < MR_TCP_ESTABLISHED) {
		send_syn(c);
		return;
	}
	c->flags &= ~MR_TCP_C_RETRY;
	if (c->snd_una == c->snd_max && c->sent_ns && t->now_ns - c->sent_ns > c->rto_ns) {
		uint32_t cwnd = c->cwnd, ssthresh = c->ssthresh;

		mr_tcp_cwnd_start(c); // RFC 5681 4.1: restart after idling
		c->cwnd = MR_MIN(c->cwnd, cwnd);
		c->ssthresh = ssthresh;
	}
	if (!(c->flags & MR_TCP_C_RETRANSMIT) || resend_first(c) == 0) {
		if ((c->flags & (MR_TCP_C_RECOVERY | MR_TCP_C_SACK)) ==
			(MR_TCP_C_RECOVERY | MR_TCP_C_SACK))
			send_recovery(c);
		if (!(c->flags & MR_TCP_C_RECOVERY) || !(c->flags & MR_TCP_C_SACK))
			send_next(c);
		watch_window(c);
	}
	if (c->flags & MR_TCP_C_ACK)
		send_ack(c);
	if (c->snd_max != sent ||
		(c->flags & (MR_TCP_C_RECOVERY | MR_TCP_C_PTO)) == MR_TCP_C_RECOVERY)
		mr_tcp_tail_arm(c);
	mr_tcp_arm(c);
}

// RFC 9293 3.8.6.1: one byte beyond the window, or what the window has room for.
void mr_tcp_send_probe(struct mr_tcp_conn *c)
{
	uint32_t queued = c->snd_end - c->snd_nxt;
	uint32_t n = MR_MIN(queued, MR_MIN(MR_MAX(c->snd_wnd, 1u), segment_bytes(c)));

	MR_TCP_COUNT(c->t, probes);
	if (send_at(c, c->snd_nxt, n) == 0 && c->snd_wnd > 0)
		c->snd_nxt = c->snd_max;
	c->rtt_at = 0;
	if (c->backoff < 16)
		c->backoff++;
	if (c->snd_wnd == 0)
		c->flags |= MR_TCP_C_PERSIST;
	c->due_rto = c->t->now_ns + mr_tcp_rto(c);
}

int mr_tcp_send_tail(struct mr_tcp_conn *c, bool *again)
{
	// Behind a FIN that was sent there is nothing.
	uint32_t queued = mr_seq_lt(c->snd_nxt, c->snd_end) ? c->snd_end - c->snd_nxt : 0;
	uint32_t full = segment_bytes(c), flight = c->snd_max - c->snd_una;
	uint32_t n = MR_MIN(queued, full);
	int err;

	*again = !n || flight + n > c->snd_wnd;
	if (*again)
		return resend(c, c->snd_max - MR_MIN(flight, full), MR_MIN(flight, full));
	err = send_at(c, c->snd_nxt, n);
	if (err == 0)
		c->snd_nxt = c->snd_max;
	return err;
}

// RFC 9293 3.8.4: the number before the next, which the peer has to answer.
void mr_tcp_send_keepalive(struct mr_tcp_conn *c)
{
	MR_TCP_COUNT(c->t, keepalives);
	mr_tcp_emit(c, c->snd_una - 1, 0, MR_TCP_ACK); // if this one is lost, another follows
}
