// Footers of segments in memory: those read last, in a bounded number of bytes.
//
// A footer is read when a reader turns to its segment, and stays with the segment. Beyond the limit
// those go that were used longest ago; a pinned one stays, so what readers use at this moment may
// lie beyond the limit. A segment without a cache keeps its footer.
//
// Threads: any thread may call; a lock held for moments.
#pragma once

#include "storage/segment.h"

struct mr_footer_cache;

struct mr_footer_stats {
	uint64_t bytes; // now
	uint64_t loads;
	uint64_t evictions;
};

// Returns owned, one reference.
[[nodiscard]] int mr_footer_cache_create(size_t bytes_max, struct mr_footer_cache **out);
void mr_footer_cache_limit(struct mr_footer_cache *c, size_t bytes_max);
// A segment that is in no cache yet takes a reference.
void mr_footer_cache_join(struct mr_footer_cache *c, struct mr_segment *s);
void mr_footer_cache_put(struct mr_footer_cache *c);
void mr_footer_cache_stats(struct mr_footer_cache *c, struct mr_footer_stats *out);

// True: the segment's footer is there, and stays until mr_footer_unpin.
bool mr_footer_pin(struct mr_segment *s);
void mr_footer_unpin(struct mr_segment *s);
// Takes the footer of a segment that has none, and pins it. Under s->lock.
void mr_footer_add(struct mr_segment *s, struct mr_segment_footer *f);
// The segment, which nobody uses any more, lets go of its footer and the cache.
void mr_footer_drop(struct mr_segment *s);
