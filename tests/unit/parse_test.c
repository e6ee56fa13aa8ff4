// The parser and its printer: every statement of sql_accept.txt parses, prints and parses back to
// the same text; every one of sql_reject.txt is refused in the words and at the place noted there;
// limits end in errors.
#include "host/sql/deparse.h"
#include "host/sql/parse.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mr_arena arena;
static struct mr_diag diag;
static struct mr_buf text;

static int set_up(void **)
{
	mr_arena_init(&arena, 256 << 20);
	return 0;
}

static int tear_down(void **)
{
	mr_arena_fini(&arena);
	mr_buf_fini(&text);
	text = (struct mr_buf){0};
	return 0;
}

// Parses `sql` and prints it into `text`. Returns what the parser returned.
static int reprint(const char *sql)
{
	struct mr_ast_script script;
	int rc;

	mr_arena_reset(&arena);
	memset(&diag, 0, sizeof(diag));
	mr_buf_reset(&text);
	rc = mr_sql_parse(mr_span_str(sql), &arena, &script, &diag);
	for (uint32_t i = 0; i < script.count; i++) {
		mr_buf_str(&text, i ? "; " : "");
		mr_ast_print_stmt(&text, script.stmts[i]);
	}
	mr_buf_u8(&text, 0);
	return rc;
}

static void expect_prints_back(const char *sql)
{
	char *once;

	if (reprint(sql) < 0)
		fail_msg("%s: %s at %d", sql, diag.message, diag.position);
	once = strdup((char *)text.data);
	if (reprint(once) < 0)
		fail_msg("%s: printed as %s: %s", sql, once, diag.message);
	assert_string_equal((char *)text.data, once);
	free(once);
}

static FILE *open_list(const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("%s: %s (tests run from the repository's root)", path, strerror(errno));
	return f;
}

// The next line that is no comment, without its newline. False at the end.
static bool next_line(FILE *f, char **line, size_t *max)
{
	do {
		if (getline(line, max, f) < 0)
			return false;
		(*line)[strcspn(*line, "\n")] = 0;
	} while ((*line)[0] == 0 || (*line)[0] == '#' || (*line)[0] == '=');
	return true;
}

static void accepted_statements_print_and_parse_back(void **)
{
	FILE *f = open_list("tests/unit/sql_accept.txt");
	char *line = NULL;
	size_t max = 0;
	int count = 0;

	while (next_line(f, &line, &max)) {
		expect_prints_back(line);
		count++;
	}
	assert_true(count >= 300);
	free(line);
	fclose(f);
}

static void rejected_statements_say_what_and_where(void **)
{
	FILE *f = open_list("tests/unit/sql_reject.txt");
	char *line = NULL;
	size_t max = 0;
	int count = 0;

	while (next_line(f, &line, &max)) {
		char *rest = line;
		const char *sqlstate = strsep(&rest, "\t");
		int position = atoi(strsep(&rest, "\t"));
		const char *message = strsep(&rest, "\t");

		assert_non_null(rest);
		if (reprint(rest) >= 0)
			fail_msg("accepted: %s", rest);
		if (strcmp(message, diag.message) != 0 || position != diag.position)
			print_message("of: %s\n", rest);
		assert_string_equal(diag.message, message);
		assert_string_equal(diag.sqlstate, sqlstate);
		assert_int_equal(diag.position, position);
		count++;
	}
	assert_true(count >= 300);
	free(line);
	fclose(f);
}

