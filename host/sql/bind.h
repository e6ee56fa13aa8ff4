// The binder: syntax tree to typed plan.
//
// Names are looked up through the environment; every relation found is pinned and noted in
// `relations`, to be put back by the owner of the arena. Errors are PostgreSQL's, with positions.
#pragma once

#include "host/sql/fn.h"
#include "host/sql/plan.h"

#define MR_BIND_PARAMS_MAX 1024
#define MR_BIND_OUTERS_MAX 32

struct mr_bind {
	struct mr_env *env;
	struct mr_arena *arena; // of everything bound
	struct mr_diag *diag;
	struct mr_query query; // what constant expressions are folded with
	void *session;
	struct mr_typeref *params; // MR_TYPE_NULL while unknown; MR_BIND_PARAMS_MAX of them
	uint32_t params_count;
	bool no_params; // in views
	const struct mr_relation **relations;
	uint32_t relations_count;
	uint32_t relations_max;
	struct mr_plan_subquery *subqueries;
	uint32_t subqueries_count;
	uint32_t subqueries_max;
	uint32_t memos_count;
	uint32_t outers_count;
	uint32_t depth;
};

// What a subquery uses of the query around it: values there, and the places of the run's outer
// values that hold them inside.
struct mr_outers {
	struct mr_expr *args[MR_BIND_OUTERS_MAX];
	uint32_t slots[MR_BIND_OUTERS_MAX];
	uint32_t count;
};

// A relation of FROM that names can refer to.
struct mr_scope_rel {
	struct mr_span alias;
	struct mr_plan *plan;           // the leaf
	struct mr_plan_column *columns; // all there are; `source` is the column of the leaf
	uint32_t columns_count;
};

struct mr_scope {
	struct mr_scope *parent;  // of the query around
	struct mr_outers *outers; // a barrier (bind_sub.c): notes what passes; NULL: not one
	struct mr_scope_rel *rels;
	uint32_t rels_count;
	uint32_t rels_max;
	struct mr_plan *root;           // whose columns expressions refer to
	const struct mr_ast_with *with; // common table expressions that names may refer to
	uint32_t with_count;            // the first of them
	const char *clause;             // "WHERE": where aggregates are not allowed; NULL: they are
	bool in_aggregate;
	struct mr_agg_call *calls;
	uint32_t calls_count;
	uint32_t calls_max;
	struct mr_expr **order; // in which the aggregates take rows; NULL: in any
	struct mr_plan_sort *order_sorts;
	uint32_t order_count;
	const char *no_over; // "HAVING": where aggregates are allowed, but not window functions
	bool in_over;        // in the arguments of a window function
	const struct mr_ast_window *windows; // the WINDOW clause
	uint32_t windows_count;
	struct mr_over_call *overs;
	uint32_t overs_count;
	uint32_t overs_max;
};

void mr_bind_fini(struct mr_bind *b); // puts the relations back

[[nodiscard]] int mr_bind_query(
	struct mr_bind *b, const struct mr_ast_select *ast, struct mr_query_plan *out);

// An expression without columns: VALUES of INSERT, arguments of EXECUTE, LIMIT.
[[nodiscard]] int mr_bind_value(
	struct mr_bind *b, const struct mr_ast_expr *ast, struct mr_expr **out);
[[nodiscard]] int mr_bind_type(
	struct mr_bind *b, const struct mr_ast_type *ast, struct mr_typeref *out);

enum mr_coerce { MR_COERCE_IMPLICIT, MR_COERCE_ASSIGN, MR_COERCE_EXPLICIT };

// Makes an expression of type `to` of it. `what` NULL: a plain cast error.
[[nodiscard]] int mr_bind_coerce(struct mr_bind *b, struct mr_expr *e, struct mr_typeref to,
	enum mr_coerce how, struct mr_expr **out);
// The common type of several (UNION, CASE, VALUES), which they are then coerced to.
[[nodiscard]] int mr_bind_unify(struct mr_bind *b, const char *what, struct mr_expr **exprs,
	uint32_t count, uint32_t stride);

// ---- Between the files of the binder ----

int mr_bind_error(struct mr_bind *b, int pos, const char *sqlstate, const char *fmt, ...)
	MR_PRINTF(4, 5);
