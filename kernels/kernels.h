// The kernels: pure functions over columns, one table of function pointers per ISA.
//
//     scalar   the oracle: plain C, the vectoriser off
//     v3       AVX2, BMI2, PCLMULQDQ (Haswell, Zen)
//     v4       AVX-512 F/BW/DQ/VL/CD and VPCLMULQDQ (Ice Lake, Zen 4)
//     neon     aarch64 with the CRC extension
//     emu      v4's code through SIMDe on any x86-64: to test it, never chosen by itself
//
// Every table gives the same bits. `mr_kernels_select` picks one at start, before any thread that
// calls kernels; from then on `mr_kern` never changes.
//
// What holds for every kernel unless it says otherwise:
// - `values` and bitmaps are padded as kernels/column.h states (64 readable bytes behind the last
//   row) and aligned to their element; more alignment is faster but not needed. Bits of input
//   bitmaps past the last row are ignored.
// - Rows are fewer than 2^31. No rows is fine.
// - An output bitmap gets ceil(rows / 64) whole words, bits past the last row clear.
// - Arrays indexed by `enum mr_phys` have an entry for each number, MR_PHYS_U8 to MR_PHYS_F64;
//   constants are passed by pointer to a value of that type.
// - Floats compare as PostgreSQL does: NaN equals NaN and is greater than all else; -0 equals +0.
// - Nothing allocates, fails, or keeps a pointer. The caller has checked all it passes.
#pragma once

#include "host/base/dec.h"
#include "host/base/err.h"
#include "kernels/column.h"

struct mr_cpu;

#define MR_KERN_TYPES (MR_PHYS_F64 + 1)

// Which rows of a column a kernel looks at: rows 0 … count-1, or `count` ascending indexes in
// `sel`; of these, the ones whose bit in `mask` is set (bit = row index; NULL: all). A null row and
// a row that a filter threw out are the same here: the caller ANDs the bitmaps. Borrowed.
struct mr_rows {
	uint32_t count;
	const uint32_t *sel;
	const uint64_t *mask;
};

// --- filter: rows → bitmap -----------------------------------------------------------------------

enum mr_cmp { MR_CMP_EQ, MR_CMP_NE, MR_CMP_LT, MR_CMP_LE, MR_CMP_GT, MR_CMP_GE };

struct mr_filter_kernels {
	// out bit = values[row] OP constant.
	void (*cmp_const[MR_KERN_TYPES])(const void *values, uint32_t rows, enum mr_cmp op,
		const void *constant, uint64_t *restrict out);
	// out bit = a[row] OP b[row].
	void (*cmp_cols[MR_KERN_TYPES])(const void *a, const void *b, uint32_t rows, enum mr_cmp op,
		uint64_t *restrict out);
	// out bit = bit codes[row] of `set`. `set` covers every code; padded as a bitmap.
	void (*codes)(
		const uint32_t *codes, uint32_t rows, const uint64_t *set, uint64_t *restrict out);
	// Logic on bitmaps; `out` may be `a` or `b`. Bits past the last row become clear.
	void (*bits_and)(const uint64_t *a, const uint64_t *b, uint32_t rows, uint64_t *out);
	void (*bits_or)(const uint64_t *a, const uint64_t *b, uint32_t rows, uint64_t *out);
	void (*bits_not)(const uint64_t *a, uint32_t rows, uint64_t *out);
	// The indexes of the set bits, ascending; returns how many. `sel` has room for rows + 16.
	uint32_t (*bits_to_sel)(const uint64_t *bits, uint32_t rows, uint32_t *restrict sel);
};

// --- agg: rows → one state -----------------------------------------------------------------------

// An exact sum; cannot wrap below 2^64 rows.
struct mr_isum {
	mr_i128 sum;
	uint64_t count;
};

// A floating sum in a fixed order: row i (its index in the column, whatever the selection) is added
// to lane i & 7, lanes in row order. A row passed over adds nothing, which is the same as adding
// +0.0, for a lane is never -0.0. float is widened first. mr_fsum_value adds the lanes by one fixed
// tree. A column split into calls gives the same bits as one call when each split is at a multiple
// of 8.
struct mr_fsum {
	double lane[8];
	uint64_t count;
};

