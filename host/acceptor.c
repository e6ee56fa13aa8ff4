// The acceptor and its pool of connection threads.
#include "host/acceptor.h"

#include "host/base/note.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// How long to leave the queue alone after accept failed for want of descriptors or memory.
#define ACCEPT_PAUSE_MS 100

enum slot_state {
	SLOT_FREE,
	SLOT_RUNNING,
	SLOT_DONE, // its thread has only to be joined
};

struct slot {
	struct mr_acceptor *listener;
	struct mr_link_tcp tcp;
	pthread_t thread;
	_Atomic int state; // acceptor: FREE -> RUNNING, DONE -> FREE; its thread: RUNNING -> DONE
};

// Read at any time, by any thread.
struct acceptor_stats {
	_Atomic uint64_t accepted;
	_Atomic uint64_t refused; // over the limit
	_Atomic uint64_t accept_errors;
	_Atomic uint64_t open; // connections now, those being refused included
};

struct mr_acceptor {
	struct mr_acceptor_opts opts;
	struct acceptor_stats stats;
	int fd;
	int stop_fd;
	uint16_t port;
	pthread_t thread;
	int accept_error; // that has been told; the thread's
	uint32_t slots_count;
	struct slot slots[];
};

void mr_thread_lower_priority(void *)
{
	// On Linux the nice value belongs to the thread. A failure only means equal priority.
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), 10) < 0)
		mr_note(MR_NOTE_DEBUG, "acceptor", "nice=failed errno=%d", errno);
}

static void thread_begin(const struct mr_acceptor *l)
{
	char name[16];

	snprintf(name, sizeof(name), "mr-%s", l->opts.name);
	pthread_setname_np(pthread_self(), name);
	if (l->opts.thread_start)
		l->opts.thread_start(l->opts.thread_arg);
}

// Ends our side and reads what the client still sends for a moment: closing a socket with unread
// input sends a reset, which may overtake our last message.
static void connection_close(struct slot *s)
{
	char rest[4096];
	int fd = s->tcp.fd;

	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 16; i++) {
		struct pollfd p = {fd, POLLIN, 0};

		if (poll(&p, 1, 50) <= 0 || recv(fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0)
			break;
	}
	close(fd);
	close(s->tcp.wake_fd);
}

static void *connection_thread(void *arg)
{
	struct slot *s = arg;
	struct mr_acceptor *l = s->listener;

	thread_begin(l);
	l->opts.serve(l->opts.owner, &s->tcp.link);
	connection_close(s);
	atomic_fetch_sub_explicit(&l->stats.open, 1, memory_order_relaxed);
	atomic_store_explicit(&s->state, SLOT_DONE, memory_order_release);
	return NULL;
}

static struct slot *slot_take(struct mr_acceptor *l)
{
	for (uint32_t i = 0; i < l->slots_count; i++) {
		struct slot *s = &l->slots[i];
		int state = atomic_load_explicit(&s->state, memory_order_acquire);

		if (state == SLOT_DONE) {
			pthread_join(s->thread, NULL);
			atomic_store_explicit(&s->state, SLOT_FREE, memory_order_relaxed);
			state = SLOT_FREE;
		}
		if (state == SLOT_FREE)
			return s;
	}
	return NULL;
}

static bool address_is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void peer_text(const struct sockaddr_storage *a, char out[64])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	char text[INET6_ADDRSTRLEN] = "?";
	bool is_v4 = a->ss_family == AF_INET;

	inet_ntop(a->ss_family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, text,
		sizeof(text));
	snprintf(out, 64, is_v4 ? "%s:%u" : "[%s]:%u", text,
		ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
}

static int connection_thread_create(struct slot *s)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, MR_ACCEPTOR_STACK_BYTES);
	rc = pthread_create(&s->thread, &attr, connection_thread, s);
	pthread_attr_destroy(&attr);
	return -rc;
}

