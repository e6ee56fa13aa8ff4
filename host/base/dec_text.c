// Decimals and text.
//
// Reading goes over the bytes twice: first the shape (where the digits are, how many stand behind
// the point, the exponent), then the digits that are kept. Rounding half away from zero needs only
// the first digit that is not.
#include "host/base/dec.h"

#include "host/base/digits.h"

#include <errno.h>
#include <limits.h>

typedef unsigned __int128 u128;

// Exponents beyond this are out of range whatever the digits (unless those are all zero).
#define EXPONENT_MAX 100000

// [+-]digits[.digits][e[+-]digits], taken apart.
struct shape {
	bool negative;
	bool nan;
	const uint8_t *digits; // from the first digit that is not 0, the point among them
	const uint8_t *end;
	int64_t count; // of them
	int64_t scale; // digits behind the point, less the exponent
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct mr_span strip(struct mr_span s)
{
	while (s.bytes && is_space(s.data[0]))
		s = mr_span(s.data + 1, s.bytes - 1);
	while (s.bytes && is_space(s.data[s.bytes - 1]))
		s.bytes--;
	return s;
}

static bool is_nan_text(struct mr_span s)
{
	return s.bytes == 3 && (s.data[0] | 32) == 'n' && (s.data[1] | 32) == 'a' &&
	       (s.data[2] | 32) == 'n';
}

// The exponent behind `e`; saturates.
static bool read_exponent(const uint8_t *p, const uint8_t *end, int64_t *out)
{
	bool negative = p < end && *p == '-';
	int64_t v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return false;
	for (; p < end; p++) {
		if (!is_digit(*p))
			return false;
		v = MR_MIN(v * 10 + (*p - '0'), (int64_t)EXPONENT_MAX);
	}
	*out = negative ? -v : v;
	return true;
}

// Digits and at most one point from `p`; at least one digit.
static const uint8_t *read_digits(const uint8_t *p, const uint8_t *end, struct shape *out)
{
	const uint8_t *point = NULL;
	bool any = false;

	out->digits = NULL;
	for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
		if (*p == '.') {
			point = p;
			continue;
		}
		any = true;
		out->scale += point != NULL;
		if (*p != '0' && !out->digits)
			out->digits = p;
		out->count += out->digits != NULL;
	}
	out->end = p;
	if (!out->digits)
		out->digits = p;
	return any ? p : NULL;
}

static int read_shape(struct mr_span text, struct shape *out)
{
	struct mr_span s = strip(text);
	const uint8_t *p = s.data, *end = s.data + s.bytes;
	int64_t exponent = 0;

	*out = (struct shape){.nan = is_nan_text(s)};
	if (out->nan)
		return 0;
	if (p < end && (*p == '-' || *p == '+'))
		out->negative = *p++ == '-';
	p = read_digits(p, end, out);
	if (!p)
		return -EINVAL;
	if (p < end && ((*p | 32) != 'e' || !read_exponent(p + 1, end, &exponent)))
		return -EINVAL;
	out->scale -= exponent;
	return 0;
}

// The value of the first `keep` digits, rounded by the one behind them. At most 36 are kept.
static u128 digits_value(const struct shape *s, int64_t keep)
{
	const uint8_t *p = s->digits;
	u128 v = 0;

	for (; keep > 0 && p < s->end; p++) {
		if (*p == '.')
			continue;
		v = v * 10 + (*p - '0');
		keep--;
	}
	if (p < s->end && *p == '.')
		p++;
	return v + (keep == 0 && p < s->end && *p >= '5');
}

// Rounds to `scale` digits behind the point.
static int shape_value(const struct shape *s, int scale, struct mr_dec *out)
{
	int64_t keep = s->count - (s->scale - scale);
	u128 v = 0;

	if (keep > MR_DEC_DIGITS_MAX && s->count > 0)
		return -ERANGE;
	if (s->count > 0 && keep >= 0)
		v = digits_value(s, MR_MIN(keep, s->count));
	if (v && keep > s->count)
		v *= (u128)mr_dec_pow10((unsigned)(keep - s->count));
	if (v >= (u128)mr_dec_pow10(MR_DEC_DIGITS_MAX))
		return -ERANGE;
	*out = mr_dec_make(s->negative ? -(mr_i128)v : (mr_i128)v, (unsigned)scale);
	return 0;
}

int mr_dec_parse(struct mr_span text, struct mr_dec *out)
{
	struct shape s;
	int err = read_shape(text, &s);

	if (err)
		return err;
	if (s.nan) {
		*out = mr_dec_nan();
		return 0;
	}
	if (s.count == 0)
		s.scale = MR_MIN(s.scale, MR_DEC_SCALE_MAX);
	if (s.scale > MR_DEC_SCALE_MAX)
		return -ERANGE;
	return shape_value(&s, (int)MR_MAX(s.scale, 0), out);
}

int mr_dec_parse_fit(struct mr_span text, unsigned precision, unsigned scale, struct mr_dec *out)
{
	struct shape s;
	int err = read_shape(text, &s);

	MR_DASSERT(precision <= MR_DEC_DIGITS_MAX && scale <= MR_DEC_SCALE_MAX);
	if (err)
		return err;
	if (s.nan) {
		*out = mr_dec_nan();
		return 0;
	}
	err = shape_value(&s, (int)scale, out);
	if (err)
		return err;
	return mr_dec_coefficient(*out) < mr_dec_pow10(precision) &&
			       mr_dec_coefficient(*out) > -mr_dec_pow10(precision)
		       ? 0
		       : -ERANGE;
}

// The digits of a coefficient, none for 0; returns how many. Words of 18 digits, for dividing 128
// bits is slow.
static unsigned put_coefficient(u128 v, char *out)
{
	const uint64_t word = 1000000000000000000;
	char *p = out;

	if (v == 0)
		return 0;
	if (v >= word) {
		p = mr_put_u64(p, (uint64_t)(v / word));
		p = mr_put_fixed(p, (uint64_t)(v % word), 18);
	} else {
		p = mr_put_u64(p, (uint64_t)v);
	}
	return (unsigned)(p - out);
}

// 10^35 / 10^18 fits a word.
static_assert(MR_DEC_DIGITS_MAX <= 36);

size_t mr_dec_format(struct mr_dec a, char out[MR_DEC_TEXT_BYTES])
{
	mr_i128 x = mr_dec_coefficient(a);
	unsigned scale = mr_dec_scale(a), count, whole;
	char digits[40], *p = out;

	if (mr_dec_is_nan(a)) {
		memcpy(out, "NaN", 4);
		return 3;
	}
	count = put_coefficient(x < 0 ? -(u128)x : (u128)x, digits);
	whole = count > scale ? count - scale : 0;
	if (x < 0)
		*p++ = '-';
	if (whole)
		p = mr_put_bytes(p, digits, whole);
	else
		*p++ = '0';
	if (scale) {
		*p++ = '.';
		for (unsigned i = count; i < scale; i++)
			*p++ = '0';
		p = mr_put_bytes(p, digits + whole, count - whole);
	}
	*p = 0;
	return (size_t)(p - out);
}
