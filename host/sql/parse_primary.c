// Operands: PostgreSQL's c_expr. Constants, names, CASE, ARRAY, ROW, parentheses.
//
// A query in parentheses may turn out to be an operand or the first part of a UNION, which the
// token behind it decides.
#include "host/sql/parse_int.h"

#include <errno.h>

// opt_slice_bound etc.: '[' a_expr ']' | '[' [a_expr] ':' [a_expr] ']'
static struct mr_ast_expr *parse_subscript(struct mr_parser *p, const struct mr_ast_expr *arg)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_SUBSCRIPT, mr_pos(p));

	mr_expect_char(p, '[');
	e->subscript.arg = mr_kid(p, e, arg);
	if (!mr_is_char(p, ':'))
		e->subscript.low = mr_kid(p, e, mr_parse_expr(p));
	e->subscript.slice = mr_accept_char(p, ':');
	if (e->subscript.slice && !mr_is_char(p, ']'))
		e->subscript.high = mr_kid(p, e, mr_parse_expr(p));
	mr_expect_char(p, ']');
	return e;
}

// indirection: {'.' ColLabel | '.' '*' | '[' … ']'}
static struct mr_ast_expr *parse_indirection(struct mr_parser *p, struct mr_ast_expr *e)
{
	for (;;) {
		struct mr_ast_expr *outer;

		if (mr_is_char(p, '[')) {
			e = parse_subscript(p, e);
			continue;
		}
		if (!mr_is_char(p, '.'))
			return e;
		outer = mr_new_expr(p, MR_AST_FIELD, mr_pos(p));
		mr_parse_eat(p);
		outer->field.arg = mr_kid(p, outer, e);
		if (mr_accept_op(p, "*"))
			return outer; // nothing may follow
		outer->field.name = mr_parse_col_label(p);
		e = outer;
	}
}

static void add_ident(struct mr_parser *p, struct mr_list *l, const char *name, int pos)
{
	struct mr_ast_ident *item = mr_list_add(p, l, sizeof(*item));

	*item = (struct mr_ast_ident){name, pos};
}

// What a dotted name turns out to be: func_name '(' …, func_name Sconst, or columnref.
static struct mr_ast_expr *finish_name(
	struct mr_parser *p, struct mr_list parts, bool column_ok, bool type_ok, int pos)
{
	const struct mr_ast_ident *items = parts.items;
	const char *schema = parts.count == 2 ? items[0].name : NULL;
	const char *name = parts.count ? items[parts.count - 1].name : "";
	struct mr_ast_expr *e;

	if (type_ok && parts.count <= 2 && mr_is_char(p, '('))
		return mr_parse_call(p, schema, name, pos, false);
	if (type_ok && parts.count <= 2 && mr_is_tok(p, MR_TOK_STRING))
		return mr_new_typed_literal(p, schema, name, (struct mr_ast_exprs){0}, pos);
	if (!column_ok)
		mr_parse_syntax(p);
	if (parts.count > 4)
		mr_parse_fail(p, -EINVAL, "42601", pos,
			"improper qualified name (too many dotted names)");
	e = mr_new_expr(p, MR_AST_COLUMN, pos);
	e->column.parts = (struct mr_ast_idents){items, parts.count};
	return e;
}

// columnref: ColId [indirection]; func_name: type_function_name | ColId indirection
static struct mr_ast_expr *parse_name(struct mr_parser *p)
{
	int pos = mr_pos(p);
	bool column_ok = mr_is_col_id(p, 0);
	bool type_ok = mr_is_type_name(p, 0);
	struct mr_list parts = {0};
	struct mr_ast_expr *e;

	if (!column_ok && !type_ok) {
		mr_parse_syntax(p);
		return mr_new_expr(p, MR_AST_NULL, pos);
	}
	add_ident(p, &parts, mr_cur(p)->text, pos);
	mr_parse_eat(p);
	while (column_ok && mr_is_char(p, '.')) {
		int part_pos;

		mr_parse_eat(p);
		if (mr_accept_op(p, "*")) {
			e = finish_name(p, parts, true, false, pos);
			e->column.star = true;
			return e;
		}
		part_pos = mr_pos(p);
		add_ident(p, &parts, mr_parse_col_label(p), part_pos);
		type_ok = true;
	}
	e = finish_name(p, parts, column_ok, type_ok, pos);
	return e->kind == MR_AST_COLUMN ? parse_indirection(p, e) : e;
}

