// The rules of idempotent producers: table-driven sequences of batches, then a comparison with a
// slow model that remembers everything.
#include "dataplane/kafka_error.h"
#include "dataplane/producer_state.h"
#include "host/base/err.h"
#include "host/base/rand.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>

#define OK        MR_KAFKA_NONE
#define GAP       MR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER
#define DUPLICATE MR_KAFKA_DUPLICATE_SEQUENCE_NUMBER
#define FENCED    MR_KAFKA_INVALID_PRODUCER_EPOCH

#define SEQ_MAX INT32_MAX

static struct mr_producers *make(uint32_t max)
{
	struct mr_producers *ps;

	assert_int_equal(mr_producers_create(max, 1000, &ps), 0);
	return ps;
}

struct sent {
	int16_t epoch;
	int32_t base_sequence;
	int32_t count;
	int16_t error;
	int64_t duplicate_offset; // -1: new
};

// Sends batches of producer 7 one after the other; those that are accepted go to offsets 100, 200…
static void send_all(struct mr_producers *ps, const struct sent *sent, size_t n)
{
	int64_t offset = 100;

	for (size_t i = 0; i < n; i++) {
		struct mr_producer_batch b = {
			7, sent[i].epoch, sent[i].base_sequence, sent[i].count};
		int64_t duplicate;
		int16_t error = mr_producers_check(ps, &b, 0, &duplicate);

		if (error != sent[i].error || duplicate != sent[i].duplicate_offset)
			fail_msg("step %zu: error %d, duplicate %lld", i, error,
				(long long)duplicate);
		if (error || duplicate >= 0)
			continue;
		assert_int_equal(mr_producers_commit(ps, &b, offset, 0), 0);
		offset += 100;
	}
}

static void run(const struct sent *sent, size_t n)
{
	struct mr_producers *ps = make(10);

	send_all(ps, sent, n);
	mr_producers_destroy(ps);
}

#define RUN(...)                                                  \
	do {                                                      \
		static const struct sent sent_[] = {__VA_ARGS__}; \
		run(sent_, MR_COUNT_OF(sent_));                   \
	} while (0)

static void producers_accept_batches_in_order(void **)
{
	RUN({0, 0, 10, OK, -1}, {0, 10, 1, OK, -1}, {0, 11, 5, OK, -1});
}

static void producers_answer_repeats_with_the_first_offset(void **)
{
	RUN({0, 0, 10, OK, -1}, {0, 10, 10, OK, -1}, {0, 20, 10, OK, -1}, {0, 0, 10, OK, 100},
		{0, 20, 10, OK, 300}, {0, 10, 10, OK, 200}, {0, 30, 1, OK, -1});
}

static void producers_refuse_gaps_and_overlaps(void **)
{
	RUN({0, 0, 10, OK, -1}, {0, 11, 1, GAP, -1}, {0, 5, 5, GAP, -1}, {0, 0, 9, GAP, -1},
		{0, 0, 11, GAP, -1}, {0, 9, 2, GAP, -1}, {0, 10, 1, OK, -1});
}

static void producers_let_an_unknown_producer_start_anywhere(void **)
{
	RUN({3, 500, 10, OK, -1}, {3, 510, 1, OK, -1});
}

// What came before an unknown start may never have been stored: not a duplicate, but a gap.
static void producers_do_not_confirm_what_they_never_saw(void **)
{
	RUN({0, 500, 10, OK, -1}, {0, 490, 10, GAP, -1}, {0, 510, 10, OK, -1}, {0, 520, 10, OK, -1},
		{0, 530, 10, OK, -1}, {0, 540, 10, OK, -1}, {0, 550, 10, OK, -1},
		{0, 500, 10, DUPLICATE, -1}, {0, 490, 10, GAP, -1}, {0, 495, 10, GAP, -1});
}

static void producers_keep_five_batches(void **)
{
	RUN({0, 0, 1, OK, -1}, {0, 1, 1, OK, -1}, {0, 2, 1, OK, -1}, {0, 3, 1, OK, -1},
		{0, 4, 1, OK, -1}, {0, 0, 1, OK, 100}, {0, 5, 1, OK, -1}, {0, 0, 1, DUPLICATE, -1},
		{0, 1, 1, OK, 200}, {0, 0, 2, GAP, -1});
}

static void producers_wrap_sequences_to_zero(void **)
{
	RUN({0, SEQ_MAX - 1, 2, OK, -1}, {0, 0, 3, OK, -1}, {0, SEQ_MAX - 1, 2, OK, 100},
		{0, 4, 1, GAP, -1}, {0, 3, 1, OK, -1});
	RUN({0, SEQ_MAX - 4, 10, OK, -1}, {0, 5, 1, OK, -1}, {0, SEQ_MAX - 4, 10, OK, 100});
	RUN({0, SEQ_MAX, 1, OK, -1}, {0, 0, 1, OK, -1}, {0, 1, 1, OK, -1}, {0, 2, 1, OK, -1},
		{0, 3, 1, OK, -1}, {0, 4, 1, OK, -1}, {0, SEQ_MAX, 1, DUPLICATE, -1});
}

