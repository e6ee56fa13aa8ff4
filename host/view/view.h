// Materialized views at run time: what workers fold, what is stored, what readers merge.
//
// Each worker folds the rows of its table part into a state of its own, the active one, as they
// become visible. A reader asks every worker to freeze: the active state is set aside whole and a
// new one begun, which costs the worker nothing. What is set aside never changes any more; it is
// *unsealed* until the rows it was folded from are in a segment.
//
// A state holds rows of exactly one piece of the table (piece.h). When the sealing thread makes
// pieces into a segment, it makes the states of the same pieces into a *run* (storage/run.h), and
// one append to the manifest commits segment and runs. So at every moment
//
//	view = its runs + its unsealed states + what workers are folding
//
// and after a restart = its runs + what the log replays; nothing is folded twice or again.
//
// The *base* is a cache for readers: runs and unsealed states merged, brought up to date by every
// read. A base that outgrows its share of the memory is dropped, and the view is read a few hash
// parts at a time (view_merge.h).
//
// All views of the daemon share one budget. Beyond a quarter of it in states, pieces are closed
// early and sealing hurried; beyond half of it, appends to tables with views wait until sealing has
// made room, as they do when memory for rows is used up.
//
// A new view is filled from the rows already stored (view_fill.c): at the moment a worker takes it
// over, it notes how far each piece had been published; those rows are folded by whoever creates
// the view, later ones by the worker. No row is left out or folded twice.
//
// Threads: as said at the fields. Order of locks: the commit lock of segments, then `merging`, then
// `lock`.
#pragma once

#include "host/sql/fold.h"
#include "host/table.h"
#include "storage/run_store.h"

#include <pthread.h>

struct mr_segment_store;
struct mr_view;
struct mr_worker;

// What a state may grow by before its memory is looked at: a slice of rows with what evaluating it
// takes, or a block of a run. One row's text comes on top.
#define MR_VIEW_STEP_BYTES (1u << 20)

// What a row may take, of what its groups need.
enum { MR_VIEW_ROW_SHARES = 4 };
// What a state takes with its first group.
#define MR_VIEW_STATE_BYTES (6u << 10)

// Memory of all views together; bytes. Any thread, relaxed.
struct mr_view_budget {
	size_t bytes_max;
	_Atomic size_t states;   // active and unsealed
	_Atomic size_t growth;   // what active ones may take at once
	_Atomic size_t expected; // what decoded rows that are not visible yet may add, at most
	_Atomic size_t bases;
	_Atomic size_t work;         // passes and fillings under way
	_Atomic size_t work_peak;    // the highest that was
	_Atomic uint64_t waits;      // batches that had to wait for memory
	_Atomic uint64_t base_drops; // bases that outgrew their share
};

// What states have, and what those that grow may take at once.
static inline size_t mr_view_budget_states(const struct mr_view_budget *b)
{
	return atomic_load_explicit(&b->states, memory_order_relaxed) +
	       atomic_load_explicit(&b->growth, memory_order_relaxed);
}

// So early that a row always has room before it comes to that.
static inline bool mr_view_budget_hurry(const struct mr_view_budget *b)
{
	return atomic_load_explicit(&b->states, memory_order_relaxed) >= b->bytes_max / 4 ||
	       mr_view_budget_states(b) >= b->bytes_max / 8 * 3;
}

// What states may grow by before they have half of it. Rows that are decoded and not visible yet
// count as if each made a group in each of its windows.
static inline size_t mr_view_budget_room(const struct mr_view_budget *b, size_t expected)
{
	size_t used = mr_view_budget_states(b) + expected;

	return used < b->bytes_max / 2 ? b->bytes_max / 2 - used : 0;
}

// All bases together.
static inline size_t mr_view_budget_bases_max(const struct mr_view_budget *b)
{
	return b->bytes_max / 8 * 3;
}

