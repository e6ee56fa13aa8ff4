// Binding of expressions other than calls.
#include "host/sql/bind.h"

#include "host/base/num.h"

#include <string.h>

typedef int bind_fn(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);

static int bind_literal(
	struct mr_bind *b, struct mr_scope *, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_NULL, 0, ast->pos);
	const char *text = ast->literal.text;

	*out = e;
	if (!e)
		return mr_bind_no_memory(b);
	switch (ast->kind) {
	case MR_AST_NULL: e->null = true; break;
	case MR_AST_BOOL:
		e->type.type = MR_TYPE_BOOL;
		e->value.u8 = ast->literal.boolean;
		break;
	case MR_AST_INT:
		e->type.type = ast->literal.integer == (int32_t)ast->literal.integer ? MR_TYPE_INT4
										     : MR_TYPE_INT8;
		if (e->type.type == MR_TYPE_INT4)
			e->value.i32 = (int32_t)ast->literal.integer;
		else
			e->value.i64 = ast->literal.integer;
		break;
	case MR_AST_NUMBER:
		e->type.type = MR_TYPE_NUMERIC;
		if (mr_dec_parse(mr_span_str(text), &e->value.dec) == 0)
			break;
		// More than 35 digits: the nearest double.
		e->type.type = MR_TYPE_FLOAT8;
		if (mr_num_parse_double(mr_span_str(text), &e->value.f64) < 0 ||
			e->value.f64 - e->value.f64 != 0)
			return mr_bind_error(
				b, ast->pos, "22003", "value overflows numeric format");
		break;
	default:
		e->unknown = true;
		e->value.str = (struct mr_str){(const uint8_t *)text, (uint32_t)strlen(text), 0};
	}
	return 0;
}

static int bind_param(
	struct mr_bind *b, struct mr_scope *, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *e;

	if (b->no_params || ast->param < 1 || ast->param > MR_BIND_PARAMS_MAX)
		return mr_bind_error(b, ast->pos, "42P02", "there is no parameter $%d", ast->param);
	e = mr_bind_new(b, MR_EXPR_PARAM, 0, 0, ast->pos);
	if (!e)
		return mr_bind_no_memory(b);
	e->index = (uint32_t)ast->param - 1;
	b->params_count = MR_MAX(b->params_count, e->index + 1);
	e->type = b->params[e->index];
	*out = e;
	return 0;
}

// ---- Columns ----

// A column that USING merged away is found by t.a only (`right` marks it).
static const struct mr_plan_column *find_in(
	const struct mr_scope_rel *r, struct mr_span name, bool qualified, uint32_t *found)
{
	const struct mr_plan_column *c = NULL;

	for (uint32_t i = 0; i < r->columns_count; i++)
		if (mr_span_eq(r->columns[i].name, name) && (qualified || !r->columns[i].right)) {
			c = &r->columns[i];
			(*found)++;
		}
	return c;
}

static int make_column(struct mr_bind *b, struct mr_scope *s, struct mr_scope_rel *rel,
	const struct mr_plan_column *c, int pos, struct mr_expr **out)
{
	int at = mr_bind_column_of(b, s, rel, (uint32_t)(c - rel->columns));
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_COLUMN, c->type.type, 0, pos);
	char *name = mr_arena_printf(b->arena, "%.*s.%.*s", (int)rel->alias.bytes,
		(const char *)rel->alias.data, (int)c->name.bytes, (const char *)c->name.data);

	if (at < 0)
		return at;
	if (!e || !name)
		return mr_bind_no_memory(b);
	e->type = c->type;
	e->index = (uint32_t)at;
	e->value.str = (struct mr_str){(const uint8_t *)name, (uint32_t)strlen(name), 0};
	*out = e;
	return 0;
}

