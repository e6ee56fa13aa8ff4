// Casts. A numeric with at most 18 digits lies as an integer (type.h); functions work on struct
// mr_dec only, so the cast numeric -> numeric also widens and fits.
#include "host/base/num.h"
#include "host/sql/fn_int.h"

#include <stdio.h>

static bool is_small(struct mr_typeref t)
{
	return mr_type_phys(t) == MR_PHYS_I64;
}

static int dec_out(struct mr_fn_call *c, struct mr_dec d, void *out)
{
	struct mr_typeref t = c->e->type;

	if (!t.precision) {
		RESULT(struct mr_dec) = d;
		return 0;
	}
	if (mr_value_from_dec(t, d, out) < 0) {
		mr_fn_error(c, "22003", "numeric field overflow");
		mr_diag_detail(c->ev->diag,
			"A field with precision %u, scale %u must round to an absolute value less "
			"than 10^%d.",
			t.precision, t.scale, t.precision - t.scale);
		return -EINVAL;
	}
	return 0;
}

static int n_to_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return dec_out(c, mr_value_to_dec(c->e->args[0]->type, a[0]), out);
}

// Integers among each other and to floats: whole vectors, checked by coming back.
#define NUM_LOOP(name, F, T, check)                                                        \
	static int name(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)             \
	{                                                                                  \
		const F *a = c->args[0].col.values;                                        \
		T *r = c->values;                                                          \
		for (uint32_t k = 0; k < n; k++) {                                         \
			uint32_t i = mr_sel(sel, k);                                       \
			r[i] = (T)a[i];                                                    \
			if (check && (F)r[i] != a[i])                                      \
				return mr_fn_out_of_range(c, (enum mr_type)c->e->fn->ret); \
		}                                                                          \
		return 0;                                                                  \
	}

NUM_LOOP(i2_i4, int16_t, int32_t, false)
NUM_LOOP(i2_i8, int16_t, int64_t, false)
NUM_LOOP(i4_i8, int32_t, int64_t, false)
NUM_LOOP(i4_i2, int32_t, int16_t, true)
NUM_LOOP(i8_i2, int64_t, int16_t, true)
NUM_LOOP(i8_i4, int64_t, int32_t, true)
NUM_LOOP(i2_f4, int16_t, float, false)
NUM_LOOP(i4_f4, int32_t, float, false)
NUM_LOOP(i8_f4, int64_t, float, false)
NUM_LOOP(i2_f8, int16_t, double, false)
NUM_LOOP(i4_f8, int32_t, double, false)
NUM_LOOP(i8_f8, int64_t, double, false)
NUM_LOOP(f4_f8, float, double, false)

static int f8_f4(struct mr_fn_call *c, const void *const *a, void *out)
{
	RESULT(float) = (float)ARG(double, 0);
	if (isinf(RESULT(float)) && !isinf(ARG(double, 0)))
		return mr_fn_error(c, "22003", "value out of range: overflow");
	if (RESULT(float) == 0 && ARG(double, 0) != 0)
		return mr_fn_error(c, "22003", "value out of range: underflow");
	return 0;
}

// Floats round half to even, as PostgreSQL's rint().
static int float_to_int(struct mr_fn_call *c, double v, void *out)
{
	enum mr_type t = (enum mr_type)c->e->fn->ret;
	double end = t == MR_TYPE_INT2 ? 0x1p15 : t == MR_TYPE_INT4 ? 0x1p31 : 0x1p63;

	v = rint(v);
	if (!(v >= -end && v < end))
		return mr_fn_out_of_range(c, t);
	if (t == MR_TYPE_INT2)
		RESULT(int16_t) = (int16_t)v;
	else if (t == MR_TYPE_INT4)
		RESULT(int32_t) = (int32_t)v;
	else
		RESULT(int64_t) = (int64_t)v;
	return 0;
}

static int f4_int(struct mr_fn_call *c, const void *const *a, void *out)
{
	return float_to_int(c, (double)ARG(float, 0), out);
}

static int f8_int(struct mr_fn_call *c, const void *const *a, void *out)
{
	return float_to_int(c, ARG(double, 0), out);
}

static int64_t int_of(const struct mr_fn_call *c, const void *p)
{
	switch (c->args[0].col.phys) {
	case MR_PHYS_I16: return *(const int16_t *)p;
	case MR_PHYS_I32: return *(const int32_t *)p;
	default: return *(const int64_t *)p;
	}
}

static int int_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	return dec_out(c, mr_dec_from_i64(int_of(c, a[0])), out);
}

static int f4_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	char text[MR_NUM_DOUBLE_TEXT_BYTES];
	struct mr_dec d;
	int bytes;

	if (isinf(ARG(float, 0)))
		return mr_fn_error(c, "0A000", "numeric infinity is not supported");
	bytes = snprintf(text, sizeof(text), "%.*g", 6, (double)ARG(float, 0));
	if (isnan(ARG(float, 0)))
		d = mr_dec_nan();
	else if (mr_dec_parse(mr_span(text, (size_t)bytes), &d) < 0)
		return mr_fn_out_of_range(c, MR_TYPE_NUMERIC);
	return dec_out(c, d, out);
}

