// Writing a segment: dictionaries, then column by column its blocks, then footer and trailer.
//
// A column's blocks lie behind one another, so that a scan of few columns reads long runs. The
// dictionary of a column is built first, over all its blocks; when strings turn out to be too many
// for one to pay, the column is stored as plain strings. Sources are asked for one column of one
// block at a time, so what a writer holds does not grow with the rows, but for four bytes each (the
// codes of one column).
#include "host/base/hash.h"
#include "storage/segment_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// What is written is flushed in steps, so that no flush of the log waits behind a whole segment.
enum { WRITE_BYTES = 1 << 20, SYNC_BYTES = 8 << 20, DICT_SLOTS = 4 * 65536 };

// Buffers of usual blocks are kept; larger ones are given back with the block.
enum { KEEP_BYTES = 4 << 20 };

// What the coder and the compression context take, and a footer.
enum { CODER_BYTES = 3 * MR_ENCODE_ROWS_MAX * 8, ZSTD_BYTES = 4 << 20, FOOTER_BYTES = 8 << 20 };

// Strings of one column, by code. Entry 0 is the empty string, which null rows name.
struct dict {
	struct mr_str *entries; // in `heap`
	uint8_t *heap;
	uint32_t count;
	size_t bytes;
	uint32_t *slots; // code, 0 = free
	uint32_t *map;   // of a block's own codes to these, UINT32_MAX = not seen
	bool used;
};

struct mr_segment_writer {
	struct mr_disk *disk;
	struct mr_zip *zip;
	struct mr_coder coder;
	struct dict dict;
	uint32_t *codes; // of all rows of the column being written
	size_t codes_max;
	struct mr_buf raw;    // a block before compression
	struct mr_buf packed; // and after
	struct mr_buf pending;
	struct mr_file *file;
	uint64_t at;     // in the file: of pending's end
	uint64_t synced; // up to where the file was flushed
	uint64_t raw_bytes;
	size_t bytes_peak; // of memory
	int level;
};

void mr_segment_name(uint64_t id, char out[MR_SEGMENT_NAME_BYTES])
{
	snprintf(out, MR_SEGMENT_NAME_BYTES, "seg/%016llx.seg", (unsigned long long)id);
}

int mr_segment_writer_create(struct mr_disk *disk, struct mr_segment_writer **out)
{
	struct mr_segment_writer *w = calloc(1, sizeof(*w));
	int rc = w ? mr_coder_init(&w->coder) : -ENOMEM;

	if (rc == 0)
		rc = mr_zip_create(&w->zip);
	if (rc == 0) {
		w->disk = disk;
		w->level = MR_SEGMENT_LEVEL_FAST;
		w->dict.heap = malloc(MR_SEGMENT_DICT_BYTES);
		w->dict.entries = malloc(MR_SEGMENT_DICT_ENTRIES * sizeof(*w->dict.entries));
		w->dict.slots = malloc(DICT_SLOTS * sizeof(*w->dict.slots));
		w->dict.map = malloc(MR_ENCODE_ROWS_MAX * sizeof(*w->dict.map));
		if (!w->dict.heap || !w->dict.entries || !w->dict.slots || !w->dict.map)
			rc = -ENOMEM;
	}
	if (rc < 0) {
		mr_segment_writer_destroy(w);
		return rc;
	}
	*out = w;
	return 0;
}

void mr_segment_writer_destroy(struct mr_segment_writer *w)
{
	if (!w)
		return;
	mr_coder_fini(&w->coder);
	if (w->zip)
		mr_zip_destroy(w->zip);
	free(w->dict.heap);
	free(w->dict.entries);
	free(w->dict.slots);
	free(w->dict.map);
	free(w->codes);
	mr_buf_fini(&w->raw);
	mr_buf_fini(&w->packed);
	mr_buf_fini(&w->pending);
	free(w);
}

void mr_segment_writer_level(struct mr_segment_writer *w, int level)
{
	w->level = level;
}

