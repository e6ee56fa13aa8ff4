// A sorted list of pointers that can be kept as it is at a moment: a copy costs a reference.
//
// Items lie in pages of a few hundred, ascending, and a list is an array of pages; both are counted
// by reference. Who changes a list owns it alone or gets its own first: the array of pages is
// copied when somebody else has the list, a page when another list has it too. So a change of a
// list of n items that others keep costs about n / 150 + 256 reference counts, and one that nobody
// keeps costs a search and a move within a page.
//
// Lists hold a reference of each item, which they take and drop by the two functions given.
// Threads: a list that several have is read by all and changed by none of them.
#pragma once

#include "host/base/def.h"

struct mr_sorted;

struct mr_sorted_form {
	// Below, at or above 0 as in qsort, by what makes items differ.
	int (*compare)(const void *a, const void *b);
	void (*get)(void *item); // NULL: items are not counted
	void (*put)(void *item);
};

// An empty list. The form is borrowed for good. Running out of memory stops the process, here and
// below.
struct mr_sorted *mr_sorted_create(const struct mr_sorted_form *form);
struct mr_sorted *mr_sorted_get(struct mr_sorted *s);
void mr_sorted_put(struct mr_sorted *s); // NULL is fine

size_t mr_sorted_count(const struct mr_sorted *s);
// The item that compares as equal to `key`, or NULL.
void *mr_sorted_find(const struct mr_sorted *s, const void *key);

// Puts `item`, of which a reference is taken, into the list that *s has one reference of, in the
// place of an equal one if there is such. *s may become another.
void mr_sorted_add(struct mr_sorted **s, void *item);
// Takes the item equal to `key` out; false: there is none.
bool mr_sorted_remove(struct mr_sorted **s, const void *key);

// From the first to the last: begin with zeros; NULL at the end.
struct mr_sorted_at {
	size_t page, index;
};
void *mr_sorted_next(const struct mr_sorted *s, struct mr_sorted_at *at);
