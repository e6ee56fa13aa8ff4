// From a JSON value to a column's physical form.
//
// The reader (json.c) has found where each column's last value is; only now are values converted,
// so what a duplicate overrides is never looked at. Each conversion has a short way for what
// producers send (a few digits, a string without escapes, ISO 8601 in full) and a general one in
// host/base for the rest; both give the same.
#include "dataplane/decode.h"

#include "dataplane/json.h"
#include "host/base/datetime.h"
#include "host/base/dec.h"
#include "host/base/num.h"
#include "host/base/uuid.h"
#include "host/base/value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// What a conversion says; the caller makes words of it.
enum convert {
	CONVERT_OK = 0,
	CONVERT_TYPE,     // a value of a kind that this type does not take
	CONVERT_SYNTAX,   // a string that is none of the type's texts
	CONVERT_RANGE,    // does not fit
	CONVERT_FRACTION, // a fraction for an integer
	CONVERT_NUL,      // \u0000 in text
};

enum { SCRATCH_BYTES = 16 << 10 }; // that a decoder keeps

struct mr_decoder {
	const struct mr_schema *schema;
	size_t value_bytes_max;
	struct mr_json json;
	uint8_t *scratch; // a string without its escapes
	size_t scratch_bytes;
	struct mr_json_value *values;
	struct mr_json_guess order[MR_JSON_ORDER_MAX];
};

int mr_decoder_create(
	const struct mr_schema *schema, size_t value_bytes_max, struct mr_decoder **out)
{
	struct mr_decoder *d = calloc(1, sizeof(*d));

	MR_ASSERT(value_bytes_max <= UINT32_MAX);
	if (!d)
		return -ENOMEM;
	d->schema = schema;
	d->value_bytes_max = value_bytes_max;
	d->values = calloc(MR_MAX(schema->columns_count, 1u), sizeof(d->values[0]));
	d->scratch_bytes = SCRATCH_BYTES;
	d->scratch = malloc(SCRATCH_BYTES);
	if (!d->values || !d->scratch) {
		mr_decoder_destroy(d);
		return -ENOMEM;
	}
	mr_json_init(&d->json, schema, d->values, d->order);
	*out = d;
	return 0;
}

void mr_decoder_destroy(struct mr_decoder *d)
{
	if (!d)
		return;
	free(d->values);
	free(d->scratch);
	free(d);
}

// ---- errors

static int dead(struct mr_decode_error *e, int column, uint32_t position, const char *fmt, ...)
	MR_PRINTF(4, 5);

static int dead(struct mr_decode_error *e, int column, uint32_t position, const char *fmt, ...)
{
	va_list args;

	e->column = column;
	e->position = position;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	return 1;
}

static const char *kind_text(uint8_t kind)
{
	static const char *const texts[] = {[MR_JSON_ABSENT] = "nothing",
		[MR_JSON_NULL] = "null",
		[MR_JSON_FALSE] = "a boolean",
		[MR_JSON_TRUE] = "a boolean",
		[MR_JSON_NUMBER] = "a number",
		[MR_JSON_STRING] = "a string",
		[MR_JSON_OBJECT] = "an object",
		[MR_JSON_ARRAY] = "an array"};

	return texts[kind];
}

// Words for a failed conversion. A text of the record is not repeated: it is in the dead letter.
static int dead_value(struct mr_decoder *d, struct mr_span whole, uint32_t column, enum convert why,
	struct mr_decode_error *e)
{
	const struct mr_schema_column *c = &d->schema->columns[column];
	const struct mr_json_value *v = &d->values[column];
	uint32_t at = (uint32_t)(v->at - whole.data);
	int name_bytes = (int)c->name.bytes;
	const char *name = (const char *)c->name.data;
	char type[40];

	mr_typeref_format(c->type, type);
	switch (why) {
	case CONVERT_TYPE:
		return dead(e, (int)column, at, "column \"%.*s\": %s is no value for %s at byte %u",
			name_bytes, name, kind_text(v->kind), type, at);
	case CONVERT_SYNTAX:
		return dead(e, (int)column, at, "column \"%.*s\": the string is no %s at byte %u",
			name_bytes, name, type, at);
	case CONVERT_RANGE:
		return dead(e, (int)column, at,
			"column \"%.*s\": the value is out of range for %s at byte %u", name_bytes,
			name, type, at);
	case CONVERT_FRACTION:
		return dead(e, (int)column, at, "column \"%.*s\": a fraction for %s at byte %u",
			name_bytes, name, type, at);
	default:
		return dead(e, (int)column, at,
			"column \"%.*s\": \\u0000 cannot be stored in text at byte %u", name_bytes,
			name, at);
	}
}

