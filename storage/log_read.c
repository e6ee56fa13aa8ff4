// Reading logs: bytes of a batch from disk, and scans from start to end.
#include "storage/log_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

// Whether the file begins at or below `lsn`. Those not yet written begin behind everything.
static bool begins_below(const struct mr_log_file *f, uint64_t lsn)
{
	return (f->state == MR_LOG_FILE_ACTIVE || mr_log_file_ended(f)) && f->first_lsn <= lsn;
}

// The last file of the log that begins at or below `lsn`, or NULL.
static struct mr_log_file *file_at(const struct mr_log_meta *m, uint64_t lsn)
{
	size_t low = 0, high = m->files.count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (begins_below(mr_log_at_file(&m->files, mid), lsn))
			low = mid + 1;
		else
			high = mid;
	}
	return low ? mr_log_at_file(&m->files, low - 1) : NULL;
}

// The file that holds the place, or NULL. A writer's own file is found too, for its owner.
static struct mr_log_file *file_of(const struct mr_log_store *s, const struct mr_log_read *r)
{
	const struct mr_log_meta *m = mr_log_store_log(s, r->log_id);
	struct mr_log_file *f = m ? file_at(m, r->lsn) : NULL;

	if (f && r->lsn >= (f->state == MR_LOG_FILE_ACTIVE ? mr_log_file_end(f) : f->end_lsn))
		return NULL;
	return f;
}

// Where the batch is now; `r` says so too.
static int file_moved_to(struct mr_log_store *s, struct mr_log_read *r)
{
	const struct mr_log_index_entry *e;
	struct mr_log_file *f;
	int rc = mr_log_entry_at(s, r->topic, r->partition, r->base_offset, &f, &e);

	if (rc)
		return rc;
	if (e->base_offset != r->base_offset || mr_log_record_bytes(e->bytes) != r->bytes)
		return -ENOENT;
	r->log_id = f->log_id;
	r->lsn = e->lsn;
	r->file = f;
	return 0;
}

// Sets r->file to the one that holds the batch, pinned.
static int pin(struct mr_log_store *s, struct mr_log_read *r)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	r->file = file_of(s, r);
	if (!r->file)
		rc = file_moved_to(s, r);
	if (!rc)
		mr_log_file_pin(r->file);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int check_records(struct mr_log_read *r)
{
	struct mr_reader in = mr_reader(r->records);

	while (mr_read_left(&in)) {
		const struct mr_log_record *rec = mr_log_record_next(&in);
		int rc;

		if (!rec || rec->checksum != mr_log_record_checksum(rec))
			return MR_ERR_CORRUPT;
		rc = mr_log_record_known(r->store, rec);
		if (rc)
			return rc;
	}
	return 0;
}

// Once per file: readers may come back as often as they like.
static void say_damage(const struct mr_log_read *r, int err)
{
	if (!atomic_exchange(&r->file->damage_said, true))
		mr_note(MR_NOTE_ERR, "log", "file=log/%016llx.mlog offset=%llu error=\"%s\"",
			(unsigned long long)r->file->id,
			(unsigned long long)mr_log_file_offset(r->file, r->lsn), mr_err_text(err));
}

static void read_done(struct mr_io_op *op, int res)
{
	struct mr_log_read *r = MR_CONTAINER(op, struct mr_log_read, op);
	uint64_t skip = r->lsn % MR_IO_ALIGN;

	if (res >= 0 && (uint64_t)res < skip + r->bytes)
		res = MR_ERR_CORRUPT; // the file is shorter than its index says
	if (res >= 0) {
		r->records = mr_span(r->data + skip, r->bytes);
		res = check_records(r);
	}
	if (res < 0)
		say_damage(r, res);
	mr_log_file_unpin(r->store, r->file);
	r->done(r, res);
}

int mr_log_store_read(struct mr_log_store *s, struct mr_io *io, struct mr_log_read *r)
{
	uint64_t start;
	int rc;

	r->store = s;
	r->records = mr_span(NULL, 0);
	rc = pin(s, r);
	if (rc)
		return rc;
	rc = mr_log_file_open(s, r->file);
	if (rc) {
		mr_log_file_unpin(s, r->file);
		return rc;
	}
	start = r->lsn & ~(uint64_t)(MR_IO_ALIGN - 1);
	r->op = (struct mr_io_op){
		.done = read_done,
		.file = r->file->file,
		.offset = mr_log_file_offset(r->file, start),
		.data = r->data,
		.bytes = (uint32_t)mr_round_up(r->lsn - start + r->bytes, MR_IO_ALIGN),
		.buffer = r->buffer,
		.kind = MR_IO_READ,
	};
	mr_io_submit(io, &r->op);
	return 0;
}

// Bindings met so far by a scan.
struct bindings {
	struct mr_log_binding *at;
	size_t count;
	size_t max;
};