static int f8_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec d;

	if (isinf(ARG(double, 0)))
		return mr_fn_error(c, "0A000", "numeric infinity is not supported");
	if (mr_dec_from_double(ARG(double, 0), &d) < 0)
		return mr_fn_out_of_range(c, MR_TYPE_NUMERIC);
	return dec_out(c, d, out);
}

static int n_int(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec d = mr_value_to_dec(c->e->args[0]->type, a[0]);
	enum mr_type t = (enum mr_type)c->e->fn->ret;
	int64_t v;
	int rc = mr_dec_to_i64(d, &v);

	if (rc == -EDOM)
		return mr_fn_error(c, "0A000", "cannot convert NaN to %s", mr_type_info(t)->name);
	if (rc < 0 || (t == MR_TYPE_INT4 && v != (int32_t)v) ||
		(t == MR_TYPE_INT2 && v != (int16_t)v))
		return mr_fn_out_of_range(c, t);
	if (t == MR_TYPE_INT2)
		RESULT(int16_t) = (int16_t)v;
	else if (t == MR_TYPE_INT4)
		RESULT(int32_t) = (int32_t)v;
	else
		RESULT(int64_t) = v;
	return 0;
}

static int n_f4(struct mr_fn_call *c, const void *const *a, void *out)
{
	double v = mr_dec_to_double(mr_value_to_dec(c->e->args[0]->type, a[0]));

	RESULT(float) = (float)v;
	return isinf(RESULT(float)) ? mr_fn_out_of_range(c, MR_TYPE_FLOAT4) : 0;
}

static int n_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	RESULT(double) = mr_dec_to_double(mr_value_to_dec(c->e->args[0]->type, a[0]));
	return 0;
}

static int bool_i4(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(int32_t) = ARG(uint8_t, 0);
	return 0;
}

static int i4_bool(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(uint8_t) = ARG(int32_t, 0) != 0;
	return 0;
}

static int any_text(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_buf b = {.bytes_limit = 1 << 20};
	int rc;

	if (c->e->args[0]->type.type == MR_TYPE_BOOL)
		mr_buf_str(&b, ARG(uint8_t, 0) ? "true" : "false");
	else
		mr_value_format(c->e->args[0]->type, a[0], c->ev->query->tz, &b);
	rc = b.failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, b.data, b.bytes, out);
	mr_buf_fini(&b);
	return rc;
}

static int text_any(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_datetime_env env = {c->ev->query->tz, c->ev->query->now_us};
	union mr_value v;
	int rc = mr_value_parse(c->e->type, fn_span(a[0]), &env, c->ev->arena, &v, c->ev->diag);

	if (rc < 0)
		return rc;
	memcpy(out, &v, mr_phys_bytes(mr_type_phys(c->e->type)));
	return 0;
}

static int d_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t d = ARG(int32_t, 0);

	if (!mr_date_is_finite(d))
		RESULT(int64_t) = d == MR_DATE_INFINITY ? MR_TS_INFINITY : MR_TS_MINUS_INFINITY;
	else if (d < MR_DATE_MIN || d > MR_TS_DAY_MAX)
		return mr_fn_error(c, "22008", "date out of range for timestamp");
	else
		RESULT(int64_t) = d * MR_US_PER_DAY;
	return 0;
}

static int d_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	int rc = d_ts(c, a, out);

	if (rc == 0 && mr_ts_is_finite(RESULT(int64_t)))
		RESULT(int64_t) = mr_tz_to_utc(c->ev->query->tz, RESULT(int64_t));
	return rc;
}

static int64_t floor_day(int64_t us)
{
	return us / MR_US_PER_DAY - (us % MR_US_PER_DAY < 0);
}

static int ts_d(struct mr_fn_call *, const void *const *a, void *out)
{
	int64_t t = ARG(int64_t, 0);

	RESULT(int32_t) = t == MR_TS_INFINITY         ? MR_DATE_INFINITY
			  : t == MR_TS_MINUS_INFINITY ? MR_DATE_MINUS_INFINITY
						      : (int32_t)floor_day(t);
	return 0;
}

static int tz_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t t = ARG(int64_t, 0);

	RESULT(int64_t) = t;
	if (mr_ts_is_finite(t))
		RESULT(int64_t) += (int64_t)mr_tz_offset(c->ev->query->tz, t, NULL) * MR_US_PER_S;
	return 0;
}

static int tz_d(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t local;
	const void *args[1] = {&local};

	tz_ts(c, a, &local);
	return ts_d(c, args, out);
}

static int ts_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t t = ARG(int64_t, 0);

	RESULT(int64_t) = mr_ts_is_finite(t) ? mr_tz_to_utc(c->ev->query->tz, t) : t;
	return 0;
}

