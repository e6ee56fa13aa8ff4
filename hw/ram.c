// The machine's memory as sysconf says it, cut to the control group's limit.
#include "hw/ram.h"

#include <stdio.h>
#include <unistd.h>

// A number in a file, or `other` when there is none ("max" is no number).
static uint64_t read_number(const char *path, uint64_t other)
{
	FILE *f = fopen(path, "re");
	unsigned long long v;
	bool is_there = f && fscanf(f, "%llu", &v) == 1;

	if (f)
		fclose(f);
	return is_there && v ? v : other;
}

uint64_t mr_ram_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
	// In a container its own group is the root of what it sees (v2, then v1).
	uint64_t group = read_number("/sys/fs/cgroup/memory.max",
		read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", UINT64_MAX));

	return bytes && group > bytes ? bytes : group == UINT64_MAX ? bytes : group;
}
