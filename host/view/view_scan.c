// Scans of views.
#include "host/view/view_scan.h"

#include "host/view/view_base.h"

#include <errno.h>

// Of a view read in passes: what one of them merges, about.
enum { PASS_BYTES = 32 << 20, PASS_SHARE = 4 };

struct mr_scan {
	struct mr_view *view;
	struct mr_view_reading reading;
	// Of a reading without base.
	struct mr_run_reader *reader;
	struct mr_view_merging merging;
	struct mr_fold_state *pass; // or NULL

	struct mr_query *counted; // the caller's
	struct mr_query query;    // the same, with an arena of the scan's own for blocks
	struct mr_arena arena;
	uint64_t cursor;
	const uint32_t *columns;
	uint32_t columns_count;
	struct mr_col *cols;
	struct mr_scan_stats stats;
};

// A pass is the query's memory, and the reader's with it.
static int pass_grown(struct mr_view_merging *m, size_t bytes)
{
	struct mr_scan *s = m->ctx;

	bytes += bytes ? mr_run_reader_bytes(s->reader) : 0;
	if (bytes > m->counted && !mr_budget_take(s->query.memory, bytes - m->counted))
		return MR_ERR_LIMIT;
	if (bytes < m->counted)
		mr_budget_give(s->query.memory, m->counted - bytes);
	m->counted = bytes;
	return 0;
}

static int passes_begin(struct mr_scan *s, const struct mr_scan_spec *spec)
{
	uint64_t room = mr_budget_room(s->query.memory);
	int part = mr_fold_part_of(s->view->fold, spec->ranges, spec->ranges_count);
	int rc = mr_run_reader_create(&s->reader);

	if (rc < 0)
		return rc;
	mr_view_merging_begin(&s->merging, s->view, &s->reading.sources, s->reader,
		MR_MIN(room / PASS_SHARE, (uint64_t)PASS_BYTES));
	s->merging.cancelled = s->query.cancelled;
	s->merging.grown = pass_grown;
	s->merging.ctx = s;
	// Who asks for one key reads a 256th of the groups.
	if (part >= 0)
		mr_view_merging_only(&s->merging, (uint8_t)part);
	return 0;
}

static int view_begin(const struct mr_relation *r, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *diag)
{
	struct mr_scan *s = mr_arena_zalloc(spec->query->arena, 1, sizeof(*s));
	int rc;

	if (s)
		s->cols = mr_arena_zalloc(
			spec->query->arena, spec->columns_count + 1, sizeof(*s->cols));
	if (!s || !s->cols)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	s->view = r->owner;
	rc = mr_table_whole(s->view->table, diag);
	if (rc == 0)
		rc = mr_view_read(s->view, spec->query->cancelled, &s->reading, diag);
	if (rc < 0)
		return rc;
	mr_view_get(s->view);
	mr_arena_init_budget(&s->arena, spec->query->memory);
	s->counted = spec->query;
	s->query = *spec->query;
	s->query.arena = &s->arena;
	s->columns = spec->columns;
	s->columns_count = spec->columns_count;
	if (!s->reading.base && passes_begin(s, spec) < 0) {
		mr_view_reading_end(s->view, &s->reading);
		mr_view_put(s->view);
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	}
	*out = s;
	return 0;
}

static void pass_end(struct mr_scan *s)
{
	if (s->pass)
		mr_view_merging_release(&s->merging, s->pass);
	s->pass = NULL;
	s->cursor = 0;
}

// 1, 0 when there is no further pass, or negative with diag.
static int pass_next(struct mr_scan *s, struct mr_diag *diag)
{
	struct mr_fold_parts parts;
	int rc;

	pass_end(s);
	rc = mr_view_merging_next(&s->merging, &s->pass, &parts, diag);
	if (rc == MR_ERR_LIMIT)
		return mr_query_no_memory(s->counted, diag);
	return rc;
}

// The next block of groups, of whichever state.
static int read_block(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag)
{
	int rc = 0;

	if (s->reading.base)
		return mr_fold_read(s->reading.base->fold, &s->query, &s->cursor, out, diag);
	for (;;) {
		if (s->pass)
			rc = mr_fold_read(s->pass, &s->query, &s->cursor, out, diag);
		if (rc == 0)
			rc = pass_next(s, diag);
		else
			return rc;
		if (rc <= 0)
			return rc;
		rc = 0;
	}
}

static int view_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag)
{
	struct mr_block all;
	int rc;

	mr_arena_reset(&s->arena);
	rc = read_block(s, &all, diag);
	if (rc <= 0)
		return rc;
	for (uint32_t i = 0; i < s->columns_count; i++)
		s->cols[i] = all.columns[s->columns[i]];
	s->stats.rows += all.rows;
	s->stats.blocks++;
	*out = (struct mr_block){all.rows, s->cols};
	return 1;
}

static void view_stats(const struct mr_scan *s, struct mr_scan_stats *out)
{
	*out = s->stats;
}

static void view_end(struct mr_scan *s)
{
	pass_end(s);
	mr_run_reader_destroy(s->reader);
	mr_arena_fini(&s->arena);
	mr_view_reading_end(s->view, &s->reading);
	mr_view_put(s->view);
}

static int64_t view_rows_known(const struct mr_relation *)
{
	return -1;
}

const struct mr_relation_ops mr_view_relation_ops = {
	view_begin, view_next, view_stats, view_end, view_rows_known};
