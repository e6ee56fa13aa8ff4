// Small things every file needs: alignment, branch hints, assertions, min and max.
//
// MR_ASSERT stays on in release builds: it costs once a batch or once a call and stops the process
// on a mistake of ours. MR_DASSERT is for per-row checks and exists in debug and sanitizer builds.
// Neither is ever used on bytes that came from outside.
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_CACHELINE 64
#define MR_PAGE      4096

#define MR_LIKELY(x)    __builtin_expect(!!(x), 1)
#define MR_UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define MR_ALIGNED(n)   __attribute__((aligned(n)))
#define MR_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MR_COUNT_OF(a)  (sizeof(a) / sizeof((a)[0]))

// The struct that holds `member` at address `ptr`.
#define MR_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

// Prints where and what, then aborts. Defined in note.c.
_Noreturn void mr_assert_fail(const char *file, int line, const char *what);

#define MR_ASSERT(x)                                            \
	do {                                                    \
		if (MR_UNLIKELY(!(x)))                          \
			mr_assert_fail(__FILE__, __LINE__, #x); \
	} while (0)

#ifdef MR_DEBUG
#define MR_DASSERT(x) MR_ASSERT(x)
#else
#define MR_DASSERT(x) ((void)sizeof(x))
#endif

#define MR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define MR_MAX(a, b) ((a) > (b) ? (a) : (b))

// Rounds `n` up to a multiple of `to`, a power of two.
static inline uint64_t mr_round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static inline bool mr_is_pow2(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}
