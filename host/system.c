// millrace.*: each table is its columns and a function that writes its rows at the moment of the
// query. What belongs to a worker is read on that worker, by message.
#include "host/system.h"

#include "host/control.h"
#include "host/nic.h"
#include "host/scan.h"
#include "host/system_int.h"
#include "host/view/view.h"
#include "host/worker.h"
#include "kernels/chunk.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define T_TEXT                     \
	{                          \
		MR_TYPE_TEXT, 0, 0 \
	}
#define T_INT4                     \
	{                          \
		MR_TYPE_INT4, 0, 0 \
	}
#define T_INT8                     \
	{                          \
		MR_TYPE_INT8, 0, 0 \
	}
#define T_BOOL                     \
	{                          \
		MR_TYPE_BOOL, 0, 0 \
	}
#define T_TIME                            \
	{                                 \
		MR_TYPE_TIMESTAMPTZ, 0, 0 \
	}
#define T_BYTEA                     \
	{                           \
		MR_TYPE_BYTEA, 0, 0 \
	}

enum { COLUMNS_MAX = 24 };

struct system_def {
	const char *name;
	// Writes all rows; NULL: scanned another way.
	int (*fill)(struct mr_control *c, struct mr_row_table *rows);
	struct {
		const char *name;
		struct mr_typeref type;
	} columns[COLUMNS_MAX];
};

struct system_relation {
	struct mr_relation relation;
	const struct system_def *def;
	struct mr_relation_column columns[COLUMNS_MAX];
	struct mr_control *control;
};

static int64_t load(const _Atomic uint64_t *c)
{
	return (int64_t)atomic_load_explicit(c, memory_order_relaxed);
}

// ---- the tables

static void fill_partition(
	struct mr_row_table *rows, const struct mr_worker *w, const struct mr_partition *p)
{
	mr_row_begin(rows);
	mr_row_copy(rows, 0, p->topic->topic.name);
	mr_row_int(rows, 1, (int32_t)p->number);
	mr_row_int(rows, 2, (int32_t)w->id);
	mr_row_int(rows, 3, p->log_start);
	mr_row_int(rows, 4, p->high_watermark);
	mr_row_int(rows, 5, load(&p->batches_in));
	mr_row_int(rows, 6, load(&p->records_in));
	mr_row_int(rows, 7, load(&p->records_deduplicated));
	mr_row_int(rows, 8, load(&p->bytes_in));
}

static void fill_worker_partitions(struct mr_worker *w, void *rows)
{
	for (size_t i = 0; i < MR_PARTITION_SLOTS; i++)
		for (const struct mr_partition *p = w->partitions[i]; p; p = p->next)
			fill_partition(rows, w, p);
}

static int fill_all_partitions(struct mr_control *c, struct mr_row_table *rows)
{
	for (uint32_t i = 0; i < c->workers_count; i++)
		mr_worker_call(c->workers[i], fill_worker_partitions, rows);
	return 0;
}

// Of a worker's own port; null where the kernel has the network. What the device itself lost,
// before any worker saw it, is in millrace.ports.
static void fill_worker_port(struct mr_worker *w, struct mr_row_table *rows)
{
	const struct mr_port_counters *c;

	if (!w->control->nic)
		return;
	c = &mr_nic_port(w->control->nic, w->id)->counters;
	mr_row_int(rows, 14, load(&c->rx_frames));
	mr_row_int(rows, 15, load(&c->rx_bytes));
	mr_row_int(rows, 16, load(&c->rx_cut) + load(&c->steered_lost));
	mr_row_int(rows, 17, load(&c->tx_frames));
	mr_row_int(rows, 18, load(&c->tx_bytes));
	mr_row_int(rows, 19, load(&c->tx_dropped) + load(&c->tx_no_frame));
}

static void fill_one_worker(struct mr_worker *w, void *arg)
{
	struct mr_row_table *rows = arg;
	const struct mr_log_stats *log = mr_log_stats(w->log);
	const struct mr_conn_counters *conns = mr_conns_counters(w->conns);

	mr_row_begin(rows);
	mr_row_int(rows, 0, (int32_t)w->id);
	mr_row_int(rows, 1, w->core);
	mr_row_int(rows, 2, w->port);
	mr_row_int(rows, 3, (int64_t)w->partitions_count);
	mr_row_int(rows, 4, load(&conns->connections));
	mr_row_int(rows, 5, load(&conns->requests));
	mr_row_int(rows, 6, load(&w->stats.appends));
	mr_row_int(rows, 7, load(&w->stats.appends_failed));
	mr_row_int(rows, 8, load(&w->stats.appends_stalled));
	mr_row_int(rows, 9, (int64_t)log->frames);
	mr_row_int(rows, 10, (int64_t)log->frame_bytes);
	mr_row_int(rows, 11, load(&w->stats.feeds_lagging));
	mr_row_int(rows, 12, (int64_t)mr_chunk_pool_bytes_used(w->control->pools[w->id]));
	mr_row_int(rows, 13, (int64_t)mr_chunk_pool_bytes_max(w->control->pools[w->id]));
	fill_worker_port(w, rows);
}

