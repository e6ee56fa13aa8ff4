// Preparing statements, and the cursors that run queries.
#include "host/sql/session_int.h"

#include "host/sql/deparse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENT_BYTES_MAX = 64 << 20 };

static int64_t now_us(const struct mr_session *s)
{
	return s->status == 'I' ? mr_wall_us(s->opts.clock) : s->txn_us;
}

// ---- Statements ----

static int set_columns(struct mr_statement *st)
{
	st->columns_count = st->plan.columns_count;
	st->columns = mr_arena_zalloc(&st->arena, st->columns_count + 1, sizeof(*st->columns));
	if (!st->columns)
		return mr_bind_no_memory(&st->bind);
	for (uint32_t i = 0; i < st->columns_count; i++)
		st->columns[i] = (struct mr_result_column){
			st->plan.root->columns[i].name, st->plan.root->columns[i].type};
	return 0;
}

static int text_column(struct mr_statement *st, const char *name)
{
	st->columns = mr_arena_zalloc(&st->arena, 1, sizeof(*st->columns));
	if (!st->columns)
		return mr_bind_no_memory(&st->bind);
	st->columns_count = 1;
	st->columns[0] = (struct mr_result_column){mr_span_str(name), {.type = MR_TYPE_TEXT}};
	return 0;
}

static int prepare_explain(struct mr_statement *st)
{
	const struct mr_ast_options *o = &st->ast->explain.options;
	const struct mr_ast_stmt *inner = st->ast->explain.stmt;
	int rc;

	for (uint32_t i = 0; i < o->count; i++) {
		const struct mr_ast_option *opt = &o->items[i];
		bool off = strcmp(opt->text, "off") == 0 || strcmp(opt->text, "false") == 0;

		if (strcmp(opt->name, "analyze") == 0)
			st->analyze = !off;
		else if (strcmp(opt->name, "format") == 0 && strcasecmp(opt->text, "text") != 0)
			return mr_bind_unsupported(
				&st->bind, opt->value_pos, "EXPLAIN in format %s", opt->text);
	}
	if (inner->kind != MR_STMT_SELECT)
		return mr_bind_unsupported(
			&st->bind, inner->pos, "EXPLAIN of anything but a query");
	rc = mr_bind_query(&st->bind, inner->select, &st->plan);
	st->has_plan = rc >= 0;
	return rc < 0 ? rc : text_column(st, "QUERY PLAN");
}

static int prepare_execute(struct mr_statement *st)
{
	struct mr_named_statement *n = mr_session_statement(st->session, st->ast->execute.name);
	const struct mr_ast_exprs *args = &st->ast->execute.args;
	struct mr_bind *b = &st->bind;
	uint32_t want;
	const struct mr_typeref *types;

	if (!n)
		return mr_bind_error(b, 0, "26000", "prepared statement \"%s\" does not exist",
			st->ast->execute.name);
	st->inner = mr_statement_get(n->statement);
	want = mr_statement_params(st->inner, &types);
	if (want != args->count) {
		mr_bind_error(b, 0, "42601",
			"wrong number of parameters for prepared statement \"%s\"", n->name);
		mr_diag_detail(b->diag, "Expected %u parameters but got %u.", want, args->count);
		return -EINVAL;
	}
	st->args = mr_arena_zalloc(&st->arena, want + 1, sizeof(*st->args));
	if (!st->args)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < want; i++)
		if (mr_bind_value(b, args->items[i], &st->args[i]) < 0 ||
			mr_bind_coerce(b, st->args[i], types[i], MR_COERCE_ASSIGN, &st->args[i]) <
				0)
			return -EINVAL;
	if (b->subqueries_count)
		return mr_bind_unsupported(b, 0, "a subquery as an argument of EXECUTE");
	st->columns = st->inner->columns;
	st->columns_count = st->inner->columns_count;
	return 0;
}

static int prepare_fetch(struct mr_statement *st)
{
	struct mr_named_cursor *c = mr_session_cursor(st->session, st->ast->fetch.cursor);

	if (!c)
		return mr_bind_error(&st->bind, 0, "34000", "cursor \"%s\" does not exist",
			st->ast->fetch.cursor);
	if (st->ast->fetch.how != MR_AST_FETCH_FORWARD || st->ast->fetch.count < 0)
		return mr_bind_unsupported(&st->bind, 0, "fetching other than forward");
	if (st->ast->fetch.move)
		return 0;
	st->columns = c->statement->columns;
	st->columns_count = c->statement->columns_count;
	st->inner = mr_statement_get(c->statement);
	return 0;
}

