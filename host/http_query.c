// POST /query: SQL in the body, rows out as JSON, NDJSON or CSV, streamed block by block.
//
// All statements of the body run in order in one session; the answer is the last one's. The format
// is `?format=json|ndjson|csv`, else what Accept names first, else JSON:
//
//   json {"columns":[{"name":"a","type":"integer"},…],"rows":[[1,…],…],"row_count":1,"tag":"SELECT
//   1"} ndjson  {"a":1,…} a line csv     a header line, then rows as COPY … CSV writes them: NULL
//   is empty, '' is ""
//
// Values in JSON are as PostgreSQL's to_json gives them: integers, numerics and floats are numbers
// with all their digits (NaN and Infinity are strings), timestamps ISO 8601 with a T, everything
// else strings. A reader whose numbers are doubles asks for `?numbers=text`, and gets bigint and
// numeric as strings.
//
// An error before the first bytes are sent is {"error":{"sqlstate":…,"message":…,…}} with a status
// by its class. Once rows are on their way the status is gone: then the error follows as the last
// thing in the body (not in CSV), and the connection ends without completing it, so that no client
// takes a part for the whole.
#include "host/http_int.h"

#include "host/base/quote.h"
#include "host/base/utf8.h"
#include "host/base/value.h"

#include <errno.h>
#include <stdio.h>

enum format { FORMAT_JSON, FORMAT_NDJSON, FORMAT_CSV };

struct query {
	struct mr_http_session *s;
	struct mr_session *sql;
	struct mr_buf *out;
	enum format format;
	bool numbers_as_text;
	const struct mr_result_column *columns;
	uint32_t columns_count;
	uint64_t rows;
	struct mr_buf text; // of one value
	struct mr_diag diag;
};

static int status_of(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		int status;
	} rules[] = {{"0A", 501}, {"57014", 504}, {"57", 503}, {"53400", 400}, {"53", 503},
		{"08006", 503}, {"08", 400}, {"0", 400}, {"2", 400}, {"3", 400}, {"4", 400}};

	for (size_t i = 0; i < MR_COUNT_OF(rules); i++)
		if (strncmp(sqlstate, rules[i].prefix, strlen(rules[i].prefix)) == 0)
			return rules[i].status;
	return 500;
}

static void put_member(struct mr_buf *b, const char *name, const char *value)
{
	if (!*value)
		return;
	mr_buf_printf(b, ",\"%s\":", name);
	mr_quote_json(b, mr_span_str(value));
}

static void put_error(struct mr_buf *b, const struct mr_diag *d)
{
	mr_buf_str(b, "\"error\":{\"sqlstate\":");
	mr_quote_json(b, mr_span_str(d->sqlstate));
	put_member(b, "message", d->message);
	put_member(b, "detail", d->detail);
	put_member(b, "hint", d->hint);
	if (d->position > 0)
		mr_buf_printf(b, ",\"position\":%d", d->position);
	mr_buf_u8(b, '}');
}

static void send_error(struct query *q)
{
	struct mr_http_out *o = &q->s->out;

	if (!o->is_begun) {
		mr_http_begin(o, status_of(q->diag.sqlstate), "application/json");
		mr_buf_u8(&o->body, '{');
		put_error(&o->body, &q->diag);
		mr_buf_str(&o->body, "}\n");
		mr_http_end(o);
		return;
	}
	if (q->format == FORMAT_JSON)
		mr_buf_str(q->out, "],");
	else if (q->format == FORMAT_NDJSON)
		mr_buf_u8(q->out, '{');
	if (q->format != FORMAT_CSV) {
		put_error(q->out, &q->diag);
		mr_buf_str(q->out, "}\n");
	}
	mr_http_abort(o);
}

static bool is_number(enum mr_type t)
{
	return t >= MR_TYPE_INT2 && t <= MR_TYPE_NUMERIC;
}

