// Frequent items by counters that are purged in bulk (Misra and Gries 1982; mergeable by Agarwal et
// al. 2012, "Mergeable summaries"; purged many at a time as in Apache DataSketches).
//
// Each distinct item has a counter. When there are more than `capacity`, the counters are sorted, d
// is the count in the middle (place capacity / 2), all counters lose d and those at 0 or below go.
// `error` is the sum of all d. A purge takes d away from at least capacity / 2 counters, and no
// more can be taken away than was added, so error <= 2 * total / capacity, however the stream was
// split and merged.
//
// Saved: u8 version 1, 3 zero bytes, u32 capacity, u32 entries, u64 total, u64 error; per entry,
// ascending by hash: u64 hash, uvarint count, uvarint bytes, the bytes; u64 XXH3 of all before.
// Little endian.
#include "kernels/topk.h"

#include "host/base/hash.h"

#include <errno.h>
#include <stdlib.h>

#define VERSION      1
#define SLOTS_MIN    8
#define HEADER_BYTES 28

void mr_topk_init(struct mr_topk *t, uint32_t capacity)
{
	MR_ASSERT(capacity >= MR_TOPK_CAPACITY_MIN && capacity <= MR_TOPK_CAPACITY_MAX);
	*t = (struct mr_topk){.capacity = capacity};
}

void mr_topk_fini(struct mr_topk *t)
{
	free(t->slots);
	free(t->data);
	mr_topk_init(t, t->capacity);
}

size_t mr_topk_memory(const struct mr_topk *t)
{
	return t->slots_count * sizeof(*t->slots) + t->data_bytes_max;
}

size_t mr_topk_growth(const struct mr_topk *t, size_t item_bytes)
{
	size_t bytes = 0, data = t->data_bytes_max,
	       item = MR_MIN(item_bytes, (size_t)MR_TOPK_ITEM_BYTES_MAX);

	if ((t->entries_count + 1) * 4 > t->slots_count * 3)
		bytes += MR_MAX(t->slots_count * 2, SLOTS_MIN) * sizeof(*t->slots) + data + 1;
	if (!t->data || t->data_bytes + item > data) {
		data = MR_MAX(MR_MAX(data * 2, (size_t)64), t->data_bytes + item);
		bytes += data;
	}
	if (t->entries_count == t->capacity)
		bytes += (t->capacity + 1) * sizeof(uint64_t) + t->slots_count * sizeof(*t->slots) +
			 data + 1;
	return bytes;
}

static struct mr_topk_entry *slot_of(
	struct mr_topk_entry *slots, uint32_t slots_count, uint64_t hash)
{
	uint32_t i = (uint32_t)(hash >> 32) & (slots_count - 1);

	while (slots[i].count != 0 && slots[i].hash != hash)
		i = (i + 1) & (slots_count - 1);
	return &slots[i];
}

// Moves the entries to a table of `slots_count` and their bytes to a fresh buffer, all counts less
// `purged`, which drops those that have no more. 0 or -ENOMEM, nothing changed.
static int rebuild(struct mr_topk *t, uint32_t slots_count, uint64_t purged)
{
	struct mr_topk to = *t;

	to.slots = calloc(slots_count, sizeof(*to.slots));
	to.data = malloc(t->data_bytes_max + 1);
	if (!to.slots || !to.data) {
		free(to.slots);
		free(to.data);
		return -ENOMEM;
	}
	to.slots_count = slots_count;
	to.entries_count = 0;
	to.data_bytes = 0;
	for (uint32_t i = 0; i < t->slots_count; i++) {
		struct mr_topk_entry e = t->slots[i];

		if (e.count <= purged)
			continue;
		memcpy(to.data + to.data_bytes, t->data + e.data_off, e.bytes);
		e.data_off = (uint32_t)to.data_bytes;
		e.count -= purged;
		to.data_bytes += e.bytes;
		to.entries_count++;
		*slot_of(to.slots, slots_count, e.hash) = e;
	}
	to.error += purged;
	free(t->slots);
	free(t->data);
	*t = to;
	return 0;
}

