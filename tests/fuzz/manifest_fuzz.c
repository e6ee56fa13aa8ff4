// Bytes of a manifest file: the walk over its frames ends with an error or a whole chain.
//
// Every second input gets its checksums repaired first, so that the fuzzer reaches what lies behind
// them.
#include "host/base/hash.h"
#include "storage/manifest_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int each(void *arg, const struct mr_manifest_record *r)
{
	uint64_t *sum = (uint64_t *)arg;

	for (size_t i = 0; i < r->payload.bytes; i++)
		*sum += r->payload.data[i];
	return 0;
}

static void repair(uint8_t *file, size_t bytes)
{
	uint64_t previous = 0, sequence = 0;

	for (size_t at = 0; at + sizeof(struct mr_manifest_frame) <= bytes;) {
		struct mr_manifest_frame *f = (struct mr_manifest_frame *)(void *)(file + at);

		f->magic = MR_MANIFEST_FRAME_MAGIC;
		f->generation = 1;
		f->sequence = sequence++;
		f->previous = previous;
		if (f->bytes > bytes - at - sizeof(*f))
			return;
		f->checksum = mr_checksum(&f->magic, sizeof(*f) - sizeof(f->checksum) + f->bytes);
		previous = f->checksum;
		at += mr_manifest_frame_bytes(f->bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_manifest_chain chain;
	uint8_t *file;
	uint64_t sum = 0;

	if (bytes < 1 || bytes > 64 << 10)
		return 0;
	file = (uint8_t *)malloc(bytes);
	MR_ASSERT(file);
	memcpy(file, data + 1, bytes - 1);
	if (data[0] & 1)
		repair(file, bytes - 1);
	if (mr_manifest_walk(mr_span(file, bytes - 1), 1, each, &sum, &chain) == 0)
		MR_ASSERT(chain.sequence > 0 && chain.end <= bytes - 1);
	if (bytes > sizeof(struct mr_manifest_super))
		(void)!mr_manifest_super_check((const struct mr_manifest_super *)(void *)file, 0);
	free(file);
	return 0;
}
