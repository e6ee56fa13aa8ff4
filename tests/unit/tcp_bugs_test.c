// Sixteen classes of bugs that user-space TCPs have had in the field, each as a test that would
// find it here. The numbers are theirs; 11 and 16 begin below TCP (stack_test.c, stack_ip_test.c),
// 14 is a mistake of an algorithm that is not used: what stands for it is
// tests/unit/tcp_loss_test.c.
#include "tests/lib/mr_test.h"
#include "tests/lib/tcp_hand.h"
#include "tests/lib/tcp_net.h"

#include <stdio.h>

#define ACK MR_TCP_ACK
#define FIN MR_TCP_FIN
#define SYN MR_TCP_SYN
#define RST MR_TCP_RST

static struct hand h;

static uint64_t counter(_Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#define COUNTER(name)          counter(&mr_tcp_counters(h.t)->name)
#define COUNTER_OF(n, i, name) counter(&mr_tcp_counters((n).host[i].tcp)->name)

static struct mr_tcp_conn *open_plain(const struct mr_tcp_options *o)
{
	hand_init(&h, o);
	h.no_ts = true;
	return hand_open(&h);
}

static bool is_same(const struct mr_tcp_info *a, const struct mr_tcp_info *b)
{
	return a->state == b->state && a->snd_una == b->snd_una && a->snd_nxt == b->snd_nxt &&
	       a->snd_wnd == b->snd_wnd && a->rcv_nxt == b->rcv_nxt && a->rcv_wnd == b->rcv_wnd &&
	       a->cwnd == b->cwnd && a->ssthresh == b->ssthresh && a->mss == b->mss &&
	       a->rto_ns == b->rto_ns && a->received_bytes == b->received_bytes;
}

static void in(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes)
{
	hand_in(&h, (struct hand_seg){.flags = flags, .seq = seq, .ack = ack, .bytes = bytes});
}

static bool received_all(void *ctx)
{
	struct tcp_net_end *e = ctx;

	return e[0].received == e[1].to_send && e[1].received == e[0].to_send;
}

// What each host has sent beyond what it knows to have arrived never exceeds its window.
static bool watch_flight(struct tcp_net *n, struct tcp_net_packet *p)
{
	struct tcp_net_end *e = n->filter_ctx;
	struct mr_tcp_conn *c = e[1 - p->to].c;
	uint32_t bytes = p->bytes - (uint32_t)(p->data[12] >> 4) * 4;

	if (c && bytes && c->state >= MR_TCP_ESTABLISHED) {
		uint32_t end = mr_load_be32(p->data + 4) + bytes;
		uint32_t most = MR_MIN(c->cwnd + 2u * c->mss, c->snd_wnd + 1);

		if (!(c->flags & MR_TCP_C_RECOVERY))
			assert_true(end - c->snd_una <= most);
	}
	return true;
}

static void bug_1_the_congestion_window_bounds_bytes_in_flight(void **)
{
	for (uint64_t seed = 0; seed < 8; seed++) {
		struct tcp_net n;
		struct tcp_net_end e[2] = {{.to_send = 600000}, {.to_send = 100000}};

		tcp_net_init(&n, seed, NULL, NULL);
		n.loss_ppm = 20000;
		n.delay_ns = 2000000;
		n.filter = watch_flight;
		n.filter_ctx = e;
		tcp_net_connect(&n, &e[0], &e[1]);
		assert_true(tcp_net_run(&n, 60000 * TCP_NET_MS, received_all, e));
		tcp_net_fini(&n);
	}
}

static bool has_filled(void *ctx)
{
	struct tcp_net_end *e = ctx;
	struct mr_tcp_info i;

	mr_tcp_get_info(e[1].c, &i);
	return i.rcv_wnd < 100;
}

// The right edge as the wire shows it, less what the scale cuts off, never moves left.
static bool watch_edge(struct tcp_net *n, struct tcp_net_packet *p)
{
	uint32_t *edge = n->filter_ctx, now, unit = 1u << n->host[1].tcp->wscale;

	if (p->to == 0 && !(p->data[13] & SYN)) {
		now = mr_load_be32(p->data + 8) + (uint32_t)mr_load_be16(p->data + 14) * unit;
		if (*edge)
			assert_true((int32_t)(now + unit - 1 - *edge) >= 0);
		*edge = mr_seq_max(*edge ? *edge : now, now);
	}
	return true;
}

static void bug_2_a_drained_window_is_told_at_once_and_never_shrinks(void **)
{
	struct mr_tcp_options o = tcp_net_options(3);
	struct tcp_net n;
	struct tcp_net_end e[2] = {{.to_send = 2000000}, {.take_max = 1}};
	uint32_t edge = 0;
	int64_t began;

	o.receive_window_max = 100000;
	tcp_net_init(&n, 3, NULL, &o);
	n.filter = watch_edge;
	n.filter_ctx = &edge;
	tcp_net_connect(&n, &e[0], &e[1]);
	assert_true(tcp_net_run(&n, 10000 * TCP_NET_MS, has_filled, e));
	tcp_net_run(&n, 30000 * TCP_NET_MS, NULL, NULL);
	assert_true(COUNTER_OF(n, 0, probes) >= 3);
	assert_int_equal(COUNTER_OF(n, 1, zero_windows), 1);
	began = n.now_ns;
	e[1].take_max = 0;
	mr_tcp_resume(e[1].c);
	assert_true(tcp_net_run(&n, 10000 * TCP_NET_MS, received_all, e));
	assert_true(n.now_ns - began < 100 * TCP_NET_MS); // not by a probe
	assert_true(COUNTER_OF(n, 1, window_updates) >= 1);
	tcp_net_fini(&n);
}

static void bug_2_small_reads_do_not_make_silly_windows(void **)
{
	struct mr_tcp_options o = hand_options();
	struct mr_tcp_conn *c;

	o.receive_window_max = 20000;
	c = open_plain(&o);
	mr_tcp_pause(c);
	for (uint32_t i = 0; i < 20; i++)
		in(ACK, 1 + 1000 * i, 1, 1000);
	assert_int_equal(h.out[(h.made - 1) % MR_COUNT_OF(h.out)].window, 0);
	hand_forget(&h);
	h.take_max = 500;
	for (int i = 0; i < 5; i++) {
		mr_tcp_resume(c);
		hand_flush(&h);
		assert_true(hand_is_quiet(&h)); // 2,500 bytes are not two segments
	}
	mr_tcp_resume(c);
	hand_flush(&h);
	assert_true(hand_out(&h).window >= 3000);
	hand_fini(&h);
}

static bool lose_twice(struct tcp_net *n, struct tcp_net_packet *p)
{
	uint32_t *left = n->filter_ctx;

	if (p->to == 0 || p->bytes < 1000 || *left == 0)
		return true;
	--*left;
	return false;
}

static void bug_3_a_lost_retransmission_is_sent_again(void **)
{
	for (uint32_t losses = 1; losses < 14; losses++) {
		struct tcp_net n;
		struct tcp_net_end e[2] = {{.to_send = 50000}, {}};
		uint32_t left = losses;

		tcp_net_init(&n, losses, NULL, NULL);
		n.filter = lose_twice;
		n.filter_ctx = &left;
		tcp_net_connect(&n, &e[0], &e[1]);
		assert_true(tcp_net_run(&n, 3000 * TCP_NET_MS, received_all, e));
		assert_int_equal(left, 0);
		tcp_net_fini(&n);
	}
}

static void bug_4_any_sack_blocks_leave_the_scoreboard_whole(void **)
{
	static const uint8_t text[60000];
	struct mr_rand r;

	mr_rand_init(&r, 4);
	for (int round = 0; round < 20; round++) {
		struct mr_tcp_conn *c = open_plain(NULL);

		mr_tcp_send(c, text, sizeof(text));
		hand_flush(&h);
		for (int i = 0; i < 300; i++) {
			struct hand_seg s = {.flags = ACK, .seq = 1, .sacks = 4};

			s.ack = c->snd_una - h.iss +
				(uint32_t)mr_rand_below(&r, (c->snd_max - c->snd_una) / 20 + 1);
			for (int j = 0; j < 8; j++)
				s.sack[j] = (uint32_t)mr_rand_below(&r, 30000) - 2000;
			hand_in(&h, s); // which checks
			if (i % 50 == 49)
				hand_wait(&h, 700 * HAND_MS);
		}
		hand_fini(&h);
	}
}

static void bug_5_pieces_out_of_order_are_bounded(void **)
{
	struct mr_tcp_options o = hand_options();

	o.sack_bytes_max = 5000;
	open_plain(&o);
	for (uint32_t i = 0; i < 1000; i++)
		in(ACK, 100 + 2 * i, 1, 1);
	assert_int_equal(COUNTER(out_of_order), MR_TCP_SACK_MAX);
	assert_int_equal(COUNTER(out_of_order_dropped), 1000 - MR_TCP_SACK_MAX);
	in(ACK, 90, 1, 1460); // joins them all
	in(ACK, 1550, 1, 1460);
	in(ACK, 3010, 1, 1460);
	in(ACK, 4470, 1, 1460); // 5,000 would be passed
	assert_int_equal(COUNTER(out_of_order_dropped), 1001 - MR_TCP_SACK_MAX);
	in(ACK, 1, 1, 89);
	assert_int_equal(h.received, 4469);
	hand_fini(&h);
}

static struct mr_tcp_conn *both[2];

static void abort_other(struct hand *, struct mr_tcp_conn *c)
{
	mr_tcp_abort(both[c == both[0]]);
}

// Two connections time out in one tick: the callback of the first ends the second.
static void bug_6_a_cancelled_timer_does_not_fire(void **)
{
	struct mr_tcp_options o = hand_options();

	o.retries_max = 1;
	both[0] = open_plain(&o);
	hand_in(&h, (struct hand_seg){.flags = SYN, .peer = 1});
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .peer = 1});
	both[1] = h.c;
	h.in_closed = abort_other;
	mr_tcp_send(both[0], "a", 1);
	mr_tcp_send(both[1], "b", 1);
	hand_flush(&h);
	hand_wait(&h, 5000 * HAND_MS);
	assert_int_equal(h.closed, 1);
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(mr_tcp_next_ns(h.t), INT64_MAX);
	hand_fini(&h);
}

