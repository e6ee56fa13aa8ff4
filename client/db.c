// SQL connections.
#include "client/db.h"

#include "client/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The first line of what libpq says.
static void keep_line(const char *text, char *error, size_t error_bytes)
{
	snprintf(error, error_bytes, "%.*s", (int)strcspn(text, "\n"), text);
}

PGconn *mr_db_open(const char *address, const char *application, char *error, size_t error_bytes)
{
	struct mr_kafka_address to;
	const char *names[] = {"host", "port", "user", "dbname", "connect_timeout",
		"fallback_application_name", NULL};
	const char *values[] = {to.host, to.port, "millrace", "millrace", "10", application, NULL};
	PGconn *c;

	if (mr_kafka_address_parse(address, &to) < 0) {
		snprintf(error, error_bytes, "\"%s\" is not ADDR:PORT", address);
		return NULL;
	}
	c = PQconnectdbParams(names, values, 0);
	if (PQstatus(c) == CONNECTION_OK)
		return c;
	keep_line(PQerrorMessage(c), error, error_bytes);
	PQfinish(c);
	return NULL;
}

static PGresult *run(PGconn *c, const char *sql, char *error, size_t error_bytes)
{
	PGresult *r = PQexec(c, sql);
	ExecStatusType status = PQresultStatus(r);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return r;
	keep_line(r ? PQresultErrorMessage(r) : PQerrorMessage(c), error, error_bytes);
	PQclear(r);
	return NULL;
}

int64_t mr_db_run(PGconn *c, const char *sql, char *error, size_t error_bytes)
{
	PGresult *r = run(c, sql, error, error_bytes);
	int64_t rows = r ? PQntuples(r) : -1;

	PQclear(r);
	return rows;
}

bool mr_db_number(PGconn *c, const char *sql, int64_t *out, char *error, size_t error_bytes)
{
	PGresult *r = run(c, sql, error, error_bytes);
	bool well = r && PQntuples(r) == 1 && PQnfields(r) >= 1;

	if (well)
		*out = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	else if (r)
		snprintf(error, error_bytes, "one number was expected of: %s", sql);
	PQclear(r);
	return well;
}
