// Merging: from the states and runs that a view consists of to one state, for all hash parts at
// once or for a few at a time, so that what does not fit in memory is worked through in passes.
//
// Readers, the base, sealing and the merging of runs all do the same thing here with other sources
// and another end of it.
#pragma once

#include "host/view/view.h"

// What is merged: references are held.
struct mr_view_sources {
	struct mr_view_state **states;
	uint32_t states_count;
	struct mr_run **runs;
	uint32_t runs_count;
};

// Everything set aside and stored at this moment.
[[nodiscard]] int mr_view_sources_all(struct mr_view *v, struct mr_view_sources *out);
// The states of the table part's pieces up to one.
[[nodiscard]] int mr_view_sources_of(
	struct mr_view *v, uint32_t part, uint64_t sequence, struct mr_view_sources *out);
void mr_view_sources_fini(struct mr_view_sources *s);
// What they may take in memory when merged; groups that are in several count several times.
size_t mr_view_sources_bytes(const struct mr_view *v, const struct mr_view_sources *s);

// The order of a state, made by whoever needs it first; the state counts it from the beginning.
[[nodiscard]] int mr_view_state_order(struct mr_view_state *s, const struct mr_fold_order **out);

// A merging in passes.
struct mr_view_merging {
	struct mr_view *view;
	const struct mr_view_sources *sources;
	struct mr_run_reader *reader; // borrowed
	_Atomic bool *cancelled;      // or NULL
	// Called as the pass grows, with what it takes now, and with 0 when it has failed or is
	// released: counts that. MR_ERR_LIMIT: it may not take so much.
	int (*grown)(struct mr_view_merging *m, size_t bytes);
	void *ctx;      // of `grown`
	size_t counted; // its
	// A pass that may not grow is done over with fewer parts, and if it has but one, it ends
	// there and the next goes on with the same part: its groups are then in several passes.
	bool splits;
	uint32_t step; // parts of a pass
	uint32_t next; // part
	uint32_t end;  // of the parts
	// Where the pass is: what is before is in it, or was in the one before.
	uint32_t run, block;
	uint32_t state, done;
};

// Divides the parts into passes of about `pass_bytes`.
void mr_view_merging_begin(struct mr_view_merging *m, struct mr_view *v,
	const struct mr_view_sources *s, struct mr_run_reader *reader, size_t pass_bytes);
// Of one part there is to be a pass, and of no other.
void mr_view_merging_only(struct mr_view_merging *m, uint8_t part);
// Merges the next pass into a fresh state, which is the caller's until it is released; `parts` says
// which parts it has. 1; 0: there is no more; negative with diag, MR_ERR_LIMIT when it may not
// grow.
[[nodiscard]] int mr_view_merging_next(struct mr_view_merging *m, struct mr_fold_state **out,
	struct mr_fold_parts *parts, struct mr_diag *diag);
// Frees a pass.
void mr_view_merging_release(struct mr_view_merging *m, struct mr_fold_state *pass);

// What the tools of a thread take, without a group that is larger than a block: buffers of blocks,
// plain and compressed, for reading and writing, and contexts of zstd.
#define MR_VIEW_TOOLS_BYTES (16u << 20)

// Tools of a thread that writes runs.
struct mr_view_tools {
	struct mr_run_writer *writer;
	struct mr_run_reader *reader;
	struct mr_buf raw;
	_Atomic bool *cancelled; // or NULL
};

// Offsets of partitions: of each, from the first to the last that was added.
struct mr_view_ranges {
	struct mr_offset_range *items; // ascending by partition
	uint32_t count;
};

[[nodiscard]] int mr_view_ranges_add(
	struct mr_view_ranges *r, const struct mr_offset_range *items, uint32_t count);

[[nodiscard]] int mr_view_tools_init(struct mr_view_tools *t, struct mr_disk *disk);
void mr_view_tools_fini(struct mr_view_tools *t);

// Writes the merged sources as the file of a new run and fills `info` but for its ranges. Durable
// after mr_run_sync of the tools' writer.
[[nodiscard]] int mr_view_write(struct mr_view_tools *t, struct mr_view *v,
	const struct mr_view_sources *s, struct mr_run_info *info, struct mr_diag *diag);
// The same from one state of which nobody else knows yet.
[[nodiscard]] int mr_view_write_state(struct mr_view_tools *t, struct mr_view *v,
	const struct mr_fold_state *state, struct mr_run_info *info);
// Removes the file of a run that was not committed.
void mr_view_unlink(struct mr_view *v, const struct mr_run_info *info);

// ---- sealing

// The runs that go with one segment.
struct mr_view_sealing {
	struct mr_view **views; // references
	uint32_t count;
	struct mr_run_info *infos; // one for each view
	bool *wanted;              // committed with the segment
	struct mr_buf records;
	uint32_t part;
	uint64_t sequence;
};

// Writes a run of each view of the table, from the states of the part's pieces up to `sequence`.
// `segment` lends its ranges. Sealing thread.
[[nodiscard]] int mr_view_sealing_write(struct mr_view_sealing *s, struct mr_view_tools *t,
	struct mr_view *const *views, size_t views_count, const struct mr_table_part *part,
	uint64_t sequence, const struct mr_segment_info *segment);
// The records of the runs that are still wanted, into `out`, which has room for one a view. Under
// the commit lock. Returns their count or -ENOMEM.
[[nodiscard]] int mr_view_sealing_records(
	struct mr_view_sealing *s, struct mr_manifest_record *out);
// Afterwards. `rc` 0: committed; the runs take the place of the states. 1: not wanted, the files
// go. Negative: the append failed; unless it says that nothing was written, the record may be
// there, and the next start decides.
void mr_view_sealing_end(struct mr_view_sealing *s, int rc);
