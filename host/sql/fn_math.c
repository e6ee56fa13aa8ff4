// Mathematics.
#include "host/sql/fn_int.h"
#include "host/sql/session_int.h"

// PostgreSQL's constant; dividing by M_PI and multiplying by 180 gives other last digits.
#define RADIANS_PER_DEGREE 0.0174532925199432957692

#define ABS_ROW(name, T)                                                           \
	static int name(struct mr_fn_call *c, const void *const *a, void *out)     \
	{                                                                          \
		T v = ARG(T, 0);                                                   \
		if (v < 0 && __builtin_sub_overflow((T)0, v, &v))                  \
			return mr_fn_out_of_range(c, (enum mr_type)c->e->fn->ret); \
		RESULT(T) = v;                                                     \
		return 0;                                                          \
	}

ABS_ROW(abs_i2, int16_t)
ABS_ROW(abs_i4, int32_t)
ABS_ROW(abs_i8, int64_t)

static int abs_f4(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(float) = fabsf(ARG(float, 0));
	return 0;
}

static int abs_n(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_dec d = ARG(struct mr_dec, 0);
	mr_i128 c = mr_dec_coefficient(d);

	RESULT(struct mr_dec) = mr_dec_is_nan(d) ? d : mr_dec_make(c < 0 ? -c : c, mr_dec_scale(d));
	return 0;
}

#define F8_ROW(name, expr)                                                    \
	static int name(struct mr_fn_call *, const void *const *a, void *out) \
	{                                                                     \
		double x = ARG(double, 0);                                    \
		RESULT(double) = expr;                                        \
		return 0;                                                     \
	}

F8_ROW(abs_f8, fabs(x))
F8_ROW(floor_f8, floor(x))
F8_ROW(ceil_f8, ceil(x))
F8_ROW(round_f8, rint(x))
F8_ROW(trunc_f8, trunc(x))
F8_ROW(sign_f8, x > 0 ? 1 : x < 0 ? -1 : 0)
F8_ROW(cbrt_f8, cbrt(x))
F8_ROW(degrees_f8, x / RADIANS_PER_DEGREE)
F8_ROW(radians_f8, x *RADIANS_PER_DEGREE)
F8_ROW(atan_f8, atan(x))
F8_ROW(sinh_f8, sinh(x))
F8_ROW(cosh_f8, cosh(x))
F8_ROW(tanh_f8, tanh(x))
F8_ROW(asinh_f8, asinh(x))

// Functions that are not defined everywhere.
#define F8_DOMAIN(name, defined, expr)                                           \
	static int name(struct mr_fn_call *c, const void *const *a, void *out)   \
	{                                                                        \
		double x = ARG(double, 0);                                       \
		if (!isnan(x) && !(defined))                                     \
			return mr_fn_error(c, "22003", "input is out of range"); \
		RESULT(double) = expr;                                           \
		return 0;                                                        \
	}

F8_DOMAIN(sin_f8, !isinf(x), sin(x))
F8_DOMAIN(cos_f8, !isinf(x), cos(x))
F8_DOMAIN(tan_f8, !isinf(x), tan(x))
F8_DOMAIN(cot_f8, !isinf(x), 1 / tan(x))
F8_DOMAIN(asin_f8, x >= -1 && x <= 1, asin(x))
F8_DOMAIN(acos_f8, x >= -1 && x <= 1, acos(x))
F8_DOMAIN(acosh_f8, x >= 1, acosh(x))
F8_DOMAIN(atanh_f8, x >= -1 && x <= 1, atanh(x))

static int pi_f8(struct mr_fn_call *, const void *const *, void *out)
{
	RESULT(double) = M_PI;
	return 0;
}

static int sqrt_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	if (ARG(double, 0) < 0)
		return mr_fn_error(c, "2201F", "cannot take square root of a negative number");
	RESULT(double) = sqrt(ARG(double, 0));
	return 0;
}

static int log_check(struct mr_fn_call *c, double x)
{
	if (x == 0)
		return mr_fn_error(c, "2201E", "cannot take logarithm of zero");
	if (x < 0)
		return mr_fn_error(c, "2201E", "cannot take logarithm of a negative number");
	return 0;
}

