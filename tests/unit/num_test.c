// Numbers and text: PostgreSQL's own output of many doubles (tests/golden/num.tsv: bits, float8
// text, float4 text), strtod as the oracle of reading, and the ends of ranges.
#include "host/base/num.h"

#include "host/base/digits.h"
#include "host/base/rand.h"
#include "host/base/utf8.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/tsv.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

// About 2 µs each, nearly all of them the oracle's.
#define DIFFERENTIAL_ROUNDS 300000

static uint64_t bits_of(double v)
{
	uint64_t u;

	memcpy(&u, &v, sizeof(u));
	return u;
}

static double of_bits(uint64_t u)
{
	double v;

	memcpy(&v, &u, sizeof(v));
	return v;
}

static void num_doubles_are_written_as_postgres_writes_them(void **)
{
	struct mr_tsv t = {.file = fopen("tests/golden/num.tsv", "r")};

	assert_non_null(t.file);
	while (mr_tsv_next(&t)) {
		double v = of_bits(strtoull(t.fields[0], NULL, 16)), back;
		char text[MR_NUM_DOUBLE_TEXT_BYTES];
		size_t bytes;

		bytes = mr_num_format_double(v, text);
		assert_int_equal(bytes, strlen(text));
		assert_string_equal(text, t.fields[1]);
		assert_int_equal(mr_num_parse_double(mr_span_str(text), &back), 0);
		assert_true(bits_of(back) == bits_of(v));
		if (!*t.fields[2])
			continue;
		mr_num_format_float((float)v, text);
		assert_string_equal(text, t.fields[2]);
	}
	assert_true(t.number > 1000);
	fclose(t.file);
}

// ---- the slow way of writing, as the oracle of the fast one

// d.ddde±xx as an integer.
static unsigned __int128 integer_of(const char *text)
{
	unsigned __int128 v = 0;
	int e = atoi(strchr(text, 'e') + 1);

	for (const char *p = text; *p != 'e'; p++)
		if (*p != '.') {
			v = v * 10 + (unsigned)(*p - '0');
			e -= p > text + 1;
		}
	for (; e > 0; e--)
		v *= 10;
	for (; e < 0; e++)
		v /= 10;
	return v;
}

// A text that lies just between two neighbours reads back to the even one, but PostgreSQL does not
// write it. Only among great integers such a text is short, and above 1e30 none is.
static bool reads_back(const char *text, double v, bool is_float)
{
	double above = is_float ? (double)nextafterf((float)v, INFINITY) : nextafter(v, INFINITY);
	double below = is_float ? (double)nextafterf((float)v, 0) : nextafter(v, 0);
	unsigned __int128 twice, own;

	if ((is_float ? (double)strtof(text, NULL) : strtod(text, NULL)) != v)
		return false;
	if (v < (is_float ? 0x1p25 : 0x1p54) || v > 1e30)
		return true;
	twice = 2 * integer_of(text);
	own = (unsigned __int128)v;
	return twice != own + (unsigned __int128)above && twice != own + (unsigned __int128)below;
}

// The shortest of printf's texts that reads back, d.ddde±xx; at a power of two also the one above.
static void slow_scientific(double v, bool is_float, char text[40])
{
	int first = v < (is_float ? FLT_MIN : DBL_MIN) ? 1 : is_float ? 6 : 15, exponent;
	int last = is_float ? 9 : 17;
	bool power = frexp(v, &exponent) == 0.5;

	for (int n = first; n <= last; n++) {
		for (int up = 0; up <= power; up++) {
			char *digit;

			snprintf(text, 40, "%.*e", n - 1, v);
			digit = strchr(text, 'e') - 1;
			if (up && *digit == '9')
				continue;
			*digit = (char)(*digit + up);
			if (reads_back(text, v, is_float))
				return;
		}
	}
}

static void slow_text(double v, bool is_float, char *out)
{
	char text[40], digits[40];
	int count = 0, e, fixed_max = is_float ? 6 : 15;

	slow_scientific(v, is_float, text);
	for (char *p = text; *p != 'e'; p++)
		if (*p != '.')
			digits[count++] = *p;
	e = atoi(strchr(text, 'e') + 1);
	while (count > 1 && digits[count - 1] == '0')
		count--;
	digits[count] = 0;
	if (e < -4 || e >= fixed_max)
		sprintf(out, "%c%s%se%c%02d", digits[0], count > 1 ? "." : "", digits + 1,
			e < 0 ? '-' : '+', abs(e));
	else if (e < 0)
		sprintf(out, "0.%.*s%s", -e - 1, "000", digits);
	else if (count <= e + 1)
		sprintf(out, "%s%.*s", digits, e + 1 - count, "00000000000000");
	else
		sprintf(out, "%.*s.%s", e + 1, digits, digits + e + 1);
}

