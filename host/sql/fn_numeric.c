// Mathematics of numeric: roots, powers, logarithms, and what looks at digits.
//
// What has no finite decimal form is computed with 113 bits (34 digits) and shown with as many
// digits as PostgreSQL chooses (numeric.c: at least 16 significant ones, at least the scale of the
// arguments), at most 28, so that the rounding errors of a few operations never show.
//
// exp: x = k ln 2 + r with |r| <= ln 2 / 2, then Taylor's series of r, shifted by k bits. ln: one
// step of Halley's rule on exp from the double's logarithm, which triples its 16 digits. Powers are
// exact while 35 digits hold them; else by squaring, or exp(y ln x).
#include "host/sql/fn_int.h"

#ifdef __SIZEOF_FLOAT128__
typedef __float128 quad;
#else
typedef long double quad; // the same 113 bits where there is no other name for them
#endif

enum { QUAD_DIGITS = 28, DIGITS_SHOWN = 16 };

static quad quad_pow10(int n)
{
	return n <= 38 ? (quad)mr_dec_pow10((unsigned)n)
		       : (quad)mr_dec_pow10(38) * (quad)mr_dec_pow10((unsigned)n - 38);
}

static quad quad_of(struct mr_dec d)
{
	return (quad)mr_dec_coefficient(d) / quad_pow10((int)mr_dec_scale(d));
}

static quad quad_abs(quad v)
{
	return v < 0 ? -v : v;
}

// Rounded to `scale` digits, or to fewer where there are more than QUAD_DIGITS in all.
static int quad_round(quad v, int scale, struct mr_dec *out)
{
	const quad end = quad_pow10(QUAD_DIGITS), half = (quad)0.5;

	scale = MR_MAX(scale, 0);
	if (scale > MR_DEC_SCALE_MAX || quad_abs(v) >= end)
		return -ERANGE;
	while (scale > 0 && quad_abs(v) * quad_pow10(scale) >= end)
		scale--;
	v *= quad_pow10(scale);
	*out = mr_dec_make((mr_i128)(v + (v < 0 ? -half : half)), (unsigned)scale);
	return 0;
}

// |x| is at most a few thousand.
static quad quad_exp(quad x)
{
	const quad ln2 = (quad)0x1.62e42fefa39efp-1 + (quad)0x1.abc9e3b39803fp-56 +
			 (quad)0x1.7b57a079a1934p-111;
	int k = (int)rint((double)x / M_LN2);
	quad r = x - k * ln2, sum = 1, term = 1;

	for (int i = 1; i <= 32; i++) {
		term = term * r / i;
		sum += term;
	}
	for (; k > 0; k--)
		sum *= 2;
	for (; k < 0; k++)
		sum /= 2;
	return sum;
}

static quad quad_ln(quad x)
{
	quad y = (quad)log((double)x), e = quad_exp(y);

	return y + 2 * (x - e) / (x + e);
}

static quad quad_sqrt(quad x)
{
	quad y = (quad)sqrt((double)x);

	if (x == 0)
		return 0;
	y = (y + x / y) / 2;
	return (y + x / y) / 2;
}

// The power of ten of the first digit; 0 for 0.
static int weight_of(struct mr_dec d)
{
	mr_i128 c = mr_dec_coefficient(d);
	int n = 0;

	c = c < 0 ? -c : c;
	while (n < MR_DEC_DIGITS_MAX && c >= mr_dec_pow10((unsigned)n + 1))
		n++;
	return c ? n - (int)mr_dec_scale(d) : 0;
}

// The same of its logarithm, as PostgreSQL estimates it.
static int ln_weight(struct mr_dec d)
{
	quad x = quad_of(d), off = x - 1;
	double ln;

	if (x >= (quad)0.9 && x <= (quad)1.1)
		return off == 0 ? 0 : (int)floor(log10(fabs((double)off)));
	ln = log((double)x);
	return (int)log10(fabs(ln));
}

static bool any_nan(const void *const *a, uint32_t count, void *out)
{
	bool nan = false;

	for (uint32_t i = 0; i < count; i++)
		nan |= mr_dec_is_nan(ARG(struct mr_dec, i));
	if (nan)
		RESULT(struct mr_dec) = mr_dec_nan();
	return nan;
}

