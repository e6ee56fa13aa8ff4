// Binding of window functions: calls with OVER, the windows they name, and the step that runs them.
#include "host/sql/bind.h"

#include "host/sql/over.h"

#include <string.h>

// ---- Windows ----

static int override(struct mr_bind *b, const struct mr_ast_window *w, const char *what)
{
	return mr_bind_error(
		b, w->pos, "42P20", "cannot override %s clause of window \"%s\"", what, w->base);
}

static int no_copy(struct mr_bind *b, const struct mr_ast_window *w)
{
	int rc = mr_bind_error(b, w->pos, "42P20",
		"cannot copy window \"%s\" because it has a frame clause", w->base);

	if (!w->partition_by.count && !w->order_by.count && w->frame == MR_AST_FRAME_NONE)
		mr_diag_hint(b->diag, "Omit the parentheses in this OVER clause.");
	return rc;
}

// What a window is once the window it refers to, one of the clause's first `count`, is copied in.
static int resolve(struct mr_bind *b, const struct mr_scope *s, uint32_t count,
	const struct mr_ast_window *w, struct mr_ast_window *out)
{
	const char *name = w->by_name ? w->name : w->base;
	struct mr_ast_window base;
	uint32_t i = 0;

	*out = *w;
	if (!name)
		return 0;
	while (i < count && strcmp(s->windows[i].name, name) != 0)
		i++;
	if (i == count)
		return mr_bind_error(b, w->pos, "42704", "window \"%s\" does not exist", name);
	if (resolve(b, s, i, &s->windows[i], &base) < 0)
		return -1;
	if (w->by_name) {
		*out = base;
		return 0;
	}
	if (w->partition_by.count)
		return override(b, w, "PARTITION BY");
	if (w->order_by.count && base.order_by.count)
		return override(b, w, "ORDER BY");
	if (base.frame != MR_AST_FRAME_NONE)
		return no_copy(b, w);
	out->partition_by = base.partition_by;
	if (base.order_by.count)
		out->order_by = base.order_by;
	return 0;
}

static int bind_offset(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_bound *ast,
	bool by_rows, struct mr_over_bound *out)
{
	*out = (struct mr_over_bound){.kind = ast->kind};
	if (!ast->offset)
		return 0;
	if (mr_bind_expr(b, s, ast->offset, &out->offset) < 0)
		return -1;
	if (mr_expr_has_columns(out->offset))
		return mr_bind_error(b, ast->offset->pos, "42P10",
			"argument of %s must not contain variables", by_rows ? "ROWS" : "RANGE");
	return by_rows ? mr_bind_coerce(b, out->offset, (struct mr_typeref){.type = MR_TYPE_INT8},
				 MR_COERCE_ASSIGN, &out->offset)
		       : 0;
}

// The types that a key and an offset of RANGE are counted in, wide enough for their sums.
static bool range_types(uint8_t key, uint8_t *counted, uint8_t *offset)
{
	static const uint8_t types[MR_TYPE_COUNT][2] = {
		[MR_TYPE_INT2] = {MR_TYPE_INT8, MR_TYPE_INT8},
		[MR_TYPE_INT4] = {MR_TYPE_INT8, MR_TYPE_INT8},
		[MR_TYPE_INT8] = {MR_TYPE_NUMERIC, MR_TYPE_INT8},
		[MR_TYPE_FLOAT4] = {MR_TYPE_FLOAT8, MR_TYPE_FLOAT8},
		[MR_TYPE_FLOAT8] = {MR_TYPE_FLOAT8, MR_TYPE_FLOAT8},
		[MR_TYPE_NUMERIC] = {MR_TYPE_NUMERIC, MR_TYPE_NUMERIC},
		[MR_TYPE_DATE] = {MR_TYPE_TIMESTAMP, MR_TYPE_INTERVAL},
		[MR_TYPE_TIMESTAMP] = {MR_TYPE_TIMESTAMP, MR_TYPE_INTERVAL},
		[MR_TYPE_TIMESTAMPTZ] = {MR_TYPE_TIMESTAMPTZ, MR_TYPE_INTERVAL},
	};

	*counted = types[key][0];
	*offset = types[key][1];
	return *counted;
}

