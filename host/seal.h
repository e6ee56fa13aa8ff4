// Sealing: closed pieces become column segments, on a background thread.
//
//	worker   closes a piece (full, old, CHECKPOINT, or memory is needed); when its rows are
//	         durable, hands it over by message
//	sealer   waits for more pieces of the same part, up to a segment's worth or some seconds;
//	         writes the segment, and of each view of the table what it has of the same rows (a
//	         run, view/view.h), flushes all, commits them in the manifest by one append (the
//	         commit point), and hands the segment back by message
//	worker   publishes a version in which the segment stands for the pieces; readers that pinned
//	         the old one go on; the log may forget those offsets
//
// Pieces of a part are sealed in the order they were opened, so what segments hold of a partition
// is always its first offsets up to some end, and a restart replays from there. A write that fails
// keeps the pieces in memory and is tried again later.
#pragma once

#include "host/piece.h"

struct mr_control;
struct mr_seal;

// A row count at which a segment is written at once.
#define MR_SEAL_ROWS (1u << 20)

// What the sealing thread takes at most to write a segment of chunks so large.
uint64_t mr_seal_bytes_max(uint64_t chunk_bytes_max);

// Counters; written by the sealing thread, read by any, relaxed.
struct mr_seal_stats {
	_Atomic uint64_t segments;
	_Atomic uint64_t rows;
	_Atomic uint64_t bytes;
	_Atomic uint64_t failures;
	_Atomic uint64_t pieces_waiting;
	_Atomic uint64_t failing; // tables whose last write failed, on each worker
	_Atomic uint64_t writing; // 1: a segment is being written
	// By the monotonic clock; 0: none. Since when writes fail, and when the oldest of the
	// pieces that wait came.
	_Atomic uint64_t failing_since_ns;
	_Atomic uint64_t waiting_since_ns;
};

// Borrows control, whose segments, config, clock and workers it uses.
[[nodiscard]] int mr_seal_create(struct mr_control *c, struct mr_seal **out);
// Starts the thread. Before workers run.
[[nodiscard]] int mr_seal_start(struct mr_seal *s);
// Ends the thread after the write it is in. Before workers stop: they take what it has handed back.
void mr_seal_stop(struct mr_seal *s);
// After workers have stopped.
void mr_seal_destroy(struct mr_seal *s);
const struct mr_seal_stats *mr_seal_stats(const struct mr_seal *s);
// The last write failed: memory will not become free for now. Any thread.
bool mr_seal_failing(const struct mr_seal *s);
// A segment is being written: other work on the same disk and cores makes way. Any thread.
bool mr_seal_busy(const struct mr_seal *s);

// A closed piece, all of it visible. Worker; the sealer takes references of its own.
void mr_seal_push(struct mr_seal *s, struct mr_piece *p);
// Memory is needed: what waits is sealed now. Any thread.
void mr_seal_hurry(struct mr_seal *s);

// Nothing of the table is sealed from when hold returns to release, and what was has been handed
// back to the workers, whose mailboxes keep order. Holds nest. SQL threads.
void mr_seal_hold(struct mr_seal *s, uint64_t table_id);
void mr_seal_release(struct mr_seal *s, uint64_t table_id);

// Seals everything that is applied now and returns when it is committed. SQL threads. 0, or
// negative with diag.
[[nodiscard]] int mr_seal_checkpoint(
	struct mr_seal *s, _Atomic bool *cancelled, struct mr_diag *diag);
