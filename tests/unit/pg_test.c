// The PostgreSQL wire's state machine over links in memory. Method: each case is a script of client
// messages; the server's answer is spelt out message by message by a decoder that accounts for
// every byte, and must be the same wherever the input is cut.
#include "host/pg_int.h"
#include "tests/lib/mem_link.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/sqltest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct mr_buf in; // the script of the case

static size_t begin(char type)
{
	mr_buf_u8(&in, (uint8_t)type);
	mr_buf_be32(&in, 0);
	return in.bytes - 4;
}

static void end(size_t at)
{
	mr_store_be32(in.data + at, (uint32_t)(in.bytes - at));
}

static void cstr(const char *s)
{
	mr_buf_add(&in, s, strlen(s) + 1);
}

static void startup_pairs(uint32_t version, const char *pairs, size_t bytes)
{
	mr_buf_be32(&in, (uint32_t)(8 + bytes));
	mr_buf_be32(&in, version);
	mr_buf_add(&in, pairs, bytes);
}

#define STARTUP(version, pairs) startup_pairs(version, pairs, sizeof(pairs))
#define MILLRACE                "user\0millrace\0database\0millrace\0"

static void startup(void)
{
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, MILLRACE);
}

static void message(char type, const void *body, size_t bytes)
{
	size_t at = begin(type);

	mr_buf_add(&in, body, bytes);
	end(at);
}

static void query(const char *text)
{
	message('Q', text, strlen(text) + 1);
}

static void sync_(void)
{
	message('S', NULL, 0);
}

static void parse(const char *name, const char *text, int types, const uint32_t *oids)
{
	size_t at = begin('P');

	cstr(name);
	cstr(text);
	mr_buf_be16(&in, (uint16_t)types);
	for (int i = 0; i < types; i++)
		mr_buf_be32(&in, oids[i]);
	end(at);
}

// Parameters are texts, NULL for null; `in_format` and `out_format` -1: no codes are sent.
static void bind(const char *portal, const char *statement, int params, const char *const *values,
	int in_format, int out_format)
{
	size_t at = begin('B');

	cstr(portal);
	cstr(statement);
	mr_buf_be16(&in, in_format >= 0);
	if (in_format >= 0)
		mr_buf_be16(&in, (uint16_t)in_format);
	mr_buf_be16(&in, (uint16_t)params);
	for (int i = 0; i < params; i++) {
		mr_buf_be32(&in, values[i] ? (uint32_t)strlen(values[i]) : UINT32_MAX);
		if (values[i])
			mr_buf_str(&in, values[i]);
	}
	mr_buf_be16(&in, out_format >= 0);
	if (out_format >= 0)
		mr_buf_be16(&in, (uint16_t)out_format);
	end(at);
}

static void target(char type, char kind, const char *name)
{
	size_t at = begin(type);

	mr_buf_u8(&in, (uint8_t)kind);
	cstr(name);
	end(at);
}

static void execute(const char *portal, uint32_t rows_max)
{
	size_t at = begin('E');

	cstr(portal);
	mr_buf_be32(&in, rows_max);
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

static void decode(struct mr_span bytes, struct mr_buf *out)
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

static struct mr_sessions *sessions;

static struct mr_pg_opts pg = {
	.clock = &mr_clock_system,
	.query_bytes_max = 1 << 20,
	.message_bytes_max = 4096,
};

// As the server does, but pid and secret are always the same.
static void run_session(struct mr_mem_link *link)
{
	struct mr_session_group group = {.sessions = sessions, .port = "sql"};
	struct mr_seat seat;

	mr_sessions_attach(&group, &seat, &link->link);
	seat.activity.pid = 7;
	seat.secret = 0xabcd;
	mr_pg_session_run(&pg, &seat);
	mr_sessions_detach(&seat);
}

#define GREETING                                                                       \
	"R(0) S(server_version=15.0) S(server_encoding=UTF8) S(client_encoding=UTF8) " \
	"S(application_name=) S(is_superuser=on) S(session_authorization=millrace) "   \
	"S(DateStyle=ISO, MDY) S(IntervalStyle=postgres) S(TimeZone=UTC) "             \
	"S(integer_datetimes=on) S(standard_conforming_strings=on) "                   \
	"S(default_transaction_read_only=off) S(in_hot_standby=off) K(7,abcd) Z(I)"

// Runs the script once, cut at `cut`, and compares.
static void expect_cut(const char *want, size_t cut, size_t read_max, bool over_limit)
{
	struct mr_mem_link link;
	struct mr_buf got = {0};

	mr_mem_link_init(&link, mr_buf_span(&in));
	link.cut = cut;
	link.read_max = read_max;
	link.link.over_limit = over_limit;
	run_session(&link);
	decode(mr_buf_span(&link.output), &got);
	if (strcmp((char *)got.data, want) != 0)
		print_message("cut=%zu read_max=%zu\n", cut, read_max);
	assert_string_equal((char *)got.data, want);
	mr_mem_link_fini(&link);
	mr_buf_fini(&got);
}

static void expect_exactly(const char *want)
{
	expect_cut(want, 0, 0, false);
	expect_cut(want, 0, 1, false);
	for (size_t cut = 1; cut < in.bytes; cut++)
		expect_cut(want, cut, 0, false);
}

// The greeting's text is left out of `want`.
static void expect(const char *want)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s%s%s", GREETING, *want ? " " : "", want);
	expect_exactly(text);
}

