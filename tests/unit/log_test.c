// The log and its store: on real files with both queues, and on the simulated disk where a full
// disk or a crash is wanted.
#include "tests/lib/log_rig.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void keeps_and_finds(bool plain)
{
	enum { BATCHES = 600, STEP = 3 };
	struct rig *g = rig_real(plain);
	struct mr_log_entry e;
	struct mr_log_extent x;

	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < BATCHES; i++) {
		assert_int_equal(rig_append(g, i % 4, i / 4 * STEP, STEP, 9000 + (uint32_t)i), 0);
		if (i % 10 == 0)
			rig_turn(g);
	}
	rig_settle(g);
	assert_true(g->durable == mr_log_head(g->log));
	assert_true(mr_log_stats(g->log)->rolls >= 4);
	for (int i = 0; i < BATCHES; i += 37) {
		assert_int_equal(rig_find(g, i % 4, i / 4 * STEP + 1, &e), 0);
		assert_true(e.base_offset == i / 4 * STEP);
		assert_non_null(mr_log_hot(g->log, e.lsn, mr_log_record_bytes(e.bytes)));
		assert_int_equal(rig_read_back(g, &e, i % 4), 0);
	}
	assert_int_equal(rig_find(g, 0, BATCHES * STEP, &e), -ENOENT);
	rig_stop(g);

	// A second start: everything is found through the store, by offset and by time.
	assert_int_equal(rig_start(g), 0);
	mr_log_store_extent(g->store, rig_topic, 1, &x);
	assert_true(x.offset_first == 0 && x.offset_end == BATCHES / 4 * STEP);
	assert_int_equal(x.batches, BATCHES / 4);
	for (int i = 0; i < BATCHES; i += 41) {
		assert_int_equal(rig_find(g, i % 4, i / 4 * STEP + 2, &e), 0);
		assert_true(e.base_offset == i / 4 * STEP);
		assert_int_equal(rig_read_back(g, &e, i % 4), 0);
		assert_int_equal(rig_find_time(g, i % 4, 0, 1000 + i / 4 * STEP, &e), 0);
		assert_true(e.base_offset == i / 4 * STEP);
	}
	assert_int_equal(mr_log_store_find(g->store, (struct mr_uuid){{8}}, 0, 0, &e), -ENOENT);
	rig_stop(g);
	rig_free(g);
}

// Looks everything up between appends: in the file being written, in ended ones, across the roll.
static void log_finds_by_offset_and_time_while_it_is_written(void **)
{
	struct rig *g = rig_sim(64 << 20);
	struct mr_log_entry e;

	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 300; i++) {
		int64_t offset = i / 4 * 2;

		assert_int_equal(rig_append(g, i % 4, offset, 2, 9000), 0);
		for (int64_t at = offset + 1; at >= 0; at -= 1 + at / 3) {
			assert_int_equal(rig_find(g, i % 4, at, &e), 0);
			assert_true(e.base_offset == at / 2 * 2);
			// Batches that end at or below the offset do not count, though old enough.
			assert_int_equal(rig_find_time(g, i % 4, at, 1000, &e), 0);
			assert_true(e.base_offset == at / 2 * 2);
			assert_int_equal(rig_find_time(g, i % 4, 0, 1000 + at / 2 * 2, &e), 0);
			assert_true(e.base_offset == at / 2 * 2);
		}
		assert_int_equal(rig_find(g, i % 4, offset + 2, &e), -ENOENT);
		if (i % 10 == 0)
			rig_turn(g);
	}
	assert_true(mr_log_stats(g->log)->rolls >= 2);
	rig_stop(g);
	rig_free(g);
}

