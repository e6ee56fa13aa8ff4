// Records of segments in any order and with any bytes: each is applied whole, or the manifest
// stops; and what was applied is the same after a rewriting and a start.
//
// Input: records, each u8 type (from 128, modulo 5), u8 version, u16 bytes of payload, the payload.
#include "host/base/hash.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/segment_store.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct store {
	struct mr_manifest *manifest;
	struct mr_segment_store *segments;
};

static int store_open(struct mr_io_sim *sim, struct store *s)
{
	const struct mr_manifest_options mo = {.disk = &sim->disk, .file_bytes = 256 << 10};
	struct mr_diag diag;

	sim->locked = false;
	MR_ASSERT(mr_dir_init(&sim->disk, &diag) == 0);
	MR_ASSERT(mr_manifest_create(&s->manifest, &mo) == 0);
	MR_ASSERT(mr_segment_store_create(&sim->disk, s->manifest, &s->segments) == 0);
	return mr_manifest_open(s->manifest, &diag);
}

static void store_close(struct store *s)
{
	mr_segment_store_destroy(s->segments);
	mr_manifest_destroy(s->manifest);
}

// Of all segments and of what has expired of the first tables.
static uint64_t digest(struct store *s)
{
	struct mr_offset_range *expired;
	struct mr_segment **list;
	uint64_t h = 0;
	int n;

	for (uint64_t table = 1; table < 4; table++) {
		n = mr_segment_store_list(s->segments, table, &list);
		for (int i = 0; i < n; i++) {
			h = mr_hash64(h ^ list[i]->info.id, MR_HASH_SEED);
			h = mr_hash64(h ^ (uint64_t)list[i]->info.time_max, MR_HASH_SEED);
			for (uint32_t k = 0; k < list[i]->info.ranges_count; k++)
				h = mr_hash64(
					h ^ (uint64_t)list[i]->info.ranges[k].to, MR_HASH_SEED);
			mr_segment_put(list[i]);
		}
		free(list);
		n = mr_segment_store_expired(s->segments, table, &expired);
		for (int i = 0; i < n; i++)
			h = mr_hash64(h ^ expired[i].partition ^ (uint64_t)expired[i].to << 20,
				MR_HASH_SEED);
		free(expired);
	}
	return h;
}

// False: the manifest has stopped.
static bool feed(struct store *s, const uint8_t *data, size_t bytes)
{
	struct mr_reader r = mr_reader(mr_span(data, bytes));
	int count = 0;

	while (mr_read_left(&r) >= 4 && count++ < 64) {
		uint16_t type = (uint16_t)(MR_SEGMENT_RECORD + mr_read_u8(&r) % 5);
		uint16_t version = (uint16_t)(1 + mr_read_u8(&r) % 2);
		uint16_t n = mr_read_le16(&r);
		const struct mr_manifest_record rec = {type, version,
			mr_read_span(&r, n < mr_read_left(&r) ? n : mr_read_left(&r))};

		if (mr_manifest_append(s->manifest, &rec, 1) < 0)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_io_sim sim;
	struct store s;
	bool whole;

	if (bytes > 16 << 10)
		return 0;
	mr_io_sim_init(&sim, &(struct mr_io_sim_options){.seed = 1});
	MR_ASSERT(store_open(&sim, &s) == 0);
	whole = feed(&s, data, bytes);
	if (whole) {
		uint64_t before = digest(&s);

		MR_ASSERT(mr_manifest_compact(s.manifest) == 0);
		store_close(&s);
		MR_ASSERT(store_open(&sim, &s) == 0);
		MR_ASSERT(digest(&s) == before);
	}
	store_close(&s);
	mr_io_sim_fini(&sim);
	return 0;
}
