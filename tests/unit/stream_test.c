// Streams: the interface below connections, over each implementation on real sockets.
//
// The user under test appends what it gets to a buffer, or does what the test has told it to do in
// its callbacks. One thread, as in conn_test.c: rounds until a condition holds.
#include "dataplane/stream_int.h"
#include "host/base/mailbox.h"
#include "tests/lib/mr_test.h"
#include "tests/lib/net_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS_MAX = 20000, STREAMS = 64 };

struct bench;

struct peer {
	struct bench *bench;
	struct mr_stream *stream; // NULL: closed
	struct mr_buf in;
	struct mr_rxbuf *pinned;
	const uint8_t *pinned_at;
	int sent, placed, ended, closed;
	int error;
};

struct bench {
	struct net_over_parts on;
	struct mr_net *net;
	struct mr_listener *listener;
	struct mr_net_addr at;
	struct peer peers[STREAMS];
	int opened;
	int idle_rounds;
	// What the callbacks do.
	size_t take; // bytes taken before pausing; 0: all
	bool pin;    // pin each buffer that comes
	bool close_in_data;
	bool refuse;
	uint8_t *place; // where the bytes after the first `take` belong
	size_t place_bytes;
};

static int on_opened(void *owner, struct mr_stream *s)
{
	struct bench *b = owner;

	if (b->refuse)
		return -EPERM;
	assert_true(b->opened < STREAMS);
	s->user = &b->peers[b->opened];
	b->peers[b->opened++] = (struct peer){.bench = b, .stream = s};
	return 0;
}

static size_t on_data(struct mr_stream *s, struct mr_rxbuf *buf, struct mr_span bytes)
{
	struct peer *p = s->user;
	struct bench *b = p->bench;
	size_t n = bytes.bytes;

	assert_false(p->closed);
	assert_true(n > 0);
	if (b->take) {
		n = MR_MIN(n, b->take);
		if (b->place)
			mr_stream_place(s, b->place, b->place_bytes);
		else
			mr_stream_pause(s);
		b->take = b->place ? 0 : b->take;
		b->place = NULL;
	}
	if (b->pin && !p->pinned && mr_rxbuf_pin(buf)) {
		p->pinned = buf;
		p->pinned_at = bytes.data;
	}
	mr_buf_add(&p->in, bytes.data, n);
	if (b->close_in_data) {
		mr_stream_close(s);
		mr_stream_close(s);
	}
	return n;
}

static void on_placed(struct mr_stream *s)
{
	((struct peer *)s->user)->placed++;
}

static void on_sent(struct mr_stream *s)
{
	((struct peer *)s->user)->sent++;
}

static void on_ended(struct mr_stream *s)
{
	((struct peer *)s->user)->ended++;
}

static void on_closed(struct mr_stream *s, int err)
{
	struct peer *p = s->user;

	p->closed++;
	p->error = err;
	p->stream = NULL;
}

static const struct mr_stream_events events = {
	.opened = on_opened,
	.data = on_data,
	.placed = on_placed,
	.sent = on_sent,
	.ended = on_ended,
	.closed = on_closed,
};

static struct bench *bench_open(struct mr_net_options o, const char *host)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	net_over_open(&b->on, &o);
	assert_int_equal(mr_net_create(&o, &b->net), 0);
	assert_string_equal(mr_net_name(b->net), net_over_name());
	assert_int_equal(mr_net_addr_parse(host, 0, &b->at), 0);
	assert_int_equal(mr_net_listen(b->net, &b->at, &events, b, &b->at.port, &b->listener), 0);
	assert_int_not_equal(b->at.port, 0);
	return b;
}

static void bench_close(struct bench *b)
{
	mr_net_destroy(b->net);
	net_over_close(&b->on);
	for (int i = 0; i < b->opened; i++) {
		assert_int_equal(b->peers[i].closed, 1);
		mr_buf_fini(&b->peers[i].in);
	}
	free(b);
}

static void round_of(struct bench *b, struct net_client *c, size_t count)
{
	int n;

	for (size_t i = 0; i < count; i++)
		net_client_pump(&c[i], NULL);
	net_over_turn(&b->on);
	n = mr_net_turn(b->net, b->idle_rounds > 10 ? 1000000 : 0);
	assert_true(n >= 0);
	b->idle_rounds = n ? 0 : b->idle_rounds + 1;
}

