// Simulated lives of connections.
//
// What must hold: after every step the invariants of both stacks and of the wire; each byte
// delivered is the next one that was sent; no connection that has something to say stands still for
// longer than its timers explain; in the end everything that was sent without an abort has come,
// all connections, blocks and frames are back.
#include "tests/lib/tcp_life.h"

#include "dataplane/tcpip/pcapng.h"
#include "dataplane/tcpip/port_sim.h"
#include "dataplane/tcpip/stack.h"
#include "host/base/hash.h"
#include "host/base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000000ll
#define MS     1000000ll

enum {
	PAIRS_MAX = 24,
	PORT = 9092,
	CLIENT_PORT = 20000,
	FRAMES = 16384,
	SERVER = 0,
	CLIENT = 1,
	LIFE_MAX_S = 900,
};

struct life;

// One end of a connection, with its application.
struct end {
	struct life *life;
	struct mr_tcp_conn *conn;
	int pair, side;
	uint64_t to_send, sent, received;
	uint64_t abort_at; // of bytes received; 0: never
	bool opened, paused, ended, shut, over;
	int64_t wake_ns;     // of a pause; INT64_MAX
	int64_t progress_ns; // when it last got a byte, or could not have got one
};

struct life {
	struct mr_rand rand;
	struct mr_sim *sim;
	struct mr_stack *stacks[2];
	struct mr_tcp *tcp[2];
	struct mr_ip ips[2];
	struct end ends[PAIRS_MAX][2];
	bool aborted[PAIRS_MAX]; // by one of its ends: the rest need not come
	int64_t start_ns[PAIRS_MAX];
	int pairs;
	int64_t now_ns;
	int64_t black_from_ns, black_until_ns;
	int64_t stall_max_ns;
	uint32_t pause_chance;
	uint64_t seed, steps;
	bool verbose;
	struct mr_capture_file *capture;
	jmp_buf fail;
};

static char message[512];

static _Noreturn void wrong(struct life *l, const char *fmt, ...) MR_PRINTF(2, 3);

static _Noreturn void wrong(struct life *l, const char *fmt, ...)
{
	va_list args;
	int at = snprintf(message, sizeof(message),
		"seed %llu at %.6f s: ", (unsigned long long)l->seed, (double)l->now_ns / 1e9);

	va_start(args, fmt);
	vsnprintf(message + at, sizeof(message) - (size_t)at, fmt, args);
	va_end(args);
	longjmp(l->fail, 1);
}

static uint64_t below(struct life *l, uint64_t n)
{
	return mr_rand_below(&l->rand, n);
}

static bool one_in(struct life *l, uint64_t n)
{
	return below(l, n) == 0;
}

// What byte `at` of the stream that `side` of `pair` sends is.
static uint8_t content(int pair, int side, uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 17 + (uint64_t)pair * 7 + (uint64_t)side * 101);
}

// ---- the application

static void app_over(struct end *e)
{
	e->conn = NULL;
	e->over = true;
	e->wake_ns = INT64_MAX;
}

static void app_abort(struct end *e)
{
	struct mr_tcp_conn *c = e->conn;

	e->life->aborted[e->pair] = true;
	app_over(e);
	mr_tcp_abort(c);
}

static void app_send(struct end *e)
{
	uint8_t chunk[3000];

	while (e->conn && e->sent < e->to_send) {
		size_t n = 1 + below(e->life, sizeof(chunk)), taken;

		n = MR_MIN(n, e->to_send - e->sent);
		for (size_t i = 0; i < n; i++)
			chunk[i] = content(e->pair, e->side, e->sent + i);
		taken = mr_tcp_send(e->conn, chunk, n);
		e->sent += taken;
		if (taken < n)
			return;
	}
	if (!e->conn || e->shut)
		return;
	e->shut = true;
	if (e->ended) {
		struct mr_tcp_conn *c = e->conn;

		app_over(e);
		mr_tcp_close(c);
	} else {
		mr_tcp_shutdown(e->conn);
	}
}

