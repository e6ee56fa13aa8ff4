// The DPDK port, as those see it who know nothing of DPDK: a module loaded when it is asked for.
//
// The daemon links no DPDK library. All code that includes DPDK headers is built into
// millrace-dpdk.so, which lies beside the executable and exports one symbol, `mr_dpdk_driver`; it
// is loaded at start when --dataplane dpdk says so. DPDK exists once per process (its EAL is global
// and cannot be started twice), so a process opens one device in its life.
//
//	mr_dpdk_load(NULL, &driver, &diag);
//	driver->open(&options, &dev, &diag);          // EAL, device, queues, pools
//	driver->steer(dev, port_first);               // when the ports listened on are known
//	struct mr_port *p = driver->port(dev, w);     // one for each worker, for its thread alone
//	driver->enter(p);                             // by the worker's thread, once
//	…
//	driver->close(dev);
//
// Threads: open, steer and close by the control thread while no worker runs; `port` then; a port's
// functions by its worker; `describe` by any thread.
#pragma once

#include "dataplane/tcpip/port.h"
#include "dataplane/tcpip/steer.h"
#include "host/base/err.h"
#include "host/base/note.h"

#define MR_DPDK_MODULE     "millrace-dpdk.so"
#define MR_DPDK_INTERFACE  2 // changes with this header
#define MR_DPDK_ARGS_MAX   64
#define MR_DPDK_ARGS_BYTES 2048

struct mr_dpdk;

// Who checks and fills in checksums.
enum mr_dpdk_sums {
	MR_DPDK_SUMS_HW,    // the device where it can, software where it cannot
	MR_DPDK_SUMS_SW,    // software always
	MR_DPDK_SUMS_TRUST, // nobody checks what comes in: local virtual wires only
};

struct mr_dpdk_options {
	const char *eal;  // text of --eal, split as a shell would
	const char *port; // the device's name; NULL or "": the first
	uint16_t workers;
	const struct mr_queue_place *places; // [workers]
	int main_pu;                         // for EAL's own thread; -1: any
	uint16_t mtu;                        // 0: 1500
	uint16_t queues_max;                 // of each kind; 0: one for each worker
	enum mr_dpdk_sums sums;
	bool refuse_remote;      // a worker on another NUMA node than the device is an error
	uint16_t rx_descriptors; // 0: 1024
	uint16_t tx_descriptors; // 0: 512
	void (*note)(enum mr_note_level level, const char *subsystem, const char *fmt, ...);
};

// What a table or a log line says of a device.
struct mr_dpdk_info {
	char name[64];
	char driver[32];
	struct mr_mac mac;
	uint16_t mtu;
	bool link_up;
	bool is_gone;
	uint32_t link_mbps; // 0: unknown
	int node;           // -1: unknown
	uint16_t rx_queues;
	uint16_t tx_queues;
	bool flow_rules; // the device itself sorts by port
	bool interrupts; // a worker that sleeps is woken by frames; else it naps
	bool has_sums;   // checksums are the device's
	uint64_t pool_bytes;
	uint64_t rx_frames, rx_bytes, rx_missed, rx_errors, rx_no_frame;
	uint64_t tx_frames, tx_bytes, tx_errors;
	uint64_t link_changes;
};

struct mr_dpdk_driver {
	uint32_t interface;
	// 0 or -errno with a diagnostic.
	int (*open)(const struct mr_dpdk_options *o, struct mr_dpdk **out, struct mr_diag *diag);
	void (*close)(struct mr_dpdk *d);
	// Worker w's TCP port is port_first + w: from now on frames are sorted by it.
	void (*steer)(struct mr_dpdk *d, uint16_t port_first);
	struct mr_port *(*port)(struct mr_dpdk *d, uint16_t worker);
	// Tells DPDK of the calling thread, the worker's own, before its first burst.
	void (*enter)(struct mr_port *p);
	void (*leave)(struct mr_port *p);
	void (*describe)(struct mr_dpdk *d, struct mr_dpdk_info *out);
};

// Loads the module: from `path` when it is given, else from the executable's own folder. A message
// says what is missing and what to do about it. It stays loaded.
[[nodiscard]] int mr_dpdk_load(
	const char *path, const struct mr_dpdk_driver **out, struct mr_diag *diag);

// The arguments in the text of --eal: split at blanks, with '…', "…" and \ as in a shell.
struct mr_dpdk_args {
	int count;
	char *v[MR_DPDK_ARGS_MAX + 1]; // NULL at the end
	char text[MR_DPDK_ARGS_BYTES];
	size_t text_bytes;
};

// -EINVAL with a diagnostic: a quote that is not closed, too many, too long.
[[nodiscard]] int mr_dpdk_args_split(
	struct mr_dpdk_args *a, const char *text, struct mr_diag *diag);
// Adds one more. -E2BIG.
[[nodiscard]] int mr_dpdk_args_add(struct mr_dpdk_args *a, const char *arg);
// One of them is `option`, or begins with it and "=".
bool mr_dpdk_args_has(const struct mr_dpdk_args *a, const char *option);
