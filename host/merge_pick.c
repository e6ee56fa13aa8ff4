// The policy of merging.
#include "host/merge_pick.h"

enum { TTL_SHARE = 8, LEVEL_WHOLE = 3 };

static uint64_t rows_of(const struct mr_segment_info *i)
{
	return i->rows + i->dead_rows;
}

// Rows from which on a segment is of tier `t` or above.
static uint64_t tier_rows(unsigned t, const struct mr_merge_limits *l)
{
	return l->rows_whole >> (3 * (MR_MERGE_TIERS - t));
}

static unsigned tier_of(const struct mr_segment_info *i, const struct mr_merge_limits *l)
{
	unsigned t = MR_MERGE_TIERS;

	while (t && rows_of(i) < tier_rows(t, l))
		t--;
	return t;
}

static bool is_whole(const struct mr_segment_info *i, const struct mr_merge_limits *l)
{
	return rows_of(i) >= l->rows_whole || i->file_bytes >= l->bytes_max / 2;
}

// What a run of neighbours amounts to so far.
struct run {
	uint32_t count;
	uint64_t rows, bytes;
	int64_t newest_min, newest_max; // of their newest rows
	bool full;                      // the next one did not fit
};

static bool add(struct run *r, const struct mr_segment_info *i, const struct mr_merge_limits *l)
{
	int64_t low = r->count ? MR_MIN(r->newest_min, i->time_max) : i->time_max;
	int64_t high = r->count ? MR_MAX(r->newest_max, i->time_max) : i->time_max;

	if (l->ttl_us && (uint64_t)high - (uint64_t)low > (uint64_t)(l->ttl_us / TTL_SHARE))
		return false;
	if (r->count && (r->rows + rows_of(i) > 2 * l->rows_whole ||
				r->bytes + i->file_bytes > l->bytes_max ||
				r->count == MR_MERGE_INPUTS_MAX)) {
		r->full = true;
		return false;
	}
	*r = (struct run){
		r->count + 1, r->rows + rows_of(i), r->bytes + i->file_bytes, low, high, false};
	return true;
}

// The neighbours from `first` on that may become one, of tier `t` at most.
static struct run run_from(const struct mr_segment_info *const *infos, uint32_t count,
	uint32_t first, unsigned t, const struct mr_merge_limits *l)
{
	struct run r = {0};

	for (uint32_t i = first; i < count && infos[i]; i++)
		if (is_whole(infos[i], l) || tier_of(infos[i], l) > t || !add(&r, infos[i], l))
			break;
	return r;
}

static struct mr_merge_run pick_tier(const struct mr_segment_info *const *infos, uint32_t count,
	unsigned t, const struct mr_merge_limits *l)
{
	for (uint32_t i = 0; i < count;) {
		struct run r = run_from(infos, count, i, t, l);

		if (r.count > 1 && (r.rows >= tier_rows(t + 1, l) || r.full))
			return (struct mr_merge_run){i, r.count};
		i += MR_MAX(r.count, 1u);
	}
	return (struct mr_merge_run){0};
}

static struct mr_merge_run pick_all(
	const struct mr_segment_info *const *infos, uint32_t count, const struct mr_merge_limits *l)
{
	for (uint32_t i = 0; i < count;) {
		struct run r = run_from(infos, count, i, MR_MERGE_TIERS, l);

		if (r.count > 1 || (infos[i] && infos[i]->level < l->level))
			return (struct mr_merge_run){i, MR_MAX(r.count, 1u)};
		i++;
	}
	return (struct mr_merge_run){0};
}

struct mr_merge_run mr_merge_pick(
	const struct mr_segment_info *const *infos, uint32_t count, const struct mr_merge_limits *l)
{
	struct mr_merge_run run = {0};

	if (l->all)
		return pick_all(infos, count, l);
	for (unsigned t = 0; t < MR_MERGE_TIERS && !run.count; t++)
		run = pick_tier(infos, count, t, l);
	return run;
}

int mr_merge_level(const struct mr_segment_info *const *infos, struct mr_merge_run run,
	const struct mr_merge_limits *l)
{
	uint64_t rows = 0, bytes = 0;

	if (l->all)
		return l->level;
	for (uint32_t i = run.first; i < run.first + run.count; i++) {
		rows += rows_of(infos[i]);
		bytes += infos[i]->file_bytes;
	}
	return rows >= l->rows_whole || bytes >= l->bytes_max / 2 ? LEVEL_WHOLE
								  : MR_SEGMENT_LEVEL_FAST;
}
