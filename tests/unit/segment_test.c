// Segments: every type and every shape of values comes back bit for bit, through the reader and
// through the slow reader of tests/lib; every flipped byte is an error; bounds and sums are right.
#include "host/base/dec.h"
#include "host/base/rand.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/segment_int.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/segment_ref.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct mr_typeref types[] = {
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
#define COLUMNS MR_COUNT_OF(types)

// Shapes that each encoding is made for, and those it must survive.
enum shape { CONSTANT, RUNS, RISING, SMALL, WILD, EDGES, SHAPES };

static int64_t edge(struct mr_rand *r)
{
	static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1,
		INT64_MAX, INT32_MIN, INT32_MAX, 1ll << 56, -(1ll << 56), 1ll << 53};

	return edges[mr_rand_below(r, MR_COUNT_OF(edges))];
}

static int64_t integer(struct mr_rand *r, enum shape shape, uint32_t row)
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

static double real(struct mr_rand *r, enum shape shape, uint32_t row)
{
	static const double edges[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 5e-324, 1.7e308, 0x1p53,
		0x1p53 + 2, 0.1, 1e15, 1e-15, 123456.789};

	if (shape == EDGES)
		return edges[mr_rand_below(r, MR_COUNT_OF(edges))];
	if (shape == WILD)
		return mr_rand_unit(r) * 1e10;
	return (double)(integer(r, shape, row) % 1000000) / 100;
}

// Column `c` of a block in memory of its own.
struct column {
	struct mr_col col;
	uint8_t *values;
	uint64_t *valid;
};

static void fill_value(
	struct mr_rand *r, struct mr_typeref type, enum shape shape, uint32_t row, uint8_t *to)
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

static struct column make_column(
	struct mr_rand *r, struct mr_typeref type, enum shape shape, uint32_t rows, unsigned nulls)
{
	enum mr_phys phys = mr_type_phys(type);
	size_t width = mr_phys_bytes(phys);
	struct column c = {.values = calloc(rows + 8, width), .valid = calloc(rows / 64 + 9, 8)};
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

static void free_column(struct column *c, uint32_t rows)
{
	for (uint32_t i = 0; c->col.phys == MR_PHYS_BYTES && i < rows; i++)
		if (mr_bit_get(c->valid, i))
			free((void *)(uintptr_t)((struct mr_str *)(void *)c->values)[i].data);
	free(c->values);
	free(c->valid);
}

// A whole segment in memory of the test.
struct made {
	uint32_t blocks, rows;
	struct column *columns; // block * COLUMNS + column
	struct mr_col *cols;
	struct mr_segment_rows *parts;
	struct mr_segment_column heads[COLUMNS];
	struct mr_segment_info info;
};

static struct made make_segment(struct mr_rand *r, uint32_t blocks, uint32_t rows, int shape)
{
	struct made m = {.blocks = blocks, .rows = rows, .info = {.id = 7, .table_id = 9}};

	m.columns = calloc(blocks * COLUMNS, sizeof(*m.columns));
	m.cols = calloc(blocks * COLUMNS, sizeof(*m.cols));
	m.parts = calloc(blocks, sizeof(*m.parts));
	for (uint32_t b = 0; b < blocks; b++) {
		for (uint32_t c = 0; c < COLUMNS; c++) {
			enum shape s =
				(enum shape)(shape < 0 ? (int)mr_rand_below(r, SHAPES) : shape);
			struct column *col = &m.columns[b * COLUMNS + c];
			static const unsigned nulls[] = {0, 0, 1, 2, 50};

			*col = make_column(
				r, types[c], s, rows, nulls[mr_rand_below(r, MR_COUNT_OF(nulls))]);
			m.cols[b * COLUMNS + c] = col->col;
			m.heads[c] = (struct mr_segment_column){c + 1, types[c]};
		}
		m.parts[b] = (struct mr_segment_rows){rows, &m.cols[b * COLUMNS]};
	}
	return m;
}

static void free_segment(struct made *m)
{
	for (uint32_t i = 0; i < m->blocks * COLUMNS; i++)
		free_column(&m->columns[i], m->rows);
	free(m->columns);
	free(m->cols);
	free(m->parts);
}

static int write_segment(struct mr_io_sim *sim, struct made *m)
{
	const struct mr_segment_source sources[MR_SEGMENT_SECTIONS] = {
		{m->heads, COLUMNS, m->parts, m->blocks}, {m->heads, COLUMNS, NULL, 0}};
	struct mr_segment_writer *w;
	int rc;

	assert_int_equal(mr_segment_writer_create(&sim->disk, &w), 0);
	rc = mr_segment_write(w, sources, &m->info);
	mr_segment_writer_destroy(w);
	return rc;
}

static void sim_open(struct mr_io_sim *sim, uint64_t seed)
{
	struct mr_diag diag;

	mr_io_sim_init(sim, &(struct mr_io_sim_options){.seed = seed});
	assert_int_equal(mr_dir_init(&sim->disk, &diag), 0);
}

// ---- comparing

static struct mr_span value_of(const struct mr_col *c, uint32_t row)
{
	size_t width = mr_phys_bytes((enum mr_phys)c->phys);
	struct mr_str s;

