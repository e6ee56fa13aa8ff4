// From the catalog to what runs: a snapshot made of the one before and of what has changed since,
// taken over by every worker. Control thread, but for looking things up.
#include "host/base/place.h"
#include "host/control.h"
#include "host/merge.h"
#include "host/view/view.h"
#include "host/worker.h"
#include "storage/segment_store.h"

#include <stdlib.h>

struct mr_snapshot *mr_snapshot_get(struct mr_snapshot *s)
{
	atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
	return s;
}

void mr_snapshot_put(struct mr_snapshot *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < s->views_count; i++)
		mr_view_put(s->views[i]);
	for (size_t i = 0; i < s->tables_count; i++)
		mr_table_put(s->tables[i]);
	free(s->views);
	free(s->tables);
	mr_sorted_put(s->topics_by_name);
	mr_sorted_put(s->topics_by_id);
	mr_sorted_put(s->tables_by_name);
	mr_sorted_put(s->views_by_name);
	free(s);
}

// ---- looking up

static uint64_t table_number(const void *list, size_t at)
{
	return ((struct mr_table *const *)list)[at]->def->id;
}

static size_t table_index(const struct mr_snapshot *s, uint64_t id)
{
	return mr_place_of(s->tables, s->tables_count, id, table_number);
}

static uint64_t view_number(const void *list, size_t at)
{
	return ((struct mr_view *const *)list)[at]->def->id;
}

static size_t view_index(const struct mr_snapshot *s, uint64_t id)
{
	return mr_place_of(s->views, s->views_count, id, view_number);
}

struct mr_table *mr_snapshot_table_by_id(const struct mr_snapshot *s, uint64_t id)
{
	size_t i = table_index(s, id);

	return i < s->tables_count && s->tables[i]->def->id == id ? s->tables[i] : NULL;
}

struct mr_view *mr_snapshot_view_by_id(const struct mr_snapshot *s, uint64_t id)
{
	size_t i = view_index(s, id);

	return i < s->views_count && s->views[i]->def->id == id ? s->views[i] : NULL;
}

struct mr_table *mr_snapshot_table(const struct mr_snapshot *s, struct mr_span name)
{
	const struct mr_table_def *def = mr_table_def_find(s->tables_by_name, name);

	return def ? mr_snapshot_table_by_id(s, def->id) : NULL;
}

struct mr_view *mr_snapshot_view(const struct mr_snapshot *s, struct mr_span name)
{
	const struct mr_view_def *def = mr_view_def_find(s->views_by_name, name);

	return def ? mr_snapshot_view_by_id(s, def->id) : NULL;
}

// ---- making one

// A snapshot being made. What is to be told again goes to the one after it.
struct making {
	struct mr_control *control;
	const struct mr_snapshot *old; // NULL at a start
	struct mr_snapshot *made;
	struct mr_snapshot_change change;
	struct mr_view_def **later; // references
	size_t later_count;
};

static void list_insert(void **list, size_t *count, size_t index, void *item)
{
	memmove(&list[index + 1], &list[index], (*count - index) * sizeof(*list));
	list[index] = item;
	(*count)++;
}

static void list_remove(void **list, size_t *count, size_t index)
{
	(*count)--;
	memmove(&list[index], &list[index + 1], (*count - index) * sizeof(*list));
}

// Everything there was, with room for all that may come.
static void making_begin(struct making *m, struct mr_control *c)
{
	const struct mr_catalog *cat = &c->catalog;
	const struct mr_snapshot *old = c->snapshot;
	size_t news = cat->news_count + (old ? 0 : cat->topics_count + cat->tables_count);
	size_t tables = (old ? old->tables_count : 0) + news;
	size_t views = (old ? old->views_count : 0) + news;
	struct mr_snapshot *s = calloc(1, sizeof(*s));

	*m = (struct making){.control = c, .old = old, .made = s};
	m->change.topics = calloc(news + 1, sizeof(*m->change.topics));
	m->change.tables = calloc(news + 1, sizeof(*m->change.tables));
	m->change.views = calloc(views + 1, sizeof(*m->change.views));
	m->later = calloc(cat->views_count + 1, sizeof(*m->later));
	MR_ASSERT(s && m->change.topics && m->change.tables && m->change.views && m->later);
	atomic_init(&s->references, 1);
	s->tables = calloc(tables + 1, sizeof(*s->tables));
	s->views = calloc(views + 1, sizeof(*s->views));
	MR_ASSERT(s->tables && s->views);
	s->topics_by_name = mr_sorted_get(cat->topics_by_name);
	s->topics_by_id = mr_sorted_get(cat->topics_by_id);
	s->tables_by_name = mr_sorted_get(cat->tables_by_name);
	s->views_by_name = mr_sorted_get(cat->views_by_name);
	s->topics = (struct mr_topics){
		cat->version, cat->topics_count, s->topics_by_name, s->topics_by_id};
	for (size_t i = 0; old && i < old->tables_count; i++)
		s->tables[s->tables_count++] = mr_table_get(old->tables[i]);
	for (size_t i = 0; old && i < old->views_count; i++)
		s->views[s->views_count++] = mr_view_get(old->views[i]);
}

