// JOIN: inner, left and full, by a hash table over the right side, or by a loop when nothing is
// equated.
//
// The right side is read whole. Rows with equal keys form a chain whose head hangs in the group's
// state. A left batch is matched row by row into pairs, at most MR_EXEC_ROWS at a time. In an outer
// join a left row that may stay alone has one more pair, without a right row, behind its others; it
// is given if none of them was. A full join ends with the right rows that were in no pair given.
#include "host/sql/rowset.h"

#include <string.h>

// A kept row of the right side, in the chain of its group.
struct chained {
	struct chained *next;
	struct chained *older; // of all
	uint8_t *row;
	bool given;
};

struct join_state {
	struct mr_groups groups; // state: struct chained *
	struct mr_rowset rows;
	bool built;
	struct mr_batch left;
	uint32_t left_at;
	struct chained *next; // candidates left for the row at left_at
	bool have_left;
	bool in_row;
	bool alone_due; // the row at left_at has its pair without a right row yet to come
	bool given;     // one of that row's pairs was given
	bool left_done;
	struct chained **heads; // per selected row of `left`
	struct chained *newest; // of the right rows
};

static int keep_right(struct mr_op *op, struct join_state *s, const struct mr_batch *in)
{
	const struct mr_plan *p = op->plan;
	struct mr_arena *arena = op->run->query->arena;
	struct mr_vec *keys = mr_arena_zalloc(&op->scratch, p->exprs_count + 1, sizeof(*keys));
	uint32_t *numbers = mr_arena_alloc(&op->scratch, (in->n + 1) * sizeof(*numbers));

	if (!keys || !numbers)
		return mr_op_no_memory(op);
	for (uint32_t i = 0; i < p->exprs_count; i++) {
		int rc = mr_expr_eval(&op->eval, p->right_exprs[i], in->sel, in->n, &keys[i]);

		if (rc < 0)
			return rc;
	}
	if (mr_groups_put(&s->groups, &op->scratch, keys, in->sel, in->n, numbers, NULL) < 0)
		return mr_op_no_memory(op);
	for (uint32_t k = 0; k < in->n; k++) {
		struct chained *c = mr_arena_alloc(arena, sizeof(*c));
		uint8_t *group = mr_groups_row(&s->groups, numbers[k]);
		struct chained **head = (void *)(group + s->groups.state_off);

		if (!c)
			return mr_op_no_memory(op);
		c->row = mr_rowset_copy(&s->rows, arena, in->columns, mr_sel(in->sel, k));
		if (!c->row)
			return mr_op_no_memory(op);
		c->given = false;
		c->next = *head;
		*head = c;
		c->older = s->newest;
		s->newest = c;
	}
	return 0;
}

static int join_build(struct mr_op *op, struct join_state *s)
{
	const struct mr_plan *p = op->plan;
	struct mr_typeref keys[64];
	struct mr_batch in;
	int rc;

	if (p->exprs_count > 64)
		return mr_diag_set(op->run->diag, MR_ERR_UNSUPPORTED, "0A000", 0,
			"a join on more than 64 columns is not supported");
	for (uint32_t i = 0; i < p->exprs_count; i++)
		keys[i] = p->exprs[i]->type;
	mr_rowset_init(&s->rows, p->right->columns_count);
	if (mr_groups_init(&s->groups, op->run->query->arena, keys, p->exprs_count,
		    sizeof(struct chained *)) < 0)
		return mr_op_no_memory(op);
	while ((rc = mr_op_next(op->right, &in)) == 1) {
		mr_op_input(op, &in);
		rc = keep_right(op, s, &in);
		if (rc < 0)
			return rc;
	}
	op->run->dict_epoch++;
	s->built = true;
	return rc;
}

// The chains of a left batch's rows. A NULL key matches nothing.
static int find_heads(struct mr_op *op, struct join_state *s)
{
	const struct mr_plan *p = op->plan;
	struct mr_vec *keys = mr_arena_zalloc(&op->scratch, p->exprs_count + 1, sizeof(*keys));
	uint32_t *numbers = mr_arena_alloc(&op->scratch, (s->left.n + 1) * sizeof(*numbers));

	s->heads = mr_arena_zalloc(&op->scratch, s->left.n + 1, sizeof(*s->heads));
	if (!keys || !numbers || !s->heads)
		return mr_op_no_memory(op);
	for (uint32_t i = 0; i < p->exprs_count; i++) {
		int rc = mr_expr_eval(&op->eval, p->exprs[i], s->left.sel, s->left.n, &keys[i]);

		if (rc < 0)
			return rc;
	}
	if (mr_groups_put(&s->groups, &op->scratch, keys, s->left.sel, s->left.n, numbers, NULL) <
		0)
		return mr_op_no_memory(op);
	for (uint32_t k = 0; k < s->left.n; k++) {
		const uint8_t *group = mr_groups_row(&s->groups, numbers[k]);
		bool null = false;

		for (uint32_t i = 0; i < p->exprs_count; i++)
			null |= mr_vec_is_null(&keys[i], mr_sel(s->left.sel, k));
		memcpy(&s->heads[k], group + s->groups.state_off, sizeof(s->heads[k]));
		if (null)
			s->heads[k] = NULL;
	}
	return 0;
}