	if (c->phys != MR_PHYS_BYTES)
		return mr_span((const uint8_t *)c->values + row * width, width);
	s = mr_col_str(c, row);
	return mr_span(s.data, s.bytes);
}

static bool same(const struct mr_col *want, const struct mr_col *got, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++) {
		bool null = mr_col_is_null(want, i);

		if (null != mr_col_is_null(got, i))
			return false;
		// A null reads as zero or nothing, as in a chunk.
		if (!mr_span_eq(value_of(want, i), value_of(got, i)))
			return false;
	}
	return true;
}

// Reads all of it: 0 and as it was written, or an error. Wrong values fail the test.
static int read_all(struct mr_io_sim *sim, const struct made *m, struct mr_diag *diag)
{
	uint32_t columns[COLUMNS];
	struct mr_segment_reader *r;
	struct mr_segment *s;
	int rc;

	for (uint32_t c = 0; c < COLUMNS; c++)
		columns[c] = (uint32_t)COLUMNS - 1 - c;
	assert_int_equal(mr_segment_create(&sim->disk, &m->info, &s), 0);
	assert_int_equal(mr_segment_reader_create(COLUMNS, &r), 0);
	rc = mr_segment_reader_open(r, s, MR_SEGMENT_ROWS, columns, COLUMNS, diag);
	for (uint32_t b = 0; rc >= 0 && b < m->blocks; b++) {
		const struct mr_col *cols;

		rc = mr_segment_reader_block(r, b, &cols, diag);
		if (rc < 0)
			break;
		assert_int_equal(rc, m->rows);
		for (uint32_t c = 0; c < COLUMNS; c++)
			assert_true(same(&m->cols[b * COLUMNS + columns[c]], &cols[c], m->rows));
	}
	mr_segment_reader_destroy(r);
	mr_segment_put(s);
	return MR_MIN(rc, 0);
}

static uint8_t *file_of(struct mr_io_sim *sim, const struct made *m)
{
	uint8_t *bytes = malloc(m->info.file_bytes);
	char name[MR_SEGMENT_NAME_BYTES];
	struct mr_file *f;

	mr_segment_name(m->info.id, name);
	assert_int_equal(mr_file_open(&sim->disk, name, MR_FILE_READ, &f), 0);
	assert_int_equal(mr_file_read(f, 0, bytes, m->info.file_bytes), m->info.file_bytes);
	mr_file_close(f);
	return bytes;
}

static void check_ref(struct mr_io_sim *sim, const struct made *m)
{
	uint8_t *file = file_of(sim, m);
	struct ref_segment ref;

	assert_true(ref_segment_read(file, m->info.file_bytes, &ref));
	assert_int_equal(ref.id, m->info.id);
	assert_int_equal(ref.table_id, m->info.table_id);
	assert_int_equal(ref.sections[0].rows, (uint64_t)m->blocks * m->rows);
	assert_int_equal(ref.sections[0].columns_count, COLUMNS);
	for (uint32_t b = 0; b < m->blocks; b++) {
		for (uint32_t c = 0; c < COLUMNS; c++) {
			const struct mr_col *col = &m->cols[b * COLUMNS + c];
			const struct ref_value *v = &ref.sections[0].columns[c].values[b * m->rows];

			for (uint32_t i = 0; i < m->rows; i++) {
				assert_int_equal(v[i].null, mr_col_is_null(col, i));
				if (!v[i].null)
					assert_true(mr_span_eq(
						mr_span(v[i].data, v[i].bytes), value_of(col, i)));
			}
		}
	}
	ref_segment_free(&ref);
	free(file);
}

// ---- tests

static void segment_gives_back_every_type_in_every_shape(void **)
{
	static const uint32_t rows[] = {1, 2, 63, 64, 65, 1000, 5000};
	uint64_t seed = mr_rand_seed_os();
	struct mr_rand r;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	for (int shape = -1; shape < SHAPES; shape++) {
		for (size_t n = 0; n < MR_COUNT_OF(rows); n++) {
			struct made m = make_segment(
				&r, 1 + (uint32_t)mr_rand_below(&r, 3), rows[n], shape);
			struct mr_io_sim sim;
			struct mr_diag diag = {0};

			sim_open(&sim, seed);
			assert_int_equal(write_segment(&sim, &m), 0);
			if (read_all(&sim, &m, &diag) < 0)
				fail_msg("shape %d rows %u: %s", shape, rows[n], diag.message);
			check_ref(&sim, &m);
			free_segment(&m);
			mr_io_sim_fini(&sim);
		}
	}
}

