// Shared by the files of the session: statements, cursors, settings.
#pragma once

#include "host/base/rand.h"
#include "host/sql/bind.h"
#include "host/sql/exec.h"
#include "host/sql/fold.h"
#include "host/sql/parse.h"
#include "host/sql/sql.h"

struct mr_setting {
	const char *name; // in its right spelling
	const char *initial;
	uint8_t flags;
	// Checks a new value and may put a better spelling into `out`. False: refused.
	bool (*check)(const char *value, char *out, size_t bytes);
};

enum mr_setting_flags {
	MR_SETTING_REPORTED = 1, // ParameterStatus
	MR_SETTING_FIXED = 2,    // cannot be set
	MR_SETTING_PG_IGNORED = 4,
};

struct mr_named_cursor {
	struct mr_named_cursor *next;
	char *name;
	struct mr_statement *statement;
	struct mr_cursor *cursor;
	bool hold;
};

struct mr_named_statement {
	struct mr_named_statement *next;
	char *name;
	struct mr_statement *statement;
};

// Of the transaction block; a new one stands before the older ones.
#define MR_SAVEPOINTS_MAX 1000
struct mr_savepoint {
	struct mr_savepoint *older;
	char *name;
};

struct mr_session {
	struct mr_session_opts opts;
	char *user;
	char *database;
	char status;
	int64_t txn_us; // now() of the transaction block
	struct mr_savepoint *savepoints;
	const struct mr_tz *tz;
	char **values; // by place in the table of settings; NULL = initial
	bool *changed;
	struct mr_rand rand;
	struct mr_named_cursor *cursors;
	struct mr_named_statement *statements;
	struct mr_cursor *open; // all cursors, newest first
};

struct mr_statement {
	uint32_t references;
	struct mr_session *session;
	struct mr_env *env;
	struct mr_budget memory;
	struct mr_arena arena;
	const struct mr_ast_stmt *ast;
	struct mr_bind bind; // pins the relations
	struct mr_query_plan plan;
	bool has_plan;
	struct mr_result_column *columns;
	uint32_t columns_count;
	const struct mr_relation *target; // INSERT, TRUNCATE, VACUUM
	uint32_t *target_columns;
	uint32_t target_columns_count;
	struct mr_create_table create;
	struct mr_statement *inner; // EXECUTE's
	struct mr_expr **args;      // EXECUTE's
	bool analyze;               // EXPLAIN
};

struct mr_cursor {
	struct mr_session *session;
	struct mr_cursor *older, *newer; // open ones of the session
	struct mr_statement *statement;
	struct mr_budget memory; // all the query holds
	struct mr_arena arena;
	struct mr_arena scratch; // of the last block
	struct mr_query query;
	struct mr_run run;
	struct mr_diag *diag;
	struct mr_datum *params;
	uint32_t params_count;
	bool running;
	bool done;
	bool revoked; // had to let go of its rows
	struct mr_batch batch;
	uint32_t batch_at;
	uint64_t rows;
	int64_t left;            // FETCH
	struct mr_cursor *inner; // FETCH's, borrowed; EXECUTE's, owned
	struct mr_buf *lines;    // EXPLAIN, SHOW: text rows
	char tag[64];
};

const char *mr_setting_value(const struct mr_session *s, const char *name);
// Position of a name in the table, any case, or -1.
int mr_setting_find(const char *name);
const struct mr_setting *mr_setting_at(size_t i); // NULL at the end
const char *mr_setting_current(const struct mr_session *s, size_t i);
[[nodiscard]] int mr_setting_change(
	struct mr_session *s, const char *name, const char *value, int pos, struct mr_diag *diag);
void mr_setting_reset_all(struct mr_session *s);
int64_t mr_setting_timeout_ms(const struct mr_session *s);

struct mr_statement *mr_statement_get(struct mr_statement *st);
void mr_session_drop_cursors(struct mr_session *s, bool held_too);
// Forgets the savepoints that are newer than `last`; NULL: all.
void mr_session_drop_savepoints(struct mr_session *s, const struct mr_savepoint *last);
struct mr_named_cursor *mr_session_cursor(struct mr_session *s, const char *name);
struct mr_named_statement *mr_session_statement(struct mr_session *s, const char *name);
void mr_session_drop_statement(struct mr_session *s, const char *name); // NULL = all

// Statement kinds that do their work in one go: fills the tag. 0, or negative with diag.
[[nodiscard]] int mr_command_run(struct mr_cursor *c, struct mr_diag *diag);
// Prepares what is not a query: names, options, columns of CREATE TABLE.
[[nodiscard]] int mr_command_prepare(struct mr_statement *st, struct mr_diag *diag);
[[nodiscard]] int mr_insert_prepare(struct mr_statement *st);
[[nodiscard]] int mr_insert_run(struct mr_cursor *c, struct mr_diag *diag);
// Opens the plan of the cursor's statement.
[[nodiscard]] int mr_cursor_start(struct mr_cursor *c, struct mr_diag *diag);
// Moves selected rows of a batch into a block of dense columns in `arena`.
[[nodiscard]] int mr_batch_block(struct mr_eval *ev, const struct mr_batch *b, uint32_t at,
	uint32_t n, uint32_t columns_count, struct mr_block *out);
// EXPLAIN's rows.
[[nodiscard]] int mr_explain(struct mr_cursor *c, struct mr_diag *diag, struct mr_block *out);
