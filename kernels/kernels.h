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
	// out bit = low <= values[row] <= high.
	void (*between[MR_KERN_TYPES])(const void *values, uint32_t rows, const void *low,
		const void *high, uint64_t *restrict out);
	// out bit = bit codes[row] of `set`. `set` covers every code; padded as a bitmap.
	void (*codes)(
		const uint32_t *codes, uint32_t rows, const uint64_t *set, uint64_t *restrict out);
	// Logic on bitmaps; `out` may be `a` or `b`. Bits past the last row become clear.
	void (*bits_and)(const uint64_t *a, const uint64_t *b, uint32_t rows, uint64_t *out);
	void (*bits_or)(const uint64_t *a, const uint64_t *b, uint32_t rows, uint64_t *out);
	void (*bits_andnot)(const uint64_t *a, const uint64_t *b, uint32_t rows, uint64_t *out);
	void (*bits_not)(const uint64_t *a, uint32_t rows, uint64_t *out);
	// Set bits among the first `rows`.
	uint32_t (*bits_count)(const uint64_t *bits, uint32_t rows);
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

// The hash of a null, whatever its type.
#define MR_HASH_NULL 0x9b1f3a5c7d2e4680u

// Two hashes in order into one.
static inline uint64_t mr_hash_combine(uint64_t a, uint64_t b)
{
	uint64_t k = a * 0x9e3779b97f4a7c15u + b;

	k ^= k >> 32;
	k *= 0xd6e8feb86659fd93u;
	return k ^ k >> 32;
}

struct mr_hash_kernels {
	// mr_hash64(value as int64_t or mr_fkey, MR_HASH_SEED) of each row: equal numbers of
	// different widths hash alike among integers and among floats.
	void (*num[MR_KERN_TYPES])(const void *values, uint32_t rows, uint64_t *restrict out);
	// mr_hash_bytes of each string.
	void (*str)(const struct mr_str *values, uint32_t rows, uint64_t *restrict out);
	// table[codes[row]]: hashes of a dictionary's entries, computed once with `str`.
	void (*codes)(const uint32_t *codes, uint32_t rows, const uint64_t *table,
		uint64_t *restrict out);
	// io[row] = mr_hash_combine(io[row], b[row]).
	void (*combine)(const uint64_t *b, uint32_t rows, uint64_t *restrict io);
	// Rows whose bit is clear get MR_HASH_NULL.
	void (*nulls)(const uint64_t *valid, uint32_t rows, uint64_t *restrict io);
};

// --- group: rows with a group id → a state per group ---------------------------------------------

struct mr_gsum {
	double sum;
	uint64_t count;
};

// `groups[row]` < `groups_count` (at least 1) indexes `io`. Few groups take a faster way when the
// result is the same bits: integers do, float sums are always in row order.
struct mr_group_kernels {
	void (*count)(const uint32_t *groups, uint32_t groups_count, const struct mr_rows *rows,
		uint64_t *io);
	void (*sum_int[MR_PHYS_I64 + 1])(const void *values, const uint32_t *groups,
		uint32_t groups_count, const struct mr_rows *rows, struct mr_isum *io);
	void (*sum_f32)(const float *values, const uint32_t *groups, uint32_t groups_count,
		const struct mr_rows *rows, struct mr_gsum *io);
	void (*sum_f64)(const double *values, const uint32_t *groups, uint32_t groups_count,
		const struct mr_rows *rows, struct mr_gsum *io);
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
	// Registers of group g start at g << p.
	void (*groups)(const uint64_t *hashes, const uint32_t *groups, const struct mr_rows *rows,
		unsigned p, uint8_t *registers);
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

// --- text: bytes ---------------------------------------------------------------------------------

// What is where in 64 bytes of JSON, bit i for byte i. Bytes past the end count as spaces.
struct mr_json_masks {
	uint64_t quote;      // quotation marks that open or close a string (not escaped)
	uint64_t in_string;  // from an opening quote to the byte before its closing quote
	uint64_t structural; // { } [ ] : , outside strings
	uint64_t backslash;  // any backslash
	uint64_t control;    // bytes below 0x20 inside strings: never valid
	uint64_t non_ascii;  // bytes from 0x80 up, anywhere
};

// Carried from one block to the next. Starts with zeros.
struct mr_json_carry {
	uint64_t in_string; // all ones or zero
	uint64_t escaped;   // 1: the next byte is escaped
};

// All unpadded: nothing behind `bytes` is read.
struct mr_text_kernels {
	// Offset of the first `byte`, or `bytes`.
	size_t (*find_byte)(const uint8_t *data, size_t bytes, uint8_t byte);
	// Fills ceil(bytes / 64) masks. Only the last call on a document may have `bytes` that is
	// not a multiple of 64.
	void (*json_scan)(const uint8_t *data, size_t bytes, struct mr_json_carry *carry,
		struct mr_json_masks *restrict out);
	// Whether the bytes are UTF-8 (RFC 3629: no overlong forms, no surrogates, < U+110000).
	bool (*is_utf8)(const uint8_t *data, size_t bytes);
};

// --- pack: bit-packed integers -------------------------------------------------------------------

// Values are packed in groups of 512, 64 * width bytes each, so that whole vectors unpack without
// moving between lanes: a group is `width` rows of L words (L = 16 words of 32 bits, or 8 of 64);
// value i lies in lane i % L, at bit (i / L) * width of the lane's words, read downwards.
//
//     width 3, u32:  row 0: lane 0 holds values 0, 16, 32, … (3 bits each), lane 1: 1, 17, 33, …
//                    row 1: goes on where row 0's 32 bits ended
//
// The last group is filled up with zeros. Width 0 takes no bytes: all zeros.
#define MR_PACK_GROUP 512

static inline size_t mr_pack_bytes(size_t values, unsigned width)
{
	return (values + MR_PACK_GROUP - 1) / MR_PACK_GROUP * 64 * width;
}

struct mr_pack_kernels {
	// Bits past `width` (at most 32, at most 64) of a value must be clear. `packed` gets
	// mr_pack_bytes bytes and is aligned to its word. `values` needs no padding.
	void (*pack_u32)(
		const uint32_t *values, uint32_t count, unsigned width, void *restrict packed);
	void (*pack_u64)(
		const uint64_t *values, uint32_t count, unsigned width, void *restrict packed);
	// out[i] = base + value, wrapping. `out` has room for whole groups of 512.
	void (*unpack_u32)(const void *packed, uint32_t count, unsigned width, uint32_t base,
		uint32_t *restrict out);
	void (*unpack_u64)(const void *packed, uint32_t count, unsigned width, uint64_t base,
		uint64_t *restrict out);
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
	const struct mr_text_kernels *text;
	const struct mr_pack_kernels *pack;
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
