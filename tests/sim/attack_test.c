// Attacks on a server that honest clients use meanwhile: they must get through, and memory, tables
// and answers stay within their limits. All on the virtual clock. CHURN=n makes the last test long.
#include "dataplane/tcpip/port_sim.h"
#include "dataplane/tcpip/stack.h"
#include "host/base/rand.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/netpkt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000000ll

// While `armed`, whoever allocates is counted: nothing of the stack may after its creation.
static volatile bool armed;
static volatile uint32_t allocations;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);

void *malloc(size_t bytes)
{
	allocations += armed;
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	allocations += armed;
	return __libc_calloc(count, bytes);
}

void *realloc(void *p, size_t bytes)
{
	allocations += armed;
	return __libc_realloc(p, bytes);
}
#endif
#define MS 1000000ll

enum { SERVER, CLIENT, ATTACKER, PORT = 9092, CLIENTS_MAX = 256 };

static const struct mr_mac macs[3] = {
	{{0x02, 0, 0, 0, 0, 1}}, {{0x02, 0, 0, 0, 0, 2}}, {{0x02, 0, 0, 0, 0, 3}}};

// An honest connection: sends `want` bytes and gets them back.
struct client {
	struct world *w;
	struct mr_tcp_conn *conn;
	uint32_t want, sent, back;
	bool done;
	int64_t begun_ns, connected_ns;
};

struct world {
	struct mr_rand rand;
	struct mr_sim *sim;
	struct mr_stack *stacks[2];
	struct mr_tcp *tcp[2];
	struct mr_port *raw;
	struct mr_ip ips[2], attacker;
	struct client clients[CLIENTS_MAX];
	uint32_t done;
	bool v6;
	int64_t now_ns;
	bool silent;      // the attacker answers no question of the link
	uint64_t answers; // frames that the attacker got
	uint8_t frame[NETPKT_MAX], l4[NETPKT_MAX];
};

