// The state machine of RFC 9293 segment by segment: every arrow of its diagram, delivery, windows,
// acknowledgements, timers, and what a callback may do to its own connection.
#include "tests/lib/mr_test.h"
#include "tests/lib/tcp_hand.h"

#define ACK MR_TCP_ACK
#define FIN MR_TCP_FIN
#define SYN MR_TCP_SYN
#define RST MR_TCP_RST
#define PSH MR_TCP_PSH

static struct hand h;

// An open connection whose peer has no timestamps.
static struct mr_tcp_conn *open_plain(const struct mr_tcp_options *o)
{
	hand_init(&h, o);
	h.no_ts = true;
	return hand_open(&h);
}

static void in(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes)
{
	hand_in(&h, (struct hand_seg){.flags = flags, .seq = seq, .ack = ack, .bytes = bytes});
}

static void expect(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t bytes)
{
	struct hand_seg o = hand_out(&h);

	assert_int_equal(o.flags, flags);
	assert_int_equal(o.seq, seq);
	assert_int_equal(o.ack, ack);
	assert_int_equal(o.bytes, bytes);
}

static struct mr_tcp_info info(void)
{
	struct mr_tcp_info i;

	mr_tcp_get_info(h.c, &i);
	return i;
}

static uint64_t counter(_Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#define COUNTER(name) counter(&mr_tcp_counters(h.t)->name)

static void end(void)
{
	hand_fini(&h);
}

static void syn_ack_offers_what_the_peer_offered(void **)
{
	struct hand_seg o;

	hand_init(&h, NULL);
	hand_in(&h, (struct hand_seg){.flags = SYN,
			    .mss = 1460,
			    .sack_ok = true,
			    .wscale = HAND_SCALE(7),
			    .ts = 77});
	o = hand_out(&h);
	assert_int_equal(o.flags, SYN | ACK);
	assert_int_equal(o.mss, 1460);
	assert_int_equal(o.wscale, HAND_SCALE(5)); // 1 MiB / 65,535
	assert_true(o.sack_ok);
	assert_int_equal(o.ts_echo, 77);
	assert_int_equal(o.window, 65535);
	end();
	hand_init(&h, NULL);
	in(SYN, 0, 0, 0);
	o = hand_out(&h);
	assert_int_equal(o.mss, 1460);
	assert_int_equal(o.wscale, 0);
	assert_false(o.sack_ok);
	assert_int_equal(o.ts_echo, 0);
	assert_int_equal(o.ts, 0);
	in(ACK, 1, 1, 0);
	assert_int_equal(info().mss, 536); // RFC 9293 3.7.1
	end();
}

static void syn_ack_is_sent_again_until_it_is_given_up(void **)
{
	hand_init(&h, NULL);
	in(SYN, 0, 0, 0);
	expect(SYN | ACK, 0, 1, 0);
	in(SYN, 0, 0, 0);
	expect(SYN | ACK, 0, 1, 0);
	for (int i = 0; i < 5; i++) {
		hand_wait(&h, (1000 << i) * HAND_MS + HAND_MS);
		expect(SYN | ACK, 0, 1, 0);
	}
	hand_wait(&h, 40000 * HAND_MS);
	assert_true(hand_is_quiet(&h));
	assert_int_equal(COUNTER(syns), 0);
	end();
}

static void reset_ends_a_half_open_connection(void **)
{
	hand_init(&h, NULL);
	in(SYN, 0, 0, 0);
	hand_forget(&h);
	in(RST, 50, 0, 0);
	assert_int_equal(COUNTER(syns), 1);
	in(RST, 1, 0, 0);
	assert_int_equal(COUNTER(syns), 0);
	in(SYN, 0, 0, 0);
	hand_forget(&h);
	in(ACK, 1, 7, 0); // an acknowledgement of something else: RFC 9293 3.10.7.4
	expect(RST, 7, 0, 0);
	end();
}

static void a_burst_is_acknowledged_once_and_delivered_in_place(void **)
{
	open_plain(NULL);
	for (uint32_t i = 0; i < 10; i++)
		hand_give(&h, (struct hand_seg){
				      .flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .bytes = 1000});
	assert_int_equal(h.received, 10000);
	assert_true(hand_is_quiet(&h));
	hand_flush(&h);
	expect(ACK, 1, 10001, 0);
	assert_true(hand_is_quiet(&h));
	assert_int_equal(COUNTER(bytes_in_place), 10000);
	assert_int_equal(COUNTER(bytes_queued), 0);
	end();
}

static void acknowledgements_wait_for_a_user_that_replies_but_not_for_a_third_segment(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);

	in(ACK | PSH, 1, 1, 100);
	expect(ACK, 1, 101, 0); // nobody has replied so far
	hand_give(&h, (struct hand_seg){.flags = ACK | PSH, .seq = 101, .ack = 1, .bytes = 100});
	mr_tcp_send(c, "reply", 5);
	hand_flush(&h);
	expect(ACK | PSH, 1, 201, 5);
	in(ACK, 201, 6, 1460);
	assert_true(hand_is_quiet(&h));
	in(ACK, 1661, 6, 1460);
	expect(ACK, 6, 3121, 0);
	in(ACK, 3121, 6, 10);
	assert_true(hand_is_quiet(&h));
	hand_wait(&h, 39 * HAND_MS);
	assert_true(hand_is_quiet(&h));
	hand_wait(&h, 2 * HAND_MS);
	expect(ACK, 6, 3131, 0);
	assert_int_equal(COUNTER(acks_delayed), 2);
	end();
}

