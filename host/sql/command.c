// Statements that are not queries: DDL, transactions, settings, cursors, prepared statements.
#include "host/sql/session_int.h"

#include "host/sql/deparse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tag(struct mr_cursor *c, const char *text)
{
	snprintf(c->tag, sizeof(c->tag), "%s", text);
	return 0;
}

static int no_memory(struct mr_diag *diag)
{
	return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
}

// ---- Preparing ----

static const char *kind_name(uint8_t kind)
{
	switch ((enum mr_ast_stmt_kind)kind) {
	case MR_STMT_UPDATE: return "UPDATE";
	case MR_STMT_DELETE: return "DELETE";
	case MR_STMT_CREATE_TABLE_AS: return "CREATE TABLE AS";
	case MR_STMT_CREATE_VIEW: return "CREATE VIEW";
	case MR_STMT_REFRESH: return "REFRESH MATERIALIZED VIEW";
	case MR_STMT_ALTER: return "ALTER";
	case MR_STMT_COMMENT: return "COMMENT";
	case MR_STMT_COPY: return "COPY";
	case MR_STMT_LISTEN: return "LISTEN";
	case MR_STMT_NOTIFY: return "NOTIFY";
	case MR_STMT_LOCK: return "LOCK TABLE";
	default: return NULL;
	}
}

static int options_of(
	struct mr_statement *st, const struct mr_ast_options *from, const struct mr_option **out)
{
	struct mr_option *o = mr_arena_zalloc(&st->arena, from->count + 1, sizeof(*o));

	if (!o)
		return mr_bind_no_memory(&st->bind);
	for (uint32_t i = 0; i < from->count; i++)
		o[i] = (struct mr_option){mr_span_str(from->items[i].name),
			mr_span_str(from->items[i].text), from->items[i].value_pos};
	*out = o;
	return 0;
}

static int table_column(
	struct mr_statement *st, const struct mr_ast_column_def *d, struct mr_relation_column *out)
{
	int rc;

	if (!d->type)
		return mr_bind_error(
			&st->bind, d->pos, "42601", "column \"%s\" has no type", d->name);
	rc = mr_bind_type(&st->bind, d->type, &out->type);
	if (rc < 0)
		return rc;
	if (out->type.type == MR_TYPE_INTERVAL)
		return mr_bind_unsupported(&st->bind, d->pos, "a column of type interval");
	if (d->primary_key || d->unique)
		return mr_bind_unsupported(&st->bind, d->pos, "a key of a table");
	if (d->default_value)
		return mr_bind_unsupported(&st->bind, d->pos, "DEFAULT of a column");
	out->name = mr_span_str(d->name);
	out->not_null = d->not_null;
	return 0;
}

static int prepare_create_table(struct mr_statement *st)
{
	const struct mr_ast_stmt *a = st->ast;
	uint32_t n = a->create_table.columns.count;
	struct mr_relation_column *columns = mr_arena_zalloc(&st->arena, n + 1, sizeof(*columns));

	if (!columns)
		return mr_bind_no_memory(&st->bind);
	if (a->create_table.primary_key.count)
		return mr_bind_unsupported(&st->bind, a->pos, "a key of a table");
	if (a->create_table.name.schema && strcmp(a->create_table.name.schema, "public") != 0)
		return mr_bind_unsupported(&st->bind, a->create_table.name.pos,
			"a table in schema \"%s\"", a->create_table.name.schema);
	for (uint32_t i = 0; i < n; i++) {
		const struct mr_ast_column_def *d = &a->create_table.columns.items[i];
		int rc = table_column(st, d, &columns[i]);

		if (rc < 0)
			return rc;
		for (uint32_t k = 0; k < i; k++)
			if (mr_span_eq(columns[k].name, columns[i].name))
				return mr_bind_error(&st->bind, d->pos, "42701",
					"column \"%s\" specified more than once", d->name);
	}
	st->create = (struct mr_create_table){.name = mr_span_str(a->create_table.name.name),
		.if_not_exists = a->create_table.if_not_exists,
		.columns = columns,
		.columns_count = n,
		.options_count = a->create_table.options.count,
		.name_position = a->create_table.name.pos};
	return options_of(st, &a->create_table.options, &st->create.options);
}

