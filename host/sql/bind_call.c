// Binding of functions, operators and aggregates.
#include "host/sql/bind.h"

#include "host/sql/over.h"

#include <stdio.h>
#include <string.h>

static void type_list(
	struct mr_expr *const *args, uint32_t count, const char *between, char *out, size_t bytes)
{
	size_t at = 0;

	out[0] = 0;
	for (uint32_t i = 0; i < count && at < bytes; i++) {
		const char *name = args[i]->type.type == MR_TYPE_NULL
					   ? "unknown"
					   : mr_type_info((enum mr_type)args[i]->type.type)->name;

		at += (size_t)snprintf(out + at, bytes - at, "%s%s", i ? between : "", name);
	}
}

static int not_found(struct mr_bind *b, struct mr_span name, struct mr_expr *const *args,
	uint32_t count, int pos, bool is_operator, enum mr_fn_found found)
{
	char types[160], between[40];
	const char *nearest;
	const char *state = found == MR_FN_AMBIGUOUS ? "42725" : "42883";
	int n = (int)name.bytes;

	if (is_operator) {
		snprintf(between, sizeof(between), " %.*s ", n, (const char *)name.data);
		type_list(args, count, between, types, sizeof(types));
		mr_bind_error(b, pos, state,
			found == MR_FN_AMBIGUOUS ? "operator is not unique: %s%s"
						 : "operator does not exist: %s%s",
			count == 1 ? between + 1 : "", types);
		mr_diag_hint(
			b->diag, found == MR_FN_AMBIGUOUS
					 ? "Could not choose a best candidate operator. You might "
					   "need to add explicit type casts."
					 : "No operator matches the given name and argument "
					   "types. You might need to add explicit type casts.");
		return -1;
	}
	type_list(args, count, ", ", types, sizeof(types));
	mr_bind_error(b, pos, state,
		found == MR_FN_AMBIGUOUS ? "function %.*s(%s) is not unique"
					 : "function %.*s(%s) does not exist",
		n, (const char *)name.data, types);
	nearest = found == MR_FN_NO_NAME ? mr_fn_nearest(name) : NULL;
	if (nearest)
		mr_diag_hint(b->diag, "Perhaps you meant %s.", nearest);
	else if (found == MR_FN_AMBIGUOUS)
		mr_diag_hint(b->diag,
			"Could not choose a best candidate function. You might need to "
			"add explicit type casts.");
	else
		mr_diag_hint(b->diag, "No function matches the given name and argument types. You "
				      "might need to add explicit type casts.");
	return -1;
}

// amount < 100.5 over a numeric that lies as an integer of scale 2 is amount < 10050 over integers.
static const struct mr_fn *small_compare(
	struct mr_bind *b, struct mr_span name, struct mr_expr **args, uint32_t count)
{
	const uint8_t types[2] = {MR_TYPE_INT8, MR_TYPE_INT8};
	const struct mr_fn *fn;
	uint32_t at;
	struct mr_expr *c, *e;
	struct mr_dec d, fitted;

	if (count != 2 || !memchr("=<>", name.data[0], 3))
		return NULL;
	at = args[0]->kind == MR_EXPR_CONST ? 0 : 1;
	c = args[at];
	e = args[1 - at];
	if (e->type.type != MR_TYPE_NUMERIC || mr_type_phys(e->type) != MR_PHYS_I64 ||
		e->kind == MR_EXPR_CONST || c->kind != MR_EXPR_CONST || c->null)
		return NULL;
	if (c->type.type == MR_TYPE_NUMERIC)
		d = mr_value_to_dec(c->type, &c->value);
	else if (c->type.type == MR_TYPE_INT4)
		d = mr_dec_from_i64(c->value.i32);
	else
		return NULL;
	if (mr_dec_is_nan(d) || mr_dec_round(d, e->type.scale, &fitted) < 0 ||
		mr_dec_cmp(d, fitted) != 0 ||
		mr_dec_coefficient(fitted) != (int64_t)mr_dec_coefficient(fitted))
		return NULL;
	if (mr_fn_find(name, types, 2, &fn) != MR_FN_ONE || !fn->vec)
		return NULL;
	c = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_NUMERIC, 0, c->position);
	if (!c)
		return NULL;
	c->type = e->type;
	c->value.i64 = (int64_t)mr_dec_coefficient(fitted);
	args[at] = c;
	return fn;
}

