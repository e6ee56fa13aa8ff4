// Two TCPs back to back on a virtual clock, through a wire that delays, loses, doubles and reorders
// segments as its seed says; and users that send a stream any byte of which can be checked.
#pragma once

#include "dataplane/tcpip/tcp_int.h"
#include "host/base/rand.h"

#include <stdlib.h>

#define TCP_NET_MS 1000000ll

struct tcp_net;

struct tcp_net_packet {
	int64_t at_ns;
	uint64_t number;
	int to;
	uint32_t bytes;
	struct mr_ip src, dst;
	uint8_t data[];
};

// One user of a connection: sends `to_send` bytes of its stream, checks what comes.
struct tcp_net_end {
	struct tcp_net *net;
	int host;
	struct mr_tcp_conn *c; // NULL: gone
	uint64_t to_send, sent, received;
	uint64_t take_max; // of one call of `data`; then it pauses
	bool connected, ended, was_closed, close_when_done, close_at_end, shut;
	int error;
	uint32_t calls;
};

struct tcp_net_host {
	struct tcp_net *net;
	int number;
	struct mr_tcp *tcp;
	struct mr_ip ip;
	uint8_t frame[9100];
	int refuse_frames; // the next so many begins fail
	int refuse_with;
	uint64_t sent;
	struct tcp_net_end *accepts; // the next opened connection is this one's
	void *last_conn;
};

struct tcp_net {
	struct mr_rand rand;
	int64_t now_ns;
	int64_t delay_ns, jitter_ns;
	uint32_t loss_ppm, double_ppm; // parts per million
	uint16_t mtu;
	bool hold; // packets stay in the list
	bool no_check;
	struct tcp_net_host host[2];
	struct tcp_net_packet **packets;
	uint32_t count, room;
	uint64_t numbers, lost;
	// Shown each segment before it is queued; false: it is lost.
	bool (*filter)(struct tcp_net *n, struct tcp_net_packet *p);
	void *filter_ctx;
};

extern const struct mr_tcp_events tcp_net_events;

void tcp_net_init(struct tcp_net *n, uint64_t seed, const struct mr_tcp_options *a,
	const struct mr_tcp_options *b);
void tcp_net_fini(struct tcp_net *n);
// Options of a small instance.
struct mr_tcp_options tcp_net_options(uint64_t seed);
// To the next event, not beyond `until_ns`. False: nothing is left to happen before.
bool tcp_net_step(struct tcp_net *n, int64_t until_ns);
// Steps until `done` or the time is over; returns whether it was done.
bool tcp_net_run(struct tcp_net *n, int64_t for_ns, bool (*done)(void *ctx), void *ctx);
void tcp_net_flush(struct tcp_net *n);
// b listens on 9092, a connects; both ends are filled in. Runs until both know.
void tcp_net_connect(struct tcp_net *n, struct tcp_net_end *a, struct tcp_net_end *b);
void tcp_net_pump(struct tcp_net_end *e);
uint8_t tcp_net_byte(int host, uint64_t at);
