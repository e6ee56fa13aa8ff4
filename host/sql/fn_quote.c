// Text as SQL, and back: quote_ident, quote_literal, quote_nullable, format, parse_ident.
#include "host/base/value.h"
#include "host/sql/fn_int.h"
#include "host/sql/lex.h"
#include "host/sql/pgcatalog.h"

enum { QUOTED_BYTES_MAX = 64 << 20 };

static struct mr_buf text_buf(const struct mr_fn_call *c)
{
	return (struct mr_buf){.bytes_limit = QUOTED_BYTES_MAX, .budget = c->ev->query->memory};
}

static int finish(struct mr_fn_call *c, struct mr_buf *b, int rc, void *out)
{
	if (rc == 0)
		rc = b->failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, b->data, b->bytes, out);
	mr_buf_fini(b);
	return rc;
}

// ---- Quoting ----

static bool is_plain_byte(uint8_t b, bool first)
{
	return (b >= 'a' && b <= 'z') || b == '_' || (!first && b >= '0' && b <= '9');
}

// Lower case without signs, and no key word that means something where a name stands.
static bool is_plain(struct mr_span s)
{
	char word[64];

	if (!s.bytes)
		return false;
	for (size_t i = 0; i < s.bytes; i++)
		if (!is_plain_byte(s.data[i], i == 0))
			return false;
	if (s.bytes >= sizeof(word))
		return true;
	memcpy(word, s.data, s.bytes);
	word[s.bytes] = 0;
	return mr_keywords[mr_keyword_find(word)].class == MR_KW_UNRESERVED;
}

static void put_quoted(struct mr_buf *b, struct mr_span s, uint8_t quote, bool escapes)
{
	mr_buf_u8(b, quote);
	for (size_t i = 0; i < s.bytes; i++) {
		if (s.data[i] == quote || (escapes && s.data[i] == '\\'))
			mr_buf_u8(b, s.data[i]);
		mr_buf_u8(b, s.data[i]);
	}
	mr_buf_u8(b, quote);
}

static void put_ident(struct mr_buf *b, struct mr_span s)
{
	if (is_plain(s))
		mr_buf_add(b, s.data, s.bytes);
	else
		put_quoted(b, s, '"', false);
}

static void put_literal(struct mr_buf *b, struct mr_span s)
{
	if (s.bytes && memchr(s.data, '\\', s.bytes))
		mr_buf_u8(b, 'E');
	put_quoted(b, s, '\'', true);
}

static int quote_ident(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_buf b = text_buf(c);

	put_ident(&b, fn_span(a[0]));
	return finish(c, &b, 0, out);
}

// Also quote_nullable, the one that sees NULLs.
static int quote_literal(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_buf b = text_buf(c);

	if (a[0])
		put_literal(&b, fn_span(a[0]));
	else
		mr_buf_str(&b, "NULL");
	return finish(c, &b, 0, out);
}

// ---- format ----

// %[position$][-][width]type
struct spec {
	uint32_t arg; // from 1
	bool left;
	uint32_t width;
	uint8_t type;
};

static int unfinished(struct mr_fn_call *c)
{
	mr_fn_error(c, "22023", "unterminated format() type specifier");
	mr_diag_hint(c->ev->diag, "For a single \"%%\" use \"%%%%\".");
	return -EINVAL;
}

static uint32_t read_number(struct mr_span f, size_t *at)
{
	uint32_t n = 0;

	while (*at < f.bytes && f.data[*at] >= '0' && f.data[*at] <= '9' && n < 10000000)
		n = n * 10 + f.data[(*at)++] - '0';
	return n;
}

// Reads behind the %; `*next` is the argument that comes next.
static int read_spec(
	struct mr_fn_call *c, struct mr_span f, size_t *at, uint32_t *next, struct spec *out)
{
	size_t from = *at;
	uint32_t n = read_number(f, at);

	*out = (struct spec){.arg = *next};
	if (*at > from && *at < f.bytes && f.data[*at] == '$') {
		if (n == 0)
			return mr_fn_error(c, "22023",
				"format specifies argument 0, but arguments are numbered from 1");
		out->arg = n;
		++*at;
	} else {
		*at = from;
	}
	while (*at < f.bytes && f.data[*at] == '-') {
		out->left = true;
		++*at;
	}
	out->width = read_number(f, at);
	if (*at == f.bytes)
		return unfinished(c);
	out->type = f.data[(*at)++];
	*next = out->arg + 1;
	if (out->type == '*')
		return mr_fn_error(
			c, "0A000", "a width of format() from an argument is not supported");
	if (!strchr("sIL", out->type)) {
		mr_fn_error(c, "22023", "unrecognized format() type specifier \"%c\"", out->type);
		mr_diag_hint(c->ev->diag, "For a single \"%%\" use \"%%%%\".");
		return -EINVAL;
	}
	return 0;
}

static int put_padded(struct mr_buf *b, const struct spec *s, struct mr_span v)
{
	uint32_t chars = 0;

	for (size_t i = 0; i < v.bytes; i += mr_utf8_bytes(v.data[i]))
		chars++;
	for (uint32_t i = chars; !s->left && i < s->width; i++)
		mr_buf_u8(b, ' ');
	mr_buf_add(b, v.data, v.bytes);
	for (uint32_t i = chars; s->left && i < s->width; i++)
		mr_buf_u8(b, ' ');
	return 0;
}

