// The reference JSON decoder: see the header.
#include "tests/lib/json_ref.h"

#include "host/base/datetime.h"
#include "host/base/num.h"
#include "host/base/uuid.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DEPTH_MAX 64

struct ref {
	const uint8_t *p, *end;
	struct mr_arena *arena;
	bool bad;
};

// A parsed value: `text` is a string's content, or the raw JSON of anything else.
struct node {
	char kind; // n null, b boolean, 0 number, s string, o object, a array
	struct mr_span text;
};

static int peek(struct ref *r)
{
	return r->p < r->end ? *r->p : -1;
}

static int next(struct ref *r)
{
	return r->p < r->end ? *r->p++ : -1;
}

static void need(struct ref *r, int c)
{
	if (next(r) != c)
		r->bad = true;
}

static void spaces(struct ref *r)
{
	while (peek(r) == ' ' || peek(r) == '\n' || peek(r) == '\r' || peek(r) == '\t')
		r->p++;
}

// ---- strings

static unsigned hex4(struct ref *r)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		int c = next(r);

		if (c < 0 || !isxdigit(c)) {
			r->bad = true;
			return 0;
		}
		v = v * 16 + (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return v;
}

// Code points by arithmetic, not by bits.
static size_t put_code_point(unsigned v, uint8_t *to)
{
	if (v < 128) {
		to[0] = (uint8_t)v;
		return 1;
	}
	if (v < 2048) {
		to[0] = (uint8_t)(192 + v / 64);
		to[1] = (uint8_t)(128 + v % 64);
		return 2;
	}
	if (v < 65536) {
		to[0] = (uint8_t)(224 + v / 4096);
		to[1] = (uint8_t)(128 + v / 64 % 64);
		to[2] = (uint8_t)(128 + v % 64);
		return 3;
	}
	to[0] = (uint8_t)(240 + v / 262144);
	to[1] = (uint8_t)(128 + v / 4096 % 64);
	to[2] = (uint8_t)(128 + v / 64 % 64);
	to[3] = (uint8_t)(128 + v % 64);
	return 4;
}

static size_t escape(struct ref *r, uint8_t *to)
{
	int c = next(r);
	unsigned v, low;

	switch (c) {
	case '"':
	case '\\':
	case '/': to[0] = (uint8_t)c; return 1;
	case 'b': to[0] = 8; return 1;
	case 'f': to[0] = 12; return 1;
	case 'n': to[0] = 10; return 1;
	case 'r': to[0] = 13; return 1;
	case 't': to[0] = 9; return 1;
	case 'u': break;
	default: r->bad = true; return 0;
	}
	v = hex4(r);
	if (v >= 0xdc00 && v < 0xe000)
		r->bad = true;
	if (v >= 0xd800 && v < 0xdc00) {
		need(r, '\\');
		need(r, 'u');
		low = hex4(r);
		if (low < 0xdc00 || low >= 0xe000)
			r->bad = true;
		v = 65536 + (v - 0xd800) * 1024 + (low - 0xdc00);
	}
	return r->bad ? 0 : put_code_point(v, to);
}

// A sequence of UTF-8 by decoding it and encoding it again.
static size_t copy_character(struct ref *r, uint8_t *to)
{
	int first = next(r), more = first >= 240 ? 3 : first >= 224 ? 2 : first >= 192 ? 1 : -1;
	const uint8_t *start = r->p - 1;
	unsigned v = (unsigned)first & (more == 3 ? 7u : more == 2 ? 15u : 31u);
	size_t n;

	if (more < 0 || r->end - r->p < more) {
		r->bad = true;
		return 0;
	}
	for (int i = 0; i < more; i++) {
		int c = next(r);

		r->bad |= c < 128 || c > 191;
		v = v * 64 + (unsigned)(c & 63);
	}
	if (r->bad || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) {
		r->bad = true;
		return 0;
	}
	n = put_code_point(v, to);
	r->bad |= n != (size_t)more + 1 || memcmp(start, to, n) != 0;
	return n;
}

static struct mr_span string(struct ref *r)
{
	uint8_t *to = mr_arena_alloc(r->arena, (size_t)(r->end - r->p) + 8);
	size_t n = 0;

	need(r, '"');
	while (!r->bad) {
		int c = peek(r);

		if (c < 32)
			r->bad = true;
		else if (c == '"')
			break;
		else if (c == '\\') {
			r->p++;
			n += escape(r, to + n);
		} else {
			if (c < 128)
				to[n++] = (uint8_t)next(r);
			else
				n += copy_character(r, to + n);
		}
	}
	need(r, '"');
	return mr_span(to, n);
}

