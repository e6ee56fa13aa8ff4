// Cleaning: live batches of mostly dead files are copied together, and the files given back.
//
// Topics of all lifetimes share a worker's log, so a file in which one topic lives for a year and
// the others for an hour would keep its whole size for the year. A file is worth cleaning when less
// than half of it is alive. One job takes as many such files as fill one new file, and puts their
// live batches into it partition by partition:
//
//	sealed files    |a b a c b a c …|  |a c b b …|      (capitals would be alive)
//	long log's file |all of A by offset| all of B | … | INDEX|
//
// The new file belongs to a long log: a log that only cleaning writes, with nothing in it but
// batches, so that it has no state to recover. A batch keeps its bytes and its offsets; what
// changes is its record's partition ref and checksum, and its place, (log id, lsn).
//
// Order: the new file is written and synced, its name is synced, then one record of the manifest
// (CLEANED) says that it exists and that the old ones do not. Before that record a crash leaves an
// orphan; after it, the old files are orphans. In memory, too, the histories of the partitions
// change in one step under the store's lock. A read of a place that has gone finds the batch's new
// place by its offset (mr_log_store_read); a read under way keeps the old file until it is done.
//
// Memory: `MR_LOG_CLEAN_REGION_BYTES` of new frames at a time, and for these a window of
// `WINDOW_BYTES` over the old files, read in the order in which they lie there. A record larger
// than that grows either. Of files with many small batches few are taken at once, since the places
// of all are in memory.
//
// A batch whose record does not have its checksum is not copied: the job ends, that file is left as
// it is for good, counted and reported, and reading the batch goes on to say that it is damaged.
#include "storage/log_clean_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

enum {
	SOURCES_MAX = 240, // of which ids fit a record of the manifest
	GAIN_SHARE = 16,   // of a file is the least that a job gives back
};

// The live batches of one run, when the job began.
struct piece {
	const struct mr_log_run *run;
	struct mr_log_index_entry *entries;
	size_t count;
};

struct job {
	struct mr_log_store *store;
	const struct mr_log_cleaner *cleaner;
	struct mr_log_file *sources[SOURCES_MAX];
	size_t source_count;
	uint64_t bytes_live;
	uint64_t bytes_disk;
	struct piece *pieces;
	size_t piece_count;
	struct mr_log_copy copy;
	bool new_log; // the long log is made with this file
};

// ---- choosing

static bool worth_cleaning(const struct mr_log_meta *m, const struct mr_log_file *f)
{
	const struct mr_log_file *next;

	if (f->state != MR_LOG_FILE_SEALED || !f->indexed || f->keep || f->cleaning)
		return false;
	if (!m->is_long && f->end_lsn > m->retain_lsn)
		return false;
	if (f->bytes_live == 0 || 2 * f->bytes_live >= f->disk_bytes)
		return false;
	// A file that took over in the middle needs the bindings of the one before it.
	next = mr_log_file_next(m, f);
	return !next || !next->continues;
}

// What a file of so many live bytes and entries takes beside them: bindings, index, frames' heads.
static uint64_t overhead(uint64_t live, size_t entries)
{
	return entries * (sizeof(struct mr_log_index_entry) + 2 * sizeof(struct mr_log_binding)) +
	       (live / MR_LOG_COMMIT_BYTES + 4) * 2 * MR_IO_ALIGN;
}

static void choose_from(struct job *j, const struct mr_log_meta *m, size_t *entries)
{
	for (size_t i = 0; i < m->files.count && j->source_count < SOURCES_MAX; i++) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i);

		if (!worth_cleaning(m, f))
			continue;
		if (j->source_count &&
			(j->bytes_live + f->bytes_live > j->store->options.file_bytes ||
				*entries + f->entry_count > MR_LOG_CLEAN_ENTRIES))
			continue;
		j->sources[j->source_count++] = f;
		j->bytes_live += f->bytes_live;
		j->bytes_disk += f->disk_bytes;
		*entries += f->entry_count;
	}
}

// Under the lock. False when no files are worth it.
static bool choose(struct job *j)
{
	struct mr_log_store *s = j->store;
	size_t entries = 0;
	uint64_t need;

	for (size_t i = 0; i < s->logs.count; i++)
		choose_from(j, mr_log_at_log(&s->logs, i), &entries);
	need = j->bytes_live + overhead(j->bytes_live, entries);
	if (!j->source_count || j->bytes_disk < need + s->options.file_bytes / GAIN_SHARE)
		return false;
	j->bytes_live = need;
	for (size_t i = 0; i < j->source_count; i++)
		j->sources[i]->cleaning = true; // nobody removes it
	return true;
}

