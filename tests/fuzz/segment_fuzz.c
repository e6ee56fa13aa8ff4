// Bytes of a segment: column blocks of every type, and footers. They decode or are refused.
//
// First byte: what follows is a footer (0), or a block of the type it names; then the rows, two
// bytes; then the block.
#include "storage/segment.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void block(const uint8_t *data, size_t bytes)
{
	static struct mr_coder coder;
	struct mr_typeref type = {(uint8_t)(1 + data[0] % (MR_TYPE_INTERVAL - 1)), 0, 0};
	uint32_t rows = 1 + mr_load_le16(data + 1), dict = data[0] & 0x40 ? 1 + data[1] : 0;
	enum mr_phys phys = mr_type_phys(type);
	uint8_t *in = calloc(1, bytes + MR_ENCODE_PAD);
	struct mr_column_out out = {.values = aligned_alloc(MR_COL_ALIGN, rows * 64 + 64),
		.codes = aligned_alloc(MR_COL_ALIGN, rows * 64 + 64),
		.valid = aligned_alloc(MR_COL_ALIGN, rows * 64 + 64)};
	volatile uint64_t sum = 0;
	int nulls;

	MR_ASSERT(in && out.values && out.codes && out.valid);
	if (!coder.ints)
		MR_ASSERT(mr_coder_init(&coder) == 0);
	if (phys != MR_PHYS_BYTES)
		dict = 0;
	if (dict) {
		free(out.values);
		out.values = NULL;
	}
	memcpy(in, data + 3, bytes - 3);
	nulls = mr_column_decode(&coder, mr_span(in, bytes - 3), phys, dict, rows, &out);
	for (uint32_t i = 0; nulls >= 0 && i < rows; i++) {
		const struct mr_str *s = out.values;

		if (dict)
			MR_ASSERT(out.codes[i] < dict);
		else if (phys == MR_PHYS_BYTES && s[i].bytes)
			sum += s[i].data[0] + s[i].data[s[i].bytes - 1];
	}
	free(in);
	free(out.values);
	free(out.codes);
	free(out.valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_segment_footer *f;

	if (bytes < 4 || bytes > 64 << 10)
		return 0;
	if (data[0])
		block(data, bytes);
	else if (mr_segment_footer_load(mr_span(data + 1, bytes - 1), &f) == 0)
		mr_segment_footer_destroy(f);
	return 0;
}
