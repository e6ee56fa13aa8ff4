// The PostgreSQL wire's state machine over links in memory: startup, simple queries, what is fatal.
// Method: each case is a script of client messages, and the server's answer must be the same
// wherever the input is cut.
#include "host/pg_int.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/pg_script.h"

static void startup_greets_with_settings_key_and_ready(void **)
{
	pg_startup();
	pg_expect("");
}

static void startup_answers_no_to_ssl_and_gss(void **)
{
	mr_buf_reset(&pg_in);
	mr_buf_be32(&pg_in, 8);
	mr_buf_be32(&pg_in, MR_PG_CODE_SSL);
	mr_buf_be32(&pg_in, 8);
	mr_buf_be32(&pg_in, MR_PG_CODE_GSSENC);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, PG_MILLRACE);
	pg_expect_exactly("N N " PG_GREETING);
}

// The hint of a refusal; a link over memory has no port.
#define HOW_TO_CONNECT                                                                            \
	"H=Connect as user millrace to database millrace, without a password: psql -h HOST -p 0 " \
	"-U millrace -d millrace (or set PGUSER and PGDATABASE)."

static void startup_refuses_in_postgresqls_words(void **)
{
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, "user\0joe\0");
	pg_expect_exactly("E(S=FATAL|C=28000|M=role \"joe\" does not exist|" HOW_TO_CONNECT ")");
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, "user\0millrace\0database\0shop\0");
	pg_expect_exactly(
		"E(S=FATAL|C=3D000|M=database \"shop\" does not exist|" HOW_TO_CONNECT ")");
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, "database\0millrace\0");
	pg_expect_exactly(
		"E(S=FATAL|C=28000|M=no PostgreSQL user name specified in startup packet)");
	mr_buf_reset(&pg_in);
	PG_STARTUP(2 << 16, PG_MILLRACE);
	pg_expect_exactly("E(S=FATAL|C=0A000|M=unsupported frontend protocol 2.0: server supports "
			  "3.0 to 3.0)");
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, PG_MILLRACE "nonsense\0"
						   "1\0");
	pg_expect_exactly("E(S=FATAL|C=42704|M=unrecognized configuration parameter \"nonsense\")");
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, PG_MILLRACE "replication\0true\0");
	pg_expect_exactly("E(S=FATAL|C=0A000|M=replication connections are not supported)");
}

static void startup_applies_settings_and_options(void **)
{
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0,
		PG_MILLRACE "application_name\0app\0options\0"
			    "-c TimeZone=Europe/Berlin --DateStyle=ISO,\\ DMY\0");
	pg_query("show TimeZone");
	pg_expect_exactly(
		"R(0) S(server_version=15.0) S(server_encoding=UTF8) S(client_encoding=UTF8) "
		"S(application_name=app) S(is_superuser=on) S(session_authorization=millrace) "
		"S(DateStyle=ISO, DMY) S(IntervalStyle=postgres) S(TimeZone=Europe/Berlin) "
		"S(integer_datetimes=on) S(standard_conforming_strings=on) "
		"S(default_transaction_read_only=off) S(in_hot_standby=off) K(7,abcd) Z(I) "
		"T(TimeZone:25:-1:-1:0) D(Europe/Berlin) C(SHOW) Z(I)");
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0, PG_MILLRACE "options\0-x\0");
	pg_expect_exactly(
		"E(S=FATAL|C=42601|M=invalid command-line argument for server process: -x)");
}

static void startup_negotiates_newer_minor_and_options(void **)
{
	mr_buf_reset(&pg_in);
	PG_STARTUP(MR_PG_PROTOCOL_3_0 + 2, PG_MILLRACE "_pq_.x\0"
						       "1\0");
	pg_expect_exactly("v(196608,_pq_.x) " PG_GREETING);
}

static void startup_over_the_limit_is_refused_politely(void **)
{
	pg_startup();
	pg_expect_cut("E(S=FATAL|C=53300|M=sorry, too many clients already)", 0, 0, true);
}

static void startup_closes_on_what_is_not_postgresql(void **)
{
	static const char *const others[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02",
		"\0\0\0\x07\0\x03\0\0", "\0\0\0\x04", "\x7f\xff\xff\xff\0\x03\0\0"};

	for (size_t i = 0; i < MR_COUNT_OF(others); i++) {
		mr_buf_reset(&pg_in);
		mr_buf_add(&pg_in, others[i], i < 2 ? strlen(others[i]) : i == 3 ? 4 : 8);
		pg_expect_exactly("");
	}
	mr_buf_reset(&pg_in);
	pg_startup_pairs(MR_PG_PROTOCOL_3_0, "user\0millrace", 13);
	pg_expect_exactly("E(S=FATAL|C=08P01|M=invalid startup packet layout)");
}

static void cancel_request(int32_t pid, uint32_t secret)
{
	mr_buf_reset(&pg_in);
	mr_buf_be32(&pg_in, 16);
	mr_buf_be32(&pg_in, MR_PG_CODE_CANCEL);
	mr_buf_be32(&pg_in, (uint32_t)pid);
	mr_buf_be32(&pg_in, secret);
	pg_expect_exactly("");
}

