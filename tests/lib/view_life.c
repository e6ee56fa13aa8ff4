// Lives of stored views: the stores, the table and its pieces, sealing as host/seal.c does it, and
// the answers that views must give.
#include "tests/lib/view_life.h"

#include "host/base/dec.h"
#include "host/base/hash.h"
#include "host/base/tz.h"
#include "storage/dir.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 6000, PIECES_MAX = 3, TABLE_ID = 1 };

static const char *const queries[VIEW_VIEWS] = {
	"SELECT k, count(*) AS c, sum(x) AS s FROM t GROUP BY k",
	"SELECT count(*) AS c, sum(x) AS s FROM t WHERE k < 500",
};

static int32_t key_of(uint32_t partition, int64_t offset)
{
	return (int32_t)(mr_hash64((uint64_t)offset * VIEW_PARTITIONS + partition, 1) % KEYS);
}

static int64_t value_of(uint32_t partition, int64_t offset)
{
	return (int64_t)(mr_hash64((uint64_t)offset * VIEW_PARTITIONS + partition, 2) % 1000000);
}

static struct view_life *life_of(struct mr_env *e)
{
	return MR_CONTAINER(e, struct view_life, env);
}

static const struct mr_relation *relation_get(struct mr_env *e, struct mr_span, struct mr_span)
{
	return &mr_table_get(life_of(e)->table)->relation;
}

static void relation_put(struct mr_env *, const struct mr_relation *r)
{
	mr_table_put(r->owner);
}

static const struct mr_env_ops env_ops = {
	.relation_get = relation_get, .relation_put = relation_put};

// Anything that fails has failed because the disk died.
bool view_life_ok(struct view_life *l, int rc)
{
	if (rc < 0) {
		assert_true(l->world->sim.dead);
		l->dead = true;
	}
	return rc >= 0;
}

// ---- tables and rows

static int first_time(struct view_life *l)
{
	struct mr_catalog_change change = {0};
	struct mr_topic topic = {
		.number = 1, .name = mr_span_str("t"), .partitions = VIEW_PARTITIONS};
	struct mr_table_def *def = mr_table_def_create(2, 0);
	int rc;

	topic.config.message_bytes_max = 1 << 20;
	topic.id.b[0] = 7;
	def->id = TABLE_ID;
	def->topic_id = topic.id;
	def->options.watermark_column = -1;
	snprintf(def->name, sizeof(def->name), "t");
	def->columns[0] = (struct mr_column_def){.id = 2, .type = {MR_TYPE_INT4, 0, 0}};
	def->columns[1] = (struct mr_column_def){.id = 3, .type = {MR_TYPE_INT8, 0, 0}};
	snprintf(def->columns[0].name, sizeof(def->columns[0].name), "k");
	snprintf(def->columns[1].name, sizeof(def->columns[1].name), "x");
	mr_catalog_add_topic(&change, &topic);
	mr_catalog_add_table(&change, def);
	rc = mr_catalog_commit(l->manifest, &change);
	mr_table_def_put(def);
	return rc;
}

static void make_table(struct view_life *l)
{
	struct mr_offset_range *expired;
	struct mr_segment **list;
	int n = mr_segment_store_list(l->segments, TABLE_ID, &list);
	struct mr_table_setup setup = {.parts_count = l->workers_count,
		.pools = l->pools,
		.chunk_bytes_max = 1 << 20,
		.segments = list,
		.segments_count = (uint32_t)n};
	int gone = mr_segment_store_expired(l->segments, TABLE_ID, &expired);

	assert_true(n >= 0 && gone >= 0);
	setup.expired = expired;
	setup.expired_count = (uint32_t)gone;
	memset(l->world->gone, 0, sizeof(l->world->gone));
	for (int i = 0; i < gone; i++)
		l->world->gone[expired[i].partition] = expired[i].to;
	assert_int_equal(
		mr_table_create(l->catalog.tables[0], l->catalog.topics[0], &setup, &l->table), 0);
	for (int i = 0; i < n; i++)
		mr_segment_put(list[i]);
	free(list);
	free(expired);
}

static struct mr_piece *open_piece(struct view_life *l, struct mr_table_part *part)
{
	struct mr_chunk *c;
	struct mr_piece *p;

