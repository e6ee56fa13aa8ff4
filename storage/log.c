// Appending to a log: reservations, frames, rolling to the next file. Submitting is in log_write.c.
//
// lsn space, frames of one file and the beginning of the next:
//
//	| frame | frame | … | INDEX frame(s) || PARTITION, CHECKPOINT, records … | frame | …
//	^ first_lsn of a file                 ^ first_lsn of the next
//
// Rolling happens in memory, inside reserve: the index goes to the end of the ring, the next file's
// beginning behind it, and the record behind that. What remains of the boundary is for log_write.c:
// the next file's head waits until everything before it is durable, its frames wait for the head.
//
// Room for the index at a file's end is always kept: a record is placed only where the index, grown
// by its entry, still fits behind it.
#include "storage/log_writer_int.h"

#include "host/base/hash.h"
#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

// CHECKPOINT_RECORD: what one takes at least, where each is of a partition: header, topic, offsets.
enum {
	RING_BYTES_MIN = 4 << 20,
	HEAD_ROOM_SHARE = 8,
	HEAD_ROOM_MAX = 1 << 20,
	CHECKPOINT_RECORD = sizeof(struct mr_log_record) + 32,
};

static struct mr_log_file *file_now(const struct mr_log *log)
{
	return log->files[log->file_count - 1];
}

// At most these many bytes do `items` bindings or entries of an index take in frames.
static uint64_t items_bytes(uint64_t items)
{
	uint64_t records = items / MR_LOG_INDEX_ITEMS + 2;

	return items * sizeof(struct mr_log_index_entry) +
	       records * mr_round_up(sizeof(struct mr_log_frame) + sizeof(struct mr_log_record) +
					     sizeof(struct mr_log_index_head) + 8,
				 MR_IO_ALIGN) +
	       records * MR_IO_ALIGN;
}

static uint64_t checkpoint_bytes(struct mr_log *log)
{
	uint64_t bytes =
		log->events.checkpoint_bytes ? log->events.checkpoint_bytes(log->events.ctx) : 0;

	// Each of its frames may waste a header and a page; a record opens at most one.
	return bytes + (bytes / MR_LOG_COMMIT_BYTES + 2) * 2 * MR_IO_ALIGN;
}

static uint64_t ring_limit(const struct mr_log *log)
{
	return MR_MIN(log->durable, log->keep) + log->ring_bytes;
}

void mr_log_frame_close(struct mr_log *log)
{
	uint64_t end = mr_round_up(log->head, MR_IO_ALIGN);
	struct mr_log_slot *slot;

	if (!log->frame_open)
		return;
	MR_ASSERT(log->frame_records > 0 && !log->reserved);
	MR_ASSERT(log->q_tail - log->q_head < log->slot_count);
	memset(mr_log_at(log, log->head), 0, end - log->head);
	slot = mr_log_slot_at(log, log->q_tail++);
	*slot = (struct mr_log_slot){
		.log = log,
		.file = file_now(log),
		.lsn = log->frame_lsn,
		.bytes = (uint32_t)(log->head - log->frame_lsn - sizeof(struct mr_log_frame)),
		.records = log->frame_records,
	};
	log->head = end;
	log->frame_open = false;
}

// Whether a record of `bytes` goes into the open frame.
static bool frame_takes(const struct mr_log *log, uint64_t bytes)
{
	return log->frame_open && log->head + bytes <= log->frame_lsn + MR_LOG_COMMIT_BYTES;
}

// Where a record of `bytes` would end, padding of its frame included.
static uint64_t place_end(const struct mr_log *log, uint64_t bytes)
{
	uint64_t start = frame_takes(log, bytes) ? log->head
						 : mr_round_up(log->head, MR_IO_ALIGN) +
							   sizeof(struct mr_log_frame);

	return mr_round_up(start + bytes, MR_IO_ALIGN);
}

// Puts a record header at the head of the log. Room is sure.
static struct mr_log_record *place(struct mr_log *log, uint16_t type, uint32_t bytes)
{
	uint64_t record_bytes = mr_log_record_bytes(bytes);
	struct mr_log_record *r;

