// A segment store on a simulated disk, opened as a start opens it; and lives of it that end at
// every flush in turn.
#pragma once

#include "host/base/rand.h"
#include "storage/io_sim.h"
#include "storage/segment_store.h"

struct segment_rig {
	struct mr_manifest *manifest;
	struct mr_segment_store *segments;
	struct mr_segment_writer *writer;
};

// 0, or what kept it from opening: close it either way. The manifest makes a snapshot after
// `snapshot_records`.
int segment_rig_open(struct segment_rig *r, struct mr_io_sim *sim, uint32_t snapshot_records);
void segment_rig_close(struct segment_rig *r);
// Writes a segment of these rows, and no dead letters, and makes it exist. Takes info->ranges.
int segment_rig_seal(
	struct segment_rig *r, const struct mr_segment_source *rows, struct mr_segment_info *info);
// Files in the folder.
int segment_rig_files(struct mr_io_sim *sim, const char *folder);

// What a store goes through. `known` is `known_bytes` of the test's, zeros at first: what it was
// told.
struct segment_life {
	uint32_t snapshot_records;
	size_t known_bytes;
	// Changes the store until something fails, and notes what was told.
	void (*live)(struct mr_io_sim *sim, struct segment_rig *s, void *known, struct mr_rand *r);
	// What a start finds against what is known; takes what it finds as known.
	void (*check)(struct mr_io_sim *sim, struct segment_rig *s, void *known);
};

// Lives that die at the first flush, the second, … until one has not died any more; in rounds, with
// the power cut and the process killed in turn. After each the store is checked, lives on, and is
// checked again after another cut. Prints the seed.
void segment_rig_every_flush(const struct segment_life *of);
