// The commands of the client program. Each gets its own name as argv[0] and returns an exit code.
#pragma once

#include "host/base/def.h"

enum { MR_CLIENT_FAILED = 1, MR_CLIENT_USAGE = 2 };

int mr_client_sql(int argc, char **argv);
int mr_client_produce(int argc, char **argv);
int mr_client_bench(int argc, char **argv);
int mr_client_doctor(int argc, char **argv);

// One line on stderr, "millrace COMMAND: text"; returns `code`.
int mr_client_complain(const char *command, int code, const char *fmt, ...) MR_PRINTF(3, 4);

// The value of a long option: `--name VALUE` or `--name=VALUE` at argv[*at], which moves past it.
// NULL when argv[*at] is another option; "" with *at past the end when its value is missing.
const char *mr_client_option(int argc, char **argv, int *at, const char *name);

// Options as a table: where each one's value goes.
enum mr_option_kind {
	MR_OPTION_TEXT,   // const char *
	MR_OPTION_NUMBER, // uint64_t; "1000", "128KiB", "1MiB", "2GiB"
	MR_OPTION_CODEC,  // int
	MR_OPTION_ACKS,   // int16_t; "0", "1", "all"
	MR_OPTION_FLAG,   // bool, without a value
};

struct mr_option {
	const char *name;
	enum mr_option_kind kind;
	size_t offset; // in the caller's struct
	uint64_t max;  // of a number, which is at least 1
};

// Reads argv[1] and on into `base`. An argument that is no option goes to `*operand`, of which
// there may be one (`operand` NULL: none). 0, or MR_CLIENT_USAGE after complaining.
int mr_client_options(const char *command, int argc, char **argv, const struct mr_option *options,
	size_t options_count, void *base, const char **operand);

// Chooses the kernels of this CPU: checksums of whole batches are computed with them.
void mr_client_use_cpu(void);
