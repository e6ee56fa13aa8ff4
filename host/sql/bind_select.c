// Binding of queries: select lists, grouping, ordering, set operations.
#include "host/sql/bind.h"

#include "host/sql/deparse.h"
#include "host/sql/over.h"

#include <string.h>

enum { DEPTH_MAX = 100 };

// A query while it is being bound: its target list grows by what ORDER BY needs.
struct select {
	struct mr_scope scope;
	const struct mr_ast_select *ast;
	struct mr_expr **targets;
	struct mr_span *names;
	uint32_t targets_count;
	uint32_t targets_max;
	uint32_t visible;
	struct mr_expr **keys;
	uint32_t keys_count;
	struct mr_expr *having;
	struct mr_plan_sort *sorts;
	uint32_t sorts_count;
	struct mr_plan_sort *on; // DISTINCT ON
	uint32_t on_count;
};

static int add_target(struct mr_bind *b, struct select *q, struct mr_expr *e, struct mr_span name)
{
	if (q->targets_count == q->targets_max) {
		uint32_t max = MR_MAX(2 * q->targets_max, 8u);
		struct mr_expr **t = mr_arena_alloc(b->arena, max * sizeof(*t));
		struct mr_span *n = mr_arena_alloc(b->arena, max * sizeof(*n));

		if (!t || !n)
			return mr_bind_no_memory(b);
		if (q->targets_count) {
			memcpy(t, q->targets, q->targets_count * sizeof(*t));
			memcpy(n, q->names, q->targets_count * sizeof(*n));
		}
		q->targets = t;
		q->names = n;
		q->targets_max = max;
	}
	if (q->targets_count >= 1600)
		return mr_bind_error(
			b, e->position, "54011", "target lists can have at most 1600 entries");
	q->targets[q->targets_count] = e;
	q->names[q->targets_count] = name;
	return (int)q->targets_count++;
}

static int add_column(
	struct mr_bind *b, struct select *q, struct mr_scope_rel *rel, uint32_t i, int pos)
{
	int at = mr_bind_column_of(b, &q->scope, rel, i);
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_COLUMN, 0, 0, pos);

	if (at < 0 || !e)
		return at < 0 ? at : mr_bind_no_memory(b);
	e->type = rel->columns[i].type;
	e->index = (uint32_t)at;
	e->value.str =
		(struct mr_str){rel->columns[i].name.data, (uint32_t)rel->columns[i].name.bytes, 0};
	return add_target(b, q, e, rel->columns[i].name);
}

// The columns that USING merged, the highest place first.
static int expand_merged(struct mr_bind *b, struct select *q, int pos)
{
	uint16_t place = UINT16_MAX;

	while (place) {
		struct mr_scope_rel *rel = NULL;
		uint32_t column = 0;
		uint16_t next = 0;

		for (uint32_t r = 0; r < q->scope.rels_count; r++)
			for (uint32_t i = 0; i < q->scope.rels[r].columns_count; i++) {
				uint16_t at = q->scope.rels[r].columns[i].merged;

				if (at <= next || at >= place || q->scope.rels[r].columns[i].right)
					continue;
				next = at;
				rel = &q->scope.rels[r];
				column = i;
			}
		if (rel && add_column(b, q, rel, column, pos) < 0)
			return -1;
		place = next;
	}
	return 0;
}

// * and t.*
static int expand_star(struct mr_bind *b, struct select *q, const struct mr_ast_expr *ast)
{
	const struct mr_ast_idents *parts = &ast->column.parts;
	const char *only = parts->count ? parts->items[parts->count - 1].name : NULL;
	bool any = false;

	if (!only && expand_merged(b, q, ast->pos) < 0)
		return -1;
	for (uint32_t r = 0; r < q->scope.rels_count; r++) {
		struct mr_scope_rel *rel = &q->scope.rels[r];

		if (only && !mr_span_eq(rel->alias, mr_span_str(only)))
			continue;
		any = true;
		for (uint32_t i = 0; i < rel->columns_count; i++) {
			const struct mr_plan_column *c = &rel->columns[i];

			if (c->hidden || (!only && (c->right || c->merged)))
				continue;
			if (add_column(b, q, rel, i, ast->pos) < 0)
				return -1;
		}
	}
	if (!any && only)
		return mr_bind_error(
			b, ast->pos, "42P01", "missing FROM-clause entry for table \"%s\"", only);
	if (!any)
		return mr_bind_error(
			b, ast->pos, "42601", "SELECT * with no tables specified is not valid");
	return 0;
}

