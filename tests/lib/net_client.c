// A client for tests of the dataplane.
#include "tests/lib/net_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

void net_client_open(struct net_client *c, const struct mr_net_addr *at, int receive_buffer)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(at->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(at->port)};
	int one = 1;

	memcpy(&in.sin_addr, at->ip, 4);
	memcpy(&in6.sin6_addr, at->ip, 16);
	*c = (struct net_client){.reads = true};
	c->fd = socket(at->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MR_ASSERT(c->fd >= 0);
	if (receive_buffer)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (at->is_v6)
		MR_ASSERT(connect(c->fd, (struct sockaddr *)&in6, sizeof(in6)) == 0);
	else
		MR_ASSERT(connect(c->fd, (struct sockaddr *)&in, sizeof(in)) == 0);
}

void net_client_close(struct net_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	mr_buf_fini(&c->out);
	mr_buf_fini(&c->in);
}

void net_client_reset(struct net_client *c)
{
	struct linger l = {1, 0};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	net_client_close(c);
}

uint8_t net_client_byte(uint64_t seed, size_t i)
{
	return (uint8_t)((seed * 0x9e3779b97f4a7c15u >> 32) + i * 7 + (i >> 8));
}

void net_client_frame(struct net_client *c, size_t bytes, uint64_t seed)
{
	uint8_t *p;

	mr_buf_be32(&c->out, (uint32_t)bytes);
	p = mr_buf_extend(&c->out, bytes);
	MR_ASSERT(p);
	for (size_t i = 0; i < bytes; i++)
		p[i] = net_client_byte(seed, i);
}

static void pump_out(struct net_client *c, struct mr_rand *r)
{
	while (!c->error && c->out_at < c->out.bytes) {
		size_t left = c->out.bytes - c->out_at, n = left;
		ssize_t sent;

		if (c->chunk_max) {
			size_t chunk =
				r ? 1 + (size_t)mr_rand_below(r, c->chunk_max) : c->chunk_max;

			n = MR_MIN(left, chunk);
		}
		sent = send(c->fd, c->out.data + c->out_at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0) {
			c->error = errno == EAGAIN ? 0 : errno;
			break;
		}
		c->out_at += (size_t)sent;
		if (c->chunk_max) // the server shall see the pieces
			break;
	}
	if (c->out_at && c->out_at == c->out.bytes) {
		mr_buf_reset(&c->out);
		c->out_at = 0;
		if (c->shut)
			shutdown(c->fd, SHUT_WR);
		c->shut = false;
	}
}

static void pump_in(struct net_client *c)
{
	while (!c->ended) {
		uint8_t *p = mr_buf_room(&c->in, 64 << 10);
		ssize_t n;

		MR_ASSERT(p);
		n = recv(c->fd, p, 64 << 10, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			c->ended = true;
			c->error = n < 0 ? errno : c->error;
			break;
		}
		mr_buf_extend(&c->in, (size_t)n);
	}
}

void net_client_pump(struct net_client *c, struct mr_rand *r)
{
	if (c->fd < 0)
		return;
	pump_out(c, r);
	if (c->reads)
		pump_in(c);
}
