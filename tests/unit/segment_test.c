// Segments: every type and every shape of values comes back bit for bit, through the reader and
// through the slow reader of tests/lib; every flipped byte is an error; bounds and sums are right.
#include "host/base/dec.h"
#include "host/base/rand.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/segment_int.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/segment_make.h"
#include "tests/lib/segment_ref.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Reads all of it: 0 and as it was written, or an error. Wrong values fail the test.
static int read_all(struct mr_io_sim *sim, const struct made *m, struct mr_diag *diag)
{
	uint32_t columns[MADE_COLUMNS];
	struct mr_segment_reader *r;
	struct mr_segment *s;
	int rc;

	for (uint32_t c = 0; c < MADE_COLUMNS; c++)
		columns[c] = (uint32_t)MADE_COLUMNS - 1 - c;
	assert_int_equal(mr_segment_create(&sim->disk, &m->info, &s), 0);
	assert_int_equal(mr_segment_reader_create(MADE_COLUMNS, &r), 0);
	rc = mr_segment_reader_open(r, s, MR_SEGMENT_ROWS, columns, MADE_COLUMNS, diag);
	for (uint32_t b = 0; rc >= 0 && b < m->blocks; b++) {
		const struct mr_col *cols;

		rc = mr_segment_reader_block(r, b, &cols, diag);
		if (rc < 0)
			break;
		assert_int_equal(rc, m->rows);
		for (uint32_t c = 0; c < MADE_COLUMNS; c++)
			assert_true(made_same(
				&m->cols[b * MADE_COLUMNS + columns[c]], &cols[c], m->rows));
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
	assert_int_equal(ref.sections[0].columns_count, MADE_COLUMNS);
	for (uint32_t b = 0; b < m->blocks; b++) {
		for (uint32_t c = 0; c < MADE_COLUMNS; c++) {
			const struct mr_col *col = &m->cols[b * MADE_COLUMNS + c];
			const struct ref_value *v = &ref.sections[0].columns[c].values[b * m->rows];

			for (uint32_t i = 0; i < m->rows; i++) {
				assert_int_equal(v[i].null, mr_col_is_null(col, i));
				if (!v[i].null)
					assert_true(mr_span_eq(mr_span(v[i].data, v[i].bytes),
						made_value(col, i)));
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
			struct made m = made_segment(
				&r, 1 + (uint32_t)mr_rand_below(&r, 3), rows[n], shape);
			struct mr_io_sim sim;
			struct mr_diag diag = {0};

			made_disk(&sim, seed);
			assert_int_equal(made_segment_write(&sim, &m), 0);
			if (read_all(&sim, &m, &diag) < 0)
				fail_msg("shape %d rows %u: %s", shape, rows[n], diag.message);
			check_ref(&sim, &m);
			made_segment_free(&m);
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
	made_disk(&sim, 1);
	m = made_segment(&r, 1, MR_ENCODE_ROWS_MAX, -1);
	assert_int_equal(made_segment_write(&sim, &m), 0);
	assert_int_equal(read_all(&sim, &m, &diag), 0);
	made_segment_free(&m);
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
	made_disk(&sim, 2);
	m = made_segment(&r, 2, 20, -1);
	assert_int_equal(made_segment_write(&sim, &m), 0);
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
	made_segment_free(&m);
	mr_io_sim_fini(&sim);
}

// A reader's slot is used for one column after another: room for values of another type, left from
// before, is not this column's to write to.
static void column_of_codes_with_nulls_writes_to_codes_only(void **)
{
	enum { ROWS = 100 };
	struct mr_str strings[ROWS] = {0};
	uint64_t valid[8] = {0x5555, 0x5555}, valid_out[16];
	uint32_t codes[ROWS], codes_out[ROWS + MR_COL_PAD / 4];
	uint8_t values[ROWS], untouched[ROWS];
	const struct mr_col col = {.type = {MR_TYPE_TEXT, 0, 0},
		.phys = MR_PHYS_BYTES,
		.values = strings,
		.valid = valid};
	const struct mr_column_out out = {values, codes_out, valid_out};
	struct mr_block_stats stats;
	struct mr_buf b = {0};
	struct mr_coder c;

	for (uint32_t i = 0; i < ROWS; i++)
		codes[i] = 1 + i % 7;
	memset(values, 0x5a, sizeof(values));
	memcpy(untouched, values, sizeof(values));
	assert_int_equal(mr_coder_init(&c), 0);
	mr_column_encode(&c, &col, codes, ROWS, &b, &stats);
	assert_true(mr_buf_room(&b, MR_ENCODE_PAD) != NULL);
	assert_int_equal(
		mr_column_decode(&c, mr_buf_span(&b), MR_PHYS_BYTES, 8, ROWS, &out), stats.nulls);
	assert_memory_equal(values, untouched, sizeof(values));
	for (uint32_t i = 0; i < ROWS; i++)
		assert_int_equal(codes_out[i], mr_bit_get(valid, i) ? codes[i] : 0);
	mr_coder_fini(&c);
	mr_buf_fini(&b);
}

static void segment_write_that_fails_leaves_no_file(void **)
{
	struct mr_io_sim sim;
	struct mr_rand r;
	struct made m;
	uint64_t ops;

	mr_rand_init(&r, 3);
	made_disk(&sim, 3);
	m = made_segment(&r, 1, 100, -1);
	ops = sim.ops;
	assert_int_equal(made_segment_write(&sim, &m), 0);
	ops = sim.ops - ops;
	for (uint64_t at = 1; at <= ops; at++) {
		char name[MR_SEGMENT_NAME_BYTES];
		struct mr_file *f;

		m.info.id = 100 + at;
		sim.fault = (struct mr_io_sim_fault){.at = sim.ops + at, .err = -ENOSPC};
		assert_int_equal(made_segment_write(&sim, &m), -ENOSPC);
		mr_segment_name(m.info.id, name);
		assert_int_equal(mr_file_open(&sim.disk, name, MR_FILE_READ, &f), -ENOENT);
	}
	made_segment_free(&m);
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
		const struct mr_typeref type = made_types[i % 2 ? 3 : 8];
		struct made_column c = made_column(&r, type, (enum made_shape)(i % SHAPES), 500, 3);
		struct mr_block_stats s;
		__int128 sum = 0;
		uint32_t nulls = 0;

		mr_buf_reset(&out);
		mr_column_encode(&coder, &c.col, NULL, 500, &out, &s);
		for (uint32_t k = 0; k < 500; k++) {
			struct mr_span v = made_value(&c.col, k);

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
		made_column_free(&c, 500);
	}
	mr_buf_fini(&out);
	mr_coder_fini(&coder);
}

// Blocks of 8 MiB of strings that neither repeat nor compress.
struct strings {
	struct mr_rand rand;
	struct mr_str *values;
	uint8_t *bytes;
};

enum { STRINGS = 1024, STRING_BYTES = 8192 };

static int strings_read(void *ctx, uint32_t, uint32_t block, struct mr_col *out)
{
	struct strings *s = ctx;

	mr_rand_init(&s->rand, block + 1);
	for (size_t i = 0; i < STRINGS * STRING_BYTES; i += 8)
		mr_store_le64(s->bytes + i, mr_rand_u64(&s->rand));
	for (uint32_t i = 0; i < STRINGS; i++)
		s->values[i] = (struct mr_str){
			.data = s->bytes + (size_t)i * STRING_BYTES, .bytes = STRING_BYTES};
	*out = (struct mr_col){
		.type = {MR_TYPE_BYTEA, 0, 0}, .phys = MR_PHYS_BYTES, .values = s->values};
	return 0;
}

static void writer_takes_no_more_than_it_says_for_large_blocks(void **)
{
	struct strings s = {.values = calloc(STRINGS, sizeof(*s.values)),
		.bytes = malloc(STRINGS * STRING_BYTES)};
	const struct mr_segment_column column = {1, {MR_TYPE_BYTEA, 0, 0}};
	const struct mr_segment_rows rows[] = {
		{STRINGS, NULL}, {STRINGS / 3, NULL}, {STRINGS, NULL}};
	struct mr_segment_source sources[MR_SEGMENT_SECTIONS] = {
		{.columns = &column,
			.columns_count = 1,
			.blocks = rows,
			.blocks_count = MR_COUNT_OF(rows),
			.read = strings_read,
			.ctx = &s,
			.time_column = MR_SEGMENT_NO_COLUMN,
			.time_fallback = MR_SEGMENT_NO_COLUMN},
		{.columns = &column, .columns_count = 1},
	};
	struct mr_segment_info info = {.id = 9, .table_id = 1};
	struct mr_segment_writer *w;
	struct mr_io_sim sim;
	size_t block = STRINGS * STRING_BYTES;

	made_disk(&sim, 1);
	assert_int_equal(mr_segment_writer_create(&sim.disk, &w), 0);
	assert_int_equal(mr_segment_write(w, sources, &info), 0);
	assert_true(mr_segment_writer_bytes_peak(w) > 2 * block - (1 << 20));
	assert_true(mr_segment_writer_bytes_peak(w) <=
		    mr_segment_writer_bytes_max((uint64_t)3 * STRINGS, block));
	// And keeps next to nothing of that.
	assert_true(mr_segment_writer_bytes(w) < mr_segment_writer_bytes_peak(w) - block);
	mr_segment_writer_destroy(w);
	mr_io_sim_fini(&sim);
	free(s.values);
	free(s.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_gives_back_every_type_in_every_shape),
		cmocka_unit_test(segment_gives_back_a_full_block),
		cmocka_unit_test(writer_takes_no_more_than_it_says_for_large_blocks),
		cmocka_unit_test(segment_never_serves_a_flipped_byte),
		cmocka_unit_test(column_of_codes_with_nulls_writes_to_codes_only),
		cmocka_unit_test(segment_write_that_fails_leaves_no_file),
		cmocka_unit_test(block_stats_hold_for_every_value),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
