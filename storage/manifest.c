// The manifest's writer and owner of its state. Reading bytes is in manifest_read.c.
//
// An append is one frame: written behind the last, synced, then replayed to the owners. A snapshot
// (compaction) goes to the other file as a new generation; the superblock slot written next makes
// it count. Frames of older generations that lie in a file are dead by their generation number, so
// files are filled with zeros once and then only overwritten.
#include "storage/manifest_int.h"

#include "host/base/hash.h"
#include "host/base/note.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWNERS_MAX = 8, FILE_BYTES = 4 << 20, SNAPSHOT_RECORDS = 4096, FILE_BYTES_MAX = 1 << 30 };

static const char *const file_names[2] = {"manifest.0", "manifest.1"};
static const char super_name[] = "super";
static const char super_tmp[] = "super.tmp";

struct mr_manifest {
	struct mr_manifest_options options;
	struct mr_manifest_owner owners[OWNERS_MAX];
	size_t owner_count;
	pthread_mutex_t lock;
	struct mr_file *files[2];
	struct mr_file *super_file;
	struct mr_manifest_super super; // newest slot written
	struct mr_manifest_chain chain; // of files[super.file]
	struct mr_manifest_stats stats;
	_Atomic bool stopped;
	int failures;
	struct mr_diag *diag; // while opening
	uint8_t *scratch;     // aligned; a frame on its way out
	size_t scratch_bytes;
};

static struct mr_manifest_owner *owner_of(struct mr_manifest *m, uint16_t type)
{
	for (size_t i = 0; i < m->owner_count; i++)
		if (type >= m->owners[i].type_first && type <= m->owners[i].type_last)
			return &m->owners[i];
	return NULL;
}

static int replay(void *arg, const struct mr_manifest_record *r)
{
	struct mr_manifest *m = (struct mr_manifest *)arg;
	struct mr_manifest_owner *o = owner_of(m, r->type);

	if (!o || r->version > o->version_max)
		return mr_diag_set(m->diag, MR_ERR_VERSION, "XX000", 0,
			"manifest record of type %u version %u is newer than this program", r->type,
			r->version);
	return o->replay(o->ctx, r, m->diag);
}

void mr_manifest_emit(struct mr_buf *out, uint16_t type, uint16_t version, struct mr_span payload)
{
	static const uint8_t zeros[8];

	mr_buf_le16(out, type);
	mr_buf_le16(out, version);
	mr_buf_le32(out, (uint32_t)payload.bytes);
	mr_buf_add(out, payload.data, payload.bytes);
	mr_buf_add(out, zeros, mr_round_up(payload.bytes, 8) - payload.bytes);
}

static uint32_t count_records(struct mr_span s)
{
	uint32_t count = 0;

	for (size_t at = 0; at < s.bytes; count++)
		at += sizeof(struct mr_manifest_record_head) +
		      mr_round_up(mr_load_le32(s.data + at + 4), 8);
	return count;
}

static int scratch_room(struct mr_manifest *m, size_t bytes)
{
	if (bytes <= m->scratch_bytes)
		return 0;
	free(m->scratch);
	m->scratch = (uint8_t *)aligned_alloc(MR_IO_ALIGN, bytes);
	m->scratch_bytes = m->scratch ? bytes : 0;
	return m->scratch ? 0 : -ENOMEM;
}

// Writes one frame behind `chain` and syncs it; `chain` moves only when that worked.
static int frame_write(struct mr_manifest *m, struct mr_file *file, uint64_t generation,
	struct mr_manifest_chain *chain, struct mr_span payload)
{
	size_t bytes = mr_manifest_frame_bytes(payload.bytes);
	int rc = scratch_room(m, bytes);
	struct mr_manifest_frame *f = (struct mr_manifest_frame *)(void *)m->scratch;