int mr_numeric_sqrt(struct mr_dec x, int scale, struct mr_dec *out)
{
	return quad_round(quad_sqrt(quad_of(x)), scale, out);
}

static int scale_of(struct mr_dec d)
{
	return (int)mr_dec_scale(d);
}

static int sqrt_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec x = ARG(struct mr_dec, 0);
	int weight = weight_of(x), words = (weight - (weight < 0 ? 3 : 0)) / 4; // of four digits

	if (any_nan(a, 1, out))
		return 0;
	if (mr_dec_coefficient(x) < 0)
		return mr_fn_error(c, "2201F", "cannot take square root of a negative number");
	weight = words >= 0 ? words * 4 / 2 + 1 : 1 - (1 - words * 4) / 2;
	return fn_dec_result(
		c, mr_numeric_sqrt(x, MR_MAX(DIGITS_SHOWN - weight, scale_of(x)), out));
}

static int exp_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec x = ARG(struct mr_dec, 0);
	double weight = mr_dec_to_double(x) * 0.434294481903252;

	if (any_nan(a, 1, out))
		return 0;
	if (fabs(weight) > 1000)
		return mr_fn_out_of_range(c, MR_TYPE_NUMERIC);
	return fn_dec_result(c, quad_round(quad_exp(quad_of(x)),
					MR_MAX(DIGITS_SHOWN - (int)weight, scale_of(x)), out));
}

static int log_check(struct mr_fn_call *c, struct mr_dec x)
{
	if (mr_dec_coefficient(x) == 0)
		return mr_fn_error(c, "2201E", "cannot take logarithm of zero");
	if (mr_dec_coefficient(x) < 0)
		return mr_fn_error(c, "2201E", "cannot take logarithm of a negative number");
	return 0;
}

static int ln_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec x = ARG(struct mr_dec, 0);

	if (any_nan(a, 1, out))
		return 0;
	if (log_check(c, x) < 0)
		return -EINVAL;
	return fn_dec_result(c, quad_round(quad_ln(quad_of(x)),
					MR_MAX(DIGITS_SHOWN - ln_weight(x), scale_of(x)), out));
}

static int log_base(struct mr_fn_call *c, struct mr_dec base, struct mr_dec x, void *out)
{
	int scale;
	quad ln;

	if (log_check(c, base) < 0 || log_check(c, x) < 0)
		return -EINVAL;
	ln = quad_ln(quad_of(base));
	if (quad_of(base) == 1)
		return mr_fn_error(c, "22012", "division by zero");
	scale = DIGITS_SHOWN - ln_weight(x) + ln_weight(base);
	scale = MR_MAX(scale, MR_MAX(scale_of(x), scale_of(base)));
	return fn_dec_result(c, quad_round(quad_ln(quad_of(x)) / ln, scale, out));
}

static int log_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return any_nan(a, 1, out) ? 0
				  : log_base(c, mr_dec_from_i64(10), ARG(struct mr_dec, 0), out);
}

static int log2_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return any_nan(a, 2, out) ? 0
				  : log_base(c, ARG(struct mr_dec, 0), ARG(struct mr_dec, 1), out);
}

// x^n exactly, with as many zeros behind the point as fit; -ERANGE when it has too many digits.
static int power_exact(struct mr_dec x, int64_t n, int scale, struct mr_dec *out)
{
	struct mr_dec r = mr_dec_from_i64(1);
	int rc = n < 0 || n > 120 ? -ERANGE : 0;

	for (; n > 0 && rc == 0; n--)
		rc = mr_dec_mul(r, x, &r);
	while (rc == 0 && scale > 0 && scale > (int)mr_dec_scale(r) && mr_dec_round(r, scale, out))
		scale--;
	return rc < 0 ? rc : mr_dec_round(r, scale, out);
}

