// HyperLogLog by its laws: the error follows theory at every cardinality, merging is commutative,
// associative and idempotent, order changes no bit, saving is the identity, damage is refused.
#include "kernels/hll.h"

#include "host/base/hash.h"
#include "host/base/rand.h"
#include "hw/cpu.h"
#include "tests/lib/mr_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;

static void add_range(struct mr_hll *h, uint64_t from, uint64_t to, uint64_t salt)
{
	for (uint64_t i = from; i < to; i++)
		assert_int_equal(mr_hll_add(h, mr_hash64(i ^ salt, MR_HASH_SEED)), 0);
}

static bool same(const struct mr_hll *a, const struct mr_hll *b)
{
	size_t bytes = mr_hll_save_bytes(a);
	uint8_t *x = malloc(bytes), *y = malloc(bytes);
	bool equal = bytes == mr_hll_save_bytes(b);

	if (equal) {
		mr_hll_save(a, x);
		mr_hll_save(b, y);
		equal = memcmp(x, y, bytes) == 0;
	}
	free(x);
	free(y);
	return equal;
}

static void estimate_is_exact_while_sparse(void **)
{
	struct mr_hll h;

	mr_hll_init(&h, 12);
	assert_true(mr_hll_estimate(&h) == 0);
	for (uint64_t n = 1; n <= 256; n++) {
		add_range(&h, n / 2, n, 7);
		assert_true(mr_hll_estimate(&h) == (double)n);
		assert_true(mr_hll_memory(&h) <= 4096 + 64);
	}
	assert_null(h.registers);
	add_range(&h, 256, 257, 7);
	assert_non_null(h.registers);
	mr_hll_fini(&h);
}

// The root mean square error over 1,000 seeds, at each cardinality, against 1.04 / sqrt(m). The
// error of such a root over 1,000 samples is about 2.2 %; 10 % is 4.5 of these.
#define SEEDS 1000
static void error_follows_theory_without_a_bump(void **)
{
	static const uint64_t at[] = {
		300, 700, 1500, 2500, 4096, 6000, 10000, 20000, 50000, 100000};
	double square[MR_COUNT_OF(at)] = {0}, mean[MR_COUNT_OF(at)] = {0};
	const double theory = 1.04 / sqrt(4096);
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (int s = 0; s < SEEDS; s++) {
		uint64_t salt = mr_rand_u64(&r), done = 0;
		static uint64_t keys[100000], hashes[100000 + 8];
		struct mr_hll h;

		mr_hll_init(&h, 12);
		for (uint64_t i = 0; i < 100000; i++)
			keys[i] = i ^ salt;
		mr_kern->hash->num[MR_PHYS_I64](keys, 100000, hashes);
		for (size_t i = 0; i < MR_COUNT_OF(at); i++) {
			struct mr_rows rows = {.count = (uint32_t)(at[i] - done)};
			double e;

			assert_int_equal(mr_hll_update(&h, hashes + done, &rows), 0);
			done = at[i];
			e = mr_hll_estimate(&h) / (double)at[i] - 1;
			square[i] += e * e;
			mean[i] += e;
		}
		mr_hll_fini(&h);
	}
	for (size_t i = 0; i < MR_COUNT_OF(at); i++) {
		double rms = sqrt(square[i] / SEEDS), bias = mean[i] / SEEDS;

		printf("n %6llu: rms error %.3f %%, bias %+.3f %% (theory %.3f %%)\n",
			(unsigned long long)at[i], rms * 100, bias * 100, theory * 100);
		assert_true(rms < theory * 1.1);
		assert_true(fabs(bias) < 5 * theory / sqrt(SEEDS));
	}
}

static void error_holds_for_a_million(void **)
{
	for (unsigned p = 10; p <= 14; p += 2) {
		struct mr_hll h;

		mr_hll_init(&h, p);
		add_range(&h, 0, 1000000, seed);
		assert_true(fabs(mr_hll_estimate(&h) / 1e6 - 1) < 5 * 1.04 / sqrt(1u << p));
		mr_hll_fini(&h);
	}
}

