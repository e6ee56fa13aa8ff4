// The wire between two TCPs. See tcp_net.h.
#include "tests/lib/tcp_net.h"
#include "tests/lib/mr_test.h"

#include <errno.h>

uint8_t tcp_net_byte(int host, uint64_t at)
{
	uint64_t x = (at + 1) * 0x9e3779b97f4a7c15u + (uint64_t)host * 77;

	return (uint8_t)(x >> 56 ^ x >> 31);
}

static int begin(void *ctx, struct mr_ip_path *path, struct mr_tcp_packet *out)
{
	struct tcp_net_host *h = ctx;

	if (h->refuse_frames > 0) {
		h->refuse_frames--;
		return h->refuse_with ? h->refuse_with : -EAGAIN;
	}
	out->l4 = h->frame;
	out->bytes_max = path->mtu - (mr_ip_is_v4(&path->peer) ? MR_IP4_BYTES : MR_IP6_BYTES);
	return 0;
}

static void queue(struct tcp_net *n, const struct tcp_net_packet *like)
{
	struct tcp_net_packet *p = malloc(sizeof(*p) + like->bytes);

	memcpy(p, like, sizeof(*p) + like->bytes);
	p->number = n->numbers++;
	p->at_ns = n->now_ns + n->delay_ns +
		   (n->jitter_ns ? (int64_t)mr_rand_below(&n->rand, (uint64_t)n->jitter_ns) : 0);
	if (n->count == n->room) {
		n->room = n->room ? 2 * n->room : 64;
		n->packets = realloc(n->packets, n->room * sizeof(n->packets[0]));
	}
	n->packets[n->count++] = p;
}

static void send_packet(
	void *ctx, struct mr_ip_path *path, struct mr_tcp_packet *made, uint32_t bytes)
{
	struct tcp_net_host *h = ctx;
	struct tcp_net *n = h->net;
	struct tcp_net_packet *p = malloc(sizeof(*p) + bytes);

	assert_true(bytes <= made->bytes_max);
	assert_true(bytes + MR_IP4_BYTES <= n->mtu);
	*p = (struct tcp_net_packet){.to = 1 - h->number, .bytes = bytes};
	p->src = path->local;
	p->dst = path->peer;
	memcpy(p->data, made->l4, bytes);
	h->sent++;
	if ((n->filter && !n->filter(n, p)) || mr_rand_below(&n->rand, 1000000) < n->loss_ppm) {
		n->lost++;
	} else {
		queue(n, p);
		if (n->double_ppm && mr_rand_below(&n->rand, 1000000) < n->double_ppm)
			queue(n, p);
	}
	free(p);
}

static bool route(void *ctx, struct mr_ip_path *path)
{
	struct tcp_net_host *h = ctx;

	if (!path->mtu)
		path->mtu = h->net->mtu;
	return true;
}

struct mr_tcp_options tcp_net_options(uint64_t seed)
{
	struct mr_tcp_options o = {.connections_max = 64,
		.syns_max = 64,
		.timewaits_max = 64,
		.memory_bytes = 8u << 20,
		.seed = seed,
		.node = -1};

	memcpy(o.secret, &seed, sizeof(seed));
	return o;
}

void tcp_net_init(struct tcp_net *n, uint64_t seed, const struct mr_tcp_options *a,
	const struct mr_tcp_options *b)
{
	*n = (struct tcp_net){.now_ns = 1000 * 1000 * TCP_NET_MS, .delay_ns = 50000, .mtu = 1500};
	mr_rand_init(&n->rand, seed);
	for (int i = 0; i < 2; i++) {
		struct tcp_net_host *h = &n->host[i];
		struct mr_tcp_lower lower = {h, begin, send_packet, route};
		struct mr_tcp_options o = tcp_net_options(seed + (uint64_t)i);

		if (i == 0 && a)
			o = *a;
		if (i == 1 && b)
			o = *b;
		h->net = n;
		h->number = i;
		h->ip = mr_ip4(0x0a000001u + (uint32_t)i);
		assert_int_equal(mr_tcp_create(&o, &lower, n->now_ns, &h->tcp), 0);
	}
}

void tcp_net_fini(struct tcp_net *n)
{
	for (uint32_t i = 0; i < n->count; i++)
		free(n->packets[i]);
	free(n->packets);
	mr_tcp_destroy(n->host[0].tcp);
	mr_tcp_destroy(n->host[1].tcp);
}

void tcp_net_flush(struct tcp_net *n)
{
	for (int i = 0; i < 2; i++) {
		mr_tcp_flush(n->host[i].tcp);
		if (!n->no_check)
			mr_tcp_check(n->host[i].tcp);
	}
}

static int in_order(const void *a, const void *b)
{
	const struct tcp_net_packet *x = *(struct tcp_net_packet *const *)a;
	const struct tcp_net_packet *y = *(struct tcp_net_packet *const *)b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int64_t next_event(const struct tcp_net *n)
{
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; !n->hold && i < n->count; i++)
		next = MR_MIN(next, n->packets[i]->at_ns);
	for (int i = 0; i < 2; i++)
		next = MR_MIN(next, mr_tcp_next_ns(n->host[i].tcp));
	return MR_MAX(next, n->now_ns);
}

