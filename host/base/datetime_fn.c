// Arithmetic on timestamps, truncation, bins and fields.
#include "host/base/datetime.h"
#include "host/base/tz.h"

#include <errno.h>
#include <stdlib.h>

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t offset_us(const struct mr_tz *tz, int64_t us)
{
	return tz ? mr_tz_offset(tz, us, NULL) * (int64_t)MR_US_PER_S : 0;
}

static int64_t to_local(const struct mr_tz *tz, int64_t us)
{
	return us + offset_us(tz, us);
}

static int64_t to_utc(const struct mr_tz *tz, int64_t local)
{
	return tz ? mr_tz_to_utc(tz, local) : local;
}

static int check_range(int64_t us)
{
	return us >= MR_TS_MIN && us <= MR_TS_MAX ? 0 : -ERANGE;
}

// ---- adding

static int add_months(int64_t us, int32_t months, int64_t *out)
{
	struct mr_civil c = mr_civil_from_ts(us);
	int64_t month = c.year * 12ll + c.month - 1 + months;
	int64_t year = floor_div(month, 12);

	if (year < -5000 || year > 300000)
		return -ERANGE;
	c.year = (int32_t)year;
	c.month = (int32_t)(month - year * 12 + 1);
	c.day = MR_MIN(c.day, mr_days_of_month(c.year, c.month));
	return mr_civil_to_ts(&c, out) ? -ERANGE : 0;
}

int mr_tstz_add(int64_t us, struct mr_interval v, const struct mr_tz *tz, int64_t *out)
{
	int64_t local;
	int err;

	*out = us;
	if (!mr_ts_is_finite(us))
		return 0;
	if (v.months) {
		err = add_months(to_local(tz, us), v.months, &local);
		if (err)
			return err;
		us = to_utc(tz, local);
	}
	if (v.days) {
		if (__builtin_add_overflow(to_local(tz, us), v.days * MR_US_PER_DAY, &local) ||
			check_range(local))
			return -ERANGE;
		us = to_utc(tz, local);
	}
	if (__builtin_add_overflow(us, v.us, out))
		return -ERANGE;
	return check_range(*out);
}

int mr_ts_add(int64_t us, struct mr_interval v, int64_t *out)
{
	return mr_tstz_add(us, v, NULL, out);
}

int mr_ts_sub(int64_t a, int64_t b, struct mr_interval *out)
{
	int64_t us;

	if (!mr_ts_is_finite(a) || !mr_ts_is_finite(b) || __builtin_sub_overflow(a, b, &us))
		return -ERANGE;
	*out = (struct mr_interval){
		.us = us % MR_US_PER_DAY, .days = (int32_t)(us / MR_US_PER_DAY)};
	return 0;
}

// Fields are subtracted from the later time and made non-negative by borrowing; a day borrows from
// the month of the earlier time (PostgreSQL's timestamp_age).
int mr_ts_age(int64_t a, int64_t b, struct mr_interval *out)
{
	int64_t late = MR_MAX(a, b), early = MR_MIN(a, b), us, days, months;
	struct mr_civil l, e;

	if (!mr_ts_is_finite(a) || !mr_ts_is_finite(b))
		return -ERANGE;
	l = mr_civil_from_ts(late);
	e = mr_civil_from_ts(early);
	us = (late - floor_div(late, MR_US_PER_DAY) * MR_US_PER_DAY) -
	     (early - floor_div(early, MR_US_PER_DAY) * MR_US_PER_DAY);
	days = l.day - e.day;
	months = (l.year - e.year) * 12ll + l.month - e.month;
	if (us < 0) {
		us += MR_US_PER_DAY;
		days--;
	}
	if (days < 0) {
		days += mr_days_of_month(e.year, e.month);
		months--;
	}
	if (a < b) {
		us = -us;
		days = -days;
		months = -months;
	}
	*out = (struct mr_interval){.us = us, .days = (int32_t)days, .months = (int32_t)months};
	return 0;
}

// ---- fields by name

