// What both kernel-socket implementations share: a socket's state, delivery, listening.
#pragma once

#include "dataplane/stream_int.h"

struct msghdr;

// One connected socket. The implementation embeds it; `stream` is first.
struct mr_sock {
	struct mr_stream stream;
	int fd;
	int error;       // what `closed` will be told
	bool paused;     // by the user
	bool closing;    // no more events but `closed`
	bool eof;        // the peer has ended; `ended` comes when the backlog is delivered
	bool ended;      // `ended` has been told
	bool sending;    // between mr_stream_send and the last byte handed over
	bool sent_due;   // `sent` is to be told
	bool placed_due; // `placed` is to be told
	bool delivering; // inside a callback with bytes
	struct mr_rxbuf *backlog_first; // bytes received and not taken
	struct mr_rxbuf *backlog_last;
	uint8_t *place_at; // where the next bytes belong
	size_t place_left;
	struct mr_net_task work;
	struct mr_listener *listener;
	struct mr_sock *next; // of free ones
	struct mr_out *out;   // while `sending`
};

// A table of sockets, reserved at creation: `bytes` is the implementation's struct's size.
struct mr_socks {
	struct mr_pages pages;
	size_t bytes;
	uint32_t count_max;
	uint32_t used_max; // highest index ever used
	uint32_t count;
	struct mr_sock *free;
};

[[nodiscard]] int mr_socks_init(struct mr_socks *t, size_t bytes, uint32_t count_max, int node);
void mr_socks_fini(struct mr_socks *t);
// NULL at the limit. Cleared.
struct mr_sock *mr_socks_get(struct mr_socks *t);
void mr_socks_put(struct mr_socks *t, struct mr_sock *s);
// The i-th slot, free or not (fd -1).
struct mr_sock *mr_socks_at(const struct mr_socks *t, uint32_t i);

// Opens a listening socket, `flags` being SOCK_NONBLOCK or 0; fills l->local with what was bound.
// The fd or -errno.
int mr_sock_listen(const struct mr_net_addr *at, struct mr_listener *l, int flags);
// What an accept has failed with: to be tried again at the next tick, or only the peer's trouble.
bool mr_sock_accept_is_shortage(int err);
// Sets options and addresses of an accepted socket and asks the user. Negative: refused; the caller
// closes.
int mr_sock_open(struct mr_sock *s, struct mr_listener *l, int fd, const struct mr_stream_ops *ops);

// `n` bytes have been received into `b` (not lent yet): they join the backlog.
void mr_sock_received(struct mr_sock *s, struct mr_rxbuf *b, size_t n);
// `n` bytes have been received straight into the place.
void mr_sock_placed(struct mr_sock *s, size_t n);
// A receive has found the end.
void mr_sock_eof(struct mr_sock *s);
// Tells the user all there is to tell: sent, placed, bytes, the end. Not inside a user's call.
void mr_sock_deliver(struct mr_sock *s);
// Moves a paused stream's backlog out of the circulating buffers.
void mr_sock_spill(struct mr_sock *s);
// The connection has failed or ended: no more events but `closed`.
void mr_sock_fail(struct mr_sock *s, int err);
// Drops the backlog and what is not sent, and closes the descriptor; before the slot is put back,
// when no operation is under way.
void mr_sock_shut(struct mr_sock *s);

// Common parts of the stream's functions.
void mr_sock_tcp(const struct mr_stream *st, struct mr_stream_tcp *out);
void mr_sock_place(struct mr_sock *s, uint8_t *to, size_t bytes);
void mr_sock_pieces(struct mr_sock *s, const struct iovec *pieces, unsigned count);
// The pieces that are still to be sent.
struct msghdr mr_sock_message(struct mr_sock *s);
// `n` bytes have been sent; true when that was all.
bool mr_sock_sent(struct mr_sock *s, size_t n);
