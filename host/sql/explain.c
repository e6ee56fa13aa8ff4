// EXPLAIN and EXPLAIN ANALYZE: the plan as a tree of text lines, PostgreSQL's shape.
#include "host/sql/session_int.h"

#include <string.h>

static const char *step_name(const struct mr_plan *p)
{
	static const char *const names[] = {
		[MR_PLAN_ONE] = "Result",
		[MR_PLAN_SCAN] = "Scan",
		[MR_PLAN_VALUES] = "Values",
		[MR_PLAN_SERIES] = "Function Scan on generate_series",
		[MR_PLAN_WINDOW] = "Window",
		[MR_PLAN_JOIN] = "Hash Join",
		[MR_PLAN_FILTER] = "Filter",
		[MR_PLAN_PROJECT] = "Project",
		[MR_PLAN_AGG] = "HashAggregate",
		[MR_PLAN_DISTINCT] = "Distinct",
		[MR_PLAN_SORT] = "Sort",
		[MR_PLAN_LIMIT] = "Limit",
		[MR_PLAN_OVER] = "WindowAgg",
		[MR_PLAN_SETOP] = "SetOp Except",
		[MR_PLAN_APPEND] = "Append",
	};

	if (p->kind == MR_PLAN_JOIN && p->exprs_count == 0)
		return "Nested Loop";
	if (p->kind == MR_PLAN_JOIN && p->outer)
		return p->full ? "Hash Full Join" : "Hash Left Join";
	if (p->kind == MR_PLAN_SETOP && p->intersect)
		return "SetOp Intersect";
	if (p->kind == MR_PLAN_AGG && p->exprs_count == 0)
		return "Aggregate";
	if (p->kind == MR_PLAN_SORT && p->limit)
		return "Top-N Sort";
	return names[p->kind];
}

// A guess good enough to compare plans with: what is known exactly, then halves and tenths.
static double guess_rows(const struct mr_plan *p)
{
	double n = p->child ? guess_rows(p->child) : 1;
	int64_t known;

	switch (p->kind) {
	case MR_PLAN_SCAN:
		known = p->relation->ops->rows_known ? p->relation->ops->rows_known(p->relation)
						     : -1;
		return known >= 0 ? (double)known : 1000;
	case MR_PLAN_VALUES: return p->columns_count ? p->exprs_count / p->columns_count : 0;
	case MR_PLAN_SERIES: return 1000;
	case MR_PLAN_WINDOW: return n * mr_window_turns(p);
	case MR_PLAN_JOIN:
		return p->exprs_count ? MR_MAX(n, guess_rows(p->right)) : n * guess_rows(p->right);
	case MR_PLAN_FILTER: return n / 3;
	case MR_PLAN_AGG: return p->exprs_count ? n / 10 : 1;
	case MR_PLAN_DISTINCT: return n / 2;
	case MR_PLAN_APPEND: return n + guess_rows(p->right);
	case MR_PLAN_LIMIT:
		return p->limit && p->limit->kind == MR_EXPR_CONST && !p->limit->null
			       ? MR_MIN(n, (double)p->limit->value.i64)
			       : n;
	default: return n;
	}
}

static double guess_cost(const struct mr_plan *p)
{
	double own = guess_rows(p->child ? p->child : p) * 0.01;

	return own + (p->child ? guess_cost(p->child) : 0) + (p->right ? guess_cost(p->right) : 0);
}

static uint32_t width_of(const struct mr_plan *p)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < p->columns_count; i++)
		bytes += (uint32_t)mr_phys_bytes(mr_type_phys(p->columns[i].type));
	return bytes;
}

static void columns_line(struct mr_buf *out, const struct mr_plan *p, unsigned depth)
{
	mr_buf_printf(out, "%*sColumns: ", (int)depth * 6 + 2, "");
	for (uint32_t i = 0; i < p->columns_count; i++)
		mr_buf_printf(out, "%s%.*s", i ? ", " : "", (int)p->columns[i].name.bytes,
			(const char *)p->columns[i].name.data);
	mr_buf_u8(out, '\n');
}

