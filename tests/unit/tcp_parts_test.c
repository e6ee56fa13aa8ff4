// The parts below TCP against slow and obvious models: sequence numbers at their wrap, options cut
// anywhere, ranges against a bitmap, the timer wheel against a list, queues at the wrap, SipHash
// against its paper.
#include "tests/lib/mr_test.h"
#include "tests/lib/tcp_hand.h"

#include <stdio.h>
#include <stdlib.h>

static void sequence_numbers_compare_across_the_wrap(void **)
{
	const uint32_t at[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

	for (size_t i = 0; i < MR_COUNT_OF(at); i++) {
		for (uint32_t d = 1; d < 1u << 30; d = d * 3 + 1) {
			assert_true(mr_seq_lt(at[i], at[i] + d));
			assert_true(mr_seq_le(at[i], at[i] + d));
			assert_false(mr_seq_lt(at[i] + d, at[i]));
			assert_int_equal(mr_seq_max(at[i], at[i] + d), at[i] + d);
			assert_int_equal(mr_seq_min(at[i] + d, at[i]), at[i]);
		}
		assert_false(mr_seq_lt(at[i], at[i]));
		assert_true(mr_seq_le(at[i], at[i]));
	}
}

// Every option alone and after others, cut at every length, in memory that ends there.
static void options_cut_anywhere_are_refused_or_read(void **)
{
	static const uint8_t all[] = {2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 8, 10, 1, 2, 3, 4, 5, 6, 7,
		8, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 253, 4, 1, 2, 0};
	static const uint8_t whole[] = {0, 4, 6, 7, 10, 20, 21, 22, 32, 36, 37};

	for (uint8_t cut = 0; cut <= sizeof(all); cut++) {
		uint8_t *b = malloc(cut ? cut : 1);
		struct mr_tcp_seg s = {.wscale = MR_TCP_NO_WSCALE};
		bool ends = memchr(whole, cut, sizeof(whole)) != NULL;

		memcpy(b, all, cut);
		assert_int_equal(mr_tcp_options_parse(b, cut, &s), ends);
		assert_int_equal(s.mss, cut >= 4 ? 1460 : 0);
		assert_int_equal(s.sack_permitted, cut >= 6);
		assert_int_equal(s.wscale, cut >= 10 ? 7 : MR_TCP_NO_WSCALE);
		assert_int_equal(s.has_ts, cut >= 20);
		assert_int_equal(s.sacks, cut >= 32);
		free(b);
	}
}

static void options_with_any_length_do_no_harm(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, 5);
	for (int i = 0; i < 200000; i++) {
		uint32_t n = (uint32_t)mr_rand_below(&r, 41);
		uint8_t *b = malloc(n ? n : 1);
		struct mr_tcp_seg s = {};

		mr_rand_bytes(&r, b, n);
		for (uint32_t j = 0; j < n; j++)
			b[j] = mr_rand_below(&r, 2) ? b[j] : (uint8_t)mr_rand_below(&r, 12);
		mr_tcp_options_parse(b, n, &s);
		assert_true(s.sacks <= 4);
		free(b);
	}
}

static void headers_that_contradict_themselves_are_refused(void **)
{
	uint8_t b[60] = {[1] = 1, [3] = 2, [12] = 0x50, [13] = MR_TCP_ACK};
	struct mr_tcp_segment_in in = {.l4 = b, .bytes = 20};
	struct mr_tcp_seg s;

	assert_true(mr_tcp_segment_parse(&in, &s));
	for (in.bytes = 0; in.bytes < 20; in.bytes++)
		assert_false(mr_tcp_segment_parse(&in, &s));
	b[12] = 0x60;
	assert_false(mr_tcp_segment_parse(&in, &s)); // longer than the segment
	b[12] = 0x40;
	assert_false(mr_tcp_segment_parse(&in, &s));
	b[12] = 0x50;
	for (uint8_t flags = 0; flags < 64; flags++) {
		int control =
			!!(flags & MR_TCP_SYN) + !!(flags & MR_TCP_FIN) + !!(flags & MR_TCP_RST);

		b[13] = flags;
		if (control > 1 || !(flags & (MR_TCP_SYN | MR_TCP_RST | MR_TCP_ACK)))
			assert_false(mr_tcp_segment_parse(&in, &s));
		else
			assert_true(mr_tcp_segment_parse(&in, &s));
	}
}

