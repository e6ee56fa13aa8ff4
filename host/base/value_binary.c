// PostgreSQL's binary forms: big-endian numbers, microseconds and days since 2000-01-01, numerics
// as base-10,000 digits (src/backend/utils/adt/numeric.c, numeric_send).
//
//   numeric: int16 ndigits | int16 weight | uint16 sign | uint16 dscale | ndigits x int16
//   value = sum of digit[i] * 10000^(weight - i)
#include "host/base/utf8.h"
#include "host/base/value.h"

#include <errno.h>

typedef unsigned __int128 u128;

#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_NAN      0xc000
#define NUMERIC_DIGITS   (MR_DEC_SCALE_MAX / 4 + MR_DEC_DIGITS_MAX / 4 + 4)

static void put_numeric(struct mr_dec d, struct mr_buf *out)
{
	mr_i128 x = mr_dec_coefficient(d);
	u128 v = x < 0 ? -(u128)x : (u128)x;
	int scale = (int)mr_dec_scale(d), below = (scale + 3) / 4, n = 0;
	uint16_t digits[NUMERIC_DIGITS];

	if (mr_dec_is_nan(d)) {
		mr_buf_be32(out, 0);
		mr_buf_be16(out, NUMERIC_NAN);
		mr_buf_be16(out, 0);
		return;
	}
	// The lowest digit is filled up with zeros, so that the point is between two digits.
	for (int fill = below * 4 - scale; v; fill = 0) {
		unsigned unit = fill == 3 ? 1000 : fill == 2 ? 100 : fill == 1 ? 10 : 1;

		digits[n++] = (uint16_t)(v % (10000 / unit) * unit);
		v /= 10000 / unit;
	}
	int first = 0;
	while (first < n && digits[first] == 0)
		first++;
	mr_buf_be16(out, (uint16_t)(n - first));
	mr_buf_be16(out, (uint16_t)(n ? n - below - 1 : 0));
	mr_buf_be16(out, x < 0 ? NUMERIC_NEGATIVE : 0);
	mr_buf_be16(out, (uint16_t)scale);
	for (int i = n - 1; i >= first; i--)
		mr_buf_be16(out, digits[i]);
}

void mr_value_format_binary(struct mr_typeref t, const void *value, struct mr_buf *out)
{
	union mr_value v;

	memcpy(&v, value, mr_phys_bytes(mr_type_phys(t)));
	switch ((enum mr_type)t.type) {
	case MR_TYPE_BOOL: mr_buf_u8(out, v.u8); break;
	case MR_TYPE_INT2: mr_buf_be16(out, (uint16_t)v.i16); break;
	case MR_TYPE_FLOAT4:
	case MR_TYPE_INT4: mr_buf_be32(out, (uint32_t)v.i32); break;
	case MR_TYPE_FLOAT8:
	case MR_TYPE_INT8: mr_buf_be64(out, (uint64_t)v.i64); break;
	case MR_TYPE_NUMERIC: put_numeric(mr_value_to_dec(t, &v), out); break;
	case MR_TYPE_TEXT:
	case MR_TYPE_BYTEA: mr_buf_add(out, v.str.data, v.str.bytes); break;
	case MR_TYPE_UUID: mr_buf_add(out, v.uuid.b, sizeof(v.uuid.b)); break;
	case MR_TYPE_DATE:
		if (mr_date_is_finite(v.i32))
			v.i32 -= MR_PG_EPOCH_DAYS;
		mr_buf_be32(out, (uint32_t)v.i32);
		break;
	case MR_TYPE_TIMESTAMP:
	case MR_TYPE_TIMESTAMPTZ:
		if (mr_ts_is_finite(v.i64))
			v.i64 -= MR_PG_EPOCH_US;
		mr_buf_be64(out, (uint64_t)v.i64);
		break;
	case MR_TYPE_INTERVAL:
		mr_buf_be64(out, (uint64_t)v.interval.us);
		mr_buf_be32(out, (uint32_t)v.interval.days);
		mr_buf_be32(out, (uint32_t)v.interval.months);
		break;
	case MR_TYPE_NULL:
	case MR_TYPE_COUNT: break;
	}
}

// ---- in

static int bad_binary(struct mr_diag *diag)
{
	return mr_diag_set(diag, -EINVAL, "22P03", 0, "incorrect binary data format");
}

static int out_of_range(struct mr_typeref t, struct mr_diag *diag)
{
	return mr_diag_set(diag, -ERANGE, t.type == MR_TYPE_NUMERIC ? "22003" : "22008", 0,
		"%s out of range", mr_type_info((enum mr_type)t.type)->name);
}

// Coefficient from base-10,000 digits: the value's digits behind `dscale` are cut off, as
// PostgreSQL does.
static int numeric_value(struct mr_reader *r, int digits, int weight, int dscale, u128 *out)
{
	int at = (weight + 1) * 4 + dscale; // decimal digits from the first on, all told
	u128 v = 0;

	for (int i = 0; i < digits || at > 0; i++) {
		unsigned digit = i < digits ? mr_read_be16(r) : 0;

		if (digit > 9999 || r->bad)
			return -EINVAL;
		for (unsigned unit = 1000; unit; unit /= 10, at--) {
			if (at <= 0)
				continue;
			if (v >= (u128)mr_dec_pow10(MR_DEC_DIGITS_MAX))
				return -ERANGE;
			v = v * 10 + digit / unit % 10;
		}
	}
	*out = v;
	return v < (u128)mr_dec_pow10(MR_DEC_DIGITS_MAX) ? 0 : -ERANGE;
}