static inline double mr_fsum_value(const struct mr_fsum *s)
{
	const double *l = s->lane;

	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

// Extremes of integers (and of a mr_fkey). Start with MR_MINMAX_EMPTY; `min` and `max` mean nothing
// while count is 0.
struct mr_minmax {
	int64_t min;
	int64_t max;
	uint64_t count;
};

#define MR_MINMAX_EMPTY ((struct mr_minmax){INT64_MAX, INT64_MIN, 0})

// A double as an integer that orders as PostgreSQL does: -0 becomes +0, every NaN becomes one NaN
// above +infinity. Extremes, hashes and quantiles of floats are taken of this key.
static inline int64_t mr_fkey(double v)
{
	int64_t bits;

	v = v + 0.0; // -0 + 0 = +0
	memcpy(&bits, &v, sizeof(bits));
	bits = v != v ? 0x7ff8000000000000 : bits;
	return bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
}

static inline double mr_fkey_value(int64_t key)
{
	double v;

	key ^= (int64_t)((uint64_t)(key >> 63) >> 1);
	memcpy(&v, &key, sizeof(v));
	return v;
}

struct mr_agg_kernels {
	// Rows looked at: those of `rows` whose mask bit is set.
	uint64_t (*count)(const struct mr_rows *rows);
	// Each adds to a state that the caller started with zeros or MR_MINMAX_EMPTY.
	void (*sum_int[MR_PHYS_I64 + 1])(
		const void *values, const struct mr_rows *rows, struct mr_isum *io);
	void (*sum_f32)(const float *values, const struct mr_rows *rows, struct mr_fsum *io);
	void (*sum_f64)(const double *values, const struct mr_rows *rows, struct mr_fsum *io);
	// Of F32 and F64: the extremes of mr_fkey of the values.
	void (*minmax[MR_KERN_TYPES])(
		const void *values, const struct mr_rows *rows, struct mr_minmax *io);
};

// --- hash: columns → 64-bit hashes ---------------------------------------------------------------

struct mr_hash_kernels {
	// mr_hash64(value as int64_t or mr_fkey, MR_HASH_SEED) of each row: equal numbers of
	// different widths hash alike among integers and among floats.
	void (*num[MR_KERN_TYPES])(const void *values, uint32_t rows, uint64_t *restrict out);
	// mr_hash_bytes of each string.
	void (*str)(const struct mr_str *values, uint32_t rows, uint64_t *restrict out);
};

// --- group: rows with a group id → a state per group ---------------------------------------------

// `groups[row]` < `groups_count` (at least 1) indexes `io`.
struct mr_group_kernels {
	void (*count)(const uint32_t *groups, uint32_t groups_count, const struct mr_rows *rows,
		uint64_t *io);
	void (*sum_int[MR_PHYS_I64 + 1])(const void *values, const uint32_t *groups,
		uint32_t groups_count, const struct mr_rows *rows, struct mr_isum *io);
	// Of F32 and F64: the extremes of mr_fkey.
	void (*minmax[MR_KERN_TYPES])(const void *values, const uint32_t *groups,
		uint32_t groups_count, const struct mr_rows *rows, struct mr_minmax *io);
};

// --- crc: CRC-32C (RFC 3720 B.4) -----------------------------------------------------------------

// Unpadded bytes. `crc` is the CRC of what came before, 0 at first. Wrappers: kernels/crc32c.h.
struct mr_crc_kernels {
	uint32_t (*update)(uint32_t crc, const void *data, size_t bytes);
	// Copies (no overlap) and returns the CRC of what it copied, in one pass.
	uint32_t (*copy)(uint32_t crc, void *restrict dst, const void *restrict src, size_t bytes);
};

// --- hll: hashes → HyperLogLog registers ---------------------------------------------------------

// Register = the hash's top `p` bits; rank = 1 + leading zeros of the rest, at most 65 - p. One
// byte a register, 64 readable bytes behind the last. The sketch itself is kernels/hll.h.
struct mr_hll_kernels {
	void (*update)(
		const uint64_t *hashes, const struct mr_rows *rows, unsigned p, uint8_t *registers);
	// io[i] = max(io[i], other[i]).
	void (*merge)(const uint8_t *other, uint32_t registers, uint8_t *restrict io);
	// counts[r] = registers of value r; values are below 64 (p >= 4 gives at most 61).
	void (*histogram)(const uint8_t *registers, uint32_t registers_count, uint32_t counts[64]);
};

// --- quantile: values → bins ---------------------------------------------------------------------

// out = mr_fkey(value) >> shift (arithmetic): the bin of a quantile sketch (kernels/quantile.h).
// Integers are converted to double first.
struct mr_quantile_kernels {
	void (*bins[MR_KERN_TYPES])(
		const void *values, uint32_t rows, unsigned shift, int64_t *restrict out);
};

// --- the table -----------------------------------------------------------------------------------

struct mr_kernels {
	const char *isa;
	const struct mr_filter_kernels *filter;
	const struct mr_agg_kernels *agg;
	const struct mr_hash_kernels *hash;
	const struct mr_group_kernels *group;
	const struct mr_crc_kernels *crc;
	const struct mr_hll_kernels *hll;
	const struct mr_quantile_kernels *quantile;
};

// The chosen table. Until mr_kernels_select it is the scalar one, so tests of other things need no
// setup.
extern const struct mr_kernels *mr_kern;

// Picks the best table for `cpu`, or the one that the environment's MILLRACE_ISA names. 0, or
// -EINVAL for a name that is unknown or beyond this CPU, with the choices in `diag` (may be NULL).
// Main thread, before others exist.
[[nodiscard]] int mr_kernels_select(const struct mr_cpu *cpu, struct mr_diag *diag);

// The tables of this build that run on `cpu`, weakest first (scalar is always the first); returns
// how many. `out` has room for MR_KERN_ISAS_MAX.
#define MR_KERN_ISAS_MAX 4
int mr_kernels_list(const struct mr_cpu *cpu, const struct mr_kernels **out);
