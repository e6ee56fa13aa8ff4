// Which worker a frame belongs to, and which queues of a device each worker gets.
//
// Each worker is a Kafka broker with a TCP port of its own: port = first + worker. So the
// destination port says whose a segment is, and no table of connections is shared. What teaches
// every stack something (ARP, ND, ICMP errors) goes to all; whatever else there is, to worker 0.
//
// Pure functions, used by the DPDK port, the simulated port and their tests. Any thread.
#pragma once

#include "dataplane/tcpip/inet.h"

enum { MR_STEER_ALL = -1 };

struct mr_steering {
	uint16_t port_first; // worker w listens on port_first + w; 0: nothing is known yet
	uint16_t workers;
};

// A worker, or MR_STEER_ALL. `frame` begins with the Ethernet header and is any bytes at all; what
// is too short or strange to tell belongs to worker 0, whose stack counts it.
int mr_steer_frame(const struct mr_steering *s, const uint8_t *frame, uint32_t bytes);

// Where a worker runs.
struct mr_queue_place {
	int pu;   // -1: anywhere
	int node; // -1: anywhere
};

// What a device offers.
struct mr_queue_device {
	uint16_t rx_queues_max;
	uint16_t tx_queues_max;
	int node; // -1: unknown
};

// One worker's share of a device.
struct mr_queue_share {
	uint16_t rx_queue; // read under a lock by all that share it
	uint16_t tx_queue;
	int node;       // of its queue memory: the device's, which writes it; else the worker's own
	int ring_node;  // of what others hand to it: the worker's own
	bool rx_shared; // with other workers
	bool tx_shared;
	bool is_remote; // runs on another NUMA node than the device
};

struct mr_queue_plan {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t remotes;
	bool steers; // frames have to be sorted by software: a queue brings frames of several
		     // workers
};

// Spreads the queues of a device over `workers` workers; fills shares[workers]. Workers on the
// device's own node get queues of their own first.
void mr_queue_plan_make(const struct mr_queue_device *d, const struct mr_queue_place *places,
	uint16_t workers, struct mr_queue_share *shares, struct mr_queue_plan *out);