enum { SPACE = 400 };

static void check_against(const struct mr_tcp_ranges *s, const bool *held, uint32_t base)
{
	uint32_t i = 0, bytes = 0;

	for (uint32_t at = 0; at < SPACE;) {
		uint32_t from = at;

		if (!held[at]) {
			at++;
			continue;
		}
		while (at < SPACE && held[at])
			at++;
		assert_true(i < s->count);
		assert_int_equal(s->r[i].from, base + from);
		assert_int_equal(s->r[i].to, base + at);
		bytes += at - from;
		i++;
	}
	assert_int_equal(i, s->count);
	assert_int_equal(bytes, mr_tcp_ranges_bytes(s));
}

static uint32_t runs_of(const bool *held)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SPACE; i++)
		n += held[i] && (!i || !held[i - 1]);
	return n;
}

static void ranges_are_what_a_bitmap_says(void **)
{
	for (uint64_t seed = 0; seed < 300; seed++) {
		uint32_t base = 0u - (uint32_t)seed, max = 1 + (uint32_t)seed % 64, low = 0;
		struct mr_tcp_ranges s = {};
		bool held[SPACE] = {};
		struct mr_rand r;

		mr_rand_init(&r, seed);
		for (int step = 0; step < 100; step++) {
			uint32_t from = (uint32_t)mr_rand_below(&r, SPACE - 1);
			uint32_t n = 1 + (uint32_t)mr_rand_below(&r, MR_MIN(SPACE - from, 20u)),
				 was = 0;
			bool before[SPACE];
			int64_t got;

			if (step % 17 == 16) {
				low = MR_MAX(low, from / 4);
				mr_tcp_ranges_trim(&s, base + low);
				memset(held, 0, low);
				check_against(&s, held, base);
				continue;
			}
			from = MR_MAX(from, low);
			n = MR_MIN(n, SPACE - from);
			memcpy(before, held, sizeof(held));
			for (uint32_t i = from; i < from + n; i++)
				was += held[i];
			memset(held + from, true, n);
			got = mr_tcp_ranges_add(&s, base + from, base + from + n, max);
			if (runs_of(held) > max && runs_of(held) > runs_of(before)) {
				assert_int_equal(got, -ENOSPC);
				memcpy(held, before, sizeof(held));
			} else {
				assert_int_equal(got, n - was);
			}
			check_against(&s, held, base);
		}
	}
}

// RFC 2018 section 4: the first block holds the segment that came last, the others follow by age.
static void recent_ranges_come_latest_first(void **)
{
	struct mr_tcp_ranges s = {};
	struct mr_tcp_range out[5];

	for (uint32_t i = 0; i < 6; i++)
		mr_tcp_ranges_add(&s, 100 * i, 100 * i + 10, 32);
	mr_tcp_ranges_add(&s, 210, 220, 32);
	assert_int_equal(mr_tcp_ranges_recent(&s, out, 3), 3);
	assert_int_equal(out[0].from, 200);
	assert_int_equal(out[0].to, 220);
	assert_int_equal(out[1].from, 500);
	assert_int_equal(out[2].from, 400);
	assert_int_equal(mr_tcp_ranges_recent(&s, out, 4), 4);
	assert_int_equal(out[3].from, 300);
}

enum { TIMERS = 64 };

