// Checkpoints and their recovery, on the simulated disk: what a worker writes is what the next
// start reads, also when the newest checkpoint is not whole.
#include "host/partition_state.h"

#include "dataplane/batch_build.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 1 << 20, PARTITIONS = 3, DAY_MS = 86400000, NOW_MS = 2000000000 };

static const struct mr_uuid topic = {{3}};

struct rig {
	struct mr_io_sim sim;
	struct mr_manifest *manifest;
	struct mr_log_store *store;
	struct mr_log *log;
	uint32_t ref[PARTITIONS];
	int64_t next[PARTITIONS];
	struct mr_producers *producers[PARTITIONS];
	uint32_t write_max; // partitions that a checkpoint really writes
	struct mr_diag diag;
};

static void checkpoint(void *ctx, struct mr_log *log)
{
	struct rig *g = ctx;
	struct mr_log_record *r;
	struct mr_buf b = {0};

	for (uint32_t i = 0; i < PARTITIONS && i < g->write_max; i++) {
		mr_buf_reset(&b);
		mr_partition_state_save(&b, topic, i, 0, g->next[i], g->producers[i]);
		assert_int_equal(
			mr_log_reserve(log, MR_LOG_CHECKPOINT, (uint32_t)b.bytes, 0, &r), 0);
		memcpy(mr_log_payload(r), b.data, b.bytes);
		mr_log_commit(log);
	}
	assert_int_equal(
		mr_log_reserve(log, MR_LOG_CHECKPOINT_END, MR_CHECKPOINT_END_BYTES, 0, &r), 0);
	mr_checkpoint_end_save(mr_log_payload(r), PARTITIONS);
	mr_log_commit(log);
	mr_buf_fini(&b);
}

static uint64_t checkpoint_bytes(void *)
{
	return 4096;
}

static void open_store(struct rig *g)
{
	static const struct mr_log_type_known types[] = {
		{MR_LOG_CHECKPOINT, 1}, {MR_LOG_CHECKPOINT_END, 0}};
	struct mr_manifest_options mo = {.disk = &g->sim.disk, .file_bytes = 1 << 20};
	struct mr_log_store_options so = {.disk = &g->sim.disk,
		.clock = &mr_clock_system,
		.file_bytes = FILE_BYTES,
		.bytes_free_min = 1 << 20,
		.seed = 9,
		.types = types,
		.type_count = MR_COUNT_OF(types)};

	g->sim.locked = false;
	assert_int_equal(mr_dir_init(&g->sim.disk, &g->diag), 0);
	assert_int_equal(mr_manifest_create(&g->manifest, &mo), 0);
	so.manifest = g->manifest;
	assert_int_equal(mr_log_store_create(&g->store, &so), 0);
	assert_int_equal(mr_manifest_open(g->manifest, &g->diag), 0);
	assert_int_equal(mr_log_store_recover(g->store, &g->diag), 0);
}

