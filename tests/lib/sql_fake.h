// A stand-in for the SQL layer behind host/sql/sql.h, for tests of the wire: it knows constants,
// parameters, generate_series, pg_sleep, transactions and settings, in PostgreSQL's words. Every
// symbol is weak, so that the real layer takes its place where it is linked. Included by the one
// file of a test program: as an object of tests/lib it would stand in for the real one everywhere.
#pragma once

#include "host/base/clock.h"
#include "host/base/utf8.h"
#include "host/base/value.h"
#include "host/sql/sql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define WEAK __attribute__((weak))

enum { ITEMS_MAX = 8, BLOCK_ROWS = 2048, SETTINGS = 13 };

static const char *const setting_names[SETTINGS] = {"server_version", "server_encoding",
	"client_encoding", "application_name", "is_superuser", "session_authorization", "DateStyle",
	"IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings",
	"default_transaction_read_only", "in_hot_standby"};
static const char *const setting_defaults[SETTINGS] = {"15.0", "UTF8", "UTF8", "", "on", "millrace",
	"ISO, MDY", "postgres", "UTC", "on", "on", "off", "off"};

struct mr_session {
	struct mr_session_opts opts;
	char status;
	char settings[SETTINGS][64];
	bool changed[SETTINGS];
};

enum kind { KIND_DIVIDE, KIND_SELECT, KIND_SERIES, KIND_SLEEP, KIND_STATUS, KIND_SET, KIND_SHOW };

struct mr_statement {
	enum kind kind;
	char status; // after BEGIN, COMMIT, ROLLBACK
	const char *tag;
	int setting;
	char text[64];
	int64_t first, last;
	double seconds;
	uint32_t items;
	int param[ITEMS_MAX]; // -1: a constant
	union mr_value constants[ITEMS_MAX];
	char strings[ITEMS_MAX][64];
	struct mr_result_column columns[ITEMS_MAX];
	uint32_t params;
	struct mr_typeref types[ITEMS_MAX];
};

struct mr_cursor {
	struct mr_session *s;
	struct mr_statement *st;
	int64_t next;
	uint64_t rows;
	bool done;
	char tag[40];
	struct mr_typeref types[ITEMS_MAX];
	union mr_value params[ITEMS_MAX];
	bool null[ITEMS_MAX];
	char *strings[ITEMS_MAX];
	struct mr_col cols[ITEMS_MAX];
	uint64_t valid[ITEMS_MAX];
	int32_t *values;
};

WEAK int mr_session_create(const struct mr_session_opts *opts, struct mr_session **out)
{
	struct mr_session *s = calloc(1, sizeof(*s));

	s->opts = *opts;
	s->status = 'I';
	for (int i = 0; i < SETTINGS; i++)
		snprintf(s->settings[i], 64, "%s", setting_defaults[i]);
	*out = s;
	return 0;
}

WEAK void mr_session_destroy(struct mr_session *s)
{
	free(s);
}

WEAK char mr_session_status(const struct mr_session *s)
{
	return s->status;
}

WEAK void mr_session_fail(struct mr_session *s)
{
	if (s->status == 'T')
		s->status = 'E';
}

WEAK bool mr_session_changed_setting(struct mr_session *s, const char **name, const char **value)
{
	for (int i = 0; i < SETTINGS; i++) {
		if (s->changed[i]) {
			s->changed[i] = false;
			*name = setting_names[i];
			*value = s->settings[i];
			return true;
		}
	}
	return false;
}

static int setting_find(const char *name)
{
	for (int i = 0; i < SETTINGS; i++)
		if (strcasecmp(setting_names[i], name) == 0)
			return i;
	return -1;
}

WEAK const char *mr_session_setting(struct mr_session *s, const char *name)
{
	int i = setting_find(name);

	return i < 0 ? NULL : s->settings[i];
}

WEAK int mr_session_set(
	struct mr_session *s, const char *name, const char *value, struct mr_diag *diag)
{
	int i = setting_find(name);

