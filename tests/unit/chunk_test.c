// Chunks: what was committed is read back, what was aborted is not, limits hold, and a reader on
// another thread never sees anything but the rows as they were written.
#include "host/base/hash.h"
#include "host/base/rand.h"
#include "kernels/chunk.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define POOL_BYTES (64u << 20)

static const struct mr_typeref types[] = {
	{.type = MR_TYPE_INT8},
	{.type = MR_TYPE_TEXT},
	{.type = MR_TYPE_BOOL},
	{.type = MR_TYPE_TEXT},
	{.type = MR_TYPE_NUMERIC},
};
#define COLUMNS MR_COUNT_OF(types)
static const bool plain_4th[COLUMNS] = {[3] = true};

static struct mr_chunk_pool *pool_of(size_t bytes)
{
	struct mr_chunk_pool *p;

	assert_int_equal(mr_chunk_pool_create(bytes, -1, &p), 0);
	return p;
}

static int set_str(struct mr_chunk *c, uint32_t column, const char *s)
{
	return mr_chunk_set_bytes(c, column, (const uint8_t *)s, strlen(s));
}

static struct mr_str get_str(const struct mr_chunk *c, uint32_t column, uint32_t row)
{
	struct mr_dict dict;
	struct mr_col col;

	mr_chunk_column_view(c, column, &col, &dict);
	return mr_col_str(&col, row);
}

static bool get_null(const struct mr_chunk *c, uint32_t column, uint32_t row)
{
	struct mr_dict dict;
	struct mr_col col;

	mr_chunk_column_view(c, column, &col, &dict);
	return mr_col_is_null(&col, row);
}

