// Rows kept in memory one by one: for sorting and for the build side of joins.
//
// A row is its null bits, then 16 bytes for each column. Strings are copied.
#pragma once

#include "host/sql/exec.h"

struct mr_rowset {
	uint32_t columns_count;
	uint32_t copied_count; // the first columns: of a batch; the owner writes the others
	uint32_t nulls_bytes;
	uint32_t row_bytes;
	uint8_t **rows;
	uint32_t count;
	uint32_t max;
};

void mr_rowset_init(struct mr_rowset *r, uint32_t columns_count);
// A copy of one row of a batch in `arena`, or NULL at its limit.
uint8_t *mr_rowset_copy(const struct mr_rowset *r, struct mr_arena *arena,
	const struct mr_col *columns, uint32_t row);
// A copy of such a row, or NULL at the limit.
uint8_t *mr_rowset_clone(const struct mr_rowset *r, struct mr_arena *arena,
	const struct mr_plan_column *columns, const uint8_t *row);
// Appends to `rows`. 0 or MR_ERR_LIMIT.
[[nodiscard]] int mr_rowset_add(struct mr_rowset *r, struct mr_arena *arena, uint8_t *row);
// Orders the rows. Stops early, in any order, when the run is to end: 0, or negative with diag.
[[nodiscard]] int mr_rowset_sort(struct mr_rowset *r, struct mr_run *run,
	const struct mr_plan_sort *sorts, uint32_t sorts_count,
	const struct mr_plan_column *columns);
// As ORDER BY does; equal rows, NULLs among them, give 0.
int mr_rowset_compare(const struct mr_rowset *r, const struct mr_plan_sort *sorts,
	uint32_t sorts_count, const struct mr_plan_column *columns, const uint8_t *a,
	const uint8_t *b);
// The values of a column of rows[0..n) as a column; a NULL row gives NULLs.
[[nodiscard]] int mr_rowset_column(const struct mr_rowset *r, struct mr_eval *ev,
	struct mr_typeref t, uint32_t column, uint8_t *const *rows, uint32_t n, struct mr_col *out);

static inline bool mr_rowset_is_null(const uint8_t *row, uint32_t column)
{
	return row[column / 8] >> (column % 8) & 1;
}

static inline const void *mr_rowset_at(
	const struct mr_rowset *r, const uint8_t *row, uint32_t column)
{
	return row + r->nulls_bytes + (size_t)column * 16;
}