static void store_skips_whole_files_of_old_batches(void **)
{
	struct rig *g = rig_sim(64 << 20);
	int64_t end = 0, skipped;

	assert_int_equal(rig_start(g), 0);
	for (int64_t rolls = 0; rolls < 3; rolls = (int64_t)mr_log_stats(g->log)->rolls) {
		assert_int_equal(rig_append(g, 0, end++, 1, 9000), 0);
		rig_turn(g);
	}
	rig_settle(g);
	assert_int_equal(mr_log_store_skip_old(g->store, rig_topic, 0, 0, end, 1000), 0);
	assert_int_equal(mr_log_store_skip_old(g->store, rig_topic, 0, 0, 10, INT64_MAX), 0);
	skipped = mr_log_store_skip_old(g->store, rig_topic, 0, 0, end, INT64_MAX);
	assert_true(skipped > end / 2 && skipped < end);
	assert_true(
		mr_log_store_skip_old(g->store, rig_topic, 0, 0, end, 1000 + end / 2) < skipped);
	assert_int_equal(
		mr_log_store_skip_old(g->store, rig_topic, 0, skipped, end, INT64_MAX), skipped);
	rig_stop(g);
	rig_free(g);
}

static void log_keeps_and_finds_batches_with_plain_calls(void **)
{
	keeps_and_finds(true);
}

static void log_keeps_and_finds_batches_on_the_ring(void **)
{
	if (mr_uring_probe())
		skip();
	keeps_and_finds(false);
}

static void log_takes_records_of_16_mib_and_refuses_larger(void **)
{
	struct rig *g = rig_real(true);
	struct mr_log_record *r;
	struct mr_log_entry e;

	g->file_bytes = 40 << 20;
	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_append(g, 0, i, 1, 16 << 20), 0);
	rig_settle(g);
	assert_int_equal(mr_log_reserve(g->log, MR_LOG_BATCH, 17 << 20, 0, &r), -EMSGSIZE);
	assert_int_equal(rig_find(g, 0, 1, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 0), 0);
	rig_stop(g);
	g->file_bytes = RIG_FILE_BYTES;
	assert_int_equal(rig_start(g), 0);
	assert_int_equal(rig_append(g, 0, 3, 1, 2 << 20), -EMSGSIZE);
	assert_int_equal(rig_find(g, 0, 2, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 0), 0);
	rig_stop(g);
	rig_free(g);
}

static void log_ring_pushes_back_and_loses_nothing(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_record *r;
	int rc = 0;

	g->file_bytes = 128 << 20;
	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 200 && !rc; i++) {
		rc = mr_log_reserve(g->log, MR_LOG_BATCH, 1 << 20, 0, &r);
		if (rc)
			break;
		r->partition_ref = g->ref[0];
		r->base_offset = i;
		r->offset_count = 1;
		mr_log_commit(g->log);
	}
	assert_int_equal(rc, -EAGAIN);
	assert_true(mr_log_stats(g->log)->ring_full == 1);
	rig_settle(g);
	// What decoding still needs is not overwritten either.
	mr_log_keep(g->log, mr_log_tail(g->log));
	assert_int_equal(mr_log_reserve(g->log, MR_LOG_BATCH, 8 << 20, 0, &r), -EAGAIN);
	mr_log_keep(g->log, UINT64_MAX);
	assert_int_equal(mr_log_reserve(g->log, MR_LOG_BATCH, 8 << 20, 0, &r), 0);
	mr_log_abort(g->log);
	rig_stop(g);
	rig_free(g);
}

static void log_abort_leaves_no_trace(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_record *r;
	struct mr_log_entry e;
	uint64_t head;

	assert_int_equal(rig_start(g), 0);
	rig_settle(g);
	head = mr_log_head(g->log);
	assert_int_equal(mr_log_reserve(g->log, MR_LOG_BATCH, 5000, 0, &r), 0);
	mr_log_abort(g->log);
	assert_true(mr_log_head(g->log) == head);
	assert_int_equal(rig_append(g, 0, 0, 1, 100), 0);
	assert_int_equal(mr_log_reserve(g->log, MR_LOG_BATCH, 5000, 0, &r), 0);
	mr_log_abort(g->log);
	assert_int_equal(rig_append(g, 0, 1, 1, 100), 0);
	rig_settle(g);
	assert_int_equal(rig_find(g, 0, 1, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 0), 0);
	rig_stop(g);
	rig_free(g);
}

