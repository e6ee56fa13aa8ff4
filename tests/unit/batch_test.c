// Record batches: built, checked and walked; then every rule broken one by one.
#include "dataplane/batch_build.h"
#include "host/base/rand.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { CODECS = 5 };

static struct mr_zip *zip;

static int open_zip(void **)
{
	return mr_zip_create(&zip);
}

static int close_zip(void **)
{
	mr_zip_destroy(zip);
	return 0;
}

static const struct mr_span null_span;

// Three records: plain, null key and value, headers with a null value.
static struct mr_buf built(int codec)
{
	struct mr_record_header headers[2] = {
		{mr_span_str("h1"), mr_span_str("v1")}, {mr_span_str(""), null_span}};
	struct mr_batch_builder b;
	struct mr_buf out = {0};

	mr_batch_builder_init(&b, 0);
	assert_true(mr_batch_builder_add(&b, 1000, mr_span_str("k"), mr_span_str("v"), NULL, 0));
	assert_true(mr_batch_builder_add(&b, 900, null_span, null_span, NULL, 0));
	assert_true(mr_batch_builder_add(&b, 1500, mr_span_str(""), mr_span_str(""), headers, 2));
	assert_int_equal(mr_batch_builder_finish(
				 &b, zip, codec, (struct mr_batch_producer){77, 3, 42}, &out),
		0);
	mr_batch_builder_fini(&b);
	return out;
}

static void batch_is_read_as_it_was_built(void **)
{
	for (int codec = 0; codec < CODECS; codec++) {
		struct mr_buf buf = built(codec);
		struct mr_span records;
		struct mr_record_header h;
		struct mr_records it;
		struct mr_reader hr;
		struct mr_record r;
		struct mr_batch b;

		assert_int_equal(mr_batch_check(mr_buf_span(&buf), &b), MR_BATCH_FAULT_NONE);
		assert_int_equal(mr_batch_codec(&b), codec);
		assert_int_equal(b.count, 3);
		assert_int_equal(b.last_offset_delta, 2);
		assert_int_equal(b.base_timestamp, 1000);
		assert_int_equal(b.max_timestamp, 1500);
		assert_int_equal(b.producer_id, 77);
		assert_int_equal(b.producer_epoch, 3);
		assert_int_equal(b.base_sequence, 42);
		assert_int_equal(mr_batch_unpack(&b, zip, 1000, &records), MR_BATCH_FAULT_NONE);
		mr_records_begin(&it, records, b.count);
		assert_true(mr_records_next(&it, &r));
		assert_true(mr_span_eq(r.key, mr_span_str("k")));
		assert_int_equal(mr_record_timestamp(&b, &r), 1000);
		assert_true(mr_records_next(&it, &r));
		assert_true(mr_record_is_null(r.key) && mr_record_is_null(r.value));
		assert_int_equal(mr_record_timestamp(&b, &r), 900);
		assert_true(mr_records_next(&it, &r));
		assert_false(mr_record_is_null(r.key));
		assert_int_equal(r.key.bytes, 0);
		assert_int_equal(r.headers_count, 2);
		hr = mr_reader(r.headers);
		assert_true(mr_record_header_next(&hr, &h));
		assert_true(mr_span_eq(h.value, mr_span_str("v1")));
		assert_true(mr_record_header_next(&hr, &h));
		assert_true(mr_record_is_null(h.value));
		assert_false(mr_record_header_next(&hr, &h));
		assert_false(mr_records_next(&it, &r));
		assert_int_equal(it.fault, MR_BATCH_FAULT_NONE);
		mr_buf_fini(&buf);
	}
}

// Bytes of kafka-python's builder: one record, key k0, value "a", header h=1.
static const uint8_t foreign[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x3f, 0x00, 0x00, 0x00, 0x00, 0x02, 0x0e, 0xf4, 0xb3, 0x1b, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5,
	0x68, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0x00, 0x00, 0x00, 0x01, 0x1a, 0x00, 0x00, 0x00, 0x04, 0x6b, 0x30, 0x02, 0x61, 0x02,
	0x02, 0x68, 0x02, 0x31};