// limit = key - offset or key + offset, by the direction of the order.
static int bind_limit(struct mr_bind *b, const struct mr_over_window *w, uint8_t type, int pos,
	struct mr_over_bound *out)
{
	bool desc = w->sorts[w->partition_count].desc;
	bool back = (out->kind == MR_AST_PRECEDING) != desc;
	uint8_t key = w->exprs[w->partition_count]->type.type, has;
	struct mr_expr *pair[2] = {w->key};

	if (!out->offset)
		return 0;
	has = out->offset->type.type;
	if (has != MR_TYPE_NULL && has != type && !mr_fn_implicit(has, type))
		return mr_bind_unsupported(b, pos,
			"RANGE with offset PRECEDING/FOLLOWING for column type %s and offset type "
			"%s",
			mr_type_info(key)->name, mr_type_info(has)->name);
	if (mr_bind_coerce(b, out->offset, (struct mr_typeref){.type = type}, MR_COERCE_IMPLICIT,
		    &out->offset) < 0)
		return -1;
	pair[1] = out->offset;
	return mr_bind_function(b, mr_span_str(back ? "-" : "+"), pair, 2, pos, true, &out->limit);
}

static int bind_range(struct mr_bind *b, const struct mr_ast_window *w, struct mr_over_window *out)
{
	uint8_t key, counted, offset;

	if (out->sorts_count != out->partition_count + 1)
		return mr_bind_error(b, w->pos, "42P20",
			"RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY "
			"column");
	key = out->exprs[out->partition_count]->type.type;
	if (!range_types(key, &counted, &offset))
		return mr_bind_unsupported(b, w->pos,
			"RANGE with offset PRECEDING/FOLLOWING for column type %s",
			mr_type_info(key)->name);
	if (mr_bind_coerce(b, out->exprs[out->partition_count],
		    (struct mr_typeref){.type = counted}, MR_COERCE_IMPLICIT, &out->key) < 0)
		return -1;
	if (bind_limit(b, out, offset, w->pos, &out->start) < 0)
		return -1;
	return bind_limit(b, out, offset, w->pos, &out->end);
}

static int bind_frame(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_window *w,
	struct mr_over_window *out)
{
	static const struct mr_ast_bound begin = {.kind = MR_AST_UNBOUNDED_PRECEDING},
					 current = {.kind = MR_AST_CURRENT_ROW};
	bool written = w->frame != MR_AST_FRAME_NONE;

	if (w->frame == MR_AST_GROUPS)
		return mr_bind_unsupported(b, w->pos, "a frame of GROUPS");
	if (w->exclude != MR_AST_EXCLUDE_NONE)
		return mr_bind_unsupported(b, w->pos, "EXCLUDE of a frame");
	out->by_rows = w->frame == MR_AST_ROWS;
	if (bind_offset(b, s, written ? &w->start : &begin, out->by_rows, &out->start) < 0)
		return -1;
	if (bind_offset(b, s, written && w->between ? &w->end : &current, out->by_rows, &out->end) <
		0)
		return -1;
	return !out->by_rows && (out->start.offset || out->end.offset) ? bind_range(b, w, out) : 0;
}

int mr_bind_sorts(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_sorts *list,
	struct mr_expr **exprs, struct mr_plan_sort *sorts)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct mr_ast_sort *o = &list->items[i];

		if (o->using_op)
			return mr_bind_unsupported(b, o->expr->pos, "ORDER BY … USING");
		if (mr_bind_expr(b, s, o->expr, &exprs[i]) < 0 ||
			mr_bind_known(b, exprs[i], &exprs[i]) < 0)
			return -1;
		sorts[i].desc = o->desc;
		sorts[i].nulls_first =
			o->nulls == MR_AST_NULLS_DEFAULT ? o->desc : o->nulls == MR_AST_NULLS_FIRST;
	}
	return 0;
}