int mr_bind_unsupported(struct mr_bind *b, int pos, const char *fmt, ...) MR_PRINTF(3, 4);
int mr_bind_no_memory(struct mr_bind *b);
[[nodiscard]] int mr_bind_expr(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
[[nodiscard]] int mr_bind_call(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
// An aggregate's function, arguments and filter.
[[nodiscard]] int mr_bind_agg_call(struct mr_bind *b, struct mr_scope *s,
	const struct mr_ast_expr *ast, struct mr_agg_call *out);
// 42883: there is no such function of these arguments.
int mr_bind_no_function(struct mr_bind *b, const struct mr_ast_expr *ast,
	struct mr_expr *const *args, uint32_t count);

// ---- Window functions (bind_over.c) ----

// A call with OVER.
[[nodiscard]] int mr_bind_over(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
// Looks for errors in the WINDOW clause, of windows that nothing uses too.
[[nodiscard]] int mr_bind_windows(struct mr_bind *b, struct mr_scope *s);
// The place of the i-th expression that a call has, or NULL behind the last.
struct mr_expr **mr_bind_over_expr(struct mr_over_call *c, uint32_t i);
// Puts the step above `*plan`, over whose columns the calls' expressions are by now. `*first` is
// the column of the first call's values.
[[nodiscard]] int mr_bind_over_plan(
	struct mr_bind *b, struct mr_scope *s, struct mr_plan **plan, uint32_t *first);
// A PROJECT of all columns of `child` that has room for `more` expressions; NULL: no memory.
struct mr_plan *mr_bind_pass_through(struct mr_bind *b, struct mr_plan *child, uint32_t more);
// The column of such a PROJECT that is the expression: appended when it is new.
[[nodiscard]] int mr_bind_place(
	struct mr_bind *b, struct mr_plan *p, struct mr_expr *e, uint32_t *column);
// Binds a list of ORDER BY, not of result columns, into `exprs` and `sorts`.
[[nodiscard]] int mr_bind_sorts(struct mr_bind *b, struct mr_scope *s,
	const struct mr_ast_sorts *list, struct mr_expr **exprs, struct mr_plan_sort *sorts);
// Makes columns of the calls in an expression.
void mr_bind_over_columns(struct mr_expr *e, uint32_t first);

// x IN (SELECT …); (SELECT …), EXISTS (SELECT …), ARRAY(SELECT …).
[[nodiscard]] int mr_bind_in_query(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
[[nodiscard]] int mr_bind_subquery(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
// A column of a query around the barrier.
[[nodiscard]] int mr_bind_outer(struct mr_bind *b, struct mr_scope *barrier,
	const struct mr_ast_expr *ast, struct mr_expr **out);
[[nodiscard]] int mr_bind_any(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
[[nodiscard]] int mr_bind_subscript(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
// (x).field, for the items of arrays that drivers ask the catalog for.
[[nodiscard]] int mr_bind_field(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
// A cast to a type that only the catalog has. 1: it is not one.
[[nodiscard]] int mr_bind_catalog_cast(
	struct mr_bind *b, struct mr_scope *s, const struct mr_ast_expr *ast, struct mr_expr **out);
// A boolean; `what` names the clause in the error.
[[nodiscard]] int mr_bind_condition(struct mr_bind *b, struct mr_scope *s,
	const struct mr_ast_expr *ast, const char *what, struct mr_expr **out);
// Literals and parameters that never got a type become text.
[[nodiscard]] int mr_bind_known(struct mr_bind *b, struct mr_expr *e, struct mr_expr **out);
struct mr_expr *mr_bind_new(
	struct mr_bind *b, enum mr_expr_kind kind, uint8_t type, uint32_t args_count, int pos);
// A call of a function found by name; folded when constant.
[[nodiscard]] int mr_bind_function(struct mr_bind *b, struct mr_span name, struct mr_expr **args,
	uint32_t count, int pos, bool is_operator, struct mr_expr **out);
struct mr_expr *mr_bind_make_call(struct mr_bind *b, const struct mr_fn *fn, struct mr_typeref type,
	struct mr_expr **args, uint32_t count, int pos);
struct mr_expr *mr_bind_fold(struct mr_bind *b, struct mr_expr *e);
[[nodiscard]] int mr_bind_from(struct mr_bind *b, struct mr_scope *s,
	const struct mr_ast_from *const *from, uint32_t count, struct mr_plan **out);
// Sorts the parts of ON into keys of the join and what is left.
[[nodiscard]] int mr_bind_join_on(struct mr_bind *b, struct mr_plan *join, struct mr_expr *on);
// Gives the joins below a FILTER what its condition says about them, when no more columns are
// asked of them; the FILTER is gone when nothing is left of it.
[[nodiscard]] int mr_bind_join_where(struct mr_bind *b, struct mr_plan **plan);
// Notes what a condition over a scan's columns says about their bounds.
[[nodiscard]] int mr_bind_ranges(struct mr_bind *b, struct mr_plan *scan, const struct mr_expr *e);
[[nodiscard]] int mr_bind_select(struct mr_bind *b, struct mr_scope *parent,
	const struct mr_ast_select *ast, struct mr_plan **out, uint32_t *columns);
// The column of the scope's root that is column `column` of `rel`: appended when it is new.
[[nodiscard]] int mr_bind_column_of(
	struct mr_bind *b, struct mr_scope *s, struct mr_scope_rel *rel, uint32_t column);
struct mr_plan *mr_bind_plan(struct mr_bind *b, enum mr_plan_kind kind, struct mr_plan *child);
int mr_plan_add_column(struct mr_bind *b, struct mr_plan *p, struct mr_plan_column column);
bool mr_expr_equal(const struct mr_expr *a, const struct mr_expr *b);
bool mr_expr_has_columns(const struct mr_expr *e);
