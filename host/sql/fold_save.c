// Fold states as bytes, and reading views.
//
// Layout, little endian: "mrfs", u16 version, u16 zero, u64 fingerprint, u64 rows failed, u64 rows
// untimed (both only in a state's first block), u32 groups; then each group: u32 bytes that follow,
// u64 null bits, the keys that are not null (fixed width, or u32 bytes and the bytes), the
// aggregates' states as their `save` writes them; at the end u64 XXH3 of everything before. Groups
// ascend by part, so a reader of few parts passes over the others by their length.
#include "host/sql/fold_int.h"

#include "host/base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x7366726du

enum { VERSION = 2, HEAD_BYTES = 36, SUM_BYTES = 8, PART_SHIFT = 56 };

// ---- Order ----

struct mr_fold_order {
	uint32_t starts[MR_FOLD_PARTS + 1];
	uint32_t numbers[];
};

static uint32_t part_of(const struct mr_groups *g, uint32_t group)
{
	return (uint32_t)(mr_groups_hash(mr_groups_row(g, group)) >> PART_SHIFT);
}

int mr_fold_order_create(const struct mr_fold_state *s, struct mr_fold_order **out)
{
	const struct mr_groups *g = &s->core.groups;
	struct mr_fold_order *o = malloc(sizeof(*o) + (size_t)g->count * sizeof(uint32_t));
	uint32_t next[MR_FOLD_PARTS];

	if (!o)
		return -ENOMEM;
	memset(o->starts, 0, sizeof(o->starts));
	for (uint32_t i = 0; i < g->count; i++)
		o->starts[part_of(g, i) + 1]++;
	for (uint32_t p = 0; p < MR_FOLD_PARTS; p++) {
		o->starts[p + 1] += o->starts[p];
		next[p] = o->starts[p];
	}
	for (uint32_t i = 0; i < g->count; i++)
		o->numbers[next[part_of(g, i)]++] = i;
	*out = o;
	return 0;
}

void mr_fold_order_destroy(struct mr_fold_order *o)
{
	free(o);
}

uint32_t mr_fold_order_groups(const struct mr_fold_order *o, struct mr_fold_parts parts)
{
	return o->starts[parts.last + 1] - o->starts[parts.first];
}

// The value that the ranges leave for a key, where it is a column of the view, or NULL.
static const void *key_value(const struct mr_fold *f, uint32_t key,
	const struct mr_scan_range *ranges, uint32_t ranges_count)
{
	for (uint32_t i = 0; i < ranges_count; i++) {
		const struct mr_scan_range *r = &ranges[i];
		const struct mr_expr *column = f->project->exprs[r->column];

		if (column->kind == MR_EXPR_COLUMN && column->index == key && r->low && r->high &&
			mr_value_cmp(column->type, r->low, r->high) == 0)
			return r->low;
	}
	return NULL;
}

int mr_fold_part_of(
	const struct mr_fold *f, const struct mr_scan_range *ranges, uint32_t ranges_count)
{
	struct mr_typeref types[64];
	const void *values[64];

	for (uint32_t k = 0; k < f->agg->exprs_count; k++) {
		types[k] = f->agg->exprs[k]->type;
		values[k] = key_value(f, k, ranges, ranges_count);
		if (!values[k])
			return -1;
	}
	return f->agg->exprs_count
		       ? (int)(mr_keys_hash(types, values, f->agg->exprs_count) >> PART_SHIFT)
		       : -1;
}

int mr_fold_merge_parts(struct mr_fold_state *dst, const struct mr_fold_state *src,
	const struct mr_fold_order *o, struct mr_fold_parts parts, uint32_t *done, size_t bytes_max)
{
	uint32_t first = o->starts[parts.first], count = o->starts[parts.last + 1] - first;

	MR_ASSERT(dst->fold->fingerprint == src->fold->fingerprint);
	if (parts.first == 0 && *done == 0) {
		dst->rows_failed += src->rows_failed;
		dst->rows_untimed += src->rows_untimed;
	}
	while (*done < count) {
		int rc = mr_agg_core_merge_group(&dst->core, &src->core, o->numbers[first + *done]);

		if (rc < 0)
			return rc == MR_ERR_LIMIT ? -ENOMEM : rc;
		++*done;
		if (mr_fold_state_bytes(dst) > bytes_max)
			return *done < count;
	}
	return 0;
}

// ---- Saving ----