	if (!frame_takes(log, record_bytes))
		mr_log_frame_close(log);
	if (!log->frame_open) {
		log->frame_open = true;
		log->frame_lsn = log->head;
		log->frame_records = 0;
		log->head += sizeof(struct mr_log_frame);
	}
	r = (struct mr_log_record *)(void *)mr_log_at(log, log->head);
	*r = (struct mr_log_record){
		.type = type, .bytes = bytes, .partition_ref = MR_LOG_NO_PARTITION};
	log->written = MR_MAX(log->written, mr_round_up(log->head + record_bytes, MR_IO_ALIGN));
	log->reserved = r;
	log->reserved_bytes = bytes;
	return r;
}

uint64_t mr_log_commit(struct mr_log *log)
{
	struct mr_log_record *r = log->reserved;
	uint64_t lsn = log->head;
	uint64_t bytes;

	MR_ASSERT(r && r->bytes <= log->reserved_bytes);
	bytes = mr_log_record_bytes(r->bytes);
	memset(mr_log_payload(r) + r->bytes, 0, bytes - sizeof(*r) - r->bytes);
	r->zero = 0;
	r->checksum = mr_log_record_checksum(r);
	if (r->type == MR_LOG_BATCH) {
		int rc = mr_log_entry_add(file_now(log), r, lsn);

		MR_ASSERT(rc == 0 && r->partition_ref < log->binding_count);
	}
	log->head += bytes;
	log->frame_records++;
	log->stats.records++;
	log->stats.record_bytes += r->bytes;
	log->reserved = NULL;
	return lsn;
}

static void drop_empty_frame(struct mr_log *log)
{
	if (log->frame_open && log->frame_records == 0) {
		log->frame_open = false;
		log->head = log->frame_lsn;
	}
}

void mr_log_abort(struct mr_log *log)
{
	MR_ASSERT(log->reserved);
	log->reserved = NULL;
	log->stats.aborts++;
	drop_empty_frame(log);
}

static void write_index_part(struct mr_log *log, const struct mr_log_binding *bindings,
	size_t binding_count, const struct mr_log_index_entry *entries, size_t entry_count)
{
	struct mr_log_index_head head = {(uint32_t)binding_count, (uint32_t)entry_count};
	size_t b = binding_count * sizeof(*bindings);
	size_t e = entry_count * sizeof(*entries);
	struct mr_log_record *r = place(log, MR_LOG_INDEX, (uint32_t)(sizeof(head) + b + e));
	uint8_t *p = mr_log_payload(r);

	memcpy(p, &head, sizeof(head));
	if (b)
		memcpy(p + sizeof(head), bindings, b);
	if (e)
		memcpy(p + sizeof(head) + b, entries, e);
	mr_log_commit(log);
	mr_log_frame_close(log);
}

// The index of the file now ending, behind everything else in it.
static void write_index(struct mr_log *log)
{
	struct mr_log_file *f = file_now(log);

	mr_log_frame_close(log);
	f->index_lsn = log->head;
	for (size_t i = 0; i < log->binding_count; i += MR_LOG_INDEX_ITEMS)
		write_index_part(log, log->bindings + i,
			MR_MIN((size_t)MR_LOG_INDEX_ITEMS, log->binding_count - i), NULL, 0);
	for (size_t i = 0; i < f->entry_count; i += MR_LOG_INDEX_ITEMS)
		write_index_part(log, NULL, 0, f->entries + i,
			MR_MIN((size_t)MR_LOG_INDEX_ITEMS, f->entry_count - i));
	if (log->head == f->index_lsn)
		write_index_part(log, NULL, 0, NULL, 0);
}

// What makes a file readable without those before it.
static void begin_file(struct mr_log *log)
{
	log->rolling = true;
	for (size_t i = 0; i < log->binding_count; i += MR_LOG_INDEX_ITEMS) {
		size_t n = MR_MIN((size_t)MR_LOG_INDEX_ITEMS, log->binding_count - i);
		struct mr_log_record *r =
			place(log, MR_LOG_PARTITION, (uint32_t)(n * sizeof(struct mr_log_binding)));

		memcpy(mr_log_payload(r), log->bindings + i, n * sizeof(struct mr_log_binding));
		mr_log_commit(log);
	}
	if (log->events.checkpoint)
		log->events.checkpoint(log->events.ctx, log);
	log->rolling = false;
	log->begun = true;
}

static void add_file(struct mr_log *log, struct mr_log_file *f)
{
	f->first_lsn = log->head;
	f->index_lsn = MR_LOG_NO_LSN;
	log->files[log->file_count++] = f;
}

