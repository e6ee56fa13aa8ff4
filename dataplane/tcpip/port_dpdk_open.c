// Opening a device of DPDK's: what its driver bears, its queues and pools; and the module's one
// symbol.
#include "dataplane/tcpip/port_dpdk_int.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf_pool_ops.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	MTU_DEFAULT = 1500,
	RX_DESCRIPTORS = 1024,
	TX_DESCRIPTORS = 512,
	POOL_CACHE = 256,
	RING_FRAMES = 1024, // of other workers that wait for one
	L2_BYTES_MAX = MR_ETH_BYTES + MR_VLAN_BYTES,
	CRC_BYTES = 4,
	VIRTIO_BYTES = 12,        // before each frame
	RING_BUFFER_BYTES = 2048, // of memif and af_packet unless told otherwise
	RING_HEADER_BYTES = 128,  // of it, what af_packet and Ethernet take
	FRAME_BYTES_MAX = 65000,  // a buffer's length has 16 bits
	FLOW_FAMILIES = 2,
	XDP_FILL_FRAMES = 2048, // of af_xdp's fill ring
	XDP_BYTES = 256,        // the kernel keeps them free before each frame that it fills
	XDP_MTU_MAX = 3422,     // of a frame that lies in a page with all that surrounds it
	TAP_QUEUES = 4,
};

// Cleared, on cache lines of its own; NULL when there is no memory.
static void *alloc_lines(size_t count, size_t bytes)
{
	void *p = aligned_alloc(MR_CACHELINE, mr_round_up(count * bytes, MR_CACHELINE));

	return p ? memset(p, 0, count * bytes) : NULL;
}

// ---- the device

static int failed(struct mr_diag *diag, const struct mr_dpdk *d, const char *what, int rc)
{
	mr_diag_set(diag, rc, "58000", 0, "cannot %s of %s: %s", what, d->name, rte_strerror(-rc));
	if (mr_dpdk_eal_said()[0])
		mr_diag_hint(diag, "DPDK says: %s.", mr_dpdk_eal_said());
	return rc;
}

static bool is_driver(const struct mr_dpdk *d, const char *name)
{
	return strcmp(d->info.driver_name, name) == 0;
}

static int find_device(struct mr_dpdk *d, const struct mr_dpdk_options *o, struct mr_diag *diag)
{
	uint16_t id = (uint16_t)rte_eth_find_next_owned_by(0, RTE_ETH_DEV_NO_OWNER);
	bool named = o->port && o->port[0];
	int rc;

	if (rte_eth_dev_count_avail() == 0) {
		mr_diag_set(diag, -ENODEV, "58000", 0, "DPDK has found no port");
		mr_diag_hint(diag, "Give --eal \"--vdev net_tap0,iface=mr0\", or bind a NIC to "
				   "vfio-pci and name it: --eal \"-a 0000:01:00.0\".");
		return -ENODEV;
	}
	if (named && rte_eth_dev_get_port_by_name(o->port, &id) != 0)
		return mr_diag_set(diag, -ENODEV, "58000", 0, "DPDK has no port named %s", o->port);
	d->port_id = id;
	(void)rte_eth_dev_get_name_by_port(id, d->name);
	rc = rte_eth_dev_info_get(id, &d->info);
	d->is_tap = rc == 0 && is_driver(d, "net_tap");
	return rc < 0 ? failed(diag, d, "read the properties", rc) : 0;
}

// Queues of each kind that the driver bears.
static uint16_t queues_max(const struct mr_dpdk *d, const struct mr_dpdk_options *o)
{
	uint16_t max = o->queues_max ? o->queues_max : UINT16_MAX;

	// The driver sends the descriptors of all its queues in a message with room for eight, and
	// writes beyond it (DPDK 22.11).
	if (d->is_tap)
		return MR_MIN(max, TAP_QUEUES);
	// Peers of memif settle the number of queues; more than they have are never connected.
	return is_driver(d, "net_memif") && !o->queues_max ? 1 : max;
}