static int power_whole(struct mr_dec x, int64_t n, struct mr_dec *out)
{
	int scale = MR_MAX(DIGITS_SHOWN, scale_of(x));
	double weight = mr_dec_coefficient(x) ? (double)n * log10(fabs(mr_dec_to_double(x))) : 0;
	quad base = quad_of(x), r = 1;

	if (power_exact(x, n, scale, out) == 0)
		return 0;
	if (weight > MR_DEC_DIGITS_MAX)
		return -ERANGE;
	if (weight < -MR_DEC_SCALE_MAX)
		return mr_dec_round(mr_dec_from_i64(0), scale, out);
	for (uint64_t left = (uint64_t)(n < 0 ? -n : n); left; left /= 2) {
		if (left & 1)
			r *= base;
		base *= base;
	}
	return quad_round(n < 0 ? 1 / r : r, scale, out);
}

static int power_real(struct mr_dec x, struct mr_dec y, struct mr_dec *out)
{
	quad exponent;
	int scale = MR_MAX(scale_of(x), scale_of(y));
	double weight;

	if (mr_dec_coefficient(x) == 0)
		return mr_dec_round(x, DIGITS_SHOWN, out);
	exponent = quad_of(y) * quad_ln(quad_of(x));
	if (quad_abs(exponent) > 1000)
		return -ERANGE;
	weight = (double)exponent * 0.434294481903252;
	return quad_round(quad_exp(exponent), MR_MAX(scale, DIGITS_SHOWN - (int)weight), out);
}

static int power_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec x = ARG(struct mr_dec, 0), y = ARG(struct mr_dec, 1), whole;
	bool is_one = mr_dec_cmp(x, mr_dec_from_i64(1)) == 0;
	int64_t n;

	if (any_nan(a, 2, out)) {
		if (is_one || (!mr_dec_is_nan(y) && mr_dec_coefficient(y) == 0))
			RESULT(struct mr_dec) = mr_dec_from_i64(1);
		return 0;
	}
	if (mr_dec_coefficient(x) == 0 && mr_dec_coefficient(y) < 0)
		return mr_fn_error(c, "2201F", "zero raised to a negative power is undefined");
	if (mr_dec_trunc(y, 0, &whole) == 0 && mr_dec_cmp(y, whole) == 0 &&
		mr_dec_to_i64(whole, &n) == 0 && n == (int32_t)n)
		return fn_dec_result(c, power_whole(x, n, out));
	if (mr_dec_coefficient(x) < 0)
		return mr_fn_error(c, "2201F",
			"a negative number raised to a non-integer power yields a complex result");
	return fn_dec_result(c, power_real(x, y, out));
}

// ---- Whole quotients, divisors, factorials ----

static int div_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec x = ARG(struct mr_dec, 0), y = ARG(struct mr_dec, 1), rest;
	int rc = mr_dec_mod(x, y, &rest);

	rc = rc < 0 ? rc : mr_dec_sub(x, rest, &x);
	rc = rc < 0 ? rc : mr_dec_div(x, y, &x);
	return fn_dec_result(c, rc < 0 ? rc : mr_dec_round(x, 0, out));
}

static mr_i128 gcd(mr_i128 x, mr_i128 y)
{
	while (y) {
		mr_i128 t = x % y;

		x = y;
		y = t;
	}
	return x < 0 ? -x : x;
}

static int gcd_of(struct mr_fn_call *c, const void *const *a, bool least, void *out)
{
	struct mr_dec x = ARG(struct mr_dec, 0), y = ARG(struct mr_dec, 1), g;
	int scale = MR_MAX(scale_of(x), scale_of(y));
	int rc;

	if (any_nan(a, 2, out))
		return 0;
	rc = mr_dec_round(x, scale, &x);
	rc = rc < 0 ? rc : mr_dec_round(y, scale, &y);
	if (rc < 0)
		return fn_dec_result(c, rc);
	g = mr_dec_make(gcd(mr_dec_coefficient(x), mr_dec_coefficient(y)), (unsigned)scale);
	RESULT(struct mr_dec) = g;
	if (!least || mr_dec_coefficient(g) == 0)
		return 0;
	x = mr_dec_make(mr_dec_coefficient(x) / mr_dec_coefficient(g), 0);
	rc = mr_dec_mul(x, y, &x);
	if (rc == 0)
		RESULT(struct mr_dec) = mr_dec_make(
			mr_dec_coefficient(x) < 0 ? -mr_dec_coefficient(x) : mr_dec_coefficient(x),
			(unsigned)scale);
	return fn_dec_result(c, rc);
}