static void startup_greets_with_settings_key_and_ready(void **)
{
	startup();
	expect("");
}

static void startup_answers_no_to_ssl_and_gss(void **)
{
	mr_buf_reset(&in);
	mr_buf_be32(&in, 8);
	mr_buf_be32(&in, MR_PG_CODE_SSL);
	mr_buf_be32(&in, 8);
	mr_buf_be32(&in, MR_PG_CODE_GSSENC);
	STARTUP(MR_PG_PROTOCOL_3_0, MILLRACE);
	expect_exactly("N N " GREETING);
}

// The hint of a refusal; a link over memory has no port.
#define HOW_TO_CONNECT                                                                            \
	"H=Connect as user millrace to database millrace, without a password: psql -h HOST -p 0 " \
	"-U millrace -d millrace (or set PGUSER and PGDATABASE)."

static void startup_refuses_in_postgresqls_words(void **)
{
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, "user\0joe\0");
	expect_exactly("E(S=FATAL|C=28000|M=role \"joe\" does not exist|" HOW_TO_CONNECT ")");
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, "user\0millrace\0database\0shop\0");
	expect_exactly("E(S=FATAL|C=3D000|M=database \"shop\" does not exist|" HOW_TO_CONNECT ")");
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, "database\0millrace\0");
	expect_exactly("E(S=FATAL|C=28000|M=no PostgreSQL user name specified in startup packet)");
	mr_buf_reset(&in);
	STARTUP(2 << 16, MILLRACE);
	expect_exactly("E(S=FATAL|C=0A000|M=unsupported frontend protocol 2.0: server supports "
		       "3.0 to 3.0)");
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, MILLRACE "nonsense\0"
					     "1\0");
	expect_exactly("E(S=FATAL|C=42704|M=unrecognized configuration parameter \"nonsense\")");
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, MILLRACE "replication\0true\0");
	expect_exactly("E(S=FATAL|C=0A000|M=replication connections are not supported)");
}

static void startup_applies_settings_and_options(void **)
{
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, MILLRACE "application_name\0app\0options\0"
					     "-c TimeZone=Europe/Berlin --DateStyle=ISO,\\ DMY\0");
	query("show TimeZone");
	expect_exactly(
		"R(0) S(server_version=15.0) S(server_encoding=UTF8) S(client_encoding=UTF8) "
		"S(application_name=app) S(is_superuser=on) S(session_authorization=millrace) "
		"S(DateStyle=ISO, DMY) S(IntervalStyle=postgres) S(TimeZone=Europe/Berlin) "
		"S(integer_datetimes=on) S(standard_conforming_strings=on) "
		"S(default_transaction_read_only=off) S(in_hot_standby=off) K(7,abcd) Z(I) "
		"T(TimeZone:25:-1:-1:0) D(Europe/Berlin) C(SHOW) Z(I)");
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0, MILLRACE "options\0-x\0");
	expect_exactly("E(S=FATAL|C=42601|M=invalid command-line argument for server process: -x)");
}

