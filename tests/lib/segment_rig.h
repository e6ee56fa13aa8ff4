// A segment store on a simulated disk, opened as a start opens it; and lives of it that end at
// every flush in turn.
#pragma once

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

// The end of a life: the process is killed or the power is cut. Whether the disk had died before.
bool segment_rig_die(struct mr_io_sim *sim, bool kill);
// Calls `life` so that it dies at the first flush, the second, … until it has not died any more; in
// rounds, with the power cut and the process killed in turn. Prints the seed.
void segment_rig_every_flush(bool (*life)(uint64_t seed, uint64_t die_at_flush, bool kill));
