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

// Removes the files of `folder` ("seg") that `is_known` does not know by their names from the root
// ("seg/…"): what a crash left behind. 0 or -errno; some may be gone then.
[[nodiscard]] int mr_dir_clean(struct mr_disk *d, const char *folder,
	bool (*is_known)(void *arg, const char *name), void *arg);