static int count_falls(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

// Leaves at most capacity / 2 entries.
static int purge(struct mr_topk *t)
{
	uint64_t *counts = malloc(t->entries_count * sizeof(*counts)), middle;
	uint32_t n = 0;

	if (!counts)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->slots_count; i++)
		if (t->slots[i].count)
			counts[n++] = t->slots[i].count;
	qsort(counts, n, sizeof(*counts), count_falls);
	middle = counts[t->capacity / 2];
	free(counts);
	return rebuild(t, t->slots_count, middle);
}

static int data_room(struct mr_topk *t, size_t bytes)
{
	size_t want = MR_MAX(t->data_bytes_max * 2, 64);
	uint8_t *data;

	if (t->data && t->data_bytes + bytes <= t->data_bytes_max)
		return 0;
	want = MR_MAX(want, t->data_bytes + bytes);
	data = realloc(t->data, want);
	if (!data)
		return -ENOMEM;
	t->data = data;
	t->data_bytes_max = want;
	return 0;
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

// Counts an item whose hash is known; a new one's bytes are copied.
static int add_hashed(struct mr_topk *t, uint64_t hash, struct mr_span item, uint64_t count)
{
	struct mr_topk_entry *e;
	int err = 0;

	if ((t->entries_count + 1) * 4 > t->slots_count * 3)
		err = rebuild(t, MR_MAX(t->slots_count * 2, SLOTS_MIN), 0);
	if (err == 0)
		err = data_room(t, item.bytes);
	if (err < 0)
		return err;
	e = slot_of(t->slots, t->slots_count, hash);
	if (e->count == 0) {
		*e = (struct mr_topk_entry){hash, 0, (uint32_t)t->data_bytes, (uint32_t)item.bytes};
		if (item.bytes)
			memcpy(t->data + t->data_bytes, item.data, item.bytes);
		t->data_bytes += item.bytes;
		t->entries_count++;
	}
	e->count = add_saturating(e->count, count);
	return t->entries_count > t->capacity ? purge(t) : 0;
}

int mr_topk_add(struct mr_topk *t, struct mr_span item, uint64_t count)
{
	uint64_t hash = mr_hash_bytes(item.data, item.bytes);

	if (count == 0)
		return 0;
	t->total = add_saturating(t->total, count);
	item.bytes = MR_MIN(item.bytes, MR_TOPK_ITEM_BYTES_MAX);
	return add_hashed(t, hash, item, count);
}

int mr_topk_merge(struct mr_topk *t, const struct mr_topk *other)
{
	MR_ASSERT(t->capacity == other->capacity);
	t->total = add_saturating(t->total, other->total);
	t->error = add_saturating(t->error, other->error);
	for (uint32_t i = 0; i < other->slots_count; i++) {
		const struct mr_topk_entry *e = &other->slots[i];
		int err = e->count == 0
				  ? 0
				  : add_hashed(t, e->hash,
					    mr_span(other->data + e->data_off, e->bytes), e->count);

		if (err < 0)
			return err;
	}
	return 0;
}

// --- reading -------------------------------------------------------------------------------------

static int item_order(const void *a, const void *b)
{
	const struct mr_topk_item *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return mr_span_cmp(x->item, y->item);
}

int mr_topk_list(const struct mr_topk *t, uint32_t k, struct mr_topk_item *out)
{
	struct mr_topk_item *items = malloc((t->entries_count + 1) * sizeof(*items));
	uint32_t n = 0;

	if (!items)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->slots_count; i++) {
		const struct mr_topk_entry *e = &t->slots[i];

		if (e->count)
			items[n++] = (struct mr_topk_item){
				mr_span(t->data + e->data_off, e->bytes), e->count};
	}
	qsort(items, n, sizeof(*items), item_order);
	n = MR_MIN(n, k);
	memcpy(out, items, n * sizeof(*items));
	free(items);
	return (int)n;
}

