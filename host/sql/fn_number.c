// to_char of numbers and to_number: PostgreSQL's templates (manual, table 9.28), locale C.
//
// The number is written as plain digits first, with as many behind the point as the template has;
// the template then takes them one by one. Where there are more digits before the point than the
// template has places, all its places become '#'.
#include "host/sql/fn_int.h"

#include <ctype.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

enum token {
	N_9,
	N_0,
	N_POINT,
	N_COMMA,
	N_S,
	N_PL,
	N_MI,
	N_SG,
	N_PR,
	N_L,
	N_RN,
	N_TH,
	N_V,
	N_EEEE,
	N_FM,
	N_SKIP,
	N_TEXT
};

// Of patterns that begin alike the longest comes first; all in capitals or in small letters.
static const struct {
	const char *text;
	uint8_t token;
} patterns[] = {{",", N_COMMA}, {".", N_POINT}, {"0", N_0}, {"9", N_9}, {"B", N_SKIP},
	{"C", N_SKIP}, {"D", N_POINT}, {"EEEE", N_EEEE}, {"FM", N_FM}, {"G", N_COMMA}, {"L", N_L},
	{"MI", N_MI}, {"PL", N_PL}, {"PR", N_PR}, {"RN", N_RN}, {"SG", N_SG}, {"SP", N_SKIP},
	{"S", N_S}, {"TH", N_TH}, {"V", N_V}};

enum { POST_MAX = MR_DEC_SCALE_MAX, LINE_BYTES = 512 };

// What a template has in all.
struct shape {
	int pre, post, multi; // places before and behind the point, and behind V
	int zero_start;       // of the first 0 before the point, from 1; 0 = none
	int zero_end;
	int sign_at; // places before S
	bool zero, point, fill, sign, sign_behind, plus, minus, bracket, roman, scientific, v;
};

struct piece {
	enum token token;
	const uint8_t *at;
	size_t bytes;
	bool upper;
};

// False at the end.
static bool next_piece(struct mr_span f, size_t from, bool *in_quotes, struct piece *p)
{
	size_t at = from;

	while (at < f.bytes && f.data[at] == '"') {
		*in_quotes = !*in_quotes;
		at++;
	}
	*p = (struct piece){.token = N_TEXT, .at = f.data + at, .bytes = at + 1 - from};
	for (size_t i = 0; i < MR_COUNT_OF(patterns) && !*in_quotes; i++) {
		size_t n = strlen(patterns[i].text);
		bool upper = true, lower = true;

		if (f.bytes - at < n)
			continue;
		for (size_t k = 0; k < n; k++) {
			upper &= f.data[at + k] == patterns[i].text[k];
			lower &= f.data[at + k] == tolower(patterns[i].text[k]);
		}
		if (upper || lower) {
			p->token = (enum token)patterns[i].token;
			p->bytes = at + n - from;
			p->upper = upper;
			return true;
		}
	}
	if (at + 1 < f.bytes && f.data[at] == '\\' && (*in_quotes || f.data[at + 1] == '"')) {
		p->at++;
		p->bytes++;
	}
	return at < f.bytes;
}

static int misplaced(struct mr_fn_call *c, const char *what)
{
	return mr_fn_error(c, "42601", "%s", what);
}

static int add_place(struct mr_fn_call *c, struct shape *s, bool zero)
{
	if (s->bracket)
		return misplaced(c,
			zero ? "\"0\" must be ahead of \"PR\"" : "\"9\" must be ahead of \"PR\"");
	if (!zero && s->v) {
		s->multi++;
		return 0;
	}
	if (zero && !s->zero && !s->point) {
		s->zero = true;
		s->zero_start = s->pre + 1;
	}
	if (s->point)
		s->post++;
	else
		s->pre++;
	if (zero)
		s->zero_end = s->pre + s->post;
	return 0;
}

