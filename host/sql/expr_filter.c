// WHERE: the rows for which a condition is true.
//
// The conjuncts of a condition are taken in order, each seeing only the rows that are left. What
// cannot fail and needs no selection goes through kernels to bitmaps over the whole block:
// comparisons of plain columns with constants and with each other, tests for NULL, predicates on a
// text column with a dictionary (evaluated once for each entry, then looked up by code), and AND
// and OR of these. A bit is set where the condition is true; false and NULL are the same here, as
// nothing negates a bitmap. Any other conjunct is evaluated for the rows listed.
#include "host/sql/expr.h"
#include "host/sql/fn.h"
#include "kernels/kernels.h"

#include <string.h>

// What a predicate says of each entry of a dictionary; lives in memo memory, so as long as its
// epoch.
struct mr_code_bits {
	struct mr_code_bits *next;
	const struct mr_expr *e;
	const struct mr_dict *dict;
	uint32_t count;
	uint64_t *bits;
};

enum { ENTRIES_MAX = MR_EXEC_ROWS };

// All below: 1 = `out` is filled; 0 = not for kernels; negative with diag. `rows` are those of the
// block that bitmaps cover.
static int true_bits(struct mr_eval *ev, const struct mr_expr *e, uint32_t rows, uint64_t **out);

static int new_bits(struct mr_eval *ev, uint32_t rows, uint64_t **out)
{
	*out = mr_arena_column(ev->arena, (size_t)(rows + 63) / 64 * 8);
	return *out ? 1 : mr_eval_no_memory(ev);
}

static void no_rows(uint64_t *bits, uint32_t rows)
{
	memset(bits, 0, (size_t)(rows + 63) / 64 * 8);
}

static void drop_nulls(const struct mr_col *c, uint32_t rows, uint64_t *bits)
{
	if (c->valid)
		mr_kern->filter->bits_and(bits, c->valid, rows, bits);
}

static bool is_constant(const struct mr_expr *e)
{
	// A subquery with arguments is correlated: a value for each row.
	return e->kind == MR_EXPR_CONST || e->kind == MR_EXPR_PARAM ||
	       (e->kind == MR_EXPR_SUBQUERY && e->args_count == 0);
}

// ---- Comparisons ----

static bool find_cmp(const struct mr_expr *e, enum mr_cmp *out)
{
	static const char *const names[] = {[MR_CMP_EQ] = "=",
		[MR_CMP_NE] = "<>",
		[MR_CMP_LT] = "<",
		[MR_CMP_LE] = "<=",
		[MR_CMP_GT] = ">",
		[MR_CMP_GE] = ">="};

	if (e->kind != MR_EXPR_CALL || e->fn < mr_fn_cmp.fns ||
		e->fn >= mr_fn_cmp.fns + mr_fn_cmp.count)
		return false;
	for (uint32_t i = 0; i < MR_COUNT_OF(names); i++)
		if (strcmp(names[i], e->fn->name) == 0) {
			*out = (enum mr_cmp)i;
			return true;
		}
	return false;
}

static enum mr_cmp turned(enum mr_cmp op)
{
	switch (op) {
	case MR_CMP_LT: return MR_CMP_GT;
	case MR_CMP_LE: return MR_CMP_GE;
	case MR_CMP_GT: return MR_CMP_LT;
	case MR_CMP_GE: return MR_CMP_LE;
	default: return op;
	}
}

// The column behind the widening of numeric(p, s) from integers, or the expression itself.
static const struct mr_expr *unwidened(const struct mr_expr *e)
{
	const struct mr_expr *a = e->kind == MR_EXPR_CALL && e->args_count ? e->args[0] : NULL;

	if (a && a->kind == MR_EXPR_COLUMN && strcmp(e->fn->name, "cast") == 0 &&
		e->type.type == MR_TYPE_NUMERIC && e->type.precision == 0 &&
		a->type.type == MR_TYPE_NUMERIC && mr_type_phys(a->type) == MR_PHYS_I64)
		return a;
	return e;
}

