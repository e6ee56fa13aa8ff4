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

enum {
	FILES_AHEAD = 2,
	FIRST_BYTES_LEAST = 1 << 20,
	BYTES_FREE_MIN = 64 << 20,
	OPEN_FILES_MAX = 256,
	REMOVE_AT_ONCE = 1024
};

static void fill_options(struct mr_log_store_options *o)
{
	if (!o->file_bytes)
		o->file_bytes = MR_LOG_FILE_BYTES;
	if (!o->file_bytes_first || o->file_bytes_first > o->file_bytes)
		o->file_bytes_first = o->file_bytes;
	if (!o->files_ahead)
		o->files_ahead = FILES_AHEAD;
	if (!o->bytes_free_min)
		o->bytes_free_min = BYTES_FREE_MIN;
	if (!o->open_files_max)
		o->open_files_max = OPEN_FILES_MAX;
	if (!o->index_memory_bytes)
		o->index_memory_bytes = MR_LOG_INDEX_BYTES;
	MR_ASSERT(o->file_bytes >= 256 << 10 && o->file_bytes % MR_IO_ALIGN == 0);
	MR_ASSERT(o->file_bytes_first % MR_IO_ALIGN == 0);
}

int mr_log_store_create(struct mr_log_store **out, const struct mr_log_store_options *o)
{
	struct mr_log_store *s = (struct mr_log_store *)calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *o;
	fill_options(&s->options);
	s->log_id_next = 1;
	s->file_id_next = 1;
	mr_rand_init(&s->rand, o->seed);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->work_lock, NULL);
	pthread_mutex_init(&s->clean_lock, NULL);
	mr_log_store_register(s);
	*out = s;
	return 0;
}

void mr_log_store_destroy(struct mr_log_store *s)
{
	if (!s)
		return;
	mr_log_index_sweep(s);
	for (size_t i = 0; i < s->logs.count; i++)
		mr_log_meta_free(mr_log_at_log(&s->logs, i));
	for (size_t i = 0; i < s->files.count; i++)
		mr_log_file_free(mr_log_at_file(&s->files, i));
	while (s->leaving) {
		struct mr_log_file *f = s->leaving;

		s->leaving = f->leaving_next;
		mr_log_file_free(f);
	}
	mr_log_list_fini(&s->logs);
	mr_log_list_fini(&s->files);
	for (size_t i = 0; i < s->part_count; i++)
		free(s->parts[i].runs);
	free(s->parts);
	mr_log_map_fini(&s->part_map);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->work_lock);
	pthread_mutex_destroy(&s->clean_lock);
	free(s);
}

void mr_log_store_wake(struct mr_log_store *s)
{
	if (s->options.wake)
		s->options.wake(s->options.wake_ctx);
}

// ---- for the writer

// Files that are ready lie at the end of their log. The first of them, and how many.
static struct mr_log_file *first_ready(const struct mr_log_meta *m, size_t *count)
{
	struct mr_log_file *first = NULL;

	*count = 0;
	for (size_t i = m->files.count; i > 0; i--) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i - 1);

		if (f->state == MR_LOG_FILE_READY) {
			first = f;
			++*count;
		} else if (f->state != MR_LOG_FILE_ASSIGNED) {
			break;
		}
	}
	return first;
}

struct mr_log_file *mr_log_store_take(struct mr_log_store *s, uint64_t log_id, bool *disk_full)
{
	struct mr_log_file *f;
	size_t count;

	pthread_mutex_lock(&s->lock);
	f = first_ready(mr_log_store_log(s, log_id), &count);
	if (f) {
		f->state = MR_LOG_FILE_ACTIVE;
		f->incarnation = mr_rand_u64(&s->rand) | 1;
	}
	*disk_full = s->stats.disk_full;
	pthread_mutex_unlock(&s->lock);
	mr_log_store_wake(s);
	return f;
}

bool mr_log_store_has_ready(struct mr_log_store *s, uint64_t log_id, bool *disk_full)
{
	size_t count;

	pthread_mutex_lock(&s->lock);
	first_ready(mr_log_store_log(s, log_id), &count);
	*disk_full = s->stats.disk_full;
	pthread_mutex_unlock(&s->lock);
	return count > 0;
}

