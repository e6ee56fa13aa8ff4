// Two stacks on a pair of ports.
#include "tests/lib/tcp_world.h"

#include "tests/lib/pair_port.h"

#define DAD_NS  5000000000ll
#define STEP_NS 50000000ll

enum { MTU = 1500, WIRE_FRAMES = 65536, BURSTS_MAX = 64, CLIENT_WINDOW = 64 << 10 };

static void open_stack(struct tcp_world *w, int end, const struct mr_tcp_options *tcp)
{
	static const char *const names[2][2] = {
		{TCP_WORLD_SERVER4, TCP_WORLD_SERVER6}, {TCP_WORLD_CLIENT4, TCP_WORLD_CLIENT6}};
	struct mr_stack_options o = {
		.port = w->ports[end],
		.addresses_count = 2,
		.seed = (uint64_t)end + 1,
		.now_ns = mr_now_ns(&w->clock->clock),
		.tcp = *tcp,
	};

	o.addresses[0].prefix = 24;
	o.addresses[1].prefix = 64;
	for (int i = 0; i < 2; i++)
		MR_ASSERT(mr_ip_parse(names[end][i], &o.addresses[i].ip) == 0);
	o.tcp.node = -1;
	o.tcp.seed = (uint64_t)end + 3;
	MR_ASSERT(mr_stack_create(&o, &w->stacks[end]) == 0);
}

void tcp_world_open(
	struct tcp_world *w, struct mr_clock_sim *clock, const struct mr_tcp_options *server)
{
	const struct mr_tcp_options none = {.memory_bytes = 64 << 20},
				    client = {.memory_bytes = 64 << 20,
					    .receive_window_max = CLIENT_WINDOW};

	*w = (struct tcp_world){.clock = clock};
	pair_port_open(w->ports, MTU, WIRE_FRAMES);
	open_stack(w, 0, server ? server : &none);
	open_stack(w, 1, &client);
	for (int64_t end = clock->ns + DAD_NS; clock->ns < end; clock->ns += STEP_NS)
		for (int i = 0; i < 2; i++)
			MR_ASSERT(mr_stack_turn(w->stacks[i], clock->ns, BURSTS_MAX) >= 0);
}

void tcp_world_close(struct tcp_world *w)
{
	for (int i = 0; i < 2; i++)
		mr_stack_destroy(w->stacks[i]);
	pair_port_close(w->ports);
}

void tcp_world_turn(struct tcp_world *w)
{
	MR_ASSERT(mr_stack_turn(w->stacks[1], mr_now_ns(&w->clock->clock), BURSTS_MAX) >= 0);
}
