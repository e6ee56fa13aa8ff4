// Merging segments column by column: a source for the writer that reads the inputs' blocks.
#include "storage/segment_merge.h"

#include "storage/footer_cache.h"

#include <errno.h>
#include <stdlib.h>

// A block of an input.
struct part {
	uint32_t input;
	uint32_t block;
	uint32_t rows;
};

// What becomes of a section: output block b is parts [first[b], first[b + 1]).
struct plan {
	const struct mr_segment_section_info **infos; // of each input
	struct mr_segment_column *columns;
	uint32_t columns_count;
	struct part *parts;
	uint32_t parts_count;
	uint32_t *first;
	struct mr_segment_rows *blocks;
	uint32_t blocks_count;
};

// Values of several blocks as one.
struct gather {
	uint8_t *values;
	uint64_t *valid;
	bool nulls;
	uint64_t *seen; // by code of the part's dictionary: where its bytes are + 1
	struct mr_buf heap;
};

struct merging {
	struct mr_segment_merge *merge;
	struct mr_diag *diag;
	struct mr_segment_reader *reader;
	struct mr_segment_writer *writer;
	uint32_t pinned; // footers of inputs
	struct plan plans[MR_SEGMENT_SECTIONS];
	struct gather gather;
	// What the reader is open on.
	int section;
	uint32_t input, column;
	bool open;
};

// The context of one section's source.
struct source_ctx {
	struct merging *x;
	int section;
};

static int no_memory(struct merging *x)
{
	return mr_diag_set(x->diag, -ENOMEM, "53200", 0, "out of memory");
}

// ---- plans

// Bytes that a block's values of a column take when they are gathered, at most.
static uint64_t gather_cost(
	const struct mr_segment_section_info *s, uint32_t column, uint32_t block)
{
	const struct mr_segment_column_info *c = &s->columns[column];

	return c->dict_count ? c->dict.raw_bytes
			     : s->blocks[column * s->blocks_count + block].raw_bytes;
}

// Whether part `p` may join those from `from` on; `costs` has their sums by column, and gets its
// own added.
static bool joins(const struct plan *n, uint32_t from, uint32_t p, size_t bytes_max, uint64_t *rows,
	uint64_t *costs)
{
	const struct part *part = &n->parts[p];
	bool fits = from == p || *rows + part->rows <= MR_ENCODE_ROWS_MAX;

	for (uint32_t c = 0; c < n->columns_count && fits; c++) {
		uint64_t cost = gather_cost(n->infos[part->input], c, part->block);

		fits = from == p || costs[c] + cost <= bytes_max;
	}
	if (!fits)
		return false;
	*rows += part->rows;
	for (uint32_t c = 0; c < n->columns_count; c++)
		costs[c] += gather_cost(n->infos[part->input], c, part->block);
	return true;
}

static int plan_blocks(struct plan *n, size_t gather_bytes)
{
	uint64_t *costs = calloc(n->columns_count + 1, sizeof(*costs));
	uint32_t p = 0;

	n->first = calloc(n->parts_count + 1, sizeof(*n->first));
	n->blocks = calloc(n->parts_count + 1, sizeof(*n->blocks));
	if (!costs || !n->first || !n->blocks) {
		free(costs);
		return -ENOMEM;
	}
	while (p < n->parts_count) {
		uint32_t from = p;
		uint64_t rows = 0;

		memset(costs, 0, n->columns_count * sizeof(*costs));
		while (p < n->parts_count && joins(n, from, p, gather_bytes, &rows, costs))
			p++;
		n->blocks[n->blocks_count++].rows = (uint32_t)rows;
		n->first[n->blocks_count] = p;
	}
	free(costs);
	return 0;
}

// The same columns in every input.
static int plan_columns(struct merging *x, struct plan *n)
{
	const struct mr_segment_section_info *first = n->infos[0];

	n->columns_count = first->columns_count;
	n->columns = calloc(first->columns_count + 1, sizeof(*n->columns));
	if (!n->columns)
		return -ENOMEM;
	for (uint32_t i = 0; i < x->merge->inputs_count; i++) {
		if (n->infos[i]->columns_count != first->columns_count)
			return MR_ERR_CORRUPT;
		for (uint32_t c = 0; c < first->columns_count; c++) {
			const struct mr_segment_column *a = &n->infos[i]->columns[c].column;
			const struct mr_segment_column *b = &first->columns[c].column;

			if (a->id != b->id || a->type.type != b->type.type ||
				a->type.precision != b->type.precision ||
				a->type.scale != b->type.scale)
				return MR_ERR_CORRUPT;
			n->columns[c] = *b;
		}
	}
	return 0;
}

