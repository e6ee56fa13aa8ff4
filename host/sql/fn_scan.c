// to_date and to_timestamp: reading a text by a template.
//
// As in PostgreSQL: spaces before a field are skipped; a separator in the template stands for one
// separator or nothing; a number behind which no separator can come has just as many digits as its
// pattern. A field given twice must be the same.
#include "host/sql/fn_int.h"
#include "host/sql/fn_template.h"

#include <ctype.h>
#include <stdlib.h>

enum slot {
	S_YEAR,
	S_CENTURY,
	S_MONTH,
	S_DAY,
	S_YEAR_DAY,
	S_WEEK,
	S_MONTH_WEEK,
	S_ISO_YEAR,
	S_ISO_WEEK,
	S_ISO_DAY,
	S_ISO_YEAR_DAY,
	S_WEEK_DAY,
	S_JULIAN,
	S_HOUR,
	S_MINUTE,
	S_SECOND,
	S_SECONDS,
	S_US,
	S_HALF,
	S_ERA,
	S_TZ_HOUR,
	S_TZ_MINUTE,
	S_COUNT,
};

struct scan {
	struct mr_fn_call *c;
	struct mr_span text;
	size_t at;
	int64_t v[S_COUNT];
	bool set[S_COUNT];
	bool twelve; // hours of a clock of twelve
	bool short_year;
	int tz_sign;
	bool exact; // FX
	int64_t skipped;
};

static bool at_end(const struct scan *s)
{
	return s->at >= s->text.bytes;
}

static uint8_t peek(const struct scan *s)
{
	return at_end(s) ? 0 : s->text.data[s->at];
}

static bool is_separator(uint8_t ch)
{
	return isspace(ch) || (ch > 0x20 && ch < 0x7f && !isalnum(ch));
}

static int bad_value(struct scan *s, const struct mr_piece *p)
{
	return mr_fn_error(s->c, "22007", "invalid value \"%.*s\" for \"%s\"",
		(int)MR_MIN(s->text.bytes - s->at, 20u), (const char *)s->text.data + s->at,
		p->is->text);
}

static int put(struct scan *s, const struct mr_piece *p, enum slot slot, int64_t v)
{
	if (s->set[slot] && s->v[slot] != v)
		return mr_fn_error(s->c, "22007",
			"conflicting values for \"%s\" field in formatting string", p->is->text);
	s->set[slot] = true;
	s->v[slot] = v;
	return 0;
}

// `fixed`: just the pattern's digits. The count of characters read, or negative.
static int read_number(struct scan *s, const struct mr_piece *p, bool fixed, int64_t *out)
{
	size_t start, end, most;
	bool negative = false;

	while (isspace(peek(s)))
		s->at++;
	start = end = s->at;
	most = fixed && p->is->digits ? s->at + p->is->digits : SIZE_MAX;
	if (most != SIZE_MAX && most > s->text.bytes)
		return mr_fn_error(s->c, "22007",
			"source string too short for \"%s\" formatting field", p->is->text);
	if (end < s->text.bytes && (s->text.data[end] == '-' || s->text.data[end] == '+'))
		negative = s->text.data[end++] == '-';
	*out = 0;
	for (; end < s->text.bytes && end < most && isdigit(s->text.data[end]); end++) {
		*out = *out * 10 + (s->text.data[end] - '0');
		if (*out > INT32_MAX)
			return mr_fn_error(s->c, "22008",
				"value for \"%s\" in source string is out of range", p->is->text);
	}
	if (end == start || !isdigit(s->text.data[end - 1]) || (most != SIZE_MAX && end < most))
		return bad_value(s, p);
	*out = negative ? -*out : *out;
	s->at = end;
	return (int)(end - start);
}

static int read_word(
	struct scan *s, const struct mr_piece *p, const char *const *names, int count, size_t most)
{
	for (int i = 0; i < count; i++) {
		size_t n = MR_MIN(strlen(names[i]), most);

		if (s->text.bytes - s->at >= n &&
			strncasecmp((const char *)s->text.data + s->at, names[i], n) == 0) {
			s->at += n;
			return i;
		}
	}
	return bad_value(s, p);
}

// Two digits are of 1970 to 2069, three of 1520 to 2519.
static int64_t whole_year(int64_t year, int digits)
{
	if (digits >= 4 || year < 0)
		return year;
	return year < 70    ? year + 2000
	       : year < 100 ? year + 1900
	       : year < 520 ? year + 2000
			    : year + 1000;
}

