// The store of segments against a plain list: commits, replacing, expiring, dropping, in any order,
// and the same after every start; records that make no sense are refused.
#include "host/base/rand.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/segment_rig.h"

#include <stdlib.h>

enum { TABLES = 3, LIST_MAX = 4000, STEPS = 600, STEPS_A_LIFE = 60, SNAPSHOT_RECORDS = 37 };

// A table as it should be: ids in order, the end of its one partition, and what has expired.
struct model {
	uint64_t ids[LIST_MAX];
	int64_t from[LIST_MAX], to[LIST_MAX];
	uint32_t count;
	int64_t end, expired;
};

static struct mr_segment_info info_of(
	struct segment_rig *s, uint64_t table, int64_t from, int64_t to)
{
	struct mr_segment_info i = {.id = mr_segment_store_id(s->segments),
		.table_id = table,
		.rows = (uint64_t)(to - from),
		.file_bytes = 10000,
		.footer_at = 9000,
		.footer_bytes = 10,
		.footer_raw_bytes = 20,
		.raw_bytes = 12345,
		.time_min = from,
		.time_max = to,
		.merges = 3,
		.level = 2,
		.ranges_count = 1};

	i.ranges = malloc(sizeof(*i.ranges));
	*i.ranges = (struct mr_offset_range){5, from, to};
	return i;
}

static void commit_one(struct segment_rig *s, struct model *m, uint64_t table, struct mr_rand *r)
{
	int64_t to = m->end + 1 + (int64_t)mr_rand_below(r, 100);
	struct mr_segment_info info = info_of(s, table, m->end, to);
	struct mr_segment *seg;

	assert_int_equal(mr_segment_store_commit(s->segments, &info, NULL, 0, &seg), 0);
	assert_int_equal(seg->info.id, info.id);
	mr_segment_put(seg);
	m->ids[m->count] = info.id;
	m->from[m->count] = m->end;
	m->to[m->count++] = m->end = to;
}

static void remove_from(struct model *m, uint32_t at, uint32_t n)
{
	memmove(&m->ids[at], &m->ids[at + n], (m->count - at - n) * sizeof(m->ids[0]));
	memmove(&m->from[at], &m->from[at + n], (m->count - at - n) * sizeof(m->from[0]));
	memmove(&m->to[at], &m->to[at + n], (m->count - at - n) * sizeof(m->to[0]));
	m->count -= n;
}

static void replace_some(struct segment_rig *s, struct model *m, uint64_t table, struct mr_rand *r)
{
	uint32_t at = m->count ? (uint32_t)mr_rand_below(r, m->count) : 0;
	uint32_t n = m->count ? 1 + (uint32_t)mr_rand_below(r, m->count - at) : 0;
	struct mr_segment *old[LIST_MAX], *seg;
	struct mr_segment_info info;

	if (!n)
		return;
	for (uint32_t i = 0; i < n; i++)
		old[i] = mr_segment_store_find(s->segments, m->ids[at + i]);
	info = info_of(s, table, m->from[at], m->to[at + n - 1]);
	assert_int_equal(mr_segment_store_replace(s->segments, &info, old, n, &seg), 0);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(atomic_load(&old[i]->dropped));
		mr_segment_put(old[i]);
	}
	m->ids[at] = seg->info.id;
	m->to[at] = m->to[at + n - 1];
	remove_from(m, at + 1, n - 1);
	mr_segment_put(seg);
}

static void expire_some(struct segment_rig *s, struct model *m, uint64_t table, struct mr_rand *r)
{
	struct mr_segment *old[LIST_MAX] = {0};
	uint32_t n = 0;

	for (uint32_t i = m->count; i-- > 0;) {
		if (mr_rand_below(r, 3))
			continue;
		old[n++] = mr_segment_store_find(s->segments, m->ids[i]);
		m->expired = MR_MAX(m->expired, m->to[i]);
		remove_from(m, i, 1);
	}
	assert_int_equal(mr_segment_store_expire(s->segments, table, old, n), 0);
	while (n)
		mr_segment_put(old[--n]);
}

static void drop_table(struct segment_rig *s, struct model *m, uint64_t table)
{
	struct mr_manifest_record rec = {
		MR_SEGMENT_RECORD_TABLE_DROPPED, MR_SEGMENT_RECORD_VERSION, {0}};
	struct mr_buf b = {0};

	mr_segment_store_table_dropped(&b, table);
	rec.payload = mr_buf_span(&b);
	assert_int_equal(mr_manifest_append(s->manifest, &rec, 1), 0);
	mr_buf_fini(&b);
	m->count = 0;
	m->expired = 0;
}