static void making_end(struct making *m)
{
	for (size_t i = 0; i < m->later_count; i++)
		mr_view_def_put(m->later[i]);
	free(m->later);
	free(m->change.topics);
	free(m->change.tables);
	free(m->change.views);
}

static void change_topic(struct making *m, struct mr_topic_def *was, struct mr_topic_def *is)
{
	m->change.topics[m->change.topics_count++] = (struct mr_changed_topic){was, is};
}

// Makes the table with what is stored of it.
static int table_start(struct mr_control *c, struct mr_table_def *def, struct mr_table **out)
{
	struct mr_segment **segments;
	struct mr_offset_range *expired = NULL;
	int n = mr_segment_store_list(c->segments, def->id, &segments), rc;
	int expired_count = mr_segment_store_expired(c->segments, def->id, &expired);
	const struct mr_table_setup o = {
		.parts_count = c->workers_count,
		.pools = c->pools,
		.chunk_bytes_max = c->config->table_chunk_bytes_max,
		.seal = c->seal,
		.segments = segments,
		.segments_count = (uint32_t)MR_MAX(n, 0),
		.expired = expired,
		.expired_count = (uint32_t)MR_MAX(expired_count, 0),
	};

	rc = MR_MIN(n, expired_count);
	if (rc >= 0)
		rc = mr_table_create(
			def, mr_catalog_topic_by_id(&c->catalog, def->topic_id), &o, out);
	for (int i = 0; i < n; i++)
		mr_segment_put(segments[i]);
	free(segments);
	free(expired);
	return rc;
}

// Puts the table of that id as `def` says, which is NULL when it is gone.
static int change_table(struct making *m, uint64_t id, struct mr_table_def *def)
{
	struct mr_snapshot *s = m->made;
	struct mr_table *was = mr_snapshot_table_by_id(s, id), *is = NULL;
	size_t at = table_index(s, id);
	int rc = 0;

	if (was ? was->def == def : !def)
		return 0;
	if (def)
		rc = table_start(m->control, def, &is);
	if (rc < 0)
		return rc;
	if (was) {
		list_remove((void **)s->tables, &s->tables_count, at);
		mr_table_put(was); // the old snapshot has it
	}
	if (is)
		list_insert((void **)s->tables, &s->tables_count, at, is);
	m->change.tables[m->change.tables_count++] = (struct mr_changed_table){was, is};
	return 0;
}

static void drop_view(struct making *m, struct mr_view *was)
{
	struct mr_snapshot *s = m->made;

	list_remove((void **)s->views, &s->views_count, view_index(s, was->def->id));
	mr_view_put(was); // the old snapshot has it
	m->change.views[m->change.views_count++] = (struct mr_changed_view){was, NULL};
}

static int view_start(struct mr_control *c, struct mr_snapshot *s, struct mr_view_def *def,
	struct mr_view **out, struct mr_diag *diag)
{
	struct mr_fold *fold = c->fold_new;
	struct mr_table *table = mr_snapshot_table_by_id(s, def->table_id);
	int rc = 0;

	if (!table)
		return mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0,
			"the table of materialized view \"%s\" is missing", def->name);
	c->fold_new = NULL;
	if (!fold)
		rc = mr_fold_compile(c->env, mr_span(def->query, def->query_bytes), &fold, diag);
	if (rc < 0)
		return rc;
	rc = mr_view_create(def, table, fold, &c->views, out);
	if (rc < 0)
		mr_fold_destroy(fold);
	return rc;
}

// The next snapshot has the view: there is nothing to compile it against while its table is not in
// force.
static void later(struct making *m, struct mr_view_def *def)
{
	m->later[m->later_count++] = mr_view_def_get(def);
}

