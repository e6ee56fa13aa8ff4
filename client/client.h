// The commands of the client program. Each gets its own name as argv[0] and returns an exit code.
#pragma once

#include "host/base/def.h"

enum { MR_CLIENT_FAILED = 1, MR_CLIENT_USAGE = 2 };

int mr_client_sql(int argc, char **argv);
int mr_client_produce(int argc, char **argv);
int mr_client_bench(int argc, char **argv);

// One line on stderr, "millrace COMMAND: text"; returns `code`.
int mr_client_complain(const char *command, int code, const char *fmt, ...) MR_PRINTF(3, 4);

// The value of a long option: `--name VALUE` or `--name=VALUE` at argv[*at], which moves past it.
// NULL when argv[*at] is another option; "" with *at past the end when its value is missing.
const char *mr_client_option(int argc, char **argv, int *at, const char *name);

// "1000", "128KiB", "1MiB", "2GiB". False when it is not that.
bool mr_client_size(const char *text, uint64_t *out);
// "0", "1", "all" (also "-1").
bool mr_client_acks(const char *text, int16_t *out);
// The codec's number, or -1.
int mr_client_codec(const char *text);

// Chooses the kernels of this CPU: checksums of whole batches are computed with them.
void mr_client_use_cpu(void);
