// Codecs: every one there and back, the framings of real clients, bombs, and damage at every byte.
#include "host/base/rand.h"
#include "host/base/zip.h"
#include "tests/lib/mr_test.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { CODECS = 5, BYTES_MAX = 4 << 20 };

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

// Words from a small set: compressible, but not constant.
static uint8_t *words(size_t bytes, uint64_t seed)
{
	uint8_t *p = malloc(bytes + 16);
	struct mr_rand r;
	size_t at = 0;

	mr_rand_init(&r, seed);
	while (at < bytes)
		at += (size_t)snprintf((char *)p + at, 16, "word%llu ",
			(unsigned long long)mr_rand_below(&r, 100));
	return p;
}

static struct mr_span compressed(int codec, int level, struct mr_span in)
{
	size_t bound = mr_zip_bound(codec, in.bytes);
	uint8_t *out = malloc(bound + 1);
	int n = mr_zip_compress(zip, codec, level, in, out, bound);

	assert_true(n >= 0);
	return mr_span(out, (size_t)n);
}

static void free_span(struct mr_span s)
{
	free((void *)(uintptr_t)s.data);
}

static void zip_gives_back_what_it_took(void **)
{
	volatile unsigned padding = 0;
	static const size_t sizes[] = {
		0, 1, 2, 63, 64, 1000, 32767, 32768, 32769, 65536, 300000, 2000000};

	for (int codec = 0; codec < CODECS; codec++)
		for (size_t i = 0; i < MR_COUNT_OF(sizes); i++) {
			uint8_t *in = words(sizes[i], i);
			struct mr_span z = compressed(codec, 0, mr_span(in, sizes[i])), out;

			assert_int_equal(mr_zip_decompress(zip, codec, z, BYTES_MAX, &out), 0);
			assert_true(mr_span_eq(out, mr_span(in, sizes[i])));
			for (size_t k = 0; k < MR_ZIP_PADDING; k++)
				padding += out.data[out.bytes + k]; // the sanitizer looks on
			free_span(z);
			free(in);
		}
	(void)padding;
}

static void zip_decompresses_into_memory_of_exactly_the_size(void **)
{
	uint8_t *in = words(100000, 1), *out = malloc(100000);

	for (int codec = 0; codec < CODECS; codec++) {
		struct mr_span z = compressed(codec, 0, mr_span(in, 100000));

		assert_int_equal(mr_zip_decompress_into(zip, codec, z, out, 100000), 100000);
		assert_memory_equal(in, out, 100000);
		assert_int_equal(mr_zip_decompress_into(zip, codec, z, out, 99999), MR_ERR_LIMIT);
		free_span(z);
	}
	free(in);
	free(out);
}

static void zip_stops_bombs_at_the_cap(void **)
{
	size_t bytes = 64 << 20, before;
	uint8_t *zeros = calloc(1, bytes);
	struct mr_zip *fresh;
	struct mr_span out;

	assert_int_equal(mr_zip_create(&fresh), 0);
	before = mr_zip_scratch_bytes(fresh);
	for (int codec = 1; codec < CODECS; codec++) {
		struct mr_span z = compressed(codec, 0, mr_span(zeros, bytes));

		assert_int_equal(mr_zip_decompress(fresh, codec, z, before, &out), MR_ERR_LIMIT);
		assert_int_equal(mr_zip_decompress(fresh, codec, z, bytes - 1, &out), MR_ERR_LIMIT);
		assert_true(mr_zip_scratch_bytes(fresh) <= bytes - 1);
		assert_int_equal(mr_zip_decompress(fresh, codec, z, bytes, &out), 0);
		assert_int_equal(out.bytes, bytes);
		free_span(z);
		mr_zip_destroy(fresh);
		assert_int_equal(mr_zip_create(&fresh), 0);
	}
	mr_zip_destroy(fresh);
	free(zeros);
}

static void zip_keeps_its_scratch(void **)
{
	uint8_t *in = words(1 << 20, 3);
	struct mr_span z = compressed(MR_CODEC_LZ4, 0, mr_span(in, 1 << 20)), out;
	const uint8_t *data;

	assert_int_equal(mr_zip_decompress(zip, MR_CODEC_LZ4, z, BYTES_MAX, &out), 0);
	data = out.data;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(mr_zip_decompress(zip, MR_CODEC_LZ4, z, BYTES_MAX, &out), 0);
		assert_ptr_equal(out.data, data);
	}
	free_span(z);
	free(in);
}

