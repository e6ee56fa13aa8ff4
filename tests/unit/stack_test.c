// The stack below TCP: Ethernet, VLAN, ARP, neighbours as TCP meets them, floods, ports.
#include "tests/lib/stack_rig.h"

// ---- Ethernet

static void eth_takes_what_is_for_us(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX];
	uint32_t bytes;

	net_ready(&n, net_options());
	bytes = net_tcp_frame(&n, "10.0.0.2", "10.0.0.1", frame);
	net_put(&n, frame, bytes);
	assert_int_equal(n.tcp->inputs, 1);
	assert_int_equal(n.tcp->last.bytes, 25); // and not the padding of the frame
	assert_memory_equal(n.tcp->last.l4 + 20, "hello", 5);
	net_close(&n);
}

static void eth_drops_what_is_not(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX], good[NETPKT_MAX];
	uint32_t bytes;

	net_ready(&n, net_options());
	bytes = net_tcp_frame(&n, "10.0.0.2", "10.0.0.1", good);
	memcpy(frame, good, bytes);
	memcpy(frame, all_mac.b, 6); // to all, with a packet to one
	net_put(&n, frame, bytes);
	assert_int_equal(value(&n.c->not_ours), 1);
	memcpy(frame, good, bytes);
	frame[6] |= 1; // from a group
	net_put(&n, frame, bytes);
	assert_int_equal(value(&n.c->not_ours), 2);
	memcpy(frame, good, bytes);
	memcpy(frame + 6, our_mac.b, 6); // from ourselves
	net_put(&n, frame, bytes);
	assert_int_equal(value(&n.c->own_frames), 1);
	memcpy(frame, good, bytes);
	mr_store_be16(frame + 12, 0x88cc); // LLDP
	net_put(&n, frame, bytes);
	assert_int_equal(value(&n.c->unknown_ethertype), 1);
	assert_int_equal(n.tcp->inputs, 0);
	net_close(&n);
}

static void own_frames_echoed_by_the_port_are_dropped(void **)
{
	static struct net n;

	net_open(&n, net_options());
	mr_sim_way(n.sim, 0)->echo_own = true;
	net_settle(&n);
	assert_true(value(&n.c->own_frames) > 5);
	assert_int_equal(value(&n.c->own_frames), value(&n.c->frames_out));
	assert_int_equal(value(&n.c->nd_duplicate), 0);
	assert_int_equal(value(&n.c->arp_conflict), 0);
	net_close(&n);
}

static void vlan_is_stripped_and_inserted(void **)
{
	struct mr_stack_options o = net_options();
	static struct net n;
	uint8_t frame[NETPKT_MAX], l4[64] = {8};
	struct netpkt p;

	o.vlan = 42;
	net_ready(&n, o);
	p = net_packet("10.0.0.2", "10.0.0.1", MR_IP_ICMP);
	p.l4 = l4;
	p.l4_bytes = 64;
	net_put(&n, frame, netpkt_build(frame, &p)); // untagged
	assert_int_equal(value(&n.c->not_ours), 1);
	p.vlan = 43;
	net_put(&n, frame, netpkt_build(frame, &p));
	assert_int_equal(value(&n.c->not_ours), 2);
	assert_int_equal(n.seen_count, 0);
	p.vlan = 42 | 5 << 13; // with a priority
	net_put(&n, frame, netpkt_build(frame, &p));
	assert_int_equal(n.seen_count, 1);
	assert_int_equal(n.seen[0].vlan, 42);
	assert_int_equal(n.seen[0].l4[0], 0);
	net_close(&n);
}

static void priority_tag_is_no_vlan(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX], l4[64] = {8};
	struct netpkt p;

	net_ready(&n, net_options());
	p = net_packet("10.0.0.2", "10.0.0.1", MR_IP_ICMP);
	p.vlan = 3 << 13;
	p.l4 = l4;
	p.l4_bytes = 64;
	net_put(&n, frame, netpkt_build(frame, &p));
	assert_int_equal(n.seen_count, 1);
	assert_int_equal(n.seen[0].vlan, 0);
	net_close(&n);
}

// ---- ARP