// Two partitions, one released: files go when nothing in them is needed, and are used again.
static void store_recycles_files_that_nobody_needs(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_store_stats before, after;
	struct mr_log_entry e;

	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 500; i++)
		assert_int_equal(rig_append(g, i < 250 ? 0 : 1, i, 1, 20000), 0);
	rig_settle(g);
	before = mr_log_store_stats(g->store);
	assert_true(before.files > 8);
	mr_log_store_retain_lsn(g->store, mr_log_id(g->log), UINT64_MAX);
	rig_turn(g);
	assert_int_equal(mr_log_store_stats(g->store).files, before.files);
	mr_log_store_retain_offset(g->store, rig_topic, 0, 250);
	rig_turn(g);
	after = mr_log_store_stats(g->store);
	assert_true(after.files < before.files - 2);
	assert_true(after.bytes_live < before.bytes_live);
	// The file in which one partition ends and the other begins is all that is left of the
	// first.
	assert_int_equal(rig_find(g, 0, 0, &e), 0);
	assert_true(e.base_offset > 180);
	assert_int_equal(rig_find(g, 1, 300, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 1), 0);
	for (int i = 500; i < 700; i++)
		assert_int_equal(rig_append(g, 1, i, 1, 20000), 0);
	rig_settle(g);
	assert_true(mr_log_store_stats(g->store).files_recycled > 0);
	rig_stop(g);
	// After a start the same is found, and what is released now goes with its whole log.
	assert_int_equal(rig_start(g), 0);
	assert_int_equal(rig_find(g, 1, 699, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 1), 0);
	mr_log_store_retain_offset(g->store, rig_topic, 0, INT64_MAX);
	mr_log_store_retain_offset(g->store, rig_topic, 1, INT64_MAX);
	mr_log_store_retain_lsn(g->store, e.log_id, UINT64_MAX);
	rig_turn(g);
	assert_int_equal(mr_log_store_stats(g->store).logs, 1);
	rig_stop(g);
	rig_free(g);
}

// A disk fills: appends are refused in time, urgent ones and deletions still work, then all is
// well.
static void log_refuses_in_time_when_the_disk_is_full(void **)
{
	struct rig *g = rig_sim(12 << 20);
	struct mr_log_record *r;
	struct mr_log_entry e;
	int64_t offset = 0;
	int rc = 0;

	assert_int_equal(rig_start(g), 0);
	while (!rc)
		rc = rig_append(g, 0, offset++, 1, 20000);
	offset--;
	assert_int_equal(rc, -ENOSPC);
	assert_true(offset > 200);
	rig_settle(g);
	assert_true(mr_log_store_stats(g->store).disk_full);
	assert_int_equal(rig_append(g, 0, offset, 1, 20000), -ENOSPC);
	assert_int_equal(mr_log_reserve(g->log, MR_LOG_PARTITION, 24, MR_LOG_URGENT, &r), 0);
	mr_log_abort(g->log);
	assert_int_equal(rig_find(g, 0, 3, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 0), 0);
	mr_log_store_retain_lsn(g->store, mr_log_id(g->log), UINT64_MAX);
	mr_log_store_retain_offset(g->store, rig_topic, 0, offset / 2);
	rig_turn(g);
	assert_int_equal(rig_append(g, 0, offset, 1, 20000), 0);
	rig_settle(g);
	assert_false(mr_log_store_stats(g->store).disk_full);
	rig_stop(g);
	rig_free(g);
}

