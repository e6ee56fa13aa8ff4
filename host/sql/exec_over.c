// OVER: window functions.
//
// All rows are gathered in memory, each with room for the results of all calls behind its columns.
// They are sorted once for each order that the calls want (a call that wants a beginning of an
// order is served by it), and each call then goes through its partitions and writes its results
// into the rows. Every call is linear in the rows: what changes from row to row is where its peers
// and its frame begin and end, and these only move forward.
#include "host/base/datetime.h"
#include "host/sql/over.h"

#include <errno.h>
#include <string.h>

enum { ROWS_PER_POLL = 4096 };

struct call_run {
	const struct mr_over_call *call;
	uint32_t column;     // of the result
	int64_t from, until; // offsets of the frame's ends
	bool has_peers;
	bool has_frame;
	struct mr_over_agg agg;
};

struct over_state {
	struct mr_rowset rows;
	struct call_run *calls;
	bool built;
	uint32_t at;
};

// ---- Peers and frames ----

static void next_peers(const struct mr_op *op, const struct mr_over_call *c, struct mr_over_rows *r)
{
	const struct mr_over_window *w = &c->window;
	const struct mr_plan_sort *order = w->sorts + w->partition_count;
	uint32_t end = r->at + 1;

	while (end < r->count &&
		mr_rowset_compare(r->set, order, w->sorts_count - w->partition_count,
			op->plan->columns, r->rows[r->at], r->rows[end]) == 0)
		end++;
	r->peers_first = r->at;
	r->peers_end = end;
	r->peers_number++;
}

static uint32_t clamp(int64_t at, uint32_t count)
{
	return at < 0 ? 0 : at > count ? count : (uint32_t)at;
}

// RANGE with an offset: how a row stands to the current row's limit, by the order. NULLs are beyond
// all limits on their side.
static int compare_limit(const struct mr_op *op, const struct mr_over_rows *r,
	const struct mr_over_window *w, const struct mr_over_bound *b, uint32_t at)
{
	const struct mr_plan_sort *order = &w->sorts[w->partition_count];
	const uint8_t *row = r->rows[at];
	int c;

	if (mr_rowset_is_null(row, w->key_column))
		return order->nulls_first ? -1 : 1;
	c = mr_value_cmp(op->plan->columns[w->key_column].type,
		mr_rowset_at(r->set, row, w->key_column),
		mr_rowset_at(r->set, r->rows[r->at], b->limit_column));
	return order->desc ? -c : c;
}

// The ends move forward from those of the row before.
static uint32_t range_bound(const struct mr_op *op, const struct mr_over_rows *r,
	const struct mr_over_window *w, const struct mr_over_bound *b, bool end)
{
	uint32_t at = end ? r->frame_end : r->frame_first;

	if (mr_rowset_is_null(r->rows[r->at], w->key_column))
		return end ? r->peers_end : r->peers_first;
	while (at < r->count && compare_limit(op, r, w, b, at) < end)
		at++;
	return at;
}

// Where a bound cuts the partition. `end`: behind the rows it includes.
static uint32_t bound_at(const struct mr_over_rows *r, const struct mr_over_window *w,
	const struct mr_over_bound *b, int64_t offset, bool end)
{
	// A sum beyond 2^63 is beyond every partition too.
	int64_t to = (int64_t)r->at + end, far = MR_MIN(offset, (int64_t)UINT32_MAX + 1);

	switch (b->kind) {
	case MR_AST_UNBOUNDED_PRECEDING: return 0;
	case MR_AST_UNBOUNDED_FOLLOWING: return r->count;
	case MR_AST_PRECEDING: return clamp(to - far, r->count);
	case MR_AST_FOLLOWING: return clamp(to + far, r->count);
	default: return w->by_rows ? (uint32_t)to : end ? r->peers_end : r->peers_first;
	}
}

