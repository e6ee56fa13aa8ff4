// INSERT: rows of a block produced to the table's topic.
#pragma once

#include "host/sql/env.h"

struct mr_control;

// Columns of the block are the relation's `columns`. All rows go into one batch of one partition;
// batches go round the partitions. Waits until they are durable and visible. SQL threads only.
[[nodiscard]] int mr_insert(struct mr_control *c, const struct mr_relation *r,
	const uint32_t *columns, uint32_t columns_count, const struct mr_block *rows,
	struct mr_diag *diag);
