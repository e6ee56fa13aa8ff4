// Checks of processors, memory, limits and the disk.
#include "client/doctor.h"

#include "host/descriptors.h"
#include "hw/cpu.h"
#include "hw/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define GIB (1024.0 * 1024 * 1024)

static void check_cpu(struct mr_doctor *d, const char *name)
{
	struct mr_cpu cpu;

	mr_cpu_detect(&cpu);
	if (cpu.avx512 && cpu.vpclmul)
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "AVX-512 kernels");
	else if (cpu.avx2 || cpu.neon)
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "%s kernels; AVX-512 would be faster",
			cpu.avx2 ? "AVX2" : "NEON");
	else
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, NULL,
			"neither AVX2 nor NEON: kernels run in plain C, several times slower");
}

static void look_at_governor(struct mr_doctor *d, const char *entry, void *arg)
{
	char governor[64];
	unsigned *slow = arg;

	if (strncmp(entry, "cpu", 3) == 0 && entry[3] >= '0' && entry[3] <= '9' &&
		mr_doctor_read(d, governor, sizeof(governor),
			"/sys/devices/system/cpu/%s/cpufreq/scaling_governor", entry))
		*slow += strcmp(governor, "performance") != 0;
}

static void check_governor(struct mr_doctor *d, const char *name)
{
	unsigned slow = 0;

	mr_doctor_list(d, "/sys/devices/system/cpu", look_at_governor, &slow);
	if (slow)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, "cpupower frequency-set -g performance",
			"%u processors change their clock with load: the first events after a "
			"pause "
			"are slow",
			slow);
	else
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "no processor saves power by clock");
}

static void check_isolation(struct mr_doctor *d, const char *name)
{
	char isolated[256] = "";

	if (mr_doctor_read(d, isolated, sizeof(isolated), "/sys/devices/system/cpu/isolated") &&
		isolated[0]) {
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "processors %s are isolated", isolated);
		return;
	}
	mr_doctor_say(d, MR_DOCTOR_ADVICE, name,
		"kernel command line: isolcpus=managed_irq,domain,2-N nohz_full=2-N rcu_nocbs=2-N "
		"irqaffinity=0-1",
		"no processor is kept free of other threads: their turns show in the tail of "
		"latencies");
}

// "0-3,8" as numbers; true when `pu` is among them.
static bool in_list(const char *list, long pu)
{
	for (const char *p = list; *p;) {
		char *end;
		long from = strtol(p, &end, 10), to = from;

		if (end == p)
			return false;
		if (*end == '-')
			to = strtol(end + 1, &end, 10);
		if (pu >= from && pu <= to)
			return true;
		p = *end == ',' ? end + 1 : end;
		if (*end && *end != ',')
			return false;
	}
	return false;
}

struct irqs {
	const char *isolated;
	unsigned count;
	char first[32];
};

static void look_at_irq(struct mr_doctor *d, const char *entry, void *arg)
{
	struct irqs *x = arg;
	char list[256];

	if (!mr_doctor_read(d, list, sizeof(list), "/proc/irq/%s/effective_affinity_list", entry))
		return;
	for (long pu = 0; pu < 1024; pu++) {
		if (!in_list(list, pu) || !in_list(x->isolated, pu))
			continue;
		if (!x->count++)
			snprintf(x->first, sizeof(x->first), "%s", entry);
		return;
	}
}

static void check_irqs(struct mr_doctor *d, const char *name)
{
	char isolated[256] = "", type[96];
	struct irqs x = {.isolated = isolated};

	if (!mr_doctor_read(d, isolated, sizeof(isolated), "/sys/devices/system/cpu/isolated") ||
		!isolated[0])
		return;
	mr_doctor_list(d, "/proc/irq", look_at_irq, &x);
	snprintf(type, sizeof(type),
		"systemctl stop irqbalance; echo 0 > /proc/irq/%s/smp_affinity_list", x.first);
	if (x.count)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, type,
			"%u interrupts are handled on isolated processors, IRQ %s first", x.count,
			x.first);
	else
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "no interrupt on an isolated processor");
}