size_t mr_segment_writer_bytes(const struct mr_segment_writer *w)
{
	return MR_SEGMENT_DICT_BYTES + MR_SEGMENT_DICT_ENTRIES * sizeof(*w->dict.entries) +
	       DICT_SLOTS * sizeof(*w->dict.slots) + w->codes_max * sizeof(*w->codes) +
	       w->raw.bytes_max + w->packed.bytes_max + w->pending.bytes_max;
}

size_t mr_segment_writer_bytes_peak(const struct mr_segment_writer *w)
{
	return w->bytes_peak;
}

size_t mr_segment_writer_bytes_max(uint64_t rows, size_t block_bytes)
{
	// Beside the strings there are their lengths, and what a buffer had before it grew. What is
	// compressed is no larger.
	size_t raw = block_bytes + 2 * KEEP_BYTES;

	return MR_SEGMENT_DICT_BYTES + MR_SEGMENT_DICT_ENTRIES * sizeof(struct mr_str) +
	       (DICT_SLOTS + MR_ENCODE_ROWS_MAX) * sizeof(uint32_t) + rows * sizeof(uint32_t) +
	       2 * raw + 2 * 2 * WRITE_BYTES + CODER_BYTES + ZSTD_BYTES + FOOTER_BYTES;
}

// One column of one block.
static int source_column(
	const struct mr_segment_source *s, uint32_t column, uint32_t block, struct mr_col *out)
{
	if (s->read)
		return s->read(s->ctx, column, block, out);
	*out = s->blocks[block].columns[column];
	return 0;
}

// ---- dictionaries

static void dict_reset(struct dict *d)
{
	memset(d->slots, 0, DICT_SLOTS * sizeof(*d->slots));
	d->entries[0] = (struct mr_str){.data = (const uint8_t *)""};
	d->count = 1;
	d->bytes = 0;
}

// The code of a string, or UINT32_MAX when the dictionary is full.
static uint32_t dict_code(struct dict *d, struct mr_str s)
{
	uint32_t i, code;

	if (s.bytes == 0)
		return 0;
	i = (uint32_t)mr_hash_bytes(s.data, s.bytes) & (DICT_SLOTS - 1);
	for (; (code = d->slots[i]); i = (i + 1) & (DICT_SLOTS - 1))
		if (d->entries[code].bytes == s.bytes &&
			memcmp(d->entries[code].data, s.data, s.bytes) == 0)
			return code;
	if (d->count == MR_SEGMENT_DICT_ENTRIES || d->bytes + s.bytes > MR_SEGMENT_DICT_BYTES)
		return UINT32_MAX;
	memcpy(d->heap + d->bytes, s.data, s.bytes);
	d->entries[d->count] = (struct mr_str){.data = d->heap + d->bytes, .bytes = s.bytes};
	d->bytes += s.bytes;
	d->slots[i] = d->count;
	return d->count++;
}

// A block's codes; each of its own codes is looked up once. False: the dictionary is full.
static bool dict_block(struct dict *d, const struct mr_col *col, uint32_t rows, uint32_t *codes)
{
	if (col->codes)
		memset(d->map, 0xff, col->dict->count * sizeof(*d->map));
	for (uint32_t i = 0; i < rows; i++) {
		uint32_t *known = col->codes ? &d->map[col->codes[i]] : &codes[i];

		if (mr_col_is_null(col, i)) {
			codes[i] = 0;
			continue;
		}
		if (!col->codes || *known == UINT32_MAX)
			*known = dict_code(d, mr_col_str(col, i));
		codes[i] = *known;
		if (codes[i] == UINT32_MAX)
			return false;
	}
	return true;
}

// Codes of all rows of the column into w->codes. 1; 0: not worth a dictionary; negative: the source
// failed.
static int dict_build(
	struct mr_segment_writer *w, const struct mr_segment_source *s, uint32_t column)
{
	uint32_t *codes = w->codes;
	uint64_t rows = 0;

