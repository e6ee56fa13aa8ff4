// In-order bytes of connections: what the Kafka layer sees of a network.
//
// A `struct mr_net` is one worker's network: its listeners, its connections, its loop. What carries
// the bytes is an implementation behind `struct mr_stream_ops`: kernel sockets through io_uring
// (stream_uring.c), kernel sockets through epoll (stream_plain.c), and our own TCP on a port
// (stream_tcp.c). They are of equal rank; nothing above this header knows which one runs.
//
//	struct mr_net_options o = {.clock = &mr_clock_system, .node = -1};
//	if (mr_uring_probe() == 0)
//		mr_uring_create(&o.uring, NULL);        // else plain: epoll
//	mr_net_create(&o, &net);
//	mr_conns_create(net, NULL, -1, &conns);         // conn.h: framing, limits
//	mr_conns_listen(conns, "127.0.0.1", 0, &protocol, &port);
//	struct mr_watch w = {.fd = box.event_fd, .ready = on_mail};
//	mr_net_watch(net, &w);                          // clears and drains the mailbox
//	while (!stop) {
//		mr_net_turn(net, 100000000);            // at most 100 ms asleep
//		…                                       // commit, decode, fold
//	}
//	mr_conns_unlisten(conns);
//	mr_conns_close_all(conns);                      // requests are told by on_abandon
//	while (mr_conns_count(conns))
//		mr_net_turn(net, 10000000);             // until the protocol has finished them
//	mr_conns_destroy(conns);
//	mr_net_unwatch(net, &w);
//	mr_net_destroy(net);
//	mr_uring_destroy(o.uring);
//
// The loop: a turn waits, handles every completion that is there, runs the tasks that these have
// asked for (mr_net_later), hands the outgoing work to the kernel, and returns. Nothing reacts from
// inside another's callback: what a callback wants done to other objects it puts into a task.
//
// Receiving: bytes come in shared receive buffers (`struct mr_rxbuf`), lent for the callback. Who
// needs them longer pins the buffer, as long as there are enough; or says where the next N bytes
// belong (mr_stream_place), and they are received there without another copy. Not reading is how
// back-pressure works: a paused stream closes the peer's TCP window and costs nothing else.
//
// One thread per net, its worker's, for everything here except where "any thread" is said.
#pragma once

#include "host/base/clock.h"
#include "host/base/span.h"
#include "host/base/stat.h"

#include <stdatomic.h>
#include <sys/uio.h>

struct mr_net;
struct mr_stream;
struct mr_listener;
struct mr_uring;
struct mr_stack;
struct mr_port;

#define MR_NET_PIECES_MAX     128 // pieces of one mr_stream_send
#define MR_NET_RXBUF_BYTES    (16 << 10)
#define MR_NET_RXBUFS_DEFAULT 256       // 4 MiB a worker; a power of two
#define MR_NET_BACKLOG        1024      // connections that wait to be accepted
#define MR_NET_TICK_NS        100000000 // timeouts are looked at this often

// A network address of either family, port in host order.
struct mr_net_addr {
	uint8_t ip[16]; // IPv4: the first four
	bool is_v6;
	uint16_t port;
	uint32_t scope;
};

// Numeric IPv4 or IPv6, brackets allowed, or "localhost". -EINVAL otherwise. Any thread.
[[nodiscard]] int mr_net_addr_parse(const char *host, uint16_t port, struct mr_net_addr *out);
// The address without its port; IPv4 in IPv6 is written as IPv4. Any thread.
void mr_net_addr_host(const struct mr_net_addr *a, char host[64]);
// "1.2.3.4:5" or "[::1]:5". Any thread.
void mr_net_addr_format(const struct mr_net_addr *a, char text[72]);
bool mr_net_addr_is_loopback(const struct mr_net_addr *a);

// A receive buffer of MR_NET_RXBUF_BYTES. It goes back for the next receive when it is neither lent
// nor pinned.
struct mr_rxbuf {
	uint8_t *data;
	uint32_t index;
	uint16_t pins;
	bool lent;   // the stream is delivering it or keeps bytes of it for a paused connection
	uint16_t at; // the bytes not yet taken lie in [at, end); the implementation's
	uint16_t end;
	struct mr_net *net;
	struct mr_rxbuf *next;
};

// Keeps the buffer's bytes in place until mr_rxbuf_unpin. False when half of the buffers are pinned
// already: the caller copies what it needs, so that receiving never stops for want of buffers.
[[nodiscard]] bool mr_rxbuf_pin(struct mr_rxbuf *b);
void mr_rxbuf_unpin(struct mr_rxbuf *b);