// --- saving --------------------------------------------------------------------------------------

size_t mr_topk_save_bytes_max(const struct mr_topk *t)
{
	return HEADER_BYTES + t->entries_count * (size_t)(8 + 10 + 5) + t->data_bytes + 8;
}

static int hash_order(const void *a, const void *b)
{
	uint64_t x = ((const struct mr_topk_entry *)a)->hash;
	uint64_t y = ((const struct mr_topk_entry *)b)->hash;

	return (x > y) - (x < y);
}

int mr_topk_save(const struct mr_topk *t, uint8_t *out)
{
	struct mr_writer w = mr_writer(out, mr_topk_save_bytes_max(t));
	struct mr_topk_entry *sorted = malloc((t->entries_count + 1) * sizeof(*sorted));
	uint32_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->slots_count; i++)
		if (t->slots[i].count)
			sorted[n++] = t->slots[i];
	qsort(sorted, n, sizeof(*sorted), hash_order);
	mr_write_le32(&w, VERSION);
	mr_write_le32(&w, t->capacity);
	mr_write_le32(&w, n);
	mr_write_le64(&w, t->total);
	mr_write_le64(&w, t->error);
	for (uint32_t i = 0; i < n; i++) {
		mr_write_le64(&w, sorted[i].hash);
		mr_write_uvarint(&w, sorted[i].count);
		mr_write_uvarint(&w, sorted[i].bytes);
		mr_write_bytes(&w, t->data + sorted[i].data_off, sorted[i].bytes);
	}
	free(sorted);
	mr_write_le64(&w, mr_checksum(out, w.at));
	MR_ASSERT(!w.bad);
	return (int)w.at;
}

// Hashes ascend and belong to their items, where these are whole.
static int load_entries(struct mr_topk *t, struct mr_reader *r, uint32_t entries)
{
	uint64_t before = 0;
	int err = 0;

	for (uint32_t i = 0; i < entries && err == 0; i++) {
		uint64_t hash = mr_read_le64(r), count = mr_read_uvarint64(r);
		uint64_t bytes = mr_read_uvarint64(r);
		struct mr_span item = {NULL, 0};

		if (bytes > MR_TOPK_ITEM_BYTES_MAX)
			return MR_ERR_CORRUPT;
		item = mr_read_span(r, bytes);
		if (r->bad || count == 0 || count > t->total || (i && hash <= before) ||
			(bytes < MR_TOPK_ITEM_BYTES_MAX && hash != mr_hash_bytes(item.data, bytes)))
			return MR_ERR_CORRUPT;
		err = add_hashed(t, hash, item, count);
		before = hash;
	}
	return err;
}

int mr_topk_load(struct mr_topk *t, struct mr_span bytes)
{
	struct mr_reader r = mr_reader(bytes);
	uint32_t version = mr_read_le32(&r), capacity = mr_read_le32(&r);
	uint32_t entries = mr_read_le32(&r);
	uint64_t total = mr_read_le64(&r), error = mr_read_le64(&r);
	int err;

	mr_topk_init(t, MR_TOPK_CAPACITY_DEFAULT);
	if (bytes.bytes < HEADER_BYTES + 8 || mr_load_le64(bytes.data + bytes.bytes - 8) !=
						      mr_checksum(bytes.data, bytes.bytes - 8))
		return MR_ERR_CORRUPT;
	if (version != VERSION)
		return MR_ERR_VERSION;
	if (capacity < MR_TOPK_CAPACITY_MIN || capacity > MR_TOPK_CAPACITY_MAX ||
		entries > capacity || error > total)
		return MR_ERR_CORRUPT;
	r.end -= 8;
	mr_topk_init(t, capacity);
	t->total = total;
	t->error = error;
	err = load_entries(t, &r, entries);
	if (err == 0 && mr_read_left(&r) != 0)
		err = MR_ERR_CORRUPT;
	if (err < 0)
		mr_topk_fini(t);
	return err;
}
