// Connections by number, over our own stack on a DPDK port: many that do nothing, and as many as
// can be opened and closed in a second. Each says one ApiVersions and hears the answer, so that all
// of the receiver's layers have it.
//
// A connection of a churn goes: SYN, request, answer, our FIN, the receiver's FIN, TIME-WAIT. It
// counts when the receiver's FIN has come.
#include "client/wire_stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	OPENING_MAX = 128, // at once: below what a receiver takes of one source (syns_per_source)
	STEP_S = 30,       // without any progress
};

struct run;

struct peer {
	struct mr_wire_conn conn;
	struct mr_tcp_conn *tcp; // NULL: not there
	struct run *run;
	struct peer *next; // of those that are to be opened
	int64_t begun_ns;
};

struct run {
	struct mr_wire_load *load;
	struct mr_wire_conns *k;
	struct mr_wire_stack stack;
	const struct mr_tcp_events *events;
	struct peer *peers;
	uint32_t count;
	struct peer *shut; // to be opened
	uint32_t waiting;  // for a connection or an answer
	int64_t moved_ns;
	bool leaving; // an end is what is waited for
	int error;
};

// ---- one connection

static void shut(struct run *r, struct peer *p)
{
	p->tcp = NULL;
	p->next = r->shut;
	r->shut = p;
}

static void ask(struct peer *p)
{
	struct mr_span out;

	if (mr_wire_next(&p->conn, &out))
		mr_wire_sent(
			&p->conn, mr_tcp_send(p->tcp, out.data, out.bytes), p->run->stack.now_ns);
}

static void on_connected(struct mr_tcp_conn *c, int err)
{
	struct peer *p = mr_tcp_user(c);

	if (err) {
		p->tcp = NULL;
		p->run->error = err;
		return;
	}
	ask(p);
}

// True: that was the answer.
static bool take(struct peer *p, struct mr_span bytes)
{
	struct run *r = p->run;
	uint64_t before = r->load->requests_answered;
	int rc = mr_wire_received(&p->conn, bytes, r->stack.now_ns);

	r->error = rc < 0 ? rc : r->error;
	if (r->load->requests_answered == before)
		return false;
	r->moved_ns = r->stack.now_ns;
	return true;
}

static size_t on_data(struct mr_tcp_conn *c, struct mr_span bytes)
{
	struct peer *p = mr_tcp_user(c);

	if (take(p, bytes))
		p->run->waiting--;
	return bytes.bytes;
}

static size_t on_data_shut(struct mr_tcp_conn *c, struct mr_span bytes)
{
	if (take(mr_tcp_user(c), bytes))
		mr_tcp_shutdown(c);
	return bytes.bytes;
}

static void on_sendable(struct mr_tcp_conn *)
{
}

static void on_closed(struct mr_tcp_conn *c, int err)
{
	struct peer *p = mr_tcp_user(c);

	p->tcp = NULL;
	p->run->error = err ? err : -ECONNRESET;
}

static void on_ended(struct mr_tcp_conn *c)
{
	struct peer *p = mr_tcp_user(c);
	struct run *r = p->run;

	if (!r->leaving) {
		r->error = -ECONNRESET;
		return;
	}
	mr_hist_record(&r->k->cycles, (uint64_t)(r->stack.now_ns - p->begun_ns));
	r->k->closed++;
	r->moved_ns = r->stack.now_ns;
	r->waiting--;
	mr_tcp_close(c);
	shut(r, p);
}

static const struct mr_tcp_events stay = {
	.connected = on_connected,
	.data = on_data,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

static const struct mr_tcp_events go = {
	.connected = on_connected,
	.data = on_data_shut,
	.sendable = on_sendable,
	.ended = on_ended,
	.closed = on_closed,
};

// ---- all of them

static double since(const struct run *r, int64_t start_ns)
{
	return (double)(r->stack.now_ns - start_ns) / 1e9;
}

static void turn(struct run *r)
{
	int rc = mr_wire_stack_turn(&r->stack);

	if (rc == 0 && r->waiting && r->stack.now_ns - r->moved_ns > STEP_S * INT64_C(1000000000))
		rc = -ETIMEDOUT;
	r->error = r->error ? r->error : rc;
}

// Connects until `at_once` wait for something.
static void open_some(struct run *r, uint32_t at_once)
{
	while (r->shut && r->waiting < at_once && !r->error) {
		struct peer *p = r->shut;

		r->shut = p->next;
		mr_wire_conn_init(&p->conn, r->load, 0);
		p->begun_ns = r->stack.now_ns;
		r->error = mr_wire_stack_connect(&r->stack, r->events, p, &p->tcp);
		r->waiting++;
	}
}

// Resident memory of a process, huge pages included; 0 when it cannot be told.
static uint64_t memory_of(uint64_t pid)
{
	char path[64], line[256];
	uint64_t kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
	f = pid ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		unsigned long long value;

		if (sscanf(line, "VmRSS: %llu", &value) == 1 ||
			sscanf(line, "HugetlbPages: %llu", &value) == 1)
			kib += value;
	}
	fclose(f);
	return kib << 10;
}

