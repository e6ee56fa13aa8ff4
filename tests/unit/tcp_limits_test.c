// Every limit of TCP: hit, counted, survived, and gone again when there is room.
#include "tests/lib/mr_test.h"
#include "tests/lib/tcp_hand.h"
#include "tests/lib/tcp_net.h"

#include <stdlib.h>

#define ACK MR_TCP_ACK
#define FIN MR_TCP_FIN
#define SYN MR_TCP_SYN
#define RST MR_TCP_RST

static struct hand h;
static uint8_t text[4 << 20];

static uint64_t counter(_Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#define COUNTER(name) counter(&mr_tcp_counters(h.t)->name)

static struct mr_tcp_conn *open_peer(uint32_t peer)
{
	h.c = NULL;
	hand_in(&h, (struct hand_seg){.flags = SYN,
			    .mss = 1460,
			    .sack_ok = true,
			    .wscale = HAND_SCALE(3),
			    .peer = peer});
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .peer = peer});
	hand_forget(&h);
	return h.c;
}

static void start(const struct mr_tcp_options *o)
{
	hand_init(&h, o);
	h.no_ts = true;
}

static void connections_are_limited(void **)
{
	struct mr_tcp_options o = hand_options();
	struct mr_tcp_conn *c = NULL;

	o.connections_max = 3;
	start(&o);
	for (uint32_t i = 0; i < 3; i++)
		assert_non_null(c = open_peer(i));
	hand_in(&h, (struct hand_seg){.flags = SYN, .peer = 3});
	assert_true(hand_is_quiet(&h));
	assert_int_equal(COUNTER(refused), 1);
	mr_tcp_abort(c);
	hand_forget(&h);
	assert_non_null(open_peer(4));
	hand_fini(&h);
}

// The last place may go between a SYN and its acknowledgement: then it is a reset.
static void a_connection_that_finds_no_place_any_more_is_reset(void **)
{
	struct mr_tcp_options o = hand_options();
	uint32_t iss;

	o.connections_max = 1;
	start(&o);
	hand_in(&h, (struct hand_seg){.flags = SYN, .peer = 0});
	iss = h.iss;
	assert_non_null(open_peer(1));
	h.iss = iss;
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .peer = 0});
	assert_int_equal(hand_out(&h).flags, RST);
	assert_int_equal(COUNTER(refused), 1);
	hand_fini(&h);
}

static void listeners_are_limited(void **)
{
	struct mr_tcp_listener *l;

	start(NULL);
	for (uint16_t i = 1; i < MR_TCP_LISTENERS_MAX; i++)
		assert_int_equal(mr_tcp_listen(h.t, i, &hand_events, &h, &l), 0);
	assert_int_equal(mr_tcp_listen(h.t, 500, &hand_events, &h, &l), -ENOSPC);
	mr_tcp_unlisten(l);
	assert_int_equal(mr_tcp_listen(h.t, 500, &hand_events, &h, &l), 0);
	hand_fini(&h);
}

static void half_open_ones_of_a_source_are_limited(void **)
{
	struct mr_tcp_options o = hand_options();

	o.syns_per_source = 4;
	start(&o);
	for (uint32_t port = 0; port < 10; port++) {
		struct mr_tcp_segment_in in = {
			.src = mr_ip4(0x0a000002), .dst = mr_ip4(0x0a000001)};
		uint8_t b[20] = {[12] = 0x50, [13] = SYN};

		mr_store_be16(b, (uint16_t)(6000 + port));
		mr_store_be16(b + 2, 9092);
		in.l4 = b;
		in.bytes = 20;
		mr_tcp_input(h.t, &in);
	}
	assert_int_equal(COUNTER(syns), 4);
	assert_int_equal(COUNTER(syns_dropped), 6);
	hand_forget(&h);
	assert_non_null(open_peer(1)); // another source
	hand_wait(&h, 200000 * HAND_MS);
	assert_int_equal(COUNTER(syns), 0);
	hand_fini(&h);
}

