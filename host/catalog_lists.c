// What the catalog has, by number, by name and by id, and what has changed of it.
#include "host/catalog_int.h"

#include "host/base/place.h"

#include <stdlib.h>
#include <string.h>

// ---- lists by name and id

static int by_table_name(const void *a, const void *b)
{
	const struct mr_table_def *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_view_name(const void *a, const void *b)
{
	const struct mr_view_def *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void topic_get(void *item)
{
	mr_topic_def_get(item);
}

static void topic_put(void *item)
{
	mr_topic_def_put(item);
}

static void table_get(void *item)
{
	mr_table_def_get(item);
}

static void table_put(void *item)
{
	mr_table_def_put(item);
}

static void view_get(void *item)
{
	mr_view_def_get(item);
}

static void view_put(void *item)
{
	mr_view_def_put(item);
}

static const struct mr_sorted_form topic_names = {mr_topic_compare_names, topic_get, topic_put};
static const struct mr_sorted_form topic_ids = {mr_topic_compare_ids, topic_get, topic_put};
static const struct mr_sorted_form table_names = {by_table_name, table_get, table_put};
static const struct mr_sorted_form view_names = {by_view_name, view_get, view_put};

// ---- news

static void def_get(enum mr_catalog_kind kind, void *def)
{
	if (!def)
		return;
	switch (kind) {
	case MR_CATALOG_TOPIC: mr_topic_def_get(def); break;
	case MR_CATALOG_TABLE: mr_table_def_get(def); break;
	case MR_CATALOG_VIEW: mr_view_def_get(def); break;
	}
}

static void def_put(enum mr_catalog_kind kind, void *def)
{
	switch (kind) {
	case MR_CATALOG_TOPIC: mr_topic_def_put(def); break;
	case MR_CATALOG_TABLE: mr_table_def_put(def); break;
	case MR_CATALOG_VIEW: mr_view_def_put(def); break;
	}
}

static void news_put(struct mr_catalog_news *n)
{
	def_put(n->kind, n->was);
	def_put(n->kind, n->is);
}

// What is told of an object is what it was before the first change and is after the last one. Only
// the newest can be of the same object but by chance: changes are told before the next is made,
// unless that one undoes it.
static struct mr_catalog_news *news_of(struct mr_catalog *c, enum mr_catalog_kind kind, uint64_t id)
{
	for (size_t i = c->news_count; i > 0; i--)
		if (c->news[i - 1].kind == kind && c->news[i - 1].id == id)
			return &c->news[i - 1];
	return NULL;
}

static void tell(struct mr_catalog *c, enum mr_catalog_kind kind, uint64_t id, void *was, void *is)
{
	struct mr_catalog_news *n;

	if (!c->telling || was == is)
		return;
	def_get(kind, is);
	n = news_of(c, kind, id);
	if (n) {
		def_put(kind, n->is);
		n->is = is;
		if (n->was || n->is)
			return;
		*n = c->news[--c->news_count];
		return;
	}
	if (c->news_count == c->news_max) {
		c->news_max = c->news_max * 2 + 16;
		c->news = realloc(c->news, c->news_max * sizeof(*c->news));
		MR_ASSERT(c->news);
	}
	def_get(kind, was);
	c->news[c->news_count++] = (struct mr_catalog_news){kind, id, was, is};
}

void mr_catalog_told(struct mr_catalog *c)
{
	while (c->news_count)
		news_put(&c->news[--c->news_count]);
	c->telling = true;
}

void mr_catalog_tell_view(struct mr_catalog *c, struct mr_view_def *v)
{
	tell(c, MR_CATALOG_VIEW, v->id, NULL, v);
}

// ---- lists by number

static uint64_t topic_number(const void *list, size_t at)
{
	return ((struct mr_topic_def *const *)list)[at]->topic.number;
}

static size_t topic_index(const struct mr_catalog *c, uint64_t number)
{
	return mr_place_of(c->topics, c->topics_count, number, topic_number);
}

static uint64_t table_number(const void *list, size_t at)
{
	return ((struct mr_table_def *const *)list)[at]->id;
}

static size_t table_index(const struct mr_catalog *c, uint64_t id)
{
	return mr_place_of(c->tables, c->tables_count, id, table_number);
}

static uint64_t view_number(const void *list, size_t at)
{
	return ((struct mr_view_def *const *)list)[at]->id;
}

static size_t view_index(const struct mr_catalog *c, uint64_t id)
{
	return mr_place_of(c->views, c->views_count, id, view_number);
}

struct mr_topic_def *mr_catalog_topic_by_number(const struct mr_catalog *c, uint64_t number)
{
	size_t i = topic_index(c, number);

	return i < c->topics_count && c->topics[i]->topic.number == number ? c->topics[i] : NULL;
}

// Puts `item` at `index` of a list: in the place of `old`, or before what is there.
static void list_put(
	void ***list, size_t *count, size_t *max, size_t index, const void *old, void *item)
{
	if (old) {
		(*list)[index] = item;
		return;
	}
	if (*count == *max) {
		*max = *max * 2 + 16;
		*list = realloc(*list, *max * sizeof(**list));
		MR_ASSERT(*list);
	}
	memmove(&(*list)[index + 1], &(*list)[index], (*count - index) * sizeof(**list));
	(*list)[index] = item;
	(*count)++;
}

static void list_take(void **list, size_t *count, size_t index)
{
	memmove(&list[index], &list[index + 1], (*count - index - 1) * sizeof(*list));
	(*count)--;
}

void mr_catalog_set_topic(struct mr_catalog *c, struct mr_topic_def *d)
{
	struct mr_topic_def *old = mr_catalog_topic_by_number(c, d->topic.number);

	if (old && !mr_span_eq(old->topic.name, d->topic.name))
		mr_sorted_remove(&c->topics_by_name, old);
	if (old && !mr_uuid_eq(old->topic.id, d->topic.id))
		mr_sorted_remove(&c->topics_by_id, old);
	mr_sorted_add(&c->topics_by_name, d);
	mr_sorted_add(&c->topics_by_id, d);
	list_put((void ***)&c->topics, &c->topics_count, &c->topics_max,
		topic_index(c, d->topic.number), old, d);
	c->partitions_count += d->topic.partitions;
	c->partitions_count -= old ? old->topic.partitions : 0;
	tell(c, MR_CATALOG_TOPIC, d->topic.number, old, d);
	mr_topic_def_put(old);
}

void mr_catalog_unset_topic(struct mr_catalog *c, uint64_t number)
{
	struct mr_topic_def *d = mr_catalog_topic_by_number(c, number);

	if (!d)
		return;
	list_take((void **)c->topics, &c->topics_count, topic_index(c, number));
	mr_sorted_remove(&c->topics_by_name, d);
	mr_sorted_remove(&c->topics_by_id, d);
	c->partitions_count -= d->topic.partitions;
	tell(c, MR_CATALOG_TOPIC, number, d, NULL);
	mr_topic_def_put(d);
}

void mr_catalog_set_table(struct mr_catalog *c, struct mr_table_def *d)
{
	struct mr_table_def *old = mr_catalog_table_by_id(c, d->id);

	if (old && strcmp(old->name, d->name) != 0)
		mr_sorted_remove(&c->tables_by_name, old);
	mr_sorted_add(&c->tables_by_name, d);
	list_put((void ***)&c->tables, &c->tables_count, &c->tables_max, table_index(c, d->id), old,
		d);
	tell(c, MR_CATALOG_TABLE, d->id, old, d);
	mr_table_def_put(old);
}

void mr_catalog_unset_table(struct mr_catalog *c, uint64_t id)
{
	struct mr_table_def *d = mr_catalog_table_by_id(c, id);

	if (!d)
		return;
	list_take((void **)c->tables, &c->tables_count, table_index(c, id));
	mr_sorted_remove(&c->tables_by_name, d);
	tell(c, MR_CATALOG_TABLE, id, d, NULL);
	mr_table_def_put(d);
}

void mr_catalog_set_view(struct mr_catalog *c, struct mr_view_def *d)
{
	struct mr_view_def *old = mr_catalog_view_by_id(c, d->id);

	if (old && strcmp(old->name, d->name) != 0)
		mr_sorted_remove(&c->views_by_name, old);
	mr_sorted_add(&c->views_by_name, d);
	list_put((void ***)&c->views, &c->views_count, &c->views_max, view_index(c, d->id), old, d);
	tell(c, MR_CATALOG_VIEW, d->id, old, d);
	mr_view_def_put(old);
}

void mr_catalog_unset_view(struct mr_catalog *c, uint64_t id)
{
	struct mr_view_def *d = mr_catalog_view_by_id(c, id);

	if (!d)
		return;
	list_take((void **)c->views, &c->views_count, view_index(c, id));
	mr_sorted_remove(&c->views_by_name, d);
	tell(c, MR_CATALOG_VIEW, id, d, NULL);
	mr_view_def_put(d);
}

void mr_catalog_lists_init(struct mr_catalog *c)
{
	c->topics_by_name = mr_sorted_create(&topic_names);
	c->topics_by_id = mr_sorted_create(&topic_ids);
	c->tables_by_name = mr_sorted_create(&table_names);
	c->views_by_name = mr_sorted_create(&view_names);
}

void mr_catalog_fini(struct mr_catalog *c)
{
	for (size_t i = 0; i < c->topics_count; i++)
		mr_topic_def_put(c->topics[i]);
	for (size_t i = 0; i < c->tables_count; i++)
		mr_table_def_put(c->tables[i]);
	for (size_t i = 0; i < c->views_count; i++)
		mr_view_def_put(c->views[i]);
	free(c->topics);
	free(c->tables);
	free(c->views);
	mr_sorted_put(c->topics_by_name);
	mr_sorted_put(c->topics_by_id);
	mr_sorted_put(c->tables_by_name);
	mr_sorted_put(c->views_by_name);
	mr_catalog_told(c);
	free(c->news);
}

// ---- looking up

struct mr_topic_def *mr_catalog_topic(const struct mr_catalog *c, struct mr_span name)
{
	return mr_sorted_find(c->topics_by_name, &(struct mr_topic){.name = name});
}

struct mr_topic_def *mr_catalog_topic_by_id(const struct mr_catalog *c, struct mr_uuid id)
{
	return mr_sorted_find(c->topics_by_id, &(struct mr_topic){.id = id});
}

struct mr_table_def *mr_table_def_find(const struct mr_sorted *by_name, struct mr_span name)
{
	struct mr_table_def key = {0};

	if (name.bytes > MR_CATALOG_NAME_MAX)
		return NULL;
	if (name.bytes)
		memcpy(key.name, name.data, name.bytes);
	return mr_sorted_find(by_name, &key);
}

struct mr_view_def *mr_view_def_find(const struct mr_sorted *by_name, struct mr_span name)
{
	struct mr_view_def key = {0};

	if (name.bytes > MR_CATALOG_NAME_MAX)
		return NULL;
	if (name.bytes)
		memcpy(key.name, name.data, name.bytes);
	return mr_sorted_find(by_name, &key);
}

struct mr_table_def *mr_catalog_table(const struct mr_catalog *c, struct mr_span name)
{
	return mr_table_def_find(c->tables_by_name, name);
}

struct mr_table_def *mr_catalog_table_by_id(const struct mr_catalog *c, uint64_t id)
{
	size_t i = table_index(c, id);

	return i < c->tables_count && c->tables[i]->id == id ? c->tables[i] : NULL;
}

struct mr_view_def *mr_catalog_view(const struct mr_catalog *c, struct mr_span name)
{
	return mr_view_def_find(c->views_by_name, name);
}

struct mr_view_def *mr_catalog_view_by_id(const struct mr_catalog *c, uint64_t id)
{
	size_t i = view_index(c, id);

	return i < c->views_count && c->views[i]->id == id ? c->views[i] : NULL;
}

struct mr_table_def *mr_catalog_table_of_topic(const struct mr_catalog *c, struct mr_uuid topic_id)
{
	for (size_t i = 0; i < c->tables_count; i++)
		if (mr_uuid_eq(c->tables[i]->topic_id, topic_id))
			return c->tables[i];
	return NULL;
}
