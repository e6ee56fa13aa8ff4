// Record batches: the frame, the checksum, the records.
#include "dataplane/batch.h"

#include "kernels/crc32c.h"

#include <errno.h>

static const struct {
	int16_t kafka_error;
	const char *text;
} faults[] = {
#define X(name, kafka_error, text) [MR_BATCH_FAULT_##name] = {kafka_error, text},
	MR_BATCH_FAULTS(X)
#undef X
};

int16_t mr_batch_fault_kafka(enum mr_batch_fault f)
{
	MR_ASSERT((size_t)f < MR_COUNT_OF(faults));
	return faults[f].kafka_error;
}

const char *mr_batch_fault_text(enum mr_batch_fault f)
{
	MR_ASSERT((size_t)f < MR_COUNT_OF(faults));
	return faults[f].text;
}

// The bytes after batchLength in a batch without records.
#define LENGTH_MIN (MR_BATCH_HEADER_BYTES - MR_BATCH_OFF_EPOCH)

static void read_header(struct mr_reader *r, struct mr_batch *b)
{
	b->base_offset = (int64_t)mr_read_be64(r);
	b->bytes = (size_t)mr_read_be32(r) + MR_BATCH_OFF_EPOCH;
	b->leader_epoch = (int32_t)mr_read_be32(r);
	mr_read_u8(r); // magic, looked at before
	b->crc = mr_read_be32(r);
	b->attributes = mr_read_be16(r);
	b->last_offset_delta = (int32_t)mr_read_be32(r);
	b->base_timestamp = (int64_t)mr_read_be64(r);
	b->max_timestamp = (int64_t)mr_read_be64(r);
	b->producer_id = (int64_t)mr_read_be64(r);
	b->producer_epoch = (int16_t)mr_read_be16(r);
	b->base_sequence = (int32_t)mr_read_be32(r);
	b->count = (int32_t)mr_read_be32(r);
}

enum mr_batch_fault mr_batch_read(struct mr_span in, struct mr_batch *out)
{
	struct mr_reader r = mr_reader(in);
	int32_t length;

	if (in.bytes == 0)
		return MR_BATCH_FAULT_EMPTY;
	// Versions 0 and 1 have their magic at the same place and shorter headers: tell them apart
	// before complaining about lengths.
	if (in.bytes <= MR_BATCH_OFF_MAGIC)
		return MR_BATCH_FAULT_TRUNCATED;
	if (in.data[MR_BATCH_OFF_MAGIC] != MR_BATCH_MAGIC)
		return MR_BATCH_FAULT_MAGIC;
	if (in.bytes < MR_BATCH_HEADER_BYTES)
		return MR_BATCH_FAULT_TRUNCATED;
	length = (int32_t)mr_load_be32(in.data + MR_BATCH_OFF_LENGTH);
	if (length < LENGTH_MIN)
		return MR_BATCH_FAULT_LENGTH;
	read_header(&r, out);
	if (out->bytes > in.bytes)
		return MR_BATCH_FAULT_TRUNCATED;
	if (out->count <= 0 || out->last_offset_delta < 0)
		return MR_BATCH_FAULT_COUNT;
	out->body = mr_span(in.data + MR_BATCH_HEADER_BYTES, out->bytes - MR_BATCH_HEADER_BYTES);
	return MR_BATCH_FAULT_NONE;
}

static enum mr_batch_fault check_fields(const struct mr_batch *b)
{
	static const uint16_t known = MR_BATCH_ATTR_CODEC | MR_BATCH_ATTR_APPEND_TIME |
				      MR_BATCH_ATTR_TRANSACTIONAL | MR_BATCH_ATTR_CONTROL;

	if (b->last_offset_delta != b->count - 1)
		return MR_BATCH_FAULT_COUNT;
	if (b->attributes & MR_BATCH_ATTR_TRANSACTIONAL)
		return MR_BATCH_FAULT_TRANSACTIONAL;
	if (b->attributes & (MR_BATCH_ATTR_CONTROL | MR_BATCH_ATTR_APPEND_TIME) ||
		b->attributes & (uint16_t)~known)
		return MR_BATCH_FAULT_ATTRIBUTES;
	if (!mr_codec_name(mr_batch_codec(b)))
		return MR_BATCH_FAULT_CODEC;
	if (b->producer_id < -1 ||
		(b->producer_id >= 0 && (b->producer_epoch < 0 || b->base_sequence < 0)))
		return MR_BATCH_FAULT_PRODUCER;
	return MR_BATCH_FAULT_NONE;
}

enum mr_batch_fault mr_batch_check(struct mr_span in, struct mr_batch *out)
{
	enum mr_batch_fault f = mr_batch_read(in, out);

	if (f)
		return f;
	if (out->bytes != in.bytes)
		return MR_BATCH_FAULT_SEVERAL;
	if (mr_batch_crc(in.data, in.bytes) != out->crc)
		return MR_BATCH_FAULT_CRC;
	return check_fields(out);
}

uint32_t mr_batch_crc(const uint8_t *batch, size_t bytes)
{
	MR_ASSERT(bytes >= MR_BATCH_HEADER_BYTES);
	return mr_crc32c(0, batch + MR_BATCH_OFF_ATTRIBUTES, bytes - MR_BATCH_OFF_ATTRIBUTES);
}

void mr_batch_patch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
	mr_store_be64(batch + MR_BATCH_OFF_BASE_OFFSET, (uint64_t)base_offset);
	mr_store_be32(batch + MR_BATCH_OFF_EPOCH, (uint32_t)leader_epoch);
}