	if (strcmp(name, "extra_float_digits") == 0)
		return 0;
	if (i < 0)
		return mr_diag_set(diag, -ENOENT, "42704", 0,
			"unrecognized configuration parameter \"%s\"", name);
	if (strcmp(s->settings[i], value) != 0)
		s->changed[i] = true;
	snprintf(s->settings[i], 64, "%s", value);
	return 0;
}

WEAK const struct mr_tz *mr_session_tz(const struct mr_session *)
{
	return NULL;
}

static enum mr_type type_named(const char *t)
{
	if (!strcmp(t, "int") || !strcmp(t, "int4"))
		return MR_TYPE_INT4;
	if (!strcmp(t, "int8") || !strcmp(t, "bigint"))
		return MR_TYPE_INT8;
	return MR_TYPE_TEXT;
}

// `$n::type`, `'text'` or a number.
static bool item_parse(struct mr_statement *st, char *word)
{
	uint32_t i = st->items;
	char type[32] = "", *end;
	int n;

	if (i == ITEMS_MAX)
		return false;
	st->columns[i].name = mr_span_str("?column?");
	st->param[i] = -1;
	if (sscanf(word, "$%d::%31[a-z0-9]", &n, type) >= 1 && n >= 1 && n <= ITEMS_MAX) {
		st->params = MR_MAX(st->params, (uint32_t)n);
		st->param[i] = n - 1;
		if (type[0])
			st->types[n - 1].type = (uint8_t)type_named(type);
		if (st->types[n - 1].type == MR_TYPE_NULL)
			st->types[n - 1].type = MR_TYPE_TEXT;
		st->columns[i].type = st->types[n - 1];
		if (type[0])
			st->columns[i].name =
				mr_span_str(mr_type_info((enum mr_type)st->types[n - 1].type)->udt);
	} else if (strcasecmp(word, "null") == 0) {
		st->columns[i].type.type = MR_TYPE_NULL;
	} else if (word[0] == '\'') {
		snprintf(st->strings[i], 64, "%.*s", (int)MR_MIN(strlen(word) - 2, (size_t)63),
			word + 1);
		st->constants[i].str.data = (uint8_t *)st->strings[i];
		st->constants[i].str.bytes = (uint32_t)strlen(st->strings[i]);
		st->columns[i].type.type = MR_TYPE_TEXT;
	} else {
		st->constants[i].i32 = (int32_t)strtol(word, &end, 10);
		st->columns[i].type.type = MR_TYPE_INT4;
		if (end == word || *end)
			return false;
	}
	st->items++;
	return true;
}

static int statement_parse(struct mr_statement *st, char *text, int position, struct mr_diag *d)
{
	static const struct {
		const char *word, *tag;
		char status;
	} blocks[] = {{"begin", "BEGIN", 'T'}, {"commit", "COMMIT", 'I'},
		{"rollback", "ROLLBACK", 'I'}, {"deallocate all", "DEALLOCATE ALL", 0}};
	long long a, b;
	char name[64];

	for (size_t i = 0; i < MR_COUNT_OF(blocks); i++) {
		if (strcasecmp(text, blocks[i].word) == 0) {
			st->kind = KIND_STATUS;
			st->tag = blocks[i].tag;
			st->status = blocks[i].status;
			return 0;
		}
	}
	if (sscanf(text, "set %63[a-z_A-Z] = '%63[^']'", name, st->text) == 2 ||
		sscanf(text, "show %63[a-z_A-Z]", name) == 1) {
		st->kind = text[1] == 'e' ? KIND_SET : KIND_SHOW;
		st->setting = setting_find(name);
		if (st->kind == KIND_SHOW && st->setting >= 0) {
			st->items = 1;
			st->columns[0].name = mr_span_str(setting_names[st->setting]);
			st->columns[0].type.type = MR_TYPE_TEXT;
		}
		if (st->setting >= 0)
			return 0;
		return mr_diag_set(d, -ENOENT, "42704", 0,
			"unrecognized configuration parameter \"%s\"", name);
	}
	if (strncasecmp(text, "select ", 7) == 0) {
		if (sscanf(text + 7, "* from generate_series(%lld, %lld)", &a, &b) == 2) {
			st->kind = KIND_SERIES;
			st->first = a;
			st->last = b;
			st->items = 1;
			st->columns[0].name = mr_span_str("generate_series");
			st->columns[0].type.type = MR_TYPE_INT4;
			return 0;
		}
		if (sscanf(text + 7, "pg_sleep(%lf)", &st->seconds) == 1) {
			st->kind = KIND_SLEEP;
			st->items = 1;
			st->columns[0].name = mr_span_str("pg_sleep");
			st->columns[0].type.type = MR_TYPE_TEXT;
			return 0;
		}
		if (strcmp(text + 7, "1/0") == 0) {
			st->kind = KIND_DIVIDE;
			st->items = 1;
			st->columns[0].name = mr_span_str("?column?");
			st->columns[0].type.type = MR_TYPE_INT4;
			return 0;
		}
		st->kind = KIND_SELECT;
		for (char *save, *w = strtok_r(text + 7, ", ", &save); w;
			w = strtok_r(NULL, ", ", &save))
			if (!item_parse(st, w))
				goto bad;
		return 0;
	}
bad:
	return mr_diag_set(d, -EINVAL, "42601", position, "syntax error at or near \"%.*s\"",
		(int)strcspn(text, " "), text);
}

