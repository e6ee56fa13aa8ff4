// A table at run time: for each worker the rows it has decoded, as versions that readers pin.
//
// A table part is one worker's: it appends decoded rows to an open chunk, counts them visible once
// their log position is durable, and publishes an immutable version (a list of chunks) whenever the
// list changes. A reader pins one version per part and reads each chunk up to its published row
// count; ingest never waits for it.
//
// Dead letters are rows of their own kind of chunk beside the table's, so that what a range of
// offsets became, rows and dead letters, is always one thing.
#pragma once

#include "dataplane/batch.h"
#include "dataplane/decode.h"
#include "host/catalog.h"
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

// A list of chunks that never changes while anybody holds it. Slots are reused, never freed before
// the part, so a reader may look at a slot that is being given up: it finds the count busy or zero
// and looks again.
struct mr_version {
	_Atomic uint32_t references; // 0: free slot; MR_VERSION_BUSY: being emptied
	struct mr_version *slot_next;
	uint32_t chunks_count;
	uint32_t chunks_max;
	struct mr_chunk **chunks;
};

#define MR_VERSION_BUSY 0x80000000u

// The chunks of one kind (rows or dead letters) of a part.
struct mr_chunk_list {
	_Atomic(struct mr_version *) version;
	struct mr_version *slots;
	struct mr_chunk *open; // the last of the version, or NULL
	const struct mr_typeref *types;
	uint32_t types_count;
	bool *plain;
};

struct mr_view_part;

struct mr_table_part {
	struct mr_table *table;
	struct mr_chunk_pool *pool;
	size_t chunk_bytes_max;
	struct mr_decoder *decoder;
	struct mr_chunk_list rows;
	struct mr_chunk_list dead;
	struct mr_buf scratch;      // headers as JSON
	struct mr_view_part *views; // that fold this part's rows; worker only
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
	uint32_t parts_count;
	struct mr_table_part **parts;
};

// Makes the table and one part for each worker; `pools` has parts_count pools. Takes a reference of
// def and topic. 0 or negative.
[[nodiscard]] int mr_table_create(struct mr_table_def *def, struct mr_topic_def *topic,
	uint32_t parts_count, struct mr_chunk_pool *const *pools, size_t chunk_bytes_max,
	struct mr_table **out);
struct mr_table *mr_table_get(struct mr_table *t);
void mr_table_put(struct mr_table *t);

// Rows that become visible when the log is durable up to `lsn`.
struct mr_mark {
	uint64_t lsn;
	struct mr_table_part *part;
	struct mr_chunk *chunk; // a reference is held
	uint32_t rows;
	bool dead;
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
	int64_t from_offset; // records below are skipped: applied before
	uint64_t lsn;        // of the batch's end; where the rows become visible
};

// Decodes a batch's records into the part, worker only. Returns the offset behind the last record
// applied: the batch's end, or less when memory for chunks is used up.
int64_t mr_table_part_apply(
	struct mr_table_part *p, const struct mr_apply *a, struct mr_marks *marks);

// Publishes the rows of all marks up to `durable`.
void mr_marks_publish(struct mr_marks *m, uint64_t durable);

// Readers, any thread.
struct mr_version *mr_chunk_list_pin(struct mr_chunk_list *l);
void mr_version_unpin(struct mr_version *v);
