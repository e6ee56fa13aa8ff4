// Evaluation of expression trees over blocks.
#include "host/sql/expr.h"

#include "host/sql/fn.h"

#include <errno.h>

#include <math.h>
#include <string.h>

int mr_eval_no_memory(struct mr_eval *ev)
{
	return mr_query_no_memory(ev->query, ev->diag);
}

// A result column of the block's rows.
static void *new_values(struct mr_eval *ev, struct mr_typeref t, struct mr_vec *out)
{
	*out = (struct mr_vec){.col = {.type = t, .phys = (uint8_t)mr_type_phys(t)}};
	out->col.values =
		mr_arena_column(ev->arena, ev->rows * mr_phys_bytes((enum mr_phys)out->col.phys));
	return (void *)out->col.values;
}

static uint64_t *new_bits(struct mr_eval *ev, bool set)
{
	size_t bytes = (size_t)(ev->rows + 63) / 64 * 8;
	uint64_t *bits = mr_arena_column(ev->arena, bytes);

	if (bits)
		memset(bits, set ? 0xff : 0, bytes);
	return bits;
}

static int eval_datum(struct mr_eval *ev, struct mr_typeref t, bool null,
	const union mr_value *value, struct mr_vec *out)
{
	static const uint64_t none[1 + MR_COL_PAD / 8];
	enum mr_phys phys = mr_type_phys(t);
	union mr_value *v = mr_arena_column(ev->arena, sizeof(*v));

	if (!v)
		return mr_eval_no_memory(ev);
	memset(v, 0, sizeof(*v));
	if (!null)
		*v = *value;
	*out = (struct mr_vec){
		.col = {.type = t, .phys = (uint8_t)phys, .values = v, .valid = null ? none : NULL},
		.constant = true};
	return 0;
}

// Kleene's AND (OR): rows that the first argument decides do not evaluate the second.
static int eval_and_or(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	const uint8_t stop = e->kind == MR_EXPR_OR;
	uint8_t *r = new_values(ev, e->type, out);
	uint64_t *valid = new_bits(ev, true);
	uint32_t *left = mr_arena_alloc(ev->arena, n * sizeof(*left)), left_n = n, null_n = 0;

	if (!r || !valid || !left)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < n; k++) {
		left[k] = mr_sel(sel, k);
		r[left[k]] = !stop;
	}
	for (uint32_t a = 0; a < e->args_count && left_n; a++) {
		struct mr_vec v;
		uint32_t kept = 0;
		int rc = mr_expr_eval(ev, e->args[a], left, left_n, &v);

		if (rc < 0)
			return rc;
		for (uint32_t k = 0; k < left_n; k++) {
			uint32_t i = left[k];

			if (mr_vec_is_null(&v, i)) {
				mr_bit_clear(valid, i);
				null_n++;
			} else if (*(const uint8_t *)mr_vec_at(&v, i) == stop) {
				r[i] = stop;
				mr_bit_set(valid, i);
				continue;
			}
			left[kept++] = i;
		}
		left_n = kept;
	}
	out->col.valid = null_n ? valid : NULL;
	return 0;
}

static int eval_not(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	struct mr_vec v;
	int rc = mr_expr_eval(ev, e->args[0], sel, n, &v);
	uint8_t *r;

	if (rc < 0)
		return rc;
	r = new_values(ev, e->type, out);
	if (!r)
		return mr_eval_no_memory(ev);
	out->constant = v.constant;
	out->col.valid = v.col.valid;
	for (uint32_t k = 0, m = v.constant ? MR_MIN(n, 1u) : n; k < m; k++) {
		uint32_t i = v.constant ? 0 : mr_sel(sel, k);

		r[i] = mr_vec_is_null(&v, i) ? 0 : !*(const uint8_t *)mr_vec_at(&v, i);
	}
	return 0;
}

static int eval_is(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	struct mr_vec v;
	int rc = mr_expr_eval(ev, e->args[0], sel, n, &v);
	uint8_t *r;

	if (rc < 0)
		return rc;
	r = new_values(ev, e->type, out);
	if (!r)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = mr_sel(sel, k);
		bool null = mr_vec_is_null(&v, i);

		if (e->kind == MR_EXPR_IS_NULL)
			r[i] = null != e->negate;
		else
			r[i] = (!null && *(const uint8_t *)mr_vec_at(&v, i) ==
						 e->args[1]->value.u8) != e->negate;
	}
	return 0;
}

