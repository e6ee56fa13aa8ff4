// SQL against relations in memory: an environment for tests of the SQL layer.
//
// A table is a list of segments, one for each inserted block; text columns of every second segment
// are dictionary-coded, so that both forms are met. A materialized view keeps two fold states that
// take inserted rows in turn and are merged when it is read. Kernels are this CPU's best, or those
// that MILLRACE_ISA names.
#pragma once

#include "host/base/buf.h"
#include "host/sql/sql.h"

struct mr_sqltest;

[[nodiscard]] int mr_sqltest_create(size_t query_bytes_max, struct mr_sqltest **out);
void mr_sqltest_destroy(struct mr_sqltest *t);
struct mr_session *mr_sqltest_session(struct mr_sqltest *t);
struct mr_env *mr_sqltest_env(struct mr_sqltest *t);

// Runs every statement of `text`; rows are appended to `out` as psql -At prints them, NULL as NULL.
// 0, or negative with diag at the first error.
[[nodiscard]] int mr_sqltest_run(
	struct mr_sqltest *t, const char *text, struct mr_buf *out, struct mr_diag *diag);
