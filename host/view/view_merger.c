// The thread that merges runs, and what it merges.
#include "host/view/view_merger.h"

#include "host/base/note.h"
#include "host/control.h"
#include "host/view/view_int.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

// TIER_RUNS alike are merged. A tier ends at eight times the size where it begins.
enum { TIER_RUNS = 8, TIER_FIRST_BYTES = 1 << 20, TIER_FACTOR = 8, TIERS = 16, RETRY_S = 30 };

// ---- one merging

static int tier_of(const struct mr_run *run)
{
	uint64_t bytes = run->info.file_bytes;
	int tier = 0;

	for (; bytes >= TIER_FIRST_BYTES && tier < TIERS - 1; bytes /= TIER_FACTOR)
		tier++;
	return tier;
}

// The runs of the lowest tier that is full.
static int choose(struct mr_view *v, struct mr_view_sources *out)
{
	uint32_t counts[TIERS] = {0};
	int tier = 0;

	*out = (struct mr_view_sources){0};
	pthread_mutex_lock(&v->lock);
	for (uint32_t i = 0; i < v->runs_count; i++)
		counts[tier_of(v->runs[i])]++;
	while (tier < TIERS && counts[tier] < TIER_RUNS)
		tier++;
	if (tier < TIERS)
		out->runs = calloc(counts[tier], sizeof(struct mr_run *));
	for (uint32_t i = 0; out->runs && i < v->runs_count; i++)
		if (tier_of(v->runs[i]) == tier)
			out->runs[out->runs_count++] = mr_run_get(v->runs[i]);
	pthread_mutex_unlock(&v->lock);
	return tier < TIERS && !out->runs ? -ENOMEM : (int)out->runs_count;
}

// 1: the view or its table has been dropped or emptied meanwhile.
static int commit(struct mr_view *v, const struct mr_view_sources *s, struct mr_run_info *info)
{
	struct mr_view_ranges ranges = {0};
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < s->runs_count; i++)
		rc = mr_view_ranges_add(
			&ranges, s->runs[i]->info.ranges, s->runs[i]->info.ranges_count);
	info->ranges = ranges.items;
	info->ranges_count = ranges.count;
	mr_segment_store_lock_commits(v->host->segments);
	if (rc == 0 && (v->retired || v->table->retired))
		rc = 1;
	else if (rc == 0)
		rc = mr_run_store_commit(v->host->runs, info, 1, s->runs, s->runs_count);
	mr_segment_store_unlock_commits(v->host->segments);
	free(ranges.items);
	return rc;
}

static int merge(struct mr_view_tools *t, struct mr_view *v, const struct mr_view_sources *s,
	struct mr_diag *diag)
{
	struct mr_run_info info;
	struct mr_run *run;
	int rc = mr_view_write(t, v, s, &info, diag);

	if (rc < 0)
		return rc;
	rc = mr_run_sync(t->writer);
	if (rc < 0) {
		mr_view_unlink(v, &info);
		return rc;
	}
	rc = commit(v, s, &info);
	if (rc == 1 || rc == -ENOSPC || rc == -ENOMEM)
		mr_view_unlink(v, &info);
	if (rc != 0)
		return MR_MIN(rc, 0);
	run = mr_run_store_find(v->host->runs, info.id);
	if (!run)
		return 0;
	mr_view_swap_runs(v, s->runs, s->runs_count, run);
	mr_view_count(&v->stats.runs_merged, s->runs_count);
	return 1;
}

int mr_view_merge_runs(struct mr_view_tools *t, struct mr_view *v, struct mr_diag *diag)
{
	struct mr_view_sources s;
	int rc = choose(v, &s);

	memset(diag, 0, sizeof(*diag));
	if (rc > 0)
		rc = merge(t, v, &s, diag);
	mr_view_sources_fini(&s);
	return rc;
}

// ---- the thread

struct mr_view_merger {
	struct mr_control *control;
	struct mr_view_tools tools;
	pthread_t thread;
	bool running;
	_Atomic bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool poked; // under lock
};

void mr_view_merger_poke(struct mr_view_merger *m)
{
	pthread_mutex_lock(&m->lock);
	m->poked = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
}

static bool stopping(const struct mr_view_merger *m)
{
	return atomic_load_explicit(&m->stopping, memory_order_relaxed);
}

// False: something failed and is tried again later.
static bool merge_all(struct mr_view_merger *m)
{
	struct mr_snapshot *s = mr_control_snapshot(m->control);
	bool well = true;

	for (size_t i = 0; i < s->views_count && !stopping(m); i++) {
		struct mr_view *v = s->views[i];
		struct mr_diag diag;
		int rc = 1;

		while (rc == 1 && !stopping(m) &&
			atomic_load_explicit(&v->ready, memory_order_acquire))
			rc = mr_view_merge_runs(&m->tools, v, &diag);
		if (rc >= 0 || stopping(m))
			continue;
		well = false;
		mr_note(MR_NOTE_ERR, "view", "event=merge_failed view=%s retry_s=%d error=\"%s\"",
			v->def->name, (int)RETRY_S,
			diag.message[0] ? diag.message : mr_err_text(rc));
	}
	mr_snapshot_put(s);
	return well;
}

// Returns when there is something to do.
static void wait_poked(struct mr_view_merger *m, bool well)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RETRY_S;
	pthread_mutex_lock(&m->lock);
	// After a failure new runs do not hasten the next try.
	while (!stopping(m) && (!well || !m->poked)) {
		if (well)
			pthread_cond_wait(&m->wake, &m->lock);
		else if (pthread_cond_clockwait(&m->wake, &m->lock, CLOCK_MONOTONIC, &until) ==
			 ETIMEDOUT)
			break;
	}
	m->poked = false;
	pthread_mutex_unlock(&m->lock);
}

static void *merger_main(void *arg)
{
	struct mr_view_merger *m = arg;

	mr_thread_name("mr-view-merge");
	mr_control_place_background(m->control);
	while (!stopping(m))
		wait_poked(m, merge_all(m));
	return NULL;
}

int mr_view_merger_create(struct mr_control *c, struct mr_view_merger **out)
{
	struct mr_view_merger *m = calloc(1, sizeof(*m));
	int rc = m ? mr_view_tools_init(&m->tools, c->disk) : -ENOMEM;

	if (rc < 0) {
		free(m);
		return rc;
	}
	m->control = c;
	m->tools.cancelled = &m->stopping;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->wake, NULL);
	*out = m;
	return 0;
}

int mr_view_merger_start(struct mr_view_merger *m)
{
	int rc = pthread_create(&m->thread, NULL, merger_main, m);

	m->running = rc == 0;
	return -rc;
}

void mr_view_merger_stop(struct mr_view_merger *m)
{
	if (!m || !m->running)
		return;
	atomic_store_explicit(&m->stopping, true, memory_order_relaxed);
	mr_view_merger_poke(m);
	pthread_join(m->thread, NULL);
	m->running = false;
}

void mr_view_merger_destroy(struct mr_view_merger *m)
{
	if (!m)
		return;
	mr_view_tools_fini(&m->tools);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->wake);
	free(m);
}
