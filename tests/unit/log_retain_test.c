// Retention as it is by time and by size, together and one by one, and what a stopped log gives
// back.
#include "storage/log_int.h"
#include "tests/lib/log_rig.h"
#include "tests/lib/mr_test.h"

#include <errno.h>

enum { BATCHES = 4000, BYTES_MIN = 200, BYTES_STEP = 97 };

static uint32_t bytes_of(int64_t offset)
{
	return BYTES_MIN + (uint32_t)(offset % 7) * BYTES_STEP;
}

// One batch an offset, of partition 0, with some of partition 1 between; in several files.
static struct rig *filled(uint64_t index_bytes)
{
	struct rig *g = rig_sim(0);

	g->file_bytes = 1 << 19;
	g->index_memory_bytes = index_bytes;
	assert_int_equal(rig_start(g), 0);
	for (int64_t i = 0; i < BATCHES; i++) {
		assert_int_equal(rig_append(g, 0, i, 1, bytes_of(i)), 0);
		if (i % 3 == 0)
			assert_int_equal(rig_append(g, 1, i / 3, 1, 300), 0);
	}
	rig_settle(g);
	assert_true(mr_log_stats(g->log)->rolls >= 4);
	return g;
}

// Passes until nothing changes any more and no index is waited for.
static int64_t retain(struct rig *g, int64_t start, const struct mr_log_retention *r)
{
	int64_t before;

	do {
		before = start;
		start = mr_log_retain(g->log, rig_topic, 0, start, r);
	} while (rig_load(g) == 1 || start != before);
	return start;
}

// The same by what the words say, batch by batch. Files that ended hold offsets below `ended`.
static int64_t wanted(int64_t start, int64_t ended, const struct mr_log_retention *r)
{
	uint64_t bytes = 0;

	for (int64_t i = start; i < ended; i++)
		bytes += bytes_of(i);
	while (start < BATCHES && start < r->limit &&
		(1000 + start < r->before_ms || bytes > r->bytes_max)) {
		bytes -= start < ended ? bytes_of(start) : 0;
		start++;
	}
	return start;
}

static void check_random(uint64_t seed, uint64_t index_bytes)
{
	struct rig *g = filled(index_bytes);
	struct mr_log_extent x;
	struct mr_rand rand;
	int64_t start = 0, ended;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&rand, seed);
	mr_log_store_extent(g->store, rig_topic, 0, &x);
	ended = x.offset_end;
	while (start < BATCHES / 2) {
		const struct mr_log_retention r = {
			.limit = mr_rand_below(&rand, 3)
					 ? BATCHES
					 : start + (int64_t)mr_rand_below(&rand, 900),
			.before_ms = mr_rand_below(&rand, 3)
					     ? 1000 + start + (int64_t)mr_rand_below(&rand, 1200)
					     : INT64_MIN,
			.bytes_max =
				mr_rand_below(&rand, 3)
					? x.bytes - MR_MIN(x.bytes, mr_rand_below(&rand, 400000))
					: UINT64_MAX,
		};
		int64_t want = wanted(start, ended, &r);

		start = retain(g, start, &r);
		assert_int_equal(start, want);
		mr_log_store_extent(g->store, rig_topic, 0, &x);
	}
	rig_stop(g);
	rig_free(g);
}

static void retention_gives_up_what_time_and_size_say_and_no_more(void **)
{
	for (uint64_t seed = 1; seed <= 6; seed++)
		check_random(seed, seed % 2 ? 0 : 1);
}

// What went by time is no reason for more to go by size.
static void files_given_up_by_time_do_not_count_by_size(void **)
{
	struct rig *g = filled(0);
	struct mr_log_retention r = {BATCHES, 1000 + 3000, UINT64_MAX};
	struct mr_log_extent x;

	mr_log_store_extent(g->store, rig_topic, 0, &x);
	r.bytes_max = 0;
	for (int64_t i = 3000; i < x.offset_end; i++)
		r.bytes_max += bytes_of(i);
	assert_int_equal(mr_log_retain(g->log, rig_topic, 0, 0, &r), 3000);
	mr_log_store_extent(g->store, rig_topic, 0, &x);
	assert_int_equal(x.bytes, r.bytes_max);
	rig_stop(g);
	rig_free(g);
}

// Two failures stop a log; what it had written goes as retention says, what it was writing too
// once it is closed, and its next start begins without it.
static void stopped_log_gives_its_files_back(void **)
{
	struct rig *g = filled(0);
	uint64_t log_id = mr_log_id(g->log);
	struct mr_log_store_stats before, after;

	before = mr_log_store_stats(g->store);
	g->sim.fault = (struct mr_io_sim_fault){g->sim.ops + 1, true, -EIO};
	assert_int_equal(rig_append(g, 0, BATCHES, 1, 500), 0);
	while (!mr_log_state(g->log)) {
		mr_log_flush(g->log);
		if (g->io->in_flight)
			assert_true(mr_io_wait(g->io) >= 0);
	}
	assert_int_equal(mr_log_state(g->log), MR_ERR_STOPPED);
	g->sim.fault = (struct mr_io_sim_fault){0};

	mr_log_store_retain_offset(g->store, rig_topic, 0, BATCHES);
	rig_turn(g);
	// The other partition has something in each of them.
	assert_true(mr_log_store_stats(g->store).files >= before.files);
	mr_log_store_retain_offset(g->store, rig_topic, 1, INT64_MAX);
	mr_log_store_retain_lsn(g->store, log_id, UINT64_MAX);
	rig_turn(g);
	after = mr_log_store_stats(g->store);
	// The one that it was writing, the one that it failed in, and those ready for it.
	assert_true(after.files <= 4 && after.files < before.files);
	assert_true(after.files_spare + after.files_removed >= before.files - 4);
	assert_int_equal(after.bytes_live, 0);

	assert_true(mr_log_close(g->log) < 0);
	g->log = NULL;
	mr_log_store_retain_lsn(g->store, log_id, UINT64_MAX);
	while (mr_log_store_work(g->store) > 0)
		;
	after = mr_log_store_stats(g->store);
	assert_int_equal(after.files, 0);
	assert_int_equal(after.logs, 0);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	assert_int_equal(mr_log_store_stats(g->store).logs, 1);
	rig_stop(g);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retention_gives_up_what_time_and_size_say_and_no_more),
		cmocka_unit_test(files_given_up_by_time_do_not_count_by_size),
		cmocka_unit_test(stopped_log_gives_its_files_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
