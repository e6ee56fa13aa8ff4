// A table at run time: for each worker the rows it has decoded, as versions that readers pin.
//
// A table part is one worker's: it appends decoded rows to an open chunk, counts them visible once
// their log position is durable, and publishes an immutable version (a list of pieces) whenever the
// list changes. A reader pins one version per part and reads each chunk up to its published row
// count; ingest never waits for it.
//
// Dead letters are rows of their own kind of chunk beside the table's, in the same piece, so that
// what a range of offsets became, rows and dead letters, is always one thing. A piece that is
// closed and durable goes to the sealing thread (seal.h) and comes back as a segment.
#pragma once

#include "dataplane/batch.h"
#include "dataplane/decode.h"
#include "host/catalog.h"
#include "host/piece.h"
#include "host/sql/env.h"
#include "kernels/chunk.h"

// Hidden columns, in this order after the table's own.
enum {
	MR_HIDDEN_KEY,
	MR_HIDDEN_HEADERS,
	MR_HIDDEN_PARTITION,
	MR_HIDDEN_OFFSET,
	MR_HIDDEN_TIMESTAMP,
	MR_HIDDEN_COUNT,
};

// Columns of a dead-letter chunk.
enum {
	MR_DEAD_TOPIC,
	MR_DEAD_PARTITION,
	MR_DEAD_OFFSET,
	MR_DEAD_TIMESTAMP,
	MR_DEAD_KEY,
	MR_DEAD_VALUE,
	MR_DEAD_REASON,
	MR_DEAD_COUNT,
};

// What the chunks of one kind look like.
struct mr_chunk_form {
	const struct mr_typeref *types;
	uint32_t types_count;
	bool *plain; // text columns that are not worth a dictionary, as the last chunk showed
};

struct mr_seal;
struct mr_view_part;
struct mr_watermark;

struct mr_table_part {
	struct mr_table *table;
	struct mr_chunk_pool *pool; // a share of the worker's
	size_t chunk_bytes_max;
	uint32_t index; // of the part, and of its worker
	struct mr_decoder *decoder;
	struct mr_seal *seal; // NULL: nothing is sealed
	struct mr_chunk_form forms[MR_PIECE_KINDS];
	struct mr_piece_list pieces;
	struct mr_piece *open;      // the last of the list, or NULL
	uint64_t sequence;          // of the next piece
	struct mr_buf scratch;      // headers as JSON
	struct mr_view_part *views; // that fold this part's rows; worker only
	// Of the part's partitions: the least durable watermark of those that are not idle
	// (INT64_MAX: all are, INT64_MIN: one has none yet), and the greatest of all. Worker: wo,
	// others: ro.
	_Atomic int64_t watermark_least_us, watermark_most_us;
	int64_t least_next_us, most_next_us; // being found out; worker only
	size_t views_expected;   // of their memory, by rows not visible yet; worker only
	bool views_waited;       // rows had to wait for views, until some are visible; worker only
	size_t views_text_bytes; // of a row of the last batch, on average; worker only
	// worker: wo, others: ro, relaxed
	_Atomic uint64_t rows_decoded;
	_Atomic uint64_t rows_visible;
	_Atomic uint64_t rows_dead;
	_Atomic uint64_t chunks_waited; // no memory for a chunk
};

struct mr_table {
	struct mr_relation relation; // first member: relation->owner is the table as well
	_Atomic uint32_t references;
	struct mr_table_def *def;
	struct mr_topic_def *topic;
	const struct mr_schema *schema;
	struct mr_typeref *types; // of all columns, hidden ones last
	// Dropped or emptied: nothing more of it may be sealed. Under the commit lock of segments.
	bool retired;
	uint32_t held_count; // partitions that segments held rows of when the table was made
	int64_t *held;       // up to which offset
	uint32_t parts_count;
	struct mr_table_part **parts;
	// Held, for moments, by readers that pin the versions of several parts, and by the merging
	// thread while segments go from parts to others: each is in exactly one of those pinned.
	pthread_rwlock_t moves;
	_Atomic int64_t watermark_us; // INT64_MIN: none yet; only rises
	// Any worker: wo, once; readers: ro. A partition's rows end here, since its log cannot be
	// read.
	_Atomic int64_t broken_offset;
	_Atomic uint32_t broken_partition; // + 1; 0: the table is whole
};

