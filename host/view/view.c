// Folding on workers, merging for readers.
#include "host/view/view.h"

#include "host/base/note.h"
#include "host/view/view_scan.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

// Rows folded at a time when a view is filled.
enum { COLUMNS_MAX = 1700 };

static void part_fini(struct mr_view_part *p)
{
	mr_fold_state_destroy(p->active);
	while (p->frozen) {
		struct mr_view_state *s = p->frozen;

		p->frozen = s->next;
		mr_fold_state_destroy(s->fold);
		free(s);
	}
	for (uint32_t i = 0; i < p->stored_count; i++)
		mr_piece_put(p->stored[i].piece);
	free(p->stored);
}

static void view_destroy(struct mr_view *v)
{
	for (uint32_t i = 0; v->parts && i < v->parts_count; i++)
		part_fini(&v->parts[i]);
	if (v->base) {
		mr_fold_state_destroy(v->base->fold);
		free(v->base);
	}
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

	if (!columns)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		columns[i] = (struct mr_relation_column){from[i].name, from[i].type, false, false};
	v->relation.columns = columns;
	v->relation.columns_count = count;
	return 0;
}

int mr_view_create(struct mr_view_def *def, struct mr_table *table, struct mr_fold *fold,
	struct mr_worker *const *workers, size_t state_bytes_max, struct mr_view **out)
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
	v->workers = workers;
	v->state_bytes_max = state_bytes_max;
	v->parts_count = table->parts_count;
	v->parts = calloc(v->parts_count, sizeof(*v->parts));
	v->relation.id = def->id;
	v->relation.kind = MR_RELATION_VIEW;
	v->relation.schema = mr_span_str("public");
	v->relation.name = mr_span_str(def->name);
	v->relation.ops = &mr_view_relation_ops;
	v->relation.owner = v;
	v->relation.definition = mr_span(v->def->query, v->def->query_bytes);
	rc = v->parts ? view_columns(v) : -ENOMEM;
	if (rc < 0) {
		v->fold = NULL;
		view_destroy(v);
		return rc;
	}
	for (uint32_t i = 0; i < v->parts_count; i++)
		v->parts[i].view = v;
	*out = v;
	return 0;
}

// ---- folding

