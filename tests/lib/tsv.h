// Golden files of tab-separated fields: reads one line after another, in place.
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TSV_FIELDS_MAX 16

struct mr_tsv {
	FILE *file;
	char line[8192];
	char *fields[TSV_FIELDS_MAX];
	int count;
	int number; // of the line, from 1
};

// False at the end. Empty fields stay; `\N` and escapes mean nothing here.
static inline bool mr_tsv_next(struct mr_tsv *t)
{
	char *p = t->line;

	if (!fgets(t->line, sizeof(t->line), t->file))
		return false;
	t->number++;
	t->line[strcspn(t->line, "\n")] = 0;
	for (t->count = 0; p && t->count < TSV_FIELDS_MAX; t->count++)
		t->fields[t->count] = strsep(&p, "\t");
	return true;
}
