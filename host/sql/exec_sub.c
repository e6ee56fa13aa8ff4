// Subqueries in expressions: once before the statement, or once for each row of the query around.
#include "host/sql/exec.h"
#include "host/sql/pgcatalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// A correlated subquery is for small queries of the catalog: no plan makes it fast.
enum { CORRELATED_RUNS_MAX = 100000 };

static int compare_values(const void *a, const void *b, void *type)
{
	return mr_value_cmp(*(const struct mr_typeref *)type, a, b);
}

static int add_value(
	struct mr_arena *arena, struct mr_datum_set *set, const void *value, enum mr_phys phys)
{
	union mr_value *v = mr_arena_room(arena, set->values, set->count, &set->max, sizeof(*v));

	if (!v)
		return MR_ERR_LIMIT;
	set->values = v;
	v += set->count++;
	memcpy(v, value, mr_phys_bytes(phys));
	if (phys != MR_PHYS_BYTES)
		return 0;
	v->str.data = mr_arena_copy(arena, mr_span(v->str.data, v->str.bytes)).data;
	return v->str.data ? 0 : MR_ERR_LIMIT;
}

// All values of a subquery, sorted.
static int run_set(struct mr_run *r, const struct mr_plan_subquery *q, struct mr_datum *out)
{
	struct mr_datum_set *set = mr_arena_zalloc(r->query->arena, 1, sizeof(*set));
	struct mr_typeref t = q->plan->columns[0].type;
	struct mr_batch b;
	struct mr_op *op;
	int rc = mr_op_open(r, q->plan, &op);

	while (rc >= 0 && set && (rc = mr_op_next(op, &b)) == 1)
		for (uint32_t k = 0; k < b.n; k++) {
			struct mr_vec v = {.col = b.columns[0]};
			uint32_t i = mr_sel(b.sel, k);

			if (mr_vec_is_null(&v, i))
				set->has_null = true;
			else if (add_value(r->query->arena, set, mr_vec_at(&v, i),
					 (enum mr_phys)v.col.phys) < 0)
				return mr_op_no_memory(op);
		}
	if (rc < 0)
		return rc;
	if (!set)
		return mr_op_no_memory(op);
	if (set->count)
		qsort_r(set->values, set->count, sizeof(*set->values), compare_values, &t);
	*out = (struct mr_datum){.value.str.data = (const uint8_t *)set};
	return 0;
}

// The value of a scalar subquery, kept for the run; its own operators end here.
static int run_scalar(struct mr_run *r, const struct mr_plan_subquery *q, struct mr_datum *out)
{
	struct mr_op *op;
	struct mr_batch b;
	uint64_t rows = 0;
	int rc = mr_op_open(r, q->plan, &op);

	*out = (struct mr_datum){.null = true};
	if (q->exists)
		*out = (struct mr_datum){.value.u8 = 0};
	while (rc >= 0 && (rc = mr_op_next(op, &b)) == 1) {
		const struct mr_col *c = b.columns;

		if (b.n == 0)
			continue;
		if (q->exists) {
			out->value.u8 = 1;
			return 0;
		}
		rows += b.n;
		if (rows > 1)
			return mr_diag_set(r->diag, -EINVAL, "21000", 0,
				"more than one row returned by a subquery used as an expression");
		out->null = mr_col_is_null(c, mr_sel(b.sel, 0));
		if (out->null)
			continue;
		memcpy(&out->value, mr_vec_at(&(struct mr_vec){.col = *c}, mr_sel(b.sel, 0)),
			mr_phys_bytes((enum mr_phys)c->phys));
		if (c->phys == MR_PHYS_BYTES) {
			struct mr_span copy = mr_arena_copy(r->query->arena,
				mr_span(out->value.str.data, out->value.str.bytes));

			if (!copy.data)
				return mr_op_no_memory(op);
			out->value.str.data = copy.data;
		}
	}
	return rc;
}

// The values as PostgreSQL writes an array.
static int run_array(struct mr_run *r, const struct mr_plan_subquery *q, struct mr_datum *out)
{
	struct mr_arena *arena = r->query->arena;
	struct mr_buf all = {.budget = r->query->memory}, item = {0};
	struct mr_span copy;
	struct mr_batch b;
	struct mr_op *op;
	int rc = mr_op_open(r, q->plan, &op);

	mr_buf_u8(&all, '{');
	while (rc >= 0 && (rc = mr_op_next(op, &b)) == 1)
		for (uint32_t k = 0; k < b.n; k++) {
			struct mr_vec v = {.col = b.columns[0]};
			uint32_t i = mr_sel(b.sel, k);

			if (all.bytes > 1)
				mr_buf_u8(&all, ',');
			mr_buf_reset(&item);
			if (!mr_vec_is_null(&v, i)) {
				mr_value_format(v.col.type, mr_vec_at(&v, i), r->query->tz, &item);
				mr_pg_array_add(&all, mr_buf_span(&item));
			} else {
				mr_buf_str(&all, "NULL");
			}
		}
	mr_buf_u8(&all, '}');
	copy = rc < 0 || all.failed ? (struct mr_span){0} : mr_arena_copy(arena, mr_buf_span(&all));
	*out = (struct mr_datum){.value.str = {copy.data, (uint32_t)copy.bytes, 0}};
	if (rc >= 0 && !copy.data)
		rc = mr_op_no_memory(op);
	mr_buf_fini(&all);
	mr_buf_fini(&item);
	return rc < 0 ? rc : 0;
}

