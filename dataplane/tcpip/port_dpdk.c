// The packet path over DPDK: bursts of mbufs in and out, and sorting them among workers.
//
// Each worker reads one receive queue. A queue that brings frames of several workers (fewer queues
// than workers, or a device that spreads by hash) is sorted as it is read: a frame of another
// worker goes into that worker's ring. Queues that are shared are read by whoever comes first,
// under a lock that nobody waits for: so frames move as long as any worker is awake. Order within a
// connection holds: rings are filled under the queue's lock, and a worker that has the lock empties
// its own ring before it reads the queue.
//
// A frame that teaches every stack something is copied for each; the copy is marked by the lowest
// bit of its address in the ring, which mbufs, being aligned, leave free.
//
// Sleeping: a worker says so in `sleeps` before it looks at its ring a last time; whoever pushes
// looks at `sleeps` after. One of the two sees the other (sequentially consistent fences).
#include "dataplane/tcpip/port_dpdk_int.h"
#include "host/base/stat.h"

#include <errno.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { TX_TRIES = 8, WORKER_OF_ALL = 0, LEARN_BIT = 1 };

// Frames on their way to one other worker's ring.
struct run {
	int worker;
	unsigned count;
	void *items[MR_PORT_BURST];
};

static struct dpdk_port *of(struct mr_port *p)
{
	return MR_CONTAINER(p, struct dpdk_port, port);
}

static bool is_gone(const struct mr_dpdk *d)
{
	return atomic_load_explicit(&d->is_gone, memory_order_relaxed);
}

// ---- giving frames to the device

static int transmit(struct dpdk_port *p, struct rte_mbuf **mbufs, int n)
{
	uint16_t id = p->dev->port_id, queue = p->share.tx_queue;
	int done = 0, ready = n;

	if (p->share.tx_shared)
		rte_spinlock_lock(&p->txq->lock);
	if (p->dev->has_sums)
		ready = rte_eth_tx_prepare(id, queue, mbufs, (uint16_t)n);
	for (int i = 0; i < TX_TRIES && done < ready; i++)
		done += rte_eth_tx_burst(id, queue, mbufs + done, (uint16_t)(ready - done));
	if (p->share.tx_shared)
		rte_spinlock_unlock(&p->txq->lock);
	return done;
}

// Gives the device `n` frames. A frame that was taken is the device's: its size is noted before.
static int give(struct dpdk_port *p, struct rte_mbuf **mbufs, int n)
{
	uint32_t sizes[MR_PORT_BURST];
	uint64_t bytes = 0;
	int sent = 0;

	for (int i = 0; i < n; i++)
		sizes[i] = mbufs[i]->pkt_len;
	if (n && !is_gone(p->dev))
		sent = transmit(p, mbufs, n);
	for (int i = 0; i < sent; i++)
		bytes += sizes[i];
	mr_stat_add(&p->port.counters.tx_frames, (uint64_t)sent);
	mr_stat_add(&p->port.counters.tx_bytes, bytes);
	return sent;
}

static bool is_carried(const struct dpdk_port *p)
{
	return atomic_load_explicit(&p->dev->link_up, memory_order_relaxed) && !is_gone(p->dev);
}

// Sends what the device had no room for before. True when none is left: without a link it is lost.
static bool send_backlog(struct dpdk_port *p)
{
	if (p->backlog_count && !is_carried(p)) {
		rte_pktmbuf_free_bulk(p->backlog + p->backlog_at, p->backlog_count);
		mr_stat_add(&p->port.counters.tx_dropped, p->backlog_count);
		p->backlog_count = 0;
	}
	while (p->backlog_count) {
		int n = MR_MIN(p->backlog_count, MR_PORT_BURST);
		int sent = give(p, p->backlog + p->backlog_at, n);

		p->backlog_at = (uint16_t)(p->backlog_at + sent);
		p->backlog_count = (uint16_t)(p->backlog_count - sent);
		if (sent < n)
			return false;
	}
	p->backlog_at = 0;
	return true;
}

// ---- receiving

