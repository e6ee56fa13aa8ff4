// Open chunks: layout, rows, the dictionaries of text columns.
//
// One run of blocks holds the struct and all arrays that never move:
//
//   struct mr_chunk, columns | row_set | per column: values or codes, valid
//                                       | per dictionary: struct, entries, index
//
// A dictionary is an array of entries and an index of open addressing over it. A slot of the index
// is code << 15 | tag, tag being 15 bits of the string's hash, 0 = empty (code 0, the empty string,
// is never looked up). The index lies in room for twice the entries but uses only as many slots as
// twice the strings it has, so that a column of few values stays in the first cache lines; growing
// fills the next power of two with the entries again. Only the writer knows the index: it may
// change under the readers, who know the entries only.
#include "kernels/chunk.h"

#include "host/base/hash.h"

#include <errno.h>

#define INDEX_SLOTS_MIN 256u
#define INDEX_SLOTS_MAX (2u * MR_CHUNK_DICT_ENTRIES)
#define TAG_BITS        15
#define TAG_MASK        ((1u << TAG_BITS) - 1)
#define VALID_BYTES     (MR_CHUNK_ROWS / 8 + MR_COL_PAD)

static_assert(MR_CHUNK_DICT_ENTRIES <= 1u << (32 - TAG_BITS));

struct mr_dict_build {
	_Atomic uint32_t count; // entries; writer: before the release of the row count
	uint32_t mask;          // slots in use - 1
	struct mr_str *entries;
	uint32_t *index;
};

struct mr_heap_block {
	struct mr_heap_block *next;
	size_t bytes;
};

// ---- layout

// Hands out aligned places behind one another; with `base` NULL it only measures.
struct layout {
	uint8_t *base;
	size_t bytes;
};

static void *place(struct layout *l, size_t bytes)
{
	size_t at = l->bytes;

	l->bytes = mr_round_up(at + bytes, MR_COL_ALIGN);
	return l->base ? l->base + at : NULL;
}

static bool wants_dict(struct mr_typeref t, const bool *plain, uint32_t column)
{
	return mr_type_phys(t) == MR_PHYS_BYTES && !(plain && plain[column]);
}

static void place_dict(struct layout *l, struct mr_chunk_column *col)
{
	struct mr_dict_build *d = place(l, sizeof(*d));
	struct mr_str *entries = place(l, MR_CHUNK_DICT_ENTRIES * sizeof(*entries) + MR_COL_PAD);
	uint32_t *index = place(l, INDEX_SLOTS_MAX * sizeof(*index));

	if (!col)
		return;
	*d = (struct mr_dict_build){.mask = INDEX_SLOTS_MIN - 1};
	d->entries = entries;
	d->index = index;
	memset(index, 0, INDEX_SLOTS_MIN * sizeof(*index));
	entries[0] = (struct mr_str){.data = (const uint8_t *)""};
	atomic_store_explicit(&d->count, 1, memory_order_relaxed);
	col->dict = d;
}

static void place_column(
	struct layout *l, struct mr_typeref type, bool dict, struct mr_chunk_column *col)
{
	enum mr_phys phys = mr_type_phys(type);
	size_t width = dict ? sizeof(uint32_t) : mr_phys_bytes(phys);
	void *values = place(l, MR_CHUNK_ROWS * width + MR_COL_PAD);
	uint64_t *valid = place(l, VALID_BYTES);

	if (col) {
		*col = (struct mr_chunk_column){.type = type,
			.phys = (uint8_t)phys,
			.encoding = dict ? MR_CHUNK_DICT : MR_CHUNK_PLAIN,
			.width_bytes = (uint8_t)width,
			.values = dict ? NULL : values,
			.codes = dict ? values : NULL,
			.valid = valid};
		memset(valid, 0xff, VALID_BYTES);
	}
	if (dict)
		place_dict(l, col);
}

static size_t row_set_words(uint32_t columns_count)
{
	return columns_count / 64 + 1;
}