static int plan_section(struct merging *x, int section)
{
	struct plan *n = &x->plans[section];
	uint32_t count = x->merge->inputs_count;
	int rc;

	n->infos = calloc(count, sizeof(*n->infos));
	if (!n->infos)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		n->infos[i] = &x->merge->inputs[i]->footer->sections[section];
		n->parts_count += n->infos[i]->blocks_count;
	}
	n->parts = calloc(n->parts_count + 1, sizeof(*n->parts));
	rc = n->parts ? plan_columns(x, n) : -ENOMEM;
	if (rc < 0)
		return rc;
	n->parts_count = 0;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t b = 0; b < n->infos[i]->blocks_count; b++)
			n->parts[n->parts_count++] =
				(struct part){i, b, n->infos[i]->block_rows[b]};
	return plan_blocks(n, x->merge->gather_bytes);
}

// Footers are read by opening each input once.
static int plan(struct merging *x)
{
	int rc = 0;

	while (x->pinned < x->merge->inputs_count) {
		struct mr_segment *s = x->merge->inputs[x->pinned];

		rc = mr_segment_reader_open(x->reader, s, MR_SEGMENT_ROWS, NULL, 0, x->diag);
		if (rc < 0)
			return rc;
		MR_ASSERT(mr_footer_pin(s));
		x->pinned++;
	}
	for (int s = 0; rc == 0 && s < MR_SEGMENT_SECTIONS; s++)
		rc = plan_section(x, s);
	if (rc == -ENOMEM)
		return no_memory(x);
	if (rc < 0)
		mr_diag_set(x->diag, rc, "XX001", 0,
			"segments of table %llu have different columns",
			(unsigned long long)x->merge->inputs[0]->info.table_id);
	return rc;
}

static void plan_fini(struct plan *n)
{
	free(n->infos);
	free(n->columns);
	free(n->parts);
	free(n->first);
	free(n->blocks);
}

// ---- reading

static void note_memory(struct merging *x)
{
	size_t bytes = mr_segment_reader_bytes(x->reader) + mr_segment_writer_bytes(x->writer) +
		       x->gather.heap.bytes_max + MR_ENCODE_ROWS_MAX * 24;

	x->merge->bytes_peak = MR_MAX(x->merge->bytes_peak, bytes);
}

static int read_part(
	struct merging *x, int section, uint32_t column, const struct part *p, struct mr_col *out)
{
	const struct mr_col *cols;
	int rc = x->merge->step ? x->merge->step(x->merge->ctx) : 0;

	if (rc < 0)
		return mr_diag_set(x->diag, rc, "57014", 0, "the merge was stopped");
	if (!x->open || x->section != section || x->column != column || x->input != p->input) {
		x->open = false;
		rc = mr_segment_reader_open(x->reader, x->merge->inputs[p->input],
			(enum mr_segment_section)section, &column, 1, x->diag);
		if (rc < 0)
			return rc;
		x->section = section;
		x->column = column;
		x->input = p->input;
		x->open = true;
	}
	rc = mr_segment_reader_block(x->reader, p->block, &cols, x->diag);
	note_memory(x);
	if (rc < 0)
		return rc;
	*out = cols[0];
	return 0;
}

// ---- gathering

static void gather_valid(struct gather *g, const struct mr_col *col, uint32_t at, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++) {
		if (mr_col_is_null(col, i)) {
			mr_bit_clear(g->valid, at + i);
			g->nulls = true;
		} else {
			mr_bit_set(g->valid, at + i);
		}
	}
}

// Where the bytes of a string lie in the heap. They move as it grows: made pointers at the end.
static uint64_t gather_bytes(struct gather *g, struct mr_str s)
{
	uint64_t at = g->heap.bytes;

	if (s.bytes)
		mr_buf_add(&g->heap, s.data, s.bytes);
	return at;
}

static void gather_strings(struct gather *g, const struct mr_col *col, uint32_t at, uint32_t rows)
{
	struct mr_str *to = (struct mr_str *)(void *)g->values + at;

	if (col->codes)
		memset(g->seen, 0, col->dict->count * sizeof(*g->seen));
	for (uint32_t i = 0; i < rows; i++) {
		struct mr_str s = mr_col_is_null(col, i) ? (struct mr_str){0} : mr_col_str(col, i);
		uint64_t *seen = col->codes ? &g->seen[col->codes[i]] : NULL;
		uint64_t place = seen && *seen ? *seen - 1 : gather_bytes(g, s);

		if (seen && s.bytes)
			*seen = place + 1;
		to[i] = (struct mr_str){(const uint8_t *)(uintptr_t)place, s.bytes, 0};
	}
}

