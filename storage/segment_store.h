// Which segments exist: the manifest's records of types MR_MANIFEST_TYPE_SEGMENT and up.
//
// Segments of a table have an order, in which the offset ranges of each partition ascend: that of
// their records, where one that replaces others stands at the place of the first of them. So
// merging neighbours keeps the order, and a start can check it. Offsets whose rows have expired are
// held by no segment; how far they reach is remembered, so that the log is not read for them again.
//
// Threads: any thread may call; calls that append or clean block. A commit that depends on
// something that a DDL statement may change takes the commit lock around its check and the append,
// as the statement does. Look-ups by id or table are hashed.
#pragma once

#include "storage/footer_cache.h"
#include "storage/manifest.h"
#include "storage/segment.h"

// Record types. Payloads: docs/FORMAT.md, "Records of segments".
enum {
	MR_SEGMENT_RECORD = MR_MANIFEST_TYPE_SEGMENT,
	MR_SEGMENT_RECORD_NEXT_ID,
	MR_SEGMENT_RECORD_TABLE_DROPPED, // all segments of a table are gone
	MR_SEGMENT_RECORD_REPLACED,      // a segment in the place of others
	MR_SEGMENT_RECORD_EXPIRED,       // segments are gone, their offsets still count as held
	MR_SEGMENT_RECORD_LAST = MR_SEGMENT_RECORD_EXPIRED,
};

#define MR_SEGMENT_RECORD_VERSION 1
// Of records that hold a segment; version 1 has no raw bytes, times, merges and level.
#define MR_SEGMENT_INFO_VERSION 2

struct mr_segment_store;

// Registers with the manifest, which is opened after this. Disk and manifest are borrowed.
[[nodiscard]] int mr_segment_store_create(
	struct mr_disk *disk, struct mr_manifest *manifest, struct mr_segment_store **out);
void mr_segment_store_destroy(struct mr_segment_store *s); // NULL does nothing

// Footers of its segments, of which it keeps at most MR_SEGMENT_FOOTER_BYTES before it is told.
#define MR_SEGMENT_FOOTER_BYTES (64u << 20)
struct mr_footer_cache *mr_segment_store_footers(struct mr_segment_store *s);

// After mr_manifest_open: removes files in seg/ that no record names.
[[nodiscard]] int mr_segment_store_clean(struct mr_segment_store *s);

// An id for a new segment; never given twice.
uint64_t mr_segment_store_id(struct mr_segment_store *s);

// Makes a written segment exist, together with `also`: records of other owners that take effect in
// the same append (runs of views over the same rows). Takes info->ranges on success. `*out` gets a
// reference.
[[nodiscard]] int mr_segment_store_commit(struct mr_segment_store *s,
	const struct mr_segment_info *info, const struct mr_manifest_record *also,
	size_t also_count, struct mr_segment **out);

// The same in the place of `old`, neighbours in the table's order, which exist no more. Their files
// go with their last readers.
[[nodiscard]] int mr_segment_store_replace(struct mr_segment_store *s,
	const struct mr_segment_info *info, struct mr_segment *const *old, uint32_t count,
	struct mr_segment **out);

// Segments of a table that exist no more, and whose offsets go on to count as held.
[[nodiscard]] int mr_segment_store_expire(struct mr_segment_store *s, uint64_t table_id,
	struct mr_segment *const *old, uint32_t count);

// The segment of this id with a reference, or NULL.
struct mr_segment *mr_segment_store_find(struct mr_segment_store *s, uint64_t id);

// All segments of a table in their order (table_id 0: of all tables), a reference of each; `*out`
// is to be freed. Returns the count or -ENOMEM.
[[nodiscard]] int mr_segment_store_list(
	struct mr_segment_store *s, uint64_t table_id, struct mr_segment ***out);

// Up to where expired segments held the partitions of a table (`from` is 0), ascending; `*out` is
// to be freed. Returns the count or -ENOMEM.
[[nodiscard]] int mr_segment_store_expired(
	struct mr_segment_store *s, uint64_t table_id, struct mr_offset_range **out);

// The payload of MR_SEGMENT_RECORD_TABLE_DROPPED, for the append that drops or empties a table.
void mr_segment_store_table_dropped(struct mr_buf *out, uint64_t table_id);

void mr_segment_store_lock_commits(struct mr_segment_store *s);
void mr_segment_store_unlock_commits(struct mr_segment_store *s);
