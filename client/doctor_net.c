// Checks of network devices, and of what DPDK needs.
#include "client/doctor.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HUGE_PER_WORKER = 64 }; // pages of 2 MiB: pools, queues and TCP's blocks of one worker

struct huge {
	long long small, large; // free pages of 2 MiB, of 1 GiB
	unsigned nodes, empty;  // nodes, and those without any
};

static void look_at_node(struct mr_doctor *d, const char *entry, void *arg)
{
	struct huge *h = arg;
	char path[256];
	long long small, large;

	if (strncmp(entry, "node", 4) != 0 || entry[4] < '0' || entry[4] > '9')
		return;
	snprintf(path, sizeof(path),
		"/sys/devices/system/node/%s/hugepages/hugepages-2048kB/free_hugepages", entry);
	small = mr_doctor_number(d, 0, path);
	snprintf(path, sizeof(path),
		"/sys/devices/system/node/%s/hugepages/hugepages-1048576kB/free_hugepages", entry);
	large = mr_doctor_number(d, 0, path);
	h->nodes++;
	h->empty += small == 0 && large == 0;
	h->small += small;
	h->large += large;
}

static void check_huge(struct mr_doctor *d, const char *name)
{
	long long wanted = (long long)d->workers * HUGE_PER_WORKER;
	struct huge h = {0};
	char type[96];

	mr_doctor_list(d, "/sys/devices/system/node", look_at_node, &h);
	snprintf(type, sizeof(type), "sysctl -w vm.nr_hugepages=%lld", wanted);
	if (h.small + h.large * 512 >= wanted)
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL,
			"%lld pages of 2 MiB and %lld of 1 GiB are free", h.small, h.large);
	else
		mr_doctor_say(d, MR_DOCTOR_LACKS, name, type,
			"%lld pages of 2 MiB are free, %llu workers want %lld; --eal \"--no-huge\" "
			"does without, about a quarter slower",
			h.small, (unsigned long long)d->workers, wanted);
	if (h.empty && h.empty < h.nodes)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name,
			"echo N > "
			"/sys/devices/system/node/nodeX/hugepages/hugepages-2048kB/nr_hugepages",
			"%u of %u NUMA nodes have no huge pages: their workers would use another "
			"node's",
			h.empty, h.nodes);
}

static void count_entry(struct mr_doctor *, const char *, void *arg)
{
	++*(unsigned *)arg;
}

static bool has_folder(struct mr_doctor *d, const char *path)
{
	unsigned n = 0;

	mr_doctor_list(d, path, count_entry, &n);
	return n > 0;
}

static void check_vfio(struct mr_doctor *d, const char *name)
{
	bool iommu = has_folder(d, "/sys/kernel/iommu_groups");

	if (iommu)
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "the IOMMU is on");
	else
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name,
			"kernel command line: intel_iommu=on iommu=pt (AMD: iommu=pt); firmware: "
			"VT-d, "
			"AMD-Vi",
			"no IOMMU: vfio-pci cannot take a NIC safely (mlx5 and virtual ports do "
			"not "
			"need it)");
	if (has_folder(d, "/sys/module/vfio_pci"))
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "vfio-pci is loaded");
	else
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, "modprobe vfio-pci",
			"vfio-pci is not loaded (mlx5 and virtual ports do not need it)");
}

// A NIC as PCI knows it: class 0x02xxxx.
static void look_at_pci(struct mr_doctor *d, const char *entry, void *arg)
{
	char class[32], path[256], link[256];
	const char *name = arg;
	long long node;

	if (!mr_doctor_read(d, class, sizeof(class), "/sys/bus/pci/devices/%s/class", entry) ||
		strncmp(class, "0x02", 4) != 0)
		return;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node", entry);
	node = mr_doctor_number(d, -1, path);
	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", entry);
	snprintf(link, sizeof(link), "driverctl set-override %s vfio-pci", entry);
	if (has_folder(d, path))
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL,
			"%s on node %lld is vfio-pci's: --eal "
			"\"-a %s\"",
			entry, node, entry);
	else
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, link,
			"%s on node %lld is the kernel's (an mlx5 one stays so and works)", entry,
			node);
}

static void check_pci(struct mr_doctor *d, const char *name)
{
	uint32_t before = d->found[MR_DOCTOR_OK] + d->found[MR_DOCTOR_ADVICE];

	mr_doctor_list(d, "/sys/bus/pci/devices", look_at_pci, (void *)(uintptr_t)name);
	if (d->found[MR_DOCTOR_OK] + d->found[MR_DOCTOR_ADVICE] == before)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, NULL,
			"no PCI NIC: only virtual ports (net_tap, net_af_packet, net_memif, …) are "
			"left");
}

static void check_dpdk(struct mr_doctor *d, const char *name)
{
	void *eal = *d->root ? NULL : dlopen("librte_eal.so.23", RTLD_LAZY | RTLD_LOCAL);

	if (*d->root)
		return;
	if (eal) {
		dlclose(eal);
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "DPDK 22.11 is installed");
		return;
	}
	mr_doctor_say(d, MR_DOCTOR_LACKS, name, "apt-get install dpdk libdpdk-dev",
		"DPDK 22.11 is not installed");
}

static void check_backlog(struct mr_doctor *d, const char *name)
{
	long long max = mr_doctor_number(d, 4096, "/proc/sys/net/core/somaxconn");

	if (max < 1024)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, "sysctl -w net.core.somaxconn=4096",
			"only %lld connections may wait to be accepted", max);
	else
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL,
			"%lld connections may wait to be accepted", max);
}

// An Ethernet device of the kernel without hardware behind it: its frames carry partial checksums
// and may be longer than the MTU.
static void look_at_virtual(struct mr_doctor *d, const char *entry, void *arg)
{
	char path[256], text[32], type[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", entry);
	if (has_folder(d, path) || strcmp(entry, "lo") == 0)
		return;
	if (!mr_doctor_read(d, text, sizeof(text), "/sys/class/net/%s/iflink", entry))
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", entry);
	// A veth's iflink is its peer.
	if (mr_doctor_number(d, -1, path) == strtoll(text, NULL, 10))
		return;
	snprintf(type, sizeof(type), "ethtool -K %s tx off tso off gso off", entry);
	mr_doctor_say(d, MR_DOCTOR_ADVICE, arg, type,
		"%s may be a veth: the kernel leaves checksums to a NIC it does not have; frames "
		"to its peer are dropped and counted as bad_partial_sum",
		entry);
}

static void check_virtual(struct mr_doctor *d, const char *name)
{
	mr_doctor_list(d, "/sys/class/net", look_at_virtual, (void *)(uintptr_t)name);
}

const struct mr_doctor_check mr_doctor_net[] = {
	{"backlog", false, check_backlog},
	{"dpdk", true, check_dpdk},
	{"huge pages", true, check_huge},
	{"vfio", true, check_vfio},
	{"nics", true, check_pci},
	{"veth", true, check_virtual},
};
const size_t mr_doctor_net_count = MR_COUNT_OF(mr_doctor_net);
