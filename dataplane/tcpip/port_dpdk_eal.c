// Starting DPDK's EAL: its arguments and its log.
//
// What a virtual device on a laptop needs is added to the arguments unless they speak of it: memory
// without huge pages where there are none free, no files or sockets of its own in /run, no search
// of the PCI bus when a --vdev is named.
#include "dataplane/tcpip/port_dpdk_int.h"

#include <rte_eal.h>
#include <rte_errno.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 320, MTU_DEFAULT = 1500 };

// EAL can be started once in a process, and writes its log to one place.
static struct {
	bool started;
	void (*note)(enum mr_note_level level, const char *subsystem, const char *fmt, ...);
	char last_error[LINE_BYTES];
} eal;

// ---- EAL's log becomes ours

static ssize_t log_write(void *, const char *text, size_t bytes)
{
	int level = rte_log_cur_msg_loglevel();
	bool bad = level <= (int)RTE_LOG_ERR;
	size_t n = bytes;

	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	if (!n)
		return (ssize_t)bytes;
	if (bad)
		snprintf(eal.last_error, sizeof(eal.last_error), "%.*s",
			(int)MR_MIN(n, (size_t)LINE_BYTES - 1), text);
	eal.note(level <= (int)RTE_LOG_WARNING ? MR_NOTE_INFO : MR_NOTE_DEBUG, "dpdk", "%.*s",
		(int)n, text);
	return (ssize_t)bytes;
}

static int redirect_log(void)
{
	const cookie_io_functions_t io = {.write = log_write};
	FILE *f = fopencookie(NULL, "w", io);

	if (!f)
		return -errno;
	setvbuf(f, NULL, _IOLBF, 1024);
	return rte_openlog_stream(f) == 0 ? 0 : -EIO;
}

// ---- EAL's arguments

// Huge pages that nobody has yet, of any size.
static uint64_t free_huge_pages(void)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	unsigned long long n, all = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char path[384];
		FILE *f;

		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%.200s/free_hugepages",
			e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &n) == 1)
			all += n;
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return all;
}

static bool has_any(const struct mr_dpdk_args *a, const char *const *options)
{
	for (; *options; options++)
		if (mr_dpdk_args_has(a, *options))
			return true;
	return false;
}

static int add_memory(struct mr_dpdk_args *a, const struct mr_dpdk_options *o)
{
	static const char *const said[] = {"--in-memory", "--no-huge", "--legacy-mem", "--huge-dir",
		"--file-prefix", "--huge-unlink", "--proc-type", NULL};
	static const char *const amount[] = {"-m", "--socket-mem", NULL};
	unsigned mib = 64 + o->workers * (o->mtu > MTU_DEFAULT ? 160u : 40u);
	char text[16];
	int rc;

	if (has_any(a, said))
		return 0;
	if (free_huge_pages()) {
		rc = mr_dpdk_args_add(a, "--in-memory");
		// Peers over memif or vhost map our memory by few descriptors.
		return rc < 0 ? rc : mr_dpdk_args_add(a, "--single-file-segments");
	}
	rc = mr_dpdk_args_add(a, "--no-huge");
	if (rc == 0)
		rc = mr_dpdk_args_add(a, "--no-shconf");
	if (rc < 0 || has_any(a, amount))
		return rc;
	snprintf(text, sizeof(text), "%u", mib);
	rc = mr_dpdk_args_add(a, "-m");
	return rc < 0 ? rc : mr_dpdk_args_add(a, text);
}

static int add_lcores(struct mr_dpdk_args *a, const struct mr_dpdk_options *o)
{
	static const char *const said[] = {
		"-l", "-c", "--lcores", "-S", "--main-lcore", "-s", NULL};
	char text[32];
	int rc;

	if (has_any(a, said))
		return 0;
	// One thread of EAL's own; workers are ours, and are made known to it as they start.
	snprintf(text, sizeof(text), "0@%d", MR_MAX(o->main_pu, 0));
	rc = mr_dpdk_args_add(a, "--lcores");
	return rc < 0 ? rc : mr_dpdk_args_add(a, text);
}

static int add_defaults(struct mr_dpdk_args *a, const struct mr_dpdk_options *o)
{
	static const char *const iova[] = {"--iova-mode", NULL};
	static const char *const telemetry[] = {"--telemetry", "--no-telemetry", NULL};
	static const char *const pci[] = {"-a", "--allow", "--no-pci", NULL};
	int rc = add_lcores(a, o);

	if (rc == 0)
		rc = add_memory(a, o);
	if (rc == 0 && !has_any(a, iova))
		rc = mr_dpdk_args_add(a, "--iova-mode=va");
	if (rc == 0 && !has_any(a, telemetry))
		rc = mr_dpdk_args_add(a, "--no-telemetry");
	if (rc == 0 && mr_dpdk_args_has(a, "--vdev") && !has_any(a, pci))
		rc = mr_dpdk_args_add(a, "--no-pci");
	return rc;
}

// rte_eal_init pins the thread that calls it.
static int init_keeping_affinity(struct mr_dpdk_args *a)
{
	cpu_set_t before;
	bool known = sched_getaffinity(0, sizeof(before), &before) == 0;
	int rc = rte_eal_init(a->count, a->v);
	int err = rc < 0 ? -rte_errno : 0;

	if (known)
		(void)sched_setaffinity(0, sizeof(before), &before);
	return err;
}

int mr_dpdk_start_eal(const struct mr_dpdk_options *o, struct mr_diag *diag)
{
	struct mr_dpdk_args given, a = {0};
	int rc = mr_dpdk_args_split(&given, o->eal ? o->eal : "", diag);

	if (rc < 0)
		return rc;
	if (eal.started)
		return mr_diag_set(
			diag, -EALREADY, "58000", 0, "DPDK starts once in a process only");
	eal.note = o->note;
	rc = mr_dpdk_args_add(&a, "millraced");
	for (int i = 0; rc == 0 && i < given.count; i++)
		rc = mr_dpdk_args_add(&a, given.v[i]);
	if (rc == 0)
		rc = add_defaults(&a, o);
	if (rc == 0)
		rc = redirect_log();
	if (rc < 0)
		return mr_diag_set(diag, rc, "58000", 0, "cannot start DPDK: %s", mr_err_text(rc));
	rc = init_keeping_affinity(&a);
	if (rc < 0) {
		mr_diag_set(diag, rc, "58000", 0, "cannot start DPDK: %s", rte_strerror(-rc));
		if (eal.last_error[0])
			mr_diag_hint(diag, "EAL says: %s.", eal.last_error);
		return rc;
	}
	eal.started = true;
	return 0;
}

const char *mr_dpdk_eal_said(void)
{
	return eal.last_error;
}

void mr_dpdk_eal_hush(void)
{
	eal.last_error[0] = 0;
}
