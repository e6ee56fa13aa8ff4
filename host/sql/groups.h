// The hash table of GROUP BY, DISTINCT and views: keys to rows of aggregate states.
//
// A group's row is: its hash, its null bits, its key values (8 or 16 bytes each), then the states
// of the aggregates, zeroed when the group is made. Rows never move. Equality is SQL's: NULLs are
// one group, NaN equals NaN, numerics are equal whatever their scales (of which the highest is
// kept, so that what is shown does not depend on the order of rows).
//
// All memory comes from the arena given: reaching its limit is MR_ERR_LIMIT. One thread at a time;
// any number may read while nobody adds.
#pragma once

#include "host/sql/expr.h"

#define MR_GROUP_ALIGN 16

struct mr_groups {
	struct mr_arena *arena;
	uint32_t keys_count;
	struct mr_typeref *keys;
	uint32_t *offsets; // of the keys in a row
	uint32_t state_off;
	uint32_t row_bytes;
	uint32_t count;
	uint8_t **pages;
	uint32_t pages_count;
	uint32_t pages_max;
	uint64_t *index; // upper half of the hash, group number + 1; 0 = free
	uint32_t index_slots;
};

// An empty table; each row gets `state_bytes` behind its keys. 0 or MR_ERR_LIMIT.
[[nodiscard]] int mr_groups_init(struct mr_groups *g, struct mr_arena *arena,
	const struct mr_typeref *keys, uint32_t keys_count, uint32_t state_bytes);

// Finds or makes the groups of the rows (sel, n): numbers[k] is the k-th's. `fresh`, unless NULL,
// is set for those that were made. 0 or MR_ERR_LIMIT.
[[nodiscard]] int mr_groups_put(struct mr_groups *g, struct mr_arena *scratch,
	const struct mr_vec *keys, const uint32_t *sel, uint32_t n, uint32_t *numbers, bool *fresh);

// The same group as in a row of another table with the same keys (strings are copied).
[[nodiscard]] int mr_groups_put_row(struct mr_groups *g, const uint8_t *row, uint8_t **out);

// The hash of keys, each of which has a value.
uint64_t mr_keys_hash(
	const struct mr_typeref *types, const void *const *values, uint32_t keys_count);

// The hash of a row whose null bits and keys are filled in.
uint64_t mr_groups_row_hash(const struct mr_groups *g, const uint8_t *row);

uint8_t *mr_groups_row(const struct mr_groups *g, uint32_t i);

static inline uint64_t mr_groups_hash(const uint8_t *row)
{
	return mr_load_le64(row);
}

bool mr_groups_key_is_null(const struct mr_groups *g, const uint8_t *row, uint32_t key);
static inline const void *mr_groups_key(const struct mr_groups *g, const uint8_t *row, uint32_t key)
{
	return row + g->offsets[key];
}

// The keys of groups first … first + n as a column of `ev`'s arena.
[[nodiscard]] int mr_groups_key_column(const struct mr_groups *g, struct mr_eval *ev, uint32_t key,
	uint32_t first, uint32_t n, struct mr_col *out);

// The hash of one value as keys use it.
uint64_t mr_value_hash(struct mr_typeref t, const void *value);

// Whether bytes from outside are a value of the type that everything else may work on.
bool mr_value_is_sound(struct mr_typeref t, const void *value);