static void batch_builder_writes_what_another_builder_does(void **)
{
	struct mr_record_header header = {mr_span_str("h"), mr_span_str("1")};
	struct mr_batch_builder b;
	struct mr_buf out = {0};

	mr_batch_builder_init(&b, 0);
	assert_true(mr_batch_builder_add(
		&b, 1700000000000, mr_span_str("k0"), mr_span_str("a"), &header, 1));
	assert_int_equal(
		mr_batch_builder_finish(&b, NULL, MR_CODEC_NONE, MR_BATCH_PRODUCER_NONE, &out), 0);
	mr_batch_patch(out.data, 0, 0); // that builder writes epoch 0
	assert_int_equal(out.bytes, sizeof(foreign));
	assert_memory_equal(out.data, foreign, sizeof(foreign));
	mr_batch_builder_fini(&b);
	mr_buf_fini(&out);
}

static void batch_offsets_are_patched_without_the_checksum(void **)
{
	struct mr_buf buf = built(MR_CODEC_ZSTD);
	struct mr_batch b;

	mr_batch_patch(buf.data, 123456789012, 7);
	assert_int_equal(mr_batch_check(mr_buf_span(&buf), &b), MR_BATCH_FAULT_NONE);
	assert_int_equal(b.base_offset, 123456789012);
	assert_int_equal(b.leader_epoch, 7);
	mr_buf_fini(&buf);
}

static void batch_append_time_counts_for_every_record(void **)
{
	struct mr_buf buf = built(MR_CODEC_NONE);
	struct mr_records it;
	struct mr_record r;
	struct mr_batch b;

	mr_batch_set_append_time(buf.data, buf.bytes, 5555);
	assert_int_equal(mr_batch_read(mr_buf_span(&buf), &b), MR_BATCH_FAULT_NONE);
	assert_int_equal(mr_batch_crc(buf.data, buf.bytes), b.crc);
	assert_true(mr_batch_is_append_time(&b));
	mr_records_begin(&it, b.body, b.count);
	while (mr_records_next(&it, &r))
		assert_int_equal(mr_record_timestamp(&b, &r), 5555);
	// A producer may not set that bit itself.
	assert_int_equal(mr_batch_check(mr_buf_span(&buf), &b), MR_BATCH_FAULT_ATTRIBUTES);
	mr_buf_fini(&buf);
}

// One field of a sound batch changed, its checksum made right again.
struct broken {
	const char *what;
	size_t at;
	size_t bytes;
	uint64_t value;
	enum mr_batch_fault fault;
};

static void batch_check_refuses_every_broken_field(void **)
{
	static const struct broken cases[] = {
		{"magic 1", MR_BATCH_OFF_MAGIC, 1, 1, MR_BATCH_FAULT_MAGIC},
		{"magic 3", MR_BATCH_OFF_MAGIC, 1, 3, MR_BATCH_FAULT_MAGIC},
		{"negative length", MR_BATCH_OFF_LENGTH, 4, 0xffffffff, MR_BATCH_FAULT_LENGTH},
		{"zero length", MR_BATCH_OFF_LENGTH, 4, 0, MR_BATCH_FAULT_LENGTH},
		{"length below the header's", MR_BATCH_OFF_LENGTH, 4, 48, MR_BATCH_FAULT_LENGTH},
		{"length past the end", MR_BATCH_OFF_LENGTH, 4, 0x7fffffff,
			MR_BATCH_FAULT_TRUNCATED},
		{"shorter than the bytes", MR_BATCH_OFF_LENGTH, 4, 60, MR_BATCH_FAULT_SEVERAL},
		{"no records", 57, 4, 0, MR_BATCH_FAULT_COUNT},
		{"negative count", 57, 4, 0xffffffff, MR_BATCH_FAULT_COUNT},
		{"count and delta differ", 57, 4, 4, MR_BATCH_FAULT_COUNT},
		{"negative delta", 23, 4, 0xffffffff, MR_BATCH_FAULT_COUNT},
		{"delta above count", 23, 4, 3, MR_BATCH_FAULT_COUNT},
		{"transactional", MR_BATCH_OFF_ATTRIBUTES, 2, 0x10, MR_BATCH_FAULT_TRANSACTIONAL},
		{"control", MR_BATCH_OFF_ATTRIBUTES, 2, 0x20, MR_BATCH_FAULT_ATTRIBUTES},
		{"delete horizon", MR_BATCH_OFF_ATTRIBUTES, 2, 0x40, MR_BATCH_FAULT_ATTRIBUTES},
		{"high attribute", MR_BATCH_OFF_ATTRIBUTES, 2, 0x8000, MR_BATCH_FAULT_ATTRIBUTES},
		{"codec 5", MR_BATCH_OFF_ATTRIBUTES, 2, 5, MR_BATCH_FAULT_CODEC},
		{"producer id -2", 43, 8, (uint64_t)-2, MR_BATCH_FAULT_PRODUCER},
		{"producer without epoch", 51, 2, 0xffff, MR_BATCH_FAULT_PRODUCER},
		{"producer without sequence", 53, 4, 0xffffffff, MR_BATCH_FAULT_PRODUCER},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		const struct broken *c = &cases[i];
		struct mr_buf buf = built(MR_CODEC_NONE);
		enum mr_batch_fault f;
		struct mr_batch b;

		for (size_t k = 0; k < c->bytes; k++)
			buf.data[c->at + k] = (uint8_t)(c->value >> (8 * (c->bytes - 1 - k)));
		mr_store_be32(buf.data + MR_BATCH_OFF_CRC, mr_batch_crc(buf.data, buf.bytes));
		f = mr_batch_check(mr_buf_span(&buf), &b);
		if (f != c->fault)
			fail_msg("%s: %s", c->what, mr_batch_fault_text(f));
		mr_buf_fini(&buf);
	}
}

