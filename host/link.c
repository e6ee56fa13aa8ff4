// Links over sockets, and their buffered input.
#include "host/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// One read of the socket asks for this much; a bigger message grows the buffer by what it needs.
#define LINK_READ_BYTES (16u << 10)

// Waits for the socket, the stop, or, reading, to be woken. 0, -ETIMEDOUT, MR_ERR_STOPPED or
// -errno.
static int link_wait(struct mr_link_tcp *t, short events, int timeout_ms)
{
	struct pollfd fds[3] = {{t->fd, events, 0}, {t->stop_fd, POLLIN, 0},
		{events == POLLIN ? t->wake_fd : -1, POLLIN, 0}};
	eventfd_t times;
	int n;

	do {
		n = poll(fds, 3, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	if (fds[1].revents)
		return MR_ERR_STOPPED;
	return fds[2].revents && eventfd_read(t->wake_fd, &times) == 0 ? -EINTR : 0;
}

static void count(_Atomic uint64_t *c, ssize_t bytes)
{
	atomic_fetch_add_explicit(c, (uint64_t)bytes, memory_order_relaxed);
}

static int link_tcp_read(struct mr_link *l, void *data, size_t bytes_max, int timeout_ms)
{
	struct mr_link_tcp *t = MR_CONTAINER(l, struct mr_link_tcp, link);
	ssize_t n;
	int rc;

	for (;;) {
		n = recv(t->fd, data, bytes_max, MSG_DONTWAIT);
		if (n >= 0) {
			count(&l->received_bytes, n);
			return (int)n;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		rc = link_wait(t, POLLIN, timeout_ms);
		if (rc < 0)
			return rc;
	}
}

static int link_tcp_write(struct mr_link *l, const void *data, size_t bytes)
{
	struct mr_link_tcp *t = MR_CONTAINER(l, struct mr_link_tcp, link);
	const uint8_t *at = data;
	ssize_t n;
	int rc;

	while (bytes > 0) {
		n = send(t->fd, at, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			count(&l->sent_bytes, n);
			at += n;
			bytes -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		rc = link_wait(t, POLLOUT, t->write_timeout_ms);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void link_tcp_end_input(struct mr_link *l)
{
	shutdown(MR_CONTAINER(l, struct mr_link_tcp, link)->fd, SHUT_RD);
}

static void link_tcp_wake(struct mr_link *l)
{
	const struct mr_link_tcp *t = MR_CONTAINER(l, struct mr_link_tcp, link);

	if (t->wake_fd >= 0)
		eventfd_write(t->wake_fd, 1);
}

static void link_tcp_cut(struct mr_link *l)
{
	shutdown(MR_CONTAINER(l, struct mr_link_tcp, link)->fd, SHUT_RDWR);
}

static const struct mr_link_ops link_tcp_ops = {
	link_tcp_read, link_tcp_write, link_tcp_end_input, link_tcp_wake, link_tcp_cut};

void mr_link_tcp_init(struct mr_link_tcp *t, int fd, int stop_fd, int wake_fd)
{
	*t = (struct mr_link_tcp){
		.link = {.ops = &link_tcp_ops},
		.fd = fd,
		.stop_fd = stop_fd,
		.wake_fd = wake_fd,
		.write_timeout_ms = MR_LINK_WRITE_TIMEOUT_MS,
	};
}

int mr_link_in_more(struct mr_link_in *in, int timeout_ms)
{
	struct mr_buf *b = &in->buf;
	uint8_t *room;
	int n;

	if (in->at == b->bytes && b->bytes_max > MR_LINK_KEEP_BYTES)
		mr_buf_fini(b);
	if (in->at > 0) {
		b->bytes -= MR_MIN(in->at, b->bytes);
		if (b->bytes > 0)
			memmove(b->data, b->data + in->at, b->bytes);
		in->at = 0;
	}
	room = mr_buf_room(b, LINK_READ_BYTES);
	if (!room)
		return -ENOMEM;
	do {
		n = in->link->ops->read(in->link, room, b->bytes_max - b->bytes, timeout_ms);
	} while (n == -EINTR && !in->is_wakeable);
	if (n > 0)
		b->bytes += (size_t)n;
	return n;
}

int mr_link_in_need(struct mr_link_in *in, size_t bytes, int timeout_ms)
{
	int n;

	while (mr_link_in_span(in).bytes < bytes) {
		n = mr_link_in_more(in, timeout_ms);
		if (n <= 0)
			return n;
	}
	return 1;
}