static uint32_t sum_flags(const struct mr_dpdk *d, const struct rte_mbuf *m)
{
	uint64_t l3 = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (d->always_good)
		return MR_FRAME_L3_GOOD | MR_FRAME_L4_GOOD;
	if (!d->believes)
		return 0;
	// What the device calls bad is looked at again by software: devices that do not know a
	// header's shape say so too.
	return (l3 == RTE_MBUF_F_RX_IP_CKSUM_GOOD ? MR_FRAME_L3_GOOD : 0u) |
	       (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? MR_FRAME_L4_GOOD : 0u);
}

static void to_frame(struct dpdk_port *p, struct rte_mbuf *m, bool learn, struct mr_frame *out)
{
	bool cut = m->nb_segs > 1 && rte_pktmbuf_linearize(m) != 0;

	*out = (struct mr_frame){
		.data = rte_pktmbuf_mtod(m, uint8_t *),
		.bytes = cut ? m->data_len : m->pkt_len,
		.flags = sum_flags(p->dev, m),
		.opaque = m,
	};
	if (learn)
		out->flags |= MR_FRAME_LEARN;
	if (cut) {
		out->flags |= MR_FRAME_CUT;
		mr_stat_add(&p->port.counters.rx_cut, 1);
	}
}

static int to_frames(
	struct dpdk_port *p, struct rte_mbuf *const *mbufs, int n, struct mr_frame *out)
{
	uint64_t bytes = 0;

	for (int i = 0; i < n; i++) {
		uintptr_t tagged = (uintptr_t)mbufs[i];

		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod((struct rte_mbuf *)((uintptr_t)mbufs[i + 1] &
									   ~(uintptr_t)LEARN_BIT),
				void *));
		to_frame(p, (struct rte_mbuf *)(tagged & ~(uintptr_t)LEARN_BIT), tagged & LEARN_BIT,
			&out[i]);
		bytes += out[i].bytes;
	}
	mr_stat_add(&p->port.counters.rx_frames, (uint64_t)n);
	mr_stat_add(&p->port.counters.rx_bytes, bytes);
	mr_stat_add(n ? &p->port.counters.rx_bursts : &p->port.counters.rx_empty, 1);
	return n;
}

static void wake(struct dpdk_port *to)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&to->sleeps, memory_order_relaxed))
		return;
	atomic_store_explicit(&to->sleeps, false, memory_order_relaxed);
	if (to->wake_fd >= 0 && write(to->wake_fd, &one, sizeof(one)) < 0)
		return; // its counter is at its limit: it is awake
}

static void run_end(struct dpdk_port *p, struct run *run)
{
	struct dpdk_port *to;
	unsigned n;

	if (!run->count)
		return;
	to = &p->dev->ports[run->worker];
	n = rte_ring_mp_enqueue_burst(to->in, run->items, run->count, NULL);
	mr_stat_add(&p->port.counters.steered_out, n);
	mr_stat_add(&p->port.counters.steered_lost, run->count - n);
	for (unsigned i = n; i < run->count; i++)
		rte_pktmbuf_free(
			(struct rte_mbuf *)((uintptr_t)run->items[i] & ~(uintptr_t)LEARN_BIT));
	run->count = 0;
	wake(to);
}

static void run_add(
	struct dpdk_port *p, struct run *run, int worker, struct rte_mbuf *m, bool learn)
{
	if (run->count && (run->worker != worker || run->count == MR_PORT_BURST))
		run_end(p, run);
	run->worker = worker;
	run->items[run->count++] = (void *)((uintptr_t)m | (learn ? LEARN_BIT : 0));
}

// A copy for each other worker; the frame itself is for the one that answers.
static void to_all(struct dpdk_port *p, struct run *run, struct rte_mbuf *m)
{
	for (int w = 0; w < p->dev->workers; w++) {
		struct rte_mbuf *copy;

		if (w == WORKER_OF_ALL || w == p->index)
			continue;
		copy = rte_pktmbuf_copy(m, p->rxq->pool, 0, UINT32_MAX);
		if (copy)
			run_add(p, run, w, copy, true);
		else
			mr_stat_add(&p->port.counters.steered_lost, 1);
	}
}

