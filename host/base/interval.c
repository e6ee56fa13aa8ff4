// Intervals: text, order, arithmetic with intervals.
//
//   text := [@] {[±]number unit | [±]hh:mm[:ss[.f]] | [±]years-months} [ago]  |  P…  (ISO 8601)
//
// Fractions go down one unit as in PostgreSQL: of years to months, of months to days (30 a month),
// of weeks and days to time.
#include "host/base/datetime.h"

#include "host/base/digits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

// Sums in double width, checked once at the end.
struct sum {
	__int128 months, days, us;
};

enum unit {
	UNIT_US,
	UNIT_MS,
	UNIT_SECOND,
	UNIT_MINUTE,
	UNIT_HOUR,
	UNIT_DAY,
	UNIT_WEEK,
	UNIT_MONTH,
	UNIT_YEAR,
	UNIT_DECADE,
	UNIT_CENTURY,
	UNIT_MILLENNIUM,
	UNIT_NONE,
};

static const struct {
	const char *name;
	enum unit unit;
} units[] = {
	{"us", UNIT_US},
	{"usec", UNIT_US},
	{"usecs", UNIT_US},
	{"usecond", UNIT_US},
	{"useconds", UNIT_US},
	{"microsecond", UNIT_US},
	{"microseconds", UNIT_US},
	{"ms", UNIT_MS},
	{"msec", UNIT_MS},
	{"msecs", UNIT_MS},
	{"msecond", UNIT_MS},
	{"mseconds", UNIT_MS},
	{"millisecond", UNIT_MS},
	{"milliseconds", UNIT_MS},
	{"s", UNIT_SECOND},
	{"sec", UNIT_SECOND},
	{"secs", UNIT_SECOND},
	{"second", UNIT_SECOND},
	{"seconds", UNIT_SECOND},
	{"m", UNIT_MINUTE},
	{"min", UNIT_MINUTE},
	{"mins", UNIT_MINUTE},
	{"minute", UNIT_MINUTE},
	{"minutes", UNIT_MINUTE},
	{"h", UNIT_HOUR},
	{"hr", UNIT_HOUR},
	{"hrs", UNIT_HOUR},
	{"hour", UNIT_HOUR},
	{"hours", UNIT_HOUR},
	{"d", UNIT_DAY},
	{"day", UNIT_DAY},
	{"days", UNIT_DAY},
	{"w", UNIT_WEEK},
	{"week", UNIT_WEEK},
	{"weeks", UNIT_WEEK},
	{"mon", UNIT_MONTH},
	{"mons", UNIT_MONTH},
	{"month", UNIT_MONTH},
	{"months", UNIT_MONTH},
	{"y", UNIT_YEAR},
	{"yr", UNIT_YEAR},
	{"yrs", UNIT_YEAR},
	{"year", UNIT_YEAR},
	{"years", UNIT_YEAR},
	{"dec", UNIT_DECADE},
	{"decs", UNIT_DECADE},
	{"decade", UNIT_DECADE},
	{"decades", UNIT_DECADE},
	{"c", UNIT_CENTURY},
	{"cent", UNIT_CENTURY},
	{"century", UNIT_CENTURY},
	{"centuries", UNIT_CENTURY},
	{"mil", UNIT_MILLENNIUM},
	{"mils", UNIT_MILLENNIUM},
	{"millennium", UNIT_MILLENNIUM},
	{"millennia", UNIT_MILLENNIUM},
};

