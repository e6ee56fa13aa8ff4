// Scripts of a client of the SQL port, for tests: messages are put together in one buffer, a
// session runs over a link in memory, and its answer is spelt out message by message by a decoder
// that accounts for every byte.
#pragma once

#include "host/base/buf.h"
#include "host/sessions.h"
#include "tests/lib/mem_link.h"

extern struct mr_buf pg_in;             // the script of the case
extern struct mr_sessions *pg_sessions; // those that run scripts are among them

// Around all tests of a group.
int pg_script_open(void **state);
int pg_script_close(void **state);

// ---- what the client says

void pg_startup_pairs(uint32_t version, const char *pairs, size_t bytes);
#define PG_STARTUP(version, pairs) pg_startup_pairs(version, pairs, sizeof(pairs))
#define PG_MILLRACE                "user\0millrace\0database\0millrace\0"
// Begins a script with the startup that is answered by PG_GREETING.
void pg_startup(void);
void pg_message(char type, const void *body, size_t bytes);
void pg_query(const char *text);
void pg_sync(void);
void pg_parse(const char *name, const char *text, int types, const uint32_t *oids);
// Parameters are texts, NULL for null; `in_format` and `out_format` -1: no codes are sent.
void pg_bind(const char *portal, const char *statement, int params, const char *const *values,
	int in_format, int out_format);
// Describe or Close ('D', 'C') of a statement or portal ('S', 'P').
void pg_target(char type, char kind, const char *name);
void pg_execute(const char *portal, uint32_t rows_max);

// ---- what it gets

#define PG_GREETING                                                                    \
	"R(0) S(server_version=15.0) S(server_encoding=UTF8) S(client_encoding=UTF8) " \
	"S(application_name=) S(is_superuser=on) S(session_authorization=millrace) "   \
	"S(DateStyle=ISO, MDY) S(IntervalStyle=postgres) S(TimeZone=UTC) "             \
	"S(integer_datetimes=on) S(standard_conforming_strings=on) "                   \
	"S(default_transaction_read_only=off) S(in_hot_standby=off) K(7,abcd) Z(I)"

// Runs one session, as the server does, but pid and secret are always the same.
void pg_run(struct mr_mem_link *link);
// The server's messages as text.
void pg_decode(struct mr_span bytes, struct mr_buf *out);
// Runs the script once, cut at `cut`, and compares.
void pg_expect_cut(const char *want, size_t cut, size_t read_max, bool over_limit);
// Runs it whole, byte by byte, and cut at every place.
void pg_expect_exactly(const char *want);
// The greeting's text is left out of `want`.
void pg_expect(const char *want);
