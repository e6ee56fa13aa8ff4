// Ethernet and the 802.1Q tag, in software: what is ours goes up, what is to be sent goes out in
// bursts.
#include "dataplane/tcpip/stack_int.h"

#include "dataplane/tcpip/pcapng.h"

static const struct mr_mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// Whether frames to this MAC are for us. Fills rx->unicast.
static bool accepts(const struct mr_stack *s, const uint8_t *dst, struct mr_stack_rx *rx)
{
	struct mr_mac mac;

	memcpy(mac.b, dst, sizeof(mac.b));
	rx->unicast = mr_mac_eq(mac, s->mac);
	return rx->unicast || mr_mac_eq(mac, broadcast) || mr_nd_joined(s, mac);
}

// Strips the tag. A tag of VLAN 0 carries only a priority (802.1Q 9.6). False: another VLAN's.
static bool strip_vlan(const struct mr_stack *s, struct mr_reader *r, uint16_t *type)
{
	uint16_t vlan = 0;

	if (*type == MR_ETHERTYPE_VLAN) {
		vlan = mr_read_be16(r) & 0xfff;
		*type = mr_read_be16(r);
	}
	return vlan == s->vlan || (vlan == 0 && r->bad);
}

static void dispatch(struct mr_stack *s, struct mr_stack_rx *rx, uint16_t type)
{
	switch (type) {
	case MR_ETHERTYPE_IP4: mr_ip4_input(s, rx); return;
	case MR_ETHERTYPE_IP6: mr_ip6_input(s, rx); return;
	case MR_ETHERTYPE_ARP: mr_arp_input(s, rx); return;
	default: MR_COUNT(s, unknown_ethertype);
	}
}

void mr_eth_input(struct mr_stack *s, const struct mr_frame *f)
{
	struct mr_reader r = mr_reader(mr_span(f->data, f->bytes));
	struct mr_stack_rx rx = {.frame = f->data, .flags = f->flags};
	const uint8_t *dst = mr_read_bytes(&r, 6), *src = mr_read_bytes(&r, 6);
	uint16_t type = mr_read_be16(&r);

	MR_COUNT(s, frames_in);
	if (r.bad || f->flags & (MR_FRAME_SUM_BAD | MR_FRAME_CUT)) {
		if (f->flags & MR_FRAME_SUM_BAD)
			MR_COUNT(s, bad_tcp_sum);
		else
			MR_COUNT(s, bad_frame);
		return;
	}
	memcpy(rx.src_mac.b, src, sizeof(rx.src_mac.b));
	// Packet sockets also show what was sent.
	if (mr_mac_eq(rx.src_mac, s->mac)) {
		MR_COUNT(s, own_frames);
		return;
	}
	// A group is never a sender (802.3 3.2.3).
	if (src[0] & 1 || !accepts(s, dst, &rx) || !strip_vlan(s, &r, &type)) {
		MR_COUNT(s, not_ours);
		return;
	}
	if (r.bad) {
		MR_COUNT(s, bad_frame);
		return;
	}
	rx.l3 = r.at;
	rx.l3_bytes = (uint32_t)mr_read_left(&r);
	dispatch(s, &rx, type);
}

// ---- sending

bool mr_eth_take(struct mr_stack *s, struct mr_frame *out)
{
	if (s->free_count == 0) {
		s->free_count = mr_port_tx_alloc(s->port, s->free, MR_PORT_BURST);
		if (s->free_count == 0)
			return false;
	}
	*out = s->free[--s->free_count];
	return true;
}

void mr_eth_give_back(struct mr_stack *s, const struct mr_frame *f)
{
	struct mr_frame back = *f;

	if (s->free_count < MR_PORT_BURST) {
		s->free[s->free_count++] = back;
		return;
	}
	back.bytes = 0;
	mr_port_tx(s->port, &back, 1);
}

void mr_eth_header(const struct mr_stack *s, uint8_t *at, struct mr_mac dst, uint16_t ethertype)
{
	memcpy(at, dst.b, sizeof(dst.b));
	memcpy(at + 6, s->mac.b, sizeof(s->mac.b));
	at += 12;
	if (s->vlan) {
		mr_store_be16(at, MR_ETHERTYPE_VLAN);
		mr_store_be16(at + 2, s->vlan);
		at += MR_VLAN_BYTES;
	}
	mr_store_be16(at, ethertype);
}

bool mr_eth_begin(struct mr_stack *s, struct mr_mac dst, uint16_t ethertype, uint32_t bytes,
	struct mr_frame *out, uint8_t **payload)
{
	if (bytes > s->mtu || s->l2_bytes + bytes > s->port->frame_bytes_max)
		return false;
	if (!mr_eth_take(s, out))
		return false;
	out->flags = 0;
	out->l2_bytes = s->l2_bytes;
	out->l3_bytes = out->l4_bytes = out->mss = 0;
	out->bytes = s->l2_bytes + bytes;
	mr_eth_header(s, out->data, dst, ethertype);
	*payload = out->data + s->l2_bytes;
	return true;
}

void mr_eth_send(struct mr_stack *s, const struct mr_frame *f)
{
	s->ready[s->ready_count++] = *f;
	MR_COUNT(s, frames_out);
	if (s->capture)
		mr_capture_frame(s->capture, s->now_ns, f->data, f->bytes, true);
	if (s->ready_count == MR_PORT_BURST)
		mr_eth_flush(s);
}

void mr_eth_flush(struct mr_stack *s)
{
	if (s->ready_count > 0)
		mr_port_tx(s->port, s->ready, s->ready_count);
	s->ready_count = 0;
}

void mr_eth_return_all(struct mr_stack *s)
{
	mr_eth_flush(s);
	for (int i = 0; i < s->free_count; i++)
		s->free[i].bytes = 0;
	if (s->free_count > 0)
		mr_port_tx(s->port, s->free, s->free_count);
	s->free_count = 0;
}
