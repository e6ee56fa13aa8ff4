// Connections over real sockets on loopback: framing, order, limits, back-pressure, failure.
//
// Every test runs over each implementation of the network. Server and clients share one thread: a
// round is one turn of the net and one pump of each client, and a test goes on until its condition
// holds or its rounds are used up, so that nothing depends on sleeping. Requests start with their
// client's seed and number where a test checks them; the protocol under test answers with the
// request's own bytes, at once or later in an order of its own.
#include "dataplane/conn.h"
#include "host/base/err.h"
#include "hw/uring.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/net_client.h"
#include "tests/lib/tcp_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROUNDS_MAX = 20000, ROUND_NS = 10000, HELD_MAX = 100000, SEED = 20240607 };

// The protocol: echoes. `hold` keeps requests until they are released.
struct echo {
	struct mr_protocol protocol;
	bool hold;
	bool silent;          // no response: acks=0
	uint64_t close_at;    // the request with this number (from 1) closes its connection
	uint64_t output_each; // answer this much memory from mr_request_alloc instead
	uint64_t alloc_failed;
	uint64_t seen;
	uint64_t abandoned;
	uint64_t bytes;
	struct mr_request *held[HELD_MAX];
	uint32_t held_count;
};

struct bench {
	struct mr_uring *uring;
	struct mr_net *net;
	struct mr_conns *conns;
	struct mr_clock_sim clock;
	struct mr_net_addr at;
	struct tcp_world world; // OVER_TCP
	struct mr_rand rand;
	struct echo echo;
	int idle_rounds;
};

// Which implementation the tests of this run are about.
static enum { OVER_PLAIN, OVER_URING, OVER_TCP } over;

static const char *server_host(void)
{
	return over == OVER_TCP ? TCP_WORLD_SERVER4 : "127.0.0.1";
}

static void echo_finish(struct echo *e, struct mr_request *rq)
{
	if (e->output_each && !rq->abandoned) {
		uint8_t *p = mr_request_alloc(rq, e->output_each);

		if (p) {
			memset(p, 0x5a, e->output_each);
			assert_true(mr_request_add(rq, p, e->output_each));
		} else {
			e->alloc_failed++;
			assert_true(mr_request_add(rq, "no", 2));
		}
	} else if (!e->silent) {
		// Two pieces, so that lengths and pieces are put together.
		size_t half = rq->in.bytes / 2;

		assert_true(mr_request_add(rq, rq->in.data, half));
		assert_true(mr_request_add(rq, rq->in.data + half, rq->in.bytes - half));
	}
	mr_request_done(rq);
}

static void echo_abandon(struct mr_request *rq)
{
	struct echo *e = rq->state;

	e->abandoned++;
}

static void echo_request(void *owner, struct mr_request *rq)
{
	struct echo *e = owner;

	e->seen++;
	e->bytes += rq->in.bytes;
	assert_true(rq->received_ns >= 0);
	if (e->seen == e->close_at) {
		mr_request_close(rq, "asked to");
		return;
	}
	if (!e->hold) {
		echo_finish(e, rq);
		return;
	}
	assert_true(e->held_count < HELD_MAX);
	rq->state = e;
	rq->on_abandon = echo_abandon;
	e->held[e->held_count++] = rq;
}

// Finishes one held request: any, or the last one when `rand` is NULL.
static void echo_release(struct echo *e, struct mr_rand *rand)
{
	uint32_t i = rand ? (uint32_t)mr_rand_below(rand, e->held_count) : e->held_count - 1;
	struct mr_request *rq = e->held[i];

	e->held[i] = e->held[--e->held_count];
	echo_finish(e, rq);
}

