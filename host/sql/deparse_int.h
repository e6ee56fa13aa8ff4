// What the printers of expressions, queries and statements share.
#pragma once

#include "host/sql/deparse.h"

void mr_print_string(struct mr_buf *out, const char *text);             // 'it''s'
void mr_print_idents(struct mr_buf *out, struct mr_ast_idents idents);  // a, b
void mr_print_columns(struct mr_buf *out, struct mr_ast_idents idents); // " (a, b)" or nothing
void mr_print_name(struct mr_buf *out, const struct mr_ast_name *name);
void mr_print_names(struct mr_buf *out, struct mr_ast_names names);
// A name that must not be taken for syntax: every key word is quoted.
void mr_print_function_name(struct mr_buf *out, const char *schema, const char *name);
// A word where any key word may stand: options and their values.
void mr_print_label(struct mr_buf *out, const char *name);
void mr_print_exprs(struct mr_buf *out, struct mr_ast_exprs list);
void mr_print_b_expr(struct mr_buf *out, const struct mr_ast_expr *e); // fit for b_expr
void mr_print_sorts(struct mr_buf *out, struct mr_ast_sorts sorts);
void mr_print_window(struct mr_buf *out, const struct mr_ast_window *w); // '(' … ')'
void mr_print_targets(struct mr_buf *out, struct mr_ast_targets targets);
void mr_print_with(struct mr_buf *out, const struct mr_ast_with *with);
void mr_print_from(struct mr_buf *out, const struct mr_ast_from *f);
