// The stack below TCP: what IPv4, IPv6, ICMP, ND and MLD take, refuse and answer.
#include "tests/lib/stack_rig.h"

// ---- IPv4

static void ip4_checks_every_length(void **)
{
	static struct net n;
	uint8_t good[NETPKT_MAX], frame[NETPKT_MAX];
	uint32_t bytes;

	net_ready(&n, net_options());
	bytes = net_tcp_frame(&n, "10.0.0.2", "10.0.0.1", good);
	memcpy(frame, good, bytes);
	frame[14] = 0x44; // header of 16 bytes
	net_put(&n, frame, bytes);
	frame[14] = 0x65; // version 6
	net_put(&n, frame, bytes);
	frame[14] = 0x45;
	mr_store_be16(frame + 16, 19); // total less than its header
	net_put(&n, frame, bytes);
	mr_store_be16(frame + 16, 1000); // more than the frame: a super-frame that was cut
	net_put(&n, frame, bytes);
	assert_int_equal(value(&n.c->bad_frame), 4);
	memcpy(frame, good, bytes);
	frame[22]--; // TTL: the header's checksum is wrong now
	net_put(&n, frame, bytes);
	assert_int_equal(value(&n.c->bad_ip_sum), 1);
	assert_int_equal(n.tcp->inputs, 0);
	net_close(&n);
}

static void net_put_ip4(struct net *n, uint8_t *frame, uint32_t bytes)
{
	mr_store_be16(frame + 24, 0);
	mr_store_be16(frame + 24, mr_inet_fold(mr_inet_sum(0, frame + 14, (frame[14] & 15) * 4u)));
	net_put(n, frame, bytes);
}

static void ip4_drops_options_and_fragments(void **)
{
	static struct net n;
	uint8_t good[NETPKT_MAX], frame[NETPKT_MAX];
	uint32_t bytes;

	net_ready(&n, net_options());
	bytes = net_tcp_frame(&n, "10.0.0.2", "10.0.0.1", good);
	memcpy(frame, good, bytes);
	frame[14] = 0x46;
	net_put_ip4(&n, frame, bytes);
	assert_int_equal(value(&n.c->ip_options), 1);
	frame[14] = 0x45;
	mr_store_be16(frame + 20, 0x2000); // more fragments
	net_put_ip4(&n, frame, bytes);
	mr_store_be16(frame + 20, 0x0001); // at an offset
	net_put_ip4(&n, frame, bytes);
	assert_int_equal(value(&n.c->fragments), 2);
	mr_store_be16(frame + 20, 0x4000); // may not be fragmented: a whole one
	net_put_ip4(&n, frame, bytes);
	assert_int_equal(n.tcp->inputs, 1);
	net_close(&n);
}

static void ip4_drops_martians_and_land(void **)
{
	static const char *const martians[] = {
		"0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255"};
	static struct net n;
	struct netpkt_tcp t = {.src_port = 9092, .dst_port = 9092, .flags = NP_SYN};
	uint8_t frame[NETPKT_MAX], l4[64];
	struct netpkt p;

	net_ready(&n, net_options());
	for (size_t i = 0; i < 4; i++) {
		uint32_t bytes = net_tcp_frame(&n, martians[i], "10.0.0.1", frame);

		net_put(&n, frame, bytes);
	}
	assert_int_equal(value(&n.c->martians), 4);
	p = net_packet("10.0.0.1", "10.0.0.1", MR_IP_TCP);
	p.l4_bytes = netpkt_tcp(l4, &t);
	p.l4 = l4;
	net_put(&n, frame, netpkt_build(frame, &p));
	assert_int_equal(value(&n.c->land), 1);
	net_put(&n, frame, net_tcp_frame(&n, "10.0.0.2", "10.0.0.77", frame));
	assert_int_equal(value(&n.c->not_ours), 1);
	p = net_packet("10.0.0.2", "10.0.0.1", MR_IP_UDP);
	p.l4_bytes = 20;
	p.l4 = l4;
	net_put(&n, frame, netpkt_build(frame, &p));
	assert_int_equal(value(&n.c->unknown_protocol), 1);
	assert_int_equal(n.tcp->inputs, 0);
	assert_int_equal(n.seen_count, 0);
	net_close(&n);
}

