// bytea: text encodings of bytes, and parts of them.
#include "host/sql/fn_int.h"

#include <strings.h>

static uint8_t *room(struct mr_fn_call *c, size_t bytes, void *out)
{
	uint8_t *p = mr_arena_alloc(c->ev->arena, bytes + 1);

	*(struct mr_str *)out = (struct mr_str){p, 0, 0};
	if (!p)
		mr_eval_no_memory(c->ev);
	return p;
}

static bool is_name(struct mr_span s, const char *name)
{
	return s.bytes == strlen(name) && strncasecmp((const char *)s.data, name, s.bytes) == 0;
}

// Only UTF8 and what it contains unchanged.
static int check_encoding(struct mr_fn_call *c, struct mr_span name)
{
	if (is_name(name, "utf8") || is_name(name, "utf-8") || is_name(name, "sql_ascii"))
		return 0;
	return mr_fn_error(c, "22023", "encoding \"%.*s\" is not supported: only UTF8 is",
		(int)MR_MIN(name.bytes, 40u), (const char *)name.data);
}

static int convert_from(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);

	if (check_encoding(c, fn_span(a[1])) < 0)
		return -EINVAL;
	if (!mr_utf8_is_valid(s) || (s.bytes && memchr(s.data, 0, s.bytes)))
		return mr_fn_error(c, "22021", "invalid byte sequence for encoding \"UTF8\"");
	RESULT(struct mr_str) = *(const struct mr_str *)a[0];
	return 0;
}

static int convert_to(struct mr_fn_call *c, const void *const *a, void *out)
{
	RESULT(struct mr_str) = *(const struct mr_str *)a[0];
	return check_encoding(c, fn_span(a[1]));
}

// ---- hex, base64, escape ----

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int hex_encode(struct mr_fn_call *c, struct mr_span s, void *out)
{
	uint8_t *p = room(c, 2 * s.bytes, out);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < s.bytes; i++) {
		p[2 * i] = (uint8_t)hex_digits[s.data[i] >> 4];
		p[2 * i + 1] = (uint8_t)hex_digits[s.data[i] & 15];
	}
	RESULT(struct mr_str).bytes = (uint32_t)(2 * s.bytes);
	return 0;
}

static bool is_space(uint8_t b)
{
	return b == ' ' || b == '\n' || b == '\t' || b == '\r';
}

static int hex_decode(struct mr_fn_call *c, struct mr_span s, void *out)
{
	uint8_t *p = room(c, s.bytes / 2 + 1, out);
	uint32_t n = 0;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < s.bytes; i++) {
		const char *d = s.data[i] ? strchr(hex_digits, s.data[i] | 0x20) : NULL;

		if (is_space(s.data[i]))
			continue;
		if (!d || (s.data[i] < 'A' && s.data[i] > '9') || s.data[i] < '0')
			return mr_fn_error(c, "22023", "invalid hexadecimal digit: \"%c\"",
				s.data[i] < 0x7f && s.data[i] >= ' ' ? s.data[i] : '?');
		p[n / 2] = (uint8_t)(n % 2 ? p[n / 2] | (d - hex_digits) : (d - hex_digits) << 4);
		n++;
	}
	if (n % 2)
		return mr_fn_error(c, "22023", "invalid hexadecimal data: odd number of digits");
	RESULT(struct mr_str).bytes = n / 2;
	return 0;
}

// RFC 2045: a newline behind every 76 characters, as PostgreSQL writes it.
static int base64_encode(struct mr_fn_call *c, struct mr_span s, void *out)
{
	uint8_t *p = room(c, (s.bytes + 2) / 3 * 4 + s.bytes / 57 + 2, out);
	size_t n = 0, line = 0;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < s.bytes; i += 3) {
		size_t left = s.bytes - i;
		uint32_t v = (uint32_t)s.data[i] << 16 |
			     (left > 1 ? (uint32_t)s.data[i + 1] << 8 : 0) |
			     (left > 2 ? s.data[i + 2] : 0);

		if (line == 76) {
			p[n++] = '\n';
			line = 0;
		}
		p[n++] = (uint8_t)base64_digits[v >> 18];
		p[n++] = (uint8_t)base64_digits[v >> 12 & 63];
		p[n++] = left > 1 ? (uint8_t)base64_digits[v >> 6 & 63] : '=';
		p[n++] = left > 2 ? (uint8_t)base64_digits[v & 63] : '=';
		line += 4;
	}
	RESULT(struct mr_str).bytes = (uint32_t)n;
	return 0;
}

static int base64_decode(struct mr_fn_call *c, struct mr_span s, void *out)
{
	uint8_t *p = room(c, s.bytes / 4 * 3 + 3, out);
	uint32_t v = 0, digits = 0, pads = 0, n = 0;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < s.bytes; i++) {
		const char *d = s.data[i] ? strchr(base64_digits, s.data[i]) : NULL;

		if (is_space(s.data[i]))
			continue;
		if (s.data[i] == '=') {
			pads++;
			continue;
		}
		if (!d || pads)
			return mr_fn_error(
				c, "22023", "invalid symbol found while decoding base64 sequence");
		v = v << 6 | (uint32_t)(d - base64_digits);
		if (++digits % 4 == 0) {
			p[n++] = (uint8_t)(v >> 16);
			p[n++] = (uint8_t)(v >> 8);
			p[n++] = (uint8_t)v;
		}
	}
	if ((digits + pads) % 4 || pads > 2)
		return mr_fn_error(c, "22023", "invalid base64 end sequence");
	if (digits % 4 == 2)
		p[n++] = (uint8_t)(v >> 4);
	if (digits % 4 == 3) {
		p[n++] = (uint8_t)(v >> 10);
		p[n++] = (uint8_t)(v >> 2);
	}
	RESULT(struct mr_str).bytes = n;
	return 0;
}