static void arp_announces_at_the_start(void **)
{
	static struct net n;
	uint32_t probes = 0, announcements = 0;

	net_open(&n, net_options());
	net_run(&n, 10 * SECOND);
	for (uint32_t i = 0; i < n.seen_count; i++) {
		// The gateway is asked for too.
		if (n.seen[i].ethertype != MR_ETHERTYPE_ARP ||
			mr_load_be32(n.seen[i].l4 + 24) == 0x0a0000fe)
			continue;
		probes += mr_load_be32(n.seen[i].l4 + 14) == 0;
		announcements += mr_load_be32(n.seen[i].l4 + 14) == 0x0a000001;
		assert_int_equal(mr_load_be32(n.seen[i].l4 + 24), 0x0a000001);
	}
	assert_int_equal(probes, 1);
	assert_int_equal(announcements, 2);
	n.seen_count = 0;
	mr_stack_announce(n.stack);
	net_run(&n, 0);
	assert_true(n.seen_count >= 1);
	net_close(&n);
}

static void arp_answers_for_our_address_only(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	net_arp(&n, 1, peer_mac, "10.0.0.2", "10.0.0.9");
	assert_int_equal(n.seen_count, 0);
	net_arp(&n, 1, peer_mac, "10.0.0.2", "10.0.0.1");
	assert_int_equal(n.seen_count, 1);
	assert_int_equal(mr_load_be16(n.seen[0].l4 + 6), 2);
	assert_memory_equal(n.seen[0].l4 + 8, our_mac.b, 6);
	assert_int_equal(mr_load_be32(n.seen[0].l4 + 14), 0x0a000001);
	assert_memory_equal(n.seen[0].l4 + 18, peer_mac.b, 6);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	// A probe by a newcomer is answered too (RFC 5227 2.1.1).
	n.seen_count = 0;
	net_arp(&n, 1, peer_mac, "0.0.0.0", "10.0.0.1");
	assert_int_equal(n.seen_count, 1);
	net_close(&n);
}

static void arp_conflict_is_counted_and_defended_once(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	for (int i = 0; i < 5; i++)
		net_arp(&n, 1, other_mac, "10.0.0.1", "10.0.0.1");
	assert_int_equal(value(&n.c->arp_conflict), 5);
	assert_int_equal(n.seen_count, 1);
	assert_int_equal(mr_load_be32(n.seen[0].l4 + 14), 0x0a000001);
	net_close(&n);
}

static void damaged_arp_is_dropped(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX];
	uint32_t bytes =
		netpkt_arp(frame, peer_mac, our_mac, 1, peer_mac, 0x0a000002, our_mac, 0x0a000001);

	net_ready(&n, net_options());
	for (uint32_t i = 0; i < 8; i++) { // each field of the fixed part
		frame[14 + i] ^= 0x40;
		net_put(&n, frame, bytes);
		frame[14 + i] ^= 0x40;
	}
	assert_int_equal(value(&n.c->bad_frame), 8);
	assert_int_equal(n.seen_count, 0);
	net_close(&n);
}

// ---- what TCP sends through

// A segment of a connection that a life of ours before this one had: its answer, a reset, must not
// be lost for want of a neighbour.
static void who_sends_a_segment_is_answered_without_being_asked(void **)
{
	static struct net n;
	uint8_t frame[NETPKT_MAX];
	struct mr_ip_path path;

	net_open(&n, net_options());
	net_settle(&n);
	net_put(&n, frame, net_tcp_frame(&n, "10.0.0.2", "10.0.0.1", frame));
	n.seen_count = 0;
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	assert_int_equal(net_send(&n, &path, 100), 0);
	assert_int_equal(n.seen_count, 1); // and no question
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	assert_int_equal(value(&n.c->neighbour_unknown), 0);
	net_close(&n);
}

static void next_hop_is_asked_for_and_then_told(void **)
{
	static struct net n;
	struct mr_ip_path path;

	net_ready(&n, net_options());
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	assert_int_equal(path.mtu, 1500);
	assert_int_equal(net_send(&n, &path, 100), -EHOSTUNREACH);
	net_run(&n, 0);
	assert_int_equal(n.seen_count, 1); // the question
	assert_int_equal(mr_load_be32(n.seen[0].l4 + 24), 0x0a000002);
	assert_int_equal(net_send(&n, &path, 100), -EHOSTUNREACH);
	assert_int_equal(value(&n.c->neighbour_unknown), 2);
	net_arp(&n, 2, peer_mac, "10.0.0.2", "10.0.0.1");
	assert_int_equal(n.tcp->ready, 1);
	assert_true(mr_ip_eq(&n.tcp->ready_peer, &path.peer));
	n.seen_count = 0;
	assert_int_equal(net_send(&n, &path, 1460), 0);
	assert_int_equal(n.seen_count, 1);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	assert_int_equal(n.seen[0].l4_bytes, 1480);
	net_close(&n);
}

