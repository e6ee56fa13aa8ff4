// Aggregate functions: one table of rows of function pointers.
//
// A state is a fixed number of zeroed bytes inside its group's row; what grows beside it comes from
// an arena. Rows whose argument is NULL never reach `update`, except of count(*) and MR_AGG_NULLS.
// Order of calls: update and merge in any order and number, then finish any number of times; save
// writes a state so that load rebuilds it bit for bit on top of a zeroed one.
#pragma once

#include "host/base/buf.h"
#include "host/sql/expr.h"
#include "kernels/kernels.h"

struct mr_agg_fn;

#define MR_AGG_TOP_MAX 1000 // k of approx_top_k

// One aggregate of a query.
struct mr_agg_call {
	const struct mr_agg_fn *fn;
	struct mr_typeref type; // of the result
	uint32_t args_count;
	struct mr_expr *args[2];
	struct mr_expr *filter; // or NULL
	bool distinct;
	bool desc;         // WITHIN GROUP (ORDER BY x DESC)
	double fraction;   // of percentiles
	int32_t parameter; // precision of approx_count_distinct, k of approx_top_k
	uint32_t offset;   // of the state in a group's row
};

struct mr_agg_run {
	const struct mr_agg_call *call;
	struct mr_arena *arena; // of the states
	size_t *outside_bytes;  // memory of states that is not the arena's; its budget's too
	struct mr_diag *diag;
};

// Rows of a batch for an aggregate's kernels.
struct mr_agg_batch {
	uint8_t *const *rows;     // of the groups, by number
	const uint32_t *groups;   // number of each row's group, by row; NULL = all are in rows[0]
	uint32_t groups_count;    // numbers are below it
	const struct mr_col *arg; // NULL: count(*)
	struct mr_rows which;     // rows that reach the aggregate: nulls are masked out
	struct mr_arena *scratch;
};

enum mr_agg_flags {
	MR_AGG_WITHIN_GROUP = 1, // (fraction) WITHIN GROUP (ORDER BY x), args[0] is x
	MR_AGG_FRACTION = 2,     // the second argument is a constant fraction
	MR_AGG_PRECISION = 4,    // the second argument is a constant precision
	MR_AGG_UNBOUNDED = 8,    // the state grows with the rows: no materialized views of it
	MR_AGG_RET_ARG = 16,     // the result has the argument's type
	MR_AGG_TOP = 32,         // the second argument is a constant number of items
	MR_AGG_NULLS = 64,       // rows whose argument is NULL reach `update` too
	MR_AGG_ARRAY = 128,      // takes any type, as text
};

struct mr_agg_fn {
	const char *name;
	uint8_t args_count;
	uint8_t args[2]; // enum mr_type or MR_FN_ANY
	uint8_t ret;
	uint8_t flags; // enum mr_agg_flags
	uint16_t state_bytes;
	// rows[k] is the group row of the k-th selected row. 0, MR_ERR_LIMIT, or negative with
	// diag.
	int (*update)(struct mr_agg_run *x, uint8_t *const *rows, const struct mr_vec *args,
		const uint32_t *sel, uint32_t n);
	int (*merge)(struct mr_agg_run *x, void *state, const void *other);
	// Writes the value; 1 = NULL. Strings borrow from the state or the arena.
	int (*finish)(struct mr_agg_run *x, const void *state, void *out);
	void (*save)(const struct mr_agg_run *x, const void *state, struct mr_buf *out);
	// 0, MR_ERR_LIMIT or MR_ERR_CORRUPT.
	int (*load)(struct mr_agg_run *x, void *state, struct mr_reader *in);
	// Frees what the state holds outside the arena; NULL = nothing.
	void (*fini)(void *state);
	// `update` by kernels, for one argument that is not constant and few groups; or NULL. 0,
	// MR_ERR_LIMIT, or 1: `update` must be called, which takes no harm from what was done.
	int (*batch)(struct mr_agg_run *x, const struct mr_agg_batch *b);
};

enum mr_agg_found { MR_AGG_NO_NAME, MR_AGG_NO_TYPES, MR_AGG_FOUND };

// By name and argument types (MR_TYPE_NULL = unknown); `within_group` says how it was called.
// `*out`'s types are those to coerce the arguments to.
enum mr_agg_found mr_agg_find(struct mr_span name, const struct mr_typeref *types, uint32_t count,
	bool within_group, const struct mr_agg_fn **out);
// The variant of a numeric aggregate for numerics that lie as integers, or NULL when there is none
// and the argument must be widened.
const struct mr_agg_fn *mr_agg_small(const struct mr_agg_fn *f);
bool mr_agg_exists(struct mr_span name);

static inline void *mr_agg_state(const struct mr_agg_run *x, uint8_t *row)
{
	return row + x->call->offset;
}

// For agg_*.c.
extern const struct mr_agg_fn mr_agg_num[], mr_agg_misc[], mr_agg_sketch[];
extern const size_t mr_agg_num_count, mr_agg_misc_count, mr_agg_sketch_count;
int mr_agg_limit(struct mr_agg_run *x);
// Around what may make a state grow outside the arena: `growth` is taken before it does, and in its
// place afterwards what it has grown by. 0 or MR_ERR_LIMIT.
[[nodiscard]] int mr_agg_grow_begin(struct mr_agg_run *x, size_t growth);
[[nodiscard]] int mr_agg_grow_end(
	struct mr_agg_run *x, size_t growth, size_t bytes_before, size_t bytes_after);
// Counts what a state holds outside the arena as the memory of whoever pays for the arena. 0 or
// MR_ERR_LIMIT.
[[nodiscard]] int mr_agg_account(struct mr_agg_run *x, size_t bytes_before, size_t bytes_after);