static void startup_negotiates_newer_minor_and_options(void **)
{
	mr_buf_reset(&in);
	STARTUP(MR_PG_PROTOCOL_3_0 + 2, MILLRACE "_pq_.x\0"
						 "1\0");
	expect_exactly("v(196608,_pq_.x) " GREETING);
}

static void startup_over_the_limit_is_refused_politely(void **)
{
	startup();
	expect_cut("E(S=FATAL|C=53300|M=sorry, too many clients already)", 0, 0, true);
}

static void startup_closes_on_what_is_not_postgresql(void **)
{
	static const char *const others[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02",
		"\0\0\0\x07\0\x03\0\0", "\0\0\0\x04", "\x7f\xff\xff\xff\0\x03\0\0"};

	for (size_t i = 0; i < MR_COUNT_OF(others); i++) {
		mr_buf_reset(&in);
		mr_buf_add(&in, others[i], i < 2 ? strlen(others[i]) : i == 3 ? 4 : 8);
		expect_exactly("");
	}
	mr_buf_reset(&in);
	startup_pairs(MR_PG_PROTOCOL_3_0, "user\0millrace", 13);
	expect_exactly("E(S=FATAL|C=08P01|M=invalid startup packet layout)");
}

static void cancel_request(int32_t pid, uint32_t secret)
{
	mr_buf_reset(&in);
	mr_buf_be32(&in, 16);
	mr_buf_be32(&in, MR_PG_CODE_CANCEL);
	mr_buf_be32(&in, (uint32_t)pid);
	mr_buf_be32(&in, secret);
	expect_exactly("");
}

static void cancel_request_needs_pid_and_secret_and_answers_nothing(void **)
{
	struct mr_session_group group = {.sessions = sessions, .port = "sql"};
	struct mr_mem_link link;
	struct mr_seat seat;

	mr_mem_link_init(&link, mr_span(NULL, 0));
	mr_sessions_attach(&group, &seat, &link.link);
	seat.activity.pid = 99;
	cancel_request(99, seat.secret + 1);
	cancel_request(98, seat.secret);
	assert_false(atomic_load(&seat.cancelled));
	cancel_request(99, seat.secret);
	assert_true(atomic_load(&seat.cancelled));
	mr_seat_request_begin(&seat);
	assert_false(atomic_load(&seat.cancelled));
	mr_sessions_detach(&seat);
}

static void sessions_are_listed_with_what_they_run(void **)
{
	struct mr_session_group group = {.sessions = sessions, .port = "sql"};
	struct mr_span text = mr_span_str("select 1");
	struct mr_activity *list;
	struct mr_seat seats[2];
	struct mr_mem_link link;
	struct mr_arena arena;

	mr_mem_link_init(&link, mr_span(NULL, 0));
	mr_sessions_attach(&group, &seats[0], &link.link);
	mr_sessions_attach(&group, &seats[1], &link.link);
	mr_seat_report(&seats[1], MR_SESSION_ACTIVE, &text, "app");
	mr_arena_init(&arena, 0);
	assert_int_equal(mr_sessions_list(sessions, &arena, &list), 2);
	assert_true(list[0].pid < list[1].pid);
	assert_int_equal(list[0].state, MR_SESSION_STARTING);
	assert_int_equal(list[1].state, MR_SESSION_ACTIVE);
	assert_string_equal(list[1].query, "select 1");
	assert_string_equal(list[1].application_name, "app");
	assert_true(mr_sessions_cancel(sessions, list[0].pid, true));
	assert_true(atomic_load(&seats[0].stopping) && !atomic_load(&seats[1].stopping));
	assert_false(mr_sessions_cancel(sessions, 1234567, false));
	mr_arena_fini(&arena);
	mr_sessions_stop(&group);
	assert_true(atomic_load(&seats[1].stopping));
	mr_sessions_detach(&seats[0]);
	mr_sessions_detach(&seats[1]);
	mr_sessions_attach(&group, &seats[0], &link.link); // too late
	assert_true(atomic_load(&seats[0].stopping));
	mr_sessions_detach(&seats[0]);
}

