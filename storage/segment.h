// Column segments: immutable files of encoded columns, each named by the manifest together with the
// exact range of offsets of every partition that it holds.
//
// A segment has two sections: a table's rows, and the dead letters of the same offsets. A section
// is columns of row blocks, at most 65,536 rows each; a text column may have a dictionary that all
// its blocks share. Bytes: docs/FORMAT.md, "Segment". A file is written under a name never used
// before, flushed with its directory, and exists only once the manifest says so; it is never
// changed.
//
// Every byte is checksummed: head and trailer by themselves, the footer by the manifest's record,
// blocks and dictionaries by the footer. Damage is MR_ERR_CORRUPT with file and offset, and is
// never served.
//
// Threads: a struct mr_segment is shared and counted by reference; a reader belongs to one thread.
#pragma once

#include "host/base/budget.h"
#include "host/base/err.h"
#include "host/base/zip.h"
#include "storage/encode.h"
#include "storage/io.h"

#include <pthread.h>
#include <stdatomic.h>

#define MR_SEGMENT_NAME_BYTES 32 // "seg/<16 hex digits>.seg", NUL included
#define MR_SEGMENT_HEAD_BYTES 4096
#define MR_SEGMENT_VERSION    1

// More strings than this, or bytes of them, and a column is stored without a dictionary.
#define MR_SEGMENT_DICT_ENTRIES 65536u
#define MR_SEGMENT_DICT_BYTES   (8u << 20)

enum mr_segment_section { MR_SEGMENT_ROWS, MR_SEGMENT_DEAD, MR_SEGMENT_SECTIONS };

// Offsets [from, to) of one partition.
struct mr_offset_range {
	uint32_t partition;
	int64_t from;
	int64_t to;
};

// What the manifest knows of a segment.
struct mr_segment_info {
	uint64_t id;
	uint64_t table_id;
	uint64_t rows;
	uint64_t dead_rows;
	uint64_t file_bytes;
	uint64_t footer_at;
	uint32_t footer_bytes; // as stored
	uint32_t footer_raw_bytes;
	uint64_t footer_checksum;
	uint64_t fingerprint; // of the columns
	uint64_t raw_bytes;   // of its values as they are in memory; 0 = not known
	int64_t time_min;     // microseconds; above time_max when it has no row
	int64_t time_max;     // what a table's ttl counts from
	uint16_t merges;      // how often its rows have been merged, at most
	uint16_t level;       // of zstd, at least
	uint32_t ranges_count;
	struct mr_offset_range *ranges; // ascending by partition
};

void mr_segment_name(uint64_t id, char out[MR_SEGMENT_NAME_BYTES]);

// ---- writing

struct mr_segment_column {
	uint64_t id; // of the catalog; 0 for hidden columns and dead letters
	struct mr_typeref type;
};

// Up to 65,536 rows; `columns` has as many as the section, or is NULL: the source's `read` gives
// them.
struct mr_segment_rows {
	uint32_t rows;
	const struct mr_col *columns;
};

// The rows of a section, in memory or read as they are wanted: column by column all blocks in
// order, those of strings twice (the first time perhaps not to the end).
struct mr_segment_source {
	const struct mr_segment_column *columns;
	uint32_t columns_count;
	const struct mr_segment_rows *blocks; // none of them empty
	uint32_t blocks_count;
	// A column of a block, valid until the next call. 0 or negative, which ends the writing.
	int (*read)(void *ctx, uint32_t column, uint32_t block, struct mr_col *out);
	void *ctx;
	// Columns of type timestamp that say when a row was: the first, and the second for rows
	// where that is null. MR_SEGMENT_NO_COLUMN: none.
	uint32_t time_column;
	uint32_t time_fallback;
};

#define MR_SEGMENT_NO_COLUMN UINT32_MAX

// What tells these columns from others.
uint64_t mr_segment_fingerprint(const struct mr_segment_column *columns, uint32_t count);

struct mr_segment_writer;
[[nodiscard]] int mr_segment_writer_create(struct mr_disk *disk, struct mr_segment_writer **out);
void mr_segment_writer_destroy(struct mr_segment_writer *w);

