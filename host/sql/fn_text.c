// Text. Lengths and positions count characters (code points); upper and lower change ASCII letters
// only, as PostgreSQL does under collation C.
#include "host/sql/fn_int.h"

// The byte offset of the n-th character (from 0), or the text's end.
static size_t char_off(struct mr_span s, int64_t n)
{
	size_t at = 0;

	while (n-- > 0 && at < s.bytes)
		at += mr_utf8_bytes(s.data[at]);
	return MR_MIN(at, s.bytes);
}

static int borrow(struct mr_span s, size_t from, size_t to, void *out)
{
	RESULT(struct mr_str) =
		(struct mr_str){s.data + from, (uint32_t)(to > from ? to - from : 0), 0};
	return 0;
}

static uint8_t *make(struct mr_fn_call *c, size_t bytes, void *out)
{
	uint8_t *p = bytes <= INT32_MAX ? mr_arena_alloc(c->ev->arena, bytes) : NULL;

	if (!p)
		mr_eval_no_memory(c->ev);
	RESULT(struct mr_str) = (struct mr_str){p, (uint32_t)bytes, 0};
	return p;
}

static int length(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(int32_t) = (int32_t)mr_utf8_count(fn_span(a[0]));
	return 0;
}

static int octet_length(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(int32_t) = (int32_t)fn_span(a[0]).bytes;
	return 0;
}

static int bit_length(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(int32_t) = (int32_t)fn_span(a[0]).bytes * 8;
	return 0;
}

static int change_case(
	struct mr_fn_call *c, struct mr_span s, uint8_t first, uint8_t last, int by, void *out)
{
	uint8_t *p = make(c, s.bytes, out);

	if (!p)
		return MR_ERR_LIMIT;
	for (size_t i = 0; i < s.bytes; i++)
		p[i] = (uint8_t)(s.data[i] + (s.data[i] >= first && s.data[i] <= last ? by : 0));
	return 0;
}

static int lower(struct mr_fn_call *c, const void *const *a, void *out)
{
	return change_case(c, fn_span(a[0]), 'A', 'Z', 32, out);
}

static int upper(struct mr_fn_call *c, const void *const *a, void *out)
{
	return change_case(c, fn_span(a[0]), 'a', 'z', -32, out);
}

static bool is_alnum(uint8_t b)
{
	return (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
}

static int initcap(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	uint8_t *p = make(c, s.bytes, out);
	bool inside = false;

	if (!p)
		return MR_ERR_LIMIT;
	for (size_t i = 0; i < s.bytes; i++) {
		uint8_t b = s.data[i];

		if (!inside && b >= 'a' && b <= 'z')
			b = (uint8_t)(b - 32);
		else if (inside && b >= 'A' && b <= 'Z')
			b = (uint8_t)(b + 32);
		p[i] = b;
		inside = is_alnum(b);
	}
	return 0;
}

static int concat2(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span x = fn_span(a[0]), y = fn_span(a[1]);
	uint8_t *p = make(c, x.bytes + y.bytes, out);

	if (!p)
		return MR_ERR_LIMIT;
	if (x.bytes)
		memcpy(p, x.data, x.bytes);
	if (y.bytes)
		memcpy(p + x.bytes, y.data, y.bytes);
	return 0;
}

// text || anything and anything || text.
static void append_any(struct mr_fn_call *c, uint32_t i, const void *v, struct mr_buf *b)
{
	struct mr_typeref t = c->e->args[i]->type;

	if (t.type == MR_TYPE_BOOL && strcmp(c->e->fn->name, "||") == 0)
		mr_buf_str(b, *(const uint8_t *)v ? "true" : "false");
	else
		mr_value_format(t, v, c->ev->query->tz, b);
}

static int finish_buf(struct mr_fn_call *c, struct mr_buf *b, void *out)
{
	int rc = b->failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, b->data, b->bytes, out);

	mr_buf_fini(b);
	return rc;
}

enum { TEXT_BYTES_MAX = 64 << 20 };

static int concat_any(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_buf b = {.bytes_limit = TEXT_BYTES_MAX, .budget = c->ev->query->memory};

	for (uint32_t i = 0; i < c->args_count; i++)
		if (a[i])
			append_any(c, i, a[i], &b);
	return finish_buf(c, &b, out);
}