static void cancel_request_needs_pid_and_secret_and_answers_nothing(void **)
{
	struct mr_session_group group = {.sessions = pg_sessions, .port = "sql"};
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
	struct mr_session_group group = {.sessions = pg_sessions, .port = "sql"};
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
	assert_int_equal(mr_sessions_list(pg_sessions, &arena, &list), 2);
	assert_true(list[0].pid < list[1].pid);
	assert_int_equal(list[0].state, MR_SESSION_STARTING);
	assert_int_equal(list[1].state, MR_SESSION_ACTIVE);
	assert_string_equal(list[1].query, "select 1");
	assert_string_equal(list[1].application_name, "app");
	assert_true(mr_sessions_cancel(pg_sessions, list[0].pid, true));
	assert_true(atomic_load(&seats[0].stopping) && !atomic_load(&seats[1].stopping));
	assert_false(mr_sessions_cancel(pg_sessions, 1234567, false));
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
	pg_startup();
	pg_query("select 1, 'a', null; select * from generate_series(3, 4)");
	pg_query("");
	pg_query(" ; ");
	pg_expect("T(?column?:23:4:-1:0,?column?:25:-1:-1:0,?column?:25:-1:-1:0) D(1,a,null) "
		  "C(SELECT 1) T(generate_series:23:4:-1:0) D(3) D(4) C(SELECT 2) Z(I) "
		  "I Z(I) I Z(I)");
}

static void simple_query_error_drops_the_rest(void **)
{
	pg_startup();
	pg_query("select 1; selec 2; select 3");
	pg_query("select 4");
	pg_expect("T(?column?:23:4:-1:0) D(1) C(SELECT 1) "
		  "E(S=ERROR|C=42601|M=syntax error at or near \"selec\"|P=11) Z(I) "
		  "T(?column?:23:4:-1:0) D(4) C(SELECT 1) Z(I)");
}

static void simple_query_with_a_parameter_is_refused(void **)
{
	pg_startup();
	pg_query("select $1::int4");
	pg_expect("E(S=ERROR|C=42P02|M=there is no parameter $1) Z(I)");
}

static void ready_tells_the_transaction_and_errors_fail_it(void **)
{
	pg_startup();
	pg_query("begin");
	pg_query("select 1/0");
	pg_query("select 1");
	pg_query("rollback");
	pg_expect(
		"C(BEGIN) Z(T) T(?column?:23:4:-1:0) E(S=ERROR|C=22012|M=division by zero) Z(E) "
		"E(S=ERROR|C=25P02|M=current transaction is aborted, commands ignored until end of "
		"transaction block) Z(E) C(ROLLBACK) Z(I)");
}

static void changed_settings_are_reported_before_ready(void **)
{
	pg_startup();
	pg_query("set application_name = 'x'");
	pg_query("set application_name = 'x'");
	pg_expect("C(SET) S(application_name=x) Z(I) C(SET) Z(I)");
}

static void invalid_utf8_is_an_error(void **)
{
	pg_startup();
	pg_query("select '\xff'");
	pg_expect("E(S=ERROR|C=22021|M=invalid byte sequence for encoding \"UTF8\": 0xff) Z(I)");
}

static void function_calls_are_refused_and_copy_data_ignored(void **)
{
	pg_startup();
	pg_message('F', "\0\0\0\1\0\0\0\0\0\0", 10);
	pg_message('d', "x", 1);
	pg_message('c', "", 0);
	pg_query("");
	pg_expect("E(S=ERROR|C=0A000|M=the function call protocol is not supported) Z(I) I Z(I)");
}

static void framing_errors_are_fatal(void **)
{
	pg_startup();
	mr_buf_add(&pg_in, "Q\0\0\0\3", 5);
	pg_expect("E(S=FATAL|C=08P01|M=invalid message length)");
	pg_startup();
	mr_buf_add(&pg_in, "Q\x7f\xff\xff\xff", 5);
	pg_expect("E(S=FATAL|C=08P01|M=message is longer than the limit of 4096 bytes)");
	pg_startup();
	pg_message('y', "", 0);
	pg_query("select 1");
	pg_expect("E(S=FATAL|C=08P01|M=invalid frontend message type 121)");
	pg_startup();
	pg_message('\xff', "", 0);
	pg_expect("E(S=FATAL|C=08P01|M=invalid frontend message type 255)");
}

static void terminate_ends_without_a_word(void **)
{
	pg_startup();
	pg_message('X', NULL, 0);
	pg_query("select 1");
	pg_expect("");
}

static void big_results_are_streamed_in_bounded_memory(void **)
{
	struct mr_mem_link link;

	pg_startup();
	pg_query("select * from generate_series(1, 300000)");
	mr_mem_link_init(&link, mr_buf_span(&pg_in));
	pg_run(&link);
	// The digits of 1 to 300,000, and 11 bytes around each of them.
	assert_true(link.output.bytes > 300000 * 11 + 1688895);
	assert_memory_equal(link.output.data + link.output.bytes - 6, "Z\0\0\0\5I", 6);
	mr_mem_link_fini(&link);
}

static void vanished_client_ends_the_query(void **)
{
	struct mr_mem_link link;

	pg_startup();
	pg_query("select * from generate_series(1, 2000000000)");
	mr_mem_link_init(&link, mr_buf_span(&pg_in));
	link.write_max = 1 << 20;
	pg_run(&link); // would take minutes otherwise
	assert_true(link.output.bytes <= 1 << 20);
	mr_mem_link_fini(&link);
}

static void stopping_says_so(void **)
{
	struct mr_mem_link link;
	struct mr_buf got = {0};

	pg_startup();
	mr_mem_link_init(&link, mr_buf_span(&pg_in));
	link.end = MR_ERR_STOPPED;
	pg_run(&link);
	pg_decode(mr_buf_span(&link.output), &got);
	assert_string_equal((char *)got.data, PG_GREETING
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
		cmocka_unit_test(function_calls_are_refused_and_copy_data_ignored),
		cmocka_unit_test(framing_errors_are_fatal),
		cmocka_unit_test(terminate_ends_without_a_word),
		cmocka_unit_test(big_results_are_streamed_in_bounded_memory),
		cmocka_unit_test(vanished_client_ends_the_query),
		cmocka_unit_test(stopping_says_so),
	};

	return cmocka_run_group_tests(tests, pg_script_open, pg_script_close);
}