	if (rc)
		return rc;
	memset(m->scratch, 0, bytes);
	*f = (struct mr_manifest_frame){
		.magic = MR_MANIFEST_FRAME_MAGIC,
		.version = MR_MANIFEST_VERSION,
		.flags = (uint16_t)(chain->sequence ? 0 : MR_MANIFEST_SNAPSHOT),
		.bytes = (uint32_t)payload.bytes,
		.generation = generation,
		.sequence = chain->sequence,
		.previous = chain->previous,
		.records = count_records(payload),
	};
	if (payload.bytes)
		memcpy(f + 1, payload.data, payload.bytes);
	f->checksum = mr_checksum(&f->magic, sizeof(*f) - sizeof(f->checksum) + payload.bytes);
	rc = mr_file_write(file, chain->end, m->scratch, bytes);
	if (!rc)
		rc = mr_file_sync(file);
	if (rc)
		return rc;
	chain->records += chain->sequence ? f->records : 0;
	chain->previous = f->checksum;
	chain->sequence++;
	chain->end += bytes;
	return 0;
}

static int super_write(struct mr_manifest *m, struct mr_file *file, struct mr_manifest_super *s)
{
	int rc = scratch_room(m, MR_IO_ALIGN);

	if (rc)
		return rc;
	s->magic = MR_MANIFEST_SUPER_MAGIC;
	s->version = MR_MANIFEST_VERSION;
	s->checksum = mr_checksum(&s->magic, sizeof(*s) - sizeof(s->checksum));
	memset(m->scratch, 0, MR_IO_ALIGN);
	memcpy(m->scratch, s, sizeof(*s));
	rc = mr_file_write(file, s->sequence % 2 * MR_IO_ALIGN, m->scratch, MR_IO_ALIGN);
	return rc ? rc : mr_file_sync(file);
}

static int stop(struct mr_manifest *m, int rc)
{
	atomic_store_explicit(&m->stopped, true, memory_order_relaxed);
	mr_note(MR_NOTE_ERR, "manifest", "stopped error=\"%s\"", mr_err_text(rc));
	return MR_ERR_STOPPED;
}

static uint64_t file_bytes_for(struct mr_manifest *m, uint64_t snapshot, uint64_t more)
{
	uint64_t bytes = MR_MAX(m->options.file_bytes, m->super.file_bytes);

	while (bytes < 2 * snapshot + more)
		bytes *= 2;
	return bytes;
}

// Writes the owners' state as a new generation into the other file and makes it count. `more` is
// the size of a frame that must fit behind it. -ENOSPC or another error before the superblock is
// touched leaves everything as it was.
static int compact(struct mr_manifest *m, uint64_t more)
{
	struct mr_manifest_super next = m->super;
	struct mr_manifest_chain chain = {0};
	struct mr_buf snapshot = {0};
	int rc;

	for (size_t i = 0; i < m->owner_count; i++)
		m->owners[i].snapshot(m->owners[i].ctx, &snapshot);
	next.file ^= 1;
	next.sequence++;
	next.generation++;
	next.file_bytes = file_bytes_for(m, mr_manifest_frame_bytes(snapshot.bytes), more);
	rc = snapshot.failed ? -ENOMEM : next.file_bytes > FILE_BYTES_MAX ? MR_ERR_LIMIT : 0;
	if (!rc)
		rc = mr_file_fill(m->files[next.file], next.file_bytes);
	if (!rc)
		rc = frame_write(
			m, m->files[next.file], next.generation, &chain, mr_buf_span(&snapshot));
	mr_buf_fini(&snapshot);
	if (rc)
		return rc;
	rc = super_write(m, m->super_file, &next);
	if (rc) // nobody can say which generation counts now
		return stop(m, rc);
	m->super = next;
	m->chain = chain;
	m->stats.compactions++;
	return 0;
}

// The file has all that it is to have, and no write failed since it took over.
static int next_file(struct mr_manifest *m, uint64_t more)
{
	int rc = compact(m, more);

	if (!rc)
		m->failures = 0;
	return rc;
}

// Room for a frame, by compaction where there is none.
static int make_room(struct mr_manifest *m, uint64_t bytes)
{
	if (m->chain.end + bytes <= m->super.file_bytes)
		return 0;
	return next_file(m, bytes);
}

