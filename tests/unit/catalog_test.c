// The catalog as a function of its records: replayed, rewritten and damaged.
#include "host/catalog_int.h"
#include "storage/dir.h"
#include "storage/io_sim.h"
#include "storage/manifest.h"
#include "tests/lib/mr_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rig {
	struct mr_io_sim sim;
	struct mr_manifest *manifest;
	struct mr_catalog catalog;
	struct mr_rand rand;
};

static void open_catalog(struct rig *g)
{
	struct mr_manifest_options mo = {
		.disk = &g->sim.disk, .file_bytes = 64 << 10, .snapshot_records = 50};
	struct mr_diag diag;

	g->sim.locked = false;
	assert_int_equal(mr_manifest_create(&g->manifest, &mo), 0);
	mr_catalog_init(&g->catalog, g->manifest);
	assert_int_equal(mr_manifest_open(g->manifest, &diag), 0);
}

static void close_catalog(struct rig *g)
{
	mr_manifest_destroy(g->manifest);
	mr_catalog_fini(&g->catalog);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	struct mr_diag diag;

	mr_io_sim_init(&g->sim, &(struct mr_io_sim_options){.seed = 4});
	assert_int_equal(mr_dir_init(&g->sim.disk, &diag), 0);
	mr_rand_init(&g->rand, 11);
	open_catalog(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	close_catalog(g);
	mr_io_sim_fini(&g->sim);
	free(g);
	return 0;
}

static void add_topic(struct rig *g, struct mr_catalog_change *ch, const char *name, uint32_t parts)
{
	struct mr_topic t = {.id = mr_uuid_make(&g->rand),
		.number = g->catalog.number_next,
		.name = mr_span_str(name),
		.partitions = parts,
		.config = {-1, 1 << 30, 1 << 20, 1, 1}};

	mr_catalog_add_topic(ch, &t);
}

static void add_table(struct rig *g, struct mr_catalog_change *ch, const char *name)
{
	struct mr_table_def *t = mr_table_def_create(2, 3);

	t->id = g->catalog.object_next;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->topic_id = mr_uuid_make(&g->rand);
	t->options = (struct mr_table_options){5000000, 86400000000, 1};
	t->columns[0] = (struct mr_column_def){t->id + 1, {MR_TYPE_NUMERIC, 12, 2}, true, "amount"};
	t->columns[1] = (struct mr_column_def){t->id + 2, {MR_TYPE_TIMESTAMPTZ, 0, 0}, false, "at"};
	for (int i = 0; i < 3; i++)
		t->starts[i] = 100 * i;
	mr_catalog_add_table(ch, t);
	mr_table_def_put(t);
}

static void commit(struct rig *g, struct mr_catalog_change *ch)
{
	assert_int_equal(mr_catalog_commit(g->manifest, ch), 0);
	*ch = (struct mr_catalog_change){0};
}

static void assert_same_topic(const struct mr_topic *a, const struct mr_topic *b)
{
	assert_true(mr_uuid_eq(a->id, b->id) && a->number == b->number);
	assert_true(mr_span_eq(a->name, b->name));
	assert_int_equal(a->partitions, b->partitions);
	assert_memory_equal(&a->config, &b->config, sizeof(a->config));
}

static void assert_same_table(const struct mr_table_def *a, const struct mr_table_def *b)
{
	assert_true(a->id == b->id && mr_uuid_eq(a->topic_id, b->topic_id));
	assert_string_equal(a->name, b->name);
	assert_true(a->options.watermark_delay_us == b->options.watermark_delay_us);
	assert_true(a->options.ttl_us == b->options.ttl_us);
	assert_int_equal(a->options.watermark_column, b->options.watermark_column);
	assert_int_equal(a->columns_count, b->columns_count);
	for (uint32_t i = 0; i < a->columns_count; i++) {
		const struct mr_column_def *x = &a->columns[i], *y = &b->columns[i];

		assert_true(x->id == y->id && x->not_null == y->not_null);
		assert_int_equal(x->type.type, y->type.type);
		assert_int_equal(x->type.precision, y->type.precision);
		assert_int_equal(x->type.scale, y->type.scale);
		assert_string_equal(x->name, y->name);
	}
	assert_int_equal(a->starts_count, b->starts_count);
	assert_memory_equal(a->starts, b->starts, a->starts_count * sizeof(*a->starts));
}

static void assert_same(const struct mr_catalog *a, const struct mr_catalog *b)
{
	assert_true(a->number_next == b->number_next && a->object_next == b->object_next);
	assert_true(a->producer_next == b->producer_next);
	assert_true(a->has_cluster_id == b->has_cluster_id);
	assert_true(mr_uuid_eq(a->cluster_id, b->cluster_id));
	assert_int_equal(a->topics_count, b->topics_count);
	assert_int_equal(a->tables_count, b->tables_count);
	assert_int_equal(a->views_count, b->views_count);
	for (size_t i = 0; i < a->topics_count; i++)
		assert_same_topic(&a->topics[i]->topic, &b->topics[i]->topic);
	for (size_t i = 0; i < a->tables_count; i++)
		assert_same_table(a->tables[i], b->tables[i]);
	for (size_t i = 0; i < a->views_count; i++) {
		assert_true(a->views[i]->id == b->views[i]->id);
		assert_true(a->views[i]->table_id == b->views[i]->table_id);
		assert_string_equal(a->views[i]->name, b->views[i]->name);
		assert_string_equal(a->views[i]->query, b->views[i]->query);
	}
}

// Opens the directory a second time, as the next start would, and compares.
static void assert_replays(struct rig *g)
{
	struct rig before = *g;

	mr_manifest_destroy(g->manifest);
	open_catalog(g);
	assert_same(&before.catalog, &g->catalog);
	mr_catalog_fini(&before.catalog);
}

static void random_change(struct rig *g)
{
	struct mr_catalog *c = &g->catalog;
	struct mr_catalog_change ch = {0};
	char name[32];

	snprintf(name, sizeof(name), "n%llu", (unsigned long long)mr_rand_u64(&g->rand) % 1000000);
	switch (mr_rand_u64(&g->rand) % 8) {
	case 0: mr_catalog_add_cluster(&ch, mr_uuid_make(&g->rand)); break;
	case 1: mr_catalog_add_producers(&ch, c->producer_next + 1000); break;
	case 2:
		if (c->topics_count)
			mr_catalog_drop_topic(&ch, c->topics[0]->topic.number);
		break;
	case 3:
		if (c->tables_count)
			mr_catalog_drop_table(&ch, c->tables[c->tables_count - 1]->id);
		break;
	case 4:
		if (c->views_count)
			mr_catalog_drop_view(&ch, c->views[c->views_count / 2]->id);
		break;
	case 5: add_table(g, &ch, name); break;
	case 6:
		mr_catalog_add_view(&ch, c->object_next, name, 7,
			mr_span_str("SELECT count(*) AS count FROM t"));
		break;
	default: break;
	}
	add_topic(g, &ch, name, 1 + (uint32_t)(mr_rand_u64(&g->rand) % 9));
	commit(g, &ch);
}

static void records_replay_to_the_same_state(void **state)
{
	struct rig *g = *state;

	for (int i = 0; i < 200; i++) {
		random_change(g);
		if (i % 20 == 0)
			assert_replays(g);
		if (i % 70 == 0)
			assert_int_equal(mr_manifest_compact(g->manifest), 0);
	}
	assert_replays(g);
	assert_true(g->catalog.topics_count > 50);
}

static void numbers_of_dropped_things_are_not_used_again(void **state)
{
	struct rig *g = *state;
	struct mr_catalog_change ch = {0};
	uint64_t topic, table;

	add_topic(g, &ch, "a", 1);
	add_table(g, &ch, "t");
	commit(g, &ch);
	topic = g->catalog.number_next;
	table = g->catalog.object_next;
	mr_catalog_drop_topic(&ch, topic - 1);
	mr_catalog_drop_table(&ch, g->catalog.tables[0]->id);
	commit(g, &ch);
	assert_int_equal(mr_manifest_compact(g->manifest), 0);
	assert_replays(g);
	assert_int_equal(g->catalog.topics_count + g->catalog.tables_count, 0);
	assert_int_equal(g->catalog.number_next, topic);
	assert_int_equal(g->catalog.object_next, table);
}

static void a_changed_topic_keeps_its_place(void **state)
{
	struct rig *g = *state;
	struct mr_catalog_change ch = {0};
	struct mr_topic t;
	char name[32];

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		add_topic(g, &ch, name, 1);
		commit(g, &ch);
	}
	t = g->catalog.topics[1]->topic;
	t.partitions = 9;
	mr_catalog_add_topic(&ch, &t);
	commit(g, &ch);
	assert_int_equal(g->catalog.topics_count, 3);
	assert_int_equal(g->catalog.topics[1]->topic.partitions, 9);
}