static int ln_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	RESULT(double) = log(ARG(double, 0));
	return log_check(c, ARG(double, 0));
}

static int log10_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	RESULT(double) = log10(ARG(double, 0));
	return log_check(c, ARG(double, 0));
}

static int exp_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	double x = ARG(double, 0), r = exp(x);

	RESULT(double) = r;
	if (isinf(r) && !isinf(x))
		return mr_fn_error(c, "22003", "value out of range: overflow");
	if (r == 0 && !isinf(x))
		return mr_fn_error(c, "22003", "value out of range: underflow");
	return 0;
}

static int power_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	double x = ARG(double, 0), y = ARG(double, 1), r = pow(x, y);

	if (x == 0 && y < 0)
		return mr_fn_error(c, "2201F", "zero raised to a negative power is undefined");
	if (x < 0 && isfinite(y) && floor(y) != y)
		return mr_fn_error(c, "2201F",
			"a negative number raised to a non-integer power yields a complex result");
	RESULT(double) = r;
	if (isinf(r) && isfinite(x) && isfinite(y))
		return mr_fn_error(c, "22003", "value out of range: overflow");
	if (r == 0 && x != 0 && isfinite(x) && isfinite(y))
		return mr_fn_error(c, "22003", "value out of range: underflow");
	return 0;
}

static int atan2_f8(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(double) = atan2(ARG(double, 0), ARG(double, 1));
	return 0;
}

// ---- numeric ----

static int round_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t digits = c->args_count > 1 ? ARG(int32_t, 1) : 0;

	digits = MR_MAX(MR_MIN(digits, MR_DEC_SCALE_MAX), -MR_DEC_DIGITS_MAX - 1);
	return fn_dec_result(c, mr_dec_round(ARG(struct mr_dec, 0), digits, out));
}

static int trunc_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t digits = c->args_count > 1 ? ARG(int32_t, 1) : 0;

	digits = MR_MAX(MR_MIN(digits, MR_DEC_SCALE_MAX), -MR_DEC_DIGITS_MAX - 1);
	return fn_dec_result(c, mr_dec_trunc(ARG(struct mr_dec, 0), digits, out));
}

static int toward(struct mr_fn_call *c, struct mr_dec d, int sign, void *out)
{
	struct mr_dec t;
	int rc = mr_dec_trunc(d, 0, &t);

	if (rc >= 0 && mr_dec_cmp(d, t) * sign > 0)
		rc = mr_dec_add(t, mr_dec_from_i64(sign), &t);
	RESULT(struct mr_dec) = t;
	return fn_dec_result(c, rc);
}

static int floor_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return toward(c, ARG(struct mr_dec, 0), -1, out);
}

static int ceil_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return toward(c, ARG(struct mr_dec, 0), 1, out);
}

static int sign_n(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_dec d = ARG(struct mr_dec, 0);
	mr_i128 c = mr_dec_coefficient(d);

	RESULT(struct mr_dec) = mr_dec_is_nan(d) ? d : mr_dec_make((c > 0) - (c < 0), 0);
	return 0;
}

// ---- random ----

static int random_f8(struct mr_fn_call *c, const void *const *, void *out)
{
	struct mr_session *s = c->ev->session;

	if (!s)
		return mr_fn_error(c, "0A000", "random() is not supported here");
	RESULT(double) = mr_rand_unit(&s->rand);
	return 0;
}

static int setseed_f8(struct mr_fn_call *c, const void *const *a, void *)
{
	struct mr_session *s = c->ev->session;
	uint64_t bits;

	if (!(ARG(double, 0) >= -1 && ARG(double, 0) <= 1))
		return mr_fn_error(c, "22023",
			"setseed parameter %g is out of allowed range [-1,1]", ARG(double, 0));
	memcpy(&bits, a[0], sizeof(bits));
	if (s)
		mr_rand_init(&s->rand, bits);
	return 1;
}