static int take_numeric(
	struct mr_typeref t, struct mr_reader *r, union mr_value *out, struct mr_diag *diag)
{
	int digits = (int16_t)mr_read_be16(r), weight = (int16_t)mr_read_be16(r);
	unsigned sign = mr_read_be16(r);
	int dscale = mr_read_be16(r), err;
	struct mr_dec d = mr_dec_nan();
	u128 v = 0;

	if (r->bad || digits < 0 || (sign & ~(unsigned)NUMERIC_NAN) || sign == 0x8000 ||
		mr_read_left(r) != (size_t)digits * 2)
		return bad_binary(diag);
	if (sign != NUMERIC_NAN) {
		if (dscale > MR_DEC_SCALE_MAX)
			return out_of_range(t, diag);
		if (digits == 0)
			weight = -1;
		err = numeric_value(r, digits, weight, dscale, &v);
		if (err)
			return err == -EINVAL ? bad_binary(diag) : out_of_range(t, diag);
		d = mr_dec_make(sign ? -(mr_i128)v : (mr_i128)v, (unsigned)dscale);
	}
	return mr_value_from_dec(t, d, out) ? out_of_range(t, diag) : 0;
}

static int take_string(
	struct mr_typeref t, struct mr_span bytes, union mr_value *out, struct mr_diag *diag)
{
	bool text = t.type == MR_TYPE_TEXT;

	if (text &&
		(!mr_utf8_is_valid(bytes) || (bytes.bytes && memchr(bytes.data, 0, bytes.bytes))))
		return mr_diag_set(
			diag, -EINVAL, "22021", 0, "invalid byte sequence for encoding \"UTF8\"");
	if (bytes.bytes > UINT32_MAX)
		return bad_binary(diag);
	out->str = (struct mr_str){.data = bytes.data, .bytes = (uint32_t)bytes.bytes};
	return 0;
}

static int take_date(struct mr_typeref t, int32_t days, union mr_value *out, struct mr_diag *diag)
{
	out->i32 = days;
	if (!mr_date_is_finite(days))
		return 0;
	if (__builtin_add_overflow(days, MR_PG_EPOCH_DAYS, &out->i32) || out->i32 < MR_DATE_MIN ||
		out->i32 > MR_DATE_MAX)
		return out_of_range(t, diag);
	return 0;
}

static int take_ts(struct mr_typeref t, int64_t us, union mr_value *out, struct mr_diag *diag)
{
	out->i64 = us;
	if (!mr_ts_is_finite(us))
		return 0;
	if (__builtin_add_overflow(us, MR_PG_EPOCH_US, &out->i64) || out->i64 < MR_TS_MIN ||
		out->i64 > MR_TS_MAX)
		return out_of_range(t, diag);
	return 0;
}

int mr_value_parse_binary(
	struct mr_typeref t, struct mr_span bytes, union mr_value *out, struct mr_diag *diag)
{
	struct mr_reader r = mr_reader(bytes);
	int err = 0;

	switch ((enum mr_type)t.type) {
	case MR_TYPE_TEXT:
	case MR_TYPE_BYTEA: return take_string(t, bytes, out, diag);
	case MR_TYPE_NUMERIC: return take_numeric(t, &r, out, diag);
	case MR_TYPE_BOOL: out->u8 = mr_read_u8(&r) != 0; break;
	case MR_TYPE_INT2: out->i16 = (int16_t)mr_read_be16(&r); break;
	case MR_TYPE_FLOAT4:
	case MR_TYPE_INT4: out->i32 = (int32_t)mr_read_be32(&r); break;
	case MR_TYPE_FLOAT8:
	case MR_TYPE_INT8: out->i64 = (int64_t)mr_read_be64(&r); break;
	case MR_TYPE_DATE: err = take_date(t, (int32_t)mr_read_be32(&r), out, diag); break;
	case MR_TYPE_TIMESTAMP:
	case MR_TYPE_TIMESTAMPTZ: err = take_ts(t, (int64_t)mr_read_be64(&r), out, diag); break;
	case MR_TYPE_INTERVAL:
		out->interval.us = (int64_t)mr_read_be64(&r);
		out->interval.days = (int32_t)mr_read_be32(&r);
		out->interval.months = (int32_t)mr_read_be32(&r);
		break;
	case MR_TYPE_UUID: {
		struct mr_span u = mr_read_span(&r, sizeof(out->uuid.b));

		if (u.data)
			memcpy(out->uuid.b, u.data, u.bytes);
		break;
	}
	case MR_TYPE_NULL:
	case MR_TYPE_COUNT: return bad_binary(diag);
	}
	if (r.bad || mr_read_left(&r))
		return bad_binary(diag);
	return err;
}
