// The manifest on the simulated disk: what was appended is replayed, whole appends only, through
// snapshots, power cuts at every flush, failing operations, and bytes from outside.
#include "host/base/note.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/manifest_int.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdlib.h>

enum { TYPE = MR_MANIFEST_TYPE_CATALOG, KEYS = 32 };

// An owner with one value for each of 32 keys; a record sets one.
struct owner {
	uint64_t values[KEYS];
	uint64_t replayed;
};

struct set {
	uint64_t key;
	uint64_t value;
};

static int owner_replay(void *ctx, const struct mr_manifest_record *r, struct mr_diag *diag)
{
	struct owner *o = (struct owner *)ctx;
	struct set s;

	if (r->payload.bytes < sizeof(s))
		return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0, "short record");
	memcpy(&s, r->payload.data, sizeof(s));
	o->values[s.key % KEYS] = s.value;
	o->replayed++;
	return 0;
}

static void owner_snapshot(void *ctx, struct mr_buf *out)
{
	struct owner *o = (struct owner *)ctx;

	for (uint64_t k = 0; k < KEYS; k++) {
		struct set s = {k, o->values[k]};

		if (s.value)
			mr_manifest_emit(out, TYPE, 1, mr_span(&s, sizeof(s)));
	}
}

static int start(struct mr_io_sim *sim, struct mr_manifest **m, struct owner *o,
	uint16_t version_max, struct mr_diag *diag)
{
	struct mr_manifest_options mo = {
		.disk = &sim->disk, .file_bytes = 64 << 10, .snapshot_records = 25};
	struct mr_manifest_owner owner = {
		TYPE, TYPE + 1, version_max, o, owner_replay, owner_snapshot};
	int rc;

	*o = (struct owner){0};
	*m = NULL;
	sim->locked = false;
	rc = mr_dir_init(&sim->disk, diag);
	if (rc)
		return rc;
	rc = mr_manifest_create(m, &mo);
	assert_int_equal(rc, 0);
	mr_manifest_register(*m, &owner);
	return mr_manifest_open(*m, diag);
}

// Sets two keys to one value, in one append: both or neither.
static int set_two(struct mr_manifest *m, uint64_t key, uint64_t value)
{
	struct set a = {key % KEYS, value}, b = {(key + KEYS / 2) % KEYS, value};
	struct mr_manifest_record r[2] = {
		{TYPE, 1, mr_span(&a, sizeof(a))}, {TYPE, 1, mr_span(&b, sizeof(b))}};

	return mr_manifest_append(m, r, 2);
}

static void manifest_replays_what_was_appended(void **)
{
	struct mr_io_sim sim;
	struct mr_manifest *m;
	struct mr_diag diag;
	struct owner o;

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	assert_int_equal(start(&sim, &m, &o, 1, &diag), 0);
	for (uint64_t i = 1; i <= 300; i++)
		assert_int_equal(set_two(m, i, i), 0);
	assert_true(mr_manifest_stats(m).compactions > 10);
	mr_manifest_destroy(m);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(start(&sim, &m, &o, 1, &diag), 0);
		for (uint64_t k = 0; k < KEYS / 2; k++) {
			assert_true(o.values[k] == o.values[k + KEYS / 2]);
			assert_true(o.values[k] > 284 && o.values[k] % (KEYS / 2) == k);
		}
		assert_true(o.replayed < 100);
		mr_manifest_destroy(m);
	}
	mr_io_sim_fini(&sim);
}

static void manifest_grows_for_large_records(void **)
{
	enum { BIG = 200 << 10 };
	struct mr_io_sim sim;
	struct mr_manifest *m;
	struct mr_diag diag;
	struct owner o;
	uint8_t *big = (uint8_t *)calloc(1, BIG);
	struct mr_manifest_record r = {TYPE, 1, mr_span(big, BIG)};

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	assert_int_equal(start(&sim, &m, &o, 1, &diag), 0);
	big[0] = 3;
	big[8] = 77;
	assert_int_equal(mr_manifest_append(m, &r, 1), 0);
	mr_manifest_destroy(m);
	assert_int_equal(start(&sim, &m, &o, 1, &diag), 0);
	assert_int_equal(o.values[3], 77);
	mr_manifest_destroy(m);
	mr_io_sim_fini(&sim);
	free(big);
}

static void manifest_refuses_newer_and_unknown_records(void **)
{
	struct mr_io_sim sim;
	struct mr_manifest *m;
	struct mr_diag diag;
	struct owner o;
	struct set s = {1, 2};
	struct mr_manifest_record r = {TYPE, 2, mr_span(&s, sizeof(s))};

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	assert_int_equal(start(&sim, &m, &o, 2, &diag), 0);
	assert_int_equal(mr_manifest_append(m, &r, 1), 0);
	mr_manifest_destroy(m);
	assert_int_equal(start(&sim, &m, &o, 1, &diag), MR_ERR_VERSION);
	assert_non_null(strstr(diag.message, "version 2"));
	mr_manifest_destroy(m);
	mr_io_sim_fini(&sim);
}