static void holes_are_reported_latest_first_and_filled(void **)
{
	struct hand_seg o;

	open_plain(NULL);
	in(ACK, 2001, 1, 1000);
	o = hand_out(&h);
	assert_int_equal(o.ack, 1);
	assert_int_equal(o.sacks, 1);
	assert_int_equal(o.sack[0], 2001);
	assert_int_equal(o.sack[1], 3001);
	in(ACK, 4001, 1, 1000);
	o = hand_out(&h);
	assert_int_equal(o.sacks, 2);
	assert_int_equal(o.sack[0], 4001);
	assert_int_equal(o.sack[2], 2001);
	in(ACK, 1501, 1, 700); // overlaps
	o = hand_out(&h);
	assert_int_equal(o.sack[0], 1501);
	assert_int_equal(o.sack[1], 3001);
	assert_int_equal(info().out_of_order, 2500);
	assert_int_equal(h.received, 0);
	in(ACK, 1, 1, 1600);
	expect(ACK, 1, 3001, 0);
	assert_int_equal(h.received, 3000);
	in(ACK, 3001, 1, 1000);
	expect(ACK, 1, 5001, 0);
	assert_int_equal(h.received, 5000);
	assert_int_equal(COUNTER(memory_used), 0);
	end();
}

static void one_segment_may_fill_several_holes(void **)
{
	open_plain(NULL);
	in(ACK, 101, 1, 100);
	in(ACK, 301, 1, 100);
	in(ACK, 501, 1, 400);
	hand_forget(&h);
	in(ACK, 1, 1, 600);
	expect(ACK, 1, 901, 0);
	assert_int_equal(h.received, 900);
	end();
}

static void old_and_overlapping_bytes_are_delivered_once(void **)
{
	open_plain(NULL);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .bytes = 10, .fill = 'a'});
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .bytes = 10, .fill = 'b'});
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 5, .ack = 1, .bytes = 10, .fill = 'c'});
	assert_int_equal(h.received, 14);
	assert_memory_equal(h.last, "aaaaaaaaaacccc", 14);
	assert_int_equal(COUNTER(duplicates), 1);
	end();
}

