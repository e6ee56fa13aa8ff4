// millrace bench query: everyday questions to the table of events, each asked several times by one
// session. The time is the client's: from sending the text to having the whole answer.
#include "client/bench.h"
#include "client/db.h"
#include "host/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 1000, TEXT_BYTES = 4096 };

// `$t` is the table, `$max` its largest event_time. Large grouped results are folded to one row, so
// that the engine is timed and not the printing of rows.
static const struct query {
	const char *name;
	const char *sql;
} queries[] = {
	{"select 1", "SELECT 1"},
	{"count", "SELECT count(*) FROM $t"},
	{"sums", "SELECT sum(amount), avg(amount), min(amount), max(amount), "
		 "sum(response_time_ms) FROM $t"},
	{"filter, 1 %", "SELECT count(*), sum(amount) FROM $t WHERE response_time_ms > 320"},
	{"filter, half", "SELECT count(*), sum(amount) FROM $t WHERE response_time_ms > 60"},
	{"four filters", "SELECT count(*), sum(amount) FROM $t WHERE category = 'electronics' AND "
			 "country IN ('US', 'DE', 'GB') AND status = 200 AND NOT is_bot"},
	{"by category", "SELECT category, count(*), sum(amount), avg(response_time_ms) FROM $t "
			"GROUP BY category"},
	{"by country, status",
		"SELECT country, status, count(*), sum(amount) FROM $t GROUP BY country, status"},
	{"by user, top 10",
		"SELECT user_id, count(*) AS n, sum(amount) AS v FROM $t GROUP BY user_id "
		"ORDER BY v DESC LIMIT 10"},
	{"minute, category", "SELECT count(*), sum(n), sum(v) FROM (SELECT category, window_start, "
			     "count(*) AS n, "
			     "sum(amount) AS v FROM TUMBLE($t, event_time, INTERVAL '1 minute') "
			     "GROUP BY category, "
			     "window_start) q"},
	{"users, approximate", "SELECT approx_count_distinct(user_id) FROM $t"},
	{"p99 by category", "SELECT category, approx_percentile(response_time_ms, 0.99) FROM $t "
			    "GROUP BY category"},
	{"top urls", "SELECT page_url, count(*) AS n FROM $t GROUP BY page_url ORDER BY n DESC "
		     "LIMIT 10"},
	{"LIKE", "SELECT count(*) FROM $t WHERE page_url LIKE '%/checkout/%lamp%'"},
	{"last 5 minutes", "SELECT category, count(*), sum(amount) FROM $t WHERE event_time >= "
			   "TIMESTAMPTZ '$max' - INTERVAL '5 minutes' GROUP BY category"},
};

struct asking {
	struct mr_bench *b;
	PGconn *c;
	int64_t table_rows;
	char max[64];
	uint32_t failed;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// `sql` with its placeholders filled in. False when it does not fit.
static bool expand(const struct asking *a, const char *sql, char *out)
{
	size_t at = 0;

	while (*sql && at + 1 < TEXT_BYTES) {
		int n = 1;

		if (strncmp(sql, "$max", 4) == 0) {
			n = snprintf(out + at, TEXT_BYTES - at, "%s", a->max);
			sql += 4;
		} else if (strncmp(sql, "$t", 2) == 0) {
			n = snprintf(out + at, TEXT_BYTES - at, "\"%s\"", a->b->topic);
			sql += 2;
		} else {
			out[at] = *sql++;
		}
		at += (size_t)n;
	}
	if (at >= TEXT_BYTES)
		return false;
	out[at] = 0;
	return !*sql;
}

static void report(struct asking *a, const char *name, int64_t rows, double *ms, const char *error)
{
	struct mr_report *r = &a->b->report;
	uint64_t runs = a->b->runs;
	double median;

	qsort(ms, runs, sizeof(*ms), by_value);
	median = runs % 2 ? ms[runs / 2] : (ms[runs / 2 - 1] + ms[runs / 2]) / 2;
	mr_report_text(r, "query", name);
	mr_report_number(r, "rows", (double)MR_MAX(rows, 0), 0);
	mr_report_number(r, "min_ms", ms[0], 3);
	mr_report_number(r, "median_ms", median, 3);
	mr_report_number(r, "max_ms", ms[runs - 1], 3);
	mr_report_number(
		r, "Mrows_per_s", median > 0 ? (double)a->table_rows / 1e3 / median : 0, 1);
	mr_report_text(r, "error", error);
	mr_report_end_row(r);
}

static void measure(struct asking *a, const char *name, const char *sql)
{
	char text[TEXT_BYTES], error[96] = "";
	double ms[RUNS_MAX] = {0};
	int64_t rows = expand(a, sql, text) ? 0 : -1;

	if (rows < 0)
		snprintf(error, sizeof(error), "the query is too long");
	for (uint64_t i = 0; i < a->b->runs && rows >= 0; i++) {
		int64_t begin = mr_now_ns(&mr_clock_system);

		rows = mr_db_run(a->c, text, error, sizeof(error));
		ms[i] = (double)(mr_now_ns(&mr_clock_system) - begin) / 1e6;
	}
	if (rows < 0) {
		a->failed++;
		memset(ms, 0, sizeof(ms));
	}
	report(a, name, rows, ms, error);
}

// One query a line; empty lines and comments are left out.
static int measure_file(struct asking *a)
{
	struct mr_bench *b = a->b;
	FILE *f = fopen(b->file, "re");
	char *line = NULL;
	size_t line_max = 0;
	ssize_t n;

	if (!f) {
		snprintf(b->error, sizeof(b->error), "%s: %s", b->file, strerror(errno));
		return -errno;
	}
	while ((n = getline(&line, &line_max, f)) >= 0) {
		while (n > 0 && strchr("\r\n; ", line[n - 1]))
			line[--n] = 0;
		if (n > 0 && strncmp(line, "--", 2) != 0)
			measure(a, line, line);
	}
	free(line);
	fclose(f);
	return 0;
}

// Row count and last time of the table; a file of queries need not have one.
static int look_at_table(struct asking *a)
{
	struct mr_bench *b = a->b;
	char text[512];
	PGresult *r;

	snprintf(text, sizeof(text), "SELECT count(*), max(event_time) FROM \"%s\"", b->topic);
	r = PQexec(a->c, text);
	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1) {
		a->table_rows = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
		snprintf(a->max, sizeof(a->max), "%s", PQgetvalue(r, 0, 1));
	} else if (!b->file) {
		snprintf(b->error, sizeof(b->error), "table %s: %s", b->topic,
			PQresultErrorMessage(r));
		b->error[strcspn(b->error, "\n")] = 0;
		PQclear(r);
		return -EIO;
	}
	PQclear(r);
	return 0;
}

int mr_bench_query(struct mr_bench *b)
{
	struct asking a = {.b = b, .max = "1970-01-01 00:00:00+00"};
	int e;

	b->runs = b->runs ? b->runs : 5;
	a.c = mr_db_open(b->sql, "millrace bench", b->error, sizeof(b->error));
	if (!a.c)
		return -ECONNREFUSED;
	e = look_at_table(&a);
	if (e == 0 && b->file)
		e = measure_file(&a);
	for (size_t i = 0; e == 0 && !b->file && i < MR_COUNT_OF(queries); i++)
		measure(&a, queries[i].name, queries[i].sql);
	PQfinish(a.c);
	if (e == 0 && a.failed) {
		snprintf(b->error, sizeof(b->error), "%u queries failed", a.failed);
		e = -EIO;
	}
	return e;
}
