// What /metrics shows: every counter of every worker, and for each partition what came in, what was
// deduplicated, decoded, dead and visible, whose sums agree.
#include "host/daemon_metrics.h"

#include "host/control.h"
#include "host/merge.h"
#include "host/nic_metrics.h"
#include "host/seal.h"
#include "host/view/view_metrics.h"
#include "host/worker.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTER MR_METRIC_COUNTER
#define GAUGE   MR_METRIC_GAUGE

#define W(field) offsetof(struct mr_worker_stats, field)
static const struct mr_metric_entry worker_entries[] = {
	{"millrace_appends_total", "Record batches produced.", COUNTER, W(appends)},
	{"millrace_appends_failed_total", "Record batches refused.", COUNTER, W(appends_failed)},
	{"millrace_appends_stalled_total", "Record batches that waited for room.", COUNTER,
		W(appends_stalled)},
	{"millrace_appends_timed_out_total",
		"Record batches refused after waiting for kafka.append_wait.", COUNTER,
		W(appends_timed_out)},
	{"millrace_appends_waiting_log", "Record batches that wait for room in the log.", GAUGE,
		W(appends_waiting[MR_APPEND_WAIT_LOG])},
	{"millrace_appends_waiting_memory",
		"Record batches that wait for memory for a table's rows.", GAUGE,
		W(appends_waiting[MR_APPEND_WAIT_MEMORY])},
	{"millrace_appends_waiting_visible",
		"Durable record batches some of whose rows wait for memory.", GAUGE,
		W(appends_waiting[MR_APPEND_WAIT_VISIBLE])},
	{"millrace_fetches_total", "Fetch requests.", COUNTER, W(fetches)},
	{"millrace_fetches_waited_total", "Fetch requests that waited for data.", COUNTER,
		W(fetches_waited)},
	{"millrace_fetch_hot_bytes_total", "Bytes fetched from memory.", COUNTER,
		W(fetch_bytes_hot)},
	{"millrace_fetch_cold_bytes_total", "Bytes fetched from disk.", COUNTER,
		W(fetch_bytes_cold)},
	{"millrace_feeds_lagging", "Partitions whose tables are catching up.", GAUGE,
		W(feeds_lagging)},
	{"millrace_feeds_failed", "Partitions whose log a table cannot read.", GAUGE,
		W(feeds_failed)},
	{"millrace_log_active_index_bytes",
		"Of where batches lie in files being written, in memory.", GAUGE,
		W(log_index_bytes)},
	{"millrace_read_peak_bytes", "The most that batches being read from disk took.", GAUGE,
		W(read_bytes_peak)},
	{"millrace_read_waits_total", "Reads that waited for others to be done.", COUNTER,
		W(read_waits)},
	{"millrace_urgent", "1 while the worker is in the real-time class.", GAUGE, W(urgent)},
	{"millrace_log_stopped", "1 when the log acknowledges nothing any more.", GAUGE,
		W(log_stopped)},
	{"millrace_turns_total", "Turns of the worker's loop.", COUNTER, W(turns)},
};

static const struct mr_metric_entry worker_hists[] = {
	{"millrace_stage_check_seconds",
		"From receiving a batch to its being checked and in the log.", MR_METRIC_HISTOGRAM,
		W(stage_check)},
	{"millrace_stage_decode_seconds", "Decoding a batch into rows.", MR_METRIC_HISTOGRAM,
		W(stage_decode)},
	{"millrace_stage_flush_seconds", "From being in the log to being durable.",
		MR_METRIC_HISTOGRAM, W(stage_flush)},
	{"millrace_stage_visible_seconds", "Publishing durable rows and folding views.",
		MR_METRIC_HISTOGRAM, W(stage_visible)},
	{"millrace_ack_seconds", "From receiving a batch to acknowledging it.", MR_METRIC_HISTOGRAM,
		W(ack)},
	{"millrace_append_wait_log_seconds", "Waiting for room in the log.", MR_METRIC_HISTOGRAM,
		W(append_wait[MR_APPEND_WAIT_LOG])},
	{"millrace_append_wait_memory_seconds", "Waiting for memory for a table's rows.",
		MR_METRIC_HISTOGRAM, W(append_wait[MR_APPEND_WAIT_MEMORY])},
	{"millrace_append_wait_visible_seconds",
		"Waiting, durable, for the last rows to be visible.", MR_METRIC_HISTOGRAM,
		W(append_wait[MR_APPEND_WAIT_VISIBLE])},
};