	dict_reset(&w->dict);
	for (uint32_t b = 0; b < s->blocks_count; b++) {
		struct mr_col col;
		int rc = source_column(s, column, b, &col);

		if (rc < 0)
			return rc;
		if (!dict_block(&w->dict, &col, s->blocks[b].rows, codes))
			return 0;
		codes += s->blocks[b].rows;
		rows += s->blocks[b].rows;
		// A column of mostly distinct strings shows in its first block.
		if (rows >= 1024 && w->dict.count > rows / 2)
			return 0;
	}
	return rows && w->dict.count <= rows / 2 + 1;
}

// ---- the file

static int flush(struct mr_segment_writer *w)
{
	int rc = w->pending.failed ? -ENOMEM : 0;

	if (rc == 0 && w->pending.bytes)
		rc = mr_file_write(
			w->file, w->at - w->pending.bytes, w->pending.data, w->pending.bytes);
	mr_buf_reset(&w->pending);
	if (rc == 0 && w->at - w->synced >= SYNC_BYTES) {
		rc = mr_file_sync(w->file);
		w->synced = w->at;
	}
	return rc;
}

// Large blocks are written from where they are.
static int put_large(struct mr_segment_writer *w, const void *data, size_t bytes)
{
	int rc = flush(w);

	if (rc == 0)
		rc = mr_file_write(w->file, w->at, data, bytes);
	w->at += bytes;
	return rc;
}

static int put(struct mr_segment_writer *w, const void *data, size_t bytes)
{
	if (bytes >= WRITE_BYTES)
		return put_large(w, data, bytes);
	mr_buf_add(&w->pending, data, bytes);
	w->at += bytes;
	return w->pending.bytes >= WRITE_BYTES || w->pending.failed ? flush(w) : 0;
}

// Compresses `raw` into w->packed where that saves a twentieth.
static struct mr_span squeeze(struct mr_segment_writer *w, struct mr_span raw, bool *zstd)
{
	size_t most = raw.bytes - raw.bytes / 20;
	int n;

	*zstd = false;
	mr_buf_reset(&w->packed);
	// Not twice what it had.
	if (most > w->packed.bytes_max)
		mr_buf_fini(&w->packed);
	if (raw.bytes < 64 || raw.bytes > MR_ZIP_BYTES_MAX || !mr_buf_room(&w->packed, most))
		return raw;
	n = mr_zip_compress(w->zip, MR_CODEC_ZSTD, w->level, raw, w->packed.data, most);
	if (n < 0)
		return raw;
	*zstd = true;
	return mr_span(w->packed.data, (size_t)n);
}

// Writes w->raw as one block.
static int put_block(struct mr_segment_writer *w, struct mr_segment_block *b)
{
	struct mr_span stored;
	int rc;

	if (w->raw.failed)
		return -ENOMEM;
	if (w->raw.bytes > MR_ZIP_BYTES_MAX)
		return MR_ERR_LIMIT;
	stored = squeeze(w, mr_buf_span(&w->raw), &b->zstd);
	b->at = w->at;
	b->bytes = (uint32_t)stored.bytes;
	b->raw_bytes = (uint32_t)w->raw.bytes;
	b->checksum = mr_checksum(stored.data, stored.bytes);
	w->bytes_peak = MR_MAX(w->bytes_peak, mr_segment_writer_bytes(w));
	rc = put(w, stored.data, stored.bytes);
	if (w->raw.bytes_max > KEEP_BYTES)
		mr_buf_fini(&w->raw);
	if (w->packed.bytes_max > KEEP_BYTES)
		mr_buf_fini(&w->packed);
	return rc;
}

static int put_dict(struct mr_segment_writer *w, struct mr_segment_column_info *c)
{
	const struct mr_col entries = {
		.type = {MR_TYPE_BYTEA, 0, 0}, .phys = MR_PHYS_BYTES, .values = w->dict.entries};

	c->dict_count = w->dict.count;
	mr_buf_reset(&w->raw);
	mr_column_encode(&w->coder, &entries, NULL, w->dict.count, &w->raw, &c->dict.stats);
	c->dict.stats = (struct mr_block_stats){0};
	return put_block(w, &c->dict);
}

