// The footer of a segment: where each block is and what it holds. Bytes: docs/FORMAT.md.
#include "storage/segment_int.h"

#include <errno.h>
#include <stdlib.h>

enum { BLOCK_ZSTD = 1, BLOCK_BOUNDS = 2, BLOCK_SUM = 4 };
enum { COLUMNS_MAX = 4096, BLOCKS_MAX = 1 << 20 };

static bool bounds_are_strings(struct mr_typeref t)
{
	return mr_type_phys(t) == MR_PHYS_BYTES;
}

// ---- saving

static void save_place(struct mr_buf *out, const struct mr_segment_block *b)
{
	mr_buf_le64(out, b->at);
	mr_buf_le32(out, b->bytes);
	mr_buf_le32(out, b->raw_bytes);
	mr_buf_le64(out, b->checksum);
	mr_buf_u8(out,
		(uint8_t)((b->zstd ? BLOCK_ZSTD : 0) | (b->stats.has_bounds ? BLOCK_BOUNDS : 0) |
			  (b->stats.has_sum ? BLOCK_SUM : 0)));
	mr_buf_le32(out, b->stats.nulls);
}

static void save_block(struct mr_buf *out, struct mr_typeref type, const struct mr_segment_block *b)
{
	const struct mr_block_stats *s = &b->stats;

	save_place(out, b);
	if (s->has_bounds && bounds_are_strings(type)) {
		mr_buf_u8(out, s->min.s.bytes);
		mr_buf_add(out, s->min.s.data, s->min.s.bytes);
		mr_buf_u8(out, s->max.s.bytes);
		mr_buf_add(out, s->max.s.data, s->max.s.bytes);
	} else if (s->has_bounds) {
		mr_buf_le64(out, (uint64_t)s->min.i);
		mr_buf_le64(out, (uint64_t)s->max.i);
	}
	if (s->has_sum) {
		mr_buf_le64(out, (uint64_t)s->sum);
		mr_buf_le64(out, (uint64_t)(s->sum >> 64));
	}
}

static void save_section(struct mr_buf *out, const struct mr_segment_section_info *s)
{
	mr_buf_le32(out, s->columns_count);
	mr_buf_le32(out, s->blocks_count);
	for (uint32_t b = 0; b < s->blocks_count; b++)
		mr_buf_le32(out, s->block_rows[b]);
	for (uint32_t c = 0; c < s->columns_count; c++) {
		const struct mr_segment_column_info *col = &s->columns[c];

		mr_buf_le64(out, col->column.id);
		mr_buf_u8(out, col->column.type.type);
		mr_buf_u8(out, col->column.type.precision);
		mr_buf_u8(out, col->column.type.scale);
		mr_buf_le32(out, col->dict_count);
		if (col->dict_count)
			save_place(out, &col->dict);
		for (uint32_t b = 0; b < s->blocks_count; b++)
			save_block(out, col->column.type, &s->blocks[c * s->blocks_count + b]);
	}
}

void mr_segment_footer_save(struct mr_buf *out, const struct mr_segment_footer *f)
{
	for (int i = 0; i < MR_SEGMENT_SECTIONS; i++)
		save_section(out, &f->sections[i]);
}

// ---- loading

static void load_bound_string(struct mr_reader *r, uint8_t *bytes, uint8_t data[MR_BOUND_BYTES])
{
	uint8_t n = mr_read_u8(r);
	const uint8_t *from = n <= MR_BOUND_BYTES ? mr_read_bytes(r, n) : NULL;

	r->bad |= !from;
	if (!from)
		return;
	*bytes = n;
	memcpy(data, from, n);
}

static void load_place(struct mr_reader *r, struct mr_segment_block *b)
{
	uint8_t flags;

	b->at = mr_read_le64(r);
	b->bytes = mr_read_le32(r);
	b->raw_bytes = mr_read_le32(r);
	b->checksum = mr_read_le64(r);
	flags = mr_read_u8(r);
	b->zstd = flags & BLOCK_ZSTD;
	b->stats.has_bounds = flags & BLOCK_BOUNDS;
	b->stats.has_sum = flags & BLOCK_SUM;
	b->stats.nulls = mr_read_le32(r);
	r->bad |= flags > (BLOCK_ZSTD | BLOCK_BOUNDS | BLOCK_SUM) || b->raw_bytes == 0 ||
		  b->raw_bytes > MR_ZIP_BYTES_MAX || b->bytes > MR_ZIP_BYTES_MAX ||
		  (!b->zstd && b->bytes != b->raw_bytes);
}

