// Failing operations and damaged bytes, on the simulated disk.
//
// The n-th operation fails for n = 1, 2, … once and for ever, until a life runs untouched; each
// byte of a small store is flipped. Whatever happens is an error or the right data: never wrong
// data, a crash, or the loss of something acknowledged.
#include "host/base/note.h"
#include "tests/lib/log_life.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct life_options plain_options = {0};
static const struct life_options look_options = {.read_only = true};

// A short life with a roll in it. Errors are expected; only the model judges.
static void short_life(struct mr_io_sim *sim, struct life_model *m, uint64_t seed)
{
	struct mr_rand r;
	struct life l;

	mr_rand_init(&r, seed);
	if (life_begin(&l, sim, m, &plain_options)) {
		life_end(&l);
		return;
	}
	for (int t = 0; t < 30; t++) {
		for (int i = 0; i < 3 && life_append(&l, &r, 8000) == 0; i++)
			;
		life_turn(&l);
	}
	life_settle(&l);
	if (seed % 2)
		(void)!life_close_log(&l);
	else
		mr_io_sim_power_cut(sim);
	life_end(&l);
}

// Returns false when the fault was never reached.
static bool sweep_one(uint64_t n, bool for_ever, int err, uint64_t seed)
{
	struct mr_io_sim sim;
	struct life_model m;
	struct life l;
	bool hit;
	int rc;

	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = seed});
	life_model_init(&m);
	sim.fault = (struct mr_io_sim_fault){n, for_ever, err};
	short_life(&sim, &m, seed);
	hit = sim.faults_hit > 0;
	sim.fault = (struct mr_io_sim_fault){0};
	if (seed % 2)
		mr_io_sim_power_cut(&sim);
	rc = life_begin(&l, &sim, &m, &look_options);
	if (!rc)
		rc = life_check(&l, false);
	if (rc || m.lost || m.wrong)
		print_error("n=%llu for_ever=%d err=%d seed=%llu rc=%d lost=%llu wrong=%llu %s\n",
			(unsigned long long)n, for_ever, err, (unsigned long long)seed, rc,
			(unsigned long long)m.lost, (unsigned long long)m.wrong, l.message);
	assert_int_equal(rc, 0);
	assert_int_equal(m.lost + m.wrong, 0);
	life_end(&l);
	mr_io_sim_fini(&sim);
	life_model_fini(&m);
	return hit;
}

static void sweep(int err)
{
	for (int for_ever = 0; for_ever <= 1; for_ever++)
		for (uint64_t seed = 1; seed <= 2; seed++) {
			uint64_t n = 1;

			while (sweep_one(n, for_ever, err, seed))
				n++;
			print_message("swept %llu operations\n", (unsigned long long)n - 1);
			assert_true(n > 50);
		}
}

static void every_operation_may_fail_with_eio(void **)
{
	sweep(-EIO);
}

static void every_operation_may_fail_with_enospc(void **)
{
	sweep(-ENOSPC);
}

// A write fails in the middle of a stream: the log goes on in a new file and loses nothing.
static void log_goes_on_in_a_new_file_after_a_failed_write(void **)
{
	int went_on = 0;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct mr_io_sim sim;
		struct life_model m;
		struct mr_rand r;
		struct life l;

		mr_rand_init(&r, seed);
		mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = seed});
		life_model_init(&m);
		assert_int_equal(life_begin(&l, &sim, &m, &plain_options), 0);
		for (int t = 0; t < 40; t++) {
			for (int i = 0; i < 6; i++)
				(void)!life_append(&l, &r, 9000);
			if (t == 20)
				sim.fault = (struct mr_io_sim_fault){sim.ops + 1, false, -EIO};
			life_turn(&l);
		}
		life_settle(&l);
		if (mr_log_stats(l.log)->failures && !mr_log_state(l.log)) {
			assert_true(mr_log_durable(l.log) == mr_log_head(l.log));
			went_on++;
		}
		if (seed % 2) {
			assert_int_equal(life_close_log(&l), 0);
		} else {
			mr_io_sim_power_cut(&sim);
		}
		life_end(&l);
		assert_int_equal(life_begin(&l, &sim, &m, &look_options), 0);
		assert_int_equal(life_check(&l, false), 0);
		assert_int_equal(m.lost + m.wrong, 0);
		for (int p = 0; p < LIFE_PARTITIONS; p++) {
			if (m.parts[p].acked == 0)
				continue;
			assert_true(m.parts[p].acked == m.parts[p].sent);
		}
		life_end(&l);
		mr_io_sim_fini(&sim);
		life_model_fini(&m);
	}
	assert_true(went_on > 20);
}

