// The entries of a file that ended, from its INDEX frames, or from all of its frames where it has
// none: at start, and whenever the index of a file is wanted that is not in memory.
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

int mr_log_damaged(struct mr_diag *diag, const struct mr_log_file *f, uint64_t lsn)
{
	return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
		"file \"log/%016llx.mlog\" offset %llu: log is damaged (log %llu, lsn %llu)",
		(unsigned long long)f->id, (unsigned long long)mr_log_file_offset(f, lsn),
		(unsigned long long)f->log_id, (unsigned long long)lsn);
}

int mr_log_too_new(struct mr_diag *diag, const struct mr_log_file *f, const char *what)
{
	return mr_diag_set(diag, MR_ERR_VERSION, "XX000", 0,
		"file \"log/%016llx.mlog\": %s is newer than this program or unknown",
		(unsigned long long)f->id, what);
}

static int gather_binding(struct mr_log_gather *g, const struct mr_log_binding *b)
{
	if (b->ref > 1u << 24)
		return MR_ERR_CORRUPT;
	if (b->ref >= g->count) {
		size_t count = MR_MAX((size_t)b->ref + 1, g->count * 2);
		void *grown = realloc(g->parts, count * sizeof(*g->parts));

		if (!grown)
			return -ENOMEM;
		g->parts = (uint32_t *)grown;
		memset(g->parts + g->count, 0xff, (count - g->count) * sizeof(*g->parts));
		g->count = count;
	}
	pthread_mutex_lock(&g->store->lock);
	g->parts[b->ref] = mr_log_part_get(g->store, b->topic, b->partition);
	pthread_mutex_unlock(&g->store->lock);
	return 0;
}

static int gather_bindings(struct mr_log_gather *g, struct mr_reader *r, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++) {
		struct mr_log_binding b;
		const uint8_t *p = mr_read_bytes(r, sizeof(b));

		if (!p)
			return MR_ERR_CORRUPT;
		memcpy(&b, p, sizeof(b));
		rc = gather_binding(g, &b);
	}
	return rc;
}

static int gather_index(struct mr_log_gather *g, struct mr_span payload)
{
	struct mr_reader r = mr_reader(payload);
	uint32_t bindings = mr_read_le32(&r);
	uint32_t entries = mr_read_le32(&r);
	int rc;

	if (r.bad)
		return MR_ERR_CORRUPT;
	rc = gather_bindings(g, &r, bindings);
	for (uint32_t i = 0; i < entries && !rc; i++) {
		struct mr_log_index_entry e;
		const uint8_t *p = mr_read_bytes(&r, sizeof(e));
		struct mr_log_record rec;

		if (!p)
			return MR_ERR_CORRUPT;
		memcpy(&e, p, sizeof(e));
		rec = (struct mr_log_record){
			.partition_ref = e.ref,
			.bytes = e.bytes,
			.base_offset = e.base_offset,
			.max_timestamp_ms = e.max_timestamp_ms,
			.offset_count = e.offset_count,
		};
		rc = g->index_only && !g->bindings_only ? mr_log_entry_add(g->file, &rec, e.lsn)
							: 0;
	}
	return rc ? rc : mr_read_left(&r) ? (int)MR_ERR_CORRUPT : 0;
}

static int gather_record(struct mr_log_gather *g, const struct mr_log_record *rec, uint64_t lsn)
{
	struct mr_reader r = mr_reader(mr_log_payload_span(rec));
	int rc = mr_log_record_known(g->store, rec);

	if (rc)
		return rc;
	if (rec->checksum != mr_log_record_checksum(rec))
		return MR_ERR_CORRUPT;
	if (rec->type == MR_LOG_PARTITION)
		return gather_bindings(g, &r, rec->bytes / sizeof(struct mr_log_binding));
	if (rec->type == MR_LOG_INDEX)
		return gather_index(g, mr_log_payload_span(rec));
	if (rec->type == MR_LOG_BATCH && !g->index_only)
		return mr_log_entry_add(g->file, rec, lsn);
	return 0;
}

