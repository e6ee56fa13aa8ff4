// Settings to addresses, the device, and a stack for each worker.
#include "host/nic.h"

#include "host/base/rand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS_SPARE = 16, FRAMES_PER_WORKER = 4096, FRAME_OVERHEAD_BYTES = 384 };

struct mr_nic {
	const struct mr_config *config;
	const struct mr_dpdk_driver *driver;
	struct mr_dpdk *device;
	struct mr_nic_plan plan;
	uint8_t secret[16]; // of sequence numbers and cookies; of this start
	char host[48];
	bool link_up; // as worker 0 has said last
	_Atomic bool told_partial;
};

// ---- settings

// Calls `one` for each word of a list with commas or blanks. Stops at the first error.
static int each_word(const char *list, int (*one)(void *arg, const char *word), void *arg)
{
	char word[64];
	int rc = 0;

	for (const char *at = list + strspn(list, ", "); rc == 0 && *at; at += strspn(at, ", ")) {
		size_t n = strcspn(at, ", ");

		if (n >= sizeof(word))
			return -EINVAL;
		memcpy(word, at, n);
		word[n] = 0;
		at += n;
		rc = one(arg, word);
	}
	return rc;
}

// A mask that has no network in it (a missing /24) is a mistake more often than not.
static int add_address(void *arg, const char *word)
{
	struct mr_nic_plan *p = arg;
	struct mr_stack_address *a = &p->addresses[p->addresses_count];

	if (p->addresses_count == MR_STACK_ADDRESSES_MAX || !strchr(word, '/'))
		return -EINVAL;
	if (mr_ip_parse_prefix(word, &a->ip, &a->prefix) < 0 || mr_ip_is_martian_source(&a->ip))
		return -EINVAL;
	p->addresses_count++;
	return 0;
}

static int add_gateway(void *arg, const char *word)
{
	struct mr_nic_plan *p = arg;
	struct mr_ip ip, none = {0};
	struct mr_ip *place;

	if (mr_ip_parse(word, &ip) < 0)
		return -EINVAL;
	place = &p->gateways[mr_ip_is_v4(&ip) ? 0 : 1];
	if (!mr_ip_eq(place, &none))
		return -EINVAL;
	*place = ip;
	return 0;
}

// A gateway that no address has on its link is never reached.
static bool is_on_link(const struct mr_nic_plan *p, const struct mr_ip *ip)
{
	struct mr_ip none = {0};

	if (mr_ip_eq(ip, &none) || (ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80))
		return true;
	for (uint32_t i = 0; i < p->addresses_count; i++)
		if (mr_ip_is_v4(&p->addresses[i].ip) == mr_ip_is_v4(ip) &&
			mr_ip_in_prefix(ip, &p->addresses[i].ip, p->addresses[i].prefix))
			return true;
	return false;
}

int mr_nic_plan(const struct mr_config *c, struct mr_nic_plan *out, struct mr_diag *diag)
{
	struct mr_dpdk_args args;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = mr_dpdk_args_split(&args, c->eal, diag);
	if (rc < 0)
		return rc;
	if (each_word(c->net_address, add_address, out) < 0)
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"net.address takes up to %d of the form 10.0.0.2/24 or fd00::2/64, not "
			"\"%s\"",
			MR_STACK_ADDRESSES_MAX, c->net_address);
	if (!out->addresses_count) {
		mr_diag_set(diag, -EINVAL, "22023", 0, "--dataplane dpdk needs net.address");
		mr_diag_hint(diag, "Give for example --set net.address=10.0.0.2/24.");
		return -EINVAL;
	}
	if (each_word(c->net_gateway, add_gateway, out) < 0)
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"net.gateway takes one IPv4 and one IPv6 address, not \"%s\"",
			c->net_gateway);
	for (int i = 0; i < 2; i++)
		if (!is_on_link(out, &out->gateways[i]))
			return mr_diag_set(diag, -EINVAL, "22023", 0,
				"net.gateway %s is on no network of net.address", c->net_gateway);
	return 0;
}

void mr_nic_print_plan(const struct mr_config *c, FILE *f)
{
	static const char *const sums[] = {"hw", "sw", "trust"};

	fprintf(f, "network: DPDK, addresses %s, mtu %llu, checksums %s, polling %s\n",
		c->net_address, (unsigned long long)c->net_mtu, sums[c->net_checksum],
		c->net_poll_busy ? "busy" : "adaptive");
	fprintf(f, "  device %s, gateway %s, vlan %llu, --eal \"%s\"\n",
		c->net_port[0] ? c->net_port : "the first",
		c->net_gateway[0] ? c->net_gateway : "none", (unsigned long long)c->net_vlan,
		c->eal);
	fprintf(f,
		"  Kafka ports from %llu on, one for each worker; a queue of each kind for each\n",
		(unsigned long long)c->kafka_port);
}

// Descriptors, bursts and caches of a receive and a transmit queue (port_dpdk_open.c).
uint64_t mr_nic_frames_bytes(const struct mr_config *c)
{
	return FRAMES_PER_WORKER * (MR_MAX(c->net_mtu, (uint64_t)2048) + FRAME_OVERHEAD_BYTES);
}

// ---- opening

