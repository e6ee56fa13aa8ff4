// Filling a new view from what its table had stored, and taking a stored one over at a start.
#include "host/view/view_int.h"
#include "host/view/view_merge.h"

#include "host/base/note.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <stdlib.h>

// An error of filling as a person reads it; what has been said stays.
static int say(const struct mr_view *v, int rc, struct mr_diag *diag)
{
	if (rc < 0 && !diag->message[0])
		mr_diag_set(diag, rc, rc == -EIO || rc == -ENOSPC ? "58030" : "53200", 0,
			"cannot fill materialized view \"%s\": %s", v->def->name, mr_err_text(rc));
	return rc;
}

// Fillings of all views take turns, so that they have the memory of one. Whoever waits may be
// cancelled.
static int turn_begin(pthread_mutex_t *turn, _Atomic bool *cancelled, struct mr_diag *diag)
{
	const struct timespec pause = {0, 5000000};

	while (pthread_mutex_trylock(turn)) {
		int rc = mr_view_cancelled(cancelled, diag);

		if (rc < 0)
			return rc;
		nanosleep(&pause, NULL);
	}
	return 0;
}

// ---- rows in memory

struct memory {
	uint32_t part;
	uint64_t sequence;
};

static int memory_full(struct mr_view_folding *f)
{
	struct memory *m = f->arg;

	mr_view_push(f->view, f->state, m->part, m->sequence);
	f->state = NULL;
	// Nobody can make room meanwhile: sealing waits for us.
	return atomic_load_explicit(&f->view->host->budget.states, memory_order_relaxed) <
			       f->view->host->budget.bytes_max
		       ? 0
		       : MR_ERR_LIMIT;
}

static int fill_piece(struct mr_view *v, uint32_t part, const struct mr_view_stored *from)
{
	struct memory m = {part, from->piece->sequence};
	size_t work = 0;
	struct mr_view_folding f = {.view = v,
		.bytes_max = mr_view_budget_work(&v->host->budget),
		.work = &work,
		.full = memory_full,
		.arg = &m};
	int rc = mr_view_fold_chunk(
		&f, mr_piece_chunk(from->piece, MR_PIECE_ROWS), 0, (uint32_t)from->rows);

	mr_view_count(&v->stats.rows_filled, from->rows);
	if (f.state)
		mr_view_push(v, f.state, part, m.sequence);
	mr_view_work_count(&v->host->budget, &work, 0);
	return rc;
}

static int fill_parts(struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < v->parts_count; i++) {
		struct mr_view_part *p = &v->parts[i];
		uint32_t kept = 0;

		for (uint32_t k = 0; k < p->stored_count; k++) {
			if (p->stored[k].piece->segment) {
				p->stored[kept++] = p->stored[k];
				continue;
			}
			rc = rc < 0 ? rc : mr_view_cancelled(cancelled, diag);
			if (rc == 0)
				rc = fill_piece(v, i, &p->stored[k]);
			mr_piece_put(p->stored[k].piece);
		}
		p->stored_count = kept;
	}
	return rc;
}

int mr_view_fill_memory(struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag)
{
	pthread_mutex_t *turn = &v->host->filling_memory;
	int rc;

	memset(diag, 0, sizeof(*diag));
	rc = turn_begin(turn, cancelled, diag);
	if (rc == 0) {
		rc = fill_parts(v, cancelled, diag);
		pthread_mutex_unlock(turn);
	}
	return say(v, rc, diag);
}

// ---- segments

// Runs written of what segments hold, none of which exists before all are committed.
struct filling {
	struct mr_view *view;
	struct mr_view_tools tools;
	struct mr_run_info *infos;
	uint32_t count, max;
	struct mr_view_ranges ranges; // of all segments
	_Atomic bool *cancelled;
	struct mr_diag *diag;
};

