// Exact decimals of up to 35 digits on 128-bit integers.
//
// 10^35 < 2^119, so every coefficient, times ten even, fits a signed 128-bit word, and long
// division digit by digit needs nothing wider. Products are the one place where 70 digits can come
// up; they are refused by counting digits first.
#include "host/base/dec.h"

#include "host/base/hash.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned __int128 u128;

#define POW10_MAX 38 // 10^38 < 2^127
#define E19       10000000000000000000u

static const uint64_t pow10_u64[20] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
	100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
	100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
	1000000000000000000, E19};

static u128 pow10_u128(unsigned n)
{
	MR_DASSERT(n <= POW10_MAX);
	return n < 20 ? pow10_u64[n] : (u128)E19 * pow10_u64[n - 19];
}

mr_i128 mr_dec_pow10(unsigned n)
{
	return (mr_i128)pow10_u128(n);
}

static u128 magnitude(mr_i128 v)
{
	return v < 0 ? -(u128)v : (u128)v;
}

static unsigned digits_of(u128 v)
{
	unsigned n = 0;

	while (n <= POW10_MAX && v >= pow10_u128(n))
		n++;
	return n;
}

// Gives a magnitude its sign and scale if it has at most 35 digits.
static int make(bool negative, u128 v, int scale, struct mr_dec *out)
{
	if (v >= pow10_u128(MR_DEC_DIGITS_MAX) || scale < 0 || scale > MR_DEC_SCALE_MAX)
		return -ERANGE;
	*out = mr_dec_make(negative ? -(mr_i128)v : (mr_i128)v, (unsigned)scale);
	return 0;
}

// v * 10^n, or false when that is beyond 38 digits.
static bool times_pow10(u128 v, unsigned n, u128 *out)
{
	if (v == 0 || n == 0) {
		*out = v;
		return true;
	}
	return n <= POW10_MAX && !__builtin_mul_overflow(v, pow10_u128(n), out) &&
	       *out < pow10_u128(POW10_MAX);
}

// v / 10^n rounded half away from zero.
static u128 divide_pow10(u128 v, unsigned n)
{
	u128 p, half;

	if (n == 0)
		return v;
	if (n > POW10_MAX)
		return 0;
	p = pow10_u128(n);
	half = p / 2;
	return v / p + (v % p >= half);
}

static bool either_nan(struct mr_dec a, struct mr_dec b, struct mr_dec *out)
{
	if (!mr_dec_is_nan(a) && !mr_dec_is_nan(b))
		return false;
	*out = mr_dec_nan();
	return true;
}

// ---- sums and products

int mr_dec_add(struct mr_dec a, struct mr_dec b, struct mr_dec *out)
{
	mr_i128 x = mr_dec_coefficient(a), y = mr_dec_coefficient(b);
	unsigned sa = mr_dec_scale(a), sb = mr_dec_scale(b);
	unsigned scale = MR_MAX(sa, sb);
	u128 u, v;
	mr_i128 sum;

	if (either_nan(a, b, out))
		return 0;
	if (!times_pow10(magnitude(x), scale - sa, &u) ||
		!times_pow10(magnitude(y), scale - sb, &v))
		return -ERANGE;
	sum = (x < 0 ? -(mr_i128)u : (mr_i128)u) + (y < 0 ? -(mr_i128)v : (mr_i128)v);
	return make(sum < 0, magnitude(sum), (int)scale, out);
}

int mr_dec_sub(struct mr_dec a, struct mr_dec b, struct mr_dec *out)
{
	if (!mr_dec_is_nan(b))
		b = mr_dec_make(-mr_dec_coefficient(b), mr_dec_scale(b));
	return mr_dec_add(a, b, out);
}

int mr_dec_mul(struct mr_dec a, struct mr_dec b, struct mr_dec *out)
{
	mr_i128 x = mr_dec_coefficient(a), y = mr_dec_coefficient(b);
	u128 product;

	if (either_nan(a, b, out))
		return 0;
	if (__builtin_mul_overflow(magnitude(x), magnitude(y), &product))
		return -ERANGE;
	return make((x < 0) != (y < 0), product, (int)(mr_dec_scale(a) + mr_dec_scale(b)), out);
}

