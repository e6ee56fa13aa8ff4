// Shared by the files of the fold engine.
#pragma once

#include "host/sql/exec.h"
#include "host/sql/fold.h"

// The parts of SELECT … FROM [window over] scan [WHERE] GROUP BY … [HAVING], found in its plan.
struct mr_fold {
	struct mr_env *env;
	struct mr_arena arena;
	const struct mr_relation **relations; // pinned
	uint32_t relations_count;
	const struct mr_plan *scan;
	const struct mr_plan *window; // or NULL
	struct mr_expr *where;        // or NULL; over the window's or the scan's columns
	const struct mr_plan *agg;
	struct mr_expr *having; // or NULL; over agg's columns
	const struct mr_plan *project;
	uint32_t *source_columns;
	struct mr_result_column *columns;
	uint32_t columns_count;
	uint32_t memos_count;
	uint64_t fingerprint;
	bool keeps_text;
};

struct mr_fold_state {
	const struct mr_fold *fold;
	size_t bytes_max;
	struct mr_arena arena; // groups and their states
	struct mr_agg_core core;
	struct mr_arena scratch;
	struct mr_arena memo;
	struct mr_query query;
	struct mr_eval eval;
	struct mr_diag diag;
	uint64_t rows_failed;
	uint64_t rows_untimed;
};
