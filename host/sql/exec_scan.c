// SCAN and WINDOW.
//
// A scan's blocks (up to 65,536 rows) are cut into batches of MR_EXEC_ROWS; a cut lies on a word of
// the null bitmap because MR_EXEC_ROWS is a multiple of 64.
#include "host/sql/exec.h"

#include <string.h>

static_assert(MR_EXEC_ROWS % 64 == 0);

struct scan_state {
	struct mr_scan *scan;
	struct mr_block block;
	uint32_t at;
	struct mr_col *columns;
};

static void cut(const struct mr_col *from, uint32_t at, struct mr_col *to)
{
	*to = *from;
	if (from->codes)
		to->codes += at;
	else
		to->values = (const uint8_t *)from->values +
			     at * mr_phys_bytes((enum mr_phys)from->phys);
	if (from->valid)
		to->valid += at / 64;
}

static int scan_next(struct mr_op *op, struct mr_batch *out)
{
	struct scan_state *s = op->state;
	const struct mr_relation_ops *ops = op->plan->relation->ops;
	uint32_t n;

	while (s->at >= s->block.rows) {
		int rc = ops->scan_next(s->scan, &s->block, op->run->diag);

		// A LIMIT may never see the end.
		if (op->run->timed || rc <= 0)
			ops->scan_stats(s->scan, &op->stats.scan);
		if (rc <= 0)
			return rc;
		s->at = 0;
		op->run->dict_epoch++;
	}
	n = MR_MIN(s->block.rows - s->at, (uint32_t)MR_EXEC_ROWS);
	for (uint32_t i = 0; i < op->plan->columns_count; i++)
		cut(&s->block.columns[i], s->at, &s->columns[i]);
	s->at += n;
	*out = (struct mr_batch){.rows = n, .n = n, .columns = s->columns};
	return 1;
}

static void scan_close(struct mr_op *op)
{
	struct scan_state *s = op->state;

	if (s && s->scan)
		op->plan->relation->ops->scan_end(s->scan);
}

// A bound's value in the run's memory, or NULL when it is SQL's NULL (no row can match; the filter
// sees to that).
static int bound(struct mr_op *op, const struct mr_expr *e, const void **out)
{
	struct mr_batch one = {.rows = 1, .n = 1};
	union mr_value *copy;
	struct mr_vec v;
	int rc;

	*out = NULL;
	if (!e)
		return 0;
	mr_op_input(op, &one);
	rc = mr_expr_eval(&op->eval, e, NULL, 1, &v);
	if (rc < 0 || mr_vec_is_null(&v, 0))
		return rc;
	copy = mr_arena_zalloc(op->run->query->arena, 1, sizeof(*copy));
	if (!copy)
		return mr_op_no_memory(op);
	memcpy(copy, mr_vec_at(&v, 0), mr_phys_bytes((enum mr_phys)v.col.phys));
	if (v.col.phys == MR_PHYS_BYTES) {
		struct mr_span text = mr_arena_copy(
			op->run->query->arena, mr_span(copy->str.data, copy->str.bytes));

		if (!text.data)
			return mr_op_no_memory(op);
		copy->str.data = text.data;
	}
	*out = copy;
	return 0;
}

int mr_op_scan_open(struct mr_op *op)
{
	const struct mr_plan *p = op->plan;
	struct mr_arena *arena = op->run->query->arena;
	struct scan_state *s = mr_arena_zalloc(arena, 1, sizeof(*s));
	uint32_t *columns = mr_arena_zalloc(arena, p->columns_count + 1, sizeof(*columns));
	struct mr_scan_range *ranges = mr_arena_zalloc(arena, p->ranges_count + 1, sizeof(*ranges));
	struct mr_scan_spec spec = {.columns = columns,
		.columns_count = p->columns_count,
		.ranges = ranges,
		.ranges_count = p->ranges_count,
		.query = op->run->query};
	int64_t start;
	int rc = 0;

	op->next = scan_next;
	op->close = scan_close;
	op->state = s;
	if (!s || !columns || !ranges)
		return mr_op_no_memory(op);
	s->columns = mr_arena_zalloc(arena, p->columns_count + 1, sizeof(*s->columns));
	if (!s->columns)
		return mr_op_no_memory(op);
	for (uint32_t i = 0; i < p->columns_count; i++)
		columns[i] = p->columns[i].source;
	for (uint32_t i = 0; i < p->ranges_count && rc >= 0; i++) {
		ranges[i].column = p->ranges[i].column;
		rc = bound(op, p->ranges[i].low, &ranges[i].low);
		rc = rc < 0 ? rc : bound(op, p->ranges[i].high, &ranges[i].high);
	}
	if (rc < 0)
		return rc;
	// Some relations do most of their work here.
	start = op->run->timed ? mr_now_ns(op->run->clock) : 0;
	rc = p->relation->ops->scan_begin(p->relation, &spec, &s->scan, op->run->diag);
	if (op->run->timed)
		op->stats.ns += mr_now_ns(op->run->clock) - start;
	return rc;
}

