// Decoding: one record's value becomes one row of a chunk, or a dead letter with a reason.
//
// JSON. Columns are filled from the top-level fields of exactly the column's name; of duplicates
// the last counts; unknown fields are checked and ignored; a missing or null field is NULL.
//
//   column           takes
//   boolean          true, false
//   integers         a number without a fraction (1e3 and 5.0 are whole), also in a string
//   real, double     a number, also in a string, and "NaN", "Infinity", "-Infinity"
//   numeric          a number, also in a string; rounded to the scale, half away from zero
//   text             a string; a number, boolean, object or array gives its JSON text
//   uuid             a string in any of PostgreSQL's forms
//   date             a string, ISO 8601; of a timestamp the date is taken
//   timestamp[tz]    a string, ISO 8601 (no zone = UTC), or a number of milliseconds since 1970
//   bytea            a string of `\x` and hexadecimal digits
//
// All else is a dead letter: another type, overflow, NULL for NOT NULL, an empty value, a top level
// that is no object, malformed JSON, invalid UTF-8, \u0000 in a string for a text column, nesting
// deeper than MR_JSON_DEPTH_MAX, a value of more than the decoder's limit.
#pragma once

#include "dataplane/schema.h"
#include "kernels/chunk.h"

struct mr_decoder;

#define MR_DECODE_REASON_BYTES 256

// Why a record did not decode; `text` is for people and goes into millrace.dead_letters.
struct mr_decode_error {
	int column;        // index, or -1 when no column is at fault
	uint32_t position; // byte offset in the value
	char text[MR_DECODE_REASON_BYTES];
};

// A decoder for one schema and one thread; borrows the schema. Values longer than
// `value_bytes_max` (< 4 GiB) are dead letters. All memory is taken here. 0 or -ENOMEM.
[[nodiscard]] int mr_decoder_create(
	const struct mr_schema *schema, size_t value_bytes_max, struct mr_decoder **out);
void mr_decoder_destroy(struct mr_decoder *d);

// Decodes into the chunk's row in the making: the caller calls mr_chunk_row_begin before, then sets
// its own columns (those behind the schema's) and commits.
//
//   0        the schema's columns are set
//   > 0      a dead letter: `error` says why, the caller aborts the row
//   -ENOMEM  the chunk is full: abort the row, open another chunk and decode again
//
// `value.data` NULL is a null value, which is a dead letter too.
[[nodiscard]] int mr_decode_json(struct mr_decoder *d, struct mr_span value, struct mr_chunk *chunk,
	struct mr_decode_error *error);