static void canonical_text_shows_the_tree(void **)
{
	static const struct {
		const char *sql;
		const char *printed;
	} cases[] = {
		// precedence
		{"select a or b and not c = d", "SELECT a OR b AND NOT c = d"},
		{"select (a or b) and c", "SELECT (a OR b) AND c"},
		{"select (a and b) and (c and d)", "SELECT a AND b AND (c AND d)"},
		{"select 1 - (2 - 3) - 4", "SELECT 1 - (2 - 3) - 4"},
		{"select (1 + 2) * 3 ^ 4 ^ 5", "SELECT (1 + 2) * 3 ^ 4 ^ 5"},
		{"select 2 ^ (3 ^ 4)", "SELECT 2 ^ (3 ^ 4)"},
		{"select (a < b) is null", "SELECT a < b IS NULL"},
		{"select a || b + c", "SELECT a || b + c"},
		{"select (a || b) + c", "SELECT (a || b) + c"},
		{"select -a ^ 2, (-a)::int, -a::int",
			"SELECT - a ^ 2, (- a)::integer, - a::integer"},
		{"select -1::int, (-1)::int", "SELECT - 1::integer, (-1)::integer"},
		{"select - - 1, - 9223372036854775808", "SELECT 1, -9223372036854775808"},
		{"select a between b and c and d", "SELECT a BETWEEN b AND c AND d"},
		{"select a between (b and c) and d", "SELECT a BETWEEN (b AND c) AND d"},
		{"select a = (b like c) = d is true", NULL},
		{"select (a in (1)) in (true)", "SELECT (a IN (1)) IN (TRUE)"},
		{"select not a is null", "SELECT NOT a IS NULL"},
		{"select (not a) is null", "SELECT (NOT a) IS NULL"},
		{"select x at time zone 'a' || 'b'", "SELECT x AT TIME ZONE 'a' || 'b'"},
		{"select a collate \"C\" < b", "SELECT a COLLATE \"C\" < b"},
		// special forms
		{"select substring(x for 2)", "SELECT SUBSTRING(x FROM 1 FOR 2)"},
		{"select trim(leading 'a' from x)", "SELECT TRIM(LEADING FROM x, 'a')"},
		{"select date '2020-01-01'", "SELECT '2020-01-01'::date"},
		{"select interval '1' minute", "SELECT '1'::interval minute"},
		{"select cast(a as dec(5))", "SELECT a::numeric(5)"},
		{"select a::float(3), a::float", "SELECT a::real, a::double precision"},
		{"select a::char, a::\"char\"", "SELECT a::character(1), a::\"char\""},
		{"select (1, 2), row(1)", "SELECT (1, 2), ROW(1)"},
		{"select (t.c).d, (f(x)).*", "SELECT (t.c).d, (f(x)).*"},
		{"select 1 a, 2 \"A\", 3 as select", "SELECT 1 AS a, 2 AS \"A\", 3 AS \"select\""},
		// queries
		{"(select 1) union (select 2 limit 1)", "SELECT 1 UNION (SELECT 2 LIMIT 1)"},
		{"select 1 union select 2 intersect select 3",
			"SELECT 1 UNION SELECT 2 INTERSECT SELECT 3"},
		{"(select 1 union select 2) intersect select 3",
			"(SELECT 1 UNION SELECT 2) INTERSECT SELECT 3"},
		{"select 1 except (select 2 except select 3)",
			"SELECT 1 EXCEPT (SELECT 2 EXCEPT SELECT 3)"},
		{"table t", "SELECT * FROM t"},
		{"select * from a join b join c on x on y",
			"SELECT * FROM a JOIN (b JOIN c ON x) ON y"},
		{"select * from a, (b cross join c) j", "SELECT * FROM a, (b CROSS JOIN c) AS j"},
		// the streaming tail
		{"create materialized view v as select a from t emit on update",
			"CREATE MATERIALIZED VIEW v AS SELECT a FROM t EMIT ON UPDATE"},
		{"create materialized view v as select a emit on window close with no data",
			"CREATE MATERIALIZED VIEW v AS SELECT a EMIT ON WINDOW CLOSE WITH NO DATA"},
		{"create materialized view v as select a from t emit",
			"CREATE MATERIALIZED VIEW v AS SELECT a FROM t AS emit"},
		{"select a from t emit", "SELECT a FROM t AS emit"},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		int rc = reprint(cases[i].sql);

		if ((rc < 0) != !cases[i].printed)
			fail_msg("%s: %s", cases[i].sql, diag.message);
		if (rc < 0)
			continue;
		assert_string_equal((char *)text.data, cases[i].printed);
		expect_prints_back(cases[i].sql);
	}
}

