// Queries: SELECT, VALUES, TABLE, set operations, WITH, ORDER BY, LIMIT.
#include "host/sql/parse_int.h"

#include <errno.h>

// Whether a query starts here, behind any number of opening parentheses.
bool mr_is_query(struct mr_parser *p)
{
	uint32_t i = 0;

	while (i < MR_SQL_DEPTH_MAX && mr_is_char_at(p, i, '('))
		i++;
	return mr_is_kw_at(p, i, MR_KW_SELECT) || mr_is_kw_at(p, i, MR_KW_VALUES) ||
	       mr_is_kw_at(p, i, MR_KW_WITH) || mr_is_kw_at(p, i, MR_KW_TABLE);
}

static bool is_set_operator(struct mr_parser *p)
{
	return mr_is_kw(p, MR_KW_UNION) || mr_is_kw(p, MR_KW_INTERSECT) ||
	       mr_is_kw(p, MR_KW_EXCEPT);
}

bool mr_is_select_rest(struct mr_parser *p)
{
	return is_set_operator(p) || mr_is_kw(p, MR_KW_ORDER) || mr_is_kw(p, MR_KW_LIMIT) ||
	       mr_is_kw(p, MR_KW_OFFSET) || mr_is_kw(p, MR_KW_FETCH) || mr_is_kw(p, MR_KW_FOR);
}

// ---- ORDER BY ----

// sortby: a_expr [ASC | DESC | USING qual_all_Op] [NULLS (FIRST | LAST)]
static struct mr_ast_sort parse_sort(struct mr_parser *p)
{
	struct mr_ast_sort s = {.expr = mr_parse_expr(p)};
	const char *schema;

	if (mr_accept_kw(p, MR_KW_USING))
		s.using_op = mr_parse_qual_op(p, &schema);
	else if (mr_accept_kw(p, MR_KW_DESC))
		s.desc = true;
	else
		mr_accept_kw(p, MR_KW_ASC);
	if (mr_accept_kws(p, MR_KW_NULLS, MR_KW_FIRST))
		s.nulls = MR_AST_NULLS_FIRST;
	else if (mr_accept_kws(p, MR_KW_NULLS, MR_KW_LAST))
		s.nulls = MR_AST_NULLS_LAST;
	return s;
}

// sort_clause: ORDER BY sortby {',' sortby}
struct mr_ast_sorts mr_parse_order_by(struct mr_parser *p)
{
	struct mr_list list = {0};

	mr_expect_kw(p, MR_KW_BY);
	do {
		struct mr_ast_sort s = parse_sort(p);
		struct mr_ast_sort *item = mr_list_add(p, &list, sizeof(s));

		*item = s;
	} while (mr_accept_char(p, ','));
	return (struct mr_ast_sorts){list.items, list.count};
}

// ---- The parts of SELECT ----

// BareColLabel: IDENT | any key word marked so
static bool is_bare_label(struct mr_parser *p)
{
	const struct mr_token *t = mr_cur(p);

	if (t->kind == MR_TOK_QUOTED)
		return true;
	if (t->kind != MR_TOK_WORD)
		return false;
	return mr_keywords[t->keyword].bare_label;
}

// EMIT ON UPDATE | EMIT ON WINDOW CLOSE ends the query of a materialized view.
bool mr_is_emit(struct mr_parser *p)
{
	return p->emit_stops && mr_is_word_at(p, 0, "emit") && mr_is_kw_at(p, 1, MR_KW_ON) &&
	       (mr_is_kw_at(p, 2, MR_KW_UPDATE) || mr_is_kw_at(p, 2, MR_KW_WINDOW));
}

// target_el: a_expr [[AS] label] | '*'
static struct mr_ast_target parse_target(struct mr_parser *p)
{
	struct mr_ast_target t = {.pos = mr_pos(p)};
	struct mr_ast_expr *star;

