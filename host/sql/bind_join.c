// Conditions of joins and scans: ON, and what WHERE says about their rows.
//
// An equality between the two sides is a key of the hash table. What else stands in ON is checked
// for each pair. Once a query is bound, the parts of WHERE that are joined by AND sink as far down
// as they can: those about one relation to its scan, whose blocks they may rule out, equalities to
// the join of their two sides. So FROM a, b WHERE a.x = b.y is a join by x and y. What a row of an
// outer join was filled up with can only be judged above it. Parts of other queries' runs
// (correlated subqueries) and volatile functions stay where they were written.
#include "host/sql/bind.h"

#include <string.h>

// Whether an expression's columns are all of one side; `*right` tells which.
static bool one_side(const struct mr_plan *join, const struct mr_expr *e, int *side)
{
	if (e->kind == MR_EXPR_COLUMN) {
		int here = join->columns[e->index].right ? 2 : 1;

		*side |= here;
		return *side != 3;
	}
	for (uint32_t i = 0; i < e->args_count; i++)
		if (!one_side(join, e->args[i], side))
			return false;
	return true;
}

// A copy whose columns are those of the side.
static struct mr_expr *to_side(struct mr_bind *b, const struct mr_plan *join, struct mr_expr *e)
{
	struct mr_expr *copy = mr_bind_new(b, e->kind, e->type.type, e->args_count, e->position);
	struct mr_expr **args;

	if (!copy)
		return NULL;
	args = copy->args;
	*copy = *e;
	copy->args = args;
	if (e->kind == MR_EXPR_COLUMN)
		copy->index = join->columns[e->index].source;
	for (uint32_t i = 0; i < e->args_count; i++)
		if (!(copy->args[i] = to_side(b, join, e->args[i])))
			return NULL;
	return copy;
}

static bool is_equality(const struct mr_plan *join, struct mr_expr *e, struct mr_expr **left,
	struct mr_expr **right)
{
	int a = 0, c = 0;

	if (e->kind != MR_EXPR_CALL || strcmp(e->fn->name, "=") != 0)
		return false;
	if (!one_side(join, e->args[0], &a) || !one_side(join, e->args[1], &c) || a + c != 3 ||
		!a || !c)
		return false;
	*left = e->args[a == 1 ? 0 : 1];
	*right = e->args[a == 1 ? 1 : 0];
	return true;
}

// A condition of one side only is an equality with TRUE: LEFT JOIN must not filter by it.
static int one_sided(struct mr_bind *b, const struct mr_plan *join, struct mr_expr *e,
	struct mr_expr **left, struct mr_expr **right)
{
	struct mr_expr *yes = mr_bind_new(b, MR_EXPR_CONST, MR_TYPE_BOOL, 0, e->position);
	int side = 0;

	if (!yes)
		return mr_bind_no_memory(b);
	if (!join->outer || !one_side(join, e, &side))
		return 0;
	yes->value.u8 = 1;
	*left = side == 2 ? yes : e;
	*right = side == 2 ? e : yes;
	return 1;
}

int mr_bind_join_on(struct mr_bind *b, struct mr_plan *join, struct mr_expr *on)
{
	uint32_t n = on->kind == MR_EXPR_AND ? on->args_count : 1, rest = 0;
	struct mr_expr **items = on->kind == MR_EXPR_AND ? on->args : &on;
	struct mr_expr *residual = mr_bind_new(b, MR_EXPR_AND, MR_TYPE_BOOL, n, on->position);

	join->exprs = mr_arena_zalloc(b->arena, n + 1, sizeof(*join->exprs));
	join->right_exprs = mr_arena_zalloc(b->arena, n + 1, sizeof(*join->right_exprs));
	if (!residual || !join->exprs || !join->right_exprs)
		return mr_bind_no_memory(b);
	for (uint32_t i = 0; i < n; i++) {
		struct mr_expr *l = NULL, *r = NULL;
		int rc = is_equality(join, items[i], &l, &r) ? 1
							     : one_sided(b, join, items[i], &l, &r);

		if (rc < 0)
			return rc;
		if (rc == 0) {
			residual->args[rest++] = items[i];
			continue;
		}
		join->exprs[join->exprs_count] = to_side(b, join, l);
		join->right_exprs[join->exprs_count] = to_side(b, join, r);
		if (!join->exprs[join->exprs_count] || !join->right_exprs[join->exprs_count])
			return mr_bind_no_memory(b);
		join->exprs_count++;
	}
	residual->args_count = rest;
	if (rest)
		join->condition = residual;
	return 0;
}

// ---- Scan ranges ----

