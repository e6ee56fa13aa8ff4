// One TCP, and a peer whose every segment a test makes by hand. Sequence numbers of the test are
// relative: 0 is each side's SYN.
#pragma once

#include "dataplane/tcpip/tcp_int.h"

#define HAND_MS 1000000ll

// A segment, either way. What is zero is not there; window in units of the wire.
struct hand_seg {
	uint8_t flags;
	uint32_t seq, ack;
	uint32_t window; // HAND_SHUT: zero
	uint32_t bytes;
	uint32_t ts, ts_echo;
	uint32_t sack[8];
	uint32_t sacks;
	uint16_t mss;
	int wscale; // HAND_SCALE(n)
	bool sack_ok;
	uint8_t fill;  // of the data
	uint32_t peer; // which one: changes address and port
};

#define HAND_SHUT     0x80000000u
#define HAND_SCALE(n) ((n) + 1)

struct hand {
	struct mr_tcp *t;
	int64_t now_ns;
	uint32_t irs; // the peer's first number
	uint32_t iss; // ours, of the last SYN seen
	uint16_t local_port;
	uint16_t mtu;
	bool no_ts; // the peer has no timestamps
	bool no_way;
	int begin_err;
	uint8_t frame[9100];
	struct hand_seg out[4096];
	uint8_t text[4096][64]; // the first bytes of each
	uint32_t made, seen;
	uint32_t routes;
	// The user.
	struct mr_tcp_conn *c;
	uint32_t opened, ended, sendable, closed, connected;
	int error;
	uint64_t received;
	uint8_t last[65536];
	size_t take_max; // of a call of `data`, then it pauses; SIZE_MAX: all
	void (*in_data)(struct hand *h, struct mr_tcp_conn *c);
	int (*in_opened)(struct hand *h, struct mr_tcp_conn *c);
	void (*in_closed)(struct hand *h, struct mr_tcp_conn *c);
};

struct mr_tcp_options hand_options(void);
void hand_init(struct hand *h, const struct mr_tcp_options *o);
void hand_fini(struct hand *h);
// The peer sends; then the burst ends (mr_tcp_flush), unless hand_give is used.
void hand_in(struct hand *h, struct hand_seg s);
void hand_give(struct hand *h, struct hand_seg s);
void hand_flush(struct hand *h);
// Time goes on, firing whatever is due, tick by tick.
void hand_wait(struct hand *h, int64_t ns);
// The next segment that was sent, or one with flags 0.
struct hand_seg hand_out(struct hand *h);
// None was sent since the last one looked at.
bool hand_is_quiet(struct hand *h);
// Forgets what was sent.
void hand_forget(struct hand *h);
// SYN, SYN-ACK, ACK: an open connection of peer 0.
struct mr_tcp_conn *hand_open(struct hand *h);
extern const struct mr_tcp_events hand_events;