static void save_group(const struct mr_fold_state *s, uint8_t *row, struct mr_buf *out)
{
	const struct mr_groups *g = &s->core.groups;

	mr_buf_le64(out, mr_load_le64(row + 8));
	for (uint32_t k = 0; k < g->keys_count; k++) {
		enum mr_phys phys = mr_type_phys(g->keys[k]);
		const struct mr_str *str = mr_groups_key(g, row, k);

		if (mr_groups_key_is_null(g, row, k))
			continue;
		if (phys == MR_PHYS_BYTES) {
			mr_buf_le32(out, str->bytes);
			mr_buf_add(out, str->data, str->bytes);
		} else {
			mr_buf_add(out, str, mr_phys_bytes(phys));
		}
	}
	for (uint32_t i = 0; i < s->fold->agg->calls_count; i++) {
		const struct mr_agg_run *x = &s->core.runs[i];

		x->call->fn->save(x, mr_agg_state(x, row), out);
	}
}

int mr_fold_save(const struct mr_fold_state *s, const struct mr_fold_order *o, size_t bytes,
	struct mr_fold_saving *saving, struct mr_buf *out)
{
	const struct mr_groups *g = &s->core.groups;
	uint32_t from = saving->at, at = from;
	size_t start = out->bytes;
	bool first = from == 0;

	mr_buf_le32(out, MAGIC);
	mr_buf_le16(out, VERSION);
	mr_buf_le16(out, 0);
	mr_buf_le64(out, s->fold->fingerprint);
	mr_buf_le64(out, first ? s->rows_failed : 0);
	mr_buf_le64(out, first ? s->rows_untimed : 0);
	mr_buf_le32(out, 0);
	while (at < g->count && !out->failed && (at == from || out->bytes - start < bytes)) {
		size_t group_at = out->bytes;

		mr_buf_le32(out, 0);
		save_group(s, mr_groups_row(g, o->numbers[at++]), out);
		if (!out->failed)
			mr_store_le32(out->data + group_at, (uint32_t)(out->bytes - group_at - 4));
	}
	if (out->failed)
		return -ENOMEM;
	saving->groups = at - from;
	saving->parts.first = first ? 0 : (uint8_t)part_of(g, o->numbers[from]);
	saving->parts.last = at > from ? (uint8_t)part_of(g, o->numbers[at - 1]) : 0;
	saving->at = at;
	mr_store_le32(out->data + start + HEAD_BYTES - 4, saving->groups);
	mr_buf_le64(out, mr_checksum(out->data + start, out->bytes - start));
	return out->failed ? -ENOMEM : at < g->count;
}

// ---- Loading ----

static int load_key(struct mr_groups *g, uint8_t *row, uint32_t k, struct mr_reader *in)
{
	enum mr_phys phys = mr_type_phys(g->keys[k]);
	size_t width = mr_phys_bytes(phys);
	struct mr_str str = {0};
	const uint8_t *p;

	if (phys == MR_PHYS_BYTES) {
		str.bytes = mr_read_le32(in);
		str.data = mr_read_bytes(in, str.bytes);
		p = str.data ? (const uint8_t *)&str : NULL;
	} else {
		p = mr_read_bytes(in, width);
	}
	if (!p)
		return MR_ERR_CORRUPT;
	memcpy(row + g->offsets[k], p, width);
	return mr_value_is_sound(g->keys[k], row + g->offsets[k]) ? 0 : MR_ERR_CORRUPT;
}

// Rebuilds one state from its bytes and merges it into the group's.
static int load_state(
	struct mr_fold_state *s, uint32_t call, uint8_t *temp, uint8_t *row, struct mr_reader *in)
{
	struct mr_agg_run *x = &s->core.runs[call];
	struct mr_agg_run into_temp = *x;
	size_t outside = 0;
	int rc;

	into_temp.arena = &s->scratch;
	into_temp.outside_bytes = &outside;
	rc = x->call->fn->load(&into_temp, mr_agg_state(x, temp), in);
	if (rc == 0)
		rc = x->call->fn->merge(x, mr_agg_state(x, row), mr_agg_state(x, temp));
	if (x->call->fn->fini)
		x->call->fn->fini(mr_agg_state(x, temp));
	mr_budget_give(into_temp.arena->budget, outside);
	return rc;
}

// Loads the states of a group that was just made: nothing to merge with.
static int load_fresh(struct mr_fold_state *s, uint8_t *row, struct mr_reader *in)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->fold->agg->calls_count && rc >= 0; i++) {
		struct mr_agg_run *x = &s->core.runs[i];

		rc = x->call->fn->load(x, mr_agg_state(x, row), in);
	}
	return rc;
}

