// Fetch: record batches out, without copying them.
//
// Sessions (KIP-227) are never made: the answer to a request that asks for one carries session id
// 0, which tells the client to send full requests for ever. A request that names one is told that
// it is not known.
#include "dataplane/batch.h"
#include "dataplane/kafka_int.h"

// KIP-110: clients below this version cannot read zstd.
#define VERSION_ZSTD_MIN 10

struct topic {
	struct mr_span name;
	int32_t first; // in the arrays of partitions
	int32_t count;
};

struct fetch {
	struct mr_fetch fetch;
	struct mr_kafka_call *call;
	int16_t error; // of the whole request
	struct topic *topics;
	int32_t topics_count;
	int32_t parts_room;
	int32_t *indexes; // of partitions, as asked; parallel to fetch.parts
};

#define PART_BYTES_MIN 16

// Grows the arrays of partitions for `count` more. They double, so what an arena cannot give back
// is never more than what is in use.
static bool more_parts(struct mr_kafka_call *c, struct fetch *f, int32_t count)
{
	int64_t need = (int64_t)f->fetch.parts_count + count;
	int32_t room = (int32_t)MR_MIN(MR_MAX(need, 2 * (int64_t)f->parts_room), INT32_MAX);
	struct mr_fetch_part *parts;
	int32_t *indexes;

	if (need <= f->parts_room)
		return true;
	parts = mr_kafka_alloc(c, (size_t)room, sizeof(*parts));
	indexes = mr_kafka_alloc(c, (size_t)room, sizeof(*indexes));
	if (!parts || !indexes)
		return false;
	if (f->fetch.parts_count) {
		memcpy(parts, f->fetch.parts, f->fetch.parts_count * sizeof(*parts));
		memcpy(indexes, f->indexes, f->fetch.parts_count * sizeof(*indexes));
	}
	f->fetch.parts = parts;
	f->indexes = indexes;
	f->parts_room = room;
	return true;
}

static int32_t at_least_0(int32_t n)
{
	return MR_MAX(n, 0);
}

static void read_part(struct mr_kafka_call *c, struct fetch *f, struct mr_span name)
{
	struct mr_kin *in = &c->in;
	struct mr_fetch_part *p = &f->fetch.parts[f->fetch.parts_count];
	int32_t index = mr_kin_i32(in);
	int32_t epoch = in->version >= 9 ? mr_kin_i32(in) : -1;

	p->offset = mr_kin_i64(in);
	if (in->version >= 12)
		mr_kin_i32(in); // lastFetchedEpoch
	if (in->version >= 5)
		mr_kin_i64(in); // logStartOffset: of followers
	p->bytes_max = at_least_0(mr_kin_i32(in));
	mr_kin_tags(in);
	if (in->r.bad)
		return;
	p->error = mr_kafka_find(c, name, index, &p->topic);
	if (!p->error)
		p->error = mr_kafka_check_epoch(epoch);
	if (p->error)
		p->topic = NULL;
	p->partition = (uint32_t)index;
	f->indexes[f->fetch.parts_count++] = index;
}

static void read_topic(struct mr_kafka_call *c, struct fetch *f, struct topic *t)
{
	struct mr_kin *in = &c->in;

	t->name = mr_kin_string(in);
	t->first = (int32_t)f->fetch.parts_count;
	t->count = mr_kin_array(in, PART_BYTES_MIN);
	if (!more_parts(c, f, t->count))
		return;
	for (int32_t i = 0; i < t->count && !in->r.bad; i++)
		read_part(c, f, t->name);
	mr_kin_tags(in);
}

// forgottenTopicsData: what a session should leave out; there are none.
static void skip_forgotten(struct mr_kin *in)
{
	int32_t count = mr_kin_array(in, 3);

	for (int32_t i = 0; i < count && !in->r.bad; i++) {
		int32_t parts;

		mr_kin_string(in);
		parts = mr_kin_array(in, 4);
		mr_read_bytes(&in->r, (size_t)parts * 4);
		mr_kin_tags(in);
	}
}

static bool read_request(struct mr_kafka_call *c, struct fetch *f)
{
	struct mr_kin *in = &c->in;

	mr_kin_i32(in); // replicaId: there are no followers
	f->fetch.wait_ms_max = at_least_0(mr_kin_i32(in));
	f->fetch.bytes_min = at_least_0(mr_kin_i32(in));
	f->fetch.bytes_max = at_least_0(mr_kin_i32(in));
	f->fetch.bytes_max = MR_MIN(f->fetch.bytes_max, MR_KAFKA_FETCH_BYTES_MAX);
	mr_kin_i8(in); // isolationLevel: everything is committed
	if (in->version >= 7) {
		if (mr_kin_i32(in) != 0) // sessionId
			f->error = MR_KAFKA_FETCH_SESSION_ID_NOT_FOUND;
		mr_kin_i32(in); // sessionEpoch
	}
	f->topics_count = mr_kin_array(in, 3);
	f->topics = mr_kafka_alloc(c, (size_t)f->topics_count, sizeof(*f->topics));
	for (int32_t i = 0; i < f->topics_count && !in->r.bad; i++)
		read_topic(c, f, &f->topics[i]);
	if (in->version >= 7)
		skip_forgotten(in);
	if (in->version >= 11)
		mr_kin_string(in); // rackId
	mr_kin_tags(in);
	return mr_kafka_parsed(c);
}

