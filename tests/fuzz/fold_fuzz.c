// A saved fold state with bytes changed and its checksum made good again: loading may refuse it or
// take it; what it took must merge, save and read.
//
// The input is pairs of (place, value), three bytes each, that are written over a good state.
#include "host/base/hash.h"
#include "host/base/value.h"
#include "host/sql/fold.h"
#include "tests/lib/sqltest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct mr_sqltest *test;
static struct mr_fold *fold;
static struct mr_buf good;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void save(const struct mr_fold_state *s, struct mr_buf *out)
{
	struct mr_fold_saving saving = {0};
	struct mr_fold_order *o;

	must(mr_fold_order_create(s, &o) == 0);
	must(mr_fold_save(s, o, SIZE_MAX, &saving, out) == 0);
	mr_fold_order_destroy(o);
}

static void setup(void)
{
	struct mr_diag diag;
	struct mr_buf out = {0};
	struct mr_fold_state *s;
	int64_t at[] = {0, 60000000, 61000000};
	double f[] = {1, 2.5, -1};
	int32_t i[] = {1, 2, 3};
	struct mr_str k[] = {{(const uint8_t *)"ab", 2, 0}, {(const uint8_t *)"", 0, 0},
		{(const uint8_t *)"xyz", 3, 0}};
	struct mr_dec n[] = {mr_dec_make(15, 1), mr_dec_make(-7, 0), mr_dec_make(1, 3)};
	const void *values[] = {at, k, i, f, n};
	struct mr_col columns[5];
	const struct mr_relation *r;
	const uint32_t *wanted;
	uint32_t done;

	must(mr_sqltest_create(64 << 20, &test) == 0);
	must(mr_sqltest_run(test,
		     "CREATE TABLE t (at timestamptz, k text, i int, f float8, n numeric)", &out,
		     &diag) == 0);
	must(mr_fold_compile(mr_sqltest_env(test),
		     mr_span_str(
			     "SELECT window_start, k, n, count(*) AS c, sum(i) AS s, sum(n) AS sn, "
			     "avg(f) "
			     "AS a, min(k) AS mk, max(n) AS mn, stddev(n) AS d, stddev(i) AS di, "
			     "approx_count_distinct(i) AS h, approx_percentile(f, 0.5) AS p, "
			     "bool_or(i > "
			     "1) AS bo FROM TUMBLE(t, at, INTERVAL '1 minute') GROUP BY 1, 2, 3"),
		     &fold, &diag) == 0);
	must(mr_fold_source_columns(fold, &wanted) == 5);
	r = mr_fold_source(fold);
	for (uint32_t c = 0; c < 5; c++)
		columns[c] = (struct mr_col){.type = r->columns[wanted[c]].type,
			.phys = (uint8_t)mr_type_phys(r->columns[wanted[c]].type),
			.values = values[wanted[c]]};
	must(mr_fold_state_create(fold, SIZE_MAX, &s) == 0);
	must(mr_fold_rows(s, &(struct mr_block){3, columns}, 0, &done) == 0);
	save(s, &good);
	mr_fold_state_destroy(s);
	mr_buf_fini(&out);
}

static void use(struct mr_fold_state *s)
{
	struct mr_arena arena;
	struct mr_query q = {.arena = &arena, .tz = mr_tz_utc()};
	struct mr_fold_state *other;
	struct mr_buf out = {.bytes_limit = 16 << 20};
	struct mr_block b;
	struct mr_diag diag;
	uint64_t cursor = 0;

	must(mr_fold_state_create(fold, SIZE_MAX, &other) == 0);
	must(mr_fold_load(other, mr_buf_span(&good), MR_FOLD_ALL) == 0);
	if (mr_fold_merge(other, s) == 0)
		save(other, &out);
	mr_arena_init(&arena, 16 << 20);
	while (mr_fold_read(other, &q, &cursor, &b, &diag) == 1)
		;
	mr_arena_fini(&arena);
	mr_buf_fini(&out);
	mr_fold_state_destroy(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_fold_state *s;
	uint8_t *copy;

	if (!test)
		setup();
	copy = malloc(good.bytes);
	must(copy);
	memcpy(copy, good.data, good.bytes);
	for (size_t i = 0; i + 3 <= bytes; i += 3)
		copy[mr_load_le16(data + i) % good.bytes] = data[i + 2];
	// The head stays: it is checked by a unit test.
	memcpy(copy, good.data, 16);
	mr_store_le64(copy + good.bytes - 8, mr_checksum(copy, good.bytes - 8));
	must(mr_fold_state_create(fold, SIZE_MAX, &s) == 0);
	if (mr_fold_load(s, mr_span(copy, good.bytes), MR_FOLD_ALL) == 0)
		use(s);
	mr_fold_state_destroy(s);
	free(copy);
	return 0;
}
