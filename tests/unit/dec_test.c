// Decimals against PostgreSQL's numeric: tests/golden/dec.tsv holds 900 random pairs and what
// PostgreSQL 15 makes of them (sum, difference, product, quotient, rest, round, trunc, order,
// float8). Where its answer has more than 35 digits or 64 places, ours is -ERANGE.
#include "host/base/dec.h"
#include "host/base/rand.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/tsv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static struct mr_dec dec(const char *text)
{
	struct mr_dec d;

	assert_int_equal(mr_dec_parse(mr_span_str(text), &d), 0);
	return d;
}

static void expect(int line, const char *what, int err, struct mr_dec got, const char *want)
{
	char text[MR_DEC_TEXT_BYTES] = "";
	struct mr_dec parsed;

	if (mr_dec_parse(mr_span_str(want), &parsed) == -ERANGE) {
		if (err != -ERANGE)
			fail_msg("line %d %s: want an error, for %s is too long", line, what, want);
		return;
	}
	if (!err)
		mr_dec_format(got, text);
	if (err || strcmp(text, want))
		fail_msg("line %d %s: want %s, got %s (%d)", line, what, want, text, err);
}

// A quotient is cut to 35 digits instead; what is left must be the rounded answer.
static void expect_quotient(int line, int err, struct mr_dec got, const char *want)
{
	struct mr_dec parsed;

	if (mr_dec_parse(mr_span_str(want), &parsed) == 0) {
		expect(line, "/", err, got, want);
		return;
	}
	if (mr_dec_parse_fit(mr_span_str(want), 35, err ? 0 : mr_dec_scale(got), &parsed))
		assert_int_equal(err, -ERANGE);
	else if (!err)
		assert_true(got.word == parsed.word);
}

static void check_line(const struct mr_tsv *t)
{
	char *const *f = t->fields;
	struct mr_dec a = dec(f[0]), b = dec(f[1]), r = mr_dec_nan();
	int scale = atoi(f[2]), cmp = atoi(f[10]), line = t->number, err;

	err = mr_dec_add(a, b, &r);
	expect(line, "+", err, r, f[3]);
	err = mr_dec_sub(a, b, &r);
	expect(line, "-", err, r, f[4]);
	err = mr_dec_mul(a, b, &r);
	expect(line, "*", err, r, f[5]);
	err = mr_dec_div(a, b, &r);
	if (*f[6])
		expect_quotient(line, err, r, f[6]);
	else
		assert_int_equal(err, -EDOM);
	err = mr_dec_mod(a, b, &r);
	if (*f[7])
		expect(line, "%", err, r, f[7]);
	else
		assert_int_equal(err, -EDOM);
	err = mr_dec_round(a, scale, &r);
	expect(line, "round", err, r, f[8]);
	err = mr_dec_trunc(a, scale, &r);
	expect(line, "trunc", err, r, f[9]);
	assert_int_equal((mr_dec_cmp(a, b) > 0) - (mr_dec_cmp(a, b) < 0), cmp);
	assert_int_equal((mr_dec_cmp(b, a) > 0) - (mr_dec_cmp(b, a) < 0), -cmp);
	if (!mr_dec_is_nan(a))
		assert_true(mr_dec_to_double(a) == strtod(f[11], NULL));
}

static void dec_agrees_with_postgres(void **)
{
	struct mr_tsv t = {.file = fopen("tests/golden/dec.tsv", "r")};

	assert_non_null(t.file);
	while (mr_tsv_next(&t)) {
		assert_int_equal(t.count, 12);
		check_line(&t);
	}
	assert_int_equal(t.number, 900);
	fclose(t.file);
}

