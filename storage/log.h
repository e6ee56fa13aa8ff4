// The log: what was acknowledged, in order. One log per worker and process start, all its
// partitions interleaved; logs of earlier starts are sealed and readable by everybody. The store
// (log_store.h) owns the files of all logs; this is the writing end of one of them.
//
// lsn: byte position in the log, from 0, through frames only (file headers are not counted). A
// record's lsn is where its header begins. "Durable up to X" means every byte below X.
//
// The tail ring: the newest `ring_bytes` of the log lie in memory exactly as on disk, at
// ring + lsn % ring_bytes, mapped twice so that nothing straddles the end. Appends copy straight
// into it, commits are written from it, and decoding and hot Fetch read from it until the log has
// moved on by ring_bytes (or for as long as mr_log_keep says).
//
// Group commit without linger: appends go to an open frame; mr_log_flush, at the end of each turn
// of the owner's loop, closes and submits it when nothing is in flight, so a commit takes what
// arrived during the one before. A second write goes out only when more than 1 MiB waits.
//
// A record is produced so (one reservation at a time):
//
//	struct mr_log_record *r;
//	rc = mr_log_reserve(log, MR_LOG_BATCH, bytes, 0, &r);   // -EAGAIN, -ENOSPC, MR_ERR_STOPPED
//	... copy the batch to mr_log_payload(r) while computing its CRC; fill r's fields ...
//	if (crc_is_wrong)
//		mr_log_abort(log);
//	else
//		lsn = mr_log_commit(log);                        // acknowledge when durable > lsn
//
// Thread: everything here is the owner's (the worker's), except where it says otherwise.
#pragma once

#include "host/base/err.h"
#include "host/base/uuid.h"
#include "storage/io.h"

#define MR_LOG_RING_BYTES   (64u << 20)           // default
#define MR_LOG_FILE_BYTES   (256u << 20)          // default
#define MR_LOG_INDEX_BYTES  (256u << 20)          // default
#define MR_LOG_COMMIT_BYTES (1u << 20)            // a larger frame holds a single record
#define MR_LOG_RECORD_BYTES ((16u << 20) + 4096u) // largest payload
#define MR_LOG_NO_PARTITION UINT32_MAX

struct mr_log;
struct mr_log_store;

// Record types. The log itself writes PARTITION and INDEX, and understands BATCH; the payload of
// the others is their owner's.
enum mr_log_type {
	MR_LOG_BATCH = 1,     // one Kafka record batch, exactly as produced, base offset patched
	MR_LOG_PARTITION = 2, // bindings of partition refs; at the start of each file and when made
	MR_LOG_CHECKPOINT =
		3,         // owner's: state that makes what follows readable without what precedes
	MR_LOG_INDEX = 4,  // at a file's end: where its batches are
	MR_LOG_OWNER = 16, // 16..63: owner's, e.g. producer expiry, watermark advances
	MR_LOG_TYPE_MAX = 63,
};

// A record's header on disk, 8-aligned in its frame, followed by `bytes` of payload and zeros up
// to the next multiple of 8. Little-endian. reserve clears it and fills the first block; the caller
// fills the second before commit; commit computes the checksum.
struct mr_log_record {
	uint64_t checksum; // XXH3-64 of the header from `type` on and the payload
	uint16_t type;     // enum mr_log_type
	uint8_t version;   // of the payload's form
	uint8_t flags;     // none yet
	uint32_t bytes;    // of payload

	uint32_t partition_ref; // from mr_log_bind, or MR_LOG_NO_PARTITION
	uint32_t tenant;        // 0
	int32_t leader_epoch;
	uint32_t schema_version;
	int64_t base_offset;
	int64_t max_timestamp_ms;
	uint32_t offset_count; // offsets base_offset .. base_offset + offset_count - 1
	uint32_t zero;
};

static_assert(sizeof(struct mr_log_record) == 56);

static inline uint8_t *mr_log_payload(struct mr_log_record *r)
{
	return (uint8_t *)(r + 1);
}

static inline struct mr_span mr_log_payload_span(const struct mr_log_record *r)
{
	return mr_span(r + 1, r->bytes);
}

// Bytes that a record takes in its frame.
static inline uint64_t mr_log_record_bytes(uint32_t payload_bytes)
{
	return mr_round_up(sizeof(struct mr_log_record) + (uint64_t)payload_bytes, 8);
}

