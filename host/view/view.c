// A view's life, and what its table's workers do for it: folding, and setting states aside.
#include "host/view/view_int.h"

#include "host/base/note.h"
#include "host/view/view_base.h"
#include "host/view/view_scan.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

enum { COLUMNS_MAX = 1700 };

// ---- life

void mr_view_host_init(struct mr_view_host *h)
{
	pthread_mutex_init(&h->filling_memory, NULL);
	pthread_mutex_init(&h->filling_stored, NULL);
}

void mr_view_host_fini(struct mr_view_host *h)
{
	pthread_mutex_destroy(&h->filling_memory);
	pthread_mutex_destroy(&h->filling_stored);
}

static size_t active_bytes(const struct mr_view_part *p)
{
	return atomic_load_explicit(&p->active_bytes, memory_order_relaxed);
}

// What a state of so many bytes may take at once: memory comes in blocks, each as large as all
// before it and the first once more.
static size_t growth_of(size_t bytes)
{
	return bytes ? bytes + MR_VIEW_STATE_BYTES : 0;
}

static void set_active_bytes(struct mr_view_part *p, size_t bytes)
{
	struct mr_view_budget *b = &p->view->host->budget;
	size_t before = active_bytes(p);

	atomic_fetch_add_explicit(&b->states, bytes - before, memory_order_relaxed);
	atomic_fetch_add_explicit(
		&b->growth, growth_of(bytes) - growth_of(before), memory_order_relaxed);
	atomic_store_explicit(&p->active_bytes, bytes, memory_order_relaxed);
}

static void part_fini(struct mr_view_part *p)
{
	mr_fold_state_destroy(p->active);
	set_active_bytes(p, 0);
	for (uint32_t i = 0; i < p->stored_count; i++)
		mr_piece_put(p->stored[i].piece);
	free(p->stored);
}

