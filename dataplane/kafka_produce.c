// Produce: one append per partition; the answer leaves when all of them are done.
//
// The batches stay where the connection put them, and the broker looks into them. With acks=0
// nothing is answered, and an error closes the connection, because there is no other way to tell.
#include "dataplane/batch.h"
#include "dataplane/kafka_int.h"

// KIP-110: only clients from this version on know zstd, for here they also read it.
#define VERSION_ZSTD_MIN 7

struct part {
	struct mr_append append; // its `error` and offsets are the answer's, whoever set them
	int32_t index;           // as asked
};

struct topic {
	struct mr_span name;
	struct part *parts;
	int32_t count;
};

struct produce {
	struct mr_kafka_call *call;
	int16_t acks;
	int32_t timeout_ms;
	bool transactional;
	struct topic *topics;
	int32_t count;
	int32_t pending; // appends under way, and one for the loop that starts them
};

static void read_topic(struct mr_kafka_call *c, struct topic *t)
{
	struct mr_kin *in = &c->in;

	t->name = mr_kin_string(in);
	t->count = mr_kin_array(in, 5);
	t->parts = mr_kafka_alloc(c, (size_t)t->count, sizeof(*t->parts));
	for (int32_t i = 0; i < t->count && !in->r.bad; i++) {
		struct part *p = &t->parts[i];

		p->index = mr_kin_i32(in);
		p->append.batch = mr_kin_nullable_bytes(in);
		mr_kin_tags(in);
	}
	mr_kin_tags(in);
}

static bool read_request(struct mr_kafka_call *c, struct produce *s)
{
	struct mr_kin *in = &c->in;

	s->transactional = mr_kin_nullable_string(in).data != NULL;
	s->acks = mr_kin_i16(in);
	s->timeout_ms = mr_kin_i32(in);
	s->count = mr_kin_array(in, 3);
	s->topics = mr_kafka_alloc(c, (size_t)s->count, sizeof(*s->topics));
	for (int32_t i = 0; i < s->count && !in->r.bad; i++)
		read_topic(c, &s->topics[i]);
	mr_kin_tags(in);
	return mr_kafka_parsed(c);
}

// From version 8: which record was bad, and why.
static void put_record_error(struct mr_kout *out, const struct mr_append *a)
{
	bool one = a->error && a->bad_record >= 0;

	mr_kout_array(out, one);
	if (one) {
		mr_kout_i32(out, a->bad_record);
		mr_kout_text(out, a->message);
		mr_kout_tags(out);
	}
	mr_kout_text(out, a->error ? a->message : NULL);
}

static void put_part(struct mr_kout *out, struct mr_kafka_call *c, const struct part *p)
{
	const struct mr_append *a = &p->append;

	mr_kout_i32(out, p->index);
	mr_kafka_put_error(out, c, a->error);
	mr_kout_i64(out, a->error ? -1 : a->base_offset);
	mr_kout_i64(out, a->error ? -1 : a->log_append_time_ms);
	if (out->version >= 5)
		mr_kout_i64(out, a->error ? -1 : a->log_start_offset);
	if (out->version >= 8)
		put_record_error(out, a);
	mr_kout_tags(out);
}

static void encode_produce(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct produce *s = c->state;

	mr_kout_array(out, s->count);
	for (int32_t i = 0; i < s->count; i++) {
		const struct topic *t = &s->topics[i];

		mr_kout_string(out, t->name);
		mr_kout_array(out, t->count);
		for (int32_t j = 0; j < t->count; j++)
			put_part(out, c, &t->parts[j]);
		mr_kout_tags(out);
	}
	mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_tags(out);
}

static bool any_error(const struct produce *s)
{
	for (int32_t i = 0; i < s->count; i++)
		for (int32_t j = 0; j < s->topics[i].count; j++)
			if (s->topics[i].parts[j].append.error)
				return true;
	return false;
}

static void one_less(struct produce *s)
{
	MR_ASSERT(s->pending > 0);
	if (--s->pending > 0)
		return;
	if (s->acks != 0)
		mr_kafka_respond(s->call, encode_produce);
	else if (any_error(s))
		mr_kafka_close(s->call, MR_KAFKA_CLOSE_ACKS_NONE);
	else
		mr_kafka_silent(s->call);
}

static void append_done(struct mr_append *a)
{
	struct produce *s = a->user;

	if (!a->error) {
		MR_KAFKA_COUNT(s->call, produced_batches, 1);
		MR_KAFKA_COUNT(s->call, produced_bytes, a->batch.bytes);
	}
	one_less(s);
}

static void refuse(struct mr_append *a, int16_t error, const char *message)
{
	a->error = error;
	a->message = message;
}

// What is wrong with the whole request is wrong with each of its partitions.
static bool refused(const struct produce *s, struct mr_append *a)
{
	if (s->transactional)
		refuse(a, MR_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
			"transactions are not supported");
	else if (s->acks < -1 || s->acks > 1)
		refuse(a, MR_KAFKA_INVALID_REQUIRED_ACKS, "acks must be -1, 0 or 1");
	return a->error != MR_KAFKA_NONE;
}

static void start_part(struct produce *s, const struct topic *t, struct part *p)
{
	struct mr_broker *b = s->call->k->broker;
	struct mr_append *a = &p->append;

	a->bad_record = -1;
	if (refused(s, a))
		return;
	a->error = mr_kafka_find(s->call, t->name, p->index, &a->topic);
	if (a->error)
		return;
	if (s->call->in.version < VERSION_ZSTD_MIN &&
		mr_batch_span_codec(a->batch) == MR_CODEC_ZSTD) {
		refuse(a, MR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "zstd needs version 7 of Produce");
		return;
	}
	a->partition = (uint32_t)p->index;
	a->may_skip_done = s->acks == 0;
	a->wait_ms_max = s->timeout_ms;
	a->received_ns = s->call->rq->received_ns;
	a->done = append_done;
	a->user = s;
	s->pending++;
	b->ops->append(b, a);
}

// One batch per partition and request, as Kafka has it since version 3. `seen` has a bit for each
// partition.
static void start_topic(struct produce *s, const struct topic *t)
{
	uint64_t seen[MR_TOPIC_PARTITIONS_MAX / 64] = {0};

	for (int32_t i = 0; i < t->count; i++) {
		struct part *p = &t->parts[i];
		uint32_t index = (uint32_t)p->index;
		bool again =
			index < MR_TOPIC_PARTITIONS_MAX && seen[index / 64] >> (index % 64) & 1;

		if (again) {
			p->append.bad_record = -1;
			refuse(&p->append, MR_KAFKA_INVALID_RECORD,
				"one record batch per partition is accepted in a request");
			continue;
		}
		if (index < MR_TOPIC_PARTITIONS_MAX)
			seen[index / 64] |= (uint64_t)1 << (index % 64);
		start_part(s, t, p);
	}
}

void mr_kafka_produce(struct mr_kafka_call *c)
{
	struct produce *s = c->state = mr_kafka_alloc(c, 1, sizeof(*s));

	if (!s) {
		mr_kafka_parsed(c); // closes
		return;
	}
	s->call = c;
	if (!read_request(c, s))
		return;
	s->pending = 1;
	for (int32_t i = 0; i < s->count; i++)
		start_topic(s, &s->topics[i]);
	one_less(s);
}
