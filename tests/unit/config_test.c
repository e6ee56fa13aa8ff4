// Settings: each kind of value, limits, unknown names, files and flags, ports that overlap.
#include "host/config.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int args(struct mr_config *c, struct mr_diag *d, int argc, char *const *argv)
{
	mr_config_init(c);
	return mr_config_args(c, argc, argv, d);
}

static void flags_and_pairs_are_read(void **)
{
	char *const argv[] = {"millraced", "--data", "/x", "--workers=3", "--set",
		"log.ring_bytes=32MiB", "--set", "kafka.idle_timeout=5s", "--insecure",
		"--sql-port", "0"};
	struct mr_config c;
	struct mr_diag d;

	assert_int_equal(args(&c, &d, 11, argv), 0);
	assert_string_equal(c.data, "/x");
	assert_int_equal(c.workers, 3);
	assert_int_equal(c.log_ring_bytes, 32 << 20);
	assert_int_equal(c.kafka_idle_timeout_ms, 5000);
	assert_true(c.insecure);
	assert_int_equal(c.sql_port, 0);
	assert_int_equal(mr_config_check(&c, &d), 0);
}

static void bad_values_name_the_key(void **)
{
	static const char *const bad[][2] = {{"workers", "0"}, {"workers", "129"},
		{"workers", "-1"}, {"workers", "two"}, {"kafka.port", "65536"},
		{"log.ring_bytes", "1XiB"}, {"log.ring_bytes", ""}, {"kafka.idle_timeout", "5"},
		{"io", "magic"}, {"pin", "maybe"}, {"log.file_bytes", "99999999999GiB"}};
	struct mr_config c;
	struct mr_diag d;

	mr_config_init(&c);
	for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
		assert_int_equal(mr_config_set(&c, bad[i][0], bad[i][1], &d), -22);
		assert_non_null(strstr(d.message, bad[i][0]));
	}
}

static void unknown_key_names_the_nearest(void **)
{
	struct mr_config c;
	struct mr_diag d;

	mr_config_init(&c);
	assert_true(mr_config_set(&c, "log.ring_byte", "1", &d) < 0);
	assert_non_null(strstr(d.hint, "log.ring_bytes"));
	assert_true(mr_config_set(&c, "colour", "red", &d) < 0);
	assert_string_equal(d.hint, "");
}

static void overlapping_ports_are_refused(void **)
{
	char *const argv[] = {
		"millraced", "--data", "/x", "--kafka-port", "5430", "--workers", "4"};
	struct mr_config c;
	struct mr_diag d;

	assert_int_equal(args(&c, &d, 7, argv), 0);
	assert_true(mr_config_check(&c, &d) < 0);
	assert_non_null(strstr(d.message, "overlap"));
}

static void file_is_read_before_flags_and_errors_name_the_line(void **)
{
	char path[] = "/tmp/mr_config_XXXXXX";
	char *const argv[] = {"millraced", "--workers", "2", "--data", "/x", "--config", path};
	int fd = mkstemp(path);
	struct mr_config c;
	struct mr_diag d;

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "# comment\nworkers 7\n  sql.port 6000 # tail\n") > 0);
	assert_int_equal(args(&c, &d, 7, argv), 0);
	assert_int_equal(c.workers, 2);
	assert_int_equal(c.sql_port, 6000);
	assert_true(dprintf(fd, "nonsense 1\n") > 0);
	assert_true(args(&c, &d, 7, argv) < 0);
	assert_non_null(strstr(d.message, "line 4"));
	close(fd);
	unlink(path);
}

static void every_value_prints_and_reads_back(void **)
{
	struct mr_config c, back;
	char text[4096];

	mr_config_init(&c);
	mr_config_init(&back);
	for (size_t i = 0; mr_config_key(i, NULL); i++) {
		mr_config_value(&c, i, text, sizeof(text));
		assert_int_equal(mr_config_set(&back, mr_config_key(i, NULL), text, NULL), 0);
	}
	assert_memory_equal(&c, &back, sizeof(c));
}

static void usage_errors_are_clear(void **)
{
	static char *const bad[][3] = {{"millraced", "--nope", NULL}, {"millraced", "extra", NULL},
		{"millraced", "--data", NULL}, {"millraced", "--set", "novalue"}};
	struct mr_config c;
	struct mr_diag d;

	for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
		assert_true(args(&c, &d, bad[i][2] ? 3 : 2, bad[i]) < 0);
		assert_true(d.message[0] != 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_and_pairs_are_read),
		cmocka_unit_test(bad_values_name_the_key),
		cmocka_unit_test(unknown_key_names_the_nearest),
		cmocka_unit_test(overlapping_ports_are_refused),
		cmocka_unit_test(file_is_read_before_flags_and_errors_name_the_line),
		cmocka_unit_test(every_value_prints_and_reads_back),
		cmocka_unit_test(usage_errors_are_clear),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
