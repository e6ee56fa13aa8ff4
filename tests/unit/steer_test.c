// Whose a frame is, and whose a queue: steering by TCP port, and plans on machines that hwloc makes
// up, up to 128 workers on several NUMA nodes.
#include "dataplane/tcpip/steer.h"
#include "host/base/rand.h"
#include "hw/topo.h"
#include "tests/lib/mr_test.h"

#include <stdlib.h>

enum { PORT = 9092, WORKERS = 4, FRAME_BYTES = 128, SEED = 20261121 };

static const struct mr_steering four = {.port_first = PORT, .workers = WORKERS};

struct frame {
	uint8_t b[FRAME_BYTES];
	uint32_t bytes;
};

// An Ethernet header, a tag if `vlan`, and what follows.
static uint8_t *begin(struct frame *f, bool vlan, uint16_t type)
{
	uint8_t *at = f->b + 12;

	*f = (struct frame){0};
	if (vlan) {
		mr_store_be16(at, MR_ETHERTYPE_VLAN);
		at += 4;
	}
	mr_store_be16(at, type);
	return at + 2;
}

static struct frame ip4(bool vlan, uint8_t protocol, uint32_t options_bytes, uint16_t first16)
{
	struct frame f;
	uint8_t *ip = begin(&f, vlan, MR_ETHERTYPE_IP4);

	ip[0] = (uint8_t)(0x40 | (5 + options_bytes / 4));
	ip[9] = protocol;
	ip += MR_IP4_BYTES + options_bytes;
	if (protocol == MR_IP_TCP)
		mr_store_be16(ip + 2, first16);
	else
		ip[0] = (uint8_t)first16; // ICMP type
	f.bytes = (uint32_t)(ip + 20 - f.b);
	return f;
}

static struct frame ip6(uint8_t extension, uint8_t protocol, uint16_t first16)
{
	struct frame f;
	uint8_t *ip = begin(&f, false, MR_ETHERTYPE_IP6), *next = ip + 6;

	ip += MR_IP6_BYTES;
	if (extension != 255) {
		*next = extension;
		next = ip;
		ip[1] = 1; // 16 bytes
		ip += 16;
	}
	*next = protocol;
	if (protocol == MR_IP_TCP)
		mr_store_be16(ip + 2, first16);
	else
		ip[0] = (uint8_t)first16;
	f.bytes = (uint32_t)(ip + 20 - f.b);
	return f;
}

static int worker_of(struct frame f)
{
	return mr_steer_frame(&four, f.b, f.bytes);
}

static void segments_go_to_the_worker_of_their_port(void **)
{
	for (int w = 0; w < WORKERS; w++) {
		uint16_t port = (uint16_t)(PORT + w);

		assert_int_equal(worker_of(ip4(false, MR_IP_TCP, 0, port)), w);
		assert_int_equal(worker_of(ip4(true, MR_IP_TCP, 0, port)), w);
		assert_int_equal(worker_of(ip4(false, MR_IP_TCP, 40, port)), w);
		assert_int_equal(worker_of(ip6(255, MR_IP_TCP, port)), w);
		assert_int_equal(worker_of(ip6(0, MR_IP_TCP, port)), w);
		assert_int_equal(worker_of(ip6(60, MR_IP_TCP, port)), w);
	}
	// Ports of nobody: worker 0 answers with a reset.
	assert_int_equal(worker_of(ip4(false, MR_IP_TCP, 0, PORT + WORKERS)), 0);
	assert_int_equal(worker_of(ip4(false, MR_IP_TCP, 0, PORT - 1)), 0);
	assert_int_equal(worker_of(ip4(false, MR_IP_TCP, 0, 0)), 0);
}

static void what_teaches_goes_to_all_and_echoes_to_one(void **)
{
	struct frame arp;

	begin(&arp, false, MR_ETHERTYPE_ARP);
	arp.bytes = 60;
	assert_int_equal(worker_of(arp), MR_STEER_ALL);
	assert_int_equal(worker_of(ip4(false, MR_IP_ICMP, 0, 3)), MR_STEER_ALL);
	assert_int_equal(worker_of(ip4(false, MR_IP_ICMP, 0, 8)), 0);
	assert_int_equal(worker_of(ip4(false, MR_IP_ICMP, 0, 0)), 0);
	assert_int_equal(worker_of(ip6(255, MR_IP_ICMP6, 135)), MR_STEER_ALL);
	assert_int_equal(worker_of(ip6(0, MR_IP_ICMP6, 134)), MR_STEER_ALL);
	assert_int_equal(worker_of(ip6(255, MR_IP_ICMP6, 128)), 0);
	assert_int_equal(worker_of(ip4(false, MR_IP_UDP, 0, 0)), 0);
}

