// Between catalog.c, which knows the records, and catalog_lists.c, which keeps what they say.
#pragma once

#include "host/catalog.h"

void mr_catalog_lists_init(struct mr_catalog *c);
struct mr_topic_def *mr_catalog_topic_by_number(const struct mr_catalog *c, uint64_t number);

// Puts a definition in the place of the one under its number or id, if there is such; takes the
// reference. Or takes one out, if it is there.
void mr_catalog_set_topic(struct mr_catalog *c, struct mr_topic_def *d);
void mr_catalog_unset_topic(struct mr_catalog *c, uint64_t number);
void mr_catalog_set_table(struct mr_catalog *c, struct mr_table_def *d);
void mr_catalog_unset_table(struct mr_catalog *c, uint64_t id);
void mr_catalog_set_view(struct mr_catalog *c, struct mr_view_def *d);
void mr_catalog_unset_view(struct mr_catalog *c, uint64_t id);
