// See pg_script.h.
#include "tests/lib/pg_script.h"

#include "host/pg_int.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/sqltest.h"

#include <stdio.h>

struct mr_buf pg_in;

static size_t begin(char type)
{
	mr_buf_u8(&pg_in, (uint8_t)type);
	mr_buf_be32(&pg_in, 0);
	return pg_in.bytes - 4;
}

static void end(size_t at)
{
	mr_store_be32(pg_in.data + at, (uint32_t)(pg_in.bytes - at));
}

static void cstr(const char *s)
{
	mr_buf_add(&pg_in, s, strlen(s) + 1);
}

void pg_startup_pairs(uint32_t version, const char *pairs, size_t bytes)
{
	mr_buf_be32(&pg_in, (uint32_t)(8 + bytes));
	mr_buf_be32(&pg_in, version);
	mr_buf_add(&pg_in, pairs, bytes);
}

void pg_startup(void)
{
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, PG_MILLRACE);
}

void pg_message(char type, const void *body, size_t bytes)
{
	size_t at = begin(type);

	mr_buf_add(&pg_in, body, bytes);
	end(at);
}

void pg_query(const char *text)
{
	pg_message('Q', text, strlen(text) + 1);
}

void pg_sync(void)
{
	pg_message('S', NULL, 0);
}

void pg_parse(const char *name, const char *text, int types, const uint32_t *oids)
{
	size_t at = begin('P');

	cstr(name);
	cstr(text);
	mr_buf_be16(&pg_in, (uint16_t)types);
	for (int i = 0; i < types; i++)
		mr_buf_be32(&pg_in, oids[i]);
	end(at);
}

void pg_bind(const char *portal, const char *statement, int params, const char *const *values,
	int in_format, int out_format)
{
	size_t at = begin('B');

	cstr(portal);
	cstr(statement);
	mr_buf_be16(&pg_in, in_format >= 0);
	if (in_format >= 0)
		mr_buf_be16(&pg_in, (uint16_t)in_format);
	mr_buf_be16(&pg_in, (uint16_t)params);
	for (int i = 0; i < params; i++) {
		mr_buf_be32(&pg_in, values[i] ? (uint32_t)strlen(values[i]) : UINT32_MAX);
		if (values[i])
			mr_buf_str(&pg_in, values[i]);
	}
	mr_buf_be16(&pg_in, out_format >= 0);
	if (out_format >= 0)
		mr_buf_be16(&pg_in, (uint16_t)out_format);
	end(at);
}

void pg_target(char type, char kind, const char *name)
{
	size_t at = begin(type);

	mr_buf_u8(&pg_in, (uint8_t)kind);
	cstr(name);
	end(at);
}

void pg_execute(const char *portal, uint32_t rows_max)
{
	size_t at = begin('E');

	cstr(portal);
	mr_buf_be32(&pg_in, rows_max);
	end(at);
}

// One message of the server as text.
static void decode_fields(struct mr_reader *r, struct mr_buf *out)
{
	uint32_t n = mr_read_be16(r);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bytes = mr_read_be32(r);
		struct mr_span v = mr_read_span(r, bytes == UINT32_MAX ? 0 : bytes);

		if (i)
			mr_buf_u8(out, ',');
		if (bytes == UINT32_MAX)
			mr_buf_str(out, "null");
		for (size_t k = 0; k < v.bytes; k++)
			mr_buf_printf(out, v.data[k] < 32 ? "\\%02x" : "%c", v.data[k]);
	}
}

static void decode_description(struct mr_reader *r, struct mr_buf *out)
{
	uint32_t n = mr_read_be16(r);

	for (uint32_t i = 0; i < n; i++) {
		struct mr_span name = mr_pg_read_cstring(r);
		uint32_t table = mr_read_be32(r), column = mr_read_be16(r), oid = mr_read_be32(r);
		int16_t bytes = (int16_t)mr_read_be16(r);
		int32_t typmod = (int32_t)mr_read_be32(r);
		uint32_t format = mr_read_be16(r);

		assert_true(table == 0 && column == 0);
		mr_buf_printf(out, "%s%.*s:%u:%d:%d:%u", i ? "," : "", (int)name.bytes,
			(const char *)name.data, oid, bytes, typmod, format);
	}
}

static void decode_error(struct mr_reader *r, struct mr_buf *out)
{
	for (uint8_t field = mr_read_u8(r), first = 1; field; field = mr_read_u8(r), first = 0) {
		struct mr_span v = mr_pg_read_cstring(r);

		if (field == 'V')
			continue;
		mr_buf_printf(out, "%s%c=%.*s", first ? "" : "|", field, (int)v.bytes,
			(const char *)v.data);
	}
}

