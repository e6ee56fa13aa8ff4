// Slices of bytes and bounds-checked readers and writers over them.
//
// A reader has a sticky failure: a read past the end returns zeros and sets `bad`, so a structure
// is read whole and checked once, before any of its lengths is used to allocate or to loop. Hostile
// bytes can do nothing else here.
#pragma once

#include "host/base/def.h"

#include <string.h>

// Borrowed bytes. `data` may be NULL only when `bytes` is 0.
struct mr_span {
	const uint8_t *data;
	size_t bytes;
};

static inline struct mr_span mr_span(const void *data, size_t bytes)
{
	return (struct mr_span){(const uint8_t *)data, bytes};
}

static inline struct mr_span mr_span_str(const char *s)
{
	return mr_span(s, strlen(s));
}

static inline bool mr_span_eq(struct mr_span a, struct mr_span b)
{
	return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static inline int mr_span_cmp(struct mr_span a, struct mr_span b)
{
	size_t n = MR_MIN(a.bytes, b.bytes);
	int c = n ? memcmp(a.data, b.data, n) : 0;

	return c ? c : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

struct mr_reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline struct mr_reader mr_reader(struct mr_span s)
{
	// NULL + 0 is undefined in C.
	return (struct mr_reader){s.data, s.bytes ? s.data + s.bytes : s.data, false};
}

static inline size_t mr_read_left(const struct mr_reader *r)
{
	return (size_t)(r->end - r->at);
}

// The next `bytes` bytes, or NULL with `bad` set.
static inline const uint8_t *mr_read_bytes(struct mr_reader *r, size_t bytes)
{
	const uint8_t *p = r->at;

	if (MR_UNLIKELY(r->bad || mr_read_left(r) < bytes)) {
		r->bad = true;
		return NULL;
	}
	r->at += bytes;
	return p;
}

static inline struct mr_span mr_read_span(struct mr_reader *r, size_t bytes)
{
	const uint8_t *p = mr_read_bytes(r, bytes);

	return p ? mr_span(p, bytes) : (struct mr_span){NULL, 0};
}

static inline uint8_t mr_load_u8(const void *p)
{
	return *(const uint8_t *)p;
}

#define MR_SPAN_TYPE(bits)                                                   \
	static inline uint##bits##_t mr_load_be##bits(const void *p)         \
	{                                                                    \
		uint##bits##_t v;                                            \
		memcpy(&v, p, sizeof(v));                                    \
		return __builtin_bswap##bits(v);                             \
	}                                                                    \
	static inline uint##bits##_t mr_load_le##bits(const void *p)         \
	{                                                                    \
		uint##bits##_t v;                                            \
		memcpy(&v, p, sizeof(v));                                    \
		return v;                                                    \
	}                                                                    \
	static inline void mr_store_be##bits(void *p, uint##bits##_t v)      \
	{                                                                    \
		v = __builtin_bswap##bits(v);                                \
		memcpy(p, &v, sizeof(v));                                    \
	}                                                                    \
	static inline void mr_store_le##bits(void *p, uint##bits##_t v)      \
	{                                                                    \
		memcpy(p, &v, sizeof(v));                                    \
	}                                                                    \
	static inline uint##bits##_t mr_read_be##bits(struct mr_reader *r)   \
	{                                                                    \
		const uint8_t *p = mr_read_bytes(r, sizeof(uint##bits##_t)); \
		return p ? mr_load_be##bits(p) : 0;                          \
	}                                                                    \
	static inline uint##bits##_t mr_read_le##bits(struct mr_reader *r)   \
	{                                                                    \
		const uint8_t *p = mr_read_bytes(r, sizeof(uint##bits##_t)); \
		return p ? mr_load_le##bits(p) : 0;                          \
	}

// Little-endian hosts only; x86-64 and aarch64 are what we build for.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

MR_SPAN_TYPE(16)
MR_SPAN_TYPE(32)
MR_SPAN_TYPE(64)

static inline uint8_t mr_read_u8(struct mr_reader *r)
{
	const uint8_t *p = mr_read_bytes(r, 1);

	return p ? *p : 0;
}

// LEB128 as in protobuf and Kafka: at most 5 or 10 bytes, sets `bad` on more.
uint32_t mr_read_uvarint32(struct mr_reader *r);
uint64_t mr_read_uvarint64(struct mr_reader *r);

static inline int64_t mr_zigzag_decode(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static inline uint64_t mr_zigzag_encode(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

// Kafka's varint and varlong: zigzag over LEB128.
static inline int32_t mr_read_varint(struct mr_reader *r)
{
	return (int32_t)mr_zigzag_decode(mr_read_uvarint32(r));
}

static inline int64_t mr_read_varlong(struct mr_reader *r)
{
	return mr_zigzag_decode(mr_read_uvarint64(r));
}

// Writes into memory of a fixed size; writing past the end sets `bad` and writes nothing more.
// `at` goes on counting, so `at` is the size that would have been needed.
struct mr_writer {
	uint8_t *data;
	size_t bytes_max;
	size_t at;
	bool bad;
};

static inline struct mr_writer mr_writer(void *data, size_t bytes_max)
{
	return (struct mr_writer){(uint8_t *)data, bytes_max, 0, false};
}

// Reserves `bytes` and returns where they go, or NULL when there is no room.
static inline uint8_t *mr_write_reserve(struct mr_writer *w, size_t bytes)
{
	uint8_t *p = w->data + w->at;

	if (MR_UNLIKELY(w->bad || w->bytes_max - w->at < bytes)) {
		w->bad = true;
		w->at += bytes;
		return NULL;
	}
	w->at += bytes;
	return p;
}

static inline void mr_write_bytes(struct mr_writer *w, const void *data, size_t bytes)
{
	uint8_t *p = mr_write_reserve(w, bytes);

	if (p && bytes)
		memcpy(p, data, bytes);
}

static inline void mr_write_span(struct mr_writer *w, struct mr_span s)
{
	mr_write_bytes(w, s.data, s.bytes);
}

static inline void mr_write_zeros(struct mr_writer *w, size_t bytes)
{
	uint8_t *p = mr_write_reserve(w, bytes);

	if (p)
		memset(p, 0, bytes);
}

static inline void mr_write_u8(struct mr_writer *w, uint8_t v)
{
	mr_write_bytes(w, &v, 1);
}

#define MR_WRITE_TYPE(bits)                                                         \
	static inline void mr_write_be##bits(struct mr_writer *w, uint##bits##_t v) \
	{                                                                           \
		uint8_t *p = mr_write_reserve(w, sizeof(v));                        \
		if (p)                                                              \
			mr_store_be##bits(p, v);                                    \
	}                                                                           \
	static inline void mr_write_le##bits(struct mr_writer *w, uint##bits##_t v) \
	{                                                                           \
		uint8_t *p = mr_write_reserve(w, sizeof(v));                        \
		if (p)                                                              \
			mr_store_le##bits(p, v);                                    \
	}

MR_WRITE_TYPE(16)
MR_WRITE_TYPE(32)
MR_WRITE_TYPE(64)

void mr_write_uvarint(struct mr_writer *w, uint64_t v);

static inline void mr_write_varlong(struct mr_writer *w, int64_t v)
{
	mr_write_uvarint(w, mr_zigzag_encode(v));
}