static void peer_that_opens_a_connection_is_known(void **)
{
	static struct net n;
	struct netpkt_tcp t = {.src_port = 1000, .dst_port = 9092, .flags = NP_SYN};
	struct netpkt p;
	struct mr_ip_path path;
	uint8_t frame[NETPKT_MAX], l4[64];

	net_ready(&n, net_options());
	p = net_packet("10.0.0.2", "10.0.0.1", MR_IP_TCP);
	p.l4_bytes = netpkt_tcp(l4, &t);
	p.l4 = l4;
	net_put(&n, frame, netpkt_build(frame, &p));
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	assert_int_equal(net_send(&n, &path, 0), 0);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	// Another that claims the address in the same way changes nothing.
	p.eth_src = other_mac;
	net_put(&n, frame, netpkt_build(frame, &p));
	n.seen_count = 0;
	assert_int_equal(net_send(&n, &path, 0), 0);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	net_close(&n);
}

static void far_peers_go_through_the_gateway(void **)
{
	static struct net n;
	struct mr_ip_path path, path6;

	net_ready(&n, net_options());
	path = net_path(&n, "10.0.0.1", "192.0.2.7");
	assert_int_equal(net_send(&n, &path, 0), -EHOSTUNREACH);
	net_arp(&n, 2, other_mac, "10.0.0.254", "10.0.0.1");
	assert_int_equal(n.tcp->ready, 1);
	assert_true(mr_ip_eq(&n.tcp->ready_peer, &path.peer));
	path6 = net_path(&n, "fd00::1", "2001:db8::7");
	assert_int_equal(net_send(&n, &path6, 0), -EHOSTUNREACH);
	net_close(&n);
}

static void no_way_is_no_way(void **)
{
	struct mr_stack_options o = net_options();
	struct mr_ip_path path = {.local = ip("10.0.0.1")};
	static const char *const nowhere[] = {
		"192.0.2.7", "10.0.0.255", "10.0.0.0", "10.0.0.1", "127.0.0.1", "224.0.0.1"};
	static struct net n;
	struct mr_ip source;

	memset(o.gateways, 0, sizeof(o.gateways));
	net_ready(&n, o);
	for (size_t i = 0; i < MR_COUNT_OF(nowhere); i++) {
		path.peer = ip(nowhere[i]);
		assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
		assert_false(mr_stack_source(n.stack, &path.peer, &source));
	}
	path.peer = ip("10.0.0.2");
	path.local = ip("10.0.0.3"); // not ours
	assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	path.local = ip("fd00::1"); // of another family
	assert_false(n.tcp->lower.route(n.tcp->lower.ctx, &path));
	net_close(&n);
}

static void source_is_of_the_peers_family_and_scope(void **)
{
	static const char *const cases[][2] = {{"10.0.0.2", "10.0.0.1"}, {"8.8.8.8", "10.0.0.1"},
		{"fd00::2", "fd00::1"}, {"2001:db8::1", "fd00::1"}, {"fe80::2", "fe80::ff:fe00:1"}};
	static struct net n;
	struct mr_ip peer, source;
	char text[48];

	net_ready(&n, net_options());
	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		peer = ip(cases[i][0]);
		assert_true(mr_stack_source(n.stack, &peer, &source));
		mr_ip_format(&source, text);
		assert_string_equal(text, cases[i][1]);
	}
	net_close(&n);
}

static void silent_neighbour_is_probed_and_forgotten(void **)
{
	static struct net n;
	struct mr_ip_path path;
	uint32_t direct = 0;

	net_ready(&n, net_options());
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	net_send(&n, &path, 0);
	net_arp(&n, 2, peer_mac, "10.0.0.2", "10.0.0.1");
	net_run(&n, 40 * SECOND);
	assert_int_equal(net_send(&n, &path, 0), 0); // stale, but used
	n.seen_count = 0;
	net_run(&n, 20 * SECOND);
	for (uint32_t i = 0; i < n.seen_count; i++)
		direct += mr_mac_eq(n.seen[i].eth_dst, peer_mac);
	assert_int_equal(direct, 3);
	assert_int_equal(value(&n.c->neighbours), 0);
	assert_int_equal(net_send(&n, &path, 0), -EHOSTUNREACH);
	net_close(&n);
}