static void tcp_sum_is_verified_and_partial_ones_are_told_apart(void **)
{
	static const char *const pairs[][2] = {{"10.0.0.2", "10.0.0.1"}, {"fd00::2", "fd00::1"}};
	static struct net n;
	uint8_t frame[NETPKT_MAX];

	net_ready(&n, net_options());
	for (size_t i = 0; i < 2; i++) {
		uint32_t bytes = net_tcp_frame(&n, pairs[i][0], pairs[i][1], frame);

		frame[bytes - 1] ^= 1;
		net_put(&n, frame, bytes);
		assert_int_equal(value(&n.c->bad_tcp_sum), 2 * i + 1);
		assert_int_equal(value(&n.c->bad_partial_sum), i);
		frame[bytes - 1] ^= 1;
		mr_sim_way(n.sim, 1)->partial_sums = true;
		net_put(&n, frame, bytes);
		mr_sim_way(n.sim, 1)->partial_sums = false;
		assert_int_equal(value(&n.c->bad_tcp_sum), 2 * i + 2);
		assert_int_equal(value(&n.c->bad_partial_sum), i + 1);
	}
	assert_int_equal(n.tcp->inputs, 0);
	net_close(&n);
}

static void flags_of_the_port_are_obeyed(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX];
	uint32_t bytes;
	struct mr_frame f = {.data = frame};

	net_ready(&n, net_options());
	bytes = net_tcp_frame(&n, "10.0.0.2", "10.0.0.1", frame);
	f.bytes = bytes;
	frame[bytes - 1] ^= 1; // wrong, but the port has verified it
	f.flags = MR_FRAME_L3_GOOD | MR_FRAME_L4_GOOD;
	mr_stack_input(n.stack, &f, 1);
	assert_int_equal(n.tcp->inputs, 1);
	f.flags = MR_FRAME_SUM_BAD;
	mr_stack_input(n.stack, &f, 1);
	f.flags = MR_FRAME_CUT;
	mr_stack_input(n.stack, &f, 1);
	assert_int_equal(n.tcp->inputs, 1);
	assert_int_equal(value(&n.c->bad_tcp_sum), 1);
	assert_int_equal(value(&n.c->bad_frame), 1);
	net_close(&n);
}

static void super_frame_is_one_segment(void **)
{
	static struct net n;
	static uint8_t frame[NETPKT_MAX], l4[9000], payload[8000];
	struct netpkt_tcp t = {
		.src_port = 1, .dst_port = 2, .payload = payload, .payload_bytes = sizeof(payload)};
	struct netpkt p;
	struct mr_frame f = {.data = frame};

	net_ready(&n, net_options());
	p = net_packet("10.0.0.2", "10.0.0.1", MR_IP_TCP);
	p.l4_bytes = netpkt_tcp(l4, &t);
	p.l4 = l4;
	f.bytes = netpkt_build(frame, &p);
	mr_stack_input(n.stack, &f, 1);
	assert_int_equal(n.tcp->inputs, 1);
	assert_int_equal(n.tcp->last.bytes, 8020);
	net_close(&n);
}

// ---- IPv6

static void put_ext(struct net *n, uint8_t first, const uint8_t *ext, uint32_t ext_bytes)
{
	struct netpkt_tcp t = {.src_port = 1000, .dst_port = 9092, .flags = NP_ACK};
	struct netpkt p = net_packet("fd00::2", "fd00::1", MR_IP_TCP);
	uint8_t frame[NETPKT_MAX], l4[64];

	p.l4_bytes = netpkt_tcp(l4, &t);
	p.l4 = l4;
	p.ext_first = first;
	p.ext = ext;
	p.ext_bytes = ext_bytes;
	net_put(n, frame, netpkt_build(frame, &p));
}

