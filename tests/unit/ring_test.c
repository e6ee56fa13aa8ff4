// The SPSC ring: every short history of pushes and pops against a model, wrap-around of the
// counters, and two threads (meant for MODE=tsan too).
#include "host/base/ring.h"
#include "tests/lib/mr_test.h"

#include <pthread.h>
#include <sched.h>

enum { ITEMS = 4, HISTORY = 16, MESSAGES = 200000 };

struct message {
	uint64_t number;
	uint64_t check;
	uint32_t odd;
};

// All 2^16 histories of 16 operations on a ring of 4, starting near the counters' wrap.
static void every_short_history_matches_a_queue(void **)
{
	for (uint32_t history = 0; history < 1u << HISTORY; history++) {
		uint32_t slots[ITEMS], pushed = 0, popped = 0, got;
		struct mr_ring r;

		mr_ring_init(&r, slots, ITEMS, sizeof(slots[0]));
		r.head = r.tail = r.tail_seen = r.head_seen = UINT32_MAX - 5;
		for (int i = 0; i < HISTORY; i++) {
			bool full = pushed - popped == ITEMS, empty = pushed == popped;

			if (history >> i & 1) {
				assert_int_equal(mr_ring_push(&r, &pushed), !full);
				pushed += !full;
			} else {
				assert_int_equal(mr_ring_pop(&r, &got), !empty);
				if (!empty)
					assert_int_equal(got, popped++);
			}
			assert_int_equal(mr_ring_count(&r), pushed - popped);
		}
	}
}

static struct message slots[64];
static struct mr_ring ring;

static void *produce(void *)
{
	for (uint64_t i = 0; i < MESSAGES; i++) {
		struct message m = {i, ~i, (uint32_t)i};

		while (!mr_ring_push(&ring, &m))
			sched_yield();
	}
	return NULL;
}

static void two_threads_pass_everything_once_and_in_order(void **)
{
	pthread_t thread;
	unsigned wrong = 0;

	mr_ring_init(&ring, slots, MR_COUNT_OF(slots), sizeof(slots[0]));
	assert_int_equal(pthread_create(&thread, NULL, produce, NULL), 0);
	for (uint64_t i = 0; i < MESSAGES; i++) {
		struct message m;

		while (!mr_ring_pop(&ring, &m))
			sched_yield();
		wrong += m.number != i || m.check != ~i || m.odd != (uint32_t)i;
	}
	pthread_join(thread, NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(mr_ring_count(&ring), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_history_matches_a_queue),
		cmocka_unit_test(two_threads_pass_everything_once_and_in_order),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
