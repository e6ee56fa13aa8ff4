// All logs of a data directory: which files exist, what is in them, who still needs them.
//
// The manifest says which logs and files there are. At start mr_log_store_recover finds the end of
// every log that was not sealed, cuts a torn tail, and records the cut durably before anything is
// served. Afterwards every log but those being written is sealed: immutable and readable by all.
//
// Threads: the store has a lock inside and its calls may be made by any thread, but those that
// block on the disk (recover, work, scan, open) belong to control and background threads or start.
// find and read are cheap and for workers.
#pragma once

#include "storage/log.h"
#include "storage/manifest.h"

// A record type of an owner and the newest version it reads; others are refused.
struct mr_log_type_known {
	uint16_t type;
	uint8_t version_max;
};

struct mr_log_store_options {
	struct mr_disk *disk;         // borrowed
	struct mr_manifest *manifest; // borrowed, created, not yet opened
	struct mr_clock *clock;
	uint64_t file_bytes; // 1 MiB or more, multiple of 4096; default MR_LOG_FILE_BYTES
	// Of a log's first file. When it is smaller, a log is open as soon as that file is made,
	// and the others follow in the background. Default: file_bytes, and all are made first.
	uint64_t file_bytes_first;
	unsigned files_ahead;    // files kept ready for each open log; default 2
	unsigned open_files_max; // descriptors: sealed files are closed again; default 256
	// Of where each batch of ended files is, 40 bytes a batch; one file's is always allowed.
	// Default MR_LOG_INDEX_BYTES.
	uint64_t index_memory_bytes;
	uint64_t bytes_free_min; // no new file when it would leave less; default 64 MiB
	uint64_t seed;           // of the random incarnations
	const struct mr_log_type_known *types; // owner's types; batch and the log's own are known
	size_t type_count;
	// Called, from any thread, when mr_log_store_work has something to do.
	void (*wake)(void *ctx);
	// The same of mr_log_store_load; it must not call the store.
	void (*index_wanted)(void *ctx);
	// A load has ended: what answered -EINPROGRESS should be tried again. On the loading
	// thread.
	void (*index_loaded)(void *ctx);
	void *wake_ctx;
};

// Registers with the manifest, which is opened after this. Returns owned.
[[nodiscard]] int mr_log_store_create(
	struct mr_log_store **out, const struct mr_log_store_options *o);
// Logs are closed first. The manifest outlives the store.
void mr_log_store_destroy(struct mr_log_store *s);

// After mr_manifest_open: checks files against the manifest, removes what belongs to nobody,
// recovers every unsealed log, loads the indexes. May be crashed anywhere and run again.
// MR_ERR_CORRUPT (damage in the middle), MR_ERR_VERSION with `diag` naming file and offset.
[[nodiscard]] int mr_log_store_recover(struct mr_log_store *s, struct mr_diag *diag);

// Background: makes files ready, removes the dead ones. Returns > 0 when it did something, 0 when
// there is nothing to do, or -errno (-ENOSPC is remembered for reserve and is no error here).
[[nodiscard]] int mr_log_store_work(struct mr_log_store *s);

// Background: reads where the batches of one file are, for those who looked for one. 1: it did, or
// failed, which they will be told. 0: nobody waits. -EAGAIN: there is no room yet; soon again.
[[nodiscard]] int mr_log_store_load(struct mr_log_store *s);

// A log as it stands.
struct mr_log_info {
	uint64_t id;
	uint64_t lsn_first; // lowest lsn still on disk
	uint64_t lsn_last;  // where its last file that has anything in it begins
	uint64_t lsn_end;   // of a log being written: of its last filled file
	uint64_t bytes;     // of files on disk
	bool open;          // being written
	bool is_long;       // written by cleaning: batches of other logs, and no state
};
// Fills at most `max`, ascending by id; returns how many there are.
size_t mr_log_store_logs(struct mr_log_store *s, struct mr_log_info *out, size_t max);

// Where a batch is.
struct mr_log_entry {
	uint64_t log_id;
	uint64_t lsn;   // of the record's header
	uint32_t bytes; // of payload
	uint32_t offset_count;
	int64_t base_offset;
	int64_t max_timestamp_ms;
};

