// Private to the log: bytes on disk, files, and what the writer and the store say to each other.
#pragma once

#include "storage/log_map.h"
#include "storage/log_store.h"

#include <pthread.h>
#include <stdatomic.h>

#define MR_LOG_VERSION     1u
#define MR_LOG_HEAD_MAGIC  0x31656c696667666cu // "lfgfile1" on disk: l f g f i l e 1
#define MR_LOG_FRAME_MAGIC 0x6d72666cu         // "lfrm"
#define MR_LOG_HEAD_BYTES  MR_IO_ALIGN         // frames begin behind the head
#define MR_LOG_CONTINUES   1u // head flag: took over from a file whose write failed
#define MR_LOG_NO_LSN      UINT64_MAX

// A file's head: the first 4 KiB, zeros behind the struct. Durable before any frame of the file is
// written, and written only when everything below first_lsn is durable: so it seals and fences the
// file before it.
struct mr_log_head {
	uint64_t checksum; // XXH3-64 of the 88 bytes that follow
	uint64_t magic;
	uint16_t version;
	uint16_t flags;
	uint32_t zero;
	uint64_t log_id;
	uint64_t file_id;
	uint64_t sequence; // of the file in its log
	uint64_t first_lsn;
	uint64_t incarnation; // random; every frame of the file carries it
	uint64_t previous;    // checksum of the frame that ends at first_lsn; 0 at lsn 0
	uint64_t index_lsn;   // of the first INDEX frame in the file before; MR_LOG_NO_LSN: none
	uint64_t file_bytes;
	uint64_t unused;
};

// A frame begins at a multiple of 4 KiB and is padded with zeros to the next.
struct mr_log_frame {
	uint64_t checksum; // XXH3-64 of the header from `magic` on and the payload
	uint32_t magic;
	uint16_t version;
	uint16_t type; // 1
	uint64_t log_id;
	uint64_t lsn;
	uint64_t previous; // checksum of the frame before in the log
	uint64_t incarnation;
	uint64_t durable_lsn; // everything below was durable when this was written
	uint32_t bytes;       // of payload
	uint32_t records;
};

// PARTITION payload: these, one after the other.
struct mr_log_binding {
	uint32_t ref;
	int32_t partition;
	struct mr_uuid topic;
};

// INDEX payload: the head, bindings, entries.
struct mr_log_index_head {
	uint32_t bindings;
	uint32_t entries;
};

struct mr_log_index_entry {
	uint64_t lsn;
	int64_t base_offset;
	int64_t max_timestamp_ms;
	uint32_t ref; // in memory, of a file the store has: index of the store's partition
	uint32_t bytes;
	uint32_t offset_count;
	uint32_t zero;
};

static_assert(sizeof(struct mr_log_head) == 96);
static_assert(sizeof(struct mr_log_frame) == 64);
static_assert(sizeof(struct mr_log_binding) == 24);
static_assert(sizeof(struct mr_log_index_entry) == 40);

// Items of one INDEX or PARTITION record, so that its frame stays below 1 MiB.
enum { MR_LOG_INDEX_ITEMS = 24000 };

// One partition's batches in a file, by offset and without a gap: `count` entries from `first` on.
// A file has one of each partition, more where offsets are missing between (a cleaned file).
struct mr_log_run {
	struct mr_log_file *file;
	uint32_t part;
	uint32_t count;
	size_t first;
	size_t live; // entries before it are released
	int64_t offset_first;
	int64_t offset_end;
	int64_t max_timestamp_ms;
	int64_t min_timestamp_ms; // the least of its batches' greatest
	uint64_t bytes;           // payload of all of them
	uint64_t records;         // bytes of their records
	uint64_t bytes_live;      // of those that are not released
	uint64_t records_live;
};

// Places in `entries` of one ref's.
struct mr_log_refs {
	uint32_t *at;
	uint32_t count;
	uint32_t max;
};