static void check(struct segment_rig *s, const struct model *m, uint64_t table)
{
	struct mr_offset_range *expired;
	struct mr_segment **list;
	int n = mr_segment_store_list(s->segments, table, &list);

	assert_int_equal(n, m->count);
	for (int i = 0; i < n; i++) {
		const struct mr_segment_info *k = &list[i]->info;

		assert_int_equal(k->id, m->ids[i]);
		assert_int_equal(k->ranges[0].from, m->from[i]);
		assert_int_equal(k->ranges[0].to, m->to[i]);
		assert_int_equal(k->time_max, m->to[i]);
		assert_int_equal(k->raw_bytes, 12345);
		assert_int_equal(k->merges, 3);
		assert_int_equal(k->level, 2);
		mr_segment_put(list[i]);
	}
	free(list);
	n = mr_segment_store_expired(s->segments, table, &expired);
	assert_int_equal(n, m->expired ? 1 : 0);
	if (n) {
		assert_int_equal(expired[0].partition, 5);
		assert_int_equal(expired[0].to, m->expired);
	}
	free(expired);
}

static void store_is_the_same_after_every_start(void **)
{
	static struct model models[TABLES];
	uint64_t seed = mr_rand_seed_os();
	struct mr_io_sim sim;
	struct segment_rig s;
	struct mr_rand r;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = seed});
	assert_int_equal(segment_rig_open(&s, &sim, SNAPSHOT_RECORDS), 0);
	for (int step = 0; step < STEPS; step++) {
		uint64_t t = mr_rand_below(&r, TABLES), what = mr_rand_below(&r, 40);

		if (what < 30)
			commit_one(&s, &models[t], t + 1, &r);
		else if (what < 36)
			replace_some(&s, &models[t], t + 1, &r);
		else if (what < 39)
			expire_some(&s, &models[t], t + 1, &r);
		else
			drop_table(&s, &models[t], t + 1);
		if (step % STEPS_A_LIFE == 0) {
			segment_rig_close(&s);
			mr_io_sim_power_cut(&sim);
			assert_int_equal(segment_rig_open(&s, &sim, SNAPSHOT_RECORDS), 0);
			for (t = 0; t < TABLES; t++)
				check(&s, &models[t], t + 1);
		}
	}
	for (uint64_t t = 0; t < TABLES; t++)
		check(&s, &models[t], t + 1);
	segment_rig_close(&s);
	mr_io_sim_fini(&sim);
}

// Ids that are not there, not neighbours, or twice the same: the manifest stops, nothing crashes.
static void store_refuses_records_that_make_no_sense(void **)
{
	static const struct {
		uint16_t type;
		uint64_t ids[2];
	} bad[] = {
		{MR_SEGMENT_RECORD_REPLACED, {1, 3}},
		{MR_SEGMENT_RECORD_REPLACED, {2, 1}},
		{MR_SEGMENT_RECORD_REPLACED, {1, 1}},
		{MR_SEGMENT_RECORD_REPLACED, {1, 99}},
		{MR_SEGMENT_RECORD_EXPIRED, {1, 1}},
		{MR_SEGMENT_RECORD_EXPIRED, {1, 99}},
	};

	for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
		struct mr_manifest_record rec = {bad[i].type, MR_SEGMENT_INFO_VERSION, {0}};
		struct mr_io_sim sim;
		struct segment_rig s;
		struct model m = {0};
		struct mr_buf b = {0};
		struct mr_rand r;

		mr_rand_init(&r, 1);
		mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
		assert_int_equal(segment_rig_open(&s, &sim, SNAPSHOT_RECORDS), 0);
		for (int k = 0; k < 3; k++)
			commit_one(&s, &m, 1, &r);
		if (bad[i].type == MR_SEGMENT_RECORD_EXPIRED)
			mr_buf_le64(&b, 1);
		mr_buf_le32(&b, 2);
		mr_buf_le64(&b, bad[i].ids[0]);
		mr_buf_le64(&b, bad[i].ids[1]);
		mr_buf_le32(&b, 0);
		rec.payload = mr_buf_span(&b);
		assert_int_equal(mr_manifest_append(s.manifest, &rec, 1), MR_ERR_STOPPED);
		segment_rig_close(&s);
		// It is durable, and a start says that it is damage.
		assert_int_equal(segment_rig_open(&s, &sim, SNAPSHOT_RECORDS), MR_ERR_CORRUPT);
		segment_rig_close(&s);
		mr_buf_fini(&b);
		mr_io_sim_fini(&sim);
	}
}

// ---- footers

enum { FOOTERS = 20, KEPT = 5, BLOCKS = 3 };