// 42703, with the column whose name is nearest as a hint.
static int no_column(struct mr_bind *b, const struct mr_scope *s, const char *qualifier,
	const char *name, int pos)
{
	struct mr_span wanted = mr_span_str(name), best_name = {0}, best_rel = {0};
	unsigned best = MR_MIN(4u, (unsigned)wanted.bytes / 2 + 1);
	int rc = mr_bind_error(b, pos, "42703", "column %s%s%s%s%s does not exist",
		qualifier ? "" : "\"", qualifier ? qualifier : name, qualifier ? "." : "\"",
		qualifier ? name : "", "");

	for (uint32_t r = 0; r < s->rels_count; r++)
		for (uint32_t i = 0; i < s->rels[r].columns_count; i++) {
			unsigned d = mr_name_distance(wanted, s->rels[r].columns[i].name, best);

			if (d < best && !s->rels[r].columns[i].hidden) {
				best = d;
				best_name = s->rels[r].columns[i].name;
				best_rel = s->rels[r].alias;
			}
		}
	if (best_name.bytes)
		mr_diag_hint(b->diag, "Perhaps you meant to reference the column \"%.*s.%.*s\".",
			(int)best_rel.bytes, (const char *)best_rel.data, (int)best_name.bytes,
			(const char *)best_name.data);
	return rc;
}

static bool outer_has(const struct mr_scope *s, const char *qualifier, const char *name)
{
	for (s = s->parent; s; s = s->parent)
		for (uint32_t r = 0; r < s->rels_count; r++) {
			uint32_t found = 0;

			if (qualifier && !mr_span_eq(s->rels[r].alias, mr_span_str(qualifier)))
				continue;
			if (find_in(&s->rels[r], mr_span_str(name), qualifier != NULL, &found))
				return true;
		}
	return false;
}

static int bind_column(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	const struct mr_ast_idents *p = &ast->column.parts;
	const char *name, *qualifier;
	const struct mr_plan_column *c = NULL;
	struct mr_scope_rel *rel = NULL;
	struct mr_scope *barrier;
	uint32_t found = 0;
	bool rel_known = false;

	if (ast->column.star || p->count == 0)
		return mr_bind_unsupported(b, ast->pos, "\"*\" here");
	name = p->items[p->count - 1].name;
	qualifier = p->count > 1 ? p->items[p->count - 2].name : NULL;
	for (uint32_t r = 0; r < s->rels_count; r++) {
		const struct mr_plan_column *here;

		if (qualifier && !mr_span_eq(s->rels[r].alias, mr_span_str(qualifier)))
			continue;
		rel_known = true;
		here = find_in(&s->rels[r], mr_span_str(name), qualifier != NULL, &found);
		if (here) {
			c = here;
			rel = &s->rels[r];
		}
	}
	if (found > 1)
		return mr_bind_error(
			b, ast->pos, "42702", "column reference \"%s\" is ambiguous", name);
	if (c)
		return make_column(b, s, rel, c, ast->pos, out);
	for (barrier = s->parent; barrier && !barrier->outers;)
		barrier = barrier->parent;
	if (barrier && outer_has(barrier, qualifier, name))
		return mr_bind_outer(b, barrier, ast, out);
	if (outer_has(s, qualifier, name))
		return mr_bind_unsupported(b, ast->pos, "a correlated subquery here");
	if (qualifier && !rel_known)
		return mr_bind_error(b, ast->pos, "42P01",
			"missing FROM-clause entry for table \"%s\"", qualifier);
	return no_column(b, s, qualifier, name, ast->pos);
}

// ---- Operators ----

static int bind_op(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *args[2];
	uint32_t n = 0;

	if (ast->op.left && mr_bind_expr(b, s, ast->op.left, &args[n++]) < 0)
		return -1;
	if (mr_bind_expr(b, s, ast->op.right, &args[n++]) < 0)
		return -1;
	return mr_bind_function(b, mr_span_str(ast->op.name), args, n, ast->pos, true, out);
}

static int operator2(struct mr_bind *b, const char *name, struct mr_expr *left,
	struct mr_expr *right, int pos, struct mr_expr **out)
{
	struct mr_expr *args[2] = {left, right};

	return mr_bind_function(b, mr_span_str(name), args, 2, pos, true, out);
}

