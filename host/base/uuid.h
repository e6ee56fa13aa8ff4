// 16-byte identifiers of topics, and their text form (RFC 4122 §3).
#pragma once

#include "host/base/rand.h"
#include "host/base/span.h"

struct mr_uuid {
	uint8_t b[16];
};

#define MR_UUID_TEXT_BYTES 36

// A random (version 4) UUID.
static inline struct mr_uuid mr_uuid_make(struct mr_rand *r)
{
	struct mr_uuid u;

	mr_rand_bytes(r, u.b, sizeof(u.b));
	u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
	u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
	return u;
}

static inline bool mr_uuid_eq(struct mr_uuid a, struct mr_uuid b)
{
	return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

// Writes 36 characters and a NUL.
void mr_uuid_format(struct mr_uuid u, char out[MR_UUID_TEXT_BYTES + 1]);

// Reads PostgreSQL's accepted forms: hyphens anywhere between groups of four digits or none at all,
// braces around. False when the text is none of them.
bool mr_uuid_parse(struct mr_span text, struct mr_uuid *out);