static void result_columns_are_named_as_postgres_does(void **)
{
	static const char sql[] =
		"a, t.b, f(x), s.g(), count(*), 1, 'x', a + 1, a::text, 1::text, '1'::int, "
		"case when a then 1 end, case when a then 1 else b end, (x).y, a[1], array[1], "
		"row(1), (select q from z), (select 1 as w), exists (select 1), null, true, "
		"coalesce(a), nullif(a, b), current_date, extract(year from a), trim(a), "
		"position(a in b), a at time zone 'x', now()::date, date '2020-01-01', (a, b), "
		"a collate \"C\", array(select 1), - a";
	static const char *const names[] = {"a", "b", "f", "g", "count", "?column?", "?column?",
		"?column?", "a", "text", "int4", "case", "b", "y", "a", "array", "row", "q", "w",
		"exists", "?column?", "bool", "coalesce", "nullif", "current_date", "extract",
		"btrim", "position", "timezone", "now", "date", "row", "a", "array", "?column?"};
	struct mr_ast_script script;
	struct mr_ast_targets targets;
	char *query = NULL;

	assert_true(asprintf(&query, "SELECT %s", sql) > 0);
	assert_int_equal(mr_sql_parse(mr_span_str(query), &arena, &script, &diag), 0);
	targets = script.stmts[0]->select->targets;
	assert_int_equal(targets.count, MR_COUNT_OF(names));
	for (uint32_t i = 0; i < targets.count; i++)
		assert_string_equal(mr_ast_column_name(targets.items[i].expr), names[i]);
	free(query);
}

static void statements_know_text_position_and_parameters(void **)
{
	static const char sql[] = " /* ä */ SELECT $2 ; \n SELECT 1 ;; ";
	struct mr_ast_script script;

	assert_int_equal(mr_sql_parse(mr_span_str(sql), &arena, &script, &diag), 0);
	assert_int_equal(script.count, 2);
	assert_int_equal(script.stmts[0]->pos, 10);
	assert_int_equal(script.stmts[0]->params, 2);
	assert_true(mr_span_eq(script.stmts[0]->text, mr_span_str("SELECT $2")));
	assert_int_equal(script.stmts[1]->pos, 24);
	assert_int_equal(script.stmts[1]->params, 0);
	assert_true(mr_span_eq(script.stmts[1]->text, mr_span_str("SELECT 1")));
}

static void parse_next_walks_a_script(void **)
{
	static const char sql[] = "; SELECT 'ä'; COMMIT; SELECT +; SELECT 2";
	struct mr_span whole = mr_span_str(sql);
	struct mr_span rest = whole;
	const struct mr_ast_stmt *stmt;

	assert_int_equal(mr_sql_parse_next(whole, &rest, &arena, &stmt, &diag), 0);
	assert_int_equal(stmt->kind, MR_STMT_SELECT);
	assert_int_equal(mr_sql_parse_next(whole, &rest, &arena, &stmt, &diag), 0);
	assert_int_equal(stmt->kind, MR_STMT_TRANSACTION);
	assert_true(mr_sql_parse_next(whole, &rest, &arena, &stmt, &diag) < 0);
	assert_null(stmt);
	assert_int_equal(diag.position, 31); // counted from the start of the whole text

	rest = mr_span(whole.data + whole.bytes - 1, 1);
	whole = mr_span_str("SELECT 1; -- no more");
	rest = whole;
	assert_int_equal(mr_sql_parse_next(whole, &rest, &arena, &stmt, &diag), 0);
	assert_int_equal(mr_sql_parse_next(whole, &rest, &arena, &stmt, &diag), 0);
	assert_null(stmt);
	assert_int_equal(rest.bytes, 0);
}