int mr_bind_condition(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	const char *what, struct mr_expr **out)
{
	int rc = mr_bind_expr(b, s, ast, out);

	if (rc < 0)
		return rc;
	if ((*out)->type.type != MR_TYPE_NULL && (*out)->type.type != MR_TYPE_BOOL)
		return mr_bind_error(b, (*out)->position, "42804",
			"argument of %s must be type boolean, not type %s", what,
			mr_type_info((enum mr_type)(*out)->type.type)->name);
	return mr_bind_coerce(
		b, *out, (struct mr_typeref){.type = MR_TYPE_BOOL}, MR_COERCE_IMPLICIT, out);
}

static int bind_and_or(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	bool is_and = ast->kind == MR_AST_AND;
	struct mr_expr *e = mr_bind_new(
		b, is_and ? MR_EXPR_AND : MR_EXPR_OR, MR_TYPE_BOOL, ast->list.count, ast->pos);

	if (!e)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < ast->list.count; i++) {
		int rc = mr_bind_condition(
			b, s, ast->list.items[i], is_and ? "AND" : "OR", &e->args[i]);

		if (rc < 0)
			return rc;
	}
	*out = mr_bind_fold(b, e);
	return 0;
}

static int bind_not(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_NOT, MR_TYPE_BOOL, 1, ast->pos);
	int rc = e ? mr_bind_condition(b, s, ast->arg, "NOT", &e->args[0]) : mr_bind_no_memory(b);

	if (rc < 0)
		return rc;
	*out = mr_bind_fold(b, e);
	return 0;
}

static int bind_is(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	bool null = ast->is.test == MR_AST_IS_NULL || ast->is.test == MR_AST_IS_UNKNOWN;
	struct mr_expr *e = mr_bind_new(
		b, null ? MR_EXPR_IS_NULL : MR_EXPR_IS_BOOL, MR_TYPE_BOOL, null ? 1 : 2, ast->pos);
	int rc;

	if (!e)
		return mr_bind_no_memory(b);
	e->negate = ast->negated;
	if (ast->is.test == MR_AST_IS_NULL) {
		rc = mr_bind_expr(b, s, ast->is.arg, &e->args[0]);
		rc = rc < 0 ? rc : mr_bind_known(b, e->args[0], &e->args[0]);
	} else {
		rc = mr_bind_condition(b, s, ast->is.arg,
			ast->is.test == MR_AST_IS_TRUE    ? "IS TRUE"
			: ast->is.test == MR_AST_IS_FALSE ? "IS FALSE"
							  : "IS UNKNOWN",
			&e->args[0]);
	}
	if (rc < 0)
		return rc;
	if (!null) {
		e->args[1] = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_BOOL, 0, ast->pos);
		if (!e->args[1])
			return mr_bind_no_memory(b);
		e->args[1]->value.u8 = ast->is.test == MR_AST_IS_TRUE;
	}
	*out = mr_bind_fold(b, e);
	return 0;
}

static int is_null(struct mr_bind *b, struct mr_expr *arg, bool negate, struct mr_expr **out)
{
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_IS_NULL, MR_TYPE_BOOL, 1, arg->position);

	if (!e)
		return mr_bind_no_memory(b);
	e->negate = negate;
	e->args[0] = arg;
	*out = e;
	return 0;
}

// a IS DISTINCT FROM b = CASE WHEN a IS NULL THEN b IS NOT NULL WHEN b IS NULL THEN true ELSE a <>
// b
static int bind_distinct(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *l, *r, *ne, *e = mr_bind_new(b, MR_EXPR_CASE, MR_TYPE_BOOL, 5, ast->pos);

	if (!e)
		return mr_bind_no_memory(b);
	if (mr_bind_expr(b, s, ast->op.left, &l) < 0 || mr_bind_expr(b, s, ast->op.right, &r) < 0 ||
		operator2(b, "<>", l, r, ast->pos, &ne) < 0)
		return -1;
	l = ne->args_count == 2 ? ne->args[0] : l;
	r = ne->args_count == 2 ? ne->args[1] : r;
	if (mr_bind_known(b, l, &l) < 0 || mr_bind_known(b, r, &r) < 0 ||
		is_null(b, l, false, &e->args[0]) < 0 || is_null(b, r, true, &e->args[1]) < 0 ||
		is_null(b, r, false, &e->args[2]) < 0)
		return -1;
	e->args[3] = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_BOOL, 0, ast->pos);
	if (!e->args[3])
		return mr_bind_no_memory(b);
	e->args[3]->value.u8 = 1;
	e->args[4] = ne;
	*out = e;
	if (!ast->negated)
		return 0;
	*out = mr_bind_new(b, MR_EXPR_NOT, MR_TYPE_BOOL, 1, ast->pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->args[0] = e;
	return 0;
}