static struct mr_chunk *place_chunk(
	struct layout *l, const struct mr_typeref *types, uint32_t columns_count, const bool *plain)
{
	struct mr_chunk *c = place(l, sizeof(*c) + columns_count * sizeof(c->columns[0]));
	uint64_t *row_set = place(l, row_set_words(columns_count) * sizeof(*row_set));

	if (c) {
		*c = (struct mr_chunk){.columns_count = columns_count, .row_set = row_set};
		memset(row_set, 0, row_set_words(columns_count) * sizeof(*row_set));
	}
	for (uint32_t i = 0; i < columns_count; i++)
		place_column(
			l, types[i], wants_dict(types[i], plain, i), c ? &c->columns[i] : NULL);
	return c;
}

size_t mr_chunk_bytes_min(const struct mr_typeref *types, uint32_t columns_count, const bool *plain)
{
	struct layout l = {NULL, 0};

	place_chunk(&l, types, columns_count, plain);
	return mr_round_up(l.bytes, MR_CHUNK_BLOCK_BYTES);
}

int mr_chunk_create(struct mr_chunk_pool *pool, const struct mr_typeref *types,
	uint32_t columns_count, const bool *plain, size_t bytes_max, struct mr_chunk **out)
{
	struct layout l = {NULL, 0};
	struct mr_chunk *c;
	size_t bytes;

	MR_ASSERT(columns_count <= MR_CHUNK_COLUMNS_MAX);
	bytes = mr_chunk_bytes_min(types, columns_count, plain);
	l.base = mr_chunk_pool_take(pool, bytes);
	if (!l.base)
		return -ENOMEM;
	c = place_chunk(&l, types, columns_count, plain);
	c->pool = pool;
	atomic_init(&c->bytes, bytes);
	c->bytes_first = bytes;
	c->bytes_max = bytes_max;
	atomic_store_explicit(&c->references, 1, memory_order_relaxed);
	*out = c;
	return 0;
}

void mr_chunk_get(struct mr_chunk *c)
{
	atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
}

void mr_chunk_put(struct mr_chunk *c)
{
	struct mr_chunk_pool *pool;
	struct mr_heap_block *b;

	// Release: what this holder read is done. Acquire: so is everyone else's.
	if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
		return;
	pool = c->pool;
	for (b = c->heap.blocks; b;) {
		struct mr_heap_block *next = b->next;

		mr_chunk_pool_give(pool, b, b->bytes);
		b = next;
	}
	mr_chunk_pool_give(pool, c, c->bytes_first);
}

// ---- the heap

// Takes a block that has room for `bytes`. The limit does not bind the first row, whose bytes the
// caller's own limit bounds: a value too big for every chunk would stop its partition for ever.
static struct mr_heap_block *heap_grow(struct mr_chunk *c, size_t bytes)
{
	size_t take = mr_round_up(bytes + sizeof(struct mr_heap_block), MR_CHUNK_BLOCK_BYTES);
	struct mr_heap_block *b;
	size_t total = atomic_load_explicit(&c->bytes, memory_order_relaxed) + take;

	if (c->rows > 0 && total > c->bytes_max)
		return NULL;
	b = c->rows > 0 ? mr_chunk_pool_take(c->pool, take)
			: mr_chunk_pool_take_urgent(c->pool, take);
	if (!b)
		return NULL;
	*b = (struct mr_heap_block){.next = c->heap.blocks, .bytes = take};
	c->heap.blocks = b;
	atomic_store_explicit(&c->bytes, total, memory_order_relaxed);
	return b;
}

// Room for `bytes`, or NULL. A string that fills half a block or more gets blocks of its own, so
// that the rest of the current one is not lost.
static uint8_t *heap_room(struct mr_chunk *c, size_t bytes)
{
	struct mr_heap *h = &c->heap;
	struct mr_heap_block *b;

	if (MR_LIKELY((size_t)(h->end - h->at) >= bytes)) {
		uint8_t *p = h->at;

		h->at += bytes;
		return p;
	}
	b = heap_grow(c, bytes);
	if (!b)
		return NULL;
	if (bytes < MR_CHUNK_BLOCK_BYTES / 2) {
		h->at = (uint8_t *)(b + 1) + bytes;
		h->end = (uint8_t *)b + b->bytes;
	}
	return (uint8_t *)(b + 1);
}

