// Lives of stored views on a simulated disk, and what the views must be.
//
// The log is a function: row (partition, offset) has a key and a value computed from both, and all
// rows up to `end` are durable. A life has the stores, a table over the log and two views of it; it
// takes rows, closes and seals pieces as the daemon does, until the disk dies or it ends well.
#pragma once

#include "host/base/rand.h"
#include "host/view/view_base.h"
#include "host/view/view_merger.h"
#include "host/worker.h"
#include "storage/io_sim.h"
#include "storage/segment_store.h"

enum { VIEW_PARTITIONS = 4, VIEW_WORKERS_MAX = 4, VIEW_VIEWS = 2, VIEW_FIRST_ID = 100 };

// What outlives a life.
struct view_world {
	struct mr_io_sim sim;
	struct mr_rand rand;
	int64_t end[VIEW_PARTITIONS];              // rows of the log
	int64_t gone[VIEW_PARTITIONS];             // up to where segments have expired
	int64_t from[VIEW_VIEWS][VIEW_PARTITIONS]; // what a view has begins here
	bool ready[VIEW_VIEWS];                    // was whole when the last life ended
	uint64_t next_view_id;
	size_t budget_bytes;
	uint64_t refills, reads, spilled, merges, deaths;
	size_t work_peak; // of views, in bytes
};

struct view_life {
	struct view_world *world;
	struct mr_manifest *manifest;
	struct mr_catalog catalog;
	struct mr_segment_store *segments;
	struct mr_run_store *runs;
	struct mr_segment_writer *writer;
	struct mr_view_tools tools;
	struct mr_env env;
	struct mr_view_host host;
	struct mr_chunk_pool *pools[VIEW_WORKERS_MAX];
	struct mr_worker *workers[VIEW_WORKERS_MAX];
	uint32_t workers_count;
	struct mr_table *table;
	struct mr_view *views[VIEW_VIEWS]; // by query; NULL: none
	// Of each part: what is closed and not sealed, in order.
	struct mr_piece *closed[VIEW_WORKERS_MAX][64];
	uint32_t closed_count[VIEW_WORKERS_MAX];
	bool dead;
};

// Everything up to the replay of the log; the end.
void view_life_begin(struct view_life *l, struct view_world *w);
void view_life_end(struct view_life *l);
// Anything that fails has failed because the disk died.
bool view_life_ok(struct view_life *l, int rc);
// Rows [from, to) of a partition become visible on its worker.
void view_life_apply(struct view_life *l, uint32_t partition, int64_t from, int64_t to);
// The worker's open piece is closed; some of its closed ones become a segment.
void view_life_close(struct view_life *l, uint32_t index);
void view_life_seal(struct view_life *l, uint32_t index);
// The first segment's time is over. Views keep what they made of its rows.
void view_life_expire(struct view_life *l);
// Takes the stored views over; makes, drops one.
void view_life_start_views(struct view_life *l);
void view_life_make(struct view_life *l, int which);
void view_life_drop(struct view_life *l, int which);
// Every view is its query.
void view_life_check(struct view_life *l);
