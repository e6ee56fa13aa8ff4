// millraced: reads its settings, starts, says where it serves, and waits to be stopped.
#include "dataplane/stream.h"
#include "host/base/note.h"
#include "host/config.h"
#include "host/control.h"
#include "host/daemon.h"
#include "host/descriptors.h"
#include "host/memory_plan.h"
#include "host/nic.h"
#include "hw/cpu.h"
#include "hw/ram.h"
#include "kernels/kernels.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int complain(const struct mr_diag *d, int code)
{
	fprintf(stderr, "millraced: %s", d->message);
	if (d->hint[0])
		fprintf(stderr, " (%s)", d->hint);
	fputc('\n', stderr);
	return code;
}

static bool is_loopback(const char *host)
{
	struct mr_net_addr a;

	return mr_net_addr_parse(host, 0, &a) == 0 && mr_net_addr_is_loopback(&a);
}

// Settings of the network, and the warning that a Kafka listener without authentication deserves.
static int check_network(const struct mr_config *c, struct mr_diag *diag)
{
	struct mr_nic_plan plan;
	int rc;

	if (c->dataplane == MR_DATAPLANE_SOCKET) {
		if (!is_loopback(c->listen))
			mr_note(MR_NOTE_WARN, "kafka", "listen=%s authentication=none", c->listen);
		return 0;
	}
	rc = mr_nic_plan(c, &plan, diag);
	if (rc == 0)
		mr_note(MR_NOTE_WARN, "kafka", "listen=%s authentication=none", c->net_address);
	return rc;
}

// What must not be served as it is set.
static int check_exposure(const struct mr_config *c, struct mr_diag *diag)
{
	struct mr_net_addr a;

	if (mr_net_addr_parse(c->listen, 0, &a) < 0)
		return mr_diag_set(diag, -EINVAL, "22023", 0,
			"--listen takes a numeric address, not \"%s\"", c->listen);
	if (is_loopback(c->listen))
		return 0;
	if (!c->insecure) {
		mr_diag_set(diag, -EINVAL, "22023", 0,
			"SQL and HTTP have no passwords yet and are refused on %s", c->listen);
		mr_diag_hint(diag, "Listen on a loopback address, or say --insecure.");
		return -EINVAL;
	}
	return 0;
}

static void print_budget(const struct mr_config *c, const struct mr_descriptors *fds, FILE *f)
{
	struct mr_memory_plan plan;

	mr_memory_plan(c, &plan);
	mr_memory_plan_print(&plan, mr_ram_bytes(), f);
	mr_descriptors_print(fds, f);
	if (c->dataplane == MR_DATAPLANE_DPDK)
		mr_nic_print_plan(c, f);
}

static int check_config(const struct mr_config *c, const struct mr_descriptors *fds)
{
	char value[4096];
	const char *name;

	for (size_t i = 0; (name = mr_config_key(i, NULL)); i++) {
		mr_config_value(c, i, value, sizeof(value));
		printf("%s %s\n", name, value);
	}
	print_budget(c, fds, stdout);
	return 0;
}

// Connections, log files and segments each take a descriptor: as many as there may be, and a plan
// for them.
static int plan_descriptors(
	const struct mr_config *c, struct mr_descriptors *fds, struct mr_diag *diag)
{
	struct rlimit limit;

	MR_ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		mr_note(MR_NOTE_WARN, "main", "event=nofile_not_raised error=\"%s\"",
			mr_err_text(-errno));
		MR_ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	}
	return mr_descriptors_plan(c, limit.rlim_cur, fds, diag);
}

static void warn_of_few(const struct mr_descriptors *fds)
{
	if (mr_descriptors_are_few(fds))
		mr_note(MR_NOTE_WARN, "main",
			"descriptors=%llu kafka_connections=%llu of=%llu sql=%llu http=%llu "
			"type=\"LimitNOFILE=%llu\"",
			(unsigned long long)fds->limit, (unsigned long long)fds->kafka,
			(unsigned long long)fds->kafka_max,
			(unsigned long long)fds->sql_connections_max,
			(unsigned long long)fds->http_connections_max,
			(unsigned long long)fds->wanted);
}

static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	// Before any thread starts, so that all of them have these blocked.
	MR_ASSERT(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

// The one line on stdout that scripts wait for.
static void print_ready(const struct mr_daemon *d)
{
	printf("ready kafka=%s sql=%s http=%s\n", d->kafka_address, d->sql_address,
		d->http_address);
	fflush(stdout);
}

static void serve(struct mr_daemon *d, int signals)
{
	struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
		{.fd = d->control.box.event_fd, .events = POLLIN}};

	while (!(fds[0].revents & POLLIN)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents & POLLIN)
			mr_control_turn(&d->control);
	}
}

static int run(const struct mr_config *config)
{
	static struct mr_daemon daemon;
	int signals = open_signals();
	struct mr_diag diag;
	int rc = mr_daemon_start(&daemon, config, &diag);

	if (rc == 0) {
		print_ready(&daemon);
		serve(&daemon, signals);
	}
	mr_daemon_stop(&daemon);
	close(signals);
	return rc < 0 ? complain(&diag, EXIT_FAILED) : 0;
}

int main(int argc, char **argv)
{
	static struct mr_config config;
	struct mr_descriptors fds;
	struct mr_diag diag;
	struct mr_cpu cpu;

	mr_config_init(&config);
	if (mr_config_args(&config, argc, argv, &diag) < 0)
		return complain(&diag, EXIT_USAGE);
	if (config.help) {
		fputs(mr_config_usage(), stdout);
		return 0;
	}
	if (config.version) {
		puts("millraced " MR_VERSION);
		return 0;
	}
	mr_note_level_set((enum mr_note_level)config.log_level);
	if (mr_config_check(&config, &diag) < 0 || check_exposure(&config, &diag) < 0 ||
		check_network(&config, &diag) < 0 || plan_descriptors(&config, &fds, &diag) < 0)
		return complain(&diag, EXIT_USAGE);
	mr_cpu_detect(&cpu);
	if (mr_kernels_select(&cpu, &diag) < 0)
		return complain(&diag, EXIT_USAGE);
	if (config.check_config)
		return check_config(&config, &fds);
	print_budget(&config, &fds, stderr);
	warn_of_few(&fds);
	mr_descriptors_apply(&fds, &config);
	return run(&config);
}