// The disk is full up to what is kept free, and the process has to start: it does, again and again,
// has everything, and can give something back.
static void a_start_on_a_full_disk_takes_of_what_is_kept_free(void **)
{
	struct rig *g = rig_sim(24 << 20);
	struct mr_log_entry e;
	struct mr_log_info logs[4];
	size_t logs_count;
	int64_t offset = 0;
	int rc;

	g->file_bytes = 4 << 20;
	g->bytes_free_min = 3 << 20;
	assert_int_equal(rig_start(g), 0);
	while ((rc = rig_append(g, 0, offset, 1, 20000)) == 0)
		offset++;
	assert_int_equal(rc, -ENOSPC);
	rig_settle(g);
	assert_true(mr_disk_bytes_free(g->disk) < 7 << 20);
	for (int i = 0; i < 2; i++) {
		rig_stop(g);
		assert_int_equal(rig_start(g), 0);
		for (int64_t at = 0; at < offset; at += 50)
			assert_int_equal(rig_find(g, 0, at, &e), 0);
		assert_int_equal(rig_append(g, 0, offset++, 1, 2000), 0);
		rig_turn(g);
	}
	logs_count = mr_log_store_logs(g->store, logs, MR_COUNT_OF(logs));
	for (size_t i = 0; i < logs_count; i++)
		mr_log_store_retain_lsn(g->store, logs[i].id, UINT64_MAX);
	mr_log_store_retain_offset(g->store, rig_topic, 0, offset - 1);
	rig_settle(g);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(rig_append(g, 0, offset++, 1, 20000), 0);
		rig_turn(g);
	}
	rig_stop(g);
	rig_free(g);
}

// Makes, seals and removes files; keeps the last hundred offsets and looks at the logs.
static int background_turn(struct rig *g)
{
	struct mr_log_extent x;
	struct mr_log_info logs[4];
	int rc = mr_log_store_work(g->store);

	mr_log_store_extent(g->store, rig_topic, 0, &x);
	mr_log_store_retain_offset(g->store, rig_topic, 0, x.offset_end - 100);
	return rc < 0 ? rc : (int)mr_log_store_logs(g->store, logs, MR_COUNT_OF(logs));
}

static void fill_reserved(struct rig *g, struct mr_log_record *r, int64_t offset, uint32_t bytes)
{
	rig_fill_batch(mr_log_payload(r), bytes, 0, offset);
	r->partition_ref = g->ref[0];
	r->base_offset = offset;
	r->offset_count = 1;
	mr_log_commit(g->log);
}

