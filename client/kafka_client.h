// The producing half of our Kafka client: record batches to the leaders of one topic's partitions.
//
// Pipelined and in order: up to `inflight_max` batches of a partition are on their way at once, on
// one connection per leader. A batch that fails for a reason that may pass is sent again, before
// the later ones of its partition: the partition first waits until all that is on its way has been
// answered, and then goes on batch by batch until the failed ones are there. With `idempotent` a
// batch keeps the sequence of its first sending, so the broker drops what it has already; without,
// a broken connection can double records, as in every Kafka client.
//
// One thread per client. Nothing here blocks but mr_kafka_client_poll, which waits as it is told,
// and asks for metadata when a leader is lost (at most `ask_timeout_ms`).
#pragma once

#include "client/kafka_call.h"

enum {
	MR_PRODUCE_HEAD_BYTES = 352, // everything of a request in front of its batch
	MR_PRODUCE_TAIL_BYTES = 3,
	MR_PRODUCE_INFLIGHT_MAX = 5, // batches per partition that a broker can tell duplicates of
};

// One record batch and its request. The caller fills the first block, and keeps it and the bytes
// unchanged until `acked` is called for it.
struct mr_produce_batch {
	uint8_t *data; // a record batch of version 2; producer fields and checksum are written here
	size_t bytes;
	int32_t rows;
	int64_t intended_ns; // for the caller: nothing here reads it

	// The client's.
	struct mr_produce_batch *next;
	uint32_t partition;
	int32_t correlation;
	int32_t sequence; // -1: none yet
	int64_t queued_ns;
	int64_t sent_ns;
	uint32_t head_bytes;
	uint32_t tail_bytes;
	uint8_t head[MR_PRODUCE_HEAD_BYTES];
};

struct mr_kafka_client_options {
	const char *bootstrap; // ADDR:PORT[,ADDR:PORT]...
	const char *topic;
	int16_t acks; // 0, 1, -1
	bool idempotent;
	uint32_t inflight_max;       // per partition; 0: MR_PRODUCE_INFLIGHT_MAX
	int32_t partitions;          // > 0: the topic is created with so many if it is not there
	int ask_timeout_ms;          // 0: 5 s
	int64_t request_timeout_ns;  // an unanswered connection is given up; 0: 30 s
	int64_t delivery_timeout_ns; // a batch is given up, and the client with it; 0: 120 s
	struct mr_clock *clock;      // NULL: the system's
	// Called from mr_kafka_client_poll when a batch is acknowledged (with acks=0: sent).
	void (*acked)(void *owner, struct mr_produce_batch *b);
	void *owner;
};

struct mr_kafka_client;

// Connects, finds or creates the topic. On failure fills `error` (`error_bytes`) with one line.
[[nodiscard]] int mr_kafka_client_create(const struct mr_kafka_client_options *options,
	struct mr_kafka_client **out, char *error, size_t error_bytes);
void mr_kafka_client_destroy(struct mr_kafka_client *c);

uint32_t mr_kafka_client_partitions(const struct mr_kafka_client *c);

// Queues a batch; mr_kafka_client_poll sends it. Borrows it until `acked`.
void mr_kafka_client_send(
	struct mr_kafka_client *c, uint32_t partition, struct mr_produce_batch *b);

// Batches not acknowledged yet.
uint64_t mr_kafka_client_pending(const struct mr_kafka_client *c);

// Sends and receives, waiting at most `wait_ns` for something to happen, or for `extra_fd` (-1:
// none) to be readable. 0, or a negative code once the client has failed for good.
[[nodiscard]] int mr_kafka_client_poll(struct mr_kafka_client *c, int64_t wait_ns, int extra_fd);

// One line about why the client failed.
const char *mr_kafka_client_error(const struct mr_kafka_client *c);

// Batches sent again so far.
uint64_t mr_kafka_client_retries(const struct mr_kafka_client *c);
