// Building and taking apart of frames for tests.
#include "tests/lib/netpkt.h"

static uint32_t add_words(uint32_t sum, const uint8_t *p, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i += 2) {
		sum += (uint32_t)p[i] << 8 | (i + 1 < bytes ? p[i + 1] : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

uint16_t netpkt_sum(const struct netpkt *p, const uint8_t *l4, uint32_t bytes)
{
	uint8_t tail[4] = {0, p->protocol, (uint8_t)(bytes >> 8), (uint8_t)bytes};
	bool v4 = p->ethertype == MR_ETHERTYPE_IP4;
	uint32_t sum = 0;

	if (p->protocol != MR_IP_ICMP) {
		sum = add_words(sum, p->src.b + (v4 ? 12 : 0), v4 ? 4 : 16);
		sum = add_words(sum, p->dst.b + (v4 ? 12 : 0), v4 ? 4 : 16);
		sum = add_words(sum, tail, 4);
	}
	return (uint16_t)~add_words(sum, l4, bytes);
}

static int sum_offset(const struct netpkt *p)
{
	switch (p->protocol) {
	case MR_IP_TCP: return 16;
	case MR_IP_UDP: return 6;
	case MR_IP_ICMP:
	case MR_IP_ICMP6: return 2;
	default: return -1;
	}
}

struct netpkt netpkt_ip(struct mr_mac eth_src, struct mr_mac eth_dst, const struct mr_ip *src,
	const struct mr_ip *dst, uint8_t protocol)
{
	return (struct netpkt){.eth_src = eth_src,
		.eth_dst = eth_dst,
		.src = *src,
		.dst = *dst,
		.protocol = protocol,
		.ethertype = mr_ip_is_v4(src) ? MR_ETHERTYPE_IP4 : MR_ETHERTYPE_IP6};
}

bool netpkt_put(struct mr_port *port, const uint8_t *frame, uint32_t bytes)
{
	struct mr_frame f;

	if (mr_port_tx_alloc(port, &f, 1) != 1)
		return false;
	memcpy(f.data, frame, bytes);
	f.bytes = bytes;
	f.flags = 0;
	mr_port_tx(port, &f, 1);
	return true;
}

static uint32_t eth_header(uint8_t *out, const struct netpkt *p)
{
	uint32_t at = 12;

	memcpy(out, p->eth_dst.b, 6);
	memcpy(out + 6, p->eth_src.b, 6);
	if (p->vlan) {
		mr_store_be16(out + at, MR_ETHERTYPE_VLAN);
		mr_store_be16(out + at + 2, p->vlan);
		at += 4;
	}
	mr_store_be16(out + at, p->ethertype);
	return at + 2;
}

static uint32_t ip_header(uint8_t *h, const struct netpkt *p)
{
	uint8_t hops = p->hop_limit ? p->hop_limit : 64;

	if (p->ethertype == MR_ETHERTYPE_IP4) {
		memset(h, 0, 20);
		h[0] = 0x45;
		h[1] = p->traffic_class;
		mr_store_be16(h + 2, (uint16_t)(20 + p->l4_bytes));
		mr_store_be16(h + 4, 0x1234);
		h[8] = hops;
		h[9] = p->protocol;
		memcpy(h + 12, p->src.b + 12, 4);
		memcpy(h + 16, p->dst.b + 12, 4);
		mr_store_be16(h + 10, (uint16_t)~add_words(0, h, 20));
		return 20;
	}
	memset(h, 0, 40);
	h[0] = (uint8_t)(0x60 | p->traffic_class >> 4);
	h[1] = (uint8_t)(p->traffic_class << 4);
	mr_store_be16(h + 4, (uint16_t)(p->ext_bytes + p->l4_bytes));
	h[6] = p->ext_bytes ? p->ext_first : p->protocol;
	h[7] = hops;
	memcpy(h + 8, p->src.b, 16);
	memcpy(h + 24, p->dst.b, 16);
	if (p->ext_bytes)
		memcpy(h + 40, p->ext, p->ext_bytes);
	return 40 + p->ext_bytes;
}

uint32_t netpkt_build(uint8_t *out, const struct netpkt *p)
{
	uint32_t at = eth_header(out, p);
	int offset = sum_offset(p);

	if (p->ethertype == MR_ETHERTYPE_IP4 || p->ethertype == MR_ETHERTYPE_IP6)
		at += ip_header(out + at, p);
	else
		offset = -1;
	MR_ASSERT(at + p->l4_bytes <= NETPKT_MAX);
	if (p->l4_bytes)
		memcpy(out + at, p->l4, p->l4_bytes);
	if (offset >= 0 && (uint32_t)offset + 2 <= p->l4_bytes) {
		mr_store_be16(out + at + offset, 0);
		mr_store_be16(out + at + offset, netpkt_sum(p, out + at, p->l4_bytes));
	}
	return at + p->l4_bytes;
}

uint32_t netpkt_tcp(uint8_t *l4, const struct netpkt_tcp *t)
{
	uint32_t header = 20 + t->options_bytes;

	mr_store_be16(l4, t->src_port);
	mr_store_be16(l4 + 2, t->dst_port);
	mr_store_be32(l4 + 4, t->seq);
	mr_store_be32(l4 + 8, t->ack);
	l4[12] = (uint8_t)(header / 4 << 4);
	l4[13] = t->flags;
	mr_store_be16(l4 + 14, t->window);
	mr_store_be16(l4 + 16, 0);
	mr_store_be16(l4 + 18, t->urgent);
	if (t->options_bytes)
		memcpy(l4 + 20, t->options, t->options_bytes);
	if (t->payload_bytes)
		memcpy(l4 + header, t->payload, t->payload_bytes);
	return header + t->payload_bytes;
}

uint32_t netpkt_arp(uint8_t *out, struct mr_mac eth_src, struct mr_mac eth_dst, uint16_t op,
	struct mr_mac sha, uint32_t spa, struct mr_mac tha, uint32_t tpa)
{
	uint8_t body[28] = {0, 1, 8, 0, 6, 4};
	struct netpkt p = {.eth_src = eth_src,
		.eth_dst = eth_dst,
		.ethertype = MR_ETHERTYPE_ARP,
		.l4 = body,
		.l4_bytes = 28};

	mr_store_be16(body + 6, op);
	memcpy(body + 8, sha.b, 6);
	mr_store_be32(body + 14, spa);
	memcpy(body + 18, tha.b, 6);
	mr_store_be32(body + 24, tpa);
	return netpkt_build(out, &p);
}

enum { ND_SOLICITATION = 135, ND_ADVERTISEMENT = 136, ARP_REQUEST = 1, ARP_REPLY = 2 };

// RFC 4861 sections 4.3 and 4.4: about a target, with the sender's address on the link.
static uint32_t nd(uint8_t *out, const struct netpkt *head, const struct mr_ip *target, bool ask)
{
	uint8_t l4[32] = {ask ? ND_SOLICITATION : ND_ADVERTISEMENT,
		[4] = ask ? 0 : 0x60, // solicited, overrides
		[24] = ask ? 1 : 2,   // the source's address, the target's
		[25] = 1};
	struct netpkt p = *head;

	memcpy(l4 + 8, target->b, sizeof(target->b));
	memcpy(l4 + 26, p.eth_src.b, sizeof(p.eth_src.b));
	p.hop_limit = 255;
	p.l4 = l4;
	p.l4_bytes = sizeof(l4);
	return netpkt_build(out, &p);
}

uint32_t netpkt_ask(uint8_t *out, struct mr_mac eth_src, struct mr_mac eth_dst,
	const struct mr_ip *src, const struct mr_ip *dst)
{
	const struct netpkt p = netpkt_ip(eth_src, eth_dst, src, dst, MR_IP_ICMP6);

	if (mr_ip_is_v4(src))
		return netpkt_arp(out, eth_src, eth_dst, ARP_REQUEST, eth_src,
			mr_load_be32(src->b + 12), (struct mr_mac){{0}}, mr_load_be32(dst->b + 12));
	return nd(out, &p, dst, true);
}

uint32_t netpkt_answer(uint8_t *out, struct mr_mac eth_src, struct mr_mac eth_dst,
	const struct mr_ip *src, const struct mr_ip *dst)
{
	const struct netpkt p = netpkt_ip(eth_src, eth_dst, src, dst, MR_IP_ICMP6);

	if (mr_ip_is_v4(src))
		return netpkt_arp(out, eth_src, eth_dst, ARP_REPLY, eth_src,
			mr_load_be32(src->b + 12), eth_dst, mr_load_be32(dst->b + 12));
	return nd(out, &p, src, false);
}

bool netpkt_asks(const struct netpkt *p, const struct mr_ip *ip)
{
	if (mr_ip_is_v4(ip))
		return p->ethertype == MR_ETHERTYPE_ARP && mr_load_be16(p->l4 + 6) == ARP_REQUEST &&
		       memcmp(p->l4 + 24, ip->b + 12, 4) == 0;
	return p->protocol == MR_IP_ICMP6 && p->l4[0] == ND_SOLICITATION &&
	       memcmp(p->l4 + 8, ip->b, sizeof(ip->b)) == 0;
}

static bool say(const char **why, const char *what)
{
	*why = what;
	return false;
}

static bool parse4(struct mr_reader *r, bool sums, struct netpkt *p, const char **why)
{
	const uint8_t *h = mr_read_bytes(r, 20);

	if (!h || h[0] != 0x45)
		return say(why, "IPv4 header");
	if (sums && (uint16_t)~add_words(0, h, 20) != 0)
		return say(why, "IPv4 checksum");
	p->traffic_class = h[1];
	p->hop_limit = h[8];
	p->protocol = h[9];
	p->src = mr_ip4(mr_load_be32(h + 12));
	p->dst = mr_ip4(mr_load_be32(h + 16));
	p->l4_bytes = mr_load_be16(h + 2) - 20u;
	p->l4 = mr_read_bytes(r, p->l4_bytes);
	return p->l4 ? true : say(why, "IPv4 total length");
}

static bool parse6(struct mr_reader *r, struct netpkt *p, const char **why)
{
	const uint8_t *h = mr_read_bytes(r, 40);
	uint32_t payload;

	if (!h || h[0] >> 4 != 6)
		return say(why, "IPv6 header");
	p->traffic_class = (uint8_t)(h[0] << 4 | h[1] >> 4);
	p->hop_limit = h[7];
	p->protocol = h[6];
	memcpy(p->src.b, h + 8, 16);
	memcpy(p->dst.b, h + 24, 16);
	payload = mr_load_be16(h + 4);
	p->l4 = mr_read_bytes(r, payload);
	p->l4_bytes = payload;
	if (!p->l4)
		return say(why, "IPv6 payload length");
	if (p->protocol == 0 && payload >= 8) { // hop by hop, as MLD has it
		p->protocol = p->l4[0];
		p->ext = p->l4;
		p->ext_bytes = 8u + p->l4[1] * 8u;
		if (p->ext_bytes > payload)
			return say(why, "IPv6 hop by hop");
		p->l4 += p->ext_bytes;
		p->l4_bytes -= p->ext_bytes;
	}
	return true;
}

bool netpkt_parse(
	const uint8_t *frame, uint32_t bytes, bool sums, struct netpkt *p, const char **why)
{
	struct mr_reader r = mr_reader(mr_span(frame, bytes));
	int offset;

	*why = "";
	*p = (struct netpkt){0};
	if (bytes < 14)
		return say(why, "short frame");
	memcpy(p->eth_dst.b, mr_read_bytes(&r, 6), 6);
	memcpy(p->eth_src.b, mr_read_bytes(&r, 6), 6);
	p->ethertype = mr_read_be16(&r);
	if (p->ethertype == MR_ETHERTYPE_VLAN) {
		p->vlan = mr_read_be16(&r);
		p->ethertype = mr_read_be16(&r);
	}
	p->l4 = r.at;
	p->l4_bytes = (uint32_t)mr_read_left(&r);
	if (p->ethertype == MR_ETHERTYPE_IP4 && !parse4(&r, sums, p, why))
		return false;
	if (p->ethertype == MR_ETHERTYPE_IP6 && !parse6(&r, p, why))
		return false;
	offset = p->ethertype == MR_ETHERTYPE_ARP ? -1 : sum_offset(p);
	if (sums && offset >= 0 && netpkt_sum(p, p->l4, p->l4_bytes) != 0)
		return say(why, "checksum above IP");
	return true;
}

bool netpkt_parse_tcp(const struct netpkt *p, struct netpkt_tcp *t)
{
	uint32_t header;

	if (p->protocol != MR_IP_TCP || p->l4_bytes < 20)
		return false;
	header = (p->l4[12] >> 4) * 4u;
	if (header < 20 || header > p->l4_bytes)
		return false;
	*t = (struct netpkt_tcp){
		.src_port = mr_load_be16(p->l4),
		.dst_port = mr_load_be16(p->l4 + 2),
		.seq = mr_load_be32(p->l4 + 4),
		.ack = mr_load_be32(p->l4 + 8),
		.flags = p->l4[13],
		.window = mr_load_be16(p->l4 + 14),
		.urgent = mr_load_be16(p->l4 + 18),
		.options = p->l4 + 20,
		.options_bytes = header - 20,
		.payload = p->l4 + header,
		.payload_bytes = p->l4_bytes - header,
	};
	return true;
}