// As a worker does it, until `end` is reached or one of the two threads meets an error: that of
// this one is returned.
static int append_beside(struct rig *g, const struct rig_thread *t, int64_t end)
{
	enum { BYTES = 20000 };
	struct mr_log_record *r;

	for (int64_t i = 0; i < end && !t->error;) {
		int rc = mr_log_reserve(g->log, MR_LOG_BATCH, BYTES, 0, &r);

		if (rc && rc != -EAGAIN)
			return rc;
		if (!rc)
			fill_reserved(g, r, i++, BYTES);
		mr_log_flush(g->log);
		if (!g->io->in_flight || (!rc && i % 8))
			continue;
		rc = mr_io_wait(g->io);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int settle_beside(struct rig *g, const struct rig_thread *t)
{
	int rc = 0;

	while (rc >= 0 && !t->error && mr_log_durable(g->log) < mr_log_head(g->log)) {
		mr_log_flush(g->log);
		rc = mr_log_state(g->log);
		if (!rc && g->io->in_flight)
			rc = mr_io_wait(g->io);
	}
	return MR_MIN(rc, 0);
}

// The worker appends and reads while a background thread makes, seals and removes files.
static void store_works_beside_a_writing_worker(void **)
{
	static struct rig_thread t;
	struct rig *g = rig_real(true);
	int appended, settled, found, read = -1;
	struct mr_log_store_stats st;
	struct mr_log_entry e;

	assert_int_equal(rig_start(g), 0);
	mr_log_store_retain_lsn(g->store, mr_log_id(g->log), UINT64_MAX);
	rig_thread_start(&t, g, background_turn);
	appended = append_beside(g, &t, 800);
	settled = settle_beside(g, &t);
	found = rig_find(g, 0, 790, &e);
	if (!found)
		read = rig_read_back(g, &e, 0);
	rig_thread_stop(&t);
	assert_int_equal(t.error, 0);
	assert_int_equal(appended, 0);
	assert_int_equal(settled, 0);
	assert_int_equal(found, 0);
	assert_int_equal(read, 0);
	assert_true(t.done > 0);
	st = mr_log_store_stats(g->store);
	assert_in_range(st.files_recycled, 1, 16);
	rig_stop(g);
	rig_free(g);
}

// More files than may be open: sealed ones are closed and opened again, and all is found.
static void store_keeps_few_files_open(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_store_stats st;
	struct mr_log_entry e;

	g->open_files_max = 6;
	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 700; i++)
		assert_int_equal(rig_append(g, 0, i, 1, 20000), 0);
	rig_settle(g);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	st = mr_log_store_stats(g->store);
	assert_true(st.files > 12);
	// The new log's files are open too, and those are never closed.
	assert_true(st.files_open <= 6 + 2);
	for (int i = 0; i < 700; i += 23) {
		assert_int_equal(rig_find(g, 0, i, &e), 0);
		assert_int_equal(rig_read_back(g, &e, 0), 0);
	}
	st = mr_log_store_stats(g->store);
	assert_true(st.files_open <= 6 + 2);
	assert_true(st.open_evictions > 6);
	rig_stop(g);
	rig_free(g);
}

// The limit under which exactly so many descriptors may still be opened: it bounds their numbers.
static rlim_t limit_for(unsigned left)
{
	int fd = 0;

	for (; left; fd++)
		left -= fcntl(fd, F_GETFD) < 0;
	return (rlim_t)fd;
}

static int find_all(struct rig *g, int step)
{
	struct mr_log_entry e;
	int rc = 0;

	for (int i = 0; i < 1000 && !rc; i += step) {
		rc = rig_find(g, 0, i, &e);
		rc = rc ? rc : rig_read_back(g, &e, 0);
	}
	return rc;
}

// So many descriptors are left to the process: fills one file more than that, then looks all up.
// What the calls answer, or -ECANCELED if no log file was closed for others.
static int run_short(struct rig *g, unsigned left)
{
	struct rlimit before, few;
	uint64_t evictions = mr_log_store_stats(g->store).open_evictions;
	enum { FILE_BATCHES = RIG_FILE_BYTES / 20000 };
	int rc = 0;

	if (getrlimit(RLIMIT_NOFILE, &before))
		return -errno;
	few = before;
	few.rlim_cur = limit_for(left);
	if (setrlimit(RLIMIT_NOFILE, &few))
		return -errno;
	for (unsigned i = 0; i < (left + 1) * FILE_BATCHES && !rc; i++)
		rc = rig_append(g, 0, 1000 * (int64_t)left + i, 1, 20000);
	if (!rc)
		rig_settle(g);
	rc = rc ? rc : find_all(g, 17);
	if (setrlimit(RLIMIT_NOFILE, &before))
		return -errno;
	if (!rc && mr_log_store_stats(g->store).open_evictions == evictions)
		rc = -ECANCELED;
	return rc;
}

// Descriptors run out long before open_files_max: log files are given up for others, whether the
// last descriptor went to a log file or is missed by something else that the store does.
static void store_goes_on_without_descriptors(void **)
{
	struct rig *g = rig_real(true);

	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rig_append(g, 0, i, 1, 20000), 0);
	rig_settle(g);
	assert_true(mr_log_store_stats(g->store).files > 18);
	for (unsigned left = 2; left < 7; left++) {
		int rc;

		rig_stop(g);
		assert_int_equal(rig_start(g), 0);
		rc = run_short(g, left);
		if (rc)
			fail_msg("%u descriptors left: %s", left, mr_err_text(rc));
	}
	rig_stop(g);
	rig_free(g);
}

static int sync_dir_fails(struct mr_disk *, const char *)
{
	return -EIO;
}

static int count_entry(void *arg, const char *)
{
	++*(int *)arg;
	return 0;
}

static int log_files_on(struct mr_disk *d)
{
	int count = 0;

	assert_int_equal(mr_disk_list(d, "log", count_entry, &count), 0);
	return count;
}