static void chunk_reads_back_rows_and_forgets_aborted_ones(void **)
{
	struct mr_chunk_pool *p = pool_of(POOL_BYTES);
	struct mr_chunk *c;

	assert_int_equal(mr_chunk_create(p, types, COLUMNS, plain_4th, POOL_BYTES, &c), 0);
	for (int i = 0; i < 300; i++) {
		char text[32];

		snprintf(text, sizeof(text), "value %d", i % 7);
		mr_chunk_row_begin(c);
		*(int64_t *)mr_chunk_slot(c, 0) = i;
		assert_int_equal(set_str(c, 1, text), 0);
		if (i % 5)
			assert_int_equal(set_str(c, 3, text), 0);
		if (i % 3 == 0) {
			mr_chunk_row_abort(c);
			continue;
		}
		if (i % 2)
			mr_chunk_set_null(c, 1);
		mr_chunk_row_commit(c);
	}
	assert_int_equal(c->rows, 200);
	assert_int_equal(mr_chunk_rows(c), 0);
	mr_chunk_publish(c, c->rows);
	for (uint32_t row = 0; row < 200; row++) {
		uint32_t i = row / 2 * 3 + row % 2 + 1;
		char text[32];

		snprintf(text, sizeof(text), "value %u", i % 7);
		assert_int_equal(((int64_t *)c->columns[0].values)[row], i);
		assert_int_equal(get_null(c, 1, row), i % 2);
		assert_int_equal(get_null(c, 3, row), i % 5 == 0);
		assert_true(get_null(c, 2, row) && get_null(c, 4, row));
		assert_false(get_null(c, 0, row));
		for (uint32_t column = 1; column <= 3; column += 2) {
			struct mr_str s = get_str(c, column, row);

			if (get_null(c, column, row))
				continue;
			assert_int_equal(s.bytes, strlen(text));
			assert_memory_equal(s.data, text, s.bytes);
		}
	}
	assert_int_equal(c->columns[1].dict != NULL, 1);
	mr_chunk_put(c);
	assert_int_equal(mr_chunk_pool_bytes_used(p), 0);
	mr_chunk_pool_destroy(p);
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

static bool is_resident(const void *memory)
{
	unsigned char there = 0;

	assert_int_equal(mincore((void *)(uintptr_t)memory, 4096, &there), 0);
	return there & 1;
}

// Half at each end of what was never taken, told once, and there before it is taken.
static void pool_commits_memory_ahead(void **)
{
	enum { BLOCK = MR_CHUNK_BLOCK_BYTES };
	struct mr_chunk_pool *p = pool_of(32 * BLOCK), *share;
	void *runs, *last[4], *one;
	int told = 0;

	mr_chunk_pool_keep_ahead(p, 8 * BLOCK, count_call, &told);
	assert_false(mr_chunk_pool_commit_ahead(p));
	assert_int_equal(mr_chunk_pool_share(p, &share), 0);
	assert_int_equal(told, 1);
	for (int i = 0; i < 8; i++)
		assert_true(mr_chunk_pool_commit_ahead(p));
	assert_false(mr_chunk_pool_commit_ahead(p));
	assert_int_equal(mr_chunk_pool_bytes_committed(p), 8 * BLOCK);
	runs = mr_chunk_pool_take(share, 3 * BLOCK);
	one = mr_chunk_pool_take(share, BLOCK);
	assert_int_equal(told, 2);
	assert_true(is_resident(runs) && is_resident((uint8_t *)runs + 3 * BLOCK - 4096));
	assert_true(is_resident(one) && is_resident((uint8_t *)one - 3 * BLOCK));
	assert_false(is_resident((uint8_t *)one - 4 * BLOCK));
	while (mr_chunk_pool_commit_ahead(p))
		;
	assert_int_equal(mr_chunk_pool_bytes_committed(p), 12 * BLOCK);
	// What comes back is taken again: nothing more is needed.
	mr_chunk_pool_give(share, runs, 3 * BLOCK);
	assert_ptr_equal(mr_chunk_pool_take(share, 2 * BLOCK), runs);
	assert_false(mr_chunk_pool_commit_ahead(p));
	assert_int_equal(told, 2);
	// To the last block, from both ends.
	for (int i = 0; i < 4; i++)
		last[i] = mr_chunk_pool_take(share, (i % 2 ? 1 : 12) * BLOCK);
	assert_non_null(last[1]);
	while (mr_chunk_pool_commit_ahead(p))
		;
	assert_true(mr_chunk_pool_bytes_committed(p) <= 32 * BLOCK);
	for (int i = 0; i < 4; i++)
		if (last[i])
			mr_chunk_pool_give(share, last[i], (i % 2 ? 1 : 12) * BLOCK);
	mr_chunk_pool_give(share, runs, 2 * BLOCK);
	mr_chunk_pool_give(share, one, BLOCK);
	mr_chunk_pool_destroy(share);
	mr_chunk_pool_destroy(p);
}

static void chunk_dictionary_holds_every_distinct_string_once(void **)
{
	struct mr_chunk_pool *p = pool_of(POOL_BYTES);
	struct mr_typeref text = {.type = MR_TYPE_TEXT};
	struct mr_chunk *c;
	struct mr_dict dict;
	struct mr_col col;
	struct mr_rand r;

	mr_rand_init(&r, 1);
	assert_int_equal(mr_chunk_create(p, &text, 1, NULL, POOL_BYTES, &c), 0);
	for (uint32_t i = 0; i < MR_CHUNK_ROWS; i++) {
		uint64_t v = mr_rand_below(&r, 20000) + 1;

		mr_chunk_row_begin(c);
		assert_int_equal(mr_chunk_set_bytes(c, 0, (const uint8_t *)&v, sizeof(v)), 0);
		mr_chunk_row_commit(c);
	}
	assert_true(c->full);
	mr_rand_init(&r, 1);
	mr_chunk_column_view(c, 0, &col, &dict);
	assert_true(dict.count <= 20001 && dict.count > 15000);
	for (uint32_t i = 0; i < MR_CHUNK_ROWS; i++) {
		uint64_t v = mr_rand_below(&r, 20000) + 1;

		assert_true(col.codes[i] < dict.count);
		assert_memory_equal(mr_col_str(&col, i).data, &v, sizeof(v));
	}
	assert_false(mr_chunk_prefers_plain(c, 0));
	mr_chunk_put(c);
	mr_chunk_pool_destroy(p);
}

// Distinct strings in every row, and more strings in aborted rows than the dictionary can hold.
static void chunk_is_full_when_its_dictionary_is(void **)
{
	struct mr_chunk_pool *p = pool_of(POOL_BYTES);
	struct mr_typeref text = {.type = MR_TYPE_TEXT};
	struct mr_chunk *c;
	uint64_t v = 0;
	int err = 0;

	assert_int_equal(mr_chunk_create(p, &text, 1, NULL, POOL_BYTES, &c), 0);
	while (!c->full) {
		v++;
		mr_chunk_row_begin(c);
		err = mr_chunk_set_bytes(c, 0, (const uint8_t *)&v, sizeof(v));
		if (err || v % 2)
			mr_chunk_row_abort(c);
		else
			mr_chunk_row_commit(c);
	}
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(v, MR_CHUNK_DICT_ENTRIES);
	assert_int_equal(c->rows, MR_CHUNK_DICT_ENTRIES / 2 - 1);
	assert_true(mr_chunk_prefers_plain(c, 0));
	mr_chunk_put(c);
	mr_chunk_pool_destroy(p);
}

static void chunk_empty_string_is_not_null(void **)
{
	struct mr_chunk_pool *p = pool_of(POOL_BYTES);
	struct mr_chunk *c;

	assert_int_equal(mr_chunk_create(p, types, COLUMNS, plain_4th, POOL_BYTES, &c), 0);
	mr_chunk_row_begin(c);
	assert_int_equal(set_str(c, 1, ""), 0);
	assert_int_equal(set_str(c, 3, ""), 0);
	mr_chunk_row_commit(c);
	assert_false(get_null(c, 1, 0) || get_null(c, 3, 0));
	assert_int_equal(get_str(c, 1, 0).bytes + get_str(c, 3, 0).bytes, 0);
	mr_chunk_put(c);
	mr_chunk_pool_destroy(p);
}

static void chunk_keeps_its_byte_limit_but_takes_any_first_row(void **)
{
	struct mr_chunk_pool *p = pool_of(POOL_BYTES);
	size_t big_bytes = 5u << 20;
	uint8_t *big = calloc(1, big_bytes);
	struct mr_chunk *c;

	assert_int_equal(mr_chunk_create(p, types, COLUMNS, plain_4th, 0, &c), 0);
	assert_int_equal(c->bytes, mr_chunk_bytes_min(types, COLUMNS, plain_4th));
	mr_chunk_row_begin(c);
	assert_int_equal(mr_chunk_set_bytes(c, 1, big, big_bytes), 0);
	assert_int_equal(mr_chunk_set_bytes(c, 3, big, big_bytes), 0);
	mr_chunk_row_commit(c);
	mr_chunk_row_begin(c);
	assert_int_equal(mr_chunk_set_bytes(c, 3, big, big_bytes), -ENOMEM);
	mr_chunk_row_abort(c);
	assert_true(c->full);
	assert_int_equal(get_str(c, 1, 0).bytes, big_bytes);
	mr_chunk_put(c);
	assert_int_equal(mr_chunk_pool_bytes_used(p), 0);
	mr_chunk_pool_destroy(p);
	free(big);
}

static void chunk_pool_used_up_is_an_error_and_memory_comes_back(void **)
{
	size_t bytes = mr_chunk_bytes_min(types, COLUMNS, NULL);
	struct mr_chunk_pool *p = pool_of(3 * bytes);
	struct mr_chunk *c[3], *more;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(mr_chunk_create(p, types, COLUMNS, NULL, bytes, &c[i]), 0);
		assert_int_equal(mr_chunk_create(p, types, COLUMNS, NULL, bytes, &more), -ENOMEM);
		assert_int_equal(mr_chunk_pool_bytes_used(p), mr_chunk_pool_bytes_max(p));
		mr_chunk_row_begin(c[0]);
		assert_int_equal(set_str(c[0], 1, "no room left"), -ENOMEM);
		mr_chunk_row_abort(c[0]);
		for (int i = 0; i < 3; i++)
			mr_chunk_put(c[(i + round) % 3]);
	}
	assert_int_equal(mr_chunk_pool_bytes_used(p), 0);
	mr_chunk_pool_destroy(p);
}

