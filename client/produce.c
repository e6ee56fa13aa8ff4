// millrace produce: one record per input line.
//
//   read → lines → builder of the batch being filled → finished batch → client → acknowledged →
//   free
//
// Memory is bounded by a pool of batches: when all are on their way, input waits. A batch goes to
// one partition, the next one to the next (the sticky partitioner of KIP-480), and an unfinished
// batch leaves when the input pauses, so that `tail -f | millrace produce` works.
#include "client/client.h"
#include "client/kafka_client.h"
#include "client/progress.h"
#include "dataplane/batch_build.h"
#include "host/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	READ_BYTES = 256 << 10,
	LINE_BYTES_MAX = 64 << 20,
	POOL_BYTES = 32 << 20, // of finished batches, about
	POOL_BATCHES_MIN = 8,
	POOL_BATCHES_MAX = 512,
	BATCH_BYTES_DEFAULT = 256 << 10,
	BATCH_BYTES_MAX = 16 << 20,
};

static const int64_t linger_ns = 5 * 1000 * 1000;

static const char usage[] =
	"usage: millrace produce --bootstrap ADDR:PORT --topic T [option]... [FILE]\n"
	"\n"
	"Sends one record per line of FILE (standard input by default), empty lines included, and\n"
	"exits 0 when all are acknowledged.\n"
	"\n"
	"  --idempotent        no record twice, even when a connection breaks\n"
	"  --acks 0|1|all      default all\n"
	"  --codec NAME        none, gzip, snappy, lz4, zstd; default none\n"
	"  --batch-bytes SIZE  records per batch, before compression; default 256KiB\n"
	"  --partitions N      create the topic with N partitions if it is not there\n"
	"  --quiet             no progress and no summary\n";

struct slot {
	struct mr_produce_batch batch; // first: a batch is cast back to its slot
	struct mr_buf bytes;
	struct slot *next_free;
};

struct produce {
	struct mr_kafka_client_options opt;
	const char *file;
	int codec;
	uint64_t batch_bytes;
	uint64_t partitions; // 0: as the topic has
	bool quiet;

	int fd;
	struct mr_kafka_client *client;
	struct mr_zip *zip;
	struct mr_batch_builder builder;
	uint32_t partition;
	struct slot *slots, *free;
	size_t slots_count;
	struct mr_buf in; // the bytes of a line that is not complete
	bool ended;
	int64_t filled_ns; // when the first record came into the batch being filled
	uint64_t rows_acked;
	struct mr_progress progress;
	char error[400];
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int)
{
	interrupted = 1;
}

static void acked(void *owner, struct mr_produce_batch *b)
{
	struct produce *p = owner;
	struct slot *s = (struct slot *)b;

	p->rows_acked += (uint64_t)b->rows;
	s->next_free = p->free;
	p->free = s;
}

static int turn(struct produce *p, int64_t wait_ns, int fd)
{
	int e = mr_kafka_client_poll(p->client, wait_ns, fd);

	if (e < 0)
		snprintf(p->error, sizeof(p->error), "%s", mr_kafka_client_error(p->client));
	mr_progress_show(&p->progress, p->rows_acked);
	return e;
}

static struct slot *take_slot(struct produce *p)
{
	struct slot *s;

	while (!p->free)
		if (turn(p, INT64_C(1000000000), -1) < 0)
			return NULL;
	s = p->free;
	p->free = s->next_free;
	return s;
}

// Sends what the builder holds.
static int flush(struct produce *p)
{
	int32_t rows = p->builder.count;
	struct slot *s = rows ? take_slot(p) : NULL;
	int e;

	if (rows == 0)
		return 0;
	if (!s)
		return -EIO;
	mr_buf_reset(&s->bytes);
	e = mr_batch_builder_finish(
		&p->builder, p->zip, p->codec, MR_BATCH_PRODUCER_NONE, &s->bytes);
	if (e < 0) {
		snprintf(p->error, sizeof(p->error), "compressing: %s", mr_err_text(e));
		return e;
	}
	s->batch.data = s->bytes.data;
	s->batch.bytes = s->bytes.bytes;
	s->batch.rows = rows;
	mr_kafka_client_send(p->client, p->partition, &s->batch);
	p->partition = (p->partition + 1) % mr_kafka_client_partitions(p->client);
	return turn(p, 0, -1);
}