static void log_stops_after_a_second_failure(void **)
{
	struct mr_io_sim sim;
	struct life_model m;
	struct mr_rand r;
	struct life l;
	uint64_t acked;

	mr_rand_init(&r, 3);
	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 3});
	life_model_init(&m);
	assert_int_equal(life_begin(&l, &sim, &m, &plain_options), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(life_append(&l, &r, 500), 0);
	life_settle(&l);
	acked = mr_log_durable(l.log);
	sim.fault = (struct mr_io_sim_fault){sim.ops + 1, true, -EIO};
	assert_int_equal(life_append(&l, &r, 500), 0);
	life_settle(&l);
	assert_int_equal(mr_log_state(l.log), MR_ERR_STOPPED);
	assert_int_equal(l.stopped, -EIO);
	assert_int_equal(life_append(&l, &r, 500), MR_ERR_STOPPED);
	assert_true(mr_log_durable(l.log) == acked);
	assert_non_null(mr_log_hot(l.log, 0, 64));
	life_end(&l);
	mr_io_sim_fini(&sim);
	life_model_fini(&m);
}

// One bit flipped at each of the first `step_in_page` bytes of each 4 KiB of a file. Damage at or
// behind `lossless_below` may look like a torn tail.
static void flip_everywhere(struct mr_io_sim *sim, struct life_model *m, const char *name,
	uint64_t step_in_page, uint64_t bytes_max, uint64_t lossless_below)
{
	uint64_t refused = 0, harmless = 0;

	for (uint64_t at = 0; at < bytes_max; at++) {
		struct mr_io_sim copy;
		struct life l;
		bool may_lose = at >= lossless_below;
		int rc;

		if (at % MR_IO_ALIGN >= step_in_page)
			continue;
		mr_io_sim_clone(&copy, sim, 1);
		if (!mr_io_sim_flip(&copy, name, at, (uint8_t)(1u << at % 8))) {
			mr_io_sim_fini(&copy);
			break;
		}
		rc = life_begin(&l, &copy, m, &look_options);
		if (!rc)
			rc = life_check(&l, false);
		if (rc == 0) {
			if (m->wrong || (m->lost && !may_lose))
				print_error("%s at=%llu lost=%llu wrong=%llu\n", name,
					(unsigned long long)at, (unsigned long long)m->lost,
					(unsigned long long)m->wrong);
			assert_int_equal(m->wrong, 0);
			assert_true(m->lost == 0 || may_lose);
			harmless++;
		} else {
			assert_true(rc == MR_ERR_CORRUPT || rc == MR_ERR_VERSION ||
				    rc == MR_ERR_FOREIGN);
			assert_true(l.message[0] != 0);
			refused++;
		}
		life_end(&l);
		mr_io_sim_fini(&copy);
	}
	print_message("%s: %llu refused, %llu harmless\n", name, (unsigned long long)refused,
		(unsigned long long)harmless);
}

static void small_store(struct mr_io_sim *sim, struct life_model *m, bool clean)
{
	struct mr_rand r;
	struct life l;

	mr_rand_init(&r, 5);
	mr_io_sim_init(sim, &(struct mr_io_sim_options){.seed = 5});
	life_model_init(m);
	assert_int_equal(life_begin(&l, sim, m, &plain_options), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(life_append(&l, &r, 300), 0);
		assert_int_equal(life_append(&l, &r, 300), 0);
		life_settle(&l);
	}
	if (clean)
		assert_int_equal(life_close_log(&l), 0);
	mr_io_sim_power_cut(sim);
	life_end(&l);
}

static void flipped_byte_of_a_closed_log_is_refused_or_harmless(void **)
{
	struct mr_io_sim sim;
	struct life_model m;

	small_store(&sim, &m, true);
	flip_everywhere(&sim, &m, "log/0000000000000001.mlog", 800, 32 << 10, UINT64_MAX);
	mr_io_sim_fini(&sim);
	life_model_fini(&m);
}

// The last frame of a log that was not closed cannot be told from a torn one; all before it can.
static void flipped_byte_of_an_open_log_is_never_wrong_data(void **)
{
	struct mr_io_sim sim;
	struct life_model m;

	small_store(&sim, &m, false);
	flip_everywhere(&sim, &m, "log/0000000000000001.mlog", 800, 20 << 10, 12 << 10);
	mr_io_sim_fini(&sim);
	life_model_fini(&m);
}

static void flipped_byte_of_the_manifest_is_refused_or_harmless(void **)
{
	struct mr_io_sim sim;
	struct life_model m;

	small_store(&sim, &m, true);
	flip_everywhere(&sim, &m, "super", 80, 8 << 10, UINT64_MAX);
	// Its last frame may look torn; the log store then recovers the log itself.
	flip_everywhere(&sim, &m, "manifest.0", 400, 28 << 10, UINT64_MAX);
	flip_everywhere(&sim, &m, "FORMAT", 80, 80, UINT64_MAX);
	mr_io_sim_fini(&sim);
	life_model_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_may_fail_with_eio),
		cmocka_unit_test(every_operation_may_fail_with_enospc),
		cmocka_unit_test(log_goes_on_in_a_new_file_after_a_failed_write),
		cmocka_unit_test(log_stops_after_a_second_failure),
		cmocka_unit_test(flipped_byte_of_a_closed_log_is_refused_or_harmless),
		cmocka_unit_test(flipped_byte_of_an_open_log_is_never_wrong_data),
		cmocka_unit_test(flipped_byte_of_the_manifest_is_refused_or_harmless),
	};

	mr_note_level_set((enum mr_note_level)(MR_NOTE_ERR - 1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