#define C(field) offsetof(struct mr_conn_counters, field)
static const struct mr_metric_entry conn_entries[] = {
	{"millrace_kafka_connections", "Open Kafka connections.", GAUGE, C(connections)},
	{"millrace_kafka_requests_total", "Kafka requests.", COUNTER, C(requests)},
	{"millrace_kafka_responses_total", "Kafka responses.", COUNTER, C(responses)},
	{"millrace_kafka_closed_limit_total", "Connections closed: connections_max.", COUNTER,
		C(closed_limit)},
	{"millrace_kafka_closed_bad_length_total",
		"Connections closed: a request of negative or too great a length.", COUNTER,
		C(closed_bad_length)},
	{"millrace_kafka_closed_idle_total", "Connections closed: idle.", COUNTER, C(closed_idle)},
	{"millrace_kafka_closed_slow_total",
		"Connections closed: a request took too long to arrive.", COUNTER, C(closed_slow)},
	{"millrace_kafka_closed_protocol_total", "Connections closed: malformed requests.", COUNTER,
		C(closed_protocol)},
	{"millrace_kafka_paused_memory_total", "Reading stopped for want of request memory.",
		COUNTER, C(paused_memory)},
	{"millrace_kafka_paused_requests_total", "Reading stopped: requests of the worker.",
		COUNTER, C(paused_requests)},
	{"millrace_kafka_paused_connection_total", "Reading stopped: requests of one connection.",
		COUNTER, C(paused_connection)},
	{"millrace_kafka_paused_output_total", "Reading stopped: responses not read by the client.",
		COUNTER, C(paused_output)},
};

#define N(field) offsetof(struct mr_net_counters, field)
static const struct mr_metric_entry net_entries[] = {
	{"millrace_kafka_received_bytes_total", "Bytes received.", COUNTER, N(received_bytes)},
	{"millrace_kafka_received_placed_bytes_total",
		"Of these, received straight into their place.", COUNTER, N(placed_bytes)},
	{"millrace_kafka_received_copied_bytes_total", "Of these, copied into their place.",
		COUNTER, N(copied_bytes)},
	{"millrace_kafka_sent_bytes_total", "Bytes sent.", COUNTER, N(sent_bytes)},
	{"millrace_kafka_accepted_total", "Connections accepted.", COUNTER, N(accepted)},
	{"millrace_kafka_closed_descriptors_total",
		"Connections closed: the descriptors left are for files and sessions.", COUNTER,
		N(accept_beyond)},
	{"millrace_kafka_accept_paused_total",
		"Accepting paused for want of descriptors or memory.", COUNTER, N(accept_paused)},
	{"millrace_kafka_rxbufs_exhausted_total", "Receives that found no buffer.", COUNTER,
		N(rxbufs_exhausted)},
};

#define S(field) offsetof(struct mr_seal_stats, field)
static const struct mr_metric_entry seal_entries[] = {
	{"millrace_seal_segments_total", "Segments written from rows in memory.", COUNTER,
		S(segments)},
	{"millrace_seal_rows_total", "Rows and dead letters in them.", COUNTER, S(rows)},
	{"millrace_seal_bytes_total", "Bytes of their files.", COUNTER, S(bytes)},
	{"millrace_seal_failures_total", "Segments that could not be written.", COUNTER,
		S(failures)},
	{"millrace_seal_failing", "Tables whose last segment could not be written, on each worker.",
		GAUGE, S(failing)},
	{"millrace_seal_pieces_waiting", "Pieces of tables that wait to be sealed.", GAUGE,
		S(pieces_waiting)},
};

