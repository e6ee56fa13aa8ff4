// The extended query protocol over links in memory: statements and portals under their names,
// parameters, formats, errors up to Sync, limits. Method: as in pg_test.c.
#include "host/pg_int.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/pg_script.h"

#include <stdio.h>

static void extended_flow_as_libpq_sends_it(void **)
{
	const char *const values[] = {"42", NULL};

	pg_startup();
	pg_parse("", "select $1::int4, $2", 2, (const uint32_t[]){23, 0});
	pg_bind("", "", 2, values, -1, 0);
	pg_target('D', 'P', "");
	pg_execute("", 0);
	pg_sync();
	pg_expect("1 2 T(int4:23:4:-1:0,?column?:25:-1:-1:0) D(42,null) C(SELECT 1) Z(I)");
}

static void extended_flow_as_drivers_prepare(void **)
{
	const char *const one[] = {"1"}, *const two[] = {"2"};

	pg_startup();
	pg_parse("S_1", "select $1::int8", 0, NULL);
	pg_target('D', 'S', "S_1");
	pg_message('H', NULL, 0);
	pg_bind("", "S_1", 1, one, 0, 1);
	pg_execute("", 0);
	pg_bind("C_2", "S_1", 1, two, 0, -1);
	pg_target('D', 'P', "C_2");
	pg_execute("C_2", 0);
	pg_target('C', 'S', "S_1");
	pg_target('C', 'S', "never was");
	pg_sync();
	pg_expect("1 t(20) T(int8:20:8:-1:0) 2 D(\\00\\00\\00\\00\\00\\00\\00\\01) C(SELECT 1) "
		  "2 T(int8:20:8:-1:0) D(2) C(SELECT 1) 3 3 Z(I)");
}

static void binary_parameters_are_read(void **)
{
	const char *const values[] = {"\x01\x02\x03\x04"};

	pg_startup();
	pg_parse("", "select $1::int4", 0, NULL);
	pg_bind("", "", 1, values, 1, 1);
	pg_target('D', 'P', "");
	pg_execute("", 0);
	pg_sync();
	pg_expect("1 2 T(int4:23:4:-1:1) D(\\01\\02\\03\\04) C(SELECT 1) Z(I)");
}

static void portals_suspend_and_several_are_open(void **)
{
	pg_startup();
	pg_query("begin");
	pg_parse("s", "select * from generate_series(1, 5)", 0, NULL);
	pg_bind("a", "s", 0, NULL, -1, -1);
	pg_bind("b", "s", 0, NULL, -1, -1);
	pg_execute("a", 2);
	pg_execute("b", 3);
	pg_sync();
	pg_execute("a", 2);
	pg_execute("b", 0);
	pg_execute("a", 2);
	pg_execute("a", 2);
	pg_sync();
	pg_query("commit");
	pg_expect("C(BEGIN) Z(T) 1 2 2 D(1) D(2) s D(1) D(2) D(3) s Z(T) "
		  "D(3) D(4) s D(4) D(5) C(SELECT 2) D(5) C(SELECT 1) C(SELECT 0) Z(T) "
		  "C(COMMIT) Z(I)");
}

static void portals_end_with_the_implicit_transaction(void **)
{
	pg_startup();
	pg_parse("s", "select * from generate_series(1, 5)", 0, NULL);
	pg_bind("a", "s", 0, NULL, -1, -1);
	pg_execute("a", 1);
	pg_sync();
	pg_execute("a", 1);
	pg_sync();
	pg_expect("1 2 D(1) s Z(I) E(S=ERROR|C=34000|M=portal \"a\" does not exist) Z(I)");
}

static void row_limit_equal_to_the_rows_suspends(void **)
{
	pg_startup();
	pg_parse("", "select * from generate_series(1, 2)", 0, NULL);
	pg_bind("", "", 0, NULL, -1, -1);
	pg_execute("", 2);
	pg_execute("", 2);
	pg_sync();
	pg_expect("1 2 D(1) D(2) s C(SELECT 0) Z(I)");
}

static void error_skips_to_sync(void **)
{
	pg_startup();
	pg_parse("", "select 1/0", 0, NULL);
	pg_bind("", "", 0, NULL, -1, -1);
	pg_execute("", 0);
	pg_message('H', NULL, 0);
	pg_query("select 1");
	pg_sync();
	pg_query("select 2");
	pg_expect("1 2 E(S=ERROR|C=22012|M=division by zero) Z(I) T(?column?:23:4:-1:0) D(2) "
		  "C(SELECT 1) Z(I)");
}

static void unknown_and_duplicate_names_are_errors(void **)
{
	pg_startup();
	pg_bind("", "nope", 0, NULL, -1, -1);
	pg_sync();
	pg_target('D', 'S', "");
	pg_sync();
	pg_execute("nope", 0);
	pg_sync();
	pg_target('D', 'P', "nope");
	pg_sync();
	pg_parse("s", "select 1", 0, NULL);
	pg_parse("s", "select 1", 0, NULL);
	pg_sync();
	pg_bind("p", "s", 0, NULL, -1, -1);
	pg_bind("p", "s", 0, NULL, -1, -1);
	pg_sync();
	pg_expect("E(S=ERROR|C=26000|M=prepared statement \"nope\" does not exist) Z(I) "
		  "E(S=ERROR|C=26000|M=unnamed prepared statement does not exist) Z(I) "
		  "E(S=ERROR|C=34000|M=portal \"nope\" does not exist) Z(I) "
		  "E(S=ERROR|C=34000|M=portal \"nope\" does not exist) Z(I) "
		  "1 E(S=ERROR|C=42P05|M=prepared statement \"s\" already exists) Z(I) "
		  "2 E(S=ERROR|C=42P03|M=cursor \"p\" already exists) Z(I)");
}