// Sorts one burst; returns how many of it are this worker's own, in `mine`.
static int sort(struct dpdk_port *p, struct rte_mbuf **burst, int n, struct rte_mbuf **mine)
{
	struct run run = {0};
	int own = 0;

	for (int i = 0; i < n; i++) {
		struct rte_mbuf *m = burst[i];
		int w = mr_steer_frame(
			&p->dev->steering, rte_pktmbuf_mtod(m, uint8_t *), m->data_len);

		if (w == MR_STEER_ALL) {
			to_all(p, &run, m);
			w = WORKER_OF_ALL;
			if (w != p->index) {
				struct rte_mbuf *copy =
					rte_pktmbuf_copy(m, p->rxq->pool, 0, UINT32_MAX);

				if (copy)
					mine[own++] = (void *)((uintptr_t)copy | LEARN_BIT);
			}
		}
		if (w == p->index)
			mine[own++] = m;
		else
			run_add(p, &run, w, m, false);
	}
	run_end(p, &run);
	return own;
}

static int receive_sorted(struct dpdk_port *p, struct rte_mbuf **mine, int max)
{
	struct rte_mbuf *burst[MR_PORT_BURST];
	bool locked = rte_spinlock_trylock(&p->rxq->lock);
	int n = (int)rte_ring_sc_dequeue_burst(p->in, (void **)mine, (unsigned)max, NULL);

	mr_stat_add(&p->port.counters.steered_in, (uint64_t)n);
	if (locked) {
		if (n < max) {
			int got = rte_eth_rx_burst(
				p->dev->port_id, p->share.rx_queue, burst, (uint16_t)(max - n));

			n += sort(p, burst, got, mine + n);
		}
		rte_spinlock_unlock(&p->rxq->lock);
	}
	return n;
}

static int dpdk_rx(struct mr_port *port, struct mr_frame *out, int max)
{
	struct rte_mbuf *mbufs[MR_PORT_BURST];
	struct dpdk_port *p = of(port);
	int n;

	if (MR_UNLIKELY(is_gone(p->dev)))
		return -ENODEV;
	send_backlog(p);
	max = MR_MIN(max, MR_PORT_BURST);
	if (p->dev->plan.steers)
		n = receive_sorted(p, mbufs, max);
	else
		n = rte_eth_rx_burst(p->dev->port_id, p->share.rx_queue, mbufs, (uint16_t)max);
	return to_frames(p, mbufs, n, out);
}

static void dpdk_rx_done(struct mr_port *, struct mr_frame *frames, int n)
{
	struct rte_mbuf *mbufs[MR_PORT_BURST];

	MR_ASSERT(n <= MR_PORT_BURST);
	for (int i = 0; i < n; i++)
		mbufs[i] = frames[i].opaque;
	rte_pktmbuf_free_bulk(mbufs, (unsigned)n);
}

// ---- sending

static uint64_t tx_flags(const struct mr_frame *f)
{
	bool v4 = f->data[f->l2_bytes] >> 4 == 4;
	uint64_t flags = v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;

	if (f->flags & MR_FRAME_SUM_L3)
		flags |= RTE_MBUF_F_TX_IP_CKSUM;
	if (f->flags & MR_FRAME_SUM_L4)
		flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	return flags;
}

static struct rte_mbuf *to_mbuf(const struct mr_frame *f)
{
	struct rte_mbuf *m = f->opaque;

	m->data_off = (uint16_t)(f->data - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)f->bytes;
	m->pkt_len = f->bytes;
	if (f->flags & (MR_FRAME_SUM_L3 | MR_FRAME_SUM_L4)) {
		m->tx_offload = f->l2_bytes | (uint64_t)f->l3_bytes << RTE_MBUF_L2_LEN_BITS |
				(uint64_t)f->l4_bytes
					<< (RTE_MBUF_L2_LEN_BITS + RTE_MBUF_L3_LEN_BITS);
		m->ol_flags = tx_flags(f);
	}
	return m;
}

