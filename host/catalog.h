// What exists: topics, tables, views, and the counters that make their identities.
//
// The catalog is a function of the manifest's records of types MR_MANIFEST_TYPE_CATALOG and up: a
// change is a record appended, and the same code applies it now and at every later start. Topics
// are named by UUID, tables, views and columns by numbers, none ever used twice.
//
// Definitions are immutable once made and counted by reference: a changed object is a new one under
// the same identity. The control thread changes the catalog; others hold definitions they were
// given.
#pragma once

#include "dataplane/topic.h"
#include "host/base/buf.h"
#include "host/base/err.h"
#include "host/base/type.h"

#include <stdatomic.h>

#define MR_CATALOG_TOPICS_MAX      65536
#define MR_CATALOG_TABLES_MAX      4096
#define MR_CATALOG_VIEWS_MAX       4096
#define MR_CATALOG_QUERY_BYTES_MAX (1 << 20) // of a view, canonical
#define MR_CATALOG_COLUMNS_MAX     1600      // as PostgreSQL
#define MR_CATALOG_NAME_MAX        63        // as PostgreSQL

struct mr_manifest;
struct mr_manifest_record;

struct mr_topic_def {
	struct mr_topic topic; // first: lists of topics are lists of these
	_Atomic uint32_t references;
	char name[MR_TOPIC_NAME_MAX + 1];
};

struct mr_column_def {
	uint64_t id;
	struct mr_typeref type;
	bool not_null;
	char name[MR_CATALOG_NAME_MAX + 1];
};

// Options of CREATE TABLE … WITH.
struct mr_table_options {
	int64_t watermark_delay_us;
	int64_t ttl_us;           // 0 = rows are kept
	int32_t watermark_column; // -1 = none
};

struct mr_table_def {
	uint64_t id;
	_Atomic uint32_t references;
	char name[MR_CATALOG_NAME_MAX + 1];
	struct mr_uuid topic_id;
	struct mr_table_options options;
	uint32_t columns_count;
	struct mr_column_def *columns;
	// Rows below these offsets do not belong to the table (TRUNCATE); partitions past the count
	// begin at 0.
	uint32_t starts_count;
	int64_t *starts;
};

struct mr_view_def {
	uint64_t id;
	_Atomic uint32_t references;
	char name[MR_CATALOG_NAME_MAX + 1];
	uint64_t table_id;
	size_t query_bytes;
	char query[]; // canonical SELECT, NUL at the end
};

// What a change did to an object: `was` is NULL when it is new, `is` when it is gone.
enum mr_catalog_kind { MR_CATALOG_TOPIC, MR_CATALOG_TABLE, MR_CATALOG_VIEW };

struct mr_catalog_news {
	enum mr_catalog_kind kind;
	uint64_t id; // a topic's number
	void *was;   // definitions, a reference of each
	void *is;
};

struct mr_catalog {
	struct mr_uuid cluster_id;
	bool has_cluster_id;
	uint64_t number_next;  // topics
	uint64_t object_next;  // tables, views, columns
	int64_t producer_next; // producer ids below are spent
	uint64_t version;      // grows with every record
	// Ascending by number or id, which is the order they were made in.
	struct mr_topic_def **topics;
	size_t topics_count, topics_max;
	uint64_t partitions_count; // of all topics
	struct mr_table_def **tables;
	size_t tables_count, tables_max;
	struct mr_view_def **views;
	size_t views_count, views_max;
	// The same, as lists that snapshots keep.
	struct mr_sorted *topics_by_name, *topics_by_id;
	struct mr_sorted *tables_by_name, *views_by_name;
	// What has changed since mr_catalog_told, each object once.
	struct mr_catalog_news *news;
	size_t news_count, news_max;
	bool telling; // from the first mr_catalog_told on
};

