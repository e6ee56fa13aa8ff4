// Counters, gauges and histograms: a registry of where they are, and their Prometheus text.
//
// Whoever counts keeps its own numbers, in memory of its own, with one writer each and relaxed
// atomics: nothing is locked or shared to count. The registry only knows the places; it reads them
// when /metrics is asked for. Text format: Prometheus exposition format 0.0.4.
#pragma once

#include "host/base/buf.h"
#include "host/base/def.h"

#include <stdatomic.h>

// A log-linear histogram of durations. Each power of two is cut into 16 equal buckets, so a
// quantile is at most 1/16 too high. Bucket i counts values in (lower, upper]. Values above 2^40 ns
// (18 minutes) count in the last one.
#define MR_HIST_SUB_BITS 4
#define MR_HIST_EXP_MAX  40
#define MR_HIST_BUCKETS  ((MR_HIST_EXP_MAX - MR_HIST_SUB_BITS + 1) << MR_HIST_SUB_BITS)

// About 4.7 KiB. One writer; readers at any time see counts that may be a moment apart.
struct mr_hist {
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t buckets[MR_HIST_BUCKETS];
};

// The bucket of a value.
static inline uint32_t mr_hist_index(uint64_t ns)
{
	uint64_t v = ns ? ns - 1 : 0; // so that a bucket includes its upper end
	uint32_t shift;

	if (v < 1u << MR_HIST_SUB_BITS)
		return (uint32_t)v;
	if (v >> MR_HIST_EXP_MAX)
		return MR_HIST_BUCKETS - 1;
	shift = 63u - MR_HIST_SUB_BITS - (uint32_t)__builtin_clzll(v);
	// The top bit and the four behind it; the top bit says 16, which the shift's row takes
	// over.
	return (shift << MR_HIST_SUB_BITS) + (uint32_t)(v >> shift);
}

// The largest value of a bucket.
uint64_t mr_hist_upper_ns(uint32_t index);

// Counts one duration. The writer only: a plain add, spelt as a relaxed load and store.
static inline void mr_hist_record(struct mr_hist *h, uint64_t ns)
{
	_Atomic uint64_t *b = &h->buckets[mr_hist_index(ns)];

	atomic_store_explicit(
		b, atomic_load_explicit(b, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_store_explicit(&h->sum_ns,
		atomic_load_explicit(&h->sum_ns, memory_order_relaxed) + ns, memory_order_relaxed);
}

// Adds what `from` has counted to `into`, whose writer the caller is: one histogram of all workers.
void mr_hist_add(struct mr_hist *into, const struct mr_hist *from);
uint64_t mr_hist_count(const struct mr_hist *h);
// The upper end of the bucket that holds the value of rank ceil(q * count); 0 when empty.
uint64_t mr_hist_quantile_ns(const struct mr_hist *h, double q);

enum mr_metric_kind { MR_METRIC_COUNTER, MR_METRIC_GAUGE, MR_METRIC_HISTOGRAM };

struct mr_label {
	const char *name;
	const char *value;
};

#define MR_LABELS_MAX 6

// What a series is called. Borrowed by calls, copied by the registry.
struct mr_metric {
	enum mr_metric_kind kind;
	const char *name; // millrace_…, base units, counters end in _total
	const char *help;
	struct mr_label labels[MR_LABELS_MAX]; // up to the first without a name
};

struct mr_metrics;
struct mr_metrics_out;

[[nodiscard]] int mr_metrics_create(struct mr_metrics **out);
void mr_metrics_destroy(struct mr_metrics *m);

// Adds a series. Series of one name must agree in kind and help, and differ in labels. The place is
// borrowed as long as the registry lives. Any thread. 0 or -ENOMEM.
[[nodiscard]] int mr_metrics_add(
	struct mr_metrics *m, const struct mr_metric *metric, const _Atomic uint64_t *value);
[[nodiscard]] int mr_metrics_add_hist(
	struct mr_metrics *m, const struct mr_metric *metric, const struct mr_hist *h);
[[nodiscard]] int mr_metrics_add_call(struct mr_metrics *m, const struct mr_metric *metric,
	double (*read)(void *owner), void *owner);

// Series that come and go (partitions, tables): `emit` is called at each writing and calls
// mr_metrics_emit, all series of one name in a row, names that nobody else uses.
[[nodiscard]] int mr_metrics_add_source(
	struct mr_metrics *m, void (*emit)(struct mr_metrics_out *out, void *owner), void *owner);
void mr_metrics_emit(struct mr_metrics_out *out, const struct mr_metric *metric, double value);

// Appends the whole exposition. Any thread. `out->failed` when it did not fit.
void mr_metrics_write(struct mr_metrics *m, struct mr_buf *out);
