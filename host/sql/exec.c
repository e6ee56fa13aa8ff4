// Opening and running operator trees, and the operators that are a few lines each.
#include "host/sql/exec.h"

#include "host/base/datetime.h"
#include "host/sql/fn.h"
#include "host/sql/rowset.h"

#include <errno.h>
#include <string.h>

int mr_op_no_memory(struct mr_op *op)
{
	return mr_eval_no_memory(&op->eval);
}

int mr_run_poll(struct mr_run *r)
{
	int rc = mr_query_poll(r->query, r->diag);

	if (rc < 0)
		return rc;
	if (r->deadline_ns && mr_now_ns(r->clock) > r->deadline_ns)
		return mr_diag_set(r->diag, MR_ERR_CANCELLED, "57014", 0,
			"canceling statement due to statement timeout");
	return 0;
}

void mr_op_input(struct mr_op *op, const struct mr_batch *in)
{
	mr_arena_reset(&op->scratch);
	if (op->eval.dict_epoch != op->run->dict_epoch) {
		op->eval.dict_epoch = op->run->dict_epoch;
		mr_arena_reset(&op->memo);
	}
	op->eval.columns = in->columns;
	op->eval.rows = in->rows;
}

int mr_op_rows(struct mr_op *op, const struct mr_rowset *r, uint32_t *at, struct mr_batch *out)
{
	const struct mr_plan *p = op->plan;
	const uint32_t n = MR_MIN(r->count - *at, (uint32_t)MR_EXEC_ROWS);
	struct mr_batch none = {0};
	struct mr_col *columns;
	int rc = 0;

	mr_op_input(op, &none);
	columns = mr_arena_zalloc(&op->scratch, p->columns_count + 1, sizeof(*columns));
	if (!columns)
		return mr_op_no_memory(op);
	for (uint32_t c = 0; c < p->columns_count && rc >= 0; c++)
		rc = mr_rowset_column(
			r, &op->eval, p->columns[c].type, c, r->rows + *at, n, &columns[c]);
	*at += n;
	*out = (struct mr_batch){.rows = n, .n = n, .columns = columns};
	return rc < 0 ? rc : n > 0;
}

int mr_op_next(struct mr_op *op, struct mr_batch *out)
{
	int64_t start = op->run->timed ? mr_now_ns(op->run->clock) : 0;
	int rc = mr_run_poll(op->run);

	if (rc == 0)
		rc = op->next(op, out);
	if (rc == 1)
		op->stats.rows += out->n;
	if (op->run->timed)
		op->stats.ns += mr_now_ns(op->run->clock) - start;
	return rc;
}

// ---- ONE, VALUES, SERIES ----

struct rows_state {
	uint32_t at;
	int64_t value, last, step;   // SERIES; of times, the step is its sign
	struct mr_interval interval; // SERIES of times
	bool timed;
	bool done;
};

static int one_next(struct mr_op *op, struct mr_batch *out)
{
	struct rows_state *s = op->state;

	*out = (struct mr_batch){.rows = 1, .n = 1};
	return s->done ? 0 : (s->done = true, 1);
}

