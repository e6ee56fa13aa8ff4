// The parser's door and its floor: entry points, the token window, failure, memory.
#include "host/sql/parse_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

// ---- Failure ----

static void stop(struct mr_parser *p, int err, int pos)
{
	p->failed = err;
	p->end = (struct mr_token){.kind = MR_TOK_END, .pos = pos, .text = ""};
}

void mr_parse_fail(
	struct mr_parser *p, int err, const char *sqlstate, int pos, const char *fmt, ...)
{
	char message[sizeof(p->diag->message)];
	va_list args;

	if (p->failed)
		return;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	stop(p, mr_diag_set(p->diag, err, sqlstate, pos, "%s", message), pos);
}

void mr_parse_syntax(struct mr_parser *p)
{
	const struct mr_token *t = mr_cur(p);

	if (t->kind == MR_TOK_ERROR) {
		if (p->diag)
			*p->diag = p->lexer.diag;
		stop(p, p->lexer.err, t->pos);
	} else if (t->kind == MR_TOK_END) {
		mr_parse_fail(p, -EINVAL, "42601", t->pos, "syntax error at end of input");
	} else {
		mr_parse_fail(p, -EINVAL, "42601", t->pos, "syntax error at or near \"%.*s\"",
			(int)MR_MIN(t->bytes, (uint32_t)sizeof(p->diag->message)),
			p->lexer.text + t->off);
	}
}

void mr_parse_unsupported(struct mr_parser *p, const char *what)
{
	mr_parse_fail(p, MR_ERR_UNSUPPORTED, "0A000", mr_pos(p), "%s not supported", what);
}

static void fail_memory(struct mr_parser *p)
{
	mr_parse_fail(p, -ENOMEM, "53200", 0, "out of memory");
}

static void fail_depth(struct mr_parser *p)
{
	mr_parse_fail(p, MR_ERR_LIMIT, "54001", mr_pos(p), "statement is nested too deeply");
	mr_diag_hint(p->diag, "The limit is %d levels.", MR_SQL_DEPTH_MAX);
}

bool mr_parse_enter(struct mr_parser *p)
{
	if (p->depth++ < MR_SQL_DEPTH_MAX)
		return true;
	if (!p->failed)
		fail_depth(p);
	return false;
}

// ---- Tokens ----

static bool grow_window(struct mr_parser *p)
{
	uint32_t max = MR_MAX(p->max * 2, (uint32_t)64);
	struct mr_token *tokens = mr_arena_alloc(p->arena, max * sizeof(*tokens));

	if (!tokens) {
		fail_memory(p);
		return false;
	}
	if (p->loaded)
		memcpy(tokens, p->tokens, p->loaded * sizeof(*tokens));
	p->tokens = tokens;
	p->max = max;
	return true;
}

const struct mr_token *mr_parse_peek(struct mr_parser *p, uint32_t ahead)
{
	while (!p->failed && p->at + ahead >= p->loaded) {
		if (p->loaded == p->max && !grow_window(p))
			break;
		mr_lex_next(&p->lexer, &p->tokens[p->loaded++]);
	}
	return p->failed ? &p->end : &p->tokens[p->at + ahead];
}

void mr_parse_eat(struct mr_parser *p)
{
	const struct mr_token *t = mr_cur(p);

	if (p->failed)
		return;
	if (t->kind == MR_TOK_END || t->kind == MR_TOK_ERROR) {
		mr_parse_syntax(p);
		return;
	}
	p->eaten_off = t->off + t->bytes;
	if (++p->at == p->loaded)
		p->at = p->loaded = 0;
}

bool mr_is_op(struct mr_parser *p, const char *op)
{
	const struct mr_token *t = mr_cur(p);

	return t->kind == MR_TOK_OP && strcmp(t->text, op) == 0;
}

bool mr_is_word_at(struct mr_parser *p, uint32_t ahead, const char *word)
{
	const struct mr_token *t = mr_parse_peek(p, ahead);

	return t->kind == MR_TOK_WORD && strcmp(t->text, word) == 0;
}

static bool eat_if(struct mr_parser *p, bool yes)
{
	if (yes)
		mr_parse_eat(p);
	return yes;
}

bool mr_accept_kw(struct mr_parser *p, enum mr_keyword k)
{
	return eat_if(p, mr_is_kw(p, k));
}

bool mr_accept_kws(struct mr_parser *p, enum mr_keyword a, enum mr_keyword b)
{
	if (!mr_is_kw(p, a) || !mr_is_kw_at(p, 1, b))
		return false;
	mr_parse_eat(p);
	mr_parse_eat(p);
	return true;
}

bool mr_accept_char(struct mr_parser *p, char c)
{
	return eat_if(p, mr_is_char(p, c));
}

bool mr_accept_op(struct mr_parser *p, const char *op)
{
	return eat_if(p, mr_is_op(p, op));
}

void mr_expect_kw(struct mr_parser *p, enum mr_keyword k)
{
	if (!mr_accept_kw(p, k))
		mr_parse_syntax(p);
}

void mr_expect_char(struct mr_parser *p, char c)
{
	if (!mr_accept_char(p, c))
		mr_parse_syntax(p);
}

void mr_expect_op(struct mr_parser *p, const char *op)
{
	if (!mr_accept_op(p, op))
		mr_parse_syntax(p);
}

// ---- Memory ----

static void *nil(struct mr_parser *p)
{
	memset(p->nil, 0, sizeof(p->nil));
	return p->nil;
}

