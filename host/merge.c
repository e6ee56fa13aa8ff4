// The merging thread.
#include "host/merge.h"

#include "host/base/note.h"
#include "host/base/stat.h"
#include "host/control.h"
#include "host/seal.h"
#include "host/worker.h"
#include "storage/segment_merge.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>

enum {
	ROUND_MS = 1000,
	RETRY_MS = 30000,
	LEVEL_FULL = 9,
	MERGE_NICE = 15, // behind SQL and sealing
	// A merge makes way for sealing this long before a block, and then goes on all the same.
	WAY_NS = 5000000,
	WAY_TIMES = 20,
};

// A VACUUM that waits; its caller's memory.
struct request {
	struct mr_message message;
	struct request *next;
	uint64_t table_id;
	_Atomic bool *cancelled;
	struct mr_diag *diag;
	int rc;
	sem_t done;
};

struct mr_merge {
	struct mr_control *control;
	struct mr_mailbox box;
	pthread_t thread;
	bool running;
	_Atomic bool stopping;
	pthread_mutex_t moving; // held while segments change their parts, and by mr_merge_hold
	// The thread's.
	struct request *requests, **requests_tail;
	struct request *serving; // NULL: the merge under way is nobody's
	int64_t retry_ns;        // no background merge before
	bool short_of_disk;
	struct mr_merge_stats stats;
};

static bool is_stopping(const struct mr_merge *g)
{
	return atomic_load_explicit(&g->stopping, memory_order_relaxed);
}

static bool is_cancelled(const struct request *r)
{
	return r->cancelled && atomic_load_explicit(r->cancelled, memory_order_relaxed);
}

// ---- requests

static void handle_request(struct mr_message *m, void *owner)
{
	struct mr_merge *g = owner;
	struct request *r = MR_CONTAINER(m, struct request, message);

	r->next = NULL;
	*g->requests_tail = r;
	g->requests_tail = &r->next;
}

static void answer(struct request *r, int rc)
{
	r->rc = rc;
	sem_post(&r->done);
}

static int cancelled_error(struct mr_diag *diag)
{
	return mr_diag_set(
		diag, MR_ERR_CANCELLED, "57014", 0, "canceling statement due to user request");
}

// Takes what has come, and answers those that do not want to wait any more.
static void take_requests(struct mr_merge *g)
{
	struct request **at = &g->requests;

	mr_mailbox_drain(&g->box, g);
	while (*at) {
		struct request *r = *at;

		if (!is_cancelled(r) && !is_stopping(g)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		answer(r, cancelled_error(r->diag));
	}
	g->requests_tail = at;
}

// ---- putting segments into force

struct move {
	struct mr_table *table;
	struct mr_segment *const *old; // ascending by address
	uint32_t old_count;
	struct mr_piece *by; // taken by the part it belongs to
	uint32_t by_part;
};

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (struct mr_segment *const *)a;
	uintptr_t y = (uintptr_t) * (struct mr_segment *const *)b;

	return x < y ? -1 : x > y;
}

static void move_on_worker(struct mr_worker *w, void *arg)
{
	struct move *m = arg;

	mr_table_part_swap(
		m->table->parts[w->id], m->old, m->old_count, w->id == m->by_part ? m->by : NULL);
}

// Takes the old segments out of all parts and the new one, if any, into one of them.
static void put_in_force(struct mr_merge *g, struct mr_table *t, struct mr_segment **old,
	uint32_t count, struct mr_segment *by)
{
	struct move m = {.table = t, .old = old, .old_count = count};
	struct mr_control *c = g->control;

	if (by) {
		int rc = mr_piece_create(t->parts[0], &m.by);

		MR_ASSERT(rc == 0);
		m.by_part = (uint32_t)(by->info.id % t->parts_count);
		m.by->part = t->parts[m.by_part];
		m.by->segment = by;
		m.by->closed = m.by->handed = true;
	}
	qsort(old, count, sizeof(struct mr_segment *), by_address);
	pthread_mutex_lock(&g->moving);
	mr_table_move_begin(t);
	mr_workers_call(c->workers, c->workers_count, move_on_worker, &m);
	mr_table_move_end(t);
	pthread_mutex_unlock(&g->moving);
}

