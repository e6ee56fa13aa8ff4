// SETOP: INTERSECT and EXCEPT, by a hash table of the right side's rows and how often each is
// there.
//
// Left rows then go by one at a time: each finds its count, is given or not, and changes it.
// Without ALL a row is given once; EXCEPT remembers the rows that it gave in the same table.
#include "host/sql/exec.h"

struct set_state {
	struct mr_groups groups; // state: uint64_t, how many rows of the right side are left
	bool built;
};

// Finds the counts of a batch's rows.
static int find_counts(
	struct mr_op *op, struct set_state *s, const struct mr_batch *in, uint32_t **numbers)
{
	uint32_t count = op->plan->columns_count;
	struct mr_vec *keys;

	mr_op_input(op, in);
	keys = mr_arena_zalloc(&op->scratch, count + 1, sizeof(*keys));
	*numbers = mr_arena_alloc(&op->scratch, (in->n + 1) * sizeof(**numbers));
	if (!keys || !*numbers)
		return mr_op_no_memory(op);
	for (uint32_t i = 0; i < count; i++)
		keys[i].col = in->columns[i];
	if (mr_groups_put(&s->groups, &op->scratch, keys, in->sel, in->n, *numbers, NULL) < 0)
		return mr_op_no_memory(op);
	return 0;
}

static uint64_t *count_of(struct set_state *s, uint32_t number)
{
	return (uint64_t *)(mr_groups_row(&s->groups, number) + s->groups.state_off);
}

static int set_build(struct mr_op *op, struct set_state *s)
{
	struct mr_batch in;
	uint32_t *numbers;
	int rc;

	while ((rc = mr_op_next(op->right, &in)) == 1) {
		rc = find_counts(op, s, &in, &numbers);
		if (rc < 0)
			return rc;
		for (uint32_t k = 0; k < in.n; k++)
			++*count_of(s, numbers[k]);
	}
	s->built = true;
	op->run->dict_epoch++;
	return rc;
}

// Whether a left row is given.
static bool give(const struct mr_plan *p, uint64_t *count)
{
	bool here = *count > 0;

	if (p->intersect)
		*count = p->all ? *count - here : 0;
	else
		*count = p->all ? *count - here : 1;
	return here == p->intersect;
}

static int set_next(struct mr_op *op, struct mr_batch *out)
{
	struct set_state *s = op->state;
	uint32_t *numbers, *sel, n = 0;
	int rc = s->built ? 0 : set_build(op, s);

	rc = rc < 0 ? rc : mr_op_next(op->child, out);
	if (rc <= 0)
		return rc;
	rc = find_counts(op, s, out, &numbers);
	if (rc < 0)
		return rc;
	sel = mr_arena_alloc(&op->scratch, (out->n + 1) * sizeof(*sel));
	if (!sel)
		return mr_op_no_memory(op);
	for (uint32_t k = 0; k < out->n; k++)
		if (give(op->plan, count_of(s, numbers[k])))
			sel[n++] = mr_sel(out->sel, k);
	out->sel = sel;
	out->n = n;
	return 1;
}

int mr_op_set_open(struct mr_op *op)
{
	const struct mr_plan *p = op->plan;
	struct mr_arena *arena = op->run->query->arena;
	struct set_state *s = mr_arena_zalloc(arena, 1, sizeof(*s));
	struct mr_typeref types[64];

	if (p->columns_count > 64)
		return mr_diag_set(op->run->diag, MR_ERR_UNSUPPORTED, "0A000", 0,
			"INTERSECT and EXCEPT of more than 64 columns are not supported");
	for (uint32_t i = 0; i < p->columns_count; i++)
		types[i] = p->columns[i].type;
	op->next = set_next;
	op->state = s;
	if (!s || mr_groups_init(&s->groups, arena, types, p->columns_count, sizeof(uint64_t)) < 0)
		return mr_op_no_memory(op);
	return 0;
}
