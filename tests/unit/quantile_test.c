// Quantiles by their laws: the state is a function of the multiset (order and merge tree change no
// bit), exact while distinct values are few, within its own stated error beyond; saving is the
// identity and damage is refused.
#include "kernels/quantile.h"

#include "host/base/hash.h"
#include "host/base/rand.h"
#include "hw/cpu.h"
#include "tests/lib/mr_test.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;

static double normal(struct mr_rand *r)
{
	return sqrt(-2 * log(1 - mr_rand_unit(r))) * cos(2 * M_PI * mr_rand_unit(r));
}

enum shape { UNIFORM, NORMAL, LOGNORMAL, INTEGERS, PARETO, MIXED, SHAPES };
static const char *const shape_names[] = {
	"uniform", "normal", "log-normal", "integers", "pareto", "mixed"};

static double draw(struct mr_rand *r, enum shape s)
{
	static const double odd[] = {0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, DBL_MAX, -DBL_MAX};

	switch (s) {
	case UNIFORM: return mr_rand_unit(r);
	case NORMAL: return normal(r);
	case LOGNORMAL: return exp(2 * normal(r));
	case INTEGERS: return (double)mr_rand_below(r, 1000);
	case PARETO: return pow(1 - mr_rand_unit(r), -1 / 1.1);
	default: break;
	}
	switch (mr_rand_below(r, 12)) {
	case 0: return NAN;
	case 1: return INFINITY;
	case 2: return -INFINITY;
	case 3: return odd[mr_rand_below(r, MR_COUNT_OF(odd))];
	case 4: return -exp(40 * normal(r));
	default: return exp(40 * normal(r));
	}
}

static int sql_order(const void *a, const void *b)
{
	int64_t x = mr_fkey(*(const double *)a), y = mr_fkey(*(const double *)b);

	return (x > y) - (x < y);
}

static bool same(const struct mr_quantile *a, const struct mr_quantile *b)
{
	size_t bytes = mr_quantile_save_bytes_max(a);
	uint8_t *x = malloc(bytes), *y = malloc(mr_quantile_save_bytes_max(b));
	int m = mr_quantile_save(a, x), n = mr_quantile_save(b, y);
	bool equal = m > 0 && m == n && memcmp(x, y, (size_t)m) == 0;

	free(x);
	free(y);
	return equal;
}

static void add_all(struct mr_quantile *q, const double *values, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		assert_int_equal(mr_quantile_add(q, values[i], 1), 0);
}

// Values split at random into parts, each part shuffled, the parts merged by a random tree.
static void merge_randomly(
	struct mr_rand *r, double *values, uint32_t n, uint32_t bins, struct mr_quantile *out)
{
	struct mr_quantile parts[9];
	uint32_t left = 1 + (uint32_t)mr_rand_below(r, MR_COUNT_OF(parts)), count = left;

	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = (uint32_t)mr_rand_below(r, i);
		double t = values[i - 1];

		values[i - 1] = values[j];
		values[j] = t;
	}
	for (uint32_t i = 0; i < count; i++) {
		mr_quantile_init(&parts[i], bins);
		add_all(&parts[i], values, n * i / count, n * (i + 1) / count);
	}
	while (left > 1) {
		uint32_t to = (uint32_t)mr_rand_below(r, left - 1), last = --left;

		assert_int_equal(mr_quantile_merge(&parts[to], &parts[last]), 0);
		mr_quantile_fini(&parts[last]);
	}
	*out = parts[0];
}

static void state_ignores_order_and_merge_tree(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (int round = 0; round < 150; round++) {
		uint32_t n =
			(uint32_t)mr_rand_below(&r, round % 3 ? round % 7 ? 3000 : 30000 : 100);
		uint32_t bins = mr_rand_below(&r, 2) ? 64 : 1024;
		double *values = malloc((n + 1) * sizeof(*values));
		enum shape s = (enum shape)(round % SHAPES);
		struct mr_quantile whole, tree, kernel;
		const struct mr_rows rows = {.count = n};

		for (uint32_t i = 0; i < n; i++)
			values[i] = draw(&r, s);
		mr_quantile_init(&whole, bins);
		add_all(&whole, values, 0, n);
		mr_quantile_init(&kernel, bins);
		assert_int_equal(mr_quantile_update(&kernel, MR_PHYS_F64, values, &rows), 0);
		merge_randomly(&r, values, n, bins, &tree);
		assert_true(same(&whole, &tree));
		assert_true(same(&whole, &kernel));
		mr_quantile_fini(&whole);
		mr_quantile_fini(&tree);
		mr_quantile_fini(&kernel);
		free(values);
	}
}