static int put_arg(
	struct mr_fn_call *c, const void *const *a, const struct spec *s, struct mr_buf *b)
{
	struct mr_buf plain = text_buf(c), quoted = text_buf(c);
	const void *v;
	int rc = 0;

	if (s->arg >= c->args_count)
		return mr_fn_error(c, "22023", "too few arguments for format()");
	v = a[s->arg];
	if (!v && s->type == 'I')
		return mr_fn_error(
			c, "22004", "null values cannot be formatted as an SQL identifier");
	if (v)
		mr_value_format(c->e->args[s->arg]->type, v, c->ev->query->tz, &plain);
	if (s->type == 'I')
		put_ident(&quoted, mr_buf_span(&plain));
	else if (s->type == 'L' && v)
		put_literal(&quoted, mr_buf_span(&plain));
	else if (s->type == 'L')
		mr_buf_str(&quoted, "NULL");
	if (plain.failed || quoted.failed)
		rc = mr_eval_no_memory(c->ev);
	else
		rc = put_padded(b, s, mr_buf_span(s->type == 's' ? &plain : &quoted));
	mr_buf_fini(&plain);
	mr_buf_fini(&quoted);
	return rc;
}

static int format(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_buf b = text_buf(c);
	struct mr_span f;
	uint32_t next = 1;
	int rc = 0;

	if (!a[0])
		return 1;
	f = fn_span(a[0]);
	for (size_t i = 0; i < f.bytes && rc == 0;) {
		struct spec s;

		if (f.data[i] != '%') {
			mr_buf_u8(&b, f.data[i++]);
		} else if (++i == f.bytes) {
			rc = unfinished(c);
		} else if (f.data[i] == '%') {
			mr_buf_u8(&b, f.data[i++]);
		} else {
			rc = read_spec(c, f, &i, &next, &s);
			rc = rc < 0 ? rc : put_arg(c, a, &s, &b);
		}
	}
	return finish(c, &b, rc, out);
}

// ---- parse_ident ----

static int bad_ident(struct mr_fn_call *c, struct mr_span s)
{
	return mr_fn_error(c, "22023", "string is not a valid identifier: \"%.*s\"",
		(int)MR_MIN(s.bytes, (size_t)200), (const char *)s.data);
}

static void skip_blanks(struct mr_span s, size_t *at)
{
	while (*at < s.bytes && strchr(" \t\n\r\f\v", s.data[*at]) && s.data[*at])
		++*at;
}

// One name, as it is without its quotes or folded. False: there is none.
static bool read_ident(struct mr_span s, size_t *at, struct mr_buf *out)
{
	bool quoted = *at < s.bytes && s.data[*at] == '"';
	size_t from;

	mr_buf_reset(out);
	from = *at += quoted;
	for (; *at < s.bytes; ++*at) {
		uint8_t b = s.data[*at];
		bool letter = (b >= 'A' && b <= 'Z') || b >= 0x80;

		if (quoted && b == '"' && (*at + 1 == s.bytes || s.data[*at + 1] != '"'))
			break;
		*at += quoted && b == '"';
		if (!quoted && !letter && !is_plain_byte(b, *at == from) &&
			!(b == '$' && *at > from))
			break;
		mr_buf_u8(out, !quoted && b >= 'A' && b <= 'Z' ? (uint8_t)(b + 32) : b);
	}
	if (quoted && *at == s.bytes)
		return false;
	*at += quoted;
	return out->bytes > 0;
}

// parse_ident(name [, strict]): the parts of a name with dots.
static int parse_ident(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	bool strict = c->args_count < 2 || ARG(uint8_t, 1);
	struct mr_buf b = text_buf(c), name = text_buf(c);
	size_t at = 0;
	int rc = 0;

	mr_buf_u8(&b, '{');
	for (;;) {
		skip_blanks(s, &at);
		if (!read_ident(s, &at, &name)) {
			rc = bad_ident(c, s);
			break;
		}
		mr_pg_array_add(&b, mr_buf_span(&name));
		skip_blanks(s, &at);
		if (at == s.bytes || s.data[at] != '.')
			break;
		at++;
		mr_buf_u8(&b, ',');
	}
	if (rc == 0 && strict && at < s.bytes)
		rc = bad_ident(c, s);
	mr_buf_u8(&b, '}');
	mr_buf_fini(&name);
	return finish(c, &b, rc, out);
}

static const struct mr_fn fns[] = {
	{"quote_ident", T_T, 1, {T_T}, 0, quote_ident, NULL},
	{"quote_literal", T_T, 1, {T_T}, 0, quote_literal, NULL},
	{"quote_nullable", T_T, 1, {T_T}, MR_FN_NONSTRICT, quote_literal, NULL},
	{"format", T_T, 1, {T_T}, MR_FN_NONSTRICT, format, NULL},
	{"format", T_T, 2, {T_T, T_ANY}, MR_FN_NONSTRICT | MR_FN_VARIADIC | MR_FN_STABLE, format,
		NULL},
	{"parse_ident", T_T, 1, {T_T}, 0, parse_ident, NULL},
	{"parse_ident", T_T, 2, {T_T, T_B}, 0, parse_ident, NULL},
};

const struct mr_fn_family mr_fn_quote = {fns, MR_COUNT_OF(fns)};
