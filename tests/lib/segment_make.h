// Segments with columns of every type, made from a seed, and comparing what is read with them.
#pragma once

#include "host/base/rand.h"
#include "storage/io_sim.h"
#include "storage/segment.h"

#define MADE_COLUMNS 14

// One of each type, by column.
extern const struct mr_typeref made_types[MADE_COLUMNS];

// Shapes that each encoding is made for, and those it must survive.
enum made_shape { CONSTANT, RUNS, RISING, SMALL, WILD, EDGES, SHAPES };

// A column of a block in memory of its own.
struct made_column {
	struct mr_col col;
	uint8_t *values;
	uint64_t *valid;
};

// A column of `rows`; of `nulls` rows one is null, 0: none. Returns owned.
struct made_column made_column(struct mr_rand *r, struct mr_typeref type, enum made_shape shape,
	uint32_t rows, unsigned nulls);
void made_column_free(struct made_column *c, uint32_t rows);

// A whole segment in memory of the test.
struct made {
	uint32_t blocks, rows;
	struct made_column *columns; // block * MADE_COLUMNS + column
	struct mr_col *cols;
	struct mr_segment_rows *parts;
	struct mr_segment_column heads[MADE_COLUMNS];
	struct mr_segment_info info; // id 7 of table 9
};

// shape < 0: any, column by column.
struct made made_segment(struct mr_rand *r, uint32_t blocks, uint32_t rows, int shape);
void made_segment_free(struct made *m);
// Writes it under m->info.id.
int made_segment_write(struct mr_io_sim *sim, struct made *m);

// A disk with the folders of a store.
void made_disk(struct mr_io_sim *sim, uint64_t seed);
// The bytes of a value.
struct mr_span made_value(const struct mr_col *c, uint32_t row);
bool made_same(const struct mr_col *want, const struct mr_col *got, uint32_t rows);
