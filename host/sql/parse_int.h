// What the parser's files share: the token window, failure, lists, and each other's entry points.
//
// Failure is sticky. The first error fills the diagnostic and sets `failed`; from then on the
// current token is the end of the text and allocations give scratch memory (`nil`), so that every
// loop ends and no function needs to check what another returned. Trees made after a failure are
// garbage and are never handed out.
#pragma once

#include "host/sql/lex.h"
#include "host/sql/parse.h"

enum { MR_PARSE_NIL_BYTES = 512 };

struct mr_parser {
	struct mr_lexer lexer;
	struct mr_arena *arena;
	struct mr_diag *diag;
	int failed; // 0, or the error

	// Tokens lexed and not yet eaten are tokens[at … loaded). Emptied whenever all are eaten.
	struct mr_token *tokens;
	uint32_t at;
	uint32_t loaded;
	uint32_t max;
	struct mr_token end; // the current token after a failure
	uint32_t eaten_off;  // where the last eaten token ends

	uint32_t depth; // nested calls of expressions, queries and joins
	uint32_t nodes;
	int32_t params;  // highest $n of the statement
	bool emit_stops; // in a materialized view's query: EMIT ON UPDATE|WINDOW is no alias

	uint64_t nil[MR_PARSE_NIL_BYTES / 8];
};

// ---- Tokens ----

// The token `ahead` places on; 0 is the current one. Valid until the next call of anything.
const struct mr_token *mr_parse_peek(struct mr_parser *p, uint32_t ahead);
// Moves to the next token.
void mr_parse_eat(struct mr_parser *p);

static inline const struct mr_token *mr_cur(struct mr_parser *p)
{
	return mr_parse_peek(p, 0);
}

static inline int mr_pos(struct mr_parser *p)
{
	return mr_cur(p)->pos;
}

static inline bool mr_is_kw_at(struct mr_parser *p, uint32_t ahead, enum mr_keyword k)
{
	return mr_parse_peek(p, ahead)->keyword == k;
}

static inline bool mr_is_kw(struct mr_parser *p, enum mr_keyword k)
{
	return mr_is_kw_at(p, 0, k);
}

static inline bool mr_is_char_at(struct mr_parser *p, uint32_t ahead, char c)
{
	const struct mr_token *t = mr_parse_peek(p, ahead);

	return t->kind == MR_TOK_CHAR && t->character == (uint8_t)c;
}

static inline bool mr_is_char(struct mr_parser *p, char c)
{
	return mr_is_char_at(p, 0, c);
}

static inline bool mr_is_tok(struct mr_parser *p, enum mr_token_kind kind)
{
	return mr_cur(p)->kind == kind;
}

bool mr_is_op(struct mr_parser *p, const char *op);
// A word that is no key word of PostgreSQL but has a meaning here, such as EMIT.
bool mr_is_word_at(struct mr_parser *p, uint32_t ahead, const char *word);

bool mr_accept_kw(struct mr_parser *p, enum mr_keyword k);
bool mr_accept_kws(struct mr_parser *p, enum mr_keyword a, enum mr_keyword b); // both or none
bool mr_accept_char(struct mr_parser *p, char c);
bool mr_accept_op(struct mr_parser *p, const char *op);
void mr_expect_kw(struct mr_parser *p, enum mr_keyword k);
void mr_expect_char(struct mr_parser *p, char c);
void mr_expect_op(struct mr_parser *p, const char *op);

// ---- Failure ----

// syntax error at or near the current token
void mr_parse_syntax(struct mr_parser *p);
void mr_parse_fail(struct mr_parser *p, int err, const char *sqlstate, int pos, const char *fmt,
	...) MR_PRINTF(5, 6);
// 0A000 at the current token: `what` is not supported
void mr_parse_unsupported(struct mr_parser *p, const char *what);
// One level of nesting. False, with the parser failed, when there are too many.
bool mr_parse_enter(struct mr_parser *p);

static inline void mr_parse_leave(struct mr_parser *p)
{
	p->depth--;
}

// ---- Memory ----

// Cleared memory for a node. Never NULL: scratch after a failure.
void *mr_parse_new(struct mr_parser *p, size_t bytes);
char *mr_parse_text(struct mr_parser *p, const char *fmt, ...) MR_PRINTF(2, 3);

// An array under construction.
struct mr_list {
	void *items;
	uint32_t count;
	uint32_t max;
};

