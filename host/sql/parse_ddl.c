// CREATE, DROP, TRUNCATE, ALTER, REFRESH, COMMENT.
#include "host/sql/parse_int.h"

#include <errno.h>

// ---- WITH (…) ----

// reloption_elem: ColLabel ['.' ColLabel] ['=' (value | reserved word)]
static struct mr_ast_option parse_reloption(struct mr_parser *p)
{
	struct mr_ast_option o = {.pos = mr_pos(p), .text = ""};

	o.name = mr_parse_col_label(p);
	if (mr_accept_char(p, '.'))
		o.name = mr_parse_text(p, "%s.%s", o.name, mr_parse_col_label(p));
	if (!mr_accept_op(p, "="))
		return o;
	if (mr_keywords[mr_cur(p)->keyword].class == MR_KW_RESERVED && mr_cur(p)->keyword) {
		o.kind = MR_AST_VALUE_WORD;
		o.value_pos = mr_pos(p);
		o.text = mr_parse_col_label(p);
	} else {
		mr_parse_option_value(p, &o);
	}
	return o;
}

// reloptions: '(' reloption_elem {',' reloption_elem} ')'
struct mr_ast_options mr_parse_reloptions(struct mr_parser *p)
{
	struct mr_list list = {0};

	mr_expect_char(p, '(');
	do {
		struct mr_ast_option o = parse_reloption(p);
		struct mr_ast_option *item = mr_list_add(p, &list, sizeof(o));

		*item = o;
	} while (mr_accept_char(p, ','));
	mr_expect_char(p, ')');
	return (struct mr_ast_options){list.items, list.count};
}

// OptWith: [WITH reloptions]
static struct mr_ast_options parse_opt_with(struct mr_parser *p)
{
	if (!mr_accept_kw(p, MR_KW_WITH))
		return (struct mr_ast_options){0};
	return mr_parse_reloptions(p);
}

// opt_with_data: [WITH [NO] DATA]; true for NO DATA
static bool parse_no_data(struct mr_parser *p)
{
	bool no;

	if (!mr_accept_kw(p, MR_KW_WITH))
		return false;
	no = mr_accept_kw(p, MR_KW_NO);
	mr_expect_kw(p, MR_KW_DATA);
	return no;
}

static bool parse_if_not_exists(struct mr_parser *p)
{
	if (!mr_is_kw(p, MR_KW_IF) || !mr_is_kw_at(p, 1, MR_KW_NOT))
		return false;
	mr_parse_eat(p);
	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_EXISTS);
	return true;
}

// ---- CREATE TABLE ----

// ColConstraintElem: NOT NULL | NULL | PRIMARY KEY | UNIQUE | DEFAULT b_expr; others are refused.
// False if none stands here.
static bool parse_column_constraint(struct mr_parser *p, struct mr_ast_column_def *d)
{
	if (mr_accept_kw(p, MR_KW_NOT)) {
		mr_expect_kw(p, MR_KW_NULL);
		d->not_null = true;
	} else if (mr_accept_kw(p, MR_KW_PRIMARY)) {
		mr_expect_kw(p, MR_KW_KEY);
		d->primary_key = true;
	} else if (mr_accept_kw(p, MR_KW_NULL))
		d->not_null = false;
	else if (mr_accept_kw(p, MR_KW_UNIQUE))
		d->unique = true;
	else if (mr_accept_kw(p, MR_KW_DEFAULT))
		d->default_value = mr_parse_b_expr(p);
	else if (mr_is_kw(p, MR_KW_CHECK))
		mr_parse_unsupported(p, "CHECK constraints are");
	else if (mr_is_kw(p, MR_KW_REFERENCES))
		mr_parse_unsupported(p, "foreign keys are");
	else if (mr_is_kw(p, MR_KW_GENERATED))
		mr_parse_unsupported(p, "generated columns are");
	else if (mr_is_kw(p, MR_KW_COLLATE))
		mr_parse_unsupported(p, "COLLATE in a column definition is");
	else
		return false;
	return true;
}

// columnDef: ColId Typename {[CONSTRAINT name] ColConstraintElem}
static struct mr_ast_column_def parse_column_def(struct mr_parser *p)
{
	struct mr_ast_column_def d = {.pos = mr_pos(p)};