// What the values take in memory, without what holds them together.
static uint64_t value_bytes(const struct mr_col *col, uint32_t rows)
{
	uint64_t bytes = 0;

	if (col->phys != MR_PHYS_BYTES)
		return (uint64_t)rows * mr_phys_bytes((enum mr_phys)col->phys);
	for (uint32_t i = 0; i < rows; i++)
		bytes += mr_col_is_null(col, i) ? 0 : mr_col_str(col, i).bytes;
	return bytes;
}

static int put_column(struct mr_segment_writer *w, const struct mr_segment_source *s,
	uint32_t column, struct mr_segment_section_info *info)
{
	struct mr_segment_column_info *c = &info->columns[column];
	const uint32_t *codes = NULL;
	int rc = 0;

	c->column = s->columns[column];
	if (mr_type_phys(c->column.type) == MR_PHYS_BYTES)
		rc = dict_build(w, s, column);
	if (rc == 1) {
		codes = w->codes;
		rc = put_dict(w, c);
	}
	for (uint32_t b = 0; rc == 0 && b < s->blocks_count; b++) {
		struct mr_segment_block *to = &info->blocks[column * s->blocks_count + b];
		uint32_t rows = s->blocks[b].rows;
		struct mr_col col;

		rc = source_column(s, column, b, &col);
		if (rc < 0)
			break;
		mr_buf_reset(&w->raw);
		mr_column_encode(&w->coder, &col, codes, rows, &w->raw, &to->stats);
		w->raw_bytes += value_bytes(&col, rows);
		rc = put_block(w, to);
		if (codes)
			codes += rows;
	}
	return rc;
}

static int put_section(struct mr_segment_writer *w, const struct mr_segment_source *s,
	struct mr_segment_section_info *info)
{
	int rc = 0;

	info->columns_count = s->columns_count;
	info->blocks_count = s->blocks_count;
	info->columns = calloc(s->columns_count + 1, sizeof(*info->columns));
	info->block_rows = calloc(s->blocks_count + 1, sizeof(*info->block_rows));
	info->blocks =
		calloc((size_t)s->columns_count * s->blocks_count + 1, sizeof(*info->blocks));
	if (!info->columns || !info->block_rows || !info->blocks)
		return -ENOMEM;
	for (uint32_t b = 0; b < s->blocks_count; b++) {
		MR_ASSERT(s->blocks[b].rows > 0 && s->blocks[b].rows <= MR_ENCODE_ROWS_MAX);
		info->block_rows[b] = s->blocks[b].rows;
		info->rows += s->blocks[b].rows;
	}
	if (info->rows > w->codes_max) {
		free(w->codes);
		w->codes_max = info->rows;
		w->codes = malloc(info->rows * sizeof(*w->codes));
		if (!w->codes) {
			w->codes_max = 0;
			return -ENOMEM;
		}
	}
	for (uint32_t c = 0; rc == 0 && c < s->columns_count; c++)
		rc = put_column(w, s, c, info);
	return rc;
}

uint64_t mr_segment_fingerprint(const struct mr_segment_column *columns, uint32_t count)
{
	uint64_t h = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct mr_segment_column *c = &columns[i];
		uint64_t type = (uint64_t)c->type.type << 16 | (uint64_t)c->type.precision << 8 |
				c->type.scale;

		h = mr_hash64(h ^ c->id, MR_HASH_SEED);
		h = mr_hash64(h ^ type, MR_HASH_SEED);
	}
	return h;
}

static int put_head(struct mr_segment_writer *w, const struct mr_segment_info *info)
{
	struct mr_segment_head h = {.magic = MR_SEGMENT_MAGIC,
		.version = MR_SEGMENT_VERSION,
		.id = info->id,
		.table_id = info->table_id,
		.fingerprint = info->fingerprint};

	h.checksum = mr_checksum(&h.magic, sizeof(h) - sizeof(h.checksum));
	return put(w, &h, sizeof(h));
}

static int put_footer(struct mr_segment_writer *w, const struct mr_segment_footer *f,
	struct mr_segment_info *info)
{
	struct mr_segment_block b = {0};
	struct mr_segment_trailer t = {.magic = MR_SEGMENT_TRAILER_MAGIC, .id = info->id};
	int rc;

