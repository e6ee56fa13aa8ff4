// Feeds: how tables take the rows of a partition, live from each append, or catching up from the
// log after a start, a CREATE TABLE or a shortage of memory.
//
// Catching up reads batch after batch at the feed's next offset, from the log's tail in memory when
// it is there and from disk when it is not, a few megabytes a turn, so that appends go on. A feed
// that has reached the partition's next offset is live again.
#include "host/base/note.h"
#include "host/control.h"
#include "host/seal.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

// Memory that comes back wakes the worker; the retry is for what nobody tells of.
enum { STEP_BYTES = 2 << 20, STARVED_RETRY_NS = 1000000000 };

static int64_t table_start(const struct mr_table *t, uint32_t partition)
{
	return partition < t->def->starts_count ? t->def->starts[partition] : 0;
}

static void set_lagging(struct mr_worker *w, struct mr_feed *f)
{
	if (f->lagging)
		return;
	f->lagging = true;
	f->lag_next = w->lagging;
	w->lagging = f;
	mr_stat_add(&w->stats.feeds_lagging, 1);
}

// Offsets that a table has seen are never given again, even if the log does not know them.
static void refuse_reuse(struct mr_partition *p, int64_t seen)
{
	if (seen <= p->next_offset)
		return;
	mr_note(MR_NOTE_ERR, "table", "event=log_behind topic=%s partition=%u log=%lld table=%lld",
		p->topic->name, p->number, (long long)p->next_offset, (long long)seen);
	p->next_offset = p->high_watermark = seen;
}

// As the log had it, where it had one.
static void watermark_begin(struct mr_worker *w, struct mr_feed *f)
{
	const struct mr_table_options *o = &f->table->def->options;
	struct mr_partition *p = f->partition;

	mr_watermark_init(&f->watermark, f->table->def->id, o->watermark_column,
		o->watermark_delay_us, mr_now_ns(w->clock));
	for (uint32_t i = 0; i < p->watermarks_count; i++) {
		if (p->watermarks[i].table_id != f->table->def->id)
			continue;
		f->watermark.at = f->watermark.recorded = f->watermark.durable = p->watermarks[i];
		p->watermarks[i] = p->watermarks[--p->watermarks_count];
		return;
	}
}

// The next turn tries.
static void feed_ready(struct mr_read_wait *)
{
}

void mr_feed_add(struct mr_worker *w, struct mr_partition *p, struct mr_table *t)
{
	struct mr_feed *f = calloc(1, sizeof(*f));

	MR_ASSERT(f);
	f->worker = w;
	f->room.ready = feed_ready;
	f->partition = p;
	f->table = mr_table_get(t);
	f->part = t->parts[w->id];
	f->next_offset = MR_MAX(table_start(t, p->number), p->log_start);
	f->next_offset = MR_MAX(f->next_offset, mr_table_held(t, p->number));
	f->sealed_offset = f->next_offset;
	watermark_begin(w, f);
	refuse_reuse(p, f->next_offset);
	f->next = p->feeds;
	p->feeds = f;
	if (f->next_offset < p->next_offset)
		set_lagging(w, f);
	else
		f->next_offset = p->next_offset;
}

int64_t mr_feed_needs(const struct mr_feed *f)
{
	return f->sealed_offset;
}

void mr_worker_close_pieces(struct mr_worker *w)
{
	const struct mr_snapshot *s = w->snapshot;

	for (size_t i = 0; s && i < s->tables_count; i++)
		mr_table_part_close(s->tables[i]->parts[w->id]);
}

// Memory for rows is used up: what is in memory is sealed, so that it can be used again.
static void make_room(struct mr_worker *w, const struct mr_feed *f)
{
	if (!mr_table_part_wants_room(f->part))
		return;
	mr_worker_close_pieces(w);
	mr_seal_hurry(w->control->seal);
}

static void feed_free(struct mr_feed *f)
{
	mr_table_put(f->table);
	free(f);
}

static void unlist(struct mr_worker *w, struct mr_feed *f)
{
	struct mr_feed **at = &w->lagging;

	if (!f->lagging)
		return;
	while (*at != f)
		at = &(*at)->lag_next;
	*at = f->lag_next;
	f->lagging = f->indexing = false;
	mr_read_forget(&w->read_room, &f->room);
	mr_stat_add(&w->stats.feeds_lagging, (uint64_t)-1);
}

