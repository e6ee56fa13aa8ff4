// Reading TZif files (RFC 8536) and the POSIX TZ rule in their footers (section 3.3.1).
//
//   header v1 | data of v1, skipped | header | transition times, 8 bytes each
//   | type of each | types (offset, is dst, abbreviation) | abbreviations | … | \n rule \n
#include "host/base/datetime.h"
#include "host/base/tz_int.h"

#include <stdlib.h>

struct header {
	uint8_t version;
	uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static bool read_header(struct mr_reader *r, struct header *h)
{
	const uint8_t *magic = mr_read_bytes(r, 4);

	if (!magic || memcmp(magic, "TZif", 4) != 0)
		return false;
	h->version = mr_read_u8(r);
	mr_read_bytes(r, 15);
	h->isutcnt = mr_read_be32(r);
	h->isstdcnt = mr_read_be32(r);
	h->leapcnt = mr_read_be32(r);
	h->timecnt = mr_read_be32(r);
	h->typecnt = mr_read_be32(r);
	h->charcnt = mr_read_be32(r);
	return !r->bad && h->timecnt <= MR_TZ_TIMES_MAX && h->typecnt > 0 &&
	       h->typecnt <= MR_TZ_TYPES_MAX && h->charcnt <= 4096 && h->leapcnt <= 4096 &&
	       h->isutcnt <= MR_TZ_TYPES_MAX && h->isstdcnt <= MR_TZ_TYPES_MAX;
}

static size_t data_bytes(const struct header *h, size_t time_bytes)
{
	return h->timecnt * (time_bytes + 1) + h->typecnt * 6 + h->charcnt +
	       h->leapcnt * (time_bytes + 4) + h->isstdcnt + h->isutcnt;
}

static bool read_times(struct mr_reader *r, const struct header *h, struct mr_tz *tz)
{
	for (uint32_t i = 0; i < h->timecnt; i++) {
		tz->times[i] = (int64_t)mr_read_be64(r);
		if (i && tz->times[i] <= tz->times[i - 1])
			return false;
	}
	for (uint32_t i = 0; i < h->timecnt; i++) {
		tz->time_types[i] = mr_read_u8(r);
		if (tz->time_types[i] >= h->typecnt)
			return false;
	}
	tz->times_count = h->timecnt;
	return !r->bad;
}

static bool read_types(struct mr_reader *r, const struct header *h, struct mr_tz *tz)
{
	struct mr_span types = mr_read_span(r, h->typecnt * 6);
	struct mr_span names = mr_read_span(r, h->charcnt);

	if (r->bad)
		return false;
	for (uint32_t i = 0; i < h->typecnt; i++) {
		const uint8_t *p = types.data + 6 * i;
		struct mr_tz_type *t = &tz->types[i];
		size_t n = 0;

		t->offset = (int32_t)mr_load_be32(p);
		t->dst = p[4] != 0;
		if (abs(t->offset) > 26 * 3600 || p[5] >= names.bytes)
			return false;
		for (size_t at = p[5];
			at < names.bytes && names.data[at] && n < MR_TZ_ABBREVIATION_MAX - 1; at++)
			t->abbreviation[n++] = (char)names.data[at];
	}
	tz->types_count = h->typecnt;
	return true;
}

// ---- the footer

static bool at_char(const struct mr_reader *r, char c)
{
	return mr_read_left(r) && *r->at == (uint8_t)c;
}

static bool skip_char(struct mr_reader *r, char c)
{
	if (!at_char(r, c))
		return false;
	r->at++;
	return true;
}

static int read_int(struct mr_reader *r, int max)
{
	int v = 0, digits = 0;

	while (mr_read_left(r) && *r->at >= '0' && *r->at <= '9' && digits++ < 4)
		v = v * 10 + (*r->at++ - '0');
	if (digits == 0 || v > max)
		r->bad = true;
	return v;
}

// [+-]hh[:mm[:ss]]
static int32_t read_hms(struct mr_reader *r)
{
	bool negative = skip_char(r, '-');
	int32_t v;

	if (!negative)
		skip_char(r, '+');
	v = read_int(r, 167) * 3600;
	if (skip_char(r, ':'))
		v += read_int(r, 59) * 60;
	if (skip_char(r, ':'))
		v += read_int(r, 59);
	return negative ? -v : v;
}

static void read_abbreviation(struct mr_reader *r, char out[MR_TZ_ABBREVIATION_MAX])
{
	bool quoted = skip_char(r, '<');
	size_t n = 0;

	while (mr_read_left(r)) {
		uint8_t c = *r->at;
		bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';

		if (quoted ? c == '>' : !letter)
			break;
		if (n < MR_TZ_ABBREVIATION_MAX - 1)
			out[n++] = (char)c;
		r->at++;
	}
	out[n] = 0;
	if ((quoted && !skip_char(r, '>')) || n == 0)
		r->bad = true;
}

static void read_day(struct mr_reader *r, struct mr_tz_day *d)
{
	d->kind = 'N';
	if (skip_char(r, 'M')) {
		d->kind = 'M';
		d->month = read_int(r, 12);
		if (!skip_char(r, '.'))
			r->bad = true;
		d->week = read_int(r, 5);
		if (!skip_char(r, '.'))
			r->bad = true;
		d->day = read_int(r, 6);
		if (d->month < 1 || d->week < 1)
			r->bad = true;
	} else {
		if (skip_char(r, 'J'))
			d->kind = 'J';
		d->day = read_int(r, 365);
	}
	d->second = skip_char(r, '/') ? read_hms(r) : 2 * 3600;
}

static bool read_rule(struct mr_span text, struct mr_tz_rule *rule)
{
	struct mr_reader r = mr_reader(text);

	read_abbreviation(&r, rule->std.abbreviation);
	rule->std.offset = -read_hms(&r);
	rule->has_dst = mr_read_left(&r) > 0;
	if (rule->has_dst) {
		rule->dst.dst = true;
		read_abbreviation(&r, rule->dst.abbreviation);
		rule->dst.offset = rule->std.offset + 3600;
		if (!at_char(&r, ','))
			rule->dst.offset = -read_hms(&r);
		if (!skip_char(&r, ','))
			r.bad = true;
		read_day(&r, &rule->start);
		if (!skip_char(&r, ','))
			r.bad = true;
		read_day(&r, &rule->end);
	}
	return !r.bad && mr_read_left(&r) == 0 && abs(rule->std.offset) <= 26 * 3600 &&
	       abs(rule->dst.offset) <= 26 * 3600;
}

// The second of a rule's day in a year, as if local time were UTC.
static int64_t day_second(const struct mr_tz_day *d, int32_t year)
{
	int64_t day = mr_days_from_civil(year, 1, 1);

	if (d->kind == 'M') {
		int64_t first = mr_days_from_civil(year, d->month, 1);
		int weekday = (int)((first + 4) % 7); // 1970-01-01 was a Thursday

		weekday += weekday < 0 ? 7 : 0;
		day = first + (d->day - weekday + 7) % 7 + (d->week - 1) * 7;
		while (day >= first + mr_days_of_month(year, d->month))
			day -= 7;
	} else if (d->kind == 'J') {
		bool leap = mr_days_of_month(year, 2) == 29;

		day += d->day - 1 + (leap && d->day > 59);
	} else {
		day += d->day;
	}
	return day * 86400 + d->second;
}

const struct mr_tz_type *mr_tz_rule_type(const struct mr_tz_rule *r, int64_t second)
{
	int32_t year, month, day;
	int64_t local = second + r->std.offset, start, end;

	if (!r->has_dst)
		return &r->std;
	mr_civil_from_days(local / 86400 - (local % 86400 < 0), &year, &month, &day);
	start = day_second(&r->start, year) - r->std.offset;
	end = day_second(&r->end, year) - r->dst.offset;
	if (start < end)
		return second >= start && second < end ? &r->dst : &r->std;
	return second >= end && second < start ? &r->std : &r->dst;
}

static bool read_footer(struct mr_reader *r, struct mr_tz *tz)
{
	const uint8_t *end;

	if (mr_read_left(r) == 0)
		return true;
	if (mr_read_u8(r) != '\n')
		return false;
	end = memchr(r->at, '\n', mr_read_left(r));
	if (!end)
		return false;
	if (end == r->at)
		return true;
	tz->has_rule = true;
	return read_rule(mr_span(r->at, (size_t)(end - r->at)), &tz->rule);
}

static bool read_file(struct mr_span file, struct mr_tz *tz)
{
	struct mr_reader r = mr_reader(file);
	struct header h;

	if (!read_header(&r, &h) || h.version < '2')
		return false; // version 1 has 32-bit times; tzdata has not shipped it for years
	mr_read_bytes(&r, data_bytes(&h, 4));
	if (r.bad || !read_header(&r, &h) || !read_times(&r, &h, tz) || !read_types(&r, &h, tz))
		return false;
	mr_read_bytes(&r, h.leapcnt * 12 + h.isstdcnt + h.isutcnt);
	return !r.bad && read_footer(&r, tz);
}

struct mr_tz *mr_tz_parse(struct mr_span name, struct mr_span file)
{
	struct mr_tz *tz = calloc(1, sizeof(*tz));

	if (!tz)
		return NULL;
	if (name.bytes > MR_TZ_NAME_MAX || !read_file(file, tz)) {
		free(tz);
		return NULL;
	}
	memcpy(tz->name, name.data, name.bytes);
	return tz;
}

void mr_tz_destroy(struct mr_tz *tz)
{
	free(tz);
}