	if (mr_accept_op(p, "*")) {
		star = mr_new_expr(p, MR_AST_COLUMN, t.pos);
		star->column.star = true;
		t.expr = star;
		return t;
	}
	t.expr = mr_parse_expr(p);
	if (mr_accept_kw(p, MR_KW_AS))
		t.alias = mr_parse_col_label(p);
	else if (is_bare_label(p) && !mr_is_emit(p))
		t.alias = mr_parse_col_label(p);
	return t;
}

// target_list: target_el {',' target_el}
struct mr_ast_targets mr_parse_targets(struct mr_parser *p)
{
	struct mr_list list = {0};

	do {
		struct mr_ast_target t = parse_target(p);
		struct mr_ast_target *item = mr_list_add(p, &list, sizeof(t));

		*item = t;
	} while (mr_accept_char(p, ','));
	return (struct mr_ast_targets){list.items, list.count};
}

// opt_target_list may be empty: SELECT FROM t
static bool is_target_list_end(struct mr_parser *p)
{
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_FROM:
	case MR_KW_INTO:
	case MR_KW_WHERE:
	case MR_KW_GROUP:
	case MR_KW_HAVING:
	case MR_KW_WINDOW: return true;
	default: break;
	}
	return mr_is_tok(p, MR_TOK_END) || mr_is_char(p, ';') || mr_is_char(p, ')') ||
	       mr_is_select_rest(p);
}

// SELECT [ALL | DISTINCT [ON '(' expr_list ')']] [target_list]
static void parse_select_list(struct mr_parser *p, struct mr_ast_select *s)
{
	s->distinct = mr_accept_kw(p, MR_KW_DISTINCT);
	if (s->distinct && mr_accept_kw(p, MR_KW_ON)) {
		mr_expect_char(p, '(');
		s->distinct_on = mr_parse_exprs(p);
		mr_expect_char(p, ')');
	}
	if (!s->distinct)
		mr_accept_kw(p, MR_KW_ALL);
	if (s->distinct || !is_target_list_end(p))
		s->targets = mr_parse_targets(p);
	if (mr_is_kw(p, MR_KW_INTO))
		mr_parse_unsupported(p, "SELECT INTO is");
}

static struct mr_ast_exprs parse_group_list(struct mr_parser *p);

static struct mr_ast_expr *new_grouping(
	struct mr_parser *p, enum mr_ast_grouping kind, struct mr_ast_exprs list, int pos)
{
	struct mr_ast_expr *e = mr_new_expr(p, MR_AST_GROUPING_SETS, pos);

	e->grouping.kind = (uint8_t)kind;
	e->grouping.list = mr_kids(p, e, list);
	return e;
}

// group_by_item: a_expr | '(' ')' | (ROLLUP | CUBE) '(' expr_list ')'
// | GROUPING SETS '(' group_by_list ')'
static const struct mr_ast_expr *parse_group_item(struct mr_parser *p)
{
	int pos = mr_pos(p);
	bool rollup = mr_is_kw(p, MR_KW_ROLLUP);
	struct mr_ast_exprs list = {0};

	if (mr_is_char(p, '(') && mr_is_char_at(p, 1, ')')) {
		mr_parse_eat(p);
		mr_parse_eat(p);
		return new_grouping(p, MR_AST_GROUPING_EMPTY, list, pos);
	}
	if ((rollup || mr_is_kw(p, MR_KW_CUBE)) && mr_is_char_at(p, 1, '(')) {
		mr_parse_eat(p);
		mr_parse_eat(p);
		list = mr_parse_exprs(p);
		mr_expect_char(p, ')');
		return new_grouping(
			p, rollup ? MR_AST_GROUPING_ROLLUP : MR_AST_GROUPING_CUBE, list, pos);
	}
	if (!mr_accept_kws(p, MR_KW_GROUPING, MR_KW_SETS))
		return mr_parse_expr(p);
	mr_expect_char(p, '(');
	if (mr_parse_enter(p))
		list = parse_group_list(p);
	mr_parse_leave(p);
	mr_expect_char(p, ')');
	return new_grouping(p, MR_AST_GROUPING_SETS_LIST, list, pos);
}

static struct mr_ast_exprs parse_group_list(struct mr_parser *p)
{
	struct mr_list list = {0};

