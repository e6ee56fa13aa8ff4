// What IPv4 and IPv6 share: our addresses, the way to a peer, and TCP above both.
#include "dataplane/tcpip/stack_int.h"

#include <errno.h>

const struct mr_local *mr_ip_local(const struct mr_stack *s, const struct mr_ip *ip)
{
	for (uint32_t i = 0; i < s->locals_count; i++)
		if (mr_ip_eq(&s->locals[i].ip, ip))
			return &s->locals[i];
	return NULL;
}

// The first and the last address of an IPv4 network are no host's (RFC 1122 3.2.1.3), unless it has
// but two (RFC 3021).
static bool is_net_broadcast(const struct mr_local *l, const struct mr_ip *ip)
{
	uint32_t host = l->v4 && l->prefix < 31 ? UINT32_MAX >> l->prefix : 0;
	uint32_t v = mr_load_be32(ip->b + 12) & host;

	return host && (v == 0 || v == host);
}

bool mr_ip_is_zero(const struct mr_ip *ip)
{
	static const struct mr_ip zero;

	return mr_ip_eq(ip, &zero);
}

bool mr_ip_next_hop(const struct mr_stack *s, const struct mr_ip *peer, struct mr_ip *hop)
{
	bool v4 = mr_ip_is_v4(peer);

	if (mr_ip_is_martian_source(peer))
		return false;
	for (uint32_t i = 0; i < s->locals_count; i++) {
		const struct mr_local *l = &s->locals[i];

		if (l->v4 != v4 || !mr_ip_in_prefix(peer, &l->ip, l->prefix))
			continue;
		*hop = *peer;
		return !mr_ip_eq(peer, &l->ip) && !is_net_broadcast(l, peer);
	}
	for (int i = 0; i < 2; i++) {
		if (mr_ip_is_zero(&s->gateways[i]) || mr_ip_is_v4(&s->gateways[i]) != v4)
			continue;
		*hop = s->gateways[i];
		return true;
	}
	*hop = s->ra_router;
	return !v4 && s->ra_until_ns > s->now_ns;
}

bool mr_stack_source(const struct mr_stack *s, const struct mr_ip *peer, struct mr_ip *out)
{
	const struct mr_local *any = NULL;
	struct mr_ip hop;

	if (!mr_ip_next_hop(s, peer, &hop))
		return false;
	for (uint32_t i = 0; i < s->locals_count; i++) {
		const struct mr_local *l = &s->locals[i];

		if (l->v4 != mr_ip_is_v4(peer) || l->dad != MR_DAD_DONE)
			continue;
		if (mr_ip_in_prefix(&hop, &l->ip, l->prefix) &&
			(l->ip.b[0] != 0xfe || peer->b[0] == 0xfe)) {
			*out = l->ip;
			return true;
		}
		any = any && any->ip.b[0] != 0xfe ? any : l;
	}
	if (any)
		*out = any->ip;
	return any != NULL;
}

// ---- up

// Linux leaves only the pseudo header's sum in the field and lets the device finish it; a virtual
// device does not. Without the length too: as left for a device that cuts segments.
static bool is_partial(const struct mr_stack_rx *rx)
{
	uint16_t field = (uint16_t)~mr_load_be16(rx->l4 + 16);

	for (int i = 0; i < 2; i++) {
		uint32_t bytes = i ? 0 : rx->l4_bytes;

		if (field == mr_inet_fold(mr_inet_pseudo(&rx->src, &rx->dst, MR_IP_TCP, bytes)))
			return true;
	}
	return false;
}

static bool tcp_sum_good(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	uint64_t sum;

	if (rx->flags & MR_FRAME_L4_GOOD)
		return true;
	sum = mr_inet_pseudo(&rx->src, &rx->dst, MR_IP_TCP, rx->l4_bytes);
	if (mr_inet_fold(mr_inet_sum(sum, rx->l4, rx->l4_bytes)) == 0)
		return true;
	MR_COUNT(s, bad_tcp_sum);
	if (is_partial(rx))
		MR_COUNT(s, bad_partial_sum);
	return false;
}

// A neighbour that sends us segments need not be asked who it is before it is answered: its frame
// says so. An answer that waited for the question would be lost: a reset, say, to a peer of our
// life before a restart, who asks for it again only when its timer has doubled. That only fills a
// gap and is verified when it is used; what is known is not changed, though a SYN may cast doubt on
// it.
static void learn_from_segment(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	bool is_syn = (rx->l4[13] & 0x12) == 0x02;
	const struct mr_neigh *e;
	struct mr_ip hop;

	if (!mr_neigh_heard(s, rx->src_mac, &rx->src) && !is_syn)
		return;
	if (!mr_ip_next_hop(s, &rx->src, &hop) || !mr_ip_eq(&hop, &rx->src))
		return;
	e = mr_neigh_find(s, &hop);
	if (is_syn || !e || !mr_neigh_usable(e))
		mr_neigh_learn(s, &rx->src, rx->src_mac, true, false, false);
}

