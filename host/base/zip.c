// Codecs with reused contexts, and one loop that feeds each of them.
//
// Decompression writes into a sink: either the caller's memory, which cannot grow, or the context's
// scratch, which doubles up to the caller's cap. Every codec is driven the same way: hand it what
// input is left and what room is left, see what it used. A step that uses neither has run out of
// one of them, and which one tells a bomb (no room) from a torn input (no bytes).
#define ZLIB_CONST

#include "host/base/zip.h"

#include <errno.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

// First size of the scratch: a usual batch of 16 to 64 KiB compressed. Measured need, not a limit.
#define SCRATCH_BYTES_MIN (256u << 10)

// Xerial's framing of snappy (org.xerial.snappy.SnappyOutputStream): magic, version, oldest
// compatible version, then blocks of {length as big-endian int32, bare snappy}.
#define XERIAL_MAGIC_BYTES  8
#define XERIAL_HEADER_BYTES 16
#define XERIAL_BLOCK_BYTES  (32u << 10) // what Java writes

static const uint8_t xerial_header[XERIAL_HEADER_BYTES] = {
	0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};

// The densest element of snappy is a copy: 3 bytes give at most 64 (format description, 2.2). So a
// length field above 22 times the input is a lie, and is refused before it allocates.
#define SNAPPY_RATIO_MAX 22

// The largest window a zstd frame may ask for, 128 MiB: what level 22 writes without a known size.
// The library drops a buffer that stays oversized, so one hostile frame does not hold it for ever.
#define WINDOW_LOG_MAX 27

static_assert(MR_ZIP_WINDOW_BYTES_MAX == (1u << WINDOW_LOG_MAX));

struct mr_zip {
	ZSTD_DCtx *zstd_in;
	ZSTD_CCtx *zstd_out;
	LZ4F_dctx *lz4_in;
	z_stream gzip_in;
	z_stream gzip_out;
	bool gzip_in_open;
	bool gzip_out_open;
	int gzip_level;
	uint8_t *scratch;
	size_t scratch_bytes; // without the padding behind it
};

struct sink {
	uint8_t *data;
	size_t bytes;     // written
	size_t bytes_max; // room in all
	size_t bytes_limit;
	struct mr_zip *grows; // NULL: the caller's memory
};

// What one step of a codec did.
struct step {
	size_t used; // of the input
	size_t made; // of the room
	bool frame_done;
	int err;
};

typedef struct step step_fn(struct mr_zip *z, struct mr_span in, uint8_t *out, size_t room);

int mr_zip_create(struct mr_zip **out)
{
	struct mr_zip *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	z->scratch = calloc(1, SCRATCH_BYTES_MIN + MR_ZIP_PADDING);
	z->scratch_bytes = SCRATCH_BYTES_MIN;
	z->zstd_in = ZSTD_createDCtx();
	z->zstd_out = ZSTD_createCCtx();
	if (!z->scratch || !z->zstd_in || !z->zstd_out ||
		LZ4F_isError(LZ4F_createDecompressionContext(&z->lz4_in, LZ4F_VERSION)))
		goto fail;
	ZSTD_DCtx_setParameter(z->zstd_in, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	// 15: the largest window; 16: gzip's wrapper, not zlib's.
	z->gzip_in_open = inflateInit2(&z->gzip_in, 15 + 16) == Z_OK;
	if (!z->gzip_in_open)
		goto fail;
	*out = z;
	return 0;
fail:
	mr_zip_destroy(z);
	return -ENOMEM;
}

void mr_zip_destroy(struct mr_zip *z)
{
	if (!z)
		return;
	ZSTD_freeDCtx(z->zstd_in);
	ZSTD_freeCCtx(z->zstd_out);
	LZ4F_freeDecompressionContext(z->lz4_in);
	if (z->gzip_in_open)
		inflateEnd(&z->gzip_in);
	if (z->gzip_out_open)
		deflateEnd(&z->gzip_out);
	free(z->scratch);
	free(z);
}

const char *mr_codec_name(int codec)
{
	static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};

	return codec >= 0 && (size_t)codec < MR_COUNT_OF(names) ? names[codec] : NULL;
}

