// Topics as the Kafka layer sees them: an immutable snapshot, and who owns a partition.
//
// Control publishes a new snapshot on every change; a worker holds one for a turn of its loop and
// never writes to it.
#pragma once

#include "host/base/sorted.h"
#include "host/base/span.h"
#include "host/base/uuid.h"

#define MR_TOPIC_NAME_MAX       249 // as in Kafka
#define MR_TOPIC_PARTITIONS_MAX 4096

// Topic settings that clients may see and set (Kafka's names in comments).
struct mr_topic_config {
	int64_t retention_ms;      // retention.ms; -1 = for ever
	int64_t retention_bytes;   // retention.bytes, per partition; -1 = no limit
	int32_t message_bytes_max; // max.message.bytes: a batch's bytes at most
	uint8_t cleanup_compact;   // cleanup.policy has "compact" (all is kept: compaction is lazy)
	uint8_t timestamp_log_append; // message.timestamp.type: 0 CreateTime, 1 LogAppendTime
};

struct mr_topic {
	struct mr_uuid id;
	uint64_t number; // position in creation order, never reused; workers index by it
	struct mr_span name;
	uint32_t partitions;
	bool internal;
	struct mr_topic_config config;
};

struct mr_topics {
	uint64_t version; // grows with every change
	size_t count;
	const struct mr_sorted *by_name; // of struct mr_topic
	const struct mr_sorted *by_id;
};

// Of two struct mr_topic: for such lists.
int mr_topic_compare_names(const void *a, const void *b);
int mr_topic_compare_ids(const void *a, const void *b);

// NULL when there is none.
const struct mr_topic *mr_topics_find(const struct mr_topics *ts, struct mr_span name);
const struct mr_topic *mr_topics_find_id(const struct mr_topics *ts, struct mr_uuid id);

// Kafka's rule: 1 to 249 of [a-zA-Z0-9._-], not "." or "..".
bool mr_topic_name_valid(struct mr_span name);

// The worker that owns a partition: a function of the topic, the partition and the number of
// workers only, so nothing on disk names a worker. Partitions of a topic go round the workers.
uint32_t mr_topic_owner(const struct mr_topic *t, uint32_t partition, uint32_t workers);