// Says that the rows of `partition` from `offset` on are missing. Worker thread.
void mr_table_break(struct mr_table *t, uint32_t partition, int64_t offset);
// 0, or MR_ERR_CORRUPT with diag when rows are missing: a wrong answer is worse than none.
[[nodiscard]] int mr_table_whole(const struct mr_table *t, struct mr_diag *diag);

struct mr_table_setup {
	uint32_t parts_count;               // one for each worker
	struct mr_chunk_pool *const *pools; // as many
	size_t chunk_bytes_max;
	struct mr_seal *seal;
	struct mr_segment *const
		*segments; // what is stored of the table; a reference is taken of each
	uint32_t segments_count;
	const struct mr_offset_range *expired; // up to where expired segments held partitions
	uint32_t expired_count;
};

// Takes a reference of def and topic. 0 or negative; MR_ERR_CORRUPT when a segment has other
// columns than the table.
[[nodiscard]] int mr_table_create(struct mr_table_def *def, struct mr_topic_def *topic,
	const struct mr_table_setup *setup, struct mr_table **out);
struct mr_table *mr_table_get(struct mr_table *t);
void mr_table_put(struct mr_table *t);

// Rows that become visible when the log is durable up to `lsn`.
struct mr_mark {
	uint64_t lsn;
	struct mr_table_part *part;
	struct mr_piece *piece; // a reference is held
	uint32_t rows;
	uint8_t kind; // enum mr_piece_kind
};

// First in, first out; positions only rise. Worker only.
struct mr_marks {
	struct mr_mark *items;
	size_t head, count, max;
};

void mr_marks_fini(struct mr_marks *m);

struct mr_apply {
	const struct mr_batch *batch;
	struct mr_span records; // decompressed and checked
	int64_t base_offset;
	uint32_t partition;
	int64_t from_offset;            // records below are skipped: applied before
	uint64_t lsn;                   // of the batch's end; where the rows become visible
	struct mr_watermark *watermark; // of the partition, counts the rows; NULL: there is none
	int64_t future_us;              // event times from here on do not move it
};

// Decodes a batch's records into the part, worker only. Returns the offset behind the last record
// applied: the batch's end, or less when memory for chunks, or for the table's views, is used up.
int64_t mr_table_part_apply(
	struct mr_table_part *p, const struct mr_apply *a, struct mr_marks *marks);

// Whether the part may take rows now: a chunk has room, or memory for a chunk is there. Feeds ask
// before they try again; after a no the pool wakes the worker once memory has come back. The one
// place where something that reads the part's rows may hold them back, too. Worker.
bool mr_table_part_may_take(struct mr_table_part *p);
// After rows had to wait: whether it helps to seal what is in memory. If not, they wait for views,
// until rows before them are visible.
bool mr_table_part_wants_room(const struct mr_table_part *p);

// Publishes the rows of all marks up to `durable`.
void mr_marks_publish(struct mr_marks *m, uint64_t durable);

// Takes those of the segments `old` (ascending by address) that the part has out of its version,
// and `by` (taken; may be NULL) in. Worker.
void mr_table_part_swap(struct mr_table_part *p, struct mr_segment *const *old, uint32_t count,
	struct mr_piece *by);
// Around swapping in all parts. Merging thread.
void mr_table_move_begin(struct mr_table *t);
void mr_table_move_end(struct mr_table *t);
// Around pinning all parts' versions. Not workers.
void mr_table_pin_begin(struct mr_table *t);
void mr_table_pin_end(struct mr_table *t);

// The first offset of the partition that no segment held when the table was made.
int64_t mr_table_held(const struct mr_table *t, uint32_t partition);

// Closes the open piece, if it has rows, so that it is sealed when they are durable. Worker.
void mr_table_part_close(struct mr_table_part *p);
// Puts `by` in the place of pieces of the part. Worker.
void mr_table_part_replace(
	struct mr_table_part *p, struct mr_piece *const *old, uint32_t count, struct mr_piece *by);

// The columns of a section of the table's segments; `out` has room for columns_count of the table,
// or MR_DEAD_COUNT. Returns the count.
uint32_t mr_table_segment_columns(
	const struct mr_table *t, int kind, struct mr_segment_column *out);
// Which of them say when a row was: the watermark's column if there is one, else _timestamp.
void mr_table_segment_times(const struct mr_table *t, int kind, struct mr_segment_source *out);