uint64_t mr_log_store_ready_bytes(struct mr_log_store *s, uint64_t log_id)
{
	const struct mr_log_file *f;
	uint64_t bytes;
	size_t count;

	pthread_mutex_lock(&s->lock);
	f = first_ready(mr_log_store_log(s, log_id), &count);
	bytes = f ? f->bytes : 0;
	pthread_mutex_unlock(&s->lock);
	return bytes;
}

void mr_log_store_file_bytes(struct mr_log_store *s, uint64_t log_id, uint64_t bytes)
{
	pthread_mutex_lock(&s->lock);
	mr_log_store_log(s, log_id)->file_bytes = bytes;
	pthread_mutex_unlock(&s->lock);
}

void mr_log_store_filled(struct mr_log_store *s, struct mr_log_file *f,
	const struct mr_log_binding *bindings, size_t binding_count)
{
	uint32_t *parts = (uint32_t *)calloc(binding_count + 1, sizeof(*parts));
	int rc = parts ? 0 : -ENOMEM;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; parts && i < binding_count; i++)
		parts[i] = mr_log_part_get(s, bindings[i].topic, bindings[i].partition);
	pthread_mutex_unlock(&s->lock);
	// The file is still its writer's: sorting its entries holds up nobody else.
	if (!rc)
		rc = mr_log_file_index(f, parts, binding_count);
	pthread_mutex_lock(&s->lock);
	if (!rc)
		rc = mr_log_runs_room(s, f);
	if (!rc)
		mr_log_runs_add(s, f);
	f->state = MR_LOG_FILE_FILLED;
	s->filled++;
	s->look_for_dead = true;
	pthread_mutex_unlock(&s->lock);
	// Its batches are found again after a start, and until then the file is kept.
	if (rc)
		mr_note(MR_NOTE_ERR, "log", "file=%016llx out of memory for its index",
			(unsigned long long)f->id);
	free(parts);
	mr_log_index_sweep(s);
	mr_log_store_wake(s);
}

void mr_log_store_abandon(struct mr_log_store *s, uint64_t log_id)
{
	pthread_mutex_lock(&s->lock);
	mr_log_store_log(s, log_id)->open = false;
	pthread_mutex_unlock(&s->lock);
}

static bool is_unused(const struct mr_log_file *f)
{
	return f->state == MR_LOG_FILE_ASSIGNED || f->state == MR_LOG_FILE_READY ||
	       f->state == MR_LOG_FILE_ACTIVE;
}

int mr_log_store_seal(struct mr_log_store *s, uint64_t log_id, uint64_t end_lsn)
{
	struct mr_log_batch b = {0};
	struct mr_log_meta *m;
	int rc;

	pthread_mutex_lock(&s->work_lock);
	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, log_id);
	for (size_t i = 0; i < m->files.count; i++) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i);

		if (f->state == MR_LOG_FILE_FILLED) {
			mr_log_batch_seal_file(&b, f);
			mr_log_batch_runs(&b, s, f);
		} else if (is_unused(f))
			mr_log_batch_add(&b, MR_LOG_M_FILE_REMOVE, &f->id, 1);
	}
	m->open = false;
	pthread_mutex_unlock(&s->lock);
	mr_log_batch_add(&b, MR_LOG_M_SEAL, (uint64_t[]){log_id, end_lsn}, 2);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	mr_log_files_bury(s, MR_LOG_SPARES_MAX);
	pthread_mutex_unlock(&s->work_lock);
	return rc;
}

// ---- background work