static void segment_gives_back_a_full_block(void **)
{
	struct mr_io_sim sim;
	struct mr_diag diag;
	struct mr_rand r;
	struct made m;

	mr_rand_init(&r, 1);
	sim_open(&sim, 1);
	m = make_segment(&r, 1, MR_ENCODE_ROWS_MAX, -1);
	assert_int_equal(write_segment(&sim, &m), 0);
	assert_int_equal(read_all(&sim, &m, &diag), 0);
	free_segment(&m);
	mr_io_sim_fini(&sim);
}

static void segment_never_serves_a_flipped_byte(void **)
{
	char name[MR_SEGMENT_NAME_BYTES];
	struct mr_io_sim sim;
	struct mr_diag diag;
	struct mr_rand r;
	struct made m;

	mr_rand_init(&r, 2);
	sim_open(&sim, 2);
	m = make_segment(&r, 2, 20, -1);
	assert_int_equal(write_segment(&sim, &m), 0);
	mr_segment_name(m.info.id, name);
	for (uint64_t at = 0; at < m.info.file_bytes; at++) {
		uint8_t mask = (uint8_t)(1 + mr_rand_below(&r, 255));

		// The head's zeros are all alike: every 16th of them will do.
		if (at > 64 && at < MR_SEGMENT_HEAD_BYTES && at % 16)
			continue;
		assert_true(mr_io_sim_flip(&sim, name, at, mask));
		diag.message[0] = 0;
		if (read_all(&sim, &m, &diag) >= 0)
			fail_msg("byte %llu flipped and nothing said", (unsigned long long)at);
		assert_non_null(strstr(diag.message, "0000000000000007.seg\" offset"));
		assert_string_equal(diag.sqlstate, "XX001");
		assert_true(mr_io_sim_flip(&sim, name, at, mask));
	}
	assert_int_equal(read_all(&sim, &m, &diag), 0);
	free_segment(&m);
	mr_io_sim_fini(&sim);
}

static void segment_write_that_fails_leaves_no_file(void **)
{
	struct mr_io_sim sim;
	struct mr_rand r;
	struct made m;
	uint64_t ops;

	mr_rand_init(&r, 3);
	sim_open(&sim, 3);
	m = make_segment(&r, 1, 100, -1);
	ops = sim.ops;
	assert_int_equal(write_segment(&sim, &m), 0);
	ops = sim.ops - ops;
	for (uint64_t at = 1; at <= ops; at++) {
		char name[MR_SEGMENT_NAME_BYTES];
		struct mr_file *f;

		m.info.id = 100 + at;
		sim.fault = (struct mr_io_sim_fault){.at = sim.ops + at, .err = -ENOSPC};
		assert_int_equal(write_segment(&sim, &m), -ENOSPC);
		mr_segment_name(m.info.id, name);
		assert_int_equal(mr_file_open(&sim.disk, name, MR_FILE_READ, &f), -ENOENT);
	}
	free_segment(&m);
	mr_io_sim_fini(&sim);
}

static void block_stats_hold_for_every_value(void **)
{
	struct mr_buf out = {0};
	struct mr_coder coder;
	struct mr_rand r;

	assert_int_equal(mr_coder_init(&coder), 0);
	mr_rand_init(&r, 4);
	for (int i = 0; i < 60; i++) {
		const struct mr_typeref type = types[i % 2 ? 3 : 8];
		struct column c = make_column(&r, type, (enum shape)(i % SHAPES), 500, 3);
		struct mr_block_stats s;
		__int128 sum = 0;
		uint32_t nulls = 0;

		mr_buf_reset(&out);
		mr_column_encode(&coder, &c.col, NULL, 500, &out, &s);
		for (uint32_t k = 0; k < 500; k++) {
			struct mr_span v = value_of(&c.col, k);

			if (mr_col_is_null(&c.col, k)) {
				nulls++;
				continue;
			}
			if (type.type == MR_TYPE_INT8) {
				int64_t n = (int64_t)mr_load_le64(v.data);

				sum += n;
				assert_true(s.has_bounds && n >= s.min.i && n <= s.max.i);
			} else if (s.has_bounds) {
				struct mr_span low = {s.min.s.data, s.min.s.bytes};
				struct mr_span high = {s.max.s.data, s.max.s.bytes};

				assert_true(mr_span_cmp(low, v) <= 0);
				assert_true(mr_span_cmp(v, high) <= 0);
			}
		}
		assert_int_equal(s.nulls, nulls);
		assert_true(type.type != MR_TYPE_INT8 || (s.has_sum && s.sum == sum));
		free_column(&c, 500);
	}
	mr_buf_fini(&out);
	mr_coder_fini(&coder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_gives_back_every_type_in_every_shape),
		cmocka_unit_test(segment_gives_back_a_full_block),
		cmocka_unit_test(segment_never_serves_a_flipped_byte),
		cmocka_unit_test(segment_write_that_fails_leaves_no_file),
		cmocka_unit_test(block_stats_hold_for_every_value),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