static void producers_fence_older_epochs(void **)
{
	RUN({1, 0, 10, OK, -1}, {0, 10, 1, FENCED, -1}, {0, 0, 10, FENCED, -1}, {1, 10, 1, OK, -1});
}

static void producers_start_a_new_epoch_at_zero(void **)
{
	RUN({0, 0, 10, OK, -1}, {1, 10, 1, GAP, -1}, {1, 0, 10, OK, -1}, {1, 10, 1, OK, -1},
		{1, 0, 10, OK, 200}, {0, 10, 1, FENCED, -1});
}

static void producers_check_batches_under_way_against_each_other(void **)
{
	struct mr_producers *ps = make(10);
	struct mr_producer_batch first = {7, 0, 0, 10}, second = {7, 0, 10, 10};
	int64_t duplicate;

	assert_int_equal(mr_producers_check(ps, &first, 0, &duplicate), OK);
	assert_int_equal(mr_producers_commit(ps, &first, 0, 0), 0);
	assert_int_equal(mr_producers_check(ps, &second, 0, &duplicate), OK);
	assert_int_equal(mr_producers_check(ps, &first, 0, &duplicate), OK);
	assert_int_equal(duplicate, 0);
	mr_producers_destroy(ps);
}

static void producers_forget_after_the_expiry_time(void **)
{
	struct mr_producers *ps = make(10);
	struct mr_producer_batch b = {7, 5, 0, 10}, other = {8, 0, 0, 1};
	struct mr_producer_batch later = {7, 2, 77, 1}; // neither epoch nor sequence would do
	int64_t duplicate;

	assert_int_equal(mr_producers_commit(ps, &b, 0, 0), 0);
	assert_int_equal(mr_producers_check(ps, &later, 1000, &duplicate), FENCED);
	assert_int_equal(mr_producers_check(ps, &later, 1001, &duplicate), OK);
	assert_int_equal(mr_producers_commit(ps, &other, 10, 1001), 0);
	assert_int_equal(mr_producers_stats(ps).expired, 1);
	assert_int_equal(mr_producers_stats(ps).known, 1);
	mr_producers_expire(ps, 5000);
	assert_int_equal(mr_producers_stats(ps).known, 0);
	mr_producers_destroy(ps);
}

static void producers_evict_the_longest_quiet_at_the_bound(void **)
{
	struct mr_producers *ps = make(3);
	int64_t duplicate;

	for (int64_t id = 0; id < 3; id++)
		assert_int_equal(
			mr_producers_commit(ps, &(struct mr_producer_batch){id, 0, 0, 1}, id, id),
			0);
	// 0 becomes the newest, so 1 has to go for 9.
	assert_int_equal(mr_producers_commit(ps, &(struct mr_producer_batch){0, 0, 1, 1}, 5, 5), 0);
	assert_int_equal(mr_producers_commit(ps, &(struct mr_producer_batch){9, 0, 0, 1}, 6, 6), 0);
	assert_int_equal(mr_producers_stats(ps).evicted, 1);
	assert_int_equal(mr_producers_stats(ps).known, 3);
	assert_int_equal(
		mr_producers_check(ps, &(struct mr_producer_batch){1, 0, 50, 1}, 6, &duplicate),
		OK);
	assert_int_equal(
		mr_producers_check(ps, &(struct mr_producer_batch){0, 0, 50, 1}, 6, &duplicate),
		GAP);
	mr_producers_destroy(ps);
}

// A model that scans: the last batches of each producer in an array, never evicted.
enum { MODEL_PRODUCERS = 40 };

static void producers_agree_with_a_slow_model(void **)
{
	uint64_t seed = 20261121;
	struct mr_producers *ps = make(MODEL_PRODUCERS);
	int32_t next[MODEL_PRODUCERS] = {0}, last_count[MODEL_PRODUCERS] = {0};
	int64_t last_offset[MODEL_PRODUCERS], offset = 0;
	struct mr_rand r;

	printf("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	for (int i = 0; i < 20000; i++) {
		uint32_t p = (uint32_t)mr_rand_below(&r, MODEL_PRODUCERS);
		int64_t id = (int64_t)p * 0x123456789;
		struct mr_producer_batch b = {id, 0, next[p], 1 + (int32_t)mr_rand_below(&r, 50)};
		uint64_t kind = mr_rand_below(&r, 10);
		int64_t duplicate;
		int16_t error;

		if (kind == 0 && last_count[p]) {
			b.base_sequence = next[p] - last_count[p];
			b.count = last_count[p];
		} else if (kind == 1 && last_count[p]) {
			b.base_sequence += 1;
		}
		error = mr_producers_check(ps, &b, 0, &duplicate);
		if (b.base_sequence == next[p]) {
			assert_int_equal(error, OK);
			assert_int_equal(duplicate, -1);
			assert_int_equal(mr_producers_commit(ps, &b, offset, 0), 0);
			last_offset[p] = offset;
			last_count[p] = b.count;
			next[p] += b.count;
			offset += b.count;
		} else if (b.base_sequence > next[p]) {
			assert_int_equal(error, GAP);
		} else {
			assert_int_equal(error, OK);
			assert_int_equal(duplicate, last_offset[p]);
		}
	}
	mr_producers_destroy(ps);
}

