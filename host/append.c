// Appending: a produced batch is checked, ordered, copied into the log, decoded, and acknowledged
// when it is durable and visible.
//
//	append -> check frame -> check producer -> reserve in the log -> copy, CRC-32C
//	       -> unpack and check the records -> commit -> decode into the tables' chunks
//	durable -> publish rows, fold views -> acknowledge
//
// What cannot go on for want of room waits (append_wait.c).
#include "dataplane/batch.h"
#include "dataplane/kafka_error.h"
#include "host/base/note.h"
#include "host/worker.h"

#include <errno.h>

void mr_append_fail(struct mr_worker *w, struct mr_append *a, int16_t error, const char *message)
{
	mr_stat_add(&w->stats.appends_failed, 1);
	a->error = error;
	a->message = message;
	a->base_offset = -1;
	a->done(a);
}

static void append_fault(struct mr_worker *w, struct mr_append *a, enum mr_batch_fault fault)
{
	mr_append_fail(w, a, mr_batch_fault_kafka(fault), mr_batch_fault_text(fault));
}

void mr_append_done(struct mr_worker *w, struct mr_append *a)
{
	mr_hist_record(&w->stats.ack, (uint64_t)(mr_now_ns(w->clock) - a->received_ns));
	a->error = 0;
	a->done(a);
}

// Waits until everything below `lsn_end` is durable, then is acknowledged.
static void wait_durable(struct mr_worker *w, struct mr_append *a, uint64_t lsn_end)
{
	a->lsn_end = lsn_end;
	mr_append_list_add(&w->pending, a);
	if (mr_log_durable(w->log) >= lsn_end)
		mr_worker_acknowledge(w);
}

// Kafka's answer to a log that gives no room: all of these make clients try again later.
static void append_refused(struct mr_worker *w, struct mr_append *a, int rc)
{
	if (rc == -ENOSPC)
		mr_append_fail(w, a, MR_KAFKA_KAFKA_STORAGE_ERROR, "the disk is nearly full");
	else if (rc == -EMSGSIZE)
		mr_append_fail(w, a, MR_KAFKA_MESSAGE_TOO_LARGE, "the record batch is too large");
	else
		mr_append_fail(w, a, MR_KAFKA_KAFKA_STORAGE_ERROR,
			"the log has stopped after a disk error");
}

// Copies the batch into the log and checks all of it there. 0: reserved and sound, `*records` are
// its records; 1: answered with an error, nothing reserved; negative: from mr_log_reserve.
static int copy_and_check(struct mr_worker *w, struct mr_append *a, struct mr_batch *batch,
	struct mr_log_record **out, struct mr_span *records)
{
	enum mr_batch_fault fault;
	struct mr_log_record *r;
	int rc = mr_log_reserve(w->log, MR_LOG_BATCH, (uint32_t)a->batch.bytes, 0, &r);
	uint8_t *copy;

	if (rc < 0)
		return rc;
	copy = mr_log_payload(r);
	memcpy(copy, a->batch.data, a->batch.bytes);
	fault = mr_batch_check(mr_span(copy, a->batch.bytes), batch);
	if (fault == MR_BATCH_FAULT_NONE)
		fault = mr_batch_unpack(
			batch, w->zip, w->config->kafka_decompressed_bytes_max, records);
	if (fault == MR_BATCH_FAULT_NONE)
		fault = mr_records_check(*records, batch->count, &a->bad_record);
	if (fault != MR_BATCH_FAULT_NONE) {
		mr_log_abort(w->log);
		append_fault(w, a, fault);
		return 1;
	}
	*out = r;
	return 0;
}

static struct mr_producer_batch producer_batch(const struct mr_batch *b)
{
	return (struct mr_producer_batch){
		b->producer_id, b->producer_epoch, b->base_sequence, b->count};
}

// The producer's sequence. True: go on; false: answered, or waiting with its original. The place in
// the log is given back before that: an answer may bring the next append, and the head counts.
static bool check_producer(
	struct mr_worker *w, struct mr_partition *p, struct mr_append *a, const struct mr_batch *b)
{
	struct mr_producer_batch pb = producer_batch(b);
	int64_t original;
	int16_t error;