WEAK int mr_statement_prepare(struct mr_session *s, struct mr_span whole, struct mr_span *text,
	const struct mr_typeref *types, uint32_t types_count, struct mr_statement **out,
	struct mr_diag *diag)
{
	struct mr_statement *st;
	char copy[512];
	size_t n = 0;
	int rc;

	*out = NULL;
	while (text->bytes && strchr(" \n\t;", text->data[0]))
		*text = mr_span(text->data + 1, text->bytes - 1);
	while (n < text->bytes && text->data[n] != ';')
		n++;
	if (n == 0)
		return 0;
	snprintf(copy, sizeof(copy), "%.*s", (int)n, (const char *)text->data);
	st = calloc(1, sizeof(*st));
	for (uint32_t i = 0; i < MR_MIN(types_count, (uint32_t)ITEMS_MAX); i++)
		st->types[i] = types[i];
	rc = statement_parse(st, copy, (int)(text->data - whole.data) + 1, diag);
	if (rc == 0 && s->status == 'E' && st->kind != KIND_STATUS)
		rc = mr_diag_set(diag, -EINVAL, "25P02", 0,
			"current transaction is aborted, commands ignored until end of transaction "
			"block");
	*text = mr_span(text->data + n, text->bytes - n);
	if (rc < 0) {
		free(st);
		return rc;
	}
	*out = st;
	return 0;
}

WEAK void mr_statement_destroy(struct mr_statement *st)
{
	free(st);
}

WEAK uint32_t mr_statement_params(const struct mr_statement *st, const struct mr_typeref **types)
{
	*types = st->types;
	return st->params;
}

WEAK uint32_t mr_statement_columns(
	const struct mr_statement *st, const struct mr_result_column **out)
{
	*out = st->columns;
	return st->items;
}

WEAK int mr_cursor_open(struct mr_session *s, struct mr_statement *st,
	const struct mr_param *params, uint32_t params_count, struct mr_cursor **out,
	struct mr_diag *)
{
	struct mr_cursor *c = calloc(1, sizeof(*c));

	c->s = s;
	c->st = st;
	c->next = st->first;
	for (uint32_t i = 0; i < params_count; i++) {
		enum mr_phys phys = mr_type_phys(st->types[i]);

		c->null[i] = !params[i].value;
		if (c->null[i])
			continue;
		memcpy(&c->params[i], params[i].value, mr_phys_bytes(phys));
		if (phys == MR_PHYS_BYTES) {
			c->strings[i] = malloc(c->params[i].str.bytes + 1);
			memcpy(c->strings[i], c->params[i].str.data, c->params[i].str.bytes);
			c->params[i].str.data = (uint8_t *)c->strings[i];
		}
	}
	*out = c;
	return 0;
}