static struct bench *bench_open(const struct mr_conn_limits *limits, const struct mr_net_options *o)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct mr_net_options options = o ? *o : (struct mr_net_options){.rxbufs = 64};
	uint16_t port = 0;

	assert_non_null(b);
	mr_clock_sim_init(&b->clock, 0);
	mr_rand_init(&b->rand, SEED);
	if (over == OVER_URING)
		assert_int_equal(mr_uring_create(&b->uring, NULL), 0);
	if (over == OVER_TCP)
		net_client_open_world(&b->world, &b->clock, &options);
	options.uring = b->uring;
	options.clock = &b->clock.clock;
	options.node = -1;
	assert_int_equal(mr_net_create(&options, &b->net), 0);
	assert_int_equal(mr_conns_create(b->net, limits, -1, &b->conns), 0);
	b->echo.protocol = (struct mr_protocol){.owner = &b->echo, .request = echo_request};
	assert_int_equal(mr_conns_listen(b->conns, server_host(), 0, &b->echo.protocol, &port), 0);
	assert_int_not_equal(port, 0);
	assert_int_equal(mr_net_addr_parse(server_host(), port, &b->at), 0);
	return b;
}

static void bench_close(struct bench *b)
{
	// Whoever gave memory out gets it back, in every test.
	while (b->echo.held_count)
		echo_release(&b->echo, NULL);
	mr_conns_close_all(b->conns);
	for (int i = 0; i < 1000 && mr_conns_count(b->conns); i++)
		mr_net_turn(b->net, 1000000);
	assert_int_equal(mr_conns_count(b->conns), 0);
	assert_int_equal(mr_reqmem_used(mr_conns_reqmem(b->conns)), 0);
	assert_int_equal(mr_net_counters(b->net)->rxbufs_pinned, 0);
	assert_int_equal(mr_conns_counters(b->conns)->requests_unfinished, 0);
	assert_int_equal(mr_conns_counters(b->conns)->connections, 0);
	mr_conns_destroy(b->conns);
	mr_net_destroy(b->net);
	if (over == OVER_TCP)
		tcp_world_close(&b->world);
	if (b->uring) {
		assert_int_equal(mr_uring_in_flight(b->uring), 0);
		mr_uring_destroy(b->uring);
	}
	free(b);
}

// Loopback delivers at once; what is left to the kernel's own time (a delayed acknowledgement, a
// deferred close) gets a wait every few idle rounds.
static void round_of(struct bench *b, struct net_client *c, size_t count)
{
	int n;

	for (size_t i = 0; i < count; i++)
		net_client_pump(&c[i], &b->rand);
	if (over == OVER_TCP) {
		tcp_world_turn(&b->world);
		b->clock.ns += ROUND_NS;
	}
	n = mr_net_turn(b->net, b->idle_rounds > 10 ? 1000000 : 0);
	assert_true(n >= 0);
	b->idle_rounds = n ? 0 : b->idle_rounds + 1;
}

// Goes on until `cond` holds.
#define UNTIL(b, c, count, cond)                       \
	do {                                           \
		int rounds_ = 0;                       \
		while (!(cond)) {                      \
			round_of(b, c, count);         \
			if (++rounds_ > ROUNDS_MAX)    \
				fail_msg("%s", #cond); \
		}                                      \
	} while (0)

// A number of rounds in which something must not happen.
static void settle(struct bench *b, struct net_client *c, size_t count)
{
	for (int i = 0; i < 20; i++)
		round_of(b, c, count);
}

// Reads the next response of a client and checks that it is the frame (bytes, seed).
static void expect_frame(struct net_client *c, size_t *at, size_t bytes, uint64_t seed)
{
	assert_true(c->in.bytes >= *at + 4 + bytes);
	assert_int_equal(mr_load_be32(c->in.data + *at), bytes);
	for (size_t i = 0; i < bytes; i++)
		if (c->in.data[*at + 4 + i] != net_client_byte(seed, i))
			fail_msg("byte %zu of frame with seed %lu", i, (unsigned long)seed);
	*at += 4 + bytes;
}

static void small_pipelined_requests_come_back_in_order(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;
	size_t at = 0, want = 0;

	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 5000; i++) {
		net_client_frame(&c, 1 + i % 300, i);
		want += 4 + 1 + i % 300;
	}
	UNTIL(b, &c, 1, c.in.bytes == want);
	for (size_t i = 0; i < 5000; i++)
		expect_frame(&c, &at, 1 + i % 300, i);
	assert_int_equal(mr_conns_counters(b->conns)->requests, 5000);
	assert_true(mr_conns_counters(b->conns)->requests_in_place > 4000);
	// Adjacent responses leave together.
	assert_true(mr_conns_counters(b->conns)->sends < 1000);
	net_client_close(&c);
	bench_close(b);
}

