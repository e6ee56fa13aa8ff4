// What readers keep in memory, and how it is taken from them: ingest never waits for a reader.
//
// A scan pins a version of a table part. Pieces that have meanwhile become segments stay in memory
// for it alone. When a worker's chunk pool has no more, a thread looks through the pins, the oldest
// first, for one that holds such pieces of this pool, and its owner, the session, is asked to let
// go: a running query ends at its next poll (53200), a suspended portal or cursor is closed by its
// session, which is woken for it, and says so when it is read again. A session that does neither,
// because its client takes no bytes, is cut off after MR_PINS_PATIENCE_MS. Pins of what is current
// anyway are left alone: ending them would free nothing.
//
// Adding and removing take a lock: once for each part and scan.
#pragma once

#include "host/metrics.h"

#define MR_PINS_PATIENCE_MS 2000

struct mr_chunk_pool;
struct mr_piece_list;
struct mr_pins;
struct mr_version;

// Who pins: a session. Embedded in its seat.
struct mr_pin_owner {
	struct mr_pins *pins;
	_Atomic bool revoked;   // must let go of all its pins; cleared by itself when it has
	_Atomic uint64_t bytes; // pinned now, current pieces included
	int64_t revoked_ns;     // lock of pins
	// Makes an idle session look at `revoked`; ends the connection. Under the lock of pins.
	void (*wake)(struct mr_pin_owner *o);
	void (*cut)(struct mr_pin_owner *o);
};

struct mr_pin {
	struct mr_pin *next, *prev; // oldest first
	struct mr_pin_owner *owner;
	struct mr_piece_list *list;
	const struct mr_version *version; // pinned as long as this is listed
	struct mr_chunk_pool *pool;
	uint64_t bytes;
};

// Starts the thread. 0 or negative.
[[nodiscard]] int mr_pins_create(struct mr_pins **out);
// No pin may be left. Watched pools are forgotten first. NULL is allowed.
void mr_pins_destroy(struct mr_pins *p);
// Adds its gauge and counters to a registry that must not outlive it. 0 or -ENOMEM.
[[nodiscard]] int mr_pins_metrics(struct mr_pins *p, struct mr_metrics *m);

// Looks after the memory of pools (borrowed), once, until mr_pins_unwatch: before the pools go.
void mr_pins_watch(struct mr_pins *p, struct mr_chunk_pool **pools, uint32_t count);
void mr_pins_unwatch(struct mr_pins *p);

// Pins the present version of `list`, whose chunks come from `pool`, for `owner` (NULL: nobody who
// could be asked). Fills `pin`, which stays in place until removed.
void mr_pin_add(struct mr_pin *pin, struct mr_pin_owner *owner, struct mr_piece_list *list,
	struct mr_chunk_pool *pool);
void mr_pin_remove(struct mr_pin *pin);

// The owner has let go, or a new request begins without any pin.
void mr_pins_let_go(struct mr_pin_owner *o);