static void gzip_reads_several_members(void **)
{
	struct mr_span a = compressed(MR_CODEC_GZIP, 9, mr_span_str("first ")), out;
	struct mr_span b = compressed(MR_CODEC_GZIP, 1, mr_span_str("second"));
	uint8_t both[256];

	memcpy(both, a.data, a.bytes);
	memcpy(both + a.bytes, b.data, b.bytes);
	assert_int_equal(
		mr_zip_decompress(zip, MR_CODEC_GZIP, mr_span(both, a.bytes + b.bytes), 100, &out),
		0);
	assert_true(mr_span_eq(out, mr_span_str("first second")));
	both[a.bytes + b.bytes] = 'x';
	assert_int_equal(mr_zip_decompress(zip, MR_CODEC_GZIP, mr_span(both, a.bytes + b.bytes + 1),
				 100, &out),
		MR_ERR_TRUNCATED);
	free_span(a);
	free_span(b);
}

// What librdkafka sends: no framing.
static void snappy_reads_a_bare_block(void **)
{
	uint8_t *in = words(100000, 4);
	size_t bytes = snappy_max_compressed_length(100000);
	char *z = malloc(bytes);
	struct mr_span out;

	assert_int_equal(snappy_compress((char *)in, 100000, z, &bytes), SNAPPY_OK);
	assert_int_equal(
		mr_zip_decompress(zip, MR_CODEC_SNAPPY, mr_span(z, bytes), BYTES_MAX, &out), 0);
	assert_true(mr_span_eq(out, mr_span(in, 100000)));
	free(z);
	free(in);
}

// 4 GiB claimed by 10 bytes: nothing may be allocated for it.
static void snappy_does_not_believe_its_length(void **)
{
	static const uint8_t lie[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0};
	size_t before = mr_zip_scratch_bytes(zip);
	struct mr_span out;

	assert_int_equal(mr_zip_decompress(zip, MR_CODEC_SNAPPY, mr_span(lie, sizeof(lie)),
				 MR_ZIP_BYTES_MAX, &out),
		MR_ERR_CORRUPT);
	assert_int_equal(mr_zip_scratch_bytes(zip), before);
}

// What Java writes: blocks that do not refer to each other. What lz4 writes by itself: blocks that
// do.
static void lz4_reads_dependent_blocks_and_writes_independent_ones(void **)
{
	uint8_t *in = words(500000, 5), *z = malloc(600000);
	LZ4F_preferences_t p = {.frameInfo = {.blockMode = LZ4F_blockLinked,
					.blockSizeID = LZ4F_max64KB,
					.contentChecksumFlag = LZ4F_contentChecksumEnabled}};
	size_t bytes = LZ4F_compressFrame(z, 600000, in, 500000, &p);
	struct mr_span ours = compressed(MR_CODEC_LZ4, 0, mr_span(in, 500000)), out;

	assert_int_equal(z[4] & 0x20, 0);
	assert_int_equal(
		mr_zip_decompress(zip, MR_CODEC_LZ4, mr_span(z, bytes), BYTES_MAX, &out), 0);
	assert_true(mr_span_eq(out, mr_span(in, 500000)));
	assert_int_equal(ours.data[4], 0x60); // version 1, independent blocks, nothing else
	free_span(ours);
	free(in);
	free(z);
}

// What Java and Go write: a stream that never said how long it would be.
static void zstd_reads_frames_without_a_content_size(void **)
{
	uint8_t *in = words(500000, 6), *z = malloc(600000);
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_outBuffer o = {z, 600000, 0};
	ZSTD_inBuffer i = {in, 500000, 0};
	struct mr_span out;

	while (i.pos < i.size)
		ZSTD_compressStream2(c, &o, &i, ZSTD_e_continue);
	while (ZSTD_compressStream2(c, &o, &i, ZSTD_e_end))
		;
	assert_true(ZSTD_getFrameContentSize(z, o.pos) == ZSTD_CONTENTSIZE_UNKNOWN);
	assert_int_equal(
		mr_zip_decompress(zip, MR_CODEC_ZSTD, mr_span(z, o.pos), BYTES_MAX, &out), 0);
	assert_true(mr_span_eq(out, mr_span(in, 500000)));
	ZSTD_freeCCtx(c);
	free(in);
	free(z);
}