static int bind_targets(struct mr_bind *b, struct select *q)
{
	for (uint32_t i = 0; i < q->ast->targets.count; i++) {
		const struct mr_ast_target *t = &q->ast->targets.items[i];
		struct mr_expr *e;
		int rc;

		if (t->expr->kind == MR_AST_COLUMN && t->expr->column.star) {
			rc = expand_star(b, q, t->expr);
		} else {
			rc = mr_bind_expr(b, &q->scope, t->expr, &e);
			rc = rc < 0 ? rc
				    : add_target(b, q, e,
					      mr_span_str(t->alias ? t->alias
								   : mr_ast_column_name(t->expr)));
		}
		if (rc < 0)
			return rc;
	}
	q->visible = q->targets_count;
	return 0;
}

// A bare name or number that stands for a column of the result. -1 none, -2 error.
static int output_column(struct mr_bind *b, const struct select *q, const struct mr_ast_expr *ast,
	const char *clause)
{
	int found = -1;

	if (ast->kind == MR_AST_INT) {
		int64_t n = ast->literal.integer;

		if (n >= 1 && n <= q->visible)
			return (int)n - 1;
		mr_bind_error(b, ast->pos, "42P10", "%s position %lld is not in select list",
			clause, (long long)n);
		return -2;
	}
	if (ast->kind == MR_AST_NUMBER || ast->kind == MR_AST_STRING || ast->kind == MR_AST_BOOL ||
		ast->kind == MR_AST_NULL) {
		mr_bind_error(b, ast->pos, "42601", "non-integer constant in %s", clause);
		return -2;
	}
	if (ast->kind != MR_AST_COLUMN || ast->column.star || ast->column.parts.count != 1)
		return -1;
	for (uint32_t i = 0; i < q->visible; i++) {
		if (!mr_span_eq(q->names[i], mr_span_str(ast->column.parts.items[0].name)))
			continue;
		if (found >= 0 && !mr_expr_equal(q->targets[found], q->targets[i])) {
			mr_bind_error(b, ast->pos, "42702", "%s \"%s\" is ambiguous", clause,
				ast->column.parts.items[0].name);
			return -2;
		}
		found = found < 0 ? (int)i : found;
	}
	return found;
}

static bool is_input_column(const struct mr_scope *s, const struct mr_ast_expr *ast)
{
	struct mr_span name;

	if (ast->kind != MR_AST_COLUMN || ast->column.parts.count != 1)
		return false;
	name = mr_span_str(ast->column.parts.items[0].name);
	for (uint32_t r = 0; r < s->rels_count; r++)
		for (uint32_t i = 0; i < s->rels[r].columns_count; i++)
			if (mr_span_eq(s->rels[r].columns[i].name, name))
				return true;
	return false;
}

static bool has_kind(const struct mr_expr *e, enum mr_expr_kind kind)
{
	if (e->kind == kind)
		return true;
	for (uint32_t i = 0; i < e->args_count; i++)
		if (has_kind(e->args[i], kind))
			return true;
	return false;
}

static int bind_group_by(struct mr_bind *b, struct select *q)
{
	const struct mr_ast_exprs *list = &q->ast->group_by;

	q->keys = mr_arena_zalloc(b->arena, list->count + 1, sizeof(*q->keys));
	if (!q->keys)
		return mr_bind_no_memory(b);
	if (list->count > 64)
		return mr_bind_unsupported(
			b, list->items[0]->pos, "grouping by more than 64 columns");
	for (uint32_t i = 0; i < list->count; i++) {
		const struct mr_ast_expr *ast = list->items[i];
		struct mr_expr *e;
		int at =
			is_input_column(&q->scope, ast) ? -1 : output_column(b, q, ast, "GROUP BY");
		int rc = 0;

		if (at == -2)
			return -1;
		q->scope.clause = "GROUP BY";
		if (at >= 0)
			e = q->targets[at];
		else
			rc = mr_bind_expr(b, &q->scope, ast, &e);
		q->scope.clause = NULL;
		if (rc < 0)
			return rc;
		if (has_kind(e, MR_EXPR_AGG))
			return mr_bind_error(b, ast->pos, "42803",
				"aggregate functions are not allowed in GROUP BY");
		if (has_kind(e, MR_EXPR_OVER))
			return mr_bind_error(b, ast->pos, "42P20",
				"window functions are not allowed in GROUP BY");
		if (mr_bind_known(b, e, &e) < 0)
			return -1;
		if (at >= 0)
			q->targets[at] = e;
		q->keys[q->keys_count++] = e;
	}
	return 0;
}

