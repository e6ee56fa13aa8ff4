// Changes of tables and views: checked, made durable, put into force. Control thread.
#include "host/ddl_int.h"

#include "host/base/datetime.h"
#include "host/base/note.h"
#include "host/sql/fold.h"
#include "host/view/view.h"
#include "host/worker.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int mr_ddl_commit(struct mr_control *c, struct mr_catalog_change *change,
	struct mr_catalog_change *undo, struct mr_diag *diag)
{
	int rc = mr_catalog_commit(c->manifest, change);

	if (rc < 0) {
		mr_diag_set(diag, rc, "58030", 0, "cannot write the manifest: %s", mr_err_text(rc));
	} else {
		rc = mr_control_publish(c, diag);
		if (rc < 0 && undo && mr_catalog_commit(c->manifest, undo) < 0)
			mr_note(MR_NOTE_ERR, "catalog", "event=not_undone");
	}
	if (undo)
		mr_catalog_change_fini(undo);
	return rc;
}

// Every file of a log begins with a checkpoint of its worker's partitions, some 70 bytes each, more
// with a table's watermark: it has to fit into the log's ring and its files with room to spare.
enum { CHECKPOINT_SHARE = 256 };

static uint64_t partitions_room(const struct mr_control *c)
{
	return MR_MIN(c->config->log_ring_bytes, c->config->log_file_bytes) / CHECKPOINT_SHARE *
	       c->workers_count;
}

struct limit {
	const char *what, *key;
	uint64_t have, max;
};

static struct limit limit_of(const struct mr_control *c, enum mr_limit limit)
{
	const struct mr_catalog *cat = &c->catalog;
	const struct mr_config *o = c->config;

	switch (limit) {
	case MR_LIMIT_TOPICS:
		return (struct limit){
			"topics", "kafka.topics_max", cat->topics_count, o->topics_max};
	case MR_LIMIT_TABLES:
		return (struct limit){"tables", "sql.tables_max", cat->tables_count, o->tables_max};
	case MR_LIMIT_VIEWS:
		return (struct limit){
			"materialized views", "sql.views_max", cat->views_count, o->views_max};
	default:
		return (struct limit){"partitions", "kafka.partitions_max", cat->partitions_count,
			o->partitions_max};
	}
}

// Limits are checked before a change is durable: a record that cannot be applied would stop this
// start and every later one.
int mr_ddl_may_add(struct mr_control *c, enum mr_limit limit, uint64_t more, struct mr_diag *diag)
{
	const struct limit l = limit_of(c, limit);
	uint64_t room = limit == MR_LIMIT_PARTITIONS ? partitions_room(c) : UINT64_MAX;
	bool fits = l.have + more <= room;

	if (fits && l.have + more <= l.max)
		return 0;
	atomic_fetch_add_explicit(&c->refusals[limit], 1, memory_order_relaxed);
	mr_diag_set(diag, MR_ERR_LIMIT, "54000", 0, "too many %s: there are %llu, and %s %s %llu",
		l.what, (unsigned long long)l.have,
		fits ? l.key : "log.ring_bytes and log.file_bytes", fits ? "is" : "have room for",
		(unsigned long long)(fits ? l.max : room));
	mr_diag_hint(diag, "Drop some, or start the daemon with a higher %s.",
		fits ? l.key : "log.ring_bytes or log.file_bytes");
	return MR_ERR_LIMIT;
}

// ---- CREATE TABLE

// What the WITH options of a table say.
struct table_with {
	struct mr_span topic;
	uint32_t partitions; // 0 = default
	struct mr_table_options options;
};

static int bad_option(const struct mr_option *o, const char *why, struct mr_diag *diag)
{
	return mr_diag_set(diag, -EINVAL, "22023", o->position,
		"invalid value for option \"%.*s\": \"%.*s\": %s", (int)o->name.bytes, o->name.data,
		(int)o->value.bytes, o->value.data, why);
}

static int interval_us(struct mr_span text, int64_t *out)
{
	struct mr_interval i;

	if (mr_interval_parse(text, &i) < 0 || i.months)
		return -EINVAL;
	return __builtin_mul_overflow((int64_t)i.days, 86400000000LL, out) ||
			       __builtin_add_overflow(*out, i.us, out) || *out < 0
		       ? -EINVAL
		       : 0;
}