static int check_nodes(
	struct mr_dpdk *d, const struct mr_dpdk_options *o, int node, struct mr_diag *diag)
{
	for (uint16_t w = 0; w < d->workers; w++) {
		if (!d->ports[w].share.is_remote)
			continue;
		if (o->refuse_remote)
			return mr_diag_set(diag, -EXDEV, "58000", 0,
				"worker %u runs on NUMA node %d, the port %s is on node %d", w,
				o->places[w].node, d->name, node);
		o->note(MR_NOTE_WARN, "net",
			"port=%s node=%d worker=%u worker_node=%d event=remote_numa_node", d->name,
			node, w, o->places[w].node);
	}
	return 0;
}

static int plan(struct mr_dpdk *d, const struct mr_dpdk_options *o, struct mr_diag *diag)
{
	uint16_t max = queues_max(d, o);
	struct mr_queue_device device = {
		.rx_queues_max = MR_MIN(d->info.max_rx_queues, max),
		.tx_queues_max = MR_MIN(d->info.max_tx_queues, max),
		.node = rte_eth_dev_socket_id(d->port_id),
	};
	struct mr_queue_share *shares = calloc(o->workers, sizeof(*shares));

	if (!shares)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	// Virtual devices say 0, or nothing, whatever they are; those with a bus have its colons.
	if (!strchr(d->name, ':'))
		device.node = -1;
	mr_queue_plan_make(&device, o->places, o->workers, shares, &d->plan);
	for (uint16_t w = 0; w < o->workers; w++)
		d->ports[w].share = shares[w];
	free(shares);
	d->node = device.node;
	return check_nodes(d, o, device.node, diag);
}

static void choose_offloads(struct mr_dpdk *d, const struct mr_dpdk_options *o)
{
	const uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	const uint64_t tx = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;

	d->always_good = o->sums == MR_DPDK_SUMS_TRUST;
	if (o->sums == MR_DPDK_SUMS_SW)
		return;
	d->believes = o->sums == MR_DPDK_SUMS_HW;
	d->rx_offloads = d->info.rx_offload_capa & rx;
	if ((d->info.tx_offload_capa & tx) == tx)
		d->tx_offloads = tx;
	d->has_sums = d->tx_offloads != 0;
}

static int try_configure(struct mr_dpdk *d, uint16_t mtu, bool interrupts)
{
	const uint32_t flags = *d->info.dev_flags;
	struct rte_eth_conf conf = {
		.rxmode = {.mtu = mtu, .offloads = d->rx_offloads},
		.txmode = {.offloads = d->tx_offloads},
		.intr_conf = {.rxq = interrupts,
			.lsc = (flags & RTE_ETH_DEV_INTR_LSC) != 0,
			.rmv = (flags & RTE_ETH_DEV_INTR_RMV) != 0},
	};

	if (d->plan.rx_queues > 1) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			d->info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
	}
	return rte_eth_dev_configure(d->port_id, d->plan.rx_queues, d->plan.tx_queues, &conf);
}

// The number behind `word` in the device's own arguments; 0: it is not there.
static uint32_t device_arg(const struct mr_dpdk *d, const char *word)
{
	const struct rte_devargs *a = d->info.device ? rte_dev_devargs(d->info.device) : NULL;
	const char *at = a && a->args ? strstr(a->args, word) : NULL;

	return at ? (uint32_t)MR_MIN(strtoul(at + strlen(word), NULL, 10), FRAME_BYTES_MAX) : 0;
}

// Drivers of 22.11 that name the size of an ordinary frame and carry what their buffers take.
// ethdev refuses a longer MTU for them, so they are not told of it. 0: another driver.
static uint32_t buffer_bytes(const struct mr_dpdk *d)
{
	uint32_t said = 0;

	if (is_driver(d, "net_af_packet"))
		said = device_arg(d, "framesz=");
	else if (is_driver(d, "net_memif")) // a frame in several of its buffers crashes it
		said = device_arg(d, "bsize=");
	else
		return 0;
	return said ? said : RING_BUFFER_BYTES;
}