static int fill_workers(struct mr_control *c, struct mr_row_table *rows)
{
	for (uint32_t i = 0; i < c->workers_count; i++)
		mr_worker_call(c->workers[i], fill_one_worker, rows);
	return 0;
}

static int fill_topics(struct mr_control *c, struct mr_row_table *rows)
{
	struct mr_snapshot *s = mr_control_snapshot(c);
	struct mr_sorted_at at = {0};
	const struct mr_topic *t;

	while ((t = mr_sorted_next(s->topics.by_name, &at))) {
		mr_row_begin(rows);
		mr_row_copy(rows, 0, t->name);
		mr_row_int(rows, 1, (int32_t)t->partitions);
		mr_row_int(rows, 2, t->config.retention_ms);
		mr_row_int(rows, 3, t->config.retention_bytes);
	}
	mr_snapshot_put(s);
	return 0;
}

static int fill_tables(struct mr_control *c, struct mr_row_table *rows)
{
	struct mr_snapshot *s = mr_control_snapshot(c);

	for (size_t i = 0; i < s->tables_count; i++) {
		const struct mr_table *t = s->tables[i];
		int64_t decoded = 0, visible = 0, dead = 0;

		for (uint32_t k = 0; k < t->parts_count; k++) {
			decoded += load(&t->parts[k]->rows_decoded);
			visible += load(&t->parts[k]->rows_visible);
			dead += load(&t->parts[k]->rows_dead);
		}
		mr_row_begin(rows);
		mr_row_copy(rows, 0, t->relation.name);
		mr_row_copy(rows, 1, t->topic->topic.name);
		mr_row_int(rows, 2, decoded);
		mr_row_int(rows, 3, visible);
		mr_row_int(rows, 4, dead);
	}
	mr_snapshot_put(s);
	return 0;
}

static void fill_segment(
	struct mr_row_table *rows, const struct mr_snapshot *s, const struct mr_segment *segment)
{
	const struct mr_segment_info *info = &segment->info;
	const struct mr_table *t = mr_snapshot_table_by_id(s, info->table_id);

	if (!t)
		return;
	mr_row_begin(rows);
	mr_row_copy(rows, 0, t->relation.name);
	mr_row_int(rows, 1, (int64_t)info->id);
	mr_row_int(rows, 2, (int64_t)info->rows);
	mr_row_int(rows, 3, (int64_t)info->dead_rows);
	mr_row_int(rows, 4, (int64_t)info->file_bytes);
	mr_row_int(rows, 5, (int32_t)info->ranges_count);
	if (info->raw_bytes) {
		mr_row_int(rows, 6, (int64_t)info->raw_bytes);
		mr_row_int(rows, 7, (int64_t)(info->raw_bytes * 100 / info->file_bytes));
	}
	if (info->time_min <= info->time_max) {
		mr_row_int(rows, 8, info->time_min);
		mr_row_int(rows, 9, info->time_max);
	}
	mr_row_int(rows, 10, info->merges);
	mr_row_int(rows, 11, info->level);
	mr_row_int(rows, 12, atomic_load_explicit(&segment->damaged, memory_order_relaxed));
}

static int fill_segments(struct mr_control *c, struct mr_row_table *rows)
{
	struct mr_snapshot *s = mr_control_snapshot(c);
	struct mr_segment **list;
	int n = mr_segment_store_list(c->segments, 0, &list);

	for (int i = 0; i < n; i++) {
		fill_segment(rows, s, list[i]);
		mr_segment_put(list[i]);
	}
	if (n >= 0)
		free(list);
	mr_snapshot_put(s);
	return MR_MIN(n, 0);
}