	d.name = mr_parse_col_id(p);
	d.type = mr_parse_type(p);
	for (;;) {
		bool named = mr_accept_kw(p, MR_KW_CONSTRAINT);

		if (named)
			(void)mr_parse_col_id(p);
		if (!parse_column_constraint(p, &d)) {
			if (named)
				mr_parse_syntax(p);
			return d;
		}
	}
}

// TableConstraint: [CONSTRAINT name] PRIMARY KEY '(' columns ')'; others are refused. False if a
// column stands here.
static bool parse_table_constraint(struct mr_parser *p, struct mr_ast_stmt *s)
{
	bool named = mr_accept_kw(p, MR_KW_CONSTRAINT);

	if (named)
		(void)mr_parse_col_id(p);
	if (mr_accept_kws(p, MR_KW_PRIMARY, MR_KW_KEY)) {
		if (!mr_is_char(p, '('))
			mr_parse_syntax(p);
		s->create_table.primary_key = mr_parse_opt_idents(p);
		return true;
	}
	if (mr_is_kw(p, MR_KW_UNIQUE) || mr_is_kw(p, MR_KW_CHECK) || mr_is_kw(p, MR_KW_FOREIGN) ||
		mr_is_kw(p, MR_KW_EXCLUDE))
		mr_parse_unsupported(p, "table constraints other than PRIMARY KEY are");
	else if (mr_is_kw(p, MR_KW_LIKE))
		mr_parse_unsupported(p, "CREATE TABLE (LIKE …) is");
	else if (named)
		mr_parse_syntax(p);
	else
		return false;
	return true;
}

// '(' [element {',' element}] ')'
static void parse_table_elements(struct mr_parser *p, struct mr_ast_stmt *s)
{
	struct mr_list list = {0};

	mr_expect_char(p, '(');
	if (mr_accept_char(p, ')'))
		return;
	do {
		if (!parse_table_constraint(p, s)) {
			struct mr_ast_column_def d = parse_column_def(p);
			struct mr_ast_column_def *item = mr_list_add(p, &list, sizeof(d));

			*item = d;
		}
	} while (mr_accept_char(p, ','));
	mr_expect_char(p, ')');
	s->create_table.columns = (struct mr_ast_column_defs){list.items, list.count};
}

// Whether '(' opens a list of bare names, of CREATE TABLE t (a, b) AS …
static bool is_name_list(struct mr_parser *p)
{
	return mr_is_char(p, '(') && mr_is_col_id(p, 1) &&
	       (mr_is_char_at(p, 2, ',') || mr_is_char_at(p, 2, ')'));
}

// CreateAsStmt: CREATE TABLE name ['(' names ')'] [WITH …] AS SelectStmt [WITH [NO] DATA]
static const struct mr_ast_stmt *parse_table_as(
	struct mr_parser *p, struct mr_ast_name name, bool if_not_exists, int pos)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_CREATE_TABLE_AS, pos);

	s->create_view.name = name;
	s->create_view.if_not_exists = if_not_exists;
	s->create_view.columns = mr_parse_opt_idents(p);
	s->create_view.options = parse_opt_with(p);
	mr_expect_kw(p, MR_KW_AS);
	s->create_view.query = mr_parse_select(p);
	s->create_view.with_no_data = parse_no_data(p);
	return s;
}

// CreateStmt: CREATE TABLE [IF NOT EXISTS] qualified_name '(' elements ')' [WITH reloptions]
static const struct mr_ast_stmt *parse_create_table(struct mr_parser *p, int pos)
{
	struct mr_ast_stmt *s;
	struct mr_ast_name name;
	bool if_not_exists;

	mr_parse_eat(p);
	if_not_exists = parse_if_not_exists(p);
	name = mr_parse_qualified_name(p);
	if (is_name_list(p) || mr_is_kw(p, MR_KW_AS) || mr_is_kw(p, MR_KW_WITH))
		return parse_table_as(p, name, if_not_exists, pos);
	s = mr_new_stmt(p, MR_STMT_CREATE_TABLE, pos);
	s->create_table.name = name;
	s->create_table.if_not_exists = if_not_exists;
	parse_table_elements(p, s);
	if (mr_is_kw(p, MR_KW_INHERITS) || mr_is_kw(p, MR_KW_PARTITION) ||
		mr_is_kw(p, MR_KW_TABLESPACE) || mr_is_kw(p, MR_KW_USING))
		mr_parse_unsupported(p, "this clause of CREATE TABLE is");
	s->create_table.options = parse_opt_with(p);
	return s;
}