static int prepare_show(struct mr_statement *st)
{
	const char *name = st->ast->set.name;
	int i;

	if (strcmp(name, "all") == 0) {
		st->columns = mr_arena_zalloc(&st->arena, 3, sizeof(*st->columns));
		if (!st->columns)
			return mr_bind_no_memory(&st->bind);
		st->columns_count = 3;
		st->columns[0].name = mr_span_str("name");
		st->columns[1].name = mr_span_str("setting");
		st->columns[2].name = mr_span_str("description");
		for (i = 0; i < 3; i++)
			st->columns[i].type.type = MR_TYPE_TEXT;
		return 0;
	}
	i = mr_setting_find(name);
	return text_column(st, i < 0 ? name : mr_setting_at((size_t)i)->name);
}

static int prepare_kind(struct mr_statement *st)
{
	int rc;

	switch (st->ast->kind) {
	case MR_STMT_SELECT:
		rc = mr_bind_query(&st->bind, st->ast->select, &st->plan);
		st->has_plan = rc >= 0;
		return rc < 0 ? rc : set_columns(st);
	case MR_STMT_INSERT: return mr_insert_prepare(st);
	case MR_STMT_EXPLAIN: return prepare_explain(st);
	case MR_STMT_EXECUTE: return prepare_execute(st);
	case MR_STMT_FETCH: return prepare_fetch(st);
	case MR_STMT_SHOW: return prepare_show(st);
	default: return mr_command_prepare(st, st->bind.diag);
	}
}

// Parameters that nothing gave a type are text, as for clients that send text.
static void finish_params(struct mr_statement *st)
{
	for (uint32_t i = 0; i < st->bind.params_count; i++)
		if (st->bind.params[i].type == MR_TYPE_NULL)
			st->bind.params[i].type = MR_TYPE_TEXT;
}

// COMMIT, ROLLBACK and ROLLBACK TO: what a block that failed still takes.
static bool ends_failure(const struct mr_ast_stmt *ast)
{
	return ast->kind == MR_STMT_TRANSACTION &&
	       (ast->txn.what == MR_AST_TXN_COMMIT || ast->txn.what == MR_AST_TXN_ROLLBACK ||
		       ast->txn.what == MR_AST_TXN_ROLLBACK_TO);
}

static int prepare(struct mr_statement *st, struct mr_span whole, struct mr_span *text,
	const struct mr_typeref *types, uint32_t types_count, struct mr_diag *diag)
{
	struct mr_session *s = st->session;
	int rc = mr_sql_parse_next(whole, text, &st->arena, &st->ast, diag);

	if (rc < 0 || !st->ast)
		return rc;
	if (s->status == 'E' && !ends_failure(st->ast))
		return mr_diag_set(diag, -EINVAL, "25P02", 0,
			"current transaction is aborted, commands ignored until end of transaction "
			"block");
	st->bind = (struct mr_bind){.env = s->opts.env,
		.arena = &st->arena,
		.diag = diag,
		.session = s,
		.query = {.arena = &st->arena, .tz = s->tz, .now_us = now_us(s)}};
	st->bind.params = mr_arena_zalloc(&st->arena, MR_BIND_PARAMS_MAX, sizeof(*types));
	if (!st->bind.params)
		return mr_bind_no_memory(&st->bind);
	st->bind.params_count = MR_MIN(types_count, (uint32_t)MR_BIND_PARAMS_MAX);
	if (st->bind.params_count)
		memcpy(st->bind.params, types, st->bind.params_count * sizeof(*types));
	rc = prepare_kind(st);
	finish_params(st);
	return rc;
}

int mr_statement_prepare(struct mr_session *s, struct mr_span whole, struct mr_span *text,
	const struct mr_typeref *types, uint32_t types_count, struct mr_statement **out,
	struct mr_diag *diag)
{
	struct mr_statement *st = calloc(1, sizeof(*st));
	struct mr_diag mine;
	int rc;

