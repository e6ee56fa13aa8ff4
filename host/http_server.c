// The HTTP port: its listener and its connections.
#include "host/http_int.h"

#include <errno.h>
#include <stdlib.h>

struct mr_http_server {
	struct mr_http_opts opts;
	struct mr_session_group group;
	struct mr_listener *listener;
};

static void server_serve(void *owner, struct mr_link *link)
{
	struct mr_http_server *server = owner;
	struct mr_seat seat;

	mr_sessions_attach(&server->group, &seat, link);
	mr_http_session_run(&server->opts, &seat);
	mr_sessions_detach(&seat);
}

static void server_interrupt(void *owner)
{
	struct mr_http_server *server = owner;

	mr_sessions_stop(&server->group);
}

int mr_http_start(const struct mr_http_opts *opts, struct mr_http_server **out)
{
	static const char refusal[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
				      "Content-Length: 0\r\n\r\n";
	struct mr_http_server *server = calloc(1, sizeof(*server));
	const struct mr_listener_opts listener = {
		.name = "http",
		.address = opts->address,
		.port = opts->port,
		.connections_max = opts->connections_max,
		.refusal = mr_span(refusal, sizeof(refusal) - 1),
		.thread_start = opts->thread_start,
		.thread_arg = opts->thread_arg,
		.serve = server_serve,
		.interrupt = server_interrupt,
		.owner = server,
	};
	int rc;

	if (!server)
		return -ENOMEM;
	server->opts = *opts;
	server->group = (struct mr_session_group){.sessions = opts->sessions, .port = "http"};
	rc = mr_listener_start(&listener, &server->listener);
	if (rc < 0) {
		free(server);
		return rc;
	}
	*out = server;
	return 0;
}

uint16_t mr_http_port(const struct mr_http_server *server)
{
	return mr_listener_port(server->listener);
}

void mr_http_stop(struct mr_http_server *server)
{
	if (!server)
		return;
	mr_listener_stop(server->listener);
	free(server);
}

int mr_http_metrics(struct mr_http_server *server, struct mr_metrics *m)
{
	return mr_listener_metrics(server->listener, m);
}
