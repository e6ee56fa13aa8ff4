// Kafka's record batch, version 2 (KIP-98; org.apache.kafka.common.record.DefaultRecordBatch).
//
//   offset bytes field                 who writes it
//        0     8 baseOffset            broker: patched in place on append
//        8     4 batchLength           bytes after this field
//       12     4 partitionLeaderEpoch  broker: patched in place on append
//       16     1 magic                 2
//       17     4 crc                   CRC-32C of everything from attributes to the end
//       21     2 attributes            bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control
//       23     4 lastOffsetDelta       recordsCount - 1 in what a producer sends
//       27     8 baseTimestamp         ms
//       35     8 maxTimestamp          ms
//       43     8 producerId            -1 = not idempotent
//       51     2 producerEpoch
//       53     4 baseSequence
//       57     4 recordsCount
//       61       records               compressed as one, if at all
//
// Because the checksum starts at attributes, offsets are assigned without touching it.
//
// A record (all integers zigzag varints but the attributes byte):
//   length, attributes i8, timestampDelta, offsetDelta, keyLength (-1 null), key,
//   valueLength (-1 null), value, headersCount, { keyLength, key, valueLength (-1 null), value }*
//
// Contract: everything here takes bytes from outside, and these can only cause a fault. After
// mr_batch_check a batch's frame is sound; its records are checked one by one by mr_records_next,
// so that decoding and checking are one pass, or all at once by mr_records_check.
#pragma once

#include "host/base/span.h"
#include "host/base/zip.h"

#define MR_BATCH_HEADER_BYTES 61
#define MR_BATCH_MAGIC        2

// Fields patched in place.
#define MR_BATCH_OFF_BASE_OFFSET   0
#define MR_BATCH_OFF_LENGTH        8
#define MR_BATCH_OFF_EPOCH         12
#define MR_BATCH_OFF_MAGIC         16
#define MR_BATCH_OFF_CRC           17
#define MR_BATCH_OFF_ATTRIBUTES    21
#define MR_BATCH_OFF_MAX_TIMESTAMP 35

#define MR_BATCH_ATTR_CODEC         0x07
#define MR_BATCH_ATTR_APPEND_TIME   0x08
#define MR_BATCH_ATTR_TRANSACTIONAL 0x10
#define MR_BATCH_ATTR_CONTROL       0x20

// What is wrong with a batch: name, Kafka error code (kafka_error.h), text for the client.
#define MR_BATCH_FAULTS(X)                                                                \
	X(NONE, 0, "no fault")                                                            \
	X(EMPTY, 87, "the partition has no record batch")                                 \
	X(TRUNCATED, 2, "the record batch ends too early")                                \
	X(MAGIC, 87, "only record batches of version 2 are accepted")                     \
	X(LENGTH, 2, "the record batch's length is wrong")                                \
	X(SEVERAL, 87, "one record batch per partition is accepted in a request")         \
	X(CRC, 2, "the record batch's checksum is wrong")                                 \
	X(COUNT, 87, "the record batch's record count is wrong")                          \
	X(ATTRIBUTES, 87, "the record batch has attributes that producers may not set")   \
	X(TRANSACTIONAL, 87, "transactions are not supported")                            \
	X(PRODUCER, 87, "the record batch's producer id, epoch or sequence is not valid") \
	X(CODEC, 76, "the record batch's compression is not known")                       \
	X(UNPACK, 2, "the record batch cannot be decompressed")                           \
	X(TOO_LARGE, 10, "the record batch is too large once decompressed")               \
	X(MEMORY, 14, "out of memory for decompression")                                  \
	X(RECORD, 87, "a record is not well formed")                                      \
	X(RECORD_OFFSET, 87, "a record's offset does not follow the one before it")       \
	X(RECORDS_LEFT, 87, "the record batch has bytes after its last record")

enum mr_batch_fault {
#define X(name, kafka_error, text) MR_BATCH_FAULT_##name,
	MR_BATCH_FAULTS(X)
#undef X
};

int16_t mr_batch_fault_kafka(enum mr_batch_fault f);
const char *mr_batch_fault_text(enum mr_batch_fault f);