static void check_pages(struct mr_doctor *d, const char *name)
{
	char thp[128];

	if (mr_doctor_read(d, thp, sizeof(thp), "/sys/kernel/mm/transparent_hugepage/enabled") &&
		strstr(thp, "[never]"))
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name,
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
			"transparent huge pages are off: more page faults and TLB misses");
	else
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "transparent huge pages: %s", thp);
	if (mr_doctor_number(d, 0, "/proc/sys/kernel/numa_balancing") > 0)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, "sysctl -w kernel.numa_balancing=0",
			"NUMA balancing unmaps pages to watch them: pauses on the data path");
	if (mr_doctor_number(d, 0, "/proc/sys/vm/overcommit_memory") == 2)
		mr_doctor_say(d, MR_DOCTOR_LACKS, name, "sysctl -w vm.overcommit_memory=0",
			"strict overcommit: address space that is only reserved is refused");
}

static void check_uring(struct mr_doctor *d, const char *name)
{
	long long off = mr_doctor_number(d, 0, "/proc/sys/kernel/io_uring_disabled");
	int rc = *d->root ? 0 : mr_uring_probe();

	if (off > 0)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, "sysctl -w kernel.io_uring_disabled=0",
			"io_uring is disabled (%lld): sockets go through epoll", off);
	else if (rc < 0)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name,
			"container: a seccomp profile that allows io_uring_setup, _enter, "
			"_register",
			"io_uring is refused (%s): sockets go through epoll", strerror(-rc));
	else
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "io_uring works");
}

// With the settings as they are by themselves.
static void check_descriptors(struct mr_doctor *d, const char *name, uint64_t limit)
{
	struct mr_descriptors plan;
	struct mr_config c;
	struct mr_diag diag;
	char type[64];

	mr_config_init(&c);
	c.workers = d->workers;
	c.dataplane = d->dpdk ? MR_DATAPLANE_DPDK : MR_DATAPLANE_SOCKET;
	if (mr_descriptors_plan(&c, limit, &plan, &diag) < 0) {
		mr_doctor_say(d, MR_DOCTOR_LACKS, name, diag.hint, "%s", diag.message);
		return;
	}
	snprintf(
		type, sizeof(type), "unit file: LimitNOFILE=%llu", (unsigned long long)plan.wanted);
	if (mr_descriptors_are_few(&plan))
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, type,
			"%llu descriptors: %llu Kafka connections of %llu, %llu SQL and %llu HTTP "
			"sessions",
			(unsigned long long)limit, (unsigned long long)plan.kafka,
			(unsigned long long)plan.kafka_max,
			(unsigned long long)plan.sql_connections_max,
			(unsigned long long)plan.http_connections_max);
	else
		mr_doctor_say(
			d, MR_DOCTOR_OK, name, NULL, "%llu descriptors", (unsigned long long)limit);
}

static void check_limits(struct mr_doctor *d, const char *name)
{
	struct rlimit files, locked;

	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_MEMLOCK, &locked);
	check_descriptors(d, name, files.rlim_max);
	// CAP_IPC_LOCK, which root has, lifts this limit.
	if (locked.rlim_max < (64u << 20) && geteuid() != 0)
		mr_doctor_say(d, d->dpdk ? MR_DOCTOR_LACKS : MR_DOCTOR_ADVICE, name,
			"unit file: LimitMEMLOCK=infinity",
			"at most %llu KiB may be locked: registered buffers and DPDK need more",
			(unsigned long long)locked.rlim_max >> 10);
}

