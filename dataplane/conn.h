// Connections of a Kafka-like protocol: framing, order of responses, limits, back-pressure.
//
// A frame is a 4-byte big-endian length and that many bytes (Kafka protocol guide, "Network").
// A frame that lies whole in a receive buffer is handed up from there; for any other a contiguous
// place of its size is taken from the worker's request memory, the part that has come is copied and
// the rest is received straight into it. What a peer can do with its bytes: fill its own limits, or
// get its connection closed. Nothing it sends or leaves unread is an error to anybody else.
//
// How a request lives: taken from the pool when its last byte is there, listed in its connection in
// the order of arrival, handed to the protocol, finished in any order, sent when all before it have
// been. Its memory goes back when the response has been handed to the network.
//
// One thread: the worker's. Counters may be read by any thread.
#pragma once

#include "dataplane/reqmem.h"
#include "dataplane/request.h"
#include "dataplane/stream.h"

struct mr_conns;

// Limits. 0 takes the default of the name below.
struct mr_conn_limits {
	uint32_t connections_max;   // further ones are closed at once
	uint32_t request_bytes_max; // longer (or negative, or empty) frames close the connection
	uint32_t requests_per_connection; // unfinished or unsent: reading stops
	uint32_t requests_max;            // of the worker: reading stops
	uint64_t output_bytes_max;        // finished and unsent, per connection: reading stops
	uint64_t request_memory_bytes;    // all requests and responses: reading stops
	int64_t idle_ns;                  // no byte moved and nothing owed: closed
	int64_t slow_request_ns;          // a frame must be complete in this time …
	uint32_t slow_request_rate;       // … plus its length at this many bytes a second
};

#define MR_CONN_CONNECTIONS_MAX         1024
#define MR_CONN_REQUEST_BYTES_MAX       (100u << 20)
#define MR_CONN_REQUESTS_PER_CONNECTION 128
#define MR_CONN_REQUESTS_MAX            4096
#define MR_CONN_OUTPUT_BYTES_MAX        (64ull << 20)
#define MR_CONN_REQUEST_MEMORY_BYTES    (256ull << 20)
#define MR_CONN_IDLE_NS                 (600 * 1000000000ll)
#define MR_CONN_SLOW_REQUEST_NS         (60 * 1000000000ll)
#define MR_CONN_SLOW_REQUEST_RATE       (1u << 20)

// Written by the worker, read by any thread: relaxed. Each limit has its counter.
struct mr_conn_counters {
	_Atomic uint64_t connections;         // gauge
	_Atomic uint64_t requests;            // complete frames
	_Atomic uint64_t requests_in_place;   // of these: parsed in the receive buffer
	_Atomic uint64_t requests_unfinished; // gauge
	_Atomic uint64_t responses;
	_Atomic uint64_t sends;             // of one or more responses
	_Atomic uint64_t closed_limit;      // connections_max
	_Atomic uint64_t closed_bad_length; // request_bytes_max, zero or negative length
	_Atomic uint64_t closed_idle;
	_Atomic uint64_t closed_slow;
	_Atomic uint64_t closed_protocol;   // mr_request_close
	_Atomic uint64_t closed_stop;       // mr_conns_close_all
	_Atomic uint64_t closed_by_peer;    // it ended, and everything was answered
	_Atomic uint64_t closed_reset;      // the peer or the network broke it
	_Atomic uint64_t truncated;         // the peer ended inside a frame
	_Atomic uint64_t paused_memory;     // request_memory_bytes
	_Atomic uint64_t paused_requests;   // requests_max
	_Atomic uint64_t paused_connection; // requests_per_connection
	_Atomic uint64_t paused_output;     // output_bytes_max
	_Atomic uint64_t abandoned;         // requests whose connection went first
	_Atomic uint64_t alloc_failed;      // mr_request_alloc had no memory
};

// What a table or a log line says of a connection: filled by mr_conns_list.
struct mr_conn_info {
	uint64_t id; // never reused in this process
	char peer[72];
	char client[64]; // as the protocol says (mr_conn_client); empty: not known
	uint16_t local_port;
	int64_t age_ns;
	int64_t idle_ns;
	uint64_t requests;
	uint64_t received_bytes;
	uint64_t sent_bytes;
	uint32_t requests_unfinished;
	bool paused;
	struct mr_stream_tcp tcp;
};

// `limits` may be NULL. 0 or -errno. Returns owned.
[[nodiscard]] int mr_conns_create(
	struct mr_net *net, const struct mr_conn_limits *limits, int node, struct mr_conns **out);
// Closes all connections and listeners. Every request has to be finished by then (they were told by
// on_abandon): those that are not are forgotten, and must not be finished any more.
void mr_conns_destroy(struct mr_conns *conns);

// Listens for `protocol` (borrowed until destroy). Port 0 takes any; `*port_out` is the one taken.
[[nodiscard]] int mr_conns_listen(struct mr_conns *conns, const char *host, uint16_t port,
	const struct mr_protocol *protocol, uint16_t *port_out);
// Stops listening; connections live on.
void mr_conns_unlisten(struct mr_conns *conns);
// Asks every connection to go: abandons its requests and closes it. They are gone some turns later,
// when the protocol has finished their requests.
void mr_conns_close_all(struct mr_conns *conns);

uint32_t mr_conns_count(const struct mr_conns *conns);
// Fills up to `max`, returns how many there are. The owner's thread: others ask by message.
uint32_t mr_conns_list(struct mr_conns *conns, struct mr_conn_info *out, uint32_t max);

struct mr_conn_counters *mr_conns_counters(struct mr_conns *conns);
struct mr_reqmem *mr_conns_reqmem(struct mr_conns *conns);
// Limits as they hold, defaults filled in; request_bytes_max is cut to what memory can hold.
const struct mr_conn_limits *mr_conns_limits(const struct mr_conns *conns);
