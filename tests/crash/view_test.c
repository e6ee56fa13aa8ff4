// Stored views on the simulated disk, with the power cut or the process killed at any flush: after
// every restart, with any number of workers, a view is exactly its query over all rows of the log,
// and one that was whole before is not folded again.
//
// The log is a function: row (partition, offset) has a key and a value computed from both, and all
// rows up to `end` are durable. A life replays from where the segments end, goes on with new rows,
// closes and seals pieces, makes and drops views, reads, merges runs and lets segments expire, by
// seed, until a flush kills it or it ends well.
#include "host/base/dec.h"
#include "host/base/hash.h"
#include "host/base/rand.h"
#include "host/base/tz.h"
#include "host/view/view_base.h"
#include "host/view/view_merger.h"
#include "host/worker.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/segment_store.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTITIONS = 4, WORKERS_MAX = 4, VIEWS = 2, KEYS = 6000, STEPS = 60, LIVES = 14 };
enum { PIECES_MAX = 3, TABLE_ID = 1, FIRST_VIEW_ID = 100 };

static const char *const queries[VIEWS] = {
	"SELECT k, count(*) AS c, sum(x) AS s FROM t GROUP BY k",
	"SELECT count(*) AS c, sum(x) AS s FROM t WHERE k < 500",
};

static int32_t key_of(uint32_t partition, int64_t offset)
{
	return (int32_t)(mr_hash64((uint64_t)offset * PARTITIONS + partition, 1) % KEYS);
}

static int64_t value_of(uint32_t partition, int64_t offset)
{
	return (int64_t)(mr_hash64((uint64_t)offset * PARTITIONS + partition, 2) % 1000000);
}

// What outlives a life.
struct world {
	struct mr_io_sim sim;
	struct mr_rand rand;
	int64_t end[PARTITIONS];         // rows of the log
	int64_t gone[PARTITIONS];        // up to where segments have expired
	int64_t from[VIEWS][PARTITIONS]; // what a view has begins here
	bool ready[VIEWS];               // was whole when the last life ended
	uint64_t next_view_id;
	size_t budget_bytes;
	uint64_t refills, reads, spilled, merges, deaths;
	size_t work_peak; // of views, in bytes
};

struct life {
	struct world *world;
	struct mr_manifest *manifest;
	struct mr_catalog catalog;
	struct mr_segment_store *segments;
	struct mr_run_store *runs;
	struct mr_segment_writer *writer;
	struct mr_view_tools tools;
	struct mr_env env;
	struct mr_view_host host;
	struct mr_chunk_pool *pools[WORKERS_MAX];
	struct mr_worker *workers[WORKERS_MAX];
	uint32_t workers_count;
	struct mr_table *table;
	struct mr_view *views[VIEWS]; // by query; NULL: none
	// Of each part: what is closed and not sealed, in order.
	struct mr_piece *closed[WORKERS_MAX][64];
	uint32_t closed_count[WORKERS_MAX];
	bool dead;
};