// The most that a roll puts between the head and a record of `bytes`, and that record.
static uint64_t roll_bytes(struct mr_log *log, uint64_t bytes)
{
	uint64_t bindings = items_bytes(log->binding_count);

	return items_bytes(log->binding_count + file_now(log)->entry_count) + bindings +
	       checkpoint_bytes(log) + mr_log_frame_bytes(bytes) + 4 * MR_IO_ALIGN;
}

// The least of a file, and of the ring, into which a checkpoint goes with a partition's binding and
// index for each of its records, and the largest record, with room for an index to grow in.
static void least_bytes(struct mr_log *log, uint64_t *file_bytes, uint64_t *ring_bytes)
{
	uint64_t checkpoint = checkpoint_bytes(log);
	uint64_t index = items_bytes(checkpoint / CHECKPOINT_RECORD);
	uint64_t fresh = 2 * index + checkpoint + mr_log_frame_bytes(log->record_bytes_max) +
			 MR_LOG_HEAD_BYTES;

	*file_bytes = MR_MAX(fresh, 4 * index);
	*ring_bytes = MR_MAX((fresh + 4 * MR_IO_ALIGN) / 3 * 4, 4 * index);
}

// Of a file, when `least` is more than the store's: checkpoints grow, as producers come.
static uint64_t larger_file(const struct mr_log *log, uint64_t least)
{
	return least > log->store->options.file_bytes ? mr_round_up(2 * least, MR_IO_ALIGN) : 0;
}

static int refuse(uint64_t *counter, int rc)
{
	++*counter;
	return rc;
}

static int roll(struct mr_log *log, uint64_t bytes)
{
	uint64_t fresh = items_bytes(log->binding_count) + checkpoint_bytes(log) +
			 mr_log_frame_bytes(bytes) + items_bytes(log->binding_count + 1);
	uint64_t end = mr_round_up(log->head, MR_IO_ALIGN) + roll_bytes(log, bytes);
	uint64_t ready = mr_log_store_ready_bytes(log->store, log->id), least, least_ring;
	struct mr_log_file *next;
	bool disk_full;

	least_bytes(log, &least, &least_ring);
	mr_log_store_file_bytes(log->store, log->id, larger_file(log, least));
	if ((ready && fresh > ready - MR_LOG_HEAD_BYTES) ||
		roll_bytes(log, bytes) > log->ring_bytes)
		return -EMSGSIZE;
	if (end > ring_limit(log) || log->q_tail - log->q_head > log->slot_count / 2)
		return refuse(&log->stats.ring_full, -EAGAIN);
	if (log->file_count == MR_LOG_FILES_MAX)
		return refuse(&log->stats.file_wait, -EAGAIN);
	next = mr_log_store_take(log->store, log->id, &disk_full);
	if (!next)
		return disk_full ? refuse(&log->stats.disk_full, -ENOSPC)
				 : refuse(&log->stats.file_wait, -EAGAIN);
	write_index(log);
	add_file(log, next);
	log->stats.rolls++;
	begin_file(log);
	return 0;
}

// Whether a record that ends (with its frame) at `end` leaves room for the file's index.
static bool fits(const struct mr_log *log, uint64_t end, uint64_t spare)
{
	const struct mr_log_file *f = file_now(log);
	uint64_t index = items_bytes(log->binding_count + f->entry_count + 2);

	return index <= mr_log_index_limit(f->bytes, log->ring_bytes) &&
	       end + index + spare <= mr_log_file_end(f);
}

// While no next file is ready the last part of this one is for urgent records. Once one record was
// refused for that, so are smaller ones, until there is a file: clients see one state.
static int check_headroom(struct mr_log *log, uint64_t end)
{
	uint64_t room = MR_MIN(file_now(log)->bytes / HEAD_ROOM_SHARE, (uint64_t)HEAD_ROOM_MAX);
	bool disk_full;

	if (!log->no_room && fits(log, end, room))
		return 0;
	log->no_room = !mr_log_store_has_ready(log->store, log->id, &disk_full);
	if (!log->no_room)
		return 0;
	return disk_full ? refuse(&log->stats.disk_full, -ENOSPC)
			 : refuse(&log->stats.file_wait, -EAGAIN);
}

static int make_place(struct mr_log *log, uint64_t bytes, unsigned flags)
{
	uint64_t end;
	int rc;

	if (!fits(log, place_end(log, bytes), 0)) {
		rc = roll(log, bytes);
		if (rc)
			return rc;
	}
	end = place_end(log, bytes);
	if (!fits(log, end, 0))
		return -EMSGSIZE;
	rc = flags & MR_LOG_URGENT ? 0 : check_headroom(log, end);
	if (rc)
		return rc;
	if (end > ring_limit(log) || log->q_tail - log->q_head > log->slot_count / 2)
		return refuse(&log->stats.ring_full, -EAGAIN);
	return 0;
}

