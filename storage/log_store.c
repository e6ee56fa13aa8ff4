// The store: logs and files as the manifest has them, files made ready ahead of need, dead files
// recycled.
//
// The order of steps makes every crash harmless:
//   a new file: filled, synced, its directory synced, then FILE_ADD; without that it is an orphan,
//   removed at the next start;
//   a dead file: FILE_REMOVE, then renamed to a new id as a spare, or unlinked; after a crash
//   between the two it is an orphan.
// A file's end is recorded (FILE_SEAL) after the head of the next file has made it a fact, so that
// file may be missing later without a gap that looks like damage.
#include "storage/log_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

enum { FILES_AHEAD = 2, BYTES_FREE_MIN = 64 << 20, RECORD_WORDS_MAX = 8 };

void mr_log_batch_add(struct mr_log_batch *b, uint16_t type, const uint64_t *words, size_t count)
{
	if (b->count == b->max) {
		size_t max = MR_MAX((size_t)16, b->max * 2);
		void *grown = realloc(b->records, max * sizeof(*b->records));

		if (!grown) {
			b->failed = true;
			return;
		}
		b->records = (struct mr_manifest_record *)grown;
		b->max = max;
	}
	// The payload's place is known when all are there; till then its offset is its length so
	// far.
	b->records[b->count++] =
		(struct mr_manifest_record){type, 1, {NULL, count * sizeof(*words)}};
	mr_buf_add(&b->payloads, words, count * sizeof(*words));
}

void mr_log_batch_seal_file(struct mr_log_batch *b, const struct mr_log_file *f)
{
	uint64_t words[] = {f->id, f->first_lsn, f->end_lsn, f->index_lsn, f->incarnation,
		f->previous, f->last_checksum, f->continues};

	mr_log_batch_add(b, MR_LOG_M_FILE_SEAL, words, MR_COUNT_OF(words));
}

int mr_log_batch_commit(struct mr_log_batch *b, struct mr_manifest *m)
{
	const uint8_t *at = b->payloads.data;
	int rc = b->failed || b->payloads.failed ? -ENOMEM : 0;

	for (size_t i = 0; i < b->count; i++) {
		b->records[i].payload.data = at;
		at += b->records[i].payload.bytes;
	}
	if (!rc && b->count)
		rc = mr_manifest_append(m, b->records, b->count);
	mr_buf_fini(&b->payloads);
	free(b->records);
	*b = (struct mr_log_batch){0};
	return rc;
}

struct mr_log_meta *mr_log_store_log(struct mr_log_store *s, uint64_t log_id)
{
	struct mr_log_meta *m = s->logs;

	while (m && m->id != log_id)
		m = m->next;
	return m;
}

static struct mr_log_file *find_file(struct mr_log_store *s, uint64_t id)
{
	for (struct mr_log_meta *m = s->logs; m; m = m->next)
		for (struct mr_log_file *f = m->files; f; f = f->next)
			if (f->id == id)
				return f;
	return NULL;
}

static void free_file(struct mr_log_file *f)
{
	mr_file_close(f->file);
	mr_log_file_index_free(f);
	free(f);
}

static int apply_open(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_meta **at = &s->logs;
	struct mr_log_meta *m;

	while (*at && (*at)->id < w[0])
		at = &(*at)->next;
	if (*at && (*at)->id == w[0])
		return MR_ERR_CORRUPT;
	m = (struct mr_log_meta *)calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->id = w[0];
	m->next = *at;
	*at = m;
	s->log_id_next = MR_MAX(s->log_id_next, w[0] + 1);
	return 0;
}

static int apply_file_add(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_meta *m = mr_log_store_log(s, w[1]);
	struct mr_log_file **at;
	struct mr_log_file *f;

	if (!m || find_file(s, w[0]) || w[3] < 2 * MR_IO_ALIGN || w[3] % MR_IO_ALIGN ||
		w[2] < m->sequence_next)
		return MR_ERR_CORRUPT;
	f = (struct mr_log_file *)calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->id = w[0];
	f->log_id = w[1];
	f->sequence = w[2];
	f->bytes = w[3];
	f->index_lsn = MR_LOG_NO_LSN;
	for (at = &m->files; *at; at = &(*at)->next)
		;
	*at = f;
	m->sequence_next = f->sequence + 1;
	s->file_id_next = MR_MAX(s->file_id_next, f->id + 1);
	return 0;
}