static int escape_encode(struct mr_fn_call *c, struct mr_span s, void *out)
{
	uint8_t *p = room(c, 4 * s.bytes, out);
	uint32_t n = 0;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < s.bytes; i++) {
		uint8_t b = s.data[i];

		if (b == 0 || b > 127) {
			p[n++] = '\\';
			p[n++] = (uint8_t)('0' + (b >> 6));
			p[n++] = (uint8_t)('0' + (b >> 3 & 7));
			p[n++] = (uint8_t)('0' + (b & 7));
			continue;
		}
		if (b == '\\')
			p[n++] = '\\';
		p[n++] = b;
	}
	RESULT(struct mr_str).bytes = n;
	return 0;
}

static bool is_octal(const uint8_t *d)
{
	return d[0] >= '0' && d[0] <= '3' && d[1] >= '0' && d[1] <= '7' && d[2] >= '0' &&
	       d[2] <= '7';
}

static int escape_decode(struct mr_fn_call *c, struct mr_span s, void *out)
{
	uint8_t *p = room(c, s.bytes, out);
	uint32_t n = 0;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < s.bytes; i++) {
		const uint8_t *d = s.data + i;

		if (*d != '\\') {
			p[n++] = *d;
		} else if (i + 1 < s.bytes && d[1] == '\\') {
			p[n++] = '\\';
			i++;
		} else if (i + 3 < s.bytes && is_octal(d + 1)) {
			p[n++] = (uint8_t)((d[1] - '0') << 6 | (d[2] - '0') << 3 | (d[3] - '0'));
			i += 3;
		} else {
			return mr_fn_error(c, "22P02", "invalid input syntax for type bytea");
		}
	}
	RESULT(struct mr_str).bytes = n;
	return 0;
}

static const struct format {
	const char *name;
	int (*encode)(struct mr_fn_call *c, struct mr_span s, void *out);
	int (*decode)(struct mr_fn_call *c, struct mr_span s, void *out);
} formats[] = {
	{"hex", hex_encode, hex_decode},
	{"base64", base64_encode, base64_decode},
	{"escape", escape_encode, escape_decode},
};

static int recode(struct mr_fn_call *c, const void *const *a, bool decode, void *out)
{
	struct mr_span name = fn_span(a[1]), s = fn_span(a[0]);

	for (size_t i = 0; i < MR_COUNT_OF(formats); i++)
		if (is_name(name, formats[i].name))
			return decode ? formats[i].decode(c, s, out) : formats[i].encode(c, s, out);
	return mr_fn_error(c, "22023", "unrecognized encoding: \"%.*s\"",
		(int)MR_MIN(name.bytes, 40u), (const char *)name.data);
}

static int encode(struct mr_fn_call *c, const void *const *a, void *out)
{
	return recode(c, a, false, out);
}

static int decode(struct mr_fn_call *c, const void *const *a, void *out)
{
	return recode(c, a, true, out);
}

// Bytes from `from`, counted from 1; both may lie outside.
static int substring(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	int64_t from = ARG(int32_t, 1), end = INT32_MAX;

	if (c->args_count > 2) {
		if (ARG(int32_t, 2) < 0)
			return mr_fn_error(c, "22011", "negative substring length not allowed");
		end = from + ARG(int32_t, 2);
	}
	from = MR_MAX(from, (int64_t)1);
	end = MR_MIN(end, (int64_t)s.bytes + 1);
	RESULT(struct mr_str) = (struct mr_str){s.data, 0, 0};
	if (end > from) {
		RESULT(struct mr_str).data = s.data + from - 1;
		RESULT(struct mr_str).bytes = (uint32_t)(end - from);
	}
	return 0;
}

static const struct mr_fn fns[] = {
	{"convert_from", T_T, 2, {T_Y, T_T}, 0, convert_from, NULL},
	{"convert_to", T_Y, 2, {T_T, T_T}, 0, convert_to, NULL},
	{"encode", T_T, 2, {T_Y, T_T}, 0, encode, NULL},
	{"decode", T_Y, 2, {T_T, T_T}, 0, decode, NULL},
	{"substring", T_Y, 2, {T_Y, T_I4}, 0, substring, NULL},
	{"substring", T_Y, 3, {T_Y, T_I4, T_I4}, 0, substring, NULL},
	{"substr", T_Y, 2, {T_Y, T_I4}, 0, substring, NULL},
	{"substr", T_Y, 3, {T_Y, T_I4, T_I4}, 0, substring, NULL},
};

const struct mr_fn_family mr_fn_bytes = {fns, MR_COUNT_OF(fns)};