// Copies the value of (v, i) to the result's row i.
static void put_value(
	struct mr_vec *out, uint64_t *valid, const struct mr_vec *v, uint32_t i, size_t width)
{
	if (mr_vec_is_null(v, i))
		mr_bit_clear(valid, i);
	else
		memcpy((uint8_t *)(uintptr_t)out->col.values + i * width, mr_vec_at(v, i), width);
}

// Splits (sel, n) by a condition: true rows to `yes`, the others stay in `sel`.
static int split(
	struct mr_eval *ev, const struct mr_expr *when, uint32_t *sel, uint32_t *n, uint32_t *yes)
{
	uint32_t kept = 0, yes_n = 0;
	struct mr_vec v;
	int rc = mr_expr_eval(ev, when, sel, *n, &v);

	if (rc < 0)
		return rc;
	for (uint32_t k = 0; k < *n; k++) {
		uint32_t i = sel[k];

		if (!mr_vec_is_null(&v, i) && *(const uint8_t *)mr_vec_at(&v, i))
			yes[yes_n++] = i;
		else
			sel[kept++] = i;
	}
	*n = kept;
	return (int)yes_n;
}

static int eval_case(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	size_t width = mr_phys_bytes(mr_type_phys(e->type));
	uint32_t *left = mr_arena_alloc(ev->arena, n * sizeof(*left) + 1), left_n = n;
	uint32_t *yes = mr_arena_alloc(ev->arena, n * sizeof(*yes) + 1);
	uint64_t *valid = new_bits(ev, true);

	if (!new_values(ev, e->type, out) || !left || !yes || !valid)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < n; k++)
		left[k] = mr_sel(sel, k);
	out->col.valid = valid;
	for (uint32_t a = 0; a < e->args_count && left_n; a += 2) {
		bool last = a + 1 == e->args_count;
		int yes_n = last ? (int)left_n : split(ev, e->args[a], left, &left_n, yes);
		const uint32_t *rows = last ? left : yes;
		struct mr_vec v;

		if (yes_n < 0)
			return yes_n;
		if (yes_n == 0)
			continue;
		if (mr_expr_eval(ev, e->args[last ? a : a + 1], rows, (uint32_t)yes_n, &v) < 0)
			return -EINVAL;
		for (int k = 0; k < yes_n; k++)
			put_value(out, valid, &v, rows[k], width);
	}
	return 0;
}

static int eval_coalesce(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel,
	uint32_t n, struct mr_vec *out)
{
	size_t width = mr_phys_bytes(mr_type_phys(e->type));
	uint32_t *left = mr_arena_alloc(ev->arena, n * sizeof(*left) + 1), left_n = n;
	uint64_t *valid = new_bits(ev, false);

	if (!new_values(ev, e->type, out) || !left || !valid)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < n; k++)
		left[k] = mr_sel(sel, k);
	out->col.valid = valid;
	for (uint32_t a = 0; a < e->args_count && left_n; a++) {
		uint32_t kept = 0;
		struct mr_vec v;
		int rc = mr_expr_eval(ev, e->args[a], left, left_n, &v);

		if (rc < 0)
			return rc;
		for (uint32_t k = 0; k < left_n; k++) {
			uint32_t i = left[k];

			if (mr_vec_is_null(&v, i)) {
				left[kept++] = i;
				continue;
			}
			mr_bit_set(valid, i);
			put_value(out, valid, &v, i, width);
		}
		left_n = kept;
	}
	return 0;
}

