// Partitions of a worker: made and dropped as the catalog says, checkpointed into the log.
//
// A checkpoint says, for each partition the worker owns, where its log begins, which offset comes
// next, and its producers' state. The log asks for one at the start of each file, so whoever
// recovers needs only the last file of each log.
#include "host/base/hash.h"
#include "host/control.h"
#include "host/partition_state.h"
#include "host/view/view.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

static size_t slot_of(uint64_t topic_number, uint32_t partition)
{
	return mr_hash64(topic_number << 20 ^ partition, MR_HASH_SEED) % MR_PARTITION_SLOTS;
}

struct mr_partition *mr_worker_partition(
	const struct mr_worker *w, const struct mr_topic *t, uint32_t number)
{
	struct mr_partition *p = w->partitions[slot_of(t->number, number)];

	while (p && (p->number != number || p->topic->topic.number != t->number))
		p = p->next;
	return p;
}

static void partition_create(struct mr_worker *w, struct mr_topic_def *def, uint32_t number)
{
	struct mr_partition **slot = &w->partitions[slot_of(def->topic.number, number)];
	struct mr_partition *p = calloc(1, sizeof(*p));
	struct mr_partition_state *state;
	struct mr_log_extent extent;

	MR_ASSERT(p);
	p->topic = mr_topic_def_get(def);
	p->number = number;
	state = mr_recovered_take(w->control->recovered, def->topic.id, number);
	if (state) {
		p->log_start = state->log_start;
		p->next_offset = state->next_offset;
		p->producers = state->producers;
		state->producers = NULL;
		p->watermarks = state->watermarks;
		p->watermarks_count = state->watermarks_count;
		state->watermarks = NULL;
		mr_partition_state_destroy(state);
	} else {
		MR_ASSERT(mr_producers_create((uint32_t)w->config->producers_max,
				  (int64_t)w->config->producer_expiry_ms, &p->producers) == 0);
	}
	mr_log_store_extent(w->store, def->topic.id, (int32_t)number, &extent);
	// An offset that a batch on disk has is never given out again, whatever checkpoints say.
	p->next_offset = MR_MAX(p->next_offset, extent.offset_end);
	p->high_watermark = p->next_offset;
	// The store keeps what retention gave up in memory only.
	mr_log_store_retain_offset(w->store, def->topic.id, (int32_t)number, p->log_start);
	p->max_timestamp_ms = extent.batches ? extent.max_timestamp_ms : -1;
	p->next = *slot;
	*slot = p;
	w->partitions_count++;
}

// What is left of a partition object when its topic is deleted.
static void partition_destroy(struct mr_worker *w, struct mr_partition *p)
{
	mr_worker_appends_fail(w, p);
	mr_feeds_drop(w, p, NULL);
	mr_producers_destroy(p->producers);
	free(p->watermarks);
	mr_topic_def_put(p->topic);
	free(p);
	w->partitions_count--;
}

// The partition is gone from the catalog; what the log has of it is nobody's.
static void partition_drop(struct mr_worker *w, struct mr_topic_def *topic, uint32_t number)
{
	struct mr_partition **at = &w->partitions[slot_of(topic->topic.number, number)], *p;

	while ((p = *at) && (p->number != number || p->topic->topic.number != topic->topic.number))
		at = &p->next;
	if (!p)
		return;
	*at = p->next;
	if (w->log)
		mr_log_store_retain_offset(w->store, topic->topic.id, (int32_t)number, INT64_MAX);
	partition_destroy(w, p);
}

static bool owns(const struct mr_worker *w, const struct mr_topic_def *t, uint32_t number)
{
	return mr_topic_owner(&t->topic, number, w->count) == w->id;
}

// A topic whose settings have changed is replaced; one that has gone takes its partitions along.
static void change_topic(struct mr_worker *w, const struct mr_changed_topic *t)
{
	for (uint32_t n = 0; t->was && n < t->was->topic.partitions; n++) {
		struct mr_partition *p;

		if (!owns(w, t->was, n))
			continue;
		if (!t->is) {
			partition_drop(w, t->was, n);
			continue;
		}
		p = mr_worker_partition(w, &t->was->topic, n);
		mr_topic_def_put(p->topic);
		p->topic = mr_topic_def_get(t->is);
	}
	for (uint32_t n = t->was ? t->was->topic.partitions : 0;
		t->is && n < t->is->topic.partitions; n++)
		if (owns(w, t->is, n))
			partition_create(w, t->is, n);
}

