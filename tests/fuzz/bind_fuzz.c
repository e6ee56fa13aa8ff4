// Any text as SQL: lexed, parsed, bound, planned and run over small tables. It may answer or fail
// with an error; nothing else.
#include "host/base/clock.h"
#include "tests/lib/sqltest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char setup[] = "CREATE TABLE t (a int, b bigint, c text, d numeric(12,2), e numeric, "
			    "f float8, g timestamptz, "
			    "h date, i bool, j real, k smallint, l uuid, m bytea, n timestamp);"
			    "INSERT INTO t (a, b, c, d, e, f, g, i) VALUES (1, 2, 'x', 1.5, 2.25, "
			    "0.5, '2024-01-01Z', true),"
			    "(NULL, -1, NULL, NULL, 'NaN', 'NaN', 'infinity', NULL), (0, 0, '', 0, "
			    "0, 0, 'epoch', false)";

static void run(struct mr_session *s, struct mr_statement *st, struct mr_diag *diag)
{
	const struct mr_typeref *types;
	uint32_t count = mr_statement_params(st, &types);
	struct mr_param *params = calloc(count + 1, sizeof(*params));
	struct mr_cursor *c;
	struct mr_block b;
	int rc = mr_cursor_open(s, st, params, count, &c, diag);

	for (int i = 0; i < 20 && rc >= 0; i++)
		if (mr_cursor_next(c, i % 3 ? 7 : 0, &b, diag) <= 0)
			break;
	mr_cursor_close(c);
	free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_sqltest *t;
	struct mr_session *s;
	struct mr_diag diag;
	struct mr_buf out = {0};
	struct mr_span whole = mr_span(data, bytes), rest = whole;

	if (bytes > 4096 || memmem(data, bytes, "sleep", 5))
		return 0;
	if (mr_sqltest_create(1 << 20, &t) < 0 || mr_sqltest_run(t, setup, &out, &diag) < 0)
		abort();
	const struct mr_session_opts opts = {
		.env = mr_sqltest_env(t), .clock = &mr_clock_system, .query_bytes_max = 1 << 20};
	if (mr_session_create(&opts, &s) < 0 ||
		mr_session_set(s, "statement_timeout", "30", &diag) < 0)
		abort();
	for (int i = 0; i < 8; i++) {
		struct mr_statement *st;

		if (mr_statement_prepare(s, whole, &rest, NULL, 0, &st, &diag) < 0 || !st)
			break;
		run(s, st, &diag);
		mr_statement_destroy(st);
	}
	mr_session_destroy(s);
	mr_sqltest_destroy(t);
	mr_buf_fini(&out);
	return 0;
}
