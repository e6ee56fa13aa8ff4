// Writing rows and giving them out as blocks.
#include "host/sql/row_table.h"

#include "host/sql/plan.h"

#include <stdlib.h>
#include <string.h>

struct mr_row_table {
	struct mr_arena arena;
	const struct mr_relation *relation;
	const struct mr_datum *defaults;
	const uint32_t *wanted; // columns of the relation
	uint32_t wanted_count;
	struct mr_datum *rows; // wanted_count each
	uint32_t rows_count;
	uint32_t rows_max;
	bool failed; // a row or a text had no memory
	// Of the block given out.
	struct mr_col *columns;
	void **values;
	uint64_t **valid;
	uint32_t at;
};

static int make_columns(struct mr_row_table *t)
{
	uint32_t n = t->wanted_count;

	t->columns = mr_arena_zalloc(&t->arena, n + 1, sizeof(*t->columns));
	t->values = mr_arena_zalloc(&t->arena, n + 1, sizeof(*t->values));
	t->valid = mr_arena_zalloc(&t->arena, n + 1, sizeof(*t->valid));
	if (!t->columns || !t->values || !t->valid)
		return MR_ERR_LIMIT;
	for (uint32_t i = 0; i < n; i++) {
		struct mr_typeref type = t->relation->columns[t->wanted[i]].type;
		enum mr_phys phys = mr_type_phys(type);

		t->values[i] = mr_arena_column(&t->arena, MR_EXEC_ROWS * mr_phys_bytes(phys));
		t->valid[i] = mr_arena_column(&t->arena, MR_EXEC_ROWS / 8);
		if (!t->values[i] || !t->valid[i])
			return MR_ERR_LIMIT;
		t->columns[i] = (struct mr_col){.type = type,
			.phys = (uint8_t)phys,
			.values = t->values[i],
			.valid = t->valid[i]};
	}
	return 0;
}

int mr_row_table_open(const struct mr_relation *r, const struct mr_scan_spec *spec,
	const struct mr_datum *defaults, struct mr_row_table **out, struct mr_diag *diag)
{
	struct mr_row_table *t = calloc(1, sizeof(*t));

	if (!t)
		return mr_query_no_memory(spec->query, diag);
	mr_arena_init_budget(&t->arena, spec->query->memory);
	t->relation = r;
	t->defaults = defaults;
	t->wanted = spec->columns;
	t->wanted_count = spec->columns_count;
	if (make_columns(t) < 0) {
		mr_row_table_close(t);
		return mr_query_no_memory(spec->query, diag);
	}
	*out = t;
	return 0;
}

void mr_row_table_close(struct mr_row_table *t)
{
	mr_arena_fini(&t->arena);
	free(t);
}

struct mr_arena *mr_row_table_arena(struct mr_row_table *t)
{
	return &t->arena;
}

bool mr_row_table_failed(const struct mr_row_table *t)
{
	return t->failed;
}

// ---- Writing ----

void mr_row_begin(struct mr_row_table *t)
{
	size_t width = t->wanted_count;
	struct mr_datum *row;

	if (t->failed)
		return;
	if (t->rows_count == t->rows_max) {
		uint32_t max = MR_MAX(2 * t->rows_max, 64u);
		struct mr_datum *rows = mr_arena_alloc(&t->arena, max * width * sizeof(*rows));

		t->failed = !rows;
		if (t->failed)
			return;
		if (t->rows_count)
			memcpy(rows, t->rows, t->rows_count * width * sizeof(*rows));
		t->rows = rows;
		t->rows_max = max;
	}
	row = &t->rows[t->rows_count++ * width];
	for (uint32_t i = 0; i < width; i++)
		row[i] = t->defaults ? t->defaults[t->wanted[i]] : (struct mr_datum){.null = true};
}

// The cell of the last row, or NULL when the query does not want the column.
static struct mr_datum *cell(struct mr_row_table *t, uint32_t column)
{
	for (uint32_t i = 0; i < t->wanted_count && !t->failed; i++)
		if (t->wanted[i] == column)
			return &t->rows[(size_t)(t->rows_count - 1) * t->wanted_count + i];
	return NULL;
}

void mr_row_int(struct mr_row_table *t, uint32_t column, int64_t v)
{
	struct mr_datum *d = cell(t, column);

	if (!d)
		return;
	d->null = false;
	switch (t->relation->columns[column].type.type) {
	case MR_TYPE_BOOL: d->value.u8 = v != 0; break;
	case MR_TYPE_INT2: d->value.i16 = (int16_t)v; break;
	case MR_TYPE_INT4: d->value.i32 = (int32_t)v; break;
	case MR_TYPE_FLOAT4: d->value.f32 = (float)v; break;
	default: d->value.i64 = v;
	}
}

void mr_row_text(struct mr_row_table *t, uint32_t column, struct mr_span v)
{
	struct mr_datum *d = cell(t, column);

	if (d)
		*d = (struct mr_datum){.value.str = {v.data, (uint32_t)v.bytes, 0}};
}

void mr_row_copy(struct mr_row_table *t, uint32_t column, struct mr_span v)
{
	struct mr_datum *d = cell(t, column);
	struct mr_span copy;

	if (!d)
		return;
	copy = mr_arena_copy(&t->arena, v);
	t->failed = !copy.data;
	mr_row_text(t, column, copy);
}

// ---- Scanning ----

int mr_row_table_next(struct mr_scan *scan, struct mr_block *out, struct mr_diag *)
{
	struct mr_row_table *t = (struct mr_row_table *)scan;
	uint32_t width = t->wanted_count;
	uint32_t n = MR_MIN(t->rows_count - t->at, (uint32_t)MR_EXEC_ROWS);

	for (uint32_t i = 0; i < width; i++) {
		size_t bytes = mr_phys_bytes((enum mr_phys)t->columns[i].phys);

		memset(t->valid[i], 0xff, MR_EXEC_ROWS / 8);
		for (uint32_t k = 0; k < n; k++) {
			const struct mr_datum *d = &t->rows[(size_t)(t->at + k) * width + i];

			memcpy((uint8_t *)t->values[i] + k * bytes, &d->value, bytes);
			if (d->null)
				mr_bit_clear(t->valid[i], k);
		}
	}
	t->at += n;
	*out = (struct mr_block){n, t->columns};
	return n > 0;
}

void mr_row_table_stats(const struct mr_scan *scan, struct mr_scan_stats *out)
{
	const struct mr_row_table *t = (const struct mr_row_table *)scan;

	*out = (struct mr_scan_stats){.rows = t->rows_count, .blocks = t->rows_count > 0};
}

void mr_row_table_end(struct mr_scan *scan)
{
	mr_row_table_close((struct mr_row_table *)scan);
}

int64_t mr_row_table_rows_known(const struct mr_relation *)
{
	return -1;
}