static void ip6_passes_over_harmless_extension_headers(void **)
{
	static const uint8_t hop[8] = {MR_IP_TCP, 0, 1, 4};
	static const uint8_t two[16] = {60, 0, 1, 4, 0, 0, 0, 0, MR_IP_TCP, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t atomic[8] = {MR_IP_TCP};
	static const uint8_t routed[8] = {MR_IP_TCP, 0, 0, 0};
	static struct net n;

	net_ready(&n, net_options());
	put_ext(&n, 0, hop, 8);
	put_ext(&n, 60, hop, 8);
	put_ext(&n, 0, two, 16);
	put_ext(&n, 44, atomic, 8);
	put_ext(&n, 43, routed, 8);
	assert_int_equal(n.tcp->inputs, 5);
	assert_int_equal(n.tcp->last.bytes, 20);
	net_close(&n);
}

static void ip6_drops_bad_chains(void **)
{
	static const uint8_t drop_me[8] = {MR_IP_TCP, 0, 0x5e, 4};   // action: discard
	static const uint8_t long_option[8] = {MR_IP_TCP, 0, 1, 99}; // past its end
	static const uint8_t route_left[8] = {MR_IP_TCP, 0, 0, 1};
	static const uint8_t fragment[8] = {MR_IP_TCP, 0, 0, 1};
	static const uint8_t beyond[8] = {MR_IP_TCP, 200};
	static const uint8_t hop_second[16] = {0, 0, 1, 4, 0, 0, 0, 0, MR_IP_TCP, 0, 1, 4};
	uint8_t endless[80] = {0};
	static struct net n;

	net_ready(&n, net_options());
	put_ext(&n, 60, drop_me, 8);
	put_ext(&n, 60, long_option, 8);
	put_ext(&n, 43, route_left, 8);
	put_ext(&n, 60, hop_second, 16);
	for (int i = 0; i < 10; i++)
		memcpy(endless + 8 * i, (uint8_t[]){i < 9 ? 60 : MR_IP_TCP, 0, 1, 4}, 4);
	put_ext(&n, 60, endless, 80);
	assert_int_equal(value(&n.c->ip_options), 5);
	put_ext(&n, 44, fragment, 8);
	assert_int_equal(value(&n.c->fragments), 1);
	put_ext(&n, 60, beyond, 8);
	assert_int_equal(value(&n.c->bad_frame), 1);
	assert_int_equal(n.tcp->inputs, 0);
	net_close(&n);
}

static void mapped_address_on_the_wire_is_a_martian(void **)
{
	static struct net n;
	struct netpkt_tcp t = {.src_port = 1, .dst_port = 2};
	uint8_t frame[NETPKT_MAX], l4[64];
	struct netpkt p;

	net_ready(&n, net_options());
	p = net_packet("fd00::2", "fd00::1", MR_IP_TCP);
	p.src = ip("10.0.0.2");
	p.l4_bytes = netpkt_tcp(l4, &t);
	p.l4 = l4;
	net_put(&n, frame, netpkt_build(frame, &p));
	assert_int_equal(value(&n.c->martians), 1);
	assert_int_equal(n.tcp->inputs, 0);
	net_close(&n);
}

// ---- ICMP

static void put_echo(struct net *n, bool v6, uint32_t bytes)
{
	uint8_t frame[NETPKT_MAX], l4[2000] = {v6 ? 128 : 8, 0, 0, 0, 0x12, 0x34, 0, 1};
	struct netpkt p = v6 ? net_packet("fd00::2", "fd00::1", MR_IP_ICMP6)
			     : net_packet("10.0.0.2", "10.0.0.1", MR_IP_ICMP);

	for (uint32_t i = 8; i < bytes; i++)
		l4[i] = (uint8_t)i;
	p.l4 = l4;
	p.l4_bytes = bytes;
	net_put(n, frame, netpkt_build(frame, &p));
}

static void echo_is_answered_in_both_families(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	for (uint32_t bytes = 8; bytes < 1400; bytes += 173) {
		for (int v6 = 0; v6 < 2; v6++) {
			n.seen_count = 0;
			put_echo(&n, v6, bytes);
			assert_int_equal(n.seen_count, 1);
			assert_int_equal(n.seen[0].l4[0], v6 ? 129 : 0);
			assert_int_equal(n.seen[0].l4_bytes, bytes);
			assert_int_equal(mr_load_be16(n.seen[0].l4 + 4), 0x1234);
		}
		net_run(&n, SECOND);
	}
	net_close(&n);
}

static void echo_is_limited(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	for (int i = 0; i < 1000; i++) {
		put_echo(&n, i & 1, 64);
		n.seen_count = 0;
	}
	assert_int_equal(value(&n.c->icmp_out), MR_STACK_ICMP_PER_SECOND);
	assert_int_equal(value(&n.c->icmp_limited), 1000 - MR_STACK_ICMP_PER_SECOND);
	net_run(&n, SECOND / 2);
	for (int i = 0; i < 1000; i++) {
		put_echo(&n, i & 1, 64);
		n.seen_count = 0;
	}
	assert_int_equal(value(&n.c->icmp_out), MR_STACK_ICMP_PER_SECOND * 3 / 2);
	net_close(&n);
}

static void echo_may_be_forbidden(void **)
{
	struct mr_stack_options o = net_options();
	static struct net n;

	o.answer_echo = false;
	net_ready(&n, o);
	put_echo(&n, false, 64);
	assert_int_equal(n.seen_count, 0);
	net_close(&n);
}

static void copies_for_learning_are_not_answered(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX], l4[64] = {8};
	struct netpkt p;
	struct mr_frame f = {.data = frame, .flags = MR_FRAME_LEARN};

	net_ready(&n, net_options());
	p = net_packet("10.0.0.2", "10.0.0.1", MR_IP_ICMP);
	p.l4 = l4;
	p.l4_bytes = 64;
	f.bytes = netpkt_build(frame, &p);
	mr_stack_input(n.stack, &f, 1);
	f.bytes = netpkt_arp(frame, peer_mac, all_mac, 1, peer_mac, 0x0a000002,
		(struct mr_mac){{0}}, 0x0a000001);
	mr_stack_input(n.stack, &f, 1);
	net_run(&n, SECOND);
	assert_int_equal(n.seen_count, 0);
	assert_int_equal(value(&n.c->neighbours), 1); // learnt all the same
	net_close(&n);
}

