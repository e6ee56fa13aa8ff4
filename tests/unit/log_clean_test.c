// Cleaning: what is alive is copied and found at its offsets, what is dead gives its space back,
// and nothing happens by halves.
#include "tests/lib/log_rig.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mr_log_cleaner at_once;

// Partition 0 and 1 live for long, 2 and 3 are given up. Every fifth batch lives.
static int64_t fill(struct rig *g, int batches)
{
	int64_t ends[4] = {0};

	for (int i = 0; i < batches; i++) {
		int p = i % 5 ? 2 + i % 2 : i / 5 % 2;

		assert_int_equal(rig_append(g, p, ends[p]++, 1, 3000 + (uint32_t)(i % 700)), 0);
		if (i % 10 == 0)
			rig_turn(g);
	}
	rig_settle(g);
	return MR_MIN(ends[0], ends[1]);
}

static void give_up(struct rig *g)
{
	mr_log_store_retain_offset(g->store, rig_topic, 2, INT64_MAX);
	mr_log_store_retain_offset(g->store, rig_topic, 3, INT64_MAX);
	mr_log_store_retain_lsn(g->store, mr_log_id(g->log), mr_log_durable(g->log));
	rig_turn(g);
}

// Every batch of partitions 0 and 1 from an offset on, in order, with the right bytes.
static void check_alive(struct rig *g, int64_t from, int64_t end)
{
	for (int p = 0; p < 2; p++)
		for (int64_t at = from; at < end; at++) {
			struct mr_log_entry e;

			assert_int_equal(rig_find(g, p, at, &e), 0);
			assert_true(e.base_offset == at);
			assert_int_equal(rig_read_back(g, &e, p), 0);
			assert_int_equal(rig_find_time(g, p, from, 1000 + at, &e), 0);
			assert_true(e.base_offset == at);
		}
}

struct tally {
	uint8_t seen[2][4000];
	uint64_t long_logs;
};

static int tally_record(void *arg, const struct mr_log_scan_record *r)
{
	struct tally *t = (struct tally *)arg;

	if (r->record->type == MR_LOG_BATCH && r->partition < 2)
		t->seen[r->partition][r->record->base_offset]++;
	return 0;
}

// By scanning all logs: each live batch lies on disk once.
static void check_once(struct rig *g, int64_t from, int64_t end)
{
	struct tally *t = (struct tally *)calloc(1, sizeof(*t));
	struct mr_log_info logs[16];
	size_t count = mr_log_store_logs(g->store, logs, 16);

	for (size_t i = 0; i < count; i++)
		assert_int_equal(
			mr_log_store_scan(g->store, logs[i].id, 0, tally_record, t, NULL), 0);
	for (int p = 0; p < 2; p++)
		for (int64_t at = from; at < end; at++)
			assert_int_equal(t->seen[p][at], 1);
	free(t);
}

static int clean_all(struct rig *g)
{
	int count = 0, rc;

	while ((rc = mr_log_store_clean(g->store, &at_once)) > 0) {
		count += rc;
		rig_turn(g);
	}
	return rc ? rc : count;
}

static void clean_gives_space_back_and_keeps_every_live_batch(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_store_stats before, after;
	struct mr_log_info logs[8];
	int64_t end;

	assert_int_equal(rig_start(g), 0);
	end = fill(g, 3000);
	assert_int_equal(mr_log_store_clean(g->store, &at_once), 0); // all is alive
	give_up(g);
	before = mr_log_store_stats(g->store);
	assert_true(before.files > 8);
	assert_true(clean_all(g) > 0);
	after = mr_log_store_stats(g->store);
	assert_true(after.files < before.files / 2);
	assert_true(after.bytes < before.bytes);
	assert_true(after.bytes_dead < before.bytes_dead / 3);
	assert_true(after.cleaned_files >= 8 && after.cleaned_bytes >= 8 * RIG_FILE_BYTES);
	assert_true(after.copied_bytes > 0 && after.files_spare > 0);
	check_alive(g, 0, end);
	// The files that the writer has not left are scanned once they are sealed.
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	check_alive(g, 0, end);
	assert_int_equal(mr_log_store_logs(g->store, logs, 8), 3);
	assert_true(logs[1].is_long && !logs[0].is_long && !logs[2].is_long);
	rig_stop(g);
	rig_free(g);
}

