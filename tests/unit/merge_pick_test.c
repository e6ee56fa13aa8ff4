// Which segments are merged: what the policy promises of write amplification, of how many are left,
// of order, limits and ttl, on long lives of tables.
#include "host/base/rand.h"
#include "host/merge_pick.h"
#include "tests/lib/mr_test.h"

#include <math.h>
#include <stdlib.h>

enum { MAX = 20000 };

static const struct mr_merge_limits usual = {
	.rows_whole = 1 << 22, .bytes_max = 2ull << 30, .level = 9};

// A table's life: segments in order, and how many rows were written in all.
struct life {
	struct mr_segment_info all[MAX];
	const struct mr_segment_info *list[MAX];
	uint32_t made, count;
	uint64_t rows_in, rows_written;
};

static struct life *life_new(void)
{
	struct life *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	return l;
}

static void seal(struct life *l, uint64_t rows, int64_t newest)
{
	struct mr_segment_info *i = &l->all[l->made++];

	assert_true(l->made < MAX);
	*i = (struct mr_segment_info){.id = l->made,
		.rows = rows,
		.file_bytes = rows * 25,
		.time_max = newest,
		.level = 1};
	l->list[l->count++] = i;
	l->rows_in += rows;
}

static void merge(struct life *l, struct mr_merge_run run, const struct mr_merge_limits *limits)
{
	struct mr_segment_info *out = &l->all[l->made++];
	int level = mr_merge_level(l->list, run, limits);

	assert_true(l->made < MAX && run.first + run.count <= l->count && run.count > 0);
	*out = (struct mr_segment_info){
		.id = l->made, .level = (uint16_t)level, .time_max = INT64_MIN};
	for (uint32_t i = run.first; i < run.first + run.count; i++) {
		assert_non_null(l->list[i]);
		out->rows += l->list[i]->rows;
		out->file_bytes += l->list[i]->file_bytes;
		out->time_max = MR_MAX(out->time_max, l->list[i]->time_max);
	}
	assert_true(out->rows <= 2 * limits->rows_whole || run.count == 1);
	assert_true(out->file_bytes <= limits->bytes_max || run.count == 1);
	l->rows_written += out->rows;
	l->list[run.first] = out;
	memmove(&l->list[run.first + 1], &l->list[run.first + run.count],
		(l->count - run.first - run.count) * sizeof(l->list[0]));
	l->count -= run.count - 1;
}

static void settle(struct life *l, const struct mr_merge_limits *limits)
{
	for (;;) {
		struct mr_merge_run run = mr_merge_pick(l->list, l->count, limits);

		if (!run.count)
			return;
		merge(l, run, limits);
	}
}

// Segments of one size for ever: each row is written at most once per tier, and few are left.
static void few_segments_are_left_and_no_row_is_written_often(void **)
{
	static const uint64_t sizes[] = {1, 30, 1000, 65536, 1 << 20};
	static const double most[] = {9, 7, 5, 3, 1.1};

	for (size_t k = 0; k < MR_COUNT_OF(sizes); k++) {
		struct life *l = life_new();
		uint32_t left = 0;

		for (int i = 0; i < 4000; i++) {
			seal(l, sizes[k], 0);
			settle(l, &usual);
			// Whole ones are what they are; the others are few.
			left = 0;
			for (uint32_t n = 0; n < l->count; n++)
				left += l->list[n]->rows < usual.rows_whole;
			assert_true(left <= 7 * MR_MERGE_TIERS);
		}
		if ((double)l->rows_written / (double)l->rows_in > most[k])
			fail_msg("segments of %llu rows: written %.2f times",
				(unsigned long long)sizes[k],
				(double)l->rows_written / (double)l->rows_in);
		assert_true(l->count - left <= l->rows_in / usual.rows_whole);
		free(l);
	}
}

static void sizes_of_all_kinds_settle(void **)
{
	uint64_t seed = mr_rand_seed_os();
	struct life *l = life_new();
	struct mr_rand r;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	for (int i = 0; i < 3000; i++) {
		seal(l, 1 + mr_rand_below(&r, 1ull << mr_rand_below(&r, 20)), 0);
		settle(l, &usual);
	}
	assert_true(l->rows_written <= l->rows_in * (MR_MERGE_TIERS + 1));
	assert_true(l->count <= 7 * MR_MERGE_TIERS + l->rows_in / usual.rows_whole);
	free(l);
}

static void what_must_not_be_merged_is_left_alone(void **)
{
	struct life *l = life_new();

	for (int i = 0; i < 20; i++)
		seal(l, 1000, 0);
	l->list[7] = NULL;
	settle(l, &usual);
	// On either side they are merged, not across.
	assert_null(l->list[1]);
	assert_int_equal(l->list[0]->rows, 7000);
	assert_int_equal(l->list[2]->rows, 12000);
	assert_int_equal(l->count, 3);
	free(l);
}

static void segments_that_expire_apart_stay_apart(void **)
{
	struct mr_merge_limits with_ttl = usual;
	struct life *l = life_new();
	const int64_t day = 86400000000;

	with_ttl.ttl_us = 8 * day;
	for (int i = 0; i < 300; i++) {
		seal(l, 10000, i * day / 10);
		settle(l, &with_ttl);
	}
	for (uint32_t i = 0; i < l->count; i++)
		assert_true(l->list[i]->rows <= 12 * 10000);
	assert_in_range(l->count, 300 / 12, 300 / 2);
	assert_true(mr_merge_expired(&l->all[0], 8 * day, 8 * day + 1));
	assert_false(mr_merge_expired(&l->all[0], 8 * day, 8 * day));
	assert_false(mr_merge_expired(&l->all[0], 0, 100 * day));
	// What has no time has no age.
	l->all[0].time_max = -1000;
	assert_false(mr_merge_expired(&l->all[0], day, 100 * day));
	l->all[0].time_max = -1001;
	assert_true(mr_merge_expired(&l->all[0], day, 100 * day));
	free(l);
}

static void vacuum_leaves_only_whole_ones_packed_well(void **)
{
	uint64_t seed = mr_rand_seed_os();
	struct mr_merge_limits all = usual;
	struct life *l = life_new();
	struct mr_rand r;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	all.all = true;
	for (int i = 0; i < 200; i++)
		seal(l, 1 + mr_rand_below(&r, 1 << 20), 0);
	settle(l, &all);
	for (uint32_t i = 0; i < l->count; i++) {
		assert_int_equal(l->list[i]->level, 9);
		assert_true(i + 1 == l->count || l->list[i]->rows >= all.rows_whole);
	}
	// And does nothing twice.
	assert_int_equal(mr_merge_pick(l->list, l->count, &all).count, 0);
	assert_int_equal(mr_merge_pick(l->list, l->count, &usual).count, 0);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_segments_are_left_and_no_row_is_written_often),
		cmocka_unit_test(sizes_of_all_kinds_settle),
		cmocka_unit_test(what_must_not_be_merged_is_left_alone),
		cmocka_unit_test(segments_that_expire_apart_stay_apart),
		cmocka_unit_test(vacuum_leaves_only_whole_ones_packed_well),
	};

	return cmocka_run_group_tests_name("merge_pick", tests, NULL, NULL);
}