static int bind_having(struct mr_bind *b, struct select *q)
{
	int rc;

	q->scope.no_over = "HAVING";
	rc = mr_bind_condition(b, &q->scope, q->ast->having, "HAVING", &q->having);
	q->scope.no_over = NULL;
	return rc;
}

static int bind_order_by(struct mr_bind *b, struct select *q, const struct mr_ast_sorts *list)
{
	q->sorts = mr_arena_zalloc(b->arena, list->count + 1, sizeof(*q->sorts));
	if (!q->sorts)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct mr_ast_sort *s = &list->items[i];
		int at = output_column(b, q, s->expr, "ORDER BY");
		struct mr_expr *e;

		if (at == -2)
			return -1;
		if (s->using_op)
			return mr_bind_unsupported(b, s->expr->pos, "ORDER BY … USING");
		if (at == -1) {
			if (mr_bind_expr(b, &q->scope, s->expr, &e) < 0)
				return -1;
			for (uint32_t t = 0; t < q->targets_count && at < 0; t++)
				if (mr_expr_equal(q->targets[t], e))
					at = (int)t;
			if (at < 0 && q->ast->distinct && !q->ast->distinct_on.count)
				return mr_bind_error(b, s->expr->pos, "42P10",
					"for SELECT DISTINCT, ORDER BY expressions must appear in "
					"select list");
			if (at < 0)
				at = add_target(b, q, e, mr_span_str("?column?"));
			if (at < 0)
				return at;
		}
		q->sorts[q->sorts_count++] = (struct mr_plan_sort){.column = (uint32_t)at,
			.desc = s->desc,
			.nulls_first = s->nulls == MR_AST_NULLS_DEFAULT
					       ? s->desc
					       : s->nulls == MR_AST_NULLS_FIRST};
	}
	return 0;
}

static bool has_column(const struct mr_plan_sort *list, uint32_t count, uint32_t column)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i].column == column)
			return true;
	return false;
}

static int check_on_order(struct mr_bind *b, const struct select *q)
{
	uint32_t good = 0, k = 0;

	while (good < q->sorts_count && has_column(q->on, q->on_count, q->sorts[good].column))
		good++;
	while (k < q->on_count && has_column(q->sorts, good, q->on[k].column))
		k++;
	if (k == q->on_count || good == q->sorts_count)
		return 0;
	return mr_bind_error(b, q->ast->distinct_on.items[k]->pos, "42P10",
		"SELECT DISTINCT ON expressions must match initial ORDER BY expressions");
}

// DISTINCT ON (exprs): the first row of each, in the order of ORDER BY, which begins with them.
static int bind_distinct_on(struct mr_bind *b, struct select *q)
{
	const struct mr_ast_exprs *list = &q->ast->distinct_on;

	q->on = mr_arena_zalloc(b->arena, list->count + 1, sizeof(*q->on));
	if (!q->on)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < list->count; i++) {
		int at = output_column(b, q, list->items[i], "DISTINCT ON");
		struct mr_expr *e;

		if (at == -2 || (at == -1 && mr_bind_expr(b, &q->scope, list->items[i], &e) < 0))
			return -1;
		for (uint32_t t = 0; t < q->targets_count && at < 0; t++)
			if (mr_expr_equal(q->targets[t], e))
				at = (int)t;
		if (at < 0)
			at = add_target(b, q, e, mr_span_str("?column?"));
		if (at < 0)
			return at;
		q->on[q->on_count++].column = (uint32_t)at;
	}
	return check_on_order(b, q);
}

// ---- Grouping ----

