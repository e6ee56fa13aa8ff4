// Statements around queries: EXPLAIN, cursors, prepared statements, maintenance, notifications.
#include "host/sql/parse_int.h"

static void add_option(struct mr_parser *p, struct mr_list *list, const char *name, int pos)
{
	struct mr_ast_option *o = mr_list_add(p, list, sizeof(*o));

	*o = (struct mr_ast_option){.name = name, .text = "", .pos = pos};
}

// Reserved words that are options all the same.
static bool is_option_word(struct mr_parser *p)
{
	return mr_is_kw(p, MR_KW_ANALYZE) || mr_is_kw(p, MR_KW_ANALYSE) || mr_is_kw(p, MR_KW_NULL);
}

// utility_option_list: '(' word [value] {',' word [value]} ')'
struct mr_ast_options mr_parse_option_list(struct mr_parser *p)
{
	struct mr_list list = {0};

	mr_expect_char(p, '(');
	do {
		struct mr_ast_option o = {.pos = mr_pos(p), .text = ""};
		struct mr_ast_option *item;

		if (mr_keywords[mr_cur(p)->keyword].class == MR_KW_RESERVED && !is_option_word(p))
			mr_parse_syntax(p);
		o.name = mr_parse_col_label(p);
		if (mr_is_op(p, "*"))
			mr_parse_unsupported(p, "* as an option's value is");
		if (mr_is_char(p, '('))
			mr_parse_unsupported(p, "a list as an option's value is");
		if (!mr_is_char(p, ',') && !mr_is_char(p, ')'))
			mr_parse_option_value(p, &o);
		item = mr_list_add(p, &list, sizeof(o));
		*item = o;
	} while (mr_accept_char(p, ','));
	mr_expect_char(p, ')');
	return (struct mr_ast_options){list.items, list.count};
}

// ExplainableStmt: SELECT, INSERT, UPDATE, DELETE, DECLARE, CREATE … AS, REFRESH, EXECUTE
static const struct mr_ast_stmt *parse_explainable(struct mr_parser *p)
{
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_CREATE: return mr_parse_create(p);
	case MR_KW_REFRESH: return mr_parse_refresh(p);
	case MR_KW_DECLARE:
	case MR_KW_EXECUTE: return mr_parse_utility(p);
	default: return mr_parse_preparable(p);
	}
}

// ExplainStmt: EXPLAIN [ANALYZE | ANALYSE] [VERBOSE] stmt | EXPLAIN '(' options ')' stmt
static const struct mr_ast_stmt *parse_explain(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_EXPLAIN, mr_pos(p));
	struct mr_list list = {0};
	int pos;

	mr_parse_eat(p);
	if (mr_is_char(p, '(') && !mr_is_query(p)) {
		s->explain.options = mr_parse_option_list(p);
	} else {
		pos = mr_pos(p);
		if (mr_accept_kw(p, MR_KW_ANALYZE) || mr_accept_kw(p, MR_KW_ANALYSE))
			add_option(p, &list, "analyze", pos);
		pos = mr_pos(p);
		if (mr_accept_kw(p, MR_KW_VERBOSE))
			add_option(p, &list, "verbose", pos);
		s->explain.options = (struct mr_ast_options){list.items, list.count};
	}
	s->explain.stmt = parse_explainable(p);
	return s;
}

// ---- Cursors ----

// DeclareCursorStmt: DECLARE name {BINARY | [NO] SCROLL | ASENSITIVE | INSENSITIVE} CURSOR
// [(WITH | WITHOUT) HOLD] FOR SelectStmt
static const struct mr_ast_stmt *parse_declare(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_DECLARE, mr_pos(p));

	mr_parse_eat(p);
	s->declare.name = mr_parse_col_id(p);
	for (;;) {
		if (mr_accept_kws(p, MR_KW_NO, MR_KW_SCROLL))
			s->declare.no_scroll = true;
		else if (mr_accept_kw(p, MR_KW_SCROLL))
			s->declare.scroll = true;
		else if (mr_accept_kw(p, MR_KW_BINARY))
			s->declare.binary = true;
		else if (mr_accept_kw(p, MR_KW_INSENSITIVE))
			s->declare.insensitive = true;
		else if (!mr_accept_kw(p, MR_KW_ASENSITIVE))
			break;
	}
	mr_expect_kw(p, MR_KW_CURSOR);
	if (mr_accept_kw(p, MR_KW_WITH)) {
		mr_expect_kw(p, MR_KW_HOLD);
		s->declare.hold = true;
	} else if (mr_accept_kw(p, MR_KW_WITHOUT)) {
		mr_expect_kw(p, MR_KW_HOLD);
	}
	mr_expect_kw(p, MR_KW_FOR);
	s->declare.query = mr_parse_select(p);
	return s;
}