// Pairs of a left row (place in the batch) and a right row, or none: NULL.
struct pairs {
	uint32_t *left;
	uint8_t **right;
	struct chained **from; // the right row's
	uint32_t n;
};

static void add_pair(const struct join_state *s, struct pairs *p, struct chained *right)
{
	p->left[p->n] = mr_sel(s->left.sel, s->left_at);
	p->right[p->n] = right ? right->row : NULL;
	p->from[p->n++] = right;
}

static bool more_pairs(struct mr_op *op, struct join_state *s, struct pairs *p)
{
	for (; s->left_at < s->left.n; s->left_at++, s->in_row = false) {
		if (!s->in_row) {
			s->next = s->heads[s->left_at];
			s->in_row = true;
			s->alone_due = op->plan->outer && (!s->next || op->plan->condition);
		}
		for (; s->next && p->n < MR_EXEC_ROWS; s->next = s->next->next)
			add_pair(s, p, s->next);
		if (s->alone_due && !s->next && p->n < MR_EXEC_ROWS) {
			add_pair(s, p, NULL);
			s->alone_due = false;
		}
		if (p->n == MR_EXEC_ROWS &&
			(s->next || s->alone_due || s->left_at + 1 < s->left.n)) {
			if (!s->next && !s->alone_due) {
				s->left_at++;
				s->in_row = false;
			}
			return true;
		}
	}
	return p->n > 0;
}

static int emit(struct mr_op *op, struct join_state *s, const struct pairs *p, struct mr_batch *out)
{
	const struct mr_plan *plan = op->plan;
	struct mr_col *columns =
		mr_arena_zalloc(&op->scratch, plan->columns_count + 1, sizeof(*columns));
	struct mr_eval *ev = &op->eval;
	int rc = 0;

	if (!columns)
		return mr_op_no_memory(op);
	for (uint32_t c = 0; c < plan->columns_count && rc >= 0; c++) {
		const struct mr_plan_column *col = &plan->columns[c];

		if (col->right)
			rc = mr_rowset_column(
				&s->rows, ev, col->type, col->source, p->right, p->n, &columns[c]);
		else
			rc = mr_vec_gather(ev,
				&(struct mr_vec){.col = s->left.columns[col->source]}, p->left,
				p->n, &columns[c]);
	}
	*out = (struct mr_batch){.rows = p->n, .n = p->n, .columns = columns};
	return rc;
}

// Which pairs are given: those with a right row for which the condition is true, and those without
// one whose left row has no such pair.
static int filter_pairs(
	struct mr_op *op, struct join_state *s, const struct pairs *p, struct mr_batch *out)
{
	struct mr_eval ev = op->eval;
	uint32_t *both = mr_arena_alloc(&op->scratch, (p->n + 1) * sizeof(*both)), n = 0, at = 0;
	uint32_t *holds = mr_arena_alloc(&op->scratch, (p->n + 1) * sizeof(*holds));
	uint32_t *sel = mr_arena_alloc(&op->scratch, (p->n + 1) * sizeof(*sel));
	int rc;

	if (!both || !holds || !sel)
		return mr_op_no_memory(op);
	for (uint32_t k = 0; k < p->n; k++)
		if (p->right[k])
			both[n++] = k;
	ev.columns = out->columns;
	ev.rows = out->rows;
	rc = mr_expr_filter(&ev, op->plan->condition, both, n, holds);
	if (rc < 0)
		return rc;
	out->n = 0;
	for (uint32_t k = 0; k < p->n; k++) {
		bool here = at < (uint32_t)rc && holds[at] == k;

		if (here || (!p->right[k] && !s->given))
			sel[out->n++] = k;
		at += here;
		s->given = p->right[k] && (s->given || here);
	}
	out->sel = sel;
	return 0;
}