static const struct {
	const char *name;
	enum mr_field field;
} field_names[] = {
	{"microseconds", MR_FIELD_MICROSECONDS},
	{"microsecond", MR_FIELD_MICROSECONDS},
	{"us", MR_FIELD_MICROSECONDS},
	{"usec", MR_FIELD_MICROSECONDS},
	{"usecs", MR_FIELD_MICROSECONDS},
	{"milliseconds", MR_FIELD_MILLISECONDS},
	{"millisecond", MR_FIELD_MILLISECONDS},
	{"ms", MR_FIELD_MILLISECONDS},
	{"msec", MR_FIELD_MILLISECONDS},
	{"msecs", MR_FIELD_MILLISECONDS},
	{"second", MR_FIELD_SECOND},
	{"seconds", MR_FIELD_SECOND},
	{"sec", MR_FIELD_SECOND},
	{"secs", MR_FIELD_SECOND},
	{"s", MR_FIELD_SECOND},
	{"minute", MR_FIELD_MINUTE},
	{"minutes", MR_FIELD_MINUTE},
	{"min", MR_FIELD_MINUTE},
	{"mins", MR_FIELD_MINUTE},
	{"m", MR_FIELD_MINUTE},
	{"hour", MR_FIELD_HOUR},
	{"hours", MR_FIELD_HOUR},
	{"hr", MR_FIELD_HOUR},
	{"hrs", MR_FIELD_HOUR},
	{"h", MR_FIELD_HOUR},
	{"day", MR_FIELD_DAY},
	{"days", MR_FIELD_DAY},
	{"d", MR_FIELD_DAY},
	{"week", MR_FIELD_WEEK},
	{"weeks", MR_FIELD_WEEK},
	{"w", MR_FIELD_WEEK},
	{"month", MR_FIELD_MONTH},
	{"months", MR_FIELD_MONTH},
	{"mon", MR_FIELD_MONTH},
	{"mons", MR_FIELD_MONTH},
	{"quarter", MR_FIELD_QUARTER},
	{"qtr", MR_FIELD_QUARTER},
	{"year", MR_FIELD_YEAR},
	{"years", MR_FIELD_YEAR},
	{"yr", MR_FIELD_YEAR},
	{"yrs", MR_FIELD_YEAR},
	{"y", MR_FIELD_YEAR},
	{"decade", MR_FIELD_DECADE},
	{"decades", MR_FIELD_DECADE},
	{"century", MR_FIELD_CENTURY},
	{"centuries", MR_FIELD_CENTURY},
	{"c", MR_FIELD_CENTURY},
	{"millennium", MR_FIELD_MILLENNIUM},
	{"millennia", MR_FIELD_MILLENNIUM},
	{"mil", MR_FIELD_MILLENNIUM},
	{"dow", MR_FIELD_DOW},
	{"isodow", MR_FIELD_ISODOW},
	{"doy", MR_FIELD_DOY},
	{"isoyear", MR_FIELD_ISOYEAR},
	{"epoch", MR_FIELD_EPOCH},
	{"julian", MR_FIELD_JULIAN},
	{"timezone", MR_FIELD_TIMEZONE},
	{"timezone_hour", MR_FIELD_TIMEZONE_HOUR},
	{"timezone_minute", MR_FIELD_TIMEZONE_MINUTE},
};

bool mr_field_find(struct mr_span name, enum mr_field *out)
{
	char lower[20] = "";

	if (name.bytes >= sizeof(lower))
		return false;
	for (size_t i = 0; i < name.bytes; i++) {
		uint8_t c = name.data[i];

		lower[i] = (char)(c >= 'A' && c <= 'Z' ? c | 32 : c);
	}
	for (size_t i = 0; i < MR_COUNT_OF(field_names); i++)
		if (strcmp(field_names[i].name, lower) == 0) {
			*out = field_names[i].field;
			return true;
		}
	return false;
}

// ---- truncation