static int append_frame(struct mr_manifest *m, struct mr_span payload)
{
	struct mr_file *file;
	int rc = make_room(m, mr_manifest_frame_bytes(payload.bytes));

	if (rc)
		return rc;
	file = m->files[m->super.file];
	rc = frame_write(m, file, m->super.generation, &m->chain, payload);
	if (!rc || rc == -ENOMEM)
		return rc;
	// The frame may be there or not and is never written again: the other file takes over.
	mr_note(MR_NOTE_ERR, "manifest", "file=%s offset=%llu write failed error=\"%s\"",
		file_names[m->super.file], (unsigned long long)m->chain.end, mr_err_text(rc));
	if (m->failures++)
		return stop(m, rc);
	rc = compact(m, mr_manifest_frame_bytes(payload.bytes));
	if (!rc)
		rc = frame_write(
			m, m->files[m->super.file], m->super.generation, &m->chain, payload);
	return rc ? stop(m, rc) : 0;
}

static int apply(struct mr_manifest *m, const struct mr_manifest_record *records, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int rc = replay(m, &records[i]);

		if (rc)
			return stop(m, rc);
	}
	// A rewrite that finds no room is tried again later; only a lost superblock stops.
	if (m->chain.records >= m->options.snapshot_records && next_file(m, 0) == MR_ERR_STOPPED)
		mr_note(MR_NOTE_ERR, "manifest", "stopped in compaction");
	return 0;
}

int mr_manifest_append(
	struct mr_manifest *m, const struct mr_manifest_record *records, size_t count)
{
	struct mr_buf payload = {0};
	int rc;

	for (size_t i = 0; i < count; i++) {
		MR_ASSERT(owner_of(m, records[i].type));
		mr_manifest_emit(&payload, records[i].type, records[i].version, records[i].payload);
	}
	if (payload.failed) {
		mr_buf_fini(&payload);
		return -ENOMEM;
	}
	pthread_mutex_lock(&m->lock);
	MR_ASSERT(m->super_file);
	rc = m->stopped ? (int)MR_ERR_STOPPED : append_frame(m, mr_buf_span(&payload));
	if (!rc)
		rc = apply(m, records, count);
	pthread_mutex_unlock(&m->lock);
	mr_buf_fini(&payload);
	return rc;
}

int mr_manifest_compact(struct mr_manifest *m)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = m->stopped ? (int)MR_ERR_STOPPED : compact(m, 0);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

bool mr_manifest_is_stopped(const struct mr_manifest *m)
{
	return atomic_load_explicit(&m->stopped, memory_order_relaxed);
}

struct mr_manifest_stats mr_manifest_stats(struct mr_manifest *m)
{
	struct mr_manifest_stats s;

	pthread_mutex_lock(&m->lock);
	s = m->stats;
	s.stopped = m->stopped;
	s.generation = m->super.generation;
	s.sequence = m->chain.sequence;
	s.records = m->chain.records;
	s.bytes = m->chain.end;
	pthread_mutex_unlock(&m->lock);
	return s;
}

int mr_manifest_create(struct mr_manifest **out, const struct mr_manifest_options *o)
{
	struct mr_manifest *m = (struct mr_manifest *)calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->options = *o;
	if (!m->options.file_bytes)
		m->options.file_bytes = FILE_BYTES;
	if (!m->options.snapshot_records)
		m->options.snapshot_records = SNAPSHOT_RECORDS;
	pthread_mutex_init(&m->lock, NULL);
	*out = m;
	return 0;
}

void mr_manifest_register(struct mr_manifest *m, const struct mr_manifest_owner *owner)
{
	MR_ASSERT(m->owner_count < OWNERS_MAX && !m->super_file);
	MR_ASSERT(!owner_of(m, owner->type_first) && !owner_of(m, owner->type_last));
	m->owners[m->owner_count++] = *owner;
}

