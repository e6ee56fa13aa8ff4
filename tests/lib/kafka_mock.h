// What lies below and above the Kafka layer, for its tests: requests without connections
// (request.h) and a broker that keeps batches in memory (broker.h).
//
// It defines the functions of request.h, so exactly one file of a program includes it. All memory
// of a request is freed the moment it is done, so that a sanitizer sees a late use. With `park` set
// the broker keeps every question until mock_unpark, in either order.
#pragma once

#include "dataplane/batch.h"
#include "dataplane/kafka.h"
#include "host/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	MOCK_TOPICS_MAX = 64,
	MOCK_BATCHES_MAX = 64,
	MOCK_ALLOCS_MAX = 128,
	MOCK_PARKED_MAX = 8192,
	MOCK_REQUEST_BYTES_MAX = 64 << 20,
};

struct mock_batch {
	int64_t base;
	size_t at;
	size_t bytes;
};

struct mock_part {
	struct mr_buf log;
	int64_t next;
	int batches_count;
	struct mock_batch *batches; // MOCK_BATCHES_MAX, from the first append on
};

struct mock_topic {
	struct mr_topic topic;
	char name[MR_TOPIC_NAME_MAX + 1];
	struct mock_part *parts;
};

struct mock_parked {
	void (*run)(void *question);
	void *question;
};

struct mock {
	struct mr_broker broker; // first: a broker is cast back to its mock
	struct mr_kafka *kafka;
	struct mr_topics topics;
	struct mr_sorted *by_name, *by_id;
	struct mock_topic *all[MOCK_TOPICS_MAX];
	uint64_t topics_made;
	int64_t producers_made;
	uint32_t nodes;
	int32_t node_id;
	bool auto_create_off;
	int16_t append_error; // what every append says, when not 0
	int32_t append_bad_record;
	const char *append_message;
	bool park;
	struct mock_parked parked[MOCK_PARKED_MAX];
	int parked_count;
	size_t memory_left; // of the next requests
	// what happened
	struct mr_buf calls;    // one line per question to the broker
	struct mr_buf response; // of the request that was done last, without its length
	int answered;
	int closed;
	int silent;
	const char *close_reason;
};

struct mr_conn {
	struct mock *mock;
};

struct mock_request {
	struct mr_request rq;
	struct mr_conn conn;
	void *allocs[MOCK_ALLOCS_MAX];
	int allocs_count;
	struct mr_span pieces[MR_REQUEST_PIECES_MAX];
	int pieces_count;
	uint8_t *in;
};

static struct mock_request *mock_request_of(struct mr_request *rq)
{
	return MR_CONTAINER(rq, struct mock_request, rq);
}

uint8_t *mr_request_alloc(struct mr_request *rq, size_t bytes)
{
	struct mock_request *m = mock_request_of(rq);
	void *p;

	if (m->allocs_count == MOCK_ALLOCS_MAX || bytes > m->conn.mock->memory_left)
		return NULL;
	m->conn.mock->memory_left -= bytes;
	p = aligned_alloc(64, mr_round_up(MR_MAX(bytes, (size_t)1), 64));
	m->allocs[m->allocs_count++] = p;
	return p;
}

bool mr_request_add(struct mr_request *rq, const void *data, size_t bytes)
{
	struct mock_request *m = mock_request_of(rq);

	if (m->pieces_count == MR_REQUEST_PIECES_MAX)
		return false;
	m->pieces[m->pieces_count++] = mr_span(data, bytes);
	return true;
}

static void mock_request_free(struct mock_request *m)
{
	for (int i = 0; i < m->allocs_count; i++)
		free(m->allocs[i]);
	mr_arena_fini(&m->rq.arena);
	free(m->in);
	free(m);
}

void mr_request_done(struct mr_request *rq)
{
	struct mock_request *m = mock_request_of(rq);
	struct mock *k = m->conn.mock;

	mr_buf_reset(&k->response);
	for (int i = 0; i < m->pieces_count; i++)
		mr_buf_add(&k->response, m->pieces[i].data, m->pieces[i].bytes);
	k->answered += m->pieces_count > 0;
	k->silent += m->pieces_count == 0;
	mock_request_free(m);
}

void mr_request_close(struct mr_request *rq, const char *why)
{
	struct mock_request *m = mock_request_of(rq);

	m->conn.mock->closed++;
	m->conn.mock->close_reason = why;
	mock_request_free(m);
}