static int negated(struct mr_bind *b, bool negate, struct mr_expr *e, struct mr_expr **out)
{
	*out = e;
	if (!negate)
		return 0;
	*out = mr_bind_new(b, MR_EXPR_NOT, MR_TYPE_BOOL, 1, e->position);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->args[0] = e;
	*out = mr_bind_fold(b, *out);
	return 0;
}

static int between(struct mr_bind *b, struct mr_expr *x, struct mr_expr *low, struct mr_expr *high,
	int pos, struct mr_expr **out)
{
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_AND, MR_TYPE_BOOL, 2, pos);

	if (!e)
		return mr_bind_no_memory(b);
	if (operator2(b, ">=", x, low, pos, &e->args[0]) < 0 ||
		operator2(b, "<=", x, high, pos, &e->args[1]) < 0)
		return -1;
	*out = mr_bind_fold(b, e);
	return 0;
}

// SYMMETRIC is: between in the one order or in the other.
static int bind_between(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_expr *x, *low, *high, *e;

	if (mr_bind_expr(b, s, ast->between.arg, &x) < 0 ||
		mr_bind_expr(b, s, ast->between.low, &low) < 0 ||
		mr_bind_expr(b, s, ast->between.high, &high) < 0)
		return -1;
	if (!ast->between.symmetric) {
		if (between(b, x, low, high, ast->pos, &e) < 0)
			return -1;
		return negated(b, ast->negated, e, out);
	}
	e = mr_bind_new(b, MR_EXPR_OR, MR_TYPE_BOOL, 2, ast->pos);
	if (!e)
		return mr_bind_no_memory(b);
	if (between(b, x, low, high, ast->pos, &e->args[0]) < 0 ||
		between(b, x, high, low, ast->pos, &e->args[1]) < 0)
		return -1;
	return negated(b, ast->negated, mr_bind_fold(b, e), out);
}

static int bind_like(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	static const char *const names[] = {"~~", "~~*"};
	struct mr_expr *args[3], *e;
	uint32_t n = 2;

	if (ast->like.how == MR_AST_SIMILAR)
		return mr_bind_unsupported(b, ast->pos, "SIMILAR TO");
	if (mr_bind_expr(b, s, ast->like.arg, &args[0]) < 0 ||
		mr_bind_expr(b, s, ast->like.pattern, &args[1]) < 0 ||
		(ast->like.escape && mr_bind_expr(b, s, ast->like.escape, &args[n++]) < 0))
		return -1;
	if (mr_bind_function(b, mr_span_str(names[ast->like.how]), args, n, ast->pos, true, &e) < 0)
		return -1;
	return negated(b, ast->negated, e, out);
}

