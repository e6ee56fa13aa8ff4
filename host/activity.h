// One session of the SQL or HTTP port, as pg_stat_activity and millrace.connections show it.
#pragma once

#include "host/base/def.h"

enum mr_session_state {
	MR_SESSION_STARTING,
	MR_SESSION_IDLE,
	MR_SESSION_ACTIVE,
	MR_SESSION_IDLE_IN_TRANSACTION,
	MR_SESSION_IDLE_IN_FAILED_TRANSACTION,
	MR_SESSION_STATES,
};

// Times are wall-clock microseconds, 0 = never.
struct mr_activity {
	int32_t pid;
	enum mr_session_state state;
	int64_t backend_start_us;
	int64_t query_start_us;
	int64_t state_change_us;
	const char *port; // "sql" or "http"
	uint16_t local_port;
	uint64_t queries;
	uint64_t received_bytes;
	uint64_t sent_bytes;
	uint64_t memory_bytes; // of sql.memory_bytes
	uint64_t pinned_bytes; // of rows in memory
	char peer[64];         // ADDR:PORT
	char application_name[64];
	char query[1024]; // the latest one, cut
};

// "active", "idle in transaction", …
const char *mr_session_state_name(enum mr_session_state s);
