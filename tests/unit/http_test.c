// HTTP over links in memory: the parser's strictness field by field, whole exchanges byte by byte
// (the date aside), wherever the input is cut.
#include "host/http_int.h"
#include "tests/lib/mem_link.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/prom.h"
#include "tests/lib/sqltest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct mr_clock_sim sim;
static struct mr_metrics *metrics;
static struct mr_session_group group = {.port = "http"};
static bool is_unwell;

static int health(void *, struct mr_diag *diag)
{
	return is_unwell ? mr_diag_set(diag, MR_ERR_STOPPED, "58030", 0, "log: writes fail") : 0;
}

static struct mr_http_opts opts = {
	.clock = &sim.clock,
	.query_bytes_max = 1 << 20,
	.version = "0.1",
	.kafka_address = "127.0.0.1:9092",
	.sql_address = "127.0.0.1:5433",
	.workers = 2,
	.health = health,
};

static void run_session(struct mr_mem_link *link)
{
	struct mr_seat seat;

	mr_sessions_attach(&group, &seat, &link->link);
	mr_http_session_run(&opts, &seat);
	mr_sessions_detach(&seat);
}

#define DATE     "Date: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
#define SAFE     "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
#define TEXT     "Content-Type: text/plain; charset=utf-8\r\n"
#define JSON     "Content-Type: application/json\r\n"
#define CSV      "Content-Type: text/csv; charset=utf-8; header=present\r\n"
#define OK(type) "HTTP/1.1 200 OK\r\n" DATE type SAFE
#define HOST     "Host: localhost:8088\r\n"

static void expect_cut(const char *input, const char *want, size_t cut, size_t read_max)
{
	struct mr_mem_link link;

	mr_mem_link_init(&link, mr_span_str(input));
	link.link.is_loopback = true;
	link.cut = cut;
	link.read_max = read_max;
	run_session(&link);
	mr_buf_u8(&link.output, 0);
	if (strcmp((char *)link.output.data, want) != 0)
		print_message("cut=%zu read_max=%zu\n", cut, read_max);
	assert_string_equal((char *)link.output.data, want);
	mr_mem_link_fini(&link);
}

static void expect(const char *input, const char *want)
{
	expect_cut(input, want, 0, 0);
	expect_cut(input, want, 0, 1);
	for (size_t cut = 1; cut < strlen(input); cut++)
		expect_cut(input, want, cut, 0);
}

// The answer begins with this status; then the connection ends.
static void expect_status(const char *input, int status)
{
	struct mr_mem_link link;
	char want[32];

	snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	mr_mem_link_init(&link, mr_span_str(input));
	link.link.is_loopback = true;
	run_session(&link);
	mr_buf_u8(&link.output, 0);
	if (strncmp((char *)link.output.data, want, strlen(want)) != 0)
		fail_msg("want %d, got %s for %s", status, (char *)link.output.data, input);
	mr_mem_link_fini(&link);
}

// A POST of `text`, in memory that the next call reuses.
static const char *query(const char *target, const char *fields, const char *text)
{
	static char input[2048];

	snprintf(input, sizeof(input),
		"POST /query%s HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n%s", target, fields,
		strlen(text), text);
	return input;
}

static void health_is_ok_or_says_why_not(void **)
{
	expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n", OK(TEXT) "Content-Length: 3\r\n\r\nok\n");
	is_unwell = true;
	expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n",
		"HTTP/1.1 503 Service Unavailable\r\n" DATE TEXT SAFE
		"Content-Length: 17\r\n\r\nlog: writes fail\n");
	is_unwell = false;
}

static void pipelined_requests_are_answered_in_order(void **)
{
	expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n\r\nHEAD /healthz HTTP/1.1\r\n" HOST
	       "\r\nPOST /query HTTP/1.1\r\n" HOST "Content-Length: 8\r\n\r\nselect 1"
	       "GET /nowhere HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
	       "GET /healthz HTTP/1.1\r\n" HOST "\r\n",
		OK(TEXT) "Content-Length: 3\r\n\r\nok\n" OK(TEXT) "Content-Length: 3\r\n\r\n" OK(
			JSON) "Content-Length: 97\r\n\r\n"
			      "{\"columns\":[{\"name\":\"?column?\",\"type\":\"integer\"}],"
			      "\"rows\":[\n[1]\n],\"row_count\":1,\"tag\":\"SELECT 1\"}\n"
			      "HTTP/1.1 404 Not Found\r\n" DATE TEXT SAFE
			      "Connection: close\r\nContent-Length: 54\r\n\r\n"
			      "not found; there are /, /metrics, /healthz and /query\n");
}