static int column_index(const struct mr_create_table *ct, struct mr_span name)
{
	for (uint32_t i = 0; i < ct->columns_count; i++)
		if (mr_span_eq(ct->columns[i].name, name))
			return (int)i;
	return -1;
}

// watermark = 'event_time' or 'event_time - 5 seconds'.
static int option_watermark(const struct mr_create_table *ct, const struct mr_option *o,
	struct table_with *w, struct mr_diag *diag)
{
	const uint8_t *minus = memchr(o->value.data, '-', o->value.bytes);
	size_t name_bytes = minus ? (size_t)(minus - o->value.data) : o->value.bytes;
	int column;

	while (name_bytes && o->value.data[name_bytes - 1] == ' ')
		name_bytes--;
	column = column_index(ct, mr_span(o->value.data, name_bytes));
	if (column < 0)
		return bad_option(o, "it begins with the name of a column", diag);
	if (ct->columns[column].type.type != MR_TYPE_TIMESTAMP &&
		ct->columns[column].type.type != MR_TYPE_TIMESTAMPTZ)
		return bad_option(o, "the column must be a timestamp", diag);
	w->options.watermark_column = column;
	if (minus && interval_us(mr_span(minus + 1,
					 (size_t)(o->value.data + o->value.bytes - minus - 1)),
			     &w->options.watermark_delay_us) < 0)
		return bad_option(o, "an interval follows the minus sign", diag);
	return 0;
}

static int option_partitions(const struct mr_option *o, struct table_with *w, struct mr_diag *diag)
{
	uint64_t n = 0;

	for (size_t i = 0; i < o->value.bytes; i++) {
		if (o->value.data[i] < '0' || o->value.data[i] > '9' || n > MR_TOPIC_PARTITIONS_MAX)
			return bad_option(o, "it is a whole number", diag);
		n = n * 10 + (o->value.data[i] - '0');
	}
	if (n < 1 || n > MR_TOPIC_PARTITIONS_MAX)
		return bad_option(o, "it is 1 to 4096", diag);
	w->partitions = (uint32_t)n;
	return 0;
}

static int read_option(const struct mr_create_table *ct, const struct mr_option *o,
	struct table_with *w, struct mr_diag *diag)
{
	if (mr_span_eq(o->name, mr_span_str("topic"))) {
		w->topic = o->value;
		return mr_topic_name_valid(o->value) ? 0 : bad_option(o, "not a topic name", diag);
	}
	if (mr_span_eq(o->name, mr_span_str("format")))
		return mr_span_eq(o->value, mr_span_str("json"))
			       ? 0
			       : mr_diag_set(diag, MR_ERR_UNSUPPORTED, "0A000", o->position,
					 "format \"%.*s\" is not supported; json is",
					 (int)o->value.bytes, o->value.data);
	if (mr_span_eq(o->name, mr_span_str("partitions")))
		return option_partitions(o, w, diag);
	if (mr_span_eq(o->name, mr_span_str("watermark")))
		return option_watermark(ct, o, w, diag);
	if (mr_span_eq(o->name, mr_span_str("ttl")))
		return interval_us(o->value, &w->options.ttl_us) < 0 || !w->options.ttl_us
			       ? bad_option(o, "it is an interval of days or less", diag)
			       : 0;
	mr_diag_set(diag, -EINVAL, "22023", o->position, "unrecognized option \"%.*s\"",
		(int)o->name.bytes, o->name.data);
	mr_diag_hint(diag, "Options are topic, format, partitions, watermark and ttl.");
	return -EINVAL;
}

static int check_columns(const struct mr_create_table *ct, struct mr_diag *diag)
{
	if (ct->columns_count == 0 || ct->columns_count > MR_CATALOG_COLUMNS_MAX)
		return mr_diag_set(diag, -EINVAL, "54011", ct->name_position,
			"a table has 1 to %d columns", MR_CATALOG_COLUMNS_MAX);
	for (uint32_t i = 0; i < ct->columns_count; i++) {
		struct mr_span name = ct->columns[i].name;

		if (column_index(ct, name) != (int)i)
			return mr_diag_set(diag, -EEXIST, "42701", 0,
				"column \"%.*s\" specified more than once", (int)name.bytes,
				name.data);
		if (name.bytes && name.data[0] == '_' &&
			(mr_span_eq(name, mr_span_str("_key")) ||
				mr_span_eq(name, mr_span_str("_headers")) ||
				mr_span_eq(name, mr_span_str("_partition")) ||
				mr_span_eq(name, mr_span_str("_offset")) ||
				mr_span_eq(name, mr_span_str("_timestamp"))))
			return mr_diag_set(diag, -EEXIST, "42701", 0,
				"column name \"%.*s\" conflicts with a hidden column name",
				(int)name.bytes, name.data);
	}
	return 0;
}