static void put_part(struct mr_kout *out, struct mr_kafka_call *c, const struct fetch *f, int32_t i)
{
	const struct mr_fetch_part *p = &f->fetch.parts[i];
	int64_t end = p->error ? -1 : p->high_watermark;

	mr_kout_i32(out, f->indexes[i]);
	mr_kafka_put_error(out, c, p->error);
	mr_kout_i64(out, end); // highWatermark
	mr_kout_i64(out, end); // lastStableOffset
	if (out->version >= 5)
		mr_kout_i64(out, p->error ? -1 : p->log_start_offset);
	mr_kout_array(out, 0); // abortedTransactions
	if (out->version >= 11)
		mr_kout_i32(out, -1); // preferredReadReplica
	mr_kout_records(out, p->records, p->error ? 0 : p->records_bytes);
	mr_kout_tags(out);
	if (!out->again && !p->error)
		MR_KAFKA_COUNT(c, fetched_bytes, p->records_bytes);
}

static void encode_fetch(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct fetch *f = c->state;
	int32_t topics_count = f->error ? 0 : f->topics_count;

	mr_kout_i32(out, 0); // throttleTimeMs
	if (out->version >= 7) {
		mr_kafka_put_error(out, c, f->error);
		mr_kout_i32(out, 0); // sessionId
	}
	mr_kout_array(out, topics_count);
	for (int32_t i = 0; i < topics_count; i++) {
		const struct topic *t = &f->topics[i];

		mr_kout_string(out, t->name);
		mr_kout_array(out, t->count);
		for (int32_t j = 0; j < t->count; j++)
			put_part(out, c, f, t->first + j);
		mr_kout_tags(out);
	}
	mr_kout_tags(out);
}

static bool has_zstd(struct mr_span records)
{
	struct mr_batch b;

	// The last batch may be cut off: then it is not read.
	while (mr_batch_read(records, &b) == MR_BATCH_FAULT_NONE) {
		if (mr_batch_codec(&b) == MR_CODEC_ZSTD)
			return true;
		records = mr_span(records.data + b.bytes, records.bytes - b.bytes);
	}
	return false;
}

static void refuse_zstd(struct fetch *f)
{
	for (uint32_t i = 0; i < f->fetch.parts_count; i++) {
		struct mr_fetch_part *p = &f->fetch.parts[i];

		if (!p->error && has_zstd(mr_span(p->records, p->records_bytes)))
			p->error = MR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
	}
}

static void fetch_done(struct mr_fetch *m)
{
	struct fetch *f = m->user;

	if (f->call->in.version < VERSION_ZSTD_MIN && !f->call->rq->abandoned)
		refuse_zstd(f);
	f->call->rq->on_abandon = NULL;
	mr_kafka_respond(f->call, encode_fetch);
}

static void on_abandon(struct mr_request *rq)
{
	struct mr_kafka_call *c = rq->state;
	struct mr_broker *b = c->k->broker;

	b->ops->fetch_cancel(b, &((struct fetch *)c->state)->fetch);
}

// An error is told at once, as Kafka does, not after waiting for the other partitions.
static bool any_error(const struct fetch *f)
{
	for (uint32_t i = 0; i < f->fetch.parts_count; i++)
		if (f->fetch.parts[i].error)
			return true;
	return false;
}

void mr_kafka_fetch(struct mr_kafka_call *c)
{
	struct fetch *f = c->state = mr_kafka_alloc(c, 1, sizeof(*f));
	struct mr_broker *b = c->k->broker;

	if (!f) {
		mr_kafka_parsed(c); // closes
		return;
	}
	f->call = c;
	if (!read_request(c, f))
		return;
	if (f->error || f->fetch.parts_count == 0) {
		mr_kafka_respond(c, encode_fetch);
		return;
	}
	if (any_error(f))
		f->fetch.wait_ms_max = 0;
	f->fetch.request = c->rq;
	f->fetch.done = fetch_done;
	f->fetch.user = f;
	c->rq->on_abandon = on_abandon;
	b->ops->fetch(b, &f->fetch);
}
