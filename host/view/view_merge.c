// Merging in passes, and writing what comes of it.
//
// The parts of a pass are as many as make its groups fit: hashes are spread evenly, so a 256th of
// the parts has a 256th of the groups, about. A source that is a state is merged by its order
// (sorted by part once); one that is a run is read block by block where a block has some of the
// parts. A block that also has other parts is read again for these: blocks are a megabyte at most,
// so that costs little beside what is merged.
#include "host/view/view_merge.h"

#include "host/view/view_int.h"

#include <errno.h>
#include <stdlib.h>

// Of a run's blocks, and what is merged between two looks at what it takes. BLOCK_SHARE: of a piece
// of work, so that a block which is read is little beside it.
enum {
	BLOCK_BYTES = 1 << 20,
	BLOCK_BYTES_MIN = 16 << 10,
	BLOCK_SHARE = 16,
	MERGE_BYTES = 64 << 10
};

// ---- sources

static int sources_room(struct mr_view_sources *s, uint32_t states, uint32_t runs)
{
	*s = (struct mr_view_sources){
		.states = calloc(states + 1, sizeof(struct mr_view_state *)),
		.runs = calloc(runs + 1, sizeof(struct mr_run *)),
	};
	if (s->states && s->runs)
		return 0;
	mr_view_sources_fini(s);
	return -ENOMEM;
}

static void add_state(struct mr_view_sources *s, struct mr_view_state *state)
{
	atomic_fetch_add_explicit(&state->references, 1, memory_order_relaxed);
	s->states[s->states_count++] = state;
}

int mr_view_sources_all(struct mr_view *v, struct mr_view_sources *out)
{
	int rc;

	pthread_mutex_lock(&v->lock);
	rc = sources_room(out, v->states_count, v->runs_count);
	for (struct mr_view_state *s = v->states; rc == 0 && s; s = s->next)
		add_state(out, s);
	for (uint32_t i = 0; rc == 0 && i < v->runs_count; i++)
		out->runs[out->runs_count++] = mr_run_get(v->runs[i]);
	pthread_mutex_unlock(&v->lock);
	return rc;
}

int mr_view_sources_of(
	struct mr_view *v, uint32_t part, uint64_t sequence, struct mr_view_sources *out)
{
	int rc;

	pthread_mutex_lock(&v->lock);
	rc = sources_room(out, v->states_count, 0);
	for (struct mr_view_state *s = v->states; rc == 0 && s; s = s->next)
		if (s->part == part && s->sequence <= sequence)
			add_state(out, s);
	pthread_mutex_unlock(&v->lock);
	return rc;
}

void mr_view_sources_fini(struct mr_view_sources *s)
{
	for (uint32_t i = 0; i < s->states_count; i++)
		mr_view_state_put(s->states[i]);
	for (uint32_t i = 0; i < s->runs_count; i++)
		mr_run_put(s->runs[i]);
	free(s->states);
	free(s->runs);
	*s = (struct mr_view_sources){0};
}

size_t mr_view_sources_bytes(const struct mr_view *v, const struct mr_view_sources *s)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < s->states_count; i++)
		bytes += atomic_load_explicit(&s->states[i]->bytes, memory_order_relaxed);
	for (uint32_t i = 0; i < s->runs_count; i++)
		bytes += s->runs[i]->info.groups * v->group_bytes + s->runs[i]->info.raw_bytes;
	return bytes;
}

int mr_view_state_order(struct mr_view_state *s, const struct mr_fold_order **out)
{
	struct mr_fold_order *o = atomic_load_explicit(&s->order, memory_order_acquire);
	struct mr_fold_order *none = NULL;
	int rc;

	*out = o;
	if (o)
		return 0;
	rc = mr_fold_order_create(s->fold, &o);
	if (rc < 0)
		return rc;
	if (atomic_compare_exchange_strong_explicit(
		    &s->order, &none, o, memory_order_acq_rel, memory_order_acquire)) {
		*out = o;
	} else {
		mr_fold_order_destroy(o);
		*out = none;
	}
	return 0;
}