// An error of `type` and `code` with `rest` that quotes a segment 10.0.0.1:9092 -> 10.0.0.2:1000.
static void put_error(struct net *n, bool v6, uint8_t type, uint8_t code, uint32_t rest,
	const char *quoted_src, uint16_t quoted_total)
{
	uint8_t frame[NETPKT_MAX], quote[NETPKT_MAX], l4[256] = {type, code}, tcp[64];
	struct netpkt_tcp t = {.src_port = 9092, .dst_port = 1000, .seq = 4711};
	struct netpkt q = net_packet(quoted_src, v6 ? "fd00::2" : "10.0.0.2", MR_IP_TCP);
	struct netpkt p = v6 ? net_packet("fd00::fe", "fd00::1", MR_IP_ICMP6)
			     : net_packet("10.0.0.254", "10.0.0.1", MR_IP_ICMP);
	uint32_t bytes;

	q.l4_bytes = netpkt_tcp(tcp, &t);
	q.l4 = tcp;
	bytes = netpkt_build(quote, &q) - 14;
	if (!v6)
		mr_store_be16(quote + 16, quoted_total);
	mr_store_be32(l4 + 4, rest);
	memcpy(l4 + 8, quote + 14, bytes);
	p.l4 = l4;
	p.l4_bytes = 8 + bytes;
	net_put(n, frame, netpkt_build(frame, &p));
}

static void errors_reach_tcp_with_what_they_quote(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	n.tcp->icmp_believe = true;
	put_error(&n, false, 3, 4, 1400, "10.0.0.1", 1500);
	assert_int_equal(n.tcp->icmp_mtu, 1400);
	assert_int_equal(n.tcp->icmp_sequence, 4711);
	assert_false(n.tcp->icmp_hard);
	put_error(&n, false, 3, 4, 0, "10.0.0.1", 1500); // an old router
	assert_int_equal(n.tcp->icmp_mtu, 1492);
	put_error(&n, false, 3, 4, 68, "10.0.0.1", 1500); // a lie
	assert_int_equal(n.tcp->icmp_mtu, MR_IP4_PMTU_MIN);
	assert_int_equal(value(&n.c->pmtu_lowered), 3);
	put_error(&n, false, 3, 3, 0, "10.0.0.1", 1500);
	assert_true(n.tcp->icmp_hard);
	put_error(&n, false, 3, 1, 0, "10.0.0.1", 1500);
	assert_false(n.tcp->icmp_hard);
	put_error(&n, false, 11, 0, 0, "10.0.0.1", 1500);
	assert_int_equal(n.tcp->icmps, 6);
	assert_int_equal(value(&n.c->icmp_unbelieved), 0);
	put_error(&n, false, 3, 4, 1400, "10.0.0.9", 1500); // not from us
	assert_int_equal(n.tcp->icmps, 6);
	n.tcp->icmp_believe = false;
	put_error(&n, false, 3, 4, 1400, "10.0.0.1", 1500);
	assert_int_equal(value(&n.c->icmp_unbelieved), 2);
	net_close(&n);
}

