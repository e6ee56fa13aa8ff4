// Writing a file of a long log: frames are laid out in a region of memory, filled from the old
// files in the order in which the batches lie there, sealed, and written.
#include "storage/log_clean_int.h"

#include <errno.h>
#include <stdlib.h>

enum {
	WINDOW_BYTES = 1 << 20,
	WINDOW_GAP = 64 << 10, // read through rather than skipped
	PIECE_BYTES = 1 << 20, // written at once
};

static int grow(uint8_t **at, size_t *max, size_t want)
{
	uint8_t *grown;

	if (want <= *max)
		return 0;
	grown = (uint8_t *)aligned_alloc(MR_IO_ALIGN, mr_round_up(want, MR_IO_ALIGN));
	if (!grown)
		return -ENOMEM;
	free(*at);
	*at = grown;
	*max = mr_round_up(want, MR_IO_ALIGN);
	return 0;
}

static int pace(struct mr_log_copy *c, uint64_t bytes)
{
	return c->cleaner->pace ? c->cleaner->pace(c->cleaner->ctx, bytes) : 0;
}

// ---- reading the old files

static int by_place(const void *a, const void *b)
{
	const struct mr_log_copy_item *x = (const struct mr_log_copy_item *)a;
	const struct mr_log_copy_item *y = (const struct mr_log_copy_item *)b;

	if (x->from->id != y->from->id)
		return x->from->id < y->from->id ? -1 : 1;
	return (x->entry->lsn > y->entry->lsn) - (x->entry->lsn < y->entry->lsn);
}

static uint64_t item_begin(const struct mr_log_copy_item *i)
{
	return mr_log_file_offset(i->from, i->entry->lsn);
}

static uint64_t item_end(const struct mr_log_copy_item *i)
{
	return mr_round_up(item_begin(i) + mr_log_record_bytes(i->entry->bytes), MR_IO_ALIGN);
}

static bool is_whole(const struct mr_log_record *r, const struct mr_log_index_entry *e)
{
	return r->bytes == e->bytes && r->type == MR_LOG_BATCH &&
	       r->base_offset == e->base_offset && r->offset_count == e->offset_count &&
	       r->checksum == mr_log_record_checksum(r);
}

static int take_item(struct mr_log_copy *c, const struct mr_log_copy_item *i, const uint8_t *bytes)
{
	const struct mr_log_record *r = (const struct mr_log_record *)(const void *)bytes;
	struct mr_log_record *to = (struct mr_log_record *)(void *)(c->region + i->to);

	if (!is_whole(r, i->entry)) {
		c->damaged = i->from;
		c->damaged_lsn = i->entry->lsn;
		return MR_ERR_CORRUPT;
	}
	memcpy(to, r, mr_log_record_bytes(r->bytes));
	to->partition_ref = i->ref;
	to->checksum = mr_log_record_checksum(to);
	c->bytes_copied += mr_log_record_bytes(r->bytes);
	return 0;
}

// Open for this read only, so that a job of many files needs no more descriptors than one of few.
static int read_file(struct mr_log_copy *c, struct mr_log_file *from, uint64_t at, size_t bytes)
{
	int rc;

	pthread_mutex_lock(&c->store->lock);
	mr_log_file_pin(from);
	pthread_mutex_unlock(&c->store->lock);
	rc = mr_log_file_open(c->store, from);
	if (!rc)
		rc = mr_file_read(from->file, at, c->window, bytes);
	mr_log_file_unpin(c->store, from);
	return rc;
}

// Reads one window, which begins with items[first], and takes what lies in it. Returns how many.
static int read_window(struct mr_log_copy *c, size_t first)
{
	const struct mr_log_copy_item *i = &c->items[first];
	uint64_t begin = item_begin(i) & ~(uint64_t)(MR_IO_ALIGN - 1), end = item_end(i);
	size_t count = 1;
	int rc;

	while (first + count < c->item_count && i[count].from == i->from &&
		item_begin(&i[count]) <= end + WINDOW_GAP &&
		item_end(&i[count]) - begin <= WINDOW_BYTES)
		end = item_end(&i[count++]);
	rc = grow(&c->window, &c->window_max, end - begin);
	if (!rc)
		rc = read_file(c, i->from, begin, end - begin);
	if (rc >= 0 && (uint64_t)rc < end - begin) {
		// A file may end behind its last frame, but not before it.
		memset(c->window + rc, 0, end - begin - (uint64_t)rc);
		rc = 0;
	}
	if (rc >= 0)
		rc = pace(c, end - begin);
	for (size_t k = 0; k < count && rc >= 0; k++)
		rc = take_item(c, &i[k], c->window + (item_begin(&i[k]) - begin));
	return rc < 0 ? rc : rc > 0 ? -ECANCELED : (int)count;
}