static int concat_ws(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_buf b = {.bytes_limit = TEXT_BYTES_MAX, .budget = c->ev->query->memory};
	bool any = false;

	if (!a[0])
		return 1;
	for (uint32_t i = 1; i < c->args_count; i++) {
		if (!a[i])
			continue;
		if (any)
			mr_buf_add(&b, fn_span(a[0]).data, fn_span(a[0]).bytes);
		append_any(c, i, a[i], &b);
		any = true;
	}
	return finish_buf(c, &b, out);
}

static int substring(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	int64_t start = ARG(int32_t, 1), end = INT64_MAX;
	size_t from;

	if (c->args_count > 2) {
		if (ARG(int32_t, 2) < 0)
			return mr_fn_error(c, "22011", "negative substring length not allowed");
		end = start + ARG(int32_t, 2);
	}
	start = MR_MAX(start, 1);
	from = char_off(s, start - 1);
	if (end == INT64_MAX)
		return borrow(s, from, s.bytes, out);
	if (end <= start)
		return borrow(s, 0, 0, out);
	return borrow(
		s, from, from + char_off(mr_span(s.data + from, s.bytes - from), end - start), out);
}

// overlay(s PLACING new FROM from FOR count); without FOR as many characters as the new text has.
static int overlay(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), with = fn_span(a[1]);
	int64_t from = ARG(int32_t, 2);
	int64_t count = c->args_count > 3 ? ARG(int32_t, 3) : (int64_t)mr_utf8_count(with);
	size_t head, tail;
	uint8_t *p;

	if (from <= 0)
		return mr_fn_error(c, "22011", "negative substring length not allowed");
	head = char_off(s, from - 1);
	tail = char_off(s, MR_MAX(from - 1 + count, 0));
	p = mr_arena_alloc(c->ev->arena, head + with.bytes + s.bytes - tail + 1);
	if (!p)
		return mr_eval_no_memory(c->ev);
	memcpy(p, s.data, head);
	memcpy(p + head, with.data, with.bytes);
	memcpy(p + head + with.bytes, s.data + tail, s.bytes - tail);
	RESULT(struct mr_str) =
		(struct mr_str){p, (uint32_t)(head + with.bytes + s.bytes - tail), 0};
	return 0;
}

static int left(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	int64_t n = ARG(int32_t, 1);

	if (n < 0)
		n = MR_MAX((int64_t)mr_utf8_count(s) + n, 0);
	return borrow(s, 0, char_off(s, n), out);
}

static int right(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	int64_t n = ARG(int32_t, 1), count = (int64_t)mr_utf8_count(s);

	return borrow(s, char_off(s, n < 0 ? -n : MR_MAX(count - n, 0)), s.bytes, out);
}

static bool in_set(struct mr_span set, const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < set.bytes; i += mr_utf8_bytes(set.data[i]))
		if (mr_utf8_bytes(set.data[i]) == bytes && memcmp(set.data + i, at, bytes) == 0)
			return true;
	return false;
}

static int trim(const void *const *a, uint32_t count, bool front, bool back, void *out)
{
	struct mr_span s = fn_span(a[0]), set = count > 1 ? fn_span(a[1]) : mr_span_str(" ");
	size_t from = 0, to = s.bytes;

	while (front && from < to && in_set(set, s.data + from, mr_utf8_bytes(s.data[from])))
		from += mr_utf8_bytes(s.data[from]);
	while (back && to > from) {
		size_t at = to - 1;

		while (at > from && (s.data[at] & 0xc0) == 0x80)
			at--;
		if (!in_set(set, s.data + at, to - at))
			break;
		to = at;
	}
	return borrow(s, from, to, out);
}

static int btrim(struct mr_fn_call *c, const void *const *a, void *out)
{
	return trim(a, c->args_count, true, true, out);
}

static int ltrim(struct mr_fn_call *c, const void *const *a, void *out)
{
	return trim(a, c->args_count, true, false, out);
}

static int rtrim(struct mr_fn_call *c, const void *const *a, void *out)
{
	return trim(a, c->args_count, false, true, out);
}

static const uint8_t *find(struct mr_span s, size_t from, struct mr_span what)
{
	if (s.bytes - from == 0)
		return what.bytes ? NULL : s.data;
	return memmem(s.data + from, s.bytes - from, what.data, what.bytes);
}

static int strpos(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), what = fn_span(a[1]);
	const uint8_t *p = what.bytes ? find(s, 0, what) : s.data;

	RESULT(int32_t) = what.bytes && !p ? 0
					   : (int32_t)mr_utf8_count(mr_span(s.data,
						     what.bytes ? (size_t)(p - s.data) : 0)) +
						     1;
	return 0;
}