// However often a disk with errors is tried again, it does not fill with files of nobody.
static void store_leaves_no_file_that_it_could_not_finish(void **)
{
	struct rig *g = rig_real(true);
	const struct mr_disk_ops *good;
	struct mr_disk_ops bad;
	int files, rc = 0;

	assert_int_equal(rig_start(g), 0);
	good = g->disk->ops;
	bad = *good;
	bad.sync_dir = sync_dir_fails;
	g->disk->ops = &bad;
	for (int i = 0; rc == 0; i++)
		rc = mr_log_store_work(g->store) < 0 ? -EIO : rig_append(g, 0, i, 1, 20000);
	files = log_files_on(g->disk);
	for (int i = 0; i < 10; i++)
		assert_int_equal(mr_log_store_work(g->store), -EIO);
	assert_int_equal(log_files_on(g->disk), files);
	g->disk->ops = good;
	assert_int_equal(rig_append(g, 0, 10000, 1, 20000), 0);
	rig_stop(g);
	rig_free(g);
}

// The first file of a log may be small; what does not fit goes to the next one.
static void log_begins_with_a_small_file(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_entry e;

	g->file_bytes = 8 << 20;
	g->file_bytes_first = 512 << 10;
	assert_int_equal(rig_start(g), 0);
	assert_int_equal(mr_log_store_stats(g->store).files_made, 1);
	assert_true(mr_log_store_stats(g->store).bytes == 512 << 10);
	assert_int_equal(rig_append(g, 0, 0, 1, 20000), 0);
	assert_int_equal(rig_append(g, 0, 1, 1, 1 << 20), 0);
	rig_settle(g);
	assert_int_equal(mr_log_stats(g->log)->rolls, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig_find(g, 0, i, &e), 0);
		assert_int_equal(rig_read_back(g, &e, 0), 0);
	}
	rig_stop(g);
	rig_free(g);
}

// All of them, of this life and of earlier ones.
static void read_all(struct rig *g, int64_t to)
{
	struct mr_log_entry e;

	rig_settle(g);
	for (int64_t i = 0; i < to; i++) {
		int rc = rig_find(g, 0, i, &e);

		assert_int_equal(rc == 0 ? rc : rig_find(g, 0, i, &e), 0);
		assert_int_equal(rig_read_back(g, &e, 0), 0);
	}
}

// A start with fewer workers has checkpoints that neither a file nor the ring of the configured
// size holds: both are larger then, and are what was configured when they need not be.
static void log_goes_on_when_its_checkpoint_outgrows_the_configured_sizes(void **)
{
	struct rig *g = rig_sim(1 << 30);
	const uint32_t checkpoints[] = {1, 6000, 0, 900};
	int64_t offset = 0;

	g->ring_bytes = 4 << 20;
	for (int life = 0; life < 4; life++) {
		g->checkpoint_records = checkpoints[life];
		assert_int_equal(rig_start(g), 0);
		while (mr_log_stats(g->log)->rolls < 4)
			assert_int_equal(rig_append(g, 0, offset++, 1, 500 << 10), 0);
		read_all(g, offset);
		rig_stop(g);
	}
	rig_free(g);
}

// Producers come while a log is written: its files grow with its checkpoints.
static void log_files_grow_with_the_checkpoint(void **)
{
	struct rig *g = rig_sim(1 << 30);
	int64_t offset = 0;

	g->ring_bytes = 16 << 20;
	assert_int_equal(rig_start(g), 0);
	while (g->checkpoint_records < 5000) {
		uint64_t rolls = mr_log_stats(g->log)->rolls;

		while (mr_log_stats(g->log)->rolls == rolls)
			assert_int_equal(rig_append(g, 0, offset++, 1, 100 << 10), 0);
		g->checkpoint_records += 100;
	}
	read_all(g, offset);
	rig_stop(g);
	rig_free(g);
}