	*out = NULL;
	diag = diag ? diag : &mine;
	if (!st)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	st->references = 1;
	st->session = s;
	st->env = s->opts.env;
	mr_budget_init(&st->memory, s->opts.memory, STATEMENT_BYTES_MAX);
	mr_arena_init_budget(&st->arena, &st->memory);
	rc = prepare(st, whole, text, types, types_count, diag);
	st->bind.diag = NULL;
	if (rc < 0)
		mr_session_fail(s);
	if (rc < 0 || !st->ast) {
		mr_statement_destroy(st);
		return rc < 0 ? rc : 0;
	}
	*out = st;
	return 0;
}

struct mr_statement *mr_statement_get(struct mr_statement *st)
{
	st->references++;
	return st;
}

void mr_statement_destroy(struct mr_statement *st)
{
	if (!st || --st->references)
		return;
	mr_bind_fini(&st->bind);
	mr_statement_destroy(st->inner);
	mr_arena_fini(&st->arena);
	free(st);
}

uint32_t mr_statement_params(const struct mr_statement *st, const struct mr_typeref **types)
{
	*types = st->bind.params;
	return st->bind.params_count;
}

uint32_t mr_statement_columns(const struct mr_statement *st, const struct mr_result_column **out)
{
	*out = st->columns;
	return st->columns_count;
}

// ---- Cursors ----

static int copy_params(struct mr_cursor *c, const struct mr_param *params, uint32_t count)
{
	const struct mr_typeref *types;
	uint32_t want = mr_statement_params(c->statement, &types);

	if (count != want)
		return mr_diag_set(c->diag, -EINVAL, "08P01", 0,
			"bind message supplies %u parameters, but the statement requires %u", count,
			want);
	c->params_count = want;
	c->params = mr_arena_zalloc(&c->arena, want + 1, sizeof(*c->params));
	for (uint32_t i = 0; c->params && i < want; i++) {
		struct mr_datum *d = &c->params[i];

		d->null = params[i].value == NULL;
		if (d->null)
			continue;
		memcpy(&d->value, params[i].value, mr_phys_bytes(mr_type_phys(types[i])));
		if (mr_type_phys(types[i]) != MR_PHYS_BYTES)
			continue;
		d->value.str.data =
			mr_arena_copy(&c->arena, mr_span(d->value.str.data, d->value.str.bytes))
				.data;
		if (!d->value.str.data)
			c->params = NULL;
	}
	if (!c->params)
		return mr_diag_set(c->diag, -ENOMEM, "53200", 0, "out of memory");
	return 0;
}