static void passive_close_ends_in_order(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);

	in(ACK | FIN | PSH, 1, 1, 10);
	expect(ACK, 1, 12, 0);
	assert_int_equal(h.received, 10);
	assert_int_equal(h.ended, 1);
	assert_int_equal(info().state, MR_TCP_CLOSE_WAIT);
	in(ACK | FIN | PSH, 1, 1, 10);
	expect(ACK, 1, 12, 0);
	assert_int_equal(h.ended, 1);
	mr_tcp_send(c, "bye", 3); // half-closed: we may still answer
	mr_tcp_close(c);
	hand_flush(&h);
	expect(ACK | FIN | PSH, 1, 12, 3);
	in(ACK, 12, 5, 0);
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(COUNTER(closed), 1);
	assert_int_equal(COUNTER(timewaits), 0);
	in(ACK, 12, 5, 0);
	expect(RST, 5, 0, 0);
	assert_int_equal(h.closed, 0);
	end();
}

static void active_close_waits_and_answers_late_segments(void **)
{
	mr_tcp_close(open_plain(NULL));
	hand_flush(&h);
	expect(ACK | FIN, 1, 1, 0);
	in(ACK, 1, 2, 0);
	assert_true(hand_is_quiet(&h));
	in(ACK | FIN, 1, 2, 0);
	expect(ACK, 2, 2, 0);
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(COUNTER(timewaits), 1);
	hand_wait(&h, 9000 * HAND_MS);
	in(ACK | FIN, 1, 2, 0); // its last, again: the wait begins anew
	expect(ACK, 2, 2, 0);
	hand_wait(&h, 9000 * HAND_MS);
	assert_int_equal(COUNTER(timewaits), 1);
	in(RST, 2, 0, 0); // RFC 1337
	assert_int_equal(COUNTER(timewaits), 1);
	hand_wait(&h, 2000 * HAND_MS);
	assert_int_equal(COUNTER(timewaits), 0);
	end();
}

static void half_close_still_receives(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);

	mr_tcp_shutdown(c);
	assert_int_equal(mr_tcp_send(c, "x", 1), 0);
	hand_flush(&h);
	expect(ACK | FIN, 1, 1, 0);
	in(ACK, 1, 2, 500);
	expect(ACK, 2, 501, 0);
	assert_int_equal(info().state, MR_TCP_FIN_WAIT_2);
	assert_int_equal(h.received, 500);
	in(ACK | FIN, 501, 2, 10);
	expect(ACK, 2, 512, 0);
	assert_int_equal(h.received, 510);
	assert_int_equal(h.ended, 1);
	assert_int_equal(COUNTER(timewaits), 1);
	assert_int_equal(info().state, MR_TCP_TIME_WAIT);
	mr_tcp_close(c); // its user lets go of what is over
	assert_int_equal(h.closed, 0);
	end();
}

static void both_may_close_at_once(void **)
{
	mr_tcp_close(open_plain(NULL));
	hand_flush(&h);
	expect(ACK | FIN, 1, 1, 0);
	in(ACK | FIN, 1, 1, 0);
	expect(ACK, 2, 2, 0);
	assert_int_equal(info().state, MR_TCP_CLOSING);
	in(ACK, 2, 2, 0);
	assert_int_equal(COUNTER(timewaits), 1);
	assert_int_equal(COUNTER(connections), 0);
	end();
}

static void fin_and_its_acknowledgement_may_come_together(void **)
{
	mr_tcp_close(open_plain(NULL));
	hand_flush(&h);
	hand_forget(&h);
	in(ACK | FIN, 1, 2, 0);
	expect(ACK, 2, 2, 0);
	assert_int_equal(COUNTER(timewaits), 1);
	end();
}