// Registers the catalog as owner of its record types; before mr_manifest_open.
void mr_catalog_init(struct mr_catalog *c, struct mr_manifest *m);
void mr_catalog_fini(struct mr_catalog *c);
// What the manifest calls, on a struct mr_catalog: applies one record (0, MR_ERR_CORRUPT or
// MR_ERR_VERSION with diag; whatever the bytes, nothing worse); the records that make this state.
int mr_catalog_replay(void *ctx, const struct mr_manifest_record *rec, struct mr_diag *diag);
void mr_catalog_snapshot(void *ctx, struct mr_buf *out);

// What is in force now is what the catalog says: from here on, changes are news.
void mr_catalog_told(struct mr_catalog *c);
// Makes news of an object that the catalog has, without a change.
void mr_catalog_tell_view(struct mr_catalog *c, struct mr_view_def *v);

struct mr_topic_def *mr_catalog_topic(const struct mr_catalog *c, struct mr_span name);
struct mr_topic_def *mr_catalog_topic_by_id(const struct mr_catalog *c, struct mr_uuid id);
struct mr_table_def *mr_catalog_table(const struct mr_catalog *c, struct mr_span name);
struct mr_table_def *mr_catalog_table_by_id(const struct mr_catalog *c, uint64_t id);
struct mr_view_def *mr_catalog_view(const struct mr_catalog *c, struct mr_span name);
struct mr_view_def *mr_catalog_view_by_id(const struct mr_catalog *c, uint64_t id);
// The same in lists of tables and views by name.
struct mr_table_def *mr_table_def_find(const struct mr_sorted *by_name, struct mr_span name);
struct mr_view_def *mr_view_def_find(const struct mr_sorted *by_name, struct mr_span name);
// The first table over a topic, or NULL.
struct mr_table_def *mr_catalog_table_of_topic(const struct mr_catalog *c, struct mr_uuid topic_id);

struct mr_table_def *mr_table_def_create(uint32_t columns_count, uint32_t starts_count);
void mr_topic_def_put(struct mr_topic_def *t);
void mr_table_def_put(struct mr_table_def *t);
void mr_view_def_put(struct mr_view_def *v);
struct mr_topic_def *mr_topic_def_get(struct mr_topic_def *t);
struct mr_table_def *mr_table_def_get(struct mr_table_def *t);
struct mr_view_def *mr_view_def_get(struct mr_view_def *v);

// Changes collected in order and made durable together by one append: all or none.
struct mr_catalog_change {
	struct mr_buf bytes; // payloads, one after the other
	struct mr_buf heads; // struct mr_catalog_head
	uint32_t count;
};

struct mr_catalog_head {
	uint16_t type;
	size_t at;
};

void mr_catalog_add_cluster(struct mr_catalog_change *ch, struct mr_uuid id);
void mr_catalog_add_topic(struct mr_catalog_change *ch, const struct mr_topic *t);
void mr_catalog_drop_topic(struct mr_catalog_change *ch, uint64_t number);
void mr_catalog_add_table(struct mr_catalog_change *ch, const struct mr_table_def *t);
void mr_catalog_drop_table(struct mr_catalog_change *ch, uint64_t id);
// All stored segments of the table, and all runs of its views, go with this change.
void mr_catalog_drop_segments(struct mr_catalog_change *ch, uint64_t table_id);
void mr_catalog_add_view(struct mr_catalog_change *ch, uint64_t id, const char *name,
	uint64_t table_id, struct mr_span query);
void mr_catalog_drop_view(struct mr_catalog_change *ch, uint64_t id);
// All runs of the view go with this change.
void mr_catalog_drop_runs(struct mr_catalog_change *ch, uint64_t view_id);
void mr_catalog_add_producers(struct mr_catalog_change *ch, int64_t next);

// Appends the change to the manifest, which applies it; frees the change's memory either way.
[[nodiscard]] int mr_catalog_commit(struct mr_manifest *m, struct mr_catalog_change *ch);
void mr_catalog_change_fini(struct mr_catalog_change *ch);