// Binds the query once for errors with positions in the statement; the fold is compiled when run.
static int prepare_create_view(struct mr_statement *st)
{
	const struct mr_ast_stmt *a = st->ast;
	struct mr_query_plan plan;

	st->bind.no_params = true;
	if (a->create_view.or_replace || a->create_view.columns.count)
		return mr_bind_unsupported(&st->bind, a->pos, "OR REPLACE or a column list here");
	if (a->create_view.with_no_data)
		return mr_bind_unsupported(&st->bind, a->pos, "WITH NO DATA");
	if (a->create_view.emit == MR_AST_EMIT_ON_WINDOW_CLOSE)
		return mr_bind_unsupported(&st->bind, a->pos, "EMIT ON WINDOW CLOSE");
	return mr_bind_query(&st->bind, a->create_view.query, &plan);
}

static int prepare_drop(struct mr_statement *st)
{
	uint8_t object = st->ast->drop.object;

	if (st->ast->kind == MR_STMT_TRUNCATE || object == MR_AST_OBJECT_TABLE ||
		object == MR_AST_OBJECT_MATERIALIZED_VIEW)
		return 0;
	return mr_bind_unsupported(&st->bind, st->ast->pos, "DROP of such an object");
}

int mr_command_prepare(struct mr_statement *st, struct mr_diag *)
{
	const char *refused = kind_name(st->ast->kind);

	if (refused)
		return mr_bind_unsupported(&st->bind, st->ast->pos, "%s", refused);
	switch (st->ast->kind) {
	case MR_STMT_CREATE_TABLE: return prepare_create_table(st);
	case MR_STMT_CREATE_MATERIALIZED_VIEW: return prepare_create_view(st);
	case MR_STMT_DROP:
	case MR_STMT_TRUNCATE: return prepare_drop(st);
	case MR_STMT_DECLARE: {
		struct mr_query_plan plan;

		return mr_bind_query(&st->bind, st->ast->declare.query, &plan);
	}
	default: return 0;
	}
}

// ---- Definitions ----

static int run_create_view(struct mr_cursor *c, struct mr_diag *diag)
{
	struct mr_statement *st = c->statement;
	const struct mr_ast_stmt *a = st->ast;
	struct mr_buf text = {.budget = c->query.memory};
	struct mr_create_view v = {.name = mr_span_str(a->create_view.name.name),
		.if_not_exists = a->create_view.if_not_exists,
		.options_count = a->create_view.options.count,
		.name_position = a->create_view.name.pos,
		.cancelled = c->session->opts.cancelled};
	int rc;

	mr_ast_print_select(&text, a->create_view.query);
	v.query = mr_buf_span(&text);
	rc = text.failed ? no_memory(diag) : mr_fold_compile(st->env, v.query, &v.fold, diag);
	st->bind.diag = diag;
	if (rc >= 0) {
		rc = options_of(st, &a->create_view.options, &v.options);
		if (rc >= 0)
			rc = st->env->ops->create_view(st->env, &v, diag);
		if (rc != 0)
			mr_fold_destroy(v.fold);
	}
	mr_buf_fini(&text);
	return rc < 0 ? rc : tag(c, "CREATE MATERIALIZED VIEW");
}

static int run_drop(struct mr_cursor *c, struct mr_diag *diag)
{
	const struct mr_ast_stmt *a = c->statement->ast;
	struct mr_env *env = c->statement->env;
	bool view = a->drop.object == MR_AST_OBJECT_MATERIALIZED_VIEW;

	for (uint32_t i = 0; i < a->drop.names.count; i++) {
		struct mr_drop d = {.kind = view ? MR_DROP_VIEW : MR_DROP_TABLE,
			.name = mr_span_str(a->drop.names.items[i].name),
			.if_exists = a->drop.if_exists,
			.cascade = a->drop.cascade,
			.name_position = a->drop.names.items[i].pos};
		int rc = env->ops->drop(env, &d, diag);

		if (rc < 0)
			return rc;
	}
	return tag(c, view ? "DROP MATERIALIZED VIEW" : "DROP TABLE");
}

// TRUNCATE and VACUUM: each named relation, found now.
static int on_relations(struct mr_cursor *c, const struct mr_ast_names *names,
	int (*act)(struct mr_env *, const struct mr_relation *, _Atomic bool *, struct mr_diag *),
	struct mr_diag *diag)
{
	struct mr_env *env = c->statement->env;

