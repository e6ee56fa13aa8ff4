#include "tests/lib/segment_make.h"

#include "host/base/dec.h"
#include "storage/dir.h"
#include "tests/lib/mr_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const struct mr_typeref made_types[MADE_COLUMNS] = {
	{MR_TYPE_BOOL, 0, 0},
	{MR_TYPE_INT2, 0, 0},
	{MR_TYPE_INT4, 0, 0},
	{MR_TYPE_INT8, 0, 0},
	{MR_TYPE_FLOAT4, 0, 0},
	{MR_TYPE_FLOAT8, 0, 0},
	{MR_TYPE_NUMERIC, 12, 2},
	{MR_TYPE_NUMERIC, 0, 0},
	{MR_TYPE_TEXT, 0, 0},
	{MR_TYPE_UUID, 0, 0},
	{MR_TYPE_DATE, 0, 0},
	{MR_TYPE_TIMESTAMP, 0, 0},
	{MR_TYPE_TIMESTAMPTZ, 0, 0},
	{MR_TYPE_BYTEA, 0, 0},
};

static int64_t edge(struct mr_rand *r)
{
	static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1,
		INT64_MAX, INT32_MIN, INT32_MAX, 1ll << 56, -(1ll << 56), 1ll << 53};

	return edges[mr_rand_below(r, MR_COUNT_OF(edges))];
}

static int64_t integer(struct mr_rand *r, enum made_shape shape, uint32_t row)
{
	switch (shape) {
	case CONSTANT: return 42;
	case RUNS: return row / 37 % 5 - 2;
	case RISING: return 1700000000000000 + (int64_t)row * 1000 + (int64_t)mr_rand_below(r, 900);
	case SMALL: return (int64_t)mr_rand_below(r, 100) - 50;
	case WILD: return (int64_t)mr_rand_u64(r);
	default: return edge(r);
	}
}

static double real(struct mr_rand *r, enum made_shape shape, uint32_t row)
{
	static const double edges[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 5e-324, 1.7e308, 0x1p53,
		0x1p53 + 2, 0.1, 1e15, 1e-15, 123456.789};

	if (shape == EDGES)
		return edges[mr_rand_below(r, MR_COUNT_OF(edges))];
	if (shape == WILD)
		return mr_rand_unit(r) * 1e10;
	return (double)(integer(r, shape, row) % 1000000) / 100;
}

static void fill_value(
	struct mr_rand *r, struct mr_typeref type, enum made_shape shape, uint32_t row, uint8_t *to)
{
	int64_t v = integer(r, shape, row);
	struct mr_str s;
	double d;
	float f;

	switch (mr_type_phys(type)) {
	case MR_PHYS_U8: *to = v & 1; break;
	case MR_PHYS_I16:
	case MR_PHYS_I32:
	case MR_PHYS_I64: memcpy(to, &v, mr_phys_bytes(mr_type_phys(type))); break;
	case MR_PHYS_F64:
		d = real(r, shape, row);
		memcpy(to, &d, sizeof(d));
		break;
	case MR_PHYS_F32:
		f = (float)real(r, shape, row);
		memcpy(to, &f, sizeof(f));
		break;
	case MR_PHYS_DEC:
		*(struct mr_dec *)(void *)to =
			mr_dec_make((mr_i128)v * (shape == WILD ? 1000000007 : 1),
				shape == EDGES ? (unsigned)mr_rand_below(r, 10) : 3);
		break;
	case MR_PHYS_B16:
		memset(to, 0, 16);
		memcpy(to, &v, sizeof(v));
		break;
	default:
		s.bytes = shape == EDGES ? (uint32_t)mr_rand_below(r, 300) : 6;
		s.data = malloc(s.bytes + 32);
		s.unused = 0;
		if (shape == EDGES)
			memset((void *)(uintptr_t)s.data, 0xff, s.bytes);
		else
			s.bytes = (uint32_t)snprintf(
				(char *)(uintptr_t)s.data, 32, "v%lld", (long long)v);
		memcpy(to, &s, sizeof(s));
		break;
	}
}