// The cleaner may use half of what is kept free, since it gives back more than it takes.
static bool has_room(const struct job *j)
{
	int64_t room = mr_disk_bytes_free(j->store->options.disk);

	return room < 0 || (uint64_t)room >= j->bytes_live + j->store->options.bytes_free_min / 2;
}

static int by_part_and_offset(const void *a, const void *b)
{
	const struct mr_log_run *x = ((const struct piece *)a)->run;
	const struct mr_log_run *y = ((const struct piece *)b)->run;

	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	return (x->offset_first > y->offset_first) - (x->offset_first < y->offset_first);
}

// The pieces of one file, from its entries. Under the lock.
static int take_pieces(
	struct job *j, struct mr_log_file *f, const struct mr_log_index_entry *entries)
{
	mr_log_runs_catch_up(j->store, f, entries);
	for (size_t k = 0; k < f->run_count; k++) {
		const struct mr_log_run *run = &f->runs[k];
		size_t count = run->first + run->count - run->live;
		struct piece *p = &j->pieces[j->piece_count];

		if (!count)
			continue;
		*p = (struct piece){run, malloc(count * sizeof(*p->entries)), count};
		if (!p->entries)
			return -ENOMEM;
		memcpy(p->entries, entries + run->live, count * sizeof(*p->entries));
		j->piece_count++;
	}
	return 0;
}

