// Partitions' histories: which run of which file holds which offsets, and what is alive in a file.
//
// Runs of a partition do not overlap, so one order serves first and last offsets alike and a place
// is found by binary search. New runs nearly always go to the end, released ones leave from the
// front. What is released is taken off its file's count of live bytes once, whole runs by their
// sums and the one in which the offset lies batch by batch, so that asking whether a file is dead
// costs nothing.
#include "storage/log_int.h"

#include <errno.h>
#include <stdlib.h>

size_t mr_log_run_above(const struct mr_log_part *p, int64_t offset)
{
	size_t low = p->run_first, high = p->run_end;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->runs[mid]->offset_end <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

// The first run that begins above `offset`.
static size_t run_behind(const struct mr_log_part *p, int64_t offset)
{
	size_t low = p->run_first, high = p->run_end;

	// The end is the usual place.
	if (low == high || p->runs[high - 1]->offset_first <= offset)
		return high;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->runs[mid]->offset_first <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int part_room(struct mr_log_part *p, size_t more)
{
	size_t count = p->run_end - p->run_first;
	size_t max = p->run_max;

	if (p->run_end + more <= p->run_max)
		return 0;
	while (max < 2 * (count + more))
		max = MR_MAX((size_t)8, max * 2);
	if (max > p->run_max) {
		void *grown = realloc(p->runs, max * sizeof(*p->runs));

		if (!grown)
			return -ENOMEM;
		p->runs = (struct mr_log_run **)grown;
		p->run_max = max;
	}
	memmove(p->runs, p->runs + p->run_first, count * sizeof(*p->runs));
	p->run_first = 0;
	p->run_end = count;
	return 0;
}

int mr_log_runs_room(struct mr_log_store *s, const struct mr_log_file *f)
{
	int rc = 0;

	for (size_t i = 0, n; i < f->run_count && !rc; i += n) {
		for (n = 1; i + n < f->run_count && f->runs[i + n].part == f->runs[i].part; n++)
			;
		rc = part_room(&s->parts[f->runs[i].part], n);
	}
	return rc;
}

// What of the run lies below the offset is released. Without entries that is the whole of it or
// nothing, until somebody needs to know.
static void run_release(
	struct mr_log_run *run, int64_t offset, const struct mr_log_index_entry *entries)
{
	struct mr_log_file *f = run->file;

	if (offset >= run->offset_end) {
		f->bytes_live -= run->records_live;
		run->bytes_live = run->records_live = 0;
		run->live = run->first + run->count;
	}
	if (offset <= run->offset_first || run->live == run->first + run->count)
		return;
	f->index_stale |= !entries;
	for (; entries && run->live < run->first + run->count; run->live++) {
		const struct mr_log_index_entry *e = &entries[run->live];

		if (e->base_offset + e->offset_count > offset)
			break;
		run->bytes_live -= e->bytes;
		run->records_live -= mr_log_record_bytes(e->bytes);
		f->bytes_live -= mr_log_record_bytes(e->bytes);
	}
}

void mr_log_runs_catch_up(
	struct mr_log_store *s, struct mr_log_file *f, const struct mr_log_index_entry *entries)
{
	for (size_t i = 0; i < f->run_count; i++)
		run_release(&f->runs[i], s->parts[f->runs[i].part].retain_offset, entries);
	f->index_stale = false;
}

void mr_log_runs_add(struct mr_log_store *s, struct mr_log_file *f)
{
	for (size_t i = 0; i < f->run_count; i++) {
		struct mr_log_run *run = &f->runs[i];
		struct mr_log_part *p = &s->parts[run->part];
		size_t at = run_behind(p, run->offset_first);

		MR_ASSERT(p->run_end < p->run_max);
		memmove(p->runs + at + 1, p->runs + at, (p->run_end - at) * sizeof(*p->runs));
		p->runs[at] = run;
		p->run_end++;
		run_release(run, p->retain_offset, f->entries);
	}
	if (f->entries)
		mr_log_index_keep(s, f);
	f->indexed = true;
}

static size_t place_of(const struct mr_log_part *p, const struct mr_log_run *run)
{
	size_t at = mr_log_run_above(p, run->offset_first);

	while (at < p->run_end && p->runs[at] != run)
		at++;
	// Offsets that overlap, which only a damaged file has, lie out of order.
	for (size_t i = p->run_first; at == p->run_end && i < p->run_end; i++)
		if (p->runs[i] == run)
			at = i;
	MR_ASSERT(at < p->run_end);
	return at;
}

void mr_log_runs_remove(struct mr_log_store *s, const struct mr_log_file *f)
{
	for (size_t i = 0; i < f->run_count; i++) {
		const struct mr_log_run *run = &f->runs[i];
		struct mr_log_part *p = &s->parts[run->part];
		size_t at = place_of(p, run);

		if (at == p->run_first) {
			p->run_first++;
			continue;
		}
		p->run_end--;
		memmove(p->runs + at, p->runs + at + 1, (p->run_end - at) * sizeof(*p->runs));
	}
}

bool mr_log_part_release(struct mr_log_part *p, int64_t retain_offset)
{
	size_t at = mr_log_run_above(p, p->retain_offset);
	bool died = false;

	p->retain_offset = retain_offset;
	for (; at < p->run_end && p->runs[at]->offset_first < retain_offset; at++) {
		run_release(p->runs[at], retain_offset, p->runs[at]->file->entries);
		died |= p->runs[at]->file->bytes_live == 0;
	}
	return died;
}