// A worker's active state; a full one is set aside.
static inline size_t mr_view_budget_state(const struct mr_view_budget *b)
{
	return b->bytes_max / 32;
}

// One of the four pieces of work that there are at once: sealing, merging of runs, filling from
// memory, filling from segments. With MR_VIEW_STEP_BYTES each, and as much again where a group
// cannot be divided, they stay within the eighth that states and bases leave.
static inline size_t mr_view_budget_work(const struct mr_view_budget *b)
{
	return b->bytes_max / 64;
}

// What the views of a daemon have in common.
struct mr_view_host {
	struct mr_disk *disk;
	struct mr_run_store *runs;
	struct mr_segment_store *segments; // for its commit lock
	struct mr_worker *const *workers;
	struct mr_view_budget budget;
	pthread_mutex_t filling_memory; // one at a time, of whatever view
	pthread_mutex_t filling_stored;
};

void mr_view_host_init(struct mr_view_host *h); // the rest is zero, and filled in by the owner
void mr_view_host_fini(struct mr_view_host *h);

// Rows stored before the view came: `rows` of the piece, which is referenced.
struct mr_view_stored {
	struct mr_piece *piece;
	uint64_t rows;
};

// Groups of rows of one piece. Immutable but for what is said.
struct mr_view_state {
	struct mr_view_state *next; // under view->lock
	_Atomic uint32_t references;
	struct mr_view_budget *budget;
	struct mr_fold_state *fold;
	_Atomic(struct mr_fold_order *) order; // made at first use
	_Atomic size_t bytes;                  // counted in the budget
	uint32_t part;                         // of the table, and the piece's sequence there
	uint64_t sequence;
	bool in_base; // under view->merging
};

// One worker's share; all but the counters is the worker's.
struct mr_view_part {
	struct mr_view_part *next; // of the table part's list
	struct mr_view *view;
	bool attached;
	struct mr_fold_state *active; // NULL: nothing folded since the last freeze
	uint64_t active_sequence;     // of its piece
	_Atomic size_t active_bytes;  // counted in the budget; worker: wo, others: ro
	struct mr_view_stored *stored;
	uint32_t stored_count;
	// worker: wo, others: ro, relaxed
	_Atomic uint64_t rows_folded;
	_Atomic uint64_t freezes;
	_Atomic uint64_t failures; // no memory for a state: the view is broken and says so
	_Atomic uint64_t active_failed, active_untimed; // rows that the active state left out
};

struct mr_view_base {
	struct mr_fold_state *fold;
	struct mr_view_budget *budget;
	size_t bytes;        // counted in the budget
	uint32_t references; // under view->lock
};

// Any thread, relaxed.
struct mr_view_stats {
	_Atomic uint64_t rows_filled; // folded by CREATE or by a start, from what was stored
	_Atomic uint64_t reads;
	_Atomic uint64_t reads_spilled; // without a base
	_Atomic uint64_t base_drops;
	_Atomic uint64_t runs_written; // by sealing and filling
	_Atomic uint64_t runs_merged;
};

struct mr_view {
	struct mr_relation relation;
	_Atomic uint32_t references;
	struct mr_view_def *def;
	struct mr_table *table;
	struct mr_fold *fold;
	struct mr_view_host *host;
	size_t group_bytes; // of a group in memory, about
	size_t row_bytes;   // that a row may add to a state, about
	bool keeps_text;    // and text of the row
	uint32_t parts_count;
	struct mr_view_part *parts;
	_Atomic bool ready; // filled from the stored rows; SQL sees it from then on
	bool retired;       // dropped: no more runs. Under the commit lock of segments
	struct mr_view_stats stats;

	pthread_mutex_t merging; // held while the base is changed or states change their number
	struct mr_view_base *base;
	size_t base_refused; // an estimate that turned out not to fit; under merging

	pthread_mutex_t lock; // held for moments: everything below, and the base's references
	struct mr_view_state *states;
	uint32_t states_count;
	struct mr_run **runs;
	uint32_t runs_count, runs_max;
};

