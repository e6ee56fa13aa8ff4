// Bound expressions: a typed tree, and its evaluation over blocks of rows.
//
// A tree is immutable once bound and shared by any number of runs and threads; what a run needs to
// remember (parameters, results of subqueries, values computed once per dictionary entry) is in
// struct mr_eval. Evaluation gives a column with one value for each selected row; a value of an
// unselected or null row is unspecified. Only selected rows can raise errors, so CASE and AND
// protect what stands behind them.
#pragma once

#include "host/base/value.h"
#include "host/sql/env.h"

// Rows that go through an expression or an operator at a time: a block of every type stays in L2.
#define MR_EXEC_ROWS 2048

struct mr_fn;
struct mr_fn_call;
struct mr_run;

enum mr_expr_kind {
	MR_EXPR_CONST,
	MR_EXPR_COLUMN,   // `index` of the input block
	MR_EXPR_PARAM,    // `index` of the run's parameters
	MR_EXPR_SUBQUERY, // `index` of the run's subqueries; with args it is correlated
	MR_EXPR_OUTER,    // `index` of the values given by the query around
	MR_EXPR_AGG,      // `index` of the query's aggregates; replaced before evaluation
	MR_EXPR_OVER,     // `index` of the query's window function calls; replaced likewise
	MR_EXPR_CALL,
	MR_EXPR_AND,
	MR_EXPR_OR,
	MR_EXPR_NOT,
	MR_EXPR_IS_NULL,
	MR_EXPR_IS_BOOL,  // IS TRUE: args[0] is args[1]'s constant value
	MR_EXPR_IN,       // args[0] IN (args[1]…); `fn` is the = operator
	MR_EXPR_IN_SET,   // args[0] IN (the values of subquery `index`)
	MR_EXPR_CASE,     // when, then, when, then, …, else
	MR_EXPR_COALESCE, // also the spine of NULLIF
	MR_EXPR_EXTREME,  // GREATEST and LEAST (`negate`)
};

struct mr_expr {
	enum mr_expr_kind kind;
	struct mr_typeref type;
	bool null;    // CONST: NULL
	bool unknown; // CONST: a quoted literal that has no type yet; `value.str` is its text
	bool negate;  // IS NOT NULL, NOT IN, LEAST
	int position;
	uint32_t index;
	uint32_t memo; // CALL: place of its dictionary memo in the run, from 1; 0 = none
	uint32_t args_count;
	struct mr_expr **args;
	const struct mr_fn *fn;
	union mr_value value;
};

struct mr_vec {
	struct mr_col col;
	bool constant; // one value, at row 0, stands for all rows
};

// A parameter or the result of a scalar subquery.
struct mr_datum {
	bool null;
	union mr_value value;
};

// The values of IN (SELECT …), sorted; the datum of such a subquery points to one.
struct mr_datum_set {
	union mr_value *values;
	uint32_t count;
	uint32_t max;
	bool has_null;
};

// What a run of expressions needs. `arena` is reset by its owner between blocks.
struct mr_eval {
	struct mr_query *query;
	struct mr_arena *arena;
	struct mr_diag *diag;
	const struct mr_datum *params;
	const struct mr_datum *subqueries;
	const struct mr_datum *outers;
	struct mr_run *run;           // of correlated subqueries; NULL: there are none
	const struct mr_col *columns; // the input block
	uint32_t rows;                // of the block
	uint64_t dict_epoch; // changes whenever a dictionary pointer may be a new dictionary
	struct mr_memo *memos;
	struct mr_arena *memo_arena;
	struct mr_code_bits *code_bits; // predicates on dictionaries, of this epoch
	uint64_t code_bits_epoch;
	void *session; // struct mr_session of functions that ask for it, or NULL
};

// Evaluates over the rows sel[0..n), or rows 0..n when `sel` is NULL. 0, or negative with diag.
[[nodiscard]] int mr_expr_eval(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel,
	uint32_t n, struct mr_vec *out);

// A correlated subquery, run for each row (exec_sub.c).
[[nodiscard]] int mr_expr_correlated(struct mr_eval *ev, const struct mr_expr *e,
	const uint32_t *sel, uint32_t n, struct mr_vec *out);

// The rows of (sel, n) for which a boolean expression is true; `out` has room for n. The count, or
// negative with diag.
[[nodiscard]] int mr_expr_filter(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel,
	uint32_t n, uint32_t *out);

// Memory for the memos of trees whose highest memo is `count`.
[[nodiscard]] int mr_eval_memos_init(struct mr_eval *ev, struct mr_arena *arena, uint32_t count);

// Turns a vector into a plain column of `rows` selected values, in order, densely. Text keeps its
// dictionary. 0, or negative with diag.
[[nodiscard]] int mr_vec_gather(struct mr_eval *ev, const struct mr_vec *v, const uint32_t *sel,
	uint32_t n, struct mr_col *out);

// 53200: says which limit was reached.
int mr_eval_no_memory(struct mr_eval *ev);

static inline bool mr_vec_is_null(const struct mr_vec *v, uint32_t row)
{
	return mr_col_is_null(&v->col, v->constant ? 0 : row);
}

// The place of a row's value; strings through mr_col_str.
static inline const void *mr_vec_at(const struct mr_vec *v, uint32_t row)
{
	row = v->constant ? 0 : row;
	if (v->col.codes)
		return &v->col.dict->entries[v->col.codes[row]];
	return (const uint8_t *)v->col.values + row * mr_phys_bytes((enum mr_phys)v->col.phys);
}

static inline uint32_t mr_sel(const uint32_t *sel, uint32_t k)
{
	return sel ? sel[k] : k;
}

// Compares two values of one type as ORDER BY does: NaN is the highest, text by bytes.
int mr_value_cmp(struct mr_typeref t, const void *a, const void *b);
