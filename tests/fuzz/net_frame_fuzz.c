// Any frames at all into the whole stack: Ethernet to TCP, over IPv4 and IPv6, with connections
// open, sending and paused.
//
// The input is a list of operations. Most of them make a segment that the stack will look at:
// addresses and checksums right, sequence numbers near the window, flags and options of any kind.
// Some spoil a byte after the checksums were made, some hand over raw bytes, some let time pass or
// have the application act. What must hold: the invariants of TCP and of the frame pool, and
// everything the stack sends is a whole frame with right checksums.
#include "dataplane/tcpip/port_sim.h"
#include "dataplane/tcpip/stack.h"
#include "tests/lib/netpkt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
	PORT = 9092,
	PEERS = 4, // ports of the peer: 1000 to 1003
	OPS_MAX = 300,
};

static const struct mr_mac our_mac = {{0x02, 0, 0, 0, 0, 1}};
static const struct mr_mac peer_mac = {{0x02, 0, 0, 0, 0, 2}};

struct bench {
	struct mr_sim *sim;
	struct mr_port *peer;
	struct mr_stack *stack;
	struct mr_tcp *tcp;
	struct mr_ip ours, theirs;
	struct mr_tcp_conn *conns[PEERS];
	uint32_t peer_seq[PEERS]; // the next that the peer would send
	uint32_t our_seq[PEERS];  // the next that we would, as the peer has seen it
	uint32_t our_ts[PEERS];
	uint8_t mode; // what the application does with data
	int64_t now_ns;
	uint8_t frame[NETPKT_MAX], l4[NETPKT_MAX];
};

static struct bench *bench;

// ---- the application

static int peer_of(struct mr_tcp_conn *c)
{
	struct mr_tcp_info info;

	mr_tcp_get_info(c, &info);
	return info.peer_port - 1000;
}

static int on_opened(void *, struct mr_tcp_conn *c)
{
	int i = peer_of(c);

	if (i < 0 || i >= PEERS)
		return -1;
	bench->conns[i] = c;
	mr_tcp_set_user(c, &bench->conns[i]);
	return 0;
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	if (err)
		*(struct mr_tcp_conn **)mr_tcp_user(c) = NULL;
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span s)
{
	MR_ASSERT(s.bytes > 0);
	switch (bench->mode & 7) {
	case 1: mr_tcp_pause(c); return s.bytes / 2;
	case 2: mr_tcp_send(c, s.data, s.bytes); return s.bytes;
	case 3:
		*(struct mr_tcp_conn **)mr_tcp_user(c) = NULL;
		mr_tcp_close(c);
		return s.bytes;
	case 4:
		*(struct mr_tcp_conn **)mr_tcp_user(c) = NULL;
		mr_tcp_abort(c);
		return s.bytes;
	default: return s.bytes;
	}
}

static void on_sendable(struct mr_tcp_conn *)
{
}

static void on_ended(struct mr_tcp_conn *c)
{
	if (bench->mode & 8) {
		*(struct mr_tcp_conn **)mr_tcp_user(c) = NULL;
		mr_tcp_close(c);
	}
}

static void on_closed(struct mr_tcp_conn *c, int)
{
	*(struct mr_tcp_conn **)mr_tcp_user(c) = NULL;
}