// case_expr: CASE [a_expr] {WHEN a_expr THEN a_expr} [ELSE a_expr] END
static struct mr_ast_expr *parse_case(struct mr_parser *p)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_CASE, mr_pos(p));
	struct mr_list whens = {0};

	mr_parse_eat(p);
	if (!mr_is_kw(p, MR_KW_WHEN))
		e->case_.arg = mr_kid(p, e, mr_parse_expr(p));
	do {
		struct mr_ast_when when;
		struct mr_ast_when *item;

		mr_expect_kw(p, MR_KW_WHEN);
		when.when = mr_kid(p, e, mr_parse_expr(p));
		mr_expect_kw(p, MR_KW_THEN);
		when.then = mr_kid(p, e, mr_parse_expr(p));
		item = mr_list_add(p, &whens, sizeof(when));
		*item = when;
	} while (mr_is_kw(p, MR_KW_WHEN));
	if (mr_accept_kw(p, MR_KW_ELSE))
		e->case_.otherwise = mr_kid(p, e, mr_parse_expr(p));
	mr_expect_kw(p, MR_KW_END);
	if (!p->failed) {
		e->case_.whens = whens.items;
		e->case_.whens_count = whens.count;
	}
	return e;
}

// array_expr: '[' [a_expr {',' a_expr} | array_expr {',' array_expr}] ']'
static struct mr_ast_expr *parse_array(struct mr_parser *p, int pos)
{
	struct mr_list list = {0};

	mr_expect_char(p, '[');
	if (mr_parse_enter(p) && !mr_is_char(p, ']')) {
		bool nested = mr_is_char(p, '[');

		do {
			int inner = mr_pos(p);

			mr_list_expr(p, &list, nested ? parse_array(p, inner) : mr_parse_expr(p));
		} while (mr_accept_char(p, ','));
	}
	mr_parse_leave(p);
	mr_expect_char(p, ']');
	return mr_new_list(p, MR_AST_ARRAY, pos, mr_list_exprs(list));
}

static struct mr_ast_expr *new_query(
	struct mr_parser *p, enum mr_ast_expr_kind kind, const struct mr_ast_select *query, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, kind, pos);

	e->query = query;
	mr_raise(p, &e->height, query->height);
	return e;
}

// ARRAY select_with_parens | ARRAY array_expr; EXISTS select_with_parens
static struct mr_ast_expr *parse_array_or_exists(struct mr_parser *p)
{
	int pos = mr_pos(p);
	bool exists = mr_is_kw(p, MR_KW_EXISTS);

	mr_parse_eat(p);
	if (!exists && !mr_is_char(p, '('))
		return parse_array(p, pos);
	return new_query(
		p, exists ? MR_AST_EXISTS : MR_AST_ARRAY_QUERY, mr_parse_select_parens(p), pos);
}

// '(' SelectStmt ')', or '(' that is followed by one: what stands in the parentheses is a query,
// or an expression that begins with one, as in ((SELECT 1) + 2).
static struct mr_ast_expr *parse_row_rest(
	struct mr_parser *p, const struct mr_ast_expr *first, int pos)
{
	struct mr_list list = {0};
	struct mr_ast_expr *row;

	mr_list_expr(p, &list, first);
	while (mr_accept_char(p, ','))
		mr_list_expr(p, &list, mr_parse_expr(p));
	row = mr_new_list(p, MR_AST_ROW, pos, mr_list_exprs(list));
	row->implicit = true;
	return row;
}

static struct mr_ast_expr *parse_query_inside(
	struct mr_parser *p, const struct mr_ast_select **query)
{
	int pos = mr_pos(p);
	const struct mr_ast_select *inner;
	struct mr_ast_expr *e;

	*query = NULL;
	if (!mr_is_char(p, '(')) {
		*query = mr_parse_select(p);
		return NULL;
	}
	e = mr_parse_query_parens(p, &inner);
	if (inner && (mr_is_char(p, ')') || mr_is_select_rest(p))) {
		*query = mr_parse_select_rest(p, inner);
		return NULL;
	}
	if (inner)
		e = new_query(p, MR_AST_SUBQUERY, inner, pos);
	return mr_parse_expr_from(p, parse_indirection(p, e));
}

struct mr_ast_expr *mr_parse_query_parens(struct mr_parser *p, const struct mr_ast_select **query)
{
	int pos = mr_pos(p);
	struct mr_ast_expr *e = NULL;

	mr_expect_char(p, '(');
	if (mr_parse_enter(p))
		e = parse_query_inside(p, query);
	else
		e = mr_new_expr(p, MR_AST_NULL, pos);
	mr_parse_leave(p);
	if (!*query && mr_is_char(p, ','))
		e = parse_row_rest(p, e, pos);
	mr_expect_char(p, ')');
	return e;
}

// '(' a_expr ')' opt_indirection | implicit_row: '(' a_expr ',' … ')' | select_with_parens
// [indirection]
static struct mr_ast_expr *parse_parens(struct mr_parser *p)
{
	int pos = mr_pos(p);
	const struct mr_ast_select *query = NULL;
	struct mr_ast_expr *e;