static void requests_of_all_sizes_in_random_chunks_come_back(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c[4];
	size_t sizes[4][40], at, want[4] = {0};

	for (size_t k = 0; k < 4; k++) {
		net_client_open(&c[k], &b->at, 0);
		c[k].chunk_max = k == 3 ? 0 : (size_t)1 << (12 + 3 * k);
		for (size_t i = 0; i < 40; i++) {
			uint64_t limit = 1ull << mr_rand_below(&b->rand, k == 3 ? 21 : 16);

			sizes[k][i] = 1 + (size_t)mr_rand_below(&b->rand, limit);
			net_client_frame(&c[k], sizes[k][i], k * 1000 + i);
			want[k] += 4 + sizes[k][i];
		}
	}
	sizes[3][39] = 20 << 20;
	net_client_frame(&c[3], 20 << 20, 99);
	UNTIL(b, c, 4,
		c[0].in.bytes == want[0] && c[1].in.bytes == want[1] && c[2].in.bytes == want[2] &&
			c[3].in.bytes == want[3] + 4 + (20 << 20));
	for (size_t k = 0; k < 4; k++) {
		at = 0;
		for (size_t i = 0; i < 39; i++)
			expect_frame(&c[k], &at, sizes[k][i], k * 1000 + i);
		net_client_close(&c[k]);
	}
	// Most of the 20 MiB went straight into their place.
	assert_true(mr_net_counters(b->net)->placed_bytes > 16 << 20);
	bench_close(b);
}

static void responses_keep_request_order_whatever_order_they_finish_in(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;
	size_t at = 0, want = 0;
	uint64_t released = 0;
	uint32_t keep;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 2000; i++) {
		net_client_frame(&c, 1 + i * 37 % 5000, i);
		want += 4 + 1 + i * 37 % 5000;
	}
	while (c.in.bytes < want) {
		round_of(b, &c, 1);
		keep = mr_rand_below(&b->rand, 4) ? (uint32_t)mr_rand_below(&b->rand, 64) : 0;
		while (b->echo.held_count > keep) {
			echo_release(&b->echo, &b->rand);
			released++;
		}
		assert_true(released <= 2000);
	}
	for (size_t i = 0; i < 2000; i++)
		expect_frame(&c, &at, 1 + i * 37 % 5000, i);
	net_client_close(&c);
	bench_close(b);
}

static void requests_without_response_leave_no_gap(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;
	size_t at = 0;

	net_client_open(&c, &b->at, 0);
	b->echo.silent = true;
	for (size_t i = 0; i < 300; i++)
		net_client_frame(&c, 50, i);
	UNTIL(b, &c, 1, b->echo.seen == 300);
	b->echo.silent = false;
	net_client_frame(&c, 60, 7);
	UNTIL(b, &c, 1, c.in.bytes == 64);
	expect_frame(&c, &at, 60, 7);
	net_client_close(&c);
	bench_close(b);
}

static void too_many_unfinished_requests_stop_reading(void **)
{
	struct mr_conn_limits l = {.requests_per_connection = 10};
	struct bench *b = bench_open(&l, NULL);
	struct net_client c;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 100; i++)
		net_client_frame(&c, 20, i);
	UNTIL(b, &c, 1, b->echo.seen == 10);
	settle(b, &c, 1);
	assert_int_equal(b->echo.seen, 10);
	assert_int_equal(mr_conns_counters(b->conns)->paused_connection, 1);
	b->echo.hold = false;
	while (b->echo.held_count)
		echo_release(&b->echo, &b->rand);
	UNTIL(b, &c, 1, c.in.bytes == 100 * 24);
	net_client_close(&c);
	bench_close(b);
}

static void a_full_pool_stops_reading_and_goes_on(void **)
{
	struct mr_conn_limits l = {.requests_max = 16};
	struct bench *b = bench_open(&l, NULL);
	struct net_client c[8];
	size_t done = 0;

	b->echo.hold = true;
	for (size_t k = 0; k < 8; k++) {
		net_client_open(&c[k], &b->at, 0);
		for (size_t i = 0; i < 50; i++)
			net_client_frame(&c[k], 20, i);
	}
	UNTIL(b, c, 8, b->echo.held_count == 16);
	settle(b, c, 8);
	assert_int_equal(b->echo.held_count, 16);
	assert_true(mr_conns_counters(b->conns)->paused_requests > 0);
	while (done < 8) {
		while (b->echo.held_count)
			echo_release(&b->echo, &b->rand);
		round_of(b, c, 8);
		done = 0;
		for (size_t k = 0; k < 8; k++)
			done += c[k].in.bytes == 50 * 24;
	}
	for (size_t k = 0; k < 8; k++)
		net_client_close(&c[k]);
	bench_close(b);
}