// What happens to a stream; filled by its user, one table for all streams of a listener. A callback
// may call any mr_stream_* of its own stream, mr_stream_close too.
struct mr_stream_events {
	// A peer has connected: the user sets s->user and returns 0; negative refuses, and the
	// stream is closed without further calls.
	int (*opened)(void *owner, struct mr_stream *s);
	// The next bytes. Returns how many were taken: fewer than all only after mr_stream_pause or
	// mr_stream_close, and the rest comes again after mr_stream_resume. After mr_stream_place
	// the callback returns at once; the bytes that are left over fill the place first.
	size_t (*data)(struct mr_stream *s, struct mr_rxbuf *buf, struct mr_span bytes);
	// The place is full.
	void (*placed)(struct mr_stream *s);
	// Everything of the last mr_stream_send has been handed over: its memory is the caller's.
	void (*sent)(struct mr_stream *s);
	// The peer will send no more; sending is still possible.
	void (*ended)(struct mr_stream *s);
	// The stream is gone and uses none of the memory it was given. 0 after mr_stream_close,
	// -errno when the peer or the network ended it. Always the last call, never from inside
	// another mr_stream_* call.
	void (*closed)(struct mr_stream *s, int err);
};

// One connection's bytes. Implementations embed it.
struct mr_stream {
	const struct mr_stream_ops *ops;
	const struct mr_stream_events *events;
	struct mr_net *net;
	void *user;
	struct mr_net_addr local;
	struct mr_net_addr peer;
	int64_t received_ns; // the turn in which the last bytes came
	int64_t moved_ns;    // the turn in which bytes last moved, either way
	uint64_t received_bytes;
	uint64_t sent_bytes;
};

// A file descriptor that the loop looks at: a mailbox, another ring, a timer. Caller's memory, left
// in place until mr_net_unwatch.
struct mr_watch {
	int fd;
	// Has become readable. Takes all that is there: it may not be called again for a rest.
	void (*ready)(struct mr_watch *w);
	void *user;
	void *impl; // the implementation's
};

// What TCP says of a stream, the kernel's or ours.
struct mr_stream_tcp {
	char state[16]; // "established", "close-wait", …; empty: not known
	int64_t srtt_us;
	uint64_t retransmits;
};

// Something to do before this turn ends, or before the next one waits. Caller's memory; queueing
// it twice does it once.
struct mr_net_task {
	struct mr_net_task *next;
	void (*run)(struct mr_net_task *t);
	bool queued;
};

// Called every MR_NET_TICK_NS: for timeouts. Caller's memory, in place until mr_net_off_tick.
struct mr_net_ticker {
	struct mr_net_ticker *next;
	void (*tick)(struct mr_net_ticker *t);
};

// Written by the worker, read by any thread: relaxed.
struct mr_net_counters {
	_Atomic uint64_t turns;
	_Atomic uint64_t accepted;
	_Atomic uint64_t accept_aborted; // the peer had gone before it was accepted
	_Atomic uint64_t accept_refused; // streams_max, or the user's `opened` said no
	_Atomic uint64_t accept_beyond;  // descriptors_end
	_Atomic uint64_t accept_paused;  // no descriptor or memory; tried again a tick later
	_Atomic uint64_t closed;         // by us
	_Atomic uint64_t reset;          // by the peer or the network
	_Atomic uint64_t received_bytes;
	_Atomic uint64_t placed_bytes; // of these: received straight into their place
	_Atomic uint64_t copied_bytes; // of these: copied into a place from a receive buffer
	_Atomic uint64_t receives;     // receive calls or completions with bytes
	_Atomic uint64_t sent_bytes;
	_Atomic uint64_t sends;         // send calls or completions
	_Atomic uint64_t sends_partial; // went on where they had stopped
	_Atomic uint64_t pauses;
	_Atomic uint64_t rxbufs_exhausted; // a receive found no buffer and waited
	_Atomic uint64_t rxbufs_pinned;    // gauge
	_Atomic uint64_t spilled_bytes;    // moved out of receive buffers for a paused stream
};

// One implementation. The functions of a stream may be called from callbacks and between turns.
struct mr_stream_ops {
	const char *name; // "uring", "plain", "tcp"
	// The net: waits up to wait_ns when nothing is there, reads the clock, then handles all
	// completions.
	int (*turn)(struct mr_net *net, int64_t wait_ns);
	// Hands outgoing work to the kernel or the port; after the tasks of a turn.
	void (*flush)(struct mr_net *net);
	void (*tick)(struct mr_net *net);
	int (*listen)(struct mr_net *net, const struct mr_net_addr *at, struct mr_listener *l);
	void (*unlisten)(struct mr_net *net, struct mr_listener *l);
	int (*watch)(struct mr_net *net, struct mr_watch *w);
	void (*unwatch)(struct mr_net *net, struct mr_watch *w);
	void (*rxbuf_free)(struct mr_net *net, struct mr_rxbuf *b);
	void (*destroy)(struct mr_net *net);
	// A stream.
	void (*place)(struct mr_stream *s, uint8_t *to, size_t bytes);
	void (*send)(struct mr_stream *s, const struct iovec *pieces, unsigned count);
	void (*pause)(struct mr_stream *s);
	void (*resume)(struct mr_stream *s);
	void (*close)(struct mr_stream *s);
	void (*tcp)(const struct mr_stream *s, struct mr_stream_tcp *out);
};