static void bug_7_microseconds_of_round_trip_neither_hang_nor_collapse(void **)
{
	for (uint64_t seed = 0; seed < 10; seed++) {
		struct mr_tcp_options o = tcp_net_options(seed);
		struct tcp_net n;
		struct tcp_net_end e[2] = {{.to_send = 2000000}, {.to_send = 500000}};
		int64_t began;

		o.rto_min_ns = 1000000;
		tcp_net_init(&n, seed, &o, &o);
		n.delay_ns = 2000;
		n.jitter_ns = seed % 2 ? 3000 : 0;
		n.loss_ppm = 10000;
		n.no_check = true;
		tcp_net_connect(&n, &e[0], &e[1]);
		began = n.now_ns;
		assert_true(tcp_net_run(&n, 20000 * TCP_NET_MS, received_all, e));
		assert_true(n.now_ns - began < 2000 * TCP_NET_MS);
		tcp_net_fini(&n);
	}
}

// How many challenges of a second are answered: what an attacker could count.
static uint64_t challenges_of_a_second(uint32_t connections)
{
	uint64_t before = COUNTER(challenge_acks);

	for (uint32_t i = 0; i < connections; i++)
		hand_in(&h, (struct hand_seg){.flags = SYN, .seq = 1, .peer = i});
	hand_wait(&h, 1000 * HAND_MS);
	return COUNTER(challenge_acks) - before;
}

