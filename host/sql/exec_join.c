// JOIN: inner and left, by a hash table over the right side, or by a loop when nothing is equated.
//
// The right side is read whole. Rows with equal keys form a chain whose head hangs in the group's
// state. A left batch is matched row by row into pairs, at most MR_EXEC_ROWS at a time.
#include "host/sql/rowset.h"

#include <string.h>

// A kept row of the right side, in the chain of its group.
struct chained {
	struct chained *next;
	uint8_t *row;
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
	struct chained **heads; // per selected row of `left`
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
		c->next = *head;
		*head = c;
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

// Pairs of a left row (place in the batch) and a right row; a NULL right row is an outer one.
struct pairs {
	uint32_t *left;
	uint8_t **right;
	uint32_t n;
};

static bool more_pairs(struct mr_op *op, struct join_state *s, struct pairs *p)
{
	for (; s->left_at < s->left.n; s->left_at++, s->in_row = false) {
		if (!s->in_row) {
			s->next = s->heads[s->left_at];
			s->in_row = true;
			if (!s->next && op->plan->outer) {
				p->left[p->n] = mr_sel(s->left.sel, s->left_at);
				p->right[p->n++] = NULL;
			}
		}
		for (; s->next && p->n < MR_EXEC_ROWS; s->next = s->next->next) {
			p->left[p->n] = mr_sel(s->left.sel, s->left_at);
			p->right[p->n++] = s->next->row;
		}
		if (p->n == MR_EXEC_ROWS && (s->next || s->left_at + 1 < s->left.n)) {
			if (!s->next) {
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

static int filter_pairs(struct mr_op *op, struct mr_batch *out)
{
	struct mr_eval ev = op->eval;
	uint32_t *sel = mr_arena_alloc(&op->scratch, (out->n + 1) * sizeof(*sel));
	int rc;

	if (!sel)
		return mr_op_no_memory(op);
	ev.columns = out->columns;
	ev.rows = out->rows;
	rc = mr_expr_filter(&ev, op->plan->condition, NULL, out->n, sel);
	if (rc < 0)
		return rc;
	out->sel = sel;
	out->n = (uint32_t)rc;
	return 0;
}

// The next left batch with rows that are not yet joined. 0: none is left.
static int next_left(struct mr_op *op, struct join_state *s)
{
	while (!s->have_left || s->left_at >= s->left.n) {
		int rc = mr_op_next(op->child, &s->left);

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
		if (rc >= 0 && (!p->left || !p->right))
			rc = mr_op_no_memory(op);
		if (rc < 0)
			return rc;
		if (more_pairs(op, s, p))
			return 1;
	}
}

static int join_next(struct mr_op *op, struct mr_batch *out)
{
	struct join_state *s = op->state;
	struct pairs p = {0};
	int rc = s->built ? 0 : join_build(op, s);

	rc = rc < 0 ? rc : next_pairs(op, s, &p);
	if (rc <= 0)
		return rc;
	for (uint32_t k = 0; op->plan->outer && op->plan->condition && k < p.n; k++)
		if (p.right[k])
			return mr_diag_set(op->run->diag, MR_ERR_UNSUPPORTED, "0A000", 0,
				"LEFT JOIN with a condition on both sides other than equality is "
				"not supported");
	rc = emit(op, s, &p, out);
	if (rc >= 0 && op->plan->condition && !op->plan->outer)
		rc = filter_pairs(op, out);
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
