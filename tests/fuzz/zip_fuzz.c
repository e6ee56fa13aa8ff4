// Decompression of anything: the first byte is the codec, the second the cap. Then the input itself
// is compressed and must come back.
#include "host/base/zip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

// Both ways of decompressing agree, and neither passes the cap.
static void decompress(struct mr_zip *zip, int codec, struct mr_span in, size_t cap)
{
	uint8_t *into = malloc(cap + !cap);
	int n = mr_zip_decompress_into(zip, codec, in, into, cap);
	struct mr_span out;
	int err = mr_zip_decompress(zip, codec, in, cap, &out);

	MR_ASSERT(n < 0 ? err == n : err == 0);
	if (n >= 0) {
		MR_ASSERT((size_t)n <= cap && mr_span_eq(out, mr_span(into, (size_t)n)));
		for (size_t i = 0; i < MR_ZIP_PADDING; i++)
			*(volatile uint8_t *)into ^= out.data[out.bytes + i];
	}
	free(into);
}

static void there_and_back(struct mr_zip *zip, int codec, struct mr_span in)
{
	size_t bound = mr_zip_bound(codec, in.bytes);
	uint8_t *z = malloc(bound + 1);
	int n = mr_zip_compress(zip, codec, 1, in, z, bound);
	struct mr_span out;

	MR_ASSERT(n >= 0);
	MR_ASSERT(mr_zip_decompress(zip, codec, mr_span(z, (size_t)n), in.bytes, &out) == 0);
	MR_ASSERT(mr_span_eq(in, out));
	free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct mr_zip *zip;
	int codec;

	if (!zip && mr_zip_create(&zip))
		abort();
	if (bytes < 2)
		return 0;
	codec = data[0] % 8;
	decompress(zip, codec, mr_span(data + 2, bytes - 2), (size_t)1 << (data[1] % 21));
	if (codec <= MR_CODEC_ZSTD)
		there_and_back(zip, codec, mr_span(data, bytes));
	return 0;
}
