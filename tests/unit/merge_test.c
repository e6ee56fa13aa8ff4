// The merging thread by a clock that the test moves: what has passed its table's ttl goes, whole
// segments and no sooner, and what they held still counts as held.
#include "host/catalog.h"
#include "host/control.h"
#include "host/merge.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/segment_store.h"
#include "tests/lib/mr_test.h"

#include <stdlib.h>
#include <time.h>

#define HOUR 3600000000ll
#define NOW  1700000000000000ll

// A clock that two threads may look at.
struct test_clock {
	struct mr_clock clock;
	_Atomic int64_t wall_us;
};

static int64_t now_ns(struct mr_clock *c)
{
	return atomic_load(&MR_CONTAINER(c, struct test_clock, clock)->wall_us) * 1000;
}

static int64_t wall_us(struct mr_clock *c)
{
	return atomic_load(&MR_CONTAINER(c, struct test_clock, clock)->wall_us);
}

struct host {
	struct mr_io_sim sim;
	struct test_clock clock;
	struct mr_config config;
	struct mr_control control;
	struct mr_snapshot snapshot;
	struct mr_topic_def topic;
	struct mr_table *tables[2];
	struct mr_chunk_pool *pool;
};

// A segment of one row whose newest time is `newest`, of offsets [from, from + 10) of partition 2.
static void add_segment(struct host *h, uint64_t table_id, int64_t from, int64_t newest)
{
	struct mr_segment_column columns[MR_HIDDEN_COUNT + 1];
	struct mr_segment_info info = {.id = mr_segment_store_id(h->control.segments),
		.table_id = table_id,
		.rows = 1,
		.file_bytes = 10000,
		.footer_at = 9000,
		.footer_bytes = 10,
		.footer_raw_bytes = 20,
		.time_min = newest - HOUR,
		.time_max = newest,
		.level = 9,
		.ranges_count = 1};
	struct mr_segment *s;

	info.fingerprint = mr_segment_fingerprint(
		columns, mr_table_segment_columns(h->tables[table_id - 1], MR_PIECE_ROWS, columns));
	info.ranges = malloc(sizeof(*info.ranges));
	*info.ranges = (struct mr_offset_range){2, from, from + 10};
	assert_int_equal(mr_segment_store_commit(h->control.segments, &info, NULL, 0, &s), 0);
	atomic_store(&s->placed, true);
	mr_segment_put(s);
}

static struct mr_table *make_table(struct host *h, uint64_t id, int64_t ttl_us)
{
	struct mr_table_def *def = mr_table_def_create(1, 0);
	struct mr_offset_range *expired;
	struct mr_segment **list;
	int n = mr_segment_store_list(h->control.segments, id, &list);
	int e = mr_segment_store_expired(h->control.segments, id, &expired);
	const struct mr_table_setup setup = {.parts_count = 1,
		.pools = &h->pool,
		.chunk_bytes_max = 1 << 20,
		.segments = list,
		.segments_count = (uint32_t)n,
		.expired = expired,
		.expired_count = (uint32_t)e};
	struct mr_table *t;

	def->id = id;
	strcpy(def->name, id == 1 ? "one" : "two");
	def->options = (struct mr_table_options){.ttl_us = ttl_us, .watermark_column = -1};
	strcpy(def->columns[0].name, "a");
	def->columns[0].type.type = MR_TYPE_INT8;
	assert_int_equal(mr_table_create(def, &h->topic, &setup, &t), 0);
	mr_table_def_put(def);
	for (int i = 0; i < n; i++)
		mr_segment_put(list[i]);
	free(list);
	free(expired);
	return t;
}

static void host_open(struct host *h)
{
	struct mr_manifest_options mo = {.disk = &h->sim.disk, .file_bytes = 64 << 10};
	struct mr_control *c = &h->control;
	struct mr_diag diag;

	memset(h, 0, sizeof(*h));
	mr_io_sim_init(&h->sim, &(struct mr_io_sim_options){.seed = 1});
	assert_int_equal(mr_dir_init(&h->sim.disk, &diag), 0);
	h->clock.clock = (struct mr_clock){now_ns, wall_us};
	atomic_init(&h->clock.wall_us, NOW);
	mr_config_init(&h->config);
	*c = (struct mr_control){
		.config = &h->config, .clock = &h->clock.clock, .disk = &h->sim.disk};
	pthread_mutex_init(&c->snapshot_lock, NULL);
	assert_int_equal(mr_manifest_create(&c->manifest, &mo), 0);
	assert_int_equal(mr_segment_store_create(c->disk, c->manifest, &c->segments), 0);
	assert_int_equal(mr_manifest_open(c->manifest, &diag), 0);
	assert_int_equal(mr_segment_store_clean(c->segments), 0);
	assert_int_equal(mr_chunk_pool_create(16 << 20, -1, &h->pool), 0);
	atomic_init(&h->topic.references, 1 << 20); // the test's own memory
	h->topic.topic.partitions = 4;
	h->tables[0] = make_table(h, 1, 24 * HOUR);
	h->tables[1] = make_table(h, 2, 0);
	// Outlives all readers.
	atomic_init(&h->snapshot.references, 1 << 20);
	h->snapshot.tables = h->tables;
	h->snapshot.tables_count = 2;
	c->snapshot = &h->snapshot;
	assert_int_equal(mr_merge_create(c, &c->merge), 0);
}

