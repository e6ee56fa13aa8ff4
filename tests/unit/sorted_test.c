// The sorted list against a plain array of flags: what it holds after random changes, and that a
// list which somebody keeps never changes.
#include "host/base/rand.h"
#include "host/base/sorted.h"
#include "tests/lib/mr_test.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES = 2000 };

struct item {
	int value;
	int references;
};

static int compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static void get(void *item)
{
	((struct item *)item)->references++;
}

static void put(void *item)
{
	((struct item *)item)->references--;
}

static const struct mr_sorted_form form = {compare, get, put};

static void assert_holds(const struct mr_sorted *s, struct item *items, const bool *has)
{
	struct mr_sorted_at at = {0};
	size_t count = 0;

	for (int i = 0; i < VALUES; i++) {
		assert_ptr_equal(mr_sorted_find(s, &items[i]), has[i] ? &items[i] : NULL);
		if (!has[i])
			continue;
		assert_ptr_equal(mr_sorted_next(s, &at), &items[i]);
		count++;
	}
	assert_null(mr_sorted_next(s, &at));
	assert_int_equal(mr_sorted_count(s), count);
}

static void change(struct mr_sorted **s, struct mr_rand *r, struct item *items, bool *has, int most)
{
	int i = (int)mr_rand_below(r, VALUES);

	if ((int)mr_rand_below(r, VALUES) < most) {
		mr_sorted_add(s, &items[i]);
		has[i] = true;
	} else {
		assert_int_equal(mr_sorted_remove(s, &items[i]), has[i]);
		has[i] = false;
	}
}

static void kept_lists_stay_as_they_are_while_others_change(void **)
{
	enum { KEPT = 8 };
	static struct item items[VALUES];
	static bool has[VALUES], kept_has[KEPT][VALUES];
	struct mr_sorted *s = mr_sorted_create(&form), *kept[KEPT] = {0};
	struct mr_rand r;

	mr_rand_init(&r, 21);
	for (int i = 0; i < VALUES; i++)
		items[i] = (struct item){i, 0};
	assert_holds(s, items, has);
	for (int step = 0; step < 20000; step++) {
		change(&s, &r, items, has, step % 4000 < 2500 ? VALUES * 4 / 5 : VALUES / 10);
		if (step % 500)
			continue;
		int k = (int)mr_rand_below(&r, KEPT);

		mr_sorted_put(kept[k]);
		kept[k] = mr_sorted_get(s);
		memcpy(kept_has[k], has, sizeof(has));
		for (k = 0; k < KEPT; k++)
			if (kept[k])
				assert_holds(kept[k], items, kept_has[k]);
	}
	assert_holds(s, items, has);
	mr_sorted_put(s);
	for (int k = 0; k < KEPT; k++)
		mr_sorted_put(kept[k]);
	for (int i = 0; i < VALUES; i++)
		assert_int_equal(items[i].references, 0);
}

static void an_equal_item_takes_the_place_of_the_old(void **)
{
	struct item a = {1, 0}, b = {1, 0};
	struct mr_sorted *s = mr_sorted_create(&form);

	mr_sorted_add(&s, &a);
	mr_sorted_add(&s, &b);
	assert_int_equal(mr_sorted_count(s), 1);
	assert_ptr_equal(mr_sorted_find(s, &a), &b);
	assert_int_equal(a.references, 0);
	assert_int_equal(b.references, 1);
	mr_sorted_put(s);
	assert_int_equal(b.references, 0);
}

static void ascending_and_descending_items_are_all_there(void **)
{
	static struct item items[VALUES];
	static bool has[VALUES];

	for (int turn = 0; turn < 2; turn++) {
		struct mr_sorted *s = mr_sorted_create(&form);

		for (int i = 0; i < VALUES; i++) {
			int at = turn ? VALUES - 1 - i : i;

			items[at] = (struct item){at, 0};
			mr_sorted_add(&s, &items[at]);
			has[at] = true;
		}
		assert_holds(s, items, has);
		for (int i = 0; i < VALUES; i++) {
			assert_true(mr_sorted_remove(&s, &items[i]));
			has[i] = false;
		}
		assert_holds(s, items, has);
		mr_sorted_put(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_lists_stay_as_they_are_while_others_change),
		cmocka_unit_test(an_equal_item_takes_the_place_of_the_old),
		cmocka_unit_test(ascending_and_descending_items_are_all_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