// The longest IP packet of the device.
static uint32_t mtu_max(const struct mr_dpdk *d)
{
	uint32_t frame = d->info.max_rx_pktlen,
		 mtu = d->info.max_mtu ? d->info.max_mtu : UINT16_MAX;
	uint32_t buffer = buffer_bytes(d);

	if (is_driver(d, "net_af_xdp"))
		return XDP_MTU_MAX;
	if (buffer)
		return buffer > RING_HEADER_BYTES ? buffer - RING_HEADER_BYTES : 0;
	return mtu == UINT16_MAX || frame <= mtu ? frame - MR_ETH_BYTES - CRC_BYTES : mtu;
}

static int configure(struct mr_dpdk *d, uint16_t mtu, struct mr_diag *diag)
{
	uint16_t told = buffer_bytes(d) ? MR_MIN(mtu, MTU_DEFAULT) : mtu;
	int rc;

	if (mtu > mtu_max(d))
		return mr_diag_set(diag, -EMSGSIZE, "22023", 0,
			"net.mtu %u: the port %s carries at most %u bytes", mtu, d->name,
			mtu_max(d));
	d->interrupts = true;
	rc = try_configure(d, told, true);
	if (rc < 0) {
		d->interrupts = false;
		rc = try_configure(d, told, false);
	}
	if (rc < 0)
		return failed(diag, d, "configure the queues", rc);
	if (told != mtu)
		return 0;
	// A driver that has no such switch carries what it carries.
	rc = rte_eth_dev_set_mtu(d->port_id, mtu);
	return rc < 0 && rc != -ENOTSUP ? failed(diag, d, "set the MTU", rc) : 0;
}

// ---- memory

// rte_pktmbuf_pool_create leaves gaps, so that no frame crosses a page: on ordinary memory two
// frames of five lie behind one. af_xdp tells the kernel of frames without gaps (DPDK 22.11), which
// refuses those behind the end of that and drops them, to be sent or to be filled, without a word.
// So its frames are packed; the kernel wants them in one piece besides.
static struct rte_mempool *make_packed_pool(
	const char *name, unsigned frames, uint16_t room, unsigned node)
{
	struct rte_pktmbuf_pool_private sizes = {.mbuf_data_room_size = room};
	struct rte_mempool *pool =
		rte_mempool_create_empty(name, frames, (unsigned)sizeof(struct rte_mbuf) + room,
			POOL_CACHE, sizeof(sizes), (int)node, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	int rc;

	if (!pool)
		return NULL;
	rc = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	rte_pktmbuf_pool_init(pool, &sizes);
	if (rc == 0)
		rc = rte_mempool_populate_default(pool);
	if (rc >= 0 && pool->nb_mem_chunks == 1) {
		rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
		return pool;
	}
	rte_mempool_free(pool);
	rte_errno = rc < 0 ? -rc : ENOMEM;
	return NULL;
}

static struct rte_mempool *make_pool(struct mr_dpdk *d, const char *kind, unsigned index,
	unsigned frames, uint16_t mtu, int node)
{
	bool xdp = is_driver(d, "net_af_xdp");
	uint32_t frame =
		(uint32_t)mtu + L2_BYTES_MAX + CRC_BYTES + VIRTIO_BYTES + (xdp ? XDP_BYTES : 0);
	// af_packet copies whatever its ring's frames hold, room or not (DPDK 22.11).
	uint32_t room = MR_MAX(MR_MAX(frame, buffer_bytes(d)), RING_BUFFER_BYTES);
	unsigned on = node < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)node;
	struct rte_mempool *pool;
	char name[32];

	room = (uint32_t)mr_round_up(room, 64) + RTE_PKTMBUF_HEADROOM;
	snprintf(name, sizeof(name), "mr_%s_%u", kind, index);
	if (xdp)
		pool = make_packed_pool(name, frames, (uint16_t)room, on);
	else
		pool = rte_pktmbuf_pool_create(
			name, frames, POOL_CACHE, 0, (uint16_t)room, (int)on);
	if (pool)
		d->pool_bytes += (uint64_t)frames * (room + sizeof(struct rte_mbuf));
	return pool;
}