static void errors_of_ip6_reach_tcp(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	n.tcp->icmp_believe = true;
	put_error(&n, true, 2, 0, 1400, "fd00::1", 0);
	assert_int_equal(n.tcp->icmp_mtu, 1400);
	put_error(&n, true, 2, 0, 1279, "fd00::1", 0);
	assert_int_equal(n.tcp->icmps, 1);
	assert_int_equal(value(&n.c->icmp_unbelieved), 1);
	put_error(&n, true, 1, 4, 0, "fd00::1", 0);
	assert_true(n.tcp->icmp_hard);
	put_error(&n, true, 1, 0, 0, "fd00::1", 0);
	assert_false(n.tcp->icmp_hard);
	net_close(&n);
}

static void bad_icmp_sum_is_dropped(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX], l4[64] = {8};
	struct netpkt p;
	uint32_t bytes;

	net_ready(&n, net_options());
	p = net_packet("10.0.0.2", "10.0.0.1", MR_IP_ICMP);
	p.l4 = l4;
	p.l4_bytes = 64;
	bytes = netpkt_build(frame, &p);
	frame[bytes - 1] ^= 4;
	net_put(&n, frame, bytes);
	assert_int_equal(value(&n.c->bad_icmp_sum), 1);
	assert_int_equal(n.seen_count, 0);
	net_close(&n);
}

// ---- ND

// NS or NA: flags of NA, target, and an option with a MAC when `option`.
static void put_nd(struct net *n, uint8_t type, uint8_t flags, const char *src, const char *dst,
	struct mr_mac eth_dst, const char *target, uint8_t option, struct mr_mac mac)
{
	uint8_t frame[NETPKT_MAX], l4[32] = {type, [4] = flags};
	struct netpkt p = net_packet(src, dst, MR_IP_ICMP6);
	struct mr_ip t = ip(target);

	memcpy(l4 + 8, t.b, 16);
	l4[24] = option;
	l4[25] = 1;
	memcpy(l4 + 26, mac.b, 6);
	p.eth_dst = eth_dst;
	p.hop_limit = 255;
	p.l4 = l4;
	p.l4_bytes = option ? 32 : 24;
	net_put(n, frame, netpkt_build(frame, &p));
}

static const struct mr_mac node_1_mac = {{0x33, 0x33, 0xff, 0, 0, 1}};

static void nd_starts_with_detection_and_reports(void **)
{
	static struct net n;
	uint32_t asks = 0, reports = 0, adverts = 0;

	net_open(&n, net_options());
	net_run(&n, 0);
	put_echo(&n, true, 64); // not ours yet
	for (uint32_t i = 0; i < n.seen_count; i++)
		assert_true(n.seen[i].protocol != MR_IP_ICMP6 || n.seen[i].l4[0] != 129);
	net_run(&n, 10 * SECOND);
	for (uint32_t i = 0; i < n.seen_count; i++) {
		if (n.seen[i].ethertype != MR_ETHERTYPE_IP6)
			continue;
		asks += n.seen[i].l4[0] == 135 && n.seen[i].hop_limit == 255 &&
			n.seen[i].src.b[0] == 0; // in nobody's name
		adverts += n.seen[i].l4[0] == 136;
		reports += n.seen[i].l4[0] == 143 && n.seen[i].hop_limit == 1;
		if (n.seen[i].l4[0] == 143) // ff02::1:ff00:1, the group of both of ours
			assert_int_equal(mr_load_be16(n.seen[i].l4 + 6), 1);
	}
	assert_int_equal(asks, 2); // fd00::1 and fe80::…
	assert_int_equal(reports, 2);
	assert_true(adverts >= 2);
	net_close(&n);
}

