// Whole queries through host/sql/sql.h over a relation in memory: ns per row of the table, spread,
// and a hash of the rows given, which must be the same for every ISA.
//
// Method: 2,000,000 seeded rows in blocks of 65,536 (order_id bigint, qty int, amount
// numeric(12,2), price double precision, category text of 20 dictionary entries, note bigint with
// one NULL in ten); the queries are prepared once; queries and ISAs take turns, 7 rounds; the
// median is printed, and as spread half the distance between the quarter and three-quarter rounds.
// `--smoke` runs 3,000 rows once. `--best` leaves out all ISAs but the first and the last.
#include "host/base/clock.h"
#include "host/base/hash.h"
#include "host/base/rand.h"
#include "host/base/value.h"
#include "host/sql/sql.h"
#include "hw/cpu.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 2000000, BLOCK = 65536, ROUNDS = 7, COLUMNS = 6, CATEGORIES = 20 };

static const struct {
	const char *name;
	const char *text;
} queries[] = {
	{"count", "SELECT count(*), count(note) FROM t"},
	{"sum int", "SELECT sum(qty), min(qty), max(qty), avg(qty) FROM t"},
	{"sum numeric", "SELECT sum(amount), max(amount) FROM t"},
	{"sum float", "SELECT sum(price), min(price) FROM t"},
	{"sum nulls", "SELECT sum(note) FROM t"},
	{"where int", "SELECT count(*) FROM t WHERE qty < 50"},
	{"where between", "SELECT sum(amount) FROM t WHERE qty BETWEEN 20 AND 60 AND price > 30"},
	{"where text", "SELECT sum(qty) FROM t WHERE category = 'c7'"},
	{"where text in", "SELECT count(*) FROM t WHERE category IN ('c7', 'c8') AND qty > 10"},
	{"where like", "SELECT count(*) FROM t WHERE category LIKE '%1%'"},
	{"group text", "SELECT category, count(*), sum(amount) FROM t GROUP BY category"},
	{"group text float", "SELECT category, avg(price), max(price) FROM t GROUP BY category"},
	{"group int", "SELECT qty, count(*), sum(amount) FROM t GROUP BY qty"},
	{"group many", "SELECT note, count(*) FROM t GROUP BY note"},
};

static const struct mr_relation_column columns[COLUMNS] = {
	{.name = {(const uint8_t *)"order_id", 8}, .type = {.type = MR_TYPE_INT8}},
	{.name = {(const uint8_t *)"qty", 3}, .type = {.type = MR_TYPE_INT4}},
	{.name = {(const uint8_t *)"amount", 6},
		.type = {.type = MR_TYPE_NUMERIC, .precision = 12, .scale = 2}},
	{.name = {(const uint8_t *)"price", 5}, .type = {.type = MR_TYPE_FLOAT8}},
	{.name = {(const uint8_t *)"category", 8}, .type = {.type = MR_TYPE_TEXT}},
	{.name = {(const uint8_t *)"note", 4}, .type = {.type = MR_TYPE_INT8}},
};

static struct data {
	uint32_t rows;
	struct mr_col columns[COLUMNS];
	struct mr_dict dict;
	struct mr_str entries[CATEGORIES];
	char names[CATEGORIES][8];
} d;

struct mr_scan {
	uint32_t at;
	uint32_t count;
	uint32_t wanted[COLUMNS];
	struct mr_col out[COLUMNS];
};

static void *room(size_t bytes)
{
	void *p = aligned_alloc(64, mr_round_up(bytes + 128, 64));

	MR_ASSERT(p);
	memset(p, 0, mr_round_up(bytes + 128, 64));
	return p;
}

