// A wire with faults between two interfaces: what netem does where the kernel has none.
//
//	relay IF_A IF_B [--delay-us N] [--loss-ppm N] [--duplicate-ppm N] [--reorder-ppm N]
//	      [--corrupt-ppm N] [--rate-mbit N] [--queue N] [--seed N]
//
// Each frame that comes in on one interface goes out on the other after the delay, unless the dice
// say otherwise; both directions alike, each with dice of its own, so that a seed replays what a
// given sequence of frames meets. A reordered frame takes five delays. Runs until standard input
// ends, then prints its counts, one "name value" a line.
//
// The kernel must not leave checksums and segmentation to these interfaces: ethtool -K PEER tx off
// tso off gso off on both ends of each veth.
#include "host/base/clock.h"
#include "host/base/rand.h"
#include "host/base/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_BYTES = 9216, FRAMES = 16384, RECEIVE_AT_ONCE = 64, SIDES = 2 };

struct frame {
	int64_t due_ns;
	uint64_t number; // ties go in the order of arrival
	uint32_t bytes;
	int out;
	uint8_t data[FRAME_BYTES];
};

struct options {
	uint64_t delay_us, loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm, rate_mbit, queue,
		seed;
};

static const struct {
	const char *name;
	size_t at;
} option_names[] = {
	{"--delay-us", offsetof(struct options, delay_us)},
	{"--loss-ppm", offsetof(struct options, loss_ppm)},
	{"--duplicate-ppm", offsetof(struct options, duplicate_ppm)},
	{"--reorder-ppm", offsetof(struct options, reorder_ppm)},
	{"--corrupt-ppm", offsetof(struct options, corrupt_ppm)},
	{"--rate-mbit", offsetof(struct options, rate_mbit)},
	{"--queue", offsetof(struct options, queue)},
	{"--seed", offsetof(struct options, seed)},
};

static struct {
	struct options o;
	int fds[SIDES];
	struct mr_rand dice[SIDES];
	int64_t free_at_ns[SIDES]; // when the direction's wire has sent what it took
	uint32_t waiting[SIDES];
	struct frame **heap; // by due_ns, number
	uint32_t heap_count;
	struct frame **spare;
	uint32_t spare_count;
	uint64_t number;
	uint64_t forwarded, lost, duplicated, reordered, corrupted, overflowed, unsent, too_long;
} r;

