// The law of folds: rows split at random over states, merged in random order, saved and loaded in
// pieces on the way, read as the query itself answers over the same rows.
#include "tests/lib/mr_test.h"

#include "host/base/rand.h"
#include "host/base/value.h"
#include "host/sql/expr.h"
#include "host/sql/fold.h"
#include "tests/lib/sqltest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATES = 5 };

static const char *const queries[] = {
	("SELECT k, count(*) AS c, count(n) AS cn, sum(i) AS si, sum(b) AS sb, sum(n) AS sn, "
	 "avg(n) "
	 "AS "
	 "an, min(k) AS mk, max(n) AS mn, stddev(i) AS sd, approx_count_distinct(i) AS d, "
	 "approx_percentile(f, 0.5) AS p, bool_and(i > 0) AS ba, bit_xor(i) AS bx, bit_and(b) AS "
	 "bb FROM t GROUP BY k"),
	("SELECT window_start, k, count(*) AS c, sum(i) AS s, max(k) AS m FROM TUMBLE(t, at, "
	 "INTERVAL '1 "
	 "minute') GROUP BY window_start, k"),
	("SELECT window_start, window_end, count(*) AS c, sum(n) AS s FROM HOP(t, at, INTERVAL '20 "
	 "seconds', INTERVAL '1 minute') WHERE i % 3 <> 0 GROUP BY window_start, window_end HAVING "
	 "count(*) > 1"),
	("SELECT count(*) AS c, sum(b) AS s, avg(i) AS a FROM t WHERE k LIKE 'k1%'"),
	("SELECT k, approx_top_k(i % 7, 3) AS t, approx_top_k(n, 2) FILTER (WHERE i > 0) AS f FROM "
	 "t GROUP BY k HAVING count(*) > 2"),
	("SELECT approx_top_k(k, 5) AS t, approx_top_k(at, 1) AS l FROM t"),
	("SELECT i % 10 AS m, upper(k) AS u, sum(n * 2) FILTER (WHERE i > 5) AS s FROM t GROUP BY "
	 "1, 2"),
};

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted(struct mr_buf *b)
{
	char **lines = calloc(b->bytes + 1, sizeof(*lines)), *save = NULL, *out;
	size_t n = 0;

	mr_buf_u8(b, 0);
	out = calloc(1, b->bytes + 2);
	for (char *l = strtok_r((char *)b->data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		lines[n++] = l;
	qsort(lines, n, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < n; i++) {
		strcat(out, lines[i]);
		strcat(out, "\n");
	}
	free(lines);
	mr_buf_fini(b);
	return out;
}

static void fill(struct mr_sqltest *t, struct mr_rand *r, uint32_t rows)
{
	struct mr_buf sql = {0}, out = {0};
	struct mr_diag diag;

	mr_buf_str(&sql,
		"CREATE TABLE t (k text, i int, b bigint, n numeric(12,2), w numeric(30,6), f "
		"float8, at timestamptz); INSERT INTO t VALUES ");
	for (uint32_t i = 0; i < rows; i++) {
		char k[32] = "NULL";

		if (mr_rand_below(r, 10))
			snprintf(k, sizeof(k), "'k%d'", (int)mr_rand_below(r, 20));
		mr_buf_printf(&sql,
			"%s(%s, %d, %lld, %s%d.%02d, %d.5, %d, '2024-01-01 00:%02d:%02dZ')",
			i ? "," : "", k, (int)mr_rand_below(r, 1000) - 300,
			(long long)(mr_rand_u64(r) >> 2), mr_rand_below(r, 8) ? "" : "NULL+",
			(int)mr_rand_below(r, 100000), (int)mr_rand_below(r, 100),
			(int)mr_rand_below(r, 1000), (int)mr_rand_below(r, 50),
			(int)mr_rand_below(r, 10), (int)mr_rand_below(r, 60));
	}
	mr_buf_u8(&sql, 0);
	assert_int_equal(mr_sqltest_run(t, (const char *)sql.data, &out, &diag), 0);
	mr_buf_fini(&sql);
	mr_buf_fini(&out);
}

// Every block of the table, row by row in random runs, into random states.
static void fold_at_random(
	const struct mr_fold *f, struct mr_rand *r, struct mr_fold_state **states)
{
	const struct mr_relation *rel = mr_fold_source(f);
	struct mr_arena arena;
	struct mr_query q = {.arena = &arena, .tz = mr_tz_utc()};
	struct mr_scan_spec spec = {.query = &q};
	struct mr_scan *scan;
	struct mr_block block;
	struct mr_diag diag;

	mr_arena_init(&arena, 0);
	spec.columns_count = mr_fold_source_columns(f, &spec.columns);
	assert_int_equal(rel->ops->scan_begin(rel, &spec, &scan, &diag), 0);
	while (rel->ops->scan_next(scan, &block, &diag) == 1)
		for (uint32_t at = 0; at < block.rows;) {
			struct mr_block part = block;
			uint32_t done;

			part.rows = at + 1 + (uint32_t)mr_rand_below(r, block.rows - at);
			assert_int_equal(
				mr_fold_rows(states[mr_rand_below(r, STATES)], &part, at, &done),
				0);
			assert_int_equal(done, part.rows);
			at = part.rows;
		}
	rel->ops->scan_end(scan);
	mr_arena_fini(&arena);
}

// The parts cut at a random place: both sides together are all.
static void cut_at_random(struct mr_rand *r, struct mr_fold_parts cut[2])
{
	uint8_t at = (uint8_t)mr_rand_below(r, MR_FOLD_PARTS - 1);

	cut[0] = (struct mr_fold_parts){0, at};
	cut[1] = (struct mr_fold_parts){at + 1, MR_FOLD_PARTS - 1};
}

static void merge_by_parts(
	struct mr_rand *r, const struct mr_fold_state *s, struct mr_fold_state *all)
{
	struct mr_fold_parts cut[2];
	struct mr_fold_order *o;

	cut_at_random(r, cut);
	assert_int_equal(mr_fold_order_create(s, &o), 0);
	assert_int_equal(mr_fold_order_groups(o, cut[0]) + mr_fold_order_groups(o, cut[1]),
		mr_fold_state_groups(s));
	for (int i = 0; i < 2; i++) {
		uint32_t done = 0;
		int rc = 1;

		// In steps of random size.
		while (rc == 1)
			rc = mr_fold_merge_parts(all, s, o, cut[i], &done,
				mr_fold_state_bytes(all) + (size_t)mr_rand_below(r, 5000));
		assert_int_equal(rc, 0);
		assert_int_equal(done, mr_fold_order_groups(o, cut[i]));
	}
	mr_fold_order_destroy(o);
}

// In blocks of random size, each loaded in two cuts of the parts.
static void save_and_load(
	struct mr_rand *r, const struct mr_fold_state *s, struct mr_fold_state *all)
{
	struct mr_fold_saving saving = {0};
	struct mr_fold_order *o;
	uint32_t groups = 0;
	int more = 1;

	assert_int_equal(mr_fold_order_create(s, &o), 0);
	while (more) {
		struct mr_fold_parts cut[2], before = saving.parts;
		struct mr_buf b = {0};

		more = mr_fold_save(s, o, (size_t)mr_rand_below(r, 20000), &saving, &b);
		assert_true(more >= 0);
		assert_true(
			groups == 0 ? saving.parts.first == 0 : saving.parts.first >= before.last);
		groups += saving.groups;
		cut_at_random(r, cut);
		for (int i = 0; i < 2; i++)
			assert_int_equal(mr_fold_load(all, mr_buf_span(&b), cut[i]), 0);
		mr_buf_fini(&b);
	}
	assert_int_equal(groups, mr_fold_state_groups(s));
	mr_fold_order_destroy(o);
}

static void merge_at_random(const struct mr_fold *f, struct mr_rand *r,
	struct mr_fold_state **states, struct mr_fold_state *all)
{
	uint32_t order[STATES];

	for (uint32_t i = 0; i < STATES; i++) {
		uint32_t k = (uint32_t)mr_rand_below(r, i + 1);

		order[i] = order[k];
		order[k] = i;
	}
	for (uint32_t i = 0; i < STATES; i++) {
		const struct mr_fold_state *s = states[order[i]];

		switch (mr_rand_below(r, 3)) {
		case 0: assert_int_equal(mr_fold_merge(all, s), 0); break;
		case 1: merge_by_parts(r, s, all); break;
		default: save_and_load(r, s, all); break;
		}
	}
	(void)f;
}

static char *read_all(const struct mr_fold *f, const struct mr_fold_state *s)
{
	struct mr_arena arena;
	struct mr_query q = {.arena = &arena, .tz = mr_tz_utc()};
	struct mr_buf out = {0};
	struct mr_block b;
	struct mr_diag diag;
	uint64_t cursor = 0;
	const struct mr_result_column *columns;
	uint32_t n = mr_fold_columns(f, &columns);

	mr_arena_init(&arena, 0);
	while (mr_fold_read(s, &q, &cursor, &b, &diag) == 1)
		for (uint32_t i = 0; i < b.rows; i++) {
			for (uint32_t c = 0; c < n; c++) {
				const struct mr_col *col = &b.columns[c];
				size_t width = mr_phys_bytes((enum mr_phys)col->phys);

				if (c)
					mr_buf_u8(&out, '|');
				if (mr_col_is_null(col, i)) {
					mr_buf_str(&out, "NULL");
				} else if (col->phys == MR_PHYS_BYTES) {
					struct mr_str str = mr_col_str(col, i);

					mr_value_format(columns[c].type, &str, NULL, &out);
				} else {
					mr_value_format(columns[c].type,
						(const uint8_t *)col->values + i * width, NULL,
						&out);
				}
			}
			mr_buf_u8(&out, '\n');
		}
	mr_arena_fini(&arena);
	return sorted(&out);
}

static void check_query(struct mr_sqltest *t, struct mr_rand *r, const char *query)
{
	struct mr_fold_state *states[STATES], *all;
	struct mr_buf direct = {0};
	struct mr_diag diag = {0};
	struct mr_fold *f;
	char *want, *got;

	if (mr_fold_compile(mr_sqltest_env(t), mr_span_str(query), &f, &diag) < 0)
		fail_msg("%s: %s %s", query, diag.sqlstate, diag.message);
	for (int i = 0; i < STATES; i++)
		assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &states[i]), 0);
	assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &all), 0);
	fold_at_random(f, r, states);
	merge_at_random(f, r, states, all);
	assert_int_equal(mr_sqltest_run(t, query, &direct, &diag), 0);
	want = sorted(&direct);
	got = read_all(f, all);
	assert_string_equal(got, want);
	free(want);
	free(got);
	for (int i = 0; i < STATES; i++)
		mr_fold_state_destroy(states[i]);
	mr_fold_state_destroy(all);
	mr_fold_destroy(f);
}

