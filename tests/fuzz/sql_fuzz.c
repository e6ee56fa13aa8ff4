// Any text as SQL: it parses or is refused with a diagnostic; what parses prints, and the printed
// text parses and prints to itself.
#include "host/sql/deparse.h"
#include "host/sql/parse.h"

#include <stdio.h>

enum { ARENA_BYTES = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_printed(const struct mr_ast_stmt *stmt)
{
	struct mr_buf first = {0};
	struct mr_buf second = {0};
	struct mr_arena arena;
	struct mr_ast_script again;
	struct mr_diag diag;

	mr_ast_print_stmt(&first, stmt);
	mr_arena_init(&arena, ARENA_BYTES);
	if (mr_sql_parse(mr_buf_span(&first), &arena, &again, &diag) < 0)
		fprintf(stderr, "printed: %.*s\n%s at %d\n", (int)first.bytes, first.data,
			diag.message, diag.position);
	MR_ASSERT(again.count == 1);
	mr_ast_print_stmt(&second, again.stmts[0]);
	MR_ASSERT(mr_span_eq(mr_buf_span(&first), mr_buf_span(&second)));
	mr_arena_fini(&arena);
	mr_buf_fini(&first);
	mr_buf_fini(&second);
}

// Statement by statement, so that one that is refused does not hide those before it.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct mr_arena arena;
	struct mr_ast_script script;
	struct mr_diag diag = {0};
	struct mr_span whole = mr_span(data, bytes);
	struct mr_span rest = whole;
	const struct mr_ast_stmt *stmt;
	uint32_t count = 0;
	int rc;

	mr_arena_init(&arena, ARENA_BYTES);
	while ((rc = mr_sql_parse_next(whole, &rest, &arena, &stmt, &diag)) == 0 && stmt) {
		check_printed(stmt);
		count++;
	}
	MR_ASSERT(rc == 0 || (diag.sqlstate[0] && diag.message[0] && !stmt));
	if (mr_sql_parse(whole, &arena, &script, &diag) == 0)
		MR_ASSERT(script.count == count);
	else
		MR_ASSERT(script.count == 0 && diag.sqlstate[0]);
	mr_arena_fini(&arena);
	return 0;
}
