// What this CPU can do, asked once at start. Only the single features that a kernel table needs.
#pragma once

#include "host/base/def.h"

struct mr_cpu {
	// x86-64
	bool sse42;
	bool pclmul;
	bool avx2;
	bool bmi;    // BMI1, BMI2 and LZCNT
	bool avx512; // F, BW, DQ, VL and CD together
	bool vpclmul;
	// aarch64
	bool neon;
	bool crc32;
};

// Fills `cpu` for the machine that runs us. Features the operating system does not save count as
// absent.
void mr_cpu_detect(struct mr_cpu *cpu);