// SignedIconst: ['+' | '-'] Iconst
static int64_t parse_signed(struct mr_parser *p)
{
	bool minus = mr_accept_op(p, "-");

	if (!minus)
		mr_accept_op(p, "+");
	return minus ? -mr_parse_int(p) : mr_parse_int(p);
}

static void set_fetch(struct mr_ast_stmt *s, enum mr_ast_fetch_kind how, int64_t count)
{
	s->fetch.how = (uint8_t)how;
	s->fetch.count = count;
}

static bool is_signed(struct mr_parser *p)
{
	return mr_is_tok(p, MR_TOK_INT) || mr_is_op(p, "-") || mr_is_op(p, "+");
}

// [SignedIconst | ALL] behind FORWARD or BACKWARD; a negative count turns round
static void parse_fetch_count(
	struct mr_parser *p, struct mr_ast_stmt *s, enum mr_ast_fetch_kind how)
{
	bool forward = how == MR_AST_FETCH_FORWARD;
	int64_t n = 1;

	if (mr_accept_kw(p, MR_KW_ALL))
		n = MR_AST_FETCH_ALL;
	else if (is_signed(p))
		n = parse_signed(p);
	if (n < 0)
		how = forward ? MR_AST_FETCH_BACKWARD : MR_AST_FETCH_FORWARD;
	set_fetch(s, how, n < 0 ? -n : n);
}

// The direction part of fetch_args
static void parse_direction(struct mr_parser *p, struct mr_ast_stmt *s)
{
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_NEXT: set_fetch(s, MR_AST_FETCH_FORWARD, 1); break;
	case MR_KW_PRIOR: set_fetch(s, MR_AST_FETCH_BACKWARD, 1); break;
	case MR_KW_FIRST: set_fetch(s, MR_AST_FETCH_ABSOLUTE, 1); break;
	case MR_KW_LAST: set_fetch(s, MR_AST_FETCH_ABSOLUTE, -1); break;
	case MR_KW_ABSOLUTE:
		mr_parse_eat(p);
		set_fetch(s, MR_AST_FETCH_ABSOLUTE, parse_signed(p));
		return;
	case MR_KW_RELATIVE:
		mr_parse_eat(p);
		set_fetch(s, MR_AST_FETCH_RELATIVE, parse_signed(p));
		return;
	case MR_KW_FORWARD:
		mr_parse_eat(p);
		parse_fetch_count(p, s, MR_AST_FETCH_FORWARD);
		return;
	case MR_KW_BACKWARD:
		mr_parse_eat(p);
		parse_fetch_count(p, s, MR_AST_FETCH_BACKWARD);
		return;
	default:
		if (is_signed(p) || mr_is_kw(p, MR_KW_ALL))
			parse_fetch_count(p, s, MR_AST_FETCH_FORWARD);
		return;
	}
	mr_parse_eat(p);
}

// FetchStmt: (FETCH | MOVE) [direction] [FROM | IN] name. A direction's word in front of the end is
// the cursor's name.
static const struct mr_ast_stmt *parse_fetch(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_FETCH, mr_pos(p));
	const struct mr_token *next;

	s->fetch.move = mr_is_kw(p, MR_KW_MOVE);
	mr_parse_eat(p);
	set_fetch(s, MR_AST_FETCH_FORWARD, 1);
	next = mr_parse_peek(p, 1);
	if (next->kind != MR_TOK_END && !mr_is_char_at(p, 1, ';'))
		parse_direction(p, s);
	if (!mr_accept_kw(p, MR_KW_FROM))
		mr_accept_kw(p, MR_KW_IN);
	s->fetch.cursor = mr_parse_col_id(p);
	return s;
}

// ---- Prepared statements ----