static int eval_extreme(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel,
	uint32_t n, struct mr_vec *out)
{
	size_t width = mr_phys_bytes(mr_type_phys(e->type));
	uint64_t *valid = new_bits(ev, false);
	uint8_t *r = new_values(ev, e->type, out);

	if (!r || !valid)
		return mr_eval_no_memory(ev);
	out->col.valid = valid;
	for (uint32_t a = 0; a < e->args_count; a++) {
		struct mr_vec v;
		int rc = mr_expr_eval(ev, e->args[a], sel, n, &v);

		if (rc < 0)
			return rc;
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = mr_sel(sel, k);
			const void *at = mr_vec_at(&v, i);
			int c;

			if (mr_vec_is_null(&v, i))
				continue;
			c = mr_bit_get(valid, i) ? mr_value_cmp(e->type, at, r + i * width) : 0;
			if (!mr_bit_get(valid, i) || (e->negate ? c < 0 : c > 0))
				memcpy(r + i * width, at, width);
			mr_bit_set(valid, i);
		}
	}
	return 0;
}

// x IN (a, b, …): true when one is equal; else NULL when one is NULL; else false.
static int eval_in(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	uint8_t *r = new_values(ev, e->type, out);
	uint64_t *valid = new_bits(ev, true);
	struct mr_vec x;
	int rc = mr_expr_eval(ev, e->args[0], sel, n, &x);

	if (rc < 0)
		return rc;
	if (!r || !valid)
		return mr_eval_no_memory(ev);
	out->col.valid = valid;
	for (uint32_t k = 0; k < n; k++) {
		r[mr_sel(sel, k)] = 0;
		if (mr_vec_is_null(&x, mr_sel(sel, k)))
			mr_bit_clear(valid, mr_sel(sel, k));
	}
	for (uint32_t a = 1; a < e->args_count; a++) {
		struct mr_vec v;

		rc = mr_expr_eval(ev, e->args[a], sel, n, &v);
		if (rc < 0)
			return rc;
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = mr_sel(sel, k);

			if (r[i] || mr_vec_is_null(&x, i))
				continue;
			if (mr_vec_is_null(&v, i)) {
				mr_bit_clear(valid, i);
			} else if (mr_value_cmp(e->args[0]->type, mr_vec_at(&x, i),
					   mr_vec_at(&v, i)) == 0) {
				r[i] = 1;
				mr_bit_set(valid, i);
			}
		}
	}
	if (e->negate)
		for (uint32_t k = 0; k < n; k++)
			r[mr_sel(sel, k)] ^= 1;
	return 0;
}

// NULL when x is NULL, or when it is not found among values of which one is NULL.
static int eval_in_set(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	const struct mr_datum_set *set = (const void *)ev->subqueries[e->index].value.str.data;
	uint8_t *r = new_values(ev, e->type, out);
	uint64_t *valid = new_bits(ev, true);
	struct mr_vec x;
	int rc = mr_expr_eval(ev, e->args[0], sel, n, &x);

	if (rc < 0)
		return rc;
	if (!r || !valid)
		return mr_eval_no_memory(ev);
	out->col.valid = valid;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = mr_sel(sel, k), low = 0, high = set->count;
		bool null = mr_vec_is_null(&x, i), found = false;

		while (!null && low < high && !found) {
			uint32_t middle = low + (high - low) / 2;
			int c = mr_value_cmp(
				e->args[0]->type, mr_vec_at(&x, i), &set->values[middle]);

			found = c == 0;
			low = c > 0 ? middle + 1 : low;
			high = c < 0 ? middle : high;
		}
		r[i] = found != e->negate;
		if (!found && ((null && (set->count || set->has_null)) || set->has_null))
			mr_bit_clear(valid, i);
	}
	return 0;
}

int mr_expr_eval(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n,
	struct mr_vec *out)
{
	const struct mr_datum *d;

