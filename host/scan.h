// Scans over the pieces of table parts: tables, and the dead letters of all tables.
//
// Chunks are read where they are; blocks of segments are read, verified and decoded into the scan's
// own memory, a block at a time, only the columns asked for. Blocks whose bounds lie outside a
// range of the WHERE clause are left out unread. Reads block, which SQL threads may.
#pragma once

#include "host/table.h"

extern const struct mr_relation_ops mr_table_relation_ops;

// Pins the parts' versions and scans one kind of their rows, part after part; all have the columns
// that `spec` names. The scan lives in the query's arena. 0, or negative with diag.
[[nodiscard]] int mr_scan_parts(struct mr_table_part *const *parts, uint32_t parts_count, int kind,
	const struct mr_scan_spec *spec, struct mr_scan **out, struct mr_diag *diag);
int mr_scan_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *diag);
void mr_scan_stats(const struct mr_scan *s, struct mr_scan_stats *out);
void mr_scan_end(struct mr_scan *s);
