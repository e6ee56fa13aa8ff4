// Linear probing over 64-bit slots; rows in pages that never move. The first page is small, and
// each of the next doubles what there is until pages have their full size: of a thousand views,
// most have a few groups.
#include "host/sql/groups.h"

#include "host/base/hash.h"
#include "host/base/utf8.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

// AHEAD: rows whose slots are fetched before their turn comes. SMALL_PAGES: up to PAGE_ROWS rows.
enum {
	AHEAD = 16,
	PAGE_ROWS = 512,
	FIRST_ROWS = 16,
	SMALL_PAGES = 6,
	INDEX_MIN = 64,
	KEYS_OFF = 16,
	NULLS_OFF = 8
};

static_assert(FIRST_ROWS << (SMALL_PAGES - 1) == PAGE_ROWS);

#define KEY_SEED  0x9e3779b97f4a7c15u
#define NULL_HASH 0x6e756c6cu

static uint64_t hash_double(double v)
{
	uint64_t bits;

	v = isnan(v) ? (double)NAN : v == 0 ? 0 : v;
	memcpy(&bits, &v, sizeof(bits));
	return mr_hash64(bits, MR_HASH_SEED);
}

uint64_t mr_value_hash(struct mr_typeref t, const void *p)
{
	const struct mr_str *s = p;
	__int128 span;

	switch (mr_type_phys(t)) {
	case MR_PHYS_U8: return mr_hash64(*(const uint8_t *)p, MR_HASH_SEED);
	case MR_PHYS_I16: return mr_hash64((uint64_t)(int64_t) * (const int16_t *)p, MR_HASH_SEED);
	case MR_PHYS_I32: return mr_hash64((uint64_t)(int64_t) * (const int32_t *)p, MR_HASH_SEED);
	case MR_PHYS_I64: return mr_hash64(*(const uint64_t *)p, MR_HASH_SEED);
	case MR_PHYS_F32: return hash_double((double)*(const float *)p);
	case MR_PHYS_F64: return hash_double(*(const double *)p);
	case MR_PHYS_DEC: return mr_dec_hash(*(const struct mr_dec *)p);
	case MR_PHYS_B16: return mr_hash_bytes(p, 16);
	case MR_PHYS_BYTES: return mr_hash_bytes(s->data, s->bytes);
	case MR_PHYS_INTERVAL:
		span = mr_interval_span_us(*(const struct mr_interval *)p);
		return mr_hash64((uint64_t)span ^ (uint64_t)(span >> 64), MR_HASH_SEED);
	}
	return 0;
}

int mr_groups_init(struct mr_groups *g, struct mr_arena *arena, const struct mr_typeref *keys,
	uint32_t keys_count, uint32_t state_bytes)
{
	uint32_t at = KEYS_OFF;

	MR_ASSERT(keys_count <= 64);
	*g = (struct mr_groups){.arena = arena, .keys_count = keys_count};
	g->keys = mr_arena_zalloc(arena, keys_count + 1, sizeof(*g->keys));
	g->offsets = mr_arena_zalloc(arena, keys_count + 1, sizeof(*g->offsets));
	g->index = mr_arena_zalloc(arena, INDEX_MIN, sizeof(*g->index));
	if (!g->keys || !g->offsets || !g->index)
		return MR_ERR_LIMIT;
	g->index_slots = INDEX_MIN;
	for (uint32_t i = 0; i < keys_count; i++) {
		uint32_t bytes = MR_MAX((uint32_t)mr_phys_bytes(mr_type_phys(keys[i])), 8u);

		g->keys[i] = keys[i];
		at = (uint32_t)mr_round_up(at, bytes);
		g->offsets[i] = at;
		at += bytes;
	}
	g->state_off = (uint32_t)mr_round_up(at, MR_GROUP_ALIGN);
	g->row_bytes = (uint32_t)mr_round_up(g->state_off + state_bytes, MR_GROUP_ALIGN);
	return 0;
}