// ---- grammar

static void digits(struct ref *r)
{
	if (!isdigit(peek(r)))
		r->bad = true;
	while (isdigit(peek(r)))
		r->p++;
}

static void number(struct ref *r)
{
	if (peek(r) == '-')
		r->p++;
	if (peek(r) == '0')
		r->p++;
	else
		digits(r);
	if (peek(r) == '.') {
		r->p++;
		digits(r);
	}
	if (peek(r) == 'e' || peek(r) == 'E') {
		r->p++;
		if (peek(r) == '+' || peek(r) == '-')
			r->p++;
		digits(r);
	}
}

static void word(struct ref *r, const char *w)
{
	while (*w)
		need(r, *w++);
}

static struct node value(struct ref *r, int depth);

static void members(struct ref *r, int depth, char open)
{
	char close = open == '{' ? '}' : ']';

	need(r, open);
	spaces(r);
	if (depth > DEPTH_MAX)
		r->bad = true;
	if (peek(r) == close) {
		r->p++;
		return;
	}
	while (!r->bad) {
		spaces(r);
		if (open == '{') {
			string(r);
			spaces(r);
			need(r, ':');
			spaces(r);
		}
		value(r, depth);
		spaces(r);
		if (peek(r) != ',')
			break;
		r->p++;
	}
	need(r, close);
}

static struct node value(struct ref *r, int depth)
{
	const uint8_t *start = r->p;
	struct node n = {0};

	switch (peek(r)) {
	case '"':
		n.kind = 's';
		n.text = string(r);
		return n;
	case '{':
		n.kind = 'o';
		members(r, depth + 1, '{');
		break;
	case '[':
		n.kind = 'a';
		members(r, depth + 1, '[');
		break;
	case 't':
		n.kind = 'b';
		word(r, "true");
		break;
	case 'f':
		n.kind = 'b';
		word(r, "false");
		break;
	case 'n':
		n.kind = 'n';
		word(r, "null");
		break;
	default: n.kind = '0'; number(r);
	}
	n.text = mr_span(start, (size_t)(r->p - start));
	return n;
}

// ---- numbers as digits and an exponent

struct decimal {
	bool negative;
	char digits[2048];
	int count;
	int scale;
};

static bool read_decimal(struct mr_span s, struct decimal *d)
{
	char text[2048];
	char *p = text, *e;
	bool point = false, any = false;

	memset(d, 0, sizeof(*d));
	if (s.bytes >= sizeof(text) || memchr(s.data, 0, s.bytes))
		return false;
	memcpy(text, s.data, s.bytes);
	text[s.bytes] = 0;
	d->negative = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	for (; isdigit((uint8_t)*p) || (*p == '.' && !point); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		any = true;
		d->scale += point;
		if (d->count || *p != '0')
			d->digits[d->count++] = *p;
	}
	if (!any)
		return false;
	if (*p == 'e' || *p == 'E') {
		long exponent = strtol(p + 1, &e, 10);

		if (e == p + 1 || isspace((uint8_t)p[1]))
			return false;
		d->scale -= (int)MR_MAX(MR_MIN(exponent, 100000), -100000);
		p = e;
	}
	return *p == 0;
}

// Rounds half away from zero to `scale` places; at most 1,000 digits.
static bool round_decimal(struct decimal *d, int scale)
{
	bool up = false;

	while (d->scale > scale && d->count > 0) {
		up = d->digits[--d->count] >= '5';
		d->scale--;
	}
	if (d->scale > scale) {
		up = false;
		d->scale = scale;
	}
	for (int i = d->count - 1; up && i >= 0; i--) {
		up = d->digits[i] == '9';
		d->digits[i] = up ? '0' : (char)(d->digits[i] + 1);
	}
	if (up) {
		memmove(d->digits + 1, d->digits, (size_t)d->count);
		d->digits[0] = '1';
		d->count++;
	}
	while (d->count && d->scale < scale) {
		if (d->count > 1000)
			return false;
		d->digits[d->count++] = '0';
		d->scale++;
	}
	d->scale = scale;
	return true;
}

static struct mr_span decimal_text(struct ref *r, const struct decimal *d)
{
	char *text = mr_arena_alloc(r->arena, (size_t)(d->count + d->scale) + 8);
	char *p = text;