// ---- Views ----

// emit: [EMIT ON UPDATE | EMIT ON WINDOW CLOSE]
static enum mr_ast_emit parse_emit(struct mr_parser *p)
{
	bool window;

	if (!mr_is_emit(p))
		return MR_AST_EMIT_DEFAULT;
	window = mr_is_kw_at(p, 2, MR_KW_WINDOW);
	for (int i = 0; i < 3; i++)
		mr_parse_eat(p);
	if (!window)
		return MR_AST_EMIT_ON_UPDATE;
	mr_expect_kw(p, MR_KW_CLOSE);
	return MR_AST_EMIT_ON_WINDOW_CLOSE;
}

// CreateMatViewStmt: CREATE [OR REPLACE] MATERIALIZED VIEW [IF NOT EXISTS] name ['(' names ')']
// [WITH reloptions] AS SelectStmt [emit] [WITH [NO] DATA]
// ViewStmt: CREATE [OR REPLACE] VIEW name ['(' names ')'] [WITH reloptions] AS SelectStmt
static const struct mr_ast_stmt *parse_create_view(struct mr_parser *p, bool or_replace, int pos)
{
	bool materialized = mr_accept_kw(p, MR_KW_MATERIALIZED);
	struct mr_ast_stmt *s = mr_new_stmt(
		p, materialized ? MR_STMT_CREATE_MATERIALIZED_VIEW : MR_STMT_CREATE_VIEW, pos);

	mr_expect_kw(p, MR_KW_VIEW);
	s->create_view.or_replace = or_replace;
	if (materialized)
		s->create_view.if_not_exists = parse_if_not_exists(p);
	s->create_view.name = mr_parse_qualified_name(p);
	s->create_view.columns = mr_parse_opt_idents(p);
	s->create_view.options = parse_opt_with(p);
	mr_expect_kw(p, MR_KW_AS);
	p->emit_stops = materialized;
	s->create_view.query = mr_parse_select(p);
	s->create_view.emit = (uint8_t)parse_emit(p);
	p->emit_stops = false;
	if (materialized)
		s->create_view.with_no_data = parse_no_data(p);
	return s;
}

// CREATE …
const struct mr_ast_stmt *mr_parse_create(struct mr_parser *p)
{
	int pos = mr_pos(p);
	bool or_replace;

	mr_parse_eat(p);
	or_replace = mr_accept_kw(p, MR_KW_OR);
	if (or_replace)
		mr_expect_kw(p, MR_KW_REPLACE);
	if (mr_is_kw(p, MR_KW_MATERIALIZED) || mr_is_kw(p, MR_KW_VIEW))
		return parse_create_view(p, or_replace, pos);
	if (mr_is_kw(p, MR_KW_TEMP) || mr_is_kw(p, MR_KW_TEMPORARY))
		mr_parse_unsupported(p, "temporary relations are");
	else if (mr_is_kw(p, MR_KW_UNLOGGED))
		mr_parse_unsupported(p, "UNLOGGED is");
	if (!or_replace && mr_is_kw(p, MR_KW_TABLE))
		return parse_create_table(p, pos);
	mr_parse_syntax(p);
	return mr_new_stmt(p, MR_STMT_CREATE_TABLE, pos);
}

// ---- DROP and the rest ----

static bool parse_object(struct mr_parser *p, uint8_t *object)
{
	static const struct {
		enum mr_keyword keyword;
		enum mr_ast_object object;
	} objects[] = {{MR_KW_TABLE, MR_AST_OBJECT_TABLE}, {MR_KW_VIEW, MR_AST_OBJECT_VIEW},
		{MR_KW_INDEX, MR_AST_OBJECT_INDEX}, {MR_KW_SCHEMA, MR_AST_OBJECT_SCHEMA},
		{MR_KW_SEQUENCE, MR_AST_OBJECT_SEQUENCE}, {MR_KW_COLUMN, MR_AST_OBJECT_COLUMN},
		{MR_KW_DATABASE, MR_AST_OBJECT_DATABASE}};

	if (mr_accept_kw(p, MR_KW_MATERIALIZED)) {
		mr_expect_kw(p, MR_KW_VIEW);
		*object = MR_AST_OBJECT_MATERIALIZED_VIEW;
		return true;
	}
	for (size_t i = 0; i < MR_COUNT_OF(objects); i++) {
		if (mr_accept_kw(p, objects[i].keyword)) {
			*object = (uint8_t)objects[i].object;
			return true;
		}
	}
	mr_parse_syntax(p);
	return false;
}

