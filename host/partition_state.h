// A partition's state as a checkpoint holds it, and what recovery knows before workers run.
#pragma once

#include "dataplane/producer_state.h"
#include "host/base/buf.h"
#include "host/base/err.h"
#include "host/base/uuid.h"
#include "host/watermark.h"
#include "storage/log_store.h"

// Record type of the daemon's own in the log: the checkpoint ends, of so many partitions (u32).
#define MR_LOG_CHECKPOINT_END   MR_LOG_OWNER
#define MR_CHECKPOINT_END_BYTES 4

struct mr_partition_state {
	struct mr_partition_state *next;
	struct mr_uuid topic;
	uint32_t partition;
	int64_t log_start;
	int64_t next_offset;
	struct mr_producers *producers;        // owned
	struct mr_watermark_state *watermarks; // owned; one for each table that has recorded one
	uint32_t watermarks_count;
};

void mr_partition_state_destroy(struct mr_partition_state *s);

void mr_partition_state_save(struct mr_buf *out, struct mr_uuid topic, uint32_t partition,
	int64_t log_start, int64_t next_offset, const struct mr_producers *producers);

void mr_checkpoint_end_save(uint8_t out[MR_CHECKPOINT_END_BYTES], uint32_t partitions);

// All partitions' states, as far as the logs tell. Read before the workers start; then each worker
// takes its own.
struct mr_recovered;

// Reads every sealed log from its last complete checkpoint on. Producers of batches behind that
// count as heard of at `now_ms`. Blocks.
[[nodiscard]] int mr_recover(struct mr_log_store *store, uint32_t producers_max, int64_t expiry_ms,
	int64_t now_ms, struct mr_recovered **out, struct mr_diag *diag);
void mr_recovered_destroy(struct mr_recovered *r);
// The state of a partition, which then is the caller's; NULL when no log knows it. Any thread.
struct mr_partition_state *mr_recovered_take(
	struct mr_recovered *r, struct mr_uuid topic, uint32_t partition);
