// Topology through hwloc, placement, pinning.
#include "hw/topo.h"

#include "host/base/note.h"

#include <errno.h>
#include <hwloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPUS_MAX = 8192 }; // what the kernel can be built for

// Takes away what taskset has taken away.
static int restrict_to_affinity(hwloc_topology_t h)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	int err = 0;

	if (!set)
		return -ENOMEM;
	// A host that hides its affinity lets us use everything.
	if (hwloc_get_cpubind(h, set, HWLOC_CPUBIND_PROCESS) == 0 && !hwloc_bitmap_iszero(set) &&
		hwloc_topology_restrict(h, set, 0) != 0)
		err = -errno;
	hwloc_bitmap_free(set);
	return err;
}

static int load(hwloc_topology_t *out)
{
	hwloc_topology_t h;
	int err;

	if (hwloc_topology_init(&h) != 0)
		return -ENOMEM;
	err = hwloc_topology_load(h) != 0 ? -errno : 0;
	if (err == 0 && hwloc_topology_is_thissystem(h))
		err = restrict_to_affinity(h);
	if (err < 0) {
		hwloc_topology_destroy(h);
		return err;
	}
	*out = h;
	return 0;
}

// The node whose processors include this one. Nodes of memory alone have none.
static int node_of(hwloc_topology_t h, hwloc_obj_t pu)
{
	hwloc_obj_t node = NULL;

	while ((node = hwloc_get_next_obj_by_type(h, HWLOC_OBJ_NUMANODE, node)))
		if (hwloc_bitmap_isset(node->cpuset, pu->os_index))
			return (int)node->os_index;
	return 0;
}

// Machines that do not tell their cores (some virtual ones) have one processor a core.
static void describe_pu(hwloc_topology_t h, hwloc_obj_t pu, struct mr_topo_pu *out)
{
	hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(h, HWLOC_OBJ_CORE, pu);

	*out = (struct mr_topo_pu){.os = (int)pu->os_index, .node = node_of(h, pu)};
	out->core = core ? (int)core->logical_index : (int)pu->logical_index;
	if (!core)
		return;
	for (hwloc_obj_t i = NULL;
		(i = hwloc_get_next_obj_inside_cpuset_by_type(h, core->cpuset, HWLOC_OBJ_PU, i)) &&
		i != pu;)
		out->smt++;
}

static int by_place(const void *a, const void *b)
{
	const struct mr_topo_pu *x = a, *y = b;

	if (x->node != y->node)
		return x->node - y->node;
	return x->core != y->core ? x->core - y->core : x->smt - y->smt;
}

static uint64_t cache_bytes(hwloc_topology_t h, hwloc_obj_type_t type)
{
	hwloc_obj_t obj = hwloc_get_obj_by_type(h, type, 0);

	return obj && obj->attr ? obj->attr->cache.size : 0;
}

static void count_all(struct mr_topo *t)
{
	for (int i = 0; i < t->pus_count; i++) {
		t->cores_count += i == 0 || t->pus[i].core != t->pus[i - 1].core;
		t->nodes_count += i == 0 || t->pus[i].node != t->pus[i - 1].node;
	}
}

int mr_topo_init(struct mr_topo *t)
{
	hwloc_topology_t h;
	int err = load(&h), n;

	if (err < 0)
		return err;
	n = hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_PU);
	*t = (struct mr_topo){.is_real = hwloc_topology_is_thissystem(h)};
	t->pus = n > 0 ? calloc((size_t)n, sizeof(*t->pus)) : NULL;
	if (!t->pus) {
		hwloc_topology_destroy(h);
		return n > 0 ? -ENOMEM : -ENODEV;
	}
	for (t->pus_count = 0; t->pus_count < n; t->pus_count++)
		describe_pu(h, hwloc_get_obj_by_type(h, HWLOC_OBJ_PU, (unsigned)t->pus_count),
			&t->pus[t->pus_count]);
	qsort(t->pus, (size_t)n, sizeof(*t->pus), by_place);
	count_all(t);
	t->l1d_bytes = cache_bytes(h, HWLOC_OBJ_L1CACHE);
	t->l2_bytes = cache_bytes(h, HWLOC_OBJ_L2CACHE);
	t->l3_bytes = cache_bytes(h, HWLOC_OBJ_L3CACHE);
	hwloc_topology_destroy(h);
	return 0;
}

void mr_topo_fini(struct mr_topo *t)
{
	free(t->pus);
	*t = (struct mr_topo){0};
}

// A processor in the order in which workers take them.
struct candidate {
	const struct mr_topo_pu *pu;
	int node_rank; // which node, counted from 0
	int in_node;   // its place among those of the same node and smt
	bool taken;
};

static int by_spread(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->pu->smt != y->pu->smt)
		return x->pu->smt - y->pu->smt;
	return x->in_node != y->in_node ? x->in_node - y->in_node : x->node_rank - y->node_rank;
}

