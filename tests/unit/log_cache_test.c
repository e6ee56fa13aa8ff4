// The bounded index of ended files: what is found does not depend on how much of it is in memory.
#include "storage/log_int.h"
#include "tests/lib/log_rig.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>

enum { BATCHES = 12000, BATCH_BYTES = 256, STEP = 3, INDEX_BYTES = 256 << 10 };

// A file of rows for each of four partitions, in several files.
static struct rig *filled(uint64_t index_bytes)
{
	struct rig *g = rig_sim(0);

	g->file_bytes = 1 << 19;
	g->index_memory_bytes = index_bytes;
	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < BATCHES; i++)
		assert_int_equal(
			rig_append(g, i % 4, (int64_t)(i / 4) * STEP, STEP, BATCH_BYTES), 0);
	rig_settle(g);
	return g;
}

static int find(struct rig *g, int partition, int64_t offset, bool by_time, struct mr_log_entry *e)
{
	int rc = by_time ? rig_find_time(g, partition, 0, 1000 + offset, e)
			 : rig_find(g, partition, offset, e);

	if (g->index_memory_bytes)
		assert_true(mr_log_store_stats(g->store).index_bytes <= INDEX_BYTES);
	return rc;
}

static void check_random(struct rig *g, uint64_t seed, int count)
{
	struct mr_rand rand;

	mr_rand_init(&rand, seed);
	for (int i = 0; i < count; i++) {
		int p = (int)(mr_rand_u64(&rand) % 4);
		int64_t offset = (int64_t)(mr_rand_u64(&rand) % (BATCHES / 4 * STEP));
		bool by_time = mr_rand_u64(&rand) % 2;
		int64_t want = by_time ? (offset + STEP - 1) / STEP * STEP : offset / STEP * STEP;
		struct mr_log_entry e;
		int rc = find(g, p, offset, by_time, &e);

		if (want >= (int64_t)BATCHES / 4 * STEP) {
			assert_int_equal(rc, -ENOENT);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(e.base_offset, want);
		if (i % 8 == 0)
			assert_int_equal(rig_read_back(g, &e, p), 0);
	}
}

static void index_memory_stays_within_its_limit_and_finds_the_same(void **)
{
	const uint64_t seed = 11;
	struct rig *g = filled(INDEX_BYTES);
	struct mr_log_store_stats st;

	print_message("seed %llu\n", (unsigned long long)seed);
	assert_true(mr_log_store_stats(g->store).index_bytes <= INDEX_BYTES);
	check_random(g, seed, 300);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	assert_true(mr_log_store_stats(g->store).index_bytes <= INDEX_BYTES);
	check_random(g, seed + 1, 300);
	st = mr_log_store_stats(g->store);
	assert_true(st.files > 7 && st.index_loads > 20 && st.index_evictions > 20);
	assert_int_equal(st.index_failures, 0);
	rig_stop(g);
	rig_free(g);
}

static void index_without_pressure_is_read_once_in_a_life(void **)
{
	struct rig *g = filled(0);

	check_random(g, 3, 300);
	assert_int_equal(mr_log_store_stats(g->store).index_loads, 0);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	assert_int_equal(mr_log_store_stats(g->store).index_bytes, 0);
	check_random(g, 4, 300);
	check_random(g, 5, 300);
	assert_true(mr_log_store_stats(g->store).index_loads <= mr_log_store_stats(g->store).files);
	assert_int_equal(mr_log_store_stats(g->store).index_evictions, 0);
	rig_stop(g);
	rig_free(g);
}

// A limit too small for anything: one file at a time all the same.
static void one_file_is_always_loaded(void **)
{
	struct rig *g = filled(1);
	struct mr_log_entry e;

	for (int64_t i = 0; i < BATCHES / 4; i += 400) {
		assert_int_equal(rig_find(g, 1, i * STEP, &e), 0);
		assert_int_equal(e.base_offset, i * STEP);
	}
	rig_stop(g);
	rig_free(g);
}

static void retention_counts_what_is_alive_when_the_index_comes(void **)
{
	struct rig *g = filled(1);
	struct mr_log_extent before, after;
	struct mr_log_entry e;
	const int64_t half = BATCHES / 8 * STEP;

	mr_log_store_extent(g->store, rig_topic, 2, &before);
	mr_log_store_retain_offset(g->store, rig_topic, 2, half);
	assert_int_equal(rig_find(g, 2, half, &e), 0);
	mr_log_store_extent(g->store, rig_topic, 2, &after);
	assert_int_equal(before.bytes - after.bytes, (uint64_t)(half / STEP) * BATCH_BYTES);
	mr_log_store_retain_offset(g->store, rig_topic, 2, INT64_MAX);
	mr_log_store_extent(g->store, rig_topic, 2, &after);
	assert_int_equal(after.bytes, 0);
	rig_stop(g);
	rig_free(g);
}

// Batches of a byte: files end early, and what says where they lie stays within what is said.
static void places_of_small_batches_stay_within_their_limit_while_written(void **)
{
	struct rig *g = rig_sim(0);
	uint64_t most = 0, limit, ring = 4 << 20;
	struct mr_log_entry e;

	g->file_bytes = 4 << 20;
	g->ring_bytes = ring;
	limit = mr_log_active_bytes_max(g->file_bytes, ring);
	assert_int_equal(rig_start(g), 0);
	for (int64_t i = 0; i < 120000; i++) {
		assert_int_equal(rig_append(g, 1, i, 1, 1), 0);
		// Look-ups make lists, which count as well.
		if (i % 4096 == 0)
			assert_int_equal(mr_log_find(g->log, rig_topic, 1, i, &e), 0);
		most = MR_MAX(most, mr_log_index_bytes(g->log));
	}
	assert_true(mr_log_stats(g->log)->rolls >= 4);
	// And the copy that is sorted when a file ends.
	most += mr_log_index_limit(g->file_bytes, ring);
	print_message("%llu of %llu\n", (unsigned long long)most, (unsigned long long)limit);
	assert_true(most <= limit && most > limit / 4);
	rig_stop(g);
	rig_free(g);
}

// Damages a page of a file on the disk.
static void damage(struct rig *g, const struct mr_log_file *f, uint64_t offset)
{
	char path[128];
	uint8_t byte = 0x5a;
	FILE *file;

	snprintf(path, sizeof(path), "%s/log/%016llx.mlog", g->path, (unsigned long long)f->id);
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, (long)offset + 200, SEEK_SET), 0);
	assert_int_equal(fwrite(&byte, 1, 1, file), 1);
	fclose(file);
}