// ---- WINDOW ----

struct window_state {
	struct mr_batch in;
	uint32_t turn;
	bool have;
};

// The largest multiple of `slide` that is not above `t`.
static int64_t floor_to(int64_t t, int64_t slide)
{
	int64_t r = t % slide;

	return t - (r < 0 ? r + slide : r);
}

uint32_t mr_window_rows(const struct mr_plan *w, const struct mr_col *time, uint32_t turn,
	const uint32_t *sel, uint32_t n, uint32_t *sel_out, void *starts, void *ends)
{
	bool date = time->phys == MR_PHYS_I32;
	uint32_t count = 0;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = mr_sel(sel, k);
		int64_t t, start, end, most = date ? INT32_MAX : INT64_MAX;

		if (mr_col_is_null(time, i))
			continue;
		t = date ? ((const int32_t *)time->values)[i] : ((const int64_t *)time->values)[i];
		// Infinities are in no window.
		if (t == most || t == (date ? INT32_MIN : INT64_MIN))
			continue;
		if (__builtin_sub_overflow(
			    floor_to(t, w->slide), (int64_t)turn * w->slide, &start) ||
			__builtin_add_overflow(start, w->size, &end) || end <= t || end > most)
			continue;
		sel_out[count++] = i;
		if (date) {
			((int32_t *)starts)[i] = (int32_t)start;
			((int32_t *)ends)[i] = (int32_t)end;
		} else {
			((int64_t *)starts)[i] = start;
			((int64_t *)ends)[i] = end;
		}
	}
	return count;
}

static int window_next(struct mr_op *op, struct mr_batch *out)
{
	struct window_state *s = op->state;
	const struct mr_plan *p = op->plan;
	struct mr_typeref type = p->child->columns[p->time_column].type;
	struct mr_col *columns;
	void *starts, *ends;
	uint32_t *sel, n;

	if (!s->have || s->turn == mr_window_turns(p)) {
		int rc = mr_op_next(op->child, &s->in);

		if (rc <= 0)
			return rc;
		s->have = true;
		s->turn = 0;
	}
	mr_op_input(op, &s->in);
	columns = mr_arena_zalloc(&op->scratch, p->columns_count + 1, sizeof(*columns));
	starts = mr_arena_column(&op->scratch, s->in.rows * 8);
	ends = mr_arena_column(&op->scratch, s->in.rows * 8);
	sel = mr_arena_alloc(&op->scratch, (s->in.n + 1) * sizeof(*sel));
	if (!columns || !starts || !ends || !sel)
		return mr_op_no_memory(op);
	n = mr_window_rows(p, &s->in.columns[p->time_column], s->turn++, s->in.sel, s->in.n, sel,
		starts, ends);
	for (uint32_t i = 0; i < p->columns_count; i++) {
		uint32_t source = p->columns[i].source;

		if (source >= MR_PLAN_WINDOW_END)
			columns[i] = (struct mr_col){.type = type,
				.phys = (uint8_t)mr_type_phys(type),
				.values = source == MR_PLAN_WINDOW_START ? starts : ends};
		else
			columns[i] = s->in.columns[source];
	}
	*out = (struct mr_batch){.rows = s->in.rows, .sel = sel, .n = n, .columns = columns};
	return 1;
}

int mr_op_window_open(struct mr_op *op)
{
	op->next = window_next;
	op->state = mr_arena_zalloc(op->run->query->arena, 1, sizeof(struct window_state));
	return op->state ? 0 : mr_op_no_memory(op);
}
