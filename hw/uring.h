// The ring: the only door to io_uring (liburing 2.3). One ring per worker, through which the socket
// dataplane and storage both submit.
//
// Whoever submits embeds a struct mr_op in its own object; the kernel hands the op back and its
// `done` runs on the ring's thread, inside mr_uring_turn. A submitter keeps the op and every buffer
// it named alive until `done` has run for the last time: once for plain operations, and until
// `mr_op_more(flags)` is false for multishot ones. An op may be submitted again from its own
// `done`.
//
// Preparing never fails: when the submission queue is full it is flushed, and when the kernel wants
// completions taken first they are stashed and run by the next turn, never inside a prep.
//
// Thread: everything here belongs to the ring's thread. A ring may be created and given buffers by
// another thread before its first turn; the first turn binds it (IORING_SETUP_SINGLE_ISSUER).
#pragma once

#include "host/base/def.h"

#include <sys/socket.h>

struct mr_op {
	// `res` is the operation's result or -errno; `flags` are the completion's (see below).
	void (*done)(struct mr_op *op, int res, unsigned flags);
};

// More completions of this multishot op will follow.
static inline bool mr_op_more(unsigned flags)
{
	return (flags & 2u) != 0;
}

// Index of the provided buffer that holds the received bytes, or -1.
static inline int mr_op_buffer(unsigned flags)
{
	return flags & 1u ? (int)(flags >> 16) : -1;
}

struct mr_uring;

struct mr_uring_options {
	unsigned entries;    // submission queue; power of two, default 1024
	unsigned cq_entries; // completion queue; default 4 * entries
	bool plain_setup;    // tests: no SINGLE_ISSUER | DEFER_TASKRUN even where they exist
};

// Counted by the ring's thread.
struct mr_uring_stats {
	uint64_t turns;
	uint64_t submitted;
	uint64_t completed;
	uint64_t sq_full;  // a prep had to flush first
	uint64_t stashed;  // completions taken aside because the kernel refused submissions
	uint64_t overflow; // times the completion queue overflowed in the kernel
};

// 0 when io_uring with all that is needed here works in this process; -errno when not (-ENOSYS, or
// -EPERM where a container's profile refuses it).
[[nodiscard]] int mr_uring_probe(void);

// Returns owned. `o` may be NULL for the defaults.
[[nodiscard]] int mr_uring_create(struct mr_uring **out, const struct mr_uring_options *o);
// Nothing may be in flight that names memory about to be freed.
void mr_uring_destroy(struct mr_uring *u);

// Submits what was prepared, waits at most `wait_ns` for a completion (0: does not wait, -1: for
// ever) and runs every completion there is. Returns how many ran, or -errno when the ring itself
// failed. A signal ends the wait early and is no error.
[[nodiscard]] int mr_uring_turn(struct mr_uring *u, int64_t wait_ns);

// Submits what was prepared without taking completions.
void mr_uring_flush(struct mr_uring *u);

const struct mr_uring_stats *mr_uring_stats(const struct mr_uring *u);
// Operations prepared or in flight whose last completion has not run.
unsigned mr_uring_in_flight(const struct mr_uring *u);

// Sockets have to be blocking ones: on others the ring answers -EAGAIN instead of waiting. `done`
// gets the new descriptor (SOCK_CLOEXEC, blocking) each time.
void mr_uring_accept_multishot(struct mr_uring *u, struct mr_op *op, int fd);
// Into provided buffers of `group`; ends with -ENOBUFS when there are none left.
void mr_uring_recv_multishot(struct mr_uring *u, struct mr_op *op, int fd, unsigned group);
// The same once.
void mr_uring_recv_select(struct mr_uring *u, struct mr_op *op, int fd, unsigned group);
// Into a given place; `flags` as recv(2), e.g. MSG_WAITALL.
void mr_uring_recv(
	struct mr_uring *u, struct mr_op *op, int fd, void *data, size_t bytes, int flags);
void mr_uring_sendmsg(
	struct mr_uring *u, struct mr_op *op, int fd, const struct msghdr *msg, int flags);

// Files. `buffer` is an index from mr_uring_buffer_add that covers the bytes, or -1. `rw_flags` as
// pwritev2(2), e.g. RWF_DSYNC.
void mr_uring_read(struct mr_uring *u, struct mr_op *op, int fd, void *data, unsigned bytes,
	uint64_t offset, int buffer);
void mr_uring_write(struct mr_uring *u, struct mr_op *op, int fd, const void *data, unsigned bytes,
	uint64_t offset, int buffer, int rw_flags);

// Readiness of a descriptor (an eventfd, say); `done` gets the poll mask each time until cancelled.
void mr_uring_poll_multishot(struct mr_uring *u, struct mr_op *op, int fd, unsigned poll_mask);
// Ends `target`, whose own `done` still runs (with -ECANCELED, or its result if it was faster).
// `op` gets 0, -ENOENT or -EALREADY, and may be NULL when nobody cares.
void mr_uring_cancel(struct mr_uring *u, struct mr_op *op, struct mr_op *target);

// Registers memory for fixed reads and writes and returns its index, or -errno: -ENOMEM when
// RLIMIT_MEMLOCK refuses, in which case the caller goes on with buffer -1. At most 16 per ring.
[[nodiscard]] int mr_uring_buffer_add(struct mr_uring *u, void *base, size_t bytes);

// Provided buffers: `count` (power of two, at most 32768) of `bytes` each, as group `group`. The
// memory belongs to the object, which borrows the ring and is destroyed before it.
struct mr_uring_bufs;
[[nodiscard]] int mr_uring_bufs_create(struct mr_uring_bufs **out, struct mr_uring *u,
	unsigned group, unsigned count, unsigned bytes);
void mr_uring_bufs_destroy(struct mr_uring_bufs *b);
// Where buffer `id` lies; valid from the completion that named it until it is put back.
uint8_t *mr_uring_bufs_at(struct mr_uring_bufs *b, int id);
void mr_uring_bufs_put(struct mr_uring_bufs *b, int id);
