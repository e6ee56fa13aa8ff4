// Idempotent producers of one partition.
//
// Entries lie in an array that doubles; a table of indexes finds them by producer id (open
// addressing, linear probing, deletion by shifting back), and a list through the array keeps them
// in the order of their last batch, so that the quietest is at hand for expiry and for the bound.
#include "dataplane/producer_state.h"

#include "dataplane/kafka_error.h"
#include "host/base/err.h"
#include "host/base/hash.h"

#include <errno.h>
#include <stdlib.h>

#define FORMAT_VERSION  1
#define ENTRIES_MIN     4
#define NONE            UINT32_MAX
#define SEQUENCES       ((uint32_t)1 << 31) // 0 to 2^31-1, then 0 again
#define ENTRY_FIXED     28                  // bytes saved of an entry without batches
#define BATCH_BYTES     16
#define RECORDS_CERTAIN ((uint32_t)1 << 30) // enough to tell behind from ahead

struct kept {
	int32_t first; // sequence
	int32_t last;
	int64_t base_offset;
};

struct entry {
	int64_t id;
	int64_t last_ms;
	int16_t epoch;
	uint8_t kept_count;
	// Records stored without a gap up to the last kept one, at most RECORDS_CERTAIN: a sequence
	// that far back at most is stored for certain.
	uint32_t records;
	uint32_t older; // list by time; free entries are linked through `newer`
	uint32_t newer;
	struct kept kept[MR_PRODUCER_WINDOW]; // oldest first
};

struct mr_producers {
	struct entry *entries;
	uint32_t *slots; // index of an entry, or NONE; a power of two, at most half full
	uint32_t entries_max;
	uint32_t slots_count;
	uint32_t count;
	uint32_t free;   // first unused entry
	uint32_t oldest; // NONE when empty
	uint32_t newest;
	uint32_t producers_max;
	int64_t expiry_ms;
	struct mr_producers_stats stats;
};

static int32_t sequence_add(int32_t s, int32_t n)
{
	return (int32_t)(((uint32_t)s + (uint32_t)n) % SEQUENCES);
}

// How far `a` is ahead of `b`, modulo 2^31.
static uint32_t sequence_ahead(int32_t a, int32_t b)
{
	return ((uint32_t)a - (uint32_t)b) % SEQUENCES;
}

static uint32_t slot_of(const struct mr_producers *ps, int64_t id)
{
	return (uint32_t)mr_hash64((uint64_t)id, MR_HASH_SEED) & (ps->slots_count - 1);
}

static uint32_t find(const struct mr_producers *ps, int64_t id)
{
	if (ps->count == 0)
		return NONE;
	for (uint32_t i = slot_of(ps, id);; i = (i + 1) & (ps->slots_count - 1)) {
		uint32_t at = ps->slots[i];

		if (at == NONE || ps->entries[at].id == id)
			return at;
	}
}

static void slots_add(struct mr_producers *ps, uint32_t at)
{
	uint32_t i = slot_of(ps, ps->entries[at].id);

	while (ps->slots[i] != NONE)
		i = (i + 1) & (ps->slots_count - 1);
	ps->slots[i] = at;
}

// Entries after the hole move back unless that would put one in front of its own slot.
static void slots_remove(struct mr_producers *ps, int64_t id)
{
	uint32_t mask = ps->slots_count - 1, hole = slot_of(ps, id);

	while (ps->entries[ps->slots[hole]].id != id)
		hole = (hole + 1) & mask;
	for (uint32_t i = (hole + 1) & mask; ps->slots[i] != NONE; i = (i + 1) & mask) {
		uint32_t home = slot_of(ps, ps->entries[ps->slots[i]].id);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			ps->slots[hole] = ps->slots[i];
			hole = i;
		}
	}
	ps->slots[hole] = NONE;
}

static void list_remove(struct mr_producers *ps, uint32_t at)
{
	struct entry *e = &ps->entries[at];

	*(e->older == NONE ? &ps->oldest : &ps->entries[e->older].newer) = e->newer;
	*(e->newer == NONE ? &ps->newest : &ps->entries[e->newer].older) = e->older;
}

static void list_append(struct mr_producers *ps, uint32_t at)
{
	struct entry *e = &ps->entries[at];

	e->older = ps->newest;
	e->newer = NONE;
	*(ps->newest == NONE ? &ps->oldest : &ps->entries[ps->newest].newer) = at;
	ps->newest = at;
}

static void drop(struct mr_producers *ps, uint32_t at)
{
	slots_remove(ps, ps->entries[at].id);
	list_remove(ps, at);
	ps->entries[at].newer = ps->free;
	ps->free = at;
	ps->count--;
}

static void clear(struct mr_producers *ps)
{
	ps->count = 0;
	ps->oldest = ps->newest = ps->free = NONE;
	for (uint32_t i = 0; i < ps->slots_count; i++)
		ps->slots[i] = NONE;
	for (uint32_t i = ps->entries_max; i-- > 0;) {
		ps->entries[i].newer = ps->free;
		ps->free = i;
	}
}

