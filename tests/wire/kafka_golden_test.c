// Golden requests and responses: whole frames in hex, driven through the Kafka layer with a broker
// in memory.
//
// A .hex file of this folder is a list of sections; each starts anew with an empty broker that has
// a topic "t" of two partitions and a topic "u" of one:
//
//   == title
//   # comment
//   > hex      a request without its length; lines "+ hex" go on with it
//   = text     what the broker was asked, one line each
//   < hex      the response; or "! reason" for a closed connection, or "-" for no answer
//
// Requests are what clients sent (<client>.hex) or what another codec encoded (<api>.hex); see
// oracle.py for how responses were checked against that codec. MR_TEST_ACCEPT=1 writes the lines
// after each request anew; read them in the diff.
#include "tests/lib/kafka_mock.h"
#include "tests/lib/mr_test.h"

#include <glob.h>

enum { FILES_MAX = 64, HEX_BYTES_PER_LINE = 48 };

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void add_hex(struct mr_buf *b, const char *text)
{
	for (; hex_digit(text[0]) >= 0; text += 2)
		mr_buf_u8(b, (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1])));
}

static void print_hex(struct mr_buf *out, struct mr_span s)
{
	for (size_t i = 0; i < s.bytes; i++) {
		if (i % HEX_BYTES_PER_LINE == 0)
			mr_buf_printf(out, "%s< ", i ? "\n" : "");
		mr_buf_printf(out, "%02x", s.data[i]);
	}
	mr_buf_str(out, "\n");
}

// Runs one request and writes what came of it in the file's own form.
static void run_request(struct mock *m, struct mr_span request, struct mr_buf *out)
{
	int answered = m->answered, closed = m->closed;
	char *line, *rest;

	mr_buf_reset(&m->calls);
	if (mock_send(m, request))
		fail_msg("the request was left unanswered");
	mr_buf_u8(&m->calls, 0);
	rest = (char *)m->calls.data;
	while ((line = strsep(&rest, "\n")) && *line)
		mr_buf_printf(out, "= %s\n", line);
	if (m->closed > closed)
		mr_buf_printf(out, "! %s\n", m->close_reason);
	else if (m->answered > answered)
		print_hex(out, mr_buf_span(&m->response));
	else
		mr_buf_str(out, "-\n");
	assert_int_equal(atomic_load(&mr_kafka_stats(m->kafka)->trailing_bytes), 0);
}

struct golden {
	struct mock *mock;
	struct mr_buf request;
	struct mr_buf out;
};

static void flush_request(struct golden *g)
{
	if (g->request.bytes == 0)
		return;
	run_request(g->mock, mr_buf_span(&g->request), &g->out);
	mr_buf_reset(&g->request);
}

static void on_line(struct golden *g, const char *line)
{
	switch (line[0]) {
	case '>': flush_request(g); [[fallthrough]];
	case '+': add_hex(&g->request, line + 2); break;
	case '=':
		if (line[1] == '=') {
			flush_request(g);
			mock_destroy_all(g->mock);
			g->mock = mock_create_all();
			break;
		}
		return; // what is compared with
	case '<':
	case '!':
	case '-': return;
	default: flush_request(g);
	}
	mr_buf_printf(&g->out, "%s\n", line);
}

static void read_file(const char *path, struct mr_buf *out)
{
	FILE *f = fopen(path, "r");
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		mr_buf_u8(out, (uint8_t)c);
	fclose(f);
}

static void write_file(const char *path, struct mr_span s)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(s.data, 1, s.bytes, f), s.bytes);
	fclose(f);
}

// The place of the first difference, for the message.
static void compare(const char *path, const char *want, const char *got)
{
	int line = 1;

	for (size_t i = 0; want[i] || got[i]; i++) {
		if (want[i] != got[i])
			fail_msg("%s:%d: differs (MR_TEST_ACCEPT=1 shows how in the diff)", path,
				line);
		line += want[i] == '\n';
	}
}

static void requests_are_answered_as_written(void **state)
{
	const char *path = *state;
	struct golden g = {.mock = mock_create_all()};
	struct mr_buf file = {0};
	char *copy, *rest, *line;

	read_file(path, &file);
	mr_buf_u8(&file, 0);
	copy = rest = strdup((const char *)file.data);
	while ((line = strsep(&rest, "\n")))
		if (*line || rest)
			on_line(&g, line);
	flush_request(&g);
	if (getenv("MR_TEST_ACCEPT"))
		write_file(path, mr_buf_span(&g.out));
	mr_buf_u8(&g.out, 0);
	if (!getenv("MR_TEST_ACCEPT"))
		compare(path, (const char *)file.data, (const char *)g.out.data);
	free(copy);
	mr_buf_fini(&file);
	mr_buf_fini(&g.request);
	mr_buf_fini(&g.out);
	mock_destroy_all(g.mock);
}

int main(void)
{
	struct CMUnitTest tests[FILES_MAX];
	glob_t files;
	int failed;

	if (glob("tests/wire/*.hex", 0, NULL, &files) || files.gl_pathc > FILES_MAX) {
		fprintf(stderr, "run from the repository's root\n");
		return 1;
	}
	for (size_t i = 0; i < files.gl_pathc; i++)
		tests[i] = (struct CMUnitTest){files.gl_pathv[i], requests_are_answered_as_written,
			NULL, NULL, files.gl_pathv[i]};
	failed = _cmocka_run_group_tests("kafka_golden", tests, files.gl_pathc, NULL, NULL);
	globfree(&files);
	return failed;
}
