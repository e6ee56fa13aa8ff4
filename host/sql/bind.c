// Binding: memory, errors, and what a query is made of.
#include "host/sql/bind.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mr_bind_error(struct mr_bind *b, int pos, const char *sqlstate, const char *fmt, ...)
{
	char text[sizeof(b->diag->message)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return mr_diag_set(b->diag, -EINVAL, sqlstate, pos, "%s", text);
}

int mr_bind_unsupported(struct mr_bind *b, int pos, const char *fmt, ...)
{
	char text[sizeof(b->diag->message) - 32];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return mr_diag_set(b->diag, MR_ERR_UNSUPPORTED, "0A000", pos, "%s is not supported", text);
}

int mr_bind_no_memory(struct mr_bind *b)
{
	const struct mr_query q = {.memory = b->arena->budget};

	if (q.memory && !mr_budget_refused(q.memory))
		return mr_query_no_memory(&q, b->diag);
	mr_diag_set(b->diag, MR_ERR_LIMIT, "53200", 0, "out of memory");
	mr_diag_detail(b->diag, "The statement is too big.");
	return MR_ERR_LIMIT;
}

void mr_bind_fini(struct mr_bind *b)
{
	for (uint32_t i = 0; i < b->relations_count; i++)
		b->env->ops->relation_put(b->env, b->relations[i]);
	b->relations_count = 0;
}

struct mr_expr *mr_bind_new(
	struct mr_bind *b, enum mr_expr_kind kind, uint8_t type, uint32_t args_count, int pos)
{
	struct mr_expr *e = mr_arena_zalloc(b->arena, 1, sizeof(*e));

	if (!e)
		return NULL;
	e->kind = kind;
	e->type.type = type;
	e->position = pos;
	e->args_count = args_count;
	e->args = mr_arena_zalloc(b->arena, args_count + 1, sizeof(*e->args));
	return e->args ? e : NULL;
}

struct mr_plan *mr_bind_plan(struct mr_bind *b, enum mr_plan_kind kind, struct mr_plan *child)
{
	struct mr_plan *p = mr_arena_zalloc(b->arena, 1, sizeof(*p));

	if (!p)
		return NULL;
	p->kind = kind;
	p->child = child;
	if (child)
		child->up = p;
	return p;
}

int mr_plan_add_column(struct mr_bind *b, struct mr_plan *p, struct mr_plan_column column)
{
	struct mr_plan_column *c =
		mr_arena_room(b->arena, p->columns, p->columns_count, &p->columns_max, sizeof(*c));

	if (!c)
		return mr_bind_no_memory(b);
	p->columns = c;
	p->columns[p->columns_count] = column;
	return (int)p->columns_count++;
}

// The same query in two places is two subqueries.
static bool same_place(const struct mr_expr *a, const struct mr_expr *b)
{
	if (a->kind != MR_EXPR_SUBQUERY && a->kind != MR_EXPR_IN_SET)
		return a->index == b->index;
	return mr_span_eq(mr_span(a->value.str.data, a->value.str.bytes),
		mr_span(b->value.str.data, b->value.str.bytes));
}

bool mr_expr_equal(const struct mr_expr *a, const struct mr_expr *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || a->type.type != b->type.type || a->fn != b->fn ||
		a->type.precision != b->type.precision || a->type.scale != b->type.scale ||
		!same_place(a, b) || a->negate != b->negate || a->null != b->null ||
		a->args_count != b->args_count)
		return false;
	if (a->fn && a->fn->flags & MR_FN_VOLATILE)
		return false;
	if (a->kind == MR_EXPR_CONST && !a->null &&
		mr_value_cmp(a->unknown ? (struct mr_typeref){.type = MR_TYPE_TEXT} : a->type,
			&a->value, &b->value) != 0)
		return false;
	for (uint32_t i = 0; i < a->args_count; i++)
		if (!mr_expr_equal(a->args[i], b->args[i]))
			return false;
	return true;
}

bool mr_expr_has_columns(const struct mr_expr *e)
{
	if (e->kind == MR_EXPR_COLUMN || e->kind == MR_EXPR_AGG || e->kind == MR_EXPR_OVER)
		return true;
	for (uint32_t i = 0; i < e->args_count; i++)
		if (mr_expr_has_columns(e->args[i]))
			return true;
	return false;
}

static bool all_constant(const struct mr_expr *e)
{
	for (uint32_t i = 0; i < e->args_count; i++)
		if (e->args[i]->kind != MR_EXPR_CONST || e->args[i]->unknown)
			return false;
	return true;
}

