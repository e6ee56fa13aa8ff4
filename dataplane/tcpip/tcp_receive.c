// Text in: delivered in place when it is what the user waits for, else kept at its place.
//
//	            rcv_user        rcv_nxt                       rcv_edge
//	... taken ... | kept, in order | hole | kept, ranges_in | ... |
//	              `---------------- receive_window_max -----------'
#include "dataplane/tcpip/tcp_int.h"

// Shows bytes to the user. Returns how many were taken, or -1: the connection is closed now.
static int64_t hand_over(struct mr_tcp_conn *c, const uint8_t *data, uint32_t bytes)
{
	size_t took;

	c->flags = (c->flags & ~MR_TCP_C_RESUMED) | MR_TCP_C_IN_DATA;
	took = c->events->data(c, mr_span(data, bytes));
	c->flags &= ~MR_TCP_C_IN_DATA;
	if (c->state == MR_TCP_GONE)
		return -1;
	MR_ASSERT(took <= bytes);
	MR_ASSERT(took == bytes ||
		  c->flags & (MR_TCP_C_PAUSED | MR_TCP_C_CLOSE_SOON | MR_TCP_C_RESUMED));
	c->rcv_user += (uint32_t)took;
	c->received_bytes += took;
	mr_stat_add(&c->t->counters.bytes_in, took);
	if (!(c->flags & MR_TCP_C_CLOSE_SOON))
		return (int64_t)took;
	mr_tcp_conn_close(c);
	return -1;
}

// Bytes of the queue that its end, rcv_user, has passed.
static void release(struct mr_tcp_conn *c)
{
	if (!c->in.map)
		return;
	if (mr_tcp_waiting(c) == 0 && !c->ranges_in)
		mr_tcp_queue_clear(c->t, &c->in);
	else
		mr_tcp_queue_release(c->t, &c->in, c->rcv_user);
}

// RFC 9293 3.8.6.2.2: tells the peer when the window has grown enough to be worth a segment.
static void update_window(struct mr_tcp_conn *c)
{
	uint32_t max = c->t->o.receive_window_max, gain = c->rcv_user + max - c->rcv_edge;

	if (c->flags & MR_TCP_C_FIN_IN || c->state >= MR_TCP_TIME_WAIT)
		return;
	if (c->rcv_shift == 0) // what cannot be told is no gain
		gain = c->rcv_nxt + MR_MIN(c->rcv_user + max - c->rcv_nxt, 65535u) - c->rcv_edge;
	if ((int32_t)gain <= 0 || gain < MR_MIN(max / 2, 2u * c->rcv_mss))
		return;
	MR_TCP_COUNT(c->t, window_updates);
	mr_tcp_owe_ack(c, true);
}

void mr_tcp_deliver(struct mr_tcp_conn *c)
{
	uint32_t n, before = c->rcv_user;

	if (c->flags & (MR_TCP_C_IN_DATA | MR_TCP_C_ORPHAN) || c->state == MR_TCP_GONE)
		return;
	while ((n = mr_tcp_waiting(c)) && !(c->flags & MR_TCP_C_PAUSED)) {
		struct mr_span s = mr_tcp_queue_at(c->t, &c->in, c->rcv_user, n);

		if (hand_over(c, s.data, (uint32_t)s.bytes) < 0)
			return;
		release(c);
	}
	if (c->rcv_user != before)
		update_window(c);
	if (n || c->flags & (MR_TCP_C_PAUSED | MR_TCP_C_ENDED) || !(c->flags & MR_TCP_C_FIN_IN))
		return;
	c->flags |= MR_TCP_C_ENDED;
	c->events->ended(c);
}

// Copies bytes to their place in the queue; returns how many found a block.
static uint32_t keep(struct mr_tcp_conn *c, uint32_t seq, const uint8_t *data, uint32_t bytes)
{
	struct mr_tcp *t = c->t;
	uint32_t n =
		mr_tcp_queue_write(t, &c->in, c->rcv_user, seq, data, bytes, t->blocks_reserve);

	mr_stat_add(&t->counters.bytes_queued, n);
	if (n < bytes)
		MR_TCP_COUNT(t, memory_dropped);
	return n;
}

static void keep_beyond_hole(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	struct mr_tcp *t = c->t;
	struct mr_tcp_ranges *ranges;
	int64_t added = -ENOSPC;
	uint32_t n;

	mr_tcp_owe_ack(c, true);
	if (c->out_of_order + s->bytes > t->o.sack_bytes_max) {
		MR_TCP_COUNT(t, out_of_order_dropped);
		return;
	}
	ranges = mr_tcp_ranges_of(t, &c->ranges_in);
	n = keep(c, s->seq, s->data, s->bytes);
	if (n)
		added = mr_tcp_ranges_add(ranges, s->seq, s->seq + n, MR_TCP_SACK_MAX);
	if (added >= 0) {
		c->out_of_order += (uint32_t)added;
		MR_TCP_COUNT(t, out_of_order);
	} else if (n) {
		MR_TCP_COUNT(t, out_of_order_dropped);
	}
	if (!ranges->count)
		mr_tcp_ranges_drop(t, &c->ranges_in);
	release(c);
}

