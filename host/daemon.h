// The whole daemon: control and its workers, SQL, HTTP, metrics. What main starts and tests embed.
#pragma once

#include "host/control.h"
#include "host/env.h"
#include "host/http.h"
#include "host/metrics.h"
#include "host/pg.h"

struct mr_daemon {
	const struct mr_config *config;
	struct mr_control control;
	struct mr_host_env *env;
	struct mr_metrics *metrics;
	struct mr_pins *pins;
	struct mr_sessions *sessions;
	struct mr_pg_opts pg_opts;
	struct mr_http_opts http_opts;
	struct mr_server *pg;
	struct mr_server *http;
	char kafka_address[300]; // ADDR:PORT, as printed when it serves
	char sql_address[300];
	char http_address[300];
};

// Starts everything in order. On failure mr_daemon_stop cleans up what was started. While it serves
// the caller runs mr_control_turn whenever control.box polls readable.
[[nodiscard]] int mr_daemon_start(
	struct mr_daemon *d, const struct mr_config *config, struct mr_diag *diag);
void mr_daemon_stop(struct mr_daemon *d);
