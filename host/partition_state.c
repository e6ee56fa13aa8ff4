// Checkpoints of partitions, and recovery of them from the logs.
//
// Each file of a log begins with a checkpoint of all partitions of its worker, so the state of a
// partition is the newest complete checkpoint that names it plus the batches behind that. A crash
// may leave the newest file of a log with part of a checkpoint and nothing else, and a file that
// took over from a failed one may begin in the middle of one; then the log is read from its
// beginning. The end of a checkpoint says how many partitions it has, so that a part is told from
// the whole.
#include "host/partition_state.h"

#include "dataplane/batch.h"
#include "host/base/hash.h"

#include <errno.h>
#include <stdlib.h>

enum { STATE_SLOTS = 4096 };

struct mr_recovered {
	struct mr_partition_state *slots[STATE_SLOTS];
	uint32_t producers_max;
	int64_t expiry_ms;
	int64_t now_ms;
};

void mr_partition_state_destroy(struct mr_partition_state *s)
{
	if (!s)
		return;
	mr_producers_destroy(s->producers);
	free(s->watermarks);
	free(s);
}

void mr_partition_state_save(struct mr_buf *out, struct mr_uuid topic, uint32_t partition,
	int64_t log_start, int64_t next_offset, const struct mr_producers *producers)
{
	mr_buf_add(out, topic.b, sizeof(topic.b));
	mr_buf_le32(out, partition);
	mr_buf_le64(out, (uint64_t)log_start);
	mr_buf_le64(out, (uint64_t)next_offset);
	mr_producers_save(producers, out);
}

void mr_checkpoint_end_save(uint8_t out[MR_CHECKPOINT_END_BYTES], uint32_t partitions)
{
	mr_store_le32(out, partitions);
}

static struct mr_partition_state **state_slot(
	struct mr_recovered *r, struct mr_uuid topic, uint32_t partition)
{
	uint64_t h = mr_hash64(mr_load_le64(topic.b) + partition, MR_HASH_SEED);
	struct mr_partition_state **at = &r->slots[h % STATE_SLOTS];

	while (*at && (!mr_uuid_eq((*at)->topic, topic) || (*at)->partition != partition))
		at = &(*at)->next;
	return at;
}

static struct mr_partition_state *state_of(
	struct mr_recovered *r, struct mr_uuid topic, uint32_t partition)
{
	struct mr_partition_state **at = state_slot(r, topic, partition), *s = *at;

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s || mr_producers_create(r->producers_max, r->expiry_ms, &s->producers) < 0) {
		free(s);
		return NULL;
	}
	s->topic = topic;
	s->partition = partition;
	*at = s;
	return s;
}

static int recover_checkpoint(struct mr_recovered *r, struct mr_span payload)
{
	struct mr_reader in = mr_reader(payload);
	struct mr_span topic_bytes = mr_read_span(&in, sizeof(struct mr_uuid));
	uint32_t partition = mr_read_le32(&in);
	int64_t log_start = (int64_t)mr_read_le64(&in), next = (int64_t)mr_read_le64(&in);
	struct mr_partition_state *s;
	struct mr_uuid topic;

	if (in.bad || log_start < 0 || next < log_start)
		return MR_ERR_CORRUPT;
	memcpy(topic.b, topic_bytes.data, sizeof(topic.b));
	s = state_of(r, topic, partition);
	if (!s)
		return -ENOMEM;
	s->log_start = log_start;
	s->next_offset = next;
	return mr_producers_load(s->producers, mr_span(in.at, mr_read_left(&in)));
}

static int recover_batch(struct mr_recovered *r, const struct mr_log_scan_record *sr)
{
	struct mr_partition_state *s = state_of(r, sr->topic, (uint32_t)sr->partition);
	struct mr_producer_batch pb;
	struct mr_batch batch;

	if (!s)
		return -ENOMEM;
	if (sr->record->base_offset < s->next_offset)
		return 0;
	if (mr_batch_read(mr_log_payload_span(sr->record), &batch) != MR_BATCH_FAULT_NONE)
		return MR_ERR_CORRUPT;
	s->next_offset = sr->record->base_offset + sr->record->offset_count;
	if (batch.producer_id < 0)
		return 0;
	pb = (struct mr_producer_batch){
		batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.count};
	// When it came is not written down, and the producer's own times may be years off. As if it
	// came now, it is forgotten late rather than early.
	return mr_producers_commit(s->producers, &pb, sr->record->base_offset, r->now_ms);
}

