// A life of the log on a simulated disk, and the oracle that watches it from outside.
//
// Producers append batches to a few partitions; the model keeps, off the disk, what was appended
// and what was acknowledged. After a crash, recovery must give for each partition a prefix of what
// was appended that covers everything acknowledged, with the right bytes, nothing twice. What
// retention gave up may be gone; cleaning may have moved anything.
#pragma once

#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/log_store.h"

enum { LIFE_PARTITIONS = 5, LIFE_BATCHES_MAX = 20000 };

struct life_model {
	struct {
		uint64_t *checksums; // of each batch's payload; one batch holds one offset
		int64_t start;       // retention gave up what lies below
		int64_t sent;
		int64_t acked;
	} parts[LIFE_PARTITIONS];
	uint64_t lost;  // acknowledged, not recovered
	uint64_t wrong; // recovered with other bytes, twice, or not found
	uint64_t cleanings;
	uint64_t batches; // recovered at the last check
};

// The storage of one run of the process.
struct life {
	struct mr_io_sim *sim;
	struct mr_manifest *manifest;
	struct mr_log_store *store;
	struct mr_log *log;
	struct life_model *model;
	uint32_t refs[LIFE_PARTITIONS];
	struct life_sent {
		uint64_t lsn;
		int part;
		int64_t offset;
	} * pending; // appended, not acknowledged; a queue
	size_t pending_head;
	size_t pending_tail;
	int stopped;
	bool bound;
	char message[320];
};

struct life_options {
	uint64_t file_bytes; // default 256 KiB
	bool read_only;      // recover only, open no log
};

void life_model_init(struct life_model *m);
void life_model_fini(struct life_model *m);

// Opens everything, recovers. 0 or the first error; life_end in any case.
int life_begin(
	struct life *l, struct mr_io_sim *sim, struct life_model *m, const struct life_options *o);
// Seals the log: a clean stop. Returns what mr_log_close said.
int life_close_log(struct life *l);
// Frees all, without a word to the disk where the log is still open.
void life_end(struct life *l);

// Appends one batch of random size below `bytes_max`, or aborts one now and then. Errors of
// reserve.
int life_append(struct life *l, struct mr_rand *r, uint32_t bytes_max);
// A turn of a worker's loop and of the background thread.
void life_turn(struct life *l);
// Gives up acknowledged batches of all partitions but the first, and cleans until there is nothing
// to clean or the disk fails.
void life_retain_and_clean(struct life *l, struct mr_rand *r);
// Until all that was appended is acknowledged, or nothing moves any more.
void life_settle(struct life *l);

// Reads everything back and compares with the model: fills lost and wrong. With `adopt` the model
// goes on from what was recovered. 0 or the scan's error.
int life_check(struct life *l, bool adopt);
