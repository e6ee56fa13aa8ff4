// Idempotent producers of one partition: which batches they sent last (KIP-98, KIP-360;
// org.apache.kafka.storage.internals.log.ProducerAppendInfo).
//
// A producer numbers its records: a batch carries the sequence of its first record, and the next
// batch goes on where it ended, wrapping from 2^31-1 to 0. The last five batches are kept with
// their offsets, because a client has at most five requests under way: a repeat of one of them is
// answered with the offset it got the first time.
//
// Two steps. mr_producers_check says what to do with a batch that has come in and changes nothing.
// mr_producers_commit records a batch the moment it has its place in the log, before it is durable,
// so that the next batch under way is checked against it. It follows that a repeat may be of a
// batch that is not durable yet: whoever answers it must wait for that offset like for an append.
// Replaying a log needs mr_producers_commit alone.
//
// One thread: the partition's worker. Times are milliseconds of any one clock that does not go back
// by much; they only decide when a producer is forgotten.
#pragma once

#include "host/base/buf.h"

#define MR_PRODUCER_WINDOW 5
// Default for expiry: Kafka's producer.id.expiration.ms.
#define MR_PRODUCER_EXPIRY_MS 86400000
// Default bound on producers of a partition, about 1.3 MiB when reached; the one that has been
// quiet longest is forgotten for a new one, and `evicted` counts it.
#define MR_PRODUCERS_MAX 10000

struct mr_producers;

struct mr_producers_stats {
	uint64_t known; // producers now
	uint64_t duplicates;
	uint64_t out_of_order;
	uint64_t expired;
	uint64_t evicted;
};

// One batch, as its header says it.
struct mr_producer_batch {
	int64_t producer_id; // >= 0
	int16_t epoch;       // >= 0
	int32_t base_sequence;
	int32_t count; // > 0
};

// Memory grows with the producers there are, up to `producers_max`. -ENOMEM.
[[nodiscard]] int mr_producers_create(
	uint32_t producers_max, int64_t expiry_ms, struct mr_producers **out);
void mr_producers_destroy(struct mr_producers *ps);

// Returns a Kafka error code: NONE (append it, or answer `*duplicate_offset` when that is not -1),
// INVALID_PRODUCER_EPOCH (older than one seen), OUT_OF_ORDER_SEQUENCE_NUMBER (a gap, or an overlap
// that is no repeat), DUPLICATE_SEQUENCE_NUMBER (stored for certain, but longer ago than is kept:
// clients take it as success without an offset). A producer that is not known may start anywhere.
int16_t mr_producers_check(struct mr_producers *ps, const struct mr_producer_batch *b,
	int64_t now_ms, int64_t *duplicate_offset);

// Records a batch at `base_offset`. -ENOMEM: it is stored but its repeats will not be known.
[[nodiscard]] int mr_producers_commit(struct mr_producers *ps, const struct mr_producer_batch *b,
	int64_t base_offset, int64_t now_ms);

// Forgets producers that have been quiet for the expiry time; commit also does, for those it meets.
void mr_producers_expire(struct mr_producers *ps, int64_t now_ms);

struct mr_producers_stats mr_producers_stats(const struct mr_producers *ps);

// For checkpoints: appends the state (format version 1, little-endian) to `out`; `out->failed`
// tells of a lack of memory.
void mr_producers_save(const struct mr_producers *ps, struct mr_buf *out);

// Replaces the state. MR_ERR_VERSION, MR_ERR_CORRUPT, -ENOMEM; the state is then empty. More
// producers than `producers_max`: the longest quiet are left out.
[[nodiscard]] int mr_producers_load(struct mr_producers *ps, struct mr_span in);