	if (b->producer_id < 0)
		return true;
	error = mr_producers_check(p->producers, &pb, mr_wall_us(w->clock) / 1000, &original);
	if (!error && original < 0)
		return true;
	mr_log_abort(w->log);
	if (error) {
		mr_append_fail(w, a, error, "the producer's sequence does not follow");
		return false;
	}
	mr_stat_add(&p->records_deduplicated, (uint64_t)b->count);
	a->base_offset = original;
	a->wait[1] = (void *)(intptr_t)(original + b->count);
	a->committed_ns = 0;
	// The original may not be durable yet; everything appended so far certainly covers it.
	wait_durable(w, a, mr_log_head(w->log));
	return false;
}

static void note_producer(
	struct mr_worker *w, struct mr_partition *p, const struct mr_batch *b, int64_t base_offset)
{
	struct mr_producer_batch pb = producer_batch(b);

	if (b->producer_id >= 0 && mr_producers_commit(p->producers, &pb, base_offset,
					   mr_wall_us(w->clock) / 1000) < 0)
		mr_note(MR_NOTE_ERR, "kafka", "event=producer_forgotten topic=%s partition=%u",
			p->topic->name, p->number);
}

static void commit(struct mr_worker *w, struct mr_partition *p, struct mr_append *a,
	struct mr_log_record *r, struct mr_batch *b, struct mr_span records)
{
	int64_t base = p->next_offset;
	uint64_t lsn_end;

	if (p->topic->topic.config.timestamp_log_append) {
		a->log_append_time_ms = mr_wall_us(w->clock) / 1000;
		mr_batch_set_append_time(mr_log_payload(r), b->bytes, a->log_append_time_ms);
		b->attributes |= MR_BATCH_ATTR_APPEND_TIME;
		b->max_timestamp = a->log_append_time_ms;
	}
	mr_batch_patch(mr_log_payload(r), base, 0);
	r->partition_ref = p->log_ref;
	r->base_offset = base;
	r->offset_count = (uint32_t)b->count;
	r->max_timestamp_ms = b->max_timestamp;
	lsn_end = mr_log_commit(w->log) + mr_log_record_bytes((uint32_t)b->bytes);
	note_producer(w, p, b, base);
	p->next_offset = base + b->count;
	p->max_timestamp_ms = MR_MAX(p->max_timestamp_ms, b->max_timestamp);
	a->base_offset = base;
	a->wait[1] = (void *)(intptr_t)p->next_offset;
	a->committed_ns = mr_now_ns(w->clock);
	mr_hist_record(&w->stats.stage_check, (uint64_t)(a->committed_ns - a->received_ns));
	b->base_offset = base;
	mr_stat_add(&p->batches_in, 1);
	mr_stat_add(&p->records_in, (uint64_t)b->count);
	mr_stat_add(&p->bytes_in, b->bytes);
	mr_feeds_live(w, p, b, records, lsn_end);
	if (p->feeds)
		mr_hist_record(
			&w->stats.stage_decode, (uint64_t)(mr_now_ns(w->clock) - a->committed_ns));
	wait_durable(w, a, lsn_end);
}

static int bind_partition(struct mr_worker *w, struct mr_partition *p)
{
	int rc;

	if (p->bound)
		return 0;
	rc = mr_log_bind(w->log, p->topic->topic.id, (int32_t)p->number, &p->log_ref);
	p->bound = rc == 0;
	return rc;
}

// `a` is untouched when it is not taken.
enum mr_append_try mr_append_try(struct mr_worker *w, struct mr_append *a)
{
	struct mr_partition *p = mr_append_partition(a);
	struct mr_log_record *r;
	struct mr_span records;
	struct mr_batch batch;
	int rc;

	a->log_append_time_ms = -1;
	a->bad_record = -1;
	a->log_start_offset = p->log_start;
	if (a->batch.bytes > (size_t)p->topic->topic.config.message_bytes_max) {
		mr_append_fail(w, a, MR_KAFKA_MESSAGE_TOO_LARGE, "the record batch is too large");
		return MR_APPEND_TAKEN;
	}
	if (mr_feeds_full(w, p))
		return MR_APPEND_NO_MEMORY;
	rc = bind_partition(w, p);
	if (rc == 0)
		rc = copy_and_check(w, a, &batch, &r, &records);
	if (rc == -EAGAIN)
		return MR_APPEND_NO_LOG;
	if (rc < 0)
		append_refused(w, a, rc);
	else if (rc == 0 && check_producer(w, p, a, &batch))
		commit(w, p, a, r, &batch, records);
	return MR_APPEND_TAKEN;
}

