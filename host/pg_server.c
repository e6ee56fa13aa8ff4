// The PostgreSQL port: its listener, its sessions, cancelling and time limits.
#include "host/pg_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

// While a statement with a time limit runs, limits are looked at this often, and so late at most.
#define TIMEOUT_TICK_MS 20

// What the server keeps of a session. The session's thread owns it; the list's lock guards the
// rest.
struct backend {
	struct backend *next;
	struct mr_pg_server *server;
	uint32_t secret;
	struct mr_link *link;
	_Atomic bool cancelled;
	_Atomic bool stopping;
	_Atomic bool timed_out;
	int64_t deadline_ns;            // of the running statement, 0 = none; lock
	struct mr_pg_activity activity; // lock
};

struct mr_pg_server {
	struct mr_pg_opts opts;
	struct mr_listener *listener;
	pthread_mutex_t lock; // everything below
	struct backend *backends;
	int32_t pid_next;
	bool is_stopping;
	bool is_timer_ended;
	pthread_cond_t timer_wake; // a deadline was set, or the server stops
	pthread_t timer;
	struct counters {
		_Atomic uint64_t cancels;
		_Atomic uint64_t timeouts;
		_Atomic uint64_t queries;
	} counters;
};

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void backend_cancel(struct mr_pg_server *server, int32_t pid, uint32_t secret)
{
	pthread_mutex_lock(&server->lock);
	for (struct backend *b = server->backends; b; b = b->next) {
		if (b->activity.pid == pid && b->secret == secret) {
			atomic_store(&b->cancelled, true);
			count(&server->counters.cancels);
		}
	}
	pthread_mutex_unlock(&server->lock);
}

static void session_cancel(void *owner, int32_t pid, uint32_t secret)
{
	struct backend *b = owner;

	backend_cancel(b->server, pid, secret);
}

static void copy_text(char *out, size_t out_bytes, struct mr_span text)
{
	size_t n = MR_MIN(text.bytes, out_bytes - 1);

	// A character is not cut in its middle.
	while (n < text.bytes && n > 0 && (text.data[n] & 0xc0) == 0x80)
		n--;
	if (n)
		memcpy(out, text.data, n);
	out[n] = 0;
}

// A statement begins; the lock is held.
static void deadline_set(struct backend *b)
{
	struct mr_pg_server *server = b->server;

	atomic_store(&b->timed_out, false);
	if (!server->opts.statement_timeout_ms)
		return;
	b->deadline_ns = mr_now_ns(server->opts.clock) +
			 (int64_t)server->opts.statement_timeout_ms * 1000000;
	pthread_cond_signal(&server->timer_wake);
}

static void session_report(void *owner, enum mr_pg_state state, const struct mr_span *query,
	const char *application_name)
{
	struct backend *b = owner;
	struct mr_pg_activity *a = &b->activity;
	int64_t now_us = mr_wall_us(b->server->opts.clock);

	pthread_mutex_lock(&b->server->lock);
	a->state = state;
	a->state_change_us = now_us;
	if (query) {
		a->query_start_us = now_us;
		copy_text(a->query, sizeof(a->query), *query);
		count(&b->server->counters.queries);
		deadline_set(b);
	}
	if (state != MR_PG_ACTIVE)
		b->deadline_ns = 0;
	if (application_name)
		copy_text(a->application_name, sizeof(a->application_name),
			mr_span_str(application_name));
	pthread_mutex_unlock(&b->server->lock);
}

static bool pid_is_used(const struct mr_pg_server *server, int32_t pid)
{
	for (const struct backend *b = server->backends; b; b = b->next)
		if (b->activity.pid == pid)
			return true;
	return false;
}

// Puts the backend into the list, with a pid that no other has.
static void backend_attach(struct backend *b, const struct mr_link *link)
{
	struct mr_pg_server *server = b->server;

	ssize_t n = getrandom(&b->secret, sizeof(b->secret), 0);

	// So few bytes come whole and without waiting once the machine is up (getrandom(2)).
	MR_ASSERT(n == sizeof(b->secret));
	b->activity.backend_start_us = mr_wall_us(server->opts.clock);
	snprintf(b->activity.peer, sizeof(b->activity.peer), "%s", link->peer);
	pthread_mutex_lock(&server->lock);
	do {
		server->pid_next = server->pid_next == INT32_MAX ? 1 : server->pid_next + 1;
	} while (pid_is_used(server, server->pid_next));
	b->activity.pid = server->pid_next;
	b->next = server->backends;
	server->backends = b;
	atomic_store(&b->stopping, server->is_stopping);
	pthread_mutex_unlock(&server->lock);
}

static void backend_detach(struct backend *b)
{
	struct backend **at = &b->server->backends;

	pthread_mutex_lock(&b->server->lock);
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	pthread_mutex_unlock(&b->server->lock);
}

static void server_serve(void *owner, struct mr_link *link)
{
	struct mr_pg_server *server = owner;
	struct backend b = {.server = server, .link = link};
	struct mr_pg_session_opts opts = {
		.pg = &server->opts,
		.link = link,
		.cancelled = &b.cancelled,
		.stopping = &b.stopping,
		.timed_out = &b.timed_out,
		.cancel = session_cancel,
		.report = session_report,
		.owner = &b,
	};

	backend_attach(&b, link);
	opts.pid = b.activity.pid;
	opts.secret = b.secret;
	mr_pg_session_run(&opts);
	backend_detach(&b);
}

static void backend_stop(struct backend *b)
{
	// The order matters: request_begin clears `cancelled`, then looks at `stopping`.
	atomic_store(&b->stopping, true);
	atomic_store(&b->cancelled, true);
}

