// Watermarks: how far event time has come in each partition of a table.
//
// A table with `watermark = 'column - delay'` has for each partition the greatest event time of the
// rows it applied, and from it a watermark: that time less the delay. At most once a second the
// owner of the partition decides to advance it and says so in a record of its log, which holds the
// whole state up to an offset: so who reads the log again (a restart, other workers) obeys it, and
// decides only about rows from that offset on. What is shown is what is durable.
//
// A row whose time lies below the watermark in force when it is applied is late: counted, kept, and
// it changes the windows it belongs to. A time more than table.max_future ahead of the clock does
// not move the watermark; the row is kept and counted. So is a row without a time, or an infinite
// one.
//
// A partition without new rows for table.idle_timeout is idle and holds nobody back: a table's
// watermark is the least of its partitions that are not idle, or when all are idle the greatest of
// them. It never goes back while the daemon
// runs; a start finds it anew, with every partition held for not idle at first.
#pragma once

#include "host/base/buf.h"
#include "host/base/err.h"
#include "host/base/uuid.h"
#include "kernels/chunk.h"
#include "storage/log.h"

struct mr_control;
struct mr_row_table;
struct mr_worker;

// Record type of the daemon's own in the log.
#define MR_LOG_WATERMARK         (MR_LOG_OWNER + 1)
#define MR_WATERMARK_BYTES       80
#define MR_WATERMARK_NONE        INT64_MIN
#define MR_WATERMARK_INTERVAL_NS 1000000000

// What a record holds, beside topic and partition.
struct mr_watermark_state {
	uint64_t table_id;
	int64_t offset;       // rows below are taken into account
	int64_t watermark_us; // MR_WATERMARK_NONE: none yet
	int64_t max_event_us; // MR_WATERMARK_NONE: no row has moved it
	uint64_t rows_late;
	uint64_t rows_future;
	uint64_t rows_untimed;
};

// Of a feed. The worker's.
struct mr_watermark {
	int32_t column; // of the table; -1: the table has no watermark, nothing below counts
	int64_t delay_us;
	struct mr_watermark_state at;       // over all rows applied; watermark_us: in force
	struct mr_watermark_state recorded; // as the newest record has it
	struct mr_watermark_state durable;  // as the newest durable record has it
	uint64_t recorded_lsn;              // end of that record; 0: durable is up to date
	int64_t active_ns;                  // when rows came last
};

void mr_watermark_init(struct mr_watermark *m, uint64_t table_id, int32_t column, int64_t delay_us,
	int64_t now_ns);

// Rows [from, to) of the chunk, which `offsets` is the column of offsets of. Rows below the state's
// offset have been counted before and are passed over.
void mr_watermark_observe(struct mr_watermark *m, const struct mr_chunk *c, uint32_t offsets,
	uint32_t from, uint32_t to, int64_t future_us);

void mr_watermark_save(uint8_t out[MR_WATERMARK_BYTES], struct mr_uuid topic, uint32_t partition,
	const struct mr_watermark_state *s);
// 0 or MR_ERR_CORRUPT.
[[nodiscard]] int mr_watermark_load(struct mr_span payload, struct mr_uuid *topic,
	uint32_t *partition, struct mr_watermark_state *out);

// Decides and records what is due, unless the log has no room now. Worker; once a second.
void mr_worker_watermarks(struct mr_worker *w);

// What one partition of a table shows.
struct mr_watermark_row {
	uint64_t table_id;
	uint32_t partition;
	bool idle;
	struct mr_watermark_state state;
};

struct mr_watermark_rows {
	struct mr_watermark_row *rows;
	size_t count, max;
};

// All partitions of all tables that have one, by table and partition. Frees with free(rows). Any
// thread but control's and workers'.
[[nodiscard]] int mr_watermarks_collect(struct mr_control *c, struct mr_watermark_rows *out);

// millrace.watermarks.
int mr_system_fill_watermarks(struct mr_control *c, struct mr_row_table *rows);
