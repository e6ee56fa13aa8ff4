// Digits into text: two at a time from a table, and no formats to read.
//
// Each writes at `p`, without a NUL, and returns the place behind what it wrote. The caller has the
// room: the longest text of every type is a constant in the type's header.
#pragma once

#include "host/base/def.h"

#include <string.h>

#define MR_DIGITS_U64_MAX 20 // of a uint64_t

static const char mr_digit_pairs[] = "0001020304050607080910111213141516171819"
				     "2021222324252627282930313233343536373839"
				     "4041424344454647484950515253545556575859"
				     "6061626364656667686970717273747576777879"
				     "8081828384858687888990919293949596979899";

static_assert(sizeof(mr_digit_pairs) == 201);

// 0 to 99, two digits.
static inline char *mr_put_two(char *p, unsigned v)
{
	MR_DASSERT(v < 100);
	memcpy(p, mr_digit_pairs + (size_t)v * 2, 2);
	return p + 2;
}

// The lowest `digits` digits, zeros in front.
static inline char *mr_put_fixed(char *p, uint64_t v, unsigned digits)
{
	char *at = p + digits;

	for (; at - p >= 2; v /= 100) {
		at -= 2;
		memcpy(at, mr_digit_pairs + v % 100 * 2, 2);
	}
	if (at > p)
		*p = (char)('0' + v % 10);
	return p + digits;
}

static inline unsigned mr_count_digits(uint64_t v)
{
	static const uint64_t pow10[] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
		100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
		100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
		1000000000000000000, 10000000000000000000u};
	unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
	unsigned n = bits * 1233 >> 12; // 1233 / 4096 is a little over log10(2)

	return n + (v >= pow10[n]);
}

// As many digits as it has, one at least.
static inline char *mr_put_u64(char *p, uint64_t v)
{
	return mr_put_fixed(p, v, mr_count_digits(v));
}

static inline char *mr_put_bytes(char *p, const char *text, size_t bytes)
{
	memcpy(p, text, bytes);
	return p + bytes;
}

// `.ffffff` without the zeros that end it; nothing for 0.
static inline char *mr_put_micros(char *p, unsigned us)
{
	if (us == 0)
		return p;
	*p = '.';
	p = mr_put_fixed(p + 1, us, 6);
	while (p[-1] == '0')
		p--;
	return p;
}
