// Window functions: a call with OVER, and the table of those functions that are not aggregates.
//
// While a query is bound, a call's arguments, filter and window keys are expressions over the rows
// of FROM and WHERE, or over its groups. The plan then has a PROJECT that computes them and an
// MR_PLAN_OVER above, for which they are columns of its rows.
#pragma once

#include "host/sql/agg.h"
#include "host/sql/ast.h"
#include "host/sql/rowset.h"

#define MR_OVER_ARGS_MAX 3

struct mr_over_bound {
	uint8_t kind;           // enum mr_ast_bound_kind
	struct mr_expr *offset; // without columns, of ROWS a bigint; or NULL
	// RANGE with an offset: the key of the last row that is inside, for each row.
	struct mr_expr *limit; // or NULL
	uint32_t limit_column; // set with the plan
};

// Which rows a call sees, and in what order.
struct mr_over_window {
	struct mr_expr **exprs;     // the keys: the partition's, then the order's
	struct mr_plan_sort *sorts; // of each; their columns are set with the plan
	uint32_t partition_count;
	uint32_t sorts_count;
	bool by_rows; // ROWS; else RANGE
	struct mr_over_bound start;
	struct mr_over_bound end;
	struct mr_expr *key; // RANGE with an offset: the order's key in the type of the limits
	uint32_t key_column; // set with the plan
};

struct mr_over_fn;

struct mr_over_call {
	const struct mr_over_fn *fn; // NULL: the aggregate `agg`
	struct mr_agg_call agg;      // its arguments say types only; it has no filter
	struct mr_typeref type;
	uint32_t args_count;
	struct mr_expr *args[MR_OVER_ARGS_MAX];
	struct mr_expr *filter; // or NULL
	struct mr_over_window window;
	// Set with the plan:
	uint32_t columns[MR_OVER_ARGS_MAX]; // of the arguments
	uint32_t filter_column;
	uint32_t turn; // of the step's sorts
};

// One sort of a step's rows, which serves all calls whose keys it begins with.
struct mr_over_turn {
	const struct mr_plan_sort *sorts;
	uint32_t sorts_count;
};

// A partition in its order, and where a call is in it. Ends are behind the last row.
struct mr_over_rows {
	const struct mr_rowset *set;
	uint8_t *const *rows;
	uint32_t count;
	uint32_t at; // the current row
	uint32_t peers_first;
	uint32_t peers_end;
	uint32_t peers_number; // of the group of peers, from 1
	uint32_t frame_first;
	uint32_t frame_end; // not below frame_first
	struct mr_diag *diag;
};

enum mr_over_flags {
	MR_OVER_PEERS = 1,   // asks who the row's peers are
	MR_OVER_FRAME = 2,   // asks for the frame
	MR_OVER_RET_ARG = 4, // the result has the type of the first argument
};

struct mr_over_fn {
	const char *name;
	uint8_t args_min;
	uint8_t args_max;
	uint8_t args[MR_OVER_ARGS_MAX]; // enum mr_type, or MR_FN_ANY: of one type
	uint8_t ret;
	uint8_t flags;
	// The value for the current row; strings borrow from the rows. 0, or negative with diag.
	int (*value)(
		const struct mr_over_rows *r, const struct mr_over_call *c, struct mr_datum *out);
};

const struct mr_over_fn *mr_over_find(struct mr_span name); // or NULL

// ---- Aggregates over frames (over_agg.c) ----

struct mr_over_agg {
	const struct mr_over_call *call;
	struct mr_agg_run kept;  // of the states of the present partition
	struct mr_agg_run brief; // of the state of one frame
	struct mr_arena arenas[2];
	size_t outside_bytes[2];
	struct mr_arena *results; // of strings
	uint8_t *front; // states of the rows [i, middle), one for each i from `front_first` on
	uint32_t front_first;
	uint32_t middle;
	uint8_t *back; // the state of the rows [middle, end)
	uint32_t end;
	uint8_t *both;
	struct mr_datum last; // the value of the frame before
	uint32_t last_first;
	uint32_t last_end;
	bool has_last;
};

void mr_over_agg_init(struct mr_over_agg *a, const struct mr_over_call *call, struct mr_query *q,
	struct mr_diag *diag);
void mr_over_agg_fini(struct mr_over_agg *a);
// A new partition.
[[nodiscard]] int mr_over_agg_begin(struct mr_over_agg *a);
// The value over the current frame. Neither end of the frame ever goes back within a partition.
// Strings live in the query's arena. 0, or negative with diag.
[[nodiscard]] int mr_over_agg_value(
	struct mr_over_agg *a, const struct mr_over_rows *r, struct mr_datum *out);
