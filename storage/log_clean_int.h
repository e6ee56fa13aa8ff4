// Private to cleaning: choosing and switching (log_clean.c), copying (log_copy.c).
#pragma once

#include "storage/log_int.h"

enum {
	MR_LOG_CLEAN_ENTRIES = 1 << 18, // of all files of a job; a single one may have more
	MR_LOG_CLEAN_REGION_BYTES = 8 << 20,
};

// A batch on its way: from a place in an old file to one in the region.
struct mr_log_copy_item {
	struct mr_log_file *from;
	const struct mr_log_index_entry *entry;
	size_t to; // in the region
	uint32_t ref;
};

// A new file being written, a region of frames at a time.
struct mr_log_copy {
	struct mr_log_store *store;
	const struct mr_log_cleaner *cleaner;
	struct mr_log_file *file; // its entries have the refs of `bindings`
	struct mr_log_binding *bindings;
	uint32_t *parts; // the store's, by ref
	size_t binding_count;

	uint8_t *region; // aligned; frames, the last one open
	size_t region_max;
	size_t region_used;
	uint64_t region_lsn;    // of its first byte
	size_t frame;           // where the open one begins
	uint32_t frame_records; // in it; 0: none is open
	struct mr_log_copy_item *items;
	size_t item_count;
	size_t item_max;

	uint8_t *window; // aligned
	size_t window_max;
	uint64_t checksum; // of the last frame written
	uint64_t bytes_copied;
	struct mr_log_file *damaged; // where a batch was not what it should be
	uint64_t damaged_lsn;
};

// Sets `file` up to be written from its first_lsn on: bindings first. 0, -errno, MR_ERR_CORRUPT
// with `damaged` set, or what `pace` returned.
int mr_log_copy_begin(struct mr_log_copy *c);
// The next batch, of an ended file that is not removed meanwhile.
int mr_log_copy_batch(struct mr_log_copy *c, struct mr_log_file *from,
	const struct mr_log_index_entry *e, uint32_t ref);
// Index and head; all is on stable storage but the file's name. `file` has its end.
int mr_log_copy_end(struct mr_log_copy *c);
void mr_log_copy_fini(struct mr_log_copy *c);