static void app_pause(struct end *e)
{
	mr_tcp_pause(e->conn);
	e->paused = true;
	e->wake_ns = e->life->now_ns + (int64_t)below(e->life, (uint64_t)(2 * SECOND));
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span bytes)
{
	struct end *e = mr_tcp_user(c);
	struct life *l = e->life;
	size_t take = bytes.bytes;

	if (bytes.bytes == 0 || e->paused || e->ended || e->over)
		wrong(l, "pair %d side %d: data out of turn", e->pair, e->side);
	if (one_in(l, l->pause_chance)) {
		app_pause(e);
		take = below(l, take + 1);
	}
	for (size_t i = 0; i < take; i++)
		if (bytes.data[i] != content(e->pair, !e->side, e->received + i))
			wrong(l, "pair %d side %d: byte %llu is wrong", e->pair, e->side,
				(unsigned long long)(e->received + i));
	e->received += take;
	e->progress_ns = l->now_ns;
	if (e->received > l->ends[e->pair][!e->side].sent)
		wrong(l, "pair %d side %d: more than was sent", e->pair, e->side);
	if (e->abort_at && e->received >= e->abort_at)
		app_abort(e);
	return take;
}

static void on_sendable(struct mr_tcp_conn *c)
{
	app_send(mr_tcp_user(c));
}

static void on_ended(struct mr_tcp_conn *c)
{
	struct end *e = mr_tcp_user(c);
	struct end *other = &e->life->ends[e->pair][!e->side];

	if (e->ended || e->received != other->to_send)
		wrong(e->life, "pair %d side %d: ended after %llu of %llu bytes", e->pair, e->side,
			(unsigned long long)e->received, (unsigned long long)other->to_send);
	e->ended = true;
	e->progress_ns = e->life->now_ns;
	if (e->shut) {
		app_over(e);
		mr_tcp_close(c);
	}
}

static void on_closed(struct mr_tcp_conn *c, int err)
{
	struct end *e = mr_tcp_user(c);

	if (!e->life->aborted[e->pair])
		wrong(e->life, "pair %d side %d: closed by error %d", e->pair, e->side, err);
	app_over(e);
}

static int on_opened(void *owner, struct mr_tcp_conn *c)
{
	struct life *l = owner;
	struct mr_tcp_info info;
	struct end *e;

	mr_tcp_get_info(c, &info);
	if (info.peer_port < CLIENT_PORT || info.peer_port >= CLIENT_PORT + l->pairs)
		wrong(l, "opened from port %u", info.peer_port);
	e = &l->ends[info.peer_port - CLIENT_PORT][SERVER];
	// The client may have aborted, and our answer be of an old SYN of it.
	if (e->opened && !l->aborted[e->pair])
		wrong(l, "pair %d was opened twice", e->pair);
	if (e->opened)
		return -ECONNREFUSED;
	e->opened = true;
	e->conn = c;
	e->progress_ns = l->now_ns;
	mr_tcp_set_user(c, e);
	app_send(e);
	return 0;
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	struct end *e = mr_tcp_user(c);

	if (err && !e->life->aborted[e->pair])
		wrong(e->life, "pair %d: connect fails with %d", e->pair, err);
	if (err) {
		app_over(e);
		return;
	}
	e->opened = true;
	e->progress_ns = e->life->now_ns;
	app_send(e);
}

