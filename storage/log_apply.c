// What the manifest says about logs: its records applied, at start and live, and the snapshot that
// makes the present state from nothing.
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

enum { RECORD_WORDS_MAX = 256 }; // of the longest but RUNS, CLEANED

// Runs of files that are behind go into the manifest in appends of about so many bytes.
enum { RUNS_AT_ONCE_BYTES = 256 << 10 };

static uint64_t key_of_log(const void *item)
{
	return ((const struct mr_log_meta *)item)->id;
}

static uint64_t key_of_file(const void *item)
{
	return ((const struct mr_log_file *)item)->id;
}

static uint64_t key_of_sequence(const void *item)
{
	return ((const struct mr_log_file *)item)->sequence;
}

struct mr_log_meta *mr_log_store_log(const struct mr_log_store *s, uint64_t log_id)
{
	size_t at = mr_log_list_find(&s->logs, log_id, key_of_log);
	struct mr_log_meta *m = at < s->logs.count ? mr_log_at_log(&s->logs, at) : NULL;

	return m && m->id == log_id ? m : NULL;
}

struct mr_log_file *mr_log_store_file(const struct mr_log_store *s, uint64_t id)
{
	size_t at = mr_log_list_find(&s->files, id, key_of_file);
	struct mr_log_file *f = at < s->files.count ? mr_log_at_file(&s->files, at) : NULL;

	return f && f->id == id ? f : NULL;
}

struct mr_log_file *mr_log_file_next(const struct mr_log_meta *m, const struct mr_log_file *f)
{
	size_t at = mr_log_list_find(&m->files, f->sequence + 1, key_of_sequence);

	return at < m->files.count ? mr_log_at_file(&m->files, at) : NULL;
}

void mr_log_file_free(struct mr_log_file *f)
{
	mr_file_close(f->file);
	mr_log_file_index_free(f);
	free(f);
}

void mr_log_meta_free(struct mr_log_meta *m)
{
	mr_log_list_fini(&m->files);
	free(m);
}

static int apply_open(struct mr_log_store *s, const uint64_t *w)
{
	size_t at = mr_log_list_find(&s->logs, w[0], key_of_log);
	struct mr_log_meta *m;

	if (mr_log_store_log(s, w[0]))
		return MR_ERR_CORRUPT;
	m = (struct mr_log_meta *)calloc(1, sizeof(*m));
	if (!m || mr_log_list_insert(&s->logs, at, m)) {
		free(m);
		return -ENOMEM;
	}
	m->id = w[0];
	s->log_id_next = MR_MAX(s->log_id_next, w[0] + 1);
	return 0;
}

static int apply_open_long(struct mr_log_store *s, const uint64_t *w)
{
	int rc = apply_open(s, w);

	if (!rc)
		mr_log_store_log(s, w[0])->is_long = true;
	return rc;
}

// A new file joins its log.
static int list_file(struct mr_log_store *s, struct mr_log_meta *m, struct mr_log_file *f)
{
	size_t at = mr_log_list_find(&s->files, f->id, key_of_file);

	if (mr_log_list_insert(&s->files, at, f))
		return -ENOMEM;
	if (mr_log_list_insert(&m->files, m->files.count, f)) {
		mr_log_list_remove(&s->files, at);
		return -ENOMEM;
	}
	m->sequence_next = f->sequence + 1;
	s->file_id_next = MR_MAX(s->file_id_next, f->id + 1);
	return 0;
}

static int apply_file_add(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_meta *m = mr_log_store_log(s, w[1]);
	struct mr_log_file *f;
	int rc;

	if (!m || mr_log_store_file(s, w[0]) || w[3] < 2 * MR_IO_ALIGN || w[3] % MR_IO_ALIGN ||
		w[2] < m->sequence_next)
		return MR_ERR_CORRUPT;
	f = (struct mr_log_file *)calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->id = w[0];
	f->log_id = w[1];
	f->sequence = w[2];
	f->bytes = f->disk_bytes = w[3];
	f->index_lsn = MR_LOG_NO_LSN;
	rc = list_file(s, m, f);
	if (rc)
		free(f);
	return rc;
}

static int apply_file_seal(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_file *f = mr_log_store_file(s, w[0]);

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
	s->filled -= f->state == MR_LOG_FILE_FILLED;
	f->state = MR_LOG_FILE_SEALED;
	return 0;
}

