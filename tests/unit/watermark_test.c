// Watermarks: what of a row moves them, what is counted, what a record holds.
#include "host/watermark.h"

#include "host/base/datetime.h"
#include "tests/lib/mr_test.h"

enum { TIME, OFFSET, COLUMNS };

static const struct mr_typeref types[COLUMNS] = {
	[TIME] = {MR_TYPE_TIMESTAMPTZ, 0, 0}, [OFFSET] = {MR_TYPE_INT8, 0, 0}};

static void add(struct mr_chunk *c, int64_t time, int64_t offset)
{
	mr_chunk_row_begin(c);
	*(int64_t *)mr_chunk_slot(c, TIME) = time;
	*(int64_t *)mr_chunk_slot(c, OFFSET) = offset;
	mr_chunk_row_commit(c);
}

static void add_null(struct mr_chunk *c, int64_t offset)
{
	mr_chunk_row_begin(c);
	*(int64_t *)mr_chunk_slot(c, OFFSET) = offset;
	mr_chunk_row_commit(c);
}

static void watermark_counts_each_row_once_and_is_moved_by_sound_times_only(void **)
{
	struct mr_chunk_pool *pool;
	struct mr_watermark m;
	struct mr_chunk *c;

	assert_int_equal(mr_chunk_pool_create(64u << 20, -1, &pool), 0);
	assert_int_equal(mr_chunk_create(pool, types, COLUMNS, NULL, 8u << 20, &c), 0);
	mr_watermark_init(&m, 7, TIME, 10, 0);
	m.at.offset = 2;
	m.at.watermark_us = 50;
	add(c, 900, 0); // below the state's offset: counted by whoever wrote that
	add(c, 901, 1);
	add(c, 49, 2); // late
	add(c, 50, 3);
	add(c, 1000, 4);
	add(c, 1001, 5); // ahead
	add_null(c, 6);
	add(c, MR_TS_INFINITY, 7);
	add(c, MR_TS_MINUS_INFINITY, 8);
	mr_watermark_observe(&m, c, OFFSET, 0, 5, 1000);
	m.at.offset = 5;
	mr_watermark_observe(&m, c, OFFSET, 0, c->rows, 1000);
	assert_int_equal(m.at.max_event_us, 1000);
	assert_int_equal(m.at.rows_late, 1);
	assert_int_equal(m.at.rows_future, 1);
	assert_int_equal(m.at.rows_untimed, 3);
	mr_chunk_put(c);
	mr_chunk_pool_destroy(pool);
}

static void watermark_record_reads_back_and_rejects_other_lengths(void **)
{
	const struct mr_watermark_state s = {1, 2, MR_WATERMARK_NONE, -4, 5, 6, 7};
	const struct mr_uuid topic = {{1, 2, 3}};
	uint8_t bytes[MR_WATERMARK_BYTES];
	struct mr_watermark_state out;
	struct mr_uuid topic_out;
	uint32_t partition;

	mr_watermark_save(bytes, topic, 9, &s);
	assert_int_equal(
		mr_watermark_load(mr_span(bytes, sizeof(bytes)), &topic_out, &partition, &out), 0);
	assert_true(mr_uuid_eq(topic, topic_out));
	assert_int_equal(partition, 9);
	assert_memory_equal(&s, &out, sizeof(s));
	assert_int_equal(
		mr_watermark_load(mr_span(bytes, sizeof(bytes) - 1), &topic_out, &partition, &out),
		MR_ERR_CORRUPT);
	mr_store_le64(bytes + 32, (uint64_t)-1);
	assert_int_equal(
		mr_watermark_load(mr_span(bytes, sizeof(bytes)), &topic_out, &partition, &out),
		MR_ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watermark_counts_each_row_once_and_is_moved_by_sound_times_only),
		cmocka_unit_test(watermark_record_reads_back_and_rejects_other_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
