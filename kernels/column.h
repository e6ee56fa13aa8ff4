// The shape everything above the kernels works on: a column of one type, and a chunk of columns.
//
// Stated once, relied on everywhere: values are 64-byte aligned and followed by at least 64
// readable bytes, so a kernel may load whole vectors past the last row. A bitmap has bit i of word
// i/64 for row i and the same padding. A null row's value is unspecified but readable (zero for
// numbers).
#pragma once

#include "host/base/type.h"

#define MR_COL_ALIGN 64
#define MR_COL_PAD   64

// Dictionary entries, append-only: an entry once published never changes or moves.
struct mr_dict {
	const struct mr_str *entries;
	uint32_t count;
};

// A column of `rows` values (the count is the holder's). Borrows all its memory.
struct mr_col {
	struct mr_typeref type;
	uint8_t phys; // enum mr_phys
	const void *values;
	const uint64_t *valid; // bit set = not null; NULL = no nulls
	const uint32_t *codes; // BYTES only: dictionary codes instead of `values`; NULL otherwise
	const struct mr_dict *dict;
};

static inline bool mr_bit_get(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static inline void mr_bit_set(uint64_t *bits, size_t i)
{
	bits[i / 64] |= 1ull << (i % 64);
}

static inline void mr_bit_clear(uint64_t *bits, size_t i)
{
	bits[i / 64] &= ~(1ull << (i % 64));
}

static inline bool mr_col_is_null(const struct mr_col *c, size_t row)
{
	return c->valid && !mr_bit_get(c->valid, row);
}

// The string of a row, through the dictionary when there is one.
static inline struct mr_str mr_col_str(const struct mr_col *c, size_t row)
{
	return c->codes ? c->dict->entries[c->codes[row]] : ((const struct mr_str *)c->values)[row];
}
