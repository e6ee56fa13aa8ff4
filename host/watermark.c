// Watermarks of partitions: counting rows, deciding, recording, showing.
#include "host/watermark.h"

#include "host/base/datetime.h"
#include "host/control.h"
#include "host/sql/row_table.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

void mr_watermark_init(
	struct mr_watermark *m, uint64_t table_id, int32_t column, int64_t delay_us, int64_t now_ns)
{
	*m = (struct mr_watermark){.column = column, .delay_us = delay_us, .active_ns = now_ns};
	m->at.table_id = table_id;
	m->at.watermark_us = m->at.max_event_us = MR_WATERMARK_NONE;
	m->recorded = m->durable = m->at;
}

void mr_watermark_observe(struct mr_watermark *m, const struct mr_chunk *c, uint32_t offsets,
	uint32_t from, uint32_t to, int64_t future_us)
{
	const struct mr_chunk_column *column = &c->columns[m->column];
	const int64_t *times = column->values, *offset = c->columns[offsets].values;
	const int64_t in_force_us = m->at.watermark_us;
	int64_t max_us = m->at.max_event_us;
	uint64_t late = 0, future = 0, untimed = 0;

	while (from < to && offset[from] < m->at.offset)
		from++;
	for (uint32_t i = from; i < to; i++) {
		bool timed = mr_bit_get(column->valid, i) && mr_ts_is_finite(times[i]);
		bool ahead = timed && times[i] > future_us;

		untimed += !timed;
		future += ahead;
		late += timed && times[i] < in_force_us;
		max_us = timed && !ahead && times[i] > max_us ? times[i] : max_us;
	}
	m->at.max_event_us = max_us;
	m->at.rows_late += late;
	m->at.rows_future += future;
	m->at.rows_untimed += untimed;
}

void mr_watermark_save(uint8_t out[MR_WATERMARK_BYTES], struct mr_uuid topic, uint32_t partition,
	const struct mr_watermark_state *s)
{
	memset(out, 0, MR_WATERMARK_BYTES);
	memcpy(out, topic.b, sizeof(topic.b));
	mr_store_le32(out + 16, partition);
	mr_store_le64(out + 24, s->table_id);
	mr_store_le64(out + 32, (uint64_t)s->offset);
	mr_store_le64(out + 40, (uint64_t)s->watermark_us);
	mr_store_le64(out + 48, (uint64_t)s->max_event_us);
	mr_store_le64(out + 56, s->rows_late);
	mr_store_le64(out + 64, s->rows_future);
	mr_store_le64(out + 72, s->rows_untimed);
}

int mr_watermark_load(struct mr_span payload, struct mr_uuid *topic, uint32_t *partition,
	struct mr_watermark_state *out)
{
	const uint8_t *in = payload.data;

	if (payload.bytes != MR_WATERMARK_BYTES)
		return MR_ERR_CORRUPT;
	memcpy(topic->b, in, sizeof(topic->b));
	*partition = mr_load_le32(in + 16);
	*out = (struct mr_watermark_state){
		.table_id = mr_load_le64(in + 24),
		.offset = (int64_t)mr_load_le64(in + 32),
		.watermark_us = (int64_t)mr_load_le64(in + 40),
		.max_event_us = (int64_t)mr_load_le64(in + 48),
		.rows_late = mr_load_le64(in + 56),
		.rows_future = mr_load_le64(in + 64),
		.rows_untimed = mr_load_le64(in + 72),
	};
	return out->offset < 0 ? MR_ERR_CORRUPT : 0;
}

// ---- deciding

static void note_durable(struct mr_worker *w, struct mr_watermark *m)
{
	if (!m->recorded_lsn || mr_log_durable(w->log) < m->recorded_lsn)
		return;
	m->durable = m->recorded;
	m->recorded_lsn = 0;
}

// The watermark never goes back.
static int64_t decide(const struct mr_watermark *m)
{
	int64_t t;

	if (m->at.max_event_us == MR_WATERMARK_NONE ||
		__builtin_sub_overflow(m->at.max_event_us, m->delay_us, &t))
		return m->at.watermark_us;
	return MR_MAX(t, m->at.watermark_us);
}

static bool has_news(const struct mr_watermark *m, int64_t watermark_us)
{
	return watermark_us != m->recorded.watermark_us ||
	       m->at.rows_late != m->recorded.rows_late ||
	       m->at.rows_future != m->recorded.rows_future ||
	       m->at.rows_untimed != m->recorded.rows_untimed;
}

static void feed_advance(struct mr_worker *w, struct mr_feed *f)
{
	struct mr_watermark *m = &f->watermark;
	struct mr_log_record *r;
	int64_t decided;

	note_durable(w, m);
	decided = decide(m);
	m->at.offset = MR_MAX(m->at.offset, f->next_offset);
	// Without room the decision is made later: one that is not in the log does not count.
	if (!has_news(m, decided) ||
		mr_log_reserve(w->log, MR_LOG_WATERMARK, MR_WATERMARK_BYTES, 0, &r) < 0)
		return;
	m->at.watermark_us = decided;
	mr_watermark_save(
		mr_log_payload(r), f->partition->topic->topic.id, f->partition->number, &m->at);
	mr_log_commit(w->log);
	m->recorded = m->at;
	m->recorded_lsn = mr_log_head(w->log);
}

static bool is_idle(const struct mr_worker *w, const struct mr_watermark *m)
{
	return mr_now_ns(w->clock) - m->active_ns >
	       (int64_t)w->config->table_idle_timeout_ms * 1000000;
}

