// Kafka's error codes that this broker gives (org.apache.kafka.common.protocol.Errors).
//
// What each means to clients here: retriable ones are asked again after a metadata refresh, for
// ever; the others reach the application at once.
#pragma once

#include "host/base/def.h"

// name, code, do clients retry
#define MR_KAFKA_ERRORS(X)                                  \
	X(UNKNOWN_SERVER_ERROR, -1, false)                  \
	X(NONE, 0, false)                                   \
	X(OFFSET_OUT_OF_RANGE, 1, false)                    \
	X(CORRUPT_MESSAGE, 2, true)                         \
	X(UNKNOWN_TOPIC_OR_PARTITION, 3, true)              \
	X(LEADER_NOT_AVAILABLE, 5, true)                    \
	X(NOT_LEADER_OR_FOLLOWER, 6, true)                  \
	X(REQUEST_TIMED_OUT, 7, true)                       \
	X(MESSAGE_TOO_LARGE, 10, false)                     \
	X(COORDINATOR_LOAD_IN_PROGRESS, 14, true)           \
	X(INVALID_TOPIC_EXCEPTION, 17, false)               \
	X(INVALID_REQUIRED_ACKS, 21, false)                 \
	X(GROUP_AUTHORIZATION_FAILED, 30, false)            \
	X(INVALID_TIMESTAMP, 32, false)                     \
	X(UNSUPPORTED_VERSION, 35, false)                   \
	X(TOPIC_ALREADY_EXISTS, 36, false)                  \
	X(INVALID_PARTITIONS, 37, false)                    \
	X(INVALID_REPLICATION_FACTOR, 38, false)            \
	X(INVALID_REPLICA_ASSIGNMENT, 39, false)            \
	X(INVALID_CONFIG, 40, false)                        \
	X(INVALID_REQUEST, 42, false)                       \
	X(POLICY_VIOLATION, 44, false)                      \
	X(OUT_OF_ORDER_SEQUENCE_NUMBER, 45, false)          \
	X(DUPLICATE_SEQUENCE_NUMBER, 46, false)             \
	X(INVALID_PRODUCER_EPOCH, 47, false)                \
	X(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53, false) \
	X(KAFKA_STORAGE_ERROR, 56, true)                    \
	X(FETCH_SESSION_ID_NOT_FOUND, 70, true)             \
	X(TOPIC_DELETION_DISABLED, 73, false)               \
	X(FENCED_LEADER_EPOCH, 74, true)                    \
	X(UNKNOWN_LEADER_EPOCH, 75, true)                   \
	X(UNSUPPORTED_COMPRESSION_TYPE, 76, false)          \
	X(INVALID_RECORD, 87, false)                        \
	X(THROTTLING_QUOTA_EXCEEDED, 89, true)              \
	X(UNKNOWN_TOPIC_ID, 100, true)                      \
	X(MISMATCHED_ENDPOINT_TYPE, 114, false)

enum mr_kafka_error {
#define X(name, code, retriable) MR_KAFKA_##name = code,
	MR_KAFKA_ERRORS(X)
#undef X
};

// Codes are counted by number; those above share the last counter.
#define MR_KAFKA_ERROR_COUNT 128

// Kafka's name of a code, or "OTHER".
const char *mr_kafka_error_name(int code);
