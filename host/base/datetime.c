// The calendar, and dates and timestamps as text.
//
// Days to dates and back by eras of 400 years with years that start in March (Hinnant,
// "chrono-compatible low-level date algorithms", 2013), so that leap days come last.
#include "host/base/datetime.h"

#include "host/base/digits.h"
#include "host/base/tz.h"

#include <errno.h>
#include <stdlib.h>

int64_t mr_days_from_civil(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

void mr_civil_from_days(int64_t days, int32_t *year, int32_t *month, int32_t *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int32_t)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int32_t)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int32_t)(yoe + era * 400 + (*month <= 2));
}

int mr_days_of_month(int64_t year, int month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

struct mr_civil mr_civil_from_ts(int64_t us)
{
	int64_t days = us / MR_US_PER_DAY - (us % MR_US_PER_DAY < 0);
	int64_t rest = us - days * MR_US_PER_DAY;
	struct mr_civil c;

	mr_civil_from_days(days, &c.year, &c.month, &c.day);
	c.hour = (int32_t)(rest / MR_US_PER_H);
	c.minute = (int32_t)(rest / MR_US_PER_MIN % 60);
	c.second = (int32_t)(rest / MR_US_PER_S % 60);
	c.us = (int32_t)(rest % MR_US_PER_S);
	return c;
}

int mr_civil_to_ts(const struct mr_civil *c, int64_t *us)
{
	int64_t days, time;

	if (c->month < 1 || c->month > 12 || c->day < 1 ||
		c->day > mr_days_of_month(c->year, c->month))
		return -EINVAL;
	if (c->hour < 0 || c->hour > 24 || c->minute < 0 || c->minute > 59 || c->second < 0 ||
		c->second > 60 || c->us < 0 || c->us > MR_US_PER_S)
		return -EINVAL;
	time = c->hour * MR_US_PER_H + c->minute * MR_US_PER_MIN +
	       c->second * (int64_t)MR_US_PER_S + c->us;
	if (time > MR_US_PER_DAY)
		return -EINVAL;
	days = mr_days_from_civil(c->year, c->month, c->day);
	if (days < MR_DATE_MIN || days > MR_TS_DAY_MAX + 1)
		return -ERANGE;
	*us = days * MR_US_PER_DAY + time;
	return *us <= MR_TS_MAX ? 0 : -ERANGE;
}

// ---- the fast way in

#define EVERY(b) ((b)*0x0101010101010101u)

static int two(const uint8_t *p)
{
	unsigned a = p[0] - '0', b = p[1] - '0';

	return a > 9 || b > 9 ? -1 : (int)(a * 10 + b);
}

// The eight bytes at `p`, zeros behind `end`; at least eight bytes stand before `end`.
static uint64_t load_to_end(const uint8_t *p, const uint8_t *end)
{
	size_t left = (size_t)(end - p);

	if (left >= 8)
		return mr_load_le64(p);
	return left ? mr_load_le64(end - 8) >> (64 - 8 * left) : 0;
}

// Behind the point: one to nine digits, rounded to six.
static bool iso_fraction(const uint8_t **p, const uint8_t *end, int64_t *us)
{
	static const uint32_t unit[9] = {0, 100000, 10000, 1000, 100, 10, 1, 0, 0};
	uint64_t w = load_to_end(*p, end) ^ EVERY(0x30);
	uint64_t hit = ((w + EVERY(0x76)) | w) & EVERY(0x80); // not 0 to 9
	unsigned digits = hit ? (unsigned)__builtin_ctzll(hit) / 8 : 8;
	unsigned kept = MR_MIN(digits, 6u);

	if (digits == 0)
		return false;
	w <<= 64 - 8 * kept;
	w = (w * 10 + (w >> 8)) & 0x00ff00ff00ff00ff;
	w = (w * 100 + (w >> 16)) & 0x0000ffff0000ffff;
	w = (w * 10000 + (w >> 32)) & 0xffffffff;
	*us += (int64_t)w * unit[kept];
	if (MR_UNLIKELY(digits > 6)) {
		*us += (*p)[6] >= '5';
		if (digits == 8 && *p + 8 < end && (uint8_t)((*p)[8] - '0') < 10)
			digits = 9;
	}
	*p += digits;
	return true;
}

// Z, +hh, +hhmm or +hh:mm up to the end.
static bool iso_zone(const uint8_t *p, const uint8_t *end, int64_t *us)
{
	int64_t sign = *p == '-' ? 1 : -1;
	int h, m = 0;

	if (*p == 'Z' && end - p == 1)
		return true;
	if ((*p != '+' && *p != '-') || end - p < 3)
		return false;
	h = two(p + 1);
	p += 3;
	if (p < end && *p == ':' && end - p == 3)
		p++;
	if (end - p == 2) {
		m = two(p);
		p += 2;
	}
	*us += sign * (h * MR_US_PER_H + m * MR_US_PER_MIN);
	return p == end && h >= 0 && h <= 15 && m >= 0 && m <= 59;
}

// Whether the bytes of `w` that `digits` has all ones for are '0' to '9' and the others those of
// `marks`; then `*pairs` gets 10 * (a byte) + (the next) in every byte, the digits' values.
static bool iso_word(uint64_t w, uint64_t digits, uint64_t marks, uint64_t *pairs)
{
	uint64_t v = (w ^ EVERY(0x30)) & digits;

	*pairs = v * 10 + (v >> 8);
	return (w & ~digits) == marks && (((v + EVERY(0x76)) | v) & EVERY(0x80)) == 0;
}

static unsigned byte_of(uint64_t w, unsigned i)
{
	return w >> 8 * i & 0xff;
}

// mr_days_from_civil for the years 1 to 9999, without its care for signs.
static int64_t iso_days(unsigned year, unsigned month, unsigned day)
{
	unsigned y = year - (month <= 2), m = month > 2 ? month - 3 : month + 9;

	return (int64_t)(y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day) - 719469;
}

// YYYY-MM-DD(T| )hh:mm, the first 16 bytes, as minutes since 1970; two words.
static bool iso_minutes(const uint8_t *p, int64_t *minutes)
{
	uint64_t date, time, w = mr_load_le64(p + 8);
	unsigned year, month, day, h, m;

	if (p[10] == ' ')
		w ^= (uint64_t)(' ' ^ 'T') << 16;
	if (!iso_word(mr_load_le64(p), 0x00ffff00ffffffff, 0x2d00002d00000000, &date) ||
		!iso_word(w, 0xffff00ffff00ffff, 0x00003a0000540000, &time))
		return false;
	year = byte_of(date, 0) * 100 + byte_of(date, 2);
	month = byte_of(date, 5);
	day = byte_of(time, 0);
	h = byte_of(time, 3);
	m = byte_of(time, 6);
	if (year < 1 || month < 1 || month > 12 || day < 1 || h > 23 || m > 59 ||
		(day > 28 && day > (unsigned)mr_days_of_month(year, (int)month)))
		return false;
	*minutes = iso_days(year, month, day) * 1440 + h * 60 + m;
	return true;
}

bool mr_ts_parse_iso(struct mr_span text, int64_t *out, bool *has_zone)
{
	const uint8_t *p = text.data, *end = p + text.bytes;
	int64_t minutes, us;
	int s;

	if (text.bytes < 19 || p[16] != ':' || !iso_minutes(p, &minutes))
		return false;
	s = two(p + 17);
	if (s < 0 || s > 59)
		return false;
	us = minutes * MR_US_PER_MIN + s * (int64_t)MR_US_PER_S;
	p += 19;
	if (p < end && *p == '.') {
		p++;
		if (!iso_fraction(&p, end, &us))
			return false;
	}
	*has_zone = p < end;
	if (*has_zone && !iso_zone(p, end, &us))
		return false;
	*out = us;
	return true;
}

// ---- out

static size_t special_text(bool positive, char *out)
{
	char *p = out;

	if (!positive)
		*p++ = '-';
	p = mr_put_bytes(p, "infinity", sizeof("infinity"));
	return (size_t)(p - out) - 1;
}

static char *put_date(char *p, const struct mr_civil *c)
{
	unsigned year = (unsigned)(c->year > 0 ? c->year : 1 - c->year);

	p = year < 10000 ? mr_put_fixed(p, year, 4) : mr_put_u64(p, year);
	*p++ = '-';
	p = mr_put_two(p, (unsigned)c->month);
	*p++ = '-';
	return mr_put_two(p, (unsigned)c->day);
}

static char *put_time(char *p, const struct mr_civil *c)
{
	*p++ = ' ';
	p = mr_put_two(p, (unsigned)c->hour);
	*p++ = ':';
	p = mr_put_two(p, (unsigned)c->minute);
	*p++ = ':';
	p = mr_put_two(p, (unsigned)c->second);
	return mr_put_micros(p, (unsigned)c->us);
}

// +hh[:mm[:ss]]
static char *put_offset(char *p, int32_t offset)
{
	unsigned seconds = (unsigned)abs(offset);

	*p++ = offset < 0 ? '-' : '+';
	p = mr_put_two(p, seconds / 3600);
	if (seconds % 3600) {
		*p++ = ':';
		p = mr_put_two(p, seconds / 60 % 60);
	}
	if (seconds % 60) {
		*p++ = ':';
		p = mr_put_two(p, seconds % 60);
	}
	return p;
}

static size_t put_era(char *p, const struct mr_civil *c, char *out)
{
	if (c->year <= 0) {
		memcpy(p, " BC", 3);
		p += 3;
	}
	*p = 0;
	return (size_t)(p - out);
}

size_t mr_date_format(int32_t days, char out[MR_DATETIME_TEXT_BYTES])
{
	struct mr_civil c;

	if (!mr_date_is_finite(days))
		return special_text(days > 0, out);
	mr_civil_from_days(days, &c.year, &c.month, &c.day);
	return put_era(put_date(out, &c), &c, out);
}

size_t mr_ts_format(int64_t us, char out[MR_DATETIME_TEXT_BYTES])
{
	struct mr_civil c;

	if (!mr_ts_is_finite(us))
		return special_text(us > 0, out);
	c = mr_civil_from_ts(us);
	return put_era(put_time(put_date(out, &c), &c), &c, out);
}

size_t mr_tstz_format(int64_t us, const struct mr_tz *tz, char out[MR_DATETIME_TEXT_BYTES])
{
	int32_t offset;
	struct mr_civil c;
	int64_t local;
	char *p;

	if (!mr_ts_is_finite(us))
		return special_text(us > 0, out);
	offset = tz ? mr_tz_offset(tz, us, NULL) : 0;
	if (__builtin_add_overflow(us, offset * (int64_t)MR_US_PER_S, &local)) {
		local = us;
		offset = 0;
	}
	c = mr_civil_from_ts(local);
	p = put_time(put_date(out, &c), &c);
	return put_era(put_offset(p, offset), &c, out);
}
