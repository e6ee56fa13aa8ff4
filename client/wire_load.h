// Requests over connections as fast as they are answered: the load of `millrace bench wire`,
// whatever carries its bytes.
//
// A connection keeps `depth` requests on their way, round robin from a pool encoded beforehand, and
// takes the answers in order. What carries the bytes asks for the next ones to send, says how many
// it took, and hands in what came back. One thread.
#pragma once

#include "host/metrics.h"

#define MR_WIRE_DEPTH_MAX       64
#define MR_WIRE_CONNECTIONS_MAX 1000000
#define MR_WIRE_ANSWER_BYTES    256 // longer answers are counted, not looked into

enum mr_wire_request { MR_WIRE_PRODUCE, MR_WIRE_VERSIONS };

struct mr_wire_load {
	struct mr_span *requests; // with their lengths in front
	uint32_t requests_count;
	uint32_t depth;
	size_t error_at; // where an answer has its error code, counted behind its length
	bool stopping;   // no new request is begun
	struct mr_buf memory;
	// What happened.
	struct mr_hist latency; // from the first byte handed over to the last of the answer
	uint64_t requests_sent;
	uint64_t requests_answered;
	uint64_t bytes_answered; // of requests that were answered
	uint64_t retransmits;    // segments of ours that were sent again
	uint64_t errors;
	int16_t error; // the last
};

struct mr_wire_conn {
	struct mr_wire_load *load;
	uint32_t next;   // of the pool
	size_t at;       // bytes of it that were handed over
	uint32_t oldest; // of the ring
	uint32_t outstanding;
	struct {
		int64_t ns;
		uint32_t bytes;
	} sent[MR_WIRE_DEPTH_MAX];
	uint8_t answer[4 + MR_WIRE_ANSWER_BYTES];
	uint32_t answer_got; // of the length and what is kept
	uint64_t answer_left;
};

struct mr_wire_pool_options {
	enum mr_wire_request request;
	const char *topic;
	uint32_t partitions;
	size_t batch_bytes; // of a Produce request
	uint64_t seed;
	uint32_t count;
	int16_t acks;
};

// Encodes the pool. 0 or -ENOMEM and errors of batches. mr_wire_load_fini frees.
[[nodiscard]] int mr_wire_load_init(
	struct mr_wire_load *l, const struct mr_wire_pool_options *o, uint32_t depth);
void mr_wire_load_fini(struct mr_wire_load *l);

void mr_wire_conn_init(struct mr_wire_conn *c, struct mr_wire_load *l, uint32_t number);
// What is to be sent now; false: nothing before an answer has come.
bool mr_wire_next(const struct mr_wire_conn *c, struct mr_span *out);
// The first `bytes` of it have been handed over.
void mr_wire_sent(struct mr_wire_conn *c, size_t bytes, int64_t now_ns);
// 0, or MR_ERR_CORRUPT when these are no answers.
[[nodiscard]] int mr_wire_received(struct mr_wire_conn *c, struct mr_span bytes, int64_t now_ns);

// Kernel sockets to ADDR:PORT: `connections` of them for `seconds`, then until all is answered. 0
// or negative with text in `error`.
[[nodiscard]] int mr_wire_over_sockets(struct mr_wire_load *l, const char *to, uint32_t connections,
	double seconds, char error[400]);

struct mr_wire_stack_options {
	const char *eal;
	const char *address; // ours, with its prefix
	const char *gateway; // or NULL
	const char *to;
	uint64_t mtu; // 0: 1500
};

// The same over our own stack on a DPDK port of `eal`. A process can do this once.
[[nodiscard]] int mr_wire_over_stack(struct mr_wire_load *l, const struct mr_wire_stack_options *o,
	uint32_t connections, double seconds, char error[400]);

// What wire_conns.c measures, over the same stack.
struct mr_wire_conns {
	uint32_t connections;  // in
	double seconds;        // in
	uint64_t pid;          // in: the receiver's process, or 0
	double open_s;         // until all had their first answer
	uint64_t before_bytes; // the receiver's memory before the first and with all at rest
	uint64_t after_bytes;
	double again_s;  // until all had their second answer
	uint64_t closed; // in order, by both sides
	double closed_s;
	struct mr_hist cycles; // from an open to its close
};

// Opens `connections`, with one request each, leaves them alone for `seconds`, and asks each again.
[[nodiscard]] int mr_wire_idle(struct mr_wire_load *l, const struct mr_wire_stack_options *o,
	struct mr_wire_conns *k, char error[400]);
// For `seconds`, `connections` at a time: open, one request, close, open the next.
[[nodiscard]] int mr_wire_churn(struct mr_wire_load *l, const struct mr_wire_stack_options *o,
	struct mr_wire_conns *k, char error[400]);