static void zstd_levels_differ(void **)
{
	uint8_t *in = words(300000, 7);
	struct mr_span fast = compressed(MR_CODEC_ZSTD, 1, mr_span(in, 300000));
	struct mr_span small = compressed(MR_CODEC_ZSTD, 19, mr_span(in, 300000));

	assert_true(small.bytes < fast.bytes);
	free_span(fast);
	free_span(small);
	free(in);
}

static void zip_refuses_truncated_input(void **)
{
	uint8_t *in = words(2000, 8);

	for (int codec = 1; codec < CODECS; codec++) {
		struct mr_span z = compressed(codec, 0, mr_span(in, 2000)), out;

		for (size_t cut = 0; cut < z.bytes; cut++) {
			uint8_t *copy = malloc(MR_MAX(cut, (size_t)1));
			int err;

			memcpy(copy, z.data, cut);
			err = mr_zip_decompress(zip, codec, mr_span(copy, cut), 10000, &out);
			// Xerial's header alone is a stream without blocks.
			if (codec == MR_CODEC_SNAPPY && cut == 16)
				assert_int_equal(err, 0);
			else
				assert_true(err == MR_ERR_TRUNCATED || err == MR_ERR_CORRUPT);
			free(copy);
		}
		free_span(z);
	}
	free(in);
}

static void zip_survives_every_damaged_byte(void **)
{
	uint8_t *in = words(1000, 9);

	for (int codec = 1; codec < CODECS; codec++) {
		struct mr_span z = compressed(codec, 0, mr_span(in, 1000)), out;
		uint8_t *bytes = (uint8_t *)(uintptr_t)z.data;

		for (size_t i = 0; i < z.bytes; i++)
			for (int bit = 0; bit < 8; bit++) {
				bytes[i] ^= (uint8_t)(1 << bit);
				int err = mr_zip_decompress(zip, codec, z, 5000, &out);

				assert_true(err <= 0 && err > -1100);
				assert_true(out.bytes <= 5000);
				bytes[i] ^= (uint8_t)(1 << bit);
			}
		assert_int_equal(mr_zip_decompress(zip, codec, z, 5000, &out), 0);
		assert_int_equal(out.bytes, 1000);
		free_span(z);
	}
	free(in);
}

static void zip_refuses_unknown_codecs(void **)
{
	struct mr_span out;
	uint8_t room[8];

	for (int codec = 5; codec < 8; codec++) {
		assert_null(mr_codec_name(codec));
		assert_int_equal(mr_zip_decompress(zip, codec, mr_span_str("x"), 10, &out),
			MR_ERR_UNSUPPORTED);
		assert_int_equal(mr_zip_compress(zip, codec, 0, mr_span_str("x"), room, 8),
			MR_ERR_UNSUPPORTED);
	}
}

static void zip_compress_says_when_it_does_not_fit(void **)
{
	uint8_t *in = words(10000, 10), out[64];

	for (int codec = 0; codec < CODECS; codec++)
		assert_int_equal(
			mr_zip_compress(zip, codec, 0, mr_span(in, 10000), out, sizeof(out)),
			MR_ERR_LIMIT);
	free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zip_gives_back_what_it_took),
		cmocka_unit_test(zip_decompresses_into_memory_of_exactly_the_size),
		cmocka_unit_test(zip_stops_bombs_at_the_cap),
		cmocka_unit_test(zip_keeps_its_scratch),
		cmocka_unit_test(gzip_reads_several_members),
		cmocka_unit_test(snappy_reads_a_bare_block),
		cmocka_unit_test(snappy_does_not_believe_its_length),
		cmocka_unit_test(lz4_reads_dependent_blocks_and_writes_independent_ones),
		cmocka_unit_test(zstd_reads_frames_without_a_content_size),
		cmocka_unit_test(zstd_levels_differ),
		cmocka_unit_test(zip_refuses_truncated_input),
		cmocka_unit_test(zip_survives_every_damaged_byte),
		cmocka_unit_test(zip_refuses_unknown_codecs),
		cmocka_unit_test(zip_compress_says_when_it_does_not_fit),
	};

	return cmocka_run_group_tests(tests, open_zip, close_zip);
}
