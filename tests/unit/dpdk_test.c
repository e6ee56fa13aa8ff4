// The DPDK port over devices that need no hardware: net_ring (what is sent comes back), net_null,
// and net_memif between two processes, one of which is started again.
//
// DPDK starts once in a process, so every test runs in a child of its own. Where the module is not
// built (DPDK=0) or memory is refused, the tests are left out with a line that says why.
#include "dataplane/tcpip/port_dpdk.h"
#include "tests/lib/mr_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/poll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BURST = MR_PORT_BURST, PORT = 9092, WORKERS_MAX = 4, FRAME_BYTES = 60, EXIT_SKIP = 77 };

static const struct mr_dpdk_driver *driver;
static struct mr_queue_place places[WORKERS_MAX];
static uint16_t queues_max;

static void quiet(enum mr_note_level, const char *, const char *, ...)
{
}

static struct mr_dpdk *open_or_skip(const char *eal, uint16_t workers, enum mr_dpdk_sums sums)
{
	struct mr_dpdk_options o = {.eal = eal,
		.workers = workers,
		.places = places,
		.main_pu = -1,
		.queues_max = queues_max,
		.sums = sums,
		.note = quiet};
	struct mr_dpdk *d = NULL;
	struct mr_diag diag = {0};

	for (int w = 0; w < WORKERS_MAX; w++)
		places[w] = (struct mr_queue_place){-1, -1};
	if (driver->open(&o, &d, &diag) < 0) {
		printf("%s (%s)\n", diag.message, diag.hint);
		exit(diag.sqlstate[0] == '5' && strstr(diag.message, "memory") ? EXIT_SKIP : 1);
	}
	driver->steer(d, PORT);
	return d;
}

// A TCP segment of IPv4 for `port`, `number` in its sequence, or an ARP frame for port 0.
static void write_frame(struct mr_frame *f, uint16_t port, uint32_t number)
{
	uint8_t *b = f->data;

	memset(b, 0, FRAME_BYTES);
	f->bytes = FRAME_BYTES;
	mr_store_be16(b + 12, port ? MR_ETHERTYPE_IP4 : MR_ETHERTYPE_ARP);
	b[14] = 0x45;
	b[23] = MR_IP_TCP;
	mr_store_be16(b + 36, port);
	mr_store_be32(b + 38, number);
}

static uint16_t port_of(const struct mr_frame *f)
{
	return mr_load_be16(f->data + 12) == MR_ETHERTYPE_ARP ? 0 : mr_load_be16(f->data + 36);
}

static void send_frames(struct mr_port *p, uint16_t port, uint32_t number, int count)
{
	struct mr_frame f[BURST];

	assert_int_equal(mr_port_tx_alloc(p, f, count), count);
	for (int i = 0; i < count; i++)
		write_frame(&f[i], port, number + (uint32_t)i);
	mr_port_tx(p, f, count);
}

// ---- in one process

// More frames than any pool holds: each comes back whole and in order, and none is kept.
static void ring_gives_back_what_was_sent(void)
{
	struct mr_dpdk *d = open_or_skip("--vdev net_ring0", 1, MR_DPDK_SUMS_HW);
	struct mr_port *p = driver->port(d, 0);
	struct mr_frame f[BURST];
	uint32_t next = 0;

	driver->enter(p);
	for (uint32_t at = 0; at < 40000; at += BURST) {
		int n;

		send_frames(p, PORT, at, BURST);
		n = mr_port_rx(p, f, BURST);
		assert_int_equal(n, BURST);
		for (int i = 0; i < n; i++) {
			assert_int_equal(f[i].bytes, FRAME_BYTES);
			assert_int_equal(f[i].flags, 0);
			assert_int_equal(mr_load_be32(f[i].data + 38), next++);
		}
		mr_port_rx_done(p, f, n);
	}
	assert_int_equal(mr_port_rx(p, f, BURST), 0);
	assert_int_equal(p->counters.rx_frames, next);
	assert_int_equal(p->counters.tx_frames, next);
	assert_int_equal(p->counters.rx_bytes, (uint64_t)next * FRAME_BYTES);
	assert_int_equal(p->counters.tx_dropped + p->counters.tx_no_frame, 0);
	driver->leave(p);
	driver->close(d);
}