// ISO 8601 of PostgreSQL's text: a T between date and time, minutes in the offset.
static void fix_timestamp(struct mr_buf *text, bool has_zone)
{
	uint8_t *space = text->bytes ? memchr(text->data, ' ', text->bytes) : NULL;
	const uint8_t *tail;

	// infinity has no space, and years before Christ (a second one) stay as they are.
	if (!space || memchr(space + 1, ' ', (size_t)(text->data + text->bytes - space - 1)))
		return;
	*space = 'T';
	tail = text->data + text->bytes - 3;
	if (has_zone && (*tail == '+' || *tail == '-'))
		mr_buf_str(text, ":00");
}

static void put_json_value(struct query *q, struct mr_typeref t, const void *value)
{
	enum mr_type type = (enum mr_type)t.type;
	const uint8_t *first;

	if (type == MR_TYPE_BOOL) {
		mr_buf_str(q->out, *(const uint8_t *)value ? "true" : "false");
		return;
	}
	if (type == MR_TYPE_TEXT) {
		const struct mr_str *s = value;

		mr_quote_json(q->out, mr_span(s->data, s->bytes));
		return;
	}
	mr_buf_reset(&q->text);
	mr_value_format(t, value, mr_session_tz(q->sql), &q->text);
	if (type == MR_TYPE_TIMESTAMP || type == MR_TYPE_TIMESTAMPTZ)
		fix_timestamp(&q->text, type == MR_TYPE_TIMESTAMPTZ);
	first = q->text.data;
	// NaN, Infinity and -Infinity are no JSON numbers.
	if (is_number(type) && q->text.bytes && first[q->text.bytes - 1] <= '9' &&
		!(q->numbers_as_text && (type == MR_TYPE_INT8 || type == MR_TYPE_NUMERIC)))
		mr_buf_add(q->out, first, q->text.bytes);
	else
		mr_quote_json(q->out, mr_buf_span(&q->text));
}

static void put_csv_text(struct mr_buf *b, struct mr_span text)
{
	bool is_quoted = text.bytes == 0;

	for (size_t i = 0; i < text.bytes && !is_quoted; i++)
		is_quoted = memchr(",\"\r\n", text.data[i], 4) != NULL;
	if (!is_quoted) {
		mr_buf_add(b, text.data, text.bytes);
		return;
	}
	mr_buf_u8(b, '"');
	for (size_t i = 0; i < text.bytes; i++) {
		if (text.data[i] == '"')
			mr_buf_u8(b, '"');
		mr_buf_u8(b, text.data[i]);
	}
	mr_buf_u8(b, '"');
}

static void put_csv_value(struct query *q, struct mr_typeref t, const void *value)
{
	mr_buf_reset(&q->text);
	mr_value_format(t, value, mr_session_tz(q->sql), &q->text);
	put_csv_text(q->out, mr_buf_span(&q->text));
}

static void put_value(struct query *q, const struct mr_col *c, uint32_t row)
{
	const void *value = (const uint8_t *)c->values + row * mr_phys_bytes((enum mr_phys)c->phys);
	struct mr_str string;

	if (c->type.type == MR_TYPE_NULL || mr_col_is_null(c, row)) {
		if (q->format != FORMAT_CSV)
			mr_buf_str(q->out, "null");
		return;
	}
	if (c->phys == MR_PHYS_BYTES) {
		string = mr_col_str(c, row);
		value = &string;
	}
	if (q->format == FORMAT_CSV)
		put_csv_value(q, c->type, value);
	else
		put_json_value(q, c->type, value);
}

static void put_row(struct query *q, const struct mr_block *block, uint32_t row)
{
	struct mr_buf *b = q->out;

	if (q->format == FORMAT_JSON)
		mr_buf_str(b, q->rows ? ",\n[" : "\n[");
	else if (q->format == FORMAT_NDJSON)
		mr_buf_u8(b, '{');
	for (uint32_t i = 0; i < q->columns_count; i++) {
		if (i)
			mr_buf_u8(b, ',');
		if (q->format == FORMAT_NDJSON) {
			mr_quote_json(b, q->columns[i].name);
			mr_buf_u8(b, ':');
		}
		put_value(q, &block->columns[i], row);
	}
	mr_buf_str(b, q->format == FORMAT_JSON ? "]" : q->format == FORMAT_NDJSON ? "}\n" : "\n");
	q->rows++;
}