static void nd_answers_solicitations(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	put_nd(&n, 135, 0, "fd00::2", "ff02::1:ff00:1", node_1_mac, "fd00::1", 1, peer_mac);
	assert_int_equal(n.seen_count, 1);
	assert_int_equal(n.seen[0].l4[0], 136);
	assert_int_equal(n.seen[0].l4[4], 0x60); // solicited, override
	assert_int_equal(n.seen[0].hop_limit, 255);
	assert_memory_equal(n.seen[0].l4 + 26, our_mac.b, 6);
	assert_int_equal(value(&n.c->neighbours), 1);
	// Another host's detection of our address: told to all.
	n.seen_count = 0;
	put_nd(&n, 135, 0, "::", "ff02::1:ff00:1", node_1_mac, "fd00::1", 0, peer_mac);
	assert_int_equal(n.seen_count, 1);
	assert_int_equal(n.seen[0].l4[4], 0x20);
	assert_int_equal(n.seen[0].dst.b[0], 0xff);
	n.seen_count = 0;
	put_nd(&n, 135, 0, "fd00::2", "ff02::1:ff00:1", node_1_mac, "fd00::9:0:1", 1, peer_mac);
	assert_int_equal(n.seen_count, 0);
	net_close(&n);
}

static void nd_resolves_a_peer(void **)
{
	static struct net n;
	struct mr_ip_path path;

	net_ready(&n, net_options());
	path = net_path(&n, "fd00::1", "fd00::2");
	assert_int_equal(net_send(&n, &path, 0), -EHOSTUNREACH);
	net_run(&n, 0);
	assert_int_equal(n.seen[0].l4[0], 135);
	put_nd(&n, 136, 0x60, "fd00::2", "fd00::1", our_mac, "fd00::2", 2, peer_mac);
	assert_int_equal(n.tcp->ready, 1);
	n.seen_count = 0;
	assert_int_equal(net_send(&n, &path, 1440), 0);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	assert_int_equal(n.seen[0].l4_bytes, 1460);
	// Without the override flag another MAC is only a doubt (RFC 4861 7.2.5).
	put_nd(&n, 136, 0, "fd00::2", "fd00::1", our_mac, "fd00::2", 2, other_mac);
	n.seen_count = 0;
	assert_int_equal(net_send(&n, &path, 0), 0);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	net_close(&n);
}

static void nd_refuses_what_has_crossed_a_router(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX], l4[32] = {135, [24] = 1, [25] = 1};
	struct netpkt p;
	struct mr_ip target = ip("fd00::1");

	net_ready(&n, net_options());
	memcpy(l4 + 8, target.b, 16);
	p = net_packet("fd00::2", "fd00::1", MR_IP_ICMP6);
	p.l4 = l4;
	p.l4_bytes = 32;
	p.hop_limit = 254;
	net_put(&n, frame, netpkt_build(frame, &p));
	p.hop_limit = 255;
	l4[25] = 0; // an option of no length
	net_put(&n, frame, netpkt_build(frame, &p));
	p.l4_bytes = 20;
	net_put(&n, frame, netpkt_build(frame, &p));
	assert_int_equal(value(&n.c->bad_frame), 3);
	assert_int_equal(n.seen_count, 0);
	net_close(&n);
}

static void duplicate_address_is_not_used(void **)
{
	static struct net n;

	net_open(&n, net_options());
	net_run(&n, SECOND / 2);
	put_nd(&n, 136, 0x20, "fd00::1", "ff02::1", (struct mr_mac){{0x33, 0x33, 0, 0, 0, 1}},
		"fd00::1", 2, other_mac);
	assert_int_equal(value(&n.c->nd_duplicate), 1);
	net_settle(&n);
	put_echo(&n, true, 64);
	put_nd(&n, 135, 0, "fd00::2", "ff02::1:ff00:1", node_1_mac, "fd00::1", 1, peer_mac);
	assert_int_equal(n.seen_count, 0);
	put_echo(&n, false, 64); // IPv4 goes on
	assert_int_equal(n.seen_count, 1);
	net_close(&n);
}

static void put_ra(struct net *n, const char *src, uint16_t lifetime_s, uint32_t mtu)
{
	uint8_t frame[NETPKT_MAX], l4[32] = {134};
	struct netpkt p = net_packet(src, "ff02::1", MR_IP_ICMP6);

	p.eth_dst = (struct mr_mac){{0x33, 0x33, 0, 0, 0, 1}};
	p.hop_limit = 255;
	mr_store_be16(l4 + 6, lifetime_s);
	l4[16] = 1;
	l4[17] = 1;
	memcpy(l4 + 18, peer_mac.b, 6);
	l4[24] = 5;
	l4[25] = 1;
	mr_store_be32(l4 + 28, mtu);
	p.l4 = l4;
	p.l4_bytes = 32;
	net_put(n, frame, netpkt_build(frame, &p));
}

