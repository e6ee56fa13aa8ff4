// The slow, obvious second reader of segment files, written from docs/FORMAT.md and sharing no code
// with storage/: one value at a time, every bit by itself. The oracle of the segment tests.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ref_value {
	bool null;
	size_t bytes;
	uint8_t *data; // of a fixed size as it lies in memory; owned
};

struct ref_column {
	uint64_t id;
	uint8_t type, precision, scale;
	struct ref_value *values; // of all rows
};

struct ref_section {
	uint32_t columns_count;
	uint64_t rows;
	struct ref_column *columns;
};

struct ref_segment {
	uint64_t id, table_id, fingerprint;
	struct ref_section sections[2];
};

// Reads a whole file. False: it is not a valid segment. Returns owned.
bool ref_segment_read(const uint8_t *file, size_t bytes, struct ref_segment *out);
void ref_segment_free(struct ref_segment *s);