	do
		mr_list_expr(p, &list, parse_group_item(p));
	while (mr_accept_char(p, ','));
	return mr_list_exprs(list);
}

// window_clause: WINDOW ColId AS window_specification {',' …}
static void parse_windows(struct mr_parser *p, struct mr_ast_select *s)
{
	struct mr_list list = {0};

	do {
		int pos = mr_pos(p);
		const char *name = mr_parse_col_id(p);
		struct mr_ast_window *w;
		struct mr_ast_window *item;

		mr_expect_kw(p, MR_KW_AS);
		w = mr_parse_window_spec(p);
		item = mr_list_add(p, &list, sizeof(*w));
		*item = *w;
		item->name = name;
		item->pos = pos;
	} while (mr_accept_char(p, ','));
	s->windows = list.items;
	s->windows_count = list.count;
}

// [FROM from_list] [WHERE a_expr] [GROUP BY [ALL | DISTINCT] group_by_list] [HAVING a_expr]
// [WINDOW …]
static void parse_select_clauses(struct mr_parser *p, struct mr_ast_select *s)
{
	if (mr_accept_kw(p, MR_KW_FROM))
		s->from = mr_parse_from_list(p, &s->from_count);
	if (mr_accept_kw(p, MR_KW_WHERE))
		s->where = mr_parse_expr(p);
	if (mr_accept_kw(p, MR_KW_GROUP)) {
		mr_expect_kw(p, MR_KW_BY);
		s->group_distinct = mr_accept_kw(p, MR_KW_DISTINCT);
		if (!s->group_distinct)
			mr_accept_kw(p, MR_KW_ALL);
		s->group_by = parse_group_list(p);
	}
	if (mr_accept_kw(p, MR_KW_HAVING))
		s->having = mr_parse_expr(p);
	if (mr_accept_kw(p, MR_KW_WINDOW))
		parse_windows(p, s);
}

static void raise_expr(struct mr_parser *p, struct mr_ast_select *s, const struct mr_ast_expr *e)
{
	if (e)
		mr_raise(p, &s->height, e->height);
}

// Notes the heights of all parts of a simple SELECT.
static void raise_select(struct mr_parser *p, struct mr_ast_select *s)
{
	if (p->failed)
		return;
	mr_raise_exprs(p, &s->height, s->distinct_on);
	for (uint32_t i = 0; i < s->targets.count && !p->failed; i++)
		raise_expr(p, s, s->targets.items[i].expr);
	for (uint32_t i = 0; i < s->from_count && !p->failed; i++)
		mr_raise(p, &s->height, s->from[i]->height);
	raise_expr(p, s, s->where);
	mr_raise_exprs(p, &s->height, s->group_by);
	raise_expr(p, s, s->having);
	for (uint32_t i = 0; i < s->windows_count && !p->failed; i++)
		mr_raise_window(p, &s->height, &s->windows[i]);
}

// ---- Simple queries ----

static struct mr_ast_select *new_select(
	struct mr_parser *p, enum mr_ast_select_kind kind, const struct mr_ast_select *from)
{
	struct mr_ast_select *s = mr_parse_new(p, sizeof(*s));

	*s = *from;
	s->kind = (uint8_t)kind;
	return s;
}

// SELECT …
static struct mr_ast_select *parse_simple_select(struct mr_parser *p)
{
	struct mr_ast_select s = {.pos = mr_pos(p)};
	struct mr_ast_select *out;

	mr_parse_eat(p);
	parse_select_list(p, &s);
	parse_select_clauses(p, &s);
	out = new_select(p, MR_AST_SELECT, &s);
	raise_select(p, out);
	return out;
}

// values_clause: VALUES '(' expr_list ')' {',' '(' expr_list ')'}
static struct mr_ast_select *parse_values(struct mr_parser *p)
{
	struct mr_ast_select s = {.pos = mr_pos(p)};
	struct mr_list rows = {0};