	mr_buf_reset(&w->raw);
	mr_segment_footer_save(&w->raw, f);
	rc = put_block(w, &b);
	// A footer is compressed exactly when its two sizes differ.
	MR_ASSERT(rc < 0 || b.zstd == (b.bytes != b.raw_bytes));
	t.footer_at = info->footer_at = b.at;
	t.footer_bytes = info->footer_bytes = b.bytes;
	t.footer_raw_bytes = info->footer_raw_bytes = b.raw_bytes;
	t.footer_checksum = info->footer_checksum = b.checksum;
	t.checksum = mr_checksum(&t.magic, sizeof(t) - sizeof(t.checksum));
	if (rc == 0)
		rc = put(w, &t, sizeof(t));
	if (rc == 0)
		rc = flush(w);
	info->file_bytes = w->at;
	return rc;
}

// Widens `info`'s times by a block's bounds of a column. False: some row has none there.
static bool note_times(const struct mr_segment_section_info *s, uint32_t column, uint32_t block,
	struct mr_segment_info *info)
{
	const struct mr_block_stats *b;

	if (column == MR_SEGMENT_NO_COLUMN)
		return false;
	b = &s->blocks[column * s->blocks_count + block].stats;
	if (b->has_bounds) {
		info->time_min = MR_MIN(info->time_min, b->min.i);
		info->time_max = MR_MAX(info->time_max, b->max.i);
	}
	return b->nulls == 0;
}

static void fill_info(struct mr_segment_writer *w,
	const struct mr_segment_source sections[MR_SEGMENT_SECTIONS],
	const struct mr_segment_footer *f, struct mr_segment_info *info)
{
	info->rows = f->sections[MR_SEGMENT_ROWS].rows;
	info->dead_rows = f->sections[MR_SEGMENT_DEAD].rows;
	info->raw_bytes = w->raw_bytes;
	info->level = (uint16_t)w->level;
	info->time_min = INT64_MAX;
	info->time_max = INT64_MIN;
	for (int i = 0; i < MR_SEGMENT_SECTIONS; i++)
		for (uint32_t b = 0; b < sections[i].blocks_count; b++)
			if (!note_times(&f->sections[i], sections[i].time_column, b, info))
				note_times(&f->sections[i], sections[i].time_fallback, b, info);
}

static int write_all(struct mr_segment_writer *w,
	const struct mr_segment_source sections[MR_SEGMENT_SECTIONS], struct mr_segment_info *info)
{
	struct mr_segment_footer *f = calloc(1, sizeof(*f));
	int rc = f ? put_head(w, info) : -ENOMEM;

	for (int i = 0; rc == 0 && i < MR_SEGMENT_SECTIONS; i++)
		rc = put_section(w, &sections[i], &f->sections[i]);
	if (rc == 0)
		rc = put_footer(w, f, info);
	if (rc == 0)
		fill_info(w, sections, f, info);
	mr_segment_footer_destroy(f);
	return rc;
}

int mr_segment_write(struct mr_segment_writer *w,
	const struct mr_segment_source sections[MR_SEGMENT_SECTIONS], struct mr_segment_info *info)
{
	char name[MR_SEGMENT_NAME_BYTES];
	int rc;

	mr_segment_name(info->id, name);
	info->fingerprint = mr_segment_fingerprint(
		sections[MR_SEGMENT_ROWS].columns, sections[MR_SEGMENT_ROWS].columns_count);
	w->at = w->synced = w->raw_bytes = 0;
	mr_buf_reset(&w->pending);
	rc = mr_file_open(w->disk, name, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_EXCL, &w->file);
	if (rc < 0)
		return rc;
	rc = write_all(w, sections, info);
	if (rc == 0)
		rc = mr_file_sync(w->file);
	mr_file_close(w->file);
	w->file = NULL;
	if (rc == 0)
		rc = mr_disk_sync_dir(w->disk, "seg");
	if (rc < 0)
		(void)!mr_disk_unlink(w->disk, name);
	return rc;
}
