// Runs in the manifest: a start knows what there is without reading where each batch is, and reads
// that of directories which do not have them.
#include "storage/log_int.h"
#include "tests/lib/log_rig.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>

enum { BATCHES = 6000, BATCH_BYTES = 256, STEP = 3, PARTITIONS = 4 };

static void fill(struct rig *g)
{
	for (int i = 0; i < BATCHES; i++)
		assert_int_equal(rig_append(g, i % PARTITIONS, (int64_t)(i / PARTITIONS) * STEP,
					 STEP, BATCH_BYTES),
			0);
	rig_settle(g);
	rig_turn(g);
}

static struct rig *filled(void)
{
	struct rig *g = rig_real(true);

	g->file_bytes = 1 << 19;
	assert_int_equal(rig_start(g), 0);
	fill(g);
	return g;
}

static void check_whole(struct rig *g)
{
	for (int p = 0; p < PARTITIONS; p++) {
		struct mr_log_extent x;

		mr_log_store_extent(g->store, rig_topic, p, &x);
		assert_int_equal(x.offset_first, 0);
		assert_int_equal(x.offset_end, BATCHES / PARTITIONS * STEP);
		assert_int_equal(x.batches, BATCHES / PARTITIONS);
		assert_int_equal(x.bytes, BATCHES / PARTITIONS * BATCH_BYTES);
		assert_int_equal(x.max_timestamp_ms, 1000 + x.offset_end - STEP);
	}
}

static void check_found(struct rig *g)
{
	for (int64_t i = 0; i < BATCHES / PARTITIONS; i += 61) {
		struct mr_log_entry e;

		assert_int_equal(rig_find(g, (int)(i % PARTITIONS), i * STEP + 1, &e), 0);
		assert_int_equal(e.base_offset, i * STEP);
		assert_int_equal(rig_read_back(g, &e, (int)(i % PARTITIONS)), 0);
	}
}

// Damages the INDEX frames of every file.
static void damage_indexes(struct rig *g)
{
	for (size_t i = 0; i < g->store->files.count; i++) {
		const struct mr_log_file *f = mr_log_at_file(&g->store->files, i);
		uint8_t byte = 0x5a;
		char path[128];
		FILE *file;

		if (f->state != MR_LOG_FILE_SEALED)
			continue;
		snprintf(path, sizeof(path), "%s/log/%016llx.mlog", g->path,
			(unsigned long long)f->id);
		file = fopen(path, "r+");
		assert_non_null(file);
		assert_int_equal(
			fseek(file, (long)mr_log_file_offset(f, f->index_lsn) + 200, SEEK_SET), 0);
		assert_int_equal(fwrite(&byte, 1, 1, file), 1);
		fclose(file);
	}
}

static void start_does_not_read_where_batches_are(void **)
{
	struct rig *g = filled();
	struct mr_log_store_stats st;

	damage_indexes(g);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	st = mr_log_store_stats(g->store);
	assert_true(st.files > 4 && st.runs_bytes > 4 * 72);
	assert_int_equal(st.index_starts, 0);
	assert_int_equal(st.index_bytes, 0);
	check_whole(g);
	// Whoever looks finds all of it; here by the frames themselves.
	check_found(g);
	assert_true(mr_log_store_stats(g->store).index_scans > 2);
	rig_stop(g);
	rig_free(g);
}

// A program before these records writes exactly what one does that may not save any.
static void older_directory_opens_and_gets_its_runs(void **)
{
	struct rig *g = rig_real(true);
	struct mr_log_store_stats st;

	g->file_bytes = 1 << 19;
	assert_int_equal(rig_start(g), 0);
	g->store->runs_bytes = MR_LOG_RUNS_BYTES;
	fill(g);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	st = mr_log_store_stats(g->store);
	assert_true(st.index_starts > 4);
	assert_int_equal(st.runs_bytes, 0);
	check_whole(g);
	check_found(g);
	rig_turn(g);
	st = mr_log_store_stats(g->store);
	assert_true(st.runs_bytes > 4 * 72);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	assert_int_equal(mr_log_store_stats(g->store).index_starts, 0);
	check_whole(g);
	check_found(g);
	rig_stop(g);
	rig_free(g);
}

