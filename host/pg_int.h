// One session of the PostgreSQL wire, private to host/pg_*.c and its tests.
//
// A session is a state machine over messages (PostgreSQL 15 documentation, 55.2 "Message Flow"):
//
//   startup -> ready <-> simple query
//                    <-> extended query (Parse, Bind, Describe, Execute, Close, Flush ... Sync)
//
// An error in the extended part sends one ErrorResponse and skips everything up to Sync. An error
// of framing, or a message of no known type, is FATAL: the place of the next message is unknown.
// Portals live until the transaction ends: at COMMIT or ROLLBACK, or at Sync without a block.
#pragma once

#include "host/base/arena.h"
#include "host/base/clock.h"
#include "host/pg.h"
#include "host/pg_proto.h"

// A prepared statement; portals keep it alive after its name is gone.
struct mr_pg_prepared {
	struct mr_pg_prepared *next;
	uint32_t references;
	uint64_t hash;
	struct mr_statement *statement; // NULL: an empty query
	size_t text_bytes;
	size_t name_bytes;
	char name[];
};

struct mr_pg_portal {
	struct mr_pg_portal *next;
	uint64_t hash;
	struct mr_pg_prepared *prepared;
	struct mr_cursor *cursor; // NULL: an empty query
	uint8_t *binary;          // a flag for each result column
	bool is_suspended;        // an Execute stopped at its row limit
	bool is_done;
	size_t name_bytes;
	char name[];
};

struct mr_pg_session {
	const struct mr_pg_opts *pg;
	struct mr_seat *seat;
	struct mr_link_in in;
	struct mr_pg_out out;
	struct mr_session *sql;
	struct mr_pg_prepared *prepared;
	struct mr_pg_portal *portals;
	uint32_t prepared_count;
	uint32_t portals_count;
	size_t prepared_bytes;
	struct mr_arena bind_arena; // values of one Bind
	struct mr_diag diag;        // of the message being handled
	bool is_skipping;           // an extended message failed; skip to Sync
	bool is_busy;               // messages have come since the last ReadyForQuery
	bool is_ended;
};

// Runs one connection, the seat's link, to its end.
void mr_pg_session_run(const struct mr_pg_opts *pg, struct mr_seat *seat);

// pg_startup.c: everything before the first ReadyForQuery. True when the session may go on.
bool mr_pg_startup(struct mr_pg_session *s);

// pg_session.c
void mr_pg_fatal(struct mr_pg_session *s, const char *sqlstate, const char *fmt, ...)
	MR_PRINTF(3, 4);
// The same with s->diag.
void mr_pg_fatal_diag(struct mr_pg_session *s);
void mr_pg_send_ready(struct mr_pg_session *s);
// A statement begins: its text is listed, its time limit runs.
void mr_pg_report_query(struct mr_pg_session *s, struct mr_span text);
// CommandComplete and what a statement's end means to the session.
void mr_pg_complete(struct mr_pg_session *s, const char *tag);
// Checks text from outside before the SQL layer sees it: UTF-8, no NUL.
[[nodiscard]] int mr_pg_check_text(struct mr_pg_session *s, struct mr_span text);

// pg_extended.c: each handles one message; negative with s->diag filled.
int mr_pg_parse(struct mr_pg_session *s, struct mr_span body);
int mr_pg_bind(struct mr_pg_session *s, struct mr_span body);
int mr_pg_describe(struct mr_pg_session *s, struct mr_span body);
int mr_pg_execute(struct mr_pg_session *s, struct mr_span body);
int mr_pg_close(struct mr_pg_session *s, struct mr_span body);
int mr_pg_bad_message(struct mr_pg_session *s);

// pg_names.c: the session's statements and portals.
struct mr_pg_prepared *mr_pg_prepared_find(struct mr_pg_session *s, struct mr_span name);
// Takes the statement on success.
[[nodiscard]] int mr_pg_prepared_add(struct mr_pg_session *s, struct mr_span name,
	struct mr_statement *statement, size_t text_bytes);
void mr_pg_prepared_drop(struct mr_pg_session *s, struct mr_span name);
void mr_pg_prepared_drop_all(struct mr_pg_session *s);
struct mr_pg_portal *mr_pg_portal_find(struct mr_pg_session *s, struct mr_span name);
// An empty portal over the statement, in the session's list; NULL with s->diag filled.
struct mr_pg_portal *mr_pg_portal_add(
	struct mr_pg_session *s, struct mr_span name, struct mr_pg_prepared *prepared);
void mr_pg_portal_drop(struct mr_pg_session *s, struct mr_span name);
void mr_pg_portals_drop_all(struct mr_pg_session *s);

// pg_rows.c
// RowDescription of `binary` flags (NULL: all text), or NoData when there are no columns.
void mr_pg_send_description(
	struct mr_pg_session *s, const struct mr_statement *statement, const uint8_t *binary);
// Sends rows of the cursor, at most `rows_max` (0: all). 1: the limit was reached; 0: the end;
// negative with s->diag filled. `rows` counts what was sent.
[[nodiscard]] int mr_pg_send_rows(struct mr_pg_session *s, struct mr_cursor *cursor,
	const uint8_t *binary, uint32_t columns_count, uint64_t rows_max, uint64_t *rows);
