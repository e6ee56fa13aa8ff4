// Small APIs about the cluster: ApiVersions, DescribeCluster, FindCoordinator, InitProducerId.
#include "dataplane/kafka_int.h"

static void encode_api_versions(struct mr_kout *out, struct mr_kafka_call *c)
{
	mr_kafka_put_error(out, c, MR_KAFKA_NONE);
	mr_kout_array(out, MR_KAFKA_API_COUNT);
	for (size_t i = 0; i < MR_KAFKA_API_COUNT; i++) {
		mr_kout_i16(out, mr_kafka_apis[i].key);
		mr_kout_i16(out, mr_kafka_apis[i].min);
		mr_kout_i16(out, mr_kafka_apis[i].max);
		mr_kout_tags(out);
	}
	if (out->version >= 1)
		mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_tags(out);           // no features
}

void mr_kafka_api_versions(struct mr_kafka_call *c)
{
	if (c->in.version >= 3) {
		mr_kin_string(&c->in); // clientSoftwareName
		mr_kin_string(&c->in); // clientSoftwareVersion
		mr_kin_tags(&c->in);
	}
	if (mr_kafka_parsed(c))
		mr_kafka_respond(c, encode_api_versions);
}

// endpointType
#define ENDPOINT_BROKERS 1

#define NO_OPERATIONS INT32_MIN // authorizedOperations: there is no authorizer to ask

struct cluster {
	int8_t endpoint_type;
};

static void put_brokers(struct mr_kout *out, struct mr_kafka_call *c)
{
	struct mr_broker *b = c->k->broker;
	uint32_t count = b->ops->nodes_count(b);
	char host[64];
	uint16_t port;

	mr_conn_local(c->rq->conn, host, &port);
	mr_kout_array(out, (int32_t)count);
	for (uint32_t i = 0; i < count; i++) {
		struct mr_broker_node node;

		b->ops->node(b, i, host, port, &node);
		mr_kout_i32(out, node.id);
		mr_kout_text(out, node.host);
		mr_kout_i32(out, node.port);
		mr_kout_text(out, NULL); // rack
		mr_kout_tags(out);
	}
}

static void encode_describe_cluster(struct mr_kout *out, struct mr_kafka_call *c)
{
	struct mr_broker *b = c->k->broker;
	const struct cluster *s = c->state;
	bool ok = s->endpoint_type == ENDPOINT_BROKERS;

	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kafka_put_error(out, c, ok ? MR_KAFKA_NONE : MR_KAFKA_MISMATCHED_ENDPOINT_TYPE);
	mr_kout_text(out, ok ? NULL : "this is a broker's listener, not a controller's");
	if (out->version >= 1)
		mr_kout_i8(out, ENDPOINT_BROKERS);
	mr_kout_string(out, b->ops->cluster_id(b));
	mr_kout_i32(out, 0); // controllerId
	if (ok)
		put_brokers(out, c);
	else
		mr_kout_array(out, 0);
	mr_kout_i32(out, NO_OPERATIONS);
	mr_kout_tags(out);
}

void mr_kafka_describe_cluster(struct mr_kafka_call *c)
{
	struct cluster *s = c->state = mr_kafka_alloc(c, 1, sizeof(*s));

	mr_kin_bool(&c->in); // includeClusterAuthorizedOperations
	if (s)
		s->endpoint_type = c->in.version >= 1 ? mr_kin_i8(&c->in) : ENDPOINT_BROKERS;
	mr_kin_tags(&c->in);
	if (mr_kafka_parsed(c))
		mr_kafka_respond(c, encode_describe_cluster);
}

// keyType
#define COORDINATOR_GROUP       0
#define COORDINATOR_TRANSACTION 1

struct coordinators {
	int8_t type;
	int32_t count;
	struct mr_span *keys;
};

// Nothing retriable: a client would look for its coordinator for ever.
static int16_t coordinator_error(const struct coordinators *s, const char **message)
{
	switch (s->type) {
	case COORDINATOR_GROUP:
		*message = "consumer groups are not supported yet: assign partitions instead";
		return MR_KAFKA_GROUP_AUTHORIZATION_FAILED;
	case COORDINATOR_TRANSACTION:
		*message = "transactions are not supported";
		return MR_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	default:
		*message = "this type of coordinator does not exist";
		return MR_KAFKA_INVALID_REQUEST;
	}
}

// No coordinator: what Kafka writes beside an error.
static void put_no_node(struct mr_kout *out)
{
	mr_kout_i32(out, -1);
	mr_kout_text(out, "");
	mr_kout_i32(out, -1);
}

static void encode_find_coordinator(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct coordinators *s = c->state;
	const char *message;
	int16_t error = coordinator_error(s, &message);

	if (out->version >= 1)
		mr_kout_i32(out, 0); // throttleTimeMs
	if (out->version >= 4) {
		mr_kout_array(out, s->count);
		for (int32_t i = 0; i < s->count; i++) {
			mr_kout_string(out, s->keys[i]);
			put_no_node(out);
			mr_kafka_put_error(out, c, error);
			mr_kout_text(out, message);
			mr_kout_tags(out);
		}
	} else {
		mr_kafka_put_error(out, c, error);
		if (out->version >= 1)
			mr_kout_text(out, message);
		put_no_node(out);
	}
	mr_kout_tags(out);
}

void mr_kafka_find_coordinator(struct mr_kafka_call *c)
{
	struct coordinators *s = c->state = mr_kafka_alloc(c, 1, sizeof(*s));
	struct mr_kin *in = &c->in;

	if (in->version < 4)
		mr_kin_string(in); // key
	if (s && in->version >= 1)
		s->type = mr_kin_i8(in);
	if (s && in->version >= 4) {
		s->count = mr_kin_array(in, 1);
		s->keys = mr_kafka_alloc(c, (size_t)s->count, sizeof(*s->keys));
		for (int32_t i = 0; i < s->count && !in->r.bad; i++)
			s->keys[i] = mr_kin_string(in);
	}
	mr_kin_tags(in);
	if (mr_kafka_parsed(c))
		mr_kafka_respond(c, encode_find_coordinator);
}

struct producer {
	struct mr_producer_init init;
	struct mr_kafka_call *call;
};

static void encode_init_producer_id(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct mr_producer_init *p = &((const struct producer *)c->state)->init;

	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kafka_put_error(out, c, p->error);
	mr_kout_i64(out, p->error ? -1 : p->producer_id);
	mr_kout_i16(out, p->error ? -1 : 0); // producerEpoch
	mr_kout_tags(out);
}

static void producer_done(struct mr_producer_init *p)
{
	mr_kafka_respond(p->user, encode_init_producer_id);
}

// A client that bumps its epoch (KIP-360) sends the id it had; without a transactional id Kafka
// hands out a new one all the same.
void mr_kafka_init_producer_id(struct mr_kafka_call *c)
{
	struct producer *p = c->state = mr_kafka_alloc(c, 1, sizeof(*p));
	struct mr_broker *b = c->k->broker;
	struct mr_span transactional_id = mr_kin_nullable_string(&c->in);

	mr_kin_i32(&c->in); // transactionTimeoutMs
	if (c->in.version >= 3) {
		mr_kin_i64(&c->in); // producerId
		mr_kin_i16(&c->in); // producerEpoch
	}
	mr_kin_tags(&c->in);
	if (!mr_kafka_parsed(c))
		return;
	p->init = (struct mr_producer_init){.done = producer_done, .user = c, .broker = b};
	if (transactional_id.data) {
		p->init.error = MR_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
		producer_done(&p->init);
		return;
	}
	b->ops->producer_init(b, &p->init);
}
