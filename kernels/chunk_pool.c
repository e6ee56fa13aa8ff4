// The chunk pool: one reserved mapping, cut into blocks.
//
// A byte per block says whether it is taken. Single blocks (string heaps) are taken from the top,
// longer runs (the arrays of a chunk) from the bottom, first fit, so that short and long ones do
// not cut each other's holes to pieces and used pages are used again first. A search walks bytes:
// 16 Ki of them for a pool of 4 GiB, once per quarter megabyte of text or once per chunk.
#include "kernels/chunk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

struct mr_chunk_pool {
	pthread_mutex_t lock;
	uint8_t *base;
	size_t blocks_count;
	size_t blocks_used;
	uint8_t taken[];
};

static size_t blocks_of(size_t bytes)
{
	return (bytes + MR_CHUNK_BLOCK_BYTES - 1) / MR_CHUNK_BLOCK_BYTES;
}

int mr_chunk_pool_create(size_t bytes_max, struct mr_chunk_pool **out)
{
	size_t blocks = MR_MAX(bytes_max / MR_CHUNK_BLOCK_BYTES, (size_t)1);
	struct mr_chunk_pool *p = calloc(1, sizeof(*p) + blocks);

	if (!p)
		return -ENOMEM;
	p->base = mmap(NULL, blocks * MR_CHUNK_BLOCK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->base == MAP_FAILED) {
		int err = -errno;

		free(p);
		return err;
	}
	p->blocks_count = blocks;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

void mr_chunk_pool_destroy(struct mr_chunk_pool *p)
{
	if (!p)
		return;
	MR_ASSERT(p->blocks_used == 0);
	munmap(p->base, p->blocks_count * MR_CHUNK_BLOCK_BYTES);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

size_t mr_chunk_pool_bytes_used(struct mr_chunk_pool *p)
{
	size_t blocks;

	pthread_mutex_lock(&p->lock);
	blocks = p->blocks_used;
	pthread_mutex_unlock(&p->lock);
	return blocks * MR_CHUNK_BLOCK_BYTES;
}

size_t mr_chunk_pool_bytes_max(struct mr_chunk_pool *p)
{
	return p->blocks_count * MR_CHUNK_BLOCK_BYTES;
}

// The first block of a free run of `want` from the bottom, or blocks_count.
static size_t find_run(const struct mr_chunk_pool *p, size_t want)
{
	size_t run = 0;

	for (size_t i = 0; i < p->blocks_count; i++) {
		run = p->taken[i] ? 0 : run + 1;
		if (run == want)
			return i + 1 - want;
	}
	return p->blocks_count;
}

static size_t find_last(const struct mr_chunk_pool *p)
{
	for (size_t i = p->blocks_count; i-- > 0;)
		if (!p->taken[i])
			return i;
	return p->blocks_count;
}

void *mr_chunk_pool_take(struct mr_chunk_pool *p, size_t bytes)
{
	size_t want = blocks_of(bytes);
	void *memory = NULL;
	size_t first;

	MR_ASSERT(want > 0);
	pthread_mutex_lock(&p->lock);
	first = want == 1 ? find_last(p) : find_run(p, want);
	if (first < p->blocks_count) {
		memset(p->taken + first, 1, want);
		p->blocks_used += want;
		memory = p->base + first * MR_CHUNK_BLOCK_BYTES;
	}
	pthread_mutex_unlock(&p->lock);
	return memory;
}

void mr_chunk_pool_give(struct mr_chunk_pool *p, void *memory, size_t bytes)
{
	size_t first = (size_t)((uint8_t *)memory - p->base) / MR_CHUNK_BLOCK_BYTES;
	size_t count = blocks_of(bytes);

	pthread_mutex_lock(&p->lock);
	MR_ASSERT(first + count <= p->blocks_count);
	for (size_t i = first; i < first + count; i++) {
		MR_ASSERT(p->taken[i]);
		p->taken[i] = 0;
	}
	p->blocks_used -= count;
	pthread_mutex_unlock(&p->lock);
}
