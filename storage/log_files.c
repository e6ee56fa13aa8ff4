// Log files on disk: made of zeros ahead of need, used again, given back; and the cache of open
// ones.
//
// A spare is a file of the full size that belongs to nobody: nothing but its name says that it is
// there, so a crash leaves it as an orphan, which the next start takes as a spare again. Using one
// costs a rename and a sync of the directory instead of writing zeros.
//
// Files that are being written are always open. Sealed ones are opened at first use; when more than
// `open_files_max` of all are open, those not used since the hand of the clock came by last are
// closed, unless somebody is reading them.
#include "storage/log_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

enum { EVICT_AT_ONCE = 8 };

// Takes files out of the cache until `open_max` are left; fills at most EVICT_AT_ONCE. Under the
// lock.
static size_t evict(struct mr_log_store *s, size_t open_max, struct mr_file *out[EVICT_AT_ONCE])
{
	size_t count = 0;

	for (size_t steps = 2 * s->files.count;
		steps && s->open > open_max && count < EVICT_AT_ONCE; steps--) {
		struct mr_log_file *f = mr_log_at_file(&s->files, s->evict_at++ % s->files.count);

		if (!f->file || f->pins || f->state != MR_LOG_FILE_SEALED)
			continue;
		if (f->used) {
			f->used = false;
			continue;
		}
		out[count++] = f->file;
		f->file = NULL;
		s->open--;
		s->stats.open_evictions++;
	}
	return count;
}

