// Histograms by their definition, and the exposition by a strict reader (tests/lib/prom.c), which
// is itself shown to refuse what is wrong.
#include "host/base/rand.h"
#include "host/metrics.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/prom.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hist_buckets_cover_every_value_once(void **)
{
	assert_int_equal(mr_hist_index(0), 0);
	assert_int_equal(mr_hist_index(1), 0);
	for (uint32_t i = 0; i + 1 < MR_HIST_BUCKETS; i++) {
		uint64_t upper = mr_hist_upper_ns(i);

		assert_int_equal(mr_hist_index(upper), i);
		assert_int_equal(mr_hist_index(upper + 1), i + 1);
	}
	assert_int_equal(mr_hist_upper_ns(MR_HIST_BUCKETS - 1), 1ull << MR_HIST_EXP_MAX);
	assert_int_equal(mr_hist_index(UINT64_MAX), MR_HIST_BUCKETS - 1);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void hist_quantiles_are_at_most_a_sixteenth_too_high(void **)
{
	static uint64_t values[10001];
	static struct mr_hist h;
	const double quantiles[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
	struct mr_rand r;

	mr_rand_init(&r, 42);
	print_message("seed 42\n");
	for (size_t i = 0; i < MR_COUNT_OF(values); i++) {
		values[i] = (uint64_t)exp(mr_rand_unit(&r) * 24);
		mr_hist_record(&h, values[i]);
	}
	qsort(values, MR_COUNT_OF(values), sizeof(values[0]), compare_u64);
	assert_int_equal(mr_hist_count(&h), MR_COUNT_OF(values));
	for (size_t i = 0; i < MR_COUNT_OF(quantiles); i++) {
		size_t rank = (size_t)ceil(quantiles[i] * (double)MR_COUNT_OF(values));
		uint64_t exact = values[rank ? rank - 1 : 0];
		uint64_t got = mr_hist_quantile_ns(&h, quantiles[i]);

		assert_true(got >= exact);
		assert_true(got <= exact + exact / 16 + 1);
	}
}

static void hist_add_is_the_histogram_of_both(void **)
{
	static struct mr_hist a, b, both, sum;

	assert_int_equal(mr_hist_quantile_ns(&sum, 0.5), 0);
	for (uint64_t i = 1; i < 1000; i++) {
		mr_hist_record(i % 3 ? &a : &b, i * i);
		mr_hist_record(&both, i * i);
	}
	mr_hist_add(&sum, &a);
	mr_hist_add(&sum, &b);
	assert_memory_equal(&sum, &both, sizeof(sum));
}

static double read_gauge(void *owner)
{
	return *(double *)owner;
}

static void emit_partitions(struct mr_metrics_out *out, void *)
{
	for (int i = 0; i < 2; i++) {
		const struct mr_metric m = {MR_METRIC_COUNTER, "millrace_records_in_total",
			"Records received.",
			{{"topic", "or\"de\\rs\nx"}, {"partition", i ? "1" : "0"}}};

		mr_metrics_emit(out, &m, 10 + i);
	}
}

static void exposition_is_strictly_right(void **)
{
	static struct mr_hist h;
	_Atomic uint64_t counter = 7, other = 8;
	double gauge = 1.5, infinite = INFINITY;
	struct mr_metrics *m;
	struct mr_buf out = {0};
	const char *why;
	const struct mr_metric c0 = {MR_METRIC_COUNTER, "millrace_rows_total",
		"Rows,\nwith \\ in it.", {{"worker", "0"}}};
	const struct mr_metric c1 = {MR_METRIC_COUNTER, "millrace_rows_total",
		"Rows,\nwith \\ in it.", {{"worker", "1"}}};
	const struct mr_metric g = {MR_METRIC_GAUGE, "millrace_lag_seconds", "Lag.", {}};
	const struct mr_metric g2 = {MR_METRIC_GAUGE, "millrace_limit", "Limit.", {}};
	const struct mr_metric hist = {MR_METRIC_HISTOGRAM, "millrace_stage_seconds",
		"Time of a stage.", {{"worker", "0"}, {"stage", "flush"}}};
	const struct mr_metric plain = {
		MR_METRIC_HISTOGRAM, "millrace_query_seconds", "Time of a query.", {}};

	mr_hist_record(&h, 1024);           // le 0.000001024 includes it
	mr_hist_record(&h, 1025);           // and not this one
	mr_hist_record(&h, 20000000000ull); // above the last exposed end
	assert_int_equal(mr_metrics_create(&m), 0);
	assert_int_equal(mr_metrics_add(m, &c0, &counter), 0);
	assert_int_equal(mr_metrics_add_call(m, &g, read_gauge, &gauge), 0);
	assert_int_equal(mr_metrics_add(m, &c1, &other), 0);
	assert_int_equal(mr_metrics_add_call(m, &g2, read_gauge, &infinite), 0);
	assert_int_equal(mr_metrics_add_hist(m, &hist, &h), 0);
	assert_int_equal(mr_metrics_add_hist(m, &plain, &h), 0);
	assert_int_equal(mr_metrics_add_source(m, emit_partitions, NULL), 0);
	mr_metrics_write(m, &out);
	if (mr_prom_check(mr_buf_span(&out), &why) != 0)
		fail_msg("%s in\n%.*s", why, (int)out.bytes, (char *)out.data);
	struct mr_span text = mr_buf_span(&out);
	const struct {
		const char *sample;
		double value;
	} wants[] = {
		{"millrace_rows_total{worker=\"0\"}", 7},
		{"millrace_rows_total{worker=\"1\"}", 8},
		{"millrace_lag_seconds", 1.5},
		{"millrace_limit", INFINITY},
		{"millrace_stage_seconds_bucket{worker=\"0\",stage=\"flush\",le=\"0.000001024\"}",
			1},
		{"millrace_stage_seconds_bucket{worker=\"0\",stage=\"flush\",le=\"0.000002048\"}",
			2},
		{"millrace_stage_seconds_bucket{worker=\"0\",stage=\"flush\",le=\"+Inf\"}", 3},
		{"millrace_stage_seconds_sum{worker=\"0\",stage=\"flush\"}", 20.000002049},
		{"millrace_query_seconds_count", 3},
		{"millrace_records_in_total{topic=\"or\\\"de\\\\rs\\nx\",partition=\"1\"}", 11},
	};
	for (size_t i = 0; i < MR_COUNT_OF(wants); i++)
		assert_true(mr_prom_value(text, wants[i].sample) == wants[i].value);
	mr_buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.data,
		"# HELP millrace_rows_total Rows,\\nwith \\\\ in it.\n"
		"# TYPE millrace_rows_total counter\n"
		"millrace_rows_total{worker=\"0\"} 7\nmillrace_rows_total{worker=\"1\"} 8\n"));
	mr_metrics_destroy(m);
	mr_buf_fini(&out);
}