// ---- numbers

// The text of a number, or of a string that should be one.
static inline bool number_text(
	struct mr_decoder *d, const struct mr_json_value *v, struct mr_span *out)
{
	bool has_nul;

	*out = mr_span(v->at, v->bytes);
	if (MR_UNLIKELY(v->kind == MR_JSON_STRING && v->escaped))
		*out = mr_span(d->scratch, mr_json_unescape(v, d->scratch, &has_nul));
	return v->kind == MR_JSON_NUMBER || v->kind == MR_JSON_STRING;
}

// Digits with a sign and a point, at most 18 of them: coefficient and digits behind the point.
static inline bool short_decimal(struct mr_span s, int64_t *coefficient, unsigned *scale)
{
	const uint8_t *p = s.data, *end = p + s.bytes;
	const uint8_t *point = NULL;
	bool negative = p < end && *p == '-';
	uint64_t v = 0; // 19 digits fit, 18 are taken

	p += negative;
	if (end - p > 19 || end == p || (uint8_t)(*p - '0') > 9)
		return false;
	for (; p < end; p++) {
		uint8_t digit = (uint8_t)(*p - '0');

		if (MR_UNLIKELY(digit > 9)) {
			if (*p != '.' || point)
				return false;
			point = p;
			continue;
		}
		v = v * 10 + digit;
	}
	if (point ? point + 1 == end : s.bytes - negative > 18)
		return false;
	*scale = point ? (unsigned)(end - point - 1) : 0;
	*coefficient = negative ? -(int64_t)v : (int64_t)v;
	return true;
}

// The same of a number that the reader has read already, or of a string's text.
static inline bool short_number(
	const struct mr_json_value *v, struct mr_span s, int64_t *coefficient, unsigned *scale)
{
	if (MR_UNLIKELY(v->kind != MR_JSON_NUMBER))
		return short_decimal(s, coefficient, scale);
	*coefficient = v->mantissa;
	*scale = v->scale;
	return v->is_short;
}

// The text without zeros that end its fraction: "5.000…" has one digit.
static struct mr_span trim_fraction(struct mr_span s)
{
	size_t n = s.bytes;

	if (!memchr(s.data, '.', s.bytes) || memchr(s.data, 'e', s.bytes) ||
		memchr(s.data, 'E', s.bytes))
		return s;
	while (n > 1 && s.data[n - 1] == '0')
		n--;
	return mr_span(s.data, n);
}

static enum convert long_int(struct mr_span s, int64_t *out)
{
	struct mr_dec d, whole;
	int err = mr_dec_parse(trim_fraction(s), &d);

	if (err == -EINVAL || s.data[0] <= ' ' || s.data[s.bytes - 1] <= ' ')
		return CONVERT_SYNTAX;
	if (err || mr_dec_is_nan(d))
		return err ? CONVERT_RANGE : CONVERT_SYNTAX;
	if (mr_dec_trunc(d, 0, &whole) || mr_dec_cmp(d, whole) != 0)
		return CONVERT_FRACTION;
	return mr_dec_to_i64(whole, out) ? CONVERT_RANGE : CONVERT_OK;
}

static enum convert to_int(struct mr_decoder *d, const struct mr_json_value *v, int64_t *out)
{
	struct mr_span s;
	unsigned scale;

	if (!number_text(d, v, &s))
		return CONVERT_TYPE;
	if (MR_LIKELY(short_number(v, s, out, &scale) && scale == 0))
		return CONVERT_OK;
	return s.bytes ? long_int(s, out) : CONVERT_SYNTAX;
}

static enum convert put_int(
	struct mr_decoder *d, const struct mr_json_value *v, enum mr_type type, void *slot)
{
	int64_t n;
	enum convert why = to_int(d, v, &n);