	if (d->negative && d->count)
		*p++ = '-';
	for (int i = MR_MAX(d->count, d->scale + 1); i > 0; i--) {
		if (i == d->scale)
			*p++ = '.';
		*p++ = i > d->count ? '0' : d->digits[d->count - i];
	}
	return mr_span(text, (size_t)(p - text));
}

// ---- conversions: NULL data = cannot

static struct mr_span none(void)
{
	return mr_span(NULL, 0);
}

static struct mr_span copy_text(struct ref *r, const char *text)
{
	return mr_span_str(mr_arena_strndup(r->arena, text, strlen(text)));
}

static struct mr_span convert_int(struct ref *r, struct mr_span s, int64_t low, int64_t high)
{
	struct decimal d, whole;
	struct mr_span text;
	int64_t v;

	if (!read_decimal(s, &d))
		return none();
	whole = d;
	for (int i = whole.count - 1, places = whole.scale; places > 0 && i >= 0; i--, places--)
		if (whole.digits[i] != '0')
			return none();
	if (!round_decimal(&whole, 0))
		return none();
	text = decimal_text(r, &whole);
	if (mr_num_parse_i64(text, &v) || v < low || v > high)
		return none();
	return text;
}

static struct mr_span convert_numeric(struct ref *r, struct mr_span s, struct mr_typeref t)
{
	struct decimal d;

	if (s.bytes == 3 && strncasecmp((const char *)s.data, "nan", 3) == 0)
		return t.precision && t.precision <= 18 ? none() : copy_text(r, "NaN");
	if (!read_decimal(s, &d))
		return none();
	if (t.precision == 0 && d.count == 0)
		d.scale = MR_MIN(d.scale, 64);
	if (t.precision == 0 && d.scale > 64)
		return none();
	if (!round_decimal(&d, t.precision ? t.scale : MR_MAX(d.scale, 0)))
		return none();
	if (d.count > (t.precision ? t.precision : 35))
		return none();
	return decimal_text(r, &d);
}

static struct mr_span convert_float(struct ref *r, struct mr_span s, bool single)
{
	static const char *const special[] = {
		"nan", "inf", "infinity", "+inf", "+infinity", "-inf", "-infinity"};
	char text[2048], out[MR_NUM_DOUBLE_TEXT_BYTES];
	bool is_special = false;
	struct decimal d;
	double v;

	if (s.bytes >= sizeof(text))
		return none();
	memcpy(text, s.data, s.bytes);
	text[s.bytes] = 0;
	for (size_t i = 0; i < MR_COUNT_OF(special); i++)
		is_special |= strlen(text) == s.bytes && !strcasecmp(text, special[i]);
	if (!is_special && !read_decimal(s, &d))
		return none();
	v = single ? (double)strtof(text, NULL) : strtod(text, NULL);
	if (!is_special && (isinf(v) || (v == 0 && d.count)))
		return none();
	if (single)
		mr_num_format_float((float)v, out);
	else
		mr_num_format_double(v, out);
	return copy_text(r, out);
}

static bool iso_only(struct mr_span s)
{
	for (size_t i = 0; i < s.bytes; i++)
		if (!isdigit(s.data[i]) && (s.data[i] == 0 || !strchr("-:.+TtZz ", s.data[i])))
			return false;
	return s.bytes >= 8 && s.bytes <= 40 && isdigit(s.data[0]);
}

static struct mr_span convert_time(struct ref *r, const struct node *n, enum mr_type type)
{
	char out[MR_DATETIME_TEXT_BYTES];
	struct decimal d;
	int32_t days;
	int64_t us;
	int err;

	if (n->kind == '0' && type != MR_TYPE_DATE) {
		if (!read_decimal(n->text, &d) || !round_decimal(&d, 3))
			return none();
		d.scale = 0;
		if (mr_num_parse_i64(decimal_text(r, &d), &us) || us < MR_TS_MIN || us > MR_TS_MAX)
			return none();
		err = 0;
	} else if (n->kind != 's' || !iso_only(n->text)) {
		return none();
	} else if (type == MR_TYPE_DATE) {
		if (mr_date_parse(n->text, NULL, &days))
			return none();
		mr_date_format(days, out);
		return copy_text(r, out);
	} else if (type == MR_TYPE_TIMESTAMP) {
		err = mr_ts_parse(n->text, NULL, &us);
	} else {
		err = mr_tstz_parse(n->text, NULL, &us);
	}
	if (err)
		return none();
	if (type == MR_TYPE_TIMESTAMP)
		mr_ts_format(us, out);
	else
		mr_tstz_format(us, NULL, out);
	return copy_text(r, out);
}

