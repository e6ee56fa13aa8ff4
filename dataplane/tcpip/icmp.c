// ICMP (RFC 792, 1122 3.2.2) and ICMPv6 (RFC 4443): echo, and errors about what we have sent.
//
// An error is believed only when it quotes a connection of ours and a sequence number in flight,
// which TCP judges (RFC 5927), and never makes packets smaller than MR_IP4_PMTU_MIN or
// MR_IP6_MTU_MIN. Every answer of ours costs a token of a bucket that all share.
#include "dataplane/tcpip/stack_int.h"

enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_FRAG_NEEDED = 4, // code
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_MLD_QUERY = 130,
	ICMP6_ND_FIRST = 133,
	ICMP6_ND_LAST = 137,
	ICMP_HEADER_BYTES = 8,
};

bool mr_icmp_allow(struct mr_stack *s)
{
	int64_t each_ns = MR_NS_PER_S / MR_STACK_ICMP_PER_SECOND;
	int64_t more = (s->now_ns - s->icmp_ns) / each_ns;

	if (more > 0) {
		s->icmp_ns += more * each_ns;
		more += s->icmp_tokens;
		s->icmp_tokens = (uint32_t)MR_MIN(more, MR_STACK_ICMP_PER_SECOND);
	}
	if (s->icmp_tokens == 0) {
		MR_COUNT(s, icmp_limited);
		return false;
	}
	s->icmp_tokens--;
	return true;
}

// The answer goes back to the MAC that the question came from: nothing is looked up, nothing kept.
static void echo(struct mr_stack *s, const struct mr_stack_rx *rx, uint8_t reply)
{
	bool v4 = mr_ip_is_v4(&rx->src);
	uint32_t l3_bytes = v4 ? MR_IP4_BYTES : MR_IP6_BYTES;
	struct mr_frame f;
	uint8_t *l3, *l4;
	uint16_t sum;

	if (!s->answer_echo || rx->flags & MR_FRAME_LEARN || !rx->unicast || !mr_icmp_allow(s))
		return;
	if (!mr_eth_begin(s, rx->src_mac, v4 ? MR_ETHERTYPE_IP4 : MR_ETHERTYPE_IP6,
		    l3_bytes + rx->l4_bytes, &f, &l3))
		return;
	l4 = l3 + l3_bytes;
	memcpy(l4, rx->l4, rx->l4_bytes);
	l4[0] = reply;
	// RFC 1624 holds for what is not all zeros; 0xffff is a zero that holds for that too.
	sum = mr_inet_update(mr_load_be16(rx->l4 + 2), mr_load_be16(rx->l4), mr_load_be16(l4));
	mr_store_be16(l4 + 2, sum ? sum : 0xffff);
	if (v4)
		mr_ip4_header(l3, &rx->dst, &rx->src, MR_IP_ICMP, rx->l4_bytes);
	else
		mr_ip6_header(l3, &rx->dst, &rx->src, MR_IP_ICMP6, rx->l4_bytes, 64);
	MR_COUNT(s, icmp_out);
	mr_eth_send(s, &f);
}

// What an error says of a segment of ours.
struct quoted {
	struct mr_ip local, peer;
	const uint8_t *tcp; // 8 bytes: ports and sequence
	uint16_t total_bytes;
};

static bool quote4(struct mr_span body, struct quoted *q)
{
	struct mr_reader r = mr_reader(body);
	const uint8_t *h = mr_read_bytes(&r, MR_IP4_BYTES);

	q->tcp = mr_read_bytes(&r, 8);
	if (!q->tcp || h[0] != 0x45 || h[9] != MR_IP_TCP)
		return false;
	q->total_bytes = mr_load_be16(h + 2);
	q->local = mr_ip4(mr_load_be32(h + 12));
	q->peer = mr_ip4(mr_load_be32(h + 16));
	return true;
}

static bool quote6(struct mr_span body, struct quoted *q)
{
	struct mr_reader r = mr_reader(body);
	const uint8_t *h = mr_read_bytes(&r, MR_IP6_BYTES);

	q->tcp = mr_read_bytes(&r, 8);
	if (!q->tcp || h[0] >> 4 != 6 || h[6] != MR_IP_TCP)
		return false;
	memcpy(q->local.b, h + 8, 16);
	memcpy(q->peer.b, h + 24, 16);
	return !mr_ip_is_v4(&q->local) && !mr_ip_is_v4(&q->peer);
}

// RFC 1191 section 5 and table 7-1: an old router does not tell its MTU.
static uint16_t plateau_below(uint16_t bytes)
{
	static const uint16_t plateaus[] = {8166, 4352, 2002, 1492, 1006};

	for (size_t i = 0; i < MR_COUNT_OF(plateaus); i++)
		if (plateaus[i] < bytes)
			return plateaus[i];
	return MR_IP4_PMTU_MIN;
}