// Where a row is. A small page begins with the row whose number is how many it has.
static uint32_t page_of(uint32_t i, uint32_t *at)
{
	uint32_t page = 0;

	if (i >= PAGE_ROWS) {
		*at = i % PAGE_ROWS;
		return i / PAGE_ROWS + SMALL_PAGES - 1;
	}
	*at = i;
	if (i >= FIRST_ROWS) {
		page = (uint32_t)(__builtin_clz(FIRST_ROWS) - __builtin_clz(i)) + 1;
		*at = i - (FIRST_ROWS << (page - 1));
	}
	return page;
}

static uint32_t page_rows(uint32_t page)
{
	return page < SMALL_PAGES ? FIRST_ROWS << (page ? page - 1 : 0) : PAGE_ROWS;
}

uint8_t *mr_groups_row(const struct mr_groups *g, uint32_t i)
{
	uint32_t at, page = page_of(i, &at);

	return g->pages[page] + (size_t)at * g->row_bytes;
}

bool mr_groups_key_is_null(const struct mr_groups *, const uint8_t *row, uint32_t key)
{
	return mr_load_le64(row + NULLS_OFF) >> key & 1;
}

// A candidate group: where its key values are, before it has a row.
struct probe {
	uint64_t hash;
	uint64_t nulls;
	const void *const *values; // one per key
};

static bool key_equal(struct mr_typeref t, const void *a, const void *b)
{
	const struct mr_str *x = a, *y = b;

	switch (mr_type_phys(t)) {
	case MR_PHYS_I64: return *(const int64_t *)a == *(const int64_t *)b;
	case MR_PHYS_I32: return *(const int32_t *)a == *(const int32_t *)b;
	case MR_PHYS_BYTES:
		return x->bytes == y->bytes &&
		       (x->bytes == 0 || memcmp(x->data, y->data, x->bytes) == 0);
	default: return mr_value_cmp(t, a, b) == 0;
	}
}

static bool matches(const struct mr_groups *g, uint8_t *row, const struct probe *p)
{
	if (mr_groups_hash(row) != p->hash || mr_load_le64(row + NULLS_OFF) != p->nulls)
		return false;
	for (uint32_t i = 0; i < g->keys_count; i++)
		if (!(p->nulls >> i & 1) &&
			!key_equal(g->keys[i], row + g->offsets[i], p->values[i]))
			return false;
	return true;
}

// 1.50 and 1.5 are one group, shown with the most digits ever seen.
static void keep_scale(const struct mr_groups *g, uint8_t *row, const struct probe *p)
{
	for (uint32_t i = 0; i < g->keys_count; i++) {
		struct mr_dec *kept = (struct mr_dec *)(void *)(row + g->offsets[i]);

		if (mr_type_phys(g->keys[i]) == MR_PHYS_DEC && !(p->nulls >> i & 1) &&
			mr_dec_scale(*(const struct mr_dec *)p->values[i]) > mr_dec_scale(*kept))
			*kept = *(const struct mr_dec *)p->values[i];
	}
}

static int grow_index(struct mr_groups *g)
{
	uint32_t slots = g->index_slots * 2;
	uint64_t *index = mr_arena_zalloc(g->arena, slots, sizeof(*index));

	if (!index || slots == 0)
		return MR_ERR_LIMIT;
	for (uint32_t i = 0; i < g->count; i++) {
		uint64_t hash = mr_groups_hash(mr_groups_row(g, i));
		uint32_t at = (uint32_t)hash & (slots - 1);

		while (index[at])
			at = (at + 1) & (slots - 1);
		index[at] = (hash & 0xffffffff00000000u) | (i + 1);
	}
	g->index = index;
	g->index_slots = slots;
	return 0;
}

static uint8_t *new_row(struct mr_groups *g)
{
	uint32_t at;

	if (page_of(g->count, &at) == g->pages_count) {
		if (g->pages_count == g->pages_max) {
			uint32_t max = MR_MAX(g->pages_max * 2, 16u);
			uint8_t **pages = mr_arena_alloc(g->arena, max * sizeof(*pages));

			if (!pages)
				return NULL;
			if (g->pages_count)
				memcpy(pages, g->pages, g->pages_count * sizeof(*pages));
			g->pages = pages;
			g->pages_max = max;
		}
		g->pages[g->pages_count] =
			mr_arena_zalloc(g->arena, page_rows(g->pages_count), g->row_bytes);
		if (!g->pages[g->pages_count])
			return NULL;
		g->pages_count++;
	}
	return mr_groups_row(g, g->count);
}

