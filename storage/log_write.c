// Submitting a log's frames, moving its durable end, and what happens when a write fails.
//
// Invariants:
//  - durable is the end of an unbroken run of completed frames; acknowledgements follow it only.
//  - files[0] holds durable. A later file's head is written only when durable has reached its first
//    lsn and nothing is in flight; its frames only when its head is durable.
//  - A place on disk is written at most once in the life of a log.
//
// Failure: the frame may be on disk or not, and nobody will ever know. When everything in flight
// has come back, the file ends at `durable`; its unacknowledged frames, and those of the files
// behind it, move one file along (the next ready file joins at the end), and the next head, which
// says first_lsn = durable, fences whatever the failed write left behind.
#include "storage/log_writer_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

static void stop(struct mr_log *log, int err)
{
	log->state = MR_ERR_STOPPED;
	mr_note(MR_NOTE_ERR, "log", "log=%llu lsn=%llu stopped error=\"%s\"",
		(unsigned long long)log->id, (unsigned long long)log->durable, mr_err_text(err));
	if (log->events.stopped)
		log->events.stopped(log->events.ctx, err);
}

static void advance(struct mr_log *log)
{
	uint64_t before = log->durable;

	while (log->q_head != log->q_sent) {
		struct mr_log_slot *s = mr_log_slot_at(log, log->q_head);

		if (!s->done || s->res < 0)
			break;
		log->durable = s->lsn + mr_log_frame_bytes(s->bytes);
		log->checksum_durable = s->checksum;
		log->stats.frames++;
		log->stats.frame_bytes += mr_log_frame_bytes(s->bytes);
		log->q_head++;
	}
	if (log->durable != before && !log->state && log->events.durable)
		log->events.durable(log->events.ctx, log->durable);
}

static void slot_done(struct mr_io_op *op, int res)
{
	struct mr_log_slot *s = MR_CONTAINER(op, struct mr_log_slot, op);
	struct mr_log *log = s->log;

	s->done = true;
	s->res = res;
	log->in_flight--;
	log->stats.flush_ns_last = (uint64_t)(mr_now_ns(log->clock) - log->submit_ns);
	if (res < 0) {
		log->stats.failures++;
		log->failed = res;
	}
	advance(log);
}

static void slot_submit(struct mr_log *log, struct mr_log_slot *s)
{
	struct mr_log_frame *f = (struct mr_log_frame *)(void *)mr_log_at(log, s->lsn);

	*f = (struct mr_log_frame){
		.magic = MR_LOG_FRAME_MAGIC,
		.version = MR_LOG_VERSION,
		.type = 1,
		.log_id = log->id,
		.lsn = s->lsn,
		.previous = log->checksum_sent,
		.incarnation = s->file->incarnation,
		.durable_lsn = log->durable,
		.bytes = s->bytes,
		.records = s->records,
	};
	mr_log_frame_seal(f);
	s->checksum = f->checksum;
	s->done = false;
	log->checksum_sent = f->checksum;
	log->q_sent++;
	log->stats.commits_two += log->in_flight > 0;
	log->in_flight++;
	log->submit_ns = mr_now_ns(log->clock);
	s->op = (struct mr_io_op){
		.done = slot_done,
		.file = s->file->file,
		.offset = mr_log_file_offset(s->file, s->lsn),
		.data = (uint8_t *)f,
		.bytes = (uint32_t)mr_log_frame_bytes(s->bytes),
		.buffer = log->buffer,
		.kind = MR_IO_WRITE,
	};
	mr_io_submit(log->io, &s->op);
}

static void drop_file(struct mr_log *log, size_t index)
{
	log->file_count--;
	for (size_t i = index; i < log->file_count; i++)
		log->files[i] = log->files[i + 1];
}

// The file before the one whose head is now durable has ended for good.
static void hand_over(struct mr_log *log)
{
	struct mr_log_file *f = log->files[0];

	f->end_lsn = log->files[1]->first_lsn;
	f->last_checksum = log->checksum_durable;
	log->index_before = f->index_lsn;
	mr_log_store_filled(log->store, f, log->bindings, log->binding_count);
	drop_file(log, 0);
	log->failures = 0; // a whole file went well since
}

static void head_done(struct mr_io_op *op, int res)
{
	struct mr_log *log = MR_CONTAINER(op, struct mr_log, head_op);

	log->head_in_flight = false;
	if (res < 0) {
		log->stats.failures++;
		log->failed = res;
		log->head_failed = true;
		return;
	}
	log->files[log->head_index]->head_known = true;
	if (log->head_index == 1)
		hand_over(log);
	log->head_done = true;
}

static void head_submit(struct mr_log *log, size_t index)
{
	struct mr_log_file *f = log->files[index];

	MR_ASSERT(f->first_lsn == log->durable && log->in_flight == 0);
	f->previous = log->checksum_durable;
	memset(log->head_page, 0, MR_LOG_HEAD_BYTES);
	mr_log_head_make((struct mr_log_head *)(void *)log->head_page, f,
		index ? log->files[0]->index_lsn : log->index_before);
	log->head_index = index;
	log->head_in_flight = true;
	log->head_op = (struct mr_io_op){
		.done = head_done,
		.file = f->file,
		.data = log->head_page,
		.bytes = MR_LOG_HEAD_BYTES,
		.buffer = -1,
		.kind = MR_IO_WRITE,
	};
	mr_io_submit(log->io, &log->head_op);
}

