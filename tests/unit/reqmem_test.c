// Request memory: a random history against a map of bytes, joining of blocks, the waiting line.
#include "dataplane/reqmem.h"
#include "host/base/rand.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20, LIVE_MAX = 300, SEED = 77 };

struct live {
	uint8_t *p;
	size_t bytes;
	uint8_t mark;
};

static void check(const struct live *l)
{
	for (size_t i = 0; i < l->bytes; i += 509)
		assert_int_equal(l->p[i], l->mark);
	assert_int_equal(l->p[l->bytes - 1], l->mark);
}

static void random_history_never_overlaps_and_joins_again(void **)
{
	struct live live[LIVE_MAX] = {0};
	struct mr_reqmem *m;
	struct mr_rand r;
	size_t pages = 0, failed = 0;

	printf("seed %d\n", SEED);
	mr_rand_init(&r, SEED);
	assert_int_equal(mr_reqmem_create(16 * MIB, -1, &m), 0);
	for (int i = 0; i < 20000; i++) {
		struct live *l = &live[mr_rand_below(&r, LIVE_MAX)];

		if (l->p) {
			check(l);
			mr_reqmem_free(m, l->p);
			pages -= (l->bytes + 4095) / 4096;
			l->p = NULL;
		} else {
			l->bytes = 1 + mr_rand_below(&r, 1ull << (10 + mr_rand_below(&r, 11)));
			l->p = mr_reqmem_alloc(m, l->bytes);
			failed += !l->p;
			if (!l->p)
				continue;
			assert_int_equal((uintptr_t)l->p % 4096, 0);
			l->mark = (uint8_t)i;
			memset(l->p, l->mark, l->bytes);
			pages += (l->bytes + 4095) / 4096;
		}
		assert_int_equal(mr_reqmem_used(m), pages * 4096);
	}
	assert_true(failed > 0);
	for (int i = 0; i < LIVE_MAX; i++)
		if (live[i].p)
			mr_reqmem_free(m, live[i].p);
	// All joined again: the whole region is one block.
	live[0].p = mr_reqmem_alloc(m, 16 * MIB);
	assert_non_null(live[0].p);
	mr_reqmem_free(m, live[0].p);
	mr_reqmem_destroy(m);
}

static void blocks_take_whole_pages_and_no_more(void **)
{
	struct mr_reqmem *m;
	uint8_t *p[4];

	assert_int_equal(mr_reqmem_create(4 * MIB, -1, &m), 0);
	p[0] = mr_reqmem_alloc(m, (132 << 10) + 1);
	assert_int_equal(mr_reqmem_used(m), 136 << 10);
	p[1] = mr_reqmem_alloc(m, 1);
	assert_int_equal(mr_reqmem_used(m), 140 << 10);
	// What an allocation does not need of its power of two is there for others.
	p[2] = mr_reqmem_alloc(m, 2 * MIB);
	p[3] = mr_reqmem_alloc(m, MIB);
	assert_true(p[0] && p[1] && p[2] && p[3]);
	assert_null(mr_reqmem_alloc(m, MIB));
	assert_int_equal(mr_reqmem_counters(m)->failed, 1);
	for (int i = 0; i < 4; i++)
		mr_reqmem_free(m, p[i]);
	assert_int_equal(mr_reqmem_used(m), 0);
	mr_reqmem_destroy(m);
}

static void sizes_beyond_the_largest_block_are_refused(void **)
{
	struct mr_reqmem *m;

	assert_int_equal(mr_reqmem_create(12 * MIB, -1, &m), 0);
	assert_int_equal(mr_reqmem_block_max(m), 8 * MIB);
	assert_null(mr_reqmem_alloc(m, 9 * MIB));
	assert_null(mr_reqmem_alloc(m, SIZE_MAX));
	assert_null(mr_reqmem_alloc(m, (size_t)MR_REQMEM_BLOCK_MAX + 1));
	mr_reqmem_destroy(m);
}

struct waiter {
	struct mr_reqmem_wait wait;
	uint8_t *got;
};

static void keep(struct mr_reqmem_wait *w, uint8_t *memory)
{
	MR_CONTAINER(w, struct waiter, wait)->got = memory;
}

static void waiters_are_served_in_order_and_not_overtaken(void **)
{
	struct waiter w[3] = {
		{{.ready = keep}, NULL}, {{.ready = keep}, NULL}, {{.ready = keep}, NULL}};
	struct mr_reqmem *m;
	uint8_t *p[8];

	assert_int_equal(mr_reqmem_create(8 * MIB, -1, &m), 0);
	for (int i = 0; i < 7; i++)
		assert_non_null(p[i] = mr_reqmem_admit(m, MIB));
	// The last eighth is for what goes out.
	assert_null(mr_reqmem_admit(m, 4096));
	mr_reqmem_wait(m, &w[0].wait, 2 * MIB);
	mr_reqmem_wait(m, &w[1].wait, 4096);
	mr_reqmem_wait(m, &w[2].wait, 4096);
	assert_non_null(p[7] = mr_reqmem_alloc(m, MIB));
	mr_reqmem_free(m, p[0]);
	assert_int_equal(mr_reqmem_serve(m), 0);
	assert_null(mr_reqmem_admit(m, 4096)); // there is room, but others were first
	mr_reqmem_unwait(m, &w[1].wait);
	for (int i = 1; i < 4; i++)
		mr_reqmem_free(m, p[i]);
	assert_int_equal(mr_reqmem_serve(m), 2);
	assert_true(w[0].got && !w[1].got && w[2].got);
	assert_false(mr_reqmem_has_waiters(m));
	mr_reqmem_free(m, w[0].got);
	mr_reqmem_free(m, w[2].got);
	for (int i = 4; i < 8; i++)
		mr_reqmem_free(m, p[i]);
	mr_reqmem_destroy(m);
}

static void what_fits_only_alone_is_admitted_alone(void **)
{
	struct mr_reqmem *m;
	uint8_t *p;

	assert_int_equal(mr_reqmem_create(8 * MIB, -1, &m), 0);
	assert_non_null(p = mr_reqmem_admit(m, 8 * MIB));
	mr_reqmem_free(m, p);
	mr_reqmem_destroy(m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_history_never_overlaps_and_joins_again),
		cmocka_unit_test(blocks_take_whole_pages_and_no_more),
		cmocka_unit_test(sizes_beyond_the_largest_block_are_refused),
		cmocka_unit_test(waiters_are_served_in_order_and_not_overtaken),
		cmocka_unit_test(what_fits_only_alone_is_admitted_alone),
	};

	return cmocka_run_group_tests_name("reqmem", tests, NULL, NULL);
}