void *mr_parse_new(struct mr_parser *p, size_t bytes)
{
	void *node;

	MR_ASSERT(bytes <= sizeof(p->nil));
	if (!p->failed && ++p->nodes > MR_SQL_NODES_MAX)
		mr_parse_fail(p, MR_ERR_LIMIT, "54000", mr_pos(p),
			"statement has more than %d parts", MR_SQL_NODES_MAX);
	if (p->failed)
		return nil(p);
	node = mr_arena_zalloc(p->arena, 1, bytes);
	if (node)
		return node;
	fail_memory(p);
	return nil(p);
}

char *mr_parse_text(struct mr_parser *p, const char *fmt, ...)
{
	va_list args;
	va_list again;
	char *text;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, args);
	text = p->failed ? NULL : mr_arena_alloc(p->arena, (size_t)n + 1);
	if (text)
		vsnprintf(text, (size_t)n + 1, fmt, again);
	else
		fail_memory(p);
	va_end(again);
	va_end(args);
	return text ? text : nil(p);
}

void *mr_list_add(struct mr_parser *p, struct mr_list *l, size_t item_bytes)
{
	void *item;

	if (!p->failed && ++p->nodes > MR_SQL_NODES_MAX)
		mr_parse_fail(p, MR_ERR_LIMIT, "54000", mr_pos(p),
			"statement has more than %d parts", MR_SQL_NODES_MAX);
	if (!p->failed && l->count == l->max) {
		uint32_t max = MR_MAX(l->max * 2, (uint32_t)4);
		void *items = mr_arena_alloc(p->arena, max * item_bytes);

		if (!items)
			fail_memory(p);
		else if (l->count)
			memcpy(items, l->items, l->count * item_bytes);
		l->items = items;
		l->max = max;
	}
	if (p->failed)
		return nil(p);
	item = (char *)l->items + item_bytes * l->count++;
	memset(item, 0, item_bytes);
	return item;
}

void mr_list_expr(struct mr_parser *p, struct mr_list *l, const struct mr_ast_expr *e)
{
	const struct mr_ast_expr **item = mr_list_add(p, l, sizeof(e));

	if (!p->failed)
		*item = e;
}

// ---- Entry points ----

static int start(struct mr_parser *p, struct mr_span whole, size_t from, struct mr_arena *arena,
	struct mr_diag *diag)
{
	size_t bad;

	*p = (struct mr_parser){.arena = arena, .diag = diag};
	if (whole.bytes > MR_SQL_TEXT_BYTES_MAX)
		return mr_diag_set(diag, MR_ERR_LIMIT, "54000", 0,
			"SQL text is longer than %d bytes", MR_SQL_TEXT_BYTES_MAX);
	bad = mr_sql_utf8_bad(mr_span(whole.data + from, whole.bytes - from));
	if (from + bad < whole.bytes)
		return mr_diag_set(diag, -EILSEQ, "22021", 0,
			"invalid byte sequence for encoding \"UTF8\": 0x%02x",
			whole.data[from + bad]);
	mr_lex_init(&p->lexer, whole, (uint32_t)from, arena);
	return 0;
}

// One statement up to its semicolon or the end, NULL if there is nothing.
static const struct mr_ast_stmt *next_stmt(struct mr_parser *p)
{
	const struct mr_ast_stmt *stmt;

	while (mr_accept_char(p, ';'))
		;
	if (mr_is_tok(p, MR_TOK_END))
		return NULL;
	p->params = 0;
	stmt = mr_parse_stmt(p);
	if (!mr_is_tok(p, MR_TOK_END))
		mr_expect_char(p, ';');
	return p->failed ? NULL : stmt;
}

int mr_sql_parse(struct mr_span text, struct mr_arena *arena, struct mr_ast_script *out,
	struct mr_diag *diag)
{
	struct mr_parser p;
	struct mr_list list = {0};
	const struct mr_ast_stmt *stmt;
	int rc = start(&p, text, 0, arena, diag);

	*out = (struct mr_ast_script){0};
	if (rc < 0)
		return rc;
	while ((stmt = next_stmt(&p))) {
		const struct mr_ast_stmt **item = mr_list_add(&p, &list, sizeof(stmt));

		if (!p.failed)
			*item = stmt;
	}
	if (p.failed)
		return p.failed;
	*out = (struct mr_ast_script){list.items, list.count};
	return 0;
}

int mr_sql_parse_next(struct mr_span whole, struct mr_span *rest, struct mr_arena *arena,
	const struct mr_ast_stmt **out, struct mr_diag *diag)
{
	struct mr_parser p;
	size_t from = whole.bytes - rest->bytes;
	int rc;

	MR_ASSERT(rest->bytes <= whole.bytes && rest->data == whole.data + from);
	*out = NULL;
	rc = start(&p, whole, from, arena, diag);
	if (rc < 0)
		return rc;
	*out = next_stmt(&p);
	if (p.failed)
		return p.failed;
	from = *out ? p.eaten_off : whole.bytes;
	*rest = mr_span(whole.data + from, whole.bytes - from);
	return 0;
}

int mr_sql_parse_expr(struct mr_span text, struct mr_arena *arena, const struct mr_ast_expr **out,
	struct mr_diag *diag)
{
	struct mr_parser p;
	int rc = start(&p, text, 0, arena, diag);

	*out = NULL;
	if (rc < 0)
		return rc;
	*out = mr_parse_expr(&p);
	if (!mr_is_tok(&p, MR_TOK_END))
		mr_parse_syntax(&p);
	if (p.failed)
		*out = NULL;
	return p.failed;
}
