// Function calls: plain ones with all that may follow, and the forms that have a syntax of their
// own. The latter become calls of the catalog's functions, as PostgreSQL's grammar does it.
#include "host/sql/parse_int.h"

#include <errno.h>

// ---- Windows ----

// frame_bound: UNBOUNDED PRECEDING|FOLLOWING | CURRENT ROW | a_expr PRECEDING|FOLLOWING
static struct mr_ast_bound parse_bound(struct mr_parser *p)
{
	struct mr_ast_bound b = {0};
	bool unbounded = mr_is_kw(p, MR_KW_UNBOUNDED) &&
			 (mr_is_kw_at(p, 1, MR_KW_PRECEDING) || mr_is_kw_at(p, 1, MR_KW_FOLLOWING));

	if (mr_accept_kws(p, MR_KW_CURRENT, MR_KW_ROW)) {
		b.kind = MR_AST_CURRENT_ROW;
		return b;
	}
	if (unbounded)
		mr_parse_eat(p);
	else
		b.offset = mr_parse_expr(p);
	if (mr_accept_kw(p, MR_KW_PRECEDING)) {
		b.kind = unbounded ? MR_AST_UNBOUNDED_PRECEDING : MR_AST_PRECEDING;
	} else {
		mr_expect_kw(p, MR_KW_FOLLOWING);
		b.kind = unbounded ? MR_AST_UNBOUNDED_FOLLOWING : MR_AST_FOLLOWING;
	}
	return b;
}

// What frame_extent of PostgreSQL's grammar refuses.
static void check_frame(struct mr_parser *p, const struct mr_ast_window *w, int pos)
{
	const char *wrong = NULL;
	uint8_t start = w->start.kind;
	uint8_t end = w->end.kind;

	if (start == MR_AST_UNBOUNDED_FOLLOWING)
		wrong = "frame start cannot be UNBOUNDED FOLLOWING";
	else if (!w->between && start == MR_AST_FOLLOWING)
		wrong = "frame starting from following row cannot end with current row";
	else if (w->between && end == MR_AST_UNBOUNDED_PRECEDING)
		wrong = "frame end cannot be UNBOUNDED PRECEDING";
	else if (w->between && start == MR_AST_CURRENT_ROW && end == MR_AST_PRECEDING)
		wrong = "frame starting from current row cannot have preceding rows";
	else if (w->between && start == MR_AST_FOLLOWING && end < MR_AST_FOLLOWING)
		wrong = "frame starting from following row cannot have preceding rows";
	if (wrong)
		mr_parse_fail(p, -EINVAL, "42P20", pos, "%s", wrong);
}

// opt_window_exclusion_clause: EXCLUDE (CURRENT ROW | GROUP | TIES | NO OTHERS)
static enum mr_ast_exclude parse_exclude(struct mr_parser *p)
{
	if (!mr_accept_kw(p, MR_KW_EXCLUDE))
		return MR_AST_EXCLUDE_NONE;
	if (mr_accept_kws(p, MR_KW_CURRENT, MR_KW_ROW))
		return MR_AST_EXCLUDE_CURRENT_ROW;
	if (mr_accept_kw(p, MR_KW_GROUP))
		return MR_AST_EXCLUDE_GROUP;
	if (mr_accept_kw(p, MR_KW_TIES))
		return MR_AST_EXCLUDE_TIES;
	mr_expect_kw(p, MR_KW_NO);
	mr_expect_kw(p, MR_KW_OTHERS);
	return MR_AST_EXCLUDE_NONE;
}

// opt_frame_clause: (RANGE | ROWS | GROUPS) (frame_bound | BETWEEN frame_bound AND frame_bound)
// [EXCLUDE …]
static void parse_frame(struct mr_parser *p, struct mr_ast_window *w)
{
	int pos;

	if (mr_accept_kw(p, MR_KW_ROWS))
		w->frame = MR_AST_ROWS;
	else if (mr_accept_kw(p, MR_KW_RANGE))
		w->frame = MR_AST_RANGE;
	else if (mr_accept_kw(p, MR_KW_GROUPS))
		w->frame = MR_AST_GROUPS;
	else
		return;
	w->between = mr_accept_kw(p, MR_KW_BETWEEN);
	pos = mr_pos(p);
	w->start = parse_bound(p);
	w->end = (struct mr_ast_bound){.kind = MR_AST_CURRENT_ROW};
	if (w->between) {
		mr_expect_kw(p, MR_KW_AND);
		if (w->start.kind != MR_AST_UNBOUNDED_FOLLOWING)
			pos = mr_pos(p);
		w->end = parse_bound(p);
	}
	check_frame(p, w, pos);
	w->exclude = (uint8_t)parse_exclude(p);
}