void mr_feeds_drop(struct mr_worker *w, struct mr_partition *p, const struct mr_table *only)
{
	struct mr_feed **at = &p->feeds;

	while (*at) {
		struct mr_feed *f = *at;

		if (only && f->table != only) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		unlist(w, f);
		if (f->failed)
			mr_stat_add(&w->stats.feeds_failed, (uint64_t)-1);
		f->partition = NULL;
		if (!f->reading)
			feed_free(f);
	}
}

bool mr_feeds_full(struct mr_worker *w, const struct mr_partition *p)
{
	for (const struct mr_feed *f = p->feeds; f; f = f->next) {
		if (f->failed)
			continue;
		if (f->starved)
			return true;
		if (!f->lagging && !mr_table_part_may_take(f->part)) {
			make_room(w, f);
			return true;
		}
	}
	return false;
}

void mr_worker_memory_freed(void *worker)
{
	struct mr_worker *w = worker;

	// Pairs with the exchange in mr_feeds_step: what was given back is there when it looks.
	if (!atomic_exchange_explicit(&w->memory_freed, true, memory_order_release))
		mr_mailbox_wake(&w->box);
}

static void feed_apply(struct mr_worker *w, struct mr_feed *f, const struct mr_batch *batch,
	struct mr_span records, uint64_t lsn)
{
	struct mr_watermark *m = f->watermark.column >= 0 ? &f->watermark : NULL;
	const struct mr_apply a = {
		.batch = batch,
		.records = records,
		.base_offset = batch->base_offset,
		.partition = f->partition->number,
		.from_offset = f->next_offset,
		.lsn = lsn,
		.watermark = m,
		.future_us =
			m ? mr_wall_us(w->clock) + (int64_t)w->config->max_future_ms * 1000 : 0,
	};

	if (m)
		m->active_ns = mr_now_ns(w->clock);
	w->held_look |= f->starved;
	f->next_offset = mr_table_part_apply(f->part, &a, &w->marks);
	f->starved = f->next_offset < batch->base_offset + batch->count;
	if (f->starved)
		make_room(w, f);
}

void mr_feeds_live(struct mr_worker *w, struct mr_partition *p, const struct mr_batch *batch,
	struct mr_span records, uint64_t lsn)
{
	for (struct mr_feed *f = p->feeds; f; f = f->next) {
		if (f->lagging || f->failed)
			continue;
		MR_ASSERT(f->next_offset == batch->base_offset);
		f->live_end = batch->base_offset + batch->count;
		feed_apply(w, f, batch, records, lsn);
		if (f->starved)
			set_lagging(w, f);
	}
}

static void feed_fail(struct mr_feed *f, const char *what, int err)
{
	f->failed = true;
	f->starved = false;
	unlist(f->worker, f);
	mr_stat_add(&f->worker->stats.feeds_failed, 1);
	f->worker->held_look = true;
	mr_table_break(f->table, f->partition->number, f->next_offset);
	mr_note(MR_NOTE_ERR, "table",
		"event=behind table=%s partition=%u offset=%lld what=\"%s\" error=\"%s\"",
		f->table->def->name, f->partition->number, (long long)f->next_offset, what,
		mr_err_text(err));
}

// Decodes one batch as the log has it.
static void feed_batch(struct mr_worker *w, struct mr_feed *f, struct mr_span bytes, uint64_t lsn)
{
	enum mr_batch_fault fault;
	struct mr_span records;
	struct mr_batch batch;

	fault = mr_batch_read(bytes, &batch);
	if (fault == MR_BATCH_FAULT_NONE)
		fault = mr_batch_unpack(
			&batch, w->zip, w->config->kafka_decompressed_bytes_max, &records);
	if (fault != MR_BATCH_FAULT_NONE) {
		feed_fail(f, mr_batch_fault_text(fault), MR_ERR_CORRUPT);
		return;
	}
	feed_apply(w, f, &batch, records, lsn);
}

