// Reading segments: heads and footers once, blocks as they are asked for, everything verified.
#include "host/base/hash.h"
#include "storage/footer_cache.h"
#include "storage/segment_int.h"

#include <errno.h>
#include <stdlib.h>

// ---- the shared part

int mr_segment_create(
	struct mr_disk *disk, const struct mr_segment_info *info, struct mr_segment **out)
{
	struct mr_segment *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->info = *info;
	s->disk = disk;
	atomic_init(&s->references, 1);
	pthread_mutex_init(&s->lock, NULL);
	*out = s;
	return 0;
}

struct mr_segment *mr_segment_get(struct mr_segment *s)
{
	atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
	return s;
}

void mr_segment_put(struct mr_segment *s)
{
	char name[MR_SEGMENT_NAME_BYTES];

	if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
		return;
	mr_segment_name(s->info.id, name);
	// A file that stays behind is removed at the next start.
	if (atomic_load_explicit(&s->dropped, memory_order_acquire))
		(void)!mr_disk_unlink(s->disk, name);
	mr_footer_drop(s);
	pthread_mutex_destroy(&s->lock);
	free(s->info.ranges);
	free(s);
}

// ---- the reader

// A column being read: its bytes, and what they were decoded into.
struct slot {
	uint32_t column;
	struct mr_buf stored;
	struct mr_buf raw; // strings borrow from it
	struct mr_buf dict_stored;
	struct mr_buf dict_raw;
	struct mr_str *entries;
	struct mr_dict dict;
	struct mr_column_out out;
	uint32_t out_bytes; // of a row that `values` has room for
};

struct mr_segment_reader {
	struct mr_coder coder;
	struct mr_zip *zip;
	struct mr_segment *segment;
	struct mr_file *file;
	const struct mr_segment_section_info *section;
	uint32_t columns_max;
	uint32_t columns_count;
	struct slot *slots;
	struct mr_col *cols;
	size_t bytes;             // of memory held besides the buffers
	struct mr_budget *budget; // of both; NULL: none
};

int mr_segment_reader_create(uint32_t columns_max, struct mr_segment_reader **out)
{
	struct mr_segment_reader *r = calloc(1, sizeof(*r));
	int rc = r ? mr_coder_init(&r->coder) : -ENOMEM;

	if (rc == 0)
		rc = mr_zip_create(&r->zip);
	if (rc == 0) {
		r->columns_max = columns_max;
		r->slots = calloc(columns_max + 1, sizeof(*r->slots));
		r->cols = calloc(columns_max + 1, sizeof(*r->cols));
		r->bytes = 3 * MR_ENCODE_ROWS_MAX * sizeof(int64_t) + MR_ZIP_IDLE_BYTES;
		if (!r->slots || !r->cols)
			rc = -ENOMEM;
	}
	if (rc < 0) {
		mr_segment_reader_destroy(r);
		return rc;
	}
	*out = r;
	return 0;
}

bool mr_segment_reader_budget(struct mr_segment_reader *r, struct mr_budget *budget)
{
	if (!mr_budget_take(budget, r->bytes))
		return false;
	r->budget = budget;
	for (uint32_t i = 0; i < r->columns_max; i++) {
		struct slot *s = &r->slots[i];

		s->stored.budget = s->raw.budget = budget;
		s->dict_stored.budget = s->dict_raw.budget = budget;
	}
	return true;
}

// Memory beside the buffers, or NULL.
static void *take(struct mr_segment_reader *r, size_t bytes)
{
	void *p;

	if (!mr_budget_take(r->budget, bytes))
		return NULL;
	p = aligned_alloc(MR_COL_ALIGN, mr_round_up(bytes, MR_COL_ALIGN));
	if (!p)
		mr_budget_give(r->budget, bytes);
	else
		r->bytes += bytes;
	return p;
}

static void give(struct mr_segment_reader *r, void *p, size_t bytes)
{
	if (!p)
		return;
	free(p);
	mr_budget_give(r->budget, bytes);
	r->bytes -= bytes;
}

static void slot_fini(struct slot *s)
{
	mr_buf_fini(&s->stored);
	mr_buf_fini(&s->raw);
	mr_buf_fini(&s->dict_stored);
	mr_buf_fini(&s->dict_raw);
	free(s->entries);
	free(s->out.values);
	free(s->out.codes);
	free(s->out.valid);
}