static int gather_end(struct merging *x, struct mr_typeref type, uint32_t rows, struct mr_col *out)
{
	struct gather *g = &x->gather;
	struct mr_str *strings = (struct mr_str *)(void *)g->values;
	enum mr_phys phys = mr_type_phys(type);

	if (g->heap.failed)
		return no_memory(x);
	for (uint32_t i = 0; phys == MR_PHYS_BYTES && i < rows; i++)
		strings[i].data = strings[i].bytes ? g->heap.data + (uintptr_t)strings[i].data
						   : (const uint8_t *)"";
	*out = (struct mr_col){.type = type,
		.phys = (uint8_t)phys,
		.values = g->values,
		.valid = g->nulls ? g->valid : NULL};
	return 0;
}

static int source_read(void *ctx, uint32_t column, uint32_t block, struct mr_col *out)
{
	const struct source_ctx *k = ctx;
	struct merging *x = k->x;
	const struct plan *n = &x->plans[k->section];
	uint32_t from = n->first[block], to = n->first[block + 1], at = 0;
	size_t width = mr_phys_bytes(mr_type_phys(n->columns[column].type));

	if (to - from == 1)
		return read_part(x, k->section, column, &n->parts[from], out);
	mr_buf_reset(&x->gather.heap);
	x->gather.nulls = false;
	for (uint32_t p = from; p < to; p++) {
		struct mr_col col;
		int rc = read_part(x, k->section, column, &n->parts[p], &col);

		if (rc < 0)
			return rc;
		gather_valid(&x->gather, &col, at, n->parts[p].rows);
		if (col.phys == MR_PHYS_BYTES)
			gather_strings(&x->gather, &col, at, n->parts[p].rows);
		else
			memcpy(x->gather.values + at * width, col.values, n->parts[p].rows * width);
		at += n->parts[p].rows;
	}
	return gather_end(x, n->columns[column].type, at, out);
}

// ---- the file

static void add_range(struct mr_segment_info *info, const struct mr_offset_range *r)
{
	uint32_t low = 0, high = info->ranges_count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (info->ranges[mid].partition < r->partition)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < info->ranges_count && info->ranges[low].partition == r->partition) {
		MR_ASSERT(info->ranges[low].to <= r->from);
		info->ranges[low].to = r->to;
		return;
	}
	memmove(&info->ranges[low + 1], &info->ranges[low],
		(info->ranges_count - low) * sizeof(*info->ranges));
	info->ranges[low] = *r;
	info->ranges_count++;
}

static int make_ranges(const struct mr_segment_merge *m, struct mr_segment_info *info)
{
	size_t count = 0;

	for (uint32_t i = 0; i < m->inputs_count; i++)
		count += m->inputs[i]->info.ranges_count;
	info->ranges_count = 0;
	info->ranges = calloc(count + 1, sizeof(*info->ranges));
	if (!info->ranges)
		return -ENOMEM;
	info->merges = 0;
	for (uint32_t i = 0; i < m->inputs_count; i++) {
		const struct mr_segment_info *in = &m->inputs[i]->info;

		info->merges = MR_MAX(info->merges, in->merges);
		for (uint32_t k = 0; k < in->ranges_count; k++)
			add_range(info, &in->ranges[k]);
	}
	if (info->merges < UINT16_MAX)
		info->merges++;
	return 0;
}

// Nulls and exact sums of a column over all blocks.
static void add_stats(const struct mr_segment_section_info *s, uint32_t column, uint64_t *nulls,
	unsigned __int128 *sum)
{
	for (uint32_t b = 0; b < s->blocks_count; b++) {
		const struct mr_block_stats *k = &s->blocks[column * s->blocks_count + b].stats;

		*nulls += k->nulls;
		*sum += k->has_sum ? (unsigned __int128)k->sum : 0;
	}
}

static bool same_section(
	const struct plan *n, uint32_t inputs, const struct mr_segment_section_info *out)
{
	uint64_t rows = 0;

	for (uint32_t i = 0; i < inputs; i++)
		rows += n->infos[i]->rows;
	if (rows != out->rows || n->columns_count != out->columns_count)
		return false;
	for (uint32_t c = 0; c < n->columns_count; c++) {
		uint64_t nulls = 0, nulls_out = 0;
		unsigned __int128 sum = 0, sum_out = 0;

		for (uint32_t i = 0; i < inputs; i++)
			add_stats(n->infos[i], c, &nulls, &sum);
		add_stats(out, c, &nulls_out, &sum_out);
		if (nulls != nulls_out || sum != sum_out)
			return false;
	}
	return true;
}

