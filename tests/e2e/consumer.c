// The checker beside producer.c: reads topics from their beginning and holds them against the file
// of what was acknowledged.
//
// Usage: consumer --bootstrap LIST --topics A,B --acked FILE [--partitions 4] [--exact]
//	[--quiet-seconds 20]
//
// It insists that offsets follow each other from 0, that every acknowledged number lies at exactly
// the offset it was acknowledged with, that no number is there twice in a topic, and that the
// numbers of one producer (n / 1e9) rise within a partition. With --exact nothing else may be
// there. Prints "TOPIC records N sum S" per topic; exit 0: all holds, 1: it does not, 2: could not
// read.
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOPICS_MAX = 16, PARTITIONS_MAX = 64, PRODUCERS_MAX = 4096 };
static const int64_t PRODUCER_STRIDE = 1000000000;

// The numbers of one partition by offset.
struct numbers {
	int64_t *n;
	size_t count, room;
};

static struct {
	const char *bootstrap, *acked_path;
	const char *topics[TOPICS_MAX];
	int topics_count, partitions, quiet_seconds;
	bool exact;
} opts = {.partitions = 4, .quiet_seconds = 20};

static struct numbers read_back[TOPICS_MAX][PARTITIONS_MAX];
static size_t acked_count[TOPICS_MAX];
static int bad;

#define WRONG(...)                           \
	do {                                 \
		if (bad++ < 10)              \
			printf(__VA_ARGS__); \
	} while (0)

static int topic_index(const char *name)
{
	for (int i = 0; i < opts.topics_count; i++)
		if (strcmp(name, opts.topics[i]) == 0)
			return i;
	return -1;
}

static void numbers_add(struct numbers *v, int64_t n)
{
	if (v->count == v->room) {
		v->room = v->room ? v->room * 2 : 1024;
		v->n = realloc(v->n, v->room * sizeof(*v->n));
		if (!v->n)
			abort();
	}
	v->n[v->count++] = n;
}

static void take(const rd_kafka_message_t *m)
{
	static const char head[] = "{\"n\":";
	int topic = topic_index(rd_kafka_topic_name(m->rkt));
	struct numbers *v = &read_back[topic][m->partition];
	char text[32] = {0};

	if (m->offset != (int64_t)v->count) {
		WRONG("%s/%d: offset %" PRId64 " follows %zu records\n", opts.topics[topic],
			m->partition, m->offset, v->count);
		return;
	}
	if (m->len < sizeof(head) || memcmp(m->payload, head, sizeof(head) - 1) != 0) {
		WRONG("%s/%d: offset %" PRId64 " is not ours\n", opts.topics[topic], m->partition,
			m->offset);
		numbers_add(v, -1);
		return;
	}
	memcpy(text, (const char *)m->payload + sizeof(head) - 1,
		m->len - sizeof(head) < 24 ? m->len - sizeof(head) : 24);
	numbers_add(v, atoll(text));
}

// Reads until every partition has said that it ends.
static int read_topics(rd_kafka_queue_t *queue)
{
	int left = opts.topics_count * opts.partitions;

	while (left > 0) {
		rd_kafka_message_t *m = rd_kafka_consume_queue(queue, opts.quiet_seconds * 1000);

		if (!m) {
			printf("nothing came for %d s\n", opts.quiet_seconds);
			return -1;
		}
		if (!m->err)
			take(m);
		else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			left--;
		else if (m->err != RD_KAFKA_RESP_ERR__TRANSPORT &&
			 m->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
			printf("cannot read: %s\n", rd_kafka_message_errstr(m));
			rd_kafka_message_destroy(m);
			return -1;
		}
		rd_kafka_message_destroy(m);
	}
	return 0;
}

// A consumer of partitions, without a group. The process ends soon; nothing is given back.
static rd_kafka_queue_t *open_consumer(void)
{
	static const char *const settings[][2] = {{"enable.partition.eof", "true"},
		{"auto.offset.reset", "error"}, {"check.crcs", "true"}, {"log_level", "2"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_queue_t *queue;
	char error[256];
	rd_kafka_t *rk;

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof(error));
	rd_kafka_conf_set(conf, "bootstrap.servers", opts.bootstrap, error, sizeof(error));
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (!rk)
		return NULL;
	queue = rd_kafka_queue_new(rk);
	for (int t = 0; t < opts.topics_count; t++) {
		rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, opts.topics[t], NULL);

		for (int p = 0; p < opts.partitions; p++)
			if (rd_kafka_consume_start_queue(
				    topic, p, RD_KAFKA_OFFSET_BEGINNING, queue) < 0)
				return NULL;
	}
	return queue;
}