static uint64_t value(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static struct mr_tcp_counters *tcp_counters(struct world *w)
{
	return mr_tcp_counters(w->tcp[SERVER]);
}

static struct mr_stack_counters *stack_counters(struct world *w)
{
	return mr_stack_counters(w->stacks[SERVER]);
}

// ---- the server echoes

static int server_opened(void *, struct mr_tcp_conn *)
{
	return 0;
}

static size_t server_data(struct mr_tcp_conn *c, struct mr_span s)
{
	mr_tcp_send(c, s.data, s.bytes);
	return s.bytes;
}

static void server_ended(struct mr_tcp_conn *c)
{
	mr_tcp_close(c);
}

static void no_event(struct mr_tcp_conn *)
{
}

static void server_closed(struct mr_tcp_conn *, int)
{
}

static const struct mr_tcp_events server_events = {
	.opened = server_opened,
	.data = server_data,
	.sendable = no_event,
	.ended = server_ended,
	.closed = server_closed,
};

// ---- the clients

static uint8_t content(uint32_t at)
{
	return (uint8_t)(at * 13 + (at >> 8));
}

static void client_send(struct client *c)
{
	uint8_t bytes[1000];

	while (c->sent < c->want) {
		uint32_t n = MR_MIN(c->want - c->sent, (uint32_t)sizeof(bytes));

		for (uint32_t i = 0; i < n; i++)
			bytes[i] = content(c->sent + i);
		n = (uint32_t)mr_tcp_send(c->conn, bytes, n);
		c->sent += n;
		if (n < sizeof(bytes))
			return;
	}
}

static void client_connected(struct mr_tcp_conn *conn, int err)
{
	struct client *c = mr_tcp_user(conn);

	assert_int_equal(err, 0);
	c->connected_ns = c->w->now_ns;
	client_send(c);
}

static size_t client_data(struct mr_tcp_conn *conn, struct mr_span s)
{
	struct client *c = mr_tcp_user(conn);

	for (size_t i = 0; i < s.bytes; i++)
		assert_int_equal(s.data[i], content(c->back + (uint32_t)i));
	c->back += (uint32_t)s.bytes;
	if (c->back == c->want) {
		c->done = true;
		c->w->done++;
		c->conn = NULL;
		mr_tcp_close(conn);
	}
	return s.bytes;
}

static void client_sendable(struct mr_tcp_conn *conn)
{
	client_send(mr_tcp_user(conn));
}

static void client_closed(struct mr_tcp_conn *, int err)
{
	fail_msg("an honest connection was closed by error %d", err);
}

static const struct mr_tcp_events client_events = {
	.connected = client_connected,
	.data = client_data,
	.sendable = client_sendable,
	.ended = no_event,
	.closed = client_closed,
};

static void client_begin(struct world *w, uint32_t i, uint32_t want)
{
	struct client *c = &w->clients[i];

	*c = (struct client){.w = w, .want = want, .begun_ns = w->now_ns};
	assert_int_equal(mr_tcp_connect(w->tcp[CLIENT], &w->ips[CLIENT], 0, &w->ips[SERVER], PORT,
				 &client_events, c, &c->conn),
		0);
}

// ---- the world

static struct netpkt attacker_packet(struct world *w, uint8_t protocol)
{
	return netpkt_ip(macs[ATTACKER], macs[SERVER], &w->attacker, &w->ips[SERVER], protocol);
}

static void attacker_tcp(struct world *w, const struct mr_ip *src, const struct netpkt_tcp *t)
{
	struct netpkt p = attacker_packet(w, MR_IP_TCP);

	p.src = *src;
	p.l4 = w->l4;
	p.l4_bytes = netpkt_tcp(w->l4, t);
	netpkt_put(w->raw, w->frame, netpkt_build(w->frame, &p));
}

// It answers the server's questions about its own address, also as the gateway.
static void attacker_answer(struct world *w, const struct mr_frame *f)
{
	struct netpkt p;
	const char *why;

	w->answers++;
	if (!netpkt_parse(f->data, f->bytes, true, &p, &why))
		fail_msg("the server sent a damaged frame: %s", why);
	if (!w->silent && netpkt_asks(&p, &w->attacker))
		netpkt_put(w->raw, w->frame,
			netpkt_answer(w->frame, macs[ATTACKER], macs[SERVER], &w->attacker,
				&w->ips[SERVER]));
}

static void world_now(struct world *w)
{
	struct mr_frame f[32];
	int n, handled;

	do {
		mr_sim_time(w->sim, w->now_ns);
		handled = mr_stack_turn(w->stacks[SERVER], w->now_ns, 32);
		handled += mr_stack_turn(w->stacks[CLIENT], w->now_ns, 32);
		mr_sim_time(w->sim, w->now_ns);
		while ((n = mr_port_rx(w->raw, f, 32)) > 0) {
			for (int i = 0; i < n; i++)
				attacker_answer(w, &f[i]);
			mr_port_rx_done(w->raw, f, n);
			handled += n;
		}
	} while (handled > 0);
}

static void world_run(struct world *w, int64_t for_ns)
{
	int64_t end_ns = w->now_ns + for_ns;

	world_now(w);
	while (w->now_ns < end_ns) {
		int64_t ns = mr_sim_next_ns(w->sim);

		ns = MR_MIN(ns, mr_stack_next_ns(w->stacks[SERVER]));
		ns = MR_MIN(ns, mr_stack_next_ns(w->stacks[CLIENT]));
		w->now_ns = MR_MIN(MR_MAX(ns, w->now_ns + 1000), end_ns);
		world_now(w);
	}
}

static void world_stack(struct world *w, int side, struct mr_tcp_options tcp)
{
	static const char *const texts[2][3] = {
		{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, {"fd00::1", "fd00::2", "fd00::3"}};
	struct mr_stack_options o = {.port = mr_sim_queue(w->sim, side, 0),
		.addresses_count = 1,
		.neighbours_max = 256,
		.answer_echo = true,
		.seed = (uint64_t)side + 1,
		.now_ns = w->now_ns,
		.tcp = tcp};

	assert_int_equal(mr_ip_parse(texts[w->v6][side], &w->ips[side]), 0);
	assert_int_equal(mr_ip_parse(texts[w->v6][ATTACKER], &w->attacker), 0);
	o.addresses[0] = (struct mr_stack_address){w->ips[side], w->v6 ? 64 : 8};
	o.gateways[0] = w->attacker; // the way to the world is the attacker's
	assert_int_equal(mr_stack_create(&o, &w->stacks[side]), 0);
	w->tcp[side] = mr_stack_tcp(w->stacks[side]);
}

static struct world *world_open(bool v6, struct mr_tcp_options server)
{
	// A short TIME-WAIT, or a churn of a million would use up the client's ports.
	struct mr_tcp_options client = {
		.memory_bytes = 16u << 20, .connections_max = 8192, .timewait_ns = MS};
	struct world *w = calloc(1, sizeof(*w));
	struct mr_tcp_listener *l;

	mr_rand_init(&w->rand, 4711);
	w->v6 = v6;
	w->now_ns = SECOND;
	assert_int_equal(mr_sim_create(1, 16384, 2048, &w->sim), 0);
	for (int i = 0; i < 3; i++) {
		struct mr_sim_port_options o = {.mac = macs[i], .rx_max = 8192};

		o.way.delay_ns = 50000;
		assert_int_equal(mr_sim_add(w->sim, &o), i);
	}
	w->raw = mr_sim_queue(w->sim, ATTACKER, 0);
	server.memory_bytes = server.memory_bytes ? server.memory_bytes : 16u << 20;
	world_stack(w, SERVER, server);
	world_stack(w, CLIENT, client);
	assert_int_equal(mr_tcp_listen(w->tcp[SERVER], PORT, &server_events, w, &l), 0);
	world_run(w, 5 * SECOND);
	return w;
}

static void world_close(struct world *w)
{
	mr_tcp_check(w->tcp[SERVER]);
	mr_stack_destroy(w->stacks[0]);
	mr_stack_destroy(w->stacks[1]);
	mr_sim_time(w->sim, INT64_MAX);
	mr_sim_check(w->sim);
	assert_int_equal(mr_sim_frames_lent(w->sim), 0);
	mr_sim_destroy(w->sim);
	free(w);
}

static struct mr_ip invented(struct world *w)
{
	struct mr_ip ip = w->ips[SERVER];

	if (!w->v6) // of this link and beyond it
		return mr_ip4((mr_rand_below(&w->rand, 2) ? 0x0a100000 : 0xc6120000) +
			      (uint32_t)mr_rand_below(&w->rand, 65536));
	mr_store_be64(ip.b + 8, mr_rand_u64(&w->rand) | 256);
	return ip;
}

// All honest clients come through, each connected within `ns`.
static void expect_clients(struct world *w, uint32_t count, int64_t ns)
{
	assert_int_equal(w->done, count);
	for (uint32_t i = 0; i < count; i++)
		assert_true(w->clients[i].connected_ns - w->clients[i].begun_ns <= ns);
}

// ---- attacks

static void the_count_of_allocations_counts(void **)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	void *volatile p; // so that no compiler leaves the pair out

	armed = true;
	p = malloc(1);
	armed = false;
	free(p);
	assert_int_equal(allocations, 1);
	allocations = 0;
}

static void syn_flood(bool v6)
{
	struct world *w =
		world_open(v6, (struct mr_tcp_options){.syns_max = 128, .connections_max = 1024});

	armed = true;
	for (uint32_t i = 0; i < 40000; i++) {
		struct mr_ip src = invented(w);
		struct netpkt_tcp t = {.src_port = (uint16_t)mr_rand_u64(&w->rand),
			.dst_port = PORT,
			.seq = (uint32_t)mr_rand_u64(&w->rand),
			.flags = NP_SYN,
			.window = 65535};

		attacker_tcp(w, &src, &t);
		if (i % 200 == 0)
			client_begin(w, i / 200, 2000);
		if (i % 20 == 0)
			world_run(w, MS);
	}
	world_run(w, 10 * SECOND);
	armed = false;
	assert_int_equal(allocations, 0);
	expect_clients(w, 200, 4 * SECOND);
	assert_true(value(&tcp_counters(w)->cookies_sent) > 10000);
	assert_true(value(&stack_counters(w)->neighbours) <= 256);
	assert_true(value(&tcp_counters(w)->memory_used) == 0);
	assert_int_equal(value(&tcp_counters(w)->opened), 200);
	world_close(w);
}

static void syn_flood_lets_clients_through_v4(void **)
{
	syn_flood(false);
}

static void syn_flood_lets_clients_through_v6(void **)
{
	syn_flood(true);
}

static void blind_segments_do_not_touch_a_transfer(void **)
{
	struct world *w = world_open(false, (struct mr_tcp_options){.connections_max = 64});
	struct mr_tcp_info info[8];
	uint64_t opened;

	client_begin(w, 0, 4000000);
	world_run(w, 2 * MS);
	assert_int_equal(mr_tcp_list(w->tcp[CLIENT], info, 8), 1);
	for (uint32_t i = 0; i < 30000 && !w->clients[0].done; i++) {
		static const uint8_t flags[] = {NP_RST, NP_SYN, NP_ACK | NP_PSH, NP_RST | NP_ACK,
			NP_FIN | NP_ACK, NP_SYN | NP_ACK};
		struct netpkt_tcp t = {.src_port = info[0].local_port,
			.dst_port = PORT,
			.seq = (uint32_t)mr_rand_u64(&w->rand),
			.ack = (uint32_t)mr_rand_u64(&w->rand),
			.flags = flags[i % MR_COUNT_OF(flags)],
			.window = (uint16_t)i,
			.payload = w->frame,
			.payload_bytes = i % 3 * 100};

		attacker_tcp(w, &w->ips[CLIENT], &t);
		world_run(w, 10000);
	}
	world_run(w, 20 * SECOND);
	expect_clients(w, 1, SECOND);
	opened = value(&tcp_counters(w)->opened);
	assert_int_equal(opened, 1);
	assert_true(value(&tcp_counters(w)->challenge_acks) < 5000);
	world_close(w);
}

static void address_flood(bool v6)
{
	struct world *w = world_open(v6, (struct mr_tcp_options){.connections_max = 64});

	client_begin(w, 0, 2000000);
	for (uint32_t i = 0; i < 20000; i++) {
		struct mr_mac mac = {{0x02, 7, 7, 0, (uint8_t)(i >> 8), (uint8_t)i}};
		struct mr_ip src = v6 ? invented(w) : mr_ip4(0x0a200000 + i);

		netpkt_put(w->raw, w->frame,
			netpkt_ask(w->frame, mac, macs[SERVER], &src, &w->ips[SERVER]));
		if (i % 10 == 0)
			world_run(w, MS);
	}
	world_run(w, 20 * SECOND);
	expect_clients(w, 1, SECOND);
	assert_true(value(&stack_counters(w)->neighbours) <= 256);
	assert_true(value(&stack_counters(w)->neighbours_evicted) > 15000);
	world_close(w);
}

static void arp_flood_leaves_a_transfer_alone(void **)
{
	address_flood(false);
}

static void nd_flood_leaves_a_transfer_alone(void **)
{
	address_flood(true);
}

// Opens a connection of the attacker's own; returns the sequence number of the server.
static uint32_t attacker_connect(struct world *w, uint16_t port, uint16_t window)
{
	struct netpkt_tcp t = {
		.src_port = port, .dst_port = PORT, .seq = 999, .flags = NP_SYN, .window = window};
	struct mr_frame f[32];
	uint32_t isn = 0;
	int n;

	attacker_tcp(w, &w->attacker, &t);
	for (int i = 0; i < 4; i++) {
		w->now_ns += 60000;
		mr_sim_time(w->sim, w->now_ns);
		mr_stack_turn(w->stacks[SERVER], w->now_ns, 8);
		while ((n = mr_port_rx(w->raw, f, 32)) > 0) {
			for (int k = 0; k < n; k++) {
				struct netpkt p;
				struct netpkt_tcp s;
				const char *why;

				attacker_answer(w, &f[k]);
				if (netpkt_parse(f[k].data, f[k].bytes, true, &p, &why) &&
					netpkt_parse_tcp(&p, &s) && s.dst_port == port &&
					s.flags & NP_SYN)
					isn = s.seq;
			}
			mr_port_rx_done(w->raw, f, n);
		}
	}
	t.seq = 1000;
	t.ack = isn + 1;
	t.flags = NP_ACK;
	attacker_tcp(w, &w->attacker, &t);
	world_run(w, 200000);
	return isn;
}

static void holes_and_tiny_segments_hold_little(void **)
{
	struct world *w = world_open(
		false, (struct mr_tcp_options){.connections_max = 256, .memory_bytes = 8u << 20});
	static const uint8_t byte[1] = {7};

	attacker_connect(w, 99, 1000); // so that the server knows its neighbour
	for (uint16_t i = 0; i < 100; i++) {
		uint32_t isn = attacker_connect(w, (uint16_t)(100 + i), 65535);

		for (uint32_t k = 0; k < 100; k++) {
			struct netpkt_tcp t = {.src_port = (uint16_t)(100 + i),
				.dst_port = PORT,
				.seq = 1000 + 2 + k * 5000,
				.ack = isn + 1,
				.flags = NP_ACK,
				.window = 1000,
				.payload = byte,
				.payload_bytes = 1};

			attacker_tcp(w, &w->attacker, &t);
		}
		world_run(w, MS);
	}
	assert_true(value(&tcp_counters(w)->memory_used) <= 8u << 20);
	assert_true(value(&tcp_counters(w)->out_of_order) > 1000);
	client_begin(w, 0, 500000);
	world_run(w, 60 * SECOND);
	expect_clients(w, 1, SECOND);
	world_close(w);
}

static void shut_windows_do_not_starve_the_others(void **)
{
	struct world *w = world_open(false, (struct mr_tcp_options){.connections_max = 256,
						    .memory_bytes = 16u << 20,
						    .send_queue_max = 65536});
	static uint8_t bytes[1400];

	attacker_connect(w, 99, 0);
	for (uint16_t i = 0; i < 100; i++) {
		uint32_t isn = attacker_connect(w, (uint16_t)(100 + i), 0);

		for (uint32_t k = 0; k < 60; k++) { // asks for echoes and never takes them
			struct netpkt_tcp t = {.src_port = (uint16_t)(100 + i),
				.dst_port = PORT,
				.seq = 1000 + k * 1400,
				.ack = isn + 1,
				.flags = NP_ACK,
				.window = 0,
				.payload = bytes,
				.payload_bytes = sizeof(bytes)};

			attacker_tcp(w, &w->attacker, &t);
		}
		world_run(w, MS);
	}
	assert_true(value(&tcp_counters(w)->memory_used) <= 16u << 20);
	for (uint32_t i = 0; i < 20; i++)
		client_begin(w, i, 50000);
	world_run(w, 60 * SECOND);
	expect_clients(w, 20, SECOND);
	world_close(w);
}

// A hundred connections whose peer has left the link: each is tried by its own timer, no oftener.
static void dead_neighbour_costs_little(void **)
{
	struct world *w = world_open(false, (struct mr_tcp_options){.connections_max = 256});
	static uint8_t bytes[100];
	uint64_t before;

	attacker_connect(w, 99, 65535);
	for (uint16_t i = 0; i < 100; i++) {
		uint32_t isn = attacker_connect(w, (uint16_t)(100 + i), 65535);
		struct netpkt_tcp t = {.src_port = (uint16_t)(100 + i),
			.dst_port = PORT,
			.seq = 1000,
			.ack = isn + 1,
			.flags = NP_ACK,
			.window = 65535,
			.payload = bytes,
			.payload_bytes = sizeof(bytes)};

		attacker_tcp(w, &w->attacker, &t);
	}
	w->silent = true;
	world_run(w, 60 * SECOND);
	before = value(&stack_counters(w)->neighbour_unknown);
	assert_true(before > 0);
	world_run(w, 100 * SECOND);
	assert_true(value(&stack_counters(w)->neighbour_unknown) - before < 1000);
	assert_int_equal(value(&tcp_counters(w)->connections), 100); // the idle one is gone
	world_close(w);
}

static void icmp_lies_change_nothing(void **)
{
	struct world *w = world_open(false, (struct mr_tcp_options){.connections_max = 64});
	struct mr_tcp_info info[4];

	client_begin(w, 0, 3000000);
	world_run(w, MS);
	assert_int_equal(mr_tcp_list(w->tcp[SERVER], info, 4), 1);
	for (uint32_t i = 0; i < 5000; i++) {
		struct netpkt q = attacker_packet(w, MR_IP_TCP), p = attacker_packet(w, MR_IP_ICMP);
		struct netpkt_tcp t = {.src_port = PORT,
			.dst_port = info[0].peer_port,
			.seq = (uint32_t)mr_rand_u64(&w->rand)};
		uint8_t tcp[32], l4[128] = {3, (uint8_t)(i % 6)};

		q.src = w->ips[SERVER];
		q.dst = w->ips[CLIENT];
		q.l4 = tcp;
		q.l4_bytes = netpkt_tcp(tcp, &t);
		memcpy(l4 + 8, w->frame + 14, netpkt_build(w->frame, &q) - 14);
		mr_store_be32(l4 + 4, 576);
		p.l4 = l4;
		p.l4_bytes = 48;
		netpkt_put(w->raw, w->frame, netpkt_build(w->frame, &p));
		world_run(w, 20000);
	}
	world_run(w, 20 * SECOND);
	expect_clients(w, 1, SECOND);
	// One in thousands hits what is in flight by chance.
	assert_true(value(&stack_counters(w)->icmp_unbelieved) > 4900);
	assert_true(value(&stack_counters(w)->pmtu_lowered) < 10);
	world_close(w);
}

static void pings_are_answered_within_the_limit(void **)
{
	struct world *w = world_open(false, (struct mr_tcp_options){.connections_max = 64});
	struct netpkt p = attacker_packet(w, MR_IP_ICMP);
	uint8_t l4[64] = {8};
	uint64_t before = value(&stack_counters(w)->icmp_out);

	p.l4 = l4;
	p.l4_bytes = sizeof(l4);
	for (int i = 0; i < 20000; i++) {
		netpkt_put(w->raw, w->frame, netpkt_build(w->frame, &p));
		world_run(w, MS / 10);
	}
	assert_true(value(&stack_counters(w)->icmp_out) - before <= 300 + 1);
	world_close(w);
}

static void churn_leaves_nothing_behind(void **)
{
	struct world *w = world_open(false, (struct mr_tcp_options){.connections_max = 1024,
						    .timewaits_max = 2048,
						    .timewait_ns = SECOND / 10});
	const char *text = getenv("CHURN");
	uint32_t total = text ? (uint32_t)atol(text) : 10000, begun = 0;

	armed = true;
	while (w->done < total) {
		uint32_t at_work = begun - w->done;

		for (uint32_t i = 0; i < CLIENTS_MAX && at_work < 200 && begun < total; i++) {
			if (w->clients[i].conn)
				continue;
			client_begin(w, i, 1 + begun % 700);
			begun++;
			at_work++;
		}
		world_run(w, MS / 4);
		assert_true(w->now_ns < 100000 * SECOND);
		if (begun % 4096 < 10)
			mr_tcp_check(w->tcp[SERVER]);
	}
	world_run(w, 5 * SECOND);
	armed = false;
	assert_int_equal(allocations, 0);
	for (int i = 0; i < 2; i++) {
		struct mr_tcp_counters *c = mr_tcp_counters(w->tcp[i]);

		assert_int_equal(value(&c->connections), 0);
		assert_int_equal(value(&c->timewaits), 0);
		assert_int_equal(value(&c->memory_used), 0);
		assert_int_equal(value(&c->syns), 0);
		assert_int_equal(value(&c->retransmits), 0);
	}
	assert_int_equal(value(&tcp_counters(w)->opened), total);
	assert_int_equal(value(&tcp_counters(w)->closed), total);
	world_close(w);
}

// 128 workers behind one port: each gets the connections of its own TCP port.
static void steering_to_128_workers(void **)
{
	enum { WORKERS = 128 };
	static struct mr_stack *workers[WORKERS];
	struct world w = {.now_ns = SECOND};
	struct mr_sim_port_options po = {
		.mac = macs[SERVER], .queues = WORKERS, .port_first = PORT};
	struct mr_stack_options o = {.addresses_count = 1,
		.answer_echo = true,
		.now_ns = SECOND,
		.neighbours_max = 64,
		.tcp = {.connections_max = 16,
			.memory_bytes = 1 << 20,
			.syns_max = 16,
			.timewaits_max = 16}};
	static struct client clients[WORKERS];
	struct mr_tcp_listener *l;

	assert_int_equal(mr_sim_create(1, 32768, 2048, &w.sim), 0);
	assert_int_equal(mr_sim_add(w.sim, &po), 0);
	po = (struct mr_sim_port_options){.mac = macs[CLIENT]};
	assert_int_equal(mr_sim_add(w.sim, &po), 1);
	assert_int_equal(mr_ip_parse("10.0.0.1", &o.addresses[0].ip), 0);
	o.addresses[0].prefix = 24;
	for (uint32_t i = 0; i < WORKERS; i++) {
		o.port = mr_sim_queue(w.sim, 0, i);
		o.secondary = i > 0;
		assert_int_equal(mr_stack_create(&o, &workers[i]), 0);
		assert_int_equal(mr_tcp_listen(mr_stack_tcp(workers[i]), (uint16_t)(PORT + i),
					 &server_events, NULL, &l),
			0);
	}
	world_stack(&w, CLIENT,
		(struct mr_tcp_options){.connections_max = 1024, .memory_bytes = 8 << 20});
	w.ips[SERVER] = o.addresses[0].ip;
	for (int t = 0; t < 3000 && w.done < WORKERS; t++) {
		if (t == 5)
			for (uint32_t i = 0; i < WORKERS; i++) {
				clients[i] = (struct client){.w = &w, .want = 1000};
				assert_int_equal(
					mr_tcp_connect(w.tcp[CLIENT], &w.ips[CLIENT], 0,
						&w.ips[SERVER], (uint16_t)(PORT + i),
						&client_events, &clients[i], &clients[i].conn),
					0);
			}
		w.now_ns += MS;
		mr_sim_time(w.sim, w.now_ns);
		mr_stack_turn(w.stacks[CLIENT], w.now_ns, 64);
		mr_sim_time(w.sim, w.now_ns);
		for (uint32_t i = 0; i < WORKERS; i++)
			mr_stack_turn(workers[i], w.now_ns, 8);
	}
	assert_int_equal(w.done, WORKERS);
	for (uint32_t i = 0; i < WORKERS; i++) {
		assert_int_equal(value(&mr_tcp_counters(mr_stack_tcp(workers[i]))->opened), 1);
		// One of them announces; all have learnt from the answers to it and the others'
		// questions.
		assert_true(i == 0 || value(&mr_stack_counters(workers[i])->arp_in) > 0);
		mr_stack_destroy(workers[i]);
	}
	mr_stack_destroy(w.stacks[CLIENT]);
	mr_sim_time(w.sim, INT64_MAX);
	mr_sim_check(w.sim);
	assert_int_equal(mr_sim_frames_lent(w.sim), 0);
	mr_sim_destroy(w.sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_count_of_allocations_counts),
		cmocka_unit_test(syn_flood_lets_clients_through_v4),
		cmocka_unit_test(syn_flood_lets_clients_through_v6),
		cmocka_unit_test(blind_segments_do_not_touch_a_transfer),
		cmocka_unit_test(arp_flood_leaves_a_transfer_alone),
		cmocka_unit_test(nd_flood_leaves_a_transfer_alone),
		cmocka_unit_test(holes_and_tiny_segments_hold_little),
		cmocka_unit_test(shut_windows_do_not_starve_the_others),
		cmocka_unit_test(dead_neighbour_costs_little),
		cmocka_unit_test(icmp_lies_change_nothing),
		cmocka_unit_test(pings_are_answered_within_the_limit),
		cmocka_unit_test(churn_leaves_nothing_behind),
		cmocka_unit_test(steering_to_128_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