static int apply_file_seal(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_file *f = find_file(s, w[0]);

	if (!f || f->state == MR_LOG_FILE_SEALED || w[2] < w[1] ||
		w[2] - w[1] > f->bytes - MR_LOG_HEAD_BYTES)
		return MR_ERR_CORRUPT;
	f->first_lsn = w[1];
	f->end_lsn = w[2];
	f->index_lsn = w[3];
	f->incarnation = w[4];
	f->previous = w[5];
	f->last_checksum = w[6];
	f->continues = w[7] & 1;
	f->head_known = true;
	f->state = MR_LOG_FILE_SEALED;
	return 0;
}

static int apply_file_remove(struct mr_log_store *s, const uint64_t *w)
{
	for (struct mr_log_meta *m = s->logs; m; m = m->next)
		for (struct mr_log_file **at = &m->files; *at; at = &(*at)->next) {
			struct mr_log_file *f = *at;

			if (f->id != w[0])
				continue;
			*at = f->next;
			free_file(f);
			return 0;
		}
	return MR_ERR_CORRUPT;
}

static int apply_seal(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_meta *m = mr_log_store_log(s, w[0]);

	if (!m || m->sealed)
		return MR_ERR_CORRUPT;
	m->sealed = true;
	m->open = false;
	m->end_lsn = w[1];
	return 0;
}

static int apply_remove(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_meta **at = &s->logs;
	struct mr_log_meta *m;

	while (*at && (*at)->id != w[0])
		at = &(*at)->next;
	m = *at;
	if (!m || m->files)
		return MR_ERR_CORRUPT;
	*at = m->next;
	free(m);
	return 0;
}

static int apply_next(struct mr_log_store *s, const uint64_t *w)
{
	s->log_id_next = MR_MAX(s->log_id_next, w[0]);
	s->file_id_next = MR_MAX(s->file_id_next, w[1]);
	return 0;
}

static const struct {
	int (*apply)(struct mr_log_store *s, const uint64_t *words);
	size_t words;
} applies[] = {
	[MR_LOG_M_OPEN] = {apply_open, 1},
	[MR_LOG_M_FILE_ADD] = {apply_file_add, 4},
	[MR_LOG_M_FILE_SEAL] = {apply_file_seal, 8},
	[MR_LOG_M_FILE_REMOVE] = {apply_file_remove, 1},
	[MR_LOG_M_SEAL] = {apply_seal, 2},
	[MR_LOG_M_REMOVE] = {apply_remove, 1},
	[MR_LOG_M_NEXT] = {apply_next, 2},
};

static int replay(void *ctx, const struct mr_manifest_record *r, struct mr_diag *diag)
{
	struct mr_log_store *s = (struct mr_log_store *)ctx;
	uint64_t words[RECORD_WORDS_MAX];
	int rc;

	if (r->type >= MR_COUNT_OF(applies) || !applies[r->type].apply)
		return mr_diag_set(diag, MR_ERR_VERSION, "XX000", 0,
			"manifest record of type %u is newer than this program", r->type);
	if (r->payload.bytes != applies[r->type].words * sizeof(*words))
		return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
			"manifest record of type %u has %zu bytes", r->type, r->payload.bytes);
	memcpy(words, r->payload.data, r->payload.bytes);
	pthread_mutex_lock(&s->lock);
	rc = applies[r->type].apply(s, words);
	pthread_mutex_unlock(&s->lock);
	if (rc == MR_ERR_CORRUPT)
		return mr_diag_set(diag, rc, "XX001", 0,
			"manifest record of type %u about %llu contradicts those before it",
			r->type, (unsigned long long)words[0]);
	return rc;
}

static void emit(struct mr_buf *out, uint16_t type, const uint64_t *words, size_t count)
{
	mr_manifest_emit(out, type, 1, mr_span(words, count * sizeof(*words)));
}

static void snapshot(void *ctx, struct mr_buf *out)
{
	struct mr_log_store *s = (struct mr_log_store *)ctx;

	pthread_mutex_lock(&s->lock);
	emit(out, MR_LOG_M_NEXT, (uint64_t[]){s->log_id_next, s->file_id_next}, 2);
	for (struct mr_log_meta *m = s->logs; m; m = m->next) {
		emit(out, MR_LOG_M_OPEN, &m->id, 1);
		for (struct mr_log_file *f = m->files; f; f = f->next) {
			emit(out, MR_LOG_M_FILE_ADD,
				(uint64_t[]){f->id, f->log_id, f->sequence, f->bytes}, 4);
			if (f->state >= MR_LOG_FILE_SEALED)
				emit(out, MR_LOG_M_FILE_SEAL,
					(uint64_t[]){f->id, f->first_lsn, f->end_lsn, f->index_lsn,
						f->incarnation, f->previous, f->last_checksum,
						f->continues},
					8);
		}
		if (m->sealed)
			emit(out, MR_LOG_M_SEAL, (uint64_t[]){m->id, m->end_lsn}, 2);
	}
	pthread_mutex_unlock(&s->lock);
}