enum mr_log_file_state {
	MR_LOG_FILE_ASSIGNED, // in the manifest, not yet open
	MR_LOG_FILE_READY,    // may be taken by its log
	MR_LOG_FILE_ACTIVE,   // its log's
	MR_LOG_FILE_FILLED,   // ended; the manifest does not know yet
	MR_LOG_FILE_SEALED,   // ended; the manifest knows
};

struct mr_log_file {
	uint64_t id;
	uint64_t log_id;
	uint64_t sequence;
	uint64_t bytes;
	enum mr_log_file_state state; // under the store's lock
	unsigned pins;                // under the store's lock
	struct mr_file *file;
	_Atomic bool damage_said; // in the daemon's log lines, once
	bool continues;
	bool head_known;
	uint64_t first_lsn;
	uint64_t end_lsn;
	uint64_t incarnation;
	uint64_t previous;
	uint64_t last_checksum; // of the frame that ends at end_lsn
	uint64_t index_lsn;     // of its first INDEX frame, or MR_LOG_NO_LSN
	// ACTIVE: by lsn, with the log's refs. FILLED and SEALED: by partition, then offset, or
	// NULL while they are not in memory (log_cache.c).
	struct mr_log_index_entry *entries;
	size_t entry_count;
	size_t entry_max;
	struct mr_log_refs *refs; // ACTIVE: by ref, of the first `refs_done` entries; its writer's
	size_t ref_count;
	size_t refs_done;
	struct mr_log_run *runs; // ended: ascending by part, then offset
	size_t run_count;
	uint64_t bytes_live; // of records of live batches; 0: no batch is needed
	bool indexed;        // its runs are in their partitions' histories
	bool runs_saved;     // the manifest has them
	bool index_cached;   // entries are in memory, and can be read again
	bool index_used;     // since the cache of entries looked last
	bool index_fresh;    // loaded, and not yet looked at
	bool index_wanted;   // by somebody who waits for them
	bool index_stale;    // part of a run was released while its entries were not in memory
	int index_error;     // of the last load
	int64_t index_loaded_ns;
	uint64_t index_ticket; // lower ones are loaded first
	bool cleaning;         // being copied from
	bool keep;             // a batch in it could not be copied
	uint64_t disk_bytes;   // as long as it is: `bytes`, or less once its tail was cut
	bool used;             // since the cache of open files looked last
	struct mr_log_file *leaving_next;
};

// Pointers in some order, [0, count).
struct mr_log_list {
	void **at;
	size_t count;
	size_t max;
};

struct mr_log_meta {
	uint64_t id;
	bool is_long; // written by cleaning only: nothing but batches
	bool sealed;
	bool open; // has a writer
	uint64_t end_lsn;
	uint64_t retain_lsn;
	uint64_t sequence_next;
	uint64_t file_bytes;      // of new files, if more than the store's
	struct mr_log_list files; // by sequence
};

// A partition's history: its runs in all ended files, by offset, [run_first, run_end). Those that
// retention gave up leave from the front.
struct mr_log_part {
	struct mr_uuid topic;
	int32_t partition;
	int64_t retain_offset;
	struct mr_log_run **runs;
	size_t run_first;
	size_t run_end;
	size_t run_max;
};

enum {
	MR_LOG_SPARES_KEEP = 4, // dead files kept for use again
	MR_LOG_SPARES_MAX = 64, // those of an earlier life, found at start
};

