// ARP over Ethernet for IPv4: RFC 826, conflicts after RFC 5227.
#include "dataplane/tcpip/stack_int.h"

#define DEFEND_NS (10 * MR_NS_PER_S) // DEFEND_INTERVAL of RFC 5227

enum { ARP_BYTES = 28, ARP_REQUEST = 1, ARP_REPLY = 2 };

static const struct mr_mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const struct mr_mac nobody_mac;

struct arp {
	uint16_t op;
	struct mr_mac sender_mac;
	struct mr_ip sender, target;
};

static void arp_send(struct mr_stack *s, uint16_t op, struct mr_mac to, const struct mr_ip *sender,
	struct mr_mac target_mac, const struct mr_ip *target)
{
	struct mr_frame f;
	uint8_t *p;

	if (!mr_eth_begin(s, to, MR_ETHERTYPE_ARP, ARP_BYTES, &f, &p))
		return;
	mr_store_be16(p, 1); // Ethernet
	mr_store_be16(p + 2, MR_ETHERTYPE_IP4);
	p[4] = 6;
	p[5] = 4;
	mr_store_be16(p + 6, op);
	memcpy(p + 8, s->mac.b, 6);
	memcpy(p + 14, sender->b + 12, 4);
	memcpy(p + 18, target_mac.b, 6);
	memcpy(p + 24, target->b + 12, 4);
	MR_COUNT(s, arp_out);
	mr_eth_send(s, &f);
}

// Our address on the link of `hop`; any other of ours when there is none.
static const struct mr_local *sender_for(const struct mr_stack *s, const struct mr_ip *hop)
{
	const struct mr_local *any = NULL;

	for (uint32_t i = 0; i < s->locals_count; i++) {
		const struct mr_local *l = &s->locals[i];

		if (!l->v4)
			continue;
		if (mr_ip_in_prefix(hop, &l->ip, l->prefix))
			return l;
		any = any ? any : l;
	}
	return any;
}

void mr_arp_ask(struct mr_stack *s, const struct mr_ip *hop, const struct mr_mac *direct)
{
	const struct mr_local *l = sender_for(s, hop);

	if (l)
		arp_send(s, ARP_REQUEST, direct ? *direct : broadcast, &l->ip, nobody_mac, hop);
}

void mr_arp_probe(struct mr_stack *s, const struct mr_ip *ip)
{
	struct mr_ip nobody = mr_ip4(0);

	arp_send(s, ARP_REQUEST, broadcast, &nobody, nobody_mac, ip);
}

void mr_arp_announce(struct mr_stack *s, const struct mr_ip *ip)
{
	arp_send(s, ARP_REQUEST, broadcast, ip, nobody_mac, ip);
}

// Somebody else uses an address of ours: told to the operator by mr_stack_time, and defended once
// in ten seconds (RFC 5227 2.4 (b)), so that two that defend do not storm.
void mr_stack_conflict(struct mr_stack *s, const struct mr_ip *ip, struct mr_mac mac)
{
	MR_COUNT(s, arp_conflict);
	s->conflict_ip = *ip;
	s->conflict_mac = mac;
	s->conflicts_untold++;
}

static bool arp_parse(const struct mr_stack_rx *rx, struct arp *a)
{
	struct mr_reader r = mr_reader(mr_span(rx->l3, rx->l3_bytes));
	uint16_t hardware = mr_read_be16(&r), protocol = mr_read_be16(&r);
	uint16_t sizes = mr_read_be16(&r);
	const uint8_t *p;

	a->op = mr_read_be16(&r);
	p = mr_read_bytes(&r, ARP_BYTES - 8);
	if (!p || hardware != 1 || protocol != MR_ETHERTYPE_IP4 || sizes != 0x0604)
		return false;
	memcpy(a->sender_mac.b, p, 6);
	a->sender = mr_ip4(mr_load_be32(p + 6));
	a->target = mr_ip4(mr_load_be32(p + 16));
	return a->op == ARP_REQUEST || a->op == ARP_REPLY;
}

static bool on_link(const struct mr_stack *s, const struct mr_ip *ip)
{
	struct mr_ip hop;

	return mr_ip_next_hop(s, ip, &hop) && mr_ip_eq(&hop, ip);
}

void mr_arp_input(struct mr_stack *s, const struct mr_stack_rx *rx)
{
	const struct mr_local *ours, *target;
	struct arp a;

	if (!arp_parse(rx, &a)) {
		MR_COUNT(s, bad_frame);
		return;
	}
	MR_COUNT(s, arp_in);
	ours = mr_ip_local(s, &a.sender);
	target = mr_ip_local(s, &a.target);
	if (ours) {
		mr_stack_conflict(s, &a.sender, a.sender_mac);
		if (!(rx->flags & MR_FRAME_LEARN) && s->now_ns - s->defend_ns >= DEFEND_NS) {
			s->defend_ns = s->now_ns;
			mr_arp_announce(s, &a.sender);
		}
		return;
	}
	// RFC 826: what is known is brought up to date by any packet; a new entry is made only for
	// one that speaks to us. A probe (sender 0.0.0.0) tells nothing.
	if (!mr_ip_is_martian_source(&a.sender) && on_link(s, &a.sender))
		mr_neigh_learn(s, &a.sender, a.sender_mac, target && a.op == ARP_REQUEST,
			a.op == ARP_REPLY && rx->unicast, true);
	if (target && a.op == ARP_REQUEST && !(rx->flags & MR_FRAME_LEARN) &&
		!(a.sender_mac.b[0] & 1))
		arp_send(s, ARP_REPLY, a.sender_mac, &a.target, a.sender_mac, &a.sender);
}