static int starts_with(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), p = fn_span(a[1]);

	RESULT(uint8_t) = p.bytes <= s.bytes && mr_span_eq(mr_span(s.data, p.bytes), p);
	return 0;
}

static int replace(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), what = fn_span(a[1]), with = fn_span(a[2]);
	struct mr_buf b = {.bytes_limit = TEXT_BYTES_MAX, .budget = c->ev->query->memory};
	size_t at = 0;

	if (what.bytes == 0 || s.bytes == 0)
		return borrow(s, 0, s.bytes, out);
	for (;;) {
		const uint8_t *p = find(s, at, what);
		size_t end = p ? (size_t)(p - s.data) : s.bytes;

		mr_buf_add(&b, s.data + at, end - at);
		if (!p)
			break;
		mr_buf_add(&b, with.data, with.bytes);
		at = end + what.bytes;
		if (at >= s.bytes)
			break;
	}
	return finish_buf(c, &b, out);
}

static int split_part(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), by = fn_span(a[1]);
	int64_t n = ARG(int32_t, 2), count = 1;
	size_t at = 0;

	if (n == 0)
		return mr_fn_error(c, "22023", "field position must not be zero");
	if (by.bytes == 0 || s.bytes == 0)
		return borrow(s, 0, n == 1 || n == -1 ? s.bytes : 0, out);
	if (n < 0) {
		for (const uint8_t *p = find(s, 0, by); p;
			p = find(s, (size_t)(p - s.data) + by.bytes, by))
			count++;
		n += count + 1;
		if (n < 1)
			return borrow(s, 0, 0, out);
	}
	for (;;) {
		const uint8_t *p = at <= s.bytes ? find(s, at, by) : NULL;
		size_t end = p ? (size_t)(p - s.data) : s.bytes;

		if (--n == 0)
			return borrow(s, at, end, out);
		if (!p)
			return borrow(s, 0, 0, out);
		at = end + by.bytes;
	}
}

static int pad(struct mr_fn_call *c, const void *const *a, bool front, void *out)
{
	struct mr_span s = fn_span(a[0]),
		       with = c->args_count > 2 ? fn_span(a[2]) : mr_span_str(" ");
	int64_t want = MR_MAX(ARG(int32_t, 1), 0), have = (int64_t)mr_utf8_count(s);
	struct mr_buf b = {.bytes_limit = TEXT_BYTES_MAX, .budget = c->ev->query->memory};
	size_t at = 0;

	if (have >= want || with.bytes == 0)
		return borrow(s, 0, char_off(s, want), out);
	if (!front)
		mr_buf_add(&b, s.data, s.bytes);
	for (int64_t i = have; i < want && !b.failed; i++) {
		mr_buf_add(&b, with.data + at, mr_utf8_bytes(with.data[at]));
		at += mr_utf8_bytes(with.data[at]);
		at = at >= with.bytes ? 0 : at;
	}
	if (front)
		mr_buf_add(&b, s.data, s.bytes);
	return finish_buf(c, &b, out);
}

static int lpad(struct mr_fn_call *c, const void *const *a, void *out)
{
	return pad(c, a, true, out);
}

static int rpad(struct mr_fn_call *c, const void *const *a, void *out)
{
	return pad(c, a, false, out);
}

static int repeat(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	int64_t n = MR_MAX(ARG(int32_t, 1), 0);
	uint8_t *p;

	if (s.bytes && n > TEXT_BYTES_MAX / (int64_t)s.bytes)
		return mr_fn_error(c, "54000", "requested length too large");
	p = make(c, s.bytes * (size_t)n, out);
	for (int64_t i = 0; p && s.bytes && i < n; i++)
		memcpy(p + (size_t)i * s.bytes, s.data, s.bytes);
	return p ? 0 : MR_ERR_LIMIT;
}

static int reverse(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	uint8_t *p = make(c, s.bytes, out);

	if (!p)
		return MR_ERR_LIMIT;
	for (size_t i = 0; i < s.bytes;) {
		size_t n = mr_utf8_bytes(s.data[i]);

		memcpy(p + s.bytes - i - n, s.data + i, n);
		i += n;
	}
	return 0;
}