// ---- passes

static int uncounted(struct mr_view_merging *, size_t)
{
	return 0;
}

void mr_view_merging_begin(struct mr_view_merging *m, struct mr_view *v,
	const struct mr_view_sources *s, struct mr_run_reader *reader, size_t pass_bytes)
{
	size_t bytes = mr_view_sources_bytes(v, s);

	*m = (struct mr_view_merging){.view = v,
		.sources = s,
		.reader = reader,
		.grown = uncounted,
		.step = MR_FOLD_PARTS,
		.end = MR_FOLD_PARTS};
	// One group cannot be divided, and every pass would have it.
	if (mr_fold_is_grouped(v->fold) && bytes > pass_bytes)
		m->step = (uint32_t)MR_MAX(pass_bytes * MR_FOLD_PARTS / bytes, (size_t)1);
}

void mr_view_merging_only(struct mr_view_merging *m, uint8_t part)
{
	m->next = part;
	m->end = part + 1u;
}

static int check(struct mr_view_merging *m, const struct mr_fold_state *into, struct mr_diag *diag)
{
	int rc = mr_view_cancelled(m->cancelled, diag);

	return rc < 0 ? rc : m->grown(m, mr_fold_state_bytes(into));
}

// A little at a time, so that a limit is seen soon.
static int merge_state(struct mr_view_merging *m, struct mr_view_state *s,
	struct mr_fold_parts parts, struct mr_fold_state *into, struct mr_diag *diag)
{
	const struct mr_fold_order *o;
	int rc = mr_view_state_order(s, &o), more = 1;

	while (rc == 0 && more) {
		more = mr_fold_merge_parts(
			into, s->fold, o, parts, &m->done, mr_fold_state_bytes(into) + MERGE_BYTES);
		if (more < 0)
			return mr_diag_set(diag, more, "53200", 0, "out of memory");
		rc = check(m, into, diag);
	}
	return rc;
}

static int merge_block(struct mr_view_merging *m, const struct mr_run *run, uint32_t block,
	struct mr_fold_parts parts, struct mr_fold_state *into, struct mr_diag *diag)
{
	struct mr_span bytes;
	int rc = mr_run_reader_block(m->reader, block, &bytes, diag);

	if (rc < 0)
		return rc;
	rc = mr_fold_load(into, bytes, parts);
	if (rc == -ENOMEM)
		return mr_diag_set(diag, rc, "53200", 0, "out of memory");
	if (rc < 0)
		return mr_run_damaged(run, run->blocks[block].at,
			"a block does not hold the view's groups", diag);
	return check(m, into, diag);
}

static int merge_run(struct mr_view_merging *m, struct mr_run *run, struct mr_fold_parts parts,
	struct mr_fold_state *into, struct mr_diag *diag)
{
	int rc = mr_run_reader_open(m->reader, run, diag);

	while (rc == 0 && m->block < run->blocks_count) {
		uint32_t i = m->block++;

		if (run->blocks[i].first <= parts.last && run->blocks[i].last >= parts.first)
			rc = merge_block(m, run, i, parts, into, diag);
	}
	return rc;
}

static int merge_pass(struct mr_view_merging *m, struct mr_fold_parts parts,
	struct mr_fold_state *into, struct mr_diag *diag)
{
	const struct mr_view_sources *s = m->sources;
	int rc = 0;

	for (; rc == 0 && m->run < s->runs_count; m->run += rc == 0, m->block = rc ? m->block : 0)
		rc = merge_run(m, s->runs[m->run], parts, into, diag);
	for (; rc == 0 && m->state < s->states_count;
		m->state += rc == 0, m->done = rc ? m->done : 0)
		rc = merge_state(m, s->states[m->state], parts, into, diag);
	return rc;
}