struct mr_log_store {
	struct mr_log_store_options options;
	pthread_mutex_t lock; // everything below
	struct mr_rand rand;
	struct mr_log_list logs;     // by id
	struct mr_log_list files;    // of all logs, by id
	struct mr_log_file *leaving; // removed from the manifest, not yet from the disk
	uint64_t log_id_next;
	uint64_t file_id_next;
	struct mr_log_part *parts;
	size_t part_count;
	size_t part_max;
	struct mr_log_map part_map;
	bool look_for_dead; // some file may have become so since the last look
	bool recovered;
	uint64_t runs_bytes; // of the records of runs in the manifest
	bool runs_unsaved;   // some sealed file's may not be there
	size_t filled;       // files that ended and that the manifest does not know of yet
	size_t open;         // files of `files` that are open
	size_t evict_at;     // in `files`: where the cache of open files looks next
	uint64_t spares[MR_LOG_SPARES_MAX]; // file ids; of file_bytes, not in the manifest
	size_t spare_count;
	struct mr_log_store_stats stats;
	size_t index_hand;            // in `files`: where the cache of entries looks next
	uint64_t index_ticket;        // the last given
	void *index_garbage;          // entries to be freed, each with the next in its first bytes
	struct mr_log_file *incoming; // a cleaned file, until the manifest has it
	uint64_t long_log;            // this life's, once there is one; 0: none yet
	uint64_t long_lsn;            // its end
	uint64_t long_checksum;       // of its last frame
	pthread_mutex_t work_lock;    // one worker at a time
	pthread_mutex_t clean_lock;   // one cleaner at a time; taken before work_lock
};

// log_file.c: names, heads, frames.
#define MR_LOG_NAME_BYTES 32
void mr_log_file_name(uint64_t id, char out[MR_LOG_NAME_BYTES]);
bool mr_log_file_name_parse(const char *name, uint64_t *id);
void mr_log_head_make(struct mr_log_head *h, const struct mr_log_file *f, uint64_t index_lsn);
// 0 and the file's fields filled, MR_ERR_CORRUPT when it is no head of this file, MR_ERR_VERSION.
int mr_log_head_read(
	struct mr_log_file *f, const uint8_t head[MR_LOG_HEAD_BYTES], uint64_t *index_lsn_before);
static inline uint64_t mr_log_frame_bytes(uint64_t payload_bytes)
{
	return mr_round_up(sizeof(struct mr_log_frame) + payload_bytes, MR_IO_ALIGN);
}
static inline uint64_t mr_log_file_end(const struct mr_log_file *f)
{
	return f->first_lsn + f->bytes - MR_LOG_HEAD_BYTES;
}
static inline uint64_t mr_log_file_offset(const struct mr_log_file *f, uint64_t lsn)
{
	return MR_LOG_HEAD_BYTES + lsn - f->first_lsn;
}
void mr_log_frame_seal(struct mr_log_frame *f);
// The next record of a frame's payload, or NULL with r->bad when it is malformed.
const struct mr_log_record *mr_log_record_next(struct mr_reader *r);
uint64_t mr_log_record_checksum(const struct mr_log_record *r);
// 0 or MR_ERR_VERSION.
int mr_log_record_known(const struct mr_log_store *s, const struct mr_log_record *r);

// log_scan.c: frames of one file, read in order.
struct mr_log_scan {
	const struct mr_log_file *file;
	uint64_t lsn;
	uint64_t previous;
	bool chained;   // `previous` is known
	uint64_t limit; // frames lie below
	uint8_t *data;  // aligned buffer
	size_t data_max;
	uint64_t data_at; // file offset of data
	size_t data_bytes;
};
void mr_log_scan_init(
	struct mr_log_scan *s, const struct mr_log_file *f, uint64_t lsn, uint64_t limit);
void mr_log_scan_fini(struct mr_log_scan *s);
// The frame at s->lsn, verified, or NULL in *out when there is none. -errno when reading failed.
int mr_log_scan_next(struct mr_log_scan *s, const struct mr_log_frame **out);
// Whether a valid frame at or behind `from` was written when `lsn` was durable already. 1, 0,
// -errno.
int mr_log_scan_proves(struct mr_log_scan *s, uint64_t from, uint64_t lsn);

// Of a file being written, what its index may take, on disk as in memory: a file ends when it has
// so much, be its batches ever so small.
static inline uint64_t mr_log_index_limit(uint64_t file_bytes, uint64_t ring_bytes)
{
	return MR_MIN(file_bytes, ring_bytes) / 4;
}

