// The list of sessions and the timer of their statements.
#include "host/sessions.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

// While a statement with a time limit runs, limits are looked at this often, and so late at most.
#define TIMEOUT_TICK_MS 20

// One part in so many of the memory for queries is for sessions that hold little.
#define MEMORY_RESERVE_SHARE 16

struct mr_sessions {
	struct mr_clock *clock;
	uint64_t statement_timeout_ms;
	pthread_mutex_t lock; // everything below
	struct mr_seat *seats;
	int32_t pid_next;
	bool is_timer_ended;
	pthread_cond_t timer_wake; // a deadline was set, or the timer must end
	pthread_t timer;
	_Atomic uint64_t cancels;
	_Atomic uint64_t timeouts;
	_Atomic uint64_t queries;
	struct mr_budget memory; // of all sessions
	struct mr_pins *pins;
};

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void mr_sessions_cancel_request(struct mr_sessions *s, int32_t pid, uint32_t secret)
{
	pthread_mutex_lock(&s->lock);
	for (struct mr_seat *seat = s->seats; seat; seat = seat->next) {
		if (seat->activity.pid == pid && seat->secret == secret) {
			atomic_store(&seat->cancelled, true);
			count(&s->cancels);
		}
	}
	pthread_mutex_unlock(&s->lock);
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
static void deadline_set(struct mr_seat *seat)
{
	struct mr_sessions *s = seat->group->sessions;
	uint64_t timeout_ms = seat->timeout_ms ? seat->timeout_ms : s->statement_timeout_ms;

	atomic_store(&seat->timed_out, false);
	if (!timeout_ms)
		return;
	seat->deadline_ns = mr_now_ns(s->clock) + (int64_t)timeout_ms * 1000000;
	pthread_cond_signal(&s->timer_wake);
}

void mr_seat_report(struct mr_seat *seat, enum mr_session_state state, const struct mr_span *query,
	const char *application_name)
{
	struct mr_sessions *s = seat->group->sessions;
	struct mr_activity *a = &seat->activity;
	int64_t now_us = mr_wall_us(s->clock);

	pthread_mutex_lock(&s->lock);
	a->state = state;
	a->state_change_us = now_us;
	if (query) {
		a->query_start_us = now_us;
		copy_text(a->query, sizeof(a->query), *query);
		count(&s->queries);
		a->queries++;
		deadline_set(seat);
	}
	if (state != MR_SESSION_ACTIVE)
		seat->deadline_ns = 0;
	if (application_name)
		copy_text(a->application_name, sizeof(a->application_name),
			mr_span_str(application_name));
	pthread_mutex_unlock(&s->lock);
}

void mr_seat_request_begin(struct mr_seat *seat)
{
	atomic_store(&seat->cancelled, false);
	// seat_stop stores in the other order, so one of the two sees the other.
	if (atomic_load(&seat->stopping))
		atomic_store(&seat->cancelled, true);
}

static void seat_stop(struct mr_seat *seat)
{
	atomic_store(&seat->stopping, true);
	atomic_store(&seat->cancelled, true);
}

// The seat has pins, so it is there, and its link too.
static void seat_wake(struct mr_pin_owner *o)
{
	const struct mr_seat *seat = MR_CONTAINER(o, struct mr_seat, pins);

	seat->link->ops->wake(seat->link);
}

static void seat_cut(struct mr_pin_owner *o)
{
	const struct mr_seat *seat = MR_CONTAINER(o, struct mr_seat, pins);

	seat->link->ops->cut(seat->link);
}

static bool pid_is_used(const struct mr_sessions *s, int32_t pid)
{
	for (const struct mr_seat *seat = s->seats; seat; seat = seat->next)
		if (seat->activity.pid == pid)
			return true;
	return false;
}

void mr_sessions_attach(struct mr_session_group *g, struct mr_seat *seat, struct mr_link *link)
{
	struct mr_sessions *s = g->sessions;
	ssize_t n;

	*seat = (struct mr_seat){.group = g, .link = link, .activity.port = g->port};
	n = getrandom(&seat->secret, sizeof(seat->secret), 0);
	// So few bytes come whole and without waiting once the machine is up (getrandom(2)).
	MR_ASSERT(n == sizeof(seat->secret));
	seat->activity.backend_start_us = seat->activity.state_change_us = mr_wall_us(s->clock);
	seat->activity.local_port = link->local_port;
	snprintf(seat->activity.peer, sizeof(seat->activity.peer), "%s", link->peer);
	mr_budget_init(&seat->memory, &s->memory, 0);
	seat->pins = (struct mr_pin_owner){.pins = s->pins, .wake = seat_wake, .cut = seat_cut};
	pthread_mutex_lock(&s->lock);
	do {
		s->pid_next = s->pid_next == INT32_MAX ? 1 : s->pid_next + 1;
	} while (pid_is_used(s, s->pid_next));
	seat->activity.pid = s->pid_next;
	seat->next = s->seats;
	s->seats = seat;
	if (g->is_stopping)
		seat_stop(seat);
	pthread_mutex_unlock(&s->lock);
}

void mr_sessions_detach(struct mr_seat *seat)
{
	struct mr_sessions *s = seat->group->sessions;
	struct mr_seat **at = &s->seats;

	MR_ASSERT(mr_budget_used(&seat->memory) == 0 && atomic_load(&seat->pins.bytes) == 0);
	pthread_mutex_lock(&s->lock);
	while (*at != seat)
		at = &(*at)->next;
	*at = seat->next;
	pthread_mutex_unlock(&s->lock);
}

void mr_sessions_stop(struct mr_session_group *g)
{
	struct mr_sessions *s = g->sessions;

	pthread_mutex_lock(&s->lock);
	g->is_stopping = true;
	for (struct mr_seat *seat = s->seats; seat; seat = seat->next)
		if (seat->group == g)
			seat_stop(seat);
	pthread_mutex_unlock(&s->lock);
}

bool mr_sessions_cancel(struct mr_sessions *s, int32_t pid, bool terminate)
{
	bool is_found = false;

	pthread_mutex_lock(&s->lock);
	for (struct mr_seat *seat = s->seats; seat; seat = seat->next) {
		if (seat->activity.pid != pid)
			continue;
		is_found = true;
		if (terminate) {
			seat_stop(seat);
			seat->link->ops->end_input(seat->link);
		}
		atomic_store(&seat->cancelled, true);
		count(&s->cancels);
	}
	pthread_mutex_unlock(&s->lock);
	return is_found;
}

static int activity_compare(const void *a, const void *b)
{
	const struct mr_activity *left = a, *right = b;

	return (left->pid > right->pid) - (left->pid < right->pid);
}

// A session with what others count for it; the lock is held.
static struct mr_activity activity_of(const struct mr_seat *seat)
{
	struct mr_activity a = seat->activity;

	a.received_bytes = atomic_load_explicit(&seat->link->received_bytes, memory_order_relaxed);
	a.sent_bytes = atomic_load_explicit(&seat->link->sent_bytes, memory_order_relaxed);
	a.memory_bytes = mr_budget_used(&seat->memory);
	a.pinned_bytes = atomic_load_explicit(&seat->pins.bytes, memory_order_relaxed);
	return a;
}

int mr_sessions_list(struct mr_sessions *s, struct mr_arena *arena, struct mr_activity **out)
{
	struct mr_activity *list;
	int n = 0;

	pthread_mutex_lock(&s->lock);
	for (struct mr_seat *seat = s->seats; seat; seat = seat->next)
		n++;
	list = mr_arena_alloc(arena, ((size_t)n + 1) * sizeof(*list));
	n = 0;
	for (struct mr_seat *seat = s->seats; list && seat; seat = seat->next)
		list[n++] = activity_of(seat);
	pthread_mutex_unlock(&s->lock);
	if (!list)
		return MR_ERR_LIMIT;
	qsort(list, (size_t)n, sizeof(*list), activity_compare);
	*out = list;
	return n;
}

const char *mr_session_state_name(enum mr_session_state s)
{
	static const char *const names[MR_SESSION_STATES] = {
		[MR_SESSION_STARTING] = "starting",
		[MR_SESSION_IDLE] = "idle",
		[MR_SESSION_ACTIVE] = "active",
		[MR_SESSION_IDLE_IN_TRANSACTION] = "idle in transaction",
		[MR_SESSION_IDLE_IN_FAILED_TRANSACTION] = "idle in transaction (aborted)",
	};

	return names[s];
}

// Cancels what has run for too long. Whether any statement with a deadline is left.
static bool timer_pass(struct mr_sessions *s)
{
	int64_t now_ns = mr_now_ns(s->clock);
	bool is_any = false;

	for (struct mr_seat *seat = s->seats; seat; seat = seat->next) {
		if (seat->deadline_ns && seat->deadline_ns <= now_ns) {
			atomic_store(&seat->timed_out, true);
			atomic_store(&seat->cancelled, true);
			seat->deadline_ns = 0;
			count(&s->timeouts);
		}
		is_any |= seat->deadline_ns != 0;
	}
	return is_any;
}

// Sleeps as long as nothing with a time limit runs.
static void *timer_thread(void *arg)
{
	struct mr_sessions *s = arg;
	struct timespec at;

	pthread_setname_np(pthread_self(), "mr-sql-timer");
	pthread_mutex_lock(&s->lock);
	while (!s->is_timer_ended) {
		if (!timer_pass(s)) {
			pthread_cond_wait(&s->timer_wake, &s->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &at);
		at.tv_nsec += TIMEOUT_TICK_MS * 1000000;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&s->timer_wake, &s->lock, &at);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int timer_start(struct mr_sessions *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->timer_wake, &attr);
	pthread_condattr_destroy(&attr);
	return -pthread_create(&s->timer, NULL, timer_thread, s);
}

int mr_sessions_create(const struct mr_sessions_opts *opts, struct mr_sessions **out)
{
	struct mr_sessions *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->clock = opts->clock;
	s->statement_timeout_ms = opts->statement_timeout_ms;
	s->pins = opts->pins;
	mr_budget_init(&s->memory, NULL, opts->memory_bytes);
	s->memory.reserve = opts->memory_bytes / MEMORY_RESERVE_SHARE;
	rc = timer_start(s);
	if (rc < 0) {
		pthread_cond_destroy(&s->timer_wake);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void mr_sessions_destroy(struct mr_sessions *s)
{
	if (!s)
		return;
	MR_ASSERT(!s->seats);
	pthread_mutex_lock(&s->lock);
	s->is_timer_ended = true;
	pthread_cond_signal(&s->timer_wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->timer, NULL);
	pthread_cond_destroy(&s->timer_wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int mr_sessions_metrics(struct mr_sessions *s, struct mr_metrics *m)
{
	const struct {
		struct mr_metric metric;
		const _Atomic uint64_t *value;
	} counters[] = {
		{{MR_METRIC_COUNTER, "millrace_sql_queries_total",
			 "SQL texts received over the PostgreSQL wire and HTTP.", {}},
			&s->queries},
		{{MR_METRIC_COUNTER, "millrace_sql_cancels_total",
			 "SQL statements cancelled on request.", {}},
			&s->cancels},
		{{MR_METRIC_COUNTER, "millrace_sql_timeouts_total",
			 "SQL statements cancelled by their time limit.", {}},
			&s->timeouts},
		{{MR_METRIC_GAUGE, "millrace_sql_memory_bytes",
			 "Memory that queries, statements and long messages hold.", {}},
			&s->memory.used},
		{{MR_METRIC_GAUGE, "millrace_sql_memory_peak_bytes",
			 "The most they have held since the start.", {}},
			&s->memory.peak},
		{{MR_METRIC_COUNTER, "millrace_sql_memory_refused_total",
			 "Requests for memory refused by the limit of all queries.", {}},
			&s->memory.refused},
	};
	int rc = 0;

	for (size_t i = 0; i < MR_COUNT_OF(counters) && rc == 0; i++)
		rc = mr_metrics_add(m, &counters[i].metric, counters[i].value);
	return rc == 0 && s->pins ? mr_pins_metrics(s->pins, m) : rc;
}
