// What workers and SQL threads see of the catalog: an immutable list of topics, tables and views.
//
// Control makes a new one after every change, sends it to each worker by message, with what differs
// from the one before, and waits until all have taken it over: so a change is in force everywhere
// when it is answered, and its cost does not grow with what there is but by a copy of two lists.
#pragma once

#include "host/catalog.h"
#include "host/table.h"

struct mr_view;

struct mr_snapshot {
	_Atomic uint32_t references;
	struct mr_topics topics; // borrows the lists below
	struct mr_sorted *topics_by_name, *topics_by_id;
	struct mr_sorted *tables_by_name, *views_by_name; // definitions
	size_t tables_count;
	struct mr_table **tables; // ascending by id
	size_t views_count;
	struct mr_view **views; // ascending by id
};

// What differs from the snapshot before: `was` is NULL for what is new, `is` for what is gone. Both
// are borrowed from the two snapshots.
struct mr_snapshot_change {
	struct mr_changed_topic {
		struct mr_topic_def *was, *is;
	} * topics;
	struct mr_changed_table {
		struct mr_table *was, *is;
	} * tables;
	struct mr_changed_view {
		struct mr_view *was, *is;
	} * views;
	size_t topics_count, tables_count, views_count;
};

struct mr_snapshot *mr_snapshot_get(struct mr_snapshot *s);
void mr_snapshot_put(struct mr_snapshot *s);

// What runs under that name or id, or NULL.
struct mr_view *mr_snapshot_view(const struct mr_snapshot *s, struct mr_span name);
struct mr_view *mr_snapshot_view_by_id(const struct mr_snapshot *s, uint64_t id);
struct mr_table *mr_snapshot_table(const struct mr_snapshot *s, struct mr_span name);
struct mr_table *mr_snapshot_table_by_id(const struct mr_snapshot *s, uint64_t id);
