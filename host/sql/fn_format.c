// to_char of times and intervals.
#include "host/sql/fn_int.h"
#include "host/sql/fn_template.h"

#include <ctype.h>
#include <stdlib.h>

// What is written: the fields of a time, or those of an interval, which know no calendar.
struct stamp {
	struct mr_civil civil;
	int64_t local;
	int32_t offset; // seconds east
	const char *zone;
	bool interval;
};

static int64_t field(enum mr_field f, int64_t local)
{
	mr_i128 m;
	int scale;

	return mr_ts_extract(f, local, NULL, &m, &scale) < 0 ? 0 : (int64_t)(m / 1000000);
}

static int64_t iso_day_of_year(const struct stamp *s)
{
	return (field(MR_FIELD_WEEK, s->local) - 1) * 7 + field(MR_FIELD_ISODOW, s->local);
}

static int64_t day_of_year(const struct stamp *s)
{
	const struct mr_civil *c = &s->civil;

	return s->interval ? (c->year * 12 + c->month) * 30 + c->day
			   : field(MR_FIELD_DOY, s->local);
}

// The month before January is December (an interval's months may be 0).
static int64_t julian(const struct stamp *s)
{
	const struct mr_civil *c = &s->civil;
	bool before = c->month < 1;

	return mr_days_from_civil(c->year - before, before ? c->month + 12 : c->month, 1) + c->day -
	       1 - MR_DATE_MIN;
}

static int64_t shown_year(const struct stamp *s, bool iso)
{
	int64_t y = iso ? field(MR_FIELD_ISOYEAR, s->local) : s->civil.year;

	if (s->interval)
		return y;
	return iso ? llabs(y) : y > 0 ? y : 1 - y;
}

static int64_t century(const struct stamp *s)
{
	int64_t y = s->civil.year;

	return s->interval ? y / 100 : y > 0 ? (y - 1) / 100 + 1 : y / 100 - 1;
}

static int64_t date_number(const struct mr_piece *p, const struct stamp *s, int *width)
{
	static const int64_t powers[] = {1, 10, 100, 1000, INT64_MAX};
	const struct mr_civil *c = &s->civil;

	*width = p->is->digits;
	switch (p->is->token) {
	case K_YEAR: return shown_year(s, false) % powers[p->is->digits];
	case K_ISO_YEAR: return shown_year(s, true) % powers[p->is->digits];
	case K_CENTURY: return century(s);
	case K_MM: return c->month;
	case K_WEEK_OF_MONTH: return (c->day - 1) / 7 + 1;
	case K_WEEK: return (day_of_year(s) - 1) / 7 + 1;
	case K_ISO_WEEK: return field(MR_FIELD_WEEK, s->local);
	case K_DDD: return day_of_year(s);
	case K_ISO_DDD: return iso_day_of_year(s);
	case K_DD: return c->day;
	case K_D: return field(MR_FIELD_DOW, s->local) + 1;
	case K_ISO_D: return field(MR_FIELD_ISODOW, s->local);
	case K_JULIAN: return julian(s);
	default: return (c->month - 1) / 3 + 1; // K_QUARTER
	}
}

static int64_t clock_number(const struct mr_piece *p, const struct stamp *s, int *width)
{
	static const int units[] = {1, 100000, 10000, 1000, 100, 10, 1};
	const struct mr_civil *c = &s->civil;

	*width = p->is->digits;
	switch (p->is->token) {
	case K_HH24: return c->hour;
	case K_HH12: return c->hour % 12 ? c->hour % 12 : 12;
	case K_MI: return c->minute;
	case K_SS: return c->second;
	case K_SECONDS: return (int64_t)c->hour * 3600 + c->minute * 60 + c->second;
	default: return c->us / units[p->is->digits]; // K_FRACTION
	}
}

static void put_ordinal(struct mr_buf *b, int64_t v, char th)
{
	static const char *const small[] = {"th", "st", "nd", "rd"};
	static const char *const capital[] = {"TH", "ST", "ND", "RD"};
	int64_t last = llabs(v) % 10, at = last < 4 && llabs(v) / 10 % 10 != 1 ? last : 0;

	if (th)
		mr_buf_str(b, th == 'H' ? capital[at] : small[at]);
}