	mr_parse_eat(p);
	do {
		struct mr_ast_exprs row;
		struct mr_ast_exprs *item;

		mr_expect_char(p, '(');
		row = mr_parse_exprs(p);
		mr_expect_char(p, ')');
		mr_raise_exprs(p, &s.height, row);
		item = mr_list_add(p, &rows, sizeof(row));
		*item = row;
	} while (mr_accept_char(p, ','));
	s.rows = rows.items;
	s.rows_count = rows.count;
	return new_select(p, MR_AST_VALUES, &s);
}

// TABLE relation_expr: SELECT * FROM relation
static struct mr_ast_select *parse_table(struct mr_parser *p)
{
	struct mr_ast_select s = {.pos = mr_pos(p)};
	struct mr_ast_from *from = mr_parse_new(p, sizeof(*from));
	struct mr_ast_expr *star;
	struct mr_list targets = {0};
	struct mr_list list = {0};
	struct mr_ast_target *target;
	const struct mr_ast_from **item;

	mr_parse_eat(p);
	star = mr_new_expr(p, MR_AST_COLUMN, s.pos);
	star->column.star = true;
	target = mr_list_add(p, &targets, sizeof(*target));
	*target = (struct mr_ast_target){.expr = star, .pos = s.pos};
	item = mr_list_add(p, &list, sizeof(from));
	*item = from;
	from->kind = MR_AST_FROM_RELATION;
	from->pos = mr_pos(p);
	from->only = mr_accept_kw(p, MR_KW_ONLY);
	from->name = mr_parse_qualified_name(p);
	if (!from->only)
		mr_accept_op(p, "*");
	s.targets = (struct mr_ast_targets){targets.items, targets.count};
	s.from = list.items;
	s.from_count = list.count;
	return new_select(p, MR_AST_SELECT, &s);
}

static struct mr_ast_select *parse_simple(struct mr_parser *p)
{
	if (mr_is_kw(p, MR_KW_SELECT))
		return parse_simple_select(p);
	if (mr_is_kw(p, MR_KW_VALUES))
		return parse_values(p);
	if (mr_is_kw(p, MR_KW_TABLE))
		return parse_table(p);
	if (mr_is_char(p, '('))
		return (struct mr_ast_select *)mr_parse_select_parens(p);
	mr_parse_syntax(p);
	return mr_parse_new(p, sizeof(struct mr_ast_select));
}

// ---- Set operations ----

enum set_strength { SET_LOWEST, SET_UNION, SET_INTERSECT };

static struct mr_ast_select *parse_set_from(
	struct mr_parser *p, struct mr_ast_select *left, enum set_strength limit);

// select_clause (UNION | INTERSECT | EXCEPT) [ALL | DISTINCT] select_clause; INTERSECT is stronger,
// all associate to the left
static struct mr_ast_select *parse_set_operator(struct mr_parser *p, struct mr_ast_select *left)
{
	struct mr_ast_select s = {.pos = mr_pos(p), .left = left};
	enum set_strength strength = SET_UNION;
	enum mr_ast_select_kind kind = MR_AST_UNION;

	if (mr_is_kw(p, MR_KW_INTERSECT)) {
		strength = SET_INTERSECT;
		kind = MR_AST_INTERSECT;
	} else if (mr_is_kw(p, MR_KW_EXCEPT)) {
		kind = MR_AST_EXCEPT;
	}
	mr_parse_eat(p);
	s.all = mr_accept_kw(p, MR_KW_ALL);
	if (!s.all)
		mr_accept_kw(p, MR_KW_DISTINCT);
	s.right = parse_set_from(p, parse_simple(p), strength);
	mr_raise(p, &s.height, s.left->height);
	mr_raise(p, &s.height, s.right->height);
	return new_select(p, kind, &s);
}

static struct mr_ast_select *parse_set_from(
	struct mr_parser *p, struct mr_ast_select *left, enum set_strength limit)
{
	while (is_set_operator(p)) {
		bool intersect = mr_is_kw(p, MR_KW_INTERSECT);

		if ((intersect ? SET_INTERSECT : SET_UNION) <= limit)
			break;
		left = parse_set_operator(p, left);
	}
	return left;
}

// ---- LIMIT ----