// One more cleared item; never NULL.
void *mr_list_add(struct mr_parser *p, struct mr_list *l, size_t item_bytes);
void mr_list_expr(struct mr_parser *p, struct mr_list *l, const struct mr_ast_expr *e);

static inline struct mr_ast_exprs mr_list_exprs(struct mr_list l)
{
	return (struct mr_ast_exprs){l.items, l.count};
}

// ---- Nodes ----

struct mr_ast_expr *mr_new_expr(struct mr_parser *p, enum mr_ast_expr_kind kind, int pos);
struct mr_ast_expr *mr_new_string(struct mr_parser *p, const char *text, int pos);
struct mr_ast_expr *mr_new_int(struct mr_parser *p, int64_t v, int pos);
struct mr_ast_expr *mr_new_list(
	struct mr_parser *p, enum mr_ast_expr_kind kind, int pos, struct mr_ast_exprs list);
// A call of a catalog function; the caller adds arguments with mr_call_arg.
struct mr_ast_expr *mr_new_call(
	struct mr_parser *p, enum mr_ast_syntax syntax, const char *name, int pos);
void mr_call_arg(struct mr_parser *p, struct mr_ast_expr *call, const struct mr_ast_expr *arg);
struct mr_ast_expr *mr_new_cast(struct mr_parser *p, const struct mr_ast_expr *arg,
	const struct mr_ast_type *type, int pos);

// These keep `height` right: they note the child in its parent and return the child. A tree that
// grows too high is a failure.
const struct mr_ast_expr *mr_kid(
	struct mr_parser *p, struct mr_ast_expr *parent, const struct mr_ast_expr *kid);
struct mr_ast_exprs mr_kids(
	struct mr_parser *p, struct mr_ast_expr *parent, struct mr_ast_exprs kids);
void mr_raise(struct mr_parser *p, uint16_t *height, unsigned kid_height);
void mr_raise_exprs(struct mr_parser *p, uint16_t *height, struct mr_ast_exprs kids);
void mr_raise_sorts(struct mr_parser *p, uint16_t *height, struct mr_ast_sorts sorts);
void mr_raise_window(struct mr_parser *p, uint16_t *height, const struct mr_ast_window *w);

// ---- Names (parse_name.c) ----

// Whether the token may be a name of that class.
bool mr_is_col_id(struct mr_parser *p, uint32_t ahead);
bool mr_is_type_name(struct mr_parser *p, uint32_t ahead); // type_function_name
bool mr_is_col_label(struct mr_parser *p, uint32_t ahead);

const char *mr_parse_col_id(struct mr_parser *p);
const char *mr_parse_type_func_name(struct mr_parser *p);
const char *mr_parse_col_label(struct mr_parser *p);
const char *mr_parse_string(struct mr_parser *p); // Sconst
int64_t mr_parse_int(struct mr_parser *p);        // Iconst
// ColId {'.' ColLabel}, at most three parts
struct mr_ast_name mr_parse_qualified_name(struct mr_parser *p);
struct mr_ast_names mr_parse_qualified_names(struct mr_parser *p);
// name {',' name}
struct mr_ast_idents mr_parse_idents(struct mr_parser *p);
// '(' name {',' name} ')', if a parenthesis is there
struct mr_ast_idents mr_parse_opt_idents(struct mr_parser *p);
// The operator at the cursor or OPERATOR '(' [schema '.'] op ')'
const char *mr_parse_qual_op(struct mr_parser *p, const char **schema);

// ---- Grammar ----

struct mr_ast_expr *mr_parse_expr(struct mr_parser *p);         // a_expr
const struct mr_ast_expr *mr_parse_b_expr(struct mr_parser *p); // b_expr
// The rest of an expression whose first operand is read.
struct mr_ast_expr *mr_parse_expr_from(struct mr_parser *p, struct mr_ast_expr *first);
struct mr_ast_exprs mr_parse_exprs(struct mr_parser *p); // a_expr {',' a_expr}

// parse_primary.c
struct mr_ast_expr *mr_parse_c_expr(struct mr_parser *p);
// '(' … ')' that begins with a query: sets *query if it is one, else returns the expression
struct mr_ast_expr *mr_parse_query_parens(struct mr_parser *p, const struct mr_ast_select **query);
// The same behind IN, where several expressions are a list and no row
struct mr_ast_exprs mr_parse_in_query(struct mr_parser *p, const struct mr_ast_select **query);

