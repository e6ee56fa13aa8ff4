// Aggregates of a whole column: count, exact sums, float sums in a fixed order, extremes.
//
// Dense rows go by words of the mask: a row passed over becomes 0 (sums) or the neutral end
// (extremes) without a branch. Rows by selection go one by one.
#include "kernels/rows.h"
#include "kernels/simd.h"

static uint64_t agg_count(const struct mr_rows *rows)
{
	uint64_t n = 0;

	if (!rows->mask)
		return rows->count;
	if (rows->sel) {
		for (uint32_t k = 0; k < rows->count; k++)
			n += mr_bit_get(rows->mask, rows->sel[k]);
		return n;
	}
	for (uint32_t w = 0; w < mr_rows_words(rows); w++)
		n += (uint64_t)__builtin_popcountll(mr_rows_word(rows, w));
	return n;
}

// All ones when bit k is set.
V_OP int64_t spread_bit(uint64_t bits, uint32_t k)
{
	return -(int64_t)(bits >> k & 1);
}

// --- exact sums ----------------------------------------------------------------------------------

// A 64-bit value is added as two halves, each to a 64-bit sum that cannot wrap below 2^31 rows:
// the low 32 bits, and the high ones biased by 2^31 so that a logical shift (which AVX2 has) will
// do.
struct halves {
	uint64_t low;
	uint64_t high;
	uint64_t rows; // rows added, whose bias must come off
};

V_OP void halves_add(struct halves *h, int64_t v, uint64_t keep)
{
	h->low += (uint64_t)v & keep & 0xffffffff;
	h->high += (((uint64_t)v ^ 1ull << 63) & keep) >> 32;
}

static void halves_finish(const struct halves *h, struct mr_isum *io)
{
	mr_i128 high = (mr_i128)h->high - ((mr_i128)h->rows << 31);

	io->sum += high * ((mr_i128)1 << 32) + h->low;
	io->count += h->rows;
}

// 8 B read a row: bounded by memory from L3 on, in L1 by three additions a vector.
static void sum_i64(const void *values, const struct mr_rows *rows, struct mr_isum *io)
{
	const int64_t *v = values;
	struct halves h = {0, 0, 0};

	if (mr_rows_all(rows)) {
		for (uint32_t i = 0; i < rows->count; i++)
			halves_add(&h, v[i], ~0ull);
		h.rows = rows->count;
	} else if (rows->sel) {
		MR_ROWS_EACH(rows, i, (halves_add(&h, v[i], ~0ull), h.rows++));
	} else {
		uint32_t full = rows->count / 64;

		for (uint32_t w = 0; w < full; w++) {
			uint64_t bits = rows->mask[w];

			h.rows += (uint64_t)__builtin_popcountll(bits);
			for (uint32_t k = 0; k < 64; k++)
				halves_add(&h, v[w * 64 + k], (uint64_t)spread_bit(bits, k));
		}
		for (uint32_t i = full * 64; i < rows->count; i++)
			if (mr_bit_get(rows->mask, i))
				halves_add(&h, v[i], ~0ull), h.rows++;
	}
	halves_finish(&h, io);
}

// Narrow values cannot wrap 64 bits: 2^31 rows of at most 32 bits. Reads the value's size a row.
#define SUM_NARROW(t, type)                                                                     \
	static void sum_##t(const void *values, const struct mr_rows *rows, struct mr_isum *io) \
	{                                                                                       \
		const type *v = values;                                                         \
		int64_t sum = 0;                                                                \
                                                                                                \
		if (mr_rows_all(rows)) {                                                        \
			for (uint32_t i = 0; i < rows->count; i++)                              \
				sum += v[i];                                                    \
		} else if (rows->sel) {                                                         \
			MR_ROWS_EACH(rows, i, sum += v[i]);                                     \
		} else {                                                                        \
			uint32_t full = rows->count / 64;                                       \
                                                                                                \
			for (uint32_t w = 0; w < full; w++) {                                   \
				uint64_t bits = rows->mask[w];                                  \
                                                                                                \
				for (uint32_t k = 0; k < 64; k++)                               \
					sum += v[w * 64 + k] & spread_bit(bits, k);             \
			}                                                                       \
			for (uint32_t i = full * 64; i < rows->count; i++)                      \
				sum += mr_bit_get(rows->mask, i) ? v[i] : 0;                    \
		}                                                                               \
		io->sum += sum;                                                                 \
		io->count += agg_count(rows);                                                   \
	}

SUM_NARROW(u8, uint8_t)
SUM_NARROW(i16, int16_t)
SUM_NARROW(i32, int32_t)

// --- float sums ----------------------------------------------------------------------------------

// Eight lanes as one vector; the compiler splits it to the width at hand. Order and bits do not
// depend on that.
typedef double f64x8 __attribute__((vector_size(64)));
typedef uint64_t u64x8 __attribute__((vector_size(64)));

