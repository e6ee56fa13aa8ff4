// Encodings of a column's values within one row block: what is between typed columns and bytes.
//
// A stream of integers is the common form: constant, bit-packed above a base (frame of reference),
// deltas packed the same way, runs, or raw. Everything else is brought to it where that is exact:
// booleans, dates and times are integers, doubles and numerics that are decimals become scaled
// integers (each value is converted back and compared bit for bit before that is chosen), strings
// become codes of the segment's dictionary, or lengths and bytes. The smallest form is taken, by
// its exact size and not by a guess. Bytes: docs/FORMAT.md, "Column blocks".
//
// A null row has no value: it is stored as whatever packs best and comes back as zero, the empty
// string or code 0. A block without nulls has no bitmap.
//
// Hostile bytes can only cause an error, here and in every function that decodes.
#pragma once

#include "host/base/buf.h"
#include "kernels/column.h"

// Readable bytes that must follow encoded input, because eight are loaded at a time.
#define MR_ENCODE_PAD 8

// Rows of a block at most.
#define MR_ENCODE_ROWS_MAX 65536u

// First byte of a stream.
enum mr_encoding {
	MR_ENC_CONST = 1, // integers from here
	MR_ENC_PACKED = 2,
	MR_ENC_DELTA = 3,
	MR_ENC_RUNS = 4,
	MR_ENC_RAW = 5,
	MR_ENC_FIXED_CONST = 16, // values of a fixed size as they are
	MR_ENC_FIXED = 17,
	MR_ENC_DECIMAL = 18, // floats: integers divided by a power of ten
	MR_ENC_SCALED = 19,  // struct mr_dec: coefficients of one scale
	MR_ENC_CODES = 32,   // strings: codes of the segment's dictionary
	MR_ENC_STRINGS = 33, // strings: lengths, then bytes
};

// Working memory of one thread that encodes or decodes.
struct mr_coder {
	int64_t *ints;
	int64_t *runs;    // values of runs, or deltas
	int64_t *lengths; // of runs, or of strings
};

[[nodiscard]] int mr_coder_init(struct mr_coder *c);
void mr_coder_fini(struct mr_coder *c);

// Appends the smallest stream of `count` integers. Uses c->runs and c->lengths.
void mr_ints_encode(struct mr_coder *c, struct mr_buf *out, const int64_t *values, uint32_t count);
// Reads one. 0 or MR_ERR_CORRUPT. `out` may be c->ints.
[[nodiscard]] int mr_ints_decode(
	struct mr_coder *c, struct mr_reader *r, uint32_t count, int64_t *out);

#define MR_BOUND_BYTES 32

// What the directory says of a column block.
struct mr_block_stats {
	uint32_t nulls;
	bool has_bounds; // some value, no NaN, and a type that has them
	bool has_sum;    // integers and numerics that are integers
	// Integers as they are, floats as double; strings cut to their first bytes, the max rounded
	// up; without that being possible there are no bounds.
	union {
		int64_t i;
		double f;
		struct {
			uint8_t bytes;
			uint8_t data[MR_BOUND_BYTES];
		} s;
	} min, max;
	__int128 sum;
};

// Appends the column's bytes. `codes`, of the segment's dictionary, replace a string column's own;
// NULL = plain strings. `out->failed` says that memory was used up.
void mr_column_encode(struct mr_coder *c, const struct mr_col *col, const uint32_t *codes,
	uint32_t rows, struct mr_buf *out, struct mr_block_stats *stats);

// Where a decoded column goes; each with room for `rows` and MR_COL_PAD behind it.
struct mr_column_out {
	void *values;    // of the physical form, for a column without a dictionary
	uint32_t *codes; // for a column with a dictionary
	uint64_t *valid;
};

// Decodes `in`, MR_ENCODE_PAD readable bytes behind it. Strings borrow from `in`. A column with a
// dictionary (dict_count > 0) must hold codes below its count, another must not hold codes. Returns
// the number of nulls (valid is filled when there are any), or MR_ERR_CORRUPT.
[[nodiscard]] int mr_column_decode(struct mr_coder *c, struct mr_span in, enum mr_phys phys,
	uint32_t dict_count, uint32_t rows, const struct mr_column_out *out);
