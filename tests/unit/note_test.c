// Lines for the operator: each is one write, a flood is held back, nobody waits for a reader.
#include "host/base/note.h"
#include "tests/lib/mr_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pipes {
	int in; // what stderr says
	int stderr_before;
};

static struct pipes pipes_open(void)
{
	struct pipes p = {.stderr_before = dup(STDERR_FILENO)};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	close(fds[1]);
	p.in = fds[0];
	assert_int_equal(fcntl(p.in, F_SETFL, O_NONBLOCK), 0);
	return p;
}

static void pipes_close(struct pipes *p)
{
	dup2(p->stderr_before, STDERR_FILENO);
	close(p->stderr_before);
	close(p->in);
}

// All there is to read, as text. Returned owned.
static char *said(struct pipes *p)
{
	char *text = calloc(1, 1 << 17);
	size_t bytes = 0;
	ssize_t n;

	assert_non_null(text);
	while ((n = read(p->in, text + bytes, (1 << 17) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	return text;
}

static void lines_are_lost_and_counted_when_nobody_reads(void **)
{
	struct pipes p = pipes_open();
	char byte = 'x', *text;

	mr_note(MR_NOTE_ERR, "test", "event=%s", "first");
	text = said(&p);
	assert_non_null(strstr(text, "error test: event=first\n"));
	free(text);
	assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
	while (write(STDERR_FILENO, &byte, 1) == 1)
		;
	assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, 0), 0);
	alarm(10); // it must not wait
	mr_note(MR_NOTE_ERR, "test", "event=%s", "second");
	mr_note(MR_NOTE_ERR, "test", "event=%s", "third");
	alarm(0);
	text = said(&p);
	assert_null(strstr(text, "event="));
	free(text);
	mr_note(MR_NOTE_ERR, "test", "event=%s", "fourth");
	mr_note(MR_NOTE_ERR, "test", "event=%s", "fifth");
	text = said(&p);
	assert_non_null(strstr(text, "event=fourth lines_lost_before=2\n"));
	assert_non_null(strstr(text, "event=fifth\n"));
	free(text);
	pipes_close(&p);
}

static void a_flood_from_one_place_is_held_back(void **)
{
	struct pipes p = pipes_open();
	unsigned lines = 0;
	char *text;

	// Two seconds begin at most while this runs.
	for (int i = 0; i < 1000; i++)
		mr_note(MR_NOTE_ERR, "test", "flood=%d", i);
	text = said(&p);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_in_range(lines, MR_NOTE_BURST, 2 * MR_NOTE_BURST);
	free(text);
	pipes_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_lost_and_counted_when_nobody_reads),
		cmocka_unit_test(a_flood_from_one_place_is_held_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
