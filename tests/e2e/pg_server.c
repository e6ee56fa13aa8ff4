// A server of the SQL and HTTP ports over relations in memory, for tests of real clients. Prints
// "ready sql=PORT http=PORT" and serves until SIGTERM. Usage: pg_server [CONNECTIONS_MAX
// [TIMEOUT_MS]]
#include "host/http.h"
#include "host/pg.h"
#include "tests/lib/sqltest.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Not well as long as this file is there, so that a test can say so.
static int health(void *owner, struct mr_diag *diag)
{
	const char *file = owner;

	if (!file || access(file, F_OK) != 0)
		return 0;
	return mr_diag_set(diag, MR_ERR_STOPPED, "58030", 0, "writing has failed twice");
}

int main(int argc, char **argv)
{
	struct mr_server_opts server = {
		.address = "127.0.0.1",
		.connections_max = argc > 1 ? (uint32_t)atoi(argv[1]) : 100,
		.thread_start = mr_thread_lower_priority,
	};
	struct mr_pg_opts opts = {
		.clock = &mr_clock_system,
		.query_bytes_max = 64u << 20,
	};
	struct mr_http_opts http = {
		.clock = &mr_clock_system,
		.query_bytes_max = 64u << 20,
		.version = "test",
		.kafka_address = "127.0.0.1:9092",
		.sql_address = "127.0.0.1:5433",
		.workers = 1,
		.health = health,
		.owner = getenv("UNWELL_FILE"),
	};
	struct mr_server *pg_server = NULL;
	struct mr_server *http_server = NULL;
	struct mr_sqltest *sql;
	sigset_t stop;
	int rc, sig;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	if (mr_sqltest_create(64u << 20, &sql) < 0)
		return 1;
	opts.env = http.env = mr_sqltest_env(sql);
	rc = mr_sessions_create(
		&(struct mr_sessions_opts){.clock = &mr_clock_system,
			.statement_timeout_ms = argc > 2 ? (uint64_t)atoi(argv[2]) : 0},
		&server.sessions);
	opts.server = http.server = server;
	if (rc == 0)
		rc = mr_metrics_create(&http.metrics);
	if (rc == 0)
		rc = mr_pg_start(&opts, &pg_server);
	if (rc == 0)
		rc = mr_http_start(&http, &http_server);
	if (rc == 0)
		rc = mr_server_metrics(pg_server, http.metrics);
	if (rc == 0)
		rc = mr_server_metrics(http_server, http.metrics);
	if (rc == 0)
		rc = mr_sessions_metrics(server.sessions, http.metrics);
	if (rc < 0) {
		fprintf(stderr, "cannot serve: %s\n", mr_err_text(rc));
		return 1;
	}
	printf("ready sql=%u http=%u\n", mr_server_port(pg_server), mr_server_port(http_server));
	fflush(stdout);
	sigwait(&stop, &sig);
	mr_server_stop(http_server);
	mr_server_stop(pg_server);
	mr_metrics_destroy(http.metrics);
	mr_sessions_destroy(server.sessions);
	mr_sqltest_destroy(sql);
	return 0;
}
