// Requests: header, dispatch, response.
#include "dataplane/kafka_int.h"

#include <errno.h>
#include <stdlib.h>

const struct mr_kafka_api mr_kafka_apis[MR_KAFKA_API_COUNT] = {
#define X(key, name, min, max, served, flexible, handler, note) \
	{key, min, max, served, flexible, #name, note},
#include "dataplane/kafka_api.def"
#undef X
};

static void (*const handlers[MR_KAFKA_API_COUNT])(struct mr_kafka_call *c) = {
#define X(key, name, min, max, served, flexible, handler, note) mr_kafka_##handler,
#include "dataplane/kafka_api.def"
#undef X
};

const char *mr_kafka_close_text(enum mr_kafka_close why)
{
	static const char *const texts[] = {
#define X(name, text) text,
		MR_KAFKA_CLOSES(X)
#undef X
	};

	MR_ASSERT((size_t)why < MR_COUNT_OF(texts));
	return texts[why];
}

const char *mr_kafka_error_name(int code)
{
	switch (code) {
#define X(name, number, retriable) \
	case number: return #name;
		MR_KAFKA_ERRORS(X)
#undef X
	default: return "OTHER";
	}
}

int mr_kafka_create(struct mr_broker *broker, struct mr_kafka **out)
{
	struct mr_kafka *k = aligned_alloc(MR_CACHELINE, mr_round_up(sizeof(*k), MR_CACHELINE));

	if (!k)
		return -ENOMEM;
	memset(k, 0, sizeof(*k));
	k->broker = broker;
	*out = k;
	return 0;
}

void mr_kafka_destroy(struct mr_kafka *k)
{
	free(k);
}

const struct mr_kafka_stats *mr_kafka_stats(const struct mr_kafka *k)
{
	return &k->stats;
}

void *mr_kafka_alloc(struct mr_kafka_call *c, size_t count, size_t bytes)
{
	void *p = mr_arena_zalloc(&c->rq->arena, count, bytes);

	if (!p)
		c->out_of_memory = c->in.r.bad = true; // ends every loop that reads
	return p;
}

bool mr_kafka_parsed(struct mr_kafka_call *c)
{
	if (c->out_of_memory) {
		mr_kafka_close(c, MR_KAFKA_CLOSE_MEMORY);
		return false;
	}
	if (c->in.r.bad) {
		mr_kafka_close(c, MR_KAFKA_CLOSE_BODY);
		return false;
	}
	MR_KAFKA_COUNT(c, trailing_bytes, mr_read_left(&c->in.r));
	return true;
}

void mr_kafka_silent(struct mr_kafka_call *c)
{
	mr_request_done(c->rq);
}

void mr_kafka_close(struct mr_kafka_call *c, enum mr_kafka_close why)
{
	MR_KAFKA_COUNT(c, closes[why], 1);
	mr_request_close(c->rq, mr_kafka_close_text(why));
}

void mr_kafka_put_error(struct mr_kout *out, struct mr_kafka_call *c, int16_t error)
{
	mr_kout_i16(out, error);
	if (error && !out->again)
		MR_KAFKA_COUNT(c, errors[MR_MIN(MR_MAX(error, 0), MR_KAFKA_ERROR_COUNT - 1)], 1);
}

int16_t mr_kafka_find(const struct mr_kafka_call *c, struct mr_span name, int32_t partition,
	const struct mr_topic **topic)
{
	struct mr_broker *b = c->k->broker;
	const struct mr_topic *t = mr_topics_find(b->ops->topics(b), name);

	*topic = NULL;
	if (!t || partition < 0 || (uint32_t)partition >= t->partitions)
		return MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (mr_topic_owner(t, (uint32_t)partition, b->ops->nodes_count(b)) !=
		(uint32_t)b->ops->node_id(b))
		return MR_KAFKA_NOT_LEADER_OR_FOLLOWER;
	*topic = t;
	return MR_KAFKA_NONE;
}

int16_t mr_kafka_check_epoch(int32_t epoch)
{
	return epoch > 0 ? MR_KAFKA_UNKNOWN_LEADER_EPOCH : MR_KAFKA_NONE;
}

// Writes header and body into `data`, or only counts what that has no room for. The response header
// has tags in flexible versions, except ApiVersions', which a client of any age must be able to
// read (KIP-511).
static void encode_all(struct mr_kafka_call *c, mr_kafka_encode *encode, struct mr_kout *out,
	uint8_t *data, size_t bytes)
{
	out->w = mr_writer(data, bytes);
	out->version = c->in.version;
	out->flexible = c->in.flexible;
	out->cuts_count = 0;
	mr_kout_i32(out, c->correlation_id);
	if (c->api != MR_KAFKA_API_ApiVersions)
		mr_kout_tags(out);
	encode(out, c);
}

// The pieces: our own bytes, cut where attached ones go between.
static size_t add_pieces(struct mr_request *rq, const struct mr_kout *out)
{
	size_t from = 0, total = out->w.at;
	bool ok = true;

	for (uint32_t i = 0; i < out->cuts_count; i++) {
		const struct mr_kout_cut *cut = &out->cuts[i];

		ok &= mr_request_add(rq, out->w.data + from, cut->at - from);
		ok &= mr_request_add(rq, cut->data, cut->bytes);
		from = cut->at;
		total += cut->bytes;
	}
	if (from < out->w.at)
		ok &= mr_request_add(rq, out->w.data + from, out->w.at - from);
	MR_ASSERT(ok); // MR_KOUT_CUTS_MAX keeps within MR_REQUEST_PIECES_MAX
	return total;
}

static_assert(2 * MR_KOUT_CUTS_MAX + 1 <= MR_REQUEST_PIECES_MAX);

// The frame's length is an int32.
static bool is_too_long(const struct mr_kout *out)
{
	size_t bytes = out->w.at;

	for (uint32_t i = 0; i < out->cuts_count; i++)
		bytes += out->cuts[i].bytes;
	return bytes > INT32_MAX;
}

// Most responses are smaller: written once.
#define RESPONSE_SMALL 1024

void mr_kafka_respond(struct mr_kafka_call *c, mr_kafka_encode *encode)
{
	struct mr_kout out;
	size_t bytes = RESPONSE_SMALL;
	uint8_t *data;

	if (c->rq->abandoned) {
		mr_request_done(c->rq);
		return;
	}
	for (out.again = false;; out.again = true) {
		data = mr_request_alloc(c->rq, bytes);
		if (data)
			encode_all(c, encode, &out, data, bytes);
		if (!data || is_too_long(&out)) {
			mr_kafka_close(c, MR_KAFKA_CLOSE_MEMORY);
			return;
		}
		if (!out.w.bad)
			break;
		MR_ASSERT(!out.again);
		bytes = out.w.at;
	}
	MR_KAFKA_COUNT(c, response_bytes, add_pieces(c->rq, &out));
	mr_request_done(c->rq);
}

static const struct mr_kafka_api *find_api(int16_t key)
{
	for (size_t i = 0; i < MR_KAFKA_API_COUNT; i++)
		if (mr_kafka_apis[i].key == key)
			return &mr_kafka_apis[i];
	return NULL;
}

// Version 0's answer to an ApiVersions request that is too new: what we do speak (KIP-511).
static void encode_too_new(struct mr_kout *out, struct mr_kafka_call *c)
{
	const struct mr_kafka_api *api = &mr_kafka_apis[MR_KAFKA_API_ApiVersions];

	mr_kafka_put_error(out, c, MR_KAFKA_UNSUPPORTED_VERSION);
	mr_kout_array(out, 1);
	mr_kout_i16(out, api->key);
	mr_kout_i16(out, api->min);
	mr_kout_i16(out, api->max);
}

static void dispatch(struct mr_kafka_call *c, int16_t key)
{
	const struct mr_kafka_api *api = find_api(key);
	struct mr_kin *in = &c->in;
	struct mr_span client;

	if (in->r.bad || !api) {
		mr_kafka_close(c, in->r.bad ? MR_KAFKA_CLOSE_HEADER : MR_KAFKA_CLOSE_API);
		return;
	}
	c->api = (enum mr_kafka_api_index)(api - mr_kafka_apis);
	MR_KAFKA_COUNT(c, requests[c->api], 1);
	if (in->version < api->served_min || in->version > api->max) {
		if (c->api != MR_KAFKA_API_ApiVersions) {
			mr_kafka_close(c, MR_KAFKA_CLOSE_VERSION);
			return;
		}
		in->version = 0;
		mr_kafka_respond(c, encode_too_new);
		return;
	}
	client = mr_kin_nullable_string(in); // clientId: never compact, even in a flexible header
	in->flexible = in->version >= api->flexible_min;
	mr_kin_tags(in);
	if (client.bytes && !in->r.bad)
		mr_conn_client(c->rq->conn, client);
	if (in->r.bad)
		mr_kafka_close(c, MR_KAFKA_CLOSE_HEADER);
	else
		handlers[c->api](c);
}

static void on_request(void *owner, struct mr_request *rq)
{
	struct mr_kafka_call *c = mr_arena_zalloc(&rq->arena, 1, sizeof(*c));
	int16_t key;

	if (!c) {
		mr_kafka_close(
			&(struct mr_kafka_call){.k = owner, .rq = rq}, MR_KAFKA_CLOSE_MEMORY);
		return;
	}
	c->k = owner;
	c->rq = rq;
	c->in.r = mr_reader(rq->in);
	rq->state = c;
	MR_KAFKA_COUNT(c, request_bytes, rq->in.bytes);
	key = mr_kin_i16(&c->in);
	c->in.version = mr_kin_i16(&c->in);
	c->correlation_id = mr_kin_i32(&c->in);
	dispatch(c, key);
}

struct mr_protocol mr_kafka_protocol(struct mr_kafka *k)
{
	return (struct mr_protocol){k, on_request, MR_KAFKA_REQUEST_BYTES_MAX};
}