// A batch's header, decoded, and its body, borrowed from the bytes it was read from.
struct mr_batch {
	int64_t base_offset;
	size_t bytes; // of the whole batch, header included
	int32_t leader_epoch;
	uint32_t crc;
	uint16_t attributes;
	int32_t last_offset_delta;
	int64_t base_timestamp; // ms
	int64_t max_timestamp;  // ms
	int64_t producer_id;    // -1: none
	int16_t producer_epoch;
	int32_t base_sequence;
	int32_t count;
	struct mr_span body; // the records, still compressed
};

static inline int mr_batch_codec(const struct mr_batch *b)
{
	return b->attributes & MR_BATCH_ATTR_CODEC;
}

// The codec that unchecked bytes claim, or -1 when they are no batch.
static inline int mr_batch_span_codec(struct mr_span batch)
{
	if (batch.bytes < MR_BATCH_HEADER_BYTES || batch.data[MR_BATCH_OFF_MAGIC] != MR_BATCH_MAGIC)
		return -1;
	return mr_load_be16(batch.data + MR_BATCH_OFF_ATTRIBUTES) & MR_BATCH_ATTR_CODEC;
}

static inline bool mr_batch_is_append_time(const struct mr_batch *b)
{
	return b->attributes & MR_BATCH_ATTR_APPEND_TIME;
}

// Reads the first batch of `in` (a log may hold more behind it): lengths, magic and count only, no
// checksum. For batches that were checked when they came in.
[[nodiscard]] enum mr_batch_fault mr_batch_read(struct mr_span in, struct mr_batch *out);

// Checks what a producer sent for one partition: exactly one batch, its checksum, and every field a
// producer must set. On a fault `out` is not to be used. The records are not looked at.
[[nodiscard]] enum mr_batch_fault mr_batch_check(struct mr_span in, struct mr_batch *out);

// CRC-32C of a whole batch from its attributes on; `bytes` >= MR_BATCH_HEADER_BYTES.
uint32_t mr_batch_crc(const uint8_t *batch, size_t bytes);

// Assigns offsets in place. The checksum does not change.
void mr_batch_patch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);

// Makes a batch LogAppendTime in place: attribute bit, maxTimestamp, checksum computed anew.
void mr_batch_set_append_time(uint8_t *batch, size_t bytes, int64_t now_ms);

// The records, decompressed: at most `bytes_max` bytes. `*records` lies in the batch itself
// (uncompressed) or in the scratch of `z` (until its next use); only the latter is padded.
[[nodiscard]] enum mr_batch_fault mr_batch_unpack(
	const struct mr_batch *b, struct mr_zip *z, size_t bytes_max, struct mr_span *records);

struct mr_record {
	int32_t offset_delta;
	int64_t timestamp_delta; // ms after base_timestamp
	struct mr_span key;      // data is NULL: null, not empty
	struct mr_span value;    // data is NULL: null
	int32_t headers_count;
	struct mr_span headers; // their bytes, checked; read with mr_record_header_next
};

static inline bool mr_record_is_null(struct mr_span s)
{
	return s.data == NULL;
}

// Walks decompressed records and checks them on the way.
struct mr_records {
	struct mr_reader r;
	int32_t count;
	int32_t index; // of the next record; of the bad one after a fault
	enum mr_batch_fault fault;
};

// `count` is the header's recordsCount.
void mr_records_begin(struct mr_records *it, struct mr_span records, int32_t count);

// True with a record in `out` (spans borrow from the records); false at the end or on a fault, then
// `it->fault` tells which and `it->index` names the record. The end is only reached when all
// `count` records were sound, numbered 0 to count-1, with nothing left over.
bool mr_records_next(struct mr_records *it, struct mr_record *out);

// All records at once. On a fault `*bad_record` is the index of the record, else -1.
[[nodiscard]] enum mr_batch_fault mr_records_check(
	struct mr_span records, int32_t count, int32_t *bad_record);

struct mr_record_header {
	struct mr_span key;
	struct mr_span value; // data is NULL: null
};

// Reads a record's next header from `r`, begun as mr_reader(record.headers). False at the end.
bool mr_record_header_next(struct mr_reader *r, struct mr_record_header *out);

// The timestamp of a record: LogAppendTime counts for all records of a batch. Hostile deltas wrap.
static inline int64_t mr_record_timestamp(const struct mr_batch *b, const struct mr_record *r)
{
	return mr_batch_is_append_time(b)
		       ? b->max_timestamp
		       : (int64_t)((uint64_t)b->base_timestamp + (uint64_t)r->timestamp_delta);
}
