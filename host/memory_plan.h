// The memory budget: what every part may take at most, as the settings say, in one table.
#pragma once

#include "host/config.h"

#include <stdio.h>

#define MR_MEMORY_PLAN_ROWS 32

struct mr_memory_row {
	const char *what;
	const char *setting; // that limits it; NULL: fixed
	uint64_t bytes;      // of one
	uint64_t count;
};

struct mr_memory_plan {
	struct mr_memory_row rows[MR_MEMORY_PLAN_ROWS];
	uint32_t count;
	uint64_t total_bytes;
};

void mr_memory_plan(const struct mr_config *c, struct mr_memory_plan *out);
// The table and its total; when that is more than `ram_bytes` (0: unknown), a line that says so.
void mr_memory_plan_print(const struct mr_memory_plan *p, uint64_t ram_bytes, FILE *f);
