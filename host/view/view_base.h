// The base of a view: runs and unsealed states merged, a cache that readers share and keep up.
#pragma once

#include "host/view/view_merge.h"

// What a reader reads: the base, unchanged until mr_view_unread; or, when there is none, what to
// merge in passes.
struct mr_view_reading {
	struct mr_view_base *base; // or NULL
	struct mr_view_sources sources;
};

// Freezes, brings the base up to date where there is one or memory for one, and pins it or the
// sources. SQL threads. 0, or negative with diag.
[[nodiscard]] int mr_view_read(struct mr_view *v, _Atomic bool *cancelled,
	struct mr_view_reading *out, struct mr_diag *diag);
// The same of what has been set aside: workers are not asked.
[[nodiscard]] int mr_view_read_frozen(struct mr_view *v, _Atomic bool *cancelled,
	struct mr_view_reading *out, struct mr_diag *diag);
void mr_view_reading_end(struct mr_view *v, struct mr_view_reading *r);
void mr_view_unread(struct mr_view *v, struct mr_view_base *b);

// The run has been committed for the part's states up to a sequence: these go into the base, if
// there is one, and out of the view; the run (taken) comes in. Sealing thread.
void mr_view_sealed(struct mr_view *v, uint32_t part, uint64_t sequence, struct mr_run *run);
