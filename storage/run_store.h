// Which runs exist: the manifest's records of types MR_MANIFEST_TYPE_RUN and up.
//
// A run is committed in the append that commits the segment of the same rows, so what a view's runs
// cover is what its table's segments cover. Runs are replaced by their merger, and dropped with
// their view or table, in one append each.
//
// Threads: any thread may call; calls that append or clean block.
#pragma once

#include "storage/manifest.h"
#include "storage/run.h"

// Record types. Payloads: docs/FORMAT.md, "Records of runs".
enum {
	MR_RUN_RECORD = MR_MANIFEST_TYPE_RUN,
	MR_RUN_RECORD_NEXT_ID,
	MR_RUN_RECORD_REPLACED, // some runs of a view are gone: others hold what they held
	MR_RUN_RECORD_VIEW_DROPPED,
	MR_RUN_RECORD_TABLE_DROPPED, // the runs of all views of a table
	MR_RUN_RECORD_LAST = MR_RUN_RECORD_TABLE_DROPPED,
};

#define MR_RUN_RECORD_VERSION 1

struct mr_run_store;

// Registers with the manifest, which is opened after this. Disk and manifest are borrowed.
[[nodiscard]] int mr_run_store_create(
	struct mr_disk *disk, struct mr_manifest *manifest, struct mr_run_store **out);
void mr_run_store_destroy(struct mr_run_store *s); // NULL does nothing

// After mr_manifest_open: removes files in run/ that no record names.
[[nodiscard]] int mr_run_store_clean(struct mr_run_store *s);

// An id for a new run; never given twice.
uint64_t mr_run_store_id(struct mr_run_store *s);

// The payload of MR_RUN_RECORD, for an append that others make.
void mr_run_store_save(struct mr_buf *out, const struct mr_run_info *info);
// The payload of MR_RUN_RECORD_VIEW_DROPPED or MR_RUN_RECORD_TABLE_DROPPED.
void mr_run_store_dropped(struct mr_buf *out, uint64_t id);

// Makes written runs exist and others of the same view not, in one append. The infos' ranges stay
// the caller's.
[[nodiscard]] int mr_run_store_commit(struct mr_run_store *s, const struct mr_run_info *infos,
	uint32_t infos_count, struct mr_run *const *replaced, uint32_t replaced_count);

// Drops all runs of a view.
[[nodiscard]] int mr_run_store_drop_view(struct mr_run_store *s, uint64_t view_id);

// A reference to the run, or NULL when there is none (any more).
struct mr_run *mr_run_store_find(struct mr_run_store *s, uint64_t id);
// All runs of a view by ascending id (view_id 0: of all views), a reference of each; `*out` is to
// be freed. Returns the count or -ENOMEM.
[[nodiscard]] int mr_run_store_list(struct mr_run_store *s, uint64_t view_id, struct mr_run ***out);
