// Who is connected and what runs: the sessions of the SQL and HTTP ports, cancelling and time
// limits.
//
// A session sits on its thread's stack and is listed while it lives. Others see a copy
// (mr_sessions_list), cancel its query, or end it. One timer thread cancels statements that run for
// too long; it sleeps while none with a limit runs.
#pragma once

#include "host/acceptor.h"
#include "host/activity.h"
#include "host/base/arena.h"
#include "host/base/clock.h"
#include "host/link.h"
#include "host/metrics.h"
#include "host/pins.h"

struct mr_sessions;

// A session without its queries, statements and long messages: its stack and its buffers.
#define MR_SESSION_BYTES (MR_ACCEPTOR_STACK_BYTES + 2 * MR_LINK_KEEP_BYTES)

// The sessions of one server. Embedded in it.
struct mr_session_group {
	struct mr_sessions *sessions;
	const char *port;
	bool is_stopping; // under the lock of sessions
};

// Filled by attach; `cancelled` may be cleared by the session between requests
// (mr_seat_request_begin), everything else is read-only to it.
struct mr_seat {
	struct mr_seat *next;
	struct mr_session_group *group;
	struct mr_link *link;
	uint32_t secret;             // of CancelRequest
	struct mr_budget memory;     // what it holds of the memory for queries
	struct mr_pin_owner pins;    // what its queries keep in memory
	uint64_t timeout_ms;         // the session's own limit of a statement; 0 = the server's
	_Atomic bool cancelled;      // the running statement must end
	_Atomic bool stopping;       // the session must end
	_Atomic bool timed_out;      // `cancelled` was set by the time limit
	int64_t deadline_ns;         // of the running statement, 0 = none; lock
	struct mr_activity activity; // lock; the pid never changes
};

struct mr_sessions_opts {
	struct mr_clock *clock;
	uint64_t statement_timeout_ms; // 0: none
	uint64_t memory_bytes;         // of the queries of all sessions; 0: no limit
	struct mr_pins *pins;          // borrowed; NULL: nobody is asked to let go
};

// 0 or negative.
[[nodiscard]] int mr_sessions_create(const struct mr_sessions_opts *opts, struct mr_sessions **out);
// No session may be left. NULL is allowed.
void mr_sessions_destroy(struct mr_sessions *s);

// Lists a session under a pid that no other has, with a secret nobody can guess.
void mr_sessions_attach(struct mr_session_group *g, struct mr_seat *seat, struct mr_link *link);
void mr_sessions_detach(struct mr_seat *seat);
// A state is reached; `query` is the text that begins, or NULL when it is still the same one.
void mr_seat_report(struct mr_seat *seat, enum mr_session_state state, const struct mr_span *query,
	const char *application_name);
// A new request begins: a cancel that came too late for the one before must not hit this one.
void mr_seat_request_begin(struct mr_seat *seat);

// CancelRequest: the pid must come with its secret.
void mr_sessions_cancel_request(struct mr_sessions *s, int32_t pid, uint32_t secret);
// Cancels the running query of a session (pg_cancel_backend), or ends the session too
// (pg_terminate_backend). False when there is no such session.
bool mr_sessions_cancel(struct mr_sessions *s, int32_t pid, bool terminate);
// Cancels and ends all sessions of the group, present and future.
void mr_sessions_stop(struct mr_session_group *g);

// Copies the sessions of this moment, ordered by pid, into the arena. Count, or MR_ERR_LIMIT.
[[nodiscard]] int mr_sessions_list(
	struct mr_sessions *s, struct mr_arena *arena, struct mr_activity **out);
[[nodiscard]] int mr_sessions_metrics(struct mr_sessions *s, struct mr_metrics *m);