static int grow(struct mr_producers *ps)
{
	uint32_t max = ps->entries_max ? ps->entries_max * 2 : ENTRIES_MIN;
	uint32_t slots_count = max * 2;
	struct entry *entries = realloc(ps->entries, max * sizeof(*entries));
	uint32_t *slots;

	if (!entries)
		return -ENOMEM;
	ps->entries = entries;
	slots = malloc(slots_count * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots, 0xff, slots_count * sizeof(*slots));
	free(ps->slots);
	ps->slots = slots;
	ps->slots_count = slots_count;
	for (uint32_t i = max; i-- > ps->entries_max;) {
		entries[i].newer = ps->free;
		ps->free = i;
	}
	ps->entries_max = max;
	for (uint32_t at = ps->oldest; at != NONE; at = entries[at].newer)
		slots_add(ps, at);
	return 0;
}

int mr_producers_create(uint32_t producers_max, int64_t expiry_ms, struct mr_producers **out)
{
	struct mr_producers *ps = calloc(1, sizeof(*ps));

	if (!ps)
		return -ENOMEM;
	MR_ASSERT(producers_max > 0 && producers_max < NONE / 4);
	ps->producers_max = producers_max;
	ps->expiry_ms = expiry_ms;
	clear(ps);
	*out = ps;
	return 0;
}

void mr_producers_destroy(struct mr_producers *ps)
{
	if (!ps)
		return;
	free(ps->entries);
	free(ps->slots);
	free(ps);
}

static bool is_expired(const struct mr_producers *ps, const struct entry *e, int64_t now_ms)
{
	return now_ms - e->last_ms > ps->expiry_ms;
}

void mr_producers_expire(struct mr_producers *ps, int64_t now_ms)
{
	while (ps->oldest != NONE && is_expired(ps, &ps->entries[ps->oldest], now_ms)) {
		drop(ps, ps->oldest);
		ps->stats.expired++;
	}
}