static void the_wheel_fires_what_a_sorted_list_would(void **)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct mr_wheel w;
		struct mr_wheel_node nodes[TIMERS] = {};
		int64_t due[TIMERS] = {}, now = (int64_t)(seed * 77777777777);
		struct mr_rand r;

		mr_rand_init(&r, seed);
		mr_wheel_init(&w, now);
		for (int step = 0; step < 3000; step++) {
			uint32_t i = (uint32_t)mr_rand_below(&r, TIMERS);
			struct mr_wheel_node *n;
			int64_t next;

			if (mr_rand_below(&r, 4) == 0) {
				mr_wheel_cancel(&w, &nodes[i]);
				due[i] = 0;
			} else {
				due[i] = now +
					 (int64_t)(mr_rand_u64(&r) >> (17 + mr_rand_below(&r, 40)));
				mr_wheel_set(&w, &nodes[i], due[i]);
			}
			if (step % 4)
				continue;
			next = mr_wheel_next_ns(&w);
			for (i = 0; i < TIMERS; i++)
				assert_true(!due[i] ||
					    next <= MR_MAX(due[i] + (1 << MR_WHEEL_TICK_SHIFT),
							    now + 1));
			now += (int64_t)(mr_rand_u64(&r) >> (24 + mr_rand_below(&r, 34)));
			while ((n = mr_wheel_pop(&w, now))) {
				i = (uint32_t)(n - nodes);
				assert_true(due[i] && due[i] <= now);
				due[i] = 0;
			}
			for (i = 0; i < TIMERS; i++)
				assert_true(!due[i] || due[i] > now - (1 << MR_WHEEL_TICK_SHIFT));
		}
	}
}

static void queues_keep_bytes_across_the_wrap(void **)
{
	struct hand h;
	struct mr_tcp_queue q = {};
	uint8_t in[40000], out[40000];
	uint32_t seq = 0u - 100000;

	hand_init(&h, NULL);
	for (uint32_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 31 >> 3);
	for (int round = 0; round < 12; round++, seq += 30000) {
		assert_int_equal(
			mr_tcp_queue_write(h.t, &q, seq, seq, in, sizeof(in), 0), sizeof(in));
		mr_tcp_queue_read(h.t, &q, seq, out, sizeof(out));
		assert_memory_equal(in, out, sizeof(in));
		mr_tcp_queue_release(h.t, &q, seq + 30000);
		assert_true(q.blocks <= 2);
		mr_tcp_queue_read(h.t, &q, seq + 30000, out, 10000);
		assert_memory_equal(in + 30000, out, 10000);
	}
	mr_tcp_queue_clear(h.t, &q);
	assert_int_equal(h.t->blocks.used, 0);
	assert_int_equal(h.t->maps.used, 0);
	hand_fini(&h);
}

// Appendix A of the paper, and its reference vectors.
static void siphash_gives_the_paper_s_values(void **)
{
	uint8_t secret[16], data[16];
	struct mr_siphash_key key;

	for (uint8_t i = 0; i < 16; i++)
		secret[i] = data[i] = i;
	key = mr_siphash_key(secret);
	assert_true(mr_siphash(&key, data, 15) == 0xa129ca6149be45e5u);
	assert_true(mr_siphash(&key, data, 0) == 0x726fdb47dd0e0e31u);
	assert_true(mr_siphash(&key, data, 8) == 0x93f5f5799a932462u);
}

static void slabs_hand_out_each_slot_once(void **)
{
	struct mr_tcp_slab s;
	bool taken[33] = {};

	assert_int_equal(mr_tcp_slab_init(&s, 32, 64, MR_PAGES_SMALL, -1), 0);
	for (int i = 0; i < 32; i++) {
		uint32_t id = mr_tcp_slab_get(&s);

		assert_true(id >= 1 && id <= 32 && !taken[id]);
		taken[id] = true;
		assert_int_equal(mr_tcp_slab_id(&s, mr_tcp_slab_at(&s, id)), id);
	}
	assert_int_equal(mr_tcp_slab_get(&s), 0);
	mr_tcp_slab_put(&s, 17);
	mr_tcp_slab_put(&s, 3);
	assert_int_equal(mr_tcp_slab_get(&s), 3);
	assert_int_equal(mr_tcp_slab_get(&s), 17);
	mr_tcp_slab_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequence_numbers_compare_across_the_wrap),
		cmocka_unit_test(options_cut_anywhere_are_refused_or_read),
		cmocka_unit_test(options_with_any_length_do_no_harm),
		cmocka_unit_test(headers_that_contradict_themselves_are_refused),
		cmocka_unit_test(ranges_are_what_a_bitmap_says),
		cmocka_unit_test(recent_ranges_come_latest_first),
		cmocka_unit_test(the_wheel_fires_what_a_sorted_list_would),
		cmocka_unit_test(queues_keep_bytes_across_the_wrap),
		cmocka_unit_test(siphash_gives_the_paper_s_values),
		cmocka_unit_test(slabs_hand_out_each_slot_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