void mr_conn_local(const struct mr_conn *, char host[64], uint16_t *port)
{
	strcpy(host, "10.0.0.7");
	*port = 9092;
}

void mr_conn_client(struct mr_conn *, struct mr_span)
{
}

void mr_conn_peer(const struct mr_conn *, char text[72])
{
	strcpy(text, "10.0.0.8:4711");
}

static struct mock *mock_of(struct mr_broker *b)
{
	return (struct mock *)(void *)b;
}

static void mock_ask(struct mock *m, void (*run)(void *), void *question)
{
	if (!m->park || m->parked_count == MOCK_PARKED_MAX) {
		run(question);
		return;
	}
	m->parked[m->parked_count++] = (struct mock_parked){run, question};
}

// Answers what was parked so far; what an answer brings up is answered in turn.
static inline void mock_unpark(struct mock *m, bool newest_first)
{
	while (m->parked_count > 0) {
		struct mock_parked p = m->parked[newest_first ? m->parked_count - 1 : 0];

		m->parked_count--;
		if (!newest_first)
			memmove(m->parked, m->parked + 1,
				(size_t)m->parked_count * sizeof(m->parked[0]));
		p.run(p.question);
	}
}

static const struct mr_topics *mock_topics(struct mr_broker *b)
{
	return &mock_of(b)->topics;
}

static void mock_node(struct mr_broker *, uint32_t index, const char *local_host,
	uint16_t local_port, struct mr_broker_node *out)
{
	out->id = (int32_t)index;
	out->port = (uint16_t)(local_port + index);
	snprintf(out->host, sizeof(out->host), "%s", local_host);
}

static uint32_t mock_nodes_count(struct mr_broker *b)
{
	return mock_of(b)->nodes;
}

static int32_t mock_node_id(struct mr_broker *b)
{
	return mock_of(b)->node_id;
}

static struct mr_span mock_cluster_id(struct mr_broker *)
{
	return mr_span_str("abcdefghijklmnopqrstuv");
}

static bool mock_auto_create(struct mr_broker *b)
{
	return !mock_of(b)->auto_create_off;
}

static struct mr_topic_config mock_topic_defaults(struct mr_broker *)
{
	return (struct mr_topic_config){
		.retention_ms = 604800000,
		.retention_bytes = -1,
		.message_bytes_max = 1048588,
	};
}

static struct mock_topic *mock_find(struct mock *m, struct mr_span name)
{
	for (size_t i = 0; i < m->topics.count; i++)
		if (mr_span_eq(m->all[i]->topic.name, name))
			return m->all[i];
	return NULL;
}

static void mock_unpublish(struct mock *m)
{
	mr_sorted_put(m->by_name);
	mr_sorted_put(m->by_id);
}

static void mock_publish(struct mock *m)
{
	static const struct mr_sorted_form by_name = {mr_topic_compare_names, NULL, NULL};
	static const struct mr_sorted_form by_id = {mr_topic_compare_ids, NULL, NULL};

	// Insertion sort by name: the snapshot is a few topics.
	for (size_t i = 1; i < m->topics.count; i++)
		for (size_t j = i;
			j > 0 && mr_span_cmp(m->all[j]->topic.name, m->all[j - 1]->topic.name) < 0;
			j--) {
			struct mock_topic *t = m->all[j];

			m->all[j] = m->all[j - 1];
			m->all[j - 1] = t;
		}
	mock_unpublish(m);
	m->topics.by_name = m->by_name = mr_sorted_create(&by_name);
	m->topics.by_id = m->by_id = mr_sorted_create(&by_id);
	for (size_t i = 0; i < m->topics.count; i++) {
		mr_sorted_add(&m->by_name, &m->all[i]->topic);
		mr_sorted_add(&m->by_id, &m->all[i]->topic);
	}
	m->topics.version++;
}

static struct mock_topic *mock_topic_make(
	struct mock *m, struct mr_span name, uint32_t partitions, struct mr_topic_config config)
{
	struct mock_topic *t = calloc(1, sizeof(*t));

	memcpy(t->name, name.data, name.bytes);
	t->topic.name = mr_span(t->name, name.bytes);
	t->topic.number = ++m->topics_made;
	t->topic.partitions = partitions;
	t->topic.config = config;
	memset(t->topic.id.b, (int)m->topics_made, sizeof(t->topic.id.b));
	t->parts = calloc(partitions, sizeof(*t->parts));
	m->all[m->topics.count++] = t;
	mock_publish(m);
	return t;
}

