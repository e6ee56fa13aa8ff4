// The stack below TCP, over a simulated wire, with a TCP of the test's own that records what comes
// and sends what it is told to: Ethernet, VLAN, ARP, IPv4, IPv6, ND, MLD, ICMP.
#include "dataplane/tcpip/stack.h"

#include "dataplane/tcpip/port_sim.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/netpkt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000000ll

// ---- a TCP that does nothing of itself

struct mr_tcp {
	struct mr_tcp_lower lower;
	struct mr_tcp_segment_in last;
	uint8_t last_bytes[NETPKT_MAX];
	uint32_t inputs, ready, icmps;
	struct mr_ip ready_peer;
	uint16_t icmp_mtu;
	bool icmp_hard, icmp_believe;
	uint32_t icmp_sequence;
};

int mr_tcp_create(const struct mr_tcp_options *, const struct mr_tcp_lower *lower, int64_t,
	struct mr_tcp **out)
{
	*out = calloc(1, sizeof(**out));
	(*out)->lower = *lower;
	return 0;
}

void mr_tcp_destroy(struct mr_tcp *t)
{
	free(t);
}

void mr_tcp_time(struct mr_tcp *, int64_t)
{
}

void mr_tcp_flush(struct mr_tcp *)
{
}

int64_t mr_tcp_next_ns(const struct mr_tcp *)
{
	return INT64_MAX;
}

void mr_tcp_input(struct mr_tcp *t, const struct mr_tcp_segment_in *in)
{
	t->last = *in;
	memcpy(t->last_bytes, in->l4, in->bytes);
	t->last.l4 = t->last_bytes;
	t->inputs++;
}

void mr_tcp_path_ready(struct mr_tcp *t, const struct mr_ip *peer)
{
	t->ready++;
	t->ready_peer = *peer;
}

bool mr_tcp_icmp(struct mr_tcp *t, const struct mr_ip *, uint16_t, const struct mr_ip *, uint16_t,
	uint32_t sequence, uint16_t mtu, bool hard)
{
	t->icmps++;
	t->icmp_mtu = mtu;
	t->icmp_hard = hard;
	t->icmp_sequence = sequence;
	return t->icmp_believe;
}

// ---- the bench: our stack on port 0, the test itself on port 1

static const struct mr_mac our_mac = {{0x02, 0, 0, 0, 0, 1}};
static const struct mr_mac peer_mac = {{0x02, 0, 0, 0, 0, 2}};
static const struct mr_mac other_mac = {{0x02, 0, 0, 0, 0, 3}};
static const struct mr_mac all_mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct net {
	struct mr_sim *sim;
	struct mr_port *port, *peer;
	struct mr_stack *stack;
	struct mr_tcp *tcp;
	struct mr_stack_counters *c;
	int64_t now_ns;
	uint8_t out[64][NETPKT_MAX]; // what came to the peer since net_take
	struct netpkt seen[64];
	uint32_t seen_count;
};

static struct mr_ip ip(const char *text)
{
	struct mr_ip v;

	assert_int_equal(mr_ip_parse(text, &v), 0);
	return v;
}

static struct mr_stack_options net_options(void)
{
	struct mr_stack_options o = {.answer_echo = true, .seed = 7, .addresses_count = 2};

	o.addresses[0] = (struct mr_stack_address){ip("10.0.0.1"), 24};
	o.addresses[1] = (struct mr_stack_address){ip("fd00::1"), 64};
	o.gateways[0] = ip("10.0.0.254");
	o.gateways[1] = ip("fd00::fe");
	return o;
}

static void net_collect(struct net *n)
{
	struct mr_frame f[32];
	const char *why;
	int count;

	while ((count = mr_port_rx(n->peer, f, 32)) > 0) {
		for (int i = 0; i < count && n->seen_count < 64; i++) {
			uint32_t k = n->seen_count++;

			memcpy(n->out[k], f[i].data, f[i].bytes);
			if (!netpkt_parse(n->out[k], f[i].bytes, true, &n->seen[k], &why))
				fail_msg("the stack sent a damaged frame: %s", why);
		}
		mr_port_rx_done(n->peer, f, count);
	}
}

// All that happens at this moment.
static void net_now(struct net *n)
{
	do
		mr_sim_time(n->sim, n->now_ns);
	while (mr_stack_turn(n->stack, n->now_ns, 8) > 0);
	mr_sim_time(n->sim, n->now_ns);
	net_collect(n);
	mr_sim_check(n->sim);
}