int mr_bind_function(struct mr_bind *b, struct mr_span name, struct mr_expr **args, uint32_t count,
	int pos, bool is_operator, struct mr_expr **out)
{
	const struct mr_fn *fn = is_operator ? small_compare(b, name, args, count) : NULL;
	struct mr_typeref ret = {0};
	uint8_t types[64] = {0};
	enum mr_fn_found found;

	if (count > MR_COUNT_OF(types))
		return mr_bind_error(
			b, pos, "54023", "cannot pass more than 64 arguments to a function");
	for (uint32_t i = 0; i < count; i++)
		types[i] = args[i]->type.type;
	if (!fn) {
		found = mr_fn_find(name, types, count, &fn);
		if (found != MR_FN_ONE)
			return not_found(b, name, args, count, pos, is_operator, found);
		for (uint32_t i = 0; i < count; i++) {
			uint8_t want = fn->args[MR_MIN(i, fn->args_count - 1u)];
			int rc = want == MR_FN_ANY ? mr_bind_known(b, args[i], &args[i])
						   : mr_bind_coerce(b, args[i],
							     (struct mr_typeref){.type = want},
							     MR_COERCE_IMPLICIT, &args[i]);

			if (rc < 0)
				return rc;
		}
	}
	ret.type = fn->ret;
	*out = mr_bind_make_call(b, fn, ret, args, count, pos);
	return *out ? 0 : mr_bind_no_memory(b);
}

// ---- Aggregates ----

static int constant_number(struct mr_bind *b, struct mr_expr *e, const char *what, double *out)
{
	int rc = mr_bind_coerce(
		b, e, (struct mr_typeref){.type = MR_TYPE_FLOAT8}, MR_COERCE_IMPLICIT, &e);

	if (rc < 0)
		return rc;
	if (e->kind != MR_EXPR_CONST || e->null)
		return mr_bind_unsupported(b, e->position, "a %s that is not a constant", what);
	*out = e->value.f64;
	return 0;
}

static int direct_argument(struct mr_bind *b, struct mr_agg_call *call, struct mr_expr *e)
{
	double v;
	int rc;

	if (call->fn->flags & MR_AGG_FRACTION) {
		rc = constant_number(b, e, "fraction", &call->fraction);
		if (rc == 0 && !(call->fraction >= 0 && call->fraction <= 1))
			return mr_bind_error(b, e->position, "22003",
				"percentile value %g is not between 0 and 1", call->fraction);
		return rc;
	}
	if (call->fn->flags & MR_AGG_TOP) {
		rc = constant_number(b, e, "number of items", &v);
		if (rc == 0 && !(v >= 1 && v <= MR_AGG_TOP_MAX))
			return mr_bind_error(b, e->position, "22023",
				"k of %s must be between 1 and %d", call->fn->name, MR_AGG_TOP_MAX);
		call->parameter = (int32_t)v;
		return rc;
	}
	rc = constant_number(b, e, "precision", &v);
	if (rc == 0 && !(v >= 4 && v <= 16))
		return mr_bind_error(b, e->position, "22023",
			"precision of %s must be between 4 and 16", call->fn->name);
	call->parameter = (int32_t)v;
	return rc;
}

static bool same_call(const struct mr_agg_call *a, const struct mr_agg_call *b)
{
	if (a->fn != b->fn || a->args_count != b->args_count || a->distinct != b->distinct ||
		a->desc != b->desc || a->parameter != b->parameter || !a->filter != !b->filter ||
		memcmp(&a->fraction, &b->fraction, sizeof(a->fraction)) != 0)
		return false;
	for (uint32_t i = 0; i < a->args_count; i++)
		if (!mr_expr_equal(a->args[i], b->args[i]))
			return false;
	return !a->filter || mr_expr_equal(a->filter, b->filter);
}

// Notes the aggregate in the scope, once, and refers to it.
static int add_call(struct mr_bind *b, struct mr_scope *s, const struct mr_agg_call *call, int pos,
	struct mr_expr **out)
{
	struct mr_agg_call *all;
	uint32_t i = 0;

	while (i < s->calls_count && !same_call(&s->calls[i], call))
		i++;
	all = mr_arena_room(b->arena, s->calls, i, &s->calls_max, sizeof(*all));
	if (!all)
		return mr_bind_no_memory(b);
	s->calls = all;
	if (i == s->calls_count)
		s->calls[s->calls_count++] = *call;
	*out = mr_bind_new(b, MR_EXPR_AGG, call->type.type, 0, pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->type = call->type;
	(*out)->index = i;
	return 0;
}

static int agg_types(
	struct mr_bind *b, struct mr_agg_call *call, struct mr_expr **args, uint32_t count)
{
	bool small = count && args[0]->type.type == MR_TYPE_NUMERIC &&
		     mr_type_phys(args[0]->type) == MR_PHYS_I64;
	const struct mr_agg_fn *fn = call->fn;
	bool direct = fn->flags & (MR_AGG_FRACTION | MR_AGG_PRECISION | MR_AGG_TOP) && count == 2;
	int rc = 0;