static void beyond_the_limit_of_half_open_ones_cookies_are_sent(void **)
{
	struct mr_tcp_options o = hand_options();
	struct mr_tcp_info i;

	o.syns_max = 4;
	o.connections_max = 1000;
	start(&o);
	for (uint32_t peer = 10; peer < 100; peer++)
		hand_in(&h, (struct hand_seg){.flags = SYN, .peer = peer});
	hand_forget(&h);
	assert_int_equal(COUNTER(syns), 4);
	assert_int_equal(COUNTER(cookies_sent), 86);
	h.no_ts = false; // with timestamps nothing is lost
	hand_in(&h, (struct hand_seg){.flags = SYN,
			    .mss = 1460,
			    .sack_ok = true,
			    .wscale = HAND_SCALE(9),
			    .ts = 70});
	{
		struct hand_seg o1 = hand_out(&h);

		assert_int_equal(o1.flags, SYN | ACK);
		hand_in(&h, (struct hand_seg){.flags = ACK,
				    .seq = 1,
				    .ack = 1,
				    .window = 100,
				    .bytes = 20,
				    .ts = 71,
				    .ts_echo = o1.ts});
	}
	assert_int_equal(h.opened, 1);
	assert_int_equal(h.received, 20);
	mr_tcp_get_info(h.c, &i);
	assert_int_equal(i.mss, 1448);
	assert_true(i.sack && i.timestamps);
	assert_int_equal(i.snd_wnd, 100 << 9);
	assert_int_equal(hand_out(&h).ack, 21);
	h.no_ts = true;
	hand_in(&h,
		(struct hand_seg){.flags = SYN, .mss = 1460, .wscale = HAND_SCALE(9), .peer = 1});
	hand_forget(&h);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .window = 100, .peer = 1});
	mr_tcp_get_info(h.c, &i);
	assert_int_equal(i.mss, 1460);
	assert_int_equal(i.snd_wnd, 100);
	assert_false(i.sack || i.timestamps);
	assert_int_equal(COUNTER(cookies_good), 2);
	hand_fini(&h);
}

static void cookies_are_not_guessed_kept_or_moved(void **)
{
	struct mr_tcp_options o = hand_options();

	o.always_cookies = true;
	start(&o);
	hand_in(&h,
		(struct hand_seg){.flags = ACK, .seq = 1, .ack = 12345}); // none was sent so far
	assert_int_equal(hand_out(&h).flags, RST);
	assert_int_equal(COUNTER(cookies_bad), 0);
	hand_in(&h, (struct hand_seg){.flags = SYN, .mss = 1400});
	hand_forget(&h);
	for (uint32_t i = 2; i < 3000; i++)
		hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = i});
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .peer = 1});
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 2, .ack = 1});
	assert_int_equal(COUNTER(cookies_bad), 3000);
	assert_int_equal(h.opened, 0);
	hand_wait(&h, 65000 * HAND_MS);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1});
	assert_int_equal(h.opened, 1);
	mr_tcp_abort(h.c);
	hand_wait(&h, 140000 * HAND_MS); // two minutes and more
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1});
	assert_int_equal(h.opened, 1);
	hand_fini(&h);
}

static void the_oldest_time_wait_goes_when_there_are_too_many(void **)
{
	start(NULL); // eight
	for (uint32_t peer = 0; peer < 12; peer++) {
		mr_tcp_close(open_peer(peer));
		hand_flush(&h);
		hand_in(&h,
			(struct hand_seg){.flags = ACK | FIN, .seq = 1, .ack = 2, .peer = peer});
	}
	assert_int_equal(COUNTER(timewaits), 8);
	assert_int_equal(COUNTER(timewaits_evicted), 4);
	hand_forget(&h);
	hand_in(&h, (struct hand_seg){.flags = ACK | FIN, .seq = 1, .ack = 2, .peer = 0});
	assert_int_equal(hand_out(&h).flags, RST);
	hand_in(&h, (struct hand_seg){.flags = ACK | FIN, .seq = 1, .ack = 2, .peer = 11});
	assert_int_equal(hand_out(&h).flags, ACK);
	hand_wait(&h, 11000 * HAND_MS);
	assert_int_equal(COUNTER(timewaits), 0);
	hand_fini(&h);
}