static int note_range(struct mr_bind *b, struct mr_plan *scan, const struct mr_expr *e)
{
	const struct mr_expr *col, *val;
	struct mr_plan_range *r;
	const char *op = e->kind == MR_EXPR_CALL ? e->fn->name : "";
	bool flipped;

	if (e->args_count != 2 || !strchr("=<>", op[0]) || strcmp(op, "<>") == 0 || !op[0])
		return 0;
	flipped = e->args[1]->kind == MR_EXPR_COLUMN;
	col = e->args[flipped];
	val = e->args[!flipped];
	if (col->kind != MR_EXPR_COLUMN || mr_expr_has_columns(val) ||
		mr_type_phys(col->type) != mr_type_phys(val->type) ||
		(mr_type_phys(col->type) == MR_PHYS_BYTES && op[0] != '='))
		return 0;
	if (val->kind == MR_EXPR_SUBQUERY)
		return 0;
	r = mr_arena_alloc(b->arena, (scan->ranges_count + 1) * sizeof(*r));
	if (!r)
		return mr_bind_no_memory(b);
	if (scan->ranges_count)
		memcpy(r, scan->ranges, scan->ranges_count * sizeof(*r));
	scan->ranges = r;
	r[scan->ranges_count++] = (struct mr_plan_range){
		.column = scan->columns[col->index].source,
		.low = op[0] == '=' || (op[0] == '>') != flipped ? (struct mr_expr *)val : NULL,
		.high = op[0] == '=' || (op[0] == '<') != flipped ? (struct mr_expr *)val : NULL,
	};
	return 0;
}

int mr_bind_ranges(struct mr_bind *b, struct mr_plan *scan, const struct mr_expr *where)
{
	uint32_t n = where->kind == MR_EXPR_AND ? where->args_count : 1;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = note_range(b, scan, where->kind == MR_EXPR_AND ? where->args[i] : where);
	return rc;
}

// ---- WHERE ----

static bool may_sink(const struct mr_expr *e)
{
	if (e->kind == MR_EXPR_SUBQUERY && e->args_count)
		return false;
	if (e->kind == MR_EXPR_CALL && e->fn->flags & MR_FN_VOLATILE)
		return false;
	for (uint32_t i = 0; i < e->args_count; i++)
		if (!may_sink(e->args[i]))
			return false;
	return true;
}

static int add_key(struct mr_bind *b, struct mr_plan *join, struct mr_expr *l, struct mr_expr *r)
{
	size_t bytes = (join->exprs_count + 1) * sizeof(*join->exprs);
	struct mr_expr **left = mr_arena_alloc(b->arena, bytes);
	struct mr_expr **right = mr_arena_alloc(b->arena, bytes);

	if (!left || !right)
		return mr_bind_no_memory(b);
	if (join->exprs_count) {
		memcpy(left, join->exprs, bytes - sizeof(*left));
		memcpy(right, join->right_exprs, bytes - sizeof(*right));
	}
	left[join->exprs_count] = to_side(b, join, l);
	right[join->exprs_count] = to_side(b, join, r);
	if (!left[join->exprs_count] || !right[join->exprs_count])
		return mr_bind_no_memory(b);
	join->exprs = left;
	join->right_exprs = right;
	join->exprs_count++;
	return 1;
}

// Filters a relation of FROM.
static int add_filter(struct mr_bind *b, struct mr_plan **rel, struct mr_expr *e)
{
	struct mr_plan *f = *rel, *below = *rel;
	struct mr_expr *both;

	if (below->kind == MR_PLAN_SCAN ||
		(below->kind == MR_PLAN_FILTER && below->child->kind == MR_PLAN_SCAN))
		if (mr_bind_ranges(b, below->kind == MR_PLAN_SCAN ? below : below->child, e) < 0)
			return -1;
	if (below->kind == MR_PLAN_FILTER && below->columns_count) {
		both = mr_bind_new(b, MR_EXPR_AND, MR_TYPE_BOOL, 2, e->position);
		if (!both)
			return mr_bind_no_memory(b);
		both->args[0] = f->condition;
		both->args[1] = e;
		f->condition = both;
		return 1;
	}
	f = mr_bind_plan(b, MR_PLAN_FILTER, below);
	if (!f)
		return mr_bind_no_memory(b);
	f->condition = e;
	f->columns = below->columns;
	f->columns_count = below->columns_count;
	*rel = f;
	return 1;
}

// 1: the condition is checked by `*plan` or below from now on; 0: it must be checked above.
static int sink(struct mr_bind *b, struct mr_plan **plan, struct mr_expr *e)
{
	struct mr_plan *p = *plan;
	struct mr_expr *l, *r;
	int side = 0;

	if (p->kind != MR_PLAN_JOIN)
		return add_filter(b, plan, e);
	if (!one_side(p, e, &side))
		return !p->outer && is_equality(p, e, &l, &r) ? add_key(b, p, l, r) : 0;
	if (side == 0 || p->full || (side == 2 && p->outer))
		return 0;
	e = to_side(b, p, e);
	if (!e)
		return mr_bind_no_memory(b);
	return sink(b, side == 1 ? &p->child : &p->right, e);
}

int mr_bind_join_where(struct mr_bind *b, struct mr_plan **plan)
{
	struct mr_plan *f = *plan;
	struct mr_expr *e = f->condition, *rest;
	uint32_t n = e->kind == MR_EXPR_AND ? e->args_count : 1;

	if (f->child->kind != MR_PLAN_JOIN)
		return 0;
	rest = mr_bind_new(b, MR_EXPR_AND, MR_TYPE_BOOL, n, e->position);
	if (!rest)
		return mr_bind_no_memory(b);
	rest->args_count = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct mr_expr *item = e->kind == MR_EXPR_AND ? e->args[i] : e;
		int rc = may_sink(item) ? sink(b, &f->child, item) : 0;

		if (rc < 0)
			return rc;
		if (rc == 0)
			rest->args[rest->args_count++] = item;
	}
	f->condition = rest->args_count == 1 ? rest->args[0] : rest;
	if (rest->args_count == 0)
		*plan = f->child;
	return 0;
}