// opt_drop_behavior: [CASCADE | RESTRICT]
static bool parse_cascade(struct mr_parser *p)
{
	if (mr_accept_kw(p, MR_KW_CASCADE))
		return true;
	mr_accept_kw(p, MR_KW_RESTRICT);
	return false;
}

// DropStmt: DROP (TABLE | [MATERIALIZED] VIEW | INDEX | SCHEMA | SEQUENCE) [IF EXISTS] names
// [CASCADE | RESTRICT]
const struct mr_ast_stmt *mr_parse_drop(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_DROP, mr_pos(p));
	bool column;

	mr_parse_eat(p);
	column = mr_is_kw(p, MR_KW_COLUMN) || mr_is_kw(p, MR_KW_DATABASE);
	if (column || !parse_object(p, &s->drop.object)) {
		mr_parse_syntax(p);
		return s;
	}
	s->drop.if_exists = mr_accept_kws(p, MR_KW_IF, MR_KW_EXISTS);
	s->drop.names = mr_parse_qualified_names(p);
	s->drop.cascade = parse_cascade(p);
	return s;
}

// TruncateStmt: TRUNCATE [TABLE] names [(RESTART | CONTINUE) IDENTITY] [CASCADE | RESTRICT]
const struct mr_ast_stmt *mr_parse_truncate(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_TRUNCATE, mr_pos(p));

	mr_parse_eat(p);
	mr_accept_kw(p, MR_KW_TABLE);
	mr_accept_kw(p, MR_KW_ONLY);
	s->drop.names = mr_parse_qualified_names(p);
	if (!mr_accept_kws(p, MR_KW_RESTART, MR_KW_IDENTITY))
		mr_accept_kws(p, MR_KW_CONTINUE, MR_KW_IDENTITY);
	s->drop.cascade = parse_cascade(p);
	return s;
}

// RENAME TO ColId | RENAME [COLUMN] ColId TO ColId
static void parse_rename(struct mr_parser *p, struct mr_ast_stmt *s)
{
	s->alter.action = MR_AST_ALTER_RENAME;
	if (mr_is_kw(p, MR_KW_CONSTRAINT))
		mr_parse_unsupported(p, "RENAME CONSTRAINT is");
	if (!mr_is_kw(p, MR_KW_TO)) {
		s->alter.action = MR_AST_ALTER_RENAME_COLUMN;
		mr_accept_kw(p, MR_KW_COLUMN);
		s->alter.column = mr_parse_col_id(p);
	}
	mr_expect_kw(p, MR_KW_TO);
	s->alter.to = mr_parse_col_id(p);
}

// ADD [COLUMN] [IF NOT EXISTS] columnDef
static void parse_add_column(struct mr_parser *p, struct mr_ast_stmt *s)
{
	s->alter.action = MR_AST_ALTER_ADD_COLUMN;
	if (mr_is_kw(p, MR_KW_CONSTRAINT) || mr_is_kw(p, MR_KW_PRIMARY) ||
		mr_is_kw(p, MR_KW_UNIQUE) || mr_is_kw(p, MR_KW_CHECK) || mr_is_kw(p, MR_KW_FOREIGN))
		mr_parse_unsupported(p, "ALTER TABLE … ADD CONSTRAINT is");
	mr_accept_kw(p, MR_KW_COLUMN);
	s->alter.if_not_exists = parse_if_not_exists(p);
	s->alter.add = parse_column_def(p);
}

// DROP [COLUMN] [IF EXISTS] ColId [CASCADE | RESTRICT]
static void parse_drop_column(struct mr_parser *p, struct mr_ast_stmt *s)
{
	s->alter.action = MR_AST_ALTER_DROP_COLUMN;
	if (mr_is_kw(p, MR_KW_CONSTRAINT))
		mr_parse_unsupported(p, "DROP CONSTRAINT is");
	mr_accept_kw(p, MR_KW_COLUMN);
	s->alter.column_if_exists = mr_accept_kws(p, MR_KW_IF, MR_KW_EXISTS);
	s->alter.column = mr_parse_col_id(p);
	s->alter.cascade = parse_cascade(p);
}