static int values_next(struct mr_op *op, struct mr_batch *out)
{
	struct rows_state *s = op->state;
	const struct mr_plan *p = op->plan;
	uint32_t width = p->columns_count, rows = width ? p->exprs_count / width : 0;
	struct mr_batch one = {.rows = 1, .n = 1};
	uint32_t n = MR_MIN(rows - s->at, (uint32_t)MR_EXEC_ROWS);
	struct mr_col *columns;

	if (n == 0)
		return 0;
	mr_op_input(op, &one);
	columns = mr_arena_zalloc(&op->scratch, width, sizeof(*columns));
	if (!columns)
		return mr_op_no_memory(op);
	for (uint32_t c = 0; c < width; c++) {
		enum mr_phys phys = mr_type_phys(p->columns[c].type);
		size_t bytes = mr_phys_bytes(phys);
		uint8_t *values = mr_arena_column(&op->scratch, n * bytes);
		uint64_t *valid = mr_arena_column(&op->scratch, MR_EXEC_ROWS / 8);

		if (!values || !valid)
			return mr_op_no_memory(op);
		memset(valid, 0xff, MR_EXEC_ROWS / 8);
		for (uint32_t r = 0; r < n; r++) {
			struct mr_vec v;
			int rc = mr_expr_eval(
				&op->eval, p->exprs[(s->at + r) * width + c], NULL, 1, &v);

			if (rc < 0)
				return rc;
			memcpy(values + r * bytes, mr_vec_at(&v, 0), bytes);
			if (mr_vec_is_null(&v, 0))
				mr_bit_clear(valid, r);
		}
		columns[c] = (struct mr_col){.type = p->columns[c].type,
			.phys = (uint8_t)phys,
			.values = values,
			.valid = valid};
	}
	s->at += n;
	*out = (struct mr_batch){.rows = n, .n = n, .columns = columns};
	return 1;
}

// A bound or the step; 1: NULL.
static int series_value(struct mr_op *op, uint32_t i, union mr_value *out)
{
	struct mr_batch one = {.rows = 1, .n = 1};
	struct mr_vec v;
	int rc;

	mr_op_input(op, &one);
	rc = mr_expr_eval(&op->eval, op->plan->exprs[i], NULL, 1, &v);
	if (rc < 0)
		return rc;
	if (mr_vec_is_null(&v, 0))
		return 1;
	memcpy(out, mr_vec_at(&v, 0), mr_phys_bytes((enum mr_phys)v.col.phys));
	if (v.col.phys == MR_PHYS_I32)
		out->i64 = out->i32;
	return 0;
}

static int series_begin(struct mr_op *op, struct rows_state *s)
{
	union mr_value v[3] = {{0}, {0}, {.i64 = 1}};
	int null = 0;

	for (uint32_t i = 0; i < op->plan->exprs_count; i++) {
		int rc = series_value(op, i, &v[i]);

		if (rc < 0)
			return rc;
		null |= rc;
	}
	s->value = v[0].i64;
	s->last = v[1].i64;
	s->step = v[2].i64;
	s->timed = op->plan->columns[0].type.type != MR_TYPE_INT4 &&
		   op->plan->columns[0].type.type != MR_TYPE_INT8;
	if (s->timed) {
		__int128 span = mr_interval_span_us(v[2].interval);

		s->interval = v[2].interval;
		s->step = (span > 0) - (span < 0);
	}
	if (!null && s->step == 0)
		return mr_diag_set(
			op->run->diag, -EINVAL, "22023", 0, "step size cannot equal zero");
	s->at = 1;
	s->done = null;
	return 0;
}

// The next value. An integer's overflow ends the series, a time's is an error.
static int series_step(struct mr_op *op, struct rows_state *s)
{
	const struct mr_tz *tz = op->run->query->tz;
	int rc;

	if (!s->timed) {
		s->done = __builtin_add_overflow(s->value, s->step, &s->value);
		return 0;
	}
	rc = op->plan->columns[0].type.type == MR_TYPE_TIMESTAMPTZ
		     ? mr_tstz_add(s->value, s->interval, tz, &s->value)
		     : mr_ts_add(s->value, s->interval, &s->value);
	return rc < 0 ? mr_diag_set(op->run->diag, -ERANGE, "22008", 0, "timestamp out of range")
		      : 0;
}