// Takes `fold` and references of def and table. The host is borrowed.
[[nodiscard]] int mr_view_create(struct mr_view_def *def, struct mr_table *table,
	struct mr_fold *fold, struct mr_view_host *host, struct mr_view **out);
struct mr_view *mr_view_get(struct mr_view *v);
void mr_view_put(struct mr_view *v);

// ---- on worker `index`'s thread (or before it runs)

// Begins, ends folding.
void mr_view_attach(struct mr_view *v, uint32_t index);
void mr_view_detach(struct mr_view *v, uint32_t index);
// Folds rows `from` to `to` of a chunk of the piece.
void mr_view_part_fold(struct mr_view_part *p, uint64_t sequence, const struct mr_chunk *c,
	uint32_t from, uint32_t to);
// The piece is about to be handed to the sealing thread: what was folded from it is set aside.
void mr_view_part_hand_over(struct mr_view_part *p, uint64_t sequence);
// How many of a batch's rows, `bytes` together, may be decoded now: at most `rows`, 0 when the
// batch has to wait. What they may add to the states of the part's views is expected from then on.
uint64_t mr_view_parts_take(struct mr_table_part *t, uint64_t rows, uint64_t bytes);
// Says how many decoded rows of the table part are not visible yet.
void mr_view_parts_expect(struct mr_table_part *t, uint64_t rows);
// Whether not one more row may be decoded for the sake of the part's views.
bool mr_view_parts_full(struct mr_table_part *t);
// Whether pieces are to be sealed early for the sake of these views (a list; NULL: there are none).
bool mr_view_parts_hurry(const struct mr_view_part *list);

// ---- any thread

// Sets a state aside as unsealed; takes it.
void mr_view_push(struct mr_view *v, struct mr_fold_state *fold, uint32_t part, uint64_t sequence);
void mr_view_state_put(struct mr_view_state *s);
// Adds a run; takes the reference.
void mr_view_add_run(struct mr_view *v, struct mr_run *run);
// In one step: the run comes, and the states go that it was made from.
void mr_view_swap(struct mr_view *v, uint32_t part, uint64_t sequence, struct mr_run *run);
// The same for runs that were merged into one.
void mr_view_swap_runs(
	struct mr_view *v, struct mr_run *const *old, uint32_t count, struct mr_run *run);
// Asks every worker to set its active states aside, of all these views in one message.
void mr_views_freeze(struct mr_view *const *views, size_t count);

// What there is of a view at this moment.
struct mr_view_figures {
	uint64_t groups; // of the base
	bool has_base;
	uint64_t active_bytes;
	uint64_t unsealed, unsealed_bytes;
	uint64_t base_bytes;
	uint64_t runs, run_groups, run_bytes;
	uint64_t rows_folded;
	uint64_t rows_failed, rows_untimed; // left out since the view was made
};
// Fills one for each view. Workers are not asked: who looks often leaves no states behind. A row
// that was left out may count twice for a moment, when its state is set aside.
void mr_views_figures(struct mr_view *const *views, size_t count, struct mr_view_figures *out);

// ---- filling (view_fill.c): SQL threads; 0 or negative with diag

// Folds what was in memory when the view was attached. Meanwhile nothing of the table is sealed
// (mr_seal_hold), so that no segment is committed without what the view needs of it.
[[nodiscard]] int mr_view_fill_memory(
	struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag);
// Folds what was in segments then, into runs, and makes the view ready.
[[nodiscard]] int mr_view_fill_stored(
	struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag);
// At a start: takes the view's runs over. When they are not exactly what the table's segments hold
// (the process ended while the view was filled, or the fold means something else now), they are
// discarded and the view is filled anew. Control, before workers run.
[[nodiscard]] int mr_view_open(struct mr_view *v, struct mr_diag *diag);
