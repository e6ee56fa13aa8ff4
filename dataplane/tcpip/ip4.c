// IPv4 (RFC 791, host rules of RFC 1122 3.2). No options, no fragments: both are counted and
// dropped. What we send may not be fragmented, so its identification means nothing (RFC 6864).
#include "dataplane/tcpip/stack_int.h"

enum { IP4_DF = 0x4000, IP4_MORE_OR_OFFSET = 0x3fff };

void mr_ip4_header(uint8_t *l3, const struct mr_ip *src, const struct mr_ip *dst, uint8_t protocol,
	uint32_t l4_bytes)
{
	mr_store_be16(l3, 0x4500);
	mr_store_be16(l3 + 2, (uint16_t)(MR_IP4_BYTES + l4_bytes));
	mr_store_be16(l3 + 4, 0);
	mr_store_be16(l3 + 6, IP4_DF);
	l3[8] = 64;
	l3[9] = protocol;
	mr_store_be16(l3 + 10, 0);
	memcpy(l3 + 12, src->b + 12, 4);
	memcpy(l3 + 16, dst->b + 12, 4);
	mr_store_be16(l3 + 10, mr_inet_fold(mr_inet_sum(0, l3, MR_IP4_BYTES)));
}

// Lengths first: nothing below reads past what they allow. Trims Ethernet's padding.
static bool header_good(struct mr_stack *s, struct mr_stack_rx *rx)
{
	const uint8_t *h = rx->l3;
	uint32_t header_bytes, total;

	if (rx->l3_bytes < MR_IP4_BYTES || h[0] >> 4 != 4) {
		MR_COUNT(s, bad_frame);
		return false;
	}
	header_bytes = (h[0] & 15) * 4u;
	total = mr_load_be16(h + 2);
	if (header_bytes < MR_IP4_BYTES || total < header_bytes || total > rx->l3_bytes) {
		MR_COUNT(s, bad_frame);
		return false;
	}
	if (!(rx->flags & MR_FRAME_L3_GOOD) && mr_inet_fold(mr_inet_sum(0, h, header_bytes))) {
		MR_COUNT(s, bad_ip_sum);
		return false;
	}
	if (header_bytes > MR_IP4_BYTES) {
		MR_COUNT(s, ip_options);
		return false;
	}
	rx->l3_bytes = total;
	return true;
}

static bool addresses_good(struct mr_stack *s, struct mr_stack_rx *rx)
{
	rx->src = mr_ip4(mr_load_be32(rx->l3 + 12));
	rx->dst = mr_ip4(mr_load_be32(rx->l3 + 16));
	// A frame to all with a packet to one is a mistake or an attack (RFC 1122 3.3.6).
	if (!rx->unicast || !mr_ip_local(s, &rx->dst)) {
		MR_COUNT(s, not_ours);
		return false;
	}
	if (mr_ip_is_martian_source(&rx->src)) {
		MR_COUNT(s, martians);
		return false;
	}
	return true;
}

void mr_ip4_input(struct mr_stack *s, struct mr_stack_rx *rx)
{
	if (!header_good(s, rx) || !addresses_good(s, rx))
		return;
	if (mr_load_be16(rx->l3 + 6) & IP4_MORE_OR_OFFSET) {
		MR_COUNT(s, fragments);
		return;
	}
	rx->hop_limit = rx->l3[8];
	rx->ecn_ce = (rx->l3[1] & 3) == 3;
	rx->l4 = rx->l3 + MR_IP4_BYTES;
	rx->l4_bytes = rx->l3_bytes - MR_IP4_BYTES;
	switch (rx->l3[9]) {
	case MR_IP_TCP: mr_ip_tcp_input(s, rx); return;
	case MR_IP_ICMP: mr_icmp_input(s, rx); return;
	default: MR_COUNT(s, unknown_protocol);
	}
}