	if (part->open)
		return part->open;
	assert_int_equal(
		mr_chunk_create(part->pool, l->table->types, l->table->relation.columns_count,
			part->forms[0].plain, part->chunk_bytes_max, &c),
		0);
	assert_int_equal(mr_piece_create(part, &p), 0);
	p->sequence = part->sequence++;
	atomic_store(&p->chunks[MR_PIECE_ROWS], c);
	mr_pieces_add(&part->pieces, &p, 1);
	part->open = p;
	return p;
}

// Rows [from, to) of a partition become visible on its worker.
void view_life_apply(struct view_life *l, uint32_t partition, int64_t from, int64_t to)
{
	struct mr_table_part *part = l->table->parts[partition % l->workers_count];
	struct mr_piece *p;
	struct mr_chunk *c;
	uint32_t visible;

	if (from >= to)
		return;
	p = open_piece(l, part);
	c = mr_piece_chunk(p, MR_PIECE_ROWS);
	visible = mr_chunk_rows(c);
	for (int64_t at = from; at < to; at++) {
		mr_chunk_row_begin(c);
		*(int32_t *)mr_chunk_slot(c, 0) = key_of(partition, at);
		*(int64_t *)mr_chunk_slot(c, 1) = value_of(partition, at);
		mr_chunk_row_commit(c);
	}
	mr_piece_note(p, partition, from, to);
	mr_chunk_publish(c, c->rows);
	for (struct mr_view_part *v = part->views; v; v = v->next)
		mr_view_part_fold(v, p->sequence, c, visible, c->rows);
}

void view_life_close(struct view_life *l, uint32_t index)
{
	struct mr_table_part *part = l->table->parts[index];
	struct mr_piece *p = part->open;

	if (!p || l->closed_count[index] == 64)
		return;
	p->closed = true;
	part->open = NULL;
	for (struct mr_view_part *v = part->views; v; v = v->next)
		mr_view_part_hand_over(v, p->sequence);
	l->closed[index][l->closed_count[index]++] = p;
}

// ---- sealing, as host/seal.c does it

static int write_file(struct view_life *l, struct mr_piece **pieces, uint32_t count,
	struct mr_view_ranges *ranges, struct mr_segment_info *info)
{
	uint32_t n = l->table->relation.columns_count;
	struct mr_segment_column columns[16], dead[16];
	struct mr_segment_rows blocks[PIECES_MAX];
	struct mr_col cols[PIECES_MAX * 16];
	struct mr_dict dicts[PIECES_MAX * 16];
	const struct mr_segment_source sources[MR_SEGMENT_SECTIONS] = {
		{.columns = columns,
			.columns_count = n,
			.blocks = blocks,
			.blocks_count = count,
			.time_column = MR_SEGMENT_NO_COLUMN,
			.time_fallback = MR_SEGMENT_NO_COLUMN},
		{.columns = dead,
			.columns_count = MR_DEAD_COUNT,
			.time_column = MR_SEGMENT_NO_COLUMN,
			.time_fallback = MR_SEGMENT_NO_COLUMN}};

	mr_table_segment_columns(l->table, MR_PIECE_ROWS, columns);
	mr_table_segment_columns(l->table, MR_PIECE_DEAD, dead);
	for (uint32_t i = 0; i < count; i++) {
		struct mr_chunk *c = mr_piece_chunk(pieces[i], MR_PIECE_ROWS);

		for (uint32_t k = 0; k < n; k++)
			mr_chunk_column_view(c, k, &cols[i * n + k], &dicts[i * n + k]);
		blocks[i] = (struct mr_segment_rows){c->rows, &cols[i * n]};
		assert_int_equal(
			mr_view_ranges_add(ranges, pieces[i]->ranges, pieces[i]->ranges_count), 0);
	}
	info->ranges = ranges->items;
	info->ranges_count = ranges->count;
	return mr_segment_write(l->writer, sources, info);
}

static int commit(struct view_life *l, uint32_t index, uint64_t sequence,
	struct mr_segment_info *info, struct mr_segment **out)
{
	struct mr_manifest_record records[VIEW_VIEWS];
	struct mr_view *views[VIEW_VIEWS];
	struct mr_view_sealing sealing;
	uint32_t n = 0;
	int rc;

	for (int i = 0; i < VIEW_VIEWS; i++)
		if (l->views[i])
			views[n++] = l->views[i];
	rc = mr_view_sealing_write(
		&sealing, &l->tools, views, n, l->table->parts[index], sequence, info);
	if (rc < 0) {
		mr_view_sealing_end(&sealing, 1);
		return rc;
	}
	rc = mr_view_sealing_records(&sealing, records);
	assert_int_equal(rc, n);
	rc = mr_segment_store_commit(l->segments, info, records, n, out);
	mr_view_sealing_end(&sealing, rc);
	return rc;
}

