// The entries of ended files: a bounded cache, filled when somebody looks for a batch.
//
// What a file holds of each partition (its runs) is in memory for good; where each batch is (its
// entries, 40 bytes a batch) is on disk, in the file's INDEX frames, and in memory as long as
// `index_memory_bytes` allows. A file that ends keeps its entries if there is room, and so do
// those that a start reads. Whoever looks for a batch in another file gets -EINPROGRESS and has
// asked for it: mr_log_store_load, on a thread that may block, reads it and tells everybody.
//
// Room is made by the clock's hand: files not looked at since it came by last go. One that was
// loaded and not yet looked at stays, for a while (those who asked need time to come back), and
// every loaded one stays for a moment, so that those who want more than there is room for take
// turns instead of taking each other's entries away. While a file is loaded twice its entries
// count, as they are sorted. A single file is loaded however small the limit is.
//
// What was read is used only if its runs are those that are known. If the INDEX frames are damaged
// the frames before them are read instead; if that fails too, finding says so, and never a wrong
// place.
#include "storage/log_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

enum { FRESH_NS = 1000000000, STAY_NS = 5000000 };

static uint64_t entries_bytes(const struct mr_log_file *f)
{
	return (f->entry_count + 1) * sizeof(*f->entries);
}

void mr_log_index_drop(struct mr_log_store *s, struct mr_log_file *f)
{
	f->index_wanted = false;
	if (!f->index_cached)
		return;
	s->stats.index_bytes -= entries_bytes(f);
	f->index_cached = false;
	// Freed when the lock is not held: giving back pages takes time.
	memcpy((void *)f->entries, &s->index_garbage, sizeof(void *));
	s->index_garbage = f->entries;
	f->entries = NULL;
}

void mr_log_index_sweep(struct mr_log_store *s)
{
	void *list, *next;

	pthread_mutex_lock(&s->lock);
	list = s->index_garbage;
	s->index_garbage = NULL;
	pthread_mutex_unlock(&s->lock);
	for (; list; list = next) {
		memcpy(&next, list, sizeof(next));
		free(list);
	}
}

static bool may_go(struct mr_log_file *f, int64_t now)
{
	int64_t age = now - f->index_loaded_ns;

	if (!f->index_cached || age < (f->index_fresh ? FRESH_NS : STAY_NS))
		return false;
	if (!f->index_used)
		return true;
	f->index_used = false;
	return false;
}

// Takes entries out until `bytes` more fit. False when they do not.
static bool make_room(struct mr_log_store *s, uint64_t bytes)
{
	int64_t now = mr_now_ns(s->options.clock);

	for (size_t steps = 2 * s->files.count;
		steps && s->stats.index_bytes + bytes > s->options.index_memory_bytes; steps--) {
		struct mr_log_file *f = mr_log_at_file(&s->files, s->index_hand++ % s->files.count);

		if (!may_go(f, now))
			continue;
		mr_log_index_drop(s, f);
		s->stats.index_evictions++;
	}
	return s->stats.index_bytes + bytes <= s->options.index_memory_bytes;
}

static void adopt(struct mr_log_store *s, struct mr_log_file *f)
{
	f->index_cached = true;
	f->index_used = true;
	s->stats.index_bytes += entries_bytes(f);
}

void mr_log_index_keep(struct mr_log_store *s, struct mr_log_file *f)
{
	bool room = make_room(s, entries_bytes(f));

	adopt(s, f);
	if (!room)
		mr_log_index_drop(s, f);
}

int mr_log_index_want(struct mr_log_store *s, struct mr_log_file *f)
{
	int rc = f->index_error;

	if (f->entries) {
		f->index_used = true;
		f->index_fresh = false;
		return 0;
	}
	// Damage stays; anything else is told once and may be better next time.
	if (rc != MR_ERR_CORRUPT)
		f->index_error = 0;
	if (rc)
		return rc;
	if (!f->index_wanted)
		f->index_ticket = ++s->index_ticket;
	f->index_wanted = true;
	if (s->options.index_wanted)
		s->options.index_wanted(s->options.wake_ctx);
	return -EINPROGRESS;
}

// ---- reading

static bool same_runs(const struct mr_log_file *a, const struct mr_log_file *b)
{
	if (a->run_count != b->run_count || a->entry_count != b->entry_count)
		return false;
	for (size_t i = 0; i < a->run_count; i++) {
		const struct mr_log_run *x = &a->runs[i], *y = &b->runs[i];

		if (x->part != y->part || x->first != y->first || x->count != y->count ||
			x->offset_first != y->offset_first || x->offset_end != y->offset_end ||
			x->max_timestamp_ms != y->max_timestamp_ms)
			return false;
	}
	return true;
}