static int load_group(struct mr_fold_state *s, struct mr_reader *in, struct mr_fold_parts parts)
{
	struct mr_groups *g = &s->core.groups;
	uint64_t nulls = mr_read_le64(in), hash;
	uint8_t *temp, *row;
	int rc = 0;

	mr_arena_reset(&s->scratch);
	temp = mr_arena_zalloc(&s->scratch, 1, g->row_bytes);
	if (!temp)
		return -ENOMEM;
	if (in->bad || (g->keys_count < 64 && nulls >> g->keys_count))
		return MR_ERR_CORRUPT;
	mr_store_le64(temp + 8, nulls);
	for (uint32_t k = 0; k < g->keys_count && rc >= 0; k++)
		if (!mr_groups_key_is_null(g, temp, k))
			rc = load_key(g, temp, k, in);
	if (rc < 0)
		return rc;
	hash = mr_groups_row_hash(g, temp);
	if (hash >> PART_SHIFT < parts.first || hash >> PART_SHIFT > parts.last)
		return 1;
	mr_store_le64(temp, hash);
	rc = mr_groups_put_row(g, temp, &row);
	if (rc == 1)
		rc = load_fresh(s, row, in);
	else
		for (uint32_t i = 0; i < s->fold->agg->calls_count && rc >= 0; i++)
			rc = load_state(s, i, temp, row, in);
	return MR_MIN(rc, 0);
}

// Every group takes at least its length: a count that lies ends at the first missing one.
static int load_groups(
	struct mr_fold_state *s, struct mr_reader *in, uint32_t count, struct mr_fold_parts parts)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t bytes = mr_read_le32(in);
		struct mr_reader group = mr_reader(mr_read_span(in, bytes));
		int rc = in->bad ? (int)MR_ERR_CORRUPT : load_group(s, &group, parts);

		if (rc < 0)
			return rc == MR_ERR_LIMIT ? -ENOMEM : rc;
		if (rc == 0 && (group.bad || mr_read_left(&group)))
			return MR_ERR_CORRUPT;
	}
	return mr_read_left(in) ? MR_ERR_CORRUPT : 0;
}

int mr_fold_load(struct mr_fold_state *s, struct mr_span saved, struct mr_fold_parts parts)
{
	struct mr_reader in = mr_reader(saved);
	uint64_t failed, untimed;

	if (saved.bytes < HEAD_BYTES + SUM_BYTES ||
		mr_checksum(saved.data, saved.bytes - SUM_BYTES) !=
			mr_load_le64(saved.data + saved.bytes - SUM_BYTES) ||
		mr_read_le32(&in) != MAGIC)
		return MR_ERR_CORRUPT;
	if (mr_read_le16(&in) != VERSION)
		return MR_ERR_VERSION;
	if (mr_read_le16(&in) != 0 || mr_read_le64(&in) != s->fold->fingerprint)
		return MR_ERR_CORRUPT;
	in.end -= SUM_BYTES;
	failed = mr_read_le64(&in);
	untimed = mr_read_le64(&in);
	if (parts.first == 0) {
		s->rows_failed += failed;
		s->rows_untimed += untimed;
	}
	return load_groups(s, &in, mr_read_le32(&in), parts);
}

// ---- Reading ----

int mr_fold_read(const struct mr_fold_state *s, struct mr_query *q, uint64_t *cursor,
	struct mr_block *out, struct mr_diag *diag)
{
	const struct mr_fold *f = s->fold;
	struct mr_eval ev = {.query = q, .arena = q->arena, .diag = diag};
	struct mr_col *groups, *columns;
	uint32_t *sel = NULL, n;
	int rc;

	if (*cursor >= s->core.groups.count)
		return 0;
	n = (uint32_t)MR_MIN(s->core.groups.count - *cursor, (uint64_t)MR_EXEC_ROWS);
	rc = mr_agg_core_read(&s->core, &ev, (uint32_t)*cursor, n, &groups);
	if (rc < 0)
		return rc;
	*cursor += n;
	ev.columns = groups;
	ev.rows = n;
	if (f->having) {
		sel = mr_arena_alloc(q->arena, (n + 1) * sizeof(*sel));
		if (!sel)
			return mr_eval_no_memory(&ev);
		rc = mr_expr_filter(&ev, f->having, NULL, n, sel);
		if (rc < 0)
			return rc;
		n = (uint32_t)rc;
	}
	columns = mr_arena_zalloc(q->arena, f->columns_count + 1, sizeof(*columns));
	if (!columns)
		return mr_eval_no_memory(&ev);
	for (uint32_t i = 0; i < f->columns_count; i++) {
		struct mr_vec v;

		rc = mr_expr_eval(&ev, f->project->exprs[i], sel, n, &v);
		rc = rc < 0 ? rc : mr_vec_gather(&ev, &v, sel, n, &columns[i]);
		if (rc < 0)
			return rc;
	}
	*out = (struct mr_block){.rows = n, .columns = columns};
	return 1;
}
