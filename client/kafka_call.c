// Blocking questions to a Kafka broker.
#include "client/kafka_call.h"

#include "dataplane/kafka_error.h"
#include "host/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
	int16_t key;
	int16_t min, max; // that we can speak
	int16_t flexible; // first version
	const char *name;
} apis[] = {
	{MR_KEY_PRODUCE, 3, 9, 9, "Produce"},
	{MR_KEY_METADATA, 1, 9, 9, "Metadata"},
	{MR_KEY_API_VERSIONS, 0, 0, 3, "ApiVersions"},
	{MR_KEY_CREATE_TOPICS, 2, 5, 5, "CreateTopics"},
	{MR_KEY_INIT_PRODUCER_ID, 0, 4, 2, "InitProducerId"},
};

static size_t api_of(int16_t key)
{
	size_t i = 0;

	while (apis[i].key != key)
		MR_ASSERT(++i < MR_COUNT_OF(apis));
	return i;
}

static int16_t *version_of(struct mr_kafka_caller *k, int16_t key)
{
	switch (key) {
	case MR_KEY_PRODUCE: return &k->version_produce;
	case MR_KEY_METADATA: return &k->version_metadata;
	case MR_KEY_CREATE_TOPICS: return &k->version_create_topics;
	case MR_KEY_INIT_PRODUCER_ID: return &k->version_init_producer_id;
	default: return NULL; // ApiVersions itself: 0
	}
}

void mr_kafka_cluster_fini(struct mr_kafka_cluster *cl)
{
	free(cl->nodes);
	free(cl->leaders);
	*cl = (struct mr_kafka_cluster){0};
}

void mr_kafka_caller_init(struct mr_kafka_caller *k, int timeout_ms)
{
	*k = (struct mr_kafka_caller){.fd = -1, .timeout_ms = timeout_ms};
	k->in.bytes_limit = MR_KAFKA_ANSWER_BYTES_MAX;
}

void mr_kafka_caller_fini(struct mr_kafka_caller *k)
{
	mr_kafka_caller_close(k);
	mr_buf_fini(&k->in);
}