static void put_result_head(struct query *q)
{
	static const char *const types[] = {"application/json", "application/x-ndjson",
		"text/csv; charset=utf-8; header=present"};
	struct mr_buf *b = q->out;
	char type[40];

	mr_http_begin(&q->s->out, 200, types[q->format]);
	if (q->format == FORMAT_JSON)
		mr_buf_str(b, "{\"columns\":[");
	for (uint32_t i = 0; i < q->columns_count && q->format != FORMAT_NDJSON; i++) {
		if (i)
			mr_buf_u8(b, ',');
		if (q->format == FORMAT_CSV) {
			put_csv_text(b, q->columns[i].name);
			continue;
		}
		mr_typeref_format(q->columns[i].type, type);
		mr_buf_str(b, "{\"name\":");
		mr_quote_json(b, q->columns[i].name);
		mr_buf_printf(b, ",\"type\":\"%s\"}",
			q->columns[i].type.type == MR_TYPE_NULL ? "text" : type);
	}
	if (q->format == FORMAT_JSON)
		mr_buf_str(b, "],\"rows\":[");
	else if (q->format == FORMAT_CSV && q->columns_count)
		mr_buf_u8(b, '\n');
}

static void put_result_end(struct query *q, const char *tag)
{
	if (q->format == FORMAT_JSON) {
		mr_buf_printf(q->out, "%s],\"row_count\":%llu,\"tag\":", q->rows ? "\n" : "",
			(unsigned long long)q->rows);
		mr_quote_json(q->out, mr_span_str(tag));
		mr_buf_str(q->out, "}\n");
	}
	mr_http_end(&q->s->out);
}

static int put_block(struct query *q, const struct mr_block *block)
{
	for (uint32_t row = 0; row < block->rows; row++) {
		put_row(q, block, row);
		if (mr_http_checkpoint(&q->s->out) < 0)
			return mr_diag_set(
				&q->diag, q->s->out.err, "08006", 0, "connection to client lost");
	}
	return 0;
}

// Runs a statement; only the last one's rows are wanted.
static int run_statement(struct query *q, struct mr_statement *st, bool is_last)
{
	const struct mr_typeref *types;
	struct mr_cursor *cursor;
	struct mr_block block;
	int rc;

	if (mr_statement_params(st, &types) > 0)
		return mr_diag_set(&q->diag, -EINVAL, "42P02", 0, "there is no parameter $1");
	q->columns_count = mr_statement_columns(st, &q->columns);
	rc = mr_cursor_open(q->sql, st, NULL, 0, &cursor, &q->diag);
	if (rc < 0)
		return rc;
	if (is_last)
		put_result_head(q);
	while ((rc = mr_cursor_next(cursor, 0, &block, &q->diag)) > 0) {
		if (is_last)
			rc = put_block(q, &block);
		if (rc < 0)
			break;
	}
	if (rc == 0 && is_last)
		put_result_end(q, mr_cursor_tag(cursor));
	mr_cursor_close(cursor);
	return rc;
}

// Skips a comment at the beginning of `text`; false when there is none.
static bool skip_comment(struct mr_span *text)
{
	size_t at = 2;
	int depth = 1;

	if (text->bytes < 2)
		return false;
	if (memcmp(text->data, "--", 2) == 0) {
		while (at < text->bytes && text->data[at] != '\n')
			at++;
	} else if (memcmp(text->data, "/*", 2) == 0) {
		for (; at < text->bytes && depth > 0; at++) {
			bool has_two = at + 1 < text->bytes;

			if (has_two && memcmp(text->data + at, "/*", 2) == 0)
				depth++, at++;
			else if (has_two && memcmp(text->data + at, "*/", 2) == 0)
				depth--, at++;
		}
	} else {
		return false;
	}
	*text = mr_span(text->data + at, text->bytes - at);
	return true;
}

