// Growable bytes for control code: responses, texts, records. Not for the packet path.
//
// Growth stops at `bytes_limit` (0: none) and where the budget has no more: the append is dropped
// and `failed` stays set until reset, so a caller appends freely and checks once.
#pragma once

#include "host/base/budget.h"
#include "host/base/span.h"

struct mr_buf {
	uint8_t *data;
	size_t bytes;
	size_t bytes_max;
	size_t bytes_limit;
	struct mr_budget *budget; // borrowed; NULL: none
	size_t bytes_free;        // so much is not taken from the budget
	bool failed;
};

void mr_buf_fini(struct mr_buf *b);

static inline void mr_buf_reset(struct mr_buf *b)
{
	b->bytes = 0;
	b->failed = false;
}

// Makes room for `bytes` more and returns where they start without counting them, or NULL.
uint8_t *mr_buf_room(struct mr_buf *b, size_t bytes);

// Appends `bytes` uncleared bytes and returns them, or NULL.
uint8_t *mr_buf_extend(struct mr_buf *b, size_t bytes);

void mr_buf_add(struct mr_buf *b, const void *data, size_t bytes);
void mr_buf_str(struct mr_buf *b, const char *s);
void mr_buf_u8(struct mr_buf *b, uint8_t v);
void mr_buf_be16(struct mr_buf *b, uint16_t v);
void mr_buf_be32(struct mr_buf *b, uint32_t v);
void mr_buf_be64(struct mr_buf *b, uint64_t v);
void mr_buf_le16(struct mr_buf *b, uint16_t v);
void mr_buf_le32(struct mr_buf *b, uint32_t v);
void mr_buf_le64(struct mr_buf *b, uint64_t v);
void mr_buf_uvarint(struct mr_buf *b, uint64_t v);
void mr_buf_printf(struct mr_buf *b, const char *fmt, ...) MR_PRINTF(2, 3);

static inline struct mr_span mr_buf_span(const struct mr_buf *b)
{
	return mr_span(b->data, b->bytes);
}