	call->args_count = direct ? 1 : count;
	if (small && fn->args[0] == MR_TYPE_NUMERIC && mr_agg_small(fn))
		call->fn = mr_agg_small(fn);
	for (uint32_t i = 0; i < call->args_count && rc >= 0; i++) {
		if (fn->flags & MR_AGG_ARRAY && args[i]->type.type != MR_TYPE_BOOL)
			rc = mr_bind_coerce(b, args[i], (struct mr_typeref){.type = MR_TYPE_TEXT},
				MR_COERCE_EXPLICIT, &call->args[i]);
		else if (fn->args[i] == MR_FN_ANY || call->fn != fn)
			rc = mr_bind_known(b, args[i], &call->args[i]);
		else
			rc = mr_bind_coerce(b, args[i], (struct mr_typeref){.type = fn->args[i]},
				MR_COERCE_IMPLICIT, &call->args[i]);
	}
	if (rc >= 0 && direct)
		rc = direct_argument(b, call, args[1]);
	if (rc < 0)
		return rc;
	call->type.type = fn->ret;
	if (fn->flags & MR_AGG_RET_ARG)
		call->type = call->args[0]->type;
	return 0;
}

// Arguments in the order of the table: x first, the fraction behind it.
static int agg_args(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	struct mr_expr **args, uint32_t *count)
{
	const struct mr_ast_call *c = ast->call;
	int rc = 0;

	if (c->within_group && c->order_by.count != 1)
		return mr_bind_unsupported(b, ast->pos, "WITHIN GROUP over several columns");
	if (c->within_group)
		rc = mr_bind_expr(b, s, c->order_by.items[0].expr, &args[(*count)++]);
	for (uint32_t i = 0; i < c->args_count && rc >= 0; i++)
		rc = mr_bind_expr(b, s, c->args[i].value, &args[(*count)++]);
	return rc;
}

int mr_bind_no_function(struct mr_bind *b, const struct mr_ast_expr *ast,
	struct mr_expr *const *args, uint32_t count)
{
	return not_found(b, mr_span_str(ast->call->name), args, count, ast->pos, false, MR_FN_NONE);
}

int mr_bind_agg_call(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	struct mr_agg_call *out)
{
	const struct mr_ast_call *c = ast->call;
	struct mr_expr **args = mr_arena_alloc(b->arena, (c->args_count + 2) * sizeof(*args));
	struct mr_typeref types[2] = {0};
	enum mr_agg_found found;
	uint32_t count = 0;
	int rc = args ? agg_args(b, s, ast, args, &count) : mr_bind_no_memory(b);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < count && count <= 2; i++)
		types[i] = args[i]->type;
	*out = (struct mr_agg_call){.distinct = c->distinct};
	found = count > 2 || (count == 0 && !c->star) ? MR_AGG_NO_TYPES
						      : mr_agg_find(mr_span_str(c->name), types,
								count, c->within_group, &out->fn);
	if (found != MR_AGG_FOUND)
		return mr_bind_no_function(b, ast, args, count);
	rc = agg_types(b, out, args, count);
	if (c->within_group)
		out->desc = c->order_by.items[0].desc;
	if (rc >= 0 && c->filter)
		rc = mr_bind_condition(b, s, c->filter, "FILTER", &out->filter);
	return rc;
}

// DISTINCT sees the values in their order; another one would need another sort of the same rows.
static int check_distinct(struct mr_bind *b, const struct mr_ast_expr *ast,
	const struct mr_agg_call *call, const struct mr_expr *value, struct mr_expr *const *order,
	const struct mr_plan_sort *sorts, uint32_t count)
{
	if (count != 1 || !mr_expr_equal(order[0], value))
		return mr_bind_error(b, ast->pos, "42P10",
			"in an aggregate with DISTINCT, ORDER BY expressions must appear in "
			"argument list");
	if (!(call->fn->flags & MR_AGG_ARRAY) && (sorts[0].desc || sorts[0].nulls_first))
		return mr_bind_unsupported(b, ast->pos, "DISTINCT with ORDER BY … DESC");
	return 0;
}