static void a_lone_expression_must_be_all_there_is(void **)
{
	const struct mr_ast_expr *e;

	assert_int_equal(mr_sql_parse_expr(mr_span_str("a - 5"), &arena, &e, &diag), 0);
	assert_int_equal(e->kind, MR_AST_OP);
	assert_true(mr_sql_parse_expr(mr_span_str("a 5"), &arena, &e, &diag) < 0);
	assert_null(e);
	assert_string_equal(diag.message, "syntax error at or near \"5\"");
}

static void nodes_say_where_they_stand(void **)
{
	const struct mr_ast_expr *e;

	assert_int_equal(
		mr_sql_parse_expr(mr_span_str("'ä' || s.f(x => $1) + -2"), &arena, &e, &diag), 0);
	assert_int_equal(e->pos, 5);
	assert_int_equal(e->op.left->pos, 1);
	assert_int_equal(e->op.right->pos, 21);
	assert_int_equal(e->op.right->op.left->pos, 8);
	assert_int_equal(e->op.right->op.left->call->args[0].value->pos, 17);
	assert_int_equal(e->op.right->op.right->pos, 23);
	assert_int_equal(e->op.right->op.right->literal.integer, -2);
}

// `before`, then `middle` n times, then `after` n times.
static char *repeat(const char *before, const char *middle, const char *after, int n)
{
	struct mr_buf b = {0};

	mr_buf_str(&b, before);
	for (int i = 0; i < n; i++)
		mr_buf_str(&b, middle);
	mr_buf_str(&b, after[0] == ')' || after[0] == ']' || after[0] == ' ' ? "1" : "");
	for (int i = 0; i < n; i++)
		mr_buf_str(&b, after);
	mr_buf_u8(&b, 0);
	return (char *)b.data;
}

static void deep_nesting_is_an_error(void **)
{
	static const struct {
		const char *before;
		const char *middle;
		const char *after;
	} shapes[] = {
		{"SELECT ", "(", ")"},
		{"SELECT ", "NOT ", ""},
		{"SELECT ", "- ", ""},
		{"SELECT ", "@ ", ""},
		{"SELECT 1", " + 1", ""},
		{"SELECT a", " IS NULL", ""},
		{"SELECT a", "::int", ""},
		{"SELECT a", "[1]", ""},
		{"SELECT (a)", ".b", ""},
		{"SELECT a", " AT TIME ZONE b", ""},
		{"SELECT ", "f(", ")"},
		{"SELECT ", "CASE WHEN ", " THEN 1 END"},
		{"SELECT ARRAY", "[", "]"},
		{"SELECT ", "(SELECT ", ")"},
		{"", "(SELECT ", ")"},
		{"SELECT 1", " UNION SELECT 1", ""},
		{"SELECT * FROM t", " CROSS JOIN t", ""},
		{"SELECT * FROM ", "(SELECT * FROM ", ")"},
		{"SELECT * FROM t", " JOIN t", ""},
		{"SELECT 1 GROUP BY ", "GROUPING SETS (", ")"},
		{"", "WITH a AS (", ")"},
		{"SELECT a IN ", "((SELECT ", "))"},
	};

	for (size_t i = 0; i < MR_COUNT_OF(shapes); i++) {
		char *sql = repeat(shapes[i].before, shapes[i].middle, shapes[i].after, 20000);

		assert_true(reprint(sql) < 0);
		if (strcmp(diag.sqlstate, "54001") != 0)
			fail_msg("%s%s…: %s", shapes[i].before, shapes[i].middle, diag.message);
		free(sql);
	}
}