static int fill_region(struct mr_log_copy *c)
{
	size_t done = 0;

	if (c->item_count)
		qsort(c->items, c->item_count, sizeof(*c->items), by_place);
	while (done < c->item_count) {
		int rc = read_window(c, done);

		if (rc < 0)
			return rc;
		done += (size_t)rc;
	}
	c->item_count = 0;
	return 0;
}

// ---- writing the new one

static struct mr_log_frame *frame_at(struct mr_log_copy *c, size_t at)
{
	return (struct mr_log_frame *)(void *)(c->region + at);
}

static void frame_close(struct mr_log_copy *c)
{
	size_t end = mr_round_up(c->region_used, MR_IO_ALIGN);
	struct mr_log_file *f = c->file;

	if (!c->frame_records)
		return;
	*frame_at(c, c->frame) = (struct mr_log_frame){
		.magic = MR_LOG_FRAME_MAGIC,
		.version = MR_LOG_VERSION,
		.type = 1,
		.log_id = f->log_id,
		.lsn = c->region_lsn + c->frame,
		.incarnation = f->incarnation,
		.durable_lsn = f->first_lsn,
		.bytes = (uint32_t)(c->region_used - c->frame - sizeof(struct mr_log_frame)),
		.records = c->frame_records,
	};
	memset(c->region + c->region_used, 0, end - c->region_used);
	c->region_used = end;
	c->frame_records = 0;
}

static int write_pieces(struct mr_log_copy *c)
{
	uint64_t offset = mr_log_file_offset(c->file, c->region_lsn);
	int rc = 0;

	for (size_t at = 0, n; at < c->region_used && !rc; at += n) {
		n = MR_MIN((size_t)PIECE_BYTES, c->region_used - at);
		rc = mr_file_write(c->file->file, offset + at, c->region + at, n);
		if (!rc && pace(c, n))
			rc = -ECANCELED;
	}
	// A little at a time, so that a flush of a commit never finds much in front of it.
	return rc ? rc : mr_file_sync(c->file->file);
}

static int flush_region(struct mr_log_copy *c)
{
	int rc;

	frame_close(c);
	rc = fill_region(c);
	if (rc)
		return rc;
	for (size_t at = 0; at < c->region_used;) {
		struct mr_log_frame *f = frame_at(c, at);

		f->previous = c->checksum;
		mr_log_frame_seal(f);
		c->checksum = f->checksum;
		at += mr_log_frame_bytes(f->bytes);
	}
	rc = write_pieces(c);
	c->region_lsn += c->region_used;
	c->region_used = 0;
	return rc;
}

// Room for a record of so many bytes with its header, in the open frame or a new one.
static int place(struct mr_log_copy *c, uint64_t record_bytes, size_t *at)
{
	uint64_t need = mr_log_frame_bytes(record_bytes);
	int rc = 0;

	if (c->frame_records && c->region_used + record_bytes > c->frame + MR_LOG_COMMIT_BYTES)
		frame_close(c);
	if (c->region_used + need > c->region_max)
		rc = flush_region(c);
	if (!rc)
		rc = grow(&c->region, &c->region_max,
			MR_MAX(need, (uint64_t)MR_LOG_CLEAN_REGION_BYTES));
	if (rc)
		return rc;
	if (!c->frame_records) {
		c->frame = c->region_used;
		c->region_used += sizeof(struct mr_log_frame);
	}
	c->frame_records++;
	*at = c->region_used;
	c->region_used += record_bytes;
	return 0;
}

// A record of the log's own, of a head and items that follow it.
static int put_record(
	struct mr_log_copy *c, uint16_t type, struct mr_span head, struct mr_span items)
{
	uint64_t bytes = head.bytes + items.bytes;
	struct mr_log_record *r;
	size_t at;
	int rc = place(c, mr_log_record_bytes((uint32_t)bytes), &at);