static int translate(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]), from = fn_span(a[1]), to = fn_span(a[2]);
	struct mr_buf b = {.bytes_limit = TEXT_BYTES_MAX, .budget = c->ev->query->memory};

	for (size_t i = 0; i < s.bytes; i += mr_utf8_bytes(s.data[i])) {
		size_t n = mr_utf8_bytes(s.data[i]), f = 0, t = 0;

		while (f < from.bytes && !(mr_utf8_bytes(from.data[f]) == n &&
						 memcmp(from.data + f, s.data + i, n) == 0)) {
			f += mr_utf8_bytes(from.data[f]);
			t += t < to.bytes ? mr_utf8_bytes(to.data[t]) : 0;
		}
		if (f >= from.bytes)
			mr_buf_add(&b, s.data + i, n);
		else if (t < to.bytes)
			mr_buf_add(&b, to.data + t, mr_utf8_bytes(to.data[t]));
	}
	return finish_buf(c, &b, out);
}

static int ascii(struct mr_fn_call *, const void *const *a, void *out)
{
	struct mr_span s = fn_span(a[0]);
	uint32_t v = s.bytes ? s.data[0] : 0;
	size_t n = s.bytes ? mr_utf8_bytes(s.data[0]) : 0;

	if (n > 1) {
		v &= 0xffu >> (n + 1);
		for (size_t i = 1; i < n; i++)
			v = v << 6 | (s.data[i] & 0x3f);
	}
	RESULT(int32_t) = (int32_t)v;
	return 0;
}

