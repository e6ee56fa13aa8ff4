// Statements to text.
#include "host/sql/deparse_int.h"

// ---- Options and settings ----

static void print_dotted(struct mr_buf *out, const char *name, bool label)
{
	void (*print)(struct mr_buf *, const char *) = label ? mr_print_label : mr_ast_print_ident;
	char part[256];

	for (;;) {
		size_t bytes = strcspn(name, ".");

		if (bytes >= sizeof(part)) {
			print(out, name);
			return;
		}
		memcpy(part, name, bytes);
		part[bytes] = 0;
		print(out, part);
		if (name[bytes] != '.')
			return;
		mr_buf_str(out, ".");
		name += bytes + 1;
	}
}

static void print_value(struct mr_buf *out, const struct mr_ast_option *o)
{
	if (o->kind == MR_AST_VALUE_STRING)
		mr_print_string(out, o->text);
	else if (o->kind == MR_AST_VALUE_WORD)
		mr_print_label(out, o->text);
	else
		mr_buf_str(out, o->text);
}

static void print_options(struct mr_buf *out, struct mr_ast_options options, const char *equals)
{
	mr_buf_str(out, "(");
	for (uint32_t i = 0; i < options.count; i++) {
		const struct mr_ast_option *o = &options.items[i];

		mr_buf_str(out, i ? ", " : "");
		print_dotted(out, o->name, true);
		if (o->kind != MR_AST_VALUE_NONE) {
			mr_buf_str(out, equals);
			print_value(out, o);
		}
	}
	mr_buf_str(out, ")");
}

static void print_with_options(struct mr_buf *out, struct mr_ast_options options)
{
	if (options.count == 0)
		return;
	mr_buf_str(out, " WITH ");
	print_options(out, options, " = ");
}

static void print_modes(struct mr_buf *out, const struct mr_ast_txn_modes *m)
{
	static const char *const levels[] = {
		"", "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"};

	if (m->isolation)
		mr_buf_printf(out, " ISOLATION LEVEL %s", levels[m->isolation]);
	if (m->read_only >= 0)
		mr_buf_str(out, m->read_only ? " READ ONLY" : " READ WRITE");
	if (m->deferrable >= 0)
		mr_buf_str(out, m->deferrable ? " DEFERRABLE" : " NOT DEFERRABLE");
}

static void print_set(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "SET ");
	if (s->set.target == MR_AST_SET_CHARACTERISTICS)
		mr_buf_str(out, "SESSION CHARACTERISTICS AS TRANSACTION");
	else if (s->set.target == MR_AST_SET_TRANSACTION)
		mr_buf_str(out,
			s->set.scope == MR_AST_SET_LOCAL ? "LOCAL TRANSACTION" : "TRANSACTION");
	if (s->set.target != MR_AST_SET_VARIABLE) {
		print_modes(out, &s->set.modes);
		return;
	}
	mr_buf_str(out, s->set.scope == MR_AST_SET_LOCAL ? "LOCAL " : "");
	print_dotted(out, s->set.name, false);
	mr_buf_str(out, s->set.is_default ? " TO DEFAULT" : " TO ");
	for (uint32_t i = 0; i < s->set.values.count; i++) {
		mr_buf_str(out, i ? ", " : "");
		print_value(out, &s->set.values.items[i]);
	}
}

static void print_reset(struct mr_buf *out, const char *word, const char *name)
{
	mr_buf_printf(out, "%s ", word);
	if (strcmp(name, "all") == 0)
		mr_buf_str(out, "ALL");
	else
		print_dotted(out, name, false);
}

// ---- Changes ----

static void print_returning(struct mr_buf *out, struct mr_ast_targets returning)
{
	if (returning.count == 0)
		return;
	mr_buf_str(out, " RETURNING ");
	mr_print_targets(out, returning);
}

static void print_as(struct mr_buf *out, const char *alias)
{
	if (!alias)
		return;
	mr_buf_str(out, " AS ");
	mr_ast_print_ident(out, alias);
}

static void print_insert(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_print_with(out, s->insert.with);
	mr_buf_str(out, "INSERT INTO ");
	mr_print_name(out, &s->insert.table);
	print_as(out, s->insert.alias);
	mr_print_columns(out, s->insert.columns);
	mr_buf_str(out, " ");
	if (s->insert.query)
		mr_ast_print_select(out, s->insert.query);
	else
		mr_buf_str(out, "DEFAULT VALUES");
	print_returning(out, s->insert.returning);
}