// Notes what is visible now; the worker publishes nothing meanwhile, for this is its thread.
static void note_stored(struct mr_view_part *p, struct mr_table_part *t)
{
	const struct mr_version *v = mr_pieces_now(&t->pieces);

	p->stored = calloc(v->count + 1, sizeof(*p->stored));
	MR_ASSERT(p->stored);
	for (uint32_t i = 0; i < v->count; i++) {
		uint64_t rows = mr_piece_rows(v->pieces[i], MR_PIECE_ROWS);

		if (rows)
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
}

// Sets a state aside for readers. Any thread.
static void push_frozen(struct mr_view_part *p, struct mr_fold_state *fold)
{
	struct mr_view_state *s = calloc(1, sizeof(*s));

	MR_ASSERT(s);
	s->fold = fold;
	pthread_mutex_lock(&p->view->lock);
	s->next = p->frozen;
	p->frozen = s;
	pthread_mutex_unlock(&p->view->lock);
}

static void part_freeze(struct mr_view_part *p)
{
	if (!p->active)
		return;
	push_frozen(p, p->active);
	p->active = NULL;
	mr_stat_add(&p->freezes, 1);
}

// Folds rows `from` to block->rows into `*state`, making it when there is none; a full one is set
// aside and another begun.
static int fold_block(struct mr_view_part *p, struct mr_fold_state **state,
	const struct mr_block *block, uint32_t from)
{
	const struct mr_view *v = p->view;

	while (from < block->rows) {
		uint32_t done = from;
		int rc = 0;

		if (!*state)
			rc = mr_fold_state_create(v->fold, v->state_bytes_max, state);
		if (rc == 0)
			rc = mr_fold_rows(*state, block, from, &done);
		if (rc < 0 && rc != MR_ERR_LIMIT)
			return rc;
		if (rc == MR_ERR_LIMIT) {
			if (done == from && mr_fold_state_groups(*state) == 0)
				return rc;
			push_frozen(p, *state);
			*state = NULL;
		}
		from = done;
	}
	return 0;
}

static int fold_range(struct mr_view_part *p, struct mr_fold_state **state,
	const struct mr_chunk *c, uint32_t from, uint32_t to)
{
	struct mr_col cols[COLUMNS_MAX];
	struct mr_dict dicts[COLUMNS_MAX];
	const uint32_t *wanted;
	uint32_t count = mr_fold_source_columns(p->view->fold, &wanted);
	const struct mr_block block = {to, cols};

	MR_ASSERT(count <= COLUMNS_MAX);
	for (uint32_t i = 0; i < count; i++)
		mr_chunk_column_view(c, wanted[i], &cols[i], &dicts[i]);
	return fold_block(p, state, &block, from);
}

static bool is_cancelled(_Atomic bool *cancelled)
{
	return cancelled && atomic_load_explicit(cancelled, memory_order_relaxed);
}

static int fold_segment(struct mr_view_part *p, struct mr_fold_state **state, struct mr_segment *s,
	_Atomic bool *cancelled, struct mr_diag *diag)
{
	const uint32_t *wanted;
	uint32_t count = mr_fold_source_columns(p->view->fold, &wanted), blocks = 0;
	struct mr_segment_reader *r;
	int rc = mr_segment_reader_create(count, &r);

	if (rc < 0)
		return rc;
	rc = mr_segment_reader_open(r, s, MR_SEGMENT_ROWS, wanted, count, diag);
	if (rc == 0)
		blocks = mr_segment_reader_section(r)->blocks_count;
	for (uint32_t i = 0; rc == 0 && i < blocks; i++) {
		const struct mr_col *cols;

		rc = is_cancelled(cancelled) ? (int)MR_ERR_CANCELLED
					     : mr_segment_reader_block(r, i, &cols, diag);
		if (rc >= 0) {
			const struct mr_block block = {(uint32_t)rc, cols};

			rc = fold_block(p, state, &block, 0);
		}
	}
	mr_segment_reader_destroy(r);
	return rc;
}

static int fold_stored(struct mr_view_part *p, struct mr_fold_state **state,
	const struct mr_view_stored *from, _Atomic bool *cancelled, struct mr_diag *diag)
{
	if (is_cancelled(cancelled))
		return MR_ERR_CANCELLED;
	if (from->piece->segment)
		return fold_segment(p, state, from->piece->segment, cancelled, diag);
	return fold_range(
		p, state, mr_piece_chunk(from->piece, MR_PIECE_ROWS), 0, (uint32_t)from->rows);
}

void mr_view_part_fold(struct mr_view_part *p, const struct mr_chunk *c, uint32_t from, uint32_t to)
{
	int rc = fold_range(p, &p->active, c, from, to);

	mr_stat_add(&p->rows_folded, to - from);
	if (rc == 0)
		return;
	mr_stat_add(&p->failures, 1);
	mr_note(MR_NOTE_ERR, "view", "event=broken view=%s error=\"%s\"", p->view->def->name,
		mr_err_text(rc));
}

int mr_view_fill(struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag)
{
	for (uint32_t i = 0; i < v->parts_count; i++) {
		struct mr_view_part *p = &v->parts[i];
		struct mr_fold_state *state = NULL;
		int rc = 0;

		for (uint32_t k = 0; rc == 0 && k < p->stored_count; k++)
			rc = fold_stored(p, &state, &p->stored[k], cancelled, diag);
		if (state)
			push_frozen(p, state);
		if (rc == MR_ERR_CANCELLED)
			return mr_diag_set(
				diag, rc, "57014", 0, "canceling statement due to user request");
		// A damaged segment has said where.
		if (rc == MR_ERR_CORRUPT)
			return rc;
		if (rc < 0)
			return mr_diag_set(diag, rc, "53200", 0,
				"cannot fill materialized view %s: %s", v->def->name,
				mr_err_text(rc));
		for (uint32_t k = 0; k < p->stored_count; k++)
			mr_piece_put(p->stored[k].piece);
		p->stored_count = 0;
	}
	atomic_store_explicit(&v->ready, true, memory_order_release);
	return 0;
}

// ---- merging

static void freeze_on_worker(struct mr_worker *w, void *arg)
{
	struct mr_view *v = arg;

	part_freeze(&v->parts[w->id]);
}

static struct mr_view_state *take_frozen(struct mr_view *v)
{
	struct mr_view_state *all = NULL;

	pthread_mutex_lock(&v->lock);
	for (uint32_t i = 0; i < v->parts_count; i++) {
		while (v->parts[i].frozen) {
			struct mr_view_state *s = v->parts[i].frozen;

			v->parts[i].frozen = s->next;
			s->next = all;
			all = s;
		}
	}
	pthread_mutex_unlock(&v->lock);
	return all;
}

static void base_unref(struct mr_view *v, struct mr_view_base *b)
{
	bool last;

	pthread_mutex_lock(&v->lock);
	last = --b->references == 0;
	pthread_mutex_unlock(&v->lock);
	if (!last)
		return;
	mr_fold_state_destroy(b->fold);
	free(b);
}

void mr_view_unread(struct mr_view *v, struct mr_view_base *b)
{
	base_unref(v, b);
}

// A base that only the view holds, so that it may be changed: the present one, or a copy.
static int base_own(struct mr_view *v, struct mr_view_base **out)
{
	struct mr_view_base *b = v->base, *copy;
	uint32_t references = 0;
	int rc;

	if (b) {
		pthread_mutex_lock(&v->lock);
		references = b->references;
		pthread_mutex_unlock(&v->lock);
	}
	if (references == 1) {
		*out = b;
		return 0;
	}
	copy = calloc(1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	copy->references = 1;
	rc = mr_fold_state_create(v->fold, v->state_bytes_max * (v->parts_count + 1), &copy->fold);
	if (rc == 0 && b)
		rc = mr_fold_merge(copy->fold, b->fold);
	if (rc < 0) {
		mr_fold_state_destroy(copy->fold);
		free(copy);
		return rc;
	}
	v->base = copy;
	if (b)
		base_unref(v, b);
	*out = copy;
	return 0;
}

// A merge that fails half-way leaves a base that is worth nothing: the view is broken from then on.
static int merge_all(struct mr_view *v, struct mr_view_state *frozen)
{
	struct mr_view_base *b = NULL;
	int rc = base_own(v, &b);

	while (frozen) {
		struct mr_view_state *s = frozen;

		frozen = s->next;
		if (rc == 0)
			rc = mr_fold_merge(b->fold, s->fold);
		mr_fold_state_destroy(s->fold);
		free(s);
	}
	if (rc < 0)
		atomic_fetch_add_explicit(&v->parts[0].failures, 1, memory_order_relaxed);
	return rc;
}

int mr_view_read(struct mr_view *v, struct mr_view_base **out, struct mr_diag *diag)
{
	struct mr_view_state *frozen;
	int rc = 0;

	for (uint32_t i = 0; i < v->parts_count; i++) {
		if (atomic_load_explicit(&v->parts[i].failures, memory_order_relaxed))
			return mr_diag_set(diag, -ENOMEM, "53200", 0,
				"materialized view \"%s\" has run out of memory; drop it and make "
				"it again",
				v->def->name);
		mr_worker_call(v->workers[i], freeze_on_worker, v);
	}
	pthread_mutex_lock(&v->merging);
	frozen = take_frozen(v);
	if (frozen || !v->base)
		rc = merge_all(v, frozen);
	if (rc == 0) {
		pthread_mutex_lock(&v->lock);
		v->base->references++;
		*out = v->base;
		pthread_mutex_unlock(&v->lock);
	}
	pthread_mutex_unlock(&v->merging);
	if (rc < 0)
		return mr_diag_set(diag, rc, "53200", 0,
			"materialized view \"%s\" does not fit in memory: %s", v->def->name,
			mr_err_text(rc));
	return 0;
}
