// Top-k: exact while small, errors within the stated bounds beyond, saving is the identity and
// damage is refused.
#include "kernels/topk.h"

#include "host/base/hash.h"
#include "host/base/rand.h"
#include "tests/lib/mr_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;

// Item `i` as text; every seventh is empty or long.
static struct mr_span item_text(uint64_t i, char *room)
{
	if (i == 0)
		return mr_span(room, 0);
	return mr_span(room, (size_t)snprintf(room, 400, i % 7 ? "item-%llu" : "%0300llu",
				     (unsigned long long)i));
}

static void add_item(struct mr_topk *t, uint64_t i, uint64_t count)
{
	char room[400];

	assert_int_equal(mr_topk_add(t, item_text(i, room), count), 0);
}

// Rank by a Zipf-like law: small numbers are frequent.
static uint64_t zipf(struct mr_rand *r, uint64_t n)
{
	return (uint64_t)pow((double)n, mr_rand_unit(r)) - 1;
}

static bool same(const struct mr_topk *a, const struct mr_topk *b)
{
	uint8_t *x = malloc(mr_topk_save_bytes_max(a)), *y = malloc(mr_topk_save_bytes_max(b));
	int m = mr_topk_save(a, x), n = mr_topk_save(b, y);
	bool equal = m > 0 && m == n && memcmp(x, y, (size_t)m) == 0;

	free(x);
	free(y);
	return equal;
}

static void topk_is_exact_and_orderless_while_small(void **)
{
	struct mr_topk_item top[100];
	struct mr_topk up, down, other;

	mr_topk_init(&up, 64);
	mr_topk_init(&down, 64);
	mr_topk_init(&other, 64);
	for (uint64_t i = 0; i < 64; i++) {
		add_item(&up, i, 1 + i / 2);
		add_item(i % 2 ? &down : &other, 63 - i, 1 + (63 - i) / 2);
	}
	assert_int_equal(mr_topk_merge(&down, &other), 0);
	assert_true(same(&up, &down));
	assert_int_equal(mr_topk_error(&up), 0);
	assert_int_equal(mr_topk_list(&up, 3, top), 3);
	assert_int_equal(top[0].count, 32);
	assert_int_equal(top[1].count, 32);
	assert_int_equal(top[2].count, 31);
	assert_true(mr_span_cmp(top[0].item, top[1].item) < 0);
	assert_int_equal(mr_topk_list(&up, 100, top), 64);
	mr_topk_fini(&up);
	mr_topk_fini(&down);
	mr_topk_fini(&other);
}

static void topk_error_stays_below_the_bound(void **)
{
	enum { ITEMS = 20000, ROWS = 200000, PARTS = 4 };
	static uint64_t truth[ITEMS];
	struct mr_topk_item top[64];
	struct mr_topk t[PARTS];
	struct mr_rand r;
	char room[400];
	int n;

	mr_rand_init(&r, seed);
	for (int p = 0; p < PARTS; p++)
		mr_topk_init(&t[p], 256);
	for (int i = 0; i < ROWS; i++) {
		uint64_t item = zipf(&r, ITEMS);

		truth[item]++;
		add_item(&t[mr_rand_below(&r, PARTS)], item, 1);
	}
	for (int p = 1; p < PARTS; p++)
		assert_int_equal(mr_topk_merge(&t[0], &t[p]), 0);
	assert_int_equal(t[0].total, ROWS);
	assert_true(mr_topk_error(&t[0]) <= 2 * ROWS / 256);
	n = mr_topk_list(&t[0], 64, top);
	printf("error %llu, bound %d\n", (unsigned long long)mr_topk_error(&t[0]), 2 * ROWS / 256);
	for (uint64_t i = 0; i < ITEMS; i++) {
		struct mr_span want = item_text(i, room);
		bool found = false;

		want.bytes = MR_MIN(want.bytes, MR_TOPK_ITEM_BYTES_MAX);
		for (int k = 0; k < n; k++) {
			if (want.bytes == MR_TOPK_ITEM_BYTES_MAX || !mr_span_eq(top[k].item, want))
				continue;
			found = true;
			assert_true(top[k].count <= truth[i]);
			assert_true(truth[i] <= top[k].count + mr_topk_error(&t[0]));
		}
		if (i < 6)
			assert_true(found);
	}
	assert_true(mr_topk_memory(&t[0]) <= 256 * (96 + MR_TOPK_ITEM_BYTES_MAX * 2));
	for (int p = 0; p < PARTS; p++)
		mr_topk_fini(&t[p]);
}

static void topk_save_is_identity_and_damage_is_refused(void **)
{
	static uint8_t saved[200000];
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (int n = 0; n < 3000; n = n * 3 + 1) {
		struct mr_topk t, back;
		int bytes;

		mr_topk_init(&t, 256);
		for (int i = 0; i < n; i++)
			add_item(&t, zipf(&r, 2000), 1);
		assert_true(mr_topk_save_bytes_max(&t) <= sizeof(saved));
		bytes = mr_topk_save(&t, saved);
		assert_true(bytes > 0);
		assert_int_equal(mr_topk_load(&back, mr_span(saved, (size_t)bytes)), 0);
		assert_true(same(&t, &back));
		mr_topk_fini(&back);
		for (int round = 0; round < 100; round++) {
			size_t at = mr_rand_below(&r, (uint64_t)bytes);

			saved[at] ^= 1;
			assert_int_equal(
				mr_topk_load(&back, mr_span(saved, (size_t)bytes)), MR_ERR_CORRUPT);
			saved[at] ^= 1;
			assert_int_equal(mr_topk_load(&back, mr_span(saved, at)), MR_ERR_CORRUPT);
		}
		mr_topk_fini(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(topk_is_exact_and_orderless_while_small),
		cmocka_unit_test(topk_error_stays_below_the_bound),
		cmocka_unit_test(topk_save_is_identity_and_damage_is_refused),
	};
	const char *given = getenv("MR_SEED");

	seed = given ? strtoull(given, NULL, 0) : 20251121;
	printf("MR_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
