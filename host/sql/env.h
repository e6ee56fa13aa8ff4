// What the SQL layer asks of the rest of the daemon: relations to scan, changes to make.
//
// host/ fills it with the real catalog; tests fill it with relations in memory. Everything here is
// called on SQL threads, any number at once, and may block. Nothing a scan returns changes while
// the scan is open.
#pragma once

#include "host/activity.h"
#include "host/base/arena.h"
#include "host/base/err.h"
#include "kernels/column.h"

#include <stdatomic.h>

struct mr_env;
struct mr_pin_owner;
struct mr_scan;
struct mr_fold;

// One query being run: its memory, its limits, and how to stop it.
struct mr_query {
	struct mr_arena *arena;   // lives until the query ends
	struct mr_budget *memory; // what the arenas and all else of the query draw on; its limit is
				  // the query's, its last parent's that of all queries; or NULL
	_Atomic bool
		*cancelled; // set by CancelRequest, timeouts and shutdown; polled at every block
	int64_t now_us;     // transaction time: now()
	const struct mr_tz *tz;    // session time zone (host/base/tz.h)
	struct mr_pin_owner *pins; // for whom scans pin rows in memory (host/pins.h); or NULL
};

// 0, or MR_ERR_CANCELLED with diag when the query must end: 57014, or 53200 when the rows it keeps
// in memory are wanted back.
[[nodiscard]] int mr_query_poll(const struct mr_query *q, struct mr_diag *diag);
// The diagnostic of a query that had to let go of its rows. Returns MR_ERR_CANCELLED.
int mr_query_revoked(struct mr_diag *diag);

// 53200: says whose limit was reached and what helps. Returns MR_ERR_LIMIT.
int mr_query_no_memory(const struct mr_query *q, struct mr_diag *diag);

// A capture of network frames to begin or to end.
#define MR_CAPTURE_ANSWER_BYTES 4600
struct mr_capture_ask {
	bool stop;
	struct mr_span file_name;
	struct mr_span filter;
	char *answer; // MR_CAPTURE_ANSWER_BYTES; filled
};

enum mr_relation_kind { MR_RELATION_TABLE, MR_RELATION_VIEW, MR_RELATION_SYSTEM };

struct mr_relation_column {
	struct mr_span name;
	struct mr_typeref type;
	bool not_null;
	bool hidden; // not in `*`: _key, _headers, _partition, _offset, _timestamp
};

struct mr_relation;

// Part of a WHERE clause that a scan may use to leave blocks out; the executor filters again.
// column BETWEEN low AND high, of the column's physical form; NULL = open.
struct mr_scan_range {
	uint32_t column;
	const void *low;
	const void *high;
};

struct mr_scan_spec {
	const uint32_t *columns; // indexes into the relation's columns, in the order wanted
	uint32_t columns_count;
	const struct mr_scan_range *ranges;
	uint32_t ranges_count;
	struct mr_query *query;
};

// Rows of a scan: at most MR_CHUNK_ROWS, valid until the next call. Columns as asked for.
struct mr_block {
	uint32_t rows;
	const struct mr_col *columns;
};

// What a scan has done so far, for EXPLAIN ANALYZE.
struct mr_scan_stats {
	uint64_t rows;
	uint64_t bytes;         // as the columns are in memory
	uint64_t bytes_decoded; // of them, from blocks of segments; the others are read in place
	uint64_t blocks;
	uint64_t blocks_skipped; // left out unread, by their bounds
};

struct mr_relation_ops {
	// Pins a version of the relation. 0, or negative with `diag` filled.
	int (*scan_begin)(const struct mr_relation *r, const struct mr_scan_spec *spec,
		struct mr_scan **out, struct mr_diag *diag);
	// 1: a block; 0: the end; negative with `diag` filled.
	int (*scan_next)(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag);
	void (*scan_stats)(const struct mr_scan *s, struct mr_scan_stats *out);
	void (*scan_end)(struct mr_scan *s);
	// The exact number of rows without a scan, or -1 when it is not known that cheaply.
	int64_t (*rows_known)(const struct mr_relation *r);
};

