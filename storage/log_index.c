// Where batches are: the dense index of each file, and the store's table of partitions.
//
// A file's entries arrive by lsn. While it is being written, whoever looks something up in it
// brings lists of each partition's entries up to date. When the file has ended the entries are
// grouped by partition with a counting sort, which keeps each partition's in offset order because
// that is how they were appended.
#include "host/base/hash.h"
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t part_hash(struct mr_uuid topic, int32_t partition)
{
	return mr_hash64(mr_load_le64(topic.b) ^ mr_load_le64(topic.b + 8) ^ (uint32_t)partition,
		MR_HASH_SEED);
}

static size_t part_slot(const struct mr_log_store *s, struct mr_uuid topic, int32_t partition)
{
	size_t at = part_hash(topic, partition) & (s->part_slot_count - 1);

	while (s->part_slots[at]) {
		const struct mr_log_part *p = &s->parts[s->part_slots[at] - 1];

		if (p->partition == partition && mr_uuid_eq(p->topic, topic))
			break;
		at = (at + 1) & (s->part_slot_count - 1);
	}
	return at;
}

bool mr_log_part_find(
	const struct mr_log_store *s, struct mr_uuid topic, int32_t partition, uint32_t *part)
{
	size_t at;

	if (!s->part_slot_count)
		return false;
	at = part_slot(s, topic, partition);
	*part = s->part_slots[at] - 1;
	return s->part_slots[at] != 0;
}

static void parts_grow(struct mr_log_store *s)
{
	size_t max = s->part_max ? s->part_max * 2 : 64;
	void *parts = realloc(s->parts, max * sizeof(*s->parts));
	uint32_t *slots = (uint32_t *)calloc(max * 2, sizeof(*slots));

	// One entry for each partition of the machine: without memory for that nothing works.
	MR_ASSERT(parts && slots);
	free(s->part_slots);
	s->parts = (struct mr_log_part *)parts;
	s->part_max = max;
	s->part_slots = slots;
	s->part_slot_count = max * 2;
	for (size_t i = 0; i < s->part_count; i++)
		slots[part_slot(s, s->parts[i].topic, s->parts[i].partition)] = (uint32_t)i + 1;
}

uint32_t mr_log_part_get(struct mr_log_store *s, struct mr_uuid topic, int32_t partition)
{
	uint32_t part;

	if (mr_log_part_find(s, topic, partition, &part))
		return part;
	if (s->part_count == s->part_max)
		parts_grow(s);
	part = (uint32_t)s->part_count++;
	s->parts[part] = (struct mr_log_part){topic, partition, INT64_MIN};
	s->part_slots[part_slot(s, topic, partition)] = part + 1;
	return part;
}

int mr_log_entry_add(struct mr_log_file *f, const struct mr_log_record *r, uint64_t lsn)
{
	if (f->entry_count == f->entry_max) {
		size_t max = MR_MAX((size_t)256, f->entry_max * 2);
		void *grown = realloc(f->entries, max * sizeof(*f->entries));

		if (!grown)
			return -ENOMEM;
		f->entries = (struct mr_log_index_entry *)grown;
		f->entry_max = max;
	}
	f->entries[f->entry_count++] = (struct mr_log_index_entry){
		.lsn = lsn,
		.base_offset = r->base_offset,
		.max_timestamp_ms = r->max_timestamp_ms,
		.ref = r->partition_ref,
		.bytes = r->bytes,
		.offset_count = r->offset_count,
	};
	return 0;
}

static int refs_add(struct mr_log_refs *r, uint32_t at)
{
	if (r->count == r->max) {
		uint32_t max = MR_MAX(16u, r->max * 2);
		void *grown = realloc(r->at, max * sizeof(*r->at));

		if (!grown)
			return -ENOMEM;
		r->at = (uint32_t *)grown;
		r->max = max;
	}
	r->at[r->count++] = at;
	return 0;
}