static void runs_in_the_manifest_stay_within_their_limit(void **)
{
	struct rig *g = rig_real(true);
	struct mr_log_store_stats st;
	uint64_t pretended = MR_LOG_RUNS_BYTES - 1000;

	g->file_bytes = 1 << 19;
	assert_int_equal(rig_start(g), 0);
	g->store->runs_bytes = pretended;
	fill(g);
	st = mr_log_store_stats(g->store);
	assert_true(st.runs_bytes > pretended && st.runs_bytes <= MR_LOG_RUNS_BYTES);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	st = mr_log_store_stats(g->store);
	assert_true(st.index_starts > 0 && st.runs_bytes > 0);
	check_whole(g);
	check_found(g);
	rig_stop(g);
	rig_free(g);
}

static void files_go_by_their_runs_alone(void **)
{
	struct rig *g = filled();
	uint64_t log_id = mr_log_id(g->log), before;
	struct mr_log_entry e;

	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	before = mr_log_store_stats(g->store).runs_bytes;
	mr_log_store_retain_lsn(g->store, log_id, UINT64_MAX);
	for (int p = 0; p < PARTITIONS; p++)
		mr_log_store_retain_offset(
			g->store, rig_topic, p, BATCHES / PARTITIONS / 2 * STEP + 1);
	rig_turn(g);
	assert_true(mr_log_store_stats(g->store).runs_bytes < before);
	assert_int_equal(mr_log_store_stats(g->store).index_loads, 0);
	assert_int_equal(rig_find(g, 2, BATCHES / PARTITIONS / 2 * STEP + 1, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 2), 0);
	for (int p = 0; p < PARTITIONS; p++)
		mr_log_store_retain_offset(g->store, rig_topic, p, INT64_MAX);
	rig_turn(g);
	assert_int_equal(mr_log_store_stats(g->store).runs_bytes, 0);
	assert_int_equal(mr_log_store_stats(g->store).logs, 1);
	rig_stop(g);
	rig_free(g);
}

// A store of which nothing but the manifest has been read.
static void changed_record_is_refused_or_harmless(void **)
{
	struct rig *g = rig_sim(0);
	struct mr_log_file *f;
	struct mr_buf good = {0};
	struct mr_log_extent before, after;
	struct mr_rand rand;
	int refused = 0;

	print_message("seed 3\n");
	mr_rand_init(&rand, 3);
	g->file_bytes = 1 << 19;
	assert_int_equal(rig_start(g), 0);
	fill(g);
	mr_log_store_extent(g->store, rig_topic, 1, &before);
	f = mr_log_at_file(&g->store->files, 0);
	mr_log_runs_save(g->store, f, &good);
	// Out of the histories, as it is before a start has come to it.
	mr_log_runs_remove(g->store, f);
	mr_log_index_drop(g->store, f);
	f->indexed = false;
	for (int i = 0; i < 5000; i++) {
		struct mr_buf b = {0};
		int rc;

		mr_log_runs_forget(g->store, f);
		f->runs_saved = false;
		f->bytes_live = 0;
		mr_log_file_index_free(f);
		mr_buf_add(&b, good.data, good.bytes - (i % 5 ? 0 : mr_rand_below(&rand, 90)));
		for (int k = 0; i && k < 3; k++)
			b.data[8 + mr_rand_below(&rand, b.bytes - 8)] = (uint8_t)mr_rand_u64(&rand);
		rc = mr_log_runs_load(g->store, mr_buf_span(&b));
		assert_true(rc == 0 || rc == MR_ERR_CORRUPT);
		assert_true(rc == 0 || (!f->runs && !f->runs_saved && !f->bytes_live));
		refused += rc != 0;
		mr_buf_fini(&b);
	}
	assert_true(refused > 1000);
	mr_log_runs_forget(g->store, f);
	f->runs_saved = false;
	f->bytes_live = 0;
	mr_log_file_index_free(f);
	assert_int_equal(mr_log_runs_load(g->store, mr_buf_span(&good)), 0);
	// Once is enough.
	assert_int_equal(mr_log_runs_load(g->store, mr_buf_span(&good)), MR_ERR_CORRUPT);
	assert_int_equal(mr_log_runs_room(g->store, f), 0);
	mr_log_runs_add(g->store, f);
	mr_log_store_extent(g->store, rig_topic, 1, &after);
	assert_memory_equal(&after, &before, sizeof(after));
	mr_buf_fini(&good);
	rig_stop(g);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_does_not_read_where_batches_are),
		cmocka_unit_test(older_directory_opens_and_gets_its_runs),
		cmocka_unit_test(runs_in_the_manifest_stay_within_their_limit),
		cmocka_unit_test(files_go_by_their_runs_alone),
		cmocka_unit_test(changed_record_is_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
