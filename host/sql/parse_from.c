// The FROM clause: relations, functions, subqueries and joins.
#include "host/sql/parse_int.h"

#include <errno.h>

// ---- Aliases ----

// TableFuncElement: ColId Typename
static struct mr_ast_column_defs parse_column_defs(struct mr_parser *p)
{
	struct mr_list list = {0};

	do {
		struct mr_ast_column_def d = {.pos = mr_pos(p)};
		struct mr_ast_column_def *item;

		d.name = mr_parse_col_id(p);
		d.type = mr_parse_type(p);
		if (mr_is_kw(p, MR_KW_COLLATE))
			mr_parse_unsupported(p, "COLLATE in a column definition is");
		item = mr_list_add(p, &list, sizeof(d));
		*item = d;
	} while (mr_accept_char(p, ','));
	return (struct mr_ast_column_defs){list.items, list.count};
}

// A list of names is a list of column definitions if a type follows the first one.
static void parse_alias_list(struct mr_parser *p, struct mr_ast_from *f)
{
	mr_expect_char(p, '(');
	if (f->kind == MR_AST_FROM_FUNCTION && !mr_is_char_at(p, 1, ',') &&
		!mr_is_char_at(p, 1, ')'))
		f->column_defs = parse_column_defs(p);
	else
		f->alias_columns = mr_parse_idents(p);
	mr_expect_char(p, ')');
}

// alias_clause: [AS] ColId ['(' name_list ')']
// func_alias_clause: alias_clause | [AS] ColId '(' column definitions ')' | AS '(' … ')'
static void parse_alias(struct mr_parser *p, struct mr_ast_from *f)
{
	bool as = mr_accept_kw(p, MR_KW_AS);

	f->alias_pos = mr_pos(p);
	if (as && f->kind == MR_AST_FROM_FUNCTION && mr_accept_char(p, '(')) {
		f->column_defs = parse_column_defs(p);
		mr_expect_char(p, ')');
		return;
	}
	if (!as && (!mr_is_col_id(p, 0) || mr_is_emit(p)))
		return;
	f->alias = mr_parse_col_id(p);
	if (mr_is_char(p, '('))
		parse_alias_list(p, f);
}

// ---- Primaries ----

static struct mr_ast_from *new_from(struct mr_parser *p, enum mr_ast_from_kind kind, int pos)
{
	struct mr_ast_from *f = mr_parse_new(p, sizeof(*f));

	f->kind = (uint8_t)kind;
	f->pos = pos;
	return f;
}

static struct mr_ast_from *new_subquery(
	struct mr_parser *p, const struct mr_ast_select *query, int pos)
{
	struct mr_ast_from *f = new_from(p, MR_AST_FROM_SUBQUERY, pos);

	f->query = query;
	mr_raise(p, &f->height, query->height);
	return f;
}

static struct mr_ast_from *finish_subquery(
	struct mr_parser *p, const struct mr_ast_select *query, int pos)
{
	struct mr_ast_from *f = new_subquery(p, query, pos);

	parse_alias(p, f);
	if (!p->failed && !f->alias) {
		bool values = query->kind == MR_AST_VALUES;

		mr_parse_fail(p, -EINVAL, "42601", pos, "%s in FROM must have an alias",
			values ? "VALUES" : "subquery");
		mr_diag_hint(p->diag, "For example, FROM (%s ...) [AS] foo.",
			values ? "VALUES" : "SELECT");
	}
	return f;
}

static bool is_value_function(struct mr_parser *p)
{
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_CURRENT_DATE:
	case MR_KW_CURRENT_ROLE:
	case MR_KW_CURRENT_USER:
	case MR_KW_SESSION_USER:
	case MR_KW_USER:
	case MR_KW_CURRENT_CATALOG:
	case MR_KW_CURRENT_TIME:
	case MR_KW_CURRENT_TIMESTAMP:
	case MR_KW_LOCALTIME:
	case MR_KW_LOCALTIMESTAMP:
	case MR_KW_CAST: return true;
	case MR_KW_CURRENT_SCHEMA: return !mr_is_char_at(p, 1, '(');
	default: return false;
	}
}

// func_expr_windowless: func_application | func_expr_common_subexpr
static const struct mr_ast_expr *parse_function(struct mr_parser *p)
{
	bool grouping = mr_is_kw(p, MR_KW_GROUPING); // no function here
	struct mr_ast_expr *e = grouping ? NULL : mr_parse_special(p);
	const char *schema = NULL;
	const char *name;
	int pos = mr_pos(p);

	if (e)
		return e;
	if (!mr_is_col_id(p, 0) || !mr_is_char_at(p, 1, '.')) {
		name = mr_parse_type_func_name(p);
	} else {
		schema = mr_parse_col_id(p);
		mr_expect_char(p, '.');
		name = mr_parse_col_label(p);
	}
	return mr_parse_call(p, schema, name, pos, true);
}

