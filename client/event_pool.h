// Events encoded into record batches beforehand, so that a benchmark sends and does not encode.
#pragma once

#include "client/kafka_client.h"

struct mr_event_batch {
	struct mr_produce_batch batch; // first: a batch is cast back to this
	bool busy;                     // on its way
};

struct mr_event_pool {
	struct mr_event_batch *batches;
	uint32_t count;
	uint64_t rows;
	uint64_t value_bytes;   // of the events as NDJSON
	uint64_t encoded_bytes; // of the batches
};

struct mr_event_pool_options {
	uint64_t seed;
	uint64_t rows;        // at least one
	size_t batch_bytes;   // of records, before compression
	uint64_t bytes_limit; // of encoded batches; fewer rows when it is reached
	int codec;
};

// Returns owned memory. Record timestamps are the wall clock's at this moment: the events' own time
// is in their values. 0, -ENOMEM or an error of mr_zip_compress.
[[nodiscard]] int mr_event_pool_create(
	const struct mr_event_pool_options *o, struct mr_event_pool *out);
void mr_event_pool_destroy(struct mr_event_pool *p);