int mr_log_store_create(struct mr_log_store **out, const struct mr_log_store_options *o)
{
	struct mr_log_store *s = (struct mr_log_store *)calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *o;
	if (!s->options.file_bytes)
		s->options.file_bytes = MR_LOG_FILE_BYTES;
	if (!s->options.files_ahead)
		s->options.files_ahead = FILES_AHEAD;
	if (!s->options.bytes_free_min)
		s->options.bytes_free_min = BYTES_FREE_MIN;
	MR_ASSERT(s->options.file_bytes >= 256 << 10 && s->options.file_bytes % MR_IO_ALIGN == 0);
	s->log_id_next = 1;
	s->file_id_next = 1;
	mr_rand_init(&s->rand, o->seed);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->work_lock, NULL);
	mr_manifest_register(
		o->manifest, &(struct mr_manifest_owner){MR_MANIFEST_TYPE_LOG,
				     MR_MANIFEST_TYPE_CATALOG - 1, 1, s, replay, snapshot});
	*out = s;
	return 0;
}

void mr_log_store_destroy(struct mr_log_store *s)
{
	if (!s)
		return;
	while (s->logs) {
		struct mr_log_meta *m = s->logs;

		s->logs = m->next;
		while (m->files) {
			struct mr_log_file *f = m->files;

			m->files = f->next;
			free_file(f);
		}
		free(m);
	}
	for (size_t i = 0; i < s->spare_count; i++)
		mr_file_close(s->spares[i].file);
	free(s->parts);
	free(s->part_slots);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->work_lock);
	free(s);
}

static void wake(struct mr_log_store *s)
{
	if (s->options.wake)
		s->options.wake(s->options.wake_ctx);
}

static size_t count_ready(const struct mr_log_meta *m)
{
	size_t count = 0;

	for (const struct mr_log_file *f = m->files; f; f = f->next)
		count += f->state == MR_LOG_FILE_READY;
	return count;
}

struct mr_log_file *mr_log_store_take(struct mr_log_store *s, uint64_t log_id, bool *disk_full)
{
	struct mr_log_file *f;

	pthread_mutex_lock(&s->lock);
	f = mr_log_store_log(s, log_id)->files;
	while (f && f->state != MR_LOG_FILE_READY)
		f = f->next;
	if (f) {
		f->state = MR_LOG_FILE_ACTIVE;
		f->incarnation = mr_rand_u64(&s->rand) | 1;
	}
	*disk_full = s->stats.disk_full;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	return f;
}

bool mr_log_store_has_ready(struct mr_log_store *s, uint64_t log_id, bool *disk_full)
{
	size_t count;

	pthread_mutex_lock(&s->lock);
	count = count_ready(mr_log_store_log(s, log_id));
	*disk_full = s->stats.disk_full;
	pthread_mutex_unlock(&s->lock);
	return count > 0;
}

void mr_log_store_filled(struct mr_log_store *s, struct mr_log_file *f,
	const struct mr_log_binding *bindings, size_t binding_count)
{
	uint32_t *parts = (uint32_t *)calloc(binding_count + 1, sizeof(*parts));

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; parts && i < binding_count; i++)
		parts[i] = mr_log_part_get(s, bindings[i].topic, bindings[i].partition);
	// Without memory the batches are found again after a start; the data are safe.
	if (!parts || mr_log_file_index(f, parts, binding_count))
		mr_note(MR_NOTE_ERR, "log", "file=%016llx out of memory for its index",
			(unsigned long long)f->id);
	f->state = MR_LOG_FILE_FILLED;
	pthread_mutex_unlock(&s->lock);
	free(parts);
	wake(s);
}

int mr_log_store_open_log(struct mr_log_store *s, uint64_t *log_id)
{
	struct mr_log_batch b = {0};
	struct mr_log_meta *m;
	int rc;

	pthread_mutex_lock(&s->lock);
	*log_id = s->log_id_next++;
	pthread_mutex_unlock(&s->lock);
	mr_log_batch_add(&b, MR_LOG_M_OPEN, log_id, 1);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, *log_id);
	m->open = true;
	pthread_mutex_unlock(&s->lock);
	do
		rc = mr_log_store_work(s);
	while (rc > 0);
	if (rc < 0)
		mr_log_store_abandon(s, *log_id);
	return rc;
}

