// A store and one log on a real or a simulated disk, for unit tests: four partitions of one topic,
// batches whose bytes follow from partition and offset.
#pragma once

#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/log_store.h"

#include <pthread.h>

enum { RIG_FILE_BYTES = 1 << 20, RIG_CHECKPOINT_BYTES = 944 };

extern const struct mr_uuid rig_topic;

// One start of the storage on some disk.
struct rig {
	char path[40];
	struct mr_io_sim sim;
	bool is_sim;
	bool plain;
	uint64_t file_bytes;
	uint64_t file_bytes_first;
	uint64_t bytes_free_min; // 0: a mebibyte
	unsigned open_files_max;
	uint64_t index_memory_bytes;
	uint64_t ring_bytes;
	uint32_t checkpoint_records; // of RIG_CHECKPOINT_BYTES, at the beginning of each file
	struct mr_disk *disk;
	struct mr_uring *ring;
	struct mr_io *io;
	struct mr_manifest *manifest;
	struct mr_log_store *store;
	struct mr_log *log;
	uint32_t ref[4];
	uint64_t durable;
	struct mr_diag diag;
};

struct rig *rig_real(bool plain);
struct rig *rig_sim(uint64_t capacity);
void rig_free(struct rig *g);

// Opens all, recovers, opens a new log and binds its partitions. 0 or the first error.
int rig_start(struct rig *g);
void rig_stop(struct rig *g);

// A turn of a worker and of the background.
void rig_turn(struct rig *g);
// Until all is durable.
void rig_settle(struct rig *g);
void rig_fill_batch(uint8_t *p, uint32_t bytes, int partition, int64_t offset);
// Appends a batch of `count` offsets; retries while the log asks for patience.
int rig_append(struct rig *g, int partition, int64_t offset, uint32_t count, uint32_t bytes);
// Reads what lookups have asked for, when nobody else is at it any more; 1 if there was something.
int rig_load(struct rig *g);
// The calls of the log, reading an index when one is wanted.
int rig_find(struct rig *g, int partition, int64_t offset, struct mr_log_entry *e);
int rig_find_time(
	struct rig *g, int partition, int64_t offset, int64_t time_ms, struct mr_log_entry *e);
// Reads the batch back from disk and compares.
int rig_read_back(struct rig *g, const struct mr_log_entry *e, int partition);

// A thread that takes turns beside the test. The thread asserts nothing, it keeps the first error
// and ends; the test stops it before it asserts anything, and keeps this in static memory, so that
// no failure of either leaves the thread behind with a stack frame that is gone.
struct rig_thread {
	struct rig *g;
	int (*turn)(struct rig *g); // what it did, or an error
	pthread_t thread;
	_Atomic bool stop;
	_Atomic int error; // of a turn; the test ends its own part when it sees one
	uint64_t done;     // sum of what turns did
};

void rig_thread_start(struct rig_thread *t, struct rig *g, int (*turn)(struct rig *g));
void rig_thread_stop(struct rig_thread *t);