static void print_change_tail(struct mr_buf *out, const struct mr_ast_stmt *s, const char *from)
{
	for (uint32_t i = 0; i < s->change.from_count; i++) {
		mr_buf_str(out, i ? ", " : from);
		mr_print_from(out, s->change.from[i]);
	}
	if (s->change.where) {
		mr_buf_str(out, " WHERE ");
		mr_ast_print_expr(out, s->change.where);
	}
	print_returning(out, s->change.returning);
}

static void print_update(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_print_with(out, s->change.with);
	mr_buf_str(out, "UPDATE ");
	mr_print_name(out, &s->change.table);
	print_as(out, s->change.alias);
	for (uint32_t i = 0; i < s->change.set.count; i++) {
		mr_buf_str(out, i ? ", " : " SET ");
		mr_ast_print_ident(out, s->change.set.items[i].alias);
		mr_buf_str(out, " = ");
		mr_ast_print_expr(out, s->change.set.items[i].expr);
	}
	print_change_tail(out, s, " FROM ");
}

static void print_delete(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_print_with(out, s->change.with);
	mr_buf_str(out, "DELETE FROM ");
	mr_print_name(out, &s->change.table);
	print_as(out, s->change.alias);
	print_change_tail(out, s, " USING ");
}

static void print_copy(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "COPY ");
	if (s->copy.query) {
		mr_buf_str(out, "(");
		mr_ast_print_stmt(out, s->copy.query);
		mr_buf_str(out, ")");
	} else {
		mr_print_name(out, &s->copy.table);
		mr_print_columns(out, s->copy.columns);
	}
	mr_buf_str(out, s->copy.from ? " FROM " : " TO ");
	if (s->copy.file)
		mr_print_string(out, s->copy.file);
	else
		mr_buf_str(out, s->copy.from ? "STDIN" : "STDOUT");
	if (s->copy.options.count) {
		mr_buf_str(out, " WITH ");
		print_options(out, s->copy.options, " ");
	}
}

// ---- Definitions ----

static void print_column_def(struct mr_buf *out, const struct mr_ast_column_def *d)
{
	mr_ast_print_ident(out, d->name);
	mr_buf_str(out, " ");
	mr_ast_print_type(out, d->type);
	mr_buf_str(out, d->not_null ? " NOT NULL" : "");
	mr_buf_str(out, d->primary_key ? " PRIMARY KEY" : "");
	mr_buf_str(out, d->unique ? " UNIQUE" : "");
	if (d->default_value) {
		mr_buf_str(out, " DEFAULT ");
		mr_print_b_expr(out, d->default_value);
	}
}

static void print_create_table(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	struct mr_ast_column_defs columns = s->create_table.columns;

	mr_buf_printf(
		out, "CREATE TABLE %s", s->create_table.if_not_exists ? "IF NOT EXISTS " : "");
	mr_print_name(out, &s->create_table.name);
	mr_buf_str(out, " (");
	for (uint32_t i = 0; i < columns.count; i++) {
		mr_buf_str(out, i ? ", " : "");
		print_column_def(out, &columns.items[i]);
	}
	if (s->create_table.primary_key.count) {
		mr_buf_str(out, columns.count ? ", PRIMARY KEY" : "PRIMARY KEY");
		mr_print_columns(out, s->create_table.primary_key);
	}
	mr_buf_str(out, ")");
	print_with_options(out, s->create_table.options);
}

static void print_create_view(struct mr_buf *out, const struct mr_ast_stmt *s, const char *what)
{
	static const char *const emits[] = {"", " EMIT ON UPDATE", " EMIT ON WINDOW CLOSE"};

	mr_buf_printf(out, "CREATE %s%s %s", s->create_view.or_replace ? "OR REPLACE " : "", what,
		s->create_view.if_not_exists ? "IF NOT EXISTS " : "");
	mr_print_name(out, &s->create_view.name);
	mr_print_columns(out, s->create_view.columns);
	print_with_options(out, s->create_view.options);
	mr_buf_str(out, " AS ");
	mr_ast_print_select(out, s->create_view.query);
	mr_buf_str(out, emits[s->create_view.emit]);
	mr_buf_str(out, s->create_view.with_no_data ? " WITH NO DATA" : "");
}

static const char *const object_words[] = {
	[MR_AST_OBJECT_TABLE] = "TABLE",
	[MR_AST_OBJECT_VIEW] = "VIEW",
	[MR_AST_OBJECT_MATERIALIZED_VIEW] = "MATERIALIZED VIEW",
	[MR_AST_OBJECT_INDEX] = "INDEX",
	[MR_AST_OBJECT_SCHEMA] = "SCHEMA",
	[MR_AST_OBJECT_SEQUENCE] = "SEQUENCE",
	[MR_AST_OBJECT_COLUMN] = "COLUMN",
	[MR_AST_OBJECT_DATABASE] = "DATABASE",
};