// func_table: func_expr_windowless [WITH ORDINALITY]
// | ROWS FROM '(' func_expr_windowless {',' …} ')' [WITH ORDINALITY]
static struct mr_ast_from *parse_func_table(struct mr_parser *p)
{
	struct mr_ast_from *f = new_from(p, MR_AST_FROM_FUNCTION, mr_pos(p));
	struct mr_list list = {0};

	if (mr_accept_kws(p, MR_KW_ROWS, MR_KW_FROM)) {
		f->rows_from = true;
		mr_expect_char(p, '(');
		do
			mr_list_expr(p, &list, parse_function(p));
		while (mr_accept_char(p, ','));
		mr_expect_char(p, ')');
	} else {
		mr_list_expr(p, &list, parse_function(p));
	}
	if (p->failed)
		return f;
	f->functions = mr_list_exprs(list);
	mr_raise_exprs(p, &f->height, f->functions);
	f->with_ordinality = mr_accept_kws(p, MR_KW_WITH, MR_KW_ORDINALITY);
	parse_alias(p, f);
	return f;
}

// relation_expr: qualified_name ['*'] | ONLY qualified_name | ONLY '(' qualified_name ')'
static struct mr_ast_from *parse_relation(struct mr_parser *p)
{
	struct mr_ast_from *f = new_from(p, MR_AST_FROM_RELATION, mr_pos(p));
	bool parens;

	f->only = mr_accept_kw(p, MR_KW_ONLY);
	parens = f->only && mr_accept_char(p, '(');
	f->name = mr_parse_qualified_name(p);
	if (parens)
		mr_expect_char(p, ')');
	if (!f->only)
		mr_accept_op(p, "*");
	parse_alias(p, f);
	if (mr_is_kw(p, MR_KW_TABLESAMPLE))
		mr_parse_unsupported(p, "TABLESAMPLE is");
	return f;
}

// Whether a function call stands here: a name of at most three parts and '('.
static bool is_func_table(struct mr_parser *p)
{
	uint32_t i = 1;

	if (is_value_function(p))
		return true;
	if (mr_is_kw(p, MR_KW_ROWS) && mr_is_kw_at(p, 1, MR_KW_FROM))
		return true;
	if (!mr_is_col_label(p, 0))
		return false;
	while (i <= 4 && mr_is_char_at(p, i, '.') && mr_is_col_label(p, i + 1))
		i += 2;
	return mr_is_char_at(p, i, '(');
}

// ---- Joins ----

static bool is_join(struct mr_parser *p)
{
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_JOIN:
	case MR_KW_CROSS:
	case MR_KW_NATURAL:
	case MR_KW_INNER:
	case MR_KW_LEFT:
	case MR_KW_RIGHT:
	case MR_KW_FULL: return true;
	default: return false;
	}
}

static struct mr_ast_from *parse_from_primary(struct mr_parser *p);
static struct mr_ast_from *parse_joins(struct mr_parser *p, struct mr_ast_from *left);

// join_type: [INNER] | (LEFT | RIGHT | FULL) [OUTER]
static enum mr_ast_join parse_join_type(struct mr_parser *p)
{
	enum mr_ast_join kind = MR_AST_JOIN_INNER;

	if (mr_accept_kw(p, MR_KW_INNER))
		return kind;
	if (mr_accept_kw(p, MR_KW_LEFT))
		kind = MR_AST_JOIN_LEFT;
	else if (mr_accept_kw(p, MR_KW_RIGHT))
		kind = MR_AST_JOIN_RIGHT;
	else if (mr_accept_kw(p, MR_KW_FULL))
		kind = MR_AST_JOIN_FULL;
	if (kind != MR_AST_JOIN_INNER)
		mr_accept_kw(p, MR_KW_OUTER);
	return kind;
}

// join_qual: USING '(' name_list ')' [AS ColId] | ON a_expr
static void parse_join_qual(struct mr_parser *p, struct mr_ast_from *j)
{
	if (mr_accept_kw(p, MR_KW_USING)) {
		mr_expect_char(p, '(');
		j->join.using = mr_parse_idents(p);
		mr_expect_char(p, ')');
		if (mr_accept_kw(p, MR_KW_AS))
			j->join.using_alias = mr_parse_col_id(p);
		return;
	}
	mr_expect_kw(p, MR_KW_ON);
	j->join.on = mr_parse_expr(p);
	mr_raise(p, &j->height, j->join.on->height);
}