void mr_merge_hold(struct mr_merge *g)
{
	if (g)
		pthread_mutex_lock(&g->moving);
}

void mr_merge_release(struct mr_merge *g)
{
	if (g)
		pthread_mutex_unlock(&g->moving);
}

// ---- one merge

// Before each block.
static int step(void *ctx)
{
	const struct timespec pause = {0, WAY_NS};
	struct mr_merge *g = ctx;

	take_requests(g);
	if (is_stopping(g) || (g->serving && is_cancelled(g->serving)))
		return MR_ERR_CANCELLED;
	for (int i = 0; i < WAY_TIMES && mr_seal_busy(g->control->seal); i++) {
		mr_stat_add(&g->stats.seal_waits, i == 0);
		nanosleep(&pause, NULL);
	}
	return 0;
}

// Room for the output, so that what is left is still the reserve.
static bool has_room(struct mr_merge *g, struct mr_segment *const *in, uint32_t count)
{
	int64_t free = mr_disk_bytes_free(g->control->disk);
	uint64_t bytes = g->control->config->disk_reserve_bytes;

	for (uint32_t i = 0; i < count; i++)
		bytes += in[i]->info.file_bytes;
	if (free < 0 || (uint64_t)free >= bytes)
		return true;
	mr_stat_add(&g->stats.disk_waits, 1);
	if (!g->short_of_disk)
		mr_note(MR_NOTE_WARN, "merge", "event=no_room free=%lld wanted=%llu",
			(long long)free, (unsigned long long)bytes);
	g->short_of_disk = true;
	return false;
}

// Commits the merged segment, unless its table was dropped or emptied meanwhile (1).
static int commit(struct mr_merge *g, struct mr_table *t, const struct mr_segment_info *info,
	struct mr_segment *const *in, uint32_t count, struct mr_segment **out)
{
	struct mr_segment_store *store = g->control->segments;
	char name[MR_SEGMENT_NAME_BYTES];
	int rc;

	mr_segment_store_lock_commits(store);
	rc = t->retired ? 1 : mr_segment_store_replace(store, info, in, count, out);
	mr_segment_store_unlock_commits(store);
	mr_segment_name(info->id, name);
	// After a failed append the record may or may not be there: the file stays, and the next
	// start decides.
	if (rc == 1)
		(void)!mr_disk_unlink(g->control->disk, name);
	if (rc != 0)
		free(info->ranges);
	return rc;
}

static void note_merged(struct mr_merge *g, const struct mr_table *t,
	const struct mr_segment_info *info, uint64_t bytes_read, uint32_t count, int64_t ns)
{
	mr_stat_add(&g->stats.merges, 1);
	mr_stat_add(&g->stats.segments, count);
	mr_stat_add(&g->stats.rows, info->rows + info->dead_rows);
	mr_stat_add(&g->stats.bytes_read, bytes_read);
	mr_stat_add(&g->stats.bytes_written, info->file_bytes);
	mr_stat_add(&g->stats.busy_us, (uint64_t)ns / 1000);
	mr_note(MR_NOTE_INFO, "merge",
		"event=merged table=%s segments=%u rows=%llu bytes=%llu into=%llu ms=%llu",
		t->def->name, count, (unsigned long long)info->rows, (unsigned long long)bytes_read,
		(unsigned long long)info->file_bytes, (unsigned long long)ns / 1000000);
}