static void used_up_memory_stops_reading_and_goes_on(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 8 << 20};
	struct bench *b = bench_open(&l, NULL);
	struct net_client c[6];
	size_t at, done = 0;

	b->echo.hold = true;
	for (size_t k = 0; k < 6; k++) {
		net_client_open(&c[k], &b->at, 0);
		net_client_frame(&c[k], 3 << 20, k);
		net_client_frame(&c[k], 1000, k + 10);
	}
	// Two of them fit beside the reserve for output, the others wait unread.
	UNTIL(b, c, 6, b->echo.seen >= 2);
	settle(b, c, 6);
	assert_true(mr_conns_counters(b->conns)->paused_memory >= 4);
	assert_true(mr_reqmem_used(mr_conns_reqmem(b->conns)) <= 7 << 20);
	for (int i = 0; i < ROUNDS_MAX && done < 6; i++) {
		if (b->echo.held_count)
			echo_release(&b->echo, &b->rand);
		round_of(b, c, 6);
		done = 0;
		for (size_t k = 0; k < 6; k++)
			done += c[k].in.bytes == (3 << 20) + 1008;
	}
	assert_int_equal(done, 6);
	for (size_t k = 0; k < 6; k++) {
		at = 0;
		expect_frame(&c[k], &at, 3 << 20, k);
		expect_frame(&c[k], &at, 1000, k + 10);
		net_client_close(&c[k]);
	}
	bench_close(b);
}

static void a_client_that_does_not_read_stalls_only_itself(void **)
{
	struct mr_conn_limits l = {.output_bytes_max = 256 << 10};
	struct mr_net_options o = {.rxbufs = 16, .send_buffer = 16 << 10};
	struct bench *b = bench_open(&l, &o);
	struct net_client c[9];
	size_t want = 0;

	for (size_t k = 0; k < 9; k++) {
		net_client_open(&c[k], &b->at, 16 << 10);
		c[k].reads = k == 8;
		for (size_t i = 0; i < 400; i++)
			net_client_frame(&c[k], 9000, i);
	}
	want = 400 * 9004;
	UNTIL(b, c, 9, c[8].in.bytes == want);
	assert_true(mr_conns_counters(b->conns)->paused_output >= 8);
	for (size_t k = 0; k < 8; k++) {
		assert_int_equal(c[k].in.bytes, 0);
		c[k].reads = true;
	}
	for (size_t k = 0; k < 8; k++)
		UNTIL(b, c, 9, c[k].in.bytes == want);
	for (size_t k = 0; k < 9; k++)
		net_client_close(&c[k]);
	bench_close(b);
}

static void connections_beyond_the_limit_are_closed_at_once(void **)
{
	struct mr_conn_limits l = {.connections_max = 5};
	struct bench *b = bench_open(&l, NULL);
	struct net_client c[8], late;
	size_t ended = 0, at = 0;

	for (size_t k = 0; k < 8; k++) {
		net_client_open(&c[k], &b->at, 0);
		round_of(b, c, k + 1);
	}
	UNTIL(b, c, 8, mr_conns_counters(b->conns)->closed_limit == 3);
	settle(b, c, 8);
	for (size_t k = 0; k < 8; k++)
		ended += c[k].ended;
	assert_int_equal(ended, 3);
	assert_int_equal(mr_conns_count(b->conns), 5);
	for (size_t k = 0; k < 8; k++)
		net_client_close(&c[k]);
	UNTIL(b, c, 0, mr_conns_count(b->conns) == 0);
	net_client_open(&late, &b->at, 0);
	net_client_frame(&late, 10, 1);
	UNTIL(b, &late, 1, late.in.bytes == 14);
	expect_frame(&late, &at, 10, 1);
	net_client_close(&late);
	bench_close(b);
}

