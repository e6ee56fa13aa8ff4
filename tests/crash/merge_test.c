// Merging and expiring on the simulated disk, with the power cut at every flush: after a restart
// each offset that was committed is in exactly one segment, or expired as told, in order, with its
// rows; and no other file is there.
//
// A life of the store: segments are written and committed, now and then neighbours are merged, now
// and then the oldest expire. What a life was told must be so in the next; what was under way may.
#include "storage/segment_merge.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/segment_rig.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 40, STEPS = 12, TABLE = 3, PARTITION = 7, SNAPSHOT_RECORDS = 7 };

struct known {
	int64_t end;     // committed offsets lie below
	int64_t expired; // and from here on, unless `expiring`
	int64_t expiring;
};

// ROWS rows: their offsets as int8 and as text.
static int seal(struct segment_rig *s, int64_t from)
{
	static const struct mr_segment_column columns[2] = {
		{1, {MR_TYPE_INT8, 0, 0}}, {2, {MR_TYPE_TEXT, 0, 0}}};
	struct mr_segment_info info = {.id = mr_segment_store_id(s->segments), .table_id = TABLE};
	char texts[ROWS][32];
	struct mr_str text[ROWS];
	int64_t offset[ROWS];
	const struct mr_col cols[2] = {
		{.type = columns[0].type, .phys = MR_PHYS_I64, .values = offset},
		{.type = columns[1].type, .phys = MR_PHYS_BYTES, .values = text}};
	const struct mr_segment_rows block = {ROWS, cols};
	const struct mr_segment_source rows = {.columns = columns,
		.columns_count = 2,
		.blocks = &block,
		.blocks_count = 1,
		.time_fallback = MR_SEGMENT_NO_COLUMN};

	info.ranges_count = 1;
	info.ranges = malloc(sizeof(*info.ranges));
	info.ranges[0] = (struct mr_offset_range){PARTITION, from, from + ROWS};
	for (int i = 0; i < ROWS; i++) {
		offset[i] = from + i;
		text[i] = (struct mr_str){.data = (const uint8_t *)texts[i],
			.bytes = (uint32_t)snprintf(
				texts[i], sizeof(texts[i]), "row %lld", (long long)offset[i])};
	}
	return segment_rig_seal(s, &rows, &info);
}

static void put_all(struct mr_segment **list, int n)
{
	for (int i = 0; i < n; i++)
		mr_segment_put(list[i]);
	free(list);
}

// Merges some neighbours into one.
static int merge(struct mr_io_sim *sim, struct segment_rig *s, struct mr_rand *r)
{
	struct mr_segment_info info = {.id = mr_segment_store_id(s->segments)};
	struct mr_segment **list, *out;
	int n = mr_segment_store_list(s->segments, TABLE, &list);
	uint32_t first = n ? (uint32_t)mr_rand_below(r, (uint64_t)n) : 0;
	struct mr_segment_merge m = {.disk = &sim->disk,
		.inputs = list + first,
		.inputs_count = n ? 1 + (uint32_t)mr_rand_below(r, (uint64_t)n - first) : 0,
		.level = 3,
		.gather_bytes = 1 << 20};
	struct mr_diag diag;
	int rc = m.inputs_count ? mr_segment_merge_run(&m, &info, &diag) : 1;

	if (rc == 0) {
		rc = mr_segment_store_replace(s->segments, &info, m.inputs, m.inputs_count, &out);
		if (rc == 0)
			mr_segment_put(out);
		else
			free(info.ranges);
	}
	put_all(list, n);
	return MR_MIN(rc, 0);
}

// The oldest segment expires.
static int expire(struct segment_rig *s, struct known *k)
{
	struct mr_segment **list;
	int n = mr_segment_store_list(s->segments, TABLE, &list), rc = 0;

	if (n > 1) {
		k->expiring = list[0]->info.ranges[0].to;
		rc = mr_segment_store_expire(s->segments, TABLE, list, 1);
		if (rc == 0)
			k->expired = k->expiring;
	}
	put_all(list, n);
	return rc;
}

static void live(struct mr_io_sim *sim, struct segment_rig *s, void *known, struct mr_rand *r)
{
	struct known *k = known;

	for (int step = 0; step < STEPS; step++) {
		if (seal(s, k->end) < 0)
			return;
		k->end += ROWS;
		if (step % 3 == 2 && merge(sim, s, r) < 0)
			return;
		if (step % 5 == 4 && expire(s, k) < 0)
			return;
	}
}

static void check_rows(struct mr_segment *seg, int64_t at)
{
	static const uint32_t columns[2] = {0, 1};
	struct mr_segment_reader *r;
	const struct mr_col *cols;
	struct mr_diag diag;

	assert_int_equal(mr_segment_reader_create(2, &r), 0);
	assert_int_equal(mr_segment_reader_open(r, seg, MR_SEGMENT_ROWS, columns, 2, &diag), 0);
	for (uint32_t b = 0; b < mr_segment_reader_section(r)->blocks_count; b++) {
		int rows = mr_segment_reader_block(r, b, &cols, &diag);

		assert_true(rows > 0);
		for (uint32_t i = 0; i < (uint32_t)rows; i++, at++) {
			struct mr_str t = mr_col_str(&cols[1], i);
			char want[32];

			snprintf(want, sizeof(want), "row %lld", (long long)at);
			assert_int_equal(((const int64_t *)cols[0].values)[i], at);
			assert_int_equal(t.bytes, strlen(want));
			assert_memory_equal(t.data, want, t.bytes);
		}
	}
	assert_int_equal(at, seg->info.ranges[0].to);
	mr_segment_reader_destroy(r);
}

// What a restart finds against what the life before knew; takes what it finds as known.
static void check(struct mr_io_sim *sim, struct segment_rig *s, void *known)
{
	struct known *k = known;
	struct mr_offset_range *expired;
	struct mr_segment **list;
	int n = mr_segment_store_list(s->segments, TABLE, &list);
	int e = mr_segment_store_expired(s->segments, TABLE, &expired);
	int64_t at = e ? expired[0].to : 0;

	assert_true(at == k->expired || at == k->expiring);
	assert_true(e == 0 || expired[0].partition == PARTITION);
	k->expired = k->expiring = at;
	for (int i = 0; i < n; i++) {
		assert_int_equal(list[i]->info.ranges[0].from, at);
		check_rows(list[i], at);
		at = list[i]->info.ranges[0].to;
	}
	assert_true(at == k->end || at == k->end + ROWS);
	k->end = at;
	put_all(list, n);
	free(expired);
	assert_int_equal(segment_rig_files(sim, "seg"), n);
}

static void merging_and_expiring_survive_a_power_cut_at_every_flush(void **)
{
	static const struct segment_life life = {
		SNAPSHOT_RECORDS, sizeof(struct known), live, check};

	segment_rig_every_flush(&life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merging_and_expiring_survive_a_power_cut_at_every_flush),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