static int begin(struct run *r, const struct mr_wire_stack_options *o, char error[400])
{
	struct mr_wire_conns *k = r->k;
	int rc;

	r->load->depth = 1;
	r->count = k->connections;
	r->peers = calloc(r->count, sizeof(*r->peers));
	if (!r->peers)
		return -ENOMEM;
	rc = mr_wire_stack_open(&r->stack, o, r->count, error);
	r->moved_ns = r->stack.now_ns;
	for (uint32_t i = r->count; i-- > 0;) {
		r->peers[i].run = r;
		shut(r, &r->peers[i]);
	}
	k->before_bytes = memory_of(k->pid);
	return rc;
}

static int end(struct run *r, const char *to, int rc, char error[400])
{
	if (r->error && rc == 0) {
		rc = r->error;
		snprintf(error, 400, "%s: %llu answers, then: %s", to,
			(unsigned long long)r->load->requests_answered, mr_err_text(rc));
	}
	for (uint32_t i = 0; r->stack.stack && r->peers && i < r->count; i++)
		if (r->peers[i].tcp)
			mr_tcp_abort(r->peers[i].tcp);
	mr_wire_stack_close(&r->stack);
	free(r->peers);
	return rc;
}

static void open_all(struct run *r)
{
	int64_t start = r->stack.now_ns;

	while (!r->error && (r->shut || r->waiting)) {
		open_some(r, OPENING_MAX);
		turn(r);
	}
	r->k->open_s = since(r, start);
}

static void rest(struct run *r)
{
	int64_t start = r->stack.now_ns;

	while (!r->error && since(r, start) < r->k->seconds)
		turn(r);
	r->k->after_bytes = memory_of(r->k->pid);
}

static void ask_all(struct run *r)
{
	int64_t start = r->stack.now_ns;

	r->moved_ns = start;
	for (uint32_t i = 0; !r->error && (i < r->count || r->waiting);) {
		for (; i < r->count && r->waiting < OPENING_MAX; i++) {
			ask(&r->peers[i]);
			r->waiting++;
		}
		turn(r);
	}
	r->k->again_s = since(r, start);
}

static void leave_all(struct run *r)
{
	int64_t start = r->stack.now_ns;

	r->moved_ns = start;
	r->leaving = true;
	for (uint32_t i = 0; !r->error && (i < r->count || r->waiting);) {
		for (; i < r->count && r->waiting < OPENING_MAX; i++) {
			mr_tcp_shutdown(r->peers[i].tcp);
			r->waiting++;
		}
		turn(r);
	}
	r->k->closed_s = since(r, start);
}

int mr_wire_idle(struct mr_wire_load *l, const struct mr_wire_stack_options *o,
	struct mr_wire_conns *k, char error[400])
{
	struct run r = {.load = l, .k = k, .events = &stay};
	int rc = begin(&r, o, error);

	if (rc == 0) {
		open_all(&r);
		rest(&r);
		ask_all(&r);
		leave_all(&r);
	}
	return end(&r, o->to, rc, error);
}

int mr_wire_churn(struct mr_wire_load *l, const struct mr_wire_stack_options *o,
	struct mr_wire_conns *k, char error[400])
{
	struct run r = {.load = l, .k = k, .events = &go, .leaving = true};
	int rc = begin(&r, o, error);
	int64_t start = r.stack.now_ns;

	while (rc == 0 && !r.error && (since(&r, start) < k->seconds || r.waiting)) {
		if (since(&r, start) < k->seconds)
			open_some(&r, k->connections);
		turn(&r);
	}
	k->closed_s = since(&r, start);
	return end(&r, o->to, rc, error);
}
