// Numbers to text.
//
// A double is written with the fewest digits that read back to the same bits and, of those, the
// nearest ones (Steele and White 1990), as PostgreSQL's. The fast way is Schubfach (Giulietti 2020,
// "The Schubfach way to render doubles"): with v = c * 2^q and 10^k the greatest power of ten that
// is not above the distance 2^q between neighbours, one of floor(v / 10^k) and the number behind it
// reads back to v, and of the multiples of 10^(k+1) at most one does. So four comparisons decide.
//
// The paper takes v / 10^k, and the ends of the interval that reads back, from a table of 617
// powers of ten of 128 bits, and proves that their error is small enough. Here there is no error
// and no table: between 1e-15 and 1e34 everything is an integer of 128 bits,
//
//	k <= 0:  4c * 5^-k >> (k - q)     55 bits and 72 bits: -k <= 31
//	k > 0:   4c << q, / 10^k          55 bits and 63 bits: q <= 63
//
// of which the floor is kept, its lowest bit set when something was cut off (rounding to odd keeps
// every later comparison with an even number right). Numbers beyond that range, which no producer
// sends in earnest, go the slow way: printf of 15, 16 and 17 digits, read back each time. Below the
// normal range fewer digits may do, and all lengths are tried. At a power of two the numbers that
// read back to it reach twice as far upwards as downwards, so the next text above may do where the
// nearest, below, does not.
#include "host/base/num.h"

#include "host/base/digits.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned __int128 u128;

#define POW5_MAX  31 // 5^31 < 2^72
#define SHIFT_MAX 63

size_t mr_num_format_i64(int64_t v, char out[MR_NUM_I64_TEXT_BYTES])
{
	char *p = out;

	if (v < 0)
		*p++ = '-';
	p = mr_put_u64(p, v < 0 ? -(uint64_t)v : (uint64_t)v);
	*p = 0;
	return (size_t)(p - out);
}

// A positive number d.ddd * 10^exponent.
struct decimal {
	char digits[20]; // the last one is not 0
	int count;
	int exponent;
};

static void strip_zeros(struct decimal *d)
{
	while (d->count > 1 && d->digits[d->count - 1] == '0')
		d->count--;
}

// ---- the fast way

// c * 2^q, as the two kinds of floating point number have it.
struct binary {
	uint64_t c;
	int q;
	bool closer_below; // a power of two: the neighbour below is half as far
};

static const uint64_t pow5[28] = {1, 5, 25, 125, 625, 3125, 15625, 78125, 390625, 1953125, 9765625,
	48828125, 244140625, 1220703125, 6103515625, 30517578125, 152587890625, 762939453125,
	3814697265625, 19073486328125, 95367431640625, 476837158203125, 2384185791015625,
	11920928955078125, 59604644775390625, 298023223876953125, 1490116119384765625,
	7450580596923828125};

// v * 2^q / 10^k rounded to odd; 0 <= -k <= POW5_MAX, or 0 < q <= SHIFT_MAX.
static uint64_t scale(uint64_t v, int q, int k)
{
	u128 p, divisor;
	int shift;

	if (k > 0) {
		p = (u128)v << q;
		divisor = (u128)pow5[k] << k;
		return (uint64_t)(p / divisor) | (p % divisor != 0);
	}
	p = (u128)v * pow5[MR_MIN(-k, 27)];
	if (-k > 27)
		p *= pow5[-k - 27];
	shift = k - q;
	if (shift <= 0) // k = 0 and q = 0 to 3
		return (uint64_t)(p << -shift);
	return (uint64_t)(p >> shift) | ((p & (((u128)1 << shift) - 1)) != 0);
}

// The digits as an integer and their power of ten, or false beyond the range of exact integers.
static bool shortest(struct binary b, uint64_t *digits, int *power)
{
	// floor(log10(2^q)), and of 3/4 * 2^q where the interval is shorter.
	int k = (b.q * 1262611 - (b.closer_below ? 524031 : 0)) >> 22;
	uint64_t low, at, high, s;

	if (k < -POW5_MAX || b.q > SHIFT_MAX)
		return false;
	at = scale(4 * b.c, b.q, k);
	// The ends of the interval are out: they read back to an even c only where a reader rounds
	// ties to even, and PostgreSQL does not write them either.
	low = scale(4 * b.c - 2 + b.closer_below, b.q, k) + 1;
	high = scale(4 * b.c + 2, b.q, k) - 1;
	s = at / 4;
	if (s >= 10) {
		uint64_t ten = s / 10 * 40;
		bool below = low <= ten, above = ten + 40 <= high;

		if (below != above) {
			*digits = s / 10 + above;
			*power = k + 1;
			return true;
		}
	}
	*digits = s;
	*power = k;
	if ((low <= 4 * s) != (4 * s + 4 <= high))
		*digits += 4 * s + 4 <= high;
	else
		*digits += at > 4 * s + 2 || (at == 4 * s + 2 && (s & 1));
	return true;
}

static bool fast_decimal(struct binary b, struct decimal *d)
{
	uint64_t digits;
	int power;

	if (!shortest(b, &digits, &power))
		return false;
	d->count = (int)(mr_put_u64(d->digits, digits) - d->digits);
	d->exponent = power + d->count - 1;
	strip_zeros(d);
	return true;
}

