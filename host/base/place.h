// Where a number stands in an ascending array of whatever has one.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The first place in [0, count] whose number is not below `key`: where it is, or would be put.
static inline size_t mr_place_of(const void *array, size_t count, uint64_t key,
	uint64_t (*number_at)(const void *array, size_t at))
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (number_at(array, mid) < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