// Nobody finds the file any more; those who read it now keep it.
static int apply_file_remove(struct mr_log_store *s, const uint64_t *w)
{
	struct mr_log_file *f = mr_log_store_file(s, w[0]);
	struct mr_log_meta *m;

	if (!f)
		return MR_ERR_CORRUPT;
	m = mr_log_store_log(s, f->log_id);
	mr_log_runs_forget(s, f);
	mr_log_list_remove(&s->files, mr_log_list_find(&s->files, f->id, key_of_file));
	mr_log_list_remove(&m->files, mr_log_list_find(&m->files, f->sequence, key_of_sequence));
	if (!s->recovered) {
		s->open -= f->file != NULL;
		mr_log_file_free(f);
		return 0;
	}
	if (f->indexed)
		mr_log_runs_remove(s, f);
	mr_log_index_drop(s, f);
	f->leaving_next = s->leaving;
	s->leaving = f;
	return 0;
}

// Everything that may fail when the file which the cleaner has ready in memory takes the place of
// those it was copied from comes first.
static int make_room(struct mr_log_store *s, struct mr_log_meta *m, const struct mr_log_file *f)
{
	int rc = mr_log_list_room(&s->files);

	if (!rc)
		rc = mr_log_list_room(&m->files);
	return rc ? rc : mr_log_runs_room(s, f);
}

static void join(struct mr_log_store *s, struct mr_log_meta *m)
{
	struct mr_log_file *f = s->incoming;

	s->incoming = NULL;
	MR_ASSERT(list_file(s, m, f) == 0);
	mr_log_runs_add(s, f);
	s->open++;
}

static int apply_cleaned(struct mr_log_store *s, const uint64_t *w, size_t count)
{
	const uint64_t seal[] = {w[0], w[4], w[5], w[6], w[7], w[8], w[9], 0};
	struct mr_log_meta *m = mr_log_store_log(s, w[1]);
	int rc = 0;

	if (!m || !m->is_long || mr_log_store_file(s, w[0]) || w[2] < m->sequence_next)
		return MR_ERR_CORRUPT;
	if (s->incoming)
		rc = make_room(s, m, s->incoming);
	for (size_t i = MR_LOG_CLEANED_WORDS; i < count && !rc; i++)
		rc = apply_file_remove(s, &w[i]);
	if (rc)
		return rc;
	if (s->incoming) {
		join(s, m);
		return 0;
	}
	rc = apply_file_add(s, w);
	return rc ? rc : apply_file_seal(s, seal);
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
	struct mr_log_meta *m = mr_log_store_log(s, w[0]);

	if (!m || m->files.count)
		return MR_ERR_CORRUPT;
	mr_log_list_remove(&s->logs, mr_log_list_find(&s->logs, m->id, key_of_log));
	mr_log_meta_free(m);
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
	[MR_LOG_M_OPEN_LONG] = {apply_open_long, 1},
};

static int contradicts(const struct mr_manifest_record *r, uint64_t id, struct mr_diag *diag)
{
	return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
		"manifest record of type %u about %llu contradicts those before it", r->type,
		(unsigned long long)id);
}

static int replay_runs(
	struct mr_log_store *s, const struct mr_manifest_record *r, struct mr_diag *diag)
{
	uint64_t id = r->payload.bytes >= sizeof(id) ? mr_load_le64(r->payload.data) : 0;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = mr_log_runs_load(s, r->payload);
	pthread_mutex_unlock(&s->lock);
	return rc == MR_ERR_CORRUPT ? contradicts(r, id, diag) : rc;
}

