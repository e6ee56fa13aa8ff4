// Arena, buffers, readers, varints, UUIDs, random numbers: the ends of ranges first.
#include "host/base/arena.h"
#include "host/base/buf.h"
#include "host/base/clock.h"
#include "host/base/err.h"
#include "host/base/mailbox.h"
#include "host/base/rand.h"
#include "host/base/uuid.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static void varint_reads_back_every_edge(void **)
{
	static const int64_t edges[] = {
		0, -1, 1, 63, -64, 64, 8191, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
	uint8_t bytes[16];

	for (size_t i = 0; i < MR_COUNT_OF(edges); i++) {
		struct mr_writer w = mr_writer(bytes, sizeof(bytes));
		struct mr_reader r;

		mr_write_varlong(&w, edges[i]);
		assert_false(w.bad);
		r = mr_reader(mr_span(bytes, w.at));
		assert_true(mr_read_varlong(&r) == edges[i]);
		assert_false(r.bad);
		assert_int_equal(mr_read_left(&r), 0);
	}
}

static void varint_rejects_overlong_and_truncated(void **)
{
	static const uint8_t overlong[] = {0xff, 0xff, 0xff, 0xff, 0x1f};
	static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
	struct mr_reader r = mr_reader(mr_span(overlong, sizeof(overlong)));

	mr_read_uvarint32(&r);
	assert_true(r.bad);
	r = mr_reader(mr_span(endless, sizeof(endless)));
	mr_read_uvarint32(&r);
	assert_true(r.bad);
	r = mr_reader(mr_span(endless, 3));
	mr_read_uvarint64(&r);
	assert_true(r.bad);
}

static void reader_past_end_returns_zeros_and_stays_bad(void **)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct mr_reader r = mr_reader(mr_span(bytes, sizeof(bytes)));

	assert_int_equal(mr_read_be16(&r), 0x0102);
	assert_int_equal(mr_read_be32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(mr_read_u8(&r), 0);
}

static void writer_past_end_counts_what_was_needed(void **)
{
	uint8_t bytes[4];
	struct mr_writer w = mr_writer(bytes, sizeof(bytes));

	mr_write_be32(&w, 7);
	assert_false(w.bad);
	mr_write_be64(&w, 9);
	assert_true(w.bad);
	assert_int_equal(w.at, 12);
}

static void arena_stops_at_its_limit(void **)
{
	struct mr_arena a;

	mr_arena_init(&a, 64 << 10);
	for (int i = 0; i < 1000 && mr_arena_alloc(&a, 1000); i++)
		;
	assert_true(a.exhausted);
	assert_true(a.bytes <= 64 << 10);
	mr_arena_reset(&a);
	assert_non_null(mr_arena_alloc(&a, 1000));
	assert_null(mr_arena_zalloc(&a, SIZE_MAX / 2, 8));
	mr_arena_fini(&a);
}

static void arena_gives_room_for_one_more(void **)
{
	uint32_t *items = NULL, *moved, max = 0;
	struct mr_arena a;

	mr_arena_init(&a, 64 << 10);
	for (uint32_t i = 0; i < 1000; i++) {
		moved = mr_arena_room(&a, items, i, &max, sizeof(*items));
		assert_non_null(moved);
		assert_true(i < max && max <= MR_MAX(2 * i, 8u));
		items = moved;
		items[i] = i;
	}
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(items[i], i);
	assert_ptr_equal(mr_arena_room(&a, items, max - 1, &max, sizeof(*items)), items);
	assert_null(mr_arena_room(&a, items, max, &max, 1 << 20));
	assert_int_equal(max, 1024);
	mr_arena_fini(&a);
}

static void budget_is_taken_along_the_chain_or_not_at_all(void **)
{
	struct mr_budget all, one, two;

	mr_budget_init(&all, NULL, 100);
	mr_budget_init(&one, &all, 80);
	mr_budget_init(&two, &all, 0);
	assert_true(mr_budget_take(&one, 70));
	assert_false(mr_budget_take(&one, 11));
	assert_int_equal(mr_budget_refused(&one), 1);
	assert_false(mr_budget_take(&two, 31));
	assert_int_equal(mr_budget_used(&two), 0);
	assert_int_equal(mr_budget_refused(&two), 0);
	assert_int_equal(mr_budget_refused(&all), 1);
	assert_int_equal(mr_budget_room(&two), 30);
	assert_true(mr_budget_take(&two, 30));
	assert_int_equal(mr_budget_used(&all), 100);
	mr_budget_give(&two, 30);
	mr_budget_give(&one, 70);
	assert_int_equal(mr_budget_used(&all), 0);
	assert_int_equal(all.peak, 100);
	assert_true(mr_budget_take(NULL, UINT64_MAX));
}

static void budget_reserve_is_for_owners_of_little(void **)
{
	const uint64_t mib = 1 << 20;
	struct mr_budget all, big, little;

	mr_budget_init(&all, NULL, 64 * mib);
	all.reserve = 8 * mib;
	mr_budget_init(&big, &all, 0);
	mr_budget_init(&little, &all, 0);
	assert_true(mr_budget_take(&big, 56 * mib));
	assert_int_equal(mr_budget_room(&big), 0);
	assert_false(mr_budget_take(&big, 1));
	assert_true(mr_budget_take(&little, MR_BUDGET_SMALL_BYTES));
	assert_false(mr_budget_take(&little, 1));
	mr_budget_give(&little, MR_BUDGET_SMALL_BYTES);
	mr_budget_give(&big, 56 * mib);
}

struct grabbing {
	struct mr_budget *budget;
	_Atomic uint64_t *over;
	uint64_t seed;
};

static void *grab(void *arg)
{
	struct grabbing *g = arg;
	struct mr_budget mine;
	struct mr_rand r;

	mr_budget_init(&mine, g->budget, 0);
	mr_rand_init(&r, g->seed);
	for (int i = 0; i < 20000; i++) {
		uint64_t want = mr_rand_below(&r, 700);

		if (mr_budget_used(g->budget) > 1000)
			atomic_fetch_add(g->over, 1);
		if (mr_budget_take(&mine, want) && mr_rand_below(&r, 2))
			mr_budget_give(&mine, want);
		if (mr_rand_below(&r, 8) == 0)
			mr_budget_give(&mine, mr_budget_used(&mine));
	}
	mr_budget_give(&mine, mr_budget_used(&mine));
	return NULL;
}

static void budget_is_never_passed_by_many_threads(void **)
{
	struct mr_budget all;
	_Atomic uint64_t over = 0;
	struct grabbing g[4];
	pthread_t threads[4];

	mr_budget_init(&all, NULL, 1000);
	for (int i = 0; i < 4; i++) {
		g[i] = (struct grabbing){&all, &over, (uint64_t)i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, grab, &g[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(over, 0);
	assert_int_equal(mr_budget_used(&all), 0);
	assert_true(all.peak <= 1000 && all.peak > 500 && all.refused > 0);
}

static void arena_and_buffer_draw_on_a_budget(void **)
{
	struct mr_budget all;
	struct mr_arena a;
	struct mr_buf b = {.budget = &all, .bytes_free = 1024};

	mr_budget_init(&all, NULL, 64 << 10);
	mr_arena_init_budget(&a, &all);
	while (mr_arena_alloc(&a, 1000))
		assert_int_equal(mr_budget_used(&all), a.bytes);
	assert_true(a.exhausted && a.bytes > 60 << 10);
	assert_non_null(mr_buf_extend(&b, 1000));
	assert_null(mr_buf_extend(&b, 8192));
	mr_arena_fini(&a);
	assert_int_equal(mr_budget_used(&all), 0);
	mr_buf_reset(&b);
	assert_non_null(mr_buf_extend(&b, 9216));
	assert_int_equal(mr_budget_used(&all), b.bytes_max - 1024);
	mr_buf_fini(&b);
	assert_int_equal(mr_budget_used(&all), 0);
}

static void arena_columns_are_aligned_and_padded(void **)
{
	struct mr_arena a;

	mr_arena_init(&a, 0);
	for (size_t n = 0; n < 200; n++) {
		uint8_t *p = mr_arena_column(&a, n);

		assert_int_equal((uintptr_t)p % 64, 0);
		memset(p, 1, n + 64);
	}
	mr_arena_fini(&a);
}

static void buf_keeps_failing_after_its_limit(void **)
{
	struct mr_buf b = {.bytes_limit = 8};

	mr_buf_be64(&b, 1);
	assert_false(b.failed);
	mr_buf_u8(&b, 1);
	mr_buf_printf(&b, "%d", 1);
	assert_true(b.failed);
	assert_int_equal(b.bytes, 8);
	mr_buf_fini(&b);
}

static void uuid_text_reads_back(void **)
{
	char text[MR_UUID_TEXT_BYTES + 1];
	struct mr_uuid u, v;
	struct mr_rand r;

	mr_rand_init(&r, 1);
	u = mr_uuid_make(&r);
	mr_uuid_format(u, text);
	assert_true(mr_uuid_parse(mr_span_str(text), &v));
	assert_true(mr_uuid_eq(u, v));
	assert_true(mr_uuid_parse(mr_span_str("{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}"), &v));
	assert_false(mr_uuid_parse(mr_span_str("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"), &v));
	assert_false(mr_uuid_parse(mr_span_str("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"), &v));
	assert_false(mr_uuid_parse(mr_span_str(""), &v));
}

static void rand_below_stays_below(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, 42);
	for (uint64_t n = 1; n < 1000; n++)
		assert_true(mr_rand_below(&r, n) < n);
}

struct counted {
	struct mr_message m;
	int value;
};

struct counting {
	int last[4]; // of each thread
	unsigned wrong;
};

// Each thread's messages come in the order it pushed them.
static void count_message(struct mr_message *m, void *owner)
{
	struct counted *c = MR_CONTAINER(m, struct counted, m);
	struct counting *n = owner;

	n->wrong += c->value != n->last[c->value % 4] + 4;
	n->last[c->value % 4] = c->value;
	free(c);
}

static struct mr_mailbox box;

static void *push_many(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		struct counted *c = malloc(sizeof(*c));

		*c = (struct counted){{NULL, count_message}, i * 4 + (int)(intptr_t)arg};
		mr_mailbox_push(&box, &c->m);
	}
	return NULL;
}

static void mailbox_keeps_each_senders_order(void **)
{
	struct counting n = {.last = {-4, -3, -2, -1}};
	int got = 0;
	pthread_t threads[4];

	assert_int_equal(mr_mailbox_open(&box), 0);
	for (intptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, push_many, (void *)i), 0);
	while (got < 40000)
		got += mr_mailbox_drain(&box, &n);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(got, 40000);
	assert_int_equal(n.wrong, 0);
	mr_mailbox_close(&box);
}

static void answer_late(struct mr_message *m, void *owner)
{
	*(struct mr_message **)owner = m;
}

static void *call_box(void *arg)
{
	struct mr_call *call = arg;

	mr_mailbox_call(&box, call, answer_late);
	return NULL;
}

static void mailbox_call_returns_when_it_is_answered(void **)
{
	struct mr_message *asked = NULL;
	struct mr_call call;
	pthread_t t;
	int joined;

	assert_int_equal(mr_mailbox_open(&box), 0);
	assert_int_equal(pthread_create(&t, NULL, call_box, &call), 0);
	while (!asked)
		mr_mailbox_drain(&box, &asked);
	joined = pthread_tryjoin_np(t, NULL);
	mr_call_done(&call);
	if (joined)
		pthread_join(t, NULL);
	assert_int_equal(joined, EBUSY);
	assert_ptr_equal(asked, &call.message);
	mr_mailbox_close(&box);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(varint_reads_back_every_edge),
		cmocka_unit_test(varint_rejects_overlong_and_truncated),
		cmocka_unit_test(reader_past_end_returns_zeros_and_stays_bad),
		cmocka_unit_test(writer_past_end_counts_what_was_needed),
		cmocka_unit_test(arena_stops_at_its_limit),
		cmocka_unit_test(arena_gives_room_for_one_more),
		cmocka_unit_test(budget_is_taken_along_the_chain_or_not_at_all),
		cmocka_unit_test(budget_reserve_is_for_owners_of_little),
		cmocka_unit_test(budget_is_never_passed_by_many_threads),
		cmocka_unit_test(arena_and_buffer_draw_on_a_budget),
		cmocka_unit_test(arena_columns_are_aligned_and_padded),
		cmocka_unit_test(buf_keeps_failing_after_its_limit),
		cmocka_unit_test(uuid_text_reads_back),
		cmocka_unit_test(rand_below_stays_below),
		cmocka_unit_test(mailbox_keeps_each_senders_order),
		cmocka_unit_test(mailbox_call_returns_when_it_is_answered),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