static struct life *life_of(struct mr_env *e)
{
	return MR_CONTAINER(e, struct life, env);
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
static bool ok(struct life *l, int rc)
{
	if (rc < 0) {
		assert_true(l->world->sim.dead);
		l->dead = true;
	}
	return rc >= 0;
}

// ---- tables and rows

static int first_time(struct life *l)
{
	struct mr_catalog_change change = {0};
	struct mr_topic topic = {.number = 1, .name = mr_span_str("t"), .partitions = PARTITIONS};
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

static void make_table(struct life *l)
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

static struct mr_piece *open_piece(struct life *l, struct mr_table_part *part)
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
static void apply(struct life *l, uint32_t partition, int64_t from, int64_t to)
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

static void close_piece(struct life *l, uint32_t index)
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

static int write_file(struct life *l, struct mr_piece **pieces, uint32_t count,
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

static int commit(struct life *l, uint32_t index, uint64_t sequence, struct mr_segment_info *info,
	struct mr_segment **out)
{
	struct mr_manifest_record records[VIEWS];
	struct mr_view *views[VIEWS];
	struct mr_view_sealing sealing;
	uint32_t n = 0;
	int rc;

	for (int i = 0; i < VIEWS; i++)
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

static void seal(struct life *l, uint32_t index)
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
	if (!ok(l, write_file(l, pieces, count, &ranges, &info)) ||
		!ok(l, commit(l, index, pieces[count - 1]->sequence, &info, &segment))) {
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
static void expire(struct life *l)
{
	struct mr_segment **list, *old = NULL;
	int n = mr_segment_store_list(l->segments, TABLE_ID, &list);

	if (n > 0 && ok(l, mr_segment_store_expire(l->segments, TABLE_ID, list, 1)))
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

static struct mr_view *new_view(struct life *l, struct mr_view_def *def)
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

static void drop_view(struct life *l, int which)
{
	struct mr_catalog_change change = {0};
	struct mr_view *v = l->views[which];

	mr_catalog_drop_view(&change, v->def->id);
	mr_catalog_drop_runs(&change, v->def->id);
	if (!ok(l, mr_catalog_commit(l->manifest, &change)))
		return;
	v->retired = true;
	for (uint32_t i = 0; i < l->workers_count; i++)
		mr_view_detach(v, i);
	mr_view_put(v);
	l->views[which] = NULL;
}

static void make_view(struct life *l, int which)
{
	struct mr_catalog_change change = {0};
	uint64_t id = l->world->next_view_id++;
	char name[32];
	struct mr_diag diag;
	struct mr_view *v;

	snprintf(name, sizeof(name), "v%d", which);
	mr_catalog_add_view(&change, id, name, TABLE_ID, mr_span_str(queries[which]));
	if (!ok(l, mr_catalog_commit(l->manifest, &change)))
		return;
	memcpy(l->world->from[which], l->world->gone, sizeof(l->world->gone));
	v = l->views[which] = new_view(l, mr_catalog_view(&l->catalog, mr_span_str(name)));
	assert_int_equal(mr_view_fill_memory(v, NULL, &diag), 0);
	// Rows go on coming, and are sealed, while segments are folded.
	apply(l, 0, l->world->end[0], l->world->end[0] + 3);
	l->world->end[0] += 3;
	close_piece(l, 0);
	seal(l, 0);
	if (!l->dead)
		ok(l, mr_view_fill_stored(v, NULL, &diag));
}

struct answer {
	uint64_t counts[KEYS];
	int64_t sums[KEYS];
};

// What the query gives over the log.
static void expect(const struct world *w, int which, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	for (uint32_t p = 0; p < PARTITIONS; p++)
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

static void read_passes(struct life *l, struct mr_view *v, int which, struct answer *a)
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

static void check_view(struct life *l, int which)
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

static void check_views(struct life *l)
{
	// It may have died in the manifest's rewriting, which is not needed at once.
	l->dead |= l->world->sim.dead;
	for (int i = 0; i < VIEWS && !l->dead; i++)
		if (l->views[i])
			check_view(l, i);
}

// ---- lives

static void start_views(struct life *l)
{
	for (size_t i = 0; i < l->catalog.views_count && !l->dead; i++) {
		struct mr_view_def *def = l->catalog.views[i];
		int which = def->name[1] - '0';
		struct mr_view *v = new_view(l, def);
		struct mr_diag diag;

		assert_null(l->views[which]);
		l->views[which] = v;
		if (!ok(l, mr_view_open(v, &diag)))
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
static void life_begin(struct life *l, struct world *w)
{
	struct mr_manifest_options mo = {
		.disk = &w->sim.disk, .file_bytes = 64 << 10, .snapshot_records = 30};
	struct mr_diag diag;

	*l = (struct life){.world = w, .env.ops = &env_ops};
	l->workers_count = 1 + (uint32_t)mr_rand_below(&w->rand, WORKERS_MAX);
	for (uint32_t i = 0; i < l->workers_count; i++) {
		assert_int_equal(mr_chunk_pool_create(256 << 20, &l->pools[i]), 0);
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

static void life_end(struct life *l)
{
	for (int i = 0; i < VIEWS; i++) {
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

static void replay(struct life *l)
{
	for (uint32_t p = 0; p < PARTITIONS; p++)
		apply(l, p, mr_table_held(l->table, p), l->world->end[p]);
}

static void merge_runs(struct life *l)
{
	struct mr_diag diag;

	for (int i = 0; i < VIEWS && !l->dead; i++)
		if (l->views[i])
			ok(l, mr_view_merge_runs(&l->tools, l->views[i], &diag));
}

static void step(struct life *l)
{
	struct mr_rand *r = &l->world->rand;
	uint32_t p = (uint32_t)mr_rand_below(r, PARTITIONS),
		 which = (uint32_t)mr_rand_below(r, VIEWS);
	uint32_t index = (uint32_t)mr_rand_below(r, l->workers_count);
	int64_t rows = (int64_t)mr_rand_below(r, 200);

	switch (mr_rand_below(r, 17)) {
	case 0:
		if (l->views[which])
			drop_view(l, (int)which);
		else
			make_view(l, (int)which);
		break;
	case 1: merge_runs(l); break;
	case 2: check_views(l); break;
	case 16: expire(l); break;
	case 3:
	case 4:
	case 5:
	case 6: close_piece(l, index); break;
	case 7:
	case 8:
	case 9: seal(l, index); break;
	default:
		apply(l, p, l->world->end[p], l->world->end[p] + rows);
		l->world->end[p] += rows;
		break;
	}
}

static void live(struct world *w, bool dies)
{
	struct life l;

	life_begin(&l, w);
	if (dies)
		w->sim.die_at_flush = w->sim.flushes + 1 + mr_rand_below(&w->rand, 60);
	start_views(&l);
	if (!l.dead) {
		replay(&l);
		check_views(&l);
	}
	for (int i = 0; i < STEPS && !l.dead; i++)
		step(&l);
	check_views(&l);
	w->deaths += l.dead;
	life_end(&l);
	if (mr_rand_below(&w->rand, 2))
		mr_io_sim_kill(&w->sim);
	else
		mr_io_sim_power_cut(&w->sim);
	w->sim.die_at_flush = 0;
}

static void world_run(uint64_t seed, size_t budget_bytes)
{
	struct world w = {.next_view_id = FIRST_VIEW_ID, .budget_bytes = budget_bytes};

	print_message("seed %llu\n", (unsigned long long)seed);
	mr_rand_init(&w.rand, seed);
	mr_io_sim_init(&w.sim, &(struct mr_io_sim_options){.seed = seed});
	for (int i = 0; i < LIVES; i++)
		live(&w, i % 3 != 0);
	live(&w, false);
	print_message("%llu deaths, %llu reads, %llu of them without base, %llu refills, %llu runs "
		      "merged, %zu bytes for work\n",
		(unsigned long long)w.deaths, (unsigned long long)w.reads,
		(unsigned long long)w.spilled, (unsigned long long)w.refills,
		(unsigned long long)w.merges, w.work_peak);
	assert_true(w.deaths > 0 && w.reads > 0 && w.work_peak > 0);
	mr_io_sim_fini(&w.sim);
}

static void view_is_its_query_after_any_crash(void **)
{
	uint64_t seed = mr_rand_seed_os();

	for (uint64_t i = 0; i < 3; i++)
		world_run(seed + i, 64 << 20);
}

static void view_without_base_is_its_query_after_any_crash(void **)
{
	uint64_t seed = mr_rand_seed_os();

	for (uint64_t i = 0; i < 3; i++)
		world_run(seed + i, 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(view_is_its_query_after_any_crash),
		cmocka_unit_test(view_without_base_is_its_query_after_any_crash),
	};

	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