// What a record of each kind looks like.
static void one_of_each(struct rig *g, struct mr_catalog_change *ch)
{
	mr_catalog_add_cluster(ch, mr_uuid_make(&g->rand));
	add_topic(g, ch, "topic", 3);
	add_table(g, ch, "table");
	mr_catalog_add_view(ch, 50, "view", 1, mr_span_str("SELECT 1"));
	mr_catalog_drop_topic(ch, 1);
	mr_catalog_drop_table(ch, 1);
	mr_catalog_drop_view(ch, 1);
	mr_catalog_add_producers(ch, 5000);
}

// Every object is found by its name and its id, and nothing else is.
static void assert_lists_agree(const struct mr_catalog *c)
{
	uint64_t partitions = 0;

	assert_int_equal(mr_sorted_count(c->topics_by_name), c->topics_count);
	assert_int_equal(mr_sorted_count(c->topics_by_id), c->topics_count);
	assert_int_equal(mr_sorted_count(c->tables_by_name), c->tables_count);
	assert_int_equal(mr_sorted_count(c->views_by_name), c->views_count);
	for (size_t i = 0; i < c->topics_count; i++) {
		struct mr_topic_def *t = c->topics[i];

		partitions += t->topic.partitions;
		assert_ptr_equal(mr_catalog_topic(c, t->topic.name), t);
		assert_ptr_equal(mr_catalog_topic_by_id(c, t->topic.id), t);
	}
	assert_int_equal(c->partitions_count, partitions);
	for (size_t i = 0; i < c->tables_count; i++) {
		assert_ptr_equal(
			mr_catalog_table(c, mr_span_str(c->tables[i]->name)), c->tables[i]);
		assert_ptr_equal(mr_catalog_table_by_id(c, c->tables[i]->id), c->tables[i]);
	}
	for (size_t i = 0; i < c->views_count; i++) {
		assert_ptr_equal(mr_catalog_view(c, mr_span_str(c->views[i]->name)), c->views[i]);
		assert_ptr_equal(mr_catalog_view_by_id(c, c->views[i]->id), c->views[i]);
	}
}

