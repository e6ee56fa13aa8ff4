// Our TCP as a sender under loss, on a virtual clock: two stacks of ours over a simulated wire of
// 10 Gb/s and 100 us of round trip that loses 1 % of frames both ways, with tail loss probes and
// without. Each flow sends messages, some on their way at a time, and gets 16 bytes for each, as a
// producer does. Goodput per second of virtual time, the time of a message from its first byte to
// its answer, and what was needed. Computing takes no time here. Options: --smoke.
#include "dataplane/tcpip/port_sim.h"
#include "dataplane/tcpip/stack.h"
#include "host/base/clock.h"
#include "host/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ll

enum {
	CLIENT,
	SERVER,
	PORT = 9092,
	ANSWER_BYTES = 16,
	FLOWS_MAX = 16,
	FRAMES = 65536,
	DEPTH_MAX = 64
};

struct flow {
	struct mr_tcp_conn *ends[2];
	uint64_t sent, received, answered; // bytes, bytes, messages
	uint64_t answer_bytes;
	int64_t begun_ns[DEPTH_MAX];
};

struct workload {
	const char *name;
	uint32_t flows, depth, message_bytes;
};

static struct {
	struct workload w;
	struct mr_sim *sim;
	struct mr_stack *stacks[2];
	struct flow flows[FLOWS_MAX];
	uint32_t opened;
	int64_t now_ns;
	struct mr_hist latency;
	uint64_t answered;
} b;

// Sends until the depth is reached or TCP takes no more.
static void push(struct flow *f)
{
	static const uint8_t bytes[64 << 10];
	uint64_t until = (f->answered + b.w.depth) * b.w.message_bytes;

	while (f->sent < until) {
		uint64_t n = b.w.message_bytes - f->sent % b.w.message_bytes;
		size_t taken;

		if (f->sent % b.w.message_bytes == 0)
			f->begun_ns[f->sent / b.w.message_bytes % DEPTH_MAX] = b.now_ns;
		taken = mr_tcp_send(f->ends[CLIENT], bytes, MR_MIN(n, sizeof(bytes)));
		f->sent += taken;
		if (!taken)
			return;
	}
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	MR_ASSERT(err == 0);
	push(mr_tcp_user(c));
}

static size_t on_answer(struct mr_tcp_conn *c, struct mr_span bytes)
{
	struct flow *f = mr_tcp_user(c);

	f->answer_bytes += bytes.bytes;
	while (f->answered < f->answer_bytes / ANSWER_BYTES) {
		int64_t begun = f->begun_ns[f->answered++ % DEPTH_MAX];

		mr_hist_record(&b.latency, (uint64_t)(b.now_ns - begun));
		b.answered++;
	}
	push(f);
	return bytes.bytes;
}

static void on_sendable(struct mr_tcp_conn *c)
{
	push(mr_tcp_user(c));
}

static int on_opened(void *, struct mr_tcp_conn *c)
{
	struct flow *f = &b.flows[b.opened++];

	f->ends[SERVER] = c;
	mr_tcp_set_user(c, f);
	return 0;
}

static size_t on_message(struct mr_tcp_conn *c, struct mr_span bytes)
{
	static const uint8_t answer[ANSWER_BYTES];
	struct flow *f = mr_tcp_user(c);
	uint64_t before = f->received / b.w.message_bytes;

	f->received += bytes.bytes;
	for (; before < f->received / b.w.message_bytes; before++)
		MR_ASSERT(mr_tcp_send(c, answer, sizeof(answer)) == sizeof(answer));
	return bytes.bytes;
}

static void on_ended(struct mr_tcp_conn *)
{
}

static void on_closed(struct mr_tcp_conn *, int)
{
	MR_ASSERT(false);
}

