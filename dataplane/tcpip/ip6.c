// IPv6 (RFC 8200) with a bounded chain of extension headers. No fragments but atomic ones (RFC
// 6946); a routing header is passed over only when nothing of the route is left.
#include "dataplane/tcpip/stack_int.h"

#include <errno.h>

enum {
	EXT_MAX = 8,
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_NONE = 59,
	NEXT_DESTINATION = 60,
};

void mr_ip6_header(uint8_t *l3, const struct mr_ip *src, const struct mr_ip *dst, uint8_t next,
	uint32_t l4_bytes, uint8_t hop_limit)
{
	mr_store_be32(l3, 6u << 28);
	mr_store_be16(l3 + 4, (uint16_t)l4_bytes);
	l3[6] = next;
	l3[7] = hop_limit;
	memcpy(l3 + 8, src->b, 16);
	memcpy(l3 + 24, dst->b, 16);
}

// RFC 8200 4.2: an option that we do not know may be passed over when its two high bits are 0.
static bool options_harmless(struct mr_span s)
{
	struct mr_reader r = mr_reader(s);

	while (mr_read_left(&r) > 0) {
		uint8_t type = mr_read_u8(&r);

		if (type == 0)
			continue;
		mr_read_bytes(&r, mr_read_u8(&r));
		if (r.bad || type >> 6)
			return false;
	}
	return true;
}

// One extension header; `*next` becomes what follows it.
static int skip_one(struct mr_reader *r, uint8_t *next)
{
	uint8_t type = *next;
	uint8_t following = mr_read_u8(r), length = mr_read_u8(r);
	const uint8_t *body = mr_read_bytes(r, 6 + (type == NEXT_FRAGMENT ? 0 : length * 8u));

	if (!body)
		return -EINVAL;
	*next = following;
	if (type == NEXT_FRAGMENT)
		return mr_load_be16(body) & 0xfff9 ? -EMLINK : 0;
	if (type == NEXT_ROUTING)
		return body[1] == 0 ? 0 : -EOPNOTSUPP;
	return options_harmless(mr_span(body, 6 + length * 8u)) ? 0 : -EOPNOTSUPP;
}

int mr_ip6_skip(const uint8_t **at, const uint8_t *end, uint8_t next)
{
	struct mr_reader r = {*at, end, false};

	for (int i = 0; i <= EXT_MAX; i++) {
		int rc = 0;

		switch (next) {
		case NEXT_HOP_BY_HOP:
			// Only right behind the header (RFC 8200 4.1).
			if (i > 0)
				return -EOPNOTSUPP;
			[[fallthrough]];
		case NEXT_ROUTING:
		case NEXT_FRAGMENT:
		case NEXT_DESTINATION: rc = skip_one(&r, &next); break;
		default: *at = r.at; return next;
		}
		if (rc < 0)
			return rc;
	}
	return -EOPNOTSUPP;
}

static bool header_good(struct mr_stack *s, struct mr_stack_rx *rx)
{
	uint32_t payload;

	if (rx->l3_bytes < MR_IP6_BYTES || rx->l3[0] >> 4 != 6) {
		MR_COUNT(s, bad_frame);
		return false;
	}
	payload = mr_load_be16(rx->l3 + 4);
	if (payload + MR_IP6_BYTES > rx->l3_bytes) {
		MR_COUNT(s, bad_frame);
		return false;
	}
	rx->l3_bytes = payload + MR_IP6_BYTES;
	memcpy(rx->src.b, rx->l3 + 8, 16);
	memcpy(rx->dst.b, rx->l3 + 24, 16);
	rx->hop_limit = rx->l3[7];
	rx->ecn_ce = (rx->l3[1] >> 4 & 3) == 3;
	return true;
}

// Groups are heard only for ICMPv6; a packet from nobody only for what DAD needs.
static bool addresses_good(struct mr_stack *s, const struct mr_stack_rx *rx, int next)
{
	static const struct mr_ip nobody;
	bool group = rx->dst.b[0] == 0xff;
	bool martian = mr_ip_is_martian_source(&rx->src) &&
		       !(next == MR_IP_ICMP6 && mr_ip_eq(&rx->src, &nobody));

	// ::ffff:a.b.c.d must never come from a wire: it would be taken for IPv4's.
	if (martian || mr_ip_is_v4(&rx->src) || mr_ip_is_v4(&rx->dst)) {
		MR_COUNT(s, martians);
		return false;
	}
	if (group ? next != MR_IP_ICMP6 : !rx->unicast) {
		MR_COUNT(s, not_ours);
		return false;
	}
	return true;
}

// Whether it is for an address that is ours for sure; ND alone deals with tentative ones.
static bool is_ours(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	const struct mr_local *l = mr_ip_local(s, &rx->dst);

	if (l && l->dad == MR_DAD_DONE)
		return true;
	MR_COUNT(s, not_ours);
	return false;
}

void mr_ip6_input(struct mr_stack *s, struct mr_stack_rx *rx)
{
	int next;

	if (!header_good(s, rx))
		return;
	rx->l4 = rx->l3 + MR_IP6_BYTES;
	next = mr_ip6_skip(&rx->l4, rx->l3 + rx->l3_bytes, rx->l3[6]);
	if (next < 0) {
		if (next == -EMLINK)
			MR_COUNT(s, fragments);
		else if (next == -EINVAL)
			MR_COUNT(s, bad_frame);
		else
			MR_COUNT(s, ip_options);
		return;
	}
	rx->l4_bytes = (uint32_t)(rx->l3 + rx->l3_bytes - rx->l4);
	if (!addresses_good(s, rx, next))
		return;
	if (next == MR_IP_ICMP6) {
		mr_icmp6_input(s, rx);
		return;
	}
	if (!is_ours(s, rx))
		return;
	if (next == MR_IP_TCP)
		mr_ip_tcp_input(s, rx);
	else
		MR_COUNT(s, unknown_protocol);
}