static bool is_window_keyword(struct mr_parser *p)
{
	return mr_is_kw(p, MR_KW_PARTITION) || mr_is_kw(p, MR_KW_ROWS) ||
	       mr_is_kw(p, MR_KW_RANGE) || mr_is_kw(p, MR_KW_GROUPS);
}

// window_specification: '(' [ColId] [PARTITION BY expr_list] [ORDER BY …] [frame] ')'
struct mr_ast_window *mr_parse_window_spec(struct mr_parser *p)
{
	struct mr_ast_window *out = mr_parse_new(p, sizeof(*out));
	struct mr_ast_window w = {.pos = mr_pos(p)};

	mr_expect_char(p, '(');
	if (mr_is_col_id(p, 0) && !is_window_keyword(p))
		w.base = mr_parse_col_id(p);
	if (mr_accept_kw(p, MR_KW_PARTITION)) {
		mr_expect_kw(p, MR_KW_BY);
		w.partition_by = mr_parse_exprs(p);
	}
	if (mr_accept_kw(p, MR_KW_ORDER))
		w.order_by = mr_parse_order_by(p);
	parse_frame(p, &w);
	mr_expect_char(p, ')');
	*out = w;
	return out;
}

// over_clause: OVER window_specification | OVER ColId
static const struct mr_ast_window *parse_over(struct mr_parser *p)
{
	struct mr_ast_window *w;

	if (mr_is_char(p, '('))
		return mr_parse_window_spec(p);
	w = mr_parse_new(p, sizeof(*w));
	w->pos = mr_pos(p);
	w->by_name = true;
	w->name = mr_parse_col_id(p);
	return w;
}

// ---- Plain calls ----

// func_arg_expr: [type_function_name ('=>' | ':=')] a_expr
static void parse_arg(struct mr_parser *p, struct mr_ast_expr *e, struct mr_list *args)
{
	struct mr_ast_arg arg = {0};
	struct mr_ast_arg *item;

	if (mr_is_type_name(p, 0) && mr_parse_peek(p, 1)->kind == MR_TOK_ARROW) {
		arg.name = mr_parse_type_func_name(p);
		mr_parse_eat(p);
	}
	arg.value = mr_kid(p, e, mr_parse_expr(p));
	item = mr_list_add(p, args, sizeof(arg));
	*item = arg;
}

// func_application, behind its '(': '*' | [ALL | DISTINCT] args [ORDER BY …], the last of which may
// be VARIADIC
static void parse_args(struct mr_parser *p, struct mr_ast_expr *e, struct mr_ast_call *call)
{
	struct mr_list args = {0};

	if (mr_is_char(p, ')'))
		return;
	if (mr_accept_op(p, "*")) {
		call->star = true;
		return;
	}
	call->distinct = mr_accept_kw(p, MR_KW_DISTINCT);
	if (call->distinct || mr_accept_kw(p, MR_KW_ALL))
		parse_arg(p, e, &args);
	else {
		call->variadic = mr_accept_kw(p, MR_KW_VARIADIC);
		parse_arg(p, e, &args);
	}
	while (!call->variadic && mr_accept_char(p, ',')) {
		call->variadic = mr_accept_kw(p, MR_KW_VARIADIC);
		parse_arg(p, e, &args);
	}
	call->args = args.items;
	call->args_count = args.count;
	if (mr_accept_kw(p, MR_KW_ORDER))
		call->order_by = mr_parse_order_by(p);
}

// within_group_clause: WITHIN GROUP '(' sort_clause ')'
static void parse_within_group(struct mr_parser *p, struct mr_ast_call *call)
{
	int pos = mr_pos(p);
	const char *wrong = call->order_by.count
				    ? "cannot use multiple ORDER BY clauses with WITHIN GROUP"
			    : call->distinct ? "cannot use DISTINCT with WITHIN GROUP"
			    : call->variadic ? "cannot use VARIADIC with WITHIN GROUP"
					     : NULL;

	if (!mr_accept_kws(p, MR_KW_WITHIN, MR_KW_GROUP))
		return;
	mr_expect_char(p, '(');
	mr_expect_kw(p, MR_KW_ORDER);
	call->order_by = mr_parse_order_by(p);
	mr_expect_char(p, ')');
	call->within_group = true;
	if (wrong)
		mr_parse_fail(p, -EINVAL, "42601", pos, "%s", wrong);
}