// Rewrites an expression over the input to one over the aggregation's columns.
static int over_groups(struct mr_bind *b, struct select *q, struct mr_expr *e, struct mr_expr **out)
{
	struct mr_expr *copy;

	for (uint32_t k = 0; k < q->keys_count; k++)
		if (mr_expr_equal(e, q->keys[k]) && e->kind != MR_EXPR_CONST) {
			*out = mr_bind_new(b, MR_EXPR_COLUMN, 0, 0, e->position);
			if (!*out)
				return mr_bind_no_memory(b);
			(*out)->type = e->type;
			(*out)->index = k;
			return 0;
		}
	if (e->kind == MR_EXPR_COLUMN)
		return mr_bind_error(b, e->position, "42803",
			"column \"%.*s\" must appear in the GROUP BY clause or be used in an "
			"aggregate function",
			(int)e->value.str.bytes, (const char *)e->value.str.data);
	copy = mr_bind_new(b, e->kind, 0, e->args_count, e->position);
	if (!copy)
		return mr_bind_no_memory(b);
	{
		struct mr_expr **args = copy->args;

		*copy = *e;
		copy->args = args;
	}
	if (e->kind == MR_EXPR_AGG) {
		copy->kind = MR_EXPR_COLUMN;
		copy->index = q->keys_count + e->index;
	}
	for (uint32_t i = 0; i < e->args_count; i++)
		if (over_groups(b, q, e->args[i], &copy->args[i]) < 0)
			return -1;
	*out = copy;
	return 0;
}

// The rows in the order that the aggregates want.
static int plan_agg_order(struct mr_bind *b, struct select *q, struct mr_plan **plan)
{
	const struct mr_scope *s = &q->scope;
	struct mr_plan *keys = mr_bind_pass_through(b, *plan, s->order_count);
	struct mr_plan *sort = keys ? mr_bind_plan(b, MR_PLAN_SORT, keys) : NULL;
	int rc = sort ? 0 : mr_bind_no_memory(b);

	for (uint32_t i = 0; i < s->order_count && rc >= 0; i++)
		rc = mr_bind_place(b, keys, s->order[i], &s->order_sorts[i].column);
	if (rc < 0)
		return rc;
	sort->sorts = s->order_sorts;
	sort->sorts_count = s->order_count;
	sort->columns = keys->columns;
	sort->columns_count = keys->columns_count;
	*plan = sort;
	return 0;
}

static int plan_groups(struct mr_bind *b, struct select *q, struct mr_plan **plan)
{
	int rc = q->scope.order ? plan_agg_order(b, q, plan) : 0;
	struct mr_plan *agg = rc < 0 ? NULL : mr_bind_plan(b, MR_PLAN_AGG, *plan);

	if (rc >= 0 && !agg)
		rc = mr_bind_no_memory(b);

	for (uint32_t i = 0; i < q->keys_count && rc >= 0; i++)
		rc = mr_plan_add_column(b, agg,
			(struct mr_plan_column){
				.name = mr_span_str("key"), .type = q->keys[i]->type});
	for (uint32_t i = 0; i < q->scope.calls_count && rc >= 0; i++)
		rc = mr_plan_add_column(b, agg,
			(struct mr_plan_column){.name = mr_span_str(q->scope.calls[i].fn->name),
				.type = q->scope.calls[i].type});
	for (uint32_t i = 0; i < q->targets_count && rc >= 0; i++)
		rc = over_groups(b, q, q->targets[i], &q->targets[i]);
	for (uint32_t i = 0; i < q->scope.overs_count && rc >= 0; i++) {
		struct mr_expr **e;

		for (uint32_t k = 0; rc >= 0 && (e = mr_bind_over_expr(&q->scope.overs[i], k)); k++)
			rc = over_groups(b, q, *e, e);
	}
	if (rc >= 0 && q->having)
		rc = over_groups(b, q, q->having, &q->having);
	if (rc < 0)
		return rc;
	agg->exprs = q->keys;
	agg->exprs_count = q->keys_count;
	agg->calls = q->scope.calls;
	agg->calls_count = q->scope.calls_count;
	*plan = agg;
	if (!q->having)
		return 0;
	*plan = mr_bind_plan(b, MR_PLAN_FILTER, agg);
	if (!*plan)
		return mr_bind_no_memory(b);
	(*plan)->condition = q->having;
	return 0;
}

static int plan_overs(struct mr_bind *b, struct select *q, struct mr_plan **plan)
{
	uint32_t first;
	int rc = mr_bind_over_plan(b, &q->scope, plan, &first);

	for (uint32_t i = 0; i < q->targets_count && rc >= 0; i++)
		mr_bind_over_columns(q->targets[i], first);
	return rc;
}

