// Hash aggregation.
#include "host/sql/exec.h"

#include <string.h>

int mr_agg_core_init(struct mr_agg_core *c, const struct mr_plan *plan, struct mr_arena *arena,
	struct mr_diag *diag)
{
	struct mr_typeref keys[64];
	uint32_t bytes = 0;
	int rc;

	*c = (struct mr_agg_core){.plan = plan};
	for (uint32_t i = 0; i < plan->exprs_count; i++)
		keys[i] = plan->exprs[i]->type;
	for (uint32_t i = 0; i < plan->calls_count; i++)
		bytes += (uint32_t)mr_round_up(plan->calls[i].fn->state_bytes, MR_GROUP_ALIGN);
	rc = mr_groups_init(&c->groups, arena, keys, plan->exprs_count, bytes);
	c->runs = mr_arena_zalloc(arena, plan->calls_count + 1, sizeof(*c->runs));
	c->distinct = mr_arena_zalloc(arena, plan->calls_count + 1, sizeof(*c->distinct));
	if (rc < 0 || !c->runs || !c->distinct)
		return MR_ERR_LIMIT;
	bytes = c->groups.state_off;
	for (uint32_t i = 0; i < plan->calls_count; i++) {
		struct mr_agg_call *call = mr_arena_alloc(arena, sizeof(*call));
		struct mr_typeref pair[2] = {{.type = MR_TYPE_INT8}};

		if (!call)
			return MR_ERR_LIMIT;
		*call = plan->calls[i];
		call->offset = bytes;
		bytes += (uint32_t)mr_round_up(call->fn->state_bytes, MR_GROUP_ALIGN);
		c->runs[i] = (struct mr_agg_run){call, arena, &c->outside_bytes, diag};
		if (!call->distinct || call->args_count == 0)
			continue;
		pair[1] = call->args[0]->type;
		if (mr_groups_init(&c->distinct[i], arena, pair, 2, 0) < 0)
			return MR_ERR_LIMIT;
	}
	return 0;
}

void mr_agg_core_fini(struct mr_agg_core *c)
{
	for (uint32_t i = 0; c->runs && i < c->plan->calls_count; i++) {
		struct mr_agg_run *x = &c->runs[i];

		for (uint32_t g = 0; x->call && x->call->fn->fini && g < c->groups.count; g++)
			x->call->fn->fini(mr_agg_state(x, mr_groups_row(&c->groups, g)));
	}
	c->groups.count = 0;
}

// One aggregate's input: the rows that reach it, and its arguments.
struct input {
	struct mr_vec args[2];
	uint32_t *sel;
	uint32_t *nth; // place of each in the batch, to find its group's row
	uint32_t n;
};

static int prepare(struct mr_eval *ev, const struct mr_agg_call *call, const uint32_t *sel,
	uint32_t n, struct input *in)
{
	uint32_t kept = 0;
	struct mr_vec filter;
	int rc = 0;

	in->sel = mr_arena_alloc(ev->arena, (n + 1) * sizeof(*in->sel));
	in->nth = mr_arena_alloc(ev->arena, (n + 1) * sizeof(*in->nth));
	if (!in->sel || !in->nth)
		return mr_eval_no_memory(ev);
	if (call->filter)
		rc = mr_expr_eval(ev, call->filter, sel, n, &filter);
	if (rc < 0)
		return rc;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = mr_sel(sel, k);

		if (call->filter &&
			(mr_vec_is_null(&filter, i) || !*(const uint8_t *)mr_vec_at(&filter, i)))
			continue;
		in->sel[kept] = i;
		in->nth[kept++] = k;
	}
	for (uint32_t a = 0; a < call->args_count; a++) {
		rc = mr_expr_eval(ev, call->args[a], in->sel, kept, &in->args[a]);
		if (rc < 0)
			return rc;
	}
	in->n = kept;
	if (call->args_count == 0 || !in->args[0].col.valid)
		return 0;
	in->n = 0;
	for (uint32_t k = 0; k < kept; k++)
		if (!mr_vec_is_null(&in->args[0], in->sel[k])) {
			in->sel[in->n] = in->sel[k];
			in->nth[in->n++] = in->nth[k];
		}
	return 0;
}