// The greatest integer n for which n / 10^scale <= d. False beyond 64 bits and for NaN.
static bool scaled_floor(struct mr_dec d, unsigned scale, int64_t *out, bool *exact)
{
	const mr_i128 far = (mr_i128)1 << 120;
	mr_i128 c = mr_dec_coefficient(d);
	unsigned have = mr_dec_scale(d);

	*exact = true;
	if (mr_dec_is_nan(d))
		return false;
	for (; have < scale && c < far && c > -far; have++)
		c *= 10;
	for (; have > scale; have--) {
		mr_i128 rest = c % 10;

		*exact &= rest == 0;
		c = c / 10 - (rest < 0);
	}
	*out = (int64_t)c;
	return have == scale && c == *out;
}

// An integer column of scaled numerics with a numeric constant.
static int compare_scaled(
	const struct mr_col *c, enum mr_cmp op, struct mr_dec d, uint32_t rows, uint64_t *out)
{
	int64_t bound;
	bool exact;

	if (!scaled_floor(d, c->type.scale, &bound, &exact))
		return 0;
	if (!exact && op == MR_CMP_EQ) {
		no_rows(out, rows);
		return 1;
	}
	// Between two integers: above means above the lower one.
	if (!exact && op == MR_CMP_NE)
		mr_kern->filter->cmp_cols[MR_PHYS_I64](c->values, c->values, rows, MR_CMP_EQ, out);
	else
		mr_kern->filter->cmp_const[MR_PHYS_I64](c->values, rows,
			exact || op == MR_CMP_LE || op == MR_CMP_GT ? op
			: op == MR_CMP_LT                           ? MR_CMP_LE
								    : MR_CMP_GT,
			&bound, out);
	drop_nulls(c, rows, out);
	return 1;
}

static int compare_const(const struct mr_col *c, enum mr_cmp op, const struct mr_vec *v,
	uint32_t rows, uint64_t *out)
{
	if (mr_vec_is_null(v, 0)) {
		no_rows(out, rows);
		return 1;
	}
	if (c->phys == MR_PHYS_I64 && v->col.phys == MR_PHYS_DEC)
		return compare_scaled(c, op, *(const struct mr_dec *)v->col.values, rows, out);
	if (c->phys != v->col.phys || c->phys > MR_PHYS_F64)
		return 0;
	mr_kern->filter->cmp_const[c->phys](c->values, rows, op, v->col.values, out);
	drop_nulls(c, rows, out);
	return 1;
}

static int compare(
	struct mr_eval *ev, const struct mr_expr *e, enum mr_cmp op, uint32_t rows, uint64_t **out)
{
	const struct mr_expr *a = unwidened(e->args[0]), *b = unwidened(e->args[1]);
	struct mr_vec v;
	int rc;

	if (is_constant(a)) {
		const struct mr_expr *other = a;

		a = b;
		b = other;
		op = turned(op);
	}
	if (a->kind != MR_EXPR_COLUMN || !(is_constant(b) || b->kind == MR_EXPR_COLUMN))
		return 0;
	rc = mr_expr_eval(ev, b, NULL, rows, &v);
	if (rc < 0 || new_bits(ev, rows, out) < 0)
		return MR_ERR_LIMIT;
	if (v.constant)
		return compare_const(&ev->columns[a->index], op, &v, rows, *out);
	// Two scaled columns may differ in scale; as numerics they are compared row by row.
	if (a != e->args[0] || b != e->args[1] || ev->columns[a->index].phys != v.col.phys ||
		v.col.phys > MR_PHYS_F64)
		return 0;
	mr_kern->filter->cmp_cols[v.col.phys](
		ev->columns[a->index].values, v.col.values, rows, op, *out);
	drop_nulls(&ev->columns[a->index], rows, *out);
	drop_nulls(&v.col, rows, *out);
	return 1;
}

// ---- Predicates on dictionaries ----

// The one column of a predicate on text, which must not fail on entries that no row has: a
// comparison, IN a list, LIKE, or NOT one of these.
static const struct mr_expr *text_column(const struct mr_expr *e)
{
	const struct mr_expr *found = NULL;
	enum mr_cmp op;

	if (e->kind == MR_EXPR_NOT)
		return text_column(e->args[0]);
	if (!find_cmp(e, &op) && e->kind != MR_EXPR_IN &&
		!(e->kind == MR_EXPR_CALL && strncmp(e->fn->name, "~~", 2) == 0))
		return NULL;
	for (uint32_t i = 0; i < e->args_count; i++) {
		if (is_constant(e->args[i]))
			continue;
		if (found || e->args[i]->kind != MR_EXPR_COLUMN)
			return NULL;
		found = e->args[i];
	}
	return found && mr_type_phys(found->type) == MR_PHYS_BYTES ? found : NULL;
}

