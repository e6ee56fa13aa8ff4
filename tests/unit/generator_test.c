// Events: the same seed gives the same bytes, and their shape is what benchmarks are told.
#include "client/generator.h"

#include "tests/lib/mr_test.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 200000 };

static struct mr_generator *generator(uint64_t seed)
{
	struct mr_generator *g;

	assert_int_equal(mr_generator_create(seed, MR_GENERATOR_EPOCH_MS, &g), 0);
	return g;
}

// FNV-1a: independent of everything under test.
static uint64_t hash_rows(uint64_t seed, int rows)
{
	struct mr_generator *g = generator(seed);
	uint8_t row[MR_GENERATOR_ROW_BYTES_MAX];
	uint64_t h = 0xcbf29ce484222325u;
	int64_t time;

	for (int i = 0; i < rows; i++) {
		size_t bytes = mr_generator_row(g, row, &time);

		for (size_t k = 0; k < bytes; k++)
			h = (h ^ row[k]) * 0x100000001b3u;
	}
	mr_generator_destroy(g);
	return h;
}

// If this changes, figures taken before and after are of different data: say so where they stand.
static void generator_same_seed_same_bytes(void **)
{
	assert_int_equal(hash_rows(42, 10000), 0xa638ab6e12e2d791u);
	assert_true(hash_rows(42, 1000) == hash_rows(42, 1000));
	assert_true(hash_rows(42, 1000) != hash_rows(43, 1000));
}

// The value of a field as text; `row` ends in NUL.
static const char *field(const char *row, const char *name)
{
	const char *at = strstr(row, name);

	assert_non_null(at);
	return at + strlen(name);
}

static bool is(const char *value, const char *text)
{
	return strncmp(value, text, strlen(text)) == 0;
}

static void generator_rows_have_the_stated_shape(void **)
{
	struct mr_generator *g = generator(7);
	char row[MR_GENERATOR_ROW_BYTES_MAX + 1];
	int ok = 0, bots = 0, electronics = 0, us = 0, late = 0;
	int64_t time, newest = 0;
	double amount = 0, response = 0;
	size_t bytes = 0;

	for (int i = 0; i < ROWS; i++) {
		size_t n = mr_generator_row(g, (uint8_t *)row, &time);

		assert_true(n < MR_GENERATOR_ROW_BYTES_MAX);
		row[n] = 0;
		bytes += n + 1;
		assert_true(row[0] == '{' && row[n - 1] == '}');
		assert_true(strtoll(field(row, "{\"event_time\":"), NULL, 10) == time);
		newest = time > newest ? time : newest;
		late += newest - time > 300;
		assert_in_range(atoi(field(row, "\"user_id\":")), 1, 10000000);
		electronics += is(field(row, "\"category\":"), "\"electronics\"");
		us += is(field(row, "\"country\":"), "\"US\"");
		ok += is(field(row, "\"status\":"), "200");
		bots += is(field(row, "\"is_bot\":"), "true");
		amount += atof(field(row, "\"amount\":"));
		response += atof(field(row, "\"response_time_ms\":"));
	}
	mr_generator_destroy(g);
	print_message("%.1f bytes a row, mean amount %.2f, mean response %.2f ms\n",
		(double)bytes / ROWS, amount / ROWS, response / ROWS);
	assert_in_range(bytes / ROWS, 216, 232);
	assert_in_range(ok, ROWS * 91 / 100, ROWS * 93 / 100);
	assert_in_range(bots, ROWS * 25 / 1000, ROWS * 35 / 1000);
	assert_in_range(electronics, ROWS * 27 / 100, ROWS * 29 / 100); // 1 / H(20)
	assert_in_range(us, ROWS * 12 / 100, ROWS * 24 / 100); // 1 / H(200), few users weigh much
	assert_in_range(late, ROWS * 16 / 100, ROWS * 22 / 100);
	assert_in_range(amount / ROWS, 40, 60); // e^(3.4 + 1/2) = 49
	assert_in_range(response / ROWS, 70, 95);
}

static void generator_has_many_users_and_few_heavy_ones(void **)
{
	struct mr_generator *g = generator(7);
	char row[MR_GENERATOR_ROW_BYTES_MAX + 1];
	uint8_t *seen = calloc(1, 10000001);
	int users = 0, heaviest = 0;
	int64_t time;

	assert_non_null(seen);
	for (int i = 0; i < ROWS; i++) {
		int user;

		row[mr_generator_row(g, (uint8_t *)row, &time)] = 0;
		user = atoi(field(row, "\"user_id\":"));
		users += seen[user] == 0;
		seen[user] = (uint8_t)(seen[user] < 255 ? seen[user] + 1 : 255);
		heaviest += user == 1234568; // rank 0
	}
	free(seen);
	mr_generator_destroy(g);
	print_message("%d users in %d rows, the heaviest has %d\n", users, ROWS, heaviest);
	assert_in_range(users, ROWS / 2, ROWS * 95 / 100);
	assert_in_range(heaviest, ROWS / 400, ROWS / 100); // 1 / zeta_n = 0.45 %
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generator_same_seed_same_bytes),
		cmocka_unit_test(generator_rows_have_the_stated_shape),
		cmocka_unit_test(generator_has_many_users_and_few_heavy_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
