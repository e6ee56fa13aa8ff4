// TCP: one worker's connections. A function of (segment, clock, state), with no idea of ports.
//
// Base RFC 9293; RFC 1122 (delayed acknowledgements, silly window avoidance, persist, keepalive);
// RFC 5681, 6582, 6675 with SACK (2018), 6298, 3042, 6928, 8985 section 7 (loss and congestion);
// RFC 7323 (window scale, timestamps, PAWS); RFC 5961, 6528, 4987 (blind attacks, sequence numbers,
// SYN cookies); RFC 6191 (TIME-WAIT). Deliberately not: urgent data (delivered in line), TCP
// options beyond these.
//
// Receiving: bytes in order are delivered straight from the segment, in place: no copy is made
// here. What its user leaves (only after mr_tcp_pause), and what comes out of order, is copied once
// into the connection's receive queue, at its place in the sequence, in blocks of a pool that all
// connections of the worker share. The window is the room of that queue; its right edge never moves
// back. When the pool is used up, bytes that were not acknowledged are dropped, counted, and come
// again.
//
// Sending: bytes are copied into the send queue (blocks of the same pool) and stay there until they
// are acknowledged.
//
// Nothing is allocated after mr_tcp_create. One thread, the worker's.
#pragma once

#include "dataplane/tcpip/inet.h"

#include <stdatomic.h>

struct mr_tcp;
struct mr_tcp_conn;
struct mr_tcp_listener;

#define MR_TCP_BLOCK_BYTES   (16u << 10)
#define MR_TCP_SACK_MAX      32 // out-of-order intervals of a connection; more are dropped
#define MR_TCP_SYNS_MAX      4096
#define MR_TCP_TIMEWAITS_MAX 65536

// 0 takes the default behind it.
struct mr_tcp_options {
	uint32_t connections_max;    // 4,096; also of half-open ones together with syns_max
	uint32_t syns_max;           // half-open; beyond: SYN cookies
	uint32_t syns_per_source;    // 256
	uint32_t timewaits_max;      // 65,536; beyond: the oldest goes
	uint64_t memory_bytes;       // of the block pool; 256 MiB
	uint32_t receive_window_max; // 1 MiB, at most 16 MiB
	uint32_t send_queue_max;     // 1 MiB
	uint32_t sack_bytes_max;     // out of order, per connection; receive_window_max
	int64_t rto_min_ns;          // 200 ms
	int64_t rto_max_ns;          // 60 s
	int64_t rto_first_ns;        // 1 s (RFC 6298)
	int64_t delayed_ack_ns; // 40 ms; every second full segment and every end of a burst earlier
	int64_t timewait_ns;    // 10 s
	int64_t fin_wait2_ns;   // 60 s, of connections that nobody holds any more
	int64_t keepalive_idle_ns;     // 60 s; -1: none
	int64_t keepalive_every_ns;    // 10 s
	uint32_t keepalive_probes;     // 6
	uint32_t retries_max;          // 15: R2 of RFC 1122
	uint32_t syn_retries_max;      // 5
	uint32_t challenge_per_second; // 100, randomised (RFC 5961, CVE-2016-5696)
	bool always_cookies;           // tests
	bool no_timestamps, no_sack;   // tests
	bool no_tail_probes;           // tests
	uint8_t secret[16]; // of sequence numbers and cookies; from the kernel, or a test's
	uint64_t seed;      // of whatever else is random
	int node;           // NUMA node of the memory; -1: any
};

// What carries segments. `path` is the connection's memory for the IP layer: addresses and what it
// remembers of the way.
struct mr_ip_path {
	struct mr_ip local;
	struct mr_ip peer;
	uint16_t mtu;        // of the way: starts as the interface's, lowered by PMTU discovery
	uint16_t neighbour;  // the IP layer's
	uint32_t generation; // the IP layer's
};

// A TCP segment being made: `l4` has room for `bytes_max` of header and payload.
struct mr_tcp_packet {
	uint8_t *l4;
	uint32_t bytes_max;
	void *opaque[2];
};

struct mr_tcp_lower {
	void *ctx;
	// 0; -EAGAIN: no frame to be had; -EHOSTUNREACH: the next hop is not known yet and has been
	// asked for: mr_tcp_path_ready comes. Either way the segment counts as lost.
	int (*begin)(void *ctx, struct mr_ip_path *path, struct mr_tcp_packet *out);
	// Fills in L3 and the checksum, and takes the packet: `bytes` of header and payload, at
	// most what the path's MTU leaves.
	void (*send)(void *ctx, struct mr_ip_path *path, struct mr_tcp_packet *p, uint32_t bytes);
	// A way to a peer: fills mtu and the rest; false: there is none. `seen`: the peer has just
	// been heard of from there (its SYN), so the neighbour is known.
	bool (*route)(void *ctx, struct mr_ip_path *path);
};

