// Dates, timestamps and intervals against PostgreSQL 15: tests/golden/datetime.tsv holds an
// operation, its arguments, the session's time zone, and PostgreSQL's text or SQLSTATE.
#include "host/base/datetime.h"

#include "host/base/rand.h"
#include "host/base/tz.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/tsv.h"

#include <errno.h>
#include <stdlib.h>

static char got[160];

static void say_error(int err)
{
	strcpy(got, err == -ENOENT ? "22023" : err == -ERANGE ? "22008" : "22007");
}

static int64_t ts(const char *text)
{
	int64_t v = 0;

	assert_int_equal(mr_ts_parse(mr_span_str(text), NULL, &v), 0);
	return v;
}

static int64_t tstz(const char *text)
{
	int64_t v = 0;

	assert_int_equal(mr_tstz_parse(mr_span_str(text), NULL, &v), 0);
	return v;
}

static struct mr_interval iv(const char *text)
{
	struct mr_interval v = {0};

	assert_int_equal(mr_interval_parse(mr_span_str(text), &v), 0);
	return v;
}

static void say_ts(int err, int64_t v)
{
	if (err)
		say_error(err);
	else
		mr_ts_format(v, got);
}

static void say_tstz(int err, int64_t v, const struct mr_tz *tz)
{
	if (err)
		say_error(err);
	else
		mr_tstz_format(v, tz, got);
}

static void say_iv(int err, struct mr_interval v)
{
	if (err)
		say_error(err);
	else
		mr_interval_format(v, got);
}

static void say_field(int err, __int128 millionths, int scale)
{
	int64_t whole = (int64_t)(millionths / 1000000), part = (int64_t)(millionths % 1000000);

	if (err)
		say_error(err);
	else if (scale == 0)
		sprintf(got, "%lld", (long long)whole);
	else
		sprintf(got, "%s%lld.%0*lld", millionths < 0 ? "-" : "", llabs(whole), scale,
			llabs(part) / (scale == 3 ? 1000 : 1));
}

static void run_parse(char *const *f, const struct mr_tz *tz)
{
	struct mr_datetime_env env = {.tz = tz};
	struct mr_span text = mr_span_str(f[1]);
	struct mr_interval v = {0};
	int64_t us = 0;
	int32_t days = 0;
	int err;

	if (!strcmp(f[0], "ts")) {
		err = mr_ts_parse(text, &env, &us);
		say_ts(err, us);
	} else if (!strcmp(f[0], "tstz")) {
		err = mr_tstz_parse(text, &env, &us);
		say_tstz(err, us, tz);
	} else if (!strcmp(f[0], "interval")) {
		err = mr_interval_parse(text, &v);
		say_iv(err == -ERANGE ? -EINVAL : err, v);
	} else {
		err = mr_date_parse(text, &env, &days);
		if (err)
			say_error(err);
		else
			mr_date_format(days, got);
	}
}

static void run_extract(char *const *f, const struct mr_tz *tz)
{
	enum mr_field field;
	__int128 v = 0;
	int scale = 0, err;

	assert_true(mr_field_find(mr_span_str(f[2]), &field));
	if (!strcmp(f[0], "extractiv"))
		err = mr_interval_extract(field, iv(f[1]), &v, &scale);
	else if (!strcmp(f[0], "extracttz"))
		err = mr_ts_extract(field, tstz(f[1]), tz, &v, &scale);
	else
		err = mr_ts_extract(field, ts(f[1]), NULL, &v, &scale);
	say_field(err, v, scale);
}

static void run_function(char *const *f, const struct mr_tz *tz)
{
	enum mr_field unit = MR_FIELD_DAY;
	struct mr_interval v = {0};
	int64_t us = 0;
	int err;

	if (!strncmp(f[0], "trunc", 5)) {
		bool zoned = f[0][5] != 0;

		assert_true(mr_field_find(mr_span_str(f[2]), &unit));
		err = mr_ts_trunc(unit, zoned ? tstz(f[1]) : ts(f[1]), zoned ? tz : NULL, &us);
		zoned ? say_tstz(err, us, tz) : say_ts(err, us);
	} else if (!strcmp(f[0], "add")) {
		err = mr_ts_add(ts(f[1]), iv(f[2]), &us);
		say_ts(err, us);
	} else if (!strcmp(f[0], "addtz")) {
		err = mr_tstz_add(tstz(f[1]), iv(f[2]), tz, &us);
		say_tstz(err, us, tz);
	} else if (!strncmp(f[0], "bin:", 4)) {
		err = mr_ts_bin(iv(f[0] + 4), ts(f[1]), ts(f[2]), &us);
		say_ts(err, us);
	} else if (!strcmp(f[0], "mul")) {
		err = mr_interval_mul(iv(f[1]), strtod(f[2], NULL), &v);
		say_iv(err, v);
	} else {
		err = f[0][0] == 's' ? mr_ts_sub(ts(f[1]), ts(f[2]), &v)
				     : mr_ts_age(ts(f[1]), ts(f[2]), &v);
		say_iv(err, v);
	}
}