static void fill(uint32_t rows)
{
	int64_t *id = room(rows * 8ul), *amount = room(rows * 8ul), *note = room(rows * 8ul);
	int32_t *qty = room(rows * 4ul);
	uint32_t *codes = room(rows * 4ul);
	double *price = room(rows * 8ul);
	uint64_t *valid = room(rows / 8 + 8);
	const void *values[COLUMNS] = {id, qty, amount, price, NULL, note};
	struct mr_rand r;

	mr_rand_init(&r, 1);
	for (uint32_t i = 0; i < rows; i++) {
		id[i] = i;
		qty[i] = (int32_t)mr_rand_below(&r, 100);
		amount[i] = (int64_t)mr_rand_below(&r, 1000000);
		price[i] = mr_rand_unit(&r) * 100;
		codes[i] = (uint32_t)mr_rand_below(&r, CATEGORIES);
		note[i] = (int64_t)mr_rand_below(&r, 100000);
		if (mr_rand_below(&r, 10))
			mr_bit_set(valid, i);
		else
			note[i] = 0;
	}
	for (uint32_t i = 0; i < CATEGORIES; i++) {
		snprintf(d.names[i], sizeof(d.names[i]), "c%u", i);
		d.entries[i].data = (const uint8_t *)d.names[i];
		d.entries[i].bytes = (uint32_t)strlen(d.names[i]);
	}
	d.dict = (struct mr_dict){d.entries, CATEGORIES};
	d.rows = rows;
	for (uint32_t c = 0; c < COLUMNS; c++)
		d.columns[c] = (struct mr_col){.type = columns[c].type,
			.phys = (uint8_t)mr_type_phys(columns[c].type),
			.values = values[c],
			.codes = values[c] ? NULL : codes,
			.dict = values[c] ? NULL : &d.dict,
			.valid = c == COLUMNS - 1 ? valid : NULL};
}

// --- the relation and its environment ------------------------------------------------------------

static int scan_begin(const struct mr_relation *, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *)
{
	struct mr_scan *s = calloc(1, sizeof(*s));

	MR_ASSERT(s);
	s->count = spec->columns_count;
	for (uint32_t i = 0; i < s->count; i++)
		s->wanted[i] = spec->columns[i];
	*out = s;
	return 0;
}

static int scan_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *)
{
	uint32_t n = MR_MIN(d.rows - s->at, (uint32_t)BLOCK);

	for (uint32_t i = 0; i < s->count; i++) {
		struct mr_col *c = &s->out[i];

		*c = d.columns[s->wanted[i]];
		if (c->codes)
			c->codes += s->at;
		else
			c->values = (const uint8_t *)c->values +
				    s->at * mr_phys_bytes((enum mr_phys)c->phys);
		if (c->valid)
			c->valid += s->at / 64;
	}
	s->at += n;
	*out = (struct mr_block){n, s->out};
	return n > 0;
}

static void scan_stats(const struct mr_scan *, struct mr_scan_stats *out)
{
	*out = (struct mr_scan_stats){0};
}

static void scan_end(struct mr_scan *s)
{
	free(s);
}

// Unknown, so that count(*) counts.
static int64_t rows_known(const struct mr_relation *)
{
	return -1;
}

static const struct mr_relation_ops relation_ops = {
	scan_begin, scan_next, scan_stats, scan_end, rows_known};
static const struct mr_relation relation = {.id = 1,
	.kind = MR_RELATION_TABLE,
	.schema = {(const uint8_t *)"public", 6},
	.name = {(const uint8_t *)"t", 1},
	.columns_count = COLUMNS,
	.columns = columns,
	.ops = &relation_ops};

static const struct mr_relation *relation_get(struct mr_env *, struct mr_span, struct mr_span name)
{
	return mr_span_eq(name, relation.name) ? &relation : NULL;
}

static void relation_put(struct mr_env *, const struct mr_relation *)
{
}

static void relation_hint(struct mr_env *, struct mr_span, struct mr_diag *)
{
}

static const struct mr_env_ops env_ops = {
	.relation_get = relation_get, .relation_put = relation_put, .relation_hint = relation_hint};

// --- measuring -----------------------------------------------------------------------------------

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int rc, const struct mr_diag *diag)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "sql_bench: %s\n", diag->message);
	exit(1);
}

