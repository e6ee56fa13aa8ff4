// What a sketch says that it may grow by is what it grows by at most: memory is taken before it is
// used.
#include "host/base/rand.h"
#include "hw/cpu.h"
#include "kernels/hll.h"
#include "kernels/kernels.h"
#include "kernels/quantile.h"
#include "kernels/topk.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>

enum { VALUES = 60000 };

static void hll_grows_by_what_it_says(void **)
{
	for (unsigned p = MR_HLL_P_MIN; p <= 14; p += 5) {
		struct mr_rand rand;
		struct mr_hll h;

		mr_rand_init(&rand, p);
		mr_hll_init(&h, p);
		for (int i = 0; i < VALUES; i++) {
			size_t before = mr_hll_memory(&h), growth = mr_hll_growth(&h);
			const void *slots = h.slots, *registers = h.registers;

			assert_int_equal(mr_hll_add(&h, mr_rand_u64(&rand)), 0);
			assert_true(mr_hll_memory(&h) <= before + growth);
			assert_true(growth || (h.slots == slots && h.registers == registers));
		}
		assert_int_equal(mr_hll_growth(&h), 0);
		mr_hll_fini(&h);
	}
}

static void quantile_grows_by_what_it_says(void **)
{
	struct mr_quantile q;
	struct mr_rand rand;

	mr_rand_init(&rand, 2);
	mr_quantile_init(&q, 256);
	for (int i = 0; i < VALUES; i++) {
		size_t before = mr_quantile_memory(&q), growth = mr_quantile_growth(&q);
		const void *slots = q.slots;

		assert_int_equal(
			mr_quantile_add(
				&q, (double)(mr_rand_u64(&rand) >> mr_rand_below(&rand, 60)), 1),
			0);
		assert_true(mr_quantile_memory(&q) <= before + growth);
		assert_true(growth || q.slots == slots);
	}
	mr_quantile_fini(&q);
}

static void topk_grows_by_what_it_says(void **)
{
	struct mr_rand rand;
	struct mr_topk t;

	mr_rand_init(&rand, 3);
	mr_topk_init(&t, 64);
	for (int i = 0; i < VALUES; i++) {
		char text[400];
		int bytes = snprintf(text, sizeof(text), "%0*d", (int)mr_rand_below(&rand, 399),
			(int)mr_rand_below(&rand, 3000));
		size_t before = mr_topk_memory(&t), growth = mr_topk_growth(&t, (size_t)bytes);
		const void *slots = t.slots, *data = t.data;

		assert_int_equal(mr_topk_add(&t, mr_span(text, (size_t)bytes), 1), 0);
		assert_true(mr_topk_memory(&t) <= before + growth);
		assert_true(growth || (t.slots == slots && t.data == data));
	}
	mr_topk_fini(&t);
}

static int choose_kernels(void **)
{
	struct mr_cpu cpu;

	mr_cpu_detect(&cpu);
	return mr_kernels_select(&cpu, NULL) < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hll_grows_by_what_it_says),
		cmocka_unit_test(quantile_grows_by_what_it_says),
		cmocka_unit_test(topk_grows_by_what_it_says),
	};

	return cmocka_run_group_tests(tests, choose_kernels, NULL);
}