// numeric(p, s) with p <= 18 to the type without modifiers: the widening before every function.
static int widen(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)
{
	const struct mr_expr *arg = c->e->args[0];
	struct mr_dec *r = c->values;

	if (!is_small(arg->type) || c->e->type.precision) {
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = mr_sel(sel, k);
			const void *a[1] = {mr_vec_at(&c->args[0], i)};
			int rc = n_to_n(c, a,
				(uint8_t *)c->values + i * mr_phys_bytes(mr_type_phys(c->e->type)));

			if (rc < 0)
				return rc;
		}
		return 0;
	}
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = mr_sel(sel, k);

		r[i] = mr_dec_make(((const int64_t *)c->args[0].col.values)[i], arg->type.scale);
	}
	return 0;
}

enum { IMPLICIT = 0, ASSIGN = MR_FN_ASSIGN, EXPLICIT = MR_FN_EXPLICIT };

#define VEC(from, to, when, f)                       \
	{                                            \
		"cast", to, 1, {from}, when, NULL, f \
	}
#define ROW(from, to, when, f)                       \
	{                                            \
		"cast", to, 1, {from}, when, f, NULL \
	}
#define TEXT(t) ROW(t, T_T, ASSIGN, any_text), ROW(T_T, t, EXPLICIT, text_any)
#define STABLE_TEXT(t) \
	ROW(t, T_T, ASSIGN | MR_FN_STABLE, any_text), ROW(T_T, t, EXPLICIT | MR_FN_STABLE, text_any)

static const struct mr_fn fns[] = {
	VEC(T_I2, T_I4, IMPLICIT, i2_i4),
	VEC(T_I2, T_I8, IMPLICIT, i2_i8),
	VEC(T_I4, T_I8, IMPLICIT, i4_i8),
	VEC(T_I4, T_I2, ASSIGN, i4_i2),
	VEC(T_I8, T_I2, ASSIGN, i8_i2),
	VEC(T_I8, T_I4, ASSIGN, i8_i4),
	VEC(T_I2, T_F4, IMPLICIT, i2_f4),
	VEC(T_I4, T_F4, IMPLICIT, i4_f4),
	VEC(T_I8, T_F4, IMPLICIT, i8_f4),
	VEC(T_I2, T_F8, IMPLICIT, i2_f8),
	VEC(T_I4, T_F8, IMPLICIT, i4_f8),
	VEC(T_I8, T_F8, IMPLICIT, i8_f8),
	VEC(T_F4, T_F8, IMPLICIT, f4_f8),
	ROW(T_F8, T_F4, ASSIGN, f8_f4),
	ROW(T_F4, T_I2, ASSIGN, f4_int),
	ROW(T_F4, T_I4, ASSIGN, f4_int),
	ROW(T_F4, T_I8, ASSIGN, f4_int),
	ROW(T_F8, T_I2, ASSIGN, f8_int),
	ROW(T_F8, T_I4, ASSIGN, f8_int),
	ROW(T_F8, T_I8, ASSIGN, f8_int),
	ROW(T_I2, T_N, IMPLICIT, int_n),
	ROW(T_I4, T_N, IMPLICIT, int_n),
	ROW(T_I8, T_N, IMPLICIT, int_n),
	ROW(T_F4, T_N, ASSIGN, f4_n),
	ROW(T_F8, T_N, ASSIGN, f8_n),
	ROW(T_N, T_I2, ASSIGN, n_int),
	ROW(T_N, T_I4, ASSIGN, n_int),
	ROW(T_N, T_I8, ASSIGN, n_int),
	ROW(T_N, T_F4, IMPLICIT, n_f4),
	ROW(T_N, T_F8, IMPLICIT, n_f8),
	VEC(T_N, T_N, IMPLICIT, widen),
	ROW(T_B, T_I4, EXPLICIT, bool_i4),
	ROW(T_I4, T_B, EXPLICIT, i4_bool),
	ROW(T_D, T_TS, IMPLICIT, d_ts),
	ROW(T_D, T_TZ, IMPLICIT | MR_FN_STABLE, d_tz),
	ROW(T_TS, T_D, ASSIGN, ts_d),
	ROW(T_TS, T_TZ, IMPLICIT | MR_FN_STABLE, ts_tz),
	ROW(T_TZ, T_D, ASSIGN | MR_FN_STABLE, tz_d),
	ROW(T_TZ, T_TS, ASSIGN | MR_FN_STABLE, tz_ts),
	TEXT(T_B),
	TEXT(T_I2),
	TEXT(T_I4),
	TEXT(T_I8),
	TEXT(T_F4),
	TEXT(T_F8),
	TEXT(T_N),
	TEXT(T_U),
	STABLE_TEXT(T_D),
	STABLE_TEXT(T_TS),
	STABLE_TEXT(T_TZ),
	TEXT(T_Y),
	TEXT(T_IV),
};

const struct mr_fn_family mr_fn_cast = {fns, MR_COUNT_OF(fns)};