static void the_send_queue_is_limited_and_says_when_there_is_room(void **)
{
	struct mr_tcp_options o = hand_options();
	struct mr_tcp_conn *c;

	o.send_queue_max = 50000;
	start(&o);
	c = open_peer(0);
	assert_int_equal(mr_tcp_send_room(c), 50000);
	assert_int_equal(mr_tcp_send(c, text, 60000), 50000);
	assert_int_equal(mr_tcp_send(c, text, 1), 0);
	hand_flush(&h);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1461});
	assert_int_equal(h.sendable, 0); // a quarter at least
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 14601});
	assert_int_equal(h.sendable, 1);
	hand_fini(&h);
}

static void senders_that_found_no_block_are_told_in_turn(void **)
{
	struct mr_tcp_options o = hand_options();
	struct mr_tcp_conn *c[4];
	size_t sent[4];

	o.memory_bytes = 10 * MR_TCP_BLOCK_BYTES;
	start(&o);
	for (uint32_t i = 0; i < 4; i++) {
		c[i] = open_peer(i);
		sent[i] = mr_tcp_send(c[i], text, 5 * MR_TCP_BLOCK_BYTES);
	}
	assert_true(sent[0] == 5 * MR_TCP_BLOCK_BYTES && sent[1] < sent[0] + 1 && sent[3] == 0);
	assert_true(COUNTER(memory_dropped) >= 2);
	hand_flush(&h);
	assert_int_equal(h.sendable, 0);
	mr_tcp_abort(c[0]);
	hand_flush(&h);
	assert_true(h.sendable >= 1);
	for (int i = 1; i < 4; i++)
		mr_tcp_abort(c[i]);
	assert_int_equal(COUNTER(memory_used), 0);
	hand_fini(&h);
}

static void bytes_without_a_block_are_not_acknowledged_and_come_again(void **)
{
	struct mr_tcp_options o = hand_options();
	struct mr_tcp_conn *c;
	uint32_t at = 1;

	o.memory_bytes = 8 * MR_TCP_BLOCK_BYTES;
	start(&o);
	c = open_peer(0);
	mr_tcp_pause(c);
	while (COUNTER(memory_dropped) == 0) {
		hand_in(&h, (struct hand_seg){.flags = ACK, .seq = at, .ack = 1, .bytes = 1460});
		at += 1460;
	}
	assert_true(c->rcv_nxt - h.irs < at);
	assert_true(COUNTER(memory_used) == 7 * MR_TCP_BLOCK_BYTES); // one is kept for sending
	assert_true(mr_tcp_send(c, text, 100) == 100);
	at = c->rcv_nxt - h.irs;
	mr_tcp_resume(c);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = at, .ack = 1, .bytes = 1460});
	assert_int_equal(h.received, at - 1 + 1460);
	hand_fini(&h);
}

static void the_window_is_the_limit_of_what_is_kept(void **)
{
	static const uint32_t windows[] = {1000, 65535, 65536, 1 << 20, 16 << 20};

	for (size_t i = 0; i < MR_COUNT_OF(windows); i++) {
		struct mr_tcp_options o = hand_options();
		struct mr_tcp_conn *c;
		uint32_t at = 1;

		o.receive_window_max = windows[i];
		o.memory_bytes = 40u << 20;
		start(&o);
		c = open_peer(0);
		mr_tcp_pause(c);
		for (int j = 0; j < 20000 && (j < 10 || c->rcv_edge != c->rcv_nxt); j++) {
			hand_give(&h, (struct hand_seg){
					      .flags = ACK, .seq = at, .ack = 1, .bytes = 1460});
			if (j % 8 == 0)
				hand_flush(&h);
			at = c->rcv_nxt - h.irs;
		}
		assert_true(at - 1 <= windows[i] && at - 1 + 1024 >= windows[i]);
		hand_flush(&h);
		hand_forget(&h);
		mr_tcp_resume(c);
		assert_int_equal(h.received, at - 1);
		hand_flush(&h);
		assert_true(hand_out(&h).window > 0);
		hand_fini(&h);
	}
}