// Makes one file ready for a log.
static int assign_file(struct mr_log_store *s, uint64_t log_id, uint64_t sequence, uint64_t bytes,
	uint64_t bytes_free_min)
{
	struct mr_log_batch b = {0};
	struct mr_file *file = NULL;
	struct mr_log_file *f;
	uint64_t id;
	int rc;

	if (mr_manifest_stats(s->options.manifest).stopped)
		return MR_ERR_STOPPED;
	pthread_mutex_lock(&s->lock);
	id = s->file_id_next++;
	pthread_mutex_unlock(&s->lock);
	rc = mr_log_file_make(s, id, bytes_free_min, &bytes, &file);
	if (!rc) {
		mr_log_batch_add(
			&b, MR_LOG_M_FILE_ADD, (uint64_t[]){id, log_id, sequence, bytes}, 4);
		rc = mr_log_batch_commit(&b, s->options.manifest);
	}
	pthread_mutex_lock(&s->lock);
	f = rc ? NULL : mr_log_store_file(s, id);
	if (f) {
		f->file = file;
		f->state = MR_LOG_FILE_READY;
		s->open++;
	}
	if (!rc || rc == -ENOSPC)
		s->stats.disk_full = rc == -ENOSPC;
	pthread_mutex_unlock(&s->lock);
	if (rc)
		mr_file_close(file);
	// After any other error of the manifest the file may be named there all the same.
	if (file && (rc == -ENOSPC || rc == -ENOMEM))
		mr_log_file_unlink(s, id);
	return rc;
}

// The open log that has fewest files ready, if that is too few.
static int work_assign(struct mr_log_store *s)
{
	uint64_t log_id = 0, sequence = 0, bytes = 0;
	size_t fewest = s->options.files_ahead;
	int rc;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->logs.count; i++) {
		const struct mr_log_meta *m = mr_log_at_log(&s->logs, i);
		size_t count;

		if (!m->open)
			continue;
		first_ready(m, &count);
		if (count >= fewest)
			continue;
		fewest = count;
		log_id = m->id;
		sequence = m->sequence_next;
		bytes = MR_MAX(s->options.file_bytes, m->file_bytes);
	}
	pthread_mutex_unlock(&s->lock);
	if (!log_id)
		return 0;
	rc = assign_file(s, log_id, sequence, bytes, s->options.bytes_free_min);
	return rc == -ENOSPC ? 0 : rc ? rc : 1;
}

// Opens a log with at least one file ready, and with all it wants if those are not to be small.
static int make_first_files(
	struct mr_log_store *s, uint64_t log_id, uint64_t need_bytes, uint64_t file_bytes)
{
	uint64_t bytes = MR_MAX(s->options.file_bytes_first, mr_round_up(need_bytes, MR_IO_ALIGN));
	uint64_t most = MR_MAX(s->options.file_bytes, file_bytes);
	uint64_t least = MR_MIN(
		most, MR_MAX((uint64_t)FIRST_BYTES_LEAST, mr_round_up(need_bytes, MR_IO_ALIGN)));
	size_t want = s->options.files_ahead, made = 0;
	int rc = 0;

	if (bytes < most)
		want = 1;
	bytes = MR_MIN(bytes, most);
	pthread_mutex_lock(&s->work_lock);
	for (; made < want && !rc; made += !rc)
		rc = assign_file(s, log_id, made, bytes, s->options.bytes_free_min);
	// Only a process that runs can give anything back on a full disk: a start may have a small
	// file of what is kept free.
	if (rc == -ENOSPC && made == 0)
		rc = assign_file(s, log_id, 0, least, 0);
	pthread_mutex_unlock(&s->work_lock);
	return rc == -ENOSPC ? 0 : rc; // told by the writer, who finds no file
}

int mr_log_store_open_log(
	struct mr_log_store *s, uint64_t need_bytes, uint64_t file_bytes, uint64_t *log_id)
{
	struct mr_log_batch b = {0};
	int rc;

	pthread_mutex_lock(&s->lock);
	*log_id = s->log_id_next++;
	pthread_mutex_unlock(&s->lock);
	mr_log_batch_add(&b, MR_LOG_M_OPEN, log_id, 1);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	if (!rc)
		rc = make_first_files(s, *log_id, need_bytes, file_bytes);
	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	mr_log_store_log(s, *log_id)->open = true;
	mr_log_store_log(s, *log_id)->file_bytes = file_bytes;
	pthread_mutex_unlock(&s->lock);
	mr_log_store_wake(s);
	return 0;
}

