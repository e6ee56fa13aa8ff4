// When a worker is in the real-time class and when not.
#include "host/urgency.h"
#include "tests/lib/mr_test.h"

static bool window(struct mr_urgency *u, int percent)
{
	int64_t now = u->since_ns + MR_URGENCY_WINDOW_NS;

	assert_false(mr_urgency_due(u, now - 1));
	assert_true(mr_urgency_due(u, now));
	return mr_urgency_step(u, now, u->cpu_ns + MR_URGENCY_WINDOW_NS / 100 * percent);
}

static void worker_is_urgent_while_it_is_mostly_idle(void **)
{
	struct mr_urgency u = {0};

	assert_true(window(&u, 0));
	assert_true(u.urgent);
	assert_false(window(&u, 20));
	assert_true(u.urgent);
}

static void busy_worker_gives_way_until_it_is_idle_again(void **)
{
	struct mr_urgency u = {0};

	assert_true(window(&u, 10));
	assert_true(window(&u, 90));
	assert_false(u.urgent);
	assert_false(window(&u, 100));
	assert_false(u.urgent);
	assert_true(window(&u, 10));
	assert_true(u.urgent);
}

static void between_the_bounds_nothing_changes(void **)
{
	struct mr_urgency u = {0};

	assert_false(window(&u, 40));
	assert_false(u.urgent);
	window(&u, 5);
	assert_false(window(&u, 40));
	assert_true(u.urgent);
}

// A window that took long (the thread slept, or was kept from running) counts in proportion.
static void long_window_counts_in_proportion(void **)
{
	struct mr_urgency u = {0};

	assert_true(mr_urgency_step(&u, 10LL * MR_URGENCY_WINDOW_NS, MR_URGENCY_WINDOW_NS));
	assert_true(u.urgent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_is_urgent_while_it_is_mostly_idle),
		cmocka_unit_test(busy_worker_gives_way_until_it_is_idle_again),
		cmocka_unit_test(between_the_bounds_nothing_changes),
		cmocka_unit_test(long_window_counts_in_proportion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