// parse_call.c. Returns NULL without eating anything if no special form stands here.
struct mr_ast_expr *mr_parse_special(struct mr_parser *p);
// func_application and what follows it, the name being read
struct mr_ast_expr *mr_parse_call(
	struct mr_parser *p, const char *schema, const char *name, int pos, bool windowless);
struct mr_ast_window *mr_parse_window_spec(struct mr_parser *p);

// parse_type.c
const struct mr_ast_type *mr_parse_type(struct mr_parser *p);
// A type's key word that a literal may follow: INTERVAL '1 day', TIME WITH TIME ZONE '…'
bool mr_is_literal_type(struct mr_parser *p);
struct mr_ast_expr *mr_parse_typed_literal(struct mr_parser *p);
struct mr_ast_expr *mr_new_typed_literal(struct mr_parser *p, const char *schema, const char *name,
	struct mr_ast_exprs mods, int pos);

// parse_select.c
bool mr_is_query(struct mr_parser *p); // after any number of '(': SELECT, VALUES, TABLE or WITH
const struct mr_ast_select *mr_parse_select(struct mr_parser *p); // SelectStmt
// SelectStmt behind a WITH clause that is read already; `with` may be NULL
const struct mr_ast_select *mr_parse_select_with(
	struct mr_parser *p, const struct mr_ast_with *with);
const struct mr_ast_select *mr_parse_select_parens(struct mr_parser *p); // select_with_parens
// Goes on behind a query in parentheses that has turned out to be the first operand of another.
const struct mr_ast_select *mr_parse_select_rest(
	struct mr_parser *p, const struct mr_ast_select *first);
bool mr_is_select_rest(struct mr_parser *p);
bool mr_is_emit(struct mr_parser *p); // EMIT ON … of a materialized view: no alias
const struct mr_ast_with *mr_parse_with(struct mr_parser *p);
struct mr_ast_sorts mr_parse_order_by(struct mr_parser *p); // behind ORDER: BY sort {',' sort}
struct mr_ast_targets mr_parse_targets(struct mr_parser *p);

// parse_from.c
const struct mr_ast_from *mr_parse_table_ref(struct mr_parser *p);
const struct mr_ast_from *const *mr_parse_from_list(struct mr_parser *p, uint32_t *count);

// parse_stmt.c and its kin
const struct mr_ast_stmt *mr_parse_stmt(struct mr_parser *p);
struct mr_ast_stmt *mr_new_stmt(struct mr_parser *p, enum mr_ast_stmt_kind kind, int pos);
// Behind WITH: SELECT, INSERT, UPDATE or DELETE
const struct mr_ast_stmt *mr_parse_preparable(struct mr_parser *p);

// parse_dml.c: INSERT, UPDATE, DELETE, COPY; `with` may be NULL
const struct mr_ast_stmt *mr_parse_insert(struct mr_parser *p, const struct mr_ast_with *with);
const struct mr_ast_stmt *mr_parse_update(struct mr_parser *p, const struct mr_ast_with *with);
const struct mr_ast_stmt *mr_parse_delete(struct mr_parser *p, const struct mr_ast_with *with);
const struct mr_ast_stmt *mr_parse_copy(struct mr_parser *p);

// parse_ddl.c
const struct mr_ast_stmt *mr_parse_create(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_drop(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_truncate(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_alter(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_refresh(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_comment(struct mr_parser *p);
struct mr_ast_options mr_parse_reloptions(struct mr_parser *p); // '(' name ['=' value] … ')'

// parse_set.c: SET, RESET, SHOW, transactions
const struct mr_ast_stmt *mr_parse_set(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_reset(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_show(struct mr_parser *p);
const struct mr_ast_stmt *mr_parse_transaction(struct mr_parser *p);
// An option's value: string, word or signed number; `o` gets kind and text.
void mr_parse_option_value(struct mr_parser *p, struct mr_ast_option *o);

// parse_util.c: EXPLAIN, cursors, prepared statements, VACUUM, LISTEN, LOCK …; NULL if none
const struct mr_ast_stmt *mr_parse_utility(struct mr_parser *p);
// '(' name [value] {',' …} ')' of EXPLAIN, VACUUM and COPY
struct mr_ast_options mr_parse_option_list(struct mr_parser *p);