	if (MR_UNLIKELY(why))
		return why;
	if (type == MR_TYPE_INT8)
		*(int64_t *)slot = n;
	else if (type == MR_TYPE_INT4)
		*(int32_t *)slot = (int32_t)n;
	else
		*(int16_t *)slot = (int16_t)n;
	if (MR_UNLIKELY(type == MR_TYPE_INT8   ? 0
			: type == MR_TYPE_INT4 ? n != (int32_t)n
					       : n != (int16_t)n))
		return CONVERT_RANGE;
	return CONVERT_OK;
}

static enum convert put_float(
	struct mr_decoder *d, const struct mr_json_value *v, enum mr_type type, void *slot)
{
	int64_t digits;
	unsigned scale;
	struct mr_span s;
	int err;

	if (!number_text(d, v, &s))
		return CONVERT_TYPE;
	if (type == MR_TYPE_FLOAT4) {
		err = mr_num_parse_float(s, slot);
	} else if (MR_LIKELY(short_number(v, s, &digits, &scale) && digits &&
			     mr_num_scale_double((uint64_t)llabs(digits), -(int)scale, slot))) {
		if (digits < 0)
			*(double *)slot = -*(double *)slot;
		return CONVERT_OK;
	} else {
		err = mr_num_parse_double(s, slot);
	}
	return err == -EINVAL ? CONVERT_SYNTAX : err ? CONVERT_RANGE : CONVERT_OK;
}

static const int64_t pow10_i64[19] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
	1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
	1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000};

static enum convert long_numeric(struct mr_typeref t, struct mr_span s, void *slot)
{
	struct mr_dec d;
	int err = t.precision ? mr_dec_parse_fit(s, t.precision, t.scale, &d) : mr_dec_parse(s, &d);

	if (err == -EINVAL || s.data[0] <= ' ' || s.data[s.bytes - 1] <= ' ')
		return CONVERT_SYNTAX;
	if (err)
		return CONVERT_RANGE;
	if (mr_type_phys(t) == MR_PHYS_DEC) {
		memcpy(slot, &d, sizeof(d));
		return CONVERT_OK;
	}
	if (mr_dec_is_nan(d))
		return CONVERT_RANGE;
	*(int64_t *)slot = (int64_t)mr_dec_coefficient(d);
	return CONVERT_OK;
}

static enum convert put_numeric(
	struct mr_decoder *d, const struct mr_json_value *v, struct mr_typeref t, void *slot)
{
	int64_t coefficient;
	struct mr_span s;
	unsigned scale;

	if (!number_text(d, v, &s))
		return CONVERT_TYPE;
	if (s.bytes == 0)
		return CONVERT_SYNTAX;
	if (MR_LIKELY(mr_type_phys(t) == MR_PHYS_I64 && short_number(v, s, &coefficient, &scale) &&
		      scale <= t.scale)) {
		int64_t limit = pow10_i64[t.precision], scaled;

		if (__builtin_mul_overflow(coefficient, pow10_i64[t.scale - scale], &scaled) ||
			scaled >= limit || scaled <= -limit)
			return CONVERT_RANGE;
		*(int64_t *)slot = scaled;
		return CONVERT_OK;
	}
	return long_numeric(t, s, slot);
}

// ---- times

// The general parser knows names of zones, months and moments, which may read files or mean another
// time at a replay: only digits and ISO 8601's own marks get there.
static bool is_iso_like(struct mr_span s)
{
	if (s.bytes < 8 || s.bytes > 40 || (uint8_t)(s.data[0] - '0') > 9)
		return false;
	for (size_t i = 0; i < s.bytes; i++) {
		uint8_t c = s.data[i];

		if ((uint8_t)(c - '0') > 9 && !memchr("-:.+TtZz ", c, 9))
			return false;
	}
	return true;
}

static enum convert epoch_ms(struct mr_decoder *d, const struct mr_json_value *v, int64_t *us)
{
	struct mr_span s;
	struct mr_dec ms;
	int64_t n;
	unsigned scale;