// A segment that has come in, checked by the IP layer: lengths and checksum are right.
struct mr_tcp_segment_in {
	struct mr_ip src;
	struct mr_ip dst;
	const uint8_t *l4;
	uint32_t bytes; // of header and payload
	bool ecn_ce;
};

// What happens to a connection. A callback may call any function of its own connection.
struct mr_tcp_events {
	// A peer has connected; the user is set with mr_tcp_set_user. Negative: refused with RST,
	// no further call.
	int (*opened)(void *owner, struct mr_tcp_conn *c);
	// An mr_tcp_connect has succeeded (0), or failed: -ECONNREFUSED, -ETIMEDOUT, … and is gone.
	void (*connected)(struct mr_tcp_conn *c, int err);
	// The next bytes, borrowed for the call. Returns how many were taken: fewer than all only
	// after mr_tcp_pause or mr_tcp_close; the rest comes again after mr_tcp_resume.
	size_t (*data)(struct mr_tcp_conn *c, struct mr_span bytes);
	// The send queue has room again after mr_tcp_send took less than all.
	void (*sendable)(struct mr_tcp_conn *c);
	// The peer has sent its FIN, and all before it was delivered.
	void (*ended)(struct mr_tcp_conn *c);
	// The peer or the network has ended it: -ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH. The last
	// call; never comes after mr_tcp_close or mr_tcp_abort.
	void (*closed)(struct mr_tcp_conn *c, int err);
};

enum mr_tcp_state {
	MR_TCP_SYN_SENT,
	MR_TCP_SYN_RECEIVED,
	MR_TCP_ESTABLISHED,
	MR_TCP_FIN_WAIT_1,
	MR_TCP_FIN_WAIT_2,
	MR_TCP_CLOSE_WAIT,
	MR_TCP_CLOSING,
	MR_TCP_LAST_ACK,
	MR_TCP_TIME_WAIT,
	MR_TCP_STATES,
};

// What a table, a log line or a test says of a connection.
struct mr_tcp_info {
	enum mr_tcp_state state;
	struct mr_ip local, peer;
	uint16_t local_port, peer_port;
	uint32_t snd_una, snd_nxt, snd_wnd, rcv_nxt, rcv_wnd; // windows in bytes, scaled
	uint32_t cwnd, ssthresh, mss;
	int64_t srtt_ns, rttvar_ns, rto_ns;
	uint32_t send_queued;    // bytes in the send queue, sent or not
	uint32_t receive_queued; // bytes in order that the user has not taken
	uint32_t out_of_order;   // bytes beyond a hole
	uint64_t received_bytes, sent_bytes, retransmits, timeouts;
	bool sack, timestamps, paused;
};

// Written by the worker, read by any thread: relaxed.
struct mr_tcp_counters {
	_Atomic uint64_t segments_in;
	_Atomic uint64_t segments_out;
	_Atomic uint64_t bytes_in;       // delivered
	_Atomic uint64_t bytes_in_place; // of these: straight from the segment
	_Atomic uint64_t bytes_queued;   // copied into a receive queue: out of order, or paused
	_Atomic uint64_t bytes_out;      // sent for the first time
	_Atomic uint64_t connections;    // gauge, by state below
	_Atomic uint64_t opened;         // passive
	_Atomic uint64_t connected;      // active
	_Atomic uint64_t closed;         // in order
	_Atomic uint64_t reset_in;       // believed
	_Atomic uint64_t reset_out;
	_Atomic uint64_t timed_out;
	_Atomic uint64_t refused;      // no listener, or connections_max, or `opened` said no
	_Atomic uint64_t syns;         // gauge: half-open
	_Atomic uint64_t syns_dropped; // syns_per_source
	_Atomic uint64_t cookies_sent;
	_Atomic uint64_t cookies_good;
	_Atomic uint64_t cookies_bad;
	_Atomic uint64_t timewaits; // gauge
	_Atomic uint64_t timewaits_evicted;
	_Atomic uint64_t timewaits_recycled;
	_Atomic uint64_t acks_delayed;
	_Atomic uint64_t duplicates;           // segments wholly old
	_Atomic uint64_t out_of_order;         // segments kept beyond a hole
	_Atomic uint64_t out_of_order_dropped; // MR_TCP_SACK_MAX or sack_bytes_max
	_Atomic uint64_t memory_dropped;       // the pool had no block
	_Atomic uint64_t memory_used;          // gauge, bytes of the pool
	_Atomic uint64_t outside_window;
	_Atomic uint64_t paws_dropped;
	_Atomic uint64_t challenge_acks;
	_Atomic uint64_t challenge_limited;
	_Atomic uint64_t bad_segments; // header or options that contradict themselves
	_Atomic uint64_t bad_sacks;    // blocks outside what was sent
	_Atomic uint64_t retransmits;  // segments
	_Atomic uint64_t fast_recoveries;
	_Atomic uint64_t timeouts;    // RTO
	_Atomic uint64_t tail_probes; // RFC 8985 section 7
	_Atomic uint64_t tail_losses; // of these: repaired a loss by themselves
	_Atomic uint64_t probes;      // of zero windows
	_Atomic uint64_t keepalives;
	_Atomic uint64_t window_updates;
	_Atomic uint64_t zero_windows; // times that we closed the window
	_Atomic uint64_t pmtu_lowered;
	_Atomic uint64_t orphans_dropped; // closed by us, the peer never finished
};

