// Scans of tables: pinned versions, piece by piece, as the executor wants its columns.
#include "host/scan.h"

#include "host/pins.h"

#include <errno.h>
#include <math.h>

struct mr_scan {
	struct mr_query *query;
	struct mr_scan_spec spec;
	int kind;
	struct mr_pin *pins; // one for each part
	uint32_t versions_count;
	uint32_t version_at;
	uint32_t piece_at;
	// Of the segment being read.
	struct mr_segment_reader *reader;
	const struct mr_segment_section_info *section;
	uint32_t block_at;
	struct mr_col *cols;
	struct mr_dict *dicts;
	struct mr_scan_stats stats;
};

int mr_scan_parts(struct mr_table_part *const *parts, uint32_t parts_count, int kind,
	const struct mr_scan_spec *spec, struct mr_scan **out, struct mr_diag *diag)
{
	struct mr_query *q = spec->query;
	struct mr_scan *s = mr_arena_zalloc(q->arena, 1, sizeof(*s));

	if (!s)
		return mr_query_no_memory(q, diag);
	s->query = q;
	s->spec = *spec;
	s->kind = kind;
	s->pins = mr_arena_zalloc(q->arena, parts_count + 1, sizeof(*s->pins));
	s->cols = mr_arena_zalloc(q->arena, spec->columns_count + 1, sizeof(*s->cols));
	s->dicts = mr_arena_zalloc(q->arena, spec->columns_count + 1, sizeof(*s->dicts));
	if (!s->pins || !s->cols || !s->dicts)
		return mr_query_no_memory(q, diag);
	for (uint32_t i = 0; i < parts_count; i++) {
		// All parts of a table at once, of one table after the other.
		if (i == 0 || parts[i]->table != parts[i - 1]->table)
			mr_table_pin_begin(parts[i]->table);
		mr_pin_add(&s->pins[i], q->pins, &parts[i]->pieces, parts[i]->pool);
		if (i + 1 == parts_count || parts[i]->table != parts[i + 1]->table)
			mr_table_pin_end(parts[i]->table);
		s->versions_count++;
	}
	*out = s;
	return 0;
}

// ---- bounds

static bool int_outside(const struct mr_block_stats *b, const int64_t *low, const int64_t *high)
{
	return (low && b->max.i < *low) || (high && b->min.i > *high);
}

static const int64_t *widen(enum mr_phys phys, const void *v, int64_t *out)
{
	if (!v)
		return NULL;
	switch (phys) {
	case MR_PHYS_U8: *out = *(const uint8_t *)v; break;
	case MR_PHYS_I16: *out = *(const int16_t *)v; break;
	case MR_PHYS_I32: *out = *(const int32_t *)v; break;
	default: *out = *(const int64_t *)v; break;
	}
	return out;
}

static bool float_outside(
	enum mr_phys phys, const struct mr_block_stats *b, const void *low, const void *high)
{
	double l = -INFINITY, h = INFINITY;

	if (low)
		l = phys == MR_PHYS_F32 ? (double)*(const float *)low : *(const double *)low;
	if (high)
		h = phys == MR_PHYS_F32 ? (double)*(const float *)high : *(const double *)high;
	// NaN sorts last: as a low bound it is above every block, as a high one below none.
	return isnan(l) ? low != NULL : b->max.f < l || (!isnan(h) && b->min.f > h);
}

static bool string_outside(
	const struct mr_block_stats *b, const struct mr_str *low, const struct mr_str *high)
{
	return (low && mr_span_cmp(mr_span(b->max.s.data, b->max.s.bytes),
			       mr_span(low->data, low->bytes)) < 0) ||
	       (high && mr_span_cmp(mr_span(b->min.s.data, b->min.s.bytes),
				mr_span(high->data, high->bytes)) > 0);
}

static bool outside(
	enum mr_phys phys, const struct mr_block_stats *b, const struct mr_scan_range *r)
{
	int64_t low, high;

	switch (phys) {
	case MR_PHYS_U8:
	case MR_PHYS_I16:
	case MR_PHYS_I32:
	case MR_PHYS_I64:
		return int_outside(b, widen(phys, r->low, &low), widen(phys, r->high, &high));
	case MR_PHYS_F32:
	case MR_PHYS_F64: return float_outside(phys, b, r->low, r->high);
	case MR_PHYS_BYTES: return string_outside(b, r->low, r->high);
	default: return false;
	}
}

// No row of the block can be in the ranges. A block of nulls only cannot either.
static bool can_skip(const struct mr_scan *s, uint32_t block)
{
	const struct mr_segment_section_info *sec = s->section;

	for (uint32_t i = 0; i < s->spec.ranges_count; i++) {
		const struct mr_scan_range *r = &s->spec.ranges[i];
		const struct mr_block_stats *b;
		enum mr_phys phys;

		if (r->column >= sec->columns_count || (!r->low && !r->high))
			continue;
		b = &sec->blocks[r->column * sec->blocks_count + block].stats;
		phys = mr_type_phys(sec->columns[r->column].column.type);
		if (b->nulls == sec->block_rows[block] || (b->has_bounds && outside(phys, b, r)))
			return true;
	}
	return false;
}