// Cancels what has run for too long. Whether any statement with a deadline is left.
static bool timer_pass(struct mr_pg_server *server)
{
	int64_t now_ns = mr_now_ns(server->opts.clock);
	bool is_any = false;

	for (struct backend *b = server->backends; b; b = b->next) {
		if (b->deadline_ns && b->deadline_ns <= now_ns) {
			atomic_store(&b->timed_out, true);
			atomic_store(&b->cancelled, true);
			b->deadline_ns = 0;
			count(&server->counters.timeouts);
		}
		is_any |= b->deadline_ns != 0;
	}
	return is_any;
}

// Sleeps as long as nothing with a time limit runs.
static void *timer_thread(void *arg)
{
	struct mr_pg_server *server = arg;
	struct timespec at;

	pthread_setname_np(pthread_self(), "mr-sql-timer");
	pthread_mutex_lock(&server->lock);
	while (!server->is_timer_ended) {
		if (!timer_pass(server)) {
			pthread_cond_wait(&server->timer_wake, &server->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &at);
		at.tv_nsec += TIMEOUT_TICK_MS * 1000000;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&server->timer_wake, &server->lock, &at);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

static int timer_start(struct mr_pg_server *server)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&server->timer_wake, &attr);
	pthread_condattr_destroy(&attr);
	return -pthread_create(&server->timer, NULL, timer_thread, server);
}

static void timer_stop(struct mr_pg_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->is_timer_ended = true;
	pthread_cond_signal(&server->timer_wake);
	pthread_mutex_unlock(&server->lock);
	pthread_join(server->timer, NULL);
}

static void server_free(struct mr_pg_server *server)
{
	pthread_cond_destroy(&server->timer_wake);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

static void server_interrupt(void *owner)
{
	struct mr_pg_server *server = owner;

	pthread_mutex_lock(&server->lock);
	server->is_stopping = true;
	for (struct backend *b = server->backends; b; b = b->next)
		backend_stop(b);
	pthread_mutex_unlock(&server->lock);
}

int mr_pg_start(const struct mr_pg_opts *opts, struct mr_pg_server **out)
{
	// Beyond the reserve there is no thread to find out what the client is; this ErrorResponse
	// is right for all but those that ask for SSL first.
	static const char refusal[] = "E\0\0\0\x3bSFATAL\0VFATAL\0C53300\0"
				      "Msorry, too many clients already\0\0";
	struct mr_pg_server *server = calloc(1, sizeof(*server));
	struct mr_listener_opts listener = {
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
	rc = timer_start(server);
	if (rc < 0)
		goto free_server;
	rc = mr_listener_start(&listener, &server->listener);
	if (rc < 0)
		goto stop_timer;
	*out = server;
	return 0;
stop_timer:
	timer_stop(server);
free_server:
	server_free(server);
	return rc;
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
	timer_stop(server);
	server_free(server);
}

static int activity_compare(const void *a, const void *b)
{
	const struct mr_pg_activity *left = a, *right = b;

	return (left->pid > right->pid) - (left->pid < right->pid);
}

size_t mr_pg_sessions(struct mr_pg_server *server, struct mr_pg_activity *out, size_t activity_max)
{
	size_t n = 0;

	pthread_mutex_lock(&server->lock);
	for (struct backend *b = server->backends; b && n < activity_max; b = b->next)
		out[n++] = b->activity;
	pthread_mutex_unlock(&server->lock);
	qsort(out, n, sizeof(*out), activity_compare);
	return n;
}

bool mr_pg_cancel(struct mr_pg_server *server, int32_t pid, bool terminate)
{
	bool is_found = false;

	pthread_mutex_lock(&server->lock);
	for (struct backend *b = server->backends; b; b = b->next) {
		if (b->activity.pid != pid)
			continue;
		is_found = true;
		if (terminate) {
			backend_stop(b);
			b->link->ops->end_input(b->link);
		}
		atomic_store(&b->cancelled, true);
		count(&server->counters.cancels);
	}
	pthread_mutex_unlock(&server->lock);
	return is_found;
}

static double read_open(void *owner)
{
	const struct mr_pg_server *server = owner;

	return atomic_load_explicit(
		&mr_listener_stats(server->listener)->open, memory_order_relaxed);
}

int mr_pg_metrics(struct mr_pg_server *server, struct mr_metrics *m)
{
	const struct mr_listener_stats *stats = mr_listener_stats(server->listener);
	const struct {
		const char *name, *help;
		const _Atomic uint64_t *value;
	} counters[] = {
		{"millrace_sql_connections_total", "SQL connections accepted.", &stats->accepted},
		{"millrace_sql_connections_refused_total",
			"SQL connections refused because there were too many.", &stats->refused},
		{"millrace_sql_queries_total", "SQL texts received.", &server->counters.queries},
		{"millrace_sql_cancels_total", "SQL statements cancelled on request.",
			&server->counters.cancels},
		{"millrace_sql_timeouts_total", "SQL statements cancelled by their time limit.",
			&server->counters.timeouts},
	};
	const struct mr_metric open = {
		MR_METRIC_GAUGE, "millrace_sql_connections", "SQL connections open.", {}};
	int rc = mr_metrics_add_call(m, &open, read_open, server);

	for (size_t i = 0; i < MR_COUNT_OF(counters) && rc == 0; i++) {
		const struct mr_metric c = {
			MR_METRIC_COUNTER, counters[i].name, counters[i].help, {}};

		rc = mr_metrics_add(m, &c, counters[i].value);
	}
	return rc;
}
