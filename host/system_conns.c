// millrace.connections: who is connected, to which worker or port, and what it has moved.
#include "host/control.h"
#include "host/sessions.h"
#include "host/system_int.h"
#include "host/worker.h"

#include <errno.h>

enum {
	COL_KIND,
	COL_WORKER,
	COL_PID,
	COL_PEER,
	COL_LOCAL_PORT,
	COL_CLIENT,
	COL_STATE,
	COL_SINCE,
	COL_IDLE_MS,
	COL_REQUESTS,
	COL_UNFINISHED,
	COL_RECEIVED,
	COL_SENT,
	COL_MEMORY,
	COL_PINNED,
	COL_TCP_STATE,
	COL_SRTT,
	COL_RETRANSMITS,
};

static void put_conn(struct mr_row_table *rows, const struct mr_worker *w,
	const struct mr_conn_info *c, int64_t now_us)
{
	mr_row_begin(rows);
	mr_row_text(rows, COL_KIND, mr_span_str("kafka"));
	mr_row_int(rows, COL_WORKER, w->id);
	mr_row_copy(rows, COL_PEER, mr_span_str(c->peer));
	mr_row_int(rows, COL_LOCAL_PORT, c->local_port);
	if (c->client[0])
		mr_row_copy(rows, COL_CLIENT, mr_span_str(c->client));
	mr_row_text(rows, COL_STATE,
		mr_span_str(c->paused                ? "paused"
			    : c->requests_unfinished ? "active"
						     : "idle"));
	mr_row_int(rows, COL_SINCE, now_us - c->age_ns / 1000);
	mr_row_int(rows, COL_IDLE_MS, c->idle_ns / 1000000);
	mr_row_int(rows, COL_REQUESTS, (int64_t)c->requests);
	mr_row_int(rows, COL_UNFINISHED, c->requests_unfinished);
	mr_row_int(rows, COL_RECEIVED, (int64_t)c->received_bytes);
	mr_row_int(rows, COL_SENT, (int64_t)c->sent_bytes);
	if (!c->tcp.state[0])
		return;
	mr_row_copy(rows, COL_TCP_STATE, mr_span_str(c->tcp.state));
	mr_row_int(rows, COL_SRTT, c->tcp.srtt_us);
	mr_row_int(rows, COL_RETRANSMITS, (int64_t)c->tcp.retransmits);
}

static void fill_worker(struct mr_worker *w, void *arg)
{
	struct mr_row_table *rows = arg;
	uint32_t n = mr_conns_count(w->conns);
	struct mr_conn_info *list =
		mr_arena_alloc(mr_row_table_arena(rows), (n + 1) * sizeof(*list));

	// Without memory the table is seen to be incomplete (mr_row_table_failed).
	n = list ? MR_MIN(mr_conns_list(w->conns, list, n), n) : 0;
	for (uint32_t i = 0; i < n; i++)
		put_conn(rows, w, &list[i], mr_wall_us(w->clock));
}

static void put_session(struct mr_row_table *rows, const struct mr_activity *a, int64_t now_us)
{
	mr_row_begin(rows);
	mr_row_text(rows, COL_KIND, mr_span_str(a->port));
	mr_row_int(rows, COL_PID, a->pid);
	mr_row_copy(rows, COL_PEER, mr_span_str(a->peer));
	mr_row_int(rows, COL_LOCAL_PORT, a->local_port);
	mr_row_copy(rows, COL_CLIENT, mr_span_str(a->application_name));
	mr_row_text(rows, COL_STATE, mr_span_str(mr_session_state_name(a->state)));
	mr_row_int(rows, COL_SINCE, a->backend_start_us);
	mr_row_int(rows, COL_IDLE_MS,
		a->state == MR_SESSION_ACTIVE ? 0 : (now_us - a->state_change_us) / 1000);
	mr_row_int(rows, COL_REQUESTS, (int64_t)a->queries);
	mr_row_int(rows, COL_UNFINISHED, a->state == MR_SESSION_ACTIVE);
	mr_row_int(rows, COL_RECEIVED, (int64_t)a->received_bytes);
	mr_row_int(rows, COL_SENT, (int64_t)a->sent_bytes);
	mr_row_int(rows, COL_MEMORY, (int64_t)a->memory_bytes);
	mr_row_int(rows, COL_PINNED, (int64_t)a->pinned_bytes);
}

int mr_system_fill_connections(struct mr_control *c, struct mr_row_table *rows)
{
	struct mr_activity *list;
	int n = c->sessions ? mr_sessions_list(c->sessions, mr_row_table_arena(rows), &list) : 0;

	for (uint32_t i = 0; i < c->workers_count; i++)
		mr_worker_call(c->workers[i], fill_worker, rows);
	for (int i = 0; i < n; i++)
		put_session(rows, &list[i], mr_wall_us(c->clock));
	return MR_MIN(n, 0);
}
