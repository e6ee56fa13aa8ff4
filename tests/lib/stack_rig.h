// The stack below TCP on port 0 of a simulated wire, the test itself on port 1, and a TCP of the
// test's own that records what comes and sends what it is told to.
//
// It defines the functions of tcp.h that the stack calls, so exactly one file of a program includes
// it.
#pragma once

#include "dataplane/tcpip/port_sim.h"
#include "dataplane/tcpip/stack.h"
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

static inline struct mr_ip ip(const char *text)
{
	struct mr_ip v;

	assert_int_equal(mr_ip_parse(text, &v), 0);
	return v;
}

static inline struct mr_stack_options net_options(void)
{
	struct mr_stack_options o = {.answer_echo = true, .seed = 7, .addresses_count = 2};

	o.addresses[0] = (struct mr_stack_address){ip("10.0.0.1"), 24};
	o.addresses[1] = (struct mr_stack_address){ip("fd00::1"), 64};
	o.gateways[0] = ip("10.0.0.254");
	o.gateways[1] = ip("fd00::fe");
	return o;
}

static inline void net_collect(struct net *n)
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
static inline void net_now(struct net *n)
{
	do
		mr_sim_time(n->sim, n->now_ns);
	while (mr_stack_turn(n->stack, n->now_ns, 8) > 0);
	mr_sim_time(n->sim, n->now_ns);
	net_collect(n);
	mr_sim_check(n->sim);
}

static inline void net_run(struct net *n, int64_t for_ns)
{
	int64_t end_ns = n->now_ns + for_ns;

	net_now(n);
	while (n->now_ns < end_ns) {
		int64_t next_ns = MR_MIN(mr_sim_next_ns(n->sim), mr_stack_next_ns(n->stack));

		n->now_ns = MR_MIN(MR_MAX(next_ns, n->now_ns + 1), end_ns);
		net_now(n);
	}
}

static inline void net_open(struct net *n, struct mr_stack_options o)
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
static inline void net_settle(struct net *n)
{
	net_run(n, 10 * SECOND);
	n->seen_count = 0;
}

static inline void net_ready(struct net *n, struct mr_stack_options o)
{
	net_open(n, o);
	net_settle(n);
}

static inline void net_close(struct net *n)
{
	mr_stack_destroy(n->stack);
	mr_sim_time(n->sim, INT64_MAX);
	net_collect(n);
	assert_int_equal(mr_sim_frames_lent(n->sim), 0);
	mr_sim_check(n->sim);
	mr_sim_destroy(n->sim);
}

static inline void net_put(struct net *n, const uint8_t *frame, uint32_t bytes)
{
	assert_true(netpkt_put(n->peer, frame, bytes));
	net_run(n, 0);
}

static inline void net_arp(
	struct net *n, uint16_t op, struct mr_mac sha, const char *spa, const char *tpa)
{
	struct mr_ip s = ip(spa), t = ip(tpa);
	uint8_t frame[NETPKT_MAX];
	uint32_t bytes =
		netpkt_arp(frame, sha, op == 1 ? all_mac : our_mac, op, sha, mr_load_be32(s.b + 12),
			op == 1 ? (struct mr_mac){{0}} : our_mac, mr_load_be32(t.b + 12));

	net_put(n, frame, bytes);
}

static inline struct netpkt net_packet(const char *src, const char *dst, uint8_t protocol)
{
	struct mr_ip from = ip(src), to = ip(dst);

	return netpkt_ip(peer_mac, our_mac, &from, &to, protocol);
}

static inline uint32_t net_tcp_frame(
	struct net *n, const char *src, const char *dst, uint8_t *frame)
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

static inline uint64_t value(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static inline int net_send(struct net *n, struct mr_ip_path *path, uint32_t payload)
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

static inline struct mr_ip_path net_path(struct net *n, const char *local, const char *peer)
{
	struct mr_ip_path path = {.local = ip(local), .peer = ip(peer)};

	assert_true(n->tcp->lower.route(n->tcp->lower.ctx, &path));
	return path;
}