static void fin_beyond_a_hole_waits_for_what_is_before(void **)
{
	open_plain(NULL);
	in(ACK | FIN, 11, 1, 5);
	expect(ACK, 1, 1, 0);
	assert_int_equal(h.ended, 0);
	in(ACK, 16, 1, 100); // behind the FIN there is nothing
	in(ACK, 1, 1, 10);
	hand_forget(&h);
	assert_int_equal(h.received, 15);
	assert_int_equal(h.ended, 1);
	assert_int_equal(info().state, MR_TCP_CLOSE_WAIT);
	in(ACK, 17, 1, 100);
	assert_int_equal(h.received, 15);
	end();
}

static void reset_is_believed_at_the_next_number_only(void **)
{
	open_plain(NULL);
	in(RST, 2, 0, 0); // RFC 5961 3.2
	expect(ACK, 1, 1, 0);
	in(RST, 0, 0, 0);
	in(RST, 1u << 30, 0, 0);
	assert_true(hand_is_quiet(&h));
	assert_int_equal(h.closed, 0);
	assert_int_equal(COUNTER(challenge_acks), 1);
	in(RST, 1, 0, 0);
	assert_int_equal(h.closed, 1);
	assert_int_equal(h.error, -ECONNRESET);
	assert_int_equal(COUNTER(reset_in), 1);
	end();
}

static void syn_on_an_open_connection_is_challenged(void **)
{
	open_plain(NULL);
	in(SYN, 1, 0, 0); // RFC 5961 4.2
	expect(ACK, 1, 1, 0);
	assert_int_equal(h.closed, 0);
	in(RST, 1, 0, 0); // a peer that has restarted answers so
	assert_int_equal(h.closed, 1);
	end();
}

static void acknowledgements_of_nothing_sent_are_challenged(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);

	in(ACK, 1, 2, 50); // RFC 5961 5.2: not even its text is taken
	expect(ACK, 1, 1, 0);
	assert_int_equal(h.received, 0);
	hand_wait(&h, 1000 * HAND_MS);
	mr_tcp_send(c, "abc", 3);
	hand_flush(&h);
	in(ACK, 1, 4, 0);
	hand_forget(&h);
	in(ACK, 1, 4u - (1u << 30), 50);
	expect(ACK, 4, 1, 0);
	assert_int_equal(h.received, 0);
	assert_int_equal(COUNTER(challenge_acks), 2);
	end();
}

static void strays_are_reset_as_rfc_9293_says(void **)
{
	hand_init(&h, NULL);
	h.local_port = 1;
	h.irs = h.iss = 0;
	hand_in(&h, (struct hand_seg){.flags = SYN, .seq = 100});
	expect(RST | ACK, 0, 101, 0);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 100, .ack = 55, .bytes = 9});
	expect(RST, 55, 0, 0);
	in(RST, 1, 0, 0);
	in(RST | ACK, 1, 1, 0);
	assert_true(hand_is_quiet(&h));
	h.local_port = 9092; // a listener
	in(RST, 1, 0, 0);
	assert_true(hand_is_quiet(&h));
	in(ACK, 1, 77, 0);
	expect(RST, 77, 0, 0);
	in(SYN | ACK, 1, 77, 0);
	expect(RST, 77, 0, 0);
	assert_int_equal(COUNTER(refused), 1);
	end();
}

static void closing_with_unread_bytes_resets(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);

	mr_tcp_pause(c);
	in(ACK, 1, 1, 10);
	hand_forget(&h);
	assert_int_equal(info().receive_queued, 10);
	mr_tcp_close(c);
	expect(RST | ACK, 1, 11, 0);
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(COUNTER(memory_used), 0);
	end();
}

static void bytes_for_nobody_reset(void **)
{
	mr_tcp_close(open_plain(NULL));
	hand_flush(&h);
	hand_forget(&h);
	in(ACK, 1, 2, 10);
	expect(RST | ACK, 2, 1, 0);
	assert_int_equal(COUNTER(connections), 0);
	end();
}

