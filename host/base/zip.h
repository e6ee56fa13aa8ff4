// The only door to zlib, snappy, lz4 and zstd: record batches and segments both need them.
//
// A struct mr_zip holds the codecs' contexts and one growable scratch buffer, so a thread that
// decompresses batch after batch allocates nothing once it has seen its largest one. One per
// thread; nothing here is shared.
//
// Contract of decompression: hostile bytes can only cause an error. The output never grows past the
// cap the caller names, whatever the input's own size fields say: they are never trusted to
// allocate. The whole input must be used up; bytes left over are MR_ERR_CORRUPT.
//
// Errors: MR_ERR_CORRUPT (not this format, or a checksum is wrong), MR_ERR_TRUNCATED, MR_ERR_LIMIT
// (output larger than the cap), MR_ERR_UNSUPPORTED (unknown codec), -ENOMEM.
#pragma once

#include "host/base/err.h"
#include "host/base/span.h"

// Kafka's numbers: bits 0 to 2 of a record batch's attributes.
enum mr_codec {
	MR_CODEC_NONE = 0,
	MR_CODEC_GZIP = 1,   // RFC 1952, any number of members
	MR_CODEC_SNAPPY = 2, // read: a bare block or xerial framing; written: xerial framing
	MR_CODEC_LZ4 = 3,    // LZ4 frames; written: independent blocks, as Java clients demand
	MR_CODEC_ZSTD = 4,   // RFC 8878 frames, with or without content size
};

// No call takes or gives more than this.
#define MR_ZIP_BYTES_MAX (1u << 30)

// Readable bytes after the output of mr_zip_decompress, so that kernels may load whole vectors.
#define MR_ZIP_PADDING 64

// The codec's usual level.
#define MR_ZIP_LEVEL_DEFAULT 0

// A context that compresses nothing and decompresses into its caller's memory only.
#define MR_ZIP_IDLE_BYTES (512u << 10)
// What zstd keeps of what it has decompressed, at most, beside where that goes.
#define MR_ZIP_WINDOW_BYTES_MAX (128u << 20)

struct mr_zip;

[[nodiscard]] int mr_zip_create(struct mr_zip **out);
void mr_zip_destroy(struct mr_zip *z);

// "none", "gzip", "snappy", "lz4", "zstd", or NULL for an unknown number.
const char *mr_codec_name(int codec);

// Decompresses all of `in` into the context's scratch, at most `bytes_max` bytes. `*out` is
// borrowed until the next call on `z` and is followed by MR_ZIP_PADDING readable bytes.
// MR_CODEC_NONE copies, so the padding holds there too.
[[nodiscard]] int mr_zip_decompress(
	struct mr_zip *z, int codec, struct mr_span in, size_t bytes_max, struct mr_span *out);

// The same into the caller's memory. Returns the bytes written, or an error; MR_ERR_LIMIT when they
// do not fit.
[[nodiscard]] int mr_zip_decompress_into(
	struct mr_zip *z, int codec, struct mr_span in, void *out, size_t out_bytes_max);

// Bytes that are always enough for compressing `bytes` bytes.
size_t mr_zip_bound(int codec, size_t bytes);

// Compresses `in`. Levels mean what the codec's library says (zstd 1 to 19, gzip 1 to 9; snappy and
// lz4 have none). Returns the bytes written; MR_ERR_LIMIT when they do not fit, or when lz4 and
// snappy cannot be sure beforehand that they will: give mr_zip_bound to never see it.
[[nodiscard]] int mr_zip_compress(
	struct mr_zip *z, int codec, int level, struct mr_span in, void *out, size_t out_bytes_max);

// Bytes held by the scratch buffer now; for memory accounting.
size_t mr_zip_scratch_bytes(const struct mr_zip *z);