struct mr_net_options {
	struct mr_uring *uring; // the worker's ring, borrowed; NULL: plain (epoll)
	struct mr_clock *clock; // borrowed
	uint32_t rxbufs;        // receive buffers, a power of two; 0: the default
	int node;               // NUMA node of the buffers; -1: wherever we run
	uint32_t streams_max;   // connections beyond it are closed at once; 0: 4,096
	int descriptors_end;    // sockets with higher numbers are closed at once; 0: none is
	uint32_t send_buffer;   // SO_SNDBUF and SO_RCVBUF for tests; 0: the kernel's own choice
	uint32_t receive_buffer;
	struct mr_stack *stack; // our own TCP, on `port`; both borrowed. NULL: kernel sockets
	struct mr_port *port;
	int64_t idle_ns; // our own TCP: nothing to do for so long before it sleeps
	bool busy;       // our own TCP: polls and never sleeps
	bool announces;  // our own TCP: tells the link of its addresses when that comes up
};

// 0 or -errno. Returns owned.
[[nodiscard]] int mr_net_create(const struct mr_net_options *o, struct mr_net **out);
// Closes what is open and waits for the operations that are under way. Streams get their `closed`.
void mr_net_destroy(struct mr_net *net);

// One turn. `wait_ns` 0 polls; a turn never sleeps longer than the next tick. Returns how many
// completions it handled, or -errno when the loop itself is broken.
int mr_net_turn(struct mr_net *net, int64_t wait_ns);

// Listens; port 0 takes any free one. `*port` is the port taken. Streams of this listener get
// `events`, whose `opened` gets `owner`. Both borrowed until the listener and its streams are gone.
[[nodiscard]] int mr_net_listen(struct mr_net *net, const struct mr_net_addr *at,
	const struct mr_stream_events *events, void *owner, uint16_t *port,
	struct mr_listener **out);
// No new connections; those that are there live on.
void mr_net_unlisten(struct mr_net *net, struct mr_listener *l);

[[nodiscard]] int mr_net_watch(struct mr_net *net, struct mr_watch *w);
// No call after this; the watch's memory is the caller's again when it returns.
void mr_net_unwatch(struct mr_net *net, struct mr_watch *w);

// From the next turn on: a thread that needs our core works for us and tells a watch (a commit).
// Our own TCP does not poll meanwhile, but sleeps as soon as it finds nothing; a busy net polls on.
void mr_net_gives_way(struct mr_net *net, bool on);

void mr_net_later(struct mr_net *net, struct mr_net_task *t);
// Takes back a task that may be queued.
void mr_net_forget(struct mr_net *net, struct mr_net_task *t);
void mr_net_on_tick(struct mr_net *net, struct mr_net_ticker *t);
void mr_net_off_tick(struct mr_net *net, struct mr_net_ticker *t);

// The time of this turn.
int64_t mr_net_now_ns(const struct mr_net *net);
// Any thread may read the fields.
struct mr_net_counters *mr_net_counters(struct mr_net *net);
const char *mr_net_name(const struct mr_net *net);

// Where the next `bytes` bytes go, counted from the first one that has not been taken. Only inside
// `data`, `placed` or while paused; `placed` follows, never from inside this call. The memory is
// the stream's until `placed` or `closed`.
static inline void mr_stream_place(struct mr_stream *s, uint8_t *to, size_t bytes)
{
	s->ops->place(s, to, bytes);
}

// Sends `count` <= MR_NET_PIECES_MAX pieces in order. One send at a time: the next one after
// `sent`, which never comes from inside this call. The array is copied, the bytes are borrowed.
static inline void mr_stream_send(struct mr_stream *s, const struct iovec *pieces, unsigned count)
{
	s->ops->send(s, pieces, count);
}

// Stops delivery at once, and reading as soon as can be. Pausing twice is pausing once.
static inline void mr_stream_pause(struct mr_stream *s)
{
	s->ops->pause(s);
}

// Goes on; bytes that were left are delivered in a task, never from inside this call.
static inline void mr_stream_resume(struct mr_stream *s)
{
	s->ops->resume(s);
}

// Ends the connection; bytes not sent yet are dropped. `closed` follows when nothing is under way
// any more. Closing twice is closing once.
static inline void mr_stream_close(struct mr_stream *s)
{
	s->ops->close(s);
}