static struct mr_table_def *table_def(struct mr_control *c, const struct mr_create_table *ct,
	const struct table_with *w, struct mr_uuid topic_id)
{
	struct mr_table_def *d = mr_table_def_create(ct->columns_count, 0);
	uint64_t id = c->catalog.object_next;

	MR_ASSERT(d);
	d->id = id++;
	memcpy(d->name, ct->name.data, MR_MIN(ct->name.bytes, (size_t)MR_CATALOG_NAME_MAX));
	d->topic_id = topic_id;
	d->options = w->options;
	for (uint32_t i = 0; i < ct->columns_count; i++) {
		const struct mr_relation_column *from = &ct->columns[i];
		struct mr_column_def *to = &d->columns[i];

		to->id = id++;
		to->type = from->type;
		to->not_null = from->not_null;
		memcpy(to->name, from->name.data,
			MR_MIN(from->name.bytes, (size_t)MR_CATALOG_NAME_MAX));
	}
	return d;
}

static bool name_taken(struct mr_control *c, struct mr_span name)
{
	return mr_catalog_table(&c->catalog, name) || mr_catalog_view(&c->catalog, name);
}

static int already_exists(
	struct mr_span name, bool if_not_exists, int position, struct mr_diag *diag)
{
	if (if_not_exists)
		return 1;
	return mr_diag_set(diag, -EEXIST, "42P07", position, "relation \"%.*s\" already exists",
		(int)name.bytes, name.data);
}

int mr_ddl_create_table(struct mr_control *c, void *arg)
{
	struct mr_table_change *tc = arg;
	const struct mr_create_table *ct = tc->create;
	struct table_with w = {.topic = ct->name, .options.watermark_column = -1};
	struct mr_catalog_change change = {0}, undo = {0};
	const struct mr_topic_def *old;
	struct mr_topic_config config = mr_control_topic_defaults(c->config);
	struct mr_table_def *def;
	struct mr_topic topic;
	int rc = 0;

	if (name_taken(c, ct->name))
		return already_exists(ct->name, ct->if_not_exists, ct->name_position, tc->diag);
	for (uint32_t i = 0; rc == 0 && i < ct->options_count; i++)
		rc = read_option(ct, &ct->options[i], &w, tc->diag);
	if (rc == 0)
		rc = check_columns(ct, tc->diag);
	if (rc < 0)
		return rc;
	if (!mr_topic_name_valid(w.topic))
		return mr_diag_set(tc->diag, -EINVAL, "42602", ct->name_position,
			"\"%.*s\" is not a topic name; name one with WITH (topic = '…')",
			(int)w.topic.bytes, w.topic.data);
	old = mr_catalog_topic(&c->catalog, w.topic);
	rc = mr_ddl_may_add(c, MR_LIMIT_TABLES, 1, tc->diag);
	if (rc == 0 && !old) {
		topic = mr_ddl_topic(c, w.topic, w.partitions, &config);
		rc = mr_ddl_may_add(c, MR_LIMIT_TOPICS, 1, tc->diag);
		if (rc == 0)
			rc = mr_ddl_may_add(c, MR_LIMIT_PARTITIONS, topic.partitions, tc->diag);
	}
	if (rc < 0)
		return rc;
	if (!old) {
		mr_catalog_add_topic(&change, &topic);
	} else if (w.partitions && w.partitions != old->topic.partitions) {
		return mr_diag_set(tc->diag, -EINVAL, "22023", 0,
			"topic \"%s\" exists with %u partitions", old->name, old->topic.partitions);
	}
	def = table_def(c, ct, &w, old ? old->topic.id : topic.id);
	mr_catalog_add_table(&change, def);
	mr_catalog_drop_table(&undo, def->id);
	if (!old)
		mr_catalog_drop_topic(&undo, topic.number);
	mr_table_def_put(def);
	return mr_ddl_commit(c, &change, &undo, tc->diag);
}

// ---- DROP TABLE, TRUNCATE