static void close_all(struct mr_file *const files[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		mr_file_close(files[i]);
}

// When a call failed because the process has no descriptor left, gives up some of ours: is there
// reason to try again?
static bool made_room(struct mr_log_store *s, int rc)
{
	struct mr_file *close[EVICT_AT_ONCE];
	size_t count;

	if (rc != -EMFILE && rc != -ENFILE)
		return false;
	pthread_mutex_lock(&s->lock);
	count = evict(s, 0, close);
	pthread_mutex_unlock(&s->lock);
	close_all(close, count);
	return count > 0;
}

int mr_log_file_open_named(
	struct mr_log_store *s, uint64_t id, unsigned flags, struct mr_file **out)
{
	char name[MR_LOG_NAME_BYTES];
	int rc;

	mr_log_file_name(id, name);
	do
		rc = mr_file_open(
			s->options.disk, name, flags | MR_FILE_WRITE | MR_FILE_DIRECT, out);
	while (made_room(s, rc));
	return rc;
}

int mr_log_sync_dir(struct mr_log_store *s)
{
	int rc;

	do
		rc = mr_disk_sync_dir(s->options.disk, "log");
	while (made_room(s, rc));
	return rc;
}

void mr_log_file_unlink(struct mr_log_store *s, uint64_t id)
{
	char name[MR_LOG_NAME_BYTES];
	int rc;

	mr_log_file_name(id, name);
	rc = mr_disk_unlink(s->options.disk, name);
	pthread_mutex_lock(&s->lock);
	s->stats.files_removed += !rc;
	pthread_mutex_unlock(&s->lock);
}

// ---- making

static bool pop_spare(struct mr_log_store *s, uint64_t *id)
{
	bool any;

	pthread_mutex_lock(&s->lock);
	any = s->spare_count > 0;
	if (any)
		*id = s->spares[--s->spare_count];
	pthread_mutex_unlock(&s->lock);
	return any;
}

static int use_spare(struct mr_log_store *s, uint64_t spare, uint64_t id, struct mr_file **out)
{
	char name[MR_LOG_NAME_BYTES], spare_name[MR_LOG_NAME_BYTES];
	int rc;

	mr_log_file_name(id, name);
	mr_log_file_name(spare, spare_name);
	rc = mr_disk_rename(s->options.disk, spare_name, name);
	if (!rc)
		rc = mr_log_file_open_named(s, id, 0, out);
	// One that an earlier life was still filling is filled to its end.
	return rc ? rc : mr_file_fill(*out, s->options.file_bytes);
}

static int make(struct mr_log_store *s, uint64_t id, uint64_t bytes_free_min, uint64_t *bytes,
	bool *recycled, struct mr_file **out)
{
	int64_t room = mr_disk_bytes_free(s->options.disk);
	uint64_t spare;
	int rc;

	*recycled = *bytes <= s->options.file_bytes && pop_spare(s, &spare);
	if (*recycled) {
		*bytes = s->options.file_bytes;
		rc = use_spare(s, spare, id, out);
	} else {
		if (room >= 0 && (uint64_t)room < *bytes + bytes_free_min)
			return -ENOSPC;
		rc = mr_log_file_open_named(s, id, MR_FILE_CREATE | MR_FILE_EXCL, out);
		if (!rc)
			rc = mr_file_fill(*out, *bytes);
	}
	return rc ? rc : mr_log_sync_dir(s);
}

int mr_log_file_make(struct mr_log_store *s, uint64_t id, uint64_t bytes_free_min, uint64_t *bytes,
	struct mr_file **out)
{
	bool recycled;
	int rc;

	*out = NULL;
	rc = make(s, id, bytes_free_min, bytes, &recycled, out);
	pthread_mutex_lock(&s->lock);
	s->stats.files_made += !rc && !recycled;
	s->stats.files_recycled += !rc && recycled;
	pthread_mutex_unlock(&s->lock);
	if (rc && *out) {
		// Nobody knows of it, and the next attempt takes another id.
		mr_file_close(*out);
		*out = NULL;
		mr_log_file_unlink(s, id);
	}
	return rc;
}

// ---- giving back

static bool keep_spare(struct mr_log_store *s, uint64_t id, size_t spares_max)
{
	bool keep;

	pthread_mutex_lock(&s->lock);
	keep = s->spare_count < spares_max;
	if (keep)
		s->spares[s->spare_count++] = id;
	pthread_mutex_unlock(&s->lock);
	return keep;
}

// The first that has left and that nobody reads, or NULL.
static struct mr_log_file *next_to_bury(struct mr_log_store *s)
{
	struct mr_log_file **at = &s->leaving, *f;

	pthread_mutex_lock(&s->lock);
	while (*at && (*at)->pins)
		at = &(*at)->leaving_next;
	f = *at;
	if (f) {
		*at = f->leaving_next;
		s->open -= f->file != NULL;
	}
	pthread_mutex_unlock(&s->lock);
	return f;
}

int mr_log_files_bury(struct mr_log_store *s, size_t spares_max)
{
	struct mr_log_file *f;
	int count = 0;

	while ((f = next_to_bury(s))) {
		if (f->disk_bytes != s->options.file_bytes || !keep_spare(s, f->id, spares_max))
			mr_log_file_unlink(s, f->id);
		mr_log_file_free(f);
		count++;
	}
	return count;
}

int mr_log_file_adopt(struct mr_log_store *s, uint64_t id)
{
	struct mr_file *file;
	int64_t bytes;
	int rc;

	s->file_id_next = MR_MAX(s->file_id_next, id + 1);
	rc = mr_log_file_open_named(s, id, 0, &file);
	if (rc)
		return rc;
	bytes = mr_file_bytes(file);
	mr_file_close(file);
	if (bytes != (int64_t)s->options.file_bytes || !keep_spare(s, id, MR_LOG_SPARES_MAX))
		mr_log_file_unlink(s, id);
	return 0;
}

// ---- open files

void mr_log_file_pin(struct mr_log_file *f)
{
	f->pins++;
	f->used = true;
}

void mr_log_file_unpin(struct mr_log_store *s, struct mr_log_file *f)
{
	bool wake;

	pthread_mutex_lock(&s->lock);
	MR_ASSERT(f->pins > 0);
	f->pins--;
	wake = s->leaving && f->pins == 0;
	pthread_mutex_unlock(&s->lock);
	if (wake)
		mr_log_store_wake(s);
}

int mr_log_file_open(struct mr_log_store *s, struct mr_log_file *f)
{
	struct mr_file *file, *close[EVICT_AT_ONCE];
	size_t count;
	bool open;
	int rc;

	pthread_mutex_lock(&s->lock);
	open = f->file != NULL;
	pthread_mutex_unlock(&s->lock);
	if (open)
		return 0;
	rc = mr_log_file_open_named(s, f->id, 0, &file);
	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	if (!f->file) {
		f->file = file;
		s->open++;
		file = NULL;
	}
	count = evict(s, s->options.open_files_max, close);
	pthread_mutex_unlock(&s->lock);
	mr_file_close(file); // somebody else was quicker
	close_all(close, count);
	return 0;
}
