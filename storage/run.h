// Runs: immutable files of a materialized view's groups, each named by the manifest together with
// the exact range of offsets of every partition that went into it.
//
// A run is blocks of bytes that nobody here looks into: saved groups, ascending by hash part (the
// upper eight bits of a group's hash). A block says which parts it has groups of, so that a view
// larger than memory is read and merged a few parts at a time. Bytes: docs/FORMAT.md, "Run". A file
// is written under a name never used before, flushed with its directory, and exists only once the
// manifest says so; it is never changed.
//
// Every byte is checksummed: head and trailer by themselves, the footer by the manifest's record,
// blocks by the footer. Damage is MR_ERR_CORRUPT with file and offset, and is never served.
//
// Threads: a struct mr_run is shared and counted by reference; writers and readers belong to one
// thread.
#pragma once

#include "host/base/buf.h"
#include "host/base/err.h"
#include "host/base/zip.h"
#include "storage/segment.h"

#define MR_RUN_NAME_BYTES      32 // "run/<16 hex digits>.run", NUL included
#define MR_RUN_HEAD_BYTES      64
#define MR_RUN_VERSION         1
#define MR_RUN_BLOCK_BYTES_MAX MR_ZIP_BYTES_MAX

// What the manifest knows of a run.
struct mr_run_info {
	uint64_t id;
	uint64_t view_id;
	uint64_t table_id;
	uint64_t fingerprint; // of the fold whose groups these are
	uint64_t groups;
	uint64_t raw_bytes; // of all blocks before compression
	uint64_t rows_failed;
	uint64_t rows_untimed;
	uint64_t file_bytes;
	uint64_t footer_at;
	uint32_t footer_bytes;
	uint64_t footer_checksum;
	uint32_t ranges_count;
	struct mr_offset_range *ranges; // ascending by partition
};

void mr_run_name(uint64_t id, char out[MR_RUN_NAME_BYTES]);

// ---- writing

struct mr_run_block {
	uint64_t at; // file offset
	uint32_t bytes;
	uint32_t raw_bytes;
	uint64_t checksum; // of the stored bytes
	uint32_t groups;
	uint8_t first, last; // parts it has groups of
	bool zstd;
};

struct mr_run_writer;
[[nodiscard]] int mr_run_writer_create(struct mr_disk *disk, struct mr_run_writer **out);
void mr_run_writer_destroy(struct mr_run_writer *w); // aborts; NULL does nothing

// Makes the file of info->id; then blocks, by ascending first part; then finish or abort. An error
// aborts: there is no such file any more. Blocks.
[[nodiscard]] int mr_run_begin(struct mr_run_writer *w, const struct mr_run_info *info);
[[nodiscard]] int mr_run_write(
	struct mr_run_writer *w, uint8_t first, uint8_t last, uint32_t groups, struct mr_span raw);
// The file is whole, and durable after mr_run_sync; fills what of `info` the file decides.
[[nodiscard]] int mr_run_finish(struct mr_run_writer *w, struct mr_run_info *info);
// Makes all finished files durable: before any of them is committed. Flushing many that lie written
// is cheaper than each behind its writing: the file system puts their new blocks into one change of
// its own, and there is one flush of the directory. On an error none may be committed.
[[nodiscard]] int mr_run_sync(struct mr_run_writer *w);
void mr_run_abort(struct mr_run_writer *w);

// ---- reading

struct mr_run {
	struct mr_run_info info;
	struct mr_disk *disk;
	_Atomic uint32_t references;
	_Atomic bool dropped; // the file goes with the last reference
	pthread_mutex_t lock;
	struct mr_run_block *blocks; // read at first use
	uint32_t blocks_count;
	bool opened;
};

// Takes info->ranges. Touches no file. Returns owned, one reference.
[[nodiscard]] int mr_run_create(
	struct mr_disk *disk, const struct mr_run_info *info, struct mr_run **out);
struct mr_run *mr_run_get(struct mr_run *r);
void mr_run_put(struct mr_run *r); // NULL does nothing

// Decodes a footer's bytes, of a file whose blocks end at `blocks_end`. `*out` is to be freed.
// Returns the count or MR_ERR_CORRUPT; any bytes at all may come in.
[[nodiscard]] int mr_run_footer_load(
	struct mr_span raw, uint64_t blocks_end, struct mr_run_block **out);

struct mr_run_reader;
[[nodiscard]] int mr_run_reader_create(struct mr_run_reader **out);
void mr_run_reader_destroy(struct mr_run_reader *r); // NULL does nothing
// Memory it holds now.
size_t mr_run_reader_bytes(const struct mr_run_reader *r);
// Turns to a run, which is borrowed until the next call; its blocks are then known. 0, or negative
// with diag.
[[nodiscard]] int mr_run_reader_open(
	struct mr_run_reader *r, struct mr_run *run, struct mr_diag *diag);
// The bytes that were put as block `index`; valid until the next call. 0, or negative with diag.
[[nodiscard]] int mr_run_reader_block(
	struct mr_run_reader *r, uint32_t index, struct mr_span *out, struct mr_diag *diag);
// Says that a block which its checksum vouched for is not what it should be.
int mr_run_damaged(const struct mr_run *run, uint64_t at, const char *what, struct mr_diag *diag);
