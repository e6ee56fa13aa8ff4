// What workers and SQL threads see of the catalog: an immutable list of topics and tables.
//
// Control makes a new one after every change, sends it to each worker by message and waits until
// all have taken it over, so a change is in force everywhere when it is answered.
#pragma once

#include "host/catalog.h"
#include "host/table.h"

struct mr_view;

struct mr_snapshot {
	_Atomic uint32_t references;
	struct mr_topics topics;
	struct mr_topic_def **topic_defs; // in the order of topics.by_name
	size_t tables_count;
	struct mr_table **tables;
	size_t views_count;
	struct mr_view **views;
};

struct mr_snapshot *mr_snapshot_get(struct mr_snapshot *s);
void mr_snapshot_put(struct mr_snapshot *s);

struct mr_view *mr_snapshot_view(const struct mr_snapshot *s, struct mr_span name);
struct mr_table *mr_snapshot_table(const struct mr_snapshot *s, struct mr_span name);