int mr_log_refs_update(struct mr_log_file *f, size_t ref_count)
{
	int rc = 0;

	if (f->ref_count < ref_count) {
		void *grown = realloc(f->refs, ref_count * sizeof(*f->refs));

		if (!grown)
			return -ENOMEM;
		f->refs = (struct mr_log_refs *)grown;
		memset(f->refs + f->ref_count, 0, (ref_count - f->ref_count) * sizeof(*f->refs));
		f->ref_count = ref_count;
	}
	while (!rc && f->refs_done < f->entry_count) {
		rc = refs_add(&f->refs[f->entries[f->refs_done].ref], (uint32_t)f->refs_done);
		f->refs_done += !rc;
	}
	return rc;
}

void mr_log_refs_free(struct mr_log_file *f)
{
	for (size_t i = 0; i < f->ref_count; i++)
		free(f->refs[i].at);
	free(f->refs);
	f->refs = NULL;
	f->ref_count = f->refs_done = 0;
}

void mr_log_file_index_free(struct mr_log_file *f)
{
	mr_log_refs_free(f);
	free(f->entries);
	free(f->parts);
	f->entries = NULL;
	f->parts = NULL;
	f->entry_count = f->entry_max = f->part_count = 0;
}

static void sum_add(struct mr_log_part_sum *sum, const struct mr_log_index_entry *e)
{
	if (sum->count == 0 || e->max_timestamp_ms > sum->max_timestamp_ms)
		sum->max_timestamp_ms = e->max_timestamp_ms;
	sum->offset_end = e->base_offset + e->offset_count;
	sum->bytes += e->bytes;
	sum->count++;
}

// Entries of other files (a writer that took over copies its predecessor's) and of unknown refs go.
static void keep_own(struct mr_log_file *f, const uint32_t *parts_of_refs, size_t ref_count)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->entry_count; i++) {
		struct mr_log_index_entry e = f->entries[i];

		if (e.lsn < f->first_lsn || e.lsn >= f->end_lsn || e.ref >= ref_count ||
			parts_of_refs[e.ref] == UINT32_MAX)
			continue;
		e.ref = parts_of_refs[e.ref];
		f->entries[kept++] = e;
	}
	f->entry_count = kept;
}

int mr_log_file_index(struct mr_log_file *f, const uint32_t *parts_of_refs, size_t ref_count)
{
	struct mr_log_index_entry *sorted;
	uint32_t part_limit = 0;
	uint32_t *at; // part -> its sum, then its next place
	int rc = -ENOMEM;

	mr_log_refs_free(f);
	keep_own(f, parts_of_refs, ref_count);
	f->part_count = 0;
	for (size_t i = 0; i < f->entry_count; i++)
		part_limit = MR_MAX(part_limit, f->entries[i].ref + 1);
	at = (uint32_t *)calloc(part_limit + 1, sizeof(*at));
	sorted = (struct mr_log_index_entry *)calloc(f->entry_count + 1, sizeof(*sorted));
	if (!at || !sorted)
		goto out;
	for (size_t i = 0; i < f->entry_count; i++)
		f->part_count += at[f->entries[i].ref]++ == 0;
	f->parts = (struct mr_log_part_sum *)calloc(f->part_count + 1, sizeof(*f->parts));
	if (!f->parts)
		goto out;
	for (uint32_t p = 0, n = 0, first = 0; p < part_limit; p++) {
		if (!at[p])
			continue;
		f->parts[n].part = p;
		f->parts[n].first = first;
		first += at[p];
		at[p] = n++;
	}
	for (size_t i = 0; i < f->entry_count; i++) {
		struct mr_log_part_sum *sum = &f->parts[at[f->entries[i].ref]];

		sorted[sum->first + sum->count] = f->entries[i];
		sum_add(sum, &f->entries[i]);
	}
	free(f->entries);
	f->entries = sorted;
	f->entry_max = f->entry_count + 1;
	sorted = NULL;
	rc = 0;
out:
	free(at);
	free(sorted);
	return rc;
}