// Frames that are not sent go back, those for which there is no room are counted.
static void frames_are_given_back_or_counted(void)
{
	struct mr_dpdk *d = open_or_skip("--vdev net_ring0", 1, MR_DPDK_SUMS_HW);
	struct mr_port *p = driver->port(d, 0);
	struct mr_frame f[BURST];
	uint64_t all = 0;

	driver->enter(p);
	for (int i = 0; i < 1000; i++) {
		int n = mr_port_tx_alloc(p, f, BURST);

		assert_int_equal(n, BURST);
		mr_port_tx(p, f, n);
	}
	assert_int_equal(p->counters.tx_frames, 0);
	for (int i = 0; i < 200; i++) {
		int n = mr_port_tx_alloc(p, f, BURST);

		for (int k = 0; k < n; k++)
			write_frame(&f[k], PORT, 0);
		mr_port_tx(p, f, n);
		all += (uint64_t)n;
	}
	// A full device keeps a few and gives out no more frames, instead of losing them.
	assert_true(p->counters.tx_waits > 0);
	assert_int_equal(p->counters.tx_dropped, 0);
	assert_in_range(all - p->counters.tx_frames, 1, 3 * BURST);
	driver->leave(p);
	driver->close(d);
}

static void memory_and_trust_are_as_asked(void)
{
	struct mr_dpdk *d =
		open_or_skip("--vdev 'net_null0,size=1400,copy=1'", 1, MR_DPDK_SUMS_TRUST);
	struct mr_port *p = driver->port(d, 0);
	struct mr_dpdk_info info;
	struct mr_frame f[BURST];

	driver->enter(p);
	for (int i = 0; i < 2000; i++) {
		int n = mr_port_rx(p, f, BURST);

		assert_int_equal(n, BURST);
		assert_int_equal(f[0].bytes, 1400);
		assert_int_equal(f[0].flags, MR_FRAME_L3_GOOD | MR_FRAME_L4_GOOD);
		mr_port_rx_done(p, f, n);
	}
	driver->describe(d, &info);
	assert_string_equal(info.driver, "net_null");
	assert_string_equal(info.name, "net_null0");
	assert_int_equal(info.rx_queues, 1);
	assert_true(info.pool_bytes > 0 && info.rx_frames >= 64000);
	driver->leave(p);
	driver->close(d);
}

struct got {
	uint32_t next[WORKERS_MAX]; // by port, 0 of each burst
	int learn, answer;
};

// Takes all that worker `w` is to get; each segment has to be its own and the next in order.
static void take_all(struct mr_dpdk *d, int w, struct got *g)
{
	struct mr_port *p = driver->port(d, (uint16_t)w);
	struct mr_frame f[BURST];
	int n;

	while ((n = mr_port_rx(p, f, BURST)) > 0) {
		for (int i = 0; i < n; i++) {
			uint16_t port = port_of(&f[i]);

			if (port == 0) {
				g->learn += (f[i].flags & MR_FRAME_LEARN) != 0;
				g->answer += !(f[i].flags & MR_FRAME_LEARN);
				continue;
			}
			assert_int_equal(port, PORT + w);
			assert_int_equal(mr_load_be32(f[i].data + 38), g->next[w]++);
		}
		mr_port_rx_done(p, f, n);
	}
}

// One queue for four workers, read by whoever comes; then a queue for each, every frame on the
// wrong one.
static void check_sorting(struct mr_dpdk *d, int sender)
{
	struct got g[WORKERS_MAX] = {0};
	struct mr_port *from = driver->port(d, (uint16_t)sender);
	uint64_t in = 0, out = 0, lost = 0;

	driver->enter(from);
	for (uint32_t round = 0; round < 500; round++) {
		for (int w = 0; w < WORKERS_MAX; w++)
			send_frames(from, (uint16_t)(PORT + w), round * 8, 8);
		for (int w = 0; w < WORKERS_MAX; w++)
			take_all(d, (w + (int)round) % WORKERS_MAX,
				&g[(w + (int)round) % WORKERS_MAX]);
	}
	send_frames(from, 0, 0, 5);
	for (int k = 0; k < 2; k++)
		for (int w = 0; w < WORKERS_MAX; w++)
			take_all(d, w, &g[w]);
	for (int k = 0; k < 2; k++)
		for (int w = 0; w < WORKERS_MAX; w++)
			take_all(d, w, &g[w]);
	for (int w = 0; w < WORKERS_MAX; w++) {
		struct mr_port_counters *c = &driver->port(d, (uint16_t)w)->counters;

		assert_int_equal(g[w].next[w], 4000);
		assert_int_equal(g[w].answer, w == 0 ? 5 : 0);
		assert_int_equal(g[w].learn, w == 0 ? 0 : 5);
		in += c->steered_in;
		out += c->steered_out;
		lost += c->steered_lost;
	}
	assert_int_equal(in, out);
	assert_true(in > 0);
	assert_int_equal(lost, 0);
	driver->leave(from);
	driver->close(d);
}

