// Steering by destination port, and the sharing of queues.
#include "dataplane/tcpip/steer.h"

enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_ECHO = 8,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
	IP6_HOP_BY_HOP = 0,
	IP6_ROUTING = 43,
	IP6_DESTINATION = 60,
	IP6_EXTENSIONS_MAX = 4,
	TCP_PORTS_BYTES = 4,
};

static int by_port(const struct mr_steering *s, const uint8_t *l4, uint32_t bytes)
{
	uint32_t index;

	if (bytes < TCP_PORTS_BYTES || !s->port_first)
		return 0;
	index = (uint32_t)mr_load_be16(l4 + 2) -
		s->port_first; // a smaller port wraps to a huge one
	return index < s->workers ? (int)index : 0;
}

static int of_ip4(const struct mr_steering *s, const uint8_t *p, uint32_t bytes)
{
	uint32_t head;

	if (bytes < MR_IP4_BYTES)
		return 0;
	head = (p[0] & 15u) * 4;
	if (head < MR_IP4_BYTES || bytes <= head)
		return 0;
	if (p[9] == MR_IP_ICMP)
		return p[head] == ICMP_ECHO || p[head] == ICMP_ECHO_REPLY ? 0 : MR_STEER_ALL;
	return p[9] == MR_IP_TCP ? by_port(s, p + head, bytes - head) : 0;
}

static int of_ip6(const struct mr_steering *s, const uint8_t *p, uint32_t bytes)
{
	uint32_t at = MR_IP6_BYTES;
	uint8_t next;

	if (bytes <= MR_IP6_BYTES)
		return 0;
	next = p[6];
	for (int i = 0; i < IP6_EXTENSIONS_MAX && bytes - at >= 8; i++) {
		if (next != IP6_HOP_BY_HOP && next != IP6_ROUTING && next != IP6_DESTINATION)
			break;
		next = p[at];
		if (bytes - at <= (p[at + 1] + 1u) * 8)
			return 0;
		at += (p[at + 1] + 1u) * 8;
	}
	if (next == MR_IP_ICMP6)
		return p[at] == ICMP6_ECHO || p[at] == ICMP6_ECHO_REPLY ? 0 : MR_STEER_ALL;
	return next == MR_IP_TCP ? by_port(s, p + at, bytes - at) : 0;
}

int mr_steer_frame(const struct mr_steering *s, const uint8_t *frame, uint32_t bytes)
{
	uint32_t at = MR_ETH_BYTES;
	uint16_t type;

	if (bytes < MR_ETH_BYTES)
		return 0;
	type = mr_load_be16(frame + 12);
	if (type == MR_ETHERTYPE_VLAN) {
		if (bytes < MR_ETH_BYTES + MR_VLAN_BYTES)
			return 0;
		type = mr_load_be16(frame + 16);
		at += MR_VLAN_BYTES;
	}
	switch (type) {
	case MR_ETHERTYPE_ARP: return MR_STEER_ALL;
	case MR_ETHERTYPE_IP4: return of_ip4(s, frame + at, bytes - at);
	case MR_ETHERTYPE_IP6: return of_ip6(s, frame + at, bytes - at);
	default: return 0;
	}
}

// The place of worker `w` in the order in which queues are given out: first those of the device's
// node, in their own order.
static uint16_t rank_of(const struct mr_queue_share *shares, uint16_t w, uint16_t near_count)
{
	uint16_t before = 0;

	for (uint16_t i = 0; i < w; i++)
		before = (uint16_t)(before + (shares[i].is_remote == shares[w].is_remote));
	return shares[w].is_remote ? (uint16_t)(near_count + before) : before;
}

void mr_queue_plan_make(const struct mr_queue_device *d, const struct mr_queue_place *places,
	uint16_t workers, struct mr_queue_share *shares, struct mr_queue_plan *out)
{
	uint16_t near_count = 0;

	*out = (struct mr_queue_plan){
		.rx_queues = MR_MAX(MR_MIN(d->rx_queues_max, workers), 1),
		.tx_queues = MR_MAX(MR_MIN(d->tx_queues_max, workers), 1),
	};
	for (uint16_t w = 0; w < workers; w++) {
		int node = places[w].node;
		bool remote = d->node >= 0 && node >= 0 && node != d->node;

		shares[w] = (struct mr_queue_share){
			.node = d->node >= 0 ? d->node : node,
			.ring_node = node,
			.is_remote = remote,
		};
		out->remotes = (uint16_t)(out->remotes + remote);
		near_count = (uint16_t)(near_count + !remote);
	}
	for (uint16_t w = 0; w < workers; w++) {
		uint16_t rank = rank_of(shares, w, near_count);

		shares[w].rx_queue = (uint16_t)(rank % out->rx_queues);
		shares[w].tx_queue = (uint16_t)(rank % out->tx_queues);
		shares[w].rx_shared = workers > out->rx_queues;
		shares[w].tx_shared = workers > out->tx_queues;
	}
	out->steers = workers > 1;
}
