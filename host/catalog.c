// The catalog and its records. Layouts: docs/FORMAT.md, "Catalog records".
#include "host/catalog_int.h"

#include "storage/run_store.h"
#include "storage/segment_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	REC_CLUSTER = MR_MANIFEST_TYPE_CATALOG,
	REC_TOPIC,
	REC_TOPIC_DROP,
	REC_TABLE,
	REC_TABLE_DROP,
	REC_VIEW,
	REC_VIEW_DROP,
	REC_PRODUCERS,
	REC_COUNTERS,
	REC_LAST = REC_COUNTERS,
};

static_assert(MR_SEGMENT_RECORD_VERSION == 1);
enum { RECORD_VERSION = 1 };

struct mr_topic_def *mr_topic_def_get(struct mr_topic_def *t)
{
	atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
	return t;
}

struct mr_table_def *mr_table_def_get(struct mr_table_def *t)
{
	atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
	return t;
}

struct mr_view_def *mr_view_def_get(struct mr_view_def *v)
{
	atomic_fetch_add_explicit(&v->references, 1, memory_order_relaxed);
	return v;
}

static bool reference_dropped(_Atomic uint32_t *references)
{
	return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

void mr_topic_def_put(struct mr_topic_def *t)
{
	if (t && reference_dropped(&t->references))
		free(t);
}

void mr_table_def_put(struct mr_table_def *t)
{
	if (!t || !reference_dropped(&t->references))
		return;
	free(t->columns);
	free(t->starts);
	free(t);
}

void mr_view_def_put(struct mr_view_def *v)
{
	if (v && reference_dropped(&v->references))
		free(v);
}

struct mr_table_def *mr_table_def_create(uint32_t columns_count, uint32_t starts_count)
{
	struct mr_table_def *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	atomic_init(&t->references, 1);
	t->columns_count = columns_count;
	t->starts_count = starts_count;
	t->columns = calloc(columns_count + 1, sizeof(*t->columns));
	t->starts = calloc(starts_count + 1, sizeof(*t->starts));
	if (t->columns && t->starts)
		return t;
	mr_table_def_put(t);
	return NULL;
}

// Names: one byte of length, then the bytes.
static void put_name(struct mr_buf *b, const char *name)
{
	mr_buf_u8(b, (uint8_t)strlen(name));
	mr_buf_str(b, name);
}

static void read_name(struct mr_reader *r, char *out, size_t bytes_max)
{
	struct mr_span s = mr_read_span(r, mr_read_u8(r));

	if (s.bytes >= bytes_max)
		r->bad = true;
	else if (s.bytes)
		memcpy(out, s.data, s.bytes);
}

static struct mr_uuid read_uuid(struct mr_reader *r)
{
	struct mr_span s = mr_read_span(r, sizeof(struct mr_uuid));
	struct mr_uuid id = {0};

	if (s.bytes)
		memcpy(id.b, s.data, sizeof(id.b));
	return id;
}

// ---- writing

static struct mr_buf *begin(struct mr_catalog_change *ch, uint16_t type)
{
	const struct mr_catalog_head head = {type, ch->bytes.bytes};

	mr_buf_add(&ch->heads, &head, sizeof(head));
	ch->count++;
	return &ch->bytes;
}

static void put_topic(struct mr_buf *b, const struct mr_topic *t)
{
	const struct mr_topic_config *c = &t->config;

	mr_buf_le64(b, t->number);
	mr_buf_add(b, t->id.b, sizeof(t->id.b));
	mr_buf_le32(b, t->partitions);
	mr_buf_u8(b, t->internal);
	mr_buf_le64(b, (uint64_t)c->retention_ms);
	mr_buf_le64(b, (uint64_t)c->retention_bytes);
	mr_buf_le32(b, (uint32_t)c->message_bytes_max);
	mr_buf_u8(b, c->cleanup_compact);
	mr_buf_u8(b, c->timestamp_log_append);
	mr_buf_u8(b, (uint8_t)t->name.bytes);
	mr_buf_add(b, t->name.data, t->name.bytes);
}

static void put_table(struct mr_buf *b, const struct mr_table_def *t)
{
	mr_buf_le64(b, t->id);
	put_name(b, t->name);
	mr_buf_add(b, t->topic_id.b, sizeof(t->topic_id.b));
	mr_buf_le64(b, (uint64_t)t->options.watermark_delay_us);
	mr_buf_le64(b, (uint64_t)t->options.ttl_us);
	mr_buf_le32(b, (uint32_t)t->options.watermark_column);
	mr_buf_le32(b, t->columns_count);
	for (uint32_t i = 0; i < t->columns_count; i++) {
		const struct mr_column_def *c = &t->columns[i];

		mr_buf_le64(b, c->id);
		mr_buf_u8(b, c->type.type);
		mr_buf_u8(b, c->type.precision);
		mr_buf_u8(b, c->type.scale);
		mr_buf_u8(b, c->not_null);
		put_name(b, c->name);
	}
	mr_buf_le32(b, t->starts_count);
	for (uint32_t i = 0; i < t->starts_count; i++)
		mr_buf_le64(b, (uint64_t)t->starts[i]);
}

static void put_view(
	struct mr_buf *b, uint64_t id, const char *name, uint64_t table_id, struct mr_span query)
{
	mr_buf_le64(b, id);
	put_name(b, name);
	mr_buf_le64(b, table_id);
	mr_buf_le32(b, (uint32_t)query.bytes);
	mr_buf_add(b, query.data, query.bytes);
}

void mr_catalog_add_cluster(struct mr_catalog_change *ch, struct mr_uuid id)
{
	mr_buf_add(begin(ch, REC_CLUSTER), id.b, sizeof(id.b));
}

void mr_catalog_add_topic(struct mr_catalog_change *ch, const struct mr_topic *t)
{
	put_topic(begin(ch, REC_TOPIC), t);
}

void mr_catalog_drop_topic(struct mr_catalog_change *ch, uint64_t number)
{
	mr_buf_le64(begin(ch, REC_TOPIC_DROP), number);
}

void mr_catalog_add_table(struct mr_catalog_change *ch, const struct mr_table_def *t)
{
	put_table(begin(ch, REC_TABLE), t);
}

void mr_catalog_drop_table(struct mr_catalog_change *ch, uint64_t id)
{
	mr_buf_le64(begin(ch, REC_TABLE_DROP), id);
}

void mr_catalog_drop_segments(struct mr_catalog_change *ch, uint64_t table_id)
{
	mr_segment_store_table_dropped(begin(ch, MR_SEGMENT_RECORD_TABLE_DROPPED), table_id);
	mr_run_store_dropped(begin(ch, MR_RUN_RECORD_TABLE_DROPPED), table_id);
}

void mr_catalog_add_view(struct mr_catalog_change *ch, uint64_t id, const char *name,
	uint64_t table_id, struct mr_span query)
{
	put_view(begin(ch, REC_VIEW), id, name, table_id, query);
}

void mr_catalog_drop_view(struct mr_catalog_change *ch, uint64_t id)
{
	mr_buf_le64(begin(ch, REC_VIEW_DROP), id);
}

void mr_catalog_drop_runs(struct mr_catalog_change *ch, uint64_t view_id)
{
	mr_run_store_dropped(begin(ch, MR_RUN_RECORD_VIEW_DROPPED), view_id);
}

void mr_catalog_add_producers(struct mr_catalog_change *ch, int64_t next)
{
	mr_buf_le64(begin(ch, REC_PRODUCERS), (uint64_t)next);
}

void mr_catalog_change_fini(struct mr_catalog_change *ch)
{
	mr_buf_fini(&ch->bytes);
	mr_buf_fini(&ch->heads);
}

int mr_catalog_commit(struct mr_manifest *m, struct mr_catalog_change *ch)
{
	const struct mr_catalog_head *heads = (const void *)ch->heads.data;
	struct mr_manifest_record *records = calloc(ch->count + 1, sizeof(*records));
	int rc = ch->bytes.failed || ch->heads.failed || !records ? -ENOMEM : 0;

	for (uint32_t i = 0; rc == 0 && i < ch->count; i++) {
		size_t end = i + 1 < ch->count ? heads[i + 1].at : ch->bytes.bytes;

		records[i] = (struct mr_manifest_record){heads[i].type, RECORD_VERSION,
			mr_span(ch->bytes.data + heads[i].at, end - heads[i].at)};
	}
	if (rc == 0)
		rc = mr_manifest_append(m, records, ch->count);
	free(records);
	mr_catalog_change_fini(ch);
	return rc;
}

// ---- applying

static int apply_topic(struct mr_catalog *c, struct mr_reader *r)
{
	struct mr_topic_def *d = calloc(1, sizeof(*d));
	struct mr_topic *t = &d->topic;

	MR_ASSERT(d);
	atomic_init(&d->references, 1);
	t->number = mr_read_le64(r);
	t->id = read_uuid(r);
	t->partitions = mr_read_le32(r);
	t->internal = mr_read_u8(r);
	t->config.retention_ms = (int64_t)mr_read_le64(r);
	t->config.retention_bytes = (int64_t)mr_read_le64(r);
	t->config.message_bytes_max = (int32_t)mr_read_le32(r);
	t->config.cleanup_compact = mr_read_u8(r);
	t->config.timestamp_log_append = mr_read_u8(r);
	read_name(r, d->name, sizeof(d->name));
	t->name = mr_span_str(d->name);
	if (r->bad || t->number == UINT64_MAX || t->partitions == 0 ||
		t->partitions > MR_TOPIC_PARTITIONS_MAX ||
		(c->topics_count >= MR_CATALOG_TOPICS_MAX &&
			!mr_catalog_topic_by_number(c, t->number))) {
		free(d);
		return MR_ERR_CORRUPT;
	}
	c->number_next = MR_MAX(c->number_next, t->number + 1);
	mr_catalog_set_topic(c, d);
	return 0;
}

static void read_column(struct mr_catalog *c, struct mr_reader *r, struct mr_column_def *out)
{
	out->id = mr_read_le64(r);
	out->type.type = mr_read_u8(r);
	out->type.precision = mr_read_u8(r);
	out->type.scale = mr_read_u8(r);
	out->not_null = mr_read_u8(r);
	read_name(r, out->name, sizeof(out->name));
	r->bad |= out->id == UINT64_MAX || out->type.type == MR_TYPE_NULL ||
		  out->type.type >= MR_TYPE_INTERVAL ||
		  out->type.precision > MR_NUMERIC_PRECISION_MAX ||
		  out->type.scale > MR_NUMERIC_PRECISION_MAX;
	c->object_next = MR_MAX(c->object_next, out->id + 1);
}

static int apply_table(struct mr_catalog *c, struct mr_reader *r)
{
	struct mr_table_def head = {0}, *t;
	uint32_t columns_count;

	head.id = mr_read_le64(r);
	read_name(r, head.name, sizeof(head.name));
	head.topic_id = read_uuid(r);
	head.options.watermark_delay_us = (int64_t)mr_read_le64(r);
	head.options.ttl_us = (int64_t)mr_read_le64(r);
	head.options.watermark_column = (int32_t)mr_read_le32(r);
	columns_count = mr_read_le32(r);
	if (r->bad || head.id == UINT64_MAX || columns_count > MR_CATALOG_COLUMNS_MAX ||
		head.options.watermark_column >= (int32_t)columns_count)
		return MR_ERR_CORRUPT;
	t = mr_table_def_create(columns_count, 0);
	MR_ASSERT(t);
	t->id = head.id;
	memcpy(t->name, head.name, sizeof(t->name));
	t->topic_id = head.topic_id;
	t->options = head.options;
	for (uint32_t i = 0; i < columns_count; i++)
		read_column(c, r, &t->columns[i]);
	t->starts_count = mr_read_le32(r);
	if (!r->bad && t->starts_count <= MR_TOPIC_PARTITIONS_MAX) {
		t->starts = realloc(t->starts, (t->starts_count + 1) * sizeof(*t->starts));
		MR_ASSERT(t->starts);
		for (uint32_t i = 0; i < t->starts_count; i++)
			t->starts[i] = (int64_t)mr_read_le64(r);
	} else {
		r->bad = true;
	}
	if (r->bad) {
		mr_table_def_put(t);
		return MR_ERR_CORRUPT;
	}
	c->object_next = MR_MAX(c->object_next, t->id + 1);
	mr_catalog_set_table(c, t);
	return 0;
}

static int apply_view(struct mr_catalog *c, struct mr_reader *r)
{
	char name[MR_CATALOG_NAME_MAX + 1] = {0};
	uint64_t id = mr_read_le64(r), table_id;
	struct mr_view_def *v;
	struct mr_span query;

	read_name(r, name, sizeof(name));
	table_id = mr_read_le64(r);
	query = mr_read_span(r, mr_read_le32(r));
	if (r->bad || id == UINT64_MAX || query.bytes > MR_CATALOG_QUERY_BYTES_MAX)
		return MR_ERR_CORRUPT;
	v = calloc(1, sizeof(*v) + query.bytes + 1);
	MR_ASSERT(v);
	atomic_init(&v->references, 1);
	v->id = id;
	v->table_id = table_id;
	v->query_bytes = query.bytes;
	memcpy(v->name, name, sizeof(v->name));
	if (query.bytes)
		memcpy(v->query, query.data, query.bytes);
	c->object_next = MR_MAX(c->object_next, id + 1);
	mr_catalog_set_view(c, v);
	return 0;
}

static int apply(struct mr_catalog *c, uint16_t type, struct mr_reader *r)
{
	uint64_t next;

	switch (type) {
	case REC_CLUSTER:
		c->cluster_id = read_uuid(r);
		c->has_cluster_id = true;
		return 0;
	case REC_TOPIC: return apply_topic(c, r);
	case REC_TOPIC_DROP: mr_catalog_unset_topic(c, mr_read_le64(r)); return 0;
	case REC_TABLE: return apply_table(c, r);
	case REC_TABLE_DROP: mr_catalog_unset_table(c, mr_read_le64(r)); return 0;
	case REC_VIEW: return apply_view(c, r);
	case REC_VIEW_DROP: mr_catalog_unset_view(c, mr_read_le64(r)); return 0;
	case REC_PRODUCERS: c->producer_next = (int64_t)mr_read_le64(r); return 0;
	case REC_COUNTERS:
		next = mr_read_le64(r);
		c->number_next = MR_MAX(c->number_next, next);
		next = mr_read_le64(r);
		c->object_next = MR_MAX(c->object_next, next);
		return 0;
	}
	return MR_ERR_VERSION;
}

int mr_catalog_replay(void *ctx, const struct mr_manifest_record *rec, struct mr_diag *diag)
{
	struct mr_catalog *c = ctx;
	struct mr_reader r = mr_reader(rec->payload);
	int rc = apply(c, rec->type, &r);

	if (rc == 0 && (r.bad || mr_read_left(&r)))
		rc = MR_ERR_CORRUPT;
	if (rc < 0)
		return mr_diag_set(
			diag, rc, "XX001", 0, "catalog record of type %u is damaged", rec->type);
	c->version++;
	return 0;
}

static void emit(struct mr_buf *out, uint16_t type, struct mr_buf *payload)
{
	mr_manifest_emit(out, type, RECORD_VERSION, mr_buf_span(payload));
	mr_buf_reset(payload);
}

void mr_catalog_snapshot(void *ctx, struct mr_buf *out)
{
	struct mr_catalog *c = ctx;
	struct mr_buf b = {0};

	if (c->has_cluster_id) {
		mr_buf_add(&b, c->cluster_id.b, sizeof(c->cluster_id.b));
		emit(out, REC_CLUSTER, &b);
	}
	mr_buf_le64(&b, c->number_next);
	mr_buf_le64(&b, c->object_next);
	emit(out, REC_COUNTERS, &b);
	mr_buf_le64(&b, (uint64_t)c->producer_next);
	emit(out, REC_PRODUCERS, &b);
	for (size_t i = 0; i < c->topics_count; i++) {
		put_topic(&b, &c->topics[i]->topic);
		emit(out, REC_TOPIC, &b);
	}
	for (size_t i = 0; i < c->tables_count; i++) {
		put_table(&b, c->tables[i]);
		emit(out, REC_TABLE, &b);
	}
	for (size_t i = 0; i < c->views_count; i++) {
		const struct mr_view_def *v = c->views[i];

		put_view(&b, v->id, v->name, v->table_id, mr_span(v->query, v->query_bytes));
		emit(out, REC_VIEW, &b);
	}
	MR_ASSERT(!b.failed);
	mr_buf_fini(&b);
}

void mr_catalog_init(struct mr_catalog *c, struct mr_manifest *m)
{
	const struct mr_manifest_owner owner = {
		REC_CLUSTER, REC_LAST, RECORD_VERSION, c, mr_catalog_replay, mr_catalog_snapshot};

	*c = (struct mr_catalog){.number_next = 1, .object_next = 1, .producer_next = 1000};
	mr_catalog_lists_init(c);
	mr_manifest_register(m, &owner);
}