static void batch_check_refuses_every_flipped_bit_after_the_checksum(void **)
{
	struct mr_buf buf = built(MR_CODEC_NONE);
	struct mr_batch b;

	for (size_t i = MR_BATCH_OFF_CRC; i < buf.bytes; i++)
		for (int bit = 0; bit < 8; bit++) {
			buf.data[i] ^= (uint8_t)(1 << bit);
			assert_int_not_equal(
				mr_batch_check(mr_buf_span(&buf), &b), MR_BATCH_FAULT_NONE);
			buf.data[i] ^= (uint8_t)(1 << bit);
		}
	mr_buf_fini(&buf);
}

static void batch_check_refuses_every_truncation(void **)
{
	struct mr_buf buf = built(MR_CODEC_NONE);
	struct mr_batch b;

	assert_int_equal(mr_batch_check(mr_span(NULL, 0), &b), MR_BATCH_FAULT_EMPTY);
	for (size_t cut = 1; cut < buf.bytes; cut++) {
		uint8_t *copy = malloc(cut);

		memcpy(copy, buf.data, cut);
		assert_int_equal(mr_batch_check(mr_span(copy, cut), &b), MR_BATCH_FAULT_TRUNCATED);
		free(copy);
	}
	mr_buf_fini(&buf);
}

static void batch_check_refuses_a_second_batch(void **)
{
	struct mr_buf buf = built(MR_CODEC_NONE), second = built(MR_CODEC_NONE);
	size_t bytes = buf.bytes;
	struct mr_batch b;

	mr_buf_add(&buf, second.data, second.bytes);
	assert_int_equal(mr_batch_check(mr_buf_span(&buf), &b), MR_BATCH_FAULT_SEVERAL);
	// A log holds many: reading takes the first.
	assert_int_equal(mr_batch_read(mr_buf_span(&buf), &b), MR_BATCH_FAULT_NONE);
	assert_int_equal(b.bytes, bytes);
	mr_buf_fini(&buf);
	mr_buf_fini(&second);
}

static void batch_unpack_stops_at_the_cap(void **)
{
	for (int codec = 0; codec < CODECS; codec++) {
		struct mr_buf buf = built(codec);
		struct mr_span records;
		struct mr_batch b;

		assert_int_equal(mr_batch_check(mr_buf_span(&buf), &b), MR_BATCH_FAULT_NONE);
		assert_int_equal(mr_batch_unpack(&b, zip, 10, &records), MR_BATCH_FAULT_TOO_LARGE);
		mr_buf_fini(&buf);
	}
}

