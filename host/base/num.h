// Numbers and text: reading with overflow found, writing in PostgreSQL's form.
//
// Reading takes exactly the bytes given: no spaces, no NUL needed. Doubles are correctly rounded
// (to nearest, ties to even) both ways: what is written is the shortest text that reads back to the
// same bits, laid out as PostgreSQL does with extra_float_digits >= 1. The process must run in the
// C locale (nothing here ever calls setlocale).
#pragma once

#include "host/base/span.h"

#define MR_NUM_I64_TEXT_BYTES    21 // longest text of an int64_t, NUL included
#define MR_NUM_DOUBLE_TEXT_BYTES 32 // longest text of a double, NUL included

// `[+-]digits`. 0, -EINVAL when it is not that, -ERANGE when it does not fit.
[[nodiscard]] int mr_num_parse_i64(struct mr_span text, int64_t *out);

// `[+-](digits[.digits] | .digits)[e[+-]digits]`, `[+-]inf[inity]`, `nan` in any case. -EINVAL, or
// -ERANGE when the value is beyond the largest or, not being zero, below the smallest number.
[[nodiscard]] int mr_num_parse_double(struct mr_span text, double *out);
[[nodiscard]] int mr_num_parse_float(struct mr_span text, float *out);

// digits * 10^exponent rounded to the nearest double.
// False when the fast ways cannot decide: the caller falls back on mr_num_parse_double.
bool mr_num_scale_double(uint64_t digits, int exponent, double *out);

// Write text and a NUL; return the length without it. `0.1`, `1e+100`, `1e-07`, `-0`, `NaN`,
// `Infinity`.
size_t mr_num_format_i64(int64_t v, char out[MR_NUM_I64_TEXT_BYTES]);
size_t mr_num_format_double(double v, char out[MR_NUM_DOUBLE_TEXT_BYTES]);
size_t mr_num_format_float(float v, char out[MR_NUM_DOUBLE_TEXT_BYTES]);
