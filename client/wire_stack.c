// The wire benchmark's load over our own stack on a DPDK port, polling.
#include "client/wire_load.h"

#include "dataplane/stream.h"
#include "host/nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	BURSTS = 8,
	LINK_WAIT_NS = 10000000,
	LINK_TRIES = 1000,
	CONNECT_S = 10,
	DRAIN_NS = 2000000000,
};

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
	struct mr_config config;
	struct mr_nic *nic;
	struct mr_port *port;
	struct mr_stack *stack;
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
	int rc = mr_stack_turn(r->stack, mr_now_ns(&mr_clock_system), BURSTS);

	r->error = rc < 0 ? rc : r->error;
}

// The settings of a daemon's network serve a client as well.
static int configure(struct mr_config *c, const struct mr_wire_stack_options *o, char error[400])
{
	struct mr_diag diag = {0};
	int rc;

	mr_config_init(c);
	snprintf(c->eal, sizeof(c->eal), "%s", o->eal);
	c->net_mtu = o->mtu ? o->mtu : c->net_mtu;
	rc = mr_config_set(c, "net.address", o->address, &diag);
	if (rc == 0 && o->gateway)
		rc = mr_config_set(c, "net.gateway", o->gateway, &diag);
	if (rc < 0)
		snprintf(error, 400, "%s", diag.message);
	return rc;
}

static int open_stack(struct run *r, char error[400])
{
	static const struct mr_topo_placement anywhere;
	const struct timespec nap = {0, LINK_WAIT_NS};
	struct mr_diag diag = {0};
	int rc = mr_nic_open(&r->config, &anywhere, 1, &r->nic, &diag);

	if (rc < 0) {
		snprintf(error, 400, "%s", diag.message);
		return rc;
	}
	mr_nic_enter(r->nic, 0);
	rc = mr_nic_stack(r->nic, 0, &mr_clock_system, &r->stack, &r->port);
	if (rc < 0) {
		snprintf(error, 400, "cannot make a stack: %s", mr_err_text(rc));
		return rc;
	}
	for (int i = 0; i < LINK_TRIES; i++) {
		r->port->ops->refresh(r->port);
		if (r->port->link_up)
			return 0;
		nanosleep(&nap, NULL);
	}
	snprintf(error, 400, "%s: the link does not come up", r->port->name);
	return -ENETDOWN;
}

// "10.0.0.2:9092", "[fd00::2]:9092".
static int parse_to(const char *to, struct mr_ip *ip, uint16_t *port)
{
	const char *colon = strrchr(to, ':');
	struct mr_net_addr a;
	char host[64];

	if (!colon)
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - to), to);
	*port = (uint16_t)atoi(colon + 1);
	if (mr_net_addr_parse(host, *port, &a) < 0)
		return -EINVAL;
	if (a.is_v6)
		memcpy(ip->b, a.ip, sizeof(ip->b));
	else
		*ip = mr_ip4(mr_load_be32(a.ip));
	return 0;
}

static int connect_all(struct run *r, const struct mr_wire_stack_options *o, char error[400])
{
	int64_t until = mr_now_ns(&mr_clock_system) + CONNECT_S * INT64_C(1000000000);
	struct mr_ip peer, local;
	uint16_t port;
	int rc = parse_to(o->to, &peer, &port);

	if (rc == 0 && !mr_stack_source(r->stack, &peer, &local))
		rc = -EHOSTUNREACH;
	for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
		struct peer *p = &r->peers[i];

		p->run = r;
		mr_wire_conn_init(&p->conn, r->load, i);
		rc = mr_tcp_connect(
			mr_stack_tcp(r->stack), &local, 0, &peer, port, &events, p, &p->tcp);
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
		int64_t now = mr_now_ns(&mr_clock_system);

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
	for (uint32_t i = 0; r->stack && i < r->count; i++)
		if (r->peers[i].tcp)
			mr_tcp_abort(r->peers[i].tcp);
	if (r->stack) {
		mr_stack_flush(r->stack);
		mr_stack_destroy(r->stack);
	}
	if (r->nic) {
		mr_nic_leave(r->nic, 0);
		mr_nic_close(r->nic);
	}
	free(r->peers);
}

int mr_wire_over_stack(struct mr_wire_load *l, const struct mr_wire_stack_options *o,
	uint32_t connections, double seconds, char error[400])
{
	struct run r = {
		.load = l, .peers = calloc(connections, sizeof(*r.peers)), .count = connections};
	int rc = r.peers ? 0 : -ENOMEM;

	if (rc == 0)
		rc = configure(&r.config, o, error);
	if (rc == 0)
		rc = open_stack(&r, error);
	if (rc == 0)
		rc = connect_all(&r, o, error);
	if (rc == 0) {
		rc = drive(&r, seconds);
		l->retransmits = atomic_load_explicit(
			&mr_tcp_counters(mr_stack_tcp(r.stack))->retransmits, memory_order_relaxed);
		if (rc < 0)
			snprintf(error, 400, "connection to %s: %s", o->to, mr_err_text(rc));
	}
	close_all(&r);
	return rc;
}