static int bindings_add(struct bindings *b, struct mr_span payload)
{
	for (size_t at = 0; at + sizeof(struct mr_log_binding) <= payload.bytes;
		at += sizeof(struct mr_log_binding)) {
		struct mr_log_binding one;

		memcpy(&one, payload.data + at, sizeof(one));
		if (one.ref > b->count)
			return MR_ERR_CORRUPT; // refs are given out in order
		if (one.ref == b->max) {
			size_t max = MR_MAX((size_t)64, b->max * 2);
			void *grown = realloc(b->at, max * sizeof(*b->at));

			if (!grown)
				return -ENOMEM;
			b->at = (struct mr_log_binding *)grown;
			b->max = max;
		}
		b->at[one.ref] = one;
		b->count = MR_MAX(b->count, (size_t)one.ref + 1);
	}
	return 0;
}

struct scan_call {
	struct mr_log_store *store;
	uint64_t lsn_from;
	int (*each)(void *arg, const struct mr_log_scan_record *r);
	void *arg;
	struct bindings bindings;
};

static int call_record(struct scan_call *c, const struct mr_log_file *f,
	const struct mr_log_record *rec, uint64_t lsn)
{
	struct mr_log_scan_record r = {
		.log_id = f->log_id, .lsn = lsn, .record = rec, .partition = -1};
	int rc = mr_log_record_known(c->store, rec);

	if (!rc && rec->checksum != mr_log_record_checksum(rec))
		rc = MR_ERR_CORRUPT;
	if (!rc && rec->type == MR_LOG_PARTITION)
		rc = bindings_add(&c->bindings, mr_log_payload_span(rec));
	if (rc || lsn < c->lsn_from)
		return rc;
	if (rec->partition_ref < c->bindings.count) {
		r.topic = c->bindings.at[rec->partition_ref].topic;
		r.partition = c->bindings.at[rec->partition_ref].partition;
	}
	return c->each(c->arg, &r);
}

static int call_frame(
	struct scan_call *c, const struct mr_log_file *f, const struct mr_log_frame *frame)
{
	struct mr_reader r = mr_reader(mr_span(frame + 1, frame->bytes));
	int rc = 0;

	while (!rc && mr_read_left(&r)) {
		uint64_t lsn = frame->lsn + (uint64_t)(r.at - (const uint8_t *)frame);
		const struct mr_log_record *rec = mr_log_record_next(&r);

		rc = rec ? call_record(c, f, rec, lsn) : (int)MR_ERR_CORRUPT;
	}
	return rc;
}

static int scan_file(struct scan_call *c, const struct mr_log_file *f, struct mr_diag *diag)
{
	const struct mr_log_frame *frame = NULL;
	struct mr_log_scan scan;
	uint64_t at = f->first_lsn;
	int rc = 0;

	// From the file's beginning even when the caller wants less: that is where the bindings
	// are.
	mr_log_scan_init(&scan, f, f->first_lsn, f->end_lsn);
	while (!rc && scan.lsn < f->end_lsn) {
		at = scan.lsn;
		rc = mr_log_scan_next(&scan, &frame);
		if (!rc && !frame)
			rc = MR_ERR_CORRUPT;
		if (!rc)
			rc = call_frame(c, f, frame);
	}
	if ((rc == MR_ERR_CORRUPT || rc == MR_ERR_VERSION) && diag && !diag->message[0])
		mr_diag_set(diag, rc, "XX001", 0,
			"file \"log/%016llx.mlog\" offset %llu: %s (log %llu, lsn %llu)",
			(unsigned long long)f->id, (unsigned long long)mr_log_file_offset(f, at),
			mr_err_text(rc), (unsigned long long)f->log_id, (unsigned long long)at);
	mr_log_scan_fini(&scan);
	return rc;
}

// The next ended file of the log at or behind `lsn` that the scan needs, pinned.
static struct mr_log_file *next_file(
	struct mr_log_store *s, uint64_t log_id, uint64_t lsn_from, uint64_t sequence)
{
	struct mr_log_file *found = NULL;
	struct mr_log_meta *m;

	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, log_id);
	for (size_t i = 0; m && i < m->files.count && !found; i++) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i);
		const struct mr_log_file *next =
			i + 1 < m->files.count ? mr_log_at_file(&m->files, i + 1) : NULL;

		// One that took over in the middle needs the bindings of its predecessor.
		if (mr_log_file_ended(f) && f->sequence >= sequence &&
			(f->end_lsn > lsn_from || (next && next->continues)))
			found = f;
	}
	if (found)
		mr_log_file_pin(found);
	pthread_mutex_unlock(&s->lock);
	return found;
}

int mr_log_store_scan(struct mr_log_store *s, uint64_t log_id, uint64_t lsn_from,
	int (*each)(void *arg, const struct mr_log_scan_record *r), void *arg, struct mr_diag *diag)
{
	struct scan_call c = {s, lsn_from, each, arg, {NULL, 0, 0}};
	uint64_t sequence = 0;
	struct mr_log_file *f;
	int rc = 0;

	if (diag)
		memset(diag, 0, sizeof(*diag));
	while (!rc && (f = next_file(s, log_id, lsn_from, sequence))) {
		sequence = f->sequence + 1;
		rc = mr_log_file_open(s, f);
		if (!rc)
			rc = scan_file(&c, f, diag);
		mr_log_file_unpin(s, f);
	}
	free(c.bindings.at);
	return rc;
}
