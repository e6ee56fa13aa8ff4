// The executor: a tree of operators pulling batches of at most MR_EXEC_ROWS rows.
//
// A batch's columns live until the operator's next call. A run belongs to one thread at a time. It
// polls for cancellation at every batch.
#pragma once

#include "host/base/clock.h"
#include "host/sql/groups.h"
#include "host/sql/plan.h"

struct mr_batch {
	uint32_t rows;       // in the columns
	const uint32_t *sel; // rows of the batch, ascending; NULL = all
	uint32_t n;          // rows of the batch
	const struct mr_col *columns;
};

struct mr_op;

// What one step did, for EXPLAIN ANALYZE.
struct mr_op_stats {
	uint64_t rows;
	struct mr_scan_stats scan;
	int64_t ns; // with the steps below it
};

struct mr_run {
	struct mr_query *query;
	struct mr_diag *diag;
	struct mr_clock *clock;
	int64_t deadline_ns; // statement_timeout; 0 = none
	const struct mr_datum *params;
	const struct mr_query_plan *plan;
	struct mr_datum *subqueries;
	const struct mr_datum *outers; // of a correlated subquery
	struct mr_run *around;         // the run it is part of; NULL: this is the statement's
	uint32_t correlated_runs;      // of the statement
	void *session;
	struct mr_op *root;
	struct mr_op *ops; // all, newest first
	uint64_t dict_epoch;
	bool timed; // EXPLAIN ANALYZE
};

// Runs the scalar subqueries, opens the scans. The caller has filled query, diag, clock,
// deadline_ns, params and session; all must live as long as the run. 0, or negative with diag, and
// mr_run_close must be called in either case.
[[nodiscard]] int mr_run_open(struct mr_run *r, const struct mr_query_plan *plan);
// 1: a batch, perhaps empty; 0: the end; negative with diag.
[[nodiscard]] int mr_run_next(struct mr_run *r, struct mr_batch *out);
void mr_run_close(struct mr_run *r);
// What the operator of a plan node did.
bool mr_run_stats(const struct mr_run *r, const struct mr_plan *p, struct mr_op_stats *out);

// ---- Between the operators ----

struct mr_rowset;

struct mr_op {
	const struct mr_plan *plan;
	struct mr_run *run;
	int (*next)(struct mr_op *op, struct mr_batch *out);
	void (*close)(struct mr_op *op); // or NULL
	struct mr_op *child;
	struct mr_op *right;
	struct mr_op *older; // in run->ops
	struct mr_eval eval;
	struct mr_arena scratch; // of eval, reset at each batch
	struct mr_arena memo;
	struct mr_op_stats stats;
	void *state;
};

[[nodiscard]] int mr_op_open(struct mr_run *r, const struct mr_plan *p, struct mr_op **out);
// The value of a subquery, in the query's arena; the caller closes the run.
[[nodiscard]] int mr_run_subquery(
	struct mr_run *r, const struct mr_plan_subquery *q, struct mr_datum *out);
// Calls `next`, polls and counts.
[[nodiscard]] int mr_op_next(struct mr_op *op, struct mr_batch *out);
// Makes the batch the input of the operator's expressions; forgets what they gave before.
void mr_op_input(struct mr_op *op, const struct mr_batch *in);
// The rows of a set from *at on, in its order: a batch of the plan's columns. 1, 0 at the end or an
// error.
int mr_op_rows(struct mr_op *op, const struct mr_rowset *r, uint32_t *at, struct mr_batch *out);
int mr_op_no_memory(struct mr_op *op);
// 0, or negative with diag when the statement is cancelled or out of time.
[[nodiscard]] int mr_run_poll(struct mr_run *r);

int mr_op_scan_open(struct mr_op *op);
int mr_op_agg_open(struct mr_op *op);
int mr_op_sort_open(struct mr_op *op);
int mr_op_join_open(struct mr_op *op);
int mr_op_over_open(struct mr_op *op);
int mr_op_set_open(struct mr_op *op);
int mr_op_window_open(struct mr_op *op);
int mr_op_small_open(
	struct mr_op *op); // ONE, VALUES, SERIES, FILTER, PROJECT, DISTINCT, LIMIT, APPEND

// ---- Aggregation, shared with folds ----

// The group of each code of a dictionary, when that is the only key.
struct mr_agg_codes {
	uint64_t epoch; // of the evaluation
	const struct mr_dict *dict;
	uint32_t count;
	uint32_t max;
	uint32_t *numbers; // of the groups, from 1; 0 = not met yet; the last is of NULL
};

struct mr_agg_core {
	const struct mr_plan *plan; // MR_PLAN_AGG
	struct mr_groups groups;
	struct mr_agg_run *runs;    // one per call
	struct mr_groups *distinct; // one per call, used by DISTINCT ones
	size_t outside_bytes;       // memory of states that is not the arena's
	struct mr_agg_codes codes;
};

// An empty aggregation whose memory is `arena`.
[[nodiscard]] int mr_agg_core_init(struct mr_agg_core *c, const struct mr_plan *plan,
	struct mr_arena *arena, struct mr_diag *diag);
// Frees what states hold outside the arena.
void mr_agg_core_fini(struct mr_agg_core *c);
// Takes the rows of a batch, which is `ev`'s input. Evaluates everything before any state changes.
[[nodiscard]] int mr_agg_core_put(
	struct mr_agg_core *c, struct mr_eval *ev, const uint32_t *sel, uint32_t n);
// The group of a query without GROUP BY exists even when there are no rows.
[[nodiscard]] int mr_agg_core_first(struct mr_agg_core *c, struct mr_eval *ev);
// Columns of keys and results of groups first … first + n, in `ev`'s arena.
[[nodiscard]] int mr_agg_core_read(const struct mr_agg_core *c, struct mr_eval *ev, uint32_t first,
	uint32_t n, struct mr_col **out);
[[nodiscard]] int mr_agg_core_merge(struct mr_agg_core *c, const struct mr_agg_core *from);
// Group `group` of `from` only.
[[nodiscard]] int mr_agg_core_merge_group(
	struct mr_agg_core *c, const struct mr_agg_core *from, uint32_t group);

// ---- Windows, shared with folds ----

// For the `turn`-th window of each row (0 … turns - 1): the rows that have one, and the start of
// it. Returns the count of rows; `starts` and `sel_out` have room for `n`.
uint32_t mr_window_rows(const struct mr_plan *w, const struct mr_col *time, uint32_t turn,
	const uint32_t *sel, uint32_t n, uint32_t *sel_out, void *starts, void *ends);
static inline uint32_t mr_window_turns(const struct mr_plan *w)
{
	return (uint32_t)((w->size + w->slide - 1) / w->slide);
}