static void deliver_due(struct tcp_net *n)
{
	struct tcp_net_packet *due[512];
	uint32_t count = 0, kept = 0;

	for (uint32_t i = 0; i < n->count; i++) {
		if (n->packets[i]->at_ns <= n->now_ns && count < MR_COUNT_OF(due))
			due[count++] = n->packets[i];
		else
			n->packets[kept++] = n->packets[i];
	}
	n->count = kept;
	qsort(due, count, sizeof(due[0]), in_order);
	for (uint32_t i = 0; i < count; i++) {
		struct mr_tcp_segment_in in = {
			due[i]->src, due[i]->dst, due[i]->data, due[i]->bytes, false};

		mr_tcp_input(n->host[due[i]->to].tcp, &in);
		if (!n->no_check)
			mr_tcp_check(n->host[due[i]->to].tcp);
		free(due[i]);
	}
}

bool tcp_net_step(struct tcp_net *n, int64_t until_ns)
{
	int64_t next = next_event(n);

	if (next > until_ns) {
		n->now_ns = MR_MAX(n->now_ns, until_ns);
		return false;
	}
	n->now_ns = next;
	for (int i = 0; i < 2; i++)
		mr_tcp_time(n->host[i].tcp, n->now_ns);
	if (!n->hold)
		deliver_due(n);
	tcp_net_flush(n);
	return true;
}

bool tcp_net_run(struct tcp_net *n, int64_t for_ns, bool (*done)(void *ctx), void *ctx)
{
	int64_t until = n->now_ns + for_ns;

	tcp_net_flush(n);
	while (!done || !done(ctx)) {
		if (!tcp_net_step(n, until))
			return done && done(ctx);
	}
	return true;
}

void tcp_net_pump(struct tcp_net_end *e)
{
	uint8_t b[4096];

	while (e->c && e->sent < e->to_send) {
		size_t n = MR_MIN(sizeof(b), e->to_send - e->sent), took;

		for (size_t i = 0; i < n; i++)
			b[i] = tcp_net_byte(e->host, e->sent + i);
		took = mr_tcp_send(e->c, b, n);
		e->sent += took;
		if (took < n)
			return;
	}
	if (!e->c || !e->close_when_done || e->shut)
		return;
	e->shut = true;
	mr_tcp_shutdown(e->c);
}

static int on_opened(void *owner, struct mr_tcp_conn *c)
{
	struct tcp_net_host *h = owner;
	struct tcp_net_end *e = h->accepts;

	h->last_conn = c;
	if (!e)
		return -ECONNREFUSED;
	h->accepts = NULL;
	e->net = h->net;
	e->host = h->number;
	e->c = c;
	e->connected = true;
	mr_tcp_set_user(c, e);
	tcp_net_pump(e);
	return 0;
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	struct tcp_net_end *e = mr_tcp_user(c);

	e->connected = err == 0;
	e->error = err;
	if (err)
		e->c = NULL;
	else
		tcp_net_pump(e);
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span s)
{
	struct tcp_net_end *e = mr_tcp_user(c);
	size_t n = s.bytes;

	e->calls++;
	if (e->take_max && n > e->take_max) {
		n = e->take_max;
		mr_tcp_pause(c);
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(s.data[i], tcp_net_byte(1 - e->host, e->received + i));
	e->received += n;
	return n;
}

static void on_sendable(struct mr_tcp_conn *c)
{
	tcp_net_pump(mr_tcp_user(c));
}

static void on_ended(struct mr_tcp_conn *c)
{
	struct tcp_net_end *e = mr_tcp_user(c);

	assert_false(e->ended);
	e->ended = true;
	if (e->close_at_end) {
		mr_tcp_close(c);
		e->c = NULL;
	}
}

static void on_closed(struct mr_tcp_conn *c, int err)
{
	struct tcp_net_end *e = mr_tcp_user(c);

	assert_false(e->was_closed);
	e->was_closed = true;
	e->error = err;
	e->c = NULL;
}

const struct mr_tcp_events tcp_net_events = {
	on_opened, on_connected, on_data, on_sendable, on_ended, on_closed};

static bool both_connected(void *ctx)
{
	struct tcp_net_end **e = ctx;

	return e[0]->connected && e[1]->connected;
}

void tcp_net_connect(struct tcp_net *n, struct tcp_net_end *a, struct tcp_net_end *b)
{
	struct tcp_net_host *h = n->host;
	struct tcp_net_end *both[2] = {a, b};
	struct mr_tcp_listener *l;
	int err = mr_tcp_listen(h[1].tcp, 9092, &tcp_net_events, &h[1], &l);

	assert_true(err == 0 || err == -EADDRINUSE);
	h[1].accepts = b;
	a->net = n;
	a->host = 0;
	assert_int_equal(
		mr_tcp_connect(h[0].tcp, &h[0].ip, 0, &h[1].ip, 9092, &tcp_net_events, a, &a->c),
		0);
	assert_true(tcp_net_run(n, 200000 * TCP_NET_MS, both_connected, both));
}