static uint64_t hash_rows(const struct mr_block *b, uint32_t width, uint64_t hash)
{
	for (uint32_t r = 0; r < b->rows; r++)
		for (uint32_t c = 0; c < width; c++) {
			const struct mr_col *col = &b->columns[c];
			struct mr_str s;

			if (mr_col_is_null(col, r)) {
				hash = mr_hash64(hash, 1);
			} else if (col->phys == MR_PHYS_BYTES) {
				s = mr_col_str(col, r);
				hash = mr_hash64(hash ^ mr_hash_bytes(s.data, s.bytes), 2);
			} else {
				size_t bytes = mr_phys_bytes((enum mr_phys)col->phys);
				const uint8_t *at = (const uint8_t *)col->values + r * bytes;

				hash = mr_hash64(hash ^ mr_hash_bytes(at, bytes), 3);
			}
		}
	return hash;
}

static double run(struct mr_session *s, struct mr_statement *st, uint64_t *hash)
{
	const struct mr_result_column *out;
	uint32_t width = mr_statement_columns(st, &out);
	double begin = now_ns();
	struct mr_diag diag = {0};
	struct mr_cursor *c;
	struct mr_block b;
	int rc;

	*hash = 0;
	must(mr_cursor_open(s, st, NULL, 0, &c, &diag), &diag);
	while ((rc = mr_cursor_next(c, 0, &b, &diag)) == 1)
		*hash = hash_rows(&b, width, *hash);
	must(rc, &diag);
	mr_cursor_close(c);
	return now_ns() - begin;
}

static int double_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int measure(struct mr_session *s, const struct mr_kernels **tables, int n, int rounds)
{
	static double ns[MR_COUNT_OF(queries)][MR_KERN_ISAS_MAX][ROUNDS];
	static uint64_t hashes[MR_COUNT_OF(queries)][MR_KERN_ISAS_MAX];
	struct mr_statement *st[MR_COUNT_OF(queries)];
	int bad = 0;

	for (size_t q = 0; q < MR_COUNT_OF(queries); q++) {
		struct mr_span whole = mr_span_str(queries[q].text), rest = whole;
		struct mr_diag diag = {0};

		must(mr_statement_prepare(s, whole, &rest, NULL, 0, &st[q], &diag), &diag);
	}
	for (int r = 0; r < rounds; r++)
		for (size_t q = 0; q < MR_COUNT_OF(queries); q++)
			for (int t = 0; t < n; t++) {
				mr_kern = tables[t];
				ns[q][t][r] = run(s, st[q], &hashes[q][t]);
			}
	for (size_t q = 0; q < MR_COUNT_OF(queries); q++) {
		mr_statement_destroy(st[q]);
		for (int t = 0; t < n; t++) {
			double *v = ns[q][t], median;

			qsort(v, (size_t)rounds, sizeof(*v), double_order);
			median = v[rounds / 2];
			printf("%-18s %-7s %8.3f ns/row  +-%5.1f %%  %016llx\n", queries[q].name,
				tables[t]->isa, median / d.rows,
				(v[rounds * 3 / 4] - v[rounds / 4]) / median * 50,
				(unsigned long long)hashes[q][t]);
			bad |= hashes[q][t] != hashes[q][0];
		}
	}
	return bad;
}

int main(int argc, char **argv)
{
	bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
	bool best = argc > 1 && strcmp(argv[1], "--best") == 0;
	const struct mr_kernels *tables[MR_KERN_ISAS_MAX];
	static struct mr_clock_sim clock;
	struct mr_env env = {&env_ops};
	_Atomic bool cancelled = false;
	struct mr_session_opts opts = {.env = &env,
		.clock = &clock.clock,
		.cancelled = &cancelled,
		.query_bytes_max = 1ul << 30,
		.user = mr_span_str("millrace"),
		.database = mr_span_str("millrace"),
		.backend_pid = 42};
	struct mr_session *s;
	struct mr_cpu cpu;
	int n, bad;

	mr_cpu_detect(&cpu);
	n = mr_kernels_list(&cpu, tables);
	if (best && n > 2) {
		tables[1] = tables[n - 1];
		n = 2;
	}
	mr_clock_sim_init(&clock, 1700000000000000);
	fill(smoke ? 3000 : ROWS);
	MR_ASSERT(mr_session_create(&opts, &s) == 0);
	bad = measure(s, tables, n, smoke ? 1 : ROUNDS);
	mr_session_destroy(s);
	if (bad)
		printf("results differ between ISAs\n");
	return bad;
}