static void view_destroy(struct mr_view *v)
{
	for (uint32_t i = 0; v->parts && i < v->parts_count; i++)
		part_fini(&v->parts[i]);
	while (v->states) {
		struct mr_view_state *s = v->states;

		v->states = s->next;
		mr_view_state_put(s);
	}
	for (uint32_t i = 0; i < v->runs_count; i++)
		mr_run_put(v->runs[i]);
	if (v->base)
		mr_view_unread(v, v->base);
	free(v->runs);
	free(v->parts);
	free((void *)(uintptr_t)v->relation.columns);
	mr_fold_destroy(v->fold);
	mr_view_def_put(v->def);
	mr_table_put(v->table);
	pthread_mutex_destroy(&v->merging);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

struct mr_view *mr_view_get(struct mr_view *v)
{
	atomic_fetch_add_explicit(&v->references, 1, memory_order_relaxed);
	return v;
}

void mr_view_put(struct mr_view *v)
{
	if (v && atomic_fetch_sub_explicit(&v->references, 1, memory_order_acq_rel) == 1)
		view_destroy(v);
}

static int view_columns(struct mr_view *v)
{
	const struct mr_result_column *from;
	uint32_t count = mr_fold_columns(v->fold, &from);
	struct mr_relation_column *columns = calloc(count + 1, sizeof(*columns));
	struct mr_fold_state *empty;
	int rc;

	if (!columns)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		columns[i] = (struct mr_relation_column){from[i].name, from[i].type, false, false};
	v->relation.columns = columns;
	v->relation.columns_count = count;
	rc = mr_fold_state_create(v->fold, SIZE_MAX, &empty);
	if (rc < 0)
		return rc;
	v->group_bytes = mr_fold_group_bytes(empty);
	v->row_bytes = mr_fold_row_bytes(empty);
	v->keeps_text = mr_fold_keeps_text(v->fold);
	mr_fold_state_destroy(empty);
	return 0;
}

int mr_view_create(struct mr_view_def *def, struct mr_table *table, struct mr_fold *fold,
	struct mr_view_host *host, struct mr_view **out)
{
	struct mr_view *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return -ENOMEM;
	atomic_init(&v->references, 1);
	pthread_mutex_init(&v->merging, NULL);
	pthread_mutex_init(&v->lock, NULL);
	v->def = mr_view_def_get(def);
	v->table = mr_table_get(table);
	v->fold = fold;
	v->host = host;
	v->parts_count = table->parts_count;
	v->parts = calloc(v->parts_count, sizeof(*v->parts));
	v->relation.id = def->id;
	v->relation.kind = MR_RELATION_VIEW;
	v->relation.schema = mr_span_str("public");
	v->relation.name = mr_span_str(def->name);
	v->relation.ops = &mr_view_relation_ops;
	v->relation.owner = v;
	v->relation.definition = mr_span(v->def->query, v->def->query_bytes);
	for (uint32_t i = 0; v->parts && i < v->parts_count; i++)
		v->parts[i].view = v;
	rc = v->parts ? view_columns(v) : -ENOMEM;
	if (rc < 0) {
		v->fold = NULL;
		view_destroy(v);
		return rc;
	}
	*out = v;
	return 0;
}

// ---- states and runs

void mr_view_state_put(struct mr_view_state *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
		return;
	atomic_fetch_sub_explicit(&s->budget->states,
		atomic_load_explicit(&s->bytes, memory_order_relaxed), memory_order_relaxed);
	mr_fold_order_destroy(atomic_load_explicit(&s->order, memory_order_acquire));
	mr_fold_state_destroy(s->fold);
	free(s);
}

struct mr_view_state *mr_view_state_create(
	struct mr_view *v, struct mr_fold_state *fold, uint32_t part, uint64_t sequence)
{
	struct mr_view_state *s = calloc(1, sizeof(*s));
	size_t bytes;

	MR_ASSERT(s);
	mr_fold_state_trim(fold);
	// Who seals or reads it makes its order.
	bytes = sizeof(*s) + mr_fold_state_bytes(fold) +
		mr_fold_state_groups(fold) * sizeof(uint32_t);
	atomic_init(&s->references, 1);
	atomic_init(&s->bytes, bytes);
	s->budget = &v->host->budget;
	s->fold = fold;
	s->part = part;
	s->sequence = sequence;
	atomic_fetch_add_explicit(&s->budget->states, bytes, memory_order_relaxed);
	return s;
}

void mr_view_push(struct mr_view *v, struct mr_fold_state *fold, uint32_t part, uint64_t sequence)
{
	struct mr_view_state *s = mr_view_state_create(v, fold, part, sequence);

	pthread_mutex_lock(&v->lock);
	s->next = v->states;
	v->states = s;
	v->states_count++;
	pthread_mutex_unlock(&v->lock);
}

static void add_run(struct mr_view *v, struct mr_run *run)
{
	if (v->runs_count == v->runs_max) {
		uint32_t max = v->runs_max * 2 + 16;
		struct mr_run **grown = realloc(v->runs, max * sizeof(struct mr_run *));

		MR_ASSERT(grown);
		v->runs = grown;
		v->runs_max = max;
	}
	v->runs[v->runs_count++] = run;
}

void mr_view_add_run(struct mr_view *v, struct mr_run *run)
{
	pthread_mutex_lock(&v->lock);
	add_run(v, run);
	pthread_mutex_unlock(&v->lock);
}

// Takes the part's states up to a sequence out of the list. Under view->lock.
static struct mr_view_state *take_out(struct mr_view *v, uint32_t part, uint64_t sequence)
{
	struct mr_view_state **at = &v->states, *gone = NULL;

	while (*at) {
		struct mr_view_state *s = *at;

		if (s->part != part || s->sequence > sequence) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		s->next = gone;
		gone = s;
		v->states_count--;
	}
	return gone;
}

void mr_view_swap(struct mr_view *v, uint32_t part, uint64_t sequence, struct mr_run *run)
{
	struct mr_view_state *gone;

	pthread_mutex_lock(&v->lock);
	gone = take_out(v, part, sequence);
	add_run(v, run);
	pthread_mutex_unlock(&v->lock);
	while (gone) {
		struct mr_view_state *next = gone->next;

		mr_view_state_put(gone);
		gone = next;
	}
}

void mr_view_swap_runs(
	struct mr_view *v, struct mr_run *const *old, uint32_t count, struct mr_run *run)
{
	uint32_t kept = 0;

	pthread_mutex_lock(&v->lock);
	for (uint32_t i = 0; i < v->runs_count; i++) {
		bool gone = false;

		for (uint32_t k = 0; k < count; k++)
			gone |= old[k] == v->runs[i];
		if (gone)
			mr_run_put(v->runs[i]); // the caller's reference remains
		else
			v->runs[kept++] = v->runs[i];
	}
	v->runs_count = kept;
	add_run(v, run);
	pthread_mutex_unlock(&v->lock);
}

// ---- folding

int mr_view_fold_block(struct mr_view_folding *f, const struct mr_block *block, uint32_t from)
{
	const struct mr_view *v = f->view;

	while (from < block->rows) {
		uint32_t done = from;
		int rc = 0;

		if (!f->state)
			rc = mr_fold_state_create(v->fold, f->bytes_max, &f->state);
		if (rc == 0)
			rc = mr_fold_rows(f->state, block, from, &done);
		if (f->work && f->state)
			mr_view_work_count(
				&v->host->budget, f->work, mr_fold_state_bytes(f->state));
		if (rc == MR_ERR_LIMIT)
			rc = f->full(f);
		if (rc < 0)
			return rc;
		from = done;
	}
	return 0;
}

int mr_view_fold_chunk(
	struct mr_view_folding *f, const struct mr_chunk *c, uint32_t from, uint32_t to)
{
	struct mr_col cols[COLUMNS_MAX];
	struct mr_dict dicts[COLUMNS_MAX];
	const uint32_t *wanted;
	uint32_t count = mr_fold_source_columns(f->view->fold, &wanted);
	const struct mr_block block = {to, cols};

	MR_ASSERT(count <= COLUMNS_MAX);
	for (uint32_t i = 0; i < count; i++)
		mr_chunk_column_view(c, wanted[i], &cols[i], &dicts[i]);
	return mr_view_fold_block(f, &block, from);
}

static void account(struct mr_view_part *p)
{
	set_active_bytes(p, p->active ? mr_fold_state_bytes(p->active) : 0);
	atomic_store_explicit(&p->active_failed,
		p->active ? mr_fold_state_rows_failed(p->active) : 0, memory_order_relaxed);
	atomic_store_explicit(&p->active_untimed,
		p->active ? mr_fold_state_rows_untimed(p->active) : 0, memory_order_relaxed);
}

static void part_freeze(struct mr_view_part *p)
{
	if (!p->active)
		return;
	mr_view_push(p->view, p->active, (uint32_t)(p - p->view->parts), p->active_sequence);
	p->active = NULL;
	account(p);
	mr_stat_add(&p->freezes, 1);
}

static int part_full(struct mr_view_folding *f)
{
	struct mr_view_part *p = f->arg;

	p->active = f->state;
	part_freeze(p);
	f->state = NULL;
	return 0;
}

void mr_view_part_fold(struct mr_view_part *p, uint64_t sequence, const struct mr_chunk *c,
	uint32_t from, uint32_t to)
{
	struct mr_view_folding f = {.view = p->view,
		.bytes_max = mr_view_budget_state(&p->view->host->budget),
		.full = part_full,
		.arg = p};
	int rc;

	if (p->active_sequence != sequence)
		part_freeze(p);
	p->active_sequence = sequence;
	f.state = p->active;
	rc = mr_view_fold_chunk(&f, c, from, to);
	p->active = f.state;
	// Views are folded one after the other: what folding takes, one at a time takes.
	if (p->active)
		mr_fold_state_trim(p->active);
	account(p);
	mr_stat_add(&p->rows_folded, to - from);
	if (rc == 0)
		return;
	mr_stat_add(&p->failures, 1);
	mr_note(MR_NOTE_ERR, "view", "event=broken view=%s error=\"%s\"", p->view->def->name,
		mr_err_text(rc));
}

void mr_view_part_hand_over(struct mr_view_part *p, uint64_t sequence)
{
	if (p->active_sequence <= sequence)
		part_freeze(p);
}

// What a row may add to the states of the views, whose keys may be all of its text.
static size_t row_bytes(const struct mr_view_part *list, size_t text_bytes)
{
	size_t bytes = 0;

	for (; list; list = list->next)
		bytes += list->view->row_bytes + (list->view->keeps_text ? text_bytes : 0);
	return bytes * MR_VIEW_ROW_SHARES;
}

// What the first row adds beside: states that there are not yet.
static size_t fresh_bytes(const struct mr_view_part *list)
{
	size_t bytes = 0;

	for (; list; list = list->next)
		bytes += list->active ? 0 : MR_VIEW_STATE_BYTES;
	return bytes;
}

// How many rows that take `each` there is room for. One row always goes when there is nothing that
// could make room by being sealed.
static uint64_t rows_room(
	const struct mr_view_budget *b, size_t expected, size_t fresh, size_t each)
{
	size_t room = mr_view_budget_room(b, expected + fresh);

	return each <= room ? room / MR_MAX(each, (size_t)1)
			    : !mr_view_budget_hurry(b) && !expected;
}

static void wait_views(struct mr_table_part *t)
{
	t->views_waited = true;
	mr_view_count(&t->views->view->host->budget.waits, 1);
}

uint64_t mr_view_parts_take(struct mr_table_part *t, uint64_t rows, uint64_t bytes)
{
	struct mr_view_budget *b = t->views ? &t->views->view->host->budget : NULL;
	size_t each, fresh, expected;
	uint64_t n;

	if (!b || !rows)
		return rows;
	t->views_text_bytes = bytes / rows;
	each = row_bytes(t->views, t->views_text_bytes);
	fresh = t->views_expected ? 0 : fresh_bytes(t->views);
	expected = atomic_load_explicit(&b->expected, memory_order_relaxed);
	do {
		n = MR_MIN(rows, rows_room(b, expected, fresh, each));
	} while (!atomic_compare_exchange_weak_explicit(&b->expected, &expected,
		expected + (n ? fresh + n * each : 0), memory_order_relaxed, memory_order_relaxed));
	t->views_expected += n ? fresh + n * each : 0;
	if (n < rows)
		wait_views(t);
	return n;
}

void mr_view_parts_expect(struct mr_table_part *t, uint64_t rows)
{
	size_t bytes =
		rows ? rows * row_bytes(t->views, t->views_text_bytes) + fresh_bytes(t->views) : 0;

	if (!t->views || bytes == t->views_expected)
		return;
	atomic_fetch_add_explicit(&t->views->view->host->budget.expected, bytes - t->views_expected,
		memory_order_relaxed);
	if (bytes < t->views_expected && t->views_waited) {
		t->views_waited = false;
		mr_worker_memory_freed(t->views->view->host->workers[t->index]);
	}
	t->views_expected = bytes;
}

bool mr_view_parts_full(struct mr_table_part *t)
{
	const struct mr_view_budget *b = t->views ? &t->views->view->host->budget : NULL;

	if (!b || rows_room(b, atomic_load_explicit(&b->expected, memory_order_relaxed),
			  t->views_expected ? 0 : fresh_bytes(t->views), row_bytes(t->views, 0)))
		return false;
	wait_views(t);
	return true;
}

bool mr_view_parts_hurry(const struct mr_view_part *list)
{
	return list && mr_view_budget_hurry(&list->view->host->budget);
}

struct freezing {
	struct mr_view *const *views;
	size_t count;
};

static void freeze_on_worker(struct mr_worker *w, void *arg)
{
	const struct freezing *f = arg;

	for (size_t i = 0; i < f->count; i++)
		part_freeze(&f->views[i]->parts[w->id]);
}

void mr_views_freeze(struct mr_view *const *views, size_t count)
{
	struct freezing f = {views, count};

	if (count)
		mr_workers_call(
			views[0]->host->workers, views[0]->parts_count, freeze_on_worker, &f);
}

// ---- coming and going

// Notes what is visible now; the worker publishes nothing meanwhile, for this is its thread.
static void note_stored(struct mr_view_part *p, struct mr_table_part *t)
{
	const struct mr_version *v = mr_pieces_now(&t->pieces);

	p->stored = calloc(v->count + 1, sizeof(*p->stored));
	MR_ASSERT(p->stored);
	for (uint32_t i = 0; i < v->count; i++) {
		uint64_t rows = mr_piece_rows(v->pieces[i], MR_PIECE_ROWS);

		// A segment without rows has offsets all the same.
		if (rows || v->pieces[i]->segment)
			p->stored[p->stored_count++] =
				(struct mr_view_stored){mr_piece_get(v->pieces[i]), rows};
	}
}

void mr_view_attach(struct mr_view *v, uint32_t index)
{
	struct mr_table_part *t = v->table->parts[index];
	struct mr_view_part *p = &v->parts[index];

	if (p->attached)
		return;
	p->attached = true;
	p->next = t->views;
	t->views = p;
	note_stored(p, t);
}

void mr_view_detach(struct mr_view *v, uint32_t index)
{
	struct mr_view_part *p = &v->parts[index], **at = &v->table->parts[index]->views;

	if (!p->attached)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->attached = false;
	// What the views that remain expect is said with the next rows.
	atomic_fetch_sub_explicit(&v->host->budget.expected, v->table->parts[index]->views_expected,
		memory_order_relaxed);
	v->table->parts[index]->views_expected = 0;
}

// ---- figures

static void figures_locked(struct mr_view *v, struct mr_view_figures *f)
{
	for (const struct mr_view_state *s = v->states; s; s = s->next) {
		f->unsealed++;
		f->unsealed_bytes += atomic_load_explicit(&s->bytes, memory_order_relaxed);
		f->rows_failed += mr_fold_state_rows_failed(s->fold);
		f->rows_untimed += mr_fold_state_rows_untimed(s->fold);
	}
	for (uint32_t i = 0; i < v->runs_count; i++) {
		const struct mr_run_info *r = &v->runs[i]->info;

		f->runs++;
		f->run_groups += r->groups;
		f->run_bytes += r->file_bytes;
		f->rows_failed += r->rows_failed;
		f->rows_untimed += r->rows_untimed;
	}
}

static void figures_active(struct mr_view *v, struct mr_view_figures *f)
{
	*f = (struct mr_view_figures){0};
	for (uint32_t i = 0; i < v->parts_count; i++) {
		const struct mr_view_part *p = &v->parts[i];

		f->active_bytes += active_bytes(p);
		f->rows_folded += atomic_load_explicit(&p->rows_folded, memory_order_relaxed);
		f->rows_failed += atomic_load_explicit(&p->active_failed, memory_order_relaxed);
		f->rows_untimed += atomic_load_explicit(&p->active_untimed, memory_order_relaxed);
	}
}

static void figures_merged(struct mr_view *v, struct mr_view_figures *f)
{
	pthread_mutex_lock(&v->merging);
	if (v->base) {
		f->has_base = true;
		f->groups = mr_fold_state_groups(v->base->fold);
		f->base_bytes = v->base->bytes;
	}
	pthread_mutex_lock(&v->lock);
	figures_locked(v, f);
	pthread_mutex_unlock(&v->lock);
	pthread_mutex_unlock(&v->merging);
}

void mr_views_figures(struct mr_view *const *views, size_t count, struct mr_view_figures *out)
{
	for (size_t i = 0; i < count; i++) {
		figures_active(views[i], &out[i]);
		figures_merged(views[i], &out[i]);
	}
}
