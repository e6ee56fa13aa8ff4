// Neighbour discovery for IPv6: RFC 4861 (NS, NA, RS, RA), RFC 4862 5.4 (duplicate addresses).
//
// A redirect is not obeyed and a prefix is not configured: this host's addresses are settings. Of a
// router's advertisement we take the default router and the MTU, when accept_ra says so.
#include "dataplane/tcpip/stack_int.h"

#include "host/base/note.h"

enum {
	ND_RS = 133,
	ND_RA = 134,
	ND_NS = 135,
	ND_NA = 136,
	OPT_SOURCE_MAC = 1,
	OPT_TARGET_MAC = 2,
	OPT_MTU = 5,
	NA_SOLICITED = 0x40,
	NA_OVERRIDE = 0x20,
	ND_BYTES = 24, // NS and NA without options
	RS_BYTES = 8,
	RA_BYTES = 16,
	OPT_BYTES = 8,
	RS_COUNT = 3,
	MLD_COUNT = 2, // robustness variable of RFC 3810
};

#define DAD_NS      (1 * MR_NS_PER_S)
#define RS_EVERY_NS (4 * MR_NS_PER_S)

static const struct mr_ip nobody;
static const struct mr_ip all_nodes = {{0xff, 0x02, [15] = 1}};
static const struct mr_ip all_routers = {{0xff, 0x02, [15] = 2}};

static struct mr_ip solicited_node(const struct mr_ip *ip)
{
	struct mr_ip group = {{0xff, 0x02, [11] = 1, [12] = 0xff}};

	memcpy(group.b + 13, ip->b + 13, 3);
	return group;
}

static struct mr_mac group_mac(const struct mr_ip *group)
{
	struct mr_mac mac = {{0x33, 0x33}};

	memcpy(mac.b + 2, group->b + 12, 4);
	return mac;
}

bool mr_nd_joined(const struct mr_stack *s, struct mr_mac mac)
{
	if (mac.b[0] != 0x33 || mac.b[1] != 0x33)
		return false;
	for (uint32_t i = 0; i < s->locals_count; i++) {
		struct mr_ip group = solicited_node(&s->locals[i].ip);

		if (s->locals[i].v4)
			continue;
		if (mr_mac_eq(mac, group_mac(&group)) || mr_mac_eq(mac, group_mac(&all_nodes)))
			return true;
	}
	return false;
}

// ---- sending

// An ICMPv6 message of `bytes` with hop limit 255; `body` is the message with a checksum of 0.
static void nd_send(struct mr_stack *s, const struct mr_ip *src, const struct mr_ip *dst,
	struct mr_mac mac, const uint8_t *body, uint32_t bytes)
{
	struct mr_frame f;
	uint8_t *l3, *l4;
	uint64_t sum;

	if (!mr_eth_begin(s, mac, MR_ETHERTYPE_IP6, MR_IP6_BYTES + bytes, &f, &l3))
		return;
	mr_ip6_header(l3, src, dst, MR_IP_ICMP6, bytes, 255);
	l4 = l3 + MR_IP6_BYTES;
	memcpy(l4, body, bytes);
	sum = mr_inet_pseudo(src, dst, MR_IP_ICMP6, bytes);
	mr_store_be16(l4 + 2, mr_inet_fold(mr_inet_sum(sum, l4, bytes)));
	MR_COUNT(s, nd_out);
	mr_eth_send(s, &f);
}

static void put_mac(const struct mr_stack *s, uint8_t *at, uint8_t option)
{
	at[0] = option;
	at[1] = 1;
	memcpy(at + 2, s->mac.b, 6);
}

void mr_nd_ask(struct mr_stack *s, const struct mr_ip *hop, const struct mr_mac *direct)
{
	uint8_t body[ND_BYTES + OPT_BYTES] = {ND_NS};
	struct mr_ip group = solicited_node(hop), src;

	if (!mr_stack_source(s, hop, &src))
		return;
	memcpy(body + 8, hop->b, 16);
	put_mac(s, body + ND_BYTES, OPT_SOURCE_MAC);
	nd_send(s, &src, direct ? hop : &group, direct ? *direct : group_mac(&group), body,
		sizeof(body));
}

// RFC 4862 5.4.2: a question in nobody's name about an address that we would like.
static void dad_ask(struct mr_stack *s, const struct mr_local *l)
{
	struct mr_ip group = solicited_node(&l->ip);
	uint8_t body[ND_BYTES] = {ND_NS};

	memcpy(body + 8, l->ip.b, 16);
	nd_send(s, &nobody, &group, group_mac(&group), body, sizeof(body));
}

static void advertise(struct mr_stack *s, const struct mr_ip *target, const struct mr_ip *dst,
	struct mr_mac mac, bool solicited)
{
	uint8_t body[ND_BYTES + OPT_BYTES] = {ND_NA};