static void bug_8_challenges_are_limited_each_and_at_random_together(void **)
{
	struct mr_tcp_options o = hand_options();
	uint64_t seen[20], same = 0;

	o.connections_max = 400;
	o.syns_max = 400;
	hand_init(&h, &o);
	h.no_ts = true;
	for (uint32_t i = 0; i < 300; i++) {
		hand_in(&h, (struct hand_seg){.flags = SYN, .peer = i});
		hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .peer = i});
	}
	for (int i = 0; i < 20; i++) {
		seen[i] = challenges_of_a_second(300);
		assert_true(seen[i] >= 50 && seen[i] < 150);
		same += i > 0 && seen[i] == seen[i - 1];
	}
	assert_true(same < 5);
	assert_true(COUNTER(challenge_limited) > 3000);
	for (int i = 0; i < 100; i++) // of one connection: one in half a second
		hand_in(&h, (struct hand_seg){.flags = SYN, .seq = 1, .peer = 0});
	assert_int_equal(challenges_of_a_second(0), 0);
	hand_fini(&h);
}

static void bug_9_a_reset_touches_no_other_and_a_tuple_starts_anew(void **)
{
	struct mr_tcp_info before, after;
	struct mr_tcp_conn *first = open_plain(NULL);

	hand_in(&h, (struct hand_seg){.flags = SYN, .peer = 1});
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .bytes = 5, .peer = 1});
	mr_tcp_get_info(first, &before);
	hand_in(&h, (struct hand_seg){.flags = RST, .seq = 6, .peer = 1});
	mr_tcp_get_info(first, &after);
	assert_true(is_same(&before, &after));
	in(ACK, 1, h.iss, 0);
	hand_in(&h, (struct hand_seg){.flags = SYN, .seq = 5000, .window = 77, .peer = 1});
	hand_in(&h,
		(struct hand_seg){.flags = ACK, .seq = 5001, .ack = 1, .window = 99, .peer = 1});
	mr_tcp_get_info(h.c, &after);
	assert_int_equal(after.snd_wnd, 99);
	assert_int_equal(after.received_bytes, 0);
	assert_int_equal(after.receive_queued, 0);
	assert_int_equal(after.state, MR_TCP_ESTABLISHED);
	hand_fini(&h);
}