void mr_ip_tcp_input(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	struct mr_tcp_segment_in in = {
		.src = rx->src,
		.dst = rx->dst,
		.l4 = rx->l4,
		.bytes = rx->l4_bytes,
		.ecn_ce = rx->ecn_ce,
	};

	if (rx->l4_bytes < MR_TCP_BYTES) {
		MR_COUNT(s, bad_frame);
		return;
	}
	if (!tcp_sum_good(s, rx))
		return;
	if (mr_ip_eq(&rx->src, &rx->dst) && mr_load_be16(rx->l4) == mr_load_be16(rx->l4 + 2)) {
		MR_COUNT(s, land);
		return;
	}
	if (mr_ip_local(s, &rx->src)) {
		MR_COUNT(s, martians);
		return;
	}
	learn_from_segment(s, rx);
	mr_tcp_input(s->tcp, &in);
}

// ---- down: what TCP sends through

static uint32_t l3_bytes_of(const struct mr_ip_path *path)
{
	return mr_ip_is_v4(&path->peer) ? MR_IP4_BYTES : MR_IP6_BYTES;
}

static bool path_route(void *ctx, struct mr_ip_path *path)
{
	struct mr_stack *s = ctx;
	const struct mr_local *l = mr_ip_local(s, &path->local);
	struct mr_ip hop;

	path->mtu = mr_ip_is_v4(&path->peer) ? s->mtu : s->mtu6;
	path->neighbour = MR_NEIGH_NONE;
	path->generation = 0;
	return l && l->dad == MR_DAD_DONE && l->v4 == mr_ip_is_v4(&path->peer) &&
	       mr_ip_next_hop(s, &path->peer, &hop);
}

// The neighbour of a path, from its cache or anew; NULL when there is none yet.
static struct mr_neigh *path_neighbour(struct mr_stack *s, struct mr_ip_path *path)
{
	struct mr_neigh *e;
	struct mr_ip hop;

	if (path->neighbour < s->neigh.count_max) {
		e = &s->neigh.entries[path->neighbour];
		if (MR_LIKELY(e->generation == path->generation && mr_neigh_usable(e)))
			return e;
	}
	if (!mr_ip_next_hop(s, &path->peer, &hop))
		return NULL;
	e = mr_neigh_want(s, &hop);
	path->neighbour = mr_neigh_index(s, e);
	path->generation = e->generation;
	if (mr_neigh_usable(e))
		return e;
	mr_neigh_wait(s, e, &path->peer);
	return NULL;
}

static int path_begin(void *ctx, struct mr_ip_path *path, struct mr_tcp_packet *out)
{
	struct mr_stack *s = ctx;
	struct mr_neigh *e = path_neighbour(s, path);
	uint32_t l3_bytes = l3_bytes_of(path);
	uint16_t mtu = mr_ip_is_v4(&path->peer) ? s->mtu : s->mtu6;
	struct mr_frame f;

	if (!e) {
		MR_COUNT(s, neighbour_unknown);
		return -EHOSTUNREACH;
	}
	mr_neigh_use(s, e);
	if (!mr_eth_take(s, &f))
		return -EAGAIN;
	out->l4 = f.data + s->l2_bytes + l3_bytes;
	out->bytes_max = MR_MIN(path->mtu, mtu) - l3_bytes;
	out->opaque[0] = f.data;
	out->opaque[1] = f.opaque;
	return 0;
}

static void fill_sum(
	const struct mr_stack *s, const struct mr_ip_path *path, struct mr_frame *f, uint8_t *l4)
{
	uint32_t bytes = f->bytes - f->l2_bytes - f->l3_bytes;
	uint64_t sum = mr_inet_pseudo(&path->local, &path->peer, MR_IP_TCP, bytes);

	if (s->port->offloads & MR_PORT_SUM_L4) {
		f->flags |= MR_FRAME_SUM_L4;
		mr_store_be16(l4 + 16, (uint16_t)~mr_inet_fold(sum));
		return;
	}
	mr_store_be16(l4 + 16, 0);
	mr_store_be16(l4 + 16, mr_inet_fold(mr_inet_sum(sum, l4, bytes)));
}

static void path_send(void *ctx, struct mr_ip_path *path, struct mr_tcp_packet *p, uint32_t bytes)
{
	struct mr_stack *s = ctx;
	bool v4 = mr_ip_is_v4(&path->peer);
	struct mr_frame f = {
		.data = p->opaque[0],
		.opaque = p->opaque[1],
		.l2_bytes = s->l2_bytes,
		.l3_bytes = (uint16_t)l3_bytes_of(path),
	};
	uint8_t *l3 = f.data + s->l2_bytes;

	if (bytes < MR_TCP_BYTES) {
		mr_eth_give_back(s, &f);
		return;
	}
	MR_ASSERT(bytes <= p->bytes_max);
	f.bytes = f.l2_bytes + f.l3_bytes + bytes;
	f.l4_bytes = (uint16_t)((p->l4[12] >> 4) * 4);
	mr_eth_header(s, f.data, s->neigh.entries[path->neighbour].mac,
		v4 ? MR_ETHERTYPE_IP4 : MR_ETHERTYPE_IP6);
	if (v4)
		mr_ip4_header(l3, &path->local, &path->peer, MR_IP_TCP, bytes);
	else
		mr_ip6_header(l3, &path->local, &path->peer, MR_IP_TCP, bytes, 64);
	if (v4 && s->port->offloads & MR_PORT_SUM_L3) {
		f.flags |= MR_FRAME_SUM_L3;
		mr_store_be16(l3 + 10, 0);
	}
	fill_sum(s, path, &f, p->l4);
	mr_eth_send(s, &f);
}

const struct mr_tcp_lower mr_ip_tcp_lower = {
	.begin = path_begin,
	.send = path_send,
	.route = path_route,
};
