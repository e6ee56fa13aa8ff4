// A management server: an acceptor whose connections are listed sessions. SQL and HTTP are one
// each.
#pragma once

#include "host/acceptor.h"
#include "host/sessions.h"

struct mr_server;

// What every server wants to know; its protocol's options begin with it. All that is pointed to is
// borrowed until mr_server_stop.
struct mr_server_opts {
	const char *address;
	uint16_t port; // 0: any free one
	uint32_t connections_max;
	int descriptors_end;          // as of struct mr_acceptor_opts
	struct mr_sessions *sessions; // lists this server's too; shared by all servers
	void (*thread_start)(void *arg);
	void *thread_arg;
};

// mr_pg_start (host/pg.h) and mr_http_start (host/http.h) bind and serve.
uint16_t mr_server_port(const struct mr_server *s);
// Cancels what runs, ends every session in the words of its protocol, waits for all threads, frees.
// NULL is allowed.
void mr_server_stop(struct mr_server *s);
// Adds its counters to a registry, which must not outlive the server. 0 or -ENOMEM.
[[nodiscard]] int mr_server_metrics(struct mr_server *s, struct mr_metrics *m);
