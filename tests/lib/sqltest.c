// Relations in memory, and running SQL text over them.
#include "tests/lib/sqltest.h"

#include "host/base/clock.h"
#include "host/base/value.h"
#include "host/sql/fold.h"
#include "hw/cpu.h"
#include "kernels/kernels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct segment {
	struct segment *next;
	uint32_t rows;
	struct mr_col *columns;
};

struct table {
	struct mr_relation relation;
	struct table *next;
	struct mr_arena arena;
	struct segment *first, *last;
	uint64_t rows;
	uint32_t segments;
	bool dropped;
	// Views.
	struct mr_fold *fold;
	struct mr_fold_state *states[2];
	uint32_t turn;
};

struct mr_sqltest {
	struct mr_env env;
	struct table *tables; // newest first; dropped ones stay until the end
	struct mr_session *session;
	_Atomic bool cancelled;
	uint64_t ids;
};

struct mr_scan {
	const struct table *table;
	const struct segment *at;
	struct mr_col *columns;
	uint32_t columns_count;
	uint32_t *wanted;
	struct mr_query *query;
	struct mr_fold_state *state;
	uint64_t cursor;
	struct mr_scan_stats stats;
};

static struct mr_sqltest *test_of(struct mr_env *e)
{
	return MR_CONTAINER(e, struct mr_sqltest, env);
}

// ---- Scans ----

static int scan_begin(const struct mr_relation *r, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *diag)
{
	const struct table *t = r->owner;
	struct mr_scan *s = calloc(1, sizeof(*s));
	int rc = 0;

	*out = s;
	s->table = t;
	s->at = t->first;
	s->columns_count = spec->columns_count;
	s->columns = calloc(spec->columns_count + 1, sizeof(*s->columns));
	s->wanted = calloc(spec->columns_count + 1, sizeof(*s->wanted));
	memcpy(s->wanted, spec->columns, spec->columns_count * sizeof(*s->wanted));
	s->query = spec->query;
	if (t->fold) {
		rc = mr_fold_state_create(t->fold, SIZE_MAX, &s->state);
		for (int i = 0; i < 2 && rc >= 0; i++)
			rc = mr_fold_merge(s->state, t->states[i]);
		if (rc < 0)
			mr_diag_set(diag, rc, "XX000", 0, "cannot merge");
	}
	return rc;
}

static int view_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag)
{
	struct mr_block all;
	int rc = mr_fold_read(s->state, s->query, &s->cursor, &all, diag);

	if (rc <= 0)
		return rc;
	for (uint32_t i = 0; i < s->columns_count; i++)
		s->columns[i] = all.columns[s->wanted[i]];
	*out = (struct mr_block){all.rows, s->columns};
	return 1;
}

static int scan_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag)
{
	if (s->state)
		return view_next(s, out, diag);
	if (!s->at)
		return 0;
	for (uint32_t i = 0; i < s->columns_count; i++)
		s->columns[i] = s->at->columns[s->wanted[i]];
	*out = (struct mr_block){s->at->rows, s->columns};
	s->stats.rows += s->at->rows;
	s->stats.blocks++;
	s->at = s->at->next;
	return 1;
}

static void scan_stats(const struct mr_scan *s, struct mr_scan_stats *out)
{
	*out = s->stats;
}

static void scan_end(struct mr_scan *s)
{
	mr_fold_state_destroy(s->state);
	free(s->columns);
	free(s->wanted);
	free(s);
}

static int64_t rows_known(const struct mr_relation *r)
{
	const struct table *t = r->owner;

	return t->fold ? -1 : (int64_t)t->rows;
}

static const struct mr_relation_ops relation_ops = {
	scan_begin, scan_next, scan_stats, scan_end, rows_known};

// ---- The catalog ----

static struct table *find(struct mr_sqltest *t, struct mr_span name)
{
	for (struct table *r = t->tables; r; r = r->next)
		if (!r->dropped && mr_span_eq(r->relation.name, name))
			return r;
	return NULL;
}

static const struct mr_relation *relation_get(
	struct mr_env *e, struct mr_span schema, struct mr_span name)
{
	struct table *t = find(test_of(e), name);

	if (schema.bytes && !mr_span_eq(schema, mr_span_str("public")))
		return NULL;
	return t ? &t->relation : NULL;
}