#define UNTIL(b, c, count, cond)                       \
	do {                                           \
		int rounds_ = 0;                       \
		while (!(cond)) {                      \
			round_of(b, c, count);         \
			if (++rounds_ > ROUNDS_MAX)    \
				fail_msg("%s", #cond); \
		}                                      \
	} while (0)

static void settle(struct bench *b, struct net_client *c, size_t count)
{
	for (int i = 0; i < 20; i++)
		round_of(b, c, count);
}

static void fill(struct mr_buf *b, size_t bytes, uint64_t seed)
{
	uint8_t *p = mr_buf_extend(b, bytes);

	for (size_t i = 0; i < bytes; i++)
		p[i] = net_client_byte(seed, i);
}

static void assert_pattern(const uint8_t *p, size_t bytes, uint64_t seed, size_t from)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i] != net_client_byte(seed, from + i))
			fail_msg("byte %zu", from + i);
}

static void addresses_are_read_and_written(void **)
{
	static const struct {
		const char *in;
		const char *out; // NULL: refused
		bool loopback;
	} cases[] = {
		{"127.0.0.1", "127.0.0.1:9092", true},
		{"localhost", "127.0.0.1:9092", true},
		{"0.0.0.0", "0.0.0.0:9092", false},
		{"10.1.2.3", "10.1.2.3:9092", false},
		{"::1", "[::1]:9092", true},
		{"[::1]", "[::1]:9092", true},
		{"::ffff:127.0.0.1", "127.0.0.1:9092", true},
		{"::ffff:8.8.8.8", "8.8.8.8:9092", false},
		{"fe80::1%1", "[fe80::1%1]:9092", false},
		{"", NULL, false},
		{"1.2.3", NULL, false},
		{"256.1.1.1", NULL, false},
		{"[::1", NULL, false},
		{"fe80::1%nowhere", NULL, false},
		{"example.com", NULL, false},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff:0:1:2:"
		 "3:4:5:6:7:8",
			NULL, false},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		struct mr_net_addr a;
		char text[72];
		int err = mr_net_addr_parse(cases[i].in, 9092, &a);

		assert_int_equal(err, cases[i].out ? 0 : -EINVAL);
		if (err)
			continue;
		mr_net_addr_format(&a, text);
		assert_string_equal(text, cases[i].out);
		assert_int_equal(mr_net_addr_is_loopback(&a), cases[i].loopback);
	}
}