// Leaves only the values that a DISTINCT aggregate has not seen in the group.
static int drop_seen(
	struct mr_agg_core *c, struct mr_eval *ev, uint32_t call, uint8_t **rows, struct input *in)
{
	int64_t *group = mr_arena_zalloc(ev->arena, ev->rows + 1, sizeof(*group));
	bool *fresh = mr_arena_alloc(ev->arena, in->n + 1);
	uint8_t **found = mr_arena_alloc(ev->arena, (in->n + 1) * sizeof(*found));
	struct mr_vec keys[2];
	uint32_t kept = 0;

	if (!group || !fresh || !found)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < in->n; k++)
		group[in->sel[k]] = (int64_t)(intptr_t)rows[k];
	keys[0] = (struct mr_vec){.col = {
					  .type = {.type = MR_TYPE_INT8},
					  .phys = MR_PHYS_I64,
					  .values = group,
				  }};
	keys[1] = in->args[0];
	if (mr_groups_put(&c->distinct[call], ev->arena, keys, in->sel, in->n, found, fresh) < 0)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < in->n; k++)
		if (fresh[k]) {
			in->sel[kept] = in->sel[k];
			rows[kept++] = rows[k];
		}
	in->n = kept;
	return 0;
}

static int update(struct mr_agg_core *c, struct mr_eval *ev, uint32_t call, uint8_t *const *rows,
	struct input *in)
{
	struct mr_agg_run *x = &c->runs[call];
	uint8_t **mine = mr_arena_alloc(ev->arena, (in->n + 1) * sizeof(*mine));
	int rc = 0;

	if (!mine)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < in->n; k++)
		mine[k] = rows[in->nth[k]];
	if (x->call->distinct && x->call->args_count)
		rc = drop_seen(c, ev, call, mine, in);
	return rc < 0 ? rc : x->call->fn->update(x, mine, in->args, in->sel, in->n);
}

int mr_agg_core_put(struct mr_agg_core *c, struct mr_eval *ev, const uint32_t *sel, uint32_t n)
{
	const struct mr_plan *p = c->plan;
	struct mr_vec *keys = mr_arena_zalloc(ev->arena, p->exprs_count + 1, sizeof(*keys));
	struct input *in = mr_arena_zalloc(ev->arena, p->calls_count + 1, sizeof(*in));
	uint8_t **rows = mr_arena_alloc(ev->arena, (n + 1) * sizeof(*rows));
	int rc = 0;

	if (!keys || !in || !rows)
		return mr_eval_no_memory(ev);
	for (uint32_t i = 0; i < p->exprs_count && rc >= 0; i++)
		rc = mr_expr_eval(ev, p->exprs[i], sel, n, &keys[i]);
	for (uint32_t i = 0; i < p->calls_count && rc >= 0; i++)
		rc = prepare(ev, c->runs[i].call, sel, n, &in[i]);
	if (rc < 0)
		return rc;
	if (mr_groups_put(&c->groups, ev->arena, keys, sel, n, rows, NULL) < 0)
		return mr_eval_no_memory(ev);
	for (uint32_t i = 0; i < p->calls_count && rc >= 0; i++) {
		c->runs[i].diag = ev->diag;
		rc = update(c, ev, i, rows, &in[i]);
	}
	return rc;
}

int mr_agg_core_first(struct mr_agg_core *c, struct mr_eval *ev)
{
	uint8_t *row;

	if (mr_groups_put(&c->groups, ev->arena, NULL, NULL, 1, &row, NULL) < 0)
		return mr_eval_no_memory(ev);
	return 0;
}

