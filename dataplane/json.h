// JSON (RFC 8259), read in place: where the values of one object's fields are.
//
// mr_json_read walks one document and says where the value of each wanted field lies, without
// copying, converting or allocating. Everything is checked, also what nobody asked for: grammar,
// UTF-8, escapes, nesting, nothing but white space behind the object. Hostile bytes can only cause
// an error. Nothing behind the document's last byte is read.
#pragma once

#include "dataplane/schema.h"

#define MR_JSON_DEPTH_MAX 64 // nesting of objects and arrays, the top level counted

enum mr_json_kind {
	MR_JSON_ABSENT,
	MR_JSON_NULL,
	MR_JSON_FALSE,
	MR_JSON_TRUE,
	MR_JSON_NUMBER,
	MR_JSON_STRING,
	MR_JSON_OBJECT,
	MR_JSON_ARRAY,
};

// A value in place. Borrows the document.
struct mr_json_value {
	const uint8_t *at; // of a string: behind the opening quote
	uint32_t bytes;    // of a string: up to the closing quote
	uint8_t kind;      // enum mr_json_kind
	bool escaped;      // a string with escapes in it
	bool is_short;     // a number of at most 18 digits, no exponent: mantissa * 10^-scale
	uint8_t scale;
	int64_t mantissa;
};

static_assert(sizeof(struct mr_json_value) == 24);

enum mr_json_error {
	MR_JSON_OK,
	MR_JSON_NOT_OBJECT,
	MR_JSON_MALFORMED,
	MR_JSON_ENDS_EARLY,
	MR_JSON_TRAILING,
	MR_JSON_BAD_UTF8,
	MR_JSON_BAD_ESCAPE,
	MR_JSON_CONTROL,
	MR_JSON_TOO_DEEP,
};

// What the n-th field was last time.
struct mr_json_guess {
	const uint8_t *key; // `"name":`, the schema's
	uint16_t key_bytes; // 0 = no field of ours
	int16_t column;
};

static_assert(sizeof(struct mr_json_guess) == 16);

// Reads documents of one schema, one after another. The order of the last document's fields is
// kept, for the next one most likely has the same. One thread.
struct mr_json {
	const struct mr_schema *schema;
	struct mr_json_value *values; // one per column; filled by mr_json_read
	struct mr_json_guess *order;  // of the n-th field
	uint32_t order_count;
	uint32_t error_at; // byte offset of the error
};

// `values` and `order` have room for columns_count and MR_JSON_ORDER_MAX items.
#define MR_JSON_ORDER_MAX 256
void mr_json_init(struct mr_json *j, const struct mr_schema *schema, struct mr_json_value *values,
	struct mr_json_guess *order);

// Fills `j->values`: of duplicate names the last counts, and a column without a field is
// MR_JSON_ABSENT. A document has less than 4 GiB.
[[nodiscard]] enum mr_json_error mr_json_read(struct mr_json *j, struct mr_span document);

// Writes a string's bytes without its escapes and returns how many; `out` has room for the value's
// `bytes`. Lone surrogates are refused by the reader, so this cannot fail. `*has_nul` tells of a
// \u0000.
size_t mr_json_unescape(const struct mr_json_value *v, uint8_t *out, bool *has_nul);

const char *mr_json_error_text(enum mr_json_error e);