static int bind_in(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	uint32_t n = ast->in.list.count;
	struct mr_expr *ignored, *e = mr_bind_new(b, MR_EXPR_IN, MR_TYPE_BOOL, n + 1, ast->pos);

	if (!e)
		return mr_bind_no_memory(b);
	if (ast->in.query)
		return mr_bind_in_query(b, s, ast, out);
	e->negate = ast->negated;
	if (mr_bind_expr(b, s, ast->in.arg, &e->args[0]) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (mr_bind_expr(b, s, ast->in.list.items[i], &e->args[i + 1]) < 0 ||
			operator2(b, "=", e->args[0], e->args[i + 1], ast->pos, &ignored) < 0)
			return -1;
	if (mr_bind_unify(b, "IN", e->args, n + 1, 1) < 0)
		return -1;
	*out = mr_bind_fold(b, e);
	return 0;
}

// ---- CASE, CAST, subqueries ----

// Brings the results of CASE (args 1, 3, …, and the ELSE behind them) to one type.
static int unify_results(struct mr_bind *b, struct mr_expr **args, uint32_t whens)
{
	struct mr_expr **r = mr_arena_alloc(b->arena, (whens + 1) * sizeof(*r));
	int rc;

	if (!r)
		return mr_bind_no_memory(b);
	// PostgreSQL looks at the ELSE first.
	r[0] = args[2 * whens];
	for (uint32_t i = 0; i < whens; i++)
		r[i + 1] = args[2 * i + 1];
	rc = mr_bind_unify(b, "CASE", r, whens + 1, 1);
	for (uint32_t i = 0; i < whens; i++)
		args[2 * i + 1] = r[i + 1];
	args[2 * whens] = r[0];
	return rc;
}

static int bind_case(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	uint32_t n = ast->case_.whens_count;
	struct mr_expr *arg = NULL, *e = mr_bind_new(b, MR_EXPR_CASE, 0, 2 * n + 1, ast->pos);
	int rc = 0;

	if (!e)
		return mr_bind_no_memory(b);
	if (ast->case_.arg)
		rc = mr_bind_expr(b, s, ast->case_.arg, &arg);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		const struct mr_ast_when *w = &ast->case_.whens[i];

		if (arg) {
			rc = mr_bind_expr(b, s, w->when, &e->args[2 * i]);
			rc = rc < 0 ? rc
				    : operator2(b, "=", arg, e->args[2 * i], w->when->pos,
					      &e->args[2 * i]);
		} else {
			rc = mr_bind_condition(b, s, w->when, "CASE/WHEN", &e->args[2 * i]);
		}
		rc = rc < 0 ? rc : mr_bind_expr(b, s, w->then, &e->args[2 * i + 1]);
	}
	if (rc < 0)
		return rc;
	if (ast->case_.otherwise) {
		rc = mr_bind_expr(b, s, ast->case_.otherwise, &e->args[2 * n]);
	} else {
		e->args[2 * n] = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_NULL, 0, ast->pos);
		if (!e->args[2 * n])
			return mr_bind_no_memory(b);
		e->args[2 * n]->null = true;
	}
	if (rc >= 0)
		rc = unify_results(b, e->args, n);
	if (rc < 0)
		return rc;
	e->type = e->args[2 * n]->type;
	*out = mr_bind_fold(b, e);
	return 0;
}

// INTERVAL '1' DAY: a bare number counts the unit written behind it.
static int add_unit(struct mr_bind *b, const struct mr_ast_type *t, struct mr_expr *e)
{
	static const struct {
		uint8_t field;
		const char *unit;
	} units[] = {{MR_AST_INTERVAL_YEAR, "year"}, {MR_AST_INTERVAL_MONTH, "month"},
		{MR_AST_INTERVAL_DAY, "day"}, {MR_AST_INTERVAL_HOUR, "hour"},
		{MR_AST_INTERVAL_MINUTE, "minute"}, {MR_AST_INTERVAL_SECOND, "second"}};
	double ignored;
	char *text;

	if (!e->unknown ||
		mr_num_parse_double(mr_span(e->value.str.data, e->value.str.bytes), &ignored) < 0)
		return 0;
	for (size_t i = 0; i < MR_COUNT_OF(units); i++) {
		if (t->interval_fields != units[i].field)
			continue;
		text = mr_arena_printf(b->arena, "%.*s %s", (int)e->value.str.bytes,
			(const char *)e->value.str.data, units[i].unit);
		if (!text)
			return mr_bind_no_memory(b);
		e->value.str = (struct mr_str){(const uint8_t *)text, (uint32_t)strlen(text), 0};
	}
	return 0;
}