void mr_kafka_caller_close(struct mr_kafka_caller *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

// SO_RCVTIMEO and SO_SNDTIMEO say EAGAIN.
static int socket_error(ssize_t n)
{
	if (n == 0)
		return -ECONNRESET;
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int send_all(int fd, struct mr_span s)
{
	while (s.bytes) {
		ssize_t n = send(fd, s.data, s.bytes, MSG_NOSIGNAL);

		if (n <= 0 && errno != EINTR)
			return socket_error(n);
		n = MR_MAX(n, 0);
		s = mr_span(s.data + n, s.bytes - (size_t)n);
	}
	return 0;
}

static int receive_all(int fd, uint8_t *at, size_t bytes)
{
	while (bytes) {
		ssize_t n = recv(fd, at, bytes, 0);

		if (n == 0 || (n < 0 && errno != EINTR))
			return socket_error(n);
		n = MR_MAX(n, 0);
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int receive_frame(struct mr_kafka_caller *k)
{
	uint8_t size[4], *at;
	int e = receive_all(k->fd, size, sizeof(size));

	mr_buf_reset(&k->in);
	if (e < 0)
		return e;
	at = mr_buf_extend(&k->in, mr_load_be32(size));
	return at ? receive_all(k->fd, at, mr_load_be32(size)) : MR_ERR_LIMIT;
}

// One question and its answer. `write` writes the body of the request, `read` takes the answer's.
struct question {
	int16_t api;
	void (*write)(struct mr_kout *out, const void *ask);
	void (*read)(struct mr_kin *in, void *answer);
	const void *ask;
	void *answer;
};

static void write_request(struct mr_kout *out, int32_t correlation, const struct question *q)
{
	bool flexible = out->flexible;

	mr_kout_i32(out, 0); // the frame's length, known at the end
	mr_kout_i16(out, q->api);
	mr_kout_i16(out, out->version);
	mr_kout_i32(out, correlation);
	out->flexible = false; // KIP-482: the client id never is
	mr_kout_text(out, MR_KAFKA_CLIENT_ID);
	out->flexible = flexible;
	mr_kout_tags(out);
	if (q->write)
		q->write(out, q->ask);
	mr_kout_tags(out);
}

static int send_request(struct mr_kafka_caller *k, int16_t version, const struct question *q)
{
	uint8_t frame[1024]; // the longest text in a question is a topic's name
	struct mr_kout out = {.version = version};

	out.flexible = version >= apis[api_of(q->api)].flexible;
	out.w = mr_writer(frame, sizeof(frame));
	write_request(&out, k->correlation, q);
	MR_ASSERT(!out.w.bad && out.cuts_count == 0);
	mr_store_be32(frame, (uint32_t)(out.w.at - 4));
	return send_all(k->fd, mr_span(frame, out.w.at));
}

static int exchange(struct mr_kafka_caller *k, int16_t version, const struct question *q)
{
	struct mr_kin in = {.version = version};
	int e;

	k->correlation++;
	e = send_request(k, version, q);
	if (e == 0)
		e = receive_frame(k);
	if (e < 0)
		return e;
	in.r = mr_reader(mr_buf_span(&k->in));
	in.flexible = version >= apis[api_of(q->api)].flexible;
	if (mr_kin_i32(&in) != k->correlation)
		return MR_ERR_CORRUPT;
	mr_kin_tags(&in);
	q->read(&in, q->answer);
	return in.r.bad ? MR_ERR_CORRUPT : 0;
}

static int ask(struct mr_kafka_caller *k, const struct question *q)
{
	const int16_t *version = version_of(k, q->api);
	const char *name = apis[api_of(q->api)].name;
	int e = k->fd >= 0 ? 0 : -ENOTCONN;

	if (version && *version < 0) {
		snprintf(k->error, sizeof(k->error),
			"the broker speaks no version of %s that this program speaks", name);
		return MR_ERR_UNSUPPORTED;
	}
	if (e == 0)
		e = exchange(k, version ? *version : 0, q);
	if (e == 0)
		return 0;
	snprintf(k->error, sizeof(k->error), "the broker's answer to %s: %s", name, mr_err_text(e));
	mr_kafka_caller_close(k);
	return e;
}

struct versions {
	int16_t error;
	struct {
		int16_t min, max;
	} of[MR_COUNT_OF(apis)];
};

static void read_versions(struct mr_kin *in, void *answer)
{
	struct versions *v = answer;
	int32_t count;

	v->error = mr_kin_i16(in);
	count = mr_kin_array(in, 6);
	for (int32_t i = 0; i < count && !in->r.bad; i++) {
		int16_t key = mr_kin_i16(in), min = mr_kin_i16(in), max = mr_kin_i16(in);

		for (size_t a = 0; a < MR_COUNT_OF(apis); a++) {
			if (apis[a].key != key)
				continue;
			v->of[a].min = min;
			v->of[a].max = max;
		}
	}
}

static int agree_on_versions(struct mr_kafka_caller *k)
{
	struct versions v = {0};
	int e;

	for (size_t a = 0; a < MR_COUNT_OF(apis); a++)
		v.of[a].max = -1;
	e = ask(k, &(struct question){MR_KEY_API_VERSIONS, NULL, read_versions, NULL, &v});
	for (size_t a = 0; e == 0 && a < MR_COUNT_OF(apis); a++) {
		int16_t *version = version_of(k, apis[a].key);
		int16_t max = MR_MIN(apis[a].max, v.of[a].max);

		if (version)
			*version = max < apis[a].min || max < v.of[a].min ? -1 : max;
	}
	return e;
}

int mr_kafka_caller_open(struct mr_kafka_caller *k, const struct mr_kafka_address *to)
{
	int e;

	mr_kafka_caller_close(k);
	e = mr_kafka_dial(to, true, k->timeout_ms);
	if (e < 0) {
		snprintf(k->error, sizeof(k->error), "cannot connect to %s:%s: %s", to->host,
			to->port, mr_err_text(e));
		return e;
	}
	k->fd = e;
	e = agree_on_versions(k);
	if (e < 0)
		mr_kafka_caller_close(k);
	return e;
}

struct metadata_ask {
	const char *topic;
	bool create;
};

struct metadata_answer {
	struct mr_kafka_cluster cluster;
	bool no_memory;
};

static void write_metadata(struct mr_kout *out, const void *asked)
{
	const struct metadata_ask *a = asked;

	mr_kout_array(out, 1);
	mr_kout_text(out, a->topic);
	mr_kout_tags(out);
	if (out->version >= 4)
		mr_kout_bool(out, a->create);
	if (out->version >= 8) {
		mr_kout_bool(out, false); // includeClusterAuthorizedOperations
		mr_kout_bool(out, false); // includeTopicAuthorizedOperations
	}
}

static void read_node(struct mr_kin *in, struct mr_kafka_cluster *cl)
{
	struct mr_kafka_node *n = &cl->nodes[cl->nodes_count];
	struct mr_span host;
	int32_t port;

	n->id = mr_kin_i32(in);
	host = mr_kin_string(in);
	port = mr_kin_i32(in);
	mr_kin_nullable_string(in); // rack
	mr_kin_tags(in);
	if (host.bytes == 0 || host.bytes >= sizeof(n->address.host) || port < 1 || port > 65535)
		in->r.bad = true;
	if (in->r.bad)
		return;
	memcpy(n->address.host, host.data, host.bytes);
	n->address.host[host.bytes] = 0;
	snprintf(n->address.port, sizeof(n->address.port), "%d", port);
	cl->nodes_count++;
}

static void skip_ids(struct mr_kin *in)
{
	int32_t count = mr_kin_array(in, 4);

	for (int32_t i = 0; i < count; i++)
		mr_kin_i32(in);
}

static void read_partition(struct mr_kin *in, struct mr_kafka_cluster *cl)
{
	int32_t index, leader;

	mr_kin_i16(in); // its error shows as leader -1
	index = mr_kin_i32(in);
	leader = mr_kin_i32(in);
	if (in->version >= 7)
		mr_kin_i32(in); // leaderEpoch
	skip_ids(in);           // replicas
	skip_ids(in);           // in sync
	if (in->version >= 5)
		skip_ids(in); // offline
	mr_kin_tags(in);
	if (index < 0 || (uint32_t)index >= cl->partitions_count)
		in->r.bad = true;
	else
		cl->leaders[index] = leader;
}

static void read_topic(struct mr_kin *in, struct metadata_answer *m)
{
	struct mr_kafka_cluster *cl = &m->cluster;
	int32_t count;

	cl->topic_error = mr_kin_i16(in);
	mr_kin_string(in);
	mr_kin_bool(in); // internal
	count = mr_kin_array(in, 10);
	if (count > MR_KAFKA_PARTITIONS_MAX)
		in->r.bad = true;
	if (in->r.bad)
		return;
	cl->leaders = malloc(sizeof(int32_t) * ((size_t)count + 1));
	if (!cl->leaders) {
		m->no_memory = true;
		return;
	}
	cl->partitions_count = (uint32_t)count;
	for (int32_t i = 0; i < count; i++)
		cl->leaders[i] = -1;
	for (int32_t i = 0; i < count && !in->r.bad; i++)
		read_partition(in, cl);
	if (in->version >= 8)
		mr_kin_i32(in); // authorized operations
	mr_kin_tags(in);
}

static void read_metadata(struct mr_kin *in, void *answer)
{
	struct metadata_answer *m = answer;
	int32_t count;

	if (in->version >= 3)
		mr_kin_i32(in); // throttleTimeMs
	count = mr_kin_array(in, 10);
	if (count > MR_KAFKA_NODES_MAX)
		in->r.bad = true;
	if (in->r.bad)
		return;
	m->cluster.nodes = calloc((size_t)count + 1, sizeof(*m->cluster.nodes));
	m->no_memory = !m->cluster.nodes;
	for (int32_t i = 0; i < count && !in->r.bad && !m->no_memory; i++)
		read_node(in, &m->cluster);
	if (in->version >= 2)
		mr_kin_nullable_string(in); // cluster id
	mr_kin_i32(in);                     // controller
	if (mr_kin_array(in, 7) != 1)
		in->r.bad = true;
	if (!in->r.bad && !m->no_memory)
		read_topic(in, m);
}

int mr_kafka_ask_metadata(
	struct mr_kafka_caller *k, const char *topic, bool create, struct mr_kafka_cluster *out)
{
	struct metadata_ask a = {topic, create};
	struct metadata_answer m = {0};
	int e = ask(k, &(struct question){MR_KEY_METADATA, write_metadata, read_metadata, &a, &m});

	if (e == 0 && m.no_memory) {
		snprintf(k->error, sizeof(k->error), "out of memory");
		e = -ENOMEM;
	}
	if (e < 0) {
		mr_kafka_cluster_fini(&m.cluster);
		return e;
	}
	mr_kafka_cluster_fini(out);
	*out = m.cluster;
	return 0;
}

struct create_ask {
	const char *topic;
	int32_t partitions;
};

static void write_create(struct mr_kout *out, const void *asked)
{
	const struct create_ask *a = asked;

	mr_kout_array(out, 1);
	mr_kout_text(out, a->topic);
	mr_kout_i32(out, a->partitions);
	mr_kout_i16(out, 1);   // replicationFactor
	mr_kout_array(out, 0); // assignments
	mr_kout_array(out, 0); // configs
	mr_kout_tags(out);
	mr_kout_i32(out, 30000); // timeoutMs
	mr_kout_bool(out, false);
}

struct create_answer {
	int16_t error;
	char text[160];
};

static void read_create(struct mr_kin *in, void *answer)
{
	struct create_answer *a = answer;
	struct mr_span text;

	mr_kin_i32(in); // throttleTimeMs
	if (mr_kin_array(in, 2) != 1)
		in->r.bad = true;
	mr_kin_string(in);
	a->error = mr_kin_i16(in);
	text = mr_kin_nullable_string(in);
	snprintf(a->text, sizeof(a->text), "%.*s", (int)text.bytes,
		text.bytes ? (const char *)text.data : "");
	// What follows in later versions tells what we know.
}

int mr_kafka_ask_topic(struct mr_kafka_caller *k, const char *topic, int32_t partitions)
{
	struct create_ask a = {topic, partitions};
	struct create_answer answer = {0};
	int e = ask(k,
		&(struct question){MR_KEY_CREATE_TOPICS, write_create, read_create, &a, &answer});

	if (e < 0 || answer.error == 0 || answer.error == MR_KAFKA_TOPIC_ALREADY_EXISTS)
		return e;
	snprintf(k->error, sizeof(k->error), "cannot create topic %s: %s %s", topic,
		mr_kafka_error_name(answer.error), answer.text);
	return MR_ERR_STOPPED;
}

struct producer_answer {
	int16_t error;
	int64_t id;
	int16_t epoch;
};

static void write_producer(struct mr_kout *out, const void *)
{
	mr_kout_text(out, NULL);     // transactionalId
	mr_kout_i32(out, INT32_MAX); // transactionTimeoutMs
	if (out->version >= 3) {
		mr_kout_i64(out, -1); // producerId
		mr_kout_i16(out, -1); // producerEpoch
	}
}

static void read_producer(struct mr_kin *in, void *answer)
{
	struct producer_answer *a = answer;

	mr_kin_i32(in); // throttleTimeMs
	a->error = mr_kin_i16(in);
	a->id = mr_kin_i64(in);
	a->epoch = mr_kin_i16(in);
}

int mr_kafka_ask_producer_id(struct mr_kafka_caller *k, int64_t *id, int16_t *epoch)
{
	struct producer_answer a = {0};
	int e = ask(k, &(struct question){
			       MR_KEY_INIT_PRODUCER_ID, write_producer, read_producer, NULL, &a});

	if (e < 0)
		return e;
	if (a.error || a.id < 0) {
		snprintf(k->error, sizeof(k->error), "no producer id: %s",
			mr_kafka_error_name(a.error));
		return MR_ERR_STOPPED;
	}
	*id = a.id;
	*epoch = a.epoch;
	return 0;
}