static void once(struct mr_parser *p, bool twice, const char *what, int pos)
{
	if (twice)
		mr_parse_fail(p, -EINVAL, "42601", pos, "multiple %s clauses not allowed", what);
}

// limit_clause: LIMIT (a_expr | ALL)
static void parse_limit(struct mr_parser *p, struct mr_ast_select *s)
{
	int pos = mr_pos(p);

	mr_parse_eat(p);
	once(p, s->limit, "LIMIT", mr_pos(p));
	if (mr_accept_kw(p, MR_KW_ALL))
		return;
	s->limit = mr_parse_expr(p);
	raise_expr(p, s, s->limit);
	if (mr_is_char(p, ',')) {
		mr_parse_fail(p, -EINVAL, "42601", pos, "LIMIT #,# syntax is not supported");
		mr_diag_hint(p->diag, "Use separate LIMIT and OFFSET clauses.");
	}
}

// FETCH (FIRST | NEXT) [c_expr | sign number] (ROW | ROWS) (ONLY | WITH TIES)
static void parse_fetch_first(struct mr_parser *p, struct mr_ast_select *s)
{
	int pos = mr_pos(p);

	mr_parse_eat(p);
	if (!mr_accept_kw(p, MR_KW_FIRST))
		mr_expect_kw(p, MR_KW_NEXT);
	once(p, s->limit, "LIMIT", mr_pos(p));
	if (mr_is_kw(p, MR_KW_ROW) || mr_is_kw(p, MR_KW_ROWS))
		s->limit = mr_new_int(p, 1, pos);
	else if (mr_is_tok(p, MR_TOK_OP))
		s->limit = mr_parse_b_expr(p);
	else
		s->limit = mr_parse_c_expr(p);
	raise_expr(p, s, s->limit);
	if (!mr_accept_kw(p, MR_KW_ROW))
		mr_expect_kw(p, MR_KW_ROWS);
	if (mr_accept_kw(p, MR_KW_ONLY))
		return;
	mr_expect_kw(p, MR_KW_WITH);
	mr_expect_kw(p, MR_KW_TIES);
	s->limit_with_ties = true;
}

// offset_clause: OFFSET a_expr | OFFSET c_expr (ROW | ROWS)
static void parse_offset(struct mr_parser *p, struct mr_ast_select *s)
{
	mr_parse_eat(p);
	once(p, s->offset, "OFFSET", mr_pos(p));
	s->offset = mr_parse_expr(p);
	raise_expr(p, s, s->offset);
	if (!mr_accept_kw(p, MR_KW_ROW))
		mr_accept_kw(p, MR_KW_ROWS);
}

// select_limit: limit_clause and offset_clause, each at most once, in either order
static void parse_limits(struct mr_parser *p, struct mr_ast_select *s)
{
	bool limited = false;
	bool moved = false;

	for (;;) {
		bool limit = mr_is_kw(p, MR_KW_LIMIT);

		if (!moved && mr_is_kw(p, MR_KW_OFFSET)) {
			parse_offset(p, s);
			moved = true;
		} else if (!limited && (limit || mr_is_kw(p, MR_KW_FETCH))) {
			(limit ? parse_limit : parse_fetch_first)(p, s);
			limited = true;
		} else {
			return;
		}
	}
}

// [sort_clause] [select_limit] [for_locking_clause]
static void parse_select_tail(struct mr_parser *p, struct mr_ast_select *s)
{
	if (mr_accept_kw(p, MR_KW_ORDER)) {
		struct mr_ast_sorts sorts = mr_parse_order_by(p);

		if (!p->failed)
			once(p, s->order_by.count, "ORDER BY", sorts.items[0].expr->pos);
		s->order_by = sorts;
		mr_raise_sorts(p, &s->height, s->order_by);
	}
	parse_limits(p, s);
	if (s->limit_with_ties && s->order_by.count == 0)
		mr_parse_fail(p, -EINVAL, "42601", 0,
			"WITH TIES cannot be specified without ORDER BY clause");
	if (mr_accept_kws(p, MR_KW_FOR, MR_KW_READ))
		mr_expect_kw(p, MR_KW_ONLY);
	else if (mr_is_kw(p, MR_KW_FOR))
		mr_parse_unsupported(p, "row locking (FOR UPDATE, FOR SHARE) is");
}

