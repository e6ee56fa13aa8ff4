// Record batches built record by record.
#include "dataplane/batch_build.h"

#include <errno.h>

// length (at most 5 bytes) is written in front of a record's body, whose size must be known first.
static size_t uvarint_bytes(uint64_t v)
{
	return v ? (size_t)(63 - __builtin_clzll(v)) / 7 + 1 : 1;
}

static size_t varint_bytes(int64_t v)
{
	return uvarint_bytes(mr_zigzag_encode(v));
}

static size_t bytes_bytes(struct mr_span s)
{
	return s.data ? varint_bytes((int64_t)s.bytes) + s.bytes : 1;
}

static void add_varint(struct mr_buf *b, int64_t v)
{
	mr_buf_uvarint(b, mr_zigzag_encode(v));
}

static void add_bytes(struct mr_buf *b, struct mr_span s)
{
	add_varint(b, s.data ? (int64_t)s.bytes : -1);
	mr_buf_add(b, s.data, s.bytes);
}

void mr_batch_builder_init(struct mr_batch_builder *b, size_t bytes_limit)
{
	*b = (struct mr_batch_builder){.records = {.bytes_limit = bytes_limit}};
}

void mr_batch_builder_fini(struct mr_batch_builder *b)
{
	mr_buf_fini(&b->records);
}

void mr_batch_builder_reset(struct mr_batch_builder *b)
{
	mr_buf_reset(&b->records);
	b->count = 0;
}

bool mr_batch_builder_add(struct mr_batch_builder *b, int64_t timestamp_ms, struct mr_span key,
	struct mr_span value, const struct mr_record_header *headers, int32_t headers_count)
{
	int64_t base = b->count ? b->base_timestamp : timestamp_ms;
	int64_t delta = (int64_t)((uint64_t)timestamp_ms - (uint64_t)base);
	size_t body = 1 + varint_bytes(delta) + varint_bytes(b->count) + bytes_bytes(key) +
		      bytes_bytes(value) + varint_bytes(headers_count);
	size_t before = b->records.bytes;

	for (int32_t i = 0; i < headers_count; i++)
		body += bytes_bytes(headers[i].key) + bytes_bytes(headers[i].value);
	if (body > INT32_MAX || b->count == INT32_MAX)
		return false;
	add_varint(&b->records, (int64_t)body);
	mr_buf_u8(&b->records, 0);
	add_varint(&b->records, delta);
	add_varint(&b->records, b->count);
	add_bytes(&b->records, key);
	add_bytes(&b->records, value);
	add_varint(&b->records, headers_count);
	for (int32_t i = 0; i < headers_count; i++) {
		add_bytes(&b->records, headers[i].key);
		add_bytes(&b->records, headers[i].value);
	}
	if (b->records.failed) {
		b->records.bytes = before;
		b->records.failed = false;
		return false;
	}
	b->max_timestamp = b->count ? MR_MAX(b->max_timestamp, timestamp_ms) : timestamp_ms;
	b->base_timestamp = base;
	b->count++;
	return true;
}

static void write_header(uint8_t *batch, size_t bytes, const struct mr_batch_builder *b, int codec,
	struct mr_batch_producer p)
{
	struct mr_writer w = mr_writer(batch, MR_BATCH_HEADER_BYTES);

	mr_write_be64(&w, 0);
	mr_write_be32(&w, (uint32_t)(bytes - MR_BATCH_OFF_EPOCH));
	mr_write_be32(&w, UINT32_MAX); // leader epoch: unknown
	mr_write_u8(&w, MR_BATCH_MAGIC);
	mr_write_be32(&w, 0);
	mr_write_be16(&w, (uint16_t)codec);
	mr_write_be32(&w, (uint32_t)b->count - 1);
	mr_write_be64(&w, (uint64_t)b->base_timestamp);
	mr_write_be64(&w, (uint64_t)b->max_timestamp);
	mr_write_be64(&w, (uint64_t)p.id);
	mr_write_be16(&w, (uint16_t)p.epoch);
	mr_write_be32(&w, (uint32_t)p.base_sequence);
	mr_write_be32(&w, (uint32_t)b->count);
	MR_ASSERT(!w.bad && w.at == MR_BATCH_HEADER_BYTES);
	mr_store_be32(batch + MR_BATCH_OFF_CRC, mr_batch_crc(batch, bytes));
}

int mr_batch_builder_finish(struct mr_batch_builder *b, struct mr_zip *z, int codec,
	struct mr_batch_producer producer, struct mr_buf *out)
{
	struct mr_span in = mr_buf_span(&b->records);
	size_t bound = MR_BATCH_HEADER_BYTES + mr_zip_bound(codec, in.bytes);
	uint8_t *batch = mr_buf_room(out, bound);
	int n;

	MR_ASSERT(b->count > 0);
	if (!batch)
		return -ENOMEM;
	n = mr_zip_compress(z, codec, MR_ZIP_LEVEL_DEFAULT, in, batch + MR_BATCH_HEADER_BYTES,
		bound - MR_BATCH_HEADER_BYTES);
	if (n < 0)
		return n;
	write_header(batch, MR_BATCH_HEADER_BYTES + (size_t)n, b, codec, producer);
	out->bytes += MR_BATCH_HEADER_BYTES + (size_t)n;
	mr_batch_builder_reset(b);
	return 0;
}
