// Fold states as bytes, and reading views.
//
// Layout, little endian: "mrfs", u16 version, u16 zero, u64 fingerprint, u64 rows failed, u64 rows
// untimed (both only in part 0), u32 groups; then each group: u64 null bits, the keys that are not
// null (fixed width, or u32 bytes and the bytes), the aggregates' states as their `save` writes
// them; at the end u64 XXH3 of everything before. Groups are written in the order they were made.
#include "host/sql/fold_int.h"

#include "host/base/hash.h"

#include <errno.h>
#include <string.h>

#define MAGIC 0x7366726du

enum { VERSION = 1, HEAD_BYTES = 36, SUM_BYTES = 8 };

static bool in_part(uint64_t hash, uint32_t part, uint32_t parts)
{
	return (uint32_t)(((unsigned __int128)hash * parts) >> 64) == part;
}

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

int mr_fold_save(const struct mr_fold_state *s, uint32_t part, uint32_t parts, struct mr_buf *out)
{
	const struct mr_groups *g = &s->core.groups;
	size_t start = out->bytes, count_at;
	uint32_t count = 0;

	mr_buf_le32(out, MAGIC);
	mr_buf_le16(out, VERSION);
	mr_buf_le16(out, 0);
	mr_buf_le64(out, s->fold->fingerprint);
	mr_buf_le64(out, part == 0 ? s->rows_failed : 0);
	mr_buf_le64(out, part == 0 ? s->rows_untimed : 0);
	count_at = out->bytes;
	mr_buf_le32(out, 0);
	for (uint32_t i = 0; i < g->count; i++) {
		uint8_t *row = mr_groups_row(g, i);

		if (!in_part(mr_groups_hash(row), part, parts))
			continue;
		save_group(s, row, out);
		count++;
	}
	if (out->failed)
		return -ENOMEM;
	mr_store_le32(out->data + count_at, count);
	mr_buf_le64(out, mr_checksum(out->data + start, out->bytes - start));
	return out->failed ? -ENOMEM : 0;
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

static int load_group(struct mr_fold_state *s, struct mr_reader *in)
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
	mr_store_le64(temp, hash);
	rc = mr_groups_put_row(g, temp, &row);
	for (uint32_t i = 0; i < s->fold->agg->calls_count && rc >= 0; i++)
		rc = load_state(s, i, temp, row, in);
	return rc < 0 ? rc : 0;
}

int mr_fold_load(struct mr_fold_state *s, struct mr_span saved)
{
	struct mr_reader in = mr_reader(saved);
	uint32_t count;

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
	s->rows_failed += mr_read_le64(&in);
	s->rows_untimed += mr_read_le64(&in);
	count = mr_read_le32(&in);
	// Every group takes at least its null bits: a count that lies ends at the first missing
	// one.
	for (uint32_t i = 0; i < count; i++) {
		int rc = load_group(s, &in);

		if (rc < 0)
			return rc == MR_ERR_LIMIT ? -ENOMEM : rc;
	}
	return in.bad || mr_read_left(&in) ? MR_ERR_CORRUPT : 0;
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