static int work_seal(struct mr_log_store *s)
{
	struct mr_log_batch b = {0};
	size_t count = 0;
	int rc;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; (s->filled || s->runs_unsaved) && i < s->files.count; i++) {
		const struct mr_log_file *f = mr_log_at_file(&s->files, i);

		if (f->state == MR_LOG_FILE_FILLED)
			mr_log_batch_seal_file(&b, f);
		if (mr_log_file_ended(f))
			mr_log_batch_runs(&b, s, f);
	}
	// What did not fit this append is seen by the next round.
	count = b.count;
	s->runs_unsaved = count > 0;
	pthread_mutex_unlock(&s->lock);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	return rc ? rc : (int)count;
}

static bool is_dead(const struct mr_log_meta *m, const struct mr_log_file *f)
{
	const struct mr_log_file *next;

	if (f->state != MR_LOG_FILE_SEALED || !f->indexed || f->bytes_live || f->cleaning)
		return false;
	if (!m->is_long && f->end_lsn > m->retain_lsn && f->end_lsn != f->first_lsn)
		return false;
	// A file that took over in the middle needs the bindings of the one before it.
	next = mr_log_file_next(m, f);
	return !next || !next->continues || is_dead(m, next);
}

// Adds the removal of the dead files of a log, and its own once it has none. Returns how many.
static size_t remove_dead(struct mr_log_batch *b, const struct mr_log_meta *m, size_t max)
{
	size_t dead = 0;

	for (size_t i = 0; i < m->files.count && dead < max; i++) {
		const struct mr_log_file *f = mr_log_at_file(&m->files, i);

		if (!is_dead(m, f))
			continue;
		mr_log_batch_add(b, MR_LOG_M_FILE_REMOVE, &f->id, 1);
		dead++;
	}
	if (m->sealed && dead == m->files.count)
		mr_log_batch_add(b, MR_LOG_M_REMOVE, &m->id, 1);
	return dead;
}

static int work_remove(struct mr_log_store *s)
{
	struct mr_log_batch b = {0};
	size_t dead = 0;
	int rc, buried;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; s->look_for_dead && i < s->logs.count; i++)
		dead += remove_dead(&b, mr_log_at_log(&s->logs, i), REMOVE_AT_ONCE - dead);
	s->look_for_dead = dead == REMOVE_AT_ONCE;
	pthread_mutex_unlock(&s->lock);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	if (rc) {
		pthread_mutex_lock(&s->lock);
		s->look_for_dead = true;
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	buried = mr_log_files_bury(s, MR_LOG_SPARES_KEEP);
	return dead || buried;
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

// ---- retention

// Something may be dead now.
static void look_for_dead(struct mr_log_store *s, bool look)
{
	s->look_for_dead |= look;
	pthread_mutex_unlock(&s->lock);
	if (look)
		mr_log_store_wake(s);
}

void mr_log_store_retain_offset(
	struct mr_log_store *s, struct mr_uuid topic, int32_t partition, int64_t offset)
{
	struct mr_log_part *p;
	uint32_t part;

	pthread_mutex_lock(&s->lock);
	part = mr_log_part_get(s, topic, partition); // may move s->parts
	p = &s->parts[part];
	look_for_dead(s, offset > p->retain_offset && mr_log_part_release(p, offset));
}

void mr_log_store_retain_known(struct mr_log_store *s,
	bool (*known)(void *arg, struct mr_uuid topic, int32_t partition), void *arg)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->part_count; i++)
		if (!known(arg, s->parts[i].topic, s->parts[i].partition))
			mr_log_part_release(&s->parts[i], INT64_MAX);
	look_for_dead(s, true);
}

void mr_log_store_retain_lsn(struct mr_log_store *s, uint64_t log_id, uint64_t lsn)
{
	struct mr_log_meta *m;

	pthread_mutex_lock(&s->lock);
	m = mr_log_store_log(s, log_id);
	if (m)
		m->retain_lsn = MR_MAX(m->retain_lsn, lsn);
	look_for_dead(s, m != NULL);
}
