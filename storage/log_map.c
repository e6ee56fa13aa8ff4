// See log_map.h.
#include "storage/log_map.h"

#include "host/base/hash.h"
#include "host/base/span.h"

#include <errno.h>
#include <stdlib.h>

enum { SLOTS_MIN = 64 };

// Where the key is, or where it would be. There is a free slot.
static struct mr_log_map_slot *slot_of(
	const struct mr_log_map *m, struct mr_uuid topic, int32_t partition)
{
	uint64_t key = mr_load_le64(topic.b) ^ mr_load_le64(topic.b + 8) ^ (uint32_t)partition;
	size_t at = mr_hash64(key, MR_HASH_SEED) & (m->slot_count - 1);

	while (m->slots[at].number &&
		(m->slots[at].partition != partition || !mr_uuid_eq(m->slots[at].topic, topic)))
		at = (at + 1) & (m->slot_count - 1);
	return &m->slots[at];
}

bool mr_log_map_find(
	const struct mr_log_map *m, struct mr_uuid topic, int32_t partition, uint32_t *number)
{
	const struct mr_log_map_slot *slot;

	if (!m->slot_count)
		return false;
	slot = slot_of(m, topic, partition);
	*number = slot->number - 1;
	return slot->number != 0;
}

static int grow(struct mr_log_map *m)
{
	struct mr_log_map bigger = {
		.slot_count = MR_MAX((size_t)SLOTS_MIN, m->slot_count * 2), .count = m->count};

	bigger.slots = (struct mr_log_map_slot *)calloc(bigger.slot_count, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->slot_count; i++)
		if (m->slots[i].number)
			*slot_of(&bigger, m->slots[i].topic, m->slots[i].partition) = m->slots[i];
	free(m->slots);
	*m = bigger;
	return 0;
}

int mr_log_map_add(struct mr_log_map *m, struct mr_uuid topic, int32_t partition, uint32_t number)
{
	int rc = 2 * (m->count + 1) > m->slot_count ? grow(m) : 0;

	if (rc)
		return rc;
	*slot_of(m, topic, partition) = (struct mr_log_map_slot){topic, partition, number + 1};
	m->count++;
	return 0;
}

void mr_log_map_fini(struct mr_log_map *m)
{
	free(m->slots);
	*m = (struct mr_log_map){0};
}
