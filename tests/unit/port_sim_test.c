// The simulated wire: what a way promises is what happens, the same again for the same seed, and no
// frame is lost from the pool.
#include "dataplane/tcpip/port_sim.h"

#include "tests/lib/mr_test.h"

#include <errno.h>

enum { BYTES = 1000 };

static const struct mr_mac macs[3] = {
	{{0x02, 0, 0, 0, 0, 1}}, {{0x02, 0, 0, 0, 0, 2}}, {{0x02, 0, 0, 0, 0, 3}}};

static struct mr_sim *sim_open(uint64_t seed, struct mr_sim_way way, uint32_t rx_max)
{
	struct mr_sim *sim;

	assert_int_equal(mr_sim_create(seed, 4096, 2048, &sim), 0);
	for (int i = 0; i < 3; i++) {
		struct mr_sim_port_options o = {.mac = macs[i], .way = way, .rx_max = rx_max};

		assert_int_equal(mr_sim_add(sim, &o), i);
	}
	return sim;
}

static void sim_close(struct mr_sim *sim)
{
	mr_sim_check(sim);
	assert_int_equal(mr_sim_frames_lent(sim), 0);
	mr_sim_destroy(sim);
}

static void send_one(struct mr_sim *sim, int from, struct mr_mac to, uint32_t number)
{
	struct mr_port *p = mr_sim_queue(sim, from, 0);
	struct mr_frame f;

	assert_int_equal(mr_port_tx_alloc(p, &f, 1), 1);
	memset(f.data, 0, BYTES);
	memcpy(f.data, to.b, 6);
	memcpy(f.data + 6, macs[from].b, 6);
	mr_store_be16(f.data + 12, 0x1234);
	mr_store_be32(f.data + 14, number);
	f.bytes = BYTES;
	f.flags = 0;
	mr_port_tx(p, &f, 1);
}

// Takes what has come to a port; fills the numbers and returns how many.
static uint32_t take(struct mr_sim *sim, int at, uint32_t *numbers, uint32_t max)
{
	struct mr_port *p = mr_sim_queue(sim, at, 0);
	struct mr_frame f[32];
	uint32_t count = 0;
	int n;

	while ((n = mr_port_rx(p, f, 32)) > 0) {
		for (int i = 0; i < n && count < max; i++)
			numbers[count++] = mr_load_be32(f[i].data + 14);
		mr_port_rx_done(p, f, n);
	}
	return count;
}

static uint32_t numbers[4096];

static void frames_go_to_their_mac_in_time(void **)
{
	struct mr_sim *sim = sim_open(1, (struct mr_sim_way){.delay_ns = 1000}, 0);

	send_one(sim, 0, macs[1], 7);
	assert_int_equal(mr_sim_next_ns(sim), 1000);
	mr_sim_time(sim, 999);
	assert_int_equal(take(sim, 1, numbers, 10), 0);
	mr_sim_time(sim, 1000);
	assert_int_equal(take(sim, 1, numbers, 10), 1);
	assert_int_equal(numbers[0], 7);
	assert_int_equal(take(sim, 2, numbers, 10), 0);
	assert_int_equal(mr_sim_next_ns(sim), INT64_MAX);
	sim_close(sim);
}