// Opens what was written and compares it with the inputs.
static int check(struct merging *x, const struct mr_segment_info *info)
{
	struct mr_segment_info copy = *info;
	struct mr_segment *s;
	int rc;

	copy.ranges = NULL;
	rc = mr_segment_create(x->merge->disk, &copy, &s);
	if (rc < 0)
		return no_memory(x);
	rc = mr_segment_reader_open(x->reader, s, MR_SEGMENT_ROWS, NULL, 0, x->diag);
	for (int k = 0; rc == 0 && k < MR_SEGMENT_SECTIONS; k++)
		if (!same_section(&x->plans[k], x->merge->inputs_count, &s->footer->sections[k]))
			rc = mr_diag_set(x->diag, -EIO, "58030", 0,
				"a merged segment is not what its inputs were");
	x->open = false;
	// The output's damage is not an input's.
	rc = rc == MR_ERR_CORRUPT ? -EIO : rc;
	mr_segment_put(s);
	return rc;
}

static int write_merged(struct merging *x, struct mr_segment_info *info)
{
	struct source_ctx ctx[MR_SEGMENT_SECTIONS];
	struct mr_segment_source sources[MR_SEGMENT_SECTIONS];
	char name[MR_SEGMENT_NAME_BYTES];
	int rc;

	for (int s = 0; s < MR_SEGMENT_SECTIONS; s++) {
		ctx[s] = (struct source_ctx){x, s};
		sources[s] = (struct mr_segment_source){.columns = x->plans[s].columns,
			.columns_count = x->plans[s].columns_count,
			.blocks = x->plans[s].blocks,
			.blocks_count = x->plans[s].blocks_count,
			.read = source_read,
			.ctx = &ctx[s],
			.time_column = MR_SEGMENT_NO_COLUMN,
			.time_fallback = MR_SEGMENT_NO_COLUMN};
	}
	x->diag->message[0] = 0;
	mr_segment_writer_level(x->writer, x->merge->level);
	rc = mr_segment_write(x->writer, sources, info);
	if (rc == 0)
		rc = check(x, info);
	else if (!x->diag->message[0])
		mr_diag_set(x->diag, rc, "58030", 0, "cannot write a segment: %s", mr_err_text(rc));
	if (rc < 0) {
		mr_segment_name(info->id, name);
		(void)!mr_disk_unlink(x->merge->disk, name);
	}
	return rc;
}

// Times are those that the inputs were given: which columns say them is the table's affair.
static void make_times(const struct mr_segment_merge *m, struct mr_segment_info *info)
{
	info->time_min = INT64_MAX;
	info->time_max = INT64_MIN;
	for (uint32_t i = 0; i < m->inputs_count; i++) {
		info->time_min = MR_MIN(info->time_min, m->inputs[i]->info.time_min);
		info->time_max = MR_MAX(info->time_max, m->inputs[i]->info.time_max);
	}
}

static int merging_init(struct merging *x)
{
	int rc = mr_segment_reader_create(1, &x->reader);

	if (rc == 0)
		rc = mr_segment_writer_create(x->merge->disk, &x->writer);
	if (rc < 0)
		return no_memory(x);
	x->gather.values = aligned_alloc(
		MR_COL_ALIGN, MR_ENCODE_ROWS_MAX * sizeof(struct mr_str) + MR_COL_PAD);
	x->gather.valid = aligned_alloc(MR_COL_ALIGN, MR_ENCODE_ROWS_MAX / 8 + MR_COL_PAD);
	x->gather.seen = malloc(MR_SEGMENT_DICT_ENTRIES * sizeof(*x->gather.seen));
	return x->gather.values && x->gather.valid && x->gather.seen ? 0 : no_memory(x);
}

static void merging_fini(struct merging *x)
{
	mr_segment_reader_destroy(x->reader);
	mr_segment_writer_destroy(x->writer);
	free(x->gather.values);
	free(x->gather.valid);
	free(x->gather.seen);
	mr_buf_fini(&x->gather.heap);
	for (int s = 0; s < MR_SEGMENT_SECTIONS; s++)
		plan_fini(&x->plans[s]);
	for (uint32_t i = 0; i < x->pinned; i++)
		mr_footer_unpin(x->merge->inputs[i]);
}

int mr_segment_merge_run(
	struct mr_segment_merge *m, struct mr_segment_info *info, struct mr_diag *diag)
{
	struct merging x = {.merge = m, .diag = diag};
	int rc;

	MR_ASSERT(m->inputs_count > 0);
	m->bytes_peak = 0;
	info->table_id = m->inputs[0]->info.table_id;
	info->ranges = NULL;
	rc = merging_init(&x);
	if (rc == 0)
		rc = plan(&x);
	if (rc == 0)
		rc = make_ranges(m, info) < 0 ? no_memory(&x) : 0;
	if (rc == 0)
		rc = write_merged(&x, info);
	if (rc == 0)
		make_times(m, info);
	if (rc < 0) {
		free(info->ranges);
		info->ranges = NULL;
	}
	merging_fini(&x);
	return rc;
}
