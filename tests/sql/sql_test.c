// Runs tests/sql/*.test: SQL text and the rows or errors it must give, one cmocka test per file.
//
// A file is records separated by empty lines, each in a fresh session of the file's own database:
//   # comment
//   statement ok            then SQL that must succeed
//   statement error STATE text   then SQL that must fail so; `text` is part of the message
//   query [sort] [ours]     then SQL, a line `----`, and the rows as psql -At -P null=NULL prints
//                           them. sort: in any order. ours: PostgreSQL would answer otherwise.
// Expected rows come from PostgreSQL 15 (tests/sql/from-postgres), except where `ours` says so.
#include "tests/lib/mr_test.h"

#include "tests/lib/sqltest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 128, LINES_MAX = 20000 };

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text;
	long bytes;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	bytes = ftell(f);
	rewind(f);
	text = calloc(1, (size_t)bytes + 2);
	assert_int_equal(fread(text, 1, (size_t)bytes, f), bytes);
	fclose(f);
	return text;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// The text with its lines sorted; owned.
static char *sorted(const char *text)
{
	char *copy = strdup(text), *out = calloc(1, strlen(text) + 2), *save = NULL;
	char **lines = calloc(LINES_MAX, sizeof(*lines));
	size_t n = 0;

	for (char *l = strtok_r(copy, "\n", &save); l && n < LINES_MAX;
		l = strtok_r(NULL, "\n", &save))
		lines[n++] = l;
	qsort(lines, n, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < n; i++) {
		strcat(out, lines[i]);
		strcat(out, "\n");
	}
	free(lines);
	free(copy);
	return out;
}

struct record {
	char *head;
	char *sql;
	char *rows; // NULL: a statement
};

static bool check_rows(const struct record *r, const char *got, bool sort)
{
	char *a = sort ? sorted(r->rows) : strdup(r->rows), *b = sort ? sorted(got) : strdup(got);
	bool same = strcmp(a, b) == 0;

	if (!same)
		print_error("%s\n--- expected\n%s--- got\n%s", r->sql, a, b);
	free(a);
	free(b);
	return same;
}

static bool run_record(struct mr_sqltest *t, const struct record *r)
{
	struct mr_buf out = {0};
	struct mr_diag diag;
	int rc = mr_sqltest_run(t, r->sql, &out, &diag);
	bool good = rc >= 0;

	mr_buf_u8(&out, 0);
	if (strncmp(r->head, "statement error", 15) == 0) {
		char state[6] = "";
		const char *text = strlen(r->head) > 16 ? r->head + 16 : "";

		snprintf(state, sizeof(state), "%s", text);
		text += strlen(text) > 6 ? 6 : strlen(text);
		good = rc < 0 && strcmp(diag.sqlstate, state) == 0 && strstr(diag.message, text);
		if (!good)
			print_error("%s\n--- expected %s\n--- got %d %s %s\n", r->sql, r->head, rc,
				diag.sqlstate, diag.message);
	} else if (rc < 0) {
		print_error("%s\n--- failed: %s %s (at %d) %s\n", r->sql, diag.sqlstate,
			diag.message, diag.position, diag.hint);
	} else if (r->rows) {
		good = check_rows(r, (const char *)out.data, strstr(r->head, " sort") != NULL);
	}
	mr_buf_fini(&out);
	return good;
}

// Cuts the next record off `*at`; false at the end.
static bool next_record(char **at, struct record *r)
{
	char *end, *split;

	for (;;) {
		while (**at == '\n')
			(*at)++;
		if (**at != '#')
			break;
		*at += strcspn(*at, "\n");
	}
	if (!**at)
		return false;
	end = strstr(*at, "\n\n");
	end = end ? end + 1 : *at + strlen(*at);
	r->head = *at;
	*at = *end ? end + 1 : end;
	*end = 0;
	r->sql = strchr(r->head, '\n');
	assert_non_null(r->sql);
	*r->sql++ = 0;
	split = strstr(r->sql, "----\n");
	r->rows = split ? split + 5 : NULL;
	if (split)
		*split = 0;
	else if (strncmp(r->head, "query", 5) == 0)
		r->rows = r->sql + strlen(r->sql);
	return true;
}

static void run_file(void **state)
{
	char *text = read_file(*state), *at = text;
	struct mr_sqltest *t;
	struct record r;
	int failed = 0;

	assert_int_equal(mr_sqltest_create(64 << 20, &t), 0);
	while (next_record(&at, &r))
		failed += !run_record(t, &r);
	mr_sqltest_destroy(t);
	free(text);
	assert_int_equal(failed, 0);
}

int main(void)
{
	static struct CMUnitTest tests[FILES_MAX];
	static char paths[FILES_MAX][512];
	struct dirent **names;
	int n = scandir("tests/sql", &names, NULL, alphasort), count = 0;

	for (int i = 0; i < n; i++) {
		size_t bytes = strlen(names[i]->d_name);

		if (bytes > 5 && strcmp(names[i]->d_name + bytes - 5, ".test") == 0 &&
			count < FILES_MAX) {
			snprintf(paths[count], sizeof(paths[count]), "tests/sql/%s",
				names[i]->d_name);
			tests[count] = (struct CMUnitTest){
				paths[count], run_file, NULL, NULL, paths[count]};
			count++;
		}
		free(names[i]);
	}
	free(names);
	return _cmocka_run_group_tests("sql", tests, (size_t)count, NULL, NULL);
}
