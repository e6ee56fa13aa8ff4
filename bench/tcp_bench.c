// TCP alone, without frames below or Kafka above: one server, fed by hand with the segments of
// peers that do everything right, in bursts of 32. Nanoseconds of one core per segment in order of
// 1,448 bytes, per request and response, per connection opened and closed; bytes of memory per idle
// connection. Options: --smoke; --only NAME (segment, request, connect, idle).
//
// What the peers' segments cost to make is measured apart and taken off.
#include "dataplane/tcpip/tcp.h"
#include "host/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BURST  32
#define PORT   9092
#define ROUNDS 5

struct sent {
	uint32_t seq;
	uint32_t ack;
	uint32_t bytes;
};

static struct {
	struct mr_tcp *tcp;
	uint8_t frame[2048];
	struct sent last;
	uint64_t received, answers;
	uint32_t answer_bytes;
	int64_t now_ns;
} b;

static int begin(void *, struct mr_ip_path *, struct mr_tcp_packet *out)
{
	out->l4 = b.frame;
	out->bytes_max = 1480;
	return 0;
}

static void send_packet(void *, struct mr_ip_path *, struct mr_tcp_packet *p, uint32_t bytes)
{
	b.last.seq = mr_load_be32(p->l4 + 4);
	b.last.ack = mr_load_be32(p->l4 + 8);
	b.last.bytes = bytes - (uint32_t)(p->l4[12] >> 4) * 4;
}

static bool route(void *, struct mr_ip_path *path)
{
	path->mtu = 1500;
	return true;
}

static int opened(void *, struct mr_tcp_conn *)
{
	return 0;
}

static size_t data(struct mr_tcp_conn *c, struct mr_span s)
{
	static const uint8_t answer[64];

	b.received += s.bytes;
	if (b.answer_bytes)
		b.answers += mr_tcp_send(c, answer, b.answer_bytes);
	return s.bytes;
}

static void ended(struct mr_tcp_conn *c)
{
	mr_tcp_close(c);
}

static void closed(struct mr_tcp_conn *, int)
{
}

static const struct mr_tcp_events events = {opened, NULL, data, NULL, ended, closed};

// A peer: its address and how far it is.
struct peer {
	struct mr_ip ip;
	uint16_t port;
	uint32_t seq;
	uint32_t ack;
};

static void put_segment(struct peer *p, uint8_t *out, uint8_t flags, uint32_t bytes)
{
	mr_store_be16(out, p->port);
	mr_store_be16(out + 2, PORT);
	mr_store_be32(out + 4, p->seq);
	mr_store_be32(out + 8, p->ack);
	out[12] = 0x80;
	out[13] = flags;
	mr_store_be16(out + 14, 65535);
	mr_store_be32(out + 16, 0);
	mr_store_be32(out + 20, 0x0101080a);
	mr_store_be32(out + 24, (uint32_t)(b.now_ns / 1000000));
	mr_store_be32(out + 28, 0);
	if (flags & 2) { // SYN: MSS, SACK and window scale too
		out[12] = 0xb0;
		mr_store_be32(out + 32, 0x020405b4);
		mr_store_be32(out + 36, 0x01010402);
		mr_store_be32(out + 40, 0x01030307);
	}
	p->seq += bytes + (flags & 1) + (flags >> 1 & 1);
}

static void give(const struct peer *p, const uint8_t *segment, uint32_t bytes)
{
	struct mr_tcp_segment_in in = {p->ip, mr_ip4(0x0a000001), segment, bytes, false};

	mr_tcp_input(b.tcp, &in);
}

static void give_new(struct peer *p, uint8_t flags, uint32_t bytes)
{
	static uint8_t segment[1500];

	put_segment(p, segment, flags, bytes);
	give(p, segment, 32 + bytes + (flags & 2 ? 12 : 0));
}

static void connect_peer(struct peer *p, uint32_t number)
{
	*p = (struct peer){mr_ip4(0x0a010000u + (number >> 14)),
		(uint16_t)(1024 + (number & 16383)), number * 7919, 0};
	give_new(p, 2, 0);
	p->ack = b.last.seq + 1;
	give_new(p, 0x10, 0);
}

static void start(uint32_t connections)
{
	struct mr_tcp_lower lower = {NULL, begin, send_packet, route};
	struct mr_tcp_options o = {.connections_max = connections, .node = -1};
	struct mr_tcp_listener *l;

	b.now_ns = 1000000000;
	if (mr_tcp_create(&o, &lower, b.now_ns, &b.tcp) < 0 ||
		mr_tcp_listen(b.tcp, PORT, &events, NULL, &l) < 0)
		abort();
}