static int add_line(struct produce *p, struct mr_span line)
{
	int64_t now_ms = mr_wall_us(&mr_clock_system) / 1000;
	int e = 0;

	if (p->builder.count && p->builder.records.bytes + line.bytes > p->batch_bytes)
		e = flush(p);
	if (e < 0)
		return e;
	if (p->builder.count == 0)
		p->filled_ns = mr_now_ns(&mr_clock_system);
	// An empty line is an empty value, not a null one.
	if (!mr_batch_builder_add(&p->builder, now_ms, mr_span(NULL, 0),
		    mr_span(line.data, line.bytes), NULL, 0)) {
		snprintf(p->error, sizeof(p->error), "out of memory");
		return -ENOMEM;
	}
	p->progress.rows++;
	return 0;
}

// Takes the complete lines out of `in`; what is left moves to its front.
static int take_lines(struct produce *p, size_t scanned)
{
	const uint8_t *line = p->in.data, *end = p->in.data + p->in.bytes;
	const uint8_t *nl = memchr(line + scanned, '\n', p->in.bytes - scanned);
	int e = 0;

	for (; nl && e == 0; nl = memchr(line, '\n', (size_t)(end - line))) {
		e = add_line(p, mr_span(line, (size_t)(nl - line)));
		line = nl + 1;
	}
	p->in.bytes = (size_t)(end - line);
	memmove(p->in.data, line, p->in.bytes);
	return e;
}

static int read_some(struct produce *p)
{
	size_t before = p->in.bytes;
	uint8_t *at = mr_buf_room(&p->in, READ_BYTES);
	ssize_t got;

	if (!at) {
		snprintf(p->error, sizeof(p->error), "a line is longer than %d MiB",
			LINE_BYTES_MAX >> 20);
		return -E2BIG;
	}
	got = read(p->fd, at, READ_BYTES);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (got < 0) {
		snprintf(p->error, sizeof(p->error), "%s: %s", p->file ? p->file : "input",
			mr_err_text(-errno));
		return -errno;
	}
	p->ended = got == 0;
	p->in.bytes += (size_t)got;
	p->progress.bytes += (uint64_t)got;
	// A last line without its end counts.
	if (p->ended)
		return before ? add_line(p, mr_buf_span(&p->in)) : 0;
	return take_lines(p, before);
}

// Waits for input, and lets a batch go that has waited for more for too long.
static int await_input(struct produce *p)
{
	struct pollfd in = {p->fd, POLLIN, 0};
	int64_t wait_ns = INT64_C(200000000);
	int e;

	while (poll(&in, 1, 0) == 0 && !interrupted) {
		int64_t age_ns = mr_now_ns(&mr_clock_system) - p->filled_ns;

		if (p->builder.count && age_ns >= linger_ns) {
			e = flush(p);
			if (e < 0)
				return e;
		}
		e = turn(p, p->builder.count ? MR_MAX(linger_ns - age_ns, 0) : wait_ns, p->fd);
		if (e < 0)
			return e;
	}
	return 0;
}

static int stream(struct produce *p)
{
	int e = 0;

	while (!p->ended && !interrupted && e == 0) {
		e = await_input(p);
		if (e == 0 && !interrupted)
			e = read_some(p);
	}
	if (e == 0)
		e = flush(p);
	while (e == 0 && mr_kafka_client_pending(p->client))
		e = turn(p, INT64_C(200000000), -1);
	return e;
}

static int make_slots(struct produce *p)
{
	size_t count = POOL_BYTES / p->batch_bytes;

	p->slots_count = MR_MIN(MR_MAX(count, POOL_BATCHES_MIN), POOL_BATCHES_MAX);
	p->slots = calloc(p->slots_count, sizeof(*p->slots));
	if (!p->slots)
		return -ENOMEM;
	for (size_t i = 0; i < p->slots_count; i++) {
		p->slots[i].next_free = p->free;
		p->free = &p->slots[i];
	}
	return 0;
}

