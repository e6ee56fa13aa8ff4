// Merging segments: the output has the rows of its inputs, one behind the other, bit for bit; small
// blocks become large ones; damage, a stop or a full disk leave no file and say why.
#include "storage/segment_merge.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/segment_make.h"
#include "tests/lib/segment_ref.h"

#include <errno.h>
#include <stdlib.h>

enum { INPUTS_MAX = 6, OUTPUT = 1000 };

struct inputs {
	struct mr_io_sim sim;
	uint32_t count;
	struct made made[INPUTS_MAX];
	struct mr_segment *segments[INPUTS_MAX];
};

static void add_input(
	struct inputs *n, struct mr_rand *r, uint32_t blocks, uint32_t rows, int shape)
{
	struct made *m = &n->made[n->count];
	struct mr_segment_info info;

	*m = made_segment(r, blocks, rows, shape);
	m->info.id = 10 + n->count;
	assert_int_equal(made_segment_write(&n->sim, m), 0);
	info = m->info;
	// Two partitions in turn, each range behind the one before.
	info.ranges_count = 1;
	info.ranges = calloc(1, sizeof(*info.ranges));
	*info.ranges = (struct mr_offset_range){n->count % 2, n->count * 100, n->count * 100 + 50};
	info.merges = (uint16_t)(n->count == 1 ? 4 : 0);
	assert_int_equal(mr_segment_create(&n->sim.disk, &info, &n->segments[n->count++]), 0);
}

// The same `count` segments at each run.
static void inputs_make(struct inputs *n, uint32_t count, uint32_t blocks, uint32_t rows, int shape)
{
	struct mr_rand r;

	mr_rand_init(&r, 1);
	made_disk(&n->sim, 1);
	while (n->count < count)
		add_input(n, &r, blocks, rows, shape);
}

static void inputs_free(struct inputs *n)
{
	for (uint32_t i = 0; i < n->count; i++) {
		made_segment_free(&n->made[i]);
		mr_segment_put(n->segments[i]);
	}
	mr_io_sim_fini(&n->sim);
}

static struct mr_segment_merge merge_of(struct inputs *n)
{
	return (struct mr_segment_merge){.disk = &n->sim.disk,
		.inputs = n->segments,
		.inputs_count = n->count,
		.level = 3,
		.gather_bytes = 1 << 20};
}

// Row `row` of column `c` of all inputs.
static struct mr_span wanted(const struct inputs *n, uint32_t c, uint64_t row, bool *null)
{
	for (uint32_t i = 0;; i++) {
		const struct made *m = &n->made[i];
		const struct mr_col *col;

		assert_true(i < n->count);
		if (row >= (uint64_t)m->blocks * m->rows) {
			row -= (uint64_t)m->blocks * m->rows;
			continue;
		}
		col = &m->cols[row / m->rows * MADE_COLUMNS + c];
		*null = mr_col_is_null(col, row % m->rows);
		return made_value(col, (uint32_t)(row % m->rows));
	}
}

static void check_rows(struct inputs *n, const struct mr_segment_info *info)
{
	struct mr_segment_info copy = *info;
	struct mr_segment_reader *r;
	struct mr_segment *s;
	struct mr_diag diag;

	copy.ranges = NULL;
	assert_int_equal(mr_segment_create(&n->sim.disk, &copy, &s), 0);
	assert_int_equal(mr_segment_reader_create(1, &r), 0);
	for (uint32_t c = 0; c < MADE_COLUMNS; c++) {
		uint64_t at = 0;

		assert_int_equal(mr_segment_reader_open(r, s, MR_SEGMENT_ROWS, &c, 1, &diag), 0);
		for (uint32_t b = 0; b < mr_segment_reader_section(r)->blocks_count; b++) {
			const struct mr_col *col;
			int rows = mr_segment_reader_block(r, b, &col, &diag);

			assert_true(rows > 0);
			for (uint32_t i = 0; i < (uint32_t)rows; i++, at++) {
				bool null;
				struct mr_span want = wanted(n, c, at, &null);

				assert_int_equal(null, mr_col_is_null(col, i));
				assert_true(null || mr_span_eq(want, made_value(col, i)));
			}
		}
		assert_int_equal(at, info->rows);
	}
	mr_segment_reader_destroy(r);
	mr_segment_put(s);
}

