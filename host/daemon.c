// Starting and stopping the parts in order.
#include "host/daemon.h"

#include "host/daemon_metrics.h"
#include "host/nic.h"
#include "host/seal.h"
#include "host/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static struct mr_server_opts server_opts(struct mr_daemon *d)
{
	return (struct mr_server_opts){
		.address = d->config->listen,
		.descriptors_end = d->config->sessions_descriptors_end,
		.sessions = d->sessions,
		.thread_start = mr_control_place_background,
		.thread_arg = &d->control,
	};
}

static int start_pg(struct mr_daemon *d, struct mr_diag *diag)
{
	const struct mr_config *c = d->config;
	int rc;

	d->pg_opts = (struct mr_pg_opts){
		.server = server_opts(d),
		.env = mr_host_env_env(d->env),
		.clock = d->control.clock,
		.query_bytes_max = c->sql_query_bytes_max,
	};
	d->pg_opts.server.port = (uint16_t)c->sql_port;
	d->pg_opts.server.connections_max = (uint32_t)c->sql_connections_max;
	rc = mr_pg_start(&d->pg_opts, &d->pg);

	if (rc < 0)
		return mr_diag_set(diag, rc, "58000", 0, "cannot listen on %s port %u for SQL: %s",
			c->listen, (unsigned)c->sql_port, mr_err_text(rc));
	return 0;
}

// Sealing has failed for longer than it may: rows stay in memory until there is none left.
static int seal_health(const struct mr_control *c, struct mr_diag *diag)
{
	const struct mr_seal_stats *s = mr_seal_stats(c->seal);
	uint64_t since = atomic_load_explicit(&s->failing_since_ns, memory_order_relaxed);
	int64_t ms = since ? (mr_now_ns(c->clock) - (int64_t)since) / 1000000 : 0;

	if (!since || ms < (int64_t)c->config->seal_failing_max_ms)
		return 0;
	return mr_diag_set(diag, -EIO, "58030", 0,
		"no segment could be written for %lld s; the log says why", (long long)ms / 1000);
}

// Without its network device nobody reaches Kafka's ports.
static int port_health(const struct mr_control *c, struct mr_diag *diag)
{
	struct mr_dpdk_info port;

	if (!c->nic)
		return 0;
	mr_nic_describe(c->nic, &port);
	return port.is_gone ? mr_diag_set(diag, -ENODEV, "58000", 0,
				      "the port %s is gone; restart when it is back", port.name)
			    : 0;
}

// Well: every worker's log acknowledges, what exists can change, segments can be written, and the
// port is there.
static int health(void *owner, struct mr_diag *diag)
{
	struct mr_daemon *d = owner;
	int rc;

	for (uint32_t i = 0; i < d->control.workers_count; i++) {
		const struct mr_worker *w = d->control.workers[i];

		if (atomic_load_explicit(&w->stats.log_stopped, memory_order_relaxed))
			return mr_diag_set(diag, MR_ERR_STOPPED, "58030", 0,
				"the log of worker %u has stopped after a disk error", i);
	}
	if (mr_manifest_is_stopped(d->control.manifest))
		return mr_diag_set(diag, MR_ERR_STOPPED, "58030", 0,
			"the manifest has stopped after a disk error");
	rc = seal_health(&d->control, diag);
	return rc < 0 ? rc : port_health(&d->control, diag);
}