static int open_device(struct mr_nic *n, const struct mr_topo_placement *placement,
	uint32_t workers, struct mr_diag *diag)
{
	const struct mr_config *c = n->config;
	struct mr_queue_place *places = calloc(workers, sizeof(*places));
	struct mr_dpdk_options o = {
		.eal = c->eal,
		.port = c->net_port,
		.workers = (uint16_t)workers,
		.places = places,
		.main_pu = placement->background_count ? placement->background[0] : -1,
		.mtu = (uint16_t)c->net_mtu,
		.queues_max = (uint16_t)c->net_queues,
		.sums = (enum mr_dpdk_sums)c->net_checksum,
		.refuse_remote = c->net_refuse_remote,
		.note = mr_note,
	};
	int rc;

	if (!places)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	for (uint32_t w = 0; w < workers; w++)
		places[w] = placement->workers_count
				    ? (struct mr_queue_place){placement->workers[w].pu,
					      placement->workers[w].node}
				    : (struct mr_queue_place){-1, -1};
	rc = n->driver->open(&o, &n->device, diag);
	free(places);
	return rc;
}

static void tell_device(struct mr_nic *n)
{
	struct mr_dpdk_info i;
	char mac[18];

	n->driver->describe(n->device, &i);
	mr_mac_format(i.mac, mac);
	n->link_up = i.link_up;
	mr_note(MR_NOTE_NOTICE, "net",
		"port=%s driver=%s mac=%s address=%s mtu=%u link=%s node=%d rx_queues=%u "
		"tx_queues=%u checksums=%s wakes_by=%s pools_mib=%llu",
		i.name, i.driver, mac, n->host, i.mtu, i.link_up ? "up" : "down", i.node,
		i.rx_queues, i.tx_queues, i.has_sums ? "device" : "software",
		i.interrupts ? "interrupt" : "naps", (unsigned long long)(i.pool_bytes >> 20));
}

int mr_nic_open(const struct mr_config *c, const struct mr_topo_placement *placement,
	uint32_t workers, struct mr_nic **out, struct mr_diag *diag)
{
	struct mr_nic *n = calloc(1, sizeof(*n));
	struct mr_rand rand;
	int rc;

	if (!n)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	n->config = c;
	mr_rand_init(&rand, mr_rand_seed_os());
	mr_rand_bytes(&rand, n->secret, sizeof(n->secret));
	rc = mr_nic_plan(c, &n->plan, diag);
	if (rc == 0)
		rc = mr_dpdk_load(c->net_module, &n->driver, diag);
	if (rc == 0)
		rc = open_device(n, placement, workers, diag);
	if (rc < 0) {
		free(n);
		return rc;
	}
	mr_ip_format(&n->plan.addresses[0].ip, n->host);
	tell_device(n);
	*out = n;
	return 0;
}

void mr_nic_close(struct mr_nic *n)
{
	if (!n)
		return;
	n->driver->close(n->device);
	free(n);
}

int mr_nic_stack(struct mr_nic *n, uint32_t worker, struct mr_clock *clock, struct mr_stack **stack,
	struct mr_port **port)
{
	const struct mr_config *c = n->config;
	struct mr_stack_options o = {
		.port = mr_nic_port(n, worker),
		.addresses_count = n->plan.addresses_count,
		.gateways = {n->plan.gateways[0], n->plan.gateways[1]},
		.vlan = (uint16_t)c->net_vlan,
		.mtu = (uint16_t)c->net_mtu,
		.accept_ra = c->net_accept_ra,
		.answer_echo = true,
		.secondary = worker != 0,
		.seed = mr_rand_seed_os(),
		.now_ns = mr_now_ns(clock),
		.tcp =
			{
				.connections_max =
					(uint32_t)c->kafka_connections_max + CONNECTIONS_SPARE,
				.memory_bytes = c->net_memory_bytes,
				.receive_window_max = (uint32_t)c->net_window_bytes,
				.seed = mr_rand_seed_os(),
			},
	};

	o.tcp.node = o.port->node;
	memcpy(o.tcp.secret, n->secret, sizeof(o.tcp.secret));
	memcpy(o.addresses, n->plan.addresses, sizeof(o.addresses));
	*port = o.port;
	return mr_stack_create(&o, stack);
}

void mr_nic_steer(struct mr_nic *n, uint16_t port_first)
{
	n->driver->steer(n->device, port_first);
}

void mr_nic_enter(struct mr_nic *n, uint32_t worker)
{
	n->driver->enter(mr_nic_port(n, worker));
}

void mr_nic_leave(struct mr_nic *n, uint32_t worker)
{
	n->driver->leave(mr_nic_port(n, worker));
}

// A peer whose kernel leaves checksums to a device that does not compute them (veth and its like):
// nothing of it arrives, and nothing says why but this line.
static void watch_partial_sums(struct mr_nic *n, struct mr_stack *stack)
{
	uint64_t bad = atomic_load_explicit(
		&mr_stack_counters(stack)->bad_partial_sum, memory_order_relaxed);

	if (!bad || atomic_exchange_explicit(&n->told_partial, true, memory_order_relaxed))
		return;
	mr_note(MR_NOTE_WARN, "net",
		"event=unfinished_checksums frames=%llu cause=\"the peer's offloads\" "
		"do=\"ethtool -K PEER tx off tso off gso off\"",
		(unsigned long long)bad);
}

void mr_nic_watch(struct mr_nic *n, uint32_t worker, struct mr_stack *stack)
{
	const struct mr_port *port = mr_nic_port(n, worker);

	watch_partial_sums(n, stack);
	if (worker != 0 || port->link_up == n->link_up)
		return;
	n->link_up = port->link_up;
	mr_note(MR_NOTE_WARN, "net", "port=%s link=%s", port->name, port->link_up ? "up" : "down");
}

void mr_nic_describe(struct mr_nic *n, struct mr_dpdk_info *out)
{
	n->driver->describe(n->device, out);
}

struct mr_port *mr_nic_port(struct mr_nic *n, uint32_t worker)
{
	return n->driver->port(n->device, (uint16_t)worker);
}

const char *mr_nic_host(const struct mr_nic *n)
{
	return n->host;
}
