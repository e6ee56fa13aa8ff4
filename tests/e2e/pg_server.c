// A server of the SQL and HTTP ports over an empty catalog, for tests of real clients. Prints
// "ready sql=PORT" and serves until SIGTERM. Usage: pg_server [CONNECTIONS_MAX [TIMEOUT_MS]]
#include "host/pg.h"
#include "tests/lib/sql_fake.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct mr_pg_opts opts = {
		.address = "127.0.0.1",
		.connections_max = argc > 1 ? (uint32_t)atoi(argv[1]) : 100,
		.env = &mr_fake_env,
		.clock = &mr_clock_system,
		.query_bytes_max = 64u << 20,
		.thread_start = mr_thread_lower_priority,
	};
	struct mr_pg_server *server;
	sigset_t stop;
	int rc, sig;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	rc = mr_sessions_create(
		&mr_clock_system, argc > 2 ? (uint64_t)atoi(argv[2]) : 0, &opts.sessions);
	if (rc == 0)
		rc = mr_pg_start(&opts, &server);
	if (rc < 0) {
		fprintf(stderr, "cannot listen: %s\n", mr_err_text(rc));
		return 1;
	}
	printf("ready sql=%u\n", mr_pg_port(server));
	fflush(stdout);
	sigwait(&stop, &sig);
	mr_pg_stop(server);
	mr_sessions_destroy(opts.sessions);
	return 0;
}