[[nodiscard]] int mr_tcp_create(const struct mr_tcp_options *o, const struct mr_tcp_lower *lower,
	int64_t now_ns, struct mr_tcp **out);
void mr_tcp_destroy(struct mr_tcp *t); // no callback comes

// The time of this turn; fires the timers that are due.
void mr_tcp_time(struct mr_tcp *t, int64_t now_ns);
void mr_tcp_input(struct mr_tcp *t, const struct mr_tcp_segment_in *in);
// Sends what connections owe: data, acknowledgements, window updates. At the end of each burst.
void mr_tcp_flush(struct mr_tcp *t);
// When mr_tcp_time must be called next; INT64_MAX: no timer runs.
int64_t mr_tcp_next_ns(const struct mr_tcp *t);
// The next hop to `peer` is known now: what waited for it is sent.
void mr_tcp_path_ready(struct mr_tcp *t, const struct mr_ip *peer);
// An ICMP error about a segment of ours (quoted: addresses as in the segment, ports and sequence).
// `mtu` > 0: too big for a link with that MTU; else a hard or soft unreachable (`hard`). Returns
// false when it is not believed (RFC 5927).
bool mr_tcp_icmp(struct mr_tcp *t, const struct mr_ip *local, uint16_t local_port,
	const struct mr_ip *peer, uint16_t peer_port, uint32_t sequence, uint16_t mtu, bool hard);

// Listens on a port of any local address. -EADDRINUSE. `events` and `owner` are borrowed.
[[nodiscard]] int mr_tcp_listen(struct mr_tcp *t, uint16_t port, const struct mr_tcp_events *events,
	void *owner, struct mr_tcp_listener **out);
// Half-open connections of it go; those that are open live on.
void mr_tcp_unlisten(struct mr_tcp_listener *l);
// An active open from `local`; local_port 0: any free one. `connected` comes, never from inside.
[[nodiscard]] int mr_tcp_connect(struct mr_tcp *t, const struct mr_ip *local, uint16_t local_port,
	const struct mr_ip *peer, uint16_t peer_port, const struct mr_tcp_events *events,
	void *user, struct mr_tcp_conn **out);

void mr_tcp_set_user(struct mr_tcp_conn *c, void *user);
void *mr_tcp_user(const struct mr_tcp_conn *c);
// Copies up to `bytes` into the send queue; returns how many. It is sent by the next flush.
size_t mr_tcp_send(struct mr_tcp_conn *c, const void *data, size_t bytes);
size_t mr_tcp_send_room(const struct mr_tcp_conn *c);
// No delivery until resume, which delivers what waits before it returns unless inside a callback.
void mr_tcp_pause(struct mr_tcp_conn *c);
void mr_tcp_resume(struct mr_tcp_conn *c);
// FIN behind what is queued; receiving goes on.
void mr_tcp_shutdown(struct mr_tcp_conn *c);
// Lets go: what is queued is sent, then FIN; RST at once when bytes received were left. The
// connection must not be used any more; no callback comes.
void mr_tcp_close(struct mr_tcp_conn *c);
// RST, and gone. No callback comes.
void mr_tcp_abort(struct mr_tcp_conn *c);
void mr_tcp_get_info(const struct mr_tcp_conn *c, struct mr_tcp_info *out);

struct mr_tcp_counters *mr_tcp_counters(struct mr_tcp *t);
// Fills up to `max`, returns how many there are; TIME-WAIT ones not included.
uint32_t mr_tcp_list(struct mr_tcp *t, struct mr_tcp_info *out, uint32_t max);
// Checks every invariant of every connection (una <= nxt <= una + window, queues, timers, pool) and
// stops the process where one does not hold. For tests: it walks everything.
void mr_tcp_check(const struct mr_tcp *t);
