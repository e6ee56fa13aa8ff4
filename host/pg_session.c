// The state machine of one session: reads messages, hands them on, keeps errors and transactions in
// step with the client.
#include "host/pg_int.h"

#include "host/base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void report(
	struct mr_pg_session *s, enum mr_session_state state, const struct mr_span *query)
{
	mr_seat_report(s->seat, state, query, mr_session_setting(s->sql, "application_name"));
}

// A time limit that SET gave, in milliseconds; 0 = none.
static uint32_t setting_ms(struct mr_pg_session *s, const char *name)
{
	const char *value = mr_session_setting(s->sql, name);

	return value ? (uint32_t)strtoul(value, NULL, 10) : 0;
}

void mr_pg_report_query(struct mr_pg_session *s, struct mr_span text)
{
	s->seat->timeout_ms = setting_ms(s, "statement_timeout");
	report(s, MR_SESSION_ACTIVE, &text);
}

static void put_fatal(struct mr_pg_session *s, const struct mr_diag *diag)
{
	if (s->is_ended)
		return;
	mr_pg_put_diag(&s->out, 'E', "FATAL", diag);
	mr_pg_flush(&s->out);
	s->is_ended = true;
}

void mr_pg_fatal(struct mr_pg_session *s, const char *sqlstate, const char *fmt, ...)
{
	char message[sizeof(s->diag.message)];
	struct mr_diag diag;
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	mr_diag_set(&diag, -EPROTO, sqlstate, 0, "%s", message);
	put_fatal(s, &diag);
}

void mr_pg_fatal_diag(struct mr_pg_session *s)
{
	put_fatal(s, &s->diag);
}

static void fatal_stopping(struct mr_pg_session *s)
{
	mr_pg_fatal(s, "57P01", "terminating connection due to administrator command");
}

static bool is_stopping(const struct mr_pg_session *s)
{
	return atomic_load(&s->seat->stopping);
}

int mr_pg_check_text(struct mr_pg_session *s, struct mr_span text)
{
	const uint8_t *nul = text.bytes ? memchr(text.data, 0, text.bytes) : NULL;
	size_t good = nul ? (size_t)(nul - text.data) : mr_utf8_valid_bytes(text);

	if (good == text.bytes)
		return 0;
	return mr_diag_set(&s->diag, -EILSEQ, "22021", 0,
		"invalid byte sequence for encoding \"UTF8\": 0x%02x", text.data[good]);
}

void mr_pg_send_ready(struct mr_pg_session *s)
{
	static const enum mr_session_state states[] = {
		['I'] = MR_SESSION_IDLE,
		['T'] = MR_SESSION_IDLE_IN_TRANSACTION,
		['E'] = MR_SESSION_IDLE_IN_FAILED_TRANSACTION,
	};
	char status = mr_session_status(s->sql);
	const char *name, *value;

	MR_ASSERT(status == 'I' || status == 'T' || status == 'E');
	if (status == 'I')
		mr_pg_portals_drop_all(s);
	while (mr_session_changed_setting(s->sql, &name, &value))
		mr_pg_put_pair(&s->out, 'S', name, value);
	mr_pg_begin(&s->out, 'Z');
	mr_buf_u8(&s->out.buf, (uint8_t)status);
	mr_pg_end(&s->out);
	mr_pg_flush(&s->out);
	s->is_busy = false;
	report(s, states[(uint8_t)status], NULL);
}

void mr_pg_complete(struct mr_pg_session *s, const char *tag)
{
	mr_pg_put_string(&s->out, 'C', tag);
	// The SQL layer does not know the statements of the protocol, which these drop as well.
	if (strcmp(tag, "DEALLOCATE ALL") == 0 || strcmp(tag, "DISCARD ALL") == 0)
		mr_pg_prepared_drop_all(s);
}

