// Scans of tables: pinned versions, chunk by chunk, as the executor wants its columns.
#include "host/scan.h"

#include <errno.h>

struct mr_scan {
	struct mr_query *query;
	const uint32_t *columns;
	uint32_t columns_count;
	struct mr_version **versions;
	uint32_t versions_count;
	uint32_t version_at;
	uint32_t chunk_at;
	uint64_t pinned_bytes;
	struct mr_col *cols;
	struct mr_dict *dicts;
	struct mr_scan_stats stats;
};

static int out_of_memory(const struct mr_query *q, struct mr_diag *diag)
{
	int rc = mr_diag_set(diag, MR_ERR_LIMIT, "53200", 0, "out of memory");

	mr_diag_detail(diag, "The query's limit is %llu bytes.", (unsigned long long)q->bytes_max);
	return rc;
}

int mr_scan_lists(struct mr_chunk_list *const *lists, uint32_t lists_count,
	const struct mr_scan_spec *spec, struct mr_scan **out, struct mr_diag *diag)
{
	struct mr_query *q = spec->query;
	struct mr_scan *s = mr_arena_zalloc(q->arena, 1, sizeof(*s));

	if (!s)
		return out_of_memory(q, diag);
	s->query = q;
	s->columns = spec->columns;
	s->columns_count = spec->columns_count;
	s->versions = mr_arena_zalloc(q->arena, lists_count + 1, sizeof(struct mr_version *));
	s->cols = mr_arena_zalloc(q->arena, spec->columns_count + 1, sizeof(*s->cols));
	s->dicts = mr_arena_zalloc(q->arena, spec->columns_count + 1, sizeof(*s->dicts));
	if (!s->versions || !s->cols || !s->dicts)
		return out_of_memory(q, diag);
	for (uint32_t i = 0; i < lists_count; i++) {
		struct mr_version *v = mr_chunk_list_pin(lists[i]);

		s->versions[s->versions_count++] = v;
		for (uint32_t k = 0; k < v->chunks_count; k++)
			s->pinned_bytes += v->chunks[k]->bytes;
	}
	q->pinned_bytes += s->pinned_bytes;
	*out = s;
	return 0;
}

int mr_scan_next(struct mr_scan *s, struct mr_block *out, struct mr_diag *)
{
	while (s->version_at < s->versions_count) {
		const struct mr_version *v = s->versions[s->version_at];
		const struct mr_chunk *c;
		uint32_t rows;

		if (s->chunk_at == v->chunks_count) {
			s->version_at++;
			s->chunk_at = 0;
			continue;
		}
		c = v->chunks[s->chunk_at++];
		rows = mr_chunk_rows(c);
		if (rows == 0)
			continue;
		for (uint32_t i = 0; i < s->columns_count; i++) {
			mr_chunk_column_view(c, s->columns[i], &s->cols[i], &s->dicts[i]);
			s->stats.bytes +=
				(uint64_t)rows *
				(s->cols[i].codes ? sizeof(uint32_t)
						  : mr_phys_bytes((enum mr_phys)s->cols[i].phys));
		}
		s->stats.rows += rows;
		s->stats.blocks++;
		*out = (struct mr_block){rows, s->cols};
		return 1;
	}
	return 0;
}

void mr_scan_stats(const struct mr_scan *s, struct mr_scan_stats *out)
{
	*out = s->stats;
}

void mr_scan_end(struct mr_scan *s)
{
	for (uint32_t i = 0; i < s->versions_count; i++)
		mr_version_unpin(s->versions[i]);
	s->query->pinned_bytes -= s->pinned_bytes;
	s->versions_count = 0;
}

static int table_scan_begin(const struct mr_relation *r, const struct mr_scan_spec *spec,
	struct mr_scan **out, struct mr_diag *diag)
{
	struct mr_table *t = r->owner;
	struct mr_chunk_list **lists =
		mr_arena_zalloc(spec->query->arena, t->parts_count, sizeof(struct mr_chunk_list *));

	if (!lists)
		return out_of_memory(spec->query, diag);
	for (uint32_t i = 0; i < t->parts_count; i++)
		lists[i] = &t->parts[i]->rows;
	return mr_scan_lists(lists, t->parts_count, spec, out, diag);
}

static int64_t table_rows_known(const struct mr_relation *r)
{
	const struct mr_table *t = r->owner;
	int64_t rows = 0;

	for (uint32_t i = 0; i < t->parts_count; i++) {
		struct mr_version *v = mr_chunk_list_pin(&t->parts[i]->rows);

		for (uint32_t k = 0; k < v->chunks_count; k++)
			rows += mr_chunk_rows(v->chunks[k]);
		mr_version_unpin(v);
	}
	return rows;
}

const struct mr_relation_ops mr_table_relation_ops = {
	.scan_begin = table_scan_begin,
	.scan_next = mr_scan_next,
	.scan_stats = mr_scan_stats,
	.scan_end = mr_scan_end,
	.rows_known = table_rows_known,
};
