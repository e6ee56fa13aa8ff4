// Chooses a table of kernels at start. Compiled for the weakest CPU; sees no vector type.
#include "kernels/kernels.h"

#include "hw/cpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// Every family and ISA ends in one constant; these are all of them.
#define DECLARE_ISA(isa)                                                   \
	extern const struct mr_filter_kernels mr_kernels_filter_##isa;     \
	extern const struct mr_agg_kernels mr_kernels_agg_##isa;           \
	extern const struct mr_hash_kernels mr_kernels_hash_##isa;         \
	extern const struct mr_group_kernels mr_kernels_group_##isa;       \
	extern const struct mr_crc_kernels mr_kernels_crc_##isa;           \
	extern const struct mr_hll_kernels mr_kernels_hll_##isa;           \
	extern const struct mr_quantile_kernels mr_kernels_quantile_##isa; \
	static const struct mr_kernels table_##isa = {                     \
		#isa,                                                      \
		&mr_kernels_filter_##isa,                                  \
		&mr_kernels_agg_##isa,                                     \
		&mr_kernels_hash_##isa,                                    \
		&mr_kernels_group_##isa,                                   \
		&mr_kernels_crc_##isa,                                     \
		&mr_kernels_hll_##isa,                                     \
		&mr_kernels_quantile_##isa,                                \
	}

DECLARE_ISA(scalar);
#if defined(__x86_64__)
DECLARE_ISA(emu);
DECLARE_ISA(v3);
DECLARE_ISA(v4);
#else
DECLARE_ISA(neon);
#endif

const struct mr_kernels *mr_kern = &table_scalar;

static bool runs_always(const struct mr_cpu *)
{
	return true;
}

#if defined(__x86_64__)
static bool runs_v3(const struct mr_cpu *cpu)
{
	return cpu->sse42 && cpu->pclmul && cpu->avx2 && cpu->bmi;
}

static bool runs_v4(const struct mr_cpu *cpu)
{
	return runs_v3(cpu) && cpu->avx512 && cpu->vpclmul;
}
#else
static bool runs_neon(const struct mr_cpu *cpu)
{
	return cpu->neon && cpu->crc32;
}
#endif

// Weakest first. A table that is not `automatic` runs only when asked for by name.
static const struct {
	const struct mr_kernels *table;
	bool (*runs)(const struct mr_cpu *cpu);
	bool automatic;
} tables[] = {
	{&table_scalar, runs_always, true},
#if defined(__x86_64__)
	{&table_emu, runs_always, false},
	{&table_v3, runs_v3, true},
	{&table_v4, runs_v4, true},
#else
	{&table_neon, runs_neon, true},
#endif
};

static_assert(MR_COUNT_OF(tables) <= MR_KERN_ISAS_MAX);

int mr_kernels_list(const struct mr_cpu *cpu, const struct mr_kernels **out)
{
	int n = 0;

	for (size_t i = 0; i < MR_COUNT_OF(tables); i++)
		if (tables[i].runs(cpu))
			out[n++] = tables[i].table;
	return n;
}

static int refuse(const struct mr_cpu *cpu, const char *name, struct mr_diag *diag)
{
	const struct mr_kernels *can[MR_KERN_ISAS_MAX];
	int n = mr_kernels_list(cpu, can);
	char names[80] = "";
	size_t at = 0;

	for (int i = 0; i < n; i++)
		at += (size_t)snprintf(
			names + at, sizeof(names) - at, "%s%s", i ? ", " : "", can[i]->isa);
	mr_diag_set(diag, -EINVAL, "22023", 0,
		"MILLRACE_ISA is \"%s\", but this build on this CPU has only %s", name, names);
	return -EINVAL;
}

int mr_kernels_select(const struct mr_cpu *cpu, struct mr_diag *diag)
{
	const char *name = getenv("MILLRACE_ISA");
	const struct mr_kernels *best = NULL;

	for (size_t i = 0; i < MR_COUNT_OF(tables); i++) {
		if (!tables[i].runs(cpu))
			continue;
		if (name ? strcmp(name, tables[i].table->isa) == 0 : tables[i].automatic)
			best = tables[i].table;
	}
	if (!best)
		return refuse(cpu, name, diag);
	mr_kern = best;
	return 0;
}
