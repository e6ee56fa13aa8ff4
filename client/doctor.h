// What this host lacks for millrace to run at its best, and what to type about it.
//
// A check reads a few files of /proc and /sys (or of a tree that stands in for them), and reports
// at most a handful of findings. Nothing is changed on the host.
#pragma once

#include "host/base/buf.h"

enum mr_doctor_level {
	MR_DOCTOR_OK,
	MR_DOCTOR_ADVICE, // runs without it, slower or with a longer tail
	MR_DOCTOR_LACKS,  // what was asked for does not run without it
};

struct mr_doctor {
	const char *root; // "" = the host itself; else a folder with proc/ and sys/ in it
	const char *data; // data directory, or NULL
	bool dpdk;        // checks for --dataplane dpdk too
	uint64_t workers;
	// Fills: how many of each level there were, and the report.
	uint32_t found[MR_DOCTOR_LACKS + 1];
	struct mr_buf report;
};

struct mr_doctor_check {
	const char *name;
	bool dpdk_only;
	void (*run)(struct mr_doctor *d, const char *name);
};

// Runs all checks. The report is d->report; the caller frees it.
void mr_doctor_run(struct mr_doctor *d);

// ---- for checks

// One finding. `what_to_type` may be NULL.
void mr_doctor_say(struct mr_doctor *d, enum mr_doctor_level level, const char *name,
	const char *what_to_type, const char *fmt, ...) MR_PRINTF(5, 6);
// The first line of root + path, without its newline, cut to `bytes`. False when it cannot be read.
bool mr_doctor_read(const struct mr_doctor *d, char *out, size_t bytes, const char *fmt, ...)
	MR_PRINTF(4, 5);
// A number in a file, or `other`.
long long mr_doctor_number(const struct mr_doctor *d, long long other, const char *path);
// root + path, as a path to open.
const char *mr_doctor_path(const struct mr_doctor *d, char out[512], const char *path);
// Calls `each` for every entry of a folder that does not begin with a point.
void mr_doctor_list(struct mr_doctor *d, const char *path,
	void (*each)(struct mr_doctor *d, const char *entry, void *arg), void *arg);

extern const struct mr_doctor_check mr_doctor_host[], mr_doctor_net[];
extern const size_t mr_doctor_host_count, mr_doctor_net_count;
