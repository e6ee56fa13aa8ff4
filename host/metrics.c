// The registry of metrics and the Prometheus text format.
//
// https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4): the lines of one
// family stand together under one HELP and one TYPE; a histogram gives cumulative buckets with `le`
// in seconds, then _sum and _count.
#include "host/metrics.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Exposed ends of buckets: powers of two from 1 us to 17 s. The finer ones are for quantiles.
#define LE_EXP_FIRST 10
#define LE_EXP_LAST  34

enum series_source { SERIES_VALUE, SERIES_HIST, SERIES_CALL };

struct series {
	struct series *next;
	enum series_source source;
	const _Atomic uint64_t *value;
	const struct mr_hist *hist;
	double (*read)(void *owner);
	void *owner;
	char *labels; // `a="b",c="d"`, escaped; empty when there are none
};

struct family {
	struct family *next;
	enum mr_metric_kind kind;
	char *name;
	char *help;
	struct series *first, **last;
};

struct source {
	struct source *next;
	void (*emit)(struct mr_metrics_out *out, void *owner);
	void *owner;
};

struct mr_metrics {
	pthread_mutex_t lock; // lists below
	struct family *first, **last;
	struct source *sources;
};

struct mr_metrics_out {
	struct mr_buf *buf;
	char family[128]; // of the line before, to know when a new one begins
};

uint64_t mr_hist_upper_ns(uint32_t index)
{
	uint32_t row = index >> MR_HIST_SUB_BITS, sub = index & ((1u << MR_HIST_SUB_BITS) - 1);

	if (row == 0)
		return sub + 1;
	return (((uint64_t)sub + (1u << MR_HIST_SUB_BITS)) + 1) << (row - 1);
}

static uint64_t load(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

void mr_hist_add(struct mr_hist *into, const struct mr_hist *from)
{
	for (uint32_t i = 0; i < MR_HIST_BUCKETS; i++)
		atomic_store_explicit(&into->buckets[i],
			load(&into->buckets[i]) + load(&from->buckets[i]), memory_order_relaxed);
	atomic_store_explicit(
		&into->sum_ns, load(&into->sum_ns) + load(&from->sum_ns), memory_order_relaxed);
}

uint64_t mr_hist_count(const struct mr_hist *h)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < MR_HIST_BUCKETS; i++)
		count += load(&h->buckets[i]);
	return count;
}

uint64_t mr_hist_quantile_ns(const struct mr_hist *h, double q)
{
	uint64_t count = mr_hist_count(h), seen = 0, rank;

	if (count == 0)
		return 0;
	rank = (uint64_t)ceil(q * (double)count);
	rank = MR_MIN(MR_MAX(rank, (uint64_t)1), count);
	for (uint32_t i = 0; i < MR_HIST_BUCKETS; i++) {
		seen += load(&h->buckets[i]);
		if (seen >= rank)
			return mr_hist_upper_ns(i);
	}
	// A writer moved between the two passes; the top is the best answer then.
	return mr_hist_upper_ns(MR_HIST_BUCKETS - 1);
}

int mr_metrics_create(struct mr_metrics **out)
{
	struct mr_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	m->last = &m->first;
	*out = m;
	return 0;
}

static void family_destroy(struct family *f)
{
	while (f->first) {
		struct series *s = f->first;

		f->first = s->next;
		free(s->labels);
		free(s);
	}
	free(f->name);
	free(f->help);
	free(f);
}