	switch (e->kind) {
	case MR_EXPR_CONST: return eval_datum(ev, e->type, e->null, &e->value, out);
	case MR_EXPR_COLUMN: *out = (struct mr_vec){.col = ev->columns[e->index]}; return 0;
	case MR_EXPR_PARAM:
	case MR_EXPR_OUTER:
	case MR_EXPR_SUBQUERY:
		if (e->args_count)
			return mr_expr_correlated(ev, e, sel, n, out);
		d = e->kind == MR_EXPR_PARAM   ? &ev->params[e->index]
		    : e->kind == MR_EXPR_OUTER ? &ev->outers[e->index]
					       : &ev->subqueries[e->index];
		return eval_datum(ev, e->type, d->null, &d->value, out);
	case MR_EXPR_CALL: return mr_fn_eval(ev, e, sel, n, out);
	case MR_EXPR_AND:
	case MR_EXPR_OR: return eval_and_or(ev, e, sel, n, out);
	case MR_EXPR_NOT: return eval_not(ev, e, sel, n, out);
	case MR_EXPR_IS_NULL:
	case MR_EXPR_IS_BOOL: return eval_is(ev, e, sel, n, out);
	case MR_EXPR_IN: return eval_in(ev, e, sel, n, out);
	case MR_EXPR_IN_SET: return eval_in_set(ev, e, sel, n, out);
	case MR_EXPR_CASE: return eval_case(ev, e, sel, n, out);
	case MR_EXPR_COALESCE: return eval_coalesce(ev, e, sel, n, out);
	case MR_EXPR_EXTREME: return eval_extreme(ev, e, sel, n, out);
	case MR_EXPR_AGG:
	case MR_EXPR_OVER: break;
	}
	mr_assert_fail(__FILE__, __LINE__, "expression is ready to be evaluated");
}

static void gather_fixed(const uint8_t *from, uint8_t *to, size_t width, bool constant,
	const uint32_t *sel, uint32_t n)
{
	if (!sel && !constant) {
		memcpy(to, from, n * width);
		return;
	}
	for (uint32_t k = 0; k < n; k++)
		memcpy(to + k * width, from + (constant ? 0 : mr_sel(sel, k)) * width, width);
}

int mr_vec_gather(struct mr_eval *ev, const struct mr_vec *v, const uint32_t *sel, uint32_t n,
	struct mr_col *out)
{
	const struct mr_col *c = &v->col;
	size_t width = c->codes ? sizeof(uint32_t) : mr_phys_bytes((enum mr_phys)c->phys);
	const void *from = c->codes ? (const void *)c->codes : c->values;
	void *to;
	uint64_t *valid;

	*out = *c;
	if (!sel && !v->constant)
		return 0;
	to = mr_arena_column(ev->arena, n * width);
	if (!to)
		return mr_eval_no_memory(ev);
	gather_fixed(from, to, width, v->constant, sel, n);
	out->values = c->codes ? NULL : to;
	out->codes = c->codes ? to : NULL;
	if (!c->valid)
		return 0;
	valid = mr_arena_column(ev->arena, (size_t)(n + 63) / 64 * 8);
	if (!valid)
		return mr_eval_no_memory(ev);
	memset(valid, 0, (size_t)(n + 63) / 64 * 8);
	for (uint32_t k = 0; k < n; k++)
		if (!mr_vec_is_null(v, mr_sel(sel, k)))
			mr_bit_set(valid, k);
	out->valid = valid;
	return 0;
}

static int cmp_double(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return (a > b) - (a < b);
}

#define CMP_AS(T) ((*(const T *)a > *(const T *)b) - (*(const T *)a < *(const T *)b))

int mr_value_cmp(struct mr_typeref t, const void *a, const void *b)
{
	const struct mr_str *x = a, *y = b;

	switch (mr_type_phys(t)) {
	case MR_PHYS_U8: return CMP_AS(uint8_t);
	case MR_PHYS_I16: return CMP_AS(int16_t);
	case MR_PHYS_I32: return CMP_AS(int32_t);
	case MR_PHYS_I64: return CMP_AS(int64_t);
	case MR_PHYS_F32: return cmp_double((double)*(const float *)a, (double)*(const float *)b);
	case MR_PHYS_F64: return cmp_double(*(const double *)a, *(const double *)b);
	case MR_PHYS_DEC: return mr_dec_cmp(*(const struct mr_dec *)a, *(const struct mr_dec *)b);
	case MR_PHYS_B16: return memcmp(a, b, 16);
	case MR_PHYS_BYTES:
		return mr_span_cmp(mr_span(x->data, x->bytes), mr_span(y->data, y->bytes));
	case MR_PHYS_INTERVAL:
		return mr_interval_cmp(
			*(const struct mr_interval *)a, *(const struct mr_interval *)b);
	}
	return 0;
}