static void find_frame(const struct mr_op *op, const struct call_run *c, struct mr_over_rows *r)
{
	const struct mr_over_window *w = &c->call->window;
	uint32_t end;

	r->frame_first = w->start.limit ? range_bound(op, r, w, &w->start, false)
					: bound_at(r, w, &w->start, c->from, false);
	end = w->end.limit ? range_bound(op, r, w, &w->end, true)
			   : bound_at(r, w, &w->end, c->until, true);
	r->frame_end = MR_MAX(end, r->frame_first);
}

// ---- Calls ----

static void put_value(
	const struct mr_rowset *set, uint8_t *row, uint32_t column, const struct mr_datum *v)
{
	uint8_t bit = (uint8_t)(1u << (column % 8));

	row[column / 8] = (uint8_t)(v->null ? row[column / 8] | bit : row[column / 8] & ~bit);
	if (!v->null)
		memcpy(row + set->nulls_bytes + (size_t)column * 16, &v->value, sizeof(v->value));
}

// One call over one partition: rows[0..count).
static int run_partition(struct mr_op *op, struct call_run *c, const struct mr_rowset *set,
	uint8_t **rows, uint32_t count)
{
	struct mr_over_rows r = {.set = set, .rows = rows, .count = count, .diag = op->run->diag};
	int rc = c->call->fn ? 0 : mr_over_agg_begin(&c->agg);

	for (; r.at < count && rc >= 0; r.at++) {
		struct mr_datum v;

		if (r.at % ROWS_PER_POLL == ROWS_PER_POLL - 1 && (rc = mr_run_poll(op->run)) < 0)
			return rc;
		if (c->has_peers && r.at >= r.peers_end)
			next_peers(op, c->call, &r);
		if (c->has_frame)
			find_frame(op, c, &r);
		rc = c->call->fn ? c->call->fn->value(&r, c->call, &v)
				 : mr_over_agg_value(&c->agg, &r, &v);
		if (rc >= 0)
			put_value(set, rows[r.at], c->column, &v);
	}
	return rc;
}

// One call over all rows, which are sorted as it wants.
static int run_call(struct mr_op *op, struct over_state *s, struct call_run *c)
{
	const struct mr_over_window *w = &c->call->window;
	uint32_t first = 0, polled = 0;
	int rc = 0;

	while (first < s->rows.count && rc >= 0) {
		uint32_t end = first + 1;

		while (end < s->rows.count &&
			mr_rowset_compare(&s->rows, w->sorts, w->partition_count, op->plan->columns,
				s->rows.rows[first], s->rows.rows[end]) == 0)
			end++;
		rc = run_partition(op, c, &s->rows, s->rows.rows + first, end - first);
		if (rc >= 0 && end - polled >= ROWS_PER_POLL) {
			polled = end;
			rc = mr_run_poll(op->run);
		}
		first = end;
	}
	return rc;
}

// ---- The step ----

static bool is_negative(struct mr_typeref t, const void *v)
{
	switch (t.type) {
	case MR_TYPE_INT8: return *(const int64_t *)v < 0;
	case MR_TYPE_FLOAT8: return !(*(const double *)v >= 0);
	case MR_TYPE_INTERVAL: return mr_interval_span_us(*(const struct mr_interval *)v) < 0;
	default: {
		struct mr_dec d = mr_value_to_dec(t, v);

		return mr_dec_is_nan(d) || mr_dec_coefficient(d) < 0;
	}
	}
}

static int offset_of(
	struct mr_op *op, const struct mr_over_bound *b, const char *which, int64_t *out)
{
	struct mr_batch one = {.rows = 1, .n = 1};
	struct mr_vec v;
	int rc;

