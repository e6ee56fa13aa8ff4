// Runs that are committed with a segment, and the unsealed states that go then.
#include "host/view/view_base.h"
#include "host/view/view_int.h"
#include "host/view/view_merge.h"

#include <errno.h>
#include <stdlib.h>

static int sealing_init(struct mr_view_sealing *s, size_t count, const struct mr_table_part *part,
	uint64_t sequence)
{
	*s = (struct mr_view_sealing){.part = part->index, .sequence = sequence};
	s->views = calloc(count + 1, sizeof(struct mr_view *));
	s->infos = calloc(count + 1, sizeof(*s->infos));
	s->wanted = calloc(count + 1, sizeof(*s->wanted));
	return s->views && s->infos && s->wanted ? 0 : -ENOMEM;
}

int mr_view_sealing_write(struct mr_view_sealing *s, struct mr_view_tools *t,
	struct mr_view *const *views, size_t views_count, const struct mr_table_part *part,
	uint64_t sequence, const struct mr_segment_info *segment)
{
	int rc = sealing_init(s, views_count, part, sequence), synced;

	for (size_t i = 0; rc == 0 && i < views_count; i++) {
		struct mr_view_sources from;
		struct mr_run_info *info = &s->infos[s->count];
		struct mr_diag diag = {0};

		// After TRUNCATE there is a table, and views, of the same ids beside the old ones.
		if (views[i]->table != part->table)
			continue;
		rc = mr_view_sources_of(views[i], part->index, sequence, &from);
		if (rc < 0)
			break;
		rc = mr_view_write(t, views[i], &from, info, &diag);
		mr_view_sources_fini(&from);
		if (rc < 0)
			break;
		info->ranges = segment->ranges;
		info->ranges_count = segment->ranges_count;
		s->views[s->count++] = mr_view_get(views[i]);
	}
	synced = mr_run_sync(t->writer);
	return rc < 0 ? rc : synced;
}

int mr_view_sealing_records(struct mr_view_sealing *s, struct mr_manifest_record *out)
{
	size_t *ends = calloc(s->count + 1, sizeof(*ends)), from = 0;
	int n = 0;

	if (!ends)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->count; i++) {
		s->wanted[i] = !s->views[i]->retired;
		if (s->wanted[i])
			mr_run_store_save(&s->records, &s->infos[i]);
		ends[i] = s->records.bytes;
	}
	for (uint32_t i = 0; i < s->count && !s->records.failed; from = ends[i++])
		if (s->wanted[i])
			out[n++] = (struct mr_manifest_record){MR_RUN_RECORD, MR_RUN_RECORD_VERSION,
				mr_span(s->records.data + from, ends[i] - from)};
	free(ends);
	return s->records.failed ? -ENOMEM : n;
}

static void sealed(struct mr_view_sealing *s, uint32_t i)
{
	struct mr_view *v = s->views[i];
	struct mr_run *run = mr_run_store_find(v->host->runs, s->infos[i].id);

	// Dropped since: so is the view.
	if (!run)
		return;
	mr_view_count(&v->stats.runs_written, 1);
	mr_view_sealed(v, s->part, s->sequence, run);
}

void mr_view_sealing_end(struct mr_view_sealing *s, int rc)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (rc == 0 && s->wanted[i])
			sealed(s, i);
		else if (rc >= 0 || rc == -ENOSPC || rc == -ENOMEM || !s->wanted[i])
			mr_view_unlink(s->views[i], &s->infos[i]);
		mr_view_put(s->views[i]);
	}
	mr_buf_fini(&s->records);
	free(s->views);
	free(s->infos);
	free(s->wanted);
}
