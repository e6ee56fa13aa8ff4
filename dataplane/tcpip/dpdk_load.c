// Finding and loading the DPDK module.
#include "dataplane/tcpip/port_dpdk.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The module beside the executable.
static int beside_us(char *out, size_t bytes)
{
	char self[4000];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = 0;
	snprintf(out, bytes, "%s%s", self, MR_DPDK_MODULE);
	return 0;
}

static int missing(const char *path, const char *why, struct mr_diag *diag)
{
	int rc = mr_diag_set(diag, -ENOENT, "58P01", 0, "cannot load %s: %s", path, why);

	if (access(path, F_OK) != 0)
		mr_diag_hint(diag, "Build it with `make` (not DPDK=0), or name it by "
				   "--set net.module=PATH.");
	else
		mr_diag_hint(diag, "It needs DPDK 22.11: on Debian, `apt install dpdk`.");
	return rc;
}

int mr_dpdk_load(const char *path, const struct mr_dpdk_driver **out, struct mr_diag *diag)
{
	const struct mr_dpdk_driver *driver;
	char found[4096];
	void *module;
	int rc = 0;

	if (path && path[0])
		snprintf(found, sizeof(found), "%s", path);
	else
		rc = beside_us(found, sizeof(found));
	if (rc < 0)
		return mr_diag_set(diag, rc, "58000", 0, "cannot tell where this program lies: %s",
			mr_err_text(rc));
	module = dlopen(found, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!module)
		return missing(found, access(found, F_OK) == 0 ? dlerror() : "no such file", diag);
	driver = dlsym(module, "mr_dpdk_driver");
	if (!driver || driver->interface != MR_DPDK_INTERFACE)
		return mr_diag_set(diag, MR_ERR_VERSION, "58000", 0,
			"%s is of another version than this program", found);
	*out = driver;
	return 0;
}
