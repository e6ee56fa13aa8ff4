// Where batches are, and what there is: answered from memory, or not yet (log_cache.c).
//
// A partition's history is one ordered list of runs over all ended files (log_runs.c), so an offset
// costs two binary searches: which run, which batch in it.
#include "storage/log_writer_int.h"

#include <errno.h>

static void fill_info(const struct mr_log_meta *m, struct mr_log_info *out)
{
	*out = (struct mr_log_info){
		.id = m->id, .open = m->open, .is_long = m->is_long, .lsn_first = UINT64_MAX};
	for (size_t i = 0; i < m->files.count; i++) {
		const struct mr_log_file *f = mr_log_at_file(&m->files, i);

		out->bytes += f->disk_bytes;
		if (!mr_log_file_ended(f))
			continue;
		out->lsn_first = MR_MIN(out->lsn_first, f->first_lsn);
		if (f->end_lsn > f->first_lsn)
			out->lsn_last = MR_MAX(out->lsn_last, f->first_lsn);
		out->lsn_end = MR_MAX(out->lsn_end, f->end_lsn);
	}
	if (m->sealed)
		out->lsn_end = m->end_lsn;
	if (out->lsn_first == UINT64_MAX)
		out->lsn_first = out->lsn_end;
	out->lsn_last = MR_MAX(out->lsn_last, out->lsn_first);
}

size_t mr_log_store_logs(struct mr_log_store *s, struct mr_log_info *out, size_t max)
{
	size_t count;

	pthread_mutex_lock(&s->lock);
	count = s->logs.count;
	for (size_t i = 0; i < MR_MIN(count, max); i++)
		fill_info(mr_log_at_log(&s->logs, i), &out[i]);
	pthread_mutex_unlock(&s->lock);
	return count;
}

size_t mr_log_store_files(struct mr_log_store *s, struct mr_log_file_info *out, size_t max)
{
	size_t count;

	pthread_mutex_lock(&s->lock);
	count = s->files.count;
	for (size_t i = 0; i < MR_MIN(count, max); i++) {
		const struct mr_log_file *f = mr_log_at_file(&s->files, i);
		bool ended = mr_log_file_ended(f);

		out[i] = (struct mr_log_file_info){
			.id = f->id,
			.log_id = f->log_id,
			.sequence = f->sequence,
			.bytes = f->disk_bytes,
			.bytes_live = ended ? f->bytes_live : 0,
			.batches = ended ? f->entry_count : 0,
			.sealed = f->state == MR_LOG_FILE_SEALED,
			.is_long = mr_log_store_log(s, f->log_id)->is_long,
		};
	}
	pthread_mutex_unlock(&s->lock);
	return count;
}

static void fill_entry(
	const struct mr_log_file *f, const struct mr_log_index_entry *e, struct mr_log_entry *out)
{
	*out = (struct mr_log_entry){
		f->log_id, e->lsn, e->bytes, e->offset_count, e->base_offset, e->max_timestamp_ms};
}

// The question: a batch that ends above an offset, and perhaps is at or after a time.
struct want {
	int64_t offset;
	bool by_time;
	int64_t time_ms;
};

static bool answers(const struct mr_log_index_entry *e, const struct want *w)
{
	return e->base_offset + e->offset_count > w->offset &&
	       (!w->by_time || e->max_timestamp_ms >= w->time_ms);
}

// The first entry of the run that answers. Offsets rise, times need not.
static const struct mr_log_index_entry *find_in(const struct mr_log_run *run, const struct want *w)
{
	const struct mr_log_index_entry *e = run->file->entries + run->first;
	size_t low = 0, high = run->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (e[mid].base_offset + e[mid].offset_count > w->offset)
			high = mid;
		else
			low = mid + 1;
	}
	while (low < run->count && !answers(&e[low], w))
		low++;
	return low < run->count ? &e[low] : NULL;
}

const struct mr_log_part *mr_log_part_find(
	const struct mr_log_store *s, struct mr_uuid topic, int32_t partition)
{
	uint32_t part;

	return mr_log_map_find(&s->part_map, topic, partition, &part) ? &s->parts[part] : NULL;
}

int mr_log_entry_at(struct mr_log_store *s, struct mr_uuid topic, int32_t partition, int64_t offset,
	struct mr_log_file **file, const struct mr_log_index_entry **out)
{
	const struct mr_log_part *p = mr_log_part_find(s, topic, partition);
	size_t at = p ? mr_log_run_above(p, offset) : 0;
	int rc;

	if (!p || at == p->run_end)
		return -ENOENT;
	*file = p->runs[at]->file;
	rc = mr_log_index_want(s, *file);
	if (rc)
		return rc;
	*out = find_in(p->runs[at], &(struct want){.offset = offset});
	return *out ? 0 : -ENOENT;
}

