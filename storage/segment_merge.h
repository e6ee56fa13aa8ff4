// Merging: many segments of a table into one that holds the same rows, those of each behind those
// of the one before.
//
// Rows keep the order in which they arrived. Why not sorted by time: producers' clocks run along
// with the log, so a block of arrivals already spans little time (its own, plus how late rows
// come), which is what leaving blocks out needs; the offsets of each partition stay ascending,
// which packs to nothing, and makes a merged segment cover whole ranges of them; and no memory
// grows with the rows but four bytes each. Sorting would have to hold, or spill, every column.
//
// Blocks of the inputs are not cut: an output block is one of them, or several that are small.
#pragma once

#include "storage/segment.h"

struct mr_segment_merge {
	struct mr_disk *disk;
	struct mr_segment *const *inputs; // of one table, neighbours in its order, none damaged
	uint32_t inputs_count;
	int level;           // of zstd
	size_t gather_bytes; // at most, of a column of small blocks that become one
	// Called before each block is read; a negative answer ends the merge with it. May be NULL.
	int (*step)(void *ctx);
	void *ctx;
	// Filled: the most memory it held.
	size_t bytes_peak;
};

// Reads the inputs and writes the file of info->id; fills all else of `info`, whose ranges are the
// caller's. What was written is opened again and compared with the inputs by rows, nulls and exact
// sums before it is said to be there. 0, or negative with diag, and then there is no file;
// MR_ERR_CORRUPT: an input is damaged, and says so from now on. Blocks.
[[nodiscard]] int mr_segment_merge_run(
	struct mr_segment_merge *m, struct mr_segment_info *info, struct mr_diag *diag);
