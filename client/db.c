// SQL connections.
#include "client/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ADDR:PORT or [ADDR]:PORT, in place. False when there is no port.
static bool split_address(char *address, char **host, char **port)
{
	char *colon = strrchr(address, ':');

	if (!colon || !colon[1])
		return false;
	*colon = 0;
	*port = colon + 1;
	*host = address;
	if (address[0] == '[' && colon > address && colon[-1] == ']') {
		colon[-1] = 0;
		*host = address + 1;
	}
	return true;
}

PGconn *mr_db_connect(const char *address, const char *application)
{
	const char *names[] = {"host", "port", "user", "dbname", "connect_timeout",
		"fallback_application_name", NULL};
	const char *values[] = {NULL, NULL, "millrace", "millrace", "10", application, NULL};
	char *text = strdup(address), *host, *port;
	PGconn *c = NULL;

	if (text && split_address(text, &host, &port)) {
		values[0] = host;
		values[1] = port;
		c = PQconnectdbParams(names, values, 0);
	}
	free(text);
	return c;
}

// The first line of what libpq says.
static void keep_line(const char *text, char *error, size_t error_bytes)
{
	snprintf(error, error_bytes, "%.*s", (int)strcspn(text, "\n"), text);
}

PGconn *mr_db_open(const char *address, char *error, size_t error_bytes)
{
	PGconn *c = mr_db_connect(address, "millrace bench");

	if (c && PQstatus(c) == CONNECTION_OK)
		return c;
	if (c)
		keep_line(PQerrorMessage(c), error, error_bytes);
	else
		snprintf(error, error_bytes, "\"%s\" is not ADDR:PORT", address);
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