// within_group_clause filter_clause over_clause
static void parse_call_tail(struct mr_parser *p, struct mr_ast_call *call)
{
	parse_within_group(p, call);
	if (mr_accept_kw(p, MR_KW_FILTER)) {
		mr_expect_char(p, '(');
		mr_expect_kw(p, MR_KW_WHERE);
		call->filter = mr_parse_expr(p);
		mr_expect_char(p, ')');
	}
	if (mr_accept_kw(p, MR_KW_OVER))
		call->over = parse_over(p);
}

// func_name '(' func_arg_list opt_sort_clause ')' Sconst: a type with modifiers and a literal
static struct mr_ast_expr *call_to_literal(
	struct mr_parser *p, const struct mr_ast_call *call, int pos)
{
	struct mr_list mods = {0};

	if (call->star || call->distinct || call->variadic || call->args_count == 0)
		mr_parse_syntax(p);
	if (call->order_by.count)
		mr_parse_fail(p, -EINVAL, "42601", pos, "type modifier cannot have ORDER BY");
	for (uint32_t i = 0; i < call->args_count && !p->failed; i++) {
		if (call->args[i].name)
			mr_parse_fail(p, -EINVAL, "42601", pos,
				"type modifier cannot have parameter name");
		mr_list_expr(p, &mods, call->args[i].value);
	}
	return mr_new_typed_literal(p, call->schema, call->name, mr_list_exprs(mods), pos);
}

struct mr_ast_expr *mr_parse_call(
	struct mr_parser *p, const char *schema, const char *name, int pos, bool windowless)
{
	struct mr_ast_call call = {.schema = schema, .name = name};
	struct mr_ast_expr *e = mr_new_call(p, MR_AST_CALL_PLAIN, name, pos);

	mr_expect_char(p, '(');
	parse_args(p, e, &call);
	mr_expect_char(p, ')');
	if (!windowless && mr_is_tok(p, MR_TOK_STRING))
		return call_to_literal(p, &call, pos);
	if (!windowless)
		parse_call_tail(p, &call);
	if (p->failed)
		return e;
	mr_raise_sorts(p, &e->height, call.order_by);
	(void)mr_kid(p, e, call.filter);
	if (call.over)
		mr_raise_window(p, &e->height, call.over);
	*(struct mr_ast_call *)e->call = call;
	return e;
}

// ---- Special forms ----

static struct mr_ast_expr *call_of(
	struct mr_parser *p, enum mr_ast_syntax syntax, const char *name, int pos)
{
	struct mr_ast_expr *e = mr_new_call(p, syntax, name, pos);

	mr_parse_eat(p);
	mr_expect_char(p, '(');
	return e;
}

// CURRENT_DATE, CURRENT_USER …; CURRENT_TIMESTAMP ['(' Iconst ')'] and its kind
static struct mr_ast_expr *parse_value_function(struct mr_parser *p, bool precision)
{
	struct mr_ast_expr *e = mr_new_call(p, MR_AST_CALL_VALUE, mr_cur(p)->text, mr_pos(p));

	mr_parse_eat(p);
	if (precision && mr_accept_char(p, '(')) {
		int pos = mr_pos(p);

		mr_call_arg(p, e, mr_new_int(p, mr_parse_int(p), pos));
		mr_expect_char(p, ')');
	}
	return e;
}

// CAST '(' a_expr AS Typename ')'
static struct mr_ast_expr *parse_cast(struct mr_parser *p)
{
	int pos = mr_pos(p);
	const struct mr_ast_expr *arg;
	struct mr_ast_expr *e;

	mr_parse_eat(p);
	mr_expect_char(p, '(');
	arg = mr_parse_expr(p);
	mr_expect_kw(p, MR_KW_AS);
	e = mr_new_cast(p, arg, mr_parse_type(p), pos);
	mr_expect_char(p, ')');
	return e;
}

// COALESCE, GREATEST, LEAST, GROUPING '(' expr_list ')'; NULLIF '(' a_expr ',' a_expr ')'
static struct mr_ast_expr *parse_keyword_call(struct mr_parser *p)
{
	bool two = mr_is_kw(p, MR_KW_NULLIF);
	struct mr_ast_expr *e = call_of(p, MR_AST_CALL_KEYWORD, mr_cur(p)->text, mr_pos(p));
	struct mr_list args = {0};