// What of a file the reading needs, and room for its entries.
static int prepare(struct mr_log_file *out, const struct mr_log_file *f)
{
	*out = (struct mr_log_file){
		.id = f->id,
		.log_id = f->log_id,
		.sequence = f->sequence,
		.bytes = f->bytes,
		.file = f->file,
		.continues = f->continues,
		.head_known = true,
		.first_lsn = f->first_lsn,
		.end_lsn = f->end_lsn,
		.incarnation = f->incarnation,
		.previous = f->previous,
		.last_checksum = f->last_checksum,
		.index_lsn = f->index_lsn,
		.entry_max = f->entry_count + 1,
	};
	out->entries = (struct mr_log_index_entry *)calloc(out->entry_max, sizeof(*out->entries));
	return out->entries ? 0 : -ENOMEM;
}

static int gather(struct mr_log_store *s, struct mr_log_file *f, struct mr_log_file *out,
	bool by_index, struct mr_diag *diag)
{
	int rc = prepare(out, f);

	if (!rc)
		rc = mr_log_gather_file(s, out, by_index, diag);
	if (!rc && !same_runs(out, f))
		rc = mr_log_damaged(diag, f, f->first_lsn);
	if (rc)
		mr_log_file_index_free(out);
	return rc;
}

int mr_log_index_read(struct mr_log_store *s, struct mr_log_file *f, struct mr_log_file *out)
{
	struct mr_diag diag = {0};
	int rc = mr_log_file_open(s, f);

	*out = (struct mr_log_file){0};
	if (rc)
		return rc;
	rc = gather(s, f, out, f->index_lsn != MR_LOG_NO_LSN, &diag);
	if (rc == MR_ERR_CORRUPT && f->index_lsn != MR_LOG_NO_LSN) {
		mr_note(MR_NOTE_WARN, "log",
			"file=log/%016llx.mlog event=index_damaged what=\"%s\"",
			(unsigned long long)f->id, diag.message);
		rc = gather(s, f, out, false, &diag);
		pthread_mutex_lock(&s->lock);
		s->stats.index_scans++;
		pthread_mutex_unlock(&s->lock);
	}
	if (rc)
		mr_note(MR_NOTE_ERR, "log", "file=log/%016llx.mlog event=no_index error=\"%s\"",
			(unsigned long long)f->id, mr_err_text(rc));
	return rc;
}

// ---- loading

// Of files that the manifest knows to have ended: until then, which is a moment, some may change.
static struct mr_log_file *first_wanted(const struct mr_log_store *s)
{
	struct mr_log_file *first = NULL;

	for (size_t i = 0; i < s->files.count; i++) {
		struct mr_log_file *f = mr_log_at_file(&s->files, i);

		if (f->index_wanted && f->state == MR_LOG_FILE_SEALED &&
			(!first || f->index_ticket < first->index_ticket))
			first = f;
	}
	return first;
}

// The file to load, pinned and its room taken: 1; 0 when there is none, -EAGAIN when it must wait.
static int begin(struct mr_log_store *s, struct mr_log_file **out)
{
	struct mr_log_file *f;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	f = first_wanted(s);
	if (f && !make_room(s, 2 * entries_bytes(f)) && s->stats.index_bytes) {
		s->stats.index_waits++;
		rc = -EAGAIN;
	} else if (f) {
		s->stats.index_bytes += 2 * entries_bytes(f);
		mr_log_file_pin(f);
		rc = 1;
	}
	pthread_mutex_unlock(&s->lock);
	*out = f;
	return rc;
}

static void end(struct mr_log_store *s, struct mr_log_file *f, struct mr_log_file *read, int rc)
{
	pthread_mutex_lock(&s->lock);
	s->stats.index_bytes -= 2 * entries_bytes(f);
	s->stats.index_loads += !rc;
	s->stats.index_failures += rc != 0;
	f->index_error = rc;
	// One that has left meanwhile is wanted no more.
	if (!rc && f->index_wanted) {
		f->entries = read->entries;
		read->entries = NULL;
		adopt(s, f);
		f->index_fresh = true;
		f->index_loaded_ns = mr_now_ns(s->options.clock);
		mr_log_runs_catch_up(s, f, f->entries);
	}
	f->index_wanted = false;
	s->look_for_dead = true;
	pthread_mutex_unlock(&s->lock);
}

int mr_log_store_load(struct mr_log_store *s)
{
	struct mr_log_file *f, read;
	int rc = begin(s, &f);

	mr_log_index_sweep(s);
	if (rc <= 0)
		return rc;
	rc = mr_log_index_read(s, f, &read);
	end(s, f, &read, rc);
	mr_log_file_index_free(&read);
	mr_log_file_unpin(s, f);
	if (s->options.index_loaded)
		s->options.index_loaded(s->options.wake_ctx);
	return 1;
}