// Keeps frames for later, as many as there is room for. Returns how many.
static int keep(struct dpdk_port *p, struct rte_mbuf **mbufs, int n)
{
	int room = DPDK_BACKLOG - p->backlog_count, kept = MR_MIN(n, room);

	if (!is_carried(p))
		return 0;
	memmove(p->backlog, p->backlog + p->backlog_at, p->backlog_count * sizeof(*p->backlog));
	p->backlog_at = 0;
	memcpy(p->backlog + p->backlog_count, mbufs, (size_t)kept * sizeof(*mbufs));
	p->backlog_count = (uint16_t)(p->backlog_count + kept);
	return kept;
}

static void send_burst(struct dpdk_port *p, struct mr_frame *frames, int n)
{
	struct rte_mbuf *mbufs[MR_PORT_BURST];
	int all = 0, done = 0;

	for (int i = 0; i < n; i++) {
		if (frames[i].bytes)
			mbufs[all++] = to_mbuf(&frames[i]);
		else
			rte_pktmbuf_free(frames[i].opaque);
	}
	if (send_backlog(p))
		done = give(p, mbufs, all);
	done += keep(p, mbufs + done, all - done);
	if (done < all)
		rte_pktmbuf_free_bulk(mbufs + done, (unsigned)(all - done));
	mr_stat_add(&p->port.counters.tx_dropped, (uint64_t)(all - done));
}

static int dpdk_tx_alloc(struct mr_port *port, struct mr_frame *out, int n)
{
	struct rte_mbuf *mbufs[MR_PORT_BURST];
	struct dpdk_port *p = of(port);
	int got = 0;

	if (!send_backlog(p)) {
		mr_stat_add(&port->counters.tx_waits, 1);
		return 0;
	}
	n = MR_MIN(n, MR_PORT_BURST);
	if (rte_pktmbuf_alloc_bulk(p->tx_pool, mbufs, (unsigned)n) == 0)
		got = n;
	while (got < n && (mbufs[got] = rte_pktmbuf_alloc(p->tx_pool)))
		got++;
	for (int i = 0; i < got; i++)
		out[i] = (struct mr_frame){
			.data = rte_pktmbuf_mtod(mbufs[i], uint8_t *), .opaque = mbufs[i]};
	if (got < n)
		mr_stat_add(&port->counters.tx_no_frame, (uint64_t)(n - got));
	return got;
}

static void dpdk_tx(struct mr_port *port, struct mr_frame *frames, int n)
{
	for (int at = 0; at < n; at += MR_PORT_BURST)
		send_burst(of(port), frames + at, MR_MIN(n - at, MR_PORT_BURST));
}

// ---- sleeping

static int dpdk_wait_fd(struct mr_port *port)
{
	return of(port)->wait_fd;
}