static void manifest_without_superblock_is_refused_when_data_exist(void **)
{
	struct mr_io_sim sim;
	struct mr_manifest *m;
	struct mr_diag diag;
	struct mr_file *f;
	struct owner o;

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	assert_int_equal(start(&sim, &m, &o, 1, &diag), 0);
	mr_manifest_destroy(m);
	assert_int_equal(mr_file_open(&sim.disk, "log/0000000000000001.mlog",
				 MR_FILE_WRITE | MR_FILE_CREATE, &f),
		0);
	mr_file_close(f);
	assert_int_equal(mr_disk_unlink(&sim.disk, "super"), 0);
	assert_int_equal(start(&sim, &m, &o, 1, &diag), MR_ERR_CORRUPT);
	mr_manifest_destroy(m);
	mr_io_sim_fini(&sim);
}

// What an interrupted run may leave: `done` appends were acknowledged, the next one is open.
static void check_after_crash(struct mr_io_sim *sim, uint64_t done)
{
	struct mr_manifest *m;
	struct mr_diag diag = {0};
	struct owner o;
	uint64_t highest = 0;
	int rc = start(sim, &m, &o, 1, &diag);

	if (rc)
		print_error("rc=%d %s\n", rc, diag.message);
	assert_int_equal(rc, 0);
	for (uint64_t k = 0; k < KEYS / 2; k++) {
		assert_true(o.values[k] == o.values[k + KEYS / 2]);
		highest = MR_MAX(highest, o.values[k]);
	}
	assert_true(highest == done || highest == done + 1);
	for (uint64_t i = highest > 15 ? highest - 15 : 1; i <= highest; i++)
		assert_true(o.values[i % (KEYS / 2)] == i);
	mr_manifest_destroy(m);
}

static uint64_t run_appends(struct mr_io_sim *sim, uint64_t count)
{
	struct mr_manifest *m;
	struct mr_diag diag;
	struct owner o;
	uint64_t done = 0;

	if (start(sim, &m, &o, 1, &diag) == 0)
		while (done < count && set_two(m, done + 1, done + 1) == 0)
			done++;
	mr_manifest_destroy(m);
	return done;
}

static void manifest_survives_a_cut_after_each_flush(void **)
{
	uint64_t cuts = 0;

	for (uint64_t seed = 1; seed <= 4; seed++)
		for (uint64_t n = 1;; n++) {
			struct mr_io_sim sim;
			uint64_t done;
			bool dead;

			mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = seed * 1000 + n});
			sim.die_at_flush = n;
			done = run_appends(&sim, 60);
			dead = sim.dead;
			mr_io_sim_power_cut(&sim);
			check_after_crash(&sim, done);
			mr_io_sim_fini(&sim);
			cuts++;
			if (!dead)
				break;
		}
	assert_true(cuts > 200);
}

static void manifest_survives_each_failing_operation(void **)
{
	static const int errors[] = {-EIO, -ENOSPC};

	for (size_t e = 0; e < 2; e++)
		for (int for_ever = 0; for_ever <= 1; for_ever++)
			for (uint64_t n = 1;; n++) {
				struct mr_io_sim sim;
				uint64_t done;
				bool hit;

				mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = n});
				sim.fault = (struct mr_io_sim_fault){n, for_ever, errors[e]};
				done = run_appends(&sim, 40);
				hit = sim.faults_hit > 0;
				mr_io_sim_power_cut(&sim);
				check_after_crash(&sim, done);
				mr_io_sim_fini(&sim);
				if (!hit)
					break;
			}
}

// Appends until there is a new file; `fail` makes the first of them fail once.
static void fill_file(struct mr_io_sim *sim, struct mr_manifest *m, uint64_t *done, bool fail)
{
	uint64_t faults = sim->faults_hit, made = mr_manifest_stats(m).compactions + 1 + fail;

	if (fail)
		sim->fault = (struct mr_io_sim_fault){.at = sim->ops + 1, .err = -EIO};
	while (mr_manifest_stats(m).compactions < made) {
		assert_int_equal(set_two(m, *done + 1, *done + 1), 0);
		++*done;
	}
	assert_int_equal(sim->faults_hit - faults, fail);
}

// A disk that fails once in a while fails no append; one that fails twice in one file stops it.
static void manifest_stops_at_a_second_failure_in_one_file_only(void **)
{
	struct mr_io_sim sim;
	struct mr_manifest *m;
	struct mr_diag diag;
	struct owner o;
	uint64_t done = 0;

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	assert_int_equal(start(&sim, &m, &o, 1, &diag), 0);
	for (int i = 0; i < 6; i++)
		fill_file(&sim, m, &done, i % 2);
	assert_false(mr_manifest_is_stopped(m));
	for (int i = 0; i < 2; i++) {
		assert_false(mr_manifest_is_stopped(m));
		sim.fault = (struct mr_io_sim_fault){.at = sim.ops + 1, .err = -EIO};
		done += set_two(m, done + 1, done + 1) == 0;
	}
	assert_true(mr_manifest_is_stopped(m));
	assert_int_equal(set_two(m, done + 1, done + 1), MR_ERR_STOPPED);
	mr_manifest_destroy(m);
	check_after_crash(&sim, done);
	mr_io_sim_fini(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manifest_replays_what_was_appended),
		cmocka_unit_test(manifest_grows_for_large_records),
		cmocka_unit_test(manifest_refuses_newer_and_unknown_records),
		cmocka_unit_test(manifest_without_superblock_is_refused_when_data_exist),
		cmocka_unit_test(manifest_survives_a_cut_after_each_flush),
		cmocka_unit_test(manifest_survives_each_failing_operation),
		cmocka_unit_test(manifest_stops_at_a_second_failure_in_one_file_only),
	};

	mr_note_level_set((enum mr_note_level)(MR_NOTE_ERR - 1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