static int gcd_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return gcd_of(c, a, false, out);
}

static int lcm_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return gcd_of(c, a, true, out);
}

#define GCD_ROWS(T, s, t)                                                                 \
	static int gcd_##s(struct mr_fn_call *c, const void *const *a, void *out)         \
	{                                                                                 \
		mr_i128 g = gcd(ARG(T, 0), ARG(T, 1));                                    \
		RESULT(T) = (T)g;                                                         \
		return g == RESULT(T) ? 0 : mr_fn_out_of_range(c, t);                     \
	}                                                                                 \
	static int lcm_##s(struct mr_fn_call *c, const void *const *a, void *out)         \
	{                                                                                 \
		mr_i128 x = ARG(T, 0), y = ARG(T, 1), l = x && y ? x / gcd(x, y) * y : 0; \
		l = l < 0 ? -l : l;                                                       \
		RESULT(T) = (T)l;                                                         \
		return l == RESULT(T) ? 0 : mr_fn_out_of_range(c, t);                     \
	}

GCD_ROWS(int32_t, i4, MR_TYPE_INT4)
GCD_ROWS(int64_t, i8, MR_TYPE_INT8)

static int factorial(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec r = mr_dec_from_i64(1);
	int64_t n = ARG(int64_t, 0);
	int rc = 0;

	if (n < 0)
		return mr_fn_error(c, "22003", "factorial of a negative number is undefined");
	for (int64_t i = 2; i <= n && rc == 0; i++)
		rc = mr_dec_mul(r, mr_dec_from_i64(i), &r);
	RESULT(struct mr_dec) = r;
	return fn_dec_result(c, rc);
}

// ---- Scales ----

static int scale_n(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(int32_t) = scale_of(ARG(struct mr_dec, 0));
	return mr_dec_is_nan(ARG(struct mr_dec, 0)) ? 1 : 0;
}

static struct mr_dec trimmed(struct mr_dec d)
{
	mr_i128 c = mr_dec_coefficient(d);
	unsigned scale = mr_dec_scale(d);

	if (mr_dec_is_nan(d))
		return d;
	for (; scale > 0 && c % 10 == 0; scale--)
		c /= 10;
	return mr_dec_make(c, scale);
}

static int trim_scale(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(struct mr_dec) = trimmed(ARG(struct mr_dec, 0));
	return 0;
}

static int min_scale(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(int32_t) = scale_of(trimmed(ARG(struct mr_dec, 0)));
	return mr_dec_is_nan(ARG(struct mr_dec, 0)) ? 1 : 0;
}

#define N1(name, ret, f)                        \
	{                                       \
		name, ret, 1, {T_N}, 0, f, NULL \
	}
#define OP2(name, t, f)                        \
	{                                      \
		name, t, 2, {t, t}, 0, f, NULL \
	}

static const struct mr_fn fns[] = {
	N1("sqrt", T_N, sqrt_n),
	N1("exp", T_N, exp_n),
	N1("ln", T_N, ln_n),
	N1("log", T_N, log_n),
	N1("log10", T_N, log_n),
	OP2("log", T_N, log2_n),
	OP2("power", T_N, power_n),
	OP2("pow", T_N, power_n),
	OP2("^", T_N, power_n),
	OP2("div", T_N, div_n),
	OP2("gcd", T_I4, gcd_i4),
	OP2("gcd", T_I8, gcd_i8),
	OP2("gcd", T_N, gcd_n),
	OP2("lcm", T_I4, lcm_i4),
	OP2("lcm", T_I8, lcm_i8),
	OP2("lcm", T_N, lcm_n),
	{"factorial", T_N, 1, {T_I8}, 0, factorial, NULL},
	N1("scale", T_I4, scale_n),
	N1("min_scale", T_I4, min_scale),
	N1("trim_scale", T_N, trim_scale),
};

const struct mr_fn_family mr_fn_numeric = {fns, MR_COUNT_OF(fns)};