// log_index.c: where batches are. The caller holds the store's lock where there is a store.
uint32_t mr_log_part_get(struct mr_log_store *s, struct mr_uuid topic, int32_t partition);
// Adds an entry by lsn; -ENOMEM.
int mr_log_entry_add(struct mr_log_file *f, const struct mr_log_record *r, uint64_t lsn);
// Brings `refs` up to date with the entries, for refs below `ref_count`; -ENOMEM.
int mr_log_refs_update(struct mr_log_file *f, size_t ref_count);
void mr_log_refs_free(struct mr_log_file *f);
// What the entries and refs take in memory.
uint64_t mr_log_file_index_bytes(const struct mr_log_file *f);
// Translates refs to parts (refs[ref], `ref_count` of them), drops entries outside the file, sorts,
// makes the runs. Touches nothing but the file: no lock is needed.
int mr_log_file_index(struct mr_log_file *f, const uint32_t *parts_of_refs, size_t ref_count);
void mr_log_file_index_free(struct mr_log_file *f);

// log_runs.c: the partitions' histories, and what is alive in them. Under the store's lock.
// The first run that ends above `offset`, as a place in [run_first, run_end].
size_t mr_log_run_above(const struct mr_log_part *p, int64_t offset);
// Makes room for the file's runs, so that mr_log_runs_add cannot fail; -ENOMEM.
int mr_log_runs_room(struct mr_log_store *s, const struct mr_log_file *f);
// The file's runs join their partitions' histories, and its entries stay if there is room for them
// (log_cache.c); or they leave them.
void mr_log_runs_add(struct mr_log_store *s, struct mr_log_file *f);
void mr_log_runs_remove(struct mr_log_store *s, const struct mr_log_file *f);
// Batches that end at or below the part's retain_offset are released. True when a file has become
// dead by that.
bool mr_log_part_release(struct mr_log_part *p, int64_t retain_offset);

// Counts exactly what of the file's runs is released, from its entries.
void mr_log_runs_catch_up(
	struct mr_log_store *s, struct mr_log_file *f, const struct mr_log_index_entry *entries);

// log_cache.c: entries of ended files in memory. Under the store's lock but where it says so.
// The file has just got its entries: they stay if there is room.
void mr_log_index_keep(struct mr_log_store *s, struct mr_log_file *f);
void mr_log_index_drop(struct mr_log_store *s, struct mr_log_file *f);
// Frees what was dropped. Not under the lock.
void mr_log_index_sweep(struct mr_log_store *s);
// 0 when the entries are there, -EINPROGRESS when they are asked for, or why they cannot be read.
int mr_log_index_want(struct mr_log_store *s, struct mr_log_file *f);
// Reads the entries of a pinned file into `out`, whose index the caller frees. Blocks; not under
// the lock.
int mr_log_index_read(struct mr_log_store *s, struct mr_log_file *f, struct mr_log_file *out);

// log_saved.c: runs in the manifest, so that a start need not read where each batch is. Under the
// store's lock. At most MR_LOG_RUNS_BYTES of them: what is beyond is read from the files.
#define MR_LOG_RUNS_BYTES (8u << 20)
// Whether the file's runs may be added to what the manifest has and is about to get.
bool mr_log_runs_may_save(
	const struct mr_log_store *s, const struct mr_log_file *f, uint64_t pending_bytes);
// The payload of their record.
void mr_log_runs_save(
	const struct mr_log_store *s, const struct mr_log_file *f, struct mr_buf *out);
// 0, MR_ERR_CORRUPT, -ENOMEM. Of a file that has its runs: notes only that they are saved.
int mr_log_runs_load(struct mr_log_store *s, struct mr_span payload);
// The file has gone.
void mr_log_runs_forget(struct mr_log_store *s, const struct mr_log_file *f);