static void abort_resets(void **)
{
	mr_tcp_abort(open_plain(NULL));
	expect(RST | ACK, 1, 1, 0);
	assert_int_equal(COUNTER(connections), 0);
	assert_int_equal(h.closed, 0);
	end();
}

static struct mr_tcp_conn *connect_out(void)
{
	struct mr_tcp_conn *c;
	struct mr_ip us = mr_ip4(0x0a000001), them = mr_ip4(0x0a000002);

	assert_int_equal(mr_tcp_connect(h.t, &us, 4000, &them, 5000, &hand_events, &h, &c), 0);
	hand_flush(&h);
	return c;
}

static void active_open_connects(void **)
{
	struct hand_seg o;

	hand_init(&h, NULL);
	h.no_ts = true;
	h.c = connect_out();
	o = hand_out(&h);
	assert_int_equal(o.flags, SYN);
	assert_int_equal(o.mss, 1460);
	assert_true(o.sack_ok && o.ts);
	assert_int_equal(mr_tcp_send(h.c, "early", 5), 5);
	in(SYN | ACK, 0, 9, 0);
	expect(RST, 9, 0, 0);
	in(RST, 1, 0, 0); // without an acknowledgement: not believed
	assert_int_equal(h.connected, 0);
	hand_in(&h, (struct hand_seg){.flags = SYN | ACK, .ack = 1, .mss = 1000, .wscale = 1});
	assert_int_equal(h.connected, 1);
	assert_int_equal(h.error, 0);
	expect(ACK | PSH, 1, 1, 5);
	assert_int_equal(info().mss, 1000);
	end();
}

static void active_open_fails(void **)
{
	hand_init(&h, NULL);
	h.c = connect_out();
	in(RST | ACK, 0, 1, 0);
	assert_int_equal(h.connected, 1);
	assert_int_equal(h.error, -ECONNREFUSED);
	h.c = connect_out();
	hand_wait(&h, 120000 * HAND_MS);
	assert_int_equal(h.connected, 2);
	assert_int_equal(h.error, -ETIMEDOUT);
	assert_int_equal(h.made, 1 + 1 + 5); // the options' default of 5 retries
	assert_int_equal(h.closed, 0);
	assert_int_equal(COUNTER(connections), 0);
	end();
}

static void both_may_open_at_once(void **)
{
	hand_init(&h, NULL);
	h.no_ts = true;
	h.c = connect_out();
	expect(SYN, 0, 0, 0);
	hand_in(&h, (struct hand_seg){.flags = SYN, .mss = 1460});
	expect(SYN | ACK, 0, 1, 0);
	assert_int_equal(info().state, MR_TCP_SYN_RECEIVED);
	in(ACK, 1, 1, 20);
	assert_int_equal(h.connected, 1);
	assert_int_equal(h.received, 20);
	expect(ACK, 1, 21, 0);
	end();
}

static void old_timestamps_are_dropped_and_answered(void **)
{
	hand_init(&h, NULL);
	hand_open(&h);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .bytes = 5, .ts = 200});
	assert_int_equal(hand_out(&h).ts_echo, 200);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 6, .ack = 1, .bytes = 5, .ts = 199});
	assert_int_equal(hand_out(&h).ack, 6);
	assert_int_equal(h.received, 5);
	assert_int_equal(COUNTER(paws_dropped), 1);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 6, .ack = 1, .bytes = 5});
	assert_int_equal(h.received, 5); // RFC 7323 3.2: no timestamp at all
	assert_int_equal(COUNTER(bad_segments), 1);
	assert_true(hand_is_quiet(&h));
	// After 24 days the old one tells nothing.
	h.now_ns += 25ll * 24 * 3600 * 1000 * HAND_MS;
	mr_tcp_time(h.t, h.now_ns);
	hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 6, .ack = 1, .bytes = 5, .ts = 150});
	assert_int_equal(h.received, 10);
	end();
}