static int fill_row(struct mr_groups *g, uint8_t *row, const struct probe *p)
{
	memcpy(row, &p->hash, 8);
	memcpy(row + NULLS_OFF, &p->nulls, 8);
	for (uint32_t i = 0; i < g->keys_count; i++) {
		enum mr_phys phys = mr_type_phys(g->keys[i]);
		struct mr_str s;

		if (p->nulls >> i & 1)
			continue;
		memcpy(row + g->offsets[i], p->values[i], mr_phys_bytes(phys));
		if (phys != MR_PHYS_BYTES)
			continue;
		memcpy(&s, p->values[i], sizeof(s));
		s.data = mr_arena_copy(g->arena, mr_span(s.data, s.bytes)).data;
		if (!s.data)
			return MR_ERR_LIMIT;
		memcpy(row + g->offsets[i], &s, sizeof(s));
	}
	return 0;
}

// 1: made, 0: found, or MR_ERR_LIMIT.
static int put(struct mr_groups *g, const struct probe *p, uint32_t *out)
{
	uint32_t at, mask;
	uint8_t *row;

	if ((uint64_t)g->count * 4 >= (uint64_t)g->index_slots * 3 && grow_index(g) < 0)
		return MR_ERR_LIMIT;
	mask = g->index_slots - 1;
	for (at = (uint32_t)p->hash & mask; g->index[at]; at = (at + 1) & mask) {
		if (g->index[at] >> 32 != p->hash >> 32)
			continue;
		*out = (uint32_t)g->index[at] - 1;
		row = mr_groups_row(g, *out);
		if (matches(g, row, p)) {
			keep_scale(g, row, p);
			return 0;
		}
	}
	row = new_row(g);
	if (!row || fill_row(g, row, p) < 0)
		return MR_ERR_LIMIT;
	*out = g->count++;
	g->index[at] = (p->hash & 0xffffffff00000000u) | g->count;
	return 1;
}

static uint64_t key_hash(uint64_t before, uint32_t key, uint64_t hash)
{
	return key ? mr_hash64(before ^ hash, KEY_SEED + key) : hash;
}

uint64_t mr_keys_hash(
	const struct mr_typeref *types, const void *const *values, uint32_t keys_count)
{
	uint64_t hash = 0;

	for (uint32_t j = 0; j < keys_count; j++)
		hash = key_hash(hash, j, mr_value_hash(types[j], values[j]));
	return hash;
}

uint64_t mr_groups_row_hash(const struct mr_groups *g, const uint8_t *row)
{
	uint64_t hash = 0;

	for (uint32_t j = 0; j < g->keys_count; j++)
		hash = key_hash(hash, j,
			mr_groups_key_is_null(g, row, j)
				? NULL_HASH
				: mr_value_hash(g->keys[j], row + g->offsets[j]));
	return hash;
}

// The hashes of a whole column by kernel, the same as mr_value_hash gives. False for what kernels
// hash otherwise or not at all.
static bool hash_column(const struct mr_vec *v, uint32_t n, uint64_t *out)
{
	if (v->constant || v->col.codes)
		return false;
	if (v->col.phys <= MR_PHYS_I64)
		mr_kern->hash->num[v->col.phys](v->col.values, n, out);
	else if (v->col.phys == MR_PHYS_BYTES && !v->col.valid)
		mr_kern->hash->str(v->col.values, n, out);
	else
		return false;
	for (uint32_t i = 0; v->col.valid && i < n; i++)
		out[i] = mr_bit_get(v->col.valid, i) ? out[i] : NULL_HASH;
	return true;
}

// Of the rows (sel, n), into `hashes` by place in the list. `spare` has room for n.
static void hash_key(const struct mr_vec *v, uint32_t key, const uint32_t *sel, uint32_t n,
	uint64_t *spare, uint64_t *hashes)
{
	uint64_t *h = key ? spare : hashes;

	if (sel || !hash_column(v, n, h))
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = mr_sel(sel, k);

			h[k] = mr_vec_is_null(v, i) ? NULL_HASH
						    : mr_value_hash(v->col.type, mr_vec_at(v, i));
		}
	for (uint32_t k = 0; key && k < n; k++)
		hashes[k] = key_hash(hashes[k], key, h[k]);
}