// log_gather.c: reading where the batches of a file are.
struct mr_log_gather {
	struct mr_log_store *store;
	struct mr_log_file *file;
	uint32_t *parts; // by ref; UINT32_MAX: unknown
	size_t count;
	bool index_only;    // entries come from INDEX records, not from batches
	bool bindings_only; // no entries at all
};
// The bindings that were made before a file that took over in the middle.
int mr_log_gather_previous(struct mr_log_gather *g, struct mr_diag *diag);
// Reads frames from scan->lsn to the break or the limit.
int mr_log_gather_frames(struct mr_log_gather *g, struct mr_log_scan *scan, struct mr_diag *diag);
// Entries and runs of an open file that ended, from its INDEX frames or without them.
int mr_log_gather_file(
	struct mr_log_store *s, struct mr_log_file *f, bool by_index, struct mr_diag *diag);
int mr_log_damaged(struct mr_diag *diag, const struct mr_log_file *f, uint64_t lsn);
int mr_log_too_new(struct mr_diag *diag, const struct mr_log_file *f, const char *what);

// log_find.c: NULL when nothing of the partition was ever seen. Under the store's lock.
const struct mr_log_part *mr_log_part_find(
	const struct mr_log_store *s, struct mr_uuid topic, int32_t partition);
// The batch that ends above `offset`: 0, -ENOENT, or as mr_log_index_want. Under the
// store's lock.
int mr_log_entry_at(struct mr_log_store *s, struct mr_uuid topic, int32_t partition, int64_t offset,
	struct mr_log_file **file, const struct mr_log_index_entry **out);

// log_list.c
// The first place whose key is not below `key`. Keys: id of a log or file, sequence of a file.
size_t mr_log_list_find(
	const struct mr_log_list *l, uint64_t key, uint64_t (*key_of)(const void *item));
int mr_log_list_room(struct mr_log_list *l); // for one more, so that insert cannot fail; -ENOMEM
int mr_log_list_insert(struct mr_log_list *l, size_t at, void *item); // -ENOMEM
void mr_log_list_remove(struct mr_log_list *l, size_t at);
void mr_log_list_fini(struct mr_log_list *l);
static inline struct mr_log_meta *mr_log_at_log(const struct mr_log_list *l, size_t i)
{
	return (struct mr_log_meta *)l->at[i];
}
static inline struct mr_log_file *mr_log_at_file(const struct mr_log_list *l, size_t i)
{
	return (struct mr_log_file *)l->at[i];
}
// The file behind `f` in its log, or NULL.
struct mr_log_file *mr_log_file_next(const struct mr_log_meta *m, const struct mr_log_file *f);
static inline bool mr_log_file_ended(const struct mr_log_file *f)
{
	return f->state == MR_LOG_FILE_FILLED || f->state == MR_LOG_FILE_SEALED;
}

// log_recover.c
int mr_log_recover_log(struct mr_log_store *s, struct mr_log_meta *m, struct mr_diag *diag);

// log_store.c, for the writer.
// With its first file ready, which must hold so many bytes. Its other files have `file_bytes`, if
// that is more than the store's.
int mr_log_store_open_log(
	struct mr_log_store *s, uint64_t need_bytes, uint64_t file_bytes, uint64_t *log_id);
// Files made from now on have so many bytes, if that is more than the store's.
void mr_log_store_file_bytes(struct mr_log_store *s, uint64_t log_id, uint64_t bytes);
// Of the file that is ready, or 0.
uint64_t mr_log_store_ready_bytes(struct mr_log_store *s, uint64_t log_id);
// A ready file, now ACTIVE, or NULL; *disk_full says why.
struct mr_log_file *mr_log_store_take(struct mr_log_store *s, uint64_t log_id, bool *disk_full);
bool mr_log_store_has_ready(struct mr_log_store *s, uint64_t log_id, bool *disk_full);
// An ACTIVE file ended: end_lsn, index_lsn, last_checksum are set, entries have refs of bindings.
void mr_log_store_filled(struct mr_log_store *s, struct mr_log_file *f,
	const struct mr_log_binding *bindings, size_t binding_count);