#define G(field) offsetof(struct mr_merge_stats, field)
static const struct mr_metric_entry merge_entries[] = {
	{"millrace_merges_total", "Segments written by merging.", COUNTER, G(merges)},
	{"millrace_merge_segments_total", "Segments merged into others.", COUNTER, G(segments)},
	{"millrace_merge_rows_total", "Rows and dead letters written by merging.", COUNTER,
		G(rows)},
	{"millrace_merge_read_bytes_total", "Bytes of the files merged.", COUNTER, G(bytes_read)},
	{"millrace_merge_written_bytes_total", "Bytes of the files written.", COUNTER,
		G(bytes_written)},
	{"millrace_merge_busy_microseconds_total", "Time spent in merges.", COUNTER, G(busy_us)},
	{"millrace_merge_failures_total", "Merges that failed.", COUNTER, G(failures)},
	{"millrace_merge_failing", "1 when the last merge failed.", GAUGE, G(failing)},
	{"millrace_merge_damaged_total", "Segments that merging found damaged.", COUNTER,
		G(damaged)},
	{"millrace_merge_disk_waits_total", "Merges put off for want of disk space.", COUNTER,
		G(disk_waits)},
	{"millrace_merge_seal_waits_total", "Times that a merge made way for sealing.", COUNTER,
		G(seal_waits)},
	{"millrace_merge_memory_bytes", "Most memory held by one merge so far.", GAUGE,
		G(memory_bytes)},
	{"millrace_expired_segments_total", "Segments dropped by their table's ttl.", COUNTER,
		G(expired_segments)},
	{"millrace_expired_rows_total", "Rows and dead letters in them.", COUNTER, G(expired_rows)},
	{"millrace_expire_failures_total", "Expired segments that could not be dropped.", COUNTER,
		G(expire_failures)},
};

static struct mr_metric metric(const struct mr_metric_entry *e, const char *worker)
{
	return (struct mr_metric){.kind = e->kind,
		.name = e->name,
		.help = e->help,
		.labels = {{worker ? "worker" : NULL, worker}}};
}

int mr_daemon_metrics_entries(struct mr_metrics *m, const struct mr_metric_entry *entries,
	size_t count, const void *base, const char *worker)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct mr_metric k = metric(&entries[i], worker);
		const char *at = (const char *)base + entries[i].offset;

		if (k.kind == MR_METRIC_HISTOGRAM)
			rc = mr_metrics_add_hist(m, &k, (const struct mr_hist *)(const void *)at);
		else
			rc = mr_metrics_add(m, &k, (const _Atomic uint64_t *)(const void *)at);
	}
	return rc;
}

static int add_worker(struct mr_metrics *m, struct mr_worker *w)
{
	char id[16];
	int rc;

	snprintf(id, sizeof(id), "%u", w->id);
	rc = mr_daemon_metrics_entries(
		m, worker_entries, MR_COUNT_OF(worker_entries), &w->stats, id);
	if (rc == 0)
		rc = mr_daemon_metrics_entries(
			m, worker_hists, MR_COUNT_OF(worker_hists), &w->stats, id);
	if (rc == 0)
		rc = mr_daemon_metrics_entries(m, conn_entries, MR_COUNT_OF(conn_entries),
			mr_conns_counters(w->conns), id);
	if (rc == 0)
		rc = mr_daemon_metrics_entries(
			m, net_entries, MR_COUNT_OF(net_entries), mr_net_counters(w->net), id);
	if (rc == 0 && w->stack)
		rc = mr_nic_metrics(m, w, id);
	return rc;
}

// ---- partitions and tables, which come and go

struct partition_row {
	char topic[MR_TOPIC_NAME_MAX + 1];
	char number[16];
	double values[4];
};

struct partition_rows {
	struct partition_row *rows;
	size_t count, max;
};

static const struct mr_metric_entry partition_entries[] = {
	{"millrace_partition_records_total", "Records appended.", COUNTER, 0},
	{"millrace_partition_batches_total", "Record batches appended.", COUNTER, 0},
	{"millrace_partition_bytes_total", "Bytes appended.", COUNTER, 0},
	{"millrace_partition_deduplicated_total",
		"Records of repeated batches, not appended again.", COUNTER, 0},
};

static double load(const _Atomic uint64_t *c)
{
	return (double)atomic_load_explicit(c, memory_order_relaxed);
}

static void collect_worker(struct mr_worker *w, void *arg)
{
	struct partition_rows *all = arg;

	for (size_t i = 0; i < MR_PARTITION_SLOTS; i++) {
		for (const struct mr_partition *p = w->partitions[i]; p; p = p->next) {
			struct partition_row *r;

			if (all->count == all->max) {
				size_t max = all->max * 2 + 64;

				r = realloc(all->rows, max * sizeof(*r));
				if (!r)
					return;
				all->rows = r;
				all->max = max;
			}
			r = &all->rows[all->count++];
			snprintf(r->topic, sizeof(r->topic), "%s", p->topic->name);
			snprintf(r->number, sizeof(r->number), "%u", p->number);
			r->values[0] = load(&p->records_in);
			r->values[1] = load(&p->batches_in);
			r->values[2] = load(&p->bytes_in);
			r->values[3] = load(&p->records_deduplicated);
		}
	}
}

