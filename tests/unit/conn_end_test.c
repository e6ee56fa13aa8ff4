// How connections end, over each implementation of the network: limits, bad lengths, silence,
// closing from either side, resets, and random bytes; and that nothing stays behind.
#include "tests/lib/conn_rig.h"
#include "tests/lib/mr_test.h"

#include <stdlib.h>

static void connections_beyond_the_limit_are_closed_at_once(void **)
{
	struct mr_conn_limits l = {.connections_max = 5};
	struct conn_rig *b = conn_rig_open(&l, NULL);
	struct net_client c[8], late;
	size_t ended = 0, at = 0;

	for (size_t k = 0; k < 8; k++) {
		net_client_open(&c[k], &b->at, 0);
		conn_rig_round(b, c, k + 1);
	}
	UNTIL(b, c, 8, mr_conns_counters(b->conns)->closed_limit == 3);
	conn_rig_settle(b, c, 8);
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
	conn_rig_expect(&late, &at, 10, 1);
	net_client_close(&late);
	conn_rig_close(b);
}

static void bad_lengths_close_the_connection(void **)
{
	static const uint32_t bad[] = {0, 0xffffffff, 0x80000000, 1001, 0x7fffffff};
	struct mr_conn_limits l = {.request_bytes_max = 1000};
	struct conn_rig *b = conn_rig_open(&l, NULL);

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
	conn_rig_close(b);
}

static void a_request_larger_than_memory_is_refused_not_waited_for(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 4 << 20};
	struct conn_rig *b = conn_rig_open(&l, NULL);
	struct net_client c;

	assert_int_equal(mr_conns_limits(b->conns)->request_bytes_max, 4 << 20);
	net_client_open(&c, &b->at, 0);
	mr_buf_be32(&c.out, (4 << 20) + 1);
	UNTIL(b, &c, 1, c.ended);
	assert_int_equal(mr_conns_counters(b->conns)->closed_bad_length, 1);
	net_client_close(&c);
	conn_rig_close(b);
}

static void idle_connections_are_closed(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
	struct net_client c;

	net_client_open(&c, &b->at, 0);
	net_client_frame(&c, 10, 1);
	UNTIL(b, &c, 1, c.in.bytes == 14);
	b->on.clock.ns += MR_CONN_IDLE_NS - MR_NET_TICK_NS / 2;
	conn_rig_settle(b, &c, 1);
	assert_false(c.ended);
	b->on.clock.ns += 2 * MR_NET_TICK_NS;
	UNTIL(b, &c, 1, c.ended);
	assert_int_equal(mr_conns_counters(b->conns)->closed_idle, 1);
	net_client_close(&c);
	conn_rig_close(b);
}

// A big table is looked at in parts; none of it is forgotten.
static void idle_connections_of_a_big_table_are_closed_within_a_second(void **)
{
	enum { COUNT = 2500, SECOND_TICKS = 1000000000 / MR_NET_TICK_NS };
	struct mr_conn_limits l = {.connections_max = COUNT};
	struct net_client *c = calloc(COUNT, sizeof(*c));
	struct conn_rig *b;

	if (net_over != OVER_TCP) {
		free(c);
		skip();
	}
	b = conn_rig_open(&l, NULL);
	for (size_t k = 0; k < COUNT; k++) {
		net_client_open(&c[k], &b->at, 0);
		UNTIL(b, &c[k], 1, mr_conns_count(b->conns) == k + 1);
	}
	b->on.clock.ns += MR_CONN_IDLE_NS;
	assert_int_equal(mr_conns_counters(b->conns)->closed_idle, 0);
	for (int i = 0; i <= SECOND_TICKS; i++) {
		b->on.clock.ns += MR_NET_TICK_NS;
		conn_rig_round(b, c, 0);
		if (i == 0)
			assert_in_range(mr_conns_counters(b->conns)->closed_idle, 1, COUNT - 1);
	}
	assert_int_equal(mr_conns_counters(b->conns)->closed_idle, COUNT);
	for (size_t k = 0; k < COUNT; k++)
		net_client_close(&c[k]);
	conn_rig_close(b);
	free(c);
}

static void a_connection_that_is_owed_an_answer_is_not_idle(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
	struct net_client c;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	net_client_frame(&c, 10, 1);
	UNTIL(b, &c, 1, b->echo.seen == 1);
	b->on.clock.ns += 2 * MR_CONN_IDLE_NS;
	conn_rig_settle(b, &c, 1);
	assert_false(c.ended);
	conn_rig_release(&b->echo, NULL);
	UNTIL(b, &c, 1, c.in.bytes == 14);
	net_client_close(&c);
	conn_rig_close(b);
}

static void requests_that_dribble_are_closed(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
	struct net_client c[3];

	// One stops inside the length, one inside the body; the third has 100 MiB to send and may
	// take longer.
	for (size_t k = 0; k < 3; k++)
		net_client_open(&c[k], &b->at, 0);
	mr_buf_add(&c[0].out, "\0\0", 2);
	mr_buf_add(&c[1].out, "\0\1\0\0abc", 7);
	mr_buf_be32(&c[2].out, 100 << 20);
	UNTIL(b, c, 3, mr_net_counters(b->net)->received_bytes == 13);
	b->on.clock.ns += MR_CONN_SLOW_REQUEST_NS + 2 * MR_NET_TICK_NS;
	UNTIL(b, c, 3, c[0].ended && c[1].ended);
	assert_false(c[2].ended);
	b->on.clock.ns += 110 * 1000000000ll;
	UNTIL(b, c, 3, c[2].ended);
	assert_int_equal(mr_conns_counters(b->conns)->closed_slow, 3);
	for (size_t k = 0; k < 3; k++)
		net_client_close(&c[k]);
	conn_rig_close(b);
}