// ---- division

// PostgreSQL counts weights and first digits in base 10,000 (numeric.c, select_div_scale).
static void base10000_lead(struct mr_dec a, int *weight, int *first)
{
	u128 v = magnitude(mr_dec_coefficient(a));
	int scale = (int)mr_dec_scale(a);
	int top = (int)digits_of(v) - 1 - scale; // decimal exponent of the first digit
	int below;

	*weight = 0;
	*first = 0;
	if (v == 0)
		return;
	*weight = top >= 0 ? top / 4 : -((3 - top) / 4);
	below = *weight * 4 + scale; // decimal places of v under the first base-10,000 digit
	*first = below >= 0 ? (int)(v / pow10_u128((unsigned)below))
			    : (int)(v * pow10_u128((unsigned)-below));
}

static int division_scale(struct mr_dec a, struct mr_dec b)
{
	int wa, wb, fa, fb, weight, scale;

	base10000_lead(a, &wa, &fa);
	base10000_lead(b, &wb, &fb);
	weight = wa - wb - (fa <= fb);
	scale = 16 - 4 * weight;
	scale = MR_MAX(scale, (int)mr_dec_scale(a));
	scale = MR_MAX(scale, (int)mr_dec_scale(b));
	return MR_MIN(scale, MR_DEC_SCALE_MAX);
}

int mr_dec_div(struct mr_dec a, struct mr_dec b, struct mr_dec *out)
{
	mr_i128 x = mr_dec_coefficient(a), y = mr_dec_coefficient(b);
	u128 divisor = magnitude(y), quotient, rest;
	int have = (int)mr_dec_scale(a) - (int)mr_dec_scale(b);
	int want;

	if (either_nan(a, b, out))
		return 0;
	if (divisor == 0)
		return -EDOM;
	want = division_scale(a, b);
	quotient = magnitude(x) / divisor;
	rest = magnitude(x) % divisor;
	// A digit at a time; 34 digits at most before the step, so none is lost.
	while (have < want && quotient < pow10_u128(MR_DEC_DIGITS_MAX - 1)) {
		rest *= 10;
		quotient = quotient * 10 + rest / divisor;
		rest %= divisor;
		have++;
	}
	if (rest >= divisor - rest)
		quotient++;
	if (quotient == pow10_u128(MR_DEC_DIGITS_MAX) && have > 0) {
		quotient /= 10;
		have--;
	}
	return make((x < 0) != (y < 0), quotient, have, out);
}

int mr_dec_mod(struct mr_dec a, struct mr_dec b, struct mr_dec *out)
{
	mr_i128 x = mr_dec_coefficient(a);
	u128 rest = magnitude(x), divisor = magnitude(mr_dec_coefficient(b));
	int sa = (int)mr_dec_scale(a), sb = (int)mr_dec_scale(b);

	if (either_nan(a, b, out))
		return 0;
	if (divisor == 0)
		return -EDOM;
	// A divisor that grows beyond 38 digits is above the dividend, which then is the rest.
	if (sa > sb && !times_pow10(divisor, (unsigned)(sa - sb), &divisor))
		return make(x < 0, rest, sa, out);
	rest %= divisor;
	for (; sa < sb; sa++)
		rest = rest * 10 % divisor;
	return make(x < 0, rest, sa, out);
}

// ---- rounding

static int rescale(struct mr_dec a, int scale, bool half_up, struct mr_dec *out)
{
	mr_i128 x = mr_dec_coefficient(a);
	u128 v = magnitude(x);
	int drop = (int)mr_dec_scale(a) - scale;

	if (mr_dec_is_nan(a)) {
		*out = a;
		return 0;
	}
	if (drop > 0)
		v = half_up ? divide_pow10(v, (unsigned)drop)
			    : (drop > POW10_MAX ? 0 : v / pow10_u128((unsigned)drop));
	else if (!times_pow10(v, (unsigned)-drop, &v))
		return -ERANGE;
	if (scale < 0 && !times_pow10(v, (unsigned)-scale, &v))
		return -ERANGE;
	return make(x < 0, v, MR_MAX(scale, 0), out);
}