static int series_next(struct mr_op *op, struct mr_batch *out)
{
	struct rows_state *s = op->state;
	enum mr_phys phys = mr_type_phys(op->plan->columns[0].type);
	struct mr_batch none = {0};
	struct mr_col *c;
	int64_t *i64;
	uint32_t n = 0;

	if (s->at == 0 && series_begin(op, s) < 0)
		return -EINVAL;
	mr_op_input(op, &none);
	c = mr_arena_zalloc(&op->scratch, 1, sizeof(*c));
	i64 = mr_arena_column(&op->scratch, MR_EXEC_ROWS * sizeof(*i64));
	if (!c || !i64)
		return mr_op_no_memory(op);
	while (n < MR_EXEC_ROWS && !s->done &&
		(s->step > 0 ? s->value <= s->last : s->value >= s->last)) {
		if (phys == MR_PHYS_I64)
			i64[n++] = s->value;
		else
			((int32_t *)i64)[n++] = (int32_t)s->value;
		if (series_step(op, s) < 0)
			return -ERANGE;
	}
	*c = (struct mr_col){
		.type = op->plan->columns[0].type, .phys = (uint8_t)phys, .values = i64};
	*out = (struct mr_batch){.rows = n, .n = n, .columns = c};
	return n > 0;
}

// ---- FILTER, PROJECT ----

static int filter_next(struct mr_op *op, struct mr_batch *out)
{
	for (;;) {
		uint32_t *sel;
		int rc = mr_op_next(op->child, out);

		if (rc <= 0)
			return rc;
		mr_op_input(op, out);
		sel = mr_arena_alloc(&op->scratch, out->n * sizeof(*sel) + 1);
		if (!sel)
			return mr_op_no_memory(op);
		rc = mr_expr_filter(&op->eval, op->plan->condition, out->sel, out->n, sel);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		if ((uint32_t)rc < out->rows)
			out->sel = sel;
		out->n = (uint32_t)rc;
		return 1;
	}
}

static int project_next(struct mr_op *op, struct mr_batch *out)
{
	uint32_t count = op->plan->exprs_count;
	struct mr_col *columns;
	int rc = mr_op_next(op->child, out);

	if (rc <= 0)
		return rc;
	mr_op_input(op, out);
	columns = mr_arena_zalloc(&op->scratch, count + 1, sizeof(*columns));
	if (!columns)
		return mr_op_no_memory(op);
	for (uint32_t i = 0; i < count; i++) {
		struct mr_vec v;

		rc = mr_expr_eval(&op->eval, op->plan->exprs[i], out->sel, out->n, &v);
		if (rc < 0)
			return rc;
		columns[i] = v.col;
		if (v.constant)
			rc = mr_vec_gather(&op->eval, &v, NULL, out->rows, &columns[i]);
		if (rc < 0)
			return rc;
	}
	out->columns = columns;
	return 1;
}

// ---- DISTINCT ----

// ON: only some of the columns.
static uint32_t distinct_count(const struct mr_plan *p)
{
	return p->sorts_count ? p->sorts_count : p->columns_count;
}

static uint32_t distinct_column(const struct mr_plan *p, uint32_t i)
{
	return p->sorts_count ? p->sorts[i].column : i;
}

static int distinct_open(struct mr_op *op)
{
	const struct mr_plan *p = op->plan;
	struct mr_typeref types[64];
	struct mr_groups *g = mr_arena_zalloc(op->run->query->arena, 1, sizeof(*g));

	if (distinct_count(p) > 64)
		return mr_diag_set(op->run->diag, MR_ERR_UNSUPPORTED, "0A000", 0,
			"DISTINCT of more than 64 columns is not supported");
	for (uint32_t i = 0; i < distinct_count(p); i++)
		types[i] = p->columns[distinct_column(p, i)].type;
	op->state = g;
	if (!g || mr_groups_init(g, op->run->query->arena, types, distinct_count(p), 0) < 0)
		return mr_op_no_memory(op);
	return 0;
}