	if (rc)
		return rc;
	r = (struct mr_log_record *)(void *)(c->region + at);
	memset(r, 0, mr_log_record_bytes((uint32_t)bytes));
	*r = (struct mr_log_record){
		.type = type, .bytes = (uint32_t)bytes, .partition_ref = MR_LOG_NO_PARTITION};
	if (head.bytes)
		memcpy(mr_log_payload(r), head.data, head.bytes);
	if (items.bytes)
		memcpy(mr_log_payload(r) + head.bytes, items.data, items.bytes);
	r->checksum = mr_log_record_checksum(r);
	return 0;
}

int mr_log_copy_begin(struct mr_log_copy *c)
{
	int rc = 0;

	c->region_lsn = c->file->first_lsn;
	c->checksum = c->file->previous;
	for (size_t i = 0, n; i < c->binding_count && !rc; i += n) {
		n = MR_MIN((size_t)MR_LOG_INDEX_ITEMS, c->binding_count - i);
		rc = put_record(c, MR_LOG_PARTITION, mr_span(NULL, 0),
			mr_span(c->bindings + i, n * sizeof(*c->bindings)));
	}
	return rc;
}

static int items_room(struct mr_log_copy *c)
{
	size_t max = MR_MAX((size_t)1024, c->item_max * 2);
	void *grown;

	if (c->item_count < c->item_max)
		return 0;
	grown = realloc(c->items, max * sizeof(*c->items));
	if (!grown)
		return -ENOMEM;
	c->items = (struct mr_log_copy_item *)grown;
	c->item_max = max;
	return 0;
}

int mr_log_copy_batch(struct mr_log_copy *c, struct mr_log_file *from,
	const struct mr_log_index_entry *e, uint32_t ref)
{
	const struct mr_log_record r = {
		.partition_ref = ref,
		.bytes = e->bytes,
		.base_offset = e->base_offset,
		.max_timestamp_ms = e->max_timestamp_ms,
		.offset_count = e->offset_count,
	};
	size_t at;
	int rc = place(c, mr_log_record_bytes(e->bytes), &at);

	if (!rc)
		rc = items_room(c);
	if (!rc)
		rc = mr_log_entry_add(c->file, &r, c->region_lsn + at);
	if (!rc)
		c->items[c->item_count++] = (struct mr_log_copy_item){from, e, at, ref};
	return rc;
}

static int put_index(
	struct mr_log_copy *c, size_t binding, size_t bindings, size_t entry, size_t entries)
{
	const struct mr_log_index_head head = {(uint32_t)bindings, (uint32_t)entries};
	struct mr_span items =
		bindings ? mr_span(c->bindings + binding, bindings * sizeof(*c->bindings))
			 : mr_span(c->file->entries + entry, entries * sizeof(*c->file->entries));
	int rc = put_record(c, MR_LOG_INDEX, mr_span(&head, sizeof(head)), items);

	frame_close(c);
	return rc;
}

static int write_head(struct mr_log_copy *c)
{
	int rc = grow(&c->window, &c->window_max, MR_LOG_HEAD_BYTES);

	if (rc)
		return rc;
	memset(c->window, 0, MR_LOG_HEAD_BYTES);
	mr_log_head_make((struct mr_log_head *)(void *)c->window, c->file, MR_LOG_NO_LSN);
	rc = mr_file_write(c->file->file, 0, c->window, MR_LOG_HEAD_BYTES);
	return rc ? rc : mr_file_sync(c->file->file);
}

int mr_log_copy_end(struct mr_log_copy *c)
{
	struct mr_log_file *f = c->file;
	int rc = 0;

	frame_close(c);
	f->index_lsn = c->region_lsn + c->region_used;
	for (size_t i = 0, n; i < c->binding_count && !rc; i += n) {
		n = MR_MIN((size_t)MR_LOG_INDEX_ITEMS, c->binding_count - i);
		rc = put_index(c, i, n, 0, 0);
	}
	for (size_t i = 0, n; i < f->entry_count && !rc; i += n) {
		n = MR_MIN((size_t)MR_LOG_INDEX_ITEMS, f->entry_count - i);
		rc = put_index(c, 0, 0, i, n);
	}
	if (!rc)
		rc = flush_region(c);
	f->end_lsn = c->region_lsn;
	f->last_checksum = c->checksum;
	f->bytes = f->disk_bytes = mr_log_file_offset(f, f->end_lsn);
	return rc ? rc : write_head(c);
}

void mr_log_copy_fini(struct mr_log_copy *c)
{
	free(c->bindings);
	free(c->parts);
	free(c->region);
	free(c->items);
	free(c->window);
}