// A call of constants becomes its value; one that fails stays, to fail if it is ever evaluated.
struct mr_expr *mr_bind_fold(struct mr_bind *b, struct mr_expr *e)
{
	struct mr_diag ignored;
	struct mr_eval ev = {.query = &b->query, .arena = b->arena, .diag = &ignored, .rows = 1};
	struct mr_expr *c;
	struct mr_vec v;

	if (!e || !all_constant(e) || e->kind == MR_EXPR_AGG ||
		(e->kind == MR_EXPR_CALL && e->fn->flags & (MR_FN_STABLE | MR_FN_VOLATILE)))
		return e;
	if (mr_expr_eval(&ev, e, NULL, 1, &v) < 0)
		return e;
	c = mr_bind_new(b, MR_EXPR_CONST, e->type.type, 0, e->position);
	if (!c)
		return NULL;
	c->type = e->type;
	c->null = mr_vec_is_null(&v, 0);
	if (!c->null)
		memcpy(&c->value, mr_vec_at(&v, 0), mr_phys_bytes(mr_type_phys(e->type)));
	return c;
}

struct mr_expr *mr_bind_make_call(struct mr_bind *b, const struct mr_fn *fn, struct mr_typeref type,
	struct mr_expr **args, uint32_t count, int pos)
{
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_CALL, type.type, count, pos);

	if (!e)
		return NULL;
	e->type = type;
	e->fn = fn;
	memcpy(e->args, args, count * sizeof(*args));
	for (uint32_t i = 0; i < count && !e->memo; i++)
		if (mr_type_phys(args[i]->type) == MR_PHYS_BYTES && mr_expr_has_columns(args[i]))
			e->memo = ++b->memos_count;
	return mr_bind_fold(b, e);
}

static bool is_bare(struct mr_typeref t)
{
	return t.type != MR_TYPE_NUMERIC || t.precision == 0;
}

// A literal's text becomes a value of the type; a parameter gets the type.
static int coerce_unknown(
	struct mr_bind *b, struct mr_expr *e, struct mr_typeref to, struct mr_expr **out)
{
	struct mr_datetime_env env = {b->query.tz, b->query.now_us};
	struct mr_expr *c;
	int rc;

	if (e->kind == MR_EXPR_PARAM) {
		if (b->params[e->index].type == MR_TYPE_NULL)
			b->params[e->index] = (struct mr_typeref){.type = to.type};
		e->type = b->params[e->index];
		*out = e;
		return 0;
	}
	c = mr_bind_new(b, MR_EXPR_CONST, to.type, 0, e->position);
	if (!c)
		return mr_bind_no_memory(b);
	c->type = to;
	c->null = e->null;
	if (e->unknown) {
		struct mr_span text = mr_span(e->value.str.data, e->value.str.bytes);

		rc = mr_value_parse(to, text, &env, b->arena, &c->value, b->diag);
		if (rc < 0) {
			b->diag->position = e->position;
			return rc;
		}
	}
	*out = c;
	return 0;
}

int mr_bind_coerce(struct mr_bind *b, struct mr_expr *e, struct mr_typeref to, enum mr_coerce how,
	struct mr_expr **out)
{
	const struct mr_fn *fn;
	bool same_mods = e->type.precision == to.precision && e->type.scale == to.scale;
	char name[40];

	if (e->type.type == MR_TYPE_NULL) {
		int rc = coerce_unknown(b, e, to, out);

		if (rc < 0 || e->kind != MR_EXPR_PARAM)
			return rc;
		e = *out;
		same_mods = e->type.precision == to.precision && e->type.scale == to.scale;
	}
	*out = e;
	if (e->type.type == to.type && (to.type != MR_TYPE_NUMERIC || same_mods))
		return 0;
	fn = mr_fn_cast_find((enum mr_type)e->type.type, (enum mr_type)to.type);
	mr_typeref_format((struct mr_typeref){.type = to.type}, name);
	if (!fn || (how == MR_COERCE_IMPLICIT && fn->flags & (MR_FN_ASSIGN | MR_FN_EXPLICIT)) ||
		(how == MR_COERCE_ASSIGN && fn->flags & MR_FN_EXPLICIT))
		return mr_bind_error(b, e->position, "42846", "cannot cast type %s to %s",
			mr_type_info((enum mr_type)e->type.type)->name, name);
	*out = mr_bind_make_call(b, fn, to, &e, 1, e->position);
	return *out ? 0 : mr_bind_no_memory(b);
}