static void router_is_learnt_when_allowed(void **)
{
	struct mr_stack_options o = net_options();
	static struct net n;
	struct mr_ip_path path = {.local = ip("fd00::1"), .peer = ip("2001:db8::7")};
	uint32_t asks = 0;

	memset(o.gateways, 0, sizeof(o.gateways));
	o.accept_ra = true;
	net_open(&n, o);
	net_run(&n, 20 * SECOND);
	for (uint32_t i = 0; i < n.seen_count; i++)
		asks += n.seen[i].ethertype == MR_ETHERTYPE_IP6 && n.seen[i].l4[0] == 133;
	assert_int_equal(asks, 3);
	assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	put_ra(&n, "fe80::5", 100, 1400);
	assert_true(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	assert_int_equal(path.mtu, 1400);
	n.seen_count = 0;
	assert_int_equal(net_send(&n, &path, 0), 0);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	put_ra(&n, "fe80::6", 0, 1280); // another router cannot end it
	assert_true(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	put_ra(&n, "fe80::5", 0, 0);
	assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	put_ra(&n, "fe80::5", 10, 0);
	net_run(&n, 11 * SECOND);
	assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	put_ra(&n, "fd00::5", 100, 0); // not link-local
	assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	net_close(&n);
}

static void router_is_ignored_otherwise(void **)
{
	struct mr_stack_options o = net_options();
	static struct net n;
	struct mr_ip_path path = {.local = ip("fd00::1"), .peer = ip("2001:db8::7")};

	memset(o.gateways, 0, sizeof(o.gateways));
	net_ready(&n, o);
	put_ra(&n, "fe80::5", 100, 1400);
	assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	net_close(&n);
}

static void mld_query_is_answered_once(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX], l4[28] = {130};
	struct netpkt p;

	net_ready(&n, net_options());
	p = net_packet("fe80::5", "ff02::1", MR_IP_ICMP6);
	p.eth_dst = (struct mr_mac){{0x33, 0x33, 0, 0, 0, 1}};
	p.hop_limit = 1;
	mr_store_be16(l4 + 4, 500);
	p.l4 = l4;
	p.l4_bytes = 28;
	for (int i = 0; i < 10; i++)
		net_put(&n, frame, netpkt_build(frame, &p));
	net_run(&n, 2 * SECOND);
	assert_int_equal(n.seen_count, 1);
	assert_int_equal(n.seen[0].l4[0], 143);
	assert_int_equal(n.seen[0].l4[8], 2);
	net_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ip4_checks_every_length),
		cmocka_unit_test(ip4_drops_options_and_fragments),
		cmocka_unit_test(ip4_drops_martians_and_land),
		cmocka_unit_test(tcp_sum_is_verified_and_partial_ones_are_told_apart),
		cmocka_unit_test(flags_of_the_port_are_obeyed),
		cmocka_unit_test(super_frame_is_one_segment),
		cmocka_unit_test(ip6_passes_over_harmless_extension_headers),
		cmocka_unit_test(ip6_drops_bad_chains),
		cmocka_unit_test(mapped_address_on_the_wire_is_a_martian),
		cmocka_unit_test(echo_is_answered_in_both_families),
		cmocka_unit_test(echo_is_limited),
		cmocka_unit_test(echo_may_be_forbidden),
		cmocka_unit_test(copies_for_learning_are_not_answered),
		cmocka_unit_test(errors_reach_tcp_with_what_they_quote),
		cmocka_unit_test(errors_of_ip6_reach_tcp),
		cmocka_unit_test(bad_icmp_sum_is_dropped),
		cmocka_unit_test(nd_starts_with_detection_and_reports),
		cmocka_unit_test(nd_answers_solicitations),
		cmocka_unit_test(nd_resolves_a_peer),
		cmocka_unit_test(nd_refuses_what_has_crossed_a_router),
		cmocka_unit_test(duplicate_address_is_not_used),
		cmocka_unit_test(router_is_learnt_when_allowed),
		cmocka_unit_test(router_is_ignored_otherwise),
		cmocka_unit_test(mld_query_is_answered_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