int mr_log_reserve(struct mr_log *log, uint16_t type, uint32_t bytes, unsigned flags,
	struct mr_log_record **out)
{
	uint64_t record_bytes = mr_log_record_bytes(bytes);
	int rc;

	MR_ASSERT(!log->reserved && type <= MR_LOG_TYPE_MAX);
	if (log->state)
		return log->state;
	if (bytes > MR_LOG_RECORD_BYTES || record_bytes > log->ring_bytes / 2)
		return -EMSGSIZE;
	if (!log->begun && !log->rolling)
		begin_file(log);
	rc = log->rolling ? 0 : make_place(log, record_bytes, flags);
	if (rc)
		return rc;
	*out = place(log, type, bytes);
	return 0;
}

static int bindings_room(struct mr_log *log)
{
	size_t max = MR_MAX((size_t)64, log->binding_max * 2);
	void *grown;

	if (log->binding_count < log->binding_max)
		return 0;
	grown = realloc(log->bindings, max * sizeof(*log->bindings));
	if (!grown)
		return -ENOMEM;
	log->bindings = (struct mr_log_binding *)grown;
	log->binding_max = max;
	return 0;
}

int mr_log_bind(struct mr_log *log, struct mr_uuid topic, int32_t partition, uint32_t *ref)
{
	struct mr_log_record *r;
	int rc;

	if (mr_log_map_find(&log->binding_map, topic, partition, ref))
		return 0;
	rc = bindings_room(log);
	if (!rc)
		rc = mr_log_reserve(log, MR_LOG_PARTITION, sizeof(struct mr_log_binding), 0, &r);
	if (rc)
		return rc;
	*ref = (uint32_t)log->binding_count;
	rc = mr_log_map_add(&log->binding_map, topic, partition, *ref);
	if (rc) {
		mr_log_abort(log);
		return rc;
	}
	log->bindings[log->binding_count++] = (struct mr_log_binding){*ref, partition, topic};
	memcpy(mr_log_payload(r), &log->bindings[*ref], sizeof(struct mr_log_binding));
	mr_log_commit(log);
	return 0;
}

void mr_log_flush(struct mr_log *log)
{
	mr_log_pump(log);
}

uint64_t mr_log_id(const struct mr_log *log)
{
	return log->id;
}

uint64_t mr_log_head(const struct mr_log *log)
{
	return log->head;
}

uint64_t mr_log_durable(const struct mr_log *log)
{
	return log->durable;
}

uint64_t mr_log_tail(const struct mr_log *log)
{
	return log->written > log->ring_bytes ? log->written - log->ring_bytes : 0;
}

int mr_log_state(const struct mr_log *log)
{
	return log->state;
}

void mr_log_keep(struct mr_log *log, uint64_t lsn)
{
	log->keep = lsn;
}

const uint8_t *mr_log_hot(const struct mr_log *log, uint64_t lsn, uint64_t bytes)
{
	if (lsn < mr_log_tail(log) || lsn > log->head || bytes > log->head - lsn)
		return NULL;
	return mr_log_at(log, lsn);
}

uint64_t mr_log_index_bytes(const struct mr_log *log)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < log->file_count; i++)
		bytes += mr_log_file_index_bytes(log->files[i]);
	return bytes;
}

const struct mr_log_stats *mr_log_stats(const struct mr_log *log)
{
	return &log->stats;
}

static void free_log(struct mr_log *log)
{
	if (log->ring)
		mr_log_ring_unmap(log->ring, log->ring_bytes);
	free(log->slots);
	free(log->head_page);
	free(log->bindings);
	mr_log_map_fini(&log->binding_map);
	free(log);
}

static int alloc_log(struct mr_log *log)
{
	// Two neighbouring closed frames hold more than a commit together, or end a file.
	uint64_t frames = 2 * log->ring_bytes / MR_LOG_COMMIT_BYTES + 64;

	log->slot_count = 1;
	while (log->slot_count < 2 * frames)
		log->slot_count *= 2;
	log->slots = (struct mr_log_slot *)calloc(log->slot_count, sizeof(*log->slots));
	log->head_page = (uint8_t *)aligned_alloc(MR_IO_ALIGN, MR_LOG_HEAD_BYTES);
	if (!log->slots || !log->head_page)
		return -ENOMEM;
	return mr_log_ring_map(log->ring_bytes, &log->ring);
}