static void emit_partitions(struct mr_metrics_out *out, void *owner)
{
	struct mr_control *c = owner;
	struct partition_rows all = {0};

	for (uint32_t i = 0; i < c->workers_count; i++)
		mr_worker_call(c->workers[i], collect_worker, &all);
	for (size_t e = 0; e < MR_COUNT_OF(partition_entries); e++) {
		for (size_t i = 0; i < all.count; i++) {
			const struct mr_metric k = {.kind = COUNTER,
				.name = partition_entries[e].name,
				.help = partition_entries[e].help,
				.labels = {{"topic", all.rows[i].topic},
					{"partition", all.rows[i].number}}};

			mr_metrics_emit(out, &k, all.rows[i].values[e]);
		}
	}
	free(all.rows);
}

static const struct mr_metric_entry table_entries[] = {
	{"millrace_table_rows_decoded_total", "Records decoded into rows.", COUNTER,
		offsetof(struct mr_table_part, rows_decoded)},
	{"millrace_table_rows_visible_total", "Rows that queries see.", COUNTER,
		offsetof(struct mr_table_part, rows_visible)},
	{"millrace_table_rows_dead_total", "Records that became dead letters.", COUNTER,
		offsetof(struct mr_table_part, rows_dead)},
	{"millrace_table_chunks_waited_total", "Rows that waited for table memory.", COUNTER,
		offsetof(struct mr_table_part, chunks_waited)},
};

static void emit_tables(struct mr_metrics_out *out, void *owner)
{
	struct mr_snapshot *s = mr_control_snapshot(owner);

	for (size_t e = 0; e < MR_COUNT_OF(table_entries); e++) {
		for (size_t i = 0; i < s->tables_count; i++) {
			const struct mr_table *t = s->tables[i];
			struct mr_metric k = metric(&table_entries[e], NULL);
			double sum = 0;

			for (uint32_t p = 0; p < t->parts_count; p++)
				sum += load((const _Atomic uint64_t *)(const void
						*)((const char *)t->parts[p] +
						   table_entries[e].offset));
			k.labels[0] = (struct mr_label){"table", t->def->name};
			mr_metrics_emit(out, &k, sum);
		}
	}
	mr_snapshot_put(s);
}

static void emit_table_memory(struct mr_metrics_out *out, void *owner)
{
	const struct mr_control *c = owner;
	double used = 0, committed = 0;

	for (uint32_t i = 0; i < c->workers_count; i++) {
		used += (double)mr_chunk_pool_bytes_used(c->pools[i]);
		committed += (double)mr_chunk_pool_bytes_committed(c->pools[i]);
	}
	mr_metrics_emit(out,
		&(struct mr_metric){.kind = GAUGE,
			.name = "millrace_table_memory_used_bytes",
			.help = "Of table.memory_bytes, all workers: rows not yet in segments."},
		used);
	mr_metrics_emit(out,
		&(struct mr_metric){.kind = GAUGE,
			.name = "millrace_table_memory_committed_bytes",
			.help = "Of table.memory_bytes, all workers: used once, or committed "
				"ahead."},
		committed);
}

// ---- what there may be so many of at most

static void emit_limits(struct mr_metrics_out *out, void *owner)
{
	static const char *const names[MR_LIMITS] = {
		[MR_LIMIT_TOPICS] = "topics",
		[MR_LIMIT_PARTITIONS] = "partitions",
		[MR_LIMIT_TABLES] = "tables",
		[MR_LIMIT_VIEWS] = "materialized views",
	};
	const struct mr_control *c = owner;

	for (int i = 0; i < MR_LIMITS; i++) {
		const struct mr_metric k = {.kind = COUNTER,
			.name = "millrace_limit_refusals_total",
			.help = "Topics, partitions, tables and views refused: there were too "
				"many.",
			.labels = {{"limit", names[i]}}};

		mr_metrics_emit(out, &k, load(&c->refusals[i]));
	}
}

// Since when the oldest rows wait to be sealed, in seconds.
static double seal_lag(void *owner)
{
	struct mr_control *c = owner;
	const struct mr_seal_stats *s = mr_seal_stats(c->seal);
	uint64_t since = atomic_load_explicit(&s->waiting_since_ns, memory_order_relaxed);

	return since ? (double)(mr_now_ns(c->clock) - (int64_t)since) / 1e9 : 0;
}