	do {
		const struct mr_ast_expr *value = mr_kid(p, e, mr_parse_expr(p));
		struct mr_ast_arg *arg = mr_list_add(p, &args, sizeof(*arg));

		arg->value = value;
	} while ((!two || args.count < 2) && mr_accept_char(p, ','));
	if (two && args.count < 2)
		mr_parse_syntax(p);
	mr_expect_char(p, ')');
	if (!p->failed) {
		((struct mr_ast_call *)e->call)->args = args.items;
		((struct mr_ast_call *)e->call)->args_count = args.count;
	}
	return e;
}

// EXTRACT '(' (IDENT | YEAR … SECOND | Sconst) FROM a_expr ')'
static struct mr_ast_expr *parse_extract(struct mr_parser *p)
{
	struct mr_ast_expr *e = call_of(p, MR_AST_CALL_EXTRACT, "extract", mr_pos(p));
	struct mr_token t = *mr_cur(p);
	bool ok = t.kind == MR_TOK_QUOTED || t.kind == MR_TOK_STRING ||
		  (t.kind == MR_TOK_WORD && t.keyword == MR_NO_KEYWORD);

	switch ((enum mr_keyword)t.keyword) {
	case MR_KW_YEAR:
	case MR_KW_MONTH:
	case MR_KW_DAY:
	case MR_KW_HOUR:
	case MR_KW_MINUTE:
	case MR_KW_SECOND: ok = true; break;
	default: break;
	}
	if (!ok)
		mr_parse_syntax(p);
	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_FROM);
	mr_call_arg(p, e, mr_new_string(p, t.text, t.pos));
	mr_call_arg(p, e, mr_parse_expr(p));
	mr_expect_char(p, ')');
	return e;
}

// The rest of func_arg_list ')' when the first argument of a form that can be a plain call is read.
static struct mr_ast_expr *finish_plain(struct mr_parser *p, struct mr_ast_expr *e)
{
	if (p->failed)
		return e;
	((struct mr_ast_call *)e->call)->syntax = MR_AST_CALL_PLAIN;
	while (mr_accept_char(p, ','))
		mr_call_arg(p, e, mr_parse_expr(p));
	mr_expect_char(p, ')');
	return e;
}

// SUBSTRING '(' a_expr FROM a_expr [FOR a_expr] | a_expr FOR a_expr [FROM a_expr]
// | a_expr SIMILAR a_expr ESCAPE a_expr | func_arg_list ')'
static struct mr_ast_expr *parse_substring(struct mr_parser *p)
{
	struct mr_ast_expr *e = call_of(p, MR_AST_CALL_SUBSTRING, "substring", mr_pos(p));
	const struct mr_ast_expr *from = NULL;
	const struct mr_ast_expr *length = NULL;

	mr_call_arg(p, e, mr_parse_expr(p));
	if (mr_accept_kw(p, MR_KW_SIMILAR)) {
		mr_call_arg(p, e, mr_parse_expr(p));
		mr_expect_kw(p, MR_KW_ESCAPE);
		mr_call_arg(p, e, mr_parse_expr(p));
		mr_expect_char(p, ')');
		if (!p->failed)
			((struct mr_ast_call *)e->call)->syntax = MR_AST_CALL_SIMILAR;
		return e;
	}
	if (mr_accept_kw(p, MR_KW_FROM)) {
		from = mr_parse_expr(p);
		length = mr_accept_kw(p, MR_KW_FOR) ? mr_parse_expr(p) : NULL;
	} else if (mr_accept_kw(p, MR_KW_FOR)) {
		length = mr_parse_expr(p);
		from = mr_accept_kw(p, MR_KW_FROM) ? mr_parse_expr(p) : mr_new_int(p, 1, 0);
	} else {
		return finish_plain(p, e);
	}
	mr_call_arg(p, e, from);
	if (length)
		mr_call_arg(p, e, length);
	mr_expect_char(p, ')');
	return e;
}

// POSITION '(' b_expr IN b_expr ')'
static struct mr_ast_expr *parse_position(struct mr_parser *p)
{
	struct mr_ast_expr *e = call_of(p, MR_AST_CALL_POSITION, "position", mr_pos(p));
	const struct mr_ast_expr *what = mr_parse_b_expr(p);

	mr_expect_kw(p, MR_KW_IN);
	mr_call_arg(p, e, mr_parse_b_expr(p));
	mr_call_arg(p, e, what);
	mr_expect_char(p, ')');
	return e;
}

// OVERLAY '(' a_expr PLACING a_expr FROM a_expr [FOR a_expr] ')' | OVERLAY '(' func_arg_list ')'
static struct mr_ast_expr *parse_overlay(struct mr_parser *p)
{
	struct mr_ast_expr *e = call_of(p, MR_AST_CALL_OVERLAY, "overlay", mr_pos(p));