static void http_1_0_closes_unless_asked(void **)
{
	expect("GET /healthz HTTP/1.0\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n",
		OK(TEXT) "Connection: close\r\nContent-Length: 3\r\n\r\nok\n");
	expect("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /healthz "
	       "HTTP/1.0\r\n\r\n",
		OK(TEXT) "Connection: keep-alive\r\nContent-Length: 3\r\n\r\nok\n" OK(
			TEXT) "Connection: close\r\nContent-Length: 3\r\n\r\nok\n");
}

static void query_gives_each_format(void **)
{
	expect(query("?format=csv", "", "select 1, 'a\"b', null, ''"),
		OK(CSV) "Content-Length: 49\r\n\r\n"
			"?column?,?column?,?column?,?column?\n1,\"a\"\"b\",,\"\"\n");
	expect(query("", "Accept: text/html, application/x-ndjson;q=1\r\n",
		       "select 7; select 1, 'a\"\\\x1\n', null"),
		OK("Content-Type: application/x-ndjson\r\n") "Content-Length: 58\r\n\r\n"
							     "{\"?column?\":1,\"?column?\":"
							     "\"a\\\"\\\\\\u0001\\n\",\"?column?\":"
							     "null}\n");
}

static void query_takes_a_chunked_body(void **)
{
	expect("POST /query?format=csv HTTP/1.1\r\n" HOST
	       "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nsele\r\n04\r\nct 1\r\n0\r\nT: v\r\n\r\n"
	       "GET /healthz HTTP/1.1\r\n" HOST "\r\n",
		OK(CSV) "Content-Length: 11\r\n\r\n?column?\n1\n" OK(
			TEXT) "Content-Length: 3\r\n\r\nok\n");
}

static void errors_are_json_with_a_fitting_status(void **)
{
	expect(query("", "", "select 1; x"),
		"HTTP/1.1 400 Bad Request\r\n" DATE JSON SAFE
		"Content-Length: 87\r\n\r\n{\"error\":{\"sqlstate\":\"42601\",\"message\":\"syntax "
		"error at or near \\\"x\\\"\",\"position\":11}}\n");
	expect_status(query("?format=xml", "", "select 1"), 400);
	expect_status(query("", "", " ; "), 400);
	expect_status(query("", "", "\xff\xff\xff\xff"), 400);
	expect_status(query("", "", "select 1/0"), 400);
}

static void statements_run_in_order_and_the_last_answers(void **)
{
	expect(query("?format=csv", "", "begin; select 1; commit;; /* end */ -- ;"),
		OK(CSV) "Content-Length: 0\r\n\r\n");
	expect(query("?format=csv", "", "select 1; select 2 ; /* x /* y */ */"),
		OK(CSV) "Content-Length: 11\r\n\r\n?column?\n2\n");
}

static void big_results_are_chunked_and_bounded(void **)
{
	struct mr_mem_link link;
	struct mr_http_chunks c = {.body_bytes_max = 1 << 24};
	struct mr_buf body = {0};
	uint8_t *head_end;
	size_t taken, head;

	mr_mem_link_init(&link,
		mr_span_str(query("?format=csv", "", "select * from generate_series(1, 99999)")));
	run_session(&link);
	head_end = memmem(link.output.data, link.output.bytes, "\r\n\r\n", 4);
	assert_non_null(head_end);
	assert_non_null(
		memmem(link.output.data, link.output.bytes, "Transfer-Encoding: chunked", 26));
	head = (size_t)(head_end - link.output.data) + 4;
	assert_int_equal(
		mr_http_parse_chunks(&c, mr_span(link.output.data + head, link.output.bytes - head),
			&taken, &body),
		1);
	assert_int_equal(head + taken, link.output.bytes);
	// "generate_series", then the digits of 1 to 99,999 with their line feeds.
	assert_int_equal(body.bytes, 16 + 488889 + 99999 - 0);
	mr_buf_fini(&body);
	mr_mem_link_fini(&link);
}

static void malformed_requests_are_refused(void **)
{
	static const struct {
		const char *input;
		int status;
	} cases[] = {
		{"GET / HTTP/1.1\r\n\r\n", 400}, // no Host
		{"GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400},
		{"GET / HTTP/1.1\nHost: localhost\n\n", 400},
		{"GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET / HTTP/1.1 \r\n" HOST "\r\n", 400},
		{"GET / HTTP/2.0\r\n" HOST "\r\n", 505},
		{"GET / HTCPCP/1.0\r\n" HOST "\r\n", 400},
		{"G(T / HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET x HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST " folded: x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST "A : x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST "nonsense\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST "A: x\ry\r\n\r\n", 400},
		{"POST /query HTTP/1.1\r\n" HOST "\r\n", 411},
		{"POST /query HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx", 400},
		{"POST /query HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\nx", 400},
		{"POST /query HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
			400},
		{"POST /query HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\nx",
			400},
		{"POST /query HTTP/1.1\r\n" HOST "Content-Length: 16777217\r\n\r\nx", 413},
		{"POST /query HTTP/1.1\r\n" HOST
		 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			400},
		{"POST /query HTTP/1.1\r\n" HOST
		 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			400},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 501},
		{"POST /query HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x1\r\n", 400},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
			400},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n", 400},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n111111111\r\n",
			400},
		{"POST /query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1000001\r\n",
			413},
		{"POST /query HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 1\r\n\r\nx", 417},
		{"GET /query HTTP/1.1\r\n" HOST "\r\n", 405},
		{"PUT / HTTP/1.1\r\n" HOST "\r\n", 405},
		{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 404},
		{"GET /../etc/passwd HTTP/1.1\r\n" HOST "\r\n", 404},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++)
		expect_status(cases[i].input, cases[i].status);
}

