// Keeping the base, and the number of unsealed states small.
#include "host/view/view_base.h"

#include "host/view/view_int.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

// COMPACT_STATES: more unsealed states than that are looked through for small ones of one piece. A
// reader that asks ten times a second leaves as many behind.
enum { COMPACT_STATES = 48, COMPACT_SHARE = 8 };

// What is merged into a base between two looks at what it takes.
enum { MERGE_BYTES = 64 << 10 };

// ---- the base

static void base_free(struct mr_view_base *b)
{
	atomic_fetch_sub_explicit(&b->budget->bases, b->bytes, memory_order_relaxed);
	mr_fold_state_destroy(b->fold);
	free(b);
}

void mr_view_unread(struct mr_view *v, struct mr_view_base *b)
{
	bool last;

	pthread_mutex_lock(&v->lock);
	last = --b->references == 0;
	pthread_mutex_unlock(&v->lock);
	if (last)
		base_free(b);
}

static void base_drop(struct mr_view *v)
{
	struct mr_view_base *b = v->base;

	v->base = NULL;
	mr_view_unread(v, b);
	mr_view_count(&v->stats.base_drops, 1);
	mr_view_count(&v->host->budget.base_drops, 1);
}

// What is counted as bases goes from `*counted` to `bytes`. False: it may not grow so far, as bases
// of views with groups may not beyond their share.
static bool bases_count(const struct mr_view *v, size_t *counted, size_t bytes)
{
	struct mr_view_budget *b = &v->host->budget;
	size_t most = mr_fold_is_grouped(v->fold) ? mr_view_budget_bases_max(b) : SIZE_MAX;
	size_t all = atomic_load_explicit(&b->bases, memory_order_relaxed);

	do {
		if (bytes > *counted && all + (bytes - *counted) > most)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&b->bases, &all, all + bytes - *counted,
		memory_order_relaxed, memory_order_relaxed));
	*counted = bytes;
	return true;
}

// Takes the state, of which `counted` bytes are counted. What it has beyond that is little.
static int base_create(
	struct mr_view *v, struct mr_fold_state *fold, size_t counted, struct mr_view_base **out)
{
	struct mr_view_base *b = calloc(1, sizeof(*b));
	size_t bytes = mr_fold_state_bytes(fold);

	if (!b || !bases_count(v, &counted, bytes)) {
		free(b);
		mr_fold_state_destroy(fold);
		atomic_fetch_sub_explicit(&v->host->budget.bases, counted, memory_order_relaxed);
		return b ? MR_ERR_LIMIT : -ENOMEM;
	}
	*b = (struct mr_view_base){
		.fold = fold, .budget = &v->host->budget, .bytes = counted, .references = 1};
	*out = b;
	return 0;
}

static int base_grown(struct mr_view_merging *m, size_t bytes)
{
	return bases_count(m->view, &m->counted, bytes) ? 0 : MR_ERR_LIMIT;
}

// What the bases leave of their share.
static size_t base_room(const struct mr_view *v)
{
	const struct mr_view_budget *b = &v->host->budget;
	size_t used = atomic_load_explicit(&b->bases, memory_order_relaxed);

	return used < mr_view_budget_bases_max(b) ? mr_view_budget_bases_max(b) - used : 0;
}

// Makes a base where one fits. A view of one group always has one.
static int base_build(struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag)
{
	struct mr_view_sources from;
	struct mr_view_merging m;
	struct mr_run_reader *reader;
	struct mr_fold_state *fold;
	struct mr_fold_parts parts;
	size_t bytes, room = mr_fold_is_grouped(v->fold) ? base_room(v) : SIZE_MAX;
	int rc = mr_view_sources_all(v, &from);

	if (rc < 0)
		return rc;
	bytes = mr_view_sources_bytes(v, &from);
	if (bytes > room || (v->base_refused && bytes > v->base_refused / 4 * 3)) {
		mr_view_sources_fini(&from);
		return 0;
	}
	rc = mr_run_reader_create(&reader);
	if (rc == 0) {
		mr_view_merging_begin(&m, v, &from, reader, SIZE_MAX);
		m.grown = base_grown;
		m.cancelled = cancelled;
		rc = mr_view_merging_next(&m, &fold, &parts, diag);
		mr_run_reader_destroy(reader);
	}
	if (rc == 1)
		rc = base_create(v, fold, m.counted, &v->base);
	v->base_refused = rc == MR_ERR_LIMIT ? bytes : 0;
	for (uint32_t i = 0; rc == 0 && i < from.states_count; i++)
		from.states[i]->in_base = true;
	mr_view_sources_fini(&from);
	return rc == MR_ERR_LIMIT ? 0 : rc;
}