static void parse_alter_action(struct mr_parser *p, struct mr_ast_stmt *s)
{
	if (mr_accept_kw(p, MR_KW_SET)) {
		s->alter.action = MR_AST_ALTER_SET;
		if (!mr_is_char(p, '('))
			mr_parse_unsupported(p, "this form of ALTER … SET is");
		s->alter.options = mr_parse_reloptions(p);
	} else if (mr_accept_kw(p, MR_KW_RESET)) {
		s->alter.action = MR_AST_ALTER_RESET;
		s->alter.options = mr_parse_reloptions(p);
	} else if (mr_accept_kw(p, MR_KW_RENAME)) {
		parse_rename(p, s);
	} else if (mr_accept_kw(p, MR_KW_ADD)) {
		parse_add_column(p, s);
	} else if (mr_accept_kw(p, MR_KW_DROP)) {
		parse_drop_column(p, s);
	} else if (mr_is_kw(p, MR_KW_ALTER) || mr_is_kw(p, MR_KW_OWNER) ||
		   mr_is_kw(p, MR_KW_ENABLE) || mr_is_kw(p, MR_KW_DISABLE) ||
		   mr_is_kw(p, MR_KW_ATTACH) || mr_is_kw(p, MR_KW_DETACH)) {
		mr_parse_unsupported(p, "this form of ALTER is");
	} else {
		mr_parse_syntax(p);
	}
}

// AlterTableStmt, RenameStmt: ALTER (TABLE | [MATERIALIZED] VIEW) [IF EXISTS] name action
const struct mr_ast_stmt *mr_parse_alter(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_ALTER, mr_pos(p));

	mr_parse_eat(p);
	if (!mr_is_kw(p, MR_KW_TABLE) && !mr_is_kw(p, MR_KW_VIEW) &&
		!mr_is_kw(p, MR_KW_MATERIALIZED)) {
		mr_parse_syntax(p);
		return s;
	}
	(void)parse_object(p, &s->alter.object);
	s->alter.if_exists = mr_accept_kws(p, MR_KW_IF, MR_KW_EXISTS);
	mr_accept_kw(p, MR_KW_ONLY);
	s->alter.name = mr_parse_qualified_name(p);
	parse_alter_action(p, s);
	if (mr_is_char(p, ','))
		mr_parse_unsupported(p, "more than one action of ALTER is");
	return s;
}

// RefreshMatViewStmt: REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH [NO] DATA]
const struct mr_ast_stmt *mr_parse_refresh(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_REFRESH, mr_pos(p));

	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_MATERIALIZED);
	mr_expect_kw(p, MR_KW_VIEW);
	s->refresh.concurrently = mr_accept_kw(p, MR_KW_CONCURRENTLY);
	s->refresh.name = mr_parse_qualified_name(p);
	s->refresh.with_no_data = parse_no_data(p);
	return s;
}

// The name of a column: the last of two to four parts. The table's name is what is left of it.
static void parse_column_name(struct mr_parser *p, struct mr_ast_stmt *s)
{
	struct mr_ast_name n = mr_parse_qualified_name(p);

	if (mr_accept_char(p, '.')) {
		s->comment.name = n;
		s->comment.column = mr_parse_col_label(p);
		return;
	}
	if (!n.schema)
		mr_parse_fail(p, -EINVAL, "42601", n.pos, "column name must be qualified");
	s->comment.column = n.name;
	s->comment.name = (struct mr_ast_name){.schema = n.catalog, .name = n.schema, .pos = n.pos};
}

// CommentStmt: COMMENT ON (TABLE | COLUMN | [MATERIALIZED] VIEW | …) name IS (Sconst | NULL)
const struct mr_ast_stmt *mr_parse_comment(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_COMMENT, mr_pos(p));

	mr_parse_eat(p);
	mr_expect_kw(p, MR_KW_ON);
	if (!parse_object(p, &s->comment.object))
		return s;
	if (s->comment.object == MR_AST_OBJECT_COLUMN)
		parse_column_name(p, s);
	else
		s->comment.name = mr_parse_qualified_name(p);
	mr_expect_kw(p, MR_KW_IS);
	if (!mr_accept_kw(p, MR_KW_NULL))
		s->comment.text = mr_parse_string(p);
	return s;
}
