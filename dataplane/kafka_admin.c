// CreateTopics, DeleteTopics, CreatePartitions: checks of the wire's own rules, then one change of
// control's after the other, each with its own error in the answer.
#include "dataplane/kafka_config.h"
#include "dataplane/kafka_int.h"

#include <stdio.h>

struct item {
	struct mr_admin admin; // its error and message are the answer's, whoever set them
	struct mr_uuid id;     // DeleteTopics
	bool named;            // false: the answer has no name
};

struct changes {
	struct mr_kafka_call *call;
	mr_kafka_encode *encode;
	struct item *items;
	int32_t count;
	int32_t at; // next to start
	bool stepping;
	bool waiting;
};

static void refuse(struct item *it, int16_t error, const char *message)
{
	it->admin.error = error;
	snprintf(it->admin.message, sizeof(it->admin.message), "%s", message);
}

// Goes on until a change has to be waited for; `done` may come from inside the call.
static void step(struct changes *s)
{
	struct mr_broker *b = s->call->k->broker;

	s->stepping = true;
	while (!s->waiting && s->at < s->count && !s->call->rq->abandoned) {
		struct mr_admin *a = &s->items[s->at++].admin;

		if (a->error)
			continue;
		s->waiting = true;
		b->ops->admin(b, a);
	}
	s->stepping = false;
	if (!s->waiting)
		mr_kafka_respond(s->call, s->encode);
}

static void change_done(struct mr_admin *a)
{
	struct changes *s = a->user;

	s->waiting = false;
	if (!s->stepping)
		step(s);
}

static struct changes *changes_begin(struct mr_kafka_call *c, mr_kafka_encode *encode)
{
	struct changes *s = c->state = mr_kafka_alloc(c, 1, sizeof(*s));

	if (!s) {
		mr_kafka_parsed(c); // closes
		return NULL;
	}
	s->call = c;
	s->encode = encode;
	return s;
}

static void changes_alloc(struct changes *s, enum mr_admin_kind kind, size_t element_bytes_min)
{
	struct mr_broker *b = s->call->k->broker;

	s->count = mr_kin_array(&s->call->in, element_bytes_min);
	s->items = mr_kafka_alloc(s->call, (size_t)s->count, sizeof(*s->items));
	if (!s->items)
		s->count = 0;
	for (int32_t i = 0; i < s->count; i++) {
		s->items[i].named = true;
		s->items[i].admin = (struct mr_admin){
			.kind = kind,
			.config = b->ops->topic_defaults(b),
			.done = change_done,
			.user = s,
			.broker = b,
		};
	}
}

static const char *message_of(const struct mr_admin *a)
{
	return a->error && a->message[0] ? a->message : NULL;
}

// The partitions a list of manual assignments stands for: they must be numbered 0 to n-1 and each
// must have a replica. Where these are is not ours to choose from.
static int16_t read_assignments(struct mr_kafka_call *c, int32_t *count)
{
	struct mr_kin *in = &c->in;
	int16_t error = MR_KAFKA_NONE;
	uint8_t *seen;

	*count = mr_kin_array(in, 6);
	seen = mr_kafka_alloc(c, (size_t)*count, 1);
	for (int32_t i = 0; i < *count && !in->r.bad; i++) {
		int32_t index = mr_kin_i32(in);
		int32_t replicas = mr_kin_array(in, 4);

		mr_read_bytes(&in->r, (size_t)replicas * 4);
		mr_kin_tags(in);
		if (replicas == 0 || index < 0 || index >= *count || seen[index])
			error = MR_KAFKA_INVALID_REPLICA_ASSIGNMENT;
		else
			seen[index] = 1;
	}
	return error;
}

static void read_configs(struct mr_kin *in, struct item *it)
{
	int32_t count = mr_kin_array(in, 3);

	for (int32_t i = 0; i < count && !in->r.bad; i++) {
		struct mr_span name = mr_kin_string(in);
		struct mr_span value = mr_kin_nullable_string(in);
		const char *wrong;

		mr_kin_tags(in);
		if (in->r.bad)
			return;
		wrong = mr_kafka_config_set(&it->admin.config, name, value);
		if (!wrong || it->admin.error)
			continue;
		it->admin.error = MR_KAFKA_INVALID_CONFIG;
		snprintf(it->admin.message, sizeof(it->admin.message), "%s: %.*s", wrong,
			(int)MR_MIN(name.bytes, 100u), (const char *)name.data);
	}
}

