// A slow, obvious JSON decoder: the oracle of dataplane/decode.c.
//
// One byte at a time, recursive, everything copied, every value kept as PostgreSQL's text. Shares
// with the real decoder only the schema, the general date parser and number formatting, which have
// tests of their own.
#pragma once

#include "dataplane/schema.h"
#include "host/base/arena.h"

struct mr_json_ref {
	bool accepted;
	const char *why;       // not accepted
	struct mr_span *texts; // per column; data NULL = null
};

// All memory comes from the arena.
void mr_json_ref_decode(const struct mr_schema *schema, struct mr_span value,
	struct mr_arena *arena, struct mr_json_ref *out);
