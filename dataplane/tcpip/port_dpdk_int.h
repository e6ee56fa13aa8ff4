// The parts of the DPDK port, shared by its three files: the packet path, EAL and the device.
#pragma once

#include "dataplane/tcpip/port_dpdk.h"

#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

enum { DPDK_BACKLOG = 3 * MR_PORT_BURST };

// A queue of the device; its lock matters where workers share it.
struct dpdk_queue {
	rte_spinlock_t lock;
	struct rte_mempool *pool; // received frames
} MR_ALIGNED(MR_CACHELINE);

// One worker's port. Worker-private but for what is marked.
struct dpdk_port {
	struct mr_port port;
	struct mr_dpdk *dev;
	uint16_t index;
	struct mr_queue_share share;
	struct dpdk_queue *rxq;
	struct dpdk_queue *txq;
	struct rte_mempool *tx_pool;
	// What the device had no room for yet. While there is any, tx_alloc has no frame, and TCP
	// waits instead of losing what it sends.
	struct rte_mbuf *backlog[DPDK_BACKLOG];
	uint16_t backlog_at, backlog_count;
	struct rte_ring *in; // frames that others have received for this worker; any worker: push
	int wait_fd;         // of wake_fd and queue_fd; -1: the caller naps
	int wake_fd;         // eventfd; any worker: write
	int queue_fd;        // an epoll descriptor of the receive queue's interrupt
	_Atomic bool sleeps; // others: ro
	bool registered;
};

struct mr_dpdk {
	uint16_t port_id;
	int node; // -1: unknown
	char name[RTE_ETH_NAME_MAX_LEN];
	uint16_t workers;
	uint16_t tx_queue_frames; // descriptors
	bool always_good;         // MR_DPDK_SUMS_TRUST
	bool believes;            // MR_DPDK_SUMS_HW
	bool has_sums;
	bool interrupts;
	bool is_tap;
	bool has_flows;
	bool started;
	struct mr_queue_plan plan;
	struct mr_steering steering;
	uint64_t pool_bytes;
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	void (*note)(enum mr_note_level level, const char *subsystem, const char *fmt, ...);
	struct dpdk_port *ports; // [workers]
	struct dpdk_queue *rxqs;
	struct dpdk_queue *txqs;
	struct rte_eth_dev_info info;
	// EAL's interrupt thread and worker 0: rw, workers: ro.
	_Atomic bool is_gone;
	_Atomic bool link_up;
	_Atomic uint64_t link_changes;
	_Atomic uint32_t link_mbps;
};

extern const struct mr_port_ops mr_dpdk_port_ops;

// The device's link as it is now; counts a change.
void mr_dpdk_link(struct mr_dpdk *d);

// The device has been taken away: nothing more is asked of it. Says so once.
void mr_dpdk_gone(struct mr_dpdk *d);

// Starts EAL once. -errno with a diagnostic.
[[nodiscard]] int mr_dpdk_start_eal(const struct mr_dpdk_options *o, struct mr_diag *diag);
// The last line of DPDK's log that tells of an error; "": none since it was hushed.
const char *mr_dpdk_eal_said(void);
void mr_dpdk_eal_hush(void);
