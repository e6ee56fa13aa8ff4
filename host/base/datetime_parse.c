// Reading dates and timestamps: ISO 8601 and PostgreSQL's common forms.
//
//   text   := special [time] | date [(T | spaces) time] [zone] [BC | AD]
//   date   := year-month-day | yyyymmdd | month/day/year | day-Mon-year | Mon day[,] year
//   time   := hh:mm[:ss[.fraction]] | hhmm[ss[.fraction]], AM | PM behind it
//   zone   := Z | ±hh[:mm[:ss]] | ±hhmm | name
#include "host/base/datetime.h"

#include "host/base/tz.h"

#include <errno.h>
#include <strings.h>

struct scan {
	struct mr_reader r;
	struct mr_civil c;
	bool bc;
	bool has_time;
	int64_t special; // its value when `is_special`
	bool is_special; // infinity, epoch, now, today …: the date or all of the text
	bool is_utc;     // the special stands for an instant: epoch, now
	bool is_now;
	const struct mr_tz *zone;
	bool has_offset;
	int32_t offset;
	int err;
};

static uint8_t peek(const struct scan *s)
{
	return mr_read_left(&s->r) ? *s->r.at : 0;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool skip(struct scan *s, char c)
{
	if (peek(s) != (uint8_t)c)
		return false;
	s->r.at++;
	return true;
}

static void skip_spaces(struct scan *s)
{
	while (peek(s) == ' ' || (peek(s) >= '\t' && peek(s) <= '\r'))
		s->r.at++;
}

static bool fail(struct scan *s, int err)
{
	if (!s->err)
		s->err = err;
	return false;
}

// A number of 1 to 9 digits; `*digits` tells how many.
static bool number(struct scan *s, int32_t *out, int *digits)
{
	int32_t v = 0;
	int n = 0;

	for (; is_digit(peek(s)) && n < 9; n++)
		v = v * 10 + (*s->r.at++ - '0');
	*out = v;
	*digits = n;
	return n > 0 && !is_digit(peek(s)) ? true : fail(s, -EINVAL);
}

// The letters at the reader, in lower case, at most 15; the reader stays.
static size_t word(const struct scan *s, char out[16])
{
	size_t n = 0;

	while (n < mr_read_left(&s->r) && n < 15 && is_letter(s->r.at[n])) {
		out[n] = (char)(s->r.at[n] | 32);
		n++;
	}
	out[n] = 0;
	return n;
}

static bool take_word(struct scan *s, const char *want)
{
	char w[16];
	size_t n = word(s, w);

	if (strcmp(w, want) != 0)
		return false;
	s->r.at += n;
	return true;
}

// A name or its first three letters.
static int take_name(struct scan *s, const char *const *names, int count)
{
	char w[16];
	size_t n = word(s, w);

	for (int i = 0; i < count; i++)
		if (n >= 3 && (strcmp(w, names[i]) == 0 || (n == 3 && !strncmp(w, names[i], 3)))) {
			s->r.at += n;
			return i;
		}
	return -1;
}

static int take_month(struct scan *s)
{
	static const char *const months[] = {"january", "february", "march", "april", "may", "june",
		"july", "august", "september", "october", "november", "december"};

	return take_name(s, months, 12) + 1;
}

static void skip_weekday(struct scan *s)
{
	static const char *const days[] = {
		"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

	if (take_name(s, days, 7) >= 0) {
		skip(s, ',');
		skip_spaces(s);
	}
}

// ---- dates

static bool compact_date(struct scan *s, int32_t v, int digits)
{
	if (digits != 8 && digits != 9)
		return fail(s, -EINVAL);
	s->c.year = v / 10000;
	s->c.month = v / 100 % 100;
	s->c.day = v % 100;
	return true;
}

// Behind the first number and its separator.
static bool date_rest(struct scan *s, int32_t first, int digits, char separator)
{
	int32_t second = 0, third;
	int second_digits, third_digits;
	int month = take_month(s);

	if (!month && !number(s, &second, &second_digits))
		return false;
	if (!skip(s, separator) || !number(s, &third, &third_digits))
		return fail(s, -EINVAL);
	if (digits >= 3) {
		s->c.year = first;
		s->c.month = month ? month : second;
		s->c.day = third;
		return true;
	}
	if (third_digits < 3) // two-digit years are as PostgreSQL's: 1970 to 2069
		third += third < 70 ? 2000 : 1900;
	s->c.year = third;
	s->c.month = month ? month : first;
	s->c.day = month ? first : second;
	return true;
}

static bool month_first_date(struct scan *s)
{
	int digits;

	s->c.month = take_month(s);
	if (!s->c.month)
		return fail(s, -EINVAL);
	skip_spaces(s);
	if (!number(s, &s->c.day, &digits))
		return false;
	skip(s, ',');
	skip_spaces(s);
	return number(s, &s->c.year, &digits);
}

static bool date(struct scan *s)
{
	int32_t first;
	char separator;
	int digits;

	skip_weekday(s);
	if (is_letter(peek(s)))
		return month_first_date(s);
	if (!number(s, &first, &digits))
		return false;
	separator = (char)peek(s);
	if (separator != '-' && separator != '/' && separator != '.')
		return compact_date(s, first, digits);
	s->r.at++;
	return date_rest(s, first, digits, separator);
}

// ---- times

static void fraction(struct scan *s)
{
	int64_t unit = 100000;

	for (int n = 0; is_digit(peek(s)); n++) {
		uint8_t c = *s->r.at++;

		if (n < 6)
			s->c.us += (int32_t)((c - '0') * unit);
		else if (n == 6)
			s->c.us += c >= '5';
		unit /= 10;
	}
}

static bool compact_time(struct scan *s, int32_t v, int digits)
{
	if (digits != 4 && digits != 6)
		return fail(s, -EINVAL);
	if (digits == 4)
		v *= 100;
	s->c.hour = v / 10000;
	s->c.minute = v / 100 % 100;
	s->c.second = v % 100;
	return true;
}

static bool half_day(struct scan *s)
{
	bool pm;

	skip_spaces(s);
	pm = take_word(s, "pm");
	if (!pm && !take_word(s, "am"))
		return true;
	if (s->c.hour < 1 || s->c.hour > 12)
		return fail(s, -ERANGE);
	s->c.hour = s->c.hour % 12 + (pm ? 12 : 0);
	return true;
}

static bool time_of_day(struct scan *s)
{
	int32_t first;
	int digits, n;

	if (!number(s, &first, &digits))
		return false;
	s->has_time = true;
	if (!skip(s, ':')) {
		if (!compact_time(s, first, digits))
			return false;
	} else {
		s->c.hour = first;
		if (!number(s, &s->c.minute, &n))
			return false;
		if (skip(s, ':') && !number(s, &s->c.second, &n))
			return false;
	}
	if (skip(s, '.'))
		fraction(s);
	return half_day(s);
}

// ---- zones

static bool numeric_zone(struct scan *s)
{
	int32_t sign = peek(s) == '-' ? -1 : 1, h, m = 0, sec = 0;
	int digits, n;

	s->r.at++;
	if (!number(s, &h, &digits))
		return false;
	if (digits == 4) {
		m = h % 100;
		h /= 100;
	} else if (digits > 2) {
		return fail(s, -EINVAL);
	} else if (skip(s, ':')) {
		if (!number(s, &m, &n) || (skip(s, ':') && !number(s, &sec, &n)))
			return false;
	}
	if (h > 15 || m > 59 || sec > 59)
		return fail(s, -ERANGE);
	s->offset = sign * (h * 3600 + m * 60 + sec);
	s->has_offset = true;
	return true;
}

static bool named_zone(struct scan *s)
{
	const uint8_t *start = s->r.at;

	while (is_letter(peek(s)) || is_digit(peek(s)) || peek(s) == '_' || peek(s) == '/' ||
		peek(s) == '+' || peek(s) == '-')
		s->r.at++;
	s->zone = mr_tz_find_short(mr_span(start, (size_t)(s->r.at - start)));
	return s->zone ? true : fail(s, -ENOENT);
}

static bool tail(struct scan *s)
{
	while (skip_spaces(s), mr_read_left(&s->r)) {
		bool zone = s->zone || s->has_offset;

		if (take_word(s, "bc"))
			s->bc = true;
		else if (take_word(s, "ad"))
			s->bc = false;
		else if (!zone && s->has_time && (peek(s) == '+' || peek(s) == '-'))
			zone = numeric_zone(s);
		else if (!zone && is_letter(peek(s)))
			zone = named_zone(s);
		else
			return fail(s, -EINVAL);
		if (s->err)
			return false;
	}
	return true;
}

// ---- the whole

static int64_t day_start(const struct mr_datetime_env *env, int days)
{
	int64_t now = env ? env->now_us : 0;
	int64_t local = now;

	if (env && env->tz)
		local += mr_tz_offset(env->tz, now, NULL) * (int64_t)MR_US_PER_S;
	local = (local / MR_US_PER_DAY - (local % MR_US_PER_DAY < 0) + days) * MR_US_PER_DAY;
	return local;
}

static bool special(struct scan *s, const struct mr_datetime_env *env)
{
	bool minus = peek(s) == '-';
	const uint8_t *start = s->r.at;

	if (minus || peek(s) == '+')
		s->r.at++;
	s->is_special = true;
	if (take_word(s, "infinity")) {
		s->special = minus ? MR_TS_MINUS_INFINITY : MR_TS_INFINITY;
		return true;
	}
	if (s->r.at == start) {
		s->is_utc = true;
		if (take_word(s, "epoch"))
			return true;
		s->special = env ? env->now_us : 0;
		s->is_now = take_word(s, "now");
		if (s->is_now)
			return true;
		s->is_utc = false;
		s->special = day_start(env, 0);
		if (take_word(s, "today"))
			return true;
		s->special = day_start(env, 1);
		if (take_word(s, "tomorrow"))
			return true;
		s->special = day_start(env, -1);
		if (take_word(s, "yesterday"))
			return true;
	}
	s->is_special = s->is_utc = false;
	s->r.at = start;
	return false;
}

static void scan_text(struct scan *s, struct mr_span text, const struct mr_datetime_env *env)
{
	*s = (struct scan){.r = mr_reader(text)};
	skip_spaces(s);
	if (mr_read_left(&s->r) == 0) {
		s->err = -EINVAL;
		return;
	}
	if (!special(s, env) && !date(s))
		return;
	if (peek(s) == 'T' || peek(s) == 't')
		s->r.at += is_digit(mr_read_left(&s->r) > 1 ? s->r.at[1] : 0);
	skip_spaces(s);
	if (is_digit(peek(s)) && !time_of_day(s))
		return;
	if (tail(s) && s->bc) {
		if (s->c.year < 1)
			fail(s, -ERANGE);
		s->c.year = 1 - s->c.year;
	} else if (!s->is_special && s->c.year == 0) {
		fail(s, -ERANGE); // there is no year zero
	}
}

// Local time as written, or an instant for epoch, now and infinities.
static int scan_value(struct scan *s, int64_t *out)
{
	struct mr_civil day = {.year = 1970, .month = 1, .day = 1};
	int err;

	if (s->err)
		return s->err;
	if (!s->is_special) {
		err = mr_civil_to_ts(&s->c, out);
		return err ? -ERANGE : 0;
	}
	*out = s->special;
	if (!s->has_time)
		return 0;
	if (s->is_utc || !mr_ts_is_finite(s->special))
		return -EINVAL;
	day.hour = s->c.hour;
	day.minute = s->c.minute;
	day.second = s->c.second;
	day.us = s->c.us;
	if (mr_civil_to_ts(&day, out))
		return -ERANGE;
	*out += s->special;
	return 0;
}

static bool time_is_valid(const struct mr_civil *c)
{
	struct mr_civil day = *c;
	int64_t us;

	day.year = 2000;
	day.month = day.day = 1;
	return mr_civil_to_ts(&day, &us) == 0;
}

int mr_ts_parse(struct mr_span text, const struct mr_datetime_env *env, int64_t *out)
{
	struct scan s;
	int err;

	scan_text(&s, text, env);
	err = scan_value(&s, out);
	if (!err && s.is_now && env && env->tz)
		*out += mr_tz_offset(env->tz, *out, NULL) * (int64_t)MR_US_PER_S;
	return err;
}

int mr_tstz_parse(struct mr_span text, const struct mr_datetime_env *env, int64_t *out)
{
	struct scan s;
	int err;

	scan_text(&s, text, env);
	err = scan_value(&s, out);
	if (err || s.is_utc || !mr_ts_is_finite(*out))
		return err;
	if (s.has_offset)
		*out -= s.offset * (int64_t)MR_US_PER_S;
	else if (s.zone || (env && env->tz))
		*out = mr_tz_to_utc(s.zone ? s.zone : env->tz, *out);
	return *out >= MR_TS_MIN && *out <= MR_TS_MAX ? 0 : -ERANGE;
}

int mr_date_parse(struct mr_span text, const struct mr_datetime_env *env, int32_t *out)
{
	struct scan s;
	int64_t us, days;
	int err;

	scan_text(&s, text, env);
	if (s.err)
		return s.err;
	if (!s.is_special) {
		if (!time_is_valid(&s.c) || s.c.month < 1 || s.c.month > 12 || s.c.day < 1 ||
			s.c.day > mr_days_of_month(s.c.year, s.c.month))
			return -ERANGE;
		days = mr_days_from_civil(s.c.year, s.c.month, s.c.day);
		*out = (int32_t)days;
		return days >= MR_DATE_MIN && days <= MR_DATE_MAX ? 0 : -ERANGE;
	}
	err = scan_value(&s, &us);
	if (!err && s.is_now && env && env->tz)
		us += mr_tz_offset(env->tz, us, NULL) * (int64_t)MR_US_PER_S;
	if (!err)
		*out = us == MR_TS_INFINITY ? MR_DATE_INFINITY
		       : us == MR_TS_MINUS_INFINITY
			       ? MR_DATE_MINUS_INFINITY
			       : (int32_t)(us / MR_US_PER_DAY - (us % MR_US_PER_DAY < 0));
	return err;
}
