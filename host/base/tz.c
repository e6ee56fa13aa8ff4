// Time zones: the cache of zones, offsets at an instant, local time to UTC.
#include "host/base/tz_int.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ZONEINFO_DIR      "/usr/share/zoneinfo"
#define ZONE_FILE_MAX     (256u << 10) // the largest of tzdata has under 4 KiB
#define US_PER_S          1000000
#define DAY_US            (86400 * (int64_t)US_PER_S)
#define FIXED_SECONDS_MAX (16 * 3600 - 1)

static struct mr_tz utc = {.name = "UTC", .types_count = 1, .types = {{.abbreviation = "UTC"}}};
static struct mr_tz *cache; // never shrinks; guarded by cache_lock
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

const struct mr_tz *mr_tz_utc(void)
{
	return &utc;
}

struct mr_span mr_tz_name(const struct mr_tz *tz)
{
	return mr_span_str(tz->name);
}

// ---- finding

static bool name_is_safe(struct mr_span name)
{
	if (name.bytes == 0 || name.bytes > MR_TZ_NAME_MAX || name.data[0] == '/')
		return false;
	for (size_t i = 0; i < name.bytes; i++) {
		uint8_t c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '_' || c == '-' || c == '+' || c == '/'))
			return false;
	}
	return true;
}

// Replaces `want` by the entry of `dir` that equals it in any case.
static bool fix_case(const char *dir, char *want)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		found = strcasecmp(e->d_name, want) == 0;
		if (found)
			memcpy(want, e->d_name, strlen(want));
	}
	closedir(d);
	return found;
}

// Gives a name its right spelling, folder by folder.
static bool fix_name(char *name)
{
	char dir[sizeof(ZONEINFO_DIR) + MR_TZ_NAME_MAX + 2] = ZONEINFO_DIR;
	size_t bytes = sizeof(ZONEINFO_DIR) - 1;
	char *part = name;

	while (part) {
		char *slash = strchr(part, '/');
		size_t room = sizeof(dir) - bytes;
		bool found;

		if (slash)
			*slash = 0;
		found = fix_case(dir, part);
		bytes += (size_t)snprintf(dir + bytes, room, "/%s", part);
		if (slash)
			*slash++ = '/';
		if (!found || bytes >= sizeof(dir))
			return false;
		part = slash;
	}
	return true;
}

static struct mr_tz *read_zone(struct mr_span wanted)
{
	char name[MR_TZ_NAME_MAX + 1] = "", path[sizeof(ZONEINFO_DIR) + sizeof(name) + 1];
	uint8_t *bytes;
	struct mr_tz *tz;
	size_t n;
	FILE *f;

	if (!name_is_safe(wanted))
		return NULL;
	memcpy(name, wanted.data, wanted.bytes);
	if (!fix_name(name))
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", ZONEINFO_DIR, name);
	f = fopen(path, "rb");
	if (!f)
		return NULL;
	bytes = malloc(ZONE_FILE_MAX);
	n = bytes ? fread(bytes, 1, ZONE_FILE_MAX, f) : 0;
	tz = mr_tz_parse(mr_span_str(name), mr_span(bytes, n));
	free(bytes);
	fclose(f);
	return tz;
}

// Named as PostgreSQL names them, in POSIX's way: the sign behind the name counts westwards.
static struct mr_tz *make_fixed(int32_t seconds)
{
	struct mr_tz *tz = calloc(1, sizeof(*tz));
	bool west = seconds < 0;
	unsigned m = (unsigned)abs(seconds) / 60, h = m / 60 % 100;
	char hours[8];

	if (!tz)
		return NULL;
	snprintf(hours, sizeof(hours), m % 60 ? "%02u:%02u" : "%02u", h, m % 60);
	snprintf(tz->name, sizeof(tz->name), "<%c%s>%c%s", west ? '-' : '+', hours,
		west ? '+' : '-', hours);
	tz->types_count = 1;
	tz->types[0].offset = seconds;
	snprintf(
		tz->types[0].abbreviation, MR_TZ_ABBREVIATION_MAX, "%c%s", west ? '-' : '+', hours);
	return tz;
}

static bool read_number(struct mr_span s, size_t *at, int32_t most, int32_t *out)
{
	size_t start = *at;

	*out = 0;
	for (; *at < s.bytes && s.data[*at] >= '0' && s.data[*at] <= '9' && *out <= most; ++*at)
		*out = *out * 10 + s.data[*at] - '0';
	return *at > start && *out <= most;
}

// POSIX's std offset without a rule for summer: `EST5`, `GMT-03:00`, `<+03>-3`, `+03`. Positive is
// west, so '+03' is three hours behind UTC. Seconds east.
static bool parse_posix(struct mr_span s, int32_t *seconds)
{
	size_t at = 0;
	int32_t h, m = 0;
	bool east = false;

	if (s.bytes && s.data[0] == '<') {
		while (at < s.bytes && s.data[at] != '>')
			at++;
		at++;
	}
	while (at < s.bytes && ((s.data[at] | 32) >= 'a' && (s.data[at] | 32) <= 'z'))
		at++;
	if (at < s.bytes && (s.data[at] == '+' || s.data[at] == '-'))
		east = s.data[at++] == '-';
	else if (at == 0)
		return false;
	if (!read_number(s, &at, 167, &h))
		return false;
	if (at < s.bytes && s.data[at] == ':' && (++at, !read_number(s, &at, 59, &m)))
		return false;
	*seconds = (h * 3600 + m * 60) * (east ? 1 : -1);
	return at == s.bytes && abs(*seconds) <= FIXED_SECONDS_MAX;
}