static int bind_keys(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_window *w,
	struct mr_over_window *out)
{
	uint32_t first = w->partition_by.count, count = first + w->order_by.count;

	out->exprs = mr_arena_zalloc(b->arena, count + 1, sizeof(*out->exprs));
	out->sorts = mr_arena_zalloc(b->arena, count + 1, sizeof(*out->sorts));
	if (!out->exprs || !out->sorts)
		return mr_bind_no_memory(b);
	out->partition_count = first;
	out->sorts_count = count;
	for (uint32_t i = 0; i < first; i++)
		if (mr_bind_expr(b, s, w->partition_by.items[i], &out->exprs[i]) < 0 ||
			mr_bind_known(b, out->exprs[i], &out->exprs[i]) < 0)
			return -1;
	return mr_bind_sorts(b, s, &w->order_by, out->exprs + first, out->sorts + first);
}

// `count`: how many items of the WINDOW clause the window may refer to.
static int bind_window(struct mr_bind *b, struct mr_scope *s, uint32_t count,
	const struct mr_ast_window *ast, struct mr_over_window *out)
{
	const char *was = s->no_over;
	struct mr_ast_window w;
	int rc = resolve(b, s, count, ast, &w);

	if (rc < 0)
		return rc;
	s->no_over = "window definitions";
	rc = bind_keys(b, s, &w, out);
	rc = rc < 0 ? rc : bind_frame(b, s, &w, out);
	s->no_over = was;
	return rc;
}

int mr_bind_windows(struct mr_bind *b, struct mr_scope *s)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->windows_count && rc >= 0; i++) {
		const struct mr_ast_window *w = &s->windows[i];
		struct mr_over_window ignored;

		for (uint32_t k = 0; k < i; k++)
			if (strcmp(s->windows[k].name, w->name) == 0)
				return mr_bind_error(b, w->pos, "42P20",
					"window \"%s\" is already defined", w->name);
		rc = bind_window(b, s, i, w, &ignored);
	}
	return rc;
}

// ---- Calls ----

static int check_place(struct mr_bind *b, const struct mr_scope *s, const struct mr_ast_expr *ast)
{
	const char *clause = s->clause ? s->clause : s->no_over;

	if (s->in_aggregate)
		return mr_bind_error(b, ast->pos, "42803",
			"aggregate function calls cannot contain window function calls");
	if (s->in_over)
		return mr_bind_error(
			b, ast->pos, "42P20", "window function calls cannot be nested");
	return clause ? mr_bind_error(b, ast->pos, "42P20",
				"window functions are not allowed in %s", clause)
		      : 0;
}

static int check_shape(struct mr_bind *b, const struct mr_ast_expr *ast, bool is_agg)
{
	const struct mr_ast_call *c = ast->call;

	if (!is_agg && !mr_over_find(mr_span_str(c->name)))
		return mr_bind_error(b, ast->pos, "42809",
			"OVER specified, but %s is not a window function nor an aggregate function",
			c->name);
	if (c->distinct)
		return mr_bind_unsupported(b, ast->pos, "DISTINCT in a window function");
	if (c->within_group)
		return mr_bind_unsupported(
			b, ast->pos, "OVER for ordered-set aggregate %s", c->name);
	if (c->order_by.count)
		return mr_bind_unsupported(b, ast->pos, "ORDER BY in a window function");
	if (is_agg)
		return 0;
	if (c->filter)
		return mr_bind_unsupported(
			b, ast->pos, "FILTER for non-aggregate window functions");
	return c->star ? mr_bind_no_function(b, ast, NULL, 0) : 0;
}