// Entries below the durable end stay with the failed file; the copy of all goes with the frames.
static int split_entries(struct mr_log *log, struct mr_log_file *from, struct mr_log_file *to)
{
	struct mr_log_file swap = *to;

	mr_log_refs_free(from);
	mr_log_refs_free(to);
	to->entries = from->entries;
	to->entry_count = from->entry_count;
	to->entry_max = from->entry_max;
	from->entries = swap.entries;
	from->entry_count = swap.entry_count;
	from->entry_max = swap.entry_max;
	for (size_t i = 0; i < to->entry_count && to->entries[i].lsn < log->durable; i++) {
		const struct mr_log_index_entry *e = &to->entries[i];
		struct mr_log_record r = {
			.partition_ref = e->ref,
			.bytes = e->bytes,
			.base_offset = e->base_offset,
			.max_timestamp_ms = e->max_timestamp_ms,
			.offset_count = e->offset_count,
		};
		int rc = mr_log_entry_add(from, &r, e->lsn);

		if (rc)
			return rc;
	}
	return 0;
}

// Files from `bad` on hand their contents to the one behind them.
static int shift_files(struct mr_log *log, size_t bad)
{
	int rc = 0;

	for (size_t q = log->q_head; q != log->q_tail; q++) {
		struct mr_log_slot *s = mr_log_slot_at(log, q);
		size_t i = bad;

		while (i < log->file_count && log->files[i] != s->file)
			i++;
		MR_ASSERT(i + 1 < log->file_count);
		s->file = log->files[i + 1];
	}
	for (size_t i = log->file_count - 1; i > bad && !rc; i--) {
		struct mr_log_file *f = log->files[i];
		struct mr_log_file *from = log->files[i - 1];

		f->index_lsn = from->index_lsn;
		f->continues = from->continues;
		f->first_lsn = from->first_lsn;
		rc = split_entries(log, from, f);
	}
	return rc;
}

static void fail_over(struct mr_log *log)
{
	size_t bad = log->head_failed ? log->head_index : 0;
	struct mr_log_file *f = log->files[bad];
	int err = log->failed;
	struct mr_log_file *next;
	bool disk_full;
	int rc;

	if (log->failures) {
		stop(log, err);
		return;
	}
	if (log->file_count == MR_LOG_FILES_MAX || log->reserved)
		return;
	next = mr_log_store_take(log->store, log->id, &disk_full);
	if (!next)
		return; // the next turn tries again
	log->failures++;
	mr_note(MR_NOTE_ERR, "log", "log=%llu file=%016llx lsn=%llu write failed error=\"%s\"",
		(unsigned long long)log->id, (unsigned long long)f->id,
		(unsigned long long)log->durable, mr_err_text(err));
	mr_log_frame_close(log);
	next->index_lsn = MR_LOG_NO_LSN;
	log->files[log->file_count++] = next;
	// Background threads look at `continues` of files that are not theirs.
	pthread_mutex_lock(&log->store->lock);
	rc = shift_files(log, bad);
	log->files[bad + 1]->continues |= f->first_lsn < log->durable;
	pthread_mutex_unlock(&log->store->lock);
	if (rc) {
		stop(log, rc);
		return;
	}
	log->files[bad + 1]->first_lsn = log->durable;
	// An index that is only partly in the new file is none.
	if (log->files[bad + 1]->index_lsn < log->durable)
		log->files[bad + 1]->index_lsn = MR_LOG_NO_LSN;
	f->end_lsn = log->durable;
	f->index_lsn = MR_LOG_NO_LSN;
	f->last_checksum = log->checksum_durable;
	if (bad == 0)
		log->index_before = MR_LOG_NO_LSN;
	mr_log_store_filled(log->store, f, log->bindings, log->binding_count);
	drop_file(log, bad);
	if (bad == 0)
		log->head_done = false;
	log->q_sent = log->q_head;
	log->checksum_sent = log->checksum_durable;
	log->failed = 0;
	log->head_failed = false;
}

// Bytes that wait to be submitted.
static uint64_t waiting(const struct mr_log *log, const struct mr_log_slot *next)
{
	return log->head - (next ? next->lsn : log->frame_lsn);
}

// The next frame to submit, closing the open one if it may go now; NULL when nothing may.
static struct mr_log_slot *next_slot(struct mr_log *log)
{
	struct mr_log_slot *s =
		log->q_sent != log->q_tail ? mr_log_slot_at(log, log->q_sent) : NULL;

	if (!s && (!log->frame_open || log->reserved || log->frame_records == 0))
		return NULL;
	if (log->in_flight >= MR_LOG_IN_FLIGHT_MAX)
		return NULL;
	if (log->in_flight && waiting(log, s) <= MR_LOG_COMMIT_BYTES)
		return NULL;
	if (!s) {
		mr_log_frame_close(log);
		s = mr_log_slot_at(log, log->q_sent);
	}
	return s;
}

void mr_log_pump(struct mr_log *log)
{
	struct mr_log_slot *s;

	if (log->state || log->head_in_flight)
		return;
	if (log->failed) {
		if (log->in_flight == 0)
			fail_over(log);
		if (log->failed || log->state)
			return;
	}
	while ((s = next_slot(log))) {
		bool is_first = s->file == log->files[0];

		if (!is_first || !log->head_done) {
			if (log->in_flight == 0)
				head_submit(log, is_first ? 0 : 1);
			return;
		}
		slot_submit(log, s);
	}
}
