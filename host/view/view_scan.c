// Scans of views.
#include "host/view/view_scan.h"

#include <errno.h>

struct mr_scan {
	struct mr_view *view;
	struct mr_view_base *base;
	struct mr_query query; // the caller's, with an arena of the scan's own for blocks
	struct mr_arena arena;
	uint64_t cursor;
	const uint32_t *columns;
	uint32_t columns_count;
	struct mr_col *cols;
	struct mr_scan_stats stats;
};

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
		rc = mr_view_read(s->view, &s->base, diag);
	if (rc < 0)
		return rc;
	mr_view_get(s->view);
	mr_arena_init_budget(&s->arena, spec->query->memory);
	s->query = *spec->query;
	s->query.arena = &s->arena;
	s->columns = spec->columns;
	s->columns_count = spec->columns_count;
	*out = s;
	return 0;
}

static int view_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag)
{
	struct mr_block all;
	int rc;

	mr_arena_reset(&s->arena);
	rc = mr_fold_read(s->base->fold, &s->query, &s->cursor, &all, diag);
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
	mr_arena_fini(&s->arena);
	mr_view_unread(s->view, s->base);
	mr_view_put(s->view);
}

static int64_t view_rows_known(const struct mr_relation *)
{
	return -1;
}

const struct mr_relation_ops mr_view_relation_ops = {
	view_begin, view_next, view_stats, view_end, view_rows_known};