static void batch_unpack_refuses_a_body_of_another_codec(void **)
{
	for (int codec = 1; codec < CODECS; codec++) {
		struct mr_buf buf = built(MR_CODEC_NONE);
		struct mr_span records;
		struct mr_batch b;

		mr_store_be16(buf.data + MR_BATCH_OFF_ATTRIBUTES, (uint16_t)codec);
		mr_store_be32(buf.data + MR_BATCH_OFF_CRC, mr_batch_crc(buf.data, buf.bytes));
		assert_int_equal(mr_batch_check(mr_buf_span(&buf), &b), MR_BATCH_FAULT_NONE);
		assert_int_equal(mr_batch_unpack(&b, zip, 1000, &records), MR_BATCH_FAULT_UNPACK);
		mr_buf_fini(&buf);
	}
}

// Records by hand: what a hostile producer can write behind a sound header.
struct bad_records {
	const char *what;
	int32_t count;
	size_t bytes;
	uint8_t data[24];
	enum mr_batch_fault fault;
	int32_t bad_record;
};

// length attributes timestampDelta offsetDelta keyLength valueLength headersCount
#define RECORD0 12, 0, 0, 0, 1, 1, 0
#define RECORD1 12, 0, 0, 2, 1, 1, 0

static void records_are_refused_one_rule_at_a_time(void **)
{
	static const struct bad_records cases[] = {
		{"two sound ones", 2, 14, {RECORD0, RECORD1}, MR_BATCH_FAULT_NONE, -1},
		{"fewer than the count", 3, 14, {RECORD0, RECORD1}, MR_BATCH_FAULT_RECORD, 2},
		{"more than the count", 1, 14, {RECORD0, RECORD1}, MR_BATCH_FAULT_RECORDS_LEFT, -1},
		{"a byte too many", 1, 8, {RECORD0, 0}, MR_BATCH_FAULT_RECORDS_LEFT, -1},
		{"an offset twice", 2, 14, {RECORD0, RECORD0}, MR_BATCH_FAULT_RECORD_OFFSET, 1},
		{"a first offset of 1", 1, 7, {RECORD1}, MR_BATCH_FAULT_RECORD_OFFSET, 0},
		{"a length past the end", 1, 7, {14, 0, 0, 0, 1, 1, 0}, MR_BATCH_FAULT_RECORD, 0},
		{"a length too short", 1, 7, {10, 0, 0, 0, 1, 1, 0}, MR_BATCH_FAULT_RECORD, 0},
		{"a negative length", 1, 7, {1, 0, 0, 0, 1, 1, 0}, MR_BATCH_FAULT_RECORD, 0},
		{"a zero length", 1, 1, {0}, MR_BATCH_FAULT_RECORD, 0},
		{"an endless varint", 1, 8, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
			MR_BATCH_FAULT_RECORD, 0},
		{"a key length of -2", 1, 7, {12, 0, 0, 0, 3, 1, 0}, MR_BATCH_FAULT_RECORD, 0},
		{"a key past the record", 1, 7, {12, 0, 0, 0, 8, 1, 0}, MR_BATCH_FAULT_RECORD, 0},
		{"a value past the record", 1, 7, {12, 0, 0, 0, 1, 8, 0}, MR_BATCH_FAULT_RECORD, 0},
		{"-1 headers", 1, 7, {12, 0, 0, 0, 1, 1, 1}, MR_BATCH_FAULT_RECORD, 0},
		{"headers that are not there", 1, 7, {12, 0, 0, 0, 1, 1, 4}, MR_BATCH_FAULT_RECORD,
			0},
		{"a null header key", 1, 9, {16, 0, 0, 0, 1, 1, 2, 1, 1}, MR_BATCH_FAULT_RECORD, 0},
		{"a sound header", 1, 9, {16, 0, 0, 0, 1, 1, 2, 0, 1}, MR_BATCH_FAULT_NONE, -1},
		{"bytes after the headers", 1, 8, {14, 0, 0, 0, 1, 1, 0, 9}, MR_BATCH_FAULT_RECORD,
			0},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		const struct bad_records *c = &cases[i];
		uint8_t *copy = malloc(c->bytes); // exactly, for the sanitizer
		int32_t bad = -7;
		enum mr_batch_fault f;

		memcpy(copy, c->data, c->bytes);
		f = mr_records_check(mr_span(copy, c->bytes), c->count, &bad);
		if (f != c->fault || bad != c->bad_record)
			fail_msg("%s: %s, record %d", c->what, mr_batch_fault_text(f), bad);
		free(copy);
	}
}