static void go_to_sleep(struct dpdk_port *p)
{
	const uint64_t one = 1;

	atomic_store_explicit(&p->sleeps, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (rte_ring_count(p->in) && write(p->wake_fd, &one, sizeof(one)) < 0)
		return; // its counter is at its limit: it polls readable all the same
	if (is_gone(p->dev))
		return;
	rte_spinlock_lock(&p->rxq->lock);
	// Not every driver has a switch; its descriptor polls readable then whenever frames wait.
	(void)rte_eth_dev_rx_intr_enable(p->dev->port_id, p->share.rx_queue);
	rte_spinlock_unlock(&p->rxq->lock);
}

static void get_up(struct dpdk_port *p)
{
	struct rte_epoll_event event;
	uint64_t wakes;

	atomic_store_explicit(&p->sleeps, false, memory_order_relaxed);
	if (read(p->wake_fd, &wakes, sizeof(wakes)) < 0)
		wakes = 0;
	rte_spinlock_lock(&p->rxq->lock);
	(void)rte_eth_dev_rx_intr_disable(p->dev->port_id, p->share.rx_queue);
	(void)rte_epoll_wait(p->queue_fd, &event, 1, 0); // takes the interrupt's count
	rte_spinlock_unlock(&p->rxq->lock);
}

static void dpdk_arm(struct mr_port *port, bool on)
{
	struct dpdk_port *p = of(port);

	if (p->wait_fd < 0)
		return;
	if (on)
		go_to_sleep(p);
	else
		get_up(p);
}

// ---- about once a second

void mr_dpdk_link(struct mr_dpdk *d)
{
	struct rte_eth_link link = {0};
	bool up;

	if (rte_eth_link_get_nowait(d->port_id, &link) < 0)
		return;
	up = link.link_status == RTE_ETH_LINK_UP;
	atomic_store_explicit(&d->link_mbps,
		link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed,
		memory_order_relaxed);
	if (atomic_exchange_explicit(&d->link_up, up, memory_order_relaxed) != up)
		atomic_fetch_add_explicit(&d->link_changes, 1, memory_order_relaxed);
}

void mr_dpdk_gone(struct mr_dpdk *d)
{
	if (atomic_exchange_explicit(&d->is_gone, true, memory_order_relaxed))
		return;
	if (atomic_exchange_explicit(&d->link_up, false, memory_order_relaxed))
		atomic_fetch_add_explicit(&d->link_changes, 1, memory_order_relaxed);
	d->note(MR_NOTE_ERR, "net", "port=%s event=removed do=\"restart when it is back\"",
		d->name);
}

// Drivers over a device of the kernel's do not tell that it has been deleted: its number is looked
// up. One that is made anew has another, and does not become ours.
static bool kernel_device_is_gone(const struct mr_dpdk *d)
{
	char name[IF_NAMESIZE];

	return d->info.if_index && !if_indextoname(d->info.if_index, name) && errno == ENXIO;
}

// The descriptor of a device that is gone polls readable for ever.
static void stop_watching(struct dpdk_port *p)
{
	int fds[] = {p->queue_fd, p->dev->is_tap ? rte_eth_dev_rx_intr_ctl_q_get_fd(
							   p->dev->port_id, p->share.rx_queue)
						 : -1};

	for (size_t i = 0; i < MR_COUNT_OF(fds); i++)
		if (fds[i] >= 0)
			(void)epoll_ctl(p->wait_fd, EPOLL_CTL_DEL, fds[i], NULL);
}

static void set(_Atomic uint64_t *c, uint64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

// The device's own counters are told by worker 0's port: they are of all queues.
static void refresh_device(struct dpdk_port *p)
{
	struct rte_eth_stats s;

	if (kernel_device_is_gone(p->dev)) {
		mr_dpdk_gone(p->dev);
		return;
	}
	mr_dpdk_link(p->dev);
	if (rte_eth_stats_get(p->dev->port_id, &s) < 0)
		return;
	set(&p->port.counters.rx_missed, s.imissed);
	set(&p->port.counters.rx_errors, s.ierrors);
	set(&p->port.counters.rx_no_frame, s.rx_nombuf);
}

static void dpdk_refresh(struct mr_port *port)
{
	struct dpdk_port *p = of(port);

	if (p->index == 0 && !is_gone(p->dev))
		refresh_device(p);
	if (is_gone(p->dev) && p->wait_fd >= 0)
		stop_watching(p);
	port->link_up = atomic_load_explicit(&p->dev->link_up, memory_order_relaxed);
	set(&port->counters.link_changes,
		atomic_load_explicit(&p->dev->link_changes, memory_order_relaxed));
}

// Ports end with their device.
static void dpdk_close(struct mr_port *)
{
}

const struct mr_port_ops mr_dpdk_port_ops = {
	.name = "dpdk",
	.rx = dpdk_rx,
	.rx_done = dpdk_rx_done,
	.tx_alloc = dpdk_tx_alloc,
	.tx = dpdk_tx,
	.wait_fd = dpdk_wait_fd,
	.arm = dpdk_arm,
	.refresh = dpdk_refresh,
	.close = dpdk_close,
};