static int add_background(struct mr_metrics *m, struct mr_control *c)
{
	const struct mr_metric lag = {.kind = GAUGE,
		.name = "millrace_seal_lag_seconds",
		.help = "Age of the oldest rows that wait to be sealed."};
	int rc = mr_metrics_add_call(m, &lag, seal_lag, c);

	if (rc == 0)
		rc = mr_daemon_metrics_entries(
			m, seal_entries, MR_COUNT_OF(seal_entries), mr_seal_stats(c->seal), NULL);
	if (rc == 0)
		rc = mr_daemon_metrics_entries(m, merge_entries, MR_COUNT_OF(merge_entries),
			mr_merge_stats(c->merge), NULL);
	return rc;
}

// ---- the log store

#define L(field) offsetof(struct mr_log_store_stats, field)
static const struct mr_metric_entry log_entries[] = {
	{"millrace_log_files", "Log files that belong to a log.", GAUGE, L(files)},
	{"millrace_log_files_spare", "Log files kept for use again.", GAUGE, L(files_spare)},
	{"millrace_log_files_open", "Log files that are open.", GAUGE, L(files_open)},
	{"millrace_log_bytes", "Bytes of all log files on disk.", GAUGE, L(bytes)},
	{"millrace_log_live_bytes", "Bytes of ended log files that retention keeps.", GAUGE,
		L(bytes_live)},
	{"millrace_log_dead_bytes", "Bytes of ended log files that nobody needs.", GAUGE,
		L(bytes_dead)},
	{"millrace_log_files_made_total", "Log files filled with zeros.", COUNTER, L(files_made)},
	{"millrace_log_files_recycled_total", "Log files used again.", COUNTER, L(files_recycled)},
	{"millrace_log_files_removed_total", "Log files removed from the disk.", COUNTER,
		L(files_removed)},
	{"millrace_log_open_evictions_total",
		"Log files closed because of log.open_files_max, to be opened again.", COUNTER,
		L(open_evictions)},
	{"millrace_log_cleanings_total", "Files written from mostly dead ones.", COUNTER,
		L(cleanings)},
	{"millrace_log_cleaned_files_total", "Mostly dead files given back.", COUNTER,
		L(cleaned_files)},
	{"millrace_log_cleaned_bytes_total", "Bytes of mostly dead files given back.", COUNTER,
		L(cleaned_bytes)},
	{"millrace_log_clean_copied_bytes_total", "Bytes copied out of mostly dead files.", COUNTER,
		L(copied_bytes)},
	{"millrace_log_clean_failures_total", "Cleanings that did not get through.", COUNTER,
		L(clean_failures)},
	{"millrace_log_clean_no_room_total", "Of these, for want of room.", COUNTER,
		L(clean_no_room)},
	{"millrace_log_clean_damaged_total", "Of these, for a damaged batch: that file is kept.",
		COUNTER, L(clean_damaged)},
	{"millrace_log_index_bytes", "Of where batches lie in ended files, in memory.", GAUGE,
		L(index_bytes)},
	{"millrace_log_runs_saved_bytes", "Of what files hold of each partition, in the manifest.",
		GAUGE, L(runs_bytes)},
	{"millrace_log_index_starts_total", "Files whose index the start had to read.", COUNTER,
		L(index_starts)},
	{"millrace_log_index_loads_total", "Files whose index was read again.", COUNTER,
		L(index_loads)},
	{"millrace_log_index_evictions_total",
		"Files whose index went because of log.index_memory_bytes.", COUNTER,
		L(index_evictions)},
	{"millrace_log_index_waits_total", "Loads that had to wait for room.", COUNTER,
		L(index_waits)},
	{"millrace_log_index_failures_total", "Loads that did not get through.", COUNTER,
		L(index_failures)},
	{"millrace_log_index_scans_total", "Damaged indexes: whole files were read instead.",
		COUNTER, L(index_scans)},
};

static void emit_fields(struct mr_metrics_out *out, const struct mr_metric_entry *entries,
	size_t count, const void *stats)
{
	for (size_t i = 0; i < count; i++) {
		const struct mr_metric_entry *e = &entries[i];
		const struct mr_metric k = {.kind = e->kind, .name = e->name, .help = e->help};
		uint64_t value;

		memcpy(&value, (const char *)stats + e->offset, sizeof(value));
		mr_metrics_emit(out, &k, (double)value);
	}
}

