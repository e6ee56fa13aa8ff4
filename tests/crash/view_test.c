// Stored views on the simulated disk, with the power cut or the process killed at any flush: after
// every restart, with any number of workers, a view is exactly its query over all rows of the log,
// and one that was whole before is not folded again. Dropped at any moment of a merging of its
// runs, it leaves no file and no record.
//
// A life (tests/lib/view_life.h) replays from where the segments end, goes on with new rows, closes
// and seals pieces, makes and drops views, reads, merges runs and lets segments expire, by seed,
// until a flush kills it or it ends well.
#include "tests/lib/mr_test.h"
#include "tests/lib/view_life.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 60, LIVES = 14 };

static void replay(struct view_life *l)
{
	for (uint32_t p = 0; p < VIEW_PARTITIONS; p++)
		view_life_apply(l, p, mr_table_held(l->table, p), l->world->end[p]);
}

static void merge_runs(struct view_life *l)
{
	struct mr_diag diag;

	for (int i = 0; i < VIEW_VIEWS && !l->dead; i++)
		if (l->views[i])
			view_life_ok(l, mr_view_merge_runs(&l->tools, l->views[i], &diag));
}

static void step(struct view_life *l)
{
	struct mr_rand *r = &l->world->rand;
	uint32_t p = (uint32_t)mr_rand_below(r, VIEW_PARTITIONS),
		 which = (uint32_t)mr_rand_below(r, VIEW_VIEWS);
	uint32_t index = (uint32_t)mr_rand_below(r, l->workers_count);
	int64_t rows = (int64_t)mr_rand_below(r, 200);

	switch (mr_rand_below(r, 17)) {
	case 0:
		if (l->views[which])
			view_life_drop(l, (int)which);
		else
			view_life_make(l, (int)which);
		break;
	case 1: merge_runs(l); break;
	case 2: view_life_check(l); break;
	case 16: view_life_expire(l); break;
	case 3:
	case 4:
	case 5:
	case 6: view_life_close(l, index); break;
	case 7:
	case 8:
	case 9: view_life_seal(l, index); break;
	default:
		view_life_apply(l, p, l->world->end[p], l->world->end[p] + rows);
		l->world->end[p] += rows;
		break;
	}
}

static void live(struct view_world *w, bool dies)
{
	struct view_life l;

	view_life_begin(&l, w);
	if (dies)
		w->sim.die_at_flush = w->sim.flushes + 1 + mr_rand_below(&w->rand, 60);
	view_life_start_views(&l);
	if (!l.dead) {
		replay(&l);
		view_life_check(&l);
	}
	for (int i = 0; i < STEPS && !l.dead; i++)
		step(&l);
	view_life_check(&l);
	w->deaths += l.dead;
	view_life_end(&l);
	if (mr_rand_below(&w->rand, 2))
		mr_io_sim_kill(&w->sim);
	else
		mr_io_sim_power_cut(&w->sim);
	w->sim.die_at_flush = 0;
}

static void world_run(uint64_t seed, size_t budget_bytes)
{
	struct view_world w = {.next_view_id = VIEW_FIRST_ID, .budget_bytes = budget_bytes};

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&w.rand, seed);
	mr_io_sim_init(&w.sim, &(struct mr_io_sim_options){.seed = seed});
	for (int i = 0; i < LIVES; i++)
		live(&w, i % 3 != 0);
	live(&w, false);
	print_message("%llu deaths, %llu reads, %llu of them without base, %llu refills, %llu runs "
		      "merged, %zu bytes for work\n",
		(unsigned long long)w.deaths, (unsigned long long)w.reads,
		(unsigned long long)w.spilled, (unsigned long long)w.refills,
		(unsigned long long)w.merges, w.work_peak);
	assert_true(w.deaths > 0 && w.reads > 0 && w.work_peak > 0);
	mr_io_sim_fini(&w.sim);
}

static void view_is_its_query_after_any_crash(void **)
{
	uint64_t seed = mr_rand_seed_os();

	for (uint64_t i = 0; i < 3; i++)
		world_run(seed + i, 64 << 20);
}

static void view_without_base_is_its_query_after_any_crash(void **)
{
	uint64_t seed = mr_rand_seed_os();

	for (uint64_t i = 0; i < 3; i++)
		world_run(seed + i, 1 << 20);
}

// ---- dropped while its runs are merged

// The disk, with the view dropped before the n-th call that merging makes. While that commits, a
// drop waits: it is then another thread's. All calls are one at a time, as the disk wants it.
static struct dropping {
	const struct mr_disk_ops *disk;
	pthread_mutex_t lock;
	struct view_life *life;
	struct mr_file *made; // the merged run
	uint64_t calls, at;   // 0: when it commits
	bool dropped, threaded;
	pthread_t thread;
} dropping = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *drop_main(void *)
{
	view_life_drop(dropping.life, 0);
	return NULL;
}

