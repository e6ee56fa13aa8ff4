// Rows kept in memory one by one, and their sorting.
#include "host/sql/rowset.h"

#include <stdlib.h>
#include <string.h>

void mr_rowset_init(struct mr_rowset *r, uint32_t columns_count)
{
	*r = (struct mr_rowset){.columns_count = columns_count, .copied_count = columns_count};
	r->nulls_bytes = (uint32_t)mr_round_up((columns_count + 7) / 8, 16);
	r->row_bytes = r->nulls_bytes + columns_count * 16;
}

static bool copy_string(struct mr_arena *arena, void *at)
{
	struct mr_str s;

	memcpy(&s, at, sizeof(s));
	s.data = mr_arena_copy(arena, mr_span(s.data, s.bytes)).data;
	memcpy(at, &s, sizeof(s));
	return s.data != NULL;
}

uint8_t *mr_rowset_copy(const struct mr_rowset *r, struct mr_arena *arena,
	const struct mr_col *columns, uint32_t row)
{
	uint8_t *to = mr_arena_zalloc(arena, 1, r->row_bytes);

	for (uint32_t c = 0; to && c < r->copied_count; c++) {
		struct mr_vec v = {.col = columns[c]};
		uint8_t *at = to + r->nulls_bytes + (size_t)c * 16;

		if (mr_vec_is_null(&v, row)) {
			to[c / 8] |= (uint8_t)(1u << (c % 8));
			continue;
		}
		memcpy(at, mr_vec_at(&v, row), mr_phys_bytes((enum mr_phys)v.col.phys));
		if (v.col.phys == MR_PHYS_BYTES && !copy_string(arena, at))
			return NULL;
	}
	return to;
}

uint8_t *mr_rowset_clone(const struct mr_rowset *r, struct mr_arena *arena,
	const struct mr_plan_column *columns, const uint8_t *row)
{
	uint8_t *to = mr_arena_alloc(arena, r->row_bytes);

	if (!to)
		return NULL;
	memcpy(to, row, r->row_bytes);
	for (uint32_t c = 0; c < r->columns_count; c++)
		if (mr_type_phys(columns[c].type) == MR_PHYS_BYTES && !mr_rowset_is_null(row, c) &&
			!copy_string(arena, to + r->nulls_bytes + (size_t)c * 16))
			return NULL;
	return to;
}

int mr_rowset_add(struct mr_rowset *r, struct mr_arena *arena, uint8_t *row)
{
	if (r->count == r->max) {
		uint32_t max = MR_MAX(2 * r->max, 1024u);
		uint8_t **rows = mr_arena_alloc(arena, max * sizeof(*rows));

		if (!rows || max < r->max)
			return MR_ERR_LIMIT;
		if (r->count)
			memcpy(rows, r->rows, r->count * sizeof(*rows));
		r->rows = rows;
		r->max = max;
	}
	r->rows[r->count++] = row;
	return 0;
}

int mr_rowset_column(const struct mr_rowset *r, struct mr_eval *ev, struct mr_typeref t,
	uint32_t column, uint8_t *const *rows, uint32_t n, struct mr_col *out)
{
	size_t width = mr_phys_bytes(mr_type_phys(t));
	uint8_t *values = mr_arena_column(ev->arena, n * width);
	uint64_t *valid = mr_arena_column(ev->arena, (size_t)(n + 63) / 64 * 8);

	if (!values || !valid)
		return mr_eval_no_memory(ev);
	memset(valid, 0xff, (size_t)(n + 63) / 64 * 8);
	for (uint32_t k = 0; k < n; k++) {
		if (!rows[k] || mr_rowset_is_null(rows[k], column)) {
			memset(values + k * width, 0, width);
			mr_bit_clear(valid, k);
			continue;
		}
		memcpy(values + k * width, mr_rowset_at(r, rows[k], column), width);
	}
	*out = (struct mr_col){
		.type = t, .phys = (uint8_t)mr_type_phys(t), .values = values, .valid = valid};
	return 0;
}

// ---- Sorting ----

// How many comparisons of a sort go by between two looks at whether the run is to end.
enum { COMPARES_PER_POLL = 8192 };

struct order {
	const struct mr_rowset *rows;
	struct mr_run *run;
	const struct mr_plan_sort *sorts;
	uint32_t sorts_count;
	const struct mr_plan_column *columns;
	uint32_t compares;
	int rc;
};

int mr_rowset_compare(const struct mr_rowset *r, const struct mr_plan_sort *sorts,
	uint32_t sorts_count, const struct mr_plan_column *columns, const uint8_t *a,
	const uint8_t *b)
{
	for (uint32_t i = 0; i < sorts_count; i++) {
		const struct mr_plan_sort *s = &sorts[i];
		bool x = mr_rowset_is_null(a, s->column), y = mr_rowset_is_null(b, s->column);
		int c;

		if (x || y) {
			if (x && y)
				continue;
			return x == s->nulls_first ? -1 : 1;
		}
		c = mr_value_cmp(columns[s->column].type, mr_rowset_at(r, a, s->column),
			mr_rowset_at(r, b, s->column));
		if (c)
			return s->desc ? -c : c;
	}
	return 0;
}

// Once the run is to end all rows are equal: so a sort cannot be left, but is soon over.
static int compare(const void *a, const void *b, void *order)
{
	struct order *o = order;

	if (++o->compares % COMPARES_PER_POLL == 0 && o->rc == 0)
		o->rc = mr_run_poll(o->run);
	if (o->rc < 0)
		return 0;
	return mr_rowset_compare(o->rows, o->sorts, o->sorts_count, o->columns,
		*(const uint8_t *const *)a, *(const uint8_t *const *)b);
}

int mr_rowset_sort(struct mr_rowset *r, struct mr_run *run, const struct mr_plan_sort *sorts,
	uint32_t sorts_count, const struct mr_plan_column *columns)
{
	struct order o = {r, run, sorts, sorts_count, columns, 0, 0};

	if (r->count && sorts_count)
		qsort_r(r->rows, r->count, sizeof(*r->rows), compare, &o);
	return o.rc;
}