// Writes a full state as a run.
static int stored_full(struct mr_view_folding *f)
{
	struct filling *k = f->arg;
	int rc;

	if (k->count == k->max) {
		uint32_t max = k->max * 2 + 16;
		struct mr_run_info *grown = realloc(k->infos, max * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		k->infos = grown;
		k->max = max;
	}
	mr_fold_state_trim(f->state);
	rc = mr_view_write_state(&k->tools, k->view, f->state, &k->infos[k->count]);
	k->count += rc == 0;
	mr_fold_state_destroy(f->state);
	f->state = NULL;
	return rc;
}

static int fold_segment(struct filling *k, struct mr_view_folding *f, struct mr_segment *s)
{
	const uint32_t *wanted;
	uint32_t count = mr_fold_source_columns(k->view->fold, &wanted), blocks = 0;
	struct mr_segment_reader *r;
	int rc = mr_segment_reader_create(count, &r);

	if (rc < 0)
		return rc;
	rc = mr_segment_reader_open(r, s, MR_SEGMENT_ROWS, wanted, count, k->diag);
	if (rc == 0)
		blocks = mr_segment_reader_section(r)->blocks_count;
	for (uint32_t i = 0; rc == 0 && i < blocks; i++) {
		const struct mr_col *cols;

		rc = mr_view_cancelled(k->cancelled, k->diag);
		if (rc == 0)
			rc = mr_segment_reader_block(r, i, &cols, k->diag);
		if (rc > 0) {
			const struct mr_block block = {(uint32_t)rc, cols};

			mr_view_count(&k->view->stats.rows_filled, block.rows);
			rc = mr_view_fold_block(f, &block, 0);
		}
	}
	mr_segment_reader_destroy(r);
	return rc;
}

// What segments held that have expired is not in the view, and is not to come either.
static int add_expired(struct filling *k)
{
	struct mr_view *v = k->view;
	struct mr_offset_range *ranges;
	int n = mr_segment_store_expired(v->host->segments, v->table->def->id, &ranges);

	if (n < 0)
		return n;
	n = mr_view_ranges_add(&k->ranges, ranges, (uint32_t)n);
	free(ranges);
	return n;
}

static int fold_stored(struct filling *k)
{
	struct mr_view *v = k->view;
	size_t work = 0;
	struct mr_view_folding f = {.view = v,
		.bytes_max = mr_view_budget_work(&v->host->budget),
		.work = &work,
		.full = stored_full,
		.arg = k};
	int rc = mr_view_tools_init(&k->tools, v->host->disk);

	for (uint32_t i = 0; i < v->parts_count; i++)
		for (uint32_t n = 0; rc == 0 && n < v->parts[i].stored_count; n++) {
			struct mr_segment *s = v->parts[i].stored[n].piece->segment;

			rc = mr_view_ranges_add(&k->ranges, s->info.ranges, s->info.ranges_count);
			if (rc == 0)
				rc = fold_segment(k, &f, s);
		}
	if (rc == 0)
		rc = add_expired(k);
	// One run at least, to say which offsets the view has.
	if (rc == 0 && !f.state && k->ranges.count && !k->count)
		rc = mr_fold_state_create(v->fold, SIZE_MAX, &f.state);
	if (rc == 0 && f.state)
		rc = stored_full(&f);
	if (rc == 0)
		rc = mr_run_sync(k->tools.writer);
	mr_fold_state_destroy(f.state);
	mr_view_work_count(&v->host->budget, &work, 0);
	mr_view_tools_fini(&k->tools);
	return rc;
}

// 1: the view or its table has been dropped or emptied meanwhile.
static int commit(struct filling *k)
{
	struct mr_view *v = k->view;
	int rc = 0;

	if (k->count) {
		k->infos[0].ranges = k->ranges.items;
		k->infos[0].ranges_count = k->ranges.count;
	}
	mr_segment_store_lock_commits(v->host->segments);
	if (v->retired || v->table->retired)
		rc = 1;
	else if (k->count)
		rc = mr_run_store_commit(v->host->runs, k->infos, k->count, NULL, 0);
	mr_segment_store_unlock_commits(v->host->segments);
	for (uint32_t i = 0; rc == 0 && i < k->count; i++) {
		struct mr_run *run = mr_run_store_find(v->host->runs, k->infos[i].id);

		if (run)
			mr_view_add_run(v, run);
	}
	return rc;
}

static void forget_stored(struct mr_view *v)
{
	for (uint32_t i = 0; i < v->parts_count; i++) {
		struct mr_view_part *p = &v->parts[i];

		for (uint32_t k = 0; k < p->stored_count; k++)
			mr_piece_put(p->stored[k].piece);
		p->stored_count = 0;
	}
}

int mr_view_fill_stored(struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag)
{
	struct filling k = {.view = v, .cancelled = cancelled, .diag = diag};
	bool appended = false;
	int rc;

	memset(diag, 0, sizeof(*diag));
	rc = turn_begin(&v->host->filling_stored, cancelled, diag);
	if (rc == 0) {
		rc = fold_stored(&k);
		pthread_mutex_unlock(&v->host->filling_stored);
	}
	if (rc == 0) {
		rc = commit(&k);
		appended = rc < 0;
	}
	// After a failed append the record may be there: the next start decides.
	for (uint32_t i = 0; rc != 0 && !appended && i < k.count; i++)
		mr_view_unlink(v, &k.infos[i]);
	if (rc == 0)
		mr_view_count(&v->stats.runs_written, k.count);
	forget_stored(v);
	free(k.infos);
	free(k.ranges.items);
	if (rc >= 0)
		atomic_store_explicit(&v->ready, true, memory_order_release);
	return say(v, MR_MIN(rc, 0), diag);
}

// ---- at a start

// Offsets from the first to the last that the runs have of each partition; `to` 0: none.
struct hull {
	uint32_t count;
	struct {
		int64_t from, to;
	} * partitions;
};

static int hull_init(
	struct hull *h, uint32_t partitions, struct mr_run *const *runs, uint32_t count)
{
	*h = (struct hull){partitions, calloc(partitions + 1, sizeof(*h->partitions))};
	if (!h->partitions)
		return -ENOMEM;
	for (uint32_t p = 0; p < partitions; p++)
		h->partitions[p].from = INT64_MAX;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < runs[i]->info.ranges_count; k++) {
			const struct mr_offset_range *r = &runs[i]->info.ranges[k];

			if (r->partition >= partitions)
				return MR_ERR_CORRUPT;
			h->partitions[r->partition].from =
				MR_MIN(h->partitions[r->partition].from, r->from);
			h->partitions[r->partition].to =
				MR_MAX(h->partitions[r->partition].to, r->to);
		}
	return 0;
}