// As random_change, with names that are not taken twice, and one object of each kind at least.
static void unlike_change(struct rig *g, int i)
{
	struct mr_catalog *c = &g->catalog;
	struct mr_catalog_change ch = {0};
	char name[32];

	snprintf(name, sizeof(name), "n%llu_%d", (unsigned long long)mr_rand_u64(&g->rand) % 1000,
		i);
	add_topic(g, &ch, name, 1 + (uint32_t)(mr_rand_u64(&g->rand) % 9));
	add_table(g, &ch, name);
	mr_catalog_add_view(&ch, c->object_next + 3, name, 7, mr_span_str("SELECT 1 AS a FROM t"));
	if (c->topics_count && mr_rand_below(&g->rand, 3) == 0)
		mr_catalog_drop_topic(
			&ch, c->topics[mr_rand_below(&g->rand, c->topics_count)]->topic.number);
	if (c->tables_count && mr_rand_below(&g->rand, 3) == 0)
		mr_catalog_drop_table(&ch, c->tables[mr_rand_below(&g->rand, c->tables_count)]->id);
	if (c->views_count && mr_rand_below(&g->rand, 3) == 0)
		mr_catalog_drop_view(&ch, c->views[mr_rand_below(&g->rand, c->views_count)]->id);
	commit(g, &ch);
}