static void note_failed(
	struct mr_merge *g, const struct mr_table *t, int rc, const struct mr_diag *diag)
{
	if (rc == MR_ERR_CANCELLED)
		return;
	if (rc == MR_ERR_CORRUPT) {
		mr_stat_add(&g->stats.damaged, 1);
	} else {
		mr_stat_add(&g->stats.failures, 1);
		atomic_store_explicit(&g->stats.failing, 1, memory_order_relaxed);
		g->retry_ns = mr_now_ns(g->control->clock) + (int64_t)RETRY_MS * 1000000;
	}
	mr_note(MR_NOTE_ERR, "merge", "event=%s table=%s error=\"%s\"",
		rc == MR_ERR_CORRUPT ? "damaged" : "failed", t->def->name, diag->message);
}

// Merges `count` segments, of which the caller keeps its references. 0, 1: the table is gone, or
// negative with diag.
static int merge_some(struct mr_merge *g, struct mr_table *t, struct mr_segment **in,
	uint32_t count, int level, struct mr_diag *diag)
{
	struct mr_control *c = g->control;
	struct mr_segment_info info = {.id = mr_segment_store_id(c->segments)};
	struct mr_segment_merge m = {.disk = c->disk,
		.inputs = in,
		.inputs_count = count,
		.level = level,
		.gather_bytes = c->config->merge_memory_bytes / 16,
		.step = step,
		.ctx = g};
	int64_t start = mr_now_ns(c->clock);
	struct mr_segment *out = NULL;
	uint64_t bytes = 0;
	int rc = mr_segment_merge_run(&m, &info, diag);

	if (m.bytes_peak > atomic_load_explicit(&g->stats.memory_bytes, memory_order_relaxed))
		atomic_store_explicit(&g->stats.memory_bytes, m.bytes_peak, memory_order_relaxed);
	if (rc == 0) {
		rc = commit(g, t, &info, in, count, &out);
		if (rc < 0)
			mr_diag_set(diag, rc, "58030", 0, "cannot write the manifest: %s",
				mr_err_text(rc));
	}
	if (rc < 0)
		note_failed(g, t, rc, diag);
	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < count; i++)
		bytes += in[i]->info.file_bytes;
	atomic_store_explicit(&g->stats.failing, 0, memory_order_relaxed);
	note_merged(g, t, &out->info, bytes, count, mr_now_ns(c->clock) - start);
	put_in_force(g, t, in, count, out);
	return 0;
}

// ---- tables

bool mr_merge_may_join(
	const struct mr_table *, const struct mr_segment_info *, const struct mr_segment_info *)
{
	// Views keep runs that are committed with segments, and for whole segments: all of them
	// hold what is sealed.
	return true;
}

static struct mr_merge_limits limits_of(
	const struct mr_merge *g, const struct mr_table *t, bool all)
{
	const struct mr_config *o = g->control->config;

	return (struct mr_merge_limits){
		// The codes of a column of one merge take four bytes a row: a quarter of the
		// memory.
		.rows_whole = MR_MIN(o->merge_rows, o->merge_memory_bytes / 32),
		.bytes_max = o->merge_bytes,
		.ttl_us = t->def->options.ttl_us,
		.all = all,
		.level = LEVEL_FULL};
}

static bool may_merge(const struct mr_segment *s)
{
	return atomic_load_explicit(&s->placed, memory_order_acquire) &&
	       !atomic_load_explicit(&s->damaged, memory_order_relaxed);
}

static void put_list(struct mr_segment **list, int count)
{
	for (int i = 0; i < count; i++)
		mr_segment_put(list[i]);
	free(list);
}

