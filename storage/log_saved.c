// Runs of ended files in the manifest: what a file has of each partition, as 72 bytes.
//
// With them a start knows what there is, what of it is alive and which file holds which offsets,
// and reads no INDEX frames: it costs memory and time by runs, of which a file has one for each
// partition, and not by batches. Files without such a record (of an older program, or beyond
// MR_LOG_RUNS_BYTES) are read as ever, and get theirs in the background.
//
// A partition's number in memory changes from life to life, so a record names topics, and the
// places of a run's batches among all of the file's follow from the order of its parts. When the
// batches are read one day, their runs must be these, or the file is damaged (log_cache.c).
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

enum { HEAD_BYTES = 16, RUN_BYTES = 72 };

static uint64_t saved_bytes(const struct mr_log_file *f)
{
	return HEAD_BYTES + f->run_count * RUN_BYTES;
}

bool mr_log_runs_may_save(
	const struct mr_log_store *s, const struct mr_log_file *f, uint64_t pending_bytes)
{
	return f->indexed && !f->runs_saved &&
	       s->runs_bytes + pending_bytes + saved_bytes(f) <= MR_LOG_RUNS_BYTES;
}

void mr_log_runs_save(const struct mr_log_store *s, const struct mr_log_file *f, struct mr_buf *out)
{
	mr_buf_le64(out, f->id);
	mr_buf_le32(out, (uint32_t)f->run_count);
	mr_buf_le32(out, 0);
	for (size_t i = 0; i < f->run_count; i++) {
		const struct mr_log_run *r = &f->runs[i];
		const struct mr_log_part *p = &s->parts[r->part];

		mr_buf_add(out, &p->topic, sizeof(p->topic));
		mr_buf_le32(out, (uint32_t)p->partition);
		mr_buf_le32(out, r->count);
		mr_buf_le64(out, (uint64_t)r->offset_first);
		mr_buf_le64(out, (uint64_t)r->offset_end);
		mr_buf_le64(out, (uint64_t)r->max_timestamp_ms);
		mr_buf_le64(out, (uint64_t)r->min_timestamp_ms);
		mr_buf_le64(out, r->bytes);
		mr_buf_le64(out, r->records);
	}
}

static int load_run(
	struct mr_log_store *s, struct mr_log_file *f, struct mr_log_run *r, struct mr_reader *in)
{
	const uint8_t *topic = mr_read_bytes(in, sizeof(struct mr_uuid));
	int32_t partition = (int32_t)mr_read_le32(in);
	struct mr_uuid id;

	*r = (struct mr_log_run){.file = f,
		.count = mr_read_le32(in),
		.offset_first = (int64_t)mr_read_le64(in),
		.offset_end = (int64_t)mr_read_le64(in),
		.max_timestamp_ms = (int64_t)mr_read_le64(in),
		.min_timestamp_ms = (int64_t)mr_read_le64(in),
		.bytes = mr_read_le64(in),
		.records = mr_read_le64(in)};
	if (in->bad || !r->count || r->offset_first >= r->offset_end || r->bytes > r->records ||
		r->records > f->end_lsn - f->first_lsn)
		return MR_ERR_CORRUPT;
	memcpy(&id, topic, sizeof(id));
	r->part = mr_log_part_get(s, id, partition);
	r->bytes_live = r->bytes;
	r->records_live = r->records;
	return 0;
}

static int by_part_and_offset(const void *a, const void *b)
{
	const struct mr_log_run *x = (const struct mr_log_run *)a;
	const struct mr_log_run *y = (const struct mr_log_run *)b;

	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	return (x->offset_first > y->offset_first) - (x->offset_first < y->offset_first);
}

static int load_runs(
	struct mr_log_store *s, struct mr_log_file *f, struct mr_reader *in, uint32_t n)
{
	int rc = 0;

	f->runs = (struct mr_log_run *)calloc((size_t)n + 1, sizeof(*f->runs));
	if (!f->runs)
		return -ENOMEM;
	for (f->run_count = 0; f->run_count < n && !rc; f->run_count += !rc)
		rc = load_run(s, f, &f->runs[f->run_count], in);
	if (rc)
		return rc;
	if (n)
		qsort(f->runs, n, sizeof(*f->runs), by_part_and_offset);
	for (uint32_t i = 0; i < n; i++) {
		f->runs[i].first = f->runs[i].live = f->entry_count;
		f->entry_count += f->runs[i].count;
		f->bytes_live += f->runs[i].records;
	}
	return f->bytes_live <= f->end_lsn - f->first_lsn ? 0 : (int)MR_ERR_CORRUPT;
}

int mr_log_runs_load(struct mr_log_store *s, struct mr_span payload)
{
	struct mr_reader in = mr_reader(payload);
	struct mr_log_file *f = mr_log_store_file(s, mr_read_le64(&in));
	uint32_t n = mr_read_le32(&in);
	int rc;

	if (mr_read_le32(&in) || in.bad || !f || f->state != MR_LOG_FILE_SEALED || f->runs_saved ||
		mr_read_left(&in) != (size_t)n * RUN_BYTES)
		return MR_ERR_CORRUPT;
	if (!f->runs) {
		rc = load_runs(s, f, &in, n);
		if (rc) {
			mr_log_file_index_free(f);
			f->bytes_live = 0;
			return rc;
		}
	}
	f->runs_saved = true;
	s->runs_bytes += payload.bytes;
	return 0;
}

void mr_log_runs_forget(struct mr_log_store *s, const struct mr_log_file *f)
{
	if (f->runs_saved)
		s->runs_bytes -= saved_bytes(f);
}