static void damaged_index_is_replaced_by_the_frames_or_said(void **)
{
	struct rig *g = rig_real(true);
	const struct mr_log_file *f;
	struct mr_log_entry e;

	g->file_bytes = 1 << 19;
	g->index_memory_bytes = 1;
	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < BATCHES / 4; i++)
		assert_int_equal(
			rig_append(g, i % 4, (int64_t)(i / 4) * STEP, STEP, BATCH_BYTES), 0);
	rig_settle(g);
	f = mr_log_at_file(&g->store->files, 0);
	assert_true(f->state == MR_LOG_FILE_SEALED && !f->entries);
	damage(g, f, mr_log_file_offset(f, f->index_lsn));
	assert_int_equal(rig_find(g, 0, 7, &e), 0);
	assert_int_equal(e.base_offset, 6);
	assert_int_equal(rig_read_back(g, &e, 0), 0);
	assert_int_equal(mr_log_store_stats(g->store).index_scans, 1);
	// Now that neither can be read.
	f = mr_log_at_file(&g->store->files, 1);
	damage(g, f, mr_log_file_offset(f, f->index_lsn));
	damage(g, f, MR_LOG_HEAD_BYTES);
	assert_int_equal(rig_find(g, 0, f->runs[0].offset_first, &e), MR_ERR_CORRUPT);
	assert_int_equal(mr_log_store_stats(g->store).index_failures, 1);
	rig_stop(g);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index_memory_stays_within_its_limit_and_finds_the_same),
		cmocka_unit_test(index_without_pressure_is_read_once_in_a_life),
		cmocka_unit_test(one_file_is_always_loaded),
		cmocka_unit_test(retention_counts_what_is_alive_when_the_index_comes),
		cmocka_unit_test(places_of_small_batches_stay_within_their_limit_while_written),
		cmocka_unit_test(damaged_index_is_replaced_by_the_frames_or_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