	body[4] = NA_OVERRIDE | (solicited ? NA_SOLICITED : 0);
	memcpy(body + 8, target->b, 16);
	put_mac(s, body + ND_BYTES, OPT_TARGET_MAC);
	nd_send(s, target, dst, mac, body, sizeof(body));
}

void mr_nd_announce(struct mr_stack *s, const struct mr_local *l)
{
	if (l->dad == MR_DAD_DONE)
		advertise(s, &l->ip, &all_nodes, group_mac(&all_nodes), false);
}

static void rs_send(struct mr_stack *s)
{
	const struct mr_local *l = &s->locals[s->locals_count - 1]; // the link-local one
	bool named = l->dad == MR_DAD_DONE;
	uint8_t body[RS_BYTES + OPT_BYTES] = {ND_RS};

	put_mac(s, body + RS_BYTES, OPT_SOURCE_MAC);
	nd_send(s, named ? &l->ip : &nobody, &all_routers, group_mac(&all_routers), body,
		named ? sizeof(body) : RS_BYTES);
}

// ---- receiving

struct nd_options {
	bool has_source, has_target;
	struct mr_mac source, target;
	uint32_t mtu;
};

// False when they contradict themselves (RFC 4861 4.6: a length of 0 discards the packet).
static bool options_parse(struct mr_span s, struct nd_options *o)
{
	struct mr_reader r = mr_reader(s);

	*o = (struct nd_options){0};
	while (mr_read_left(&r) > 0) {
		uint8_t type = mr_read_u8(&r), units = mr_read_u8(&r);
		const uint8_t *p = mr_read_bytes(&r, units * 8u - 2);

		if (units == 0 || !p)
			return false;
		if (type == OPT_SOURCE_MAC && units == 1) {
			memcpy(o->source.b, p, 6);
			o->has_source = true;
		} else if (type == OPT_TARGET_MAC && units == 1) {
			memcpy(o->target.b, p, 6);
			o->has_target = true;
		} else if (type == OPT_MTU && units == 1) {
			o->mtu = mr_load_be32(p + 2);
		}
	}
	return true;
}

// A local address that another host turns out to have; told to the operator at once, for it will
// not be used.
static void duplicate(struct mr_stack *s, const struct mr_ip *ip, struct mr_mac mac)
{
	char address[48], text[18];

	for (uint32_t i = 0; i < s->locals_count; i++)
		if (mr_ip_eq(&s->locals[i].ip, ip))
			s->locals[i].dad = MR_DAD_DUPLICATE;
	MR_COUNT(s, nd_duplicate);
	mr_ip_format(ip, address);
	mr_mac_format(mac, text);
	mr_note(MR_NOTE_ERR, "net", "address=%s mac=%s: another host has this address; not used",
		address, text);
}

static void ns_input(struct mr_stack *s, const struct mr_stack_rx *rx, const struct nd_options *o,
	const struct mr_ip *target)
{
	const struct mr_local *l = mr_ip_local(s, target);
	bool from_nobody = mr_ip_eq(&rx->src, &nobody);
	struct mr_ip group = solicited_node(target);
	struct mr_ip hop;

	// RFC 4861 7.1.1.
	if (from_nobody && (o->has_source || !mr_ip_eq(&rx->dst, &group))) {
		MR_COUNT(s, bad_frame);
		return;
	}
	if (!l || l->dad == MR_DAD_DUPLICATE)
		return;
	if (l->dad == MR_DAD_TENTATIVE) {
		// RFC 4862 5.4.3: two that want it at once; neither gets it.
		if (from_nobody)
			duplicate(s, target, rx->src_mac);
		return;
	}
	if (!from_nobody && o->has_source && mr_ip_next_hop(s, &rx->src, &hop) &&
		mr_ip_eq(&hop, &rx->src))
		mr_neigh_learn(s, &rx->src, o->source, true, false, true);
	if (rx->flags & MR_FRAME_LEARN)
		return;
	if (from_nobody)
		advertise(s, target, &all_nodes, group_mac(&all_nodes), false);
	else
		advertise(s, target, &rx->src, o->has_source ? o->source : rx->src_mac, true);
}

static void na_input(struct mr_stack *s, const struct mr_stack_rx *rx, const struct nd_options *o,
	const struct mr_ip *target)
{
	const struct mr_local *l = mr_ip_local(s, target);
	bool solicited = rx->l4[4] & NA_SOLICITED, override = rx->l4[4] & NA_OVERRIDE;

	if (solicited && rx->dst.b[0] == 0xff) {
		MR_COUNT(s, bad_frame);
		return;
	}
	if (l && l->dad == MR_DAD_TENTATIVE)
		duplicate(s, target, rx->src_mac);
	else if (l)
		mr_stack_conflict(s, target, rx->src_mac);
	else if (o->has_target)
		mr_neigh_learn(s, target, o->target, false, solicited, override);
}

