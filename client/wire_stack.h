// Our own stack on a DPDK port, as a client's: what the wire benchmarks share that use it.
#pragma once

#include "client/wire_load.h"
#include "dataplane/tcpip/stack.h"
#include "host/nic.h"

struct mr_wire_stack {
	struct mr_config config;
	struct mr_nic *nic;
	struct mr_port *port;
	struct mr_stack *stack;
	struct mr_tcp *tcp;
	struct mr_ip to;
	uint16_t to_port;
	struct mr_ip sources[MR_STACK_ADDRESSES_MAX]; // ours, of the peer's family
	uint32_t sources_count;
	uint32_t connects; // begun so far: the next one's address and port
	int64_t now_ns;    // of this turn, or of one shortly before
	uint32_t turns;
	bool found; // frames, in the last turn
};

// Opens the port, makes a stack for `connections` and waits for the link. A process can do this
// once. 0, or negative with text in `error`; mr_wire_stack_close either way.
[[nodiscard]] int mr_wire_stack_open(struct mr_wire_stack *s, const struct mr_wire_stack_options *o,
	uint32_t connections, char error[400]);
// Connections go without a word: reset those that the peer should hear of before.
void mr_wire_stack_close(struct mr_wire_stack *s);
// The next connection to the peer, from our addresses in turn, each with all of its ports in turn:
// 64,512 an address, those in TIME-WAIT excepted. -EADDRINUSE when none was free.
[[nodiscard]] int mr_wire_stack_connect(struct mr_wire_stack *s, const struct mr_tcp_events *events,
	void *user, struct mr_tcp_conn **out);
// Handles what has come and sends what is owed. 0, or negative when the port is gone.
[[nodiscard]] int mr_wire_stack_turn(struct mr_wire_stack *s);
