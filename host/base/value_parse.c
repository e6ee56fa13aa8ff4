// Text to values, with PostgreSQL's words and SQLSTATEs for what is wrong.
#include "host/base/num.h"
#include "host/base/utf8.h"
#include "host/base/value.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define SHOWN_BYTES_MAX 100 // of a bad text in a message

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct mr_span strip(struct mr_span s)
{
	while (s.bytes && is_space(s.data[0]))
		s = mr_span(s.data + 1, s.bytes - 1);
	while (s.bytes && is_space(s.data[s.bytes - 1]))
		s.bytes--;
	return s;
}

static int shown(struct mr_span text)
{
	size_t n = MR_MIN(text.bytes, (size_t)SHOWN_BYTES_MAX);

	while (n < text.bytes && n > 0 && (text.data[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

// numeric, integers and the like: which type's name the message has.
static int syntax_error(struct mr_typeref t, struct mr_span text, struct mr_diag *diag)
{
	bool dated = t.type == MR_TYPE_DATE || t.type == MR_TYPE_TIMESTAMP ||
		     t.type == MR_TYPE_TIMESTAMPTZ || t.type == MR_TYPE_INTERVAL;
	const char *name = t.type == MR_TYPE_TIMESTAMP
				   ? "timestamp" // without "without time zone", alone of all
				   : mr_type_info((enum mr_type)t.type)->name;

	return mr_diag_set(diag, -EINVAL, dated ? "22007" : "22P02", 0,
		"invalid input syntax for type %s: \"%.*s\"", name, shown(text),
		(const char *)text.data);
}

static int range_error(struct mr_typeref t, struct mr_span text, struct mr_diag *diag)
{
	const char *name = mr_type_info((enum mr_type)t.type)->name;
	const char *at = (const char *)text.data;
	int n = shown(text);

	switch ((enum mr_type)t.type) {
	case MR_TYPE_INT2:
	case MR_TYPE_INT4:
	case MR_TYPE_INT8:
		return mr_diag_set(diag, -ERANGE, "22003", 0,
			"value \"%.*s\" is out of range for type %s", n, at, name);
	case MR_TYPE_FLOAT4:
	case MR_TYPE_FLOAT8:
		return mr_diag_set(diag, -ERANGE, "22003", 0,
			"\"%.*s\" is out of range for type %s", n, at, name);
	case MR_TYPE_INTERVAL:
		return mr_diag_set(diag, -ERANGE, "22015", 0,
			"interval field value out of range: \"%.*s\"", n, at);
	default:
		return mr_diag_set(diag, -ERANGE, "22008", 0,
			"date/time field value out of range: \"%.*s\"", n, at);
	}
}

static int numeric_range_error(struct mr_typeref t, struct mr_diag *diag)
{
	if (t.precision == 0)
		return mr_diag_set(diag, -ERANGE, "22003", 0,
			"value has more than %d significant digits or %d decimal places",
			MR_DEC_DIGITS_MAX, MR_DEC_SCALE_MAX);
	mr_diag_set(diag, -ERANGE, "22003", 0, "numeric field overflow");
	mr_diag_detail(diag,
		"A field with precision %d, scale %d must round to an absolute value less than "
		"%s%d.",
		t.precision, t.scale, t.precision == t.scale ? "" : "10^",
		t.precision == t.scale ? 1 : t.precision - t.scale);
	return -ERANGE;
}

static int parse_bool(struct mr_typeref t, struct mr_span whole, uint8_t *out, struct mr_diag *diag)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};
	struct mr_span s = strip(whole);
	const char *at = (const char *)s.data;

	// Any beginning of a word will do, but "o" may be on or off.
	for (size_t i = 0; s.bytes && i < MR_COUNT_OF(yes); i++) {
		bool o = i == 2 && s.bytes < 2;

		if (!o && s.bytes <= strlen(yes[i]) && !strncasecmp(at, yes[i], s.bytes)) {
			*out = 1;
			return 0;
		}
		if (!o && s.bytes <= strlen(no[i]) && !strncasecmp(at, no[i], s.bytes)) {
			*out = 0;
			return 0;
		}
	}
	return syntax_error(t, whole, diag);
}

static int parse_int(
	struct mr_typeref t, struct mr_span whole, union mr_value *out, struct mr_diag *diag)
{
	int64_t v = 0;
	int err = mr_num_parse_i64(strip(whole), &v);

	if (err == -EINVAL)
		return syntax_error(t, whole, diag);
	if (err || (t.type == MR_TYPE_INT2 && v != (int16_t)v) ||
		(t.type == MR_TYPE_INT4 && v != (int32_t)v))
		return range_error(t, whole, diag);
	if (t.type == MR_TYPE_INT2)
		out->i16 = (int16_t)v;
	else if (t.type == MR_TYPE_INT4)
		out->i32 = (int32_t)v;
	else
		out->i64 = v;
	return 0;
}

static int parse_float(
	struct mr_typeref t, struct mr_span whole, union mr_value *out, struct mr_diag *diag)
{
	int err = t.type == MR_TYPE_FLOAT4 ? mr_num_parse_float(strip(whole), &out->f32)
					   : mr_num_parse_double(strip(whole), &out->f64);

	if (err == -EINVAL)
		return syntax_error(t, whole, diag);
	return err ? range_error(t, whole, diag) : 0;
}

static int parse_numeric(
	struct mr_typeref t, struct mr_span text, union mr_value *out, struct mr_diag *diag)
{
	struct mr_dec d = mr_dec_nan();
	int err = t.precision ? mr_dec_parse_fit(text, t.precision, t.scale, &d)
			      : mr_dec_parse(text, &d);

	if (err == -EINVAL)
		return syntax_error(t, text, diag);
	if (err || mr_value_from_dec(t, d, out))
		return numeric_range_error(t, diag);
	return 0;
}

static int parse_datetime(struct mr_typeref t, struct mr_span text,
	const struct mr_datetime_env *env, union mr_value *out, struct mr_diag *diag)
{
	int err;

	switch ((enum mr_type)t.type) {
	case MR_TYPE_DATE: err = mr_date_parse(text, env, &out->i32); break;
	case MR_TYPE_TIMESTAMP: err = mr_ts_parse(text, env, &out->i64); break;
	case MR_TYPE_TIMESTAMPTZ: err = mr_tstz_parse(text, env, &out->i64); break;
	default: err = mr_interval_parse(text, &out->interval);
	}
	if (err == -ERANGE)
		return range_error(t, text, diag);
	return err ? syntax_error(t, text, diag) : 0;
}

// ---- strings

static int parse_text(struct mr_span text, union mr_value *out, struct mr_diag *diag)
{
	size_t valid = mr_utf8_valid_bytes(text);
	const uint8_t *nul = text.bytes ? memchr(text.data, 0, text.bytes) : NULL;

	if (valid < text.bytes || nul) {
		uint8_t bad = valid < text.bytes ? text.data[valid] : 0;

		return mr_diag_set(diag, -EINVAL, "22021", 0,
			"invalid byte sequence for encoding \"UTF8\": 0x%02x", bad);
	}
	if (text.bytes > UINT32_MAX)
		return mr_diag_set(diag, -ERANGE, "54000", 0, "string is too long");
	out->str = (struct mr_str){.data = text.data, .bytes = (uint32_t)text.bytes};
	return 0;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_hex(struct mr_span s, uint8_t *to, uint32_t *bytes, struct mr_diag *diag)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.bytes;) {
		int high, low;

		if (is_space(s.data[i])) {
			i++;
			continue;
		}
		high = hex_digit(s.data[i]);
		if (high < 0)
			return mr_diag_set(diag, -EINVAL, "22023", 0,
				"invalid hexadecimal digit: \"%c\"", s.data[i]);
		if (i + 1 == s.bytes)
			return mr_diag_set(diag, -EINVAL, "22023", 0,
				"invalid hexadecimal data: odd number of digits");
		low = hex_digit(s.data[i + 1]);
		if (low < 0)
			return mr_diag_set(diag, -EINVAL, "22023", 0,
				"invalid hexadecimal digit: \"%c\"", s.data[i + 1]);
		to[n++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	*bytes = n;
	return 0;
}

static bool octal_at(const uint8_t *p)
{
	return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
	       p[2] <= '7';
}

// The old form: bytes as they are, `\\` and `\ooo`.
static int parse_escaped(struct mr_span s, uint8_t *to, uint32_t *bytes, struct mr_diag *diag)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.bytes;) {
		const uint8_t *p = s.data + i;

		if (*p != '\\') {
			to[n++] = *p;
			i++;
		} else if (s.bytes - i >= 4 && octal_at(p + 1)) {
			to[n++] = (uint8_t)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			i += 4;
		} else if (s.bytes - i >= 2 && p[1] == '\\') {
			to[n++] = '\\';
			i += 2;
		} else {
			return mr_diag_set(
				diag, -EINVAL, "22P02", 0, "invalid input syntax for type bytea");
		}
	}
	*bytes = n;
	return 0;
}

static int parse_bytea(
	struct mr_span text, struct mr_arena *arena, union mr_value *out, struct mr_diag *diag)
{
	uint8_t *to = mr_arena_alloc(arena, MR_MAX(text.bytes, (size_t)1));
	uint32_t bytes = 0;
	int err;

	if (!to || text.bytes > UINT32_MAX)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	if (text.bytes >= 2 && text.data[0] == '\\' && (text.data[1] | 32) == 'x')
		err = parse_hex(mr_span(text.data + 2, text.bytes - 2), to, &bytes, diag);
	else
		err = parse_escaped(text, to, &bytes, diag);
	out->str = (struct mr_str){.data = to, .bytes = bytes};
	return err;
}

int mr_value_parse(struct mr_typeref t, struct mr_span text, const struct mr_datetime_env *env,
	struct mr_arena *arena, union mr_value *out, struct mr_diag *diag)
{
	switch ((enum mr_type)t.type) {
	case MR_TYPE_BOOL: return parse_bool(t, text, &out->u8, diag);
	case MR_TYPE_INT2:
	case MR_TYPE_INT4:
	case MR_TYPE_INT8: return parse_int(t, text, out, diag);
	case MR_TYPE_FLOAT4:
	case MR_TYPE_FLOAT8: return parse_float(t, text, out, diag);
	case MR_TYPE_NUMERIC: return parse_numeric(t, text, out, diag);
	case MR_TYPE_TEXT: return parse_text(text, out, diag);
	case MR_TYPE_UUID: return mr_uuid_parse(text, &out->uuid) ? 0 : syntax_error(t, text, diag);
	case MR_TYPE_DATE:
	case MR_TYPE_TIMESTAMP:
	case MR_TYPE_TIMESTAMPTZ:
	case MR_TYPE_INTERVAL: return parse_datetime(t, text, env, out, diag);
	case MR_TYPE_BYTEA: return parse_bytea(text, arena, out, diag);
	case MR_TYPE_NULL:
	case MR_TYPE_COUNT: break;
	}
	return mr_diag_set(diag, -EINVAL, "42804", 0, "a value of unknown type cannot be read");
}