static void bug_10_closing_and_fin_wait_2_come_to_an_end(void **)
{
	mr_tcp_close(open_plain(NULL));
	hand_flush(&h);
	in(ACK | FIN, 1, 1, 0); // CLOSING, and then silence
	hand_wait(&h, 1200000 * HAND_MS);
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(mr_tcp_next_ns(h.t), INT64_MAX);
	hand_fini(&h);
	mr_tcp_close(open_plain(NULL));
	hand_flush(&h);
	in(ACK, 1, 2, 0); // FIN-WAIT-2
	hand_wait(&h, 59000 * HAND_MS);
	assert_int_equal(COUNTER(connections), 1);
	hand_wait(&h, 2000 * HAND_MS);
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(COUNTER(orphans_dropped), 1);
	hand_fini(&h);
}

static void bug_11_bad_segments_change_and_keep_nothing(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);
	struct mr_tcp_info before, after;
	struct mr_rand r;

	mr_rand_init(&r, 11);
	mr_tcp_get_info(c, &before);
	for (int i = 0; i < 3000; i++) {
		uint8_t b[64];
		struct mr_tcp_segment_in s = {mr_ip4(0x0a000002), mr_ip4(0x0a000001), b, 0, false};

		mr_rand_bytes(&r, b, sizeof(b));
		mr_store_be16(b, 5000);
		mr_store_be16(b + 2, 9092);
		s.bytes = (uint32_t)mr_rand_below(&r, sizeof(b));
		if (s.bytes >= 20)
			b[13] |= SYN | FIN;
		mr_tcp_input(h.t, &s);
	}
	mr_tcp_get_info(c, &after);
	assert_true(is_same(&before, &after));
	assert_int_equal(COUNTER(bad_segments), 3000);
	assert_int_equal(COUNTER(memory_used), 0);
	hand_fini(&h);
}

static int abort_some(struct hand *w, struct mr_tcp_conn *c)
{
	if (w->opened % 3 == 0)
		mr_tcp_abort(c);
	else if (w->opened % 3 == 1)
		mr_tcp_close(c);
	return w->opened % 5 ? 0 : -EAGAIN;
}

static void bug_12_opening_and_ending_in_any_order_keeps_the_tables(void **)
{
	struct mr_tcp_options o = hand_options();
	struct mr_rand r;

	o.fin_wait2_ns = 1000 * HAND_MS;
	mr_rand_init(&r, 12);
	hand_init(&h, &o);
	h.no_ts = true;
	h.in_opened = abort_some;
	for (int i = 0; i < 3000; i++) {
		uint32_t peer = (uint32_t)mr_rand_below(&r, 40);
		static const uint8_t flags[] = {SYN, ACK, ACK | FIN, RST, SYN};

		hand_in(&h, (struct hand_seg){.flags = flags[mr_rand_below(&r, 5)],
				    .seq = (uint32_t)mr_rand_below(&r, 3),
				    .ack = (uint32_t)mr_rand_below(&r, 3),
				    .peer = peer});
		if (mr_rand_below(&r, 2)) // perhaps of the SYN that was just answered
			hand_in(&h,
				(struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .peer = peer});
		if (i % 100 == 0)
			hand_wait(&h, (int64_t)mr_rand_below(&r, 90000) * HAND_MS);
	}
	assert_true(h.opened > 80);
	hand_wait(&h, 2000000 * HAND_MS);
	assert_int_equal(COUNTER(syns), 0);
	assert_int_equal(COUNTER(timewaits), 0);
	hand_fini(&h);
}

