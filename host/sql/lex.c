// The lexer. Each token's rule stands above the function that reads it.
#include "host/sql/lex.h"

#include "host/sql/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUOTE = '\'', BACKSLASH = '\\' };

static int at(const struct mr_lexer *l, uint32_t ahead)
{
	return ahead < l->bytes - l->at ? l->text[l->at + ahead] : -1;
}

static bool is_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

// ident_start: letter, underscore or any byte of a non-ASCII character
static bool is_word_start(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_word(int c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

static bool is_op(int c)
{
	return c > 0 && strchr("~!@#^&|`?+-*/%<>=", c) != NULL;
}

// ---- Positions and errors ----

static int chars_between(const struct mr_lexer *l, uint32_t from, uint32_t to)
{
	int n = 0;

	for (; from < to; from++)
		n += (l->text[from] & 0xc0) != 0x80;
	return n;
}

static void start_token(struct mr_lexer *l, struct mr_token *t)
{
	l->pos += chars_between(l, l->pos_off, l->at);
	l->pos_off = l->at;
	*t = (struct mr_token){.pos = l->pos, .off = l->at};
}

// `message at or near "…"`, quoting the text from the token's start to where the lexer stands.
static void fail_near(struct mr_lexer *l, struct mr_token *t, const char *message)
{
	t->kind = MR_TOK_ERROR;
	t->bytes = l->at - t->off;
	l->err = mr_diag_set(&l->diag, -EINVAL, "42601", t->pos, "%s at or near \"%.*s\"", message,
		(int)MR_MIN(t->bytes, (uint32_t)sizeof(l->diag.message)), l->text + t->off);
}

static void fail_as(
	struct mr_lexer *l, struct mr_token *t, int err, const char *sqlstate, const char *message)
{
	t->kind = MR_TOK_ERROR;
	t->bytes = l->at - t->off;
	l->err = mr_diag_set(&l->diag, err, sqlstate, t->pos, "%s", message);
}

static void fail_memory(struct mr_lexer *l, struct mr_token *t)
{
	fail_as(l, t, -ENOMEM, "53200", "out of memory");
}

static void set_text(struct mr_lexer *l, struct mr_token *t, const void *data, size_t bytes)
{
	t->text = mr_arena_strndup(l->arena, data, bytes);
	if (!t->text)
		fail_memory(l, t);
}

// ---- White space and comments ----

static void skip_line(struct mr_lexer *l)
{
	while (at(l, 0) >= 0 && at(l, 0) != '\n' && at(l, 0) != '\r')
		l->at++;
}

// '/*' … '*/', nested. False if it does not end.
static bool skip_comment(struct mr_lexer *l)
{
	uint32_t depth = 0;

	do {
		if (at(l, 0) == '/' && at(l, 1) == '*') {
			depth++;
			l->at += 2;
		} else if (at(l, 0) == '*' && at(l, 1) == '/') {
			depth--;
			l->at += 2;
		} else if (at(l, 0) < 0) {
			return false;
		} else {
			l->at++;
		}
	} while (depth > 0);
	return true;
}

// False if the text ends inside of a comment; `t` is the error then.
static bool skip_blanks(struct mr_lexer *l, struct mr_token *t)
{
	for (;;) {
		if (is_space(at(l, 0))) {
			l->at++;
		} else if (at(l, 0) == '-' && at(l, 1) == '-') {
			skip_line(l);
		} else if (at(l, 0) == '/' && at(l, 1) == '*') {
			start_token(l, t);
			if (!skip_comment(l)) {
				fail_near(l, t, "unterminated /* comment");
				return false;
			}
		} else {
			return true;
		}
	}
}

// ---- Strings ----

// quotecontinue: white space with a newline in it, then a quote: 'a' ⏎ 'b' is one string. Line
// comments count as white space. Moves behind the quote if there is one.
static bool continue_string(struct mr_lexer *l)
{
	uint32_t from = l->at;
	bool newline = false;

	for (;;) {
		int c = at(l, 0);

		if (is_space(c)) {
			newline |= c == '\n' || c == '\r';
			l->at++;
		} else if (c == '-' && at(l, 1) == '-') {
			skip_line(l);
		} else {
			break;
		}
	}
	if (newline && at(l, 0) == QUOTE) {
		l->at++;
		return true;
	}
	l->at = from;
	return false;
}

// Where the raw string that starts behind the quote at `l->at` ends, for the size of its buffer.
static uint32_t string_bytes_max(const struct mr_lexer *l, bool escapes)
{
	uint32_t i = l->at;

	while (i < l->bytes && l->text[i] != QUOTE)
		i += escapes && l->text[i] == BACKSLASH ? 2 : 1;
	return MR_MIN(i, l->bytes) - l->at;
}

static int hex_value(int c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Up to `digits_max` digits of a base, at `l->at`. Returns how many there were.
static int read_digits(struct mr_lexer *l, int base, int digits_max, uint32_t *out)
{
	int n = 0;

	for (*out = 0; n < digits_max; n++, l->at++) {
		int v = hex_value(at(l, 0));

		if (v < 0 || v >= base)
			break;
		*out = *out * (uint32_t)base + (uint32_t)v;
	}
	return n;
}

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

// \uXXXX or \UXXXXXXXX behind the letter, a surrogate pair being two \u. Bytes written, or 0 after
// an error. The escape is longer than what it stands for, so the buffer has room.
static size_t read_unicode(struct mr_lexer *l, struct mr_token *t, int letter, char *out)
{
	int digits = letter == 'u' ? 4 : 8;
	uint32_t escape = l->at - 2;
	uint32_t c;
	uint32_t low;

	if (read_digits(l, 16, digits, &c) != digits) {
		fail_as(l, t, -EINVAL, "22025", "invalid Unicode escape");
		l->diag.position += chars_between(l, t->off, escape);
		mr_diag_hint(&l->diag, "Unicode escapes must be \\uXXXX or \\UXXXXXXXX.");
		return 0;
	}
	if (c >= 0xd800 && c < 0xdc00) {
		bool pair = at(l, 0) == BACKSLASH && (at(l, 1) == 'u' || at(l, 1) == 'U');

		digits = at(l, 1) == 'U' ? 8 : 4;
		if (pair)
			l->at += 2;
		if (!pair || read_digits(l, 16, digits, &low) != digits || low < 0xdc00 ||
			low > 0xdfff) {
			fail_near(l, t, "invalid Unicode surrogate pair");
			return 0;
		}
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
		fail_near(l, t, "invalid Unicode escape value");
		return 0;
	}
	return put_utf8(out, c);
}

// One escape of an E'' string, behind its backslash. Bytes written, or 0 after an error.
static size_t read_escape(struct mr_lexer *l, struct mr_token *t, char *out)
{
	static const char letters[] = "bfnrt";
	static const char values[] = "\b\f\n\r\t";
	int c = at(l, 0);
	const char *letter = c > 0 ? strchr(letters, c) : NULL;
	uint32_t v;

	if (c >= '0' && c <= '7') {
		read_digits(l, 8, 3, &v);
		out[0] = (char)v;
		return 1;
	}
	l->at++;
	if (c == 'u' || c == 'U')
		return read_unicode(l, t, c, out);
	if (c == 'x' && hex_value(at(l, 0)) >= 0) {
		read_digits(l, 16, 2, &v);
		out[0] = (char)v;
		return 1;
	}
	out[0] = letter ? values[letter - letters] : (char)c;
	return 1;
}

// Copies one quoted piece into `out`, from behind its opening quote to behind its closing one.
// Returns the bytes written, or SIZE_MAX after an error.
static size_t read_piece(struct mr_lexer *l, struct mr_token *t, bool escapes, char *out)
{
	size_t n = 0;

	for (;;) {
		int c = at(l, 0);

		if (c < 0) {
			fail_near(l, t, "unterminated quoted string");
			return SIZE_MAX;
		}
		l->at++;
		if (c == QUOTE) {
			if (at(l, 0) != QUOTE)
				return n;
			l->at++;
		} else if (c == BACKSLASH && escapes && at(l, 0) >= 0) {
			size_t more = read_escape(l, t, out + n);

			if (more == 0)
				return SIZE_MAX;
			n += more;
			continue;
		}
		out[n++] = (char)c;
	}
}

static bool check_escaped(struct mr_lexer *l, struct mr_token *t, struct mr_span text)
{
	size_t bad = mr_sql_utf8_bad(text);

	if (bad == text.bytes)
		return true;
	fail_as(l, t, -EILSEQ, "22021", "");
	snprintf(l->diag.message, sizeof(l->diag.message),
		"invalid byte sequence for encoding \"UTF8\": 0x%02x", text.data[bad]);
	return false;
}

// A piece can hold '' pairs, each of which ends string_bytes_max's estimate: so the pieces are
// measured and copied one estimate at a time into one growing buffer.
static uint32_t string_room(const struct mr_lexer *l, bool escapes)
{
	struct mr_lexer scan = *l;
	uint32_t from = scan.at;

	for (;;) {
		scan.at += string_bytes_max(&scan, escapes);
		if (at(&scan, 0) < 0)
			return scan.at - from;
		scan.at++;
		if (at(&scan, 0) == QUOTE)
			scan.at++;
		else if (!continue_string(&scan))
			return scan.at - from;
	}
}

// '…' with '' for a quote, and E'…' with backslash escapes. `prefix`: bytes before the quote.
static void lex_string(struct mr_lexer *l, struct mr_token *t, uint32_t prefix, bool escapes)
{
	char *out;
	size_t n = 0;

	l->at += prefix + 1;
	out = mr_arena_alloc(l->arena, (size_t)string_room(l, escapes) + 1);
	if (!out) {
		fail_memory(l, t);
		return;
	}
	do {
		size_t more = read_piece(l, t, escapes, out + n);

		if (more == SIZE_MAX)
			return;
		n += more;
	} while (continue_string(l));
	out[n] = 0;
	if (escapes && !check_escaped(l, t, mr_span(out, n)))
		return;
	t->kind = MR_TOK_STRING;
	t->text = out;
}

// $tag$ … $tag$. False if what stands here does not open one.
static bool lex_dollar_string(struct mr_lexer *l, struct mr_token *t)
{
	uint32_t tag = 1;
	const uint8_t *from;
	const uint8_t *end;

	if (is_word_start(at(l, tag)))
		while (at(l, tag) != '$' && is_word(at(l, tag)))
			tag++;
	if (at(l, tag) != '$')
		return false;
	tag++;
	from = l->text + l->at + tag;
	end = memmem(from, l->bytes - l->at - tag, l->text + l->at, tag);
	if (!end) {
		l->at = l->bytes;
		fail_near(l, t, "unterminated dollar-quoted string");
		return true;
	}
	l->at = (uint32_t)(end - l->text) + tag;
	t->kind = MR_TOK_STRING;
	set_text(l, t, from, (size_t)(end - from));
	return true;
}

// ---- Identifiers ----

// At most 63 bytes, cut between characters.
static size_t ident_bytes(const char *s, size_t bytes)
{
	if (bytes <= MR_SQL_IDENT_BYTES_MAX)
		return bytes;
	bytes = MR_SQL_IDENT_BYTES_MAX;
	while (bytes > 0 && ((uint8_t)s[bytes] & 0xc0) == 0x80)
		bytes--;
	return bytes;
}

static void lex_word(struct mr_lexer *l, struct mr_token *t)
{
	uint32_t bytes = 1;
	char *word;

	while (is_word(at(l, bytes)))
		bytes++;
	word = mr_arena_strndup(l->arena, (const char *)l->text + l->at, bytes);
	l->at += bytes;
	if (!word) {
		fail_memory(l, t);
		return;
	}
	for (char *c = word; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	word[ident_bytes(word, bytes)] = 0;
	t->kind = MR_TOK_WORD;
	t->text = word;
	t->keyword = (uint16_t)mr_keyword_find(word);
}

// "…" with "" for a quote
static void lex_quoted(struct mr_lexer *l, struct mr_token *t)
{
	uint32_t from = l->at + 1;
	uint32_t end = from;
	char *out;
	size_t n = 0;

	for (; end < l->bytes; end++) {
		if (l->text[end] != '"')
			continue;
		if (end + 1 >= l->bytes || l->text[end + 1] != '"')
			break;
		end++;
	}
	l->at = MR_MIN(end + 1, l->bytes);
	if (end >= l->bytes) {
		fail_near(l, t, "unterminated quoted identifier");
		return;
	}
	if (end == from) {
		fail_near(l, t, "zero-length delimited identifier");
		return;
	}
	out = mr_arena_alloc(l->arena, end - from + 1);
	if (!out) {
		fail_memory(l, t);
		return;
	}
	for (uint32_t i = from; i < end; i++) {
		out[n++] = (char)l->text[i];
		i += l->text[i] == '"';
	}
	out[ident_bytes(out, n)] = 0;
	t->kind = MR_TOK_QUOTED;
	t->text = out;
}

// ---- Numbers and parameters ----

static void fail_junk(struct mr_lexer *l, struct mr_token *t, const char *message)
{
	// The first character of the junk belongs to what is quoted, whole.
	do
		l->at++;
	while ((at(l, 0) & 0xc0) == 0x80 && at(l, 0) >= 0);
	fail_near(l, t, message);
}

static void skip_digits(struct mr_lexer *l)
{
	while (is_digit(at(l, 0)))
		l->at++;
}

// integer: digits; decimal: digits . [digits] | . digits; real: either, e, [sign], digits.
// Two dots end an integer (1..10); a letter behind a number is an error.
static void lex_number(struct mr_lexer *l, struct mr_token *t)
{
	static const char junk[] = "trailing junk after numeric literal";
	bool integer = true;

	skip_digits(l);
	if (at(l, 0) == '.' && at(l, 1) != '.') {
		integer = false;
		l->at++;
		skip_digits(l);
	}
	if ((at(l, 0) | 0x20) == 'e') {
		uint32_t sign = at(l, 1) == '+' || at(l, 1) == '-';

		if (is_digit(at(l, 1 + sign))) {
			integer = false;
			l->at += 1 + sign;
			skip_digits(l);
		} else if (sign) {
			l->at++;
			fail_junk(l, t, junk);
			return;
		}
	}
	if (is_word_start(at(l, 0))) {
		fail_junk(l, t, junk);
		return;
	}
	t->kind = MR_TOK_NUMBER;
	set_text(l, t, l->text + t->off, l->at - t->off);
	if (!integer || t->kind == MR_TOK_ERROR)
		return;
	errno = 0;
	t->integer = strtoll(t->text, NULL, 10);
	if (errno == 0)
		t->kind = MR_TOK_INT;
}

// param: $ digits
static void lex_param(struct mr_lexer *l, struct mr_token *t)
{
	int64_t v = 0;

	l->at++;
	for (; is_digit(at(l, 0)); l->at++)
		v = MR_MIN(v * 10 + (at(l, 0) - '0'), (int64_t)INT32_MAX + 1);
	if (is_word_start(at(l, 0))) {
		fail_junk(l, t, "trailing junk after parameter");
	} else if (v > INT32_MAX) {
		fail_near(l, t, "parameter number too large");
	} else {
		t->kind = MR_TOK_PARAM;
		t->integer = v;
	}
}

// ---- Operators and the rest ----

// op_chars+, ending before a comment; a longer one ends in + or - only if one of ~!@#^&|`?% is in
// it, so that `a=-1` is `a = -1`.
static uint32_t op_bytes(const struct mr_lexer *l)
{
	uint32_t n = 0;
	bool special = false;

	while (is_op(at(l, n))) {
		if ((at(l, n) == '-' && at(l, n + 1) == '-') ||
			(at(l, n) == '/' && at(l, n + 1) == '*'))
			break;
		n++;
	}
	for (uint32_t i = 0; i < n; i++)
		special |= strchr("~!@#^&|`?%", at(l, i)) != NULL;
	while (n > 1 && !special && (at(l, n - 1) == '+' || at(l, n - 1) == '-'))
		n--;
	return n;
}

static void lex_op(struct mr_lexer *l, struct mr_token *t)
{
	uint32_t n = op_bytes(l);

	l->at += n;
	t->kind = MR_TOK_OP;
	if (n > MR_SQL_IDENT_BYTES_MAX) {
		fail_near(l, t, "operator too long");
		return;
	}
	set_text(l, t, l->text + t->off, n);
	if (t->kind == MR_TOK_ERROR)
		return;
	if (strcmp(t->text, "!=") == 0)
		t->text = "<>";
	else if (strcmp(t->text, "=>") == 0)
		t->kind = MR_TOK_ARROW;
}

static void lex_char(struct mr_lexer *l, struct mr_token *t)
{
	t->kind = MR_TOK_CHAR;
	t->character = (uint8_t)at(l, 0);
	l->at++;
	if (t->character == ':' && at(l, 0) == ':')
		t->kind = MR_TOK_CAST;
	else if (t->character == ':' && at(l, 0) == '=')
		t->kind = MR_TOK_ARROW;
	else if (t->character == '.' && at(l, 0) == '.')
		t->kind = MR_TOK_DOTS;
	l->at += t->kind != MR_TOK_CHAR;
}

// E'', N'', B'', X'', U&'' and U&"": a letter glued to a quote. False if there is none.
static bool lex_prefixed(struct mr_lexer *l, struct mr_token *t)
{
	int letter = at(l, 0) | 0x20;

	if (letter == 'u' && at(l, 1) == '&' && (at(l, 2) == QUOTE || at(l, 2) == '"')) {
		l->at += 2;
		fail_as(l, t, MR_ERR_UNSUPPORTED, "0A000",
			"U& strings and identifiers are not supported");
		return true;
	}
	if (at(l, 1) != QUOTE)
		return false;
	if (letter == 'e') {
		lex_string(l, t, 1, true);
		return true;
	}
	if (letter == 'b' || letter == 'x') {
		l->at++;
		fail_as(l, t, MR_ERR_UNSUPPORTED, "0A000", "bit strings are not supported");
		return true;
	}
	if (letter != 'n')
		return false;
	// N'…' is the key word NCHAR and a string, as in PostgreSQL.
	l->at++;
	t->kind = MR_TOK_WORD;
	t->text = "nchar";
	t->keyword = MR_KW_NCHAR;
	return true;
}

static void lex_token(struct mr_lexer *l, struct mr_token *t)
{
	int c = at(l, 0);

	if (is_word_start(c)) {
		if (!lex_prefixed(l, t))
			lex_word(l, t);
	} else if (c == QUOTE) {
		lex_string(l, t, 0, false);
	} else if (c == '"') {
		lex_quoted(l, t);
	} else if (is_digit(c) || (c == '.' && is_digit(at(l, 1)))) {
		lex_number(l, t);
	} else if (c == '$' && is_digit(at(l, 1))) {
		lex_param(l, t);
	} else if (is_op(c)) {
		lex_op(l, t);
	} else if (c != '$' || !lex_dollar_string(l, t)) {
		lex_char(l, t);
	}
}

void mr_lex_init(struct mr_lexer *l, struct mr_span text, uint32_t start, struct mr_arena *arena)
{
	MR_ASSERT(text.bytes <= MR_SQL_TEXT_BYTES_MAX && start <= text.bytes);
	*l = (struct mr_lexer){
		.text = text.data,
		.bytes = (uint32_t)text.bytes,
		.at = start,
		.pos = 1,
		.arena = arena,
	};
}

void mr_lex_next(struct mr_lexer *l, struct mr_token *out)
{
	if (!skip_blanks(l, out))
		return;
	start_token(l, out);
	if (l->at < l->bytes)
		lex_token(l, out);
	if (out->kind != MR_TOK_ERROR)
		out->bytes = l->at - out->off;
}

// The next character of well-formed UTF-8 (RFC 3629) at `p`, or 0: its bytes.
static size_t utf8_bytes(const uint8_t *p, size_t left)
{
	static const uint8_t least[] = {
		0, 0, 0x80, 0xa0, 0x90}; // second byte's lower end, by length
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (n == 1)
		return p[0] != 0;
	if (n == 0 || n > left || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 || p[0] == 0xf0) && p[1] < least[n])
		return 0;
	if ((p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

size_t mr_sql_utf8_bad(struct mr_span text)
{
	size_t i = 0;

	while (i < text.bytes) {
		size_t n = utf8_bytes(text.data + i, text.bytes - i);

		if (n == 0)
			break;
		i += n;
	}
	return i;
}