static void ra_input(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	uint16_t lifetime_s = mr_load_be16(rx->l4 + 6);
	bool link_local = rx->src.b[0] == 0xfe && (rx->src.b[1] & 0xc0) == 0x80;
	struct nd_options o;

	if (rx->l4_bytes < RA_BYTES || !link_local ||
		!options_parse(mr_span(rx->l4 + RA_BYTES, rx->l4_bytes - RA_BYTES), &o)) {
		MR_COUNT(s, bad_frame);
		return;
	}
	if (!s->accept_ra)
		return;
	s->rs_ns = INT64_MAX;
	// The first router stays until it goes; another does not displace it.
	if (s->ra_until_ns > s->now_ns && !mr_ip_eq(&s->ra_router, &rx->src))
		return;
	if (s->ra_until_ns > s->now_ns && lifetime_s == 0)
		mr_neigh_forget(s, &rx->src);
	s->ra_router = rx->src;
	s->ra_until_ns = lifetime_s ? s->now_ns + lifetime_s * MR_NS_PER_S : 0;
	if (o.has_source && lifetime_s)
		mr_neigh_learn(s, &rx->src, o.source, true, false, true);
	if (o.mtu >= MR_IP6_MTU_MIN && o.mtu <= s->mtu)
		s->mtu6 = (uint16_t)o.mtu;
}

void mr_nd_input(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	struct nd_options o;
	struct mr_ip target;

	// 255: it has crossed no router (RFC 4861 3.1).
	if (rx->hop_limit != 255 || rx->l4[1] != 0) {
		MR_COUNT(s, bad_frame);
		return;
	}
	MR_COUNT(s, nd_in);
	if (rx->l4[0] == ND_RA) {
		ra_input(s, rx);
		return;
	}
	if (rx->l4[0] != ND_NS && rx->l4[0] != ND_NA)
		return;
	if (rx->l4_bytes < ND_BYTES ||
		!options_parse(mr_span(rx->l4 + ND_BYTES, rx->l4_bytes - ND_BYTES), &o)) {
		MR_COUNT(s, bad_frame);
		return;
	}
	memcpy(target.b, rx->l4 + 8, 16);
	if (target.b[0] == 0xff || mr_ip_is_v4(&target)) {
		MR_COUNT(s, bad_frame);
		return;
	}
	if (rx->l4[0] == ND_NS)
		ns_input(s, rx, &o, &target);
	else
		na_input(s, rx, &o, &target);
}

// ---- time

// fe80::/64 with the modified EUI-64 of the MAC (RFC 4291 appendix A).
static struct mr_ip link_local(struct mr_mac mac)
{
	struct mr_ip ip = {{0xfe, 0x80, [11] = 0xff, [12] = 0xfe}};

	memcpy(ip.b + 8, mac.b, 3);
	memcpy(ip.b + 13, mac.b + 3, 3);
	ip.b[8] ^= 2;
	return ip;
}

void mr_nd_create(struct mr_stack *s, bool secondary)
{
	bool any = false;

	s->rs_ns = s->mld_ns = INT64_MAX;
	for (uint32_t i = 0; i < s->locals_count; i++)
		any |= !s->locals[i].v4;
	if (!any)
		return;
	s->locals[s->locals_count++] =
		(struct mr_local){.ip = link_local(s->mac), .prefix = 64, .v4 = false};
	for (uint32_t i = 0; i < s->locals_count; i++)
		if (!s->locals[i].v4)
			s->locals[i].dad = MR_DAD_TENTATIVE;
	s->dad_asks = !secondary;
	s->dad_ns = s->now_ns;
	if (secondary)
		return;
	s->mld_ns = s->now_ns;
	s->mld_left = MLD_COUNT;
	s->rs_left = RS_COUNT;
	if (s->accept_ra)
		s->rs_ns = s->now_ns + DAD_NS;
}

// First the questions, a second later the addresses are ours.
static void dad_time(struct mr_stack *s)
{
	bool end = s->dad_begun;

	for (uint32_t i = 0; i < s->locals_count; i++) {
		struct mr_local *l = &s->locals[i];

		if (l->dad != MR_DAD_TENTATIVE)
			continue;
		if (end)
			l->dad = MR_DAD_DONE;
		else if (s->dad_asks)
			dad_ask(s, l);
		if (end && s->dad_asks)
			mr_nd_announce(s, l);
	}
	s->dad_begun = true;
	s->dad_ns = end ? INT64_MAX : s->now_ns + DAD_NS;
}

void mr_nd_time(struct mr_stack *s)
{
	if (s->now_ns >= s->mld_ns)
		mr_mld_time(s);
	if (s->now_ns >= s->dad_ns)
		dad_time(s);
	if (s->now_ns >= s->rs_ns) {
		rs_send(s);
		s->rs_ns = --s->rs_left ? s->now_ns + RS_EVERY_NS : INT64_MAX;
	}
}

int64_t mr_nd_next_ns(const struct mr_stack *s)
{
	return MR_MIN(MR_MIN(s->mld_ns, s->dad_ns), s->rs_ns);
}
