// The PostgreSQL wire, protocol 3.0: what psql, libpq, JDBC and dashboards talk to.
//
// mr_pg_start listens and serves each connection as one SQL session on a thread of its own
// (host/server.h). The state machine of a session is in pg_session.c; messages in pg_proto.c.
#pragma once

#include "host/base/clock.h"
#include "host/server.h"
#include "host/sql/sql.h"

// A message above this is refused and the connection ended (08P01).
#define MR_PG_MESSAGE_BYTES_MAX (16u << 20)
// One row of a result, encoded; above it the query fails (54000).
#define MR_PG_ROW_BYTES_MAX (64u << 20)
// Prepared statements and portals of one session (53400 beyond), and the statements' text together.
#define MR_PG_STATEMENTS_MAX       1024
#define MR_PG_PORTALS_MAX          256
#define MR_PG_STATEMENTS_BYTES_MAX (16u << 20)
// A client that has not finished its startup packet by then is cut off.
#define MR_PG_STARTUP_TIMEOUT_MS 60000

struct mr_pg_opts {
	struct mr_server_opts server;
	struct mr_env *env;
	struct mr_clock *clock;
	uint64_t query_bytes_max;
	uint32_t message_bytes_max; // 0: MR_PG_MESSAGE_BYTES_MAX
};

// Binds and serves (host/server.h). `opts` and all it points to are borrowed until mr_server_stop.
// 0 or -errno.
[[nodiscard]] int mr_pg_start(const struct mr_pg_opts *opts, struct mr_server **out);