static void close_store(struct rig *g)
{
	if (g->log)
		assert_int_equal(mr_log_close(g->log), 0);
	g->log = NULL;
	mr_log_store_destroy(g->store);
	mr_manifest_destroy(g->manifest);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	mr_io_sim_init(&g->sim, &(struct mr_io_sim_options){.seed = 4, .capacity_bytes = 64 << 20});
	g->write_max = PARTITIONS;
	for (int i = 0; i < PARTITIONS; i++)
		assert_int_equal(mr_producers_create(100, DAY_MS, &g->producers[i]), 0);
	open_store(g);
	assert_int_equal(mr_log_open(&g->log, g->store,
				 &(struct mr_log_options){.io = &g->sim.io,
					 .ring_bytes = 4 << 20,
					 .events = {.ctx = g,
						 .checkpoint_bytes = checkpoint_bytes,
						 .checkpoint = checkpoint}}),
		0);
	for (int i = 0; i < PARTITIONS; i++)
		assert_int_equal(mr_log_bind(g->log, topic, i, &g->ref[i]), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	close_store(g);
	for (int i = 0; i < PARTITIONS; i++)
		mr_producers_destroy(g->producers[i]);
	mr_io_sim_fini(&g->sim);
	free(g);
	return 0;
}

static void turn(struct rig *g)
{
	mr_log_flush(g->log);
	while (mr_log_store_work(g->store) > 0)
		;
	if (g->sim.io.in_flight)
		assert_true(mr_io_wait(&g->sim.io) >= 0);
}

// One batch of one record by producer 10 + partition, as a worker would append it.
static void append(struct rig *g, int partition, int64_t timestamp_ms, uint32_t value_bytes)
{
	struct mr_producer_batch pb = {10 + partition, 0, (int32_t)g->next[partition], 1};
	struct mr_batch_producer bp = {pb.producer_id, pb.epoch, pb.base_sequence};
	uint8_t *value = calloc(1, value_bytes);
	struct mr_batch_builder b;
	struct mr_buf batch = {0};
	struct mr_log_record *r;
	int rc = -EAGAIN;

	mr_batch_builder_init(&b, 0);
	assert_true(mr_batch_builder_add(
		&b, timestamp_ms, (struct mr_span){NULL, 0}, mr_span(value, value_bytes), NULL, 0));
	assert_int_equal(mr_batch_builder_finish(&b, NULL, MR_CODEC_NONE, bp, &batch), 0);
	for (int i = 0; rc == -EAGAIN && i < 1000; i++) {
		rc = mr_log_reserve(g->log, MR_LOG_BATCH, (uint32_t)batch.bytes, 0, &r);
		if (rc == -EAGAIN)
			turn(g);
	}
	assert_int_equal(rc, 0);
	memcpy(mr_log_payload(r), batch.data, batch.bytes);
	mr_batch_patch(mr_log_payload(r), g->next[partition], 0);
	r->partition_ref = g->ref[partition];
	r->base_offset = g->next[partition]++;
	r->offset_count = 1;
	r->max_timestamp_ms = timestamp_ms;
	mr_log_commit(g->log);
	assert_int_equal(
		mr_producers_commit(g->producers[partition], &pb, r->base_offset, NOW_MS), 0);
	mr_batch_builder_fini(&b);
	mr_buf_fini(&batch);
	free(value);
}

static void fill_a_file(struct rig *g)
{
	uint64_t rolls = mr_log_stats(g->log)->rolls;

	while (mr_log_stats(g->log)->rolls == rolls) {
		append(g, 0, NOW_MS, 20000);
		turn(g);
	}
}

static void settle(struct rig *g)
{
	while (mr_log_durable(g->log) < mr_log_head(g->log))
		turn(g);
}

// Starts again and expects every partition where it was, with its last batch known as a repeat.
static void expect_recovered(struct rig *g)
{
	struct mr_recovered *r;

	close_store(g);
	open_store(g);
	assert_int_equal(mr_recover(g->store, 100, DAY_MS, NOW_MS, &r, &g->diag), 0);
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		struct mr_partition_state *s = mr_recovered_take(r, topic, i);
		struct mr_producer_batch last = {10 + i, 0, (int32_t)g->next[i] - 1, 1};
		int64_t original = -1;

		assert_non_null(s);
		assert_int_equal(s->next_offset, g->next[i]);
		mr_producers_expire(s->producers, NOW_MS);
		assert_int_equal(mr_producers_check(s->producers, &last, NOW_MS, &original), 0);
		assert_int_equal(original, g->next[i] - 1);
		assert_null(mr_recovered_take(r, topic, i));
		mr_partition_state_destroy(s);
	}
	mr_recovered_destroy(r);
}

static void batches_behind_the_checkpoint_count(void **state)
{
	struct rig *g = *state;

	for (int i = 0; i < 10; i++)
		append(g, i % PARTITIONS, NOW_MS, 100);
	expect_recovered(g);
}

static void the_newest_checkpoint_counts(void **state)
{
	struct rig *g = *state;

	for (int i = 0; i < PARTITIONS; i++)
		append(g, i, NOW_MS, 100);
	fill_a_file(g);
	fill_a_file(g);
	append(g, 1, NOW_MS, 100);
	expect_recovered(g);
}

static void a_checkpoint_without_some_partitions_is_not_trusted(void **state)
{
	struct rig *g = *state;

	for (int i = 0; i < PARTITIONS; i++)
		append(g, i, NOW_MS, 100);
	g->write_max = 1; // as if the others lay in a file that failed
	fill_a_file(g);
	append(g, 1, NOW_MS, 100);
	settle(g);
	expect_recovered(g);
}

static void timestamps_of_records_do_not_age_producers(void **state)
{
	struct rig *g = *state;

	append(g, 0, 0, 100);
	append(g, 1, (int64_t)1 << 50, 100);
	append(g, 2, NOW_MS, 100);
	expect_recovered(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			batches_behind_the_checkpoint_count, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_checkpoint_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_checkpoint_without_some_partitions_is_not_trusted, setup, teardown),
		cmocka_unit_test_setup_teardown(
			timestamps_of_records_do_not_age_producers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