static void dec_texts_parse_as_postgres_reads_them(void **)
{
	static const struct {
		const char *in, *out; // NULL: -EINVAL; "": -ERANGE
	} cases[] = {
		{"0", "0"},
		{"-0", "0"},
		{"-0.00", "0.00"},
		{" 1.50 ", "1.50"},
		{"+.5", "0.5"},
		{"5.", "5"},
		{"1e3", "1000"},
		{"1.50e1", "15.0"},
		{"1.5E-3", "0.0015"},
		{"0e99999999999", "0"},
		{"0.00000000000000000000000000000000000000000000000000000000000000001", ""},
		{"99999999999999999999999999999999999", "99999999999999999999999999999999999"},
		{"100000000000000000000000000000000000", ""},
		{"1e34", "10000000000000000000000000000000000"},
		{"1e35", ""},
		{"1e-64", "0.0000000000000000000000000000000000000000000000000000000000000001"},
		{"1e-99999999999999999999", ""},
		{"nan", "NaN"},
		{"", NULL},
		{".", NULL},
		{"-", NULL},
		{"1e", NULL},
		{"1e+", NULL},
		{"1.2.3", NULL},
		{"1 2", NULL},
		{"0x10", NULL},
		{"--1", NULL},
		{"infinity", NULL},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		char text[MR_DEC_TEXT_BYTES];
		struct mr_dec d;
		int err = mr_dec_parse(mr_span_str(cases[i].in), &d);

		if (!cases[i].out) {
			assert_int_equal(err, -EINVAL);
		} else if (!*cases[i].out) {
			assert_int_equal(err, -ERANGE);
		} else {
			assert_int_equal(err, 0);
			mr_dec_format(d, text);
			assert_string_equal(text, cases[i].out);
		}
	}
}

static void dec_parse_fit_rounds_any_number_of_digits(void **)
{
	struct mr_dec d;

	assert_int_equal(
		mr_dec_parse_fit(
			mr_span_str("0.1000000000000000055511151231257827021181583404"), 12, 2, &d),
		0);
	assert_true(d.word == mr_dec_make(10, 2).word);
	assert_int_equal(mr_dec_parse_fit(mr_span_str("-2.005"), 3, 2, &d), 0);
	assert_true(d.word == mr_dec_make(-201, 2).word);
	assert_int_equal(mr_dec_parse_fit(mr_span_str("9.995"), 3, 2, &d), -ERANGE);
	assert_int_equal(mr_dec_parse_fit(mr_span_str("-9.995"), 3, 2, &d), -ERANGE);
	assert_int_equal(mr_dec_parse_fit(mr_span_str("0.5"), 3, 0, &d), 0);
	assert_true(d.word == mr_dec_make(1, 0).word);
	assert_int_equal(mr_dec_parse_fit(mr_span_str("0.05"), 3, 0, &d), 0);
	assert_true(d.word == 0);
	assert_int_equal(mr_dec_parse_fit(mr_span_str("1e-400"), 3, 2, &d), 0);
	assert_true(d.word == mr_dec_make(0, 2).word);
	assert_int_equal(mr_dec_parse_fit(mr_span_str("1e400"), 35, 2, &d), -ERANGE);
}

static void dec_equal_values_share_a_hash(void **)
{
	assert_int_equal(mr_dec_hash(dec("1.5")), mr_dec_hash(dec("1.50000")));
	assert_int_equal(mr_dec_hash(dec("0")), mr_dec_hash(dec("0.000")));
	assert_int_equal(mr_dec_hash(dec("-100")), mr_dec_hash(dec("-100.00")));
	assert_int_equal(mr_dec_hash(dec("12345678901234567890.5")),
		mr_dec_hash(dec("12345678901234567890.5000000000")));
	assert_int_not_equal(mr_dec_hash(dec("1")), mr_dec_hash(dec("10")));
	assert_int_not_equal(mr_dec_hash(dec("0.1")), mr_dec_hash(dec("1")));
}

// Arithmetic of small random values against doubles' exact integers.
static void dec_small_arithmetic_is_exact(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, 3);
	for (int i = 0; i < 20000; i++) {
		int64_t x = (int64_t)mr_rand_below(&r, 2000001) - 1000000;
		int64_t y = (int64_t)mr_rand_below(&r, 2000001) - 1000000;
		struct mr_dec a = mr_dec_make(x * 100, 2), b = mr_dec_make(y * 1000, 3), c;
		int64_t whole;

		assert_int_equal(mr_dec_add(a, b, &c), 0);
		assert_int_equal(mr_dec_cmp(c, mr_dec_from_i64(x + y)), 0);
		assert_int_equal(mr_dec_mul(a, b, &c), 0);
		assert_int_equal(mr_dec_to_i64(c, &whole), 0);
		assert_true(whole == x * y);
		if (!y)
			continue;
		assert_int_equal(mr_dec_mod(a, b, &c), 0);
		assert_int_equal(mr_dec_cmp(c, mr_dec_from_i64(x % y)), 0);
	}
}