// What was made ready and not used serves the next life.
static void store_uses_the_files_of_an_earlier_life(void **)
{
	for (int crash = 0; crash < 2; crash++) {
		struct rig *g = rig_sim(1 << 30);
		struct mr_log_store_stats st;

		assert_int_equal(rig_start(g), 0);
		assert_int_equal(rig_append(g, 0, 0, 1, 20000), 0);
		rig_settle(g);
		if (crash) {
			mr_log_discard(g->log);
			g->log = NULL;
			mr_io_sim_power_cut(&g->sim);
		}
		rig_stop(g);
		assert_int_equal(rig_start(g), 0);
		st = mr_log_store_stats(g->store);
		assert_int_equal(st.files_recycled, 2);
		assert_int_equal(st.files_made, 0);
		assert_int_equal(rig_append(g, 0, 1, 1, 20000), 0);
		rig_settle(g);
		rig_stop(g);
		rig_free(g);
	}
}

static int refuse_record(void *arg, const struct mr_log_scan_record *r)
{
	++*(int *)arg;
	return r->record->type == MR_LOG_BATCH ? -ECANCELED : 0;
}

static void store_scan_stops_where_told_and_starts_where_asked(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_info logs[4];
	struct mr_diag diag;
	int calls = 0;

	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(rig_append(g, i % 4, i, 1, 30000), 0);
	rig_settle(g);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	assert_int_equal(mr_log_store_logs(g->store, logs, 4), 2);
	assert_int_equal(logs[0].id, 1);
	assert_false(logs[0].open);
	assert_true(logs[1].open);
	assert_int_equal(
		mr_log_store_scan(g->store, 1, 0, refuse_record, &calls, &diag), -ECANCELED);
	assert_int_equal(calls, 5); // four bindings and the first batch
	calls = 0;
	assert_int_equal(
		mr_log_store_scan(g->store, 1, logs[0].lsn_end, refuse_record, &calls, &diag), 0);
	assert_int_equal(calls, 0);
	rig_stop(g);
	rig_free(g);
}

static void store_refuses_foreign_and_missing_log_files(void **)
{
	struct rig *g = rig_real(true);
	char path[96];
	FILE *f;

	assert_int_equal(rig_start(g), 0);
	assert_int_equal(rig_append(g, 0, 0, 1, 100), 0);
	rig_stop(g);
	snprintf(path, sizeof(path), "%s/log/readme.txt", g->path);
	f = fopen(path, "w");
	fclose(f);
	assert_int_equal(rig_start(g), MR_ERR_FOREIGN);
	assert_non_null(strstr(g->diag.message, "readme.txt"));
	rig_stop(g);
	remove(path);
	snprintf(path, sizeof(path), "%s/log/0000000000000001.mlog", g->path);
	assert_int_equal(remove(path), 0);
	assert_int_equal(rig_start(g), MR_ERR_CORRUPT);
	assert_non_null(strstr(g->diag.message, "missing"));
	rig_stop(g);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_keeps_and_finds_batches_with_plain_calls),
		cmocka_unit_test(log_keeps_and_finds_batches_on_the_ring),
		cmocka_unit_test(log_finds_by_offset_and_time_while_it_is_written),
		cmocka_unit_test(store_skips_whole_files_of_old_batches),
		cmocka_unit_test(log_takes_records_of_16_mib_and_refuses_larger),
		cmocka_unit_test(log_ring_pushes_back_and_loses_nothing),
		cmocka_unit_test(log_abort_leaves_no_trace),
		cmocka_unit_test(store_recycles_files_that_nobody_needs),
		cmocka_unit_test(log_refuses_in_time_when_the_disk_is_full),
		cmocka_unit_test(a_start_on_a_full_disk_takes_of_what_is_kept_free),
		cmocka_unit_test(store_works_beside_a_writing_worker),
		cmocka_unit_test(store_keeps_few_files_open),
		cmocka_unit_test(store_goes_on_without_descriptors),
		cmocka_unit_test(store_leaves_no_file_that_it_could_not_finish),
		cmocka_unit_test(log_begins_with_a_small_file),
		cmocka_unit_test(log_goes_on_when_its_checkpoint_outgrows_the_configured_sizes),
		cmocka_unit_test(log_files_grow_with_the_checkpoint),
		cmocka_unit_test(store_uses_the_files_of_an_earlier_life),
		cmocka_unit_test(store_scan_stops_where_told_and_starts_where_asked),
		cmocka_unit_test(store_refuses_foreign_and_missing_log_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