static int64_t deadline_of(const struct mr_worker *w, const struct mr_append *a)
{
	int64_t wait_ms = (int64_t)w->config->kafka_append_wait_ms;

	if (a->wait_ms_max > 0)
		wait_ms = MR_MIN(wait_ms, a->wait_ms_max);
	return a->received_ns + wait_ms * 1000000;
}

void mr_worker_append(struct mr_broker *b, struct mr_append *a)
{
	struct mr_worker *w = MR_CONTAINER(b, struct mr_worker, broker);
	enum mr_append_try tried = MR_APPEND_NO_LOG;
	struct mr_partition *p = mr_worker_partition(w, a->topic, a->partition);

	mr_stat_add(&w->stats.appends, 1);
	if (!a->received_ns)
		a->received_ns = mr_now_ns(w->clock);
	a->deadline_ns = deadline_of(w, a);
	a->wait[0] = p;
	if (!p) {
		mr_append_fail(w, a, MR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
		return;
	}
	// Nothing overtakes what waits for the same.
	if (p->waiting.head)
		tried = MR_APPEND_NO_MEMORY;
	else if (!w->stalled.head)
		tried = mr_append_try(w, a);
	if (tried == MR_APPEND_TAKEN)
		return;
	mr_stat_add(&w->stats.appends_stalled, 1);
	mr_append_wait(
		w, a, tried == MR_APPEND_NO_LOG ? MR_APPEND_WAIT_LOG : MR_APPEND_WAIT_MEMORY);
}

// A feed that had no memory for the last rows of a batch takes them when pieces have been sealed;
// until then the batch is durable but not visible. One that catches up from before the batch is not
// waited for.
bool mr_append_is_applied(const struct mr_append *a)
{
	int64_t end = (int64_t)(intptr_t)a->wait[1];

	for (const struct mr_feed *f = mr_append_partition(a)->feeds; f; f = f->next)
		if (!f->failed && f->next_offset < MR_MIN(end, f->live_end))
			return false;
	return true;
}

static void note_durable(struct mr_worker *w, const struct mr_append *a)
{
	struct mr_partition *p = mr_append_partition(a);

	p->high_watermark = MR_MAX(p->high_watermark, (int64_t)(intptr_t)a->wait[1]);
	w->fetch_wakeup |= p->waited_for;
	p->waited_for = false;
	if (a->committed_ns)
		mr_hist_record(
			&w->stats.stage_flush, (uint64_t)(mr_now_ns(w->clock) - a->committed_ns));
}

void mr_worker_acknowledge(struct mr_worker *w)
{
	uint64_t durable = mr_log_durable(w->log);

	while (w->pending.head && w->pending.head->lsn_end <= durable) {
		struct mr_append *a = mr_append_list_take(&w->pending);

		note_durable(w, a);
		if (!mr_append_partition(a)->unseen.head && mr_append_is_applied(a))
			mr_append_done(w, a);
		else
			mr_append_wait(w, a, MR_APPEND_WAIT_VISIBLE);
	}
}

void mr_worker_durable(void *ctx, uint64_t lsn)
{
	struct mr_worker *w = ctx;
	int64_t start = mr_now_ns(w->clock);

	mr_marks_publish(&w->marks, lsn);
	mr_hist_record(&w->stats.stage_visible, (uint64_t)(mr_now_ns(w->clock) - start));
	mr_worker_acknowledge(w);
}

void mr_worker_log_stopped(void *ctx, int err)
{
	struct mr_worker *w = ctx;

	mr_stat_add(&w->stats.log_stopped, 1);
	mr_note(MR_NOTE_ERR, "log", "event=stopped worker=%u error=\"%s\"", w->id,
		mr_err_text(err));
	while (w->pending.head)
		append_refused(w, mr_append_list_take(&w->pending), MR_ERR_STOPPED);
	mr_worker_appends_turn(w);
}