	for (uint32_t i = 0; i < names->count; i++) {
		const struct mr_ast_name *n = &names->items[i];
		const struct mr_relation *r = env->ops->relation_get(
			env, mr_span_str(n->schema ? n->schema : ""), mr_span_str(n->name));
		int rc;

		if (!r)
			return mr_diag_set(diag, -ENOENT, "42P01", n->pos,
				"relation \"%s\" does not exist", n->name);
		rc = act(env, r, c->session->opts.cancelled, diag);
		env->ops->relation_put(env, r);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int run_vacuum(struct mr_cursor *c, struct mr_diag *diag)
{
	const struct mr_ast_stmt *a = c->statement->ast;
	struct mr_env *env = c->statement->env;
	int rc = 0;

	if (a->vacuum.analyze_only)
		return tag(c, "ANALYZE");
	rc = a->vacuum.tables.count ? on_relations(c, &a->vacuum.tables, env->ops->vacuum, diag)
				    : env->ops->vacuum(env, NULL, c->session->opts.cancelled, diag);
	return rc < 0 ? rc : tag(c, "VACUUM");
}

// ---- Transactions ----

static int add_savepoint(struct mr_session *s, const char *name, struct mr_diag *diag)
{
	struct mr_savepoint *p;
	uint32_t count = 0;

	for (p = s->savepoints; p; p = p->older)
		count++;
	if (count == MR_SAVEPOINTS_MAX)
		return mr_diag_set(diag, MR_ERR_LIMIT, "54000", 0,
			"a transaction block can have at most %d savepoints", MR_SAVEPOINTS_MAX);
	p = calloc(1, sizeof(*p));
	if (p)
		p->name = strdup(name);
	if (!p || !p->name) {
		free(p);
		return no_memory(diag);
	}
	p->older = s->savepoints;
	s->savepoints = p;
	return 0;
}

// SAVEPOINT, RELEASE, ROLLBACK TO: blocks undo nothing, but one that failed can be used again.
static int run_savepoint(struct mr_cursor *c, struct mr_diag *diag)
{
	static const char *const names[] = {
		"SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT"};
	const struct mr_ast_stmt *a = c->statement->ast;
	struct mr_session *s = c->session;
	struct mr_savepoint *p = s->savepoints;
	int rc;

	if (s->status == 'I')
		return mr_diag_set(diag, -EINVAL, "25P01", 0,
			"%s can only be used in transaction blocks",
			names[a->txn.what - MR_AST_TXN_SAVEPOINT]);
	if (a->txn.what == MR_AST_TXN_SAVEPOINT) {
		rc = add_savepoint(s, a->txn.savepoint, diag);
		return rc < 0 ? rc : tag(c, "SAVEPOINT");
	}
	while (p && strcmp(p->name, a->txn.savepoint) != 0)
		p = p->older;
	if (!p)
		return mr_diag_set(diag, -ENOENT, "3B001", 0, "savepoint \"%s\" does not exist",
			a->txn.savepoint);
	if (a->txn.what == MR_AST_TXN_RELEASE) {
		mr_session_drop_savepoints(s, p->older);
		return tag(c, "RELEASE");
	}
	mr_session_drop_savepoints(s, p);
	s->status = 'T';
	return tag(c, "ROLLBACK");
}

static int run_transaction(struct mr_cursor *c, struct mr_diag *diag)
{
	struct mr_session *s = c->session;
	bool failed = s->status == 'E';

	if (c->statement->ast->txn.what >= MR_AST_TXN_SAVEPOINT)
		return run_savepoint(c, diag);
	if (c->statement->ast->txn.what == MR_AST_TXN_BEGIN) {
		if (s->status == 'I') {
			s->status = 'T';
			s->txn_us = c->query.now_us;
		}
		return tag(c, "BEGIN");
	}
	s->status = 'I';
	mr_session_drop_savepoints(s, NULL);
	mr_session_drop_cursors(s, false);
	return tag(c, failed || c->statement->ast->txn.what == MR_AST_TXN_ROLLBACK ? "ROLLBACK"
										   : "COMMIT");
}

// ---- Settings ----

static int run_set(struct mr_cursor *c, struct mr_diag *diag)
{
	const struct mr_ast_stmt *a = c->statement->ast;
	struct mr_buf text = {.bytes_limit = 4096};
	int rc;

	if (a->set.target != MR_AST_SET_VARIABLE)
		return tag(c, "SET");
	if (a->set.is_default) {
		rc = mr_setting_change(c->session, a->set.name, NULL, a->pos, diag);
		return rc < 0 ? rc : tag(c, "SET");
	}
	for (uint32_t i = 0; i < a->set.values.count; i++)
		mr_buf_printf(&text, "%s%s", i ? ", " : "", a->set.values.items[i].text);
	mr_buf_u8(&text, 0);
	rc = text.failed ? no_memory(diag)
			 : mr_setting_change(
				   c->session, a->set.name, (const char *)text.data, a->pos, diag);
	mr_buf_fini(&text);
	return rc < 0 ? rc : tag(c, "SET");
}

static int run_reset(struct mr_cursor *c, struct mr_diag *diag)
{
	const struct mr_ast_stmt *a = c->statement->ast;
	int rc = 0;

	if (strcmp(a->set.name, "all") == 0)
		mr_setting_reset_all(c->session);
	else
		rc = mr_setting_change(c->session, a->set.name, NULL, a->pos, diag);
	return rc < 0 ? rc : tag(c, "RESET");
}

// ---- Cursors and prepared statements ----

static int add_cursor(struct mr_session *s, const char *name, bool hold, struct mr_statement *st,
	struct mr_cursor *cursor)
{
	struct mr_named_cursor *n = calloc(1, sizeof(*n));
	char *copy = strdup(name);

	if (!n || !copy) {
		free(n);
		free(copy);
		return -ENOMEM;
	}
	*n = (struct mr_named_cursor){s->cursors, copy, st, cursor, hold};
	s->cursors = n;
	return 0;
}

static int run_declare(struct mr_cursor *c, struct mr_diag *diag)
{
	const struct mr_ast_stmt *a = c->statement->ast;
	struct mr_session *s = c->session;
	struct mr_buf text = {.budget = c->query.memory};
	struct mr_statement *st = NULL;
	struct mr_cursor *cursor = NULL;
	struct mr_param *params = mr_arena_zalloc(&c->arena, c->params_count + 1, sizeof(*params));
	struct mr_span rest;
	int rc;

	if (s->status == 'I' && !a->declare.hold)
		return mr_diag_set(diag, -EINVAL, "25P01", 0,
			"DECLARE CURSOR can only be used in transaction blocks");
	if (mr_session_cursor(s, a->declare.name))
		return mr_diag_set(
			diag, -EEXIST, "42P03", 0, "cursor \"%s\" already exists", a->declare.name);
	if (!params)
		return no_memory(diag);
	for (uint32_t i = 0; i < c->params_count; i++)
		params[i].value = c->params[i].null ? NULL : &c->params[i].value;
	mr_ast_print_select(&text, a->declare.query);
	rest = mr_buf_span(&text);
	rc = text.failed ? no_memory(diag)
			 : mr_statement_prepare(s, rest, &rest, c->statement->bind.params,
				   c->params_count, &st, diag);
	mr_buf_fini(&text);
	rc = rc < 0 ? rc : mr_cursor_open(s, st, params, c->params_count, &cursor, diag);
	if (rc >= 0 && add_cursor(s, a->declare.name, a->declare.hold, st, cursor) < 0)
		rc = no_memory(diag);
	if (rc < 0) {
		mr_cursor_close(cursor);
		mr_statement_destroy(st);
		return rc;
	}
	return tag(c, "DECLARE CURSOR");
}

static int run_close(struct mr_cursor *c, struct mr_diag *diag)
{
	const char *name = c->statement->ast->named.name;
	struct mr_named_cursor *n;

	if (!name) {
		mr_session_drop_cursors(c->session, true);
		return tag(c, "CLOSE CURSOR ALL");
	}
	n = mr_session_cursor(c->session, name);
	if (!n)
		return mr_diag_set(diag, -ENOENT, "34000", 0, "cursor \"%s\" does not exist", name);
	for (struct mr_named_cursor **at = &c->session->cursors; *at; at = &(*at)->next)
		if (*at == n) {
			*at = n->next;
			break;
		}
	mr_cursor_close(n->cursor);
	mr_statement_destroy(n->statement);
	free(n->name);
	free(n);
	return tag(c, "CLOSE CURSOR");
}

static int run_prepare(struct mr_cursor *c, struct mr_diag *diag)
{
	const struct mr_ast_stmt *a = c->statement->ast;
	struct mr_session *s = c->session;
	struct mr_named_statement *n;
	struct mr_statement *st;
	struct mr_buf canonical = {.budget = c->query.memory};
	struct mr_span text;
	struct mr_typeref *types =
		mr_arena_zalloc(&c->arena, a->prepare.types_count + 1, sizeof(*types));
	int rc = 0;

	if (!types)
		return no_memory(diag);
	if (mr_session_statement(s, a->prepare.name))
		return mr_diag_set(diag, -EEXIST, "42P05", 0,
			"prepared statement \"%s\" already exists", a->prepare.name);
	c->statement->bind.diag = diag;
	for (uint32_t i = 0; i < a->prepare.types_count && rc >= 0; i++)
		rc = mr_bind_type(&c->statement->bind, a->prepare.types[i], &types[i]);
	// Its own text: the statement outlives this one's.
	mr_ast_print_stmt(&canonical, a->prepare.stmt);
	text = mr_buf_span(&canonical);
	if (rc >= 0 && canonical.failed)
		rc = no_memory(diag);
	if (rc >= 0)
		rc = mr_statement_prepare(s, text, &text, types, a->prepare.types_count, &st, diag);
	mr_buf_fini(&canonical);
	if (rc < 0)
		return rc;
	n = calloc(1, sizeof(*n));
	if (n)
		n->name = strdup(a->prepare.name);
	if (!n || !n->name) {
		free(n);
		mr_statement_destroy(st);
		return no_memory(diag);
	}
	n->statement = st;
	n->next = s->statements;
	s->statements = n;
	return tag(c, "PREPARE");
}

static int run_deallocate(struct mr_cursor *c, struct mr_diag *diag)
{
	const char *name = c->statement->ast->named.name;

	if (name && !mr_session_statement(c->session, name))
		return mr_diag_set(diag, -ENOENT, "26000", 0,
			"prepared statement \"%s\" does not exist", name);
	mr_session_drop_statement(c->session, name);
	return tag(c, name ? "DEALLOCATE" : "DEALLOCATE ALL");
}

static int run_discard(struct mr_cursor *c, struct mr_diag *diag)
{
	const char *what = c->statement->ast->named.name;

	if (strcmp(what, "all") == 0) {
		if (c->session->status != 'I')
			return mr_diag_set(diag, -EINVAL, "25001", 0,
				"DISCARD ALL cannot run inside a transaction block");
		mr_session_drop_cursors(c->session, true);
		mr_session_drop_statement(c->session, NULL);
		mr_setting_reset_all(c->session);
	}
	snprintf(c->tag, sizeof(c->tag), "DISCARD %s", what);
	for (char *p = c->tag; *p; p++)
		*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
	return 0;
}

int mr_command_run(struct mr_cursor *c, struct mr_diag *diag)
{
	const struct mr_ast_stmt *a = c->statement->ast;
	struct mr_env *env = c->statement->env;
	int rc;

	switch (a->kind) {
	case MR_STMT_CREATE_TABLE:
		rc = env->ops->create_table(env, &c->statement->create, diag);
		return rc < 0 ? rc : tag(c, "CREATE TABLE");
	case MR_STMT_CREATE_MATERIALIZED_VIEW: return run_create_view(c, diag);
	case MR_STMT_DROP: return run_drop(c, diag);
	case MR_STMT_TRUNCATE:
		rc = on_relations(c, &a->drop.names, env->ops->truncate, diag);
		return rc < 0 ? rc : tag(c, "TRUNCATE TABLE");
	case MR_STMT_VACUUM: return run_vacuum(c, diag);
	case MR_STMT_CHECKPOINT:
		rc = env->ops->checkpoint(env, c->session->opts.cancelled, diag);
		return rc < 0 ? rc : tag(c, "CHECKPOINT");
	case MR_STMT_TRANSACTION: return run_transaction(c, diag);
	case MR_STMT_SET: return run_set(c, diag);
	case MR_STMT_RESET: return run_reset(c, diag);
	case MR_STMT_DECLARE: return run_declare(c, diag);
	case MR_STMT_CLOSE: return run_close(c, diag);
	case MR_STMT_PREPARE: return run_prepare(c, diag);
	case MR_STMT_DEALLOCATE: return run_deallocate(c, diag);
	case MR_STMT_DISCARD: return run_discard(c, diag);
	case MR_STMT_UNLISTEN: return tag(c, "UNLISTEN");
	default: mr_assert_fail(__FILE__, __LINE__, "the statement was refused when prepared");
	}
	return 0;
}
