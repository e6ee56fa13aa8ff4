// Plans: what the binder makes of a query and the executor runs. Read-only once bound.
//
// A node gives blocks of its `columns`. Columns of scans, joins and windows are appended while the
// query above is bound, so that a scan reads what is used and nothing else.
#pragma once

#include "host/sql/agg.h"
#include "host/sql/ast.h"
#include "host/sql/expr.h"

struct mr_over_call;
struct mr_over_turn;

enum mr_plan_kind {
	MR_PLAN_ONE,      // one row without columns: SELECT without FROM
	MR_PLAN_SCAN,     // relation
	MR_PLAN_VALUES,   // rows of expressions
	MR_PLAN_SERIES,   // generate_series(exprs[0], exprs[1], exprs[2])
	MR_PLAN_WINDOW,   // child's rows, once for each window they are in
	MR_PLAN_JOIN,     // child, right
	MR_PLAN_FILTER,   // child's rows where `condition`
	MR_PLAN_PROJECT,  // exprs over child
	MR_PLAN_AGG,      // exprs = keys, then calls
	MR_PLAN_DISTINCT, // child's rows, each once; with `sorts`: the first of each value of those
	MR_PLAN_SORT,
	MR_PLAN_LIMIT,
	MR_PLAN_OVER,   // child's rows and the values of `overs`, window functions
	MR_PLAN_SETOP,  // child's rows that are in right (`intersect`), or are not
	MR_PLAN_APPEND, // child's rows, then right's: UNION ALL
};

struct mr_plan_column {
	struct mr_span name;
	struct mr_typeref type;
	uint32_t source; // SCAN: the relation's column; JOIN, WINDOW: the child's column
	bool right;      // JOIN: of the right child
	bool hidden;
	uint16_t merged; // in a scope: the place of a USING column before all others in *, the
			 // highest first
};

#define MR_PLAN_WINDOW_START UINT32_MAX
#define MR_PLAN_WINDOW_END   (UINT32_MAX - 1)

// A bound on a scanned column, worked out when the run opens; the filter above checks it again.
struct mr_plan_range {
	uint32_t column; // of the relation
	struct mr_expr *low;
	struct mr_expr *high; // NULL = open
};

struct mr_plan_sort {
	uint32_t column;
	bool desc;
	bool nulls_first;
};

struct mr_plan {
	enum mr_plan_kind kind;
	struct mr_plan *child;
	struct mr_plan *right;
	struct mr_plan *up; // the node above, while binding
	bool is_right;      // child `right` of `up`
	uint32_t columns_count;
	uint32_t columns_max;
	struct mr_plan_column *columns;

	const struct mr_relation *relation; // SCAN
	struct mr_plan_range *ranges;       // SCAN
	uint32_t ranges_count;
	struct mr_expr **exprs; // VALUES: row after row
	uint32_t exprs_count;
	struct mr_expr *condition; // FILTER; JOIN: what the keys leave
	struct mr_agg_call *calls;
	uint32_t calls_count;
	struct mr_expr **right_exprs; // JOIN: `exprs` of the child equal these of the right
	bool outer;                   // JOIN: LEFT, FULL
	bool full;                    // JOIN: FULL
	bool intersect;               // SETOP: INTERSECT; else EXCEPT
	bool all;                     // SETOP: by counts; else each row once
	uint32_t time_column;         // WINDOW: of the child
	int64_t slide;                // WINDOW: in units of the time column
	int64_t size;
	struct mr_over_call *overs; // OVER: by `turn`
	uint32_t overs_count;
	struct mr_over_turn *turns; // OVER: the sorts of its rows
	uint32_t turns_count;
	struct mr_plan_sort *sorts;
	uint32_t sorts_count;
	struct mr_expr *limit; // LIMIT, and SORT that may stop early; bigint
	struct mr_expr *offset;
};

// Subqueries in expressions. Without slots: run once, before the statement.
struct mr_plan_subquery {
	struct mr_plan *plan;
	bool exists;     // only whether there is a row
	bool set;        // all values: a struct mr_datum_set
	bool array;      // all values: text, '{a,b}'
	uint32_t *slots; // correlated: where the run's outer values take the expression's arguments
	uint32_t slots_count;
};

// All that one bound query is.
struct mr_query_plan {
	struct mr_plan *root;
	uint32_t columns_count; // of root's, those that are the result's
	struct mr_plan_subquery *subqueries;
	uint32_t subqueries_count;
	uint32_t memos_count;
	uint32_t outers_count;
};