static struct mr_span convert_bytea(struct ref *r, struct mr_span s)
{
	char *text = mr_arena_strndup(r->arena, (const char *)s.data, s.bytes);

	if (s.bytes < 2 || s.bytes % 2 || text[0] != '\\' || tolower(text[1]) != 'x')
		return none();
	text[1] = 'x';
	for (size_t i = 2; i < s.bytes; i++) {
		if (!isxdigit((uint8_t)text[i]))
			return none();
		text[i] = (char)tolower(text[i]);
	}
	return mr_span(text, s.bytes);
}

static struct mr_span convert_uuid(struct ref *r, struct mr_span s)
{
	char text[MR_UUID_TEXT_BYTES + 1];
	struct mr_uuid u;

	if (!mr_uuid_parse(s, &u))
		return none();
	mr_uuid_format(u, text);
	return copy_text(r, text);
}

static struct mr_span convert(struct ref *r, const struct node *n, struct mr_typeref t)
{
	bool numeric = n->kind == '0' || n->kind == 's';

	switch ((enum mr_type)t.type) {
	case MR_TYPE_BOOL:
		return n->kind == 'b' ? copy_text(r, n->text.data[0] == 't' ? "t" : "f") : none();
	case MR_TYPE_INT2: return numeric ? convert_int(r, n->text, INT16_MIN, INT16_MAX) : none();
	case MR_TYPE_INT4: return numeric ? convert_int(r, n->text, INT32_MIN, INT32_MAX) : none();
	case MR_TYPE_INT8: return numeric ? convert_int(r, n->text, INT64_MIN, INT64_MAX) : none();
	case MR_TYPE_FLOAT4: return numeric ? convert_float(r, n->text, true) : none();
	case MR_TYPE_FLOAT8: return numeric ? convert_float(r, n->text, false) : none();
	case MR_TYPE_NUMERIC: return numeric ? convert_numeric(r, n->text, t) : none();
	case MR_TYPE_TEXT:
		if (n->kind == 's' && n->text.bytes && memchr(n->text.data, 0, n->text.bytes))
			return none();
		return n->text;
	case MR_TYPE_UUID: return n->kind == 's' ? convert_uuid(r, n->text) : none();
	case MR_TYPE_BYTEA: return n->kind == 's' ? convert_bytea(r, n->text) : none();
	default: return convert_time(r, n, (enum mr_type)t.type);
	}
}

// ---- the document

static int find(const struct mr_schema *schema, struct mr_span name)
{
	for (uint32_t i = 0; i < schema->columns_count; i++)
		if (mr_span_eq(schema->columns[i].name, name))
			return (int)i;
	return -1;
}

static void object(struct ref *r, const struct mr_schema *schema, struct node *nodes)
{
	spaces(r);
	need(r, '{');
	spaces(r);
	while (!r->bad && peek(r) != '}') {
		int column = find(schema, string(r));
		struct node n;

		spaces(r);
		need(r, ':');
		spaces(r);
		n = value(r, 1);
		if (column >= 0)
			nodes[column] = n;
		spaces(r);
		if (peek(r) != ',')
			break;
		r->p++;
		spaces(r);
		if (peek(r) == '}')
			r->bad = true;
	}
	need(r, '}');
	spaces(r);
	if (peek(r) >= 0)
		r->bad = true;
}

void mr_json_ref_decode(const struct mr_schema *schema, struct mr_span document,
	struct mr_arena *arena, struct mr_json_ref *out)
{
	struct ref r = {document.data, document.data + document.bytes, arena, false};
	uint32_t count = schema->columns_count;
	struct node *nodes = mr_arena_zalloc(arena, count, sizeof(*nodes));

	*out = (struct mr_json_ref){.why = "JSON"};
	out->texts = mr_arena_zalloc(arena, count, sizeof(*out->texts));
	object(&r, schema, nodes);
	if (r.bad)
		return;
	for (uint32_t i = 0; i < count; i++) {
		bool null = !nodes[i].kind || nodes[i].kind == 'n';

		out->why = "column";
		if (!null)
			out->texts[i] = convert(&r, &nodes[i], schema->columns[i].type);
		if (null ? schema->columns[i].not_null : !out->texts[i].data)
			return;
	}
	out->accepted = true;
}