static void mock_topic_free(struct mock_topic *t)
{
	for (uint32_t i = 0; i < t->topic.partitions; i++) {
		mr_buf_fini(&t->parts[i].log);
		free(t->parts[i].batches);
	}
	free(t->parts);
	free(t);
}

static void mock_append_run(void *question)
{
	struct mr_append *a = question;
	struct mock *m = a->wait[0];
	struct mock_topic *t = mock_find(m, mr_span_str((const char *)a->wait[1]));
	enum mr_batch_fault f;
	struct mock_part *p;
	struct mr_batch b;

	free(a->wait[1]);
	a->log_append_time_ms = -1;
	a->bad_record = -1;
	if (!t || a->partition >= t->topic.partitions || m->append_error) {
		a->error = t ? m->append_error : MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		a->bad_record = m->append_bad_record;
		a->message = m->append_message;
		a->done(a);
		return;
	}
	p = &t->parts[a->partition];
	f = mr_batch_check(a->batch, &b);
	if (f || p->batches_count == MOCK_BATCHES_MAX) {
		a->error = f ? mr_batch_fault_kafka(f) : MR_KAFKA_KAFKA_STORAGE_ERROR;
		a->message = f ? mr_batch_fault_text(f) : NULL;
		a->done(a);
		return;
	}
	if (!p->batches)
		p->batches = calloc(MOCK_BATCHES_MAX, sizeof(*p->batches));
	a->base_offset = p->next;
	p->batches[p->batches_count].base = p->next;
	p->batches[p->batches_count].at = p->log.bytes;
	p->batches[p->batches_count++].bytes = b.bytes;
	mr_buf_add(&p->log, a->batch.data, a->batch.bytes);
	mr_batch_patch(p->log.data + p->log.bytes - b.bytes, p->next, 0);
	p->next += b.count;
	a->done(a);
}

static void mock_append(struct mr_broker *b, struct mr_append *a)
{
	struct mock *m = mock_of(b);

	mr_buf_printf(&m->calls, "append %.*s/%u bytes=%zu skip=%d\n", (int)a->topic->name.bytes,
		(const char *)a->topic->name.data, a->partition, a->batch.bytes, a->may_skip_done);
	MR_ASSERT(a->partition < a->topic->partitions);
	a->wait[0] = m;
	a->wait[1] = strndup((const char *)a->topic->name.data, a->topic->name.bytes);
	mock_ask(m, mock_append_run, a);
}

// NULL when the topic was deleted while the question was parked.
static struct mock_topic *mock_alive(struct mock *m, const struct mr_topic *topic)
{
	for (size_t i = 0; i < m->topics.count; i++)
		if (&m->all[i]->topic == topic)
			return m->all[i];
	return NULL;
}

