// to_char, to_date and to_timestamp with templates.
//
// Templates of dates and times: YYYY YYY YY Y, MONTH Month month MON Mon mon MM, DD DDD D, DAY Day
// day DY Dy dy, HH HH12 HH24, MI, SS, MS, US, AM PM am pm, Q, WW IW IYYY ID, TZ OF, FM before any,
// and text in double quotes.
#include "host/sql/fn_int.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July",
	"August", "September", "October", "November", "December"};
static const char *const days[] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

enum token {
	K_YYYY,
	K_YYY,
	K_YY,
	K_Y,
	K_IYYY,
	K_MONTH,
	K_MON,
	K_MM,
	K_DDD,
	K_DD,
	K_D,
	K_DAY,
	K_DY,
	K_HH24,
	K_HH12,
	K_HH,
	K_MI,
	K_SSSS,
	K_SS,
	K_MS,
	K_US,
	K_AM,
	K_PM,
	K_Q,
	K_WW,
	K_IW,
	K_ID,
	K_TZ,
	K_OF,
	K_NONE,
};

static const struct {
	const char *text;
	enum token token;
	bool exact; // case chooses the spelling of the result
} tokens[] = {
	{"YYYY", K_YYYY, false},
	{"YYY", K_YYY, false},
	{"YY", K_YY, false},
	{"Y", K_Y, false},
	{"IYYY", K_IYYY, false},
	{"MONTH", K_MONTH, true},
	{"MON", K_MON, true},
	{"MM", K_MM, false},
	{"DDD", K_DDD, false},
	{"DD", K_DD, false},
	{"DAY", K_DAY, true},
	{"DY", K_DY, true},
	{"D", K_D, false},
	{"HH24", K_HH24, false},
	{"HH12", K_HH12, false},
	{"HH", K_HH, false},
	{"MI", K_MI, false},
	{"SSSS", K_SSSS, false},
	{"SS", K_SS, false},
	{"MS", K_MS, false},
	{"US", K_US, false},
	{"AM", K_AM, true},
	{"PM", K_PM, true},
	{"Q", K_Q, false},
	{"WW", K_WW, false},
	{"IW", K_IW, false},
	{"ID", K_ID, false},
	{"TZ", K_TZ, true},
	{"OF", K_OF, false},
};

static enum token next_token(struct mr_span f, size_t at, size_t *bytes)
{
	for (size_t i = 0; i < MR_COUNT_OF(tokens); i++) {
		size_t n = strlen(tokens[i].text);

		if (f.bytes - at >= n &&
			strncasecmp((const char *)f.data + at, tokens[i].text, n) == 0) {
			*bytes = n;
			return tokens[i].token;
		}
	}
	*bytes = 1;
	return K_NONE;
}

// A name in the case of its template: MONTH, Month or month; padded to nine unless FM.
static void put_name(struct mr_buf *b, const char *name, size_t bytes, const uint8_t *as, bool fill)
{
	bool first = isupper(as[0]), rest = isupper(as[1]);
	size_t n = 0;

	for (; name[n] && n < bytes; n++)
		mr_buf_u8(b, (uint8_t)((n ? rest : first) ? toupper(name[n]) : tolower(name[n])));
	for (; fill && n < 9; n++)
		mr_buf_u8(b, ' ');
}

static int64_t field(enum mr_field f, int64_t local)
{
	__int128 m;
	int scale;

	return mr_ts_extract(f, local, NULL, &m, &scale) < 0 ? 0 : (int64_t)(m / 1000000);
}

struct stamp {
	struct mr_civil civil;
	int64_t local;
	int32_t offset; // seconds east
	const char *zone;
};

static void put_number(struct mr_buf *b, int64_t v, int width, bool fm)
{
	mr_buf_printf(b, "%0*lld", fm ? 0 : width, (long long)v);
}

static void put_token(
	struct mr_buf *b, enum token k, const uint8_t *as, const struct stamp *s, bool fm)
{
	const struct mr_civil *c = &s->civil;
	int year = c->year > 0 ? c->year : 1 - c->year;
	int hour12 = c->hour % 12 ? c->hour % 12 : 12;
	const char *half = c->hour < 12 ? "am" : "pm";
	int64_t dow = field(MR_FIELD_DOW, s->local);

