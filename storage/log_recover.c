// Finding the end of a log at start.
//
// A log that was not sealed ends where its chain of frames breaks. Its files are taken in order;
// the head of a later file, durable only after everything before it, says where the earlier one
// ended. Only the last file with a head can end in the middle. There, what follows the break
// decides:
//
//   a valid frame behind it that was written when the broken place was durable already: damage in
//   the middle, refused;
//   anything else: a torn tail that was never acknowledged, cut.
//
// (Two frames may be in flight together, so a valid frame behind a torn one is no proof by itself:
// each says how far the log was durable when it was written.)
//
// Then, before anything recovered is served: the last file is synced, since after a kill its newest
// bytes may sit in the disk's cache only; one manifest append records all ends, removes unused
// files and seals the log; the last file is cut. A crash between any two steps leaves a state that
// the next run takes the same way.
#include "storage/log_int.h"

#include "host/base/note.h"

#include <errno.h>
#include <stdlib.h>

static int open_file(struct mr_log_store *s, struct mr_log_file *f, struct mr_diag *diag)
{
	char name[MR_LOG_NAME_BYTES];
	int rc = mr_log_file_open(s, f);

	mr_log_file_name(f->id, name);
	return rc != -ENOENT ? rc
			     : mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
				       "file \"%s\" is missing", name);
}

static int read_head(struct mr_log_file *f, uint64_t *index_before, struct mr_diag *diag)
{
	uint8_t *page = (uint8_t *)aligned_alloc(MR_IO_ALIGN, MR_LOG_HEAD_BYTES);
	int rc = page ? mr_file_read(f->file, 0, page, MR_LOG_HEAD_BYTES) : -ENOMEM;

	if (rc >= 0)
		rc = rc == MR_LOG_HEAD_BYTES ? mr_log_head_read(f, page, index_before)
					     : (int)MR_ERR_CORRUPT;
	free(page);
	if (rc == MR_ERR_VERSION)
		return mr_log_too_new(diag, f, "its head");
	return rc == MR_ERR_CORRUPT ? 0 : rc; // no head: never used, or skipped
}

// The checksum that the chain must have at the end of an unsealed file, and its index.
static void end_by_next(struct mr_log_file *f, const struct mr_log_file *next, uint64_t index_lsn)
{
	f->end_lsn = next->first_lsn;
	f->last_checksum = next->previous;
	f->index_lsn = index_lsn;
}

static int read_heads(struct mr_log_store *s, struct mr_log_meta *m, struct mr_diag *diag)
{
	struct mr_log_file *before = NULL;

	for (size_t i = 0; i < m->files.count; i++) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i);
		uint64_t index_before = MR_LOG_NO_LSN;
		int rc = 0;

		if (f->state != MR_LOG_FILE_SEALED)
			rc = open_file(s, f, diag);
		if (!rc && f->state != MR_LOG_FILE_SEALED)
			rc = read_head(f, &index_before, diag);
		if (rc)
			return rc;
		if (!f->head_known)
			continue;
		if (before && f->first_lsn < before->first_lsn)
			return mr_log_damaged(diag, f, f->first_lsn);
		if (before && before->state != MR_LOG_FILE_SEALED)
			end_by_next(before, f, index_before);
		before = f;
	}
	return 0;
}

