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

// Runs the statement for each vector of W_LANES dense rows, `i` the first of them and `bits` their
// bits of the mask from bit 0 up; a rest of less than 64 rows goes to `one`, row by row.
#define EACH_VECTOR(rows, i, bits, vector, one)                                        \
	do {                                                                           \
		const uint32_t full_ = (rows)->count / 64 * 64;                        \
                                                                                       \
		for (uint32_t w_ = 0; w_ < full_; w_ += 64) {                          \
			uint64_t word_ = (rows)->mask ? (rows)->mask[w_ / 64] : ~0ull; \
                                                                                       \
			for (uint32_t k_ = 0; k_ < 64; k_ += W_LANES) {                \
				const uint32_t i = w_ + k_;                            \
				const uint64_t bits = word_ >> k_;                     \
				vector;                                                \
			}                                                              \
		}                                                                      \
		for (uint32_t i = full_; i < (rows)->count; i++)                       \
			if (!(rows)->mask || mr_bit_get((rows)->mask, i))              \
				one;                                                   \
	} while (0)

// --- exact sums ----------------------------------------------------------------------------------

// A 64-bit value is added as two halves, each to a 64-bit sum that cannot wrap below 2^31 rows:
// the low 32 bits, and the high ones biased by 2^31 so that a logical shift (which AVX2 has) will
// do.
struct halves {
	uint64_t low;
	uint64_t high;
};

#define SIGN (1ull << 63)

V_OP void halves_add(struct halves *h, int64_t v)
{
	h->low += (uint64_t)v & 0xffffffff;
	h->high += ((uint64_t)v ^ SIGN) >> 32;
}

static void halves_finish(const struct halves *h, uint64_t rows, struct mr_isum *io)
{
	mr_i128 high = (mr_i128)h->high - ((mr_i128)rows << 31);

	io->sum += high * ((mr_i128)1 << 32) + h->low;
	io->count += rows;
}

V_OP void halves_add_masked(w_u64 *low, w_u64 *high, const int64_t *v, uint64_t bits)
{
	w_u64 x = (w_u64)w_ld_i64(v), keep = (w_u64)w_keep(bits);

	*low += x & keep & 0xffffffff;
	*high += ((x ^ SIGN) & keep) >> 32;
}

static void sum_i64_masked(const int64_t *v, const struct mr_rows *rows, struct halves *h)
{
	w_u64 low = {0}, high = {0};

	EACH_VECTOR(
		rows, i, bits, halves_add_masked(&low, &high, v + i, bits), halves_add(h, v[i]));
	for (int l = 0; l < W_LANES; l++) {
		h->low += low[l];
		h->high += high[l];
	}
}

// 8 B read a row: bounded by memory from L3 on, in L1 by three additions a vector.
static void sum_i64(const void *values, const struct mr_rows *rows, struct mr_isum *io)
{
	const int64_t *v = values;
	struct halves h = {0, 0};

	if (mr_rows_all(rows))
		for (uint32_t i = 0; i < rows->count; i++)
			halves_add(&h, v[i]);
	else if (rows->sel)
		MR_ROWS_EACH(rows, i, halves_add(&h, v[i]));
	else
		sum_i64_masked(v, rows, &h);
	halves_finish(&h, agg_count(rows), io);
}

