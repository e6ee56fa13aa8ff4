// What is told of connections, and what must be true of them.
#include "dataplane/tcpip/tcp_int.h"

void mr_tcp_get_info(const struct mr_tcp_conn *c, struct mr_tcp_info *out)
{
	uint32_t base = c->state < MR_TCP_ESTABLISHED ? c->iss + 1 : c->snd_una;
	bool fin_acked = mr_seq_lt(c->snd_end, base);

	*out = (struct mr_tcp_info){
		.state = (enum mr_tcp_state)MR_MIN(c->state, MR_TCP_TIME_WAIT),
		.local = c->e.path.local,
		.peer = c->e.path.peer,
		.local_port = c->e.local_port,
		.peer_port = c->e.peer_port,
		.snd_una = c->snd_una,
		.snd_nxt = c->snd_nxt,
		.snd_wnd = c->snd_wnd,
		.rcv_nxt = c->rcv_nxt,
		.rcv_wnd = c->rcv_edge - c->rcv_nxt,
		.cwnd = c->cwnd,
		.ssthresh = c->ssthresh,
		.mss = c->mss,
		.srtt_ns = c->srtt_ns,
		.rttvar_ns = c->rttvar_ns,
		.rto_ns = mr_tcp_rto(c),
		.send_queued = fin_acked ? 0 : c->snd_end - base,
		.receive_queued = mr_tcp_waiting(c),
		.out_of_order = c->out_of_order,
		.received_bytes = c->received_bytes,
		.sent_bytes = c->sent_bytes,
		.retransmits = c->retransmits,
		.timeouts = c->timeouts,
		.sack = c->flags & MR_TCP_C_SACK,
		.timestamps = c->flags & MR_TCP_C_TS,
		.paused = c->flags & MR_TCP_C_PAUSED,
	};
}

uint32_t mr_tcp_list(struct mr_tcp *t, struct mr_tcp_info *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t id = 1; id <= t->conns.slab.high; id++) {
		struct mr_tcp_conn *c = mr_tcp_slab_at(&t->conns.slab, id);

		if (c->state >= MR_TCP_TIME_WAIT)
			continue;
		if (n < max)
			mr_tcp_get_info(c, &out[n]);
		n++;
	}
	return n;
}

static void check_ranges(
	const struct mr_tcp *t, uint32_t id, uint32_t above, uint32_t below, uint32_t max)
{
	const struct mr_tcp_ranges *s;

	if (!id)
		return;
	s = mr_tcp_slab_at(&t->ranges, id);
	MR_ASSERT(s->count > 0 && s->count <= max);
	for (uint32_t i = 0; i < s->count; i++) {
		MR_ASSERT(mr_seq_lt(s->r[i].from, s->r[i].to));
		MR_ASSERT(mr_seq_le(s->r[i].to, below));
		MR_ASSERT(i ? mr_seq_lt(above, s->r[i].from) : mr_seq_le(above, s->r[i].from));
		above = s->r[i].to;
	}
}

static void check_queue(
	const struct mr_tcp *t, const struct mr_tcp_queue *q, uint32_t *blocks, uint32_t *maps)
{
	uint32_t n = 0;

	if (!q->map) {
		MR_ASSERT(q->blocks == 0);
		return;
	}
	for (uint32_t i = 0; i <= t->map_mask; i++)
		n += ((const uint32_t *)mr_tcp_slab_at(&t->maps, q->map))[i] != 0;
	MR_ASSERT(n == q->blocks && n > 0);
	*blocks += n;
	++*maps;
}

