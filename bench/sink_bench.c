// A broker that throws everything away: the receive path alone, for `millrace bench wire`.
//
// Produce requests are framed, parsed and their batches checked (header, CRC-32C) by the same code
// as in the daemon; then they are answered as if they were durable. Nothing is stored, so what is
// measured is the wire, the stream and the Kafka layer. It exists in this program only.
//
// Usage: sink_bench [--listen ADDR:PORT] [--plain] [--busy] [--connections N]
//        sink_bench --eal "ARGS" --address IP/PREFIX [--mtu N] --listen IP:PORT
// The second form is our own TCP on a DPDK port. Prints "ready PORT" and runs until standard input
// ends; then says what came and what it cost.
// `--smoke` listens on any port, prints, and ends.
#include "dataplane/batch.h"
#include "dataplane/conn.h"
#include "dataplane/kafka.h"
#include "host/base/sorted.h"
#include "host/nic.h"
#include "hw/cpu.h"
#include "hw/uring.h"
#include "kernels/kernels.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct sink {
	struct mr_broker broker; // first: a broker is cast back to its sink
	struct mr_topic topic;
	struct mr_sorted *by_name, *by_id;
	struct mr_topics topics;
	uint16_t port;
	int64_t next_offset;
	uint64_t batches;
	uint64_t bytes;
	uint64_t bad;
};

static struct sink *of(struct mr_broker *b)
{
	return MR_CONTAINER(b, struct sink, broker);
}

static const struct mr_topics *sink_topics(struct mr_broker *b)
{
	return &of(b)->topics;
}

static void sink_node(
	struct mr_broker *b, uint32_t, const char *local_host, uint16_t, struct mr_broker_node *out)
{
	*out = (struct mr_broker_node){.id = 0, .port = of(b)->port};
	snprintf(out->host, sizeof(out->host), "%s", local_host);
}

static uint32_t sink_nodes_count(struct mr_broker *)
{
	return 1;
}

static int32_t sink_node_id(struct mr_broker *)
{
	return 0;
}

static struct mr_span sink_cluster_id(struct mr_broker *)
{
	return mr_span_str("sinksinksinksinksinksk");
}

static bool sink_auto_create(struct mr_broker *)
{
	return false;
}

static struct mr_topic_config sink_defaults(struct mr_broker *)
{
	return (struct mr_topic_config){.message_bytes_max = 64 << 20};
}

static void sink_append(struct mr_broker *b, struct mr_append *a)
{
	struct sink *s = of(b);
	struct mr_batch batch;
	enum mr_batch_fault fault = mr_batch_check(a->batch, &batch);

	a->error = 0;
	a->bad_record = -1;
	a->log_append_time_ms = -1;
	a->log_start_offset = 0;
	a->base_offset = s->next_offset;
	if (fault == MR_BATCH_FAULT_NONE) {
		s->next_offset += batch.count;
		s->batches++;
		s->bytes += a->batch.bytes;
	} else {
		s->bad++;
		a->error = mr_batch_fault_kafka(fault);
		a->message = mr_batch_fault_text(fault);
	}
	a->done(a);
}

static void sink_fetch(struct mr_broker *, struct mr_fetch *f)
{
	f->done(f);
}

static void sink_fetch_cancel(struct mr_broker *, struct mr_fetch *)
{
}

static void sink_list_offsets(struct mr_broker *, struct mr_list_offsets *l)
{
	l->done(l);
}

static void sink_admin(struct mr_broker *, struct mr_admin *a)
{
	a->error = MR_KAFKA_POLICY_VIOLATION;
	a->done(a);
}

static void sink_producer_init(struct mr_broker *, struct mr_producer_init *p)
{
	p->error = 0;
	p->producer_id = 1;
	p->done(p);
}

static const struct mr_broker_ops sink_ops = {
	.topics = sink_topics,
	.node = sink_node,
	.nodes_count = sink_nodes_count,
	.node_id = sink_node_id,
	.cluster_id = sink_cluster_id,
	.auto_create = sink_auto_create,
	.topic_defaults = sink_defaults,
	.append = sink_append,
	.fetch = sink_fetch,
	.fetch_cancel = sink_fetch_cancel,
	.list_offsets = sink_list_offsets,
	.admin = sink_admin,
	.producer_init = sink_producer_init,
};

struct options {
	char host[64];
	uint16_t port;
	bool plain, busy, smoke;
	struct mr_config config; // of our own stack, if `eal` is set
};

static bool take_stack_option(struct mr_config *c, const char *name, const char *value)
{
	static const struct {
		const char *option, *key;
	} all[] = {{"--eal", "eal"}, {"--address", "net.address"}, {"--mtu", "net.mtu"},
		{"--connections", "kafka.connections_max"}};

	for (size_t i = 0; value && i < MR_COUNT_OF(all); i++)
		if (strcmp(name, all[i].option) == 0)
			return mr_config_set(c, all[i].key, value, NULL) == 0;
	return false;
}

static struct options read_options(int argc, char **argv)
{
	struct options o = {.host = "127.0.0.1"};