// ---- WITH ----

// common_table_expr: name ['(' name_list ')'] AS [[NOT] MATERIALIZED] '(' PreparableStmt ')'
static struct mr_ast_cte parse_cte(struct mr_parser *p)
{
	struct mr_ast_cte c = {.pos = mr_pos(p)};

	c.name = mr_parse_col_id(p);
	c.columns = mr_parse_opt_idents(p);
	mr_expect_kw(p, MR_KW_AS);
	if (mr_accept_kws(p, MR_KW_NOT, MR_KW_MATERIALIZED))
		c.materialized = MR_AST_NOT_MATERIALIZED;
	else if (mr_accept_kw(p, MR_KW_MATERIALIZED))
		c.materialized = MR_AST_MATERIALIZED;
	mr_expect_char(p, '(');
	c.stmt = mr_parse_preparable(p);
	mr_expect_char(p, ')');
	if (mr_is_kw(p, MR_KW_SEARCH) || mr_is_kw(p, MR_KW_CYCLE))
		mr_parse_unsupported(p, "SEARCH and CYCLE are");
	return c;
}

// with_clause: WITH [RECURSIVE] common_table_expr {',' …}
const struct mr_ast_with *mr_parse_with(struct mr_parser *p)
{
	struct mr_ast_with *with = mr_parse_new(p, sizeof(*with));
	struct mr_list list = {0};

	with->pos = mr_pos(p);
	mr_expect_kw(p, MR_KW_WITH);
	with->recursive = mr_accept_kw(p, MR_KW_RECURSIVE);
	do {
		struct mr_ast_cte c = parse_cte(p);
		struct mr_ast_cte *item = mr_list_add(p, &list, sizeof(c));

		*item = c;
	} while (mr_accept_char(p, ','));
	with->items = list.items;
	with->count = list.count;
	return with;
}

// ---- Entry points ----

// WITH belongs to the query behind it, whose own WITH it may not meet.
static void attach_with(
	struct mr_parser *p, struct mr_ast_select *s, const struct mr_ast_with *with)
{
	if (p->failed || !with)
		return;
	once(p, s->with != NULL, "WITH", with->pos);
	s->with = with;
	for (uint32_t i = 0; i < with->count && !p->failed; i++)
		if (with->items[i].stmt->kind == MR_STMT_SELECT)
			mr_raise(p, &s->height, with->items[i].stmt->select->height);
}

// SelectStmt: [with_clause] select_clause [sort_clause] [limits]
static const struct mr_ast_select *parse_select(
	struct mr_parser *p, const struct mr_ast_with *with, struct mr_ast_select *first)
{
	struct mr_ast_select *s = parse_set_from(p, first, SET_LOWEST);

	parse_select_tail(p, s);
	attach_with(p, s, with);
	return s;
}

const struct mr_ast_select *mr_parse_select_rest(
	struct mr_parser *p, const struct mr_ast_select *first)
{
	return parse_select(p, NULL, (struct mr_ast_select *)first);
}

const struct mr_ast_select *mr_parse_select_with(
	struct mr_parser *p, const struct mr_ast_with *with)
{
	const struct mr_ast_select *s = NULL;

	if (mr_parse_enter(p))
		s = parse_select(p, with, parse_simple(p));
	else
		s = mr_parse_new(p, sizeof(*s));
	mr_parse_leave(p);
	return s;
}

const struct mr_ast_select *mr_parse_select(struct mr_parser *p)
{
	return mr_parse_select_with(p, mr_is_kw(p, MR_KW_WITH) ? mr_parse_with(p) : NULL);
}

// select_with_parens: '(' SelectStmt ')'
const struct mr_ast_select *mr_parse_select_parens(struct mr_parser *p)
{
	const struct mr_ast_select *s;

	mr_expect_char(p, '(');
	s = mr_parse_select(p);
	mr_expect_char(p, ')');
	return s;
}
