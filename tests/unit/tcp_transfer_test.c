// Streams between two TCPs over wires of every badness: all bytes arrive, in order, once, and every
// invariant holds after every segment. Seeds are printed when a run fails.
#include "tests/lib/mr_test.h"
#include "tests/lib/tcp_net.h"

#include <stdio.h>

static bool all_arrived(void *ctx)
{
	struct tcp_net_end *e = ctx;

	return e[0].received == e[1].to_send && e[1].received == e[0].to_send && e[0].ended &&
	       e[1].ended;
}

static void bulk_data_goes_both_ways(void **)
{
	struct tcp_net n;
	struct tcp_net_end e[2] = {{.to_send = 5000000, .close_when_done = true},
		{.to_send = 3000000, .close_when_done = true}};

	tcp_net_init(&n, 1, NULL, NULL);
	n.no_check = true;
	tcp_net_connect(&n, &e[0], &e[1]);
	assert_true(tcp_net_run(&n, 10000 * TCP_NET_MS, all_arrived, e));
	assert_int_equal(mr_tcp_counters(n.host[0].tcp)->retransmits, 0);
	assert_int_equal(mr_tcp_counters(n.host[1].tcp)->retransmits, 0);
	mr_tcp_close(e[0].c);
	mr_tcp_close(e[1].c);
	tcp_net_fini(&n);
}

struct wire {
	uint32_t loss_ppm, double_ppm;
	int64_t delay_us, jitter_us;
	uint32_t window;
	bool no_sack, no_ts;
};

static const struct wire wires[] = {
	{10000, 0, 50, 0, 0, false, false},
	{10000, 0, 50, 200, 0, false, false},
	{50000, 20000, 1000, 0, 0, false, false},
	{50000, 20000, 1000, 3000, 65536, true, false},
	{100000, 0, 100, 0, 30000, false, true},
	{200000, 100000, 20000, 5000, 0, false, false},
	{30000, 0, 500, 0, 0, true, true},
	{0, 300000, 100, 2000, 4000, false, false},
};

static void tell(uint64_t seed, struct tcp_net_end *e)
{
	for (int i = 0; i < 2; i++) {
		struct mr_tcp_info f = {};

		if (e[i].c)
			mr_tcp_get_info(e[i].c, &f);
		printf("seed %llu host %d: received %llu of %llu, ended %d closed %d error %d "
		       "state %d "
		       "una %u nxt %u wnd %u rcv %u cwnd %u queued %u rto %lld timeouts %llu\n",
			(unsigned long long)seed, i, (unsigned long long)e[i].received,
			(unsigned long long)e[1 - i].to_send, e[i].ended, e[i].was_closed,
			e[i].error, (int)f.state, f.snd_una, f.snd_nxt, f.snd_wnd, f.rcv_nxt,
			f.cwnd, f.send_queued, (long long)f.rto_ns, (unsigned long long)f.timeouts);
	}
}

static int64_t run(uint64_t seed)
{
	const struct wire *w = &wires[seed % MR_COUNT_OF(wires)];
	struct tcp_net n;
	struct tcp_net_end e[2] = {{.to_send = 100000 + seed * 37, .close_when_done = true},
		{.to_send = 20000 + seed * 11 % 50000, .close_when_done = true}};
	struct mr_tcp_options o = tcp_net_options(seed);
	int64_t began;
	bool done;

	o.receive_window_max = w->window;
	o.no_sack = w->no_sack;
	o.no_timestamps = w->no_ts;
	tcp_net_init(&n, seed, &o, seed % 3 ? &o : NULL);
	n.loss_ppm = w->loss_ppm;
	n.double_ppm = w->double_ppm;
	n.delay_ns = w->delay_us * 1000;
	n.jitter_ns = w->jitter_us * 1000;
	began = n.now_ns;
	tcp_net_connect(&n, &e[0], &e[1]);
	done = tcp_net_run(&n, 600000 * TCP_NET_MS, all_arrived, e);
	if (!done)
		tell(seed, e);
	assert_true(done);
	for (int i = 0; i < 2; i++) {
		if (e[i].c)
			mr_tcp_close(e[i].c);
		mr_tcp_check(n.host[i].tcp);
	}
	began = n.now_ns - began;
	tcp_net_run(&n, 900000 * TCP_NET_MS, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		struct mr_tcp_counters *k = mr_tcp_counters(n.host[i].tcp);

		assert_int_equal(k->connections, 0);
		assert_int_equal(k->timewaits, 0);
		assert_int_equal(k->memory_used, 0);
		assert_int_equal(k->syns, 0);
	}
	tcp_net_fini(&n);
	return began;
}

static void streams_survive_bad_wires(void **)
{
	const char *seeds = getenv("TCP_SEEDS");
	uint64_t count = seeds ? strtoull(seeds, NULL, 0) : 64;

	for (uint64_t seed = 0; seed < count; seed++)
		run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_data_goes_both_ways),
		cmocka_unit_test(streams_survive_bad_wires),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