// A file that lost its head to damage would make the log end before it. Its first frame tells.
static int refuse_lost_head(struct mr_log_meta *m, uint64_t end_lsn, struct mr_diag *diag)
{
	for (size_t i = 0; i < m->files.count; i++) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i);
		struct mr_log_file as_if = *f;
		struct mr_log_scan scan;
		const uint8_t *p;
		int rc;

		if (f->head_known)
			continue;
		p = (const uint8_t *)aligned_alloc(MR_IO_ALIGN, MR_IO_ALIGN);
		rc = p ? mr_file_read(f->file, MR_LOG_HEAD_BYTES, (void *)(uintptr_t)p, MR_IO_ALIGN)
		       : -ENOMEM;
		if (rc == (int)MR_IO_ALIGN)
			as_if.incarnation =
				((const struct mr_log_frame *)(const void *)p)->incarnation;
		free((void *)(uintptr_t)p);
		if (rc < 0)
			return rc;
		as_if.first_lsn = end_lsn;
		mr_log_scan_init(&scan, &as_if, end_lsn, mr_log_file_end(&as_if));
		scan.chained = false;
		p = NULL;
		rc = mr_log_scan_next(&scan, (const struct mr_log_frame **)(const void **)&p);
		mr_log_scan_fini(&scan);
		if (rc < 0 && rc != MR_ERR_VERSION)
			return rc;
		if (p || rc)
			return mr_log_damaged(diag, &as_if, end_lsn);
	}
	return 0;
}

// The last file with a head: where does it break, and does that look like a torn tail?
static int find_end(struct mr_log_store *s, struct mr_log_file *f, struct mr_diag *diag)
{
	struct mr_log_gather g = {.store = s, .file = f};
	struct mr_log_scan scan;
	int rc = mr_log_gather_previous(&g, diag);

	mr_log_scan_init(&scan, f, f->first_lsn, mr_log_file_end(f));
	if (!rc)
		rc = mr_log_gather_frames(&g, &scan, diag);
	f->end_lsn = scan.lsn;
	f->last_checksum = scan.previous;
	f->index_lsn = MR_LOG_NO_LSN;
	if (!rc) {
		rc = mr_log_scan_proves(&scan, scan.lsn, scan.lsn);
		if (rc > 0)
			rc = mr_log_damaged(diag, f, scan.lsn);
	}
	mr_log_scan_fini(&scan);
	free(g.parts);
	mr_log_file_index_free(f); // built again by load_index, once for all files
	return rc;
}

// Files that belong to nobody are kept for the logs of this life.
static int adopt(struct mr_log_store *s, const uint64_t *ids, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = mr_log_file_adopt(s, ids[i]);
	return rc;
}

// Records what was found, in one append.
static int record_end(struct mr_log_store *s, struct mr_log_meta *m, uint64_t end_lsn)
{
	struct mr_log_batch b = {0};
	size_t count = 0;
	uint64_t *unused = (uint64_t *)calloc(m->files.count + 1, sizeof(*unused));
	int rc;

	if (!unused)
		return -ENOMEM;
	for (size_t i = 0; i < m->files.count; i++) {
		const struct mr_log_file *f = mr_log_at_file(&m->files, i);

		if (f->state == MR_LOG_FILE_SEALED)
			continue;
		if (f->head_known) {
			mr_log_batch_seal_file(&b, f);
			continue;
		}
		mr_log_batch_add(&b, MR_LOG_M_FILE_REMOVE, &f->id, 1);
		unused[count++] = f->id;
	}
	mr_log_batch_add(&b, MR_LOG_M_SEAL, (uint64_t[]){m->id, end_lsn}, 2);
	rc = mr_log_batch_commit(&b, s->options.manifest);
	if (!rc)
		rc = adopt(s, unused, count);
	free(unused);
	return rc;
}

static int seal_unsealed(struct mr_log_store *s, struct mr_log_meta *m, struct mr_diag *diag)
{
	struct mr_log_file *last = NULL;
	uint64_t end_lsn = 0;
	int rc = 0;

	for (size_t i = 0; i < m->files.count; i++)
		if (mr_log_at_file(&m->files, i)->head_known)
			last = mr_log_at_file(&m->files, i);
	if (last && last->state != MR_LOG_FILE_SEALED) {
		rc = find_end(s, last, diag);
		if (!rc)
			rc = mr_file_sync(last->file);
	}
	end_lsn = last ? last->end_lsn : 0;
	if (!rc)
		rc = refuse_lost_head(m, end_lsn, diag);
	return rc ? rc : record_end(s, m, end_lsn);
}

