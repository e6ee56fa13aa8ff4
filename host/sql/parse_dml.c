// INSERT, UPDATE, DELETE, COPY.
#include "host/sql/parse_int.h"

// on_conflict: ON CONFLICT ['(' … ')' | ON CONSTRAINT name] DO (NOTHING | UPDATE SET …): refused
static void refuse_on_conflict(struct mr_parser *p)
{
	if (mr_is_kw(p, MR_KW_ON))
		mr_parse_unsupported(p, "ON CONFLICT is");
}

// returning_clause: [RETURNING target_list]
static struct mr_ast_targets parse_returning(struct mr_parser *p)
{
	if (mr_accept_kw(p, MR_KW_RETURNING))
		return mr_parse_targets(p);
	return (struct mr_ast_targets){0};
}

// InsertStmt: INSERT INTO qualified_name [AS ColId] ['(' columns ')'] (SelectStmt | DEFAULT VALUES)
// [on_conflict] [returning_clause]
const struct mr_ast_stmt *mr_parse_insert(struct mr_parser *p, const struct mr_ast_with *with)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_INSERT, mr_pos(p));

	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_INTO);
	s->insert.with = with;
	s->insert.table = mr_parse_qualified_name(p);
	if (mr_accept_kw(p, MR_KW_AS))
		s->insert.alias = mr_parse_col_id(p);
	if (mr_is_char(p, '(') && !mr_is_query(p))
		s->insert.columns = mr_parse_opt_idents(p);
	if (mr_accept_kw(p, MR_KW_OVERRIDING))
		mr_parse_unsupported(p, "OVERRIDING is");
	if (!mr_accept_kws(p, MR_KW_DEFAULT, MR_KW_VALUES))
		s->insert.query = mr_parse_select(p);
	refuse_on_conflict(p);
	s->insert.returning = parse_returning(p);
	return s;
}

// relation_expr_opt_alias: relation_expr [[AS] ColId]; SET is no alias without AS
static void parse_change_table(struct mr_parser *p, struct mr_ast_stmt *s)
{
	mr_accept_kw(p, MR_KW_ONLY);
	s->change.table = mr_parse_qualified_name(p);
	mr_accept_op(p, "*");
	if (mr_accept_kw(p, MR_KW_AS) || (mr_is_col_id(p, 0) && !mr_is_kw(p, MR_KW_SET)))
		s->change.alias = mr_parse_col_id(p);
}

// where_or_current_clause: WHERE a_expr | WHERE CURRENT OF name
static void parse_change_where(struct mr_parser *p, struct mr_ast_stmt *s)
{
	if (!mr_accept_kw(p, MR_KW_WHERE))
		return;
	if (mr_is_kw(p, MR_KW_CURRENT) && mr_is_kw_at(p, 1, MR_KW_OF))
		mr_parse_unsupported(p, "WHERE CURRENT OF is");
	s->change.where = mr_parse_expr(p);
}

// set_clause: ColId '=' a_expr
static struct mr_ast_target parse_set_clause(struct mr_parser *p)
{
	struct mr_ast_target t = {.pos = mr_pos(p)};

	if (mr_is_char(p, '('))
		mr_parse_unsupported(p, "UPDATE of a column list is");
	t.alias = mr_parse_col_id(p);
	mr_expect_op(p, "=");
	t.expr = mr_parse_expr(p);
	return t;
}

// UpdateStmt: UPDATE relation SET set_clause {',' set_clause} [FROM from_list] [WHERE …]
// [RETURNING …]
const struct mr_ast_stmt *mr_parse_update(struct mr_parser *p, const struct mr_ast_with *with)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_UPDATE, mr_pos(p));
	struct mr_list set = {0};

	mr_parse_eat(p);
	s->change.with = with;
	parse_change_table(p, s);
	mr_expect_kw(p, MR_KW_SET);
	do {
		struct mr_ast_target t = parse_set_clause(p);
		struct mr_ast_target *item = mr_list_add(p, &set, sizeof(t));

		*item = t;
	} while (mr_accept_char(p, ','));
	s->change.set = (struct mr_ast_targets){set.items, set.count};
	if (mr_accept_kw(p, MR_KW_FROM))
		s->change.from = mr_parse_from_list(p, &s->change.from_count);
	parse_change_where(p, s);
	s->change.returning = parse_returning(p);
	return s;
}