static void connection_refuse(struct mr_acceptor *l, int fd)
{
	atomic_fetch_add_explicit(&l->stats.refused, 1, memory_order_relaxed);
	if (send(fd, l->opts.refusal.data, l->opts.refusal.bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		mr_note(MR_NOTE_DEBUG, l->opts.name, "refusal=unsent");
	close(fd);
}

static bool beyond(const struct mr_acceptor *l, int fd)
{
	return l->opts.descriptors_end && fd >= l->opts.descriptors_end;
}

static void connection_begin(struct mr_acceptor *l, int fd, const struct sockaddr_storage *from)
{
	struct sockaddr_storage local;
	socklen_t bytes = sizeof(local);
	struct slot *s = slot_take(l);
	int wake_fd = s ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	const int on = 1;
	uint64_t open;

	if (wake_fd < 0 || beyond(l, fd) || beyond(l, wake_fd)) {
		if (wake_fd >= 0)
			close(wake_fd);
		connection_refuse(l, fd);
		return;
	}
	// Nagle would hold back the end of an answer; keepalive finds peers that have vanished.
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	mr_link_tcp_init(&s->tcp, fd, l->stop_fd, wake_fd);
	peer_text(from, s->tcp.link.peer);
	s->tcp.link.local_port = l->port;
	if (getsockname(fd, (struct sockaddr *)&local, &bytes) == 0)
		s->tcp.link.is_loopback = address_is_loopback(&local);
	open = atomic_fetch_add_explicit(&l->stats.open, 1, memory_order_relaxed);
	s->tcp.link.over_limit = open >= l->opts.connections_max;
	if (s->tcp.link.over_limit)
		atomic_fetch_add_explicit(&l->stats.refused, 1, memory_order_relaxed);
	s->listener = l;
	atomic_store_explicit(&s->state, SLOT_RUNNING, memory_order_relaxed);
	if (connection_thread_create(s) < 0) {
		atomic_store_explicit(&s->state, SLOT_FREE, memory_order_relaxed);
		atomic_fetch_sub_explicit(&l->stats.open, 1, memory_order_relaxed);
		close(wake_fd);
		connection_refuse(l, fd);
	}
}

static void accept_one(struct mr_acceptor *l)
{
	struct sockaddr_storage from;
	socklen_t bytes = sizeof(from);
	int fd = accept4(l->fd, (struct sockaddr *)&from, &bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int err = errno;

	if (fd >= 0) {
		l->accept_error = 0;
		atomic_fetch_add_explicit(&l->stats.accepted, 1, memory_order_relaxed);
		connection_begin(l, fd, &from);
		return;
	}
	if (err == EAGAIN || err == EINTR || err == ECONNABORTED)
		return;
	atomic_fetch_add_explicit(&l->stats.accept_errors, 1, memory_order_relaxed);
	if (err != l->accept_error)
		mr_note(MR_NOTE_WARN, l->opts.name, "accept=failed errno=%d", err);
	l->accept_error = err;
	poll(&(struct pollfd){l->stop_fd, POLLIN, 0}, 1, ACCEPT_PAUSE_MS);
}

static void *accept_thread(void *arg)
{
	struct mr_acceptor *l = arg;
	struct pollfd fds[2] = {{l->fd, POLLIN, 0}, {l->stop_fd, POLLIN, 0}};

	thread_begin(l);
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (fds[0].revents)
			accept_one(l);
	}
	return NULL;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t bytes = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &bytes) < 0)
		return 0;
	return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
					    : ((struct sockaddr_in6 *)&a)->sin6_port);
}

// A listening socket on the first address of the name. Descriptor or -errno.
static int listen_on(const char *address, uint16_t port)
{
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	const int on = 1;
	char service[8];
	int fd, err;

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(address, service, &hints, &found) != 0)
		return -EADDRNOTAVAIL;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 128) < 0)
		goto fail;
	freeaddrinfo(found);
	return fd;
fail:
	err = -errno;
	if (fd >= 0)
		close(fd);
	freeaddrinfo(found);
	return err;
}

int mr_acceptor_start(const struct mr_acceptor_opts *opts, struct mr_acceptor **out)
{
	uint32_t slots = opts->connections_max + MR_ACCEPTOR_RESERVE;
	struct mr_acceptor *l = calloc(1, sizeof(*l) + slots * sizeof(l->slots[0]));
	int rc;

	if (!l)
		return -ENOMEM;
	l->opts = *opts;
	l->slots_count = slots;
	l->fd = rc = listen_on(opts->address, opts->port);
	if (rc < 0)
		goto free_listener;
	l->port = bound_port(l->fd);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop_fd < 0) {
		rc = -errno;
		goto close_socket;
	}
	rc = -pthread_create(&l->thread, NULL, accept_thread, l);
	if (rc < 0)
		goto close_stop;
	*out = l;
	return 0;
close_stop:
	close(l->stop_fd);
close_socket:
	close(l->fd);
free_listener:
	free(l);
	return rc;
}

uint16_t mr_acceptor_port(const struct mr_acceptor *l)
{
	return l->port;
}

int mr_acceptor_metrics(struct mr_acceptor *l, struct mr_metrics *m)
{
	const struct {
		enum mr_metric_kind kind;
		const char *name, *help;
		const _Atomic uint64_t *value;
	} series[] = {
		{MR_METRIC_GAUGE, "millrace_connections", "Connections open on a management port.",
			&l->stats.open},
		{MR_METRIC_COUNTER, "millrace_connections_total",
			"Connections accepted on a management port.", &l->stats.accepted},
		{MR_METRIC_COUNTER, "millrace_connections_refused_total",
			"Connections refused because there were too many.", &l->stats.refused},
		{MR_METRIC_COUNTER, "millrace_accept_errors_total",
			"Connections that could not be accepted.", &l->stats.accept_errors},
	};
	int rc = 0;

	for (size_t i = 0; i < MR_COUNT_OF(series) && rc == 0; i++) {
		const struct mr_metric metric = {
			series[i].kind, series[i].name, series[i].help, {{"port", l->opts.name}}};

		rc = mr_metrics_add(m, &metric, series[i].value);
	}
	return rc;
}

void mr_acceptor_stop(struct mr_acceptor *l)
{
	if (!l)
		return;
	// The eventfd is never read, so it wakes every link now and at each later wait.
	eventfd_write(l->stop_fd, 1);
	pthread_join(l->thread, NULL);
	close(l->fd);
	if (l->opts.interrupt)
		l->opts.interrupt(l->opts.owner);
	for (uint32_t i = 0; i < l->slots_count; i++)
		if (atomic_load_explicit(&l->slots[i].state, memory_order_acquire) != SLOT_FREE)
			pthread_join(l->slots[i].thread, NULL);
	close(l->stop_fd);
	free(l);
}
