// Syntax tree to canonical SQL text: view definitions, EXPLAIN labels, column names.
//
// Parsing the text gives the same tree again (positions apart).
#pragma once

#include "host/base/buf.h"
#include "host/sql/ast.h"

void mr_ast_print_stmt(struct mr_buf *out, const struct mr_ast_stmt *s);
void mr_ast_print_select(struct mr_buf *out, const struct mr_ast_select *s);
void mr_ast_print_expr(struct mr_buf *out, const struct mr_ast_expr *e);
void mr_ast_print_type(struct mr_buf *out, const struct mr_ast_type *t);
// An identifier, quoted where it must be.
void mr_ast_print_ident(struct mr_buf *out, const char *name);

// The name PostgreSQL gives a result column without alias: the column's or function's name, the
// type's for a cast of something nameless, "case", "array", … or "?column?".
const char *mr_ast_column_name(const struct mr_ast_expr *e);