static void one_queue_is_sorted_for_four_workers(void)
{
	struct mr_dpdk_info info;
	struct mr_dpdk *d;

	queues_max = 1;
	d = open_or_skip("--vdev net_ring0", WORKERS_MAX, MR_DPDK_SUMS_SW);
	driver->describe(d, &info);
	assert_int_equal(info.rx_queues, 1);
	assert_int_equal(info.tx_queues, 1);
	check_sorting(d, 2);
}

static void queues_that_bring_others_frames_are_sorted(void)
{
	check_sorting(open_or_skip("--vdev net_ring0", WORKERS_MAX, MR_DPDK_SUMS_SW), 2);
}

static void a_worker_that_gets_nothing_loses_to_its_rings_bound(void)
{
	struct mr_dpdk *d = open_or_skip("--vdev net_ring0", 2, MR_DPDK_SUMS_SW);
	struct mr_port *p = driver->port(d, 0);
	struct mr_frame f[BURST];

	driver->enter(p);
	for (int i = 0; i < 100; i++) {
		int n;

		send_frames(p, PORT + 1, 0, BURST);
		n = mr_port_rx(p, f, BURST);
		assert_int_equal(n, 0);
	}
	assert_int_equal(p->counters.steered_out + p->counters.steered_lost, 100 * BURST);
	assert_in_range(p->counters.steered_out, 500, 1024);
	// The frames that were lost have not been kept: there is memory for more.
	send_frames(p, PORT, 0, BURST);
	assert_int_equal(mr_port_rx(p, f, BURST), BURST);
	mr_port_rx_done(p, f, BURST);
	driver->leave(p);
	driver->close(d);
}

static void what_is_missing_is_said(void)
{
	struct mr_dpdk_options o = {.eal = "--vdev net_null0",
		.port = "net_tap7",
		.workers = 1,
		.places = places,
		.main_pu = -1,
		.note = quiet};
	struct mr_diag diag = {0};
	struct mr_dpdk *d;

	assert_true(driver->open(&o, &d, &diag) < 0);
	assert_string_equal(diag.message, "DPDK has no port named net_tap7");
}

static void no_device_is_said(void)
{
	struct mr_dpdk_options o = {
		.eal = "--no-pci", .workers = 1, .places = places, .main_pu = -1, .note = quiet};
	struct mr_diag diag = {0};
	struct mr_dpdk *d;

	assert_true(driver->open(&o, &d, &diag) < 0);
	assert_string_equal(diag.message, "DPDK has found no port");
	assert_true(strstr(diag.hint, "--vdev"));
}

static void eal_refuses_with_its_own_words(void)
{
	struct mr_dpdk_options o = {.eal = "--vdev nonsense0",
		.workers = 1,
		.places = places,
		.main_pu = -1,
		.note = quiet};
	struct mr_diag diag = {0};
	struct mr_dpdk *d;

	assert_true(driver->open(&o, &d, &diag) < 0);
	assert_true(strstr(diag.message, "DPDK"));
}

// ---- over memif, two processes

static char memif_eal[2][256];

static void nap(void)
{
	nanosleep(&(struct timespec){0, 200000}, NULL);
}

// Gives back what comes, until it gets a frame for port 1.
static void memif_echo(void)
{
	struct mr_dpdk *d = open_or_skip(memif_eal[1], 1, MR_DPDK_SUMS_HW);
	struct mr_port *p = driver->port(d, 0);
	bool last = false;

	driver->enter(p);
	for (int idle = 0; !last && idle < 50000;) {
		struct mr_frame in[BURST], out[BURST];
		int n = mr_port_rx(p, in, BURST), m = 0;

		if (n == 0) {
			idle++;
			nap();
			continue;
		}
		if (n > 0)
			m = mr_port_tx_alloc(p, out, n);
		for (int i = 0; i < m; i++) {
			last |= port_of(&in[i]) == 1;
			memcpy(out[i].data, in[i].data, in[i].bytes);
			out[i].bytes = in[i].bytes;
		}
		mr_port_rx_done(p, in, n);
		mr_port_tx(p, out, m);
		idle = 0;
	}
	// What was given back is on its way while the peer reads it.
	for (int i = 0; i < 50; i++)
		nap();
	driver->leave(p);
	driver->close(d);
}

