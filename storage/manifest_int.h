// Bytes of the manifest, shared by its writer, its reader and their tests. docs/FORMAT.md has them
// in words.
#pragma once

#include "storage/manifest.h"

#define MR_MANIFEST_VERSION     1u
#define MR_MANIFEST_FRAME_MAGIC 0x316d61667473666du // "mfstfam1" as bytes m f s t f a m 1
#define MR_MANIFEST_SUPER_MAGIC 0x316b6f6c62707573u // "supblok1"
#define MR_MANIFEST_SNAPSHOT    1u
#define MR_MANIFEST_SUPER_BYTES (2u * MR_IO_ALIGN)

// A superblock slot; the rest of its 4 KiB is zero.
struct mr_manifest_super {
	uint64_t checksum; // XXH3-64 of the 56 bytes that follow
	uint64_t magic;
	uint16_t version;
	uint16_t file; // 0 or 1
	uint32_t zero;
	uint64_t sequence;   // slot = sequence % 2
	uint64_t generation; // of the manifest file
	uint64_t file_bytes;
	uint64_t unused[2];
};

// A frame begins at a multiple of 4 KiB and is padded with zeros to the next.
struct mr_manifest_frame {
	uint64_t checksum; // XXH3-64 of the header from `magic` on and the payload
	uint64_t magic;
	uint16_t version;
	uint16_t flags; // MR_MANIFEST_SNAPSHOT: the first frame of a file
	uint32_t bytes; // of payload
	uint64_t generation;
	uint64_t sequence; // from 0 in each file
	uint64_t previous; // checksum of the frame before; 0 for the first
	uint32_t records;
	uint32_t zero[3];
};

// A record in a frame: header, payload, zeros up to a multiple of 8.
struct mr_manifest_record_head {
	uint16_t type;
	uint16_t version;
	uint32_t bytes; // of payload
};

static_assert(sizeof(struct mr_manifest_super) == 64);
static_assert(sizeof(struct mr_manifest_frame) == 64);
static_assert(sizeof(struct mr_manifest_record_head) == 8);

static inline uint64_t mr_manifest_frame_bytes(uint64_t payload_bytes)
{
	return mr_round_up(sizeof(struct mr_manifest_frame) + payload_bytes, MR_IO_ALIGN);
}

// The frame at the start of `s` when it is whole, of this generation and sequence and (unless
// `previous` is NULL) of this chain; NULL when not.
const struct mr_manifest_frame *mr_manifest_frame_check(
	struct mr_span s, uint64_t generation, uint64_t sequence, const uint64_t *previous);

// Where a manifest file's chain ends.
struct mr_manifest_chain {
	uint64_t end;      // first byte behind the last good frame
	uint64_t sequence; // frames
	uint64_t records;  // behind the snapshot
	uint64_t previous; // checksum of the last frame
	bool torn;         // something that is not zeros lies behind
};

// Walks the chain and calls `each` for every record. Hostile bytes can only cause an error:
// MR_ERR_CORRUPT with the offset in `chain->end`, MR_ERR_VERSION, or what `each` returned.
int mr_manifest_walk(struct mr_span file, uint64_t generation,
	int (*each)(void *arg, const struct mr_manifest_record *r), void *arg,
	struct mr_manifest_chain *chain);

// 0, MR_ERR_CORRUPT when it is not a whole slot, MR_ERR_VERSION.
int mr_manifest_super_check(const struct mr_manifest_super *s, unsigned slot);