static int32_t trunc_year(enum mr_field unit, int32_t y)
{
	switch (unit) {
	case MR_FIELD_DECADE: return (int32_t)floor_div(y, 10) * 10;
	case MR_FIELD_CENTURY: return (int32_t)floor_div(y - 1, 100) * 100 + 1;
	case MR_FIELD_MILLENNIUM: return (int32_t)floor_div(y - 1, 1000) * 1000 + 1;
	default: return y;
	}
}

static int64_t trunc_date(enum mr_field unit, int64_t local)
{
	int64_t days = floor_div(local, MR_US_PER_DAY);
	int32_t year, month, day;

	if (unit == MR_FIELD_DAY)
		return days * MR_US_PER_DAY;
	if (unit == MR_FIELD_WEEK) // 1970-01-01 was a Thursday, three days behind a Monday
		return (floor_div(days + 3, 7) * 7 - 3) * MR_US_PER_DAY;
	mr_civil_from_days(days, &year, &month, &day);
	if (unit == MR_FIELD_QUARTER)
		month = (month - 1) / 3 * 3 + 1;
	else if (unit != MR_FIELD_MONTH)
		month = 1;
	return mr_days_from_civil(trunc_year(unit, year), month, 1) * MR_US_PER_DAY;
}

int mr_ts_trunc(enum mr_field unit, int64_t us, const struct mr_tz *tz, int64_t *out)
{
	static const int64_t units_us[] = {
		1, MR_US_PER_MS, MR_US_PER_S, MR_US_PER_MIN, MR_US_PER_H};
	int64_t offset;

	*out = us;
	if (unit > MR_FIELD_MILLENNIUM)
		return -EINVAL;
	if (!mr_ts_is_finite(us))
		return 0;
	// Below a day the offset stays, so that the hour of an overlap is not moved.
	offset = offset_us(tz, us);
	if (unit <= MR_FIELD_HOUR)
		*out = floor_div(us + offset, units_us[unit]) * units_us[unit] - offset;
	else
		*out = to_utc(tz, trunc_date(unit, us + offset));
	return check_range(*out);
}

int mr_ts_bin(struct mr_interval stride, int64_t us, int64_t origin, int64_t *out)
{
	int64_t width, delta;

	if (stride.months)
		return -EINVAL;
	if (__builtin_add_overflow(stride.days * MR_US_PER_DAY, stride.us, &width))
		return -ERANGE;
	if (width <= 0)
		return -EINVAL;
	*out = us;
	if (!mr_ts_is_finite(us))
		return 0;
	if (!mr_ts_is_finite(origin) || __builtin_sub_overflow(us, origin, &delta))
		return -ERANGE;
	*out = origin + floor_div(delta, width) * width;
	return check_range(*out);
}

// ---- extract

static int day_of_week(int64_t days)
{
	return (int)(days + 4 - floor_div(days + 4, 7) * 7);
}

// The ISO year is the year of the week's Thursday.
static void iso_week(int64_t days, int32_t *year, int32_t *week)
{
	int64_t thursday = days - (day_of_week(days) + 6) % 7 + 3;
	int32_t month, day;

	mr_civil_from_days(thursday, year, &month, &day);
	*week = (int32_t)(thursday - mr_days_from_civil(*year, 1, 1)) / 7 + 1;
}

// Years as people count them: there is none between 1 BC (0 here) and 1.
static int64_t shown_year(int64_t y)
{
	return y > 0 ? y : y - 1;
}

static int64_t century_of(int64_t y, int years)
{
	return y > 0 ? (y + years - 1) / years : -((years - 1 - (y - 1)) / years);
}