static void bad_lengths_close_the_connection(void **)
{
	static const uint32_t bad[] = {0, 0xffffffff, 0x80000000, 1001, 0x7fffffff};
	struct mr_conn_limits l = {.request_bytes_max = 1000};
	struct bench *b = bench_open(&l, NULL);

	for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
		struct net_client c;

		net_client_open(&c, &b->at, 0);
		mr_buf_be32(&c.out, bad[i]);
		mr_buf_str(&c.out, "whatever follows");
		UNTIL(b, &c, 1, c.ended);
		assert_int_equal(mr_conns_counters(b->conns)->closed_bad_length, i + 1);
		net_client_close(&c);
	}
	assert_int_equal(b->echo.seen, 0);
	bench_close(b);
}

static void a_request_larger_than_memory_is_refused_not_waited_for(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 4 << 20};
	struct bench *b = bench_open(&l, NULL);
	struct net_client c;

	assert_int_equal(mr_conns_limits(b->conns)->request_bytes_max, 4 << 20);
	net_client_open(&c, &b->at, 0);
	mr_buf_be32(&c.out, (4 << 20) + 1);
	UNTIL(b, &c, 1, c.ended);
	assert_int_equal(mr_conns_counters(b->conns)->closed_bad_length, 1);
	net_client_close(&c);
	bench_close(b);
}

static void idle_connections_are_closed(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;

	net_client_open(&c, &b->at, 0);
	net_client_frame(&c, 10, 1);
	UNTIL(b, &c, 1, c.in.bytes == 14);
	b->clock.ns += MR_CONN_IDLE_NS - MR_NET_TICK_NS / 2;
	settle(b, &c, 1);
	assert_false(c.ended);
	b->clock.ns += 2 * MR_NET_TICK_NS;
	UNTIL(b, &c, 1, c.ended);
	assert_int_equal(mr_conns_counters(b->conns)->closed_idle, 1);
	net_client_close(&c);
	bench_close(b);
}

// A big table is looked at in parts; none of it is forgotten.
static void idle_connections_of_a_big_table_are_closed_within_a_second(void **)
{
	enum { COUNT = 2500, SECOND_TICKS = 1000000000 / MR_NET_TICK_NS };
	struct mr_conn_limits l = {.connections_max = COUNT};
	struct net_client *c = calloc(COUNT, sizeof(*c));
	struct bench *b;

	if (over != OVER_TCP) {
		free(c);
		skip();
	}
	b = bench_open(&l, NULL);
	for (size_t k = 0; k < COUNT; k++) {
		net_client_open(&c[k], &b->at, 0);
		UNTIL(b, &c[k], 1, mr_conns_count(b->conns) == k + 1);
	}
	b->clock.ns += MR_CONN_IDLE_NS;
	assert_int_equal(mr_conns_counters(b->conns)->closed_idle, 0);
	for (int i = 0; i <= SECOND_TICKS; i++) {
		b->clock.ns += MR_NET_TICK_NS;
		round_of(b, c, 0);
		if (i == 0)
			assert_in_range(mr_conns_counters(b->conns)->closed_idle, 1, COUNT - 1);
	}
	assert_int_equal(mr_conns_counters(b->conns)->closed_idle, COUNT);
	for (size_t k = 0; k < COUNT; k++)
		net_client_close(&c[k]);
	bench_close(b);
	free(c);
}

static void a_connection_that_is_owed_an_answer_is_not_idle(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	net_client_frame(&c, 10, 1);
	UNTIL(b, &c, 1, b->echo.seen == 1);
	b->clock.ns += 2 * MR_CONN_IDLE_NS;
	settle(b, &c, 1);
	assert_false(c.ended);
	echo_release(&b->echo, NULL);
	UNTIL(b, &c, 1, c.in.bytes == 14);
	net_client_close(&c);
	bench_close(b);
}

