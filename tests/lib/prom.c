// The strict reader of Prometheus text.
#include "tests/lib/prom.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAMILIES_MAX = 512, SAMPLES_MAX = 8192, TEXT_MAX = 512 };

struct sample {
	char family[128], name[128], labels[TEXT_MAX], le[64]; // labels without le
	double value;
};

static struct sample samples[SAMPLES_MAX];
static int samples_count;
static char families[FAMILIES_MAX][128];
static int families_count;

static size_t name_bytes(const char *at)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
	static const char more[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";

	return *at && strchr(first, *at) ? strspn(at, more) : 0;
}

// `a="b",c="d"}`: returns what is behind the brace, or NULL.
static const char *read_labels(const char *at, struct sample *s)
{
	size_t out = 0;

	while (*at != '}') {
		const char *start = at;
		size_t n = name_bytes(at);

		if (n == 0 || at[n] != '=' || at[n + 1] != '"')
			return NULL;
		at += n + 2;
		for (; *at != '"'; at++) {
			if (*at == 0 || (*at == '\\' && !strchr("\\\"n", *++at)))
				return NULL;
		}
		at++;
		if (n == 2 && memcmp(start, "le", 2) == 0)
			snprintf(s->le, sizeof(s->le), "%.*s", (int)(at - start) - 5, start + 4);
		else
			out += (size_t)snprintf(s->labels + out, sizeof(s->labels) - out, "%.*s,",
				(int)(at - start), start);
		if (*at == ',')
			at++;
		else if (*at != '}')
			return NULL;
	}
	return at + 1;
}

static const char *read_sample(const char *line, const char *family, const char *type)
{
	struct sample *s = &samples[samples_count];
	size_t n = name_bytes(line), f = strlen(family);
	const char *at = line + n;
	char *end;

	if (samples_count == SAMPLES_MAX || n == 0 || n >= sizeof(s->name))
		return "name";
	*s = (struct sample){};
	snprintf(s->name, sizeof(s->name), "%.*s", (int)n, line);
	snprintf(s->family, sizeof(s->family), "%s", family);
	if (strncmp(s->name, family, f) != 0)
		return "sample outside its family";
	if (strcmp(type, "histogram") == 0
			? strcmp(s->name + f, "_bucket") && strcmp(s->name + f, "_sum") &&
				  strcmp(s->name + f, "_count")
			: s->name[f] != 0)
		return "suffix";
	if (*at == '{') {
		at = read_labels(at + 1, s);
		if (!at)
			return "labels";
	}
	if (*at++ != ' ' || *at == ' ' || *at == '\t')
		return "blank before the value";
	s->value = strtod(at, &end);
	if (end == at || *end)
		return "value";
	if (strcmp(type, "counter") == 0 && !(s->value >= 0))
		return "negative counter";
	for (int i = 0; i < samples_count; i++)
		if (!strcmp(samples[i].name, s->name) && !strcmp(samples[i].labels, s->labels) &&
			!strcmp(samples[i].le, s->le))
			return "sample twice";
	if (strcmp(s->name + f, "_bucket") == 0 && !s->le[0])
		return "bucket without le";
	samples_count++;
	return NULL;
}

static const char *read_comment(char *line, char *family, char *type, bool *has_help)
{
	char name[128], kind[32];

	if (sscanf(line, "# HELP %127s ", name) == 1) {
		for (int i = 0; i < families_count; i++)
			if (strcmp(families[i], name) == 0)
				return "family twice";
		if (families_count == FAMILIES_MAX || name_bytes(name) != strlen(name))
			return "family name";
		snprintf(families[families_count++], 128, "%s", name);
		snprintf(family, 128, "%s", name);
		type[0] = 0;
		*has_help = true;
		return NULL;
	}
	if (sscanf(line, "# TYPE %127s %31s", name, kind) != 2)
		return "comment";
	if (!*has_help || strcmp(name, family) != 0)
		return "TYPE without HELP";
	if (strcmp(kind, "counter") && strcmp(kind, "gauge") && strcmp(kind, "histogram"))
		return "type";
	snprintf(type, 32, "%s", kind);
	return NULL;
}

// Buckets of one histogram stand together, rising, up to +Inf, and _count says the same.
static const char *check_histograms(void)
{
	for (int i = 0; i < samples_count; i++) {
		struct sample *s = &samples[i], *next = s + 1;

		if (!s->le[0])
			continue;
		if (strcmp(s->le, "+Inf") != 0) {
			if (i + 1 == samples_count || strcmp(next->labels, s->labels) ||
				!next->le[0])
				return "buckets end before +Inf";
			if (strtod(next->le, NULL) <= strtod(s->le, NULL))
				return "le does not rise";
			if (next->value < s->value)
				return "buckets are not cumulative";
		} else if (i + 2 >= samples_count || !strstr(next->name, "_sum") ||
			   !strstr(next[1].name, "_count") || next[1].value != s->value) {
			return "_count differs from +Inf";
		}
	}
	return NULL;
}

int mr_prom_check(struct mr_span text, const char **why)
{
	char family[128] = "", type[32] = "", line[2048];
	bool has_help = false;
	size_t at = 0;

	samples_count = families_count = 0;
	for (int number = 1; at < text.bytes; number++) {
		const uint8_t *lf = memchr(text.data + at, '\n', text.bytes - at);
		size_t n = lf ? (size_t)(lf - text.data) - at : 0;

		*why = !lf ? "no line feed at the end" : n >= sizeof(line) ? "long line" : NULL;
		if (*why)
			return number;
		snprintf(line, sizeof(line), "%.*s", (int)n, (const char *)text.data + at);
		at += n + 1;
		if (line[0] == '#')
			*why = read_comment(line, family, type, &has_help);
		else if (!type[0])
			*why = "sample without TYPE";
		else
			*why = read_sample(line, family, type);
		if (*why)
			return number;
	}
	*why = check_histograms();
	return *why ? -1 : 0;
}

double mr_prom_value(struct mr_span text, const char *sample)
{
	size_t n = strlen(sample);

	for (size_t at = 0; at + n < text.bytes; at++)
		if ((at == 0 || text.data[at - 1] == '\n') &&
			memcmp(text.data + at, sample, n) == 0 && text.data[at + n] == ' ')
			return strtod((const char *)text.data + at + n + 1, NULL);
	return -1;
}