static void print_drop(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	if (s->kind == MR_STMT_TRUNCATE)
		mr_buf_str(out, "TRUNCATE TABLE ");
	else
		mr_buf_printf(out, "DROP %s %s", object_words[s->drop.object],
			s->drop.if_exists ? "IF EXISTS " : "");
	mr_print_names(out, s->drop.names);
	mr_buf_str(out, s->drop.cascade ? " CASCADE" : "");
}

static void print_alter_column(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	if (s->alter.action == MR_AST_ALTER_ADD_COLUMN) {
		mr_buf_printf(out, "ADD COLUMN %s", s->alter.if_not_exists ? "IF NOT EXISTS " : "");
		print_column_def(out, &s->alter.add);
	} else if (s->alter.action == MR_AST_ALTER_DROP_COLUMN) {
		mr_buf_printf(out, "DROP COLUMN %s", s->alter.column_if_exists ? "IF EXISTS " : "");
		mr_ast_print_ident(out, s->alter.column);
		mr_buf_str(out, s->alter.cascade ? " CASCADE" : "");
	} else {
		mr_buf_str(out, "RENAME ");
		if (s->alter.action == MR_AST_ALTER_RENAME_COLUMN) {
			mr_buf_str(out, "COLUMN ");
			mr_ast_print_ident(out, s->alter.column);
			mr_buf_str(out, " ");
		}
		mr_buf_str(out, "TO ");
		mr_ast_print_ident(out, s->alter.to);
	}
}

static void print_alter(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_printf(out, "ALTER %s %s", object_words[s->alter.object],
		s->alter.if_exists ? "IF EXISTS " : "");
	mr_print_name(out, &s->alter.name);
	mr_buf_str(out, " ");
	if (s->alter.action == MR_AST_ALTER_SET || s->alter.action == MR_AST_ALTER_RESET) {
		mr_buf_str(out, s->alter.action == MR_AST_ALTER_SET ? "SET " : "RESET ");
		print_options(out, s->alter.options, " = ");
	} else {
		print_alter_column(out, s);
	}
}

static void print_comment(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_printf(out, "COMMENT ON %s ", object_words[s->comment.object]);
	mr_print_name(out, &s->comment.name);
	if (s->comment.column) {
		mr_buf_str(out, ".");
		mr_ast_print_ident(out, s->comment.column);
	}
	mr_buf_str(out, " IS ");
	if (s->comment.text)
		mr_print_string(out, s->comment.text);
	else
		mr_buf_str(out, "NULL");
}

// ---- Sessions ----

static void print_transaction(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	static const char *const words[] = {
		"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT ", "RELEASE SAVEPOINT ", "ROLLBACK TO "};

	mr_buf_str(out, words[s->txn.what]);
	print_modes(out, &s->txn.modes);
	mr_buf_str(out, s->txn.chain ? " AND CHAIN" : "");
	if (s->txn.savepoint)
		mr_ast_print_ident(out, s->txn.savepoint);
}

static void print_declare(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "DECLARE ");
	mr_ast_print_ident(out, s->declare.name);
	mr_buf_str(out, s->declare.binary ? " BINARY" : "");
	mr_buf_str(out, s->declare.insensitive ? " INSENSITIVE" : "");
	mr_buf_str(out, s->declare.scroll ? " SCROLL" : "");
	mr_buf_str(out, s->declare.no_scroll ? " NO SCROLL" : "");
	mr_buf_str(out, s->declare.hold ? " CURSOR WITH HOLD FOR " : " CURSOR FOR ");
	mr_ast_print_select(out, s->declare.query);
}

static void print_fetch(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	static const char *const ways[] = {"FORWARD", "BACKWARD", "ABSOLUTE", "RELATIVE"};

	mr_buf_printf(out, "%s %s ", s->fetch.move ? "MOVE" : "FETCH", ways[s->fetch.how]);
	if (s->fetch.count == MR_AST_FETCH_ALL)
		mr_buf_str(out, "ALL");
	else
		mr_buf_printf(out, "%lld", (long long)s->fetch.count);
	mr_buf_str(out, " FROM ");
	mr_ast_print_ident(out, s->fetch.cursor);
}

static void print_named(
	struct mr_buf *out, const char *word, const struct mr_ast_stmt *s, const char *all)
{
	mr_buf_str(out, word);
	if (s->named.name)
		mr_ast_print_ident(out, s->named.name);
	else
		mr_buf_str(out, all);
}

static void print_prepare(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "PREPARE ");
	mr_ast_print_ident(out, s->prepare.name);
	for (uint32_t i = 0; i < s->prepare.types_count; i++) {
		mr_buf_str(out, i ? ", " : " (");
		mr_ast_print_type(out, s->prepare.types[i]);
	}
	mr_buf_str(out, s->prepare.types_count ? ") AS " : " AS ");
	mr_ast_print_stmt(out, s->prepare.stmt);
}