static void check_sender(const struct mr_tcp_conn *c)
{
	uint32_t fin = !!(c->flags & MR_TCP_C_FIN_OUT);

	MR_ASSERT(mr_seq_le(c->snd_una, c->snd_nxt) && mr_seq_le(c->snd_nxt, c->snd_max));
	if (c->state < MR_TCP_ESTABLISHED)
		return;
	MR_ASSERT(mr_seq_le(c->snd_max, c->snd_end + fin));
	MR_ASSERT(c->snd_max - c->snd_una <= c->snd_wnd_max + 1 + fin);
	MR_ASSERT(c->cwnd >= c->mss);
	MR_ASSERT(!(c->flags & MR_TCP_C_TAIL) ||
		  (!(c->flags & (MR_TCP_C_RECOVERY | MR_TCP_C_LOSS | MR_TCP_C_PTO)) &&
			  mr_seq_le(c->recover, c->snd_max)));
	MR_ASSERT(c->snd_una == c->snd_max || c->due_rto != 0 || !mr_tcp_link_is_alone(&c->owes));
	MR_ASSERT((c->out.map != 0) == mr_seq_lt(c->snd_una, c->snd_end));
}

static void check_receiver(const struct mr_tcp_conn *c)
{
	uint32_t kept = mr_tcp_waiting(c);

	if (c->state == MR_TCP_SYN_SENT)
		return;
	MR_ASSERT(mr_seq_le(c->rcv_user, c->rcv_nxt) && mr_seq_le(c->rcv_acked, c->rcv_nxt));
	MR_ASSERT(mr_seq_le(c->rcv_nxt, c->rcv_edge + 1));
	MR_ASSERT(kept <= c->t->o.receive_window_max + 65535);
	MR_ASSERT((c->in.map != 0) == (kept > 0 || c->ranges_in));
}

static void check_conn(const struct mr_tcp_conn *c)
{
	int64_t soonest = INT64_MAX;

	check_sender(c);
	check_receiver(c);
	check_ranges(c->t, c->ranges_in, c->rcv_nxt + 1, c->rcv_edge, MR_TCP_SACK_MAX);
	check_ranges(c->t, c->ranges_out, c->snd_una, c->snd_max, MR_TCP_RANGES_MAX);
	soonest = c->due_rto ? MR_MIN(soonest, c->due_rto) : soonest;
	soonest = c->due_ack ? MR_MIN(soonest, c->due_ack) : soonest;
	soonest = c->due_life ? MR_MIN(soonest, c->due_life) : soonest;
	soonest = c->flags & MR_TCP_C_PTO ? MR_MIN(soonest, mr_tcp_probe_ns(c)) : soonest;
	if (soonest != INT64_MAX && mr_tcp_link_is_alone(&c->owes))
		MR_ASSERT(mr_wheel_is_set(&c->timer) &&
			  mr_wheel_due_ns(&c->timer) < soonest + (1 << MR_WHEEL_TICK_SHIFT));
	MR_ASSERT(mr_tcp_table_find(&c->t->conns, &c->e.path.local, c->e.local_port,
			  &c->e.path.peer, c->e.peer_port) == c);
}

void mr_tcp_check(const struct mr_tcp *t)
{
	uint32_t blocks = 0, maps = 0, ranges = 0, conns = 0, wheel = 0;

	for (uint32_t id = 1; id <= t->conns.slab.high; id++) {
		struct mr_tcp_conn *c = mr_tcp_slab_at(&t->conns.slab, id);

		if (c->state == MR_TCP_UNUSED)
			continue;
		conns++;
		if (c->state < MR_TCP_TIME_WAIT)
			check_conn(c);
		else
			MR_ASSERT(!mr_wheel_is_set(&c->timer) && !c->ranges_in && !c->ranges_out);
		check_queue(t, &c->in, &blocks, &maps);
		check_queue(t, &c->out, &blocks, &maps);
		ranges += !!c->ranges_in + !!c->ranges_out;
		wheel += mr_wheel_is_set(&c->timer);
	}
	MR_ASSERT(conns == t->conns.slab.used && ranges == t->ranges.used);
	MR_ASSERT(blocks == t->blocks.used && maps == t->maps.used);
	MR_ASSERT(wheel + t->halves.slab.used + mr_wheel_is_set(&t->wait_timer) == t->wheel.count);
	MR_ASSERT(t->waits.slab.used == 0 || mr_wheel_is_set(&t->wait_timer));
	MR_ASSERT(atomic_load_explicit(&t->counters.memory_used, memory_order_relaxed) ==
		  (uint64_t)blocks * MR_TCP_BLOCK_BYTES);
}