static void dec_limits_are_errors(void **)
{
	struct mr_dec max = dec("99999999999999999999999999999999999"), r;
	int64_t whole;

	assert_int_equal(mr_dec_add(max, mr_dec_from_i64(1), &r), -ERANGE);
	assert_int_equal(mr_dec_sub(max, max, &r), 0);
	assert_int_equal(mr_dec_mul(max, max, &r), -ERANGE);
	assert_int_equal(mr_dec_mul(max, mr_dec_from_i64(2), &r), -ERANGE);
	assert_int_equal(mr_dec_to_i64(max, &whole), -ERANGE);
	assert_int_equal(mr_dec_to_i64(mr_dec_nan(), &whole), -EDOM);
	assert_int_equal(mr_dec_to_i64(dec("9223372036854775807.4"), &whole), 0);
	assert_true(whole == INT64_MAX);
	assert_int_equal(mr_dec_to_i64(dec("9223372036854775807.5"), &whole), -ERANGE);
	assert_int_equal(mr_dec_from_double(INFINITY, &r), -ERANGE);
	assert_int_equal(mr_dec_from_double(1e40, &r), -ERANGE);
	assert_int_equal(mr_dec_from_double(0.1 + 0.2, &r), 0);
	assert_true(r.word == dec("0.3").word);
	assert_int_equal(mr_dec_round(max, 1, &r), -ERANGE);
	assert_int_equal(mr_dec_fit(dec("123.456"), 5, 2, &r), 0);
	assert_int_equal(mr_dec_fit(dec("999.996"), 5, 2, &r), -ERANGE);
	assert_true(isnan(mr_dec_to_double(mr_dec_nan())));
}

// Digit by digit from behind, the obvious way.
static void slow_text(struct mr_dec d, char *out)
{
	mr_i128 x = mr_dec_coefficient(d);
	unsigned __int128 v = x < 0 ? -(unsigned __int128)x : (unsigned __int128)x;
	char reversed[MR_DEC_TEXT_BYTES];
	unsigned n = 0;

	for (unsigned i = 0; v || i <= mr_dec_scale(d); i++, v /= 10) {
		if (i && i == mr_dec_scale(d))
			reversed[n++] = '.';
		reversed[n++] = (char)('0' + (int)(v % 10));
	}
	if (x < 0)
		*out++ = '-';
	while (n)
		*out++ = reversed[--n];
	*out = 0;
}

static void dec_texts_have_every_digit_of_every_scale(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, 8);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned digits = i % (MR_DEC_DIGITS_MAX + 1);
		mr_i128 v = mr_dec_pow10(digits) - 1;
		char want[MR_DEC_TEXT_BYTES], got[MR_DEC_TEXT_BYTES];
		struct mr_dec d;

		if (i > 40000)
			v = (mr_i128)((unsigned __int128)mr_rand_u64(&r) << 64 | mr_rand_u64(&r)) %
			    (v + 1);
		else if (i > 20000)
			v = digits < MR_DEC_DIGITS_MAX ? v + 1 : v;
		d = mr_dec_make(mr_rand_below(&r, 2) ? -v : v,
			(unsigned)mr_rand_below(&r, MR_DEC_SCALE_MAX + 1));
		slow_text(d, want);
		assert_int_equal(mr_dec_format(d, got), strlen(want));
		assert_string_equal(got, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dec_agrees_with_postgres),
		cmocka_unit_test(dec_texts_parse_as_postgres_reads_them),
		cmocka_unit_test(dec_parse_fit_rounds_any_number_of_digits),
		cmocka_unit_test(dec_texts_have_every_digit_of_every_scale),
		cmocka_unit_test(dec_equal_values_share_a_hash),
		cmocka_unit_test(dec_small_arithmetic_is_exact),
		cmocka_unit_test(dec_limits_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