// What was cleaned is given up in part, and cleaned again.
static void clean_takes_cleaned_files_again(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_store_stats st;
	int64_t end, from;

	assert_int_equal(rig_start(g), 0);
	end = fill(g, 6000);
	give_up(g);
	assert_true(clean_all(g) > 0);
	from = end * 2 / 3;
	mr_log_store_retain_offset(g->store, rig_topic, 0, from);
	mr_log_store_retain_offset(g->store, rig_topic, 1, from);
	st = mr_log_store_stats(g->store);
	assert_true(clean_all(g) > 0);
	assert_true(mr_log_store_stats(g->store).bytes < st.bytes);
	check_alive(g, from, end);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	mr_log_store_retain_offset(g->store, rig_topic, 0, from);
	mr_log_store_retain_offset(g->store, rig_topic, 1, from);
	check_alive(g, from, end);
	// In the end all goes, the long logs too.
	for (int p = 0; p < 4; p++)
		mr_log_store_retain_offset(g->store, rig_topic, p, INT64_MAX);
	for (uint64_t id = 1; id < mr_log_id(g->log); id++)
		mr_log_store_retain_lsn(g->store, id, UINT64_MAX);
	rig_turn(g);
	assert_int_equal(mr_log_store_stats(g->store).logs, 1);
	rig_stop(g);
	rig_free(g);
}

// A batch that was found before the cleaning is read behind it.
static void read_follows_a_batch_that_was_moved(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_entry e, now;
	struct mr_log_entry gone;

	assert_int_equal(rig_start(g), 0);
	fill(g, 3000);
	assert_int_equal(rig_find(g, 1, 7, &e), 0);
	assert_int_equal(rig_find(g, 2, 7, &gone), 0);
	give_up(g);
	assert_true(clean_all(g) > 0);
	assert_int_equal(rig_find(g, 1, 7, &now), 0);
	assert_true(now.log_id != e.log_id);
	assert_int_equal(rig_read_back(g, &e, 1), 0);
	assert_int_equal(rig_read_back(g, &gone, 2), -ENOENT);
	rig_stop(g);
	rig_free(g);
}

// The file stays as it is, is counted, and is not tried again; the others are cleaned.
static void clean_does_not_copy_a_damaged_batch(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_store_stats st;
	struct mr_log_entry e;
	int64_t end;
	int rc;

	assert_int_equal(rig_start(g), 0);
	end = fill(g, 3000);
	assert_int_equal(rig_find(g, 0, 20, &e), 0);
	assert_true(e.lsn < RIG_FILE_BYTES - (64 << 10)); // in the first file
	assert_true(
		mr_io_sim_flip(&g->sim, "log/0000000000000001.mlog", 4096 + e.lsn + 1000, 0x10));
	give_up(g);
	rc = mr_log_store_clean(g->store, &at_once);
	assert_int_equal(rc, MR_ERR_CORRUPT);
	st = mr_log_store_stats(g->store);
	assert_int_equal(st.clean_damaged, 1);
	assert_int_equal(st.clean_failures, 1);
	assert_int_equal(st.cleanings, 0);
	assert_true(clean_all(g) > 0);
	st = mr_log_store_stats(g->store);
	assert_int_equal(st.clean_damaged, 1);
	assert_true(st.cleanings > 0);
	assert_int_equal(rig_find(g, 0, 20, &e), 0);
	assert_int_equal(rig_read_back(g, &e, 0), MR_ERR_CORRUPT);
	check_alive(g, 21, end);
	rig_stop(g);
	rig_free(g);
}

static void clean_stops_for_want_of_room_and_goes_on_later(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_store_stats st;
	int64_t end;

	assert_int_equal(rig_start(g), 0);
	end = fill(g, 3000);
	give_up(g);
	st = mr_log_store_stats(g->store);
	g->sim.options.capacity_bytes = st.bytes + (3 << 20);
	assert_int_equal(mr_log_store_clean(g->store, &at_once), -ENOSPC);
	st = mr_log_store_stats(g->store);
	assert_int_equal(st.clean_no_room, 1);
	assert_int_equal(st.cleanings, 0);
	check_alive(g, 0, end);
	g->sim.options.capacity_bytes = 1 << 30;
	// The disk says no in the middle all the same.
	g->sim.fault = (struct mr_io_sim_fault){.at = g->sim.ops + 5, .err = -ENOSPC};
	assert_int_equal(mr_log_store_clean(g->store, &at_once), -ENOSPC);
	assert_int_equal(mr_log_store_stats(g->store).clean_no_room, 2);
	check_alive(g, 0, end);
	assert_true(clean_all(g) > 0);
	check_alive(g, 0, end);
	rig_stop(g);
	rig_free(g);
}

static int stop_soon(void *ctx, uint64_t bytes)
{
	int64_t *left = (int64_t *)ctx;

	*left -= (int64_t)bytes;
	return *left < 0;
}

static void clean_ends_when_told_to(void **)
{
	struct rig *g = rig_sim(1 << 30);
	int64_t left = 100 << 10, end;
	struct mr_log_cleaner c = {stop_soon, &left};
	struct mr_log_store_stats before, after;

	assert_int_equal(rig_start(g), 0);
	end = fill(g, 3000);
	give_up(g);
	before = mr_log_store_stats(g->store);
	assert_int_equal(mr_log_store_clean(g->store, &c), -ECANCELED);
	after = mr_log_store_stats(g->store);
	assert_int_equal(after.files, before.files);
	assert_int_equal(after.clean_failures, 0);
	check_alive(g, 0, end);
	left = INT64_MAX;
	assert_int_equal(mr_log_store_clean(g->store, &c), 1);
	rig_turn(g);
	check_alive(g, 0, end);
	rig_stop(g);
	rig_free(g);
}