struct mr_relation {
	uint64_t id; // never reused
	enum mr_relation_kind kind;
	struct mr_span schema; // "public", "millrace", "pg_catalog", …
	struct mr_span name;
	uint32_t columns_count;
	const struct mr_relation_column *columns;
	const struct mr_relation_ops *ops;
	void *owner;
	struct mr_span definition; // of a view: its SELECT; may be empty
};

// WITH options and columns of CREATE TABLE, checked for shape and types by the binder.
struct mr_option {
	struct mr_span name;
	struct mr_span value;
	int position;
};

struct mr_create_table {
	struct mr_span name;
	bool if_not_exists;
	const struct mr_relation_column *columns;
	uint32_t columns_count;
	const struct mr_option *options; // topic, format, partitions, watermark, ttl, …
	uint32_t options_count;
	int name_position;
};

struct mr_create_view {
	struct mr_span name;
	bool if_not_exists;
	struct mr_span query; // canonical text of the SELECT, to be stored and compiled again
	struct mr_fold *fold; // the compiled query; taken by the callee on success
	const struct mr_option *options;
	uint32_t options_count;
	int name_position;
	_Atomic bool *cancelled; // polled while the view is filled; may be NULL
};

enum mr_drop_kind { MR_DROP_TABLE, MR_DROP_VIEW };

struct mr_drop {
	enum mr_drop_kind kind;
	struct mr_span name;
	bool if_exists;
	bool cascade;
	int name_position;
};

// All return 0, 1 (nothing to do: IF [NOT] EXISTS), or negative with `diag` filled. `cancelled` is
// the session's (may be NULL): what waits or works for long polls it and gives up with 57014.
struct mr_env_ops {
	// Finds a relation and pins it against being freed until relation_put. `schema` may be
	// empty: public, then millrace's search path. NULL when there is none.
	const struct mr_relation *(*relation_get)(
		struct mr_env *e, struct mr_span schema, struct mr_span name);
	void (*relation_put)(struct mr_env *e, const struct mr_relation *r);
	// All relations at this moment, each pinned; `out` in the arena. Count, or negative.
	int (*relations)(struct mr_env *e, struct mr_arena *arena, const struct mr_relation ***out);
	// Help for "relation does not exist": may fill detail and hint ("topic orders exists; …").
	void (*relation_hint)(struct mr_env *e, struct mr_span name, struct mr_diag *diag);

	int (*create_table)(
		struct mr_env *e, const struct mr_create_table *c, struct mr_diag *diag);
	int (*create_view)(struct mr_env *e, struct mr_create_view *c, struct mr_diag *diag);
	int (*drop)(struct mr_env *e, const struct mr_drop *d, struct mr_diag *diag);
	int (*truncate)(struct mr_env *e, const struct mr_relation *r, _Atomic bool *cancelled,
		struct mr_diag *diag);
	// A produce: returns when the rows are durable and visible. `columns` says which column of
	// the relation each column of the block is.
	int (*insert)(struct mr_env *e, const struct mr_relation *r, const uint32_t *columns,
		uint32_t columns_count, const struct mr_block *rows, struct mr_diag *diag);
	int (*checkpoint)(struct mr_env *e, _Atomic bool *cancelled, struct mr_diag *diag);
	int (*vacuum)(struct mr_env *e, const struct mr_relation *r, _Atomic bool *cancelled,
		struct mr_diag *diag);
	// A server setting by name for SHOW and current_setting, or false. `out` in the arena.
	bool (*setting)(
		struct mr_env *e, struct mr_arena *arena, struct mr_span name, struct mr_span *out);

	// The sessions of this moment by pid; `out` in the arena. Count, or negative. May be NULL.
	int (*sessions)(struct mr_env *e, struct mr_arena *arena, struct mr_activity **out);
	// Cancels a session's query, or ends the session. False when there is none of that pid. May
	// be NULL.
	bool (*session_cancel)(struct mr_env *e, int32_t pid, bool terminate);
	// 0, or negative with diag. May be NULL.
	int (*capture)(struct mr_env *e, const struct mr_capture_ask *a, struct mr_diag *diag);
};

struct mr_env {
	const struct mr_env_ops *ops;
};