static int check_acked(void)
{
	FILE *f = fopen(opts.acked_path, "r");
	char topic[256];
	int64_t offset, n;
	int partition;

	if (!f)
		return -1;
	while (fscanf(f, "%255s %d %" SCNd64 " %" SCNd64, topic, &partition, &offset, &n) == 4) {
		int t = topic_index(topic);
		const struct numbers *v;

		if (t < 0 || partition < 0 || partition >= PARTITIONS_MAX)
			continue;
		acked_count[t]++;
		v = &read_back[t][partition];
		if (offset < 0 || (size_t)offset >= v->count)
			WRONG("%s/%d: lost: %" PRId64 " was acknowledged at %" PRId64
			      ", the topic ends at %zu\n",
				topic, partition, n, offset, v->count);
		else if (v->n[offset] != n)
			WRONG("%s/%d: %" PRId64 " was acknowledged at %" PRId64
			      ", there is %" PRId64 "\n",
				topic, partition, n, offset, v->n[offset]);
	}
	fclose(f);
	return 0;
}

static void check_order(int topic, int partition)
{
	static int64_t last[PRODUCERS_MAX];
	const struct numbers *v = &read_back[topic][partition];

	memset(last, 0xff, sizeof(last));
	for (size_t i = 0; i < v->count; i++) {
		int64_t *l = &last[v->n[i] / PRODUCER_STRIDE % PRODUCERS_MAX];

		if (v->n[i] >= 0 && v->n[i] <= *l)
			WRONG("%s/%d: %" PRId64 " at %zu comes after %" PRId64 "\n",
				opts.topics[topic], partition, v->n[i], i, *l);
		*l = v->n[i];
	}
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void check_topic(int topic)
{
	struct numbers all = {0};
	int64_t sum = 0;

	for (int p = 0; p < opts.partitions; p++) {
		check_order(topic, p);
		for (size_t i = 0; i < read_back[topic][p].count; i++)
			numbers_add(&all, read_back[topic][p].n[i]);
	}
	if (all.count)
		qsort(all.n, all.count, sizeof(*all.n), compare);
	for (size_t i = 0; i < all.count; i++) {
		sum += all.n[i];
		if (i && all.n[i] == all.n[i - 1])
			WRONG("%s: %" PRId64 " is there twice\n", opts.topics[topic], all.n[i]);
	}
	if (opts.exact && all.count != acked_count[topic])
		WRONG("%s: %zu records, %zu acknowledged\n", opts.topics[topic], all.count,
			acked_count[topic]);
	printf("%s records %zu sum %" PRId64 "\n", opts.topics[topic], all.count, sum);
	free(all.n);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {{"bootstrap", 1, NULL, 'b'},
		{"topics", 1, NULL, 't'}, {"acked", 1, NULL, 'a'}, {"partitions", 1, NULL, 'p'},
		{"quiet-seconds", 1, NULL, 'q'}, {"exact", 0, NULL, 'e'}, {0}};

	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'b': opts.bootstrap = optarg; break;
		case 'a': opts.acked_path = optarg; break;
		case 'p': opts.partitions = atoi(optarg); break;
		case 'q': opts.quiet_seconds = atoi(optarg); break;
		case 'e': opts.exact = true; break;
		case 't':
			for (char *save, *t = strtok_r(optarg, ",", &save); t;
				t = strtok_r(NULL, ",", &save))
				if (opts.topics_count < TOPICS_MAX)
					opts.topics[opts.topics_count++] = t;
			break;
		default: exit(2);
		}
	}
	if (!opts.bootstrap || !opts.acked_path || !opts.topics_count || opts.partitions < 1 ||
		opts.partitions > PARTITIONS_MAX) {
		fprintf(stderr, "consumer: --bootstrap, --topics and --acked are needed\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	rd_kafka_queue_t *queue;

	read_options(argc, argv);
	queue = open_consumer();
	if (!queue || read_topics(queue) < 0 || check_acked() < 0)
		return 2;
	for (int t = 0; t < opts.topics_count; t++)
		check_topic(t);
	if (bad > 10)
		printf("and %d more\n", bad - 10);
	return bad ? 1 : 0;
}