static const struct mr_tcp_events client_events = {
	.connected = on_connected,
	.data = on_answer,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

static const struct mr_tcp_events server_events = {
	.opened = on_opened,
	.data = on_message,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

static void open_world(bool probes)
{
	struct mr_tcp_listener *l;

	MR_ASSERT(mr_sim_create(1, FRAMES, 1600, &b.sim) == 0);
	for (int i = 0; i < 2; i++) {
		const struct mr_sim_port_options port = {
			.mac = {{2, 0, 0, 0, 0, (uint8_t)(i + 1)}},
			.rx_max = 4096,
			.way = {.rate_bps = 10000000000, .queue_bytes = 1 << 20, .delay_ns = 50000},
		};
		struct mr_stack_options o = {
			.addresses = {{mr_ip4(0x0a000001u + (uint32_t)i), 24}},
			.addresses_count = 1,
			.seed = (uint64_t)i + 1,
			.now_ns = b.now_ns,
			.tcp = {.node = -1, .seed = (uint64_t)i + 3, .no_tail_probes = !probes},
		};

		MR_ASSERT(mr_sim_add(b.sim, &port) == i);
		o.port = mr_sim_queue(b.sim, i, 0);
		MR_ASSERT(mr_stack_create(&o, &b.stacks[i]) == 0);
	}
	MR_ASSERT(
		mr_tcp_listen(mr_stack_tcp(b.stacks[SERVER]), PORT, &server_events, NULL, &l) == 0);
}

static void step(void)
{
	int64_t next = mr_sim_next_ns(b.sim);

	for (int i = 0; i < 2; i++)
		next = MR_MIN(next, mr_stack_next_ns(b.stacks[i]));
	b.now_ns = MR_MAX(b.now_ns + 1000, MR_MIN(next, b.now_ns + SECOND));
	mr_sim_time(b.sim, b.now_ns);
	for (int i = 0; i < 2; i++)
		MR_ASSERT(mr_stack_turn(b.stacks[i], b.now_ns, 8) >= 0);
}

static void connect_all(void)
{
	const struct mr_ip from = mr_ip4(0x0a000001), to = mr_ip4(0x0a000002);

	for (uint32_t i = 0; i < b.w.flows; i++)
		MR_ASSERT(mr_tcp_connect(mr_stack_tcp(b.stacks[CLIENT]), &from, 0, &to, PORT,
				  &client_events, &b.flows[i], &b.flows[i].ends[CLIENT]) == 0);
	while (b.opened < b.w.flows)
		step();
	// Which connection is whose does not matter to the server.
	for (int i = 0; i < 2; i++)
		mr_sim_way(b.sim, i)->loss = MR_SIM_MILLION / 100;
}

static uint64_t counter(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static void run(const struct workload *w, bool probes, int seconds)
{
	struct mr_tcp_counters *c;
	int64_t start;

	memset(&b, 0, sizeof(b));
	b.w = *w;
	b.now_ns = SECOND;
	open_world(probes);
	connect_all();
	start = b.now_ns;
	while (b.now_ns < start + seconds * SECOND)
		step();
	c = mr_tcp_counters(mr_stack_tcp(b.stacks[CLIENT]));
	printf("%-22s %-6s %7.3f Gb/s  p50 %8.2f  p99 %8.2f  p999 %8.2f ms  again %llu timeouts "
	       "%llu "
	       "probes %llu recoveries %llu\n",
		w->name, probes ? "probes" : "none",
		(double)b.answered * w->message_bytes * 8e-9 / seconds,
		(double)mr_hist_quantile_ns(&b.latency, 0.5) / 1e6,
		(double)mr_hist_quantile_ns(&b.latency, 0.99) / 1e6,
		(double)mr_hist_quantile_ns(&b.latency, 0.999) / 1e6,
		(unsigned long long)counter(&c->retransmits),
		(unsigned long long)counter(&c->timeouts),
		(unsigned long long)counter(&c->tail_probes),
		(unsigned long long)counter(&c->fast_recoveries));
	for (int i = 0; i < 2; i++)
		mr_stack_destroy(b.stacks[i]);
	mr_sim_destroy(b.sim);
}

int main(int argc, char **argv)
{
	static const struct workload all[] = {
		{"1 flow, bulk", 1, 16, 128 << 10},
		{"16 flows, bulk", 16, 4, 128 << 10},
		{"4 x 128 KiB, one each", 4, 1, 128 << 10},
		{"4 x 16 KiB, one each", 4, 1, 16 << 10},
		{"4 x 1 KiB, one each", 4, 1, 1 << 10},
	};
	bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;

	for (size_t i = 0; i < MR_COUNT_OF(all); i++)
		for (int probes = 0; probes < 2; probes++)
			run(&all[i], probes, smoke ? 1 : 10);
	return 0;
}
