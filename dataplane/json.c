// JSON in one pass over the bytes, driven by the schema.
//
// Producers write the same fields in the same order, so the reader guesses: the n-th field of the
// last document had this name and meant that column. A right guess is a comparison of a few words
// in place of a scan, a hash and a lookup; a wrong one costs nothing but the comparison. Whether
// it was right never shows in the result.
//
// Strings are scanned eight bytes at a time for the first byte that is not plain: a quotation mark,
// a backslash, a control character, a byte of 0x80 or more. With w such a word,
//
//   (w ^ 0x02…) - 0x21…   has a byte's high bit set if the byte is below 0x20 or 0x22 (the mark):
//                         0x22 ^ 2 = 0x20 is the only other value that falls below 0x21
//   (w ^ 0x5c…) - 0x01…   the same for 0x5c
//
// borrows may set bits above the first hit, never below, so the lowest set bit is exact.
//
// Objects and arrays inside are walked with a stack of bits (1 = object), MR_JSON_DEPTH_MAX deep.
#include "dataplane/json.h"

#include "host/base/utf8.h"

#define EVERY(b) ((b)*0x0101010101010101u)

static_assert(MR_JSON_DEPTH_MAX <= 64);

struct cursor {
	const uint8_t *p;
	const uint8_t *end;
	enum mr_json_error error;
};

static bool fail(struct cursor *c, enum mr_json_error e)
{
	c->error = e;
	return false;
}

// What stands here is wrong: the end, or something else.
static bool fail_here(struct cursor *c)
{
	return fail(c, c->p == c->end ? MR_JSON_ENDS_EARLY : MR_JSON_MALFORMED);
}

