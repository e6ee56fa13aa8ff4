// Power cuts on the simulated disk, by seed: nothing acknowledged is lost, nothing is doubled, and
// recovery may itself be cut at every flush. A control that does not flush must be caught.
#include "tests/lib/log_life.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEEDS = 150, ROUNDS = 3 };

static const struct life_options plain_options = {0};
static const struct life_options look_options = {.read_only = true};

// Appends until a random moment, then the power goes or the process dies.
static void live_and_die(struct life *l, struct mr_rand *r, bool clean)
{
	uint64_t turns = 1 + mr_rand_below(r, clean ? 120 : 60);
	uint32_t bytes_max = (uint32_t[]){200, 3000, 40000}[mr_rand_below(r, 3)];

	for (uint64_t t = 0; t < turns; t++) {
		uint64_t appends = mr_rand_below(r, 12);

		for (uint64_t i = 0; i < appends && life_append(l, r, bytes_max) == 0; i++)
			;
		mr_log_flush(l->log);
		if (mr_rand_below(r, 3))
			life_turn(l);
		if (clean && mr_rand_below(r, 20) == 0)
			life_retain_and_clean(l, r);
	}
	if (clean) {
		life_settle(l);
		// The power goes at some flush of a cleaning, or of what comes behind it.
		l->sim->die_at_flush = l->sim->flushes + 1 + mr_rand_below(r, 8);
		life_retain_and_clean(l, r);
		if (!l->sim->dead)
			life_turn(l);
		l->sim->die_at_flush = l->sim->dead ? l->sim->die_at_flush : 0;
	} else if (mr_rand_below(r, 8) == 0)
		assert_int_equal(life_close_log(l), 0);
	if (mr_rand_below(r, 4) == 0)
		mr_io_sim_kill(l->sim);
	else
		mr_io_sim_power_cut(l->sim);
	life_end(l);
}

// Recovers, dying at the n-th flush for n = 1, 2, … until a recovery gets through.
static void recover_through_cuts(struct mr_io_sim *sim, struct life_model *m)
{
	for (uint64_t n = 1;; n++) {
		struct life l;
		int rc;

		assert_true(n < 1000);
		sim->die_at_flush = sim->flushes + n;
		rc = life_begin(&l, sim, m, &look_options);
		if (!rc && !sim->dead) {
			sim->die_at_flush = 0;
			life_end(&l);
			return;
		}
		assert_true(rc != MR_ERR_CORRUPT && rc != MR_ERR_VERSION);
		if (n % 2)
			mr_io_sim_power_cut(sim);
		else
			mr_io_sim_kill(sim);
		life_end(&l);
	}
}

// The same image recovered twice gives the same bytes.
static void recover_twice_alike(const struct mr_io_sim *sim, struct life_model *m)
{
	uint64_t digests[2];

	for (int i = 0; i < 2; i++) {
		struct mr_io_sim copy;
		struct life l;

		mr_io_sim_clone(&copy, sim, 1);
		assert_int_equal(life_begin(&l, &copy, m, &look_options), 0);
		digests[i] = mr_io_sim_digest(&copy);
		life_end(&l);
		mr_io_sim_fini(&copy);
	}
	assert_true(digests[0] == digests[1]);
}

struct verdict {
	uint64_t lost;
	uint64_t wrong;
	uint64_t refused;
	uint64_t batches;
	uint64_t cleanings;
};

static void run_seed(uint64_t seed, bool no_flush, bool clean, struct verdict *v)
{
	struct mr_io_sim_options o = {
		.seed = seed, .sector = seed % 2 ? 512 : 4096, .no_flush = no_flush};
	struct life_model m;
	struct mr_io_sim sim;
	struct mr_rand r;

	mr_rand_init(&r, seed);
	life_model_init(&m);
	mr_io_sim_init(&sim, &o);
	for (int round = 0; round < ROUNDS; round++) {
		struct life l;
		int rc = life_begin(&l, &sim, &m, &plain_options);

		if (!rc)
			rc = life_check(&l, true);
		v->lost += m.lost;
		v->wrong += m.wrong;
		v->refused += rc != 0;
		v->batches += m.batches;
		if (rc || m.lost || m.wrong) {
			if (!no_flush)
				print_error("seed=%llu round=%d rc=%d lost=%llu wrong=%llu %s\n",
					(unsigned long long)seed, round, rc,
					(unsigned long long)m.lost, (unsigned long long)m.wrong,
					l.message);
			life_end(&l);
			break;
		}
		live_and_die(&l, &r, clean);
		if (!no_flush) {
			if (round == 1) {
				mr_io_sim_power_cut(&sim);
				recover_twice_alike(&sim, &m);
			}
			recover_through_cuts(&sim, &m);
		}
	}
	v->cleanings += m.cleanings;
	mr_io_sim_fini(&sim);
	life_model_fini(&m);
}

static void run_seeds(bool clean)
{
	const char *from = getenv("MILLRACE_SEED");
	uint64_t first = from ? strtoull(from, NULL, 0) : 1;
	uint64_t count = from ? 1 : SEEDS;
	struct verdict v = {0};

	for (uint64_t seed = first; seed < first + count; seed++)
		run_seed(seed, false, clean, &v);
	print_message("seeds=%llu batches=%llu cleanings=%llu\n", (unsigned long long)count,
		(unsigned long long)v.batches, (unsigned long long)v.cleanings);
	assert_int_equal(v.lost, 0);
	assert_int_equal(v.wrong, 0);
	assert_int_equal(v.refused, 0);
	assert_true(v.batches > 1000 || from);
	assert_true(!clean || v.cleanings > 100 || from);
}

static void log_survives_power_cuts(void **)
{
	run_seeds(false);
}

// Retention gives up most of what there is, the rest is moved, and the power goes at any flush of
// that: nothing kept is lost, moved by halves or there twice.
static void cleaning_survives_power_cuts(void **)
{
	run_seeds(true);
}

static void control_without_flush_is_caught(void **)
{
	struct verdict v = {0};

	for (uint64_t seed = 1; seed <= 20; seed++)
		run_seed(seed, true, seed % 2, &v);
	assert_true(v.lost + v.wrong + v.refused > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_survives_power_cuts),
		cmocka_unit_test(cleaning_survives_power_cuts),
		cmocka_unit_test(control_without_flush_is_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