// Every start of a segment must be behind the start of the runs: what the view was filled with was
// committed at once, and sealing goes on where the segments end.
static bool covers_segments(const struct mr_view *v, const struct hull *h)
{
	for (uint32_t i = 0; i < v->parts_count; i++)
		for (uint32_t n = 0; n < v->parts[i].stored_count; n++) {
			const struct mr_segment *s = v->parts[i].stored[n].piece->segment;

			for (uint32_t k = 0; s && k < s->info.ranges_count; k++) {
				const struct mr_offset_range *r = &s->info.ranges[k];

				if (r->partition >= h->count ||
					h->partitions[r->partition].from > r->from)
					return false;
			}
		}
	return true;
}

// Why the runs are not what the table's segments hold (or held: rows may have expired), no more and
// no less; NULL: they are.
static const char *mismatch(const struct mr_view *v, struct mr_run *const *runs, uint32_t count)
{
	const struct mr_table *t = v->table;
	const char *why = NULL;
	struct hull h;

	for (uint32_t i = 0; i < count; i++)
		if (runs[i]->info.fingerprint != mr_fold_fingerprint(v->fold) ||
			runs[i]->info.table_id != t->def->id)
			return "made by another definition";
	if (hull_init(&h, t->topic->topic.partitions, runs, count) < 0)
		why = "of partitions that the topic does not have";
	else if (!covers_segments(v, &h))
		why = "not complete";
	for (uint32_t p = 0; !why && p < h.count; p++)
		if (h.partitions[p].to != mr_table_held(t, p))
			why = "not of the same offsets as the table's segments";
	free(h.partitions);
	return why;
}

static int discard(struct mr_view *v, const char *why, int count)
{
	int rc = 0;

	mr_note(MR_NOTE_WARN, "view", "event=refill view=%s runs=%d reason=\"%s\"", v->def->name,
		count, why);
	if (count)
		rc = mr_run_store_drop_view(v->host->runs, v->def->id);
	return rc;
}

int mr_view_open(struct mr_view *v, struct mr_diag *diag)
{
	struct mr_run **runs;
	int n = mr_run_store_list(v->host->runs, v->def->id, &runs), rc = n < 0 ? n : 0;
	const char *why = rc < 0 ? NULL : mismatch(v, runs, (uint32_t)n);

	memset(diag, 0, sizeof(*diag));
	for (int i = 0; i < n; i++) {
		if (why)
			mr_run_put(runs[i]);
		else
			mr_view_add_run(v, runs[i]);
	}
	if (n >= 0)
		free(runs);
	if (rc < 0)
		return say(v, rc, diag);
	if (!why) {
		forget_stored(v);
		atomic_store_explicit(&v->ready, true, memory_order_release);
		return 0;
	}
	rc = discard(v, why, n);
	return rc < 0 ? say(v, rc, diag) : mr_view_fill_stored(v, NULL, diag);
}