static bool base_is_read(struct mr_view *v)
{
	bool read;

	pthread_mutex_lock(&v->lock);
	read = v->base->references > 1;
	pthread_mutex_unlock(&v->lock);
	return read;
}

// A base that only the view holds, so that it may be changed: the present one, or a copy where
// there is memory for one.
static int base_own(struct mr_view *v)
{
	struct mr_fold_state *copy = NULL;
	struct mr_view_base *b;
	size_t counted = 0;
	int rc;

	if (!base_is_read(v))
		return 0;
	if (!bases_count(v, &counted, v->base->bytes))
		return MR_ERR_LIMIT;
	rc = mr_fold_state_create(v->fold, SIZE_MAX, &copy);
	if (rc == 0)
		rc = mr_fold_merge(copy, v->base->fold);
	if (rc < 0) {
		mr_fold_state_destroy(copy);
		bases_count(v, &counted, 0);
		return rc;
	}
	mr_fold_state_trim(copy);
	rc = base_create(v, copy, counted, &b);
	if (rc < 0)
		return rc;
	mr_view_unread(v, v->base);
	v->base = b;
	return 0;
}

static int base_add(struct mr_view *v, struct mr_view_state *s)
{
	const struct mr_fold_order *o;
	uint32_t done = 0;
	int rc = mr_view_state_order(s, &o), more = 1;

	while (rc == 0 && more) {
		more = mr_fold_merge_parts(v->base->fold, s->fold, o, MR_FOLD_ALL, &done,
			mr_fold_state_bytes(v->base->fold) + MERGE_BYTES);
		if (more < 0)
			return more;
		if (!bases_count(v, &v->base->bytes, mr_fold_state_bytes(v->base->fold)))
			rc = MR_ERR_LIMIT;
	}
	return rc;
}

// Merges what the base does not have yet. It is dropped when that fails or outgrows its share: it
// is only a cache.
static void base_merge(struct mr_view *v, const struct mr_view_sources *from)
{
	bool owned = false;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < from->states_count; i++) {
		struct mr_view_state *s = from->states[i];

		if (s->in_base)
			continue;
		if (!owned)
			rc = base_own(v);
		owned = true;
		if (rc == 0)
			rc = base_add(v, s);
		s->in_base = true;
	}
	if (rc < 0)
		base_drop(v);
}

static int base_refresh(struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag)
{
	struct mr_view_sources from;
	int rc;

	if (!v->base)
		return base_build(v, cancelled, diag);
	rc = mr_view_sources_all(v, &from);
	if (rc < 0)
		return rc;
	base_merge(v, &from);
	mr_view_sources_fini(&from);
	return 0;
}

void mr_view_sealed(struct mr_view *v, uint32_t part, uint64_t sequence, struct mr_run *run)
{
	struct mr_view_sources from;

	pthread_mutex_lock(&v->merging);
	if (v->base && mr_view_sources_of(v, part, sequence, &from) == 0) {
		base_merge(v, &from);
		mr_view_sources_fini(&from);
	} else if (v->base) {
		base_drop(v);
	}
	mr_view_swap(v, part, sequence, run);
	pthread_mutex_unlock(&v->merging);
	for (uint32_t i = 0; i < v->parts_count; i++)
		mr_worker_memory_freed(v->host->workers[i]);
}

// ---- few states

static int by_piece(const void *a, const void *b)
{
	const struct mr_view_state *const *x = a, *const *y = b;

	if ((*x)->part != (*y)->part)
		return (*x)->part < (*y)->part ? -1 : 1;
	return ((*x)->sequence > (*y)->sequence) - ((*x)->sequence < (*y)->sequence);
}

// What may be compacted: small, and in the base as much as its like.
static bool is_small(const struct mr_view *v, const struct mr_view_state *s)
{
	return (!v->base || s->in_base) &&
	       atomic_load_explicit(&s->bytes, memory_order_relaxed) <
		       mr_view_budget_state(&v->host->budget) / COMPACT_SHARE;
}

// Replaces states of one piece by one that holds the same, in one step: the sealing thread looks at
// the list without holding `merging`.
static void replace(struct mr_view *v, struct mr_view_state *const *old, uint32_t count,
	struct mr_view_state *by)
{
	struct mr_view_state **at = &v->states;

	pthread_mutex_lock(&v->lock);
	while (*at) {
		struct mr_view_state *s = *at;
		bool gone = false;

		for (uint32_t i = 0; i < count; i++)
			gone |= old[i] == s;
		if (!gone) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		v->states_count--;
		mr_view_state_put(s); // the caller's reference remains
	}
	by->next = v->states;
	v->states = by;
	v->states_count++;
	pthread_mutex_unlock(&v->lock);
}