static void simple_query_runs_each_statement(void **)
{
	startup();
	query("select 1, 'a', null; select * from generate_series(3, 4)");
	query("");
	query(" ; ");
	expect("T(?column?:23:4:-1:0,?column?:25:-1:-1:0,?column?:25:-1:-1:0) D(1,a,null) "
	       "C(SELECT 1) T(generate_series:23:4:-1:0) D(3) D(4) C(SELECT 2) Z(I) "
	       "I Z(I) I Z(I)");
}

static void simple_query_error_drops_the_rest(void **)
{
	startup();
	query("select 1; selec 2; select 3");
	query("select 4");
	expect("T(?column?:23:4:-1:0) D(1) C(SELECT 1) "
	       "E(S=ERROR|C=42601|M=syntax error at or near \"selec\"|P=11) Z(I) "
	       "T(?column?:23:4:-1:0) D(4) C(SELECT 1) Z(I)");
}

static void simple_query_with_a_parameter_is_refused(void **)
{
	startup();
	query("select $1::int4");
	expect("E(S=ERROR|C=42P02|M=there is no parameter $1) Z(I)");
}

static void ready_tells_the_transaction_and_errors_fail_it(void **)
{
	startup();
	query("begin");
	query("select 1/0");
	query("select 1");
	query("rollback");
	expect("C(BEGIN) Z(T) T(?column?:23:4:-1:0) E(S=ERROR|C=22012|M=division by zero) Z(E) "
	       "E(S=ERROR|C=25P02|M=current transaction is aborted, commands ignored until end of "
	       "transaction block) Z(E) C(ROLLBACK) Z(I)");
}

static void changed_settings_are_reported_before_ready(void **)
{
	startup();
	query("set application_name = 'x'");
	query("set application_name = 'x'");
	expect("C(SET) S(application_name=x) Z(I) C(SET) Z(I)");
}

static void invalid_utf8_is_an_error(void **)
{
	startup();
	query("select '\xff'");
	expect("E(S=ERROR|C=22021|M=invalid byte sequence for encoding \"UTF8\": 0xff) Z(I)");
}

static void extended_flow_as_libpq_sends_it(void **)
{
	const char *const values[] = {"42", NULL};

	startup();
	parse("", "select $1::int4, $2", 2, (const uint32_t[]){23, 0});
	bind("", "", 2, values, -1, 0);
	target('D', 'P', "");
	execute("", 0);
	sync_();
	expect("1 2 T(int4:23:4:-1:0,?column?:25:-1:-1:0) D(42,null) C(SELECT 1) Z(I)");
}

static void extended_flow_as_drivers_prepare(void **)
{
	const char *const one[] = {"1"}, *const two[] = {"2"};

	startup();
	parse("S_1", "select $1::int8", 0, NULL);
	target('D', 'S', "S_1");
	message('H', NULL, 0);
	bind("", "S_1", 1, one, 0, 1);
	execute("", 0);
	bind("C_2", "S_1", 1, two, 0, -1);
	target('D', 'P', "C_2");
	execute("C_2", 0);
	target('C', 'S', "S_1");
	target('C', 'S', "never was");
	sync_();
	expect("1 t(20) T(int8:20:8:-1:0) 2 D(\\00\\00\\00\\00\\00\\00\\00\\01) C(SELECT 1) "
	       "2 T(int8:20:8:-1:0) D(2) C(SELECT 1) 3 3 Z(I)");
}

static void binary_parameters_are_read(void **)
{
	const char *const values[] = {"\x01\x02\x03\x04"};

	startup();
	parse("", "select $1::int4", 0, NULL);
	bind("", "", 1, values, 1, 1);
	target('D', 'P', "");
	execute("", 0);
	sync_();
	expect("1 2 T(int4:23:4:-1:1) D(\\01\\02\\03\\04) C(SELECT 1) Z(I)");
}

static void portals_suspend_and_several_are_open(void **)
{
	startup();
	query("begin");
	parse("s", "select * from generate_series(1, 5)", 0, NULL);
	bind("a", "s", 0, NULL, -1, -1);
	bind("b", "s", 0, NULL, -1, -1);
	execute("a", 2);
	execute("b", 3);
	sync_();
	execute("a", 2);
	execute("b", 0);
	execute("a", 2);
	execute("a", 2);
	sync_();
	query("commit");
	expect("C(BEGIN) Z(T) 1 2 2 D(1) D(2) s D(1) D(2) D(3) s Z(T) "
	       "D(3) D(4) s D(4) D(5) C(SELECT 2) D(5) C(SELECT 1) C(SELECT 0) Z(T) "
	       "C(COMMIT) Z(I)");
}

