// A simulated disk: files in memory, a queue on a simulated clock, and everything that goes wrong.
//
// Every file has what reads see and what would survive a power cut. A write joins the second only
// by a sync of its file or, for a durable write of the queue, when it completes. At a power cut
// each write that was not flushed lands whole, lands torn by sectors, or vanishes, in any
// combination; names created, renamed or removed without a sync of their directory may revert, each
// by itself. All by seed, so a failure replays. One thread.
#pragma once

#include "host/base/rand.h"
#include "storage/io.h"

struct mr_io_sim_options {
	uint64_t seed;
	uint32_t sector;         // 512 or 4096; default 512
	uint64_t capacity_bytes; // default 1 GiB
	int64_t delay_ns_max;    // of a queued operation; default 100 us
	bool no_flush;          // control: durable writes and syncs flush nothing, and say they did
	uint32_t misdirect_ppm; // a write lands elsewhere in its file, silently
	uint32_t rot_ppm;       // a read returns one flipped bit
};

// Faults by number: operations that move data or change names are counted from 1, whoever asks.
struct mr_io_sim_fault {
	uint64_t at;   // 0: none
	bool for_ever; // and all later ones
	int err;       // -EIO, -ENOSPC
};

struct mr_io_sim {
	struct mr_io_sim_options options;
	struct mr_clock_sim clock;
	struct mr_disk disk;
	struct mr_io io;
	struct mr_rand rand;
	struct mr_io_sim_fault fault;
	uint64_t ops;          // counted for `fault`
	uint64_t flushes;      // durable writes and syncs that completed
	uint64_t die_at_flush; // 0: never; after that many flushes everything fails with -EIO
	bool dead;
	bool locked;
	uint64_t faults_hit;
	// The implementation's.
	struct sim_name *names;
	struct sim_file *open_files;
	struct mr_io_op *queue;
};

void mr_io_sim_init(struct mr_io_sim *s, const struct mr_io_sim_options *o);
void mr_io_sim_fini(struct mr_io_sim *s);

// A second disk with the first one's durable state and nothing unflushed. Made after a power cut.
void mr_io_sim_clone(struct mr_io_sim *to, const struct mr_io_sim *from, uint64_t seed);

// Moves the clock to the next completion and runs it. False when nothing is queued.
bool mr_io_sim_step(struct mr_io_sim *s);

// The power goes: queued operations vanish without `done`, unflushed state is lost as above, and
// the disk works again, with faults off. Files still open may only be closed.
void mr_io_sim_power_cut(struct mr_io_sim *s);

// The process dies: queued operations land or not; what was written stays readable but unflushed.
void mr_io_sim_kill(struct mr_io_sim *s);

// Flips bits of a byte, durable and visible. False when the file is not that long.
bool mr_io_sim_flip(struct mr_io_sim *s, const char *name, uint64_t offset, uint8_t mask);

// A hash of all names and contents as reads see them.
uint64_t mr_io_sim_digest(struct mr_io_sim *s);
