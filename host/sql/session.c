// Sessions: status, settings, names of cursors and prepared statements.
#include "host/sql/session_int.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- Settings ----

static bool check_bool(const char *v, char *out, size_t bytes)
{
	static const char *const yes[] = {"on", "true", "yes", "1", "t", "y"};
	static const char *const no[] = {"off", "false", "no", "0", "f", "n"};

	for (size_t i = 0; i < MR_COUNT_OF(yes); i++) {
		if (strcasecmp(v, yes[i]) == 0)
			return snprintf(out, bytes, "on") > 0;
		if (strcasecmp(v, no[i]) == 0)
			return snprintf(out, bytes, "off") > 0;
	}
	return false;
}

static bool check_encoding(const char *v, char *out, size_t bytes)
{
	if (strcasecmp(v, "utf8") != 0 && strcasecmp(v, "utf-8") != 0 &&
		strcasecmp(v, "unicode") != 0 && strcasecmp(v, "sql_ascii") != 0)
		return false;
	return snprintf(out, bytes, "UTF8") > 0;
}

// Only the ISO style is written; the order of fields matters to nothing we read.
static bool check_datestyle(const char *v, char *out, size_t bytes)
{
	const char *order = strcasestr(v, "dmy") ? "DMY" : strcasestr(v, "ymd") ? "YMD" : "MDY";

	if (strcasestr(v, "german") || strcasestr(v, "sql") || strcasestr(v, "postgres"))
		return false;
	return snprintf(out, bytes, "ISO, %s", order) > 0;
}

static bool check_tz(const char *v, char *out, size_t bytes)
{
	const struct mr_tz *tz = mr_tz_find_setting(mr_span_str(v));
	struct mr_span name;

	if (strcasecmp(v, "default") == 0 || strcasecmp(v, "local") == 0)
		tz = mr_tz_utc();
	if (!tz)
		return false;
	name = mr_tz_name(tz);
	return snprintf(out, bytes, "%.*s", (int)name.bytes, (const char *)name.data) > 0;
}

// Milliseconds; a unit may follow.
static bool check_ms(const char *v, char *out, size_t bytes)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"", 1}, {"ms", 1}, {"s", 1e3}, {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
	char *end;
	double n = strtod(v, &end);

	while (*end == ' ')
		end++;
	for (size_t i = 0; i < MR_COUNT_OF(units); i++)
		if (strcasecmp(end, units[i].unit) == 0 && end != v && n >= 0 &&
			n * units[i].ms <= INT32_MAX)
			return snprintf(out, bytes, "%.0f", n * units[i].ms) > 0;
	return false;
}

static bool check_int(const char *v, char *out, size_t bytes)
{
	char *end;
	long n = strtol(v, &end, 10);

	return end != v && !*end && snprintf(out, bytes, "%ld", n) > 0;
}

static bool check_interval_style(const char *v, char *out, size_t bytes)
{
	return strcasecmp(v, "postgres") == 0 && snprintf(out, bytes, "postgres") > 0;
}

enum { R = MR_SETTING_REPORTED, F = MR_SETTING_FIXED };