void mr_manifest_destroy(struct mr_manifest *m)
{
	if (!m)
		return;
	mr_file_close(m->files[0]);
	mr_file_close(m->files[1]);
	mr_file_close(m->super_file);
	free(m->scratch);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static int open_files(struct mr_manifest *m, unsigned flags)
{
	int rc = 0;

	for (size_t i = 0; i < 2 && !rc; i++)
		rc = mr_file_open(m->options.disk, file_names[i],
			MR_FILE_WRITE | MR_FILE_DIRECT | flags, &m->files[i]);
	return rc;
}

static int count_entry(void *arg, const char *)
{
	++*(size_t *)arg;
	return 0;
}

// Without a superblock there may be no data either: then it was lost, not never written.
static int refuse_orphans(struct mr_manifest *m)
{
	static const char *const dirs[] = {"log", "seg", "run"};
	size_t count = 0;

	for (size_t i = 0; i < MR_COUNT_OF(dirs); i++) {
		int rc = mr_disk_list(m->options.disk, dirs[i], count_entry, &count);

		if (rc && rc != -ENOENT)
			return rc;
	}
	return count ? mr_diag_set(m->diag, MR_ERR_CORRUPT, "XX001", 0,
			       "file \"super\" is missing while there are data files")
		     : 0;
}

// The superblock appears under its name whole and last, so one that is there was once valid.
static int format(struct mr_manifest *m)
{
	struct mr_disk *d = m->options.disk;
	struct mr_manifest_super s = {
		.sequence = 0, .generation = 1, .file_bytes = m->options.file_bytes};
	int rc = refuse_orphans(m);

	if (!rc)
		rc = open_files(m, MR_FILE_CREATE);
	for (size_t i = 0; i < 2 && !rc; i++) {
		rc = mr_file_truncate(m->files[i], 0);
		if (!rc)
			rc = mr_file_fill(m->files[i], m->options.file_bytes);
	}
	if (!rc)
		rc = frame_write(m, m->files[0], 1, &m->chain, (struct mr_span){NULL, 0});
	if (!rc)
		rc = mr_file_open(d, super_tmp, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_DIRECT,
			&m->super_file);
	if (!rc)
		rc = mr_file_fill(m->super_file, MR_MANIFEST_SUPER_BYTES);
	if (!rc)
		rc = super_write(m, m->super_file, &s);
	// The other files' names must be durable before the superblock's is.
	if (!rc)
		rc = mr_disk_sync_dir(d, ".");
	if (!rc)
		rc = mr_disk_rename(d, super_tmp, super_name);
	if (!rc)
		rc = mr_disk_sync_dir(d, ".");
	m->super = s;
	return rc;
}

// Reads both slots. The newest valid one counts; `lost` says that the other is damaged, which a
// torn write of it explains and rot does too.
static int super_read(struct mr_manifest *m, bool *lost)
{
	bool found = false;
	int rc = scratch_room(m, MR_MANIFEST_SUPER_BYTES);

	*lost = false;
	if (!rc)
		rc = mr_file_read(m->super_file, 0, m->scratch, MR_MANIFEST_SUPER_BYTES);
	if (rc < 0)
		return rc;
	memset(m->scratch + rc, 0, MR_MANIFEST_SUPER_BYTES - (size_t)rc);
	for (unsigned slot = 0; slot < 2; slot++) {
		const struct mr_manifest_super *s =
			(const struct mr_manifest_super *)(const void *)(m->scratch +
									 slot * MR_IO_ALIGN);

		rc = mr_manifest_super_check(s, slot);
		if (rc == MR_ERR_VERSION)
			return mr_diag_set(m->diag, rc, "XX000", 0,
				"superblock version %u is newer than this program", s->version);
		if (rc) {
			*lost = true;
			continue;
		}
		if (!found || s->sequence > m->super.sequence)
			m->super = *s;
		found = true;
	}
	return found ? 0
		     : mr_diag_set(m->diag, MR_ERR_CORRUPT, "XX001", 0,
			       "file \"super\" offset 0: no valid superblock");
}

static int read_whole(struct mr_file *f, uint8_t **out, size_t *bytes)
{
	int64_t size = mr_file_bytes(f);
	int rc;

	if (size < 0 || size > FILE_BYTES_MAX)
		return size < 0 ? (int)size : (int)MR_ERR_CORRUPT;
	*out = (uint8_t *)aligned_alloc(MR_IO_ALIGN, mr_round_up((uint64_t)size + 1, MR_IO_ALIGN));
	if (!*out)
		return -ENOMEM;
	rc = mr_file_read(f, 0, *out, mr_round_up((uint64_t)size, MR_IO_ALIGN));
	if (rc < 0) {
		free(*out);
		return rc;
	}
	*bytes = (size_t)rc;
	return 0;
}

// A damaged newest slot would hide a whole generation. If its file holds more than the snapshot,
// the generation was in use; if not, it says the same as the one we have.
static int refuse_hidden_generation(struct mr_manifest *m)
{
	uint64_t generation = m->super.generation + 1;
	const struct mr_manifest_frame *f;
	uint8_t *data;
	size_t bytes;
	int rc = read_whole(m->files[m->super.file ^ 1], &data, &bytes);

	if (rc)
		return rc;
	f = mr_manifest_frame_check(mr_span(data, bytes), generation, 0, NULL);
	for (uint64_t at = f ? mr_manifest_frame_bytes(f->bytes) : 0; at + MR_IO_ALIGN <= bytes;
		at += MR_IO_ALIGN) {
		const struct mr_manifest_frame *g =
			(const struct mr_manifest_frame *)(const void *)(data + at);

		if (g->sequence > 0 && mr_manifest_frame_check(mr_span(data + at, bytes - at),
					       generation, g->sequence, NULL))
			rc = mr_diag_set(m->diag, MR_ERR_CORRUPT, "XX001", 0,
				"file \"super\": the newest superblock is damaged");
	}
	free(data);
	return rc;
}

static int replay_file(struct mr_manifest *m)
{
	uint8_t *data;
	size_t bytes;
	int rc = read_whole(m->files[m->super.file], &data, &bytes);

	if (rc)
		return rc;
	rc = mr_manifest_walk(mr_span(data, bytes), m->super.generation, replay, m, &m->chain);
	free(data);
	if (rc == MR_ERR_CORRUPT && (!m->diag || !m->diag->message[0]))
		return mr_diag_set(m->diag, rc, "XX001", 0,
			"file \"%s\" offset %llu: manifest is damaged", file_names[m->super.file],
			(unsigned long long)m->chain.end);
	return rc;
}

static int load(struct mr_manifest *m)
{
	bool lost;
	int rc = open_files(m, 0);

	if (rc == -ENOENT)
		return mr_diag_set(
			m->diag, MR_ERR_CORRUPT, "XX001", 0, "a manifest file is missing");
	if (!rc)
		rc = super_read(m, &lost);
	if (!rc && lost)
		rc = refuse_hidden_generation(m);
	if (!rc)
		rc = replay_file(m);
	if (rc)
		return rc;
	// What was read may sit in the disk's cache only, after a kill; nobody may see it before it
	// is safe.
	rc = mr_file_sync(m->super_file);
	if (!rc)
		rc = mr_file_sync(m->files[m->super.file]);
	// Remains of a torn frame must not lie behind new ones.
	if (!rc && (m->chain.torn || lost))
		rc = compact(m, 0);
	return rc;
}

int mr_manifest_open(struct mr_manifest *m, struct mr_diag *diag)
{
	struct mr_disk *d = m->options.disk;
	int rc;

	MR_ASSERT(!m->super_file);
	if (diag)
		memset(diag, 0, sizeof(*diag));
	m->diag = diag;
	rc = mr_file_open(d, super_name, MR_FILE_WRITE | MR_FILE_DIRECT, &m->super_file);
	if (rc == -ENOENT)
		rc = format(m);
	else if (!rc)
		rc = load(m);
	if (rc && diag && !diag->message[0])
		mr_diag_set(diag, rc, "58030", 0, "manifest: %s", mr_err_text(rc));
	m->diag = NULL;
	return rc;
}