// A pool holds what the queue's descriptors hold, what a burst and the caches hold, and what waits
// in the rings of other workers: so received frames never run out while all of them keep up.
// af_xdp fills a ring of its own besides, and sends from frames of this pool.
static unsigned rx_frames(const struct mr_dpdk *d, uint16_t descriptors)
{
	unsigned waiting = d->plan.steers ? MR_MIN(d->workers, 8u) * RING_FRAMES / 2 : 0;
	unsigned xdp = is_driver(d, "net_af_xdp") ? XDP_FILL_FRAMES + d->tx_queue_frames : 0;

	return descriptors + 4u * MR_PORT_BURST + 2u * POOL_CACHE + waiting + xdp;
}

static int setup_rx(struct mr_dpdk *d, uint16_t queue, uint16_t descriptors, uint16_t mtu, int node)
{
	struct dpdk_queue *q = &d->rxqs[queue];

	rte_spinlock_init(&q->lock);
	q->pool = make_pool(d, "rx", queue, rx_frames(d, descriptors), mtu, node);
	if (!q->pool)
		return -rte_errno;
	return rte_eth_rx_queue_setup(d->port_id, queue, descriptors,
		node < 0 ? SOCKET_ID_ANY : (unsigned)node, NULL, q->pool);
}

static int setup_queues(
	struct mr_dpdk *d, const struct mr_dpdk_options *o, uint16_t mtu, struct mr_diag *diag)
{
	uint16_t rx = o->rx_descriptors ? o->rx_descriptors : RX_DESCRIPTORS;
	uint16_t tx = o->tx_descriptors ? o->tx_descriptors : TX_DESCRIPTORS;
	int node = d->ports[0].share.node;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(d->port_id, &rx, &tx);

	d->tx_queue_frames = tx;
	d->rxqs = alloc_lines(d->plan.rx_queues, sizeof(*d->rxqs));
	d->txqs = alloc_lines(d->plan.tx_queues, sizeof(*d->txqs));
	if (!d->rxqs || !d->txqs)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	for (uint16_t i = 0; rc == 0 && i < d->plan.rx_queues; i++)
		rc = setup_rx(d, i, rx, mtu, node);
	for (uint16_t i = 0; rc == 0 && i < d->plan.tx_queues; i++) {
		rte_spinlock_init(&d->txqs[i].lock);
		rc = rte_eth_tx_queue_setup(
			d->port_id, i, tx, node < 0 ? SOCKET_ID_ANY : (unsigned)node, NULL);
	}
	return rc < 0 ? failed(diag, d, "set up the queues", rc) : 0;
}

// ---- workers' ports

static int open_wait(struct dpdk_port *p)
{
	struct epoll_event event = {.events = EPOLLIN};

	p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	p->queue_fd = epoll_create1(EPOLL_CLOEXEC);
	p->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->wake_fd < 0 || p->queue_fd < 0 || p->wait_fd < 0)
		return -errno;
	if (epoll_ctl(p->wait_fd, EPOLL_CTL_ADD, p->wake_fd, &event) < 0 ||
		epoll_ctl(p->wait_fd, EPOLL_CTL_ADD, p->queue_fd, &event) < 0)
		return -errno;
	return 0;
}

