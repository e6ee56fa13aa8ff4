// All file I/O of storage: a name space of files (struct mr_disk) and queues of asynchronous reads
// and durable writes (struct mr_io). Three implementations of each idea:
//
//   disk              queue             used
//   mr_disk_real      mr_io_plain       a worker's log, by default, and everything with `io=plain`
//   mr_disk_real      mr_io_uring       a worker's reads, and its log where it is known to sleep
//   mr_io_sim.disk    mr_io_sim.io      tests: an in-memory disk that loses, tears and corrupts
//
// Why a thread that sleeps in pwritev2 writes the log by default: the durable write of a thread
// that never sleeps, through its own ring, completes only at the scheduler's tick.
// bench/log_bench.c, 1 KiB records at 100 k/s, two cores: p50/p99 0.2/0.5 ms with the
// thread, 2.2/7.8 ms without; worse when the worker is busy, and the same picture on one core. An
// idle worker's own ring is a little quicker (0.12 against 0.14 ms with 64 clients), which is not
// worth the cliff.
//
// A disk's calls block; they are for start, background and control threads, and any thread may make
// them. A queue belongs to one thread, which submits and reaps; `done` runs inside mr_io_reap (or,
// on a ring, inside mr_uring_turn).
//
// A durable write is complete only when its bytes are on stable storage. Everything that goes
// through a queue, and disk reads and writes of a file opened with MR_FILE_DIRECT, is aligned to
// MR_IO_ALIGN in offset, length and memory; that is the only unit whose atomicity nobody relies on.
#pragma once

#include "host/base/clock.h"
#include "hw/uring.h"

#define MR_IO_ALIGN    4096u
#define MR_IO_NAME_MAX 200

struct mr_disk;
struct mr_file;
struct mr_io;
struct mr_io_op;

enum mr_file_flag {
	MR_FILE_READ = 0,        // read only
	MR_FILE_WRITE = 1u << 0, // read and write
	MR_FILE_CREATE = 1u << 1,
	MR_FILE_EXCL = 1u << 2,   // with CREATE: -EEXIST when it is there
	MR_FILE_DIRECT = 1u << 3, // past the page cache where the file system allows it
};

// Calls return 0, a count or -errno. Names are relative to the disk's root, with '/' between parts.
struct mr_disk_ops {
	int (*open)(struct mr_disk *d, const char *name, unsigned flags, struct mr_file **out);
	void (*close)(struct mr_file *f);
	// Bytes read; fewer than asked only at the end of the file. At most 1 GiB.
	int (*read)(struct mr_file *f, uint64_t offset, void *data, size_t bytes);
	// All of it or an error. Not durable before sync.
	int (*write)(struct mr_file *f, uint64_t offset, const void *data, size_t bytes);
	// Data and size of the file are durable; its name only after sync_dir.
	int (*sync)(struct mr_file *f);
	int (*truncate)(struct mr_file *f, uint64_t bytes);
	int64_t (*bytes)(struct mr_file *f);
	int (*rename)(struct mr_disk *d, const char *from, const char *to);
	int (*unlink)(struct mr_disk *d, const char *name);
	int (*mkdir)(struct mr_disk *d, const char *name);    // 0700; 0 when it exists
	int (*sync_dir)(struct mr_disk *d, const char *name); // "." is the root
	// Calls `each` with every name (no "." or ".."), stops when it returns non-zero.
	int (*list)(struct mr_disk *d, const char *name, int (*each)(void *arg, const char *entry),
		void *arg);
	// Takes an exclusive lock that ends with the disk. MR_ERR_LOCKED when another holds it.
	int (*lock)(struct mr_disk *d, const char *name);
	int64_t (*bytes_free)(struct mr_disk *d);
	void (*destroy)(struct mr_disk *d);
};

struct mr_disk {
	const struct mr_disk_ops *ops;
};

// Embedded in the implementation's file.
struct mr_file {
	struct mr_disk *disk;
	int fd;      // real disks only
	bool direct; // past the page cache; real disks only
};

enum mr_io_kind { MR_IO_READ, MR_IO_WRITE };