// PrepareStmt: PREPARE name ['(' type {',' type} ')'] AS PreparableStmt
static const struct mr_ast_stmt *parse_prepare(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_PREPARE, mr_pos(p));
	struct mr_list types = {0};

	mr_parse_eat(p);
	if (mr_is_kw(p, MR_KW_TRANSACTION) && mr_parse_peek(p, 1)->kind == MR_TOK_STRING)
		mr_parse_unsupported(p, "two-phase commit is");
	s->prepare.name = mr_parse_col_id(p);
	if (mr_accept_char(p, '(')) {
		do {
			const struct mr_ast_type *t = mr_parse_type(p);
			const struct mr_ast_type **item = mr_list_add(p, &types, sizeof(t));

			*item = t;
		} while (mr_accept_char(p, ','));
		mr_expect_char(p, ')');
	}
	mr_expect_kw(p, MR_KW_AS);
	s->prepare.types = types.items;
	s->prepare.types_count = types.count;
	s->prepare.stmt = mr_parse_preparable(p);
	return s;
}

// ExecuteStmt: EXECUTE name ['(' expr_list ')']
static const struct mr_ast_stmt *parse_execute(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_EXECUTE, mr_pos(p));

	mr_parse_eat(p);
	s->execute.name = mr_parse_col_id(p);
	if (mr_accept_char(p, '(')) {
		s->execute.args = mr_parse_exprs(p);
		mr_expect_char(p, ')');
	}
	return s;
}

// CLOSE (name | ALL); DEALLOCATE [PREPARE] (name | ALL); LISTEN name; UNLISTEN (name | '*')
static const struct mr_ast_stmt *parse_named(struct mr_parser *p, enum mr_ast_stmt_kind kind)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, kind, mr_pos(p));

	mr_parse_eat(p);
	if (kind == MR_STMT_DEALLOCATE && mr_is_kw(p, MR_KW_PREPARE) &&
		(mr_is_col_id(p, 1) || mr_is_kw_at(p, 1, MR_KW_ALL)))
		mr_parse_eat(p);
	if ((kind == MR_STMT_CLOSE || kind == MR_STMT_DEALLOCATE) && mr_accept_kw(p, MR_KW_ALL))
		return s;
	if (kind == MR_STMT_UNLISTEN && mr_accept_op(p, "*"))
		return s;
	s->named.name = mr_parse_col_id(p);
	return s;
}

// DiscardStmt: DISCARD (ALL | TEMP | TEMPORARY | PLANS | SEQUENCES)
static const struct mr_ast_stmt *parse_discard(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_DISCARD, mr_pos(p));

	mr_parse_eat(p);
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_ALL: s->named.name = "all"; break;
	case MR_KW_PLANS: s->named.name = "plans"; break;
	case MR_KW_SEQUENCES: s->named.name = "sequences"; break;
	case MR_KW_TEMP:
	case MR_KW_TEMPORARY: s->named.name = "temp"; break;
	default: mr_parse_syntax(p); return s;
	}
	mr_parse_eat(p);
	return s;
}

// ---- Maintenance ----

// CheckPointStmt: CHECKPOINT
static const struct mr_ast_stmt *parse_checkpoint(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_CHECKPOINT, mr_pos(p));

	mr_parse_eat(p);
	return s;
}

// One table of VACUUM or ANALYZE; its column list is read over.
static void parse_vacuum_tables(struct mr_parser *p, struct mr_ast_stmt *s)
{
	struct mr_list list = {0};

	if (!mr_is_col_id(p, 0))
		return;
	do {
		struct mr_ast_name n = mr_parse_qualified_name(p);
		struct mr_ast_name *item = mr_list_add(p, &list, sizeof(n));

		*item = n;
		(void)mr_parse_opt_idents(p);
	} while (mr_accept_char(p, ','));
	s->vacuum.tables = (struct mr_ast_names){list.items, list.count};
}

// VacuumStmt: VACUUM [FULL] [FREEZE] [VERBOSE] [ANALYZE] [tables] | VACUUM '(' options ')' [tables]
// AnalyzeStmt: ANALYZE [VERBOSE] [tables] | ANALYZE '(' options ')' [tables]
static const struct mr_ast_stmt *parse_vacuum(struct mr_parser *p)
{
	static const struct {
		enum mr_keyword keyword;
		const char *name;
	} words[] = {{MR_KW_FULL, "full"}, {MR_KW_FREEZE, "freeze"}, {MR_KW_VERBOSE, "verbose"},
		{MR_KW_ANALYZE, "analyze"}, {MR_KW_ANALYSE, "analyze"}};
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_VACUUM, mr_pos(p));
	struct mr_list list = {0};

	s->vacuum.analyze_only = !mr_is_kw(p, MR_KW_VACUUM);
	mr_parse_eat(p);
	if (mr_is_char(p, '(')) {
		s->vacuum.options = mr_parse_option_list(p);
	} else {
		for (size_t i = 0; i < MR_COUNT_OF(words); i++) {
			int pos = mr_pos(p);

			if (s->vacuum.analyze_only && words[i].keyword != MR_KW_VERBOSE)
				continue;
			if (mr_accept_kw(p, words[i].keyword))
				add_option(p, &list, words[i].name, pos);
		}
		s->vacuum.options = (struct mr_ast_options){list.items, list.count};
	}
	parse_vacuum_tables(p, s);
	return s;
}