static int add_view(struct making *m, struct mr_view_def *def, struct mr_diag *diag)
{
	struct mr_snapshot *s = m->made;
	const struct mr_table *t = mr_snapshot_table_by_id(s, def->table_id);
	struct mr_view *is;
	int rc;

	if (t && mr_snapshot_table_by_id(m->old, def->table_id) != t) {
		later(m, def);
		return 0;
	}
	rc = view_start(m->control, s, def, &is, diag);
	if (rc < 0)
		return rc;
	list_insert((void **)s->views, &s->views_count, view_index(s, def->id), is);
	m->change.views[m->change.views_count++] = (struct mr_changed_view){NULL, is};
	return 0;
}

// Puts the view of that id as `def` says. One that runs already keeps its state.
static int change_view(struct making *m, uint64_t id, struct mr_view_def *def, struct mr_diag *diag)
{
	struct mr_view *was = mr_snapshot_view_by_id(m->made, id);

	if (was && was->def == def)
		return 0;
	if (was)
		drop_view(m, was);
	return def ? add_view(m, def, diag) : 0;
}

// Views of a table that has been emptied go with it, and come back empty.
static void drop_views_of(struct making *m, const struct mr_table *was)
{
	struct mr_snapshot *s = m->made;

	for (size_t i = s->views_count; i > 0; i--) {
		struct mr_view *v = s->views[i - 1];

		if (v->table != was)
			continue;
		if (mr_catalog_view_by_id(&m->control->catalog, v->def->id) == v->def)
			later(m, v->def);
		drop_view(m, v);
	}
}

// At a start: everything there is.
static int make_all(struct making *m, struct mr_diag *diag)
{
	const struct mr_catalog *cat = &m->control->catalog;
	int rc = 0;

	for (size_t i = 0; i < cat->topics_count; i++)
		change_topic(m, NULL, cat->topics[i]);
	for (size_t i = 0; rc == 0 && i < cat->tables_count; i++)
		rc = change_table(m, cat->tables[i]->id, cat->tables[i]);
	for (size_t i = 0; i < cat->views_count; i++)
		later(m, cat->views[i]);
	return rc < 0 ? mr_diag_set(
				diag, rc, "53200", 0, "cannot make the table: %s", mr_err_text(rc))
		      : 0;
}

static int make_news(struct making *m, struct mr_diag *diag)
{
	const struct mr_catalog *cat = &m->control->catalog;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < cat->news_count; i++) {
		const struct mr_catalog_news *n = &cat->news[i];

		if (n->kind == MR_CATALOG_TOPIC)
			change_topic(m, n->was, n->is);
		else if (n->kind == MR_CATALOG_TABLE)
			rc = change_table(m, n->id, n->is);
	}
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "53200", 0, "cannot make the table: %s", mr_err_text(rc));
	for (size_t i = 0; i < m->change.tables_count; i++)
		if (m->change.tables[i].was)
			drop_views_of(m, m->change.tables[i].was);
	for (size_t i = 0; rc == 0 && i < cat->news_count; i++)
		if (cat->news[i].kind == MR_CATALOG_VIEW)
			rc = change_view(m, cat->news[i].id, cat->news[i].is, diag);
	return rc;
}

// ---- putting it in force

static void apply_on_worker(struct mr_worker *w, void *arg)
{
	const struct making *m = arg;

	mr_worker_apply_snapshot(w, m->made, &m->change);
}

static void workers_apply(struct mr_control *c, struct making *m)
{
	if (c->started) {
		mr_workers_call(c->workers, c->workers_count, apply_on_worker, m);
		return;
	}
	for (uint32_t i = 0; i < c->workers_count; i++)
		apply_on_worker(c->workers[i], m);
}

int mr_control_publish(struct mr_control *c, struct mr_diag *diag)
{
	struct mr_snapshot *old = c->snapshot;
	struct making m;
	int rc;

	making_begin(&m, c);
	rc = old ? make_news(&m, diag) : make_all(&m, diag);
	if (rc < 0) {
		mr_snapshot_put(m.made);
		making_end(&m);
		return rc;
	}
	mr_merge_hold(c->merge);
	workers_apply(c, &m);
	mr_merge_release(c->merge);
	pthread_mutex_lock(&c->snapshot_lock);
	c->snapshot = m.made;
	pthread_mutex_unlock(&c->snapshot_lock);
	mr_catalog_told(&c->catalog);
	for (size_t i = 0; i < m.later_count; i++)
		mr_catalog_tell_view(&c->catalog, m.later[i]);
	making_end(&m);
	mr_snapshot_put(old);
	return 0;
}