// Notes the order in which the scope's aggregates take rows: there is one.
static int note_order(struct mr_bind *b, struct mr_scope *s, int pos, struct mr_expr **order,
	const struct mr_plan_sort *sorts, uint32_t count)
{
	bool same = !s->order || s->order_count == count;

	for (uint32_t i = 0; s->order && same && i < count; i++)
		same = mr_expr_equal(order[i], s->order[i]) &&
		       sorts[i].desc == s->order_sorts[i].desc &&
		       sorts[i].nulls_first == s->order_sorts[i].nulls_first;
	if (!same)
		return mr_bind_unsupported(b, pos, "aggregates of different orders in one query");
	if (s->order)
		return 0;
	s->order = order;
	s->order_sorts = mr_arena_zalloc(b->arena, count, sizeof(*s->order_sorts));
	s->order_count = count;
	if (!s->order_sorts)
		return mr_bind_no_memory(b);
	memcpy(s->order_sorts, sorts, count * sizeof(*sorts));
	return 0;
}

// f(x ORDER BY …), and array_agg(DISTINCT x), whose values are in their order.
static int bind_order(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	const struct mr_agg_call *call)
{
	const struct mr_ast_sorts *list = &ast->call->order_by;
	bool array = call->distinct && call->fn->flags & MR_AGG_ARRAY;
	uint32_t count = MR_MAX(list->count, 1u);
	struct mr_expr *value;
	struct mr_expr **order = mr_arena_zalloc(b->arena, count, sizeof(*order));
	struct mr_plan_sort *sorts = mr_arena_zalloc(b->arena, count, sizeof(*sorts));

	if (ast->call->within_group || (!list->count && !array))
		return 0;
	if (!order || !sorts)
		return mr_bind_no_memory(b);
	if (mr_bind_sorts(b, s, list, order, sorts) < 0)
		return -1;
	if (!call->distinct || !ast->call->args_count)
		return note_order(b, s, ast->pos, order, sorts, count);
	if (mr_bind_expr(b, s, ast->call->args[0].value, &value) < 0 ||
		mr_bind_known(b, value, &value) < 0)
		return -1;
	if (!list->count)
		order[0] = value;
	if (check_distinct(b, ast, call, value, order, sorts, count) < 0)
		return -1;
	return !array ? 0 : note_order(b, s, ast->pos, order, sorts, count);
}

static int bind_agg(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	struct mr_agg_call call;
	int rc;

	if (s->clause)
		return mr_bind_error(b, ast->pos, "42803",
			"aggregate functions are not allowed in %s", s->clause);
	if (s->in_aggregate)
		return mr_bind_error(
			b, ast->pos, "42803", "aggregate function calls cannot be nested");
	s->in_aggregate = true;
	rc = mr_bind_agg_call(b, s, ast, &call);
	rc = rc < 0 ? rc : bind_order(b, s, ast, &call);
	s->in_aggregate = false;
	return rc < 0 ? rc : add_call(b, s, &call, ast->pos, out);
}

// ---- Functions with their own rules ----

static int bind_coalesce(struct mr_bind *b, enum mr_expr_kind kind, bool least, const char *what,
	struct mr_expr **args, uint32_t count, int pos, struct mr_expr **out)
{
	struct mr_expr *e = mr_bind_new(b, kind, 0, count, pos);

	if (!e)
		return mr_bind_no_memory(b);
	memcpy(e->args, args, count * sizeof(*args));
	e->negate = least;
	if (mr_bind_unify(b, what, e->args, count, 1) < 0)
		return -1;
	e->type = e->args[0]->type;
	*out = mr_bind_fold(b, e);
	return 0;
}

// NULLIF(a, b) = CASE WHEN a = b THEN NULL ELSE a END, a in the type in which they are compared.
static int bind_nullif(struct mr_bind *b, struct mr_expr **args, int pos, struct mr_expr **out)
{
	struct mr_expr *e = mr_bind_new(b, MR_EXPR_CASE, 0, 3, pos);
	struct mr_expr *pair[2] = {args[0], args[1]};

	if (!e)
		return mr_bind_no_memory(b);
	if (mr_bind_function(b, mr_span_str("="), pair, 2, pos, true, &e->args[0]) < 0 ||
		mr_bind_known(b, args[0], &e->args[2]) < 0)
		return -1;
	// Integers among each other, and real with others, are compared as they are.
	if (args[0]->type.type == MR_TYPE_NULL || pair[0]->type.type == MR_TYPE_NUMERIC ||
		(pair[0]->type.type == MR_TYPE_FLOAT8 && args[0]->type.type != MR_TYPE_FLOAT4))
		e->args[2] = pair[0];
	e->type = e->args[2]->type;
	e->args[1] = mr_bind_new(b, MR_EXPR_CONST, e->type.type, 0, pos);
	if (!e->args[1])
		return mr_bind_no_memory(b);
	e->args[1]->type = e->type;
	e->args[1]->null = true;
	*out = mr_bind_fold(b, e);
	return 0;
}

