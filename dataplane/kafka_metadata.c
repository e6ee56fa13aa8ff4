// Metadata: who serves which partition, and topics made by asking for them.
//
// A request is read, its missing topics are created one after the other where that is allowed, and
// the answer is taken from the snapshot of the turn in which the last of them is there.
#include "dataplane/kafka_int.h"

#define NO_OPERATIONS INT32_MIN // authorizedOperations: there is no authorizer to ask

static const struct mr_uuid no_id;

struct wanted {
	struct mr_span name; // data is NULL: by id
	struct mr_uuid id;
	int16_t error; // of the attempt to create it
	bool tried;
};

struct metadata {
	struct mr_kafka_steps steps; // of creating topics
	struct mr_kafka_call *call;
	struct wanted *topics; // NULL: all there are
	int32_t count;
	bool may_create;
	int32_t at; // next topic that may have to be created
	uint32_t created;
	struct mr_admin admin;
	struct mr_broker_node *nodes;
	uint32_t nodes_count;
};

static void read_topics(struct mr_kafka_call *c, struct metadata *m)
{
	struct mr_kin *in = &c->in;
	int32_t count = in->version == 0 ? mr_kin_array(in, 2) : mr_kin_nullable_array(in, 2);

	if (count < 0 || (count == 0 && in->version == 0))
		return; // all topics
	m->topics = mr_kafka_alloc(c, (size_t)count + 1, sizeof(*m->topics));
	for (int32_t i = 0; i < count && !in->r.bad; i++) {
		struct wanted *t = &m->topics[i];

		if (in->version >= 10)
			t->id = mr_kin_uuid(in);
		t->name = in->version >= 10 ? mr_kin_nullable_string(in) : mr_kin_string(in);
		mr_kin_tags(in);
	}
	m->count = count;
}

static bool read_request(struct mr_kafka_call *c, struct metadata *m)
{
	struct mr_kin *in = &c->in;

	read_topics(c, m);
	m->may_create = in->version >= 4 ? mr_kin_bool(in) : true;
	if (in->version >= 8 && in->version <= 10)
		mr_kin_bool(in); // includeClusterAuthorizedOperations
	if (in->version >= 8)
		mr_kin_bool(in); // includeTopicAuthorizedOperations
	mr_kin_tags(in);
	return mr_kafka_parsed(c);
}

static const struct mr_topic *find(const struct mr_topics *ts, const struct wanted *w)
{
	return w->name.data ? mr_topics_find(ts, w->name) : mr_topics_find_id(ts, w->id);
}

