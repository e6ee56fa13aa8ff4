// Connections over each implementation of the network: framing, order, back-pressure, figures.
// Requests start with their client's seed and number where a test checks them.
#include "tests/lib/conn_rig.h"
#include "tests/lib/mr_test.h"

static void small_pipelined_requests_come_back_in_order(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
	struct net_client c;
	size_t at = 0, want = 0;

	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 5000; i++) {
		net_client_frame(&c, 1 + i % 300, i);
		want += 4 + 1 + i % 300;
	}
	UNTIL(b, &c, 1, c.in.bytes == want);
	for (size_t i = 0; i < 5000; i++)
		conn_rig_expect(&c, &at, 1 + i % 300, i);
	assert_int_equal(mr_conns_counters(b->conns)->requests, 5000);
	assert_true(mr_conns_counters(b->conns)->requests_in_place > 4000);
	// Adjacent responses leave together.
	assert_true(mr_conns_counters(b->conns)->sends < 1000);
	net_client_close(&c);
	conn_rig_close(b);
}

static void requests_of_all_sizes_in_random_chunks_come_back(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
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
			conn_rig_expect(&c[k], &at, sizes[k][i], k * 1000 + i);
		net_client_close(&c[k]);
	}
	// Most of the 20 MiB went straight into their place.
	assert_true(mr_net_counters(b->net)->placed_bytes > 16 << 20);
	conn_rig_close(b);
}

static void responses_keep_request_order_whatever_order_they_finish_in(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
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
		conn_rig_round(b, &c, 1);
		keep = mr_rand_below(&b->rand, 4) ? (uint32_t)mr_rand_below(&b->rand, 64) : 0;
		while (b->echo.held_count > keep) {
			conn_rig_release(&b->echo, &b->rand);
			released++;
		}
		assert_true(released <= 2000);
	}
	for (size_t i = 0; i < 2000; i++)
		conn_rig_expect(&c, &at, 1 + i * 37 % 5000, i);
	net_client_close(&c);
	conn_rig_close(b);
}

static void requests_without_response_leave_no_gap(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
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
	conn_rig_expect(&c, &at, 60, 7);
	net_client_close(&c);
	conn_rig_close(b);
}

static void too_many_unfinished_requests_stop_reading(void **)
{
	struct mr_conn_limits l = {.requests_per_connection = 10};
	struct conn_rig *b = conn_rig_open(&l, NULL);
	struct net_client c;

	b->echo.hold = true;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 100; i++)
		net_client_frame(&c, 20, i);
	UNTIL(b, &c, 1, b->echo.seen == 10);
	conn_rig_settle(b, &c, 1);
	assert_int_equal(b->echo.seen, 10);
	assert_int_equal(mr_conns_counters(b->conns)->paused_connection, 1);
	b->echo.hold = false;
	while (b->echo.held_count)
		conn_rig_release(&b->echo, &b->rand);
	UNTIL(b, &c, 1, c.in.bytes == 100 * 24);
	net_client_close(&c);
	conn_rig_close(b);
}

static void a_full_pool_stops_reading_and_goes_on(void **)
{
	struct mr_conn_limits l = {.requests_max = 16};
	struct conn_rig *b = conn_rig_open(&l, NULL);
	struct net_client c[8];
	size_t done = 0;

	b->echo.hold = true;
	for (size_t k = 0; k < 8; k++) {
		net_client_open(&c[k], &b->at, 0);
		for (size_t i = 0; i < 50; i++)
			net_client_frame(&c[k], 20, i);
	}
	UNTIL(b, c, 8, b->echo.held_count == 16);
	conn_rig_settle(b, c, 8);
	assert_int_equal(b->echo.held_count, 16);
	assert_true(mr_conns_counters(b->conns)->paused_requests > 0);
	while (done < 8) {
		while (b->echo.held_count)
			conn_rig_release(&b->echo, &b->rand);
		conn_rig_round(b, c, 8);
		done = 0;
		for (size_t k = 0; k < 8; k++)
			done += c[k].in.bytes == 50 * 24;
	}
	for (size_t k = 0; k < 8; k++)
		net_client_close(&c[k]);
	conn_rig_close(b);
}