// joined_table: table_ref CROSS JOIN table_ref | table_ref NATURAL [join_type] JOIN table_ref
// | table_ref [join_type] JOIN table_ref join_qual
static struct mr_ast_from *parse_join(struct mr_parser *p, struct mr_ast_from *left)
{
	struct mr_ast_from *j = new_from(p, MR_AST_FROM_JOIN, mr_pos(p));
	bool cross = mr_accept_kw(p, MR_KW_CROSS);
	struct mr_ast_from *right;

	j->join.natural = !cross && mr_accept_kw(p, MR_KW_NATURAL);
	j->join.kind = (uint8_t)(cross ? MR_AST_JOIN_CROSS : parse_join_type(p));
	mr_expect_kw(p, MR_KW_JOIN);
	right = parse_from_primary(p);
	// a JOIN b JOIN c ON … ON …: the right side of the first join is the second one.
	if (!cross && !j->join.natural && is_join(p) && mr_parse_enter(p)) {
		right = parse_joins(p, right);
		mr_parse_leave(p);
	}
	j->join.left = left;
	j->join.right = right;
	mr_raise(p, &j->height, left->height);
	mr_raise(p, &j->height, right->height);
	if (!cross && !j->join.natural)
		parse_join_qual(p, j);
	return j;
}

static struct mr_ast_from *parse_joins(struct mr_parser *p, struct mr_ast_from *left)
{
	while (is_join(p))
		left = parse_join(p, left);
	return left;
}

// ---- Parentheses ----

// What stands in parentheses: a query (then *query is set) or a joined table. One that begins with
// a query in parentheses shows what it is by what follows that query.
static struct mr_ast_from *parse_inside(struct mr_parser *p, const struct mr_ast_select **query)
{
	const struct mr_ast_select *inner = NULL;
	struct mr_ast_from *f = NULL;
	int pos = mr_pos(p);

	*query = NULL;
	if (mr_is_query(p) && !mr_is_char(p, '(')) {
		*query = mr_parse_select(p);
		return NULL;
	}
	if (mr_is_query(p)) {
		mr_parse_eat(p);
		if (mr_parse_enter(p))
			f = parse_inside(p, &inner);
		mr_parse_leave(p);
		mr_expect_char(p, ')');
	}
	if (inner && (mr_is_char(p, ')') || mr_is_select_rest(p))) {
		*query = mr_parse_select_rest(p, inner);
		return NULL;
	}
	if (inner)
		f = finish_subquery(p, inner, pos);
	else if (f)
		parse_alias(p, f);
	else
		f = parse_from_primary(p);
	if (!is_join(p) && (inner || f->kind != MR_AST_FROM_JOIN || f->alias))
		mr_parse_syntax(p); // '(' relation ')' is no table_ref
	return parse_joins(p, f);
}

// select_with_parens alias_clause | '(' joined_table ')' [alias_clause]
static struct mr_ast_from *parse_from_parens(struct mr_parser *p)
{
	const struct mr_ast_select *query = NULL;
	struct mr_ast_from *f = NULL;
	int pos = mr_pos(p);

	mr_expect_char(p, '(');
	if (mr_parse_enter(p))
		f = parse_inside(p, &query);
	mr_parse_leave(p);
	mr_expect_char(p, ')');
	if (p->failed)
		return new_from(p, MR_AST_FROM_JOIN, pos);
	if (query)
		return finish_subquery(p, query, pos);
	parse_alias(p, f);
	return f;
}

static struct mr_ast_from *parse_from_primary(struct mr_parser *p)
{
	struct mr_ast_from *f;
	bool lateral = mr_accept_kw(p, MR_KW_LATERAL);
	int pos = mr_pos(p);

	if (lateral && mr_is_char(p, '('))
		f = finish_subquery(p, mr_parse_select_parens(p), pos);
	else if (lateral || is_func_table(p))
		f = parse_func_table(p);
	else if (mr_is_char(p, '('))
		f = parse_from_parens(p);
	else
		f = parse_relation(p);
	f->lateral = lateral;
	return f;
}

// table_ref: relation_expr | func_table | select_with_parens | joined_table, with aliases
const struct mr_ast_from *mr_parse_table_ref(struct mr_parser *p)
{
	return parse_joins(p, parse_from_primary(p));
}

// from_list: table_ref {',' table_ref}
const struct mr_ast_from *const *mr_parse_from_list(struct mr_parser *p, uint32_t *count)
{
	struct mr_list list = {0};

	do {
		const struct mr_ast_from *f = mr_parse_table_ref(p);
		const struct mr_ast_from **item = mr_list_add(p, &list, sizeof(f));

		*item = f;
	} while (mr_accept_char(p, ','));
	*count = list.count;
	return list.items;
}
