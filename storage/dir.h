// The data directory: made, locked, checked. Nothing in it names its own path, so a stopped
// directory may be copied or moved.
//
//   LOCK             held by flock(2) while a daemon uses the directory
//   FORMAT           one line: "millrace 1"
//   super            two superblock slots of the manifest
//   manifest.0, .1   the manifest's two files
//   log/             log files, <16 hex digits>.mlog
//   seg/             column segments
//   run/             runs of materialized views
#pragma once

#include "host/base/err.h"
#include "storage/io.h"

#define MR_DIR_FORMAT 1

// Makes `path` (0700) when only its parent exists, and opens it as a disk. Then mr_dir_init.
// Errors say in `diag` what is wrong with which path. Returns owned.
[[nodiscard]] int mr_dir_open(struct mr_disk **out, const char *path, struct mr_diag *diag);

// On a disk, real or simulated: locks it, initialises it when it is empty, refuses foreign files
// (MR_ERR_FOREIGN), a newer format (MR_ERR_VERSION) or a directory in use (MR_ERR_LOCKED).
[[nodiscard]] int mr_dir_init(struct mr_disk *d, struct mr_diag *diag);

// What a folder of numbered files holds.
struct mr_dir_files {
	const char *folder;                   // "seg"
	void (*name)(uint64_t id, char *out); // "seg/…", at most MR_DIR_NAME_BYTES with its NUL
	bool (*has)(void *owner, uint64_t id);
	void *owner;
};

#define MR_DIR_NAME_BYTES 32

// Removes what else is there: what a crash left behind. 0 or -errno; some may be gone then.
[[nodiscard]] int mr_dir_clean(struct mr_disk *d, const struct mr_dir_files *files);
