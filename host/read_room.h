// Memory for batches being read from disk: of one worker, for Fetch, ListOffsets and feeds
// together.
//
// Each of them reads into memory that it takes here and gives back when it has what it wanted.
// Beyond the limit it waits for what others give back, in order; a read larger than the limit goes
// when nobody else has anything. One thread.
#pragma once

#include "host/base/def.h"

#define MR_READ_ROOM_BYTES (64u << 20) // of a worker

struct mr_read_wait {
	struct mr_read_wait *next;
	void (*ready)(struct mr_read_wait *w); // to be tried again
	bool waiting;
};

struct mr_read_room {
	uint64_t bytes_max;
	uint64_t bytes;
	uint64_t bytes_peak;
	uint64_t waits; // ever
	struct mr_read_wait *first, **last;
	bool giving;
};

void mr_read_room_init(struct mr_read_room *r, uint64_t bytes_max);
// Memory aligned for reads. -EAGAIN: not now; `w` is told. -ENOMEM.
[[nodiscard]] int mr_read_take(
	struct mr_read_room *r, size_t bytes, struct mr_read_wait *w, uint8_t **out);
// NULL does nothing. Others may be told before it returns.
void mr_read_give(struct mr_read_room *r, uint8_t *data, size_t bytes);
// Does not wait any more.
void mr_read_forget(struct mr_read_room *r, struct mr_read_wait *w);