static void leave(struct mr_segment_reader *r)
{
	mr_file_close(r->file);
	r->file = NULL;
	if (r->section)
		mr_footer_unpin(r->segment);
	mr_segment_put(r->segment);
	r->segment = NULL;
	r->section = NULL;
}

void mr_segment_reader_destroy(struct mr_segment_reader *r)
{
	if (!r)
		return;
	leave(r);
	for (uint32_t i = 0; r->slots && i < r->columns_max; i++)
		slot_fini(&r->slots[i]);
	mr_coder_fini(&r->coder);
	if (r->zip)
		mr_zip_destroy(r->zip);
	free(r->slots);
	free(r->cols);
	mr_budget_give(r->budget, r->budget ? r->bytes : 0);
	free(r);
}

size_t mr_segment_reader_bytes(const struct mr_segment_reader *r)
{
	size_t bytes = r->bytes;

	for (uint32_t i = 0; i < r->columns_max; i++) {
		const struct slot *s = &r->slots[i];

		bytes += s->stored.bytes_max + s->raw.bytes_max + s->dict_stored.bytes_max +
			 s->dict_raw.bytes_max;
	}
	return bytes;
}

static int damaged(struct mr_segment *s, uint64_t at, const char *what, struct mr_diag *diag)
{
	char name[MR_SEGMENT_NAME_BYTES];

	atomic_store_explicit(&s->damaged, true, memory_order_relaxed);
	mr_segment_name(s->info.id, name);
	return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0, "file \"%s\" offset %llu: %s", name,
		(unsigned long long)at, what);
}

static int cannot_read(struct mr_segment *s, uint64_t at, int rc, struct mr_diag *diag)
{
	char name[MR_SEGMENT_NAME_BYTES];

	if (rc == -ENOENT)
		return damaged(s, at, "the file is missing", diag);
	mr_segment_name(s->info.id, name);
	return mr_diag_set(diag, rc, rc == -ENOMEM ? "53200" : "58030", 0,
		"cannot read file \"%s\" offset %llu: %s", name, (unsigned long long)at,
		mr_err_text(rc));
}

// Reads bytes of the file, with MR_ENCODE_PAD behind them.
static int read_at(struct mr_file *f, uint64_t at, size_t bytes, struct mr_buf *out)
{
	uint8_t *to;
	int rc;

	mr_buf_reset(out);
	to = mr_buf_extend(out, bytes + MR_ENCODE_PAD);
	if (!to)
		return -ENOMEM;
	rc = mr_file_read(f, at, to, bytes);
	if (rc < 0)
		return rc;
	if ((size_t)rc != bytes)
		return MR_ERR_TRUNCATED;
	memset(to + bytes, 0, MR_ENCODE_PAD);
	out->bytes = bytes;
	return 0;
}

// A block's bytes, checked and decompressed; borrowed from the buffers.
static int read_block(struct mr_segment_reader *r, const struct mr_segment_block *b,
	struct mr_buf *stored, struct mr_buf *raw, struct mr_span *out, struct mr_diag *diag)
{
	uint8_t *to;
	int rc = read_at(r->file, b->at, b->bytes, stored);

	if (rc == MR_ERR_TRUNCATED)
		return damaged(r->segment, b->at, "the file ends here", diag);
	if (rc < 0)
		return cannot_read(r->segment, b->at, rc, diag);
	if (mr_checksum(stored->data, b->bytes) != b->checksum)
		return damaged(r->segment, b->at, "checksum of a block is wrong", diag);
	if (!b->zstd) {
		*out = mr_span(stored->data, b->bytes);
		return 0;
	}
	mr_buf_reset(raw);
	to = mr_buf_extend(raw, b->raw_bytes + MR_ENCODE_PAD);
	if (!to)
		return cannot_read(r->segment, b->at, -ENOMEM, diag);
	rc = mr_zip_decompress_into(
		r->zip, MR_CODEC_ZSTD, mr_span(stored->data, b->bytes), to, b->raw_bytes);
	if (rc < 0 || (uint32_t)rc != b->raw_bytes)
		return damaged(r->segment, b->at, "a block does not decompress", diag);
	memset(to + b->raw_bytes, 0, MR_ENCODE_PAD);
	*out = mr_span(to, b->raw_bytes);
	return 0;
}

// ---- head and footer