void mr_metrics_destroy(struct mr_metrics *m)
{
	if (!m)
		return;
	while (m->first) {
		struct family *f = m->first;

		m->first = f->next;
		family_destroy(f);
	}
	while (m->sources) {
		struct source *s = m->sources;

		m->sources = s->next;
		free(s);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

// Backslash and line feed are escaped everywhere, the quote inside label values only.
static void put_escaped(struct mr_buf *b, const char *text, bool is_label)
{
	for (const char *c = text; *c; c++) {
		if (*c == '\\')
			mr_buf_str(b, "\\\\");
		else if (*c == '\n')
			mr_buf_str(b, "\\n");
		else if (*c == '"' && is_label)
			mr_buf_str(b, "\\\"");
		else
			mr_buf_u8(b, (uint8_t)*c);
	}
}

static void put_labels(struct mr_buf *b, const struct mr_metric *metric)
{
	for (size_t i = 0; i < MR_LABELS_MAX && metric->labels[i].name; i++) {
		mr_buf_printf(b, "%s%s=\"", i ? "," : "", metric->labels[i].name);
		put_escaped(b, metric->labels[i].value, true);
		mr_buf_u8(b, '"');
	}
}

// [a-zA-Z_:][a-zA-Z0-9_:]*; ours are written in the source, so another one is our mistake.
static bool name_is_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789");

	return n > 0 && name[n] == 0 && (name[0] < '0' || name[0] > '9');
}

static struct family *family_get(struct mr_metrics *m, const struct mr_metric *metric)
{
	struct family *f;

	MR_ASSERT(name_is_valid(metric->name));
	for (f = m->first; f; f = f->next) {
		if (strcmp(f->name, metric->name) == 0) {
			MR_ASSERT(f->kind == metric->kind && !strcmp(f->help, metric->help));
			return f;
		}
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->kind = metric->kind;
	f->name = strdup(metric->name);
	f->help = strdup(metric->help);
	f->last = &f->first;
	if (!f->name || !f->help) {
		family_destroy(f);
		return NULL;
	}
	*m->last = f;
	m->last = &f->next;
	return f;
}

static int series_add(struct mr_metrics *m, const struct mr_metric *metric, struct series like)
{
	struct series *s = malloc(sizeof(*s));
	struct mr_buf labels = {0};
	struct family *f;

	put_labels(&labels, metric);
	mr_buf_u8(&labels, 0);
	pthread_mutex_lock(&m->lock);
	f = s && !labels.failed ? family_get(m, metric) : NULL;
	if (f) {
		*s = like;
		s->next = NULL;
		s->labels = (char *)labels.data;
		*f->last = s;
		f->last = &s->next;
	}
	pthread_mutex_unlock(&m->lock);
	if (f)
		return 0;
	free(s);
	mr_buf_fini(&labels);
	return -ENOMEM;
}

int mr_metrics_add(
	struct mr_metrics *m, const struct mr_metric *metric, const _Atomic uint64_t *value)
{
	MR_ASSERT(metric->kind != MR_METRIC_HISTOGRAM);
	return series_add(m, metric, (struct series){.source = SERIES_VALUE, .value = value});
}

int mr_metrics_add_hist(
	struct mr_metrics *m, const struct mr_metric *metric, const struct mr_hist *h)
{
	MR_ASSERT(metric->kind == MR_METRIC_HISTOGRAM);
	return series_add(m, metric, (struct series){.source = SERIES_HIST, .hist = h});
}

int mr_metrics_add_call(struct mr_metrics *m, const struct mr_metric *metric,
	double (*read)(void *owner), void *owner)
{
	MR_ASSERT(metric->kind != MR_METRIC_HISTOGRAM);
	return series_add(
		m, metric, (struct series){.source = SERIES_CALL, .read = read, .owner = owner});
}

int mr_metrics_add_source(
	struct mr_metrics *m, void (*emit)(struct mr_metrics_out *out, void *owner), void *owner)
{
	struct source *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_lock(&m->lock);
	*s = (struct source){m->sources, emit, owner};
	m->sources = s;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void put_head(struct mr_buf *b, const char *name, const char *help, enum mr_metric_kind kind)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	mr_buf_printf(b, "# HELP %s ", name);
	put_escaped(b, help, false);
	mr_buf_printf(b, "\n# TYPE %s %s\n", name, kinds[kind]);
}

static void put_double(struct mr_buf *b, double v)
{
	if (isnan(v))
		mr_buf_str(b, "NaN\n");
	else if (isinf(v))
		mr_buf_str(b, v > 0 ? "+Inf\n" : "-Inf\n");
	else
		mr_buf_printf(b, "%.17g\n", v);
}

static void put_name(struct mr_buf *b, const char *name, const char *labels)
{
	mr_buf_printf(b, *labels ? "%s{%s} " : "%s ", name, labels);
}

static void put_hist(
	struct mr_buf *b, const char *name, const char *labels, const struct mr_hist *h)
{
	const char *comma = *labels ? "," : "";
	// The sum first: buckets read later can only make the average too small, never absurd.
	uint64_t sum_ns = load(&h->sum_ns), count = 0;
	uint32_t index = 0;

	for (int e = LE_EXP_FIRST; e <= LE_EXP_LAST; e++) {
		uint32_t end = mr_hist_index(1ull << e);

		for (; index <= end; index++)
			count += load(&h->buckets[index]);
		mr_buf_printf(b, "%s_bucket{%s%sle=\"%.9f\"} %llu\n", name, labels, comma,
			(double)(1ull << e) / 1e9, (unsigned long long)count);
	}
	for (; index < MR_HIST_BUCKETS; index++)
		count += load(&h->buckets[index]);
	mr_buf_printf(b, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
		(unsigned long long)count);
	mr_buf_printf(b, *labels ? "%s_sum{%s} %.9f\n" : "%s_sum%s %.9f\n", name, labels,
		(double)sum_ns / 1e9);
	mr_buf_printf(b, *labels ? "%s_count{%s} %llu\n" : "%s_count%s %llu\n", name, labels,
		(unsigned long long)count);
}

static void put_series(struct mr_buf *b, const struct family *f, const struct series *s)
{
	if (s->source == SERIES_HIST) {
		put_hist(b, f->name, s->labels, s->hist);
		return;
	}
	put_name(b, f->name, s->labels);
	if (s->source == SERIES_VALUE)
		mr_buf_printf(b, "%llu\n", (unsigned long long)load(s->value));
	else
		put_double(b, s->read(s->owner));
}

void mr_metrics_emit(struct mr_metrics_out *out, const struct mr_metric *metric, double value)
{
	MR_ASSERT(metric->kind != MR_METRIC_HISTOGRAM && name_is_valid(metric->name));
	if (strcmp(out->family, metric->name) != 0) {
		snprintf(out->family, sizeof(out->family), "%s", metric->name);
		put_head(out->buf, metric->name, metric->help, metric->kind);
	}
	mr_buf_str(out->buf, metric->name);
	if (metric->labels[0].name) {
		mr_buf_u8(out->buf, '{');
		put_labels(out->buf, metric);
		mr_buf_u8(out->buf, '}');
	}
	mr_buf_u8(out->buf, ' ');
	put_double(out->buf, value);
}

void mr_metrics_write(struct mr_metrics *m, struct mr_buf *b)
{
	struct mr_metrics_out out = {.buf = b};

	pthread_mutex_lock(&m->lock);
	for (const struct family *f = m->first; f; f = f->next) {
		put_head(b, f->name, f->help, f->kind);
		for (const struct series *s = f->first; s; s = s->next)
			put_series(b, f, s);
	}
	for (const struct source *s = m->sources; s; s = s->next)
		s->emit(&out, s->owner);
	pthread_mutex_unlock(&m->lock);
}