static void format_address(char out[300], const char *host, uint16_t port)
{
	bool v6 = strchr(host, ':') && host[0] != '[';

	snprintf(out, 300, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static int start_http(struct mr_daemon *d, struct mr_diag *diag)
{
	const struct mr_config *c = d->config;
	int rc;

	d->http_opts = (struct mr_http_opts){
		.server = server_opts(d),
		.env = mr_host_env_env(d->env),
		.clock = d->control.clock,
		.metrics = d->metrics,
		.query_bytes_max = c->sql_query_bytes_max,
		.version = MR_VERSION,
		.kafka_address = d->kafka_address,
		.sql_address = d->sql_address,
		.workers = d->control.workers_count,
		.health = health,
		.owner = d,
	};
	d->http_opts.server.port = (uint16_t)c->http_port;
	d->http_opts.server.connections_max = (uint32_t)c->http_connections_max;
	rc = mr_http_start(&d->http_opts, &d->http);

	if (rc < 0)
		return mr_diag_set(diag, rc, "58000", 0, "cannot listen on %s port %u for HTTP: %s",
			c->listen, (unsigned)c->http_port, mr_err_text(rc));
	return 0;
}

static int start_ports(struct mr_daemon *d, struct mr_diag *diag)
{
	const char *host = d->config->listen;
	int rc = start_pg(d, diag);

	if (rc < 0)
		return rc;
	format_address(d->kafka_address, d->control.nic ? mr_nic_host(d->control.nic) : host,
		d->control.workers[0]->port);
	format_address(d->sql_address, host, mr_server_port(d->pg));
	rc = start_http(d, diag);
	if (rc < 0)
		return rc;
	format_address(d->http_address, host, mr_server_port(d->http));
	if (mr_daemon_metrics(d->metrics, &d->control) < 0 ||
		mr_server_metrics(d->pg, d->metrics) < 0 ||
		mr_server_metrics(d->http, d->metrics) < 0 ||
		mr_sessions_metrics(d->sessions, d->metrics) < 0)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	return 0;
}

int mr_daemon_start(struct mr_daemon *d, const struct mr_config *config, struct mr_diag *diag)
{
	struct mr_sessions_opts sessions = {
		.clock = &mr_clock_system,
		.statement_timeout_ms = config->sql_statement_timeout_ms,
		.memory_bytes = config->sql_memory_bytes,
	};
	int rc;

	memset(d, 0, sizeof(*d));
	d->config = config;
	d->control.box.event_fd = -1;
	rc = mr_host_env_create(&d->control, &d->env);
	if (rc == 0)
		rc = mr_metrics_create(&d->metrics);
	if (rc == 0)
		rc = mr_pins_create(&d->pins);
	sessions.pins = d->pins;
	if (rc == 0)
		rc = mr_sessions_create(&sessions, &d->sessions);
	if (rc < 0)
		return mr_diag_set(diag, rc, "53200", 0, "out of memory");
	rc = mr_control_start(&d->control, config, &mr_clock_system, mr_host_env_env(d->env), diag);
	if (rc < 0)
		return rc;
	d->control.sessions = d->sessions;
	mr_pins_watch(d->pins, d->control.pools, d->control.workers_count);
	return start_ports(d, diag);
}

struct stopping {
	struct mr_daemon *daemon;
	_Atomic bool done;
};

static void *stop_ports(void *arg)
{
	struct stopping *s = arg;

	mr_server_stop(s->daemon->http);
	mr_server_stop(s->daemon->pg);
	atomic_store_explicit(&s->done, true, memory_order_release);
	mr_mailbox_wake(&s->daemon->control.box);
	return NULL;
}

// Sessions end first, so that nobody asks any more when the workers go. A session may be waiting
// for control meanwhile, so control goes on answering until all have ended.
void mr_daemon_stop(struct mr_daemon *d)
{
	struct stopping s = {.daemon = d};
	struct pollfd fd = {.fd = d->control.box.event_fd, .events = POLLIN};
	pthread_t thread;

	mr_control_refuse_waits(&d->control);
	if (fd.fd >= 0 && pthread_create(&thread, NULL, stop_ports, &s) == 0) {
		while (!atomic_load_explicit(&s.done, memory_order_acquire))
			if (poll(&fd, 1, -1) > 0)
				mr_control_turn(&d->control);
		pthread_join(thread, NULL);
	}
	if (d->pins)
		mr_pins_unwatch(d->pins);
	mr_control_stop(&d->control);
	mr_sessions_destroy(d->sessions);
	mr_pins_destroy(d->pins);
	mr_metrics_destroy(d->metrics);
	mr_host_env_destroy(d->env);
}