// Runs `take` under the lock with the entries of a file, which are read if they are not in memory.
static int with_entries(struct job *j, struct mr_log_file *f,
	int (*take)(struct job *j, struct mr_log_file *f, const struct mr_log_index_entry *entries))
{
	struct mr_log_store *s = j->store;
	struct mr_log_file read = {0};
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (f->entries) {
		rc = take(j, f, f->entries);
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	mr_log_file_pin(f);
	pthread_mutex_unlock(&s->lock);
	rc = mr_log_index_read(s, f, &read);
	pthread_mutex_lock(&s->lock);
	if (!rc)
		rc = take(j, f, read.entries);
	f->keep |= rc == MR_ERR_CORRUPT;
	pthread_mutex_unlock(&s->lock);
	mr_log_file_unpin(s, f);
	mr_log_file_index_free(&read);
	return rc;
}

// What is alive now, in the order in which it is written. Retention may go on meanwhile: what it
// takes is then dead in the new file.
static int plan(struct job *j)
{
	size_t max = 0;
	int rc = 0;

	for (size_t i = 0; i < j->source_count; i++)
		max += j->sources[i]->run_count;
	j->pieces = (struct piece *)calloc(max + 1, sizeof(*j->pieces));
	if (!j->pieces)
		return -ENOMEM;
	for (size_t i = 0; i < j->source_count && !rc; i++)
		rc = with_entries(j, j->sources[i], take_pieces);
	qsort(j->pieces, j->piece_count, sizeof(*j->pieces), by_part_and_offset);
	return rc;
}

// ---- what is alive in files of which a part was released while their entries were on disk

static int count_live(
	struct job *j, struct mr_log_file *f, const struct mr_log_index_entry *entries)
{
	mr_log_runs_catch_up(j->store, f, entries);
	return 0;
}

static struct mr_log_file *next_stale(struct job *j, size_t *at)
{
	struct mr_log_store *s = j->store;
	struct mr_log_file *f = NULL;

	pthread_mutex_lock(&s->lock);
	for (; *at < s->files.count && !f; ++*at) {
		f = mr_log_at_file(&s->files, *at);
		if (f->state != MR_LOG_FILE_SEALED || !f->index_stale || f->keep || !f->bytes_live)
			f = NULL;
	}
	if (f)
		mr_log_file_pin(f);
	pthread_mutex_unlock(&s->lock);
	return f;
}

static int count_all_live(struct job *j)
{
	struct mr_log_file *f;
	size_t at = 0;
	int rc = 0;

	while (!rc && (f = next_stale(j, &at))) {
		uint64_t bytes = f->entry_count * sizeof(*f->entries);

		// One that cannot be read is left as it is; the others are counted.
		if (with_entries(j, f, count_live) == 0 && j->cleaner->pace)
			rc = j->cleaner->pace(j->cleaner->ctx, bytes) ? -ECANCELED : 0;
		mr_log_file_unpin(j->store, f);
	}
	return rc;
}

// ---- the new file

// One binding for each partition of the plan, in its order.
static int make_bindings(struct job *j)
{
	struct mr_log_copy *c = &j->copy;

	c->bindings = (struct mr_log_binding *)calloc(j->piece_count + 1, sizeof(*c->bindings));
	c->parts = (uint32_t *)calloc(j->piece_count + 1, sizeof(*c->parts));
	if (!c->bindings || !c->parts)
		return -ENOMEM;
	pthread_mutex_lock(&j->store->lock);
	for (size_t i = 0; i < j->piece_count; i++) {
		const struct mr_log_part *p = &j->store->parts[j->pieces[i].run->part];

		if (i && j->pieces[i].run->part == j->pieces[i - 1].run->part)
			continue;
		c->parts[c->binding_count] = j->pieces[i].run->part;
		c->bindings[c->binding_count] =
			(struct mr_log_binding){(uint32_t)c->binding_count, p->partition, p->topic};
		c->binding_count++;
	}
	pthread_mutex_unlock(&j->store->lock);
	return 0;
}

static void identify(struct job *j)
{
	struct mr_log_store *s = j->store;
	struct mr_log_file *f = j->copy.file;
	const struct mr_log_meta *m;

	pthread_mutex_lock(&s->lock);
	j->new_log = s->long_log == 0;
	f->log_id = j->new_log ? s->log_id_next++ : s->long_log;
	m = mr_log_store_log(s, f->log_id);
	f->id = s->file_id_next++;
	f->sequence = m ? m->sequence_next : 0;
	f->first_lsn = s->long_lsn;
	f->previous = s->long_checksum;
	f->incarnation = mr_rand_u64(&s->rand) | 1;
	f->state = MR_LOG_FILE_SEALED;
	f->head_known = true;
	f->used = true;
	pthread_mutex_unlock(&s->lock);
}

static int copy_all(struct job *j)
{
	struct mr_log_copy *c = &j->copy;
	uint32_t ref = 0;
	int rc = mr_log_copy_begin(c);

	for (size_t i = 0; i < j->piece_count && !rc; i++) {
		const struct mr_log_run *run = j->pieces[i].run;

		while (c->parts[ref] != run->part)
			ref++;
		for (size_t e = 0; e < j->pieces[i].count && !rc; e++)
			rc = mr_log_copy_batch(c, run->file, &j->pieces[i].entries[e], ref);
	}
	return rc ? rc : mr_log_copy_end(c);
}

static int write_file(struct job *j)
{
	struct mr_log_store *s = j->store;
	struct mr_log_copy *c = &j->copy;
	int rc;

	identify(j);
	c->store = s;
	c->cleaner = j->cleaner;
	rc = mr_log_file_open_named(s, c->file->id, MR_FILE_CREATE | MR_FILE_EXCL, &c->file->file);
	if (!rc)
		rc = copy_all(j);
	if (!rc)
		rc = mr_log_sync_dir(s);
	return rc ? rc : mr_log_file_index(c->file, c->parts, c->binding_count);
}

// ---- the switch

static int commit(struct job *j)
{
	struct mr_log_store *s = j->store;
	const struct mr_log_file *f = j->copy.file;
	uint64_t words[MR_LOG_CLEANED_WORDS + SOURCES_MAX] = {f->id, f->log_id, f->sequence,
		f->bytes, f->first_lsn, f->end_lsn, f->index_lsn, f->incarnation, f->previous,
		f->last_checksum};
	struct mr_log_batch b = {0};

	for (size_t i = 0; i < j->source_count; i++)
		words[MR_LOG_CLEANED_WORDS + i] = j->sources[i]->id;
	if (j->new_log)
		mr_log_batch_add(&b, MR_LOG_M_OPEN_LONG, &f->log_id, 1);
	mr_log_batch_add(&b, MR_LOG_M_CLEANED, words, MR_LOG_CLEANED_WORDS + j->source_count);
	pthread_mutex_lock(&s->lock);
	s->incoming = j->copy.file;
	s->runs_unsaved = true; // a later append adds them
	pthread_mutex_unlock(&s->lock);
	return mr_log_batch_commit(&b, s->options.manifest);
}

// The new file counts, or it does not: without a word from the manifest that it is not named there,
// it is left on disk, where the next start knows.
static int switch_over(struct job *j)
{
	struct mr_log_store *s = j->store;
	int rc;

	pthread_mutex_lock(&s->work_lock);
	rc = commit(j);
	pthread_mutex_lock(&s->lock);
	if (s->incoming)
		MR_ASSERT(rc);
	else
		j->copy.file = NULL; // the store's
	s->incoming = NULL;
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->work_lock);
	return rc;
}