void view_life_seal(struct view_life *l, uint32_t index)
{
	uint32_t most = 1 + (uint32_t)mr_rand_below(&l->world->rand, PIECES_MAX);
	uint32_t count = MR_MIN(l->closed_count[index], most);
	struct mr_piece **pieces = l->closed[index], *by;
	struct mr_segment_info info = {
		.id = mr_segment_store_id(l->segments), .table_id = TABLE_ID};
	struct mr_view_ranges ranges = {0};
	struct mr_segment *segment;

	if (!count)
		return;
	if (!view_life_ok(l, write_file(l, pieces, count, &ranges, &info)) ||
		!view_life_ok(l, commit(l, index, pieces[count - 1]->sequence, &info, &segment))) {
		free(ranges.items);
		return;
	}
	assert_int_equal(mr_piece_create(l->table->parts[index], &by), 0);
	by->segment = segment;
	by->sequence = pieces[0]->sequence;
	by->closed = by->handed = true;
	mr_table_part_replace(l->table->parts[index], pieces, count, by);
	l->closed_count[index] -= count;
	memmove(pieces, pieces + count, l->closed_count[index] * sizeof(struct mr_piece *));
}

// The first segment's time is over. Views keep what they made of its rows.
void view_life_expire(struct view_life *l)
{
	struct mr_segment **list, *old = NULL;
	int n = mr_segment_store_list(l->segments, TABLE_ID, &list);

	if (n > 0 && view_life_ok(l, mr_segment_store_expire(l->segments, TABLE_ID, list, 1)))
		old = list[0];
	for (uint32_t i = 0; old && i < old->info.ranges_count; i++)
		l->world->gone[old->info.ranges[i].partition] = old->info.ranges[i].to;
	for (uint32_t i = 0; old && i < l->workers_count; i++) {
		const struct mr_version *v = mr_pieces_now(&l->table->parts[i]->pieces);

		for (uint32_t k = 0; k < v->count; k++)
			if (v->pieces[k]->segment == old) {
				struct mr_piece *p = v->pieces[k];

				mr_table_part_replace(l->table->parts[i], &p, 1, NULL);
				break;
			}
	}
	for (int i = 0; i < n; i++)
		mr_segment_put(list[i]);
	free(list);
}

// ---- views

static struct mr_view *new_view(struct view_life *l, struct mr_view_def *def)
{
	struct mr_diag diag;
	struct mr_fold *fold;
	struct mr_view *v;

	assert_int_equal(
		mr_fold_compile(&l->env, mr_span(def->query, def->query_bytes), &fold, &diag), 0);
	assert_int_equal(mr_view_create(def, l->table, fold, &l->host, &v), 0);
	for (uint32_t i = 0; i < l->workers_count; i++)
		mr_view_attach(v, i);
	return v;
}

void view_life_drop(struct view_life *l, int which)
{
	struct mr_catalog_change change = {0};
	struct mr_view *v = l->views[which];

	mr_catalog_drop_view(&change, v->def->id);
	mr_catalog_drop_runs(&change, v->def->id);
	mr_segment_store_lock_commits(l->segments);
	v->retired = view_life_ok(l, mr_catalog_commit(l->manifest, &change));
	mr_segment_store_unlock_commits(l->segments);
	if (!v->retired)
		return;
	for (uint32_t i = 0; i < l->workers_count; i++)
		mr_view_detach(v, i);
	mr_view_put(v);
	l->views[which] = NULL;
}

void view_life_make(struct view_life *l, int which)
{
	struct mr_catalog_change change = {0};
	uint64_t id = l->world->next_view_id++;
	char name[32];
	struct mr_diag diag;
	struct mr_view *v;

	snprintf(name, sizeof(name), "v%d", which);
	mr_catalog_add_view(&change, id, name, TABLE_ID, mr_span_str(queries[which]));
	if (!view_life_ok(l, mr_catalog_commit(l->manifest, &change)))
		return;
	memcpy(l->world->from[which], l->world->gone, sizeof(l->world->gone));
	v = l->views[which] = new_view(l, mr_catalog_view(&l->catalog, mr_span_str(name)));
	assert_int_equal(mr_view_fill_memory(v, NULL, &diag), 0);
	// Rows go on coming, and are sealed, while segments are folded.
	view_life_apply(l, 0, l->world->end[0], l->world->end[0] + 3);
	l->world->end[0] += 3;
	view_life_close(l, 0);
	view_life_seal(l, 0);
	if (!l->dead)
		view_life_ok(l, mr_view_fill_stored(v, NULL, &diag));
}