// Merges once. 1: something was merged, or found damaged; 0: there was nothing to do; negative with
// diag.
static int merge_once(struct mr_merge *g, struct mr_table *t, bool all, struct mr_diag *diag)
{
	const struct mr_merge_limits limits = limits_of(g, t, all);
	const struct mr_segment_info **infos;
	struct mr_merge_run run;
	struct mr_segment **list;
	int n = mr_segment_store_list(g->control->segments, t->def->id, &list), rc = 0;

	if (n < 0)
		return mr_diag_set(diag, n, "53200", 0, "out of memory");
	infos = calloc((size_t)n + 1, sizeof(*infos));
	MR_ASSERT(infos);
	for (int i = 0; i < n; i++)
		infos[i] = may_merge(list[i]) ? &list[i]->info : NULL;
	run = mr_merge_pick(infos, (uint32_t)n, &limits);
	for (uint32_t i = run.first + 1; i < run.first + run.count; i++)
		if (!mr_merge_may_join(t, infos[i - 1], infos[i]))
			run.count = i - run.first;
	if (run.count > (all ? 0 : 1) && !has_room(g, list + run.first, run.count))
		rc = mr_diag_set(diag, -ENOSPC, "53100", 0,
			"not enough disk space to merge segments of table \"%s\"", t->def->name);
	else if (run.count > (all ? 0 : 1))
		rc = merge_some(g, t, list + run.first, run.count,
			mr_merge_level(infos, run, &limits), diag);
	else
		run.count = 0;
	if (rc == 0 && run.count)
		g->short_of_disk = false;
	// What is damaged is left out from now on.
	if (rc == MR_ERR_CORRUPT || (rc == 0 && run.count))
		rc = 1;
	else if (rc == 1)
		rc = 0;
	free(infos);
	put_list(list, n);
	return rc;
}

// ---- expiring

static void expire_table(struct mr_merge *g, struct mr_table *t)
{
	struct mr_segment_store *store = g->control->segments;
	int64_t now = mr_wall_us(g->control->clock);
	struct mr_segment **list;
	int n = mr_segment_store_list(store, t->def->id, &list), rc;
	uint32_t old = 0;
	uint64_t rows = 0;

	// Those that expired come first.
	for (int i = 0; i < n; i++) {
		struct mr_segment *s = list[i];

		if (!mr_merge_expired(&s->info, t->def->options.ttl_us, now) ||
			!atomic_load_explicit(&s->placed, memory_order_acquire))
			continue;
		list[i] = list[old];
		list[old++] = s;
		rows += s->info.rows + s->info.dead_rows;
	}
	if (old) {
		mr_segment_store_lock_commits(store);
		rc = t->retired ? 1 : mr_segment_store_expire(store, t->def->id, list, old);
		mr_segment_store_unlock_commits(store);
		if (rc == 0) {
			mr_stat_add(&g->stats.expired_segments, old);
			mr_stat_add(&g->stats.expired_rows, rows);
			mr_note(MR_NOTE_INFO, "merge",
				"event=expired table=%s segments=%u rows=%llu", t->def->name, old,
				(unsigned long long)rows);
			put_in_force(g, t, list, old, NULL);
		} else if (rc < 0) {
			mr_stat_add(&g->stats.expire_failures, 1);
			mr_note(MR_NOTE_ERR, "merge", "event=expire_failed table=%s error=\"%s\"",
				t->def->name, mr_err_text(rc));
		}
	}
	if (n >= 0)
		put_list(list, n);
}

// ---- rounds

static int vacuum_table(struct mr_merge *g, struct mr_table *t, struct mr_diag *diag)
{
	uint64_t damaged = atomic_load_explicit(&g->stats.damaged, memory_order_relaxed);
	struct mr_segment **list;
	int n, rc;

	do
		rc = merge_once(g, t, true, diag);
	while (rc == 1);
	if (rc < 0 || atomic_load_explicit(&g->stats.damaged, memory_order_relaxed) == damaged)
		return rc;
	n = mr_segment_store_list(g->control->segments, t->def->id, &list);
	for (int i = 0; i < n; i++)
		if (atomic_load_explicit(&list[i]->damaged, memory_order_relaxed))
			rc = mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
				"segment %llu of table \"%s\" is damaged and was left as it is",
				(unsigned long long)list[i]->info.id, t->def->name);
	if (n >= 0)
		put_list(list, n);
	return rc;
}