static void a_quiet_peer_is_asked_and_given_up(void **)
{
	open_plain(NULL);
	hand_wait(&h, 60100 * HAND_MS);
	expect(ACK, 0, 1, 0);
	in(ACK, 1, 1, 0); // it lives
	hand_wait(&h, 59000 * HAND_MS);
	assert_true(hand_is_quiet(&h));
	hand_wait(&h, 59000 * HAND_MS);
	assert_int_equal(h.made - h.seen, 6);
	assert_int_equal(h.closed, 0);
	hand_wait(&h, 10000 * HAND_MS);
	assert_int_equal(h.closed, 1);
	assert_int_equal(h.error, -ETIMEDOUT);
	assert_int_equal(COUNTER(keepalives), 7);
	end();
}

static void a_paused_user_gets_the_rest_after_resume(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);

	h.take_max = 30;
	in(ACK, 1, 1, 100);
	assert_int_equal(h.received, 30);
	in(ACK | FIN, 101, 1, 100);
	assert_int_equal(h.received, 30);
	assert_int_equal(h.ended, 0);
	assert_true(info().paused);
	assert_int_equal(info().receive_queued, 170);
	mr_tcp_resume(c);
	assert_int_equal(h.received, 60);
	h.take_max = SIZE_MAX;
	mr_tcp_resume(c);
	assert_int_equal(h.received, 200);
	assert_int_equal(h.ended, 1);
	assert_int_equal(COUNTER(memory_used), 0);
	end();
}

static void abort_here(struct hand *, struct mr_tcp_conn *c)
{
	mr_tcp_abort(c);
}

static void close_here(struct hand *, struct mr_tcp_conn *c)
{
	mr_tcp_close(c);
}

static void resume_here(struct hand *w, struct mr_tcp_conn *c)
{
	w->take_max = SIZE_MAX;
	mr_tcp_resume(c);
}

static void a_callback_may_end_its_connection(void **)
{
	open_plain(NULL);
	h.in_data = abort_here;
	in(ACK | FIN, 1, 1, 10);
	expect(RST | ACK, 1, 11, 0);
	assert_true(hand_is_quiet(&h));
	assert_int_equal(h.ended + h.closed, 0);
	end();
	open_plain(NULL);
	h.in_data = close_here;
	in(ACK, 1, 1, 10);
	expect(ACK | FIN, 1, 11, 0);
	end();
	open_plain(NULL); // not all was taken
	h.in_data = close_here;
	h.take_max = 5;
	in(ACK, 1, 1, 10);
	expect(RST | ACK, 1, 11, 0);
	assert_int_equal(COUNTER(connections), 0);
	end();
	open_plain(NULL);
	h.in_data = resume_here;
	h.take_max = 5;
	in(ACK, 1, 1, 10);
	assert_int_equal(h.received, 10);
	end();
}

static int abort_opened(struct hand *, struct mr_tcp_conn *c)
{
	mr_tcp_abort(c);
	return 0;
}

static int refuse_opened(struct hand *, struct mr_tcp_conn *)
{
	return -EAGAIN;
}

static void opened_may_refuse(void **)
{
	int (*const how[])(struct hand *, struct mr_tcp_conn *) = {abort_opened, refuse_opened};

	for (size_t i = 0; i < 2; i++) {
		hand_init(&h, NULL);
		h.in_opened = how[i];
		in(SYN, 0, 0, 0);
		hand_forget(&h);
		in(ACK, 1, 1, 10);
		expect(RST | ACK, 1, 1, 0);
		assert_int_equal(h.received, 0);
		assert_int_equal(COUNTER(connections), 0);
		assert_int_equal(COUNTER(refused), i);
		end();
	}
}

