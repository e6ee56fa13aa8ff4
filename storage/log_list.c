// Ordered lists of pointers: logs by id, files by id and by sequence.
//
// Things are nearly always added at the end and there are thousands at most, so an array with
// binary search serves.
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

size_t mr_log_list_find(
	const struct mr_log_list *l, uint64_t key, uint64_t (*key_of)(const void *item))
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (key_of(l->at[mid]) < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int mr_log_list_room(struct mr_log_list *l)
{
	size_t max = MR_MAX((size_t)16, l->max * 2);
	void *grown;

	if (l->count < l->max)
		return 0;
	grown = realloc(l->at, max * sizeof(*l->at));
	if (!grown)
		return -ENOMEM;
	l->at = (void **)grown;
	l->max = max;
	return 0;
}

int mr_log_list_insert(struct mr_log_list *l, size_t at, void *item)
{
	MR_ASSERT(at <= l->count);
	if (mr_log_list_room(l))
		return -ENOMEM;
	memmove(l->at + at + 1, l->at + at, (l->count - at) * sizeof(*l->at));
	l->at[at] = item;
	l->count++;
	return 0;
}

void mr_log_list_remove(struct mr_log_list *l, size_t at)
{
	MR_ASSERT(at < l->count);
	l->count--;
	memmove(l->at + at, l->at + at + 1, (l->count - at) * sizeof(*l->at));
}

void mr_log_list_fini(struct mr_log_list *l)
{
	free(l->at);
	*l = (struct mr_log_list){0};
}
