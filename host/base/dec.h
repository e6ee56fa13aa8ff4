// Exact decimals: PostgreSQL's numeric, bounded to 35 significant digits.
//
// A value is coefficient * 10^-scale. Both live in one signed 128-bit word, coefficient in the
// upper 120 bits and scale in the low 8, so a column of them is an array of 16-byte values. NaN has
// its own scale code; infinities do not exist. Arithmetic that needs more than 35 digits is an
// error (numeric_value_out_of_range), never a wrap or a silent rounding. Rounding is half away from
// zero.
#pragma once

#include "host/base/span.h"

typedef __int128 mr_i128;

struct mr_dec {
	mr_i128 word;
};

#define MR_DEC_SCALE_MAX  64
#define MR_DEC_SCALE_NAN  255
#define MR_DEC_DIGITS_MAX 35
#define MR_DEC_TEXT_BYTES 112 // longest text of a value, NUL included

static inline struct mr_dec mr_dec_make(mr_i128 coefficient, unsigned scale)
{
	return (struct mr_dec){(mr_i128)((unsigned __int128)coefficient << 8) | scale};
}

static inline mr_i128 mr_dec_coefficient(struct mr_dec d)
{
	return d.word >> 8;
}

static inline unsigned mr_dec_scale(struct mr_dec d)
{
	return (unsigned)(d.word & 0xff);
}

static inline struct mr_dec mr_dec_nan(void)
{
	return mr_dec_make(0, MR_DEC_SCALE_NAN);
}

static inline bool mr_dec_is_nan(struct mr_dec d)
{
	return mr_dec_scale(d) == MR_DEC_SCALE_NAN;
}

// All of these return 0, or -ERANGE when the result has more than 35 digits or scale > 64, or
// -EDOM for division by zero. NaN in gives NaN out, 0.
[[nodiscard]] int mr_dec_add(struct mr_dec a, struct mr_dec b, struct mr_dec *out);
[[nodiscard]] int mr_dec_sub(struct mr_dec a, struct mr_dec b, struct mr_dec *out);
[[nodiscard]] int mr_dec_mul(struct mr_dec a, struct mr_dec b, struct mr_dec *out);
// The result's scale is PostgreSQL's (select_div_scale): at least 16 significant digits and at
// least either operand's scale, as far as 35 digits allow.
[[nodiscard]] int mr_dec_div(struct mr_dec a, struct mr_dec b, struct mr_dec *out);
[[nodiscard]] int mr_dec_mod(struct mr_dec a, struct mr_dec b, struct mr_dec *out);
// Rounds or extends to `scale` digits after the point.
[[nodiscard]] int mr_dec_round(struct mr_dec a, int scale, struct mr_dec *out);
[[nodiscard]] int mr_dec_trunc(struct mr_dec a, int scale, struct mr_dec *out);
// Fits numeric(precision, scale): rounds, then -ERANGE when more than precision digits are left.
[[nodiscard]] int mr_dec_fit(
	struct mr_dec a, unsigned precision, unsigned scale, struct mr_dec *out);

// <0, 0, >0; NaN equals NaN and is above everything.
int mr_dec_cmp(struct mr_dec a, struct mr_dec b);

// A hash that equal values share whatever their scales.
uint64_t mr_dec_hash(struct mr_dec a);

struct mr_dec mr_dec_from_i64(int64_t v);
// From a double as PostgreSQL's float8::numeric: 15 significant digits. -ERANGE, or NaN for NaN.
[[nodiscard]] int mr_dec_from_double(double v, struct mr_dec *out);
double mr_dec_to_double(struct mr_dec a);
// Rounded. -ERANGE when it does not fit, -EDOM for NaN.
[[nodiscard]] int mr_dec_to_i64(struct mr_dec a, int64_t *out);

// Reads `[+-]digits[.digits][e[+-]digits]` or NaN, spaces around allowed. -EINVAL or -ERANGE.
[[nodiscard]] int mr_dec_parse(struct mr_span text, struct mr_dec *out);
// The same rounded to numeric(precision, scale) as it is read, so that digits beyond the scale, be
// they ever so many, are no error. -ERANGE when more than precision digits are left.
[[nodiscard]] int mr_dec_parse_fit(
	struct mr_span text, unsigned precision, unsigned scale, struct mr_dec *out);

// 10^n for n <= 38.
mr_i128 mr_dec_pow10(unsigned n);

// Writes PostgreSQL's text form (all digits of the scale) and returns its length, NUL not counted.
size_t mr_dec_format(struct mr_dec a, char out[MR_DEC_TEXT_BYTES]);
