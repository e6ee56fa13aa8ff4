// Time zones: IANA names from the system's zoneinfo files, POSIX-like fixed offsets, UTC.
//
// A zone is immutable and lives as long as the process: mr_tz_find caches it under a lock and the
// same name gives the same pointer. Reading a zone's offset takes no lock. A damaged or hostile
// zoneinfo file can only make its name unknown (TZif version 2 and up, RFC 8536, with the footer).
#pragma once

#include "host/base/span.h"

#define MR_TZ_NAME_MAX 63

struct mr_tz;

// UTC, always there.
const struct mr_tz *mr_tz_utc(void);

// By name, in any case ("europe/berlin"), "UTC", "Z", "GMT", or POSIX's name and offset, in which
// a positive offset is west ("EST5", "GMT-03:00", "<+03>-3", "+03" = UTC-3). NULL when there is no
// such zone. Any thread; may read a file the first time.
const struct mr_tz *mr_tz_find(struct mr_span name);
// The same, but PostgreSQL's abbreviations come first ("CET" is UTC+1 in summer too): what AT TIME
// ZONE and the text of a timestamp name.
const struct mr_tz *mr_tz_find_short(struct mr_span name);
// The same as mr_tz_find, but a mere number counts hours east ("+03", "-5.5"): SET TIME ZONE.
const struct mr_tz *mr_tz_find_setting(struct mr_span name);

// A zone that is always `seconds` east of UTC: whole minutes, |seconds| < 16 h (as PostgreSQL),
// or NULL.
const struct mr_tz *mr_tz_fixed(int32_t seconds);

// The name in its right spelling: `SHOW timezone`.
struct mr_span mr_tz_name(const struct mr_tz *tz);

// Seconds east of UTC at an instant (microseconds since 1970 UTC). `abbreviation` may be NULL;
// it gets a string that lives as long as the zone.
int32_t mr_tz_offset(const struct mr_tz *tz, int64_t us, const char **abbreviation);

// The UTC instant of a local time, both in microseconds. In a gap, and in an overlap, the offset is
// PostgreSQL's choice: the one from after the change in an overlap, the one
// from before the change in a gap. Saturates at the ends of int64_t.
int64_t mr_tz_to_utc(const struct mr_tz *tz, int64_t local_us);

// For tests: builds a zone from the bytes of a TZif file. Returns owned, freed with mr_tz_destroy;
// NULL when damaged.
struct mr_tz *mr_tz_parse(struct mr_span name, struct mr_span file);
void mr_tz_destroy(struct mr_tz *tz);