// ---- pieces

static void note_rows(struct mr_scan *s, uint32_t rows, const struct mr_col *cols)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < s->spec.columns_count; i++)
		bytes += (uint64_t)rows *
			 (cols[i].codes ? sizeof(uint32_t)
					: mr_phys_bytes((enum mr_phys)cols[i].phys));
	s->stats.bytes += bytes;
	s->stats.bytes_decoded += s->section ? bytes : 0;
	s->stats.rows += rows;
	s->stats.blocks++;
}

// The reader's memory is the query's: where it finds none left, that is said as everywhere.
static int reader_failed(struct mr_scan *s, int rc, struct mr_diag *diag)
{
	return rc == -ENOMEM ? mr_query_no_memory(s->query, diag) : rc;
}

static int segment_begin(struct mr_scan *s, struct mr_segment *segment, struct mr_diag *diag)
{
	bool fresh = !s->reader;
	int rc = 0;

	if (fresh)
		rc = mr_segment_reader_create(s->spec.columns_count, &s->reader);
	if (rc == 0 && fresh && !mr_segment_reader_budget(s->reader, s->query->memory))
		rc = -ENOMEM;
	if (rc < 0)
		return mr_query_no_memory(s->query, diag);
	rc = mr_segment_reader_open(s->reader, segment, (enum mr_segment_section)s->kind,
		s->spec.columns, s->spec.columns_count, diag);
	if (rc < 0)
		return reader_failed(s, rc, diag);
	s->section = mr_segment_reader_section(s->reader);
	s->block_at = 0;
	return 0;
}

// The next block of the segment being read. 0: there is none.
static int segment_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag)
{
	while (s->block_at < s->section->blocks_count) {
		uint32_t block = s->block_at++;
		const struct mr_col *cols;
		int rows;

		if (can_skip(s, block)) {
			s->stats.blocks_skipped++;
			continue;
		}
		rows = mr_segment_reader_block(s->reader, block, &cols, diag);
		if (rows < 0)
			return reader_failed(s, rows, diag);
		note_rows(s, (uint32_t)rows, cols);
		*out = (struct mr_block){(uint32_t)rows, cols};
		return 1;
	}
	s->section = NULL;
	return 0;
}

static int chunk_next(struct mr_scan *s, const struct mr_chunk *c, struct mr_block *out)
{
	uint32_t rows = c ? mr_chunk_rows(c) : 0;

	if (rows == 0)
		return 0;
	for (uint32_t i = 0; i < s->spec.columns_count; i++)
		mr_chunk_column_view(c, s->spec.columns[i], &s->cols[i], &s->dicts[i]);
	note_rows(s, rows, s->cols);
	*out = (struct mr_block){rows, s->cols};
	return 1;
}

int mr_scan_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag)
{
	int rc = s->section ? segment_next(s, out, diag) : 0;

	while (rc == 0 && s->version_at < s->versions_count) {
		const struct mr_version *v = s->pins[s->version_at].version;
		const struct mr_piece *p;

		if (s->piece_at == v->count) {
			s->version_at++;
			s->piece_at = 0;
			continue;
		}
		p = v->pieces[s->piece_at++];
		if (!p->segment) {
			rc = chunk_next(s, mr_piece_chunk(p, s->kind), out);
		} else if (mr_piece_rows(p, s->kind)) {
			rc = segment_begin(s, p->segment, diag);
			if (rc == 0)
				rc = segment_next(s, out, diag);
		}
	}
	return rc;
}

void mr_scan_stats(const struct mr_scan *s, struct mr_scan_stats *out)
{
	*out = s->stats;
}

void mr_scan_end(struct mr_scan *s)
{
	for (uint32_t i = 0; i < s->versions_count; i++)
		mr_pin_remove(&s->pins[i]);
	mr_segment_reader_destroy(s->reader);
	s->reader = NULL;
	s->versions_count = 0;
}

static int table_scan_begin(const struct mr_relation *r, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *diag)
{
	struct mr_table *t = r->owner;
	int rc = mr_table_whole(t, diag);

	return rc < 0 ? rc
		      : mr_scan_parts(t->parts, t->parts_count, MR_PIECE_ROWS, spec, out, diag);
}

static int64_t table_rows_known(const struct mr_relation *r)
{
	struct mr_table *t = r->owner;
	uint64_t rows = 0;

	mr_table_pin_begin(t);
	for (uint32_t i = 0; i < t->parts_count; i++) {
		struct mr_version *v = mr_pieces_pin(&t->parts[i]->pieces);

		for (uint32_t k = 0; k < v->count; k++)
			rows += mr_piece_rows(v->pieces[k], MR_PIECE_ROWS);
		mr_version_unpin(v);
	}
	mr_table_pin_end(t);
	return (int64_t)rows;
}

const struct mr_relation_ops mr_table_relation_ops = {
	.scan_begin = table_scan_begin,
	.scan_next = mr_scan_next,
	.scan_stats = mr_scan_stats,
	.scan_end = mr_scan_end,
	.rows_known = table_rows_known,
};