static void nesting_below_the_limit_parses_and_prints(void **)
{
	static const struct {
		const char *before;
		const char *middle;
		const char *after;
		int n;
	} shapes[] = {
		{"SELECT ", "(", ")", MR_SQL_DEPTH_MAX / 4},
		{"SELECT 1", " + 1", "", MR_SQL_DEPTH_MAX - 10},
		{"SELECT 1", " UNION ALL SELECT 1", "", MR_SQL_DEPTH_MAX - 10},
		{"SELECT true", " AND true", "", 20000}, // one node
		{"SELECT ", "(SELECT ", ")", MR_SQL_DEPTH_MAX / 4},
		{"SELECT ", "f(", ")", MR_SQL_DEPTH_MAX / 4},
	};

	for (size_t i = 0; i < MR_COUNT_OF(shapes); i++) {
		char *sql =
			repeat(shapes[i].before, shapes[i].middle, shapes[i].after, shapes[i].n);

		expect_prints_back(sql);
		free(sql);
	}
}

static void size_limits_are_errors(void **)
{
	struct mr_ast_script script;
	char *sql = repeat("SELECT 1", ",1", "", MR_SQL_NODES_MAX);
	struct mr_span huge = mr_span(sql, (size_t)MR_SQL_TEXT_BYTES_MAX + 1);
	struct mr_arena small;

	assert_true(reprint(sql) < 0);
	assert_string_equal(diag.sqlstate, "54000");
	assert_true(mr_sql_parse(huge, &arena, &script, &diag) < 0); // not read at all
	assert_string_equal(diag.sqlstate, "54000");
	free(sql);

	mr_arena_init(&small, 1000);
	assert_int_equal(mr_sql_parse(mr_span_str("SELECT a, b, c, d FROM e, f, g, h"), &small,
				 &script, &diag),
		-ENOMEM);
	assert_string_equal(diag.sqlstate, "53200");
	mr_arena_fini(&small);
}

static void every_arena_limit_ends_in_out_of_memory_or_success(void **)
{
	static const char sql[] =
		"WITH a AS (SELECT 1) SELECT f(x ORDER BY y) OVER (PARTITION BY z), "
		"ARRAY[1, 2], CASE WHEN a THEN b END FROM t JOIN u USING (v), TUMBLE(o, ts, "
		"INTERVAL '1 minute') AS w (a, b) WHERE x IN (1, 2) AND y BETWEEN 1 AND 2 "
		"GROUP BY ROLLUP (a) ORDER BY 1 LIMIT 5; CREATE TABLE t (a int) WITH (b = 1)";
	struct mr_ast_script script;
	int rc = -1;

	for (size_t limit = 16; rc < 0; limit += 48) {
		struct mr_arena small;

		mr_arena_init(&small, limit);
		rc = mr_sql_parse(mr_span_str(sql), &small, &script, &diag);
		assert_true(rc == 0 || (rc == -ENOMEM && script.count == 0));
		mr_arena_fini(&small);
		assert_true(limit < 1 << 20);
	}
}

static void text_that_is_not_utf8_is_refused(void **)
{
	struct mr_ast_script script;
	int rc = mr_sql_parse(mr_span_str("SELECT '\xff'"), &arena, &script, &diag);

	assert_int_equal(rc, -EILSEQ);
	assert_string_equal(diag.sqlstate, "22021");
	assert_string_equal(diag.message, "invalid byte sequence for encoding \"UTF8\": 0xff");
	assert_true(mr_sql_parse(mr_span("SELECT 1\0", 9), &arena, &script, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_statements_print_and_parse_back),
		cmocka_unit_test(rejected_statements_say_what_and_where),
		cmocka_unit_test(canonical_text_shows_the_tree),
		cmocka_unit_test(result_columns_are_named_as_postgres_does),
		cmocka_unit_test(statements_know_text_position_and_parameters),
		cmocka_unit_test(parse_next_walks_a_script),
		cmocka_unit_test(a_lone_expression_must_be_all_there_is),
		cmocka_unit_test(nodes_say_where_they_stand),
		cmocka_unit_test(deep_nesting_is_an_error),
		cmocka_unit_test(nesting_below_the_limit_parses_and_prints),
		cmocka_unit_test(size_limits_are_errors),
		cmocka_unit_test(every_arena_limit_ends_in_out_of_memory_or_success),
		cmocka_unit_test(text_that_is_not_utf8_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
