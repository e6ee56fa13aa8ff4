// Numbers from text.
//
// A double is digits and a power of ten. When the digits are below 2^53 and the power is at
// most 10^22, both are exact doubles and one multiplication or division rounds once, which is right
// (Clinger, "How to read floating point numbers accurately", 1990). The rest goes to strtod, after
// being brought into a short form.
#include "host/base/num.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double pow10_exact[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

int mr_num_parse_i64(struct mr_span text, int64_t *out)
{
	const uint8_t *p = text.data, *end = p + text.bytes;
	bool negative = p < end && *p == '-', over = false;
	int64_t v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return -EINVAL;
	for (; p < end; p++) {
		if (!is_digit(*p))
			return -EINVAL;
		// Counted down from zero, for INT64_MIN has no positive twin.
		over |= __builtin_mul_overflow(v, (int64_t)10, &v);
		over |= __builtin_sub_overflow(v, (int64_t)(*p - '0'), &v);
	}
	if (over || (!negative && v == INT64_MIN))
		return -ERANGE;
	*out = negative ? v : -v;
	return 0;
}

// ---- reading doubles

// More digits than any halfway case between two doubles has (767), so that a digit dropped behind
// them matters only by being there.
#define DIGITS_MAX   800
#define EXPONENT_MAX 1000000

struct number {
	bool negative;
	bool rest;        // a digit other than 0 was dropped
	int digits_count; // leading zeros not counted
	int64_t exponent; // of the last digit kept
	uint64_t head;    // the first 19 digits
	char digits[DIGITS_MAX + 32];
};

static void add_digit(struct number *n, uint8_t c, bool behind_point)
{
	if (n->digits_count == 0 && c == '0') {
		n->exponent -= behind_point;
		return;
	}
	if (n->digits_count == DIGITS_MAX) {
		n->rest |= c != '0';
		n->exponent += !behind_point;
		return;
	}
	if (n->digits_count < 19)
		n->head = n->head * 10 + (c - '0');
	n->digits[n->digits_count++] = (char)c;
	n->exponent -= behind_point;
}

static const uint8_t *read_exponent(const uint8_t *p, const uint8_t *end, int64_t *out)
{
	bool negative = p < end && *p == '-';
	int64_t v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end || !is_digit(*p))
		return NULL;
	for (; p < end && is_digit(*p); p++)
		v = MR_MIN(v * 10 + (*p - '0'), (int64_t)EXPONENT_MAX);
	*out = negative ? -v : v;
	return p;
}

// The shape `[+-](digits[.digits] | .digits)[e[+-]digits]`.
static bool read_number(struct mr_span text, struct number *n)
{
	const uint8_t *p = text.data, *end = p + text.bytes;
	int64_t exponent = 0;
	bool point = false, any = false;

	n->rest = false;
	n->digits_count = 0;
	n->exponent = 0;
	n->head = 0;
	n->negative = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		any = true;
		add_digit(n, *p, point);
	}
	if (any && p < end && (*p | 32) == 'e')
		p = read_exponent(p + 1, end, &exponent);
	n->exponent += exponent;
	return any && p == end;
}

// `inf`, `infinity`, `nan`, signed.
static bool read_special(struct mr_span text, double *out)
{
	char word[12] = "";
	size_t at = 0, n = 0;

	if (text.bytes && (text.data[0] == '-' || text.data[0] == '+'))
		at = 1;
	for (; at < text.bytes && n < sizeof(word) - 1; at++)
		word[n++] = (char)(text.data[at] | 32);
	if (at < text.bytes)
		return false;
	if (!strcmp(word, "nan") && text.bytes == 3)
		*out = NAN;
	else if (!strcmp(word, "inf") || !strcmp(word, "infinity"))
		*out = text.data[0] == '-' ? -INFINITY : INFINITY;
	else
		return false;
	return true;
}

// Makes the digits a text for strtod.
static const char *number_text(struct number *n)
{
	int at = n->digits_count;

	if (n->rest) {
		n->digits[at++] = '1';
		n->exponent--;
	}
	snprintf(n->digits + at, sizeof(n->digits) - (size_t)at, "e%lld", (long long)n->exponent);
	return n->digits;
}

bool mr_num_scale_double(uint64_t digits, int exponent, double *out)
{
	if (digits > 1ull << 53 || exponent < -22 || exponent > 22)
		return false;
	*out = exponent < 0 ? (double)digits / pow10_exact[-exponent]
			    : (double)digits * pow10_exact[exponent];
	return true;
}

int mr_num_parse_double(struct mr_span text, double *out)
{
	struct number n;
	double v = 0;

	if (!read_number(text, &n))
		return read_special(text, out) ? 0 : -EINVAL;
	if (n.digits_count > 0 && (n.digits_count > 19 || n.exponent < -22 || n.exponent > 22 ||
					  !mr_num_scale_double(n.head, (int)n.exponent, &v))) {
		v = strtod(number_text(&n), NULL);
		if (v == 0 || isinf(v))
			return -ERANGE;
	}
	*out = n.negative ? -v : v;
	return 0;
}

int mr_num_parse_float(struct mr_span text, float *out)
{
	struct number n;
	double special;
	float v = 0;

	if (!read_number(text, &n)) {
		if (!read_special(text, &special))
			return -EINVAL;
		*out = (float)special;
		return 0;
	}
	if (n.digits_count > 0) {
		v = strtof(number_text(&n), NULL);
		if (v == 0 || isinf(v))
			return -ERANGE;
	}
	*out = n.negative ? -v : v;
	return 0;
}