static void neighbour_that_talks_is_not_probed(void **)
{
	static struct net n;
	struct mr_ip_path path;
	uint8_t frame[NETPKT_MAX];
	uint32_t bytes;

	net_ready(&n, net_options());
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	net_send(&n, &path, 0);
	net_arp(&n, 2, peer_mac, "10.0.0.2", "10.0.0.1");
	bytes = net_tcp_frame(&n, "10.0.0.2", "10.0.0.1", frame);
	n.seen_count = 0;
	for (int i = 0; i < 60; i++) {
		net_run(&n, 5 * SECOND);
		net_put(&n, frame, bytes);
		assert_int_equal(net_send(&n, &path, 0), 0);
		assert_int_equal(n.seen_count, 1);
		n.seen_count = 0;
	}
	assert_int_equal(value(&n.c->neighbours), 1);
	net_close(&n);
}

static void neighbour_that_moves_is_followed(void **)
{
	static struct net n;
	struct mr_ip_path path;

	net_ready(&n, net_options());
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	net_send(&n, &path, 0);
	net_arp(&n, 2, other_mac, "10.0.0.2", "10.0.0.1");
	net_arp(&n, 1, peer_mac, "10.0.0.2", "10.0.0.2"); // gratuitous, from a new place
	n.seen_count = 0;
	assert_int_equal(net_send(&n, &path, 0), 0);
	assert_true(mr_mac_eq(n.seen[0].eth_dst, peer_mac));
	net_close(&n);
}

// ---- floods

static void arp_flood_keeps_what_is_proven(void **)
{
	struct mr_stack_options o = net_options();
	static struct net n;
	struct mr_ip_path path;
	uint8_t frame[NETPKT_MAX];

	o.neighbours_max = 64;
	o.addresses[0].prefix = 8;
	net_ready(&n, o);
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	net_send(&n, &path, 0);
	net_arp(&n, 2, peer_mac, "10.0.0.2", "10.0.0.1");
	assert_int_equal(net_send(&n, &path, 0), 0);
	for (uint32_t i = 0; i < 5000; i++) {
		struct mr_mac mac = {{0x02, 9, 9, 9, (uint8_t)(i >> 8), (uint8_t)i}};
		uint32_t bytes = netpkt_arp(frame, mac, our_mac, 1, mac, 0x0a010000 + i,
			(struct mr_mac){{0}}, 0x0a000001);

		net_put(&n, frame, bytes);
		n.seen_count = 0;
	}
	assert_int_equal(net_send(&n, &path, 0), 0);
	assert_true(value(&n.c->neighbours) <= 64);
	assert_true(value(&n.c->neighbours_evicted) > 4000);
	net_close(&n);
}

static void questions_are_limited(void **)
{
	struct mr_stack_options o = net_options();
	static struct net n;
	uint64_t before;

	o.addresses[0].prefix = 8;
	net_ready(&n, o);
	before = value(&n.c->arp_out);
	for (uint32_t i = 0; i < 10000; i++) {
		struct mr_ip_path path = {.local = ip("10.0.0.1"), .peer = mr_ip4(0x0a020000 + i)};

		assert_true(n.tcp->lower.route(n.tcp->lower.ctx, &path));
		net_send(&n, &path, 0);
	}
	net_run(&n, SECOND);
	assert_true(value(&n.c->arp_out) - before <= 1200);
	assert_true(value(&n.c->neighbours) <= MR_STACK_NEIGHBOURS_MAX);
	net_run(&n, 60 * SECOND);
	assert_int_equal(value(&n.c->neighbours), 0);
	net_close(&n);
}

// ---- ports