static void close_lets_earlier_responses_leave(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
	struct net_client c;
	size_t at = 0;

	b->echo.hold = true;
	b->echo.close_at = 4;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 3; i++)
		net_client_frame(&c, 20000, i);
	net_client_frame(&c, 10, 0);
	UNTIL(b, &c, 1, b->echo.seen == 4);
	conn_rig_settle(b, &c, 1);
	assert_false(c.ended);
	while (b->echo.held_count)
		conn_rig_release(&b->echo, &b->rand);
	UNTIL(b, &c, 1, c.ended);
	for (size_t i = 0; i < 3; i++)
		conn_rig_expect(&c, &at, 20000, i);
	assert_int_equal(c.in.bytes, at);
	assert_int_equal(mr_conns_counters(b->conns)->closed_protocol, 1);
	net_client_close(&c);
	conn_rig_close(b);
}

// Unread bytes at a close would reset the connection under the responses on their way.
static void close_with_requests_unread_loses_no_response(void **)
{
	struct mr_conn_limits l = {.requests_per_connection = 4};
	struct conn_rig *b = conn_rig_open(&l, NULL);
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
		conn_rig_release(&b->echo, &b->rand);
	conn_rig_settle(b, &c, 1);
	c.reads = true;
	UNTIL(b, &c, 1, c.ended);
	assert_int_equal(c.error, 0);
	for (size_t i = 0; i < 3; i++)
		conn_rig_expect(&c, &at, 300000, i);
	assert_int_equal(c.in.bytes, at);
	net_client_close(&c);
	conn_rig_close(b);
}

static void a_peer_that_shuts_down_gets_its_answers(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
	struct net_client c;
	size_t at = 0;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 20; i++)
		net_client_frame(&c, 5000, i);
	c.shut = true;
	UNTIL(b, &c, 1, b->echo.seen == 20);
	conn_rig_settle(b, &c, 1);
	assert_false(c.ended);
	while (b->echo.held_count)
		conn_rig_release(&b->echo, &b->rand);
	UNTIL(b, &c, 1, c.ended);
	for (size_t i = 0; i < 20; i++)
		conn_rig_expect(&c, &at, 5000, i);
	assert_int_equal(mr_conns_counters(b->conns)->closed_by_peer, 1);
	assert_int_equal(mr_conns_counters(b->conns)->truncated, 0);
	net_client_close(&c);
	conn_rig_close(b);
}

static void frames_cut_off_are_counted_and_freed(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
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
	conn_rig_close(b);
}

static void a_reset_abandons_unfinished_requests(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
	struct net_client c;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 5; i++)
		net_client_frame(&c, 40000, i);
	net_client_frame(&c, 3 << 20, 5);
	c.out.bytes -= 1 << 20; // the last one is under way
	UNTIL(b, &c, 1, b->echo.seen == 5 && c.out.bytes == 0);
	conn_rig_settle(b, &c, 1);
	net_client_reset(&c);
	UNTIL(b, &c, 0, b->echo.abandoned == 5);
	assert_int_equal(mr_conns_counters(b->conns)->connections, 0);
	assert_int_equal(mr_conns_count(b->conns), 1);
	for (uint32_t i = 0; i < 5; i++)
		assert_true(b->echo.held[i]->abandoned);
	while (b->echo.held_count)
		conn_rig_release(&b->echo, &b->rand);
	UNTIL(b, &c, 0, mr_conns_count(b->conns) == 0);
	assert_int_equal(mr_conns_counters(b->conns)->closed_reset, 1);
	conn_rig_close(b);
}

static void connections_that_come_and_go_at_random_leak_nothing(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 16 << 20, .connections_max = 24};
	struct mr_net_options o = {.rxbufs = 8, .send_buffer = 16 << 10};
	struct conn_rig *b = conn_rig_open(&l, &o);
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
			conn_rig_release(&b->echo, &b->rand);
		if (i % 4 == 0)
			conn_rig_round(b, c, 32);
		if (i % 500 == 499)
			b->on.clock.ns += MR_CONN_SLOW_REQUEST_NS;
	}
	for (size_t k = 0; k < 32; k++)
		net_client_close(&c[k]);
	assert_true(b->echo.seen > 100);
	conn_rig_close(b);
}

static void random_bytes_do_no_harm(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 16 << 20};
	struct conn_rig *b = conn_rig_open(&l, NULL);
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
			conn_rig_round(b, &good, 1);
		}
		net_client_close(&bad);
	}
	UNTIL(b, &good, 1, good.in.bytes == 100 * 104);
	for (uint64_t i = 0; i < 100; i++)
		conn_rig_expect(&good, &at, 100, i);
	net_client_close(&good);
	conn_rig_close(b);
}

static int run_all(const char *network)
{
	static const struct CMUnitTest tests[] = {
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
	};

	print_message("seed %d\n", CONN_SEED);
	return cmocka_run_group_tests_name(network, tests, NULL, NULL);
}

int main(void)
{
	return net_over_each(run_all);
}