// rcv_nxt has moved: takes in what lies beyond it without a hole.
static void close_holes(struct mr_tcp_conn *c)
{
	struct mr_tcp_ranges *ranges;

	if (!c->ranges_in)
		return;
	mr_tcp_owe_ack(c, true); // RFC 5681 4.2: at once while and when a hole is filled
	ranges = mr_tcp_slab_at(&c->t->ranges, c->ranges_in);
	// One segment may cover several ranges and the beginning of another.
	for (uint32_t i = 0; i < ranges->count && mr_seq_le(ranges->r[i].from, c->rcv_nxt); i++)
		c->rcv_nxt = mr_seq_max(c->rcv_nxt, ranges->r[i].to);
	mr_tcp_ranges_trim(ranges, c->rcv_nxt);
	c->out_of_order = mr_tcp_ranges_bytes(ranges);
	if (!ranges->count)
		mr_tcp_ranges_drop(c->t, &c->ranges_in);
}

// Text that begins at rcv_nxt. False: the connection is closed now.
static bool take_in_order(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	uint32_t left = s->bytes;
	const uint8_t *data = s->data;

	c->rcv_mss = (uint16_t)MR_MAX(c->rcv_mss, MR_MIN(s->bytes, UINT16_MAX));
	if (!(c->flags & (MR_TCP_C_PAUSED | MR_TCP_C_IN_DATA)) && c->rcv_user == c->rcv_nxt) {
		int64_t took;

		c->rcv_nxt += left;
		took = hand_over(c, data, left);
		if (took < 0)
			return false;
		mr_stat_add(&c->t->counters.bytes_in_place, (uint64_t)took);
		left -= (uint32_t)took;
		data += took;
		c->rcv_nxt -= left;
	}
	if (MR_UNLIKELY(left))
		c->rcv_nxt += keep(c, c->rcv_nxt, data, left);
	mr_tcp_owe_ack(c, c->rcv_nxt - c->rcv_acked >= 2u * c->rcv_mss);
	if (MR_UNLIKELY(c->in.map || c->ranges_in)) {
		close_holes(c);
		release(c);
	}
	return true;
}

// RFC 9293 3.10.7.4, eighth: the peer's FIN, all before it being here.
static void take_fin(struct mr_tcp_conn *c)
{
	c->flags |= MR_TCP_C_FIN_IN;
	c->rcv_nxt++;
	mr_tcp_owe_ack(c, true);
	switch (c->state) {
	case MR_TCP_ESTABLISHED: c->state = MR_TCP_CLOSE_WAIT; break;
	case MR_TCP_FIN_WAIT_1: c->state = MR_TCP_CLOSING; break;
	case MR_TCP_FIN_WAIT_2:
		mr_tcp_emit(c, c->snd_max, 0, MR_TCP_ACK); // or else the record's, to its FIN again
		mr_tcp_conn_time_wait(c);
		break;
	default: break;
	}
}

void mr_tcp_receive(struct mr_tcp_conn *c, const struct mr_tcp_seg *s)
{
	struct mr_tcp_seg cut = *s;

	if (c->flags & MR_TCP_C_FIN_IN)
		return;
	if (cut.flags & MR_TCP_FIN && !(c->flags & MR_TCP_C_FIN_SEEN)) {
		c->flags |= MR_TCP_C_FIN_SEEN;
		c->rcv_fin = cut.seq + cut.bytes;
	}
	if (c->flags & MR_TCP_C_FIN_SEEN && mr_seq_lt(c->rcv_fin, cut.seq + cut.bytes))
		cut.bytes = mr_seq_lt(cut.seq, c->rcv_fin) ? c->rcv_fin - cut.seq : 0;
	if (cut.bytes && c->flags & MR_TCP_C_ORPHAN) { // RFC 9293 3.6.1: nobody reads it
		mr_tcp_conn_reset(c);
		mr_tcp_conn_drop(c);
		return;
	}
	if (cut.bytes && cut.seq != c->rcv_nxt)
		keep_beyond_hole(c, &cut);
	else if (cut.bytes && !take_in_order(c, &cut))
		return;
	if (c->flags & MR_TCP_C_FIN_SEEN) {
		if (c->rcv_nxt == c->rcv_fin)
			take_fin(c);
		else
			mr_tcp_owe_ack(c, true);
	}
	if (c->flags & MR_TCP_C_FIN_IN || c->rcv_user != c->rcv_nxt)
		mr_tcp_deliver(c);
}