int mr_groups_put(struct mr_groups *g, struct mr_arena *scratch, const struct mr_vec *keys,
	const uint32_t *sel, uint32_t n, uint32_t *numbers, bool *fresh)
{
	uint64_t *hashes = mr_arena_column(scratch, (n + 1) * sizeof(*hashes));
	uint64_t *spare = mr_arena_column(scratch, (n + 1) * sizeof(*spare));
	const void *values[64];

	if (!hashes || !spare)
		return MR_ERR_LIMIT;
	if (g->keys_count == 0)
		memset(hashes, 0, n * sizeof(*hashes));
	for (uint32_t j = 0; j < g->keys_count; j++)
		hash_key(&keys[j], j, sel, n, spare, hashes);
	for (uint32_t k = 0; k < n; k++) {
		struct probe p = {hashes[k], 0, values};
		uint32_t i = mr_sel(sel, k);
		int rc;

		if (k + AHEAD < n)
			__builtin_prefetch(
				&g->index[(uint32_t)hashes[k + AHEAD] & (g->index_slots - 1)]);
		for (uint32_t j = 0; j < g->keys_count; j++) {
			values[j] = mr_vec_at(&keys[j], i);
			p.nulls |= (uint64_t)mr_vec_is_null(&keys[j], i) << j;
		}
		rc = put(g, &p, &numbers[k]);
		if (rc < 0)
			return rc;
		if (fresh)
			fresh[k] = rc == 1;
	}
	return 0;
}

int mr_groups_put_row(struct mr_groups *g, const uint8_t *row, uint8_t **out)
{
	const void *values[64];
	struct probe p = {mr_groups_hash(row), mr_load_le64(row + NULLS_OFF), values};
	uint32_t number;
	int rc;

	for (uint32_t j = 0; j < g->keys_count; j++)
		values[j] = row + g->offsets[j];
	rc = put(g, &p, &number);
	if (rc >= 0)
		*out = mr_groups_row(g, number);
	return rc;
}

int mr_groups_key_column(const struct mr_groups *g, struct mr_eval *ev, uint32_t key,
	uint32_t first, uint32_t n, struct mr_col *out)
{
	enum mr_phys phys = mr_type_phys(g->keys[key]);
	size_t width = mr_phys_bytes(phys);
	uint8_t *values = mr_arena_column(ev->arena, n * width);
	uint64_t *valid = mr_arena_column(ev->arena, (size_t)(n + 63) / 64 * 8);

	if (!values || !valid)
		return mr_eval_no_memory(ev);
	memset(valid, 0xff, (size_t)(n + 63) / 64 * 8);
	for (uint32_t k = 0; k < n; k++) {
		const uint8_t *row = mr_groups_row(g, first + k);

		memcpy(values + k * width, row + g->offsets[key], width);
		if (mr_groups_key_is_null(g, row, key))
			mr_bit_clear(valid, k);
	}
	*out = (struct mr_col){
		.type = g->keys[key], .phys = (uint8_t)phys, .values = values, .valid = valid};
	return 0;
}

bool mr_value_is_sound(struct mr_typeref t, const void *value)
{
	const mr_i128 limit = (mr_i128)100000000000000000 * 1000000000000000000;
	const struct mr_str *s = value;
	struct mr_dec d;

	switch (mr_type_phys(t)) {
	case MR_PHYS_U8: return *(const uint8_t *)value <= 1;
	case MR_PHYS_DEC:
		memcpy(&d, value, sizeof(d));
		if (mr_dec_is_nan(d))
			return mr_dec_coefficient(d) == 0;
		return mr_dec_scale(d) <= MR_DEC_SCALE_MAX && mr_dec_coefficient(d) < limit &&
		       mr_dec_coefficient(d) > -limit;
	case MR_PHYS_BYTES:
		return t.type == MR_TYPE_BYTEA || mr_utf8_is_valid(mr_span(s->data, s->bytes));
	default: return true;
	}
}
