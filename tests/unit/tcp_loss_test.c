// The sending side under a hand-made peer: what the windows allow, what is sent again and when,
// RFC 6675's scoreboard against a byte-wise model.
#include "tests/lib/mr_test.h"
#include "tests/lib/tcp_hand.h"

#include <stdio.h>
#include <stdlib.h>

#define ACK MR_TCP_ACK
#define FIN MR_TCP_FIN
#define PSH MR_TCP_PSH
#define MSS 1460u

static struct hand h;
static uint8_t text[1 << 20];

static uint64_t counter(_Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#define COUNTER(name) counter(&mr_tcp_counters(h.t)->name)

// An open connection with `bytes` queued. Its peer has no timestamps, and SACK only if asked.
static struct mr_tcp_conn *sender(bool sack, uint32_t bytes)
{
	struct mr_tcp_options o = hand_options();

	o.no_sack = !sack;
	o.no_tail_probes = true; // tests/net/tail.pkt
	hand_init(&h, &o);
	h.no_ts = true;
	hand_open(&h);
	assert_int_equal(mr_tcp_send(h.c, text, bytes), bytes);
	hand_flush(&h);
	return h.c;
}

static void ack(uint32_t n)
{
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = n});
}

static void sack(uint32_t n, uint32_t from, uint32_t to)
{
	hand_in(&h, (struct hand_seg){
			    .flags = ACK, .seq = 1, .ack = n, .sacks = 1, .sack = {from, to}});
}

static uint32_t full(uint32_t segments)
{
	return 1 + segments * MSS;
}

static void expect(uint32_t seq, uint32_t bytes)
{
	struct hand_seg o = hand_out(&h);

	assert_int_equal(o.seq, seq);
	assert_int_equal(o.bytes, bytes);
	assert_true(o.flags & ACK);
}

static void expect_full(uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		expect(full(first + i), MSS);
}

static struct mr_tcp_info info(void)
{
	struct mr_tcp_info i;

	mr_tcp_get_info(h.c, &i);
	return i;
}

static void the_first_window_is_ten_segments_and_doubles(void **)
{
	sender(true, 400000);
	expect_full(0, 10);
	assert_true(hand_is_quiet(&h));
	hand_flush(&h); // nothing more, however often it is asked
	hand_flush(&h);
	assert_true(hand_is_quiet(&h));
	ack(full(2));
	expect_full(10, 4);
	assert_true(hand_is_quiet(&h));
	ack(full(10));
	expect_full(14, 16);
	assert_true(hand_is_quiet(&h));
	hand_fini(&h);
}

static void avoidance_adds_a_segment_each_round_trip(void **)
{
	struct mr_tcp_conn *c = sender(true, 900000);

	c->ssthresh = c->cwnd;
	for (uint32_t round = 0, acked = 0; round < 5; round++) {
		uint32_t window = 10 + round;

		acked += window;
		hand_forget(&h);
		ack(full(acked));
		assert_int_equal(info().cwnd, (window + 1) * MSS);
	}
	hand_fini(&h);
}

static void the_window_of_the_peer_bounds_too(void **)
{
	sender(true, 100000);
	hand_forget(&h);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = full(10), .window = 1000});
	expect_full(10, 2); // 4,000 bytes; what is left is silly
	assert_true(hand_is_quiet(&h));
	hand_fini(&h);
}

static void three_duplicates_resend_and_newreno_fills_hole_after_hole(void **)
{
	sender(false, 20 * MSS);
	expect_full(0, 10);
	ack(1);
	expect_full(10, 1); // limited transmit
	ack(1);
	expect_full(11, 1);
	assert_int_equal(COUNTER(fast_recoveries), 0);
	ack(1);
	expect_full(0, 1);
	assert_true(hand_is_quiet(&h));
	assert_int_equal(info().ssthresh, 6 * MSS);
	ack(full(5)); // partial: the next hole at once
	expect_full(5, 1);
	hand_forget(&h);
	ack(full(12));
	assert_int_equal(COUNTER(fast_recoveries), 1);
	assert_true(info().cwnd <= 6 * MSS);
	hand_forget(&h);
	while (info().send_queued)
		ack(info().snd_nxt - h.iss);
	hand_fini(&h);
}

