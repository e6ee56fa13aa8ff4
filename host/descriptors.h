// The plan of file descriptors: who may use how many, so that no flood of connections takes what
// the storage needs.
//
// The kernel gives every new descriptor the lowest number that is free. So it is enough that each
// kind of connection has an end: one whose descriptor has a number at or above it is closed at
// once, and the numbers from there on are the others'.
//
//	0 … what a start opens, and Kafka connections … kafka_end
//	  … SQL and HTTP sessions, however many Kafka connections there are … sessions_end
//	  … log files, segments and runs, however many connections there are … limit
#pragma once

#include "host/config.h"

#include <stdio.h>

struct mr_descriptors {
	uint64_t limit;  // RLIMIT_NOFILE
	uint64_t wanted; // with so many all that the settings allow fits
	uint64_t kafka_end;
	uint64_t sessions_end;
	uint64_t files;     // of the storage
	uint64_t kafka;     // connections that there is room for, of all workers
	uint64_t kafka_max; // that the settings allow
	// The settings, lowered to what there is room for.
	uint64_t log_open_files_max;
	uint64_t sql_connections_max;
	uint64_t http_connections_max;
};

// A pure function of the settings and the limit. -EMFILE when the storage itself would not have
// enough; the hint says what to type. `out` is filled in any case.
[[nodiscard]] int mr_descriptors_plan(const struct mr_config *c, uint64_t limit,
	struct mr_descriptors *out, struct mr_diag *diag);
// Puts the plan in force.
void mr_descriptors_apply(const struct mr_descriptors *d, struct mr_config *c);
// Is there less than the settings allow?
bool mr_descriptors_are_few(const struct mr_descriptors *d);
void mr_descriptors_print(const struct mr_descriptors *d, FILE *f);
