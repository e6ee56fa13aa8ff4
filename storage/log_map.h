// From (topic, partition) to a small number: open addressing, nothing is ever taken out.
#pragma once

#include "host/base/uuid.h"

struct mr_log_map_slot {
	struct mr_uuid topic;
	int32_t partition;
	uint32_t number; // plus 1; 0: free
};

struct mr_log_map {
	struct mr_log_map_slot *slots;
	size_t slot_count; // 0 or a power of two
	size_t count;
};

// False when it is not there.
bool mr_log_map_find(
	const struct mr_log_map *m, struct mr_uuid topic, int32_t partition, uint32_t *number);
// What is not there yet; -ENOMEM.
[[nodiscard]] int mr_log_map_add(
	struct mr_log_map *m, struct mr_uuid topic, int32_t partition, uint32_t number);
void mr_log_map_fini(struct mr_log_map *m);
