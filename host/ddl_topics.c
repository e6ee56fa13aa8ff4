// Changes of topics that Kafka clients ask for: as many as wait are made durable and put in force
// together, each with its own answer. Control thread.
#include "dataplane/kafka_error.h"
#include "host/ddl_int.h"

#include <stdio.h>

static void admin_fail(struct mr_admin *a, int16_t error, const char *message)
{
	a->error = error;
	snprintf(a->message, sizeof(a->message), "%.*s", (int)sizeof(a->message) - 1, message);
}

// Changes on their way: all made by one append, or none.
struct batch {
	struct mr_control *control;
	struct mr_catalog_change change;
	struct mr_admin *asked[MR_DDL_ADMIN_BATCH]; // by whom
	uint32_t count;
	uint32_t topics_new;
	uint64_t partitions_new;
};

struct mr_topic mr_ddl_topic(struct mr_control *c, struct mr_span name, uint32_t partitions,
	const struct mr_topic_config *config)
{
	return (struct mr_topic){
		.id = mr_uuid_make(&c->rand),
		.number = c->catalog.number_next,
		.name = name,
		.partitions = partitions ? partitions : (uint32_t)c->config->kafka_partitions,
		.config = *config,
	};
}

static void batch_commit(struct batch *b)
{
	struct mr_diag diag;
	int rc = b->count ? mr_ddl_commit(b->control, &b->change, NULL, &diag) : 0;

	for (uint32_t i = 0; rc < 0 && i < b->count; i++)
		admin_fail(b->asked[i], MR_KAFKA_KAFKA_STORAGE_ERROR, diag.message);
	*b = (struct batch){.control = b->control};
}

// A topic with changes on their way is looked at when they are made.
static bool is_changing(const struct batch *b, struct mr_span name)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (mr_span_eq(b->asked[i]->name, name))
			return true;
	return false;
}

static bool within(struct batch *b, struct mr_admin *a, enum mr_limit limit, uint64_t more)
{
	struct mr_diag diag;

	if (mr_ddl_may_add(b->control, limit, more, &diag) == 0)
		return true;
	admin_fail(a, MR_KAFKA_POLICY_VIOLATION, diag.message);
	return false;
}

static bool may_create(struct batch *b, struct mr_admin *a)
{
	struct mr_control *c = b->control;
	const struct mr_topic_def *old = mr_catalog_topic(&c->catalog, a->name);

	if (!mr_topic_name_valid(a->name)) {
		admin_fail(a, MR_KAFKA_INVALID_TOPIC_EXCEPTION,
			"a topic's name is 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen");
	} else if (old) {
		a->topic_id = old->topic.id;
		a->partitions_now = old->topic.partitions;
		if (!a->automatic)
			admin_fail(a, MR_KAFKA_TOPIC_ALREADY_EXISTS, "the topic exists");
		return false;
	} else if (a->automatic && !c->config->kafka_auto_create) {
		admin_fail(a, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "automatic creation is off");
	} else if (a->partitions > MR_TOPIC_PARTITIONS_MAX) {
		admin_fail(a, MR_KAFKA_INVALID_PARTITIONS, "a topic has 1 to 4096 partitions");
	}
	return !a->error && within(b, a, MR_LIMIT_TOPICS, b->topics_new + 1);
}

static bool admin_create(struct batch *b, struct mr_admin *a)
{
	struct mr_topic t;

	if (!may_create(b, a))
		return false;
	t = mr_ddl_topic(b->control, a->name, a->partitions, &a->config);
	t.number += b->topics_new;
	if (!within(b, a, MR_LIMIT_PARTITIONS, b->partitions_new + t.partitions))
		return false;
	a->topic_id = t.id;
	a->partitions_now = t.partitions;
	if (a->validate_only)
		return false;
	b->topics_new++;
	b->partitions_new += t.partitions;
	mr_catalog_add_topic(&b->change, &t);
	return true;
}

static bool admin_delete(struct batch *b, struct mr_admin *a)
{
	const struct mr_catalog *cat = &b->control->catalog;
	const struct mr_topic_def *t = mr_catalog_topic(cat, a->name);
	const struct mr_table_def *user;

	if (!t) {
		admin_fail(a, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "the topic does not exist");
		return false;
	}
	user = mr_catalog_table_of_topic(cat, t->topic.id);
	if (user) {
		a->error = MR_KAFKA_TOPIC_DELETION_DISABLED;
		snprintf(a->message, sizeof(a->message),
			"table %s uses the topic; DROP TABLE %s CASCADE drops both", user->name,
			user->name);
		return false;
	}
	mr_catalog_drop_topic(&b->change, t->topic.number);
	return true;
}

static bool admin_add_partitions(struct batch *b, struct mr_admin *a)
{
	const struct mr_topic_def *t = mr_catalog_topic(&b->control->catalog, a->name);
	struct mr_topic changed;
	uint32_t more;

	if (!t) {
		admin_fail(a, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "the topic does not exist");
		return false;
	}
	a->topic_id = t->topic.id;
	a->partitions_now = t->topic.partitions;
	if (a->partitions <= t->topic.partitions || a->partitions > MR_TOPIC_PARTITIONS_MAX) {
		admin_fail(a, MR_KAFKA_INVALID_PARTITIONS,
			"the number of partitions may only grow, to 4096 at most");
		return false;
	}
	more = a->partitions - t->topic.partitions;
	if (!within(b, a, MR_LIMIT_PARTITIONS, b->partitions_new + more))
		return false;
	a->partitions_now = a->partitions;
	if (a->validate_only)
		return false;
	b->partitions_new += more;
	changed = t->topic;
	changed.partitions = a->partitions;
	mr_catalog_add_topic(&b->change, &changed);
	return true;
}

void mr_ddl_admin(struct mr_control *c, struct mr_admin *const *asked, uint32_t count)
{
	struct batch b = {.control = c};

	MR_ASSERT(count <= MR_DDL_ADMIN_BATCH);
	for (uint32_t i = 0; i < count; i++) {
		struct mr_admin *a = asked[i];
		bool changes = false;

		a->error = 0;
		a->message[0] = 0;
		if (is_changing(&b, a->name))
			batch_commit(&b);
		switch (a->kind) {
		case MR_ADMIN_CREATE: changes = admin_create(&b, a); break;
		case MR_ADMIN_DELETE: changes = admin_delete(&b, a); break;
		case MR_ADMIN_ADD_PARTITIONS: changes = admin_add_partitions(&b, a); break;
		}
		if (changes)
			b.asked[b.count++] = a;
	}
	batch_commit(&b);
}