static void fold_of_parts_equals_the_query(void **)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct mr_sqltest *t;
		struct mr_rand r;

		print_message("seed %llu\n", (unsigned long long)seed);
		mr_rand_init(&r, seed);
		assert_int_equal(mr_sqltest_create(64 << 20, &t), 0);
		fill(t, &r, 50 + (uint32_t)mr_rand_below(&r, 3000));
		for (size_t i = 0; i < MR_COUNT_OF(queries); i++)
			check_query(t, &r, queries[i]);
		mr_sqltest_destroy(t);
	}
}

static void fold_load_refuses_every_flipped_byte(void **)
{
	struct mr_sqltest *t;
	struct mr_fold_state *s, *fresh;
	struct mr_fold_saving saving = {0};
	struct mr_fold_order *o;
	struct mr_buf b = {0};
	struct mr_diag diag;
	struct mr_fold *f;
	struct mr_rand r;
	struct mr_fold_state *states[STATES];

	mr_rand_init(&r, 7);
	assert_int_equal(mr_sqltest_create(64 << 20, &t), 0);
	fill(t, &r, 40);
	assert_int_equal(mr_fold_compile(mr_sqltest_env(t), mr_span_str(queries[0]), &f, &diag), 0);
	assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &s), 0);
	for (int i = 0; i < STATES; i++)
		states[i] = s;
	fold_at_random(f, &r, states);
	assert_int_equal(mr_fold_order_create(s, &o), 0);
	assert_int_equal(mr_fold_save(s, o, SIZE_MAX, &saving, &b), 0);
	mr_fold_order_destroy(o);
	for (size_t i = 0; i < b.bytes; i++) {
		b.data[i] ^= 0x20;
		assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &fresh), 0);
		assert_true(mr_fold_load(fresh, mr_buf_span(&b), MR_FOLD_ALL) < 0);
		mr_fold_state_destroy(fresh);
		b.data[i] ^= 0x20;
	}
	for (size_t n = 0; n < b.bytes; n += 7) {
		assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &fresh), 0);
		assert_int_equal(
			mr_fold_load(fresh, mr_span(b.data, n), MR_FOLD_ALL), MR_ERR_CORRUPT);
		mr_fold_state_destroy(fresh);
	}
	mr_buf_fini(&b);
	mr_fold_state_destroy(s);
	mr_fold_destroy(f);
	mr_sqltest_destroy(t);
}