static void unlisten_forgets_half_open_ones(void **)
{
	struct mr_tcp_listener *l;

	hand_init(&h, NULL);
	assert_int_equal(mr_tcp_listen(h.t, 9092, &hand_events, &h, &l), -EADDRINUSE);
	assert_int_equal(mr_tcp_listen(h.t, 9093, &hand_events, &h, &l), 0);
	h.local_port = 9093;
	in(SYN, 0, 0, 0);
	assert_int_equal(COUNTER(syns), 1);
	mr_tcp_unlisten(l);
	assert_int_equal(COUNTER(syns), 0);
	hand_forget(&h);
	in(SYN, 0, 0, 0);
	expect(RST | ACK, 0u - h.iss, 1, 0);
	end();
}

static void time_wait_gives_way_to_a_newer_syn(void **)
{
	for (int with_ts = 0; with_ts < 2; with_ts++) {
		uint32_t old_iss, end_of_old;

		hand_init(&h, NULL);
		h.no_ts = !with_ts;
		mr_tcp_close(hand_open(&h));
		hand_flush(&h);
		hand_in(&h, (struct hand_seg){.flags = ACK | FIN, .seq = 1, .ack = 2, .ts = 500});
		hand_forget(&h);
		old_iss = h.iss;
		end_of_old = h.iss + 2;
		// Older: with timestamps by these, without by its number.
		hand_in(&h,
			(struct hand_seg){.flags = SYN, .seq = with_ts ? 500000 : 1, .ts = 400});
		assert_int_equal(hand_out(&h).flags, ACK);
		assert_int_equal(COUNTER(timewaits), 1);
		hand_in(&h,
			(struct hand_seg){.flags = SYN, .seq = with_ts ? 1 : 500000, .ts = 501});
		assert_int_equal(hand_out(&h).flags, SYN | ACK);
		assert_int_equal(COUNTER(timewaits), 0);
		assert_int_equal(COUNTER(timewaits_recycled), 1);
		assert_true(mr_seq_lt(end_of_old, h.iss) && h.iss != old_iss);
		end();
	}
}

static void a_smaller_way_is_believed_and_used(void **)
{
	static const uint8_t text[4000];
	struct mr_tcp_conn *c = open_plain(NULL);
	struct mr_ip us = mr_ip4(0x0a000001), them = mr_ip4(0x0a000002);

	mr_tcp_send(c, text, 4000);
	hand_flush(&h);
	expect(ACK, 1, 1, 1460);
	hand_forget(&h);
	// RFC 5927: of a segment that is on its way, else not.
	assert_false(mr_tcp_icmp(h.t, &us, 9092, &them, 5000, h.iss + 9000, 1000, true));
	assert_false(mr_tcp_icmp(h.t, &us, 9092, &them, 5001, h.iss + 1, 1000, true));
	assert_true(mr_tcp_icmp(h.t, &us, 9092, &them, 5000, h.iss + 1, 1000, true));
	hand_flush(&h);
	expect(ACK, 1, 1, 960);
	expect(ACK, 961, 1, 960);
	assert_int_equal(COUNTER(pmtu_lowered), 1);
	assert_true(mr_tcp_icmp(h.t, &us, 9092, &them, 5000, h.iss + 1, 68, true)); // floor of 552
	assert_int_equal(info().mss, 512);
	assert_true(mr_tcp_icmp(h.t, &us, 9092, &them, 5000, h.iss + 1, 1400, true));
	assert_int_equal(info().mss, 512);
	// Unreachable is only the reason when it times out.
	assert_true(mr_tcp_icmp(h.t, &us, 9092, &them, 5000, h.iss + 1, 0, true));
	assert_int_equal(h.closed, 0);
	hand_wait(&h, 2000000 * HAND_MS);
	assert_int_equal(h.error, -EHOSTUNREACH);
	end();
}