static bool has_feed(const struct mr_partition *p, const struct mr_table *t)
{
	const struct mr_feed *f = p->feeds;

	while (f && f->table != t)
		f = f->next;
	return f != NULL;
}

// A table's own definition of its topic may be older than the topic: partitions can be added.
static uint32_t partitions_of(const struct mr_snapshot *s, const struct mr_table *t)
{
	const struct mr_topic *topic = mr_topics_find_id(&s->topics, t->topic->topic.id);

	return topic ? topic->partitions : 0;
}

static void add_feeds(struct mr_worker *w, const struct mr_snapshot *s, struct mr_table *t)
{
	uint32_t partitions = partitions_of(s, t);

	for (uint32_t n = 0; n < partitions; n++) {
		struct mr_partition *p = mr_worker_partition(w, &t->topic->topic, n);

		if (p && !has_feed(p, t))
			mr_feed_add(w, p, t);
	}
}

// Where the topic has gone too, its partitions took the feeds along.
static void drop_feeds(struct mr_worker *w, const struct mr_snapshot *s, const struct mr_table *t)
{
	uint32_t partitions = partitions_of(s, t);

	for (uint32_t n = 0; n < partitions; n++) {
		struct mr_partition *p = mr_worker_partition(w, &t->topic->topic, n);

		if (p)
			mr_feeds_drop(w, p, t);
	}
}

// Partitions that were added to a topic feed the tables that are over it.
static void extend_feeds(
	struct mr_worker *w, const struct mr_snapshot *s, const struct mr_changed_topic *t)
{
	for (size_t i = 0; t->was && t->is && i < s->tables_count; i++)
		if (s->tables[i]->topic->topic.number == t->is->topic.number)
			add_feeds(w, s, s->tables[i]);
}

// Views are attached before any feed can publish a row to them, and detached before their table's
// feeds go.
static void change_views(struct mr_worker *w, const struct mr_snapshot_change *ch)
{
	for (size_t i = 0; i < ch->views_count; i++)
		if (ch->views[i].was)
			mr_view_detach(ch->views[i].was, w->id);
	for (size_t i = 0; i < ch->views_count; i++)
		if (ch->views[i].is)
			mr_view_attach(ch->views[i].is, w->id);
}

void mr_worker_apply_snapshot(
	struct mr_worker *w, struct mr_snapshot *s, const struct mr_snapshot_change *ch)
{
	struct mr_snapshot *old = w->snapshot;

	change_views(w, ch);
	for (size_t i = 0; i < ch->topics_count; i++)
		change_topic(w, &ch->topics[i]);
	for (size_t i = 0; i < ch->tables_count; i++)
		if (ch->tables[i].was)
			drop_feeds(w, s, ch->tables[i].was);
	for (size_t i = 0; i < ch->topics_count; i++)
		extend_feeds(w, s, &ch->topics[i]);
	for (size_t i = 0; i < ch->tables_count; i++)
		if (ch->tables[i].is)
			add_feeds(w, s, ch->tables[i].is);
	w->snapshot = mr_snapshot_get(s);
	// A Fetch that waits names topics of the old snapshot. It is answered now: what it waits
	// for may be gone, and the next one sees what is in force.
	mr_worker_fetches_answer(w);
	mr_snapshot_put(old);
}

void mr_worker_drop_partitions(struct mr_worker *w)
{
	for (size_t i = 0; i < MR_PARTITION_SLOTS; i++) {
		while (w->partitions[i]) {
			struct mr_partition *p = w->partitions[i];

			w->partitions[i] = p->next;
			partition_destroy(w, p);
		}
	}
}

// ---- checkpoints

static void state_save(struct mr_buf *b, const struct mr_partition *p)
{
	mr_buf_reset(b);
	mr_partition_state_save(
		b, p->topic->topic.id, p->number, p->log_start, p->next_offset, p->producers);
	MR_ASSERT(!b->failed);
}