static void sack_resends_what_is_missing_and_nothing_else(void **)
{
	sender(true, 10 * MSS);
	expect_full(0, 10);
	sack(1, full(1), full(2));
	sack(1, full(1), full(3));
	assert_true(hand_is_quiet(&h));
	hand_in(&h, (struct hand_seg){.flags = ACK,
			    .seq = 1,
			    .ack = 1,
			    .sacks = 2,
			    .sack = {full(5), full(9), full(1), full(3)}});
	expect_full(0, 1); // lost: pipe is 10 - 6 - 3 lost, + 1, below 5
	expect_full(3, 2);
	hand_in(&h, (struct hand_seg){.flags = ACK,
			    .seq = 1,
			    .ack = full(3),
			    .sacks = 1,
			    .sack = {full(5), full(9)}});
	expect_full(9, 1); // rescue: nobody has told of it
	assert_true(hand_is_quiet(&h));
	ack(full(10));
	assert_int_equal(COUNTER(retransmits), 4);
	assert_int_equal(COUNTER(timeouts), 0);
	hand_fini(&h);
}

// What is lost of the new segments of a recovery is sent again once, and not waited for.
static void a_loss_within_a_recovery_is_repaired_without_a_timeout(void **)
{
	sender(true, 30 * MSS);
	expect_full(0, 10);
	sack(1, full(1), full(10));
	expect_full(0, 1);
	expect_full(10, 4); // the pipe of five
	assert_true(hand_is_quiet(&h));
	sack(full(10), full(11), full(14));
	expect_full(10, 1); // it has ended, and another begins
	hand_forget(&h);
	ack(full(14));
	while (info().send_queued)
		ack(info().snd_nxt - h.iss);
	assert_int_equal(COUNTER(retransmits), 2);
	assert_int_equal(COUNTER(fast_recoveries), 2);
	assert_int_equal(COUNTER(timeouts), 0);
	hand_fini(&h);
}

static void hostile_sack_blocks_are_not_believed(void **)
{
	struct mr_tcp_conn *c = sender(true, 10 * MSS);
	static const uint32_t bad[][2] = {{5000, 5000}, {5000, 4000}, {20000, 30000}, {1, 99999},
		{0x80000000, 0x80000100}, {0xf0000000, 500}};

	hand_forget(&h);
	for (size_t i = 0; i < MR_COUNT_OF(bad); i++)
		sack(1, bad[i][0], bad[i][1]);
	assert_int_equal(COUNTER(bad_sacks), MR_COUNT_OF(bad));
	assert_int_equal(mr_tcp_sack_pipe(c), 10 * MSS);
	assert_int_equal(COUNTER(fast_recoveries), 0);
	for (uint32_t i = 0; i < 500; i++) // one byte each: forgotten beyond the scoreboard
		sack(1, 3 + 2 * i, 4 + 2 * i);
	assert_int_equal(mr_tcp_scoreboard(c)->count, MR_TCP_RANGES_MAX);
	hand_fini(&h);
}

// SetPipe and IsLost of RFC 6675, byte by byte as it is written.
static uint32_t naive_pipe(const struct mr_tcp_conn *c, const bool *held, uint32_t flight)
{
	uint32_t pipe = 0, islands = 0, bytes = 0;
	bool above = false;

	for (uint32_t i = flight; i-- > 0;) {
		if (held[i]) {
			islands += !above;
			bytes++;
			above = true;
			continue;
		}
		above = false;
		pipe += !(islands >= 3 || bytes > 2u * c->mss);
		pipe += mr_seq_lt(c->snd_una + i, c->high_rxt);
		assert_int_equal(mr_tcp_sack_is_lost(c, c->snd_una + i),
			islands >= 3 || bytes > 2u * c->mss);
	}
	return pipe;
}