// Commits a change after which no rows of the running table may be sealed any more.
static int retire_commit(struct mr_control *c, const struct mr_table_def *def,
	struct mr_catalog_change *change, struct mr_diag *diag)
{
	struct mr_table *table = mr_snapshot_table_by_id(c->snapshot, def->id);
	int rc;

	mr_segment_store_lock_commits(c->segments);
	rc = mr_catalog_commit(c->manifest, change);
	if (rc == 0 && table)
		table->retired = true;
	mr_segment_store_unlock_commits(c->segments);
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "58030", 0, "cannot write the manifest: %s", mr_err_text(rc));
	return mr_control_publish(c, diag);
}

int mr_ddl_drop_table(struct mr_control *c, void *arg)
{
	struct mr_table_change *tc = arg;
	const struct mr_drop *d = tc->drop;
	const struct mr_table_def *def = mr_catalog_table(&c->catalog, d->name);
	struct mr_catalog_change change = {0};
	const struct mr_topic_def *topic;
	uint32_t users = 0;

	if (!def && mr_catalog_view(&c->catalog, d->name))
		return mr_diag_set(tc->diag, -EINVAL, "42809", d->name_position,
			"\"%.*s\" is not a table", (int)d->name.bytes, d->name.data);
	if (!def)
		return d->if_exists ? 1
				    : mr_diag_set(tc->diag, -ENOENT, "42P01", d->name_position,
					      "table \"%.*s\" does not exist", (int)d->name.bytes,
					      d->name.data);
	for (size_t i = 0; i < c->catalog.views_count; i++) {
		const struct mr_view_def *v = c->catalog.views[i];

		if (v->table_id != def->id)
			continue;
		if (!d->cascade) {
			mr_diag_set(tc->diag, -EBUSY, "2BP01", d->name_position,
				"cannot drop table %s because other objects depend on it",
				def->name);
			mr_diag_detail(tc->diag, "Materialized view %s depends on table %s.",
				v->name, def->name);
			mr_diag_hint(tc->diag,
				"Use DROP ... CASCADE to drop the dependent objects too.");
			return -EBUSY;
		}
		mr_catalog_drop_view(&change, v->id);
	}
	topic = mr_catalog_topic_by_id(&c->catalog, def->topic_id);
	for (size_t i = 0; i < c->catalog.tables_count; i++)
		users += mr_uuid_eq(c->catalog.tables[i]->topic_id, def->topic_id);
	mr_catalog_drop_table(&change, def->id);
	mr_catalog_drop_segments(&change, def->id);
	if (d->cascade && topic && users == 1)
		mr_catalog_drop_topic(&change, topic->topic.number);
	return retire_commit(c, def, &change, tc->diag);
}

struct ends {
	const struct mr_topic *topic;
	int64_t *starts;
};

static void note_ends(struct mr_worker *w, void *arg)
{
	struct ends *e = arg;

	for (uint32_t n = 0; n < e->topic->partitions; n++) {
		const struct mr_partition *p = mr_worker_partition(w, e->topic, n);

		// What is not durable yet may be gone after a crash, and its offset given again.
		if (p)
			e->starts[n] = p->high_watermark;
	}
}

// The table begins anew behind what is durable now: the same table under a new definition.
int mr_ddl_truncate(struct mr_control *c, void *arg)
{
	struct mr_table_change *tc = arg;
	const struct mr_table_def *old = mr_catalog_table_by_id(&c->catalog, tc->table_id);
	const struct mr_topic_def *topic =
		old ? mr_catalog_topic_by_id(&c->catalog, old->topic_id) : NULL;
	struct mr_catalog_change change = {0};
	struct mr_table_def *def;
	struct ends e;
	int rc;

	if (!topic)
		return mr_diag_set(tc->diag, -ENOENT, "42P01", 0, "the table does not exist");
	def = mr_table_def_create(old->columns_count, topic->topic.partitions);
	MR_ASSERT(def);
	def->id = old->id;
	memcpy(def->name, old->name, sizeof(def->name));
	def->topic_id = old->topic_id;
	def->options = old->options;
	memcpy(def->columns, old->columns, old->columns_count * sizeof(*def->columns));
	e = (struct ends){&topic->topic, def->starts};
	mr_workers_call(c->workers, c->workers_count, note_ends, &e);
	mr_catalog_add_table(&change, def);
	mr_catalog_drop_segments(&change, def->id);
	mr_table_def_put(def);
	rc = retire_commit(c, old, &change, tc->diag);
	// Its views are compiled against the new table once that is in force.
	return rc < 0 ? rc : mr_control_publish(c, tc->diag);
}