int mr_dec_round(struct mr_dec a, int scale, struct mr_dec *out)
{
	return rescale(a, scale, true, out);
}

int mr_dec_trunc(struct mr_dec a, int scale, struct mr_dec *out)
{
	return rescale(a, scale, false, out);
}

int mr_dec_fit(struct mr_dec a, unsigned precision, unsigned scale, struct mr_dec *out)
{
	int err = rescale(a, (int)scale, true, out);

	MR_DASSERT(precision <= MR_DEC_DIGITS_MAX);
	if (err || mr_dec_is_nan(*out))
		return err;
	return magnitude(mr_dec_coefficient(*out)) < pow10_u128(precision) ? 0 : -ERANGE;
}

// ---- order and hash

// Compares magnitudes a * 10^-sa and b * 10^-sb.
static int compare_magnitudes(u128 a, unsigned sa, u128 b, unsigned sb)
{
	if (sa < sb && !times_pow10(a, sb - sa, &a))
		return 1;
	if (sb < sa && !times_pow10(b, sa - sb, &b))
		return -1;
	return (a > b) - (a < b);
}

int mr_dec_cmp(struct mr_dec a, struct mr_dec b)
{
	mr_i128 x = mr_dec_coefficient(a), y = mr_dec_coefficient(b);
	int sign;

	if (mr_dec_is_nan(a) || mr_dec_is_nan(b))
		return mr_dec_is_nan(a) - mr_dec_is_nan(b);
	if (mr_dec_scale(a) == mr_dec_scale(b))
		return (x > y) - (x < y);
	if ((x < 0) != (y < 0))
		return x < 0 ? -1 : 1;
	sign = x < 0 ? -1 : 1;
	return sign *
	       compare_magnitudes(magnitude(x), mr_dec_scale(a), magnitude(y), mr_dec_scale(b));
}

uint64_t mr_dec_hash(struct mr_dec a)
{
	mr_i128 x = mr_dec_coefficient(a);
	unsigned scale = mr_dec_scale(a);

	if (!mr_dec_is_nan(a)) {
		while (scale && (x < INT64_MIN || x > INT64_MAX) && x % 10 == 0) {
			x /= 10;
			scale--;
		}
		if (x >= INT64_MIN && x <= INT64_MAX) {
			int64_t small = (int64_t)x;

			for (; scale && small % 10 == 0; scale--)
				small /= 10;
			x = small;
		}
	}
	return mr_hash64(
		(uint64_t)x ^ mr_hash64((uint64_t)(x >> 64) ^ scale, MR_HASH_SEED), MR_HASH_SEED);
}

// ---- other numbers

struct mr_dec mr_dec_from_i64(int64_t v)
{
	return mr_dec_make(v, 0);
}

int mr_dec_from_double(double v, struct mr_dec *out)
{
	char text[40];

	if (isnan(v)) {
		*out = mr_dec_nan();
		return 0;
	}
	if (isinf(v))
		return -ERANGE;
	snprintf(text, sizeof(text), "%.15g", v);
	return mr_dec_parse(mr_span_str(text), out);
}

double mr_dec_to_double(struct mr_dec a)
{
	static const double pow10[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	mr_i128 x = mr_dec_coefficient(a);
	char text[MR_DEC_TEXT_BYTES];

	if (mr_dec_is_nan(a))
		return NAN;
	// Both operands are exact, so the one division rounds once (Clinger 1990).
	if (magnitude(x) <= 1ull << 53 && mr_dec_scale(a) < MR_COUNT_OF(pow10))
		return (double)(int64_t)x / pow10[mr_dec_scale(a)];
	mr_dec_format(a, text);
	return strtod(text, NULL);
}

int mr_dec_to_i64(struct mr_dec a, int64_t *out)
{
	struct mr_dec whole;

	if (mr_dec_is_nan(a))
		return -EDOM;
	if (mr_dec_round(a, 0, &whole) || mr_dec_coefficient(whole) > INT64_MAX ||
		mr_dec_coefficient(whole) < INT64_MIN)
		return -ERANGE;
	*out = (int64_t)mr_dec_coefficient(whole);
	return 0;
}
