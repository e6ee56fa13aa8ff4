// Topic settings by Kafka's names.
#include "dataplane/kafka_config.h"

#include <inttypes.h>
#include <stdio.h>

// A decimal integer in [min, max], an optional minus in front, nothing else.
static bool parse_int(struct mr_span s, int64_t min, int64_t max, int64_t *out)
{
	bool negative = s.bytes > 0 && s.data[0] == '-';
	int64_t v = 0;

	if (s.bytes == (size_t)negative)
		return false;
	for (size_t i = negative; i < s.bytes; i++) {
		int digit = s.data[i] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
			__builtin_sub_overflow(v, digit, &v)) // negative, so that INT64_MIN fits
			return false;
	}
	if (!negative && __builtin_sub_overflow((int64_t)0, v, &v))
		return false;
	*out = v;
	return v >= min && v <= max;
}

static void format_int(int64_t v, char *out)
{
	snprintf(out, MR_KAFKA_CONFIG_VALUE_BYTES, "%" PRId64, v);
}

static void retention_ms_format(const struct mr_topic_config *c, char *out)
{
	format_int(c->retention_ms, out);
}

static bool retention_ms_parse(struct mr_topic_config *c, struct mr_span v)
{
	int64_t n;

	if (!parse_int(v, -1, INT64_MAX, &n))
		return false;
	c->retention_ms = n;
	return true;
}

static void retention_bytes_format(const struct mr_topic_config *c, char *out)
{
	format_int(c->retention_bytes, out);
}

static bool retention_bytes_parse(struct mr_topic_config *c, struct mr_span v)
{
	int64_t n;

	if (!parse_int(v, -1, INT64_MAX, &n))
		return false;
	c->retention_bytes = n;
	return true;
}

static void message_bytes_format(const struct mr_topic_config *c, char *out)
{
	format_int(c->message_bytes_max, out);
}

static bool message_bytes_parse(struct mr_topic_config *c, struct mr_span v)
{
	int64_t n;

	if (!parse_int(v, 0, INT32_MAX, &n))
		return false;
	c->message_bytes_max = (int32_t)n;
	return true;
}

static void cleanup_format(const struct mr_topic_config *c, char *out)
{
	snprintf(out, MR_KAFKA_CONFIG_VALUE_BYTES, "%s", c->cleanup_compact ? "compact" : "delete");
}

// A list: "delete", "compact", or both in any order.
static bool cleanup_parse(struct mr_topic_config *c, struct mr_span v)
{
	if (mr_span_eq(v, mr_span_str("delete")))
		c->cleanup_compact = false;
	else if (mr_span_eq(v, mr_span_str("compact")) ||
		 mr_span_eq(v, mr_span_str("compact,delete")) ||
		 mr_span_eq(v, mr_span_str("delete,compact")))
		c->cleanup_compact = true;
	else
		return false;
	return true;
}

static void timestamp_type_format(const struct mr_topic_config *c, char *out)
{
	snprintf(out, MR_KAFKA_CONFIG_VALUE_BYTES, "%s",
		c->timestamp_log_append ? "LogAppendTime" : "CreateTime");
}

static bool timestamp_type_parse(struct mr_topic_config *c, struct mr_span v)
{
	bool append = mr_span_eq(v, mr_span_str("LogAppendTime"));

	if (!append && !mr_span_eq(v, mr_span_str("CreateTime")))
		return false;
	c->timestamp_log_append = append;
	return true;
}

static void compression_format(const struct mr_topic_config *, char *out)
{
	snprintf(out, MR_KAFKA_CONFIG_VALUE_BYTES, "producer");
}

// Batches are kept as producers sent them.
static bool compression_parse(struct mr_topic_config *, struct mr_span v)
{
	return mr_span_eq(v, mr_span_str("producer"));
}

static void replicas_format(const struct mr_topic_config *, char *out)
{
	snprintf(out, MR_KAFKA_CONFIG_VALUE_BYTES, "1");
}

// Any number, as any replication factor is: recipes ask for 2 of 3.
static bool replicas_parse(struct mr_topic_config *, struct mr_span v)
{
	int64_t n;

	return parse_int(v, 1, INT16_MAX, &n);
}

const struct mr_kafka_config_key mr_kafka_config_keys[] = {
	{"cleanup.policy", MR_KAFKA_CONFIG_LIST,
		"delete or compact; a compacted topic keeps everything", false, cleanup_format,
		cleanup_parse},
	{"compression.type", MR_KAFKA_CONFIG_STRING, "batches are kept as they were sent", true,
		compression_format, compression_parse},
	{"max.message.bytes", MR_KAFKA_CONFIG_INT, "largest record batch", false,
		message_bytes_format, message_bytes_parse},
	{"message.timestamp.type", MR_KAFKA_CONFIG_STRING, "CreateTime or LogAppendTime", false,
		timestamp_type_format, timestamp_type_parse},
	{"min.insync.replicas", MR_KAFKA_CONFIG_INT, "there is one replica", true, replicas_format,
		replicas_parse},
	{"retention.bytes", MR_KAFKA_CONFIG_LONG, "bytes kept of a partition, -1 for all", false,
		retention_bytes_format, retention_bytes_parse},
	{"retention.ms", MR_KAFKA_CONFIG_LONG, "how long records are kept, -1 for ever", false,
		retention_ms_format, retention_ms_parse},
};

const size_t mr_kafka_config_keys_count = MR_COUNT_OF(mr_kafka_config_keys);

// They tune the files of Kafka's log or its replication, which are not ours.
static const char *const ignored[] = {
	"delete.retention.ms",
	"file.delete.delay.ms",
	"flush.messages",
	"flush.ms",
	"follower.replication.throttled.replicas",
	"index.interval.bytes",
	"leader.replication.throttled.replicas",
	"max.compaction.lag.ms",
	"message.downconversion.enable",
	"message.format.version",
	"min.cleanable.dirty.ratio",
	"min.compaction.lag.ms",
	"preallocate",
	"segment.bytes",
	"segment.index.bytes",
	"segment.jitter.ms",
	"segment.ms",
	"unclean.leader.election.enable",
};

const char *mr_kafka_config_set(
	struct mr_topic_config *c, struct mr_span name, struct mr_span value)
{
	for (size_t i = 0; i < mr_kafka_config_keys_count; i++) {
		const struct mr_kafka_config_key *k = &mr_kafka_config_keys[i];

		if (!mr_span_eq(name, mr_span_str(k->name)))
			continue;
		return !value.data || k->parse(c, value) ? NULL
							 : "a topic setting's value is not valid";
	}
	for (size_t i = 0; i < MR_COUNT_OF(ignored); i++)
		if (mr_span_eq(name, mr_span_str(ignored[i])))
			return NULL;
	return "a topic setting's name is not known";
}