size_t mr_zip_scratch_bytes(const struct mr_zip *z)
{
	return z->scratch_bytes;
}

// Makes the room at least `bytes_max`, up to the limit.
static int sink_grow(struct sink *s, size_t bytes_max)
{
	size_t bytes = MR_MIN(bytes_max, s->bytes_limit);
	uint8_t *p;

	if (bytes <= s->bytes_max)
		return 0;
	if (!s->grows)
		return MR_ERR_LIMIT;
	p = realloc(s->grows->scratch, bytes + MR_ZIP_PADDING);
	if (!p)
		return -ENOMEM;
	memset(p + bytes, 0, MR_ZIP_PADDING);
	s->grows->scratch = p;
	s->grows->scratch_bytes = bytes;
	s->data = p;
	s->bytes_max = bytes;
	return 0;
}

// Room for exactly `bytes` more.
static int sink_reserve(struct sink *s, size_t bytes)
{
	if (bytes > s->bytes_limit - s->bytes)
		return MR_ERR_LIMIT;
	if (bytes <= s->bytes_max - s->bytes)
		return 0;
	return sink_grow(s, MR_MAX(s->bytes + bytes, MR_MIN(s->bytes_max * 2, s->bytes_limit)));
}

static struct step step_gzip(struct mr_zip *z, struct mr_span in, uint8_t *out, size_t room)
{
	z_stream *g = &z->gzip_in;
	struct step st = {0};
	int rc;

	g->next_in = in.data;
	g->avail_in = (uInt)in.bytes;
	g->next_out = out;
	g->avail_out = (uInt)room;
	rc = inflate(g, Z_NO_FLUSH);
	st.used = in.bytes - g->avail_in;
	st.made = room - g->avail_out;
	st.frame_done = rc == Z_STREAM_END;
	if (rc == Z_MEM_ERROR)
		st.err = -ENOMEM;
	else if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		st.err = MR_ERR_CORRUPT;
	if (st.frame_done)
		inflateReset(g); // another member may follow
	return st;
}

static struct step step_lz4(struct mr_zip *z, struct mr_span in, uint8_t *out, size_t room)
{
	struct step st = {.used = in.bytes, .made = room};
	size_t rc = LZ4F_decompress(z->lz4_in, out, &st.made, in.data, &st.used, NULL);

	if (LZ4F_isError(rc))
		st.err = MR_ERR_CORRUPT;
	st.frame_done = rc == 0;
	return st;
}

static int zstd_err(size_t rc)
{
	switch (ZSTD_getErrorCode(rc)) {
	case ZSTD_error_no_error: return 0;
	case ZSTD_error_memory_allocation: return -ENOMEM;
	case ZSTD_error_frameParameter_windowTooLarge: return MR_ERR_LIMIT;
	default: return MR_ERR_CORRUPT;
	}
}

static struct step step_zstd(struct mr_zip *z, struct mr_span in, uint8_t *out, size_t room)
{
	ZSTD_inBuffer i = {in.data, in.bytes, 0};
	ZSTD_outBuffer o = {out, room, 0};
	size_t rc = ZSTD_decompressStream(z->zstd_in, &o, &i);

	return (struct step){
		.used = i.pos,
		.made = o.pos,
		.frame_done = rc == 0,
		.err = zstd_err(rc),
	};
}

static void codec_reset(struct mr_zip *z, int codec)
{
	switch (codec) {
	case MR_CODEC_GZIP: inflateReset(&z->gzip_in); break;
	case MR_CODEC_LZ4: LZ4F_resetDecompressionContext(z->lz4_in); break;
	case MR_CODEC_ZSTD: ZSTD_DCtx_reset(z->zstd_in, ZSTD_reset_session_only); break;
	default: break;
	}
}