static int chr(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t v = ARG(int32_t, 0);
	uint8_t text[4];

	if (v == 0)
		return mr_fn_error(c, "54000", "null character not permitted");
	if (v < 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return mr_fn_error(c, "54000", "requested character too large for encoding: %d", v);
	return mr_fn_str(c, text, mr_utf8_encode((uint32_t)v, text), out);
}

static int to_hex(struct mr_fn_call *c, const void *const *a, void *out)
{
	bool wide = c->e->fn->args[0] == MR_TYPE_INT8;
	uint64_t v = wide ? (uint64_t)ARG(int64_t, 0) : (uint32_t)ARG(int32_t, 0);
	char text[17];
	size_t at = sizeof(text);

	do {
		text[--at] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	return mr_fn_str(c, text + at, sizeof(text) - at, out);
}

// ---- LIKE ----

static uint8_t fold_byte(uint8_t b, bool fold)
{
	return fold && b >= 'A' && b <= 'Z' ? (uint8_t)(b + 32) : b;
}

// Matches with one point of return: the last % and how much it has taken (Krauss 2008). 1, 0, or
// -1 when the pattern ends with the escape.
static int like(struct mr_span s, struct mr_span p, int escape, bool fold)
{
	size_t i = 0, j = 0, star = SIZE_MAX, star_i = 0;

	for (;;) {
		if (j < p.bytes && p.data[j] == '%' && escape != '%') {
			star = ++j;
			star_i = i;
			continue;
		}
		if (j == p.bytes && i == s.bytes)
			return 1;
		if (j < p.bytes && i < s.bytes) {
			bool literal = escape >= 0 && p.data[j] == (uint8_t)escape;

			if (literal && j + 1 == p.bytes)
				return -1;
			if (!literal && p.data[j] == '_') {
				i += mr_utf8_bytes(s.data[i]);
				j++;
				continue;
			}
			if (fold_byte(p.data[j + literal], fold) == fold_byte(s.data[i], fold)) {
				i++;
				j += 1u + literal;
				continue;
			}
		}
		if (star == SIZE_MAX || star_i >= s.bytes)
			return 0;
		star_i += mr_utf8_bytes(s.data[star_i]);
		i = star_i;
		j = star;
	}
}

static int like_row(struct mr_fn_call *c, const void *const *a, bool fold, void *out)
{
	int escape = '\\', rc;

	if (c->args_count > 2) {
		struct mr_span e = fn_span(a[2]);

		if (e.bytes > 1)
			return mr_fn_error(c, "22019", "invalid escape string");
		escape = e.bytes ? e.data[0] : -1;
	}
	rc = like(fn_span(a[0]), fn_span(a[1]), escape, fold);
	if (rc < 0)
		return mr_fn_error(c, "22025", "LIKE pattern must not end with escape character");
	RESULT(uint8_t) = (uint8_t)rc;
	return 0;
}

static int like_plain(struct mr_fn_call *c, const void *const *a, void *out)
{
	return like_row(c, a, false, out);
}

static int like_fold(struct mr_fn_call *c, const void *const *a, void *out)
{
	return like_row(c, a, true, out);
}

#define TT(name, f)                             \
	{                                       \
		name, T_T, 1, {T_T}, 0, f, NULL \
	}

static const struct mr_fn fns[] = {
	{"length", T_I4, 1, {T_T}, 0, length, NULL},
	{"char_length", T_I4, 1, {T_T}, 0, length, NULL},
	{"character_length", T_I4, 1, {T_T}, 0, length, NULL},
	{"length", T_I4, 1, {T_Y}, 0, octet_length, NULL},
	{"octet_length", T_I4, 1, {T_T}, 0, octet_length, NULL},
	{"octet_length", T_I4, 1, {T_Y}, 0, octet_length, NULL},
	{"bit_length", T_I4, 1, {T_T}, 0, bit_length, NULL},
	TT("lower", lower),
	TT("upper", upper),
	TT("initcap", initcap),
	TT("reverse", reverse),
	TT("btrim", btrim),
	TT("ltrim", ltrim),
	TT("rtrim", rtrim),
	{"btrim", T_T, 2, {T_T, T_T}, 0, btrim, NULL},
	{"ltrim", T_T, 2, {T_T, T_T}, 0, ltrim, NULL},
	{"rtrim", T_T, 2, {T_T, T_T}, 0, rtrim, NULL},
	{"||", T_T, 2, {T_T, T_T}, 0, concat2, NULL},
	{"||", T_Y, 2, {T_Y, T_Y}, 0, concat2, NULL},
	{"||", T_T, 2, {T_T, T_ANY}, MR_FN_STABLE, concat_any, NULL},
	{"||", T_T, 2, {T_ANY, T_T}, MR_FN_STABLE, concat_any, NULL},
	{"concat", T_T, 1, {T_ANY}, MR_FN_NONSTRICT | MR_FN_VARIADIC | MR_FN_STABLE, concat_any,
		NULL},
	{"concat_ws", T_T, 2, {T_T, T_ANY}, MR_FN_NONSTRICT | MR_FN_VARIADIC | MR_FN_STABLE,
		concat_ws, NULL},
	{"substring", T_T, 2, {T_T, T_I4}, 0, substring, NULL},
	{"substring", T_T, 3, {T_T, T_I4, T_I4}, 0, substring, NULL},
	{"substr", T_T, 2, {T_T, T_I4}, 0, substring, NULL},
	{"substr", T_T, 3, {T_T, T_I4, T_I4}, 0, substring, NULL},
	{"overlay", T_T, 3, {T_T, T_T, T_I4}, 0, overlay, NULL},
	{"overlay", T_T, 4, {T_T, T_T, T_I4, T_I4}, 0, overlay, NULL},
	{"left", T_T, 2, {T_T, T_I4}, 0, left, NULL},
	{"varchar", T_T, 2, {T_T, T_I4}, 0, left, NULL}, // the cast to varchar(n)
	{"right", T_T, 2, {T_T, T_I4}, 0, right, NULL},
	{"strpos", T_I4, 2, {T_T, T_T}, 0, strpos, NULL},
	{"position", T_I4, 2, {T_T, T_T}, 0, strpos, NULL},
	{"starts_with", T_B, 2, {T_T, T_T}, 0, starts_with, NULL},
	{"^@", T_B, 2, {T_T, T_T}, 0, starts_with, NULL},
	{"replace", T_T, 3, {T_T, T_T, T_T}, 0, replace, NULL},
	{"translate", T_T, 3, {T_T, T_T, T_T}, 0, translate, NULL},
	{"split_part", T_T, 3, {T_T, T_T, T_I4}, 0, split_part, NULL},
	{"lpad", T_T, 2, {T_T, T_I4}, 0, lpad, NULL},
	{"lpad", T_T, 3, {T_T, T_I4, T_T}, 0, lpad, NULL},
	{"rpad", T_T, 2, {T_T, T_I4}, 0, rpad, NULL},
	{"rpad", T_T, 3, {T_T, T_I4, T_T}, 0, rpad, NULL},
	{"repeat", T_T, 2, {T_T, T_I4}, 0, repeat, NULL},
	{"ascii", T_I4, 1, {T_T}, 0, ascii, NULL},
	{"chr", T_T, 1, {T_I4}, 0, chr, NULL},
	{"to_hex", T_T, 1, {T_I4}, 0, to_hex, NULL},
	{"to_hex", T_T, 1, {T_I8}, 0, to_hex, NULL},
	{"~~", T_B, 2, {T_T, T_T}, 0, like_plain, NULL},
	{"~~", T_B, 3, {T_T, T_T, T_T}, 0, like_plain, NULL},
	{"~~*", T_B, 2, {T_T, T_T}, 0, like_fold, NULL},
	{"~~*", T_B, 3, {T_T, T_T, T_T}, 0, like_fold, NULL},
};

const struct mr_fn_family mr_fn_text = {fns, MR_COUNT_OF(fns)};