	mr_call_arg(p, e, mr_parse_expr(p));
	if (!mr_accept_kw(p, MR_KW_PLACING))
		return finish_plain(p, e);
	mr_call_arg(p, e, mr_parse_expr(p));
	mr_expect_kw(p, MR_KW_FROM);
	mr_call_arg(p, e, mr_parse_expr(p));
	if (mr_accept_kw(p, MR_KW_FOR))
		mr_call_arg(p, e, mr_parse_expr(p));
	mr_expect_char(p, ')');
	return e;
}

// TRIM '(' [BOTH | LEADING | TRAILING] ([a_expr] FROM expr_list | expr_list) ')'
static struct mr_ast_expr *parse_trim(struct mr_parser *p)
{
	struct mr_ast_expr *e = call_of(p, MR_AST_CALL_TRIM, "btrim", mr_pos(p));
	const char *name = mr_accept_kw(p, MR_KW_LEADING)    ? "ltrim"
			   : mr_accept_kw(p, MR_KW_TRAILING) ? "rtrim"
							     : "btrim";
	const struct mr_ast_expr *chars = NULL;
	struct mr_ast_exprs list = {0};

	if (strcmp(name, "btrim") == 0)
		mr_accept_kw(p, MR_KW_BOTH);
	if (!mr_is_kw(p, MR_KW_FROM)) {
		list = mr_parse_exprs(p);
		chars = list.count == 1 && mr_is_kw(p, MR_KW_FROM) ? list.items[0] : NULL;
	}
	if ((chars || list.count == 0) && mr_accept_kw(p, MR_KW_FROM))
		list = mr_parse_exprs(p);
	mr_expect_char(p, ')');
	if (p->failed)
		return e;
	((struct mr_ast_call *)e->call)->name = name;
	for (uint32_t i = 0; i < list.count && !p->failed; i++)
		mr_call_arg(p, e, list.items[i]);
	if (chars)
		mr_call_arg(p, e, chars);
	return e;
}

// Key words that open a form only with '(' behind them.
static struct mr_ast_expr *parse_special_parens(struct mr_parser *p, enum mr_keyword k)
{
	switch (k) {
	case MR_KW_COALESCE:
	case MR_KW_GREATEST:
	case MR_KW_LEAST:
	case MR_KW_GROUPING:
	case MR_KW_NULLIF: return parse_keyword_call(p);
	case MR_KW_EXTRACT: return parse_extract(p);
	case MR_KW_SUBSTRING: return parse_substring(p);
	case MR_KW_POSITION: return parse_position(p);
	case MR_KW_OVERLAY: return parse_overlay(p);
	case MR_KW_TRIM: return parse_trim(p);
	case MR_KW_NORMALIZE: mr_parse_unsupported(p, "NORMALIZE is"); return NULL;
	case MR_KW_TREAT: mr_parse_unsupported(p, "TREAT is"); return NULL;
	case MR_KW_XMLCONCAT:
	case MR_KW_XMLELEMENT:
	case MR_KW_XMLEXISTS:
	case MR_KW_XMLFOREST:
	case MR_KW_XMLPARSE:
	case MR_KW_XMLPI:
	case MR_KW_XMLROOT:
	case MR_KW_XMLSERIALIZE: mr_parse_unsupported(p, "XML functions are"); return NULL;
	default: return NULL;
	}
}

// func_expr_common_subexpr
struct mr_ast_expr *mr_parse_special(struct mr_parser *p)
{
	enum mr_keyword k = mr_cur(p)->keyword;

	switch (k) {
	case MR_KW_CURRENT_DATE:
	case MR_KW_CURRENT_ROLE:
	case MR_KW_CURRENT_USER:
	case MR_KW_SESSION_USER:
	case MR_KW_USER:
	case MR_KW_CURRENT_CATALOG: return parse_value_function(p, false);
	case MR_KW_CURRENT_SCHEMA:
		return mr_is_char_at(p, 1, '(') ? NULL : parse_value_function(p, false);
	case MR_KW_CURRENT_TIME:
	case MR_KW_CURRENT_TIMESTAMP:
	case MR_KW_LOCALTIME:
	case MR_KW_LOCALTIMESTAMP: return parse_value_function(p, true);
	case MR_KW_CAST: return parse_cast(p);
	case MR_KW_COLLATION:
		if (mr_is_kw_at(p, 1, MR_KW_FOR))
			mr_parse_unsupported(p, "COLLATION FOR is");
		return NULL;
	default: break;
	}
	return mr_is_char_at(p, 1, '(') ? parse_special_parens(p, k) : NULL;
}