void mr_log_store_abandon(struct mr_log_store *s, uint64_t log_id)
{
	pthread_mutex_lock(&s->lock);
	mr_log_store_log(s, log_id)->open = false;
	pthread_mutex_unlock(&s->lock);
}

static void remove_orphan(struct mr_log_store *s, uint64_t id)
{
	char name[MR_LOG_NAME_BYTES];

	mr_log_file_name(id, name);
	// It belongs to nobody; if this fails the next start removes it.
	if (mr_disk_unlink(s->options.disk, name) == 0)
		s->stats.files_removed++;
}

int mr_log_store_seal(struct mr_log_store *s, uint64_t log_id, uint64_t end_lsn)
{
	struct mr_log_batch b = {0};
	struct mr_log_meta *m;
	uint64_t unused[2 * MR_LOG_SPARES_MAX + 16];
	size_t unused_count = 0;
	int rc;

	pthread_mutex_lock(&s->work_lock);
	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, log_id);
	for (struct mr_log_file *f = m->files; f; f = f->next) {
		if (f->state == MR_LOG_FILE_FILLED)
			mr_log_batch_seal_file(&b, f);
		if (f->state >= MR_LOG_FILE_FILLED || unused_count == MR_COUNT_OF(unused))
			continue;
		mr_log_batch_add(&b, MR_LOG_M_FILE_REMOVE, &f->id, 1);
		unused[unused_count++] = f->id;
	}
	m->open = false;
	pthread_mutex_unlock(&s->lock);
	mr_log_batch_add(&b, MR_LOG_M_SEAL, (uint64_t[]){log_id, end_lsn}, 2);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	for (size_t i = 0; !rc && i < unused_count; i++)
		remove_orphan(s, unused[i]);
	pthread_mutex_unlock(&s->work_lock);
	return rc;
}

// A file of zeros under the name of a new id, durable; from a spare where there is one.
static int make_file(struct mr_log_store *s, uint64_t id, struct mr_file **out)
{
	struct mr_disk *d = s->options.disk;
	char name[MR_LOG_NAME_BYTES], spare_name[MR_LOG_NAME_BYTES];
	int64_t room = mr_disk_bytes_free(d);
	int rc;

	mr_log_file_name(id, name);
	if (s->spare_count) {
		struct mr_log_spare *spare = &s->spares[--s->spare_count];

		mr_log_file_name(spare->id, spare_name);
		rc = mr_disk_rename(d, spare_name, name);
		if (rc) {
			mr_file_close(spare->file);
			return rc;
		}
		*out = spare->file;
		s->stats.files_recycled++;
		return mr_disk_sync_dir(d, "log");
	}
	if (room >= 0 && (uint64_t)room < s->options.file_bytes + s->options.bytes_free_min)
		return -ENOSPC;
	rc = mr_file_open(
		d, name, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_EXCL | MR_FILE_DIRECT, out);
	if (rc)
		return rc;
	rc = mr_file_fill(*out, s->options.file_bytes);
	if (!rc)
		rc = mr_disk_sync_dir(d, "log");
	s->stats.files_made += !rc;
	return rc;
}

// Makes one file ready for a log.
static int assign_file(struct mr_log_store *s, uint64_t log_id, uint64_t sequence)
{
	struct mr_log_batch b = {0};
	struct mr_file *file = NULL;
	struct mr_log_file *f;
	uint64_t id;
	int rc;

	pthread_mutex_lock(&s->lock);
	id = s->file_id_next++;
	pthread_mutex_unlock(&s->lock);
	rc = make_file(s, id, &file);
	if (!rc) {
		mr_log_batch_add(&b, MR_LOG_M_FILE_ADD,
			(uint64_t[]){id, log_id, sequence, s->options.file_bytes}, 4);
		rc = mr_log_batch_commit(&b, s->options.manifest);
	}
	pthread_mutex_lock(&s->lock);
	f = rc ? NULL : find_file(s, id);
	if (f) {
		f->file = file;
		f->state = MR_LOG_FILE_READY;
	}
	if (!rc || rc == -ENOSPC)
		s->stats.disk_full = rc == -ENOSPC;
	pthread_mutex_unlock(&s->lock);
	if (rc && file) {
		mr_file_close(file);
		remove_orphan(s, id);
	}
	return rc;
}

static int work_assign(struct mr_log_store *s)
{
	uint64_t log_id = 0, sequence = 0;
	int rc;

	pthread_mutex_lock(&s->lock);
	for (struct mr_log_meta *m = s->logs; m && !log_id; m = m->next)
		if (m->open && count_ready(m) < s->options.files_ahead) {
			log_id = m->id;
			sequence = m->sequence_next;
		}
	pthread_mutex_unlock(&s->lock);
	if (!log_id)
		return 0;
	rc = assign_file(s, log_id, sequence);
	return rc == -ENOSPC ? 0 : rc ? rc : 1;
}