static void print_stats(struct mr_buf *out, const struct mr_run *r, const struct mr_plan *p)
{
	struct mr_op_stats s;
	double ms;

	if (!mr_run_stats(r, p, &s))
		return;
	ms = (double)s.ns / 1e6;
	mr_buf_printf(out, " (actual time=%.3f rows=%llu", ms, (unsigned long long)s.rows);
	if (p->kind == MR_PLAN_SCAN)
		mr_buf_printf(out, " bytes=%llu blocks=%llu skipped=%llu",
			(unsigned long long)s.scan.bytes, (unsigned long long)s.scan.blocks,
			(unsigned long long)s.scan.blocks_skipped);
	// What lies in memory is read in place, by the steps above: that has no speed here.
	if (s.scan.bytes_decoded && ms > 0)
		mr_buf_printf(out, " decoded=%llu %.1f MB/s",
			(unsigned long long)s.scan.bytes_decoded,
			(double)s.scan.bytes_decoded / ms / 1000);
	mr_buf_str(out, ")");
}

static void print_plan(
	struct mr_buf *out, const struct mr_run *r, const struct mr_plan *p, unsigned depth)
{
	mr_buf_printf(out, "%*s%s%s", depth ? (int)depth * 6 - 4 : 0, "", depth ? "->  " : "",
		step_name(p));
	if (p->kind == MR_PLAN_SCAN)
		mr_buf_printf(out, " on %.*s", (int)p->relation->name.bytes,
			(const char *)p->relation->name.data);
	mr_buf_printf(out, "  (cost=%.2f..%.2f rows=%.0f width=%u)",
		p->child ? guess_cost(p->child) : 0.0, guess_cost(p), MR_MAX(guess_rows(p), 1.0),
		width_of(p));
	if (r)
		print_stats(out, r, p);
	mr_buf_u8(out, '\n');
	if (p->kind == MR_PLAN_SCAN && p->columns_count)
		columns_line(out, p, depth);
	if (p->kind == MR_PLAN_SCAN && p->ranges_count)
		mr_buf_printf(out, "%*sRanges: %u\n", (int)depth * 6 + 2, "", p->ranges_count);
	if (p->kind == MR_PLAN_OVER)
		mr_buf_printf(out, "%*sCalls: %u, sorts: %u\n", (int)depth * 6 + 2, "",
			p->overs_count, p->turns_count);
	if (p->child)
		print_plan(out, r, p->child, depth + 1);
	if (p->right)
		print_plan(out, r, p->right, depth + 1);
}

static int run_all(struct mr_cursor *c, struct mr_diag *diag)
{
	int rc = mr_cursor_start(c, diag);

	while (rc >= 0 && (rc = mr_run_next(&c->run, &c->batch)) == 1)
		;
	return rc;
}

int mr_explain(struct mr_cursor *c, struct mr_diag *diag, struct mr_block *out)
{
	bool analyze = c->statement->analyze;
	int64_t start = mr_now_ns(c->session->opts.clock);
	struct mr_buf text = {.bytes_limit = 1 << 20};
	struct mr_eval ev = {.query = &c->query, .arena = &c->arena, .diag = diag};
	int rc = analyze ? run_all(c, diag) : 0;
	uint32_t rows = 0;
	struct mr_col *col;
	struct mr_str *v;
	const uint8_t *at, *end;

	if (rc < 0)
		return rc;
	print_plan(&text, analyze ? &c->run : NULL, c->statement->plan.root, 0);
	if (analyze)
		mr_buf_printf(&text, "Execution Time: %.3f ms\nMemory: %zu kB\n",
			(double)(mr_now_ns(c->session->opts.clock) - start) / 1e6,
			c->arena.bytes_peak / 1024);
	col = mr_arena_zalloc(&c->arena, 1, sizeof(*col));
	v = mr_arena_column(&c->arena, text.bytes * sizeof(*v));
	at = mr_arena_copy(&c->arena, mr_buf_span(&text)).data;
	end = at ? at + text.bytes : NULL;
	mr_buf_fini(&text);
	if (!col || !v || !at)
		return mr_eval_no_memory(&ev);
	while (at < end) {
		const uint8_t *line = memchr(at, '\n', (size_t)(end - at));

		v[rows++] = (struct mr_str){at, (uint32_t)(line - at), 0};
		at = line + 1;
	}
	*col = (struct mr_col){.type.type = MR_TYPE_TEXT, .phys = MR_PHYS_BYTES, .values = v};
	*out = (struct mr_block){.rows = rows, .columns = col};
	return 1;
}