// The one that goes furthest counts: it holds all that those before it held.
static int recover_watermark(struct mr_recovered *r, struct mr_span payload)
{
	struct mr_watermark_state m, *all;
	struct mr_partition_state *s;
	struct mr_uuid topic;
	uint32_t partition;
	int rc = mr_watermark_load(payload, &topic, &partition, &m);

	if (rc < 0)
		return rc;
	s = state_of(r, topic, partition);
	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->watermarks_count; i++) {
		if (s->watermarks[i].table_id != m.table_id)
			continue;
		if (m.offset >= s->watermarks[i].offset)
			s->watermarks[i] = m;
		return 0;
	}
	all = realloc(s->watermarks, (s->watermarks_count + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	s->watermarks = all;
	all[s->watermarks_count++] = m;
	return 0;
}

static int recover_record(void *arg, const struct mr_log_scan_record *sr)
{
	struct mr_recovered *r = arg;

	switch (sr->record->type) {
	case MR_LOG_CHECKPOINT: return recover_checkpoint(r, mr_log_payload_span(sr->record));
	case MR_LOG_BATCH: return recover_batch(r, sr);
	case MR_LOG_WATERMARK: return recover_watermark(r, mr_log_payload_span(sr->record));
	default: return 0;
	}
}

// Whether a file begins with a whole checkpoint.
struct look {
	uint32_t partitions; // seen so far
	bool complete;
};

static int look_at(void *arg, const struct mr_log_scan_record *sr)
{
	struct look *l = arg;
	struct mr_reader in;

	switch (sr->record->type) {
	case MR_LOG_PARTITION:
	case MR_LOG_WATERMARK: return 0;
	case MR_LOG_CHECKPOINT: l->partitions++; return 0;
	case MR_LOG_CHECKPOINT_END:
		in = mr_reader(mr_log_payload_span(sr->record));
		l->complete = mr_read_le32(&in) == l->partitions && !in.bad;
		return 1;
	default: return 1;
	}
}

static int recover_log(struct mr_recovered *r, struct mr_log_store *store,
	const struct mr_log_info *log, struct mr_diag *diag)
{
	struct look look = {0};
	int rc = 0;

	// Batches that cleaning moved were in a log whose checkpoints came after them.
	if (log->is_long)
		return 0;
	rc = mr_log_store_scan(store, log->id, log->lsn_last, look_at, &look, diag);
	if (rc >= 0)
		rc = mr_log_store_scan(store, log->id,
			look.complete ? log->lsn_last : log->lsn_first, recover_record, r, diag);
	if (rc < 0 && !diag->message[0])
		mr_diag_set(diag, rc, "XX001", 0, "cannot recover log %llu: %s",
			(unsigned long long)log->id, mr_err_text(rc));
	return rc;
}

int mr_recover(struct mr_log_store *store, uint32_t producers_max, int64_t expiry_ms,
	int64_t now_ms, struct mr_recovered **out, struct mr_diag *diag)
{
	struct mr_recovered *r = calloc(1, sizeof(*r));
	size_t count = mr_log_store_logs(store, NULL, 0);
	struct mr_log_info *logs = calloc(count + 1, sizeof(*logs));
	int rc = 0;

	if (!r || !logs) {
		free(r);
		free(logs);
		return -ENOMEM;
	}
	r->producers_max = producers_max;
	r->expiry_ms = expiry_ms;
	r->now_ms = now_ms;
	count = MR_MIN(mr_log_store_logs(store, logs, count), count);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = recover_log(r, store, &logs[i], diag);
	free(logs);
	if (rc < 0) {
		mr_recovered_destroy(r);
		return rc;
	}
	*out = r;
	return 0;
}

void mr_recovered_destroy(struct mr_recovered *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < STATE_SLOTS; i++) {
		while (r->slots[i]) {
			struct mr_partition_state *s = r->slots[i];

			r->slots[i] = s->next;
			mr_partition_state_destroy(s);
		}
	}
	free(r);
}

struct mr_partition_state *mr_recovered_take(
	struct mr_recovered *r, struct mr_uuid topic, uint32_t partition)
{
	struct mr_partition_state **at, *s;

	if (!r)
		return NULL;
	at = state_slot(r, topic, partition);
	s = *at;
	if (s)
		*at = s->next;
	return s;
}
