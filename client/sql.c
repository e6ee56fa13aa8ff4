// millrace sql: statements to the SQL port, results as a table. libpq speaks the protocol.
#include "client/client.h"
#include "client/db.h"
#include "client/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: millrace sql --connect ADDR:PORT [--command QUERY | -c QUERY]\n"
	"\n"
	"Without a query, statements are read from standard input, one per line or ended by `;`.\n";

static bool is_number(Oid type)
{
	static const Oid numbers[] = {20, 21, 23, 700, 701, 1700};

	for (size_t i = 0; i < MR_COUNT_OF(numbers); i++)
		if (numbers[i] == type)
			return true;
	return false;
}

// Characters of UTF-8 text, for aligning columns.
static int width_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void print_cell(const char *s, int width, bool right, bool last)
{
	int pad = width - width_of(s);

	printf(" %*s%s", right ? pad : 0, "", s);
	if (!last)
		printf("%*s |", right ? 0 : pad, "");
}

static void print_rows(const PGresult *r)
{
	int columns = PQnfields(r), rows = PQntuples(r);
	int *widths = calloc((size_t)columns + 1, sizeof(int));

	if (!widths)
		return;
	for (int c = 0; c < columns; c++) {
		widths[c] = width_of(PQfname(r, c));
		for (int i = 0; i < rows; i++)
			widths[c] = MR_MAX(widths[c], width_of(PQgetvalue(r, i, c)));
	}
	for (int c = 0; c < columns; c++)
		print_cell(PQfname(r, c), widths[c], false, c == columns - 1);
	putchar('\n');
	for (int c = 0; c < columns; c++) {
		for (int k = 0; k < widths[c] + 2; k++)
			putchar('-');
		putchar(c == columns - 1 ? '\n' : '+');
	}
	for (int i = 0; i < rows; i++) {
		for (int c = 0; c < columns; c++)
			print_cell(PQgetvalue(r, i, c), widths[c], is_number(PQftype(r, c)),
				c == columns - 1);
		putchar('\n');
	}
	printf("(%d row%s)\n", rows, rows == 1 ? "" : "s");
	free(widths);
}

// Every result of one simple query. False when one is an error.
static bool run(PGconn *c, const char *text)
{
	bool well = PQsendQuery(c, text);
	PGresult *r;

	if (!well)
		fprintf(stderr, "%s", PQerrorMessage(c));
	while ((r = PQgetResult(c))) {
		switch (PQresultStatus(r)) {
		case PGRES_TUPLES_OK: print_rows(r); break;
		case PGRES_COMMAND_OK: puts(PQcmdStatus(r)); break;
		case PGRES_EMPTY_QUERY: break;
		default: fprintf(stderr, "%s", PQresultErrorMessage(r)); well = false;
		}
		PQclear(r);
	}
	fflush(stdout);
	return well;
}

// A statement ends at a `;` that ends its line; the server splits what stands on one line.
static bool run_input(PGconn *c)
{
	char *line = NULL, *text = NULL;
	size_t line_max = 0, bytes = 0;
	bool tty = isatty(STDIN_FILENO), well = true;
	ssize_t n;

	while (fputs(tty ? (bytes ? "      -> " : "millrace> ") : "", stdout) >= 0 &&
		fflush(stdout) == 0 && (n = getline(&line, &line_max, stdin)) >= 0) {
		char *grown = realloc(text, bytes + (size_t)n + 1);

		if (!grown)
			break;
		text = grown;
		memcpy(text + bytes, line, (size_t)n + 1);
		bytes += (size_t)n;
		while (n > 0 && strchr(" \t\r\n", line[n - 1]))
			n--;
		if (n == 0 || line[n - 1] != ';')
			continue;
		well &= run(c, text);
		bytes = 0;
	}
	if (bytes)
		well &= run(c, text);
	free(line);
	free(text);
	return well;
}

int mr_client_sql(int argc, char **argv)
{
	const char *address = NULL, *command = NULL, *v;
	struct mr_kafka_address parsed;
	char error[400];
	bool well;
	PGconn *c;

	for (int i = 1; i < argc;) {
		if ((v = mr_client_option(argc, argv, &i, "--connect")))
			address = v;
		else if ((v = mr_client_option(argc, argv, &i, "--command")) ||
			 (v = mr_client_option(argc, argv, &i, "-c")))
			command = v;
		else if (strcmp(argv[i], "--help") == 0)
			return fputs(usage, stdout) < 0;
		else
			return mr_client_complain(
				argv[0], MR_CLIENT_USAGE, "unknown option \"%s\"", argv[i]);
	}
	if (!address)
		return mr_client_complain(
			argv[0], MR_CLIENT_USAGE, "--connect ADDR:PORT is needed");
	if (mr_kafka_address_parse(address, &parsed) < 0)
		return mr_client_complain(
			argv[0], MR_CLIENT_USAGE, "\"%s\" is not ADDR:PORT", address);
	c = mr_db_open(address, "millrace sql", error, sizeof(error));
	if (!c)
		return mr_client_complain(argv[0], MR_CLIENT_FAILED, "%s", error);
	well = command ? run(c, command) : run_input(c);
	PQfinish(c);
	return well ? 0 : MR_CLIENT_FAILED;
}