static void relation_put(struct mr_env *, const struct mr_relation *)
{
}

static void relation_hint(struct mr_env *, struct mr_span name, struct mr_diag *diag)
{
	mr_diag_hint(
		diag, "CREATE TABLE %.*s (…) makes it.", (int)name.bytes, (const char *)name.data);
}

static int relations(struct mr_env *e, struct mr_arena *arena, const struct mr_relation ***out)
{
	struct mr_sqltest *t = test_of(e);
	int n = 0;

	for (struct table *r = t->tables; r; r = r->next)
		n += !r->dropped;
	*out = mr_arena_zalloc(arena, (size_t)n + 1, sizeof(**out));
	n = 0;
	for (struct table *r = *out ? t->tables : NULL; r; r = r->next)
		if (!r->dropped)
			(*out)[n++] = &r->relation;
	return *out ? n : -ENOMEM;
}

static struct table *add_table(struct mr_sqltest *t, struct mr_span name,
	const struct mr_relation_column *columns, uint32_t count, enum mr_relation_kind kind)
{
	struct table *n = calloc(1, sizeof(*n));
	struct mr_relation_column *copy;

	mr_arena_init(&n->arena, 0);
	copy = mr_arena_zalloc(&n->arena, count + 1, sizeof(*copy));
	for (uint32_t i = 0; i < count; i++) {
		copy[i] = columns[i];
		copy[i].name = mr_arena_copy(&n->arena, columns[i].name);
	}
	n->relation = (struct mr_relation){.id = ++t->ids,
		.kind = kind,
		.schema = mr_span_str("public"),
		.name = mr_arena_copy(&n->arena, name),
		.columns_count = count,
		.columns = copy,
		.ops = &relation_ops,
		.owner = n};
	n->next = t->tables;
	t->tables = n;
	return n;
}

static int exists(struct mr_span name, bool if_not_exists, int pos, struct mr_diag *diag)
{
	return if_not_exists ? 1
			     : mr_diag_set(diag, -EEXIST, "42P07", pos,
				       "relation \"%.*s\" already exists", (int)name.bytes,
				       (const char *)name.data);
}

static int create_table(struct mr_env *e, const struct mr_create_table *c, struct mr_diag *diag)
{
	if (find(test_of(e), c->name))
		return exists(c->name, c->if_not_exists, c->name_position, diag);
	add_table(test_of(e), c->name, c->columns, c->columns_count, MR_RELATION_TABLE);
	return 0;
}

static void fold_segment(struct table *v, const struct segment *s)
{
	struct mr_block b = {s->rows, NULL};
	const uint32_t *wanted;
	uint32_t n = mr_fold_source_columns(v->fold, &wanted), done;
	struct mr_col *columns = calloc(n + 1, sizeof(*columns));

	for (uint32_t i = 0; i < n; i++)
		columns[i] = s->columns[wanted[i]];
	b.columns = columns;
	MR_ASSERT(mr_fold_rows(v->states[v->turn++ % 2], &b, 0, &done) == 0 && done == s->rows);
	free(columns);
}

static int create_view(struct mr_env *e, struct mr_create_view *c, struct mr_diag *diag)
{
	const struct mr_result_column *columns;
	uint32_t n = mr_fold_columns(c->fold, &columns);
	struct mr_relation_column *copy;
	struct table *v;

	if (find(test_of(e), c->name))
		return exists(c->name, c->if_not_exists, c->name_position, diag);
	copy = calloc(n + 1, sizeof(*copy));
	for (uint32_t i = 0; i < n; i++)
		copy[i] = (struct mr_relation_column){
			.name = columns[i].name, .type = columns[i].type};
	v = add_table(test_of(e), c->name, copy, n, MR_RELATION_VIEW);
	free(copy);
	v->fold = c->fold;
	for (int i = 0; i < 2; i++)
		MR_ASSERT(mr_fold_state_create(v->fold, SIZE_MAX, &v->states[i]) == 0);
	for (const struct segment *s =
			((const struct table *)mr_fold_source(v->fold)->owner)->first;
		s; s = s->next)
		fold_segment(v, s);
	return 0;
}