// One asynchronous operation. The submitter fills the first block and keeps op and data alive until
// `done`, from which it may submit the op again.
struct mr_io_op {
	// Bytes moved, or -errno. A write moves all or fails; a read is short only at the end of
	// file.
	void (*done)(struct mr_io_op *op, int res);
	struct mr_file *file;
	uint64_t offset;
	uint8_t *data;
	uint32_t bytes;
	int buffer; // from mr_io_buffer_add, or -1
	enum mr_io_kind kind;

	// The queue's.
	struct mr_op ring;
	struct mr_io *io;
	struct mr_io_op *next;
	uint32_t moved;
	int res;
	int64_t due_ns;
};

struct mr_io_ops {
	void (*submit)(struct mr_io *io, struct mr_io_op *op);
	int (*reap)(struct mr_io *io);
	int (*wait)(struct mr_io *io);
	int (*buffer_add)(struct mr_io *io, void *base, size_t bytes);
	void (*destroy)(struct mr_io *io);
};

struct mr_io {
	const struct mr_io_ops *ops;
	int event_fd;       // readable when reap has work; -1 on a ring, whose turn reaps
	unsigned in_flight; // submitted, not done
	uint64_t reads;
	uint64_t writes;
	uint64_t write_bytes;
	uint64_t errors;
};

// Starts a read or a durable write. Never fails at once: an error comes through `done`.
void mr_io_submit(struct mr_io *io, struct mr_io_op *op);
// Runs `done` of what has completed; returns how many. Does not wait.
int mr_io_reap(struct mr_io *io);
// Blocks until something completes and runs it; on a ring that runs the ring's other completions
// too. For start and stop. 0 or more, or -errno when waiting is hopeless.
[[nodiscard]] int mr_io_wait(struct mr_io *io);
// Index for mr_io_op.buffer or -1: registration is only ever a speed-up.
int mr_io_buffer_add(struct mr_io *io, void *base, size_t bytes);
void mr_io_destroy(struct mr_io *io);

// Files below directory `path`, which must exist. Returns owned.
[[nodiscard]] int mr_disk_real_open(struct mr_disk **out, const char *path);
void mr_disk_destroy(struct mr_disk *d);

// A queue on a worker's ring, borrowed. Returns owned.
[[nodiscard]] int mr_io_uring_create(struct mr_io **out, struct mr_uring *ring);
// A queue with a sleeping thread for writes and one for reads. Returns owned.
[[nodiscard]] int mr_io_plain_create(struct mr_io **out);
// Of such a queue: from the next write on its thread is in the real-time class, before workers (it
// computes for microseconds, and their acknowledgements wait for it), or in the normal one. Owner.
void mr_io_plain_urgent(struct mr_io *io, bool urgent);

// Disk calls, so that callers read well.
[[nodiscard]] int mr_file_open(
	struct mr_disk *d, const char *name, unsigned flags, struct mr_file **out);
void mr_file_close(struct mr_file *f); // NULL does nothing
[[nodiscard]] int mr_file_read(struct mr_file *f, uint64_t offset, void *data, size_t bytes);
[[nodiscard]] int mr_file_write(struct mr_file *f, uint64_t offset, const void *data, size_t bytes);
[[nodiscard]] int mr_file_sync(struct mr_file *f);
[[nodiscard]] int mr_file_truncate(struct mr_file *f, uint64_t bytes);
int64_t mr_file_bytes(struct mr_file *f);
// Writes zeros up to `bytes` and syncs the file, so that later overwrites change no metadata
// (fallocate alone leaves unwritten extents, which do).
[[nodiscard]] int mr_file_fill(struct mr_file *f, uint64_t bytes);
[[nodiscard]] int mr_disk_rename(struct mr_disk *d, const char *from, const char *to);
[[nodiscard]] int mr_disk_unlink(struct mr_disk *d, const char *name);
[[nodiscard]] int mr_disk_mkdir(struct mr_disk *d, const char *name);
[[nodiscard]] int mr_disk_sync_dir(struct mr_disk *d, const char *name);
[[nodiscard]] int mr_disk_list(
	struct mr_disk *d, const char *name, int (*each)(void *arg, const char *entry), void *arg);
[[nodiscard]] int mr_disk_lock(struct mr_disk *d, const char *name);
int64_t mr_disk_bytes_free(struct mr_disk *d);