	mr_config_init(&o.config);
	// Programs of bench/ lie in a folder below the daemon's, and the module beside that.
	snprintf(o.config.net_module, sizeof(o.config.net_module), "%.*s../" MR_DPDK_MODULE,
		(int)(strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 - argv[0] : 0), argv[0]);
	for (int i = 1; i < argc; i++) {
		const char *colon = i + 1 < argc ? strrchr(argv[i + 1], ':') : NULL;

		if (strcmp(argv[i], "--plain") == 0) {
			o.plain = true;
		} else if (strcmp(argv[i], "--busy") == 0) {
			o.busy = true;
		} else if (strcmp(argv[i], "--smoke") == 0) {
			o.smoke = true;
		} else if (strcmp(argv[i], "--listen") == 0 && colon) {
			snprintf(o.host, sizeof(o.host), "%.*s", (int)(colon - argv[i + 1]),
				argv[i + 1]);
			o.port = (uint16_t)atoi(colon + 1);
			i++;
		} else if (take_stack_option(&o.config, argv[i], argv[i + 1])) {
			i++;
		} else {
			fprintf(stderr, "sink_bench: what is \"%s\"?\n", argv[i]);
			exit(2);
		}
	}
	return o;
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static bool input_ended(void)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};
	char c;

	return poll(&p, 1, 0) > 0 && read(0, &c, 1) <= 0;
}

static void serve(struct mr_net *net, const struct options *o)
{
	for (uint64_t turn = 0; !o->smoke; turn++) {
		int rc = mr_net_turn(net, 10000000);

		MR_ASSERT(rc >= 0);
		// Asking costs a system call: seldom.
		if ((turn & (o->busy ? 0xffff : 0xff)) == 0 && input_ended())
			return;
	}
}

// Our own stack, or the kernel's.
static struct mr_nic *choose_network(const struct options *o, struct mr_net_options *net)
{
	static const struct mr_topo_placement anywhere;
	struct mr_nic *nic = NULL;
	struct mr_diag diag = {0};

	if (!o->config.eal[0]) {
		if (!o->plain && mr_uring_create(&net->uring, NULL) < 0)
			net->uring = NULL;
		return NULL;
	}
	if (mr_nic_open(&o->config, &anywhere, 1, &nic, &diag) < 0) {
		fprintf(stderr, "sink_bench: %s\n", diag.message);
		exit(1);
	}
	mr_nic_enter(nic, 0);
	MR_ASSERT(mr_nic_stack(nic, 0, &mr_clock_system, &net->stack, &net->port) == 0);
	return nic;
}

static void make_topics(struct sink *s)
{
	static const struct mr_sorted_form by_name = {mr_topic_compare_names, NULL, NULL};
	static const struct mr_sorted_form by_id = {mr_topic_compare_ids, NULL, NULL};

	s->topic.name = mr_span_str("events");
	s->topic.config = sink_defaults(&s->broker);
	s->by_name = mr_sorted_create(&by_name);
	s->by_id = mr_sorted_create(&by_id);
	mr_sorted_add(&s->by_name, &s->topic);
	mr_sorted_add(&s->by_id, &s->topic);
	s->topics = (struct mr_topics){1, 1, s->by_name, s->by_id};
}

int main(int argc, char **argv)
{
	struct options o = read_options(argc, argv);
	static struct sink s = {
		.broker = {&sink_ops}, .topic = {.id = {{1}}, .number = 1, .partitions = 64}};
	struct mr_net_options net_options = {.clock = &mr_clock_system, .node = -1};
	struct mr_conn_limits limits = {0};
	struct mr_conns *conns;
	struct mr_kafka *kafka;
	struct mr_protocol protocol;
	struct mr_cpu cpu;
	struct mr_nic *nic;
	struct mr_net *net;
	double before;

	mr_cpu_detect(&cpu);
	MR_ASSERT(mr_kernels_select(&cpu, NULL) == 0);
	make_topics(&s);
	net_options.busy = o.busy;
	nic = choose_network(&o, &net_options);
	limits.connections_max = (uint32_t)o.config.kafka_connections_max;
	net_options.streams_max = limits.connections_max + 16;
	MR_ASSERT(mr_net_create(&net_options, &net) == 0);
	MR_ASSERT(mr_conns_create(net, &limits, -1, &conns) == 0);
	MR_ASSERT(mr_kafka_create(&s.broker, &kafka) == 0);
	protocol = mr_kafka_protocol(kafka);
	if (mr_conns_listen(conns, o.host, o.port, &protocol, &s.port) < 0) {
		perror(o.host);
		return 1;
	}
	printf("ready %u\n", s.port);
	fflush(stdout);
	before = cpu_seconds();
	serve(net, &o);
	printf("batches %llu bytes %llu bad %llu cpu_s %.3f in_place %llu placed_bytes %llu "
	       "copied_bytes %llu\n",
		(unsigned long long)s.batches, (unsigned long long)s.bytes,
		(unsigned long long)s.bad, cpu_seconds() - before,
		(unsigned long long)mr_conns_counters(conns)->requests_in_place,
		(unsigned long long)mr_net_counters(net)->placed_bytes,
		(unsigned long long)mr_net_counters(net)->copied_bytes);
	mr_conns_destroy(conns);
	mr_net_destroy(net);
	mr_kafka_destroy(kafka);
	mr_sorted_put(s.by_name);
	mr_sorted_put(s.by_id);
	if (net_options.uring)
		mr_uring_destroy(net_options.uring);
	if (nic) {
		mr_stack_destroy(net_options.stack);
		mr_nic_leave(nic, 0);
		mr_nic_close(nic);
	}
	return 0;
}