int mr_cursor_open(struct mr_session *s, struct mr_statement *st, const struct mr_param *params,
	uint32_t params_count, struct mr_cursor **out, struct mr_diag *diag)
{
	struct mr_cursor *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	c->session = s;
	c->older = s->open;
	if (s->open)
		s->open->newer = c;
	s->open = c;
	c->statement = mr_statement_get(st);
	c->diag = diag;
	mr_budget_init(&c->memory, s->opts.memory, s->opts.query_bytes_max);
	mr_arena_init_budget(&c->arena, &c->memory);
	mr_arena_init_budget(&c->scratch, &c->memory);
	c->query = (struct mr_query){.arena = &c->arena,
		.memory = &c->memory,
		.pins = s->opts.pins,
		.cancelled = s->opts.cancelled,
		.now_us = now_us(s),
		.tz = s->tz};
	rc = s->status == 'E' && !ends_failure(st->ast)
		     ? mr_diag_set(diag, -EINVAL, "25P02", 0,
			       "current transaction is aborted, commands ignored until end of "
			       "transaction block")
		     : copy_params(c, params, params_count);
	if (rc < 0) {
		mr_session_fail(s);
		mr_cursor_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

int mr_cursor_start(struct mr_cursor *c, struct mr_diag *diag)
{
	struct mr_session *s = c->session;
	int64_t timeout = mr_setting_timeout_ms(s);

	c->running = true;
	c->run = (struct mr_run){.query = &c->query,
		.diag = diag,
		.clock = s->opts.clock,
		.deadline_ns = timeout ? mr_now_ns(s->opts.clock) + timeout * 1000000 : 0,
		.params = c->params,
		.session = s,
		.timed = c->statement->analyze};
	return mr_run_open(&c->run, &c->statement->plan);
}

int mr_batch_block(struct mr_eval *ev, const struct mr_batch *b, uint32_t at, uint32_t n,
	uint32_t columns_count, struct mr_block *out)
{
	struct mr_col *columns = mr_arena_zalloc(ev->arena, columns_count + 1, sizeof(*columns));
	const uint32_t *sel = b->sel ? b->sel + at : NULL;

	if (!columns)
		return mr_eval_no_memory(ev);
	if (!sel && (at > 0 || n < b->rows)) {
		uint32_t *all = mr_arena_alloc(ev->arena, (n + 1) * sizeof(*all));

		if (!all)
			return mr_eval_no_memory(ev);
		for (uint32_t k = 0; k < n; k++)
			all[k] = at + k;
		sel = all;
	}
	for (uint32_t i = 0; i < columns_count; i++) {
		int rc = mr_vec_gather(
			ev, &(struct mr_vec){.col = b->columns[i]}, sel, n, &columns[i]);

		if (rc < 0)
			return rc;
	}
	*out = (struct mr_block){.rows = n, .columns = columns};
	return 0;
}

// The next rows of a query.
static int query_next(
	struct mr_cursor *c, uint32_t rows_max, struct mr_block *out, struct mr_diag *diag)
{
	struct mr_eval ev = {.query = &c->query, .arena = &c->scratch, .diag = diag};
	uint32_t n;
	int rc;

	if (c->revoked)
		return mr_query_revoked(diag);
	rc = c->running ? 0 : mr_cursor_start(c, diag);
	c->run.diag = diag;
	for (struct mr_op *op = c->run.ops; op; op = op->older)
		op->eval.diag = diag;
	if (rc < 0)
		return rc;
	while (c->batch_at >= c->batch.n) {
		rc = mr_run_next(&c->run, &c->batch);
		if (rc <= 0) {
			snprintf(
				c->tag, sizeof(c->tag), "SELECT %llu", (unsigned long long)c->rows);
			return rc;
		}
		c->batch_at = 0;
	}
	n = c->batch.n - c->batch_at;
	n = rows_max ? MR_MIN(n, rows_max) : n;
	mr_arena_reset(&c->scratch);
	ev.rows = c->batch.rows;
	rc = mr_batch_block(&ev, &c->batch, c->batch_at, n, c->statement->plan.columns_count, out);
	if (rc < 0)
		return rc;
	c->batch_at += n;
	c->rows += n;
	return 1;
}

static int fetch_next(
	struct mr_cursor *c, uint32_t rows_max, struct mr_block *out, struct mr_diag *diag)
{
	const struct mr_ast_stmt *ast = c->statement->ast;
	struct mr_named_cursor *n = mr_session_cursor(c->session, ast->fetch.cursor);
	int rc = 0;

	if (!n)
		return mr_diag_set(diag, -ENOENT, "34000", 0, "cursor \"%s\" does not exist",
			ast->fetch.cursor);
	if (!c->running) {
		c->running = true;
		c->left = ast->fetch.count;
	}
	while (c->left > 0) {
		uint32_t want = (uint32_t)MR_MIN(c->left, (int64_t)(rows_max ? rows_max : 65536));

		rc = n->cursor->done ? 0 : query_next(n->cursor, want, out, diag);
		if (rc <= 0) {
			n->cursor->done = true;
			break;
		}
		c->left -= out->rows;
		c->rows += out->rows;
		if (!ast->fetch.move)
			return 1;
	}
	snprintf(c->tag, sizeof(c->tag), "%s %llu", ast->fetch.move ? "MOVE" : "FETCH",
		(unsigned long long)c->rows);
	return MR_MIN(rc, 0); // rows that were moved over are nobody's
}

static int execute_open(struct mr_cursor *c, struct mr_diag *diag)
{
	struct mr_statement *st = c->statement;
	struct mr_eval ev = {.query = &c->query,
		.arena = &c->arena,
		.diag = diag,
		.rows = 1,
		.params = c->params,
		.session = c->session};
	uint32_t count = st->inner->bind.params_count;
	struct mr_param *params = mr_arena_zalloc(&c->arena, count + 1, sizeof(*params));

	if (!params)
		return mr_eval_no_memory(&ev);
	for (uint32_t i = 0; i < count; i++) {
		struct mr_vec v;
		int rc = mr_expr_eval(&ev, st->args[i], NULL, 1, &v);

		if (rc < 0)
			return rc;
		params[i].value = mr_vec_is_null(&v, 0) ? NULL : mr_vec_at(&v, 0);
	}
	return mr_cursor_open(c->session, st->inner, params, count, &c->inner, diag);
}

static int execute_next(
	struct mr_cursor *c, uint32_t rows_max, struct mr_block *out, struct mr_diag *diag)
{
	int rc = c->inner ? 0 : execute_open(c, diag);

	rc = rc < 0 ? rc : mr_cursor_next(c->inner, rows_max, out, diag);
	if (rc == 0)
		snprintf(c->tag, sizeof(c->tag), "%s", mr_cursor_tag(c->inner));
	return rc;
}

// SHOW: one row of text, or three columns of all settings.
static int show_next(struct mr_cursor *c, struct mr_block *out, struct mr_diag *diag)
{
	const char *name = c->statement->ast->set.name;
	bool all = strcmp(name, "all") == 0;
	uint32_t n = all ? 0 : 1, width = c->statement->columns_count;
	struct mr_col *columns = mr_arena_zalloc(&c->arena, width, sizeof(*columns));
	struct mr_span value = {0};

	snprintf(c->tag, sizeof(c->tag), "SHOW");
	if (c->running)
		return 0;
	c->running = true;
	while (all && mr_setting_at(n))
		n++;
	if (!all && mr_setting_value(c->session, name))
		value = mr_span_str(mr_setting_value(c->session, name));
	else if (!all && !(c->session->opts.env->ops->setting &&
				 c->session->opts.env->ops->setting(c->session->opts.env, &c->arena,
					 mr_span_str(name), &value)))
		return mr_diag_set(diag, -ENOENT, "42704", 0,
			"unrecognized configuration parameter \"%s\"", name);
	for (uint32_t k = 0; columns && k < width; k++) {
		struct mr_str *v = mr_arena_column(&c->arena, n * sizeof(*v));

		columns[k] = (struct mr_col){
			.type.type = MR_TYPE_TEXT, .phys = MR_PHYS_BYTES, .values = v};
		if (!v)
			return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
		for (uint32_t i = 0; i < n; i++) {
			if (all)
				value = mr_span_str(k == 0   ? mr_setting_at(i)->name
						    : k == 1 ? mr_setting_current(c->session, i)
							     : "");
			v[i] = (struct mr_str){value.data, (uint32_t)value.bytes, 0};
		}
	}
	*out = (struct mr_block){.rows = n, .columns = columns};
	return 1;
}

static int explain_next(struct mr_cursor *c, struct mr_block *out, struct mr_diag *diag)
{
	snprintf(c->tag, sizeof(c->tag), "EXPLAIN");
	if (c->left++)
		return 0;
	return mr_explain(c, diag, out);
}

static int dispatch(
	struct mr_cursor *c, uint32_t rows_max, struct mr_block *out, struct mr_diag *diag)
{
	switch (c->statement->ast->kind) {
	case MR_STMT_SELECT: return query_next(c, rows_max, out, diag);
	case MR_STMT_FETCH: return fetch_next(c, rows_max, out, diag);
	case MR_STMT_EXECUTE: return execute_next(c, rows_max, out, diag);
	case MR_STMT_SHOW: return show_next(c, out, diag);
	case MR_STMT_EXPLAIN: return explain_next(c, out, diag);
	case MR_STMT_INSERT: return mr_insert_run(c, diag);
	default: return mr_command_run(c, diag);
	}
}

int mr_cursor_next(
	struct mr_cursor *c, uint32_t rows_max, struct mr_block *out, struct mr_diag *diag)
{
	struct mr_diag mine;
	int rc;

	if (c->done)
		return 0;
	rc = dispatch(c, rows_max, out, diag ? diag : &mine);
	c->done = rc <= 0;
	if (rc < 0)
		mr_session_fail(c->session);
	return rc;
}

const char *mr_cursor_tag(const struct mr_cursor *c)
{
	return c->tag;
}

void mr_session_let_go(struct mr_session *s)
{
	for (struct mr_cursor *c = s->open; c; c = c->older) {
		if (!c->run.ops)
			continue;
		mr_run_close(&c->run);
		c->revoked = true;
	}
}

void mr_cursor_close(struct mr_cursor *c)
{
	if (!c)
		return;
	*(c->newer ? &c->newer->older : &c->session->open) = c->older;
	if (c->older)
		c->older->newer = c->newer;
	mr_run_close(&c->run);
	mr_cursor_close(c->inner);
	mr_arena_fini(&c->scratch);
	mr_arena_fini(&c->arena);
	mr_statement_destroy(c->statement);
	free(c);
}