static void group_frames_go_to_all_others(void **)
{
	struct mr_sim *sim = sim_open(1, (struct mr_sim_way){0}, 0);

	send_one(sim, 0, (struct mr_mac){{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, 7);
	mr_sim_time(sim, 0);
	assert_int_equal(take(sim, 0, numbers, 10), 0);
	assert_int_equal(take(sim, 1, numbers, 10), 1);
	assert_int_equal(take(sim, 2, numbers, 10), 1);
	sim_close(sim);
}

static void rate_spreads_frames_and_its_queue_is_bounded(void **)
{
	// 8 Mb/s: a millisecond for a frame; ten of them may wait.
	struct mr_sim *sim =
		sim_open(1, (struct mr_sim_way){.rate_bps = 8000000, .queue_bytes = 10 * BYTES}, 0);

	for (uint32_t i = 0; i < 20; i++)
		send_one(sim, 0, macs[1], i);
	for (uint32_t i = 1; i <= 10; i++) {
		mr_sim_time(sim, i * 1000000ll - 1);
		assert_int_equal(take(sim, 1, numbers, 10), 0);
		mr_sim_time(sim, i * 1000000ll);
		assert_int_equal(take(sim, 1, numbers, 10), 1);
		assert_int_equal(numbers[0], i - 1);
	}
	assert_int_equal(mr_sim_counters(sim)->queue_dropped, 10);
	sim_close(sim);
}

static uint32_t through(struct mr_sim_way way, uint64_t seed)
{
	struct mr_sim *sim = sim_open(seed, way, 4096);
	uint32_t count = 0;

	for (uint32_t i = 0; i < 20000; i++) {
		send_one(sim, 0, macs[1], i);
		mr_sim_time(sim, i * 1000ll);
		count += take(sim, 1, numbers, 4096);
	}
	mr_sim_time(sim, INT64_MAX - 1);
	count += take(sim, 1, numbers, 4096);
	sim_close(sim);
	return count;
}

static void losses_are_as_many_as_was_asked(void **)
{
	uint32_t n = through((struct mr_sim_way){.loss = 100000}, 1);

	assert_true(n > 17700 && n < 18300); // 18,000 and three deviations and more
	assert_int_equal(through((struct mr_sim_way){.loss_every = 10}, 1), 18000);
	// Bursts: one in a hundred begins one, of two frames in the mean.
	n = through((struct mr_sim_way){.burst_enter = 10000, .burst_leave = 500000}, 1);
	assert_true(n > 19300 && n < 19700);
	n = through((struct mr_sim_way){.duplicate = 100000}, 1);
	assert_true(n > 21700 && n < 22300);
	assert_int_equal(
		through((struct mr_sim_way){.black_from_ns = 1000000, .black_until_ns = 6000000},
			1),
		15000);
}

static void same_seed_same_life(void **)
{
	struct mr_sim_way way = {
		.loss = 50000, .duplicate = 50000, .reorder = 50000, .reorder_ns = 5000};

	assert_int_equal(through(way, 1), through(way, 1));
	assert_int_not_equal(through(way, 1), through(way, 2));
}

static void order_is_kept_but_for_what_is_reordered(void **)
{
	for (int reorder = 0; reorder < 2; reorder++) {
		struct mr_sim_way way = {.delay_ns = 1000,
			.jitter_ns = 10000,
			.reorder = reorder ? 100000 : 0,
			.reorder_ns = 20000};
		struct mr_sim *sim = sim_open(3, way, 4096);
		uint32_t n, inversions = 0;

		for (uint32_t i = 0; i < 2000; i++) {
			send_one(sim, 0, macs[1], i);
			mr_sim_time(sim, i * 1000ll);
		}
		mr_sim_time(sim, INT64_MAX - 1);
		n = take(sim, 1, numbers, 4096);
		assert_int_equal(n, 2000);
		for (uint32_t i = 1; i < n; i++)
			inversions += numbers[i] < numbers[i - 1];
		assert_true(reorder ? inversions > 50 : inversions == 0);
		sim_close(sim);
	}
}

static void full_receive_queue_drops_and_counts(void **)
{
	struct mr_sim *sim = sim_open(1, (struct mr_sim_way){0}, 16);

	for (uint32_t i = 0; i < 20; i++)
		send_one(sim, 0, macs[1], i);
	mr_sim_time(sim, 0);
	assert_int_equal(take(sim, 1, numbers, 100), 16);
	assert_int_equal(atomic_load(&mr_sim_queue(sim, 1, 0)->counters.rx_missed), 4);
	sim_close(sim);
}

static void port_that_is_down_or_gone_takes_nothing(void **)
{
	struct mr_sim *sim = sim_open(1, (struct mr_sim_way){0}, 0);
	struct mr_frame f;

	mr_sim_link(sim, 1, false);
	send_one(sim, 0, macs[1], 1);
	mr_sim_time(sim, 0);
	assert_int_equal(take(sim, 1, numbers, 10), 0);
	mr_sim_link(sim, 1, true);
	send_one(sim, 0, macs[1], 2);
	mr_sim_time(sim, 0);
	mr_sim_remove(sim, 1);
	assert_int_equal(mr_port_rx(mr_sim_queue(sim, 1, 0), &f, 1), -ENODEV);
	send_one(sim, 0, macs[1], 3);
	mr_sim_time(sim, 0);
	sim_close(sim);
}

static void pool_that_is_empty_says_so(void **)
{
	struct mr_sim *sim = sim_open(1, (struct mr_sim_way){0}, 0);
	struct mr_port *p = mr_sim_queue(sim, 0, 0);
	static struct mr_frame f[5000];
	int n = mr_port_tx_alloc(p, f, 5000);

	assert_int_equal(n, 4096);
	assert_int_equal(mr_port_tx_alloc(p, f + n, 1), 0);
	assert_int_equal(atomic_load(&p->counters.tx_no_frame), 1);
	assert_int_equal(mr_sim_frames_lent(sim), 4096);
	for (int i = 0; i < n; i++)
		f[i].bytes = 0;
	mr_port_tx(p, f, n);
	assert_int_equal(mr_sim_frames_used(sim), 0);
	sim_close(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_to_their_mac_in_time),
		cmocka_unit_test(group_frames_go_to_all_others),
		cmocka_unit_test(rate_spreads_frames_and_its_queue_is_bounded),
		cmocka_unit_test(losses_are_as_many_as_was_asked),
		cmocka_unit_test(same_seed_same_life),
		cmocka_unit_test(order_is_kept_but_for_what_is_reordered),
		cmocka_unit_test(full_receive_queue_drops_and_counts),
		cmocka_unit_test(port_that_is_down_or_gone_takes_nothing),
		cmocka_unit_test(pool_that_is_empty_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