static void fold_leaves_out_and_counts_rows_that_fail(void **)
{
	struct mr_sqltest *t;
	struct mr_buf out = {0};
	struct mr_diag diag;
	struct mr_fold_state *s, *states[STATES];
	struct mr_fold *f;
	struct mr_rand r;
	char *got;

	mr_rand_init(&r, 9);
	assert_int_equal(mr_sqltest_create(64 << 20, &t), 0);
	assert_int_equal(
		mr_sqltest_run(t,
			"CREATE TABLE t (i int, at timestamptz); INSERT INTO t VALUES (1, NULL), "
			"(0, '2024-01-01Z'), (2, '2024-01-01Z'), (5, '2024-01-01Z')",
			&out, &diag),
		0);
	assert_int_equal(mr_fold_compile(mr_sqltest_env(t),
				 mr_span_str("SELECT sum(10 / i) AS s FROM TUMBLE(t, at, INTERVAL "
					     "'1 day') GROUP BY window_start"),
				 &f, &diag),
		0);
	assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &s), 0);
	for (int i = 0; i < STATES; i++)
		states[i] = s;
	fold_at_random(f, &r, states);
	assert_int_equal(mr_fold_state_rows_failed(s), 1);
	assert_int_equal(mr_fold_state_rows_untimed(s), 1);
	got = read_all(f, s);
	assert_string_equal(got, "7\n");
	free(got);
	mr_fold_state_destroy(s);
	mr_fold_destroy(f);
	mr_sqltest_destroy(t);
	mr_buf_fini(&out);
}