static int put_fraction(struct scan *s, const struct mr_piece *p, int64_t v, int digits)
{
	for (; digits < 6; digits++)
		v *= 10;
	return put(s, p, S_US, v);
}

static int read_comma_year(struct scan *s, const struct mr_piece *p)
{
	int64_t thousands, rest;
	int rc = read_number(s, p, false, &thousands);

	if (rc < 0)
		return rc;
	if (peek(s) != ',')
		return bad_value(s, p);
	s->at++;
	rc = read_number(s, p, false, &rest);
	return rc < 0 ? rc : put(s, p, S_YEAR, thousands * 1000 + rest);
}

static int read_zone_hour(struct scan *s, const struct mr_piece *p, bool fixed)
{
	int64_t v;
	int rc;

	s->tz_sign = peek(s) == '-' ? -1 : 1;
	s->at += peek(s) == '-' || peek(s) == '+';
	rc = read_number(s, p, fixed, &v);
	return rc < 0 ? rc : put(s, p, S_TZ_HOUR, v);
}

static int read_named(struct scan *s, const struct mr_piece *p)
{
	static const char *const halves[] = {"A.M.", "P.M.", "AM", "PM"};
	static const char *const eras[] = {"A.D.", "B.C.", "AD", "BC"};
	static const char *const romans[] = {
		"XII", "XI", "X", "IX", "VIII", "VII", "VI", "V", "IV", "III", "II", "I"};
	int v;

	switch (p->is->token) {
	case K_MONTH: v = read_word(s, p, mr_template_months, 12, SIZE_MAX); break;
	case K_MON: v = read_word(s, p, mr_template_months, 12, 3); break;
	case K_DAY: v = read_word(s, p, mr_template_days, 7, SIZE_MAX); break;
	case K_DY: v = read_word(s, p, mr_template_days, 7, 3); break;
	case K_ROMAN: v = read_word(s, p, romans, 12, SIZE_MAX); break;
	case K_HALF: v = read_word(s, p, halves, 4, SIZE_MAX); break;
	default: v = read_word(s, p, eras, 4, SIZE_MAX); break; // K_ERA
	}
	if (v < 0)
		return v;
	switch (p->is->token) {
	case K_MONTH:
	case K_MON: return put(s, p, S_MONTH, v + 1);
	case K_ROMAN: return put(s, p, S_MONTH, 12 - v);
	case K_HALF: s->twelve = true; return put(s, p, S_HALF, v % 2);
	case K_ERA: return put(s, p, S_ERA, v % 2);
	default: return put(s, p, S_WEEK_DAY, v + 1);
	}
}

static int put_number(struct scan *s, const struct mr_piece *p, int64_t v, int read)
{
	switch (p->is->token) {
	case K_YEAR:
		s->short_year |= p->is->digits <= 2;
		return put(s, p, S_YEAR, p->is->digits < 4 ? whole_year(v, read) : v);
	case K_ISO_YEAR: return put(s, p, S_ISO_YEAR, p->is->digits < 4 ? whole_year(v, read) : v);
	case K_CENTURY: return put(s, p, S_CENTURY, v);
	case K_MM: return put(s, p, S_MONTH, v);
	case K_WEEK_OF_MONTH: return put(s, p, S_MONTH_WEEK, v);
	case K_WEEK: return put(s, p, S_WEEK, v);
	case K_ISO_WEEK: return put(s, p, S_ISO_WEEK, v);
	case K_DDD: return put(s, p, S_YEAR_DAY, v);
	case K_ISO_DDD: return put(s, p, S_ISO_YEAR_DAY, v);
	case K_DD: return put(s, p, S_DAY, v);
	case K_D: return put(s, p, S_WEEK_DAY, v);
	case K_ISO_D: return put(s, p, S_ISO_DAY, v);
	case K_JULIAN: return put(s, p, S_JULIAN, v);
	case K_HH12: s->twelve = true; return put(s, p, S_HOUR, v);
	case K_HH24: return put(s, p, S_HOUR, v);
	case K_MI: return put(s, p, S_MINUTE, v);
	case K_SS: return put(s, p, S_SECOND, v);
	case K_SECONDS: return put(s, p, S_SECONDS, v);
	case K_FRACTION: return put_fraction(s, p, v, read);
	case K_TZ_MINUTE:
		s->tz_sign = s->tz_sign ? s->tz_sign : 1;
		return put(s, p, S_TZ_MINUTE, v);
	default: return 0; // a quarter says nothing that could be used
	}
}

