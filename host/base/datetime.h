// Dates, timestamps and intervals: calendar, text, arithmetic.
//
// A timestamp is an int64_t of microseconds since 1970-01-01 00:00 (UTC for timestamptz); a date is
// an int32_t of days since 1970-01-01; both proleptic Gregorian from 4714-11-24 BC (Julian day 0),
// dates to year 5874897, timestamps to year 294246. The ends of the types' ranges are infinity and
// -infinity, as in PostgreSQL.
#pragma once

#include "host/base/type.h"

#include <limits.h>

struct mr_tz;

#define MR_US_PER_MS  1000
#define MR_US_PER_S   1000000
#define MR_US_PER_MIN (60 * (int64_t)MR_US_PER_S)
#define MR_US_PER_H   (60 * MR_US_PER_MIN)
#define MR_US_PER_DAY (24 * MR_US_PER_H)

#define MR_TS_INFINITY         INT64_MAX
#define MR_TS_MINUS_INFINITY   INT64_MIN
#define MR_DATE_INFINITY       INT32_MAX
#define MR_DATE_MINUS_INFINITY INT32_MIN

#define MR_DATE_MIN   (-2440588) // 4714-11-24 BC, Julian day 0
#define MR_DATE_MAX   2145042905 // 5874897-12-31, as PostgreSQL's
#define MR_TS_DAY_MAX 106751981  // 294246-12-31, the last whole year of microseconds from 1970
#define MR_TS_MIN     (MR_DATE_MIN * MR_US_PER_DAY)             // inclusive
#define MR_TS_MAX     ((MR_TS_DAY_MAX + 1) * MR_US_PER_DAY - 1) // inclusive

#define MR_PG_EPOCH_DAYS 10957                              // 2000-01-01
#define MR_PG_EPOCH_US   (MR_PG_EPOCH_DAYS * MR_US_PER_DAY) // PostgreSQL's binary forms count from

#define MR_DATETIME_TEXT_BYTES 72  // longest text of a date or timestamp, NUL included
#define MR_INTERVAL_TEXT_BYTES 128 // longest text of an interval, NUL included

static inline bool mr_ts_is_finite(int64_t us)
{
	return us != MR_TS_INFINITY && us != MR_TS_MINUS_INFINITY;
}

static inline bool mr_date_is_finite(int32_t days)
{
	return days != MR_DATE_INFINITY && days != MR_DATE_MINUS_INFINITY;
}

// Calendar fields. Year 0 is 1 BC, year -1 is 2 BC.
struct mr_civil {
	int32_t year;
	int32_t month; // 1 to 12
	int32_t day;   // 1 to 31
	int32_t hour;
	int32_t minute;
	int32_t second;
	int32_t us;
};

int64_t mr_days_from_civil(int64_t year, int month, int day);
void mr_civil_from_days(int64_t days, int32_t *year, int32_t *month, int32_t *day);
int mr_days_of_month(int64_t year, int month);
// Of a finite timestamp.
struct mr_civil mr_civil_from_ts(int64_t us);
// -EINVAL: no such date or time (60 s is taken as the next minute, 24:00 as the next day);
// -ERANGE: beyond the type.
[[nodiscard]] int mr_civil_to_ts(const struct mr_civil *c, int64_t *us);

// What a text may stand on.
struct mr_datetime_env {
	const struct mr_tz *tz; // for local times; NULL = UTC
	int64_t now_us;         // for now, today, tomorrow, yesterday
};

// Read ISO 8601 and PostgreSQL's common forms: `2026-11-21`, `20261121`, a `T` or spaces, a time to
// the microsecond (further digits round), `Z`, `+02`, `+02:00`, `+0200`, `UTC`,
// `America/New_York`, `BC`, AM/PM, `infinity`, `-infinity`, `epoch`, `now`, `today`, `tomorrow`,
// `yesterday`. For a timestamp without time zone a zone is read and ignored, as PostgreSQL does.
// -EINVAL: not such a text; -ERANGE: a field or the value is out of range; -ENOENT: unknown zone.
[[nodiscard]] int mr_date_parse(
	struct mr_span text, const struct mr_datetime_env *env, int32_t *out);
[[nodiscard]] int mr_ts_parse(struct mr_span text, const struct mr_datetime_env *env, int64_t *out);
[[nodiscard]] int mr_tstz_parse(
	struct mr_span text, const struct mr_datetime_env *env, int64_t *out);

// The one fast way: `YYYY-MM-DD(T| )hh:mm:ss[.f{1..9}][Z|±hh[:mm]]`. True when the text is exactly
// that and in range; else the caller asks the parser above. `*has_zone` false: local time.
bool mr_ts_parse_iso(struct mr_span text, int64_t *out, bool *has_zone);