// Sends s->diag and fails the transaction block, when there is one.
static void send_error(struct mr_pg_session *s)
{
	if (is_stopping(s)) {
		fatal_stopping(s);
		return;
	}
	if (strcmp(s->diag.sqlstate, "57014") == 0 && atomic_load(&s->seat->timed_out))
		mr_diag_set(&s->diag, MR_ERR_CANCELLED, "57014", 0,
			"canceling statement due to statement timeout");
	mr_pg_put_diag(&s->out, 'E', "ERROR", &s->diag);
	mr_session_fail(s->sql);
	// The transaction is over or failed, and its portals with it.
	mr_pg_portals_drop_all(s);
}

// Runs one statement of a simple query to its end.
static int simple_statement(struct mr_pg_session *s, struct mr_statement *st)
{
	const struct mr_result_column *columns;
	uint32_t count = mr_statement_columns(st, &columns);
	const struct mr_typeref *types;
	struct mr_cursor *cursor;
	uint64_t rows = 0;
	int rc;

	if (mr_statement_params(st, &types) > 0)
		return mr_diag_set(&s->diag, -EINVAL, "42P02", 0, "there is no parameter $1");
	rc = mr_cursor_open(s->sql, st, NULL, 0, &cursor, &s->diag);
	if (rc < 0)
		return rc;
	if (count > 0)
		mr_pg_send_description(s, st, NULL);
	rc = mr_pg_send_rows(s, cursor, NULL, count, 0, &rows);
	if (rc >= 0)
		mr_pg_complete(s, mr_cursor_tag(cursor));
	mr_cursor_close(cursor);
	return rc;
}

static int simple_statements(struct mr_pg_session *s, struct mr_span text)
{
	struct mr_span rest = text;
	struct mr_statement *st;
	bool is_empty = true;
	int rc = mr_pg_check_text(s, text);

	while (rc >= 0 && !s->is_ended && !s->out.err) {
		rc = mr_statement_prepare(s->sql, text, &rest, NULL, 0, &st, &s->diag);
		if (rc < 0 || !st)
			break;
		is_empty = false;
		rc = simple_statement(s, st);
		mr_statement_destroy(st);
	}
	if (rc >= 0 && is_empty)
		mr_pg_put_empty(&s->out, 'I');
	return rc;
}

static int handle_query(struct mr_pg_session *s, struct mr_span body)
{
	struct mr_reader r = mr_reader(body);
	struct mr_span text = mr_pg_read_cstring(&r);
	int rc;

	if (r.bad || mr_read_left(&r) > 0) {
		rc = mr_pg_bad_message(s);
	} else {
		mr_pg_report_query(s, text);
		mr_pg_portal_drop(s, mr_span(NULL, 0));
		mr_pg_prepared_drop(s, mr_span(NULL, 0));
		rc = simple_statements(s, text);
	}
	if (rc < 0)
		send_error(s);
	if (!s->is_ended)
		mr_pg_send_ready(s);
	return 0;
}

static int handle_function_call(struct mr_pg_session *s, struct mr_span)
{
	mr_diag_set(&s->diag, MR_ERR_UNSUPPORTED, "0A000", 0,
		"the function call protocol is not supported");
	send_error(s);
	if (!s->is_ended)
		mr_pg_send_ready(s);
	return 0;
}

static int handle_sync(struct mr_pg_session *s, struct mr_span)
{
	s->is_skipping = false;
	mr_pg_send_ready(s);
	return 0;
}

static int handle_flush(struct mr_pg_session *s, struct mr_span)
{
	mr_pg_flush(&s->out);
	return 0;
}

static int handle_terminate(struct mr_pg_session *s, struct mr_span)
{
	s->is_ended = true;
	return 0;
}

// Messages of a COPY that has failed already may still be on their way: PostgreSQL ignores them.
static int handle_copy(struct mr_pg_session *, struct mr_span)
{
	return 0;
}

typedef int handler(struct mr_pg_session *s, struct mr_span body);

