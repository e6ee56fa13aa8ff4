// Materialized views at run time: what workers fold, what readers merge.
//
// Each worker folds the rows of its table part into a state of its own, the active one, as they
// become visible. A reader asks every worker to freeze: the active state is set aside whole and a
// new one begun, which costs the worker nothing. Frozen states are merged into the view's base: in
// place when nobody reads it, into a fresh one otherwise. So a reader pays for the groups that have
// changed since the last look and for the rows it reads, never for the rows that were folded.
//
// A new view is filled from the rows already stored: at the moment a worker takes it over, it notes
// how far each piece had been published; those rows are folded by whoever creates the view, later
// ones by the worker. No row is left out or folded twice.
#pragma once

#include "host/sql/fold.h"
#include "host/table.h"

#include <pthread.h>

struct mr_worker;
struct mr_view;

// Rows stored before the view came: `rows` of the piece, which is referenced.
struct mr_view_stored {
	struct mr_piece *piece;
	uint64_t rows;
};

struct mr_view_state {
	struct mr_view_state *next;
	struct mr_fold_state *fold;
};

// One worker's share. Everything but `frozen` and the counters belongs to the worker.
struct mr_view_part {
	struct mr_view_part *next; // of the table part's list
	struct mr_view *view;
	bool attached;
	struct mr_fold_state *active; // NULL: nothing folded since the last freeze
	struct mr_view_stored *stored;
	uint32_t stored_count;
	struct mr_view_state *frozen; // under view->lock
	// worker: wo, others: ro, relaxed
	_Atomic uint64_t rows_folded;
	_Atomic uint64_t freezes;
	_Atomic uint64_t failures; // no memory for a state: the view is broken and says so
};

struct mr_view_base {
	struct mr_fold_state *fold;
	uint32_t references; // under view->lock
};

struct mr_view {
	struct mr_relation relation;
	_Atomic uint32_t references;
	struct mr_view_def *def;
	struct mr_table *table;
	struct mr_fold *fold;
	size_t state_bytes_max;
	struct mr_worker *const *workers;
	uint32_t parts_count;
	struct mr_view_part *parts;
	_Atomic bool ready; // filled from the stored rows; SQL sees it from then on

	pthread_mutex_t merging; // held while frozen states go into the base
	pthread_mutex_t lock;    // held for moments: frozen lists and the base's references
	struct mr_view_base *base;
};

// Takes `fold` and references of def and table. Workers are borrowed.
[[nodiscard]] int mr_view_create(struct mr_view_def *def, struct mr_table *table,
	struct mr_fold *fold, struct mr_worker *const *workers, size_t state_bytes_max,
	struct mr_view **out);
struct mr_view *mr_view_get(struct mr_view *v);
void mr_view_put(struct mr_view *v);

// On worker `index`'s thread (or before it runs): begins, ends folding.
void mr_view_attach(struct mr_view *v, uint32_t index);
void mr_view_detach(struct mr_view *v, uint32_t index);

// Folds rows `from` to `to` of a chunk. Worker.
void mr_view_part_fold(
	struct mr_view_part *p, const struct mr_chunk *c, uint32_t from, uint32_t to);

// Folds what was stored before the view was attached, and makes the view ready. SQL threads;
// 0 or negative with diag.
[[nodiscard]] int mr_view_fill(struct mr_view *v, _Atomic bool *cancelled, struct mr_diag *diag);