static void requests_that_dribble_are_closed(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c[3];

	// One stops inside the length, one inside the body; the third has 100 MiB to send and may
	// take longer.
	for (size_t k = 0; k < 3; k++)
		net_client_open(&c[k], &b->at, 0);
	mr_buf_add(&c[0].out, "\0\0", 2);
	mr_buf_add(&c[1].out, "\0\1\0\0abc", 7);
	mr_buf_be32(&c[2].out, 100 << 20);
	UNTIL(b, c, 3, mr_net_counters(b->net)->received_bytes == 13);
	b->clock.ns += MR_CONN_SLOW_REQUEST_NS + 2 * MR_NET_TICK_NS;
	UNTIL(b, c, 3, c[0].ended && c[1].ended);
	assert_false(c[2].ended);
	b->clock.ns += 110 * 1000000000ll;
	UNTIL(b, c, 3, c[2].ended);
	assert_int_equal(mr_conns_counters(b->conns)->closed_slow, 3);
	for (size_t k = 0; k < 3; k++)
		net_client_close(&c[k]);
	bench_close(b);
}

static void close_lets_earlier_responses_leave(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;
	size_t at = 0;

	b->echo.hold = true;
	b->echo.close_at = 4;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 3; i++)
		net_client_frame(&c, 20000, i);
	net_client_frame(&c, 10, 0);
	UNTIL(b, &c, 1, b->echo.seen == 4);
	settle(b, &c, 1);
	assert_false(c.ended);
	while (b->echo.held_count)
		echo_release(&b->echo, &b->rand);
	UNTIL(b, &c, 1, c.ended);
	for (size_t i = 0; i < 3; i++)
		expect_frame(&c, &at, 20000, i);
	assert_int_equal(c.in.bytes, at);
	assert_int_equal(mr_conns_counters(b->conns)->closed_protocol, 1);
	net_client_close(&c);
	bench_close(b);
}

// Unread bytes at a close would reset the connection under the responses on their way.
static void close_with_requests_unread_loses_no_response(void **)
{
	struct mr_conn_limits l = {.requests_per_connection = 4};
	struct bench *b = bench_open(&l, NULL);
	struct net_client c;
	size_t at = 0;

	b->echo.hold = true;
	b->echo.close_at = 4;
	net_client_open(&c, &b->at, 0);
	c.reads = false;
	for (size_t i = 0; i < 3; i++)
		net_client_frame(&c, 300000, i);
	for (size_t i = 0; i < 50; i++)
		net_client_frame(&c, 10000, 0);
	UNTIL(b, &c, 1, b->echo.seen == 4 && c.out.bytes == 0);
	while (b->echo.held_count)
		echo_release(&b->echo, &b->rand);
	settle(b, &c, 1);
	c.reads = true;
	UNTIL(b, &c, 1, c.ended);
	assert_int_equal(c.error, 0);
	for (size_t i = 0; i < 3; i++)
		expect_frame(&c, &at, 300000, i);
	assert_int_equal(c.in.bytes, at);
	net_client_close(&c);
	bench_close(b);
}

static void a_peer_that_shuts_down_gets_its_answers(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;
	size_t at = 0;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 20; i++)
		net_client_frame(&c, 5000, i);
	c.shut = true;
	UNTIL(b, &c, 1, b->echo.seen == 20);
	settle(b, &c, 1);
	assert_false(c.ended);
	while (b->echo.held_count)
		echo_release(&b->echo, &b->rand);
	UNTIL(b, &c, 1, c.ended);
	for (size_t i = 0; i < 20; i++)
		expect_frame(&c, &at, 5000, i);
	assert_int_equal(mr_conns_counters(b->conns)->closed_by_peer, 1);
	assert_int_equal(mr_conns_counters(b->conns)->truncated, 0);
	net_client_close(&c);
	bench_close(b);
}

static void frames_cut_off_are_counted_and_freed(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c[3];

	for (size_t k = 0; k < 3; k++) {
		net_client_open(&c[k], &b->at, 0);
		net_client_frame(&c[k], 5, 1);
		c[k].shut = true;
	}
	mr_buf_add(&c[0].out, "\0", 1);
	mr_buf_add(&c[1].out, "\0\0\0\5abc", 7);
	mr_buf_add(&c[2].out, "\0\x10\0\0abc", 7);
	UNTIL(b, c, 3, c[0].ended && c[1].ended && c[2].ended);
	assert_int_equal(mr_conns_counters(b->conns)->truncated, 3);
	for (size_t k = 0; k < 3; k++) {
		assert_int_equal(c[k].in.bytes, 9);
		net_client_close(&c[k]);
	}
	bench_close(b);
}

