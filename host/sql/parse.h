// SQL text to syntax tree.
//
// Hostile text can only cause an error: text, nesting and tree size are limited, and the arena's
// own limit holds. Errors are PostgreSQL's: 42601 `syntax error at or near "x"` with a position,
// 54001 for nesting, 54000 for size, 53200 when the arena is exhausted, 22021 for text that is not
// UTF-8, 0A000 for syntax we know and do not have. Reentrant; no state outlives a call.
#pragma once

#include "host/base/arena.h"
#include "host/base/err.h"
#include "host/sql/ast.h"

enum {
	MR_SQL_TEXT_BYTES_MAX = 16 << 20, // one script
	MR_SQL_NODES_MAX = 1 << 20,       // nodes and list items of one script
	MR_SQL_DEPTH_MAX = 500,           // see ast.h
	MR_SQL_IDENT_BYTES_MAX = 63,      // longer identifiers are cut, as in PostgreSQL
};

// Parses a script: statements separated by semicolons, empty ones left out. Fills `out` with memory
// of `arena`; the tree borrows from `text` only mr_ast_stmt.text. `diag` may be NULL.
[[nodiscard]] int mr_sql_parse(struct mr_span text, struct mr_arena *arena,
	struct mr_ast_script *out, struct mr_diag *diag);

// Parses the first statement of `*rest`, which must be a tail of `whole` (positions count from the
// start of `whole`), and moves `*rest` behind it and its semicolon. `*out` is NULL when only white
// space, comments and semicolons were left.
[[nodiscard]] int mr_sql_parse_next(struct mr_span whole, struct mr_span *rest,
	struct mr_arena *arena, const struct mr_ast_stmt **out, struct mr_diag *diag);

// Parses a lone expression, for options such as watermark = 'ts - 5 seconds' style texts.
[[nodiscard]] int mr_sql_parse_expr(struct mr_span text, struct mr_arena *arena,
	const struct mr_ast_expr **out, struct mr_diag *diag);
