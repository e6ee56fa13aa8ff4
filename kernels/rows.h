// Walking the rows of a struct mr_rows, for kernels that go word by word or row by row.
#pragma once

#include "kernels/kernels.h"

#define MR_ROWS_INLINE static inline __attribute__((always_inline))

// Word `w` of the mask of dense rows, the bits past the last row clear.
MR_ROWS_INLINE uint64_t mr_rows_word(const struct mr_rows *r, uint32_t w)
{
	uint64_t bits = r->mask ? r->mask[w] : ~0ull;
	uint32_t left = r->count - w * 64;

	return left < 64 ? bits & ((1ull << left) - 1) : bits;
}

MR_ROWS_INLINE uint32_t mr_rows_words(const struct mr_rows *r)
{
	return (r->count + 63) / 64;
}

// Whether every row of the column is looked at.
MR_ROWS_INLINE bool mr_rows_all(const struct mr_rows *r)
{
	return !r->sel && !r->mask;
}

// Runs the statement for each row looked at, ascending, as `i`. Evaluates `r` often.
#define MR_ROWS_EACH(r, i, statement)                                                       \
	do {                                                                                \
		if ((r)->sel) {                                                             \
			for (uint32_t k_ = 0; k_ < (r)->count; k_++) {                      \
				const uint32_t i = (r)->sel[k_];                            \
				if (!(r)->mask || mr_bit_get((r)->mask, i))                 \
					statement;                                          \
			}                                                                   \
		} else if ((r)->mask) {                                                     \
			for (uint32_t w_ = 0; w_ < mr_rows_words(r); w_++)                  \
				for (uint64_t b_ = mr_rows_word(r, w_); b_; b_ &= b_ - 1) { \
					const uint32_t i =                                  \
						w_ * 64 + (uint32_t)__builtin_ctzll(b_);    \
					statement;                                          \
				}                                                           \
		} else {                                                                    \
			for (uint32_t i = 0; i < (r)->count; i++)                           \
				statement;                                                  \
		}                                                                           \
	} while (0)