static int bind_agg(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	struct mr_over_call *c)
{
	int rc = mr_bind_agg_call(b, s, ast, &c->agg);

	if (rc < 0)
		return rc;
	c->type = c->agg.type;
	c->args_count = c->agg.args_count;
	memcpy(c->args, c->agg.args, sizeof(c->agg.args));
	c->filter = c->agg.filter;
	c->agg.filter = NULL;
	return 0;
}

static int bind_args(struct mr_bind *b, struct mr_over_call *c, const struct mr_ast_expr *ast)
{
	const struct mr_over_fn *fn = c->fn;
	struct mr_expr *same[2] = {c->args[0], c->args[2]};
	int rc = 0;

	if (c->args_count == 3) {
		rc = mr_bind_unify(b, fn->name, same, 2, 1);
		c->args[0] = same[0];
		c->args[2] = same[1];
	}
	for (uint32_t i = 0; i < c->args_count && rc >= 0; i++) {
		enum mr_type has = (enum mr_type)c->args[i]->type.type,
			     want = (enum mr_type)fn->args[i];

		if (fn->args[i] == MR_FN_ANY)
			rc = mr_bind_known(b, c->args[i], &c->args[i]);
		else if (has != want && !mr_fn_implicit(has, want))
			rc = mr_bind_no_function(b, ast, c->args, c->args_count);
		else
			rc = mr_bind_coerce(b, c->args[i], (struct mr_typeref){.type = fn->args[i]},
				MR_COERCE_IMPLICIT, &c->args[i]);
	}
	c->type = fn->flags & MR_OVER_RET_ARG ? c->args[0]->type
					      : (struct mr_typeref){.type = fn->ret};
	return rc;
}

static int bind_fn(struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast,
	struct mr_over_call *c)
{
	const struct mr_ast_call *call = ast->call;
	struct mr_expr *args[MR_OVER_ARGS_MAX + 1];
	uint32_t count = MR_MIN(call->args_count, (uint32_t)MR_COUNT_OF(args));

	c->fn = mr_over_find(mr_span_str(call->name));
	for (uint32_t i = 0; i < count; i++)
		if (mr_bind_expr(b, s, call->args[i].value, &args[i]) < 0)
			return -1;
	if (count < c->fn->args_min || count > c->fn->args_max)
		return mr_bind_no_function(b, ast, args, count);
	c->args_count = count;
	memcpy(c->args, args, count * sizeof(*args));
	return bind_args(b, c, ast);
}

static bool same_window(const struct mr_over_window *x, const struct mr_over_window *y)
{
	const struct mr_over_bound *of[2][2] = {{&x->start, &y->start}, {&x->end, &y->end}};

	if (x->partition_count != y->partition_count || x->sorts_count != y->sorts_count ||
		x->by_rows != y->by_rows)
		return false;
	for (uint32_t i = 0; i < x->sorts_count; i++)
		if (!mr_expr_equal(x->exprs[i], y->exprs[i]) ||
			x->sorts[i].desc != y->sorts[i].desc ||
			x->sorts[i].nulls_first != y->sorts[i].nulls_first)
			return false;
	for (int i = 0; i < 2; i++)
		if (of[i][0]->kind != of[i][1]->kind ||
			(of[i][0]->offset && !mr_expr_equal(of[i][0]->offset, of[i][1]->offset)))
			return false;
	return true;
}

static bool same_call(const struct mr_over_call *x, const struct mr_over_call *y)
{
	if (x->fn != y->fn || x->agg.fn != y->agg.fn || x->args_count != y->args_count ||
		!x->filter != !y->filter || x->agg.parameter != y->agg.parameter ||
		memcmp(&x->agg.fraction, &y->agg.fraction, sizeof(x->agg.fraction)) != 0)
		return false;
	for (uint32_t i = 0; i < x->args_count; i++)
		if (!mr_expr_equal(x->args[i], y->args[i]))
			return false;
	return (!x->filter || mr_expr_equal(x->filter, y->filter)) &&
	       same_window(&x->window, &y->window);
}

