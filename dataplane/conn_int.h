// The parts of a connection, shared by conn.c (one connection), request.c (one request) and
// conn_table.c (all of them: limits, timeouts, listing).
#pragma once

#include "dataplane/conn.h"
#include "hw/pages.h"

// Why a connection does not read; bits.
enum pause_reason {
	PAUSE_MEMORY = 1,     // no place for the next request: waits in the reqmem's line
	PAUSE_POOL = 2,       // no request object: waits in the pool's line
	PAUSE_CONNECTION = 4, // requests_per_connection
	PAUSE_OUTPUT = 8,     // output_bytes_max
	PAUSE_CLOSE = 16,     // closes after the responses before; for good
};

// Memory of mr_request_alloc; the node lies in the request's arena.
struct request_block {
	struct request_block *next;
	void *data;
};

struct request {
	struct mr_request rq; // what the protocol sees
	struct request *next; // in its connection, or in the pool
	struct mr_rxbuf *pinned;
	uint8_t *place;
	struct request_block *blocks;
	bool finished;
	bool close;
	uint8_t length[4];
	unsigned pieces_count;
	uint64_t output_bytes;
	struct iovec pieces[MR_REQUEST_PIECES_MAX];
};

struct mr_conn {
	struct mr_conns *conns;
	struct mr_stream *stream; // NULL: gone, and unfinished requests are waited for
	const struct mr_protocol *protocol;
	uint64_t id;
	int64_t opened_ns;
	struct mr_net_addr local;
	struct mr_net_addr peer;
	char client[64];

	// The frame that is coming in.
	uint8_t head[4];
	unsigned head_bytes; // 4: `frame_bytes` holds
	uint32_t frame_bytes;
	uint32_t frame_bytes_max;
	int64_t frame_ns;         // when it began; moved on by what was our own waiting
	int64_t paused_ns;        // when reading stopped
	struct request *incoming; // has the place that the stream fills

	// Requests in the order of arrival; the first `sending` of them are with the stream.
	struct request *first;
	struct request *last;
	unsigned requests;
	unsigned sending;
	uint64_t output_bytes; // finished and not sent
	uint64_t requests_total;

	unsigned pause; // enum pause_reason
	bool closing;
	const char *why; // static text: why the protocol closes it
	bool ended;
	struct mr_reqmem_wait memory_wait;
	struct mr_conn *pool_next; // in the pool's line
	bool pool_waiting;
	struct mr_net_task flush;
	struct mr_conn *next_free;
	bool used;
};

static_assert(sizeof(struct mr_conn) <= 352); // idle ones too
static_assert(sizeof(struct request) <= MR_REQUEST_BYTES);

struct conn_listener {
	struct mr_listener *listener;
	struct mr_conns *conns;
	const struct mr_protocol *protocol;
	struct conn_listener *next;
};

struct mr_conns {
	struct mr_net *net;
	struct mr_conn_limits limits;
	struct mr_reqmem *reqmem;
	struct conn_listener *listeners;
	struct mr_net_ticker ticker;
	struct mr_net_task serve; // reqmem's line and the pool's, after something was freed
	uint64_t next_id;

	struct mr_pages table_pages;
	struct mr_conn *table; // connections_max of them
	uint32_t table_used;   // highest ever used
	uint32_t count;        // in use, those gone but waited for included
	uint32_t look_at;      // for timeouts
	struct mr_conn *free;

	struct mr_pages pool_pages;
	struct request *pool;
	uint32_t pool_used; // highest ever used
	uint32_t pool_in_use;
	struct request *pool_free;
	struct mr_conn *pool_wait_first;
	struct mr_conn *pool_wait_last;

	struct mr_conn_counters counters;
};

extern const struct mr_stream_events mr_conn_events;

// A request object for `c`, its arena ready, or NULL when requests_max are in use.
struct request *mr_request_get(struct mr_conn *c);
// Frees its memory and puts it back; wakes who waits for either.
void mr_request_put(struct mr_conns *conns, struct request *r);

void mr_conn_pause(struct mr_conn *c, enum pause_reason why);
void mr_conn_resume(struct mr_conn *c, enum pause_reason why);
// Closes the stream; counts into `counter`.
void mr_conn_close(struct mr_conn *c, _Atomic uint64_t *counter);
// Gives the slot back: the stream has gone and nothing is unfinished.
void mr_conn_put(struct mr_conn *c);