// The next left batch with rows that are not yet joined. 0: none is left.
static int next_left(struct mr_op *op, struct join_state *s)
{
	while (!s->have_left || s->left_at >= s->left.n) {
		int rc = s->left_done ? 0 : mr_op_next(op->child, &s->left);

		s->left_done |= rc == 0;
		if (rc <= 0)
			return rc;
		s->have_left = true;
		s->left_at = 0;
		s->in_row = false;
	}
	return 1;
}

// Goes on through left batches until there is a pair. 0: there is none.
static int next_pairs(struct mr_op *op, struct join_state *s, struct pairs *p)
{
	for (;;) {
		int rc = next_left(op, s);

		if (rc <= 0)
			return rc;
		mr_op_input(op, &s->left);
		rc = find_heads(op, s);
		p->left = mr_arena_alloc(&op->scratch, (MR_EXEC_ROWS + 1) * sizeof(*p->left));
		p->right = mr_arena_alloc(&op->scratch, (MR_EXEC_ROWS + 1) * sizeof(*p->right));
		p->from = mr_arena_alloc(&op->scratch, (MR_EXEC_ROWS + 1) * sizeof(*p->from));
		if (rc >= 0 && (!p->left || !p->right || !p->from))
			rc = mr_op_no_memory(op);
		if (rc < 0)
			return rc;
		if (more_pairs(op, s, p))
			return 1;
	}
}

static int null_column(struct mr_op *op, struct mr_typeref t, uint32_t n, struct mr_col *out)
{
	enum mr_phys phys = mr_type_phys(t);
	void *values = mr_arena_column(&op->scratch, n * mr_phys_bytes(phys));
	uint64_t *valid = mr_arena_column(&op->scratch, (size_t)(n + 63) / 64 * 8);

	if (!values || !valid)
		return mr_op_no_memory(op);
	memset(values, 0, n * mr_phys_bytes(phys));
	memset(valid, 0, (size_t)(n + 63) / 64 * 8);
	*out = (struct mr_col){.type = t, .phys = (uint8_t)phys, .values = values, .valid = valid};
	return 0;
}

// A full join's right rows that were in no pair given.
static int emit_alone(struct mr_op *op, struct join_state *s, struct mr_batch *out)
{
	const struct mr_plan *plan = op->plan;
	struct mr_batch none = {0};
	struct mr_col *columns;
	uint8_t **rows;
	uint32_t n = 0;
	int rc = 0;

	mr_op_input(op, &none);
	columns = mr_arena_zalloc(&op->scratch, plan->columns_count + 1, sizeof(*columns));
	rows = mr_arena_alloc(&op->scratch, MR_EXEC_ROWS * sizeof(*rows));
	if (!columns || !rows)
		return mr_op_no_memory(op);
	for (; s->newest && n < MR_EXEC_ROWS; s->newest = s->newest->older)
		if (!s->newest->given)
			rows[n++] = s->newest->row;
	for (uint32_t c = 0; c < plan->columns_count && n && rc >= 0; c++) {
		const struct mr_plan_column *col = &plan->columns[c];

		rc = col->right ? mr_rowset_column(&s->rows, &op->eval, col->type, col->source,
					  rows, n, &columns[c])
				: null_column(op, col->type, n, &columns[c]);
	}
	*out = (struct mr_batch){.rows = n, .n = n, .columns = columns};
	return rc < 0 ? rc : n > 0;
}

static int join_next(struct mr_op *op, struct mr_batch *out)
{
	struct join_state *s = op->state;
	bool was_done = s->left_done;
	struct pairs p = {0};
	int rc = s->built ? 0 : join_build(op, s);

	rc = rc < 0 ? rc : next_pairs(op, s, &p);
	if (rc == 0 && op->plan->full) {
		op->run->dict_epoch += !was_done;
		return emit_alone(op, s, out);
	}
	if (rc <= 0)
		return rc;
	rc = emit(op, s, &p, out);
	if (rc >= 0 && op->plan->condition)
		rc = filter_pairs(op, s, &p, out);
	for (uint32_t k = 0; op->plan->full && k < out->n && rc >= 0; k++)
		if (p.from[mr_sel(out->sel, k)])
			p.from[mr_sel(out->sel, k)]->given = true;
	return rc < 0 ? rc : 1;
}

int mr_op_join_open(struct mr_op *op)
{
	op->next = join_next;
	op->state = mr_arena_zalloc(op->run->query->arena, 1, sizeof(struct join_state));
	if (!op->state)
		return mr_op_no_memory(op);
	return 0;
}