// Notes the call in the scope, once, and refers to it.
static int add_call(struct mr_bind *b, struct mr_scope *s, const struct mr_over_call *call, int pos,
	struct mr_expr **out)
{
	struct mr_over_call *all;
	uint32_t i = 0;

	while (i < s->overs_count && !same_call(&s->overs[i], call))
		i++;
	all = mr_arena_room(b->arena, s->overs, i, &s->overs_max, sizeof(*all));
	if (!all)
		return mr_bind_no_memory(b);
	s->overs = all;
	if (i == s->overs_count)
		s->overs[s->overs_count++] = *call;
	*out = mr_bind_new(b, MR_EXPR_OVER, call->type.type, 0, pos);
	if (!*out)
		return mr_bind_no_memory(b);
	(*out)->type = call->type;
	(*out)->index = i;
	return 0;
}

int mr_bind_over(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out)
{
	bool is_agg = mr_agg_exists(mr_span_str(ast->call->name));
	struct mr_over_call c = {0};
	int rc = check_place(b, s, ast);

	rc = rc < 0 ? rc : check_shape(b, ast, is_agg);
	if (rc < 0)
		return rc;
	s->in_over = true;
	rc = is_agg ? bind_agg(b, s, ast, &c) : bind_fn(b, s, ast, &c);
	s->in_over = false;
	rc = rc < 0 ? rc : bind_window(b, s, s->windows_count, ast->call->over, &c.window);
	if (rc >= 0 && is_agg && !c.agg.fn->merge &&
		c.window.start.kind != MR_AST_UNBOUNDED_PRECEDING)
		return mr_bind_unsupported(b, ast->pos,
			"%s over a frame that does not begin with its partition", ast->call->name);
	return rc < 0 ? rc : add_call(b, s, &c, ast->pos, out);
}

// ---- The step ----

struct mr_expr **mr_bind_over_expr(struct mr_over_call *c, uint32_t i)
{
	if (i < c->args_count)
		return &c->args[i];
	i -= c->args_count;
	if (c->filter && i-- == 0)
		return &c->filter;
	if (i < c->window.sorts_count)
		return &c->window.exprs[i];
	i -= c->window.sorts_count;
	if (c->window.key && i-- == 0)
		return &c->window.key;
	if (c->window.start.limit && i-- == 0)
		return &c->window.start.limit;
	return c->window.end.limit && i == 0 ? &c->window.end.limit : NULL;
}

static uint32_t *column_of(struct mr_over_call *c, uint32_t i)
{
	if (i < c->args_count)
		return &c->columns[i];
	i -= c->args_count;
	if (c->filter && i-- == 0)
		return &c->filter_column;
	if (i < c->window.sorts_count)
		return &c->window.sorts[i].column;
	i -= c->window.sorts_count;
	if (c->window.key && i-- == 0)
		return &c->window.key_column;
	return c->window.start.limit && i == 0 ? &c->window.start.limit_column
					       : &c->window.end.limit_column;
}

int mr_bind_place(struct mr_bind *b, struct mr_plan *p, struct mr_expr *e, uint32_t *column)
{
	uint32_t i = 0;

	while (i < p->exprs_count && !mr_expr_equal(p->exprs[i], e))
		i++;
	*column = i;
	if (i < p->exprs_count)
		return 0;
	p->exprs[p->exprs_count++] = e;
	return mr_plan_add_column(
		b, p, (struct mr_plan_column){.name = mr_span_str("?column?"), .type = e->type});
}

struct mr_plan *mr_bind_pass_through(struct mr_bind *b, struct mr_plan *child, uint32_t more)
{
	struct mr_plan *p = mr_bind_plan(b, MR_PLAN_PROJECT, child);

	while (child->kind == MR_PLAN_FILTER)
		child = child->child;

