// The asking half of our Kafka client: one blocking connection on which ApiVersions, Metadata,
// CreateTopics and InitProducerId are asked, one at a time.
//
// Answers come from outside: they are read through struct mr_kin, and whatever they say can only
// cause an error. Every failure leaves one line for people in `error`. One thread.
#pragma once

#include "client/dial.h"
#include "dataplane/kafka_wire.h"
#include "host/base/buf.h"
#include "host/base/clock.h"

#define MR_KAFKA_CLIENT_ID "millrace"

// The Kafka APIs that this client asks.
enum {
	MR_KEY_PRODUCE = 0,
	MR_KEY_METADATA = 3,
	MR_KEY_API_VERSIONS = 18,
	MR_KEY_CREATE_TOPICS = 19,
	MR_KEY_INIT_PRODUCER_ID = 22,
};

// First version of Produce with compact fields.
#define MR_PRODUCE_FLEXIBLE 9

enum {
	MR_KAFKA_TOPIC_BYTES_MAX = 249,
	MR_KAFKA_NODES_MAX = 1024,
	MR_KAFKA_PARTITIONS_MAX = 65536,
	MR_KAFKA_ANSWER_BYTES_MAX = 64 << 20,
};

struct mr_kafka_node {
	int32_t id;
	struct mr_kafka_address address;
};

// What Metadata said about one topic. Owned; freed by mr_kafka_cluster_fini.
struct mr_kafka_cluster {
	struct mr_kafka_node *nodes;
	uint32_t nodes_count;
	int16_t topic_error;
	int32_t *leaders; // node id by partition, -1: none
	uint32_t partitions_count;
};

void mr_kafka_cluster_fini(struct mr_kafka_cluster *cl);

struct mr_kafka_caller {
	int fd; // -1: closed
	int timeout_ms;
	int32_t correlation;
	struct mr_buf in;
	// Chosen by ApiVersions; -1: none in common.
	int16_t version_produce;
	int16_t version_metadata;
	int16_t version_create_topics;
	int16_t version_init_producer_id;
	char error[320];
};

void mr_kafka_caller_init(struct mr_kafka_caller *k, int timeout_ms);
void mr_kafka_caller_fini(struct mr_kafka_caller *k);

// Connects and agrees on versions. 0 or a negative code with `error` set, as all below.
[[nodiscard]] int mr_kafka_caller_open(
	struct mr_kafka_caller *k, const struct mr_kafka_address *to);
void mr_kafka_caller_close(struct mr_kafka_caller *k);

// Fills `out` (its earlier content is freed). The topic is made by the broker if that is allowed
// and `create` is set. The topic's own error is in `out->topic_error`.
[[nodiscard]] int mr_kafka_ask_metadata(
	struct mr_kafka_caller *k, const char *topic, bool create, struct mr_kafka_cluster *out);

// 0 also when the topic is there already, with whatever number of partitions.
[[nodiscard]] int mr_kafka_ask_topic(
	struct mr_kafka_caller *k, const char *topic, int32_t partitions);

[[nodiscard]] int mr_kafka_ask_producer_id(struct mr_kafka_caller *k, int64_t *id, int16_t *epoch);
