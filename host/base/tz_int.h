// A zone's insides, shared by tz.c and tz_file.c.
#pragma once

#include "host/base/tz.h"

#define MR_TZ_TIMES_MAX        2000
#define MR_TZ_TYPES_MAX        256
#define MR_TZ_ABBREVIATION_MAX 16

struct mr_tz_type {
	int32_t offset; // seconds east
	bool dst;
	char abbreviation[MR_TZ_ABBREVIATION_MAX];
};

// A day of the year in a POSIX TZ rule, and the second of that day, local time.
struct mr_tz_day {
	char kind; // 'M' month.week.day, 'J' 1 to 365 without 29 February, 'N' 0 to 365
	int month, week, day;
	int32_t second;
};

struct mr_tz_rule {
	struct mr_tz_type std, dst;
	bool has_dst;
	struct mr_tz_day start, end;
};

struct mr_tz {
	char name[MR_TZ_NAME_MAX + 1];
	struct mr_tz *next;
	size_t times_count;
	size_t types_count;
	bool has_rule; // the footer's rule holds from the last transition on
	struct mr_tz_rule rule;
	int64_t times[MR_TZ_TIMES_MAX]; // seconds since 1970, ascending
	uint8_t time_types[MR_TZ_TIMES_MAX];
	struct mr_tz_type types[MR_TZ_TYPES_MAX];
};

// The type in force at a second by a rule alone.
const struct mr_tz_type *mr_tz_rule_type(const struct mr_tz_rule *r, int64_t second);