static void host_close(struct host *h)
{
	mr_merge_stop(h->control.merge);
	mr_merge_destroy(h->control.merge);
	for (int i = 0; i < 2; i++)
		mr_table_put(h->tables[i]);
	mr_chunk_pool_destroy(h->pool);
	mr_segment_store_destroy(h->control.segments);
	mr_manifest_destroy(h->control.manifest);
	pthread_mutex_destroy(&h->control.snapshot_lock);
	mr_io_sim_fini(&h->sim);
}

static int count(struct host *h, uint64_t table_id)
{
	struct mr_segment **list;
	int n = mr_segment_store_list(h->control.segments, table_id, &list);

	for (int i = 0; i < n; i++)
		mr_segment_put(list[i]);
	free(list);
	return n;
}

// Waits for the thread to do what it has to: at most a minute.
static void wait_for(struct host *h, uint64_t expired)
{
	const struct timespec pause = {0, 5000000};
	const struct mr_merge_stats *s = mr_merge_stats(h->control.merge);

	for (int i = 0; i < 12000 && atomic_load(&s->expired_segments) < expired; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(atomic_load(&s->expired_segments), expired);
}

static void segments_go_when_the_clock_passes_their_ttl(void **)
{
	struct mr_offset_range *ranges;
	struct mr_table *again;
	struct host h;

	host_open(&h);
	add_segment(&h, 1, 0, NOW - 24 * HOUR - 1);
	add_segment(&h, 1, 10, NOW - 12 * HOUR);
	add_segment(&h, 1, 20, NOW - 24 * HOUR - HOUR);
	add_segment(&h, 1, 30, NOW);
	add_segment(&h, 2, 0, NOW - 1000 * HOUR);
	assert_int_equal(mr_merge_start(h.control.merge), 0);
	wait_for(&h, 2);
	assert_int_equal(count(&h, 1), 2);
	// Exactly as old as the ttl: not yet.
	atomic_store(&h.clock.wall_us, NOW + 12 * HOUR);
	nanosleep(&(struct timespec){1, 200000000}, NULL);
	wait_for(&h, 2);
	atomic_store(&h.clock.wall_us, NOW + 12 * HOUR + 1);
	wait_for(&h, 3);
	atomic_store(&h.clock.wall_us, NOW + 100 * HOUR);
	wait_for(&h, 4);
	assert_int_equal(count(&h, 1), 0);
	assert_int_equal(atomic_load(&mr_merge_stats(h.control.merge)->expired_rows), 4);
	// The table without a ttl keeps its rows for ever.
	assert_int_equal(count(&h, 2), 1);
	// A start goes on behind what expired.
	assert_int_equal(mr_segment_store_expired(h.control.segments, 1, &ranges), 1);
	assert_int_equal(ranges[0].to, 40);
	free(ranges);
	again = make_table(&h, 1, 24 * HOUR);
	assert_int_equal(mr_table_held(again, 2), 40);
	assert_int_equal(mr_table_held(again, 1), 0);
	mr_table_put(again);
	host_close(&h);
}

// What a start finds in the middle of what expired is not what the log is read from.
static void what_is_held_is_the_furthest(void **)
{
	struct mr_table *again;
	struct host h;

	host_open(&h);
	add_segment(&h, 1, 0, NOW);
	add_segment(&h, 1, 10, NOW - 48 * HOUR);
	add_segment(&h, 1, 20, NOW);
	assert_int_equal(mr_merge_start(h.control.merge), 0);
	wait_for(&h, 1);
	again = make_table(&h, 1, 24 * HOUR);
	assert_int_equal(mr_table_held(again, 2), 30);
	mr_table_put(again);
	host_close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_go_when_the_clock_passes_their_ttl),
		cmocka_unit_test(what_is_held_is_the_furthest),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