	switch (k) {
	case K_YYYY: put_number(b, year, 4, fm); break;
	case K_YYY: put_number(b, year % 1000, 3, fm); break;
	case K_YY: put_number(b, year % 100, 2, fm); break;
	case K_Y: put_number(b, year % 10, 1, fm); break;
	case K_IYYY: put_number(b, field(MR_FIELD_ISOYEAR, s->local), 4, fm); break;
	case K_MONTH: put_name(b, months[c->month - 1], 9, as, !fm); break;
	case K_MON: put_name(b, months[c->month - 1], 3, as, false); break;
	case K_MM: put_number(b, c->month, 2, fm); break;
	case K_DDD: put_number(b, field(MR_FIELD_DOY, s->local), 3, fm); break;
	case K_DD: put_number(b, c->day, 2, fm); break;
	case K_D: put_number(b, dow + 1, 1, fm); break;
	case K_DAY: put_name(b, days[dow], 9, as, !fm); break;
	case K_DY: put_name(b, days[dow], 3, as, false); break;
	case K_HH24: put_number(b, c->hour, 2, fm); break;
	case K_HH12:
	case K_HH: put_number(b, hour12, 2, fm); break;
	case K_MI: put_number(b, c->minute, 2, fm); break;
	case K_SSSS: put_number(b, c->hour * 3600 + c->minute * 60 + c->second, 1, fm); break;
	case K_SS: put_number(b, c->second, 2, fm); break;
	case K_MS: put_number(b, c->us / 1000, 3, fm); break;
	case K_US: put_number(b, c->us, 6, fm); break;
	case K_AM:
	case K_PM: put_name(b, half, 2, as, false); break;
	case K_Q: put_number(b, (c->month + 2) / 3, 1, fm); break;
	case K_WW: put_number(b, (field(MR_FIELD_DOY, s->local) - 1) / 7 + 1, 2, fm); break;
	case K_IW: put_number(b, field(MR_FIELD_WEEK, s->local), 2, fm); break;
	case K_ID: put_number(b, field(MR_FIELD_ISODOW, s->local), 1, fm); break;
	case K_TZ:
		for (const char *p = s->zone; *p; p++)
			mr_buf_u8(b, (uint8_t)(isupper(as[0]) ? toupper(*p) : tolower(*p)));
		break;
	case K_OF:
		mr_buf_printf(b, "%c%02d", s->offset < 0 ? '-' : '+', abs(s->offset) / 3600);
		if (s->offset % 3600)
			mr_buf_printf(b, ":%02d", abs(s->offset) / 60 % 60);
		break;
	case K_NONE: break;
	}
}

static void format_stamp(struct mr_buf *b, const struct stamp *s, struct mr_span f)
{
	size_t bytes;

	for (size_t at = 0; at < f.bytes; at += bytes) {
		bool fm = f.bytes - at > 2 && strncasecmp((const char *)f.data + at, "FM", 2) == 0;
		enum token k;

		if (f.data[at] == '"') {
			for (bytes = 1; at + bytes < f.bytes && f.data[at + bytes] != '"'; bytes++)
				mr_buf_u8(b, f.data[at + bytes]);
			bytes++;
			continue;
		}
		at += fm ? 2 : 0;
		k = next_token(f, at, &bytes);
		if (k == K_NONE)
			mr_buf_u8(b, f.data[at]);
		else
			put_token(b, k, f.data + at, s, fm);
	}
}

static int char_at(struct mr_fn_call *c, int64_t local, int32_t offset, const char *zone,
	struct mr_span f, void *out)
{
	struct stamp s = {.local = local, .offset = offset, .zone = zone};
	struct mr_buf b = {.bytes_limit = 1 << 20};
	int rc;

	if (!mr_ts_is_finite(local))
		return 1;
	s.civil = mr_civil_from_ts(local);
	format_stamp(&b, &s, f);
	rc = b.failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, b.data, b.bytes, out);
	mr_buf_fini(&b);
	return rc;
}

static int char_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	return char_at(c, ARG(int64_t, 0), 0, "", fn_span(a[1]), out);
}

static int char_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	const struct mr_tz *tz = c->ev->query->tz;
	int64_t t = ARG(int64_t, 0);
	const char *zone = "UTC";
	int32_t offset = mr_ts_is_finite(t) ? mr_tz_offset(tz, t, &zone) : 0;

	return char_at(c, mr_ts_is_finite(t) ? t + (int64_t)offset * MR_US_PER_S : t, offset, zone,
		fn_span(a[1]), out);
}

// ---- Reading ----

static int read_digits(struct mr_span s, size_t *at, int most, int *out)
{
	int n = 0;

	*out = 0;
	while (*at < s.bytes && s.data[*at] == ' ')
		(*at)++;
	for (; n < most && *at < s.bytes && isdigit(s.data[*at]); n++)
		*out = *out * 10 + (s.data[(*at)++] - '0');
	return n;
}