void mr_batch_set_append_time(uint8_t *batch, size_t bytes, int64_t now_ms)
{
	uint16_t attributes = mr_load_be16(batch + MR_BATCH_OFF_ATTRIBUTES);

	MR_ASSERT(bytes >= MR_BATCH_HEADER_BYTES);
	mr_store_be16(batch + MR_BATCH_OFF_ATTRIBUTES, attributes | MR_BATCH_ATTR_APPEND_TIME);
	mr_store_be64(batch + MR_BATCH_OFF_MAX_TIMESTAMP, (uint64_t)now_ms);
	mr_store_be32(batch + MR_BATCH_OFF_CRC, mr_batch_crc(batch, bytes));
}

enum mr_batch_fault mr_batch_unpack(
	const struct mr_batch *b, struct mr_zip *z, size_t bytes_max, struct mr_span *records)
{
	int codec = mr_batch_codec(b);

	*records = b->body;
	if (codec == MR_CODEC_NONE)
		return b->body.bytes <= bytes_max ? MR_BATCH_FAULT_NONE : MR_BATCH_FAULT_TOO_LARGE;
	switch (mr_zip_decompress(z, codec, b->body, bytes_max, records)) {
	case 0: return MR_BATCH_FAULT_NONE;
	case MR_ERR_LIMIT: return MR_BATCH_FAULT_TOO_LARGE;
	case MR_ERR_UNSUPPORTED: return MR_BATCH_FAULT_CODEC;
	case -ENOMEM: return MR_BATCH_FAULT_MEMORY;
	default: return MR_BATCH_FAULT_UNPACK;
	}
}

void mr_records_begin(struct mr_records *it, struct mr_span records, int32_t count)
{
	*it = (struct mr_records){.r = mr_reader(records), .count = count};
}

// Nearly all integers of a record take one byte or two: read these without a call.
static inline bool read_short(struct mr_reader *r, uint32_t *v)
{
	if (MR_UNLIKELY(mr_read_left(r) < 2))
		return false;
	if (MR_LIKELY(r->at[0] < 0x80)) {
		*v = r->at[0];
		r->at += 1;
		return true;
	}
	if (MR_UNLIKELY(r->at[1] >= 0x80))
		return false;
	*v = (r->at[0] & 0x7fu) | (uint32_t)r->at[1] << 7;
	r->at += 2;
	return true;
}

static inline int32_t read_varint(struct mr_reader *r)
{
	uint32_t v;

	return read_short(r, &v) ? (int32_t)mr_zigzag_decode(v) : mr_read_varint(r);
}

static inline int64_t read_varlong(struct mr_reader *r)
{
	uint32_t v;

	return read_short(r, &v) ? mr_zigzag_decode(v) : mr_read_varlong(r);
}

// A length and that many bytes; -1 is null where that is allowed.
static inline struct mr_span read_bytes(struct mr_reader *r, bool nullable)
{
	int32_t bytes = read_varint(r);

	if (bytes < 0) {
		r->bad |= bytes != -1 || !nullable;
		return mr_span(NULL, 0);
	}
	return mr_read_span(r, (size_t)bytes);
}

bool mr_record_header_next(struct mr_reader *r, struct mr_record_header *out)
{
	if (r->bad || mr_read_left(r) == 0)
		return false;
	out->key = read_bytes(r, false);
	out->value = read_bytes(r, true);
	return !r->bad;
}

static void read_headers(struct mr_reader *r, struct mr_record *out)
{
	struct mr_record_header h;
	const uint8_t *start;

	out->headers_count = read_varint(r);
	start = r->at;
	// Each header takes at least two bytes, so a hostile count ends with the bytes.
	if (out->headers_count < 0)
		r->bad = true;
	for (int32_t i = 0; i < out->headers_count && !r->bad; i++)
		r->bad |= !mr_record_header_next(r, &h);
	out->headers = mr_span(start, (size_t)(r->at - start));
}

static enum mr_batch_fault read_record(struct mr_records *it, struct mr_record *out)
{
	struct mr_reader r = mr_reader(read_bytes(&it->r, false));

	if (it->r.bad)
		return MR_BATCH_FAULT_RECORD;
	mr_read_u8(&r); // attributes: unused so far
	out->timestamp_delta = read_varlong(&r);
	out->offset_delta = read_varint(&r);
	out->key = read_bytes(&r, true);
	out->value = read_bytes(&r, true);
	read_headers(&r, out);
	if (r.bad || mr_read_left(&r) > 0)
		return MR_BATCH_FAULT_RECORD;
	return out->offset_delta == it->index ? MR_BATCH_FAULT_NONE : MR_BATCH_FAULT_RECORD_OFFSET;
}

bool mr_records_next(struct mr_records *it, struct mr_record *out)
{
	if (it->fault)
		return false;
	if (it->index == it->count) {
		if (mr_read_left(&it->r) > 0)
			it->fault = MR_BATCH_FAULT_RECORDS_LEFT;
		return false;
	}
	it->fault = read_record(it, out);
	if (it->fault)
		return false;
	it->index++;
	return true;
}

enum mr_batch_fault mr_records_check(struct mr_span records, int32_t count, int32_t *bad_record)
{
	struct mr_records it;
	struct mr_record r;

	mr_records_begin(&it, records, count);
	while (mr_records_next(&it, &r))
		;
	*bad_record = it.fault && it.index < count ? it.index : -1;
	return it.fault;
}