struct made_column made_column(struct mr_rand *r, struct mr_typeref type, enum made_shape shape,
	uint32_t rows, unsigned nulls)
{
	enum mr_phys phys = mr_type_phys(type);
	size_t width = mr_phys_bytes(phys);
	struct made_column c = {
		.values = calloc(rows + 8, width), .valid = calloc(rows / 64 + 9, 8)};
	bool any = false;

	for (uint32_t i = 0; i < rows; i++) {
		if (nulls && mr_rand_below(r, nulls) == 0) {
			any = true;
			if (phys == MR_PHYS_BYTES)
				((struct mr_str *)(void *)c.values)[i].data = (const uint8_t *)"";
			continue;
		}
		mr_bit_set(c.valid, i);
		fill_value(r, type, shape, i, c.values + i * width);
	}
	c.col = (struct mr_col){.type = type,
		.phys = (uint8_t)phys,
		.values = c.values,
		.valid = any ? c.valid : NULL};
	return c;
}

void made_column_free(struct made_column *c, uint32_t rows)
{
	for (uint32_t i = 0; c->col.phys == MR_PHYS_BYTES && i < rows; i++)
		if (mr_bit_get(c->valid, i))
			free((void *)(uintptr_t)((struct mr_str *)(void *)c->values)[i].data);
	free(c->values);
	free(c->valid);
}

struct made made_segment(struct mr_rand *r, uint32_t blocks, uint32_t rows, int shape)
{
	struct made m = {.blocks = blocks, .rows = rows, .info = {.id = 7, .table_id = 9}};

	m.columns = calloc(blocks * MADE_COLUMNS, sizeof(*m.columns));
	m.cols = calloc(blocks * MADE_COLUMNS, sizeof(*m.cols));
	m.parts = calloc(blocks, sizeof(*m.parts));
	for (uint32_t b = 0; b < blocks; b++) {
		for (uint32_t c = 0; c < MADE_COLUMNS; c++) {
			enum made_shape s = (enum made_shape)(
				shape < 0 ? (int)mr_rand_below(r, SHAPES) : shape);
			struct made_column *col = &m.columns[b * MADE_COLUMNS + c];
			static const unsigned nulls[] = {0, 0, 1, 2, 50};

			*col = made_column(r, made_types[c], s, rows,
				nulls[mr_rand_below(r, MR_COUNT_OF(nulls))]);
			m.cols[b * MADE_COLUMNS + c] = col->col;
			m.heads[c] = (struct mr_segment_column){c + 1, made_types[c]};
		}
		m.parts[b] = (struct mr_segment_rows){rows, &m.cols[b * MADE_COLUMNS]};
	}
	return m;
}

void made_segment_free(struct made *m)
{
	for (uint32_t i = 0; i < m->blocks * MADE_COLUMNS; i++)
		made_column_free(&m->columns[i], m->rows);
	free(m->columns);
	free(m->cols);
	free(m->parts);
}

int made_segment_write(struct mr_io_sim *sim, struct made *m)
{
	const struct mr_segment_source none = {.columns = m->heads,
		.columns_count = MADE_COLUMNS,
		.time_column = MADE_COLUMNS - 2, // the last but bytea: timestamptz
		.time_fallback = MADE_COLUMNS - 3};
	struct mr_segment_source sources[MR_SEGMENT_SECTIONS] = {none, none};
	struct mr_segment_writer *w;
	int rc;

	sources[MR_SEGMENT_ROWS].blocks = m->parts;
	sources[MR_SEGMENT_ROWS].blocks_count = m->blocks;
	assert_int_equal(mr_segment_writer_create(&sim->disk, &w), 0);
	rc = mr_segment_write(w, sources, &m->info);
	mr_segment_writer_destroy(w);
	return rc;
}

void made_disk(struct mr_io_sim *sim, uint64_t seed)
{
	struct mr_diag diag;

	mr_io_sim_init(sim, &(struct mr_io_sim_options){.seed = seed});
	assert_int_equal(mr_dir_init(&sim->disk, &diag), 0);
}

struct mr_span made_value(const struct mr_col *c, uint32_t row)
{
	size_t width = mr_phys_bytes((enum mr_phys)c->phys);
	struct mr_str s;

	if (c->phys != MR_PHYS_BYTES)
		return mr_span((const uint8_t *)c->values + row * width, width);
	s = mr_col_str(c, row);
	return mr_span(s.data, s.bytes);
}

bool made_same(const struct mr_col *want, const struct mr_col *got, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++) {
		bool null = mr_col_is_null(want, i);

		if (null != mr_col_is_null(got, i))
			return false;
		// A null reads as zero or nothing, as in a chunk.
		if (!mr_span_eq(made_value(want, i), made_value(got, i)))
			return false;
	}
	return true;
}