static int replay(void *ctx, const struct mr_manifest_record *r, struct mr_diag *diag)
{
	struct mr_log_store *s = (struct mr_log_store *)ctx;
	uint64_t words[RECORD_WORDS_MAX];
	size_t count = r->payload.bytes / sizeof(*words);
	int rc;

	if (r->type == MR_LOG_M_RUNS)
		return replay_runs(s, r, diag);
	if (r->type != MR_LOG_M_CLEANED &&
		(r->type >= MR_COUNT_OF(applies) || !applies[r->type].apply))
		return mr_diag_set(diag, MR_ERR_VERSION, "XX000", 0,
			"manifest record of type %u is newer than this program", r->type);
	if (r->payload.bytes % sizeof(*words) || count > RECORD_WORDS_MAX ||
		(r->type == MR_LOG_M_CLEANED ? count <= MR_LOG_CLEANED_WORDS
					     : count != applies[r->type].words))
		return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
			"manifest record of type %u has %zu bytes", r->type, r->payload.bytes);
	memcpy(words, r->payload.data, r->payload.bytes);
	pthread_mutex_lock(&s->lock);
	rc = r->type == MR_LOG_M_CLEANED ? apply_cleaned(s, words, count)
					 : applies[r->type].apply(s, words);
	pthread_mutex_unlock(&s->lock);
	return rc == MR_ERR_CORRUPT ? contradicts(r, words[0], diag) : rc;
}

static void emit(struct mr_buf *out, uint16_t type, const uint64_t *words, size_t count)
{
	mr_manifest_emit(out, type, 1, mr_span(words, count * sizeof(*words)));
}

static void emit_runs(struct mr_buf *out, const struct mr_log_store *s, const struct mr_log_file *f)
{
	struct mr_buf b = {0};

	mr_log_runs_save(s, f, &b);
	if (b.failed)
		out->failed = true;
	mr_manifest_emit(out, MR_LOG_M_RUNS, 1, mr_buf_span(&b));
	mr_buf_fini(&b);
}

static void emit_file(struct mr_buf *out, const struct mr_log_store *s, const struct mr_log_file *f)
{
	emit(out, MR_LOG_M_FILE_ADD, (uint64_t[]){f->id, f->log_id, f->sequence, f->bytes}, 4);
	if (f->state == MR_LOG_FILE_SEALED)
		emit(out, MR_LOG_M_FILE_SEAL,
			(uint64_t[]){f->id, f->first_lsn, f->end_lsn, f->index_lsn, f->incarnation,
				f->previous, f->last_checksum, f->continues},
			8);
	if (f->runs_saved)
		emit_runs(out, s, f);
}

static void snapshot(void *ctx, struct mr_buf *out)
{
	struct mr_log_store *s = (struct mr_log_store *)ctx;

	pthread_mutex_lock(&s->lock);
	emit(out, MR_LOG_M_NEXT, (uint64_t[]){s->log_id_next, s->file_id_next}, 2);
	for (size_t i = 0; i < s->logs.count; i++) {
		const struct mr_log_meta *m = mr_log_at_log(&s->logs, i);

		emit(out, m->is_long ? MR_LOG_M_OPEN_LONG : MR_LOG_M_OPEN, &m->id, 1);
		for (size_t k = 0; k < m->files.count; k++)
			emit_file(out, s, mr_log_at_file(&m->files, k));
		if (m->sealed)
			emit(out, MR_LOG_M_SEAL, (uint64_t[]){m->id, m->end_lsn}, 2);
	}
	pthread_mutex_unlock(&s->lock);
}

void mr_log_store_register(struct mr_log_store *s)
{
	mr_manifest_register(
		s->options.manifest, &(struct mr_manifest_owner){MR_MANIFEST_TYPE_LOG,
					     MR_MANIFEST_TYPE_CATALOG - 1, 1, s, replay, snapshot});
}

// ---- records on their way

static void batch_add(struct mr_log_batch *b, uint16_t type, struct mr_span payload)
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
	b->records[b->count++] = (struct mr_manifest_record){type, 1, {NULL, payload.bytes}};
	mr_buf_add(&b->payloads, payload.data, payload.bytes);
}

void mr_log_batch_add(struct mr_log_batch *b, uint16_t type, const uint64_t *words, size_t count)
{
	batch_add(b, type, mr_span(words, count * sizeof(*words)));
}

void mr_log_batch_runs(
	struct mr_log_batch *b, const struct mr_log_store *s, const struct mr_log_file *f)
{
	struct mr_buf one = {0};

	if (b->payloads.bytes > RUNS_AT_ONCE_BYTES ||
		!mr_log_runs_may_save(s, f, b->payloads.bytes))
		return;
	mr_log_runs_save(s, f, &one);
	b->failed |= one.failed;
	batch_add(b, MR_LOG_M_RUNS, mr_buf_span(&one));
	mr_buf_fini(&one);
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