static void oversized_heads_are_refused(void **)
{
	struct mr_buf b = {0};

	mr_buf_printf(&b, "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", 9000, 0);
	expect_status((char *)b.data, 414);
	mr_buf_reset(&b);
	mr_buf_printf(&b, "GET / HTTP/1.1\r\n" HOST "A: %0*d\r\n\r\n", 17000, 0);
	expect_status((char *)b.data, 431);
	mr_buf_reset(&b);
	mr_buf_str(&b, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 101; i++)
		mr_buf_str(&b, "A: b\r\n");
	mr_buf_printf(&b, "\r\n");
	mr_buf_u8(&b, 0);
	expect_status((char *)b.data, 431);
	mr_buf_reset(&b);
	mr_buf_printf(&b, "%0*d", 9000, 0); // never a line
	expect_status((char *)b.data, 414);
	mr_buf_fini(&b);
}

static void expect_100_is_answered_before_the_body(void **)
{
	struct mr_mem_link link;
	const char *input = query("?format=csv", "Expect: 100-continue\r\n", "select 1");

	mr_mem_link_init(&link, mr_span_str(input));
	link.cut = strlen(input) - 8; // the head alone comes first
	run_session(&link);
	mr_buf_u8(&link.output, 0);
	assert_string_equal((char *)link.output.data,
		"HTTP/1.1 100 Continue\r\n\r\n" OK(CSV) "Content-Length: 11\r\n\r\n?column?\n1\n");
	mr_mem_link_fini(&link);
}

static void silence_inside_a_request_times_out(void **)
{
	struct mr_mem_link link;

	mr_mem_link_init(&link, mr_span_str("GET / HTT"));
	link.end = -ETIMEDOUT;
	run_session(&link);
	assert_memory_equal(link.output.data, "HTTP/1.1 408 ", 13);
	mr_mem_link_fini(&link);
	mr_mem_link_init(&link, mr_span_str("")); // between requests it just ends
	link.end = -ETIMEDOUT;
	run_session(&link);
	assert_int_equal(link.output.bytes, 0);
	mr_mem_link_fini(&link);
}

static void other_web_sites_are_refused(void **)
{
	static const char *const refused[] = {"Origin: http://evil.example\r\n", "Origin: null\r\n",
		"Origin: https://localhost:8088\r\n", "Origin: http://localhost:80\r\n",
		"Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n"};
	static const char *const hosts[] = {"evil.example", "localhost.evil.example",
		"127.0.0.1.evil.example", "8.8.8.8", "1270.0.0.1", "[::2]"};
	static const char *const good[] = {
		"localhost", "LOCALHOST:1", "127.0.0.1:8088", "127.1.2.3", "[::1]:8088", "[::1]"};
	char input[512];

	for (size_t i = 0; i < MR_COUNT_OF(refused); i++) {
		snprintf(input, sizeof(input), query("", "%s", "select 1"), refused[i]);
		expect_status(input, 403);
	}
	expect_status(query("", "Origin: http://localhost:8088\r\nSec-Fetch-Site: same-origin\r\n",
			      "select 1"),
		200);
	for (size_t i = 0; i < MR_COUNT_OF(hosts); i++) {
		snprintf(input, sizeof(input),
			"POST /query HTTP/1.1\r\nHost: %s\r\nContent-Length: 8\r\n\r\nselect 1",
			hosts[i]);
		expect_status(input, 421);
		snprintf(input, sizeof(input), "GET http://%s/ HTTP/1.1\r\n" HOST "\r\n", hosts[i]);
		expect_status(input, 421);
		snprintf(input, sizeof(input), "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n",
			hosts[i]);
		expect_status(input, 200);
	}
	for (size_t i = 0; i < MR_COUNT_OF(good); i++) {
		snprintf(input, sizeof(input),
			"POST /query HTTP/1.1\r\nHost: %s\r\nContent-Length: 8\r\n\r\nselect 1",
			good[i]);
		expect_status(input, 200);
	}
}

