// The wire benchmark's load over our own stack on a DPDK port, polling.
#include "client/wire_stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_S = 10, DRAIN_NS = 2000000000 };

struct run;

struct peer {
	struct mr_wire_conn conn;
	struct mr_tcp_conn *tcp; // NULL: gone
	struct run *run;
	bool connected;
	bool full; // waits for `sendable`
};

struct run {
	struct mr_wire_load *load;
	struct mr_wire_stack stack;
	struct peer *peers;
	uint32_t count;
	uint32_t connected;
	int error;
};

static void push(struct peer *p)
{
	struct mr_span out;
	int64_t now = mr_now_ns(&mr_clock_system);

	while (p->tcp && !p->full && mr_wire_next(&p->conn, &out)) {
		size_t n = mr_tcp_send(p->tcp, out.data, out.bytes);

		mr_wire_sent(&p->conn, n, now);
		p->full = n < out.bytes;
	}
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	struct peer *p = mr_tcp_user(c);

	p->run->error = err ? err : p->run->error;
	p->run->connected += err == 0;
	p->connected = err == 0;
	if (err)
		p->tcp = NULL;
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span bytes)
{
	struct peer *p = mr_tcp_user(c);
	int rc = mr_wire_received(&p->conn, bytes, mr_now_ns(&mr_clock_system));

	p->run->error = rc < 0 ? rc : p->run->error;
	push(p);
	return bytes.bytes;
}

static void on_sendable(struct mr_tcp_conn *c)
{
	struct peer *p = mr_tcp_user(c);

	p->full = false;
	push(p);
}

static void on_ended(struct mr_tcp_conn *c)
{
	((struct peer *)mr_tcp_user(c))->run->error = -ECONNRESET;
}

static void on_closed(struct mr_tcp_conn *c, int err)
{
	struct peer *p = mr_tcp_user(c);

	p->tcp = NULL;
	p->run->error = err ? err : -ECONNRESET;
}

static const struct mr_tcp_events events = {
	.connected = on_connected,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

static void turn(struct run *r)
{
	int rc = mr_wire_stack_turn(&r->stack);

	r->error = rc < 0 ? rc : r->error;
}

static int connect_all(struct run *r, const struct mr_wire_stack_options *o, char error[400])
{
	int64_t until = mr_now_ns(&mr_clock_system) + CONNECT_S * INT64_C(1000000000);
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
		struct peer *p = &r->peers[i];

		p->run = r;
		mr_wire_conn_init(&p->conn, r->load, i);
		rc = mr_wire_stack_connect(&r->stack, &events, p, &p->tcp);
	}
	while (rc == 0 && r->connected < r->count) {
		turn(r);
		rc = r->error;
		if (rc == 0 && mr_now_ns(&mr_clock_system) > until)
			rc = -ETIMEDOUT;
	}
	if (rc < 0)
		snprintf(error, 400, "cannot connect to %s: %s", o->to, mr_err_text(rc));
	return rc;
}

static int drive(struct run *r, double seconds)
{
	struct mr_wire_load *l = r->load;
	int64_t end = mr_now_ns(&mr_clock_system) + (int64_t)(seconds * 1e9);

	for (uint32_t i = 0; i < r->count; i++)
		push(&r->peers[i]);
	while (r->error == 0) {
		int64_t now = r->stack.now_ns;

		l->stopping = now >= end;
		if (l->stopping &&
			(l->requests_answered == l->requests_sent || now >= end + DRAIN_NS))
			break;
		turn(r);
	}
	return r->error;
}

static void close_all(struct run *r)
{
	for (uint32_t i = 0; r->stack.stack && i < r->count; i++)
		if (r->peers[i].tcp)
			mr_tcp_abort(r->peers[i].tcp);
	mr_wire_stack_close(&r->stack);
	free(r->peers);
}

int mr_wire_over_stack(struct mr_wire_load *l, const struct mr_wire_stack_options *o,
	uint32_t connections, double seconds, char error[400])
{
	struct run r = {
		.load = l, .peers = calloc(connections, sizeof(*r.peers)), .count = connections};
	int rc = r.peers ? 0 : -ENOMEM;

	if (rc == 0)
		rc = mr_wire_stack_open(&r.stack, o, connections, error);
	if (rc == 0)
		rc = connect_all(&r, o, error);
	if (rc == 0) {
		rc = drive(&r, seconds);
		l->retransmits = atomic_load_explicit(
			&mr_tcp_counters(r.stack.tcp)->retransmits, memory_order_relaxed);
		if (rc < 0)
			snprintf(error, 400, "connection to %s: %s", o->to, mr_err_text(rc));
	}
	close_all(&r);
	return rc;
}