static void check_file(struct inputs *n, const struct mr_segment_info *info)
{
	uint8_t *bytes = malloc(info->file_bytes);
	char name[MR_SEGMENT_NAME_BYTES];
	struct ref_segment ref;
	struct mr_file *f;

	mr_segment_name(info->id, name);
	assert_int_equal(mr_file_open(&n->sim.disk, name, MR_FILE_READ, &f), 0);
	assert_int_equal(mr_file_read(f, 0, bytes, info->file_bytes), info->file_bytes);
	mr_file_close(f);
	assert_true(ref_segment_read(bytes, info->file_bytes, &ref));
	assert_int_equal(ref.id, info->id);
	assert_int_equal(ref.sections[0].rows, info->rows);
	ref_segment_free(&ref);
	free(bytes);
}

static bool has_output(struct inputs *n)
{
	char name[MR_SEGMENT_NAME_BYTES];
	struct mr_file *f;

	mr_segment_name(OUTPUT, name);
	if (mr_file_open(&n->sim.disk, name, MR_FILE_READ, &f) < 0)
		return false;
	mr_file_close(f);
	return true;
}

// ---- tests

static void merge_gives_the_rows_of_its_inputs_in_order(void **)
{
	static const uint32_t rows[] = {1, 7, 64, 65, 1000, 3000};
	uint64_t seed = mr_rand_seed_os();
	struct mr_rand r;

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	for (int round = 0; round < 12; round++) {
		struct mr_segment_info info = {.id = OUTPUT};
		struct inputs n = {0};
		struct mr_segment_merge m;
		struct mr_diag diag;
		uint64_t total = 0;

		made_disk(&n.sim, seed);
		for (uint64_t i = 1 + mr_rand_below(&r, INPUTS_MAX); i > 0; i--)
			add_input(&n, &r, 1 + (uint32_t)mr_rand_below(&r, 3),
				rows[mr_rand_below(&r, MR_COUNT_OF(rows))], round % 7 - 1);
		m = merge_of(&n);
		assert_int_equal(mr_segment_merge_run(&m, &info, &diag), 0);
		for (uint32_t i = 0; i < n.count; i++)
			total += n.made[i].info.rows;
		assert_int_equal(info.rows, total);
		assert_int_equal(info.fingerprint, n.made[0].info.fingerprint);
		assert_int_equal(info.level, 3);
		assert_int_equal(info.merges, n.count > 1 ? 5 : 1);
		assert_true(m.bytes_peak > 0);
		check_rows(&n, &info);
		check_file(&n, &info);
		free(info.ranges);
		inputs_free(&n);
	}
}

static void merge_joins_ranges_and_times(void **)
{
	struct mr_segment_info info = {.id = OUTPUT};
	struct inputs n = {0};
	struct mr_segment_merge m;
	struct mr_diag diag;

	inputs_make(&n, 5, 1, 10, RISING);
	n.segments[1]->info.time_min = -5;
	n.segments[3]->info.time_max = INT64_MAX - 1;
	m = merge_of(&n);
	assert_int_equal(mr_segment_merge_run(&m, &info, &diag), 0);
	assert_int_equal(info.ranges_count, 2);
	assert_int_equal(info.ranges[0].partition, 0);
	assert_int_equal(info.ranges[0].from, 0);
	assert_int_equal(info.ranges[0].to, 450);
	assert_int_equal(info.ranges[1].partition, 1);
	assert_int_equal(info.ranges[1].from, 100);
	assert_int_equal(info.ranges[1].to, 350);
	assert_int_equal(info.time_min, -5);
	assert_int_equal(info.time_max, INT64_MAX - 1);
	free(info.ranges);
	inputs_free(&n);
}