static void statement_survives_its_name_while_a_portal_runs(void **)
{
	pg_startup();
	pg_parse("s", "select * from generate_series(1, 2)", 0, NULL);
	pg_bind("p", "s", 0, NULL, -1, -1);
	pg_target('C', 'S', "s");
	pg_execute("p", 0);
	pg_sync();
	pg_expect("1 2 3 D(1) D(2) C(SELECT 2) Z(I)");
}

static void deallocate_all_drops_named_statements(void **)
{
	pg_startup();
	pg_parse("s", "select 1", 0, NULL);
	pg_sync();
	pg_query("deallocate all");
	pg_bind("", "s", 0, NULL, -1, -1);
	pg_sync();
	pg_expect("1 Z(I) C(DEALLOCATE ALL) Z(I) "
		  "E(S=ERROR|C=26000|M=prepared statement \"s\" does not exist) Z(I)");
}

static void parse_takes_one_statement_or_none(void **)
{
	pg_startup();
	pg_parse("", "select 1; select 2", 0, NULL);
	pg_sync();
	pg_parse("", "", 0, NULL);
	pg_target('D', 'S', "");
	pg_bind("", "", 0, NULL, -1, -1);
	pg_target('D', 'P', "");
	pg_execute("", 0);
	pg_sync();
	pg_parse("", "begin", 0, NULL);
	pg_bind("", "", 0, NULL, -1, -1);
	pg_target('D', 'P', "");
	pg_execute("", 1);
	pg_execute("", 1);
	pg_sync();
	pg_expect("E(S=ERROR|C=42601|M=cannot insert multiple commands into a prepared statement) "
		  "Z(I) 1 t() n 2 n I Z(I) "
		  "1 2 n C(BEGIN) E(S=ERROR|C=55000|M=portal \"\" cannot be run) Z(E)");
}

static void bind_counts_must_fit(void **)
{
	const char *const values[] = {"1", "2"};

	pg_startup();
	pg_parse("s", "select $1::int4", 0, NULL);
	pg_bind("", "s", 2, values, -1, -1);
	pg_sync();
	pg_bind("", "s", 1, (const char *const[]){"x"}, -1, -1);
	pg_sync();
	pg_bind("", "s", 1, values, 7, -1);
	pg_sync();
	pg_bind("", "s", 1, values, 1, -1);
	pg_sync();
	pg_expect(
		"1 E(S=ERROR|C=08P01|M=bind message supplies 2 parameters, but prepared statement "
		"\"s\" requires 1) Z(I) "
		"E(S=ERROR|C=22P02|M=invalid input syntax for type integer: \"x\") Z(I) "
		"E(S=ERROR|C=22023|M=unsupported format code: 7) Z(I) "
		"E(S=ERROR|C=22P03|M=incorrect binary data format in bind parameter 1) Z(I)");
}

static void malformed_bodies_are_errors_and_the_session_goes_on(void **)
{
	static const char kinds[] = "PBDEC";

	for (size_t i = 0; kinds[i]; i++) {
		pg_startup();
		pg_message(kinds[i], "x", 1);
		pg_sync();
		pg_query("select 1");
		pg_expect("E(S=ERROR|C=08P01|M=invalid message format) Z(I) T(?column?:23:4:-1:0) "
			  "D(1) C(SELECT 1) Z(I)");
	}
	pg_startup();
	pg_message('Q', "select 1", 8);
	pg_message('Q', "select 1\0x", 10);
	pg_expect("E(S=ERROR|C=08P01|M=invalid message format) Z(I) "
		  "E(S=ERROR|C=08P01|M=invalid message format) Z(I)");
}

static void too_many_statements_hit_the_limit(void **)
{
	struct mr_mem_link link;
	struct mr_buf got = {0};
	char name[16];

	pg_startup();
	for (int i = 0; i <= MR_PG_STATEMENTS_MAX; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		pg_parse(name, "select 1", 0, NULL);
	}
	pg_sync();
	mr_mem_link_init(&link, mr_buf_span(&pg_in));
	pg_run(&link);
	pg_decode(mr_buf_span(&link.output), &got);
	assert_non_null(strstr((char *)got.data, "C=53400|M=too many prepared statements"));
	mr_mem_link_fini(&link);
	mr_buf_fini(&got);
	pg_startup();
	pg_query("begin");
	pg_parse("s", "select 1", 0, NULL);
	for (int i = 0; i <= MR_PG_PORTALS_MAX; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		pg_bind(name, "s", 0, NULL, -1, -1);
	}
	pg_sync();
	mr_mem_link_init(&link, mr_buf_span(&pg_in));
	pg_run(&link);
	pg_decode(mr_buf_span(&link.output), &got);
	assert_non_null(strstr((char *)got.data, "C=53400|M=too many portals"));
	mr_mem_link_fini(&link);
	mr_buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(too_many_statements_hit_the_limit),
	};

	return cmocka_run_group_tests(tests, pg_script_open, pg_script_close);
}
