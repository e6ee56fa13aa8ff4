// Shared by the function families only: short names of types for their tables, and row access.
#pragma once

#include "host/base/utf8.h"
#include "host/sql/fn.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
	T_B = MR_TYPE_BOOL,
	T_I2 = MR_TYPE_INT2,
	T_I4 = MR_TYPE_INT4,
	T_I8 = MR_TYPE_INT8,
	T_F4 = MR_TYPE_FLOAT4,
	T_F8 = MR_TYPE_FLOAT8,
	T_N = MR_TYPE_NUMERIC,
	T_T = MR_TYPE_TEXT,
	T_U = MR_TYPE_UUID,
	T_D = MR_TYPE_DATE,
	T_TS = MR_TYPE_TIMESTAMP,
	T_TZ = MR_TYPE_TIMESTAMPTZ,
	T_Y = MR_TYPE_BYTEA,
	T_IV = MR_TYPE_INTERVAL,
	T_ANY = MR_FN_ANY,
};

// The value of argument `i` of a row function as type T.
#define ARG(T, i) (*(const T *)a[i])
#define RESULT(T) (*(T *)out)

static inline struct mr_span fn_span(const void *str)
{
	const struct mr_str *s = str;

	return mr_span(s->data, s->bytes);
}

// All ones, or zero for a constant argument: values[row & mask].
static inline uint32_t fn_mask(const struct mr_fn_call *c, uint32_t arg)
{
	return c->args[arg].constant ? 0 : UINT32_MAX;
}

// Turns what mr_dec functions return into an error.
static inline int fn_dec_result(struct mr_fn_call *c, int rc)
{
	if (rc == -EDOM)
		return mr_fn_error(c, "22012", "division by zero");
	if (rc < 0)
		return mr_fn_error(c, "22003", "value overflows numeric format");
	return 0;
}