static void objects_are_found_by_name_and_id(void **state)
{
	struct rig *g = *state;

	for (int i = 0; i < 600; i++) {
		unlike_change(g, i);
		if (i % 60 == 0)
			assert_lists_agree(&g->catalog);
	}
	assert_lists_agree(&g->catalog);
	assert_replays(g);
	assert_lists_agree(&g->catalog);
}

static void news_are_what_differs_from_what_was_told(void **state)
{
	struct rig *g = *state;
	struct mr_catalog *c = &g->catalog;
	struct mr_catalog_change ch = {0};
	struct mr_sorted *kept;
	struct mr_topic t;

	add_topic(g, &ch, "before", 1);
	commit(g, &ch);
	assert_int_equal(c->news_count, 0); // nobody has been told anything yet
	mr_catalog_told(c);
	kept = mr_sorted_get(c->topics_by_name);

	add_topic(g, &ch, "new", 2);
	t = c->topics[0]->topic;
	t.partitions = 5;
	mr_catalog_add_topic(&ch, &t);
	commit(g, &ch);
	assert_int_equal(c->news_count, 2);
	assert_true(!c->news[0].was && c->news[0].is == c->topics[1]);
	assert_true(c->news[1].was == mr_sorted_find(kept, &t) && c->news[1].is == c->topics[0]);
	assert_int_equal(mr_sorted_count(kept), 1);

	// What comes and goes before anybody is told is no news; what goes on changing is one.
	mr_catalog_drop_topic(&ch, c->topics[1]->topic.number);
	mr_catalog_drop_topic(&ch, c->topics[0]->topic.number);
	commit(g, &ch);
	assert_int_equal(c->news_count, 1);
	assert_true(c->news[0].was == mr_sorted_find(kept, &t) && !c->news[0].is);
	mr_catalog_told(c);
	assert_int_equal(c->news_count, 0);
	mr_sorted_put(kept);
}

static void records_of_wrong_length_are_refused(void **state)
{
	struct rig *g = *state;
	struct mr_catalog_change ch = {0};
	const struct mr_catalog_head *heads;
	struct mr_catalog c = {0};

	mr_catalog_lists_init(&c);
	one_of_each(g, &ch);
	heads = (const void *)ch.heads.data;
	for (uint32_t i = 0; i < ch.count; i++) {
		size_t at = heads[i].at;
		size_t end = i + 1 < ch.count ? heads[i + 1].at : ch.bytes.bytes;
		uint8_t *copy = calloc(1, end - at + 1);
		struct mr_manifest_record r = {heads[i].type, 1, {copy, 0}};
		struct mr_diag diag = {0};

		memcpy(copy, ch.bytes.data + at, end - at);
		for (size_t n = 0; n <= end - at + 1; n++) {
			r.payload.bytes = n;
			assert_int_equal(mr_catalog_replay(&c, &r, &diag),
				n == end - at ? 0 : MR_ERR_CORRUPT);
		}
		free(copy);
	}
	mr_catalog_change_fini(&ch);
	mr_catalog_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_replay_to_the_same_state, setup, teardown),
		cmocka_unit_test_setup_teardown(
			numbers_of_dropped_things_are_not_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_topic_keeps_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(objects_are_found_by_name_and_id, setup, teardown),
		cmocka_unit_test_setup_teardown(
			news_are_what_differs_from_what_was_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			records_of_wrong_length_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
