// Bump arena over malloc'd blocks that double in size up to a megabyte.
#include "host/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20, COLUMN_ALIGN = 64, COLUMN_PAD = 64 };

struct mr_arena_block {
	struct mr_arena_block *older;
	size_t bytes;
};

static_assert(sizeof(struct mr_arena_block) == 16);

void mr_arena_init(struct mr_arena *a, size_t bytes_limit)
{
	*a = (struct mr_arena){.bytes_limit = bytes_limit};
}

void mr_arena_init_budget(struct mr_arena *a, struct mr_budget *budget)
{
	*a = (struct mr_arena){.budget = budget};
}

// Frees a block and all older ones.
static void free_blocks(struct mr_arena *a, struct mr_arena_block *b)
{
	while (b) {
		struct mr_arena_block *older = b->older;

		mr_budget_give(a->budget, b->bytes);
		free(b);
		b = older;
	}
}

void mr_arena_fini(struct mr_arena *a)
{
	free_blocks(a, a->block);
	*a = (struct mr_arena){.bytes_limit = a->bytes_limit, .budget = a->budget};
}

void mr_arena_reset(struct mr_arena *a)
{
	struct mr_arena_block *b = a->block;

	a->exhausted = false;
	if (!b)
		return;
	free_blocks(a, b->older);
	b->older = NULL;
	a->bytes = b->bytes;
	a->at = (uint8_t *)(b + 1);
}

// What may still be taken from malloc.
static size_t room(const struct mr_arena *a)
{
	size_t left = a->bytes_limit ? a->bytes_limit - MR_MIN(a->bytes, a->bytes_limit) : SIZE_MAX;

	return MR_MIN(left, (size_t)mr_budget_room(a->budget));
}

static struct mr_arena_block *block_take(struct mr_arena *a, size_t bytes)
{
	struct mr_arena_block *b;

	if (a->bytes_limit && (bytes > a->bytes_limit || a->bytes > a->bytes_limit - bytes))
		return NULL;
	if (!mr_budget_take(a->budget, bytes))
		return NULL;
	b = malloc(bytes);
	if (!b)
		mr_budget_give(a->budget, bytes);
	return b;
}

static bool grow(struct mr_arena *a, size_t need)
{
	size_t bytes = a->block ? MR_MIN(a->block->bytes * 2, (size_t)BLOCK_MAX) : BLOCK_MIN;
	size_t least = need + sizeof(struct mr_arena_block);
	struct mr_arena_block *b = NULL;

	// Near the limit a block has what is needed and no more.
	bytes = bytes > room(a) ? least : MR_MAX(bytes, least);
	if (need <= SIZE_MAX / 2)
		b = block_take(a, bytes);
	if (!b) {
		a->exhausted = true;
		return false;
	}
	*b = (struct mr_arena_block){a->block, bytes};
	a->block = b;
	a->at = (uint8_t *)(b + 1);
	a->end = (uint8_t *)b + bytes;
	a->bytes += bytes;
	a->bytes_peak = MR_MAX(a->bytes_peak, a->bytes);
	return true;
}

void *mr_arena_alloc(struct mr_arena *a, size_t bytes)
{
	uint8_t *p;

	if (bytes > SIZE_MAX / 2) {
		a->exhausted = true;
		return NULL;
	}
	bytes = mr_round_up(MR_MAX(bytes, (size_t)1), 16);
	if ((size_t)(a->end - a->at) < bytes && !grow(a, bytes))
		return NULL;
	p = a->at;
	a->at += bytes;
	return p;
}

void *mr_arena_zalloc(struct mr_arena *a, size_t count, size_t bytes)
{
	size_t total;
	void *p;

	if (__builtin_mul_overflow(count, bytes, &total)) {
		a->exhausted = true;
		return NULL;
	}
	p = mr_arena_alloc(a, total);
	if (p)
		memset(p, 0, total);
	return p;
}

void *mr_arena_room(
	struct mr_arena *a, const void *items, uint32_t count, uint32_t *max, size_t bytes)
{
	const uint32_t more = MR_MAX(2 * *max, 8u);
	void *p;

	if (count < *max)
		return (void *)(uintptr_t)items;
	p = mr_arena_alloc(a, more * bytes);
	if (!p)
		return NULL;
	if (count)
		memcpy(p, items, count * bytes);
	*max = more;
	return p;
}

void *mr_arena_column(struct mr_arena *a, size_t bytes)
{
	uint8_t *p = mr_arena_alloc(a, bytes + COLUMN_ALIGN + COLUMN_PAD);

	return p ? (void *)mr_round_up((uintptr_t)p, COLUMN_ALIGN) : NULL;
}

char *mr_arena_strndup(struct mr_arena *a, const char *s, size_t bytes)
{
	char *p = mr_arena_alloc(a, bytes + 1);

	if (!p)
		return NULL;
	if (bytes)
		memcpy(p, s, bytes);
	p[bytes] = 0;
	return p;
}

struct mr_span mr_arena_copy(struct mr_arena *a, struct mr_span s)
{
	char *p = mr_arena_strndup(a, (const char *)s.data, s.bytes);

	return p ? mr_span(p, s.bytes) : (struct mr_span){NULL, 0};
}

char *mr_arena_printf(struct mr_arena *a, const char *fmt, ...)
{
	va_list args;
	char *p;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	p = mr_arena_alloc(a, (size_t)MR_MAX(n, 0) + 1);
	if (!p)
		return NULL;
	va_start(args, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, args);
	va_end(args);
	return p;
}
