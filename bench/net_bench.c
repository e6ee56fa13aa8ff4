// Requests a second and megabytes a second of the connection layer, per core of the server.
//
// A server thread runs one net with an echo protocol (small) or one that answers four bytes
// (large); the client is another thread with blocking sockets and a fixed number of requests on the
// way. What counts is the server's CPU time: on a machine with two cores the client may be the
// slower one.
// `--smoke` runs sizes that only show that it works.
#include "dataplane/conn.h"
#include "hw/uring.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct job {
	const char *name;
	size_t request_bytes;
	unsigned connections;
	unsigned window; // requests on the way per connection
	uint64_t requests;
	bool echo;
};

struct server {
	bool uring;
	bool echo;
	_Atomic bool stop;
	_Atomic uint16_t port;
	double cpu_s;
	uint64_t turns;
	uint64_t sends;
	uint64_t in_place;
	uint64_t placed_bytes;
};

static double seconds(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void on_request(void *owner, struct mr_request *rq)
{
	const struct server *s = owner;

	mr_request_add(
		rq, s->echo ? (const void *)rq->in.data : "done", s->echo ? rq->in.bytes : 4);
	mr_request_done(rq);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct mr_protocol protocol = {.owner = s, .request = on_request};
	struct mr_net_options o = {.clock = &mr_clock_system, .node = -1};
	struct mr_net *net;
	struct mr_conns *conns;
	uint16_t port;
	double start;

	if (s->uring)
		MR_ASSERT(mr_uring_create(&o.uring, NULL) == 0);
	MR_ASSERT(mr_net_create(&o, &net) == 0);
	MR_ASSERT(mr_conns_create(net, NULL, -1, &conns) == 0);
	MR_ASSERT(mr_conns_listen(conns, "127.0.0.1", 0, &protocol, &port) == 0);
	mr_net_turn(net, 0);
	atomic_store(&s->port, port);
	start = seconds(CLOCK_THREAD_CPUTIME_ID);
	while (!atomic_load_explicit(&s->stop, memory_order_relaxed))
		MR_ASSERT(mr_net_turn(net, 10000000) >= 0);
	s->cpu_s = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
	s->turns = mr_net_counters(net)->turns;
	s->sends = mr_conns_counters(conns)->sends;
	s->in_place = mr_conns_counters(conns)->requests_in_place;
	s->placed_bytes = mr_net_counters(net)->placed_bytes;
	mr_conns_destroy(conns);
	mr_net_destroy(net);
	mr_uring_destroy(o.uring);
	return NULL;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MR_ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void all(int fd, uint8_t *data, size_t bytes, bool out)
{
	while (bytes) {
		ssize_t n = out ? send(fd, data, bytes, 0) : recv(fd, data, bytes, 0);

		MR_ASSERT(n > 0);
		data += n;
		bytes -= (size_t)n;
	}
}

// Each connection in turn gets `window` requests, and gives as many answers.
static void drive(const struct job *j, uint16_t port, uint64_t rounds)
{
	size_t frame = 4 + j->request_bytes, answer = 4 + (j->echo ? j->request_bytes : 4);
	uint8_t *out = calloc(j->window, frame), *in = malloc(j->window * answer);
	int *fds = malloc(j->connections * sizeof(*fds));

	MR_ASSERT(out && in && fds);
	for (unsigned i = 0; i < j->window; i++)
		mr_store_be32(out + i * frame, (uint32_t)j->request_bytes);
	for (unsigned i = 0; i < j->connections; i++)
		fds[i] = connect_to(port);
	for (unsigned i = 0; i < j->connections; i++)
		all(fds[i], out, j->window * frame, true);
	for (uint64_t r = 1; r < rounds; r++)
		for (unsigned i = 0; i < j->connections; i++) {
			all(fds[i], in, j->window * answer, false);
			all(fds[i], out, j->window * frame, true);
		}
	for (unsigned i = 0; i < j->connections; i++) {
		all(fds[i], in, j->window * answer, false);
		close(fds[i]);
	}
	free(fds);
	free(in);
	free(out);
}

static void run(const struct job *j, bool uring, bool smoke)
{
	struct server s = {.uring = uring, .echo = j->echo};
	uint64_t per_round = (uint64_t)j->connections * j->window;
	uint64_t rounds = smoke ? 2 : MR_MAX(j->requests / per_round, (uint64_t)2);
	double start, wall, requests = (double)(rounds * per_round);
	pthread_t thread;

	MR_ASSERT(pthread_create(&thread, NULL, serve, &s) == 0);
	while (!atomic_load(&s.port))
		usleep(1000);
	start = seconds(CLOCK_MONOTONIC);
	drive(j, s.port, rounds);
	wall = seconds(CLOCK_MONOTONIC) - start;
	atomic_store(&s.stop, true);
	pthread_join(thread, NULL);
	printf("%-22s %-6s %9.0f req/s %9.0f req/cpu-s %8.0f MB/s %8.0f MB/cpu-s  sends %.2f "
	       "in-place %.2f direct %.2f\n",
		j->name, uring ? "uring" : "plain", requests / wall, requests / s.cpu_s,
		requests * (double)j->request_bytes / wall / 1e6,
		requests * (double)j->request_bytes / s.cpu_s / 1e6, (double)s.sends / requests,
		(double)s.in_place / requests,
		(double)s.placed_bytes / (requests * (double)j->request_bytes));
}

int main(int argc, char **argv)
{
	static const struct job jobs[] = {
		{"100 B, 1 x 1", 100, 1, 1, 100000, true},
		{"100 B, 1 x 64", 100, 1, 64, 2000000, true},
		{"100 B, 64 x 4", 100, 64, 4, 1000000, true},
		{"16 KiB, 8 x 4", 16 << 10, 8, 4, 200000, false},
		{"128 KiB, 4 x 4", 128 << 10, 4, 4, 40000, false},
		{"1 MiB, 4 x 2", 1 << 20, 4, 2, 5000, false},
	};
	bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
	bool uring = mr_uring_probe() == 0;

	for (size_t i = 0; i < MR_COUNT_OF(jobs); i++) {
		run(&jobs[i], false, smoke);
		if (uring)
			run(&jobs[i], true, smoke);
	}
	return 0;
}