static struct binary take_apart(uint64_t fraction, int exponent, int fraction_bits, int bias)
{
	if (exponent == 0)
		return (struct binary){fraction, 1 - bias - fraction_bits, false};
	return (struct binary){fraction | 1ull << fraction_bits, exponent - bias - fraction_bits,
		fraction == 0 && exponent > 1};
}

static struct binary of_double(double v)
{
	uint64_t u;

	memcpy(&u, &v, sizeof(u));
	return take_apart(u & ((1ull << 52) - 1), (int)(u >> 52), 52, 1023);
}

static struct binary of_float(float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof(u));
	return take_apart(u & ((1u << 23) - 1), (int)(u >> 23), 23, 127);
}

// ---- the slow way

// Of printf's d.ddde±xx.
static void take_digits(const char *scientific, struct decimal *d)
{
	const char *p = scientific;

	d->count = 0;
	for (; *p && *p != 'e'; p++)
		if (*p != '.')
			d->digits[d->count++] = *p;
	d->exponent = atoi(p + 1);
	strip_zeros(d);
}

// Adds one to the last digit of `d.ddde±xx`. False when it is a 9: such a text is not shortest.
static bool next_text(char *scientific)
{
	char *last = strchr(scientific, 'e') - 1;

	if (*last < '0' || *last >= '9')
		return false;
	++*last;
	return true;
}

static bool reads_back(char *text, double v, bool power_of_two)
{
	return strtod(text, NULL) == v ||
	       (power_of_two && next_text(text) && strtod(text, NULL) == v);
}

static bool reads_back_float(char *text, float v, bool power_of_two)
{
	return strtof(text, NULL) == v ||
	       (power_of_two && next_text(text) && strtof(text, NULL) == v);
}

static void slow_decimal(double v, bool power_of_two, struct decimal *d)
{
	char text[40];

	for (int n = v < DBL_MIN ? 1 : 15; n <= 17; n++) {
		snprintf(text, sizeof(text), "%.*e", n - 1, v);
		if (n == 17 || reads_back(text, v, power_of_two))
			break;
	}
	take_digits(text, d);
}

static void slow_decimal_float(float v, bool power_of_two, struct decimal *d)
{
	char text[40];

	for (int n = v < FLT_MIN ? 1 : 6; n <= 9; n++) {
		snprintf(text, sizeof(text), "%.*e", n - 1, (double)v);
		if (n == 9 || reads_back_float(text, v, power_of_two))
			break;
	}
	take_digits(text, d);
}

// ---- layout

static char *put_exponent(char *p, int e)
{
	unsigned magnitude = (unsigned)abs(e);

	*p++ = 'e';
	*p++ = e < 0 ? '-' : '+';
	return magnitude < 100 ? mr_put_two(p, magnitude) : mr_put_fixed(p, magnitude, 3);
}

static char *put_zeros(char *p, int count)
{
	memset(p, '0', (size_t)count);
	return p + count;
}

// PostgreSQL's layout: plain from 10^-4 to below 10^fixed_max, scientific otherwise.
static size_t lay_out(const struct decimal *d, bool negative, int fixed_max, char *out)
{
	int e = d->exponent, whole = e + 1;
	bool plain = e >= -4 && e < fixed_max;
	char *p = out;

	if (negative)
		*p++ = '-';
	if (!plain)
		whole = 1;
	if (whole <= 0) {
		p = put_zeros(mr_put_bytes(p, "0.", 2), -whole);
		p = mr_put_bytes(p, d->digits, (size_t)d->count);
	} else if (d->count <= whole) {
		p = mr_put_bytes(p, d->digits, (size_t)d->count);
		p = put_zeros(p, whole - d->count);
	} else {
		p = mr_put_bytes(p, d->digits, (size_t)whole);
		*p++ = '.';
		p = mr_put_bytes(p, d->digits + whole, (size_t)(d->count - whole));
	}
	if (!plain)
		p = put_exponent(p, e);
	*p = 0;
	return (size_t)(p - out);
}

static size_t format_special(double v, char *out)
{
	const char *text = isnan(v)   ? "NaN"
			   : isinf(v) ? (v < 0 ? "-Infinity" : "Infinity")
				      : (signbit(v) ? "-0" : "0");
	size_t bytes = strlen(text);

	memcpy(out, text, bytes + 1);
	return bytes;
}

size_t mr_num_format_double(double v, char out[MR_NUM_DOUBLE_TEXT_BYTES])
{
	double magnitude = fabs(v);
	struct decimal d;
	struct binary b;

	if (isnan(v) || isinf(v) || v == 0)
		return format_special(v, out);
	if (magnitude < 1e15 && magnitude == (double)(int64_t)magnitude)
		return mr_num_format_i64((int64_t)v, out);
	b = of_double(magnitude);
	if (MR_UNLIKELY(!fast_decimal(b, &d)))
		slow_decimal(magnitude, b.closer_below, &d);
	return lay_out(&d, signbit(v), 15, out);
}

size_t mr_num_format_float(float v, char out[MR_NUM_DOUBLE_TEXT_BYTES])
{
	float magnitude = fabsf(v);
	struct decimal d;
	struct binary b;

	if (isnan(v) || isinf(v) || v == 0)
		return format_special((double)v, out);
	b = of_float(magnitude);
	if (MR_UNLIKELY(!fast_decimal(b, &d)))
		slow_decimal_float(magnitude, b.closer_below, &d);
	return lay_out(&d, signbit(v), 6, out);
}
