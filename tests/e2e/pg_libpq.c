// libpq against the SQL port: the extended protocol with binary values, prepared statements, rows
// one at a time, pipelines, cancel. Usage: pg_libpq PORT. Exit 0 when everything is as expected.
#include "host/base/span.h"

#include <poll.h>
#include <postgresql/libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(x)                                                                 \
	do {                                                                     \
		if (!(x)) {                                                      \
			fprintf(stderr, "%s:%d: %s\n%s", __FILE__, __LINE__, #x, \
				PQerrorMessage(db));                             \
			exit(1);                                                 \
		}                                                                \
	} while (0)

static PGconn *db;

static PGresult *expect_at(int line, PGresult *r, ExecStatusType status)
{
	if (r && PQresultStatus(r) == status)
		return r;
	fprintf(stderr, "line %d: wanted %s, got %s\n%s", line, PQresStatus(status),
		r ? PQresStatus(PQresultStatus(r)) : "nothing", PQerrorMessage(db));
	exit(1);
}

#define expect(result, status) expect_at(__LINE__, result, status)

static void parameters_and_results_in_binary(void)
{
	uint8_t four[4], eight[8];
	const char *values[] = {(char *)four, (char *)eight, "text", NULL};
	const int lengths[] = {4, 8, 4, 0}, formats[] = {1, 1, 0, 0};
	PGresult *r;

	mr_store_be32(four, (uint32_t)-7);
	mr_store_be64(eight, 1ull << 40);
	for (int binary = 0; binary < 2; binary++) {
		r = expect(PQexecParams(db, "select $1::int4, $2::int8, $3::text, $4::text", 4,
				   NULL, values, lengths, formats, binary),
			PGRES_TUPLES_OK);
		CHECK(PQntuples(r) == 1 && PQnfields(r) == 4);
		CHECK(PQftype(r, 0) == 23 && PQftype(r, 1) == 20 && PQftype(r, 2) == 25);
		CHECK(PQfsize(r, 0) == 4 && PQfsize(r, 1) == 8 && PQfsize(r, 2) == -1);
		CHECK(PQfformat(r, 0) == binary && PQgetisnull(r, 0, 3));
		if (binary) {
			CHECK((int32_t)mr_load_be32(PQgetvalue(r, 0, 0)) == -7);
			CHECK(mr_load_be64(PQgetvalue(r, 0, 1)) == 1ull << 40);
		} else {
			CHECK(strcmp(PQgetvalue(r, 0, 0), "-7") == 0);
			CHECK(strcmp(PQgetvalue(r, 0, 1), "1099511627776") == 0);
		}
		CHECK(strcmp(PQgetvalue(r, 0, 2), "text") == 0);
		PQclear(r);
	}
}

static void prepared_statements_are_described_and_run(void)
{
	const char *value[1];
	char text[16];
	PGresult *r;

	PQclear(expect(
		PQprepare(db, "add", "select $1::int4, $1::int4", 0, NULL), PGRES_COMMAND_OK));
	r = expect(PQdescribePrepared(db, "add"), PGRES_COMMAND_OK);
	CHECK(PQnparams(r) == 1 && PQparamtype(r, 0) == 23 && PQnfields(r) == 2);
	PQclear(r);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		value[0] = text;
		r = expect(PQexecPrepared(db, "add", 1, value, NULL, NULL, 0), PGRES_TUPLES_OK);
		CHECK(strcmp(PQgetvalue(r, 0, 1), text) == 0);
		PQclear(r);
	}
	r = expect(PQexecPrepared(db, "nothing", 0, NULL, NULL, NULL, 0), PGRES_FATAL_ERROR);
	CHECK(strcmp(PQresultErrorField(r, PG_DIAG_SQLSTATE), "26000") == 0);
	PQclear(r);
}

static void rows_come_one_at_a_time(void)
{
	uint32_t rows = 0;
	PGresult *r;

	CHECK(PQsendQueryParams(
		db, "select * from generate_series(1, 100000)", 0, NULL, NULL, NULL, NULL, 1));
	CHECK(PQsetSingleRowMode(db));
	while ((r = PQgetResult(db))) {
		if (PQresultStatus(r) == PGRES_SINGLE_TUPLE)
			CHECK(mr_load_be32(PQgetvalue(r, 0, 0)) == ++rows);
		else
			expect(r, PGRES_TUPLES_OK);
		PQclear(r);
	}
	CHECK(rows == 100000);
}

// What comes back for one query of the pipeline.
static void expect_next(ExecStatusType status)
{
	PQclear(expect(PQgetResult(db), status));
	CHECK(!PQgetResult(db));
}

static void pipelines_keep_their_order_and_skip_after_errors(void)
{
	CHECK(PQenterPipelineMode(db));
	for (int i = 0; i < 50; i++)
		CHECK(PQsendQueryParams(db, "select 1", 0, NULL, NULL, NULL, NULL, 0));
	CHECK(PQsendQueryParams(db, "select 1/0", 0, NULL, NULL, NULL, NULL, 0));
	CHECK(PQsendQueryParams(db, "select 2", 0, NULL, NULL, NULL, NULL, 0));
	CHECK(PQpipelineSync(db));
	CHECK(PQsendQueryParams(db, "select 3", 0, NULL, NULL, NULL, NULL, 0));
	CHECK(PQpipelineSync(db));
	for (int i = 0; i < 50; i++)
		expect_next(PGRES_TUPLES_OK);
	expect_next(PGRES_FATAL_ERROR);
	expect_next(PGRES_PIPELINE_ABORTED);
	PQclear(expect(PQgetResult(db), PGRES_PIPELINE_SYNC));
	expect_next(PGRES_TUPLES_OK);
	PQclear(expect(PQgetResult(db), PGRES_PIPELINE_SYNC));
	CHECK(PQexitPipelineMode(db));
}

static void cancel_stops_what_runs(void)
{
	PGcancel *cancel = PQgetCancel(db);
	char error[256];
	PGresult *r;

	CHECK(cancel && PQsendQuery(db, "select pg_sleep(30)"));
	// A cancel that overtakes the query finds nothing to stop, so it is repeated.
	while (PQisBusy(db)) {
		CHECK(PQcancel(cancel, error, sizeof(error)));
		poll(&(struct pollfd){PQsocket(db), POLLIN, 0}, 1, 50);
		CHECK(PQconsumeInput(db));
	}
	r = PQgetResult(db);
	expect(r, PGRES_FATAL_ERROR);
	CHECK(strcmp(PQresultErrorField(r, PG_DIAG_SQLSTATE), "57014") == 0);
	PQclear(r);
	CHECK(!PQgetResult(db));
	PQfreeCancel(cancel);
}

int main(int argc, char **argv)
{
	char conninfo[128];

	if (argc != 2)
		return 2;
	snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%s user=millrace dbname=millrace",
		argv[1]);
	db = PQconnectdb(conninfo);
	CHECK(PQstatus(db) == CONNECTION_OK);
	CHECK(PQserverVersion(db) / 10000 == 15);
	CHECK(strcmp(PQparameterStatus(db, "integer_datetimes"), "on") == 0);
	parameters_and_results_in_binary();
	prepared_statements_are_described_and_run();
	// In this order: libpq 15 does not leave single-row mode when a pipeline begins.
	pipelines_keep_their_order_and_skip_after_errors();
	rows_come_one_at_a_time();
	cancel_stops_what_runs();
	PQfinish(db);
	puts("ok");
	return 0;
}