static int bind_typeof(struct mr_bind *b, struct mr_expr *arg, int pos, struct mr_expr **out)
{
	const char *name = arg->type.type == MR_TYPE_NULL
				   ? "unknown"
				   : mr_type_info((enum mr_type)arg->type.type)->name;

	*out = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_TEXT, 0, pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->value.str = (struct mr_str){(const uint8_t *)name, (uint32_t)strlen(name), 0};
	return 0;
}

// 1: not one of these.
static int bind_special(struct mr_bind *b, const char *name, struct mr_expr **args, uint32_t count,
	int pos, struct mr_expr **out)
{
	if (count == 0)
		return 1;
	if (strcmp(name, "coalesce") == 0)
		return bind_coalesce(b, MR_EXPR_COALESCE, false, "COALESCE", args, count, pos, out);
	if (strcmp(name, "greatest") == 0)
		return bind_coalesce(b, MR_EXPR_EXTREME, false, "GREATEST", args, count, pos, out);
	if (strcmp(name, "least") == 0)
		return bind_coalesce(b, MR_EXPR_EXTREME, true, "LEAST", args, count, pos, out);
	if (strcmp(name, "nullif") == 0 && count == 2)
		return bind_nullif(b, args, pos, out);
	if (strcmp(name, "pg_typeof") == 0 && count == 1)
		return bind_typeof(b, args[0], pos, out);
	return 1;
}

// Functions of the machine itself carry their schema in their name.
static bool is_ours(const struct mr_ast_call *c)
{
	return c->schema && strcmp(c->schema, "millrace") == 0 &&
	       strncmp(c->name, "capture_", 8) == 0;
}

static int call_shape(struct mr_bind *b, const struct mr_ast_expr *ast, bool is_agg)
{
	const struct mr_ast_call *c = ast->call;

	if (c->schema && strcmp(c->schema, "pg_catalog") != 0 && !is_ours(c) &&
		!(strcmp(c->schema, "information_schema") == 0 &&
			strcmp(c->name, "_pg_expandarray") == 0))
		return mr_bind_unsupported(b, ast->pos, "function %s.%s", c->schema, c->name);
	if (c->variadic)
		return mr_bind_unsupported(b, ast->pos, "VARIADIC");
	for (uint32_t i = 0; i < c->args_count; i++)
		if (c->args[i].name)
			return mr_bind_unsupported(b, ast->pos, "an argument by name");
	if (!is_agg && mr_over_find(mr_span_str(c->name)) && !c->over)
		return mr_bind_error(b, ast->pos, "42809",
			"window function %s requires an OVER clause", c->name);
	if (is_agg || c->over ||
		!(c->distinct || c->star || c->filter || c->within_group || c->order_by.count))
		return 0;
	return mr_bind_error(b, ast->pos, "42809",
		"%s specified, but %s is not an aggregate function",
		c->distinct ? "DISTINCT"
		: c->star   ? "*"
		: c->filter ? "FILTER"
			    : "ORDER BY",
		c->name);
}

int mr_bind_call(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	const struct mr_ast_call *c = ast->call;
	bool is_agg = mr_agg_exists(mr_span_str(c->name));
	struct mr_expr **args = mr_arena_alloc(b->arena, (c->args_count + 2) * sizeof(*args));
	const char *name;
	uint32_t count = 0;
	int rc = call_shape(b, ast, is_agg);

	if (rc < 0)
		return rc;
	if (!args)
		return mr_bind_no_memory(b);
	if (c->over)
		return mr_bind_over(b, s, ast, out);
	if (is_agg)
		return bind_agg(b, s, ast, out);
	for (uint32_t i = 0; i < c->args_count; i++)
		if (mr_bind_expr(b, s, c->args[i].value, &args[count++]) < 0)
			return -1;
	rc = bind_special(b, c->name, args, count, ast->pos, out);
	if (rc <= 0)
		return rc;
	name = c->name;
	if (is_ours(c))
		name = mr_arena_printf(b->arena, "millrace.%s", c->name);
	if (!name)
		return mr_bind_no_memory(b);
	return mr_bind_function(b, mr_span_str(name), args, count, ast->pos, false, out);
}