static int fill_logs(struct mr_control *c, struct mr_row_table *rows)
{
	size_t max = mr_log_store_files(c->store, NULL, 0), count;
	struct mr_log_file_info *list = calloc(max + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	count = MR_MIN(mr_log_store_files(c->store, list, max), max);
	for (size_t i = 0; i < count; i++) {
		char file[24];

		snprintf(file, sizeof(file), "%016llx.mlog", (unsigned long long)list[i].id);
		mr_row_begin(rows);
		mr_row_int(rows, 0, (int64_t)list[i].log_id);
		mr_row_copy(rows, 1, mr_span_str(file));
		mr_row_int(rows, 2, (int64_t)list[i].bytes);
		mr_row_int(rows, 3, (int64_t)list[i].bytes_live);
		mr_row_int(rows, 4, (int64_t)list[i].batches);
		mr_row_int(rows, 5, list[i].sealed);
		mr_row_int(rows, 6, list[i].is_long);
	}
	free(list);
	return 0;
}

static void fill_view(
	struct mr_row_table *rows, const struct mr_view *v, const struct mr_view_figures *f)
{
	mr_row_begin(rows);
	mr_row_copy(rows, 0, v->relation.name);
	mr_row_copy(rows, 1, v->table->relation.name);
	mr_row_int(rows, 2, atomic_load_explicit(&v->ready, memory_order_acquire));
	if (f->has_base)
		mr_row_int(rows, 3, (int64_t)f->groups);
	mr_row_int(rows, 4, (int64_t)f->active_bytes);
	mr_row_int(rows, 5, (int64_t)f->unsealed);
	mr_row_int(rows, 6, (int64_t)f->unsealed_bytes);
	mr_row_int(rows, 7, (int64_t)f->base_bytes);
	mr_row_int(rows, 8, (int64_t)f->runs);
	mr_row_int(rows, 9, (int64_t)f->run_groups);
	mr_row_int(rows, 10, (int64_t)f->run_bytes);
	mr_row_int(rows, 11, (int64_t)f->rows_folded);
	mr_row_int(rows, 12, load(&v->stats.rows_filled));
	mr_row_int(rows, 13, (int64_t)f->rows_failed);
	mr_row_int(rows, 14, (int64_t)f->rows_untimed);
	mr_row_int(rows, 15, load(&v->stats.reads));
	mr_row_int(rows, 16, load(&v->stats.reads_spilled));
	mr_row_int(rows, 17, load(&v->stats.base_drops));
	mr_row_int(rows, 18, load(&v->stats.runs_merged));
}

static int fill_views(struct mr_control *c, struct mr_row_table *rows)
{
	struct mr_snapshot *s = mr_control_snapshot(c);

	struct mr_view_figures *figures = calloc(s->views_count + 1, sizeof(*figures));

	if (figures)
		mr_views_figures(s->views, s->views_count, figures);
	for (size_t i = 0; figures && i < s->views_count; i++)
		fill_view(rows, s->views[i], &figures[i]);
	mr_snapshot_put(s);
	if (!figures)
		return -ENOMEM;
	free(figures);
	return 0;
}

static int fill_settings(struct mr_control *c, struct mr_row_table *rows)
{
	const char *name, *help;

	for (size_t i = 0; (name = mr_config_key(i, &help)); i++) {
		char value[4096];

		mr_config_value(c->config, i, value, sizeof(value));
		mr_row_begin(rows);
		mr_row_copy(rows, 0, mr_span_str(name));
		mr_row_copy(rows, 1, mr_span_str(value));
		mr_row_copy(rows, 2, mr_span_str(help));
	}
	return 0;
}

static const struct system_def defs[] = {
	{"connections", mr_system_fill_connections,
		{{"kind", T_TEXT}, {"worker", T_INT4}, {"pid", T_INT4}, {"peer", T_TEXT},
			{"local_port", T_INT4}, {"client", T_TEXT}, {"state", T_TEXT},
			{"since", T_TIME}, {"idle_ms", T_INT8}, {"requests", T_INT8},
			{"requests_unfinished", T_INT4}, {"received_bytes", T_INT8},
			{"sent_bytes", T_INT8}, {"memory_bytes", T_INT8}, {"pinned_bytes", T_INT8},
			{"tcp_state", T_TEXT}, {"srtt_us", T_INT8}, {"retransmits", T_INT8}}},
	{"dead_letters", NULL,
		{{"topic", T_TEXT}, {"partition", T_INT4}, {"offset", T_INT8},
			{"timestamp", T_TIME}, {"key", T_BYTEA}, {"value", T_BYTEA},
			{"reason", T_TEXT}}},
	{"logs", fill_logs,
		{{"log_id", T_INT8}, {"file", T_TEXT}, {"bytes", T_INT8}, {"bytes_live", T_INT8},
			{"batches", T_INT8}, {"sealed", T_BOOL}, {"is_long", T_BOOL}}},
	{"partitions", fill_all_partitions,
		{{"topic", T_TEXT}, {"partition", T_INT4}, {"worker", T_INT4},
			{"log_start_offset", T_INT8}, {"high_watermark", T_INT8},
			{"batches_in", T_INT8}, {"records_in", T_INT8},
			{"records_deduplicated", T_INT8}, {"bytes_in", T_INT8}}},
	{"ports", mr_system_fill_ports,
		{{"name", T_TEXT}, {"driver", T_TEXT}, {"mac", T_TEXT}, {"address", T_TEXT},
			{"link", T_TEXT}, {"mbps", T_INT8}, {"mtu", T_INT4}, {"node", T_INT4},
			{"rx_queues", T_INT4}, {"tx_queues", T_INT4}, {"steering", T_TEXT},
			{"checksums", T_TEXT}, {"wakes_by", T_TEXT}, {"rx_frames", T_INT8},
			{"rx_bytes", T_INT8}, {"rx_missed", T_INT8}, {"rx_errors", T_INT8},
			{"rx_no_frame", T_INT8}, {"tx_frames", T_INT8}, {"tx_bytes", T_INT8},
			{"tx_errors", T_INT8}, {"link_changes", T_INT8}}},
	{"segments", fill_segments,
		{{"table_name", T_TEXT}, {"segment_id", T_INT8}, {"rows", T_INT8},
			{"dead_rows", T_INT8}, {"bytes", T_INT8}, {"partitions", T_INT4},
			{"raw_bytes", T_INT8}, {"compression_ratio", {MR_TYPE_NUMERIC, 18, 2}},
			{"min_time", T_TIME}, {"max_time", T_TIME}, {"merges", T_INT4},
			{"zstd_level", T_INT4}, {"damaged", T_BOOL}}},
	{"settings", fill_settings, {{"name", T_TEXT}, {"value", T_TEXT}, {"help", T_TEXT}}},
	{"tables", fill_tables,
		{{"table_name", T_TEXT}, {"topic", T_TEXT}, {"rows_decoded", T_INT8},
			{"rows_visible", T_INT8}, {"rows_dead", T_INT8}}},
	{"topics", fill_topics,
		{{"topic", T_TEXT}, {"partitions", T_INT4}, {"retention_ms", T_INT8},
			{"retention_bytes", T_INT8}}},
	{"views", fill_views,
		{{"view_name", T_TEXT}, {"table_name", T_TEXT}, {"ready", T_BOOL},
			{"groups", T_INT8}, {"active_bytes", T_INT8}, {"unsealed", T_INT8},
			{"unsealed_bytes", T_INT8}, {"base_bytes", T_INT8}, {"runs", T_INT8},
			{"run_groups", T_INT8}, {"run_bytes", T_INT8}, {"rows_folded", T_INT8},
			{"rows_filled", T_INT8}, {"rows_failed", T_INT8}, {"rows_untimed", T_INT8},
			{"reads", T_INT8}, {"reads_spilled", T_INT8}, {"base_drops", T_INT8},
			{"runs_merged", T_INT8}}},
	{"watermarks", mr_system_fill_watermarks,
		{{"table_name", T_TEXT}, {"partition", T_INT4}, {"watermark", T_TIME},
			{"max_event_time", T_TIME}, {"late_rows", T_INT8}, {"future_rows", T_INT8},
			{"untimed_rows", T_INT8}, {"idle", T_BOOL}, {"table_watermark", T_TIME}}},
	{"workers", fill_workers,
		{{"worker", T_INT4}, {"core", T_INT4}, {"kafka_port", T_INT4},
			{"partitions", T_INT8}, {"connections", T_INT8}, {"requests", T_INT8},
			{"appends", T_INT8}, {"appends_failed", T_INT8},
			{"appends_stalled", T_INT8}, {"log_commits", T_INT8}, {"log_bytes", T_INT8},
			{"feeds_lagging", T_INT8}, {"table_memory_used", T_INT8},
			{"table_memory_max", T_INT8}, {"rx_frames", T_INT8}, {"rx_bytes", T_INT8},
			{"rx_dropped", T_INT8}, {"tx_frames", T_INT8}, {"tx_bytes", T_INT8},
			{"tx_dropped", T_INT8}}},
};

// ---- scanning

static int filled_begin(const struct mr_relation *r, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *diag)
{
	struct system_relation *s = r->owner;
	struct mr_row_table *rows;
	int rc = mr_row_table_open(r, spec, NULL, &rows, diag);

	if (rc < 0)
		return rc;
	rc = s->def->fill(s->control, rows);
	if (rc < 0 || mr_row_table_failed(rows)) {
		mr_row_table_close(rows);
		return mr_query_no_memory(spec->query, diag);
	}
	*out = (struct mr_scan *)rows;
	return 0;
}

static const struct mr_relation_ops filled_ops = {filled_begin, mr_row_table_next,
	mr_row_table_stats, mr_row_table_end, mr_row_table_rows_known};

// Dead letters are scanned as tables are: the dead chunks of all parts of all tables. The snapshot
// keeps the tables alive while the scan runs.
struct dead_scan {
	struct mr_snapshot *snapshot;
	struct mr_scan *scan;
};

static int dead_begin(const struct mr_relation *r, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *diag)
{
	struct system_relation *s = r->owner;
	struct mr_snapshot *snap = mr_control_snapshot(s->control);
	uint32_t count = (uint32_t)snap->tables_count * s->control->workers_count, n = 0;
	struct dead_scan *d = mr_arena_zalloc(spec->query->arena, 1, sizeof(*d));
	struct mr_table_part **parts =
		mr_arena_zalloc(spec->query->arena, count + 1, sizeof(struct mr_table_part *));
	int rc;

	for (size_t i = 0; parts && i < snap->tables_count; i++)
		for (uint32_t k = 0; k < snap->tables[i]->parts_count; k++)
			parts[n++] = snap->tables[i]->parts[k];
	rc = d && parts ? mr_scan_parts(parts, n, MR_PIECE_DEAD, spec, &d->scan, diag)
			: mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	if (rc < 0) {
		mr_snapshot_put(snap);
		return rc;
	}
	d->snapshot = snap;
	*out = (struct mr_scan *)d;
	return 0;
}

static int dead_next(struct mr_scan *scan, struct mr_block *out, struct mr_diag *diag)
{
	return mr_scan_next(((struct dead_scan *)scan)->scan, out, diag);
}

static void dead_stats(const struct mr_scan *scan, struct mr_scan_stats *out)
{
	mr_scan_stats(((const struct dead_scan *)scan)->scan, out);
}

static void dead_end(struct mr_scan *scan)
{
	struct dead_scan *d = (struct dead_scan *)scan;

	mr_scan_end(d->scan);
	mr_snapshot_put(d->snapshot);
}

static const struct mr_relation_ops dead_ops = {
	dead_begin, dead_next, dead_stats, dead_end, mr_row_table_rows_known};

// ---- the set

struct mr_system {
	struct system_relation relations[MR_COUNT_OF(defs)];
};

static void relation_init(
	struct system_relation *r, const struct system_def *def, uint64_t id, struct mr_control *c)
{
	r->def = def;
	r->control = c;
	while (r->relation.columns_count < COLUMNS_MAX &&
		def->columns[r->relation.columns_count].name) {
		uint32_t i = r->relation.columns_count++;

		r->columns[i] = (struct mr_relation_column){
			mr_span_str(def->columns[i].name), def->columns[i].type, false, false};
	}
	r->relation.id = id;
	r->relation.kind = MR_RELATION_SYSTEM;
	r->relation.schema = mr_span_str("millrace");
	r->relation.name = mr_span_str(def->name);
	r->relation.columns = r->columns;
	r->relation.ops = def->fill ? &filled_ops : &dead_ops;
	r->relation.owner = r;
}

int mr_system_create(struct mr_control *c, struct mr_system **out)
{
	struct mr_system *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	// System relations have ids that no table can get.
	for (uint32_t i = 0; i < MR_COUNT_OF(defs); i++)
		relation_init(&s->relations[i], &defs[i], UINT64_MAX - i, c);
	*out = s;
	return 0;
}

void mr_system_destroy(struct mr_system *s)
{
	free(s);
}

const struct mr_relation *mr_system_find(const struct mr_system *s, struct mr_span name)
{
	for (uint32_t i = 0; i < MR_COUNT_OF(defs); i++)
		if (mr_span_eq(s->relations[i].relation.name, name))
			return &s->relations[i].relation;
	return NULL;
}

uint32_t mr_system_count(const struct mr_system *)
{
	return MR_COUNT_OF(defs);
}

const struct mr_relation *mr_system_at(const struct mr_system *s, uint32_t index)
{
	return &s->relations[index].relation;
}
