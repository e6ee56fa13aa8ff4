// The wire benchmark's load over kernel sockets: the measure that our own stack is held against.
#include "client/wire_load.h"

#include "dataplane/stream.h"
#include "host/base/clock.h"
#include "host/base/err.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, POLL_MS = 100, DRAIN_NS = 2000000000 };

struct sock {
	struct mr_wire_conn conn;
	int fd;
};

static int fail(char error[400], const char *what, const char *to, int rc)
{
	snprintf(error, 400, "%s %s: %s", what, to, mr_err_text(rc));
	return rc;
}

static int dial(const struct mr_net_addr *a)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
	int fd = socket(a->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	int rc;

	if (fd < 0)
		return -errno;
	memcpy(&v4.sin_addr, a->ip, 4);
	memcpy(&v6.sin6_addr, a->ip, 16);
	rc = a->is_v6 ? connect(fd, (const struct sockaddr *)&v6, sizeof(v6))
		      : connect(fd, (const struct sockaddr *)&v4, sizeof(v4));
	if (rc == 0)
		rc = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (rc == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int push(struct sock *s, int64_t now)
{
	struct mr_span out;

	while (mr_wire_next(&s->conn, &out)) {
		ssize_t n = send(s->fd, out.data, out.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		mr_wire_sent(&s->conn, (size_t)n, now);
	}
	return 0;
}

static int pull(struct sock *s)
{
	uint8_t bytes[READ_BYTES];

	for (;;) {
		ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		int rc;

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return -ECONNRESET;
		rc = mr_wire_received(
			&s->conn, mr_span(bytes, (size_t)n), mr_now_ns(&mr_clock_system));
		if (rc < 0 || (size_t)n < sizeof(bytes))
			return rc;
	}
}

// One round: whoever has answers is read, whoever may send sends.
static int turn(struct sock *socks, struct pollfd *polls, uint32_t count)
{
	struct mr_span out;
	int rc = 0;

	for (uint32_t i = 0; i < count; i++)
		polls[i] = (struct pollfd){.fd = socks[i].fd,
			.events = (short)(POLLIN |
					  (mr_wire_next(&socks[i].conn, &out) ? POLLOUT : 0))};
	if (poll(polls, count, POLL_MS) < 0 && errno != EINTR)
		return -errno;
	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		if (polls[i].revents & (POLLIN | POLLHUP | POLLERR))
			rc = pull(&socks[i]);
		if (rc == 0)
			rc = push(&socks[i], mr_now_ns(&mr_clock_system));
	}
	return rc;
}

static int run(struct mr_wire_load *l, struct sock *socks, struct pollfd *polls, uint32_t count,
	double seconds)
{
	int64_t end = mr_now_ns(&mr_clock_system) + (int64_t)(seconds * 1e9);
	int rc = 0;

	while (rc == 0) {
		int64_t now = mr_now_ns(&mr_clock_system);

		l->stopping = now >= end;
		if (l->stopping &&
			(l->requests_answered == l->requests_sent || now >= end + DRAIN_NS))
			break;
		rc = turn(socks, polls, count);
	}
	return rc;
}

int mr_wire_over_sockets(struct mr_wire_load *l, const char *to, uint32_t connections,
	double seconds, char error[400])
{
	struct sock *socks = calloc(connections, sizeof(*socks));
	struct pollfd *polls = calloc(connections, sizeof(*polls));
	const char *colon = strrchr(to, ':');
	struct mr_net_addr at;
	char host[64];
	uint32_t opened = 0;
	int rc = socks && polls ? 0 : -ENOMEM;

	snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - to) : 0, to);
	if (rc == 0)
		rc = colon ? mr_net_addr_parse(host, (uint16_t)atoi(colon + 1), &at) : -EINVAL;
	if (rc < 0)
		fail(error, "no address:", to, rc);
	while (rc == 0 && opened < connections) {
		mr_wire_conn_init(&socks[opened].conn, l, opened);
		socks[opened].fd = dial(&at);
		if (socks[opened].fd < 0)
			rc = fail(error, "cannot connect to", to, socks[opened].fd);
		else
			opened++;
	}
	if (rc == 0) {
		rc = run(l, socks, polls, connections, seconds);
		if (rc < 0)
			fail(error, "connection to", to, rc);
	}
	for (uint32_t i = 0; i < opened; i++) {
		struct tcp_info info = {0};
		socklen_t bytes = sizeof(info);

		if (getsockopt(socks[i].fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0)
			l->retransmits += info.tcpi_total_retrans;
		close(socks[i].fd);
	}
	free(socks);
	free(polls);
	return rc;
}
