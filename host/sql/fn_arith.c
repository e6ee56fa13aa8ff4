// Arithmetic operators: integers that never wrap, floats that never overflow silently, numerics.
#include "host/sql/fn_int.h"

// A loop of a checked integer operation: `call(a, b, &r)` is true on overflow.
#define INT_LOOP(name, T, call)                                                      \
	static int name(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)       \
	{                                                                            \
		const T *a = c->args[0].col.values, *b = c->args[1].col.values;      \
		const uint32_t am = fn_mask(c, 0), bm = fn_mask(c, 1);               \
		T *r = c->values;                                                    \
		bool bad = false;                                                    \
		for (uint32_t k = 0; k < n; k++) {                                   \
			uint32_t i = mr_sel(sel, k);                                 \
			bad |= call(a[i & am], b[i & bm], &r[i]);                    \
		}                                                                    \
		return bad ? mr_fn_out_of_range(c, (enum mr_type)c->e->fn->ret) : 0; \
	}

INT_LOOP(add_i2, int16_t, __builtin_add_overflow)
INT_LOOP(add_i4, int32_t, __builtin_add_overflow)
INT_LOOP(add_i8, int64_t, __builtin_add_overflow)
INT_LOOP(sub_i2, int16_t, __builtin_sub_overflow)
INT_LOOP(sub_i4, int32_t, __builtin_sub_overflow)
INT_LOOP(sub_i8, int64_t, __builtin_sub_overflow)
INT_LOOP(mul_i2, int16_t, __builtin_mul_overflow)
INT_LOOP(mul_i4, int32_t, __builtin_mul_overflow)
INT_LOOP(mul_i8, int64_t, __builtin_mul_overflow)

// Division truncates towards zero; the smallest value by -1 is out of range, its remainder is 0.
#define DIV_LOOP(div_name, mod_name, T, least)                                             \
	static int div_name(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)         \
	{                                                                                  \
		const T *a = c->args[0].col.values, *b = c->args[1].col.values;            \
		const uint32_t am = fn_mask(c, 0), bm = fn_mask(c, 1);                     \
		T *r = c->values;                                                          \
		for (uint32_t k = 0; k < n; k++) {                                         \
			uint32_t i = mr_sel(sel, k);                                       \
			T x = a[i & am], y = b[i & bm];                                    \
			if (y == 0)                                                        \
				return mr_fn_error(c, "22012", "division by zero");        \
			if (y == -1 && x == least)                                         \
				return mr_fn_out_of_range(c, (enum mr_type)c->e->fn->ret); \
			r[i] = (T)(x / y);                                                 \
		}                                                                          \
		return 0;                                                                  \
	}                                                                                  \
	static int mod_name(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)         \
	{                                                                                  \
		const T *a = c->args[0].col.values, *b = c->args[1].col.values;            \
		const uint32_t am = fn_mask(c, 0), bm = fn_mask(c, 1);                     \
		T *r = c->values;                                                          \
		for (uint32_t k = 0; k < n; k++) {                                         \
			uint32_t i = mr_sel(sel, k);                                       \
			T y = b[i & bm];                                                   \
			if (y == 0)                                                        \
				return mr_fn_error(c, "22012", "division by zero");        \
			r[i] = (T)(y == -1 ? 0 : a[i & am] % y);                           \
		}                                                                          \
		return 0;                                                                  \
	}

DIV_LOOP(div_i2, mod_i2, int16_t, INT16_MIN)
DIV_LOOP(div_i4, mod_i4, int32_t, INT32_MIN)
DIV_LOOP(div_i8, mod_i8, int64_t, INT64_MIN)

// Infinity from finite numbers is an overflow; zero from a product or quotient of others than zero
// an underflow.
static int float_check(struct mr_fn_call *c, double a, double b, double r, bool may_underflow)
{
	if (isinf(r) && !isinf(a) && !isinf(b))
		return mr_fn_error(c, "22003", "value out of range: overflow");
	if (may_underflow && r == 0 && a != 0 && !isinf(b))
		return mr_fn_error(c, "22003", "value out of range: underflow");
	return 0;
}

