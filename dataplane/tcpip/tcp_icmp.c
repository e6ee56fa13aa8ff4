// What the IP layer has learnt about a way: errors (RFC 5927, 5461) and next hops.
#include "dataplane/tcpip/tcp_int.h"

// RFC 1191, 8201: segments as long as the way carries, from the one that was too long on.
static void lower_mtu(struct mr_tcp_conn *c, uint16_t mtu)
{
	uint16_t least = mr_ip_is_v4(&c->e.path.peer) ? MR_IP4_PMTU_MIN : MR_IP6_MTU_MIN;

	mtu = MR_MAX(mtu, least);
	if (mtu >= c->e.path.mtu)
		return;
	c->e.path.mtu = mtu;
	MR_TCP_COUNT(c->t, pmtu_lowered);
	if (c->state < MR_TCP_ESTABLISHED)
		return;
	mr_tcp_conn_set_mss(c);
	// Not a sign of congestion: the same windows, from the first byte on.
	c->recover = c->snd_max;
	c->snd_nxt = c->snd_una;
	c->rtt_at = 0;
	c->flags |= MR_TCP_C_LOSS;
	c->flags &= ~(MR_TCP_C_RECOVERY | MR_TCP_C_RETRANSMIT);
	mr_tcp_tail_end(c);
	mr_tcp_ranges_drop(c->t, &c->ranges_out);
	mr_tcp_owe(c);
}

bool mr_tcp_icmp(struct mr_tcp *t, const struct mr_ip *local, uint16_t local_port,
	const struct mr_ip *peer, uint16_t peer_port, uint32_t sequence, uint16_t mtu, bool hard)
{
	struct mr_tcp_conn *c = mr_tcp_table_find(&t->conns, local, local_port, peer, peer_port);
	struct mr_tcp_half *h;

	if (!c) {
		h = mr_tcp_table_find(&t->halves, local, local_port, peer, peer_port);
		return h && h->iss == sequence;
	}
	// RFC 5927 4.1: of something that is on its way.
	if (mr_seq_lt(sequence, c->snd_una) || !mr_seq_lt(sequence, c->snd_max))
		return false;
	mr_tcp_enter(t);
	if (mtu)
		lower_mtu(c, mtu);
	else if (hard && c->state == MR_TCP_SYN_SENT)
		mr_tcp_conn_fail(c, -ECONNREFUSED);
	else // RFC 5927 5.2: hard ones too are only the reason if it times out
		c->flags |= MR_TCP_C_UNREACHABLE;
	mr_tcp_leave(t);
	return true;
}

void mr_tcp_path_ready(struct mr_tcp *t, const struct mr_ip *peer)
{
	uint32_t others = 0;

	if (!t->unreached)
		return;
	for (uint32_t id = 1; id <= t->conns.slab.high; id++) {
		struct mr_tcp_conn *c = mr_tcp_slab_at(&t->conns.slab, id);

		if (c->state >= MR_TCP_TIME_WAIT ||
			(!(c->flags & MR_TCP_C_RETRY) && c->state >= MR_TCP_ESTABLISHED))
			continue;
		if (mr_ip_eq(&c->e.path.peer, peer))
			mr_tcp_owe(c);
		else
			others++;
	}
	t->unreached = others > 0;
}