static void used_up_memory_stops_reading_and_goes_on(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 8 << 20};
	struct conn_rig *b = conn_rig_open(&l, NULL);
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
	conn_rig_settle(b, c, 6);
	assert_true(mr_conns_counters(b->conns)->paused_memory >= 4);
	assert_true(mr_reqmem_used(mr_conns_reqmem(b->conns)) <= 7 << 20);
	for (int i = 0; i < CONN_ROUNDS_MAX && done < 6; i++) {
		if (b->echo.held_count)
			conn_rig_release(&b->echo, &b->rand);
		conn_rig_round(b, c, 6);
		done = 0;
		for (size_t k = 0; k < 6; k++)
			done += c[k].in.bytes == (3 << 20) + 1008;
	}
	assert_int_equal(done, 6);
	for (size_t k = 0; k < 6; k++) {
		at = 0;
		conn_rig_expect(&c[k], &at, 3 << 20, k);
		conn_rig_expect(&c[k], &at, 1000, k + 10);
		net_client_close(&c[k]);
	}
	conn_rig_close(b);
}

static void a_client_that_does_not_read_stalls_only_itself(void **)
{
	struct mr_conn_limits l = {.output_bytes_max = 256 << 10};
	struct mr_net_options o = {.rxbufs = 16, .send_buffer = 16 << 10};
	struct conn_rig *b = conn_rig_open(&l, &o);
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
	conn_rig_close(b);
}

static void used_up_output_memory_is_told_to_the_protocol(void **)
{
	struct mr_conn_limits l = {.request_memory_bytes = 4 << 20};
	struct conn_rig *b = conn_rig_open(&l, NULL);
	struct net_client c;

	b->echo.hold = true;
	b->echo.output_each = 1 << 20;
	net_client_open(&c, &b->at, 0);
	for (size_t i = 0; i < 10; i++)
		net_client_frame(&c, 10, i);
	UNTIL(b, &c, 1, b->echo.held_count == 10);
	while (b->echo.held_count)
		conn_rig_release(&b->echo, &b->rand);
	assert_int_equal(b->echo.alloc_failed, 6);
	assert_int_equal(mr_conns_counters(b->conns)->alloc_failed, 6);
	UNTIL(b, &c, 1, c.in.bytes == 4 * ((1 << 20) + 4) + 6 * 6);
	net_client_close(&c);
	conn_rig_close(b);
}

static void connections_are_listed_with_their_figures(void **)
{
	struct conn_rig *b = conn_rig_open(NULL, NULL);
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
	assert_string_equal(host, net_over_host());
	assert_int_equal(port, b->at.port);
	b->on.clock.ns += 1000000000;
	conn_rig_round(b, c, 2);
	assert_int_equal(mr_conns_list(b->conns, info, 4), 2);
	assert_int_equal(mr_conns_list(b->conns, info, 1), 2);
	for (size_t k = 0; k < 2; k++) {
		assert_int_equal(info[k].requests, 1);
		assert_int_equal(info[k].requests_unfinished, 1);
		assert_int_equal(info[k].received_bytes, 54);
		assert_int_equal(info[k].sent_bytes, 0);
		assert_int_equal(info[k].local_port, b->at.port);
		assert_true(strncmp(info[k].peer,
				    net_over == OVER_TCP ? TCP_WORLD_CLIENT4 ":" : "127.0.0.1:",
				    net_over == OVER_TCP ? 9 : 10) == 0);
		assert_true(info[k].idle_ns >= 1000000000);
		net_client_close(&c[k]);
	}
	assert_int_not_equal(info[0].id, info[1].id);
	conn_rig_close(b);
}

static int run_all(const char *network)
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
		cmocka_unit_test(used_up_output_memory_is_told_to_the_protocol),
		cmocka_unit_test(connections_are_listed_with_their_figures),
	};

	print_message("seed %d\n", CONN_SEED);
	return cmocka_run_group_tests_name(network, tests, NULL, NULL);
}

int main(void)
{
	return net_over_each(run_all);
}