static const struct mr_tcp_events events = {
	.opened = on_opened,
	.connected = on_connected,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

// ---- the wire

static void put(struct bench *b, const uint8_t *frame, uint32_t bytes)
{
	if (bytes >= MR_ETH_BYTES)
		netpkt_put(b->peer, frame, bytes);
}

static void see(struct bench *b, const struct mr_frame *f)
{
	struct netpkt p;
	struct netpkt_tcp t;
	const char *why;
	bool whole = netpkt_parse(f->data, f->bytes, true, &p, &why);
	int i;

	MR_ASSERT(whole);
	if (!netpkt_parse_tcp(&p, &t))
		return;
	i = t.dst_port - 1000;
	if (i < 0 || i >= PEERS)
		return;
	b->our_seq[i] = t.seq + t.payload_bytes + !!(t.flags & (NP_SYN | NP_FIN));
	if (t.flags & NP_ACK)
		b->peer_seq[i] = t.ack;
	if (t.options_bytes >= 12 && t.options[0] == 1 && t.options[2] == 8)
		b->our_ts[i] = mr_load_be32(t.options + 4);
}

static void turn(struct bench *b)
{
	struct mr_frame f[32];
	int n;

	for (int i = 0; i < 4; i++) {
		mr_sim_time(b->sim, b->now_ns);
		mr_stack_turn(b->stack, b->now_ns, 4);
	}
	mr_sim_time(b->sim, b->now_ns);
	while ((n = mr_port_rx(b->peer, f, 32)) > 0) {
		for (int i = 0; i < n; i++)
			see(b, &f[i]);
		mr_port_rx_done(b->peer, f, n);
	}
	mr_tcp_check(b->tcp);
}

static struct netpkt packet(struct bench *b, uint8_t protocol)
{
	return netpkt_ip(peer_mac, our_mac, &b->theirs, &b->ours, protocol);
}

static void learn_peer(struct bench *b)
{
	put(b, b->frame, netpkt_ask(b->frame, peer_mac, our_mac, &b->theirs, &b->ours));
	turn(b);
}

// ---- operations

static void op_segment(struct bench *b, struct mr_reader *r, bool spoil)
{
	static uint8_t payload[1460];
	int i = mr_read_u8(r) % PEERS;
	uint8_t shape = mr_read_u8(r), options_bytes = (uint8_t)(mr_read_u8(r) % 11 * 4);
	struct netpkt_tcp t = {.src_port = (uint16_t)(1000 + i), .dst_port = PORT};
	struct netpkt p = packet(b, MR_IP_TCP);
	uint8_t options[40];
	uint32_t bytes;

	t.flags = mr_read_u8(r);
	if (shape & 1) // most often what a peer would send
		t.flags = NP_ACK | (t.flags & NP_PSH) | (t.flags & 64 ? NP_FIN : 0);
	t.seq = b->peer_seq[i] + (uint32_t)(int16_t)mr_read_be16(r) * (shape & 2          ? 0
									      : shape & 4 ? 1
											  : 1460);
	t.ack = b->our_seq[i] + (uint32_t)(int16_t)mr_read_be16(r) * (shape & 8 ? 0 : 1);
	t.window = mr_read_be16(r);
	t.payload = payload;
	t.payload_bytes = shape & 16 ? mr_read_be16(r) % sizeof(payload) : 0;
	for (int k = 0; k < options_bytes; k++)
		options[k] = mr_read_u8(r);
	if (shape & 32 && options_bytes >= 12) { // timestamps that are right
		mr_store_be32(options, 0x0101080a);
		mr_store_be32(options + 8, b->our_ts[i]);
	} else if (shape & 64 && options_bytes >= 12) { // SACK near what is in flight
		mr_store_be32(options, 0x01010500u | (options_bytes - 2u));
		for (int k = 4; k < options_bytes; k += 4)
			mr_store_be32(options + k,
				b->our_seq[i] + (uint32_t)(int16_t)mr_load_be16(options + k));
	}
	t.options = options;
	t.options_bytes = options_bytes;
	p.l4 = b->l4;
	p.l4_bytes = netpkt_tcp(b->l4, &t);
	bytes = netpkt_build(b->frame, &p);
	if (spoil)
		b->frame[mr_read_be16(r) % bytes] ^= mr_read_u8(r);
	put(b, b->frame, bytes);
}

// A whole handshake, so that the rest meets an open connection.
static void op_establish(struct bench *b, struct mr_reader *r)
{
	static const uint8_t options[] = {
		2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 4, 2, 1, 1};
	int i = mr_read_u8(r) % PEERS;
	struct netpkt_tcp t = {.src_port = (uint16_t)(1000 + i),
		.dst_port = PORT,
		.flags = NP_SYN,
		.window = 65535,
		.options = options,
		.options_bytes = sizeof(options)};
	struct netpkt p = packet(b, MR_IP_TCP);
	uint8_t with = mr_read_u8(r), ts[12];

	t.seq = with & 1 ? 0xfffffff0u : mr_read_be32(r);
	if (with & 2)
		t.options_bytes = 8;
	p.l4 = b->l4;
	p.l4_bytes = netpkt_tcp(b->l4, &t);
	put(b, b->frame, netpkt_build(b->frame, &p));
	turn(b);
	t.flags = NP_ACK;
	t.seq++;
	t.ack = b->our_seq[i];
	t.options_bytes = with & 2 ? 0 : 12;
	mr_store_be32(ts, 0x0101080a);
	mr_store_be32(ts + 4, 2);
	mr_store_be32(ts + 8, b->our_ts[i]);
	t.options = ts;
	p.l4_bytes = netpkt_tcp(b->l4, &t);
	put(b, b->frame, netpkt_build(b->frame, &p));
}

// IP with any content: ICMP, ND, extension headers.
static void op_ip(struct bench *b, struct mr_reader *r)
{
	uint8_t protocol = mr_read_u8(r), n = mr_read_u8(r);
	struct netpkt p = packet(b, protocol);
	uint32_t ext = mr_read_u8(r) % 4 * 8;
	const uint8_t *body;

	if (protocol & 0x80)
		p.protocol = mr_ip_is_v4(&b->ours) ? MR_IP_ICMP : MR_IP_ICMP6;
	p.hop_limit = protocol & 0x40 ? 255 : 1;
	p.ext_first = mr_read_u8(r);
	if (n & 1)
		memcpy(p.eth_dst.b, "\x33\x33\0\0\0\1", 6);
	if (n & 1)
		memcpy(p.dst.b, "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	if (mr_ip_is_v4(&b->ours))
		ext = 0, p.dst = b->ours, p.eth_dst = our_mac;
	body = mr_read_bytes(r, ext + n);
	if (!body)
		return;
	p.ext = body;
	p.ext_bytes = ext;
	p.l4 = body + ext;
	p.l4_bytes = n;
	put(b, b->frame, netpkt_build(b->frame, &p));
}

// An ICMP error that quotes a segment of ours.
static void op_error(struct bench *b, struct mr_reader *r)
{
	bool v4 = mr_ip_is_v4(&b->ours);
	struct netpkt q = packet(b, MR_IP_TCP), p = packet(b, v4 ? MR_IP_ICMP : MR_IP_ICMP6);
	int i = mr_read_u8(r) % PEERS;
	struct netpkt_tcp t = {.src_port = PORT, .dst_port = (uint16_t)(1000 + i)};
	uint8_t tcp[32], l4[128];

	t.seq = b->our_seq[i] + (uint32_t)(int16_t)mr_read_be16(r);
	q.src = b->ours;
	q.dst = b->theirs;
	q.l4 = tcp;
	q.l4_bytes = netpkt_tcp(tcp, &t);
	memcpy(l4 + 8, b->frame + 14, netpkt_build(b->frame, &q) - 14);
	l4[0] = mr_read_u8(r) % 13;
	l4[1] = mr_read_u8(r) % 6;
	mr_store_be32(l4 + 4, mr_read_be16(r));
	p.l4 = l4;
	p.l4_bytes = 8 + (v4 ? 40 : 60);
	put(b, b->frame, netpkt_build(b->frame, &p));
}

static void op_raw(struct bench *b, struct mr_reader *r)
{
	uint32_t n = mr_read_u8(r);
	const uint8_t *p = mr_read_bytes(r, n);

	if (!p)
		return;
	memcpy(b->frame, our_mac.b, 6);
	memcpy(b->frame + 6, peer_mac.b, 6);
	memcpy(b->frame + 12, p, n);
	put(b, b->frame, 12 + n);
}

static void op_app(struct bench *b, struct mr_reader *r)
{
	uint8_t what = mr_read_u8(r);
	int i = what >> 4 & (PEERS - 1);
	struct mr_tcp_conn *c = b->conns[i];
	static uint8_t bytes[65536];

	b->mode = mr_read_u8(r);
	if (!c) {
		if ((what & 15) == 7 &&
			mr_tcp_connect(b->tcp, &b->ours, PORT + 1, &b->theirs, (uint16_t)(1000 + i),
				&events, &b->conns[i], &b->conns[i]) < 0)
			b->conns[i] = NULL;
		return;
	}
	switch (what & 15) {
	case 0: mr_tcp_pause(c); break;
	case 1: mr_tcp_resume(c); break;
	case 2: mr_tcp_send(c, bytes, mr_read_be16(r)); break;
	case 3: mr_tcp_shutdown(c); break;
	case 4:
		b->conns[i] = NULL;
		mr_tcp_close(c);
		break;
	case 5:
		b->conns[i] = NULL;
		mr_tcp_abort(c);
		break;
	default: mr_tcp_send(c, bytes, 100);
	}
}

static void op_time(struct bench *b, struct mr_reader *r)
{
	static const int64_t steps[] = {
		1000, 1000000, 40000000, 200000000, 1000000000, 10000000000};
	int64_t end_ns = b->now_ns + steps[mr_read_u8(r) % MR_COUNT_OF(steps)];

	for (int i = 0; i < 50 && b->now_ns < end_ns; i++) {
		b->now_ns = MR_MIN(MR_MAX(mr_stack_next_ns(b->stack), b->now_ns + 1), end_ns);
		turn(b);
	}
	b->now_ns = end_ns;
}

static void run(struct bench *b, struct mr_reader *r)
{
	for (int i = 0; i < OPS_MAX && mr_read_left(r) > 0; i++) {
		uint8_t op = mr_read_u8(r);

		switch (op % 16) {
		case 0: op_establish(b, r); break;
		case 1: op_raw(b, r); break;
		case 2: op_ip(b, r); break;
		case 3: op_error(b, r); break;
		case 4:
		case 5: op_app(b, r); break;
		case 6: op_time(b, r); break;
		case 7: op_segment(b, r, true); break;
		default: op_segment(b, r, false);
		}
		// Sometimes several frames make a burst.
		if (!(op & 0x80))
			turn(b);
	}
}

static void begin(struct bench *b, uint8_t how)
{
	struct mr_sim_port_options po = {.mac = our_mac, .mtu = 1500};
	struct mr_stack_options o = {.addresses_count = 1, .answer_echo = true, .accept_ra = true};
	struct mr_tcp_listener *listener;

	b->now_ns = 1000000000;
	MR_ASSERT(mr_sim_create(1, 600, 2048, &b->sim) == 0);
	MR_ASSERT(mr_sim_add(b->sim, &po) == 0);
	po.mac = peer_mac;
	MR_ASSERT(mr_sim_add(b->sim, &po) == 1);
	b->peer = mr_sim_queue(b->sim, 1, 0);
	MR_ASSERT(mr_ip_parse(how & 1 ? "fd00::1" : "10.0.0.1", &b->ours) == 0);
	MR_ASSERT(mr_ip_parse(how & 1 ? "fd00::2" : "10.0.0.2", &b->theirs) == 0);
	o.port = mr_sim_queue(b->sim, 0, 0);
	o.addresses[0] = (struct mr_stack_address){b->ours, how & 1 ? 64 : 24};
	o.now_ns = b->now_ns;
	o.neighbours_max = 16;
	o.tcp = (struct mr_tcp_options){.connections_max = 8,
		.syns_max = how & 2 ? 1 : 8,
		.timewaits_max = 4,
		.memory_bytes = how & 4 ? 128u << 10 : 1u << 20,
		.receive_window_max = how & 8 ? 8192 : 1u << 18,
		.send_queue_max = 1u << 16,
		.always_cookies = how & 16};
	MR_ASSERT(mr_stack_create(&o, &b->stack) == 0);
	b->tcp = mr_stack_tcp(b->stack);
	MR_ASSERT(mr_tcp_listen(b->tcp, PORT, &events, b, &listener) == 0);
	for (int i = 0; i < 3; i++, b->now_ns += 1000000000)
		turn(b);
	learn_peer(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_reader r = mr_reader(mr_span(data, bytes));
	struct bench b = {.mode = 0};

	bench = &b;
	begin(&b, mr_read_u8(&r));
	run(&b, &r);
	mr_stack_destroy(b.stack);
	mr_sim_time(b.sim, INT64_MAX);
	mr_sim_check(b.sim);
	MR_ASSERT(mr_sim_frames_lent(b.sim) == 0);
	mr_sim_destroy(b.sim);
	return 0;
}