#define LANE_SHIFTS ((u64x8){0, 1, 2, 3, 4, 5, 6, 7})

// Adds eight rows; those whose bit is clear add +0.0. Clearing the bits, not multiplying: a null
// row may hold a NaN. Reads 8 (4) B a row; bounded in L1 by the latency of one addition per 8 rows.
#define SUM_FLOAT(t, type)                                                                 \
	V_OP void sum8_##t(f64x8 *lanes, const type *v, uint64_t bits)                     \
	{                                                                                  \
		u64x8 keep = -(((u64x8){0} + bits) >> LANE_SHIFTS & 1);                    \
		f64x8 x = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};                \
                                                                                           \
		*lanes += (f64x8)((u64x8)x & keep);                                        \
	}                                                                                  \
                                                                                           \
	static void sum_##t(const type *v, const struct mr_rows *rows, struct mr_fsum *io) \
	{                                                                                  \
		f64x8 lanes;                                                               \
                                                                                           \
		io->count += agg_count(rows);                                              \
		if (rows->sel) {                                                           \
			MR_ROWS_EACH(rows, i, io->lane[i % 8] += v[i]);                    \
			return;                                                            \
		}                                                                          \
		memcpy(&lanes, io->lane, sizeof(lanes));                                   \
		for (uint32_t i = 0; i + 8 <= rows->count; i += 8) {                       \
			uint64_t bits = rows->mask ? rows->mask[i / 64] >> i % 64 : 0xff;  \
                                                                                           \
			sum8_##t(&lanes, v + i, bits);                                     \
		}                                                                          \
		memcpy(io->lane, &lanes, sizeof(lanes));                                   \
		for (uint32_t i = rows->count & ~7u; i < rows->count; i++)                 \
			if (!rows->mask || mr_bit_get(rows->mask, i))                      \
				io->lane[i % 8] += v[i];                                   \
	}

SUM_FLOAT(f32, float)
SUM_FLOAT(f64, double)

// --- extremes ------------------------------------------------------------------------------------

V_OP int64_t key_int(int64_t v)
{
	return v;
}

#define TAKE(v)                               \
	do {                                  \
		const int64_t x_ = (v);       \
		low = x_ < low ? x_ : low;    \
		high = x_ > high ? x_ : high; \
	} while (0)

// Reads the value's size a row. Bounded by min and max of 64-bit lanes (AVX2: compare and blend).
#define MINMAX(t, type, key)                                                             \
	static void minmax_##t(                                                          \
		const void *values, const struct mr_rows *rows, struct mr_minmax *io)    \
	{                                                                                \
		const type *v = values;                                                  \
		int64_t low = io->min, high = io->max;                                   \
                                                                                         \
		if (mr_rows_all(rows)) {                                                 \
			for (uint32_t i = 0; i < rows->count; i++)                       \
				TAKE(key(v[i]));                                         \
		} else if (rows->sel) {                                                  \
			MR_ROWS_EACH(rows, i, TAKE(key(v[i])));                          \
		} else {                                                                 \
			uint32_t full = rows->count / 64;                                \
                                                                                         \
			for (uint32_t w = 0; w < full; w++) {                            \
				uint64_t bits = rows->mask[w];                           \
                                                                                         \
				for (uint32_t k = 0; k < 64; k++) {                      \
					int64_t x = key(v[w * 64 + k]),                  \
						keep = spread_bit(bits, k);              \
					int64_t down = (x & keep) | (INT64_MAX & ~keep); \
					int64_t up = (x & keep) | (INT64_MIN & ~keep);   \
                                                                                         \
					low = down < low ? down : low;                   \
					high = up > high ? up : high;                    \
				}                                                        \
			}                                                                \
			for (uint32_t i = full * 64; i < rows->count; i++)               \
				if (mr_bit_get(rows->mask, i))                           \
					TAKE(key(v[i]));                                 \
		}                                                                        \
		io->min = low;                                                           \
		io->max = high;                                                          \
		io->count += agg_count(rows);                                            \
	}

MINMAX(u8, uint8_t, key_int)
MINMAX(i16, int16_t, key_int)
MINMAX(i32, int32_t, key_int)
MINMAX(i64, int64_t, key_int)
MINMAX(f32, float, mr_fkey)
MINMAX(f64, double, mr_fkey)

const struct mr_agg_kernels MR_ISA_NAME(mr_kernels_agg) = {
	.count = agg_count,
	.sum_int = {sum_u8, sum_i16, sum_i32, sum_i64},
	.sum_f32 = sum_f32,
	.sum_f64 = sum_f64,
	.minmax = {minmax_u8, minmax_i16, minmax_i32, minmax_i64, minmax_f32, minmax_f64},
};
