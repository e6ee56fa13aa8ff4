// Kafka's primitive types, read and written, in their old and their compact ("flexible") forms.
//
// KIP-482: in a flexible version lengths are unsigned varints of n + 1, 0 is null, and every
// structure, array elements included, ends in tagged fields. One struct carries the version, so a
// handler writes each field once for both forms.
//
// Reading is sticky: after a bad field everything reads as zero or empty and `r.bad` is set. A
// field's length is always checked against the bytes there before it is used for anything.
#pragma once

#include "host/base/span.h"
#include "host/base/uuid.h"

// Array elements of one request, all its arrays together: an element of a few bytes can ask for
// hundreds in the answer.
#define MR_KIN_ELEMENTS_MAX (1u << 18)

struct mr_kin {
	struct mr_reader r;
	int16_t version;
	bool flexible;
	uint64_t elements; // of arrays so far
};

static inline int8_t mr_kin_i8(struct mr_kin *in)
{
	return (int8_t)mr_read_u8(&in->r);
}

static inline bool mr_kin_bool(struct mr_kin *in)
{
	return mr_read_u8(&in->r) != 0;
}

static inline int16_t mr_kin_i16(struct mr_kin *in)
{
	return (int16_t)mr_read_be16(&in->r);
}

static inline int32_t mr_kin_i32(struct mr_kin *in)
{
	return (int32_t)mr_read_be32(&in->r);
}

static inline int64_t mr_kin_i64(struct mr_kin *in)
{
	return (int64_t)mr_read_be64(&in->r);
}

struct mr_uuid mr_kin_uuid(struct mr_kin *in);

// Borrowed from the request. Null sets `bad` in the first; in the others it is a span without data.
struct mr_span mr_kin_string(struct mr_kin *in);
struct mr_span mr_kin_nullable_string(struct mr_kin *in);
struct mr_span mr_kin_nullable_bytes(struct mr_kin *in);

// The number of elements that follow, each of at least `element_bytes_min` bytes (in the old form
// without tags), so a count is never larger than the request. Null is bad, or -1 in the second.
int32_t mr_kin_array(struct mr_kin *in, size_t element_bytes_min);
int32_t mr_kin_nullable_array(struct mr_kin *in, size_t element_bytes_min);

// Skips the tagged fields at the end of a structure; nothing in an old version.
void mr_kin_tags(struct mr_kin *in);

// Bytes attached to a response without copying: at most so many, so that with the pieces between
// them they fit into MR_REQUEST_PIECES_MAX. More are copied.
#define MR_KOUT_CUTS_MAX 31
// Attached only when at least this long; a guess at where a piece costs more than its copy.
#define MR_KOUT_CUT_BYTES_MIN 1024

struct mr_kout_cut {
	size_t at; // bytes written before it
	const uint8_t *data;
	size_t bytes;
};

// A response is written into a little memory at first. Where that was too small its bytes have been
// counted, and the same code writes it again into memory of exactly that size.
struct mr_kout {
	struct mr_writer w;
	int16_t version;
	bool flexible;
	bool again; // what is counted in metrics has been
	uint32_t cuts_count;
	struct mr_kout_cut cuts[MR_KOUT_CUTS_MAX];
};

static inline void mr_kout_i8(struct mr_kout *out, int8_t v)
{
	mr_write_u8(&out->w, (uint8_t)v);
}

static inline void mr_kout_bool(struct mr_kout *out, bool v)
{
	mr_write_u8(&out->w, v);
}

static inline void mr_kout_i16(struct mr_kout *out, int16_t v)
{
	mr_write_be16(&out->w, (uint16_t)v);
}

static inline void mr_kout_i32(struct mr_kout *out, int32_t v)
{
	mr_write_be32(&out->w, (uint32_t)v);
}

static inline void mr_kout_i64(struct mr_kout *out, int64_t v)
{
	mr_write_be64(&out->w, (uint64_t)v);
}

static inline void mr_kout_uuid(struct mr_kout *out, struct mr_uuid u)
{
	mr_write_bytes(&out->w, u.b, sizeof(u.b));
}

// A span without data is written as null.
void mr_kout_string(struct mr_kout *out, struct mr_span s);
void mr_kout_text(struct mr_kout *out, const char *s);  // NULL: null
void mr_kout_array(struct mr_kout *out, int32_t count); // -1: null
// A bytes field whose content is attached, not copied, when it is long.
void mr_kout_records(struct mr_kout *out, const uint8_t *data, size_t bytes);
// No tagged fields; nothing in an old version.
void mr_kout_tags(struct mr_kout *out);
