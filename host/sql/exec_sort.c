// SORT: all rows in memory; with a LIMIT above, only as many as can still be in the answer.
//
// With a limit of n, rows are gathered up to 2n + 4096, then sorted and cut to n, whose copies move
// to a second arena so that the first can be emptied; from then on a row above the worst kept one
// is not even copied. Each row is compared O(log n) times on average, memory is O(n).
#include "host/sql/rowset.h"

#include <errno.h>
#include <string.h>

struct sort_state {
	struct mr_rowset rows;
	struct mr_arena *arena; // of the rows: the query's, or one of `own`
	struct mr_arena own[2];
	uint64_t keep; // UINT64_MAX = all
	const uint8_t *worst;
	bool built;
	uint32_t at;
};

static int compare_rows(
	const struct mr_plan *p, const struct mr_rowset *r, const uint8_t *a, const uint8_t *b)
{
	return mr_rowset_compare(r, p->sorts, p->sorts_count, p->columns, a, b);
}

static int sort_rows(struct mr_op *op, struct mr_rowset *r)
{
	const struct mr_plan *p = op->plan;

	return mr_rowset_sort(r, op->run, p->sorts, p->sorts_count, p->columns);
}

static int count_of(struct mr_op *op, const struct mr_expr *e, uint64_t *out)
{
	struct mr_batch one = {.rows = 1, .n = 1};
	struct mr_vec v;
	int rc;

	*out = 0;
	if (!e)
		return 0;
	mr_op_input(op, &one);
	rc = mr_expr_eval(&op->eval, e, NULL, 1, &v);
	if (rc < 0)
		return rc;
	if (mr_vec_is_null(&v, 0))
		return 1;
	// A negative one is LIMIT's error to raise.
	*out = (uint64_t)MR_MAX(*(const int64_t *)mr_vec_at(&v, 0), 0);
	return 0;
}

// How many rows the LIMIT above can ask for.
static int find_keep(struct mr_op *op, struct sort_state *s)
{
	uint64_t limit, offset;
	int rc = op->plan->limit ? count_of(op, op->plan->limit, &limit) : 1;

	s->keep = UINT64_MAX;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = count_of(op, op->plan->offset, &offset);
	if (rc >= 0 && limit + offset >= limit && limit + offset < (1 << 20)) {
		s->keep = limit + offset;
		mr_arena_init_budget(&s->own[0], op->run->query->memory);
		mr_arena_init_budget(&s->own[1], op->run->query->memory);
		s->arena = &s->own[0];
	}
	return rc < 0 ? rc : 0;
}

static int cut(struct mr_op *op, struct sort_state *s)
{
	struct mr_arena *to = &s->own[s->arena == &s->own[0]];
	struct mr_rowset kept = s->rows;
	uint32_t n = (uint32_t)MR_MIN(s->keep, (uint64_t)s->rows.count);

	int rc = sort_rows(op, &s->rows);

	if (rc < 0)
		return rc;
	kept.rows = NULL;
	kept.count = kept.max = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *row = mr_rowset_clone(&s->rows, to, op->plan->columns, s->rows.rows[i]);

		if (!row || mr_rowset_add(&kept, to, row) < 0)
			return mr_op_no_memory(op);
	}
	mr_arena_reset(s->arena);
	s->arena = to;
	s->rows = kept;
	s->worst = n && n == s->keep ? kept.rows[n - 1] : NULL;
	return 0;
}

static int add_row(struct mr_op *op, struct sort_state *s, const struct mr_batch *in, uint32_t i)
{
	uint8_t *row;

	if (s->worst) {
		// Compared in the scratch arena first: most rows go no further.
		row = mr_rowset_copy(&s->rows, &op->scratch, in->columns, i);
		if (row && compare_rows(op->plan, &s->rows, row, s->worst) >= 0)
			return 0;
	}
	row = mr_rowset_copy(&s->rows, s->arena, in->columns, i);
	if (!row || mr_rowset_add(&s->rows, s->arena, row) < 0)
		return mr_op_no_memory(op);
	return 0;
}

static int sort_build(struct mr_op *op, struct sort_state *s)
{
	struct mr_batch in;
	int rc;

	s->arena = op->run->query->arena;
	mr_rowset_init(&s->rows, op->plan->columns_count);
	rc = find_keep(op, s);
	while (rc >= 0 && (rc = mr_op_next(op->child, &in)) == 1) {
		mr_op_input(op, &in);
		for (uint32_t k = 0; k < in.n && rc >= 0; k++)
			rc = add_row(op, s, &in, mr_sel(in.sel, k));
		if (rc >= 0 && s->keep != UINT64_MAX && s->rows.count > 2 * s->keep + 4096)
			rc = cut(op, s);
	}
	if (rc < 0)
		return rc;
	s->built = true;
	return sort_rows(op, &s->rows);
}

static int sort_next(struct mr_op *op, struct mr_batch *out)
{
	struct sort_state *s = op->state;
	int rc = s->built ? 0 : sort_build(op, s);

	return rc < 0 ? rc : mr_op_rows(op, &s->rows, &s->at, out);
}

static void sort_close(struct mr_op *op)
{
	struct sort_state *s = op->state;

	if (!s)
		return;
	mr_arena_fini(&s->own[0]);
	mr_arena_fini(&s->own[1]);
}

int mr_op_sort_open(struct mr_op *op)
{
	op->next = sort_next;
	op->close = sort_close;
	op->state = mr_arena_zalloc(op->run->query->arena, 1, sizeof(struct sort_state));
	return op->state ? 0 : mr_op_no_memory(op);
}
