// CPU features by the compiler's own detection (which checks XCR0 too) and Linux's hwcaps.
#include "hw/cpu.h"

#include <string.h>

#if defined(__x86_64__)

// clang 14 refuses level names like "x86-64-v4" here, so the features are asked for one by one.
void mr_cpu_detect(struct mr_cpu *cpu)
{
	memset(cpu, 0, sizeof(*cpu));
	__builtin_cpu_init();
	cpu->sse42 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
	cpu->pclmul = __builtin_cpu_supports("pclmul");
	cpu->avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	// LZCNT, F16C and MOVBE have no name that both compilers know; each CPU with AVX2 and BMI2
	// has them.
	cpu->bmi = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
	cpu->avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
		      __builtin_cpu_supports("avx512cd");
	cpu->vpclmul = __builtin_cpu_supports("vpclmulqdq");
}

#elif defined(__aarch64__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

void mr_cpu_detect(struct mr_cpu *cpu)
{
	unsigned long caps = getauxval(AT_HWCAP);

	memset(cpu, 0, sizeof(*cpu));
	cpu->neon = caps & HWCAP_ASIMD;
	cpu->crc32 = caps & HWCAP_CRC32;
}

#else
#error "millrace is built for x86-64 and aarch64"
#endif