// PostgreSQL's ISO style, with a NUL; the length without it.
size_t mr_date_format(int32_t days, char out[MR_DATETIME_TEXT_BYTES]);
size_t mr_ts_format(int64_t us, char out[MR_DATETIME_TEXT_BYTES]);
size_t mr_tstz_format(int64_t us, const struct mr_tz *tz, char out[MR_DATETIME_TEXT_BYTES]);

// Read `1 day 02:03:04`, `1 mon`, `90 days`, `-1.5 hours ago`, `P1DT2H`. -EINVAL or -ERANGE.
[[nodiscard]] int mr_interval_parse(struct mr_span text, struct mr_interval *out);
// PostgreSQL's `postgres` style: `1 year 2 mons 3 days 04:05:06.7`.
size_t mr_interval_format(struct mr_interval v, char out[MR_INTERVAL_TEXT_BYTES]);
// Orders as PostgreSQL: a month is 30 days, a day 24 h.
int mr_interval_cmp(struct mr_interval a, struct mr_interval b);
// The same measure in microseconds; equal intervals have equal spans.
__int128 mr_interval_span_us(struct mr_interval v);

// Add months (the day is clamped to the month's last), then days, then microseconds. For a
// timestamptz, months and days are counted on the zone's calendar. -ERANGE. Infinities stay.
[[nodiscard]] int mr_ts_add(int64_t us, struct mr_interval v, int64_t *out);
[[nodiscard]] int mr_tstz_add(
	int64_t us, struct mr_interval v, const struct mr_tz *tz, int64_t *out);
// a - b in days and microseconds, as PostgreSQL's timestamp - timestamp. -ERANGE for infinities.
[[nodiscard]] int mr_ts_sub(int64_t a, int64_t b, struct mr_interval *out);
// age(a, b): years, months, days by the calendar.
[[nodiscard]] int mr_ts_age(int64_t a, int64_t b, struct mr_interval *out);
[[nodiscard]] int mr_interval_add(
	struct mr_interval a, struct mr_interval b, struct mr_interval *out);
[[nodiscard]] int mr_interval_neg(struct mr_interval a, struct mr_interval *out);
[[nodiscard]] int mr_interval_mul(struct mr_interval a, double by, struct mr_interval *out);

enum mr_field {
	MR_FIELD_MICROSECONDS,
	MR_FIELD_MILLISECONDS,
	MR_FIELD_SECOND,
	MR_FIELD_MINUTE,
	MR_FIELD_HOUR,
	MR_FIELD_DAY,
	MR_FIELD_WEEK,
	MR_FIELD_MONTH,
	MR_FIELD_QUARTER,
	MR_FIELD_YEAR,
	MR_FIELD_DECADE,
	MR_FIELD_CENTURY,
	MR_FIELD_MILLENNIUM,
	MR_FIELD_DOW,    // Sunday 0
	MR_FIELD_ISODOW, // Monday 1
	MR_FIELD_DOY,
	MR_FIELD_ISOYEAR,
	MR_FIELD_EPOCH,
	MR_FIELD_JULIAN,
	MR_FIELD_TIMEZONE,        // seconds east
	MR_FIELD_TIMEZONE_HOUR,   // timestamptz only
	MR_FIELD_TIMEZONE_MINUTE, // timestamptz only
};

// A field or unit by any of PostgreSQL's names (plurals, abbreviations, any case), or false.
bool mr_field_find(struct mr_span name, enum mr_field *out);

// Truncates to a unit from microseconds to millennium; -EINVAL for others. With a zone, by its
// calendar (timestamptz); NULL = as it stands (timestamp).
[[nodiscard]] int mr_ts_trunc(enum mr_field unit, int64_t us, const struct mr_tz *tz, int64_t *out);
// date_bin: the start of the stride-wide bin, aligned to origin. -EINVAL: the stride has months or
// is not above zero; -ERANGE.
[[nodiscard]] int mr_ts_bin(struct mr_interval stride, int64_t us, int64_t origin, int64_t *out);

// extract(field FROM …) as an exact count of millionths, so that a numeric or a double can be made
// of it. `*scale` gets the digits PostgreSQL shows (0, 3 or 6). -EINVAL: no such field for this
// type. The timestamp must be finite. `tz` NULL = timestamp without time zone. The Julian date is
// not among them: it is no count of millionths.
[[nodiscard]] int mr_ts_extract(
	enum mr_field f, int64_t us, const struct mr_tz *tz, __int128 *millionths, int *scale);
[[nodiscard]] int mr_interval_extract(
	enum mr_field f, struct mr_interval v, __int128 *millionths, int *scale);