	if (mr_is_query(p)) {
		e = mr_parse_query_parens(p, &query);
		if (query)
			e = new_query(p, MR_AST_SUBQUERY, query, pos);
		return parse_indirection(p, e);
	}
	mr_parse_eat(p);
	e = mr_parse_expr(p);
	if (mr_is_char(p, ',')) {
		e = parse_row_rest(p, e, pos);
		mr_expect_char(p, ')');
		return e; // an implicit row is not something to pick fields from
	}
	mr_expect_char(p, ')');
	return parse_indirection(p, e);
}

// explicit_row: ROW '(' [expr_list] ')'
static struct mr_ast_expr *parse_row(struct mr_parser *p)
{
	int pos = mr_pos(p);
	struct mr_ast_exprs list = {0};

	mr_parse_eat(p);
	mr_expect_char(p, '(');
	if (!mr_is_char(p, ')'))
		list = mr_parse_exprs(p);
	mr_expect_char(p, ')');
	return mr_new_list(p, MR_AST_ROW, pos, list);
}

static struct mr_ast_expr *parse_constant(struct mr_parser *p)
{
	struct mr_token t = *mr_cur(p);
	enum mr_ast_expr_kind kind = MR_AST_NULL;
	struct mr_ast_expr *e;

	mr_parse_eat(p);
	switch (t.kind) {
	case MR_TOK_INT: kind = MR_AST_INT; break;
	case MR_TOK_NUMBER: kind = MR_AST_NUMBER; break;
	case MR_TOK_STRING: kind = MR_AST_STRING; break;
	default: kind = t.keyword == MR_KW_NULL ? MR_AST_NULL : MR_AST_BOOL; break;
	}
	e = mr_new_expr(p, kind, t.pos);
	e->literal.text = t.text;
	e->literal.integer = t.kind == MR_TOK_INT ? t.integer : 0;
	e->literal.boolean = t.keyword == MR_KW_TRUE;
	return e;
}

// PARAM opt_indirection
static struct mr_ast_expr *parse_param(struct mr_parser *p)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_PARAM, mr_pos(p));

	e->param = (int32_t)mr_cur(p)->integer;
	p->params = MR_MAX(p->params, e->param);
	mr_parse_eat(p);
	return parse_indirection(p, e);
}

// c_expr that begins with a word
static struct mr_ast_expr *parse_word(struct mr_parser *p)
{
	struct mr_ast_expr *e;

	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_CASE: return parse_case(p);
	case MR_KW_NULL:
	case MR_KW_TRUE:
	case MR_KW_FALSE: return parse_constant(p);
	case MR_KW_ARRAY: return parse_array_or_exists(p);
	case MR_KW_EXISTS:
		if (mr_is_char_at(p, 1, '('))
			return parse_array_or_exists(p);
		break;
	case MR_KW_ROW:
		if (mr_is_char_at(p, 1, '('))
			return parse_row(p);
		break;
	case MR_KW_DEFAULT:
		e = mr_new_expr(p, MR_AST_DEFAULT, mr_pos(p));
		mr_parse_eat(p);
		return e;
	default: break;
	}
	if (mr_is_literal_type(p))
		return mr_parse_typed_literal(p);
	e = mr_parse_special(p);
	return e ? e : parse_name(p);
}

struct mr_ast_expr *mr_parse_c_expr(struct mr_parser *p)
{
	switch ((enum mr_token_kind)mr_cur(p)->kind) {
	case MR_TOK_INT:
	case MR_TOK_NUMBER:
	case MR_TOK_STRING: return parse_constant(p);
	case MR_TOK_PARAM: return parse_param(p);
	case MR_TOK_WORD: return parse_word(p);
	case MR_TOK_QUOTED: return parse_name(p);
	default: break;
	}
	if (mr_is_char(p, '('))
		return parse_parens(p);
	mr_parse_syntax(p);
	return mr_new_expr(p, MR_AST_NULL, 0);
}

// '(' expr_list ')' whose first expression begins with a query, or a query in parentheses
struct mr_ast_exprs mr_parse_in_query(struct mr_parser *p, const struct mr_ast_select **query)
{
	struct mr_list list = {0};
	const struct mr_ast_expr *first;

	mr_expect_char(p, '(');
	first = parse_query_inside(p, query);
	if (!*query) {
		mr_list_expr(p, &list, first);
		while (mr_accept_char(p, ','))
			mr_list_expr(p, &list, mr_parse_expr(p));
	}
	mr_expect_char(p, ')');
	return mr_list_exprs(list);
}