	if (!b->offset)
		return 0;
	mr_op_input(op, &one);
	rc = mr_expr_eval(&op->eval, b->offset, NULL, 1, &v);
	if (rc < 0)
		return rc;
	if (mr_vec_is_null(&v, 0))
		return mr_diag_set(op->run->diag, -EINVAL, "22004", 0,
			"frame %s offset must not be null", which);
	if (is_negative(b->offset->type, mr_vec_at(&v, 0)))
		return b->limit ? mr_diag_set(op->run->diag, -EINVAL, "22013", 0,
					  "invalid preceding or following size in window function")
				: mr_diag_set(op->run->diag, -EINVAL, "22013", 0,
					  "frame %s offset must not be negative", which);
	if (!b->limit)
		*out = *(const int64_t *)mr_vec_at(&v, 0);
	return 0;
}

static int open_calls(struct mr_op *op, struct over_state *s)
{
	const struct mr_plan *p = op->plan;
	int rc = 0;

	for (uint32_t i = 0; i < p->overs_count && rc >= 0; i++) {
		const struct mr_over_call *call = &p->overs[i];
		struct call_run *c = &s->calls[i];

		c->call = call;
		c->column = p->columns_count - p->overs_count + i;
		c->has_frame = !call->fn || call->fn->flags & MR_OVER_FRAME;
		c->has_peers = call->fn && call->fn->flags & MR_OVER_PEERS;
		c->has_peers |= c->has_frame && !call->window.by_rows;
		if (!call->fn)
			mr_over_agg_init(&c->agg, call, op->run->query, op->run->diag);
		rc = offset_of(op, &call->window.start, "starting", &c->from);
		rc = rc < 0 ? rc : offset_of(op, &call->window.end, "ending", &c->until);
	}
	return rc;
}

static int gather(struct mr_op *op, struct over_state *s)
{
	struct mr_arena *arena = op->run->query->arena;
	struct mr_batch in;
	int rc;

	mr_rowset_init(&s->rows, op->plan->columns_count);
	s->rows.copied_count = op->plan->columns_count - op->plan->overs_count;
	while ((rc = mr_op_next(op->child, &in)) == 1)
		for (uint32_t k = 0; k < in.n; k++) {
			uint8_t *row =
				mr_rowset_copy(&s->rows, arena, in.columns, mr_sel(in.sel, k));

			if (!row || mr_rowset_add(&s->rows, arena, row) < 0)
				return mr_op_no_memory(op);
		}
	return rc;
}

static int over_build(struct mr_op *op, struct over_state *s)
{
	const struct mr_plan *p = op->plan;
	int rc = open_calls(op, s);

	rc = rc < 0 ? rc : gather(op, s);
	for (uint32_t t = 0; t < p->turns_count && rc >= 0; t++) {
		const struct mr_over_turn *turn = &p->turns[t];

		rc = mr_rowset_sort(&s->rows, op->run, turn->sorts, turn->sorts_count, p->columns);
		for (uint32_t i = 0; i < p->overs_count && rc >= 0; i++)
			if (p->overs[i].turn == t)
				rc = run_call(op, s, &s->calls[i]);
	}
	s->built = true;
	return rc;
}

static int over_next(struct mr_op *op, struct mr_batch *out)
{
	struct over_state *s = op->state;
	int rc = s->built ? 0 : over_build(op, s);

	return rc < 0 ? rc : mr_op_rows(op, &s->rows, &s->at, out);
}

static void over_close(struct mr_op *op)
{
	struct over_state *s = op->state;

	for (uint32_t i = 0; s && i < op->plan->overs_count; i++)
		mr_over_agg_fini(&s->calls[i].agg);
}

int mr_op_over_open(struct mr_op *op)
{
	struct mr_arena *arena = op->run->query->arena;
	struct over_state *s = mr_arena_zalloc(arena, 1, sizeof(*s));

	op->next = over_next;
	if (s)
		s->calls = mr_arena_zalloc(arena, op->plan->overs_count + 1, sizeof(*s->calls));
	if (!s || !s->calls)
		return mr_op_no_memory(op);
	op->state = s;
	op->close = over_close;
	return 0;
}
