// The memory budget printed at the start: its total is the sum of the limits, and too much of it
// is said.
#include "host/memory_plan.h"
#include "tests/lib/mr_test.h"

#include <stdlib.h>
#include <string.h>

static uint64_t total(const char *key, const char *value)
{
	struct mr_memory_plan plan;
	struct mr_config c;
	struct mr_diag d;

	mr_config_init(&c);
	assert_int_equal(mr_config_set(&c, "sql.memory_bytes", "1GiB", &d), 0);
	if (key)
		assert_int_equal(mr_config_set(&c, key, value, &d), 0);
	mr_memory_plan(&c, &plan);
	return plan.total_bytes;
}

static void total_grows_with_every_limit(void **)
{
	const uint64_t before = total(NULL, NULL), mib = 1 << 20;

	assert_int_equal(total("sql.memory_bytes", "2GiB") - before, 1024 * mib);
	// A query's own limit and more sessions do not multiply the memory of queries.
	assert_int_equal(total("sql.query_bytes_max", "64GiB"), before);
	assert_true(total("sql.connections_max", "200") - before < 200 * mib);
	// Beside itself, what says where the batches in it lie.
	assert_true(total("log.ring_bytes", "128MiB") - before > 64 * mib);
	assert_true(total("log.ring_bytes", "128MiB") - before < 256 * mib);
	assert_true(total("table.chunk_bytes_max", "128MiB") - before >= 9 * 64 * mib);
	assert_int_equal(total("kafka.memory_bytes", "512MiB") - before, 256 * mib);
	assert_int_equal(total("table.memory_bytes", "4GiB") - before, 2048 * mib);
	assert_int_equal(total("view.memory_bytes", "1GiB") - before, 512 * mib);
	// What is a worker's is there for each of them.
	assert_true(total("workers", "2") - before > 2048 * mib);
	assert_true(total("workers", "2") < 2 * before);
}

static void printed(uint64_t ram_bytes, char *out, size_t bytes)
{
	FILE *f = fmemopen(out, bytes, "w");
	struct mr_memory_plan plan;
	struct mr_config c;

	assert_non_null(f);
	mr_config_init(&c);
	mr_memory_plan(&c, &plan);
	mr_memory_plan_print(&plan, ram_bytes, f);
	fclose(f);
}

static void table_names_the_settings_and_warns_once(void **)
{
	char text[4096];

	printed(UINT64_MAX, text, sizeof(text));
	assert_non_null(strstr(text, "sql.memory_bytes"));
	assert_non_null(strstr(text, "total"));
	assert_null(strstr(text, "warning"));
	printed(64 << 20, text, sizeof(text));
	assert_non_null(strstr(text, "warning"));
	printed(0, text, sizeof(text));
	assert_null(strstr(text, "warning"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(total_grows_with_every_limit),
		cmocka_unit_test(table_names_the_settings_and_warns_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