// PostgreSQL tells more kinds of errors than we do; that there is one must agree.
static bool is_error(const char *text)
{
	return strlen(text) == 5 && (!strncmp(text, "22", 2) || !strcmp(text, "0A000"));
}

static void datetime_agrees_with_postgres(void **)
{
	struct mr_tsv t = {.file = fopen("tests/golden/datetime.tsv", "r")};
	int wrong = 0;

	assert_non_null(t.file);
	while (mr_tsv_next(&t)) {
		char *const *f = t.fields;
		const struct mr_tz *tz = *f[3] ? mr_tz_find(mr_span_str(f[3])) : NULL;

		assert_int_equal(t.count, 5);
		assert_true(tz || !*f[3]);
		if (!strncmp(f[0], "ts", 2) || !strcmp(f[0], "date") || !strcmp(f[0], "interval"))
			run_parse(f, tz);
		else if (!strncmp(f[0], "extract", 7))
			run_extract(f, tz);
		else
			run_function(f, tz);
		if (strcmp(got, f[4]) && !(is_error(got) && is_error(f[4]))) {
			print_error("line %d: %s(%s, %s) in %s: want %s, got %s\n", t.number, f[0],
				f[1], f[2], f[3], f[4], got);
			wrong++;
		}
	}
	fclose(t.file);
	assert_true(t.number > 2000);
	assert_int_equal(wrong, 0);
}

static void datetime_calendar_round_trips(void **)
{
	int32_t year, month, day;

	for (int64_t d = MR_DATE_MIN; d < 3000000; d += 13) {
		mr_civil_from_days(d, &year, &month, &day);
		assert_true(mr_days_from_civil(year, month, day) == d);
		assert_true(day >= 1 && day <= mr_days_of_month(year, month));
	}
	mr_civil_from_days(MR_DATE_MIN, &year, &month, &day);
	assert_true(year == -4713 && month == 11 && day == 24);
	assert_int_equal(mr_days_from_civil(294246, 12, 31), MR_TS_DAY_MAX);
	assert_int_equal(mr_days_from_civil(5874897, 12, 31), MR_DATE_MAX);
}

static void datetime_fast_iso_agrees_with_the_parser(void **)
{
	static const char alphabet[] = "0123456789-: TZ+.";
	struct mr_rand r;
	int taken = 0;

	mr_rand_init(&r, 21);
	for (int i = 0; i < 200000; i++) {
		char text[] = "2026-11-21T03:04:05.678901+02:00";
		size_t bytes = 19 + mr_rand_below(&r, 14);
		int64_t fast, slow;
		bool zone;

		for (uint64_t n = mr_rand_below(&r, 3); n > 0; n--)
			text[mr_rand_below(&r, bytes)] =
				alphabet[mr_rand_below(&r, sizeof(alphabet) - 1)];
		if (!mr_ts_parse_iso(mr_span(text, bytes), &fast, &zone))
			continue;
		taken++;
		if (mr_tstz_parse(mr_span(text, bytes), NULL, &slow) || fast != slow)
			fail_msg("%.*s", (int)bytes, text);
	}
	assert_true(taken > 10000);
}

// Nothing that is thrown at the parsers may do harm.
static void datetime_parsers_survive_noise(void **)
{
	static const char alphabet[] = "0123456789012345678901234567890-:/ TZPMDHS+.ecbdayonsg@";
	struct mr_rand r;

	mr_rand_init(&r, 22);
	for (int i = 0; i < 200000; i++) {
		char text[40];
		size_t bytes = mr_rand_below(&r, sizeof(text));
		struct mr_interval v;
		int64_t us;
		int32_t days;
		int err = 0;

		for (size_t k = 0; k < bytes; k++)
			text[k] = alphabet[mr_rand_below(&r, sizeof(alphabet) - 1)];
		err |= mr_tstz_parse(mr_span(text, bytes), NULL, &us);
		err |= mr_date_parse(mr_span(text, bytes), NULL, &days);
		err |= mr_interval_parse(mr_span(text, bytes), &v);
		assert_true(err <= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datetime_agrees_with_postgres),
		cmocka_unit_test(datetime_calendar_round_trips),
		cmocka_unit_test(datetime_fast_iso_agrees_with_the_parser),
		cmocka_unit_test(datetime_parsers_survive_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
