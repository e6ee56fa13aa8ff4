// Rows and bytes going by: a line that rewrites itself on a terminal, and a last one that stays.
// Both on stderr. One thread.
#pragma once

#include "host/base/def.h"

struct mr_progress {
	uint64_t rows;        // taken from the input: the caller counts
	uint64_t bytes;       // of the input
	uint64_t bytes_total; // 0: not known
	int64_t begin_ns;
	int64_t shown_ns;
	bool quiet;
	bool terminal;
};

// Keeps what the caller has set of rows and bytes.
void mr_progress_begin(struct mr_progress *p, bool quiet);
// Cheap to call often: draws ten times a second.
void mr_progress_show(struct mr_progress *p, uint64_t rows_acked);
// `N rows, N bytes in S s, R rows/s`.
void mr_progress_end(struct mr_progress *p, uint64_t rows_acked);
