// Growable bytes.
#include "host/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// Of a buffer of `bytes_max` bytes, what is taken from the budget.
static uint64_t taken(const struct mr_buf *b, size_t bytes_max)
{
	return bytes_max > b->bytes_free ? bytes_max - b->bytes_free : 0;
}

void mr_buf_fini(struct mr_buf *b)
{
	free(b->data);
	mr_budget_give(b->budget, taken(b, b->bytes_max));
	*b = (struct mr_buf){
		.bytes_limit = b->bytes_limit, .budget = b->budget, .bytes_free = b->bytes_free};
}

static bool grow(struct mr_buf *b, size_t need)
{
	size_t cap = MR_MAX(MR_MAX(b->bytes_max * 2, need), (size_t)256);
	uint64_t more = taken(b, cap) - taken(b, b->bytes_max);
	uint8_t *p;

	if (!mr_budget_take(b->budget, more))
		return false;
	p = realloc(b->data, cap);
	if (!p) {
		mr_budget_give(b->budget, more);
		return false;
	}
	b->data = p;
	b->bytes_max = cap;
	return true;
}

uint8_t *mr_buf_room(struct mr_buf *b, size_t bytes)
{
	size_t need;

	if (b->failed || __builtin_add_overflow(b->bytes, bytes, &need) ||
		(b->bytes_limit && need > b->bytes_limit)) {
		b->failed = true;
		return NULL;
	}
	if ((need > b->bytes_max || !b->data) && !grow(b, need)) {
		b->failed = true;
		return NULL;
	}
	return b->data + b->bytes;
}

uint8_t *mr_buf_extend(struct mr_buf *b, size_t bytes)
{
	uint8_t *p = mr_buf_room(b, bytes);

	if (p)
		b->bytes += bytes;
	return p;
}

void mr_buf_add(struct mr_buf *b, const void *data, size_t bytes)
{
	uint8_t *p = mr_buf_extend(b, bytes);

	if (p && bytes)
		memcpy(p, data, bytes);
}

void mr_buf_str(struct mr_buf *b, const char *s)
{
	mr_buf_add(b, s, strlen(s));
}

void mr_buf_u8(struct mr_buf *b, uint8_t v)
{
	mr_buf_add(b, &v, 1);
}

#define BUF_TYPE(end, bits)                                         \
	void mr_buf_##end##bits(struct mr_buf *b, uint##bits##_t v) \
	{                                                           \
		uint8_t *p = mr_buf_extend(b, sizeof(v));           \
		if (p)                                              \
			mr_store_##end##bits(p, v);                 \
	}

BUF_TYPE(be, 16)
BUF_TYPE(be, 32)
BUF_TYPE(be, 64)
BUF_TYPE(le, 16)
BUF_TYPE(le, 32)
BUF_TYPE(le, 64)

void mr_buf_uvarint(struct mr_buf *b, uint64_t v)
{
	while (v >= 0x80) {
		mr_buf_u8(b, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	mr_buf_u8(b, (uint8_t)v);
}

void mr_buf_printf(struct mr_buf *b, const char *fmt, ...)
{
	va_list args;
	uint8_t *p;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	p = mr_buf_room(b, (size_t)MR_MAX(n, 0) + 1);
	if (!p)
		return;
	va_start(args, fmt);
	vsnprintf((char *)p, (size_t)n + 1, fmt, args);
	va_end(args);
	b->bytes += (size_t)n;
}