// Messages by type. `is_extended`: an error skips to Sync, and while skipping they are ignored.
static const struct {
	handler *handle;
	bool is_extended;
} handlers[128] = {
	['Q'] = {handle_query, false},
	['F'] = {handle_function_call, false},
	['P'] = {mr_pg_parse, true},
	['B'] = {mr_pg_bind, true},
	['D'] = {mr_pg_describe, true},
	['E'] = {mr_pg_execute, true},
	['C'] = {mr_pg_close, true},
	['H'] = {handle_flush, true},
	['S'] = {handle_sync, false},
	['X'] = {handle_terminate, false},
	['d'] = {handle_copy, false},
	['c'] = {handle_copy, false},
	['f'] = {handle_copy, false},
};

// Rows that suspended portals and cursors keep in memory are wanted back.
static void let_go(struct mr_pg_session *s)
{
	if (!atomic_load(&s->seat->pins.revoked))
		return;
	mr_session_let_go(s->sql);
	mr_pins_let_go(&s->seat->pins);
}

static void message_handle(struct mr_pg_session *s, const struct mr_pg_message *m)
{
	if (m->type >= MR_COUNT_OF(handlers) || !handlers[m->type].handle) {
		mr_pg_fatal(s, "08P01", "invalid frontend message type %u", m->type);
		return;
	}
	// While skipping, only Sync and the end count.
	if (s->is_skipping && m->type != 'S' && m->type != 'X')
		return;
	let_go(s);
	if (!s->is_busy)
		mr_seat_request_begin(s->seat);
	s->is_busy = true;
	if (handlers[m->type].handle(s, m->body) < 0) {
		send_error(s);
		s->is_skipping = handlers[m->type].is_extended;
	}
}

static void framing_error(struct mr_pg_session *s, int rc, uint32_t bytes_max)
{
	switch (rc) {
	case MR_ERR_STOPPED: fatal_stopping(s); break;
	case -EBADMSG: mr_pg_fatal(s, "08P01", "invalid message length"); break;
	case -ETIMEDOUT:
		mr_pg_fatal(
			s, "25P03", "terminating connection due to idle-in-transaction timeout");
		break;
	case -ENOMEM: mr_pg_fatal(s, "53200", "out of memory"); break;
	case MR_ERR_LIMIT:
		mr_pg_fatal(s, "08P01", "message is longer than the limit of %u bytes", bytes_max);
		break;
	default: break; // the client is gone
	}
}

static void messages_run(struct mr_pg_session *s)
{
	uint32_t bytes_max =
		s->pg->message_bytes_max ? s->pg->message_bytes_max : MR_PG_MESSAGE_BYTES_MAX;
	struct mr_pg_message m;
	uint32_t idle_ms;
	int rc;

	while (!s->is_ended && !s->out.err) {
		let_go(s);
		idle_ms = mr_session_status(s->sql) == 'I' || s->is_busy
				  ? 0
				  : setting_ms(s, "idle_in_transaction_session_timeout");
		rc = mr_pg_message_read(&s->in, bytes_max, idle_ms ? (int)idle_ms : -1, &m);
		if (rc == -EINTR)
			continue;
		if (rc <= 0) {
			if (rc == 0 && is_stopping(s))
				rc = MR_ERR_STOPPED;
			framing_error(s, rc, bytes_max);
			break;
		}
		message_handle(s, &m);
	}
}

void mr_pg_session_run(const struct mr_pg_opts *pg, struct mr_seat *seat)
{
	struct mr_pg_session s = {
		.pg = pg,
		.seat = seat,
		.in = {.link = seat->link,
			.is_wakeable = true,
			.buf = {.budget = &seat->memory, .bytes_free = MR_LINK_KEEP_BYTES}},
		.out = {.link = seat->link,
			.buf = {.bytes_limit = MR_PG_ROW_BYTES_MAX,
				.budget = &seat->memory,
				.bytes_free = MR_LINK_KEEP_BYTES}},
	};

	mr_arena_init_budget(&s.bind_arena, &seat->memory);
	if (mr_pg_startup(&s))
		messages_run(&s);
	mr_pg_portals_drop_all(&s);
	mr_pg_prepared_drop_all(&s);
	if (s.sql)
		mr_session_destroy(s.sql);
	mr_arena_fini(&s.bind_arena);
	mr_buf_fini(&s.in.buf);
	mr_buf_fini(&s.out.buf);
}
