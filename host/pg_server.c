// The PostgreSQL port: its listener and its sessions.
#include "host/pg_int.h"

#include <errno.h>
#include <stdlib.h>

struct mr_pg_server {
	struct mr_pg_opts opts;
	struct mr_session_group group;
	struct mr_listener *listener;
};

static void server_serve(void *owner, struct mr_link *link)
{
	struct mr_pg_server *server = owner;
	struct mr_seat seat;

	mr_sessions_attach(&server->group, &seat, link);
	mr_pg_session_run(&server->opts, &seat);
	mr_sessions_detach(&seat);
}

static void server_interrupt(void *owner)
{
	struct mr_pg_server *server = owner;

	mr_sessions_stop(&server->group);
}

int mr_pg_start(const struct mr_pg_opts *opts, struct mr_pg_server **out)
{
	// Beyond the reserve there is no thread to find out what the client is; this ErrorResponse
	// is right for all but those that ask for SSL first.
	static const char refusal[] = "E\0\0\0\x3bSFATAL\0VFATAL\0C53300\0"
				      "Msorry, too many clients already\0\0";
	struct mr_pg_server *server = calloc(1, sizeof(*server));
	const struct mr_listener_opts listener = {
		.name = "sql",
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
	server->group = (struct mr_session_group){.sessions = opts->sessions, .port = "sql"};
	rc = mr_listener_start(&listener, &server->listener);
	if (rc < 0) {
		free(server);
		return rc;
	}
	*out = server;
	return 0;
}

uint16_t mr_pg_port(const struct mr_pg_server *server)
{
	return mr_listener_port(server->listener);
}

void mr_pg_stop(struct mr_pg_server *server)
{
	if (!server)
		return;
	mr_listener_stop(server->listener);
	free(server);
}

int mr_pg_metrics(struct mr_pg_server *server, struct mr_metrics *m)
{
	return mr_listener_metrics(server->listener, m);
}