	if (p)
		p->exprs = mr_arena_zalloc(
			b->arena, child->columns_count + more + 1, sizeof(*p->exprs));
	if (!p || !p->exprs)
		return NULL;
	for (uint32_t i = 0; i < child->columns_count; i++) {
		struct mr_expr *e = mr_bind_new(b, MR_EXPR_COLUMN, 0, 0, 0);

		if (!e || mr_plan_add_column(b, p, child->columns[i]) < 0)
			return NULL;
		e->type = child->columns[i].type;
		e->index = i;
		p->exprs[p->exprs_count++] = e;
	}
	return p;
}

// Whether the rows in the order of `of` are in the order of `w` too.
static bool covers(const struct mr_over_window *of, const struct mr_over_window *w)
{
	if (w->sorts_count > of->sorts_count)
		return false;
	for (uint32_t i = 0; i < w->sorts_count; i++)
		if (of->sorts[i].column != w->sorts[i].column ||
			of->sorts[i].desc != w->sorts[i].desc ||
			of->sorts[i].nulls_first != w->sorts[i].nulls_first)
			return false;
	return true;
}

// Gives each call the first turn that serves it; turns are the longest orders.
static int take_turns(struct mr_bind *b, struct mr_plan *over)
{
	over->turns = mr_arena_zalloc(b->arena, over->overs_count + 1, sizeof(*over->turns));
	if (!over->turns)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < over->overs_count; i++)
		over->overs[i].turn = UINT32_MAX;
	for (uint32_t i = 0; i < over->overs_count; i++) {
		const struct mr_over_window *longest = &over->overs[i].window;

		if (over->overs[i].turn != UINT32_MAX)
			continue;
		for (uint32_t k = i + 1; k < over->overs_count; k++)
			if (covers(&over->overs[k].window, longest))
				longest = &over->overs[k].window;
		for (uint32_t k = i; k < over->overs_count; k++)
			if (over->overs[k].turn == UINT32_MAX &&
				covers(longest, &over->overs[k].window))
				over->overs[k].turn = over->turns_count;
		over->turns[over->turns_count++] =
			(struct mr_over_turn){longest->sorts, longest->sorts_count};
	}
	return 0;
}

int mr_bind_over_plan(struct mr_bind *b, struct mr_scope *s, struct mr_plan **plan, uint32_t *first)
{
	struct mr_plan *below, *over;
	struct mr_expr **e;
	uint32_t more = 0;
	int rc = 0;

	for (uint32_t i = 0; i < s->overs_count; i++)
		more += MR_OVER_ARGS_MAX + 4 + s->overs[i].window.sorts_count;
	below = mr_bind_pass_through(b, *plan, more);
	over = below ? mr_bind_plan(b, MR_PLAN_OVER, below) : NULL;
	if (!over)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < s->overs_count; i++)
		for (uint32_t k = 0; rc >= 0 && (e = mr_bind_over_expr(&s->overs[i], k)); k++)
			rc = mr_bind_place(b, below, *e, column_of(&s->overs[i], k));
	for (uint32_t i = 0; i < below->columns_count && rc >= 0; i++)
		rc = mr_plan_add_column(b, over, below->columns[i]);
	*first = below->columns_count;
	for (uint32_t i = 0; i < s->overs_count && rc >= 0; i++)
		rc = mr_plan_add_column(b, over,
			(struct mr_plan_column){
				.name = mr_span_str("?column?"), .type = s->overs[i].type});
	over->overs = s->overs;
	over->overs_count = s->overs_count;
	*plan = over;
	return rc < 0 ? rc : take_turns(b, over);
}

void mr_bind_over_columns(struct mr_expr *e, uint32_t first)
{
	if (e->kind == MR_EXPR_OVER) {
		e->kind = MR_EXPR_COLUMN;
		e->index += first;
	}
	for (uint32_t i = 0; i < e->args_count; i++)
		mr_bind_over_columns(e->args[i], first);
}
