// mmap, mbind and madvise, each with what happens when the kernel says no.
#include "hw/pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MPOL_PREFERRED_MODE = 1, NODE_BITS = 1024 };

static void *map(size_t bytes, int flags)
{
	return mmap(
		NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

// Huge pages are reserved with the mapping (no MAP_NORESERVE): running out of them at the first
// touch would be a SIGBUS, and here it is an error that we can answer.
static bool map_huge(struct mr_pages *p, size_t bytes)
{
	void *at = map(mr_round_up(bytes, MR_PAGES_HUGE_BYTES), MAP_HUGETLB);

	if (at == MAP_FAILED)
		return false;
	*p = (struct mr_pages){at, mr_round_up(bytes, MR_PAGES_HUGE_BYTES), MR_PAGES_HUGE, -1};
	return true;
}

// mbind(2) is called directly: libnuma would be a package for one line. Preferred, not bound: a
// full node means slower memory and not the end of the process.
static int bind_to(struct mr_pages *p, int node)
{
	unsigned long mask[NODE_BITS / (8 * sizeof(long))] = {0};

	if (node < 0 || node >= NODE_BITS - 1)
		return -1;
	mask[(unsigned)node / (8 * sizeof(long))] = 1ul << ((unsigned)node % (8 * sizeof(long)));
	if (syscall(SYS_mbind, p->data, p->bytes, MPOL_PREFERRED_MODE, mask, NODE_BITS, 0) != 0)
		return -1;
	return node;
}

int mr_pages_reserve(struct mr_pages *p, size_t bytes, enum mr_pages_kind kind, int node)
{
	if (bytes == 0 || bytes > SIZE_MAX / 2)
		return -EINVAL;
	if (kind != MR_PAGES_HUGE || !map_huge(p, bytes)) {
		size_t whole = mr_round_up(bytes, MR_PAGE);
		void *at = map(whole, MAP_NORESERVE);

		if (at == MAP_FAILED)
			return -errno;
		*p = (struct mr_pages){at, whole, MR_PAGES_SMALL, -1};
		if (kind != MR_PAGES_SMALL && madvise(at, whole, MADV_HUGEPAGE) == 0)
			p->kind = MR_PAGES_TRANSPARENT;
	}
	p->node = bind_to(p, node);
	return 0;
}

void mr_pages_release(struct mr_pages *p)
{
	if (p->data)
		MR_ASSERT(munmap(p->data, p->bytes) == 0);
	*p = (struct mr_pages){.node = -1};
}

int mr_pages_commit(struct mr_pages *p, size_t off, size_t bytes)
{
	MR_ASSERT(off <= p->bytes && bytes <= p->bytes - off);
	return madvise(p->data + off, bytes, MADV_POPULATE_WRITE) ? -errno : 0;
}