static int distinct_next(struct mr_op *op, struct mr_batch *out)
{
	uint32_t count = distinct_count(op->plan), n = 0;
	struct mr_vec *keys;
	uint32_t *numbers, *sel;
	bool *fresh;
	int rc = mr_op_next(op->child, out);

	if (rc <= 0)
		return rc;
	mr_op_input(op, out);
	keys = mr_arena_zalloc(&op->scratch, count + 1, sizeof(*keys));
	numbers = mr_arena_alloc(&op->scratch, (out->n + 1) * sizeof(*numbers));
	sel = mr_arena_alloc(&op->scratch, (out->n + 1) * sizeof(*sel));
	fresh = mr_arena_alloc(&op->scratch, out->n + 1);
	if (!keys || !numbers || !sel || !fresh)
		return mr_op_no_memory(op);
	for (uint32_t i = 0; i < count; i++)
		keys[i].col = out->columns[distinct_column(op->plan, i)];
	if (mr_groups_put(op->state, &op->scratch, keys, out->sel, out->n, numbers, fresh) < 0)
		return mr_op_no_memory(op);
	for (uint32_t k = 0; k < out->n; k++)
		if (fresh[k])
			sel[n++] = mr_sel(out->sel, k);
	out->sel = sel;
	out->n = n;
	return 1;
}

// ---- LIMIT ----

struct limit_state {
	bool open;
	int64_t skip;
	int64_t left; // -1 = no limit
};

static int limit_value(struct mr_op *op, const struct mr_expr *e, const char *what,
	const char *state, int64_t *out)
{
	struct mr_batch one = {.rows = 1, .n = 1};
	struct mr_vec v;
	int rc;

	if (!e)
		return 0;
	mr_op_input(op, &one);
	rc = mr_expr_eval(&op->eval, e, NULL, 1, &v);
	if (rc < 0 || mr_vec_is_null(&v, 0))
		return rc;
	*out = *(const int64_t *)mr_vec_at(&v, 0);
	return *out < 0 ? mr_diag_set(
				  op->run->diag, -EINVAL, state, 0, "%s must not be negative", what)
			: 0;
}

static int limit_next(struct mr_op *op, struct mr_batch *out)
{
	struct limit_state *s = op->state;
	uint32_t *sel, n = 0;
	int rc = 0;

	if (!s->open) {
		s->left = -1;
		rc = limit_value(op, op->plan->limit, "LIMIT", "2201W", &s->left);
		rc = rc < 0 ? rc : limit_value(op, op->plan->offset, "OFFSET", "2201X", &s->skip);
		s->open = true;
	}
	if (rc < 0 || s->left == 0)
		return rc < 0 ? rc : 0;
	rc = mr_op_next(op->child, out);
	if (rc <= 0 || (s->skip == 0 && (s->left < 0 || s->left >= out->n))) {
		if (rc > 0 && s->left > 0)
			s->left -= out->n;
		return rc;
	}
	mr_op_input(op, out);
	sel = mr_arena_alloc(&op->scratch, (out->n + 1) * sizeof(*sel));
	if (!sel)
		return mr_op_no_memory(op);
	for (uint32_t k = 0; k < out->n && s->left != 0; k++) {
		if (s->skip > 0) {
			s->skip--;
			continue;
		}
		sel[n++] = mr_sel(out->sel, k);
		s->left -= s->left > 0;
	}
	out->sel = sel;
	out->n = n;
	return 1;
}

// ---- APPEND ----

static int append_next(struct mr_op *op, struct mr_batch *out)
{
	struct rows_state *s = op->state;

	while (s->at < 2) {
		int rc = mr_op_next(s->at == 0 ? op->child : op->right, out);

		if (rc != 0)
			return rc;
		s->at++;
		op->run->dict_epoch++;
	}
	return 0;
}