// Evaluates `e` with the entries as column `at`.
static int eval_entries(struct mr_eval *ev, const struct mr_expr *e, uint32_t at,
	const struct mr_dict *dict, uint64_t *bits)
{
	struct mr_col *columns = mr_arena_zalloc(ev->arena, at + 1, sizeof(*columns));
	struct mr_eval sub = *ev;
	struct mr_vec v;
	int rc;

	if (!columns)
		return mr_eval_no_memory(ev);
	columns[at] = (struct mr_col){
		.type = ev->columns[at].type, .phys = MR_PHYS_BYTES, .values = dict->entries};
	sub.columns = columns;
	sub.rows = dict->count;
	rc = dict->count ? mr_expr_eval(&sub, e, NULL, dict->count, &v) : 0;
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < dict->count; i++)
		if (!mr_vec_is_null(&v, i) && *(const uint8_t *)mr_vec_at(&v, i))
			mr_bit_set(bits, i);
	return 1;
}

// 0 also when an entry fails: perhaps no row has it.
static int entry_bits(struct mr_eval *ev, const struct mr_expr *e, uint32_t at,
	const struct mr_dict *dict, uint32_t count, const uint64_t **out)
{
	const struct mr_dict seen = {dict->entries, count};
	struct mr_code_bits *m;

	if (ev->code_bits_epoch != ev->dict_epoch)
		ev->code_bits = NULL;
	ev->code_bits_epoch = ev->dict_epoch;
	for (m = ev->code_bits; m; m = m->next)
		if (m->e == e && m->dict == dict && m->count == count)
			break;
	if (!m) {
		m = mr_arena_zalloc(ev->memo_arena, 1, sizeof(*m));
		if (!m)
			return mr_eval_no_memory(ev);
		*m = (struct mr_code_bits){ev->code_bits, e, dict, count,
			mr_arena_column(ev->memo_arena, (size_t)(count / 64 + 1) * 8)};
		if (!m->bits)
			return mr_eval_no_memory(ev);
		memset(m->bits, 0, (size_t)(count / 64 + 1) * 8);
		if (eval_entries(ev, e, at, &seen, m->bits) < 0) {
			memset(ev->diag, 0, sizeof(*ev->diag));
			return 0;
		}
		ev->code_bits = m;
	}
	*out = m->bits;
	return 1;
}

static int code_bits(struct mr_eval *ev, const struct mr_expr *e, uint32_t rows, uint64_t **out)
{
	const struct mr_expr *column = text_column(e);
	const struct mr_col *c = column ? &ev->columns[column->index] : NULL;
	const uint64_t *set = NULL;
	int rc;

	if (!c || !c->codes || !ev->memo_arena || c->dict->count > ENTRIES_MAX)
		return 0;
	rc = entry_bits(ev, e, column->index, c->dict, c->dict->count, &set);
	if (rc <= 0 || new_bits(ev, rows, out) < 0)
		return rc <= 0 ? rc : MR_ERR_LIMIT;
	mr_kern->filter->codes(c->codes, rows, set, *out);
	drop_nulls(c, rows, *out);
	return 1;
}

// ---- Trees of these ----

static int null_bits(struct mr_eval *ev, const struct mr_expr *e, uint32_t rows, uint64_t **out)
{
	const struct mr_col *c;

	if (e->args[0]->kind != MR_EXPR_COLUMN)
		return 0;
	c = &ev->columns[e->args[0]->index];
	if (new_bits(ev, rows, out) < 0)
		return MR_ERR_LIMIT;
	memset(*out, e->negate ? 0xff : 0, (size_t)(rows + 63) / 64 * 8);
	if (c->valid && e->negate)
		mr_kern->filter->bits_and(c->valid, *out, rows, *out);
	else if (c->valid)
		mr_kern->filter->bits_not(c->valid, rows, *out);
	return 1;
}

static int joined_bits(struct mr_eval *ev, const struct mr_expr *e, uint32_t rows, uint64_t **out)
{
	int rc = true_bits(ev, e->args[0], rows, out);

	for (uint32_t i = 1; i < e->args_count && rc == 1; i++) {
		uint64_t *next;

		rc = true_bits(ev, e->args[i], rows, &next);
		if (rc == 1 && e->kind == MR_EXPR_AND)
			mr_kern->filter->bits_and(*out, next, rows, *out);
		else if (rc == 1)
			mr_kern->filter->bits_or(*out, next, rows, *out);
	}
	return rc;
}