static void close_wait(struct dpdk_port *p)
{
	int *fds[] = {&p->wait_fd, &p->queue_fd, &p->wake_fd};

	for (size_t i = 0; i < MR_COUNT_OF(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int open_port(struct mr_dpdk *d, uint16_t w, uint16_t mtu)
{
	struct dpdk_port *p = &d->ports[w];
	unsigned tx = d->tx_queue_frames + 4u * MR_PORT_BURST + 2u * POOL_CACHE;
	struct rte_ether_addr mac;
	char name[32];

	p->dev = d;
	p->index = w;
	p->rxq = &d->rxqs[p->share.rx_queue];
	p->txq = &d->txqs[p->share.tx_queue];
	p->port = (struct mr_port){
		.ops = &mr_dpdk_port_ops,
		.mtu = mtu,
		.frame_bytes_max = (uint32_t)mtu + L2_BYTES_MAX,
		.offloads = d->has_sums ? MR_PORT_SUM_L3 | MR_PORT_SUM_L4 : 0,
		.node = p->share.node,
	};
	snprintf(p->port.name, sizeof(p->port.name), "%s", d->name);
	if (rte_eth_macaddr_get(d->port_id, &mac) == 0)
		memcpy(p->port.mac.b, mac.addr_bytes, sizeof(p->port.mac.b));
	// The kernel's end of a tap has the very address that the driver tells: we take another.
	if (d->is_tap)
		p->port.mac.b[5] ^= 1;
	p->tx_pool = make_pool(d, "tx", w, tx, mtu, p->share.node);
	snprintf(name, sizeof(name), "mr_in_%u", w);
	p->in = rte_ring_create(name, RING_FRAMES,
		p->share.ring_node < 0 ? SOCKET_ID_ANY : p->share.ring_node, RING_F_SC_DEQ);
	return p->tx_pool && p->in ? open_wait(p) : -rte_errno;
}

static int open_ports(struct mr_dpdk *d, uint16_t mtu, struct mr_diag *diag)
{
	int rc = 0;

	for (uint16_t w = 0; w < d->workers; w++)
		d->ports[w].wait_fd = d->ports[w].queue_fd = d->ports[w].wake_fd = -1;
	for (uint16_t w = 0; rc == 0 && w < d->workers; w++)
		rc = open_port(d, w, mtu);
	return rc < 0 ? failed(diag, d, "make the workers' queues", rc) : 0;
}

// The tap driver receives nothing before it has seen a signal of new frames, which the kernel hands
// to any thread of ours, sooner or later. To the worker itself it comes before the wake-up.
static void take_tap_signals(struct dpdk_port *p)
{
	const struct f_owner_ex owner = {F_OWNER_TID, (pid_t)gettid()};
	int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->dev->port_id, p->share.rx_queue);

	if (fd >= 0 && fcntl(fd, F_SETOWN_EX, &owner) < 0)
		p->dev->note(MR_NOTE_INFO, "net", "worker=%u event=signals_not_taken error=\"%s\"",
			p->index, rte_strerror(errno));
}

// The descriptor of a tap polls readable as long as frames wait in it.
static int watch_tap(struct dpdk_port *p)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->dev->port_id, p->share.rx_queue);

	if (fd < 0)
		return -ENOTSUP;
	return epoll_ctl(p->wait_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

// After the device has started: sleeping workers are woken by its interrupts, where it has them.
static void open_interrupts(struct mr_dpdk *d)
{
	for (uint16_t w = 0; d->interrupts && w < d->workers; w++) {
		struct dpdk_port *p = &d->ports[w];
		int rc = d->is_tap ? watch_tap(p)
				   : rte_eth_dev_rx_intr_ctl_q(d->port_id, p->share.rx_queue,
					     p->queue_fd, RTE_INTR_EVENT_ADD, NULL);

		d->interrupts = rc == 0;
	}
	for (uint16_t w = 0; !d->interrupts && w < d->workers; w++)
		close_wait(&d->ports[w]);
}

// ---- events

static int on_event(uint16_t, enum rte_eth_event_type type, void *arg, void *)
{
	struct mr_dpdk *d = arg;

	if (type == RTE_ETH_EVENT_INTR_RMV)
		mr_dpdk_gone(d);
	else
		mr_dpdk_link(d);
	return 0;
}

static int start_device(struct mr_dpdk *d, struct mr_diag *diag)
{
	int rc;

	(void)rte_eth_dev_callback_register(d->port_id, RTE_ETH_EVENT_INTR_LSC, on_event, d);
	(void)rte_eth_dev_callback_register(d->port_id, RTE_ETH_EVENT_INTR_RMV, on_event, d);
	rc = rte_eth_dev_start(d->port_id);
	if (rc < 0)
		return failed(diag, d, "start the queues", rc);
	d->started = true;
	// Neighbour discovery is multicast; a driver without the switch gives us everything.
	(void)rte_eth_allmulticast_enable(d->port_id);
	open_interrupts(d);
	mr_dpdk_link(d);
	for (uint16_t w = 0; w < d->workers; w++)
		d->ports[w].port.link_up = atomic_load(&d->link_up);
	return 0;
}

// ---- the module's functions

// EAL itself stays until the process ends: rte_eal_cleanup of DPDK 22.11 takes memory away while
// EAL's interrupt thread, which nothing ends, still reads it.
static void dpdk_close(struct mr_dpdk *d)
{
	struct rte_flow_error error;

	if (!d)
		return;
	if (d->has_flows)
		(void)rte_flow_flush(d->port_id, &error);
	if (d->started) {
		(void)rte_eth_dev_stop(d->port_id);
		(void)rte_eth_dev_close(d->port_id);
	}
	for (uint16_t w = 0; d->ports && w < d->workers; w++) {
		close_wait(&d->ports[w]);
		rte_ring_free(d->ports[w].in);
	}
	free(d->ports);
	free(d->rxqs);
	free(d->txqs);
	free(d);
}

static int open_device(struct mr_dpdk *d, const struct mr_dpdk_options *o, struct mr_diag *diag)
{
	uint16_t mtu = o->mtu ? o->mtu : MTU_DEFAULT;
	int rc = find_device(d, o, diag);

	if (rc == 0)
		rc = plan(d, o, diag);
	if (rc < 0)
		return rc;
	choose_offloads(d, o);
	rc = configure(d, mtu, diag);
	if (rc == 0)
		rc = setup_queues(d, o, mtu, diag);
	if (rc == 0)
		rc = open_ports(d, mtu, diag);
	return rc < 0 ? rc : start_device(d, diag);
}

static int dpdk_open(const struct mr_dpdk_options *o, struct mr_dpdk **out, struct mr_diag *diag)
{
	struct mr_dpdk *d;
	int rc = mr_dpdk_start_eal(o, diag);

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d)
		d->ports = alloc_lines(o->workers, sizeof(*d->ports));
	if (!d || !d->ports) {
		free(d);
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	}
	d->workers = o->workers;
	d->steering.workers = o->workers;
	d->note = o->note;
	mr_dpdk_eal_hush();
	rc = open_device(d, o, diag);
	if (rc < 0) {
		dpdk_close(d);
		return rc;
	}
	*out = d;
	return 0;
}

// A rule: segments of this family for TCP port `port` go to `queue`.
static int add_rule(struct mr_dpdk *d, bool v6, uint16_t port, uint16_t queue)
{
	const struct rte_flow_attr attr = {.ingress = 1};
	const struct rte_flow_item_tcp spec = {.hdr = {.dst_port = htons(port)}};
	const struct rte_flow_item_tcp mask = {.hdr = {.dst_port = UINT16_MAX}};
	const struct rte_flow_item pattern[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4},
		{.type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &spec, .mask = &mask},
		{.type = RTE_FLOW_ITEM_TYPE_END},
	};
	const struct rte_flow_action_queue to = {.index = queue};
	const struct rte_flow_action actions[] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error error;

	if (rte_flow_validate(d->port_id, &attr, pattern, actions, &error) != 0)
		return -ENOTSUP;
	return rte_flow_create(d->port_id, &attr, pattern, actions, &error) ? 0 : -ENOTSUP;
}