static int add_sign(struct mr_fn_call *c, struct shape *s, enum token k)
{
	if (k == N_S) {
		if (s->sign)
			return misplaced(c, "cannot use \"S\" twice");
		if (s->plus || s->minus || s->bracket)
			return misplaced(
				c, "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
		s->sign = true;
		s->sign_behind = s->point;
		s->sign_at = s->pre;
		return 0;
	}
	if (s->sign || (k == N_PR && (s->plus || s->minus)))
		return misplaced(c, "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
	s->plus |= k == N_PL || k == N_SG;
	s->minus |= k == N_MI || k == N_SG;
	s->bracket |= k == N_PR;
	return 0;
}

static int add_piece(struct mr_fn_call *c, struct shape *s, enum token k)
{
	if (s->scientific && k != N_TEXT)
		return misplaced(c, "\"EEEE\" must be the last pattern used");
	switch (k) {
	case N_9: return add_place(c, s, false);
	case N_0: return add_place(c, s, true);
	case N_POINT:
		if (s->point)
			return misplaced(c, "multiple decimal points");
		if (s->v)
			return misplaced(c, "cannot use \"V\" and decimal point together");
		s->point = true;
		return 0;
	case N_S:
	case N_PL:
	case N_MI:
	case N_SG:
	case N_PR: return add_sign(c, s, k);
	case N_V:
		if (s->point)
			return misplaced(c, "cannot use \"V\" and decimal point together");
		s->v = true;
		return 0;
	case N_EEEE:
		if (s->fill || s->sign || s->plus || s->minus || s->bracket || s->roman || s->v)
			return misplaced(c, "\"EEEE\" is incompatible with other formats");
		s->scientific = true;
		return 0;
	case N_FM: s->fill = true; return 0;
	case N_RN: s->roman = true; return 0;
	default: return 0;
	}
}

static int read_shape(struct mr_fn_call *c, struct mr_span f, struct shape *s)
{
	bool quotes = false;
	struct piece p;
	int rc = 0;

	*s = (struct shape){0};
	for (size_t at = 0; rc == 0 && next_piece(f, at, &quotes, &p); at += p.bytes)
		rc = add_piece(c, s, p.token);
	if (rc == 0 && (s->pre > 200 || s->post > POST_MAX || s->multi > 30))
		return mr_fn_error(c, "0A000", "a template of so many digits is not supported");
	return rc;
}

// ---- Writing ----

struct writer {
	struct mr_buf *out;
	struct shape s;
	char sign;
	char number[LINE_BYTES]; // digits, and those behind the point
	const char *at;
	const char *last; // with FM: the last digit behind the point to show, or the point
	int spaces;       // places before the first digit
	int count;
	int place;
	bool signed_yet, digits_yet;
};

static bool leading_zero(const struct writer *w)
{
	return !w->s.zero && w->at == w->number && w->number[0] == '0' && w->s.post != 0;
}

static void write_sign(struct writer *w)
{
	bool due = w->place >= w->spaces || (w->s.zero && w->s.zero_start - 1 == w->place);

	if (w->signed_yet || !due || (leading_zero(w) && !(w->last && *w->last == '.')))
		return;
	if (w->s.sign) {
		if (w->s.sign_behind)
			return;
		mr_buf_u8(w->out, (uint8_t)w->sign);
	} else if (w->s.bracket) {
		mr_buf_u8(w->out, w->sign == '+' ? ' ' : '<');
	} else if (w->sign == '-') {
		mr_buf_u8(w->out, '-');
	} else if (!w->s.fill) {
		mr_buf_u8(w->out, ' ');
	}
	w->signed_yet = true;
}

static void write_digit(struct writer *w, enum token k)
{
	bool point_last = w->last && *w->last == '.';

	if (*w->at == '.') {
		if (!point_last || w->s.fill)
			mr_buf_u8(w->out, '.');
	} else if (w->last && w->at > w->last && k != N_0) {
		// FM hides it.
	} else if (leading_zero(w)) {
		if (!w->s.fill)
			mr_buf_u8(w->out, ' ');
		else if (point_last)
			mr_buf_u8(w->out, '0');
	} else if (*w->at) {
		mr_buf_u8(w->out, (uint8_t)*w->at);
		w->digits_yet = true;
	}
	w->at += *w->at != 0;
}

static void write_place(struct writer *w, enum token k)
{
	bool padded = w->place < w->spaces;
	int end;

	if (w->s.roman)
		return;
	write_sign(w);
	if (padded && (!w->s.zero || w->s.zero_start - 1 > w->place)) {
		if (!w->s.fill)
			mr_buf_u8(w->out, ' ');
	} else if (padded) {
		mr_buf_u8(w->out, '0');
		w->digits_yet = true;
	} else {
		write_digit(w, k);
	}
	end = w->count + (w->spaces ? 1 : 0) + w->s.point;
	if (w->last && w->last == w->at)
		end = w->place;
	if (w->place + 1 == end) {
		if (w->signed_yet && w->s.bracket)
			mr_buf_u8(w->out, w->sign == '+' ? ' ' : '>');
		else if (w->s.sign && w->s.sign_behind)
			mr_buf_u8(w->out, (uint8_t)w->sign);
	}
	w->place++;
}

static void write_th(struct writer *w, bool upper)
{
	static const char *const small[] = {"th", "st", "nd", "rd"};
	static const char *const capital[] = {"TH", "ST", "ND", "RD"};
	size_t n = strlen(w->number);
	int last = n ? w->number[n - 1] - '0' : 0;

	if (w->s.roman || w->number[0] == '#' || w->sign == '-' || w->s.point)
		return;
	if (last > 3 || last < 0 || (n > 1 && w->number[n - 2] == '1'))
		last = 0;
	mr_buf_str(w->out, upper ? capital[last] : small[last]);
}

static void write_roman(struct writer *w, bool upper)
{
	size_t n = strlen(w->number);

	for (; !w->s.fill && n < 15; n++)
		mr_buf_u8(w->out, ' ');
	for (const char *p = w->number; *p; p++)
		mr_buf_u8(w->out, (uint8_t)(upper ? *p : tolower(*p)));
}

static void write_piece(struct writer *w, const struct piece *p)
{
	bool fill = w->s.fill;

	switch (p->token) {
	case N_9:
	case N_0:
	case N_POINT: write_place(w, p->token); break;
	case N_COMMA:
		if (w->digits_yet || !fill)
			mr_buf_u8(w->out, w->digits_yet ? ',' : ' ');
		break;
	case N_L: mr_buf_u8(w->out, ' '); break;
	case N_RN: write_roman(w, p->upper); break;
	case N_TH: write_th(w, p->upper); break;
	case N_MI:
		if (w->sign == '-' || !fill)
			mr_buf_u8(w->out, w->sign == '-' ? '-' : ' ');
		break;
	case N_PL:
		if (w->sign == '+' || !fill)
			mr_buf_u8(w->out, w->sign == '+' ? '+' : ' ');
		break;
	case N_SG: mr_buf_u8(w->out, (uint8_t)w->sign); break;
	case N_TEXT: mr_buf_u8(w->out, *p->at); break;
	default: break;
	}
}

static void set_last(struct writer *w)
{
	char *point = strchr(w->number, '.');
	const char *zero;
	size_t n = strlen(w->number);

	if (!w->s.fill || !w->s.point || !point)
		return;
	w->last = point;
	for (const char *p = point + 1; *p; p++)
		if (*p != '0')
			w->last = p;
	if (w->s.zero_end <= w->spaces)
		return;
	zero = w->number + MR_MIN((int)n - 1, w->s.zero_end - w->spaces);
	w->last = MR_MAX(w->last, zero);
}

static int write_all(struct mr_fn_call *c, struct writer *w, struct mr_span f, void *out)
{
	struct mr_buf b = {.bytes_limit = 1 << 20};
	bool quotes = false;
	struct piece p;
	int rc;

	w->out = &b;
	w->at = w->number;
	w->signed_yet = w->s.plus || w->s.minus ? !(w->s.plus && !w->s.minus)
						: w->sign == '+' && w->s.fill && !w->s.sign;
	if (w->sign == '+' && w->s.fill)
		w->s.bracket = false;
	if (w->s.sign && !w->s.sign_behind && w->s.pre == w->s.sign_at)
		w->s.sign_behind = true;
	set_last(w);
	w->count = w->s.post + w->s.pre - 1 + (!w->signed_yet && w->spaces == 0);
	for (size_t at = 0; next_piece(f, at, &quotes, &p); at += p.bytes)
		write_piece(w, &p);
	rc = b.failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, b.data, b.bytes, out);
	mr_buf_fini(&b);
	return rc;
}

// `text` is the number with its sign, rounded to the template's digits.
static int write_plain(
	struct mr_fn_call *c, struct writer *w, const char *text, struct mr_span f, void *out)
{
	int pre = w->s.pre + w->s.multi, digits;

	w->s.pre = pre;
	w->sign = *text == '-' ? '-' : '+';
	snprintf(w->number, sizeof(w->number), "%s", text + (*text == '-'));
	digits = (int)strcspn(w->number, ".");
	if (digits < pre) {
		w->spaces = pre - digits;
	} else if (digits > pre) {
		memset(w->number, '#', (size_t)(pre + w->s.post + 1));
		w->number[pre] = '.';
		w->number[pre + w->s.post + 1] = 0;
	}
	return write_all(c, w, f, out);
}

static int write_as_roman(
	struct mr_fn_call *c, struct writer *w, int64_t v, struct mr_span f, void *out)
{
	static const struct {
		int value;
		const char *text;
	} steps[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"},
		{50, "L"}, {40, "XL"}, {10, "X"}, {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"}};
	char *at = w->number;

	w->s = (struct shape){.roman = true, .fill = w->s.fill};
	if (v < 1 || v > 3999) {
		memset(w->number, '#', 15);
	} else {
		for (size_t i = 0; i < MR_COUNT_OF(steps); i++)
			for (; v >= steps[i].value; v -= steps[i].value)
				at = stpcpy(at, steps[i].text);
	}
	w->sign = '+';
	return write_all(c, w, f, out);
}

static int write_scientific(struct mr_fn_call *c, const struct writer *w, double v, void *out)
{
	char text[LINE_BYTES];
	int n;

	if (isfinite(v)) {
		n = snprintf(text, sizeof(text), "% .*e", w->s.post, v);
	} else {
		n = w->s.pre + w->s.post + 6;
		memset(text, '#', (size_t)n);
		text[0] = ' ';
		text[w->s.pre + 1] = '.';
	}
	return mr_fn_str(c, text, (size_t)n, out);
}

// The exponent is that of the number before it is rounded, as in PostgreSQL: 99.995 is 10.00e+01.
static int dec_scientific(struct mr_fn_call *c, const struct writer *w, struct mr_dec d, void *out)
{
	char digits[MR_DEC_TEXT_BYTES], text[LINE_BYTES];
	mr_i128 v = mr_dec_coefficient(d);
	int exponent = -(int)mr_dec_scale(d);
	struct mr_dec one;

	if (mr_dec_is_nan(d))
		return write_scientific(c, w, (double)NAN, out);
	for (mr_i128 rest = v; rest / 10 != 0; rest /= 10)
		exponent++;
	if (v == 0)
		exponent = 0;
	one = mr_dec_make(v, (unsigned)MR_MAX(exponent + (int)mr_dec_scale(d), 0));
	if (mr_dec_round(one, w->s.post, &one) < 0)
		return mr_fn_out_of_range(c, MR_TYPE_NUMERIC);
	mr_dec_format(one, digits);
	snprintf(text, sizeof(text), "%s%se%c%02d", v < 0 ? "" : " ", digits,
		exponent < 0 ? '-' : '+', abs(exponent));
	return mr_fn_str(c, text, strlen(text), out);
}

static int start(struct mr_fn_call *c, const void *format, struct writer *w)
{
	*w = (struct writer){.sign = '+'};
	return read_shape(c, fn_span(format), &w->s);
}

static int char_dec(struct mr_fn_call *c, struct writer *w, struct mr_dec d, const void *format,
	enum mr_type type, void *out)
{
	char text[MR_DEC_TEXT_BYTES];
	int rc = 0;

	if (w->s.multi)
		rc = mr_dec_mul(d, mr_dec_make(mr_dec_pow10((unsigned)w->s.multi), 0), &d);
	if (rc == 0)
		rc = mr_dec_round(d, w->s.post, &d);
	if (rc < 0 ||
		(type == MR_TYPE_INT4 && w->s.multi &&
			mr_dec_coefficient(d) != (int32_t)mr_dec_coefficient(d)) ||
		(type == MR_TYPE_INT8 && w->s.multi &&
			mr_dec_coefficient(d) != (int64_t)mr_dec_coefficient(d)))
		return mr_fn_out_of_range(c, type);
	mr_dec_format(d, text);
	return write_plain(c, w, text, fn_span(format), out);
}

static int char_int(
	struct mr_fn_call *c, int64_t v, enum mr_type type, const void *format, void *out)
{
	struct writer w;
	int rc = start(c, format, &w);

	if (rc != 0)
		return rc;
	if (w.s.scientific)
		return write_scientific(c, &w, (double)v, out);
	if (w.s.roman)
		return v == (int32_t)v ? write_as_roman(c, &w, v, fn_span(format), out)
				       : mr_fn_out_of_range(c, MR_TYPE_INT4);
	return char_dec(c, &w, mr_dec_from_i64(v), format, type, out);
}

static int char_i4(struct mr_fn_call *c, const void *const *a, void *out)
{
	return char_int(c, ARG(int32_t, 0), MR_TYPE_INT4, a[1], out);
}

static int char_i8(struct mr_fn_call *c, const void *const *a, void *out)
{
	return char_int(c, ARG(int64_t, 0), MR_TYPE_INT8, a[1], out);
}

static int char_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec d = ARG(struct mr_dec, 0);
	struct writer w;
	int64_t whole;
	int rc = start(c, a[1], &w);

	if (rc != 0)
		return rc;
	if (w.s.scientific)
		return dec_scientific(c, &w, d, out);
	if (w.s.roman && mr_dec_is_nan(d))
		return mr_fn_error(c, "0A000", "cannot convert NaN to integer");
	if (w.s.roman && (mr_dec_to_i64(d, &whole) < 0 || whole != (int32_t)whole))
		return mr_fn_out_of_range(c, MR_TYPE_INT4);
	if (w.s.roman)
		return write_as_roman(c, &w, whole, fn_span(a[1]), out);
	return char_dec(c, &w, d, a[1], MR_TYPE_NUMERIC, out);
}

// Digits beyond those that the type holds are not shown.
static int char_float(struct mr_fn_call *c, double v, int digits, const void *format, void *out)
{
	char text[LINE_BYTES];
	struct writer w;
	int rc = start(c, format, &w), whole;

	if (rc != 0)
		return rc;
	if (w.s.scientific)
		return write_scientific(c, &w, v, out);
	if (w.s.roman)
		return write_as_roman(
			c, &w, fabs(v) < 4000 ? (int64_t)rint(v) : 0, fn_span(format), out);
	for (int i = 0; i < w.s.multi; i++)
		v *= 10;
	if (!isfinite(v))
		return write_plain(c, &w,
			isnan(v) ? "NaN"
			: v > 0  ? "Infinity"
				 : "-Infinity",
			fn_span(format), out);
	whole = snprintf(text, sizeof(text), "%.0f", fabs(v));
	w.s.post = MR_MAX(MR_MIN(w.s.post, digits - whole), 0);
	snprintf(text, sizeof(text), "%.*f", w.s.post, v);
	return write_plain(c, &w, text, fn_span(format), out);
}

static int char_f4(struct mr_fn_call *c, const void *const *a, void *out)
{
	return char_float(c, (double)ARG(float, 0), FLT_DIG, a[1], out);
}

static int char_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	return char_float(c, ARG(double, 0), DBL_DIG, a[1], out);
}

// ---- Reading ----

struct digits {
	char text[LINE_BYTES];
	size_t bytes;
	bool negative, point;
	int post;
};

static void read_digit(struct digits *d, struct mr_span in, size_t *at, const struct shape *s)
{
	uint8_t ch;

	// A place takes a space, a sign and one character more, whatever it is.
	*at += *at < in.bytes && in.data[*at] == ' ';
	ch = *at < in.bytes ? in.data[*at] : 0;
	if (!d->bytes && (ch == '-' || ch == '+' || (ch == '<' && s->bracket))) {
		d->negative |= ch != '+';
		ch = ++*at < in.bytes ? in.data[*at] : 0;
	}
	if (isdigit(ch) ? !d->point || d->post++ < s->post : ch == '.' && s->point && !d->point) {
		d->point |= ch == '.';
		if (d->bytes < sizeof(d->text) - 2)
			d->text[d->bytes++] = (char)ch;
	}
	*at += ch ? mr_utf8_bytes(ch) : 0;
}

static void read_piece(struct digits *d, const struct piece *p, struct mr_span in, size_t *at,
	const struct shape *s)
{
	uint8_t ch = *at < in.bytes ? in.data[*at] : 0;

	switch (p->token) {
	case N_9:
	case N_0:
	case N_POINT: read_digit(d, in, at, s); break;
	case N_COMMA: *at += ch == ','; break;
	case N_S:
	case N_PL:
	case N_MI:
	case N_SG:
		d->negative |= ch == '-';
		*at += ch == '-' || ch == '+' || (ch == ' ' && p->token != N_S);
		break;
	case N_L:
	case N_TEXT: *at += ch && !strchr("0123456789.,+-", ch) ? mr_utf8_bytes(ch) : 0; break;
	case N_TH: *at += 2; break;
	default: break;
	}
}

static int to_number(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_span in = fn_span(a[0]), f = fn_span(a[1]);
	struct digits d = {.text = "0", .bytes = 0};
	bool quotes = false;
	struct shape s;
	struct piece p;
	size_t from = 0;
	struct mr_dec v;

	if (!f.bytes)
		return 1;
	if (read_shape(c, f, &s) < 0)
		return -EINVAL;
	if (s.roman || s.scientific)
		return mr_fn_error(
			c, "0A000", "\"%s\" not supported for input", s.roman ? "RN" : "EEEE");
	for (size_t at = 0; from < in.bytes && next_piece(f, at, &quotes, &p); at += p.bytes)
		read_piece(&d, &p, in, &from, &s);
	if (!d.bytes || mr_dec_parse(mr_span(d.text, d.bytes), &v) < 0)
		return mr_fn_error(c, "22P02", "invalid input syntax for type numeric: \" \"");
	if (d.negative)
		v = mr_dec_make(-mr_dec_coefficient(v), mr_dec_scale(v));
	RESULT(struct mr_dec) = v;
	if (!s.multi)
		return 0;
	return fn_dec_result(
		c, mr_dec_div(v, mr_dec_make(mr_dec_pow10((unsigned)s.multi), 0), out));
}

static const struct mr_fn fns[] = {
	{"to_char", T_T, 2, {T_I4, T_T}, 0, char_i4, NULL},
	{"to_char", T_T, 2, {T_I8, T_T}, 0, char_i8, NULL},
	{"to_char", T_T, 2, {T_N, T_T}, 0, char_n, NULL},
	{"to_char", T_T, 2, {T_F4, T_T}, 0, char_f4, NULL},
	{"to_char", T_T, 2, {T_F8, T_T}, 0, char_f8, NULL},
	{"to_number", T_N, 2, {T_T, T_T}, 0, to_number, NULL},
};

const struct mr_fn_family mr_fn_number = {fns, MR_COUNT_OF(fns)};
