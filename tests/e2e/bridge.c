// Joins a network device of DPDK's to a tap of the kernel's, so that real clients reach a daemon
// over devices which no kernel has the other end of: memif, virtio-user, vhost-user.
//
//	bridge MODULE TAP MTU EAL
//
// Says "ready" when the device is open, and ends with the process that has started it. What the
// other side has no room for is lost, as on any wire.
#include "dataplane/tcpip/port_dpdk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/poll.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { BURST = MR_PORT_BURST, NAP_MS = 1, IDLE_ROUNDS = 200 };

static void die(const char *what)
{
	fprintf(stderr, "bridge: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_tap(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		die(name);
	return fd;
}

static struct mr_port *open_port(const char *module, uint16_t mtu, const char *eal)
{
	static const struct mr_queue_place place = {-1, -1};
	const struct mr_dpdk_options o = {.eal = eal,
		.workers = 1,
		.places = &place,
		.main_pu = -1,
		.mtu = mtu,
		.sums = MR_DPDK_SUMS_SW,
		.note = mr_note};
	const struct mr_dpdk_driver *driver;
	struct mr_diag diag = {0};
	struct mr_dpdk *d;

	if (mr_dpdk_load(module, &driver, &diag) < 0 || driver->open(&o, &d, &diag) < 0) {
		fprintf(stderr, "bridge: %s (%s)\n", diag.message, diag.hint);
		exit(1);
	}
	driver->enter(driver->port(d, 0));
	return driver->port(d, 0);
}

static int from_port(struct mr_port *p, int tap)
{
	struct mr_frame f[BURST];
	int n = mr_port_rx(p, f, BURST);

	if (n <= 0)
		return 0;
	for (int i = 0; i < n; i++)
		if (write(tap, f[i].data, f[i].bytes) < 0 && errno != EAGAIN && errno != EIO)
			die("write");
	mr_port_rx_done(p, f, n);
	return n;
}

static int from_tap(struct mr_port *p, int tap)
{
	struct mr_frame f[BURST];
	int n = mr_port_tx_alloc(p, f, BURST), got = 0;

	for (int i = 0; i < n; i++) {
		ssize_t bytes = read(tap, f[i].data, p->frame_bytes_max);

		f[i].bytes = bytes > 0 ? (uint32_t)bytes : 0;
		got += bytes > 0;
	}
	mr_port_tx(p, f, n);
	return got;
}

int main(int argc, char **argv)
{
	struct mr_port *port;
	int tap, idle = 0;

	if (argc != 5)
		return 2;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		die("prctl");
	tap = open_tap(argv[2]);
	port = open_port(argv[1], (uint16_t)atoi(argv[3]), argv[4]);
	for (;;) {
		idle = from_port(port, tap) + from_tap(port, tap) ? 0 : idle + 1;
		if (idle > IDLE_ROUNDS) {
			port->ops->refresh(port);
			(void)poll(&(struct pollfd){tap, POLLIN, 0}, 1, NAP_MS);
		}
	}
}