static void print_execute(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "EXECUTE ");
	mr_ast_print_ident(out, s->execute.name);
	if (s->execute.args.count) {
		mr_buf_str(out, " (");
		mr_print_exprs(out, s->execute.args);
		mr_buf_str(out, ")");
	}
}

// ---- Maintenance ----

static void print_explain(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "EXPLAIN ");
	if (s->explain.options.count) {
		print_options(out, s->explain.options, " ");
		mr_buf_str(out, " ");
	}
	mr_ast_print_stmt(out, s->explain.stmt);
}

static void print_vacuum(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, s->vacuum.analyze_only ? "ANALYZE" : "VACUUM");
	if (s->vacuum.options.count) {
		mr_buf_str(out, " ");
		print_options(out, s->vacuum.options, " ");
	}
	mr_buf_str(out, s->vacuum.tables.count ? " " : "");
	mr_print_names(out, s->vacuum.tables);
}

static void print_notify(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "NOTIFY ");
	mr_ast_print_ident(out, s->notify.channel);
	if (s->notify.payload) {
		mr_buf_str(out, ", ");
		mr_print_string(out, s->notify.payload);
	}
}

static void print_lock(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_str(out, "LOCK TABLE ");
	mr_print_names(out, s->lock.tables);
	mr_buf_printf(out, " IN %s MODE%s", s->lock.mode, s->lock.nowait ? " NOWAIT" : "");
}

static void print_refresh(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	mr_buf_printf(out, "REFRESH MATERIALIZED VIEW %s",
		s->refresh.concurrently ? "CONCURRENTLY " : "");
	mr_print_name(out, &s->refresh.name);
	mr_buf_str(out, s->refresh.with_no_data ? " WITH NO DATA" : "");
}

void mr_ast_print_stmt(struct mr_buf *out, const struct mr_ast_stmt *s)
{
	switch ((enum mr_ast_stmt_kind)s->kind) {
	case MR_STMT_SELECT: mr_ast_print_select(out, s->select); break;
	case MR_STMT_INSERT: print_insert(out, s); break;
	case MR_STMT_UPDATE: print_update(out, s); break;
	case MR_STMT_DELETE: print_delete(out, s); break;
	case MR_STMT_CREATE_TABLE: print_create_table(out, s); break;
	case MR_STMT_CREATE_TABLE_AS: print_create_view(out, s, "TABLE"); break;
	case MR_STMT_CREATE_VIEW: print_create_view(out, s, "VIEW"); break;
	case MR_STMT_CREATE_MATERIALIZED_VIEW:
		print_create_view(out, s, "MATERIALIZED VIEW");
		break;
	case MR_STMT_REFRESH: print_refresh(out, s); break;
	case MR_STMT_DROP:
	case MR_STMT_TRUNCATE: print_drop(out, s); break;
	case MR_STMT_ALTER: print_alter(out, s); break;
	case MR_STMT_COMMENT: print_comment(out, s); break;
	case MR_STMT_EXPLAIN: print_explain(out, s); break;
	case MR_STMT_SET: print_set(out, s); break;
	case MR_STMT_RESET: print_reset(out, "RESET", s->set.name); break;
	case MR_STMT_SHOW: print_reset(out, "SHOW", s->set.name); break;
	case MR_STMT_TRANSACTION: print_transaction(out, s); break;
	case MR_STMT_DECLARE: print_declare(out, s); break;
	case MR_STMT_FETCH: print_fetch(out, s); break;
	case MR_STMT_CLOSE: print_named(out, "CLOSE ", s, "ALL"); break;
	case MR_STMT_PREPARE: print_prepare(out, s); break;
	case MR_STMT_EXECUTE: print_execute(out, s); break;
	case MR_STMT_DEALLOCATE: print_named(out, "DEALLOCATE ", s, "ALL"); break;
	case MR_STMT_DISCARD: mr_buf_printf(out, "DISCARD %s", s->named.name); break;
	case MR_STMT_CHECKPOINT: mr_buf_str(out, "CHECKPOINT"); break;
	case MR_STMT_VACUUM: print_vacuum(out, s); break;
	case MR_STMT_COPY: print_copy(out, s); break;
	case MR_STMT_LISTEN: print_named(out, "LISTEN ", s, ""); break;
	case MR_STMT_UNLISTEN: print_named(out, "UNLISTEN ", s, "*"); break;
	case MR_STMT_NOTIFY: print_notify(out, s); break;
	case MR_STMT_LOCK: print_lock(out, s); break;
	}
}
