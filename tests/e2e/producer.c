// A real Kafka producer as the oracle: numbered JSON records, idempotent, acks=all, and a file that
// says which of them were acknowledged, where.
//
// Usage: producer --bootstrap LIST --topics A,B --acked FILE [--partitions 4] [--first N]
//	[--records N] [--seconds S] [--rate N] [--pad BYTES] [--flush-seconds S]
//	[--set librdkafka.key=value]...
//
// It sends until --records, --seconds or SIGTERM, whichever is first, then waits --flush-seconds
// for what is still on its way. Lines of FILE (appended to): "topic partition offset number".
// Stdout says "begun" at the first acknowledgement and "sent N acked N failed N slowest_ms N" at
// the end. Exit 0: all were acknowledged, 3: some were not (they may be there or not), 1: the
// client gave up for good, 2: usage.
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TOPICS_MAX = 16, TICK_MS = 2, PAD_MAX = 1 << 20 };

static struct {
	const char *bootstrap, *acked_path;
	const char *topics[TOPICS_MAX];
	int topics_count;
	int64_t partitions, first, records, seconds, rate, pad_bytes, flush_seconds;
	rd_kafka_conf_t *conf;
} opts = {
	.partitions = 4, .records = INT64_MAX, .seconds = 3600, .rate = 20000, .flush_seconds = 30};

static struct {
	FILE *acked_file;
	int64_t sent, acked, failed, slowest_us;
	bool fatal;
} state;

static volatile sig_atomic_t stopping;

static void on_stop(int)
{
	stopping = 1;
}

static void delivered(rd_kafka_t *, const rd_kafka_message_t *m, void *)
{
	int64_t latency_us = rd_kafka_message_latency(m);

	if (m->err) {
		if (state.failed++ == 0)
			fprintf(stderr, "producer: %s\n", rd_kafka_err2str(m->err));
		return;
	}
	// Scripts wait for this line before they begin to break things.
	if (state.acked++ == 0) {
		printf("begun\n");
		fflush(stdout);
	}
	if (latency_us > state.slowest_us)
		state.slowest_us = latency_us;
	fprintf(state.acked_file, "%s %" PRId32 " %" PRId64 " %" PRId64 "\n",
		rd_kafka_topic_name(m->rkt), m->partition, m->offset,
		(int64_t)(intptr_t)m->_private);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *)
{
	char text[512];

	if (err != RD_KAFKA_RESP_ERR__FATAL)
		return;
	rd_kafka_fatal_error(rk, text, sizeof(text));
	fprintf(stderr, "producer: fatal: %s (%s)\n", text, reason);
	state.fatal = true;
}

static void set(const char *key, const char *value)
{
	char error[256];

	if (rd_kafka_conf_set(opts.conf, key, value, error, sizeof(error)) == RD_KAFKA_CONF_OK)
		return;
	fprintf(stderr, "producer: %s\n", error);
	exit(2);
}

static void split_topics(char *list)
{
	for (char *save, *t = strtok_r(list, ",", &save); t; t = strtok_r(NULL, ",", &save))
		if (opts.topics_count < TOPICS_MAX)
			opts.topics[opts.topics_count++] = t;
}