// x::varchar(3), x::timestamp(0): a call of the function that PostgreSQL names after the type.
static int apply_length(struct mr_bind *b, const struct mr_ast_type *t, struct mr_expr **e)
{
	bool text = (*e)->type.type == MR_TYPE_TEXT;
	struct mr_expr *args[2] = {*e, NULL};
	int64_t n;

	if (t->mods.count != 1 || t->mods.items[0]->kind != MR_AST_INT ||
		(*e)->type.type == MR_TYPE_NUMERIC)
		return 0;
	n = t->mods.items[0]->literal.integer;
	if (text && n < 1)
		return mr_bind_error(b, t->pos, "22023", "length for type %s must be at least 1",
			strcmp(t->name, "bpchar") == 0 ? "char" : t->name);
	args[1] = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_INT4, 0, t->pos);
	if (!args[1])
		return mr_bind_no_memory(b);
	args[1]->value.i32 = (int32_t)MR_MIN(n, INT32_MAX);
	return mr_bind_function(b,
		mr_span_str(text ? "varchar" : mr_type_info((*e)->type.type)->udt), args, 2, t->pos,
		false, e);
}

static int bind_cast(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_typeref to;
	struct mr_expr *e;
	int rc = mr_bind_catalog_cast(b, s, ast, out);

	if (rc != 1)
		return rc;
	rc = mr_bind_type(b, ast->cast.type, &to);
	rc = rc < 0 ? rc : mr_bind_expr(b, s, ast->cast.arg, &e);
	if (rc >= 0 && ast->cast.type->interval_fields)
		rc = add_unit(b, ast->cast.type, e);
	if (rc < 0)
		return rc;
	rc = mr_bind_coerce(b, e, to, MR_COERCE_EXPLICIT, out);
	return rc < 0 ? rc : apply_length(b, ast->cast.type, out);
}

static int bind_collate(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	const char *name = ast->collate.name;

	if (strcmp(name, "C") != 0 && strcmp(name, "POSIX") != 0 && strcmp(name, "default") != 0)
		return mr_bind_unsupported(b, ast->pos, "collation \"%s\"", name);
	return mr_bind_expr(b, s, ast->collate.arg, out);
}

static int bind_no(
	struct mr_bind *b, struct mr_scope *, const struct mr_ast_expr *ast, struct mr_expr **)
{
	static const char *const what[] = {
		[MR_AST_ARRAY] = "an array",
		[MR_AST_ROW] = "a row value",
		[MR_AST_FIELD] = "a composite value's field",
		[MR_AST_DEFAULT] = "DEFAULT here",
		[MR_AST_GROUPING_SETS] = "GROUPING SETS",
	};

	return mr_bind_unsupported(b, ast->pos, "%s", what[ast->kind]);
}

int mr_bind_expr(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	static bind_fn *const binders[] = {
		[MR_AST_NULL] = bind_literal,
		[MR_AST_BOOL] = bind_literal,
		[MR_AST_INT] = bind_literal,
		[MR_AST_NUMBER] = bind_literal,
		[MR_AST_STRING] = bind_literal,
		[MR_AST_PARAM] = bind_param,
		[MR_AST_COLUMN] = bind_column,
		[MR_AST_OP] = bind_op,
		[MR_AST_AND] = bind_and_or,
		[MR_AST_OR] = bind_and_or,
		[MR_AST_NOT] = bind_not,
		[MR_AST_IS] = bind_is,
		[MR_AST_DISTINCT_FROM] = bind_distinct,
		[MR_AST_BETWEEN] = bind_between,
		[MR_AST_LIKE] = bind_like,
		[MR_AST_IN] = bind_in,
		[MR_AST_QUANTIFIED] = mr_bind_any,
		[MR_AST_EXISTS] = mr_bind_subquery,
		[MR_AST_SUBQUERY] = mr_bind_subquery,
		[MR_AST_ARRAY_QUERY] = mr_bind_subquery,
		[MR_AST_ARRAY] = bind_no,
		[MR_AST_ROW] = bind_no,
		[MR_AST_CASE] = bind_case,
		[MR_AST_CAST] = bind_cast,
		[MR_AST_COLLATE] = bind_collate,
		[MR_AST_CALL] = mr_bind_call,
		[MR_AST_SUBSCRIPT] = mr_bind_subscript,
		[MR_AST_FIELD] = mr_bind_field,
		[MR_AST_DEFAULT] = bind_no,
		[MR_AST_GROUPING_SETS] = bind_no,
	};

	int rc = binders[ast->kind](b, s, ast, out);

	if (rc >= 0 && !*out)
		rc = mr_bind_no_memory(b);
	return rc;
}
