// Count-min (Cormode and Muthukrishnan 2005): `depth` rows of `width` counters, one counter per row
// for each hash; the least of them is the estimate.
//
// The places come from one 64-bit hash by h1 + i * h2 (Kirsch and Mitzenmacher 2006).
//
// Saved: u32 version 1, u32 width, u32 depth, u32 0, the counters, u64 XXH3 of all before. Little
// endian.
#include "kernels/cms.h"

#include "host/base/hash.h"

#include <errno.h>
#include <stdlib.h>

#define VERSION      1
#define HEADER_BYTES 16

static bool dimensions_ok(uint32_t width, uint32_t depth)
{
	return mr_is_pow2(width) && width >= 16 && width <= MR_CMS_WIDTH_MAX && depth >= 1 &&
	       depth <= MR_CMS_DEPTH_MAX;
}

static size_t counts_bytes(const struct mr_cms *c)
{
	return (size_t)c->width * c->depth * sizeof(*c->counts);
}

int mr_cms_init(struct mr_cms *c, uint32_t width, uint32_t depth)
{
	MR_ASSERT(dimensions_ok(width, depth));
	*c = (struct mr_cms){.width = width, .depth = depth};
	c->counts = calloc(1, counts_bytes(c));
	return c->counts ? 0 : -ENOMEM;
}

void mr_cms_fini(struct mr_cms *c)
{
	free(c->counts);
	c->counts = NULL;
}

static uint64_t *counter(const struct mr_cms *c, uint64_t hash, uint32_t row)
{
	uint32_t h1 = (uint32_t)hash, h2 = (uint32_t)(hash >> 32) | 1;

	return &c->counts[(size_t)row * c->width + ((h1 + row * h2) & (c->width - 1))];
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

void mr_cms_add(struct mr_cms *c, uint64_t hash, uint64_t count)
{
	for (uint32_t row = 0; row < c->depth; row++) {
		uint64_t *at = counter(c, hash, row);

		*at = add_saturating(*at, count);
	}
}

uint64_t mr_cms_estimate(const struct mr_cms *c, uint64_t hash)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t row = 0; row < c->depth; row++)
		least = MR_MIN(least, *counter(c, hash, row));
	return least;
}

void mr_cms_merge(struct mr_cms *c, const struct mr_cms *other)
{
	size_t n = (size_t)c->width * c->depth;

	MR_ASSERT(c->width == other->width && c->depth == other->depth);
	for (size_t i = 0; i < n; i++)
		c->counts[i] = add_saturating(c->counts[i], other->counts[i]);
}

size_t mr_cms_save_bytes(const struct mr_cms *c)
{
	return HEADER_BYTES + counts_bytes(c) + 8;
}

void mr_cms_save(const struct mr_cms *c, uint8_t *out)
{
	struct mr_writer w = mr_writer(out, mr_cms_save_bytes(c));

	mr_write_le32(&w, VERSION);
	mr_write_le32(&w, c->width);
	mr_write_le32(&w, c->depth);
	mr_write_le32(&w, 0);
	mr_write_bytes(&w, c->counts, counts_bytes(c));
	mr_write_le64(&w, mr_checksum(out, w.at));
	MR_ASSERT(!w.bad && w.at == mr_cms_save_bytes(c));
}

int mr_cms_load(struct mr_cms *c, struct mr_span bytes)
{
	struct mr_reader r = mr_reader(bytes);
	uint32_t version = mr_read_le32(&r), width = mr_read_le32(&r), depth = mr_read_le32(&r);
	uint32_t zero = mr_read_le32(&r);
	int err;

	*c = (struct mr_cms){NULL, 0, 0};
	if (bytes.bytes < HEADER_BYTES + 8 || mr_load_le64(bytes.data + bytes.bytes - 8) !=
						      mr_checksum(bytes.data, bytes.bytes - 8))
		return MR_ERR_CORRUPT;
	if (version != VERSION)
		return MR_ERR_VERSION;
	if (!dimensions_ok(width, depth) || zero != 0 ||
		bytes.bytes != HEADER_BYTES + (size_t)width * depth * sizeof(uint64_t) + 8)
		return MR_ERR_CORRUPT;
	err = mr_cms_init(c, width, depth);
	if (err < 0)
		return err;
	memcpy(c->counts, mr_read_bytes(&r, counts_bytes(c)), counts_bytes(c));
	return 0;
}