static int16_t missing_error(const struct wanted *w, int16_t version)
{
	if (!w->name.data)
		return version >= 12 ? MR_KAFKA_UNKNOWN_TOPIC_ID : MR_KAFKA_INVALID_REQUEST;
	if (!mr_topic_name_valid(w->name))
		return MR_KAFKA_INVALID_TOPIC_EXCEPTION;
	if (w->error)
		return w->error;
	// Just made, and not in this turn's snapshot yet: clients ask again.
	return w->tried ? MR_KAFKA_LEADER_NOT_AVAILABLE : MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static void put_ids(struct mr_kout *out, int32_t id)
{
	mr_kout_array(out, 1);
	mr_kout_i32(out, id);
}

static void put_partition(struct mr_kout *out, uint32_t index, int32_t leader)
{
	mr_kout_i16(out, MR_KAFKA_NONE);
	mr_kout_i32(out, (int32_t)index);
	mr_kout_i32(out, leader);
	if (out->version >= 7)
		mr_kout_i32(out, 0); // leaderEpoch: the only one
	put_ids(out, leader);        // replicaNodes
	put_ids(out, leader);        // isrNodes
	if (out->version >= 5)
		mr_kout_array(out, 0); // offlineReplicas
	mr_kout_tags(out);
}

// `t` is NULL for a topic that is not there; `w` is NULL when all topics were asked for.
static void put_topic(struct mr_kout *out, struct mr_kafka_call *c, const struct mr_topic *t,
	const struct wanted *w)
{
	const struct metadata *m = c->state;
	struct mr_span name = t ? t->name : w->name;

	mr_kafka_put_error(out, c, t ? MR_KAFKA_NONE : missing_error(w, out->version));
	if (!name.data && out->version < 12)
		name = mr_span_str("");
	mr_kout_string(out, name);
	if (out->version >= 10)
		mr_kout_uuid(out, t ? t->id : w->name.data ? no_id : w->id);
	if (out->version >= 1)
		mr_kout_bool(out, t && t->internal);
	mr_kout_array(out, t ? (int32_t)t->partitions : 0);
	for (uint32_t i = 0; t && i < t->partitions; i++)
		put_partition(out, i, m->nodes[mr_topic_owner(t, i, m->nodes_count)].id);
	if (out->version >= 8)
		mr_kout_i32(out, NO_OPERATIONS);
	mr_kout_tags(out);
}

static void put_topics(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct mr_topics *ts = mr_kafka_topics(c);
	const struct metadata *m = c->state;
	struct mr_sorted_at at = {0};
	const struct mr_topic *t;

	if (m->topics) {
		mr_kout_array(out, m->count);
		for (int32_t i = 0; i < m->count; i++)
			put_topic(out, c, find(ts, &m->topics[i]), &m->topics[i]);
		return;
	}
	mr_kout_array(out, (int32_t)ts->count);
	while ((t = mr_sorted_next(ts->by_name, &at)))
		put_topic(out, c, t, NULL);
}

static void encode_metadata(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct metadata *m = c->state;

	if (out->version >= 3)
		mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_array(out, (int32_t)m->nodes_count);
	for (uint32_t i = 0; i < m->nodes_count; i++) {
		mr_kout_i32(out, m->nodes[i].id);
		mr_kout_text(out, m->nodes[i].host);
		mr_kout_i32(out, m->nodes[i].port);
		if (out->version >= 1)
			mr_kout_text(out, NULL); // rack
		mr_kout_tags(out);
	}
	if (out->version >= 2)
		mr_kout_string(out, c->k->broker->ops->cluster_id(c->k->broker));
	if (out->version >= 1)
		mr_kout_i32(out, m->nodes[0].id); // controllerId
	put_topics(out, c);
	if (out->version >= 8 && out->version <= 10)
		mr_kout_i32(out, NO_OPERATIONS);
	mr_kout_tags(out);
}

static bool fill_nodes(struct mr_kafka_call *c, struct metadata *m)
{
	struct mr_broker *b = c->k->broker;
	char host[64];
	uint16_t port;

	m->nodes_count = b->ops->nodes_count(b);
	m->nodes = mr_kafka_alloc(c, m->nodes_count, sizeof(*m->nodes));
	if (!m->nodes)
		return false;
	mr_conn_local(c->rq->conn, host, &port);
	for (uint32_t i = 0; i < m->nodes_count; i++)
		b->ops->node(b, i, host, port, &m->nodes[i]);
	return true;
}

// A small request that names a large topic again and again must not make an endless answer.
static bool too_many_partitions(struct mr_kafka_call *c, const struct metadata *m)
{
	const struct mr_topics *ts = mr_kafka_topics(c);
	uint64_t partitions = 0;

	for (int32_t i = 0; i < m->count; i++) {
		const struct mr_topic *t = find(ts, &m->topics[i]);

		partitions += t ? t->partitions : 0;
	}
	return partitions > MR_KAFKA_METADATA_PARTITIONS_MAX;
}

static void finish(struct mr_kafka_call *c, struct metadata *m)
{
	if (too_many_partitions(c, m))
		mr_kafka_close(c, MR_KAFKA_CLOSE_LIMIT);
	else if (!fill_nodes(c, m))
		mr_kafka_close(c, MR_KAFKA_CLOSE_MEMORY);
	else
		mr_kafka_respond(c, encode_metadata);
}

static void create_done(struct mr_admin *a)
{
	struct metadata *m = a->user;
	struct wanted *w = &m->topics[m->at - 1];

	w->error = a->error == MR_KAFKA_TOPIC_ALREADY_EXISTS ? MR_KAFKA_NONE : a->error;
	w->tried = true;
	if (!a->error)
		MR_KAFKA_COUNT(m->call, topics_auto_created, 1);
	mr_kafka_step_done(&m->steps);
}

static bool must_create(const struct metadata *m, const struct wanted *w)
{
	return w->name.data && mr_topic_name_valid(w->name) && !find(mr_kafka_topics(m->call), w) &&
	       m->created < MR_KAFKA_AUTO_CREATE_MAX && !m->call->rq->abandoned;
}

static void create(struct metadata *m, struct wanted *w)
{
	struct mr_broker *b = m->call->k->broker;

	m->created++;
	m->admin = (struct mr_admin){
		.kind = MR_ADMIN_CREATE,
		.name = w->name,
		.config = b->ops->topic_defaults(b),
		.automatic = true,
		.done = create_done,
		.user = m,
		.broker = b,
	};
	b->ops->admin(b, &m->admin);
}

static bool next_topic(struct mr_kafka_steps *steps)
{
	struct metadata *m = MR_CONTAINER(steps, struct metadata, steps);

	while (m->may_create && m->at < m->count) {
		struct wanted *w = &m->topics[m->at++];

		if (must_create(m, w)) {
			create(m, w);
			return true;
		}
	}
	return false;
}

static void answer(struct mr_kafka_steps *steps)
{
	struct metadata *m = MR_CONTAINER(steps, struct metadata, steps);

	finish(m->call, m);
}

void mr_kafka_metadata(struct mr_kafka_call *c)
{
	struct metadata *m = c->state = mr_kafka_alloc(c, 1, sizeof(*m));
	struct mr_broker *b = c->k->broker;

	if (!m) {
		mr_kafka_parsed(c); // closes
		return;
	}
	m->call = c;
	m->steps.next = next_topic;
	m->steps.finish = answer;
	m->steps.at_once = 1; // there is one mr_admin
	if (!read_request(c, m))
		return;
	m->may_create &= b->ops->auto_create(b);
	mr_kafka_steps_go(&m->steps);
}