static void page_tells_what_to_type(void **)
{
	struct mr_mem_link link;

	mr_mem_link_init(&link, mr_span_str("GET / HTTP/1.1\r\nHost: localhost:1<b>\r\n\r\n"));
	run_session(&link);
	mr_buf_u8(&link.output, 0);
	assert_non_null(strstr((char *)link.output.data, "kcat -P -b 127.0.0.1:9092"));
	assert_non_null(strstr((char *)link.output.data, "psql 'host=127.0.0.1 port=5433"));
	assert_non_null(strstr((char *)link.output.data, "http://localhost:1&lt;b&gt;/query"));
	assert_non_null(strstr((char *)link.output.data, "2 workers"));
	mr_mem_link_fini(&link);
}

static int64_t forty_two_rows(const struct mr_relation *)
{
	return 42;
}

static int list_relations(struct mr_env *, struct mr_arena *arena, const struct mr_relation ***out)
{
	static const struct mr_relation_ops ops = {.rows_known = forty_two_rows};
	static struct mr_relation orders = {.ops = &ops}, hidden = {.kind = MR_RELATION_SYSTEM};

	orders.name = mr_span_str("or<d>ers");
	*out = mr_arena_alloc(arena, 2 * sizeof(**out));
	(*out)[0] = &hidden;
	(*out)[1] = &orders;
	return 2;
}

static int relations_put;

static void put_relation(struct mr_env *, const struct mr_relation *)
{
	relations_put++;
}

static void page_lists_relations_and_gives_them_back(void **)
{
	static const struct mr_env_ops ops = {
		.relations = list_relations, .relation_put = put_relation};
	struct mr_env env = {&ops}, *before = opts.env;
	struct mr_mem_link link;

	opts.env = &env;
	mr_mem_link_init(&link, mr_span_str("GET / HTTP/1.0\r\n\r\n"));
	run_session(&link);
	mr_buf_u8(&link.output, 0);
	assert_non_null(strstr((char *)link.output.data,
		"<tr><td>or&lt;d&gt;ers<td>table<td class=n>42\n</table>"));
	assert_int_equal(relations_put, 2);
	mr_mem_link_fini(&link);
	opts.env = before;
}

static void metrics_are_strictly_right(void **)
{
	struct mr_mem_link link;
	const char *why;
	uint8_t *body;

	mr_mem_link_init(&link, mr_span_str("GET /metrics HTTP/1.1\r\n" HOST "\r\n"));
	run_session(&link);
	body = memmem(link.output.data, link.output.bytes, "\r\n\r\n", 4);
	assert_non_null(body);
	body += 4;
	assert_int_equal(
		mr_prom_check(
			mr_span(body, (size_t)(link.output.data + link.output.bytes - body)), &why),
		0);
	mr_mem_link_fini(&link);
}

static void too_many_connections_are_told(void **)
{
	struct mr_mem_link link;

	mr_mem_link_init(&link, mr_span_str("GET / HTTP/1.1\r\n" HOST "\r\n"));
	link.link.over_limit = true;
	run_session(&link);
	assert_memory_equal(link.output.data, "HTTP/1.1 503 ", 13);
	mr_mem_link_fini(&link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(health_is_ok_or_says_why_not),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(http_1_0_closes_unless_asked),
		cmocka_unit_test(query_gives_each_format),
		cmocka_unit_test(query_takes_a_chunked_body),
		cmocka_unit_test(errors_are_json_with_a_fitting_status),
		cmocka_unit_test(statements_run_in_order_and_the_last_answers),
		cmocka_unit_test(big_results_are_chunked_and_bounded),
		cmocka_unit_test(malformed_requests_are_refused),
		cmocka_unit_test(oversized_heads_are_refused),
		cmocka_unit_test(expect_100_is_answered_before_the_body),
		cmocka_unit_test(silence_inside_a_request_times_out),
		cmocka_unit_test(other_web_sites_are_refused),
		cmocka_unit_test(page_tells_what_to_type),
		cmocka_unit_test(page_lists_relations_and_gives_them_back),
		cmocka_unit_test(metrics_are_strictly_right),
		cmocka_unit_test(too_many_connections_are_told),
	};
	struct mr_sqltest *sql;
	int failed;

	if (mr_sqltest_create(64u << 20, &sql) < 0)
		return 1;
	opts.env = mr_sqltest_env(sql);

	mr_clock_sim_init(&sim, 1795219200000000); // 2026-11-21 00:00 UTC
	if (mr_sessions_create(
		    &(struct mr_sessions_opts){.clock = &mr_clock_system}, &group.sessions) < 0 ||
		mr_metrics_create(&metrics) < 0 || mr_sessions_metrics(group.sessions, metrics) < 0)
		return 1;
	opts.metrics = metrics;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	mr_metrics_destroy(metrics);
	mr_sqltest_destroy(sql);
	mr_sessions_destroy(group.sessions);
	return failed;
}
