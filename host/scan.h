// Scans over lists of chunks: tables, and the dead letters of all tables.
#pragma once

#include "host/table.h"

extern const struct mr_relation_ops mr_table_relation_ops;

// Pins the lists' versions and scans them one after another; all have the columns that `spec`
// names. The scan lives in the query's arena. 0, or negative with diag.
[[nodiscard]] int mr_scan_lists(struct mr_chunk_list *const *lists, uint32_t lists_count,
	const struct mr_scan_spec *spec, struct mr_scan **out, struct mr_diag *diag);
int mr_scan_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag);
void mr_scan_stats(const struct mr_scan *s, struct mr_scan_stats *out);
void mr_scan_end(struct mr_scan *s);