#define FLOAT_LOOP(name, T, op, underflow)                                                         \
	static int name(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)                     \
	{                                                                                          \
		const T *a = c->args[0].col.values, *b = c->args[1].col.values;                    \
		const uint32_t am = fn_mask(c, 0), bm = fn_mask(c, 1);                             \
		T *r = c->values;                                                                  \
		for (uint32_t k = 0; k < n; k++) {                                                 \
			uint32_t i = mr_sel(sel, k);                                               \
			T x = a[i & am], y = b[i & bm];                                            \
			if (#op[0] == '/' && y == 0 && !isnan(x))                                  \
				return mr_fn_error(c, "22012", "division by zero");                \
			r[i] = x op y;                                                             \
			if (MR_UNLIKELY(isinf(r[i]) || r[i] == 0) &&                               \
				float_check(c, (double)x, (double)y, (double)r[i], underflow) < 0) \
				return -EINVAL;                                                    \
		}                                                                                  \
		return 0;                                                                          \
	}

FLOAT_LOOP(add_f4, float, +, false)
FLOAT_LOOP(add_f8, double, +, false)
FLOAT_LOOP(sub_f4, float, -, false)
FLOAT_LOOP(sub_f8, double, -, false)
FLOAT_LOOP(mul_f4, float, *, y != 0)
FLOAT_LOOP(mul_f8, double, *, y != 0)
FLOAT_LOOP(div_f4, float, /, true)
FLOAT_LOOP(div_f8, double, /, true)

#define DEC_ROW(name, call)                                                                \
	static int name(struct mr_fn_call *c, const void *const *a, void *out)             \
	{                                                                                  \
		return fn_dec_result(c, call(ARG(struct mr_dec, 0), ARG(struct mr_dec, 1), \
						&RESULT(struct mr_dec)));                  \
	}

DEC_ROW(add_n, mr_dec_add)
DEC_ROW(sub_n, mr_dec_sub)
DEC_ROW(mul_n, mr_dec_mul)
DEC_ROW(div_n, mr_dec_div)
DEC_ROW(mod_n, mr_dec_mod)

#define NEG_ROW(name, T)                                                           \
	static int name(struct mr_fn_call *c, const void *const *a, void *out)     \
	{                                                                          \
		if (__builtin_sub_overflow((T)0, ARG(T, 0), &RESULT(T)))           \
			return mr_fn_out_of_range(c, (enum mr_type)c->e->fn->ret); \
		return 0;                                                          \
	}

NEG_ROW(neg_i2, int16_t)
NEG_ROW(neg_i4, int32_t)
NEG_ROW(neg_i8, int64_t)

static int neg_f4(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(float) = -ARG(float, 0);
	return 0;
}

static int neg_f8(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(double) = -ARG(double, 0);
	return 0;
}

static int neg_n(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_dec d = ARG(struct mr_dec, 0);

	RESULT(struct mr_dec) =
		mr_dec_is_nan(d) ? d : mr_dec_make(-mr_dec_coefficient(d), mr_dec_scale(d));
	return 0;
}

static int same(struct mr_fn_call *c, const void *const *a, void *out)
{
	memcpy(out, a[0], mr_phys_bytes(mr_type_phys(c->e->type)));
	return 0;
}

#define BIT_ROW(name, T, expr)                                                \
	static int name(struct mr_fn_call *, const void *const *a, void *out) \
	{                                                                     \
		T x = ARG(T, 0), y = ARG(T, 1);                               \
		RESULT(T) = (T)(expr);                                        \
		return 0;                                                     \
	}

BIT_ROW(and_i2, int16_t, x &y)
BIT_ROW(or_i2, int16_t, x | y)
BIT_ROW(xor_i2, int16_t, x ^ y)
BIT_ROW(and_i4, int32_t, x &y)
BIT_ROW(and_i8, int64_t, x &y)
BIT_ROW(or_i4, int32_t, x | y)
BIT_ROW(or_i8, int64_t, x | y)
BIT_ROW(xor_i4, int32_t, x ^ y)
BIT_ROW(xor_i8, int64_t, x ^ y)

// The count of bits is taken modulo the width, as the processor does it (a smallint's is 32).
#define SHIFT_ROWS(s, T, U, mask)                                                  \
	static int not_##s(struct mr_fn_call *, const void *const *a, void *out)   \
	{                                                                          \
		RESULT(T) = (T)~ARG(T, 0);                                         \
		return 0;                                                          \
	}                                                                          \
	static int left_##s(struct mr_fn_call *, const void *const *a, void *out)  \
	{                                                                          \
		RESULT(T) = (T)((U)ARG(T, 0) << (ARG(int32_t, 1) & (mask)));       \
		return 0;                                                          \
	}                                                                          \
	static int right_##s(struct mr_fn_call *, const void *const *a, void *out) \
	{                                                                          \
		RESULT(T) = (T)(ARG(T, 0) >> (ARG(int32_t, 1) & (mask)));          \
		return 0;                                                          \
	}

SHIFT_ROWS(i2, int16_t, uint32_t, 31)
SHIFT_ROWS(i4, int32_t, uint32_t, 31)
SHIFT_ROWS(i8, int64_t, uint64_t, 63)

#define OP2(name, t, f)                        \
	{                                      \
		name, t, 2, {t, t}, 0, NULL, f \
	}
#define OP2R(name, t, f)                       \
	{                                      \
		name, t, 2, {t, t}, 0, f, NULL \
	}
#define OP1(name, t, f)                     \
	{                                   \
		name, t, 1, {t}, 0, f, NULL \
	}

static const struct mr_fn fns[] = {
	OP2("+", T_I2, add_i2),
	OP2("+", T_I4, add_i4),
	OP2("+", T_I8, add_i8),
	OP2("+", T_F4, add_f4),
	OP2("+", T_F8, add_f8),
	OP2R("+", T_N, add_n),
	OP2("-", T_I2, sub_i2),
	OP2("-", T_I4, sub_i4),
	OP2("-", T_I8, sub_i8),
	OP2("-", T_F4, sub_f4),
	OP2("-", T_F8, sub_f8),
	OP2R("-", T_N, sub_n),
	OP2("*", T_I2, mul_i2),
	OP2("*", T_I4, mul_i4),
	OP2("*", T_I8, mul_i8),
	OP2("*", T_F4, mul_f4),
	OP2("*", T_F8, mul_f8),
	OP2R("*", T_N, mul_n),
	OP2("/", T_I2, div_i2),
	OP2("/", T_I4, div_i4),
	OP2("/", T_I8, div_i8),
	OP2("/", T_F4, div_f4),
	OP2("/", T_F8, div_f8),
	OP2R("/", T_N, div_n),
	OP2("%", T_I2, mod_i2),
	OP2("%", T_I4, mod_i4),
	OP2("%", T_I8, mod_i8),
	OP2R("%", T_N, mod_n),
	OP2("mod", T_I2, mod_i2),
	OP2("mod", T_I4, mod_i4),
	OP2("mod", T_I8, mod_i8),
	OP2R("mod", T_N, mod_n),
	OP1("-", T_I2, neg_i2),
	OP1("-", T_I4, neg_i4),
	OP1("-", T_I8, neg_i8),
	OP1("-", T_F4, neg_f4),
	OP1("-", T_F8, neg_f8),
	OP1("-", T_N, neg_n),
	OP1("+", T_I2, same),
	OP1("+", T_I4, same),
	OP1("+", T_I8, same),
	OP1("+", T_F4, same),
	OP1("+", T_F8, same),
	OP1("+", T_N, same),
	OP2R("&", T_I2, and_i2),
	OP2R("|", T_I2, or_i2),
	OP2R("#", T_I2, xor_i2),
	OP2R("&", T_I4, and_i4),
	OP2R("&", T_I8, and_i8),
	OP2R("|", T_I4, or_i4),
	OP2R("|", T_I8, or_i8),
	OP2R("#", T_I4, xor_i4),
	OP2R("#", T_I8, xor_i8),
	OP1("~", T_I2, not_i2),
	OP1("~", T_I4, not_i4),
	OP1("~", T_I8, not_i8),
	{"<<", T_I2, 2, {T_I2, T_I4}, 0, left_i2, NULL},
	{"<<", T_I4, 2, {T_I4, T_I4}, 0, left_i4, NULL},
	{"<<", T_I8, 2, {T_I8, T_I4}, 0, left_i8, NULL},
	{">>", T_I2, 2, {T_I2, T_I4}, 0, right_i2, NULL},
	{">>", T_I4, 2, {T_I4, T_I4}, 0, right_i4, NULL},
	{">>", T_I8, 2, {T_I8, T_I4}, 0, right_i8, NULL},
};

const struct mr_fn_family mr_fn_arith = {fns, MR_COUNT_OF(fns)};