// A batch of a known producer in its known epoch.
static int16_t check_sequence(
	const struct entry *e, const struct mr_producer_batch *b, int64_t *duplicate_offset)
{
	int32_t last = sequence_add(b->base_sequence, b->count - 1);
	int32_t next = sequence_add(e->kept[e->kept_count - 1].last, 1);
	uint32_t behind = sequence_ahead(next, b->base_sequence);
	uint32_t kept_back = sequence_ahead(next, e->kept[0].first);

	for (int i = 0; i < e->kept_count; i++) {
		if (e->kept[i].first == b->base_sequence && e->kept[i].last == last) {
			*duplicate_offset = e->kept[i].base_offset;
			return MR_KAFKA_NONE;
		}
	}
	if (behind == 0)
		return MR_KAFKA_NONE;
	// Wholly before what is kept, and yet in the unbroken run that ends there.
	if (behind <= e->records && behind - kept_back >= (uint32_t)b->count && behind > kept_back)
		return MR_KAFKA_DUPLICATE_SEQUENCE_NUMBER;
	return MR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

int16_t mr_producers_check(struct mr_producers *ps, const struct mr_producer_batch *b,
	int64_t now_ms, int64_t *duplicate_offset)
{
	uint32_t at = find(ps, b->producer_id);
	const struct entry *e = at == NONE ? NULL : &ps->entries[at];
	int16_t error;

	*duplicate_offset = -1;
	if (!e || is_expired(ps, e, now_ms))
		return MR_KAFKA_NONE;
	if (b->epoch < e->epoch)
		return MR_KAFKA_INVALID_PRODUCER_EPOCH;
	if (b->epoch > e->epoch)
		error = b->base_sequence == 0 ? MR_KAFKA_NONE
					      : MR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
	else
		error = check_sequence(e, b, duplicate_offset);
	ps->stats.duplicates +=
		error == MR_KAFKA_DUPLICATE_SEQUENCE_NUMBER || *duplicate_offset >= 0;
	ps->stats.out_of_order += error == MR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
	return error;
}

// An entry for a new producer, at the newest end.
static int insert(struct mr_producers *ps, int64_t id, uint32_t *out)
{
	uint32_t at;

	if (ps->count == ps->producers_max) {
		drop(ps, ps->oldest);
		ps->stats.evicted++;
	}
	if (ps->free == NONE) {
		int err = grow(ps);

		if (err)
			return err;
	}
	at = ps->free;
	ps->free = ps->entries[at].newer;
	ps->entries[at] = (struct entry){.id = id};
	slots_add(ps, at);
	list_append(ps, at);
	ps->count++;
	*out = at;
	return 0;
}

static void keep(struct entry *e, const struct mr_producer_batch *b, int64_t base_offset)
{
	bool follows = e->kept_count > 0 && e->epoch == b->epoch &&
		       sequence_add(e->kept[e->kept_count - 1].last, 1) == b->base_sequence;

	if (!follows) {
		e->kept_count = 0;
		e->records = 0;
	}
	if (e->kept_count == MR_PRODUCER_WINDOW) {
		memmove(e->kept, e->kept + 1, (MR_PRODUCER_WINDOW - 1) * sizeof(e->kept[0]));
		e->kept_count--;
	}
	e->kept[e->kept_count++] = (struct kept){
		b->base_sequence,
		sequence_add(b->base_sequence, b->count - 1),
		base_offset,
	};
	e->records = MR_MIN(e->records + (uint32_t)b->count, RECORDS_CERTAIN);
	e->epoch = b->epoch;
}

int mr_producers_commit(struct mr_producers *ps, const struct mr_producer_batch *b,
	int64_t base_offset, int64_t now_ms)
{
	uint32_t at;

	MR_ASSERT(b->producer_id >= 0 && b->epoch >= 0 && b->base_sequence >= 0 && b->count > 0);
	mr_producers_expire(ps, now_ms);
	at = find(ps, b->producer_id);
	if (at == NONE) {
		int err = insert(ps, b->producer_id, &at);

		if (err)
			return err;
	} else {
		list_remove(ps, at);
		list_append(ps, at);
	}
	keep(&ps->entries[at], b, base_offset);
	ps->entries[at].last_ms = now_ms;
	return 0;
}

struct mr_producers_stats mr_producers_stats(const struct mr_producers *ps)
{
	struct mr_producers_stats s = ps->stats;

	s.known = ps->count;
	return s;
}

static void save_entry(const struct entry *e, struct mr_buf *out)
{
	mr_buf_le64(out, (uint64_t)e->id);
	mr_buf_le64(out, (uint64_t)e->last_ms);
	mr_buf_le32(out, e->records);
	mr_buf_le16(out, (uint16_t)e->epoch);
	mr_buf_le16(out, 0);
	mr_buf_le32(out, e->kept_count);
	for (int i = 0; i < e->kept_count; i++) {
		mr_buf_le32(out, (uint32_t)e->kept[i].first);
		mr_buf_le32(out, (uint32_t)e->kept[i].last);
		mr_buf_le64(out, (uint64_t)e->kept[i].base_offset);
	}
}

// version u32, count u32, then entries from the longest quiet on.
void mr_producers_save(const struct mr_producers *ps, struct mr_buf *out)
{
	mr_buf_le32(out, FORMAT_VERSION);
	mr_buf_le32(out, ps->count);
	for (uint32_t at = ps->oldest; at != NONE; at = ps->entries[at].newer)
		save_entry(&ps->entries[at], out);
}

static bool load_entry(struct mr_reader *r, struct entry *e)
{
	uint32_t kept_count;

	e->id = (int64_t)mr_read_le64(r);
	e->last_ms = (int64_t)mr_read_le64(r);
	e->records = mr_read_le32(r);
	e->epoch = (int16_t)mr_read_le16(r);
	mr_read_le16(r);
	kept_count = mr_read_le32(r);
	if (r->bad || e->id < 0 || e->last_ms < 0 || e->epoch < 0 || e->records > RECORDS_CERTAIN ||
		kept_count == 0 || kept_count > MR_PRODUCER_WINDOW)
		return false;
	e->kept_count = (uint8_t)kept_count;
	for (int i = 0; i < e->kept_count; i++) {
		e->kept[i].first = (int32_t)mr_read_le32(r);
		e->kept[i].last = (int32_t)mr_read_le32(r);
		e->kept[i].base_offset = (int64_t)mr_read_le64(r);
		if (e->kept[i].first < 0 || e->kept[i].last < 0 || e->kept[i].base_offset < 0)
			return false;
	}
	return !r->bad;
}

static int load_entries(struct mr_producers *ps, struct mr_reader *r, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct entry e = {0}, *to;
		uint32_t at;
		int err;

		if (!load_entry(r, &e) || find(ps, e.id) != NONE)
			return MR_ERR_CORRUPT;
		err = insert(ps, e.id, &at);
		if (err)
			return err;
		to = &ps->entries[at];
		to->last_ms = e.last_ms;
		to->records = e.records;
		to->epoch = e.epoch;
		to->kept_count = e.kept_count;
		memcpy(to->kept, e.kept, sizeof(to->kept));
	}
	return mr_read_left(r) == 0 ? 0 : MR_ERR_CORRUPT;
}

int mr_producers_load(struct mr_producers *ps, struct mr_span in)
{
	struct mr_reader r = mr_reader(in);
	uint32_t version = mr_read_le32(&r), count = mr_read_le32(&r);
	uint64_t evicted = ps->stats.evicted;
	int err;

	clear(ps);
	if (!r.bad && version != FORMAT_VERSION)
		return MR_ERR_VERSION;
	if (r.bad || count > mr_read_left(&r) / (ENTRY_FIXED + BATCH_BYTES))
		return MR_ERR_CORRUPT;
	err = load_entries(ps, &r, count);
	ps->stats.evicted = evicted;
	if (err)
		clear(ps);
	return err;
}