static void put_number(struct mr_buf *b, const struct mr_piece *p, const struct stamp *s)
{
	bool clock = p->is->token >= K_HH24, fixed = p->is->token == K_FRACTION;
	bool days = p->is->token == K_DD || p->is->token == K_DDD ||
		    p->is->token == K_WEEK; // the sign takes a digit's place
	int width;
	int64_t v = clock ? clock_number(p, s, &width) : date_number(p, s, &width);

	if (width == 1 || (p->fm && !fixed))
		width = p->is->token == K_FRACTION ? 1 : 0;
	mr_buf_printf(b, "%0*lld", width + (v < 0 && width && !days), (long long)v);
	put_ordinal(b, v, p->th);
}

// In the case of the template: MONTH, Month or month.
static void put_name(
	struct mr_buf *b, const char *name, size_t most, const uint8_t *as, size_t fill)
{
	size_t n = 0;

	for (; name[n] && n < most; n++)
		mr_buf_u8(b, (uint8_t)(isupper(as[n != 0]) ? toupper(name[n]) : tolower(name[n])));
	for (; n < fill; n++)
		mr_buf_u8(b, ' ');
}

static void put_zone(struct mr_buf *b, const struct mr_piece *p, const struct stamp *s)
{
	unsigned minutes = (unsigned)abs(s->offset) / 60;
	char sign = s->offset < 0 ? '-' : '+';

	if (p->is->token == K_TZ_HOUR)
		mr_buf_printf(b, "%c%02u", sign, minutes / 60);
	else if (p->is->token == K_TZ_MINUTE)
		mr_buf_printf(b, "%02u", minutes % 60);
	else
		mr_buf_printf(b, p->fm ? "%c%u" : "%c%02u", sign, minutes / 60);
	if (p->is->token == K_OFFSET && minutes % 60)
		mr_buf_printf(b, ":%02u", minutes % 60);
}

// Two letters, with points where the pattern has them.
static void put_letters(struct mr_buf *b, const struct mr_piece *p, const char *letters)
{
	bool upper = isupper(p->at[0]);

	for (const char *as = p->is->text; *as; as++) {
		char c = *as == '.' ? '.' : *letters++;

		mr_buf_u8(b, (uint8_t)(upper ? c : tolower(c)));
	}
}

// An interval's months may be 0 or negative, then they count from the year's end.
static void put_roman(struct mr_buf *b, const struct mr_piece *p, int32_t month)
{
	const uint8_t as[2] = {p->at[0], p->at[0]};

	if (month)
		put_name(b, mr_template_romans[month < 0 ? month + 12 : month - 1], 4, as,
			p->fm ? 0 : 4);
}

static void put_piece(struct mr_buf *b, const struct mr_piece *p, const struct stamp *s)
{
	const struct mr_civil *c = &s->civil;
	size_t fill = p->fm || p->tm ? 0 : 9;
	int64_t year;

	switch (p->is->token) {
	case K_NONE: mr_buf_u8(b, *p->at); break;
	case K_EXACT: break;
	case K_YEARS_COMMA:
		year = shown_year(s, false);
		mr_buf_printf(b, "%lld,%03lld", (long long)(year / 1000), (long long)(year % 1000));
		put_ordinal(b, year, p->th);
		break;
	case K_ERA: put_letters(b, p, c->year <= 0 ? "BC" : "AD"); break;
	case K_MONTH: put_name(b, mr_template_months[c->month - 1], 9, p->at, fill); break;
	case K_MON: put_name(b, mr_template_months[c->month - 1], 3, p->at, 0); break;
	case K_ROMAN: put_roman(b, p, c->month); break;
	case K_DAY:
		put_name(b, mr_template_days[field(MR_FIELD_DOW, s->local)], 9, p->at, fill);
		break;
	case K_DY: put_name(b, mr_template_days[field(MR_FIELD_DOW, s->local)], 3, p->at, 0); break;
	case K_QUARTER:
		if (c->month)
			put_number(b, p, s);
		break;
	case K_HALF: put_letters(b, p, c->hour % 24 >= 12 ? "PM" : "AM"); break;
	case K_TZ: put_name(b, s->zone, SIZE_MAX, p->at, 0); break;
	case K_TZ_HOUR:
	case K_TZ_MINUTE:
	case K_OFFSET: put_zone(b, p, s); break;
	default: put_number(b, p, s); break;
	}
}