static int gather_frame(struct mr_log_gather *g, const struct mr_log_frame *f)
{
	struct mr_reader r = mr_reader(mr_span(f + 1, f->bytes));
	uint32_t records = 0;

	while (mr_read_left(&r)) {
		uint64_t lsn = f->lsn + (uint64_t)(r.at - (const uint8_t *)f);
		const struct mr_log_record *rec = mr_log_record_next(&r);
		int rc = rec ? gather_record(g, rec, lsn) : (int)MR_ERR_CORRUPT;

		if (rc)
			return rc;
		records++;
	}
	return records == f->records ? 0 : MR_ERR_CORRUPT;
}

// Reads frames from scan->lsn to the break or the limit.
int mr_log_gather_frames(struct mr_log_gather *g, struct mr_log_scan *scan, struct mr_diag *diag)
{
	const struct mr_log_frame *f;
	int rc = 0;

	while (!rc && scan->lsn < scan->limit) {
		uint64_t lsn = scan->lsn;

		rc = mr_log_scan_next(scan, &f);
		if (rc == MR_ERR_VERSION)
			return mr_log_too_new(diag, g->file, "a frame");
		if (rc || !f)
			return rc;
		rc = gather_frame(g, f);
		if (rc == MR_ERR_VERSION)
			return mr_log_too_new(diag, g->file, "a record");
		if (rc == MR_ERR_CORRUPT)
			return mr_log_damaged(diag, g->file, lsn);
	}
	return rc;
}

// The file before in the log that has frames, pinned, or NULL.
static struct mr_log_file *file_before(struct mr_log_store *s, const struct mr_log_file *file)
{
	struct mr_log_file *before = NULL;
	const struct mr_log_meta *m;

	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, file->log_id);
	for (size_t i = 0; m && i < m->files.count; i++) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i);

		if (f->sequence >= file->sequence)
			break;
		if (f->head_known && f->end_lsn > f->first_lsn)
			before = f;
	}
	if (before)
		mr_log_file_pin(before);
	pthread_mutex_unlock(&s->lock);
	return before;
}

// A binding made in an earlier file is repeated at the start of each, except of one that took over.
int mr_log_gather_previous(struct mr_log_gather *g, struct mr_diag *diag)
{
	struct mr_log_file *before;
	struct mr_log_gather earlier;
	struct mr_log_scan scan;
	int rc;

	if (!g->file->continues)
		return 0;
	before = file_before(g->store, g->file);
	if (!before)
		return 0;
	earlier = (struct mr_log_gather){g->store, before, g->parts, g->count, true, true};
	rc = mr_log_gather_previous(&earlier, diag);
	if (!rc)
		rc = mr_log_file_open(g->store, before);
	mr_log_scan_init(&scan, before, before->first_lsn, before->end_lsn);
	if (!rc)
		rc = mr_log_gather_frames(&earlier, &scan, diag);
	mr_log_scan_fini(&scan);
	mr_log_file_unpin(g->store, before);
	g->parts = earlier.parts;
	g->count = earlier.count;
	return rc;
}

static int gather_range(struct mr_log_gather *g, uint64_t from, uint64_t to, struct mr_diag *diag)
{
	struct mr_log_file *f = g->file;
	struct mr_log_scan scan;
	int rc;

	mr_log_scan_init(&scan, f, from, to);
	rc = mr_log_gather_frames(g, &scan, diag);
	if (!rc && scan.lsn != to)
		rc = mr_log_damaged(diag, f, scan.lsn);
	if (!rc && to == f->end_lsn && to > f->first_lsn && scan.previous != f->last_checksum)
		rc = mr_log_damaged(diag, f, to);
	mr_log_scan_fini(&scan);
	return rc;
}

int mr_log_gather_file(
	struct mr_log_store *s, struct mr_log_file *f, bool by_index, struct mr_diag *diag)
{
	struct mr_log_gather g = {.store = s, .file = f, .index_only = by_index};
	uint64_t from = by_index ? f->index_lsn : f->first_lsn, to = f->end_lsn;
	int rc;

	// Without its INDEX frames, those before them say the same.
	if (!by_index && f->index_lsn != MR_LOG_NO_LSN)
		to = f->index_lsn;
	if (from < f->first_lsn || from > f->end_lsn || to < from || to > f->end_lsn)
		rc = mr_log_damaged(diag, f, f->first_lsn);
	else
		rc = by_index ? 0 : mr_log_gather_previous(&g, diag);
	if (!rc)
		rc = gather_range(&g, from, to, diag);
	if (!rc)
		rc = mr_log_file_index(f, g.parts, g.count);
	free(g.parts);
	return rc;
}