static int64_t now(void)
{
	return mr_now_ns(&mr_clock_system);
}

static void turn(int64_t ns)
{
	mr_tcp_flush(b.tcp);
	b.now_ns += ns;
	mr_tcp_time(b.tcp, b.now_ns);
}

// `segments` of `bytes` over `peers` connections, runs of `run` of one before the next's.
static double segments_ns(
	uint32_t peers_count, uint32_t bytes, uint32_t run, uint64_t segments, bool really)
{
	struct peer *peers = calloc(peers_count, sizeof(*peers));
	static uint8_t burst[BURST][1536];
	int64_t began;
	uint64_t done = 0;

	start(peers_count + 1);
	for (uint32_t i = 0; i < peers_count; i++)
		connect_peer(&peers[i], i);
	turn(1000000);
	began = now();
	for (uint32_t at = 0; done < segments; done += BURST) {
		struct peer *of[BURST];

		for (uint32_t i = 0; i < BURST; i++) {
			of[i] = &peers[(at + i / run) % peers_count];
			put_segment(of[i], burst[i], 0x18, bytes);
		}
		at += BURST / run;
		for (uint32_t i = 0; really && i < BURST; i++)
			give(of[i], burst[i], 32 + bytes);
		turn(really ? 10000 : 0);
		for (uint32_t i = 0; b.answer_bytes && i < BURST; i++)
			of[i]->ack += b.answer_bytes;
	}
	began = now() - began;
	if (really && b.received < segments * bytes)
		abort();
	b.received = 0;
	mr_tcp_destroy(b.tcp);
	free(peers);
	return (double)began / (double)done;
}

static void report(const char *name, uint32_t peers, uint32_t bytes, uint32_t run, uint64_t n)
{
	double best = 1e9, base = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		best = MR_MIN(best, segments_ns(peers, bytes, run, n, true));
		base = MR_MIN(base, segments_ns(peers, bytes, run, n, false));
	}
	printf("%-28s %6u connections  %8.1f ns  %6.2f M/s\n", name, peers, best - base,
		1e3 / (best - base));
}

static void bench_connects(uint32_t count)
{
	double best = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		int64_t began;

		start(64);
		began = now();
		for (uint32_t n = 0; n < count; n++) {
			struct peer p;

			connect_peer(&p, n);
			give_new(&p, 0x11, 0);
			turn(1000);
			p.ack = b.last.seq + b.last.bytes + 1;
			give_new(&p, 0x10, 0);
		}
		began = now() - began;
		best = MR_MIN(best, (double)began / count);
		if (atomic_load(&mr_tcp_counters(b.tcp)->closed) != count)
			abort();
		mr_tcp_destroy(b.tcp);
	}
	printf("%-28s %6u connections  %8.1f ns  %6.2f M/s\n", "connect and close", 1, best,
		1e3 / best);
}

static uint64_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f) {
		if (fscanf(f, "%*u %lu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return pages * 4096ull;
}

static void bench_idle(uint32_t count)
{
	uint64_t before;

	start(count);
	before = resident_bytes();
	for (uint32_t i = 0; i < count; i++) {
		struct peer p;

		connect_peer(&p, i);
		give_new(&p, 0x18, 100);
		if (i % BURST == 0)
			turn(1000);
	}
	turn(1000);
	printf("%-28s %6u connections  %8.1f bytes\n", "idle, after a request", count,
		(double)(resident_bytes() - before) / count);
	mr_tcp_destroy(b.tcp);
	b.received = 0;
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	uint64_t n = 2000000;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--smoke"))
			n = 6400;
		else if (!strcmp(argv[i], "--only") && i + 1 < argc)
			only = argv[++i];
	}
	if (!only || !strcmp(only, "segment")) {
		report("segment of 1448 in order", 1, 1448, 32, n);
		report("segment of 1448 in order", 16, 1448, 8, n);
		report("segment of 1448 in order", 1000, 1448, 1, n);
	}
	b.answer_bytes = 50;
	if (!only || !strcmp(only, "request")) {
		report("request 100, response 50", 64, 100, 1, n);
		report("request 100, response 50", 10000, 100, 1, n);
	}
	b.answer_bytes = 0;
	if (!only || !strcmp(only, "connect"))
		bench_connects((uint32_t)(n / 10));
	if (!only || !strcmp(only, "idle"))
		bench_idle((uint32_t)(n / 20));
	return 0;
}