static void what_found_no_frame_is_sent_later(void **)
{
	struct mr_tcp_conn *c = open_plain(NULL);
	struct mr_ip them = mr_ip4(0x0a000002);

	h.begin_err = -EAGAIN;
	mr_tcp_send(c, "abc", 3);
	in(ACK, 1, 1, 10);
	assert_true(hand_is_quiet(&h));
	h.begin_err = 0;
	hand_wait(&h, 3 * HAND_MS);
	expect(ACK | PSH, 1, 11, 3);
	in(ACK, 11, 4, 0);
	h.begin_err = -EHOSTUNREACH;
	mr_tcp_send(c, "abc", 3);
	hand_flush(&h);
	h.begin_err = 0;
	mr_tcp_path_ready(h.t, &them);
	hand_flush(&h);
	expect(ACK | PSH, 4, 11, 3);
	h.begin_err = -EHOSTUNREACH; // for ever: given up like silence
	mr_tcp_send(c, "abc", 3);
	hand_wait(&h, 2000000 * HAND_MS);
	assert_int_equal(h.error, -ETIMEDOUT);
	end();
}

static void every_connection_is_listed(void **)
{
	struct mr_tcp_info list[2];

	open_plain(NULL);
	for (uint32_t i = 1; i < 5; i++) {
		hand_in(&h, (struct hand_seg){.flags = SYN, .peer = i});
		hand_in(&h, (struct hand_seg){.flags = ACK, .seq = 1, .ack = 1, .peer = i});
	}
	assert_int_equal(mr_tcp_list(h.t, list, 2), 5);
	assert_int_equal(list[1].peer_port, 5001);
	assert_int_equal(list[1].state, MR_TCP_ESTABLISHED);
	assert_int_equal(COUNTER(opened), 5);
	assert_int_equal(COUNTER(connections), 5);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syn_ack_offers_what_the_peer_offered),
		cmocka_unit_test(syn_ack_is_sent_again_until_it_is_given_up),
		cmocka_unit_test(reset_ends_a_half_open_connection),
		cmocka_unit_test(a_burst_is_acknowledged_once_and_delivered_in_place),
		cmocka_unit_test(
			acknowledgements_wait_for_a_user_that_replies_but_not_for_a_third_segment),
		cmocka_unit_test(holes_are_reported_latest_first_and_filled),
		cmocka_unit_test(one_segment_may_fill_several_holes),
		cmocka_unit_test(old_and_overlapping_bytes_are_delivered_once),
		cmocka_unit_test(passive_close_ends_in_order),
		cmocka_unit_test(active_close_waits_and_answers_late_segments),
		cmocka_unit_test(half_close_still_receives),
		cmocka_unit_test(both_may_close_at_once),
		cmocka_unit_test(fin_and_its_acknowledgement_may_come_together),
		cmocka_unit_test(fin_beyond_a_hole_waits_for_what_is_before),
		cmocka_unit_test(reset_is_believed_at_the_next_number_only),
		cmocka_unit_test(syn_on_an_open_connection_is_challenged),
		cmocka_unit_test(acknowledgements_of_nothing_sent_are_challenged),
		cmocka_unit_test(strays_are_reset_as_rfc_9293_says),
		cmocka_unit_test(closing_with_unread_bytes_resets),
		cmocka_unit_test(bytes_for_nobody_reset),
		cmocka_unit_test(abort_resets),
		cmocka_unit_test(active_open_connects),
		cmocka_unit_test(active_open_fails),
		cmocka_unit_test(both_may_open_at_once),
		cmocka_unit_test(old_timestamps_are_dropped_and_answered),
		cmocka_unit_test(a_quiet_peer_is_asked_and_given_up),
		cmocka_unit_test(a_paused_user_gets_the_rest_after_resume),
		cmocka_unit_test(a_callback_may_end_its_connection),
		cmocka_unit_test(opened_may_refuse),
		cmocka_unit_test(unlisten_forgets_half_open_ones),
		cmocka_unit_test(time_wait_gives_way_to_a_newer_syn),
		cmocka_unit_test(a_smaller_way_is_believed_and_used),
		cmocka_unit_test(what_found_no_frame_is_sent_later),
		cmocka_unit_test(every_connection_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