static void the_pipe_is_what_the_rfc_counts_byte_by_byte(void **)
{
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct mr_tcp_conn *c = sender(true, 9000);
		uint32_t flight = c->snd_max - c->snd_una;
		bool held[9000] = {};
		struct mr_rand r;

		mr_rand_init(&r, seed);
		assert_int_equal(flight, 9000);
		c->recover = c->snd_max;
		for (int i = 0; i < 12; i++) {
			uint32_t at = (uint32_t)mr_rand_below(&r, flight - 1);
			uint32_t n = 1 + (uint32_t)mr_rand_below(&r, MR_MIN(flight - at, 1500u));
			struct mr_tcp_seg s = {.ack = c->snd_una, .sacks = 1};

			s.sack[0].from = c->snd_una + at;
			s.sack[0].to = c->snd_una + at + n;
			mr_tcp_sack_take(c, &s);
			memset(held + at, true, n);
			c->high_rxt = c->snd_una + (uint32_t)mr_rand_below(&r, flight);
			assert_int_equal(mr_tcp_sack_pipe(c), naive_pipe(c, held, flight));
		}
		hand_fini(&h);
	}
}

static void a_timeout_starts_over_and_backs_off(void **)
{
	sender(true, 10 * MSS);
	expect_full(0, 10);
	sack(1, full(5), full(6));
	hand_wait(&h, 250 * HAND_MS);
	expect_full(0, 1);
	assert_true(hand_is_quiet(&h));
	assert_int_equal(info().cwnd, MSS);
	assert_int_equal(info().ssthresh, 5 * MSS);
	hand_wait(&h, 400 * HAND_MS);
	expect_full(0, 1);
	hand_wait(&h, 800 * HAND_MS);
	expect_full(0, 1);
	assert_int_equal(info().timeouts, 3);
	ack(full(1)); // slow start, from where it was lost
	expect_full(1, 2);
	assert_true(hand_is_quiet(&h));
	assert_true(info().rto_ns <= 200 * HAND_MS);
	ack(full(10)); // the others had arrived
	assert_int_equal(info().send_queued, 0);
	hand_wait(&h, 5000 * HAND_MS);
	assert_true(hand_is_quiet(&h));
	hand_fini(&h);
}

// RFC 6298 section 2, and Karn: what was sent twice is not timed.
static void round_trips_are_timed_once_a_flight_and_not_of_resent_bytes(void **)
{
	struct mr_tcp_conn *c = sender(true, 100);

	h.now_ns += 160 * HAND_MS;
	c->srtt_ns = 0;
	mr_tcp_time(h.t, h.now_ns);
	ack(101);
	assert_int_equal(info().srtt_ns, 160 * HAND_MS);
	assert_int_equal(info().rttvar_ns, 80 * HAND_MS);
	assert_int_equal(info().rto_ns, 480 * HAND_MS);
	mr_tcp_send(c, text, 100);
	hand_flush(&h);
	hand_wait(&h, 2000 * HAND_MS); // resent
	ack(201);
	assert_int_equal(info().srtt_ns, 160 * HAND_MS);
	mr_tcp_send(c, text, 100);
	hand_flush(&h);
	h.now_ns += 80 * HAND_MS;
	mr_tcp_time(h.t, h.now_ns);
	ack(301);
	assert_int_equal(info().srtt_ns, 150 * HAND_MS);
	assert_true(info().rto_ns >= 200 * HAND_MS);
	hand_fini(&h);
}

static void silence_ends_a_connection_after_fifteen_retries(void **)
{
	sender(true, 100);
	hand_wait(&h, 1200000 * HAND_MS);
	assert_int_equal(h.closed, 1);
	assert_int_equal(h.error, -ETIMEDOUT);
	assert_int_equal(h.made - h.seen, 16);
	assert_int_equal(COUNTER(timed_out), 1);
	assert_true(h.routes >= 2); // R1: another way was asked for
	hand_fini(&h);
}

static void idling_starts_again_slowly(void **)
{
	struct mr_tcp_conn *c = sender(true, 30 * MSS);

	hand_forget(&h);
	ack(full(10));
	ack(full(28));
	ack(full(30));
	hand_forget(&h);
	assert_true(info().cwnd > 20 * MSS);
	hand_wait(&h, 5000 * HAND_MS);
	mr_tcp_send(c, text, 30 * MSS);
	hand_flush(&h);
	expect_full(30, 10);
	assert_true(hand_is_quiet(&h));
	hand_fini(&h);
}