static const struct mr_tcp_events events = {
	.opened = on_opened,
	.connected = on_connected,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

// ---- what a seed chooses

static uint32_t per_million(struct life *l, uint32_t max)
{
	return one_in(l, 2) ? (uint32_t)below(l, max + 1) : 0;
}

static struct mr_sim_way choose_way(struct life *l)
{
	static const uint64_t rates[] = {0, 2000000, 10000000, 100000000, 1000000000};
	struct mr_sim_way w = {
		.rate_bps = rates[below(l, MR_COUNT_OF(rates))],
		.queue_bytes = one_in(l, 2) ? 20000 + (uint32_t)below(l, 200000) : 0,
		.delay_ns = one_in(l, 4) ? 0 : (int64_t)below(l, (uint64_t)(40 * MS)),
		.jitter_ns = one_in(l, 2) ? (int64_t)below(l, (uint64_t)(5 * MS)) : 0,
		.loss = per_million(l, 50000),
		.reorder = per_million(l, 50000),
		.reorder_ns = (int64_t)below(l, (uint64_t)(20 * MS)),
		.duplicate = per_million(l, 30000),
		.corrupt = per_million(l, 20000),
		.echo_own = one_in(l, 8),
	};

	if (one_in(l, 4)) {
		w.burst_enter = (uint32_t)below(l, 5000);
		w.burst_leave = 300000 + (uint32_t)below(l, 700000);
	}
	if (one_in(l, 8))
		w.loss_every = 5 + (uint32_t)below(l, 50);
	return w;
}

static bool is_lossy(const struct mr_sim_way *w)
{
	return w->loss || w->burst_enter || w->loss_every || w->corrupt || w->queue_bytes;
}

static struct mr_tcp_options choose_tcp(struct life *l)
{
	struct mr_tcp_options o = {
		.connections_max = 64,
		.memory_bytes = 8u << 20,
		.receive_window_max = 4096u << below(l, 9),
		.send_queue_max = 16384u << below(l, 5),
		.rto_min_ns = (int64_t)(10 + below(l, 200)) * MS,
		.rto_max_ns = 2 * SECOND,
		.timewait_ns = SECOND,
		.fin_wait2_ns = 20 * SECOND,
		.keepalive_idle_ns = 5 * SECOND,
		.keepalive_every_ns = SECOND,
		.keepalive_probes = 60,
		.retries_max = 60,
		.syn_retries_max = 30,
		.no_timestamps = one_in(l, 4),
		.no_sack = one_in(l, 4),
		.seed = mr_rand_u64(&l->rand),
	};

	mr_rand_bytes(&l->rand, o.secret, sizeof(o.secret));
	return o;
}

static void make_stack(struct life *l, int side, bool v6, uint16_t mtu, bool cookies)
{
	struct mr_stack_options o = {.port = mr_sim_queue(l->sim, side, 0),
		.addresses_count = 1,
		.mtu = mtu,
		.seed = mr_rand_u64(&l->rand),
		.now_ns = l->now_ns,
		.tcp = choose_tcp(l)};
	char text[16];

	o.tcp.always_cookies = cookies;
	snprintf(text, sizeof(text), v6 ? "fd00::%d" : "10.0.0.%d", side + 1);
	MR_ASSERT(mr_ip_parse(text, &l->ips[side]) == 0);
	o.addresses[0] = (struct mr_stack_address){l->ips[side], v6 ? 64 : 24};
	MR_ASSERT(mr_stack_create(&o, &l->stacks[side]) == 0);
	l->tcp[side] = mr_stack_tcp(l->stacks[side]);
	if (l->verbose)
		printf("  side %d: mtu %u window %u queue %u rto %lld ms cookies %d ts %d sack "
		       "%d\n",
			side, mtu, o.tcp.receive_window_max, o.tcp.send_queue_max,
			(long long)(o.tcp.rto_min_ns / MS), o.tcp.always_cookies,
			!o.tcp.no_timestamps, !o.tcp.no_sack);
}

static void print_way(int side, const struct mr_sim_way *w)
{
	printf("  way of %d: rate %llu queue %u delay %lld us jitter %lld us loss %u burst %u/%u "
	       "every %u reorder %u duplicate %u corrupt %u mtu %u\n",
		side, (unsigned long long)w->rate_bps, w->queue_bytes,
		(long long)(w->delay_ns / 1000), (long long)(w->jitter_ns / 1000), w->loss,
		w->burst_enter, w->burst_leave, w->loss_every, w->reorder, w->duplicate, w->corrupt,
		w->mtu);
}

static void choose_wire(struct life *l, uint16_t mtu)
{
	bool lossy = false, burst = false;

	for (int i = 0; i < 2; i++) {
		struct mr_sim_port_options o = {
			.mac = {{0x02, 0, 0, 0, 0, (uint8_t)(i + 1)}},
			.mtu = mtu,
			.offloads = (uint32_t)below(l, 4),
			.rx_max = 4096,
			.way = choose_way(l),
		};

		MR_ASSERT(mr_sim_add(l->sim, &o) == i);
		lossy |= is_lossy(&o.way);
		burst |= o.way.burst_enter || o.way.loss_every;
		if (l->verbose)
			print_way(i, &o.way);
	}
	// How often in a row a timer may run out before it is a stall of ours and not of the wire:
	// the chance is less than one in 10^8 then.
	l->stall_max_ns = (burst ? 60 : lossy ? 12 : 2) * 2 * SECOND + 3 * SECOND;
}

static void choose_black(struct life *l)
{
	if (!one_in(l, 3))
		return;
	l->black_from_ns = l->now_ns + (int64_t)below(l, (uint64_t)(5 * SECOND));
	l->black_until_ns = l->black_from_ns + (int64_t)below(l, (uint64_t)(4 * SECOND));
	for (int i = 0; i < 2; i++) {
		mr_sim_way(l->sim, i)->black_from_ns = l->black_from_ns;
		mr_sim_way(l->sim, i)->black_until_ns = l->black_until_ns;
	}
	if (l->verbose)
		printf("  black %.3f to %.3f s\n", (double)l->black_from_ns / 1e9,
			(double)l->black_until_ns / 1e9);
}

static uint64_t choose_bytes(struct life *l)
{
	switch (below(l, 4)) {
	case 0: return 0;
	case 1: return below(l, 1000);
	case 2: return below(l, 20000);
	default: return below(l, 150000);
	}
}

static void choose_pairs(struct life *l)
{
	l->pairs = 1 + (int)below(l, one_in(l, 4) ? PAIRS_MAX : 4);
	l->pause_chance = one_in(l, 2) ? 20 + (uint32_t)below(l, 100) : 1u << 30;
	for (int i = 0; i < l->pairs; i++) {
		l->start_ns[i] = l->now_ns + (int64_t)below(l, (uint64_t)SECOND);
		for (int side = 0; side < 2; side++) {
			struct end *e = &l->ends[i][side];

			*e = (struct end){.life = l,
				.pair = i,
				.side = side,
				.to_send = choose_bytes(l),
				.wake_ns = INT64_MAX};
			if (one_in(l, 16))
				e->abort_at = 1 + below(l, 20000);
		}
	}
}

static void life_begin(struct life *l)
{
	static const uint16_t mtus[] = {1500, 1500, 1280, 9000};
	uint16_t mtu = mtus[below(l, MR_COUNT_OF(mtus))];
	struct mr_tcp_listener *listener;
	bool v6 = one_in(l, 2), cookies = one_in(l, 10);

	l->now_ns = SECOND;
	MR_ASSERT(mr_sim_create(mr_rand_u64(&l->rand), FRAMES, 9216, &l->sim) == 0);
	choose_wire(l, mtu);
	// A cookie is good for the first segment behind the handshake only (RFC 4987 3.6): where
	// that is lost or overtaken, the connection is reset. So they get a way without accidents.
	if (cookies)
		*mr_sim_way(l->sim, CLIENT) =
			(struct mr_sim_way){.delay_ns = 1 + (int64_t)below(l, 40 * MS)};
	make_stack(l, SERVER, v6, mtu, cookies);
	make_stack(l, CLIENT, v6, mtu, false);
	MR_ASSERT(mr_tcp_listen(l->tcp[SERVER], PORT, &events, l, &listener) == 0);
	// Duplicate address detection takes a second.
	for (; l->now_ns < 4 * SECOND; l->now_ns += SECOND) {
		mr_sim_time(l->sim, l->now_ns);
		for (int i = 0; i < 2; i++)
			mr_stack_turn(l->stacks[i], l->now_ns, 8);
	}
	if (!cookies)
		choose_black(l);
	choose_pairs(l);
	if (!cookies && one_in(l, 4)) { // the way becomes narrower, and says so
		struct mr_sim_way *w = mr_sim_way(l->sim, (int)below(l, 2));

		w->mtu = 1280;
		w->mtu_tells = true;
	}
}

// CAPTURE=path: what each side saw, for tshark.
static void life_capture(struct life *l)
{
	struct mr_capture_options o = {
		.path = getenv("CAPTURE"), .lanes = 2, .ring_bytes = 64u << 20, .snap_bytes = 128};

	if (!o.path || mr_capture_open(&o, &l->capture) < 0)
		return;
	for (uint32_t i = 0; i < 2; i++)
		mr_stack_capture(l->stacks[i], mr_capture_lane(l->capture, i));
}

// ---- time

static void start_pairs(struct life *l)
{
	for (int i = 0; i < l->pairs; i++) {
		struct end *e = &l->ends[i][CLIENT];

		if (l->start_ns[i] > l->now_ns)
			continue;
		l->start_ns[i] = INT64_MAX;
		e->progress_ns = l->now_ns;
		MR_ASSERT(
			mr_tcp_connect(l->tcp[CLIENT], &l->ips[CLIENT], (uint16_t)(CLIENT_PORT + i),
				&l->ips[SERVER], PORT, &events, e, &e->conn) == 0);
	}
}

static void wake_ends(struct life *l)
{
	for (int i = 0; i < l->pairs * 2; i++) {
		struct end *e = &l->ends[i / 2][i % 2];

		if (e->wake_ns > l->now_ns)
			continue;
		e->wake_ns = INT64_MAX;
		e->paused = false;
		e->progress_ns = l->now_ns;
		if (e->conn)
			mr_tcp_resume(e->conn);
	}
}

// Whether this end waits for something that its peer has given to TCP.
static bool is_waiting(struct life *l, const struct end *e)
{
	const struct end *other = &l->ends[e->pair][!e->side];

	if (l->aborted[e->pair] || e->over || e->paused || l->start_ns[e->pair] != INT64_MAX)
		return false;
	return !e->opened || e->received < other->sent || (other->shut && !e->ended);
}

static void check_stalls(struct life *l)
{
	for (int i = 0; i < l->pairs * 2; i++) {
		struct end *e = &l->ends[i / 2][i % 2];
		int64_t since_ns = e->progress_ns;

		if (!is_waiting(l, e) || l->now_ns < l->black_until_ns) {
			e->progress_ns = l->now_ns;
			continue;
		}
		if (l->now_ns - since_ns > l->stall_max_ns)
			wrong(l, "pair %d side %d stands still since %.3f s: %llu of %llu bytes",
				e->pair, e->side, (double)since_ns / 1e9,
				(unsigned long long)e->received,
				(unsigned long long)l->ends[e->pair][!e->side].sent);
	}
}

static void step(struct life *l)
{
	l->steps++;
	mr_sim_time(l->sim, l->now_ns);
	start_pairs(l);
	wake_ends(l);
	for (int i = 0; i < 2; i++)
		mr_stack_turn(l->stacks[i], l->now_ns, 1 + (int)below(l, 4));
	// After every step of the first few thousand, then now and then: they cost more than the
	// rest.
	if (l->steps < 2000 || l->steps % 16 == 0) {
		mr_tcp_check(l->tcp[SERVER]);
		mr_tcp_check(l->tcp[CLIENT]);
	}
	if (l->steps % 512 == 0)
		mr_sim_check(l->sim);
	check_stalls(l);
}

static int64_t next_ns(struct life *l)
{
	int64_t ns = mr_sim_next_ns(l->sim);

	for (int i = 0; i < 2; i++)
		ns = MR_MIN(ns, mr_stack_next_ns(l->stacks[i]));
	for (int i = 0; i < l->pairs; i++) {
		ns = MR_MIN(ns, l->start_ns[i]);
		ns = MR_MIN(ns, l->ends[i][0].wake_ns);
		ns = MR_MIN(ns, l->ends[i][1].wake_ns);
	}
	return ns;
}

static bool is_done(struct life *l)
{
	for (int i = 0; i < l->pairs; i++) {
		const struct end *s = &l->ends[i][SERVER], *c = &l->ends[i][CLIENT];

		if (l->start_ns[i] != INT64_MAX || !c->over)
			return false;
		if (!s->over && (!l->aborted[i] || s->opened))
			return false;
	}
	return true;
}

static uint64_t counter(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static bool is_quiet(struct life *l)
{
	for (int i = 0; i < 2; i++) {
		struct mr_tcp_counters *c = mr_tcp_counters(l->tcp[i]);

		if (counter(&c->connections) || counter(&c->timewaits) || counter(&c->syns) ||
			counter(&c->memory_used))
			return false;
	}
	return true;
}

static void run_until(struct life *l, bool (*enough)(struct life *l), const char *what)
{
	while (!enough(l)) {
		int64_t ns = next_ns(l);

		if (l->now_ns > LIFE_MAX_S * SECOND)
			wrong(l, "not %s after %d s", what, LIFE_MAX_S);
		// A worker's turns are not infinitely close to each other.
		l->now_ns = MR_MAX(l->now_ns + 1000 + (int64_t)below(l, 20000),
			MR_MIN(ns, l->now_ns + SECOND));
		step(l);
	}
}

static void check_ends(struct life *l)
{
	for (int i = 0; i < l->pairs * 2; i++) {
		const struct end *e = &l->ends[i / 2][i % 2], *other = &l->ends[i / 2][!(i % 2)];

		if (!l->aborted[i / 2] && e->received != other->to_send)
			wrong(l, "pair %d side %d: %llu of %llu bytes in the end", i / 2, i % 2,
				(unsigned long long)e->received,
				(unsigned long long)other->to_send);
	}
}

static void sum_up(struct life *l, struct tcp_life_result *r)
{
	*r = (struct tcp_life_result){
		.steps = l->steps, .connections = (uint64_t)l->pairs, .virtual_ns = l->now_ns};
	for (int i = 0; i < 2; i++) {
		struct mr_tcp_counters *c = mr_tcp_counters(l->tcp[i]);

		r->bytes += counter(&c->bytes_in);
		r->retransmits += counter(&c->retransmits);
		r->timeouts += counter(&c->timeouts);
	}
}

static void life_end(struct life *l)
{
	mr_stack_destroy(l->stacks[0]);
	mr_stack_destroy(l->stacks[1]);
	if (l->sim) {
		mr_sim_time(l->sim, INT64_MAX - 1);
		mr_sim_check(l->sim);
	}
}

const char *tcp_life_run(uint64_t seed, bool verbose, struct tcp_life_result *result)
{
	struct life *l = calloc(1, sizeof(*l));
	const char *volatile what = NULL;

	MR_ASSERT(l);
	l->seed = seed;
	l->verbose = verbose;
	mr_rand_init(&l->rand, seed);
	if (setjmp(l->fail) == 0) {
		life_begin(l);
		life_capture(l);
		run_until(l, is_done, "done");
		check_ends(l);
		run_until(l, is_quiet, "quiet");
		sum_up(l, result);
		life_end(l);
		if (mr_sim_frames_lent(l->sim) != 0)
			wrong(l, "%u frames were not given back", mr_sim_frames_lent(l->sim));
	} else {
		what = message;
	}
	mr_sim_destroy(l->sim);
	mr_capture_close(l->capture);
	free(l);
	return what;
}