static void chunk_pool_random_takes_never_overlap(void **)
{
	enum { SLOTS = 40 };
	struct mr_chunk_pool *p = pool_of(32u << 20);
	uint8_t *held[SLOTS] = {NULL};
	size_t bytes[SLOTS];
	struct mr_rand r;

	mr_rand_init(&r, 7);
	for (int i = 0; i < 5000; i++) {
		size_t s = mr_rand_below(&r, SLOTS);

		if (held[s]) {
			assert_int_equal(held[s][0], s);
			assert_int_equal(held[s][bytes[s] - 1], s);
			mr_chunk_pool_give(p, held[s], bytes[s]);
			held[s] = NULL;
			continue;
		}
		bytes[s] = mr_rand_below(&r, 6 * MR_CHUNK_BLOCK_BYTES) + 1;
		held[s] = mr_chunk_pool_take(p, bytes[s]);
		if (held[s])
			held[s][0] = held[s][bytes[s] - 1] = (uint8_t)s;
	}
	for (size_t s = 0; s < SLOTS; s++)
		if (held[s])
			mr_chunk_pool_give(p, held[s], bytes[s]);
	mr_chunk_pool_destroy(p);
}

static void count_wake(void *arg)
{
	(*(int *)arg)++;
}

static void chunk_pool_keeps_a_share_for_each_and_wakes_whom_it_refused(void **)
{
	enum { BLOCKS = 40, EACH = BLOCKS / 2 / 2 };
	struct mr_chunk_pool *whole = pool_of(BLOCKS * (size_t)MR_CHUNK_BLOCK_BYTES), *a, *b;
	void *held[BLOCKS], *of_b;
	int count = 0, wakes = 0;

	mr_chunk_pool_on_give(whole, count_wake, &wakes);
	assert_int_equal(mr_chunk_pool_share(whole, &a), 0);
	assert_int_equal(mr_chunk_pool_share(whole, &b), 0);
	while ((held[count] = mr_chunk_pool_take(a, MR_CHUNK_BLOCK_BYTES)))
		count++;
	assert_int_equal(count, BLOCKS - EACH);
	assert_false(mr_chunk_pool_has(a, 1));
	assert_true(mr_chunk_pool_has(b, EACH * (size_t)MR_CHUNK_BLOCK_BYTES));
	of_b = mr_chunk_pool_take(b, EACH * (size_t)MR_CHUNK_BLOCK_BYTES);
	assert_non_null(of_b);
	assert_null(mr_chunk_pool_take(b, 1));
	assert_int_equal(
		mr_chunk_pool_bytes_used(a), (size_t)(BLOCKS - EACH) * MR_CHUNK_BLOCK_BYTES);
	assert_int_equal(mr_chunk_pool_bytes_used(whole), mr_chunk_pool_bytes_max(b));
	assert_int_equal(wakes, 0);
	while (count)
		mr_chunk_pool_give(a, held[--count], MR_CHUNK_BLOCK_BYTES);
	assert_int_equal(wakes, 1);
	// More than half of everything: only as the first run of a share.
	held[0] = mr_chunk_pool_take(a, (BLOCKS - EACH) * (size_t)MR_CHUNK_BLOCK_BYTES);
	assert_non_null(held[0]);
	mr_chunk_pool_give(b, of_b, EACH * (size_t)MR_CHUNK_BLOCK_BYTES);
	assert_null(mr_chunk_pool_take(a, 1));
	held[1] = mr_chunk_pool_take_urgent(a, 1);
	assert_non_null(held[1]);
	mr_chunk_pool_give(a, held[1], 1);
	mr_chunk_pool_give(a, held[0], (BLOCKS - EACH) * (size_t)MR_CHUNK_BLOCK_BYTES);
	mr_chunk_pool_destroy(a);
	mr_chunk_pool_destroy(b);
	mr_chunk_pool_destroy(whole);
}