struct answer {
	uint64_t counts[KEYS];
	int64_t sums[KEYS];
};

// What the query gives over the log.
static void expect(const struct view_world *w, int which, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	for (uint32_t p = 0; p < VIEW_PARTITIONS; p++)
		for (int64_t at = w->from[which][p]; at < w->end[p]; at++) {
			int32_t k = key_of(p, at);

			if (which && k >= 500)
				continue;
			a->counts[which ? 0 : k]++;
			a->sums[which ? 0 : k] += value_of(p, at);
		}
}

static void add_block(int which, const struct mr_block *b, struct answer *a)
{
	for (uint32_t i = 0; i < b->rows; i++) {
		int32_t k = which ? 0 : ((const int32_t *)b->columns[0].values)[i];
		const struct mr_col *count = &b->columns[which ? 0 : 1];
		const struct mr_col *sum = &b->columns[which ? 1 : 2];

		// A group comes once.
		assert_int_equal(a->counts[k], 0);
		a->counts[k] = ((const uint64_t *)count->values)[i];
		if (!mr_col_is_null(sum, i))
			a->sums[k] = (int64_t)mr_dec_coefficient(
				((const struct mr_dec *)sum->values)[i]);
	}
}

static void read_state(int which, const struct mr_fold_state *s, struct answer *a)
{
	struct mr_arena arena;
	struct mr_query q = {.arena = &arena, .tz = mr_tz_utc()};
	struct mr_block block;
	struct mr_diag diag;
	uint64_t cursor = 0;

	mr_arena_init(&arena, 0);
	while (mr_fold_read(s, &q, &cursor, &block, &diag) == 1)
		add_block(which, &block, a);
	mr_arena_fini(&arena);
}

static void read_passes(struct view_life *l, struct mr_view *v, int which, struct answer *a)
{
	struct mr_view_sources from;
	struct mr_view_merging m;
	struct mr_run_reader *reader;
	struct mr_fold_state *state;
	struct mr_fold_parts parts;
	struct mr_diag diag;
	int rc;

	assert_int_equal(mr_view_sources_all(v, &from), 0);
	assert_int_equal(mr_run_reader_create(&reader), 0);
	mr_view_merging_begin(
		&m, v, &from, reader, 100000 + (size_t)mr_rand_below(&l->world->rand, 1000000));
	while ((rc = mr_view_merging_next(&m, &state, &parts, &diag)) == 1) {
		read_state(which, state, a);
		mr_fold_state_destroy(state);
	}
	assert_int_equal(rc, 0);
	mr_run_reader_destroy(reader);
	mr_view_sources_fini(&from);
}

static void check_view(struct view_life *l, int which)
{
	struct mr_view *v = l->views[which];
	struct answer *want = calloc(1, sizeof(*want)), *got = calloc(1, sizeof(*got));
	struct mr_view_reading reading;
	struct mr_diag diag = {0};

	assert_true(atomic_load(&v->ready));
	expect(l->world, which, want);
	for (uint32_t i = 0; i < l->workers_count; i++)
		mr_view_part_hand_over(&v->parts[i], UINT64_MAX);
	read_passes(l, v, which, got);
	assert_memory_equal(want, got, sizeof(*want));
	memset(got, 0, sizeof(*got));
	assert_int_equal(mr_view_read_frozen(v, NULL, &reading, &diag), 0);
	l->world->reads++;
	if (reading.base) {
		read_state(which, reading.base->fold, got);
		assert_memory_equal(want, got, sizeof(*want));
	} else {
		l->world->spilled++;
	}
	mr_view_reading_end(v, &reading);
	free(want);
	free(got);
}

void view_life_check(struct view_life *l)
{
	// It may have died in the manifest's rewriting, which is not needed at once.
	l->dead |= l->world->sim.dead;
	for (int i = 0; i < VIEW_VIEWS && !l->dead; i++)
		if (l->views[i])
			check_view(l, i);
}

