// What the log takes of memory at most beside its rings and the cache of indexes, whatever is
// appended: for the memory budget of the program.
//
// What grows with batches is their entries. A file ends when its index has its limit, so a log has
// at most: the entries of the file it writes; those of files that have ended and are not durable,
// which lie with their batches and INDEX frames in the ring; and, while a file is handed over, the
// sorted copy of its entries.
#include "storage/log_clean_int.h"
#include "storage/log_writer_int.h"

// In 40ths of an entry: it, the quarter that is allocated ahead, 8 bytes in the lists by partition
// (which double), and a little for lists that hold few.
enum { ENTRY_SHARES = 60 };

static uint64_t in_memory(uint64_t entries_bytes)
{
	return entries_bytes / sizeof(struct mr_log_index_entry) * ENTRY_SHARES;
}

uint64_t mr_log_active_bytes_max(uint64_t file_bytes, uint64_t ring_bytes)
{
	uint64_t index = mr_log_index_limit(file_bytes, ring_bytes);
	// A batch has a record's header, and an entry in an INDEX frame.
	uint64_t batch = mr_log_record_bytes(1) + sizeof(struct mr_log_index_entry);
	uint64_t in_ring = ring_bytes / batch * sizeof(struct mr_log_index_entry);

	return in_memory(index + MR_MIN(in_ring, (MR_LOG_FILES_MAX - 1) * index)) + index;
}

uint64_t mr_log_clean_bytes_max(uint64_t file_bytes, uint64_t ring_bytes)
{
	uint64_t entry = sizeof(struct mr_log_index_entry);
	uint64_t index =
		MR_MAX(mr_log_index_limit(file_bytes, ring_bytes), MR_LOG_CLEAN_ENTRIES * entry);
	uint64_t record = mr_log_frame_bytes(mr_log_record_bytes(MR_LOG_RECORD_BYTES));
	uint64_t items = MR_LOG_CLEAN_REGION_BYTES / mr_log_record_bytes(1);

	// What is to be copied; beside it first a source's index, which is sorted, then the new
	// file's. Frames being made, read, and scanned.
	return index + 9 * index / 4 + 2 * items * sizeof(struct mr_log_copy_item) + 3 * record;
}
