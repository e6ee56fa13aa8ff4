// Requests and answers of the wire benchmark.
#include "client/wire_load.h"

#include "client/event_pool.h"
#include "host/base/err.h"

#include <errno.h>
#include <stdlib.h>

enum { PRODUCE = 0, API_VERSIONS = 18, PRODUCE_VERSION = 3, TIMEOUT_MS = 30000 };

static void put_string(struct mr_buf *b, const char *text)
{
	mr_buf_be16(b, (uint16_t)strlen(text));
	mr_buf_str(b, text);
}

// The length goes in front when the request is whole.
static size_t request_begin(struct mr_buf *b, int16_t api, int16_t version)
{
	size_t at = b->bytes;

	mr_buf_be32(b, 0);
	mr_buf_be16(b, (uint16_t)api);
	mr_buf_be16(b, (uint16_t)version);
	mr_buf_be32(b, 0);
	put_string(b, "millrace bench");
	return at;
}

static void request_end(struct mr_buf *b, size_t at)
{
	if (!b->failed)
		mr_store_be32(b->data + at, (uint32_t)(b->bytes - at - 4));
}

static void put_produce(struct mr_buf *b, const struct mr_wire_pool_options *o, uint32_t partition,
	struct mr_span batch)
{
	mr_buf_be16(b, UINT16_MAX); // no transaction
	mr_buf_be16(b, (uint16_t)o->acks);
	mr_buf_be32(b, TIMEOUT_MS);
	mr_buf_be32(b, 1);
	put_string(b, o->topic);
	mr_buf_be32(b, 1);
	mr_buf_be32(b, partition);
	mr_buf_be32(b, (uint32_t)batch.bytes);
	mr_buf_add(b, batch.data, batch.bytes);
}

// As many rows as fill `count` batches, a little over.
static int make_events(const struct mr_wire_pool_options *o, struct mr_event_pool *out)
{
	const struct mr_event_pool_options events = {.seed = o->seed,
		.rows = MR_MAX(o->count * (o->batch_bytes / 200 + 1), (uint64_t)1),
		.batch_bytes = o->batch_bytes,
		.bytes_limit = UINT64_MAX,
		.codec = 0};

	return mr_event_pool_create(&events, out);
}

static int make_requests(
	struct mr_wire_load *l, const struct mr_wire_pool_options *o, size_t *starts)
{
	struct mr_event_pool events = {0};
	int rc = o->request == MR_WIRE_PRODUCE ? make_events(o, &events) : 0;

	if (rc < 0)
		return rc;
	l->requests_count = o->request == MR_WIRE_PRODUCE ? MR_MIN(o->count, events.count) : 1;
	for (uint32_t i = 0; i < l->requests_count; i++) {
		bool produce = o->request == MR_WIRE_PRODUCE;

		starts[i] = request_begin(&l->memory, produce ? PRODUCE : API_VERSIONS,
			produce ? PRODUCE_VERSION : 0);
		if (produce)
			put_produce(&l->memory, o, i % o->partitions,
				mr_span(events.batches[i].batch.data,
					events.batches[i].batch.bytes));
		request_end(&l->memory, starts[i]);
	}
	starts[l->requests_count] = l->memory.bytes;
	if (o->request == MR_WIRE_PRODUCE)
		mr_event_pool_destroy(&events);
	return l->memory.failed ? -ENOMEM : 0;
}

int mr_wire_load_init(struct mr_wire_load *l, const struct mr_wire_pool_options *o, uint32_t depth)
{
	size_t *starts = calloc(o->count + 2, sizeof(*starts));
	int rc = starts ? 0 : -ENOMEM;

	*l = (struct mr_wire_load){.depth = MR_MIN(depth, (uint32_t)MR_WIRE_DEPTH_MAX)};
	if (rc == 0)
		rc = make_requests(l, o, starts);
	// Produce: correlation id, topics, name, partitions, index, error. ApiVersions: correlation
	// id, error.
	l->error_at = o->request == MR_WIRE_PRODUCE ? 4 + 4 + 2 + strlen(o->topic) + 4 + 4 : 4;
	l->requests = calloc(l->requests_count + 1, sizeof(*l->requests));
	if (rc == 0 && !l->requests)
		rc = -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < l->requests_count; i++)
		l->requests[i] = mr_span(l->memory.data + starts[i], starts[i + 1] - starts[i]);
	free(starts);
	return rc;
}