static void small_writes_go_at_once(void **)
{
	struct mr_tcp_conn *c = sender(true, 1);

	expect(1, 1);
	for (uint32_t i = 2; i < 6; i++) { // no rule of Nagle's
		mr_tcp_send(c, text, 1);
		hand_flush(&h);
		expect(i, 1);
	}
	hand_fini(&h);
}

static void fin_is_sent_again_with_what_it_follows(void **)
{
	struct mr_tcp_conn *c = sender(true, 100);

	mr_tcp_close(c);
	hand_flush(&h);
	expect(1, 100);
	assert_int_equal(hand_out(&h).flags, ACK | FIN);
	hand_wait(&h, 1100 * HAND_MS);
	assert_int_equal(hand_out(&h).flags, ACK | FIN | PSH);
	ack(101);
	hand_forget(&h);
	hand_wait(&h, 2500 * HAND_MS);
	assert_int_equal(hand_out(&h).flags, ACK | FIN);
	ack(102);
	hand_forget(&h);
	hand_wait(&h, 5000 * HAND_MS);
	assert_true(hand_is_quiet(&h));
	hand_fini(&h);
}

static void a_shut_window_is_probed_for_ever(void **)
{
	struct mr_tcp_conn *c = sender(true, 100);
	uint32_t probes = 0;

	hand_forget(&h);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 101, .window = HAND_SHUT});
	mr_tcp_send(c, text, 100);
	hand_flush(&h);
	assert_true(hand_is_quiet(&h));
	for (int minute = 0; minute < 60; minute++) {
		hand_wait(&h, 61000 * HAND_MS);
		for (; !hand_is_quiet(&h); probes++)
			expect(101, 1);
		hand_in(&h,
			(struct hand_seg){.flags = ACK, .seq = 1, .ack = 101, .window = HAND_SHUT});
	}
	assert_true(probes >= 60 && probes < 80);
	assert_int_equal(h.closed, 0);
	assert_int_equal(COUNTER(probes), probes);
	ack(101);
	expect(101, 100);
	hand_fini(&h);
}

static void a_window_that_shrinks_below_what_is_in_flight_is_lived_with(void **)
{
	sender(true, 10 * MSS);
	hand_forget(&h);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = full(1), .window = HAND_SHUT});
	for (int i = 0; i < 100; i++) {
		hand_wait(&h, 61000 * HAND_MS);
		hand_in(&h, (struct hand_seg){
				    .flags = ACK, .seq = 1, .ack = full(1), .window = HAND_SHUT});
	}
	assert_int_equal(h.closed, 0);
	hand_forget(&h);
	ack(full(1));
	expect_full(1, 1);
	hand_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_window_is_ten_segments_and_doubles),
		cmocka_unit_test(avoidance_adds_a_segment_each_round_trip),
		cmocka_unit_test(the_window_of_the_peer_bounds_too),
		cmocka_unit_test(three_duplicates_resend_and_newreno_fills_hole_after_hole),
		cmocka_unit_test(sack_resends_what_is_missing_and_nothing_else),
		cmocka_unit_test(a_loss_within_a_recovery_is_repaired_without_a_timeout),
		cmocka_unit_test(hostile_sack_blocks_are_not_believed),
		cmocka_unit_test(the_pipe_is_what_the_rfc_counts_byte_by_byte),
		cmocka_unit_test(a_timeout_starts_over_and_backs_off),
		cmocka_unit_test(round_trips_are_timed_once_a_flight_and_not_of_resent_bytes),
		cmocka_unit_test(silence_ends_a_connection_after_fifteen_retries),
		cmocka_unit_test(idling_starts_again_slowly),
		cmocka_unit_test(small_writes_go_at_once),
		cmocka_unit_test(fin_is_sent_again_with_what_it_follows),
		cmocka_unit_test(a_shut_window_is_probed_for_ever),
		cmocka_unit_test(a_window_that_shrinks_below_what_is_in_flight_is_lived_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