static bool whole_field(enum mr_field f, int64_t days, const struct mr_civil *c, int64_t *out)
{
	int32_t iso_year, week;

	iso_week(days, &iso_year, &week);
	switch (f) {
	case MR_FIELD_MINUTE: *out = c->minute; return true;
	case MR_FIELD_HOUR: *out = c->hour; return true;
	case MR_FIELD_DAY: *out = c->day; return true;
	case MR_FIELD_WEEK: *out = week; return true;
	case MR_FIELD_MONTH: *out = c->month; return true;
	case MR_FIELD_QUARTER: *out = (c->month - 1) / 3 + 1; return true;
	case MR_FIELD_YEAR: *out = shown_year(c->year); return true;
	case MR_FIELD_DECADE: *out = floor_div(c->year, 10); return true;
	case MR_FIELD_CENTURY: *out = century_of(c->year, 100); return true;
	case MR_FIELD_MILLENNIUM: *out = century_of(c->year, 1000); return true;
	case MR_FIELD_DOW: *out = day_of_week(days); return true;
	case MR_FIELD_ISODOW: *out = (day_of_week(days) + 6) % 7 + 1; return true;
	case MR_FIELD_DOY: *out = days - mr_days_from_civil(c->year, 1, 1) + 1; return true;
	case MR_FIELD_ISOYEAR: *out = shown_year(iso_year); return true;
	default: return false;
	}
}

static bool zone_field(enum mr_field f, int32_t offset, int64_t *out)
{
	switch (f) {
	case MR_FIELD_TIMEZONE: *out = offset; return true;
	case MR_FIELD_TIMEZONE_HOUR: *out = offset / 3600; return true;
	case MR_FIELD_TIMEZONE_MINUTE: *out = offset / 60 % 60; return true;
	default: return false;
	}
}

// Seconds, milliseconds and microseconds all hold the seconds of the minute.
static bool second_field(enum mr_field f, int64_t us_of_minute, __int128 *millionths, int *scale)
{
	switch (f) {
	case MR_FIELD_SECOND: *scale = 6; break;
	case MR_FIELD_MILLISECONDS: *scale = 3; break;
	case MR_FIELD_MICROSECONDS: *scale = 0; break;
	default: return false;
	}
	*millionths = us_of_minute;
	for (int i = *scale; i < 6; i++)
		*millionths *= 10;
	return true;
}

int mr_ts_extract(
	enum mr_field f, int64_t us, const struct mr_tz *tz, __int128 *millionths, int *scale)
{
	int64_t local = to_local(tz, us), days = floor_div(local, MR_US_PER_DAY), v;
	struct mr_civil c = mr_civil_from_ts(local);

	*scale = 0;
	if (second_field(f, c.second * (int64_t)MR_US_PER_S + c.us, millionths, scale))
		return 0;
	if (f == MR_FIELD_EPOCH) {
		*scale = 6;
		*millionths = us;
		return 0;
	}
	if (!whole_field(f, days, &c, &v) &&
		!(tz && zone_field(f, (int32_t)(offset_us(tz, us) / MR_US_PER_S), &v)))
		return -EINVAL;
	*millionths = (__int128)v * 1000000;
	return 0;
}

int mr_interval_extract(enum mr_field f, struct mr_interval v, __int128 *millionths, int *scale)
{
	int64_t years = v.months / 12, whole;

	*scale = 0;
	if (second_field(f, v.us % MR_US_PER_MIN, millionths, scale))
		return 0;
	switch (f) {
	case MR_FIELD_MINUTE: whole = v.us / MR_US_PER_MIN % 60; break;
	case MR_FIELD_HOUR: whole = v.us / MR_US_PER_H; break;
	case MR_FIELD_DAY: whole = v.days; break;
	case MR_FIELD_MONTH: whole = v.months % 12; break;
	case MR_FIELD_QUARTER: whole = v.months % 12 / 3 + 1; break;
	case MR_FIELD_YEAR: whole = years; break;
	case MR_FIELD_DECADE: whole = years / 10; break;
	case MR_FIELD_CENTURY: whole = years / 100; break;
	case MR_FIELD_MILLENNIUM: whole = years / 1000; break;
	case MR_FIELD_EPOCH:
		// A year is 365.25 days here, a month 30 (PostgreSQL's interval_part).
		*scale = 6;
		*millionths = ((__int128)years * 1461 * MR_US_PER_DAY / 4) +
			      ((__int128)(v.months % 12) * 30 + v.days) * MR_US_PER_DAY + v.us;
		return 0;
	default: return -EINVAL;
	}
	*millionths = (__int128)whole * 1000000;
	return 0;
}
