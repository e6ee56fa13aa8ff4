// Frames of one queue of a port: what a worker's stack sees of a NIC, a virtual wire or a test.
//
// A `struct mr_port` belongs to one worker and is called by it alone, in bursts. Implementations:
// DPDK (port_dpdk.c), a simulated wire (port_sim.c), and whatever a test makes. Above this header
// nothing knows which one runs, and nothing includes DPDK.
//
// Received frames are lent from `rx` until `rx_done`, which the stack calls before its turn ends:
// no frame outlives its burst. Frames to send are taken with `tx_alloc`, filled, and given to `tx`.
//
// Steering: where several workers share a device, the implementation hands each worker the frames
// of its own TCP ports (rte_flow, RSS, or in software through a ring). ARP, ND and ICMP reach every
// worker, marked MR_FRAME_LEARN for all but one: what is so marked is learnt from, never answered.
#pragma once

#include "dataplane/tcpip/inet.h"

#include <stdatomic.h>

#define MR_PORT_BURST    32
#define MR_PORT_HEADROOM 128 // bytes before `data` of a frame to send that may be written: L2, L3

enum mr_frame_flags {
	// Received.
	MR_FRAME_L3_GOOD = 1u << 0, // the IPv4 header's checksum has been verified
	MR_FRAME_L4_GOOD = 1u << 1, // the TCP checksum has been verified
	MR_FRAME_SUM_BAD = 1u << 2, // one of them is wrong: dropped and counted
	MR_FRAME_LEARN = 1u << 3,   // a copy: another worker answers
	MR_FRAME_CUT = 1u << 4,     // longer than its buffer: dropped and counted
	// To send.
	MR_FRAME_SUM_L3 = 1u << 8, // the port fills in the IPv4 header's checksum (field is 0)
	MR_FRAME_SUM_L4 = 1u << 9, // the port fills in TCP's (field holds the pseudo header's sum)
	MR_FRAME_SEGMENT = 1u << 10, // the port cuts the payload into segments of `mss` bytes
};

struct mr_frame {
	uint8_t *data; // the Ethernet header
	uint32_t bytes;
	uint32_t flags;
	uint16_t l2_bytes; // of a frame to send: lengths of its headers, for the port's offloads
	uint16_t l3_bytes;
	uint16_t l4_bytes;
	uint16_t mss;
	void *opaque; // the port's
};

// What a port can do for frames to send; what it cannot, the stack does.
enum mr_port_offload {
	MR_PORT_SUM_L3 = 1u << 0,
	MR_PORT_SUM_L4 = 1u << 1,
	MR_PORT_SEGMENT = 1u << 2, // TCP segmentation
};

// Written by the worker, read by any thread: relaxed.
struct mr_port_counters {
	_Atomic uint64_t rx_frames;
	_Atomic uint64_t rx_bytes;
	_Atomic uint64_t rx_bursts;   // that brought something
	_Atomic uint64_t rx_empty;    // that brought nothing
	_Atomic uint64_t rx_missed;   // the device had no room for them
	_Atomic uint64_t rx_errors;   // the device found them damaged
	_Atomic uint64_t rx_no_frame; // no memory for a frame
	_Atomic uint64_t rx_cut;      // MR_FRAME_CUT
	_Atomic uint64_t steered_in;  // came over another worker's queue
	_Atomic uint64_t steered_out;
	_Atomic uint64_t steered_lost; // the other worker's ring was full
	_Atomic uint64_t tx_frames;
	_Atomic uint64_t tx_bytes;
	_Atomic uint64_t tx_dropped;  // the device took no more: TCP sends again
	_Atomic uint64_t tx_no_frame; // tx_alloc had none
	_Atomic uint64_t tx_waits;    // tx_alloc had none because the device was full
	_Atomic uint64_t link_changes;
	_Atomic uint64_t sleeps;  // waits that slept
	_Atomic uint64_t wakeups; // of these, that frames ended
};

struct mr_port;

struct mr_port_ops {
	const char *name; // "dpdk", "sim"
	// Fills up to `max` frames; 0 when there are none. -ENODEV: the port is gone.
	int (*rx)(struct mr_port *p, struct mr_frame *out, int max);
	void (*rx_done)(struct mr_port *p, struct mr_frame *frames, int count);
	// Up to `count` frames of p->frame_bytes_max; returns how many there were. All of them go
	// to `tx`, or back with bytes == 0.
	int (*tx_alloc)(struct mr_port *p, struct mr_frame *out, int count);
	// Takes all; those the device has no room for are dropped and counted.
	void (*tx)(struct mr_port *p, struct mr_frame *frames, int count);
	// A descriptor that polls readable when frames may be there, armed by `arm`; -1: none, the
	// caller naps. Any of the two may be NULL.
	int (*wait_fd)(struct mr_port *p);
	void (*arm)(struct mr_port *p, bool on);
	// Brings counters of the device up to date, and link state; about once a second.
	void (*refresh)(struct mr_port *p);
	void (*close)(struct mr_port *p);
};

// Implementations embed it.
struct mr_port {
	const struct mr_port_ops *ops;
	struct mr_mac mac;
	uint16_t mtu; // IP bytes in a frame, VLAN tag not counted
	uint32_t frame_bytes_max;
	uint32_t offloads; // enum mr_port_offload
	bool link_up;
	int node; // NUMA node of the device, -1 unknown
	char name[64];
	struct mr_port_counters counters;
};

static inline int mr_port_rx(struct mr_port *p, struct mr_frame *out, int max)
{
	return p->ops->rx(p, out, max);
}

static inline void mr_port_rx_done(struct mr_port *p, struct mr_frame *frames, int count)
{
	p->ops->rx_done(p, frames, count);
}

static inline int mr_port_tx_alloc(struct mr_port *p, struct mr_frame *out, int count)
{
	return p->ops->tx_alloc(p, out, count);
}

static inline void mr_port_tx(struct mr_port *p, struct mr_frame *frames, int count)
{
	p->ops->tx(p, frames, count);
}