static void portals_end_with_the_implicit_transaction(void **)
{
	startup();
	parse("s", "select * from generate_series(1, 5)", 0, NULL);
	bind("a", "s", 0, NULL, -1, -1);
	execute("a", 1);
	sync_();
	execute("a", 1);
	sync_();
	expect("1 2 D(1) s Z(I) E(S=ERROR|C=34000|M=portal \"a\" does not exist) Z(I)");
}

static void row_limit_equal_to_the_rows_suspends(void **)
{
	startup();
	parse("", "select * from generate_series(1, 2)", 0, NULL);
	bind("", "", 0, NULL, -1, -1);
	execute("", 2);
	execute("", 2);
	sync_();
	expect("1 2 D(1) D(2) s C(SELECT 0) Z(I)");
}

static void error_skips_to_sync(void **)
{
	startup();
	parse("", "select 1/0", 0, NULL);
	bind("", "", 0, NULL, -1, -1);
	execute("", 0);
	message('H', NULL, 0);
	query("select 1");
	sync_();
	query("select 2");
	expect("1 2 E(S=ERROR|C=22012|M=division by zero) Z(I) T(?column?:23:4:-1:0) D(2) "
	       "C(SELECT 1) Z(I)");
}

static void unknown_and_duplicate_names_are_errors(void **)
{
	startup();
	bind("", "nope", 0, NULL, -1, -1);
	sync_();
	target('D', 'S', "");
	sync_();
	execute("nope", 0);
	sync_();
	target('D', 'P', "nope");
	sync_();
	parse("s", "select 1", 0, NULL);
	parse("s", "select 1", 0, NULL);
	sync_();
	bind("p", "s", 0, NULL, -1, -1);
	bind("p", "s", 0, NULL, -1, -1);
	sync_();
	expect("E(S=ERROR|C=26000|M=prepared statement \"nope\" does not exist) Z(I) "
	       "E(S=ERROR|C=26000|M=unnamed prepared statement does not exist) Z(I) "
	       "E(S=ERROR|C=34000|M=portal \"nope\" does not exist) Z(I) "
	       "E(S=ERROR|C=34000|M=portal \"nope\" does not exist) Z(I) "
	       "1 E(S=ERROR|C=42P05|M=prepared statement \"s\" already exists) Z(I) "
	       "2 E(S=ERROR|C=42P03|M=cursor \"p\" already exists) Z(I)");
}

static void statement_survives_its_name_while_a_portal_runs(void **)
{
	startup();
	parse("s", "select * from generate_series(1, 2)", 0, NULL);
	bind("p", "s", 0, NULL, -1, -1);
	target('C', 'S', "s");
	execute("p", 0);
	sync_();
	expect("1 2 3 D(1) D(2) C(SELECT 2) Z(I)");
}

static void deallocate_all_drops_named_statements(void **)
{
	startup();
	parse("s", "select 1", 0, NULL);
	sync_();
	query("deallocate all");
	bind("", "s", 0, NULL, -1, -1);
	sync_();
	expect("1 Z(I) C(DEALLOCATE ALL) Z(I) "
	       "E(S=ERROR|C=26000|M=prepared statement \"s\" does not exist) Z(I)");
}

static void parse_takes_one_statement_or_none(void **)
{
	startup();
	parse("", "select 1; select 2", 0, NULL);
	sync_();
	parse("", "", 0, NULL);
	target('D', 'S', "");
	bind("", "", 0, NULL, -1, -1);
	target('D', 'P', "");
	execute("", 0);
	sync_();
	parse("", "begin", 0, NULL);
	bind("", "", 0, NULL, -1, -1);
	target('D', 'P', "");
	execute("", 1);
	execute("", 1);
	sync_();
	expect("E(S=ERROR|C=42601|M=cannot insert multiple commands into a prepared statement) "
	       "Z(I) 1 t() n 2 n I Z(I) "
	       "1 2 n C(BEGIN) E(S=ERROR|C=55000|M=portal \"\" cannot be run) Z(E)");
}