// Bytes behind the end of a sealed log's last file are a torn tail or unused room.
static int cut_tail(struct mr_log_file *f)
{
	uint64_t bytes = mr_log_file_offset(f, f->end_lsn);
	int64_t now = mr_file_bytes(f->file);
	int rc;

	f->disk_bytes = bytes;
	if (now < 0 || (uint64_t)now <= bytes)
		return now < 0 ? (int)now : 0;
	rc = mr_file_truncate(f->file, bytes);
	return rc ? rc : mr_file_sync(f->file);
}

// Its runs stay, and nothing is read if the manifest has them. Where it does not, the entries are
// read as well, and stay as long as there is room for them (log_cache.c).
static int load_index(struct mr_log_store *s, struct mr_log_file *f, struct mr_diag *diag)
{
	int rc = 0;

	if (!f->runs_saved) {
		mr_log_file_index_free(f);
		rc = mr_log_gather_file(s, f, f->index_lsn != MR_LOG_NO_LSN, diag);
		s->runs_unsaved = true;
		s->stats.index_starts += !rc;
	}
	pthread_mutex_lock(&s->lock);
	if (!rc)
		rc = mr_log_runs_room(s, f);
	if (!rc)
		mr_log_runs_add(s, f);
	pthread_mutex_unlock(&s->lock);
	mr_log_index_sweep(s);
	return rc;
}

int mr_log_recover_log(struct mr_log_store *s, struct mr_log_meta *m, struct mr_diag *diag)
{
	int rc = read_heads(s, m, diag);

	if (!rc && !m->sealed)
		rc = seal_unsealed(s, m, diag);
	for (size_t i = 0; i < m->files.count && !rc; i++) {
		struct mr_log_file *f = mr_log_at_file(&m->files, i);

		rc = open_file(s, f, diag);
		if (!rc)
			rc = load_index(s, f, diag);
		if (!rc && i + 1 == m->files.count)
			rc = cut_tail(f);
	}
	return rc;
}

// The directory against the manifest.
struct listing {
	struct mr_log_store *store;
	struct mr_diag *diag;
	uint64_t *orphans;
	size_t count;
	size_t max;
};

static int check_entry(void *arg, const char *entry)
{
	struct listing *l = (struct listing *)arg;
	uint64_t id;

	if (!mr_log_file_name_parse(entry, &id))
		return mr_diag_set(l->diag, MR_ERR_FOREIGN, "58030", 0,
			"file \"log/%s\" is not a millrace log file", entry);
	if (mr_log_store_file(l->store, id))
		return 0;
	if (l->count == l->max) {
		size_t max = MR_MAX((size_t)16, l->max * 2);
		void *grown = realloc(l->orphans, max * sizeof(*l->orphans));

		if (!grown)
			return -ENOMEM;
		l->orphans = (uint64_t *)grown;
		l->max = max;
	}
	l->orphans[l->count++] = id;
	return 0;
}

static int adopt_orphans(struct mr_log_store *s, struct mr_diag *diag)
{
	struct listing l = {.store = s, .diag = diag};
	int rc = mr_disk_mkdir(s->options.disk, "log");

	if (!rc)
		rc = mr_disk_list(s->options.disk, "log", check_entry, &l);
	if (!rc)
		rc = adopt(s, l.orphans, l.count);
	if (!rc && l.count)
		rc = mr_log_sync_dir(s);
	free(l.orphans);
	return rc;
}

int mr_log_store_recover(struct mr_log_store *s, struct mr_diag *diag)
{
	int rc;

	if (diag)
		memset(diag, 0, sizeof(*diag));
	rc = adopt_orphans(s, diag);
	for (size_t i = 0; i < s->logs.count && !rc; i++)
		rc = mr_log_recover_log(s, mr_log_at_log(&s->logs, i), diag);
	s->recovered = !rc;
	if (rc && diag && !diag->message[0])
		mr_diag_set(diag, rc, "58030", 0, "log: %s", mr_err_text(rc));
	return rc;
}