int mr_agg_core_merge(struct mr_agg_core *c, const struct mr_agg_core *from)
{
	for (uint32_t g = 0; g < from->groups.count; g++) {
		uint8_t *other = mr_groups_row(&from->groups, g), *row;
		int rc = mr_groups_put_row(&c->groups, other, &row);

		for (uint32_t i = 0; i < c->plan->calls_count && rc >= 0; i++) {
			struct mr_agg_run *x = &c->runs[i];

			rc = x->call->fn->merge(
				x, mr_agg_state(x, row), mr_agg_state(&from->runs[i], other));
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_call(const struct mr_agg_core *c, struct mr_eval *ev, uint32_t call, uint32_t first,
	uint32_t n, struct mr_col *out)
{
	struct mr_agg_run x = c->runs[call];
	enum mr_phys phys = mr_type_phys(x.call->type);
	uint8_t *values = mr_arena_column(ev->arena, n * mr_phys_bytes(phys));
	uint64_t *valid = mr_arena_column(ev->arena, (size_t)(n + 63) / 64 * 8);

	if (!values || !valid)
		return mr_eval_no_memory(ev);
	x.diag = ev->diag;
	x.arena = ev->arena;
	memset(valid, 0xff, (size_t)(n + 63) / 64 * 8);
	for (uint32_t k = 0; k < n; k++) {
		uint8_t *row = mr_groups_row(&c->groups, first + k);
		int rc = x.call->fn->finish(
			&x, mr_agg_state(&x, row), values + k * mr_phys_bytes(phys));

		if (rc < 0)
			return rc;
		if (rc == 1)
			mr_bit_clear(valid, k);
	}
	*out = (struct mr_col){
		.type = x.call->type, .phys = (uint8_t)phys, .values = values, .valid = valid};
	return 0;
}

int mr_agg_core_read(const struct mr_agg_core *c, struct mr_eval *ev, uint32_t first, uint32_t n,
	struct mr_col **out)
{
	uint32_t keys = c->plan->exprs_count, count = keys + c->plan->calls_count;
	int rc = 0;

	*out = mr_arena_zalloc(ev->arena, count + 1, sizeof(**out));
	if (!*out)
		return mr_eval_no_memory(ev);
	for (uint32_t i = 0; i < count && rc >= 0; i++)
		rc = i < keys ? mr_groups_key_column(&c->groups, ev, i, first, n, &(*out)[i])
			      : read_call(c, ev, i - keys, first, n, &(*out)[i]);
	return rc;
}

struct agg_state {
	struct mr_agg_core core;
	bool built;
	uint32_t at;
};

static int agg_build(struct mr_op *op, struct agg_state *s)
{
	struct mr_batch in, none = {0};
	int rc;

	if (mr_agg_core_init(&s->core, op->plan, op->run->query->arena, op->run->diag) < 0)
		return mr_op_no_memory(op);
	while ((rc = mr_op_next(op->child, &in)) == 1) {
		mr_op_input(op, &in);
		rc = in.n ? mr_agg_core_put(&s->core, &op->eval, in.sel, in.n) : 0;
		if (rc < 0)
			return rc;
	}
	mr_op_input(op, &none);
	if (rc == 0 && op->plan->exprs_count == 0)
		rc = mr_agg_core_first(&s->core, &op->eval);
	s->built = true;
	return rc;
}

static int agg_next(struct mr_op *op, struct mr_batch *out)
{
	struct agg_state *s = op->state;
	struct mr_batch none = {0};
	struct mr_col *columns;
	uint32_t n;
	int rc = s->built ? 0 : agg_build(op, s);

	if (rc < 0)
		return rc;
	mr_op_input(op, &none);
	n = MR_MIN(s->core.groups.count - s->at, (uint32_t)MR_EXEC_ROWS);
	if (n == 0)
		return 0;
	rc = mr_agg_core_read(&s->core, &op->eval, s->at, n, &columns);
	if (rc < 0)
		return rc;
	s->at += n;
	*out = (struct mr_batch){.rows = n, .n = n, .columns = columns};
	return 1;
}

static void agg_close(struct mr_op *op)
{
	struct agg_state *s = op->state;

	if (s && s->core.plan)
		mr_agg_core_fini(&s->core);
}

int mr_op_agg_open(struct mr_op *op)
{
	op->next = agg_next;
	op->close = agg_close;
	op->state = mr_arena_zalloc(op->run->query->arena, 1, sizeof(struct agg_state));
	return op->state ? 0 : mr_op_no_memory(op);
}