static void update_takes_masks_and_selections(void **)
{
	enum { N = 12000 };
	struct mr_rand r;
	int32_t values[N + 16];
	uint64_t mask[(N + 63) / 64 + 8];
	uint32_t sel[N], n;

	mr_rand_init(&r, seed);
	for (int round = 0; round < 60; round++) {
		struct mr_quantile got, want;
		struct mr_rows rows = {.count = N};

		mr_quantile_init(&got, 256);
		mr_quantile_init(&want, 256);
		mr_rand_bytes(&r, values, sizeof(values));
		mr_rand_bytes(&r, mask, sizeof(mask));
		n = 0;
		for (uint32_t i = 0; i < N; i++)
			if (mr_rand_below(&r, round < 30 ? 300 : 2) == 0)
				sel[n++] = i;
		if (round % 4 & 1)
			rows.mask = mask;
		if (round % 4 & 2) {
			rows.sel = sel;
			rows.count = n;
		}
		for (uint32_t k = 0; k < rows.count; k++) {
			uint32_t i = rows.sel ? sel[k] : k;

			if (!rows.mask || mr_bit_get(mask, i))
				assert_int_equal(mr_quantile_add(&want, values[i], 1), 0);
		}
		assert_int_equal(mr_quantile_update(&got, MR_PHYS_I32, values, &rows), 0);
		assert_true(same(&got, &want));
		mr_quantile_fini(&got);
		mr_quantile_fini(&want);
	}
}

// percentile_cont by its definition.
static double exact(const double *sorted, uint32_t n, double p)
{
	double rank = p * (n - 1), low = sorted[(uint32_t)rank];
	double high = sorted[MR_MIN((uint32_t)rank + 1, n - 1)], share = rank - floor(rank);

	if (share == 0 || low == high)
		return low;
	return low + share * (high - low);
}

static void few_values_are_exact(void **)
{
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (int round = 0; round < 200; round++) {
		uint32_t n = 1 + (uint32_t)mr_rand_below(&r, 1024);
		double values[1024], p[64], got[64];
		struct mr_quantile q;

		for (uint32_t i = 0; i < n; i++)
			values[i] = draw(&r, (enum shape)(round % MIXED));
		for (int i = 0; i < 64; i++)
			p[i] = i == 0 ? 0 : i == 1 ? 1 : i == 2 ? 0.5 : mr_rand_unit(&r);
		mr_quantile_init(&q, 1024);
		add_all(&q, values, 0, n);
		qsort(values, n, sizeof(values[0]), sql_order);
		assert_int_equal(mr_quantile_values(&q, p, 64, got), 0);
		for (int i = 0; i < 64; i++)
			assert_true(got[i] == exact(values, n, p[i]));
		assert_true(mr_quantile_rank_error(&q) == 0);
		mr_quantile_fini(&q);
	}
}

static void special_values_take_their_places(void **)
{
	const double p[] = {0, 0.25, 0.5, 0.75, 1};
	double got[5];
	struct mr_quantile q;

	mr_quantile_init(&q, 64);
	assert_int_equal(mr_quantile_add(&q, NAN, 1), 0);
	assert_int_equal(mr_quantile_values(&q, p, 1, got), 0);
	assert_true(isnan(got[0]));
	assert_int_equal(mr_quantile_add(&q, INFINITY, 1), 0);
	assert_int_equal(mr_quantile_add(&q, -0.0, 1), 0);
	assert_int_equal(mr_quantile_add(&q, -INFINITY, 1), 0);
	assert_int_equal(mr_quantile_add(&q, -DBL_MAX, 1), 0);
	assert_int_equal(mr_quantile_values(&q, p, 5, got), 0);
	assert_true(got[0] == -INFINITY && got[1] == -DBL_MAX && got[2] == 0);
	assert_true(!signbit(got[2]) && got[3] == INFINITY && isnan(got[4]));
	mr_quantile_fini(&q);
}

// The greatest distance in rank between what the sketch says and where that value stands.
static double worst_rank_error(const struct mr_quantile *q, const double *sorted, uint32_t n)
{
	double worst = 0;

	for (int i = 1; i < 1000; i++) {
		double p = i / 1000.0, got, below, upto;
		uint32_t low = 0, high = n;

		assert_int_equal(mr_quantile_values(q, &p, 1, &got), 0);
		while (low < high) {
			uint32_t mid = (low + high) / 2;

			if (sorted[mid] < got)
				low = mid + 1;
			else
				high = mid;
		}
		below = upto = low;
		while (upto < n && sorted[(uint32_t)upto] == got)
			upto++;
		below = MR_MAX(below - 1, 0);
		if (p * (n - 1) < below)
			worst = MR_MAX(worst, below - p * (n - 1));
		if (p * (n - 1) > upto)
			worst = MR_MAX(worst, p * (n - 1) - upto);
	}
	return worst / n;
}

static void error_stays_below_the_stated_bound(void **)
{
	enum { N = 200000 };
	double *values = malloc(N * sizeof(*values));
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (enum shape s = 0; s < MIXED; s++) {
		const double p = 0.99;
		struct mr_quantile q;
		double bound, error, got;

		for (uint32_t i = 0; i < N; i++)
			values[i] = draw(&r, s);
		mr_quantile_init(&q, MR_QUANTILE_BINS_DEFAULT);
		assert_int_equal(
			mr_quantile_update(&q, MR_PHYS_F64, values, &(struct mr_rows){.count = N}),
			0);
		qsort(values, N, sizeof(*values), sql_order);
		bound = mr_quantile_rank_error(&q);
		error = worst_rank_error(&q, values, N);
		printf("%-10s level %2d: rank error %.4f %%, bound %.3f %%, value bound %.2f %%, "
		       "%zu bytes\n",
			shape_names[s], q.shift, error * 100, bound * 100,
			mr_quantile_value_error(&q) * 100, mr_quantile_memory(&q));
		assert_true(error <= bound);
		assert_true(error < 0.002);
		assert_true(bound < 0.02);
		assert_true(mr_quantile_memory(&q) <= 32u << 10);
		assert_int_equal(mr_quantile_values(&q, &p, 1, &got), 0);
		assert_true(
			fabs(got / exact(values, N, p) - 1) <= mr_quantile_value_error(&q) + 1e-12);
		mr_quantile_fini(&q);
	}
	free(values);
}