static void fold_stops_at_its_memory_and_says_where(void **)
{
	struct mr_sqltest *t;
	struct mr_buf out = {0};
	struct mr_diag diag;
	struct mr_fold_state *s;
	struct mr_fold *f;
	int64_t *values = aligned_alloc(64, 65536 * 8 + 64);
	struct mr_col col = {.type = {.type = MR_TYPE_INT8}, .phys = MR_PHYS_I64, .values = values};
	struct mr_block b = {65536, &col};
	uint32_t done;

	for (int i = 0; i < 65536; i++)
		values[i] = i;
	assert_int_equal(mr_sqltest_create(64 << 20, &t), 0);
	assert_int_equal(mr_sqltest_run(t, "CREATE TABLE t (b bigint)", &out, &diag), 0);
	assert_int_equal(
		mr_fold_compile(mr_sqltest_env(t),
			mr_span_str("SELECT b, count(*) AS c FROM t GROUP BY b"), &f, &diag),
		0);
	assert_int_equal(mr_fold_state_create(f, 1 << 20, &s), 0);
	assert_int_equal(mr_fold_rows(s, &b, 0, &done), MR_ERR_LIMIT);
	assert_true(done > 0 && done < 65536);
	assert_int_equal(mr_fold_state_groups(s), done);
	mr_fold_state_destroy(s);
	mr_fold_destroy(f);
	mr_sqltest_destroy(t);
	mr_buf_fini(&out);
	free(values);
}