// Bits of all kinds: any; decimals of few digits; the neighbours of powers of two and of ten; what
// lies where the fast way ends.
static double odd_double(struct mr_rand *r)
{
	double v;

	switch (mr_rand_below(r, 6)) {
	case 0: v = of_bits(mr_rand_u64(r)); break;
	case 1:
		v = (double)(mr_rand_u64(r) >> (10 + mr_rand_below(r, 54))) /
		    pow(10, (double)mr_rand_below(r, 19));
		break;
	case 2: v = ldexp(1, (int)mr_rand_below(r, 2098) - 1074); break;
	case 3: v = pow(10, (double)mr_rand_below(r, 616) - 308); break;
	case 4: v = ldexp(mr_rand_unit(r), (int)mr_rand_below(r, 180) - 60); break;
	default: v = (double)(float)ldexp(mr_rand_unit(r), (int)mr_rand_below(r, 280) - 150); break;
	}
	v = of_bits(bits_of(v) + mr_rand_below(r, 5) - 2);
	return isfinite(v) && v != 0 ? fabs(v) : 1;
}

static void num_the_fast_way_writes_what_the_slow_way_writes(void **)
{
	const uint64_t seed = 20261121;
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (int i = 0; i < DIFFERENTIAL_ROUNDS; i++) {
		double v = odd_double(&r);
		float f = (float)v;
		char want[64], got[MR_NUM_DOUBLE_TEXT_BYTES];

		slow_text(v, false, want);
		if (mr_num_format_double(v, got) != strlen(want) || strcmp(got, want) != 0)
			fail_msg("seed %llu: %a is %s, not %s", (unsigned long long)seed, v, want,
				got);
		if (!isfinite(f) || f == 0)
			continue;
		slow_text((double)f, true, want);
		if (mr_num_format_float(f, got) != strlen(want) || strcmp(got, want) != 0)
			fail_msg("seed %llu: float %a is %s, not %s", (unsigned long long)seed,
				(double)f, want, got);
	}
}

static void digits_are_those_of_printf(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, 5);
	for (int i = 0; i < 100000; i++) {
		uint64_t v = mr_rand_u64(&r) >> mr_rand_below(&r, 64);
		unsigned us = (unsigned)mr_rand_below(&r, 1000000);
		char want[40], got[40];

		if (i < 64)
			v = (uint64_t)pow(10, i % 20) - (i > 31);
		sprintf(want, "%llu", (unsigned long long)v);
		*mr_put_u64(got, v) = 0;
		assert_string_equal(got, want);
		sprintf(want, "%06u", us);
		*mr_put_fixed(got, us, 6) = 0;
		assert_string_equal(got, want);
		sprintf(want, "%05u", us % 100000);
		*mr_put_fixed(got, us, 5) = 0;
		assert_string_equal(got, want);
	}
}

static void num_random_texts_read_as_strtod_reads_them(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, 11);
	for (int i = 0; i < 100000; i++) {
		char text[64];
		double want, got;
		float want_f, got_f = 0;
		int err;

		snprintf(text, sizeof(text), "%s%llu.%0*llue%d", i % 2 ? "-" : "",
			(unsigned long long)(mr_rand_u64(&r) >> mr_rand_below(&r, 64)),
			(int)mr_rand_below(&r, 20),
			(unsigned long long)(mr_rand_u64(&r) >> mr_rand_below(&r, 64)),
			(int)mr_rand_below(&r, 50) - 25);
		want = strtod(text, NULL);
		want_f = strtof(text, NULL);
		assert_int_equal(mr_num_parse_double(mr_span_str(text), &got), 0);
		err = mr_num_parse_float(mr_span_str(text), &got_f);
		assert_int_equal(err, isinf(want_f) || (want_f == 0 && want != 0) ? -ERANGE : 0);
		if (bits_of(want) != bits_of(got) ||
			(!err && memcmp(&want_f, &got_f, sizeof(got_f))))
			fail_msg("%s", text);
	}
}

// The halfway case between 1 and its successor, with a digit 2,000 places on that decides it.
static void num_very_long_texts_round_right(void **)
{
	static const char half[] = "1.00000000000000011102230246251565404236316680908203125";
	size_t bytes = 2000;
	char *text = malloc(bytes + 1);
	double v;

	memset(text, '0', bytes);
	text[bytes] = 0;
	memcpy(text, half, sizeof(half) - 1);
	assert_int_equal(mr_num_parse_double(mr_span(text, bytes), &v), 0);
	assert_true(v == 1.0);
	text[bytes - 1] = '1';
	assert_int_equal(mr_num_parse_double(mr_span(text, bytes), &v), 0);
	assert_true(v == 1.0 + 0x1p-52);
	memset(text, '9', bytes);
	assert_int_equal(mr_num_parse_double(mr_span(text, bytes), &v), -ERANGE);
	memcpy(text + bytes - 6, "e-1990", 6);
	assert_int_equal(mr_num_parse_double(mr_span(text, bytes), &v), 0);
	assert_true(v == 1e4);
	free(text);
}