// A start with fewer workers, or with smaller sizes, has to go on with what there is.
static uint64_t size_log(struct mr_log *log, const struct mr_log_options *o)
{
	uint64_t ring_bytes = o->ring_bytes ? o->ring_bytes : MR_LOG_RING_BYTES;
	uint64_t file_bytes = log->store->options.file_bytes, least, least_ring;

	log->ring_bytes = ring_bytes;
	MR_ASSERT(log->ring_bytes >= RING_BYTES_MIN && mr_is_pow2(log->ring_bytes));
	log->record_bytes_max = o->record_bytes_max;
	if (!log->record_bytes_max)
		log->record_bytes_max =
			(uint32_t)MR_MIN((uint64_t)MR_LOG_RECORD_BYTES, file_bytes / 2);
	least_bytes(log, &least, &least_ring);
	while (log->ring_bytes < least_ring)
		log->ring_bytes *= 2;
	if (least > file_bytes || log->ring_bytes > ring_bytes)
		mr_note(MR_NOTE_WARN, "log",
			"event=larger file_bytes=%llu ring_bytes=%llu checkpoint_bytes=%llu",
			(unsigned long long)MR_MAX(file_bytes, larger_file(log, least)),
			(unsigned long long)log->ring_bytes,
			(unsigned long long)checkpoint_bytes(log));
	return larger_file(log, least);
}

int mr_log_open(struct mr_log **out, struct mr_log_store *store, const struct mr_log_options *o)
{
	struct mr_log *log = (struct mr_log *)calloc(1, sizeof(*log));
	struct mr_log_file *f;
	uint64_t file_bytes;
	bool disk_full = false;
	int rc;

	if (!log)
		return -ENOMEM;
	log->store = store;
	log->io = o->io;
	log->clock = store->options.clock;
	log->events = o->events;
	log->keep = UINT64_MAX;
	log->index_before = MR_LOG_NO_LSN;
	file_bytes = size_log(log, o);
	rc = alloc_log(log);
	if (!rc)
		rc = mr_log_store_open_log(store, 4 * checkpoint_bytes(log), file_bytes, &log->id);
	if (rc)
		goto free;
	f = mr_log_store_take(store, log->id, &disk_full);
	if (!f) {
		rc = disk_full ? -ENOSPC : -EIO;
		mr_log_store_abandon(store, log->id);
		goto free;
	}
	add_file(log, f);
	log->buffer = mr_io_buffer_add(log->io, log->ring, 2 * log->ring_bytes);
	*out = log;
	return 0;
free:
	free_log(log);
	return rc;
}

// Until all is durable, the log has stopped, or there is no file to go on in.
static void drain(struct mr_log *log)
{
	while (!log->state && log->durable < log->head) {
		mr_log_pump(log);
		if (log->in_flight || log->head_in_flight) {
			if (mr_io_wait(log->io) < 0)
				return;
		} else if (log->failed && mr_log_store_work(log->store) <= 0) {
			return;
		}
	}
}

static void wait_in_flight(struct mr_log *log)
{
	while ((log->in_flight || log->head_in_flight) && log->io->in_flight)
		if (mr_io_wait(log->io) < 0)
			return;
}

int mr_log_close(struct mr_log *log)
{
	struct mr_log_file *f;
	int rc;

	if (log->reserved)
		mr_log_abort(log);
	if (!log->state && log->begun && log->head > 0)
		write_index(log);
	drain(log);
	wait_in_flight(log);
	rc = log->durable == log->head ? 0 : log->failed ? log->failed : (int)MR_ERR_STOPPED;
	// Without a durable head it holds nothing, and those behind it never do.
	f = log->files[0];
	if (log->head_done) {
		f->end_lsn = log->durable;
		f->last_checksum = log->checksum_durable;
		if (rc)
			f->index_lsn = MR_LOG_NO_LSN;
		mr_log_store_filled(log->store, f, log->bindings, log->binding_count);
	}
	if (mr_log_store_seal(log->store, log->id, log->durable) && !rc)
		rc = -EIO;
	free_log(log);
	return rc;
}

void mr_log_discard(struct mr_log *log)
{
	wait_in_flight(log);
	mr_log_store_abandon(log->store, log->id);
	free_log(log);
}
