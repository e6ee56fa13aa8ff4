// See conn_rig.h.
#include "tests/lib/conn_rig.h"

#include "tests/lib/mr_test.h"

#include <stdlib.h>

static void echo_finish(struct conn_echo *e, struct mr_request *rq)
{
	if (e->output_each && !rq->abandoned) {
		uint8_t *p = mr_request_alloc(rq, e->output_each);

		if (p) {
			memset(p, 0x5a, e->output_each);
			assert_true(mr_request_add(rq, p, e->output_each));
		} else {
			e->alloc_failed++;
			assert_true(mr_request_add(rq, "no", 2));
		}
	} else if (!e->silent) {
		// Two pieces, so that lengths and pieces are put together.
		size_t half = rq->in.bytes / 2;

		assert_true(mr_request_add(rq, rq->in.data, half));
		assert_true(mr_request_add(rq, rq->in.data + half, rq->in.bytes - half));
	}
	mr_request_done(rq);
}

static void echo_abandon(struct mr_request *rq)
{
	struct conn_echo *e = rq->state;

	e->abandoned++;
}

static void echo_request(void *owner, struct mr_request *rq)
{
	struct conn_echo *e = owner;

	e->seen++;
	e->bytes += rq->in.bytes;
	assert_true(rq->received_ns >= 0);
	if (e->seen == e->close_at) {
		mr_request_close(rq, "asked to");
		return;
	}
	if (!e->hold) {
		echo_finish(e, rq);
		return;
	}
	assert_true(e->held_count < CONN_HELD_MAX);
	rq->state = e;
	rq->on_abandon = echo_abandon;
	e->held[e->held_count++] = rq;
}

void conn_rig_release(struct conn_echo *e, struct mr_rand *rand)
{
	uint32_t i = rand ? (uint32_t)mr_rand_below(rand, e->held_count) : e->held_count - 1;
	struct mr_request *rq = e->held[i];

	e->held[i] = e->held[--e->held_count];
	echo_finish(e, rq);
}

struct conn_rig *conn_rig_open(const struct mr_conn_limits *limits, const struct mr_net_options *o)
{
	struct conn_rig *b = calloc(1, sizeof(*b));
	struct mr_net_options options = o ? *o : (struct mr_net_options){.rxbufs = 64};
	uint16_t port = 0;

	assert_non_null(b);
	mr_rand_init(&b->rand, CONN_SEED);
	net_over_open(&b->on, &options);
	assert_int_equal(mr_net_create(&options, &b->net), 0);
	assert_int_equal(mr_conns_create(b->net, limits, -1, &b->conns), 0);
	b->echo.protocol = (struct mr_protocol){.owner = &b->echo, .request = echo_request};
	assert_int_equal(
		mr_conns_listen(b->conns, net_over_host(), 0, &b->echo.protocol, &port), 0);
	assert_int_not_equal(port, 0);
	assert_int_equal(mr_net_addr_parse(net_over_host(), port, &b->at), 0);
	return b;
}

void conn_rig_close(struct conn_rig *b)
{
	// Whoever gave memory out gets it back, in every test.
	while (b->echo.held_count)
		conn_rig_release(&b->echo, NULL);
	mr_conns_close_all(b->conns);
	for (int i = 0; i < 1000 && mr_conns_count(b->conns); i++)
		mr_net_turn(b->net, 1000000);
	assert_int_equal(mr_conns_count(b->conns), 0);
	assert_int_equal(mr_reqmem_used(mr_conns_reqmem(b->conns)), 0);
	assert_int_equal(mr_net_counters(b->net)->rxbufs_pinned, 0);
	assert_int_equal(mr_conns_counters(b->conns)->requests_unfinished, 0);
	assert_int_equal(mr_conns_counters(b->conns)->connections, 0);
	mr_conns_destroy(b->conns);
	mr_net_destroy(b->net);
	net_over_close(&b->on);
	free(b);
}

// Loopback delivers at once; what is left to the kernel's own time (a delayed acknowledgement, a
// deferred close) gets a wait every few idle rounds.
void conn_rig_round(struct conn_rig *b, struct net_client *c, size_t count)
{
	int n;

	for (size_t i = 0; i < count; i++)
		net_client_pump(&c[i], &b->rand);
	net_over_turn(&b->on);
	n = mr_net_turn(b->net, b->idle_rounds > 10 ? 1000000 : 0);
	assert_true(n >= 0);
	b->idle_rounds = n ? 0 : b->idle_rounds + 1;
}

void conn_rig_settle(struct conn_rig *b, struct net_client *c, size_t count)
{
	for (int i = 0; i < 20; i++)
		conn_rig_round(b, c, count);
}

void conn_rig_expect(struct net_client *c, size_t *at, size_t bytes, uint64_t seed)
{
	assert_true(c->in.bytes >= *at + 4 + bytes);
	assert_int_equal(mr_load_be32(c->in.data + *at), bytes);
	for (size_t i = 0; i < bytes; i++)
		if (c->in.data[*at + 4 + i] != net_client_byte(seed, i))
			fail_msg("byte %zu of frame with seed %lu", i, (unsigned long)seed);
	*at += 4 + bytes;
}
