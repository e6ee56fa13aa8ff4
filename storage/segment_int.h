// What writing and reading of segment files share: the fixed structures.
#pragma once

#include "storage/segment.h"

#define MR_SEGMENT_MAGIC         0x3167657365636c6dull // "mlceseg1"
#define MR_SEGMENT_TRAILER_MAGIC 0x31646e656765736dull // "msegend1"

struct mr_segment_head {
	uint64_t checksum; // of the rest of the page
	uint64_t magic;
	uint16_t version;
	uint16_t flags; // 0
	uint32_t zero;
	uint64_t id;
	uint64_t table_id;
	uint64_t fingerprint;
	uint8_t zeros[MR_SEGMENT_HEAD_BYTES - 48];
};

static_assert(sizeof(struct mr_segment_head) == MR_SEGMENT_HEAD_BYTES);

struct mr_segment_trailer {
	uint64_t checksum; // of the rest
	uint64_t magic;
	uint64_t id;
	uint64_t footer_at;
	uint32_t footer_bytes;
	uint32_t footer_raw_bytes;
	uint64_t footer_checksum;
	uint64_t zeros[2];
};

static_assert(sizeof(struct mr_segment_trailer) == 64);