static const struct mr_setting settings[] = {
	{"application_name", "", R, NULL},
	{"bytea_output", "hex", 0, NULL},
	{"client_encoding", "UTF8", R, check_encoding},
	{"client_min_messages", "notice", 0, NULL},
	{"DateStyle", "ISO, MDY", R, check_datestyle},
	{"default_table_access_method", "heap", F, NULL},
	{"default_transaction_isolation", "read committed", 0, NULL},
	{"default_transaction_read_only", "off", R, check_bool},
	{"enable_seqscan", "on", 0, check_bool},
	{"extra_float_digits", "1", 0, check_int},
	{"idle_in_transaction_session_timeout", "0", 0, check_ms},
	{"in_hot_standby", "off", R | F, NULL},
	{"integer_datetimes", "on", R | F, NULL},
	{"IntervalStyle", "postgres", R, check_interval_style},
	{"is_superuser", "on", R | F, NULL},
	{"lock_timeout", "0", 0, check_ms},
	{"max_identifier_length", "63", F, NULL},
	{"max_index_keys", "32", F, NULL},
	{"role", "none", 0, NULL},
	{"row_security", "on", 0, check_bool},
	{"search_path", "\"$user\", public", 0, NULL},
	{"server_encoding", "UTF8", R | F, NULL},
	{"server_version", "15.0", R | F, NULL},
	{"server_version_num", "150000", F, NULL},
	{"session_authorization", "millrace", R | F, NULL},
	{"standard_conforming_strings", "on", R, check_bool},
	{"statement_timeout", "0", 0, check_ms},
	{"synchronous_commit", "on", 0, NULL},
	{"TimeZone", "UTC", R, check_tz},
	{"transaction_isolation", "read committed", 0, NULL},
	{"transaction_read_only", "off", 0, check_bool},
	{"work_mem", "4MB", 0, NULL},
};

int mr_setting_find(const char *name)
{
	if (strcasecmp(name, "timezone") == 0)
		name = "TimeZone";
	for (size_t i = 0; i < MR_COUNT_OF(settings); i++)
		if (strcasecmp(settings[i].name, name) == 0)
			return (int)i;
	return -1;
}

const struct mr_setting *mr_setting_at(size_t i)
{
	return i < MR_COUNT_OF(settings) ? &settings[i] : NULL;
}

const char *mr_setting_current(const struct mr_session *s, size_t i)
{
	return s->values[i] ? s->values[i] : settings[i].initial;
}

const char *mr_setting_value(const struct mr_session *s, const char *name)
{
	int i = mr_setting_find(name);

	return i < 0 ? NULL : mr_setting_current(s, (size_t)i);
}

static void put_value(struct mr_session *s, size_t i, char *value)
{
	bool same = strcmp(mr_setting_current(s, i), value ? value : settings[i].initial) == 0;

	free(s->values[i]);
	s->values[i] = value;
	s->changed[i] |= !same;
	if (strcmp(settings[i].name, "TimeZone") == 0) {
		s->tz = mr_tz_find_setting(mr_span_str(mr_setting_current(s, i)));
		s->tz = s->tz ? s->tz : mr_tz_utc();
	}
}

int mr_setting_change(
	struct mr_session *s, const char *name, const char *value, int pos, struct mr_diag *diag)
{
	char checked[256];
	int i = mr_setting_find(name);
	char *copy;

	if (i < 0)
		return mr_diag_set(diag, -ENOENT, "42704", pos,
			"unrecognized configuration parameter \"%s\"", name);
	if (settings[i].flags & MR_SETTING_FIXED)
		return mr_diag_set(diag, -EPERM, "55P02", pos, "parameter \"%s\" cannot be changed",
			settings[i].name);
	if (value && settings[i].check) {
		if (!settings[i].check(value, checked, sizeof(checked)))
			return mr_diag_set(diag, -EINVAL, "22023", pos,
				"invalid value for parameter \"%s\": \"%s\"", settings[i].name,
				value);
		value = checked;
	}
	copy = value ? strdup(value) : NULL;
	if (value && !copy)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	put_value(s, (size_t)i, copy);
	return 0;
}

void mr_setting_reset_all(struct mr_session *s)
{
	for (size_t i = 0; i < MR_COUNT_OF(settings); i++)
		if (!(settings[i].flags & MR_SETTING_FIXED))
			put_value(s, i, NULL);
}

int64_t mr_setting_timeout_ms(const struct mr_session *s)
{
	return atoll(mr_setting_value(s, "statement_timeout"));
}

bool mr_session_changed_setting(struct mr_session *s, const char **name, const char **value)
{
	for (size_t i = 0; i < MR_COUNT_OF(settings); i++) {
		if (!s->changed[i])
			continue;
		s->changed[i] = false;
		if (!(settings[i].flags & MR_SETTING_REPORTED))
			continue;
		*name = settings[i].name;
		*value = mr_setting_current(s, i);
		return true;
	}
	return false;
}

