// The HTTP port: /metrics, /healthz, POST /query and a page that says what runs here.
//
//   GET  /         HTML: version, ports, tables and views, and what to type next
//   GET  /metrics  Prometheus text format 0.0.4
//   GET  /healthz  200 "ok", or 503 with the reason
//   POST /query    SQL in the body, the result as JSON, NDJSON or CSV (host/http_query.c)
//
// Which web pages may ask. The port has no password on loopback, so a page in the operator's
// browser must not be able to use it: (1) on a loopback address, / and /query want a Host that is
// localhost or a loopback address, which a rebound DNS name is not; (2) POST /query with an Origin
// other than this server, or with Sec-Fetch-Site that says another site, is refused. Programs send
// neither header, so `curl --data` just works.
#pragma once

#include "host/server.h"
#include "host/sql/sql.h"

#define MR_HTTP_HEAD_BYTES_MAX     16384 // request line and header fields; 431 beyond
#define MR_HTTP_TARGET_BYTES_MAX   8000  // 414 beyond; RFC 9110 section 4.1 asks for at least this
#define MR_HTTP_FIELDS_MAX         100
#define MR_HTTP_BODY_BYTES_MAX     (16u << 20) // 413 beyond
#define MR_HTTP_IDLE_TIMEOUT_MS    75000       // between requests
#define MR_HTTP_READ_TIMEOUT_MS    10000       // without a byte inside a request; 408 beyond
#define MR_HTTP_REQUEST_TIMEOUT_MS 60000       // for a whole request to arrive; 408 beyond

struct mr_http_opts {
	struct mr_server_opts server;
	struct mr_env *env;
	struct mr_clock *clock;
	struct mr_metrics *metrics;
	uint64_t query_bytes_max;
	const char *version;       // for the page: "0.1"
	const char *kafka_address; // ADDR:PORT, as printed at the start
	const char *sql_address;
	uint32_t workers;
	// 0 = well; else why not, in diag->message. NULL = always well. Any thread.
	int (*health)(void *owner, struct mr_diag *diag);
	void *owner;
};

// Binds and serves (host/server.h). `opts` and all it points to are borrowed until mr_server_stop.
// 0 or -errno.
[[nodiscard]] int mr_http_start(const struct mr_http_opts *opts, struct mr_server **out);