static bool heap_copy(struct mr_chunk *c, const uint8_t *data, size_t bytes, struct mr_str *out)
{
	uint8_t *p = heap_room(c, bytes);

	if (MR_UNLIKELY(!p))
		return false;
	memcpy(p, data, bytes);
	*out = (struct mr_str){.data = p, .bytes = (uint32_t)bytes};
	return true;
}

// ---- dictionaries

static uint32_t index_slot(uint32_t code, uint64_t hash)
{
	return code << TAG_BITS | (uint32_t)(hash >> (64 - TAG_BITS));
}

// Doubles the slots in use and puts all entries in again.
static void index_grow(struct mr_dict_build *d, uint32_t count)
{
	uint32_t mask = d->mask * 2 + 1;

	MR_ASSERT(mask < INDEX_SLOTS_MAX);
	memset(d->index, 0, (mask + 1) * sizeof(d->index[0]));
	for (uint32_t code = 1; code < count; code++) {
		uint64_t hash = mr_hash_bytes(d->entries[code].data, d->entries[code].bytes);
		uint32_t i = (uint32_t)hash & mask;

		while (d->index[i])
			i = (i + 1) & mask;
		d->index[i] = index_slot(code, hash);
	}
	d->mask = mask;
}

static uint32_t dict_add(struct mr_chunk *c, struct mr_dict_build *d, uint32_t at, uint64_t hash,
	const uint8_t *data, size_t bytes)
{
	uint32_t count = atomic_load_explicit(&d->count, memory_order_relaxed);

	if (count == MR_CHUNK_DICT_ENTRIES || !heap_copy(c, data, bytes, &d->entries[count]))
		return 0;
	d->index[at] = index_slot(count, hash);
	atomic_store_explicit(&d->count, count + 1, memory_order_relaxed);
	if (2 * count > d->mask + 1)
		index_grow(d, count + 1);
	return count;
}

// The code of a string that is not empty; 0 = no room for it.
static uint32_t dict_intern(
	struct mr_chunk *c, struct mr_dict_build *d, const uint8_t *data, size_t bytes)
{
	uint64_t hash = mr_hash_bytes(data, bytes);
	uint32_t tag = (uint32_t)(hash >> (64 - TAG_BITS));
	uint32_t i = (uint32_t)hash & d->mask;

	for (uint32_t slot; (slot = d->index[i]); i = (i + 1) & d->mask) {
		const struct mr_str *s = &d->entries[slot >> TAG_BITS];

		if ((slot & TAG_MASK) == tag && s->bytes == bytes &&
			memcmp(s->data, data, bytes) == 0)
			return slot >> TAG_BITS;
	}
	return dict_add(c, d, i, hash, data, bytes);
}

int mr_chunk_set_bytes(struct mr_chunk *c, uint32_t column, const uint8_t *data, size_t bytes)
{
	struct mr_chunk_column *col = &c->columns[column];
	bool ok = true;

	MR_DASSERT(column < c->columns_count && col->phys == MR_PHYS_BYTES);
	MR_DASSERT(bytes <= UINT32_MAX);
	mr_bit_set(c->row_set, column);
	if (bytes == 0 && col->dict) {
		col->codes[c->rows] = 0;
	} else if (bytes == 0) {
		((struct mr_str *)col->values)[c->rows] =
			(struct mr_str){.data = (const uint8_t *)""};
	} else if (col->dict) {
		col->codes[c->rows] = dict_intern(c, col->dict, data, bytes);
		ok = col->codes[c->rows] != 0;
	} else {
		ok = heap_copy(c, data, bytes, (struct mr_str *)col->values + c->rows);
	}
	if (MR_LIKELY(ok))
		return 0;
	c->full = true;
	return -ENOMEM;
}

// ---- rows

void mr_chunk_row_begin(struct mr_chunk *c)
{
	MR_ASSERT(!c->full);
}

