// Pieces of a table part, and the versions of their list that readers pin.
//
// A piece is what became of exact ranges of offsets: either two chunks in memory, rows and dead
// letters, that open and close together, or the sealed segment that took their place. Every offset
// that a part has applied is in exactly one of its pieces.
//
// The worker that owns the part writes the open piece and publishes a new version whenever the list
// changes. A reader pins a version and reads each chunk up to its published row count.
#pragma once

#include "host/base/mailbox.h"
#include "kernels/chunk.h"
#include "storage/segment.h"

struct mr_table_part;

enum mr_piece_kind { MR_PIECE_ROWS, MR_PIECE_DEAD, MR_PIECE_KINDS };

static_assert((int)MR_PIECE_ROWS == MR_SEGMENT_ROWS && (int)MR_PIECE_DEAD == MR_SEGMENT_DEAD);

struct mr_piece {
	struct mr_message message; // to the sealing thread; worker, then that thread
	struct mr_piece *next;     // of the sealing thread's queue
	_Atomic uint32_t references;
	struct mr_table_part *part;
	uint64_t sequence; // ascending within a part
	// Set once, by the worker: release; readers: acquire. A dead-letter chunk may come late.
	_Atomic(struct mr_chunk *) chunks[MR_PIECE_KINDS];
	struct mr_segment *segment; // instead of chunks
	// Worker until the piece is closed, then read-only.
	uint32_t ranges_count, ranges_max;
	struct mr_offset_range *ranges;
	uint32_t age; // in seconds, from its first look by the worker's housekeeping
	bool closed;  // takes no more rows
	bool handed;  // to the sealing thread
	bool due;     // to be sealed without waiting for more
};

[[nodiscard]] int mr_piece_create(struct mr_table_part *part, struct mr_piece **out);
struct mr_piece *mr_piece_get(struct mr_piece *p);
void mr_piece_put(struct mr_piece *p);

static inline struct mr_chunk *mr_piece_chunk(const struct mr_piece *p, int kind)
{
	return atomic_load_explicit(&p->chunks[kind], memory_order_acquire);
}

// Rows of one kind that readers see.
uint64_t mr_piece_rows(const struct mr_piece *p, int kind);
// Bytes of memory it holds.
size_t mr_piece_bytes(const struct mr_piece *p);
// Says that the piece holds offsets [from, to) of the partition too; they follow what it has.
void mr_piece_note(struct mr_piece *p, uint32_t partition, int64_t from, int64_t to);

// A list of pieces that never changes while anybody holds it. Slots are reused, never freed before
// the part, so a reader may look at a slot that is being given up: it finds the count busy or zero
// and looks again.
struct mr_version {
	_Atomic uint32_t references; // 0: free slot; MR_VERSION_BUSY: being emptied
	struct mr_version *slot_next;
	uint32_t count;
	uint32_t max;
	struct mr_piece **pieces;
};

#define MR_VERSION_BUSY 0x80000000u

struct mr_piece_list {
	_Atomic(struct mr_version *) version;
	struct mr_version *slots;
};

// Worker, or before it runs. Those added are taken.
void mr_pieces_init(struct mr_piece_list *l);
void mr_pieces_fini(struct mr_piece_list *l);
void mr_pieces_add(struct mr_piece_list *l, struct mr_piece *const *added, uint32_t count);
// Publishes a version with `by` (taken; may be NULL) where the first of the pieces was and without
// the others; `old` are in the list, in its order.
void mr_pieces_replace(
	struct mr_piece_list *l, struct mr_piece *const *old, uint32_t count, struct mr_piece *by);
// What the worker itself sees, without pinning.
const struct mr_version *mr_pieces_now(const struct mr_piece_list *l);

// Readers, any thread.
struct mr_version *mr_pieces_pin(struct mr_piece_list *l);
void mr_version_unpin(struct mr_version *v);