// Big records, some larger than the window that old files are read through.
static void clean_copies_large_batches(void **)
{
	struct rig *g = rig_sim(1 << 30);
	struct mr_log_entry e;

	g->file_bytes = 40 << 20;
	assert_int_equal(rig_start(g), 0);
	for (int i = 0; i < 24; i++)
		assert_int_equal(
			rig_append(g, i % 4 ? 2 : 0, i, 1, (3u << 20) + (uint32_t)i * 1001), 0);
	rig_settle(g);
	give_up(g);
	assert_int_equal(clean_all(g), 1);
	for (int i = 0; i < 24; i += 4) {
		assert_int_equal(rig_find(g, 0, i, &e), 0);
		assert_true(e.base_offset == i);
		assert_int_equal(rig_read_back(g, &e, 0), 0);
	}
	rig_stop(g);
	rig_free(g);
}

static void clean_leaves_each_batch_on_disk_once(void **)
{
	struct rig *g = rig_sim(1 << 30);
	int64_t end;

	assert_int_equal(rig_start(g), 0);
	end = fill(g, 3000);
	rig_stop(g);
	assert_int_equal(rig_start(g), 0);
	mr_log_store_retain_lsn(g->store, 1, UINT64_MAX);
	give_up(g);
	check_once(g, 0, end);
	assert_true(clean_all(g) > 0);
	check_once(g, 0, end);
	rig_stop(g);
	rig_free(g);
}

static int clean_turn(struct rig *g)
{
	int cleaned = mr_log_store_clean(g->store, &at_once);
	int rc = cleaned < 0 ? 0 : mr_log_store_work(g->store);

	return rc < 0 ? rc : cleaned;
}

// Appends to one of four partitions; of two, all but the last fifty are given up now and then.
static int append_and_give_up(struct rig *g, int i, int64_t ends[4])
{
	int p = i % 5 ? 2 + i % 2 : i / 5 % 2;
	int rc = rig_append(g, p, ends[p], 1, 5000);

	ends[p] += !rc;
	if (rc || i % 16)
		return rc;
	rig_turn(g);
	mr_log_store_retain_offset(g->store, rig_topic, 2, ends[2] - 50);
	mr_log_store_retain_offset(g->store, rig_topic, 3, ends[3] - 50);
	return 0;
}

// Looks batches of the first partition up, near its end often and far from it seldom.
static int find_and_read(struct rig *g, int64_t end)
{
	struct mr_log_entry e;
	int rc = 0;

	for (int64_t at = end - 20; at >= 0 && !rc; at -= 1 + at / 4) {
		rc = rig_find(g, 0, at, &e);
		if (!rc && e.base_offset != at)
			rc = MR_ERR_CORRUPT;
		if (rc || (mr_log_hot(g->log, e.lsn, 1) && at % 16))
			continue;
		rig_settle(g);
		rc = rig_read_back(g, &e, 0);
	}
	return rc;
}

// A worker writes, looks up and reads while files are cleaned under it.
static void clean_works_beside_a_writing_worker(void **)
{
	static struct rig_thread t;
	struct rig *g = rig_real(true);
	int64_t ends[4] = {0};
	int appended = 0, found = 0;

	assert_int_equal(rig_start(g), 0);
	mr_log_store_retain_lsn(g->store, mr_log_id(g->log), UINT64_MAX);
	rig_thread_start(&t, g, clean_turn);
	for (int i = 0; i < 4000 && !appended && !found && !t.error; i++) {
		do
			appended = append_and_give_up(g, i, ends);
		while (appended == -EAGAIN && !t.error);
		if (!appended && i % 16 == 0)
			found = find_and_read(g, ends[0]);
	}
	rig_thread_stop(&t);
	assert_int_equal(t.error, 0);
	assert_int_equal(appended, 0);
	assert_int_equal(found, 0);
	assert_true(t.done > 1);
	rig_settle(g);
	check_alive(g, 0, MR_MIN(ends[0], ends[1]));
	rig_stop(g);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_gives_space_back_and_keeps_every_live_batch),
		cmocka_unit_test(clean_takes_cleaned_files_again),
		cmocka_unit_test(read_follows_a_batch_that_was_moved),
		cmocka_unit_test(clean_does_not_copy_a_damaged_batch),
		cmocka_unit_test(clean_stops_for_want_of_room_and_goes_on_later),
		cmocka_unit_test(clean_ends_when_told_to),
		cmocka_unit_test(clean_copies_large_batches),
		cmocka_unit_test(clean_leaves_each_batch_on_disk_once),
		cmocka_unit_test(clean_works_beside_a_writing_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