// What the owner is told, on its thread, from mr_log_flush or from reaping its io (never from
// inside reserve or commit, except the two checkpoint calls). NULL members are not called.
struct mr_log_events {
	void *ctx;
	// Every byte below `lsn` is on stable storage. Called with rising lsn.
	void (*durable)(void *ctx, uint64_t lsn);
	// The log acknowledges nothing any more (second failure, `err`). Reading goes on.
	void (*stopped)(void *ctx, int err);
	// A new file begins: the owner appends its MR_LOG_CHECKPOINT records through reserve and
	// commit, at most `checkpoint_bytes()` in all (as mr_log_record_bytes counts).
	uint64_t (*checkpoint_bytes)(void *ctx);
	void (*checkpoint)(void *ctx, struct mr_log *log);
};

struct mr_log_options {
	struct mr_io *io; // borrowed; the owner's
	// Power of two, at least 4 MiB; default MR_LOG_RING_BYTES. It is larger where it, and files
	// are larger than the store's where they, would not hold the owner's checkpoint and the
	// largest record.
	uint64_t ring_bytes;
	struct mr_log_events events;
	uint32_t record_bytes_max; // payload; default MR_LOG_RECORD_BYTES, or half a file if less
};

struct mr_log_stats {
	uint64_t records;
	uint64_t record_bytes; // payload
	uint64_t frames;       // written, acknowledged
	uint64_t frame_bytes;  // padding included
	uint64_t commits_two;  // frames submitted as the second in flight
	uint64_t aborts;
	uint64_t ring_full; // reserve refused: ring full (back-pressure)
	uint64_t file_wait; // reserve refused: next file not ready yet
	uint64_t disk_full; // reserve refused: disk nearly full
	uint64_t rolls;     // files filled
	uint64_t failures;  // failed writes
	uint64_t flush_ns_last;
};

// Opens a new log of the store for writing. The id is new and recorded in the manifest; its first
// files are made ready before this returns, so it blocks: control thread or start, after
// mr_log_store_recover. The log then belongs to one thread. Returns owned.
[[nodiscard]] int mr_log_open(
	struct mr_log **out, struct mr_log_store *store, const struct mr_log_options *o);

// Writes what is open, waits for it, writes the index and seals the log in the manifest. Blocks.
// After a failure it seals what was acknowledged. The log is gone in any case.
int mr_log_close(struct mr_log *log);

// Gives up without a word to the disk, as a crash would. For tests and after a stop.
void mr_log_discard(struct mr_log *log);

uint64_t mr_log_id(const struct mr_log *log);

// Binds a partition and returns its ref in this log; the binding is a record of the log. Binding
// again returns the same ref. Errors as reserve.
[[nodiscard]] int mr_log_bind(
	struct mr_log *log, struct mr_uuid topic, int32_t partition, uint32_t *ref);

enum mr_log_reserve_flag {
	// May use the headroom kept for deletions and the like when the disk is nearly full.
	MR_LOG_URGENT = 1u << 0,
};

// Reserves a record of `bytes` payload and gives its place in the ring.
// -EAGAIN: ring full or next file not ready: stop reading from clients, retry after a turn.
// -ENOSPC: disk nearly full. -EMSGSIZE: more than a file or MR_LOG_RECORD_BYTES can hold.
// MR_ERR_STOPPED. Each is counted.
[[nodiscard]] int mr_log_reserve(struct mr_log *log, uint16_t type, uint32_t bytes, unsigned flags,
	struct mr_log_record **out);

// The reserved record becomes part of the log, shortened to `bytes` payload where r->bytes was
// lowered; returns its lsn. It is durable when the durable lsn is above that.
uint64_t mr_log_commit(struct mr_log *log);
// As if never reserved.
void mr_log_abort(struct mr_log *log);

// Ends a turn: submits what waits, as far as the rule allows. Cheap when there is nothing to do.
void mr_log_flush(struct mr_log *log);

uint64_t mr_log_head(const struct mr_log *log);    // end of what was appended
uint64_t mr_log_durable(const struct mr_log *log); // end of what is on stable storage
uint64_t mr_log_tail(const struct mr_log *log);    // lowest lsn still in the ring
int mr_log_state(const struct mr_log *log);        // 0, or MR_ERR_STOPPED

// The ring is not overwritten at and above `lsn` until this is raised: what decoding or a send in
// progress still needs. Starts at UINT64_MAX (nothing kept). Back-pressure when it lags ring_bytes.
void mr_log_keep(struct mr_log *log, uint64_t lsn);

// The bytes [lsn, lsn + bytes) in memory, or NULL when overwritten or not yet appended. Valid until
// the next reserve, or as mr_log_keep says.
const uint8_t *mr_log_hot(const struct mr_log *log, uint64_t lsn, uint64_t bytes);

// What the places of batches take in memory, of files being written.
uint64_t mr_log_index_bytes(const struct mr_log *log);
const struct mr_log_stats *mr_log_stats(const struct mr_log *log);