int mr_op_small_open(struct mr_op *op)
{
	static int (*const nexts[])(struct mr_op *, struct mr_batch *) = {
		[MR_PLAN_ONE] = one_next,
		[MR_PLAN_VALUES] = values_next,
		[MR_PLAN_SERIES] = series_next,
		[MR_PLAN_FILTER] = filter_next,
		[MR_PLAN_PROJECT] = project_next,
		[MR_PLAN_DISTINCT] = distinct_next,
		[MR_PLAN_LIMIT] = limit_next,
		[MR_PLAN_APPEND] = append_next,
	};

	op->next = nexts[op->plan->kind];
	if (op->plan->kind == MR_PLAN_DISTINCT)
		return distinct_open(op);
	op->state = mr_arena_zalloc(op->run->query->arena, 1,
		MR_MAX(sizeof(struct limit_state), sizeof(struct rows_state)));
	return op->state ? 0 : mr_op_no_memory(op);
}

// ---- Runs ----

int mr_op_open(struct mr_run *r, const struct mr_plan *p, struct mr_op **out)
{
	struct mr_op *op = mr_arena_zalloc(r->query->arena, 1, sizeof(*op));
	int rc = 0;

	if (!op)
		return mr_eval_no_memory(&(struct mr_eval){.query = r->query, .diag = r->diag});
	*out = op;
	op->plan = p;
	op->run = r;
	op->older = r->ops;
	r->ops = op;
	mr_arena_init_budget(&op->scratch, r->query->memory);
	mr_arena_init_budget(&op->memo, r->query->memory);
	op->eval = (struct mr_eval){.query = r->query,
		.arena = &op->scratch,
		.diag = r->diag,
		.params = r->params,
		.subqueries = r->subqueries,
		.outers = r->outers,
		.run = r,
		.memo_arena = &op->memo,
		.session = r->session};
	rc = mr_eval_memos_init(&op->eval, r->query->arena, r->plan->memos_count);
	if (rc >= 0 && p->child)
		rc = mr_op_open(r, p->child, &op->child);
	if (rc >= 0 && p->right)
		rc = mr_op_open(r, p->right, &op->right);
	if (rc < 0)
		return rc;
	switch (p->kind) {
	case MR_PLAN_SCAN: return mr_op_scan_open(op);
	case MR_PLAN_AGG: return mr_op_agg_open(op);
	case MR_PLAN_SORT: return mr_op_sort_open(op);
	case MR_PLAN_JOIN: return mr_op_join_open(op);
	case MR_PLAN_OVER: return mr_op_over_open(op);
	case MR_PLAN_SETOP: return mr_op_set_open(op);
	case MR_PLAN_WINDOW: return mr_op_window_open(op);
	default: return mr_op_small_open(op);
	}
}

int mr_run_open(struct mr_run *r, const struct mr_query_plan *plan)
{
	r->plan = plan;
	r->dict_epoch = 1;
	r->subqueries = mr_arena_zalloc(
		r->query->arena, plan->subqueries_count + 1, sizeof(*r->subqueries));
	if (!r->subqueries)
		return mr_eval_no_memory(&(struct mr_eval){.query = r->query, .diag = r->diag});
	for (uint32_t i = 0; i < plan->subqueries_count; i++) {
		const struct mr_plan_subquery *q = &plan->subqueries[i];
		int rc = q->slots_count ? 0 : mr_run_subquery(r, q, &r->subqueries[i]);

		if (rc < 0)
			return rc;
	}
	return mr_op_open(r, plan->root, &r->root);
}

int mr_run_next(struct mr_run *r, struct mr_batch *out)
{
	return mr_op_next(r->root, out);
}

void mr_run_close(struct mr_run *r)
{
	for (struct mr_op *op = r->ops; op; op = op->older) {
		if (op->close)
			op->close(op);
		mr_arena_fini(&op->scratch);
		mr_arena_fini(&op->memo);
	}
	r->ops = NULL;
}

bool mr_run_stats(const struct mr_run *r, const struct mr_plan *p, struct mr_op_stats *out)
{
	for (const struct mr_op *op = r->ops; op; op = op->older)
		if (op->plan == p) {
			*out = op->stats;
			return true;
		}
	return false;
}