uint64_t mr_worker_checkpoint_bytes(void *ctx)
{
	const struct mr_worker *w = ctx;
	uint64_t bytes = mr_log_record_bytes(MR_CHECKPOINT_END_BYTES);
	struct mr_buf b = {0};

	for (size_t i = 0; i < MR_PARTITION_SLOTS; i++) {
		for (const struct mr_partition *p = w->partitions[i]; p; p = p->next) {
			state_save(&b, p);
			bytes += mr_log_record_bytes((uint32_t)b.bytes);
			for (const struct mr_feed *f = p->feeds; f; f = f->next)
				bytes += mr_log_record_bytes(MR_WATERMARK_BYTES);
		}
	}
	mr_buf_fini(&b);
	return bytes;
}

static void checkpoint_write(struct mr_log *log, uint16_t type, struct mr_span payload)
{
	struct mr_log_record *r;

	// Room for exactly this was set aside by mr_worker_checkpoint_bytes.
	MR_ASSERT(mr_log_reserve(log, type, (uint32_t)payload.bytes, 0, &r) == 0);
	memcpy(mr_log_payload(r), payload.data, payload.bytes);
	mr_log_commit(log);
}

// As they were recorded last: newer ones follow by themselves.
static void checkpoint_watermarks(struct mr_log *log, const struct mr_partition *p)
{
	uint8_t bytes[MR_WATERMARK_BYTES];

	for (const struct mr_feed *f = p->feeds; f; f = f->next) {
		if (f->watermark.column < 0)
			continue;
		mr_watermark_save(bytes, p->topic->topic.id, p->number, &f->watermark.recorded);
		checkpoint_write(log, MR_LOG_WATERMARK, mr_span(bytes, sizeof(bytes)));
	}
}

void mr_worker_checkpoint(void *ctx, struct mr_log *log)
{
	struct mr_worker *w = ctx;
	uint8_t end[MR_CHECKPOINT_END_BYTES];
	struct mr_buf b = {0};

	w->checkpoint_lsn = mr_log_head(log);
	for (size_t i = 0; i < MR_PARTITION_SLOTS; i++) {
		for (const struct mr_partition *p = w->partitions[i]; p; p = p->next) {
			state_save(&b, p);
			checkpoint_write(log, MR_LOG_CHECKPOINT, mr_buf_span(&b));
			checkpoint_watermarks(log, p);
		}
	}
	mr_checkpoint_end_save(end, (uint32_t)w->partitions_count);
	checkpoint_write(log, MR_LOG_CHECKPOINT_END, mr_span(end, sizeof(end)));
	w->checkpoint_end = mr_log_head(log);
	mr_buf_fini(&b);
}

// ---- retention

// Files below a checkpoint that is durable are needed for their batches only.
void mr_worker_release_checkpoints(struct mr_worker *w)
{
	if (!w->checkpoint_end || mr_log_durable(w->log) < w->checkpoint_end)
		return;
	mr_log_store_retain_lsn(w->store, mr_log_id(w->log), w->checkpoint_lsn);
	w->checkpoint_end = 0;
}

// The first offset that some table still has to take from the log, or INT64_MAX.
static int64_t feeds_need(const struct mr_partition *p)
{
	int64_t need = INT64_MAX;

	for (const struct mr_feed *f = p->feeds; f; f = f->next)
		need = MR_MIN(need, mr_feed_needs(f));
	return need;
}

// Moves log_start past the batches that retention gives up, as far as no table needs them.
void mr_partition_retain(struct mr_worker *w, struct mr_partition *p)
{
	const struct mr_topic_config *c = &p->topic->topic.config;
	const struct mr_log_retention r = {
		.limit = MR_MIN(feeds_need(p), p->high_watermark),
		.before_ms = c->retention_ms < 0 ? INT64_MIN
						 : mr_wall_us(w->clock) / 1000 - c->retention_ms,
		.bytes_max = c->retention_bytes < 0 ? UINT64_MAX : (uint64_t)c->retention_bytes,
	};

	if (p->log_start < r.limit && (c->retention_ms >= 0 || c->retention_bytes >= 0))
		p->log_start = mr_log_retain(
			w->log, p->topic->topic.id, (int32_t)p->number, p->log_start, &r);
}
