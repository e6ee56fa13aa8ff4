// A stack for the wire benchmarks: the port, the link, and where connections go from and to.
#include "client/wire_stack.h"

#include "dataplane/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	BURSTS = 8,
	LINK_WAIT_NS = 10000000,
	LINK_TRIES = 1000,
	TURNS_PER_TIME = 16,
	PORT_FIRST = 1024,
	PORTS = 65536 - PORT_FIRST,
};

// The settings of a daemon's network serve a client as well.
static int configure(struct mr_config *c, const struct mr_wire_stack_options *o,
	uint32_t connections, char error[400])
{
	struct mr_diag diag = {0};
	int rc;

	mr_config_init(c);
	snprintf(c->eal, sizeof(c->eal), "%s", o->eal);
	c->net_mtu = o->mtu ? o->mtu : c->net_mtu;
	c->kafka_connections_max = MR_MAX(c->kafka_connections_max, (uint64_t)connections);
	rc = mr_config_set(c, "net.address", o->address, &diag);
	if (rc == 0 && o->gateway)
		rc = mr_config_set(c, "net.gateway", o->gateway, &diag);
	if (rc < 0)
		snprintf(error, 400, "%s", diag.message);
	return rc;
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

static int choose_sources(
	struct mr_wire_stack *s, const struct mr_wire_stack_options *o, char error[400])
{
	struct mr_diag diag = {0};
	struct mr_nic_plan plan;
	int rc = mr_nic_plan(&s->config, &plan, &diag);

	if (rc < 0) {
		snprintf(error, 400, "%s", diag.message);
		return rc;
	}
	rc = parse_to(o->to, &s->to, &s->to_port);
	for (uint32_t i = 0; rc == 0 && i < plan.addresses_count; i++)
		if (mr_ip_is_v4(&plan.addresses[i].ip) == mr_ip_is_v4(&s->to))
			s->sources[s->sources_count++] = plan.addresses[i].ip;
	if (rc == 0 && !s->sources_count)
		rc = -EHOSTUNREACH;
	if (rc < 0)
		snprintf(error, 400, "cannot connect to %s: %s", o->to, mr_err_text(rc));
	return rc;
}

static int open_port(struct mr_wire_stack *s, char error[400])
{
	static const struct mr_topo_placement anywhere;
	struct mr_diag diag = {0};
	int rc = mr_nic_open(&s->config, &anywhere, 1, &s->nic, &diag);

	if (rc < 0) {
		snprintf(error, 400, "%s", diag.message);
		return rc;
	}
	mr_nic_enter(s->nic, 0);
	rc = mr_nic_stack(s->nic, 0, &mr_clock_system, &s->stack, &s->port);
	if (rc < 0)
		snprintf(error, 400, "cannot make a stack: %s", mr_err_text(rc));
	else
		s->tcp = mr_stack_tcp(s->stack);
	return rc;
}

static int wait_for_link(struct mr_wire_stack *s, char error[400])
{
	const struct timespec nap = {0, LINK_WAIT_NS};

	for (int i = 0; i < LINK_TRIES; i++) {
		s->port->ops->refresh(s->port);
		if (s->port->link_up) {
			// The receiver may remember other MACs of our addresses.
			mr_stack_announce(s->stack);
			return 0;
		}
		nanosleep(&nap, NULL);
	}
	snprintf(error, 400, "%s: the link does not come up", s->port->name);
	return -ENETDOWN;
}

int mr_wire_stack_open(struct mr_wire_stack *s, const struct mr_wire_stack_options *o,
	uint32_t connections, char error[400])
{
	int rc;

	*s = (struct mr_wire_stack){0};
	rc = configure(&s->config, o, connections, error);
	if (rc == 0)
		rc = choose_sources(s, o, error);
	if (rc == 0)
		rc = open_port(s, error);
	s->now_ns = mr_now_ns(&mr_clock_system);
	return rc < 0 ? rc : wait_for_link(s, error);
}

void mr_wire_stack_close(struct mr_wire_stack *s)
{
	if (s->stack) {
		mr_stack_flush(s->stack);
		mr_stack_destroy(s->stack);
	}
	if (s->nic) {
		mr_nic_leave(s->nic, 0);
		mr_nic_close(s->nic);
	}
	s->stack = NULL;
	s->nic = NULL;
}

int mr_wire_stack_connect(struct mr_wire_stack *s, const struct mr_tcp_events *events, void *user,
	struct mr_tcp_conn **out)
{
	int rc = -EADDRINUSE;

	for (uint32_t i = 0; rc == -EADDRINUSE && i < PORTS * s->sources_count; i++) {
		uint32_t n = s->connects++;
		uint16_t port = (uint16_t)(PORT_FIRST + n / s->sources_count % PORTS);

		rc = mr_tcp_connect(s->tcp, &s->sources[n % s->sources_count], port, &s->to,
			s->to_port, events, user, out);
	}
	return rc;
}

int mr_wire_stack_turn(struct mr_wire_stack *s)
{
	int n;

	// Reading the clock costs as much as two looks at the port.
	if (s->found || s->turns++ % TURNS_PER_TIME == 0)
		s->now_ns = mr_now_ns(&mr_clock_system);
	n = mr_stack_turn(s->stack, s->now_ns, BURSTS);
	s->found = n > 0;
	return n < 0 ? n : 0;
}