// A process of its own, that has not started DPDK yet.
static pid_t start_echo(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "dpdk_test", memif_eal[1], NULL);
		_exit(1);
	}
	return pid;
}

static bool wait_link(struct mr_port *p, bool up)
{
	for (int i = 0; i < 50000; i++) {
		p->ops->refresh(p);
		if (p->link_up == up)
			return true;
		nap();
	}
	return false;
}

// Sends bursts and counts what comes back, sleeping on the port's descriptor where there is one.
static uint32_t exchange(struct mr_port *p, uint32_t bursts, int tries)
{
	uint32_t back = 0;

	for (uint32_t b = 0; b < bursts; b++) {
		uint32_t want = back + BURST;

		send_frames(p, PORT, b * BURST, BURST);
		for (int i = 0; back < want && i < tries; i++) {
			struct mr_frame f[BURST];
			int n = mr_port_rx(p, f, BURST), fd = p->ops->wait_fd(p);

			if (n > 0)
				mr_port_rx_done(p, f, n);
			back += (uint32_t)n;
			if (n)
				continue;
			p->ops->arm(p, true);
			if (fd >= 0)
				poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1);
			else
				nap();
			p->ops->arm(p, false);
		}
	}
	return back;
}

static void memif_carries_and_survives_its_peer(void)
{
	struct mr_dpdk *d = open_or_skip(memif_eal[0], 1, MR_DPDK_SUMS_HW);
	struct mr_port *p = driver->port(d, 0);
	pid_t peer = start_echo();
	int status, warm = 0;

	driver->enter(p);
	for (int life = 0; life < 2; life++) {
		assert_true(wait_link(p, true));
		// Frames are lost until both sides have mapped their rings.
		while (exchange(p, 1, 50) == 0 && warm++ < 100)
			;
		assert_int_equal(exchange(p, 100, 5000), 100 * BURST);
		// The peer goes without a word; what is sent then is lost, and nothing breaks.
		kill(peer, SIGKILL);
		waitpid(peer, &status, 0);
		assert_true(wait_link(p, false));
		assert_int_equal(exchange(p, 2, 20), 0);
		peer = start_echo();
	}
	assert_true(wait_link(p, true));
	assert_true(p->counters.link_changes >= 4);
	send_frames(p, 1, 0, 1);
	waitpid(peer, &status, 0);
	driver->leave(p);
	driver->close(d);
}

// ---- children

static void in_child(void (*test)(void))
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		test();
		fflush(stdout);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP)
		skip();
	assert_int_equal(status, 0);
}

#define CHILD_TEST(name)                 \
	static void name##_test(void **) \
	{                                \
		in_child(name);          \
	}
CHILD_TEST(ring_gives_back_what_was_sent)
CHILD_TEST(frames_are_given_back_or_counted)
CHILD_TEST(memory_and_trust_are_as_asked)
CHILD_TEST(one_queue_is_sorted_for_four_workers)
CHILD_TEST(queues_that_bring_others_frames_are_sorted)
CHILD_TEST(a_worker_that_gets_nothing_loses_to_its_rings_bound)
CHILD_TEST(what_is_missing_is_said)
CHILD_TEST(no_device_is_said)
CHILD_TEST(eal_refuses_with_its_own_words)
CHILD_TEST(memif_carries_and_survives_its_peer)

// ---- without DPDK