// Row i holds i in column 0, its text in columns 1 and 3 (NULL for each 10th row).
static void *check_while_written(void *arg)
{
	struct mr_chunk *c = arg;
	uint32_t rows;

	do {
		struct mr_col num, dict_col, plain_col;
		struct mr_dict dict, none;

		rows = mr_chunk_rows(c);
		mr_chunk_column_view(c, 0, &num, &none);
		mr_chunk_column_view(c, 1, &dict_col, &dict);
		mr_chunk_column_view(c, 3, &plain_col, &none);
		for (uint32_t i = rows > 500 ? rows - 500 : 0; i < rows; i++) {
			bool null = plain_col.valid &&
				    !(__atomic_load_n(&plain_col.valid[i / 64], __ATOMIC_RELAXED) >>
						    (i % 64) &
					    1);
			struct mr_str a = mr_col_str(&dict_col, i);
			char text[32];

			MR_ASSERT(((const int64_t *)num.values)[i] == i);
			MR_ASSERT(null == (i % 10 == 0));
			MR_ASSERT(dict_col.codes[i] < dict.count);
			snprintf(text, sizeof(text), "%u", i % 1000);
			MR_ASSERT(a.bytes == strlen(text) && !memcmp(a.data, text, a.bytes));
			if (!null)
				MR_ASSERT(!memcmp(mr_col_str(&plain_col, i).data, text, a.bytes));
		}
	} while (rows < MR_CHUNK_ROWS);
	mr_chunk_put(c);
	return NULL;
}

