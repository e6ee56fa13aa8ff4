// Comparison operators. NaN equals NaN and is above all other numbers; text compares by bytes.
#include "host/sql/fn_int.h"

#define CMP_LOOP(name, T, expr)                                                 \
	static int name(struct mr_fn_call *c, const uint32_t *sel, uint32_t n)  \
	{                                                                       \
		const T *a = c->args[0].col.values, *b = c->args[1].col.values; \
		const uint32_t am = fn_mask(c, 0), bm = fn_mask(c, 1);          \
		uint8_t *r = c->values;                                         \
		for (uint32_t k = 0; k < n; k++) {                              \
			uint32_t i = mr_sel(sel, k);                            \
			T x = a[i & am], y = b[i & bm];                         \
			r[i] = expr;                                            \
		}                                                               \
		return 0;                                                       \
	}

#define CMP_TYPE(T, s)              \
	CMP_LOOP(eq_##s, T, x == y) \
	CMP_LOOP(ne_##s, T, x != y) \
	CMP_LOOP(lt_##s, T, x < y)  \
	CMP_LOOP(le_##s, T, x <= y) \
	CMP_LOOP(gt_##s, T, x > y)  \
	CMP_LOOP(ge_##s, T, x >= y)

CMP_TYPE(uint8_t, u8)
CMP_TYPE(int16_t, i16)
CMP_TYPE(int32_t, i32)
CMP_TYPE(int64_t, i64)

#define CMP_FLOAT(T, s)                                          \
	CMP_LOOP(eq_##s, T, x == y || (isnan(x) && isnan(y)))    \
	CMP_LOOP(ne_##s, T, !(x == y || (isnan(x) && isnan(y)))) \
	CMP_LOOP(lt_##s, T, x < y || (isnan(y) && !isnan(x)))    \
	CMP_LOOP(le_##s, T, x <= y || isnan(y))                  \
	CMP_LOOP(gt_##s, T, x > y || (isnan(x) && !isnan(y)))    \
	CMP_LOOP(ge_##s, T, x >= y || isnan(x))

CMP_FLOAT(float, f32)
CMP_FLOAT(double, f64)

#define CMP_ROW(name, op)                                                             \
	static int name(struct mr_fn_call *c, const void *const *a, void *out)        \
	{                                                                             \
		RESULT(uint8_t) = mr_value_cmp(c->e->args[0]->type, a[0], a[1]) op 0; \
		return 0;                                                             \
	}

CMP_ROW(eq_row, ==)
CMP_ROW(ne_row, !=)
CMP_ROW(lt_row, <)
CMP_ROW(le_row, <=)
CMP_ROW(gt_row, >)
CMP_ROW(ge_row, >=)

#define VEC6(t, s)                                                                               \
	{"=", T_B, 2, {t, t}, 0, NULL, eq_##s}, {"<>", T_B, 2, {t, t}, 0, NULL, ne_##s},         \
		{"<", T_B, 2, {t, t}, 0, NULL, lt_##s}, {"<=", T_B, 2, {t, t}, 0, NULL, le_##s}, \
		{">", T_B, 2, {t, t}, 0, NULL, gt_##s},                                          \
	{                                                                                        \
		">=", T_B, 2, {t, t}, 0, NULL, ge_##s                                            \
	}
#define ROW6(t)                                                                                  \
	{"=", T_B, 2, {t, t}, 0, eq_row, NULL}, {"<>", T_B, 2, {t, t}, 0, ne_row, NULL},         \
		{"<", T_B, 2, {t, t}, 0, lt_row, NULL}, {"<=", T_B, 2, {t, t}, 0, le_row, NULL}, \
		{">", T_B, 2, {t, t}, 0, gt_row, NULL},                                          \
	{                                                                                        \
		">=", T_B, 2, {t, t}, 0, ge_row, NULL                                            \
	}

static const struct mr_fn fns[] = {
	VEC6(T_I2, i16),
	VEC6(T_I4, i32),
	VEC6(T_I8, i64),
	VEC6(T_F4, f32),
	VEC6(T_F8, f64),
	ROW6(T_N),
	ROW6(T_T),
	VEC6(T_B, u8),
	VEC6(T_D, i32),
	VEC6(T_TS, i64),
	VEC6(T_TZ, i64),
	ROW6(T_U),
	ROW6(T_Y),
	ROW6(T_IV),
};

const struct mr_fn_family mr_fn_cmp = {fns, MR_COUNT_OF(fns)};
