// Look-up in a snapshot of topics.
#include "dataplane/topic.h"

#include "host/base/hash.h"

const struct mr_topic *mr_topics_find(const struct mr_topics *ts, struct mr_span name)
{
	size_t low = 0, high = ts->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = mr_span_cmp(ts->by_name[mid]->name, name);

		if (c == 0)
			return ts->by_name[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const struct mr_topic *mr_topics_find_id(const struct mr_topics *ts, struct mr_uuid id)
{
	for (size_t i = 0; i < ts->count; i++)
		if (mr_uuid_eq(ts->by_name[i]->id, id))
			return ts->by_name[i];
	return NULL;
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