static void rewind_pass(struct mr_view_merging *m)
{
	m->run = m->block = m->state = m->done = 0;
}

void mr_view_merging_release(struct mr_view_merging *m, struct mr_fold_state *pass)
{
	mr_fold_state_destroy(pass);
	(void)!m->grown(m, 0);
}

int mr_view_merging_next(struct mr_view_merging *m, struct mr_fold_state **out,
	struct mr_fold_parts *parts, struct mr_diag *diag)
{
	for (;;) {
		int rc;

		if (m->next >= m->end)
			return 0;
		parts->first = (uint8_t)m->next;
		parts->last = (uint8_t)(MR_MIN(m->next + m->step, m->end) - 1);
		rc = mr_fold_state_create(m->view->fold, SIZE_MAX, out);
		if (rc < 0)
			return mr_diag_set(diag, rc, "53200", 0, "out of memory");
		rc = merge_pass(m, *parts, *out, diag);
		if (rc == 0) {
			m->next += m->step;
			rewind_pass(m);
		}
		if (rc == 0 || (rc == MR_ERR_LIMIT && m->splits && m->step == 1)) {
			mr_fold_state_trim(*out);
			return 1;
		}
		mr_view_merging_release(m, *out);
		*out = NULL;
		if (rc != MR_ERR_LIMIT || !m->splits)
			return rc;
		m->step /= 2;
		rewind_pass(m);
	}
}

// ---- writing