// Row `c->rows` of a column becomes NULL. Its word of `valid` may be read by others meanwhile, for
// the bits of earlier rows.
static void write_null(struct mr_chunk *c, struct mr_chunk_column *col)
{
	uint64_t *word = &col->valid[c->rows / 64];
	uint8_t *value = col->codes ? (uint8_t *)col->codes : col->values;
	uint32_t nulls = atomic_load_explicit(&col->nulls, memory_order_relaxed);

	memset(value + (size_t)c->rows * col->width_bytes, 0, col->width_bytes);
	if (!col->codes && col->phys == MR_PHYS_BYTES)
		((struct mr_str *)col->values)[c->rows].data = (const uint8_t *)"";
	__atomic_store_n(word, *word & ~(1ull << (c->rows % 64)), __ATOMIC_RELAXED);
	atomic_store_explicit(&col->nulls, nulls + 1, memory_order_relaxed);
}

void mr_chunk_row_commit(struct mr_chunk *c)
{
	MR_DASSERT(!c->full);
	for (uint32_t base = 0; base < c->columns_count; base += 64) {
		uint32_t count = MR_MIN(c->columns_count - base, 64u);
		uint64_t all = count == 64 ? ~0ull : (1ull << count) - 1;
		uint64_t missing = ~c->row_set[base / 64] & all;

		for (; missing; missing &= missing - 1)
			write_null(c, &c->columns[base + (uint32_t)__builtin_ctzll(missing)]);
		c->row_set[base / 64] = 0;
	}
	c->rows++;
	c->full = c->rows == MR_CHUNK_ROWS;
}

void mr_chunk_row_abort(struct mr_chunk *c)
{
	memset(c->row_set, 0, row_set_words(c->columns_count) * sizeof(c->row_set[0]));
}

// ---- advice and views

// Of a plain column: distinct values in an even sample, by linear counting (Whang 1990) without
// its correction, which at 1/16 load would add 3 %.
static bool sample_is_distinct(const struct mr_chunk *c, const struct mr_chunk_column *col)
{
	enum { SAMPLE = 2048, BITS = 32768 };
	uint64_t seen[BITS / 64] = {0};
	uint32_t step = c->rows / SAMPLE + 1;
	uint32_t taken = 0, distinct = 0;

	for (uint32_t row = 0; row < c->rows; row += step) {
		const struct mr_str *s = (const struct mr_str *)col->values + row;
		uint64_t bit = mr_hash_bytes(s->data, s->bytes) % BITS;

		if (!mr_bit_get(col->valid, row))
			continue;
		taken++;
		distinct += !mr_bit_get(seen, bit);
		mr_bit_set(seen, bit);
	}
	return distinct * 2 > taken;
}

bool mr_chunk_prefers_plain(const struct mr_chunk *c, uint32_t column)
{
	const struct mr_chunk_column *col = &c->columns[column];

	if (col->phys != MR_PHYS_BYTES || c->rows == 0)
		return false;
	if (!col->dict)
		return sample_is_distinct(c, col);
	return (atomic_load_explicit(&col->dict->count, memory_order_relaxed) - 1) * 2 >
	       c->rows - atomic_load_explicit(&col->nulls, memory_order_relaxed);
}

void mr_chunk_column_view(
	const struct mr_chunk *c, uint32_t column, struct mr_col *out, struct mr_dict *dict)
{
	const struct mr_chunk_column *col = &c->columns[column];
	bool nulls;

	MR_ASSERT(column < c->columns_count);
	nulls = atomic_load_explicit(&col->nulls, memory_order_relaxed) > 0;
	*out = (struct mr_col){.type = col->type,
		.phys = col->phys,
		.values = col->values,
		.valid = nulls ? col->valid : NULL,
		.codes = col->codes};
	if (!col->dict)
		return;
	*dict = (struct mr_dict){.entries = col->dict->entries,
		.count = atomic_load_explicit(&col->dict->count, memory_order_relaxed)};
	out->dict = dict;
}