// The daemon's workers ask for it when they run beside other threads.
static void check_realtime(struct mr_doctor *d, const char *name)
{
	struct sched_param wanted = {.sched_priority = sched_get_priority_min(SCHED_RR) + 1};
	int class = sched_getscheduler(0);

	if (sched_setscheduler(0, SCHED_RR, &wanted) != 0) {
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name,
			"unit file: LimitRTPRIO=2; container: --cap-add SYS_NICE",
			"real-time scheduling is refused: acknowledgements wait for a tick of the "
			"kernel behind queries on a worker's core");
		return;
	}
	wanted.sched_priority = 0;
	if (class >= 0)
		sched_setscheduler(0, class, &wanted);
	mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "workers may be in the real-time class");
}

static void check_memory(struct mr_doctor *d, const char *name)
{
	char line[128];
	unsigned long long kib = 0;

	if (mr_doctor_read(d, line, sizeof(line), "/proc/meminfo"))
		sscanf(line, "MemTotal: %llu", &kib);
	if (kib && kib < d->workers * 3 * 1024 * 1024)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name,
			"millraced --check-config prints the budget; lower table.memory_bytes",
			"%.1f GiB of memory for %llu workers: the defaults want about 3 GiB each",
			(double)kib / (1024 * 1024), (unsigned long long)d->workers);
	else if (kib)
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "%.1f GiB of memory",
			(double)kib / (1024 * 1024));
}

// Whether the file system of the data directory takes direct writes, and how much room there is.
static void check_disk(struct mr_doctor *d, const char *name)
{
	char path[512];
	struct statvfs v;
	int fd;

	if (!d->data)
		return;
	if (statvfs(d->data, &v) < 0) {
		mr_doctor_say(d, MR_DOCTOR_LACKS, name, NULL, "%s: %s", d->data, strerror(errno));
		return;
	}
	snprintf(path, sizeof(path), "%s/.doctor.%ld", d->data, (long)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	if (fd < 0 && errno == EINVAL)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, "a data directory on ext4 or xfs",
			"%s refuses O_DIRECT: every write is copied once more", d->data);
	else if (fd < 0)
		mr_doctor_say(d, MR_DOCTOR_LACKS, name, NULL, "cannot write in %s: %s", d->data,
			strerror(errno));
	if ((double)v.f_bavail * (double)v.f_frsize < 10 * GIB)
		mr_doctor_say(d, MR_DOCTOR_ADVICE, name, NULL, "%.1f GiB free in %s",
			(double)v.f_bavail * (double)v.f_frsize / GIB, d->data);
	else if (fd >= 0)
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "O_DIRECT works, %.1f GiB free in %s",
			(double)v.f_bavail * (double)v.f_frsize / GIB, d->data);
}

static void look_at_cache(struct mr_doctor *d, const char *entry, void *arg)
{
	const char *name = arg;
	char cache[64];

	if (strncmp(entry, "loop", 4) == 0 || strncmp(entry, "ram", 3) == 0 ||
		strncmp(entry, "zram", 4) == 0)
		return;
	if (mr_doctor_read(d, cache, sizeof(cache), "/sys/block/%s/queue/write_cache", entry))
		mr_doctor_say(d, MR_DOCTOR_OK, name, NULL, "%s: %s%s", entry, cache,
			strcmp(cache, "write back") == 0
				? ": each acknowledgement waits for a flush of its cache"
				: "");
}

static void check_cache(struct mr_doctor *d, const char *name)
{
	mr_doctor_list(d, "/sys/block", look_at_cache, (void *)(uintptr_t)name);
}

const struct mr_doctor_check mr_doctor_host[] = {
	{"cpu", false, check_cpu},
	{"clock", false, check_governor},
	{"isolation", false, check_isolation},
	{"interrupts", false, check_irqs},
	{"pages", false, check_pages},
	{"memory", false, check_memory},
	{"io_uring", false, check_uring},
	{"limits", false, check_limits},
	{"real-time", false, check_realtime},
	{"disk", false, check_disk},
	{"disk cache", false, check_cache},
};
const size_t mr_doctor_host_count = MR_COUNT_OF(mr_doctor_host);