static int plan_where(struct mr_bind *b, struct select *q, struct mr_plan **plan)
{
	struct mr_expr *where;
	struct mr_plan *f;
	int rc;

	q->scope.clause = "WHERE";
	rc = mr_bind_condition(b, &q->scope, q->ast->where, "WHERE", &where);
	q->scope.clause = NULL;
	if (rc >= 0 && (*plan)->kind == MR_PLAN_SCAN)
		rc = mr_bind_ranges(b, *plan, where);
	if (rc < 0)
		return rc;
	f = mr_bind_plan(b, MR_PLAN_FILTER, *plan);
	if (!f)
		return mr_bind_no_memory(b);
	f->condition = where;
	*plan = f;
	return 0;
}

// ---- Putting it together ----

static int plan_project(struct mr_bind *b, struct select *q, struct mr_plan **plan)
{
	struct mr_plan *p = mr_bind_plan(b, MR_PLAN_PROJECT, *plan);
	int rc = p ? 0 : mr_bind_no_memory(b);

	for (uint32_t i = 0; i < q->targets_count && rc >= 0; i++) {
		rc = mr_bind_known(b, q->targets[i], &q->targets[i]);
		if (rc >= 0)
			rc = mr_plan_add_column(b, p,
				(struct mr_plan_column){
					.name = q->names[i], .type = q->targets[i]->type});
	}
	if (rc < 0)
		return rc;
	p->exprs = q->targets;
	p->exprs_count = q->targets_count;
	*plan = p;
	return 0;
}

static int bind_limit(struct mr_bind *b, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	*out = NULL;
	if (!ast)
		return 0;
	if (mr_bind_value(b, ast, out) < 0)
		return -1;
	return mr_bind_coerce(
		b, *out, (struct mr_typeref){.type = MR_TYPE_INT8}, MR_COERCE_ASSIGN, out);
}

// A step above that has the same columns; NULL: no memory.
static struct mr_plan *put_above(struct mr_bind *b, enum mr_plan_kind kind, struct mr_plan *below)
{
	struct mr_plan *p = mr_bind_plan(b, kind, below);

	if (p) {
		p->columns = below->columns;
		p->columns_count = below->columns_count;
	}
	return p;
}

// DISTINCT, ORDER BY, LIMIT above a plan whose columns are the result's (and more, to sort by).
static int plan_tail(
	struct mr_bind *b, const struct select *q, bool distinct, struct mr_plan **plan)
{
	struct mr_expr *limit, *offset;
	struct mr_plan *p = *plan;

	if (q->ast->limit_with_ties)
		return mr_bind_unsupported(b, q->ast->pos, "FETCH … WITH TIES");
	if (bind_limit(b, q->ast->limit, &limit) < 0 || bind_limit(b, q->ast->offset, &offset) < 0)
		return -1;
	if (distinct && !q->on_count)
		p = put_above(b, MR_PLAN_DISTINCT, p);
	if (p && q->sorts_count) {
		p = put_above(b, MR_PLAN_SORT, p);
		if (p) {
			p->sorts = q->sorts;
			p->sorts_count = q->sorts_count;
			p->limit = q->on_count ? NULL : limit;
			p->offset = q->on_count ? NULL : offset;
		}
	}
	if (p && q->on_count) {
		p = put_above(b, MR_PLAN_DISTINCT, p);
		if (p) {
			p->sorts = q->on;
			p->sorts_count = q->on_count;
		}
	}
	if (p && (limit || offset)) {
		p = put_above(b, MR_PLAN_LIMIT, p);
		if (p) {
			p->limit = limit;
			p->offset = offset;
		}
	}
	*plan = p;
	return p ? 0 : mr_bind_no_memory(b);
}

static int bind_with(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_select *ast)
{
	if (!ast->with)
		return 0;
	if (ast->with->recursive)
		return mr_bind_unsupported(b, ast->with->pos, "WITH RECURSIVE");
	s->with = ast->with;
	s->with_count = ast->with->count;
	return 0;
}

static int plain_select(struct mr_bind *b, struct mr_scope *parent, const struct mr_ast_select *ast,
	struct mr_plan **out, uint32_t *columns)
{
	struct select q = {.ast = ast,
		.scope = {.parent = parent,
			.windows = ast->windows,
			.windows_count = ast->windows_count}};
	int rc;