static void mock_fetch_part(struct mock *m, struct mr_fetch *f, struct mr_fetch_part *p)
{
	struct mock_topic *t = mock_alive(m, p->topic);
	struct mock_part *log;
	size_t from = SIZE_MAX, to = 0;

	if (!t) {
		p->error = MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	MR_ASSERT(p->partition < t->topic.partitions);
	log = &t->parts[p->partition];
	p->high_watermark = log->next;
	if (p->offset < 0 || p->offset > log->next) {
		p->error = MR_KAFKA_OFFSET_OUT_OF_RANGE;
		return;
	}
	for (int i = 0; i < log->batches_count; i++) {
		int64_t end = i + 1 < log->batches_count ? log->batches[i + 1].base : log->next;
		size_t bytes = log->batches[i].at + log->batches[i].bytes;

		if (end <= p->offset || (from != SIZE_MAX && bytes - from > (size_t)p->bytes_max))
			continue;
		from = MR_MIN(from, log->batches[i].at);
		to = bytes;
	}
	if (to > 0) {
		uint8_t *data = mr_request_alloc(f->request, to - from);

		if (!data)
			return;
		memcpy(data, log->log.data + from, to - from);
		p->records = data;
		p->records_bytes = to - from;
	}
}

static void mock_fetch_run(void *question)
{
	struct mr_fetch *f = question;

	for (uint32_t i = 0; i < f->parts_count; i++)
		if (f->parts[i].topic && !f->request->abandoned)
			mock_fetch_part(mock_of(f->wait[0]), f, &f->parts[i]);
	f->done(f);
}

static void mock_fetch(struct mr_broker *b, struct mr_fetch *f)
{
	struct mock *m = mock_of(b);

	mr_buf_printf(&m->calls, "fetch wait_ms=%d min=%d max=%d\n", f->wait_ms_max, f->bytes_min,
		f->bytes_max);
	for (uint32_t i = 0; i < f->parts_count; i++) {
		const struct mr_fetch_part *p = &f->parts[i];

		if (!p->topic) {
			mr_buf_printf(&m->calls, "  refused error=%d\n", p->error);
			continue;
		}
		mr_buf_printf(&m->calls, "  %.*s/%u offset=%lld max=%d\n",
			(int)p->topic->name.bytes, (const char *)p->topic->name.data, p->partition,
			(long long)p->offset, p->bytes_max);
	}
	f->wait[0] = m;
	mock_ask(m, mock_fetch_run, f);
}

static void mock_fetch_cancel(struct mr_broker *b, struct mr_fetch *f)
{
	struct mock *m = mock_of(b);
	int at = 0;

	mr_buf_str(&m->calls, "fetch_cancel\n");
	while (at < m->parked_count && m->parked[at].question != f)
		at++;
	MR_ASSERT(at < m->parked_count); // only what waits is cancelled
	m->parked[at] = m->parked[--m->parked_count];
	f->done(f);
}

static void mock_list_run(void *question)
{
	struct mr_list_offsets *l = question;
	struct mock *m = l->wait[0];

	for (uint32_t i = 0; i < l->parts_count; i++) {
		struct mr_list_offset *p = &l->parts[i];
		struct mock_topic *t = mock_alive(m, p->topic);

		if (!t) {
			p->error = MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
			continue;
		}
		MR_ASSERT(p->partition < t->topic.partitions);
		p->at_timestamp = -1;
		p->offset = p->timestamp == -1 ? t->parts[p->partition].next
			    : p->timestamp < 0 ? 0
					       : -1;
	}
	l->done(l);
}

static void mock_list_offsets(struct mr_broker *b, struct mr_list_offsets *l)
{
	struct mock *m = mock_of(b);

	for (uint32_t i = 0; i < l->parts_count; i++)
		mr_buf_printf(&m->calls, "list_offsets %.*s/%u timestamp=%lld\n",
			(int)l->parts[i].topic->name.bytes,
			(const char *)l->parts[i].topic->name.data, l->parts[i].partition,
			(long long)l->parts[i].timestamp);
	l->wait[0] = m;
	mock_ask(m, mock_list_run, l);
}

static void mock_create(struct mock *m, struct mr_admin *a)
{
	uint32_t partitions = a->partitions ? a->partitions : 2;

	if (mock_find(m, a->name)) {
		a->error = MR_KAFKA_TOPIC_ALREADY_EXISTS;
		snprintf(a->message, sizeof(a->message), "there is a topic of this name");
		return;
	}
	if (m->topics.count == MOCK_TOPICS_MAX) {
		a->error = MR_KAFKA_POLICY_VIOLATION;
		return;
	}
	a->partitions_now = partitions;
	if (!a->validate_only)
		a->topic_id = mock_topic_make(m, a->name, partitions, a->config)->topic.id;
}

static void mock_delete(struct mock *m, struct mr_admin *a)
{
	struct mock_topic *t = mock_find(m, a->name);
	size_t i = 0;

	if (!t) {
		a->error = MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	while (m->all[i] != t)
		i++;
	m->all[i] = m->all[--m->topics.count];
	mock_topic_free(t);
	mock_publish(m);
}

static void mock_add(struct mock *m, struct mr_admin *a)
{
	struct mock_topic *t = mock_find(m, a->name);
	uint32_t before = t ? t->topic.partitions : 0;

	if (!t)
		a->error = MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	else if (a->partitions <= before)
		a->error = MR_KAFKA_INVALID_PARTITIONS;
	if (a->error || a->validate_only)
		return;
	t->parts = realloc(t->parts, a->partitions * sizeof(*t->parts));
	memset(t->parts + before, 0, (a->partitions - before) * sizeof(*t->parts));
	t->topic.partitions = a->partitions;
}

static void mock_admin_run(void *question)
{
	struct mr_admin *a = question;

	switch (a->kind) {
	case MR_ADMIN_CREATE: mock_create(mock_of(a->broker), a); break;
	case MR_ADMIN_DELETE: mock_delete(mock_of(a->broker), a); break;
	case MR_ADMIN_ADD_PARTITIONS: mock_add(mock_of(a->broker), a); break;
	}
	a->done(a);
}

static void mock_admin(struct mr_broker *b, struct mr_admin *a)
{
	static const char *const kinds[] = {"create", "delete", "add"};
	struct mock *m = mock_of(b);

	mr_buf_printf(&m->calls, "%s %.*s", kinds[a->kind], (int)a->name.bytes,
		(const char *)a->name.data);
	if (a->kind != MR_ADMIN_DELETE)
		mr_buf_printf(&m->calls, " partitions=%u validate_only=%d", a->partitions,
			a->validate_only);
	if (a->kind == MR_ADMIN_CREATE)
		mr_buf_printf(&m->calls,
			" automatic=%d retention_ms=%lld retention_bytes=%lld max=%d compact=%d "
			"append_time=%d",
			a->automatic, (long long)a->config.retention_ms,
			(long long)a->config.retention_bytes, a->config.message_bytes_max,
			a->config.cleanup_compact, a->config.timestamp_log_append);
	mr_buf_str(&m->calls, "\n");
	MR_ASSERT(a->broker == b);
	mock_ask(m, mock_admin_run, a);
}

static void mock_producer_run(void *question)
{
	struct mr_producer_init *p = question;

	p->producer_id = 1000 + mock_of(p->broker)->producers_made++;
	p->done(p);
}

static void mock_producer_init(struct mr_broker *b, struct mr_producer_init *p)
{
	mr_buf_str(&mock_of(b)->calls, "producer_init\n");
	mock_ask(mock_of(b), mock_producer_run, p);
}

static const struct mr_broker_ops mock_ops = {
	.topics = mock_topics,
	.node = mock_node,
	.nodes_count = mock_nodes_count,
	.node_id = mock_node_id,
	.cluster_id = mock_cluster_id,
	.auto_create = mock_auto_create,
	.topic_defaults = mock_topic_defaults,
	.append = mock_append,
	.fetch = mock_fetch,
	.fetch_cancel = mock_fetch_cancel,
	.list_offsets = mock_list_offsets,
	.admin = mock_admin,
	.producer_init = mock_producer_init,
};

// One node; a topic "t" of two partitions and a topic "u" of one.
static struct mock *mock_create_all(void)
{
	struct mock *m = calloc(1, sizeof(*m));

	m->broker.ops = &mock_ops;
	m->nodes = 1;
	m->memory_left = SIZE_MAX;
	m->append_bad_record = -1;
	mock_publish(m);
	mock_topic_make(m, mr_span_str("t"), 2, mock_topic_defaults(&m->broker));
	mock_topic_make(m, mr_span_str("u"), 1, mock_topic_defaults(&m->broker));
	if (mr_kafka_create(&m->broker, &m->kafka))
		abort();
	return m;
}

static void mock_destroy_all(struct mock *m)
{
	for (size_t i = 0; i < m->topics.count; i++)
		mock_topic_free(m->all[i]);
	mock_unpublish(m);
	mr_buf_fini(&m->calls);
	mr_buf_fini(&m->response);
	mr_kafka_destroy(m->kafka);
	free(m);
}

// Hands in one request. The result is NULL when it is done already, else it waits.
static struct mock_request *mock_send(struct mock *m, struct mr_span frame)
{
	struct mr_protocol p = mr_kafka_protocol(m->kafka);
	struct mock_request *r = calloc(1, sizeof(*r));
	int before = m->answered + m->closed + m->silent;

	r->conn.mock = m;
	r->in = malloc(MR_MAX(frame.bytes, (size_t)1));
	if (frame.bytes)
		memcpy(r->in, frame.data, frame.bytes);
	r->rq.conn = &r->conn;
	r->rq.in = mr_span(r->in, frame.bytes);
	mr_arena_init(&r->rq.arena, MOCK_REQUEST_BYTES_MAX);
	p.request(p.owner, &r->rq);
	return before == m->answered + m->closed + m->silent ? r : NULL;
}
