// Which segments of a table become one: the policy of merging, as functions of numbers only.
//
// Segments have tiers by their rows, a factor of eight apart; the highest is a whole segment, which
// is not merged any more. Neighbours are merged when together they reach a tier above all of them:
// so each row is rewritten at most once per tier (at most MR_MERGE_TIERS times, from segments of a
// single row; twice or three times from those that sealing makes under load), and what is left
// lying is a few segments of each tier.
//
// Only neighbours in the table's order are merged, so that the offset ranges of every partition
// stay whole. With a ttl, only those that expire at about the same time are, so that a merged
// segment goes at most an eighth of the ttl later than its oldest input would have.
#pragma once

#include "storage/segment.h"

#define MR_MERGE_TIERS      8
#define MR_MERGE_INPUTS_MAX 256

struct mr_merge_limits {
	uint64_t rows_whole; // a segment of so many rows is whole; one has at most twice as many
	uint64_t bytes_max;  // of the inputs' files; a segment of half as many is whole, too
	int64_t ttl_us;      // 0: none
	bool all;            // VACUUM: everything that can be, and what was packed at a lower level
	int level;           // of zstd, with `all`
};

struct mr_merge_run {
	uint32_t first;
	uint32_t count; // 0: nothing to merge
};

// Picks from a table's segments in their order; NULL stands for one that must not be merged.
struct mr_merge_run mr_merge_pick(const struct mr_segment_info *const *infos, uint32_t count,
	const struct mr_merge_limits *l);

// The level of zstd that a background merge packs the run with: what will not be rewritten soon is
// worth more effort.
int mr_merge_level(const struct mr_segment_info *const *infos, struct mr_merge_run run,
	const struct mr_merge_limits *l);

// Kafka's -1, "no timestamp", in microseconds: such rows have no age.
#define MR_MERGE_NO_TIME (-1000)

// Whether all rows of the segment are older than the ttl.
static inline bool mr_merge_expired(const struct mr_segment_info *i, int64_t ttl_us, int64_t now_us)
{
	return ttl_us > 0 && i->time_max < now_us - ttl_us && i->time_max != MR_MERGE_NO_TIME;
}