static void seal_one(struct segment_rig *s, int32_t value)
{
	int32_t values[64] = {value};
	const struct mr_col col = {
		.type = {MR_TYPE_INT4, 0, 0}, .phys = MR_PHYS_I32, .values = values};
	const struct mr_segment_rows blocks[BLOCKS] = {{1, &col}, {1, &col}, {1, &col}};
	const struct mr_segment_column head = {.id = 1, .type = {MR_TYPE_INT4, 0, 0}};
	const struct mr_segment_source rows = {.columns = &head,
		.columns_count = 1,
		.blocks = blocks,
		.blocks_count = BLOCKS,
		.time_column = MR_SEGMENT_NO_COLUMN,
		.time_fallback = MR_SEGMENT_NO_COLUMN};
	struct mr_segment_info info = {
		.id = mr_segment_store_id(s->segments), .table_id = 1, .ranges_count = 1};

	info.ranges = malloc(sizeof(*info.ranges));
	*info.ranges = (struct mr_offset_range){0, value, value + 1};
	assert_int_equal(segment_rig_seal(s, &rows, &info), 0);
}

static void check_value(struct mr_segment_reader *r, int32_t value)
{
	struct mr_diag diag;
	const struct mr_col *cols;

	assert_int_equal(mr_segment_reader_section(r)->blocks_count, BLOCKS);
	assert_int_equal(mr_segment_reader_block(r, BLOCKS - 1, &cols, &diag), 1);
	assert_int_equal(*(const int32_t *)cols[0].values, value);
}

static struct mr_segment_reader *reader_of(struct mr_segment *s)
{
	const uint32_t column = 0;
	struct mr_segment_reader *r;
	struct mr_diag diag;

	assert_int_equal(mr_segment_reader_create(1, &r), 0);
	assert_int_equal(mr_segment_reader_open(r, s, MR_SEGMENT_ROWS, &column, 1, &diag), 0);
	return r;
}

static void read_one(struct mr_segment *s, int32_t value)
{
	struct mr_segment_reader *r = reader_of(s);

	check_value(r, value);
	mr_segment_reader_destroy(r);
}

static struct mr_footer_stats stats_of(struct segment_rig *s)
{
	struct mr_footer_stats st;

	mr_footer_cache_stats(mr_segment_store_footers(s->segments), &st);
	return st;
}

static void store_keeps_the_footers_that_were_used_last(void **)
{
	struct mr_segment_reader *readers[FOOTERS];
	struct mr_segment **list;
	struct mr_io_sim sim;
	struct segment_rig s;
	uint64_t one;

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 3});
	assert_int_equal(segment_rig_open(&s, &sim, SNAPSHOT_RECORDS), 0);
	for (int32_t i = 0; i < FOOTERS; i++)
		seal_one(&s, i);
	assert_int_equal(mr_segment_store_list(s.segments, 1, &list), FOOTERS);
	assert_int_equal(stats_of(&s).loads, 0);
	read_one(list[0], 0);
	one = stats_of(&s).bytes;
	assert_true(one > BLOCKS * sizeof(struct mr_segment_block));
	mr_footer_cache_limit(mr_segment_store_footers(s.segments), KEPT * one + one / 2);
	for (int32_t i = 1; i < FOOTERS; i++) {
		read_one(list[i], i);
		assert_int_equal(stats_of(&s).bytes, (uint64_t)MR_MIN(i + 1, KEPT) * one);
	}
	assert_int_equal(stats_of(&s).loads, FOOTERS);
	assert_int_equal(stats_of(&s).evictions, FOOTERS - KEPT);
	for (int32_t i = FOOTERS - KEPT; i < FOOTERS; i++)
		read_one(list[i], i);
	assert_int_equal(stats_of(&s).loads, FOOTERS);
	// What readers are at stays, whatever the limit.
	for (int32_t i = 0; i < FOOTERS; i++)
		readers[i] = reader_of(list[i]);
	assert_int_equal(stats_of(&s).bytes, FOOTERS * one);
	for (int32_t i = 0; i < FOOTERS; i++)
		check_value(readers[i], i);
	for (int32_t i = 0; i < FOOTERS; i++)
		mr_segment_reader_destroy(readers[i]);
	assert_int_equal(stats_of(&s).bytes, KEPT * one);
	// A dropped segment's goes with it; one that outlives the store keeps what it needs.
	for (int32_t i = 0; i < FOOTERS - 1; i++)
		mr_segment_put(list[i]);
	readers[0] = reader_of(list[FOOTERS - 1]);
	segment_rig_close(&s);
	mr_segment_put(list[FOOTERS - 1]);
	check_value(readers[0], FOOTERS - 1);
	mr_segment_reader_destroy(readers[0]);
	free(list);
	mr_io_sim_fini(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(store_is_the_same_after_every_start),
		cmocka_unit_test(store_refuses_records_that_make_no_sense),
		cmocka_unit_test(store_keeps_the_footers_that_were_used_last),
	};

	return cmocka_run_group_tests_name("segment_store", tests, NULL, NULL);
}