// NotifyStmt: NOTIFY ColId [',' Sconst]
static const struct mr_ast_stmt *parse_notify(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_NOTIFY, mr_pos(p));

	mr_parse_eat(p);
	s->notify.channel = mr_parse_col_id(p);
	if (mr_accept_char(p, ','))
		s->notify.payload = mr_parse_string(p);
	return s;
}

// lock_type: (ACCESS | ROW) (SHARE | EXCLUSIVE) | SHARE [UPDATE EXCLUSIVE | ROW EXCLUSIVE]
// | EXCLUSIVE
static const char *parse_lock_mode(struct mr_parser *p)
{
	bool access = mr_accept_kw(p, MR_KW_ACCESS);
	bool row = !access && mr_accept_kw(p, MR_KW_ROW);

	if (access || row) {
		if (mr_accept_kw(p, MR_KW_SHARE))
			return access ? "ACCESS SHARE" : "ROW SHARE";
		mr_expect_kw(p, MR_KW_EXCLUSIVE);
		return access ? "ACCESS EXCLUSIVE" : "ROW EXCLUSIVE";
	}
	if (mr_accept_kw(p, MR_KW_SHARE)) {
		if (mr_accept_kws(p, MR_KW_UPDATE, MR_KW_EXCLUSIVE))
			return "SHARE UPDATE EXCLUSIVE";
		if (mr_accept_kws(p, MR_KW_ROW, MR_KW_EXCLUSIVE))
			return "SHARE ROW EXCLUSIVE";
		return "SHARE";
	}
	mr_expect_kw(p, MR_KW_EXCLUSIVE);
	return "EXCLUSIVE";
}

// LockStmt: LOCK [TABLE] tables [IN lock_type MODE] [NOWAIT]
static const struct mr_ast_stmt *parse_lock(struct mr_parser *p)
{
	struct mr_ast_stmt *s = mr_new_stmt(p, MR_STMT_LOCK, mr_pos(p));

	mr_parse_eat(p);
	mr_accept_kw(p, MR_KW_TABLE);
	mr_accept_kw(p, MR_KW_ONLY);
	s->lock.tables = mr_parse_qualified_names(p);
	s->lock.mode = "ACCESS EXCLUSIVE";
	if (mr_accept_kw(p, MR_KW_IN)) {
		s->lock.mode = parse_lock_mode(p);
		mr_expect_kw(p, MR_KW_MODE);
	}
	s->lock.nowait = mr_accept_kw(p, MR_KW_NOWAIT);
	return s;
}

const struct mr_ast_stmt *mr_parse_utility(struct mr_parser *p)
{
	switch ((enum mr_keyword)mr_cur(p)->keyword) {
	case MR_KW_EXPLAIN: return parse_explain(p);
	case MR_KW_DECLARE: return parse_declare(p);
	case MR_KW_FETCH:
	case MR_KW_MOVE: return parse_fetch(p);
	case MR_KW_CLOSE: return parse_named(p, MR_STMT_CLOSE);
	case MR_KW_PREPARE: return parse_prepare(p);
	case MR_KW_EXECUTE: return parse_execute(p);
	case MR_KW_DEALLOCATE: return parse_named(p, MR_STMT_DEALLOCATE);
	case MR_KW_DISCARD: return parse_discard(p);
	case MR_KW_CHECKPOINT: return parse_checkpoint(p);
	case MR_KW_VACUUM:
	case MR_KW_ANALYZE:
	case MR_KW_ANALYSE: return parse_vacuum(p);
	case MR_KW_LISTEN: return parse_named(p, MR_STMT_LISTEN);
	case MR_KW_UNLISTEN: return parse_named(p, MR_STMT_UNLISTEN);
	case MR_KW_NOTIFY: return parse_notify(p);
	case MR_KW_LOCK: return parse_lock(p);
	default: return NULL;
	}
}