static int read_piece(struct scan *s, const struct mr_piece *p, bool fixed)
{
	int64_t v;
	int rc;

	switch (p->is->token) {
	case K_MONTH:
	case K_MON:
	case K_DAY:
	case K_DY:
	case K_ROMAN:
	case K_HALF:
	case K_ERA: return read_named(s, p);
	case K_YEARS_COMMA: return read_comma_year(s, p);
	case K_TZ_HOUR: return read_zone_hour(s, p, fixed);
	case K_EXACT: s->exact = true; return 0;
	case K_TZ:
	case K_OFFSET:
		return mr_fn_error(s->c, "0A000",
			"formatting field \"%s\" is only supported in to_char", p->is->text);
	default: break;
	}
	// A fraction may be shorter than its pattern.
	rc = read_number(s, p, fixed, &v);
	rc = rc < 0 ? rc : put_number(s, p, v, rc);
	if (rc == 0 && p->th)
		s->at = MR_MIN(s->at + 2, s->text.bytes);
	return rc;
}

// A character of the template that is no pattern.
static void read_plain(struct scan *s, const struct mr_piece *p)
{
	if (s->exact || p->quoted || !is_separator(*p->at)) {
		if (!s->exact && s->skipped > 0)
			s->skipped--;
		else if (!at_end(s))
			s->at += mr_utf8_bytes(peek(s));
		return;
	}
	s->skipped--;
	if (!at_end(s) && is_separator(peek(s))) {
		s->at++;
		s->skipped++;
	}
}

static bool number_follows(struct mr_span f, size_t at, bool quotes)
{
	struct mr_piece p;

	if (!mr_template_next(f, at, &quotes, &p))
		return false;
	return p.is->token == K_NONE
		       ? isdigit(*p.at)
		       : p.is->digits > 0 || p.is->token == K_JULIAN || p.is->token == K_SECONDS;
}

static int read_all(struct scan *s, struct mr_span f)
{
	struct mr_piece p;
	bool quotes = false;
	int rc = 0;

	for (size_t at = 0; rc == 0 && !at_end(s) && mr_template_next(f, at, &quotes, &p);
		at += p.bytes) {
		bool pattern = p.is->token != K_NONE;

		while (!s->exact && (pattern ? p.is->token != K_EXACT : at == 0) &&
			isspace(peek(s))) {
			s->at++;
			s->skipped++;
		}
		if (!pattern) {
			read_plain(s, &p);
			continue;
		}
		rc = read_piece(s, &p, !p.fm && !p.th && number_follows(f, at + p.bytes, quotes));
		s->skipped = 0;
	}
	return rc;
}

// ---- From fields to a time ----

static int64_t year_of(const struct scan *s)
{
	int64_t y = s->v[S_YEAR], cc = s->v[S_CENTURY];

	if (s->set[S_CENTURY] && !s->set[S_YEAR])
		y = cc > 0 ? (cc - 1) * 100 + 1 : cc * 100 + 1;
	else if (s->set[S_CENTURY] && s->short_year)
		y = y % 100 ? y % 100 + (cc > 0 ? (cc - 1) * 100 : cc * 100) : cc * 100;
	if (s->v[S_ERA] && y > 0)
		return 1 - y;
	return y < 0 ? y + 1 : y;
}

static int64_t iso_week_start(int64_t year, int64_t week)
{
	int64_t fourth = mr_days_from_civil(year, 1, 4);
	int64_t weekday = ((fourth + 3) % 7 + 7) % 7; // Monday 0

	return fourth - weekday + (week - 1) * 7;
}