static void set_pair(char *pair)
{
	char *value = strchr(pair, '=');

	if (!value)
		exit(2);
	*value = 0;
	set(pair, value + 1);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {{"bootstrap", 1, NULL, 'b'},
		{"topics", 1, NULL, 't'}, {"acked", 1, NULL, 'a'}, {"partitions", 1, NULL, 'p'},
		{"first", 1, NULL, 'f'}, {"records", 1, NULL, 'n'}, {"seconds", 1, NULL, 's'},
		{"rate", 1, NULL, 'r'}, {"pad", 1, NULL, 'P'}, {"flush-seconds", 1, NULL, 'F'},
		{"set", 1, NULL, 'X'}, {0}};

	opts.conf = rd_kafka_conf_new();
	set("enable.idempotence", "true");
	set("linger.ms", "2");
	set("message.timeout.ms", "300000");
	set("reconnect.backoff.ms", "20");
	set("reconnect.backoff.max.ms", "200");
	set("retry.backoff.ms", "20");
	set("log_level", "2");
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'b': set("bootstrap.servers", opts.bootstrap = optarg); break;
		case 't': split_topics(optarg); break;
		case 'a': opts.acked_path = optarg; break;
		case 'p': opts.partitions = atoll(optarg); break;
		case 'f': opts.first = atoll(optarg); break;
		case 'n': opts.records = atoll(optarg); break;
		case 's': opts.seconds = atoll(optarg); break;
		case 'r': opts.rate = atoll(optarg); break;
		case 'P': opts.pad_bytes = atoll(optarg); break;
		case 'F': opts.flush_seconds = atoll(optarg); break;
		case 'X': set_pair(optarg); break;
		default: exit(2);
		}
	}
	if (!opts.bootstrap || !opts.acked_path || !opts.topics_count || opts.pad_bytes > PAD_MAX) {
		fprintf(stderr, "producer: --bootstrap, --topics and --acked are needed\n");
		exit(2);
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Record `n` goes to a partition that follows from `n`, so that its neighbours are elsewhere.
static bool send_one(rd_kafka_t *rk, const char *topic, int64_t n, const char *pad)
{
	static char value[PAD_MAX + 256];
	int32_t partition = (int32_t)(n % opts.partitions);
	int bytes = snprintf(value, sizeof(value),
		"{\"n\":%" PRId64 ",\"category\":\"c%" PRId64 "\",\"amount\":\"%" PRId64
		".25\",\"event_time\":\"2026-11-21T10:%02" PRId64 ":00Z\",\"pad\":\"%.*s\"}",
		n, n % 5, n % 100, n / 1000 % 60, (int)opts.pad_bytes, pad);
	rd_kafka_resp_err_t err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
		RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE(value, (size_t)bytes),
		RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE((void *)(intptr_t)n),
		RD_KAFKA_V_END);

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		state.sent++;
		return true;
	}
	if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL && !state.fatal) {
		fprintf(stderr, "producer: %s\n", rd_kafka_err2str(err));
		state.fatal = true;
	}
	return false;
}

static void send_all(rd_kafka_t *rk)
{
	static char pad[PAD_MAX];
	int64_t start = now_ms(), end = start + opts.seconds * 1000;

	// Not all one byte, so that compression has something to do.
	for (int i = 0; i < PAD_MAX; i++)
		pad[i] = (char)('a' + i / 3 % 26 * (i % 7) % 26);
	while (!stopping && !state.fatal && state.sent < opts.records && now_ms() < end) {
		int64_t due = (now_ms() - start + TICK_MS) * opts.rate / 1000;

		while (state.sent < due && state.sent < opts.records && !stopping) {
			const char *topic = opts.topics[state.sent % opts.topics_count];

			if (!send_one(rk, topic, opts.first + state.sent, pad))
				break;
		}
		rd_kafka_poll(rk, TICK_MS);
	}
	for (end = now_ms() + opts.flush_seconds * 1000; now_ms() < end && !state.fatal;)
		if (rd_kafka_flush(rk, 100) == RD_KAFKA_RESP_ERR_NO_ERROR)
			break;
}

int main(int argc, char **argv)
{
	char error[256];
	rd_kafka_t *rk;

	signal(SIGTERM, on_stop);
	signal(SIGINT, on_stop);
	read_options(argc, argv);
	state.acked_file = fopen(opts.acked_path, "a");
	rd_kafka_conf_set_dr_msg_cb(opts.conf, delivered);
	rd_kafka_conf_set_error_cb(opts.conf, on_error);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, opts.conf, error, sizeof(error));
	if (!state.acked_file || !rk) {
		fprintf(stderr, "producer: %s\n", rk ? strerror(errno) : error);
		return 2;
	}
	send_all(rk);
	fclose(state.acked_file);
	printf("sent %" PRId64 " acked %" PRId64 " failed %" PRId64 " slowest_ms %" PRId64 "\n",
		state.sent, state.acked, state.failed, state.slowest_us / 1000);
	fflush(stdout);
	// What is still queued is given up with the process; destroying the client would wait for
	// it.
	_exit(state.fatal ? 1 : state.acked == state.sent ? 0 : 3);
}