static int check_ends(struct mr_segment_reader *r, struct mr_segment *s, struct mr_diag *diag)
{
	const struct mr_segment_info *i = &s->info;
	uint64_t trailer_at = i->file_bytes - sizeof(struct mr_segment_trailer);
	struct mr_segment_trailer t;
	struct mr_segment_head h;
	int rc = mr_file_read(r->file, 0, &h, sizeof(h));

	if (rc < 0)
		return cannot_read(s, 0, rc, diag);
	if (rc != sizeof(h) || h.magic != MR_SEGMENT_MAGIC ||
		h.checksum != mr_checksum(&h.magic, sizeof(h) - sizeof(h.checksum)))
		return damaged(s, 0, "no valid head of a segment", diag);
	if (h.version > MR_SEGMENT_VERSION)
		return mr_diag_set(diag, MR_ERR_VERSION, "XX000", 0,
			"segment version %u is newer than this program", h.version);
	if (h.id != i->id || h.table_id != i->table_id || h.fingerprint != i->fingerprint)
		return damaged(s, 0, "the head belongs to another segment", diag);
	rc = mr_file_read(r->file, trailer_at, &t, sizeof(t));
	if (rc < 0)
		return cannot_read(s, trailer_at, rc, diag);
	if (rc != sizeof(t) || t.magic != MR_SEGMENT_TRAILER_MAGIC ||
		t.checksum != mr_checksum(&t.magic, sizeof(t) - sizeof(t.checksum)) ||
		t.id != i->id || t.footer_at != i->footer_at ||
		t.footer_checksum != i->footer_checksum)
		return damaged(s, trailer_at, "no valid trailer", diag);
	return 0;
}

// Pins it.
static int read_footer(struct mr_segment_reader *r, struct mr_segment *s, struct mr_diag *diag)
{
	const struct mr_segment_info *i = &s->info;
	const struct mr_segment_block b = {.at = i->footer_at,
		.bytes = i->footer_bytes,
		.raw_bytes = i->footer_raw_bytes,
		.checksum = i->footer_checksum,
		.zstd = i->footer_bytes != i->footer_raw_bytes};
	struct mr_buf stored = {0}, raw = {0};
	struct mr_segment_footer *f = NULL;
	struct mr_span bytes;
	int rc = check_ends(r, s, diag);

	if (rc == 0)
		rc = read_block(r, &b, &stored, &raw, &bytes, diag);
	if (rc == 0) {
		rc = mr_segment_footer_load(bytes, &f);
		if (rc < 0)
			damaged(s, i->footer_at, "the footer is not one", diag);
	}
	mr_buf_fini(&stored);
	mr_buf_fini(&raw);
	if (rc == 0 && (f->sections[MR_SEGMENT_ROWS].rows != i->rows ||
			       f->sections[MR_SEGMENT_DEAD].rows != i->dead_rows)) {
		mr_segment_footer_destroy(f);
		return damaged(s, i->footer_at, "the footer counts other rows", diag);
	}
	if (rc == 0)
		mr_footer_add(s, f);
	return rc;
}

// ---- columns

static size_t values_bytes(uint32_t width)
{
	return MR_ENCODE_ROWS_MAX * width + MR_COL_PAD;
}

static int slot_room(
	struct mr_segment_reader *r, struct slot *s, struct mr_typeref type, bool codes)
{
	uint32_t width = codes ? 0 : (uint32_t)mr_phys_bytes(mr_type_phys(type));
	size_t bitmap = MR_ENCODE_ROWS_MAX / 8 + MR_COL_PAD;

	if (!s->out.valid)
		s->out.valid = take(r, bitmap);
	if (codes && !s->out.codes)
		s->out.codes = take(r, MR_ENCODE_ROWS_MAX * sizeof(uint32_t) + MR_COL_PAD);
	if (width > s->out_bytes) {
		give(r, s->out.values, values_bytes(s->out_bytes));
		s->out.values = take(r, values_bytes(width));
		s->out_bytes = s->out.values ? width : 0;
	}
	return s->out.valid && (codes ? (void *)s->out.codes : s->out.values) ? 0 : -ENOMEM;
}