static void serve(struct mr_merge *g, struct request *r)
{
	struct mr_snapshot *s = mr_control_snapshot(g->control);
	int rc = 0;

	g->serving = r;
	for (size_t i = 0; i < s->tables_count && (rc == 0 || rc == MR_ERR_CORRUPT); i++) {
		int one = 0;

		if (!r->table_id || s->tables[i]->def->id == r->table_id)
			one = vacuum_table(g, s->tables[i], r->diag);
		rc = one < 0 ? one : rc;
	}
	g->serving = NULL;
	mr_snapshot_put(s);
	answer(r, rc == MR_ERR_CANCELLED ? cancelled_error(r->diag) : rc);
}

static void serve_all(struct mr_merge *g)
{
	take_requests(g);
	while (g->requests) {
		struct request *r = g->requests;

		g->requests = r->next;
		if (!g->requests)
			g->requests_tail = &g->requests;
		serve(g, r);
		take_requests(g);
	}
}

// A merge for each table that has one to do. True: there may be more.
static bool merge_round(struct mr_merge *g)
{
	struct mr_snapshot *s = mr_control_snapshot(g->control);
	bool more = false;

	for (size_t i = 0; i < s->tables_count && !is_stopping(g); i++) {
		struct mr_table *t = s->tables[i];
		struct mr_diag diag;

		if (t->def->options.ttl_us)
			expire_table(g, t);
		if (mr_now_ns(g->control->clock) >= g->retry_ns)
			more |= merge_once(g, t, false, &diag) == 1;
		serve_all(g);
	}
	mr_snapshot_put(s);
	return more;
}

static void *merge_main(void *arg)
{
	struct mr_merge *g = arg;
	bool more = false;

	mr_thread_name("mr-merge");
	mr_control_place_background(g->control);
	mr_thread_nice(MERGE_NICE);
	while (!is_stopping(g)) {
		struct pollfd p = {.fd = g->box.event_fd, .events = POLLIN};

		poll(&p, 1, more ? 0 : ROUND_MS);
		mr_mailbox_clear(&g->box);
		serve_all(g);
		more = merge_round(g);
	}
	take_requests(g);
	return NULL;
}

int mr_merge_create(struct mr_control *c, struct mr_merge **out)
{
	struct mr_merge *g = calloc(1, sizeof(*g));
	int rc = g ? mr_mailbox_open(&g->box) : -ENOMEM;

	if (rc < 0) {
		free(g);
		return rc;
	}
	g->control = c;
	g->requests_tail = &g->requests;
	pthread_mutex_init(&g->moving, NULL);
	*out = g;
	return 0;
}

int mr_merge_start(struct mr_merge *g)
{
	int rc = pthread_create(&g->thread, NULL, merge_main, g);

	g->running = rc == 0;
	return -rc;
}

void mr_merge_stop(struct mr_merge *g)
{
	if (!g || !g->running)
		return;
	atomic_store_explicit(&g->stopping, true, memory_order_relaxed);
	mr_mailbox_wake(&g->box);
	pthread_join(g->thread, NULL);
	g->running = false;
}

void mr_merge_destroy(struct mr_merge *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->moving);
	mr_mailbox_close(&g->box);
	free(g);
}

const struct mr_merge_stats *mr_merge_stats(const struct mr_merge *g)
{
	return &g->stats;
}

int mr_merge_vacuum(
	struct mr_merge *g, uint64_t table_id, _Atomic bool *cancelled, struct mr_diag *diag)
{
	struct request r = {.message.handle = handle_request,
		.table_id = table_id,
		.cancelled = cancelled,
		.diag = diag};

	sem_init(&r.done, 0, 0);
	mr_mailbox_push(&g->box, &r.message);
	while (sem_wait(&r.done) < 0)
		;
	sem_destroy(&r.done);
	return r.rc;
}
