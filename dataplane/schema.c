// Decode schemas: one allocation of struct, columns, hash slots and names.
#include "dataplane/schema.h"

#include "host/base/hash.h"

#include <errno.h>
#include <stdlib.h>

static bool decodes(struct mr_typeref t)
{
	return t.type != MR_TYPE_NULL && t.type != MR_TYPE_INTERVAL && t.type < MR_TYPE_COUNT;
}

static uint32_t slots_for(uint32_t columns)
{
	uint32_t n = 8;

	while (n < columns * 2)
		n *= 2;
	return n;
}

static int check(const struct mr_schema_column *columns, uint32_t count)
{
	if (count > MR_SCHEMA_COLUMNS_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		if (columns[i].name.bytes == 0 || columns[i].name.bytes > MR_SCHEMA_NAME_MAX ||
			!decodes(columns[i].type))
			return -EINVAL;
	return 0;
}

// The slot of a name, or the empty one where it belongs.
static uint16_t *find_slot(const struct mr_schema *s, uint16_t *slots, struct mr_span name)
{
	uint32_t i = (uint32_t)mr_hash_bytes(name.data, name.bytes) & s->slots_mask;

	while (slots[i] && !mr_span_eq(s->columns[slots[i] - 1].name, name))
		i = (i + 1) & s->slots_mask;
	return &slots[i];
}

// Copies a name in the form a field has: `"name":`. Returns the place behind it.
static uint8_t *put_name(uint8_t *out, struct mr_span name)
{
	*out++ = '"';
	memcpy(out, name.data, name.bytes);
	out += name.bytes;
	*out++ = '"';
	*out++ = ':';
	return out;
}

int mr_schema_create(const struct mr_schema_column *columns, uint32_t columns_count,
	const struct mr_schema **out)
{
	uint32_t slots_count = slots_for(columns_count);
	size_t bytes = sizeof(struct mr_schema) + columns_count * sizeof(*columns) +
		       slots_count * sizeof(uint16_t);
	struct mr_schema_column *copies;
	struct mr_schema *s;
	uint16_t *slots;
	uint8_t *names;

	if (check(columns, columns_count))
		return -EINVAL;
	for (uint32_t i = 0; i < columns_count; i++)
		bytes += columns[i].name.bytes + 3;
	s = calloc(1, bytes);
	if (!s)
		return -ENOMEM;
	copies = (struct mr_schema_column *)(s + 1);
	slots = (uint16_t *)(copies + columns_count);
	names = (uint8_t *)(slots + slots_count);
	*s = (struct mr_schema){columns_count, copies, slots_count - 1, slots};
	for (uint32_t i = 0; i < columns_count; i++) {
		uint16_t *slot;

		copies[i] = columns[i];
		copies[i].name.data = names + 1;
		names = put_name(names, columns[i].name);
		slot = find_slot(s, slots, copies[i].name);
		if (*slot) {
			free(s);
			return -EINVAL;
		}
		*slot = (uint16_t)(i + 1);
	}
	*out = s;
	return 0;
}

void mr_schema_destroy(const struct mr_schema *s)
{
	free((void *)(uintptr_t)s);
}

int mr_schema_find(const struct mr_schema *s, struct mr_span name)
{
	uint32_t i;

	if (name.bytes > MR_SCHEMA_NAME_MAX)
		return -1;
	i = (uint32_t)mr_hash_bytes(name.data, name.bytes) & s->slots_mask;
	for (; s->slots[i]; i = (i + 1) & s->slots_mask)
		if (mr_span_eq(s->columns[s->slots[i] - 1].name, name))
			return s->slots[i] - 1;
	return -1;
}
