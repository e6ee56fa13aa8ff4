// What a topic's records decode into: the names and types of a table's visible columns.
//
// Immutable after creation and shared by all workers; the catalog's snapshot owns it.
#pragma once

#include "host/base/type.h"

#define MR_SCHEMA_COLUMNS_MAX 1600 // PostgreSQL's limit
#define MR_SCHEMA_NAME_MAX    63   // bytes, as PostgreSQL's identifiers

struct mr_schema_column {
	struct mr_span name; // in a schema it stands as JSON has it: `"name":`
	struct mr_typeref type;
	bool not_null;
};

struct mr_schema {
	uint32_t columns_count;
	const struct mr_schema_column *columns;
	uint32_t slots_mask;   // open addressing over mr_hash_bytes of the names
	const uint16_t *slots; // column + 1; 0 = empty
};

// Copies everything into one allocation. -EINVAL: too many columns, a name that is empty, too long
// or there twice, or a type that no record decodes into; -ENOMEM.
[[nodiscard]] int mr_schema_create(const struct mr_schema_column *columns, uint32_t columns_count,
	const struct mr_schema **out);
void mr_schema_destroy(const struct mr_schema *s);

// The column of that name, or -1.
int mr_schema_find(const struct mr_schema *s, struct mr_span name);