static void chunk_readers_see_rows_as_written(void **)
{
	struct mr_chunk_pool *p = pool_of(POOL_BYTES);
	struct mr_chunk *c;
	pthread_t readers[2];
	unsigned refused = 0;

	assert_int_equal(mr_chunk_create(p, types, COLUMNS, plain_4th, POOL_BYTES, &c), 0);
	for (int i = 0; i < 2; i++) {
		mr_chunk_get(c);
		assert_int_equal(pthread_create(&readers[i], NULL, check_while_written, c), 0);
	}
	for (uint32_t i = 0; i < MR_CHUNK_ROWS; i++) {
		char text[32];

		mr_chunk_row_begin(c);
		snprintf(text, sizeof(text), "%u", i % 1000);
		*(int64_t *)mr_chunk_slot(c, 0) = i;
		refused += set_str(c, 1, text) != 0;
		if (i % 10)
			refused += set_str(c, 3, text) != 0;
		mr_chunk_row_commit(c);
		if (i % 16 == 15)
			mr_chunk_publish(c, c->rows);
	}
	mr_chunk_put(c);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(refused, 0);
	assert_int_equal(mr_chunk_pool_bytes_used(p), 0);
	mr_chunk_pool_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunk_reads_back_rows_and_forgets_aborted_ones),
		cmocka_unit_test(pool_commits_memory_ahead),
		cmocka_unit_test(chunk_dictionary_holds_every_distinct_string_once),
		cmocka_unit_test(chunk_is_full_when_its_dictionary_is),
		cmocka_unit_test(chunk_empty_string_is_not_null),
		cmocka_unit_test(chunk_keeps_its_byte_limit_but_takes_any_first_row),
		cmocka_unit_test(chunk_pool_used_up_is_an_error_and_memory_comes_back),
		cmocka_unit_test(chunk_pool_random_takes_never_overlap),
		cmocka_unit_test(chunk_pool_keeps_a_share_for_each_and_wakes_whom_it_refused),
		cmocka_unit_test(chunk_readers_see_rows_as_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
