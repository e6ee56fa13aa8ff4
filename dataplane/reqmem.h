// A worker's request memory: a buddy allocator over one reserved region.
//
// Requests and responses from 4 KiB to 128 MiB come and go in any order, each contiguous. Memory is
// given in pages of 4 KiB: a request is served from the smallest power of two that holds it, and
// the tail it does not need goes back at once, so 132 KiB take 132 KiB and not 256. Allocation and
// freeing cost O(log pages). The bookkeeping lives beside the region, so that free memory is not
// touched; in debug builds freed memory is filled with 0xdb.
//
// Who got NULL may wait: waiters are served in their order, each when a block of its size is free.
// One thread.
#pragma once

#include "host/base/def.h"

#include <stdatomic.h>

#define MR_REQMEM_PAGE_BYTES 4096
#define MR_REQMEM_BLOCK_MAX  (128u << 20)

struct mr_reqmem;

struct mr_reqmem_wait {
	struct mr_reqmem_wait *next;
	struct mr_reqmem_wait *prev;
	size_t bytes;
	bool waiting;
	// The memory waited for, now the waiter's. Runs inside mr_reqmem_serve.
	void (*ready)(struct mr_reqmem_wait *w, uint8_t *memory);
};

// Written by the worker, read by any thread: relaxed.
struct mr_reqmem_counters {
	_Atomic uint64_t region_bytes;
	_Atomic uint64_t used_bytes; // gauge, whole pages
	_Atomic uint64_t used_bytes_peak;
	_Atomic uint64_t allocs;
	_Atomic uint64_t failed;
	_Atomic uint64_t waits;
};

// Reserves `bytes` (rounded up to 4 MiB) of address space on `node` (-1: any). Pages are committed
// when they are first touched. 0 or -errno.
[[nodiscard]] int mr_reqmem_create(size_t bytes, int node, struct mr_reqmem **out);
// Everything must have been freed.
void mr_reqmem_destroy(struct mr_reqmem *m);

// Page-aligned, or NULL when no block of that size is free. Not cleared.
uint8_t *mr_reqmem_alloc(struct mr_reqmem *m, size_t bytes);
void mr_reqmem_free(struct mr_reqmem *m, void *p);

// For what comes in: as mr_reqmem_alloc, but leaves an eighth of the region to what goes out, and
// overtakes nobody who waits.
uint8_t *mr_reqmem_admit(struct mr_reqmem *m, size_t bytes);

// The largest block that an empty region can give.
size_t mr_reqmem_block_max(const struct mr_reqmem *m);
size_t mr_reqmem_used(const struct mr_reqmem *m);

// Waits at the end of the line, for memory as mr_reqmem_admit gives it.
void mr_reqmem_wait(struct mr_reqmem *m, struct mr_reqmem_wait *w, size_t bytes);
void mr_reqmem_unwait(struct mr_reqmem *m, struct mr_reqmem_wait *w);
bool mr_reqmem_has_waiters(const struct mr_reqmem *m);
// Serves the line from its head while there are blocks of the sizes waited for. To be called
// when something has been freed, from a place where waiters may run. Returns how many ran.
int mr_reqmem_serve(struct mr_reqmem *m);

struct mr_reqmem_counters *mr_reqmem_counters(struct mr_reqmem *m);