// DeleteStmt: DELETE FROM relation [USING from_list] [WHERE …] [RETURNING …]
const struct mr_ast_stmt *mr_parse_delete(struct mr_parser *p, const struct mr_ast_with *with)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_DELETE, mr_pos(p));

	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_FROM);
	s->change.with = with;
	parse_change_table(p, s);
	if (mr_accept_kw(p, MR_KW_USING))
		s->change.from = mr_parse_from_list(p, &s->change.from_count);
	parse_change_where(p, s);
	s->change.returning = parse_returning(p);
	return s;
}

// Old spellings of COPY's options, as they become options: word, and whether a string follows.
static const struct {
	enum mr_keyword keyword;
	const char *name;
	const char *value; // NULL: the string behind [AS]
} copy_words[] = {
	{MR_KW_BINARY, "format", "binary"},
	{MR_KW_CSV, "format", "csv"},
	{MR_KW_FREEZE, "freeze", "true"},
	{MR_KW_HEADER, "header", "true"},
	{MR_KW_DELIMITER, "delimiter", NULL},
	{MR_KW_NULL, "null", NULL},
	{MR_KW_QUOTE, "quote", NULL},
	{MR_KW_ESCAPE, "escape", NULL},
	{MR_KW_ENCODING, "encoding", NULL},
};

static bool parse_copy_word(struct mr_parser *p, struct mr_list *list)
{
	for (size_t i = 0; i < MR_COUNT_OF(copy_words); i++) {
		struct mr_ast_option o = {.pos = mr_pos(p), .name = copy_words[i].name};
		struct mr_ast_option *item;

		if (!mr_accept_kw(p, copy_words[i].keyword))
			continue;
		o.kind = MR_AST_VALUE_WORD;
		o.text = copy_words[i].value;
		if (!o.text) {
			mr_accept_kw(p, MR_KW_AS);
			o.value_pos = mr_pos(p);
			o.kind = MR_AST_VALUE_STRING;
			o.text = mr_parse_string(p);
		}
		item = mr_list_add(p, list, sizeof(o));
		*item = o;
		return true;
	}
	return false;
}

// copy_options: '(' generic options ')' | {old spelling}
static struct mr_ast_options parse_copy_options(struct mr_parser *p)
{
	struct mr_list list = {0};

	if (mr_is_char(p, '('))
		return mr_parse_option_list(p);
	while (parse_copy_word(p, &list))
		;
	return (struct mr_ast_options){list.items, list.count};
}

// CopyStmt: COPY qualified_name ['(' columns ')'] (FROM | TO) (STDIN | STDOUT | [PROGRAM] 'file')
// [WITH] options | COPY '(' PreparableStmt ')' TO …
const struct mr_ast_stmt *mr_parse_copy(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_COPY, mr_pos(p));

	mr_parse_eat(p);
	if (mr_accept_char(p, '(')) {
		s->copy.query = mr_parse_preparable(p);
		mr_expect_char(p, ')');
	} else {
		s->copy.table = mr_parse_qualified_name(p);
		s->copy.columns = mr_parse_opt_idents(p);
	}
	s->copy.from = !s->copy.query && mr_accept_kw(p, MR_KW_FROM);
	if (!s->copy.from)
		mr_expect_kw(p, MR_KW_TO);
	if (mr_accept_kw(p, MR_KW_PROGRAM) || mr_is_tok(p, MR_TOK_STRING))
		s->copy.file = mr_parse_string(p);
	else if (!mr_accept_kw(p, MR_KW_STDIN))
		mr_expect_kw(p, MR_KW_STDOUT);
	mr_accept_kw(p, MR_KW_WITH);
	s->copy.options = parse_copy_options(p);
	if (mr_is_kw(p, MR_KW_WHERE))
		mr_parse_unsupported(p, "COPY with WHERE is");
	return s;
}