// Records the ends of the log and gives back what it did not use.
int mr_log_store_seal(struct mr_log_store *s, uint64_t log_id, uint64_t end_lsn);
// The writer is gone without sealing.
void mr_log_store_abandon(struct mr_log_store *s, uint64_t log_id);
void mr_log_store_wake(struct mr_log_store *s);

// log_files.c: files on disk. The caller holds work_lock where it says so.
// A file of zeros (of `bytes`, or a spare's if that is as much) under the name of a new id,
// durable. After an error none is left and *out is NULL. work_lock.
int mr_log_file_make(struct mr_log_store *s, uint64_t id, uint64_t bytes_free_min, uint64_t *bytes,
	struct mr_file **out);
// Opens (MR_FILE_ flags) the file of that id, and makes the names of `log` durable. Both give up
// descriptors of sealed files when the process has none left.
int mr_log_file_open_named(
	struct mr_log_store *s, uint64_t id, unsigned flags, struct mr_file **out);
int mr_log_sync_dir(struct mr_log_store *s);
// Removes a file that belongs to nobody; if that fails the next start does it.
void mr_log_file_unlink(struct mr_log_store *s, uint64_t id);
// Files that have left the manifest and that nobody reads become spares, at most so many, or go.
// work_lock. Returns how many.
int mr_log_files_bury(struct mr_log_store *s, size_t spares_max);
// A file that belongs to nobody, from an earlier life: a spare when it can be one. Start.
int mr_log_file_adopt(struct mr_log_store *s, uint64_t id);
// Pins the file (under the lock) and opens it (not under the lock) if it is not. Unpin either way.
void mr_log_file_pin(struct mr_log_file *f);
int mr_log_file_open(struct mr_log_store *s, struct mr_log_file *f);
void mr_log_file_unpin(struct mr_log_store *s, struct mr_log_file *f);

// log_apply.c: what the manifest's records mean.
struct mr_log_meta *mr_log_store_log(const struct mr_log_store *s, uint64_t log_id);
struct mr_log_file *mr_log_store_file(const struct mr_log_store *s, uint64_t id);
void mr_log_store_register(struct mr_log_store *s);
void mr_log_file_free(struct mr_log_file *f);
void mr_log_meta_free(struct mr_log_meta *m);

// Manifest records of the store; all fields are u64, as docs/FORMAT.md lists them.
enum {
	MR_LOG_M_OPEN = MR_MANIFEST_TYPE_LOG,
	MR_LOG_M_FILE_ADD,
	MR_LOG_M_FILE_SEAL,
	MR_LOG_M_FILE_REMOVE,
	MR_LOG_M_SEAL,
	MR_LOG_M_REMOVE,
	MR_LOG_M_NEXT,
	MR_LOG_M_OPEN_LONG,
	MR_LOG_M_CLEANED, // as many words, then the ids of the files that go
	MR_LOG_M_RUNS,    // of an ended file; log_saved.c
};

enum { MR_LOG_CLEANED_WORDS = 10 };

// A few records on their way to the manifest.
struct mr_log_batch {
	struct mr_buf payloads;
	struct mr_manifest_record *records;
	size_t count;
	size_t max;
	bool failed;
};
void mr_log_batch_add(struct mr_log_batch *b, uint16_t type, const uint64_t *words, size_t count);
void mr_log_batch_seal_file(struct mr_log_batch *b, const struct mr_log_file *f);
// The runs of a file that the batch makes ended, or that has been, if there is room for them. Under
// the store's lock.
void mr_log_batch_runs(
	struct mr_log_batch *b, const struct mr_log_store *s, const struct mr_log_file *f);
// Appends and frees.
int mr_log_batch_commit(struct mr_log_batch *b, struct mr_manifest *m);