static int drop(struct mr_env *e, const struct mr_drop *d, struct mr_diag *diag)
{
	struct table *t = find(test_of(e), d->name);

	if (!t && d->if_exists)
		return 1;
	if (!t)
		return mr_diag_set(diag, -ENOENT, "42P01", d->name_position,
			"%s \"%.*s\" does not exist",
			d->kind == MR_DROP_TABLE ? "table" : "materialized view",
			(int)d->name.bytes, (const char *)d->name.data);
	t->dropped = true;
	return 0;
}

static int truncate_table(
	struct mr_env *, const struct mr_relation *r, _Atomic bool *, struct mr_diag *)
{
	struct table *t = r->owner;

	t->first = t->last = NULL;
	t->rows = 0;
	return 0;
}

// ---- Inserts ----

static void copy_column(struct table *t, const struct mr_col *from, uint32_t rows,
	struct mr_typeref type, struct mr_col *to)
{
	size_t width = mr_phys_bytes(mr_type_phys(type));
	uint8_t *values = mr_arena_column(&t->arena, rows * width);
	uint64_t *valid = mr_arena_column(&t->arena, (rows + 63) / 64 * 8);

	memset(valid, 0, (rows + 63) / 64 * 8);
	memset(values, 0, rows * width);
	for (uint32_t i = 0; i < rows; i++) {
		if (!from || mr_col_is_null(from, i))
			continue;
		mr_bit_set(valid, i);
		if (mr_type_phys(type) == MR_PHYS_BYTES) {
			struct mr_str s = mr_col_str(from, i);

			s.data = mr_arena_copy(&t->arena, mr_span(s.data, s.bytes)).data;
			((struct mr_str *)values)[i] = s;
		} else {
			memcpy(values + i * width, (const uint8_t *)from->values + i * width,
				width);
		}
	}
	*to = (struct mr_col){.type = type,
		.phys = (uint8_t)mr_type_phys(type),
		.values = values,
		.valid = valid};
}

static void to_dictionary(struct table *t, struct mr_col *c, uint32_t rows)
{
	struct mr_dict *d = mr_arena_zalloc(&t->arena, 1, sizeof(*d));
	struct mr_str *entries = mr_arena_column(&t->arena, (rows + 1) * sizeof(*entries));
	uint32_t *codes = mr_arena_column(&t->arena, rows * sizeof(*codes));

	for (uint32_t i = 0; i < rows; i++) {
		struct mr_str s = mr_col_is_null(c, i) ? (struct mr_str){0} : mr_col_str(c, i);
		uint32_t k = 0;

		while (k < d->count && !mr_span_eq(mr_span(entries[k].data, entries[k].bytes),
					       mr_span(s.data, s.bytes)))
			k++;
		if (k == d->count)
			entries[d->count++] = s;
		codes[i] = k;
	}
	d->entries = entries;
	c->codes = codes;
	c->dict = d;
	c->values = NULL;
}

static int insert(struct mr_env *e, const struct mr_relation *r, const uint32_t *columns,
	uint32_t columns_count, const struct mr_block *rows, struct mr_diag *)
{
	struct table *t = r->owner;
	struct segment *s = mr_arena_zalloc(&t->arena, 1, sizeof(*s));

	s->rows = rows->rows;
	s->columns = mr_arena_zalloc(&t->arena, r->columns_count + 1, sizeof(*s->columns));
	for (uint32_t i = 0; i < r->columns_count; i++) {
		const struct mr_col *from = NULL;

		for (uint32_t k = 0; k < columns_count; k++)
			if (columns[k] == i)
				from = &rows->columns[k];
		copy_column(t, from, s->rows, r->columns[i].type, &s->columns[i]);
		if (mr_type_phys(r->columns[i].type) == MR_PHYS_BYTES && t->segments % 2 == 0)
			to_dictionary(t, &s->columns[i], s->rows);
	}
	t->segments++;
	t->rows += s->rows;
	if (t->last)
		t->last->next = s;
	else
		t->first = s;
	t->last = s;
	for (struct table *v = test_of(e)->tables; v; v = v->next)
		if (v->fold && !v->dropped && mr_fold_source(v->fold) == r)
			fold_segment(v, s);
	return 0;
}

static int checkpoint(struct mr_env *, _Atomic bool *, struct mr_diag *)
{
	return 0;
}

static int vacuum(struct mr_env *, const struct mr_relation *, _Atomic bool *, struct mr_diag *)
{
	return 0;
}