	number_text(d, v, &s);
	if (MR_LIKELY(short_number(v, s, &n, &scale) && scale == 0)) {
		if (__builtin_mul_overflow(n, (int64_t)MR_US_PER_MS, us))
			return CONVERT_RANGE;
	} else {
		if (mr_dec_parse_fit(s, MR_DEC_DIGITS_MAX, 3, &ms))
			return CONVERT_RANGE;
		if (mr_dec_coefficient(ms) > INT64_MAX || mr_dec_coefficient(ms) < INT64_MIN)
			return CONVERT_RANGE;
		*us = (int64_t)mr_dec_coefficient(ms);
	}
	return *us >= MR_TS_MIN && *us <= MR_TS_MAX ? CONVERT_OK : CONVERT_RANGE;
}

static enum convert iso_error(int err)
{
	return err == -ERANGE ? CONVERT_RANGE : CONVERT_SYNTAX;
}

static enum convert put_ts(
	struct mr_decoder *d, const struct mr_json_value *v, bool zoned, int64_t *us)
{
	struct mr_span s;
	bool has_zone;
	int err;

	if (v->kind == MR_JSON_NUMBER)
		return epoch_ms(d, v, us);
	if (v->kind != MR_JSON_STRING)
		return CONVERT_TYPE;
	number_text(d, v, &s);
	// A timestamp without time zone takes the clock as it is written, whatever the zone.
	if (MR_LIKELY(mr_ts_parse_iso(s, us, &has_zone) && (zoned || !has_zone)))
		return CONVERT_OK;
	if (!is_iso_like(s))
		return CONVERT_SYNTAX;
	err = zoned ? mr_tstz_parse(s, NULL, us) : mr_ts_parse(s, NULL, us);
	return err ? iso_error(err) : CONVERT_OK;
}

static enum convert put_date(struct mr_decoder *d, const struct mr_json_value *v, int32_t *days)
{
	struct mr_span s;
	int err;

	if (v->kind != MR_JSON_STRING)
		return CONVERT_TYPE;
	number_text(d, v, &s);
	if (!is_iso_like(s))
		return CONVERT_SYNTAX;
	err = mr_date_parse(s, NULL, days);
	return err ? iso_error(err) : CONVERT_OK;
}