static void merge_obeys_its_laws(void **)
{
	static const uint64_t sizes[] = {0, 1, 100, 200, 256, 257, 5000};
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (int round = 0; round < 200; round++) {
		struct mr_hll a, b, c, ab_c, bc, cba, whole;
		uint64_t n[3], from[3];

		for (int i = 0; i < 3; i++) {
			n[i] = sizes[mr_rand_below(&r, MR_COUNT_OF(sizes))];
			from[i] = mr_rand_below(&r, 3) * 100;
		}
		mr_hll_init(&a, 12);
		mr_hll_init(&b, 12);
		mr_hll_init(&c, 12);
		mr_hll_init(&ab_c, 12);
		mr_hll_init(&bc, 12);
		mr_hll_init(&cba, 12);
		mr_hll_init(&whole, 12);
		add_range(&a, from[0], from[0] + n[0], 0);
		add_range(&b, from[1], from[1] + n[1], 0);
		add_range(&c, from[2], from[2] + n[2], 0);
		for (int i = 2; i >= 0; i--)
			add_range(&whole, from[i], from[i] + n[i], 0);
		// (a + b) + c, a + (b + c), c + b + a + a
		assert_int_equal(mr_hll_merge(&ab_c, &a) | mr_hll_merge(&ab_c, &b), 0);
		assert_int_equal(mr_hll_merge(&ab_c, &c), 0);
		assert_int_equal(mr_hll_merge(&bc, &b) | mr_hll_merge(&bc, &c), 0);
		assert_int_equal(mr_hll_merge(&bc, &a), 0);
		assert_int_equal(mr_hll_merge(&cba, &c) | mr_hll_merge(&cba, &b), 0);
		assert_int_equal(mr_hll_merge(&cba, &a) | mr_hll_merge(&cba, &a), 0);
		assert_true(same(&ab_c, &bc));
		assert_true(same(&ab_c, &cba));
		assert_true(same(&ab_c, &whole));
		mr_hll_fini(&a);
		mr_hll_fini(&b);
		mr_hll_fini(&c);
		mr_hll_fini(&ab_c);
		mr_hll_fini(&bc);
		mr_hll_fini(&cba);
		mr_hll_fini(&whole);
	}
}

static void save_is_identity_and_damage_is_refused(void **)
{
	static const uint64_t sizes[] = {0, 1, 256, 257, 3000};
	struct mr_rand r;

	mr_rand_init(&r, seed);
	for (size_t i = 0; i < MR_COUNT_OF(sizes); i++) {
		uint8_t saved[MR_HLL_SAVE_BYTES_MAX(12)];
		struct mr_hll h, back;
		size_t bytes;

		mr_hll_init(&h, 12);
		add_range(&h, 0, sizes[i], 0);
		bytes = mr_hll_save_bytes(&h);
		assert_true(bytes <= sizeof(saved));
		mr_hll_save(&h, saved);
		assert_int_equal(mr_hll_load(&back, mr_span(saved, bytes)), 0);
		assert_true(same(&h, &back));
		assert_true(mr_hll_estimate(&h) == mr_hll_estimate(&back));
		mr_hll_fini(&back);
		for (int round = 0; round < 200; round++) {
			size_t at = mr_rand_below(&r, bytes);
			uint8_t flip = (uint8_t)(1 + mr_rand_below(&r, 255));

			saved[at] ^= flip;
			assert_int_equal(mr_hll_load(&back, mr_span(saved, bytes)), MR_ERR_CORRUPT);
			saved[at] ^= flip;
			assert_int_equal(mr_hll_load(&back, mr_span(saved, at)), MR_ERR_CORRUPT);
		}
		mr_hll_fini(&h);
	}
}

// With a right checksum: what mr_hll_save would never write.
static void load_refuses_states_that_cannot_be(void **)
{
	uint8_t saved[MR_HLL_SAVE_BYTES_MAX(12)];
	struct mr_hll h, back;

	mr_hll_init(&h, 12);
	add_range(&h, 0, 1000, 0);
	mr_hll_save(&h, saved);
	mr_hll_fini(&h);
	saved[0] = 2;
	mr_store_le64(saved + 8 + 4096, mr_checksum(saved, 8 + 4096));
	assert_int_equal(mr_hll_load(&back, mr_span(saved, sizeof(saved))), MR_ERR_VERSION);
	saved[0] = 1;
	saved[100] = 54; // a rank beyond 65 - 12
	mr_store_le64(saved + 8 + 4096, mr_checksum(saved, 8 + 4096));
	assert_int_equal(mr_hll_load(&back, mr_span(saved, sizeof(saved))), MR_ERR_CORRUPT);
	memset(saved + 8, 0, 4096); // a dense state without a value
	mr_store_le64(saved + 8 + 4096, mr_checksum(saved, 8 + 4096));
	assert_int_equal(mr_hll_load(&back, mr_span(saved, sizeof(saved))), MR_ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(estimate_is_exact_while_sparse),
		cmocka_unit_test(error_follows_theory_without_a_bump),
		cmocka_unit_test(error_holds_for_a_million),
		cmocka_unit_test(merge_obeys_its_laws),
		cmocka_unit_test(save_is_identity_and_damage_is_refused),
		cmocka_unit_test(load_refuses_states_that_cannot_be),
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