static bool earlier(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void heap_put(struct frame *f)
{
	uint32_t i = r.heap_count++;

	while (i && earlier(f, r.heap[(i - 1) / 2])) {
		r.heap[i] = r.heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	r.heap[i] = f;
}

static struct frame *heap_take(void)
{
	struct frame *top = r.heap[0], *last = r.heap[--r.heap_count];
	uint32_t i = 0, k;

	while ((k = 2 * i + 1) < r.heap_count) {
		if (k + 1 < r.heap_count && earlier(r.heap[k + 1], r.heap[k]))
			k++;
		if (!earlier(r.heap[k], last))
			break;
		r.heap[i] = r.heap[k];
		i = k;
	}
	r.heap[i] = last;
	return top;
}

static bool dice(int from, uint64_t ppm)
{
	return ppm && mr_rand_below(&r.dice[from], 1000000) < ppm;
}

// When a frame that is given to the wire now has left it.
static int64_t on_wire(int from, uint32_t bytes, int64_t now)
{
	if (!r.o.rate_mbit)
		return now;
	r.free_at_ns[from] =
		MR_MAX(r.free_at_ns[from], now) + (int64_t)((bytes + 24) * 8000 / r.o.rate_mbit);
	return r.free_at_ns[from];
}

static bool is_arp(const uint8_t *frame)
{
	return frame[12] == ETH_P_ARP >> 8 && frame[13] == (ETH_P_ARP & 255);
}

static void enqueue(int from, const uint8_t *data, uint32_t bytes, int64_t now)
{
	int64_t delay = (int64_t)r.o.delay_us * 1000;
	struct frame *f;

	if (!r.spare_count || r.waiting[from] >= r.o.queue) {
		r.overflowed++;
		return;
	}
	f = r.spare[--r.spare_count];
	memcpy(f->data, data, bytes);
	f->bytes = bytes;
	f->out = 1 - from;
	f->number = r.number++;
	// Not ARP, which has no checksum: a wrong address would be believed for half a minute.
	if (dice(from, r.o.corrupt_ppm) && !is_arp(data)) {
		// Behind the addresses: a frame for nobody is only a lost one.
		uint64_t bit = mr_rand_below(&r.dice[from], (uint64_t)(bytes - 12) * 8);

		f->data[12 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		r.corrupted++;
	}
	if (dice(from, r.o.reorder_ppm)) {
		delay *= 5;
		r.reordered++;
	}
	f->due_ns = on_wire(from, bytes, now) + delay;
	r.waiting[from]++;
	heap_put(f);
}

static void arrive(int from, const uint8_t *data, uint32_t bytes, int64_t now)
{
	if (dice(from, r.o.loss_ppm)) {
		r.lost++;
		return;
	}
	enqueue(from, data, bytes, now);
	if (dice(from, r.o.duplicate_ppm)) {
		enqueue(from, data, bytes, now);
		r.duplicated++;
	}
}

static void receive(int from)
{
	static uint8_t data[FRAME_BYTES + 1];
	int64_t now = mr_now_ns(&mr_clock_system);

	for (int i = 0; i < RECEIVE_AT_ONCE; i++) {
		ssize_t n = recv(r.fds[from], data, sizeof(data), MSG_DONTWAIT);

		if (n < ETH_HLEN)
			return;
		if (n > FRAME_BYTES)
			r.too_long++;
		else
			arrive(from, data, (uint32_t)n, now);
	}
}

static void deliver(void)
{
	int64_t now = mr_now_ns(&mr_clock_system);

	while (r.heap_count && r.heap[0]->due_ns <= now) {
		struct frame *f = heap_take();

		if (send(r.fds[f->out], f->data, f->bytes, MSG_DONTWAIT) == (ssize_t)f->bytes)
			r.forwarded++;
		else
			r.unsent++;
		r.waiting[1 - f->out]--;
		r.spare[r.spare_count++] = f;
	}
}

static int open_side(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1, bytes = 16 << 20;
	struct packet_mreq promiscuous = {
		.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};

	if (fd < 0 || at.sll_ifindex == 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
			sizeof(promiscuous)) < 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
		bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

static void read_options(int argc, char **argv)
{
	r.o = (struct options){.queue = FRAMES / 2, .seed = 1};
	for (int i = 3; i < argc; i += 2) {
		size_t k = 0;

		while (k < MR_COUNT_OF(option_names) && strcmp(argv[i], option_names[k].name) != 0)
			k++;
		if (k == MR_COUNT_OF(option_names) || i + 1 == argc) {
			fprintf(stderr, "relay: what is \"%s\"?\n", argv[i]);
			exit(2);
		}
		*(uint64_t *)((char *)&r.o + option_names[k].at) = strtoull(argv[i + 1], NULL, 10);
	}
}

static void set_up(int argc, char **argv)
{
	struct frame *frames = calloc(FRAMES, sizeof(*frames));

	r.heap = calloc(FRAMES, sizeof(struct frame *));
	r.spare = calloc(FRAMES, sizeof(struct frame *));
	if (!frames || !r.heap || !r.spare)
		exit(1);
	read_options(argc, argv);
	for (uint32_t i = 0; i < FRAMES; i++)
		r.spare[r.spare_count++] = &frames[i];
	for (int i = 0; i < SIDES; i++) {
		r.fds[i] = open_side(argv[1 + i]);
		mr_rand_init(&r.dice[i], r.o.seed * SIDES + (uint64_t)i);
	}
}

static void print_counts(void)
{
	printf("forwarded %llu\nlost %llu\nduplicated %llu\nreordered %llu\ncorrupted %llu\n"
	       "overflowed %llu\nunsent %llu\ntoo_long %llu\n",
		(unsigned long long)r.forwarded, (unsigned long long)r.lost,
		(unsigned long long)r.duplicated, (unsigned long long)r.reordered,
		(unsigned long long)r.corrupted, (unsigned long long)r.overflowed,
		(unsigned long long)r.unsent, (unsigned long long)r.too_long);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: relay IF_A IF_B [--option N]...\n");
		return 2;
	}
	set_up(argc, argv);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd p[] = {{r.fds[0], POLLIN, 0}, {r.fds[1], POLLIN, 0}, {0, POLLIN, 0}};
		int64_t wait =
			r.heap_count ? r.heap[0]->due_ns - mr_now_ns(&mr_clock_system) : 100000000;
		struct timespec ts = {0, wait < 0 ? 0 : MR_MIN(wait, 100000000)};

		if (ppoll(p, MR_COUNT_OF(p), &ts, NULL) < 0 && errno != EINTR)
			return 1;
		deliver();
		for (int i = 0; i < SIDES; i++)
			if (p[i].revents & POLLIN)
				receive(i);
		if (p[2].revents && read(0, &argc, 1) <= 0)
			break;
	}
	print_counts();
	return 0;
}