static int by_pack(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->node_rank != y->node_rank)
		return x->node_rank - y->node_rank;
	return x->pu->smt != y->pu->smt ? x->pu->smt - y->pu->smt : x->in_node - y->in_node;
}

static struct candidate *order(const struct mr_topo *t, enum mr_topo_policy policy)
{
	struct candidate *c = calloc((size_t)t->pus_count, sizeof(*c));

	if (!c)
		return NULL;
	for (int i = 0; i < t->pus_count; i++) {
		const struct mr_topo_pu *pu = &t->pus[i];

		c[i].pu = pu;
		c[i].node_rank = i == 0 ? 0 : c[i - 1].node_rank + (pu->node != pu[-1].node);
		for (int j = i - 1; j >= 0 && t->pus[j].node == pu->node; j--)
			c[i].in_node += t->pus[j].smt == pu->smt;
	}
	qsort(c, (size_t)t->pus_count, sizeof(*c), policy == MR_TOPO_PACK ? by_pack : by_spread);
	return c;
}

static bool core_is_taken(const struct candidate *c, int count, int core)
{
	for (int i = 0; i < count; i++)
		if (c[i].taken && c[i].pu->core == core)
			return true;
	return false;
}

enum wanted { WHOLE_CORES, SIBLINGS, ALL };

static int background_fill(
	const struct candidate *c, int count, enum wanted wanted, struct mr_topo_placement *out)
{
	out->background_count = 0;
	for (int i = 0; i < count; i++) {
		if (wanted != ALL && c[i].taken)
			continue;
		if (wanted == WHOLE_CORES && core_is_taken(c, count, c[i].pu->core))
			continue;
		out->background[out->background_count++] = c[i].pu->os;
	}
	return out->background_count;
}

int mr_topo_place(const struct mr_topo *t, int workers, enum mr_topo_policy policy,
	struct mr_topo_placement *out)
{
	struct candidate *c = order(t, policy);

	MR_ASSERT(workers >= 1 && t->pus_count >= 1);
	*out = (struct mr_topo_placement){.workers_count = workers};
	out->workers = calloc((size_t)workers, sizeof(*out->workers));
	out->background = calloc((size_t)t->pus_count, sizeof(*out->background));
	if (!c || !out->workers || !out->background) {
		free(c);
		mr_topo_placement_fini(out);
		return -ENOMEM;
	}
	for (int i = 0; i < workers; i++) {
		struct candidate *at = &c[i % t->pus_count];
		bool again = i + t->pus_count < workers || i >= t->pus_count;

		at->taken = true;
		out->workers[i] = (struct mr_topo_place){at->pu->os, at->pu->node, again};
	}
	if (!background_fill(c, t->pus_count, WHOLE_CORES, out) &&
		!background_fill(c, t->pus_count, SIBLINGS, out)) {
		background_fill(c, t->pus_count, ALL, out);
		out->background_shares = true;
	}
	free(c);
	return 0;
}

void mr_topo_placement_fini(struct mr_topo_placement *p)
{
	free(p->workers);
	free(p->background);
	*p = (struct mr_topo_placement){0};
}

static bool refused(_Atomic bool *told, const char *what, int err)
{
	if (!atomic_exchange(told, true))
		mr_note(MR_NOTE_WARN, "hw", "%s is refused here, going on without: error=\"%s\"",
			what, strerror(err));
	return false;
}

bool mr_thread_pin(const int *pus, int count)
{
	static _Atomic bool told;
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	size_t bytes = CPU_ALLOC_SIZE(CPUS_MAX);
	int err;

	if (!set)
		return refused(&told, "pinning threads", ENOMEM);
	CPU_ZERO_S(bytes, set);
	for (int i = 0; i < count; i++)
		if (pus[i] >= 0 && pus[i] < CPUS_MAX)
			CPU_SET_S((size_t)pus[i], bytes, set);
	err = sched_setaffinity(0, bytes, set) != 0 ? errno : 0;
	CPU_FREE(set);
	return err ? refused(&told, "pinning threads", err) : true;
}

bool mr_thread_nice(int nice_value)
{
	static _Atomic bool told;
	id_t thread = (id_t)syscall(SYS_gettid);

	if (setpriority(PRIO_PROCESS, thread, nice_value) != 0)
		return refused(&told, "changing a thread's priority", errno);
	return true;
}

bool mr_thread_urgent(enum mr_urgency_level level)
{
	static _Atomic bool told;
	int least = sched_get_priority_min(SCHED_RR);
	struct sched_param p = {.sched_priority = level ? least + (int)level - MR_URGENT : 0};
	int class = level ? SCHED_RR | SCHED_RESET_ON_FORK : SCHED_OTHER;

	if (sched_setscheduler(0, class, &p) != 0)
		return refused(&told, "real-time scheduling", errno);
	return true;
}

int64_t mr_thread_cpu_ns(void)
{
	struct timespec t;

	MR_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void mr_thread_name(const char *name)
{
	char cut[16];

	snprintf(cut, sizeof(cut), "%s", name);
	MR_ASSERT(pthread_setname_np(pthread_self(), cut) == 0);
}
