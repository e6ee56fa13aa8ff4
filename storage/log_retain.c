// Retention: where a partition's log is to begin.
//
// By time, whole files go by what their runs say, without a look at a batch. What they held is
// released before anything is decided by size, or it would count twice, and more would go than
// must. Then single batches go, oldest first, a bounded number in one pass. An index that is not in
// memory is asked for, and is there when the partition's turn comes again.
#include "storage/log_writer_int.h"

enum { BATCHES_AT_ONCE = 4096 };

int64_t mr_log_store_skip_old(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	int64_t offset, int64_t limit, int64_t before_ms)
{
	const struct mr_log_part *p;

	pthread_mutex_lock(&s->lock);
	p = mr_log_part_find(s, topic, partition);
	for (size_t i = p ? mr_log_run_above(p, offset) : 0; p && i < p->run_end; i++) {
		const struct mr_log_run *run = p->runs[i];

		if (run->offset_first > offset || run->offset_end > limit ||
			run->max_timestamp_ms >= before_ms)
			break;
		offset = run->offset_end;
	}
	pthread_mutex_unlock(&s->lock);
	return offset;
}

// Whether the file that holds the offset may have batches of the partition older than `before_ms`.
static bool has_old(struct mr_log_store *s, struct mr_uuid topic, int32_t partition, int64_t offset,
	int64_t before_ms)
{
	const struct mr_log_part *p;
	bool old = true;
	size_t at;

	pthread_mutex_lock(&s->lock);
	p = mr_log_part_find(s, topic, partition);
	at = p ? mr_log_run_above(p, offset) : 0;
	if (p && at < p->run_end)
		old = p->runs[at]->min_timestamp_ms < before_ms;
	pthread_mutex_unlock(&s->lock);
	return old;
}

// Whether it is worth looking at single batches: that may need an index from disk. `bytes` is then
// what the partition has.
static bool worth_a_look(struct mr_log *log, struct mr_uuid topic, int32_t partition, int64_t start,
	const struct mr_log_retention *r, uint64_t *bytes)
{
	struct mr_log_store *s = log->store;
	struct mr_log_extent extent;
	struct mr_log_entry e;

	*bytes = 0;
	mr_log_store_extent(s, topic, partition, &extent);
	if (extent.bytes > r->bytes_max) {
		// What is alive of the first file is counted when its index is there.
		if (mr_log_find(log, topic, partition, start, &e) < 0)
			return false;
		mr_log_store_extent(s, topic, partition, &extent);
		*bytes = extent.bytes;
		return true;
	}
	return has_old(s, topic, partition, start, r->before_ms);
}

int64_t mr_log_retain(struct mr_log *log, struct mr_uuid topic, int32_t partition, int64_t start,
	const struct mr_log_retention *r)
{
	struct mr_log_store *s = log->store;
	int64_t from = mr_log_store_skip_old(s, topic, partition, start, r->limit, r->before_ms);
	struct mr_log_entry e;
	uint64_t bytes;

	if (from > start)
		mr_log_store_retain_offset(s, topic, partition, from);
	start = from;
	if (start >= r->limit || !worth_a_look(log, topic, partition, start, r, &bytes))
		return start;
	for (int i = 0; i < BATCHES_AT_ONCE; i++) {
		if (mr_log_find(log, topic, partition, start, &e) < 0 ||
			e.base_offset + e.offset_count > r->limit ||
			(e.max_timestamp_ms >= r->before_ms && bytes <= r->bytes_max))
			break;
		start = e.base_offset + e.offset_count;
		bytes -= MR_MIN(bytes, (uint64_t)e.bytes);
	}
	if (start > from)
		mr_log_store_retain_offset(s, topic, partition, start);
	return start;
}