static void bind_counts_must_fit(void **)
{
	const char *const values[] = {"1", "2"};

	startup();
	parse("s", "select $1::int4", 0, NULL);
	bind("", "s", 2, values, -1, -1);
	sync_();
	bind("", "s", 1, (const char *const[]){"x"}, -1, -1);
	sync_();
	bind("", "s", 1, values, 7, -1);
	sync_();
	bind("", "s", 1, values, 1, -1);
	sync_();
	expect("1 E(S=ERROR|C=08P01|M=bind message supplies 2 parameters, but prepared statement "
	       "\"s\" requires 1) Z(I) "
	       "E(S=ERROR|C=22P02|M=invalid input syntax for type integer: \"x\") Z(I) "
	       "E(S=ERROR|C=22023|M=unsupported format code: 7) Z(I) "
	       "E(S=ERROR|C=22P03|M=incorrect binary data format in bind parameter 1) Z(I)");
}

static void malformed_bodies_are_errors_and_the_session_goes_on(void **)
{
	static const char kinds[] = "PBDEC";

	for (size_t i = 0; kinds[i]; i++) {
		startup();
		message(kinds[i], "x", 1);
		sync_();
		query("select 1");
		expect("E(S=ERROR|C=08P01|M=invalid message format) Z(I) T(?column?:23:4:-1:0) "
		       "D(1) C(SELECT 1) Z(I)");
	}
	startup();
	message('Q', "select 1", 8);
	message('Q', "select 1\0x", 10);
	expect("E(S=ERROR|C=08P01|M=invalid message format) Z(I) "
	       "E(S=ERROR|C=08P01|M=invalid message format) Z(I)");
}

static void function_calls_are_refused_and_copy_data_ignored(void **)
{
	startup();
	message('F', "\0\0\0\1\0\0\0\0\0\0", 10);
	message('d', "x", 1);
	message('c', "", 0);
	query("");
	expect("E(S=ERROR|C=0A000|M=the function call protocol is not supported) Z(I) I Z(I)");
}

static void framing_errors_are_fatal(void **)
{
	startup();
	mr_buf_add(&in, "Q\0\0\0\3", 5);
	expect("E(S=FATAL|C=08P01|M=invalid message length)");
	startup();
	mr_buf_add(&in, "Q\x7f\xff\xff\xff", 5);
	expect("E(S=FATAL|C=08P01|M=message is longer than the limit of 4096 bytes)");
	startup();
	message('y', "", 0);
	query("select 1");
	expect("E(S=FATAL|C=08P01|M=invalid frontend message type 121)");
	startup();
	message('\xff', "", 0);
	expect("E(S=FATAL|C=08P01|M=invalid frontend message type 255)");
}

static void terminate_ends_without_a_word(void **)
{
	startup();
	message('X', NULL, 0);
	query("select 1");
	expect("");
}

static void too_many_statements_hit_the_limit(void **)
{
	struct mr_mem_link link;
	struct mr_buf got = {0};
	char name[16];

	startup();
	for (int i = 0; i <= MR_PG_STATEMENTS_MAX; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		parse(name, "select 1", 0, NULL);
	}
	sync_();
	mr_mem_link_init(&link, mr_buf_span(&in));
	run_session(&link);
	decode(mr_buf_span(&link.output), &got);
	assert_non_null(strstr((char *)got.data, "C=53400|M=too many prepared statements"));
	mr_mem_link_fini(&link);
	mr_buf_fini(&got);
	startup();
	query("begin");
	parse("s", "select 1", 0, NULL);
	for (int i = 0; i <= MR_PG_PORTALS_MAX; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		bind(name, "s", 0, NULL, -1, -1);
	}
	sync_();
	mr_mem_link_init(&link, mr_buf_span(&in));
	run_session(&link);
	decode(mr_buf_span(&link.output), &got);
	assert_non_null(strstr((char *)got.data, "C=53400|M=too many portals"));
	mr_mem_link_fini(&link);
	mr_buf_fini(&got);
}