const char *mr_session_setting(struct mr_session *s, const char *name)
{
	return mr_setting_value(s, name);
}

int mr_session_set(struct mr_session *s, const char *name, const char *value, struct mr_diag *diag)
{
	return mr_setting_change(s, name, value, 0, diag);
}

const struct mr_tz *mr_session_tz(const struct mr_session *s)
{
	return s->tz;
}

// ---- Life ----

static char *span_dup(struct mr_span s)
{
	char *p = malloc(s.bytes + 1);

	if (p) {
		if (s.bytes)
			memcpy(p, s.data, s.bytes);
		p[s.bytes] = 0;
	}
	return p;
}

int mr_session_create(const struct mr_session_opts *opts, struct mr_session **out)
{
	struct mr_session *s = calloc(1, sizeof(*s));
	char *name = span_dup(opts->application_name);

	if (!s || !name)
		goto failed;
	s->opts = *opts;
	s->status = 'I';
	s->tz = mr_tz_utc();
	s->user = span_dup(opts->user);
	s->database = span_dup(opts->database);
	s->values = calloc(MR_COUNT_OF(settings), sizeof(*s->values));
	s->changed = calloc(MR_COUNT_OF(settings), sizeof(*s->changed));
	if (!s->user || !s->database || !s->values || !s->changed)
		goto failed;
	mr_rand_init(&s->rand, (uint64_t)mr_wall_us(opts->clock) ^ (uint64_t)opts->backend_pid);
	s->values[mr_setting_find("application_name")] = name;
	*out = s;
	return 0;
failed:
	free(name);
	if (s) {
		free(s->user);
		free(s->database);
		free(s->values);
		free(s->changed);
		free(s);
	}
	return -ENOMEM;
}

void mr_session_destroy(struct mr_session *s)
{
	if (!s)
		return;
	mr_session_drop_cursors(s, true);
	mr_session_drop_savepoints(s, NULL);
	mr_session_drop_statement(s, NULL);
	for (size_t i = 0; i < MR_COUNT_OF(settings); i++)
		free(s->values[i]);
	free(s->values);
	free(s->changed);
	free(s->user);
	free(s->database);
	free(s);
}

char mr_session_status(const struct mr_session *s)
{
	return s->status;
}

void mr_session_fail(struct mr_session *s)
{
	if (s->status == 'T')
		s->status = 'E';
}

// ---- Names ----

struct mr_named_cursor *mr_session_cursor(struct mr_session *s, const char *name)
{
	for (struct mr_named_cursor *c = s->cursors; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

const struct mr_statement *mr_session_declared(struct mr_session *s, struct mr_span name)
{
	for (const struct mr_named_cursor *c = s->cursors; c; c = c->next)
		if (mr_span_eq(mr_span_str(c->name), name))
			return c->statement;
	return NULL;
}

void mr_session_drop_cursors(struct mr_session *s, bool held_too)
{
	struct mr_named_cursor **at = &s->cursors;

	while (*at) {
		struct mr_named_cursor *c = *at;

		if (c->hold && !held_too) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		mr_cursor_close(c->cursor);
		mr_statement_destroy(c->statement);
		free(c->name);
		free(c);
	}
}

void mr_session_drop_savepoints(struct mr_session *s, const struct mr_savepoint *last)
{
	while (s->savepoints != last) {
		struct mr_savepoint *p = s->savepoints;

		s->savepoints = p->older;
		free(p->name);
		free(p);
	}
}

struct mr_named_statement *mr_session_statement(struct mr_session *s, const char *name)
{
	for (struct mr_named_statement *n = s->statements; n; n = n->next)
		if (strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

void mr_session_drop_statement(struct mr_session *s, const char *name)
{
	struct mr_named_statement **at = &s->statements;

	while (*at) {
		struct mr_named_statement *n = *at;

		if (name && strcmp(n->name, name) != 0) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		mr_statement_destroy(n->statement);
		free(n->name);
		free(n);
	}
}