static void decode_message(char type, struct mr_reader *r, struct mr_buf *out)
{
	mr_buf_printf(out, "%s%c", out->bytes ? " " : "", type);
	if (strchr("123InsNv", type) && mr_read_left(r) == 0)
		return;
	mr_buf_u8(out, '(');
	switch (type) {
	case 'D': decode_fields(r, out); break;
	case 'T': decode_description(r, out); break;
	case 'E': decode_error(r, out); break;
	case 'R': mr_buf_printf(out, "%u", mr_read_be32(r)); break;
	case 'K':
		mr_buf_printf(out, "%u,", mr_read_be32(r));
		mr_buf_printf(out, "%x", mr_read_be32(r));
		break;
	case 'Z': mr_buf_u8(out, mr_read_u8(r)); break;
	case 't':
		for (uint32_t i = 0, n = mr_read_be16(r); i < n; i++)
			mr_buf_printf(out, "%s%u", i ? "," : "", mr_read_be32(r));
		break;
	case 'v':
		mr_buf_printf(out, "%u", mr_read_be32(r));
		for (uint32_t i = 0, n = mr_read_be32(r); i < n; i++)
			mr_buf_printf(out, ",%s", (const char *)mr_pg_read_cstring(r).data);
		break;
	default: // strings
		for (int i = 0; mr_read_left(r) > 0 && !r->bad; i++)
			mr_buf_printf(out, "%s%s", i ? "=" : "",
				(const char *)mr_pg_read_cstring(r).data);
	}
	mr_buf_u8(out, ')');
	assert_false(r->bad);
	assert_int_equal(mr_read_left(r), 0);
}

void pg_decode(struct mr_span bytes, struct mr_buf *out)
{
	struct mr_reader r = mr_reader(bytes), body;

	while (mr_read_left(&r) > 0) {
		char type = (char)mr_read_u8(&r);
		uint32_t length;

		// The answer to SSLRequest is a lone byte, in front of everything.
		if (type == 'N' && out->bytes < 4) {
			mr_buf_str(out, out->bytes ? " N" : "N");
			continue;
		}
		length = mr_read_be32(&r);
		assert_true(length >= 4);
		body = mr_reader(mr_read_span(&r, length - 4));
		assert_false(r.bad);
		decode_message(type, &body, out);
	}
	mr_buf_u8(out, 0);
}

struct mr_sessions *pg_sessions;

static struct mr_pg_opts pg = {
	.clock = &mr_clock_system,
	.query_bytes_max = 1 << 20,
	.message_bytes_max = 4096,
};

// As the server does, but pid and secret are always the same.
void pg_run(struct mr_mem_link *link)
{
	struct mr_session_group group = {.sessions = pg_sessions, .port = "sql"};
	struct mr_seat seat;

	mr_sessions_attach(&group, &seat, &link->link);
	seat.activity.pid = 7;
	seat.secret = 0xabcd;
	mr_pg_session_run(&pg, &seat);
	mr_sessions_detach(&seat);
}

void pg_expect_cut(const char *want, size_t cut, size_t read_max, bool over_limit)
{
	struct mr_mem_link link;
	struct mr_buf got = {0};

	mr_mem_link_init(&link, mr_buf_span(&pg_in));
	link.cut = cut;
	link.read_max = read_max;
	link.link.over_limit = over_limit;
	pg_run(&link);
	pg_decode(mr_buf_span(&link.output), &got);
	if (strcmp((char *)got.data, want) != 0)
		print_message("cut=%zu read_max=%zu\n", cut, read_max);
	assert_string_equal((char *)got.data, want);
	mr_mem_link_fini(&link);
	mr_buf_fini(&got);
}

void pg_expect_exactly(const char *want)
{
	pg_expect_cut(want, 0, 0, false);
	pg_expect_cut(want, 0, 1, false);
	for (size_t cut = 1; cut < pg_in.bytes; cut++)
		pg_expect_cut(want, cut, 0, false);
}

void pg_expect(const char *want)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s%s%s", PG_GREETING, *want ? " " : "", want);
	pg_expect_exactly(text);
}

static struct mr_sqltest *sql;

int pg_script_open(void **)
{
	const struct mr_sessions_opts opts = {.clock = &mr_clock_system};

	if (mr_sqltest_create(64u << 20, &sql) < 0)
		return -1;
	pg.env = mr_sqltest_env(sql);
	return mr_sessions_create(&opts, &pg_sessions);
}

int pg_script_close(void **)
{
	mr_sqltest_destroy(sql);
	mr_sessions_destroy(pg_sessions);
	mr_buf_fini(&pg_in);
	return 0;
}