static void strict_reader_refuses_what_is_wrong(void **)
{
#define HEAD(type) "# HELP a x\n# TYPE a " type "\n"
	static const char *const bad[] = {
		"a 1\n",
		HEAD("counter") "a 1",
		HEAD("counter") "a -1\n",
		HEAD("counter") "a 1\na 1\n",
		HEAD("counter") "b 1\n",
		HEAD("counter") "a{x=1} 1\n",
		HEAD("counter") "a{x=\"\\q\"} 1\n",
		HEAD("counter") "a  1\n",
		HEAD("gauge") "a x\n",
		HEAD("gauge") "a 1\n" HEAD("gauge") "a{x=\"1\"} 1\n",
		HEAD("sum") "a 1\n",
		HEAD("histogram") "a 1\n",
		HEAD("histogram") "a_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count "
				  "1\n",
		HEAD("histogram") "a_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\na_sum 1\na_count "
				  "1\n",
		HEAD("histogram") "a_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
	};
	const char *why;

	for (size_t i = 0; i < MR_COUNT_OF(bad); i++)
		assert_int_not_equal(mr_prom_check(mr_span_str(bad[i]), &why), 0);
	assert_int_equal(mr_prom_check(mr_span_str(HEAD("gauge") "a{x=\"1\"} -1.5\n"), &why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hist_buckets_cover_every_value_once),
		cmocka_unit_test(hist_quantiles_are_at_most_a_sixteenth_too_high),
		cmocka_unit_test(hist_add_is_the_histogram_of_both),
		cmocka_unit_test(exposition_is_strictly_right),
		cmocka_unit_test(strict_reader_refuses_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
