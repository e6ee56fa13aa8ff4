// Reading logs: what there is, where a batch is, its bytes from disk, and scans from start to end.
#include "storage/log_writer_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

static bool is_ended(const struct mr_log_file *f)
{
	return f->state == MR_LOG_FILE_FILLED || f->state == MR_LOG_FILE_SEALED;
}

static void fill_info(const struct mr_log_meta *m, struct mr_log_info *out)
{
	*out = (struct mr_log_info){.id = m->id, .open = m->open, .lsn_first = UINT64_MAX};
	for (const struct mr_log_file *f = m->files; f; f = f->next) {
		out->bytes += f->bytes;
		if (!is_ended(f))
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
	size_t count = 0;

	pthread_mutex_lock(&s->lock);
	for (struct mr_log_meta *m = s->logs; m; m = m->next, count++)
		if (count < max)
			fill_info(m, &out[count]);
	pthread_mutex_unlock(&s->lock);
	return count;
}

static const struct mr_log_part_sum *find_sum(const struct mr_log_file *f, uint32_t part)
{
	size_t low = 0, high = f->part_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (f->parts[mid].part < part)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->part_count && f->parts[low].part == part ? &f->parts[low] : NULL;
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

// The first entry of the partition in the file that answers. Offsets rise, times need not.
static const struct mr_log_index_entry *find_in(
	const struct mr_log_file *f, const struct mr_log_part_sum *sum, const struct want *w)
{
	const struct mr_log_index_entry *e = f->entries + sum->first;
	size_t low = 0, high = sum->count;

	while (w->by_time && low < high && !answers(&e[low], w))
		low++;
	while (!w->by_time && low < high) {
		size_t mid = (low + high) / 2;

		if (answers(&e[mid], w))
			high = mid;
		else
			low = mid + 1;
	}
	return low < sum->count ? &e[low] : NULL;
}

static int store_find(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	const struct want *w, struct mr_log_entry *out)
{
	bool found = false;
	uint32_t part;

	pthread_mutex_lock(&s->lock);
	if (!mr_log_part_find(s, topic, partition, &part))
		goto out;
	// A partition's offsets may lie in several logs; the lowest answer is the first.
	for (struct mr_log_meta *m = s->logs; m; m = m->next)
		for (struct mr_log_file *f = m->files; f; f = f->next) {
			const struct mr_log_part_sum *sum = is_ended(f) ? find_sum(f, part) : NULL;
			const struct mr_log_index_entry *e;

			if (!sum || sum->offset_end <= w->offset ||
				(w->by_time && sum->max_timestamp_ms < w->time_ms))
				continue;
			e = find_in(f, sum, w);
			if (e && (!found || e->base_offset < out->base_offset))
				fill_entry(f, e, out);
			found |= e != NULL;
		}
out:
	pthread_mutex_unlock(&s->lock);
	return found ? 0 : -ENOENT;
}

int mr_log_store_find(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	int64_t offset, struct mr_log_entry *out)
{
	return store_find(s, topic, partition, &(struct want){.offset = offset}, out);
}

int mr_log_store_find_time(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	int64_t offset, int64_t timestamp_ms, struct mr_log_entry *out)
{
	return store_find(s, topic, partition, &(struct want){offset, true, timestamp_ms}, out);
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
	uint32_t ref = 0;

	if (store_find(log->store, topic, partition, w, out) == 0)
		return 0;
	while (ref < log->binding_count && (log->bindings[ref].partition != partition ||
						   !mr_uuid_eq(log->bindings[ref].topic, topic)))
		ref++;
	for (size_t i = 0; ref < log->binding_count && i < log->file_count; i++) {
		const struct mr_log_index_entry *e;
		int rc = mr_log_refs_update(log->files[i], log->binding_count);

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

int64_t mr_log_store_skip_old(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	int64_t offset, int64_t limit, int64_t before_ms)
{
	uint32_t part;

	pthread_mutex_lock(&s->lock);
	if (mr_log_part_find(s, topic, partition, &part))
		for (struct mr_log_meta *m = s->logs; m; m = m->next)
			for (struct mr_log_file *f = m->files; f; f = f->next) {
				const struct mr_log_part_sum *sum =
					is_ended(f) ? find_sum(f, part) : NULL;

				if (sum && f->entries[sum->first].base_offset <= offset &&
					sum->offset_end > offset && sum->offset_end <= limit &&
					sum->max_timestamp_ms < before_ms)
					offset = sum->offset_end;
			}
	pthread_mutex_unlock(&s->lock);
	return offset;
}

static void extent_add(const struct mr_log_file *f, const struct mr_log_part_sum *sum,
	int64_t retain_offset, struct mr_log_extent *out)
{
	int64_t first = f->entries[sum->first].base_offset;

	if (out->offset_first < 0 || first < out->offset_first)
		out->offset_first = first;
	if (out->offset_end < 0 || sum->offset_end > out->offset_end)
		out->offset_end = sum->offset_end;
	if (!out->batches || sum->max_timestamp_ms > out->max_timestamp_ms)
		out->max_timestamp_ms = sum->max_timestamp_ms;
	out->batches += sum->count;
	for (size_t i = 0; i < sum->count; i++) {
		const struct mr_log_index_entry *e = &f->entries[sum->first + i];

		out->bytes += e->base_offset + e->offset_count > retain_offset ? e->bytes : 0;
	}
}

void mr_log_store_extent(
	struct mr_log_store *s, struct mr_uuid topic, int32_t partition, struct mr_log_extent *out)
{
	uint32_t part;

	*out = (struct mr_log_extent){.offset_first = -1, .offset_end = -1};
	pthread_mutex_lock(&s->lock);
	if (mr_log_part_find(s, topic, partition, &part))
		for (struct mr_log_meta *m = s->logs; m; m = m->next)
			for (struct mr_log_file *f = m->files; f; f = f->next) {
				const struct mr_log_part_sum *sum =
					is_ended(f) ? find_sum(f, part) : NULL;

				if (sum)
					extent_add(f, sum, s->parts[part].retain_offset, out);
			}
	pthread_mutex_unlock(&s->lock);
}

struct mr_log_store_stats mr_log_store_stats(struct mr_log_store *s)
{
	struct mr_log_store_stats st;

	pthread_mutex_lock(&s->lock);
	st = s->stats;
	st.logs = st.files = st.bytes = st.bytes_live = 0;
	st.files_spare = s->spare_count;
	st.bytes = s->spare_count * s->options.file_bytes;
	for (struct mr_log_meta *m = s->logs; m; m = m->next, st.logs++)
		for (struct mr_log_file *f = m->files; f; f = f->next, st.files++) {
			st.bytes += f->bytes;
			for (size_t i = 0; is_ended(f) && i < f->part_count; i++)
				if (f->parts[i].offset_end >
					s->parts[f->parts[i].part].retain_offset)
					st.bytes_live += f->parts[i].bytes;
		}
	pthread_mutex_unlock(&s->lock);
	return st;
}

// The file that holds `lsn`, pinned. A writer's own file is found too, for its owner.
static struct mr_log_file *pin(struct mr_log_store *s, uint64_t log_id, uint64_t lsn)
{
	struct mr_log_meta *m;
	struct mr_log_file *f;

	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, log_id);
	for (f = m ? m->files : NULL; f; f = f->next) {
		bool active = f->state == MR_LOG_FILE_ACTIVE && m->open;
		uint64_t end = active ? mr_log_file_end(f) : f->end_lsn;

		if ((active || is_ended(f)) && f->file && lsn >= f->first_lsn && lsn < end)
			break;
	}
	if (f)
		f->pins++;
	pthread_mutex_unlock(&s->lock);
	return f;
}

static void unpin(struct mr_log_store *s, struct mr_log_file *f)
{
	pthread_mutex_lock(&s->lock);
	MR_ASSERT(f->pins > 0);
	f->pins--;
	pthread_mutex_unlock(&s->lock);
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
	unpin(r->store, r->file);
	r->done(r, res);
}

int mr_log_store_read(struct mr_log_store *s, struct mr_io *io, struct mr_log_read *r)
{
	uint64_t start = r->lsn & ~(uint64_t)(MR_IO_ALIGN - 1);

	r->store = s;
	r->records = mr_span(NULL, 0);
	r->file = pin(s, r->log_id, r->lsn);
	if (!r->file)
		return -ENOENT;
	r->op = (struct mr_io_op){
		.done = read_done,
		.file = r->file->file,
		.offset = mr_log_file_offset(r->file, start),
		.data = r->data,
		.bytes = (uint32_t)mr_log_read_bytes(r->lsn, r->bytes),
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
	struct mr_log_meta *m;
	struct mr_log_file *f;

	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, log_id);
	for (f = m ? m->files : NULL; f; f = f->next) {
		// One that took over in the middle needs the bindings of its predecessor.
		if (is_ended(f) && f->sequence >= sequence &&
			(f->end_lsn > lsn_from || (f->next && f->next->continues)))
			break;
	}
	if (f)
		f->pins++;
	pthread_mutex_unlock(&s->lock);
	return f;
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
		rc = scan_file(&c, f, diag);
		unpin(s, f);
	}
	free(c.bindings.at);
	return rc;
}
