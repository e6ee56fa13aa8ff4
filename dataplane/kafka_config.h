// Topic settings by Kafka's names: read from CreateTopics, shown by DescribeConfigs.
#pragma once

#include "dataplane/topic.h"

// Kafka's ConfigDef types, as DescribeConfigs reports them.
enum mr_kafka_config_type {
	MR_KAFKA_CONFIG_BOOLEAN = 1,
	MR_KAFKA_CONFIG_STRING = 2,
	MR_KAFKA_CONFIG_INT = 3,
	MR_KAFKA_CONFIG_SHORT = 4,
	MR_KAFKA_CONFIG_LONG = 5,
	MR_KAFKA_CONFIG_LIST = 7,
};

#define MR_KAFKA_CONFIG_VALUE_BYTES 32

struct mr_kafka_config_key {
	const char *name;
	enum mr_kafka_config_type type;
	const char *doc;
	bool fixed; // one value only: shown, and accepted when it is that value
	// Writes the value and a NUL.
	void (*format)(const struct mr_topic_config *c, char out[MR_KAFKA_CONFIG_VALUE_BYTES]);
	// False when the value is not valid; `c` is then unchanged.
	bool (*parse)(struct mr_topic_config *c, struct mr_span value);
};

extern const struct mr_kafka_config_key mr_kafka_config_keys[];
extern const size_t mr_kafka_config_keys_count;

// Sets one by name. A null `value` (no data) means the default, which `c` is taken to hold. Kafka
// settings that only tune its own log files are accepted and change nothing. Returns NULL, or what
// is wrong, static text.
const char *mr_kafka_config_set(
	struct mr_topic_config *c, struct mr_span name, struct mr_span value);