static void count_done(struct job *j, uint64_t end_lsn, uint64_t checksum, uint64_t log_id)
{
	struct mr_log_store *s = j->store;

	pthread_mutex_lock(&s->lock);
	s->long_log = log_id;
	s->long_lsn = end_lsn;
	s->long_checksum = checksum;
	s->stats.cleanings++;
	s->stats.cleaned_files += j->source_count;
	s->stats.cleaned_bytes += j->bytes_disk;
	s->stats.copied_bytes += j->copy.bytes_copied;
	pthread_mutex_unlock(&s->lock);
}

static int run_job(struct job *j)
{
	uint64_t end_lsn, checksum, log_id;
	int rc = plan(j);

	j->copy.file = (struct mr_log_file *)calloc(1, sizeof(*j->copy.file));
	if (!rc && !j->copy.file)
		rc = -ENOMEM;
	if (!rc)
		rc = make_bindings(j);
	if (!rc)
		rc = write_file(j);
	if (rc) {
		if (j->copy.file && j->copy.file->file)
			mr_log_file_unlink(j->store, j->copy.file->id);
		return rc;
	}
	end_lsn = j->copy.file->end_lsn;
	checksum = j->copy.file->last_checksum;
	log_id = j->copy.file->log_id;
	rc = switch_over(j);
	if (!rc)
		count_done(j, end_lsn, checksum, log_id);
	else if (rc == -ENOSPC || rc == -ENOMEM)
		mr_log_file_unlink(j->store, j->copy.file->id);
	return rc;
}

static void say_failed(struct job *j, int rc)
{
	struct mr_log_store *s = j->store;
	struct mr_log_file *bad = j->copy.damaged;

	pthread_mutex_lock(&s->lock);
	s->stats.clean_failures += rc != -ECANCELED;
	s->stats.clean_no_room += rc == -ENOSPC;
	if (bad)
		bad->keep = true;
	s->stats.clean_damaged += bad != NULL;
	pthread_mutex_unlock(&s->lock);
	if (bad)
		mr_note(MR_NOTE_ERR, "log",
			"file=log/%016llx.mlog offset=%llu error=\"%s\" event=not_cleaned",
			(unsigned long long)bad->id,
			(unsigned long long)mr_log_file_offset(bad, j->copy.damaged_lsn),
			mr_err_text(rc));
}

// The old files are the store's again, unless they have gone.
static void finish(struct job *j, bool done)
{
	struct mr_log_store *s = j->store;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < j->source_count && !done; i++)
		j->sources[i]->cleaning = false;
	s->look_for_dead = true;
	pthread_mutex_unlock(&s->lock);
	if (j->copy.file)
		mr_log_file_free(j->copy.file);
	mr_log_copy_fini(&j->copy);
	for (size_t i = 0; i < j->piece_count; i++)
		free(j->pieces[i].entries);
	free(j->pieces);
	mr_log_index_sweep(s);
	mr_log_store_wake(s);
}

int mr_log_store_clean(struct mr_log_store *s, const struct mr_log_cleaner *c)
{
	struct job j = {.store = s, .cleaner = c};
	bool chosen;
	int rc;

	pthread_mutex_lock(&s->clean_lock);
	rc = count_all_live(&j);
	pthread_mutex_lock(&s->lock);
	chosen = !rc && choose(&j);
	pthread_mutex_unlock(&s->lock);
	if (!chosen) {
		pthread_mutex_unlock(&s->clean_lock);
		return rc;
	}
	rc = has_room(&j) ? run_job(&j) : -ENOSPC;
	if (rc)
		say_failed(&j, rc);
	finish(&j, rc == 0);
	pthread_mutex_unlock(&s->clean_lock);
	return rc ? rc : 1;
}