// ---- strings

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Returns bytes written over the digits' own place, or -1.
static int64_t unhex(struct mr_span s, uint8_t *out)
{
	if (s.bytes % 2)
		return -1;
	for (size_t i = 0; i < s.bytes; i += 2) {
		int high = hex_digit(s.data[i]), low = hex_digit(s.data[i + 1]);

		if (high < 0 || low < 0)
			return -1;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return (int64_t)(s.bytes / 2);
}

// A conversion's verdict or, < 0, -ENOMEM.
static int put_bytea(struct mr_decoder *d, const struct mr_json_value *v, struct mr_chunk *chunk,
	uint32_t column)
{
	struct mr_span s;
	int64_t bytes;

	if (v->kind != MR_JSON_STRING)
		return CONVERT_TYPE;
	number_text(d, v, &s);
	if (s.bytes < 2 || s.data[0] != '\\' || (s.data[1] != 'x' && s.data[1] != 'X'))
		return CONVERT_SYNTAX;
	bytes = unhex(mr_span(s.data + 2, s.bytes - 2), d->scratch);
	if (bytes < 0)
		return CONVERT_SYNTAX;
	return mr_chunk_set_bytes(chunk, column, d->scratch, (size_t)bytes);
}

static int put_text(struct mr_decoder *d, const struct mr_json_value *v, struct mr_chunk *chunk,
	uint32_t column)
{
	size_t bytes;
	bool has_nul;

	if (MR_LIKELY(!v->escaped || v->kind != MR_JSON_STRING))
		return mr_chunk_set_bytes(chunk, column, v->at, v->bytes);
	bytes = mr_json_unescape(v, d->scratch, &has_nul);
	if (has_nul)
		return CONVERT_NUL;
	return mr_chunk_set_bytes(chunk, column, d->scratch, bytes);
}

static enum convert put_uuid(struct mr_decoder *d, const struct mr_json_value *v, void *slot)
{
	struct mr_span s;

	if (v->kind != MR_JSON_STRING)
		return CONVERT_TYPE;
	number_text(d, v, &s);
	return mr_uuid_parse(s, slot) ? CONVERT_OK : CONVERT_SYNTAX;
}

static enum convert put_bool(const struct mr_json_value *v, uint8_t *slot)
{
	if (v->kind != MR_JSON_TRUE && v->kind != MR_JSON_FALSE)
		return CONVERT_TYPE;
	*slot = v->kind == MR_JSON_TRUE;
	return CONVERT_OK;
}

// ---- rows

// Sets one column from a value that is not null. A verdict, or -ENOMEM.
static inline int put_value(struct mr_decoder *d, const struct mr_json_value *v,
	struct mr_chunk *chunk, uint32_t column, struct mr_typeref t)
{
	switch ((enum mr_type)t.type) {
	case MR_TYPE_TEXT: return put_text(d, v, chunk, column);
	case MR_TYPE_BYTEA: return put_bytea(d, v, chunk, column);
	case MR_TYPE_INT2:
	case MR_TYPE_INT4:
	case MR_TYPE_INT8:
		return (int)put_int(d, v, (enum mr_type)t.type, mr_chunk_slot(chunk, column));
	case MR_TYPE_FLOAT4:
	case MR_TYPE_FLOAT8:
		return (int)put_float(d, v, (enum mr_type)t.type, mr_chunk_slot(chunk, column));
	case MR_TYPE_NUMERIC: return (int)put_numeric(d, v, t, mr_chunk_slot(chunk, column));
	case MR_TYPE_TIMESTAMP: return (int)put_ts(d, v, false, mr_chunk_slot(chunk, column));
	case MR_TYPE_TIMESTAMPTZ: return (int)put_ts(d, v, true, mr_chunk_slot(chunk, column));
	case MR_TYPE_DATE: return (int)put_date(d, v, mr_chunk_slot(chunk, column));
	case MR_TYPE_UUID: return (int)put_uuid(d, v, mr_chunk_slot(chunk, column));
	case MR_TYPE_BOOL: return (int)put_bool(v, mr_chunk_slot(chunk, column));
	default: return CONVERT_TYPE;
	}
}

static int put_row(struct mr_decoder *d, struct mr_span value, struct mr_chunk *chunk,
	struct mr_decode_error *error)
{
	const uint32_t count = d->schema->columns_count;
	const struct mr_schema_column *c = d->schema->columns;
	const struct mr_json_value *v = d->values;

	for (uint32_t i = 0; i < count; i++, c++, v++) {
		int why;

		if (MR_UNLIKELY(v->kind <= MR_JSON_NULL)) {
			if (c->not_null)
				return dead(error, (int)i, 0,
					"column \"%.*s\": %s for a NOT NULL column",
					(int)c->name.bytes, (const char *)c->name.data,
					v->kind == MR_JSON_NULL ? "null" : "no value");
			continue;
		}
		why = put_value(d, v, chunk, i, c->type);
		if (MR_UNLIKELY(why))
			return why < 0 ? why : dead_value(d, value, i, (enum convert)why, error);
	}
	return 0;
}

// What is unescaped is no longer than the value it is in. Large ones are rare, and decoders many.
static void scratch_size(struct mr_decoder *d, size_t bytes)
{
	free(d->scratch);
	d->scratch = malloc(bytes);
	d->scratch_bytes = bytes;
	MR_ASSERT(d->scratch);
}

int mr_decode_json(struct mr_decoder *d, struct mr_span value, struct mr_chunk *chunk,
	struct mr_decode_error *error)
{
	enum mr_json_error bad;
	int rc;

	MR_DASSERT(chunk->columns_count >= d->schema->columns_count);
	if (!value.data)
		return dead(error, -1, 0, "the value is null");
	if (value.bytes == 0)
		return dead(error, -1, 0, "the value is empty");
	if (value.bytes > d->value_bytes_max)
		return dead(error, -1, 0, "the value has %zu bytes, more than the limit of %zu",
			value.bytes, d->value_bytes_max);
	bad = mr_json_read(&d->json, value);
	if (MR_UNLIKELY(bad))
		return dead(error, -1, d->json.error_at, "%s at byte %u", mr_json_error_text(bad),
			d->json.error_at);
	if (MR_UNLIKELY(value.bytes > d->scratch_bytes))
		scratch_size(d, value.bytes);
	rc = put_row(d, value, chunk, error);
	if (MR_UNLIKELY(d->scratch_bytes > SCRATCH_BYTES))
		scratch_size(d, SCRATCH_BYTES);
	return rc;
}