static struct mr_buf saved_of(const struct mr_producers *ps)
{
	struct mr_buf b = {0};

	mr_producers_save(ps, &b);
	assert_false(b.failed);
	return b;
}

static struct mr_producers *filled(void)
{
	struct mr_producers *ps = make(100);

	for (int64_t i = 0; i < 300; i++) {
		struct mr_producer_batch b = {i % 20, (int16_t)(i % 3), (int32_t)(i / 20), 1};

		assert_int_equal(mr_producers_commit(ps, &b, i, i), 0);
	}
	return ps;
}

static void producers_load_what_they_saved(void **)
{
	struct mr_producers *ps = filled(), *again = make(100);
	struct mr_buf a = saved_of(ps), b;

	assert_int_equal(mr_producers_load(again, mr_buf_span(&a)), 0);
	b = saved_of(again);
	assert_true(mr_span_eq(mr_buf_span(&a), mr_buf_span(&b)));
	mr_buf_fini(&a);
	mr_buf_fini(&b);
	mr_producers_destroy(ps);
	mr_producers_destroy(again);
}

static void producers_load_into_a_smaller_bound_keeps_the_newest(void **)
{
	struct mr_producers *ps = filled(), *again = make(5);
	struct mr_buf a = saved_of(ps);
	int64_t duplicate;

	assert_int_equal(mr_producers_load(again, mr_buf_span(&a)), 0);
	assert_int_equal(mr_producers_stats(again).known, 5);
	assert_int_equal(mr_producers_check(again, &(struct mr_producer_batch){19, 299 % 3, 14, 1},
				 0, &duplicate),
		OK);
	assert_int_equal(duplicate, 299);
	mr_buf_fini(&a);
	mr_producers_destroy(ps);
	mr_producers_destroy(again);
}

static void producers_refuse_damaged_states(void **)
{
	struct mr_producers *ps = filled(), *again = make(100);
	struct mr_buf a = saved_of(ps);

	for (size_t cut = 0; cut < a.bytes; cut++) {
		uint8_t *copy = malloc(cut + 1); // exactly, for the sanitizer

		memcpy(copy, a.data, cut);
		assert_int_equal(mr_producers_load(again, mr_span(copy, cut)), MR_ERR_CORRUPT);
		assert_int_equal(mr_producers_stats(again).known, 0);
		free(copy);
	}
	a.data[0] = 2;
	assert_int_equal(mr_producers_load(again, mr_buf_span(&a)), MR_ERR_VERSION);
	a.data[0] = 1;
	memcpy(a.data + 8 + 28 + 5 * 16, a.data + 8, 8); // the first producer twice
	assert_int_equal(mr_producers_load(again, mr_buf_span(&a)), MR_ERR_CORRUPT);
	mr_buf_fini(&a);
	mr_producers_destroy(ps);
	mr_producers_destroy(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(producers_accept_batches_in_order),
		cmocka_unit_test(producers_answer_repeats_with_the_first_offset),
		cmocka_unit_test(producers_refuse_gaps_and_overlaps),
		cmocka_unit_test(producers_let_an_unknown_producer_start_anywhere),
		cmocka_unit_test(producers_do_not_confirm_what_they_never_saw),
		cmocka_unit_test(producers_keep_five_batches),
		cmocka_unit_test(producers_wrap_sequences_to_zero),
		cmocka_unit_test(producers_fence_older_epochs),
		cmocka_unit_test(producers_start_a_new_epoch_at_zero),
		cmocka_unit_test(producers_check_batches_under_way_against_each_other),
		cmocka_unit_test(producers_forget_after_the_expiry_time),
		cmocka_unit_test(producers_evict_the_longest_quiet_at_the_bound),
		cmocka_unit_test(producers_agree_with_a_slow_model),
		cmocka_unit_test(producers_load_what_they_saved),
		cmocka_unit_test(producers_load_into_a_smaller_bound_keeps_the_newest),
		cmocka_unit_test(producers_refuse_damaged_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
