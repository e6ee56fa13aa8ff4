// One worker's network stack: frames of its port in and out, Ethernet to TCP.
//
//	frames -> Ethernet, VLAN -> ARP | IPv4 -> ICMP | TCP
//	                                  IPv6 -> ICMPv6, ND | TCP
//
// One turn of a worker: mr_stack_time, then for each burst mr_stack_input, then mr_stack_flush,
// which sends what the turn made: one acknowledgement per connection and burst, answers, probes.
// Nothing is allocated after mr_stack_create; whatever is random comes from `seed` and `secret`,
// whatever is timed from `now_ns`, so that a test replays.
//
// One thread, the worker's; counters may be read by any thread, relaxed.
#pragma once

#include "dataplane/tcpip/port.h"
#include "dataplane/tcpip/tcp.h"

struct mr_stack;
struct mr_capture;

#define MR_STACK_ADDRESSES_MAX   16
#define MR_STACK_NEIGHBOURS_MAX  4096
#define MR_STACK_ICMP_PER_SECOND 100 // answers of ours to all: echo, unreachable

struct mr_stack_address {
	struct mr_ip ip;
	uint8_t prefix;
};

struct mr_stack_options {
	struct mr_port *port; // borrowed
	struct mr_stack_address addresses[MR_STACK_ADDRESSES_MAX];
	uint32_t addresses_count;
	struct mr_ip gateways[2]; // one of each family; all zero: none (IPv6: learnt from RAs)
	uint16_t vlan;            // 0: untagged
	uint16_t mtu;             // 0: the port's
	bool accept_ra;           // RFC 4861 router advertisements of link-local routers
	bool answer_echo;
	uint32_t neighbours_max; // 0: the default above
	bool secondary;          // of a port that another worker announces and probes for
	uint64_t seed;
	int64_t now_ns; // at which it begins
	struct mr_tcp_options tcp;
};

struct mr_stack_counters {
	_Atomic uint64_t frames_in;
	_Atomic uint64_t frames_out;
	_Atomic uint64_t own_frames; // our own, echoed by the port
	_Atomic uint64_t not_ours;   // another MAC, VLAN or address
	_Atomic uint64_t unknown_ethertype;
	_Atomic uint64_t unknown_protocol;
	_Atomic uint64_t bad_frame; // too short, or lengths that contradict each other
	_Atomic uint64_t bad_ip_sum;
	_Atomic uint64_t bad_tcp_sum;
	_Atomic uint64_t bad_icmp_sum;
	_Atomic uint64_t
		bad_partial_sum; // of these: holds just the pseudo header's sum (a peer's offload)
	_Atomic uint64_t fragments;
	_Atomic uint64_t ip_options; // IPv4 options or too many IPv6 extension headers
	_Atomic uint64_t martians;
	_Atomic uint64_t land; // from our own address and port to itself
	_Atomic uint64_t arp_in;
	_Atomic uint64_t arp_out;
	_Atomic uint64_t arp_conflict; // somebody else says our address is his
	_Atomic uint64_t nd_in;
	_Atomic uint64_t nd_out;
	_Atomic uint64_t nd_duplicate; // DAD found our address taken
	_Atomic uint64_t neighbours;   // gauge
	_Atomic uint64_t neighbours_evicted;
	_Atomic uint64_t neighbour_unknown; // packets dropped while it was asked for
	_Atomic uint64_t icmp_in;
	_Atomic uint64_t icmp_out;
	_Atomic uint64_t icmp_limited;
	_Atomic uint64_t icmp_unbelieved; // quotes no connection or sequence of ours (RFC 5927)
	_Atomic uint64_t pmtu_lowered;
};

[[nodiscard]] int mr_stack_create(const struct mr_stack_options *o, struct mr_stack **out);
void mr_stack_destroy(struct mr_stack *s);

// The time of this turn: fires what is due.
void mr_stack_time(struct mr_stack *s, int64_t now_ns);
// Handles a burst; the frames remain the port's. Any bytes at all may come in.
void mr_stack_input(struct mr_stack *s, const struct mr_frame *frames, int count);
// Sends what is to be sent.
void mr_stack_flush(struct mr_stack *s);
// rx, input and rx_done until a burst comes back short or `bursts_max` are done; then flush.
// Returns frames handled, or -ENODEV.
int mr_stack_turn(struct mr_stack *s, int64_t now_ns, int bursts_max);
// When mr_stack_time must be called next; INT64_MAX: nothing is timed.
int64_t mr_stack_next_ns(const struct mr_stack *s);

struct mr_tcp *mr_stack_tcp(struct mr_stack *s);
struct mr_stack_counters *mr_stack_counters(struct mr_stack *s);
// Gratuitous ARP, unsolicited neighbour advertisement: after the link has come up.
void mr_stack_announce(struct mr_stack *s);
// The address this host uses towards `peer`; false when there is no way to it.
bool mr_stack_source(const struct mr_stack *s, const struct mr_ip *peer, struct mr_ip *out);
// Every frame in and out is shown to `c` from now on; NULL: no more. Borrowed.
void mr_stack_capture(struct mr_stack *s, struct mr_capture *c);
