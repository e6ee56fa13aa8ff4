// SQL connections of the client program: libpq, and nothing else, below. A connection belongs to
// one thread.
#pragma once

#include "host/base/def.h"

#include <libpq-fe.h>

// Connects to "ADDR:PORT" or "[ADDR]:PORT" as user and database millrace. NULL with one line in
// `error`. Close with PQfinish.
PGconn *mr_db_open(const char *address, const char *application, char *error, size_t error_bytes);

// Runs one statement and forgets its rows. Returns how many there were, or -1 with a line in
// `error`.
int64_t mr_db_run(PGconn *c, const char *sql, char *error, size_t error_bytes);

// The first column of the only row, an integer. False with a line in `error`.
bool mr_db_number(PGconn *c, const char *sql, int64_t *out, char *error, size_t error_bytes);
