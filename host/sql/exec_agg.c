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
	mr_budget_give(c->groups.arena ? c->groups.arena->budget : NULL, c->outside_bytes);
	c->outside_bytes = 0;
}

// One aggregate's input: the rows that reach it, and its arguments.
struct input {
	struct mr_vec args[2];
	struct mr_rows which;
};

static int prepare(struct mr_eval *ev, const struct mr_agg_call *call, const uint32_t *sel,
	uint32_t n, struct input *in)
{
	uint32_t *kept;
	int rc = 0;

	in->which = (struct mr_rows){.count = n, .sel = sel};
	if (call->filter) {
		kept = mr_arena_alloc(ev->arena, (n + 1) * sizeof(*kept));
		if (!kept)
			return mr_eval_no_memory(ev);
		rc = mr_expr_filter(ev, call->filter, sel, n, kept);
		in->which = (struct mr_rows){.count = (uint32_t)rc, .sel = kept};
	}
	for (uint32_t a = 0; a < call->args_count && rc >= 0; a++)
		rc = mr_expr_eval(ev, call->args[a], in->which.sel, in->which.count, &in->args[a]);
	if (rc < 0 || call->args_count == 0 || call->fn->flags & MR_AGG_NULLS)
		return rc;
	if (!in->args[0].constant)
		in->which.mask = in->args[0].col.valid;
	else if (mr_vec_is_null(&in->args[0], 0))
		in->which.count = 0;
	return 0;
}

// The rows as a list without a mask.
static int unmask(struct mr_eval *ev, struct mr_rows *r)
{
	uint32_t *sel, n = 0;

	if (!r->mask)
		return 0;
	sel = mr_arena_alloc(ev->arena, (r->count + 16) * sizeof(*sel));
	if (!sel)
		return mr_eval_no_memory(ev);
	if (!r->sel)
		n = mr_kern->filter->bits_to_sel(r->mask, r->count, sel);
	for (uint32_t k = 0; r->sel && k < r->count; k++) {
		sel[n] = r->sel[k];
		n += mr_bit_get(r->mask, r->sel[k]);
	}
	*r = (struct mr_rows){.count = n, .sel = sel};
	return 0;
}

// ---- Numbering the groups of rows ----

// Makes room for the codes of a dictionary not met in this epoch.
static int open_codes(struct mr_agg_core *c, uint64_t epoch, const struct mr_dict *dict)
{
	struct mr_agg_codes *m = &c->codes;
	uint32_t count = dict->count;

	if (m->dict == dict && m->epoch == epoch && m->count == count)
		return 0;
	if (count >= m->max) {
		m->max = MR_MAX(2 * count, 256u);
		m->numbers = mr_arena_alloc(c->groups.arena, m->max * sizeof(*m->numbers));
		if (!m->numbers) {
			m->max = 0;
			m->dict = NULL;
			return MR_ERR_LIMIT;
		}
	}
	memset(m->numbers, 0, (count + 1) * sizeof(*m->numbers));
	m->dict = dict;
	m->epoch = epoch;
	m->count = count;
	return 0;
}

// By the key's dictionary: only the first row of each code is hashed.
static int number_codes(struct mr_agg_core *c, struct mr_eval *ev, const struct mr_vec *key,
	const uint32_t *sel, uint32_t n, uint32_t *numbers)
{
	uint32_t *known;

	if (open_codes(c, ev->dict_epoch, key->col.dict) < 0)
		return MR_ERR_LIMIT;
	known = c->codes.numbers;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = mr_sel(sel, k), number;
		uint32_t code = mr_col_is_null(&key->col, i) ? c->codes.count : key->col.codes[i];

		if (!known[code]) {
			if (mr_groups_put(&c->groups, ev->arena, key, &i, 1, &number, NULL) < 0)
				return MR_ERR_LIMIT;
			known[code] = number + 1;
		}
		numbers[i] = known[code] - 1;
	}
	return 0;
}

static bool has_codes(const struct mr_agg_core *c, const struct mr_vec *keys, uint32_t n)
{
	return c->groups.keys_count == 1 && keys[0].col.codes && !keys[0].constant &&
	       keys[0].col.dict->count / 4 <= n;
}

// The number of each row's group, by row; NULL when there is no GROUP BY: group 0.
static int number_rows(struct mr_agg_core *c, struct mr_eval *ev, const struct mr_vec *keys,
	const uint32_t *sel, uint32_t n, uint32_t **out)
{
	uint32_t *listed, *numbers;

	*out = NULL;
	if (c->groups.keys_count == 0)
		return c->groups.count ? 0 : mr_agg_core_first(c, ev);
	numbers = mr_arena_column(ev->arena, (ev->rows + 1) * sizeof(*numbers));
	listed = sel ? mr_arena_alloc(ev->arena, (n + 1) * sizeof(*listed)) : numbers;
	if (!numbers || !listed)
		return mr_eval_no_memory(ev);
	*out = numbers;
	if (has_codes(c, keys, n))
		return number_codes(c, ev, keys, sel, n, numbers) < 0 ? mr_eval_no_memory(ev) : 0;
	if (mr_groups_put(&c->groups, ev->arena, keys, sel, n, listed, NULL) < 0)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; sel && k < n; k++)
		numbers[sel[k]] = listed[k];
	return 0;
}

// ---- Updating the states ----

