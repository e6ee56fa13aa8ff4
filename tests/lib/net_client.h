// A client for tests: one non-blocking socket with bytes to send and bytes received, driven from
// the same thread as the net under test, so that a test decides who moves when. Or, in a world of
// our own TCP, one connection of the client's stack.
#pragma once

#include "dataplane/stream.h"
#include "host/base/buf.h"
#include "host/base/rand.h"
#include "tests/lib/tcp_world.h"

struct net_client {
	int fd; // -1: closed
	struct mr_tcp_conn *conn;
	struct tcp_world *world; // NULL: a socket
	bool connected;
	bool paused;
	struct mr_buf out;
	size_t out_at;
	struct mr_buf in;
	size_t chunk_max; // bytes per send at most; 0: all
	bool reads;       // false: a client that does not read
	bool shut;        // shut down our side when all is sent
	bool ended;       // the server has closed
	int error;        // errno of a failed send or receive
};

// Which implementation of the network tests are about now.
extern enum net_over { OVER_PLAIN, OVER_TCP, OVER_URING } net_over;
const char *net_over_name(void);
const char *net_over_host(void); // where its servers listen
// What the options of a net need for it: a ring, or a world whose server's side they get, while
// clients are of the other. Options with a small send buffer make small queues.
struct net_over_parts {
	struct mr_clock_sim clock;
	struct mr_uring *uring; // OVER_URING
	struct tcp_world world; // OVER_TCP
};

void net_over_open(struct net_over_parts *p, struct mr_net_options *o);
// A round of what lies below the net: of a world, a turn and 10 us.
void net_over_turn(struct net_over_parts *p);
void net_over_close(struct net_over_parts *p); // after the net
// Runs tests over each that there is; returns how many failed.
int net_over_each(int (*run)(const char *network));
// Connects (a socket blocks, on loopback). `receive_buffer` 0: the default.
void net_client_open(struct net_client *c, const struct mr_net_addr *at, int receive_buffer);
void net_client_close(struct net_client *c);
// Closes with a reset instead of an end.
void net_client_reset(struct net_client *c);
// Queues a frame: length and `bytes` bytes of a pattern made from `seed`.
void net_client_frame(struct net_client *c, size_t bytes, uint64_t seed);
// Sends and receives what goes without waiting. `r` may be NULL: chunk sizes are then fixed.
void net_client_pump(struct net_client *c, struct mr_rand *r);
// The pattern of net_client_frame: byte `i` of the frame with `seed`.
uint8_t net_client_byte(uint64_t seed, size_t i);