static int work_seal(struct mr_log_store *s)
{
	struct mr_log_batch b = {0};
	int count = 0;
	int rc;

	pthread_mutex_lock(&s->lock);
	for (struct mr_log_meta *m = s->logs; m; m = m->next)
		for (struct mr_log_file *f = m->files; f; f = f->next)
			if (f->state == MR_LOG_FILE_FILLED) {
				mr_log_batch_seal_file(&b, f);
				count++;
			}
	pthread_mutex_unlock(&s->lock);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	return rc ? rc : count;
}

static bool is_dead(
	const struct mr_log_store *s, const struct mr_log_meta *m, const struct mr_log_file *f)
{
	if (f->state != MR_LOG_FILE_SEALED || f->pins)
		return false;
	if (f->end_lsn > m->retain_lsn && f->end_lsn != f->first_lsn)
		return false;
	for (size_t i = 0; i < f->part_count; i++)
		if (f->parts[i].offset_end > s->parts[f->parts[i].part].retain_offset)
			return false;
	// A file that took over in the middle needs the bindings of the one before it.
	return !f->next || !f->next->continues || is_dead(s, m, f->next);
}

static struct mr_log_file *find_dead(struct mr_log_store *s, struct mr_log_meta **log)
{
	for (struct mr_log_meta *m = s->logs; m; m = m->next)
		for (struct mr_log_file *f = m->files; f; f = f->next)
			if (is_dead(s, m, f)) {
				*log = m;
				return f;
			}
	return NULL;
}

// A dead file becomes a spare when one is wanted and it is of the right size.
static void bury(struct mr_log_store *s, uint64_t id, struct mr_file *file)
{
	if (file && s->spare_count < MR_LOG_SPARES_MAX &&
		mr_file_bytes(file) == (int64_t)s->options.file_bytes) {
		s->spares[s->spare_count++] = (struct mr_log_spare){file, id};
		return;
	}
	mr_file_close(file);
	remove_orphan(s, id);
}

static int work_remove(struct mr_log_store *s)
{
	struct mr_log_batch b = {0};
	struct mr_log_meta *m;
	struct mr_log_file *f;
	struct mr_file *file;
	uint64_t id;
	int rc;

	pthread_mutex_lock(&s->lock);
	f = find_dead(s, &m);
	if (!f) {
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	id = f->id;
	file = f->file;
	f->file = NULL;
	f->state = MR_LOG_FILE_DYING;
	mr_log_batch_add(&b, MR_LOG_M_FILE_REMOVE, &id, 1);
	if (m->sealed && m->files == f && !f->next)
		mr_log_batch_add(&b, MR_LOG_M_REMOVE, &m->id, 1);
	pthread_mutex_unlock(&s->lock);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	if (rc) {
		pthread_mutex_lock(&s->lock);
		f->file = file;
		f->state = MR_LOG_FILE_SEALED;
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	bury(s, id, file);
	return 1;
}

int mr_log_store_work(struct mr_log_store *s)
{
	int rc;

	pthread_mutex_lock(&s->work_lock);
	rc = work_seal(s);
	if (!rc)
		rc = work_remove(s);
	if (!rc)
		rc = work_assign(s);
	pthread_mutex_unlock(&s->work_lock);
	return rc;
}

void mr_log_store_retain_offset(
	struct mr_log_store *s, struct mr_uuid topic, int32_t partition, int64_t offset)
{
	uint32_t part;

	pthread_mutex_lock(&s->lock);
	part = mr_log_part_get(s, topic, partition); // may move s->parts
	s->parts[part].retain_offset = MR_MAX(s->parts[part].retain_offset, offset);
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

void mr_log_store_retain_known(struct mr_log_store *s,
	bool (*known)(void *arg, struct mr_uuid topic, int32_t partition), void *arg)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->part_count; i++)
		if (!known(arg, s->parts[i].topic, s->parts[i].partition))
			s->parts[i].retain_offset = INT64_MAX;
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

void mr_log_store_retain_lsn(struct mr_log_store *s, uint64_t log_id, uint64_t lsn)
{
	struct mr_log_meta *m;

	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, log_id);
	if (m)
		m->retain_lsn = MR_MAX(m->retain_lsn, lsn);
	pthread_mutex_unlock(&s->lock);
	wake(s);
}
