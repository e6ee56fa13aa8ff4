// What the files of the packet scripts' interpreter share: pktscript.c runs lines,
// pktscript_segment.c reads their words and segments and holds what came against them,
// pktscript_wire.c is the peer, its wire and the application.
#pragma once

#include "dataplane/tcpip/port_sim.h"
#include "dataplane/tcpip/stack.h"
#include "tests/lib/netpkt.h"
#include "tests/lib/pktscript.h"

#include <setjmp.h>

#define SECOND 1000000000ll

enum {
	PORT = 9092,
	FRAMES = 2048,
	FRAME_BYTES = 16384,
	QUEUE = 2048,
	TOLERANCE_NS = 2000000,
	LINE_MAX = 512,
};

static const struct mr_mac our_mac = {{0x02, 0, 0, 0, 0, 1}};
static const struct mr_mac peer_mac = {{0x02, 0, 0, 0, 0, 2}};

// A segment of ours, kept until a line has looked at it.
struct sent {
	int64_t ns;
	struct netpkt p;
	struct netpkt_tcp t;
	uint8_t frame[9216];
	uint32_t bytes;
};

// What is known of the connection with one port of the peer.
struct remote {
	bool isn_known;
	uint32_t our_isn;
	uint32_t last_ts;
	uint8_t peer_ws, our_ws;
	bool syn_sent_by_us;
	struct mr_tcp_conn *conn;
	uint64_t received, sent;
	char last_event[64];
	uint32_t events;
};

struct run {
	const struct pktscript *s;
	bool v6;
	int line;
	jmp_buf fail;
	struct mr_sim *sim;
	struct mr_port *port, *peer;
	struct mr_stack *stack;
	struct mr_tcp *tcp;
	struct mr_tcp_listener *listener;
	struct mr_stack_options o;
	struct mr_ip our_ip, peer_ip;
	int64_t now_ns, script_ns;
	uint32_t peer_isn;
	uint16_t peer_port;
	struct remote *remotes; // by port of the peer
	struct sent *sent;
	uint32_t head, count;
	long i; // $i
	bool in_burst, trace;
	char on_data[32], on_opened[32], on_ended[32];
	uint8_t frame[NETPKT_MAX], l4[NETPKT_MAX];
};

struct tcp_options {
	int mss, ws; // -1: not there
	bool sack_ok, ts, other;
	uint32_t ts_val, ts_ecr;
	uint32_t sacks[8];
	int sacks_count; // pairs
};

static inline uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset % 251);
}

static inline struct remote *remote(struct run *r)
{
	return &r->remotes[r->peer_port];
}

extern struct run *pks_running; // for callbacks
extern const struct mr_tcp_events pks_events;

// The line is wrong, or what happened is: says so, and the script ends.
_Noreturn void pks_wrong(struct run *r, const char *fmt, ...) MR_PRINTF(2, 3);

// pktscript_wire.c

// Notes what the application of a connection was told last.
void pks_event(struct remote *m, const char *name, int err);
void pks_app_send(struct run *r, struct remote *m, long bytes);
// False when they are malformed.
bool pks_parse_options(const struct netpkt_tcp *t, struct tcp_options *o);
void pks_put_frame(struct run *r, const uint8_t *frame, uint32_t bytes);
struct netpkt pks_from_peer(struct run *r, uint8_t protocol);
// All that happens at this moment of the virtual clock.
void pks_moment(struct run *r);
// Up to `until_ns`, or to the first segment of ours when `stop`.
void pks_advance(struct run *r, int64_t until_ns, bool stop);
// A segment in the words of a script (static memory).
const char *pks_describe(struct run *r, const struct sent *s);

// pktscript_segment.c: words move `*p` behind what they read.

// Whether `w` comes next.
bool pks_word(const char **p, const char *w);
long pks_number(struct run *r, const char **p);
int64_t pks_seconds(struct run *r, const char **p);
void pks_want_end(struct run *r, const char *p);
// Sends the segment that the words say.
void pks_inject(struct run *r, const char *p);
// The next segment of ours is what the words say, and between these times.
void pks_expect_segment(struct run *r, const char *p, int64_t from_ns, int64_t to_ns);
// The state of the connection is what the words say.
void pks_expect(struct run *r, const char *p);
const char *pks_skip(const char *p);