static int open_all(struct produce *p)
{
	struct stat st = {0};

	p->fd = STDIN_FILENO;
	if (p->file && strcmp(p->file, "-") != 0) {
		p->fd = open(p->file, O_RDONLY | O_CLOEXEC);
		if (p->fd < 0) {
			snprintf(
				p->error, sizeof(p->error), "%s: %s", p->file, mr_err_text(-errno));
			return -EIO;
		}
	}
	if (fstat(p->fd, &st) == 0 && S_ISREG(st.st_mode))
		p->progress.bytes_total = (uint64_t)st.st_size;
	p->in.bytes_limit = LINE_BYTES_MAX;
	mr_batch_builder_init(&p->builder, 0);
	if (make_slots(p) < 0 || mr_zip_create(&p->zip) < 0) {
		snprintf(p->error, sizeof(p->error), "out of memory");
		return -ENOMEM;
	}
	p->opt.acked = acked;
	p->opt.owner = p;
	return mr_kafka_client_create(&p->opt, &p->client, p->error, sizeof(p->error));
}

static void close_all(struct produce *p)
{
	mr_kafka_client_destroy(p->client);
	mr_batch_builder_fini(&p->builder);
	mr_zip_destroy(p->zip);
	for (size_t i = 0; p->slots && i < p->slots_count; i++)
		mr_buf_fini(&p->slots[i].bytes);
	free(p->slots);
	mr_buf_fini(&p->in);
	if (p->fd > STDIN_FILENO)
		close(p->fd);
}

static const struct mr_option options[] = {
	{"--bootstrap", MR_OPTION_TEXT, offsetof(struct produce, opt.bootstrap), 0},
	{"--topic", MR_OPTION_TEXT, offsetof(struct produce, opt.topic), 0},
	{"--acks", MR_OPTION_ACKS, offsetof(struct produce, opt.acks), 0},
	{"--codec", MR_OPTION_CODEC, offsetof(struct produce, codec), 0},
	{"--batch-bytes", MR_OPTION_NUMBER, offsetof(struct produce, batch_bytes), BATCH_BYTES_MAX},
	{"--partitions", MR_OPTION_NUMBER, offsetof(struct produce, partitions),
		MR_KAFKA_PARTITIONS_MAX},
	{"--idempotent", MR_OPTION_FLAG, offsetof(struct produce, opt.idempotent), 0},
	{"--quiet", MR_OPTION_FLAG, offsetof(struct produce, quiet), 0},
};

static int take_options(struct produce *p, int argc, char **argv)
{
	struct mr_kafka_address address;
	int code = mr_client_options(
		"produce", argc, argv, options, MR_COUNT_OF(options), p, &p->file);

	if (code)
		return code;
	if (!p->opt.bootstrap || !p->opt.topic)
		return mr_client_complain("produce", MR_CLIENT_USAGE, "%s is needed",
			p->opt.bootstrap ? "--topic T" : "--bootstrap ADDR:PORT");
	if (!strchr(p->opt.bootstrap, ',') &&
		mr_kafka_address_parse(p->opt.bootstrap, &address) < 0)
		return mr_client_complain(
			"produce", MR_CLIENT_USAGE, "\"%s\" is not ADDR:PORT", p->opt.bootstrap);
	if (p->opt.idempotent && p->opt.acks != -1)
		return mr_client_complain(
			"produce", MR_CLIENT_USAGE, "--idempotent needs --acks all");
	p->opt.partitions = (int32_t)p->partitions;
	return 0;
}

int mr_client_produce(int argc, char **argv)
{
	struct produce p = {.batch_bytes = BATCH_BYTES_DEFAULT, .opt = {.acks = -1}, .fd = -1};
	// A second interrupt ends the program the usual way.
	struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
	int e;

	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	e = take_options(&p, argc, argv);
	if (e)
		return e;
	mr_client_use_cpu();
	sigaction(SIGINT, &sa, NULL);
	mr_progress_begin(&p.progress, p.quiet);
	e = open_all(&p);
	if (e == 0)
		e = stream(&p);
	if (p.client)
		mr_progress_end(&p.progress, p.rows_acked);
	close_all(&p);
	return e < 0 ? mr_client_complain("produce", MR_CLIENT_FAILED, "%s", p.error) : 0;
}