void mr_wire_load_fini(struct mr_wire_load *l)
{
	free(l->requests);
	mr_buf_fini(&l->memory);
	l->requests = NULL;
}

void mr_wire_conn_init(struct mr_wire_conn *c, struct mr_wire_load *l, uint32_t number)
{
	*c = (struct mr_wire_conn){.load = l, .next = number % l->requests_count};
}

bool mr_wire_next(const struct mr_wire_conn *c, struct mr_span *out)
{
	const struct mr_wire_load *l = c->load;
	struct mr_span r = l->requests[c->next];

	if (c->at == 0 && (l->stopping || c->outstanding == l->depth))
		return false;
	*out = mr_span(r.data + c->at, r.bytes - c->at);
	return true;
}

void mr_wire_sent(struct mr_wire_conn *c, size_t bytes, int64_t now_ns)
{
	struct mr_wire_load *l = c->load;
	uint32_t slot = (c->oldest + c->outstanding - (c->at ? 1 : 0)) % MR_WIRE_DEPTH_MAX;

	if (bytes == 0)
		return;
	if (c->at == 0) {
		c->sent[slot].ns = now_ns;
		c->sent[slot].bytes = (uint32_t)l->requests[c->next].bytes;
		c->outstanding++;
		l->requests_sent++;
	}
	c->at += bytes;
	if (c->at < l->requests[c->next].bytes)
		return;
	c->at = 0;
	c->next = (c->next + 1) % l->requests_count;
}

static void answered(struct mr_wire_conn *c, int64_t now_ns)
{
	struct mr_wire_load *l = c->load;
	uint32_t kept = c->answer_got - 4;

	if (kept >= l->error_at + 2) {
		int16_t error = (int16_t)mr_load_be16(c->answer + 4 + l->error_at);

		l->errors += error != 0;
		l->error = error ? error : l->error;
	}
	mr_hist_record(&l->latency, (uint64_t)MR_MAX(now_ns - c->sent[c->oldest].ns, 0));
	l->requests_answered++;
	l->bytes_answered += c->sent[c->oldest].bytes;
	c->oldest = (c->oldest + 1) % MR_WIRE_DEPTH_MAX;
	c->outstanding--;
	c->answer_got = 0;
}

// Takes the length. Returns the bytes it took.
static size_t take_length(struct mr_wire_conn *c, struct mr_span in)
{
	size_t n = MR_MIN(in.bytes, (size_t)4 - c->answer_got);

	memcpy(c->answer + c->answer_got, in.data, n);
	c->answer_got += (uint32_t)n;
	if (c->answer_got == 4)
		c->answer_left = mr_load_be32(c->answer);
	return n;
}

static size_t take_body(struct mr_wire_conn *c, struct mr_span in)
{
	size_t n = (size_t)MR_MIN((uint64_t)in.bytes, c->answer_left);
	size_t kept = MR_MIN(n, sizeof(c->answer) - c->answer_got);

	memcpy(c->answer + c->answer_got, in.data, kept);
	c->answer_got += (uint32_t)kept;
	c->answer_left -= n;
	return n;
}

int mr_wire_received(struct mr_wire_conn *c, struct mr_span bytes, int64_t now_ns)
{
	while (bytes.bytes) {
		size_t n = c->answer_got < 4 ? take_length(c, bytes) : take_body(c, bytes);

		bytes = mr_span(bytes.data + n, bytes.bytes - n);
		if (c->answer_got < 4)
			continue;
		if (c->outstanding == 0 || mr_load_be32(c->answer) < 4 ||
			mr_load_be32(c->answer) > INT32_MAX)
			return MR_ERR_CORRUPT;
		if (c->answer_left == 0)
			answered(c, now_ns);
	}
	return 0;
}
