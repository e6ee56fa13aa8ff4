// Shared by the kafka_*.c files: a request being answered.
#pragma once

#include "dataplane/kafka.h"
#include "dataplane/kafka_wire.h"

struct mr_kafka {
	struct mr_broker *broker;
	struct mr_kafka_stats stats MR_ALIGNED(MR_CACHELINE);
};

// One request, in its arena. Gone after mr_kafka_respond, mr_kafka_silent or mr_kafka_close.
struct mr_kafka_call {
	struct mr_kafka *k;
	struct mr_request *rq;
	enum mr_kafka_api_index api;
	int32_t correlation_id;
	struct mr_kin in; // the body
	bool out_of_memory;
	void *state; // the handler's
};

typedef void mr_kafka_encode(struct mr_kout *out, struct mr_kafka_call *c);

// Each handler leads to exactly one of the three below.
#define X(key, name, min, max, served, flexible, handler, note) \
	void mr_kafka_##handler(struct mr_kafka_call *c);
#include "dataplane/kafka_api.def"
#undef X

// Cleared memory of the request. At the limit it returns NULL, and mr_kafka_parsed will say no.
void *mr_kafka_alloc(struct mr_kafka_call *c, size_t count, size_t bytes);

// After the last field was read: false when the request is bad; the connection is then closed and
// the call gone.
bool mr_kafka_parsed(struct mr_kafka_call *c);

// Encodes and sends the response, then ends the request.
void mr_kafka_respond(struct mr_kafka_call *c, mr_kafka_encode *encode);
// Ends the request without a response.
void mr_kafka_silent(struct mr_kafka_call *c);
void mr_kafka_close(struct mr_kafka_call *c, enum mr_kafka_close why);

// Changes that control makes for a request, so many at a time. Each may be done at once, from
// inside the call that starts it, or later.
struct mr_kafka_steps {
	bool (*next)(struct mr_kafka_steps *s); // starts the next change; false: there is none left
	void (*finish)(struct mr_kafka_steps *s); // answers; the steps' memory may be gone after it
	uint32_t at_once;
	uint32_t under_way;
	bool ended; // there is none left to start
	bool going; // in the loop of mr_kafka_steps_go
};

void mr_kafka_steps_go(struct mr_kafka_steps *s);
void mr_kafka_step_done(struct mr_kafka_steps *s);

// Writes an error code and counts it, once.
void mr_kafka_put_error(struct mr_kout *out, struct mr_kafka_call *c, int16_t error);

// Every counter has one writer, so a load and a store make an increment.
#define MR_KAFKA_COUNT(c, field, n)                                                      \
	do {                                                                             \
		_Atomic uint64_t *at_ = &(c)->k->stats.field;                            \
		atomic_store_explicit(at_,                                               \
			atomic_load_explicit(at_, memory_order_relaxed) + (uint64_t)(n), \
			memory_order_relaxed);                                           \
	} while (0)

static inline const struct mr_topics *mr_kafka_topics(const struct mr_kafka_call *c)
{
	return c->k->broker->ops->topics(c->k->broker);
}

// Finds a partition for reading or writing: 0, UNKNOWN_TOPIC_OR_PARTITION or
// NOT_LEADER_OR_FOLLOWER. `*topic` is NULL on an error.
int16_t mr_kafka_find(const struct mr_kafka_call *c, struct mr_span name, int32_t partition,
	const struct mr_topic **topic);

// Our only leader epoch is 0; -1 means that the client does not say.
int16_t mr_kafka_check_epoch(int32_t epoch);
