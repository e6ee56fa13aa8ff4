// Time zones against the C library, which reads the same files with its own code; and damaged
// files, which may only be refused.
#include "host/base/tz.h"

#include "host/base/rand.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const zones[] = {"America/New_York", "Europe/Berlin", "Australia/Sydney",
	"Asia/Kolkata", "America/St_Johns", "Africa/Casablanca", "Europe/Dublin", "Pacific/Apia",
	"Asia/Tehran", "America/Sao_Paulo", "Antarctica/Troll", "Africa/Monrovia", "UTC",
	"Asia/Gaza", "America/Nuuk"};

static void tz_offsets_agree_with_the_c_library(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, 31);
	for (size_t z = 0; z < MR_COUNT_OF(zones); z++) {
		const struct mr_tz *tz = mr_tz_find(mr_span_str(zones[z]));

		assert_non_null(tz);
		setenv("TZ", zones[z], 1);
		tzset();
		for (int i = 0; i < 5000; i++) {
			int64_t second = (int64_t)mr_rand_below(&r, 12000000000u) - 4000000000;
			time_t t = (time_t)second;
			const char *abbreviation;
			int32_t offset;
			struct tm tm;

			localtime_r(&t, &tm);
			offset = mr_tz_offset(tz, second * 1000000, &abbreviation);
			if (offset != tm.tm_gmtoff || strcmp(abbreviation, tm.tm_zone))
				fail_msg("%s at %lld: want %ld %s, got %d %s", zones[z],
					(long long)second, tm.tm_gmtoff, tm.tm_zone, offset,
					abbreviation);
		}
	}
	unsetenv("TZ");
	tzset();
}

static void tz_names_are_found_in_any_case_and_once(void **)
{
	const struct mr_tz *tz = mr_tz_find(mr_span_str("eUROPE/bERLIN"));

	assert_non_null(tz);
	assert_true(tz == mr_tz_find(mr_span_str("Europe/Berlin")));
	assert_true(mr_span_eq(mr_tz_name(tz), mr_span_str("Europe/Berlin")));
	assert_true(mr_tz_find(mr_span_str("utc")) == mr_tz_utc());
}

static void expect_offset(
	const struct mr_tz *(*find)(struct mr_span), const char *name, int32_t minutes)
{
	const struct mr_tz *tz = find(mr_span_str(name));

	if (!tz || mr_tz_offset(tz, 1719792000000000, NULL) != minutes * 60)
		fail_msg("%s is not %d minutes east", name, minutes);
}

// In POSIX's names positive is west; only a bare number of hours in SET TIME ZONE is not such a
// name. (PostgreSQL 15 answers all of these so, in July 2024.)
static void tz_offsets_are_signed_as_in_postgresql(void **)
{
	expect_offset(mr_tz_find, "+05:30", -330);
	expect_offset(mr_tz_find, "-05:30", 330);
	expect_offset(mr_tz_find, "+3", -180);
	expect_offset(mr_tz_find, "EST5", -300);
	expect_offset(mr_tz_find, "GMT-03:00", 180);
	expect_offset(mr_tz_find, "<+03>-03", 180);
	expect_offset(mr_tz_find, "CET", 120);
	expect_offset(mr_tz_find, "EST5EDT", -240);
	expect_offset(mr_tz_find_short, "CET", 60);
	expect_offset(mr_tz_find_short, "pdt", -420);
	expect_offset(mr_tz_find_short, "+03", -180);
	expect_offset(mr_tz_find_setting, "+03", 180);
	expect_offset(mr_tz_find_setting, "-5.5", -330);
	expect_offset(mr_tz_find_setting, "+03:00", -180);
	expect_offset(mr_tz_find_setting, "Europe/Berlin", 120);
	assert_true(mr_span_eq(mr_tz_name(mr_tz_fixed(-7200)), mr_span_str("<-02>+02")));
	assert_true(mr_tz_find(mr_span_str("<-02>+02")) == mr_tz_fixed(-7200));
}

static void tz_rejects_names_that_are_no_zones(void **)
{
	static const char *const bad[] = {"", "Mars/Olympus", "../../etc/passwd", "/etc/passwd",
		"Europe/../Europe/Berlin", "Europe", "zone.tab", "tzdata.zi", "+25", "+168",
		"+02:", "+02:60", "+0300", "5", "Europe/Berlin/", "Europe//Berlin",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	for (size_t i = 0; i < MR_COUNT_OF(bad); i++)
		if (mr_tz_find(mr_span_str(bad[i])))
			fail_msg("%s is no zone", bad[i]);
	assert_null(mr_tz_fixed(16 * 3600));
	assert_null(mr_tz_fixed(1));
}

static void tz_damaged_files_are_refused_or_harmless(void **)
{
	static uint8_t file[1 << 16], copy[1 << 16];
	FILE *f = fopen("/usr/share/zoneinfo/America/New_York", "rb");
	struct mr_rand r;
	size_t bytes;

	assert_non_null(f);
	bytes = fread(file, 1, sizeof(file), f);
	fclose(f);
	mr_rand_init(&r, 33);
	for (int i = 0; i < 5000; i++) {
		size_t n = i < 4000 ? bytes : mr_rand_below(&r, bytes);
		struct mr_tz *tz;

		memcpy(copy, file, n);
		for (uint64_t k = mr_rand_below(&r, 4); n && k > 0; k--)
			copy[mr_rand_below(&r, n)] = (uint8_t)mr_rand_u64(&r);
		tz = mr_tz_parse(mr_span_str("x"), mr_span(copy, n));
		if (!tz)
			continue;
		for (int k = 0; k < 20; k++) {
			int64_t us = (int64_t)mr_rand_u64(&r);

			mr_tz_offset(tz, us, NULL);
			mr_tz_to_utc(tz, us);
		}
		mr_tz_destroy(tz);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tz_offsets_agree_with_the_c_library),
		cmocka_unit_test(tz_names_are_found_in_any_case_and_once),
		cmocka_unit_test(tz_offsets_are_signed_as_in_postgresql),
		cmocka_unit_test(tz_rejects_names_that_are_no_zones),
		cmocka_unit_test(tz_damaged_files_are_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