static void arguments_are_split_as_a_shell_does(void **)
{
	static const struct {
		const char *text;
		int count; // -1: refused
		const char *v[3];
	} cases[] = {
		{"", 0, {0}},
		{"  \t ", 0, {0}},
		{"-l 0 --no-pci", 3, {"-l", "0", "--no-pci"}},
		{"--vdev 'net_tap0,iface=mr 0'", 2, {"--vdev", "net_tap0,iface=mr 0"}},
		{"--vdev=\"a\\\"b\"", 1, {"--vdev=a\"b"}},
		{"'' a\\ b", 2, {"", "a b"}},
		{"a'b'\"c\"d", 1, {"abcd"}},
		{"'a\\b'", 1, {"a\\b"}},
		{"'open", -1, {0}},
		{"\"open", -1, {0}},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		struct mr_dpdk_args a;
		struct mr_diag diag = {0};
		int rc = mr_dpdk_args_split(&a, cases[i].text, &diag);

		assert_int_equal(rc, cases[i].count < 0 ? -EINVAL : 0);
		if (rc < 0) {
			assert_true(diag.message[0]);
			continue;
		}
		assert_int_equal(a.count, cases[i].count);
		for (int k = 0; k < a.count; k++)
			assert_string_equal(a.v[k], cases[i].v[k]);
		assert_null(a.v[a.count]);
	}
}

static void too_many_arguments_are_refused(void **)
{
	char text[4 * MR_DPDK_ARGS_BYTES];
	struct mr_dpdk_args a;
	struct mr_diag diag;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	assert_int_equal(mr_dpdk_args_split(&a, text, &diag), -EINVAL);
	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		text[i] = ' ';
	assert_int_equal(mr_dpdk_args_split(&a, text, &diag), -EINVAL);
	assert_int_equal(mr_dpdk_args_split(&a, "--vdev=x -a y", &diag), 0);
	assert_true(mr_dpdk_args_has(&a, "--vdev") && mr_dpdk_args_has(&a, "-a"));
	assert_false(mr_dpdk_args_has(&a, "--vde") || mr_dpdk_args_has(&a, "y="));
}

static void a_missing_module_is_said(void **)
{
	const struct mr_dpdk_driver *none;
	struct mr_diag diag;

	assert_true(mr_dpdk_load("/nowhere/millrace-dpdk.so", &none, &diag) < 0);
	assert_string_equal(diag.message, "cannot load /nowhere/millrace-dpdk.so: no such file");
	assert_true(strstr(diag.hint, "net.module"));
}

// The module lies two folders above the tests.
static bool load(void)
{
	char path[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	struct mr_diag diag;

	assert_true(n > 0);
	path[n] = 0;
	for (int i = 0; i < 3 && (slash = strrchr(path, '/')); i++)
		*slash = 0;
	strcat(path, "/" MR_DPDK_MODULE);
	if (mr_dpdk_load(path, &driver, &diag) == 0)
		return true;
	printf("DPDK is left out: %s\n", diag.message);
	return false;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest plain[] = {
		cmocka_unit_test(arguments_are_split_as_a_shell_does),
		cmocka_unit_test(too_many_arguments_are_refused),
		cmocka_unit_test(a_missing_module_is_said),
	};
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_gives_back_what_was_sent_test),
		cmocka_unit_test(frames_are_given_back_or_counted_test),
		cmocka_unit_test(memory_and_trust_are_as_asked_test),
		cmocka_unit_test(one_queue_is_sorted_for_four_workers_test),
		cmocka_unit_test(queues_that_bring_others_frames_are_sorted_test),
		cmocka_unit_test(a_worker_that_gets_nothing_loses_to_its_rings_bound_test),
		cmocka_unit_test(what_is_missing_is_said_test),
		cmocka_unit_test(no_device_is_said_test),
		cmocka_unit_test(eal_refuses_with_its_own_words_test),
		cmocka_unit_test(memif_carries_and_survives_its_peer_test),
	};
	char dir[] = "/tmp/mr-dpdk-XXXXXX";
	int failed;

	if (argc > 1) {
		snprintf(memif_eal[1], sizeof(memif_eal[1]), "%s", argv[1]);
		assert_true(load());
		memif_echo();
		return 0;
	}
	failed = cmocka_run_group_tests_name("dpdk arguments", plain, NULL, NULL);

	if (!load())
		return failed;
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 2; i++)
		snprintf(memif_eal[i], sizeof(memif_eal[i]),
			"--vdev net_memif0,role=%s,id=0,socket=%s/s,socket-abstract=no,rsize=9",
			i ? "client" : "server", dir);
	failed += cmocka_run_group_tests_name("dpdk", tests, NULL, NULL);
	snprintf(memif_eal[0], sizeof(memif_eal[0]), "%s/s", dir);
	unlink(memif_eal[0]);
	rmdir(dir);
	return failed;
}
