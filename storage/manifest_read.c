// Reading the manifest's bytes: superblock slots and the chain of frames.
#include "host/base/hash.h"
#include "storage/manifest_int.h"

int mr_manifest_super_check(const struct mr_manifest_super *s, unsigned slot)
{
	if (s->magic != MR_MANIFEST_SUPER_MAGIC ||
		s->checksum != mr_checksum(&s->magic, sizeof(*s) - sizeof(s->checksum)))
		return MR_ERR_CORRUPT;
	if (s->version > MR_MANIFEST_VERSION)
		return MR_ERR_VERSION;
	if (s->version == 0 || s->file > 1 || s->sequence % 2 != slot || s->generation == 0 ||
		s->file_bytes % MR_IO_ALIGN || s->file_bytes > 1u << 30)
		return MR_ERR_CORRUPT;
	return 0;
}

const struct mr_manifest_frame *mr_manifest_frame_check(
	struct mr_span s, uint64_t generation, uint64_t sequence, const uint64_t *previous)
{
	const struct mr_manifest_frame *f = (const struct mr_manifest_frame *)(const void *)s.data;

	if (s.bytes < sizeof(*f) || f->magic != MR_MANIFEST_FRAME_MAGIC)
		return NULL;
	if (f->generation != generation || f->sequence != sequence)
		return NULL;
	if (previous && f->previous != *previous)
		return NULL;
	if (f->bytes > s.bytes - sizeof(*f))
		return NULL;
	if (f->checksum != mr_checksum(&f->magic, sizeof(*f) - sizeof(f->checksum) + f->bytes))
		return NULL;
	return f;
}

// Whether some later frame of the generation proves that the chain once went on.
static bool goes_on(struct mr_span file, uint64_t from, uint64_t generation, uint64_t sequence)
{
	for (uint64_t at = from; at + MR_IO_ALIGN <= file.bytes; at += MR_IO_ALIGN) {
		struct mr_span s = mr_span(file.data + at, file.bytes - at);
		const struct mr_manifest_frame *f =
			(const struct mr_manifest_frame *)(const void *)s.data;

		if (f->sequence > sequence &&
			mr_manifest_frame_check(s, generation, f->sequence, NULL))
			return true;
	}
	return false;
}

static bool is_zero(struct mr_span s)
{
	return s.bytes == 0 || (s.data[0] == 0 && memcmp(s.data, s.data + 1, s.bytes - 1) == 0);
}

static int walk_records(const struct mr_manifest_frame *f,
	int (*each)(void *arg, const struct mr_manifest_record *r), void *arg)
{
	struct mr_reader r = mr_reader(mr_span(f + 1, f->bytes));
	int rc = 0;

	for (uint32_t i = 0; i < f->records && !rc; i++) {
		struct mr_manifest_record rec = {mr_read_le16(&r), mr_read_le16(&r), {NULL, 0}};
		uint32_t bytes = mr_read_le32(&r);

		rec.payload = mr_read_span(&r, bytes);
		mr_read_bytes(&r, mr_round_up(bytes, 8) - bytes);
		if (r.bad)
			return MR_ERR_CORRUPT;
		rc = each(arg, &rec);
	}
	if (!rc && mr_read_left(&r))
		return MR_ERR_CORRUPT;
	return rc;
}

int mr_manifest_walk(struct mr_span file, uint64_t generation,
	int (*each)(void *arg, const struct mr_manifest_record *r), void *arg,
	struct mr_manifest_chain *chain)
{
	const struct mr_manifest_frame *f;
	int rc;

	*chain = (struct mr_manifest_chain){0};
	while ((f = mr_manifest_frame_check(
			mr_span(file.data + chain->end, file.bytes - chain->end), generation,
			chain->sequence, &chain->previous))) {
		if (f->version > MR_MANIFEST_VERSION)
			return MR_ERR_VERSION;
		if (f->version == 0 || (f->flags == MR_MANIFEST_SNAPSHOT) != (f->sequence == 0) ||
			f->flags > MR_MANIFEST_SNAPSHOT)
			return MR_ERR_CORRUPT;
		rc = walk_records(f, each, arg);
		if (rc)
			return rc;
		chain->records += f->sequence ? f->records : 0;
		chain->previous = f->checksum;
		chain->sequence++;
		chain->end += mr_manifest_frame_bytes(f->bytes);
		chain->end = MR_MIN(chain->end, file.bytes);
	}
	// The snapshot was durable before the superblock named it, so a file without one is
	// damaged.
	if (chain->sequence == 0 || goes_on(file, chain->end, generation, chain->sequence))
		return MR_ERR_CORRUPT;
	chain->torn = !is_zero(mr_span(file.data + chain->end, file.bytes - chain->end));
	return 0;
}