	rc = bind_with(b, &q.scope, ast);
	if (rc >= 0)
		rc = mr_bind_from(b, &q.scope, ast->from, ast->from_count, out);
	q.scope.root = *out;
	if (rc >= 0 && ast->where)
		rc = plan_where(b, &q, out);
	if (rc >= 0)
		rc = mr_bind_windows(b, &q.scope);
	if (rc >= 0)
		rc = bind_targets(b, &q);
	if (rc >= 0)
		rc = bind_group_by(b, &q);
	if (rc >= 0 && ast->having)
		rc = bind_having(b, &q);
	if (rc >= 0)
		rc = bind_order_by(b, &q, &ast->order_by);
	if (rc >= 0 && ast->distinct_on.count)
		rc = bind_distinct_on(b, &q);
	if (rc >= 0 && ast->where)
		rc = mr_bind_join_where(b, out);
	if (rc >= 0 && (q.keys_count || q.scope.calls_count || ast->having))
		rc = plan_groups(b, &q, out);
	if (rc >= 0 && q.scope.overs_count)
		rc = plan_overs(b, &q, out);
	if (rc >= 0)
		rc = plan_project(b, &q, out);
	*columns = q.visible;
	return rc < 0 ? rc : plan_tail(b, &q, ast->distinct, out);
}

static int bind_values(
	struct mr_bind *b, const struct mr_ast_select *ast, struct mr_plan **out, uint32_t *columns)
{
	uint32_t width = ast->rows[0].count;
	struct mr_plan *p = mr_bind_plan(b, MR_PLAN_VALUES, NULL);

	if (!p)
		return mr_bind_no_memory(b);
	p->exprs_count = ast->rows_count * width;
	p->exprs = mr_arena_zalloc(b->arena, p->exprs_count + 1, sizeof(*p->exprs));
	if (!p->exprs)
		return mr_bind_no_memory(b);
	for (uint32_t r = 0; r < ast->rows_count; r++) {
		if (ast->rows[r].count != width)
			return mr_bind_error(b, ast->rows[r].items[0]->pos, "42601",
				"VALUES lists must all be the same length");
		for (uint32_t i = 0; i < width; i++)
			if (mr_bind_value(b, ast->rows[r].items[i], &p->exprs[r * width + i]) < 0)
				return -1;
	}
	for (uint32_t i = 0; i < width; i++) {
		char *name = mr_arena_printf(b->arena, "column%u", i + 1);

		if (!name)
			return mr_bind_no_memory(b);
		if (mr_bind_unify(b, "VALUES", &p->exprs[i], ast->rows_count, width) < 0 ||
			mr_plan_add_column(b, p,
				(struct mr_plan_column){
					.name = mr_span_str(name), .type = p->exprs[i]->type}) < 0)
			return -1;
	}
	*out = p;
	*columns = width;
	return 0;
}

// Gives a branch of UNION the types of both.
static int cast_branch(
	struct mr_bind *b, struct mr_plan **plan, struct mr_expr **exprs, uint32_t width)
{
	struct mr_plan *p = mr_bind_plan(b, MR_PLAN_PROJECT, *plan);

	if (!p)
		return mr_bind_no_memory(b);
	p->exprs = exprs;
	p->exprs_count = width;
	for (uint32_t i = 0; i < width; i++)
		if (mr_plan_add_column(b, p,
			    (struct mr_plan_column){
				    .name = (*plan)->columns[i].name, .type = exprs[i]->type}) < 0)
			return -1;
	*plan = p;
	return 0;
}

// UNION ALL, INTERSECT, EXCEPT.
static int bind_two(struct mr_bind *b, struct mr_scope *parent, const struct mr_ast_select *ast,
	struct mr_plan **out, uint32_t *columns)
{
	const char *word = ast->kind == MR_AST_UNION       ? "UNION"
			   : ast->kind == MR_AST_INTERSECT ? "INTERSECT"
							   : "EXCEPT";
	struct mr_plan *side[2];
	uint32_t width[2];
	struct mr_expr **exprs[2];

