// ListOffsets: the offset of a time, of the first or of the next record.
#include "dataplane/kafka_int.h"

#define TIMESTAMP_LATEST   -1
#define TIMESTAMP_EARLIEST -2
#define TIMESTAMP_MAX      -3 // from version 7 (KIP-734)

struct part {
	int32_t index;
	int64_t timestamp;
	int16_t error; // ours; the broker's is in its own struct
	int32_t at;    // in offsets.parts, when there is no error of ours
};

struct topic {
	struct mr_span name;
	struct part *parts;
	int32_t count;
};

struct offsets {
	struct mr_list_offsets list;
	struct mr_kafka_call *call;
	struct topic *topics;
	int32_t count;
	uint32_t parts_count; // of all topics
};

static void read_topic(struct mr_kafka_call *c, struct offsets *s, struct topic *t)
{
	struct mr_kin *in = &c->in;

	t->name = mr_kin_string(in);
	t->count = mr_kin_array(in, 12);
	t->parts = mr_kafka_alloc(c, (size_t)t->count, sizeof(*t->parts));
	for (int32_t i = 0; i < t->count && !in->r.bad; i++) {
		struct part *p = &t->parts[i];

		p->index = mr_kin_i32(in);
		if (in->version >= 4)
			p->error = mr_kafka_check_epoch(mr_kin_i32(in));
		p->timestamp = mr_kin_i64(in);
		mr_kin_tags(in);
	}
	s->parts_count += (uint32_t)t->count;
	mr_kin_tags(in);
}

static bool read_request(struct mr_kafka_call *c, struct offsets *s)
{
	struct mr_kin *in = &c->in;

	mr_kin_i32(in); // replicaId: there are no followers
	if (in->version >= 2)
		mr_kin_i8(in); // isolationLevel: everything is committed
	s->count = mr_kin_array(in, 3);
	s->topics = mr_kafka_alloc(c, (size_t)s->count, sizeof(*s->topics));
	for (int32_t i = 0; i < s->count && !in->r.bad; i++)
		read_topic(c, s, &s->topics[i]);
	mr_kin_tags(in);
	if (!in->r.bad)
		s->list.parts = mr_kafka_alloc(c, s->parts_count, sizeof(*s->list.parts));
	return mr_kafka_parsed(c);
}

// Adds a partition to the broker's question, or sets its error.
static void ask(struct offsets *s, const struct topic *t, struct part *p)
{
	struct mr_list_offset *l = &s->list.parts[s->list.parts_count];
	int64_t lowest = s->call->in.version >= 7 ? TIMESTAMP_MAX : TIMESTAMP_EARLIEST;

	if (!p->error)
		p->error = mr_kafka_find(s->call, t->name, p->index, &l->topic);
	if (!p->error && p->timestamp < lowest)
		p->error = MR_KAFKA_UNSUPPORTED_VERSION;
	if (p->error)
		return;
	l->partition = (uint32_t)p->index;
	l->timestamp = p->timestamp;
	p->at = (int32_t)s->list.parts_count++;
}

static void put_part(
	struct mr_kout *out, struct mr_kafka_call *c, const struct offsets *s, const struct part *p)
{
	const struct mr_list_offset *l = p->error ? NULL : &s->list.parts[p->at];
	int16_t error = l ? l->error : p->error;

	mr_kout_i32(out, p->index);
	mr_kafka_put_error(out, c, error);
	mr_kout_i64(out, error ? -1 : l->at_timestamp);
	mr_kout_i64(out, error ? -1 : l->offset);
	if (out->version >= 4)
		mr_kout_i32(out, error || l->offset < 0 ? -1 : 0); // leaderEpoch
	mr_kout_tags(out);
}

static void encode_offsets(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct offsets *s = c->state;

	if (out->version >= 2)
		mr_kout_i32(out, 0); // throttleTimeMs
	mr_kout_array(out, s->count);
	for (int32_t i = 0; i < s->count; i++) {
		const struct topic *t = &s->topics[i];

		mr_kout_string(out, t->name);
		mr_kout_array(out, t->count);
		for (int32_t j = 0; j < t->count; j++)
			put_part(out, c, s, &t->parts[j]);
		mr_kout_tags(out);
	}
	mr_kout_tags(out);
}

static void offsets_done(struct mr_list_offsets *l)
{
	mr_kafka_respond(((struct offsets *)l->user)->call, encode_offsets);
}

void mr_kafka_list_offsets(struct mr_kafka_call *c)
{
	struct offsets *s = c->state = mr_kafka_alloc(c, 1, sizeof(*s));
	struct mr_broker *b = c->k->broker;

	if (!s) {
		mr_kafka_parsed(c); // closes
		return;
	}
	s->call = c;
	if (!read_request(c, s))
		return;
	for (int32_t i = 0; i < s->count; i++)
		for (int32_t j = 0; j < s->topics[i].count; j++)
			ask(s, &s->topics[i], &s->topics[i].parts[j]);
	s->list.request = c->rq;
	s->list.done = offsets_done;
	s->list.user = s;
	if (s->list.parts_count > 0)
		b->ops->list_offsets(b, &s->list);
	else
		offsets_done(&s->list);
}
