// What implementations of mr_stream_ops share: the net's common part and its receive buffers.
#pragma once

#include "dataplane/stream.h"
#include "hw/pages.h"

// The common part of a net; implementations embed it as their first member.
struct mr_net {
	const struct mr_stream_ops *ops;
	struct mr_clock *clock;
	int64_t now_ns;
	int64_t ticked_ns;
	struct mr_net_task *task_first;
	struct mr_net_task *task_last;
	struct mr_net_ticker *tickers;
	struct mr_net_options options; // defaults filled in
	bool in_turn;
	bool gives_way;
	uint32_t tasks_queued;

	// Receive buffers [0, rxbufs) circulate; those above are for the bytes of paused streams.
	struct mr_pages rx_pages;
	struct mr_rxbuf *rxbufs;
	struct mr_rxbuf *spill_free;
	uint32_t rx_pinned;
	uint32_t rx_out; // circulating buffers that are lent or pinned

	struct mr_pages outs_pages; // streams_max of them; those once used cost memory
	uint32_t outs_used;         // highest ever used
	struct mr_out *outs_free;

	struct mr_net_counters counters;
};

// What of a stream's mr_stream_send is still to go. Big: a stream has one only while it sends.
struct mr_out {
	struct mr_out *next; // of free ones
	unsigned at;
	unsigned count;
	struct iovec pieces[MR_NET_PIECES_MAX];
};

struct mr_listener {
	struct mr_net *net;
	const struct mr_stream_events *events;
	void *owner;
	struct mr_net_addr local;
	void *impl;
	struct mr_listener *next;
};

// Sets up the common part; `o` has its defaults. 0 or -errno.
[[nodiscard]] int mr_net_init(
	struct mr_net *net, const struct mr_stream_ops *ops, const struct mr_net_options *o);
void mr_net_fini(struct mr_net *net);
// Reads the clock; after waiting.
void mr_net_time(struct mr_net *net);

// Copies the pieces of a send. Streams have one at a time, so there always is one.
struct mr_out *mr_out_take(struct mr_net *net, const struct iovec *pieces, unsigned count);
// `bytes` of it have gone. True when that was all.
bool mr_out_sent(struct mr_out *o, size_t bytes);
// Back to the others; NULL does nothing.
void mr_out_put(struct mr_net *net, struct mr_out *o);

// A buffer is neither lent nor pinned any more: back to where it came from.
void mr_rxbuf_return(struct mr_rxbuf *b);
// Moves the bytes not yet taken of a lent buffer to a spare one, so that a paused stream does not
// keep others from receiving; as long as three quarters of them are free, that is no danger.
// Returns the buffer that is lent now: `b` itself when none is spare.
struct mr_rxbuf *mr_rxbuf_spill(struct mr_rxbuf *b);

int mr_net_plain_create(const struct mr_net_options *o, struct mr_net **out);
int mr_net_uring_create(const struct mr_net_options *o, struct mr_net **out);
int mr_net_tcp_create(const struct mr_net_options *o, struct mr_net **out);