static void check_create(
	struct item *it, int32_t partitions, int16_t replicas, int32_t assigned, int16_t error)
{
	if (!mr_topic_name_valid(it->admin.name))
		refuse(it, MR_KAFKA_INVALID_TOPIC_EXCEPTION,
			"a topic's name has 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'");
	else if (assigned > 0 && (partitions != -1 || replicas != -1))
		refuse(it, MR_KAFKA_INVALID_REQUEST,
			"partitions and replication factor must be -1 with manual assignments");
	else if (error)
		refuse(it, error, "manual assignments must be numbered 0 to n-1");
	else if (assigned == 0 && (partitions == 0 || partitions < -1))
		refuse(it, MR_KAFKA_INVALID_PARTITIONS, "a topic has at least one partition");
	else if (MR_MAX(partitions, assigned) > MR_TOPIC_PARTITIONS_MAX)
		refuse(it, MR_KAFKA_INVALID_PARTITIONS, "a topic has at most 4096 partitions");
	else if (assigned == 0 && (replicas == 0 || replicas < -1))
		refuse(it, MR_KAFKA_INVALID_REPLICATION_FACTOR,
			"the replication factor must be above 0, or -1");
	if (!it->admin.error)
		it->admin.partitions = (uint32_t)MR_MAX(MR_MAX(partitions, assigned), 0);
}

static_assert(MR_TOPIC_PARTITIONS_MAX == 4096); // the text above

static void read_create(struct mr_kafka_call *c, struct item *it)
{
	struct mr_kin *in = &c->in;
	int32_t partitions, assigned;
	int16_t replicas, error;

	it->admin.name = mr_kin_string(in);
	partitions = mr_kin_i32(in);
	replicas = mr_kin_i16(in);
	error = read_assignments(c, &assigned);
	read_configs(in, it);
	mr_kin_tags(in);
	if (!in->r.bad && !it->admin.error)
		check_create(it, partitions, replicas, assigned, error);
}

static void put_created_configs(struct mr_kout *out, const struct mr_admin *a)
{
	char value[MR_KAFKA_CONFIG_VALUE_BYTES];

	mr_kout_array(out, (int32_t)mr_kafka_config_keys_count);
	for (size_t i = 0; i < mr_kafka_config_keys_count; i++) {
		const struct mr_kafka_config_key *k = &mr_kafka_config_keys[i];

		k->format(&a->config, value);
		mr_kout_text(out, k->name);
		mr_kout_text(out, value);
		mr_kout_bool(out, k->fixed);
		mr_kout_i8(out, 1); // configSource: DYNAMIC_TOPIC_CONFIG
		mr_kout_bool(out, false);
		mr_kout_tags(out);
	}
}

static void encode_create(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct changes *s = c->state;

	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_array(out, s->count);
	for (int32_t i = 0; i < s->count; i++) {
		const struct mr_admin *a = &s->items[i].admin;

		mr_kout_string(out, a->name);
		if (out->version >= 7)
			mr_kout_uuid(out, a->topic_id);
		mr_kafka_put_error(out, c, a->error);
		mr_kout_text(out, message_of(a));
		if (out->version >= 5) {
			mr_kout_i32(out, a->error ? -1 : (int32_t)a->partitions_now);
			mr_kout_i16(out, a->error ? -1 : 1); // replicationFactor
			if (a->error)
				mr_kout_array(out, 0);
			else
				put_created_configs(out, a);
		}
		mr_kout_tags(out);
	}
	mr_kout_tags(out);
}

void mr_kafka_create_topics(struct mr_kafka_call *c)
{
	struct changes *s = changes_begin(c, encode_create);
	struct mr_kin *in = &c->in;
	bool validate_only;

	if (!s)
		return;
	changes_alloc(s, MR_ADMIN_CREATE, 10);
	for (int32_t i = 0; i < s->count && !in->r.bad; i++)
		read_create(c, &s->items[i]);
	mr_kin_i32(in); // timeoutMs
	validate_only = mr_kin_bool(in);
	mr_kin_tags(in);
	if (!mr_kafka_parsed(c))
		return;
	for (int32_t i = 0; i < s->count; i++)
		s->items[i].admin.validate_only = validate_only;
	step(s);
}