static void big_results_are_streamed_in_bounded_memory(void **)
{
	struct mr_mem_link link;

	startup();
	query("select * from generate_series(1, 300000)");
	mr_mem_link_init(&link, mr_buf_span(&in));
	run_session(&link);
	// The digits of 1 to 300,000, and 11 bytes around each of them.
	assert_true(link.output.bytes > 300000 * 11 + 1688895);
	assert_memory_equal(link.output.data + link.output.bytes - 6, "Z\0\0\0\5I", 6);
	mr_mem_link_fini(&link);
}

static void vanished_client_ends_the_query(void **)
{
	struct mr_mem_link link;

	startup();
	query("select * from generate_series(1, 2000000000)");
	mr_mem_link_init(&link, mr_buf_span(&in));
	link.write_max = 1 << 20;
	run_session(&link); // would take minutes otherwise
	assert_true(link.output.bytes <= 1 << 20);
	mr_mem_link_fini(&link);
}

static void stopping_says_so(void **)
{
	struct mr_mem_link link;
	struct mr_buf got = {0};

	startup();
	mr_mem_link_init(&link, mr_buf_span(&in));
	link.end = MR_ERR_STOPPED;
	run_session(&link);
	decode(mr_buf_span(&link.output), &got);
	assert_string_equal((char *)got.data, GREETING
		" E(S=FATAL|C=57P01|M=terminating connection due to administrator command)");
	mr_mem_link_fini(&link);
	mr_buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(startup_greets_with_settings_key_and_ready),
		cmocka_unit_test(startup_answers_no_to_ssl_and_gss),
		cmocka_unit_test(startup_refuses_in_postgresqls_words),
		cmocka_unit_test(startup_applies_settings_and_options),
		cmocka_unit_test(startup_negotiates_newer_minor_and_options),
		cmocka_unit_test(startup_over_the_limit_is_refused_politely),
		cmocka_unit_test(startup_closes_on_what_is_not_postgresql),
		cmocka_unit_test(cancel_request_needs_pid_and_secret_and_answers_nothing),
		cmocka_unit_test(sessions_are_listed_with_what_they_run),
		cmocka_unit_test(simple_query_runs_each_statement),
		cmocka_unit_test(simple_query_error_drops_the_rest),
		cmocka_unit_test(simple_query_with_a_parameter_is_refused),
		cmocka_unit_test(ready_tells_the_transaction_and_errors_fail_it),
		cmocka_unit_test(changed_settings_are_reported_before_ready),
		cmocka_unit_test(invalid_utf8_is_an_error),
		cmocka_unit_test(extended_flow_as_libpq_sends_it),
		cmocka_unit_test(extended_flow_as_drivers_prepare),
		cmocka_unit_test(binary_parameters_are_read),
		cmocka_unit_test(portals_suspend_and_several_are_open),
		cmocka_unit_test(portals_end_with_the_implicit_transaction),
		cmocka_unit_test(row_limit_equal_to_the_rows_suspends),
		cmocka_unit_test(error_skips_to_sync),
		cmocka_unit_test(unknown_and_duplicate_names_are_errors),
		cmocka_unit_test(statement_survives_its_name_while_a_portal_runs),
		cmocka_unit_test(deallocate_all_drops_named_statements),
		cmocka_unit_test(parse_takes_one_statement_or_none),
		cmocka_unit_test(bind_counts_must_fit),
		cmocka_unit_test(malformed_bodies_are_errors_and_the_session_goes_on),
		cmocka_unit_test(function_calls_are_refused_and_copy_data_ignored),
		cmocka_unit_test(framing_errors_are_fatal),
		cmocka_unit_test(terminate_ends_without_a_word),
		cmocka_unit_test(too_many_statements_hit_the_limit),
		cmocka_unit_test(big_results_are_streamed_in_bounded_memory),
		cmocka_unit_test(vanished_client_ends_the_query),
		cmocka_unit_test(stopping_says_so),
	};
	struct mr_sqltest *sql;
	int failed;

	if (mr_sqltest_create(64u << 20, &sql) < 0)
		return 1;
	pg.env = mr_sqltest_env(sql);

	if (mr_sessions_create(&(struct mr_sessions_opts){.clock = &mr_clock_system}, &sessions) <
		0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	mr_sqltest_destroy(sql);
	mr_sessions_destroy(sessions);
	mr_buf_fini(&in);
	return failed;
}