static void memory_is_bounded_for_hostile_values(void **)
{
	struct mr_rand r;
	struct mr_quantile q;

	mr_rand_init(&r, seed);
	mr_quantile_init(&q, MR_QUANTILE_BINS_MIN);
	for (int i = 0; i < 100000; i++) {
		uint64_t bits = mr_rand_u64(&r);
		double v;

		memcpy(&v, &bits, sizeof(v));
		assert_int_equal(mr_quantile_add(&q, v, 1), 0);
	}
	assert_true(q.bins_count <= MR_QUANTILE_BINS_MIN);
	assert_true(mr_quantile_memory(&q) <= 32 * MR_QUANTILE_BINS_MIN);
	assert_int_equal(mr_quantile_count(&q), 100000);
	mr_quantile_fini(&q);
}

static void centroids_are_few_and_keep_the_weight(void **)
{
	struct mr_rand r;
	struct mr_centroid out[101];
	struct mr_quantile q;
	uint64_t total = 0;
	int n;

	mr_rand_init(&r, seed);
	mr_quantile_init(&q, MR_QUANTILE_BINS_DEFAULT);
	for (int i = 0; i < 50000; i++)
		assert_int_equal(mr_quantile_add(&q, draw(&r, LOGNORMAL), 1), 0);
	n = mr_quantile_centroids(&q, 100, out);
	assert_true(n > 40 && n <= 101);
	for (int i = 0; i < n; i++) {
		total += out[i].count;
		assert_true(i == 0 || out[i].mean > out[i - 1].mean);
	}
	assert_int_equal(total, 50000);
	assert_true(out[0].count < 200 && out[n - 1].count < 200 && out[n / 2].count > 500);
	mr_quantile_fini(&q);
}

static void save_is_identity_and_damage_is_refused(void **)
{
	static const uint32_t sizes[] = {0, 1, 50, 64, 65, 5000};
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (uint32_t i = 0; i < MR_COUNT_OF(sizes) * 2; i++) {
		uint32_t n = sizes[i / 2];
		struct mr_quantile q, back;
		uint8_t saved[4096];
		int bytes;

		mr_quantile_init(&q, 64);
		for (uint32_t k = 0; k < n; k++)
			assert_int_equal(
				mr_quantile_add(&q, draw(&r, i % 2 ? MIXED : NORMAL), 1), 0);
		assert_true(mr_quantile_save_bytes_max(&q) <= sizeof(saved));
		bytes = mr_quantile_save(&q, saved);
		assert_true(bytes > 0);
		assert_int_equal(mr_quantile_load(&back, mr_span(saved, (size_t)bytes)), 0);
		assert_true(same(&q, &back));
		mr_quantile_fini(&back);
		for (int round = 0; round < 200; round++) {
			size_t at = mr_rand_below(&r, (uint64_t)bytes);
			uint8_t flip = (uint8_t)(1 + mr_rand_below(&r, 255));

			saved[at] ^= flip;
			assert_int_equal(mr_quantile_load(&back, mr_span(saved, (size_t)bytes)),
				MR_ERR_CORRUPT);
			saved[at] ^= flip;
			assert_int_equal(
				mr_quantile_load(&back, mr_span(saved, at)), MR_ERR_CORRUPT);
		}
		saved[0] = 9;
		mr_store_le64(saved + bytes - 8, mr_checksum(saved, (size_t)bytes - 8));
		assert_int_equal(
			mr_quantile_load(&back, mr_span(saved, (size_t)bytes)), MR_ERR_VERSION);
		mr_quantile_fini(&q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_ignores_order_and_merge_tree),
		cmocka_unit_test(update_takes_masks_and_selections),
		cmocka_unit_test(few_values_are_exact),
		cmocka_unit_test(special_values_take_their_places),
		cmocka_unit_test(error_stays_below_the_stated_bound),
		cmocka_unit_test(memory_is_bounded_for_hostile_values),
		cmocka_unit_test(centroids_are_few_and_keep_the_weight),
		cmocka_unit_test(save_is_identity_and_damage_is_refused),
	};
	const char *given = getenv("MR_SEED");
	struct mr_cpu cpu;

	mr_cpu_detect(&cpu);
	if (mr_kernels_select(&cpu, NULL) < 0)
		return 1;
	seed = given ? strtoull(given, NULL, 0) : 20251121;
	printf("MR_SEED=%llu, kernels %s\n", (unsigned long long)seed, mr_kern->isa);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
