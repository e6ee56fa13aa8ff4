// Error codes and the diagnostic that a person reads.
//
// A function that can fail returns 0 or a count, or a negative code: -errno where the kernel or a
// library said so, or one of enum mr_err for what has no errno. No other sign convention exists.
#pragma once

#include "host/base/def.h"

enum mr_err {
	MR_ERR_CORRUPT = -1001,     // a checksum or a structure is wrong
	MR_ERR_VERSION = -1002,     // written by a newer version, or of an unknown type
	MR_ERR_LIMIT = -1003,       // a configured limit was reached
	MR_ERR_UNSUPPORTED = -1004, // valid, but not built
	MR_ERR_TRUNCATED = -1005,   // the input ends too early
	MR_ERR_FOREIGN = -1006,     // a directory or file that is not ours
	MR_ERR_LOCKED = -1007,      // in use by another process
	MR_ERR_STOPPED = -1008,     // the component has stopped after a failure
	MR_ERR_CANCELLED = -1009,   // the caller asked to stop
};

// One line of text for any negative code. Static or thread-local memory; never NULL.
const char *mr_err_text(int err);

// What a person reads. `message` is one factual line, lower-case start, no full stop; `detail` and
// `hint` are sentences or empty. `position` counts characters of the SQL text from 1; 0 means none.
struct mr_diag {
	char sqlstate[6];
	int position;
	char message[320];
	char detail[320];
	char hint[320];
};

// Fills `d` and returns `err`, so that `return mr_diag_set(d, -EINVAL, "42601", 12, "…")` reads
// well. `d` may be NULL. A message that is too long is cut.
int mr_diag_set(struct mr_diag *d, int err, const char *sqlstate, int position, const char *fmt,
	...) MR_PRINTF(5, 6);

// Adds to a diagnostic already set. `d` may be NULL.
void mr_diag_detail(struct mr_diag *d, const char *fmt, ...) MR_PRINTF(2, 3);
void mr_diag_hint(struct mr_diag *d, const char *fmt, ...) MR_PRINTF(2, 3);