static void records_timestamp_deltas_wrap_instead_of_overflowing(void **)
{
	struct mr_batch b = {.base_timestamp = INT64_MAX};
	struct mr_record r = {.timestamp_delta = INT64_MAX};

	assert_true(mr_record_timestamp(&b, &r) == -2);
}

static void batch_builder_refuses_at_its_limit_and_goes_on(void **)
{
	uint8_t *big = calloc(1, 1000);
	struct mr_batch_builder b;
	struct mr_buf out = {0};
	struct mr_batch read;

	mr_batch_builder_init(&b, 100);
	assert_true(mr_batch_builder_add(&b, 1, null_span, mr_span_str("v"), NULL, 0));
	assert_false(mr_batch_builder_add(&b, 2, null_span, mr_span(big, 1000), NULL, 0));
	assert_true(mr_batch_builder_add(&b, 3, null_span, mr_span_str("w"), NULL, 0));
	assert_int_equal(
		mr_batch_builder_finish(&b, NULL, MR_CODEC_NONE, MR_BATCH_PRODUCER_NONE, &out), 0);
	assert_int_equal(mr_batch_check(mr_buf_span(&out), &read), MR_BATCH_FAULT_NONE);
	assert_int_equal(read.count, 2);
	assert_int_equal(read.max_timestamp, 3);
	mr_batch_builder_fini(&b);
	mr_buf_fini(&out);
	free(big);
}

static void batch_round_trip_of_random_records(void **)
{
	uint64_t seed = 20261121;
	struct mr_batch_builder builder;
	struct mr_rand r;

	printf("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&r, seed);
	mr_batch_builder_init(&builder, 0);
	for (int round = 0; round < 100; round++) {
		int32_t n = 1 + (int32_t)mr_rand_below(&r, 200), bad;
		int codec = (int)mr_rand_below(&r, CODECS);
		struct mr_span records;
		struct mr_buf out = {0};
		struct mr_batch b;
		uint8_t bytes[300];

		for (int32_t i = 0; i < n; i++) {
			mr_rand_bytes(&r, bytes, sizeof(bytes));
			assert_true(mr_batch_builder_add(&builder, (int64_t)mr_rand_u64(&r),
				mr_span(bytes, mr_rand_below(&r, 20)),
				mr_span(bytes, mr_rand_below(&r, 300)), NULL, 0));
		}
		assert_int_equal(
			mr_batch_builder_finish(&builder, zip, codec, MR_BATCH_PRODUCER_NONE, &out),
			0);
		assert_int_equal(mr_batch_check(mr_buf_span(&out), &b), MR_BATCH_FAULT_NONE);
		assert_int_equal(mr_batch_unpack(&b, zip, 1 << 20, &records), MR_BATCH_FAULT_NONE);
		assert_int_equal(mr_records_check(records, b.count, &bad), MR_BATCH_FAULT_NONE);
		mr_buf_fini(&out);
	}
	mr_batch_builder_fini(&builder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_is_read_as_it_was_built),
		cmocka_unit_test(batch_builder_writes_what_another_builder_does),
		cmocka_unit_test(batch_offsets_are_patched_without_the_checksum),
		cmocka_unit_test(batch_append_time_counts_for_every_record),
		cmocka_unit_test(batch_check_refuses_every_broken_field),
		cmocka_unit_test(batch_check_refuses_every_flipped_bit_after_the_checksum),
		cmocka_unit_test(batch_check_refuses_every_truncation),
		cmocka_unit_test(batch_check_refuses_a_second_batch),
		cmocka_unit_test(batch_unpack_stops_at_the_cap),
		cmocka_unit_test(batch_unpack_refuses_a_body_of_another_codec),
		cmocka_unit_test(records_are_refused_one_rule_at_a_time),
		cmocka_unit_test(records_timestamp_deltas_wrap_instead_of_overflowing),
		cmocka_unit_test(batch_builder_refuses_at_its_limit_and_goes_on),
		cmocka_unit_test(batch_round_trip_of_random_records),
	};

	return cmocka_run_group_tests(tests, open_zip, close_zip);
}
