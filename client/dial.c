// Addresses and TCP connections.
#include "client/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int mr_kafka_address_parse(const char *text, struct mr_kafka_address *out)
{
	const char *colon = strrchr(text, ':'), *host = text;
	size_t bytes = colon ? (size_t)(colon - text) : 0;

	if (bytes > 1 && text[0] == '[' && colon[-1] == ']') {
		host++;
		bytes -= 2;
	}
	if (!colon || bytes == 0 || bytes >= sizeof(out->host) || !colon[1] ||
		strlen(colon + 1) >= sizeof(out->port) ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	memcpy(out->host, host, bytes);
	out->host[bytes] = 0;
	memcpy(out->port, colon + 1, strlen(colon + 1) + 1);
	return 0;
}

// Waits for a non-blocking connect. 0 or -errno.
static int await_connect(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t bytes = sizeof(int);
	int error = 0;

	if (poll(&p, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
		return -errno;
	return -error;
}

static int make_blocking(int fd, int timeout_ms)
{
	struct timeval t = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	int e = await_connect(fd, timeout_ms);

	if (e < 0)
		return e;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0)
		return -errno;
	return 0;
}

static int dial_one(const struct addrinfo *a, bool blocking, int timeout_ms)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, e = 0;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
		e = -errno;
	if (e == 0 && blocking)
		e = make_blocking(fd, timeout_ms);
	if (e == 0)
		return fd;
	close(fd);
	return e;
}

int mr_kafka_dial(const struct mr_kafka_address *to, bool blocking, int timeout_ms)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int fd = -EHOSTUNREACH;

	if (getaddrinfo(to->host, to->port, &hints, &list) != 0)
		return -EHOSTUNREACH;
	// Only a blocking dial can tell that an address does not answer and try the next.
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = dial_one(a, blocking, timeout_ms);
	freeaddrinfo(list);
	return fd;
}