static void orphans_without_progress_are_dropped(void **)
{
	struct mr_tcp_conn *c;

	start(NULL);
	c = open_peer(0);
	mr_tcp_send(c, text, 1000);
	hand_flush(&h);
	mr_tcp_close(c);
	for (int i = 0; i < 12; i++) { // it answers, and keeps its window shut
		hand_in(&h,
			(struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .window = HAND_SHUT});
		hand_wait(&h, 10000 * HAND_MS);
	}
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(COUNTER(orphans_dropped), 1);
	assert_int_equal(COUNTER(memory_used), 0);
	hand_fini(&h);
}

static void acknowledgements_of_text_that_floods_are_one_a_burst(void **)
{
	start(NULL);
	open_peer(0);
	for (int i = 0; i < 1000; i++)
		hand_give(&h, (struct hand_seg){.flags = ACK, .seq = 0, .ack = 1, .bytes = 1});
	hand_flush(&h);
	assert_int_equal(h.made - h.seen, 1);
	hand_fini(&h);
}

static void ports_of_active_opens_run_out_politely(void **)
{
	struct mr_ip us = mr_ip4(0x0a000001), them = mr_ip4(0x0a000002);
	struct mr_tcp_options o = hand_options();
	struct mr_tcp_conn *c;

	o.connections_max = 2;
	start(&o);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mr_tcp_connect(h.t, &us, 0, &them, 80, &hand_events, &h, &c), 0);
	assert_int_equal(mr_tcp_connect(h.t, &us, 0, &them, 80, &hand_events, &h, &c), -ENOBUFS);
	assert_int_equal(
		mr_tcp_connect(h.t, &us, 9092, &them, 80, &hand_events, &h, &c), -EADDRINUSE);
	h.no_way = true;
	assert_int_equal(
		mr_tcp_connect(h.t, &us, 0, &them, 80, &hand_events, &h, &c), -EHOSTUNREACH);
	hand_fini(&h);
}

// A flood of SYNs from everywhere takes neither connections nor memory, and real peers get in.
static void a_syn_flood_keeps_nobody_out(void **)
{
	struct mr_tcp_options o = hand_options();
	uint64_t opened = 0;

	o.syns_max = 16;
	o.connections_max = 100;
	start(&o);
	for (uint32_t i = 0; i < 5000; i++) {
		hand_in(&h, (struct hand_seg){.flags = SYN, .seq = i, .peer = 1000 + i});
		if (i % 100)
			continue;
		opened += open_peer(i / 100) != NULL;
	}
	assert_int_equal(opened, 50);
	assert_int_equal(COUNTER(connections), 50);
	hand_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_limited),
		cmocka_unit_test(a_connection_that_finds_no_place_any_more_is_reset),
		cmocka_unit_test(listeners_are_limited),
		cmocka_unit_test(half_open_ones_of_a_source_are_limited),
		cmocka_unit_test(beyond_the_limit_of_half_open_ones_cookies_are_sent),
		cmocka_unit_test(cookies_are_not_guessed_kept_or_moved),
		cmocka_unit_test(the_oldest_time_wait_goes_when_there_are_too_many),
		cmocka_unit_test(the_send_queue_is_limited_and_says_when_there_is_room),
		cmocka_unit_test(senders_that_found_no_block_are_told_in_turn),
		cmocka_unit_test(bytes_without_a_block_are_not_acknowledged_and_come_again),
		cmocka_unit_test(the_window_is_the_limit_of_what_is_kept),
		cmocka_unit_test(orphans_without_progress_are_dropped),
		cmocka_unit_test(acknowledgements_of_text_that_floods_are_one_a_burst),
		cmocka_unit_test(ports_of_active_opens_run_out_politely),
		cmocka_unit_test(a_syn_flood_keeps_nobody_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