// Narrow values cannot wrap 64 bits: 2^31 rows of at most 32 bits. Reads the value's size a row.
#define SUM_NARROW(t, type)                                                                      \
	static int64_t sum_masked_##t(const type *v, const struct mr_rows *rows)                 \
	{                                                                                        \
		w_i64 sums = {0};                                                                \
		int64_t sum = 0;                                                                 \
                                                                                                 \
		EACH_VECTOR(rows, i, bits, sums += w_ld_##t(v + i) & w_keep(bits), sum += v[i]); \
		for (int l = 0; l < W_LANES; l++)                                                \
			sum += sums[l];                                                          \
		return sum;                                                                      \
	}                                                                                        \
                                                                                                 \
	static void sum_##t(const void *values, const struct mr_rows *rows, struct mr_isum *io)  \
	{                                                                                        \
		const type *v = values;                                                          \
		int64_t sum = 0;                                                                 \
                                                                                                 \
		if (mr_rows_all(rows))                                                           \
			for (uint32_t i = 0; i < rows->count; i++)                               \
				sum += v[i];                                                     \
		else if (rows->sel)                                                              \
			MR_ROWS_EACH(rows, i, sum += v[i]);                                      \
		else                                                                             \
			sum = sum_masked_##t(v, rows);                                           \
		io->sum += sum;                                                                  \
		io->count += agg_count(rows);                                                    \
	}

SUM_NARROW(u8, uint8_t)
SUM_NARROW(i16, int16_t)
SUM_NARROW(i32, int32_t)

// --- float sums ----------------------------------------------------------------------------------

// The eight lanes of a struct mr_fsum in 8 / W_LANES registers. Rows passed over add +0.0: by
// clearing bits, not by multiplying, for a null row may hold a NaN. Reads 8 (4) B a row; bounded in
// L1 by the latency of one addition per 8 rows.
#define SUM_FLOAT(t, type)                                                                   \
	static void sum_vectors_##t(const type *v, const struct mr_rows *rows, double *lane) \
	{                                                                                    \
		w_f64 lanes[8 / W_LANES];                                                    \
		const uint32_t full = rows->count / 64 * 64;                                 \
                                                                                             \
		memcpy(lanes, lane, sizeof(lanes));                                          \
		for (uint32_t w = 0; w < full; w += 64) {                                    \
			uint64_t bits = rows->mask ? rows->mask[w / 64] : ~0ull;             \
                                                                                             \
			for (uint32_t k = 0; k < 64; k += W_LANES) {                         \
				w_i64 x = (w_i64)w_ld_##t(v + w + k) & w_keep(bits >> k);    \
                                                                                             \
				lanes[k % 8 / W_LANES] += (w_f64)x;                          \
			}                                                                    \
		}                                                                            \
		memcpy(lane, lanes, sizeof(lanes));                                          \
		for (uint32_t i = full; i < rows->count; i++)                                \
			if (!rows->mask || mr_bit_get(rows->mask, i))                        \
				lane[i % 8] += v[i];                                         \
	}                                                                                    \
                                                                                             \
	static void sum_##t(const type *v, const struct mr_rows *rows, struct mr_fsum *io)   \
	{                                                                                    \
		io->count += agg_count(rows);                                                \
		if (rows->sel)                                                               \
			MR_ROWS_EACH(rows, i, io->lane[i % 8] += v[i]);                      \
		else                                                                         \
			sum_vectors_##t(v, rows, io->lane);                                  \
	}

SUM_FLOAT(f32, float)
SUM_FLOAT(f64, double)

// --- extremes ------------------------------------------------------------------------------------

#define KEY_INT(x) (x)
#define TAKE(io, v)                                \
	do {                                       \
		const int64_t x_ = (v);            \
		(io)->min = MR_MIN((io)->min, x_); \
		(io)->max = MR_MAX((io)->max, x_); \
	} while (0)

V_OP void take_masked(w_i64 *low, w_i64 *high, w_i64 x, uint64_t bits)
{
	w_i64 keep = w_keep(bits);

	*low = w_min(*low, w_select(keep, x, (w_i64){0} + INT64_MAX));
	*high = w_max(*high, w_select(keep, x, (w_i64){0} + INT64_MIN));
}

// Reads the value's size a row. Bounded by min and max of 64-bit lanes (AVX2: compare and blend).
#define MINMAX(t, type, key, wide_key)                                                 \
	static void minmax_all_##t(const type *v, uint32_t rows, struct mr_minmax *io) \
	{                                                                              \
		struct mr_minmax m = *io;                                              \
                                                                                       \
		for (uint32_t i = 0; i < rows; i++)                                    \
			TAKE(&m, key(v[i]));                                           \
		*io = m;                                                               \
	}                                                                              \
                                                                                       \
	static void minmax_masked_##t(                                                 \
		const type *v, const struct mr_rows *rows, struct mr_minmax *io)       \
	{                                                                              \
		w_i64 low = (w_i64){0} + INT64_MAX, high = (w_i64){0} + INT64_MIN;     \
                                                                                       \
		EACH_VECTOR(rows, i, bits,                                             \
			take_masked(&low, &high, wide_key(w_ld_##t(v + i)), bits),     \
			TAKE(io, key(v[i])));                                          \
		for (int l = 0; l < W_LANES; l++) {                                    \
			io->min = MR_MIN(io->min, low[l]);                             \
			io->max = MR_MAX(io->max, high[l]);                            \
		}                                                                      \
	}                                                                              \
                                                                                       \
	static void minmax_##t(                                                        \
		const void *values, const struct mr_rows *rows, struct mr_minmax *io)  \
	{                                                                              \
		const type *v = values;                                                \
                                                                                       \
		io->count += agg_count(rows);                                          \
		if (rows->sel)                                                         \
			MR_ROWS_EACH(rows, i, TAKE(io, key(v[i])));                    \
		else if (rows->mask)                                                   \
			minmax_masked_##t(v, rows, io);                                \
		else                                                                   \
			minmax_all_##t(v, rows->count, io);                            \
	}

MINMAX(u8, uint8_t, KEY_INT, KEY_INT)
MINMAX(i16, int16_t, KEY_INT, KEY_INT)
MINMAX(i32, int32_t, KEY_INT, KEY_INT)
MINMAX(i64, int64_t, KEY_INT, KEY_INT)
MINMAX(f32, float, mr_fkey, w_fkey)
MINMAX(f64, double, mr_fkey, w_fkey)

const struct mr_agg_kernels MR_ISA_NAME(mr_kernels_agg) = {
	.count = agg_count,
	.sum_int = {sum_u8, sum_i16, sum_i32, sum_i64},
	.sum_f32 = sum_f32,
	.sum_f64 = sum_f64,
	.minmax = {minmax_u8, minmax_i16, minmax_i32, minmax_i64, minmax_f32, minmax_f64},
};
