// Shared by the files of this folder.
#pragma once

#include "host/view/view.h"

// Rows on their way into states that are given away when they are full.
struct mr_view_folding {
	struct mr_view *view;
	struct mr_fold_state *state;            // or NULL
	size_t bytes_max;                       // of a state
	size_t *work;                           // what of it is counted as work; NULL: nothing
	int (*full)(struct mr_view_folding *f); // takes f->state; 0 or negative
	void *arg;
};

// Folds rows `from` to block->rows.
[[nodiscard]] int mr_view_fold_block(
	struct mr_view_folding *f, const struct mr_block *block, uint32_t from);
[[nodiscard]] int mr_view_fold_chunk(
	struct mr_view_folding *f, const struct mr_chunk *c, uint32_t from, uint32_t to);

// A state that is in no list yet, one reference; takes `fold`.
struct mr_view_state *mr_view_state_create(
	struct mr_view *v, struct mr_fold_state *fold, uint32_t part, uint64_t sequence);

// What somebody has of `budget->work`.
static inline void mr_view_work_count(struct mr_view_budget *b, size_t *counted, size_t bytes)
{
	size_t work = atomic_fetch_add_explicit(&b->work, bytes - *counted, memory_order_relaxed) +
		      bytes - *counted;
	size_t peak = atomic_load_explicit(&b->work_peak, memory_order_relaxed);

	*counted = bytes;
	while (work > peak && !atomic_compare_exchange_weak_explicit(&b->work_peak, &peak, work,
				      memory_order_relaxed, memory_order_relaxed))
		continue;
}

static inline void mr_view_count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static inline int mr_view_cancelled(_Atomic bool *cancelled, struct mr_diag *diag)
{
	if (!cancelled || !atomic_load_explicit(cancelled, memory_order_relaxed))
		return 0;
	return mr_diag_set(
		diag, MR_ERR_CANCELLED, "57014", 0, "canceling statement due to user request");
}
