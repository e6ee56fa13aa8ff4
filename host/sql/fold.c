// Compiling views, and folding rows into their states.
#include "host/sql/fold_int.h"

#include "host/base/buf.h"
#include "host/base/hash.h"
#include "host/sql/bind.h"
#include "host/sql/deparse.h"
#include "host/sql/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FOLD_BYTES_MAX = 16 << 20, VERSION = 1 };

// What one value adds to a sketch at most, once its first table is there: an entry of 24 bytes in a
// table that has just doubled, three quarters full at most.
enum { SKETCH_VALUE_BYTES = 192 };

// Text of the rows that are folded between two looks at the memory; one row's always goes.
enum { SLICE_TEXT_BYTES = 256 << 10 };

// ---- Compiling ----

static int refuse(struct mr_diag *diag, const char *what, const char *hint)
{
	int rc = mr_diag_set(diag, MR_ERR_UNSUPPORTED, "0A000", 0,
		"%s is not supported in a materialized view", what);

	mr_diag_hint(diag, "%s", hint);
	return rc;
}

static const char kept_up[] =
	"A view is kept up from SELECT … FROM table, TUMBLE(…) or HOP(…) [WHERE …] GROUP BY … "
	"[HAVING …] with mergeable aggregates.";

// What may give another answer later has no place in a view.
static int check_expr(const struct mr_expr *e, struct mr_diag *diag)
{
	if (e->kind == MR_EXPR_SUBQUERY || e->kind == MR_EXPR_IN_SET)
		return refuse(diag, "a subquery", kept_up);
	if (e->kind == MR_EXPR_CALL && (e->fn->flags & MR_FN_VOLATILE ||
					       (e->fn->flags & MR_FN_STABLE && e->args_count == 0)))
		return refuse(diag, e->fn->name, "Its answer changes with time or session.");
	for (uint32_t i = 0; i < e->args_count; i++) {
		int rc = check_expr(e->args[i], diag);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_calls(const struct mr_plan *agg, struct mr_diag *diag)
{
	for (uint32_t i = 0; i < agg->calls_count; i++) {
		const struct mr_agg_call *c = &agg->calls[i];
		int rc = 0;

		if (c->distinct && c->args_count)
			return refuse(diag, "a DISTINCT aggregate",
				"approx_count_distinct(x) counts distinct values in bounded "
				"memory.");
		if (c->fn->flags & MR_AGG_UNBOUNDED)
			return refuse(diag, c->fn->name,
				"approx_percentile(x, p) works in bounded memory.");
		for (uint32_t a = 0; a < c->args_count && rc >= 0; a++)
			rc = check_expr(c->args[a], diag);
		if (rc >= 0 && c->filter)
			rc = check_expr(c->filter, diag);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_all(const struct mr_fold *f, struct mr_diag *diag)
{
	int rc = check_calls(f->agg, diag);

	for (uint32_t i = 0; i < f->agg->exprs_count && rc >= 0; i++)
		rc = check_expr(f->agg->exprs[i], diag);
	for (uint32_t i = 0; i < f->project->exprs_count && rc >= 0; i++)
		rc = check_expr(f->project->exprs[i], diag);
	if (rc >= 0 && f->where)
		rc = check_expr(f->where, diag);
	if (rc >= 0 && f->having)
		rc = check_expr(f->having, diag);
	for (uint32_t i = 0; i < f->columns_count && rc >= 0; i++)
		for (uint32_t k = 0; k < i; k++)
			if (mr_span_eq(f->columns[i].name, f->columns[k].name))
				return mr_diag_set(diag, -EINVAL, "42701", 0,
					"column \"%.*s\" specified more than once",
					(int)f->columns[i].name.bytes,
					(const char *)f->columns[i].name.data);
	return rc;
}

// Takes the plan apart, from the top.
static int take_apart(struct mr_fold *f, const struct mr_plan *p, struct mr_diag *diag)
{
	if (p->kind != MR_PLAN_PROJECT)
		return refuse(diag, "ORDER BY, LIMIT, DISTINCT or a set operation", kept_up);
	f->project = p;
	p = p->child;
	if (p->kind == MR_PLAN_FILTER && p->child->kind == MR_PLAN_AGG) {
		f->having = p->condition;
		p = p->child;
	}
	if (p->kind == MR_PLAN_OVER)
		return refuse(diag, "a window function (OVER)",
			"Its value changes with rows that come later. Use it in queries over the "
			"view.");
	if (p->kind != MR_PLAN_AGG)
		return refuse(diag, "a query without aggregates", kept_up);
	f->agg = p;
	p = p->child;
	if (p->kind == MR_PLAN_FILTER) {
		f->where = p->condition;
		p = p->child;
	}
	if (p->kind == MR_PLAN_WINDOW) {
		f->window = p;
		p = p->child;
	}
	if (p->kind != MR_PLAN_SCAN)
		return refuse(diag, "a join, a subquery or a function in FROM", kept_up);
	if (p->relation->kind != MR_RELATION_TABLE)
		return refuse(diag, "a source that is not a table", kept_up);
	f->scan = p;
	return 0;
}

static int set_columns(struct mr_fold *f)
{
	f->columns_count = f->project->exprs_count;
	f->columns = mr_arena_zalloc(&f->arena, f->columns_count + 1, sizeof(*f->columns));
	f->source_columns =
		mr_arena_zalloc(&f->arena, f->scan->columns_count + 1, sizeof(*f->source_columns));
	if (!f->columns || !f->source_columns)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->columns_count; i++)
		f->columns[i] = (struct mr_result_column){
			f->project->columns[i].name, f->project->columns[i].type};
	for (uint32_t i = 0; i < f->scan->columns_count; i++)
		f->source_columns[i] = f->scan->columns[i].source;
	return 0;
}

// The canonical text, and what the names in it stand for.
static int set_fingerprint(struct mr_fold *f, const struct mr_ast_select *ast)
{
	struct mr_buf b = {.bytes_limit = FOLD_BYTES_MAX};

	mr_buf_u8(&b, VERSION);
	mr_ast_print_select(&b, ast);
	mr_buf_le64(&b, f->scan->relation->id);
	for (uint32_t i = 0; i < f->scan->columns_count; i++) {
		struct mr_typeref t = f->scan->columns[i].type;

		mr_buf_le32(&b, f->scan->columns[i].source);
		mr_buf_u8(&b, t.type);
		mr_buf_u8(&b, t.precision);
		mr_buf_u8(&b, t.scale);
	}
	f->fingerprint = b.failed ? 0 : mr_checksum(b.data, b.bytes);
	mr_buf_fini(&b);
	return b.failed ? -ENOMEM : 0;
}

static int compile(struct mr_fold *f, struct mr_span query, struct mr_diag *diag)
{
	struct mr_ast_script script;
	struct mr_query_plan plan;
	struct mr_bind b = {.env = f->env,
		.arena = &f->arena,
		.diag = diag,
		.no_params = true,
		.query = {.arena = &f->arena, .tz = mr_tz_utc()}};
	int rc = mr_sql_parse(query, &f->arena, &script, diag);

	if (rc < 0)
		return rc;
	if (script.count != 1 || script.stmts[0]->kind != MR_STMT_SELECT)
		return refuse(diag, "anything but one SELECT", kept_up);
	rc = mr_bind_query(&b, script.stmts[0]->select, &plan);
	f->relations = b.relations;
	f->relations_count = b.relations_count;
	f->memos_count = plan.memos_count;
	if (rc >= 0)
		rc = take_apart(f, plan.root, diag);
	if (rc >= 0 && (set_columns(f) < 0 || set_fingerprint(f, script.stmts[0]->select) < 0))
		rc = mr_bind_no_memory(&b);
	return rc < 0 ? rc : check_all(f, diag);
}

// Keys of text, and aggregates of it, are copied into the state.
static bool keeps_text(const struct mr_fold *f)
{
	bool text = false;

	for (uint32_t i = 0; i < f->agg->exprs_count; i++)
		text |= mr_type_phys(f->agg->exprs[i]->type) == MR_PHYS_BYTES;
	for (uint32_t i = 0; i < f->agg->calls_count; i++)
		text |= f->agg->calls[i].args_count &&
			mr_type_phys(f->agg->calls[i].args[0]->type) == MR_PHYS_BYTES;
	return text;
}

int mr_fold_compile(
	struct mr_env *env, struct mr_span query, struct mr_fold **out, struct mr_diag *diag)
{
	struct mr_fold *f = calloc(1, sizeof(*f));
	int rc;

	*out = NULL;
	if (!f)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	f->env = env;
	mr_arena_init(&f->arena, FOLD_BYTES_MAX);
	rc = compile(f, query, diag);
	if (rc < 0) {
		mr_fold_destroy(f);
		return rc;
	}
	f->keeps_text = keeps_text(f);
	*out = f;
	return 0;
}

void mr_fold_destroy(struct mr_fold *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < f->relations_count; i++)
		f->env->ops->relation_put(f->env, f->relations[i]);
	mr_arena_fini(&f->arena);
	free(f);
}

const struct mr_relation *mr_fold_source(const struct mr_fold *f)
{
	return f->scan->relation;
}

uint32_t mr_fold_source_columns(const struct mr_fold *f, const uint32_t **columns)
{
	*columns = f->source_columns;
	return f->scan->columns_count;
}

uint32_t mr_fold_columns(const struct mr_fold *f, const struct mr_result_column **columns)
{
	*columns = f->columns;
	return f->columns_count;
}

uint64_t mr_fold_fingerprint(const struct mr_fold *f)
{
	return f->fingerprint;
}

// ---- States ----

int mr_fold_state_create(const struct mr_fold *f, size_t bytes_max, struct mr_fold_state **out)
{
	struct mr_fold_state *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->fold = f;
	s->bytes_max = bytes_max;
	mr_arena_init(&s->arena, 0);
	mr_arena_init(&s->scratch, 0);
	mr_arena_init(&s->memo, 0);
	s->query = (struct mr_query){.arena = &s->arena, .tz = mr_tz_utc()};
	s->eval = (struct mr_eval){
		.query = &s->query, .arena = &s->scratch, .diag = &s->diag, .memo_arena = &s->memo};
	if (mr_eval_memos_init(&s->eval, &s->arena, f->memos_count) < 0 ||
		mr_agg_core_init(&s->core, f->agg, &s->arena, &s->diag) < 0 ||
		(f->agg->exprs_count == 0 && mr_agg_core_first(&s->core, &s->eval) < 0)) {
		mr_fold_state_destroy(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void mr_fold_state_destroy(struct mr_fold_state *s)
{
	if (!s)
		return;
	if (s->core.plan)
		mr_agg_core_fini(&s->core);
	mr_arena_fini(&s->arena);
	mr_arena_fini(&s->scratch);
	mr_arena_fini(&s->memo);
	free(s);
}

size_t mr_fold_state_bytes(const struct mr_fold_state *s)
{
	return sizeof(*s) + s->arena.bytes + s->core.outside_bytes + s->scratch.bytes +
	       s->memo.bytes;
}

size_t mr_fold_state_groups(const struct mr_fold_state *s)
{
	return s->core.groups.count;
}

uint64_t mr_fold_state_rows_failed(const struct mr_fold_state *s)
{
	return s->rows_failed;
}

uint64_t mr_fold_state_rows_untimed(const struct mr_fold_state *s)
{
	return s->rows_untimed;
}

// ---- Folding ----

// One slice of rows, whose columns are the scan's or, with a window, the window's.
struct slice {
	const struct mr_col *columns;
	uint32_t rows;
	const uint32_t *sel;
	uint32_t n;
};

static int put_rows(
	struct mr_fold_state *s, const struct slice *in, const uint32_t *sel, uint32_t n)
{
	const struct mr_fold *f = s->fold;
	uint32_t *kept;
	int rc;

	s->eval.columns = in->columns;
	s->eval.rows = in->rows;
	if (n == 0)
		return 0;
	if (!f->where)
		return mr_agg_core_put(&s->core, &s->eval, sel, n);
	kept = mr_arena_alloc(&s->scratch, (n + 1) * sizeof(*kept));
	if (!kept)
		return MR_ERR_LIMIT;
	rc = mr_expr_filter(&s->eval, f->where, sel, n, kept);
	return rc <= 0 ? rc : mr_agg_core_put(&s->core, &s->eval, kept, (uint32_t)rc);
}

// A slice in which some row raised an error before anything was folded: row by row, without it.
static int put_singly(struct mr_fold_state *s, const struct slice *in, bool count)
{
	for (uint32_t k = 0; k < in->n; k++) {
		uint32_t row = mr_sel(in->sel, k);
		int rc = put_rows(s, in, &row, 1);

		if (rc == MR_ERR_LIMIT)
			return rc;
		s->rows_failed += rc < 0 && count;
	}
	return 0;
}

static int put_slice(struct mr_fold_state *s, const struct slice *in, bool count)
{
	int rc = put_rows(s, in, in->sel, in->n);

	if (rc < 0 && rc != MR_ERR_LIMIT)
		rc = put_singly(s, in, count);
	return rc;
}

static int put_window(struct mr_fold_state *s, const struct slice *in, uint32_t turn)
{
	const struct mr_plan *w = s->fold->window;
	const struct mr_col *time = &in->columns[w->time_column];
	struct mr_col *columns =
		mr_arena_zalloc(&s->scratch, w->columns_count + 1, sizeof(*columns));
	void *starts = mr_arena_column(&s->scratch, in->rows * 8);
	void *ends = mr_arena_column(&s->scratch, in->rows * 8);
	uint32_t *sel = mr_arena_alloc(&s->scratch, (in->n + 1) * sizeof(*sel));
	struct slice out = {columns, in->rows, sel, 0};

	if (!columns || !starts || !ends || !sel)
		return MR_ERR_LIMIT;
	out.n = mr_window_rows(w, time, turn, in->sel, in->n, sel, starts, ends);
	for (uint32_t i = 0; i < w->columns_count; i++) {
		uint32_t source = w->columns[i].source;

		if (source >= MR_PLAN_WINDOW_END)
			columns[i] = (struct mr_col){.type = time->type,
				.phys = time->phys,
				.values = source == MR_PLAN_WINDOW_START ? starts : ends};
		else
			columns[i] = in->columns[source];
	}
	return put_slice(s, &out, turn == 0);
}

static void count_untimed(struct mr_fold_state *s, const struct slice *in)
{
	const struct mr_col *t = &in->columns[s->fold->window->time_column];

	for (uint32_t k = 0; k < in->n; k++) {
		uint32_t i = mr_sel(in->sel, k);

		if (mr_col_is_null(t, i))
			s->rows_untimed++;
		else if (t->phys == MR_PHYS_I32)
			s->rows_untimed += !mr_date_is_finite(((const int32_t *)t->values)[i]);
		else
			s->rows_untimed += !mr_ts_is_finite(((const int64_t *)t->values)[i]);
	}
}

// Columns cut at a word of the null bitmap, and which of their rows are meant.
static int cut(struct mr_fold_state *s, const struct mr_block *b, uint32_t at, uint32_t end,
	struct slice *out)
{
	uint32_t base = at & ~63u, n = end - at, count = s->fold->scan->columns_count;
	struct mr_col *columns = mr_arena_zalloc(&s->scratch, count + 1, sizeof(*columns));
	uint32_t *sel = mr_arena_alloc(&s->scratch, (n + 1) * sizeof(*sel));

	if (!columns || !sel)
		return MR_ERR_LIMIT;
	for (uint32_t i = 0; i < count; i++) {
		struct mr_col *c = &columns[i];

		*c = b->columns[i];
		if (c->codes)
			c->codes += base;
		else
			c->values = (const uint8_t *)c->values +
				    base * mr_phys_bytes((enum mr_phys)c->phys);
		if (c->valid)
			c->valid += base / 64;
	}
	for (uint32_t k = 0; k < n; k++)
		sel[k] = at - base + k;
	*out = (struct slice){columns, end - base, at == base ? NULL : sel, n};
	return 0;
}

static int fold_slice(struct mr_fold_state *s, const struct mr_block *b, uint32_t at, uint32_t end)
{
	struct slice in;
	int rc;

	mr_arena_reset(&s->scratch);
	rc = cut(s, b, at, end, &in);
	if (rc < 0)
		return rc;
	if (!s->fold->window)
		return put_slice(s, &in, true);
	count_untimed(s, &in);
	for (uint32_t turn = 0; turn < mr_window_turns(s->fold->window) && rc >= 0; turn++)
		rc = put_window(s, &in, turn);
	return rc;
}

// Where rows from `from` on end that bring a bounded amount of text.
static uint32_t text_end(
	const struct mr_fold_state *s, const struct mr_block *b, uint32_t from, uint32_t end)
{
	size_t bytes = 0;

	for (uint32_t row = from; row < end; row++) {
		for (uint32_t i = 0; i < s->fold->scan->columns_count; i++) {
			const struct mr_col *c = &b->columns[i];

			if (mr_type_phys(c->type) == MR_PHYS_BYTES && !mr_col_is_null(c, row))
				bytes += mr_col_str(c, row).bytes;
		}
		if (bytes > SLICE_TEXT_BYTES && row > from)
			return row;
	}
	return end;
}

int mr_fold_rows(
	struct mr_fold_state *s, const struct mr_block *rows, uint32_t first, uint32_t *rows_done)
{
	// A row has a group in each of its windows: the more, the fewer rows between two looks.
	uint32_t turns = s->fold->window ? mr_window_turns(s->fold->window) : 1;
	uint32_t slice = MR_MAX(MR_EXEC_ROWS / turns / 64 * 64, 64u);

	*rows_done = first;
	s->eval.dict_epoch++;
	mr_arena_reset(&s->memo);
	while (*rows_done < rows->rows) {
		uint32_t end = MR_MIN(*rows_done / 64 * 64 + slice, rows->rows);
		int rc;

		// Between slices only, so that a row is in whole or not at all; the overshoot is
		// what one slice's groups take.
		if (s->core.groups.count > (s->fold->agg->exprs_count ? 0 : 1) &&
			s->arena.bytes + s->core.outside_bytes >= s->bytes_max)
			return MR_ERR_LIMIT;
		if (s->fold->keeps_text)
			end = text_end(s, rows, *rows_done, end);
		rc = fold_slice(s, rows, *rows_done, end);
		if (rc < 0)
			return -ENOMEM;
		*rows_done = end;
	}
	return 0;
}

int mr_fold_merge(struct mr_fold_state *dst, const struct mr_fold_state *src)
{
	int rc;

	MR_ASSERT(dst->fold->fingerprint == src->fold->fingerprint);
	rc = mr_agg_core_merge(&dst->core, &src->core);
	if (rc < 0)
		return rc;
	dst->rows_failed += src->rows_failed;
	dst->rows_untimed += src->rows_untimed;
	return 0;
}

bool mr_fold_is_grouped(const struct mr_fold *f)
{
	return f->agg->exprs_count != 0;
}

size_t mr_fold_group_bytes(const struct mr_fold_state *s)
{
	// A slot of the index is 8 bytes and half of them are free on average.
	return s->core.groups.row_bytes + 2 * sizeof(uint64_t);
}

size_t mr_fold_row_bytes(const struct mr_fold_state *s)
{
	const struct mr_plan *agg = s->fold->agg, *window = s->fold->window;
	size_t bytes = mr_fold_is_grouped(s->fold) ? mr_fold_group_bytes(s) : 0;

	for (uint32_t i = 0; i < agg->calls_count; i++)
		bytes += agg->calls[i].fn->fini ? SKETCH_VALUE_BYTES : 0;
	return bytes * (window ? mr_window_turns(window) : 1);
}

bool mr_fold_keeps_text(const struct mr_fold *f)
{
	return f->keeps_text;
}

void mr_fold_state_trim(struct mr_fold_state *s)
{
	mr_arena_fini(&s->scratch);
	mr_arena_fini(&s->memo);
}