// The first batch of the partition that ends above `offset`. -ENOENT when there is none, which for
// a log being written includes its open file: the owner looks there first (mr_log_find).
// -EINPROGRESS when the answer has to be read from disk first, which has been asked for: to be
// called again when `index_loaded` was. This holds for all three. MR_ERR_CORRUPT and -errno when it
// cannot be read.
[[nodiscard]] int mr_log_store_find(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	int64_t offset, struct mr_log_entry *out);
// The same, and behind them in the files that `log` is writing. Owner of `log` only.
[[nodiscard]] int mr_log_find(struct mr_log *log, struct mr_uuid topic, int32_t partition,
	int64_t offset, struct mr_log_entry *out);
// The first of those with max_timestamp_ms >= the given one.
[[nodiscard]] int mr_log_find_time(struct mr_log *log, struct mr_uuid topic, int32_t partition,
	int64_t offset, int64_t timestamp_ms, struct mr_log_entry *out);
// The offset behind those whole files from `offset` on whose batches of the partition are all older
// than `before_ms` and end at or below `limit`; `offset` itself when there are none.
int64_t mr_log_store_skip_old(struct mr_log_store *s, struct mr_uuid topic, int32_t partition,
	int64_t offset, int64_t limit, int64_t before_ms);

// Offsets and bytes of a partition over all filled and sealed files.
struct mr_log_extent {
	int64_t offset_first; // -1: none
	int64_t offset_end;
	uint64_t bytes; // payload, live: not below what retention released, as far as that was
			// counted
	uint64_t batches;
	int64_t max_timestamp_ms;
};
void mr_log_store_extent(
	struct mr_log_store *s, struct mr_uuid topic, int32_t partition, struct mr_log_extent *out);

// Asynchronous read of whole records from disk, each verified by its own checksum.
//
// Cleaning may move a batch between the time that it was found and the time that it is read: then
// it is read where it is now, and log_id and lsn say where that was.
struct mr_log_read {
	// The caller's: `data` is aligned to 4096, of at least mr_log_read_bytes(bytes).
	void (*done)(struct mr_log_read *r, int res); // 0, -errno or MR_ERR_CORRUPT
	uint64_t log_id;
	uint64_t lsn;
	uint64_t bytes; // of the record, header included
	struct mr_uuid topic;
	int32_t partition;
	int64_t base_offset;
	uint8_t *data;
	int buffer;
	// Set when done: the record.
	struct mr_span records;
	// The store's.
	struct mr_io_op op;
	struct mr_log_store *store;
	struct mr_log_file *file;
};
// Records begin at multiples of 8.
static inline size_t mr_log_read_bytes(uint64_t bytes)
{
	return mr_round_up(bytes + MR_IO_ALIGN - 8, MR_IO_ALIGN);
}
// Starts it on the caller's io. -ENOENT when the batch is gone, -EINPROGRESS as find when it has
// been moved. The file stays while the read is under way.
[[nodiscard]] int mr_log_store_read(
	struct mr_log_store *s, struct mr_io *io, struct mr_log_read *r);

// One record met by a scan. `record` is in the scanner's memory until the callback returns.
struct mr_log_scan_record {
	uint64_t log_id;
	uint64_t lsn;
	const struct mr_log_record *record;
	struct mr_uuid topic; // when record->partition_ref is one
	int32_t partition;    // -1: none
};
// Calls `each` for every record of a sealed log from the frame that holds `lsn_from` (or the first
// one left) to its end, PARTITION and INDEX too, verifying every frame. Blocks. A non-zero return
// of `each` ends it and is returned. Records before lsn_from in that frame are not shown.
[[nodiscard]] int mr_log_store_scan(struct mr_log_store *s, uint64_t log_id, uint64_t lsn_from,
	int (*each)(void *arg, const struct mr_log_scan_record *r), void *arg,
	struct mr_diag *diag);

// Retention. Both only ever rise, are kept in memory (the catalog says them again after a start),
// and free a file once nothing in it is needed: every batch below its partition's offset, and the
// whole file below its log's lsn.
//
// Nobody needs the partition below `offset`. INT64_MAX: the partition is deleted.
void mr_log_store_retain_offset(
	struct mr_log_store *s, struct mr_uuid topic, int32_t partition, int64_t offset);