static int width_bucket(struct mr_fn_call *c, const void *const *a, void *out)
{
	double x = ARG(double, 0), low = ARG(double, 1), high = ARG(double, 2);
	int32_t n = ARG(int32_t, 3);
	double at;

	if (n <= 0)
		return mr_fn_error(c, "2201G", "count must be greater than zero");
	if (isnan(x) || isnan(low) || isnan(high))
		return mr_fn_error(
			c, "2201G", "operand, lower bound, and upper bound cannot be NaN");
	if (low == high)
		return mr_fn_error(c, "2201G", "lower bound cannot equal upper bound");
	at = low < high ? (x - low) / (high - low) : (low - x) / (low - high);
	RESULT(int32_t) = at < 0 ? 0 : at >= 1 ? n + 1 : (int32_t)(at * n) + 1;
	return 0;
}

#define F1(name, t, f)                      \
	{                                   \
		name, t, 1, {t}, 0, f, NULL \
	}

static const struct mr_fn fns[] = {
	F1("abs", T_I2, abs_i2),
	F1("abs", T_I4, abs_i4),
	F1("abs", T_I8, abs_i8),
	F1("abs", T_F4, abs_f4),
	F1("abs", T_F8, abs_f8),
	F1("abs", T_N, abs_n),
	F1("@", T_I2, abs_i2),
	F1("@", T_I4, abs_i4),
	F1("@", T_I8, abs_i8),
	F1("@", T_F4, abs_f4),
	F1("@", T_F8, abs_f8),
	F1("@", T_N, abs_n),
	F1("floor", T_F8, floor_f8),
	F1("floor", T_N, floor_n),
	F1("ceil", T_F8, ceil_f8),
	F1("ceil", T_N, ceil_n),
	F1("ceiling", T_F8, ceil_f8),
	F1("ceiling", T_N, ceil_n),
	F1("round", T_F8, round_f8),
	F1("round", T_N, round_n),
	{"round", T_N, 2, {T_N, T_I4}, 0, round_n, NULL},
	F1("trunc", T_F8, trunc_f8),
	F1("trunc", T_N, trunc_n),
	{"trunc", T_N, 2, {T_N, T_I4}, 0, trunc_n, NULL},
	F1("sign", T_F8, sign_f8),
	F1("sign", T_N, sign_n),
	F1("sqrt", T_F8, sqrt_f8),
	F1("|/", T_F8, sqrt_f8),
	F1("cbrt", T_F8, cbrt_f8),
	F1("||/", T_F8, cbrt_f8),
	F1("exp", T_F8, exp_f8),
	F1("ln", T_F8, ln_f8),
	F1("log", T_F8, log10_f8),
	F1("log10", T_F8, log10_f8),
	{"power", T_F8, 2, {T_F8, T_F8}, 0, power_f8, NULL},
	{"pow", T_F8, 2, {T_F8, T_F8}, 0, power_f8, NULL},
	{"^", T_F8, 2, {T_F8, T_F8}, 0, power_f8, NULL},
	F1("degrees", T_F8, degrees_f8),
	F1("radians", T_F8, radians_f8),
	F1("sin", T_F8, sin_f8),
	F1("cos", T_F8, cos_f8),
	F1("tan", T_F8, tan_f8),
	F1("atan", T_F8, atan_f8),
	F1("cot", T_F8, cot_f8),
	F1("asin", T_F8, asin_f8),
	F1("acos", T_F8, acos_f8),
	F1("sinh", T_F8, sinh_f8),
	F1("cosh", T_F8, cosh_f8),
	F1("tanh", T_F8, tanh_f8),
	F1("asinh", T_F8, asinh_f8),
	F1("acosh", T_F8, acosh_f8),
	F1("atanh", T_F8, atanh_f8),
	{"atan2", T_F8, 2, {T_F8, T_F8}, 0, atan2_f8, NULL},
	{"pi", T_F8, 0, {0}, 0, pi_f8, NULL},
	{"random", T_F8, 0, {0}, MR_FN_VOLATILE, random_f8, NULL},
	{"setseed", T_T, 1, {T_F8}, MR_FN_VOLATILE, setseed_f8, NULL},
	{"width_bucket", T_I4, 4, {T_F8, T_F8, T_F8, T_I4}, 0, width_bucket, NULL},
};

const struct mr_fn_family mr_fn_math = {fns, MR_COUNT_OF(fns)};