static void read_done(struct mr_log_read *r, int res)
{
	struct mr_feed *f = MR_CONTAINER(r, struct mr_feed, read);
	const struct mr_log_record *record = (const void *)r->records.data;
	struct mr_worker *w = f->worker;
	size_t bytes = mr_log_read_bytes(r->bytes);
	uint8_t *data = r->data;

	f->reading = false;
	if (!f->partition)
		feed_free(f);
	else if (res < 0)
		feed_fail(f, "cannot read the log", res);
	else
		feed_batch(w, f, mr_log_payload_span(record), 0);
	mr_read_give(&w->read_room, data, bytes);
}

static void wait_index(struct mr_worker *w, struct mr_feed *f)
{
	f->indexing = true;
	mr_worker_wait_index(w);
}

static void read_start(struct mr_worker *w, struct mr_feed *f, const struct mr_log_entry *e)
{
	uint64_t bytes = mr_log_record_bytes(e->bytes);
	size_t need = mr_log_read_bytes(bytes);
	uint8_t *data = NULL;
	int rc = mr_read_take(&w->read_room, need, &f->room, &data);

	if (rc == -EAGAIN)
		return;
	f->read = (struct mr_log_read){.done = read_done,
		.log_id = e->log_id,
		.lsn = e->lsn,
		.bytes = bytes,
		.topic = f->partition->topic->topic.id,
		.partition = (int32_t)f->partition->number,
		.base_offset = e->base_offset,
		.data = data,
		.buffer = -1};
	f->reading = true;
	if (rc == 0)
		rc = mr_log_store_read(w->store, w->reads.io, &f->read);
	if (rc < 0) {
		f->reading = false;
		mr_read_give(&w->read_room, data, need);
	}
	if (rc == -EINPROGRESS) {
		wait_index(w, f);
	} else if (rc < 0) {
		feed_fail(f, "cannot read the log", rc);
	}
}

// One batch of catching up. Returns the bytes it took, 0 when the feed has to wait.
static size_t feed_step(struct mr_worker *w, struct mr_feed *f)
{
	struct mr_partition *p = f->partition;
	struct mr_log_entry e;
	const uint8_t *hot;
	int rc;

	if (f->reading || f->indexing || f->room.waiting)
		return 0;
	if (f->starved && !mr_table_part_may_take(f->part)) {
		make_room(w, f);
		return 0;
	}
	rc = mr_worker_find(w, p, f->next_offset, &e);
	if (rc == -EINPROGRESS) {
		wait_index(w, f);
		return 0;
	}
	if (rc < 0) {
		feed_fail(f,
			rc == -ENOENT ? "the log has no such offset"
				      : "cannot read the log's index",
			rc);
		return 0;
	}
	f->next_offset = MR_MAX(f->next_offset, e.base_offset);
	hot = e.log_id == mr_log_id(w->log)
		      ? mr_log_hot(w->log, e.lsn, mr_log_record_bytes(e.bytes))
		      : NULL;
	if (!hot) {
		read_start(w, f, &e);
		return 0;
	}
	feed_batch(w, f, mr_span(hot + sizeof(struct mr_log_record), e.bytes),
		e.lsn + mr_log_record_bytes(e.bytes));
	return f->starved ? 0 : e.bytes;
}

// Whether feeds that wait for memory should try: they have been told to, or were not for long.
static bool retry_starved(struct mr_worker *w)
{
	int64_t now = mr_now_ns(w->clock);
	bool told = atomic_load_explicit(&w->memory_freed, memory_order_relaxed) &&
		    atomic_exchange_explicit(&w->memory_freed, false, memory_order_acquire);

	if (!told && now < w->starved_retry_ns)
		return false;
	w->starved_retry_ns = now + STARVED_RETRY_NS;
	w->held_look = true;
	return true;
}

bool mr_feeds_step(struct mr_worker *w)
{
	bool retry = retry_starved(w), more = false;
	size_t budget = STEP_BYTES;

	if (!w->lagging)
		return false;
	for (struct mr_feed *f = w->lagging, *next; f; f = next) {
		next = f->lag_next;
		for (size_t took = 1; took && budget && (retry || !f->starved) && f->lagging &&
				      f->next_offset < f->partition->next_offset;) {
			took = feed_step(w, f);
			budget -= MR_MIN(budget, took);
		}
		if (f->next_offset == f->partition->next_offset)
			unlist(w, f);
		else
			more |= f->lagging && !f->reading && !f->indexing && !f->room.waiting &&
				!f->starved;
	}
	mr_marks_publish(&w->marks, mr_log_durable(w->log));
	return more;
}
