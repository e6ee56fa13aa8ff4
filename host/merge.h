// Merging and expiring segments, on a background thread of its own.
//
// A round looks at each table: segments whose newest row is older than the table's ttl go, by one
// append to the manifest; then neighbours that are worth it (merge_pick.h) become one, block by
// block within `merge.memory_bytes`, and one append puts it in their place. The rows of views stay
// what they are: nothing is deleted from a view because it expired in its table.
//
// Then the workers, by message, take the new segment into the versions of their parts instead of
// the old ones. Readers that pinned an older version go on; files go with their last reader. With
// several workers the old ones may lie in several parts: whoever pins all of them does so under the
// table's `moves` lock (table.h), and a snapshot is taken over under mr_merge_hold, so that nobody
// sees a row twice or not at all.
//
// Nothing waits for a merge: between blocks it makes way while sealing writes. It stops when less
// than the reserve of the disk would be left. A damaged segment is left where it is, counted and
// named in the log; its neighbours on either side go on without it. VACUUM asks the same thread.
#pragma once

#include "host/merge_pick.h"
#include "host/table.h"

struct mr_control;
struct mr_merge;

// Written by the merging thread, read by any, relaxed.
struct mr_merge_stats {
	_Atomic uint64_t merges;
	_Atomic uint64_t segments; // merged into others
	_Atomic uint64_t rows;
	_Atomic uint64_t bytes_read;
	_Atomic uint64_t bytes_written;
	_Atomic uint64_t busy_us;
	_Atomic uint64_t failures;
	_Atomic uint64_t failing;      // 1: the last merge failed
	_Atomic uint64_t damaged;      // segments found damaged while merging
	_Atomic uint64_t disk_waits;   // merges put off for want of disk space
	_Atomic uint64_t seal_waits;   // times that a merge made way for sealing
	_Atomic uint64_t memory_bytes; // most held by a merge so far
	_Atomic uint64_t expired_segments;
	_Atomic uint64_t expired_rows;
	_Atomic uint64_t expire_failures;
};

// Borrows control, whose segments, config, clock and workers it uses.
[[nodiscard]] int mr_merge_create(struct mr_control *c, struct mr_merge **out);
// Starts the thread, after workers run.
[[nodiscard]] int mr_merge_start(struct mr_merge *g);
// Ends it between two blocks. Before workers stop.
void mr_merge_stop(struct mr_merge *g);
void mr_merge_destroy(struct mr_merge *g);
const struct mr_merge_stats *mr_merge_stats(const struct mr_merge *g);

// While held, no segment changes its part. Control, around handing out a snapshot; NULL does
// nothing.
void mr_merge_hold(struct mr_merge *g);
void mr_merge_release(struct mr_merge *g);

// Merges all that can be of a table (0: of all), packs it well, and returns when that is done. SQL
// threads. 0, or negative with diag; MR_ERR_CORRUPT when a damaged segment was left as it is.
[[nodiscard]] int mr_merge_vacuum(
	struct mr_merge *g, uint64_t table_id, _Atomic bool *cancelled, struct mr_diag *diag);

// Whether two neighbours may become one: what else is kept by ranges of offsets (views' runs) must
// hold the rows of both or of neither. The one place that says so.
bool mr_merge_may_join(
	const struct mr_table *t, const struct mr_segment_info *a, const struct mr_segment_info *b);
