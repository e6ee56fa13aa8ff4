// The plan of descriptors: what is kept for whom under any limit.
#include "host/descriptors.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <string.h>

static struct mr_config settings(uint64_t workers)
{
	struct mr_config c;

	mr_config_init(&c);
	c.workers = workers;
	return c;
}

static void enough_descriptors_lower_nothing(void **)
{
	struct mr_config c = settings(4), before = c;
	struct mr_descriptors d;
	struct mr_diag diag;

	assert_int_equal(mr_descriptors_plan(&c, 1 << 20, &d, &diag), 0);
	assert_false(mr_descriptors_are_few(&d));
	assert_int_equal(d.kafka, 40000);
	assert_true(d.kafka_end > 40000 && d.sessions_end - d.kafka_end >= 2 * (100 + 64));
	mr_descriptors_apply(&d, &c);
	assert_int_equal(c.log_open_files_max, before.log_open_files_max);
	assert_int_equal(c.sql_connections_max, before.sql_connections_max);
	assert_int_equal(c.http_connections_max, before.http_connections_max);
	assert_int_equal(c.kafka_descriptors_end, d.kafka_end);
	assert_int_equal(c.sessions_descriptors_end, d.sessions_end);
}

// What is said to be wanted is: with one less somebody has less.
static void wanted_is_the_first_limit_that_is_enough(void **)
{
	struct mr_config c = settings(2);
	struct mr_descriptors d;
	struct mr_diag diag;
	uint64_t wanted;

	assert_int_equal(mr_descriptors_plan(&c, 1024, &d, &diag), 0);
	assert_true(mr_descriptors_are_few(&d));
	wanted = d.wanted;
	assert_int_equal(mr_descriptors_plan(&c, wanted, &d, &diag), 0);
	assert_false(mr_descriptors_are_few(&d));
	assert_int_equal(d.kafka, d.kafka_max);
	assert_int_equal(mr_descriptors_plan(&c, wanted - 1, &d, &diag), 0);
	assert_true(mr_descriptors_are_few(&d) && d.kafka < d.kafka_max);
}

// Every limit, from the least that starts: the storage has what it cannot do without, each server
// has seats, Kafka has connections, and nothing is promised twice.
static void every_limit_leaves_something_for_everybody(void **)
{
	static const uint64_t workers[] = {1, 2, 8, 64, 128};

	for (size_t i = 0; i < MR_COUNT_OF(workers); i++) {
		struct mr_config c = settings(workers[i]);
		uint64_t started = 0;

		for (uint64_t limit = 0; limit < 20000; limit += 1 + limit / 50) {
			struct mr_descriptors d;
			struct mr_diag diag;

			if (mr_descriptors_plan(&c, limit, &d, &diag) < 0) {
				assert_int_equal(started, 0);
				continue;
			}
			started += 1;
			assert_true(d.files >= 32 + 4 * workers[i]);
			assert_true(d.kafka > 0 && d.kafka + d.files <= limit);
			assert_true(d.kafka_end < d.sessions_end && d.sessions_end < limit);
			assert_int_equal(d.sessions_end + d.files, limit);
			assert_true(d.sql_connections_max >= 2 && d.http_connections_max >= 2);
			assert_in_range(d.log_open_files_max, 16, 256);
			assert_true(d.log_open_files_max <= d.files / 2);
		}
		assert_true(started > 100);
	}
}

static void too_few_for_the_storage_are_refused_with_what_to_type(void **)
{
	struct mr_config c = settings(2);
	struct mr_descriptors d;
	struct mr_diag diag;
	char want[64];

	assert_int_equal(mr_descriptors_plan(&c, 64, &d, &diag), -EMFILE);
	assert_non_null(strstr(diag.message, "64 file descriptors are too few"));
	snprintf(want, sizeof(want), "LimitNOFILE=%llu", (unsigned long long)d.wanted);
	assert_non_null(strstr(diag.hint, want));
}

static void seats_are_not_raised_above_the_settings(void **)
{
	struct mr_config c = settings(1);
	struct mr_descriptors d;
	struct mr_diag diag;

	c.sql_connections_max = c.http_connections_max = 1;
	assert_int_equal(mr_descriptors_plan(&c, 150, &d, &diag), 0);
	assert_int_equal(d.sql_connections_max, 1);
	assert_int_equal(d.http_connections_max, 1);
}

static void our_own_tcp_takes_none_for_connections(void **)
{
	struct mr_config c = settings(2);
	struct mr_descriptors d;
	struct mr_diag diag;

	c.dataplane = MR_DATAPLANE_DPDK;
	assert_int_equal(mr_descriptors_plan(&c, 2048, &d, &diag), 0);
	assert_false(mr_descriptors_are_few(&d));
	assert_int_equal(d.kafka_max, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enough_descriptors_lower_nothing),
		cmocka_unit_test(wanted_is_the_first_limit_that_is_enough),
		cmocka_unit_test(every_limit_leaves_something_for_everybody),
		cmocka_unit_test(too_few_for_the_storage_are_refused_with_what_to_type),
		cmocka_unit_test(seats_are_not_raised_above_the_settings),
		cmocka_unit_test(our_own_tcp_takes_none_for_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