static void offloads_of_the_port_are_used(void **)
{
	static struct net n;
	struct mr_ip_path path;

	net_open(&n, net_options());
	n.port->offloads = MR_PORT_SUM_L3 | MR_PORT_SUM_L4;
	net_settle(&n);
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	net_send(&n, &path, 0);
	net_arp(&n, 2, peer_mac, "10.0.0.2", "10.0.0.1");
	n.seen_count = 0;
	for (uint32_t bytes = 0; bytes < 100; bytes++) {
		assert_int_equal(net_send(&n, &path, bytes), 0); // net_collect verifies the sums
		n.seen_count = 0;
	}
	net_close(&n);
}

static void no_frame_is_survived(void **)
{
	static struct net n;
	struct mr_frame hold[4096];
	struct mr_ip_path path;
	int held;

	net_ready(&n, net_options());
	path = net_path(&n, "10.0.0.1", "10.0.0.2");
	net_send(&n, &path, 0);
	net_arp(&n, 2, peer_mac, "10.0.0.2", "10.0.0.1");
	held = mr_port_tx_alloc(n.peer, hold, 4096);
	// The stack has taken some ahead; when these are sent there are no others.
	for (int i = 0; i < 2 * MR_PORT_BURST && net_send(&n, &path, 0) == 0; i++)
		held += mr_port_tx_alloc(n.peer, hold + held, 4096 - held);
	assert_int_equal(net_send(&n, &path, 0), -EAGAIN);
	for (int i = 0; i < held; i++)
		hold[i].bytes = 0;
	mr_port_tx(n.peer, hold, held);
	assert_int_equal(net_send(&n, &path, 0), 0);
	net_close(&n);
}

static void removed_port_is_told(void **)
{
	static struct net n;

	net_ready(&n, net_options());
	mr_sim_remove(n.sim, 0);
	assert_int_equal(mr_stack_turn(n.stack, n.now_ns, 4), -ENODEV);
	net_close(&n);
}

static void options_that_cannot_be_are_refused(void **)
{
	struct mr_stack_options good = net_options(), o;
	struct mr_stack *s;
	static struct net n;

	net_open(&n, good);
	good.port = n.port;
	o = good;
	o.addresses_count = 0;
	assert_int_equal(mr_stack_create(&o, &s), -EINVAL);
	o = good;
	o.mtu = 1600; // more than the port's
	assert_int_equal(mr_stack_create(&o, &s), -EINVAL);
	o.mtu = 1000; // less than IPv6 needs
	assert_int_equal(mr_stack_create(&o, &s), -EINVAL);
	o = good;
	o.addresses[0].ip = ip("127.0.0.1");
	assert_int_equal(mr_stack_create(&o, &s), -EINVAL);
	o = good;
	o.addresses[0].prefix = 33;
	assert_int_equal(mr_stack_create(&o, &s), -EINVAL);
	o = good;
	o.vlan = 4095;
	assert_int_equal(mr_stack_create(&o, &s), -EINVAL);
	net_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eth_takes_what_is_for_us),
		cmocka_unit_test(eth_drops_what_is_not),
		cmocka_unit_test(own_frames_echoed_by_the_port_are_dropped),
		cmocka_unit_test(vlan_is_stripped_and_inserted),
		cmocka_unit_test(priority_tag_is_no_vlan),
		cmocka_unit_test(arp_announces_at_the_start),
		cmocka_unit_test(arp_answers_for_our_address_only),
		cmocka_unit_test(arp_conflict_is_counted_and_defended_once),
		cmocka_unit_test(damaged_arp_is_dropped),
		cmocka_unit_test(who_sends_a_segment_is_answered_without_being_asked),
		cmocka_unit_test(next_hop_is_asked_for_and_then_told),
		cmocka_unit_test(peer_that_opens_a_connection_is_known),
		cmocka_unit_test(far_peers_go_through_the_gateway),
		cmocka_unit_test(no_way_is_no_way),
		cmocka_unit_test(source_is_of_the_peers_family_and_scope),
		cmocka_unit_test(silent_neighbour_is_probed_and_forgotten),
		cmocka_unit_test(neighbour_that_talks_is_not_probed),
		cmocka_unit_test(neighbour_that_moves_is_followed),
		cmocka_unit_test(arp_flood_keeps_what_is_proven),
		cmocka_unit_test(questions_are_limited),
		cmocka_unit_test(offloads_of_the_port_are_used),
		cmocka_unit_test(no_frame_is_survived),
		cmocka_unit_test(removed_port_is_told),
		cmocka_unit_test(options_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
