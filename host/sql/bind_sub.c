// Binding of subqueries in expressions.
//
// Between the query around and a subquery stands a barrier: a scope without relations that notes
// which values of the query around the subquery uses. Those values become the arguments of the
// MR_EXPR_SUBQUERY and, inside, MR_EXPR_OUTER. A subquery that uses none runs once, before the
// query; any other runs for each row.
#include "host/sql/bind.h"

#include "host/sql/deparse.h"

#include <string.h>

// The expression's text, by which mr_expr_equal knows the same one elsewhere: in GROUP BY.
static int note_text(struct mr_bind *b, const struct mr_ast_expr *ast, struct mr_expr *e)
{
	struct mr_buf text = {.budget = b->arena->budget};
	struct mr_span copy = {0};

	mr_ast_print_expr(&text, ast);
	if (!text.failed)
		copy = mr_arena_copy(b->arena, mr_buf_span(&text));
	mr_buf_fini(&text);
	e->value.str = (struct mr_str){copy.data, (uint32_t)copy.bytes, 0};
	return copy.data ? 0 : mr_bind_no_memory(b);
}

static int add_subquery(struct mr_bind *b, const struct mr_ast_expr *ast,
	struct mr_plan_subquery query, struct mr_typeref t, struct mr_expr **out)
{
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_SUBQUERY, t.type, 0, ast->pos);
	struct mr_plan_subquery *all = mr_arena_room(
		b->arena, b->subqueries, b->subqueries_count, &b->subqueries_max, sizeof(*all));

	if (!e || !all)
		return mr_bind_no_memory(b);
	b->subqueries = all;
	e->type = t;
	e->index = b->subqueries_count;
	b->subqueries[b->subqueries_count++] = query;
	*out = e;
	return note_text(b, ast, e);
}

// x IN (SELECT y …): the values of y are gathered before the run, in the type of both.
int mr_bind_in_query(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *pair[2], *both[2], *ignored;
	struct mr_plan *plan, *cast;
	struct mr_plan_column column;
	uint32_t columns;

	if (mr_bind_expr(b, s, ast->in.arg, &pair[0]) < 0 ||
		mr_bind_select(b, s, ast->in.query, &plan, &columns) < 0)
		return -1;
	if (columns != 1)
		return mr_bind_error(b, ast->pos, "42601", "subquery has too many columns");
	pair[1] = mr_bind_new(b, MR_EXPR_COLUMN, 0, 0, ast->pos);
	cast = mr_bind_plan(b, MR_PLAN_PROJECT, plan);
	if (!pair[1] || !cast)
		return mr_bind_no_memory(b);
	pair[1]->type = plan->columns[0].type;
	both[0] = pair[0];
	both[1] = pair[1];
	if (mr_bind_function(b, mr_span_str("="), both, 2, ast->pos, true, &ignored) < 0 ||
		mr_bind_unify(b, "IN", pair, 2, 1) < 0)
		return -1;
	column = plan->columns[0];
	column.type = pair[1]->type;
	cast->exprs = mr_arena_zalloc(b->arena, 1, sizeof(*cast->exprs));
	if (!cast->exprs)
		return mr_bind_no_memory(b);
	cast->exprs[0] = pair[1];
	cast->exprs_count = 1;
	if (mr_plan_add_column(b, cast, column) < 0 ||
		add_subquery(b, ast, (struct mr_plan_subquery){.plan = cast, .set = true},
			column.type, &ignored) < 0)
		return -1;
	*out = mr_bind_new(b, MR_EXPR_IN_SET, MR_TYPE_BOOL, 1, ast->pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->index = ignored->index;
	(*out)->value = ignored->value;
	(*out)->negate = ast->negated;
	(*out)->args[0] = pair[0];
	return 0;
}

int mr_bind_outer(struct mr_bind *b, struct mr_scope *barrier, const struct mr_ast_expr *ast,
	struct mr_expr **out)
{
	struct mr_outers *o = barrier->outers;
	struct mr_expr *e;
	int rc = mr_bind_expr(b, barrier->parent, ast, &e);

	if (rc < 0)
		return rc;
	if (o->count == MR_BIND_OUTERS_MAX)
		return mr_bind_unsupported(b, ast->pos,
			"a subquery that uses more than %d values of the query around it",
			MR_BIND_OUTERS_MAX);
	*out = mr_bind_new(b, MR_EXPR_OUTER, e->type.type, 0, ast->pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->type = e->type;
	(*out)->index = b->outers_count;
	o->args[o->count] = e;
	o->slots[o->count++] = b->outers_count++;
	return 0;
}

// Gives the subquery's expression its arguments.
static int correlate(struct mr_bind *b, const struct mr_outers *o, struct mr_expr *e)
{
	struct mr_plan_subquery *q = &b->subqueries[e->index];
	size_t args = (o->count + 1) * sizeof(*e->args), slots = (o->count + 1) * sizeof(*q->slots);

	e->args = mr_arena_alloc(b->arena, args);
	q->slots = mr_arena_alloc(b->arena, slots);
	if (!e->args || !q->slots)
		return mr_bind_no_memory(b);
	memcpy(e->args, o->args, o->count * sizeof(*e->args));
	memcpy(q->slots, o->slots, o->count * sizeof(*q->slots));
	e->args_count = q->slots_count = o->count;
	return 0;
}

int mr_bind_subquery(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_outers outers = {0};
	struct mr_scope barrier = {.parent = s, .outers = &outers};
	struct mr_plan_subquery q = {
		.exists = ast->kind == MR_AST_EXISTS, .array = ast->kind == MR_AST_ARRAY_QUERY};
	struct mr_typeref type = {.type = q.exists ? MR_TYPE_BOOL : MR_TYPE_TEXT};
	uint32_t columns;
	int rc = mr_bind_select(b, &barrier, ast->query, &q.plan, &columns);

	if (rc < 0)
		return rc;
	if (!q.exists && columns != 1)
		return mr_bind_error(b, ast->pos, "42601", "subquery must return only one column");
	if (!q.exists && !q.array)
		type = q.plan->columns[0].type;
	rc = add_subquery(b, ast, q, type, out);
	return rc < 0 || outers.count == 0 ? rc : correlate(b, &outers, *out);
}
