// millrace doctor against trees of files that stand in for hosts.
#include "client/doctor.h"
#include "tests/lib/mr_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct host {
	char root[64];
	struct mr_doctor doctor;
};

static void put(const struct host *h, const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", h->root, path);
	for (char *p = full + strlen(h->root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int set_up(void **state)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	strcpy(h->root, "/tmp/mr-doctor.XXXXXX");
	assert_non_null(mkdtemp(h->root));
	h->doctor = (struct mr_doctor){.root = h->root, .workers = 2};
	*state = h;
	return 0;
}

static int tear_down(void **state)
{
	struct host *h = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", h->root);
	assert_int_equal(system(command), 0);
	mr_buf_fini(&h->doctor.report);
	free(h);
	return 0;
}

// The report, as text.
static const char *report(struct host *h)
{
	mr_buf_reset(&h->doctor.report);
	memset(h->doctor.found, 0, sizeof(h->doctor.found));
	mr_doctor_run(&h->doctor);
	mr_buf_u8(&h->doctor.report, 0);
	return (const char *)h->doctor.report.data;
}

static void governor_that_saves_power_is_named_with_its_remedy(void **state)
{
	struct host *h = *state;
	const char *path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";

	put(h, path, "powersave\n");
	put(h, "/sys/devices/system/cpu/cpuidle/current_driver", "none\n");
	assert_non_null(strstr(report(h), "cpupower frequency-set -g performance"));
	put(h, path, "performance\n");
	assert_null(strstr(report(h), "cpupower"));
}

static void isolation_and_interrupts_on_isolated_processors(void **state)
{
	struct host *h = *state;

	assert_non_null(strstr(report(h), "isolcpus="));
	put(h, "/sys/devices/system/cpu/isolated", "2-3,8\n");
	put(h, "/proc/irq/24/effective_affinity_list", "1\n");
	assert_null(strstr(report(h), "isolcpus="));
	assert_non_null(strstr(report(h), "no interrupt on an isolated processor"));
	put(h, "/proc/irq/25/effective_affinity_list", "8\n");
	assert_non_null(strstr(report(h), "/proc/irq/25/smp_affinity_list"));
}

static void strict_overcommit_is_lacking(void **state)
{
	struct host *h = *state;

	put(h, "/proc/sys/vm/overcommit_memory", "2\n");
	assert_non_null(strstr(report(h), "vm.overcommit_memory=0"));
	assert_true(h->doctor.found[MR_DOCTOR_LACKS] >= 1);
	put(h, "/proc/sys/vm/overcommit_memory", "0\n");
	assert_null(strstr(report(h), "vm.overcommit_memory"));
}

static void checks_of_dpdk_come_only_when_asked_for(void **state)
{
	struct host *h = *state;

	assert_null(strstr(report(h), "huge pages  "));
	h->doctor.dpdk = true;
	assert_non_null(strstr(report(h), "sysctl -w vm.nr_hugepages=128"));
	assert_non_null(strstr(report(h), "modprobe vfio-pci"));
	assert_non_null(strstr(report(h), "only virtual ports"));
}

static void huge_pages_are_counted_by_node(void **state)
{
	struct host *h = *state;

	h->doctor.dpdk = true;
	put(h, "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages", "256\n");
	put(h, "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "0\n");
	assert_non_null(strstr(report(h), "256 pages of 2 MiB"));
	assert_non_null(strstr(report(h), "1 of 2 NUMA nodes have no huge pages"));
	put(h, "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/free_hugepages",
		"1\n");
	assert_null(strstr(report(h), "have no huge pages"));
}

static void nics_are_listed_with_who_has_them(void **state)
{
	struct host *h = *state;

	h->doctor.dpdk = true;
	put(h, "/sys/bus/pci/devices/0000:3b:00.0/class", "0x020000\n");
	put(h, "/sys/bus/pci/devices/0000:3b:00.0/numa_node", "1\n");
	put(h, "/sys/bus/pci/devices/0000:00:1f.2/class", "0x010601\n");
	assert_non_null(strstr(report(h), "driverctl set-override 0000:3b:00.0 vfio-pci"));
	assert_null(strstr(report(h), "0000:00:1f.2"));
	put(h, "/sys/bus/pci/drivers/vfio-pci/0000:3b:00.0/class", "0x020000\n");
	assert_non_null(strstr(report(h), "0000:3b:00.0 on node 1 is vfio-pci's"));
}

static void veth_is_told_from_other_devices(void **state)
{
	struct host *h = *state;

	h->doctor.dpdk = true;
	put(h, "/sys/class/net/eth0/device/vendor", "0x15b3\n");
	put(h, "/sys/class/net/eth0/ifindex", "2\n");
	put(h, "/sys/class/net/eth0/iflink", "9\n");
	put(h, "/sys/class/net/dummy0/ifindex", "3\n");
	put(h, "/sys/class/net/dummy0/iflink", "3\n");
	assert_null(strstr(report(h), "ethtool"));
	put(h, "/sys/class/net/vb/ifindex", "5\n");
	put(h, "/sys/class/net/vb/iflink", "4\n");
	assert_non_null(strstr(report(h), "ethtool -K vb tx off tso off gso off"));
}

static void data_directory_that_is_missing_is_lacking(void **state)
{
	struct host *h = *state;

	h->doctor.data = "/nonexistent/data";
	assert_non_null(strstr(report(h), "/nonexistent/data"));
	assert_true(h->doctor.found[MR_DOCTOR_LACKS] >= 1);
	h->doctor.data = h->root;
	report(h);
	assert_null(strstr((const char *)h->doctor.report.data, "cannot write"));
}

static void descriptors_are_counted_for_the_workers(void **state)
{
	struct host *h = *state;
	const struct rlimit few = {1024, 1024};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_non_null(strstr(report(h), "1024 descriptors: "));
	assert_non_null(strstr(report(h), "of 20000, "));
	assert_non_null(strstr(report(h), "LimitNOFILE=21252"));
	h->doctor.workers = 128;
	assert_non_null(strstr(report(h), "too few: 128 workers"));
	assert_true(h->doctor.found[MR_DOCTOR_LACKS] >= 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(governor_that_saves_power_is_named_with_its_remedy),
		TEST(isolation_and_interrupts_on_isolated_processors),
		TEST(strict_overcommit_is_lacking), TEST(checks_of_dpdk_come_only_when_asked_for),
		TEST(huge_pages_are_counted_by_node), TEST(nics_are_listed_with_who_has_them),
		TEST(veth_is_told_from_other_devices),
		TEST(data_directory_that_is_missing_is_lacking),
		TEST(descriptors_are_counted_for_the_workers), // the last: lowers a hard limit
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
