// DescribeConfigs: settings of topics and of brokers.
#include "dataplane/kafka_config.h"
#include "dataplane/kafka_int.h"

#include <stdio.h>

// resourceType
#define RESOURCE_TOPIC  2
#define RESOURCE_BROKER 4

// configSource
#define SOURCE_TOPIC   1 // set for this topic
#define SOURCE_BROKER  4 // from the configuration file
#define SOURCE_DEFAULT 5

struct resource {
	int8_t type;
	struct mr_span name;
	struct mr_span *keys;
	int32_t keys_count; // 0: all
};

struct describe {
	struct resource *resources;
	int32_t count;
	bool with_doc;
};

// One setting in an answer.
struct shown {
	const char *name;
	const char *value;
	const char *doc;
	int8_t type;
	int8_t source;
	bool read_only;
};

static void read_resource(struct mr_kafka_call *c, struct resource *r)
{
	struct mr_kin *in = &c->in;

	r->type = mr_kin_i8(in);
	r->name = mr_kin_string(in);
	r->keys_count = mr_kin_nullable_array(in, 1);
	if (r->keys_count < 0)
		r->keys_count = 0; // null: all
	r->keys = mr_kafka_alloc(c, (size_t)r->keys_count, sizeof(*r->keys));
	for (int32_t i = 0; i < r->keys_count && !in->r.bad; i++)
		r->keys[i] = mr_kin_string(in);
	mr_kin_tags(in);
}

static bool is_wanted(const struct resource *r, const char *name)
{
	for (int32_t i = 0; i < r->keys_count; i++)
		if (mr_span_eq(r->keys[i], mr_span_str(name)))
			return true;
	return r->keys_count == 0;
}

static void put_shown(struct mr_kout *out, const struct describe *s, const struct shown *v)
{
	mr_kout_text(out, v->name);
	mr_kout_text(out, v->value);
	mr_kout_bool(out, v->read_only);
	mr_kout_i8(out, v->source);
	mr_kout_bool(out, false); // isSensitive
	mr_kout_array(out, 0);    // synonyms
	if (out->version >= 3) {
		mr_kout_i8(out, v->type);
		mr_kout_text(out, s->with_doc ? v->doc : NULL);
	}
	mr_kout_tags(out);
}

static void put_topic_configs(struct mr_kout *out, struct mr_kafka_call *c,
	const struct resource *r, const struct mr_topic *t)
{
	struct mr_broker *b = c->k->broker;
	struct mr_topic_config defaults = b->ops->topic_defaults(b);
	int32_t count = 0;

	for (size_t i = 0; i < mr_kafka_config_keys_count; i++)
		count += is_wanted(r, mr_kafka_config_keys[i].name);
	mr_kout_array(out, count);
	for (size_t i = 0; i < mr_kafka_config_keys_count; i++) {
		const struct mr_kafka_config_key *k = &mr_kafka_config_keys[i];
		char value[MR_KAFKA_CONFIG_VALUE_BYTES], usual[MR_KAFKA_CONFIG_VALUE_BYTES];

		if (!is_wanted(r, k->name))
			continue;
		k->format(&t->config, value);
		k->format(&defaults, usual);
		put_shown(out, c->state,
			&(struct shown){k->name, value, k->doc, (int8_t)k->type,
				strcmp(value, usual) ? SOURCE_TOPIC : SOURCE_DEFAULT, k->fixed});
	}
}

static void put_broker_configs(
	struct mr_kout *out, struct mr_kafka_call *c, const struct resource *r)
{
	struct mr_broker *b = c->k->broker;
	struct mr_topic_config defaults = b->ops->topic_defaults(b);
	char retention_ms[24], bytes_max[24];
	const struct shown all[] = {
		{"auto.create.topics.enable", b->ops->auto_create(b) ? "true" : "false",
			"whether asking for a topic makes it", MR_KAFKA_CONFIG_BOOLEAN,
			SOURCE_BROKER, true},
		{"default.replication.factor", "1", "there is one replica", MR_KAFKA_CONFIG_SHORT,
			SOURCE_BROKER, true},
		{"log.retention.ms", retention_ms, "retention.ms of new topics",
			MR_KAFKA_CONFIG_LONG, SOURCE_BROKER, true},
		{"message.max.bytes", bytes_max, "max.message.bytes of new topics",
			MR_KAFKA_CONFIG_INT, SOURCE_BROKER, true},
	};
	int32_t count = 0;

	snprintf(retention_ms, sizeof(retention_ms), "%lld", (long long)defaults.retention_ms);
	snprintf(bytes_max, sizeof(bytes_max), "%d", defaults.message_bytes_max);
	for (size_t i = 0; i < MR_COUNT_OF(all); i++)
		count += is_wanted(r, all[i].name);
	mr_kout_array(out, count);
	for (size_t i = 0; i < MR_COUNT_OF(all); i++)
		if (is_wanted(r, all[i].name))
			put_shown(out, c->state, &all[i]);
}

static void put_error_result(
	struct mr_kout *out, struct mr_kafka_call *c, int16_t error, const char *message)
{
	mr_kafka_put_error(out, c, error);
	mr_kout_text(out, message);
}

// All workers have the same settings, so any broker answers for each.
static bool is_broker(struct mr_kafka_call *c, struct mr_span name)
{
	struct mr_broker *b = c->k->broker;
	char text[12];

	for (uint32_t i = 0; i < b->ops->nodes_count(b); i++) {
		snprintf(text, sizeof(text), "%u", i);
		if (mr_span_eq(name, mr_span_str(text)))
			return true;
	}
	return false;
}

static void put_result(struct mr_kout *out, struct mr_kafka_call *c, const struct resource *r)
{
	const struct mr_topic *t = NULL;
	bool broker = r->type == RESOURCE_BROKER && is_broker(c, r->name);

	if (r->type == RESOURCE_TOPIC)
		t = mr_topics_find(mr_kafka_topics(c), r->name);
	if (t || broker)
		put_error_result(out, c, MR_KAFKA_NONE, NULL);
	else if (r->type == RESOURCE_TOPIC)
		put_error_result(
			out, c, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
	else
		put_error_result(out, c, MR_KAFKA_INVALID_REQUEST,
			"only topics and this cluster's brokers have settings");
	mr_kout_i8(out, r->type);
	mr_kout_string(out, r->name);
	if (t)
		put_topic_configs(out, c, r, t);
	else if (broker)
		put_broker_configs(out, c, r);
	else
		mr_kout_array(out, 0);
	mr_kout_tags(out);
}

static void encode_describe(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct describe *s = c->state;

	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_array(out, s->count);
	for (int32_t i = 0; i < s->count; i++)
		put_result(out, c, &s->resources[i]);
	mr_kout_tags(out);
}

void mr_kafka_describe_configs(struct mr_kafka_call *c)
{
	struct describe *s = c->state = mr_kafka_alloc(c, 1, sizeof(*s));
	struct mr_kin *in = &c->in;

	if (!s) {
		mr_kafka_parsed(c); // closes
		return;
	}
	s->count = mr_kin_array(in, 4);
	s->resources = mr_kafka_alloc(c, (size_t)s->count, sizeof(*s->resources));
	for (int32_t i = 0; i < s->count && !in->r.bad; i++)
		read_resource(c, &s->resources[i]);
	mr_kin_bool(in); // includeSynonyms: there are none
	if (in->version >= 3)
		s->with_doc = mr_kin_bool(in);
	mr_kin_tags(in);
	if (mr_kafka_parsed(c))
		mr_kafka_respond(c, encode_describe);
}