// A table's watermark is the least of its parts', and stays where it was while one of them has
// none. When all partitions are idle, none is waited for: the furthest of them counts.
static void table_advance(struct mr_table *t)
{
	int64_t least = INT64_MAX, most = MR_WATERMARK_NONE, now = atomic_load(&t->watermark_us);

	for (uint32_t i = 0; i < t->parts_count; i++) {
		least = MR_MIN(least, atomic_load(&t->parts[i]->watermark_least_us));
		most = MR_MAX(most, atomic_load(&t->parts[i]->watermark_most_us));
	}
	if (least == INT64_MAX)
		least = most;
	while (least > now && !atomic_compare_exchange_weak(&t->watermark_us, &now, least))
		;
}

static void feed_turn(struct mr_worker *w, struct mr_feed *f)
{
	struct mr_table_part *part = f->part;
	int64_t us;

	if (f->watermark.column < 0)
		return;
	feed_advance(w, f);
	us = f->watermark.durable.watermark_us;
	part->most_next_us = MR_MAX(part->most_next_us, us);
	if (!is_idle(w, &f->watermark))
		part->least_next_us = MR_MIN(part->least_next_us, us);
}

void mr_worker_watermarks(struct mr_worker *w)
{
	const struct mr_snapshot *s = w->snapshot;

	for (size_t i = 0; i < s->tables_count; i++) {
		s->tables[i]->parts[w->id]->least_next_us = INT64_MAX;
		s->tables[i]->parts[w->id]->most_next_us = MR_WATERMARK_NONE;
	}
	for (size_t i = 0; i < MR_PARTITION_SLOTS; i++)
		for (struct mr_partition *p = w->partitions[i]; p; p = p->next)
			for (struct mr_feed *f = p->feeds; f; f = f->next)
				feed_turn(w, f);
	for (size_t i = 0; i < s->tables_count; i++) {
		struct mr_table_part *part = s->tables[i]->parts[w->id];

		if (s->tables[i]->def->options.watermark_column < 0)
			continue;
		atomic_store(&part->watermark_most_us, part->most_next_us);
		atomic_store(&part->watermark_least_us, part->least_next_us);
		table_advance(s->tables[i]);
	}
}

// ---- showing

struct collect {
	struct mr_watermark_rows *out;
	int rc;
};

static void collect_feed(struct mr_worker *w, struct mr_feed *f, struct collect *k)
{
	struct mr_watermark_rows *all = k->out;

	if (f->watermark.column < 0)
		return;
	if (all->count == all->max) {
		size_t max = all->max * 2 + 64;
		struct mr_watermark_row *rows = realloc(all->rows, max * sizeof(*rows));

		if (!rows) {
			k->rc = -ENOMEM;
			return;
		}
		all->rows = rows;
		all->max = max;
	}
	note_durable(w, &f->watermark);
	all->rows[all->count++] = (struct mr_watermark_row){
		.table_id = f->table->def->id,
		.partition = f->partition->number,
		.idle = is_idle(w, &f->watermark),
		.state = f->watermark.durable,
	};
}

static void collect_worker(struct mr_worker *w, void *arg)
{
	for (size_t i = 0; i < MR_PARTITION_SLOTS; i++)
		for (struct mr_partition *p = w->partitions[i]; p; p = p->next)
			for (struct mr_feed *f = p->feeds; f; f = f->next)
				collect_feed(w, f, arg);
}

static int by_table(const void *a, const void *b)
{
	const struct mr_watermark_row *x = a, *y = b;

	if (x->table_id != y->table_id)
		return x->table_id < y->table_id ? -1 : 1;
	return x->partition < y->partition ? -1 : x->partition > y->partition;
}

int mr_watermarks_collect(struct mr_control *c, struct mr_watermark_rows *out)
{
	struct collect k = {out, 0};

	*out = (struct mr_watermark_rows){0};
	for (uint32_t i = 0; i < c->workers_count; i++)
		mr_worker_call(c->workers[i], collect_worker, &k);
	if (k.rc < 0) {
		free(out->rows);
		return k.rc;
	}
	if (out->count)
		qsort(out->rows, out->count, sizeof(*out->rows), by_table);
	return 0;
}

static void put_time(struct mr_row_table *rows, uint32_t column, int64_t us)
{
	if (us != MR_WATERMARK_NONE)
		mr_row_int(rows, column, us);
}

static void put_rows(
	struct mr_row_table *out, const struct mr_watermark_rows *all, const struct mr_table *t)
{
	int64_t of_table = atomic_load(&t->watermark_us);

	for (size_t i = 0; i < all->count; i++) {
		const struct mr_watermark_row *r = &all->rows[i];

		if (r->table_id != t->def->id)
			continue;
		mr_row_begin(out);
		mr_row_copy(out, 0, t->relation.name);
		mr_row_int(out, 1, (int32_t)r->partition);
		put_time(out, 2, r->state.watermark_us);
		put_time(out, 3, r->state.max_event_us);
		mr_row_int(out, 4, (int64_t)r->state.rows_late);
		mr_row_int(out, 5, (int64_t)r->state.rows_future);
		mr_row_int(out, 6, (int64_t)r->state.rows_untimed);
		mr_row_int(out, 7, r->idle);
		put_time(out, 8, of_table);
	}
}

int mr_system_fill_watermarks(struct mr_control *c, struct mr_row_table *rows)
{
	struct mr_snapshot *s = mr_control_snapshot(c);
	struct mr_watermark_rows all;
	int rc = mr_watermarks_collect(c, &all);

	for (size_t i = 0; rc == 0 && i < s->tables_count; i++)
		put_rows(rows, &all, s->tables[i]);
	if (rc == 0)
		free(all.rows);
	mr_snapshot_put(s);
	return rc;
}