static void a_reset_abandons_unfinished_requests(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct net_client c;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 5; i++)
		net_client_frame(&c, 40000, i);
	net_client_frame(&c, 3 << 20, 5);
	c.out.bytes -= 1 << 20; // the last one is under way
	UNTIL(b, &c, 1, b->echo.seen == 5 && c.out.bytes == 0);
	settle(b, &c, 1);
	net_client_reset(&c);
	UNTIL(b, &c, 0, b->echo.abandoned == 5);
	assert_int_equal(mr_conns_counters(b->conns)->connections, 0);
	assert_int_equal(mr_conns_count(b->conns), 1);
	for (uint32_t i = 0; i < 5; i++)
		assert_true(b->echo.held[i]->abandoned);
	while (b->echo.held_count)
		echo_release(&b->echo, &b->rand);
	UNTIL(b, &c, 0, mr_conns_count(b->conns) == 0);
	assert_int_equal(mr_conns_counters(b->conns)->closed_reset, 1);
	bench_close(b);
}

static void connections_that_come_and_go_at_random_leak_nothing(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 16 << 20, .connections_max = 24};
	struct mr_net_options o = {.rxbufs = 8, .send_buffer = 16 << 10};
	struct bench *b = bench_open(&l, &o);
	struct net_client c[32];

	b->echo.hold = true;
	for (size_t k = 0; k < 32; k++)
		c[k].fd = -1;
	for (int i = 0; i < 3000; i++) {
		struct net_client *k = &c[mr_rand_below(&b->rand, 32)];

		if (k->fd < 0) {
			net_client_open(k, &b->at, 16 << 10);
			k->chunk_max = mr_rand_below(&b->rand, 2) ? 0 : 3000;
			k->reads = mr_rand_below(&b->rand, 4) != 0;
		} else if (mr_rand_below(&b->rand, 10) == 0) {
			mr_rand_below(&b->rand, 2) ? net_client_reset(k) : net_client_close(k);
		} else if (k->out.bytes < 1 << 20) {
			net_client_frame(k, 1 + mr_rand_below(&b->rand, 1u << (i % 18)), 1);
		}
		while (b->echo.held_count > mr_rand_below(&b->rand, 60))
			echo_release(&b->echo, &b->rand);
		if (i % 4 == 0)
			round_of(b, c, 32);
		if (i % 500 == 499)
			b->clock.ns += MR_CONN_SLOW_REQUEST_NS;
	}
	for (size_t k = 0; k < 32; k++)
		net_client_close(&c[k]);
	assert_true(b->echo.seen > 100);
	bench_close(b);
}

static void random_bytes_do_no_harm(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 16 << 20};
	struct bench *b = bench_open(&l, NULL);
	struct net_client good, bad;
	size_t at = 0;

	net_client_open(&good, &b->at, 0);
	for (uint64_t i = 0; i < 100; i++) {
		size_t bytes = (size_t)mr_rand_below(&b->rand, 5000);

		net_client_open(&bad, &b->at, 0);
		mr_rand_bytes(&b->rand, mr_buf_extend(&bad.out, bytes), bytes);
		if (i % 2) // lengths that could be true
			for (size_t k = 0; k + 1 < bytes; k += 97)
				bad.out.data[k] = bad.out.data[k + 1] = 0;
		bad.shut = true;
		net_client_frame(&good, 100, i);
		for (int k = 0; k < 5; k++) {
			net_client_pump(&bad, &b->rand);
			round_of(b, &good, 1);
		}
		net_client_close(&bad);
	}
	UNTIL(b, &good, 1, good.in.bytes == 100 * 104);
	for (uint64_t i = 0; i < 100; i++)
		expect_frame(&good, &at, 100, i);
	net_client_close(&good);
	bench_close(b);
}

