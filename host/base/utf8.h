// UTF-8: validation, and encoding of one code point (RFC 3629: no surrogates, no overlong forms,
// nothing above U+10FFFF).
#pragma once

#include "host/base/span.h"

// The offset of the first byte that does not belong to valid UTF-8, or `text.bytes` when all do.
size_t mr_utf8_valid_bytes(struct mr_span text);

static inline bool mr_utf8_is_valid(struct mr_span text)
{
	return mr_utf8_valid_bytes(text) == text.bytes;
}

// Bytes of the valid sequence at `p`, which starts with a byte >= 0x80 and has `left` bytes; 0 when
// it is not valid.
size_t mr_utf8_sequence_bytes(const uint8_t *p, size_t left);

// Code points in valid UTF-8.
size_t mr_utf8_count(struct mr_span text);

// Writes a code point (a scalar value) and returns its bytes, 1 to 4.
size_t mr_utf8_encode(uint32_t code_point, uint8_t out[4]);

// Bytes of the character that starts with `first`, in valid UTF-8.
static inline size_t mr_utf8_bytes(uint8_t first)
{
	return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