static int read_name(struct mr_span s, size_t *at, const char *const *names, int count, size_t most)
{
	for (int i = 0; i < count; i++) {
		size_t n = MR_MIN(strlen(names[i]), most);

		if (s.bytes - *at >= n &&
			strncasecmp((const char *)s.data + *at, names[i], n) == 0) {
			*at += n;
			return i + 1;
		}
	}
	return 0;
}

static int read_token(struct mr_fn_call *c, enum token k, struct mr_span s, size_t *at,
	struct mr_civil *v, int *pm)
{
	int n = 0, digits = 0;

	switch (k) {
	case K_YYYY: digits = read_digits(s, at, 9, &v->year); break;
	case K_YY:
		digits = read_digits(s, at, 2, &n);
		v->year = n + (n < 70 ? 2000 : 1900);
		break;
	case K_MONTH: digits = v->month = read_name(s, at, months, 12, 99); break;
	case K_MON: digits = v->month = read_name(s, at, months, 12, 3); break;
	case K_MM: digits = read_digits(s, at, 2, &v->month); break;
	case K_DD: digits = read_digits(s, at, 2, &v->day); break;
	case K_DAY: digits = read_name(s, at, days, 7, 99); break;
	case K_DY: digits = read_name(s, at, days, 7, 3); break;
	case K_HH24:
	case K_HH12:
	case K_HH: digits = read_digits(s, at, 2, &v->hour); break;
	case K_MI: digits = read_digits(s, at, 2, &v->minute); break;
	case K_SS: digits = read_digits(s, at, 2, &v->second); break;
	case K_MS:
	case K_US:
		digits = read_digits(s, at, k == K_MS ? 3 : 6, &v->us);
		for (n = digits; n < 6; n++)
			v->us *= 10;
		break;
	case K_AM:
	case K_PM:
		digits = s.bytes - *at >= 2;
		*pm = digits && tolower(s.data[*at]) == 'p' ? 1 : 0;
		*at += digits ? 2 : 0;
		break;
	default: return mr_fn_error(c, "0A000", "this template is not supported for reading");
	}
	if (!digits)
		return mr_fn_error(c, "22007", "invalid value for \"%s\" in to_timestamp",
			tokens[k < K_NONE ? (size_t)k : 0].text);
	return 0;
}

static int parse_stamp(struct mr_fn_call *c, struct mr_span s, struct mr_span f, int64_t *out)
{
	struct mr_civil v = {.year = 1, .month = 1, .day = 1};
	size_t at = 0, bytes;
	int pm = -1;

	for (size_t i = 0; i < f.bytes; i += bytes) {
		enum token k;

		if (f.bytes - i > 2 && strncasecmp((const char *)f.data + i, "FM", 2) == 0)
			i += 2;
		k = next_token(f, i, &bytes);
		if (k == K_NONE) {
			at += at < s.bytes && !isalnum(s.data[at]);
			continue;
		}
		if (read_token(c, k, s, &at, &v, &pm) < 0)
			return -EINVAL;
	}
	if (pm >= 0)
		v.hour = v.hour % 12 + pm * 12;
	if (mr_civil_to_ts(&v, out) < 0)
		return mr_fn_error(c, "22008", "date/time field value out of range: \"%.*s\"",
			(int)s.bytes, (const char *)s.data);
	return 0;
}

static int text_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t local;
	int rc = parse_stamp(c, fn_span(a[0]), fn_span(a[1]), &local);

	if (rc == 0)
		RESULT(int64_t) = mr_tz_to_utc(c->ev->query->tz, local);
	return rc;
}

static int text_date(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t local;
	int rc = parse_stamp(c, fn_span(a[0]), fn_span(a[1]), &local);

	if (rc == 0)
		RESULT(int32_t) = (int32_t)(local / MR_US_PER_DAY - (local % MR_US_PER_DAY < 0));
	return rc;
}

#define ST MR_FN_STABLE

static const struct mr_fn fns[] = {
	{"to_char", T_T, 2, {T_TS, T_T}, 0, char_ts, NULL},
	{"to_char", T_T, 2, {T_TZ, T_T}, ST, char_tz, NULL},
	{"to_timestamp", T_TZ, 2, {T_T, T_T}, ST, text_tz, NULL},
	{"to_date", T_D, 2, {T_T, T_T}, ST, text_date, NULL},
};

const struct mr_fn_family mr_fn_format = {fns, MR_COUNT_OF(fns)};
