// The writing end of a log: its state, shared by appending (log.c) and submitting (log_write.c).
#pragma once

#include "storage/log_int.h"

enum {
	MR_LOG_FILES_MAX = 8,     // taken and not yet handed back
	MR_LOG_IN_FLIGHT_MAX = 2, // 4 were slower
};

// A closed frame, from closing until it is durable.
struct mr_log_slot {
	struct mr_io_op op;
	struct mr_log *log;
	struct mr_log_file *file;
	uint64_t lsn;
	uint32_t bytes; // of payload
	uint32_t records;
	uint64_t checksum; // once submitted
	bool done;
	int res;
};

struct mr_log {
	struct mr_log_store *store;
	struct mr_io *io;
	struct mr_clock *clock;
	uint64_t id;
	struct mr_log_events events;
	struct mr_log_stats stats;
	int state;

	// The ring.
	uint8_t *ring;
	uint64_t ring_bytes;
	uint32_t record_bytes_max;
	int buffer;
	uint64_t head;    // end of what was appended
	uint64_t written; // highest end of ring memory ever touched
	uint64_t durable;
	uint64_t keep;

	// The open frame and the reservation in it.
	bool frame_open;
	uint64_t frame_lsn;
	uint32_t frame_records;
	struct mr_log_record *reserved;
	uint32_t reserved_bytes;

	// Closed frames: a ring of slots [q_head, q_tail), of which those below q_sent are
	// submitted.
	struct mr_log_slot *slots;
	size_t slot_count; // power of two
	size_t q_head;
	size_t q_sent;
	size_t q_tail;
	unsigned in_flight;
	uint64_t checksum_durable; // of the newest durable frame
	uint64_t checksum_sent;
	int failed; // a write failed and was not yet dealt with

	// files[0] is being written, the last is being appended to.
	struct mr_log_file *files[MR_LOG_FILES_MAX];
	size_t file_count;
	bool begun;     // the first file has its beginning
	bool rolling;   // inside begin_file: places are sure
	bool no_room;   // a record was refused because no next file was ready
	bool head_done; // of files[0]
	bool head_in_flight;
	bool head_failed; // the failure was the head of files[head_index]
	size_t head_index;
	uint64_t index_before; // INDEX of the file before files[0], for its head
	struct mr_io_op head_op;
	uint8_t *head_page;
	unsigned failures;
	int64_t submit_ns;

	struct mr_log_binding *bindings; // by ref
	size_t binding_count;
	size_t binding_max;
	struct mr_log_map binding_map; // to refs
};

// log_ring.c
int mr_log_ring_map(uint64_t bytes, uint8_t **out);
void mr_log_ring_unmap(uint8_t *ring, uint64_t bytes);

// log_write.c
void mr_log_pump(struct mr_log *log);

// log.c: closes the open frame, if it has records.
void mr_log_frame_close(struct mr_log *log);

static inline uint8_t *mr_log_at(const struct mr_log *log, uint64_t lsn)
{
	return log->ring + lsn % log->ring_bytes;
}

static inline struct mr_log_slot *mr_log_slot_at(struct mr_log *log, size_t i)
{
	return &log->slots[i & (log->slot_count - 1)];
}