// The device sorts by itself where it can; software goes on checking, so that a device which does
// not keep its word costs time and nothing else.
static void dpdk_steer(struct mr_dpdk *d, uint16_t port_first)
{
	struct rte_flow_error error;
	int rc = 0;

	d->steering.port_first = port_first;
	if (d->workers == 1 || d->plan.rx_queues < d->workers)
		return;
	for (uint16_t w = 0; rc == 0 && w < d->workers; w++)
		for (int v6 = 0; rc == 0 && v6 < FLOW_FAMILIES; v6++)
			rc = add_rule(
				d, v6, (uint16_t)(port_first + w), d->ports[w].share.rx_queue);
	d->has_flows = rc == 0;
	if (rc < 0)
		(void)rte_flow_flush(d->port_id, &error);
	d->note(MR_NOTE_INFO, "net", "port=%s steering=%s", d->name,
		d->has_flows ? "device" : "software");
}

static struct mr_port *dpdk_port(struct mr_dpdk *d, uint16_t worker)
{
	MR_ASSERT(worker < d->workers);
	return &d->ports[worker].port;
}

// A registered thread has a cache of frames in each pool; without one it takes them one by one.
static void dpdk_enter(struct mr_port *port)
{
	struct dpdk_port *p = MR_CONTAINER(port, struct dpdk_port, port);

	p->registered = rte_thread_register() == 0;
	if (!p->registered)
		p->dev->note(MR_NOTE_INFO, "net", "worker=%u event=not_registered error=\"%s\"",
			p->index, rte_strerror(rte_errno));
	if (p->dev->is_tap && p->dev->interrupts)
		take_tap_signals(p);
}