// ---- lives

void view_life_start_views(struct view_life *l)
{
	for (size_t i = 0; i < l->catalog.views_count && !l->dead; i++) {
		struct mr_view_def *def = l->catalog.views[i];
		int which = def->name[1] - '0';
		struct mr_view *v = new_view(l, def);
		struct mr_diag diag;

		assert_null(l->views[which]);
		l->views[which] = v;
		if (!view_life_ok(l, mr_view_open(v, &diag)))
			return;
		if (!l->world->ready[which])
			memcpy(l->world->from[which], l->world->gone, sizeof(l->world->gone));
		if (atomic_load(&v->stats.rows_filled)) {
			assert_false(l->world->ready[which]);
			l->world->refills++;
		}
	}
}

// Everything up to the replay of the log.
void view_life_begin(struct view_life *l, struct view_world *w)
{
	struct mr_manifest_options mo = {
		.disk = &w->sim.disk, .file_bytes = 64 << 10, .snapshot_records = 30};
	struct mr_diag diag;

	*l = (struct view_life){.world = w, .env.ops = &env_ops};
	l->workers_count = 1 + (uint32_t)mr_rand_below(&w->rand, VIEW_WORKERS_MAX);
	for (uint32_t i = 0; i < l->workers_count; i++) {
		assert_int_equal(mr_chunk_pool_create(256 << 20, -1, &l->pools[i]), 0);
		l->workers[i] = calloc(1, sizeof(struct mr_worker));
		assert_int_equal(mr_mailbox_open(&l->workers[i]->box), 0);
	}
	w->sim.locked = false;
	assert_int_equal(mr_dir_init(&w->sim.disk, &diag), 0);
	assert_int_equal(mr_manifest_create(&l->manifest, &mo), 0);
	mr_catalog_init(&l->catalog, l->manifest);
	assert_int_equal(mr_segment_store_create(&w->sim.disk, l->manifest, &l->segments), 0);
	assert_int_equal(mr_run_store_create(&w->sim.disk, l->manifest, &l->runs), 0);
	assert_int_equal(mr_segment_writer_create(&w->sim.disk, &l->writer), 0);
	assert_int_equal(mr_view_tools_init(&l->tools, &w->sim.disk), 0);
	assert_int_equal(mr_manifest_open(l->manifest, &diag), 0);
	assert_int_equal(mr_segment_store_clean(l->segments), 0);
	assert_int_equal(mr_run_store_clean(l->runs), 0);
	l->host = (struct mr_view_host){.disk = &w->sim.disk,
		.runs = l->runs,
		.segments = l->segments,
		.workers = l->workers,
		.budget.bytes_max = w->budget_bytes};
	mr_view_host_init(&l->host);
	if (!l->catalog.tables_count)
		assert_int_equal(first_time(l), 0);
	make_table(l);
}

void view_life_end(struct view_life *l)
{
	for (int i = 0; i < VIEW_VIEWS; i++) {
		l->world->ready[i] = l->views[i] && atomic_load(&l->views[i]->ready);
		for (uint32_t k = 0; l->views[i] && k < l->workers_count; k++)
			mr_view_detach(l->views[i], k);
		if (l->views[i])
			l->world->merges += atomic_load(&l->views[i]->stats.runs_merged);
		mr_view_put(l->views[i]);
	}
	mr_table_put(l->table);
	assert_int_equal(atomic_load(&l->host.budget.states), 0);
	assert_int_equal(atomic_load(&l->host.budget.bases), 0);
	assert_int_equal(atomic_load(&l->host.budget.work), 0);
	assert_true(atomic_load(&l->host.budget.work_peak) <=
		    mr_view_budget_work(&l->host.budget) + MR_VIEW_STEP_BYTES);
	l->world->work_peak = MR_MAX(l->world->work_peak, atomic_load(&l->host.budget.work_peak));
	mr_view_host_fini(&l->host);
	mr_view_tools_fini(&l->tools);
	mr_segment_writer_destroy(l->writer);
	mr_run_store_destroy(l->runs);
	mr_segment_store_destroy(l->segments);
	mr_manifest_destroy(l->manifest);
	mr_catalog_fini(&l->catalog);
	for (uint32_t i = 0; i < l->workers_count; i++) {
		mr_mailbox_close(&l->workers[i]->box);
		free(l->workers[i]);
		mr_chunk_pool_destroy(l->pools[i]);
	}
}
