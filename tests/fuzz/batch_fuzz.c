// Record batches as a producer could send them: whatever the bytes, only a fault may come of them.
// A wrong checksum is made right first, so that mutations reach what lies behind it.
#include "dataplane/batch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { RECORDS_BYTES_MAX = 1 << 20 };

static size_t walk_headers(const struct mr_record *r)
{
	struct mr_reader headers = mr_reader(r->headers);
	struct mr_record_header h;
	size_t n = 0, seen = 0;

	while (mr_record_header_next(&headers, &h)) {
		n++;
		for (size_t i = 0; i < h.key.bytes; i++)
			seen += h.key.data[i];
		for (size_t i = 0; i < h.value.bytes; i++)
			seen += h.value.data[i];
	}
	MR_ASSERT(n == (size_t)r->headers_count && mr_read_left(&headers) == 0);
	return seen;
}

// Touches every byte a caller may touch.
static void walk(const struct mr_batch *b, struct mr_span records)
{
	volatile size_t sum = 0;
	enum mr_batch_fault whole;
	struct mr_records it;
	struct mr_record r;
	int32_t bad, n = 0;

	mr_records_begin(&it, records, b->count);
	for (; mr_records_next(&it, &r); n++) {
		MR_ASSERT(r.offset_delta == n);
		for (size_t i = 0; i < r.key.bytes; i++)
			sum += r.key.data[i];
		for (size_t i = 0; i < r.value.bytes; i++)
			sum += r.value.data[i];
		sum += walk_headers(&r) + (size_t)mr_record_timestamp(b, &r);
	}
	(void)sum;
	MR_ASSERT(it.fault || n == b->count);
	whole = mr_records_check(records, b->count, &bad);
	MR_ASSERT(whole == it.fault);
	MR_ASSERT(bad == (whole && it.index < b->count ? it.index : -1));
}

static void patch_and_read_again(uint8_t *copy, size_t bytes, struct mr_batch b)
{
	struct mr_batch again;

	mr_batch_patch(copy, INT64_MAX, 7);
	MR_ASSERT(mr_batch_check(mr_span(copy, bytes), &again) == MR_BATCH_FAULT_NONE);
	MR_ASSERT(again.base_offset == INT64_MAX && again.leader_epoch == 7);
	MR_ASSERT(again.count == b.count && again.base_sequence == b.base_sequence);
	mr_batch_set_append_time(copy, bytes, 99);
	MR_ASSERT(mr_batch_read(mr_span(copy, bytes), &again) == MR_BATCH_FAULT_NONE);
	MR_ASSERT(mr_batch_is_append_time(&again) && again.max_timestamp == 99);
	MR_ASSERT(mr_batch_crc(copy, bytes) == again.crc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct mr_zip *zip;
	uint8_t *copy = malloc(bytes + !bytes);
	enum mr_batch_fault f;
	struct mr_span records;
	struct mr_batch b;

	if (!zip && mr_zip_create(&zip))
		abort();
	if (bytes)
		memcpy(copy, data, bytes);
	f = mr_batch_check(mr_span(copy, bytes), &b);
	if (f == MR_BATCH_FAULT_CRC) {
		mr_store_be32(copy + MR_BATCH_OFF_CRC, mr_batch_crc(copy, bytes));
		f = mr_batch_check(mr_span(copy, bytes), &b);
		MR_ASSERT(f != MR_BATCH_FAULT_CRC);
	}
	if (!f) {
		if (!mr_batch_unpack(&b, zip, RECORDS_BYTES_MAX, &records)) {
			MR_ASSERT(records.bytes <= RECORDS_BYTES_MAX);
			walk(&b, records);
		}
		patch_and_read_again(copy, bytes, b);
	}
	free(copy);
	return 0;
}
