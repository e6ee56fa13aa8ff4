// A link: the bytes of one connection to a management port, as SQL and HTTP sessions see them.
//
// Sessions block on a link, each on a thread of its own, and know nothing of sockets: the tests
// give them a link over memory, which cuts its input at every place it likes. A TCP link wakes up
// when its acceptor stops, and gives up on a peer that takes no bytes for MR_LINK_WRITE_TIMEOUT_MS.
#pragma once

#include "host/base/buf.h"
#include "host/base/err.h"
#include "host/base/span.h"

#include <stdatomic.h>

// A client that reads nothing for so long is cut off; until then it stalls only itself.
#define MR_LINK_WRITE_TIMEOUT_MS 60000
// A buffer that grew beyond this for one message is given back when it is empty.
#define MR_LINK_KEEP_BYTES (256u << 10)

struct mr_link;

struct mr_link_ops {
	// Reads at least one byte. >0: how many; 0: the peer has ended its side; -ETIMEDOUT after
	// `timeout_ms` of silence (negative: none); MR_ERR_STOPPED when the acceptor stops; -EINTR
	// after `wake`; -errno.
	int (*read)(struct mr_link *l, void *data, size_t bytes_max, int timeout_ms);
	// Writes all of it. 0, -ETIMEDOUT when the peer takes nothing, MR_ERR_STOPPED, -errno.
	int (*write)(struct mr_link *l, const void *data, size_t bytes);
	// Makes reads say that the peer has ended, now and from now on. Any thread.
	void (*end_input)(struct mr_link *l);
	// Makes the read that waits, or the next one that would, return -EINTR. Any thread.
	void (*wake)(struct mr_link *l);
	// Ends both directions: reads and writes that wait fail. Any thread.
	void (*cut)(struct mr_link *l);
};

struct mr_link {
	const struct mr_link_ops *ops;
	bool over_limit;  // accepted only to be told that there are too many
	bool is_loopback; // the local address is a loopback one
	char peer[64];    // ADDR:PORT, for people
	uint16_t local_port;
	// Its thread: wo, others: ro, relaxed.
	_Atomic uint64_t received_bytes;
	_Atomic uint64_t sent_bytes;
};

// A link over a connected, non-blocking socket.
struct mr_link_tcp {
	struct mr_link link;
	int fd;
	int stop_fd; // polls readable for ever once everything must end; -1: none
	int wake_fd; // eventfd of `wake`; -1: none
	int write_timeout_ms;
};

// Borrows the descriptors.
void mr_link_tcp_init(struct mr_link_tcp *t, int fd, int stop_fd, int wake_fd);

// Input of a link, buffered: what has been read and not been consumed.
struct mr_link_in {
	struct mr_link *link;
	struct mr_buf buf;
	size_t at;
	bool is_wakeable; // -EINTR is given to the caller, not waited past
};

// Unread bytes.
static inline struct mr_span mr_link_in_span(const struct mr_link_in *in)
{
	return mr_span(in->buf.data + in->at, in->buf.bytes - in->at);
}

static inline void mr_link_in_take(struct mr_link_in *in, size_t bytes)
{
	MR_ASSERT(bytes <= in->buf.bytes - in->at);
	in->at += bytes;
}

// Reads once more from the link. Moves memory: earlier spans die. >0, or as ops->read.
[[nodiscard]] int mr_link_in_more(struct mr_link_in *in, int timeout_ms);

// Reads until `bytes` are there. 1, or as ops->read.
[[nodiscard]] int mr_link_in_need(struct mr_link_in *in, size_t bytes, int timeout_ms);