static void load_block(struct mr_reader *r, struct mr_typeref type, struct mr_segment_block *b)
{
	struct mr_block_stats *s = &b->stats;

	load_place(r, b);
	if (s->has_bounds && bounds_are_strings(type)) {
		load_bound_string(r, &s->min.s.bytes, s->min.s.data);
		load_bound_string(r, &s->max.s.bytes, s->max.s.data);
	} else if (s->has_bounds) {
		s->min.i = (int64_t)mr_read_le64(r);
		s->max.i = (int64_t)mr_read_le64(r);
	}
	if (s->has_sum) {
		uint64_t low = mr_read_le64(r);

		s->sum = (__int128)((unsigned __int128)mr_read_le64(r) << 64 | low);
	}
}

static void load_column(
	struct mr_reader *r, struct mr_segment_section_info *s, struct mr_segment_column_info *col)
{
	uint32_t index = (uint32_t)(col - s->columns);

	col->column.id = mr_read_le64(r);
	col->column.type.type = mr_read_u8(r);
	col->column.type.precision = mr_read_u8(r);
	col->column.type.scale = mr_read_u8(r);
	r->bad |= col->column.type.type >= MR_TYPE_INTERVAL;
	if (r->bad)
		return;
	col->dict_count = mr_read_le32(r);
	if (col->dict_count)
		load_place(r, &col->dict);
	r->bad |= col->dict_count > MR_SEGMENT_DICT_ENTRIES ||
		  (col->dict_count && !bounds_are_strings(col->column.type));
	for (uint32_t b = 0; !r->bad && b < s->blocks_count; b++) {
		struct mr_segment_block *block = &s->blocks[index * s->blocks_count + b];

		load_block(r, col->column.type, block);
		r->bad |= block->stats.nulls > s->block_rows[b];
	}
}

static int load_section(struct mr_reader *r, struct mr_segment_section_info *s)
{
	s->columns_count = mr_read_le32(r);
	s->blocks_count = mr_read_le32(r);
	// Each block of a column takes 29 bytes at least: no more are made room for than can be
	// there.
	if (r->bad || s->columns_count > COLUMNS_MAX || s->blocks_count > BLOCKS_MAX ||
		(uint64_t)s->columns_count * s->blocks_count > mr_read_left(r) / 29 ||
		(uint64_t)s->blocks_count > mr_read_left(r) / 4)
		return MR_ERR_CORRUPT;
	s->columns = calloc(s->columns_count + 1, sizeof(*s->columns));
	s->block_rows = calloc(s->blocks_count + 1, sizeof(*s->block_rows));
	s->blocks = calloc((size_t)s->columns_count * s->blocks_count + 1, sizeof(*s->blocks));
	if (!s->columns || !s->block_rows || !s->blocks)
		return -ENOMEM;
	for (uint32_t b = 0; b < s->blocks_count; b++) {
		s->block_rows[b] = mr_read_le32(r);
		s->rows += s->block_rows[b];
		r->bad |= s->block_rows[b] == 0 || s->block_rows[b] > MR_ENCODE_ROWS_MAX;
	}
	for (uint32_t c = 0; !r->bad && c < s->columns_count; c++)
		load_column(r, s, &s->columns[c]);
	return r->bad ? (int)MR_ERR_CORRUPT : 0;
}

int mr_segment_footer_load(struct mr_span raw, struct mr_segment_footer **out)
{
	struct mr_segment_footer *f = calloc(1, sizeof(*f));
	struct mr_reader r = mr_reader(raw);
	int rc = f ? 0 : -ENOMEM;

	for (int i = 0; rc == 0 && i < MR_SEGMENT_SECTIONS; i++) {
		const struct mr_segment_section_info *s = &f->sections[i];

		rc = load_section(&r, &f->sections[i]);
		f->bytes += s->columns_count * sizeof(*s->columns) +
			    s->blocks_count * sizeof(*s->block_rows) +
			    (size_t)s->columns_count * s->blocks_count * sizeof(*s->blocks);
	}
	if (rc == 0 && mr_read_left(&r))
		rc = MR_ERR_CORRUPT;
	if (rc < 0) {
		mr_segment_footer_destroy(f);
		return rc;
	}
	f->bytes += sizeof(*f);
	*out = f;
	return 0;
}

void mr_segment_footer_destroy(struct mr_segment_footer *f)
{
	if (!f)
		return;
	for (int i = 0; i < MR_SEGMENT_SECTIONS; i++) {
		free(f->sections[i].columns);
		free(f->sections[i].block_rows);
		free(f->sections[i].blocks);
	}
	free(f);
}