static void bug_13_one_byte_segments_cost_bytes_not_buffers(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);

	mr_tcp_pause(c);
	for (uint32_t i = 0; i < 20000; i++)
		in(ACK, 1 + i, 1, 1);
	assert_int_equal(c->rcv_nxt - c->rcv_user, 20000);
	assert_true(COUNTER(memory_used) <= 3 * MR_TCP_BLOCK_BYTES);
	assert_true(h.out[(h.made - 1) % MR_COUNT_OF(h.out)].window > 30000);
	mr_tcp_resume(c);
	assert_int_equal(h.received, 20000);
	hand_fini(&h);
}

static void bug_15_two_shut_windows_do_not_shout_at_each_other(void **)
{
	struct mr_tcp_options o = tcp_net_options(15);
	struct tcp_net n;
	struct tcp_net_end e[2] = {
		{.to_send = 200000, .take_max = 1}, {.to_send = 200000, .take_max = 1}};
	uint64_t before;

	o.receive_window_max = 20000;
	tcp_net_init(&n, 15, &o, &o);
	tcp_net_connect(&n, &e[0], &e[1]);
	tcp_net_run(&n, 60000 * TCP_NET_MS, NULL, NULL);
	before = n.numbers;
	tcp_net_run(&n, 600000 * TCP_NET_MS, NULL, NULL);
	assert_true(n.numbers - before < 100); // a probe a minute each, and its answer
	e[0].take_max = e[1].take_max = 0;
	mr_tcp_resume(e[0].c);
	mr_tcp_resume(e[1].c);
	assert_true(tcp_net_run(&n, 5000 * TCP_NET_MS, received_all, e));
	tcp_net_fini(&n);
}

// Each believes the other to be elsewhere: every segment is out of the window and is answered.
static void bug_15_confused_peers_do_not_answer_each_other_for_ever(void **)
{
	struct tcp_net n;
	struct tcp_net_end e[2] = {};
	uint64_t before;

	tcp_net_init(&n, 16, NULL, NULL);
	n.no_check = true;
	tcp_net_connect(&n, &e[0], &e[1]);
	tcp_net_run(&n, 1000 * TCP_NET_MS, NULL, NULL);
	e[0].c->rcv_nxt += 500000;
	e[0].c->rcv_user = e[0].c->rcv_acked = e[0].c->rcv_nxt;
	e[0].c->rcv_edge += 500000;
	e[1].c->rcv_nxt += 300000;
	e[1].c->rcv_user = e[1].c->rcv_acked = e[1].c->rcv_nxt;
	e[1].c->rcv_edge += 300000;
	before = n.numbers;
	e[0].to_send = 1;
	tcp_net_pump(&e[0]);
	tcp_net_run(&n, 5000 * TCP_NET_MS, NULL, NULL);
	assert_true(n.numbers - before < 60);
	tcp_net_fini(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bug_1_the_congestion_window_bounds_bytes_in_flight),
		cmocka_unit_test(bug_2_a_drained_window_is_told_at_once_and_never_shrinks),
		cmocka_unit_test(bug_2_small_reads_do_not_make_silly_windows),
		cmocka_unit_test(bug_3_a_lost_retransmission_is_sent_again),
		cmocka_unit_test(bug_4_any_sack_blocks_leave_the_scoreboard_whole),
		cmocka_unit_test(bug_5_pieces_out_of_order_are_bounded),
		cmocka_unit_test(bug_6_a_cancelled_timer_does_not_fire),
		cmocka_unit_test(bug_7_microseconds_of_round_trip_neither_hang_nor_collapse),
		cmocka_unit_test(bug_8_challenges_are_limited_each_and_at_random_together),
		cmocka_unit_test(bug_9_a_reset_touches_no_other_and_a_tuple_starts_anew),
		cmocka_unit_test(bug_10_closing_and_fin_wait_2_come_to_an_end),
		cmocka_unit_test(bug_11_bad_segments_change_and_keep_nothing),
		cmocka_unit_test(bug_12_opening_and_ending_in_any_order_keeps_the_tables),
		cmocka_unit_test(bug_13_one_byte_segments_cost_bytes_not_buffers),
		cmocka_unit_test(bug_15_two_shut_windows_do_not_shout_at_each_other),
		cmocka_unit_test(bug_15_confused_peers_do_not_answer_each_other_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