static int true_bits(struct mr_eval *ev, const struct mr_expr *e, uint32_t rows, uint64_t **out)
{
	enum mr_cmp op;
	int rc = 0;

	if (e->kind == MR_EXPR_AND || e->kind == MR_EXPR_OR)
		return joined_bits(ev, e, rows, out);
	if (e->kind == MR_EXPR_IS_NULL)
		return null_bits(ev, e, rows, out);
	if (find_cmp(e, &op))
		rc = compare(ev, e, op, rows, out);
	return rc ? rc : code_bits(ev, e, rows, out);
}

// ---- Conjuncts in order ----

// The rows left: those of (sel, n) or, while `bits` is set, its bits among the first n.
struct left {
	const uint32_t *sel;
	uint32_t n;
	uint64_t *bits;
};

static int list_bits(struct mr_eval *ev, struct left *l)
{
	uint32_t *sel;

	if (!l->bits)
		return 0;
	sel = mr_arena_alloc(ev->arena, (l->n + 16) * sizeof(*sel));
	if (!sel)
		return mr_eval_no_memory(ev);
	*l = (struct left){sel, mr_kern->filter->bits_to_sel(l->bits, l->n, sel), NULL};
	return 0;
}

// Evaluates `e` for the rows left.
static int keep_true(struct mr_eval *ev, const struct mr_expr *e, struct left *l)
{
	uint32_t *kept, count = 0;
	const uint8_t *r;
	struct mr_vec v;
	int rc = list_bits(ev, l);

	if (rc == 0 && l->n)
		rc = mr_expr_eval(ev, e, l->sel, l->n, &v);
	if (rc < 0 || l->n == 0)
		return rc;
	if (v.constant) {
		l->n = mr_vec_is_null(&v, 0) || !*(const uint8_t *)v.col.values ? 0 : l->n;
		return 0;
	}
	kept = mr_arena_alloc(ev->arena, l->n * sizeof(*kept));
	if (!kept)
		return mr_eval_no_memory(ev);
	r = v.col.values;
	for (uint32_t k = 0; k < l->n; k++) {
		uint32_t i = mr_sel(l->sel, k);

		kept[count] = i;
		count += r[i] && !mr_col_is_null(&v.col, i);
	}
	*l = (struct left){kept, count, NULL};
	return 0;
}

// Bitmaps of the whole block are worth their while when a fair part of it is left.
static int keep(struct mr_eval *ev, const struct mr_expr *e, struct left *l)
{
	uint32_t rows = l->sel ? ev->rows : l->n, count = 0;
	uint32_t *kept;
	uint64_t *bits;
	int rc = 0;

	for (uint32_t i = 0; e->kind == MR_EXPR_AND && i < e->args_count; i++) {
		rc = keep(ev, e->args[i], l);
		if (rc < 0)
			return rc;
	}
	if (e->kind == MR_EXPR_AND || l->n == 0)
		return 0;
	if (l->n >= rows / 4)
		rc = true_bits(ev, e, rows, &bits);
	if (rc <= 0)
		return rc < 0 ? rc : keep_true(ev, e, l);
	if (!l->sel) {
		if (l->bits)
			mr_kern->filter->bits_and(l->bits, bits, rows, bits);
		l->bits = bits;
		return 0;
	}
	kept = mr_arena_alloc(ev->arena, l->n * sizeof(*kept));
	if (!kept)
		return mr_eval_no_memory(ev);
	for (uint32_t k = 0; k < l->n; k++) {
		kept[count] = l->sel[k];
		count += mr_bit_get(bits, l->sel[k]);
	}
	*l = (struct left){kept, count, NULL};
	return 0;
}

int mr_expr_filter(
	struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel, uint32_t n, uint32_t *out)
{
	struct left l = {sel, n, NULL};
	int rc = keep(ev, e, &l);

	if (rc == 0)
		rc = list_bits(ev, &l);
	if (rc < 0)
		return rc;
	for (uint32_t k = 0; !l.sel && k < l.n; k++)
		out[k] = k;
	if (l.sel && l.n)
		memcpy(out, l.sel, l.n * sizeof(*out));
	return (int)l.n;
}
