// SQL for a session: what the PostgreSQL wire, HTTP and the tests call.
//
// A session belongs to one thread at a time. Text comes in, statements are parsed, bound and
// planned, and a cursor gives the rows block by block, so that a big result is never held whole.
#pragma once

#include "host/sql/env.h"

struct mr_session;
struct mr_statement; // parsed and bound; immutable; any number of cursors may come from it
struct mr_cursor;    // a portal: one run of a statement

struct mr_session_opts {
	struct mr_env *env;
	struct mr_clock *clock;
	_Atomic bool *cancelled;
	uint64_t query_bytes_max;  // memory of one query
	struct mr_pin_owner *pins; // for whom scans pin rows in memory; or NULL
	struct mr_budget *memory;  // what queries and statements draw on; NULL: no limit
	struct mr_span user;
	struct mr_span database;
	struct mr_span application_name;
	int32_t backend_pid; // pg_backend_pid()
};

[[nodiscard]] int mr_session_create(const struct mr_session_opts *opts, struct mr_session **out);
void mr_session_destroy(struct mr_session *s);

// 'I' idle, 'T' in a transaction block, 'E' in a failed one: ReadyForQuery's status.
char mr_session_status(const struct mr_session *s);
// Puts a transaction block into its failed state after an error found outside (protocol).
void mr_session_fail(struct mr_session *s);

// Settings changed by SET since the last call which clients must be told of (ParameterStatus).
// False when there is no more. Memory lives until the next call on this session.
bool mr_session_changed_setting(struct mr_session *s, const char **name, const char **value);
// The current value of a setting that ParameterStatus reports, or NULL.
const char *mr_session_setting(struct mr_session *s, const char *name);
// Sets one from the startup packet. 0 or negative with diag.
[[nodiscard]] int mr_session_set(
	struct mr_session *s, const char *name, const char *value, struct mr_diag *diag);
const struct mr_tz *mr_session_tz(const struct mr_session *s);

struct mr_result_column {
	struct mr_span name;
	struct mr_typeref type;
};

// Prepares the first statement of `*text` and moves `*text` behind it; 0 with *out = NULL when only
// white space and comments are left (an empty query). `types` are parameter types by the client
// (MR_TYPE_NULL = unspecified), as many as known. Error positions count from the start of `whole`.
[[nodiscard]] int mr_statement_prepare(struct mr_session *s, struct mr_span whole,
	struct mr_span *text, const struct mr_typeref *types, uint32_t types_count,
	struct mr_statement **out, struct mr_diag *diag);
void mr_statement_destroy(struct mr_statement *st);
uint32_t mr_statement_params(const struct mr_statement *st, const struct mr_typeref **types);
// Result columns; 0 for a statement that returns no rows.
uint32_t mr_statement_columns(const struct mr_statement *st, const struct mr_result_column **out);

// A parameter value of the type that mr_statement_params says, in its physical form; NULL = null.
struct mr_param {
	const void *value;
};

// Opens a run. Parameters are copied.
[[nodiscard]] int mr_cursor_open(struct mr_session *s, struct mr_statement *st,
	const struct mr_param *params, uint32_t params_count, struct mr_cursor **out,
	struct mr_diag *diag);
// The next rows, at most `rows_max` (0 = as many as are at hand). 1: a block; 0: the end.
// Statements without rows do their work on the first call. Negative with diag: the cursor is dead.
[[nodiscard]] int mr_cursor_next(
	struct mr_cursor *c, uint32_t rows_max, struct mr_block *out, struct mr_diag *diag);
// CommandComplete's tag, after the end: "SELECT 5", "INSERT 0 3", "CREATE TABLE".
const char *mr_cursor_tag(const struct mr_cursor *c);
void mr_cursor_close(struct mr_cursor *c);
// The query of a cursor that DECLARE opened, or NULL: to the protocol it is a portal as well. Lives
// until the cursor is closed.
const struct mr_statement *mr_session_declared(struct mr_session *s, struct mr_span name);
// Closes the runs of all open cursors, which give up what they pin; reading one of them again is an
// error (53200). Between statements.
void mr_session_let_go(struct mr_session *s);
