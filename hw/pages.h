// Memory straight from the kernel: reserved at start, on a node, with huge pages where there are.
//
// Reserving takes address space only; a page is committed when it is first touched, which is slow
// (about 0.25 us a page of 4 KiB, more when it has to be cleared from another node), so that what a
// worker needs at once is committed ahead. Any thread.
#pragma once

#include "host/base/def.h"

// How mr_pages_reserve may back the memory.
enum mr_pages_kind {
	MR_PAGES_SMALL,       // ordinary pages
	MR_PAGES_TRANSPARENT, // ordinary pages that the kernel may join (madvise)
	MR_PAGES_HUGE,        // from the pool of 2 MiB pages, else as TRANSPARENT
};

struct mr_pages {
	uint8_t *data;
	size_t bytes;
	enum mr_pages_kind kind; // what it has become
	int node;                // -1: not bound
};

// Reserves `bytes`, rounded up to the page size, cleared. `node` -1 leaves the choice to the first
// touch; a node that cannot be bound to is no error (pages->node says -1). 0 or -errno.
[[nodiscard]] int mr_pages_reserve(
	struct mr_pages *p, size_t bytes, enum mr_pages_kind kind, int node);
void mr_pages_release(struct mr_pages *p);

// Commits [off, off + bytes), whole pages, without changing what is there, so that others may use
// it meanwhile. 0 or -errno: -EINVAL from kernels before 5.14 (MADV_POPULATE_WRITE).
int mr_pages_commit(struct mr_pages *p, size_t off, size_t bytes);

#define MR_PAGES_HUGE_BYTES (2u << 20)
