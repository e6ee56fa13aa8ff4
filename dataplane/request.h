// One framed request of a connection, and the response that will leave in its place.
//
// The connection layer (conn.c) hands each complete request to the protocol above it, contiguous in
// memory, without its 4-byte length. The protocol answers whenever it can: responses leave a
// connection in the order of their requests, whatever the order in which they are finished.
//
// All of a request's memory (input, output pieces, arena) is the worker's and lives until the
// response has left. One thread: the worker that owns the connection.
#pragma once

#include "host/base/arena.h"

struct mr_conn;

#define MR_REQUEST_PIECES_MAX 64
#define MR_REQUEST_BYTES      1216 // of a request on its way, beside its input and output

struct mr_request {
	struct mr_conn *conn;
	struct mr_span in;     // the request's bytes; borrowed until mr_request_done
	int64_t received_ns;   // when its last byte came in
	struct mr_arena arena; // for the protocol's state of this request
	void *state;           // the protocol's own
	bool abandoned;        // the connection has gone: finish soon, nothing will be sent
	// Called by the connection layer when the connection goes while the request is unfinished,
	// so that waiting operations can be cancelled. May be NULL.
	void (*on_abandon)(struct mr_request *rq);
};

// Memory for output that lives as long as the request. NULL when the worker's request memory is
// used up, which the caller answers with a retriable error. 64-byte aligned.
uint8_t *mr_request_alloc(struct mr_request *rq, size_t bytes);

// Appends a piece to the response: memory from mr_request_alloc or the arena, or static. The 4-byte
// length in front is added by the connection layer. False when MR_REQUEST_PIECES_MAX are there.
bool mr_request_add(struct mr_request *rq, const void *data, size_t bytes);

// Finishes the request: its response (all pieces added) is sent in its turn; no piece at all means
// that no response is due (acks=0). The request and its memory are gone for the caller.
void mr_request_done(struct mr_request *rq);

// Finishes the request and closes the connection once the responses before it have left.
// `why` is static text, counted and logged by the connection layer.
void mr_request_close(struct mr_request *rq, const char *why);

// The address the client connected to; for Metadata without --advertise.
void mr_conn_local(const struct mr_conn *c, char host[64], uint16_t *port);
// The client's address as text, for tables and log lines.
void mr_conn_peer(const struct mr_conn *c, char text[72]);
// What the client calls itself, for tables; cut, and kept by the connection.
void mr_conn_client(struct mr_conn *c, struct mr_span name);

// Where requests go. Filled by the protocol (kafka.c) and given to the listener.
struct mr_protocol {
	void *owner;
	// A complete request. Must lead to exactly one mr_request_done or mr_request_close.
	void (*request)(void *owner, struct mr_request *rq);
	uint32_t request_bytes_max; // longer frames close the connection
};
