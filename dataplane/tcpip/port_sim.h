// A simulated wire: ports on a switch, with delays, losses and lies, on a virtual clock.
//
// Discrete events: a frame given to a port's `tx` is due at another port at a time that the way of
// its sender decides; mr_sim_time delivers what is due. All chance comes from the seed, so that a
// run replays. Frames live in one pool of a fixed size, and mr_sim_check proves that each of them
// is in exactly one place.
//
// One thread drives the whole wire and all its ports.
#pragma once

#include "dataplane/tcpip/port.h"

struct mr_sim;

#define MR_SIM_PORTS_MAX  8
#define MR_SIM_QUEUES_MAX 128
#define MR_SIM_MILLION    1000000u

// What happens to frames that leave a port. May be changed at any time; zero: nothing bad.
struct mr_sim_way {
	uint64_t rate_bps;      // 0: infinitely fast
	uint32_t queue_bytes;   // before the rate; beyond: dropped at the tail. 0: endless
	int64_t delay_ns;       // after it
	int64_t jitter_ns;      // up to so much more, in order
	uint32_t loss;          // of a million, each by itself
	uint32_t burst_enter;   // of a million: a frame begins a burst of losses,
	uint32_t burst_leave;   // one of it ends it (Gilbert 1960)
	uint32_t loss_every;    // every n-th is lost; 0: none
	uint32_t reorder;       // of a million: overtaken by what comes within
	int64_t reorder_ns;     // this time
	uint32_t duplicate;     // of a million
	uint32_t corrupt;       // of a million: one bit of the IP packet flips
	uint16_t mtu;           // of IP packets; longer ones are dropped. 0: any
	bool mtu_tells;         // with an ICMP error to the sender
	int64_t black_from_ns;  // all is lost from then
	int64_t black_until_ns; // until then
	bool partial_sums;      // TCP's checksum is left to a device that does not exist
	bool echo_own;          // the sender sees its own frames come in, as packet sockets show
};

struct mr_sim_port_options {
	struct mr_mac mac;
	uint16_t mtu;        // 0: 1,500
	uint32_t offloads;   // enum mr_port_offload, without MR_PORT_SEGMENT
	uint32_t queues;     // 0: 1
	uint16_t port_first; // TCP destination port of queue 0; the next is of queue 1, and so on
	uint32_t rx_max;     // frames that may wait in a queue; 0: 1,024
	struct mr_sim_way way;
};

struct mr_sim_counters {
	uint64_t lost, queue_dropped, reordered, duplicated, corrupted, too_big, blackholed;
	uint64_t delivered, no_frame;
};

// `frames` of up to `frame_bytes` in all. 0 or -ENOMEM.
[[nodiscard]] int mr_sim_create(
	uint64_t seed, uint32_t frames, uint32_t frame_bytes, struct mr_sim **out);
// The ports are closed with it.
void mr_sim_destroy(struct mr_sim *sim);

// Adds a port; returns its number, or -ENOSPC.
[[nodiscard]] int mr_sim_add(struct mr_sim *sim, const struct mr_sim_port_options *o);
// A queue of a port: what a stack is made with. Lives as long as the wire.
struct mr_port *mr_sim_queue(struct mr_sim *sim, int port, uint32_t queue);
struct mr_sim_way *mr_sim_way(struct mr_sim *sim, int port);
// A port that is down loses all frames; one that is gone fails with -ENODEV.
void mr_sim_link(struct mr_sim *sim, int port, bool up);
void mr_sim_remove(struct mr_sim *sim, int port);

// The time: what is due is delivered.
void mr_sim_time(struct mr_sim *sim, int64_t now_ns);
// When the next frame arrives; INT64_MAX: none is under way.
int64_t mr_sim_next_ns(const struct mr_sim *sim);
const struct mr_sim_counters *mr_sim_counters(const struct mr_sim *sim);
// Frames not in the free list: under way, waiting to be taken, or lent.
uint32_t mr_sim_frames_used(const struct mr_sim *sim);
// Of these: lent to a port's user, taken by tx_alloc or rx and not given back.
uint32_t mr_sim_frames_lent(const struct mr_sim *sim);
// Stops the process when a frame is in two places or none.
void mr_sim_check(const struct mr_sim *sim);