// Version 6 has a name or an id. The name of an id is copied: it must outlive this turn's snapshot.
static void find_deleted(struct mr_kafka_call *c, struct item *it)
{
	static const struct mr_uuid no_id;
	const struct mr_topics *ts = mr_kafka_topics(c);
	const struct mr_topic *t;

	if (it->named) {
		t = mr_topics_find(ts, it->admin.name);
		if (!mr_uuid_eq(it->id, no_id))
			refuse(it, MR_KAFKA_INVALID_REQUEST,
				"a topic is named or given by its id, not both");
		else if (t)
			it->id = t->id;
		else
			refuse(it, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
		return;
	}
	t = mr_topics_find_id(ts, it->id);
	if (!t) {
		refuse(it, MR_KAFKA_UNKNOWN_TOPIC_ID, "there is no topic of this id");
		return;
	}
	it->admin.name = mr_arena_copy(&c->rq->arena, t->name);
	it->named = it->admin.name.data != NULL;
	if (!it->named)
		refuse(it, MR_KAFKA_UNKNOWN_SERVER_ERROR, "out of memory");
}

static void read_delete(struct mr_kin *in, struct item *it)
{
	if (in->version >= 6) {
		it->admin.name = mr_kin_nullable_string(in);
		it->id = mr_kin_uuid(in);
		mr_kin_tags(in);
	} else {
		it->admin.name = mr_kin_string(in);
	}
	it->named = it->admin.name.data != NULL;
}

static void encode_delete(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct changes *s = c->state;

	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_array(out, s->count);
	for (int32_t i = 0; i < s->count; i++) {
		const struct item *it = &s->items[i];

		mr_kout_string(out, it->admin.name);
		if (out->version >= 6)
			mr_kout_uuid(out, it->id);
		mr_kafka_put_error(out, c, it->admin.error);
		if (out->version >= 5)
			mr_kout_text(out, message_of(&it->admin));
		mr_kout_tags(out);
	}
	mr_kout_tags(out);
}

void mr_kafka_delete_topics(struct mr_kafka_call *c)
{
	struct changes *s = changes_begin(c, encode_delete);
	struct mr_kin *in = &c->in;

	if (!s)
		return;
	changes_alloc(s, MR_ADMIN_DELETE, 1);
	for (int32_t i = 0; i < s->count && !in->r.bad; i++)
		read_delete(in, &s->items[i]);
	mr_kin_i32(in); // timeoutMs
	mr_kin_tags(in);
	if (!mr_kafka_parsed(c))
		return;
	for (int32_t i = 0; i < s->count; i++)
		find_deleted(c, &s->items[i]);
	step(s);
}

static void read_add(struct mr_kin *in, struct item *it)
{
	int32_t count, assigned;

	it->admin.name = mr_kin_string(in);
	count = mr_kin_i32(in);
	assigned = mr_kin_nullable_array(in, 2);
	for (int32_t i = 0; i < assigned && !in->r.bad; i++) {
		int32_t replicas = mr_kin_array(in, 4);

		mr_read_bytes(&in->r, (size_t)replicas * 4);
		mr_kin_tags(in);
	}
	mr_kin_tags(in);
	if (count <= 0 || count > MR_TOPIC_PARTITIONS_MAX)
		refuse(it, MR_KAFKA_INVALID_PARTITIONS, "a topic has 1 to 4096 partitions");
	else
		it->admin.partitions = (uint32_t)count;
}

static void encode_add(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct changes *s = c->state;

	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_array(out, s->count);
	for (int32_t i = 0; i < s->count; i++) {
		const struct mr_admin *a = &s->items[i].admin;

		mr_kout_string(out, a->name);
		mr_kafka_put_error(out, c, a->error);
		mr_kout_text(out, message_of(a));
		mr_kout_tags(out);
	}
	mr_kout_tags(out);
}

void mr_kafka_create_partitions(struct mr_kafka_call *c)
{
	struct changes *s = changes_begin(c, encode_add);
	struct mr_kin *in = &c->in;
	bool validate_only;

	if (!s)
		return;
	changes_alloc(s, MR_ADMIN_ADD_PARTITIONS, 7);
	for (int32_t i = 0; i < s->count && !in->r.bad; i++)
		read_add(in, &s->items[i]);
	mr_kin_i32(in); // timeoutMs
	validate_only = mr_kin_bool(in);
	mr_kin_tags(in);
	if (!mr_kafka_parsed(c))
		return;
	for (int32_t i = 0; i < s->count; i++)
		s->items[i].admin.validate_only = validate_only;
	step(s);
}