static void emit_log(struct mr_metrics_out *out, void *owner)
{
	const struct mr_control *c = owner;
	const struct mr_log_store_stats st = mr_log_store_stats(c->store);
	const struct mr_metric stopped = {.kind = GAUGE,
		.name = "millrace_manifest_stopped",
		.help = "1 when nothing can be made, sealed or given back any more."};

	mr_metrics_emit(out, &stopped, mr_manifest_is_stopped(c->manifest));
	emit_fields(out, log_entries, MR_COUNT_OF(log_entries), &st);
}

// ---- footers of segments

#define F(field) offsetof(struct mr_footer_stats, field)

static const struct mr_metric_entry footer_entries[] = {
	{"millrace_segment_footer_bytes", "Of footers of segments, in memory.", GAUGE, F(bytes)},
	{"millrace_segment_footer_loads_total", "Footers of segments that were read.", COUNTER,
		F(loads)},
	{"millrace_segment_footer_evictions_total",
		"Footers that went because of segment.footer_memory_bytes.", COUNTER, F(evictions)},
};

static void emit_footers(struct mr_metrics_out *out, void *owner)
{
	const struct mr_control *c = owner;
	struct mr_footer_stats st;

	mr_footer_cache_stats(mr_segment_store_footers(c->segments), &st);
	emit_fields(out, footer_entries, MR_COUNT_OF(footer_entries), &st);
}

// ---- watermarks

enum { LAG, LATE, FUTURE, UNTIMED, WATERMARK_ENTRIES };

static const struct mr_metric_entry watermark_entries[WATERMARK_ENTRIES] = {
	{"millrace_table_watermark_lag_seconds", "The clock less the table's watermark.", GAUGE, 0},
	{"millrace_table_rows_late_total", "Rows below their partition's watermark.", COUNTER, 0},
	{"millrace_table_rows_future_total",
		"Rows whose time is further ahead than table.max_future.", COUNTER, 0},
	{"millrace_table_rows_untimed_total", "Rows whose time is NULL or infinite.", COUNTER, 0},
};

static double watermark_sum(const struct mr_watermark_rows *all, uint64_t table_id, int entry)
{
	double sum = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct mr_watermark_row *r = &all->rows[i];

		if (r->table_id == table_id)
			sum += (double)(entry == LATE     ? r->state.rows_late
					: entry == FUTURE ? r->state.rows_future
							  : r->state.rows_untimed);
	}
	return sum;
}

// A table that has no watermark yet has no lag.
static void emit_watermarks(struct mr_metrics_out *out, void *owner)
{
	struct mr_control *c = owner;
	struct mr_snapshot *s = mr_control_snapshot(c);
	struct mr_watermark_rows all;
	bool have = mr_watermarks_collect(c, &all) == 0;

	for (int e = 0; have && e < WATERMARK_ENTRIES; e++) {
		for (size_t i = 0; i < s->tables_count; i++) {
			const struct mr_table *t = s->tables[i];
			struct mr_metric k = metric(&watermark_entries[e], NULL);
			int64_t us = atomic_load(&t->watermark_us);
			double lag = (double)(mr_wall_us(c->clock) - us) / 1e6;

			if (t->def->options.watermark_column < 0 ||
				(e == LAG && us == MR_WATERMARK_NONE))
				continue;
			k.labels[0] = (struct mr_label){"table", t->def->name};
			mr_metrics_emit(
				out, &k, e == LAG ? lag : watermark_sum(&all, t->def->id, e));
		}
	}
	if (have)
		free(all.rows);
	mr_snapshot_put(s);
}

int mr_daemon_metrics(struct mr_metrics *m, struct mr_control *c)
{
	int rc = mr_metrics_add_source(m, emit_partitions, c);

	if (rc == 0)
		rc = mr_metrics_add_source(m, emit_limits, c);
	if (rc == 0)
		rc = mr_metrics_add_source(m, emit_tables, c);
	if (rc == 0)
		rc = mr_metrics_add_source(m, emit_table_memory, c);
	if (rc == 0)
		rc = mr_view_metrics(m, c);
	if (rc == 0)
		rc = add_background(m, c);
	if (rc == 0)
		rc = mr_metrics_add_source(m, emit_log, c);
	if (rc == 0)
		rc = mr_metrics_add_source(m, emit_footers, c);
	if (rc == 0)
		rc = mr_metrics_add_source(m, emit_watermarks, c);
	for (uint32_t i = 0; rc == 0 && i < c->workers_count; i++)
		rc = add_worker(m, c->workers[i]);
	return rc;
}