// Every prefix of every shape, and bytes at random: an answer in range, and under asan no read
// beyond the end.
static void any_bytes_belong_to_somebody(void **)
{
	const struct frame shapes[] = {ip4(true, MR_IP_TCP, 40, PORT + 3),
		ip6(0, MR_IP_TCP, PORT + 3), ip6(43, MR_IP_ICMP6, 135),
		ip4(false, MR_IP_ICMP, 0, 3)};
	struct mr_rand r;

	mr_rand_init(&r, SEED);
	for (size_t i = 0; i < 200000; i++) {
		const struct frame *f = &shapes[i % MR_COUNT_OF(shapes)];
		uint32_t bytes = (uint32_t)mr_rand_below(&r, f->bytes + 1);
		uint8_t *copy = malloc(bytes + 1);
		int w;

		assert_non_null(copy);
		memcpy(copy, f->b, bytes);
		for (uint32_t k = 0; bytes && k < i % 4; k++)
			copy[mr_rand_below(&r, bytes)] = (uint8_t)mr_rand_u64(&r);
		copy = realloc(copy, bytes ? bytes : 1);
		assert_non_null(copy);
		w = mr_steer_frame(&four, copy, bytes);
		assert_in_range(w + 1, 0, WORKERS);
		free(copy);
	}
}

// ---- queues

static struct mr_queue_share shares[128];
static struct mr_queue_place places[128];

// Places `workers` workers on a machine that hwloc makes up.
static void place(const char *synthetic, int workers)
{
	struct mr_topo_placement p;
	struct mr_topo t;

	assert_int_equal(setenv("HWLOC_SYNTHETIC", synthetic, 1), 0);
	assert_int_equal(mr_topo_init(&t), 0);
	assert_int_equal(mr_topo_place(&t, workers, MR_TOPO_SPREAD, &p), 0);
	for (int w = 0; w < workers; w++)
		places[w] = (struct mr_queue_place){p.workers[w].pu, p.workers[w].node};
	mr_topo_placement_fini(&p);
	mr_topo_fini(&t);
	unsetenv("HWLOC_SYNTHETIC");
}

static void enough_queues_are_one_for_each_worker(void **)
{
	const struct mr_queue_device d = {.rx_queues_max = 256, .tx_queues_max = 256, .node = 1};
	bool taken[128] = {0};
	struct mr_queue_plan plan;

	place("numa:4 core:32 pu:1", 128);
	mr_queue_plan_make(&d, places, 128, shares, &plan);
	assert_int_equal(plan.rx_queues, 128);
	assert_int_equal(plan.tx_queues, 128);
	assert_int_equal(plan.remotes, 96);
	for (int w = 0; w < 128; w++) {
		const struct mr_queue_share *s = &shares[w];

		assert_false(taken[s->rx_queue]);
		taken[s->rx_queue] = true;
		assert_false(s->rx_shared || s->tx_shared);
		// The device writes into memory of its own node; messages to a worker are on its.
		assert_int_equal(s->node, 1);
		assert_int_equal(s->ring_node, places[w].node);
		assert_int_equal(s->is_remote, places[w].node != 1);
		assert_int_equal(s->rx_queue < 32, places[w].node == 1);
	}
}

static void few_queues_are_shared_evenly_near_workers_first(void **)
{
	const struct mr_queue_device d = {.rx_queues_max = 16, .tx_queues_max = 8, .node = 0};
	int users[16] = {0}, near_users[16] = {0};
	struct mr_queue_plan plan;

	place("numa:2 core:32 pu:2", 128);
	mr_queue_plan_make(&d, places, 128, shares, &plan);
	assert_int_equal(plan.rx_queues, 16);
	assert_int_equal(plan.tx_queues, 8);
	assert_true(plan.steers);
	for (int w = 0; w < 128; w++) {
		assert_true(shares[w].rx_shared && shares[w].tx_shared);
		assert_in_range(shares[w].tx_queue, 0, 7);
		users[shares[w].rx_queue]++;
		near_users[shares[w].rx_queue] += places[w].node == 0;
	}
	for (int q = 0; q < 16; q++) {
		assert_int_equal(users[q], 8);
		// Each queue is read by somebody on the device's node.
		assert_in_range(near_users[q], 1, 8);
	}
}

static void an_unknown_node_is_nobodys_mistake(void **)
{
	const struct mr_queue_device d = {.rx_queues_max = 1, .tx_queues_max = 1, .node = -1};
	struct mr_queue_plan plan;

	place("numa:2 core:2 pu:1", 4);
	mr_queue_plan_make(&d, places, 4, shares, &plan);
	assert_int_equal(plan.remotes, 0);
	for (int w = 0; w < 4; w++) {
		assert_int_equal(shares[w].rx_queue, 0);
		assert_int_equal(shares[w].node, places[w].node);
	}
	mr_queue_plan_make(&d, places, 1, shares, &plan);
	assert_false(plan.steers || shares[0].rx_shared);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_go_to_the_worker_of_their_port),
		cmocka_unit_test(what_teaches_goes_to_all_and_echoes_to_one),
		cmocka_unit_test(any_bytes_belong_to_somebody),
		cmocka_unit_test(enough_queues_are_one_for_each_worker),
		cmocka_unit_test(few_queues_are_shared_evenly_near_workers_first),
		cmocka_unit_test(an_unknown_node_is_nobodys_mistake),
	};

	print_message("seed %d\n", SEED);
	return cmocka_run_group_tests_name("steer", tests, NULL, NULL);
}
