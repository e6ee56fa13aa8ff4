// TCP under hostile peers and careless users. The input is a script of single bytes and their
// arguments: segments near the windows or anywhere, raw bytes, users' calls, time, missing frames,
// ICMP. Checked after every step: every invariant of every connection (mr_tcp_check); at the end,
// that silence brings everything to its end and gives all memory back.
#include "tests/lib/tcp_hand.h"

#include <stdlib.h>

enum { PEERS = 4, STEPS_MAX = 400 };

static struct hand h;
static struct mr_tcp_conn *open_conns[64];
static uint32_t open_count;

static void forget(struct mr_tcp_conn *c)
{
	for (uint32_t i = 0; i < open_count; i++) {
		if (open_conns[i] == c) {
			open_conns[i] = open_conns[--open_count];
			return;
		}
	}
}

static int remember(struct hand *, struct mr_tcp_conn *c)
{
	open_conns[open_count++] = c;
	return 0;
}

static void closed(struct hand *, struct mr_tcp_conn *c)
{
	forget(c);
}

static struct mr_tcp_conn *pick(struct mr_reader *r)
{
	return open_count ? open_conns[mr_read_u8(r) % open_count] : NULL;
}

// Script bytes are read in statements of their own: C does not order arguments.
//
// A number near one of the connection's, or anywhere.
static uint32_t near(struct mr_reader *r, uint32_t a, uint32_t b)
{
	uint8_t how = mr_read_u8(r);

	if (how == 255)
		return mr_read_be32(r);
	return (how & 1 ? a : b) + (uint32_t)((int32_t)(int8_t)how / 2) * (how & 2 ? 700u : 1u);
}

static void segment(struct mr_reader *r)
{
	uint8_t peer = mr_read_u8(r), flags = mr_read_u8(r), options = mr_read_u8(r);
	struct hand_seg s = {.peer = peer % PEERS, .flags = flags & 0x3f};
	uint8_t size = mr_read_u8(r);
	struct mr_tcp_conn *c = pick(r);
	uint32_t iss = h.iss, irs = h.irs;

	if (c && options & 1) {
		s.peer = c->e.peer_port - 5000u;
		h.iss = c->iss;
		s.seq = near(r, c->rcv_nxt, c->rcv_edge) - h.irs;
		s.ack = near(r, c->snd_una, c->snd_max) - h.iss;
	} else {
		s.seq = mr_read_u8(r);
		s.ack = mr_read_u8(r) & 1;
	}
	s.bytes = options & 2 ? size * 16u : size & 15;
	s.window = options & 4 ? HAND_SHUT : (uint32_t)size * 257;
	s.ts = options & 8 ? mr_read_u8(r) + 1u : 0;
	for (uint32_t i = 0; c && (options & 48) == 16 && i < 4; i++) {
		s.sack[i] = near(r, c->snd_una, c->snd_max) - h.iss;
		s.sacks = 2;
	}
	if (options & 32) {
		s.mss = mr_read_be16(r);
		s.sack_ok = true;
		s.wscale = HAND_SCALE(size % 16);
	}
	hand_give(&h, s);
	if (c && options & 1)
		h.iss = iss;
	h.irs = irs;
}

static void raw(struct mr_reader *r)
{
	size_t n = MR_MIN(mr_read_u8(r), mr_read_left(r));
	struct mr_tcp_segment_in in = {
		mr_ip4(0x0a000002), mr_ip4(0x0a000001), mr_read_bytes(r, n), (uint32_t)n, false};

	if (in.l4)
		mr_tcp_input(h.t, &in);
}

static void user(struct mr_reader *r)
{
	static uint8_t text[70000];
	struct mr_tcp_conn *c = pick(r);
	uint8_t what = mr_read_u8(r);

	if (!c)
		return;
	switch (what % 8) {
	case 0: mr_tcp_send(c, text, mr_read_be16(r)); break;
	case 1: mr_tcp_pause(c); break;
	case 2: mr_tcp_resume(c); break;
	case 3: mr_tcp_shutdown(c); break;
	case 4:
		forget(c);
		mr_tcp_close(c);
		break;
	case 5:
		forget(c);
		mr_tcp_abort(c);
		break;
	case 6: h.take_max = mr_read_u8(r) & 1 ? SIZE_MAX : mr_read_u8(r); break;
	default: h.begin_err = what & 8 ? -EAGAIN : what & 16 ? -EHOSTUNREACH : 0; break;
	}
}

static void icmp(struct mr_reader *r)
{
	struct mr_tcp_conn *c = pick(r);
	uint16_t mtu = mr_read_be16(r);

	if (c)
		mr_tcp_icmp(h.t, &c->e.path.local, c->e.local_port, &c->e.path.peer, c->e.peer_port,
			near(r, c->snd_una, c->snd_max), mtu, true);
}

static void step(struct mr_reader *r)
{
	switch (mr_read_u8(r) % 8) {
	case 0:
	case 1:
	case 2: segment(r); break;
	case 3: raw(r); break;
	case 4: user(r); break;
	case 5: icmp(r); break;
	case 6: hand_wait(&h, (int64_t)mr_read_u8(r) * mr_read_u8(r) * HAND_MS); break;
	default: hand_flush(&h); break;
	}
	mr_tcp_check(h.t);
}

static void start(uint8_t how)
{
	struct mr_tcp_options o = hand_options();

	o.memory_bytes = 256u << 10;
	o.receive_window_max = how & 1 ? 20000 : 100000;
	o.always_cookies = how & 2;
	o.no_sack = how & 4;
	hand_init(&h, &o);
	h.no_ts = how & 8;
	h.in_opened = remember;
	h.in_closed = closed;
	open_count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_reader r = mr_reader(mr_span(data, bytes));

	start(mr_read_u8(&r));
	for (int i = 0; i < STEPS_MAX && mr_read_left(&r) > 0; i++)
		step(&r);
	h.begin_err = 0;
	h.take_max = SIZE_MAX;
	while (open_count) {
		struct mr_tcp_conn *c = open_conns[--open_count];

		mr_tcp_close(c);
	}
	hand_wait(&h, 3000000 * HAND_MS);
	MR_ASSERT(atomic_load(&h.t->counters.connections) == 0 && h.t->blocks.used == 0);
	MR_ASSERT(mr_tcp_next_ns(h.t) == INT64_MAX);
	hand_fini(&h);
	return 0;
}