static void tell_tcp(struct mr_stack *s, const struct mr_stack_rx *rx, const struct quoted *q,
	uint16_t mtu, bool hard)
{
	bool believed = mr_ip_eq(&q->local, &rx->dst) &&
			mr_tcp_icmp(s->tcp, &q->local, mr_load_be16(q->tcp), &q->peer,
				mr_load_be16(q->tcp + 2), mr_load_be32(q->tcp + 4), mtu, hard);

	if (believed && mtu > 0)
		MR_COUNT(s, pmtu_lowered);
	// A copy is about a connection of one worker; the others need not complain.
	if (!believed && !(rx->flags & MR_FRAME_LEARN))
		MR_COUNT(s, icmp_unbelieved);
}

static void error4(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	uint8_t type = rx->l4[0], code = rx->l4[1];
	uint16_t mtu = 0;
	struct quoted q;

	if (!quote4(mr_span(rx->l4 + ICMP_HEADER_BYTES, rx->l4_bytes - ICMP_HEADER_BYTES), &q)) {
		MR_COUNT(s, icmp_unbelieved);
		return;
	}
	if (type == ICMP_UNREACHABLE && code == ICMP_FRAG_NEEDED) {
		mtu = mr_load_be16(rx->l4 + 6);
		mtu = mtu ? mtu : plateau_below(q.total_bytes);
		mtu = MR_MAX(mtu, MR_IP4_PMTU_MIN);
	}
	// RFC 1122 4.2.3.9: protocol and port unreachable are hard, the rest is soft.
	tell_tcp(s, rx, &q, mtu, type == ICMP_UNREACHABLE && (code == 2 || code == 3));
}

void mr_icmp_input(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	if (rx->l4_bytes < ICMP_HEADER_BYTES) {
		MR_COUNT(s, bad_frame);
		return;
	}
	if (mr_inet_fold(mr_inet_sum(0, rx->l4, rx->l4_bytes)) != 0) {
		MR_COUNT(s, bad_icmp_sum);
		return;
	}
	MR_COUNT(s, icmp_in);
	switch (rx->l4[0]) {
	case ICMP_ECHO: echo(s, rx, ICMP_ECHO_REPLY); return;
	case ICMP_UNREACHABLE:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER: error4(s, rx); return;
	default: return; // redirects, quench, timestamps: RFC 1122, 6633, 6918 let us
	}
}

static void error6(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	uint32_t mtu = 0;
	struct quoted q;

	if (!quote6(mr_span(rx->l4 + ICMP_HEADER_BYTES, rx->l4_bytes - ICMP_HEADER_BYTES), &q)) {
		MR_COUNT(s, icmp_unbelieved);
		return;
	}
	if (rx->l4[0] == ICMP6_TOO_BIG) {
		// RFC 8201 section 4: less than the minimum is ignored.
		mtu = MR_MIN(mr_load_be32(rx->l4 + 4), UINT16_MAX);
		if (mtu < MR_IP6_MTU_MIN) {
			MR_COUNT(s, icmp_unbelieved);
			return;
		}
	}
	// RFC 5461, RFC 4443: port unreachable (code 4) is the only one to be taken for hard.
	tell_tcp(s, rx, &q, (uint16_t)mtu, rx->l4[0] == ICMP6_UNREACHABLE && rx->l4[1] == 4);
}

void mr_icmp6_input(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	const struct mr_local *l = mr_ip_local(s, &rx->dst);
	bool ours = l && l->dad == MR_DAD_DONE;
	uint64_t sum;

	if (rx->l4_bytes < ICMP_HEADER_BYTES) {
		MR_COUNT(s, bad_frame);
		return;
	}
	sum = mr_inet_pseudo(&rx->src, &rx->dst, MR_IP_ICMP6, rx->l4_bytes);
	if (mr_inet_fold(mr_inet_sum(sum, rx->l4, rx->l4_bytes)) != 0) {
		MR_COUNT(s, bad_icmp_sum);
		return;
	}
	MR_COUNT(s, icmp_in);
	if (rx->l4[0] >= ICMP6_ND_FIRST && rx->l4[0] <= ICMP6_ND_LAST) {
		mr_nd_input(s, rx);
		return;
	}
	if (rx->l4[0] == ICMP6_MLD_QUERY) {
		mr_mld_query(s, rx);
		return;
	}
	if (!ours || mr_ip_is_martian_source(&rx->src))
		return;
	switch (rx->l4[0]) {
	case ICMP6_ECHO: echo(s, rx, ICMP6_ECHO_REPLY); return;
	case ICMP6_UNREACHABLE:
	case ICMP6_TOO_BIG:
	case ICMP6_TIME_EXCEEDED:
	case ICMP6_PARAMETER: error6(s, rx); return;
	default: return;
	}
}