static int series_next(struct mr_cursor *c, uint32_t rows_max, struct mr_block *out)
{
	uint32_t n = 0, max = rows_max ? MR_MIN(rows_max, (uint32_t)BLOCK_ROWS) : BLOCK_ROWS;

	if (!c->values)
		c->values = malloc(BLOCK_ROWS * sizeof(int32_t));
	for (; n < max && c->next <= c->st->last; n++)
		c->values[n] = (int32_t)c->next++;
	c->cols[0] = (struct mr_col){
		.type = {MR_TYPE_INT4, 0, 0}, .phys = MR_PHYS_I32, .values = c->values};
	*out = (struct mr_block){n, c->cols};
	c->rows += n;
	return n > 0;
}

static int select_next(struct mr_cursor *c, struct mr_block *out)
{
	for (uint32_t i = 0; i < c->st->items; i++) {
		int p = c->st->param[i];

		c->valid[i] = p < 0 || !c->null[p];
		c->cols[i] = (struct mr_col){.type = c->st->columns[i].type,
			.values = p < 0 ? &c->st->constants[i] : &c->params[p],
			.valid = &c->valid[i]};
		c->cols[i].phys = (uint8_t)mr_type_phys(c->cols[i].type);
	}
	*out = (struct mr_block){1, c->cols};
	c->done = true;
	c->rows = 1;
	return 1;
}

static int show_next(struct mr_cursor *c, struct mr_block *out)
{
	c->params[0].str.data = (const uint8_t *)c->s->settings[c->st->setting];
	c->params[0].str.bytes = (uint32_t)strlen(c->s->settings[c->st->setting]);
	c->cols[0] = (struct mr_col){
		.type = {MR_TYPE_TEXT, 0, 0}, .phys = MR_PHYS_BYTES, .values = &c->params[0]};
	*out = (struct mr_block){1, c->cols};
	c->done = true;
	return 1;
}

WEAK int mr_cursor_next(
	struct mr_cursor *c, uint32_t rows_max, struct mr_block *out, struct mr_diag *diag)
{
	int64_t end;

	if (atomic_load(c->s->opts.cancelled))
		return mr_diag_set(diag, MR_ERR_CANCELLED, "57014", 0,
			"canceling statement due to user request");
	if (c->done)
		return 0;
	switch (c->st->kind) {
	case KIND_DIVIDE: return mr_diag_set(diag, -EDOM, "22012", 0, "division by zero");
	case KIND_SERIES: return series_next(c, rows_max, out);
	case KIND_SELECT: return select_next(c, out);
	case KIND_SHOW: return show_next(c, out);
	case KIND_SLEEP:
		end = mr_now_ns(&mr_clock_system) + (int64_t)(c->st->seconds * 1e9);
		while (mr_now_ns(&mr_clock_system) < end && !atomic_load(c->s->opts.cancelled))
			usleep(2000);
		if (atomic_load(c->s->opts.cancelled))
			return mr_cursor_next(c, rows_max, out, diag);
		c->cols[0] = (struct mr_col){.type = {MR_TYPE_TEXT, 0, 0},
			.phys = MR_PHYS_BYTES,
			.values = &c->params[0]};
		*out = (struct mr_block){1, c->cols};
		c->done = true;
		c->rows = 1;
		return 1;
	case KIND_STATUS:
		if (c->st->status)
			c->s->status = c->st->status;
		break;
	case KIND_SET:
		if (mr_session_set(c->s, setting_names[c->st->setting], c->st->text, diag) < 0)
			return -EINVAL;
		break;
	}
	c->done = true;
	return 0;
}

WEAK const char *mr_cursor_tag(const struct mr_cursor *c)
{
	struct mr_cursor *w = (struct mr_cursor *)c;

	if (c->st->kind == KIND_STATUS)
		return c->st->tag;
	if (c->st->kind == KIND_SET || c->st->kind == KIND_SHOW)
		return c->st->kind == KIND_SET ? "SET" : "SHOW";
	snprintf(w->tag, sizeof(w->tag), "SELECT %llu", (unsigned long long)c->rows);
	return c->tag;
}

WEAK void mr_cursor_close(struct mr_cursor *c)
{
	for (int i = 0; i < ITEMS_MAX; i++)
		free(c->strings[i]);
	free(c->values);
	free(c);
}

static const struct mr_env_ops fake_ops;
static struct mr_env mr_fake_env = {&fake_ops};