static void used_up_output_memory_is_told_to_the_protocol(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 4 << 20};
	struct bench *b = bench_open(&l, NULL);
	struct net_client c;

	b->echo.hold = true;
	b->echo.output_each = 1 << 20;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 10; i++)
		net_client_frame(&c, 10, i);
	UNTIL(b, &c, 1, b->echo.held_count == 10);
	while (b->echo.held_count)
		echo_release(&b->echo, &b->rand);
	assert_int_equal(b->echo.alloc_failed, 6);
	assert_int_equal(mr_conns_counters(b->conns)->alloc_failed, 6);
	UNTIL(b, &c, 1, c.in.bytes == 4 * ((1 << 20) + 4) + 6 * 6);
	net_client_close(&c);
	bench_close(b);
}

static void connections_are_listed_with_their_figures(void **)
{
	struct bench *b = bench_open(NULL, NULL);
	struct mr_conn_info info[4];
	struct net_client c[2];
	char host[64];
	uint16_t port;

	b->echo.hold = true;
	for (size_t k = 0; k < 2; k++) {
		net_client_open(&c[k], &b->at, 0);
		net_client_frame(&c[k], 50, k);
	}
	UNTIL(b, c, 2, b->echo.held_count == 2);
	mr_conn_local(b->echo.held[0]->conn, host, &port);
	assert_string_equal(host, server_host());
	assert_int_equal(port, b->at.port);
	b->clock.ns += 1000000000;
	round_of(b, c, 2);
	assert_int_equal(mr_conns_list(b->conns, info, 4), 2);
	assert_int_equal(mr_conns_list(b->conns, info, 1), 2);
	for (size_t k = 0; k < 2; k++) {
		assert_int_equal(info[k].requests, 1);
		assert_int_equal(info[k].requests_unfinished, 1);
		assert_int_equal(info[k].received_bytes, 54);
		assert_int_equal(info[k].sent_bytes, 0);
		assert_int_equal(info[k].local_port, b->at.port);
		assert_true(strncmp(info[k].peer,
				    over == OVER_TCP ? TCP_WORLD_CLIENT4 ":" : "127.0.0.1:",
				    over == OVER_TCP ? 9 : 10) == 0);
		assert_true(info[k].idle_ns >= 1000000000);
		net_client_close(&c[k]);
	}
	assert_int_not_equal(info[0].id, info[1].id);
	bench_close(b);
}

static int run_all(const char *name)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_pipelined_requests_come_back_in_order),
		cmocka_unit_test(requests_of_all_sizes_in_random_chunks_come_back),
		cmocka_unit_test(responses_keep_request_order_whatever_order_they_finish_in),
		cmocka_unit_test(requests_without_response_leave_no_gap),
		cmocka_unit_test(too_many_unfinished_requests_stop_reading),
		cmocka_unit_test(a_full_pool_stops_reading_and_goes_on),
		cmocka_unit_test(used_up_memory_stops_reading_and_goes_on),
		cmocka_unit_test(a_client_that_does_not_read_stalls_only_itself),
		cmocka_unit_test(connections_beyond_the_limit_are_closed_at_once),
		cmocka_unit_test(bad_lengths_close_the_connection),
		cmocka_unit_test(a_request_larger_than_memory_is_refused_not_waited_for),
		cmocka_unit_test(idle_connections_are_closed),
		cmocka_unit_test(idle_connections_of_a_big_table_are_closed_within_a_second),
		cmocka_unit_test(a_connection_that_is_owed_an_answer_is_not_idle),
		cmocka_unit_test(requests_that_dribble_are_closed),
		cmocka_unit_test(close_lets_earlier_responses_leave),
		cmocka_unit_test(close_with_requests_unread_loses_no_response),
		cmocka_unit_test(a_peer_that_shuts_down_gets_its_answers),
		cmocka_unit_test(frames_cut_off_are_counted_and_freed),
		cmocka_unit_test(a_reset_abandons_unfinished_requests),
		cmocka_unit_test(connections_that_come_and_go_at_random_leak_nothing),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(used_up_output_memory_is_told_to_the_protocol),
		cmocka_unit_test(connections_are_listed_with_their_figures),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed;

	printf("seed %d\n", SEED);
	failed = run_all("conn plain");
	over = OVER_TCP;
	failed += run_all("conn tcp");
	net_client_use_sockets();
	if (mr_uring_probe() != 0) {
		printf("io_uring is not to be had here: its part is left out\n");
		return failed;
	}
	over = OVER_URING;
	return failed + run_all("conn uring");
}
