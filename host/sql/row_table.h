// Relations whose rows are written when a scan begins: the machine's state (host/system.c) and
// pg_catalog (pgcatalog.c).
//
// A fill function writes row by row; only the columns that the query wants are kept. Memory is the
// query's, as much as there are rows. One thread at a time.
#pragma once

#include "host/sql/env.h"
#include "host/sql/expr.h"

struct mr_row_table;

// An empty table for a scan of `r`. `defaults`: a value for each column of the relation, borrowed;
// NULL: all NULL. 0, or negative with diag.
[[nodiscard]] int mr_row_table_open(const struct mr_relation *r, const struct mr_scan_spec *spec,
	const struct mr_datum *defaults, struct mr_row_table **out, struct mr_diag *diag);
void mr_row_table_close(struct mr_row_table *t);
struct mr_arena *mr_row_table_arena(struct mr_row_table *t);
bool mr_row_table_failed(const struct mr_row_table *t);

// Begins the next row, of defaults. Want of memory is remembered (mr_row_table_failed) and makes
// the calls that follow do nothing.
void mr_row_begin(struct mr_row_table *t);
// Values of the row begun last, by the column's place in the relation. Any integer, boolean or
// timestamp type:
void mr_row_int(struct mr_row_table *t, uint32_t column, int64_t v);
// Text and bytea: borrowed until the table is closed, or copied.
void mr_row_text(struct mr_row_table *t, uint32_t column, struct mr_span v);
void mr_row_copy(struct mr_row_table *t, uint32_t column, struct mr_span v);

// The rest of a relation's operations, for a scan that is a struct mr_row_table.
int mr_row_table_next(struct mr_scan *scan, struct mr_block *out, struct mr_diag *diag);
void mr_row_table_stats(const struct mr_scan *scan, struct mr_scan_stats *out);
void mr_row_table_end(struct mr_scan *scan);
int64_t mr_row_table_rows_known(const struct mr_relation *r); // -1