// ---- views

int mr_ddl_create_view(struct mr_control *c, void *arg)
{
	struct mr_table_change *tc = arg;
	struct mr_create_view *cv = tc->view;
	const struct mr_table *source = mr_fold_source(cv->fold)->owner;
	char name[MR_CATALOG_NAME_MAX + 1] = {0};
	struct mr_catalog_change change = {0}, undo = {0};
	uint64_t id;
	int rc;

	if (name_taken(c, cv->name))
		return already_exists(cv->name, cv->if_not_exists, cv->name_position, tc->diag);
	if (mr_fold_source(cv->fold)->kind != MR_RELATION_TABLE)
		return mr_diag_set(tc->diag, MR_ERR_UNSUPPORTED, "0A000", cv->name_position,
			"a materialized view over anything but a table is not supported");
	if (!mr_catalog_table_by_id(&c->catalog, source->def->id))
		return mr_diag_set(tc->diag, -ENOENT, "42P01", 0, "table \"%s\" does not exist",
			source->def->name);
	if (cv->options_count)
		return mr_diag_set(tc->diag, -EINVAL, "22023", cv->options[0].position,
			"unrecognized option \"%.*s\"", (int)cv->options[0].name.bytes,
			cv->options[0].name.data);
	rc = mr_ddl_may_add(c, MR_LIMIT_VIEWS, 1, tc->diag);
	if (rc < 0)
		return rc;
	if (cv->query.bytes > MR_CATALOG_QUERY_BYTES_MAX)
		return mr_diag_set(tc->diag, MR_ERR_LIMIT, "54000", cv->name_position,
			"the query of a materialized view has at most %d bytes",
			MR_CATALOG_QUERY_BYTES_MAX);
	memcpy(name, cv->name.data, MR_MIN(cv->name.bytes, (size_t)MR_CATALOG_NAME_MAX));
	mr_catalog_drop_view(&undo, c->catalog.object_next);
	mr_catalog_add_view(&change, c->catalog.object_next, name, source->def->id, cv->query);
	c->fold_new = cv->fold;
	id = c->catalog.object_next;
	rc = mr_ddl_commit(c, &change, &undo, tc->diag);
	if (rc == 0)
		tc->made = mr_view_get(mr_snapshot_view_by_id(c->snapshot, id));
	if (!c->fold_new)
		cv->fold = NULL;
	c->fold_new = NULL;
	return rc;
}

// Commits a change after which the view has no runs, and gets none any more.
static int drop_view(struct mr_control *c, uint64_t id, struct mr_diag *diag)
{
	struct mr_view *view = mr_snapshot_view_by_id(c->snapshot, id);
	struct mr_catalog_change change = {0};
	int rc;

	mr_catalog_drop_view(&change, id);
	mr_catalog_drop_runs(&change, id);
	mr_segment_store_lock_commits(c->segments);
	rc = mr_catalog_commit(c->manifest, &change);
	if (rc == 0 && view)
		view->retired = true;
	mr_segment_store_unlock_commits(c->segments);
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "58030", 0, "cannot write the manifest: %s", mr_err_text(rc));
	return mr_control_publish(c, diag);
}

int mr_ddl_undo_view(struct mr_control *c, void *arg)
{
	struct mr_table_change *tc = arg;

	return mr_catalog_view_by_id(&c->catalog, tc->made->def->id)
		       ? drop_view(c, tc->made->def->id, tc->diag)
		       : 1;
}

int mr_ddl_drop_view(struct mr_control *c, void *arg)
{
	struct mr_table_change *tc = arg;
	const struct mr_drop *d = tc->drop;
	const struct mr_view_def *def = mr_catalog_view(&c->catalog, d->name);

	if (!def && mr_catalog_table(&c->catalog, d->name))
		return mr_diag_set(tc->diag, -EINVAL, "42809", d->name_position,
			"\"%.*s\" is not a materialized view", (int)d->name.bytes, d->name.data);
	if (!def)
		return d->if_exists ? 1
				    : mr_diag_set(tc->diag, -ENOENT, "42P01", d->name_position,
					      "materialized view \"%.*s\" does not exist",
					      (int)d->name.bytes, d->name.data);
	return drop_view(c, def->id, tc->diag);
}
