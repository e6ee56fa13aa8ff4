// An aggregating query as something that can be kept up: the engine under materialized views.
//
// A fold is the compiled form of SELECT … FROM table | TUMBLE(table, …) | HOP(…) [WHERE …]
// GROUP BY … [HAVING …]. A fold state is a set of groups with mergeable aggregate states. Folding
// rows, merging states in any order and reading the result gives what the query gives over the
// same rows: bit for bit for integers, numerics and sketches, within 1e-12 relative for float sums.
//
// A fold is immutable and shared. A state belongs to one thread at a time; once frozen by its owner
// any number of threads may read it.
#pragma once

#include "host/base/buf.h"
#include "host/sql/env.h"
#include "host/sql/sql.h"

struct mr_fold_state;

// Compiles a query's text. The source relation is looked up (and pinned) through `env`. Fails with
// 0A000 and a hint for what cannot be kept up incrementally (joins, DISTINCT aggregates, ORDER
// BY…).
[[nodiscard]] int mr_fold_compile(
	struct mr_env *env, struct mr_span query, struct mr_fold **out, struct mr_diag *diag);
void mr_fold_destroy(struct mr_fold *f);

const struct mr_relation *mr_fold_source(const struct mr_fold *f);
// The source's columns that mr_fold_rows wants, in its order.
uint32_t mr_fold_source_columns(const struct mr_fold *f, const uint32_t **columns);
// The view's columns.
uint32_t mr_fold_columns(const struct mr_fold *f, const struct mr_result_column **columns);
// A fingerprint of everything that decides what a state means; a saved state of another is refused.
uint64_t mr_fold_fingerprint(const struct mr_fold *f);

// An empty state that may use up to `bytes_max`.
[[nodiscard]] int mr_fold_state_create(
	const struct mr_fold *f, size_t bytes_max, struct mr_fold_state **out);
void mr_fold_state_destroy(struct mr_fold_state *s);
size_t mr_fold_state_bytes(const struct mr_fold_state *s);
size_t mr_fold_state_groups(const struct mr_fold_state *s);

// Folds rows in. 0, or MR_ERR_LIMIT when the state's memory is used up: then the rows before
// `*rows_done` are in, and the caller freezes this state and goes on with a new one. An evaluation
// error of a row (division by zero, overflow) leaves that row out and counts it.
[[nodiscard]] int mr_fold_rows(
	struct mr_fold_state *s, const struct mr_block *rows, uint32_t first, uint32_t *rows_done);
uint64_t mr_fold_state_rows_failed(const struct mr_fold_state *s);
// Rows that are in no window because their time is NULL (or infinite).
uint64_t mr_fold_state_rows_untimed(const struct mr_fold_state *s);

// Merges `src` into `dst`; src is unchanged.
[[nodiscard]] int mr_fold_merge(struct mr_fold_state *dst, const struct mr_fold_state *src);

// ---- Parts: a state cut by the hashes of its groups, so that big ones are written, read and
// merged piece by piece in bounded memory.

#define MR_FOLD_PARTS 256 // by the upper eight bits of a group's hash

// Consecutive parts, both ends included.
struct mr_fold_parts {
	uint8_t first;
	uint8_t last;
};

#define MR_FOLD_ALL ((struct mr_fold_parts){0, MR_FOLD_PARTS - 1})

// The groups of a state that does not change any more, ascending by part. Made in one pass.
struct mr_fold_order;
[[nodiscard]] int mr_fold_order_create(const struct mr_fold_state *s, struct mr_fold_order **out);
void mr_fold_order_destroy(struct mr_fold_order *o); // NULL does nothing
// How many groups the parts have.
uint32_t mr_fold_order_groups(const struct mr_fold_order *o, struct mr_fold_parts parts);

// Where a saving is, and what the last step wrote.
struct mr_fold_saving {
	uint32_t at; // groups saved
	uint32_t groups;
	struct mr_fold_parts parts;
};

// Adds the next groups, in order, to `out` as one saved block: until it has `bytes` or there are no
// more, one at least. Counts of rows left out go with the first block, which has part 0 for that.
// 1: there is more to save; 0: all is saved.
[[nodiscard]] int mr_fold_save(const struct mr_fold_state *s, const struct mr_fold_order *o,
	size_t bytes, struct mr_fold_saving *saving, struct mr_buf *out);
// Merges what a saved block has of the parts into a state. Hostile bytes can only cause
// MR_ERR_CORRUPT.
[[nodiscard]] int mr_fold_load(
	struct mr_fold_state *s, struct mr_span saved, struct mr_fold_parts parts);
// Merges what `src` has of the parts into `dst`; `o` is its order. Goes on behind the first `*done`
// of those groups, takes one at least, and stops where dst has more than `bytes_max`: then 1, with
// `*done` moved on; 0: all are merged.
[[nodiscard]] int mr_fold_merge_parts(struct mr_fold_state *dst, const struct mr_fold_state *src,
	const struct mr_fold_order *o, struct mr_fold_parts parts, uint32_t *done,
	size_t bytes_max);

// The part of the only group that may have what the ranges leave of the view's columns, or -1 when
// they do not give each key one value.
int mr_fold_part_of(
	const struct mr_fold *f, const struct mr_scan_range *ranges, uint32_t ranges_count);

// Without GROUP BY there is one group, whether there are rows or not.
bool mr_fold_is_grouped(const struct mr_fold *f);
// Bytes of a group in memory without what its keys and sketches keep elsewhere.
size_t mr_fold_group_bytes(const struct mr_fold_state *s);
// What a row may add to a state at most, in all its windows, without the bytes of its strings.
size_t mr_fold_row_bytes(const struct mr_fold_state *s);
// Whether groups keep text of rows: as keys, or in aggregates.
bool mr_fold_keeps_text(const struct mr_fold *f);
// Gives back what only folding needs; who folds on takes it again.
void mr_fold_state_trim(struct mr_fold_state *s);

// Reads the view's rows: HAVING and the select list over finished aggregates. `*cursor` starts at 0
// and is opaque. 1: a block (in the arena, valid until it is reset); 0: the end; negative: diag.
[[nodiscard]] int mr_fold_read(const struct mr_fold_state *s, struct mr_query *q, uint64_t *cursor,
	struct mr_block *out, struct mr_diag *diag);
