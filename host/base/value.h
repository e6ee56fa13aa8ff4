// Values and text: PostgreSQL's text and binary forms of every type, and what it calls them.
//
// A value is passed by a pointer to its physical form (type.h): uint8_t, int32_t, struct mr_dec,
// struct mr_str and so on.
#pragma once

#include "host/base/arena.h"
#include "host/base/buf.h"
#include "host/base/datetime.h"
#include "host/base/dec.h"
#include "host/base/err.h"
#include "host/base/tz.h"
#include "host/base/uuid.h"

// Any value in its physical form.
union mr_value {
	uint8_t u8;
	int16_t i16;
	int32_t i32;
	int64_t i64;
	float f32;
	double f64;
	struct mr_dec dec;
	struct mr_uuid uuid;
	struct mr_str str;
	struct mr_interval interval;
};

// How PostgreSQL knows a type.
struct mr_type_info {
	const char *name; // as format_type and error messages say it: "timestamp with time zone"
	const char *udt;  // pg_type.typname: "timestamptz"
	uint32_t oid;
	uint32_t array_oid;
	int16_t bytes; // pg_type.typlen; -1 = of varying length
	char category; // pg_type.typcategory
};

const struct mr_type_info *mr_type_info(enum mr_type type);
// By any name the grammar knows ("int", "int4", "timestamptz", "double precision", "varchar"), in
// any case, one space between words; without modifiers. MR_TYPE_COUNT when there is none.
enum mr_type mr_type_by_name(struct mr_span name);
// MR_TYPE_TEXT for the OIDs of varchar, bpchar, name and unknown; MR_TYPE_COUNT when not known.
enum mr_type mr_type_by_oid(uint32_t oid);
// "numeric(12,2)", "bigint". `out` gets at most 40 bytes, NUL included.
size_t mr_typeref_format(struct mr_typeref t, char out[40]);
// PostgreSQL's typmod of it: -1 = none.
int32_t mr_typeref_typmod(struct mr_typeref t);

// Appends PostgreSQL's text of a value. `tz` (NULL = UTC) matters to timestamptz only.
void mr_value_format(
	struct mr_typeref t, const void *value, const struct mr_tz *tz, struct mr_buf *out);

// Reads a value from PostgreSQL's input text. Numerics are fitted to precision and scale. A string
// result borrows `text`, or the arena where it must differ (bytea). `env` may be NULL: UTC, and
// now = 0. 0, or negative with `diag` (may be NULL) saying it in PostgreSQL's words.
[[nodiscard]] int mr_value_parse(struct mr_typeref t, struct mr_span text,
	const struct mr_datetime_env *env, struct mr_arena *arena, union mr_value *out,
	struct mr_diag *diag);

// Appends PostgreSQL's binary form, without its length word.
void mr_value_format_binary(struct mr_typeref t, const void *value, struct mr_buf *out);
// Reads one. Hostile bytes can only cause an error (22P03, 22021, 22003). Strings borrow.
[[nodiscard]] int mr_value_parse_binary(
	struct mr_typeref t, struct mr_span bytes, union mr_value *out, struct mr_diag *diag);

// A numeric of any physical form as a struct mr_dec, and back: -ERANGE when it does not fit.
struct mr_dec mr_value_to_dec(struct mr_typeref t, const void *value);
[[nodiscard]] int mr_value_from_dec(struct mr_typeref t, struct mr_dec d, void *out);
