// A client for tests of the dataplane.
#include "tests/lib/net_client.h"

#include "hw/uring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUND_NS = 10000 };

static struct tcp_world *world;

enum net_over net_over;

const char *net_over_name(void)
{
	static const char *const names[] = {"plain", "tcp", "uring"};

	return names[net_over];
}

const char *net_over_host(void)
{
	return net_over == OVER_TCP ? TCP_WORLD_SERVER4 : "127.0.0.1";
}

static void open_world(struct net_over_parts *p, struct mr_net_options *o)
{
	const struct mr_tcp_options tcp = {
		.memory_bytes = 64 << 20, .send_queue_max = o->send_buffer ? 64 << 10 : 0};

	tcp_world_open(&p->world, &p->clock, &tcp);
	o->stack = p->world.stacks[0];
	o->port = p->world.ports[0];
	world = &p->world;
}

void net_over_open(struct net_over_parts *p, struct mr_net_options *o)
{
	mr_clock_sim_init(&p->clock, 0);
	if (net_over == OVER_URING)
		MR_ASSERT(mr_uring_create(&p->uring, NULL) == 0);
	if (net_over == OVER_TCP)
		open_world(p, o);
	o->uring = p->uring;
	o->clock = &p->clock.clock;
	o->node = -1;
}

void net_over_turn(struct net_over_parts *p)
{
	if (net_over != OVER_TCP)
		return;
	tcp_world_turn(&p->world);
	p->clock.ns += ROUND_NS;
}

void net_over_close(struct net_over_parts *p)
{
	if (net_over == OVER_TCP)
		tcp_world_close(&p->world);
	if (!p->uring)
		return;
	MR_ASSERT(mr_uring_in_flight(p->uring) == 0);
	mr_uring_destroy(p->uring);
}

int net_over_each(int (*run)(const char *network))
{
	int failed = 0;

	for (net_over = OVER_PLAIN; net_over <= OVER_URING; net_over++) {
		if (net_over == OVER_URING && mr_uring_probe() != 0)
			printf("io_uring is not to be had here: its part is left out\n");
		else
			failed += run(net_over_name());
		world = NULL; // clients are sockets again
	}
	return failed;
}

// ---- a connection of the client's stack

static void on_connected(struct mr_tcp_conn *conn, int err)
{
	struct net_client *c = mr_tcp_user(conn);

	c->connected = err == 0;
	if (!err)
		return;
	c->conn = NULL;
	c->ended = true;
	c->error = -err;
}

static size_t on_data(struct mr_tcp_conn *conn, struct mr_span bytes)
{
	struct net_client *c = mr_tcp_user(conn);

	if (!c->reads) {
		c->paused = true;
		mr_tcp_pause(conn);
		return 0;
	}
	mr_buf_add(&c->in, bytes.data, bytes.bytes);
	return bytes.bytes;
}

static void on_ended(struct mr_tcp_conn *conn)
{
	((struct net_client *)mr_tcp_user(conn))->ended = true;
}

static void on_closed(struct mr_tcp_conn *conn, int err)
{
	struct net_client *c = mr_tcp_user(conn);

	c->conn = NULL;
	c->ended = true;
	c->error = err ? -err : c->error;
}

static void on_sendable(struct mr_tcp_conn *)
{
}

static const struct mr_tcp_events client_events = {
	.connected = on_connected,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

static void open_conn(struct net_client *c, const struct mr_net_addr *at)
{
	struct mr_ip local, peer;

	*c = (struct net_client){.reads = true, .world = world};
	MR_ASSERT(mr_ip_parse(at->is_v6 ? TCP_WORLD_CLIENT6 : TCP_WORLD_CLIENT4, &local) == 0);
	MR_ASSERT(mr_ip_parse(at->is_v6 ? TCP_WORLD_SERVER6 : TCP_WORLD_SERVER4, &peer) == 0);
	MR_ASSERT(mr_tcp_connect(mr_stack_tcp(world->stacks[1]), &local, 0, &peer, at->port,
			  &client_events, c, &c->conn) == 0);
	tcp_world_turn(world);
}

static ssize_t send_some(struct net_client *c, const uint8_t *data, size_t bytes)
{
	size_t n;

	if (!c->world)
		return send(c->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	n = c->conn && c->connected ? mr_tcp_send(c->conn, data, bytes) : 0;
	errno = c->error ? c->error : EAGAIN;
	return n ? (ssize_t)n : -1;
}

static void shut_side(struct net_client *c)
{
	if (!c->world)
		shutdown(c->fd, SHUT_WR);
	else if (c->conn)
		mr_tcp_shutdown(c->conn);
}

// ---- either kind

void net_client_open(struct net_client *c, const struct mr_net_addr *at, int receive_buffer)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(at->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(at->port)};
	int one = 1;

	if (world) {
		open_conn(c, at);
		return;
	}
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
	if (c->fd >= 0 && !c->world)
		close(c->fd);
	if (c->conn) {
		mr_tcp_close(c->conn);
		tcp_world_turn(c->world);
	}
	c->conn = NULL;
	c->fd = -1;
	mr_buf_fini(&c->out);
	mr_buf_fini(&c->in);
}

void net_client_reset(struct net_client *c)
{
	struct linger l = {1, 0};

	if (!c->world)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	if (c->conn)
		mr_tcp_abort(c->conn);
	c->conn = NULL;
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
		sent = send_some(c, c->out.data + c->out_at, n);
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
			shut_side(c);
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
	if (c->world) {
		if (c->reads && c->paused && c->conn) {
			c->paused = false;
			mr_tcp_resume(c->conn);
		}
		tcp_world_turn(c->world);
	} else if (c->reads) {
		pump_in(c);
	}
}
