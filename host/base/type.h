// SQL types, as columns, decoders, segments and expressions all know them.
//
// One physical form per type:
//   boolean               uint8_t 0 or 1
//   smallint              int16_t
//   integer, date         int32_t         date: days since 1970-01-01
//   bigint                int64_t
//   timestamp(tz)         int64_t         microseconds since 1970-01-01 (UTC)
//   real                  float
//   double precision      double
//   numeric(p, s), p<=18  int64_t         value times 10^s
//   numeric otherwise     struct mr_dec   (dec.h): coefficient and scale, 35 digits
//   uuid                  16 bytes, as in RFC 4122
//   text, bytea           bytes; text is valid UTF-8
//   interval              struct mr_interval (expressions only, never a table's column)
#pragma once

#include "host/base/span.h"

enum mr_type {
	MR_TYPE_NULL, // the type of a bare NULL
	MR_TYPE_BOOL,
	MR_TYPE_INT2,
	MR_TYPE_INT4,
	MR_TYPE_INT8,
	MR_TYPE_FLOAT4,
	MR_TYPE_FLOAT8,
	MR_TYPE_NUMERIC,
	MR_TYPE_TEXT,
	MR_TYPE_UUID,
	MR_TYPE_DATE,
	MR_TYPE_TIMESTAMP,
	MR_TYPE_TIMESTAMPTZ,
	MR_TYPE_BYTEA,
	MR_TYPE_INTERVAL,
	MR_TYPE_COUNT,
};

// How a value lies in memory.
enum mr_phys {
	MR_PHYS_U8,
	MR_PHYS_I16,
	MR_PHYS_I32,
	MR_PHYS_I64,
	MR_PHYS_F32,
	MR_PHYS_F64,
	MR_PHYS_DEC,   // struct mr_dec, 16 bytes
	MR_PHYS_B16,   // 16 raw bytes
	MR_PHYS_BYTES, // struct mr_str, or dictionary codes
	MR_PHYS_INTERVAL,
};

#define MR_NUMERIC_PRECISION_MAX 35
#define MR_NUMERIC_I64_PRECISION 18

// A type with its modifiers. Numeric: precision 0 means bare numeric, any scale.
struct mr_typeref {
	uint8_t type; // enum mr_type
	uint8_t precision;
	uint8_t scale;
};

// A string value: borrowed bytes.
struct mr_str {
	const uint8_t *data;
	uint32_t bytes;
	uint32_t unused;
};

static_assert(sizeof(struct mr_str) == 16);

// PostgreSQL's interval: three independent parts.
struct mr_interval {
	int64_t us;
	int32_t days;
	int32_t months;
};

static_assert(sizeof(struct mr_interval) == 16);

static inline enum mr_phys mr_type_phys(struct mr_typeref t)
{
	switch ((enum mr_type)t.type) {
	case MR_TYPE_NULL:
	case MR_TYPE_BOOL: return MR_PHYS_U8;
	case MR_TYPE_INT2: return MR_PHYS_I16;
	case MR_TYPE_INT4:
	case MR_TYPE_DATE: return MR_PHYS_I32;
	case MR_TYPE_INT8:
	case MR_TYPE_TIMESTAMP:
	case MR_TYPE_TIMESTAMPTZ: return MR_PHYS_I64;
	case MR_TYPE_FLOAT4: return MR_PHYS_F32;
	case MR_TYPE_FLOAT8: return MR_PHYS_F64;
	case MR_TYPE_NUMERIC:
		return t.precision && t.precision <= MR_NUMERIC_I64_PRECISION ? MR_PHYS_I64
									      : MR_PHYS_DEC;
	case MR_TYPE_UUID: return MR_PHYS_B16;
	case MR_TYPE_TEXT:
	case MR_TYPE_BYTEA: return MR_PHYS_BYTES;
	case MR_TYPE_INTERVAL: return MR_PHYS_INTERVAL;
	case MR_TYPE_COUNT: break;
	}
	mr_assert_fail(__FILE__, __LINE__, "type is known");
}

// Bytes of one value in memory.
static inline size_t mr_phys_bytes(enum mr_phys p)
{
	static const uint8_t bytes[] = {1, 2, 4, 8, 4, 8, 16, 16, 16, 16};

	return bytes[p];
}