// A value of each of the columns, by which a key may be looked for.
static bool values_of(const struct mr_block *b, const uint32_t *columns, uint32_t count,
	uint32_t row, struct mr_scan_range *out)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct mr_col *c = &b->columns[columns[i]];
		const void *v =
			(const uint8_t *)c->values + row * mr_phys_bytes((enum mr_phys)c->phys);

		if (mr_col_is_null(c, row))
			return false;
		out[i] = (struct mr_scan_range){columns[i], v, v};
	}
	return true;
}

// Whether the part of these keys has the group.
static bool part_has(const struct mr_fold *f, const struct mr_fold_state *s, uint8_t part,
	const struct mr_scan_range *keys, uint32_t count)
{
	struct mr_fold_state *only;
	struct mr_fold_order *o;
	struct mr_arena arena;
	struct mr_query q = {.arena = &arena, .tz = mr_tz_utc()};
	struct mr_diag diag;
	struct mr_block b;
	uint64_t cursor = 0;
	uint32_t done = 0;
	bool found = false;

	mr_arena_init(&arena, 0);
	assert_int_equal(mr_fold_order_create(s, &o), 0);
	assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &only), 0);
	assert_int_equal(mr_fold_merge_parts(
				 only, s, o, (struct mr_fold_parts){part, part}, &done, SIZE_MAX),
		0);
	while (mr_fold_read(only, &q, &cursor, &b, &diag) == 1)
		for (uint32_t row = 0; row < b.rows; row++) {
			bool same = true;

			for (uint32_t i = 0; i < count; i++) {
				const struct mr_col *c = &b.columns[keys[i].column];
				const void *v = (const uint8_t *)c->values +
						row * mr_phys_bytes((enum mr_phys)c->phys);

				same = same && !mr_col_is_null(c, row) &&
				       mr_value_cmp(c->type, v, keys[i].low) == 0;
			}
			found |= same;
		}
	mr_fold_state_destroy(only);
	mr_fold_order_destroy(o);
	mr_arena_fini(&arena);
	return found;
}

static void find_all(const struct mr_fold *f, const struct mr_fold_state *s,
	const uint32_t *columns, uint32_t count, uint32_t *found)
{
	struct mr_arena arena;
	struct mr_query q = {.arena = &arena, .tz = mr_tz_utc()};
	struct mr_scan_range keys[2];
	struct mr_diag diag;
	struct mr_block b;
	uint64_t cursor = 0;

	mr_arena_init(&arena, 0);
	while (mr_fold_read(s, &q, &cursor, &b, &diag) == 1)
		for (uint32_t row = 0; row < b.rows; row++) {
			int part;

			if (!values_of(&b, columns, count, row, keys))
				continue;
			part = mr_fold_part_of(f, keys, count);
			assert_in_range(part, 0, MR_FOLD_PARTS - 1);
			assert_true(part_has(f, s, (uint8_t)part, keys, count));
			// One of two keys is not enough, nor is a range of values.
			assert_true(count == 1 || mr_fold_part_of(f, keys, 1) == -1);
			keys[0].low = NULL;
			assert_int_equal(mr_fold_part_of(f, keys, count), -1);
			++*found;
		}
	mr_arena_fini(&arena);
}