static bool needs_calendar(enum mr_token k)
{
	return k == K_ERA || k == K_MONTH || k == K_MON || k == K_DAY || k == K_DY || k == K_D ||
	       k == K_ISO_D || (k >= K_TZ && k <= K_OFFSET);
}

static int format_stamp(struct mr_fn_call *c, const struct stamp *s, const void *format, void *out)
{
	struct mr_span f = fn_span(format);
	struct mr_buf b = {.bytes_limit = 1 << 20};
	bool quotes = false;
	struct mr_piece p;
	int rc = 0;

	for (size_t at = 0; rc == 0 && mr_template_next(f, at, &quotes, &p); at += p.bytes) {
		enum mr_token k = (enum mr_token)p.is->token;

		if (s->interval && (k == K_ISO_YEAR || k == K_ISO_WEEK || k == K_ISO_DDD))
			rc = mr_fn_error(
				c, "0A000", "\"%s\" of an interval is not supported", p.is->text);
		else if (s->interval && needs_calendar(k))
			rc = mr_fn_error(
				c, "22007", "invalid format specification for an interval value");
		else
			put_piece(&b, &p, s);
	}
	if (rc == 0)
		rc = b.failed ? mr_eval_no_memory(c->ev) : mr_fn_str(c, b.data, b.bytes, out);
	mr_buf_fini(&b);
	return rc;
}

static int char_at(struct mr_fn_call *c, int64_t local, int32_t offset, const char *zone,
	const void *f, void *out)
{
	struct stamp s = {.local = local, .offset = offset, .zone = zone};

	if (!mr_ts_is_finite(local) || !fn_span(f).bytes)
		return 1;
	s.civil = mr_civil_from_ts(local);
	return format_stamp(c, &s, f, out);
}

static int char_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	return char_at(c, ARG(int64_t, 0), 0, "", a[1], out);
}

static int char_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	const struct mr_tz *tz = c->ev->query->tz;
	int64_t t = ARG(int64_t, 0);
	const char *zone = "UTC";
	int32_t offset = mr_ts_is_finite(t) ? mr_tz_offset(tz, t, &zone) : 0;

	return char_at(c, mr_ts_is_finite(t) ? t + (int64_t)offset * MR_US_PER_S : t, offset, zone,
		a[1], out);
}

static int char_iv(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_interval v = ARG(struct mr_interval, 0);
	struct stamp s = {.interval = true, .zone = ""};

	if (!fn_span(a[1]).bytes)
		return 1;
	s.civil = (struct mr_civil){.year = v.months / 12,
		.month = v.months % 12,
		.day = v.days,
		.hour = (int32_t)(v.us / MR_US_PER_H),
		.minute = (int32_t)(v.us / MR_US_PER_MIN % 60),
		.second = (int32_t)(v.us / MR_US_PER_S % 60),
		.us = (int32_t)(v.us % MR_US_PER_S)};
	return format_stamp(c, &s, a[1], out);
}

#define ST MR_FN_STABLE

static const struct mr_fn fns[] = {
	{"to_char", T_T, 2, {T_TS, T_T}, 0, char_ts, NULL},
	{"to_char", T_T, 2, {T_TZ, T_T}, ST, char_tz, NULL},
	{"to_char", T_T, 2, {T_IV, T_T}, 0, char_iv, NULL},
};

const struct mr_fn_family mr_fn_format = {fns, MR_COUNT_OF(fns)};