// Feeds a codec until its input is used up at the end of a frame.
static int feed(struct mr_zip *z, step_fn *fn, struct mr_span in, struct sink *s)
{
	bool done = false;

	while (in.bytes > 0 || !done) {
		size_t room = s->bytes_max - s->bytes;
		struct step st = fn(z, in, s->data + s->bytes, room);
		int err;

		if (st.err)
			return st.err;
		in.data += st.used;
		in.bytes -= st.used;
		s->bytes += st.made;
		done = st.frame_done;
		if (done || st.used > 0 || (st.made > 0 && st.made < room))
			continue;
		if (s->bytes < s->bytes_max)
			return MR_ERR_TRUNCATED;
		if (s->bytes == s->bytes_limit && st.made == 0)
			return MR_ERR_LIMIT;
		if (s->bytes == s->bytes_limit)
			continue; // full, but the end of the frame may still be to come
		err = sink_grow(s, s->bytes_max * 2);
		if (err)
			return err;
	}
	return 0;
}

static int unsnappy_block(struct mr_span in, struct sink *s)
{
	const char *data = (const char *)in.data;
	size_t bytes;
	int err;

	if (snappy_uncompressed_length(data, in.bytes, &bytes) != SNAPPY_OK)
		return in.bytes ? MR_ERR_CORRUPT : MR_ERR_TRUNCATED;
	if (bytes / SNAPPY_RATIO_MAX > in.bytes)
		return MR_ERR_CORRUPT;
	err = sink_reserve(s, bytes);
	if (err)
		return err;
	if (snappy_uncompress(data, in.bytes, (char *)s->data + s->bytes, &bytes) != SNAPPY_OK)
		return MR_ERR_CORRUPT;
	s->bytes += bytes;
	return 0;
}

static int unsnappy(struct mr_span in, struct sink *s)
{
	struct mr_reader r = mr_reader(in);

	if (in.bytes < XERIAL_MAGIC_BYTES ||
		memcmp(in.data, xerial_header, XERIAL_MAGIC_BYTES) != 0)
		return unsnappy_block(in, s);
	mr_read_bytes(&r, XERIAL_HEADER_BYTES);
	while (!r.bad && mr_read_left(&r) > 0) {
		uint32_t bytes = mr_read_be32(&r);
		struct mr_span block = mr_read_span(&r, bytes);
		int err = r.bad ? MR_ERR_TRUNCATED : unsnappy_block(block, s);

		if (err)
			return err;
	}
	return r.bad ? MR_ERR_TRUNCATED : 0;
}

static int copy(struct mr_span in, struct sink *s)
{
	int err = sink_reserve(s, in.bytes);

	if (err)
		return err;
	if (in.bytes)
		memcpy(s->data, in.data, in.bytes);
	s->bytes = in.bytes;
	return 0;
}

static int decompress(struct mr_zip *z, int codec, struct mr_span in, struct sink *s)
{
	if (in.bytes > MR_ZIP_BYTES_MAX)
		return MR_ERR_LIMIT;
	codec_reset(z, codec);
	switch (codec) {
	case MR_CODEC_NONE: return copy(in, s);
	case MR_CODEC_GZIP: return feed(z, step_gzip, in, s);
	case MR_CODEC_SNAPPY: return unsnappy(in, s);
	case MR_CODEC_LZ4: return feed(z, step_lz4, in, s);
	case MR_CODEC_ZSTD: return feed(z, step_zstd, in, s);
	default: return MR_ERR_UNSUPPORTED;
	}
}

int mr_zip_decompress(
	struct mr_zip *z, int codec, struct mr_span in, size_t bytes_max, struct mr_span *out)
{
	struct sink s = {
		.data = z->scratch,
		.bytes_max = MR_MIN(z->scratch_bytes, bytes_max),
		.bytes_limit = MR_MIN(bytes_max, MR_ZIP_BYTES_MAX),
		.grows = z,
	};
	int err = decompress(z, codec, in, &s);

	*out = err ? mr_span(NULL, 0) : mr_span(s.data, s.bytes);
	return err;
}

int mr_zip_decompress_into(
	struct mr_zip *z, int codec, struct mr_span in, void *out, size_t out_bytes_max)
{
	size_t room = MR_MIN(out_bytes_max, MR_ZIP_BYTES_MAX);
	struct sink s = {.data = out, .bytes_max = room, .bytes_limit = room};
	int err = decompress(z, codec, in, &s);

	return err ? err : (int)s.bytes;
}

static const LZ4F_preferences_t lz4_preferences = {
	.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
};