// Nothing but white space, semicolons and comments is left.
static bool is_blank(struct mr_span text)
{
	while (text.bytes > 0) {
		if (memchr(" \t\n\r\f\v;", text.data[0], 7))
			text = mr_span(text.data + 1, text.bytes - 1);
		else if (!skip_comment(&text))
			return false;
	}
	return true;
}

static int run_text(struct query *q, struct mr_span text)
{
	struct mr_span rest = text;
	struct mr_statement *st;
	bool is_last = false;
	int rc = 0;

	if (!mr_utf8_is_valid(text) || (text.bytes && memchr(text.data, 0, text.bytes)))
		return mr_diag_set(&q->diag, -EILSEQ, "22021", 0,
			"invalid byte sequence for encoding \"UTF8\"");
	while (rc >= 0 && !is_last) {
		rc = mr_statement_prepare(q->sql, text, &rest, NULL, 0, &st, &q->diag);
		if (rc < 0)
			break;
		if (!st)
			return mr_diag_set(
				&q->diag, -EINVAL, "42601", 0, "there is no statement in the body");
		is_last = is_blank(rest);
		rc = run_statement(q, st, is_last);
		mr_statement_destroy(st);
	}
	return rc;
}

static bool choose_format(struct query *q)
{
	static const struct {
		const char *name, *media;
	} formats[] = {{"json", "application/json"}, {"ndjson", "application/x-ndjson"},
		{"csv", "text/csv"}};
	const struct mr_http_request *r = &q->s->request;
	char name[16], numbers[16];

	q->numbers_as_text = mr_http_query_value(r->query, "numbers", numbers, sizeof(numbers)) &&
			     strcmp(numbers, "text") == 0;
	if (mr_http_query_value(r->query, "format", name, sizeof(name))) {
		for (size_t i = 0; i < MR_COUNT_OF(formats); i++) {
			q->format = (enum format)i;
			if (strcmp(formats[i].name, name) == 0)
				return true;
		}
		q->format = FORMAT_JSON;
		mr_diag_set(&q->diag, -EINVAL, "22023", 0, "unknown format \"%s\"", name);
		mr_diag_hint(&q->diag, "Formats are json, ndjson and csv.");
		return false;
	}
	for (size_t i = 0; i < MR_COUNT_OF(formats); i++) {
		q->format = (enum format)i;
		if (mr_http_has_token(r->accept, formats[i].media))
			return true;
	}
	q->format = FORMAT_JSON;
	return true;
}

void mr_http_query(struct mr_http_session *s)
{
	struct mr_span text = mr_buf_span(&s->body);
	struct query q = {.s = s, .out = &s->out.body};
	const struct mr_session_opts opts = {
		.env = s->http->env,
		.clock = s->http->clock,
		.cancelled = &s->seat->cancelled,
		.query_bytes_max = s->http->query_bytes_max,
		.memory = &s->seat->memory,
		.pins = &s->seat->pins,
		.user = mr_span_str("millrace"),
		.database = mr_span_str("millrace"),
		.application_name = mr_span_str("http"),
		.backend_pid = s->seat->activity.pid,
	};
	int rc;

	s->out.is_begun = false;
	mr_seat_report(s->seat, MR_SESSION_ACTIVE, &text, "http");
	rc = choose_format(&q) ? 0 : -EINVAL;
	if (rc == 0 && mr_session_create(&opts, &q.sql) < 0)
		rc = mr_diag_set(&q.diag, -ENOMEM, "53200", 0, "out of memory");
	if (rc == 0)
		rc = run_text(&q, text);
	if (rc < 0 && atomic_load(&s->seat->timed_out) && strcmp(q.diag.sqlstate, "57014") == 0)
		mr_diag_set(
			&q.diag, rc, "57014", 0, "canceling statement due to statement timeout");
	if (rc < 0)
		send_error(&q);
	mr_buf_fini(&q.text);
	if (q.sql)
		mr_session_destroy(q.sql);
}