static bool setting(struct mr_env *, struct mr_arena *, struct mr_span name, struct mr_span *out)
{
	*out = mr_span_str("scalar");
	return mr_span_eq(name, mr_span_str("kernels"));
}

static const struct mr_env_ops env_ops = {.relation_get = relation_get,
	.relation_put = relation_put,
	.relations = relations,
	.relation_hint = relation_hint,
	.create_table = create_table,
	.create_view = create_view,
	.drop = drop,
	.truncate = truncate_table,
	.insert = insert,
	.checkpoint = checkpoint,
	.vacuum = vacuum,
	.setting = setting};

int mr_sqltest_create(size_t query_bytes_max, struct mr_sqltest **out)
{
	static struct mr_clock_sim clock;
	struct mr_diag diag = {0};
	struct mr_cpu cpu;
	struct mr_sqltest *t = calloc(1, sizeof(*t));
	struct mr_session_opts opts = {.env = &t->env,
		.clock = &clock.clock,
		.cancelled = &t->cancelled,
		.query_bytes_max = query_bytes_max,
		.user = mr_span_str("millrace"),
		.database = mr_span_str("millrace"),
		.backend_pid = 42};

	mr_cpu_detect(&cpu);
	MR_ASSERT(mr_kernels_select(&cpu, &diag) == 0);
	mr_clock_sim_init(&clock, 1700000000000000);
	t->env.ops = &env_ops;
	*out = t;
	return mr_session_create(&opts, &t->session);
}

void mr_sqltest_destroy(struct mr_sqltest *t)
{
	mr_session_destroy(t->session);
	while (t->tables) {
		struct table *r = t->tables;

		t->tables = r->next;
		mr_fold_state_destroy(r->states[0]);
		mr_fold_state_destroy(r->states[1]);
		mr_fold_destroy(r->fold);
		mr_arena_fini(&r->arena);
		free(r);
	}
	free(t);
}

struct mr_session *mr_sqltest_session(struct mr_sqltest *t)
{
	return t->session;
}

struct mr_env *mr_sqltest_env(struct mr_sqltest *t)
{
	return &t->env;
}

// ---- Running ----

static void print_block(struct mr_sqltest *t, const struct mr_statement *st,
	const struct mr_block *b, struct mr_buf *out)
{
	const struct mr_result_column *columns;
	uint32_t n = mr_statement_columns(st, &columns);

	for (uint32_t i = 0; i < b->rows; i++) {
		for (uint32_t c = 0; c < n; c++) {
			const struct mr_col *col = &b->columns[c];
			struct mr_str s;

			if (c)
				mr_buf_u8(out, '|');
			if (mr_col_is_null(col, i)) {
				mr_buf_str(out, "NULL");
				continue;
			}
			MR_ASSERT(col->phys == mr_type_phys(columns[c].type));
			if (col->phys == MR_PHYS_BYTES)
				s = mr_col_str(col, i);
			mr_value_format(columns[c].type,
				col->phys == MR_PHYS_BYTES
					? (const void *)&s
					: (const uint8_t *)col->values +
						  i * mr_phys_bytes((enum mr_phys)col->phys),
				mr_session_tz(t->session), out);
		}
		mr_buf_u8(out, '\n');
	}
}

static int run_one(
	struct mr_sqltest *t, struct mr_statement *st, struct mr_buf *out, struct mr_diag *diag)
{
	struct mr_cursor *c;
	struct mr_block b;
	int rc = mr_cursor_open(t->session, st, NULL, 0, &c, diag);

	while (rc >= 0 && (rc = mr_cursor_next(c, 0, &b, diag)) == 1)
		print_block(t, st, &b, out);
	mr_cursor_close(c);
	return rc;
}

int mr_sqltest_run(struct mr_sqltest *t, const char *text, struct mr_buf *out, struct mr_diag *diag)
{
	struct mr_span whole = mr_span_str(text), rest = whole;

	memset(diag, 0, sizeof(*diag));
	for (;;) {
		struct mr_statement *st;
		int rc = mr_statement_prepare(t->session, whole, &rest, NULL, 0, &st, diag);

		if (rc < 0 || !st)
			return rc < 0 ? rc : 0;
		rc = run_one(t, st, out, diag);
		mr_statement_destroy(st);
		if (rc < 0)
			return rc;
	}
}