static void num_rejects_what_is_not_a_number(void **)
{
	static const char *const bad[] = {"", "-", "+", ".", "e5", "1e", "1e+", "1 ", " 1", "1.2.3",
		"0x10", "1_000", "infinit", "nanx", "-nan", "inff", "1d", "٣"};
	double v;
	int64_t i;

	for (size_t k = 0; k < MR_COUNT_OF(bad); k++) {
		assert_int_equal(mr_num_parse_double(mr_span_str(bad[k]), &v), -EINVAL);
		assert_int_equal(mr_num_parse_i64(mr_span_str(bad[k]), &i), -EINVAL);
	}
	assert_int_equal(mr_num_parse_double(mr_span_str("1e400"), &v), -ERANGE);
	assert_int_equal(mr_num_parse_double(mr_span_str("1e-400"), &v), -ERANGE);
	assert_int_equal(mr_num_parse_double(mr_span_str("0e999999999"), &v), 0);
	assert_int_equal(mr_num_parse_double(mr_span_str("-iNfiNity"), &v), 0);
	assert_true(isinf(v) && v < 0);
	assert_int_equal(mr_num_parse_double(mr_span_str("NaN"), &v), 0);
	assert_true(isnan(v));
	assert_int_equal(mr_num_parse_double(mr_span_str("-0"), &v), 0);
	assert_true(v == 0 && signbit(v));
}

static void num_integers_stop_at_their_ends(void **)
{
	static const struct {
		const char *text;
		int err;
		int64_t v;
	} cases[] = {
		{"9223372036854775807", 0, INT64_MAX},
		{"-9223372036854775808", 0, INT64_MIN},
		{"9223372036854775808", -ERANGE, 0},
		{"-9223372036854775809", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"+7", 0, 7},
		{"000012", 0, 12},
		{"-0", 0, 0},
		{"1.0", -EINVAL, 0},
	};

	for (size_t k = 0; k < MR_COUNT_OF(cases); k++) {
		char text[MR_NUM_I64_TEXT_BYTES];
		int64_t v = 0, back;

		assert_int_equal(mr_num_parse_i64(mr_span_str(cases[k].text), &v), cases[k].err);
		assert_true(v == cases[k].v);
		mr_num_format_i64(v, text);
		assert_int_equal(mr_num_parse_i64(mr_span_str(text), &back), 0);
		assert_true(back == v);
	}
}

static void utf8_valid_texts_end_where_rfc_3629_says(void **)
{
	static const struct {
		const char *text;
		size_t valid;
	} cases[] = {
		{"plain ascii text, long enough", 29},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
		{"a\xc0\x80", 1},
		{"a\xc1\xbf", 1},
		{"\xe0\x9f\xbf", 0},
		{"\xed\xa0\x80", 0},
		{"\xed\x9f\xbf\xee\x80\x80", 6},
		{"\xf0\x8f\xbf\xbf", 0},
		{"\xf4\x8f\xbf\xbf", 4},
		{"\xf4\x90\x80\x80", 0},
		{"\xf5\x80\x80\x80", 0},
		{"12345678\xe2\x82", 8},
		{"\x80", 0},
		{"\xf0\x9f\x98", 0},
	};

	for (size_t k = 0; k < MR_COUNT_OF(cases); k++)
		assert_int_equal(mr_utf8_valid_bytes(mr_span_str(cases[k].text)), cases[k].valid);
}

static void utf8_every_code_point_is_valid_when_encoded(void **)
{
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		uint8_t b[4];
		size_t n;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		n = mr_utf8_encode(c, b);
		assert_true(mr_utf8_is_valid(mr_span(b, n)));
		assert_int_equal(mr_utf8_bytes(b[0]), n);
		assert_int_equal(mr_utf8_count(mr_span(b, n)), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(num_doubles_are_written_as_postgres_writes_them),
		cmocka_unit_test(num_the_fast_way_writes_what_the_slow_way_writes),
		cmocka_unit_test(digits_are_those_of_printf),
		cmocka_unit_test(num_random_texts_read_as_strtod_reads_them),
		cmocka_unit_test(num_very_long_texts_round_right),
		cmocka_unit_test(num_rejects_what_is_not_a_number),
		cmocka_unit_test(num_integers_stop_at_their_ends),
		cmocka_unit_test(utf8_valid_texts_end_where_rfc_3629_says),
		cmocka_unit_test(utf8_every_code_point_is_valid_when_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
