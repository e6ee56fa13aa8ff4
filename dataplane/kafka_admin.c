// CreateTopics, DeleteTopics, CreatePartitions: checks of the wire's own rules, then changes of
// control's, in order, each with its own error in the answer. Control makes many of them together.
#include "dataplane/kafka_config.h"
#include "dataplane/kafka_int.h"

#include <stdio.h>

enum { CHANGES_AT_ONCE = 1000 };

struct changes;

struct item {
	struct mr_admin admin; // its error and message are the answer's, whoever set them
	struct mr_uuid id;     // DeleteTopics
	bool named;            // false: the answer has no name
};

// What differs between the three requests.
struct change_form {
	enum mr_admin_kind kind;
	size_t element_bytes_min;
	bool may_validate_only;
	void (*read)(struct mr_kafka_call *c, struct item *it);
	void (*find)(struct mr_kafka_call *c, struct item *it); // when all is read; may be NULL
	void (*put)(struct mr_kout *out, struct mr_kafka_call *c, const struct item *it);
};

struct changes {
	struct mr_kafka_steps steps;
	struct mr_kafka_call *call;
	const struct change_form *form;
	struct item *items;
	int32_t count;
	int32_t at; // next to start
};

void mr_kafka_steps_go(struct mr_kafka_steps *s)
{
	s->going = true;
	while (!s->ended && s->under_way < s->at_once) {
		s->under_way++;
		s->ended = !s->next(s);
		s->under_way -= s->ended;
	}
	s->going = false;
	if (s->ended && s->under_way == 0)
		s->finish(s);
}

void mr_kafka_step_done(struct mr_kafka_steps *s)
{
	s->under_way--;
	if (!s->going)
		mr_kafka_steps_go(s);
}

static void refuse(struct item *it, int16_t error, const char *message)
{
	it->admin.error = error;
	snprintf(it->admin.message, sizeof(it->admin.message), "%s", message);
}

static void change_done(struct mr_admin *a)
{
	mr_kafka_step_done(a->user);
}

static void encode_changes(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct changes *s = c->state;

	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_array(out, s->count);
	for (int32_t i = 0; i < s->count; i++) {
		s->form->put(out, c, &s->items[i]);
		mr_kout_tags(out);
	}
	mr_kout_tags(out);
}

static bool next_change(struct mr_kafka_steps *steps)
{
	struct changes *s = MR_CONTAINER(steps, struct changes, steps);
	struct mr_broker *b = s->call->k->broker;

	while (s->at < s->count && !s->call->rq->abandoned) {
		struct mr_admin *a = &s->items[s->at++].admin;

		if (a->error)
			continue;
		b->ops->admin(b, a);
		return true;
	}
	return false;
}

static void answer_changes(struct mr_kafka_steps *steps)
{
	mr_kafka_respond(MR_CONTAINER(steps, struct changes, steps)->call, encode_changes);
}

static void changes_alloc(struct changes *s)
{
	struct mr_broker *b = s->call->k->broker;

	s->count = mr_kin_array(&s->call->in, s->form->element_bytes_min);
	s->items = mr_kafka_alloc(s->call, (size_t)s->count, sizeof(*s->items));
	if (!s->items)
		s->count = 0;
	for (int32_t i = 0; i < s->count; i++) {
		s->items[i].named = true;
		s->items[i].admin = (struct mr_admin){
			.kind = s->form->kind,
			.config = b->ops->topic_defaults(b),
			.done = change_done,
			.user = &s->steps,
			.broker = b,
		};
	}
}

// Reads the whole request, then has its changes made.
static void make_changes(struct mr_kafka_call *c, const struct change_form *form)
{
	struct changes *s = c->state = mr_kafka_alloc(c, 1, sizeof(*s));
	struct mr_kin *in = &c->in;
	bool validate_only;

	if (!s) {
		mr_kafka_parsed(c); // closes
		return;
	}
	*s = (struct changes){
		.steps = {next_change, answer_changes, CHANGES_AT_ONCE, 0, false, false},
		.call = c,
		.form = form};
	changes_alloc(s);
	for (int32_t i = 0; i < s->count && !in->r.bad; i++)
		form->read(c, &s->items[i]);
	mr_kin_i32(in); // timeoutMs
	validate_only = form->may_validate_only && mr_kin_bool(in);
	mr_kin_tags(in);
	if (!mr_kafka_parsed(c))
		return;
	for (int32_t i = 0; i < s->count; i++) {
		s->items[i].admin.validate_only = validate_only;
		if (form->find)
			form->find(c, &s->items[i]);
	}
	mr_kafka_steps_go(&s->steps);
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

static void put_created(struct mr_kout *out, struct mr_kafka_call *c, const struct item *it)
{
	const struct mr_admin *a = &it->admin;

	mr_kout_string(out, a->name);
	if (out->version >= 7)
		mr_kout_uuid(out, a->topic_id);
	mr_kafka_put_error(out, c, a->error);
	mr_kout_text(out, message_of(a));
	if (out->version < 5)
		return;
	mr_kout_i32(out, a->error ? -1 : (int32_t)a->partitions_now);
	mr_kout_i16(out, a->error ? -1 : 1); // replicationFactor
	if (a->error)
		mr_kout_array(out, 0);
	else
		put_created_configs(out, a);
}

void mr_kafka_create_topics(struct mr_kafka_call *c)
{
	static const struct change_form form = {
		MR_ADMIN_CREATE, 10, true, read_create, NULL, put_created};

	make_changes(c, &form);
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

static void read_delete(struct mr_kafka_call *c, struct item *it)
{
	struct mr_kin *in = &c->in;

	if (in->version >= 6) {
		it->admin.name = mr_kin_nullable_string(in);
		it->id = mr_kin_uuid(in);
		mr_kin_tags(in);
	} else {
		it->admin.name = mr_kin_string(in);
	}
	it->named = it->admin.name.data != NULL;
}

static void put_deleted(struct mr_kout *out, struct mr_kafka_call *c, const struct item *it)
{
	mr_kout_string(out, it->admin.name);
	if (out->version >= 6)
		mr_kout_uuid(out, it->id);
	mr_kafka_put_error(out, c, it->admin.error);
	if (out->version >= 5)
		mr_kout_text(out, message_of(&it->admin));
}

void mr_kafka_delete_topics(struct mr_kafka_call *c)
{
	static const struct change_form form = {
		MR_ADMIN_DELETE, 1, false, read_delete, find_deleted, put_deleted};

	make_changes(c, &form);
}

static void read_add(struct mr_kafka_call *c, struct item *it)
{
	struct mr_kin *in = &c->in;
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

static void put_added(struct mr_kout *out, struct mr_kafka_call *c, const struct item *it)
{
	mr_kout_string(out, it->admin.name);
	mr_kafka_put_error(out, c, it->admin.error);
	mr_kout_text(out, message_of(&it->admin));
}

void mr_kafka_create_partitions(struct mr_kafka_call *c)
{
	static const struct change_form form = {
		MR_ADMIN_ADD_PARTITIONS, 7, true, read_add, NULL, put_added};

	make_changes(c, &form);
}