// What retention gives up of a partition: batches all of whose records are older than a time, and
// the oldest ones while its ended files hold more than so many bytes.
struct mr_log_retention {
	int64_t limit;      // nothing above goes: somebody needs it, or it is not visible yet
	int64_t before_ms;  // INT64_MIN: none goes by time
	uint64_t bytes_max; // UINT64_MAX: none goes by size
};
// Releases what goes by that from `start`, where the partition's log begins, and returns where it
// begins then. One pass: there may be more to do, and an index may have to be read first. Owner of
// `log` only.
int64_t mr_log_retain(struct mr_log *log, struct mr_uuid topic, int32_t partition, int64_t start,
	const struct mr_log_retention *r);
// Nobody needs any partition that `known` denies: those deleted before this start.
void mr_log_store_retain_known(struct mr_log_store *s,
	bool (*known)(void *arg, struct mr_uuid topic, int32_t partition), void *arg);
// Nobody needs non-batch records of the log (state, checkpoints) below `lsn`. UINT64_MAX: none.
void mr_log_store_retain_lsn(struct mr_log_store *s, uint64_t log_id, uint64_t lsn);

struct mr_log_store_stats {
	uint64_t logs;
	uint64_t files;       // that belong to a log
	uint64_t files_spare; // filled with zeros, waiting
	uint64_t files_open;  // descriptors
	uint64_t bytes;       // on disk, of all of them
	uint64_t bytes_live;  // of records of batches not released
	uint64_t bytes_dead;  // of ended files, what is not alive
	uint64_t files_made;
	uint64_t files_recycled;
	uint64_t files_removed;
	uint64_t open_evictions; // files closed because of open_files_max
	uint64_t cleanings;      // files written from others
	uint64_t cleaned_files;  // that went by that
	uint64_t cleaned_bytes;  // of those, on disk
	uint64_t copied_bytes;   // of records, into the files written
	uint64_t clean_failures; // cleanings that did not get through; of these
	uint64_t clean_no_room;  // for want of room on the disk
	uint64_t clean_damaged;  // because of a damaged batch; that file is kept
	uint64_t
		index_starts; // files whose index this start read: the manifest had no runs of them
	uint64_t runs_bytes;  // of runs in the manifest
	uint64_t index_bytes; // entries of ended files in memory
	uint64_t index_loads; // files whose entries were read again
	uint64_t index_evictions;
	uint64_t index_waits;    // for room
	uint64_t index_failures; // loads that did not get through
	uint64_t index_scans;    // INDEX frames were damaged: all frames were read instead
	bool disk_full;          // the last attempt to make a file found no room
};
struct mr_log_store_stats mr_log_store_stats(struct mr_log_store *s);

// What a log being written takes at most beside its ring, and cleaning: mostly where batches are.
uint64_t mr_log_active_bytes_max(uint64_t file_bytes, uint64_t ring_bytes);
uint64_t mr_log_clean_bytes_max(uint64_t file_bytes, uint64_t ring_bytes);

// Cleaning: sealed files that are less than half alive are copied together into files of a long
// log, and given back. A background thread's; blocks. No commit waits for it.
struct mr_log_cleaner {
	// Called between reads and writes, each of at most a mebibyte or one record: it may sleep.
	// Non-zero ends the cleaning as if it had never begun. NULL: full speed.
	int (*pace)(void *ctx, uint64_t bytes);
	void *ctx;
};
// One new file's worth, with 8 MiB of memory or so. 1: done, there may be more. 0: nothing is worth
// cleaning. -ENOSPC: no room for it now. -ECANCELED, MR_ERR_CORRUPT (the file is kept and not tried
// again), -errno. All but -ECANCELED are counted.
[[nodiscard]] int mr_log_store_clean(struct mr_log_store *s, const struct mr_log_cleaner *c);

// A file as it stands.
struct mr_log_file_info {
	uint64_t id;
	uint64_t log_id;
	uint64_t sequence;
	uint64_t bytes;      // on disk
	uint64_t bytes_live; // of records of batches not released; 0 while it is being written
	uint64_t batches;
	bool sealed;
	bool is_long;
};
// Fills at most `max`, ascending by id; returns how many there are.
size_t mr_log_store_files(struct mr_log_store *s, struct mr_log_file_info *out, size_t max);