int mr_bind_known(struct mr_bind *b, struct mr_expr *e, struct mr_expr **out)
{
	*out = e;
	if (e->type.type != MR_TYPE_NULL)
		return 0;
	return mr_bind_coerce(
		b, e, (struct mr_typeref){.type = MR_TYPE_TEXT}, MR_COERCE_IMPLICIT, out);
}

// PostgreSQL's select_common_type: the first known type, replaced by a later one of its category
// that it casts to; preferred types stay.
int mr_bind_unify(struct mr_bind *b, const char *what, struct mr_expr **exprs, uint32_t count,
	uint32_t stride)
{
	struct mr_typeref t = {.type = MR_TYPE_NULL};
	bool same_mods = true;

	for (uint32_t i = 0; i < count; i++) {
		struct mr_typeref u = exprs[i * stride]->type;

		if (u.type == MR_TYPE_NULL || u.type == t.type) {
			same_mods &= u.type == MR_TYPE_NULL ||
				     (u.precision == t.precision && u.scale == t.scale);
			continue;
		}
		if (t.type == MR_TYPE_NULL) {
			t = u;
			continue;
		}
		same_mods = false;
		if (mr_type_info((enum mr_type)t.type)->category !=
			mr_type_info((enum mr_type)u.type)->category)
			return mr_bind_error(b, exprs[i * stride]->position, "42804",
				"%s types %s and %s cannot be matched", what,
				mr_type_info((enum mr_type)t.type)->name,
				mr_type_info((enum mr_type)u.type)->name);
		if (mr_fn_implicit((enum mr_type)t.type, (enum mr_type)u.type) &&
			!mr_fn_implicit((enum mr_type)u.type, (enum mr_type)t.type))
			t = u;
	}
	if (t.type == MR_TYPE_NULL)
		t.type = MR_TYPE_TEXT;
	if (!same_mods || is_bare(t))
		t.precision = t.scale = 0;
	for (uint32_t i = 0; i < count; i++) {
		int rc = mr_bind_coerce(
			b, exprs[i * stride], t, MR_COERCE_IMPLICIT, &exprs[i * stride]);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int mr_bind_type(struct mr_bind *b, const struct mr_ast_type *ast, struct mr_typeref *out)
{
	enum mr_type t = mr_type_by_name(mr_span_str(ast->name));
	const struct mr_ast_exprs *mods = &ast->mods;
	int64_t m[2] = {0, 0};

	if (ast->array_dims)
		return mr_bind_unsupported(b, ast->pos, "an array type");
	if (t == MR_TYPE_COUNT)
		return mr_bind_error(b, ast->pos, "42704", "type \"%s\" does not exist", ast->name);
	*out = (struct mr_typeref){.type = (uint8_t)t};
	for (uint32_t i = 0; i < mods->count && i < 2; i++) {
		if (mods->items[i]->kind != MR_AST_INT)
			return mr_bind_error(b, ast->pos, "42601",
				"type modifiers must be simple constants or identifiers");
		m[i] = mods->items[i]->literal.integer;
	}
	if (t != MR_TYPE_NUMERIC || mods->count == 0)
		return 0;
	if (m[0] < 1 || m[0] > MR_NUMERIC_PRECISION_MAX)
		return mr_bind_error(b, ast->pos, "22023",
			"NUMERIC precision %lld must be between 1 and %d", (long long)m[0],
			MR_NUMERIC_PRECISION_MAX);
	if (m[1] < 0 || m[1] > m[0])
		return mr_bind_error(b, ast->pos, "22023",
			"NUMERIC scale %lld must be between 0 and precision %lld", (long long)m[1],
			(long long)m[0]);
	out->precision = (uint8_t)m[0];
	out->scale = (uint8_t)m[1];
	return 0;
}

int mr_bind_value(struct mr_bind *b, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_plan *one = mr_bind_plan(b, MR_PLAN_ONE, NULL);
	struct mr_scope s = {.root = one, .clause = "VALUES"};

	return one ? mr_bind_expr(b, &s, ast, out) : mr_bind_no_memory(b);
}

int mr_bind_query(struct mr_bind *b, const struct mr_ast_select *ast, struct mr_query_plan *out)
{
	int rc = mr_bind_select(b, NULL, ast, &out->root, &out->columns_count);

	out->subqueries = b->subqueries;
	out->subqueries_count = b->subqueries_count;
	out->memos_count = b->memos_count;
	out->outers_count = b->outers_count;
	return rc;
}