size_t mr_zip_bound(int codec, size_t bytes)
{
	size_t blocks = bytes / XERIAL_BLOCK_BYTES + 1;

	switch (codec) {
	case MR_CODEC_GZIP: return compressBound(bytes) + 32; // zlib's bound, gzip's longer wrapper
	case MR_CODEC_SNAPPY:
		return XERIAL_HEADER_BYTES +
		       blocks * (4 + snappy_max_compressed_length(XERIAL_BLOCK_BYTES));
	case MR_CODEC_LZ4: return LZ4F_compressFrameBound(bytes, &lz4_preferences);
	case MR_CODEC_ZSTD: return ZSTD_compressBound(bytes);
	default: return bytes;
	}
}

static int zip_gzip(struct mr_zip *z, int level, struct mr_span in, uint8_t *out, size_t room)
{
	z_stream *g = &z->gzip_out;

	level = level ? level : Z_DEFAULT_COMPRESSION;
	if (z->gzip_out_open && z->gzip_level != level) {
		deflateEnd(g);
		z->gzip_out_open = false;
	}
	if (!z->gzip_out_open) {
		if (deflateInit2(g, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			return -ENOMEM;
		z->gzip_out_open = true;
		z->gzip_level = level;
	}
	deflateReset(g);
	g->next_in = in.data;
	g->avail_in = (uInt)in.bytes;
	g->next_out = out;
	g->avail_out = (uInt)room;
	return deflate(g, Z_FINISH) == Z_STREAM_END ? (int)(room - g->avail_out) : MR_ERR_LIMIT;
}

static int zip_snappy(struct mr_span in, uint8_t *out, size_t room)
{
	struct mr_writer w = mr_writer(out, room);

	mr_write_bytes(&w, xerial_header, sizeof(xerial_header));
	while (in.bytes > 0) {
		size_t n = MR_MIN(in.bytes, XERIAL_BLOCK_BYTES), made;
		uint8_t *length = mr_write_reserve(&w, 4);

		made = length ? w.bytes_max - w.at : 0;
		if (made < snappy_max_compressed_length(n) ||
			snappy_compress((const char *)in.data, n, (char *)out + w.at, &made) !=
				SNAPPY_OK)
			return MR_ERR_LIMIT;
		mr_store_be32(length, (uint32_t)made);
		w.at += made;
		in = mr_span(in.data + n, in.bytes - n);
	}
	return w.bad ? MR_ERR_LIMIT : (int)w.at;
}

static int zip_lz4(struct mr_span in, uint8_t *out, size_t room)
{
	size_t n = LZ4F_compressFrame(out, room, in.data, in.bytes, &lz4_preferences);

	return LZ4F_isError(n) ? MR_ERR_LIMIT : (int)n;
}

static int zip_zstd(struct mr_zip *z, int level, struct mr_span in, uint8_t *out, size_t room)
{
	size_t n = ZSTD_compressCCtx(
		z->zstd_out, out, room, in.data, in.bytes, level ? level : ZSTD_CLEVEL_DEFAULT);

	return ZSTD_isError(n) ? MR_ERR_LIMIT : (int)n;
}

int mr_zip_compress(
	struct mr_zip *z, int codec, int level, struct mr_span in, void *out, size_t out_bytes_max)
{
	size_t room = MR_MIN(out_bytes_max, MR_ZIP_BYTES_MAX);

	if (in.bytes > MR_ZIP_BYTES_MAX)
		return MR_ERR_LIMIT;
	switch (codec) {
	case MR_CODEC_NONE:
		if (in.bytes > room)
			return MR_ERR_LIMIT;
		if (in.bytes)
			memcpy(out, in.data, in.bytes);
		return (int)in.bytes;
	case MR_CODEC_GZIP: return zip_gzip(z, level, in, out, room);
	case MR_CODEC_SNAPPY: return zip_snappy(in, out, room);
	case MR_CODEC_LZ4: return zip_lz4(in, out, room);
	case MR_CODEC_ZSTD: return zip_zstd(z, level, in, out, room);
	default: return MR_ERR_UNSUPPORTED;
	}
}
