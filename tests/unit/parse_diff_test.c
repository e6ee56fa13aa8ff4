// The parser against PostgreSQL's own, as libpg_query packs it: the same verdict on every statement
// of sql_accept.txt, the same message and position for those of sql_reject.txt, and the same tree
// for a statement and for what our printer makes of it. The library is opened at run time (Debian
// package libpg-query-dev); without it the tests are skipped.
#include "host/sql/deparse.h"
#include "host/sql/parse.h"
#include "tests/lib/mr_test.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// pg_query.h's, which is not always there to be included.
struct pg_error {
	char *message;
	char *funcname;
	char *filename;
	int lineno;
	int cursorpos;
	char *context;
};

struct pg_result {
	char *parse_tree;
	char *stderr_buffer;
	struct pg_error *error;
};

static struct pg_result (*pg_parse)(const char *);
static void (*pg_free)(struct pg_result);

static int open_library(void **)
{
	void *lib = dlopen("libpg_query.so.1504.0", RTLD_NOW);

	if (lib) {
		pg_parse = (struct pg_result(*)(const char *))dlsym(lib, "pg_query_parse");
		pg_free = (void (*)(struct pg_result))dlsym(lib, "pg_query_free_parse_result");
	}
	return 0;
}

static void need_library(void)
{
	if (pg_parse && pg_free)
		return;
	print_message("libpg_query (Debian package libpg-query-dev) is not installed\n");
	skip();
}

typedef void (*check_line)(char *line);

// Calls `check` for each line of a list up to a line of equals signs.
static void each_line(const char *path, check_line check)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t max = 0;

	assert_non_null(f);
	while (getline(&line, &max, f) > 0 && line[0] != '=') {
		line[strcspn(line, "\n")] = 0;
		if (line[0] && line[0] != '#')
			check(line);
	}
	free(line);
	fclose(f);
}

static void expect_accepted(char *line)
{
	struct pg_result r = pg_parse(line);

	if (r.error)
		fail_msg("%s: %s at %d", line, r.error->message, r.error->cursorpos);
	pg_free(r);
}

static void postgres_accepts_the_accepted(void **)
{
	need_library();
	each_line("tests/unit/sql_accept.txt", expect_accepted);
}

static void expect_rejected(char *line)
{
	int position;
	const char *message;
	struct pg_result r;

	(void)strsep(&line, "\t");
	position = atoi(strsep(&line, "\t"));
	message = strsep(&line, "\t");
	r = pg_parse(line);
	if (!r.error)
		fail_msg("PostgreSQL accepts %s", line);
	if (strcmp(r.error->message, message) != 0 || r.error->cursorpos != position)
		fail_msg("%s: %s at %d", line, r.error->message, r.error->cursorpos);
	pg_free(r);
}

static void postgres_rejects_the_rejected_in_the_same_words(void **)
{
	need_library();
	each_line("tests/unit/sql_reject.txt", expect_rejected);
}

// Parts of PostgreSQL's tree that depend on spelling only: places, ASC written out, pg_catalog in
// front of a type, START for BEGIN, the size in int[3] (which PostgreSQL itself ignores).
static const struct {
	const char *text;
	const char *instead;
	bool value; // a number or string follows and goes too
} spellings[] = {
	{"\"location\":", "", true},
	{"\"stmt_location\":", "", true},
	{"\"stmt_len\":", "", true},
	{"SORTBY_ASC", "SORTBY_DEFAULT", false},
	{"{\"String\":{\"sval\":\"pg_catalog\"}},", "", false},
	{"TRANS_STMT_START", "TRANS_STMT_BEGIN", false},
	{"{\"Integer\":{\"ival\":3}}", "{\"Integer\":{}}", false},
};

static const char *skip_value(const char *at)
{
	if (*at == '"') {
		for (at++; *at != '"'; at++)
			;
		at++;
	}
	while (isdigit((unsigned char)*at) || *at == '-')
		at++;
	return *at == ',' ? at + 1 : at;
}

// A copy of a tree without what depends on spelling.
static char *normalise(const char *tree)
{
	char *out = malloc(2 * strlen(tree) + 1);
	char *w = out;

	while (*tree) {
		size_t i = 0;

		while (i < MR_COUNT_OF(spellings) &&
			strncmp(tree, spellings[i].text, strlen(spellings[i].text)) != 0)
			i++;
		if (i == MR_COUNT_OF(spellings)) {
			if (*tree == '}' && w > out && w[-1] == ',')
				w--;
			*w++ = *tree++;
			continue;
		}
		w = stpcpy(w, spellings[i].instead);
		tree += strlen(spellings[i].text);
		if (spellings[i].value)
			tree = skip_value(tree);
	}
	*w = 0;
	return out;
}

// Statements whose canonical form is another tree on purpose.
static bool is_respelled(const char *line)
{
	static const char *const parts[] = {
		"LIMIT ALL",             // is no limit
		"SUBSTRING(x FOR 2)",    // gets a cast to int4
		"DELETE FROM ONLY",      // there is no inheritance
		"CONSTRAINT q",          // names of constraints are dropped
		"RESTART IDENTITY",      // there are no sequences
		"READ WRITE, ISOLATION", // order of modes
		"ANALYZE t (a, b)",      // columns are dropped
		"CSV HEADER DELIMITER",  // old options become new ones
	};

	for (size_t i = 0; i < MR_COUNT_OF(parts); i++)
		if (strstr(line, parts[i]))
			return true;
	return false;
}

// How far two texts agree, less a little for context.
static size_t agreement(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n > 100 ? n - 100 : 0;
}

static void expect_same_tree(char *line)
{
	struct mr_arena arena;
	struct mr_ast_script script;
	struct mr_buf text = {0};
	struct pg_result before;
	struct pg_result after;

	if (is_respelled(line))
		return;
	mr_arena_init(&arena, 0);
	assert_int_equal(mr_sql_parse(mr_span_str(line), &arena, &script, NULL), 0);
	for (uint32_t i = 0; i < script.count; i++) {
		mr_ast_print_stmt(&text, script.stmts[i]);
		mr_buf_str(&text, ";");
	}
	mr_buf_u8(&text, 0);
	before = pg_parse(line);
	after = pg_parse((char *)text.data);
	if (after.error) {
		fail_msg("%s\nprinted as %s\n%s", line, text.data, after.error->message);
	} else {
		char *a = normalise(before.parse_tree);
		char *b = normalise(after.parse_tree);

		if (strcmp(a, b) != 0) {
			size_t same = agreement(a, b);

			fail_msg("%s\nprinted as %s\n…%.300s\n…%.300s", line, text.data, a + same,
				b + same);
		}
		free(a);
		free(b);
	}
	pg_free(before);
	pg_free(after);
	mr_buf_fini(&text);
	mr_arena_fini(&arena);
}

static void printed_statements_mean_the_same_to_postgres(void **)
{
	need_library();
	each_line("tests/unit/sql_accept.txt", expect_same_tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(postgres_accepts_the_accepted),
		cmocka_unit_test(postgres_rejects_the_rejected_in_the_same_words),
		cmocka_unit_test(printed_statements_mean_the_same_to_postgres),
	};

	return cmocka_run_group_tests(tests, open_library, NULL);
}