// Days since 1970 where the fields do not say month and day; false where they do.
static bool other_calendar(const struct scan *s, int64_t *day)
{
	int64_t y = year_of(s);

	if (s->set[S_JULIAN])
		*day = s->v[S_JULIAN] + MR_DATE_MIN;
	else if (s->set[S_ISO_WEEK])
		*day = iso_week_start(s->v[S_ISO_YEAR], s->v[S_ISO_WEEK]) +
		       (s->set[S_ISO_DAY] ? s->v[S_ISO_DAY] - 1 : 0);
	else if (s->set[S_ISO_YEAR_DAY])
		*day = iso_week_start(s->v[S_ISO_YEAR], 1) + s->v[S_ISO_YEAR_DAY] - 1;
	else if (s->set[S_ISO_YEAR])
		*day = mr_days_from_civil(s->v[S_ISO_YEAR], 1, 1);
	else if (s->set[S_YEAR_DAY] && !s->set[S_MONTH])
		*day = mr_days_from_civil(y, 1, 1) + s->v[S_YEAR_DAY] - 1;
	else if (s->set[S_WEEK] && !s->set[S_MONTH])
		*day = mr_days_from_civil(y, 1, 1) + (s->v[S_WEEK] - 1) * 7;
	else
		return false;
	return true;
}

static int clock_of(const struct scan *s, struct mr_civil *v)
{
	int64_t sec = s->v[S_SECONDS];

	v->hour = (int32_t)(s->set[S_SECONDS] ? sec / 3600 : s->v[S_HOUR]);
	v->minute = (int32_t)(s->set[S_SECONDS] ? sec / 60 % 60 : s->v[S_MINUTE]);
	v->second = (int32_t)(s->set[S_SECONDS] ? sec % 60 : s->v[S_SECOND]);
	v->us = (int32_t)s->v[S_US];
	if (!s->twelve)
		return 0;
	if (v->hour < 1 || v->hour > 12)
		return mr_fn_error(
			s->c, "22007", "hour \"%d\" is invalid for the 12-hour clock", v->hour);
	v->hour = v->hour % 12 + (s->v[S_HALF] ? 12 : 0);
	return 0;
}

static int out_of_range(struct scan *s)
{
	return mr_fn_error(s->c, "22008", "date/time field value out of range: \"%.*s\"",
		(int)MR_MIN(s->text.bytes, 200u), (const char *)s->text.data);
}

static int to_local(struct scan *s, int64_t *out)
{
	struct mr_civil v = {.month = 1, .day = 1};
	int64_t day;

	if (clock_of(s, &v) < 0)
		return -EINVAL;
	v.year = (int32_t)year_of(s);
	if (s->set[S_MONTH])
		v.month = (int32_t)s->v[S_MONTH];
	if (s->set[S_DAY])
		v.day = (int32_t)s->v[S_DAY];
	else if (s->set[S_MONTH_WEEK])
		v.day = (int32_t)((s->v[S_MONTH_WEEK] - 1) * 7 + 1);
	if (s->set[S_YEAR_DAY] && !s->set[S_MONTH] && !s->set[S_YEAR] && !s->set[S_ISO_YEAR])
		return mr_fn_error(
			s->c, "22007", "cannot calculate day of year without year information");
	if (other_calendar(s, &day)) {
		if (day < MR_DATE_MIN || day > MR_TS_DAY_MAX)
			return out_of_range(s);
		mr_civil_from_days(day, &v.year, &v.month, &v.day);
	}
	if (v.hour > 23 || v.second > 59 || mr_civil_to_ts(&v, out) < 0)
		return out_of_range(s);
	return 0;
}

static int parse(struct mr_fn_call *c, const void *const *a, struct scan *s, int64_t *local)
{
	int rc;

	*s = (struct scan){.c = c, .text = fn_span(a[0])};
	rc = read_all(s, fn_span(a[1]));
	return rc < 0 ? rc : to_local(s, local);
}

static int text_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t local, minutes;
	struct scan s;
	int rc = parse(c, a, &s, &local);

	if (rc < 0)
		return rc;
	minutes = s.tz_sign * (s.v[S_TZ_HOUR] * 60 + s.v[S_TZ_MINUTE]);
	RESULT(int64_t) =
		s.tz_sign ? local - minutes * MR_US_PER_MIN : mr_tz_to_utc(c->ev->query->tz, local);
	return 0;
}

static int text_date(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t local;
	struct scan s;
	int rc = parse(c, a, &s, &local);

	if (rc == 0)
		RESULT(int32_t) = (int32_t)(local / MR_US_PER_DAY - (local % MR_US_PER_DAY < 0));
	return rc;
}

static const struct mr_fn fns[] = {
	{"to_timestamp", T_TZ, 2, {T_T, T_T}, MR_FN_STABLE, text_tz, NULL},
	{"to_date", T_D, 2, {T_T, T_T}, MR_FN_STABLE, text_date, NULL},
};

const struct mr_fn_family mr_fn_scan = {fns, MR_COUNT_OF(fns)};