static void net_run(struct net *n, int64_t for_ns)
{
	int64_t end_ns = n->now_ns + for_ns;

	net_now(n);
	while (n->now_ns < end_ns) {
		int64_t next_ns = MR_MIN(mr_sim_next_ns(n->sim), mr_stack_next_ns(n->stack));

		n->now_ns = MR_MIN(MR_MAX(next_ns, n->now_ns + 1), end_ns);
		net_now(n);
	}
}

static void net_open(struct net *n, struct mr_stack_options o)
{
	struct mr_sim_port_options po = {.mac = our_mac, .mtu = 1500};

	memset(n, 0, sizeof(*n));
	n->now_ns = 5 * SECOND;
	assert_int_equal(mr_sim_create(1, 4096, 2048, &n->sim), 0);
	assert_int_equal(mr_sim_add(n->sim, &po), 0);
	po.mac = peer_mac;
	assert_int_equal(mr_sim_add(n->sim, &po), 1);
	n->port = mr_sim_queue(n->sim, 0, 0);
	n->peer = mr_sim_queue(n->sim, 1, 0);
	o.port = n->port;
	o.now_ns = n->now_ns;
	assert_int_equal(mr_stack_create(&o, &n->stack), 0);
	n->tcp = mr_stack_tcp(n->stack);
	n->c = mr_stack_counters(n->stack);
}

// Past the announcements and duplicate address detection of the start.
static void net_settle(struct net *n)
{
	net_run(n, 10 * SECOND);
	n->seen_count = 0;
}

static void net_ready(struct net *n, struct mr_stack_options o)
{
	net_open(n, o);
	net_settle(n);
}

static void net_close(struct net *n)
{
	mr_stack_destroy(n->stack);
	mr_sim_time(n->sim, INT64_MAX);
	net_collect(n);
	assert_int_equal(mr_sim_frames_lent(n->sim), 0);
	mr_sim_check(n->sim);
	mr_sim_destroy(n->sim);
}

static void net_put(struct net *n, const uint8_t *frame, uint32_t bytes)
{
	assert_true(netpkt_put(n->peer, frame, bytes));
	net_run(n, 0);
}

static void net_arp(struct net *n, uint16_t op, struct mr_mac sha, const char *spa, const char *tpa)
{
	struct mr_ip s = ip(spa), t = ip(tpa);
	uint8_t frame[NETPKT_MAX];
	uint32_t bytes =
		netpkt_arp(frame, sha, op == 1 ? all_mac : our_mac, op, sha, mr_load_be32(s.b + 12),
			op == 1 ? (struct mr_mac){{0}} : our_mac, mr_load_be32(t.b + 12));

	net_put(n, frame, bytes);
}

static struct netpkt net_packet(const char *src, const char *dst, uint8_t protocol)
{
	struct mr_ip from = ip(src), to = ip(dst);

	return netpkt_ip(peer_mac, our_mac, &from, &to, protocol);
}

static uint32_t net_tcp_frame(struct net *n, const char *src, const char *dst, uint8_t *frame)
{
	struct netpkt_tcp t = {.src_port = 1000,
		.dst_port = 9092,
		.seq = 1,
		.flags = NP_ACK,
		.payload = (const uint8_t *)"hello",
		.payload_bytes = 5};
	struct netpkt p = net_packet(src, dst, MR_IP_TCP);
	uint8_t l4[128];

	(void)n;
	p.l4_bytes = netpkt_tcp(l4, &t);
	p.l4 = l4;
	return netpkt_build(frame, &p);
}

static uint64_t value(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

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

static int net_send(struct net *n, struct mr_ip_path *path, uint32_t payload)
{
	struct netpkt_tcp t = {.src_port = 9092, .dst_port = 1000, .seq = 77, .flags = NP_ACK};
	struct mr_tcp_packet p;
	int rc = n->tcp->lower.begin(n->tcp->lower.ctx, path, &p);

	if (rc < 0)
		return rc;
	assert_true(20 + payload <= p.bytes_max);
	netpkt_tcp(p.l4, &t);
	memset(p.l4 + 20, 0x5a, payload);
	n->tcp->lower.send(n->tcp->lower.ctx, path, &p, 20 + payload);
	net_run(n, 0);
	return 0;
}

static struct mr_ip_path net_path(struct net *n, const char *local, const char *peer)
{
	struct mr_ip_path path = {.local = ip(local), .peer = ip(peer)};

	assert_true(n->tcp->lower.route(n->tcp->lower.ctx, &path));
	return path;
}

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
		cmocka_unit_test(offloads_of_the_port_are_used),
		cmocka_unit_test(no_frame_is_survived),
		cmocka_unit_test(removed_port_is_told),
		cmocka_unit_test(options_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