static void dpdk_leave(struct mr_port *port)
{
	struct dpdk_port *p = MR_CONTAINER(port, struct dpdk_port, port);

	if (p->registered)
		rte_thread_unregister();
	p->registered = false;
}

static void describe_counters(struct mr_dpdk *d, struct mr_dpdk_info *out)
{
	struct rte_eth_stats s;

	if (out->is_gone || rte_eth_stats_get(d->port_id, &s) < 0)
		return;
	out->rx_frames = s.ipackets;
	out->rx_bytes = s.ibytes;
	out->rx_missed = s.imissed;
	out->rx_errors = s.ierrors;
	out->rx_no_frame = s.rx_nombuf;
	out->tx_frames = s.opackets;
	out->tx_bytes = s.obytes;
	out->tx_errors = s.oerrors;
}

static void dpdk_describe(struct mr_dpdk *d, struct mr_dpdk_info *out)
{
	const struct mr_port *first = &d->ports[0].port;

	*out = (struct mr_dpdk_info){
		.mac = first->mac,
		.mtu = first->mtu,
		.link_up = atomic_load_explicit(&d->link_up, memory_order_relaxed),
		.is_gone = atomic_load_explicit(&d->is_gone, memory_order_relaxed),
		.link_mbps = atomic_load_explicit(&d->link_mbps, memory_order_relaxed),
		.node = d->node,
		.rx_queues = d->plan.rx_queues,
		.tx_queues = d->plan.tx_queues,
		.flow_rules = d->has_flows,
		.interrupts = d->interrupts,
		.has_sums = d->has_sums,
		.pool_bytes = d->pool_bytes,
		.link_changes = atomic_load_explicit(&d->link_changes, memory_order_relaxed),
	};
	snprintf(out->name, sizeof(out->name), "%s", first->name);
	snprintf(out->driver, sizeof(out->driver), "%s", d->info.driver_name);
	describe_counters(d, out);
}

extern const struct mr_dpdk_driver mr_dpdk_driver;
const struct mr_dpdk_driver mr_dpdk_driver = {
	.interface = MR_DPDK_INTERFACE,
	.open = dpdk_open,
	.close = dpdk_close,
	.steer = dpdk_steer,
	.port = dpdk_port,
	.enter = dpdk_enter,
	.leave = dpdk_leave,
	.describe = dpdk_describe,
};