static int store_find(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	const struct want *w, struct mr_log_entry *out)
{
	const struct mr_log_index_entry *e = NULL;
	const struct mr_log_part *p;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	p = mr_log_part_find(s, topic, partition);
	for (size_t i = p ? mr_log_run_above(p, w->offset) : 0; p && i < p->run_end && !e; i++) {
		const struct mr_log_run *run = p->runs[i];

		if (w->by_time && run->max_timestamp_ms < w->time_ms)
			continue;
		rc = mr_log_index_want(s, run->file);
		if (rc)
			break;
		e = find_in(run, w);
		if (e)
			fill_entry(run->file, e, out);
	}
	pthread_mutex_unlock(&s->lock);
	return e ? 0 : rc ? rc : -ENOENT;
}

int mr_log_store_find(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	int64_t offset, struct mr_log_entry *out)
{
	return store_find(s, topic, partition, &(struct want){.offset = offset}, out);
}

// The first entry of the ref in a file being written that answers.
static const struct mr_log_index_entry *find_active(
	const struct mr_log_file *f, const struct mr_log_refs *r, const struct want *w)
{
	uint32_t low = 0, high = r->count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		const struct mr_log_index_entry *e = &f->entries[r->at[mid]];

		if (e->base_offset + e->offset_count > w->offset)
			high = mid;
		else
			low = mid + 1;
	}
	while (low < r->count && !answers(&f->entries[r->at[low]], w))
		low++;
	return low < r->count ? &f->entries[r->at[low]] : NULL;
}

// Ended files first, then those that the writer still holds, whose entries are by lsn.
static int log_find(struct mr_log *log, struct mr_uuid topic, int32_t partition,
	const struct want *w, struct mr_log_entry *out)
{
	int rc = store_find(log->store, topic, partition, w, out);
	uint32_t ref;

	if (rc != -ENOENT)
		return rc;
	if (!mr_log_map_find(&log->binding_map, topic, partition, &ref))
		return -ENOENT;
	for (size_t i = 0; i < log->file_count; i++) {
		const struct mr_log_index_entry *e;

		rc = mr_log_refs_update(log->files[i], log->binding_count);
		if (rc)
			return rc;
		e = find_active(log->files[i], &log->files[i]->refs[ref], w);
		if (e) {
			fill_entry(log->files[i], e, out);
			return 0;
		}
	}
	return -ENOENT;
}

int mr_log_find(struct mr_log *log, struct mr_uuid topic, int32_t partition, int64_t offset,
	struct mr_log_entry *out)
{
	return log_find(log, topic, partition, &(struct want){.offset = offset}, out);
}

int mr_log_find_time(struct mr_log *log, struct mr_uuid topic, int32_t partition, int64_t offset,
	int64_t timestamp_ms, struct mr_log_entry *out)
{
	return log_find(log, topic, partition, &(struct want){offset, true, timestamp_ms}, out);
}

void mr_log_store_extent(
	struct mr_log_store *s, struct mr_uuid topic, int32_t partition, struct mr_log_extent *out)
{
	const struct mr_log_part *p;

	*out = (struct mr_log_extent){.offset_first = -1, .offset_end = -1};
	pthread_mutex_lock(&s->lock);
	p = mr_log_part_find(s, topic, partition);
	if (p && p->run_first < p->run_end) {
		out->offset_first = p->runs[p->run_first]->offset_first;
		out->offset_end = p->runs[p->run_end - 1]->offset_end;
		out->max_timestamp_ms = INT64_MIN;
	}
	for (size_t i = p ? p->run_first : 0; p && i < p->run_end; i++) {
		const struct mr_log_run *run = p->runs[i];

		out->max_timestamp_ms = MR_MAX(out->max_timestamp_ms, run->max_timestamp_ms);
		out->batches += run->count;
		out->bytes += run->bytes_live;
	}
	pthread_mutex_unlock(&s->lock);
}

struct mr_log_store_stats mr_log_store_stats(struct mr_log_store *s)
{
	struct mr_log_store_stats st;

	pthread_mutex_lock(&s->lock);
	st = s->stats;
	st.logs = s->logs.count;
	st.files = s->files.count;
	st.files_open = s->open;
	st.runs_bytes = s->runs_bytes;
	st.files_spare = s->spare_count;
	st.bytes = s->spare_count * s->options.file_bytes;
	for (size_t i = 0; i < s->files.count; i++) {
		const struct mr_log_file *f = mr_log_at_file(&s->files, i);

		st.bytes += f->disk_bytes;
		if (!mr_log_file_ended(f))
			continue;
		st.bytes_live += f->bytes_live;
		st.bytes_dead += f->disk_bytes - MR_MIN(f->disk_bytes, f->bytes_live);
	}
	pthread_mutex_unlock(&s->lock);
	return st;
}
