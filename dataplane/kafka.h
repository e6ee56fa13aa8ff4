// The Kafka protocol of one worker: requests in, calls on the broker, responses out.
//
// request.h is below it (bytes of a connection), broker.h above it (data). Which APIs and versions
// are answered, and how, is kafka_api.def; docs/KAFKA.md is written from that.
//
// Threads: everything is called on the thread of the worker that owns the broker and the
// connections, except mr_kafka_stats, whose counters any thread may read.
#pragma once

#include "dataplane/broker.h"
#include "dataplane/kafka_error.h"
#include "dataplane/request.h"

#include <stdatomic.h>

// Frames above this close the connection. Kafka's socket.request.max.bytes.
#define MR_KAFKA_REQUEST_BYTES_MAX (100u << 20)

// Partitions that one Metadata answer may list, repeated topics counted each time: 30 MiB of
// answer. More close the connection.
#define MR_KAFKA_METADATA_PARTITIONS_MAX (1u << 20)

// Topics that one Metadata request may create; the others are answered as unknown, and clients
// ask again.
#define MR_KAFKA_AUTO_CREATE_MAX 64

// Index of an API in kafka_api.def, for counters.
enum mr_kafka_api_index {
#define X(key, name, min, max, served, flexible, handler, note) MR_KAFKA_API_##name,
#include "dataplane/kafka_api.def"
#undef X
	MR_KAFKA_API_COUNT,
};

struct mr_kafka_api {
	int16_t key;
	int16_t min; // advertised
	int16_t max;
	int16_t served_min;
	int16_t flexible_min;
	const char *name;
	const char *note;
};

extern const struct mr_kafka_api mr_kafka_apis[MR_KAFKA_API_COUNT];

// A Fetch answer's records, whatever the client would take. Kafka's fetch.max.bytes. One batch may
// be larger and is still given.
#define MR_KAFKA_FETCH_BYTES_MAX (55 << 20)

// Why a connection was closed by this layer; the text is given to mr_request_close.
#define MR_KAFKA_CLOSES(X)                                              \
	X(HEADER, "kafka request header is cut off")                    \
	X(API, "kafka api is not known")                                \
	X(VERSION, "kafka api version is not served")                   \
	X(BODY, "kafka request is malformed")                           \
	X(MEMORY, "kafka request needs more memory than is allowed")    \
	X(LIMIT, "kafka metadata request asks for too many partitions") \
	X(ACKS_NONE, "produce with acks=0 failed")

enum mr_kafka_close {
#define X(name, text) MR_KAFKA_CLOSE_##name,
	MR_KAFKA_CLOSES(X)
#undef X
		MR_KAFKA_CLOSE_COUNT,
};

const char *mr_kafka_close_text(enum mr_kafka_close why);

// worker: wo, others: ro, all relaxed.
struct mr_kafka_stats {
	_Atomic uint64_t requests[MR_KAFKA_API_COUNT];
	_Atomic uint64_t errors[MR_KAFKA_ERROR_COUNT]; // by code; [0] other, [127] above 126
	_Atomic uint64_t closes[MR_KAFKA_CLOSE_COUNT];
	_Atomic uint64_t request_bytes;
	_Atomic uint64_t response_bytes;
	_Atomic uint64_t produced_batches; // acknowledged without an error
	_Atomic uint64_t produced_bytes;
	_Atomic uint64_t fetched_bytes;
	_Atomic uint64_t topics_auto_created;
	_Atomic uint64_t trailing_bytes; // after the last field of a request, ignored as Kafka does
};

struct mr_kafka;

// Borrows `broker`. -ENOMEM.
[[nodiscard]] int mr_kafka_create(struct mr_broker *broker, struct mr_kafka **out);
// All requests must be done.
void mr_kafka_destroy(struct mr_kafka *k);

// What to give a listener; `owner` is `k`.
struct mr_protocol mr_kafka_protocol(struct mr_kafka *k);

const struct mr_kafka_stats *mr_kafka_stats(const struct mr_kafka *k);