// What a writer spends on compression from now on: a level of zstd.
#define MR_SEGMENT_LEVEL_FAST 1
void mr_segment_writer_level(struct mr_segment_writer *w, int level);
// Memory it holds now; the most it has held; and the most it can hold when the rows of a section
// are so many, and the values of a column in a block at most so many bytes.
size_t mr_segment_writer_bytes(const struct mr_segment_writer *w);
size_t mr_segment_writer_bytes_peak(const struct mr_segment_writer *w);
size_t mr_segment_writer_bytes_max(uint64_t rows, size_t block_bytes);

// Writes and flushes the file of info->id and its directory; fills what of `info` the file decides
// (bytes, footer, rows, fingerprint, times, level). After an error there is no such file. Blocks.
[[nodiscard]] int mr_segment_write(struct mr_segment_writer *w,
	const struct mr_segment_source sections[MR_SEGMENT_SECTIONS], struct mr_segment_info *info);

// ---- reading

struct mr_segment_block {
	uint64_t at; // file offset
	uint32_t bytes;
	uint32_t raw_bytes;
	uint64_t checksum;
	bool zstd;
	struct mr_block_stats stats;
};

struct mr_segment_column_info {
	struct mr_segment_column column;
	uint32_t dict_count; // 0: no dictionary; entry 0 is the empty string
	struct mr_segment_block dict;
};

struct mr_segment_section_info {
	uint64_t rows;
	uint32_t columns_count;
	uint32_t blocks_count;
	struct mr_segment_column_info *columns;
	uint32_t *block_rows;
	struct mr_segment_block *blocks; // of column c: blocks[c * blocks_count]
};

struct mr_segment_footer {
	struct mr_segment_section_info sections[MR_SEGMENT_SECTIONS];
	size_t bytes; // in memory
};

struct mr_footer_cache;

struct mr_segment {
	struct mr_segment_info info;
	struct mr_disk *disk;
	_Atomic uint32_t references;
	_Atomic bool dropped; // the file goes with the last reference
	_Atomic bool placed;  // in the versions that readers pin: it may be replaced
	_Atomic bool damaged; // some reader has found it so
	pthread_mutex_t lock; // held while the footer is read
	// footer_cache.h: read when it is pinned.
	struct mr_segment_footer *footer;
	struct mr_footer_cache *cache; // or NULL: the footer stays
	struct mr_segment *newer, *older;
	uint32_t footer_pins;
};

// Takes info->ranges. Touches no file. Returns owned, one reference.
[[nodiscard]] int mr_segment_create(
	struct mr_disk *disk, const struct mr_segment_info *info, struct mr_segment **out);
struct mr_segment *mr_segment_get(struct mr_segment *s);
void mr_segment_put(struct mr_segment *s); // NULL does nothing

// Decodes a footer's bytes. Returns owned or MR_ERR_CORRUPT; any bytes at all may come in.
[[nodiscard]] int mr_segment_footer_load(struct mr_span raw, struct mr_segment_footer **out);
void mr_segment_footer_destroy(struct mr_segment_footer *f);
void mr_segment_footer_save(struct mr_buf *out, const struct mr_segment_footer *f);

struct mr_segment_reader;
// Reads at most `columns_max` columns at a time. Returns owned.
[[nodiscard]] int mr_segment_reader_create(uint32_t columns_max, struct mr_segment_reader **out);
void mr_segment_reader_destroy(struct mr_segment_reader *r); // NULL does nothing
// What the reader takes is taken from the budget, before it is; what does not fit is -ENOMEM.
// Before the first segment is opened. False: not even the reader fits.
[[nodiscard]] bool mr_segment_reader_budget(struct mr_segment_reader *r, struct mr_budget *budget);
// Memory it holds now.
size_t mr_segment_reader_bytes(const struct mr_segment_reader *r);

// Turns to a section of a segment, of which it keeps a reference and the footer until it turns to
// another, and to some of its columns. 0, or negative with diag.
[[nodiscard]] int mr_segment_reader_open(struct mr_segment_reader *r, struct mr_segment *s,
	enum mr_segment_section section, const uint32_t *columns, uint32_t columns_count,
	struct mr_diag *diag);
const struct mr_segment_section_info *mr_segment_reader_section(const struct mr_segment_reader *r);
// Decodes block `block`; `*out` points to the columns asked for and is valid until the next call.
// Returns its rows, or negative with diag.
[[nodiscard]] int mr_segment_reader_block(struct mr_segment_reader *r, uint32_t block,
	const struct mr_col **out, struct mr_diag *diag);