// Whoever asks for one key finds its group in the part that its values say.
static void fold_of_a_key_is_in_its_part(void **)
{
	static const struct {
		uint32_t query;
		uint32_t columns[2]; // of the keys
		uint32_t count;
	} cases[] = {{0, {0}, 1}, {1, {0, 1}, 2}, {2, {0, 1}, 2}, {6, {0, 1}, 2}};
	uint64_t seed = mr_rand_seed_os();
	struct mr_sqltest *t;
	struct mr_rand r;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	assert_int_equal(mr_sqltest_create(64 << 20, &t), 0);
	fill(t, &r, 500);
	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		struct mr_fold_state *s, *states[STATES];
		struct mr_fold *f;
		struct mr_diag diag;
		uint32_t found = 0;

		assert_int_equal(mr_fold_compile(mr_sqltest_env(t),
					 mr_span_str(queries[cases[i].query]), &f, &diag),
			0);
		assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &s), 0);
		for (int k = 0; k < STATES; k++)
			states[k] = s;
		fold_at_random(f, &r, states);
		find_all(f, s, cases[i].columns, cases[i].count, &found);
		assert_true(found > 5);
		mr_fold_state_destroy(s);
		mr_fold_destroy(f);
	}
	mr_sqltest_destroy(t);
}

// A thousand views of a table have a state each: what it takes follows from its groups, down to a
// few of them, and what folding takes is given back between two foldings.
static void fold_takes_what_its_groups_need(void **)
{
	const uint32_t groups[] = {1, 10, 17, 31, 32, 33, 511, 512, 513, 1024, 3000};
	struct mr_sqltest *t;
	struct mr_buf out = {0};
	struct mr_diag diag;
	struct mr_fold *f;
	int64_t *values = aligned_alloc(64, 65536 * 8 + 64);
	struct mr_col col = {.type = {.type = MR_TYPE_INT8}, .phys = MR_PHYS_I64, .values = values};
	struct mr_block b = {30000, &col};

	assert_int_equal(mr_sqltest_create(64 << 20, &t), 0);
	assert_int_equal(mr_sqltest_run(t, "CREATE TABLE t (b bigint)", &out, &diag), 0);
	assert_int_equal(mr_fold_compile(mr_sqltest_env(t),
				 mr_span_str("SELECT count(*) AS c FROM t GROUP BY b"), &f, &diag),
		0);
	for (size_t i = 0; i < MR_COUNT_OF(groups); i++) {
		struct mr_fold_state *s;
		size_t lines = 0, wrong = 0;
		uint32_t done;
		char *got;

		for (uint32_t k = 0; k < b.rows; k++)
			values[k] = k % groups[i];
		assert_int_equal(mr_fold_state_create(f, SIZE_MAX, &s), 0);
		for (int turn = 0; turn < 2; turn++) {
			assert_int_equal(mr_fold_rows(s, &b, 0, &done), 0);
			mr_fold_state_trim(s);
		}
		assert_int_equal(mr_fold_state_groups(s), groups[i]);
		assert_true(mr_fold_state_bytes(s) < 8000 + 4 * groups[i] * mr_fold_group_bytes(s));
		got = read_all(f, s);
		for (char *l = strtok(got, "\n"); l; l = strtok(NULL, "\n"), lines++)
			wrong += labs(strtol(l, NULL, 10) - 2 * (long)b.rows / groups[i]) > 2;
		assert_int_equal(lines, groups[i]);
		assert_int_equal(wrong, 0);
		free(got);
		mr_fold_state_destroy(s);
	}
	mr_fold_destroy(f);
	mr_sqltest_destroy(t);
	mr_buf_fini(&out);
	free(values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fold_of_parts_equals_the_query),
		cmocka_unit_test(fold_load_refuses_every_flipped_byte),
		cmocka_unit_test(fold_leaves_out_and_counts_rows_that_fail),
		cmocka_unit_test(fold_stops_at_its_memory_and_says_where),
		cmocka_unit_test(fold_takes_what_its_groups_need),
		cmocka_unit_test(fold_of_a_key_is_in_its_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
