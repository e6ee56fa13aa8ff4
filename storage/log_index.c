// Where batches are: the dense index of each file, and the store's table of partitions.
//
// A file's entries arrive by lsn. While it is being written, whoever looks something up in it
// brings lists of each partition's entries up to date. When the file has ended the entries are
// grouped by partition with a counting sort, which keeps each partition's in offset order because
// that is how they were appended.
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

uint32_t mr_log_part_get(struct mr_log_store *s, struct mr_uuid topic, int32_t partition)
{
	uint32_t part;

	if (mr_log_map_find(&s->part_map, topic, partition, &part))
		return part;
	part = (uint32_t)s->part_count;
	if (s->part_count == s->part_max) {
		size_t max = s->part_max ? s->part_max * 2 : 64;

		s->parts = (struct mr_log_part *)realloc(s->parts, max * sizeof(*s->parts));
		s->part_max = max;
	}
	// One entry for each partition of the machine: without memory for that nothing works.
	MR_ASSERT(s->parts && !mr_log_map_add(&s->part_map, topic, partition, part));
	s->parts[s->part_count++] = (struct mr_log_part){
		.topic = topic, .partition = partition, .retain_offset = INT64_MIN};
	return part;
}

int mr_log_entry_add(struct mr_log_file *f, const struct mr_log_record *r, uint64_t lsn)
{
	if (f->entry_count == f->entry_max) {
		size_t max = MR_MAX((size_t)256, f->entry_max + f->entry_max / 4);
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

uint64_t mr_log_file_index_bytes(const struct mr_log_file *f)
{
	uint64_t bytes = f->entry_max * sizeof(*f->entries) + f->ref_count * sizeof(*f->refs);

	for (size_t i = 0; i < f->ref_count; i++)
		bytes += f->refs[i].max * sizeof(*f->refs[i].at);
	return bytes;
}

void mr_log_file_index_free(struct mr_log_file *f)
{
	mr_log_refs_free(f);
	free(f->entries);
	free(f->runs);
	f->entries = NULL;
	f->runs = NULL;
	f->entry_count = f->entry_max = f->run_count = 0;
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

// By partition, keeping their order in each: a counting sort.
static int sort_entries(struct mr_log_file *f)
{
	struct mr_log_index_entry *sorted =
		(struct mr_log_index_entry *)calloc(f->entry_count + 1, sizeof(*sorted));
	uint32_t part_limit = 0;
	size_t *at; // part -> its next place
	size_t place = 0;

	for (size_t i = 0; i < f->entry_count; i++)
		part_limit = MR_MAX(part_limit, f->entries[i].ref + 1);
	at = (size_t *)calloc((size_t)part_limit + 1, sizeof(*at));
	if (!at || !sorted) {
		free(at);
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < f->entry_count; i++)
		at[f->entries[i].ref]++;
	for (uint32_t p = 0; p < part_limit; p++) {
		size_t count = at[p];

		at[p] = place;
		place += count;
	}
	for (size_t i = 0; i < f->entry_count; i++)
		sorted[at[f->entries[i].ref]++] = f->entries[i];
	free(at);
	free(f->entries);
	f->entries = sorted;
	f->entry_max = f->entry_count + 1;
	return 0;
}

// Whether entry `i` of the sorted goes on where the one before it ends.
static bool goes_on(const struct mr_log_file *f, size_t i)
{
	const struct mr_log_index_entry *e = &f->entries[i], *before = e - 1;

	return i && before->ref == e->ref &&
	       before->base_offset + before->offset_count == e->base_offset;
}

static void run_add(
	struct mr_log_run *run, struct mr_log_file *f, size_t i, const struct mr_log_index_entry *e)
{
	if (run->count == 0)
		*run = (struct mr_log_run){.file = f,
			.part = e->ref,
			.first = i,
			.live = i,
			.offset_first = e->base_offset,
			.max_timestamp_ms = e->max_timestamp_ms,
			.min_timestamp_ms = e->max_timestamp_ms};
	run->count++;
	run->offset_end = e->base_offset + e->offset_count;
	run->max_timestamp_ms = MR_MAX(run->max_timestamp_ms, e->max_timestamp_ms);
	run->min_timestamp_ms = MR_MIN(run->min_timestamp_ms, e->max_timestamp_ms);
	run->bytes += e->bytes;
	run->records += mr_log_record_bytes(e->bytes);
	run->bytes_live = run->bytes;
	run->records_live = run->records;
	f->bytes_live += mr_log_record_bytes(e->bytes);
}

static int make_runs(struct mr_log_file *f)
{
	size_t count = 0;

	for (size_t i = 0; i < f->entry_count; i++)
		count += !goes_on(f, i);
	free(f->runs);
	f->runs = (struct mr_log_run *)calloc(count + 1, sizeof(*f->runs));
	f->run_count = 0;
	f->bytes_live = 0;
	if (!f->runs)
		return -ENOMEM;
	for (size_t i = 0; i < f->entry_count; i++) {
		f->run_count += !goes_on(f, i);
		run_add(&f->runs[f->run_count - 1], f, i, &f->entries[i]);
	}
	return 0;
}

int mr_log_file_index(struct mr_log_file *f, const uint32_t *parts_of_refs, size_t ref_count)
{
	int rc;

	mr_log_refs_free(f);
	keep_own(f, parts_of_refs, ref_count);
	rc = sort_entries(f);
	return rc ? rc : make_runs(f);
}