int mr_run_subquery(struct mr_run *r, const struct mr_plan_subquery *q, struct mr_datum *out)
{
	return q->set     ? run_set(r, q, out)
	       : q->array ? run_array(r, q, out)
			  : run_scalar(r, q, out);
}

// ---- Correlated ----

// One run with its own memory; the value is copied into the arena of `ev`.
static int run_once(struct mr_eval *ev, const struct mr_plan_subquery *q,
	const struct mr_datum *outers, struct mr_datum *out)
{
	struct mr_run *r = ev->run, *top = r;
	struct mr_query query = *r->query;
	struct mr_arena arena;
	struct mr_run sub = {.query = &query,
		.diag = ev->diag,
		.clock = r->clock,
		.deadline_ns = r->deadline_ns,
		.params = r->params,
		.plan = r->plan,
		.subqueries = r->subqueries,
		.outers = outers,
		.around = r,
		.session = r->session,
		.dict_epoch = 1};
	int rc;

	while (top->around)
		top = top->around;
	if (top->correlated_runs++ >= CORRELATED_RUNS_MAX)
		return mr_diag_set(ev->diag, MR_ERR_LIMIT, "54000", 0,
			"a correlated subquery would run more than %d times", CORRELATED_RUNS_MAX);
	mr_arena_init_budget(&arena, query.memory);
	query.arena = &arena;
	rc = mr_run_subquery(&sub, q, out);
	if (rc >= 0 && !out->null && !q->exists &&
		(q->array || mr_type_phys(q->plan->columns[0].type) == MR_PHYS_BYTES)) {
		struct mr_span copy = mr_arena_copy(
			ev->arena, mr_span(out->value.str.data, out->value.str.bytes));

		out->value.str.data = copy.data;
		rc = copy.data ? rc : mr_eval_no_memory(ev);
	}
	mr_run_close(&sub);
	mr_arena_fini(&arena);
	return rc < 0 ? rc : 0;
}

int mr_expr_correlated(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	enum mr_phys phys = mr_type_phys(e->type);
	size_t width = mr_phys_bytes(phys), words = (ev->rows + 63) / 64 + 1;
	uint8_t *values = mr_arena_column(ev->arena, ev->rows * width);
	uint64_t *valid = mr_arena_column(ev->arena, words * 8);
	struct mr_vec *args = mr_arena_zalloc(ev->arena, e->args_count, sizeof(*args));
	const struct mr_query_plan *plan = ev->run ? ev->run->plan : NULL;
	struct mr_datum *outers;
	int rc = 0;

	if (!plan)
		return mr_diag_set(ev->diag, MR_ERR_UNSUPPORTED, "0A000", 0,
			"a correlated subquery here is not supported");
	outers = mr_arena_zalloc(ev->arena, plan->outers_count, sizeof(*outers));
	if (!values || !valid || !args || !outers)
		return mr_eval_no_memory(ev);
	if (ev->outers)
		memcpy(outers, ev->outers, plan->outers_count * sizeof(*outers));
	memset(valid, 0xff, words * 8);
	for (uint32_t a = 0; a < e->args_count && rc >= 0; a++)
		rc = mr_expr_eval(ev, e->args[a], sel, n, &args[a]);
	for (uint32_t k = 0; k < n && rc >= 0; k++) {
		const struct mr_plan_subquery *q = &plan->subqueries[e->index];
		uint32_t i = mr_sel(sel, k);
		struct mr_datum v;

		for (uint32_t a = 0; a < e->args_count; a++) {
			struct mr_datum *d = &outers[q->slots[a]];

			d->null = mr_vec_is_null(&args[a], i);
			if (!d->null)
				memcpy(&d->value, mr_vec_at(&args[a], i),
					mr_phys_bytes((enum mr_phys)args[a].col.phys));
		}
		rc = run_once(ev, q, outers, &v);
		if (rc < 0)
			break;
		memcpy(values + i * width, &v.value, width);
		if (v.null)
			mr_bit_clear(valid, i);
	}
	*out = (struct mr_vec){
		.col = {.type = e->type, .phys = (uint8_t)phys, .values = values, .valid = valid}};
	return rc < 0 ? rc : 0;
}