static int compact_piece(struct mr_view *v, struct mr_view_state *const *old, uint32_t count)
{
	struct mr_view_budget *b = &v->host->budget;
	struct mr_fold_state *fold;
	struct mr_view_state *by;
	int rc = mr_fold_state_create(v->fold, SIZE_MAX, &fold);
	size_t bytes = 0;

	// Until it is made it counts as if no group were in two of them.
	for (uint32_t i = 0; i < count; i++)
		bytes += atomic_load_explicit(&old[i]->bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&b->states, bytes, memory_order_relaxed);
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = mr_fold_merge(fold, old[i]->fold);
	by = rc ? NULL : mr_view_state_create(v, fold, old[0]->part, old[0]->sequence);
	atomic_fetch_sub_explicit(&b->states, bytes, memory_order_relaxed);
	if (rc < 0) {
		mr_fold_state_destroy(fold);
		return rc;
	}
	by->in_base = v->base != NULL;
	replace(v, old, count, by);
	return 0;
}

static bool has_many_states(struct mr_view *v)
{
	bool many;

	pthread_mutex_lock(&v->lock);
	many = v->states_count > COMPACT_STATES;
	pthread_mutex_unlock(&v->lock);
	return many;
}

// The end of those of the same piece from `first` on, as many as make a state.
static uint32_t alike(
	const struct mr_view *v, struct mr_view_state *const *s, uint32_t first, uint32_t n)
{
	size_t most = mr_view_budget_state(&v->host->budget), bytes = 0;
	uint32_t end = first;

	while (end < n && by_piece(&s[first], &s[end]) == 0 && bytes < most)
		bytes += atomic_load_explicit(&s[end++]->bytes, memory_order_relaxed);
	return end;
}

// Runs of equal pieces among the small ones.
static int compact(struct mr_view *v)
{
	struct mr_view_sources from;
	uint32_t n = 0, end;
	int rc = 0;

	if (!has_many_states(v))
		return 0;
	rc = mr_view_sources_all(v, &from);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < from.states_count; i++) {
		struct mr_view_state *s = from.states[i];

		from.states[i] = from.states[n];
		from.states[n] = s;
		n += is_small(v, s);
	}
	qsort(from.states, n, sizeof(struct mr_view_state *), by_piece);
	for (uint32_t i = 0; rc == 0 && i < n; i = end) {
		end = alike(v, from.states, i, n);
		if (end - i > 1)
			rc = compact_piece(v, &from.states[i], end - i);
	}
	mr_view_sources_fini(&from);
	return rc;
}

// ---- reading

static int pin(struct mr_view *v, struct mr_view_reading *out)
{
	if (!v->base)
		return mr_view_sources_all(v, &out->sources);
	pthread_mutex_lock(&v->lock);
	v->base->references++;
	out->base = v->base;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

int mr_view_read(struct mr_view *v, _Atomic bool *cancelled, struct mr_view_reading *out,
	struct mr_diag *diag)
{
	for (uint32_t i = 0; i < v->parts_count; i++)
		if (atomic_load_explicit(&v->parts[i].failures, memory_order_relaxed))
			return mr_diag_set(diag, -ENOMEM, "53200", 0,
				"materialized view \"%s\" has run out of memory; drop it and make "
				"it again",
				v->def->name);
	mr_views_freeze(&v, 1);
	return mr_view_read_frozen(v, cancelled, out, diag);
}

int mr_view_read_frozen(struct mr_view *v, _Atomic bool *cancelled, struct mr_view_reading *out,
	struct mr_diag *diag)
{
	int rc;

	*out = (struct mr_view_reading){0};
	memset(diag, 0, sizeof(*diag));
	pthread_mutex_lock(&v->merging);
	rc = base_refresh(v, cancelled, diag);
	if (rc == 0)
		rc = compact(v);
	if (rc == 0)
		rc = pin(v, out);
	pthread_mutex_unlock(&v->merging);
	mr_view_count(&v->stats.reads, 1);
	if (rc == 0 && !out->base)
		mr_view_count(&v->stats.reads_spilled, 1);
	if (rc < 0 && !diag->message[0])
		mr_diag_set(diag, rc, "53200", 0, "cannot read materialized view \"%s\": %s",
			v->def->name, mr_err_text(rc));
	return rc;
}

void mr_view_reading_end(struct mr_view *v, struct mr_view_reading *r)
{
	if (r->base)
		mr_view_unread(v, r->base);
	mr_view_sources_fini(&r->sources);
	r->base = NULL;
}