int mr_view_ranges_add(
	struct mr_view_ranges *r, const struct mr_offset_range *items, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct mr_offset_range *grown;
		uint32_t at = 0;

		while (at < r->count && r->items[at].partition < items[i].partition)
			at++;
		if (at < r->count && r->items[at].partition == items[i].partition) {
			r->items[at].from = MR_MIN(r->items[at].from, items[i].from);
			r->items[at].to = MR_MAX(r->items[at].to, items[i].to);
			continue;
		}
		grown = realloc(r->items, (r->count + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		r->items = grown;
		memmove(grown + at + 1, grown + at, (r->count - at) * sizeof(*grown));
		grown[at] = items[i];
		r->count++;
	}
	return 0;
}

int mr_view_tools_init(struct mr_view_tools *t, struct mr_disk *disk)
{
	int rc;

	*t = (struct mr_view_tools){0};
	rc = mr_run_writer_create(disk, &t->writer);
	if (rc == 0)
		rc = mr_run_reader_create(&t->reader);
	if (rc < 0)
		mr_view_tools_fini(t);
	return rc;
}

void mr_view_tools_fini(struct mr_view_tools *t)
{
	mr_run_writer_destroy(t->writer);
	mr_run_reader_destroy(t->reader);
	mr_buf_fini(&t->raw);
	*t = (struct mr_view_tools){0};
}

static void info_init(const struct mr_view *v, struct mr_run_info *info)
{
	*info = (struct mr_run_info){.id = mr_run_store_id(v->host->runs),
		.view_id = v->def->id,
		.table_id = v->table->def->id,
		.fingerprint = mr_fold_fingerprint(v->fold)};
}

// A state's groups behind what the run has; they are of these parts.
static int put_state(struct mr_view_tools *t, const struct mr_view *v,
	const struct mr_fold_state *state, const struct mr_fold_order *o,
	struct mr_fold_parts parts, struct mr_run_info *info)
{
	size_t share = mr_view_budget_work(&v->host->budget) / BLOCK_SHARE;
	size_t block_bytes = MR_MIN(MR_MAX(share, (size_t)BLOCK_BYTES_MIN), (size_t)BLOCK_BYTES);
	struct mr_fold_saving saving = {0};
	int more = 1, rc = 0;

	info->rows_failed += mr_fold_state_rows_failed(state);
	info->rows_untimed += mr_fold_state_rows_untimed(state);
	while (rc == 0 && more) {
		mr_buf_reset(&t->raw);
		more = mr_fold_save(state, o, block_bytes, &saving, &t->raw);
		if (more < 0)
			return more;
		// Only a whole state's first block has counts that need part 0.
		saving.parts.first = MR_MAX(saving.parts.first, parts.first);
		saving.parts.last = MR_MAX(saving.parts.last, saving.parts.first);
		if (saving.groups || parts.first == 0)
			rc = mr_run_write(t->writer, saving.parts.first, saving.parts.last,
				saving.groups, mr_buf_span(&t->raw));
	}
	return rc;
}

static int put_fresh(struct mr_view_tools *t, const struct mr_view *v,
	const struct mr_fold_state *state, struct mr_fold_parts parts, struct mr_run_info *info)
{
	struct mr_view_budget *b = &v->host->budget;
	struct mr_fold_order *o;
	size_t counted = 0;
	int rc = mr_fold_order_create(state, &o);

	if (rc < 0)
		return rc;
	mr_view_work_count(b, &counted, mr_fold_state_groups(state) * sizeof(uint32_t));
	rc = put_state(t, v, state, o, parts, info);
	mr_fold_order_destroy(o);
	mr_view_work_count(b, &counted, 0);
	return rc;
}

static int work_grown(struct mr_view_merging *m, size_t bytes)
{
	struct mr_view_budget *b = m->ctx;

	mr_view_work_count(b, &m->counted, bytes);
	// One group cannot be divided.
	return bytes > mr_view_budget_work(b) && mr_fold_is_grouped(m->view->fold) ? MR_ERR_LIMIT
										   : 0;
}

static int put_merged(struct mr_view_tools *t, struct mr_view *v, const struct mr_view_sources *s,
	struct mr_run_info *info, struct mr_diag *diag)
{
	struct mr_view_merging m;
	struct mr_fold_state *state;
	struct mr_fold_parts parts;
	int rc;

	// What the index of the groups takes beside them is little, but not nothing.
	mr_view_merging_begin(&m, v, s, t->reader, mr_view_budget_work(&v->host->budget) / 4 * 3);
	m.cancelled = t->cancelled;
	m.grown = work_grown;
	m.ctx = &v->host->budget;
	m.splits = true;
	while ((rc = mr_view_merging_next(&m, &state, &parts, diag)) == 1) {
		rc = put_fresh(t, v, state, parts, info);
		mr_view_merging_release(&m, state);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int finish(struct mr_view_tools *t, int rc, struct mr_run_info *info)
{
	if (rc < 0) {
		mr_run_abort(t->writer);
		return rc;
	}
	return mr_run_finish(t->writer, info);
}

int mr_view_write(struct mr_view_tools *t, struct mr_view *v, const struct mr_view_sources *s,
	struct mr_run_info *info, struct mr_diag *diag)
{
	const struct mr_fold_order *o;
	int rc;

	info_init(v, info);
	rc = mr_run_begin(t->writer, info);
	if (rc < 0)
		return rc;
	if (s->states_count == 1 && s->runs_count == 0) {
		rc = mr_view_state_order(s->states[0], &o);
		if (rc == 0)
			rc = put_state(t, v, s->states[0]->fold, o, MR_FOLD_ALL, info);
	} else {
		rc = put_merged(t, v, s, info, diag);
	}
	return finish(t, rc, info);
}

int mr_view_write_state(struct mr_view_tools *t, struct mr_view *v,
	const struct mr_fold_state *state, struct mr_run_info *info)
{
	int rc;

	info_init(v, info);
	rc = mr_run_begin(t->writer, info);
	return rc < 0 ? rc : finish(t, put_fresh(t, v, state, MR_FOLD_ALL, info), info);
}

void mr_view_unlink(struct mr_view *v, const struct mr_run_info *info)
{
	char name[MR_RUN_NAME_BYTES];

	mr_run_name(info->id, name);
	(void)!mr_disk_unlink(v->host->disk, name);
}
