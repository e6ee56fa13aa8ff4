// The network of --dataplane dpdk: one device, and on it a stack of our own TCP/IP for each worker.
//
// Control opens it before the workers and closes it after them; a worker takes its stack and its
// port and runs them on its own thread. All stacks have the same addresses; which worker a frame is
// for, the device or the port decides by TCP port (steer.h).
#pragma once

#include "dataplane/tcpip/port_dpdk.h"
#include "dataplane/tcpip/stack.h"
#include "host/base/clock.h"
#include "host/config.h"
#include "hw/topo.h"

#include <stdio.h>

struct mr_nic;

// What the settings say, in the stack's form. -EINVAL with a diagnostic that names the setting.
struct mr_nic_plan {
	struct mr_stack_address addresses[MR_STACK_ADDRESSES_MAX];
	uint32_t addresses_count;
	struct mr_ip gateways[2];
};
[[nodiscard]] int mr_nic_plan(
	const struct mr_config *c, struct mr_nic_plan *out, struct mr_diag *diag);
// Says on `f` what would be done, for --check-config.
void mr_nic_print_plan(const struct mr_config *c, FILE *f);

// Memory for frames, about, of one worker.
uint64_t mr_nic_frames_bytes(const struct mr_config *c);

// Loads DPDK and opens the device. `placement` empty: workers are not pinned.
[[nodiscard]] int mr_nic_open(const struct mr_config *c, const struct mr_topo_placement *placement,
	uint32_t workers, struct mr_nic **out, struct mr_diag *diag);
// After the stacks are gone.
void mr_nic_close(struct mr_nic *n);

// Makes a worker's stack on its port. Returns both owned by the caller but the port, borrowed.
[[nodiscard]] int mr_nic_stack(struct mr_nic *n, uint32_t worker, struct mr_clock *clock,
	struct mr_stack **stack, struct mr_port **port);
// Frames are sorted from now on: worker w listens on port_first + w.
void mr_nic_steer(struct mr_nic *n, uint16_t port_first);
// By the worker's own thread: before its first turn, after its last.
void mr_nic_enter(struct mr_nic *n, uint32_t worker);
void mr_nic_leave(struct mr_nic *n, uint32_t worker);
// About once a second, by the worker's own thread: says in the log what an operator must know,
// once.
void mr_nic_watch(struct mr_nic *n, uint32_t worker, struct mr_stack *stack);
// Any thread.
void mr_nic_describe(struct mr_nic *n, struct mr_dpdk_info *out);
struct mr_port *mr_nic_port(struct mr_nic *n, uint32_t worker);
// The first address, without its prefix: what Kafka clients are told. Static text of `n`.
const char *mr_nic_host(const struct mr_nic *n);
