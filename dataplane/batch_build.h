// Builds record batches (version 2): INSERT, dead letters, the client program, tests.
//
// One thread. Memory is the builder's own and is reused from batch to batch.
#pragma once

#include "dataplane/batch.h"
#include "host/base/buf.h"

// What idempotent producers write; all -1 otherwise (MR_BATCH_PRODUCER_NONE).
struct mr_batch_producer {
	int64_t id;
	int16_t epoch;
	int32_t base_sequence;
};

#define MR_BATCH_PRODUCER_NONE ((struct mr_batch_producer){-1, -1, -1})

struct mr_batch_builder {
	struct mr_buf records;
	int32_t count;
	int64_t base_timestamp;
	int64_t max_timestamp;
};

// `bytes_limit` bounds the uncompressed records; 0: none.
void mr_batch_builder_init(struct mr_batch_builder *b, size_t bytes_limit);
void mr_batch_builder_fini(struct mr_batch_builder *b);
void mr_batch_builder_reset(struct mr_batch_builder *b);

// Adds a record; its place gives the offset. A key or value whose data is NULL is null. `headers`
// borrows `headers_count` entries. False at the limit, and the record is not added.
bool mr_batch_builder_add(struct mr_batch_builder *b, int64_t timestamp_ms, struct mr_span key,
	struct mr_span value, const struct mr_record_header *headers, int32_t headers_count);

// Appends the batch (base offset 0, leader epoch -1) to `out` and resets the builder. Needs at
// least one record. `z` may be NULL without compression. Errors: of mr_zip_compress, -ENOMEM.
[[nodiscard]] int mr_batch_builder_finish(struct mr_batch_builder *b, struct mr_zip *z, int codec,
	struct mr_batch_producer producer, struct mr_buf *out);
