// JSON in one pass over the bytes, driven by the schema.
//
// Producers write the same fields in the same order, so the reader guesses: the n-th field of the
// last document had this name and meant that column. A right guess is a comparison of a few words
// in place of a scan, a hash and a lookup; a wrong one costs nothing but the comparison. Whether
// it was right never shows in the result.
//
// Strings are scanned 16 bytes at a time, and eight near the document's end, for the first byte
// that is not plain: a quotation mark, a backslash, a control character, a byte of 0x80 or more.
// With w a word of eight,
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

// The place is handed from function to function in a register: each takes it and returns the next
// one, or NULL after an error, whose kind and place are then here.
typedef const uint8_t *place;

struct cursor {
	place end;
	place error_at;
	enum mr_json_error error;
};

static place fail(struct cursor *c, place p, enum mr_json_error e)
{
	c->error = e;
	c->error_at = p;
	return NULL;
}

// What stands here is wrong: the end, or something else.
static place fail_here(struct cursor *c, place p)
{
	return fail(c, p, p == c->end ? MR_JSON_ENDS_EARLY : MR_JSON_MALFORMED);
}

static inline place skip_space(const struct cursor *c, place p)
{
	while (MR_UNLIKELY(p < c->end && *p <= ' ') &&
		(*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

static inline bool is_at(const struct cursor *c, place p, uint8_t want)
{
	return MR_LIKELY(p < c->end) && *p == want;
}

static inline place take(struct cursor *c, place p, uint8_t want)
{
	return MR_LIKELY(is_at(c, p, want)) ? p + 1 : fail_here(c, p);
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
static place skip_unicode_escape(struct cursor *c, place p)
{
	int32_t v, low;

	if (c->end - p < 5)
		return fail(c, p, MR_JSON_BAD_ESCAPE);
	v = hex4(p + 1);
	if (v < 0 || (v >= 0xdc00 && v <= 0xdfff))
		return fail(c, p, MR_JSON_BAD_ESCAPE);
	p += 5;
	if (v < 0xd800 || v > 0xdbff)
		return p;
	if (c->end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return fail(c, p, MR_JSON_BAD_ESCAPE);
	low = hex4(p + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return fail(c, p, MR_JSON_BAD_ESCAPE);
	return p + 6;
}

static place skip_escape(struct cursor *c, place p)
{
	p++;
	if (p == c->end)
		return fail(c, p, MR_JSON_ENDS_EARLY);
	switch (*p) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't': return p + 1;
	case 'u': return skip_unicode_escape(c, p);
	default: return fail(c, p, MR_JSON_BAD_ESCAPE);
	}
}

// Vectors of the compiler's own: every CPU we build for has 16 bytes.
typedef int8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

// To the first byte of a string that is not plain, or the end.
static inline place skip_plain(const struct cursor *c, place p)
{
	while (MR_LIKELY(c->end - p >= 16)) {
		bytes16 w, special;
		words2 hit;

		memcpy(&w, p, sizeof(w));
		// As signed bytes, both controls and what is not ASCII are below a space.
		special = (bytes16)((w == '"') | (w == '\\') | (w < 0x20));
		hit = (words2)special;
		if (MR_LIKELY(hit[0]))
			return p + __builtin_ctzll(hit[0]) / 8;
		if (MR_LIKELY(hit[1]))
			return p + 8 + __builtin_ctzll(hit[1]) / 8;
		p += 16;
	}
	while (MR_LIKELY(c->end - p >= 8)) {
		uint64_t w = mr_load_le64(p);
		uint64_t mark = ((w ^ EVERY(0x02)) - EVERY(0x21)) & ~w;
		uint64_t slash = w ^ EVERY(0x5c);
		uint64_t hit = (mark | ((slash - EVERY(0x01)) & ~slash) | w) & EVERY(0x80);

		if (hit)
			return p + __builtin_ctzll(hit) / 8;
		p += 8;
	}
	while (p < c->end && *p >= 0x20 && *p != '"' && *p != '\\' && *p < 0x80)
		p++;
	return p;
}

// A byte that is not plain: passes an escape or a sequence of UTF-8.
static place skip_special(struct cursor *c, place p, bool *escaped)
{
	size_t n;

	if (p == c->end)
		return fail(c, p, MR_JSON_ENDS_EARLY);
	if (*p == '\\') {
		*escaped = true;
		return skip_escape(c, p);
	}
	if (*p < 0x20)
		return fail(c, p, MR_JSON_CONTROL);
	n = mr_utf8_sequence_bytes(p, (size_t)(c->end - p));
	return n ? p + n : fail(c, p, MR_JSON_BAD_UTF8);
}

// Behind the opening quote; returns the place behind the closing one.
static place read_string(struct cursor *c, place p, struct mr_json_value *v)
{
	place start = p;
	bool escaped = false;

	for (;;) {
		p = skip_plain(c, p);
		if (MR_LIKELY(is_at(c, p, '"')))
			break;
		p = skip_special(c, p, &escaped);
		if (!p)
			return NULL;
	}
	*v = (struct mr_json_value){.at = start,
		.bytes = (uint32_t)(p - start),
		.kind = MR_JSON_STRING,
		.escaped = escaped};
	return p + 1;
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

static inline place skip_digits(struct cursor *c, place p)
{
	place start = p;

	while (p < c->end && is_digit(*p))
		p++;
	return MR_LIKELY(p > start) ? p : fail_here(c, p);
}

// Eight digits, the first in the lowest byte, each less '0': pairs, fours and the eight are summed
// side by side (Lemire, "Quickly parsing eight digits", 2018).
static inline uint64_t eight_digits(uint64_t w)
{
	w = (w * 10 + (w >> 8)) & 0x00ff00ff00ff00ffu;
	w = (w * 100 + (w >> 16)) & 0x0000ffff0000ffffu;
	return (w * 10000 + (w >> 32)) & 0xffffffffu;
}

// High bits of the bytes that are not digits, exact up to the first; the word's bytes are less '0'.
static inline uint64_t not_digits(uint64_t w)
{
	return ((w + EVERY(0x76)) | w) & EVERY(0x80);
}

// Passes digits and appends them to *v, which wraps beyond 19. Words at a time and without a branch
// on their number, for the lengths of numbers cannot be predicted.
static inline place read_digits(const struct cursor *c, place p, uint64_t *v)
{
	static const uint32_t pow10[] = {
		1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

	while (MR_LIKELY(c->end - p >= 8)) {
		uint64_t w = mr_load_le64(p) ^ EVERY(0x30);
		uint64_t hit = not_digits(w);
		unsigned n = hit ? (unsigned)__builtin_ctzll(hit) / 8 : 8;

		if (n == 0)
			return p;
		*v = *v * pow10[n] + eight_digits(w << (64 - 8 * n));
		p += n;
		if (MR_LIKELY(n < 8))
			return p;
	}
	for (; p < c->end && is_digit(*p); p++)
		*v = *v * 10 + (*p - '0');
	return p;
}

// [eE] [+-]? [0-9]+
static place skip_exponent(struct cursor *c, place p)
{
	p++;
	p += is_at(c, p, '+') || is_at(c, p, '-');
	return skip_digits(c, p);
}

// A number of at most seven digits, the point not counted, with no exponent, no zero in front and
// ten bytes to look at: the digits before and behind the point are moved together in one word.
// NULL when it is none.
static inline place read_few_digits(place p, struct mr_json_value *v)
{
	place start = p, whole = p + (*p == '-');
	uint64_t w = mr_load_le64(whole) ^ EVERY(0x30), hit = not_digits(w);
	unsigned digits, scale = 0;

	if (MR_UNLIKELY(!hit))
		return NULL;
	digits = (unsigned)__builtin_ctzll(hit) / 8;
	if (MR_UNLIKELY(digits == 0 || ((w & 0xff) == 0 && digits > 1)))
		return NULL;
	p = whole + digits;
	if (*p == '.') {
		uint64_t before = (hit & -hit) / 0x80 - 1;

		w = (w & before) | ((mr_load_le64(whole + 1) ^ EVERY(0x30)) & ~before);
		hit = not_digits(w);
		if (MR_UNLIKELY(!hit))
			return NULL;
		scale = (unsigned)__builtin_ctzll(hit) / 8 - digits;
		if (MR_UNLIKELY(scale == 0))
			return NULL;
		digits += scale;
		p += 1 + scale;
	}
	if (MR_UNLIKELY((*p | 0x20) == 'e'))
		return NULL;
	w = eight_digits(w << (64 - 8 * digits));
	*v = (struct mr_json_value){.at = start,
		.bytes = (uint32_t)(p - start),
		.kind = MR_JSON_NUMBER,
		.is_short = true,
		.scale = (uint8_t)scale,
		.mantissa = whole > start ? -(int64_t)w : (int64_t)w};
	return p;
}

// -? (0 | [1-9][0-9]*) (. [0-9]+)? exponent?
static place read_any_number(struct cursor *c, place p, struct mr_json_value *v)
{
	place start = p, whole = p + (*p == '-'), fraction;
	uint64_t mantissa = 0;
	unsigned digits, scale = 0;
	bool exponent;

	p = read_digits(c, whole, &mantissa);
	digits = (unsigned)(p - whole);
	if (MR_UNLIKELY(digits == 0))
		return fail_here(c, p);
	if (MR_UNLIKELY(*whole == '0' && digits > 1))
		return fail_here(c, whole + 1);
	if (is_at(c, p, '.')) {
		fraction = p + 1;
		p = read_digits(c, fraction, &mantissa);
		scale = (unsigned)(p - fraction);
		if (MR_UNLIKELY(scale == 0))
			return fail_here(c, p);
	}
	exponent = is_at(c, p, 'e') || is_at(c, p, 'E');
	if (MR_UNLIKELY(exponent)) {
		p = skip_exponent(c, p);
		if (!p)
			return NULL;
	}
	*v = (struct mr_json_value){.at = start,
		.bytes = (uint32_t)(p - start),
		.kind = MR_JSON_NUMBER,
		.is_short = digits <= 18 && scale <= 18 - digits && !exponent,
		.scale = (uint8_t)scale,
		.mantissa = whole > start ? (int64_t)-mantissa : (int64_t)mantissa};
	return p;
}

static place read_word(
	struct cursor *c, place p, struct mr_json_value *v, const char *word, uint8_t kind)
{
	place start = p;
	uint32_t first;

	memcpy(&first, word, sizeof(first));
	if (MR_LIKELY(c->end - p >= 4 && mr_load_le32(p) == first)) {
		word += 4;
		p += 4;
	}
	for (; *word; word++, p++)
		if (!is_at(c, p, (uint8_t)*word))
			return fail_here(c, p);
	*v = (struct mr_json_value){.at = start, .bytes = (uint32_t)(p - start), .kind = kind};
	return p;
}

// Anything but an object or array.
static place read_scalar(struct cursor *c, place p, struct mr_json_value *v)
{
	if (MR_UNLIKELY(p == c->end))
		return fail(c, p, MR_JSON_ENDS_EARLY);
	if (*p == '"')
		return read_string(c, p + 1, v);
	if (is_digit(*p) || *p == '-')
		return read_any_number(c, p, v);
	switch (*p) {
	case 't': return read_word(c, p, v, "true", MR_JSON_TRUE);
	case 'f': return read_word(c, p, v, "false", MR_JSON_FALSE);
	case 'n': return read_word(c, p, v, "null", MR_JSON_NULL);
	default: return fail(c, p, MR_JSON_MALFORMED);
	}
}

// What most likely is a number; the slow way finds out.
static inline place read_number(struct cursor *c, place p, struct mr_json_value *v)
{
	place q = MR_LIKELY(c->end - p >= 10) ? read_few_digits(p, v) : NULL;

	return MR_LIKELY(q != NULL) ? q : read_scalar(c, p, v);
}

// At the opening quote of a string that most likely has nothing special in it.
static inline place read_plain_string(struct cursor *c, place p, struct mr_json_value *v)
{
	place q = skip_plain(c, p + 1);

	if (MR_UNLIKELY(!is_at(c, q, '"')))
		return read_scalar(c, p, v);
	*v = (struct mr_json_value){
		.at = p + 1, .bytes = (uint32_t)(q - p - 1), .kind = MR_JSON_STRING};
	return q + 1;
}

// ---- objects and arrays inside

struct nest {
	uint64_t stack;
	int depth;
	bool more; // a value follows
};

// "name" : of an inner object.
static place skip_name(struct cursor *c, place p)
{
	struct mr_json_value name;

	p = take(c, skip_space(c, p), '"');
	if (p)
		p = read_string(c, p, &name);
	return p ? take(c, skip_space(c, p), ':') : NULL;
}

// Behind a value: closes what ends here.
static place skip_closers(struct cursor *c, place p, struct nest *n)
{
	n->more = false;
	while (p && n->depth > 0) {
		bool object = n->stack & 1;

		p = skip_space(c, p);
		if (is_at(c, p, ',')) {
			n->more = true;
			return object ? skip_name(c, p + 1) : p + 1;
		}
		p = take(c, p, object ? '}' : ']');
		n->stack >>= 1;
		n->depth--;
	}
	return p;
}

// Opens what stands here; an empty one is closed at once and no value follows in it.
static place open_nested(struct cursor *c, place p, struct nest *n)
{
	bool object = *p == '{';

	if (n->depth == MR_JSON_DEPTH_MAX - 1)
		return fail(c, p, MR_JSON_TOO_DEEP);
	p = skip_space(c, p + 1);
	n->more = !is_at(c, p, object ? '}' : ']');
	if (!n->more)
		return p + 1;
	n->stack = n->stack << 1 | object;
	n->depth++;
	return object ? skip_name(c, p) : p;
}

static place read_nested(struct cursor *c, place p, struct mr_json_value *v)
{
	struct nest n = {.more = true};
	struct mr_json_value inner;
	place start = p;

	while (p && n.more) {
		p = skip_space(c, p);
		if (is_at(c, p, '{') || is_at(c, p, '[')) {
			p = open_nested(c, p, &n);
			if (n.more)
				continue;
		} else {
			p = read_scalar(c, p, &inner);
		}
		if (p)
			p = skip_closers(c, p, &n);
	}
	if (p)
		*v = (struct mr_json_value){.at = start,
			.bytes = (uint32_t)(p - start),
			.kind = *start == '{' ? MR_JSON_OBJECT : MR_JSON_ARRAY};
	return p;
}

static inline place read_value(struct cursor *c, place p, struct mr_json_value *v)
{
	if (MR_UNLIKELY(p == c->end))
		return fail(c, p, MR_JSON_ENDS_EARLY);
	if (*p == '"')
		return read_plain_string(c, p, v);
	if (MR_LIKELY(*p <= '9'))
		return read_number(c, p, v);
	if (MR_UNLIKELY((*p | 0x20) == '{'))
		return read_nested(c, p, v);
	return read_scalar(c, p, v);
}

// ---- the top level

void mr_json_init(struct mr_json *j, const struct mr_schema *schema, struct mr_json_value *values,
	struct mr_json_guess *order)
{
	*j = (struct mr_json){.schema = schema, .values = values, .order = order};
}

// Whether `"name":` stands at `p`, which has more bytes than that. The last words overlap.
static inline bool key_is_here(place p, const uint8_t *key, size_t bytes)
{
	size_t last = bytes - 8;

	if (bytes < 8)
		return mr_load_le32(p) == mr_load_le32(key) &&
		       mr_load_le32(p + bytes - 4) == mr_load_le32(key + bytes - 4);
	if (mr_load_le64(p) != mr_load_le64(key))
		return false;
	for (size_t i = 8; i < last; i += 8)
		if (mr_load_le64(p + i) != mr_load_le64(key + i))
			return false;
	return mr_load_le64(p + last) == mr_load_le64(key + last);
}

static void keep_guess(struct mr_json *j, uint32_t n, int column)
{
	struct mr_json_guess *g = &j->order[n];

	for (; j->order_count <= n; j->order_count++)
		j->order[j->order_count] = (struct mr_json_guess){.key_bytes = 0};
	g->key_bytes = 0;
	if (column < 0)
		return;
	g->key = j->schema->columns[column].name.data - 1;
	g->key_bytes = (uint16_t)(j->schema->columns[column].name.bytes + 3);
	g->column = (int16_t)column;
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
	// A name is guessed by its bytes, so only one that stands there as it is.
	if (n < MR_JSON_ORDER_MAX)
		keep_guess(j, n, name->escaped ? -1 : column);
	return column;
}

// Name and colon of the n-th field, which was not guessed; at the opening quote.
static place read_name(struct mr_json *j, struct cursor *c, place p, uint32_t n, int *column)
{
	struct mr_json_value name;

	p = take(c, p, '"');
	if (p)
		p = read_string(c, p, &name);
	if (!p)
		return NULL;
	*column = find_column(j, &name, n);
	return take(c, skip_space(c, p), ':');
}

// The guess for the n-th field, if it stands at `p`.
static inline const struct mr_json_guess *right_guess(
	const struct mr_json *j, const struct cursor *c, place p, uint32_t n)
{
	const struct mr_json_guess *g;

	if (MR_UNLIKELY(n >= j->order_count))
		return NULL;
	g = &j->order[n];
	if (MR_UNLIKELY(g->key_bytes == 0 || c->end - p <= g->key_bytes))
		return NULL;
	return key_is_here(p, g->key, g->key_bytes) ? g : NULL;
}

// Name, colon and value of the n-th field; at the opening quote.
static inline place read_field(struct mr_json *j, struct cursor *c, place p, uint32_t n)
{
	const struct mr_json_guess *g = right_guess(j, c, p, n);
	struct mr_json_value unused, *v = &unused;
	int column;

	if (MR_LIKELY(g != NULL)) {
		p += g->key_bytes;
		v = &j->values[g->column];
	} else {
		p = read_name(j, c, p, n, &column);
		if (!p)
			return NULL;
		if (column >= 0)
			v = &j->values[column];
	}
	return read_value(c, skip_space(c, p), v);
}

// Between fields; to the next one's name, or behind the object's end with *more false.
static inline place next_field(struct cursor *c, place p, bool *more)
{
	static const uint8_t comma_quote[2] = {',', '"'};

	if (MR_LIKELY(c->end - p >= 2 && mr_load_le16(p) == mr_load_le16(comma_quote)))
		return p + 1;
	p = skip_space(c, p);
	*more = is_at(c, p, ',');
	return *more ? skip_space(c, p + 1) : take(c, p, '}');
}

static place read_fields(struct mr_json *j, struct cursor *c, place p)
{
	bool more = true;

	p = skip_space(c, p);
	if (is_at(c, p, '}'))
		return p + 1;
	for (uint32_t n = 0; p && more; n++) {
		p = read_field(j, c, p, n);
		if (p)
			p = next_field(c, p, &more);
	}
	return p;
}

static place read_document(struct mr_json *j, struct cursor *c, place p)
{
	p = skip_space(c, p);
	if (p == c->end)
		return fail(c, p, MR_JSON_ENDS_EARLY);
	if (*p != '{')
		return fail(c, p, MR_JSON_NOT_OBJECT);
	p = read_fields(j, c, p + 1);
	if (!p)
		return NULL;
	p = skip_space(c, p);
	return p == c->end ? p : fail(c, p, MR_JSON_TRAILING);
}

enum mr_json_error mr_json_read(struct mr_json *j, struct mr_span document)
{
	struct cursor c = {document.data + document.bytes, NULL, MR_JSON_OK};

	MR_DASSERT(document.bytes <= UINT32_MAX);
	memset(j->values, 0, j->schema->columns_count * sizeof(j->values[0]));
	if (!read_document(j, &c, document.data))
		j->error_at = (uint32_t)(c.error_at - document.data);
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
