// The machine: which processors there are, on which cores and NUMA nodes; and which thread goes
// where.
//
// hwloc is included by topo.c alone. What is shown here is already cut down to the processors that
// this process may use (taskset, cpusets). HWLOC_SYNTHETIC in the environment puts another machine
// in place of the real one, for tests; then nothing can be pinned to it.
#pragma once

#include "host/base/def.h"

// One logical processor.
struct mr_topo_pu {
	int os;   // the kernel's number
	int core; // 0 …, counted over the machine
	int node; // the kernel's number of the NUMA node
	int smt;  // 0: the first processor of its core, 1 …: its siblings
};

struct mr_topo {
	struct mr_topo_pu *pus; // by node, then core, then smt
	int pus_count;
	int cores_count;
	int nodes_count;
	uint64_t l1d_bytes; // of the first core; 0: unknown
	uint64_t l2_bytes;
	uint64_t l3_bytes;
	bool is_real; // false: HWLOC_SYNTHETIC
};

// Reads the machine. 0 or -errno. Fills; mr_topo_fini frees. Any thread.
[[nodiscard]] int mr_topo_init(struct mr_topo *t);
void mr_topo_fini(struct mr_topo *t);

enum mr_topo_policy {
	MR_TOPO_SPREAD, // one worker to each node in turn; whole cores of all nodes before siblings
	MR_TOPO_PACK,   // a node's cores, then its siblings, then the next node
};

struct mr_topo_place {
	int pu; // the kernel's number
	int node;
	bool shared; // another worker has the same processor
};

struct mr_topo_placement {
	struct mr_topo_place *workers;
	int workers_count;
	int *background; // processors of SQL, background and control threads
	int background_count;
	// They are the workers' own: there are no others. Then those threads run at lower priority.
	bool background_shares;
};

// Decides for `workers` >= 1 of them. Background threads get the cores that no worker is on; else
// the siblings of workers; else the workers' own. 0 or -ENOMEM. Fills; mr_topo_placement_fini
// frees.
[[nodiscard]] int mr_topo_place(const struct mr_topo *t, int workers, enum mr_topo_policy policy,
	struct mr_topo_placement *out);
void mr_topo_placement_fini(struct mr_topo_placement *p);

// The calling thread runs on these processors only. Where the host refuses, it runs on as before,
// one warning is written for the process, and false is returned.
bool mr_thread_pin(const int *pus, int count);
// The calling thread gives way to others: nice value 0 … 19. As mr_thread_pin when refused.
bool mr_thread_nice(int nice);
// The calling thread runs before all of the normal class (SCHED_RR), or is in the normal class
// again. Threads that it makes are in the normal class. As mr_thread_pin when refused: root,
// CAP_SYS_NICE or RLIMIT_RTPRIO may. See sched(7).
enum mr_urgency_level { MR_NORMAL, MR_URGENT, MR_MOST_URGENT };
bool mr_thread_urgent(enum mr_urgency_level level);
// Time that the calling thread has computed, in ns.
int64_t mr_thread_cpu_ns(void);
// The calling thread's name, cut to 15 bytes, for top and gdb.
void mr_thread_name(const char *name);