	if (mr_bind_select(b, parent, ast->left, &side[0], &width[0]) < 0 ||
		mr_bind_select(b, parent, ast->right, &side[1], &width[1]) < 0)
		return -1;
	if (width[0] != width[1])
		return mr_bind_error(b, ast->right->pos, "42601",
			"each %s query must have the same number of columns", word);
	for (int s = 0; s < 2; s++) {
		exprs[s] = mr_arena_zalloc(b->arena, width[0] + 1, sizeof(**exprs));
		if (!exprs[s])
			return mr_bind_no_memory(b);
		for (uint32_t i = 0; i < width[0]; i++) {
			exprs[s][i] = mr_bind_new(b, MR_EXPR_COLUMN, 0, 0, ast->pos);
			if (!exprs[s][i])
				return mr_bind_no_memory(b);
			exprs[s][i]->type = side[s]->columns[i].type;
			exprs[s][i]->index = i;
		}
	}
	for (uint32_t i = 0; i < width[0]; i++) {
		struct mr_expr *pair[2] = {exprs[0][i], exprs[1][i]};

		if (mr_bind_unify(b, word, pair, 2, 1) < 0)
			return -1;
		exprs[0][i] = pair[0];
		exprs[1][i] = pair[1];
	}
	if (cast_branch(b, &side[0], exprs[0], width[0]) < 0 ||
		cast_branch(b, &side[1], exprs[1], width[0]) < 0)
		return -1;
	*out = mr_bind_plan(b, ast->kind == MR_AST_UNION ? MR_PLAN_APPEND : MR_PLAN_SETOP, side[0]);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->right = side[1];
	(*out)->intersect = ast->kind == MR_AST_INTERSECT;
	(*out)->all = ast->all;
	(*out)->columns = side[0]->columns;
	(*out)->columns_count = width[0];
	*columns = width[0];
	return 0;
}

// VALUES and set operations: ORDER BY may name result columns only.
static int bind_set(struct mr_bind *b, struct mr_scope *parent, const struct mr_ast_select *ast,
	struct mr_plan **out, uint32_t *columns)
{
	struct select q = {.ast = ast, .scope = {.parent = parent}};
	int rc = bind_with(b, &q.scope, ast);

	if (rc >= 0)
		rc = ast->kind == MR_AST_VALUES ? bind_values(b, ast, out, columns)
						: bind_two(b, &q.scope, ast, out, columns);
	if (rc < 0)
		return rc;
	q.visible = *columns;
	q.names = mr_arena_zalloc(b->arena, *columns + 1, sizeof(*q.names));
	q.targets = mr_arena_zalloc(b->arena, *columns + 1, sizeof(*q.targets));
	q.sorts = mr_arena_zalloc(b->arena, ast->order_by.count + 1, sizeof(*q.sorts));
	if (!q.names || !q.targets || !q.sorts)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < *columns; i++) {
		q.names[i] = (*out)->columns[i].name;
		q.targets[i] = mr_bind_new(b, MR_EXPR_COLUMN, 0, 0, 0);
		if (!q.targets[i])
			return mr_bind_no_memory(b);
		q.targets[i]->index = i;
	}
	for (uint32_t i = 0; i < ast->order_by.count; i++) {
		const struct mr_ast_sort *s = &ast->order_by.items[i];
		int at = output_column(b, &q, s->expr, "ORDER BY");

		if (at == -2)
			return -1;
		if (at < 0)
			return mr_bind_error(b, s->expr->pos, "0A000",
				"invalid UNION/INTERSECT/EXCEPT ORDER BY clause");
		q.sorts[i] = (struct mr_plan_sort){(uint32_t)at, s->desc,
			s->nulls == MR_AST_NULLS_DEFAULT ? s->desc
							 : s->nulls == MR_AST_NULLS_FIRST};
	}
	q.sorts_count = ast->order_by.count;
	return plan_tail(b, &q, ast->kind == MR_AST_UNION && !ast->all, out);
}

int mr_bind_select(struct mr_bind *b, struct mr_scope *parent, const struct mr_ast_select *ast,
	struct mr_plan **out, uint32_t *columns)
{
	int rc;

	if (b->depth >= DEPTH_MAX)
		return mr_bind_error(b, ast->pos, "54001", "queries are nested too deeply");
	b->depth++;
	rc = ast->kind == MR_AST_SELECT ? plain_select(b, parent, ast, out, columns)
					: bind_set(b, parent, ast, out, columns);
	b->depth--;
	return rc;
}