static int read_dict(struct mr_segment_reader *r, struct slot *s, struct mr_diag *diag)
{
	const struct mr_segment_column_info *c = &r->section->columns[s->column];
	const struct mr_column_out out = {.values = s->entries, .valid = s->out.valid};
	struct mr_span bytes;
	int rc = read_block(r, &c->dict, &s->dict_stored, &s->dict_raw, &bytes, diag);

	if (rc < 0)
		return rc;
	rc = mr_column_decode(&r->coder, bytes, MR_PHYS_BYTES, 0, c->dict_count, &out);
	if (rc != 0)
		return damaged(r->segment, c->dict.at, "a dictionary does not decode", diag);
	s->dict = (struct mr_dict){s->entries, c->dict_count};
	return 0;
}

static int open_column(struct mr_segment_reader *r, uint32_t index, struct mr_diag *diag)
{
	struct slot *s = &r->slots[index];
	const struct mr_segment_column_info *c;
	int rc;

	if (s->column >= r->section->columns_count)
		return damaged(r->segment, r->segment->info.footer_at, "a column is missing", diag);
	c = &r->section->columns[s->column];
	if (c->dict_count && !s->entries)
		s->entries = take(r, MR_SEGMENT_DICT_ENTRIES * sizeof(*s->entries) + MR_COL_PAD);
	rc = slot_room(r, s, c->column.type, c->dict_count != 0);
	if (rc == 0 && c->dict_count && !s->entries)
		rc = -ENOMEM;
	if (rc < 0)
		return cannot_read(r->segment, 0, rc, diag);
	return c->dict_count ? read_dict(r, s, diag) : 0;
}

int mr_segment_reader_open(struct mr_segment_reader *r, struct mr_segment *s,
	enum mr_segment_section section, const uint32_t *columns, uint32_t columns_count,
	struct mr_diag *diag)
{
	char name[MR_SEGMENT_NAME_BYTES];
	int rc;

	MR_ASSERT(columns_count <= r->columns_max);
	mr_segment_name(s->info.id, name);
	mr_segment_get(s);
	leave(r);
	r->segment = s;
	rc = mr_file_open(s->disk, name, MR_FILE_READ, &r->file);
	if (rc < 0)
		return cannot_read(s, 0, rc, diag);
	pthread_mutex_lock(&s->lock);
	if (!mr_footer_pin(s))
		rc = read_footer(r, s, diag);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		return rc;
	r->section = &s->footer->sections[section];
	r->columns_count = columns_count;
	for (uint32_t i = 0; i < columns_count && r->section->blocks_count; i++) {
		r->slots[i].column = columns[i];
		rc = open_column(r, i, diag);
		if (rc < 0)
			return rc;
	}
	return 0;
}

const struct mr_segment_section_info *mr_segment_reader_section(const struct mr_segment_reader *r)
{
	return r->section;
}

static int read_column(
	struct mr_segment_reader *r, uint32_t index, uint32_t block, struct mr_diag *diag)
{
	struct slot *s = &r->slots[index];
	const struct mr_segment_section_info *sec = r->section;
	const struct mr_segment_column_info *c = &sec->columns[s->column];
	const struct mr_segment_block *b = &sec->blocks[s->column * sec->blocks_count + block];
	enum mr_phys phys = mr_type_phys(c->column.type);
	struct mr_span bytes;
	int nulls = read_block(r, b, &s->stored, &s->raw, &bytes, diag);

	if (nulls < 0)
		return nulls;
	nulls = mr_column_decode(
		&r->coder, bytes, phys, c->dict_count, sec->block_rows[block], &s->out);
	if (nulls < 0 || (uint32_t)nulls != b->stats.nulls)
		return damaged(r->segment, b->at, "a block does not decode", diag);
	r->cols[index] = (struct mr_col){.type = c->column.type,
		.phys = (uint8_t)phys,
		.values = c->dict_count ? NULL : s->out.values,
		.valid = nulls ? s->out.valid : NULL,
		.codes = c->dict_count ? s->out.codes : NULL,
		.dict = c->dict_count ? &s->dict : NULL};
	return 0;
}

int mr_segment_reader_block(struct mr_segment_reader *r, uint32_t block, const struct mr_col **out,
	struct mr_diag *diag)
{
	MR_ASSERT(r->section && block < r->section->blocks_count);
	for (uint32_t i = 0; i < r->columns_count; i++) {
		int rc = read_column(r, i, block, diag);

		if (rc < 0)
			return rc;
	}
	*out = r->cols;
	return (int)r->section->block_rows[block];
}
