// A server's stack and a client's, wire between them: our own TCP at both ends, in one thread.
//
// The server is 10.0.0.1 and fd00::1, the client 10.0.0.2 and fd00::2. The server's stack is turned
// by the net under test, the client's by tcp_world_turn.
#pragma once

#include "dataplane/tcpip/stack.h"
#include "host/base/clock.h"

#define TCP_WORLD_SERVER4 "10.0.0.1"
#define TCP_WORLD_SERVER6 "fd00::1"
#define TCP_WORLD_CLIENT4 "10.0.0.2"
#define TCP_WORLD_CLIENT6 "fd00::2"

struct tcp_world {
	struct mr_clock_sim *clock;
	struct mr_port *ports[2]; // server, client
	struct mr_stack *stacks[2];
};

// `server` may be NULL: the defaults. The client takes at most 64 KiB that are not read. The clock
// is moved on until both have found their addresses free.
void tcp_world_open(
	struct tcp_world *w, struct mr_clock_sim *clock, const struct mr_tcp_options *server);
void tcp_world_close(struct tcp_world *w);
void tcp_world_turn(struct tcp_world *w);
