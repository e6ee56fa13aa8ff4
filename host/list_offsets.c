// ListOffsets: where a partition begins and ends, and the first record at or after a time.
//
// The index knows each batch's greatest timestamp, so it names the batch that has the record; the
// record itself is found by reading the batch, from memory or from disk. Only what is durable and
// not behind the log's start is looked at. The greatest timestamp of that is not kept anywhere:
// what retention takes away may have it. It is the greatest time for which the index finds a batch,
// and found by halving.
#include "dataplane/batch.h"
#include "dataplane/kafka_error.h"
#include "host/worker.h"

#include <errno.h>
#include <stdlib.h>

enum { AT_LATEST = -1, AT_EARLIEST = -2, AT_MAX_TIMESTAMP = -3 };

// Looking for the greatest timestamp, as far as it has come: there is a batch from `low` on, none
// from `high` on.
struct newest {
	bool begun;
	bool found; // `entry`, which has a time of `low` or later
	int64_t low;
	int64_t high;
	struct mr_log_entry entry;
};

struct list_wait {
	struct mr_worker *worker;
	struct mr_list_offsets *list;
	struct mr_snapshot *snapshot; // whose topics the list names; a reference is held
	uint32_t at;                  // part being looked up
	struct list_wait *next;       // of the worker's, while the store reads an index
	struct newest newest;
	struct mr_read_wait room; // for memory to read into
	struct mr_log_read read;
};

// The first record of the batch whose time is at or after the one asked for; for the highest
// timestamp, the record that has it, whatever the batch's own header says.
static void find_record(struct mr_worker *w, struct mr_list_offset *o, struct mr_span bytes)
{
	struct mr_records it;
	struct mr_record r;
	struct mr_batch b;
	struct mr_span records;

	if (mr_batch_read(bytes, &b) != MR_BATCH_FAULT_NONE ||
		mr_batch_unpack(&b, w->zip, w->config->kafka_decompressed_bytes_max, &records) !=
			MR_BATCH_FAULT_NONE) {
		o->error = MR_KAFKA_CORRUPT_MESSAGE;
		return;
	}
	mr_records_begin(&it, records, b.count);
	while (mr_records_next(&it, &r)) {
		int64_t t = mr_record_timestamp(&b, &r);

		if (o->timestamp == AT_MAX_TIMESTAMP ? t <= o->at_timestamp : t < o->timestamp)
			continue;
		o->offset = b.base_offset + r.offset_delta;
		o->at_timestamp = t;
		if (o->timestamp != AT_MAX_TIMESTAMP)
			return;
	}
}

static void look_up(struct list_wait *lw);

static void read_done(struct mr_log_read *r, int res)
{
	struct list_wait *lw = MR_CONTAINER(r, struct list_wait, read);
	struct mr_list_offset *o = &lw->list->parts[lw->at];
	struct mr_worker *w = lw->worker;
	size_t bytes = mr_log_read_bytes(r->bytes);
	uint8_t *data = r->data;

	if (res < 0)
		o->error = MR_KAFKA_KAFKA_STORAGE_ERROR;
	else
		find_record(lw->worker, o,
			mr_log_payload_span(
				(const struct mr_log_record *)(const void *)r->records.data));
	lw->at++;
	lw->newest.begun = false;
	look_up(lw);
	mr_read_give(&w->read_room, data, bytes);
}

static void list_ready(struct mr_read_wait *w)
{
	look_up(MR_CONTAINER(w, struct list_wait, room));
}

// True, having it tried again when the index was read.
static bool wait_index(struct list_wait *lw)
{
	lw->next = lw->worker->lists;
	lw->worker->lists = lw;
	mr_worker_wait_index(lw->worker);
	return true;
}

// True when a read is under way, or waits.
static bool read_start(
	struct list_wait *lw, const struct mr_partition *p, const struct mr_log_entry *e)
{
	uint64_t bytes = mr_log_record_bytes(e->bytes);
	struct mr_worker *w = lw->worker;
	uint8_t *data = NULL;
	int rc = mr_read_take(&w->read_room, mr_log_read_bytes(bytes), &lw->room, &data);

	if (rc == -EAGAIN)
		return true;
	lw->read = (struct mr_log_read){.done = read_done,
		.log_id = e->log_id,
		.lsn = e->lsn,
		.bytes = bytes,
		.topic = p->topic->topic.id,
		.partition = (int32_t)p->number,
		.base_offset = e->base_offset,
		.data = data,
		.buffer = -1};
	if (rc == 0)
		rc = mr_log_store_read(w->store, w->reads.io, &lw->read);
	if (rc == 0)
		return true;
	mr_read_give(&w->read_room, data, mr_log_read_bytes(bytes));
	if (rc == -EINPROGRESS)
		return wait_index(lw);
	lw->list->parts[lw->at].error = MR_KAFKA_KAFKA_STORAGE_ERROR;
	return false;
}

