// millrace: the client program. Its commands are one table.
#include "client/client.h"

#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"sql", mr_client_sql, "run SQL: --connect ADDR:PORT [--command QUERY | -c QUERY]"},
	{"produce", mr_client_produce,
		"send lines as records: --bootstrap ADDR:PORT --topic T [--idempotent] [FILE]"},
	{"bench", mr_client_bench, "measure: ingest | freshness | query; --help tells more"},
	{"doctor", mr_client_doctor,
		"what this host lacks, and what to type: [--dpdk] [--data DIR]"},
};

static int usage(FILE *f, int code)
{
	fprintf(f, "usage: millrace COMMAND [option]...\n\n");
	for (size_t i = 0; i < MR_COUNT_OF(commands); i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(f, "\n  --version, --help\n");
	return code;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr, MR_CLIENT_USAGE);
	if (strcmp(argv[1], "--help") == 0)
		return usage(stdout, 0);
	if (strcmp(argv[1], "--version") == 0) {
		puts("millrace " MR_VERSION);
		return 0;
	}
	for (size_t i = 0; i < MR_COUNT_OF(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "millrace: unknown command \"%s\"\n", argv[1]);
	return usage(stderr, MR_CLIENT_USAGE);
}
