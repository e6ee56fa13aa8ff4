// An acceptor and its group of sessions; and the two servers there are.
#include "host/server.h"

#include "host/http_int.h"
#include "host/pg_int.h"

#include <errno.h>
#include <stdlib.h>

// What the two servers differ in.
struct protocol {
	const char *name;       // "sql", "http"
	struct mr_span refusal; // to those who find no thread at all
	// Runs one session, the seat's link, to its end.
	void (*run)(const void *opts, struct mr_seat *seat);
	const void *opts;
};

struct mr_server {
	struct protocol protocol;
	struct mr_session_group group;
	struct mr_acceptor *acceptor;
};

static void serve(void *owner, struct mr_link *link)
{
	struct mr_server *s = owner;
	struct mr_seat seat;

	mr_sessions_attach(&s->group, &seat, link);
	s->protocol.run(s->protocol.opts, &seat);
	mr_sessions_detach(&seat);
}

static void interrupt(void *owner)
{
	struct mr_server *s = owner;

	mr_sessions_stop(&s->group);
}

static int start(
	const struct mr_server_opts *opts, struct protocol protocol, struct mr_server **out)
{
	struct mr_server *s = calloc(1, sizeof(*s));
	const struct mr_acceptor_opts acceptor = {
		.name = protocol.name,
		.address = opts->address,
		.port = opts->port,
		.connections_max = opts->connections_max,
		.descriptors_end = opts->descriptors_end,
		.refusal = protocol.refusal,
		.thread_start = opts->thread_start,
		.thread_arg = opts->thread_arg,
		.serve = serve,
		.interrupt = interrupt,
		.owner = s,
	};
	int rc;

	if (!s)
		return -ENOMEM;
	s->protocol = protocol;
	s->group = (struct mr_session_group){.sessions = opts->sessions, .port = protocol.name};
	rc = mr_acceptor_start(&acceptor, &s->acceptor);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

uint16_t mr_server_port(const struct mr_server *s)
{
	return mr_acceptor_port(s->acceptor);
}

void mr_server_stop(struct mr_server *s)
{
	if (!s)
		return;
	mr_acceptor_stop(s->acceptor);
	free(s);
}

int mr_server_metrics(struct mr_server *s, struct mr_metrics *m)
{
	return mr_acceptor_metrics(s->acceptor, m);
}

// ---- SQL and HTTP

static void run_pg(const void *opts, struct mr_seat *seat)
{
	mr_pg_session_run(opts, seat);
}

int mr_pg_start(const struct mr_pg_opts *o, struct mr_server **out)
{
	// Without a thread nobody finds out what the client is; this ErrorResponse is right for all
	// but those that ask for SSL first.
	static const char refusal[] = "E\0\0\0\x3bSFATAL\0VFATAL\0C53300\0"
				      "Msorry, too many clients already\0\0";

	return start(&o->server,
		(struct protocol){"sql", mr_span(refusal, sizeof(refusal) - 1), run_pg, o}, out);
}

static void run_http(const void *opts, struct mr_seat *seat)
{
	mr_http_session_run(opts, seat);
}

int mr_http_start(const struct mr_http_opts *o, struct mr_server **out)
{
	static const char refusal[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
				      "Content-Length: 0\r\n\r\n";

	return start(&o->server,
		(struct protocol){"http", mr_span(refusal, sizeof(refusal) - 1), run_http, o}, out);
}