// The first durable batch with a record at or after a time: 1, 0, or why the index does not say.
static int find_batch(struct mr_worker *w, const struct mr_partition *p, int64_t timestamp_ms,
	struct mr_log_entry *out)
{
	int rc = mr_log_find_time(
		w->log, p->topic->topic.id, (int32_t)p->number, p->log_start, timestamp_ms, out);

	return rc == -ENOENT ? 0 : rc < 0 ? rc : out->base_offset < p->high_watermark;
}

static int newest_begin(struct mr_worker *w, const struct mr_partition *p, struct newest *n)
{
	int rc;

	if (n->begun)
		return n->found;
	*n = (struct newest){.high = p->max_timestamp_ms};
	rc = find_batch(w, p, n->high, &n->entry);
	if (rc == 1)
		n->low = n->high;
	else if (rc == 0)
		rc = find_batch(w, p, n->low, &n->entry);
	n->begun = rc >= 0;
	n->found = rc == 1;
	return rc;
}

// The first durable batch with the greatest timestamp of all, as find_batch. Goes on where it was
// when the index was missing.
static int find_newest(struct mr_worker *w, const struct mr_partition *p, struct newest *n)
{
	int rc = newest_begin(w, p, n);
	struct mr_log_entry e;

	while (rc == 1 && n->high - n->low > 1) {
		int64_t middle = n->low + (n->high - n->low) / 2;
		int found = find_batch(w, p, middle, &e);

		if (found < 0)
			return found;
		if (found) {
			n->entry = e;
			n->low = MR_MAX(middle, e.max_timestamp_ms);
		} else {
			n->high = middle;
		}
	}
	return rc;
}

// True when the answer has to be read from disk first.
static bool look_up_time(
	struct list_wait *lw, const struct mr_partition *p, struct mr_list_offset *o)
{
	struct mr_worker *w = lw->worker;
	const uint8_t *hot = NULL;
	struct mr_log_entry e;
	int found = o->timestamp == AT_MAX_TIMESTAMP ? find_newest(w, p, &lw->newest)
						     : find_batch(w, p, o->timestamp, &e);

	if (found == -EINPROGRESS)
		return wait_index(lw);
	if (found < 0)
		o->error = MR_KAFKA_KAFKA_STORAGE_ERROR;
	if (found <= 0)
		return false;
	if (o->timestamp == AT_MAX_TIMESTAMP)
		e = lw->newest.entry;
	if (e.log_id == mr_log_id(w->log))
		hot = mr_log_hot(w->log, e.lsn, mr_log_record_bytes(e.bytes));
	if (!hot)
		return read_start(lw, p, &e);
	find_record(w, o, mr_span(hot + sizeof(struct mr_log_record), e.bytes));
	return false;
}

static bool look_up_one(struct list_wait *lw, struct mr_list_offset *o)
{
	const struct mr_partition *p;

	if (!o->topic)
		return false;
	p = mr_worker_partition(lw->worker, o->topic, o->partition);
	o->offset = -1;
	o->at_timestamp = -1;
	o->error = p ? 0 : MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (!p)
		return false;
	if (o->timestamp != AT_LATEST && o->timestamp != AT_EARLIEST)
		return look_up_time(lw, p, o);
	o->offset = o->timestamp == AT_LATEST ? p->high_watermark : p->log_start;
	return false;
}

static void look_up(struct list_wait *lw)
{
	struct mr_list_offsets *l = lw->list;

	for (; lw->at < l->parts_count; lw->at++) {
		if (look_up_one(lw, &l->parts[lw->at]))
			return;
		lw->newest.begun = false;
	}
	mr_snapshot_put(lw->snapshot);
	free(lw);
	l->done(l);
}

void mr_worker_list_offsets(struct mr_broker *b, struct mr_list_offsets *l)
{
	struct list_wait *lw = calloc(1, sizeof(*lw));

	MR_ASSERT(lw);
	lw->worker = MR_CONTAINER(b, struct mr_worker, broker);
	lw->list = l;
	lw->room.ready = list_ready;
	lw->snapshot = mr_snapshot_get(lw->worker->snapshot);
	look_up(lw);
}

void mr_worker_lists_retry(struct mr_worker *w)
{
	struct list_wait *list = w->lists;

	w->lists = NULL;
	while (list) {
		struct list_wait *lw = list;

		list = lw->next;
		look_up(lw);
	}
}

void mr_worker_lists_abort(struct mr_worker *w)
{
	while (w->lists) {
		struct list_wait *lw = w->lists;

		w->lists = lw->next;
		for (; lw->at < lw->list->parts_count; lw->at++)
			lw->list->parts[lw->at].error = MR_KAFKA_KAFKA_STORAGE_ERROR;
		look_up(lw);
	}
}