static uint8_t peek(const struct mr_reader *r)
{
	return mr_read_left(r) ? *r->at : 0;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool skip(struct mr_reader *r, char c)
{
	if (peek(r) != (uint8_t)c)
		return false;
	r->at++;
	return true;
}

static void skip_spaces(struct mr_reader *r)
{
	while (peek(r) == ' ' || (peek(r) >= '\t' && peek(r) <= '\r'))
		r->at++;
}

static size_t take_word(struct mr_reader *r, char out[16])
{
	size_t n = 0;

	while (n < 15 && (peek(r) | 32) >= 'a' && (peek(r) | 32) <= 'z')
		out[n++] = (char)(*r->at++ | 32);
	out[n] = 0;
	return n;
}

static enum unit find_unit(const char *name)
{
	for (size_t i = 0; i < MR_COUNT_OF(units); i++)
		if (strcmp(units[i].name, name) == 0)
			return units[i].unit;
	return UNIT_NONE;
}

// A number as a whole part and a fraction in [0, 1).
struct number {
	int64_t whole;
	double fraction;
};

static double take_fraction(struct mr_reader *r)
{
	double v = 0, unit = 1;

	if (!skip(r, '.'))
		return 0;
	for (int n = 0; is_digit(peek(r)); n++) {
		uint8_t c = *r->at++;

		if (n < 15) {
			v = v * 10 + (c - '0');
			unit *= 10;
		}
	}
	return v / unit;
}

static bool take_number(struct mr_reader *r, struct number *out)
{
	const uint8_t *start = r->at;

	*out = (struct number){0};
	for (int n = 0; is_digit(peek(r)); n++) {
		if (n == 18)
			return false;
		out->whole = out->whole * 10 + (*r->at++ - '0');
	}
	out->fraction = take_fraction(r);
	return r->at > start;
}

// ---- adding what was read

static void add_time(struct sum *s, struct number n, int sign, int64_t unit_us)
{
	s->us += sign * ((__int128)n.whole * unit_us + (int64_t)rint(n.fraction * (double)unit_us));
}

static void add_days(struct sum *s, double days, int sign)
{
	double whole = floor(days);

	s->days += sign * (int64_t)whole;
	s->us += sign * (int64_t)rint((days - whole) * (double)MR_US_PER_DAY);
}

static void add_unit(struct sum *s, struct number n, int sign, enum unit unit)
{
	static const int64_t us[] = {1, MR_US_PER_MS, MR_US_PER_S, MR_US_PER_MIN, MR_US_PER_H};
	static const int months[] = {1, 12, 120, 1200, 12000};

	if (unit <= UNIT_HOUR) {
		add_time(s, n, sign, us[unit]);
	} else if (unit == UNIT_DAY || unit == UNIT_WEEK) {
		int days = unit == UNIT_WEEK ? 7 : 1;

		s->days += sign * (__int128)n.whole * days;
		add_days(s, n.fraction * days, sign);
	} else if (unit == UNIT_MONTH) {
		s->months += sign * (__int128)n.whole;
		add_days(s, n.fraction * 30, sign);
	} else {
		int per = months[unit - UNIT_MONTH];

		s->months += sign * ((__int128)n.whole * per + (int64_t)rint(n.fraction * per));
	}
}

// hh:mm[:ss[.f]] behind the hours.
static bool add_clock(struct mr_reader *r, struct sum *s, int64_t hours, int sign)
{
	struct number m, sec = {0};
	bool seconds;

	skip(r, ':');
	if (!take_number(r, &m))
		return false;
	seconds = skip(r, ':');
	if (seconds && !take_number(r, &sec))
		return false;
	if (m.whole > 59 || sec.whole > 59)
		return false;
	if (!seconds && m.fraction != 0) { // mm:ss.f
		sec = m;
		m.whole = hours;
		hours = 0;
	}
	m.fraction = 0;
	add_time(s, (struct number){hours, 0}, sign, MR_US_PER_H);
	add_time(s, m, sign, MR_US_PER_MIN);
	add_time(s, sec, sign, MR_US_PER_S);
	return true;
}

static bool at_end_or_clock(struct mr_reader r)
{
	skip_spaces(&r);
	if (peek(&r) == '-' || peek(&r) == '+')
		r.at++;
	while (is_digit(peek(&r)))
		r.at++;
	return peek(&r) == ':';
}

// One item of the postgres form.
static bool take_item(struct mr_reader *r, struct sum *s)
{
	int sign = skip(r, '-') ? -1 : 1;
	struct number n, months;
	char name[16];

	if (sign > 0)
		skip(r, '+');
	if (!take_number(r, &n))
		return false;
	if (peek(r) == ':')
		return add_clock(r, s, n.whole, sign);
	if (peek(r) == '-' && n.fraction == 0) {
		r->at++;
		if (!take_number(r, &months) || months.fraction != 0 || months.whole > 11)
			return false;
		add_unit(s, n, sign, UNIT_YEAR);
		add_unit(s, months, sign, UNIT_MONTH);
		return true;
	}
	if (at_end_or_clock(*r)) { // `1 02:03:04`
		add_unit(s, n, sign, UNIT_DAY);
		return true;
	}
	skip_spaces(r);
	if (take_word(r, name) == 0) { // a bare number is seconds, at the end only
		add_unit(s, n, sign, UNIT_SECOND);
		return mr_read_left(r) == 0;
	}
	if (find_unit(name) == UNIT_NONE)
		return false;
	add_unit(s, n, sign, find_unit(name));
	return true;
}

// P[nY][nM][nW][nD][T[nH][nM][nS]]
static bool take_iso(struct mr_reader *r, struct sum *s)
{
	static const char date[] = "YMWD", time[] = "HMS";
	static const enum unit date_units[] = {UNIT_YEAR, UNIT_MONTH, UNIT_WEEK, UNIT_DAY};
	static const enum unit time_units[] = {UNIT_HOUR, UNIT_MINUTE, UNIT_SECOND};
	bool in_time = false, any = false;

	while (mr_read_left(r)) {
		struct number n;
		const char *at;
		int sign;

		if (!in_time && skip(r, 'T')) {
			in_time = true;
			continue;
		}
		sign = skip(r, '-') ? -1 : 1;
		if (!take_number(r, &n) || !mr_read_left(r))
			return false;
		at = strchr(in_time ? time : date, (char)*r->at);
		if (!at || !*r->at)
			return false;
		add_unit(s, n, sign, in_time ? time_units[at - time] : date_units[at - date]);
		r->at++;
		any = true;
	}
	return any;
}

static bool take_ago(struct mr_reader *r)
{
	struct mr_reader ahead = *r;
	char name[16];

	take_word(&ahead, name);
	if (strcmp(name, "ago") != 0)
		return false;
	*r = ahead;
	return true;
}

static int sum_check(const struct sum *s, struct mr_interval *out)
{
	if (s->months > INT32_MAX || s->months < INT32_MIN || s->days > INT32_MAX ||
		s->days < INT32_MIN || s->us > INT64_MAX || s->us < INT64_MIN)
		return -ERANGE;
	*out = (struct mr_interval){
		.us = (int64_t)s->us, .days = (int32_t)s->days, .months = (int32_t)s->months};
	return 0;
}

int mr_interval_parse(struct mr_span text, struct mr_interval *out)
{
	struct mr_reader r = mr_reader(text);
	struct sum s = {0};
	bool ago = false, any = false;

	skip_spaces(&r);
	if (skip(&r, 'P')) {
		while (r.end > r.at && (r.end[-1] == ' ' || r.end[-1] == '\n'))
			r.end--;
		return take_iso(&r, &s) ? sum_check(&s, out) : -EINVAL;
	}
	if (skip(&r, '@'))
		skip_spaces(&r);
	while (mr_read_left(&r) && !ago) {
		ago = any && take_ago(&r);
		if (!ago && !take_item(&r, &s))
			return -EINVAL;
		any = true;
		skip_spaces(&r);
	}
	if (!any || mr_read_left(&r))
		return -EINVAL;
	if (ago)
		s = (struct sum){-s.months, -s.days, -s.us};
	return sum_check(&s, out);
}

// ---- out

// `1 year` or ` -2 mons`; `*minus` tells that the part before was negative, which a plus must end.
static char *put_part(char *p, const char *start, int value, const char *unit, bool *minus)
{
	if (value == 0)
		return p;
	if (p > start)
		*p++ = ' ';
	if (value < 0)
		*p++ = '-';
	else if (*minus)
		*p++ = '+';
	p = mr_put_u64(p, value < 0 ? -(uint64_t)value : (uint64_t)value);
	*p++ = ' ';
	p = mr_put_bytes(p, unit, strlen(unit));
	if (value != 1)
		*p++ = 's';
	*minus = value < 0;
	return p;
}

static char *put_clock(char *p, const char *start, int64_t us, bool minus)
{
	uint64_t v = us < 0 ? -(uint64_t)us : (uint64_t)us;
	uint64_t hours = v / MR_US_PER_H;

	if (p > start)
		*p++ = ' ';
	if (us < 0)
		*p++ = '-';
	else if (minus)
		*p++ = '+';
	p = hours < 100 ? mr_put_two(p, (unsigned)hours) : mr_put_u64(p, hours);
	*p++ = ':';
	p = mr_put_two(p, (unsigned)(v / MR_US_PER_MIN % 60));
	*p++ = ':';
	p = mr_put_two(p, (unsigned)(v / MR_US_PER_S % 60));
	return mr_put_micros(p, (unsigned)(v % MR_US_PER_S));
}

size_t mr_interval_format(struct mr_interval v, char out[MR_INTERVAL_TEXT_BYTES])
{
	bool minus = false;
	char *p = out;

	p = put_part(p, out, v.months / 12, "year", &minus);
	p = put_part(p, out, v.months % 12, "mon", &minus);
	p = put_part(p, out, v.days, "day", &minus);
	if (v.us || p == out)
		p = put_clock(p, out, v.us, minus);
	*p = 0;
	return (size_t)(p - out);
}

// ---- order and arithmetic

__int128 mr_interval_span_us(struct mr_interval v)
{
	return v.us + ((__int128)v.months * 30 + v.days) * MR_US_PER_DAY;
}

int mr_interval_cmp(struct mr_interval a, struct mr_interval b)
{
	__int128 x = mr_interval_span_us(a), y = mr_interval_span_us(b);

	return (x > y) - (x < y);
}

int mr_interval_add(struct mr_interval a, struct mr_interval b, struct mr_interval *out)
{
	struct sum s = {.months = (__int128)a.months + b.months,
		.days = (__int128)a.days + b.days,
		.us = (__int128)a.us + b.us};

	return sum_check(&s, out);
}

int mr_interval_neg(struct mr_interval a, struct mr_interval *out)
{
	struct sum s = {
		.months = -(__int128)a.months, .days = -(__int128)a.days, .us = -(__int128)a.us};

	return sum_check(&s, out);
}

// PostgreSQL's TSROUND: to the microsecond, in doubles.
static double round_us(double v)
{
	return rint(v * MR_US_PER_S) / MR_US_PER_S;
}

static bool fits_i32(double v)
{
	return v >= INT32_MIN && v <= INT32_MAX;
}

// As PostgreSQL's interval_mul: what is left of months goes to days, of days to time.
int mr_interval_mul(struct mr_interval a, double by, struct mr_interval *out)
{
	double months = a.months * by, days = a.days * by, rest_days, rest_s, us;

	if (!fits_i32(months) || !fits_i32(days)) // NaN too
		return -ERANGE;
	rest_days = round_us((months - trunc(months)) * 30);
	rest_s = round_us((days - trunc(days) + rest_days - trunc(rest_days)) * 86400);
	days = trunc(days) + trunc(rest_days);
	if (fabs(rest_s) >= 86400) {
		days += trunc(rest_s / 86400);
		rest_s -= trunc(rest_s / 86400) * 86400;
	}
	us = rint((double)a.us * by + rest_s * MR_US_PER_S);
	if (!fits_i32(days) || !(us >= -0x1p63 && us < 0x1p63))
		return -ERANGE;
	*out = (struct mr_interval){
		.us = (int64_t)us, .days = (int32_t)days, .months = (int32_t)months};
	return 0;
}
