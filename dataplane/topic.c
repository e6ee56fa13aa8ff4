// Look-up in a snapshot of topics.
#include "dataplane/topic.h"

#include "host/base/hash.h"

#include <string.h>

int mr_topic_compare_names(const void *a, const void *b)
{
	const struct mr_topic *x = a, *y = b;

	return mr_span_cmp(x->name, y->name);
}

int mr_topic_compare_ids(const void *a, const void *b)
{
	const struct mr_topic *x = a, *y = b;

	return memcmp(x->id.b, y->id.b, sizeof(x->id.b));
}

const struct mr_topic *mr_topics_find(const struct mr_topics *ts, struct mr_span name)
{
	return mr_sorted_find(ts->by_name, &(struct mr_topic){.name = name});
}

const struct mr_topic *mr_topics_find_id(const struct mr_topics *ts, struct mr_uuid id)
{
	return mr_sorted_find(ts->by_id, &(struct mr_topic){.id = id});
}

bool mr_topic_name_valid(struct mr_span name)
{
	if (name.bytes == 0 || name.bytes > MR_TOPIC_NAME_MAX)
		return false;
	if (mr_span_eq(name, mr_span_str(".")) || mr_span_eq(name, mr_span_str("..")))
		return false;
	for (size_t i = 0; i < name.bytes; i++) {
		uint8_t c = name.data[i];
		bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

		if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

uint32_t mr_topic_owner(const struct mr_topic *t, uint32_t partition, uint32_t workers)
{
	uint64_t first = mr_hash64(mr_load_le64(t->id.b), MR_HASH_SEED);

	return (uint32_t)((first + partition) % workers);
}