// Leaves only the values that a DISTINCT aggregate has not seen in the group.
static int drop_seen(struct mr_agg_core *c, struct mr_eval *ev, uint32_t call,
	const uint32_t *numbers, struct input *in)
{
	const struct mr_rows r = in->which;
	int64_t *group = mr_arena_column(ev->arena, (ev->rows + 1) * sizeof(*group));
	bool *fresh = mr_arena_alloc(ev->arena, r.count + 1);
	uint32_t *found = mr_arena_alloc(ev->arena, (r.count + 1) * sizeof(*found));
	uint32_t *sel = mr_arena_alloc(ev->arena, (r.count + 1) * sizeof(*sel)), kept = 0;
	struct mr_vec keys[2];

	if (!group || !fresh || !found || !sel)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < r.count; k++)
		group[mr_sel(r.sel, k)] = numbers ? numbers[mr_sel(r.sel, k)] : 0;
	keys[0] = (struct mr_vec){.col = {
					  .type = {.type = MR_TYPE_INT8},
					  .phys = MR_PHYS_I64,
					  .values = group,
				  }};
	keys[1] = in->args[0];
	if (mr_groups_put(&c->distinct[call], ev->arena, keys, r.sel, r.count, found, fresh) < 0)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < r.count; k++) {
		sel[kept] = mr_sel(r.sel, k);
		kept += fresh[k];
	}
	in->which = (struct mr_rows){.count = kept, .sel = sel};
	return 0;
}

// Row by row.
static int update(struct mr_agg_core *c, struct mr_eval *ev, uint32_t call, const uint32_t *numbers,
	struct input *in)
{
	struct mr_agg_run *x = &c->runs[call];
	int rc = unmask(ev, &in->which);
	uint8_t **rows;

	if (rc == 0 && x->call->distinct && x->call->args_count)
		rc = drop_seen(c, ev, call, numbers, in);
	if (rc < 0 || in->which.count == 0)
		return rc;
	rows = mr_arena_alloc(ev->arena, in->which.count * sizeof(*rows));
	if (!rows)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < in->which.count; k++)
		rows[k] =
			mr_groups_row(&c->groups, numbers ? numbers[mr_sel(in->which.sel, k)] : 0);
	return x->call->fn->update(x, rows, in->args, in->which.sel, in->which.count);
}

// Whether the states of all groups are few beside the rows of the batch: then they are gathered
// anew for each batch, by kernels, and added to the groups.
static bool is_few(uint32_t groups, uint32_t rows)
{
	return (uint64_t)groups * 8 <= rows || groups == 1;
}

static int update_all(struct mr_agg_core *c, struct mr_eval *ev, uint32_t n,
	const uint32_t *numbers, struct input *in)
{
	uint32_t groups = c->groups.count;
	uint8_t **rows = NULL;
	int rc = 0;

	if (is_few(groups, n)) {
		rows = mr_arena_alloc(ev->arena, groups * sizeof(*rows));
		if (!rows)
			return mr_eval_no_memory(ev);
		for (uint32_t g = 0; g < groups; g++)
			rows[g] = mr_groups_row(&c->groups, g);
	}
	for (uint32_t i = 0; i < c->plan->calls_count && rc >= 0; i++) {
		struct mr_agg_run *x = &c->runs[i];
		bool has_arg = x->call->args_count > 0;
		struct mr_agg_batch b = {rows, numbers, groups, has_arg ? &in[i].args[0].col : NULL,
			in[i].which, ev->arena};

		x->diag = ev->diag;
		rc = 1;
		if (rows && x->call->fn->batch && !x->call->distinct &&
			!(has_arg && in[i].args[0].constant))
			rc = x->call->fn->batch(x, &b);
		if (rc == 1)
			rc = update(c, ev, i, numbers, &in[i]);
	}
	return rc;
}

int mr_agg_core_put(struct mr_agg_core *c, struct mr_eval *ev, const uint32_t *sel, uint32_t n)
{
	const struct mr_plan *p = c->plan;
	struct mr_vec *keys = mr_arena_zalloc(ev->arena, p->exprs_count + 1, sizeof(*keys));
	struct input *in = mr_arena_zalloc(ev->arena, p->calls_count + 1, sizeof(*in));
	uint32_t *numbers;
	int rc = 0;

	if (!keys || !in)
		return mr_eval_no_memory(ev);
	for (uint32_t i = 0; i < p->exprs_count && rc >= 0; i++)
		rc = mr_expr_eval(ev, p->exprs[i], sel, n, &keys[i]);
	for (uint32_t i = 0; i < p->calls_count && rc >= 0; i++)
		rc = prepare(ev, c->runs[i].call, sel, n, &in[i]);
	rc = rc < 0 ? rc : number_rows(c, ev, keys, sel, n, &numbers);
	return rc < 0 ? rc : update_all(c, ev, n, numbers, in);
}

int mr_agg_core_first(struct mr_agg_core *c, struct mr_eval *ev)
{
	uint32_t number;

	if (mr_groups_put(&c->groups, ev->arena, NULL, NULL, 1, &number, NULL) < 0)
		return mr_eval_no_memory(ev);
	return 0;
}

int mr_agg_core_merge_group(struct mr_agg_core *c, const struct mr_agg_core *from, uint32_t group)
{
	uint8_t *other = mr_groups_row(&from->groups, group), *row;
	int rc = mr_groups_put_row(&c->groups, other, &row);

	for (uint32_t i = 0; i < c->plan->calls_count && rc >= 0; i++) {
		struct mr_agg_run *x = &c->runs[i];

		rc = x->call->fn->merge(
			x, mr_agg_state(x, row), mr_agg_state(&from->runs[i], other));
	}
	return MR_MIN(rc, 0);
}

int mr_agg_core_merge(struct mr_agg_core *c, const struct mr_agg_core *from)
{
	int rc = 0;

	for (uint32_t g = 0; g < from->groups.count && rc == 0; g++)
		rc = mr_agg_core_merge_group(c, from, g);
	return rc;
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
