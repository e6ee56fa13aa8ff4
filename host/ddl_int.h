// Between ddl.c (tables, views) and ddl_topics.c. Control thread.
#pragma once

#include "host/control.h"

// Makes a change durable and in force. What is durable but cannot be put into force is undone, so
// that the catalog is what runs. 0, or negative with diag. Frees both; `undo` may be NULL.
[[nodiscard]] int mr_ddl_commit(struct mr_control *c, struct mr_catalog_change *change,
	struct mr_catalog_change *undo, struct mr_diag *diag);
// A new topic under the next number; 0 partitions mean the default.
struct mr_topic mr_ddl_topic(struct mr_control *c, struct mr_span name, uint32_t partitions,
	const struct mr_topic_config *config);
// 0 when there may be so many more; MR_ERR_LIMIT, counted, with diag.
[[nodiscard]] int mr_ddl_may_add(
	struct mr_control *c, enum mr_limit limit, uint64_t more, struct mr_diag *diag);