// Containers often have no IPv6 at all.
static bool has_ipv6(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static void ipv6_and_ipv4_reach_a_wildcard(void **)
{
	if (net_over != OVER_TCP && !has_ipv6()) {
		print_message("SKIP no IPv6 on this host\n");
		skip();
	}

	struct bench *b = bench_open((struct mr_net_options){0}, "::");
	struct net_client c[2];
	struct mr_net_addr v4, v6;
	char text[72];

	assert_int_equal(mr_net_addr_parse(net_over_host(), b->at.port, &v4), 0);
	assert_int_equal(mr_net_addr_parse(
				 net_over == OVER_TCP ? TCP_WORLD_SERVER6 : "::1", b->at.port, &v6),
		0);
	net_client_open(&c[0], &v4, 0);
	UNTIL(b, c, 1, b->opened == 1);
	net_client_open(&c[1], &v6, 0);
	UNTIL(b, c, 2, b->opened == 2);
	mr_net_addr_host(&b->peers[0].stream->local, text);
	assert_string_equal(text, net_over_host());
	mr_net_addr_host(&b->peers[1].stream->peer, text);
	assert_string_equal(text, net_over == OVER_TCP ? TCP_WORLD_CLIENT6 : "::1");
	assert_int_equal(b->peers[1].stream->local.port, b->at.port);
	net_client_close(&c[0]);
	net_client_close(&c[1]);
	bench_close(b);
}

static void a_taken_port_is_an_error_and_free_again_at_once(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct mr_listener *second;
	struct net_client c;

	assert_int_equal(mr_net_listen(b->net, &b->at, &events, b, NULL, &second), -EADDRINUSE);
	net_client_open(&c, &b->at, 0);
	UNTIL(b, &c, 1, b->opened == 1);
	mr_net_unlisten(b->net, b->listener);
	settle(b, &c, 1);
	// A connection of the old listener is still there.
	assert_int_equal(mr_net_listen(b->net, &b->at, &events, b, NULL, &second), 0);
	fill(&c.out, 100, 1);
	UNTIL(b, &c, 1, b->peers[0].in.bytes == 100);
	net_client_close(&c);
	bench_close(b);
}

static void a_pause_keeps_the_bytes_and_their_order(void **)
{
	struct bench *b = bench_open((struct mr_net_options){.rxbufs = 4}, net_over_host());
	struct net_client c;
	size_t total = 300000, last = 0;
	int pauses = 0;

	b->take = 777;
	net_client_open(&c, &b->at, 0);
	fill(&c.out, total, 5);
	while (b->peers[0].in.bytes < total) {
		round_of(b, &c, 1);
		if (b->opened && b->peers[0].in.bytes > last) {
			// Nothing more comes while it is paused.
			last = b->peers[0].in.bytes;
			if (pauses++ % 50 == 0)
				settle(b, &c, 1);
			assert_int_equal(b->peers[0].in.bytes, last);
			mr_stream_resume(b->peers[0].stream);
		}
		assert_true(pauses < ROUNDS_MAX);
	}
	assert_pattern(b->peers[0].in.data, total, 5, 0);
	assert_int_equal(mr_net_counters(b->net)->received_bytes, total);
	net_client_close(&c);
	bench_close(b);
}

static void a_place_gets_exactly_its_bytes(void **)
{
	static const size_t sizes[] = {1, 100, 16384, 16385, 50000, 1 << 20};

	for (size_t i = 0; i < MR_COUNT_OF(sizes); i++) {
		struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
		uint8_t *place = calloc(1, sizes[i] + 64);
		struct net_client c;

		assert_non_null(place);
		b->take = 10;
		b->place = place;
		b->place_bytes = sizes[i];
		net_client_open(&c, &b->at, 0);
		fill(&c.out, sizes[i] + 30, 3);
		UNTIL(b, &c, 1, b->opened && b->peers[0].in.bytes == 30);
		assert_int_equal(b->peers[0].placed, 1);
		assert_pattern(b->peers[0].in.data, 10, 3, 0);
		assert_pattern(place, sizes[i], 3, 10);
		assert_pattern(b->peers[0].in.data + 10, 20, 3, sizes[i] + 10);
		for (size_t k = 0; k < 64; k++)
			assert_int_equal(place[sizes[i] + k], 0);
		net_client_close(&c);
		bench_close(b);
		free(place);
	}
}

static void pieces_larger_than_the_socket_arrive_whole(void **)
{
	struct bench *b =
		bench_open((struct mr_net_options){.send_buffer = 8 << 10}, net_over_host());
	struct iovec v[MR_NET_PIECES_MAX];
	struct mr_buf data = {0};
	struct net_client c;
	size_t each = 7001, total = each * MR_NET_PIECES_MAX;

	fill(&data, total, 9);
	for (unsigned i = 0; i < MR_NET_PIECES_MAX; i++)
		v[i] = (struct iovec){data.data + i * each, each};
	v[3].iov_len = 0; // an empty piece is allowed
	v[4] = (struct iovec){data.data + 3 * each, 2 * each};
	net_client_open(&c, &b->at, 8 << 10);
	c.reads = false;
	UNTIL(b, &c, 1, b->opened == 1);
	mr_stream_send(b->peers[0].stream, v, MR_NET_PIECES_MAX);
	settle(b, &c, 1);
	assert_int_equal(b->peers[0].sent, 0);
	c.reads = true;
	UNTIL(b, &c, 1, c.in.bytes == total);
	UNTIL(b, &c, 1, b->peers[0].sent == 1);
	assert_pattern(c.in.data, total, 9, 0);
	assert_true(mr_net_counters(b->net)->sends_partial > 0);
	net_client_close(&c);
	mr_buf_fini(&data);
	bench_close(b);
}

static void close_is_the_last_call_and_comes_once(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct net_client c;

	b->close_in_data = true;
	net_client_open(&c, &b->at, 0);
	fill(&c.out, 100000, 1);
	UNTIL(b, &c, 1, b->peers[0].closed == 1);
	settle(b, &c, 1);
	assert_int_equal(b->peers[0].error, 0);
	assert_int_equal(mr_net_counters(b->net)->closed, 1);
	assert_true(c.ended || c.error);
	net_client_close(&c);
	bench_close(b);
}

static void a_close_with_a_send_and_a_place_under_way_waits_for_both(void **)
{
	struct bench *b =
		bench_open((struct mr_net_options){.send_buffer = 8 << 10}, net_over_host());
	size_t bytes = 4 << 20;
	uint8_t *out = calloc(1, bytes), *place = calloc(1, bytes);
	struct net_client c;

	assert_true(out && place);
	b->take = 1;
	b->place = place;
	b->place_bytes = bytes;
	net_client_open(&c, &b->at, 8 << 10);
	c.reads = false;
	fill(&c.out, 50000, 1);
	UNTIL(b, &c, 1, b->opened && b->peers[0].in.bytes == 1);
	mr_stream_send(b->peers[0].stream, &(struct iovec){out, bytes}, 1);
	settle(b, &c, 1);
	mr_stream_close(b->peers[0].stream);
	UNTIL(b, &c, 1, b->peers[0].closed == 1);
	// From here on nobody may touch them: asan watches.
	free(out);
	free(place);
	fill(&c.out, 50000, 1);
	settle(b, &c, 1);
	assert_int_equal(b->peers[0].sent, 0);
	net_client_close(&c);
	bench_close(b);
}

static void an_end_comes_after_the_bytes_and_leaves_sending_open(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct net_client c;

	net_client_open(&c, &b->at, 0);
	fill(&c.out, 50000, 1);
	c.shut = true;
	UNTIL(b, &c, 1, b->peers[0].ended == 1);
	assert_int_equal(b->peers[0].in.bytes, 50000);
	mr_stream_send(b->peers[0].stream, &(struct iovec){(void *)(uintptr_t) "bye", 3}, 1);
	UNTIL(b, &c, 1, c.in.bytes == 3);
	assert_int_equal(b->peers[0].closed, 0);
	net_client_close(&c);
	bench_close(b);
}

static void a_reset_is_told_as_an_error(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct net_client c;

	net_client_open(&c, &b->at, 0);
	fill(&c.out, 10, 1);
	UNTIL(b, &c, 1, b->opened && b->peers[0].in.bytes == 10);
	net_client_reset(&c);
	UNTIL(b, &c, 0, b->peers[0].closed == 1);
	assert_int_equal(b->peers[0].error, -ECONNRESET);
	assert_int_equal(mr_net_counters(b->net)->reset, 1);
	bench_close(b);
}

static void refused_and_surplus_connections_are_closed(void **)
{
	struct bench *b = bench_open((struct mr_net_options){.streams_max = 2}, net_over_host());
	struct net_client c[4];

	b->refuse = true;
	net_client_open(&c[0], &b->at, 0);
	UNTIL(b, c, 1, c[0].ended);
	assert_int_equal(mr_net_counters(b->net)->accept_refused, 1);
	net_client_close(&c[0]);
	b->refuse = false;
	for (int i = 0; i < 4; i++)
		net_client_open(&c[i], &b->at, 0);
	UNTIL(b, c, 4, mr_net_counters(b->net)->accept_refused == 3);
	settle(b, c, 4);
	assert_int_equal(b->opened, 2);
	assert_int_equal(c[0].ended + c[1].ended + c[2].ended + c[3].ended, 2);
	for (int i = 0; i < 4; i++)
		net_client_close(&c[i]);
	bench_close(b);
}

static void without_descriptors_accepting_pauses_and_goes_on(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct net_client c;
	struct rlimit before, none;

	net_client_open(&c, &b->at, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	UNTIL(b, &c, 1, mr_net_counters(b->net)->accept_paused > 0);
	settle(b, &c, 1);
	assert_int_equal(b->opened, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	b->on.clock.ns += MR_NET_TICK_NS;
	UNTIL(b, &c, 1, b->opened == 1);
	net_client_close(&c);
	bench_close(b);
}

static void sockets_beyond_the_descriptors_end_are_closed(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct net_client c[3];
	int next;

	net_client_open(&c[0], &b->at, 0);
	next = dup(0); // as its socket here will be
	close(next);
	b->net->options.descriptors_end = next + 1;
	UNTIL(b, c, 1, b->opened == 1);
	for (int i = 1; i < 3; i++)
		net_client_open(&c[i], &b->at, 0);
	UNTIL(b, c, 3, c[1].ended && c[2].ended);
	assert_int_equal(b->opened, 1);
	assert_int_equal(mr_net_counters(b->net)->accept_beyond, 2);
	assert_int_equal(mr_net_counters(b->net)->accept_paused, 0);
	// One goes, and another is taken.
	for (int i = 0; i < 3; i++)
		net_client_close(&c[i]);
	mr_stream_close(b->peers[0].stream);
	UNTIL(b, c, 0, b->peers[0].closed);
	net_client_open(&c[0], &b->at, 0);
	UNTIL(b, c, 1, b->opened == 2);
	net_client_close(&c[0]);
	bench_close(b);
}

static void pinned_buffers_leave_enough_to_receive_with(void **)
{
	struct bench *b = bench_open((struct mr_net_options){.rxbufs = 8}, net_over_host());
	struct net_client c[16];
	int pinned = 0;

	b->pin = true;
	for (int i = 0; i < 16; i++) {
		net_client_open(&c[i], &b->at, 0);
		fill(&c[i].out, 100, (uint64_t)i);
	}
	for (int i = 0; i < 16; i++)
		UNTIL(b, c, 16, b->opened == 16 && b->peers[i].in.bytes == 100);
	for (int i = 0; i < 16; i++)
		pinned += b->peers[i].pinned != NULL;
	// A socket's bytes have a buffer to themselves; our own TCP puts those of many into one.
	assert_int_equal(pinned, net_over == OVER_TCP ? 16 : 4);
	assert_int_equal(mr_net_counters(b->net)->rxbufs_pinned, net_over == OVER_TCP ? 1 : 4);
	// Receiving goes on, and what is pinned stays as it was.
	b->pin = false;
	for (int i = 0; i < 16; i++)
		fill(&c[i].out, 50000, 77);
	for (int i = 0; i < 16; i++)
		UNTIL(b, c, 16, b->peers[i].in.bytes == 50100);
	for (int i = 0; i < 16; i++) {
		struct mr_rxbuf *buf = b->peers[i].pinned;

		if (!buf)
			continue;
		assert_memory_equal(b->peers[i].pinned_at, b->peers[i].in.data, 100);
		mr_rxbuf_unpin(buf);
	}
	assert_int_equal(mr_net_counters(b->net)->rxbufs_pinned, 0);
	for (int i = 0; i < 16; i++)
		net_client_close(&c[i]);
	bench_close(b);
}

static void paused_streams_do_not_keep_the_buffers(void **)
{
	struct bench *b = bench_open((struct mr_net_options){.rxbufs = 4}, net_over_host());
	struct net_client c[12];

	b->take = 1;
	for (int i = 0; i < 11; i++) {
		net_client_open(&c[i], &b->at, 0);
		fill(&c[i].out, 5000, (uint64_t)i);
		UNTIL(b, c, (size_t)i + 1, b->opened == i + 1 && b->peers[i].in.bytes == 1);
	}
	b->take = 0;
	net_client_open(&c[11], &b->at, 0);
	fill(&c[11].out, 200000, 50);
	UNTIL(b, c, 12, b->opened == 12 && b->peers[11].in.bytes == 200000);
	// Our own TCP keeps them in its receive queues.
	if (net_over != OVER_TCP)
		assert_true(mr_net_counters(b->net)->spilled_bytes > 0);
	for (int i = 0; i < 11; i++)
		mr_stream_resume(b->peers[i].stream);
	for (int i = 0; i < 11; i++) {
		UNTIL(b, c, 12, b->peers[i].in.bytes == 5000);
		assert_pattern(b->peers[i].in.data, 5000, (uint64_t)i, 0);
	}
	for (int i = 0; i < 12; i++)
		net_client_close(&c[i]);
	bench_close(b);
}

static uint64_t sleeps_of_a_turn(struct bench *b)
{
	const struct mr_port *port = b->on.world.ports[0];
	uint64_t before = port->counters.sleeps;

	assert_true(mr_net_turn(b->net, 1000000) >= 0);
	return port->counters.sleeps - before;
}

static void a_net_that_gives_way_sleeps_at_once_and_a_busy_one_never(void **)
{
	for (int busy = 0; busy < 2; busy++) {
		struct mr_net_options o = {.idle_ns = 1000000000, .busy = busy};
		struct bench *b = bench_open(o, net_over_host());

		assert_int_equal(sleeps_of_a_turn(b), 0);
		mr_net_gives_way(b->net, true);
		assert_int_equal(sleeps_of_a_turn(b), busy ? 0 : 1);
		mr_net_gives_way(b->net, false);
		assert_int_equal(sleeps_of_a_turn(b), 0);
		bench_close(b);
	}
}

struct mail {
	struct mr_watch watch;
	struct mr_mailbox box;
	struct mr_message message;
	struct bench *bench;
	int got;
};

static void on_message(struct mr_message *m, void *)
{
	MR_CONTAINER(m, struct mail, message)->got++;
}

static void on_mail(struct mr_watch *w)
{
	struct mail *m = w->user;

	mr_mailbox_clear(&m->box);
	mr_mailbox_drain(&m->box, NULL);
	if (m->got == 3)
		mr_net_unwatch(m->bench->net, w);
}

static void a_watched_mailbox_is_heard_until_it_is_unwatched(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct mail m = {.bench = b, .message.handle = on_message};

	assert_int_equal(mr_mailbox_open(&m.box), 0);
	m.watch = (struct mr_watch){.fd = m.box.event_fd, .ready = on_mail, .user = &m};
	assert_int_equal(mr_net_watch(b->net, &m.watch), 0);
	for (int i = 1; i <= 3; i++) {
		mr_mailbox_push(&m.box, &m.message);
		UNTIL(b, NULL, 0, m.got == i);
	}
	mr_mailbox_push(&m.box, &m.message);
	settle(b, NULL, 0);
	assert_int_equal(m.got, 3);
	mr_mailbox_close(&m.box);
	bench_close(b);
}

struct job {
	struct mr_net_task task;
	struct bench *bench;
	int runs;
	bool again;
};

static void run_job(struct mr_net_task *t)
{
	struct job *j = MR_CONTAINER(t, struct job, task);

	j->runs++;
	if (j->again)
		mr_net_later(j->bench->net, t);
}

static void tasks_run_once_each_time_and_cannot_hold_the_turn(void **)
{
	struct bench *b = bench_open((struct mr_net_options){0}, net_over_host());
	struct job j[3] = {{{.run = run_job}, b, 0, false}, {{.run = run_job}, b, 0, false},
		{{.run = run_job}, b, 0, true}};

	mr_net_later(b->net, &j[0].task);
	mr_net_later(b->net, &j[0].task);
	mr_net_later(b->net, &j[1].task);
	mr_net_forget(b->net, &j[1].task);
	mr_net_forget(b->net, &j[1].task);
	round_of(b, NULL, 0);
	assert_int_equal(j[0].runs, 1);
	assert_int_equal(j[1].runs, 0);
	mr_net_later(b->net, &j[2].task);
	round_of(b, NULL, 0); // comes back although the task asks for itself for ever
	assert_in_range(j[2].runs, 1, 1000);
	mr_net_forget(b->net, &j[2].task);
	bench_close(b);
}

static int run_all(const char *name)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(ipv6_and_ipv4_reach_a_wildcard),
		cmocka_unit_test(a_taken_port_is_an_error_and_free_again_at_once),
		cmocka_unit_test(a_pause_keeps_the_bytes_and_their_order),
		cmocka_unit_test(a_place_gets_exactly_its_bytes),
		cmocka_unit_test(pieces_larger_than_the_socket_arrive_whole),
		cmocka_unit_test(close_is_the_last_call_and_comes_once),
		cmocka_unit_test(a_close_with_a_send_and_a_place_under_way_waits_for_both),
		cmocka_unit_test(an_end_comes_after_the_bytes_and_leaves_sending_open),
		cmocka_unit_test(a_reset_is_told_as_an_error),
		cmocka_unit_test(refused_and_surplus_connections_are_closed),
		cmocka_unit_test(pinned_buffers_leave_enough_to_receive_with),
		cmocka_unit_test(paused_streams_do_not_keep_the_buffers),
		cmocka_unit_test(a_watched_mailbox_is_heard_until_it_is_unwatched),
		cmocka_unit_test(tasks_run_once_each_time_and_cannot_hold_the_turn),
	};

	static const struct CMUnitTest of_tcp[] = {
		cmocka_unit_test(a_net_that_gives_way_sleeps_at_once_and_a_busy_one_never),
	};
	static const struct CMUnitTest of_sockets[] = {
		cmocka_unit_test(without_descriptors_accepting_pauses_and_goes_on),
		cmocka_unit_test(sockets_beyond_the_descriptors_end_are_closed),
	};
	int failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);

	if (net_over != OVER_TCP)
		failed += cmocka_run_group_tests_name("sockets", of_sockets, NULL, NULL);
	else
		failed += cmocka_run_group_tests_name("our own TCP", of_tcp, NULL, NULL);
	return failed;
}

int main(void)
{
	return net_over_each(run_all);
}
