// Choosing a table of kernels: the best by itself, any runnable one by name, a clear refusal.
#include "hw/cpu.h"
#include "kernels/kernels.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void select_takes_the_best_and_never_emu(void **)
{
	const struct mr_kernels *tables[MR_KERN_ISAS_MAX];
	struct mr_cpu cpu;
	int n;

	unsetenv("MILLRACE_ISA");
	mr_cpu_detect(&cpu);
	n = mr_kernels_list(&cpu, tables);
	assert_true(n >= 1);
	assert_int_equal(mr_kernels_select(&cpu, NULL), 0);
	assert_string_not_equal(mr_kern->isa, "emu");
	if (strcmp(tables[n - 1]->isa, "emu") != 0)
		assert_ptr_equal(mr_kern, tables[n - 1]);
}

static void select_obeys_the_environment(void **)
{
	const struct mr_kernels *tables[MR_KERN_ISAS_MAX];
	struct mr_cpu cpu;
	int n;

	mr_cpu_detect(&cpu);
	n = mr_kernels_list(&cpu, tables);
	for (int i = 0; i < n; i++) {
		setenv("MILLRACE_ISA", tables[i]->isa, 1);
		assert_int_equal(mr_kernels_select(&cpu, NULL), 0);
		assert_ptr_equal(mr_kern, tables[i]);
	}
	unsetenv("MILLRACE_ISA");
}

static void select_refuses_what_cannot_run(void **)
{
	const struct mr_kernels *before = mr_kern;
	const struct mr_cpu weakest = {0};
	struct mr_diag diag;

	setenv("MILLRACE_ISA", "v5", 1);
	assert_int_equal(mr_kernels_select(&weakest, &diag), -EINVAL);
	assert_non_null(strstr(diag.message, "\"v5\""));
	assert_non_null(strstr(diag.message, "scalar"));
	setenv("MILLRACE_ISA", "v4", 1);
	assert_int_equal(mr_kernels_select(&weakest, &diag), -EINVAL);
	assert_ptr_equal(mr_kern, before);
	unsetenv("MILLRACE_ISA");
	assert_int_equal(mr_kernels_select(&weakest, &diag), 0);
	assert_string_equal(mr_kern->isa, "scalar");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(select_takes_the_best_and_never_emu),
		cmocka_unit_test(select_obeys_the_environment),
		cmocka_unit_test(select_refuses_what_cannot_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