static bool is_name(const struct mr_tz *tz, struct mr_span name)
{
	return strlen(tz->name) == name.bytes &&
	       strncasecmp(tz->name, (const char *)name.data, name.bytes) == 0;
}

// Looks in the cache first; `fixed` makes a zone of an offset, else a file is read.
static const struct mr_tz *find_or_add(struct mr_span name, const int32_t *fixed)
{
	struct mr_tz *tz;

	pthread_mutex_lock(&cache_lock);
	for (tz = cache; tz; tz = tz->next)
		if (fixed ? tz->times_count == 0 && tz->name[0] != 0 && !tz->has_rule &&
					tz->name[0] == '<' && tz->types[0].offset == *fixed
			  : is_name(tz, name))
			break;
	if (!tz) {
		tz = fixed ? make_fixed(*fixed) : read_zone(name);
		if (tz) {
			tz->next = cache;
			cache = tz;
		}
	}
	pthread_mutex_unlock(&cache_lock);
	return tz;
}

const struct mr_tz *mr_tz_fixed(int32_t seconds)
{
	if (seconds > FIXED_SECONDS_MAX || seconds < -FIXED_SECONDS_MAX || seconds % 60)
		return NULL;
	return find_or_add(mr_span(NULL, 0), &seconds);
}

const struct mr_tz *mr_tz_find(struct mr_span name)
{
	const struct mr_tz *tz;
	int32_t seconds;

	if (is_name(&utc, name) || mr_span_eq(name, mr_span_str("Z")) ||
		mr_span_eq(name, mr_span_str("z")))
		return &utc;
	tz = find_or_add(name, NULL);
	return tz || !parse_posix(name, &seconds) ? tz : mr_tz_fixed(seconds);
}

// Those of PostgreSQL's list that mean one offset the whole year; a zone's file of the same name
// (CET, EST) may change to summer time.
static const struct {
	const char *name;
	int8_t hours;
} abbreviations[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
	{"PST", -8}, {"PDT", -7}, {"AKST", -9}, {"AKDT", -8}, {"HST", -10}, {"GMT", 0}, {"WET", 0},
	{"WEST", 1}, {"BST", 1}, {"CET", 1}, {"CEST", 2}, {"MET", 1}, {"MEST", 2}, {"EET", 2},
	{"EEST", 3}, {"IST", 2}, {"SAST", 2}, {"EAT", 3}, {"PKT", 5}, {"HKT", 8}, {"JST", 9},
	{"KST", 9}, {"AWST", 8}, {"AEST", 10}, {"AEDT", 11}, {"NZST", 12}, {"NZDT", 13}};

const struct mr_tz *mr_tz_find_short(struct mr_span name)
{
	for (size_t i = 0; i < MR_COUNT_OF(abbreviations); i++)
		if (strlen(abbreviations[i].name) == name.bytes &&
			strncasecmp(abbreviations[i].name, (const char *)name.data, name.bytes) ==
				0)
			return abbreviations[i].hours ? mr_tz_fixed(abbreviations[i].hours * 3600)
						      : &utc;
	return mr_tz_find(name);
}

const struct mr_tz *mr_tz_find_setting(struct mr_span name)
{
	char text[16], *end = text;
	double hours = 0;

	if (name.bytes && name.bytes < sizeof(text)) {
		memcpy(text, name.data, name.bytes);
		text[name.bytes] = 0;
		hours = strtod(text, &end);
	}
	if (end == text || *end || !(hours > -16 && hours < 16))
		return mr_tz_find(name);
	return hours == 0 ? &utc : mr_tz_fixed((int32_t)(hours * 60) * 60);
}

// ---- offsets

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

// The type in force at a second: of the last transition at or before it.
static const struct mr_tz_type *type_at(const struct mr_tz *tz, int64_t second)
{
	size_t low = 0, high = tz->times_count;

	if (high == 0 || second < tz->times[0])
		return &tz->types[0]; // RFC 8536 section 3.2
	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (tz->times[mid] <= second)
			low = mid;
		else
			high = mid;
	}
	return &tz->types[tz->time_types[low]];
}

int32_t mr_tz_offset(const struct mr_tz *tz, int64_t us, const char **abbreviation)
{
	int64_t second = floor_div(us, US_PER_S);
	const struct mr_tz_type *type;

	if (tz->has_rule && (tz->times_count == 0 || second >= tz->times[tz->times_count - 1]))
		type = mr_tz_rule_type(&tz->rule, second);
	else
		type = type_at(tz, second);
	if (abbreviation)
		*abbreviation = type->abbreviation;
	return type->offset;
}

static int64_t minus_offset(int64_t local_us, int32_t offset)
{
	int64_t us;

	if (__builtin_sub_overflow(local_us, (int64_t)offset * US_PER_S, &us))
		return offset > 0 ? INT64_MIN : INT64_MAX;
	return us;
}

// The offsets a day before and a day after bracket any change near the local time; each is a
// candidate, and good if it is in force at the instant it leads to.
int64_t mr_tz_to_utc(const struct mr_tz *tz, int64_t local_us)
{
	int32_t before, after;
	int64_t t_before, t_after;

	if (local_us > INT64_MAX - DAY_US || local_us < INT64_MIN + DAY_US)
		return minus_offset(local_us, mr_tz_offset(tz, local_us, NULL));
	before = mr_tz_offset(tz, local_us - DAY_US, NULL);
	after = mr_tz_offset(tz, local_us + DAY_US, NULL);
	t_before = minus_offset(local_us, before);
	t_after = minus_offset(local_us, after);
	if (mr_tz_offset(tz, t_after, NULL) == after)
		return t_after;
	return t_before;
}