static void merging_calls(const struct mr_file *f)
{
	bool commits = f && f != dropping.made;
	bool now =
		!dropping.dropped && (commits ? dropping.at == 0 : ++dropping.calls == dropping.at);

	if (!now)
		return;
	dropping.dropped = true;
	dropping.threaded = commits;
	if (commits)
		assert_int_equal(pthread_create(&dropping.thread, NULL, drop_main, NULL), 0);
	else
		drop_main(NULL);
}

static int hooked_open(struct mr_disk *d, const char *name, unsigned flags, struct mr_file **out)
{
	int rc;

	merging_calls(NULL);
	pthread_mutex_lock(&dropping.lock);
	rc = dropping.disk->open(d, name, flags, out);
	pthread_mutex_unlock(&dropping.lock);
	if (flags & MR_FILE_CREATE)
		dropping.made = *out;
	return rc;
}

static int hooked_write(struct mr_file *f, uint64_t offset, const void *data, size_t bytes)
{
	int rc;

	merging_calls(f);
	pthread_mutex_lock(&dropping.lock);
	rc = dropping.disk->write(f, offset, data, bytes);
	pthread_mutex_unlock(&dropping.lock);
	return rc;
}

static int hooked_sync(struct mr_file *f)
{
	int rc;

	merging_calls(f);
	pthread_mutex_lock(&dropping.lock);
	rc = dropping.disk->sync(f);
	pthread_mutex_unlock(&dropping.lock);
	return rc;
}

static int hooked_sync_dir(struct mr_disk *d, const char *name)
{
	int rc;

	merging_calls(NULL);
	pthread_mutex_lock(&dropping.lock);
	rc = dropping.disk->sync_dir(d, name);
	pthread_mutex_unlock(&dropping.lock);
	return rc;
}

static int hooked_unlink(struct mr_disk *d, const char *name)
{
	int rc;

	merging_calls(NULL);
	pthread_mutex_lock(&dropping.lock);
	rc = dropping.disk->unlink(d, name);
	pthread_mutex_unlock(&dropping.lock);
	return rc;
}

static int is_left(void *, const char *entry)
{
	fail_msg("run/%s is left", entry);
	return 0;
}

static void expect_no_runs(struct view_life *l)
{
	struct mr_run **list;

	assert_int_equal(mr_run_store_list(l->runs, 0, &list), 0);
	free(list);
	assert_int_equal(mr_disk_list(&l->world->sim.disk, "run", is_left, NULL), 0);
}

static void merge_and_drop(struct view_life *l)
{
	struct mr_view *v = mr_view_get(l->views[0]);
	struct mr_disk *disk = &l->world->sim.disk;
	struct mr_disk_ops hooked = *disk->ops;
	struct mr_diag diag;

	hooked.open = hooked_open;
	hooked.write = hooked_write;
	hooked.sync = hooked_sync;
	hooked.sync_dir = hooked_sync_dir;
	hooked.unlink = hooked_unlink;
	dropping.disk = disk->ops;
	dropping.life = l;
	dropping.dropped = dropping.threaded = false;
	dropping.calls = 0;
	disk->ops = &hooked;
	assert_true(mr_view_merge_runs(&l->tools, v, &diag) >= 0);
	if (dropping.threaded)
		pthread_join(dropping.thread, NULL);
	disk->ops = dropping.disk;
	if (!dropping.dropped)
		view_life_drop(l, 0);
	// As the snapshot does that the merging thread has.
	mr_view_put(v);
}

// Whether it was dropped while runs were merged.
static bool dropped_at(uint64_t call)
{
	struct view_world w = {.next_view_id = VIEW_FIRST_ID, .budget_bytes = 64 << 20};
	struct view_life l;

	mr_rand_init(&w.rand, call);
	mr_io_sim_init(&w.sim, &(struct mr_io_sim_options){.seed = call});
	view_life_begin(&l, &w);
	view_life_make(&l, 0);
	for (int i = 0; i < 9; i++) {
		view_life_apply(&l, 0, w.end[0], w.end[0] + 50);
		w.end[0] += 50;
		view_life_close(&l, 0);
		view_life_seal(&l, 0);
	}
	dropping.at = call;
	merge_and_drop(&l);
	expect_no_runs(&l);
	view_life_end(&l);
	mr_io_sim_kill(&w.sim);
	view_life_begin(&l, &w);
	expect_no_runs(&l);
	view_life_end(&l);
	mr_io_sim_fini(&w.sim);
	return dropping.dropped;
}

static void view_dropped_at_any_moment_of_a_merging_leaves_nothing(void **)
{
	uint64_t call = 1;

	while (dropped_at(call))
		call++;
	print_message("%llu calls\n", (unsigned long long)call - 1);
	// The sources are opened, the run is made, written and flushed, the sources are removed.
	assert_true(call > 8 + 5 + 8);
	// In the moment after the commit, wherever the two threads are then.
	for (int i = 0; i < 50; i++)
		assert_true(dropped_at(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(view_is_its_query_after_any_crash),
		cmocka_unit_test(view_without_base_is_its_query_after_any_crash),
		cmocka_unit_test(view_dropped_at_any_moment_of_a_merging_leaves_nothing),
	};

	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