static inline void skip_space(struct cursor *c)
{
	while (c->p < c->end && *c->p <= ' ' &&
		(*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r'))
		c->p++;
}

static inline bool take(struct cursor *c, uint8_t want)
{
	if (MR_UNLIKELY(c->p == c->end || *c->p != want))
		return fail_here(c);
	c->p++;
	return true;
}

// ---- strings

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Four hexadecimal digits, or -1.
static int32_t hex4(const uint8_t *p)
{
	int a = hex_digit(p[0]), b = hex_digit(p[1]), c = hex_digit(p[2]), d = hex_digit(p[3]);

	return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

// At `u` of \uXXXX. A high surrogate must have its low one behind it (RFC 8259 section 8.2).
static bool skip_unicode_escape(struct cursor *c)
{
	int32_t v, low;

	if (c->end - c->p < 5)
		return fail(c, MR_JSON_BAD_ESCAPE);
	v = hex4(c->p + 1);
	if (v < 0 || (v >= 0xdc00 && v <= 0xdfff))
		return fail(c, MR_JSON_BAD_ESCAPE);
	c->p += 5;
	if (v < 0xd800 || v > 0xdbff)
		return true;
	if (c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u')
		return fail(c, MR_JSON_BAD_ESCAPE);
	low = hex4(c->p + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return fail(c, MR_JSON_BAD_ESCAPE);
	c->p += 6;
	return true;
}

static bool skip_escape(struct cursor *c)
{
	c->p++;
	if (c->p == c->end)
		return fail(c, MR_JSON_ENDS_EARLY);
	switch (*c->p) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't': c->p++; return true;
	case 'u': return skip_unicode_escape(c);
	default: return fail(c, MR_JSON_BAD_ESCAPE);
	}
}

// To the first byte of a string that is not plain, or the end.
static inline void skip_plain(struct cursor *c)
{
	const uint8_t *p = c->p;

	while (MR_LIKELY(c->end - p >= 8)) {
		uint64_t w = mr_load_le64(p);
		uint64_t mark = ((w ^ EVERY(0x02)) - EVERY(0x21)) & ~w;
		uint64_t slash = w ^ EVERY(0x5c);
		uint64_t hit = (mark | ((slash - EVERY(0x01)) & ~slash) | w) & EVERY(0x80);

		if (hit) {
			c->p = p + __builtin_ctzll(hit) / 8;
			return;
		}
		p += 8;
	}
	while (p < c->end && *p >= 0x20 && *p != '"' && *p != '\\' && *p < 0x80)
		p++;
	c->p = p;
}

// A byte that is not plain: passes an escape or a sequence of UTF-8. False: an error.
static bool skip_special(struct cursor *c, bool *escaped)
{
	size_t n;

	if (c->p == c->end)
		return fail(c, MR_JSON_ENDS_EARLY);
	if (*c->p == '\\') {
		*escaped = true;
		return skip_escape(c);
	}
	if (*c->p < 0x20)
		return fail(c, MR_JSON_CONTROL);
	n = mr_utf8_sequence_bytes(c->p, (size_t)(c->end - c->p));
	if (n == 0)
		return fail(c, MR_JSON_BAD_UTF8);
	c->p += n;
	return true;
}

// Behind the opening quote. Leaves the cursor behind the closing one.
static inline bool read_string(struct cursor *c, struct mr_json_value *v)
{
	v->at = c->p;
	v->kind = MR_JSON_STRING;
	v->escaped = false;
	for (;;) {
		skip_plain(c);
		if (MR_LIKELY(c->p < c->end && *c->p == '"'))
			break;
		if (!skip_special(c, &v->escaped))
			return false;
	}
	v->bytes = (uint32_t)(c->p - v->at);
	c->p++;
	return true;
}

static size_t unescape_unicode(const uint8_t **p, uint8_t *out)
{
	uint32_t v = (uint32_t)hex4(*p);

	*p += 4;
	if (v >= 0xd800 && v <= 0xdbff) {
		v = 0x10000 + ((v - 0xd800) << 10) + ((uint32_t)hex4(*p + 2) - 0xdc00);
		*p += 6;
	}
	return mr_utf8_encode(v, out);
}

size_t mr_json_unescape(const struct mr_json_value *v, uint8_t *out, bool *has_nul)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const uint8_t *p = v->at, *end = p + v->bytes;
	uint8_t *at = out;

	*has_nul = false;
	while (p < end) {
		const char *control;

		if (*p != '\\') {
			*at++ = *p++;
			continue;
		}
		p++;
		if (*p == 'u') {
			p++;
			at += unescape_unicode(&p, at);
			*has_nul |= at[-1] == 0;
			continue;
		}
		control = strchr(from, *p);
		*at++ = control ? (uint8_t)to[control - from] : *p;
		p++;
	}
	return (size_t)(at - out);
}

// ---- numbers and words

static inline bool is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') < 10;
}

static inline bool skip_digits(struct cursor *c)
{
	const uint8_t *start = c->p;

	while (c->p < c->end && is_digit(*c->p))
		c->p++;
	return c->p > start ? true : fail_here(c);
}

// -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
static inline bool read_number(struct cursor *c, struct mr_json_value *v)
{
	v->at = c->p;
	v->kind = MR_JSON_NUMBER;
	c->p += *c->p == '-';
	if (c->p < c->end && *c->p == '0')
		c->p++;
	else if (!skip_digits(c))
		return false;
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (!skip_digits(c))
			return false;
	}
	if (c->p < c->end && (*c->p | 32) == 'e') {
		c->p++;
		if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
			c->p++;
		if (!skip_digits(c))
			return false;
	}
	v->bytes = (uint32_t)(c->p - v->at);
	return true;
}

static inline bool read_word(
	struct cursor *c, struct mr_json_value *v, const char *word, size_t bytes, uint8_t kind)
{
	v->at = c->p;
	v->kind = kind;
	v->bytes = (uint32_t)bytes;
	for (size_t i = 0; i < bytes; i++, c->p++)
		if (c->p == c->end || *c->p != (uint8_t)word[i])
			return fail_here(c);
	return true;
}

// Anything but an object or array.
static inline bool read_scalar(struct cursor *c, struct mr_json_value *v)
{
	if (MR_UNLIKELY(c->p == c->end))
		return fail(c, MR_JSON_ENDS_EARLY);
	switch (*c->p) {
	case '"': c->p++; return read_string(c, v);
	case 't': return read_word(c, v, "true", 4, MR_JSON_TRUE);
	case 'f': return read_word(c, v, "false", 5, MR_JSON_FALSE);
	case 'n': return read_word(c, v, "null", 4, MR_JSON_NULL);
	default: break;
	}
	if (*c->p != '-' && !is_digit(*c->p))
		return fail(c, MR_JSON_MALFORMED);
	return read_number(c, v);
}

// ---- objects and arrays inside

// "name" : of an inner object.
static bool skip_name(struct cursor *c)
{
	struct mr_json_value name;

	skip_space(c);
	if (!take(c, '"') || !read_string(c, &name))
		return false;
	skip_space(c);
	return take(c, ':');
}

// Behind a value: closes what ends here. True with *more = true when another value follows.
static bool skip_closers(struct cursor *c, uint64_t *stack, int *depth, bool *more)
{
	*more = false;
	while (*depth > 0) {
		bool object = *stack & 1;

		skip_space(c);
		if (c->p < c->end && *c->p == ',') {
			c->p++;
			*more = true;
			return object ? skip_name(c) : true;
		}
		if (!take(c, object ? '}' : ']'))
			return false;
		*stack >>= 1;
		(*depth)--;
	}
	return true;
}

// Opens what stands here; an empty one is closed at once (*opened = false).
static bool open_nested(struct cursor *c, uint64_t *stack, int *depth, bool *opened)
{
	bool object = *c->p == '{';

	if (*depth == MR_JSON_DEPTH_MAX - 1)
		return fail(c, MR_JSON_TOO_DEEP);
	c->p++;
	skip_space(c);
	*opened = !(c->p < c->end && *c->p == (object ? '}' : ']'));
	if (!*opened) {
		c->p++;
		return true;
	}
	*stack = *stack << 1 | object;
	(*depth)++;
	return object ? skip_name(c) : true;
}

static bool read_nested(struct cursor *c, struct mr_json_value *v)
{
	struct mr_json_value inner;
	const uint8_t *start = c->p;
	uint64_t stack = 0;
	int depth = 0;
	bool more = true;

	v->kind = *c->p == '{' ? MR_JSON_OBJECT : MR_JSON_ARRAY;
	while (more) {
		skip_space(c);
		if (c->p < c->end && (*c->p == '{' || *c->p == '[')) {
			if (!open_nested(c, &stack, &depth, &more))
				return false;
			if (more)
				continue;
		} else if (!read_scalar(c, &inner)) {
			return false;
		}
		if (!skip_closers(c, &stack, &depth, &more))
			return false;
	}
	v->at = start;
	v->bytes = (uint32_t)(c->p - start);
	return true;
}

static inline bool read_value(struct cursor *c, struct mr_json_value *v)
{
	if (MR_UNLIKELY(c->p < c->end && (*c->p == '{' || *c->p == '[')))
		return read_nested(c, v);
	return read_scalar(c, v);
}

// ---- the top level

void mr_json_init(struct mr_json *j, const struct mr_schema *schema, struct mr_json_value *values,
	int16_t *order)
{
	*j = (struct mr_json){.schema = schema, .values = values, .order = order};
}

// Whether `name"` stands at `p`. The name is filled up with zeros to whole words.
static inline bool name_is_here(const struct cursor *c, struct mr_span name)
{
	const uint8_t *p = c->p;
	size_t n = name.bytes;

	if (MR_UNLIKELY((size_t)(c->end - p) < mr_round_up(n, 8) + 1))
		return (size_t)(c->end - p) > n && p[n] == '"' && memcmp(p, name.data, n) == 0;
	for (size_t i = 0; i + 8 <= n; i += 8)
		if (mr_load_le64(p + i) != mr_load_le64(name.data + i))
			return false;
	if (n % 8) {
		uint64_t w = mr_load_le64(p + n / 8 * 8) ^ mr_load_le64(name.data + n / 8 * 8);

		if (w << (64 - n % 8 * 8))
			return false;
	}
	return p[n] == '"';
}

// The column of a field name that was not guessed, or -1.
static int find_column(struct mr_json *j, const struct mr_json_value *name, uint32_t n)
{
	uint8_t plain[6 * MR_SCHEMA_NAME_MAX];
	struct mr_span span = mr_span(name->at, name->bytes);
	bool has_nul;
	int column;

	if (name->escaped) {
		if (name->bytes > sizeof(plain))
			return -1; // an escape makes one byte of six at most
		span = mr_span(plain, mr_json_unescape(name, plain, &has_nul));
	}
	column = mr_schema_find(j->schema, span);
	if (n < MR_JSON_ORDER_MAX) {
		for (; j->order_count <= n; j->order_count++)
			j->order[j->order_count] = -1;
		// A name is guessed by its bytes, so only one that stands there as it is.
		j->order[n] = (int16_t)(name->escaped ? -1 : column);
	}
	return column;
}

// Name, colon and value of the n-th field; at the opening quote.
static inline bool read_field(struct mr_json *j, struct cursor *c, uint32_t n)
{
	int column = n < j->order_count ? j->order[n] : -1;
	struct mr_json_value name, unused;

	if (!take(c, '"'))
		return false;
	if (MR_LIKELY(column >= 0 && name_is_here(c, j->schema->columns[column].name))) {
		c->p += j->schema->columns[column].name.bytes + 1;
	} else {
		if (!read_string(c, &name))
			return false;
		column = find_column(j, &name, n);
	}
	skip_space(c);
	if (!take(c, ':'))
		return false;
	skip_space(c);
	return read_value(c, column >= 0 ? &j->values[column] : &unused);
}

static bool read_fields(struct mr_json *j, struct cursor *c)
{
	skip_space(c);
	if (c->p < c->end && *c->p == '}') {
		c->p++;
		return true;
	}
	for (uint32_t n = 0;; n++) {
		skip_space(c);
		if (!read_field(j, c, n))
			return false;
		skip_space(c);
		if (c->p < c->end && *c->p == ',')
			c->p++;
		else
			return take(c, '}');
	}
}

enum mr_json_error mr_json_read(struct mr_json *j, struct mr_span document)
{
	struct cursor c = {document.data, document.data + document.bytes, MR_JSON_OK};

	MR_DASSERT(document.bytes <= UINT32_MAX);
	memset(j->values, 0, j->schema->columns_count * sizeof(j->values[0]));
	skip_space(&c);
	if (c.p == c.end) {
		fail(&c, MR_JSON_ENDS_EARLY);
	} else if (*c.p != '{') {
		fail(&c, MR_JSON_NOT_OBJECT);
	} else {
		c.p++;
		if (read_fields(j, &c)) {
			skip_space(&c);
			if (c.p < c.end)
				fail(&c, MR_JSON_TRAILING);
		}
	}
	j->error_at = (uint32_t)(c.p - document.data);
	return c.error;
}

const char *mr_json_error_text(enum mr_json_error e)
{
	switch (e) {
	case MR_JSON_OK: return "no error";
	case MR_JSON_NOT_OBJECT: return "the top level is not an object";
	case MR_JSON_MALFORMED: return "malformed JSON";
	case MR_JSON_ENDS_EARLY: return "malformed JSON: it ends too early";
	case MR_JSON_TRAILING: return "malformed JSON: something follows the object";
	case MR_JSON_BAD_UTF8: return "invalid UTF-8";
	case MR_JSON_BAD_ESCAPE: return "malformed JSON: invalid escape in a string";
	case MR_JSON_CONTROL: return "malformed JSON: control character in a string";
	case MR_JSON_TOO_DEEP: return "nested too deeply";
	}
	return "malformed JSON";
}
