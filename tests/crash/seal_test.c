// Sealing on the simulated disk, with the power cut at every flush: after a restart each committed
// offset is in exactly one segment, in order, all of whose bytes are there, and no other file is.
//
// A life of the store: segments of two partitions are written and committed, now and then the table
// is emptied. What a life was told is committed must be there in the next; what it was not told
// may.
#include "tests/lib/mr_test.h"
#include "tests/lib/segment_rig.h"

#include <stdio.h>
#include <stdlib.h>

enum { PARTITIONS = 2, ROWS = 50, STEPS = 6, TABLE = 3, TRUNCATE_AT = 4, SNAPSHOT_RECORDS = 5 };

// What a life knows to be committed: offsets below, and from where the table begins.
struct known {
	int64_t end[PARTITIONS];
	int64_t start[PARTITIONS];
	bool truncated; // was asked for; told or not
};

// Rows `from` and on of each partition: column 0 is the partition, 1 the offset.
static int seal(struct segment_rig *s, const int64_t from[PARTITIONS])
{
	static const struct mr_segment_column columns[2] = {
		{1, {MR_TYPE_INT4, 0, 0}}, {2, {MR_TYPE_INT8, 0, 0}}};
	struct mr_segment_info info = {.id = mr_segment_store_id(s->segments), .table_id = TABLE};
	int32_t partition[PARTITIONS * ROWS];
	int64_t offset[PARTITIONS * ROWS];
	struct mr_col cols[2] = {
		{.type = columns[0].type, .phys = MR_PHYS_I32, .values = partition},
		{.type = columns[1].type, .phys = MR_PHYS_I64, .values = offset}};
	const struct mr_segment_rows block = {PARTITIONS * ROWS, cols};
	const struct mr_segment_source rows = {.columns = columns,
		.columns_count = 2,
		.blocks = &block,
		.blocks_count = 1,
		.time_column = MR_SEGMENT_NO_COLUMN,
		.time_fallback = MR_SEGMENT_NO_COLUMN};

	info.ranges_count = PARTITIONS;
	info.ranges = calloc(PARTITIONS, sizeof(*info.ranges));
	for (uint32_t p = 0; p < PARTITIONS; p++) {
		info.ranges[p] = (struct mr_offset_range){p, from[p], from[p] + ROWS};
		for (int i = 0; i < ROWS; i++) {
			partition[p * ROWS + (uint32_t)i] = (int32_t)p;
			offset[p * ROWS + (uint32_t)i] = from[p] + i;
		}
	}
	return segment_rig_seal(s, &rows, &info);
}

// Seals what follows; notes it when it was told.
static int seal_next(struct segment_rig *s, struct known *k)
{
	int rc = seal(s, k->end);

	for (int p = 0; p < PARTITIONS && !rc; p++)
		k->end[p] += ROWS;
	return rc;
}

static int empty_table(struct segment_rig *s)
{
	struct mr_manifest_record r = {
		MR_SEGMENT_RECORD_TABLE_DROPPED, MR_SEGMENT_RECORD_VERSION, {0}};
	struct mr_buf b = {0};
	int rc;

	mr_segment_store_table_dropped(&b, TABLE);
	r.payload = mr_buf_span(&b);
	rc = mr_manifest_append(s->manifest, &r, 1);
	mr_buf_fini(&b);
	return rc;
}

// Seals until something fails; notes what was told.
static void live(struct mr_io_sim *, struct segment_rig *s, void *known, struct mr_rand *)
{
	struct known *k = known;

	for (int step = 0; step < STEPS; step++) {
		if (step == TRUNCATE_AT) {
			k->truncated = true;
			if (empty_table(s) < 0)
				return;
			memcpy(k->start, k->end, sizeof(k->end));
			k->truncated = false;
		}
		if (seal_next(s, k) < 0)
			return;
	}
}

// All rows of a segment are what its ranges say.
static void check_rows(struct mr_segment *seg)
{
	static const uint32_t columns[2] = {0, 1};
	struct mr_segment_reader *r;
	const struct mr_col *cols;
	struct mr_diag diag;

	assert_int_equal(mr_segment_reader_create(2, &r), 0);
	assert_int_equal(mr_segment_reader_open(r, seg, MR_SEGMENT_ROWS, columns, 2, &diag), 0);
	assert_int_equal(mr_segment_reader_block(r, 0, &cols, &diag), PARTITIONS * ROWS);
	for (int i = 0; i < PARTITIONS * ROWS; i++) {
		assert_int_equal(((const int32_t *)cols[0].values)[i], i / ROWS);
		assert_int_equal(((const int64_t *)cols[1].values)[i],
			seg->info.ranges[i / ROWS].from + i % ROWS);
	}
	mr_segment_reader_destroy(r);
}

// What a restart finds against what the life before knew; takes what it finds as known.
static void check(struct mr_io_sim *sim, struct segment_rig *s, void *known)
{
	struct known *k = known;
	struct mr_segment **list;
	int n = mr_segment_store_list(s->segments, TABLE, &list);
	int64_t at[PARTITIONS];

	for (int p = 0; p < PARTITIONS; p++)
		at[p] = n ? list[0]->info.ranges[p].from : k->end[p];
	for (int p = 0; p < PARTITIONS; p++)
		assert_true(at[p] == k->start[p] || (k->truncated && at[p] == k->end[p]));
	memcpy(k->start, at, sizeof(at));
	k->truncated = false;
	for (int i = 0; i < n; i++) {
		check_rows(list[i]);
		for (int p = 0; p < PARTITIONS; p++) {
			// In exactly one segment, in order.
			assert_int_equal(list[i]->info.ranges[p].from, at[p]);
			at[p] = list[i]->info.ranges[p].to;
		}
		mr_segment_put(list[i]);
	}
	free(list);
	for (int p = 0; p < PARTITIONS; p++) {
		// Nothing that was told is lost; at most the one that was under way came through.
		assert_true(at[p] == k->end[p] || at[p] == k->end[p] + ROWS);
		k->end[p] = at[p];
	}
	assert_int_equal(segment_rig_files(sim, "seg"), n);
}

static void seal_survives_a_power_cut_at_every_flush(void **)
{
	static const struct segment_life life = {
		SNAPSHOT_RECORDS, sizeof(struct known), live, check};

	segment_rig_every_flush(&life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seal_survives_a_power_cut_at_every_flush),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