static uint32_t blocks_of(struct inputs *n, size_t gather_bytes)
{
	struct mr_segment_info info = {.id = OUTPUT}, copy;
	struct mr_segment_merge m = merge_of(n);
	struct mr_segment_reader *r;
	struct mr_segment *s;
	struct mr_diag diag;
	uint32_t blocks;

	m.gather_bytes = gather_bytes;
	assert_int_equal(mr_segment_merge_run(&m, &info, &diag), 0);
	copy = info;
	copy.ranges = NULL;
	assert_int_equal(mr_segment_create(&n->sim.disk, &copy, &s), 0);
	assert_int_equal(mr_segment_reader_create(1, &r), 0);
	assert_int_equal(mr_segment_reader_open(r, s, MR_SEGMENT_ROWS, NULL, 0, &diag), 0);
	blocks = mr_segment_reader_section(r)->blocks_count;
	mr_segment_reader_destroy(r);
	atomic_store(&s->dropped, true);
	mr_segment_put(s);
	free(info.ranges);
	return blocks;
}

static void merge_makes_small_blocks_one_within_its_memory(void **)
{
	struct inputs n = {0};

	inputs_make(&n, 4, 3, 500, WILD);
	assert_int_equal(blocks_of(&n, 16 << 20), 1);
	// No memory: each block stays by itself.
	assert_int_equal(blocks_of(&n, 1), 12);
	inputs_free(&n);
}

static void merge_leaves_damage_alone_and_names_it(void **)
{
	char name[MR_SEGMENT_NAME_BYTES];
	struct mr_segment_info info = {.id = OUTPUT};
	struct inputs n = {0};
	struct mr_segment_merge m;
	struct mr_diag diag;

	inputs_make(&n, 3, 2, 100, -1);
	mr_segment_name(n.segments[1]->info.id, name);
	assert_true(mr_io_sim_flip(&n.sim, name, MR_SEGMENT_HEAD_BYTES + 1000, 1));
	m = merge_of(&n);
	assert_int_equal(mr_segment_merge_run(&m, &info, &diag), MR_ERR_CORRUPT);
	assert_non_null(strstr(diag.message, name));
	assert_string_equal(diag.sqlstate, "XX001");
	for (uint32_t i = 0; i < n.count; i++)
		assert_int_equal(atomic_load(&n.segments[i]->damaged), i == 1);
	assert_false(has_output(&n));
	assert_null(info.ranges);
	inputs_free(&n);
}

static int stop_later(void *ctx)
{
	return --*(int *)ctx < 0 ? (int)MR_ERR_CANCELLED : 0;
}

static void merge_stops_when_told(void **)
{
	struct inputs n = {0};
	int rc = MR_ERR_CANCELLED, steps;

	inputs_make(&n, 2, 1, 100, -1);
	for (steps = 0; rc == MR_ERR_CANCELLED; steps++) {
		struct mr_segment_info info = {.id = OUTPUT};
		struct mr_segment_merge m = merge_of(&n);
		struct mr_diag diag;
		int left = steps;

		m.step = stop_later;
		m.ctx = &left;
		rc = mr_segment_merge_run(&m, &info, &diag);
		assert_int_equal(has_output(&n), rc == 0);
		free(info.ranges);
	}
	assert_int_equal(rc, 0);
	assert_true(steps > MADE_COLUMNS);
	inputs_free(&n);
}

static void merge_that_fails_leaves_no_file(void **)
{
	struct inputs n = {0};
	int rc = -1;

	inputs_make(&n, 2, 1, 100, -1);
	for (uint64_t at = 1; rc < 0; at++) {
		struct mr_segment_info info = {.id = OUTPUT};
		struct mr_segment_merge m = merge_of(&n);
		struct mr_diag diag;

		n.sim.fault = (struct mr_io_sim_fault){.at = n.sim.ops + at, .err = -ENOSPC};
		rc = mr_segment_merge_run(&m, &info, &diag);
		assert_int_equal(has_output(&n), rc == 0);
		assert_false(atomic_load(&n.segments[0]->damaged));
		free(info.ranges);
	}
	inputs_free(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge_gives_the_rows_of_its_inputs_in_order),
		cmocka_unit_test(merge_joins_ranges_and_times),
		cmocka_unit_test(merge_makes_small_blocks_one_within_its_memory),
		cmocka_unit_test(merge_leaves_damage_alone_and_names_it),
		cmocka_unit_test(merge_stops_when_told),
		cmocka_unit_test(merge_that_fails_leaves_no_file),
	};

	return cmocka_run_group_tests_name("segment_merge", tests, NULL, NULL);
}
